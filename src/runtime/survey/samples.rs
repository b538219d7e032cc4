//! Machines to judge: one where all is well, and what others have instead.

use std::collections::BTreeMap;

use super::attempt::{Feature, Namespace, Outcome};
use super::cgroup::{CgroupFacts, Group, Legacy, Unified};
use super::machine::{KernelFacts, Loadable, RootlessFacts, UserFacts};
use super::{Facts, NamespaceFacts, judge};

const CONTROLLERS: [&str; 8] = ["cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma", "misc"];
const CAPABILITIES: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_ADMIN",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_ADMIN",
    "CAP_SYS_CHROOT",
    "CAP_SYS_RESOURCE",
    "CAP_NET_RAW",
];
/// What docker leaves to a container that asks for nothing.
const DOCKER: [&str; 8] =
    ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_KILL", "CAP_MKNOD", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID"];

/// Every sample with its name.
pub fn all() -> Vec<(&'static str, Facts)> {
    vec![
        ("debian vm", debian_vm()),
        (
            "debian vm, memory not enabled below the root",
            changed(debian_vm(), |facts| {
                root_group(facts).enabled.retain(|name| name != "memory");
            }),
        ),
        (
            "debian vm without qemu, kvm and ip",
            changed(debian_vm(), |facts| {
                for name in ["qemu-system-x86_64", "ip", "runc"] {
                    facts.tools.insert(name.to_string(), None);
                }
                facts.kvm = refused("ENOENT");
            }),
        ),
        ("hybrid", hybrid()),
        ("v1 alone", changed(hybrid(), |facts| facts.cgroup.unified = None)),
        ("no cgroup2 in the kernel", changed(debian_vm(), |facts| facts.cgroup = CgroupFacts::default())),
        ("nothing mounted", changed(debian_vm(), |facts| facts.cgroup.unified = None)),
        (
            "raspberry pi, memory switched off",
            changed(debian_vm(), |facts| {
                root_group(facts).controllers.retain(|name| name != "memory");
                facts.cgroup.disabled = words(&["memory"]);
            }),
        ),
        ("linux 5.4", linux_5_4()),
        ("docker, no privileges", docker()),
        ("user, not delegated", user()),
        ("user, delegated", delegated_user()),
        (
            "user, userns_clone 0",
            changed(delegated_user(), |facts| {
                close_user_namespaces(facts, "EPERM");
                facts.rootless.unprivileged_userns_clone = Some(0);
            }),
        ),
        (
            "user, ubuntu 24.04",
            changed(delegated_user(), |facts| {
                close_user_namespaces(facts, "EPERM");
                facts.namespaces.get_mut(&Namespace::User).expect("a sample has all").alone = Outcome::Works;
                facts.rootless.apparmor_restrict_unprivileged_userns = Some(1);
                facts.kernel.apparmor = true;
            }),
        ),
        (
            "root, max_user_namespaces 0",
            changed(debian_vm(), |facts| {
                close_user_namespaces(facts, "ENOSPC");
                let user = facts.namespaces.get_mut(&Namespace::User).expect("a sample has all");
                (user.alone, user.limit) = (refused("ENOSPC"), Some(0));
            }),
        ),
        (
            "user, no subuid and no newuidmap",
            changed(delegated_user(), |facts| {
                (facts.rootless.subuid, facts.rootless.subgid) = (false, false);
                facts.tools.insert("newuidmap".to_string(), None);
                facts.tools.insert("newgidmap".to_string(), None);
            }),
        ),
        (
            "fedora, selinux enforcing",
            changed(debian_vm(), |facts| {
                facts.kernel.selinux_enforcing = Some(true);
                facts.kernel.distribution = words(&["fedora"]);
            }),
        ),
        (
            "root without psi, swap limit, nsdelegate",
            changed(debian_vm(), |facts| {
                facts.kernel.pressure = false;
                let unified = facts.cgroup.unified.as_mut().expect("the VM has it");
                (unified.swap_limit, unified.nsdelegate) = (Some(false), false);
            }),
        ),
        (
            "root of a user namespace",
            changed(debian_vm(), |facts| {
                facts.user.in_user_namespace = true;
                facts.features.insert(Feature::DeviceFilter, refused("EPERM"));
            }),
        ),
        ("no /proc", no_proc()),
    ]
}

