//! Which CPUs each container may run on, under the CPU manager's policies (`pkg/kubelet/cm/cpumanager/policy_static.go`).
//!
//! Sockets, cores and NUMA nodes are not known here: every CPU counts as a core of its own, and the pod is the first on
//! its node, so the lowest CPUs that are free are taken.

use std::collections::BTreeMap;

use super::cpuset::CpuSet;
use super::kubelet_config::KubeletConfig;
use super::node::Node;
use super::pod::{Container, Kind, Pod};
use super::qos::Class;

/// What the static policy gives a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The exclusive CPUs of containers, by name.
    pub exclusive: BTreeMap<String, CpuSet>,
    /// The pool that everybody else runs in.
    pub shared: CpuSet,
    /// CPUs that nobody gets exclusively.
    pub reserved: CpuSet,
    /// Why the kubelet would not admit the pod.
    pub rejected: Option<String>,
}

/// The assignment under the static policy; `None` under policy `none`, which pins nobody.
pub fn assign(pod: &Pod, class: Class, node: &Node, config: &KubeletConfig) -> Option<Assignment> {
    if !config.static_cpus {
        return None;
    }
    let reserved = match &config.reserved_cpus {
        Some(named) => named.clone(),
        None => {
            let count = usize::try_from(config.reserved("cpu").value()).unwrap_or(usize::MAX);
            node.cpus.lowest(count).unwrap_or_else(|| node.cpus.clone())
        }
    };
    let pool = if config.strict_reservation { node.cpus.without(&reserved) } else { node.cpus.clone() };
    let mut assignment = Assignment { exclusive: BTreeMap::new(), shared: pool, reserved, rejected: None };
    let mut reusable = CpuSet::default();
    for container in pod.all_containers() {
        let count = exclusive_count(pod, container, class);
        if count == 0 {
            continue;
        }
        let free = assignment.shared.without(&assignment.reserved).with(&reusable);
        let Some(taken) = free.lowest(count) else {
            assignment.rejected = Some(format!(
                "the kubelet would reject the pod: {} asks for {count} exclusive CPUs, {} are free",
                container.name,
                free.0.len()
            ));
            return Some(assignment);
        };
        assignment.shared = assignment.shared.without(&taken);
        // What a plain init container leaves is taken up again by those after it.
        reusable = if container.kind == Kind::Init { reusable.with(&taken) } else { reusable.without(&taken) };
        assignment.exclusive.insert(container.name.clone(), taken);
    }
    Some(assignment)
}

/// How many CPUs a container gets for itself: its request, if the pod is Guaranteed and the request whole.
fn exclusive_count(pod: &Pod, container: &Container, class: Class) -> usize {
    // Pod-level resources are handled by the gate PodLevelResourceManagers only, alpha in 1.36.
    if class != Class::Guaranteed || pod.has_pod_level() {
        return 0;
    }
    let request = container.resources.requests.get("cpu").map(|amount| amount.quantity).unwrap_or_default();
    if request.is_whole() { usize::try_from(request.value()).unwrap_or(0) } else { 0 }
}
