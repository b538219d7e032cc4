//! What the API server refuses (`pkg/apis/core/validation/validation.go`), with its field paths and its words.
//! What it takes and then computes wrongly is `overflow.rs`'s matter.

use std::collections::BTreeSet;

use super::Problem;
use super::effective::{self, List};
use super::overflow;
use super::pod::{Pod, ResourceList, Resources, is_pod_level_resource};
use super::quantity::Quantity;

/// Everything that is wrong with a pod after defaulting; empty for a valid pod.
pub fn problems(pod: &Pod) -> Vec<Problem> {
    let mut found = Vec::new();
    names(pod, &mut found);
    containers(pod, &mut found);
    for container in pod.containers.iter().chain(&pod.init_containers) {
        resources(&container.resources, &format!("{}.resources", container.field), container_resource_name, &mut found);
    }
    pod_level(pod, &mut found);
    let overhead = Resources { limits: pod.overhead.clone(), requests: ResourceList::new() };
    resources(&overhead, &pod.spec_field("overhead"), container_resource_name, &mut found);
    if found.is_empty() {
        found = overflow::problems(pod);
    }
    found
}

fn names(pod: &Pod, found: &mut Vec<Problem>) {
    let field = if pod.prefix.is_empty() { "metadata.name" } else { "metadata.name of the owner" };
    if pod.name.is_empty() {
        found.push(Problem::new(field, "Required value: name or generateName is required"));
    } else if !is_subdomain(&pod.name) {
        let message = format!(
            "Invalid value: {:?}: use lower case letters, digits, - and . only, start and end with a letter or digit, at most 253",
            pod.name
        );
        found.push(Problem::new(field, message));
    }
    // The kubelet itself panics on these in a cgroup name.
    if pod.uid.contains(['/', '_'])
        || pod.uid.chars().any(|c| c.is_control() || c.is_whitespace())
        || pod.uid.len() > 200
    {
        let message = format!("Invalid value: {:?}: a cgroup name cannot hold it; write a UUID", pod.uid);
        found.push(Problem::new(format!("{}metadata.uid", pod.prefix), message));
    }
    restart_policy(pod.restart_policy.as_deref(), pod.spec_field("restartPolicy"), found);
}

fn containers(pod: &Pod, found: &mut Vec<Problem>) {
    if pod.containers.is_empty() {
        found.push(Problem::new(pod.spec_field("containers"), "Required value: a pod has at least one container"));
    }
    let mut seen = BTreeSet::new();
    for container in pod.containers.iter().chain(&pod.init_containers) {
        let field = |name: &str| format!("{}.{name}", container.field);
        if container.name.is_empty() {
            found.push(Problem::new(field("name"), "Required value: every container has a name"));
        } else if !is_label(&container.name) {
            let message = format!(
                "Invalid value: {:?}: use lower case letters, digits and - only, start and end with a letter or digit, at most 63",
                container.name
            );
            found.push(Problem::new(field("name"), message));
        } else if !seen.insert(&container.name) {
            found.push(Problem::new(field("name"), format!("Duplicate value: {:?}", container.name)));
        }
        if container.image.is_empty() {
            found.push(Problem::new(field("image"), "Required value: every container has an image"));
        }
        restart_policy(container.restart_policy.as_deref(), field("restartPolicy"), found);
    }
}

fn restart_policy(policy: Option<&str>, field: String, found: &mut Vec<Problem>) {
    if let Some(policy) = policy.filter(|policy| !matches!(*policy, "Always" | "OnFailure" | "Never")) {
        let message = format!("Unsupported value: {policy:?}: supported values: \"Always\", \"Never\", \"OnFailure\"");
        found.push(Problem::new(field, message));
    }
}

/// A check of a resource's name at a path.
type NameCheck = fn(&str, &str, &mut Vec<Problem>);

fn resources(of: &Resources, field: &str, check_name: NameCheck, found: &mut Vec<Problem>) {
    let limits = format!("{field}.limits");
    let requests = format!("{field}.requests");
    amounts(&of.limits, &limits, check_name, found);
    amounts(&of.requests, &requests, check_name, found);
    for (name, request) in &of.requests {
        let got = request.quantity;
        match of.limits.get(name).map(|limit| limit.quantity) {
            Some(limit) if got != limit && !may_overcommit(name) => {
                let message = format!("Invalid value: \"{got}\": must be equal to {name} limit of {limit}");
                found.push(Problem::new(&requests, message));
            }
            Some(limit) if got > limit => {
                let message =
                    format!("Invalid value: \"{got}\": must be less than or equal to {name} limit of {limit}");
                found.push(Problem::new(&requests, message));
            }
            None if !may_overcommit(name) => {
                let message = "Required value: Limit must be set for non overcommitable resources";
                found.push(Problem::new(&limits, message));
            }
            _ => {}
        }
    }
    let names = || of.limits.keys().chain(of.requests.keys());
    if names().any(|name| is_hugepages(name)) && !names().any(|name| name == "cpu" || name == "memory") {
        found.push(Problem::new(field, "Forbidden: HugePages require cpu or memory"));
    }
}

