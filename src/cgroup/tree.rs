//! Making a tree of cgroups below one directory, and writing its files: all of it, or nothing.
//!
//! Everything below the given directory is reached through its open descriptor, component by component, so no symbolic
//! link and no `..` leads out. Which groups and which values is decided elsewhere.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::Write;

/// The magic number of cgroup v2 (`CGROUP2_SUPER_MAGIC`, statfs(2)).
const CGROUP2_MAGIC: i64 = 0x6367_7270;

/// A cgroup to make: where, and what to write into it.
#[derive(Debug, Clone, Copy)]
pub struct Group<'a> {
    /// Path below the given directory; a leading `/` does not count.
    pub path: &'a str,
    /// The files, written in this order.
    pub writes: &'a [Write],
    /// Whether a group that exists already must be without processes, here and below.
    pub must_be_idle: bool,
}

/// What kept the tree from being made. Whatever was made before is gone again.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// The directory cannot be opened.
    #[error("open({path:?}) = {errno}")]
    Open {
        /// The directory.
        path: PathBuf,
        /// The kernel's answer.
        errno: Errno,
    },
    /// The directory is on another file system.
    #[error("{path:?} is not a directory of a cgroup2 mount")]
    NotCgroup2 {
        /// The directory.
        path: PathBuf,
    },
    /// The directory has not been given a controller.
    #[error("cgroup {path:?} has no controller {missing} (it has: {present})")]
    NoController {
        /// The directory.
        path: PathBuf,
        /// The controllers that are needed, by name.
        missing: String,
        /// Those that are there.
        present: String,
    },
    /// Processes stand in the way of handing controllers down.
    #[error("cgroup {path:?} holds processes itself, so the kernel refuses to hand controllers to groups below it")]
    HoldsProcesses {
        /// The directory.
        path: PathBuf,
    },
    /// The group is there already, and in use.
    #[error("cgroup {path:?} exists and has processes in it or below it")]
    InUse {
        /// The group.
        path: PathBuf,
    },
    /// A group cannot be made.
    #[error("mkdir({path:?}) = {errno}")]
    Mkdir {
        /// The group.
        path: PathBuf,
        /// The kernel's answer.
        errno: Errno,
    },
    /// A file cannot be read.
    #[error("read({path:?}) = {errno}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The kernel's answer.
        errno: Errno,
    },
    /// A value is not taken.
    #[error("write({path:?}, {value:?}) = {errno}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What was written.
        value: String,
        /// The kernel's answer.
        errno: Errno,
    },
}

/// A finished tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// The directories, in the order of the groups.
    pub directories: Vec<PathBuf>,
    /// What was left out because it is not there: an optional controller, `memory.swap.max` without swap accounting, or
    /// `hugetlb.*.rsvd.max` before Linux 5.7.
    pub absent: Vec<String>,
}

