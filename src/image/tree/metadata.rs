//! What a file is like besides its bytes: owner, mode, extended attributes, times. Of directories it is kept until the end: their
//! times change with all that is put into them, and their modes could lock us out.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;

use rustix::fs::{AtFlags, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use super::super::entry::{Attribute, Entry, Kind};
use super::super::error::{EntryError, shown};
use super::{Directory, Place, Tree};

/// Whom the files belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owners {
    /// Whom the image says; needs root.
    Kept,
    /// Whoever unpacks: what an ordinary user can do.
    Mine,
    /// Whom a user namespace with these maps makes of it; needs root.
    Mapped {
        /// uid_map.
        users: Vec<IdMap>,
        /// gid_map.
        groups: Vec<IdMap>,
    },
}

/// A range of ids, as a line of /proc/PID/uid_map (user_namespaces(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdMap {
    /// The first id in the container.
    pub container: u32,
    /// The first id on the host.
    pub host: u32,
    /// How many ids.
    pub size: u32,
}

impl IdMap {
    /// The id on the host of one in the container.
    fn host_id(maps: &[IdMap], id: u32) -> Option<u32> {
        maps.iter().find_map(|map| {
            let offset = id.checked_sub(map.container).filter(|offset| *offset < map.size)?;
            map.host.checked_add(offset).filter(|id| *id != u32::MAX)
        })
    }
}

impl Owners {
    /// Owner and group on the host; none where they stay whoever makes the file.
    fn of(&self, uid: u32, gid: u32) -> Result<Option<(u32, u32)>, EntryError> {
        match self {
            Owners::Kept => Ok(Some((uid, gid))),
            Owners::Mine => Ok(None),
            Owners::Mapped { users, groups } => {
                let user = IdMap::host_id(users, uid).ok_or(EntryError::Owner(uid))?;
                let group = IdMap::host_id(groups, gid).ok_or(EntryError::Owner(gid))?;
                Ok(Some((user, group)))
            }
        }
    }
}

/// What a directory is to be like at the end.
pub(super) struct Look {
    mode: u32,
    mtime: Option<(i64, u32)>,
    attributes: Vec<Attribute>,
}

/// The directories that were made, by inode number.
#[derive(Default)]
pub(super) struct Metadata {
    wanted: HashMap<u64, (u64, Vec<u8>, Look)>,
    count: u64,
}

impl Metadata {
    /// Path, inode number and look, each directory after all that are in it: it was made before them.
    pub(super) fn children_first(self) -> impl Iterator<Item = (Vec<u8>, u64, Look)> {
        let mut all: Vec<_> = self.wanted.into_iter().collect();
        all.sort_unstable_by_key(|(_, (number, ..))| std::cmp::Reverse(*number));
        all.into_iter().map(|(inode, (_, path, look))| (path, inode, look))
    }

    fn remember(&mut self, inode: u64, path: &[u8], look: Look, new: bool) {
        self.count += 1;
        let known = self.wanted.get(&inode).filter(|_| !new).map(|(number, ..)| *number);
        // The root is there before all: it comes last.
        let number = if path.is_empty() { 0 } else { known.unwrap_or(self.count) };
        self.wanted.insert(inode, (number, path.to_vec(), look));
    }
}

impl Tree {
    /// Keeps what a directory of the archive is to be like.
    pub(super) fn remember(&mut self, inode: u64, path: &[u8], entry: &Entry, new: bool) -> Result<(), EntryError> {
        let attributes = self.allowed(&entry.path, &entry.attributes)?;
        let look = Look { mode: entry.mode, mtime: Some(entry.mtime), attributes };
        self.metadata.remember(inode, path, look, new);
        Ok(())
    }

    /// Keeps what a directory that no entry tells of is to be like.
    pub(super) fn remember_new(&mut self, directory: &Directory, path: &[u8]) {
        let look = Look { mode: 0o755, mtime: None, attributes: Vec::new() };
        self.metadata.remember(directory.inode, path, look, true);
    }

