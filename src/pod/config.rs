//! The `config.json` of a pod's containers and of its sandbox, as containerd's CRI plugin would write them (`internal/cri/server`,
//! `buildContainerSpec`, `buildLinuxSpec`). Pure: what the machine says comes in with [`Given`].

use k8s_openapi::api::core::v1 as api;
use serde_json::{Value, json};

use super::env::Missing;
use super::record::Group;
use super::sysctl;

/// The capabilities of a container that asks for nothing (containerd's `defaultUnixCaps`).
const CAPABILITIES: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

/// What a container without masks of its own does not see (containerd's `populateDefaultUnixSpec`).
const MASKED: [&str; 11] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];
const READONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// What is known when a container is about to be made.
#[derive(Debug, Clone)]
pub struct Given<'a> {
    /// The container's id.
    pub id: &'a str,
    /// Its cgroup.
    pub group: &'a Group,
    /// The controllers that there are: files of others are left out.
    pub controllers: &'a [String],
    /// The sandbox's process.
    pub sandbox: i32,
    /// Its program with arguments.
    pub args: &'a [String],
    /// Its variables.
    pub env: &'a [(String, String)],
    /// The image's working directory.
    pub cwd: &'a str,
    /// Who it runs as.
    pub user: User,
    /// Its volumes and the pod's own files.
    pub mounts: Vec<Mount>,
    /// The node's device files, for a privileged container.
    pub devices: &'a [Value],
    /// Every capability that there is, without `CAP_`.
    pub all_capabilities: &'a [String],
    /// `linux.seccomp`, where the container has a filter.
    pub seccomp: Option<Value>,
}

/// Who a container runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its further groups.
    pub groups: Vec<u32>,
}

/// A directory or file of the node in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where in the container.
    pub target: String,
    /// What, on the node.
    pub source: String,
    /// `rw`, `ro`, or `rro` where the mounts below it cannot be written either.
    pub access: &'static str,
    /// `rprivate`, `rslave`, `rshared`.
    pub propagation: &'static str,
}

/// The sandbox's config.json: a pause process that owns the namespaces which the containers share.
pub fn sandbox(pod: &api::PodSpec, hostname: &str, group: &Group, id: &str, controllers: &[String]) -> Value {
    let is = |flag: Option<bool>| flag == Some(true);
    let mut namespaces = vec![json!({"type": "mount"}), json!({"type": "cgroup"})];
    let own = [
        ("network", is(pod.host_network)),
        ("uts", is(pod.host_network)),
        ("ipc", is(pod.host_ipc)),
        ("pid", is(pod.host_pid)),
    ];
    namespaces.extend(own.into_iter().filter(|(_, host)| !host).map(|(kind, _)| json!({"type": kind})));
    let mut config = json!({
        "ociVersion": "1.2.1",
        "process": {
            "user": {"uid": 65535, "gid": 65535},
            "args": ["/pause"],
            "env": ["PATH=/"],
            "cwd": "/",
            "capabilities": {},
            "noNewPrivileges": true,
            "oomScoreAdj": group.oom_score_adj,
        },
        "root": {"path": "rootfs", "readonly": true},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
        ],
        "linux": {
            "namespaces": namespaces,
            "cgroupsPath": group.cgroups_path(id),
            "resources": resources(group, controllers, false),
            "maskedPaths": MASKED,
            "readonlyPaths": READONLY,
        },
    });
    if !is(pod.host_network) {
        config["hostname"] = json!(hostname);
    }
    let sysctls: serde_json::Map<String, Value> =
        sysctl::of(pod).into_iter().map(|(name, value)| (name, json!(value))).collect();
    if !sysctls.is_empty() {
        config["linux"]["sysctl"] = json!(sysctls);
    }
    config
}

