//! Making each kind of file, by the descriptor of its directory and its last name.

use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::super::entry::{Entry, Kind};
use super::super::error::{EntryError, shown};
use super::super::sparse::Sparse;
use super::{Directory, Owners, Place, Tree, read_full, take_apart};

/// What becomes of the device nodes of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Devices {
    /// The harmless ones that every container has are made, any other is an error.
    Known,
    /// None is made; each that is left out is told.
    Skip,
    /// Any is an error.
    Refuse,
    /// All are made, block devices too.
    All,
}

/// The devices of every container (runtime-spec, config-linux.md, "default devices"), by major and minor number:
/// null, zero, full, random, urandom, tty, console, ptmx.
const KNOWN: [(u32, u32); 8] = [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2)];

impl Tree {
    pub(super) fn make_directory(
        &mut self,
        parent: &Rc<Directory>,
        place: &Place,
        entry: &Entry,
    ) -> Result<(), EntryError> {
        let is_directory = |found: &rustix::fs::Stat| FileType::from_raw_mode(found.st_mode) == FileType::Directory;
        let mut new = true;
        match rustix::fs::mkdirat(&parent.fd, place.name, Mode::RWXU) {
            Err(Errno::EXIST) => {
                let found = rustix::fs::statat(&parent.fd, place.name, AtFlags::SYMLINK_NOFOLLOW);
                // A directory stays, with what lower layers put into it; anything else makes room.
                if is_directory(&found.map_err(EntryError::of("lstat"))?) {
                    new = false;
                } else {
                    self.displace(parent, place.name)?;
                    rustix::fs::mkdirat(&parent.fd, place.name, Mode::RWXU).map_err(EntryError::of("mkdir"))?;
                }
            }
            result => result.map_err(EntryError::of("mkdir"))?,
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&parent.fd, place.name, flags, Mode::empty()).map_err(EntryError::of("open"))?;
        let inode = rustix::fs::fstat(&fd).map_err(EntryError::of("fstat"))?.st_ino;
        self.own(fd.as_fd(), entry.uid, entry.gid)?;
        let path = [&place.directory[..], b"/", place.name].concat();
        self.remember(inode, path.strip_prefix(b"/").unwrap_or(&path), entry, new)
    }

