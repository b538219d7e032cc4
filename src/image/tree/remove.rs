//! Taking away: what whiteouts hide (layer.md, "whiteouts"), and trees of any depth.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::super::error::EntryError;
use super::{Directory, Place, Tree};

/// Directories below each other that a whiteout looks into. Each takes a descriptor while those below it are looked at.
const MOST_BELOW: usize = 500;

impl Tree {
    /// `.wh.NAME` hides NAME of lower layers, `.wh..wh..opq` all that lower layers have in its directory. What this layer made
    /// itself is spared, whichever came first.
    pub(super) fn whiteout(&mut self, place: &Place, hidden: &[u8]) -> Result<(), EntryError> {
        let opaque = match hidden {
            b"" | b"." | b".." => return Err(EntryError::Name("a whiteout of no name")),
            b".wh..opq" => true,
            // aufs keeps its books in such files; they are none of the image.
            _ if hidden.starts_with(b".wh.") => return Ok(()),
            _ => false,
        };
        if !self.lower {
            return Ok(());
        }
        let Some(directory) = self.existing(&place.directory)? else { return Ok(()) };
        if opaque {
            let open = open_directory(directory.fd.as_fd(), b".").map_err(EntryError::of("open"))?;
            for (name, _) in entries(open.as_fd()).map_err(EntryError::of("readdir"))? {
                self.hide(&directory, &name, 0)?;
            }
        } else {
            self.hide(&directory, hidden, 0)?;
        }
        Ok(())
    }

    /// Removes what lower layers have under a name, and tells whether nothing is left of it.
    fn hide(&mut self, parent: &Directory, name: &[u8], depth: usize) -> Result<bool, EntryError> {
        if depth > MOST_BELOW {
            return Err(EntryError::Depth(MOST_BELOW));
        }
        let found = match rustix::fs::statat(&parent.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(true),
            found => found.map_err(EntryError::of("lstat"))?,
        };
        let mut kept = self.made.contains(&self.key(parent, name));
        let kind = FileType::from_raw_mode(found.st_mode);
        if kind != FileType::Directory {
            if !kept {
                self.gone(kind);
                rustix::fs::unlinkat(&parent.fd, name, AtFlags::empty()).map_err(EntryError::of("unlink"))?;
            }
            return Ok(!kept);
        }
        let fd = open_directory(parent.fd.as_fd(), name).map_err(EntryError::of("open"))?;
        let directory = Directory { fd, inode: found.st_ino };
        for (below, _) in entries(directory.fd.as_fd()).map_err(EntryError::of("readdir"))? {
            kept |= !self.hide(&directory, &below, depth + 1)?;
        }
        if !kept {
            self.gone(kind);
            rustix::fs::unlinkat(&parent.fd, name, AtFlags::REMOVEDIR).map_err(EntryError::of("rmdir"))?;
        }
        Ok(!kept)
    }
}

/// Removes a directory and all that is below it, however deep: directories of directories are moved up to the top and
/// emptied there, so that two descriptors and no recursion do.
///
/// # Errors
/// What the kernel answers; when another process puts files into it, ENOTEMPTY.
pub(in crate::image) fn remove_tree(parent: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<()> {
    let top = open_directory(parent, name)?;
    let mut moved = 0_u64;
    loop {
        let found = entries(top.as_fd())?;
        if found.is_empty() {
            return rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR);
        }
        for (name, kind) in found {
            if kind != FileType::Directory {
                rustix::fs::unlinkat(&top, &name[..], AtFlags::empty())?;
                continue;
            }
            let directory = open_directory(top.as_fd(), &name)?;
            for (below, kind) in entries(directory.as_fd())? {
                if kind != FileType::Directory {
                    rustix::fs::unlinkat(&directory, &below[..], AtFlags::empty())?;
                } else if rustix::fs::unlinkat(&directory, &below[..], AtFlags::REMOVEDIR).is_err() {
                    move_up(directory.as_fd(), &below, top.as_fd(), &mut moved)?;
                }
            }
            rustix::fs::unlinkat(&top, &name[..], AtFlags::REMOVEDIR)?;
        }
    }
}

/// Moves a directory to the top under a name that nothing has there.
fn move_up(from: BorrowedFd<'_>, name: &[u8], top: BorrowedFd<'_>, moved: &mut u64) -> rustix::io::Result<()> {
    // Moving a directory changes its "..", so an ordinary user needs its write permission.
    drop(open_directory(from, name)?);
    loop {
        *moved += 1;
        let new = format!(".glassbox-moved-{moved}");
        let flags = rustix::fs::RenameFlags::NOREPLACE;
        match rustix::fs::renameat_with(from, name, top, new, flags) {
            Err(Errno::EXIST) => {}
            result => return result,
        }
    }
}

/// Opens a directory of ours to read and empty it; where its mode keeps us out, the mode is changed.
fn open_directory(parent: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open = || rustix::fs::openat(parent, name, flags, Mode::empty());
    let fd = match open() {
        Err(Errno::ACCESS) => {
            rustix::fs::chmodat(parent, name, Mode::RWXU, AtFlags::empty())?;
            open()?
        }
        result => result?,
    };
    let mode = Mode::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode);
    if !mode.contains(Mode::RWXU) {
        rustix::fs::fchmod(&fd, Mode::RWXU)?;
    }
    Ok(fd)
}

/// The names in a directory and what they are.
fn entries(directory: BorrowedFd<'_>) -> rustix::io::Result<Vec<(Vec<u8>, FileType)>> {
    let mut found = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name == b"." || name == b".." {
            continue;
        }
        let kind = match entry.file_type() {
            FileType::Unknown => {
                let found = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
                FileType::from_raw_mode(found.st_mode)
            }
            known => known,
        };
        found.push((name.to_vec(), kind));
    }
    Ok(found)
}
