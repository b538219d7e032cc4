//! What steps are made of: ids, paths, mounts.

use std::ffi::CString;

/// Whose ids a map is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdKind {
    /// /proc/PID/uid_map
    User,
    /// /proc/PID/gid_map
    Group,
}

/// One line of an id map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdRange {
    /// First id inside.
    pub inside: u32,
    /// First id outside.
    pub outside: u32,
    /// How many.
    pub count: u32,
}

/// A path below the container's root, split so that the process can walk it without allocating.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootfsPath {
    /// Relative, clean: `dev/pts`. The root itself is `.`.
    pub path: CString,
    /// Its parents, shortest first: `dev`.
    pub parents: Vec<CString>,
}

/// When a hook runs (runtime.md, "Lifecycle"; config.md, "POSIX-platform Hooks").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HookKind {
    /// `prestart`, deprecated: as `createRuntime`, before it.
    Prestart,
    /// Once the namespaces are there, before the root is swapped, in the runtime's namespaces.
    CreateRuntime,
    /// Then, in the container's namespaces.
    CreateContainer,
    /// At start, before the program, in the container's namespaces.
    StartContainer,
    /// Once the program runs, in the runtime's namespaces.
    Poststart,
    /// Once the container is deleted, in the runtime's namespaces.
    Poststop,
}

/// A program that the config wants to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// Absolute path.
    pub path: CString,
    /// Arguments, the program's own name first.
    pub args: Vec<CString>,
    /// `NAME=value`; nothing else is in its environment.
    pub env: Vec<CString>,
    /// After so many seconds it is killed, with its process group, and has failed.
    pub timeout: Option<u32>,
}

/// Whose label a process gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LabelKind {
    /// /proc/thread-self/attr/apparmor/exec, or attr/exec on kernels before 5.8: `exec PROFILE`.
    Apparmor,
    /// /proc/thread-self/attr/exec: the context.
    Selinux,
}

/// struct sched_attr of sched_setattr(2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scheduling {
    /// `SCHED_OTHER`, `SCHED_FIFO` …
    pub policy: String,
    /// Its number (linux/sched.h).
    pub policy_number: u32,
    /// SCHED_FLAG_* bits.
    pub flags: u64,
    /// -20 to 19, of SCHED_OTHER and SCHED_BATCH.
    pub nice: i32,
    /// 1 to 99, of SCHED_FIFO and SCHED_RR.
    pub priority: u32,
    /// Nanoseconds, of SCHED_DEADLINE.
    pub runtime: u64,
    /// Nanoseconds, of SCHED_DEADLINE.
    pub deadline: u64,
    /// Nanoseconds, of SCHED_DEADLINE.
    pub period: u64,
}

/// What a new or cloned mount is given (mount_setattr(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MountAttributes {
    /// MOUNT_ATTR_* bits to set.
    pub set: u64,
    /// MOUNT_ATTR_* bits to clear first.
    pub clear: u64,
    /// Bits to set on the mount and all below it.
    pub set_all: u64,
    /// Bits to clear on the mount and all below it.
    pub clear_all: u64,
}

/// Whose files a mount shows them as (mount_setattr(2), MOUNT_ATTR_IDMAP): an owner in the file system is shown as the one that
/// a user namespace with these maps makes of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MountIdMap {
    /// Users; where both lists are empty, the maps are those of the container's own user namespace.
    pub users: Vec<IdRange>,
    /// Groups.
    pub groups: Vec<IdRange>,
    /// On the mounts below it too.
    pub recursive: bool,
}

/// One fsconfig(2) parameter of a new file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FsParameter {
    /// `ro`, `newinstance`
    Flag(CString),
    /// `size`, `65536k`
    Value(CString, CString),
}

/// A file system that does not exist yet (fsopen(2)), and its first mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filesystem {
    /// `proc`, `tmpfs` …
    pub fstype: CString,
    /// What /proc/mounts shows as the device.
    pub source: CString,
    /// File system parameters.
    pub parameters: Vec<FsParameter>,
    /// MOUNT_ATTR_* of the mount.
    pub attributes: u64,
}

impl HookKind {
    /// The list's name in config.json.
    pub fn name(self) -> &'static str {
        match self {
            HookKind::Prestart => "prestart",
            HookKind::CreateRuntime => "createRuntime",
            HookKind::CreateContainer => "createContainer",
            HookKind::StartContainer => "startContainer",
            HookKind::Poststart => "poststart",
            HookKind::Poststop => "poststop",
        }
    }
}

impl RootfsPath {
    /// A path in the container, absolute or relative, made clean without looking at any file: `..` stops at the root.
    pub fn new(path: &str) -> Self {
        let mut parts: Vec<&str> = Vec::new();
        for part in path.split('/') {
            match part {
                "" | "." => {}
                ".." => drop(parts.pop()),
                part => parts.push(part),
            }
        }
        if parts.is_empty() {
            return RootfsPath { path: c".".to_owned(), parents: Vec::new() };
        }
        let prefix = |n: usize| c_string(&parts[..n].join("/"));
        RootfsPath { path: prefix(parts.len()), parents: (1..parts.len()).map(prefix).collect() }
    }

    /// The path as seen in the container: `/dev/pts`.
    pub fn in_container(&self) -> String {
        match self.path.to_bytes() {
            b"." => "/".to_string(),
            path => format!("/{}", String::from_utf8_lossy(path)),
        }
    }
}

/// A C string of `text`. Validation has refused NUL bytes in every field that gets here.
pub(in crate::plan) fn c_string(text: &str) -> CString {
    CString::new(text).expect("validation refuses NUL bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rootfs_paths_are_clean_and_know_their_parents() {
        let path = RootfsPath::new("/a/./b//../c/");
        assert_eq!((path.path.as_c_str(), path.parents), (c"a/c", vec![c"a".to_owned()]));
        assert_eq!(RootfsPath::new("../../etc").in_container(), "/etc");
        assert_eq!(RootfsPath::new("/").in_container(), "/");
    }
}