    /// Makes a directory what it is to be like, unless it has gone or something else has its name by now.
    pub(super) fn dress(&mut self, path: &[u8], inode: u64, look: Look) -> Result<(), EntryError> {
        let (above, name) = match path.iter().rposition(|byte| *byte == b'/') {
            Some(slash) => (&path[..slash], &path[slash + 1..]),
            None => (&b""[..], if path.is_empty() { &b"."[..] } else { path }),
        };
        let parent = match self.existing(above) {
            Ok(Some(parent)) => parent,
            Ok(None) | Err(EntryError::Name(_)) => return Ok(()),
            Err(EntryError::Call { cause, .. }) if cause.raw_os_error() == Some(libc::ENOTDIR) => return Ok(()),
            Err(error) => return Err(error),
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = match rustix::fs::openat(&parent.fd, name, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
            Err(errno) => return Err(EntryError::of("open")(errno)),
        };
        if rustix::fs::fstat(&fd).map_err(EntryError::of("fstat"))?.st_ino != inode {
            return Ok(());
        }
        self.put_attributes(fd.as_fd(), path, &look.attributes)?;
        rustix::fs::fchmod(&fd, Mode::from_raw_mode(look.mode)).map_err(EntryError::of("fchmod"))?;
        match look.mtime {
            Some(mtime) => rustix::fs::futimens(&fd, &times(mtime)).map_err(EntryError::of("futimens")),
            None => Ok(()),
        }
    }

    /// Gives an open file its owner, unless it has it already: what root makes is root's.
    pub(super) fn own(&self, file: BorrowedFd<'_>, uid: u32, gid: u32) -> Result<(), EntryError> {
        self.change_owner(uid, gid, |uid, gid| rustix::fs::chownat(file, c"", uid, gid, AtFlags::EMPTY_PATH))
    }

    fn change_owner(
        &self,
        uid: u32,
        gid: u32,
        call: impl Fn(Option<Uid>, Option<Gid>) -> rustix::io::Result<()>,
    ) -> Result<(), EntryError> {
        let Some((uid, gid)) = self.options.owners.of(uid, gid)? else { return Ok(()) };
        if (uid, gid) == self.creator {
            return Ok(());
        }
        call(Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))).map_err(EntryError::of("chown"))
    }

    /// Owner, mode and times of what cannot be opened: symlinks, devices and pipes. They have just been made by us, below a
    /// directory that nobody else can enter yet.
    pub(super) fn dress_by_name(
        &mut self,
        parent: &Rc<Directory>,
        place: &Place,
        entry: &Entry,
    ) -> Result<(), EntryError> {
        let nofollow = AtFlags::SYMLINK_NOFOLLOW;
        let (directory, name) = (parent.fd.as_fd(), place.name);
        self.change_owner(entry.uid, entry.gid, |uid, gid| rustix::fs::chownat(directory, name, uid, gid, nofollow))?;
        if entry.kind != Kind::Symlink {
            // chmod(2) follows symlinks, and this is none: it was made a moment ago.
            rustix::fs::chmodat(directory, name, Mode::from_raw_mode(entry.mode), AtFlags::empty())
                .map_err(EntryError::of("fchmodat"))?;
        }
        if !self.allowed(&entry.path, &entry.attributes)?.is_empty() {
            self.warn(format!("{}: only files and directories keep extended attributes", shown(&entry.path)));
        }
        rustix::fs::utimensat(directory, name, &times(entry.mtime), nofollow).map_err(EntryError::of("utimensat"))
    }

    /// Sets the extended attributes of an open file.
    pub(super) fn set_attributes(
        &mut self,
        file: BorrowedFd<'_>,
        path: &[u8],
        attributes: &[Attribute],
    ) -> Result<(), EntryError> {
        if attributes.is_empty() {
            return Ok(());
        }
        let allowed = self.allowed(path, attributes)?;
        self.put_attributes(file, path, &allowed)
    }

    /// The attributes that a layer may set. `trusted.*` is what overlayfs believes in, and is refused; labels of security modules
    /// are the host's own matter, and left out.
    fn allowed(&mut self, path: &[u8], attributes: &[Attribute]) -> Result<Vec<Attribute>, EntryError> {
        let mut allowed = Vec::new();
        for (name, value) in attributes {
            match name.as_slice() {
                b"security.capability" | b"system.posix_acl_access" | b"system.posix_acl_default" => {}
                name if name.starts_with(b"user.") => {}
                name if name.starts_with(b"security.") => {
                    self.warn(format!("{}: {} is left out", shown(path), shown(name)));
                    continue;
                }
                name => return Err(EntryError::Attribute(shown(name))),
            }
            allowed.push((name.clone(), value.clone()));
        }
        Ok(allowed)
    }

    fn put_attributes(
        &mut self,
        file: BorrowedFd<'_>,
        path: &[u8],
        attributes: &[Attribute],
    ) -> Result<(), EntryError> {
        for (name, value) in attributes {
            match rustix::fs::fsetxattr(file, &name[..], value, XattrFlags::empty()) {
                Ok(()) => {}
                // A file system without attributes, or a user who may not give capabilities: the file is whole without them.
                Err(Errno::NOTSUP | Errno::PERM) => {
                    self.warn(format!("{}: {} cannot be set here", shown(path), shown(name)));
                }
                Err(errno) => return Err(EntryError::of("fsetxattr")(errno)),
            }
        }
        Ok(())
    }
}

/// Both times of a file: layers tell only when it was modified.
pub(super) fn times((seconds, nanoseconds): (i64, u32)) -> Timestamps {
    let time = Timespec { tv_sec: seconds, tv_nsec: i64::from(nanoseconds) };
    Timestamps { last_access: time, last_modification: time }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_mapped_or_refused() {
        let maps = [IdMap { container: 0, host: 1000, size: 1 }, IdMap { container: 1, host: 100_000, size: 65_536 }];
        let id = |id| IdMap::host_id(&maps, id);
        assert_eq!([id(0), id(1), id(65_536), id(65_537)], [Some(1000), Some(100_000), Some(165_535), None]);
        let end = [IdMap { container: 0, host: u32::MAX - 1, size: 10 }];
        assert_eq!(
            [IdMap::host_id(&end, 0), IdMap::host_id(&end, 1), IdMap::host_id(&end, 2)],
            [Some(u32::MAX - 1), None, None]
        );
    }
}
