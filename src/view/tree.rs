//! The cgroups of a machine as one tree, with the processes in each, and for each kind of namespace whose it is: the
//! host's, their own, or shared with whom. The lines of it are `tree_text.rs`'s.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::names::{self, Container, Owner};
use super::process::{Kind, Process};
use crate::cgroup::stat::{CpuMax, Limit, Stat};

/// What is known of the machine.
#[derive(Debug, Clone, Default)]
pub struct Machine {
    /// Its processes.
    pub processes: Vec<Process>,
    /// Its cgroups by path, `/system.slice`, with their counters where those could be read.
    pub cgroups: BTreeMap<String, Stat>,
    /// The containers of glassbox's store.
    pub containers: Vec<Container>,
    /// The process whose namespaces count as the host's.
    pub host: i32,
}

/// The tree, flat: every cgroup right before the ones below it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tree {
    /// The process whose namespaces count as the host's.
    pub host: i32,
    /// Processes without the kernel's threads.
    pub processes: usize,
    /// Threads of the kernel, which are not listed one by one.
    pub kernel_threads: usize,
    /// Processes whose namespaces we may not look at.
    pub unread: usize,
    /// The cgroups.
    pub cgroups: Vec<Node>,
}

/// One cgroup.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Node {
    /// Path from the root of the hierarchy.
    pub path: String,
    /// Whose it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// Its limits, where it has any.
    pub limits: Limits,
    /// Whether it is frozen.
    pub frozen: bool,
    /// Its processes, those with the same namespaces together.
    pub groups: Vec<Group>,
}

/// The limits that are set on a cgroup, by their files' names.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Limits {
    /// Bytes.
    #[serde(rename = "memory.max", skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// Quota and period.
    #[serde(rename = "cpu.max", skip_serializing_if = "Option::is_none")]
    pub cpu: Option<CpuMax>,
    /// Threads and processes.
    #[serde(rename = "pids.max", skip_serializing_if = "Option::is_none")]
    pub pids: Option<u64>,
}

/// Processes of one cgroup that have the same namespaces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Group {
    /// The processes, by id.
    pub processes: Vec<Member>,
    /// Whose each of their namespaces is; empty where we may not look.
    pub namespaces: Vec<Namespace>,
}

/// A process of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Member {
    /// Its id.
    pub pid: i32,
    /// Its name.
    pub name: String,
}

/// A namespace of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Namespace {
    /// Its kind.
    pub kind: Kind,
    /// Its number.
    pub number: u64,
    /// Whose it is.
    #[serde(flatten)]
    pub whose: Whose,
}

/// Whose a namespace is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "whose", rename_all = "lowercase")]
pub enum Whose {
    /// The host's.
    Host,
    /// Of this group of processes alone.
    Own,
    /// Shared, and not the host's.
    Shared {
        /// With whom.
        with: Vec<String>,
    },
}

/// Puts a machine's processes into its cgroups. Cgroups that hold no process, and none below them, and are nobody's, are
/// left out unless `all` are wanted.
pub fn tree(machine: &Machine, all: bool) -> Tree {
    let (threads, processes): (Vec<&Process>, Vec<&Process>) = machine.processes.iter().partition(|one| one.kernel);
    let host = machine.processes.iter().find(|process| process.pid == machine.host);
    let host = host.map(|process| process.namespaces.clone()).unwrap_or_default();
    let groups = groups(&processes);
    let holders = holders(&groups, &machine.containers);
    let mut nodes = Vec::new();
    for path in paths(machine, &groups, all) {
        let stat = machine.cgroups.get(&path).cloned().unwrap_or_default();
        let own = groups.iter().filter(|group| group.path == path);
        nodes.push(Node {
            owner: names::owner(&path, &machine.containers),
            limits: limits(&stat),
            frozen: stat.frozen,
            groups: own.map(|group| told(group, &host, &holders)).collect(),
            path,
        });
    }
    Tree {
        host: machine.host,
        processes: processes.len(),
        kernel_threads: threads.len(),
        unread: processes.iter().filter(|process| process.namespaces.is_empty()).count(),
        cgroups: nodes,
    }
}

/// Processes of one cgroup with the same namespaces.
struct Together<'a> {
    path: String,
    namespaces: &'a BTreeMap<Kind, u64>,
    members: Vec<&'a Process>,
    /// Whether others in this cgroup have other namespaces.
    mixed: bool,
}

fn groups<'a>(processes: &[&'a Process]) -> Vec<Together<'a>> {
    let mut groups: Vec<Together<'a>> = Vec::new();
    for process in processes {
        // Without cgroup v2 every process is told at the root.
        let path = process.cgroup.clone().unwrap_or_else(|| "/".to_string());
        match groups.iter_mut().find(|group| group.path == path && *group.namespaces == process.namespaces) {
            Some(group) => group.members.push(process),
            None => {
                groups.push(Together { path, namespaces: &process.namespaces, members: vec![process], mixed: false })
            }
        }
    }
    for index in 0..groups.len() {
        groups[index].mixed = groups.iter().filter(|other| other.path == groups[index].path).count() > 1;
    }
    groups
}

/// How a group is called when another one shares a namespace with it.
fn label(group: &Together<'_>, containers: &[Container]) -> String {
    let first = group.members[0];
    match names::owner(&group.path, containers) {
        Some(owner) if !group.mixed => owner.words(),
        Some(owner) => format!("{} in {}", first.name, owner.words()),
        None => format!("{} {}", first.name, first.pid),
    }
}

