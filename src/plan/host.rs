//! The facts about the machine that a plan depends on, as plain data: probed once by the runtime, or read from a file.

use serde::{Deserialize, Serialize};

/// What a plan needs to know of the machine that it is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Host {
    /// Absolute path of the rootfs directory, no part of it a symbolic link.
    pub rootfs: String,
    /// The cgroup v2 hierarchy; none where the machine has none mounted.
    pub cgroup: Option<CgroupHost>,
    /// The highest capability number that the kernel knows (/proc/sys/kernel/cap_last_cap).
    pub last_capability: u8,
    /// We run in a user namespace ourselves: device nodes cannot be made.
    pub in_user_namespace: bool,
    /// Files of a cgroup that change hands with it (/sys/kernel/cgroup/delegate; cgroups(7) has the first three).
    #[serde(default = "delegated_files")]
    pub delegated_files: Vec<String>,
    /// Home directory of the config's user, by the container's own /etc/passwd.
    pub home: Option<String>,
    /// Who we are, where that is not the machine's own root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rootless: Option<Rootless>,
}

/// An ordinary user, or the root of a user namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rootless {
    /// Effective user id; 0 for the root of a user namespace.
    pub uid: u32,
    /// Effective group id.
    pub gid: u32,
    /// /proc/self/setgroups: nobody in our user namespace may change the groups of a process (user_namespaces(7)).
    pub setgroups_denied: bool,
    /// /proc/self/oom_score_adj: without CAP_SYS_RESOURCE a process of ours cannot go lower.
    pub oom_score_adj: i32,
    /// A cgroup is ours to make groups in. Where none is, the container goes without, and `Host::cgroup` has none.
    pub cgroup_delegated: bool,
}

impl Host {
    /// Device filters and limits above our own take the machine's root.
    pub(super) fn has_roots_powers(&self) -> bool {
        !self.in_user_namespace && self.rootless.as_ref().is_none_or(|rootless| rootless.uid == 0)
    }
}

/// What changes hands where the kernel does not say (before Linux 4.15).
pub fn delegated_files() -> Vec<String> {
    ["cgroup.procs", "cgroup.subtree_control", "cgroup.threads"].map(String::from).to_vec()
}

/// The cgroup v2 hierarchy, from its root down to the container's cgroup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CgroupHost {
    /// Directory of the root of the hierarchy, such as `/sys/fs/cgroup`, and of each level below it; the container's
    /// own comes last.
    pub levels: Vec<CgroupLevel>,
}

/// One cgroup on the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CgroupLevel {
    /// Absolute path.
    pub path: String,
    /// It is there already.
    pub exists: bool,
    /// We may make groups in it and move processes through it.
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    pub writable: bool,
    /// It or a cgroup below it has processes (`cgroup.events`).
    #[serde(default)]
    pub populated: bool,
    /// It is frozen (`cgroup.events`).
    #[serde(default)]
    pub frozen: bool,
    /// `cgroup.controllers`: what it could enable for its children.
    pub controllers: Vec<String>,
    /// `cgroup.subtree_control`: what it has enabled.
    pub enabled: Vec<String>,
}

fn yes() -> bool {
    true
}