fn amounts(list: &ResourceList, field: &str, check_name: NameCheck, found: &mut Vec<Problem>) {
    for (name, amount) in list {
        let at = format!("{field}[{name}]");
        check_name(name, &at, found);
        let got = amount.quantity;
        if got.is_negative() {
            let message = format!("Invalid value: \"{got}\": must be greater than or equal to 0");
            found.push(Problem::new(&at, message));
        }
        if is_extended(name) && !got.is_whole() {
            found.push(Problem::new(&at, format!("Invalid value: \"{got}\": must be an integer")));
        }
        if is_hugepages(name) && !fills_pages(name, got) {
            let message = format!("Invalid value: \"{got}\": {got} is not positive integer multiple of {name}");
            found.push(Problem::new(&at, message));
        }
    }
}

fn fills_pages(name: &str, got: Quantity) -> bool {
    let size = name.trim_start_matches("hugepages-").parse::<Quantity>();
    size.is_ok_and(|size| size.is_positive() && size.is_whole() && got.value() % size.value() == 0)
}

fn is_hugepages(name: &str) -> bool {
    name.starts_with("hugepages-")
}

fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

fn may_overcommit(name: &str) -> bool {
    is_native(name) && !is_hugepages(name)
}

fn is_extended(name: &str) -> bool {
    !is_native(name) && !name.starts_with("requests.")
}

fn container_resource_name(name: &str, field: &str, found: &mut Vec<Problem>) {
    let standard = matches!(name, "cpu" | "memory" | "ephemeral-storage") || is_hugepages(name);
    if !is_qualified(name) {
        found.push(Problem::new(field, format!("Invalid value: {name:?}: is no resource name")));
    } else if !name.contains('/') && !standard {
        found.push(Problem::new(field, format!("Invalid value: {name:?}: must be a standard resource for containers: cpu, memory, ephemeral-storage or hugepages-SIZE")));
    } else if name.contains('/') && !is_native(name) && !is_extended(name) {
        found.push(Problem::new(
            field,
            format!("Invalid value: {name:?}: doesn't follow extended resource name standard"),
        ));
    }
}

fn pod_resource_name(name: &str, field: &str, found: &mut Vec<Problem>) {
    if !is_pod_level_resource(name) {
        let message = format!("Unsupported value: {name:?}: supported values: \"cpu\", \"hugepages-\", \"memory\"");
        found.push(Problem::new(field, message));
    }
}

fn pod_level(pod: &Pod, found: &mut Vec<Problem>) {
    let Some(own) = &pod.resources else { return };
    let field = pod.spec_field("resources");
    resources(own, &field, pod_resource_name, found);
    for (name, total) in effective::aggregate(pod, List::Requests) {
        let Some(request) = own.requests.get(&name).map(|amount| amount.quantity) else { continue };
        if total.quantity > request {
            let message = format!(
                "Invalid value: \"{request}\": must be greater than or equal to aggregate container requests of {}",
                total.quantity
            );
            found.push(Problem::new(format!("{field}.requests[{name}]"), message));
        }
    }
    for (name, total) in effective::aggregate(pod, List::Limits).into_iter().filter(|(name, _)| is_hugepages(name)) {
        let Some(limit) = own.limits.get(&name).map(|amount| amount.quantity) else { continue };
        if total.quantity > limit {
            let message = format!(
                "Invalid value: \"{limit}\": must be greater than or equal to aggregate container limits of {}",
                total.quantity
            );
            found.push(Problem::new(format!("{field}.limits[{name}]"), message));
        }
    }
    for (index, container) in pod.containers.iter().enumerate() {
        for (name, limit) in &container.resources.limits {
            let Some(whole) = own.limits.get(name).map(|amount| amount.quantity) else { continue };
            if limit.quantity > whole {
                let message = format!(
                    "Invalid value: \"{}\": must be less than or equal to pod limits of {whole}",
                    limit.quantity
                );
                // Kubernetes writes this very path, odd as it is.
                found.push(Problem::new(format!("{field}.containers[{index}][{name}].limits"), message));
            }
        }
    }
}

/// An RFC 1123 label.
fn is_label(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = name.as_bytes();
    (1..=63).contains(&bytes.len())
        && bytes.iter().all(|b| inner(*b) || *b == b'-')
        && inner(bytes[0])
        && inner(bytes[bytes.len() - 1])
}

/// An RFC 1123 subdomain.
fn is_subdomain(name: &str) -> bool {
    let part = |part: &str| {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        !part.is_empty()
            && part.bytes().all(|b| inner(b) || b == b'-')
            && part.bytes().next().is_some_and(inner)
            && part.bytes().last().is_some_and(inner)
    };
    name.len() <= 253 && name.split('.').all(part)
}

/// A qualified name: an optional DNS prefix and `/`, then at most 63 of letters, digits, `-`, `_` and `.`.
fn is_qualified(name: &str) -> bool {
    let (prefix, own) = name.split_once('/').map_or((None, name), |(prefix, own)| (Some(prefix), own));
    let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
    prefix.is_none_or(is_subdomain)
        && own.len() <= 63
        && own.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        && edge(own.bytes().next())
        && edge(own.bytes().last())
}
