//! All or nothing: a directory is made under a name of its own beside its destination, and renamed when it is whole.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
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
        let temporary = new_directory(parent.as_fd()).map_err(told)?;
        let flags = open | OFlags::RDONLY | OFlags::NOFOLLOW;
        let directory = rustix::fs::openat(&parent, &temporary, flags, Mode::empty()).map_err(told)?;
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

fn new_directory(parent: BorrowedFd<'_>) -> rustix::io::Result<OsString> {
    let mut number = 0_u64;
    loop {
        let name = format!(".glassbox-unpack-{}-{number}", std::process::id());
        match rustix::fs::mkdirat(parent, &name, Mode::RWXU) {
            Ok(()) => return Ok(OsStr::new(&name).to_os_string()),
            Err(Errno::EXIST) => number += 1,
            Err(errno) => return Err(errno),
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
