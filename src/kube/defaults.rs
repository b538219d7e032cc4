//! What the API server fills in before anything is computed (`pkg/apis/core/v1/defaults.go`), in its order.

use super::effective::{self, List};
use super::pod::{Amount, Pod, ResourceList, is_pod_level_resource};

/// Fills in the requests that limits imply, first per container and then at pod level (`SetDefaults_Pod`); then rounds
/// every amount up to thousandths (`SetDefaults_ResourceList`), so sums that are filled in are of unrounded amounts.
///
/// A request that is written, even as `0` or `null`, stays as it is.
pub fn apply(pod: &mut Pod) {
    for container in pod.containers.iter_mut().chain(&mut pod.init_containers) {
        let resources = &mut container.resources;
        default_requests(&mut resources.requests, &resources.limits, &format!("{}.resources", container.field));
    }
    default_pod_hugepage_limits(pod);
    default_pod_requests(pod);
    let containers =
        pod.containers.iter_mut().chain(&mut pod.init_containers).map(|container| &mut container.resources);
    for resources in containers.chain(&mut pod.resources) {
        resources.requests.values_mut().chain(resources.limits.values_mut()).for_each(round);
    }
    pod.overhead.values_mut().for_each(round);
}

fn round(amount: &mut Amount) {
    let rounded = amount.quantity.rounded_to_milli();
    if rounded != amount.quantity {
        let stored = format!("stored as {rounded}: nothing is finer than 1m");
        amount.note = Some(amount.note.take().map_or(stored.clone(), |note| format!("{note}, {stored}")));
        amount.quantity = rounded;
    }
}

fn default_requests(requests: &mut ResourceList, limits: &ResourceList, field: &str) {
    for (name, limit) in limits {
        if !requests.contains_key(name) {
            let note = format!("defaulted from limits.{name}");
            requests.insert(name.clone(), from_other(limit, format!("{field}.requests.{name}"), note));
        }
    }
}

fn from_other(amount: &Amount, field: String, note: String) -> Amount {
    Amount { quantity: amount.quantity, field, written: amount.written.clone(), note: Some(note) }
}

/// Where pod-level resources are set, a missing pod-level hugepages limit is the sum over the containers.
fn default_pod_hugepage_limits(pod: &mut Pod) {
    let missing: Vec<(String, Amount)> = {
        let Some(resources) = &pod.resources else { return };
        if resources.limits.is_empty() && resources.requests.is_empty() {
            return;
        }
        let sums = effective::aggregate(pod, List::Limits);
        let wanted = |name: &String| {
            name.starts_with("hugepages-")
                && !resources.requests.contains_key(name)
                && !resources.limits.contains_key(name)
        };
        sums.into_iter()
            .filter(|(name, _)| wanted(name))
            .map(|(name, total)| {
                let field = pod.spec_field(&format!("resources.limits.{name}"));
                let written = total.quantity.to_string();
                let note = Some("defaulted from the containers' limits".to_string());
                (name, Amount { quantity: total.quantity, field, written, note })
            })
            .collect()
    };
    if let Some(resources) = &mut pod.resources {
        resources.limits.extend(missing);
    }
}

/// Where pod-level limits are set, a missing pod-level request is the containers' total if one has any, else the limit.
fn default_pod_requests(pod: &mut Pod) {
    let missing: Vec<(String, Amount)> = {
        let Some(resources) = &pod.resources else { return };
        if resources.limits.is_empty() {
            return;
        }
        let field = |name: &str| pod.spec_field(&format!("resources.requests.{name}"));
        let mut missing = ResourceList::new();
        for (name, total) in effective::aggregate(pod, List::Requests) {
            let overcommits = matches!(name.as_str(), "cpu" | "memory");
            if overcommits && !resources.requests.contains_key(&name) {
                let written = total.quantity.to_string();
                let note = Some("defaulted from the containers' requests".to_string());
                missing.insert(name.clone(), Amount { quantity: total.quantity, field: field(&name), written, note });
            }
        }
        for (name, limit) in resources.limits.iter().filter(|(name, _)| is_pod_level_resource(name)) {
            if !resources.requests.contains_key(name) && !missing.contains_key(name) {
                let note = format!("defaulted from spec.resources.limits.{name}");
                missing.insert(name.clone(), from_other(limit, field(name), note));
            }
        }
        missing.into_iter().collect()
    };
    if let Some(resources) = &mut pod.resources {
        resources.requests.extend(missing);
    }
}
