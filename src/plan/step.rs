//! The steps of a container start: plain data, ready for the kernel. Everything that reaches it is a field here.

use std::borrow::Cow;
use std::ffi::CString;

use crate::cgroup::resources::{DeviceRule, Write};

/// What a container start will do, decided but not done.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The container's id.
    pub id: String,
    /// How the one process comes to be.
    pub clone: Clone3,
    /// Done by us before the process exists.
    pub host: Vec<Planned<HostStep>>,
    /// Done by us from outside, while the process waits.
    pub beside: Vec<Planned<HostStep>>,
    /// Done by the process itself, in its new namespaces.
    pub init: Vec<Planned<InitStep>>,
}

/// A step, with the field of config.json (or the custom) that asks for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned<S> {
    /// What is done.
    pub step: S,
    /// A field such as `mounts[3]`, or a sentence where no field asks for it.
    pub because: Cow<'static, str>,
}

/// The clone3(2) call that makes the container's first process.
#[derive(Debug, Clone, PartialEq)]
pub struct Clone3 {
    /// CLONE_NEW* flags. A cgroup namespace is not among them: its root is the cgroup of the caller at the time of the
    /// call, so the process makes it itself once it is in its cgroup.
    pub namespaces: u64,
    /// The cgroup directory that the process is born into (CLONE_INTO_CGROUP); none where there is no cgroup v2.
    pub cgroup: Option<String>,
}

/// A step that we do on the host, before the process exists or beside it.
#[derive(Debug, Clone, PartialEq)]
pub enum HostStep {
    /// Make a cgroup: mkdir(2) of one directory.
    CreateCgroup {
        /// Absolute path of the new directory.
        path: String,
    },
    /// Take an existing cgroup, which must have no processes and not be frozen.
    AdoptCgroup {
        /// Absolute path of the directory.
        path: String,
    },
    /// Enable controllers for the children of a cgroup.
    EnableControllers {
        /// Absolute path of the parent cgroup's directory.
        path: String,
        /// Without these a limit of the config could not be written: failure is an error.
        required: Vec<String>,
        /// These only count (statistics); that the kernel refuses them (EBUSY, EINVAL, ENOENT…) is tolerated.
        wanted: Vec<String>,
    },
    /// Write one value into one file of the container's cgroup.
    WriteCgroup {
        /// Absolute path of the container's cgroup directory.
        path: String,
        /// File and value.
        write: Write,
    },
    /// Attach an eBPF program that says which devices may be used (bpf(2), BPF_CGROUP_DEVICE).
    FilterDevices {
        /// Absolute path of the container's cgroup directory.
        path: String,
        /// The rules; the last one that matches decides.
        rules: Vec<DeviceRule>,
    },
    /// Write a user namespace's map of ids, from outside (user_namespaces(7)).
    WriteIdMap {
        /// Users or groups.
        kind: IdKind,
        /// The ranges.
        ranges: Vec<IdRange>,
    },
    /// Set a resource limit of the process (prlimit(2)), from outside, where we may still raise it.
    SetRlimit {
        /// As in the config: `RLIMIT_NOFILE`.
        name: String,
        /// The soft limit, in the resource's own unit; `u64::MAX` is unlimited.
        soft: u64,
        /// The hard limit.
        hard: u64,
    },
    /// Say how likely the OOM killer picks the process: /proc/PID/oom_score_adj.
    SetOomScoreAdj {
        /// -1000 (never) to 1000 (first).
        value: i32,
    },
}

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

