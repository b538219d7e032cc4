//! The step between a Pod and a cgroup: the field of `config.json` by which a container's value reaches its runtime.
//!
//! The kubelet asks by the CRI's `LinuxContainerResources`; containerd (`internal/cri/opts`, `WithResources`) and CRI-O write
//! these fields of the runtime specification (config-linux.md, "Control groups").

use crate::cgroup::Write;

use super::levels::{Level, Rank};

/// A field of `config.json` with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The path, such as `linux.resources.cpu.shares`.
    pub path: String,
    /// The value as JSON writes it, texts without their quotes.
    pub value: String,
}

/// The fields that carry one file's value. None above containers: the kubelet writes those cgroups itself.
pub fn fields(level: &Level, write: &Write) -> Vec<Field> {
    if !matches!(level.rank, Rank::Sandbox | Rank::Container) {
        return Vec::new();
    }
    let one =
        |path: &str, value: &str| vec![Field { path: format!("linux.resources.{path}"), value: value.to_string() }];
    match write.file.as_str() {
        "cpu.weight" => one("cpu.shares", &level.shares.to_string()),
        "cpu.max" => {
            let (quota, period) = write.value.split_once(' ').unwrap_or((&write.value, "100000"));
            // A quota that is not above 0 is none.
            let quota = if quota == "max" { "0" } else { quota };
            [one("cpu.quota", quota), one("cpu.period", period)].concat()
        }
        "memory.max" => one("memory.limit", &write.value),
        "cpuset.cpus" => one("cpu.cpus", &write.value),
        file if file.starts_with("hugetlb.") => {
            one(&format!("hugepageLimits[{}]", file.split('.').nth(1).unwrap_or_default()), &write.value)
        }
        file => one(&format!("unified.{file}"), &write.value),
    }
}

/// The field that carries the score of a container's processes.
pub fn oom_field(level: &Level) -> Option<Field> {
    let score = level.oom.as_ref()?;
    Some(Field { path: "process.oomScoreAdj".into(), value: score.value.to_string() })
}
