//! The steps that we do ourselves: before the process exists, and beside it while it waits.

use super::{Hook, HookKind, IdKind, IdRange, Scheduling};
use crate::cgroup::resources::{DeviceRule, Write};

/// A step that we do on the host, before the process exists or beside it.
#[derive(Debug, Clone, PartialEq)]
pub enum HostStep {
    /// Make a cgroup: mkdir(2) of one directory.
    CreateCgroup {
        /// Absolute path of the new directory.
        path: String,
    },
    /// Take an existing cgroup, which must have no processes and not be frozen.
    AdoptCgroup {
        /// Absolute path of the directory.
        path: String,
    },
    /// Enable controllers for the children of a cgroup.
    EnableControllers {
        /// Absolute path of the parent cgroup's directory.
        path: String,
        /// Without these a limit of the config could not be written: failure is an error.
        required: Vec<String>,
        /// These only count (statistics); that the kernel refuses them (EBUSY, EINVAL, ENOENT…) is tolerated.
        wanted: Vec<String>,
    },
    /// Write one value into one file of the container's cgroup.
    WriteCgroup {
        /// Absolute path of the container's cgroup directory.
        path: String,
        /// File and value.
        write: Write,
    },
    /// Attach an eBPF program that says which devices may be used (bpf(2), BPF_CGROUP_DEVICE).
    FilterDevices {
        /// Absolute path of the container's cgroup directory.
        path: String,
        /// The rules; the last one that matches decides.
        rules: Vec<DeviceRule>,
    },
    /// Write a user namespace's map of ids, from outside (user_namespaces(7)).
    WriteIdMap {
        /// Users or groups.
        kind: IdKind,
        /// The ranges.
        ranges: Vec<IdRange>,
    },
    /// Set a resource limit of the process (prlimit(2)), from outside, where we may still raise it.
    SetRlimit {
        /// As in the config: `RLIMIT_NOFILE`.
        name: String,
        /// The soft limit, in the resource's own unit; `u64::MAX` is unlimited.
        soft: u64,
        /// The hard limit.
        hard: u64,
    },
    /// Say how likely the OOM killer picks the process: /proc/PID/oom_score_adj.
    SetOomScoreAdj {
        /// -1000 (never) to 1000 (first).
        value: i32,
    },
    /// Say how the scheduler treats the process: sched_setattr(2).
    SetScheduler {
        /// Policy and parameters.
        scheduling: Scheduling,
    },
    /// Say how the process's input and output are ranked: ioprio_set(2).
    SetIoPriority {
        /// `IOPRIO_CLASS_RT`, `IOPRIO_CLASS_BE` or `IOPRIO_CLASS_IDLE`.
        class: String,
        /// 0 (first) to 7 (last).
        level: u8,
    },
    /// Run a hook of the config in our own namespaces.
    RunHook {
        /// Which list it is from.
        kind: HookKind,
        /// The program.
        hook: Hook,
    },
}
