//! The ids of a new user namespace: who writes its maps, and what that leaves of groups (user_namespaces(7)).

use super::PlanError;
use super::host::{Host, Rootless};
use super::namespaces;
use super::step::{HostStep, IdKind, IdRange, Planned};
use super::uapi::CLONE_NEWUSER;
use crate::spec::oci::{LinuxIdMapping, Mount, Process, Spec};

/// A user namespace's maps, which only someone outside may write.
pub(super) fn maps(spec: &Spec, host: &Host) -> Vec<Planned<HostStep>> {
    let linux = spec.linux().as_ref();
    // Groups first: once setgroups is denied for a map, it stays denied.
    let maps = [
        (IdKind::Group, "linux.gidMappings", linux.and_then(|linux| linux.gid_mappings().as_deref())),
        (IdKind::User, "linux.uidMappings", linux.and_then(|linux| linux.uid_mappings().as_deref())),
    ];
    let mut steps = Vec::new();
    if forbids_setgroups(spec, host) {
        let because = "an ordinary user may map no group while setgroups is allowed";
        steps.push(Planned::new(HostStep::DenySetgroups, because));
    }
    for (kind, field, maps) in maps {
        let Some(maps) = maps.filter(|maps| !maps.is_empty()) else { continue };
        let ranges = maps.iter().map(range).collect();
        let program = ordinary(host).filter(|user| !is_own(maps, kind, user)).map(|_| kind.program());
        steps.push(Planned::new(HostStep::WriteIdMap { kind, ranges, program }, field));
    }
    steps
}

/// Refuses what an ordinary user cannot have: a container beside user namespaces, and groups where they are denied.
pub(super) fn check(spec: &Spec, process: &Process, host: &Host) -> Result<(), PlanError> {
    let refuse = |field: &str, message: String| Err(PlanError::Rootless { field: field.to_string(), message });
    if let Some(user) = ordinary(host).filter(|_| namespaces::own(spec) & CLONE_NEWUSER == 0) {
        let message = format!("user {} can only start a container in a \"user\" namespace", user.uid);
        return refuse("linux.namespaces", message);
    }
    let is_mapped = |mount: &Mount| {
        let option = |option: &String| option == "idmap" || option == "ridmap";
        mount.uid_mappings().is_some() || mount.options().iter().flatten().any(option)
    };
    let mapped = spec.mounts().iter().flatten().position(is_mapped);
    if let Some(index) = mapped.filter(|_| !host.has_roots_powers()) {
        let why = "the owners of a mount can only be mapped by the machine's root";
        return refuse(&format!("mounts[{index}].uidMappings"), why.to_string());
    }
    let wanted = process.user().additional_gids().as_deref().unwrap_or_default();
    if !wanted.is_empty() && setgroups_denied(spec, host) {
        let why =
            "nobody may set groups in a user namespace whose groups an ordinary user has mapped without newgidmap";
        return refuse("process.user.additionalGids", why.to_string());
    }
    Ok(())
}

/// Whether the container's process keeps the groups that it was born with.
pub(super) fn setgroups_denied(spec: &Spec, host: &Host) -> bool {
    host.rootless.as_ref().is_some_and(|rootless| rootless.setgroups_denied) || forbids_setgroups(spec, host)
}

/// Whether the new user namespace has a root user to become. Without one its first process keeps its own id, and has all
/// capabilities there just so.
pub(super) fn has_root(spec: &Spec) -> bool {
    let maps = spec.linux().as_ref().and_then(|linux| linux.uid_mappings().as_deref()).unwrap_or_default();
    namespaces::new(spec) & CLONE_NEWUSER == 0 || maps.iter().any(|map| map.container_id() == 0)
}

fn forbids_setgroups(spec: &Spec, host: &Host) -> bool {
    let maps = spec.linux().as_ref().and_then(|linux| linux.gid_mappings().as_deref()).unwrap_or_default();
    namespaces::new(spec) & CLONE_NEWUSER != 0 && ordinary(host).is_some_and(|user| is_own(maps, IdKind::Group, user))
}

/// Somebody who has no power over the ids of our own user namespace.
fn ordinary(host: &Host) -> Option<&Rootless> {
    host.rootless.as_ref().filter(|rootless| rootless.uid != 0)
}

/// Whether the map is the one that an ordinary user may write: of the own id alone.
fn is_own(maps: &[LinuxIdMapping], kind: IdKind, user: &Rootless) -> bool {
    let own = match kind {
        IdKind::User => user.uid,
        IdKind::Group => user.gid,
    };
    matches!(maps, [map] if (map.host_id(), map.size()) == (own, 1))
}

/// A line of a map.
pub(super) fn range(map: &LinuxIdMapping) -> IdRange {
    IdRange { inside: map.container_id(), outside: map.host_id(), count: map.size() }
}

