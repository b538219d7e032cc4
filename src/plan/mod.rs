//! What a container start will do, as data. Pure: the same config and the same machine give the same plan.
//!
//! `step.rs` has the types, this file the story. `story.rs`, `any.rs`, `text.rs`, `chinese.rs`, `json.rs`, `shell/` and `mermaid.rs` tell it,
//! `difference.rs` compares two; the runtime does it.

mod any;
mod cgroup;
mod chinese;
mod difference;
mod exec;
mod features;
pub mod hooks;
mod host;
mod ids;
mod json;
mod mermaid;
mod mount_options;
mod namespaces;
mod notify;
mod process;
mod rootfs;
pub mod seccomp;
mod shell;
mod step;
mod story;
mod text;
pub mod uapi;

pub use any::{Language, Placed, Step};
pub use cgroup::path as cgroup_path;
pub use difference::{Change, difference};
pub use exec::{Target, exec, exec_without};
pub use features::features;
pub use host::{CgroupHost, CgroupLevel, Host, Rootless, delegated_files};
pub use shell::{Alone, Shell};
pub use step::{
    Clone3, Filesystem, FsParameter, Hook, HookKind, HostStep, IdKind, IdRange, InitStep, LabelKind, MountAttributes,
    MountIdMap, Plan, Planned, RootfsPath, Scheduling,
};
pub use story::{Lane, Line, Numbered};
pub use text::{namespace_names, printable, wrapped};

use crate::cgroup::resources::ResourceError;
use crate::cgroup::scope::ScopeError;
use crate::spec::oci::{Process, Spec};
use uapi::*;

/// Why a config cannot be carried out on this machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The config has no `process`: there is nothing to start.
    #[error("config.json: process is required to create a container")]
    NoProcess,
    /// A limit that cgroup v2 cannot express.
    #[error("config.json: {0}")]
    Resource(#[from] ResourceError),
    /// A system call filter that cannot be made.
    #[error("config.json: {0}")]
    Seccomp(#[from] seccomp::SeccompError),
    /// A limit is asked for, and the machine has no cgroup v2 mounted.
    #[error("config.json: {field}: this machine has no cgroup v2 hierarchy mounted")]
    NoCgroup {
        /// The first limit, as `linux.resources.pids.limit`.
        field: String,
    },
    /// Something that takes more than an ordinary user may.
    #[error("config.json: {field}: {message}")]
    Rootless {
        /// As `linux.namespaces`.
        field: String,
        /// What cannot be had, and why.
        message: String,
    },
    /// systemd is to make a cgroup, and the machine has no cgroup v2 mounted.
    #[error("--systemd-cgroup: this machine has no cgroup v2 hierarchy mounted")]
    NoHierarchy,
    /// The config names no scope.
    #[error("config.json: linux.cgroupsPath: {0}")]
    Scope(#[from] ScopeError),
    /// A property of the scope that an annotation asks for.
    #[error("config.json: {0}")]
    Annotation(String),
    /// A wall that `exec` cannot leave out.
    #[error("--without {wall}: {why}")]
    Without {
        /// As `pid`.
        wall: &'static str,
        /// That there is none, or why it stands around every process of a container.
        why: &'static str,
    },
    /// The cgroup that the config names is somebody's already.
    #[error("config.json: linux.cgroupsPath: the cgroup {path} {why}")]
    CgroupBusy {
        /// Its directory.
        path: String,
        /// `has processes`, `is frozen`.
        why: &'static str,
    },
    /// A limit is asked for whose controller the machine does not have.
    #[error(
        "config.json: {field}: the {controller} controller is missing from {path}/cgroup.controllers, which has \"{available}\""
    )]
    ControllerMissing {
        /// `memory`, `cpu` …
        controller: String,
        /// The limit.
        field: String,
        /// The root of the hierarchy.
        path: String,
        /// What is there.
        available: String,
    },
}

/// What does not come from config.json: how `create`, `run` and `exec` were called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// `--preserve-fds`: descriptors 3 to 2+N survive execve.
    pub preserve_fds: u32,
    /// `LISTEN_FDS` of our own environment: so many descriptors from 3 on are sockets that systemd opened for the program
    /// (sd_listen_fds(3)). They come before those of `preserve_fds`.
    pub listen_fds: u32,
    /// `--no-new-keyring`: the session keyring stays the caller's.
    pub no_new_keyring: bool,
    /// `--rootless`: whether to do without a cgroup where none is ours to make; none: where we are no root.
    pub rootless: Option<bool>,
    /// `--systemd-cgroup`: systemd makes the container's cgroup.
    pub systemd_cgroup: bool,
    /// `NOTIFY_SOCKET` of our own environment: the container gets such a socket too ([`Plan::notifying`]).
    pub notify: bool,
    /// `--without pivot-root`: the root is made by chroot(2) alone.
    pub without_pivot_root: bool,
}

