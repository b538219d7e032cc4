//! The cgroups of a pod, from `kubepods` down to each container, with the value of every file that is written.

mod container;
mod node;
mod pod;

use crate::cgroup::Write;

use super::cgroup_path::{self, Cri, Driver};
use super::cpu::Formula;
use super::kubelet_config::KubeletConfig;
use super::node::Node;
use super::oom::Score;
use super::pod::Pod;
use super::qos::Class;

/// Which step of the tree a cgroup is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rank {
    /// The directory of all pods.
    Kubepods,
    /// The directory of a QoS class; Guaranteed has none.
    Qos,
    /// The pod.
    Pod,
    /// The pause container that holds the pod's namespaces.
    Sandbox,
    /// A container.
    Container,
}

impl Rank {
    /// The word for it, as in the JSON output: `kubepods`, `qos`, `pod`, `sandbox`, `container`.
    pub fn word(self) -> &'static str {
        match self {
            Rank::Kubepods => "kubepods",
            Rank::Qos => "qos",
            Rank::Pod => "pod",
            Rank::Sandbox => "sandbox",
            Rank::Container => "container",
        }
    }
}

/// One cgroup.
#[derive(Debug, Clone, PartialEq)]
pub struct Level {
    /// Its step.
    pub rank: Rank,
    /// What it is of: `burstable`, the pod's name, the container's name.
    pub name: String,
    /// `node`, `class`, `pod`, `pause`, `init`, `sidecar`, `app`.
    pub kind: &'static str,
    /// Its path from the cgroup root.
    pub path: String,
    /// What is written.
    pub files: Vec<Write>,
    /// Files that one might expect to be written, and why they are not: the value is what the kernel starts with.
    pub unwritten: Vec<Write>,
    /// The score of its processes; `None` where none live.
    pub oom: Option<Score>,
}

/// Everything besides the pod that decides the values.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// The node.
    pub node: Node,
    /// The kubelet's configuration, where one is given.
    pub config: Option<KubeletConfig>,
    /// Who makes the directories.
    pub driver: Driver,
    /// The container runtime's front.
    pub cri: Cri,
    /// The formula by which the runtime makes weights of shares.
    pub formula: Formula,
}

impl Setting {
    /// The kubelet's configuration, or its defaults.
    pub fn kubelet(&self) -> KubeletConfig {
        self.config.clone().unwrap_or_default()
    }

    fn systemd(&self) -> bool {
        self.driver == Driver::Systemd
    }
}

/// How the ids of containers, which only a runtime knows, are written in paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ids {
    /// `<cid>`.
    Unknown,
    /// The container's name; `_pause` for the sandbox, which no container can be called.
    Names,
}

/// The cgroups of a valid pod, outermost first.
pub fn of(pod: &Pod, class: Class, setting: &Setting, ids: Ids) -> Vec<Level> {
    let mut levels = vec![node::kubepods(setting)];
    levels.extend(node::qos_class(pod, class, setting));
    levels.push(pod::pod(pod, class, setting));
    let parent = cgroup_path::of_pod_levels(setting.driver, Some(class), Some(&pod.uid));
    let path = |name: &str| {
        let id = if ids == Ids::Unknown { "<cid>" } else { name };
        format!("{parent}/{}", cgroup_path::container_name(setting.driver, setting.cri, id))
    };
    levels.push(container::sandbox(setting, path("_pause")));
    for one in pod.all_containers() {
        levels.push(container::container(pod, one, class, setting, path(&one.name)));
    }
    levels
}

/// A write, or a file that is left alone.
fn file(name: &str, value: impl Into<String>, because: impl Into<String>) -> Write {
    Write { file: name.to_string(), value: value.into(), because: because.into() }
}
