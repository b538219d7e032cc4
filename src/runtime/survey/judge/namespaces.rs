//! Namespaces: what unshare(2) said, and what stands behind a no.

use super::super::attempt::{Namespace, Outcome};
use super::{Area, Facts, Finding, Verdict};

/// The findings about namespaces.
pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    facts.namespaces.keys().map(|namespace| one(facts, *namespace)).collect()
}

fn one(facts: &Facts, namespace: Namespace) -> Finding {
    let tried = &facts.namespaces[&namespace];
    let (outcome, alone) = match &tried.in_user_namespace {
        Some(inside) if !facts.privileged() => (inside, false),
        _ => (&tried.alone, true),
    };
    let finding = |found: String| Area::Namespaces.ok(&namespace.to_string(), &namespace.to_string(), found);
    if outcome.works() {
        return finding(if alone { "works".into() } else { "works inside a user namespace".into() });
    }
    let (found, remedy) = refused(facts, namespace, outcome);
    let verdict = if namespace == Namespace::Time { Verdict::Limited } else { Verdict::Missing };
    finding(found).short(verdict, "a config that asks for such a namespace cannot start", remedy)
}

/// What a refusal means, by unshare(2) and user_namespaces(7), and what mends it.
fn refused(facts: &Facts, namespace: Namespace, outcome: &Outcome) -> (String, String) {
    if let Some(remedy) = facts.untried(outcome) {
        return (outcome.to_string(), remedy);
    }
    let limit = facts.namespaces[&namespace].limit;
    let users_limit = facts.namespaces.get(&Namespace::User).and_then(|user| user.limit);
    if outcome.is("ENOSPC") {
        let full = if limit == Some(0) || users_limit != Some(0) { namespace } else { Namespace::User };
        let most = if full == namespace { limit } else { users_limit };
        let at = most.map_or_else(|| "at its limit".to_string(), |most| format!("is {most}"));
        let setting = format!("user.max_{full}_namespaces");
        return (format!("ENOSPC: {setting} {at}"), format!("sudo sysctl -w {setting}=15000"));
    }
    if outcome.is("EINVAL") {
        let remedy = format!("boot a kernel with CONFIG_{}_NS", config_word(namespace));
        return ("EINVAL: this kernel has no such namespaces".into(), remedy);
    }
    if facts.rootless.unprivileged_userns_clone == Some(0) && !facts.privileged() {
        let found = format!("{outcome}: kernel.unprivileged_userns_clone is 0");
        return (found, "sudo sysctl -w kernel.unprivileged_userns_clone=1".into());
    }
    if facts.rootless.apparmor_restrict_unprivileged_userns == Some(1) && !facts.privileged() {
        let found = format!("{outcome}: kernel.apparmor_restrict_unprivileged_userns is 1");
        return (found, "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0".into());
    }
    let remedy = facts.open_the_container().unwrap_or_else(|| {
        if facts.user.uid == 0 {
            "run this as root of the machine itself, outside of any sandbox".into()
        } else {
            "run this as root: sudo glassbox …".into()
        }
    });
    let by = if facts.user.seccomp_filter { " (a seccomp filter is on us)" } else { "" };
    (format!("{outcome}: refused{by}"), remedy)
}

fn config_word(namespace: Namespace) -> &'static str {
    match namespace {
        Namespace::Mnt => "MNT",
        Namespace::Pid => "PID",
        Namespace::Net => "NET",
        Namespace::Ipc => "IPC",
        Namespace::Uts => "UTS",
        Namespace::User => "USER",
        Namespace::Cgroup => "CGROUP",
        Namespace::Time => "TIME",
    }
}
