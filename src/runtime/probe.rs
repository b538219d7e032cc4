//! The facts about this machine that a plan needs, read once.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};

use super::bundle::Bundle;
use super::rootless;
use crate::cgroup;
use crate::plan::{self, CgroupHost, CgroupLevel, Host, PlanError, Rootless};
use crate::spec::oci::{Process, Spec};
use crate::sys;

/// Probes what the plan of `bundle`, to be started as `id`, depends on. `rootless` says whether it may do without a cgroup
/// that is not ours to make; none: where we are not the machine's own root. With `systemd` systemd makes its cgroup.
pub fn host(bundle: &Bundle, id: &str, rootless: Option<bool>, systemd: bool) -> Result<Host, PlanError> {
    let spec = &bundle.config.spec;
    let who = rootless::facts(rootless == Some(true));
    let place = cgroup_place(id, spec, rootless, systemd)?;
    let all_is_ours = who.is_none() || rootless == Some(false);
    Ok(Host {
        rootfs: bundle.rootfs.to_string_lossy().into_owned(),
        last_capability: sys::last_capability(),
        in_user_namespace: in_user_namespace(),
        delegated_files: delegated_files(),
        home: spec.process().as_ref().and_then(|process| home_in(process, &bundle.rootfs)),
        rootless: who.map(|who| Rootless { cgroup_delegated: place.is_some() || rootless == Some(false), ..who }),
        cgroup: place.map(|(mount, path)| CgroupHost { levels: levels(&mount, &path, all_is_ours) }),
    })
}

/// Where the cgroup of a container is to be: the mount point of the hierarchy, and the path below it.
pub(super) fn cgroup_place(
    id: &str,
    spec: &Spec,
    rootless: Option<bool>,
    systemd: bool,
) -> Result<Option<(PathBuf, String)>, PlanError> {
    let path = plan::cgroup_path(id, spec, systemd)?;
    let Some(mount) = cgroup::mount_point() else { return Ok(None) };
    let as_user = rootless.unwrap_or_else(|| rootless::facts(false).is_some());
    // systemd makes cgroups where it is the master, whoever asks.
    if !as_user || systemd {
        return Ok(Some((mount, path)));
    }
    let configured = spec.linux().as_ref().and_then(|linux| linux.cgroups_path().as_ref());
    let absolute = configured.is_some_and(|path| path.is_absolute());
    Ok(rootless::cgroup(&mount, &path, absolute).map(|path| (mount, path)))
}

/// The home directory that `process` gets in `rootfs`; none where its environment names one.
pub(super) fn home_in(process: &Process, rootfs: &Path) -> Option<String> {
    let is_set = process.env().iter().flatten().any(|variable| variable.starts_with("HOME="));
    if is_set { None } else { home(rootfs, process.user().uid()) }
}

/// The cgroups from the root of the hierarchy down to `path` below it.
fn levels(mount: &Path, path: &str, all_is_ours: bool) -> Vec<CgroupLevel> {
    let mut directory = mount.to_path_buf();
    let mut levels = vec![level(&directory, all_is_ours)];
    for part in path.split('/') {
        directory.push(part);
        levels.push(level(&directory, all_is_ours));
    }
    levels
}

fn level(directory: &Path, is_ours: bool) -> CgroupLevel {
    let exists = directory.is_dir();
    let text = |file: &str| match exists {
        true => fs::read_to_string(directory.join(file)).unwrap_or_default(),
        false => String::new(),
    };
    let words = |file: &str| text(file).split_whitespace().map(str::to_string).collect();
    let events = text("cgroup.events");
    CgroupLevel {
        path: directory.to_string_lossy().into_owned(),
        exists,
        writable: is_ours || !exists || rootless::is_ours(directory),
        populated: events.contains("populated 1"),
        frozen: events.contains("frozen 1"),
        controllers: words("cgroup.controllers"),
        enabled: words("cgroup.subtree_control"),
    }
}

fn delegated_files() -> Vec<String> {
    let named = fs::read_to_string("/sys/kernel/cgroup/delegate");
    named.map_or_else(|_| plan::delegated_files(), |names| names.split_whitespace().map(str::to_string).collect())
}

/// The first user namespace maps all ids to themselves (user_namespaces(7)).
pub(super) fn in_user_namespace() -> bool {
    fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| !map.split_whitespace().eq(["0", "0", "4294967295"]))
}

/// The home directory of `uid` in the container's own /etc/passwd, which is looked up below the rootfs and believed
/// only as far as one line of text (passwd(5)).
fn home(rootfs: &Path, uid: u32) -> Option<String> {
    const MAX_PASSWD: u64 = 1 << 20;
    let root = openat2(CWD, rootfs, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::empty()).ok()?;
    // A FIFO in its place would block an open for reading.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let passwd = File::from(openat2(&root, "etc/passwd", flags, Mode::empty(), resolve).ok()?);
    if !passwd.metadata().ok()?.is_file() {
        return None;
    }
    let mut text = Vec::new();
    passwd.take(MAX_PASSWD).read_to_end(&mut text).ok()?;
    home_of(&String::from_utf8_lossy(&text), uid)
}

fn home_of(passwd: &str, uid: u32) -> Option<String> {
    passwd
        .lines()
        .find_map(|line| {
            let fields: Vec<_> = line.split(':').collect();
            let found = fields.get(2)?.parse() == Ok(uid);
            found
                .then(|| fields.get(5).copied().unwrap_or_default())
                .filter(|home| home.starts_with('/'))
                .map(str::to_string)
        })
        .filter(|home| !home.contains('\0'))
}

#[cfg(test)]
mod tests {
    use super::home_of;

    #[test]
    fn home_is_the_sixth_field_of_the_users_line() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nbroken\nweb:x:33:33::/srv/www:/bin/sh\nno:x:5:5:::\n";
        assert_eq!(home_of(passwd, 0).as_deref(), Some("/root"));
        assert_eq!(home_of(passwd, 33).as_deref(), Some("/srv/www"));
        assert_eq!(home_of(passwd, 5), None);
        assert_eq!(home_of(passwd, 7), None);
    }
}
