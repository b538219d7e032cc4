//! `exec`: one more process in a container that runs.

use std::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use super::bundle::our_capabilities;
use super::error::RuntimeError;
use super::identity;
use super::launch::{self, With};
use super::lifecycle::{Created, read};
use super::narrate::{End, Voice};
use super::probe;
use super::rootless;
use super::state::{Record, Status, Store};
use crate::cgroup;
use crate::plan::{self, Target, uapi};
use crate::spec::oci::{Process, Spec};
use crate::spec::{ContainerId, Wall};
use crate::sys;

/// What is asked of `exec` beside the process itself.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// As for `create`.
    pub options: plan::Options,
    /// A paused container will do as well: the process waits frozen with the others.
    pub ignore_paused: bool,
    /// A cgroup below the container's own to be born into; it must be there. Without one: the container's own, or that of
    /// its first process where the container's has children with controllers, and so can hold no process itself.
    pub cgroup: Option<PathBuf>,
    /// Walls of the container that do not stand around this process.
    pub without: Vec<Wall>,
}

/// Starts a process in a running container. `process` gets the container's config as it was at `create`, and makes of it
/// what is to run.
pub fn exec<E: From<RuntimeError>>(
    store: &Store,
    id: &ContainerId,
    request: &Request,
    voice: &Voice,
    process: impl FnOnce(&Spec) -> Result<Process, E>,
) -> Result<Created, E> {
    // Locked until the process is in the container's cgroup: a delete meanwhile would not see it. No longer: where the
    // container is paused, the process goes on only when somebody else resumes it.
    let entry = store.open(id)?;
    let record = read(&entry, id)?;
    match entry.status(&record) {
        Status::Created | Status::Running => {}
        Status::Paused if request.ignore_paused => {}
        status => return Err(RuntimeError::CannotExec { status }.into()),
    }
    let spec = entry.config().map(|config| config.spec).ok_or_else(|| RuntimeError::Call {
        what: format!("read the config of {id}"),
        cause: "its copy in the state directory is missing or broken".to_string(),
    })?;
    let process = process(&spec)?;
    let unlock = || drop(entry.unlock());
    Ok(start(&record, (&spec, &process), request, voice, &unlock)?)
}

fn start(
    record: &Record,
    (spec, process): (&Spec, &Process),
    request: &Request,
    voice: &Voice,
    in_cgroup: &dyn Fn(),
) -> Result<Created, RuntimeError> {
    let first = record.process.as_ref().ok_or(RuntimeError::NotRunning)?;
    let failed = |errno: rustix::io::Errno| RuntimeError::io(format!("pidfd_open({})", first.pid), &errno.into());
    let pidfd = identity::open(first).map_err(failed)?.ok_or(RuntimeError::NotRunning)?;
    let mut target = Target {
        pid: first.pid,
        namespaces: foreign_namespaces(first.pid),
        cgroup: birthplace(record, first.pid, request.cgroup.as_deref())?,
        last_capability: sys::last_capability(),
        setgroups_denied: rootless::setgroups_denied(&first.pid.to_string()),
        has_root: rootless::has_root(first.pid),
        root: record.changed_root.then(|| record.rootfs.to_string_lossy().into_owned()),
        oom_floor: rootless::oom_floor(),
        home: probe::home_in(process, &PathBuf::from(format!("/proc/{}/root", first.pid))),
    };
    let (spec, process) = plan::exec_without((spec, process), &mut target, &request.without, &our_capabilities())?;
    let plan = plan::exec(&record.id, &spec, &process, &target, &request.options)?;
    voice.follow(&plan);
    let with = With { record, listener: None, target: Some(pidfd.as_fd()), in_cgroup, born: &|_| Ok(()), voice };
    let waiting = launch::launch(&plan, &with).inspect_err(|_| voice.over(End::Failed))?;
    let executed = waiting.go().and_then(|()| waiting.executed(&plan, voice));
    voice.over(if executed.is_ok() { End::Done } else { End::Failed });
    match executed {
        Ok(()) => Ok(Created {
            pid: waiting.pid,
            pidfd: waiting.pidfd,
            terminal: waiting.terminal,
            left_out: plan.left_out,
            notify: None,
        }),
        Err(error) => {
            waiting.abandon(voice);
            Err(error)
        }
    }
}

/// CLONE_NEW* flags of the namespaces that process `pid` does not share with us. What it shares cannot be joined anew
/// (setns(2): a process may not rejoin its own user namespace).
fn foreign_namespaces(pid: i32) -> u64 {
    let file = |name: &str| {
        match name {
            "mount" => "mnt",
            "network" => "net",
            name => name,
        }
        .to_string()
    };
    let link = |who: &str, name: &str| fs::read_link(format!("/proc/{who}/ns/{}", file(name))).ok();
    let foreign = |name: &str| link(&pid.to_string(), name).is_some_and(|theirs| link("self", name) != Some(theirs));
    uapi::NAMESPACES.iter().filter(|(name, ..)| foreign(name)).fold(0, |all, (_, flag, _)| all | flag)
}

/// The cgroup that the new process is born into.
fn birthplace(record: &Record, pid: i32, below: Option<&Path>) -> Result<Option<String>, RuntimeError> {
    let Some(own) = record.cgroup.as_ref() else { return Ok(None) };
    let text = |path: &Path| path.to_string_lossy().into_owned();
    if let Some(below) = below {
        let relative = below.strip_prefix("/").unwrap_or(below);
        let inside = relative.components().all(|part| matches!(part, std::path::Component::Normal(_)));
        let path = own.join(relative);
        return match inside && path.is_dir() {
            true => Ok(Some(text(&path))),
            false => Err(RuntimeError::Call {
                what: format!("the cgroup {below:?} below the container's"),
                cause: "there is none".to_string(),
            }),
        };
    }
    let enabled = fs::read_to_string(own.join("cgroup.subtree_control")).unwrap_or_default();
    if enabled.trim().is_empty() {
        return Ok(Some(text(own)));
    }
    let lines = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    let path = lines.lines().find_map(|line| line.strip_prefix("0::/"));
    let first = path.and_then(|path| Some(cgroup::mount_point()?.join(path))).filter(|path| path.starts_with(own));
    Ok(Some(text(first.as_deref().unwrap_or(own))))
}
