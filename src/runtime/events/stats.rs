//! A container's numbers in the shape of runc's `events --stats`, whose names are those of cgroup v1. What cgroup v2 does
//! not count is left out; a limit that is not set is the largest number, as runc tells it.

use std::collections::BTreeMap;
use std::fs;

use serde::Serialize;

use crate::cgroup::stat::{self, IoDevice, Limit, Pressure};
use crate::cgroup::{Cgroup, CgroupError};

/// What a container uses.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Stats {
    /// CPU time.
    pub cpu: Cpu,
    /// CPUs and memory nodes that it may use.
    pub cpuset: Cpuset,
    /// Memory.
    pub memory: Memory,
    /// Threads and processes.
    pub pids: Pids,
    /// Block devices.
    pub blkio: Blkio,
    /// Huge pages, by the size of a page.
    pub hugetlb: BTreeMap<String, HugePages>,
    /// Empty: caches and memory bandwidth are not shared out.
    pub intel_rdt: BTreeMap<String, u64>,
    /// The devices of its network namespace.
    pub network_interfaces: Vec<Interface>,
}

/// CPU time, in nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Cpu {
    /// Used.
    pub usage: CpuUsage,
    /// Held back by a quota.
    pub throttling: Throttling,
    /// Waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Pressure>,
}

/// CPU time used, in nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct CpuUsage {
    /// All of it.
    pub total: u64,
    /// In the kernel.
    pub kernel: u64,
    /// In programs.
    pub user: u64,
}

/// What `cpu.max` did.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Throttling {
    /// Periods that have passed.
    pub periods: u64,
    /// Periods in which the quota was used up.
    pub throttled_periods: u64,
    /// Nanoseconds held back.
    pub throttled_time: u64,
}

/// What is effective now of `cpuset.cpus` and `cpuset.mems`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Cpuset {
    /// CPU numbers.
    pub cpus: Vec<u16>,
    /// Memory node numbers.
    pub mems: Vec<u16>,
}

/// Memory, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Memory {
    /// Pages of files.
    pub cache: u64,
    /// Memory.
    pub usage: MemoryUse,
    /// Memory and swap together, as cgroup v1 counted.
    pub swap: MemoryUse,
    /// Of the memory, what the kernel has for it.
    pub kernel: MemoryUse,
    /// Of the memory, what network connections have.
    #[serde(rename = "kernelTCP")]
    pub kernel_tcp: MemoryUse,
    /// `memory.stat`
    pub raw: BTreeMap<String, u64>,
    /// Waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Pressure>,
}

/// A kind of memory, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct MemoryUse {
    /// May be used.
    pub limit: u64,
    /// Is used.
    pub usage: u64,
    /// Was used at most, where the kernel keeps that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<u64>,
    /// How often the limit was hit.
    pub failcnt: u64,
}

/// Threads and processes.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Pids {
    /// There are.
    pub current: u64,
    /// There may be; 0 is no limit.
    pub limit: u64,
}

/// Block devices.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Blkio {
    /// Bytes read and written.
    pub io_service_bytes_recursive: Vec<BlkioEntry>,
    /// Operations.
    pub io_serviced_recursive: Vec<BlkioEntry>,
    /// Waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Pressure>,
}

/// A number of one device.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct BlkioEntry {
    /// Device number.
    pub major: u32,
    /// Device number.
    pub minor: u32,
    /// `Read` or `Write`.
    pub op: &'static str,
    /// Bytes or operations.
    pub value: u64,
}

/// Huge pages of one size.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct HugePages {
    /// Bytes.
    pub usage: u64,
    /// How often the limit was hit.
    pub failcnt: u64,
}

/// A line of proc_pid_net(5), `net/dev`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[allow(missing_docs)]
pub struct Interface {
    pub name: String,
    pub rx_bytes: u64,
    pub rx_packets: u64,
    pub rx_errors: u64,
    pub rx_dropped: u64,
    pub tx_bytes: u64,
    pub tx_packets: u64,
    pub tx_errors: u64,
    pub tx_dropped: u64,
}

/// Reads the numbers of `cgroup`, and of the network that the process `pid` sees.
pub(super) fn of(cgroup: &Cgroup, pid: i32) -> Result<Stats, CgroupError> {
    let stat = cgroup.stat()?;
    let list = |file: &str| cgroup.read(file).map(|text| numbers(&text)).unwrap_or_default();
    let pages = cgroup.huge_pages()?.into_iter();
    Ok(Stats {
        cpu: stat.cpu.map(|cpu| cpu_of(&cpu, stat.pressure.cpu)).unwrap_or_default(),
        cpuset: Cpuset { cpus: list("cpuset.cpus.effective"), mems: list("cpuset.mems.effective") },
        memory: match stat.memory {
            Some(memory) => memory_of(&memory, cgroup.keyed("memory.stat")?, stat.pressure.memory),
            None => Memory::default(),
        },
        pids: stat.pids.map_or_else(Pids::default, |pids| Pids {
            current: pids.current,
            limit: pids.max.and_then(Limit::number).unwrap_or(0),
        }),
        blkio: blkio_of(&stat.io.unwrap_or_default(), stat.pressure.io),
        hugetlb: pages
            .map(|(size, pages)| (size, HugePages { usage: pages.current, failcnt: pages.refused }))
            .collect(),
        intel_rdt: BTreeMap::new(),
        // A process that ended meanwhile has no network any more.
        network_interfaces: fs::read_to_string(format!("/proc/{pid}/net/dev"))
            .map(|text| interfaces(&text))
            .unwrap_or_default(),
    })
}

