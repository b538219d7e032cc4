//! Cgroups: which version, which controllers, and whether they are ours to use.

use super::super::cgroup::{Group, USUAL, Unified};
use super::{Area, Facts, Finding, MOUNT_PROC, Verdict};

/// Controllers of limits that nearly every config and every pod asks for.
const NEEDED: [&str; 4] = ["cpu", "cpuset", "memory", "pids"];
/// Controllers of limits that are asked for less often.
const USEFUL: [&str; 2] = ["io", "hugetlb"];

/// systemd delegates memory and pids alone to a user's manager; a drop-in adds the rest (systemd.resource-control(5)).
const DELEGATE: &str = "sudo mkdir -p /etc/systemd/system/user@.service.d && printf '[Service]\\nDelegate=cpu cpuset io \
    memory pids\\n' | sudo tee /etc/systemd/system/user@.service.d/delegate.conf && sudo systemctl daemon-reload, then log \
    in again";

const NO_LIMITS: &str = "a container cannot be put into a cgroup, so nothing limits or counts it";

/// The findings about cgroups.
pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    let Some(unified) = &facts.cgroup.unified else { return vec![not_mounted(facts)] };
    let mut findings = vec![mode(facts, unified), writable(facts, unified)];
    let seat = seat(facts, unified);
    findings.extend(NEEDED.map(|name| controller(facts, seat, name, Verdict::Missing)));
    findings.extend(USEFUL.map(|name| controller(facts, seat, name, Verdict::Limited)));
    findings.extend(swap(facts, unified));
    findings.push(nsdelegate(facts, unified));
    findings
}

/// The group in which containers get theirs: the root of the hierarchy for root, else our own.
fn seat<'a>(facts: &Facts, unified: &'a Unified) -> &'a Group {
    match &unified.own {
        Some(own) if !facts.privileged() => own,
        _ => &unified.root,
    }
}

fn not_mounted(facts: &Facts) -> Finding {
    let finding = |found: String| Area::Cgroups.ok("mode", "mode", found);
    if !facts.kernel.proc {
        return finding("unknown: /proc is not mounted".into()).short(Verdict::Missing, NO_LIMITS, MOUNT_PROC);
    }
    if !facts.cgroup.supported {
        let remedy = "boot a kernel with cgroup v2 (4.5 or newer, CONFIG_CGROUPS)";
        return finding("none: this kernel has no cgroup2 file system".into()).short(
            Verdict::Missing,
            NO_LIMITS,
            remedy,
        );
    }
    if facts.cgroup.legacy.is_empty() {
        let remedy = match facts.open_the_container() {
            Some(remedy) => remedy,
            None => "sudo mount -t cgroup2 -o nsdelegate cgroup2 /sys/fs/cgroup".into(),
        };
        return finding("none: no cgroup hierarchy is mounted".into()).short(Verdict::Missing, NO_LIMITS, remedy);
    }
    let found = format!("legacy: cgroup v1 alone ({})", held(facts));
    finding(found).short(Verdict::Missing, NO_LIMITS, leave_v1(facts))
}

fn mode(facts: &Facts, unified: &Unified) -> Finding {
    let path = &unified.path;
    if !USUAL.contains(&path.as_str()) {
        let found = format!("cgroup v2 on {path}, where container programs do not look");
        let remedy = format!("sudo mount --bind {path} /sys/fs/cgroup");
        return Area::Cgroups.ok("mode", "mode", found).short(Verdict::Missing, NO_LIMITS, remedy);
    }
    if facts.cgroup.legacy.is_empty() {
        return Area::Cgroups.ok("mode", "mode", format!("unified: cgroup v2 on {path}"));
    }
    let found = format!("hybrid: cgroup v2 on {path}, and v1 with {}", held(facts));
    let why = "a controller that a v1 hierarchy holds is not there for cgroup v2";
    Area::Cgroups.ok("mode", "mode", found).short(Verdict::Limited, why, leave_v1(facts))
}

/// The controllers that v1 hierarchies hold, in one line.
fn held(facts: &Facts) -> String {
    facts.cgroup.legacy.iter().flat_map(|hierarchy| hierarchy.controllers.clone()).collect::<Vec<_>>().join(" ")
}

/// systemd mounts by its own setting; cgroup_no_v1 keeps anything else from mounting v1.
fn leave_v1(facts: &Facts) -> String {
    let setting = if facts.user.systemd { "systemd.unified_cgroup_hierarchy=1" } else { "cgroup_no_v1=all" };
    facts.boot_with(setting)
}

