//! The steps of the container's own process, between clone3(2) and execve(2).

use std::ffi::CString;

use super::{Filesystem, FsParameter, Hook, HookKind, LabelKind, MountAttributes, MountIdMap, RootfsPath};
use crate::plan::seccomp::{Listener, Program};

/// A step that the container's process does, between clone3(2) and execve(2). Nothing in it allocates.
#[derive(Debug, Clone, PartialEq)]
pub enum InitStep {
    /// Close every descriptor that came from the host, but for stdin, stdout, stderr and those that the caller preserves:
    /// close_range(2).
    CloseDescriptors {
        /// The first descriptor to close.
        from: u32,
    },
    /// Let no process of the namespaces that are joined look into this one: prctl(PR_SET_DUMPABLE, 0). Until execve it
    /// has descriptors of the host (CVE-2016-9962).
    HideFromTracers,
    /// Join a namespace that is there already: setns(2) of its file. A mount namespace must have a proc file system at /proc,
    /// which later steps write to.
    JoinNamespace {
        /// The CLONE_NEW* flag of its kind; a file of another kind is refused.
        namespace: u64,
        /// Absolute path on the host: `/run/netns/web`, `/proc/42/ns/net`.
        path: CString,
    },
    /// Join the namespaces of a running container, all in one call: setns(2) of its first process's pidfd.
    JoinContainer {
        /// CLONE_NEW* flags.
        namespaces: u64,
        /// That process, in our PID namespace.
        pid: i32,
    },
    /// Make a time namespace, set its clocks and enter it: unshare(2), /proc/self/timens_offsets, setns(2). The offsets
    /// can only be written while no process is in it (time_namespaces(7)).
    NewTimeNamespace {
        /// Lines for timens_offsets: `monotonic 86400 0`. Empty: the clocks run as outside.
        offsets: CString,
    },
    /// Write a kernel parameter of a namespace that is the container's own.
    WriteSysctl {
        /// Absolute path: `/proc/sys/net/ipv4/ip_forward`.
        path: CString,
        /// What is written.
        value: CString,
    },
    /// Join a new session keyring, so that the caller's keys are not the container's: keyctl(KEYCTL_JOIN_SESSION_KEYRING).
    /// A kernel without keyrings (ENOSYS), or a user out of quota (EDQUOT), is tolerated: there is nothing to hide then.
    NewSessionKeyring {
        /// Its name.
        name: CString,
    },
    /// Say on which CPUs the process runs, whatever the caller is bound to: sched_setaffinity(2). The kernel takes those
    /// that the cgroup allows; with none of them (EINVAL) the affinity stays, as it is the cgroup's then.
    SetCpuAffinity {
        /// The CPUs, as bits of 64-bit words, lowest first.
        mask: Vec<u64>,
    },
    /// Say which label of a security module the program gets at execve: /proc/thread-self/attr.
    SetLabel {
        /// Whose label.
        kind: LabelKind,
        /// What is written into the file.
        text: CString,
    },
    /// Report that the files are in place, and wait while hooks are run.
    AwaitHooks,
    /// Run a hook of the config in the container's namespaces, as a child of this process.
    RunHook {
        /// Which list it is from.
        kind: HookKind,
        /// The program.
        hook: Hook,
    },
    /// Say how likely the OOM killer picks this process, and those that come of it: /proc/self/oom_score_adj. Done before
    /// the process hides from tracers, which takes an ordinary user's hands off its own files of /proc.
    SetOomScoreAdj {
        /// -1000 (never) to 1000 (first).
        value: CString,
    },
    /// Become the root user of the new user namespace.
    BecomeRoot,
    /// Leave our session and terminal: setsid(2).
    NewSession,
    /// Say which machine the program believes to be on: personality(2).
    SetPersonality {
        /// PER_LINUX (0) or PER_LINUX32 (8).
        domain: u32,
    },
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
        /// Whose files it shows; the kernel takes this from us alone, who have power over the file system itself.
        idmap: Option<MountIdMap>,
    },
    /// Change the propagation of a mount of the container.
    SetMountPropagation {
        /// Where.
        target: RootfsPath,
        /// MS_* flags.
        flags: u64,
    },
    /// Change the attributes of a mount that is there already, and options of its file system: mount_setattr, fspick,
    /// fsconfig.
    ChangeMount {
        /// Where.
        target: RootfsPath,
        /// What changes in the file system itself, for every mount of it.
        parameters: Vec<FsParameter>,
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
    /// Make a directory the process's root: chroot(2). The host's root stays where it is, as do all mounts, and CAP_SYS_CHROOT is
    /// enough to go back: for a container without a mount namespace of its own, or one that is to have no better.
    ChangeRoot {
        /// The directory on the host.
        path: CString,
    },
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
        /// Where it is shown; nowhere for a process that joins a container.
        console: Option<RootfsPath>,
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
    /// Copy what the rootfs has at the mount point of a new file system into that file system.
    CopyUp {
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
        /// Supplementary groups; none where the user namespace forbids setgroups(2), and they stay.
        groups: Option<Vec<u32>>,
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
    /// Let the kernel ask a filter before every system call from here on: seccomp(2) with SECCOMP_SET_MODE_FILTER.
    LoadSeccomp {
        /// The filter.
        program: Program,
        /// SECCOMP_FILTER_FLAG_*.
        flags: u32,
        /// Who gets the descriptor for the calls that wait for an answer, where there are such calls.
        listener: Option<Listener>,
    },
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
