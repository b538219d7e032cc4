//! A pod with its status, as `kubectl get pod -o json` prints it. Pure.

use std::net::IpAddr;

use jiff::Timestamp;
use k8s_openapi::api::core::v1 as api;
use serde_json::{Value, json};

use super::object;
use super::record::Record;
use super::state::{self, Container, Exit, Phase, State};
use crate::kube::pod::Kind;

/// What is known of a pod beside its containers.
#[derive(Debug, Clone, PartialEq)]
pub struct Now {
    /// Its phase.
    pub phase: Phase,
    /// Whether its sandbox is there.
    pub sandbox: bool,
    /// Its address.
    pub pod_ip: Option<IpAddr>,
    /// The node's name.
    pub node: String,
    /// The node's address.
    pub host_ip: Option<IpAddr>,
    /// A reason for the phase, such as `Evicted` or `DeadlineExceeded`, with a sentence.
    pub reason: Option<(String, String)>,
    /// Since when it is being deleted, and with how many seconds of grace.
    pub deleting: Option<(Timestamp, i64)>,
}

/// The whole object. `since` gives each condition the time from which on it has held, or not held.
pub fn object(record: &Record, containers: &[Container], now: &Now, since: impl Fn(&str, bool) -> Timestamp) -> Value {
    let mut pod = object::to_json(&record.pod);
    pod["apiVersion"] = json!("v1");
    pod["kind"] = json!("Pod");
    pod["metadata"]["creationTimestamp"] = json!(record.created);
    if let Some((at, grace)) = now.deleting {
        pod["metadata"]["deletionTimestamp"] = json!(time(at));
        pod["metadata"]["deletionGracePeriodSeconds"] = json!(grace);
    }
    pod["spec"]["nodeName"] = json!(now.node);
    let conditions: Vec<Value> = state::conditions(containers, now.phase, now.sandbox)
        .into_iter()
        .map(|one| {
            let mut value = json!({
                "type": one.kind,
                "status": if one.holds { "True" } else { "False" },
                "lastTransitionTime": time(since(one.kind, one.holds)),
            });
            if let Some(reason) = one.reason {
                value["reason"] = json!(reason);
            }
            if let Some(message) = one.message {
                value["message"] = json!(message);
            }
            value
        })
        .collect();
    let evicted = now.reason.as_ref().filter(|(reason, _)| reason == "Evicted").map(|(_, message)| {
        json!({"type": "DisruptionTarget", "status": "True", "lastTransitionTime": time(since("DisruptionTarget", true)),
            "reason": "TerminationByKubelet", "message": message})
    });
    let conditions: Vec<Value> = evicted.into_iter().chain(conditions).collect();
    let spec = object::spec(&record.pod);
    let specs: Vec<_> = spec.init_containers.into_iter().flatten().chain(spec.containers).collect();
    let list = |kinds: &[Kind]| -> Vec<Value> {
        let of_kind = containers.iter().filter(|one| kinds.contains(&one.kind));
        of_kind.map(|one| container(one, specs.iter().find(|spec| spec.name == one.name), record)).collect()
    };
    let mut status = json!({
        "phase": now.phase.word(),
        "conditions": conditions,
        "qosClass": record.class,
        "startTime": record.created,
        "containerStatuses": list(&[Kind::App]),
    });
    let init = list(&[Kind::Init, Kind::Sidecar]);
    if !init.is_empty() {
        status["initContainerStatuses"] = json!(init);
    }
    if let Some(ip) = now.pod_ip {
        status["podIP"] = json!(ip);
        status["podIPs"] = json!([{"ip": ip}]);
    }
    if let Some(ip) = now.host_ip {
        status["hostIP"] = json!(ip);
        status["hostIPs"] = json!([{"ip": ip}]);
    }
    if let Some((reason, message)) = &now.reason {
        status["reason"] = json!(reason);
        status["message"] = json!(message);
    }
    pod["status"] = status;
    pod
}

fn container(one: &Container, spec: Option<&api::Container>, record: &Record) -> Value {
    let image = spec.and_then(|spec| spec.image.as_deref()).unwrap_or_default();
    let resources = spec.and_then(|spec| spec.resources.clone()).unwrap_or_default();
    let mut value = json!({
        "name": one.name,
        "image": image,
        "imageID": record.images.get(image).and_then(|files| files.id.clone()).unwrap_or_default(),
        "ready": one.ready,
        "restartCount": one.restarts,
        "started": one.started,
        "lastState": {},
        "resources": resources,
    });
    if let Some(requests) = &resources.requests {
        value["allocatedResources"] = json!(requests);
    }
    value["state"] = match &one.state {
        State::Waiting { reason, message } => {
            let mut waiting = json!({"reason": reason});
            if let Some(message) = message {
                waiting["message"] = json!(message);
            }
            json!({"waiting": waiting})
        }
        State::Running { since } => json!({"running": {"startedAt": time(*since)}}),
        State::Ended(exit) => terminated(exit),
    };
    if let Some(last) = &one.last {
        value["lastState"] = terminated(last);
    }
    value
}

fn terminated(exit: &Exit) -> Value {
    let mut value = json!({
        "exitCode": exit.code,
        "reason": exit.reason,
        "startedAt": time(exit.started),
        "finishedAt": time(exit.finished),
        "containerID": format!("glassbox://{}", exit.id),
    });
    if let Some(message) = &exit.message {
        value["message"] = json!(message);
    }
    json!({"terminated": value})
}

/// RFC 3339 in whole seconds, as the API has times.
pub fn time(at: Timestamp) -> String {
    format!("{at:.0}")
}

/// What stands under STATUS in `kubectl get pods` (`pkg/printers/internalversion`, `printPod`), from the object.
pub fn word(pod: &Value) -> String {
    let status = &pod["status"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    let mut word = match text(&status["reason"]) {
        reason if reason.is_empty() => text(&status["phase"]),
        reason => reason,
    };
    let list = |name: &str| status[name].as_array().cloned().unwrap_or_default();
    let init = list("initContainerStatuses");
    for (index, one) in init.iter().enumerate() {
        let state = &one["state"];
        let done = state["terminated"]["exitCode"] == 0 || (one["started"] == true && !state["running"].is_null());
        if done {
            continue;
        }
        word = match (&state["terminated"]["reason"], &state["waiting"]["reason"]) {
            (Value::String(reason), _) => format!("Init:{reason}"),
            (_, Value::String(reason)) if reason != "PodInitializing" && reason != "ContainerCreating" => {
                format!("Init:{reason}")
            }
            _ => format!("Init:{index}/{}", init.len()),
        };
        break;
    }
    if !word.starts_with("Init:") {
        let mut running = false;
        for one in list("containerStatuses").iter().rev() {
            let state = &one["state"];
            match (&state["waiting"]["reason"], &state["terminated"]["reason"]) {
                (Value::String(reason), _) | (_, Value::String(reason)) if text(&status["reason"]).is_empty() => {
                    word = reason.clone()
                }
                _ => {}
            }
            running |= one["ready"] == true && !state["running"].is_null();
        }
        if word == "Completed" && running {
            word = "Running".into();
        }
    }
    match pod["metadata"].get("deletionTimestamp") {
        Some(_) => "Terminating".into(),
        None => word,
    }
}
