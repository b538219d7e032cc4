//! The steps that we do ourselves: before the process exists, and beside it while it waits.

use super::{Hook, HookKind, IdKind, IdRange, Scheduling};
use crate::cgroup::resources::{DeviceRule, Write};
use crate::cgroup::scope::Property;

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
    /// Have systemd make the container's cgroup around the process that waits: StartTransientUnit of a scope with that
    /// process's id in its property PIDs (org.freedesktop.systemd1(5)), and wait until the process is in it.
    StartScope {
        /// The unit: `cri-containerd-1a2b.scope`.
        unit: String,
        /// Absolute path of the directory that systemd makes for it.
        path: String,
        /// The other properties, the slice among them.
        properties: Vec<Property>,
    },
    /// Give the container's cgroup to the user who is its own root there: chown(2) of the directory and of the files that
    /// the kernel names for that (cgroups(7), "Cgroups delegation"). A file that this kernel does not have (ENOENT) is
    /// left out, and so is one that we may not give away (EPERM): the container then manages no cgroups of its own.
    DelegateCgroup {
        /// Absolute path of the container's cgroup directory.
        path: String,
        /// The user's id on the host.
        uid: u32,
        /// File names, as in /sys/kernel/cgroup/delegate.
        files: Vec<String>,
    },
    /// Write a user namespace's map of ids, from outside (user_namespaces(7)).
    WriteIdMap {
        /// Users or groups.
        kind: IdKind,
        /// The ranges.
        ranges: Vec<IdRange>,
        /// The program that does it, where the map is more than we may write ourselves: `newuidmap`, `newgidmap`.
        program: Option<&'static str>,
    },
    /// Give up setgroups(2) in the user namespace: /proc/PID/setgroups. Without that an ordinary user may map no group
    /// (user_namespaces(7)), and could leave one that keeps it out of a file.
    DenySetgroups,
    /// Move a network device of the host into the container's network namespace, under a name and with its lasting addresses of
    /// global scope, and bring it up there (rtnetlink(7)). It is not moved back.
    MoveNetDevice {
        /// Its name on the host.
        name: String,
        /// Its name in the container.
        inside: String,
        /// The namespace's file, where it is joined; else it is the process's own.
        namespace: Option<String>,
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
