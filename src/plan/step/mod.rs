//! The steps of a container start: plain data, ready for the kernel. Everything that reaches it is a field here.

mod host;
mod init;
mod parts;

use std::borrow::Cow;

pub use host::HostStep;
pub use init::InitStep;
pub(in crate::plan) use parts::c_string;
pub use parts::{
    Filesystem, FsParameter, Hook, HookKind, IdKind, IdRange, LabelKind, MountAttributes, MountIdMap, RootfsPath,
    Scheduling,
};

use super::uapi::CLONE_NEWNS;

/// What a container start will do, decided but not done.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The container's id.
    pub id: String,
    /// How the one process comes to be.
    pub clone: Clone3,
    /// Done by us before the process exists.
    pub host: Vec<Planned<HostStep>>,
    /// Done by a process in between, which then makes the container's own: some namespaces can only be joined by a parent
    /// (setns(2), PID), others must be before new ones are made. Empty where nothing forces one.
    pub between: Vec<Planned<InitStep>>,
    /// Done by us from outside, while the process waits.
    pub beside: Vec<Planned<HostStep>>,
    /// Hooks that we run while the process waits a second time: its files are in place, its root is not swapped yet.
    pub hooks: Vec<Planned<HostStep>>,
    /// Done by the process itself, in its new namespaces.
    pub init: Vec<Planned<InitStep>>,
    /// What the config asks for and an ordinary user's container does not get, each as a sentence without its full stop.
    pub left_out: Vec<String>,
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
    /// The cgroup directory that the process is born into (CLONE_INTO_CGROUP); none where there is no cgroup v2, and where
    /// systemd makes it once the process exists.
    pub cgroup: Option<String>,
}

impl Plan {
    /// The directory of the container's cgroup, whoever makes it; none where there is no cgroup v2.
    pub fn cgroup(&self) -> Option<&str> {
        self.clone.cgroup.as_deref().or_else(|| self.scope().map(|(_, path)| path))
    }

    /// Whether its root is made by chroot(2) alone.
    pub fn changes_root(&self) -> bool {
        self.init.iter().any(|planned| matches!(planned.step, InitStep::ChangeRoot { .. }))
    }

    /// Whether what is mounted for the container is mounted in our own mount namespace, below its rootfs.
    pub fn shares_mounts(&self) -> bool {
        let joins = |planned: &Planned<InitStep>| match planned.step {
            InitStep::JoinNamespace { namespace, .. } => namespace == CLONE_NEWNS,
            InitStep::JoinContainer { .. } => true,
            _ => false,
        };
        let its_own = self.clone.namespaces & CLONE_NEWNS != 0 || self.between.iter().chain(&self.init).any(joins);
        self.changes_root() && !its_own
    }

    /// The unit and the cgroup directory that systemd makes for the container, where it does.
    pub fn scope(&self) -> Option<(&str, &str)> {
        self.beside.iter().find_map(|planned| match &planned.step {
            HostStep::StartScope { unit, path, .. } => Some((unit.as_str(), path.as_str())),
            _ => None,
        })
    }
}

impl<S> Planned<S> {
    /// `step`, asked for by `because`.
    pub fn new(step: S, because: impl Into<Cow<'static, str>>) -> Self {
        Planned { step, because: because.into() }
    }
}
