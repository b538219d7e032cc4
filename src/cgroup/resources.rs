//! Which files of a cgroup get which values. Pure: computes writes, and writes nothing.
//!
//! The files are those of Documentation/admin-guide/cgroup-v2.rst; the conversions from the runtime specification's
//! cgroup v1 terms are those that runc and crun agree on. The device filter is no file: see `devices.rs`.

use crate::spec::oci::{LinuxBlockIo, LinuxCpu, LinuxDeviceType, LinuxMemory, LinuxResources, LinuxThrottleDevice};

/// One value for one file of a cgroup directory, with the reason a reader may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// File name inside the cgroup directory, such as `cpu.max`.
    pub file: String,
    /// What is written, without a newline, in the kernel's spelling: `50000 100000`, `max`, `39`.
    pub value: String,
    /// Where the value comes from: a `config.json` field, or a formula with its numbers filled in.
    pub because: String,
}

/// A limit that no cgroup file can express.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct ResourceError {
    /// The field of config.json, such as `linux.resources.memory.swap`.
    pub field: String,
    /// The value and the rule that it breaks.
    pub message: String,
}

impl Write {
    /// A write to `file` that the field `because` of config.json asks for.
    pub fn new(file: impl Into<String>, value: impl ToString, because: impl Into<String>) -> Write {
        Write { file: file.into(), value: value.to_string(), because: because.into() }
    }

    /// The controller that makes the file: `cpu` for `cpu.max`; none for the core's own `cgroup.*` files.
    pub fn controller(&self) -> Option<&str> {
        match self.file.split('.').next() {
            Some("cgroup") | None => None,
            controller => controller,
        }
    }
}

/// Whether some devices may be used. The last rule that matches decides; where none does, the answer is no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceRule {
    /// May be used, or may not.
    pub allow: bool,
    /// `c`, `b`, or `a` for both.
    pub kind: char,
    /// Major number; none is any.
    pub major: Option<u32>,
    /// Minor number; none is any.
    pub minor: Option<u32>,
    /// BPF_DEVCG_ACC_* bits: 1 mknod, 2 read, 4 write.
    pub access: u8,
}

/// The rules of `linux.resources.devices`, and after them those that every container has. Empty where the config has none.
///
/// The appended ones are what runc always allows: making any node, and using null, zero, full, random, urandom, tty,
/// the pseudo terminals. (runc adds the tun device for old users; glassbox leaves that to the config.)
pub fn device_rules(resources: &LinuxResources) -> Vec<DeviceRule> {
    let Some(rules) = resources.devices().as_ref().filter(|rules| !rules.is_empty()) else { return Vec::new() };
    let number = |number: Option<i64>| number.and_then(|number| u32::try_from(number).ok());
    let mut list: Vec<_> = rules
        .iter()
        .map(|rule| DeviceRule {
            allow: rule.allow(),
            kind: match rule.typ().unwrap_or_default() {
                LinuxDeviceType::A => 'a',
                LinuxDeviceType::B => 'b',
                LinuxDeviceType::C | LinuxDeviceType::U | LinuxDeviceType::P => 'c',
            },
            major: number(rule.major()),
            minor: number(rule.minor()),
            access: access_bits(rule.access().as_deref().unwrap_or("rwm")),
        })
        .collect();
    let allow = |kind, major, minor, access| DeviceRule { allow: true, kind, major, minor, access };
    list.extend([allow('c', None, None, 1), allow('b', None, None, 1)]);
    let usable = [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2)];
    list.extend(usable.map(|(major, minor)| allow('c', Some(major), Some(minor), 7)));
    list.push(allow('c', Some(136), None, 7));
    list
}

fn access_bits(access: &str) -> u8 {
    [('m', 1), ('r', 2), ('w', 4)].into_iter().filter(|(letter, _)| access.contains(*letter)).map(|(_, bit)| bit).sum()
}

