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