/// Debian 12 in a virtual machine, root, all tools: nothing falls short.
pub fn debian_vm() -> Facts {
    let root = Group {
        path: "/sys/fs/cgroup".to_string(),
        controllers: words(&CONTROLLERS),
        enabled: words(&CONTROLLERS),
        writable: true,
    };
    let own = Group {
        path: "/sys/fs/cgroup/user.slice/user-0.slice/session-1.scope".to_string(),
        enabled: Vec::new(),
        ..root.clone()
    };
    let unified = Unified {
        path: root.path.clone(),
        nsdelegate: true,
        root,
        own: Some(own),
        swap_limit: Some(true),
        read_only: false,
    };
    Facts {
        kernel: debian_kernel(),
        user: UserFacts { capabilities: words(&CAPABILITIES), systemd: true, ..UserFacts::default() },
        cgroup: CgroupFacts { unified: Some(unified), supported: true, ..CgroupFacts::default() },
        namespaces: namespaces(&Outcome::Works, &Outcome::Works),
        features: Feature::ALL.map(|feature| (feature, Outcome::Works)).into(),
        rootless: RootlessFacts { name: Some("root".to_string()), ..RootlessFacts::default() },
        tools: judge::tools_of("x86_64")
            .into_iter()
            .map(|name| (name.clone(), Some(format!("/usr/bin/{name}"))))
            .collect(),
        kvm: Outcome::Works,
    }
}

/// Nothing is mounted on /proc: nothing can be read there, and nothing tried in a child.
fn no_proc() -> Facts {
    changed(debian_vm(), |facts| {
        let untried = Outcome::Untried("/proc/self/exe: No such file or directory (os error 2)".to_string());
        facts.kernel.proc = false;
        facts.cgroup = CgroupFacts::default();
        facts.namespaces = namespaces(&untried, &untried);
        facts.features = Feature::ALL.map(|feature| (feature, untried.clone())).into();
    })
}

fn debian_kernel() -> KernelFacts {
    KernelFacts {
        proc: true,
        release: "6.1.0-40-cloud-amd64".to_string(),
        machine: "x86_64".to_string(),
        cpus: 2,
        memory: 2 << 30,
        swap: 0,
        seccomp_actions: words(&["kill_process", "trap", "errno", "user_notif", "log", "allow"]),
        pressure: true,
        overlay: Loadable::Module,
        apparmor: false,
        selinux_enforcing: None,
        distribution: words(&["debian"]),
    }
}

/// cgroup v1 holds the controllers, v2 stands beside it.
fn hybrid() -> Facts {
    changed(debian_vm(), |facts| {
        let held = [("cpu,cpuacct", vec!["cpu", "cpuacct"]), ("cpuset", vec!["cpuset"]), ("memory", vec!["memory"])];
        facts.cgroup.legacy = held
            .into_iter()
            .chain([("pids", vec!["pids"]), ("blkio", vec!["blkio"])])
            .map(|(name, held)| Legacy { path: format!("/sys/fs/cgroup/{name}"), controllers: words(&held) })
            .collect();
        let unified = facts.cgroup.unified.as_mut().expect("the VM has it");
        unified.path = "/sys/fs/cgroup/unified".to_string();
        let group = Group { path: unified.path.clone(), controllers: words(&["hugetlb"]), ..unified.root.clone() };
        (unified.own, unified.root) = (Some(group.clone()), group);
        unified.swap_limit = None;
    })
}

/// Before clone3 learnt CLONE_INTO_CGROUP.
fn linux_5_4() -> Facts {
    changed(debian_vm(), |facts| {
        facts.kernel.release = "5.4.0-216-generic".to_string();
        let clone = (Feature::CloneIntoCgroup, refused("EINVAL"));
        let others =
            [Feature::Openat2, Feature::CloseRange, Feature::MountSetattr].map(|name| (name, refused("ENOSYS")));
        facts.features.extend(others.into_iter().chain([clone]));
        facts.namespaces.get_mut(&Namespace::Time).expect("a sample has all").alone = refused("EINVAL");
    })
}

