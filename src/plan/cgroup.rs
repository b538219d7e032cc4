//! The container's cgroup: made and limited before its first process exists, or by systemd around it while it waits.

use std::collections::BTreeSet;

use super::PlanError;
use super::host::{CgroupHost, CgroupLevel, Host};
use super::step::{HostStep, Planned};
use super::uapi::CLONE_NEWCGROUP;
use super::{namespaces, rootfs};
use crate::cgroup::resources::{self, DeviceRule, Write};
use crate::cgroup::scope::{self, Property, Scope};
use crate::spec::oci::{LinuxResources, Spec};

/// What runc and crun enable as well where it can be had, so that engines find statistics in containers without limits.
const COUNTED: [&str; 8] = ["cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma", "misc"];

/// What the systemd driver leaves to systemd: it enables these in all cgroups above a scope that is delegated.
const OF_SYSTEMD: [&str; 5] = ["cpuset", "cpu", "io", "memory", "pids"];

/// The container's cgroup, and the steps that make and limit it.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    /// The directory; none without cgroup v2.
    pub path: Option<String>,
    /// Whether the process is born into it.
    pub at_birth: bool,
    /// Before the process exists.
    pub host: Vec<Planned<HostStep>>,
    /// While it waits.
    pub beside: Vec<Planned<HostStep>>,
}

/// The container's cgroup below the root of the hierarchy: `linux.cgroupsPath`, else `glassbox-<id>`; with `systemd` the
/// scope that it names.
pub fn path(id: &str, spec: &Spec, systemd: bool) -> Result<String, PlanError> {
    let path = configured(spec);
    if systemd {
        return Ok(Scope::named(&path, id)?.path);
    }
    let parts: Vec<_> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    Ok(if parts.is_empty() { format!("glassbox-{id}") } else { parts.join("/") })
}

