//! The fields of a KubeletConfiguration that decide cgroup values, with kubelet's defaults for cgroup v2.

mod check;
mod duration;
mod eviction;
mod fields;

use std::collections::BTreeMap;
use std::time::Duration;

use super::Problem;
use super::cgroup_path::Driver;
use super::cpu;
use super::cpuset::CpuSet;
use super::decode;
use super::eviction::{Settings, Signal};
use super::manifest;
use super::quantity::Quantity;

/// What a kubelet was told, defaults filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct KubeletConfig {
    /// Whether a configuration was given; without one, what is reserved on the node is not known.
    pub given: bool,
    /// `cgroupDriver`, where it is written.
    pub driver: Option<Driver>,
    /// `cgroupRoot`: the cgroups above `kubepods`.
    pub cgroup_root: Vec<String>,
    /// `cpuCFSQuota`: whether cpu limits become `cpu.max`.
    pub cpu_cfs_quota: bool,
    /// `cpuCFSQuotaPeriod` in microseconds.
    pub period: u64,
    /// `cpuManagerPolicy` is `static`.
    pub static_cpus: bool,
    /// `cpuManagerPolicyOptions` has `strict-cpu-reservation`.
    pub strict_reservation: bool,
    /// `reservedSystemCPUs`.
    pub reserved_cpus: Option<CpuSet>,
    /// `podPidsLimit`, where it is above zero.
    pub pod_pids_limit: Option<i64>,
    /// `singleProcessOOMKill`: an out-of-memory kill takes one process rather than the container.
    pub single_process_oom_kill: bool,
    /// `memorySwap.swapBehavior` is `LimitedSwap`.
    pub limited_swap: bool,
    /// `memoryThrottlingFactor`, above 0 and at most 1.
    pub memory_throttling_factor: f64,
    /// `memoryReservationPolicy` is `TieredReservation`.
    pub tiered_reservation: bool,
    /// `qosReserved.memory` in percent.
    pub qos_reserved_memory: Option<i128>,
    /// `systemReserved`.
    pub system_reserved: BTreeMap<String, Quantity>,
    /// `kubeReserved`.
    pub kube_reserved: BTreeMap<String, Quantity>,
    /// `evictionHard` and the other fields about eviction.
    pub eviction: Settings,
    /// `crashLoopBackOff.maxContainerRestartPeriod`.
    pub longest_back_off: Duration,
    /// Whether `enforceNodeAllocatable` holds `pods`.
    pub enforces_pods: bool,
    /// `featureGates`.
    pub gates: Gates,
    /// What a reader must know: fields that are not looked at.
    pub warnings: Vec<String>,
}

/// An eviction threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Threshold {
    /// So much.
    Amount(Quantity),
    /// So many percent of the capacity.
    Percent(f32),
    /// Never.
    None,
}

/// The feature gates that decide cgroup values, with their defaults in Kubernetes 1.36.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gates {
    /// `MemoryQoS` (alpha): `memory.min`, `memory.low` and `memory.high` are written.
    pub memory_qos: bool,
    /// `PodLevelResources` (beta): `spec.resources` counts.
    pub pod_level_resources: bool,
    /// `QOSReserved` (alpha): `qosReserved` counts.
    pub qos_reserved: bool,
    /// `DisableCPUQuotaWithExclusiveCPUs`: containers with CPUs of their own have no quota.
    pub disable_quota_with_exclusive_cpus: bool,
    /// `CustomCPUCFSQuotaPeriod`: the period can be changed.
    pub custom_period: bool,
}

impl Default for Gates {
    fn default() -> Self {
        Gates {
            memory_qos: false,
            pod_level_resources: true,
            qos_reserved: false,
            disable_quota_with_exclusive_cpus: true,
            custom_period: true,
        }
    }
}

impl Default for KubeletConfig {
    fn default() -> Self {
        KubeletConfig {
            given: false,
            driver: None,
            cgroup_root: Vec::new(),
            cpu_cfs_quota: true,
            period: cpu::DEFAULT_PERIOD,
            static_cpus: false,
            strict_reservation: false,
            reserved_cpus: None,
            pod_pids_limit: None,
            single_process_oom_kill: false,
            limited_swap: false,
            memory_throttling_factor: 0.9,
            tiered_reservation: false,
            qos_reserved_memory: None,
            system_reserved: BTreeMap::new(),
            kube_reserved: BTreeMap::new(),
            eviction: Settings::default(),
            longest_back_off: Duration::from_secs(300),
            enforces_pods: true,
            gates: Gates::default(),
            warnings: Vec::new(),
        }
    }
}

impl KubeletConfig {
    /// Reads a KubeletConfiguration of `kubelet.config.k8s.io/v1beta1`, YAML or JSON.
    ///
    /// The errors are those that keep a kubelet from starting.
    pub fn decode(text: &str) -> Result<KubeletConfig, Vec<Problem>> {
        let value = manifest::single(text, "KubeletConfiguration", "kubelet.config.k8s.io/v1beta1");
        let typed: decode::Typed<check::Written> = value.and_then(decode::typed).map_err(|problem| vec![problem])?;
        let mut config = check::check(typed.object)?;
        let known = |field: &&String| fields::NOT_LOOKED_AT.binary_search(&field.as_str()).is_ok();
        let (unused, unknown): (Vec<&String>, Vec<&String>) = typed.unknown.iter().partition(known);
        let listed = |names: Vec<&String>| names.into_iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        if !unknown.is_empty() {
            let names = listed(unknown);
            config
                .warnings
                .push(format!("unknown fields in the KubeletConfiguration, which a kubelet refuses: {names}"));
        }
        if !unused.is_empty() {
            config
                .warnings
                .push(format!("fields of the KubeletConfiguration that decide nothing here: {}", listed(unused)));
        }
        Ok(config)
    }

    /// `evictionHard.memory.available`, kubelet's default filled in.
    pub fn eviction_memory(&self) -> Threshold {
        self.eviction.hard.get(&Signal::Memory).copied().unwrap_or(Threshold::None)
    }

    /// What is kept from pods of `resource`: `systemReserved` and `kubeReserved`.
    pub fn reserved(&self, resource: &str) -> Quantity {
        let of = |list: &BTreeMap<String, Quantity>| list.get(resource).copied().unwrap_or_default();
        of(&self.system_reserved).plus(of(&self.kube_reserved))
    }
}
