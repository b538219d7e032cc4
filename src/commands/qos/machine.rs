//! This machine as a node: what kubelet would report as its capacity.

use std::fs;

use crate::error::Failure;
use crate::kube::node::Node;
use crate::kube::quantity::Quantity;

/// The machine's CPUs, memory, swap and number of tasks.
pub fn node() -> anyhow::Result<Node> {
    let meminfo = read("/proc/meminfo")?;
    let memory = kibibytes(&meminfo, "MemTotal:")
        .ok_or_else(|| Failure::new("/proc/meminfo has no MemTotal line").hint("Give a node with --node NODE.yaml."))?;
    let online = read("/sys/devices/system/cpu/online")?;
    let cpus = count(online.trim()).ok_or_else(|| {
        Failure::new(format!("/sys/devices/system/cpu/online holds no list of CPUs: {online:?}"))
            .hint("Give a node with --node NODE.yaml.")
    })?;
    let mut node = Node::new("this machine", cpus, memory);
    node.swap = kibibytes(&meminfo, "SwapTotal:").unwrap_or(0);
    // kubelet takes the lesser of the two (stats/pidlimit); without /proc/sys there is no limit to show.
    let tasks = ["/proc/sys/kernel/pid_max", "/proc/sys/kernel/threads-max"];
    let least = tasks.iter().filter_map(|path| fs::read_to_string(path).ok()?.trim().parse::<i64>().ok()).min();
    if let Some(least) = least {
        node.capacity.insert("pids".into(), Quantity::units(least));
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

/// How many CPUs a list such as `0-3,8` names.
fn count(list: &str) -> Option<i64> {
    let mut total: i64 = 0;
    for range in list.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (i64, i64) = (first.parse().ok()?, last.parse().ok()?);
        total += last - first + 1;
    }
    (total > 0).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_are_counted_from_ranges() {
        assert_eq!(count("0"), Some(1));
        assert_eq!(count("0-3,8,10-11"), Some(7));
        assert_eq!(count(""), None);
    }

    #[test]
    fn meminfo_is_in_kibibytes() {
        let meminfo = "MemTotal:        8149844 kB\nSwapTotal:             0 kB\n";
        assert_eq!(kibibytes(meminfo, "MemTotal:"), Some(8_345_440_256));
        assert_eq!(kibibytes(meminfo, "SwapTotal:"), Some(0));
        assert_eq!(kibibytes(meminfo, "HugePages:"), None);
    }
}
