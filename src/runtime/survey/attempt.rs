//! What the kernel only tells when it is tried: namespaces, and the system calls that a container start makes.
//!
//! Each attempt leaves a changed process behind (that is what unshare(2) does) and is for a child that ends at once.

use std::fmt;
use std::str::FromStr;

use nix::sched::CloneFlags;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags};
use rustix::process::PidfdFlags;
use serde::{Serialize, Serializer};

use crate::sys::{self, Instruction, feature};

/// A kind of namespace, under its name in /proc/PID/ns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Namespace {
    /// Mounts.
    Mnt,
    /// Process ids.
    Pid,
    /// Network devices, addresses, ports.
    Net,
    /// System V IPC and POSIX message queues.
    Ipc,
    /// Host name and domain name.
    Uts,
    /// User and group ids.
    User,
    /// The root of the cgroup tree.
    Cgroup,
    /// The monotonic and boot clocks.
    Time,
}

impl Namespace {
    /// All eight.
    pub const ALL: [Namespace; 8] = [
        Namespace::Mnt,
        Namespace::Pid,
        Namespace::Net,
        Namespace::Ipc,
        Namespace::Uts,
        Namespace::User,
        Namespace::Cgroup,
        Namespace::Time,
    ];

    fn flag(self) -> CloneFlags {
        match self {
            Namespace::Mnt => CloneFlags::CLONE_NEWNS,
            Namespace::Pid => CloneFlags::CLONE_NEWPID,
            Namespace::Net => CloneFlags::CLONE_NEWNET,
            Namespace::Ipc => CloneFlags::CLONE_NEWIPC,
            Namespace::Uts => CloneFlags::CLONE_NEWUTS,
            Namespace::User => CloneFlags::CLONE_NEWUSER,
            Namespace::Cgroup => CloneFlags::CLONE_NEWCGROUP,
            // linux/sched.h, CLONE_NEWTIME; nix does not name it.
            Namespace::Time => CloneFlags::from_bits_retain(0x80),
        }
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Namespace::Mnt => "mnt",
            Namespace::Pid => "pid",
            Namespace::Net => "net",
            Namespace::Ipc => "ipc",
            Namespace::Uts => "uts",
            Namespace::User => "user",
            Namespace::Cgroup => "cgroup",
            Namespace::Time => "time",
        })
    }
}

/// A system call, or a use of one, that a container start makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Feature {
    /// fsopen, fsconfig and fsmount: a new mount by descriptor.
    Fsopen,
    /// open_tree with OPEN_TREE_CLONE: a copy of a mount by descriptor.
    OpenTree,
    /// move_mount: a descriptor's mount put in its place.
    MoveMount,
    /// pidfd_open.
    PidfdOpen,
    /// openat2 with RESOLVE_IN_ROOT.
    Openat2,
    /// clone3 with CLONE_INTO_CGROUP.
    CloneIntoCgroup,
    /// close_range.
    CloseRange,
    /// mount_setattr.
    MountSetattr,
    /// A BPF program that filters the devices of a cgroup.
    DeviceFilter,
}

impl Feature {
    /// All, oldest first.
    pub const ALL: [Feature; 9] = [
        Feature::DeviceFilter,
        Feature::Fsopen,
        Feature::OpenTree,
        Feature::MoveMount,
        Feature::PidfdOpen,
        Feature::Openat2,
        Feature::CloneIntoCgroup,
        Feature::CloseRange,
        Feature::MountSetattr,
    ];

    /// The kernel version that brought it, by its section 2 manual page.
    pub fn since(self) -> (u32, u32) {
        match self {
            Feature::DeviceFilter => (4, 15),
            Feature::Fsopen | Feature::OpenTree | Feature::MoveMount => (5, 2),
            Feature::PidfdOpen => (5, 3),
            Feature::Openat2 => (5, 6),
            Feature::CloneIntoCgroup => (5, 7),
            Feature::CloseRange => (5, 9),
            Feature::MountSetattr => (5, 12),
        }
    }

    fn try_it(self) -> Result<(), Errno> {
        match self {
            Feature::Fsopen => detached_tmpfs(),
            Feature::OpenTree => {
                let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
                rustix::mount::open_tree(CWD, c"/", flags).map(drop)
            }
            Feature::MoveMount => {
                // The empty path names nothing to move, so a kernel that has the call answers ENOENT.
                match rustix::mount::move_mount(CWD, c"", CWD, c"", MoveMountFlags::empty()) {
                    Ok(()) | Err(Errno::NOENT) => Ok(()),
                    Err(errno) => Err(errno),
                }
            }
            Feature::PidfdOpen => rustix::process::pidfd_open(rustix::process::getpid(), PidfdFlags::empty()).map(drop),
            Feature::Openat2 => {
                let flags = OFlags::PATH | OFlags::CLOEXEC;
                rustix::fs::openat2(CWD, c"/", flags, Mode::empty(), ResolveFlags::IN_ROOT).map(drop)
            }
            Feature::CloneIntoCgroup => feature::clone_into_cgroup(),
            // Above every number that a descriptor can have, so nothing is closed.
            Feature::CloseRange => sys::close_all_but(u32::MAX - 1, [None, None]).map_err(|failed| failed.errno),
            // A change of nothing, which the kernel answers before it looks at the mount.
            Feature::MountSetattr => sys::mount_set_attributes(CWD, 0, 0, false).map_err(|failed| failed.errno),
            Feature::DeviceFilter => sys::load_device_filter(&ALLOW_ALL).map(drop),
        }
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Feature::Fsopen => "fsopen",
            Feature::OpenTree => "open_tree",
            Feature::MoveMount => "move_mount",
            Feature::PidfdOpen => "pidfd_open",
            Feature::Openat2 => "openat2",
            Feature::CloneIntoCgroup => "clone_into_cgroup",
            Feature::CloseRange => "close_range",
            Feature::MountSetattr => "mount_setattr",
            Feature::DeviceFilter => "device_filter",
        })
    }
}

