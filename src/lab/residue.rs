//! What a lab leaves behind: the machine before and after, compared.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::cgroup::{self, Hierarchy};
use super::processes::Process;
use super::read::unescape;

/// What there is of each kind of thing that a lab could leave behind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot(BTreeSet<Thing>);

/// One thing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Thing {
    /// A mount point, with the type and source of what is mounted.
    Mount(String),
    /// A cgroup, by its path below the mount.
    Cgroup(String),
    /// A namespace that a mount keeps alive, and where.
    Namespace(String),
    /// A network link in the runner's network namespace.
    Link(String),
    /// A table of nftables in the runner's network namespace.
    Table(String),
    /// A process of the run that outlived it.
    Process(String),
}

impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Thing::Mount(what) => write!(f, "mount {what}"),
            Thing::Cgroup(what) => write!(f, "cgroup {what}"),
            Thing::Namespace(what) => write!(f, "namespace {what}"),
            Thing::Link(what) => write!(f, "link {what}"),
            Thing::Table(what) => write!(f, "nft {what}"),
            Thing::Process(what) => write!(f, "process {what}"),
        }
    }
}

impl Snapshot {
    /// Looks at the machine now; at nft tables only where a lab uses nft, because asking loads a kernel module.
    pub fn take(hierarchy: Option<&Hierarchy>, nft: bool) -> Snapshot {
        let mut things = BTreeSet::new();
        let mountinfo = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        things.extend(mountinfo.lines().filter_map(mount));
        for entry in fs::read_dir("/sys/class/net").into_iter().flatten().flatten() {
            things.insert(Thing::Link(entry.file_name().to_string_lossy().into_owned()));
        }
        if let Some(Hierarchy { mount, .. }) = hierarchy {
            let cgroups = cgroup::list(mount);
            things.extend(cgroups.iter().map(|path| Thing::Cgroup(path.display().to_string())));
        }
        if nft && let Ok(tables) = Command::new("nft").args(["list", "tables"]).output() {
            let tables = String::from_utf8_lossy(&tables.stdout).into_owned();
            things.extend(tables.lines().map(|line| Thing::Table(line.trim().to_string())));
        }
        Snapshot(things)
    }

    /// Whether a network link is here that was not there before: one that goes with its namespace goes a moment later.
    pub fn has_new_link(&self, before: &Snapshot) -> bool {
        self.0.difference(&before.0).any(|thing| matches!(thing, Thing::Link(_)))
    }

    /// What is here and was not there before, together with processes that could not be ended.
    pub fn since(&self, before: &Snapshot, survivors: &[Process]) -> Vec<Thing> {
        let mut left: Vec<_> = self.0.difference(&before.0).cloned().collect();
        left.extend(survivors.iter().map(|process| Thing::Process(format!("{} ({})", process.pid, process.name))));
        left
    }
}

/// One line of mountinfo (proc(5)); a mount of type nsfs is a namespace that somebody pinned.
fn mount(line: &str) -> Option<Thing> {
    let (left, right) = line.split_once(" - ")?;
    let mut left = left.split(' ').skip(3);
    let (root, point) = (left.next()?, unescape(left.next()?));
    let mut right = right.split(' ');
    let (fstype, source) = (right.next()?, right.next().unwrap_or_default());
    Some(match fstype {
        "nsfs" => Thing::Namespace(format!("{root} on {point}")),
        _ => Thing::Mount(format!("{point} ({fstype} {})", Path::new(source).display())),
    })
}

#[cfg(test)]
mod tests {
    use super::{Snapshot, Thing, mount};
    use crate::lab::processes::Process;

    #[test]
    fn a_pinned_namespace_is_told_from_a_mount() {
        let pinned = "90 30 0:4 net:[4026532300] /run/netns/a rw shared:40 - nsfs nsfs rw";
        assert_eq!(mount(pinned).expect("a line").to_string(), "namespace net:[4026532300] on /run/netns/a");
        let plain = "91 30 0:50 / /mnt/my\\040dir rw - tmpfs none rw";
        assert_eq!(mount(plain).expect("a line").to_string(), "mount /mnt/my dir (tmpfs none)");
    }

    #[test]
    fn only_what_is_new_is_residue() {
        let before = Snapshot([Thing::Link("lo".to_string()), Thing::Link("gone".to_string())].into());
        let after = Snapshot([Thing::Link("lo".to_string()), Thing::Link("veth0".to_string())].into());
        let survivor = Process { pid: 7, name: "burn".to_string() };
        let left: Vec<_> = after.since(&before, &[survivor]).iter().map(ToString::to_string).collect();
        assert_eq!(left, ["link veth0", "process 7 (burn)"]);
        assert_eq!(before.since(&before, &[]), []);
        assert!(Snapshot::take(None, false).0.contains(&Thing::Link("lo".to_string())));
    }
}