/// Every write that `linux.resources` asks for, in an order that the kernel accepts on a new cgroup.
pub fn writes(resources: &LinuxResources) -> Result<Vec<Write>, ResourceError> {
    let mut writes = Vec::new();
    if let Some(cpu) = resources.cpu() {
        cpu_writes(cpu, &mut writes)?;
    }
    if let Some(memory) = resources.memory() {
        memory_writes(memory, &mut writes)?;
    }
    if let Some(pids) = resources.pids() {
        // 0 would let not even one process in; runc writes 1 for it, the least that systemd can say.
        let tasks = if pids.limit() == 0 { 1 } else { pids.limit() };
        writes.push(Write::new("pids.max", limit(tasks), "linux.resources.pids.limit"));
    }
    if let Some(io) = resources.block_io() {
        io_writes(io, &mut writes)?;
    }
    for (index, page) in resources.hugepage_limits().iter().flatten().enumerate() {
        let because = format!("linux.resources.hugepageLimits[{index}]");
        for kind in ["", ".rsvd"] {
            writes.push(Write::new(format!("hugetlb.{}{kind}.max", page.page_size()), page.limit(), &because));
        }
    }
    for (device, rdma) in sorted(resources.rdma()) {
        let value = [("hca_handle", rdma.hca_handles()), ("hca_object", rdma.hca_objects())]
            .into_iter()
            .filter_map(|(key, value)| value.map(|value| format!(" {key}={value}")))
            .collect::<String>();
        writes.push(Write::new("rdma.max", format!("{device}{value}"), format!("linux.resources.rdma.{device}")));
    }
    for (file, value) in sorted(resources.unified()) {
        writes.push(Write::new(file, value, format!("linux.resources.unified.{file}")));
    }
    Ok(writes)
}

/// `cpu.weight` (1 to 10000) for cgroup v1 `shares`; `None` where shares ask for nothing.
///
/// The curve maps 2 to 1, 1024 to 100 and 262144 to 10000 (opencontainers/cgroups, ConvertCPUSharesToCgroupV2Value).
pub fn cpu_weight(shares: u64) -> Option<u64> {
    match shares {
        0 => None,
        1..=2 => Some(1),
        262_144.. => Some(10_000),
        _ => {
            let l = (shares as f64).log2();
            let exponent = (l * l + 125.0 * l) / 612.0 - 7.0 / 34.0;
            Some(10_f64.powf(exponent).ceil() as u64)
        }
    }
}

fn cpu_writes(cpu: &LinuxCpu, writes: &mut Vec<Write>) -> Result<(), ResourceError> {
    let field = |name: &str| format!("linux.resources.cpu.{name}");
    if cpu.realtime_runtime().is_some_and(|us| us > 0) || cpu.realtime_period().is_some_and(|us| us > 0) {
        return Err(error(field("realtimeRuntime"), "cgroup v2 has no real-time limits; remove it"));
    }
    if let Some(idle) = cpu.idle() {
        writes.push(Write::new("cpu.idle", idle, field("idle")));
    }
    // A group that is idle has no weight: the kernel refuses it.
    if let Some(weight) = cpu.shares().and_then(cpu_weight).filter(|_| cpu.idle() != Some(1)) {
        writes.push(Write::new("cpu.weight", weight, field("shares")));
    }
    let (quota, period) = (cpu.quota().unwrap_or(0), cpu.period().unwrap_or(0));
    if quota != 0 || period != 0 {
        let amount = if quota > 0 { quota.to_string() } else { "max".to_string() };
        let period = if period == 0 { 100_000 } else { period };
        let name = if quota != 0 { "quota" } else { "period" };
        writes.push(Write::new("cpu.max", format!("{amount} {period}"), field(name)));
    }
    if let Some(burst) = cpu.burst() {
        writes.push(Write::new("cpu.max.burst", burst, field("burst")));
    }
    for (name, value) in [("cpus", cpu.cpus()), ("mems", cpu.mems())] {
        if let Some(list) = value.as_ref().filter(|list| !list.is_empty()) {
            writes.push(Write::new(format!("cpuset.{name}"), list, field(name)));
        }
    }
    Ok(())
}

