//! Making a tree of cgroups below one directory, and writing its files: all of it, or nothing.
//!
//! Everything below the given directory is reached through its open descriptor, component by component (`dir.rs`). Which
//! groups and which values is decided elsewhere.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::dir::{Cgroup, CgroupError, is_cgroup2};
use super::resources::Write;

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
    /// The kernel refused a call.
    #[error(transparent)]
    Call(#[from] CgroupError),
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

/// Makes `groups` below `root` (an absolute path), hands every controller they need down to them, and writes their files.
///
/// Files of `optional` controllers are left out where `root` has no such controller. Groups that exist are used as they
/// are. After an error, groups that were made are removed, and controllers that were handed down by directories that
/// existed before are taken back.
pub fn make(root: &Path, groups: &[Group<'_>], optional: &[&str]) -> Result<Made, TreeError> {
    if !is_cgroup2(root) {
        return Err(TreeError::NotCgroup2 { path: root.to_path_buf() });
    }
    let mut work = Work { root: Cgroup::open(root)?, made: Vec::new(), handed: Vec::new() };
    let result = work.make(groups, optional);
    if result.is_err() {
        work.undo();
    }
    result
}

struct Work {
    root: Cgroup,
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
            self.check_idle(&relative(group.path))?;
        }
        let mut made = Made { directories: Vec::new(), absent: Vec::new() };
        for left in wanted.difference(&needed) {
            made.absent.push(format!("all files of {left}: {} has no such controller", self.root.path().display()));
        }
        for group in groups {
            let cgroup = self.descend(&relative(group.path), &needed)?;
            let has_controller = |write: &&Write| controller(&write.file).is_none_or(|name| needed.contains(&name));
            for write in group.writes.iter().filter(has_controller) {
                match cgroup.apply(write) {
                    Err(error) if error.errno == Errno::NOENT && may_be_absent(&write.file) => {
                        let path = cgroup.path().join(&write.file);
                        made.absent.push(format!("{}: this kernel has no such file", path.display()));
                    }
                    other => other?,
                }
            }
            made.directories.push(cgroup.path().to_path_buf());
        }
        Ok(made)
    }

    /// The wanted controllers that the root has; one that is missing and not optional is an error.
    fn controllers(&self, wanted: &BTreeSet<String>, optional: &[&str]) -> Result<BTreeSet<String>, TreeError> {
        let present = words(&self.root, "cgroup.controllers")?;
        let is_there = |name: &&String| present.contains(name);
        let is_needed = |name: &&String| !optional.contains(&name.as_str());
        let missing: Vec<&str> =
            wanted.iter().filter(|name| !is_there(name) && is_needed(name)).map(String::as_str).collect();
        if missing.is_empty() {
            return Ok(wanted.iter().filter(is_there).cloned().collect());
        }
        let present = if present.is_empty() { "none".to_string() } else { present.join(" ") };
        Err(TreeError::NoController { path: self.root.path().to_path_buf(), missing: missing.join(" "), present })
    }

    fn check_idle(&self, below: &Path) -> Result<(), TreeError> {
        match self.root.below(below) {
            Err(error) if error.errno == Errno::NOENT => Ok(()),
            Err(error) => Err(error.into()),
            Ok(cgroup) if cgroup.populated()? => Err(TreeError::InUse { path: cgroup.path().to_path_buf() }),
            Ok(_) => Ok(()),
        }
    }

    /// Opens a group, making it and those above it, each of which hands `needed` down.
    fn descend(&mut self, below: &Path, needed: &BTreeSet<String>) -> Result<Cgroup, TreeError> {
        let mut walked = PathBuf::new();
        let mut cgroup = self.root.below(&walked)?;
        for name in below.components() {
            self.hand_down(&walked, &cgroup, needed)?;
            walked.push(name);
            if cgroup.create_below(Path::new(name.as_os_str()))? {
                self.made.push(walked.clone());
            }
            cgroup = self.root.below(&walked)?;
        }
        Ok(cgroup)
    }

    fn hand_down(&mut self, below: &Path, cgroup: &Cgroup, needed: &BTreeSet<String>) -> Result<(), TreeError> {
        let handed = words(cgroup, "cgroup.subtree_control")?;
        let lacking: Vec<String> = needed.iter().filter(|name| !handed.contains(name)).cloned().collect();
        if lacking.is_empty() {
            return Ok(());
        }
        match cgroup.write("cgroup.subtree_control", &signed("+", &lacking)) {
            Ok(()) => {
                if !self.made.iter().any(|made| made == below) {
                    self.handed.push((below.to_path_buf(), lacking));
                }
                Ok(())
            }
            // The "no internal process" rule of cgroup v2.
            Err(error) if error.errno == Errno::BUSY => {
                Err(TreeError::HoldsProcesses { path: cgroup.path().to_path_buf() })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Takes back what was made. A group that will not go (a process came in meanwhile) stays, with all above it.
    fn undo(&mut self) {
        for below in self.made.drain(..).rev() {
            let parent = below.parent().unwrap_or(Path::new(""));
            if let (Ok(parent), Some(name)) = (self.root.below(parent), below.file_name()) {
                let _ = parent.remove_below(Path::new(name));
            }
        }
        for (below, controllers) in self.handed.drain(..).rev() {
            if let Ok(cgroup) = self.root.below(&below) {
                let _ = cgroup.write("cgroup.subtree_control", &signed("-", &controllers));
            }
        }
    }
}

fn words(cgroup: &Cgroup, file: &str) -> Result<Vec<String>, CgroupError> {
    Ok(cgroup.read(file)?.split_whitespace().map(str::to_string).collect())
}

/// `+cpu +memory`, as `cgroup.subtree_control` takes it.
fn signed(sign: &str, controllers: &[String]) -> String {
    controllers.iter().map(|name| format!("{sign}{name}")).collect::<Vec<_>>().join(" ")
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