/// What `create` does, in order. To understand a container start, read this function.
pub fn create(id: &str, spec: &Spec, host: &Host, options: Options) -> Result<Plan, PlanError> {
    let process = spec.process().as_ref().ok_or(PlanError::NoProcess)?;
    ids::check(spec, process, host)?;
    let new = namespaces::new(spec);

    // Before the process exists: its cgroup, with limits already written, so that it is never unlimited.
    let cgroup = cgroup::lanes(id, spec, host, options.systemd_cgroup)?;

    // Where namespaces are joined that only a child can be in, or that a new user namespace has no power over: a process
    // in between joins them.
    let (mut between, mut joins, mut labels) = (Vec::new(), namespaces::joins(spec), process::labels(process));
    if namespaces::need_a_process_between(spec) {
        between.push(Planned::new(InitStep::HideFromTracers, "processes of joined namespaces can see this one"));
        between.append(&mut labels);
        between.append(&mut joins);
    }

    // Beside it, while it waits: what only someone outside may write.
    let mut beside = cgroup.beside;
    beside.extend(ids::maps(spec, host));
    beside.extend(namespaces::net_devices(spec));
    let floor = host.rootless.as_ref().filter(|_| !host.has_roots_powers()).map(|rootless| rootless.oom_score_adj);
    beside.extend(process::limits(process, floor));

    // Inside, root in its own namespaces: build the view, swap the root, close what must be closed, give power away.
    let mut init = vec![close_descriptors(&options)];
    init.append(&mut joins);
    if namespaces::own(spec) & CLONE_NEWUSER != 0 && ids::has_root(spec) {
        init.push(Planned::new(InitStep::BecomeRoot, "linux.namespaces \"user\""));
    }
    // Device nodes and directories get the modes that they are asked for, not what is left of them.
    init.push(Planned::new(InitStep::SetUmask { mask: 0 }, "modes are taken as they are written"));
    init.push(Planned::new(InitStep::NewSession, "a container does not share our terminal's session"));
    init.extend(process::personality(spec));
    init.extend(keyring(id, &options));
    init.push(process::affinity(process));
    if new & CLONE_NEWCGROUP != 0 {
        init.push(Planned::new(InitStep::Unshare { namespaces: CLONE_NEWCGROUP }, "linux.namespaces \"cgroup\""));
    }
    init.extend(namespaces::time(spec));
    init.extend(rootfs::view(spec, host, cgroup.path.as_deref()));
    init.extend(hooks::before_the_root_is_swapped(spec));
    // Up to here /proc is the host's, which no image can have put there.
    init.extend(namespaces::sysctls(spec));
    init.append(&mut labels);
    init.push(rootfs::take_root(spec, host, &options));
    init.extend(identity_of_the_machine(spec, new));
    if process.terminal() == Some(true) {
        init.push(Planned::new(open_terminal(process, OpenTerminal::OfTheContainer), "process.terminal"));
    }
    init.extend(process::working_directory(process));
    init.extend(rootfs::lock(spec));
    let mut filter = seccomp::step(spec)?;
    let who = process::Who {
        last_capability: host.last_capability,
        home: host.home.as_deref(),
        listen_fds: options.listen_fds,
        setgroups_denied: ids::setgroups_denied(spec, host),
    };
    init.extend(process::give_power_away(process, &who, &mut filter));
    let hooks = hooks::inside(spec, HookKind::StartContainer);
    let waits = "create makes the container, start runs it";
    init.extend(process::become_program(process, &who, waits, hooks, filter));

    Ok(Plan {
        id: id.to_string(),
        clone: Clone3 {
            namespaces: new & !CLONE_NEWCGROUP & !CLONE_NEWTIME,
            cgroup: cgroup.path.filter(|_| cgroup.at_birth),
        },
        host: cgroup.host,
        between,
        beside,
        hooks: hooks::ours(spec),
        init,
        left_out: cgroup::left_out(spec, host)
            .into_iter()
            .chain(rootfs::left_out(spec))
            .chain(namespaces::left_out(spec))
            .chain(process::oom_score_adj_left_out(process, floor))
            .collect(),
    })
}

fn close_descriptors(options: &Options) -> Planned<InitStep> {
    let from = 3 + options.listen_fds + options.preserve_fds;
    Planned::new(InitStep::CloseDescriptors { from }, "nothing of the host's stays open in the container")
}

/// As runc names it.
fn keyring(id: &str, options: &Options) -> Option<Planned<InitStep>> {
    let name = step::c_string(&format!("_ses.{id}"));
    let because = "the keys of whoever starts it are not the container's";
    (!options.no_new_keyring).then(|| Planned::new(InitStep::NewSessionKeyring { name }, because))
}

/// Whose terminal it is.
enum OpenTerminal {
    /// The first process's: /dev/console shows it.
    OfTheContainer,
    /// That of one more process.
    Beside,
}

fn open_terminal(process: &Process, whose: OpenTerminal) -> InitStep {
    InitStep::OpenTerminal {
        multiplexer: c"/dev/pts/ptmx".to_owned(),
        console: match whose {
            OpenTerminal::OfTheContainer => Some(RootfsPath::new("/dev/console")),
            OpenTerminal::Beside => None,
        },
        size: process.console_size().map(|size| (size.height() as u16, size.width() as u16)),
    }
}