/// A container's config.json.
pub fn container(pod: &api::PodSpec, container: &api::Container, given: Given<'_>) -> Value {
    let security = container.security_context.clone().unwrap_or_default();
    let privileged = security.privileged == Some(true);
    let capabilities = capabilities(&security, given.all_capabilities);
    let cwd = container.working_dir.as_deref().filter(|cwd| !cwd.is_empty()).unwrap_or(given.cwd);
    let env: Vec<String> = given.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let unmasked = privileged || security.proc_mount.as_deref() == Some("Unmasked");
    let mut config = json!({
        "ociVersion": "1.2.1",
        "process": {
            "user": {"uid": given.user.uid, "gid": given.user.gid, "additionalGids": given.user.groups},
            "args": given.args,
            "env": env,
            "cwd": if cwd.is_empty() { "/" } else { cwd },
            "capabilities": {"bounding": capabilities, "effective": capabilities, "permitted": capabilities},
            "noNewPrivileges": security.allow_privilege_escalation == Some(false),
            "oomScoreAdj": given.group.oom_score_adj,
        },
        "root": {"path": "rootfs", "readonly": security.read_only_root_filesystem == Some(true)},
        "mounts": mounts(&given.mounts, privileged),
        "linux": {
            "namespaces": namespaces(pod, given.sandbox),
            "cgroupsPath": given.group.cgroups_path(given.id),
            "resources": resources(given.group, given.controllers, privileged),
        },
    });
    if privileged {
        config["linux"]["devices"] = json!(given.devices);
    }
    if !unmasked {
        config["linux"]["maskedPaths"] = json!(MASKED);
        config["linux"]["readonlyPaths"] = json!(READONLY);
    }
    if let Some(filter) = given.seccomp {
        config["linux"]["seccomp"] = filter;
    }
    if let Some(profile) = apparmor(pod, &security).filter(|_| !privileged) {
        config["process"]["apparmorProfile"] = json!(profile);
    }
    config
}

/// The AppArmor profile of a container, or of its pod: one that is loaded on the node, by its name.
fn apparmor(pod: &api::PodSpec, security: &api::SecurityContext) -> Option<String> {
    let of_pod = pod.security_context.as_ref().and_then(|context| context.app_armor_profile.clone());
    let profile = security.app_armor_profile.clone().or(of_pod)?;
    profile.localhost_profile.filter(|_| profile.type_ == "Localhost")
}

/// The pod's shared namespaces are joined by the sandbox's process; what the pod has of the node's is not named.
fn namespaces(pod: &api::PodSpec, sandbox: i32) -> Vec<Value> {
    let is = |flag: Option<bool>| flag == Some(true);
    let of = |kind: &str, file: &str| json!({"type": kind, "path": format!("/proc/{sandbox}/ns/{file}")});
    let mut list = vec![json!({"type": "mount"}), json!({"type": "cgroup"})];
    if !is(pod.host_network) {
        list.extend([of("network", "net"), of("uts", "uts")]);
    }
    if !is(pod.host_ipc) {
        list.push(of("ipc", "ipc"));
    }
    match (is(pod.host_pid), is(pod.share_process_namespace)) {
        (true, _) => {}
        (false, true) => list.push(of("pid", "pid")),
        (false, false) => list.push(json!({"type": "pid"})),
    }
    list
}

/// Every value is a file of cgroup v2, so all of them go by `unified`.
fn resources(group: &Group, controllers: &[String], privileged: bool) -> Value {
    let is_there = |file: &str| controllers.iter().any(|controller| file.split('.').next() == Some(controller));
    let files = group.files.iter().filter(|(file, ..)| is_there(file));
    let unified: serde_json::Map<String, Value> = files.map(|(file, value, _)| (file.clone(), json!(value))).collect();
    json!({"unified": unified, "devices": [{"allow": privileged, "access": "rwm"}]})
}

