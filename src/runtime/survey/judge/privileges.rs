//! Who asks: root or not, which capabilities, and what a sandbox around us takes away.

use super::{Area, Facts, Finding, Verdict};

/// What a start of a root's container takes, and for what.
const NEEDED: [(&str, &str); 9] = [
    ("CAP_CHOWN", "files in /dev cannot be given to the container's user"),
    ("CAP_DAC_OVERRIDE", "a rootfs of other users cannot be prepared"),
    ("CAP_KILL", "processes of other users cannot be signalled"),
    ("CAP_MKNOD", "/dev/null and the other device nodes cannot be made"),
    ("CAP_NET_ADMIN", "lo cannot be set up, nor a cgroup's devices filtered"),
    ("CAP_SETGID", "the process cannot get its group ids"),
    ("CAP_SETPCAP", "the bounding set cannot be cut down"),
    ("CAP_SETUID", "the process cannot get its user id"),
    ("CAP_SYS_ADMIN", "namespaces and mounts cannot be made"),
];

/// What single fields of config.json take.
const USEFUL: [(&str, &str); 2] = [
    ("CAP_SETFCAP", "a user namespace cannot map root (uid 0) of the machine"),
    ("CAP_SYS_RESOURCE", "process.rlimits cannot raise a hard limit, nor oomScoreAdj fall"),
];

/// The findings about privileges.
pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    let mut findings = vec![root(facts)];
    if facts.user.uid == 0 {
        findings.push(capabilities(facts, "capabilities", &NEEDED, Verdict::Missing));
        findings.push(capabilities(facts, "more_capabilities", &USEFUL, Verdict::Limited));
    }
    findings.extend(inherited(facts));
    findings
}

fn root(facts: &Facts) -> Finding {
    let finding = |found: String| Area::Privileges.ok("root", "root", found);
    let user = &facts.user;
    if user.uid != 0 {
        let name = facts.rootless.name.as_deref().unwrap_or("ordinary user");
        let why = "mounts, device nodes and cgroups of the machine take root";
        return finding(format!("no: {name} (uid {})", user.uid)).short(Verdict::Missing, why, "sudo glassbox …");
    }
    if user.in_user_namespace {
        let why = "device nodes cannot be made, and only what this namespace owns can be changed";
        let remedy = facts.open_the_container().unwrap_or("run this as root of the machine itself".into());
        return finding("only of a user namespace".into()).short(Verdict::Limited, why, remedy);
    }
    finding("yes".into())
}

fn capabilities(facts: &Facts, key: &str, wanted: &[(&str, &str)], absent: Verdict) -> Finding {
    let lacking: Vec<_> = wanted.iter().filter(|(name, _)| !facts.has_capability(name)).collect();
    let short = |name: &str| name.trim_start_matches("CAP_").to_lowercase();
    let name = if absent == Verdict::Missing { "capabilities" } else { "more" };
    let names = |list: &mut dyn Iterator<Item = &str>| list.map(short).collect::<Vec<_>>().join(" ");
    if lacking.is_empty() {
        return Area::Privileges.ok(key, name, names(&mut wanted.iter().map(|(name, _)| *name)));
    }
    let found = format!("without {}", names(&mut lacking.iter().map(|(name, _)| *name)));
    let why = lacking.iter().map(|(_, why)| *why).collect::<Vec<_>>().join("; ");
    let add: Vec<_> =
        lacking.iter().map(|(name, _)| format!("--cap-add={}", name.trim_start_matches("CAP_"))).collect();
    let remedy = match facts.user.container.as_deref() {
        Some(engine @ ("docker" | "podman")) if absent == Verdict::Limited => {
            format!("{engine} run {} …", add.join(" "))
        }
        _ => facts
            .open_the_container()
            .unwrap_or("run this as root with every capability, outside of any sandbox".into()),
    };
    Area::Privileges.ok(key, name, found).short(absent, why, remedy)
}

/// What every container started from here inherits.
fn inherited(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    if facts.user.no_new_privs {
        let why = "containers inherit it, so setuid programs such as su and ping do nothing in them";
        let remedy = facts.open_the_container().unwrap_or("start glassbox from a login shell".into());
        let finding = Area::Privileges.ok("no_new_privs", "no_new_privs", "set on this process");
        findings.push(finding.short(Verdict::Limited, why, remedy));
    }
    if facts.user.seccomp_filter {
        let why = "containers inherit it: what it refuses, it refuses in them as well";
        let remedy = match facts.user.container.as_deref() {
            Some(engine @ ("docker" | "podman")) => format!("{engine} run --security-opt seccomp=unconfined …"),
            _ => facts.open_the_container().unwrap_or("start glassbox from a login shell".into()),
        };
        let finding = Area::Privileges.ok("seccomp_filter", "seccomp filter", "on this process");
        findings.push(finding.short(Verdict::Limited, why, remedy));
    }
    findings
}