fn memory_writes(memory: &LinuxMemory, writes: &mut Vec<Write>) -> Result<(), ResourceError> {
    let field = |name: &str| format!("linux.resources.memory.{name}");
    if memory.swappiness().is_some_and(|percent| percent != 60) {
        return Err(error(field("swappiness"), "cgroup v2 has no swappiness of a group; remove it"));
    }
    let max = memory.limit().filter(|bytes| *bytes != 0);
    // The runtime specification's swap is memory + swap; cgroup v2 limits swap alone.
    if let Some(total) = memory.swap().filter(|bytes| *bytes != 0) {
        let swap = match (total, max) {
            (..0, _) => -1,
            (_, None | Some(..0)) => return Err(error(field("swap"), "needs memory.limit, which it includes")),
            (total, Some(max)) if total < max => {
                return Err(error(field("swap"), format!("{total} is below memory.limit {max}, which it includes")));
            }
            (total, Some(max)) => total - max,
        };
        writes.push(Write::new("memory.swap.max", limit(swap), field("swap")));
    } else if max.is_some_and(|bytes| bytes < 0) {
        writes.push(Write::new("memory.swap.max", "max", field("limit")));
    }
    if let Some(bytes) = max {
        writes.push(Write::new("memory.max", limit(bytes), field("limit")));
    }
    if let Some(bytes) = memory.reservation().filter(|bytes| *bytes != 0) {
        writes.push(Write::new("memory.low", limit(bytes), field("reservation")));
    }
    Ok(())
}

fn io_writes(io: &LinuxBlockIo, writes: &mut Vec<Write>) -> Result<(), ResourceError> {
    let field = |name: &str| format!("linux.resources.blockIO.{name}");
    if io.leaf_weight().is_some_and(|weight| weight > 0) {
        return Err(error(field("leafWeight"), "cgroup v2 has no leaf weight; remove it"));
    }
    let io_weight = |weight: u16| 1 + (u64::from(weight).saturating_sub(10)) * 9999 / 990;
    if let Some(weight) = io.weight().filter(|weight| *weight != 0) {
        if !(10..=1000).contains(&weight) {
            return Err(error(field("weight"), format!("{weight} is not between 10 and 1000")));
        }
        writes.push(Write::new("io.weight", format!("default {}", io_weight(weight)), field("weight")));
    }
    for (index, device) in io.weight_device().iter().flatten().enumerate() {
        if let Some(weight) = device.weight() {
            let value = format!("{}:{} {}", device.major(), device.minor(), io_weight(weight));
            writes.push(Write::new("io.weight", value, field(&format!("weightDevice[{index}]"))));
        }
    }
    let throttles: [(&str, &str, &Option<Vec<LinuxThrottleDevice>>); 4] = [
        ("throttleReadBpsDevice", "rbps", io.throttle_read_bps_device()),
        ("throttleWriteBpsDevice", "wbps", io.throttle_write_bps_device()),
        ("throttleReadIOPSDevice", "riops", io.throttle_read_iops_device()),
        ("throttleWriteIOPSDevice", "wiops", io.throttle_write_iops_device()),
    ];
    for (name, key, devices) in throttles {
        for (index, device) in devices.iter().flatten().enumerate() {
            let value = format!("{}:{} {key}={}", device.major(), device.minor(), device.rate());
            writes.push(Write::new("io.max", value, field(&format!("{name}[{index}]"))));
        }
    }
    Ok(())
}

fn error(field: String, message: impl Into<String>) -> ResourceError {
    ResourceError { field, message: message.into() }
}

/// A byte or task count in the kernel's spelling: negative is `max`.
fn limit(value: i64) -> String {
    if value < 0 { "max".to_string() } else { value.to_string() }
}