    pub(super) fn make_file(
        &mut self,
        parent: &Rc<Directory>,
        place: &Place,
        entry: &Entry,
        data: &mut dyn Read,
    ) -> Result<(), EntryError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // For our eyes only until it is whole: a program with set-user-ID and another owner is never seen.
        let mode = Mode::RUSR | Mode::WUSR;
        let file: OwnedFd = self
            .in_place(parent, place.name, "open", |directory, name| rustix::fs::openat(directory, name, flags, mode))?;
        match &entry.sparse {
            None => self.copy(&file, data, entry.size, None)?,
            Some(sparse) => self.copy_sparse(&file, data, sparse)?,
        }
        // chown(2) takes set-user-ID and capabilities away, so it comes first; write(2) takes capabilities away.
        self.own(file.as_fd(), entry.uid, entry.gid)?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(entry.mode)).map_err(EntryError::of("fchmod"))?;
        self.set_attributes(file.as_fd(), &entry.path, &entry.attributes)?;
        rustix::fs::futimens(&file, &super::metadata::times(entry.mtime)).map_err(EntryError::of("futimens"))
    }

    /// Writes `size` bytes of `data`, at `offset` or in sequence.
    fn copy(
        &mut self,
        file: &OwnedFd,
        data: &mut dyn Read,
        size: u64,
        mut offset: Option<u64>,
    ) -> Result<(), EntryError> {
        let mut left = size;
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
            let read = read_full(data, &mut self.buffer[..most])
                .map_err(|error| EntryError::Archive(format!("its data cannot be read: {error}")))?;
            if read == 0 {
                return Err(EntryError::Archive("the archive ends in the middle of its data".to_string()));
            }
            let mut rest = &self.buffer[..read];
            while !rest.is_empty() {
                let written = match offset {
                    Some(offset) => rustix::io::pwrite(file, rest, offset),
                    None => rustix::io::write(file, rest),
                };
                let written = match written {
                    Err(Errno::INTR) => continue,
                    written => written.map_err(EntryError::of("write"))?,
                };
                offset = offset.map(|offset| offset + written as u64);
                rest = &rest[written..];
            }
            left -= read as u64;
        }
        Ok(())
    }

    fn copy_sparse(&mut self, file: &OwnedFd, data: &mut dyn Read, sparse: &Sparse) -> Result<(), EntryError> {
        rustix::fs::ftruncate(file, sparse.size).map_err(EntryError::of("ftruncate"))?;
        sparse.segments.iter().try_for_each(|(offset, length)| self.copy(file, data, *length, Some(*offset)))
    }

    pub(super) fn make_symlink(
        &mut self,
        parent: &Rc<Directory>,
        place: &Place,
        entry: &Entry,
    ) -> Result<(), EntryError> {
        if entry.link.is_empty() {
            return Err(EntryError::Name("a symlink to nothing"));
        }
        self.in_place(parent, place.name, "symlink", |directory, name| {
            rustix::fs::symlinkat(&entry.link[..], directory, name)
        })?;
        self.dress_by_name(parent, place, entry)
    }

    /// A hard link shares all of its file but the name: what the entry says of owner and mode was said of the file.
    pub(super) fn make_hardlink(
        &mut self,
        parent: &Rc<Directory>,
        place: &Place,
        entry: &Entry,
    ) -> Result<(), EntryError> {
        let target = take_apart(&entry.link, self.options.limits.depth)?;
        let target = target.ok_or(EntryError::Name("a hard link to a directory"))?;
        let from = self.existing(&target.directory)?.ok_or(EntryError::Name("a hard link to what is not there"))?;
        if from.inode == parent.inode && target.name == place.name {
            return Err(EntryError::Name("a hard link to itself"));
        }
        // Without AT_SYMLINK_FOLLOW, linkat(2) links a symlink itself and not what it leads to.
        self.in_place(parent, place.name, "link", |directory, name| {
            rustix::fs::linkat(&from.fd, target.name, directory, name, AtFlags::empty())
        })
    }

    pub(super) fn make_fifo(&mut self, parent: &Rc<Directory>, place: &Place, entry: &Entry) -> Result<(), EntryError> {
        self.make_node(parent, place, entry, FileType::Fifo)
    }

    pub(super) fn make_device(
        &mut self,
        parent: &Rc<Directory>,
        place: &Place,
        entry: &Entry,
    ) -> Result<(), EntryError> {
        let (major, minor) = entry.device;
        let kind = if entry.kind == Kind::Block { "block" } else { "character" };
        let named = format!("a {kind} device {major}:{minor}");
        let known = entry.kind == Kind::Character && KNOWN.contains(&entry.device);
        // In a layer of overlayfs, a character device 0:0 is a whiteout; no image has one for another reason.
        let whiteout = entry.kind == Kind::Character && entry.device == (0, 0);
        let skip = match self.options.devices {
            Devices::Skip => true,
            Devices::Known if known => matches!(self.options.owners, Owners::Mine),
            Devices::All if !whiteout => false,
            Devices::Known | Devices::Refuse | Devices::All => return Err(EntryError::Device(named)),
        };
        if skip {
            self.warn(format!("{} is left out: {named}", shown(&entry.path)));
            return Ok(());
        }
        let file_type = if entry.kind == Kind::Block { FileType::BlockDevice } else { FileType::CharacterDevice };
        self.make_node(parent, place, entry, file_type)
    }

    fn make_node(
        &mut self,
        parent: &Rc<Directory>,
        place: &Place,
        entry: &Entry,
        kind: FileType,
    ) -> Result<(), EntryError> {
        let device = rustix::fs::makedev(entry.device.0, entry.device.1);
        self.in_place(parent, place.name, "mknod", |directory, name| {
            rustix::fs::mknodat(directory, name, kind, Mode::RUSR | Mode::WUSR, device)
        })?;
        self.dress_by_name(parent, place, entry)
    }
}
