//! The pod level (`ResourceConfigForPod` of `pkg/kubelet/cm/helpers_linux.go`), written once, when the pod's cgroup is made.

use crate::cgroup::Write;

use super::super::cgroup_path;
use super::super::cpu::{self, Formula};
use super::super::effective::{self, List};
use super::super::memory;
use super::super::pod::{Kind, Pod};
use super::super::qos::Class;
use super::{Level, Rank, Setting, file};

/// The pod's own cgroup.
pub fn pod(pod: &Pod, class: Class, setting: &Setting) -> Level {
    let mut level = Level {
        rank: Rank::Pod,
        name: pod.name.clone(),
        kind: "pod",
        path: cgroup_path::of_pod_levels(setting.driver, Some(class), Some(&pod.uid)),
        files: vec![weight(pod, class)],
        unwritten: Vec::new(),
        oom: None,
    };
    match cpu_max(pod, class, setting) {
        Ok(write) => level.files.push(write),
        Err(left) => level.unwritten.push(left),
    }
    match memory_max(pod, class) {
        Ok(write) => level.files.push(write),
        Err(left) => level.unwritten.push(left),
    }
    match setting.kubelet().pod_pids_limit {
        Some(limit) => level.files.push(file(
            "pids.max",
            limit.to_string(),
            format!("KubeletConfiguration podPidsLimit = {limit}"),
        )),
        None => level.unwritten.push(file("pids.max", "max", "KubeletConfiguration podPidsLimit is not above 0")),
    }
    level
}

fn weight(pod: &Pod, class: Class) -> Write {
    let (milli, origin) = match (class, effective::of_pod(pod, List::Requests).remove("cpu")) {
        (Class::BestEffort, _) => (0, "BestEffort, whatever its overhead".to_string()),
        (_, Some(total)) => (total.quantity.milli_value(), total.how),
        (_, None) => (0, "the pod requests no cpu".to_string()),
    };
    let shares = cpu::shares(milli);
    let because = format!("{origin}: {}; {}", cpu::shares_because(milli), cpu::weight_because(shares, Formula::Old));
    file("cpu.weight", cpu::weight(shares, Formula::Old).to_string(), because)
}

/// The write, or the file that stays as it is with the reason.
fn cpu_max(pod: &Pod, class: Class, setting: &Setting) -> Result<Write, Write> {
    let left = |why: String| Err(file("cpu.max", "max 100000", why));
    if let Err(why) = declared(pod, class, "cpu") {
        return left(why);
    }
    let config = setting.kubelet();
    if !config.cpu_cfs_quota {
        let value = format!("max {}", config.period);
        return Ok(file("cpu.max", value, "KubeletConfiguration cpuCFSQuota = false: cpu limits are not enforced"));
    }
    let total = effective::of_pod(pod, List::Limits).remove("cpu");
    let milli = total.as_ref().map_or(0, |total| total.quantity.milli_value());
    let (value, sum) = cpu::max(milli, config.period, setting.systemd());
    let origin = total.map_or_else(|| "no limit".to_string(), |total| total.how);
    Ok(file("cpu.max", value, format!("{origin}: {sum}")))
}

fn memory_max(pod: &Pod, class: Class) -> Result<Write, Write> {
    if let Err(why) = declared(pod, class, "memory") {
        return Err(file("memory.max", "max", why));
    }
    match effective::of_pod(pod, List::Limits).remove("memory").filter(|total| !total.quantity.is_zero()) {
        Some(total) => {
            let bytes = total.quantity.value();
            Ok(file("memory.max", bytes.to_string(), memory::max_because(bytes, &total.how)))
        }
        None => Err(file("memory.max", "max", "the pod has no memory limit")),
    }
}

/// Whether every container "declares" a limit, as kubelet counts it: an init container counts with the sidecars started
/// before it, so an unlimited one after a limited sidecar passes. A pod-level limit settles it.
fn declared(pod: &Pod, class: Class, resource: &str) -> Result<(), String> {
    match class {
        Class::Guaranteed => return Ok(()),
        Class::BestEffort => return Err("never written for a BestEffort pod".into()),
        Class::Burstable => {}
    }
    if pod.positive_pod_limit(resource).is_some() {
        return Ok(());
    }
    let limited = |container: &super::super::pod::Container| {
        container.resources.limits.get(resource).is_some_and(|amount| !amount.quantity.is_zero())
    };
    let missing = |name: &str| Err(format!("container {name} has no {resource} limit, so the pod gets none"));
    let mut sidecar_limited = false;
    for container in &pod.init_containers {
        let counts = limited(container) || sidecar_limited;
        sidecar_limited |= container.kind == Kind::Sidecar && limited(container);
        if !counts {
            return missing(&container.name);
        }
    }
    pod.containers.iter().find(|container| !limited(container)).map_or(Ok(()), |container| missing(&container.name))
}