impl IdKind {
    /// newuidmap(1), newgidmap(1): they let a user have the ids that /etc/subuid and /etc/subgid give to it.
    fn program(self) -> &'static str {
        match self {
            IdKind::User => "newuidmap",
            IdKind::Group => "newgidmap",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::plan::tests::{lines, planned, rootless};
    use crate::plan::{CgroupHost, CgroupLevel, Host, Plan};
    use crate::spec::{rootless_template, template};

    fn plan(change: impl FnOnce(&mut Value)) -> Plan {
        let mut config = rootless_template(1000, 1000);
        change(&mut config);
        planned(&config, &rootless()).expect("a plan")
    }

    fn about(plan: &Plan, words: &[&str]) -> String {
        let all = lines(plan);
        let found = all.iter().filter(|line| words.iter().any(|word| line.contains(word)));
        found.map(String::as_str).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn an_ordinary_user_maps_itself_and_gives_up_setgroups() {
        insta::assert_snapshot!(about(&plan(|_| {}), &["map", "setgroups", "become user", "/sys", "/dev/null", "clone"]), @"
        clone: clone the process into new namespaces: mount, uts, ipc, user, pid (linux.namespaces)
        beside: forbid setgroups in the user namespace (an ordinary user may map no group while setgroups is allowed)
        beside: map groups in the user namespace: 1 from 0 inside to 1000 outside (linux.gidMappings)
        beside: map users in the user namespace: 1 from 0 inside to 1000 outside (linux.uidMappings)
        init: show /sys with all below it of the host at /sys (nosuid,nodev,noexec,rro) (mounts[5])
        init: mount cgroup2 on /sys/fs/cgroup (ro,nosuid,nodev,noexec) (mounts[6])
        init: show /dev/null of the host at /dev/null (every container has this device)
        init: make /proc/sys read-only (linux.readonlyPaths[3])
        init: make /proc/sysrq-trigger read-only (linux.readonlyPaths[4])
        init: mask /sys/firmware (linux.maskedPaths[8])
        init: become user 0 and group 0, with the groups that it has (process.user)
        ");
    }

    #[test]
    fn more_ids_take_the_programs_of_shadow() {
        let plan = plan(|config| {
            let more = json!([{"containerID": 0, "hostID": 1000, "size": 1}, {"containerID": 1, "hostID": 100_000, "size": 65536}]);
            config["linux"]["uidMappings"] = more.clone();
            config["linux"]["gidMappings"] = more;
            config["process"]["user"] = json!({"uid": 33, "gid": 33, "additionalGids": [5]});
        });
        insta::assert_snapshot!(about(&plan, &["map ", "setgroups", "become user"]), @"
        beside: map groups in the user namespace by newgidmap: 1 from 0 inside to 1000 outside, 65536 from 1 inside to 100000 outside (linux.gidMappings)
        beside: map users in the user namespace by newuidmap: 1 from 0 inside to 1000 outside, 65536 from 1 inside to 100000 outside (linux.uidMappings)
        init: become user 33 and group 33 with groups 5 (process.user)
        ");
    }

    #[test]
    fn a_map_without_root_leaves_the_process_who_it_is() {
        let plan = plan(|config| {
            config["linux"]["uidMappings"][0]["containerID"] = 7.into();
            config["process"]["user"]["uid"] = 7.into();
        });
        assert_eq!(about(&plan, &["become root"]), "");
    }

    #[test]
    fn what_takes_root_is_refused_by_name() {
        let error = |config: &Value| planned(config, &rootless()).expect_err("refused").to_string();
        let mut groups = rootless_template(1000, 1000);
        groups["process"]["user"]["additionalGids"] = json!([0]);
        insta::assert_snapshot!(format!("{}\n{}", error(&template()), error(&groups)), @r#"
        config.json: linux.namespaces: user 1000 can only start a container in a "user" namespace
        config.json: process.user.additionalGids: nobody may set groups in a user namespace whose groups an ordinary user has mapped without newgidmap
        "#);
    }

    /// Limits, a cgroup, device rules and a score that only root may give.
    fn limited(config: &mut Value) {
        config["linux"]["cgroupsPath"] = "web".into();
        config["linux"]["resources"] = json!({
            "memory": {"limit": 67_108_864}, "pids": {"limit": 10}, "devices": [{"allow": false, "access": "rwm"}]
        });
        config["process"]["oomScoreAdj"] = (-500).into();
    }

    #[test]
    fn what_is_not_limited_is_told() {
        insta::assert_snapshot!(format!("{}\n{}", plan(|_| {}).left_out.join("\n"), plan(limited).left_out.join("\n")), @"
        no cgroup is delegated to user 1000, so the container has none: nothing limits it, and pause, update and events cannot reach it
        no cgroup is delegated to user 1000, so the container has none: nothing limits it, and pause, update and events cannot reach it; not applied: linux.resources.memory.limit, linux.resources.pids.limit, linux.cgroupsPath, linux.resources.devices
        process.oomScoreAdj: it is 0, as only root may go down to -500
        ");
        assert_eq!(
            about(&plan(limited), &["oom_score_adj"]),
            "beside: set the process's oom_score_adj to 0 (process.oomScoreAdj)"
        );
    }

    #[test]
    fn a_delegated_cgroup_limits_as_roots_does() {
        let words = |text: &str| text.split(' ').map(str::to_string).collect::<Vec<_>>();
        let level = |path: &str, writable, exists| CgroupLevel {
            path: format!("/sys/fs/cgroup{path}"),
            exists,
            writable,
            populated: false,
            frozen: false,
            controllers: words("cpu memory pids"),
            enabled: words("cpu"),
        };
        let levels = vec![level("", false, true), level("/user", true, true), level("/user/web", true, false)];
        let mut host = rootless();
        host.rootless.as_mut().expect("it is").cgroup_delegated = true;
        let host = Host { cgroup: Some(CgroupHost { levels }), ..host };
        let mut config = rootless_template(1000, 1000);
        limited(&mut config);
        let plan = planned(&config, &host).expect("a plan");
        insta::assert_snapshot!(format!("{}\n{}", about(&plan, &["host: "]), plan.left_out.join("\n")), @r#"
        host: enable the controllers memory, pids below /sys/fs/cgroup/user (linux.resources)
        host: make the cgroup /sys/fs/cgroup/user/web (linux.cgroupsPath)
        host: write "67108864" into /sys/fs/cgroup/user/web/memory.max (linux.resources.memory.limit)
        host: write "10" into /sys/fs/cgroup/user/web/pids.max (linux.resources.pids.limit)
        linux.resources.devices: not applied: a device filter takes root; only file modes guard devices
        process.oomScoreAdj: it is 0, as only root may go down to -500
        "#);
    }
}
