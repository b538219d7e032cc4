//! Valid pods whose numbers leave the range in which Kubernetes or the kernel computes. Kubernetes takes them and then works
//! with a wrong number, or the container never starts; here they are refused with the reason.

use super::Problem;
use super::cpu;
use super::effective::{self, List};
use super::pod::Pod;
use super::quantity::Quantity;

/// What is too large in a pod that is valid otherwise.
pub fn problems(pod: &Pod) -> Vec<Problem> {
    let mut found = Vec::new();
    for list in [List::Requests, List::Limits] {
        let word = if list == List::Requests { "requests" } else { "limits" };
        for (name, total) in effective::of_pod(pod, list) {
            let why = too_much(&name, total.quantity, list);
            found.extend(
                why.map(|why| Problem::new(pod.spec_field("containers"), format!("{name} {word} add up to {why}"))),
            );
        }
    }
    // Pod-level values can hide what an init container asks for itself.
    for container in &pod.init_containers {
        for (name, amount) in &container.resources.limits {
            let why = too_much(name, amount.quantity, List::Limits);
            let field = format!("{}.resources.limits[{name}]", container.field);
            found.extend(why.map(|why| Problem::new(field, why)));
        }
    }
    found
}

fn too_much(name: &str, got: Quantity, list: List) -> Option<String> {
    // The kernel's largest quota, at kubelet's default period (MilliCPUToQuota).
    if name == "cpu" && got.milli_value() * i128::from(cpu::DEFAULT_PERIOD) / 1000 > cpu::MAX_QUOTA {
        return Some(format!(
            "{got}: the quota would be above {} us, which the kernel refuses; write less",
            cpu::MAX_QUOTA
        ));
    }
    if name == "memory" && list == List::Requests && got.value() > i128::from(i64::MAX) / 1000 {
        let bytes = got.value();
        return Some(format!(
            "{got}: Kubernetes' oom_score_adj needs 1000 * {bytes}, more than 64 bits hold; write less"
        ));
    }
    (got.value() > i128::from(i64::MAX)).then(|| format!("{}, more than 64 bits hold; write less", got.value()))
}
