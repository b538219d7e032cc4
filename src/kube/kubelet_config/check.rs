//! From what is written in a KubeletConfiguration to what a kubelet makes of it
//! (`pkg/kubelet/apis/config/validation/validation.go`).

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::super::Problem;
use super::super::cgroup_path::Driver;
use super::super::cpu;
use super::super::cpuset::CpuSet;
use super::super::quantity::Quantity;
use super::duration::nanoseconds;
use super::eviction;
use super::{Gates, KubeletConfig};

/// The fields as they are written.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Written {
    #[serde(rename = "apiVersion")]
    _api_version: Option<String>,
    #[serde(rename = "kind")]
    _kind: Option<String>,
    cgroup_driver: Option<String>,
    cgroup_root: Option<String>,
    #[serde(rename = "cgroupsPerQOS")]
    cgroups_per_qos: Option<bool>,
    #[serde(rename = "cpuCFSQuota")]
    cpu_cfs_quota: Option<bool>,
    #[serde(rename = "cpuCFSQuotaPeriod")]
    cpu_cfs_quota_period: Option<String>,
    cpu_manager_policy: Option<String>,
    cpu_manager_policy_options: Option<BTreeMap<String, String>>,
    #[serde(rename = "reservedSystemCPUs")]
    reserved_system_cpus: Option<String>,
    pod_pids_limit: Option<i64>,
    #[serde(rename = "singleProcessOOMKill")]
    single_process_oom_kill: Option<bool>,
    memory_swap: Option<MemorySwap>,
    memory_throttling_factor: Option<f64>,
    memory_reservation_policy: Option<String>,
    qos_reserved: Option<BTreeMap<String, String>>,
    system_reserved: Option<BTreeMap<String, String>>,
    kube_reserved: Option<BTreeMap<String, String>>,
    eviction_hard: Option<BTreeMap<String, String>>,
    eviction_soft: Option<BTreeMap<String, String>>,
    eviction_soft_grace_period: Option<BTreeMap<String, String>>,
    eviction_minimum_reclaim: Option<BTreeMap<String, String>>,
    eviction_max_pod_grace_period: Option<i64>,
    merge_default_eviction_settings: Option<bool>,
    crash_loop_back_off: Option<CrashLoopBackOff>,
    enforce_node_allocatable: Option<Vec<String>>,
    feature_gates: Option<BTreeMap<String, bool>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct MemorySwap {
    swap_behavior: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct CrashLoopBackOff {
    max_container_restart_period: Option<String>,
}

/// Fills in the defaults; the problems are those that keep a kubelet from starting.
pub fn check(written: Written) -> Result<KubeletConfig, Vec<Problem>> {
    let mut checker = Checker { problems: Vec::new(), warnings: Vec::new() };
    let config = checker.config(written);
    if checker.problems.is_empty() { Ok(config) } else { Err(checker.problems) }
}

struct Checker {
    problems: Vec<Problem>,
    warnings: Vec<String>,
}

impl Checker {
    fn wrong(&mut self, field: &str, message: impl Into<String>) {
        self.problems.push(Problem::new(field, message));
    }

    /// The value that belongs to a word; no word and an empty one mean the first.
    fn word<T: Copy>(&mut self, field: &str, written: Option<String>, words: &[(&str, T)]) -> T {
        let written = written.unwrap_or_default();
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == written) {
            return *value;
        }
        if !written.is_empty() {
            let list: Vec<&str> = words.iter().map(|(word, _)| *word).filter(|word| !word.is_empty()).collect();
            self.wrong(field, format!("Invalid value: {written:?}: write {}", list.join(" or ")));
        }
        words[0].1
    }

    fn config(&mut self, written: Written) -> KubeletConfig {
        let defaults = KubeletConfig::default();
        let gates = self.gates(written.feature_gates.unwrap_or_default());
        if written.cgroups_per_qos == Some(false) {
            self.wrong("cgroupsPerQOS", "is false, so the kubelet makes no cgroups for pods: there is nothing to show");
        }
        let drivers = [("", None), ("cgroupfs", Some(Driver::Cgroupfs)), ("systemd", Some(Driver::Systemd))];
        let swap = written.memory_swap.and_then(|swap| swap.swap_behavior);
        let mut config = KubeletConfig {
            given: true,
            driver: self.word("cgroupDriver", written.cgroup_driver, &drivers),
            cgroup_root: self.root(written.cgroup_root.as_deref().unwrap_or_default()),
            cpu_cfs_quota: written.cpu_cfs_quota.unwrap_or(defaults.cpu_cfs_quota),
            period: self.period(written.cpu_cfs_quota_period.as_deref(), gates),
            static_cpus: self.word(
                "cpuManagerPolicy",
                written.cpu_manager_policy,
                &[("none", false), ("static", true)],
            ),
            pod_pids_limit: written.pod_pids_limit.filter(|limit| *limit > 0),
            single_process_oom_kill: written.single_process_oom_kill.unwrap_or(defaults.single_process_oom_kill),
            limited_swap: self.word("memorySwap.swapBehavior", swap, &[("NoSwap", false), ("LimitedSwap", true)]),
            memory_throttling_factor: self.factor(written.memory_throttling_factor),
            tiered_reservation: self.word(
                "memoryReservationPolicy",
                written.memory_reservation_policy,
                &[("None", false), ("TieredReservation", true)],
            ),
            qos_reserved_memory: self.qos_reserved(written.qos_reserved.unwrap_or_default(), gates),
            system_reserved: self.reserved("systemReserved", written.system_reserved),
            kube_reserved: self.reserved("kubeReserved", written.kube_reserved),
            eviction: eviction::check(
                eviction::Written {
                    hard: written.eviction_hard,
                    soft: written.eviction_soft.unwrap_or_default(),
                    soft_grace: written.eviction_soft_grace_period.unwrap_or_default(),
                    reclaim: written.eviction_minimum_reclaim.unwrap_or_default(),
                    longest_grace: written.eviction_max_pod_grace_period.unwrap_or(0),
                    merge: written.merge_default_eviction_settings == Some(true),
                },
                &mut self.problems,
            ),
            longest_back_off: self.back_off(written.crash_loop_back_off),
            enforces_pods: written.enforce_node_allocatable.is_none_or(|list| list.iter().any(|name| name == "pods")),
            gates,
            ..defaults
        };
        self.cpus(&mut config, written.reserved_system_cpus, written.cpu_manager_policy_options.unwrap_or_default());
        if config.tiered_reservation && !gates.memory_qos {
            self.wrong("memoryReservationPolicy", "\"TieredReservation\" requires the feature gate MemoryQoS");
        }
        config.warnings = std::mem::take(&mut self.warnings);
        config
    }

    fn gates(&mut self, written: BTreeMap<String, bool>) -> Gates {
        let mut gates = Gates::default();
        let mut others = Vec::new();
        for (name, on) in written {
            match name.as_str() {
                "MemoryQoS" => gates.memory_qos = on,
                "PodLevelResources" => gates.pod_level_resources = on,
                "QOSReserved" => gates.qos_reserved = on,
                "DisableCPUQuotaWithExclusiveCPUs" => gates.disable_quota_with_exclusive_cpus = on,
                "CustomCPUCFSQuotaPeriod" => gates.custom_period = on,
                "NodeSwap" if !on => self.wrong("featureGates[NodeSwap]", "cannot be false: it is locked since 1.34"),
                _ => others.push(name),
            }
        }
        if !others.is_empty() {
            self.warnings.push(format!("feature gates that are not looked at: {}", others.join(", ")));
        }
        gates
    }

    fn root(&mut self, written: &str) -> Vec<String> {
        let parts: Vec<String> = written.split('/').filter(|part| !part.is_empty()).map(str::to_string).collect();
        if parts.iter().any(|part| part == ".." || part == "." || part.contains('_')) {
            self.wrong(
                "cgroupRoot",
                format!("Invalid value: {written:?}: no part may be . or .. or hold an underscore"),
            );
            return Vec::new();
        }
        parts
    }

    /// In microseconds.
    fn period(&mut self, written: Option<&str>, gates: Gates) -> u64 {
        let Some(text) = written else { return cpu::DEFAULT_PERIOD };
        let nanos = nanoseconds(text).unwrap_or(-1);
        let period = u64::try_from(nanos / 1000).unwrap_or(0);
        if !(1_000_000..=1_000_000_000).contains(&nanos) {
            let message = format!("Invalid value: {text:?}: write a duration between 1ms and 1s, such as 100ms");
            self.wrong("cpuCFSQuotaPeriod", message);
        } else if !gates.custom_period && period != cpu::DEFAULT_PERIOD {
            let message = format!("Invalid value: {text:?}: requires the feature gate CustomCPUCFSQuotaPeriod");
            self.wrong("cpuCFSQuotaPeriod", message);
        }
        period
    }

    fn factor(&mut self, written: Option<f64>) -> f64 {
        let factor = written.unwrap_or(KubeletConfig::default().memory_throttling_factor);
        if factor.is_nan() || factor <= 0.0 || factor > 1.0 {
            self.wrong("memoryThrottlingFactor", format!("Invalid value: {factor}: must be above 0 and at most 1"));
        }
        factor
    }

    fn qos_reserved(&mut self, written: BTreeMap<String, String>, gates: Gates) -> Option<i128> {
        let mut memory = None;
        for (name, text) in written {
            let percent = text.strip_suffix('%').and_then(|number| number.parse::<i128>().ok());
            match percent.filter(|percent| (0..=100).contains(percent)) {
                Some(percent) if name == "memory" => memory = Some(percent),
                Some(_) => self.wrong(&format!("qosReserved[{name}]"), "only memory can be reserved"),
                None => {
                    self.wrong(&format!("qosReserved[{name}]"), format!("Invalid value: {text:?}: write 0% to 100%"))
                }
            }
        }
        if memory.is_some() && !gates.qos_reserved {
            self.wrong("qosReserved", "requires the feature gate QOSReserved");
        }
        memory
    }

    fn reserved(&mut self, field: &str, written: Option<BTreeMap<String, String>>) -> BTreeMap<String, Quantity> {
        let mut amounts = BTreeMap::new();
        for (name, text) in written.unwrap_or_default() {
            let field = format!("{field}[{name}]");
            if !matches!(name.as_str(), "cpu" | "memory" | "ephemeral-storage" | "pid") {
                self.wrong(&field, "cannot be reserved: cpu, memory, ephemeral-storage and pid can");
                continue;
            }
            match text.parse::<Quantity>() {
                Ok(quantity) if quantity.is_negative() => {
                    self.wrong(&field, format!("Invalid value: {text:?}: must not be negative"));
                }
                Ok(quantity) => drop(amounts.insert(name, quantity)),
                Err(error) => self.wrong(&field, format!("Invalid value: {error}")),
            }
        }
        amounts
    }

    fn back_off(&mut self, written: Option<CrashLoopBackOff>) -> Duration {
        let default = KubeletConfig::default().longest_back_off;
        let Some(text) = written.and_then(|written| written.max_container_restart_period) else { return default };
        let given = nanoseconds(&text).and_then(|nanos| u64::try_from(nanos).ok()).map(Duration::from_nanos);
        match given.filter(|given| (Duration::from_secs(1)..=default).contains(given)) {
            Some(given) => given,
            None => {
                let message = format!("Invalid value: {text:?}: write a duration between 1s and 300s, such as 60s");
                self.wrong("crashLoopBackOff.maxContainerRestartPeriod", message);
                default
            }
        }
    }

    fn cpus(&mut self, config: &mut KubeletConfig, written: Option<String>, options: BTreeMap<String, String>) {
        for (name, value) in options {
            match (name.as_str(), config.static_cpus) {
                ("strict-cpu-reservation", true) => config.strict_reservation = value == "true",
                (_, true) => self.warnings.push(format!("cpuManagerPolicyOptions[{name}] is not looked at")),
                (_, false) => self.wrong("cpuManagerPolicyOptions", "the policy none takes no options"),
            }
        }
        match written.filter(|text| !text.is_empty()).map(|text| text.parse()) {
            None => {}
            Some(Err(message)) => self.wrong("reservedSystemCPUs", format!("Invalid value: {message}")),
            Some(Ok(cpus)) => {
                // The list replaces the cpu amounts of both reservations (cmd/kubelet/app/server.go).
                let cpus: CpuSet = cpus;
                config.kube_reserved.remove("cpu");
                config.system_reserved.insert("cpu".into(), Quantity::units(cpus.0.len() as i64));
                config.reserved_cpus = Some(cpus);
            }
        }
        if config.static_cpus && config.reserved("cpu").is_zero() {
            let message = "\"static\" needs systemReserved.cpu, kubeReserved.cpu or reservedSystemCPUs above zero";
            self.wrong("cpuManagerPolicy", message);
        }
    }
}
