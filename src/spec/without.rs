//! A container with one wall missing: what a config.json says when its PID namespace, its masks or its filter are taken out.
//!
//! On the JSON, before it is typed: what is kept of the container for `exec` is then the config that it was started with.
//! One wall is no field of config.json: without `pivot-root` the plan itself is another one (`plan::Options`).

use caps::CapsHashSet;
use serde_json::{Value, json};

use super::json;
use super::load::SpecError;
use super::validate::sysctl_path;

/// What stands between a container and its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wall {
    /// The PID namespace.
    Pid,
    /// The network namespace.
    Net,
    /// The mount namespace.
    Mount,
    /// The UTS namespace: host name and domain name.
    Uts,
    /// The IPC namespace.
    Ipc,
    /// The user namespace.
    User,
    /// The cgroup namespace.
    Cgroup,
    /// The time namespace.
    Time,
    /// pivot_root(2), which lets go of the host's files; chroot(2) does not.
    PivotRoot,
    /// Masked and read-only paths.
    Mask,
    /// The capabilities that the process does not have.
    Caps,
    /// The system call filter.
    Seccomp,
    /// The limits of its cgroup.
    Limits,
}

/// Why a wall cannot be taken away.
#[derive(Debug, thiserror::Error)]
pub enum WithoutError {
    /// There is none to take away.
    #[error("--without {}: the container has no such wall: {why}", wall.name())]
    Missing {
        /// Which.
        wall: Wall,
        /// The field that does not ask for it.
        why: &'static str,
    },
    /// It cannot be missing while another one stands.
    #[error("--without {}: it takes --without {} too: {why}", wall.name(), also.name())]
    Needs {
        /// Which.
        wall: Wall,
        /// The other one.
        also: Wall,
        /// The kernel's rule.
        why: &'static str,
    },
    /// config.json itself is wrong.
    #[error(transparent)]
    Spec(#[from] SpecError),
}

impl Wall {
    /// Every wall.
    pub const ALL: [Wall; 13] = [
        Wall::Pid,
        Wall::Net,
        Wall::Mount,
        Wall::Uts,
        Wall::Ipc,
        Wall::User,
        Wall::Cgroup,
        Wall::Time,
        Wall::PivotRoot,
        Wall::Mask,
        Wall::Caps,
        Wall::Seccomp,
        Wall::Limits,
    ];

    /// As `--without` names it.
    pub fn name(self) -> &'static str {
        match self {
            Wall::Pid => "pid",
            Wall::Net => "net",
            Wall::Mount => "mount",
            Wall::Uts => "uts",
            Wall::Ipc => "ipc",
            Wall::User => "user",
            Wall::Cgroup => "cgroup",
            Wall::Time => "time",
            Wall::PivotRoot => "pivot-root",
            Wall::Mask => "mask",
            Wall::Caps => "caps",
            Wall::Seccomp => "seccomp",
            Wall::Limits => "limits",
        }
    }

    /// The wall that `--without` names so.
    pub fn named(name: &str) -> Option<Wall> {
        Wall::ALL.into_iter().find(|wall| wall.name() == name)
    }

