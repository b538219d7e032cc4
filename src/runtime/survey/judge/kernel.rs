//! The kernel: its version, the system calls of a container start, and its security modules.

use super::super::attempt::{Feature, Outcome};
use super::super::machine::Loadable;
use super::{Area, Facts, Finding, MOUNT_PROC, Verdict};

/// `cgroup.kill`, the youngest thing that glassbox uses, came with Linux 5.14 (cgroup-v2.rst).
const OLDEST: (u32, u32) = (5, 14);

/// The findings about the kernel.
pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    let mut findings = vec![version(facts)];
    findings.extend(proc(facts));
    findings.extend(facts.features.iter().map(|(feature, outcome)| call(facts, *feature, outcome)));
    findings.extend([seccomp(facts), overlay(facts), pressure(facts)]);
    findings
}

fn version(facts: &Facts) -> Finding {
    let release = &facts.kernel.release;
    let finding = |found: String| Area::Kernel.ok("version", "version", found);
    if facts.kernel_version() >= OLDEST {
        return finding(release.clone());
    }
    let (major, minor) = OLDEST;
    let why = "cgroup.kill is not there, so a container cannot be ended for sure";
    finding(format!("{release}, older than {major}.{minor}")).short(Verdict::Missing, why, newer(OLDEST))
}

fn proc(facts: &Facts) -> Option<Finding> {
    let why = "what this machine offers is told there, and a start writes files of it";
    let finding = Area::Kernel.ok("proc", "/proc", "not mounted");
    (!facts.kernel.proc).then(|| finding.short(Verdict::Missing, why, MOUNT_PROC))
}

fn newer((major, minor): (u32, u32)) -> String {
    format!("boot Linux {major}.{minor} or newer (Debian 12 has 6.1), or: make demo (in a VM)")
}

/// People's name of a feature, and what a start does with it.
fn told(feature: Feature) -> (&'static str, &'static str) {
    match feature {
        Feature::Fsopen => ("fsopen", "file systems cannot be mounted by descriptor, out of a hostile path's reach"),
        Feature::OpenTree => ("open_tree", "bind mounts cannot be made by descriptor"),
        Feature::MoveMount => ("move_mount", "a mount cannot be put on a descriptor"),
        Feature::PidfdOpen => ("pidfd", "a process cannot be told from a later one of the same id"),
        Feature::Openat2 => ("openat2", "a path cannot be kept inside the container's root"),
        Feature::CloneIntoCgroup => ("clone3 + cgroup", "a container's first process cannot be born inside its limits"),
        Feature::CloseRange => ("close_range", "open files cannot be kept from the container in one step"),
        Feature::MountSetattr => ("mount_setattr", "read-only cannot be set on a mount and all below it"),
        Feature::DeviceFilter => ("device filter", "linux.resources.devices cannot be enforced"),
    }
}

fn call(facts: &Facts, feature: Feature, outcome: &Outcome) -> Finding {
    let (name, why) = told(feature);
    let finding = |found: String| Area::Kernel.ok(&feature.to_string(), name, found);
    if outcome.works() {
        return finding("works".into());
    }
    let since = feature.since();
    if facts.kernel_version() < since {
        let found = format!("{outcome}: came with Linux {}.{}", since.0, since.1);
        return finding(found).short(Verdict::Missing, why, newer(since));
    }
    if let Some(untried) = facts.untried(outcome) {
        return finding(outcome.to_string()).short(Verdict::Missing, why, untried);
    }
    // mount(2) and bpf(2) and their kin refuse whoever lacks CAP_SYS_ADMIN, some of them in the first user namespace, and say
    // nothing about the kernel by that.
    if outcome.is("EPERM") && facts.user.in_user_namespace {
        let why = "asked by root of a user namespace, the kernel does not tell whether it works";
        let remedy = facts.open_the_container().unwrap_or("run this as root of the machine itself".into());
        return finding("EPERM: only the machine's root may".into()).short(Verdict::Limited, why, remedy);
    }
    if outcome.is("EPERM") && facts.user.uid != 0 {
        let why = "asked by an ordinary user, the kernel does not tell whether it works";
        return finding("EPERM: only root may".into()).short(Verdict::Limited, why, "sudo glassbox doctor");
    }
    let by = if facts.user.seccomp_filter { "a seccomp filter hides it" } else { "refused" };
    let remedy = facts.open_the_container().unwrap_or_else(|| match feature {
        Feature::DeviceFilter => "boot a kernel with CONFIG_CGROUP_BPF".into(),
        _ => "run this as root of the machine itself, outside of any sandbox".into(),
    });
    finding(format!("{outcome}: {by}")).short(Verdict::Missing, why, remedy)
}

fn seccomp(facts: &Facts) -> Finding {
    let actions = &facts.kernel.seccomp_actions;
    let has = |name: &str| actions.iter().any(|known| known == name);
    let finding = |found| Area::Kernel.ok("seccomp", "seccomp", found);
    if has("errno") && has("user_notif") {
        return finding("filters and user notification");
    }
    let why = "programs in a container cannot be held to a list of system calls";
    if has("errno") {
        let why = "a supervisor cannot answer system calls in a container's stead";
        return finding("filters without user notification").short(Verdict::Limited, why, newer((5, 0)));
    }
    finding("no filters").short(Verdict::Limited, why, "boot a kernel with CONFIG_SECCOMP_FILTER")
}

fn overlay(facts: &Facts) -> Finding {
    let finding = |found| Area::Kernel.ok("overlay", "overlay", found);
    match facts.kernel.overlay {
        Loadable::Present => finding("there"),
        Loadable::Module => finding("a module, loaded on first use"),
        Loadable::Absent => {
            let why = "layers of an image cannot be stacked without copying them";
            finding("not in this kernel").short(Verdict::Limited, why, "boot a kernel with CONFIG_OVERLAY_FS")
        }
    }
}

fn pressure(facts: &Facts) -> Finding {
    let finding = |found| Area::Kernel.ok("psi", "pressure (PSI)", found);
    if facts.kernel.pressure {
        return finding("works");
    }
    let why = "cpu.pressure, memory.pressure and io.pressure are not there to look at";
    finding("switched off or not in this kernel").short(Verdict::Limited, why, facts.boot_with("psi=1"))
}

/// The findings about security modules. That one is absent is no shortfall.
pub(super) fn judge_security(facts: &Facts) -> Vec<Finding> {
    let apparmor = if facts.kernel.apparmor { "active; containers keep their caller's profile" } else { "not active" };
    let finding = |found| Area::Security.ok("selinux", "SELinux", found);
    let selinux = match facts.kernel.selinux_enforcing {
        None => finding("not active"),
        Some(false) => finding("permissive"),
        Some(true) => {
            let why = "glassbox sets no labels, so the policy may refuse a container its files";
            let remedy = "after a denial: sudo ausearch -m avc -ts recent; to rule it out: sudo setenforce 0";
            finding("enforcing").short(Verdict::Limited, why, remedy)
        }
    };
    vec![Area::Security.ok("apparmor", "AppArmor", apparmor), selinux]
}