/// Makes `groups` below `root`, hands every controller they need down to them, and writes their files.
///
/// Files of `optional` controllers are left out where `root` has no such controller.
/// Groups that exist are used as they are. After an error, groups that were made are removed, and controllers that were
/// handed down by directories that existed before are taken back.
pub fn make(root: &Path, groups: &[Group<'_>], optional: &[&str]) -> Result<Made, TreeError> {
    let mut work = Work { root: open_root(root)?, at: root.to_path_buf(), made: Vec::new(), handed: Vec::new() };
    let result = work.make(groups, optional);
    if result.is_err() {
        work.undo();
    }
    result
}

struct Work {
    root: OwnedFd,
    at: PathBuf,
    /// Directories that were made, below the root, outermost first.
    made: Vec<PathBuf>,
    /// Directories that existed, with the controllers that they did not hand down before.
    handed: Vec<(PathBuf, Vec<String>)>,
}

impl Work {
    fn make(&mut self, groups: &[Group<'_>], optional: &[&str]) -> Result<Made, TreeError> {
        let writes = groups.iter().flat_map(|group| group.writes);
        let wanted: BTreeSet<String> = writes.filter_map(|write| controller(&write.file)).collect();
        let needed = self.controllers(&wanted, optional)?;
        for group in groups.iter().filter(|group| group.must_be_idle) {
            self.check_idle(group.path)?;
        }
        let mut made = Made { directories: Vec::new(), absent: Vec::new() };
        for left in wanted.difference(&needed) {
            made.absent.push(format!("all files of {left}: {} has no such controller", self.at.display()));
        }
        for group in groups {
            let below = relative(group.path);
            let directory = self.descend(&below, &needed)?;
            for write in group.writes {
                if controller(&write.file).is_some_and(|name| !needed.contains(&name)) {
                    continue;
                }
                let path = self.at.join(&below).join(&write.file);
                match write_file(directory.as_fd(), &write.file, &write.value) {
                    Ok(()) => {}
                    Err(Errno::NOENT) if may_be_absent(&write.file) => {
                        made.absent.push(format!("{}: this kernel has no such file", path.display()));
                    }
                    Err(errno) => return Err(TreeError::Write { path, value: write.value.clone(), errno }),
                }
            }
            made.directories.push(self.at.join(&below));
        }
        Ok(made)
    }

    /// The wanted controllers that the root has; one that is missing and not optional is an error.
    fn controllers(&self, wanted: &BTreeSet<String>, optional: &[&str]) -> Result<BTreeSet<String>, TreeError> {
        let present = self.words(Path::new(""), "cgroup.controllers")?;
        let is_there = |name: &&String| present.contains(name);
        let missing: Vec<&str> = wanted
            .iter()
            .filter(|name| !is_there(name) && !optional.contains(&name.as_str()))
            .map(String::as_str)
            .collect();
        if missing.is_empty() {
            return Ok(wanted.iter().filter(is_there).cloned().collect());
        }
        let present = if present.is_empty() { "none".to_string() } else { present.join(" ") };
        Err(TreeError::NoController { path: self.at.clone(), missing: missing.join(" "), present })
    }

    fn check_idle(&self, path: &str) -> Result<(), TreeError> {
        let below = relative(path);
        match open_beneath(self.root.as_fd(), &below) {
            Err(_) => Ok(()),
            Ok(directory) => {
                let events = read_file(directory.as_fd(), "cgroup.events")
                    .map_err(|errno| TreeError::Read { path: self.at.join(&below).join("cgroup.events"), errno })?;
                match events.lines().any(|line| line == "populated 1") {
                    true => Err(TreeError::InUse { path: self.at.join(below) }),
                    false => Ok(()),
                }
            }
        }
    }

    /// Opens a group, making it and those above it, each of which hands `needed` down.
    fn descend(&mut self, below: &Path, needed: &BTreeSet<String>) -> Result<OwnedFd, TreeError> {
        let mut walked = PathBuf::new();
        let mut directory = self.open(&walked)?;
        for name in below.components() {
            self.hand_down(&walked, directory.as_fd(), needed)?;
            walked.push(name);
            match rustix::fs::mkdirat(&directory, Path::new(name.as_os_str()), Mode::from_raw_mode(0o755)) {
                Ok(()) => self.made.push(walked.clone()),
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(TreeError::Mkdir { path: self.at.join(walked), errno }),
            }
            directory = self.open(&walked)?;
        }
        Ok(directory)
    }

    fn hand_down(
        &mut self,
        below: &Path,
        directory: BorrowedFd<'_>,
        needed: &BTreeSet<String>,
    ) -> Result<(), TreeError> {
        let handed = self.words(below, "cgroup.subtree_control")?;
        let lacking: Vec<String> = needed.iter().filter(|name| !handed.contains(name)).cloned().collect();
        if lacking.is_empty() {
            return Ok(());
        }
        let value: String = lacking.iter().map(|name| format!("+{name} ")).collect();
        let path = self.at.join(below);
        match write_file(directory, "cgroup.subtree_control", value.trim_end()) {
            Ok(()) if self.made.iter().any(|made| made == below) => Ok(()),
            Ok(()) => {
                self.handed.push((below.to_path_buf(), lacking));
                Ok(())
            }
            Err(Errno::BUSY) => Err(TreeError::HoldsProcesses { path }),
            Err(errno) => Err(TreeError::Write {
                path: path.join("cgroup.subtree_control"),
                value: value.trim_end().into(),
                errno,
            }),
        }
    }

    fn words(&self, below: &Path, file: &str) -> Result<Vec<String>, TreeError> {
        let directory = self.open(below)?;
        let text = read_file(directory.as_fd(), file)
            .map_err(|errno| TreeError::Read { path: self.at.join(below).join(file), errno })?;
        Ok(text.split_whitespace().map(str::to_string).collect())
    }

    fn open(&self, below: &Path) -> Result<OwnedFd, TreeError> {
        open_beneath(self.root.as_fd(), below).map_err(|errno| TreeError::Open { path: self.at.join(below), errno })
    }

    /// Takes back what was made. A group that will not go (a process came in meanwhile) stays, with all above it.
    fn undo(&mut self) {
        for below in self.made.drain(..).rev() {
            let parent = below.parent().unwrap_or(Path::new(""));
            if let (Ok(parent), Some(name)) = (open_beneath(self.root.as_fd(), parent), below.file_name()) {
                let _ = rustix::fs::unlinkat(&parent, Path::new(name), AtFlags::REMOVEDIR);
            }
        }
        for (below, controllers) in self.handed.drain(..).rev() {
            if let Ok(directory) = open_beneath(self.root.as_fd(), &below) {
                let value: String = controllers.iter().map(|name| format!("-{name} ")).collect();
                let _ = write_file(directory.as_fd(), "cgroup.subtree_control", value.trim_end());
            }
        }
    }
}

/// The controller that a file belongs to: `memory` of `memory.max`; core files (`cgroup.procs`) belong to none.
fn controller(file: &str) -> Option<String> {
    file.split_once('.').map(|(name, _)| name.to_string()).filter(|name| name != "cgroup")
}

/// Swap accounting can be off (kubelet's checkSwapControllerAvailability), and reserved huge pages are counted since 5.7
/// (runc's setHugeTlb skips them too).
fn may_be_absent(file: &str) -> bool {
    file == "memory.swap.max" || file.ends_with(".rsvd.max")
}

fn relative(path: &str) -> PathBuf {
    PathBuf::from(path.trim_start_matches('/'))
}

fn open_root(path: &Path) -> Result<OwnedFd, TreeError> {
    let failed = |errno| TreeError::Open { path: path.to_path_buf(), errno };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::openat(CWD, path, flags, Mode::empty()).map_err(failed)?;
    let kind = rustix::fs::fstatfs(&directory).map_err(failed)?.f_type;
    if i128::from(kind) != i128::from(CGROUP2_MAGIC) {
        return Err(TreeError::NotCgroup2 { path: path.to_path_buf() });
    }
    Ok(directory)
}

fn open_beneath(root: BorrowedFd<'_>, below: &Path) -> rustix::io::Result<OwnedFd> {
    let below = if below.as_os_str().is_empty() { Path::new(".") } else { below };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    rustix::fs::openat2(root, below, flags, Mode::empty(), resolve)
}

fn read_file(directory: BorrowedFd<'_>, name: &str) -> rustix::io::Result<String> {
    let file = rustix::fs::openat(directory, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut text = Vec::new();
    let mut chunk = [0u8; 4096];
    loop {
        match rustix::io::read(&file, &mut chunk)? {
            0 => return Ok(String::from_utf8_lossy(&text).into_owned()),
            length => text.extend_from_slice(&chunk[..length]),
        }
    }
}

/// One write(2): the kernel takes a cgroup file's value whole or not at all.
fn write_file(directory: BorrowedFd<'_>, name: &str, value: &str) -> rustix::io::Result<()> {
    let file = rustix::fs::openat(directory, name, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(&file, value.as_bytes()).map(drop)
}