fn configured(spec: &Spec) -> String {
    let configured = spec.linux().as_ref().and_then(|linux| linux.cgroups_path().as_ref());
    configured.map(|path| path.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The steps that make the cgroup, enable its controllers and write its limits.
pub(super) fn lanes(id: &str, spec: &Spec, host: &Host, systemd: bool) -> Result<Lanes, PlanError> {
    let none = LinuxResources::default();
    let resources = spec.linux().as_ref().and_then(|linux| linux.resources().as_ref()).unwrap_or(&none);
    let writes = resources::writes(resources)?;
    let Some(cgroup) = &host.cgroup else {
        let left_out = host.rootless.as_ref().is_some_and(|rootless| !rootless.cgroup_delegated);
        return match writes.into_iter().next() {
            _ if systemd => Err(PlanError::NoHierarchy),
            Some(write) if !left_out => Err(PlanError::NoCgroup { field: write.because }),
            Some(_) | None => Ok(Lanes::default()),
        };
    };
    let base = base(cgroup);
    let required = required(&writes, base)?;
    let (own, parents) = cgroup.levels.split_last().expect("a hierarchy has a root and the container's level");
    for (busy, why) in [(own.populated, "has processes"), (own.frozen, "is frozen")] {
        if busy {
            return Err(PlanError::CgroupBusy { path: own.path.clone(), why });
        }
    }
    let mut rules = resources::device_rules(resources);
    rules.retain(|_| host.has_roots_powers());
    let give = given_away(spec, host, &own.path);
    let (mut host, mut beside) = match systemd {
        true => (Vec::new(), by_systemd(id, spec, cgroup, &required, writes, rules)?),
        false => (by_hand(own, parents, &required, &base.controllers, writes, rules), Vec::new()),
    };
    if systemd { &mut beside } else { &mut host }.extend(give);
    Ok(Lanes { path: Some(own.path.clone()), at_birth: !systemd, host, beside })
}

/// A container that sees its cgroup as the root of all and may write there is to manage it (config-linux.md, "Cgroup
/// ownership"): its user gets it. Nobody else does.
fn given_away(spec: &Spec, host: &Host, path: &str) -> Option<Planned<HostStep>> {
    if namespaces::new(spec) & CLONE_NEWCGROUP == 0 || !rootfs::cgroup_is_writable(spec) {
        return None;
    }
    let inside = spec.process().as_ref().map_or(0, |process| process.user().uid());
    let uid = namespaces::host_uid(spec, inside).filter(|uid| *uid != 0)?;
    let step = HostStep::DelegateCgroup { path: path.to_string(), uid, files: host.delegated_files.clone() };
    Some(Planned::new(step, "its cgroup is writable, and the root of its cgroup namespace"))
}

/// Directories and files, before the process exists.
fn by_hand(
    own: &CgroupLevel,
    parents: &[CgroupLevel],
    required: &BTreeSet<String>,
    available: &[String],
    writes: Vec<Write>,
    rules: Vec<DeviceRule>,
) -> Vec<Planned<HostStep>> {
    let mut steps = Vec::new();
    for level in parents {
        if !level.exists {
            steps.push(Planned::new(HostStep::CreateCgroup { path: level.path.clone() }, "linux.cgroupsPath"));
        }
        steps.extend(enable(level, required, available).filter(|_| level.writable));
    }
    let path = own.path.clone();
    let step = if own.exists { HostStep::AdoptCgroup { path } } else { HostStep::CreateCgroup { path } };
    steps.push(Planned::new(step, "linux.cgroupsPath"));
    steps.extend(limits(&own.path, writes, rules));
    steps
}

/// A scope around the process, which systemd needs to be there. Its limits hold from the first moment; what systemd has
/// no word for is written while the process still waits.
fn by_systemd(
    id: &str,
    spec: &Spec,
    cgroup: &CgroupHost,
    required: &BTreeSet<String>,
    writes: Vec<Write>,
    rules: Vec<DeviceRule>,
) -> Result<Vec<Planned<HostStep>>, PlanError> {
    let Scope { unit, slice, .. } = Scope::named(&configured(spec), id)?;
    let (own, parents) = cgroup.levels.split_last().expect("a hierarchy has a root and the container's level");
    let writes = scope::rounded(writes);
    let text = |name, text: String| Property::new(name, scope::Value::Text(text));
    let flag = |name, value| Property::new(name, scope::Value::Bool(value));
    let mut properties = vec![
        text("Description", format!("glassbox container {id}")),
        text("Slice", slice),
        flag("Delegate", true),
        flag("DefaultDependencies", false),
        // A unit that failed is kept otherwise, and an OOM kill is a failure.
        text("CollectMode", "inactive-or-failed".to_string()),
    ];
    let accounting = ["CPUAccounting", "IOAccounting", "MemoryAccounting", "TasksAccounting"];
    properties.extend(accounting.map(|name| flag(name, true)));
    properties.extend(scope::of_writes(&writes));
    properties.extend(scope::of_devices(&rules));
    let annotations = spec.annotations().clone().unwrap_or_default();
    properties.extend(scope::of_annotations(&annotations).map_err(PlanError::Annotation)?);
    let start = HostStep::StartScope { unit, path: own.path.clone(), properties };
    let mut steps = vec![Planned::new(start, "--systemd-cgroup")];
    let foreign = |name: &&String| !OF_SYSTEMD.contains(&name.as_str());
    let required = required.iter().filter(foreign).cloned().collect();
    let available: Vec<_> = cgroup.levels[0].controllers.iter().filter(foreign).cloned().collect();
    steps.extend(parents.iter().filter_map(|level| enable(level, &required, &available)));
    steps.extend(limits(&own.path, writes, rules));
    Ok(steps)
}

fn limits(path: &str, writes: Vec<Write>, rules: Vec<DeviceRule>) -> Vec<Planned<HostStep>> {
    let one = |write: Write| {
        let because = write.because.clone();
        Planned::new(HostStep::WriteCgroup { path: path.to_string(), write }, because)
    };
    let mut steps: Vec<_> = writes.into_iter().map(one).collect();
    if !rules.is_empty() {
        let step = HostStep::FilterDevices { path: path.to_string(), rules };
        steps.push(Planned::new(step, "linux.resources.devices"));
    }
    steps
}

/// The cgroup that is ours to make groups in: the hierarchy's root, or what an ordinary user was given of it.
fn base(cgroup: &CgroupHost) -> &CgroupLevel {
    cgroup.levels.iter().find(|level| level.writable).unwrap_or(&cgroup.levels[0])
}

/// What the config asks for of limits, and an ordinary user's container does not get, as a sentence.
pub(super) fn left_out(spec: &Spec, host: &Host) -> Vec<String> {
    let Some(rootless) = &host.rootless else { return Vec::new() };
    let resources = spec.linux().as_ref().and_then(|linux| linux.resources().as_ref());
    let filter = resources.is_some_and(|resources| !resources::device_rules(resources).is_empty());
    let filter = (filter && !host.has_roots_powers()).then(|| "linux.resources.devices".to_string());
    if rootless.cgroup_delegated {
        let say = |field| format!("{field}: not applied: a device filter takes root; only file modes guard devices");
        return filter.map(say).into_iter().collect();
    }
    let writes = resources.and_then(|resources| resources::writes(resources).ok()).unwrap_or_default();
    let path = spec.linux().as_ref().and_then(|linux| linux.cgroups_path().as_ref());
    let path = path.filter(|path| !path.as_os_str().is_empty()).map(|_| "linux.cgroupsPath".to_string());
    let mut fields: Vec<_> = writes.into_iter().map(|write| write.because).chain(path).chain(filter).collect();
    fields.dedup();
    let whom = format!("no cgroup is delegated to user {}", rootless.uid);
    let without = "so the container has none: nothing limits it, and pause, update and events cannot reach it";
    vec![match fields.is_empty() {
        true => format!("{whom}, {without}"),
        false => format!("{whom}, {without}; not applied: {}", fields.join(", ")),
    }]
}

/// The controllers that the writes need; an error where the machine does not have one.
fn required(writes: &[Write], root: &CgroupLevel) -> Result<BTreeSet<String>, PlanError> {
    let mut required = BTreeSet::new();
    for write in writes {
        let Some(controller) = write.controller() else { continue };
        if !root.controllers.iter().any(|known| known == controller) {
            return Err(PlanError::ControllerMissing {
                controller: controller.to_string(),
                field: write.because.clone(),
                path: root.path.clone(),
                available: root.controllers.join(" "),
            });
        }
        required.insert(controller.to_string());
    }
    Ok(required)
}

/// Enables what is not yet enabled for the children of one level.
fn enable(level: &CgroupLevel, required: &BTreeSet<String>, available: &[String]) -> Option<Planned<HostStep>> {
    let missing = |controller: &&String| !level.enabled.contains(controller);
    let required: Vec<_> = required.iter().filter(missing).cloned().collect();
    let counted = available.iter().filter(|name| COUNTED.contains(&name.as_str()) && !required.contains(name));
    let wanted: Vec<_> = counted.filter(missing).cloned().collect();
    let nothing = required.is_empty() && wanted.is_empty();
    let step = HostStep::EnableControllers { path: level.path.clone(), required, wanted };
    (!nothing).then(|| Planned::new(step, "linux.resources"))
}
