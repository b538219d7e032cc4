//! The cgroups of a pod, from `kubepods` down to each container, with the value of every file that is written.

mod container;
mod node;
mod pod;

use crate::cgroup::Write;

use super::cgroup_path::{self, Cri, Driver};
use super::cpu::{self, Formula};
use super::cpu_manager::{self, Assignment};
use super::hugetlb::{self, PageSize};
use super::kubelet_config::KubeletConfig;
use super::node::Node;
use super::oom::Score;
use super::pod::{Amount, Container, Pod};
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
    /// The cgroup v1 shares that `cpu.weight` was made of.
    pub shares: u64,
    /// The score of its processes; `None` where none live.
    pub oom: Option<Score>,
}

impl Level {
    fn new(rank: Rank, name: &str, kind: &'static str, path: String) -> Level {
        Level {
            rank,
            name: name.into(),
            kind,
            path,
            files: Vec::new(),
            unwritten: Vec::new(),
            shares: cpu::MIN_SHARES,
            oom: None,
        }
    }

    fn write(&mut self, file: &str, value: impl ToString, because: impl Into<String>) {
        self.files.push(Write { file: file.to_string(), value: value.to_string(), because: because.into() });
    }

    /// A file that keeps the kernel's own `value`.
    fn leave(&mut self, file: &str, value: &str, because: impl Into<String>) {
        self.unwritten.push(Write { file: file.to_string(), value: value.to_string(), because: because.into() });
    }

    /// `cpu.weight` of so many millicores, which came from `origin`.
    fn weigh(&mut self, milli: i128, origin: &str, formula: Formula) {
        self.shares = cpu::shares(milli);
        let (shares_because, weight_because) = (cpu::shares_because(milli), cpu::weight_because(self.shares, formula));
        self.write(
            "cpu.weight",
            cpu::weight(self.shares, formula),
            format!("{origin}: {shares_because}; {weight_because}"),
        );
    }

    fn huge_pages(&mut self, size: &PageSize, bytes: i128, because: &str) {
        for file in hugetlb::files(size) {
            self.write(&file, bytes, because);
        }
    }
}

/// The least memory limit that CRI-O passes on to runc, in bytes; crun gets by with 500 KiB (its `pkg/config/config.go`).
const CRIO_LEAST_MEMORY: i128 = 12 << 20;

/// Everything besides the pod that decides the values.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// The node.
    pub node: Node,
    /// The kubelet's configuration.
    pub config: KubeletConfig,
    /// Who makes the directories.
    pub driver: Driver,
    /// The container runtime's front.
    pub cri: Cri,
    /// The formula by which the runtime makes weights of shares.
    pub formula: Formula,
}

/// How the ids of containers, which only a runtime knows, are written in paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ids {
    /// `<cid>`.
    Unknown,
    /// The container's name; `_pause` for the sandbox, which no container can be called.
    Names,
}

/// A pod with all that its levels are computed from.
struct Case<'a> {
    pod: &'a Pod,
    class: Class,
    setting: &'a Setting,
    page_sizes: Vec<PageSize>,
    cpus: Option<Assignment>,
}

impl Case<'_> {
    fn systemd(&self) -> bool {
        self.setting.driver == Driver::Systemd
    }

    fn path(&self, class: Option<Class>, uid: Option<&str>) -> String {
        cgroup_path::of_pod_levels(self.setting.driver, &self.setting.config.cgroup_root, class, uid)
    }
}

/// The cgroups of a valid pod, outermost first, and what a reader must know besides.
pub fn of(pod: &Pod, class: Class, setting: &Setting, ids: Ids) -> (Vec<Level>, Vec<String>) {
    let case = Case {
        pod,
        class,
        setting,
        page_sizes: hugetlb::page_sizes(&setting.node),
        cpus: cpu_manager::assign(pod, class, &setting.node, &setting.config),
    };
    let mut levels = vec![node::kubepods(&case)];
    levels.extend(node::qos_class(&case));
    levels.push(pod::pod(&case));
    let parent = case.path(Some(class), Some(&pod.uid));
    let path = |name: &str| {
        let id = if ids == Ids::Unknown { "<cid>" } else { name };
        format!("{parent}/{}", cgroup_path::container_name(setting.driver, setting.cri, id))
    };
    levels.push(container::sandbox(setting, path("_pause")));
    levels.extend(pod.all_containers().map(|one| container::container(&case, one, path(&one.name))));
    (levels, warnings(&case))
}

fn warnings(case: &Case<'_>) -> Vec<String> {
    let mut warnings = case.setting.config.warnings.clone();
    warnings.extend(case.setting.node.objections(&case.setting.config));
    if let Some(assignment) = &case.cpus {
        warnings.extend(assignment.rejected.clone());
        if !assignment.exclusive.is_empty() {
            let words = "cpuset.cpus supposes an empty node whose CPUs are cores of their own: a kubelet knows its \
                         topology and takes whole cores first";
            warnings.push(words.into());
        }
    }
    for container in case.pod.all_containers() {
        warnings.extend(unknown_page_sizes(case, container));
        let limit = container.resources.limits.get("memory").filter(|amount| !amount.quantity.is_zero());
        let is_small = |amount: &&Amount| amount.quantity.value() < CRIO_LEAST_MEMORY;
        if let Some(amount) = limit.filter(is_small).filter(|_| case.setting.cri == Cri::Crio) {
            let origin = amount.origin();
            warnings
                .push(format!("{origin}: CRI-O starts no container with less than 12Mi under runc, 500Ki under crun"));
        }
    }
    warnings
}

fn unknown_page_sizes(case: &Case<'_>, container: &Container) -> Vec<String> {
    let sizes: Vec<&str> = case.page_sizes.iter().map(|size| size.name.as_str()).collect();
    let known = if sizes.is_empty() { "none".to_string() } else { sizes.join(", ") };
    let limits = hugetlb::amounts(&container.resources.limits);
    let unknown = limits.iter().filter(|(bytes, _)| !case.page_sizes.iter().any(|size| size.bytes == **bytes));
    let words =
        |amount: &Amount| format!("{}: the node has no huge pages of that size (it has: {known})", amount.origin());
    unknown.map(|(_, amount)| words(amount)).collect()
}