    /// What it means to a container that it is missing: a sentence about "it", without a full stop.
    pub fn loss(self) -> &'static str {
        match self {
            Wall::Pid => "it sees every process of this host, and its root can signal and trace them",
            Wall::Net => "it has this host's network devices, addresses and open ports",
            Wall::Mount => "its mounts are this host's mounts until it is deleted, and its root is made by chroot(2)",
            Wall::Uts => "it has this host's name, and its root may be able to change it",
            Wall::Ipc => "it shares System V IPC and POSIX message queues with this host",
            Wall::User => "its users are this host's users, and root in it is root here",
            Wall::Cgroup => "it sees its place in this host's cgroup tree",
            Wall::Time => "its clocks are this host's",
            Wall::PivotRoot => "its root is made by chroot(2): with CAP_SYS_CHROOT it reaches this host's files",
            Wall::Mask => "it sees what is masked otherwise, and can write to what is read-only, such as /proc/sys",
            Wall::Caps => "its process has every capability that we have",
            Wall::Seccomp => "no system call of it is filtered",
            Wall::Limits => "nothing limits its memory, its CPU time and its tasks",
        }
    }

    /// The kind of its namespace, as `linux.namespaces` names it.
    fn namespace(self) -> Option<&'static str> {
        match self {
            Wall::Pid => Some("pid"),
            Wall::Net => Some("network"),
            Wall::Mount => Some("mount"),
            Wall::Uts => Some("uts"),
            Wall::Ipc => Some("ipc"),
            Wall::User => Some("user"),
            Wall::Cgroup => Some("cgroup"),
            Wall::Time => Some("time"),
            Wall::PivotRoot | Wall::Mask | Wall::Caps | Wall::Seccomp | Wall::Limits => None,
        }
    }
}

/// The text of a config.json without these walls. `ours` are the capabilities that we have to give.
pub fn without(text: &str, walls: &[Wall], ours: &CapsHashSet) -> Result<String, WithoutError> {
    let mut config = json::parse(text).map_err(SpecError::Json)?;
    for wall in walls {
        take_away(&mut config, *wall, ours).map_err(|why| WithoutError::Missing { wall: *wall, why })?;
    }
    let lacks = |wall| walls.contains(&wall);
    let mapped = has_namespace(&config, "user");
    if lacks(Wall::Mount) && mapped {
        let why = "a user namespace has no power over this host's mounts";
        return Err(WithoutError::Needs { wall: Wall::Mount, also: Wall::User, why });
    }
    // Mounting them takes power over the namespace that they show: a user namespace has none over the host's.
    if lacks(Wall::Pid) && mapped {
        show_the_hosts_proc(&mut config);
    }
    if let (true, true, Some(mounts)) = (lacks(Wall::Ipc), mapped, config["mounts"].as_array_mut()) {
        mounts.retain(|mount| mount["type"] != "mqueue");
    }
    Ok(format!("{config:#}"))
}

/// Or the field where it is missing.
fn take_away(config: &mut Value, wall: Wall, ours: &CapsHashSet) -> Result<(), &'static str> {
    if let Some(kind) = wall.namespace() {
        if !has_namespace(config, kind) {
            return Err("linux.namespaces has no entry of that type");
        }
        if let Some(list) = config["linux"]["namespaces"].as_array_mut() {
            list.retain(|entry| entry["type"] != kind);
        }
    }
    let fields: &[(&str, &str)] = match wall {
        Wall::Pid | Wall::Ipc | Wall::Cgroup | Wall::Mount | Wall::PivotRoot | Wall::Caps => &[],
        Wall::Net => &[("/linux", "netDevices")],
        Wall::Uts => &[("", "hostname"), ("", "domainname")],
        Wall::User => &[("/linux", "uidMappings"), ("/linux", "gidMappings")],
        Wall::Time => &[("/linux", "timeOffsets")],
        Wall::Mask => &[("/linux", "maskedPaths"), ("/linux", "readonlyPaths")],
        Wall::Seccomp => &[("/linux", "seccomp")],
        Wall::Limits => &[],
    };
    let taken: Vec<_> = fields.iter().filter_map(|(place, name)| take(config, place, name)).collect();
    drop_sysctls(config, wall);
    let empty = |value: &Value| value.as_array().is_some_and(Vec::is_empty);
    match wall {
        Wall::Mask if taken.iter().all(empty) => Err("linux.maskedPaths and linux.readonlyPaths have no entry"),
        Wall::Seccomp if taken.iter().all(Value::is_null) => Err("linux.seccomp is not set"),
        Wall::Caps => every_capability(config, ours),
        Wall::Limits => no_limits(config),
        _ => Ok(()),
    }
}

fn has_namespace(config: &Value, kind: &str) -> bool {
    config["linux"]["namespaces"].as_array().is_some_and(|list| list.iter().any(|entry| entry["type"] == kind))
}

