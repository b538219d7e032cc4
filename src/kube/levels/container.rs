//! A container's level: what the kubelet asks of the runtime (`generateLinuxContainerResources` of
//! `pkg/kubelet/kuberuntime/kuberuntime_container_linux.go`), and what the runtime makes of it.

use crate::cgroup::Write;

use super::super::cpu;
use super::super::memory;
use super::super::oom::{self, Score};
use super::super::pod::{Amount, Container, Pod};
use super::super::qos::Class;
use super::{Level, Rank, Setting, file};

/// The cgroup of the pause container, which holds the pod's namespaces.
pub fn sandbox(setting: &Setting, path: String) -> Level {
    let runtime = setting.cri.name();
    let weight = cpu::weight(cpu::MIN_SHARES, setting.formula);
    let because =
        format!("{runtime} gives every sandbox 2 shares; {}", cpu::weight_because(cpu::MIN_SHARES, setting.formula));
    Level {
        rank: Rank::Sandbox,
        name: "sandbox".into(),
        kind: "pause",
        path,
        files: vec![file("cpu.weight", weight.to_string(), because)],
        unwritten: Vec::new(),
        oom: Some(Score { value: oom::SANDBOX, because: format!("fixed by {runtime} for the pause process") }),
    }
}

/// The cgroup of one container.
pub fn container(pod: &Pod, container: &Container, class: Class, setting: &Setting, path: String) -> Level {
    let mut level = Level {
        rank: Rank::Container,
        name: container.name.clone(),
        kind: container.kind.word(),
        path,
        files: vec![weight(pod, container, setting)],
        unwritten: Vec::new(),
        oom: Some(oom::score(pod, container, class, setting.node.memory())),
    };
    match cpu_max(pod, container, setting) {
        Ok(write) => level.files.push(write),
        Err(left) => level.unwritten.push(left),
    }
    match memory_max(pod, container) {
        Ok(write) => level.files.push(write),
        Err(left) => level.unwritten.push(left),
    }
    level.files.push(file(
        "memory.swap.max",
        "0",
        "swapBehavior is NoSwap, the default: none, even if the node has swap",
    ));
    match setting.kubelet().single_process_oom_kill {
        false => level.files.push(file(
            "memory.oom.group",
            "1",
            "singleProcessOOMKill is false, the default: out of memory kills all of the container",
        )),
        true => level.unwritten.push(file("memory.oom.group", "0", "KubeletConfiguration singleProcessOOMKill = true")),
    }
    level
}

/// The container's own limit, or the pod-level one where it has none (`getCPULimit`, `getMemoryLimit`).
fn limit<'a>(pod: &'a Pod, container: &'a Container, resource: &str) -> Option<&'a Amount> {
    let own = container.resources.limits.get(resource).filter(|amount| !amount.quantity.is_zero());
    own.or_else(|| pod.positive_pod_limit(resource))
}

fn weight(pod: &Pod, container: &Container, setting: &Setting) -> Write {
    let amount = container.resources.requests.get("cpu").or_else(|| limit(pod, container, "cpu"));
    let milli = amount.map_or(0, |amount| amount.quantity.milli_value());
    let origin =
        amount.map_or_else(|| format!("{}.resources.requests.cpu is not set", container.field), Amount::origin);
    let shares = cpu::shares(milli);
    let because = format!("{origin}: {}; {}", cpu::shares_because(milli), cpu::weight_because(shares, setting.formula));
    file("cpu.weight", cpu::weight(shares, setting.formula).to_string(), because)
}

fn cpu_max(pod: &Pod, container: &Container, setting: &Setting) -> Result<Write, Write> {
    let config = setting.kubelet();
    if !config.cpu_cfs_quota {
        return Err(file("cpu.max", "max 100000", "KubeletConfiguration cpuCFSQuota = false: not sent to the runtime"));
    }
    let amount = limit(pod, container, "cpu");
    let milli = amount.map_or(0, |amount| amount.quantity.milli_value());
    let (value, sum) = cpu::max(milli, config.period, setting.systemd());
    let origin = amount.map_or_else(|| format!("{}.resources.limits.cpu is not set", container.field), Amount::origin);
    Ok(file("cpu.max", value, format!("{origin}: {sum}")))
}

fn memory_max(pod: &Pod, container: &Container) -> Result<Write, Write> {
    match limit(pod, container, "memory") {
        Some(amount) => {
            let bytes = amount.quantity.value();
            Ok(file("memory.max", bytes.to_string(), memory::max_because(bytes, &amount.origin())))
        }
        None => Err(file("memory.max", "max", format!("{}.resources.limits.memory is not set", container.field))),
    }
}