/// Who is in each namespace, as first process and label of each group.
type Holders = BTreeMap<(Kind, u64), Vec<(i32, String)>>;

fn holders(groups: &[Together<'_>], containers: &[Container]) -> Holders {
    let mut holders = Holders::new();
    for group in groups {
        for (kind, number) in group.namespaces {
            holders.entry((*kind, *number)).or_default().push((group.members[0].pid, label(group, containers)));
        }
    }
    holders
}

fn told(group: &Together<'_>, host: &BTreeMap<Kind, u64>, holders: &Holders) -> Group {
    let first = group.members[0].pid;
    let whose = |kind: Kind, number: u64| {
        if host.get(&kind) == Some(&number) {
            return Whose::Host;
        }
        let others = holders.get(&(kind, number)).into_iter().flatten().filter(|(pid, _)| *pid != first);
        let with: Vec<_> = others.map(|(_, label)| label.clone()).collect();
        if with.is_empty() { Whose::Own } else { Whose::Shared { with } }
    };
    let namespaces = group.namespaces.iter();
    Group {
        processes: group.members.iter().map(|one| Member { pid: one.pid, name: one.name.clone() }).collect(),
        namespaces: namespaces
            .map(|(kind, number)| Namespace { kind: *kind, number: *number, whose: whose(*kind, *number) })
            .collect(),
    }
}

fn limits(stat: &Stat) -> Limits {
    Limits {
        memory: stat.memory.as_ref().and_then(|memory| memory.max).and_then(Limit::number),
        cpu: stat.cpu.as_ref().and_then(|cpu| cpu.max).filter(|max| max.cpus().is_some()),
        pids: stat.pids.as_ref().and_then(|pids| pids.max).and_then(Limit::number),
    }
}

/// The cgroups to tell, with all those above them, each before what is below it.
fn paths(machine: &Machine, groups: &[Together<'_>], all: bool) -> Vec<String> {
    let empty = machine.cgroups.keys().filter(|path| all || names::owner(path, &machine.containers).is_some());
    let mut wanted: BTreeSet<Vec<&str>> = BTreeSet::from([Vec::new()]);
    for path in groups.iter().map(|group| group.path.as_str()).chain(empty.map(String::as_str)) {
        let parts: Vec<_> = path.split('/').filter(|part| !part.is_empty()).collect();
        wanted.extend((1..=parts.len()).map(|depth| parts[..depth].to_vec()));
    }
    wanted.into_iter().map(|parts| format!("/{}", parts.join("/"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::samples;

    fn node<'a>(tree: &'a Tree, name: &str) -> &'a Node {
        tree.cgroups.iter().find(|node| node.path.ends_with(name)).unwrap_or_else(|| panic!("no {name}"))
    }

    fn whose(tree: &Tree, name: &str, kind: Kind) -> Whose {
        let group = &node(tree, name).groups[0];
        group.namespaces.iter().find(|namespace| namespace.kind == kind).expect("every kind").whose.clone()
    }

    #[test]
    fn every_cgroup_stands_before_what_is_below_it() {
        let tree = tree(&samples::machine(), false);
        let paths: Vec<_> = tree.cgroups.iter().map(|node| node.path.as_str()).collect();
        let expected = ["/", "/glassbox-old", "/glassbox-web", "/init.scope", "/kubepods", "/kubepods/burstable"];
        assert_eq!(paths[..6], expected);
        assert!(!paths.contains(&"/user.slice"), "empty and nobody's");
        assert_eq!((tree.processes, tree.kernel_threads, tree.unread), (8, 2, 1));
    }

    #[test]
    fn empty_cgroups_are_told_when_all_are_wanted() {
        let tree = tree(&samples::machine(), true);
        assert!(node(&tree, "/user.slice").groups.is_empty());
    }

    #[test]
    fn a_namespace_is_the_host_s_or_own_or_shared() {
        let tree = tree(&samples::machine(), false);
        assert_eq!(whose(&tree, "glassbox-web", Kind::Net), Whose::Own);
        assert_eq!(whose(&tree, "glassbox-web", Kind::User), Whose::Host);
        let with = vec!["container 5f2ab0c1d2e3 (pod)".to_string()];
        assert_eq!(whose(&tree, samples::ID, Kind::Net), Whose::Shared { with });
        assert_eq!(whose(&tree, samples::ID, Kind::Pid), Whose::Own);
        assert!(node(&tree, "chrony.service").groups[0].namespaces.is_empty());
    }

    #[test]
    fn two_sets_of_namespaces_in_one_cgroup_are_two_groups() {
        let mut machine = samples::machine();
        let process = machine.processes.iter_mut().find(|process| process.pid == 601).expect("it is there");
        process.namespaces.insert(Kind::Net, 999);
        let tree = tree(&machine, false);
        assert_eq!(node(&tree, "glassbox-web").groups.len(), 2);
        let with = vec!["sleep in container web".to_string()];
        assert_eq!(whose(&tree, "glassbox-web", Kind::Pid), Whose::Shared { with });
    }

    #[test]
    fn limits_are_those_that_are_set() {
        let tree = tree(&samples::machine(), false);
        let web = &node(&tree, "glassbox-web").limits;
        assert_eq!((web.memory, web.pids, web.cpu.and_then(|cpu| cpu.cpus())), (Some(64 << 20), Some(100), Some(0.5)));
        assert_eq!(node(&tree, "init.scope").limits, Limits::default());
    }
}