fn take(config: &mut Value, place: &str, name: &str) -> Option<Value> {
    config.pointer_mut(place)?.as_object_mut()?.shift_remove(name)
}

/// Parameters of a namespace that is the host's now would be changed for the host.
fn drop_sysctls(config: &mut Value, wall: Wall) {
    let belongs = |key: &str| {
        let path = sysctl_path(key);
        match wall {
            Wall::Net => path.starts_with("net/"),
            Wall::Uts => ["kernel/domainname", "kernel/hostname"].contains(&path.as_str()),
            Wall::Ipc => !path.starts_with("net/") && path != "kernel/domainname" && path != "kernel/hostname",
            _ => false,
        }
    };
    if let Some(sysctls) = config.pointer_mut("/linux/sysctl").and_then(Value::as_object_mut) {
        sysctls.retain(|key, _| !belongs(key));
    }
}

fn every_capability(config: &mut Value, ours: &CapsHashSet) -> Result<(), &'static str> {
    let mut all: Vec<_> = ours.iter().map(|capability| capability.to_string()).collect();
    all.sort();
    let sets = &mut config["process"]["capabilities"];
    let names = |set: &Value| set.as_array().map_or(0, Vec::len);
    if ["bounding", "effective", "permitted"].iter().all(|set| names(&sets[*set]) >= all.len()) {
        return Err("process.capabilities names every capability already");
    }
    for set in ["bounding", "effective", "permitted"] {
        sets[set] = json!(all);
    }
    Ok(())
}

/// Which devices it may use is another question than how much.
fn no_limits(config: &mut Value) -> Result<(), &'static str> {
    let Some(resources) = config.pointer_mut("/linux/resources").and_then(Value::as_object_mut) else {
        return Err("linux.resources is not set");
    };
    let before = resources.len();
    resources.retain(|name, _| name == "devices");
    match before == resources.len() {
        true => Err("linux.resources has no limit"),
        false => Ok(()),
    }
}

