//! A container's level: what the kubelet asks of the runtime (`generateLinuxContainerResources` of
//! `pkg/kubelet/kuberuntime/kuberuntime_container_linux.go`), and what the runtime makes of it.

use super::super::cgroup_path::Cri;
use super::super::cpu;
use super::super::hugetlb;
use super::super::memory;
use super::super::oom::{self, Score};
use super::super::pod::{Amount, Container, Pod, ResourceList};
use super::super::qos::Class;
use super::{Case, Level, Rank, Setting};

/// The cgroup of the pause container, which holds the pod's namespaces.
pub fn sandbox(setting: &Setting, path: String) -> Level {
    let runtime = setting.cri.name();
    let mut level = Level::new(Rank::Sandbox, "sandbox", "pause", path);
    let weight = cpu::weight(cpu::MIN_SHARES, setting.formula);
    let formula = cpu::weight_because(cpu::MIN_SHARES, setting.formula);
    let mut because = format!("{runtime} gives every sandbox 2 shares: {formula}");
    if setting.cri == Cri::Crio {
        because.push_str("; with drop_infra_ctr, its default, it starts one only where the pod shares a PID namespace");
    }
    level.write("cpu.weight", weight, because);
    level.oom = Some(Score { value: oom::SANDBOX, because: format!("fixed by {runtime} for the pause process") });
    level
}

/// The cgroup of one container.
pub fn container(case: &Case<'_>, container: &Container, path: String) -> Level {
    let mut level = Level::new(Rank::Container, &container.name, container.kind.word(), path);
    weigh(case, container, &mut level);
    cpu_max(case, container, &mut level);
    memory_max(case.pod, container, &mut level);
    swap(case, container, &mut level);
    memory_qos(case, container, &mut level);
    match case.setting.config.single_process_oom_kill {
        false => level.write(
            "memory.oom.group",
            1,
            "singleProcessOOMKill is false, the default: out of memory kills all of the container",
        ),
        true => level.leave("memory.oom.group", "0", "singleProcessOOMKill is true: out of memory kills one process"),
    }
    cpuset(case, container, &mut level);
    huge_pages(case, container, &mut level);
    level.oom = Some(oom::score(case.pod, container, case.class, case.setting.node.memory()));
    level
}

/// The container's own limit, or the pod-level one where it has none (`getCPULimit`, `getMemoryLimit`).
fn limit<'a>(pod: &'a Pod, container: &'a Container, resource: &str) -> Option<&'a Amount> {
    let own = container.resources.limits.get(resource).filter(|amount| !amount.quantity.is_zero());
    own.or_else(|| pod.positive_pod_limit(resource))
}

fn weigh(case: &Case<'_>, container: &Container, level: &mut Level) {
    let amount = container.resources.requests.get("cpu").or_else(|| limit(case.pod, container, "cpu"));
    let milli = amount.map_or(0, |amount| amount.quantity.milli_value());
    let origin =
        amount.map_or_else(|| format!("{}.resources.requests.cpu is not set", container.field), Amount::origin);
    level.weigh(milli, &origin, case.setting.formula);
}

fn cpu_max(case: &Case<'_>, container: &Container, level: &mut Level) {
    let config = &case.setting.config;
    if !config.cpu_cfs_quota {
        return level.leave("cpu.max", "max 100000", "cpuCFSQuota is false: nothing is sent to the runtime");
    }
    let exclusive = case.cpus.as_ref().and_then(|cpus| cpus.exclusive.get(&container.name));
    if let Some(cpus) = exclusive.filter(|_| config.gates.disable_quota_with_exclusive_cpus) {
        return level.write("cpu.max", format!("max {}", config.period), format!("CPUs {cpus} are its own: no quota"));
    }
    let amount = limit(case.pod, container, "cpu");
    let milli = amount.map_or(0, |amount| amount.quantity.milli_value());
    let (value, sum) = cpu::max(milli, config.period, case.systemd());
    let origin = amount.map_or_else(|| format!("{}.resources.limits.cpu is not set", container.field), Amount::origin);
    level.write("cpu.max", value, format!("{origin}: {sum}"));
}

fn memory_max(pod: &Pod, container: &Container, level: &mut Level) {
    match limit(pod, container, "memory") {
        Some(amount) => {
            let bytes = amount.quantity.value();
            level.write("memory.max", bytes, memory::max_because(bytes, &amount.origin()));
        }
        None => level.leave("memory.max", "max", format!("{}.resources.limits.memory is not set", container.field)),
    }
}

