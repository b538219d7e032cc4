//! Which system calls a container may make (`securityContext.seccompProfile`): containerd's own profile (`contrib/seccomp`,
//! `DefaultProfile`), a file of the node, or all.
//!
//! The profile says what a container may not do; every other call that the kernel's tables know is allowed. What a capability is for
//! is allowed to those who have it.

use std::path::Path;

use k8s_openapi::api::core::v1 as api;
use serde_json::{Value, json};

use super::env::Missing;

/// Where the files of `localhostProfile` lie, as for a kubelet whose root directory is the usual one.
pub const PROFILES: &str = "/var/lib/kubelet/seccomp";

/// Never: what nobody in a container has a use for, was removed from the kernel, or has been a way out.
const NEVER: &[&str] = &[
    "_sysctl",
    "add_key",
    "afs_syscall",
    "bdflush",
    "create_module",
    "epoll_ctl_old",
    "epoll_wait_old",
    "file_getattr",
    "file_setattr",
    "ftime",
    "get_kernel_syms",
    "getpmsg",
    "gtty",
    "idle",
    "io_uring_enter",
    "io_uring_register",
    "io_uring_setup",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "listmount",
    "lock",
    "lsm_get_self_attr",
    "lsm_list_modules",
    "lsm_set_self_attr",
    "migrate_pages",
    "move_pages",
    "mpx",
    "nfsservctl",
    "open_tree_attr",
    "pivot_root",
    "prof",
    "profil",
    "putpmsg",
    "query_module",
    "request_key",
    "security",
    "statmount",
    "stty",
    "swapoff",
    "swapon",
    "sysfs",
    "tuxcall",
    "ulimit",
    "uselib",
    "userfaultfd",
    "ustat",
    "vm86",
    "vm86old",
    "vserver",
];

/// With a capability alone.
const WITH: &[(&str, &[&str])] = &[
    ("CAP_DAC_READ_SEARCH", &["open_by_handle_at"]),
    (
        "CAP_SYS_ADMIN",
        &[
            "bpf",
            "fanotify_init",
            "fsconfig",
            "fsmount",
            "fsopen",
            "fspick",
            "lookup_dcookie",
            "mount",
            "mount_setattr",
            "move_mount",
            "open_tree",
            "perf_event_open",
            "quotactl",
            "quotactl_fd",
            "setdomainname",
            "sethostname",
            "setns",
            "syslog",
            "umount",
            "umount2",
            "unshare",
        ],
    ),
    ("CAP_SYS_BOOT", &["reboot"]),
    ("CAP_SYS_CHROOT", &["chroot"]),
    ("CAP_SYS_MODULE", &["delete_module", "finit_module", "init_module"]),
    ("CAP_SYS_PACCT", &["acct"]),
    ("CAP_SYS_PTRACE", &["kcmp", "pidfd_getfd", "process_madvise"]),
    ("CAP_SYS_RAWIO", &["iopl", "ioperm"]),
    ("CAP_SYS_TIME", &["clock_settime", "clock_settime64", "settimeofday", "stime"]),
    ("CAP_SYS_TTY_CONFIG", &["vhangup"]),
    ("CAP_SYS_NICE", &["get_mempolicy", "mbind", "set_mempolicy", "set_mempolicy_home_node"]),
    ("CAP_SYSLOG", &["syslog"]),
    ("CAP_BPF", &["bpf"]),
    ("CAP_PERFMON", &["perf_event_open"]),
];

/// Allowed with certain arguments alone.
const BY_ARGUMENTS: [&str; 4] = ["clone", "clone3", "personality", "socket"];

/// CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET: making namespaces.
const CLONE_NEW: u64 = 0x7e02_0000;
/// The domains of personality(2) that programs ask for: PER_LINUX and PER_LINUX32, each with UNAME26, and the question what it is.
const PERSONALITIES: [u64; 5] = [0, 0x0008, 0x2_0000, 0x2_0008, 0xffff_ffff];
/// AF_VSOCK, which leads to the hypervisor's other guests.
const AF_VSOCK: u64 = 40;
/// errno(3), the same on all architectures that there are tables for here.
const ENOSYS: u32 = 38;
const EPERM: u32 = 1;

