//! The QoS class of a pod (`pkg/apis/core/v1/helper/qos/qos.go`, `ComputePodQOS`) and the reason for it.

use super::pod::{Container, Kind, Pod, Resources};
use super::quantity::Quantity;

/// The resources that count.
const COUNTED: [&str; 2] = ["cpu", "memory"];

/// A QoS class: which pods the node lets down first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Limits for cpu and memory everywhere, equal to the requests.
    Guaranteed,
    /// Something is requested or limited.
    Burstable,
    /// Nothing is requested or limited.
    BestEffort,
}

impl Class {
    /// Kubernetes' spelling, as in `status.qosClass`.
    pub fn name(self) -> &'static str {
        match self {
            Class::Guaranteed => "Guaranteed",
            Class::Burstable => "Burstable",
            Class::BestEffort => "BestEffort",
        }
    }

    fn from_name(name: &str) -> Option<Class> {
        [Class::Guaranteed, Class::Burstable, Class::BestEffort].into_iter().find(|class| class.name() == name)
    }
}

/// The class, and the reason in sentences without a full stop.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The class.
    pub class: Class,
    /// Why it is this one and no other.
    pub because: Vec<String>,
}

/// The class of a pod after defaulting. A class that stands in `status.qosClass` is believed, as a kubelet does.
pub fn class_of(pod: &Pod) -> Verdict {
    if let Some(class) = pod.stored_class.as_deref().and_then(Class::from_name) {
        let computed = computed(pod).class;
        let mut because = vec![format!("status.qosClass says {}, and a kubelet believes it", class.name())];
        if computed != class {
            because.push(format!("the requests and limits alone would make it {}", computed.name()));
        }
        return Verdict { class, because };
    }
    computed(pod)
}

/// One set of requests and limits that is judged: a container's or the pod's own.
struct Judged<'a> {
    who: String,
    resources: &'a Resources,
}

fn computed(pod: &Pod) -> Verdict {
    let judged: Vec<Judged<'_>> = match &pod.resources {
        Some(resources) => vec![Judged { who: pod.spec_field("resources"), resources }],
        None => pod.containers.iter().chain(&pod.init_containers).map(judge_container).collect(),
    };
    let positive = |amount: &super::pod::Amount| amount.quantity.is_positive();
    let anything = judged.iter().any(|one| {
        COUNTED.iter().any(|name| {
            one.resources.requests.get(*name).is_some_and(positive)
                || one.resources.limits.get(*name).is_some_and(positive)
        })
    });
    let mut because = Vec::new();
    if pod.resources.is_some() {
        because.push(format!(
            "{} is set: only pod-level values count, not those of containers",
            pod.spec_field("resources")
        ));
    }
    if !anything {
        because.push(match &pod.resources {
            Some(_) => format!("{} requests and limits no cpu and no memory", pod.spec_field("resources")),
            None => format!("no container requests or limits cpu or memory above 0 ({})", listed(pod)),
        });
        return Verdict { class: Class::BestEffort, because };
    }
    let reasons = why_not_guaranteed(&judged);
    if reasons.is_empty() {
        because.extend(judged.iter().map(|one| {
            let limit =
                |name: &str| one.resources.limits.get(name).map_or(Quantity::default(), |amount| amount.quantity);
            format!("{}: requests equal limits, cpu {} and memory {}", one.who, limit("cpu"), limit("memory"))
        }));
        return Verdict { class: Class::Guaranteed, because };
    }
    because.push("something is requested or limited, so it is not BestEffort".into());
    because.extend(reasons.into_iter().map(|reason| format!("not Guaranteed: {reason}")));
    Verdict { class: Class::Burstable, because }
}

fn judge_container(container: &Container) -> Judged<'_> {
    let kind = match container.kind {
        Kind::App => "container",
        Kind::Init => "init container",
        Kind::Sidecar => "sidecar",
    };
    Judged { who: format!("{kind} {}", container.name), resources: &container.resources }
}

/// Sums decide, but validation keeps each request at or below its limit, so unequal sums have an unequal pair.
fn why_not_guaranteed(judged: &[Judged<'_>]) -> Vec<String> {
    let mut reasons = Vec::new();
    for one in judged {
        for name in COUNTED {
            let limit = one.resources.limits.get(name).map(|amount| amount.quantity).unwrap_or_default();
            let request = one.resources.requests.get(name).map(|amount| amount.quantity).unwrap_or_default();
            if !limit.is_positive() {
                reasons.push(format!("{} has no {name} limit", one.who));
            } else if request < limit {
                reasons.push(format!("{} requests {name} {request}, less than its limit {limit}", one.who));
            }
        }
    }
    reasons
}

fn listed(pod: &Pod) -> String {
    let names: Vec<_> = pod.all_containers().map(|container| container.name.as_str()).collect();
    names.join(", ")
}