/// A step that the container's process does, between clone3(2) and execve(2). Nothing in it allocates.
#[derive(Debug, Clone, PartialEq)]
pub enum InitStep {
    /// Close every descriptor that came from the host, but for stdin, stdout, stderr and those that the caller preserves:
    /// close_range(2).
    CloseDescriptors {
        /// The first descriptor to close.
        from: u32,
    },
    /// Become the root user of the new user namespace.
    BecomeRoot,
    /// Leave our session and terminal: setsid(2).
    NewSession,
    /// Make a namespace that clone3 could not (see [`Clone3`]).
    Unshare {
        /// CLONE_NEW* flags.
        namespaces: u64,
    },
    /// Say how mounts travel between this mount namespace and others: mount(2) with MS_SHARED, MS_SLAVE ….
    SetPropagation {
        /// The mount point.
        path: CString,
        /// MS_* flags.
        flags: u64,
    },
    /// Put a clone of the rootfs directory's mount over itself and make it the working directory. pivot_root(2) wants a
    /// mount point, and every later path is looked up below it (openat2(2), RESOLVE_IN_ROOT).
    EnterRootfs {
        /// Absolute path on the host.
        path: CString,
        /// With the mounts below it.
        recursive: bool,
    },
    /// Mount a new file system: fsopen, fsconfig, fsmount, move_mount.
    MountFilesystem {
        /// What.
        filesystem: Filesystem,
        /// Where.
        target: RootfsPath,
        /// No symbolic link may stand in the way.
        no_symlinks: bool,
    },
    /// Show a file or directory of the host at another place: open_tree, mount_setattr, move_mount.
    BindMount {
        /// Absolute path on the host.
        source: CString,
        /// Where.
        target: RootfsPath,
        /// With the mounts below it.
        recursive: bool,
        /// What changes on the clone.
        attributes: MountAttributes,
    },
    /// Change the propagation of a mount of the container.
    SetMountPropagation {
        /// Where.
        target: RootfsPath,
        /// MS_* flags.
        flags: u64,
    },
    /// Change the attributes of a mount that is there already: mount_setattr.
    ChangeMount {
        /// Where.
        target: RootfsPath,
        /// What changes.
        attributes: MountAttributes,
    },
    /// Make a device node: mknodat, fchmodat, fchownat.
    MakeDevice {
        /// Where.
        target: RootfsPath,
        /// S_IFCHR, S_IFBLK or S_IFIFO, with the permission bits.
        mode: u32,
        /// Device number.
        major: u32,
        /// Device number.
        minor: u32,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
    },
    /// Make a symbolic link; one that is there already stays.
    MakeSymlink {
        /// What the link says.
        text: CString,
        /// Where it stands.
        target: RootfsPath,
    },
    /// Swap the root: pivot_root(2) onto the working directory, then detach the old root.
    PivotRoot,
    /// Set the UTS namespace's host name.
    SetHostname {
        /// The name.
        name: CString,
    },
    /// Set the UTS namespace's NIS domain name.
    SetDomainname {
        /// The name.
        name: CString,
    },
    /// Bring the new network namespace's loopback device up.
    BringLoopbackUp {
        /// `lo`
        device: CString,
    },
    /// Open a terminal of the container's devpts, hand its master over, make it stdin, stdout and stderr, and show it at
    /// another place, where programs look for it.
    OpenTerminal {
        /// The device that makes terminals (pts(4)), absolute in the container.
        multiplexer: CString,
        /// Where it is shown.
        console: RootfsPath,
        /// Rows and columns, where the config says.
        size: Option<(u16, u16)>,
    },
    /// Make a path read-only by a read-only clone of it over itself; a missing path is left alone.
    ReadonlyPath {
        /// Absolute path in the container.
        path: CString,
        /// With the mounts below it.
        recursive: bool,
        /// What changes on the clone.
        attributes: MountAttributes,
    },
    /// Hide a path: a directory under an empty file system, a file under a device; a missing path is left alone.
    MaskPath {
        /// Absolute path in the container.
        path: CString,
        /// What hides a directory.
        empty: Filesystem,
        /// What hides a file, absolute in the container.
        null: CString,
        /// The device number that it must have: a rootfs may bring something else under that name (CVE-2025-31133).
        device: (u32, u32),
    },
    /// Make a directory and its parents; what is there stays as it is.
    MakeDirectory {
        /// Where.
        target: RootfsPath,
    },
    /// Go to the working directory: chdir(2), and a check that it lies below the root (getcwd(2)).
    ChangeDirectory {
        /// Where, below the root.
        target: RootfsPath,
    },
    /// Check that the program is there and may be executed, before anyone is told that the container is created.
    FindExecutable {
        /// Absolute paths, tried in order.
        candidates: Vec<CString>,
    },
    /// Report that all is ready and wait for `start`.
    AwaitStart,
    /// Set the file mode creation mask.
    SetUmask {
        /// The mask.
        mask: u32,
    },
    /// Give up capabilities for good: prctl(PR_CAPBSET_DROP) of each.
    DropBounding {
        /// Capability numbers, ascending.
        drop: Vec<u8>,
    },
    /// Become the config's user: setgroups, setresgid, setresuid, with permitted capabilities kept across it.
    SwitchUser {
        /// User id, in the container.
        uid: u32,
        /// Group id.
        gid: u32,
        /// Supplementary groups.
        groups: Vec<u32>,
    },
    /// Set the capability sets: capset(2), then prctl(PR_CAP_AMBIENT_RAISE) of each ambient one. Bit masks by number.
    SetCapabilities {
        /// Effective set.
        effective: u64,
        /// Permitted set.
        permitted: u64,
        /// Inheritable set.
        inheritable: u64,
        /// Ambient set.
        ambient: u64,
    },
    /// No gain of privileges by execve(2): prctl(PR_SET_NO_NEW_PRIVS).
    NoNewPrivileges,
    /// Become the program: execve(2).
    Execute {
        /// Absolute paths, tried in order until one is there.
        candidates: Vec<CString>,
        /// Arguments, the program's own name first.
        args: Vec<CString>,
        /// `NAME=value`.
        env: Vec<CString>,
    },
}

impl<S> Planned<S> {
    /// `step`, asked for by `because`.
    pub fn new(step: S, because: impl Into<Cow<'static, str>>) -> Self {
        Planned { step, because: because.into() }
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
pub(super) fn c_string(text: &str) -> CString {
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
