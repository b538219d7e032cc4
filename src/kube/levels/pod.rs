//! The pod level (`ResourceConfigForPod` of `pkg/kubelet/cm/helpers_linux.go`), written once, when the pod's cgroup is made.

use super::super::cpu::{self, Formula};
use super::super::effective::{self, List};
use super::super::hugetlb;
use super::super::memory;
use super::super::pod::{Container, Kind, Pod};
use super::super::qos::Class;
use super::{Case, Level, Rank};

/// The pod's own cgroup.
pub fn pod(case: &Case<'_>) -> Level {
    let pod = case.pod;
    let mut level = Level::new(Rank::Pod, &pod.name, "pod", case.path(Some(case.class), Some(&pod.uid)));
    weigh(case, &mut level);
    cpu_max(case, &mut level);
    memory_max(case, &mut level);
    protect(case, &mut level);
    match case.setting.config.pod_pids_limit {
        Some(limit) => level.write("pids.max", limit, format!("KubeletConfiguration podPidsLimit = {limit}")),
        None => level.leave("pids.max", "max", "podPidsLimit of the KubeletConfiguration is not above 0"),
    }
    let requested = hugetlb::totals(&effective::of_pod(pod, List::Requests));
    for size in &case.page_sizes {
        match requested.get(&size.bytes) {
            Some(total) => {
                let bytes = total.quantity.value();
                level.huge_pages(size, bytes, &format!("{}: {bytes} bytes", total.how));
            }
            None => level.huge_pages(size, 0, "the pod requests no huge pages of this size"),
        }
    }
    level
}

fn weigh(case: &Case<'_>, level: &mut Level) {
    match (case.class, effective::of_pod(case.pod, List::Requests).remove("cpu")) {
        (Class::BestEffort, _) => level.weigh(0, "fixed for BestEffort, whatever its overhead", Formula::Old),
        (_, Some(total)) => level.weigh(total.quantity.milli_value(), &total.how, Formula::Old),
        (_, None) => level.weigh(0, "the pod requests no cpu", Formula::Old),
    }
}

fn cpu_max(case: &Case<'_>, level: &mut Level) {
    let config = &case.setting.config;
    if let Err(why) = declared(case.pod, case.class, "cpu") {
        return level.leave("cpu.max", "max 100000", why);
    }
    let unlimited = format!("max {}", config.period);
    if !config.cpu_cfs_quota {
        return level.write("cpu.max", unlimited, "cpuCFSQuota is false: cpu limits are not enforced");
    }
    let exclusive = case.cpus.as_ref().is_some_and(|cpus| !cpus.exclusive.is_empty());
    if exclusive && config.gates.disable_quota_with_exclusive_cpus {
        return level.write("cpu.max", unlimited, "a container of the pod has CPUs of its own: no quota");
    }
    let total = effective::of_pod(case.pod, List::Limits).remove("cpu");
    let milli = total.as_ref().map_or(0, |total| total.quantity.milli_value());
    let (value, sum) = cpu::max(milli, config.period, case.systemd());
    let origin = total.map_or_else(|| "no limit".to_string(), |total| total.how);
    level.write("cpu.max", value, format!("{origin}: {sum}"));
}

fn memory_max(case: &Case<'_>, level: &mut Level) {
    if let Err(why) = declared(case.pod, case.class, "memory") {
        return level.leave("memory.max", "max", why);
    }
    match effective::of_pod(case.pod, List::Limits).remove("memory").filter(|total| !total.quantity.is_zero()) {
        Some(total) => {
            let bytes = total.quantity.value();
            level.write("memory.max", bytes, memory::max_because(bytes, &total.how));
        }
        None => level.leave("memory.max", "max", "the pod has no memory limit"),
    }
}

/// `memory.min` or `memory.low` under MemoryQoS with TieredReservation.
fn protect(case: &Case<'_>, level: &mut Level) {
    let config = &case.setting.config;
    if !config.gates.memory_qos || !config.tiered_reservation {
        return;
    }
    let file = if case.class == Class::Guaranteed { "memory.min" } else { "memory.low" };
    let total = effective::of_pod(case.pod, List::Requests).remove("memory");
    if let Some(total) = total.filter(|total| total.quantity.is_positive()) {
        let bytes = total.quantity.value();
        level.write(file, bytes, format!("{} (TieredReservation): {bytes} bytes", total.how));
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
    let limited = |container: &Container| {
        container.resources.limits.get(resource).is_some_and(|amount| !amount.quantity.is_zero())
    };
    let missing = |name: &str| Err(format!("container {name} has no {resource} limit, so the pod gets none"));
    let mut sidecar_limited = false;
    for container in &pod.init_containers {
        if !limited(container) && !sidecar_limited {
            return missing(&container.name);
        }
        sidecar_limited |= container.kind == Kind::Sidecar && limited(container);
    }
    pod.containers.iter().find(|container| !limited(container)).map_or(Ok(()), |container| missing(&container.name))
}
