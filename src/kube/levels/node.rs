//! The levels that a node has once: `kubepods`, and the directory of a QoS class.

use super::super::cpu::Formula;
use super::super::effective::{self, List};
use super::super::hugetlb;
use super::super::qos::Class;
use super::{Case, Level, Rank};

const UNBOUNDED: &str = "kubelet leaves huge pages unlimited at node and QoS level: 2^62";

/// `kubepods` (`getCgroupConfig` of `node_container_manager_linux.go`).
pub fn kubepods(case: &Case<'_>) -> Level {
    let (node, config) = (&case.setting.node, &case.setting.config);
    let mut level = Level::new(Rank::Kubepods, "kubepods", "node", case.path(None, None));
    if let Some(total) = node.for_pods("cpu", config) {
        level.weigh(total.quantity.milli_value(), &total.how, Formula::Old);
    }
    if let Some(total) = node.for_pods("memory", config).filter(|total| !total.quantity.is_zero()) {
        let bytes = total.quantity.value();
        level.write("memory.max", bytes, format!("{}: {bytes} bytes", total.how));
    }
    if config.gates.memory_qos {
        let (bytes, because) = protected(case, &[Class::Guaranteed, Class::Burstable]);
        level.write("memory.min", bytes, because);
    }
    match node.for_pods("pid", config) {
        Some(total) => {
            let pids = total.quantity.value().max(1);
            level.write("pids.max", pids, format!("{}: {pids} tasks", total.how));
        }
        None => level.leave(
            "pids.max",
            "?",
            "kubelet writes the lesser of kernel.pid_max and threads-max, which a Node does not tell",
        ),
    }
    if !config.static_cpus {
        let cpus = node.cpus.to_string();
        level.write(
            "cpuset.cpus",
            cpus,
            format!("{}: all CPUs; the CPU manager's policy is none, the default", node.source),
        );
    }
    unlimited_huge_pages(case, &mut level);
    level
}

/// The directory of the pod's class (`qos_container_manager_linux.go`); Guaranteed pods stand in `kubepods` itself.
pub fn qos_class(case: &Case<'_>) -> Option<Level> {
    let name = match case.class {
        Class::Guaranteed => return None,
        Class::BestEffort => "besteffort",
        Class::Burstable => "burstable",
    };
    let mut level = Level::new(Rank::Qos, name, "class", case.path(Some(case.class), None));
    let total = effective::of_pod(case.pod, List::Requests).remove("cpu").filter(|_| case.class == Class::Burstable);
    let milli = total.as_ref().map_or(0, |total| total.quantity.milli_value());
    let origin = match (case.class, total) {
        (Class::BestEffort, _) => "fixed for BestEffort".to_string(),
        (_, Some(total)) => format!("{}, this pod alone of all Burstable ones", total.how),
        (_, None) => "the pod requests no cpu".to_string(),
    };
    level.weigh(milli, &origin, Formula::Old);
    level.leave("cpu.max", "max 100000", "kubelet sets no cpu limit at this level");
    match case.setting.config.qos_reserved_memory {
        Some(percent) => reserve(case, percent, &mut level),
        None => level.leave("memory.max", "max", "kubelet sets no memory limit at this level"),
    }
    if case.setting.config.gates.memory_qos && case.class == Class::Burstable {
        let (bytes, because) = protected(case, &[Class::Burstable]);
        level.write("memory.low", bytes, because);
    }
    unlimited_huge_pages(case, &mut level);
    Some(level)
}

/// `qosReserved`: what pods of better classes request is kept from this class (`setMemoryReserve`). Only this pod is known,
/// and it takes nothing from its own class.
fn reserve(case: &Case<'_>, percent: i128, level: &mut Level) {
    if let Some(total) = case.setting.node.for_pods("memory", &case.setting.config) {
        let bytes = total.quantity.value();
        let less = format!("less {percent}% (qosReserved) of what pods of better classes request, here none");
        level.write("memory.max", bytes, format!("{}: {bytes} bytes; {less}", total.how));
    }
}

/// What `setMemoryQoS` protects for the pods of these classes, of which only this one is known.
fn protected(case: &Case<'_>, classes: &[Class]) -> (i128, String) {
    if !case.setting.config.tiered_reservation {
        return (0, "memoryReservationPolicy is None, the default: nothing is protected".to_string());
    }
    if !classes.contains(&case.class) {
        return (0, "TieredReservation: this pod's class has no memory protected".to_string());
    }
    match effective::of_pod(case.pod, List::Requests).remove("memory") {
        Some(total) => {
            let bytes = total.quantity.value();
            (bytes, format!("{}, this pod alone (TieredReservation): {bytes} bytes", total.how))
        }
        None => (0, "TieredReservation: the pod requests no memory".to_string()),
    }
}

fn unlimited_huge_pages(case: &Case<'_>, level: &mut Level) {
    for size in &case.page_sizes {
        level.huge_pages(size, hugetlb::UNLIMITED, UNBOUNDED);
    }
}
