//! All or nothing: a directory is made under a name of its own beside its destination, and renamed when it is whole.
//!
//! Whoever makes one holds a lock on it (flock(2)), which goes with the process: one without a lock is what a kill -9 has
//! left, and the next to come removes it.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::error::ImageError;
use super::tree::remove_tree;

/// A directory in the making. Dropped before it is [`finished`](Place::finish), it is removed with all that is in it.
pub struct Place {
    destination: PathBuf,
    parent: OwnedFd,
    name: OsString,
    temporary: OsString,
    directory: OwnedFd,
    done: bool,
}

impl Place {
    /// A new directory, mode 0700, that will be `destination`: what is not there yet, or an empty directory.
    ///
    /// # Errors
    /// When the destination is there, or nothing can be made beside it.
    pub fn new(destination: &Path) -> Result<Place, ImageError> {
        let told = |errno: Errno| ImageError::io(format!("{destination:?}"), errno.into());
        let Some(name) = destination.file_name() else { return Err(ImageError::Exists(destination.into())) };
        let above = match destination.parent() {
            Some(above) if !above.as_os_str().is_empty() => above,
            _ => Path::new("."),
        };
        let open = OFlags::DIRECTORY | OFlags::CLOEXEC;
        let parent = rustix::fs::openat(CWD, above, open | OFlags::PATH, Mode::empty()).map_err(told)?;
        // Known before minutes go into unpacking; the rename at the end looks again.
        match rustix::fs::openat(&parent, name, open | OFlags::RDONLY | OFlags::NOFOLLOW, Mode::empty()) {
            Err(Errno::NOENT) => {}
            Err(Errno::NOTDIR | Errno::LOOP) => return Err(ImageError::Exists(destination.into())),
            Err(errno) => return Err(told(errno)),
            Ok(there) => {
                let names = rustix::fs::Dir::read_from(&there).map_err(told)?;
                if names.flatten().any(|entry| !matches!(entry.file_name().to_bytes(), b"." | b"..")) {
                    return Err(ImageError::Exists(destination.into()));
                }
            }
        }
        remove_abandoned(parent.as_fd());
        let (temporary, directory) = new_directory(parent.as_fd()).map_err(told)?;
        let (destination, name) = (destination.to_path_buf(), name.to_os_string());
        Ok(Place { destination, parent, name, temporary, directory, done: false })
    }

    /// The directory as it stands.
    pub fn directory(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }

    /// Makes a directory in it, mode 0700, and opens it.
    pub fn subdirectory(&self, name: &str) -> Result<OwnedFd, ImageError> {
        let told = |errno: Errno| ImageError::io(name, errno.into());
        rustix::fs::mkdirat(&self.directory, name, Mode::RWXU).map_err(told)?;
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(&self.directory, name, flags, Mode::empty()).map_err(told)
    }