/// The names and the network that a new UTS and NET namespace start without.
fn identity_of_the_machine(spec: &Spec, new: u64) -> Vec<Planned<InitStep>> {
    let mut steps = Vec::new();
    if let Some(name) = spec.hostname() {
        steps.push(Planned::new(InitStep::SetHostname { name: step::c_string(name) }, "hostname"));
    }
    if let Some(name) = spec.domainname() {
        steps.push(Planned::new(InitStep::SetDomainname { name: step::c_string(name) }, "domainname"));
    }
    if new & CLONE_NEWNET != 0 {
        steps.push(Planned::new(
            InitStep::BringLoopbackUp { device: c"lo".to_owned() },
            "many programs listen on 127.0.0.1",
        ));
    }
    steps
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use super::*;
    use crate::spec::Wall;
    use crate::spec::{Config, rootless_template, template};

    /// A machine with cgroup v2 and every controller, of which the usual ones are enabled at the root.
    pub(super) fn host() -> Host {
        let words = |text: &str| text.split_whitespace().map(str::to_string).collect();
        let level = |path: &str, exists, controllers, enabled| CgroupLevel {
            path: path.to_string(),
            exists,
            populated: false,
            frozen: false,
            writable: true,
            controllers: words(controllers),
            enabled: words(enabled),
        };
        let all = "cpuset cpu io memory hugetlb pids rdma misc";
        Host {
            rootfs: "/bundle/rootfs".to_string(),
            cgroup: Some(CgroupHost {
                levels: vec![
                    level("/sys/fs/cgroup", true, all, "cpuset cpu io memory pids"),
                    level("/sys/fs/cgroup/glassbox-web", false, "", ""),
                ],
            }),
            last_capability: 40,
            in_user_namespace: false,
            delegated_files: delegated_files(),
            home: Some("/root".to_string()),
            rootless: None,
        }
    }

    pub(super) fn planned(config: &Value, host: &Host) -> Result<Plan, PlanError> {
        let config = Config::parse(&config.to_string()).expect("a valid config");
        create("web", &config.spec, host, Options::default())
    }

    /// The plan of the template with a change.
    pub(super) fn plan(change: impl FnOnce(&mut Value)) -> Plan {
        let mut config = template();
        change(&mut config);
        planned(&config, &host()).expect("a plan")
    }

    /// What makes a plan use every kind of step.
    pub(super) fn everything(config: &mut Value) {
        user_namespace(config);
        config["domainname"] = "example".into();
        config["linux"]["seccomp"] = json!({
            "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/run/agent.sock",
            "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}],
        });
        config["process"]["oomScoreAdj"] = 100.into();
        config["linux"]["rootfsPropagation"] = "slave".into();
        config["linux"]["resources"]["cpu"] = json!({"quota": 50000});
        config["linux"]["devices"] = json!([{"path": "/dev/pipe", "type": "p"}]);
        config["process"]["cwd"] = "/work".into();
        config["linux"]["personality"] = json!({"domain": "LINUX32"});
        config["linux"]["netDevices"] = json!({"eth1": {"name": "eth0"}});
        config["linux"]["mountLabel"] = "a:b:c:s0".into();
        let mounts = config["mounts"].as_array_mut().expect("a list");
        mounts[6]["options"] = json!(["rw"]);
        mounts.push(json!({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup"]}));
        mounts.push(
            json!({"destination": "/data", "type": "bind", "source": "/srv", "options": ["rbind", "rro", "rslave", "idmap"]}),
        );
        mounts.push(json!({"destination": "/tmp", "options": ["remount", "size=1m", "noexec"]}));
    }

    /// What makes a plan join namespaces, run hooks and set what is a namespace's own.
    pub(super) fn joined(config: &mut Value) {
        let hook = |name: &str| json!([{"path": format!("/usr/bin/{name}"), "args": [name, "--now"], "env": ["A=b"], "timeout": 5}]);
        config["hooks"] = json!({
            "prestart": hook("first"), "createRuntime": hook("second"), "createContainer": hook("third"),
            "startContainer": hook("fourth"), "poststart": hook("fifth"), "poststop": hook("sixth"),
        });
        config["linux"]["namespaces"] = json!([
            {"type": "user", "path": "/proc/7/ns/user"}, {"type": "pid", "path": "/proc/7/ns/pid"},
            {"type": "network", "path": "/run/netns/web"}, {"type": "mount"}, {"type": "uts"}, {"type": "time"},
        ]);
        config["linux"]["timeOffsets"] = json!({"monotonic": {"secs": 86400}, "boottime": {"secs": -1, "nanosecs": 5}});
        config["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "1", "net.core.somaxconn": "512"});
        config["process"]["apparmorProfile"] = "web".into();
        config["process"]["scheduler"] =
            json!({"policy": "SCHED_BATCH", "nice": 5, "flags": ["SCHED_FLAG_RESET_ON_FORK"]});
        config["process"]["ioPriority"] = json!({"class": "IOPRIO_CLASS_IDLE", "priority": 0});
    }

    pub(super) fn without_mounts(config: &mut Value) {
        config["linux"]["namespaces"].as_array_mut().expect("a list").retain(|entry| entry["type"] != "mount");
    }

    /// The plan of one more process in a running container.
    pub(super) fn executed(oom_floor: Option<i32>) -> Plan {
        let config = Config::parse(&template().to_string()).expect("valid");
        let mut process = config.spec.process().clone().expect("it has one");
        process.set_args(Some(vec!["ps".to_string()])).set_oom_score_adj(oom_floor.map(|_| 50));
        exec("web", &config.spec, &process, &target(oom_floor), &Options { no_new_keyring: true, ..Options::default() })
            .expect("a plan")
    }

    fn target(oom_floor: Option<i32>) -> Target {
        Target {
            pid: 42,
            namespaces: CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUSER,
            cgroup: Some("/sys/fs/cgroup/glassbox-web".to_string()),
            last_capability: 40,
            home: None,
            setgroups_denied: oom_floor.is_some(),
            has_root: true,
            root: None,
            oom_floor,
        }
    }

    /// The plan of the template with a change, whose cgroup systemd makes.
    pub(super) fn scoped(change: impl FnOnce(&mut Value)) -> Result<Plan, PlanError> {
        let mut config = template();
        config["linux"]["cgroupsPath"] = "machine.slice:glassbox:web".into();
        change(&mut config);
        let config = Config::parse(&config.to_string()).expect("a valid config");
        let mut host = host();
        let levels = &mut host.cgroup.as_mut().expect("it has one").levels;
        let mut slice = CgroupLevel { path: "/sys/fs/cgroup/machine.slice".to_string(), ..levels[0].clone() };
        slice.enabled.retain(|name| name != "io");
        levels.insert(1, slice);
        levels[2].path = "/sys/fs/cgroup/machine.slice/glassbox-web.scope".to_string();
        create("web", &config.spec, &host, Options { systemd_cgroup: true, ..Options::default() })
    }

    /// Plans that have every kind of step between them.
    pub(super) fn all_kinds() -> [Plan; 10] {
        let mut adopting = host();
        adopting.cgroup.as_mut().expect("it has one").levels[1].exists = true;
        [
            plan(|_| {}),
            plan(everything),
            planned(&template(), &adopting).expect("a plan"),
            plan(joined),
            plan(without_mounts),
            executed(None),
            executed(Some(0)),
            planned(&rootless_template(1000, 1000), &rootless()).expect("a plan"),
            scoped(everything).expect("a plan"),
            lacking(true),
        ]
    }

    /// The template's plan, with a propagation behind the root.
    fn lacking(without_pivot_root: bool) -> Plan {
        let mut config = template();
        config["linux"]["rootfsPropagation"] = "rslave".into();
        let config = Config::parse(&config.to_string()).expect("valid");
        create("web", &config.spec, &host(), Options { without_pivot_root, ..Options::default() }).expect("a plan")
    }

    #[test]
    fn without_pivot_root_the_root_alone_is_another() {
        let (whole, chroot) = (lacking(false), lacking(true));
        let changes = super::difference(&whole, &chroot);
        let told: String = changes.iter().map(|change| format!("{change:?}\n")).collect();
        insta::assert_snapshot!(told, @r#"
        Gone(Line { lane: Init, number: 32, sentence: "make the rootfs the root and let go of the host's", because: "root.path" })
        New(Line { lane: Init, number: 32, sentence: "make /bundle/rootfs the root of this process, among the host's mounts", because: "--without pivot-root" })
        "#);
        assert!(chroot.changes_root() && !chroot.shares_mounts() && !whole.changes_root());
        let script = chroot.shell();
        let lines = script.lines().filter(|line| !line.trim_start().starts_with('#')).collect::<Vec<_>>();
        assert!(lines.iter().all(|line| !line.contains("pivot_root")), "{script}");
        assert!(
            script.contains("--make-rslave /bundle/rootfs") && script.contains("--chroot=/bundle/rootfs"),
            "{script}"
        );
    }

    #[test]
    fn exec_leaves_out_walls_that_the_container_has() {
        let config = Config::parse(&template().to_string()).expect("valid");
        let process = config.spec.process().clone().expect("it has one");
        let try_without = |walls: &[Wall]| {
            let mut target = target(None);
            let taken =
                exec_without((&config.spec, &process), &mut target, walls, &caps::all()).map(|(_, process)| process);
            taken.map(|process| (target.namespaces, process.capabilities().clone())).map_err(|error| error.to_string())
        };
        let (namespaces, sets) = try_without(&[Wall::Pid, Wall::Caps]).expect("both are there");
        assert_eq!(namespaces, CLONE_NEWNS | CLONE_NEWUSER);
        assert!(sets.expect("they are set").effective().as_ref().is_some_and(|set| set.len() > 40));
        let refused: Vec<_> = Wall::ALL.iter().filter_map(|wall| try_without(&[*wall]).err()).collect();
        insta::assert_snapshot!(refused.join("\n"), @r#"
        --without net: the container has no such wall: it shares that namespace with this host
        --without mount: the container's files are as they were made: give it to run or create
        --without uts: the container has no such wall: it shares that namespace with this host
        --without ipc: the container has no such wall: it shares that namespace with this host
        --without cgroup: the container has no such wall: it shares that namespace with this host
        --without time: the container has no such wall: it shares that namespace with this host
        --without pivot-root: the container's files are as they were made: give it to run or create
        --without mask: the container's files are as they were made: give it to run or create
        --without seccomp: the container has no such wall: linux.seccomp is not set
        --without limits: whoever is not in the container's cgroup is none of its processes
        "#);
    }

    /// The machine of an ordinary user, to whom no cgroup is delegated.
    pub(super) fn rootless() -> Host {
        let user =
            Rootless { uid: 1000, gid: 1000, setgroups_denied: false, oom_score_adj: 0, cgroup_delegated: false };
        Host { cgroup: None, rootless: Some(user), ..host() }
    }

    pub(super) fn user_namespace(config: &mut Value) {
        config["linux"]["namespaces"].as_array_mut().expect("a list").push(json!({"type": "user"}));
        let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
        config["linux"]["uidMappings"] = map.clone();
        config["linux"]["gidMappings"] = map;
    }

    fn steps(plan: &Plan) -> Vec<Value> {
        plan.json()["steps"].as_array().expect("a list").clone()
    }

    pub(super) fn lines(plan: &Plan) -> Vec<String> {
        let word = |step: &Value, key: &str| step[key].as_str().expect("a text").to_string();
        steps(plan)
            .iter()
            .map(|step| format!("{}: {} ({})", word(step, "lane"), word(step, "sentence"), word(step, "because")))
            .collect()
    }

    /// What a change of the template changes in its plan: the lines that go, and those that come, below which.
    fn difference(changed: &Plan) -> String {
        let (before, after) = (lines(&plan(|_| {})), lines(changed));
        let gone = before.iter().filter(|line| !after.contains(line)).map(|line| format!("- {line}\n"));
        let new = |line: &&String| !before.contains(line);
        let come = after.iter().enumerate().filter(|(_, line)| new(line)).map(|(index, line)| {
            let above = index.checked_sub(1).map(|above| &after[above]).filter(|above| !new(above));
            format!("{}+ {line}\n", above.map(|above| format!("  {above}\n")).unwrap_or_default())
        });
        gone.chain(come).collect()
    }

    #[test]
    fn the_template() {
        insta::assert_snapshot!(lines(&plan(|_| {})).join("\n"), @r#"
        host: enable the controllers hugetlb, rdma, misc below /sys/fs/cgroup (linux.resources)
        host: make the cgroup /sys/fs/cgroup/glassbox-web (linux.cgroupsPath)
        host: attach a device filter of 11 rules to /sys/fs/cgroup/glassbox-web (linux.resources.devices)
        clone: clone the process into new namespaces: mount, uts, ipc, pid, network, born into the cgroup /sys/fs/cgroup/glassbox-web (linux.namespaces)
        beside: set RLIMIT_NOFILE to 1024 (soft) and 1024 (hard) (process.rlimits[0])
        init: close the file descriptors from 3 on (nothing of the host's stays open in the container)
        init: set the file mode creation mask to 0000 (modes are taken as they are written)
        init: start a session of its own (a container does not share our terminal's session)
        init: join the new session keyring _ses.web (the keys of whoever starts it are not the container's)
        init: run on every CPU that the cgroup allows (what binds the caller does not bind it)
        init: make a new cgroup namespace (linux.namespaces "cgroup")
        init: make the mounts of / rslave (no mount of the container may reach the host)
        init: mount /bundle/rootfs with all below it over itself and enter it (root.path)
        init: mount proc on /proc (mounts[0])
        init: mount tmpfs on /dev (nosuid,strictatime,mode=755,size=65536k) (mounts[1])
        init: mount devpts on /dev/pts (nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5) (mounts[2])
        init: mount tmpfs on /dev/shm (nosuid,nodev,noexec,mode=1777,size=65536k) (mounts[3])
        init: mount mqueue on /dev/mqueue (nosuid,nodev,noexec) (mounts[4])
        init: mount sysfs on /sys (ro,nosuid,nodev,noexec) (mounts[5])
        init: mount cgroup2 on /sys/fs/cgroup (ro,nosuid,nodev,noexec) (mounts[6])
        init: make the device /dev/null (1:3, mode 0666) (every container has this device)
        init: make the device /dev/zero (1:5, mode 0666) (every container has this device)
        init: make the device /dev/full (1:7, mode 0666) (every container has this device)
        init: make the device /dev/random (1:8, mode 0666) (every container has this device)
        init: make the device /dev/urandom (1:9, mode 0666) (every container has this device)
        init: make the device /dev/tty (5:0, mode 0666) (every container has this device)
        init: link /dev/fd to /proc/self/fd (every container has this link)
        init: link /dev/stdin to /proc/self/fd/0 (every container has this link)
        init: link /dev/stdout to /proc/self/fd/1 (every container has this link)
        init: link /dev/stderr to /proc/self/fd/2 (every container has this link)
        init: link /dev/ptmx to pts/ptmx (every container has this link)
        init: make the rootfs the root and let go of the host's (root.path)
        init: set the host name to glassbox (hostname)
        init: bring the loopback device lo up (many programs listen on 127.0.0.1)
        init: open a terminal, make it stdin, stdout and stderr, and show it at /dev/console (process.terminal)
        init: make /proc/bus read-only (linux.readonlyPaths[0])
        init: make /proc/fs read-only (linux.readonlyPaths[1])
        init: make /proc/irq read-only (linux.readonlyPaths[2])
        init: make /proc/sys read-only (linux.readonlyPaths[3])
        init: make /proc/sysrq-trigger read-only (linux.readonlyPaths[4])
        init: mask /proc/acpi (linux.maskedPaths[0])
        init: mask /proc/asound (linux.maskedPaths[1])
        init: mask /proc/kcore (linux.maskedPaths[2])
        init: mask /proc/keys (linux.maskedPaths[3])
        init: mask /proc/latency_stats (linux.maskedPaths[4])
        init: mask /proc/timer_list (linux.maskedPaths[5])
        init: mask /proc/timer_stats (linux.maskedPaths[6])
        init: mask /proc/sched_debug (linux.maskedPaths[7])
        init: mask /sys/firmware (linux.maskedPaths[8])
        init: mask /proc/scsi (linux.maskedPaths[9])
        init: change the mount / (ro) (root.readonly)
        init: drop 38 capabilities for good (process.capabilities.bounding)
        init: go to / (process.cwd)
        init: become user 0 and group 0 (process.user)
        init: set the file mode creation mask to 0022 (process.user.umask)
        init: keep the capabilities CAP_KILL, CAP_NET_BIND_SERVICE, CAP_AUDIT_WRITE (permitted the same, inheritable none, ambient none) (process.capabilities)
        init: give up gaining privileges by execve (process.noNewPrivileges)
        init: check that /usr/local/sbin/sh or its namesake further down PATH can be executed (process.args[0])
        init: wait for start (create makes the container, start runs it)
        init: become the program: sh (process.args)
        "#);
    }

    #[test]
    fn a_user_namespace_is_mapped_from_outside_before_anything_else_and_has_no_device_nodes_of_its_own() {
        insta::assert_snapshot!(difference(&plan(user_namespace)), @r#"
        - clone: clone the process into new namespaces: mount, uts, ipc, pid, network, born into the cgroup /sys/fs/cgroup/glassbox-web (linux.namespaces)
        - init: make the device /dev/null (1:3, mode 0666) (every container has this device)
        - init: make the device /dev/zero (1:5, mode 0666) (every container has this device)
        - init: make the device /dev/full (1:7, mode 0666) (every container has this device)
        - init: make the device /dev/random (1:8, mode 0666) (every container has this device)
        - init: make the device /dev/urandom (1:9, mode 0666) (every container has this device)
        - init: make the device /dev/tty (5:0, mode 0666) (every container has this device)
          host: attach a device filter of 11 rules to /sys/fs/cgroup/glassbox-web (linux.resources.devices)
        + clone: clone the process into new namespaces: mount, uts, ipc, user, pid, network, born into the cgroup /sys/fs/cgroup/glassbox-web (linux.namespaces)
        + beside: map groups in the user namespace: 65536 from 0 inside to 100000 outside (linux.gidMappings)
        + beside: map users in the user namespace: 65536 from 0 inside to 100000 outside (linux.uidMappings)
          init: close the file descriptors from 3 on (nothing of the host's stays open in the container)
        + init: become root of the user namespace (linux.namespaces "user")
          init: mount cgroup2 on /sys/fs/cgroup (ro,nosuid,nodev,noexec) (mounts[6])
        + init: show /dev/null of the host at /dev/null (every container has this device)
        + init: show /dev/zero of the host at /dev/zero (every container has this device)
        + init: show /dev/full of the host at /dev/full (every container has this device)
        + init: show /dev/random of the host at /dev/random (every container has this device)
        + init: show /dev/urandom of the host at /dev/urandom (every container has this device)
        + init: show /dev/tty of the host at /dev/tty (every container has this device)
        "#);
    }

    #[test]
    fn joined_namespaces_take_a_process_in_between_where_a_child_alone_can_be_in_them() {
        insta::assert_snapshot!(difference(&plan(joined)), @r#"
        - clone: clone the process into new namespaces: mount, uts, ipc, pid, network, born into the cgroup /sys/fs/cgroup/glassbox-web (linux.namespaces)
        - init: make a new cgroup namespace (linux.namespaces "cgroup")
        - init: mount cgroup2 on /sys/fs/cgroup (ro,nosuid,nodev,noexec) (mounts[6])
        - init: make the device /dev/null (1:3, mode 0666) (every container has this device)
        - init: make the device /dev/zero (1:5, mode 0666) (every container has this device)
        - init: make the device /dev/full (1:7, mode 0666) (every container has this device)
        - init: make the device /dev/random (1:8, mode 0666) (every container has this device)
        - init: make the device /dev/urandom (1:9, mode 0666) (every container has this device)
        - init: make the device /dev/tty (5:0, mode 0666) (every container has this device)
        - init: bring the loopback device lo up (many programs listen on 127.0.0.1)
          host: attach a device filter of 11 rules to /sys/fs/cgroup/glassbox-web (linux.resources.devices)
        + between: let no process of joined namespaces look into this one (processes of joined namespaces can see this one)
        + between: get the AppArmor label "exec web" at execve (process.apparmorProfile)
        + between: join the pid namespace of /proc/7/ns/pid (linux.namespaces[1])
        + between: join the network namespace of /run/netns/web (linux.namespaces[2])
        + between: join the user namespace of /proc/7/ns/user (linux.namespaces[0])
        + clone: clone the process into new namespaces: mount, uts, born into the cgroup /sys/fs/cgroup/glassbox-web (linux.namespaces)
          beside: set RLIMIT_NOFILE to 1024 (soft) and 1024 (hard) (process.rlimits[0])
        + beside: schedule the process as SCHED_BATCH nice 5 (process.scheduler)
        + beside: rank the process's input and output as IOPRIO_CLASS_IDLE, level 0 (process.ioPriority)
        + hooks: run the prestart hook /usr/bin/first, for at most 5 s (hooks.prestart[0])
        + hooks: run the createRuntime hook /usr/bin/second, for at most 5 s (hooks.createRuntime[0])
          init: close the file descriptors from 3 on (nothing of the host's stays open in the container)
        + init: become root of the user namespace (linux.namespaces "user")
          init: run on every CPU that the cgroup allows (what binds the caller does not bind it)
        + init: make a new time namespace, set its clocks and enter it: boottime -1 5, monotonic 86400 0 (linux.timeOffsets)
          init: mount sysfs on /sys (ro,nosuid,nodev,noexec) (mounts[5])
        + init: show /sys/fs/cgroup/glassbox-web of the host at /sys/fs/cgroup (ro,nosuid,nodev,noexec) (mounts[6])
        + init: show /dev/null of the host at /dev/null (every container has this device)
        + init: show /dev/zero of the host at /dev/zero (every container has this device)
        + init: show /dev/full of the host at /dev/full (every container has this device)
        + init: show /dev/random of the host at /dev/random (every container has this device)
        + init: show /dev/urandom of the host at /dev/urandom (every container has this device)
        + init: show /dev/tty of the host at /dev/tty (every container has this device)
          init: link /dev/ptmx to pts/ptmx (every container has this link)
        + init: wait for the hooks (hooks)
        + init: run the createContainer hook /usr/bin/third, for at most 5 s (hooks.createContainer[0])
        + init: write "512" into /proc/sys/net/core/somaxconn (linux.sysctl["net.core.somaxconn"])
        + init: write "1" into /proc/sys/net/ipv4/ip_forward (linux.sysctl["net.ipv4.ip_forward"])
          init: wait for start (create makes the container, start runs it)
        + init: run the startContainer hook /usr/bin/fourth, for at most 5 s (hooks.startContainer[0])
        "#);
    }

    #[test]
    fn a_joined_network_takes_none() {
        let plan = plan(|config| config["linux"]["namespaces"][1]["path"] = "/run/netns/web".into());
        insta::assert_snapshot!(difference(&plan), @"
        - clone: clone the process into new namespaces: mount, uts, ipc, pid, network, born into the cgroup /sys/fs/cgroup/glassbox-web (linux.namespaces)
        - init: bring the loopback device lo up (many programs listen on 127.0.0.1)
          host: attach a device filter of 11 rules to /sys/fs/cgroup/glassbox-web (linux.resources.devices)
        + clone: clone the process into new namespaces: mount, uts, ipc, pid, born into the cgroup /sys/fs/cgroup/glassbox-web (linux.namespaces)
          init: close the file descriptors from 3 on (nothing of the host's stays open in the container)
        + init: join the network namespace of /run/netns/web (linux.namespaces[1])
        ");
    }

    #[test]
    fn one_more_process_in_a_container() {
        insta::assert_snapshot!(lines(&executed(None)).join("\n"), @r#"
        between: let no process of joined namespaces look into this one (the container's processes can see this one)
        between: join the namespaces of process 42: mount, user, pid (exec joins a container)
        clone: clone the process, born into the cgroup /sys/fs/cgroup/glassbox-web (linux.namespaces)
        beside: set RLIMIT_NOFILE to 1024 (soft) and 1024 (hard) (process.rlimits[0])
        init: close the file descriptors from 3 on (nothing of the host's stays open in the container)
        init: become root of the user namespace (linux.namespaces "user")
        init: start a session of its own (a container does not share our terminal's session)
        init: run on every CPU that the cgroup allows (what binds the caller does not bind it)
        init: open a terminal and make it stdin, stdout and stderr (process.terminal)
        init: drop 38 capabilities for good (process.capabilities.bounding)
        init: go to / (process.cwd)
        init: become user 0 and group 0 (process.user)
        init: set the file mode creation mask to 0022 (process.user.umask)
        init: keep the capabilities CAP_KILL, CAP_NET_BIND_SERVICE, CAP_AUDIT_WRITE (permitted the same, inheritable none, ambient none) (process.capabilities)
        init: give up gaining privileges by execve (process.noNewPrivileges)
        init: check that /usr/local/sbin/ps or its namesake further down PATH can be executed (process.args[0])
        init: wait for start (exec tells its process id first)
        init: become the program: ps (process.args)
        "#);
    }

    #[test]
    fn without_a_terminal_there_is_no_step_for_one() {
        insta::assert_snapshot!(difference(&plan(|config| config["process"]["terminal"] = false.into())), @"- init: open a terminal, make it stdin, stdout and stderr, and show it at /dev/console (process.terminal)");
    }

    #[test]
    fn a_read_only_dev_is_closed_after_its_nodes_are_made() {
        let plan = plan(|config| config["mounts"][1]["options"] = json!(["nosuid", "ro"]));
        insta::assert_snapshot!(difference(&plan), @"
        - init: mount tmpfs on /dev (nosuid,strictatime,mode=755,size=65536k) (mounts[1])
          init: mount proc on /proc (mounts[0])
        + init: mount tmpfs on /dev (nosuid) (mounts[1])
          init: open a terminal, make it stdin, stdout and stderr, and show it at /dev/console (process.terminal)
        + init: change the mount /dev (ro) (mounts[1].options)
        ");
    }

    #[test]
    fn a_bound_dev_gets_no_nodes() {
        let plan = plan(|config| {
            config["mounts"][1] =
                json!({"destination": "/dev", "type": "bind", "source": "/dev", "options": ["rbind", "rslave"]});
        });
        insta::assert_snapshot!(difference(&plan), @"
        - init: mount tmpfs on /dev (nosuid,strictatime,mode=755,size=65536k) (mounts[1])
        - init: make the device /dev/null (1:3, mode 0666) (every container has this device)
        - init: make the device /dev/zero (1:5, mode 0666) (every container has this device)
        - init: make the device /dev/full (1:7, mode 0666) (every container has this device)
        - init: make the device /dev/random (1:8, mode 0666) (every container has this device)
        - init: make the device /dev/urandom (1:9, mode 0666) (every container has this device)
        - init: make the device /dev/tty (5:0, mode 0666) (every container has this device)
        - init: link /dev/fd to /proc/self/fd (every container has this link)
        - init: link /dev/stdin to /proc/self/fd/0 (every container has this link)
        - init: link /dev/stdout to /proc/self/fd/1 (every container has this link)
        - init: link /dev/stderr to /proc/self/fd/2 (every container has this link)
        - init: link /dev/ptmx to pts/ptmx (every container has this link)
          init: mount proc on /proc (mounts[0])
        + init: show /dev with all below it of the host at /dev (mounts[1])
        + init: make the mount /dev rslave (mounts[1].options)
        ");
    }

    #[test]
    fn without_a_cgroup_namespace_the_containers_own_cgroup_is_shown() {
        let plan = plan(|config| {
            config["linux"]["namespaces"].as_array_mut().expect("a list").retain(|entry| entry["type"] != "cgroup");
        });
        insta::assert_snapshot!(difference(&plan), @r#"
        - init: make a new cgroup namespace (linux.namespaces "cgroup")
        - init: mount cgroup2 on /sys/fs/cgroup (ro,nosuid,nodev,noexec) (mounts[6])
          init: mount sysfs on /sys (ro,nosuid,nodev,noexec) (mounts[5])
        + init: show /sys/fs/cgroup/glassbox-web of the host at /sys/fs/cgroup (ro,nosuid,nodev,noexec) (mounts[6])
        "#);
    }

    #[test]
    fn limits_are_written_before_the_process_exists() {
        let plan = plan(|config| {
            config["linux"]["resources"]["cpu"] = json!({"shares": 512, "quota": 50000, "period": 100_000});
            config["linux"]["resources"]["memory"] = json!({"limit": 67_108_864});
            config["linux"]["resources"]["pids"] = json!({"limit": 32});
        });
        insta::assert_snapshot!(difference(&plan), @r#"
          host: make the cgroup /sys/fs/cgroup/glassbox-web (linux.cgroupsPath)
        + host: write "59" into /sys/fs/cgroup/glassbox-web/cpu.weight (linux.resources.cpu.shares)
        + host: write "50000 100000" into /sys/fs/cgroup/glassbox-web/cpu.max (linux.resources.cpu.quota)
        + host: write "67108864" into /sys/fs/cgroup/glassbox-web/memory.max (linux.resources.memory.limit)
        + host: write "32" into /sys/fs/cgroup/glassbox-web/pids.max (linux.resources.pids.limit)
        "#);
    }

    #[test]
    fn systemd_makes_the_cgroup_around_the_process_that_waits() {
        let plan = scoped(|config| {
            config["linux"]["resources"]["cpu"] =
                json!({"shares": 512, "quota": 33300, "period": 100_000, "cpus": "0-1"});
            config["linux"]["resources"]["memory"] = json!({"limit": 67_108_864});
            config["linux"]["resources"]["hugepageLimits"] = json!([{"pageSize": "2MB", "limit": 0}]);
            config["annotations"] = json!({"org.systemd.property.TimeoutStopSec": "5"});
        })
        .expect("a plan");
        assert_eq!(plan.scope(), Some(("glassbox-web.scope", "/sys/fs/cgroup/machine.slice/glassbox-web.scope")));
        assert_eq!((plan.clone.cgroup.as_deref(), plan.cgroup()), (None, plan.scope().map(|(_, path)| path)));
        insta::assert_snapshot!(difference(&plan), @r#"
        - host: enable the controllers hugetlb, rdma, misc below /sys/fs/cgroup (linux.resources)
        - host: make the cgroup /sys/fs/cgroup/glassbox-web (linux.cgroupsPath)
        - host: attach a device filter of 11 rules to /sys/fs/cgroup/glassbox-web (linux.resources.devices)
        - clone: clone the process into new namespaces: mount, uts, ipc, pid, network, born into the cgroup /sys/fs/cgroup/glassbox-web (linux.namespaces)
        + clone: clone the process into new namespaces: mount, uts, ipc, pid, network (linux.namespaces)
        + beside: have systemd start glassbox-web.scope around the process: Description=glassbox container web; Slice=machine.slice; Delegate=yes; DefaultDependencies=no; CollectMode=inactive-or-failed; CPUAccounting=yes; IOAccounting=yes; MemoryAccounting=yes; TasksAccounting=yes; CPUWeight=59; CPUQuotaPeriodUSec=100000; CPUQuotaPerSecUSec=340000; AllowedCPUs=0 1; MemoryMax=67108864; DevicePolicy=strict; DeviceAllow=char-* m, block-* m, /dev/char/1:3 rwm, /dev/char/1:5 rwm, /dev/char/1:7 rwm, /dev/char/1:8 rwm, /dev/char/1:9 rwm, /dev/char/5:0 rwm, /dev/char/5:2 rwm, char-136 rwm; TimeoutStopUSec=5000000 (--systemd-cgroup)
        + beside: enable the controllers hugetlb, rdma, misc below /sys/fs/cgroup (linux.resources)
        + beside: enable the controllers hugetlb, rdma, misc below /sys/fs/cgroup/machine.slice (linux.resources)
        + beside: write "59" into /sys/fs/cgroup/machine.slice/glassbox-web.scope/cpu.weight (linux.resources.cpu.shares)
        + beside: write "34000 100000" into /sys/fs/cgroup/machine.slice/glassbox-web.scope/cpu.max (linux.resources.cpu.quota)
        + beside: write "0-1" into /sys/fs/cgroup/machine.slice/glassbox-web.scope/cpuset.cpus (linux.resources.cpu.cpus)
        + beside: write "67108864" into /sys/fs/cgroup/machine.slice/glassbox-web.scope/memory.max (linux.resources.memory.limit)
        + beside: write "0" into /sys/fs/cgroup/machine.slice/glassbox-web.scope/hugetlb.2MB.max (linux.resources.hugepageLimits[0])
        + beside: write "0" into /sys/fs/cgroup/machine.slice/glassbox-web.scope/hugetlb.2MB.rsvd.max (linux.resources.hugepageLimits[0])
        + beside: attach a device filter of 11 rules to /sys/fs/cgroup/machine.slice/glassbox-web.scope (linux.resources.devices)
        "#);
    }

    #[test]
    fn without_a_scope_or_a_hierarchy_systemd_is_not_asked() {
        let refused = |change: fn(&mut Value)| scoped(change).expect_err("it is refused").to_string();
        insta::assert_snapshot!([
            refused(|config| config["linux"]["cgroupsPath"] = "/a/b".into()),
            refused(|config| config["annotations"] = json!({"org.systemd.property.Wants": "bare"})),
        ].join("\n"), @r#"
        config.json: linux.cgroupsPath: "/a/b" has not the form SLICE:PREFIX:NAME, which the systemd cgroup driver takes
        config.json: annotations.org.systemd.property.Wants: "bare" is no value, such as true, 'text', uint64 5 or ['a', 'b']
        "#);
        let config = Config::parse(&template().to_string()).expect("valid");
        let none = Host { cgroup: None, ..host() };
        let options = Options { systemd_cgroup: true, ..Options::default() };
        assert_eq!(create("web", &config.spec, &none, options), Err(PlanError::NoHierarchy));
    }

    #[test]
    fn a_cgroup_that_is_there_is_taken_and_not_made() {
        let mut host = host();
        host.cgroup.as_mut().expect("it has one").levels[1].exists = true;
        insta::assert_snapshot!(difference(&planned(&template(), &host).expect("a plan")), @"
        - host: make the cgroup /sys/fs/cgroup/glassbox-web (linux.cgroupsPath)
          host: enable the controllers hugetlb, rdma, misc below /sys/fs/cgroup (linux.resources)
        + host: take the empty cgroup /sys/fs/cgroup/glassbox-web (linux.cgroupsPath)
        ");
    }

    #[test]
    fn without_a_mount_namespace_the_hosts_mounts_stay_as_they_are() {
        let plan = plan(without_mounts);
        assert!(plan.shares_mounts());
        insta::assert_snapshot!(difference(&plan), @r#"
        - clone: clone the process into new namespaces: mount, uts, ipc, pid, network, born into the cgroup /sys/fs/cgroup/glassbox-web (linux.namespaces)
        - init: make the mounts of / rslave (no mount of the container may reach the host)
        - init: make the rootfs the root and let go of the host's (root.path)
          host: attach a device filter of 11 rules to /sys/fs/cgroup/glassbox-web (linux.resources.devices)
        + clone: clone the process into new namespaces: uts, ipc, pid, network, born into the cgroup /sys/fs/cgroup/glassbox-web (linux.namespaces)
          init: mount /bundle/rootfs with all below it over itself and enter it (root.path)
        + init: make the mounts of . rprivate (what is mounted for the container is mounted nowhere else)
          init: link /dev/ptmx to pts/ptmx (every container has this link)
        + init: make /bundle/rootfs the root of this process, among the host's mounts (linux.namespaces without "mount")
        "#);
        assert!(plan.left_out[0].starts_with("linux.namespaces: without \"mount\" no other root than chroot(2)"));
        let refused = |change: fn(&mut Value)| {
            let mut config = template();
            without_mounts(&mut config);
            change(&mut config);
            Config::parse(&config.to_string()).expect_err("it is refused").to_string()
        };
        assert!(refused(user_namespace).contains("linux.namespaces: \"user\" needs a \"mount\" namespace"));
        let wanted = refused(|config| config["linux"]["rootfsPropagation"] = "shared".into());
        assert!(wanted.contains("linux.rootfsPropagation: it needs a \"mount\" namespace"), "{wanted}");
    }

    #[test]
    fn a_user_without_root_keeps_what_the_ambient_set_says() {
        let plan = plan(|config| {
            config["process"]["user"] = json!({"uid": 1000, "gid": 1000, "additionalGids": [5, 10], "umask": 63});
            for set in ["inheritable", "ambient"] {
                config["process"]["capabilities"][set] = json!(["CAP_NET_BIND_SERVICE"]);
            }
        });
        insta::assert_snapshot!(difference(&plan), @"
        - init: become user 0 and group 0 (process.user)
        - init: set the file mode creation mask to 0022 (process.user.umask)
        - init: keep the capabilities CAP_KILL, CAP_NET_BIND_SERVICE, CAP_AUDIT_WRITE (permitted the same, inheritable none, ambient none) (process.capabilities)
          init: go to / (process.cwd)
        + init: become user 1000 and group 1000 with groups 5, 10 (process.user)
        + init: set the file mode creation mask to 0077 (process.user.umask)
        + init: keep the capabilities CAP_KILL, CAP_NET_BIND_SERVICE, CAP_AUDIT_WRITE (permitted the same, inheritable CAP_NET_BIND_SERVICE, ambient CAP_NET_BIND_SERVICE) (process.capabilities)
        ");
    }

    #[test]
    fn a_limit_without_its_controller_is_refused() {
        let mut config = template();
        config["linux"]["resources"]["memory"] = json!({"limit": 67_108_864});
        let mut host = host();
        let levels = &mut host.cgroup.as_mut().expect("it has one").levels;
        levels[0].controllers.retain(|name| name != "memory");
        let missing = planned(&config, &host).expect_err("no memory controller").to_string();
        host.cgroup = None;
        let none = planned(&config, &host).expect_err("no cgroup v2").to_string();
        insta::assert_snapshot!(format!("{missing}\n{none}"), @r#"
        config.json: linux.resources.memory.limit: the memory controller is missing from /sys/fs/cgroup/cgroup.controllers, which has "cpuset cpu io hugetlb pids rdma misc"
        config.json: linux.resources.memory.limit: this machine has no cgroup v2 hierarchy mounted
        "#);
    }

    #[test]
    fn the_same_config_and_machine_give_the_same_plan() {
        let once = || {
            plan(|config| {
                everything(config);
                config["linux"]["resources"]["unified"] = json!({"memory.high": "1", "cpu.idle": "0", "pids.max": "9"});
            })
        };
        assert_eq!(once(), once());
    }

    /// Every kind of step is in these plans, so what holds for all their steps holds for all kinds.
    #[test]
    fn every_kind_of_step_is_told_in_every_form() {
        let plans = all_kinds();
        let mut kinds = BTreeSet::new();
        for plan in &plans {
            let script = plan.shell();
            for step in steps(plan) {
                kinds.insert(step["step"].as_str().expect("a name").to_string());
                assert!(step["because"].as_str().is_some_and(|because| !because.is_empty()), "{step}");
                let sentence = step["sentence"].as_str().expect("a sentence");
                assert!(sentence.starts_with(|c: char| c.is_lowercase()) && !sentence.ends_with('.'), "{sentence}");
                assert!(script.contains(&format!("# {}. ", step["number"])), "{step}");
            }
        }
        let all = "AdoptCgroup AwaitHooks AwaitStart BecomeRoot BindMount BringLoopbackUp ChangeDirectory ChangeMount ChangeRoot Clone3 \
            CloseDescriptors CopyUp CreateCgroup DelegateCgroup DenySetgroups DropBounding EnableControllers EnterRootfs Execute FilterDevices FindExecutable \
            HideFromTracers JoinContainer JoinNamespace LoadSeccomp MakeDevice MakeDirectory MakeSymlink MaskPath MountFilesystem \
            MoveNetDevice NewSession NewSessionKeyring NewTimeNamespace NoNewPrivileges OpenTerminal PivotRoot ReadonlyPath RunHook \
            SetCapabilities SetCpuAffinity SetDomainname SetHostname SetIoPriority SetLabel SetMountPropagation \
            SetOomScoreAdj SetPersonality SetPropagation SetRlimit SetScheduler SetUmask StartScope SwitchUser Unshare WriteCgroup WriteIdMap \
            WriteSysctl";
        assert_eq!(kinds.iter().map(String::as_str).collect::<Vec<_>>(), all.split_whitespace().collect::<Vec<_>>());
    }
}
