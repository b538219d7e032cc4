//! `oom_score_adj` of a container's processes (`pkg/kubelet/qos/policy.go`, `GetContainerOOMScoreAdjust`).

use super::effective::{self, List};
use super::pod::{Container, Kind, Pod};
use super::qos::Class;

/// A score and the reason for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Score {
    /// What is written to `/proc/PID/oom_score_adj`: -1000 (never) to 1000 (first).
    pub value: i128,
    /// The rule, with its numbers.
    pub because: String,
}

/// The score of the pause process of a sandbox, in containerd and in CRI-O.
pub const SANDBOX: i128 = -998;

const GUARANTEED: i128 = -997;
const BEST_EFFORT: i128 = 1000;

/// The score of `container`, on a machine with `capacity` bytes of memory (MemTotal, not allocatable).
pub fn score(pod: &Pod, container: &Container, class: Class, capacity: i128) -> Score {
    if pod.is_node_critical() {
        let because = "the pod is critical and its class is system-node-critical: protected like Guaranteed".into();
        return Score { value: GUARANTEED, because };
    }
    match class {
        Class::Guaranteed => Score { value: GUARANTEED, because: "Guaranteed: last to be killed".into() },
        Class::BestEffort => Score { value: BEST_EFFORT, because: "BestEffort: first to be killed".into() },
        Class::Burstable => burstable(pod, container, capacity),
    }
}

fn burstable(pod: &Pod, container: &Container, capacity: i128) -> Score {
    let share = spare_share(pod);
    let adjusted = |request: i128| 1000 - 1000 * (request + share) / capacity.max(1);
    let request = memory_request(container);
    let mut value = adjusted(request);
    let mut because = format!("1000 - 1000 * {request} / {capacity} (memory request / node memory) = {value}");
    if share > 0 {
        because = format!(
            "1000 - 1000 * ({request} + {share}) / {capacity} (memory request + share of the pod's spare request, / node memory) = {value}"
        );
    }
    if container.kind == Kind::Sidecar {
        let least = pod.containers.iter().map(memory_request).min().unwrap_or_default();
        let of_least = adjusted(least);
        if of_least < value {
            because.push_str(&format!(
                "; a sidecar gets at most {of_least}, the score of the app container that requests least ({least})"
            ));
            value = of_least;
        }
    }
    if value < 3 {
        because.push_str("; raised to 3, above every Guaranteed pod");
        value = 3;
    } else if value == BEST_EFFORT {
        because.push_str("; lowered to 999, below every BestEffort pod");
        value = 999;
    }
    Score { value, because }
}

fn memory_request(container: &Container) -> i128 {
    container.resources.requests.get("memory").map_or(0, |amount| amount.quantity.value())
}

/// What the pod requests above its containers, divided among them (`remainingPodMemReqPerContainer`).
fn spare_share(pod: &Pod) -> i128 {
    let pod_level = pod.resources.as_ref().and_then(|resources| resources.requests.get("memory"));
    let Some(pod_request) = pod_level.filter(|amount| !amount.quantity.is_zero()) else { return 0 };
    let used = effective::aggregate(pod, List::Requests).get("memory").map_or(0, |total| total.quantity.value());
    let count = pod.containers.len() + pod.init_containers.len();
    (pod_request.quantity.value() - used) / (count.max(1) as i128)
}
