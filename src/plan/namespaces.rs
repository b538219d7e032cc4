//! Which namespaces a container gets of its own, which it joins, and what is set in those that are its own.

use super::step::{HostStep, InitStep, Planned, c_string};
use super::uapi::*;
use crate::spec::oci::{LinuxIdMapping, LinuxNamespace, LinuxNamespaceType, LinuxNetDevice, Spec};
use crate::spec::sysctl_path;

type Steps = Vec<Planned<InitStep>>;

/// CLONE_NEW* flags of the config's new namespaces.
pub(super) fn new(spec: &Spec) -> u64 {
    list(spec).filter(|(_, namespace)| path(namespace).is_none()).fold(0, |new, (_, entry)| new | flag(entry.typ()))
}

/// CLONE_NEW* flags of the namespaces that are not the runtime's: new ones and joined ones.
pub(super) fn own(spec: &Spec) -> u64 {
    list(spec).fold(0, |own, (_, namespace)| own | flag(namespace.typ()))
}

/// The id on the host of a user of the container; none where a user namespace maps it to nobody, or is joined, so that the
/// config does not say.
pub(super) fn host_uid(spec: &Spec, inside: u32) -> Option<u32> {
    if own(spec) & CLONE_NEWUSER == 0 {
        return Some(inside);
    }
    let maps = spec.linux().as_ref().and_then(|linux| linux.uid_mappings().as_deref()).unwrap_or_default();
    let map = |map: &LinuxIdMapping| {
        let offset = inside.checked_sub(map.container_id()).filter(|offset| *offset < map.size())?;
        map.host_id().checked_add(offset)
    };
    maps.iter().find_map(map)
}

/// The namespaces that are joined by path. A mount namespace comes late, as the paths of the others are the host's; the user
/// namespace comes last: whoever is in it may have no say over the others.
pub(super) fn joins(spec: &Spec) -> Steps {
    let mut joins: Vec<_> = list(spec)
        .filter_map(|(index, entry)| Some((index, flag(entry.typ()), path(entry)?)))
        .map(|(index, namespace, path)| {
            Planned::new(
                InitStep::JoinNamespace { namespace, path: c_string(&path) },
                format!("linux.namespaces[{index}]"),
            )
        })
        .collect();
    joins.sort_by_key(|planned| match planned.step {
        InitStep::JoinNamespace { namespace: CLONE_NEWUSER, .. } => 2,
        InitStep::JoinNamespace { namespace: CLONE_NEWNS, .. } => 1,
        _ => 0,
    });
    joins
}

/// Whether joining takes a process in between: a PID namespace is joined by children alone (setns(2)), and a namespace that
/// belongs to the host must be joined before there is a new user namespace, whose root has no power over it.
pub(super) fn need_a_process_between(spec: &Spec) -> bool {
    let joined = own(spec) & !new(spec);
    joined & (CLONE_NEWPID | CLONE_NEWUSER) != 0 || joined != 0 && new(spec) & CLONE_NEWUSER != 0
}

/// The time namespace, which clone3 could make but not set.
pub(super) fn time(spec: &Spec) -> Option<Planned<InitStep>> {
    if new(spec) & CLONE_NEWTIME == 0 {
        return None;
    }
    let offsets = spec.linux().as_ref().and_then(|linux| linux.time_offsets().as_ref());
    let mut lines: Vec<_> = offsets
        .into_iter()
        .flatten()
        .map(|(clock, offset)| format!("{clock} {} {}\n", offset.secs().unwrap_or(0), offset.nanosecs().unwrap_or(0)))
        .collect();
    lines.sort();
    let because = if lines.is_empty() { "linux.namespaces \"time\"" } else { "linux.timeOffsets" };
    Some(Planned::new(InitStep::NewTimeNamespace { offsets: c_string(&lines.concat()) }, because))
}

/// The host's network devices that become the container's.
pub(super) fn net_devices(spec: &Spec) -> Vec<Planned<HostStep>> {
    let wanted = spec.linux().as_ref().and_then(|linux| linux.net_devices().as_ref());
    let mut wanted: Vec<_> = wanted.into_iter().flatten().collect();
    wanted.sort_by_key(|(name, _)| *name);
    let joined = list(spec).find(|(_, entry)| entry.typ() == LinuxNamespaceType::Network).and_then(|(_, it)| path(it));
    let one = |(name, device): (&String, &LinuxNetDevice)| {
        let inside = device.name().as_ref().filter(|inside| !inside.is_empty()).unwrap_or(name).clone();
        let step = HostStep::MoveNetDevice { name: name.clone(), inside, namespace: joined.clone() };
        Planned::new(step, format!("linux.netDevices[{name:?}]"))
    };
    wanted.into_iter().map(one).collect()
}

/// Kernel parameters. Validation has let only those pass that belong to a namespace of the container's own.
pub(super) fn sysctls(spec: &Spec) -> Steps {
    let wanted = spec.linux().as_ref().and_then(|linux| linux.sysctl().as_ref());
    let mut wanted: Vec<_> = wanted.into_iter().flatten().collect();
    wanted.sort();
    let one = |(key, value): (&String, &String)| {
        let path = c_string(&format!("/proc/sys/{}", sysctl_path(key)));
        Planned::new(InitStep::WriteSysctl { path, value: c_string(value) }, format!("linux.sysctl[{key:?}]"))
    };
    wanted.into_iter().map(one).collect()
}

/// What a container without a mount namespace of its own does not get, as a sentence.
pub(super) fn left_out(spec: &Spec) -> Option<String> {
    let say = "linux.namespaces: without \"mount\" no other root than chroot(2) gives it, and its mounts are the host's, too, \
               until it is deleted";
    (own(spec) & CLONE_NEWNS == 0).then(|| say.to_string())
}

fn list(spec: &Spec) -> impl Iterator<Item = (usize, &LinuxNamespace)> {
    let list = spec.linux().as_ref().and_then(|linux| linux.namespaces().as_deref()).unwrap_or_default();
    list.iter().enumerate()
}

/// An empty path is none: podman and docker leave it so.
fn path(namespace: &LinuxNamespace) -> Option<String> {
    let path = namespace.path().as_ref()?.to_string_lossy().into_owned();
    (!path.is_empty()).then_some(path)
}

fn flag(kind: LinuxNamespaceType) -> u64 {
    match kind {
        LinuxNamespaceType::Mount => CLONE_NEWNS,
        LinuxNamespaceType::Cgroup => CLONE_NEWCGROUP,
        LinuxNamespaceType::Uts => CLONE_NEWUTS,
        LinuxNamespaceType::Ipc => CLONE_NEWIPC,
        LinuxNamespaceType::User => CLONE_NEWUSER,
        LinuxNamespaceType::Pid => CLONE_NEWPID,
        LinuxNamespaceType::Network => CLONE_NEWNET,
        LinuxNamespaceType::Time => CLONE_NEWTIME,
    }
}
