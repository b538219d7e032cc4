//! The same settings in cgroup v1's files, for readers of old nodes and old books. Kubernetes 1.36 starts on cgroup v1 only
//! where `failCgroupV1` is false.

use crate::cgroup::Write;

use super::levels::Level;

/// What cgroup v1 has for one file of cgroup v2: names and values, or nothing.
pub fn spellings(level: &Level, write: &Write) -> Vec<(String, String)> {
    let one = |name: &str, value: &str| vec![(name.to_string(), value.to_string())];
    match write.file.as_str() {
        "cpu.weight" => one("cpu.shares", &level.shares.to_string()),
        "cpu.max" => {
            let (quota, period) = write.value.split_once(' ').unwrap_or((&write.value, "100000"));
            let quota = if quota == "max" { "-1" } else { quota };
            vec![("cpu.cfs_quota_us".into(), quota.into()), ("cpu.cfs_period_us".into(), period.into())]
        }
        "memory.max" => one("memory.limit_in_bytes", &write.value),
        "memory.swap.max" => match level.files.iter().find(|write| write.file == "memory.max") {
            // Memory and swap together: swap is 0 where both limits are equal.
            Some(max) if write.value == "0" => one("memory.memsw.limit_in_bytes", &max.value),
            _ => Vec::new(),
        },
        "pids.max" | "cpuset.cpus" => one(&write.file, &write.value),
        file if file.starts_with("hugetlb.") => one(&file.replace(".max", ".limit_in_bytes"), &write.value),
        // memory.min, memory.low, memory.high and memory.oom.group are new in v2, and kubelet has nothing for them in v1.
        _ => Vec::new(),
    }
}
