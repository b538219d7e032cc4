//! Facts about cgroups: which hierarchies are mounted, which controllers cgroup v2 has, and what is ours to write.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD};
use serde::Serialize;

/// Where container programs look for cgroup v2.
pub const USUAL: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];

/// The hierarchies of this machine, as this process sees them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
#[serde(rename_all = "camelCase")]
pub struct CgroupFacts {
    /// The cgroup v2 hierarchy; none where it is not mounted.
    pub unified: Option<Unified>,
    /// Mounted v1 hierarchies that hold controllers.
    pub legacy: Vec<Legacy>,
    /// Controllers switched off on the kernel command line (`cgroup_disable=`), by /proc/cgroups.
    pub disabled: Vec<String>,
    /// The kernel knows the cgroup2 file system (/proc/filesystems).
    pub supported: bool,
}

/// One v1 hierarchy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Legacy {
    /// Mount point.
    pub path: String,
    /// Its controllers, such as `cpu` and `cpuacct`.
    pub controllers: Vec<String>,
}

/// The cgroup v2 hierarchy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
#[serde(rename_all = "camelCase")]
pub struct Unified {
    /// Mount point: of several the one that container programs look at, else the first.
    pub path: String,
    /// Mounted read-only, as container engines do for their containers.
    pub read_only: bool,
    /// Mounted with `nsdelegate`: a cgroup namespace is a boundary of delegation.
    pub nsdelegate: bool,
    /// The group at the mount point.
    pub root: Group,
    /// The group that we are in; none where /proc/self/cgroup names one outside the mount.
    pub own: Option<Group>,
    /// Whether groups have `memory.swap.max`; none where there is no group with the memory controller to look at.
    pub swap_limit: Option<bool>,
}

/// One cgroup v2 directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    /// Directory.
    pub path: String,
    /// `cgroup.controllers`.
    pub controllers: Vec<String>,
    /// `cgroup.subtree_control`: what groups below it have.
    pub enabled: Vec<String>,
    /// We may make groups in it, move processes and enable controllers: directory, `cgroup.procs` and
    /// `cgroup.subtree_control` are writable (access(2), which counts read-only mounts in).
    pub writable: bool,
}

/// Reads them.
pub fn gather() -> CgroupFacts {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let (unified, legacy) = mounts(&read("/proc/self/mountinfo"));
    CgroupFacts {
        unified: unified.map(|mount| look_at(mount, own_path(&read("/proc/self/cgroup")))),
        legacy,
        disabled: disabled(&read("/proc/cgroups")),
        supported: read("/proc/filesystems").lines().any(|line| line.split_whitespace().last() == Some("cgroup2")),
    }
}

/// The cgroup hierarchies in a mountinfo (proc_pid_mountinfo(5)). The v2 one has its mount point and options alone.
fn mounts(mountinfo: &str) -> (Option<Unified>, Vec<Legacy>) {
    let (mut unified, mut legacy) = (None, Vec::<Legacy>::new());
    for line in mountinfo.lines() {
        let Some((before, after)) = line.split_once(" - ") else { continue };
        let mut before = before.split(' ').skip(4);
        let (Some(path), Some(per_mount)) = (before.next(), before.next()) else { continue };
        let mut after = after.split(' ');
        let (kind, per_superblock) = (after.next(), after.nth(1).unwrap_or_default());
        match kind {
            Some("cgroup2") if unified.is_none() || USUAL.contains(&path) => {
                unified = Some(Unified {
                    path: unescape(path),
                    read_only: has_option(per_mount, "ro") || has_option(per_superblock, "ro"),
                    nsdelegate: has_option(per_superblock, "nsdelegate"),
                    ..Unified::default()
                });
            }
            Some("cgroup") => {
                let controllers = legacy_controllers(per_superblock);
                if !controllers.is_empty() && !legacy.iter().any(|known| known.controllers == controllers) {
                    legacy.push(Legacy { path: unescape(path), controllers });
                }
            }
            _ => {}
        }
    }
    (unified, legacy)
}

fn has_option(options: &str, name: &str) -> bool {
    options.split(',').any(|option| option == name)
}

/// A v1 hierarchy's controllers stand among its mount options (cgroups(7)); `name=systemd` is none.
fn legacy_controllers(options: &str) -> Vec<String> {
    const OTHERS: [&str; 8] =
        ["rw", "ro", "xattr", "clone_children", "noprefix", "cpuset_v2_mode", "none", "favordynmods"];
    let controller = |option: &&str| !option.contains('=') && !OTHERS.contains(option);
    options.split(',').filter(controller).map(str::to_string).collect()
}

