//! Ordinary users: may they make user namespaces, and have they more ids than their own?

use super::super::attempt::Namespace;
use super::{Area, Facts, Finding, Verdict};

/// The findings about ordinary users. None of them holds a container of root back, so none is worse than limited.
pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    let mut findings = vec![user_namespaces(facts)];
    if facts.user.uid != 0 {
        findings.push(sub_ids(facts));
    }
    findings.push(map_writers(facts));
    findings
}

fn user_namespaces(facts: &Facts) -> Finding {
    let finding = |found: String| Area::Rootless.ok("user_namespaces", "user namespaces", found);
    let limit = facts.namespaces.get(&Namespace::User).and_then(|user| user.limit);
    let settings = [
        ("kernel.unprivileged_userns_clone", facts.rootless.unprivileged_userns_clone, 0, 1),
        ("kernel.apparmor_restrict_unprivileged_userns", facts.rootless.apparmor_restrict_unprivileged_userns, 1, 0),
        ("user.max_user_namespaces", limit, 0, 15000),
    ];
    let closed = settings.into_iter().find(|(_, value, closed, _)| *value == Some(*closed));
    let Some((name, _, value, open)) = closed else { return finding("allowed".into()) };
    let why = "an ordinary user cannot become root of a user namespace";
    finding(format!("{name} is {value}")).short(Verdict::Limited, why, format!("sudo sysctl -w {name}={open}"))
}

fn sub_ids(facts: &Facts) -> Finding {
    let finding = |found: String| Area::Rootless.ok("sub_ids", "further ids", found);
    let name = facts.rootless.name.clone().unwrap_or(facts.user.uid.to_string());
    let lacking: Vec<_> = [("/etc/subuid", facts.rootless.subuid), ("/etc/subgid", facts.rootless.subgid)]
        .into_iter()
        .filter(|(_, has)| !has)
        .map(|(file, _)| file)
        .collect();
    if lacking.is_empty() {
        return finding(format!("{name} has ranges in /etc/subuid and /etc/subgid"));
    }
    let why = "a container of that user has one user id and one group id";
    let remedy = format!("sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {name}");
    finding(format!("no range for {name} in {}", lacking.join(" and "))).short(Verdict::Limited, why, remedy)
}

fn map_writers(facts: &Facts) -> Finding {
    let finding = |found: String| Area::Rootless.ok("newuidmap", "newuidmap", found);
    let lacking: Vec<_> = super::tools::MAP_WRITERS
        .into_iter()
        .filter(|name| facts.tools.get(*name).is_none_or(Option::is_none))
        .collect();
    if lacking.is_empty() {
        return finding("newuidmap and newgidmap are installed".into());
    }
    let why = "an ordinary user cannot map more than one id into a user namespace";
    finding(format!("no {}", lacking.join(" and "))).short(Verdict::Limited, why, facts.install("uidmap"))
}
