//! Facts about this machine that decide whether a lab can run here, and for each that is missing, why and what to do.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::cgroup::{Hierarchy, NoBase};
use super::requires::{Require, release};
use super::script::Lab;

/// The facts, read once.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Effective user id.
    pub uid: u32,
    /// `uname -r`
    pub kernel: String,
    /// CPUs that this process may use.
    pub cpus: usize,
    /// Free swap space in bytes.
    pub swap: u64,
    /// The cgroup v2 hierarchy, if one is mounted.
    pub cgroup: Option<Hierarchy>,
    /// Where each cgroup v1 controller is mounted.
    pub v1: BTreeMap<String, PathBuf>,
    /// Directories of the PATH.
    pub path: Vec<PathBuf>,
}

/// A requirement that this machine does not meet.
#[derive(Debug, Clone, PartialEq)]
pub struct Unmet {
    /// The requirement.
    pub require: Require,
    /// What is in the way.
    pub why: Why,
}

/// What is in the way of a requirement.
#[derive(Debug, Clone, PartialEq)]
pub enum Why {
    /// The effective user id.
    NotRoot(u32),
    /// No cgroup2 file system is mounted.
    NoCgroup2,
    /// A cgroup v1 hierarchy, mounted here, holds the controller.
    HeldByV1(PathBuf),
    /// There is no cgroup in which the lab's own could be made.
    NoBase(NoBase),
    /// No such program on the PATH.
    NoCommand,
    /// The kernel's release.
    Kernel(String),
    /// How many CPUs there are.
    Cpus(usize),
    /// How much swap space is free, in bytes.
    Swap(u64),
    /// The file cannot be read: the error.
    Unreadable(String),
}

impl Machine {
    /// Reads the facts.
    pub fn probe() -> Machine {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let mountinfo = read("/proc/self/mountinfo");
        Machine {
            uid: rustix::process::geteuid().as_raw(),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_string(),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            swap: rustix::system::sysinfo().freeswap,
            cgroup: Hierarchy::find(&mountinfo, &read("/proc/self/cgroup")),
            v1: v1_controllers(&mountinfo),
            path: env::var_os("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default(),
        }
    }

    /// Every requirement of a lab that this machine does not meet; empty if the lab can run here.
    ///
    /// `own` are the programs that the lab's shell has beside those of the PATH.
    pub fn unmet(&self, lab: &Lab, own: &[&str]) -> Vec<Unmet> {
        let mut unmet = Vec::new();
        for require in &lab.requires {
            if let Some(why) = self.lacks(require, own) {
                unmet.push(Unmet { require: require.clone(), why });
            }
        }
        if unmet.is_empty()
            && lab.needs_cgroup()
            && let Some(Err(no_base)) = self.cgroup.as_ref().map(|cgroup| cgroup.base(&lab.controllers()))
        {
            unmet.push(Unmet { require: Require::Cgroup2, why: Why::NoBase(no_base) });
        }
        unmet
    }

    fn lacks(&self, require: &Require, own: &[&str]) -> Option<Why> {
        match require {
            Require::Root => (self.uid != 0).then_some(Why::NotRoot(self.uid)),
            Require::Cgroup2 => self.cgroup.is_none().then_some(Why::NoCgroup2),
            Require::Controller(name) => self.lacks_controller(name),
            Require::Command(name) => {
                let found = own.contains(&name.as_str()) || self.path.iter().any(|dir| is_program(&dir.join(name)));
                (!found).then_some(Why::NoCommand)
            }
            Require::Kernel(major, minor) => {
                let old = release(&self.kernel).is_none_or(|found| found < (*major, *minor));
                old.then(|| Why::Kernel(self.kernel.clone()))
            }
            Require::Cpus(least) => (self.cpus < *least).then_some(Why::Cpus(self.cpus)),
            Require::Swap(least) => (self.swap < *least).then_some(Why::Swap(self.swap)),
            Require::File(path) => fs::read(path).err().map(|error| Why::Unreadable(error.to_string())),
        }
    }

    fn lacks_controller(&self, name: &str) -> Option<Why> {
        let Some(cgroup) = &self.cgroup else { return Some(Why::NoCgroup2) };
        if cgroup.controllers().iter().any(|found| found == name) {
            return None;
        }
        match self.v1.get(name) {
            Some(mount) => Some(Why::HeldByV1(mount.clone())),
            None => Some(Why::NoBase(NoBase::NoController(name.to_string()))),
        }
    }
}

/// Whether this machine is glassbox's throw-away VM: nothing that is done to it lasts.
pub fn is_throw_away() -> bool {
    fs::read_to_string("/proc/cmdline").is_ok_and(|line| line.split_whitespace().any(|word| word == "glassbox.vm=1"))
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// Controllers that a cgroup v1 hierarchy holds; its mount options name them (cgroups(7)).
fn v1_controllers(mountinfo: &str) -> BTreeMap<String, PathBuf> {
    let mut found = BTreeMap::new();
    for line in mountinfo.lines() {
        let Some((left, right)) = line.split_once(" - ") else { continue };
        let right: Vec<_> = right.split(' ').collect();
        if let (Some(point), ["cgroup", _, options]) = (left.split(' ').nth(4), right.as_slice()) {
            let point = PathBuf::from(super::read::unescape(point));
            found.extend(options.split(',').map(|option| (option.to_string(), point.clone())));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{Machine, Why, v1_controllers};
    use crate::lab::requires::Require;

    #[test]
    fn v1_controllers_are_found_with_their_mounts() {
        let text = "30 24 0:26 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
                    31 24 0:27 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw\n";
        let found = v1_controllers(text);
        assert_eq!(found.get("cpu"), Some(&PathBuf::from("/sys/fs/cgroup/cpu,cpuacct")));
        assert_eq!(found.get("memory"), None);
    }

    #[test]
    fn each_requirement_is_judged_by_the_facts() {
        let machine = Machine {
            uid: 1000,
            kernel: "6.1.0-40-cloud-amd64".to_string(),
            cpus: 2,
            swap: 0,
            cgroup: None,
            v1: [("memory".to_string(), PathBuf::from("/sys/fs/cgroup/memory"))].into(),
            path: vec![PathBuf::from("/bin")],
        };
        let lacks = |text: &str| machine.lacks(&text.parse::<Require>().expect("a requirement"), &["hog"]);
        assert_eq!(lacks("root"), Some(Why::NotRoot(1000)));
        assert_eq!(lacks("cgroup2:memory"), Some(Why::NoCgroup2));
        assert_eq!(lacks("cmd:sh"), None);
        assert_eq!(lacks("cmd:hog"), None);
        assert_eq!(lacks("cmd:no-such-program"), Some(Why::NoCommand));
        assert_eq!(lacks("kernel>=6.1"), None);
        assert_eq!(lacks("kernel>=6.12"), Some(Why::Kernel("6.1.0-40-cloud-amd64".to_string())));
        assert_eq!(lacks("cpus>=2"), None);
        assert_eq!(lacks("cpus>=3"), Some(Why::Cpus(2)));
        assert_eq!(lacks("swap>=1M"), Some(Why::Swap(0)));
        assert_eq!(lacks("file:/proc/self/stat"), None);
        assert!(matches!(lacks("file:/no/such/file"), Some(Why::Unreadable(_))));
    }
}