    /// Puts the directory where it belongs.
    ///
    /// # Errors
    /// When something has come to the destination meanwhile; then the directory is removed.
    pub fn finish(mut self) -> Result<(), ImageError> {
        // rename(2) takes the place of an empty directory, and of nothing else.
        match rustix::fs::renameat(&self.parent, &self.temporary, &self.parent, &self.name) {
            Ok(()) => {
                self.done = true;
                Ok(())
            }
            Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => Err(ImageError::Exists(self.destination.clone())),
            Err(errno) => Err(ImageError::io(format!("rename to {:?}", self.destination), errno.into())),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.done {
            let _ = remove_tree(self.parent.as_fd(), self.temporary.as_bytes());
            let _ = rustix::fs::unlinkat(&self.parent, &self.temporary, AtFlags::REMOVEDIR);
        }
    }
}

/// What the names of all directories in the making begin with.
const PREFIX: &str = ".glassbox-unpack-";

/// A new directory, open and locked.
fn new_directory(parent: BorrowedFd<'_>) -> rustix::io::Result<(OsString, OwnedFd)> {
    let mut number = 0_u64;
    loop {
        let name = format!("{PREFIX}{}-{number}", std::process::id());
        number += 1;
        match rustix::fs::mkdirat(parent, &name, Mode::RWXU) {
            Ok(()) => {}
            Err(Errno::EXIST) => continue,
            Err(errno) => return Err(errno),
        }
        // Until it is locked, somebody who cleans up may take it for abandoned: then there is another number.
        if let Some(directory) = locked(parent, OsStr::new(&name))? {
            return Ok((OsString::from(name), directory));
        }
    }
}

/// Opens and locks the directory `name`; none where somebody else has it, or it is gone by the time it is ours.
fn locked(parent: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<Option<OwnedFd>> {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = match rustix::fs::openat(parent, name, flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(None),
        opened => opened?,
    };
    match rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => return Ok(None),
        locked => locked?,
    }
    let ours = rustix::fs::fstat(&directory)?;
    match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(there) if (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino) => Ok(Some(directory)),
        Ok(_) | Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Removes directories of ours that nobody is making any more. What cannot be removed holds up nobody.
fn remove_abandoned(parent: BorrowedFd<'_>) {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    let Ok(above) = rustix::fs::openat(parent, ".", flags, Mode::empty()) else { return };
    let Ok(names) = rustix::fs::Dir::read_from(&above) else { return };
    let me = rustix::process::geteuid().as_raw();
    let begun = |name: &[u8]| name.starts_with(PREFIX.as_bytes());
    for entry in names.flatten().filter(|entry| begun(entry.file_name().to_bytes())) {
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        let Ok(Some(directory)) = locked(parent, name) else { continue };
        if rustix::fs::fstat(&directory).is_ok_and(|found| found.st_uid == me) {
            let _ = remove_tree(parent, name.as_bytes());
            let _ = rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn names(path: &Path) -> Vec<String> {
        let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
        let mut names: Vec<_> = fs::read_dir(path).unwrap().map(name).collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_not_finished_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let place = Place::new(&directory.path().join("new")).unwrap();
        let below = place.subdirectory("below").unwrap();
        rustix::fs::mkdirat(&below, "locked", Mode::empty()).unwrap();
        assert_eq!(names(directory.path()).len(), 1);
        drop(place);
        assert_eq!(names(directory.path()), Vec::<String>::new());
    }

    #[test]
    fn what_a_kill_9_left_goes_when_the_next_comes_and_what_is_being_made_stays() {
        let directory = tempfile::tempdir().unwrap();
        let left = directory.path().join(".glassbox-unpack-1-0");
        fs::create_dir_all(left.join("rootfs/etc")).unwrap();
        fs::write(left.join("rootfs/etc/passwd"), "root").unwrap();
        fs::write(directory.path().join(".glassbox-unpack-file"), "no directory").unwrap();
        let first = Place::new(&directory.path().join("first")).unwrap();
        assert!(!left.exists());
        let second = Place::new(&directory.path().join("second")).unwrap();
        first.subdirectory("x").unwrap();
        first.finish().unwrap();
        second.finish().unwrap();
        assert_eq!(names(directory.path()), [".glassbox-unpack-file", "first", "second"]);
    }

    #[test]
    fn a_destination_is_new_or_empty() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("there");
        fs::create_dir(&path).unwrap();
        let place = Place::new(&path).unwrap();
        place.subdirectory("x").unwrap();
        place.finish().unwrap();
        assert_eq!(names(&path), ["x"]);
        assert!(matches!(Place::new(&path), Err(ImageError::Exists(_))));
        assert!(matches!(Place::new(Path::new(".")), Err(ImageError::Exists(_))));
        assert!(matches!(Place::new(&directory.path().join("no/where")), Err(ImageError::Io { .. })));
        fs::write(directory.path().join("file"), "").unwrap();
        assert!(matches!(Place::new(&directory.path().join("file")), Err(ImageError::Exists(_))));
        std::os::unix::fs::symlink("there", directory.path().join("link")).unwrap();
        assert!(matches!(Place::new(&directory.path().join("link")), Err(ImageError::Exists(_))));
        assert_eq!(names(directory.path()), ["file", "link", "there"]);
    }

    #[test]
    fn what_comes_meanwhile_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new");
        let place = Place::new(&path).unwrap();
        fs::create_dir(&path).unwrap();
        fs::write(path.join("mine"), "").unwrap();
        assert!(matches!(place.finish(), Err(ImageError::Exists(_))));
        assert_eq!(names(directory.path()), ["new"]);
        assert_eq!(names(&path), ["mine"]);
    }

    #[test]
    fn a_tree_of_ten_thousand_levels_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let place = Place::new(&directory.path().join("new")).unwrap();
        let mut level = place.subdirectory("d").unwrap();
        for _ in 0..10_000 {
            rustix::fs::mkdirat(&level, "d", Mode::RWXU).unwrap();
            level = rustix::fs::openat(&level, "d", OFlags::PATH, Mode::empty()).unwrap();
        }
        drop(place);
        assert_eq!(names(directory.path()), Vec::<String>::new());
    }
}