fn writable(facts: &Facts, unified: &Unified) -> Finding {
    let group = seat(facts, unified);
    let path = if group.path.is_empty() { "/" } else { &group.path };
    if group.writable && !unified.read_only {
        return Area::Cgroups.ok("delegation", "delegation", format!("{path} is ours to make groups in"));
    }
    if unified.read_only {
        let found = format!("{} is mounted read-only", unified.path);
        let remedy = facts.open_the_container().unwrap_or(format!("sudo mount -o remount,rw {}", unified.path));
        return Area::Cgroups.ok("delegation", "delegation", found).short(Verdict::Missing, NO_LIMITS, remedy);
    }
    let remedy = match (facts.user.uid, facts.user.systemd) {
        (0, _) => facts.open_the_container().unwrap_or("run this as root of the machine itself".into()),
        (_, true) => "systemd-run --user --scope -p Delegate=yes -- bash".into(),
        (uid, false) => format!(
            "sudo sh -c 'mkdir {0}/{uid} && chown -R {uid} {0}/{uid} && echo '$$' > {0}/{uid}/cgroup.procs'",
            unified.path
        ),
    };
    let found = format!("{path} is not ours to make groups in");
    Area::Cgroups.ok("delegation", "delegation", found).short(Verdict::Missing, NO_LIMITS, remedy)
}

fn controller(facts: &Facts, seat: &Group, name: &str, absent: Verdict) -> Finding {
    let finding = |found: String| Area::Cgroups.ok(&format!("controller.{name}"), name, found);
    let has = |list: &[String]| list.iter().any(|known| known == name);
    if has(&seat.controllers) {
        // A group with processes in it enables none for groups below it (cgroups(7), no internal processes), so what
        // the group of an ordinary user has enabled says nothing.
        if !facts.privileged() || has(&seat.enabled) || absent != Verdict::Missing {
            return finding("there".into());
        }
        let why = "groups made by hand lack its files; glassbox enables it when it makes a container's group";
        let remedy = format!("echo +{name} | sudo tee {}/cgroup.subtree_control", seat.path);
        let found = format!("there, but not enabled for groups below {}", seat.path);
        return finding(found).short(Verdict::Limited, why, remedy);
    }
    let (found, remedy) = why_absent(facts, seat, name);
    finding(found).short(absent, "a config or a pod that sets such a limit cannot start", remedy)
}

/// Why a controller is not in `cgroup.controllers`, and what brings it back.
fn why_absent(facts: &Facts, seat: &Group, name: &str) -> (String, String) {
    let root = facts.cgroup.unified.as_ref().map(|unified| &unified.root);
    let v1_name = if name == "io" { "blkio" } else { name };
    if facts.cgroup.legacy.iter().any(|hierarchy| hierarchy.controllers.iter().any(|held| held == v1_name)) {
        return ("held by a v1 hierarchy".into(), leave_v1(facts));
    }
    if facts.cgroup.disabled.iter().any(|off| off == v1_name || off == name) {
        let remedy = format!(
            "take cgroup_disable={name} off the kernel command line (Raspberry Pi: put cgroup_enable={name} on it), and reboot"
        );
        return ("switched off on the kernel command line".into(), remedy);
    }
    if root.is_some_and(|root| root.path != seat.path && root.controllers.iter().any(|known| known == name)) {
        let remedy = if facts.user.systemd {
            DELEGATE.into()
        } else {
            format!("as root: echo +{name} into cgroup.subtree_control of every group above {}", seat.path)
        };
        return ("not delegated to us".into(), remedy);
    }
    if let Some(remedy) = facts.open_the_container() {
        return ("not delegated to the container around us".into(), remedy);
    }
    (
        "not in this kernel".into(),
        format!("boot a distribution's kernel with the {name} controller, or: make demo (in a VM)"),
    )
}

fn swap(facts: &Facts, unified: &Unified) -> Option<Finding> {
    let there = unified.swap_limit?;
    let finding = |found| Area::Cgroups.ok("swap", "swap limit", found);
    Some(if there {
        finding("memory.swap.max")
    } else {
        let why = "linux.resources.memory.swap cannot be set, and a memory limit pushes pages to swap";
        finding("no memory.swap.max").short(Verdict::Limited, why, facts.boot_with("swapaccount=1"))
    })
}

fn nsdelegate(facts: &Facts, unified: &Unified) -> Finding {
    let finding = |found| Area::Cgroups.ok("nsdelegate", "nsdelegate", found);
    if unified.nsdelegate {
        return finding("set: a cgroup namespace cannot lift its own limits");
    }
    let why = "a container that may write its cgroup files could lift its own limits";
    let remedy = match &facts.user.container {
        Some(_) => format!("on the host: sudo mount -o remount,nsdelegate {}", unified.path),
        None => format!("sudo mount -o remount,nsdelegate {}", unified.path),
    };
    finding("not set").short(Verdict::Limited, why, remedy)
}