/// A map's entries in the order of their names: the same config gives the same plan.
fn sorted<V>(map: &Option<std::collections::HashMap<String, V>>) -> Vec<(&String, &V)> {
    let mut entries: Vec<_> = map.iter().flatten().collect();
    entries.sort_by_key(|(name, _)| name.as_str());
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(json: serde_json::Value) -> Result<Vec<String>, String> {
        let resources: LinuxResources = serde_json::from_value(json).expect("typed");
        let writes = writes(&resources).map_err(|error| error.to_string())?;
        Ok(writes.into_iter().map(|write| format!("{}={}", write.file, write.value)).collect())
    }

    #[test]
    fn shares_follow_the_curve_of_runc_and_crun() {
        let table = [(0, None), (2, Some(1)), (102, Some(17)), (512, Some(59)), (1024, Some(100)), (2048, Some(174))];
        for (shares, weight) in table.into_iter().chain([(1, Some(1)), (4096, Some(303)), (262_144, Some(10_000))]) {
            assert_eq!(cpu_weight(shares), weight, "shares {shares}");
        }
    }

    #[test]
    fn cpu_and_memory_become_files() {
        let json = serde_json::json!({
            "cpu": {"shares": 1024, "quota": 50000, "period": 100000, "cpus": "0-1", "mems": "0", "burst": 1000},
            "memory": {"limit": 67108864, "swap": 100663296, "reservation": 33554432},
            "pids": {"limit": 100}
        });
        let expected = [
            "cpu.weight=100",
            "cpu.max=50000 100000",
            "cpu.max.burst=1000",
            "cpuset.cpus=0-1",
            "cpuset.mems=0",
            "memory.swap.max=33554432",
            "memory.max=67108864",
            "memory.low=33554432",
            "pids.max=100",
        ];
        assert_eq!(of(json).unwrap(), expected);
    }

    #[test]
    fn absent_unlimited_and_zero_are_three_things() {
        assert_eq!(of(serde_json::json!({})).unwrap(), Vec::<String>::new());
        assert_eq!(
            of(serde_json::json!({"memory": {"limit": -1}})).unwrap(),
            ["memory.swap.max=max", "memory.max=max"]
        );
        assert_eq!(of(serde_json::json!({"memory": {"limit": 0}})).unwrap(), Vec::<String>::new());
        assert_eq!(of(serde_json::json!({"pids": {"limit": -5}})).unwrap(), ["pids.max=max"]);
        assert_eq!(of(serde_json::json!({"pids": {"limit": 0}})).unwrap(), ["pids.max=1"]);
        assert_eq!(of(serde_json::json!({"cpu": {"quota": -1}})).unwrap(), ["cpu.max=max 100000"]);
        assert_eq!(of(serde_json::json!({"cpu": {"period": 50000}})).unwrap(), ["cpu.max=max 50000"]);
    }

    #[test]
    fn what_no_file_can_say_is_refused_with_its_field() {
        let below = of(serde_json::json!({"memory": {"limit": 100, "swap": 50}})).unwrap_err();
        assert_eq!(below, "linux.resources.memory.swap: 50 is below memory.limit 100, which it includes");
        assert!(of(serde_json::json!({"memory": {"swap": 50}})).unwrap_err().contains("needs memory.limit"));
        assert!(of(serde_json::json!({"cpu": {"realtimeRuntime": 5}})).is_err());
    }

    #[test]
    fn a_deny_all_rule_is_followed_by_what_every_container_may_use() {
        let json = serde_json::json!({"devices": [{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 10, "minor": 200, "access": "rw"}]});
        let rules = device_rules(&serde_json::from_value(json).expect("typed"));
        assert_eq!(rules[0], DeviceRule { allow: false, kind: 'a', major: None, minor: None, access: 7 });
        assert_eq!(rules[1], DeviceRule { allow: true, kind: 'c', major: Some(10), minor: Some(200), access: 6 });
        assert!(rules.contains(&DeviceRule { allow: true, kind: 'c', major: Some(1), minor: Some(3), access: 7 }));
        assert_eq!(device_rules(&LinuxResources::default()).len(), 0, "no rules in the config: no filter");
    }

    #[test]
    fn io_hugetlb_rdma_and_unified_become_files() {
        let json = serde_json::json!({
            "blockIO": {"weight": 10, "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 600}]},
            "hugepageLimits": [{"pageSize": "2MB", "limit": 4194304}],
            "rdma": {"mlx5_1": {"hcaHandles": 3, "hcaObjects": 10000}},
            "unified": {"memory.high": "1073741824"}
        });
        let expected = [
            "io.weight=default 1",
            "io.max=8:0 rbps=600",
            "hugetlb.2MB.max=4194304",
            "hugetlb.2MB.rsvd.max=4194304",
            "rdma.max=mlx5_1 hca_handle=3 hca_object=10000",
            "memory.high=1073741824",
        ];
        assert_eq!(of(json).unwrap(), expected);
    }
}
