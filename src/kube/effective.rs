//! What a pod as a whole requests and may use (`component-helpers/resource/helpers.go`): sums over containers, the peak
//! while init containers run, pod-level values, and overhead.

use std::collections::{BTreeMap, BTreeSet};

use super::pod::{Container, Kind, Pod, ResourceList, is_pod_level_resource};
use super::quantity::Quantity;

/// Which of the two lists of a container is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum List {
    /// `resources.requests`.
    Requests,
    /// `resources.limits`.
    Limits,
}

impl List {
    /// The list of one container.
    pub fn of(self, container: &Container) -> &ResourceList {
        match self {
            List::Requests => &container.resources.requests,
            List::Limits => &container.resources.limits,
        }
    }
}

/// A total, and how it came about.
#[derive(Debug, Clone, PartialEq)]
pub struct Total {
    /// The amount.
    pub quantity: Quantity,
    /// The fields and the sum: `spec.containers[0].resources.limits.cpu = 500m`.
    pub how: String,
}

/// The pod's requests (`PodRequests`) or limits (`PodLimits`) by resource name, overhead included.
pub fn of_pod(pod: &Pod, list: List) -> BTreeMap<String, Total> {
    let mut totals = aggregate(pod, list);
    if let Some(resources) = &pod.resources {
        let pod_level = match list {
            List::Requests => &resources.requests,
            List::Limits => &resources.limits,
        };
        for (name, amount) in pod_level.iter().filter(|(name, _)| is_pod_level_resource(name)) {
            totals.insert(name.clone(), Total { quantity: amount.quantity, how: amount.origin() });
        }
    }
    for (name, amount) in &pod.overhead {
        let before = totals.get(name);
        // A pod without a limit stays without one; its request grows in any case.
        if list == List::Limits && before.is_none_or(|total| total.quantity.is_zero()) {
            continue;
        }
        let total = match before {
            Some(before) => {
                let quantity = before.quantity.plus(amount.quantity);
                Total { quantity, how: format!("{} + {} => {quantity}", before.how, amount.origin()) }
            }
            None => Total { quantity: amount.quantity, how: amount.origin() },
        };
        totals.insert(name.clone(), total);
    }
    totals
}

/// The containers' requests or limits taken together: the larger of what runs side by side and what init containers need
/// at their peak. A resource is in the result if any container names it.
pub fn aggregate(pod: &Pod, list: List) -> BTreeMap<String, Total> {
    let names: BTreeSet<&String> = pod.all_containers().flat_map(|container| list.of(container).keys()).collect();
    names.into_iter().filter_map(|name| Some((name.clone(), aggregate_one(pod, list, name)?))).collect()
}

fn aggregate_one(pod: &Pod, list: List, resource: &str) -> Option<Total> {
    let amount_of = |container: &&Container| list.of(container).contains_key(resource);
    let sidecars = pod.init_containers.iter().filter(|container| container.kind == Kind::Sidecar);
    let steady = sum(pod.containers.iter().chain(sidecars).filter(amount_of), list, resource);
    let peak = init_peak(pod, list, resource);
    match (steady, peak) {
        (Some(steady), Some(peak)) if peak.quantity > steady.quantity => {
            let how = format!("{}, more than the {} of what runs after it", peak.how, steady.quantity);
            Some(Total { how, ..peak })
        }
        (Some(steady), _) => Some(steady),
        (None, peak) => peak,
    }
}

/// The largest need while init containers run one by one beside the sidecars started before them.
fn init_peak(pod: &Pod, list: List, resource: &str) -> Option<Total> {
    let mut running: Vec<&Container> = Vec::new();
    let mut peak: Option<Total> = None;
    for container in &pod.init_containers {
        let mut beside = running.clone();
        beside.push(container);
        if container.kind == Kind::Sidecar {
            running.push(container);
        }
        let named = beside.into_iter().filter(|container| list.of(container).contains_key(resource));
        let Some(total) = sum(named, list, resource) else { continue };
        if peak.as_ref().is_none_or(|peak| total.quantity > peak.quantity) {
            let how = format!("while init container {} runs: {}", container.name, total.how);
            peak = Some(Total { how, ..total });
        }
    }
    peak
}

/// `None` where no container names the resource.
fn sum<'a>(containers: impl Iterator<Item = &'a Container>, list: List, resource: &str) -> Option<Total> {
    let mut parts = Vec::new();
    let mut quantity = Quantity::default();
    for container in containers {
        let amount = list.of(container).get(resource)?;
        quantity = if parts.is_empty() { amount.quantity } else { quantity.plus(amount.quantity) };
        parts.push((container, amount));
    }
    match parts.as_slice() {
        [] => None,
        [(_, only)] => Some(Total { quantity, how: only.origin() }),
        many => {
            let word = if list == List::Requests { "requests" } else { "limits" };
            let terms: Vec<_> =
                many.iter().map(|(container, amount)| format!("{} {}", container.name, amount.quantity)).collect();
            Some(Total { quantity, how: format!("{word}.{resource} of {} => {quantity}", terms.join(" + ")) })
        }
    }
}