fn mounts(own: &[Mount], privileged: bool) -> Vec<Value> {
    let access = if privileged { "rw" } else { "ro" };
    let mut all = vec![
        json!({"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]}),
        json!({"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]}),
        json!({"destination": "/dev/pts", "type": "devpts", "source": "devpts",
            "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]}),
        json!({"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"]}),
        json!({"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", access]}),
        json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
            "options": ["nosuid", "noexec", "nodev", "relatime", access]}),
    ];
    // A mount that lies below another one comes after it.
    let mut own: Vec<&Mount> = own.iter().collect();
    own.sort_by_key(|mount| mount.target.matches('/').count());
    all.extend(own.into_iter().map(|mount| {
        let options = ["rbind", mount.propagation, mount.access];
        json!({"destination": mount.target, "type": "bind", "source": mount.source, "options": options})
    }));
    all
}

/// The default ones, without those of `drop`, with those of `add`; `ALL` means all (containerd's `WithCapabilities`).
pub fn capabilities(security: &api::SecurityContext, all: &[String]) -> Vec<String> {
    let wanted = security.capabilities.clone().unwrap_or_default();
    let names = |list: Option<Vec<String>>| -> Vec<String> {
        let plain = |name: String| name.to_uppercase().trim_start_matches("CAP_").to_string();
        list.into_iter().flatten().map(plain).collect()
    };
    let (add, drop) = (names(wanted.add), names(wanted.drop));
    let everything = |list: &[String]| list.iter().any(|name| name == "ALL");
    let mut set: Vec<String> = match (security.privileged == Some(true) || everything(&add), everything(&drop)) {
        (true, _) => all.to_vec(),
        (false, true) => Vec::new(),
        (false, false) => CAPABILITIES.map(str::to_string).to_vec(),
    };
    if security.privileged != Some(true) {
        set.retain(|name| !drop.contains(name));
        set.extend(add.into_iter().filter(|name| name != "ALL" && !drop.contains(name)));
    }
    set.sort();
    set.dedup();
    set.into_iter().map(|name| format!("CAP_{name}")).collect()
}

/// Who a container runs as. `passwd` and `group` are the files of its image, `image` the user that the image names, or nothing.
pub fn user(
    pod: &api::PodSpec,
    container: &api::Container,
    image: &str,
    passwd: &str,
    group: &str,
) -> Result<User, Missing> {
    let of_pod = pod.security_context.clone().unwrap_or_default();
    let own = container.security_context.clone().unwrap_or_default();
    let number = |own: Option<i64>, pod: Option<i64>| own.or(pod).and_then(|number| u32::try_from(number).ok());
    let asked = number(own.run_as_user, of_pod.run_as_user);
    let (uid, image_gid) = match asked {
        Some(uid) => (uid, None),
        None => {
            let found = crate::image::find_user(image, passwd, group).map_err(Missing)?;
            (found.uid, (!image.is_empty()).then_some(found.gid))
        }
    };
    let name = image.split(':').next().unwrap_or_default();
    let is_name = !name.bytes().all(|byte| byte.is_ascii_digit());
    if asked.is_none() && is_name && own.run_as_non_root.or(of_pod.run_as_non_root) == Some(true) {
        return Err(Missing(format!(
            "container has runAsNonRoot and image has non-numeric user ({name}), cannot verify user is non-root"
        )));
    }
    if own.run_as_non_root.or(of_pod.run_as_non_root) == Some(true) && uid == 0 {
        let what = if asked.is_some() {
            "container's runAsUser breaks non-root policy"
        } else {
            "container has runAsNonRoot and image will run as root"
        };
        return Err(Missing(what.to_string()));
    }
    let entry = passwd
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.get(2).and_then(|uid| uid.parse().ok()) == Some(uid));
    let of_passwd = entry.as_ref().and_then(|fields| fields.get(3)?.parse().ok());
    let gid = number(own.run_as_group, of_pod.run_as_group).or(image_gid).or(of_passwd).unwrap_or(0);
    let name = entry.as_ref().and_then(|fields| fields.first().copied()).unwrap_or_default();
    let is_member = |line: &&str| {
        line.split(':').nth(3).is_some_and(|list| !name.is_empty() && list.split(',').any(|user| user == name))
    };
    // Strict: the image's own /etc/group adds none.
    let merges = of_pod.supplemental_groups_policy.as_deref() != Some("Strict");
    let of_group =
        group.lines().filter(|line| merges && is_member(line)).filter_map(|line| line.split(':').nth(2)?.parse().ok());
    let asked = of_pod.supplemental_groups.into_iter().flatten().chain(of_pod.fs_group);
    let mut groups: Vec<u32> = of_group.chain(asked.filter_map(|gid| u32::try_from(gid).ok())).collect();
    groups.sort_unstable();
    groups.dedup();
    Ok(User { uid, gid, groups })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group() -> Group {
        Group {
            level: "container".into(),
            name: "app".into(),
            path: "/kubepods/burstable/pod1/<cid>".into(),
            files: vec![
                ("cpu.weight".into(), "35".into(), String::new()),
                ("hugetlb.2MB.max".into(), "0".into(), String::new()),
            ],
            oom_score_adj: Some(993),
        }
    }

    fn made(pod: Value, one: Value) -> Value {
        let pod: api::PodSpec = serde_json::from_value(pod).unwrap();
        let mut one = one;
        one["name"] = json!("app");
        let one: api::Container = serde_json::from_value(one).unwrap();
        let mount =
            |target: &str| Mount { target: target.into(), source: "/v".into(), access: "ro", propagation: "rprivate" };
        let (group, controllers) = (group(), ["cpu".to_string()]);
        let given = Given {
            id: "web_app_0",
            group: &group,
            controllers: &controllers,
            sandbox: 77,
            args: &["sh".into()],
            env: &[("A".into(), "1".into())],
            cwd: "",
            user: User { uid: 5, gid: 6, groups: vec![7] },
            mounts: vec![mount("/data/deep"), mount("/data")],
            devices: &[json!({"path": "/dev/kmsg"})],
            all_capabilities: &["KILL".into(), "SYS_ADMIN".into()],
            seccomp: Some(json!({"defaultAction": "SCMP_ACT_LOG"})),
        };
        container(&pod, &one, given)
    }

    fn plain() -> Value {
        json!({"containers": []})
    }

    #[test]
    fn a_container_joins_the_sandbox_and_has_its_values_by_unified() {
        let config = made(plain(), json!({"workingDir": "/srv"}));
        assert_eq!(config["linux"]["cgroupsPath"], "/kubepods/burstable/pod1/web_app_0");
        assert_eq!(config["linux"]["resources"]["unified"], json!({"cpu.weight": "35"}));
        assert_eq!(config["linux"]["resources"]["devices"], json!([{"allow": false, "access": "rwm"}]));
        let spaces = json!([{"type": "mount"}, {"type": "cgroup"}, {"type": "network", "path": "/proc/77/ns/net"},
            {"type": "uts", "path": "/proc/77/ns/uts"}, {"type": "ipc", "path": "/proc/77/ns/ipc"}, {"type": "pid"}]);
        assert_eq!(config["linux"]["namespaces"], spaces);
        assert_eq!(config["linux"]["seccomp"]["defaultAction"], "SCMP_ACT_LOG");
        let process = &config["process"];
        assert_eq!((&process["cwd"], &process["env"]), (&json!("/srv"), &json!(["A=1"])));
        assert_eq!(process["user"], json!({"uid": 5, "gid": 6, "additionalGids": [7]}));
        assert_eq!(
            (process["oomScoreAdj"].as_i64(), process["capabilities"]["bounding"].as_array().unwrap().len()),
            (Some(993), 14)
        );
        let targets: Vec<&str> =
            config["mounts"].as_array().unwrap().iter().map(|mount| mount["destination"].as_str().unwrap()).collect();
        assert_eq!(targets[targets.len() - 2..], ["/data", "/data/deep"]);
    }

    #[test]
    fn what_the_pod_has_of_the_nodes_is_not_joined_and_a_shared_pid_namespace_is() {
        let kinds = |pod: Value| -> Vec<String> {
            let config = made(pod, json!({}));
            let list = config["linux"]["namespaces"].as_array().unwrap().clone();
            list.iter().map(|one| format!("{} {}", one["type"], one["path"]).replace('"', "")).collect()
        };
        let host = json!({"containers": [], "hostNetwork": true, "hostPID": true, "hostIPC": true});
        assert_eq!(kinds(host), ["mount null", "cgroup null"]);
        let shared = json!({"containers": [], "shareProcessNamespace": true});
        assert!(kinds(shared).contains(&"pid /proc/77/ns/pid".to_string()));
    }

    #[test]
    fn the_security_context_decides_capabilities_masks_and_devices() {
        let with = |security: Value| made(plain(), json!({"securityContext": security}));
        let caps = |security: Value| -> String {
            let config = with(security);
            let list = config["process"]["capabilities"]["effective"].as_array().unwrap().clone();
            list.iter()
                .map(|cap| cap.as_str().unwrap().trim_start_matches("CAP_").to_string())
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(caps(json!({"capabilities": {"drop": ["ALL"], "add": ["net_bind_service"]}})), "NET_BIND_SERVICE");
        assert_eq!(caps(json!({"capabilities": {"add": ["ALL"]}})), "KILL SYS_ADMIN");
        assert!(!caps(json!({"capabilities": {"drop": ["CHOWN"]}})).contains("CHOWN"));
        let privileged = with(json!({"privileged": true}));
        assert_eq!(privileged["linux"]["devices"][0]["path"], "/dev/kmsg");
        assert!(privileged["linux"].get("maskedPaths").is_none());
        assert_eq!(privileged["linux"]["resources"]["devices"][0]["allow"], true);
        let profile = |kind: &str| json!({"appArmorProfile": {"type": kind, "localhostProfile": "web"}});
        assert_eq!(with(profile("Localhost"))["process"]["apparmorProfile"], "web");
        assert!(with(profile("Unconfined"))["process"].get("apparmorProfile").is_none());
        let strict =
            with(json!({"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "procMount": "Unmasked"}));
        assert_eq!((&strict["process"]["noNewPrivileges"], &strict["root"]["readonly"]), (&json!(true), &json!(true)));
        assert!(strict["linux"].get("maskedPaths").is_none());
    }

    #[test]
    fn the_user_is_the_containers_then_the_pods_then_the_images() {
        let passwd = "root:x:0:0::/:/bin/sh\nweb:x:33:34::/:/bin/sh\n";
        let groups = "root:x:0:\ntape:x:26:web\naudio:x:29:other,web\n";
        let of_image = |image: &str, pod: Value, own: Value| {
            let pod = serde_json::from_value(json!({"containers": [], "securityContext": pod})).unwrap();
            let own = serde_json::from_value(json!({"name": "a", "securityContext": own})).unwrap();
            user(&pod, &own, image, passwd, groups).map(|user| format!("{}:{} {:?}", user.uid, user.gid, user.groups))
        };
        let who = |pod: Value, own: Value| of_image("", pod, own);
        assert_eq!(who(json!({}), json!({})).unwrap(), "0:0 []");
        assert_eq!(of_image("web", json!({}), json!({})).unwrap(), "33:34 [26, 29]");
        assert_eq!(of_image("12:13", json!({}), json!({})).unwrap(), "12:13 []");
        assert_eq!(of_image("nobody", json!({}), json!({"runAsUser": 33})).unwrap(), "33:34 [26, 29]");
        assert!(of_image("nobody", json!({}), json!({})).unwrap_err().to_string().contains("no user of /etc/passwd"));
        let unknown = of_image("web", json!({"runAsNonRoot": true}), json!({})).unwrap_err().to_string();
        assert_eq!(
            unknown,
            "container has runAsNonRoot and image has non-numeric user (web), cannot verify user is non-root"
        );
        assert_eq!(of_image("12", json!({"runAsNonRoot": true}), json!({})).unwrap(), "12:0 []");
        assert_eq!(who(json!({"runAsUser": 33}), json!({})).unwrap(), "33:34 [26, 29]");
        assert_eq!(who(json!({"runAsUser": 33, "runAsGroup": 5}), json!({"runAsUser": 7})).unwrap(), "7:5 []");
        assert_eq!(
            who(json!({"runAsUser": 33, "supplementalGroupsPolicy": "Strict", "fsGroup": 5}), json!({})).unwrap(),
            "33:34 [5]"
        );
        assert_eq!(who(json!({"fsGroup": 2000, "supplementalGroups": [9]}), json!({})).unwrap(), "0:0 [9, 2000]");
        let refused = who(json!({"runAsNonRoot": true}), json!({})).unwrap_err();
        assert_eq!(refused.to_string(), "container has runAsNonRoot and image will run as root");
        assert_eq!(who(json!({"runAsNonRoot": true}), json!({"runAsUser": 33})).unwrap(), "33:34 [26, 29]");
    }

    #[test]
    fn the_sandbox_owns_what_the_containers_share() {
        let pod = |value: Value| serde_json::from_value::<api::PodSpec>(value).unwrap();
        let config = sandbox(&pod(plain()), "web", &group(), "web__pause", &["cpu".into()]);
        assert_eq!(config["hostname"], "web");
        assert_eq!(config["linux"]["namespaces"].as_array().unwrap().len(), 6);
        let host = sandbox(&pod(json!({"containers": [], "hostNetwork": true})), "web", &group(), "i", &[]);
        assert!(host.get("hostname").is_none());
        let sysctls = json!({"containers": [], "securityContext": {"sysctls": [{"name": "net/ipv4/tcp_rmem", "value": "1 2 3"}]}});
        let set = sandbox(&pod(sysctls), "web", &group(), "i", &[]);
        assert_eq!(set["linux"]["sysctl"], json!({"net.ipv4.tcp_rmem": "1 2 3"}));
        assert_eq!(host["linux"]["namespaces"].as_array().unwrap().len(), 4);
    }
}
