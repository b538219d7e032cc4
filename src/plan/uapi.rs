//! The kernel's numbers and names for what a plan holds (include/uapi/linux: sched.h, mount.h). A plan is pure data, so
//! they stand here and not in a crate that calls the kernel.

/// clone3(2) flags, with the names that `unshare(1)` and runc use for the namespaces.
pub const NAMESPACES: [(&str, u64, &str); 8] = [
    ("mount", 0x0002_0000, "CLONE_NEWNS"),
    ("cgroup", 0x0200_0000, "CLONE_NEWCGROUP"),
    ("uts", 0x0400_0000, "CLONE_NEWUTS"),
    ("ipc", 0x0800_0000, "CLONE_NEWIPC"),
    ("user", 0x1000_0000, "CLONE_NEWUSER"),
    ("pid", 0x2000_0000, "CLONE_NEWPID"),
    ("network", 0x4000_0000, "CLONE_NEWNET"),
    ("time", 0x0000_0080, "CLONE_NEWTIME"),
];
/// A new mount namespace.
pub const CLONE_NEWNS: u64 = 0x0002_0000;
/// A new cgroup namespace.
pub const CLONE_NEWCGROUP: u64 = 0x0200_0000;
/// A new user namespace.
pub const CLONE_NEWUSER: u64 = 0x1000_0000;
/// A new UTS namespace.
pub const CLONE_NEWUTS: u64 = 0x0400_0000;
/// A new IPC namespace.
pub const CLONE_NEWIPC: u64 = 0x0800_0000;
/// A new time namespace.
pub const CLONE_NEWTIME: u64 = 0x0000_0080;
/// A new PID namespace.
pub const CLONE_NEWPID: u64 = 0x2000_0000;
/// A new network namespace.
pub const CLONE_NEWNET: u64 = 0x4000_0000;

/// sched_setattr(2): children start with the default policy.
pub const SCHED_FLAG_RESET_ON_FORK: u64 = 0x01;

/// personality(2): a program of 32 bits.
pub const PER_LINUX32: u32 = 0x0008;

/// mknod(2): the kind of a file in its mode.
pub const S_IFMT: u32 = 0o170_000;
/// mknod(2): a named pipe.
pub const S_IFIFO: u32 = 0o010_000;
/// mknod(2): a character device.
pub const S_IFCHR: u32 = 0o020_000;
/// mknod(2): a block device.
pub const S_IFBLK: u32 = 0o060_000;

/// mount_setattr(2): no writes through this mount.
pub const MOUNT_ATTR_RDONLY: u64 = 0x01;
/// mount_setattr(2): set-user-ID bits are ignored.
pub const MOUNT_ATTR_NOSUID: u64 = 0x02;
/// mount_setattr(2): device files cannot be opened.
pub const MOUNT_ATTR_NODEV: u64 = 0x04;
/// mount_setattr(2): programs cannot be executed.
pub const MOUNT_ATTR_NOEXEC: u64 = 0x08;
/// mount_setattr(2): the bits that hold the access time mode; to set one, clear them all.
pub const MOUNT_ATTR_ATIME: u64 = 0x70;
/// mount_setattr(2): access times are never updated.
pub const MOUNT_ATTR_NOATIME: u64 = 0x10;
/// mount_setattr(2): access times are always updated.
pub const MOUNT_ATTR_STRICTATIME: u64 = 0x20;
/// mount_setattr(2): access times of directories are never updated.
pub const MOUNT_ATTR_NODIRATIME: u64 = 0x80;
/// mount_setattr(2): symbolic links are not followed.
pub const MOUNT_ATTR_NOSYMFOLLOW: u64 = 0x20_0000;

/// Names of the mount attributes as `mount(8)` spells them.
pub const ATTRIBUTES: [(u64, &str); 8] = [
    (MOUNT_ATTR_RDONLY, "ro"),
    (MOUNT_ATTR_NOSUID, "nosuid"),
    (MOUNT_ATTR_NODEV, "nodev"),
    (MOUNT_ATTR_NOEXEC, "noexec"),
    (MOUNT_ATTR_NOATIME, "noatime"),
    (MOUNT_ATTR_STRICTATIME, "strictatime"),
    (MOUNT_ATTR_NODIRATIME, "nodiratime"),
    (MOUNT_ATTR_NOSYMFOLLOW, "nosymfollow"),
];

/// mount(2): recursively.
pub const MS_REC: u64 = 1 << 14;
/// mount(2): cannot be bind mounted, no propagation.
pub const MS_UNBINDABLE: u64 = 1 << 17;
/// mount(2): no propagation.
pub const MS_PRIVATE: u64 = 1 << 18;
/// mount(2): receives mounts and sends none.
pub const MS_SLAVE: u64 = 1 << 19;
/// mount(2): sends and receives mounts.
pub const MS_SHARED: u64 = 1 << 20;

/// Names of the propagation types as `mount(8)` spells them, without the leading `r`.
pub const PROPAGATION: [(u64, &str); 4] =
    [(MS_UNBINDABLE, "unbindable"), (MS_PRIVATE, "private"), (MS_SLAVE, "slave"), (MS_SHARED, "shared")];