/// `linux.seccomp` of a container that has these capabilities; `None` where nothing is forbidden. A profile of the container's own comes
/// before the pod's; a privileged container has none.
pub fn profile(
    pod: &api::PodSpec,
    container: &api::Container,
    capabilities: &[String],
    profiles: &Path,
) -> Result<Option<Value>, Missing> {
    let own = container.security_context.as_ref();
    if own.and_then(|security| security.privileged) == Some(true) {
        return Ok(None);
    }
    let of_pod = pod.security_context.as_ref().and_then(|security| security.seccomp_profile.as_ref());
    let Some(wanted) = own.and_then(|security| security.seccomp_profile.as_ref()).or(of_pod) else { return Ok(None) };
    match wanted.type_.as_str() {
        "RuntimeDefault" => Ok(Some(runtime_default(capabilities))),
        "Localhost" => localhost(wanted.localhost_profile.as_deref().unwrap_or_default(), profiles).map(Some),
        "Unconfined" => Ok(None),
        other => Err(Missing(format!("seccompProfile.type {other:?} is none of Kubernetes'"))),
    }
}

/// A file below the directory of profiles, in config.json's own form.
fn localhost(name: &str, profiles: &Path) -> Result<Value, Missing> {
    let plain = Path::new(name).components().all(|part| matches!(part, std::path::Component::Normal(_)));
    if name.is_empty() || !plain {
        return Err(Missing(format!("localhostProfile {name:?} is no path below {}", profiles.display())));
    }
    let path = profiles.join(name);
    let failed = |cause: String| Missing(format!("cannot load seccomp profile {path:?}: {cause}"));
    let text = std::fs::read_to_string(&path).map_err(|error| failed(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| failed(error.to_string()))
}

fn runtime_default(capabilities: &[String]) -> Value {
    let has = |name: &str| capabilities.iter().any(|own| own == name);
    let granted = |call: &str| WITH.iter().any(|(capability, calls)| calls.contains(&call) && has(capability));
    let bound = |call: &str| WITH.iter().any(|(_, calls)| calls.contains(&call));
    let mut allowed = calls();
    allowed.retain(|call| !NEVER.contains(call) && !BY_ARGUMENTS.contains(call) && (!bound(call) || granted(call)));
    let only = |name: &str, index: u32, op: &str, value: u64, two: u64| {
        json!({"names": [name], "action": "SCMP_ACT_ALLOW",
            "args": [{"index": index, "value": value, "valueTwo": two, "op": op}]})
    };
    let mut rules = vec![json!({"names": allowed, "action": "SCMP_ACT_ALLOW"})];
    rules.extend(PERSONALITIES.map(|value| only("personality", 0, "SCMP_CMP_EQ", value, 0)));
    rules.push(only("socket", 0, "SCMP_CMP_NE", AF_VSOCK, 0));
    match has("CAP_SYS_ADMIN") {
        true => rules.push(json!({"names": ["clone", "clone3"], "action": "SCMP_ACT_ALLOW"})),
        false => {
            rules.push(only("clone", 0, "SCMP_CMP_MASKED_EQ", CLONE_NEW, 0));
            // Its flags are in memory, where no filter looks: whoever gets ENOSYS tries clone.
            rules.push(json!({"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS}));
        }
    }
    json!({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": EPERM, "architectures": architectures(), "syscalls": rules})
}

/// The names of all calls of this machine's architecture and of the one that it can run beside.
fn calls() -> Vec<&'static str> {
    let mut names = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        names.extend((0..1024).filter_map(|number| Some(syscalls::x86_64::Sysno::new(number)?.name())));
        names.extend((0..1024).filter_map(|number| Some(syscalls::x86::Sysno::new(number)?.name())));
    }
    #[cfg(target_arch = "aarch64")]
    {
        names.extend((0..1024).filter_map(|number| Some(syscalls::aarch64::Sysno::new(number)?.name())));
        names.extend((0..1024).filter_map(|number| Some(syscalls::arm::Sysno::new(number)?.name())));
    }
    #[cfg(target_arch = "riscv64")]
    names.extend((0..1024).filter_map(|number| Some(syscalls::riscv64::Sysno::new(number)?.name())));
    // The table spells one that no kernel has as Rust must, `r#break`.
    names.retain(|name| !name.contains('#'));
    names.sort_unstable();
    names.dedup();
    names
}

/// This machine's architecture, and those whose programs its kernel may run as well.
fn architectures() -> &'static [&'static str] {
    match std::env::consts::ARCH {
        "x86_64" => &["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "aarch64" => &["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
        "riscv64" => &["SCMP_ARCH_RISCV64"],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(pod: Value, container: Value) -> Result<Option<Value>, String> {
        let pod: api::PodSpec = serde_json::from_value(json!({"containers": [], "securityContext": pod})).unwrap();
        let container: api::Container =
            serde_json::from_value(json!({"name": "a", "securityContext": container})).unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("profiles")).unwrap();
        std::fs::write(directory.path().join("profiles/own.json"), r#"{"defaultAction": "SCMP_ACT_LOG"}"#).unwrap();
        profile(&pod, &container, &["CAP_CHOWN".into(), "CAP_SYS_CHROOT".into()], directory.path())
            .map_err(|missing| missing.to_string())
    }

    fn kind(kind: &str) -> Value {
        json!({"seccompProfile": {"type": kind}})
    }

    #[test]
    fn the_containers_own_profile_comes_before_the_pods() {
        assert_eq!(asked(json!({}), json!({})), Ok(None));
        assert!(asked(kind("RuntimeDefault"), json!({})).unwrap().is_some());
        assert_eq!(asked(kind("RuntimeDefault"), kind("Unconfined")), Ok(None));
        assert_eq!(asked(kind("RuntimeDefault"), json!({"privileged": true})), Ok(None));
        assert!(asked(kind("Other"), json!({})).unwrap_err().contains("none of Kubernetes'"));
    }

    #[test]
    fn a_profile_of_the_node_is_a_file_below_one_directory() {
        let named = |name: &str| json!({"seccompProfile": {"type": "Localhost", "localhostProfile": name}});
        let found = asked(json!({}), named("profiles/own.json")).unwrap().unwrap();
        assert_eq!(found["defaultAction"], "SCMP_ACT_LOG");
        for name in ["", "../own.json", "/etc/passwd", "profiles/../../x"] {
            assert!(asked(json!({}), named(name)).unwrap_err().contains("is no path below"), "{name}");
        }
        assert!(asked(json!({}), named("none.json")).unwrap_err().contains("cannot load seccomp profile"));
    }

    #[test]
    fn the_default_allows_what_programs_need_and_what_a_capability_is_for() {
        let profile = asked(kind("RuntimeDefault"), json!({})).unwrap().unwrap();
        let allowed: Vec<&str> =
            profile["syscalls"][0]["names"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        for call in ["read", "execve", "futex", "openat2", "chroot", "ptrace", "epoll_wait", "landlock_create_ruleset"]
        {
            assert!(allowed.contains(&call), "{call}");
        }
        for call in ["mount", "unshare", "setns", "bpf", "keyctl", "clone3", "reboot", "io_uring_setup", "userfaultfd"]
        {
            assert!(!allowed.contains(&call), "{call}");
        }
        assert!(allowed.len() > 300, "{}", allowed.len());
        let with_admin = runtime_default(&["CAP_SYS_ADMIN".into()]);
        assert!(with_admin["syscalls"][0]["names"].as_array().unwrap().iter().any(|name| name == "mount"));
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn every_name_of_the_lists_is_a_call() {
        let calls = calls();
        for name in NEVER.iter().chain(WITH.iter().flat_map(|(_, calls)| calls.iter())).chain(&BY_ARGUMENTS) {
            assert!(calls.contains(name), "{name}");
        }
    }
}
