//! Who we are where we are not the machine's own root, and which cgroups are ours to make groups in.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::Access;
use rustix::process::{getegid, geteuid};

use super::probe::in_user_namespace;
use crate::plan::Rootless;

/// The facts about us as an ordinary user or the root of a user namespace; none for the machine's own root, unless `wanted`.
pub(super) fn facts(wanted: bool) -> Option<Rootless> {
    let uid = geteuid().as_raw();
    (uid != 0 || wanted || in_user_namespace()).then(|| Rootless {
        uid,
        gid: getegid().as_raw(),
        setgroups_denied: setgroups_denied("self"),
        oom_score_adj: own_oom_score_adj(),
        cgroup_delegated: true,
    })
}

/// The lowest oom_score_adj that we may set; none for the machine's own root.
pub(super) fn oom_floor() -> Option<i32> {
    facts(false).map(|rootless| rootless.oom_score_adj)
}

/// Whether the user namespace of the process `pid` has a root user to become.
pub(super) fn has_root(pid: i32) -> bool {
    let map = fs::read_to_string(format!("/proc/{pid}/uid_map")).unwrap_or_default();
    map.lines().any(|line| line.split_whitespace().next() == Some("0"))
}

/// Where an ordinary user's container may have its cgroup, as a path below `mount`; none where no cgroup is delegated.
///
/// `wanted` is `linux.cgroupsPath` without its first slash, or a name. From the root of the hierarchy on (`absolute`) it is
/// taken as it is; else it lies beside our own cgroup, whose parent can have controllers, or below it where the parent is
/// not ours: runc looks there too.
pub(super) fn cgroup(mount: &Path, wanted: &str, absolute: bool) -> Option<String> {
    let lines = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = lines.lines().find_map(|line| line.strip_prefix("0::/"))?;
    place(mount, Path::new(own), wanted, absolute, is_ours)
}

fn place(mount: &Path, own: &Path, wanted: &str, absolute: bool, is_ours: impl Fn(&Path) -> bool) -> Option<String> {
    let path = match absolute {
        true => PathBuf::from(wanted),
        false => {
            let parent = own.parent().filter(|parent| is_ours(&mount.join(parent)));
            parent.or_else(|| Some(own).filter(|own| is_ours(&mount.join(own))))?.join(wanted)
        }
    };
    // A process goes from our cgroup to that one by way of both's nearest common ancestor (cgroups(7), delegation).
    let shared: PathBuf = own.components().zip(path.components()).take_while(|(a, b)| a == b).map(|(a, _)| a).collect();
    is_ours(&mount.join(shared)).then(|| path.to_string_lossy().into_owned())
}

/// Whether we may make groups in this cgroup and move processes within it.
pub(super) fn is_ours(directory: &Path) -> bool {
    let may_write = |path: &Path| rustix::fs::access(path, Access::WRITE_OK).is_ok();
    may_write(directory) && may_write(&directory.join("cgroup.procs"))
}

/// Whether nobody may change the groups of a process in the user namespace of `process`, a number or `self`.
pub(super) fn setgroups_denied(process: &str) -> bool {
    fs::read_to_string(format!("/proc/{process}/setgroups")).is_ok_and(|text| text.trim() == "deny")
}

fn own_oom_score_adj() -> i32 {
    fs::read_to_string("/proc/self/oom_score_adj").ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_lies_beside_our_own_cgroup_where_that_is_ours_and_else_below_it() {
        let ours = |list: &'static [&'static str]| move |path: &Path| list.iter().any(|our| path == Path::new(our));
        let place = |own, wanted, absolute, list| place(Path::new("/c"), Path::new(own), wanted, absolute, ours(list));
        assert_eq!(place("user/shell", "web", false, &["/c/user", "/c/user/shell"]).as_deref(), Some("user/web"));
        assert_eq!(place("user", "web", false, &["/c/user"]).as_deref(), Some("user/web"));
        assert_eq!(place("session", "web", false, &["/c/user"]), None, "what is ours is elsewhere");
        assert_eq!(place("user/shell", "user/a/b", true, &["/c/user"]).as_deref(), Some("user/a/b"));
        assert_eq!(place("user/shell", "other", true, &["/c/user", "/c/other"]), None, "the way leads by the root");
        assert_eq!(place("", "web", false, &[]), None);
        assert_eq!(place("", "web", false, &["/c/"]).as_deref(), Some("web"));
    }
}
