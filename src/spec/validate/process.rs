//! What is checked of a process.

use super::super::load::SpecError;
use super::super::oci::{Capabilities, LinuxSchedulerPolicy, Process, Scheduler};
use super::{invalid, text};

/// Checks a process; what may pass with a word is added to `warnings`.
pub(super) fn check(process: &Process, warnings: &mut Vec<String>) -> Result<(), SpecError> {
    ambient(process, warnings);
    let args = process.args().as_deref().unwrap_or_default();
    if args.first().is_none_or(String::is_empty) {
        return Err(invalid("process.args", "is empty; its first entry is the program to run"));
    }
    for (index, arg) in args.iter().enumerate() {
        text(&format!("process.args[{index}]"), arg)?;
    }
    for (index, variable) in process.env().iter().flatten().enumerate() {
        let field = format!("process.env[{index}]");
        text(&field, variable)?;
        if variable.find('=').is_none_or(|at| at == 0) {
            return Err(invalid(field, format!("{variable:?} is not NAME=value")));
        }
    }
    let cwd = process.cwd().to_string_lossy();
    text("process.cwd", &cwd)?;
    if !cwd.starts_with('/') {
        return Err(invalid("process.cwd", format!("{cwd:?} is not an absolute path in the container")));
    }
    // (uid_t)-1 means "leave unchanged" to setresuid(2): root would stay root.
    for (field, id) in [("process.user.uid", process.user().uid()), ("process.user.gid", process.user().gid())] {
        if id == u32::MAX {
            return Err(invalid(field, format!("{id} means \"no id\" to the kernel; use one below it")));
        }
    }
    let mut seen = Vec::new();
    for (index, limit) in process.rlimits().iter().flatten().enumerate() {
        let field = format!("process.rlimits[{index}]");
        if seen.contains(&limit.typ()) {
            return Err(invalid(field, format!("{} is set twice", limit.typ())));
        }
        if limit.soft() > limit.hard() {
            return Err(invalid(field, format!("soft {} is above hard {}", limit.soft(), limit.hard())));
        }
        seen.push(limit.typ());
    }
    for (field, label) in [("apparmorProfile", process.apparmor_profile()), ("selinuxLabel", process.selinux_label())] {
        text(&format!("process.{field}"), label.as_deref().unwrap_or_default())?;
    }
    if let Some(priority) = process.io_priority().as_ref().filter(|it| !(0..=7).contains(&it.priority())) {
        return Err(invalid("process.ioPriority.priority", format!("{} is not from 0 to 7", priority.priority())));
    }
    if let Some(affinity) = process.exec_cpu_affinity() {
        cpus("process.execCPUAffinity.initial", affinity.initial().as_deref())?;
        cpus("process.execCPUAffinity.final", affinity.cpu_affinity_final().as_deref())?;
    }
    process.scheduler().as_ref().map_or(Ok(()), scheduler)
}

/// A list such as `0-2,5`, of CPUs that a machine can have: the largest kernels are made for 8192 (CONFIG_NR_CPUS).
fn cpus(field: &str, list: Option<&str>) -> Result<(), SpecError> {
    const HIGHEST: u32 = 65535;
    let number = |text: &str| text.trim().parse::<u32>().ok().filter(|cpu| *cpu <= HIGHEST);
    for part in list.iter().flat_map(|list| list.split(',')) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => {}
            _ => return Err(invalid(field, format!("{part:?} is no CPU from 0 to {HIGHEST}, and no range of them"))),
        }
    }
    Ok(())
}

/// What sched_setattr(2) would refuse with one EINVAL for all.
fn scheduler(scheduler: &Scheduler) -> Result<(), SpecError> {
    let field = |name: &str| format!("process.scheduler.{name}");
    let policy = *scheduler.policy();
    let ordinary = [LinuxSchedulerPolicy::SchedOther, LinuxSchedulerPolicy::SchedBatch].contains(&policy);
    let realtime = [LinuxSchedulerPolicy::SchedFifo, LinuxSchedulerPolicy::SchedRr].contains(&policy);
    let (nice, priority) = (scheduler.nice().unwrap_or(0), scheduler.priority().unwrap_or(0));
    if policy == LinuxSchedulerPolicy::SchedIso {
        return Err(invalid(field("policy"), "SCHED_ISO is reserved: no kernel has it"));
    }
    if !(-20..=19).contains(&nice) || nice != 0 && !ordinary {
        return Err(invalid(field("nice"), format!("{nice} is not from -20 to 19, with SCHED_OTHER or SCHED_BATCH")));
    }
    if priority != 0 && !realtime || realtime && !(1..=99).contains(&priority) {
        return Err(invalid(field("priority"), format!("{priority}: SCHED_FIFO and SCHED_RR take 1 to 99, others 0")));
    }
    let times = [("runtime", scheduler.runtime()), ("deadline", scheduler.deadline()), ("period", scheduler.period())];
    for (name, time) in times {
        if policy != LinuxSchedulerPolicy::SchedDeadline && time.is_some_and(|time| time != 0) {
            return Err(invalid(field(name), "is for SCHED_DEADLINE alone"));
        }
    }
    Ok(())
}

/// `runc spec` before 1.2 asked for ambient capabilities that are not inheritable, and runc itself let them pass.
fn ambient(process: &Process, warnings: &mut Vec<String>) {
    let Some(sets) = process.capabilities() else { return };
    let has = |set: &Option<Capabilities>, name| set.iter().flatten().any(|capability| capability == name);
    for capability in sets.ambient().iter().flatten() {
        if !has(sets.permitted(), capability) || !has(sets.inheritable(), capability) {
            warnings.push(format!(
                "process.capabilities.ambient: CAP_{capability} is not permitted and inheritable, so it cannot be ambient"
            ));
        }
    }
}