/// mountinfo writes a space as `\040` and so on.
fn unescape(path: &str) -> String {
    path.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

/// The path in the `0::` line of a /proc/PID/cgroup (cgroups(7)).
fn own_path(cgroup: &str) -> Option<&str> {
    cgroup.lines().find_map(|line| line.strip_prefix("0::"))
}

/// Controllers with 0 in the last column of /proc/cgroups.
fn disabled(table: &str) -> Vec<String> {
    let off = |line: &str| {
        let columns: Vec<_> = line.split_whitespace().collect();
        matches!(columns.as_slice(), [name, _, _, "0"] if !name.starts_with('#')).then(|| columns[0].to_string())
    };
    table.lines().filter_map(off).collect()
}

fn look_at(mount: Unified, own: Option<&str>) -> Unified {
    let root = PathBuf::from(&mount.path);
    // From inside a cgroup namespace a group outside of it reads as `/../…`.
    let own = own.filter(|path| !path.contains("..")).map(|path| root.join(path.trim_start_matches('/')));
    Unified {
        root: group(&root),
        own: own.filter(|path| path.is_dir()).map(|path| group(&path)),
        swap_limit: swap_limit(&root),
        ..mount
    }
}

fn group(path: &Path) -> Group {
    let words = |file: &str| {
        let text = fs::read_to_string(path.join(file)).unwrap_or_default();
        text.split_whitespace().map(str::to_string).collect()
    };
    let ours = |path: &Path| rustix::fs::accessat(CWD, path, Access::WRITE_OK, AtFlags::EACCESS).is_ok();
    Group {
        path: path.to_string_lossy().trim_end_matches('/').to_string(),
        controllers: words("cgroup.controllers"),
        enabled: words("cgroup.subtree_control"),
        writable: ours(path) && ["cgroup.procs", "cgroup.subtree_control"].iter().all(|file| ours(&path.join(file))),
    }
}

/// The root group has no memory files, so the first group below it that has them is looked at.
fn swap_limit(root: &Path) -> Option<bool> {
    let groups = fs::read_dir(root).ok()?.flatten().map(|entry| entry.path());
    let limited = groups.into_iter().find(|path| path.join("memory.max").exists())?;
    Some(limited.join("memory.swap.max").exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hybrid_machine_has_both_versions() {
        let (unified, legacy) = mounts(
            "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
35 31 0:32 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:3 - cgroup cgroup rw,cpu,cpuacct
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,nosuid shared:5 master:2 - cgroup2 cgroup2 rw,nsdelegate
50 31 0:32 / /mnt/again rw - cgroup cgroup rw,cpu,cpuacct",
        );
        let unified = unified.expect("cgroup2 is mounted");
        assert_eq!(unified.path, "/sys/fs/cgroup/unified");
        assert!(unified.nsdelegate && !unified.read_only);
        let controllers = vec!["cpu".to_string(), "cpuacct".to_string()];
        assert_eq!(legacy, [Legacy { path: "/sys/fs/cgroup/cpu,cpuacct".to_string(), controllers }]);
    }

    #[test]
    fn a_read_only_mount_is_one_on_either_side_of_the_dash() {
        for line in [
            "1 2 0:3 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw",
            "1 2 0:3 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup ro",
        ] {
            assert!(mounts(line).0.expect("cgroup2 is mounted").read_only, "{line}");
        }
        let several = "1 2 0:3 / /mnt/groups rw - cgroup2 cgroup rw\n1 2 0:3 / /sys/fs/cgroup rw - cgroup2 cgroup rw";
        assert_eq!(mounts(several).0.expect("cgroup2 is mounted").path, "/sys/fs/cgroup");
        let spaced = mounts("1 2 0:3 / /mnt/my\\040groups rw - cgroup2 cgroup rw").0.expect("cgroup2 is mounted");
        assert_eq!((spaced.path.as_str(), spaced.read_only), ("/mnt/my groups", false));
        assert_eq!(mounts("no mountinfo\n\n1 2 3 - cgroup2"), (None, Vec::new()));
    }

    #[test]
    fn our_group_is_the_one_of_hierarchy_0() {
        assert_eq!(own_path("9:name=systemd:/\n4:memory:/a\n0::/user.slice\n"), Some("/user.slice"));
        assert_eq!(own_path("4:memory:/a\n"), None);
    }

    #[test]
    fn a_controller_switched_off_is_known() {
        let table = "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t0\t8\t1\nmemory\t0\t8\t0\n";
        assert_eq!(disabled(table), ["memory"]);
    }

    #[test]
    fn a_group_is_read_from_its_directory() {
        let directory = tempfile::tempdir().expect("/tmp is writable");
        let root = directory.path();
        for (file, text) in [("cgroup.controllers", "cpu memory\n"), ("cgroup.subtree_control", "cpu\n")] {
            fs::write(root.join(file), text).expect("a new file");
        }
        assert_eq!(swap_limit(root), None);
        fs::create_dir(root.join("below")).expect("a new directory");
        fs::write(root.join("below/memory.max"), "max\n").expect("a new file");
        assert_eq!(swap_limit(root), Some(false));
        fs::write(root.join("below/memory.swap.max"), "max\n").expect("a new file");
        let mount = Unified { path: root.to_string_lossy().into_owned(), ..Unified::default() };
        let seen = look_at(mount.clone(), Some("/below"));
        assert_eq!(seen.root.controllers, ["cpu", "memory"]);
        assert_eq!(seen.root.enabled, ["cpu"]);
        assert!(!seen.root.writable, "cgroup.procs is missing");
        assert_eq!(seen.own.expect("it is there").path, root.join("below").to_string_lossy());
        assert_eq!(seen.swap_limit, Some(true));
        for elsewhere in [None, Some("/../other"), Some("/gone")] {
            assert_eq!(look_at(mount.clone(), elsewhere).own, None);
        }
    }
}
