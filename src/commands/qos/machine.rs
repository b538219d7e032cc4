//! This machine as a node: what kubelet would report as its capacity.

use std::fs;

use crate::error::Failure;
use crate::kube::cpuset::CpuSet;
use crate::kube::node::Node;
use crate::kube::quantity::Quantity;

/// The machine's CPUs, memory, swap and number of tasks.
pub fn node() -> anyhow::Result<Node> {
    let meminfo = read("/proc/meminfo")?;
    let memory = kibibytes(&meminfo, "MemTotal:")
        .ok_or_else(|| Failure::new("/proc/meminfo has no MemTotal line").hint("Give a node with --node NODE.yaml."))?;
    let online = read("/sys/devices/system/cpu/online")?;
    let cpus: CpuSet = online.parse().map_err(|error| {
        Failure::new(format!("/sys/devices/system/cpu/online: {error}")).hint("Give a node with --node NODE.yaml.")
    })?;
    let mut node = Node::new("this machine", i64::try_from(cpus.0.len()).unwrap_or(i64::MAX), memory);
    node.cpus = cpus;
    node.capacity.extend(huge_pages());
    node.swap = kibibytes(&meminfo, "SwapTotal:").unwrap_or(0);
    // kubelet takes the lesser of the two (stats/pidlimit); without /proc/sys there is no limit to show.
    let tasks = ["/proc/sys/kernel/pid_max", "/proc/sys/kernel/threads-max"];
    let least = tasks.iter().filter_map(|path| fs::read_to_string(path).ok()?.trim().parse::<i64>().ok()).min();
    if let Some(least) = least {
        node.capacity.insert("pid".into(), Quantity::units(least));
    }
    Ok(node)
}

fn read(path: &str) -> anyhow::Result<String> {
    fs::read_to_string(path).map_err(|error| {
        Failure::new(format!("cannot read {path}")).caused_by(error).hint("Give a node with --node NODE.yaml.").into()
    })
}

/// A line of `/proc/meminfo`, in bytes.
fn kibibytes(meminfo: &str, key: &str) -> Option<i64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix(key))?;
    let number: i64 = line.split_whitespace().next()?.parse().ok()?;
    number.checked_mul(1024)
}

/// The page sizes of the machine with the bytes in pages of that size; kubelet reads the same directory.
fn huge_pages() -> Vec<(String, Quantity)> {
    let entries = fs::read_dir("/sys/kernel/mm/hugepages").into_iter().flatten().flatten();
    let sizes = entries.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let kibibytes: i64 = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
        let pages: i64 = fs::read_to_string(entry.path().join("nr_hugepages")).ok()?.trim().parse().ok()?;
        let size = kibibytes.checked_mul(1024)?;
        Some((format!("hugepages-{}", Quantity::bytes(size)), Quantity::bytes(size.checked_mul(pages)?)))
    });
    sizes.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meminfo_is_in_kibibytes() {
        let meminfo = "MemTotal:        8149844 kB\nSwapTotal:             0 kB\n";
        assert_eq!(kibibytes(meminfo, "MemTotal:"), Some(8_345_440_256));
        assert_eq!(kibibytes(meminfo, "SwapTotal:"), Some(0));
        assert_eq!(kibibytes(meminfo, "HugePages:"), None);
    }
}
