//! What is done to a container that runs: freeze it, list its processes, change its limits. All by its cgroup's files.

use crate::cgroup::resources::ResourceError;
use crate::cgroup::{Cgroup, resources, scope, systemd};
use crate::spec::ContainerId;
use crate::spec::oci::{LinuxMemory, LinuxResources};

use super::error::RuntimeError;
use super::lifecycle::{read, wrong_state};
use super::state::{Record, Status, Store};
use super::without_cgroup;

/// How long freezing may take, in seconds: a process leaves the kernel before it freezes.
const FREEZE_SECONDS: i64 = 10;

/// Freezes every process of a container, or thaws them (`cgroup.freeze`), and waits until they are.
pub fn freeze(store: &Store, id: &ContainerId, frozen: bool) -> Result<(), RuntimeError> {
    let entry = store.open(id)?;
    let record = read(&entry, id)?;
    match (entry.status(&record), frozen) {
        (Status::Running | Status::Created, true) | (Status::Paused, false) => {}
        (status, true) => return Err(wrong_state("pause", id, status)),
        (status, false) => return Err(wrong_state("resume", id, status)),
    }
    let cgroup = open(&record, id)?;
    match cgroup.freeze(frozen, FREEZE_SECONDS) {
        Ok(()) => Ok(()),
        Err(error) => {
            // Half frozen is neither: let them run again.
            let _ = cgroup.freeze(false, FREEZE_SECONDS);
            Err(error.into())
        }
    }
}

/// The processes of a container and of the cgroups below its own, by their ids in our PID namespace.
pub fn processes(store: &Store, id: &ContainerId) -> Result<Vec<i32>, RuntimeError> {
    let entry = store.peek(id)?;
    let record = read(&entry, id)?;
    match entry.status(&record) {
        Status::Stopped => Ok(Vec::new()),
        _ if record.cgroup.is_none() => Ok(without_cgroup::processes(&record)),
        _ => Ok(open(&record, id)?.processes()?),
    }
}

/// Writes new limits into the files of a container's cgroup, and tells systemd of them where it made the cgroup. What `wanted` does not name stays as it is.
pub fn update(store: &Store, id: &ContainerId, wanted: &LinuxResources) -> Result<(), RuntimeError> {
    let entry = store.open(id)?;
    let record = read(&entry, id)?;
    match entry.status(&record) {
        Status::Created | Status::Running | Status::Paused => {}
        status => return Err(wrong_state("update", id, status)),
    }
    let cgroup = open(&record, id)?;
    let wanted = completed(wanted, &cgroup)?;
    wanted.memory().as_ref().map_or(Ok(()), |memory| leaves_room(memory, &cgroup))?;
    let mut writes = resources::writes(&wanted).map_err(RuntimeError::Limit)?;
    if let Some(unit) = &record.unit {
        writes = scope::rounded(writes);
        systemd::set(unit, &scope::of_writes(&writes))?;
    }
    for write in &writes {
        cgroup
            .apply(write)
            .map_err(|error| RuntimeError::Call { what: write.because.clone(), cause: error.to_string() })?;
    }
    Ok(())
}

/// With `checkBeforeUpdate` a limit below what is used now is refused: without it the kernel makes room, by its OOM killer in
/// the end (config-linux.md, "Memory").
fn leaves_room(memory: &LinuxMemory, cgroup: &Cgroup) -> Result<(), RuntimeError> {
    if memory.check_before_update() != Some(true) {
        return Ok(());
    }
    let swap = memory.swap().zip(memory.limit()).map(|(both, limit)| both - limit);
    let limits = [("limit", memory.limit(), "memory.current"), ("swap", swap, "memory.swap.current")];
    for (name, limit, file) in limits {
        let Some(limit) = limit.filter(|limit| *limit > 0) else { continue };
        let used: i64 = cgroup.read(file)?.parse().unwrap_or(0);
        if used > limit {
            return Err(RuntimeError::Limit(ResourceError {
                field: format!("linux.resources.memory.{name}"),
                message: format!("{limit} is below the {used} bytes that are used now, and checkBeforeUpdate is set"),
            }));
        }
    }
    Ok(())
}

/// Two values that share a file or a formula with one that is wanted are taken from the cgroup as it is: the other half
/// of `cpu.max`, and the memory limit that `swap` includes.
fn completed(wanted: &LinuxResources, cgroup: &Cgroup) -> Result<LinuxResources, RuntimeError> {
    let mut completed = wanted.clone();
    if let Some(mut cpu) = wanted.cpu().clone().filter(|cpu| cpu.quota().is_some() != cpu.period().is_some()) {
        let now = cgroup.read("cpu.max")?;
        let (quota, period) = now.split_once(' ').unwrap_or((&now, ""));
        match cpu.quota() {
            None => cpu.set_quota(Some(quota.parse().unwrap_or(-1))),
            Some(_) => cpu.set_period(period.parse().ok()),
        };
        completed.set_cpu(Some(cpu));
    }
    let swap_alone = |memory: &LinuxMemory| memory.swap().is_some_and(|swap| swap > 0) && memory.limit().is_none();
    if let Some(mut memory) = wanted.memory().filter(swap_alone) {
        memory.set_limit(cgroup.read("memory.max")?.parse().ok());
        completed.set_memory(Some(memory));
    }
    Ok(completed)
}

fn open(record: &Record, id: &ContainerId) -> Result<Cgroup, RuntimeError> {
    let path = record.cgroup.as_ref().ok_or_else(|| RuntimeError::Call {
        what: format!("the container {id}"),
        cause: "it has no cgroup, as none was delegated to whoever created it".to_string(),
    })?;
    Ok(Cgroup::open(path)?)
}
