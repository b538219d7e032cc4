//! The levels that a node has once: `kubepods`, and the directory of a QoS class.

use super::super::cgroup_path;
use super::super::cpu::{self, Formula};
use super::super::effective::{self, List};
use super::super::pod::Pod;
use super::super::qos::Class;
use super::{Level, Rank, Setting, file};

/// `kubepods` (`getCgroupConfig` of `node_container_manager_linux.go`).
pub fn kubepods(setting: &Setting) -> Level {
    let config = setting.config.as_ref();
    let mut files = Vec::new();
    if let Some(total) = setting.node.for_pods("cpu", config) {
        let milli = total.quantity.milli_value();
        let shares = cpu::shares(milli);
        let because =
            format!("{}: {}; {}", total.how, cpu::shares_because(milli), cpu::weight_because(shares, Formula::Old));
        files.push(file("cpu.weight", cpu::weight(shares, Formula::Old).to_string(), because));
    }
    if let Some(total) = setting.node.for_pods("memory", config).filter(|total| !total.quantity.is_zero()) {
        let bytes = total.quantity.value();
        files.push(file("memory.max", bytes.to_string(), format!("{}: {bytes} bytes", total.how)));
    }
    let mut unwritten = Vec::new();
    match setting.node.for_pods("pids", config) {
        Some(total) => {
            let pids = total.quantity.value().max(1);
            files.push(file("pids.max", pids.to_string(), format!("{}: {pids} tasks", total.how)));
        }
        None => unwritten.push(file(
            "pids.max",
            "?",
            "the least of the node's kernel.pid_max and threads-max, which a Node does not tell",
        )),
    }
    Level {
        rank: Rank::Kubepods,
        name: "kubepods".into(),
        kind: "node",
        path: cgroup_path::of_pod_levels(setting.driver, None, None),
        files,
        unwritten,
        oom: None,
    }
}

/// The directory of the pod's class (`qos_container_manager_linux.go`); Guaranteed pods stand in `kubepods` itself.
pub fn qos_class(pod: &Pod, class: Class, setting: &Setting) -> Option<Level> {
    let (name, milli, origin) = match class {
        Class::Guaranteed => return None,
        Class::BestEffort => ("besteffort", 0, "fixed for BestEffort".to_string()),
        Class::Burstable => {
            let total = effective::of_pod(pod, List::Requests).remove("cpu");
            let milli = total.as_ref().map_or(0, |total| total.quantity.milli_value());
            let how = total.map_or_else(|| "the pod requests no cpu".to_string(), |total| total.how);
            ("burstable", milli, format!("{how}, this pod alone of all Burstable ones"))
        }
    };
    let shares = cpu::shares(milli);
    let because = format!("{origin}: {}; {}", cpu::shares_because(milli), cpu::weight_because(shares, Formula::Old));
    let never = "kubelet sets no limit at this level";
    Some(Level {
        rank: Rank::Qos,
        name: name.into(),
        kind: "class",
        path: cgroup_path::of_pod_levels(setting.driver, Some(class), None),
        files: vec![file("cpu.weight", cpu::weight(shares, Formula::Old).to_string(), because)],
        unwritten: vec![file("cpu.max", "max 100000", never), file("memory.max", "max", never)],
        oom: None,
    })
}