fn bytes(list: &ResourceList) -> i128 {
    list.get("memory").map_or(0, |amount| amount.quantity.value())
}

/// `memory.swap.max` (`configureContainerSwapResources`); written wherever the kernel accounts swap.
fn swap(case: &Case<'_>, container: &Container, level: &mut Level) {
    const FILE: &str = "memory.swap.max";
    let (request, limit) = (bytes(&container.resources.requests), bytes(&container.resources.limits));
    let node = &case.setting.node;
    let why_none = if !case.setting.config.limited_swap {
        "swapBehavior is NoSwap, the default: none, even if the node has swap"
    } else if case.pod.critical {
        "LimitedSwap: none for a critical pod"
    } else if case.class != Class::Burstable {
        "LimitedSwap: for Burstable pods only"
    } else if request == 0 && limit == 0 {
        "LimitedSwap: none for a container without memory request or limit"
    } else if request == limit {
        "LimitedSwap: none where the memory request equals the limit"
    } else if request > node.memory() {
        "LimitedSwap: none for a memory request above the node's memory"
    } else {
        let value = memory::limited_swap(request, node.memory(), node.swap);
        let (memory, swap) = (node.memory(), node.swap);
        let because =
            format!("LimitedSwap: {request} / {memory} * {swap} (memory request / node memory * node swap) = {value}");
        return level.write(FILE, value, because);
    };
    level.write(FILE, 0, why_none);
}

/// `memory.min`, `memory.low` and `memory.high` under the gate MemoryQoS; pod-level resources do not count.
fn memory_qos(case: &Case<'_>, container: &Container, level: &mut Level) {
    let config = &case.setting.config;
    if !config.gates.memory_qos {
        return;
    }
    let (request, limit) = (bytes(&container.resources.requests), bytes(&container.resources.limits));
    if request != 0 && config.tiered_reservation {
        let file = if case.class == Class::Guaranteed { "memory.min" } else { "memory.low" };
        level.write(
            file,
            request,
            format!("{}.resources.requests.memory (TieredReservation): {request} bytes", container.field),
        );
    } else {
        let why = if request == 0 { "no memory is requested" } else { "memoryReservationPolicy is None, the default" };
        level.write("memory.min", 0, why);
        level.write("memory.low", 0, why);
    }
    if request == limit {
        return level.leave("memory.high", "max", "the memory request equals the limit: nothing lies between");
    }
    let (top, what) = match limit {
        0 => {
            (case.setting.node.for_pods("memory", config).map_or(0, |total| total.quantity.value()), "node allocatable")
        }
        limit => (limit, "limit"),
    };
    let factor = config.memory_throttling_factor;
    let high = memory::high(request, top, factor);
    if top == 0 || high <= request {
        return level.leave("memory.high", "max", "it would not be above the memory request");
    }
    let because = format!(
        "MemoryQoS: {request} + {factor} * ({top} - {request}) (request + memoryThrottlingFactor * ({what} - request)), floored to pages = {high}"
    );
    level.write("memory.high", high, because);
}

fn cpuset(case: &Case<'_>, container: &Container, level: &mut Level) {
    let Some(cpus) = &case.cpus else {
        return level.leave("cpuset.cpus", "empty", "the CPU manager's policy is none, the default: any CPU");
    };
    match cpus.exclusive.get(&container.name) {
        Some(own) => level.write(
            "cpuset.cpus",
            own,
            format!("static CPU manager: {} CPUs of its own, for a whole request of a Guaranteed pod", own.0.len()),
        ),
        None => {
            level.write("cpuset.cpus", &cpus.shared, "static CPU manager: the pool shared with all other containers")
        }
    }
}

/// `GetHugepageLimitsFromResources`: every page size of the node, none unless limited.
fn huge_pages(case: &Case<'_>, container: &Container, level: &mut Level) {
    let mut limits = case.pod.resources.as_ref().map(|own| hugetlb::amounts(&own.limits)).unwrap_or_default();
    limits.extend(hugetlb::amounts(&container.resources.limits));
    for size in &case.page_sizes {
        match limits.get(&size.bytes) {
            Some(amount) => {
                let bytes = amount.quantity.value();
                level.huge_pages(size, bytes, &format!("{}: {bytes} bytes", amount.origin()));
            }
            None => level.huge_pages(size, 0, "no limit for huge pages of this size: none at all"),
        }
    }
}
