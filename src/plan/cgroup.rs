//! The host lane: the container's cgroup is made and limited before its first process exists.

use std::collections::BTreeSet;

use super::PlanError;
use super::host::{CgroupHost, CgroupLevel, Host};
use super::step::{HostStep, Planned};
use crate::cgroup::resources::{self, Write};
use crate::spec::oci::{LinuxResources, Spec};

/// What runc and crun enable as well where it can be had, so that engines find statistics in containers without limits.
const COUNTED: [&str; 8] = ["cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma", "misc"];

/// The container's cgroup below the root of the hierarchy: `linux.cgroupsPath`, else `glassbox-<id>`.
pub fn path(id: &str, spec: &Spec) -> String {
    let configured = spec.linux().as_ref().and_then(|linux| linux.cgroups_path().as_ref());
    let path = configured.map(|path| path.to_string_lossy().into_owned()).unwrap_or_default();
    let parts: Vec<_> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.is_empty() { format!("glassbox-{id}") } else { parts.join("/") }
}

/// The steps that make the cgroup, enable its controllers and write its limits.
pub(super) fn steps(spec: &Spec, host: &Host) -> Result<Vec<Planned<HostStep>>, PlanError> {
    let none = LinuxResources::default();
    let resources = spec.linux().as_ref().and_then(|linux| linux.resources().as_ref()).unwrap_or(&none);
    let writes = resources::writes(resources)?;
    let Some(cgroup) = &host.cgroup else {
        return match writes.into_iter().next() {
            Some(write) => Err(PlanError::NoCgroup { field: write.because }),
            None => Ok(Vec::new()),
        };
    };
    let required = required(&writes, cgroup)?;
    let mut steps = Vec::new();
    let (own, parents) = cgroup.levels.split_last().expect("a hierarchy has a root and the container's level");
    for (busy, why) in [(own.populated, "has processes"), (own.frozen, "is frozen")] {
        if busy {
            return Err(PlanError::CgroupBusy { path: own.path.clone(), why });
        }
    }
    for level in parents {
        if !level.exists {
            steps.push(Planned::new(HostStep::CreateCgroup { path: level.path.clone() }, "linux.cgroupsPath"));
        }
        steps.extend(enable(level, &required, &cgroup.levels[0].controllers));
    }
    let path = own.path.clone();
    steps.push(Planned::new(
        if own.exists {
            HostStep::AdoptCgroup { path: path.clone() }
        } else {
            HostStep::CreateCgroup { path: path.clone() }
        },
        "linux.cgroupsPath",
    ));
    for write in writes {
        let because = write.because.clone();
        steps.push(Planned::new(HostStep::WriteCgroup { path: path.clone(), write }, because));
    }
    let rules = resources::device_rules(resources);
    if !rules.is_empty() {
        steps.push(Planned::new(HostStep::FilterDevices { path, rules }, "linux.resources.devices"));
    }
    Ok(steps)
}

/// The controllers that the writes need; an error where the machine does not have one.
fn required(writes: &[Write], cgroup: &CgroupHost) -> Result<BTreeSet<String>, PlanError> {
    let root = &cgroup.levels[0];
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
