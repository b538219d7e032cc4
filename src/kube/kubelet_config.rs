//! The fields of a KubeletConfiguration that decide cgroup values, with kubelet's defaults for cgroup v2.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Problem;
use super::cgroup_path::Driver;
use super::cpu;
use super::decode;
use super::manifest;
use super::quantity::Quantity;

/// What a kubelet was told, defaults filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct KubeletConfig {
    /// `cgroupDriver`, where it is written.
    pub driver: Option<Driver>,
    /// `cpuCFSQuota`: whether cpu limits become `cpu.max`.
    pub cpu_cfs_quota: bool,
    /// `cpuCFSQuotaPeriod` in microseconds.
    pub period: u64,
    /// `podPidsLimit`, where it is above zero.
    pub pod_pids_limit: Option<i64>,
    /// `singleProcessOOMKill`: an out-of-memory kill takes one process rather than the container.
    pub single_process_oom_kill: bool,
    /// `systemReserved`.
    pub system_reserved: BTreeMap<String, Quantity>,
    /// `kubeReserved`.
    pub kube_reserved: BTreeMap<String, Quantity>,
    /// Whether `enforceNodeAllocatable` holds `pods`.
    pub enforces_pods: bool,
    /// What a reader must know: fields that are not looked at.
    pub warnings: Vec<String>,
}

impl Default for KubeletConfig {
    fn default() -> Self {
        KubeletConfig {
            driver: None,
            cpu_cfs_quota: true,
            period: cpu::DEFAULT_PERIOD,
            pod_pids_limit: None,
            single_process_oom_kill: false,
            system_reserved: BTreeMap::new(),
            kube_reserved: BTreeMap::new(),
            enforces_pods: true,
            warnings: Vec::new(),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[allow(non_snake_case)]
struct Written {
    #[allow(dead_code)]
    api_version: Option<String>,
    #[allow(dead_code)]
    kind: Option<String>,
    cgroup_driver: Option<String>,
    cpuCFSQuota: Option<bool>,
    cpuCFSQuotaPeriod: Option<String>,
    pod_pids_limit: Option<i64>,
    singleProcessOOMKill: Option<bool>,
    system_reserved: Option<BTreeMap<String, String>>,
    kube_reserved: Option<BTreeMap<String, String>>,
    enforce_node_allocatable: Option<Vec<String>>,
}

impl KubeletConfig {
    /// Reads a KubeletConfiguration of `kubelet.config.k8s.io/v1beta1`, YAML or JSON.
    ///
    /// The errors are those that keep a kubelet from starting.
    pub fn decode(text: &str) -> Result<KubeletConfig, Vec<Problem>> {
        let value = manifest::single(text, "KubeletConfiguration", "kubelet.config.k8s.io/v1beta1");
        let typed: decode::Typed<Written> = value.and_then(decode::typed).map_err(|problem| vec![problem])?;
        let mut problems = Vec::new();
        let config = check(typed.object, &mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        let mut config = config;
        if !typed.unknown.is_empty() {
            let names = typed.unknown.join(", ");
            config.warnings.push(format!("fields of the KubeletConfiguration that are not looked at: {names}"));
        }
        Ok(config)
    }
}

fn check(written: Written, problems: &mut Vec<Problem>) -> KubeletConfig {
    let defaults = KubeletConfig::default();
    let driver = match written.cgroup_driver.as_deref() {
        None | Some("") => None,
        Some("cgroupfs") => Some(Driver::Cgroupfs),
        Some("systemd") => Some(Driver::Systemd),
        Some(other) => {
            problems.push(Problem::new("cgroupDriver", format!("Invalid value: {other:?}: write cgroupfs or systemd")));
            None
        }
    };
    let period = written.cpuCFSQuotaPeriod.map_or(Ok(defaults.period), |text| period(&text));
    KubeletConfig {
        driver,
        cpu_cfs_quota: written.cpuCFSQuota.unwrap_or(defaults.cpu_cfs_quota),
        period: period.unwrap_or_else(|problem| {
            problems.push(problem);
            defaults.period
        }),
        pod_pids_limit: written.pod_pids_limit.filter(|limit| *limit > 0),
        single_process_oom_kill: written.singleProcessOOMKill.unwrap_or(defaults.single_process_oom_kill),
        system_reserved: reserved("systemReserved", written.system_reserved, problems),
        kube_reserved: reserved("kubeReserved", written.kube_reserved, problems),
        enforces_pods: written.enforce_node_allocatable.is_none_or(|list| list.iter().any(|name| name == "pods")),
        warnings: Vec::new(),
    }
}

fn reserved(
    field: &str,
    written: Option<BTreeMap<String, String>>,
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, Quantity> {
    let mut amounts = BTreeMap::new();
    for (name, text) in written.unwrap_or_default() {
        match text.parse::<Quantity>() {
            Ok(quantity) if quantity.is_negative() => problems.push(Problem::new(
                format!("{field}[{name}]"),
                format!("Invalid value: {text:?}: must not be negative"),
            )),
            Ok(quantity) => drop(amounts.insert(name, quantity)),
            Err(error) => problems.push(Problem::new(format!("{field}[{name}]"), format!("Invalid value: {error}"))),
        }
    }
    amounts
}

fn period(text: &str) -> Result<u64, Problem> {
    let problem = |why: &str| Problem::new("cpuCFSQuotaPeriod", format!("Invalid value: {text:?}: {why}"));
    let nanos = nanoseconds(text).ok_or_else(|| problem("write a duration such as 100ms"))?;
    if !(1_000_000..=1_000_000_000).contains(&nanos) {
        return Err(problem("must be between 1ms and 1s"));
    }
    Ok((nanos / 1000) as u64)
}

/// A duration as Go writes it (`1.5s`, `100ms`, `1m30s`), in nanoseconds; negative ones are `None`.
fn nanoseconds(text: &str) -> Option<i128> {
    const UNITS: [(&str, i128); 8] = [
        ("ns", 1),
        ("us", 1000),
        ("µs", 1000),
        ("μs", 1000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
    ];
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(0);
    }
    let mut total: i128 = 0;
    while !rest.is_empty() || total == 0 {
        let length = rest.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
        let (number, after) = rest.split_at(length);
        let unit_length = after.bytes().take_while(|b| !b.is_ascii_digit() && *b != b'.').count();
        let (unit, next) = after.split_at(unit_length);
        let (_, unit) = UNITS.iter().find(|(name, _)| *name == unit)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.len() + fraction.len() == 0 || whole.len() > 15 || fraction.len() > 15 || fraction.contains('.') {
            return None;
        }
        let scale = 10i128.pow(fraction.len() as u32);
        let mantissa: i128 = format!("{whole}{fraction}").parse().ok()?;
        total = total.checked_add(mantissa * unit / scale)?;
        rest = next;
        if rest.is_empty() {
            break;
        }
    }
    Some(total)
}