fn cpu_of(cpu: &stat::Cpu, psi: Option<Pressure>) -> Cpu {
    let nanoseconds = |microseconds: u64| microseconds.saturating_mul(1000);
    Cpu {
        usage: CpuUsage {
            total: nanoseconds(cpu.usage_usec),
            kernel: nanoseconds(cpu.system_usec),
            user: nanoseconds(cpu.user_usec),
        },
        throttling: Throttling {
            periods: cpu.nr_periods,
            throttled_periods: cpu.nr_throttled,
            throttled_time: nanoseconds(cpu.throttled_usec),
        },
        psi,
    }
}

fn memory_of(memory: &stat::Memory, raw: BTreeMap<String, u64>, psi: Option<Pressure>) -> Memory {
    let limit = |limit: Option<Limit>| limit.and_then(Limit::number).unwrap_or(u64::MAX);
    let key = |key: &str| raw.get(key).copied().unwrap_or_default();
    let part = |usage| MemoryUse { limit: u64::MAX, usage, ..MemoryUse::default() };
    let usage = MemoryUse {
        limit: limit(memory.max),
        usage: memory.current,
        max: memory.peak,
        failcnt: memory.events.get("max").copied().unwrap_or_default(),
    };
    let swap = MemoryUse {
        limit: usage.limit.saturating_add(limit(memory.swap_max)),
        usage: memory.current + memory.swap_current.unwrap_or_default(),
        max: None,
        failcnt: 0,
    };
    let (cache, kernel, kernel_tcp) = (key("file"), part(key("kernel")), part(key("sock")));
    Memory { cache, usage, swap, kernel, kernel_tcp, raw, psi }
}

/// The kernel's counters under the names of cgroup v1, which has none for discarding.
fn blkio_of(devices: &[IoDevice], psi: Option<Pressure>) -> Blkio {
    let entries = |keys: [(&str, &'static str); 2]| {
        let entry = |device: &IoDevice, (key, op): (&str, &'static str)| {
            let value = *device.counters.get(key)?;
            Some(BlkioEntry { major: device.major, minor: device.minor, op, value })
        };
        devices.iter().flat_map(|device| keys.into_iter().filter_map(|key| entry(device, key))).collect()
    };
    Blkio {
        io_service_bytes_recursive: entries([("rbytes", "Read"), ("wbytes", "Write")]),
        io_serviced_recursive: entries([("rios", "Read"), ("wios", "Write")]),
        psi,
    }
}

/// A list as the kernel prints it: `0-2,5`.
fn numbers(text: &str) -> Vec<u16> {
    let range = |part: &str| -> Option<std::ops::RangeInclusive<u16>> {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse().ok()?..=last.parse().ok()?)
    };
    text.trim().split(',').filter_map(range).flatten().collect()
}

fn interfaces(text: &str) -> Vec<Interface> {
    let line = |line: &str| {
        let (name, counters) = line.split_once(':')?;
        let n: Vec<u64> = counters.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        (n.len() >= 12).then(|| Interface {
            name: name.trim().to_string(),
            rx_bytes: n[0],
            rx_packets: n[1],
            rx_errors: n[2],
            rx_dropped: n[3],
            tx_bytes: n[8],
            tx_packets: n[9],
            tx_errors: n[10],
            tx_dropped: n[11],
        })
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_opened() {
        assert_eq!(numbers("0-2,5\n"), [0, 1, 2, 5]);
        assert_eq!(numbers(""), Vec::<u16>::new());
    }

    #[test]
    fn interfaces_are_read_by_column() {
        let text =
            "Inter-|   Receive  |  Transmit\n face |bytes packets |bytes\n    lo: 1 2 3 4 0 0 0 0 5 6 7 8 0 0 0 0\n";
        let lo = &interfaces(text)[0];
        assert_eq!((lo.name.as_str(), lo.rx_bytes, lo.rx_dropped, lo.tx_bytes, lo.tx_dropped), ("lo", 1, 4, 5, 8));
        assert_eq!(interfaces(text).len(), 1);
    }

    #[test]
    fn swap_counts_memory_in_and_no_limit_is_the_largest_number() {
        let mut memory = stat::Memory { current: 100, max: Some(Limit::At(1000)), ..stat::Memory::default() };
        memory.swap_current = Some(5);
        memory.swap_max = Some(Limit::At(500));
        let told = memory_of(&memory, BTreeMap::from([("file".to_string(), 7)]), None);
        assert_eq!((told.swap.usage, told.swap.limit, told.cache), (105, 1500, 7));
        memory.swap_max = Some(Limit::Max);
        memory.max = Some(Limit::Max);
        let told = memory_of(&memory, BTreeMap::new(), None);
        assert_eq!((told.swap.limit, told.usage.limit), (u64::MAX, u64::MAX));
    }

    #[test]
    fn devices_are_told_by_the_names_of_cgroup_v1() {
        let devices = stat::io_devices("8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n7:0 \n");
        let told = serde_json::to_value(blkio_of(&devices, None)).expect("JSON");
        let expected = serde_json::json!({
            "ioServiceBytesRecursive": [
                {"major": 8, "minor": 0, "op": "Read", "value": 1},
                {"major": 8, "minor": 0, "op": "Write", "value": 2},
            ],
            "ioServicedRecursive": [
                {"major": 8, "minor": 0, "op": "Read", "value": 3},
                {"major": 8, "minor": 0, "op": "Write", "value": 4},
            ],
        });
        assert_eq!(told, expected);
    }
}