fn show_the_hosts_proc(config: &mut Value) {
    for mount in config["mounts"].as_array_mut().into_iter().flatten().filter(|mount| mount["type"] == "proc") {
        mount["type"] = "bind".into();
        mount["source"] = "/proc".into();
        let options = mount["options"].as_array().cloned().unwrap_or_default();
        let known = |option: &&str| ["nosuid", "noexec", "nodev", "ro"].contains(option);
        let kept = options.iter().filter_map(Value::as_str).filter(known);
        mount["options"] = kept.chain(["rbind"]).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Config, template};
    use super::*;

    fn changed(change: impl FnOnce(&mut Value), walls: &[Wall]) -> Result<Value, String> {
        let mut config = template();
        change(&mut config);
        let text = without(&config.to_string(), walls, &caps::all()).map_err(|error| error.to_string())?;
        Config::parse(&text).map_err(|error| error.to_string())?;
        Ok(serde_json::from_str(&text).expect("it was parsed just now"))
    }

    fn everything(config: &mut Value) {
        let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
        let linux = &mut config["linux"];
        linux["namespaces"].as_array_mut().expect("a list").extend([json!({"type": "user"}), json!({"type": "time"})]);
        linux["uidMappings"] = map.clone();
        linux["gidMappings"] = map;
        linux["timeOffsets"] = json!({"monotonic": {"secs": 60}});
        linux["netDevices"] = json!({"gb7": {}});
        linux["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW"});
        linux["resources"]["memory"] = json!({"limit": 1 << 26});
        linux["sysctl"] = json!({
            "net.ipv4.ip_forward": "1", "kernel.shmmax": "65536", "fs.mqueue.msg_max": "8", "kernel.domainname": "example",
        });
        config["domainname"] = "example".into();
    }

    /// The names of everything that a config has in its first three levels, with the kinds of its namespaces.
    fn fields(config: &Value) -> Vec<String> {
        let mut found = Vec::new();
        let mut walk = vec![(String::new(), config)];
        while let Some((path, value)) = walk.pop() {
            for (name, value) in value.as_object().into_iter().flatten() {
                let path = format!("{path}.{name}");
                found.push(path.clone());
                if path.matches('.').count() < 3 {
                    walk.push((path, value));
                }
            }
        }
        let kinds = config["linux"]["namespaces"].as_array().expect("a list").iter();
        found.extend(kinds.map(|entry| format!("namespace {}", entry["type"].as_str().expect("a text"))));
        found.sort();
        found
    }

    /// What is gone, wall by wall; all that is left is a config that may be started.
    #[test]
    fn one_wall_is_missing_and_all_the_rest_stands() {
        let whole = changed(everything, &[]).map(|config| fields(&config)).expect("it is valid");
        let mut told = String::new();
        for wall in Wall::ALL.into_iter().filter(|wall| *wall != Wall::Mount) {
            let left = changed(everything, &[wall])
                .map(|config| fields(&config))
                .unwrap_or_else(|error| panic!("{}: {error}", wall.name()));
            let gone: Vec<_> = whole.iter().filter(|name| !left.contains(name)).map(String::as_str).collect();
            told.push_str(&format!("{}: {}\n", wall.name(), gone.join(" ")));
        }
        insta::assert_snapshot!(told, @r#"
        pid: namespace pid
        net: .linux.netDevices .linux.netDevices.gb7 .linux.sysctl.net.ipv4.ip_forward namespace network
        uts: .domainname .hostname .linux.sysctl.kernel.domainname namespace uts
        ipc: .linux.sysctl.fs.mqueue.msg_max .linux.sysctl.kernel.shmmax namespace ipc
        user: .linux.gidMappings .linux.uidMappings namespace user
        cgroup: namespace cgroup
        time: .linux.timeOffsets .linux.timeOffsets.monotonic namespace time
        pivot-root: 
        mask: .linux.maskedPaths .linux.readonlyPaths
        caps: 
        seccomp: .linux.seccomp .linux.seccomp.defaultAction
        limits: .linux.resources.memory
        "#);
    }

    #[test]
    fn walls_that_are_not_there_cannot_be_taken_away() {
        let mut told = String::new();
        for wall in Wall::ALL {
            let refused = changed(|config| drop(config["linux"]["resources"].take()), &[wall]);
            told.extend(refused.err().map(|error| error + "\n"));
        }
        insta::assert_snapshot!(told, @r#"
        --without user: the container has no such wall: linux.namespaces has no entry of that type
        --without time: the container has no such wall: linux.namespaces has no entry of that type
        --without seccomp: the container has no such wall: linux.seccomp is not set
        --without limits: the container has no such wall: linux.resources is not set
        "#);
        assert!(
            changed(|config| every_capability(config, &caps::all()).expect("it lacks some"), &[Wall::Caps]).is_err()
        );
    }

    #[test]
    fn what_a_user_namespace_has_no_power_over_is_the_hosts_or_left_out() {
        let mount = |config: &Value, destination: &str| {
            config["mounts"]
                .as_array()
                .expect("a list")
                .iter()
                .find(|mount| mount["destination"] == destination)
                .cloned()
        };
        let both = changed(everything, &[Wall::Pid, Wall::Ipc]).expect("it is valid");
        let proc = json!({"destination": "/proc", "type": "bind", "source": "/proc", "options": ["rbind"]});
        assert_eq!((mount(&both, "/proc"), mount(&both, "/dev/mqueue")), (Some(proc), None));
        let host = changed(everything, &[Wall::Pid, Wall::User]).expect("it is valid");
        assert_eq!(mount(&host, "/proc").expect("the template has it")["type"], "proc");
        let refused = changed(everything, &[Wall::Mount]).expect_err("it cannot mount");
        assert!(refused.contains("--without user too"), "{refused}");
        assert!(changed(everything, &[Wall::Mount, Wall::User]).is_ok());
    }
}