/// `docker run debian`: root with few capabilities, a seccomp filter, a read-only cgroup mount.
fn docker() -> Facts {
    changed(debian_vm(), |facts| {
        facts.user.capabilities = words(&DOCKER);
        facts.user.container = Some("docker".to_string());
        facts.user.seccomp_filter = true;
        facts.user.systemd = false;
        facts.namespaces = namespaces(&refused("EPERM"), &refused("EPERM"));
        let denied =
            [Feature::Fsopen, Feature::OpenTree, Feature::MoveMount, Feature::MountSetattr, Feature::DeviceFilter];
        facts.features.extend(denied.map(|feature| (feature, refused("EPERM"))));
        facts.features.insert(Feature::CloneIntoCgroup, refused("ENOSYS"));
        let unified = facts.cgroup.unified.as_mut().expect("the VM has it");
        unified.read_only = true;
        unified.root.writable = false;
        unified.root.enabled.clear();
        unified.own = Some(unified.root.clone());
        for tool in ["ip", "qemu-system-x86_64", "mke2fs", "runc", "crun", "newuidmap", "newgidmap"] {
            facts.tools.insert(tool.to_string(), None);
        }
        facts.kvm = refused("ENOENT");
    })
}

/// An ordinary user's session on a systemd machine.
fn user() -> Facts {
    changed(debian_vm(), |facts| {
        facts.user.uid = 1000;
        facts.user.capabilities.clear();
        facts.namespaces = namespaces(&refused("EPERM"), &Outcome::Works);
        facts.namespaces.get_mut(&Namespace::User).expect("a sample has all").alone = Outcome::Works;
        let denied =
            [Feature::Fsopen, Feature::OpenTree, Feature::MoveMount, Feature::MountSetattr, Feature::DeviceFilter];
        facts.features.extend(denied.map(|feature| (feature, refused("EPERM"))));
        facts.rootless = RootlessFacts {
            name: Some("learner".to_string()),
            subuid: true,
            subgid: true,
            unprivileged_userns_clone: Some(1),
            apparmor_restrict_unprivileged_userns: None,
        };
        let unified = facts.cgroup.unified.as_mut().expect("the VM has it");
        unified.root.writable = false;
        unified.own = Some(Group {
            path: "/sys/fs/cgroup/user.slice/user-1000.slice/session-2.scope".to_string(),
            controllers: words(&["cpu", "memory", "pids"]),
            enabled: Vec::new(),
            writable: false,
        });
        facts.kvm = refused("EACCES");
    })
}

/// The same in `systemd-run --user --scope -p Delegate=yes`, with every controller delegated.
fn delegated_user() -> Facts {
    changed(user(), |facts| {
        let unified = facts.cgroup.unified.as_mut().expect("the VM has it");
        unified.own = Some(Group {
            path: "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/app.slice/run-1.scope".to_string(),
            controllers: words(&["cpuset", "cpu", "io", "memory", "pids"]),
            enabled: Vec::new(),
            writable: true,
        });
    })
}

fn close_user_namespaces(facts: &mut Facts, errno: &str) {
    for tried in facts.namespaces.values_mut() {
        tried.in_user_namespace = tried.in_user_namespace.as_ref().map(|_| refused(errno));
    }
    if !facts.user.capabilities.is_empty() {
        return;
    }
    facts.namespaces.get_mut(&Namespace::User).expect("a sample has all").alone = refused(errno);
}

fn namespaces(alone: &Outcome, inside: &Outcome) -> BTreeMap<Namespace, NamespaceFacts> {
    let facts = |namespace| NamespaceFacts {
        alone: alone.clone(),
        in_user_namespace: (namespace != Namespace::User).then(|| inside.clone()),
        limit: Some(15000),
    };
    Namespace::ALL.into_iter().map(|namespace| (namespace, facts(namespace))).collect()
}

fn root_group(facts: &mut Facts) -> &mut Group {
    &mut facts.cgroup.unified.as_mut().expect("the VM has it").root
}

fn changed(mut facts: Facts, change: impl FnOnce(&mut Facts)) -> Facts {
    change(&mut facts);
    facts
}

fn refused(errno: &str) -> Outcome {
    Outcome::Refused(errno.to_string())
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| word.to_string()).collect()
}