/// The shortest device filter: `r0 = 1`, `exit` (bpf(2)).
const ALLOW_ALL: [Instruction; 2] = [
    Instruction { code: 0xb7, registers: 0, offset: 0, immediate: 1 },
    Instruction { code: 0x95, registers: 0, offset: 0, immediate: 0 },
];

/// A tmpfs that is mounted nowhere; it goes with its descriptor.
fn detached_tmpfs() -> Result<(), Errno> {
    let context = rustix::mount::fsopen(c"tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_create(&context)?;
    rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty()).map(drop)
}

/// One thing to try, in a process that ends right after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// unshare(2) of one namespace.
    Alone(Namespace),
    /// unshare(2) of a user namespace, then of this one inside it.
    InUser(Namespace),
    /// A system call.
    Feature(Feature),
}

impl Attempt {
    /// Tries it on the calling process, which must be single-threaded (EINVAL for a user namespace otherwise).
    pub fn run(self) -> Outcome {
        let unshare = |flag| nix::sched::unshare(flag).map_err(|errno| Errno::from_raw_os_error(errno as i32));
        let tried = match self {
            Attempt::Alone(namespace) => unshare(namespace.flag()),
            Attempt::InUser(namespace) => unshare(CloneFlags::CLONE_NEWUSER).and_then(|()| unshare(namespace.flag())),
            Attempt::Feature(feature) => feature.try_it(),
        };
        Outcome::from(tried)
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Attempt::Alone(namespace) => write!(f, "namespace:{namespace}"),
            Attempt::InUser(namespace) => write!(f, "user:{namespace}"),
            Attempt::Feature(feature) => write!(f, "feature:{feature}"),
        }
    }
}

impl FromStr for Attempt {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let namespaces = Namespace::ALL.into_iter().flat_map(|name| [Attempt::Alone(name), Attempt::InUser(name)]);
        namespaces
            .chain(Feature::ALL.into_iter().map(Attempt::Feature))
            .find(|attempt| attempt.to_string() == text)
            .ok_or_else(|| format!("unknown attempt {text:?}"))
    }
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It works here.
    Works,
    /// The kernel refused: the errno's name, such as `EPERM`.
    Refused(String),
    /// It could not be tried: why.
    Untried(String),
}

impl Outcome {
    /// Whether it works.
    pub fn works(&self) -> bool {
        *self == Outcome::Works
    }

    /// Whether the kernel answered with this errno.
    pub fn is(&self, errno: &str) -> bool {
        matches!(self, Outcome::Refused(name) if name == errno)
    }

    /// Reads what [`Display`](fmt::Display) wrote: how a child tells its parent.
    pub fn parse(text: &str) -> Outcome {
        match text {
            "works" => Outcome::Works,
            errno if errno.starts_with('E') => Outcome::Refused(errno.to_string()),
            other => Outcome::Untried(other.trim_start_matches("not tried: ").to_string()),
        }
    }
}

impl From<Result<(), Errno>> for Outcome {
    fn from(tried: Result<(), Errno>) -> Self {
        match tried {
            Ok(()) => Outcome::Works,
            Err(errno) => Outcome::Refused(format!("{:?}", nix::errno::Errno::from_raw(errno.raw_os_error()))),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Works => f.write_str("works"),
            Outcome::Refused(errno) => f.write_str(errno),
            Outcome::Untried(why) => write!(f, "not tried: {why}"),
        }
    }
}

impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_is_read_as_it_is_written() {
        for attempt in [Attempt::Alone(Namespace::Time), Attempt::InUser(Namespace::Mnt)]
            .into_iter()
            .chain(Feature::ALL.map(Attempt::Feature))
        {
            assert_eq!(attempt.to_string().parse(), Ok(attempt));
        }
        for text in ["", "namespace:", "namespace:disk", "openat2", "user"] {
            assert!(text.parse::<Attempt>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_outcome_crosses_from_child_to_parent_as_text() {
        for outcome in [Outcome::Works, Outcome::Refused("ENOSPC".into()), Outcome::Untried("killed by SIGSYS".into())]
        {
            assert_eq!(Outcome::parse(&outcome.to_string()), outcome);
        }
        assert_eq!(Outcome::from(Err(Errno::NOSYS)), Outcome::Refused("ENOSYS".into()));
    }
}
