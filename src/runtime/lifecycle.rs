//! The life of a container: create, start, state, kill, delete. A few plain lines each; the ceremony is in the plan.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;

use rustix::io::Errno;

use super::bundle::Bundle;
use super::error::RuntimeError;
use super::hooks;
use super::identity::{self, Identity};
use super::launch::{self, Waiting};
use super::narrate::{End, Own, Voice};
use super::notify::{self, Notify};
use super::probe;
use super::shown;
use super::state::{Entry, Record, Status, Store};
use super::undo::{KILL_SECONDS, pidfd_failed, tear_down};
use super::without_cgroup;
use crate::cgroup::Cgroup;
use crate::plan::{self, HookKind, HostStep, Plan, Planned};
use crate::spec::ContainerId;
use crate::spec::oci::Spec;
use crate::sys::{self, Arg, Call, Outcome, witness};

/// A created container.
#[derive(Debug)]
pub struct Created {
    /// Its first process, in our PID namespace.
    pub pid: i32,
    /// That process itself; it is a child of ours.
    pub pidfd: OwnedFd,
    /// The master of its terminal, where it has one.
    pub terminal: Option<OwnedFd>,
    /// What its plan leaves out.
    pub left_out: Vec<String>,
    /// Where its program says that it is ready, where it runs already and somebody is to be told.
    pub notify: Option<Notify>,
}

/// How far [`create`] takes a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Created: it waits for `start`, also when we are gone.
    Created,
    /// Running: `create` and `start` in one.
    Running,
}

/// Decides how a container is to be started on this machine. Nothing is done yet.
pub fn plan(store: &Store, id: &ContainerId, bundle: &Bundle, options: plan::Options) -> Result<Plan, RuntimeError> {
    if store.peek(id).is_ok() {
        return Err(RuntimeError::Exists(id.to_string()));
    }
    let host = probe::host(bundle, id.as_str(), options.rootless, options.systemd_cgroup)?;
    let plan = plan::create(id.as_str(), &bundle.config.spec, &host, options)?;
    Ok(if options.notify { plan.notifying(&notify::directory(store, id)?) } else { plan })
}

/// Makes a container as planned: everything up to the user's program, or with [`Until::Running`] up to its first
/// instruction. An error leaves nothing behind.
pub fn create(
    store: &Store,
    id: &ContainerId,
    bundle: &Bundle,
    plan: &Plan,
    until: Until,
    voice: &Voice,
) -> Result<Created, RuntimeError> {
    let entry = voice.own(Own::Directory, || store.create(id))?;
    if plan.notifies()
        && let Err(error) = voice.own(Own::Directory, || notify::prepare(&entry))
    {
        return entry.remove().and(Err(error));
    }
    voice.follow(plan);
    let mut record = record(id, bundle, plan);
    let mut done = 0;
    match bring_up(&entry, &mut record, bundle, (plan, voice), until, &mut done) {
        Ok(created) => {
            voice.over(if until == Until::Created { End::Waits } else { End::Done });
            Ok(created)
        }
        Err(error) => {
            voice.over(End::Failed);
            // A cgroup that was not ours to take stays untouched.
            (record.cgroup, record.made_cgroups) = own_cgroups(plan, done);
            if unit_is_taken(plan, &error) {
                (record.cgroup, record.unit) = (None, None);
            }
            // The first error is the one to tell; what cannot be undone now, `delete --force` will undo.
            let _ = voice.own(Own::Remove, || entry.write(&record).and_then(|()| tear_down(entry, Some(&record))));
            Err(error)
        }
    }
}

/// Whether the start failed because a unit of that name is there already: then it is somebody else's. Of other steps the
/// same errno says nothing of the unit, which is ours by then.
fn unit_is_taken(plan: &Plan, error: &RuntimeError) -> bool {
    let RuntimeError::HostStep { number, errno: Errno::EXIST, .. } = error else { return false };
    let failed = plan.beside_numbered().find(|step| step.number == *number);
    failed.is_some_and(|step| matches!(step.step, HostStep::StartScope { .. }))
}

fn bring_up(
    entry: &Entry,
    record: &mut Record,
    bundle: &Bundle,
    (plan, voice): (&Plan, &Voice),
    until: Until,
    done: &mut usize,
) -> Result<Created, RuntimeError> {
    voice.own(Own::Record, || entry.write(record).and_then(|()| entry.write_config(&bundle.text)))?;
    launch::prepare_host(plan, voice, done)?;
    let listener = match until {
        Until::Running => None,
        Until::Created => Some(voice.own(Own::Listen, || listen(entry))?),
    };
    let notify = match until {
        Until::Running => voice.own(Own::Notify, || notify::listen(entry))?,
        Until::Created => None,
    };
    // Written while the process builds its view; it counts once the view is whole.
    let named = RefCell::new(record.clone());
    let born = |pid| {
        let mut named = named.borrow_mut();
        named.process = identity::of(pid);
        voice.own(Own::Record, || entry.prepare(&named))
    };
    let with =
        launch::With { record, listener: listener.as_ref(), target: None, in_cgroup: &|| {}, born: &born, voice };
    let waiting = launch::launch(plan, &with)?;
    *record = named.into_inner();
    let released = release(entry, &waiting, (plan, voice), until).and_then(|()| match until {
        Until::Created => Ok(()),
        Until::Running => voice.own(Own::AfterStart, || after_start(record, || Some(bundle.config.spec.clone()))),
    });
    match released {
        Ok(()) => Ok(Created {
            pid: waiting.pid,
            pidfd: waiting.pidfd,
            terminal: waiting.terminal,
            left_out: plan.left_out.clone(),
            notify,
        }),
        Err(error) => {
            waiting.abandon(voice);
            Err(error)
        }
    }
}

/// The process goes on only when its identity is on disk: from then on others can find and end it.
fn release(entry: &Entry, waiting: &Waiting, (plan, voice): (&Plan, &Voice), until: Until) -> Result<(), RuntimeError> {
    voice.own(Own::Record, || entry.commit())?;
    waiting.go()?;
    match until {
        Until::Created => Ok(()),
        Until::Running => waiting.executed(plan, voice),
    }
}

fn listen(entry: &Entry) -> Result<UnixListener, RuntimeError> {
    let path = entry.start_socket();
    let made = UnixListener::bind(&path);
    let outcome = Outcome::of_io(&made, 0);
    witness::tell(Call::Bind, &[Arg::Text(path.as_os_str().as_bytes())], outcome);
    if let Ok(listener) = &made {
        witness::tell(Call::Listen, &[Arg::Fd(listener.as_fd())], outcome);
    }
    made.map_err(|cause| RuntimeError::io(format!("listen on {:?}", entry.path().join("start.sock")), &cause))
}

fn record(id: &ContainerId, bundle: &Bundle, plan: &Plan) -> Record {
    let spec = &bundle.config.spec;
    let (cgroup, made_cgroups) = own_cgroups(plan, plan.host.len());
    Record {
        oci_version: spec.version().clone(),
        id: id.to_string(),
        process: None,
        bundle: bundle.path.clone(),
        rootfs: bundle.rootfs.clone(),
        created: jiff::Timestamp::now().to_string(),
        annotations: spec.annotations().iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect(),
        owner: rustix::process::getuid().as_raw(),
        cgroup,
        unit: plan.scope().map(|(unit, _)| unit.to_string()),
        changed_root: plan.changes_root(),
        made_cgroups,
        shown: shown::before(plan, &bundle.rootfs),
        hooks: [HookKind::Poststart, HookKind::Poststop]
            .into_iter()
            .filter(|kind| !plan::hooks::of(spec, *kind).is_empty())
            .map(|kind| kind.name().to_string())
            .collect(),
    }
}

/// The container's cgroup, and those made above it, once the first `done` steps of the host lane are carried out.
fn own_cgroups(plan: &Plan, done: usize) -> (Option<PathBuf>, Vec<PathBuf>) {
    let own = |planned: &Planned<HostStep>| match &planned.step {
        HostStep::CreateCgroup { path } | HostStep::AdoptCgroup { path } => Some(PathBuf::from(path)),
        _ => None,
    };
    let mut made: Vec<_> = plan.host[..done].iter().filter_map(own).collect();
    if let Some((_, path)) = plan.scope() {
        return (Some(PathBuf::from(path)), made);
    }
    let leaf = plan.clone.cgroup.as_ref().map(PathBuf::from);
    let cgroup = leaf.filter(|leaf| made.last() == Some(leaf)).inspect(|_| drop(made.pop()));
    (cgroup, made)
}

/// Starts the program of a created container. With `notify`, and where it was created so, gives back where the program will
/// say that it is ready, and who the program is.
pub fn start(store: &Store, id: &ContainerId, notify: bool) -> Result<Option<(Notify, Identity)>, RuntimeError> {
    let entry = store.open(id)?;
    let record = read(&entry, id)?;
    match entry.status(&record) {
        Status::Created => {}
        Status::Stopped => return Err(wrong_state("start", id, Status::Stopped)),
        status => return Err(wrong_state("start", id, status)),
    }
    let notify = if notify { notify::listen(&entry)? } else { None };
    let connection = UnixStream::connect(entry.start_socket())
        .map_err(|cause| RuntimeError::io(format!("connect to the waiting process of {id}"), &cause))?;
    // Nobody else starts it from here on. What the process does now may take any time, or never end: hooks in the container
    // (which may call us for it), an agent that decides on execve(2). Without the lock it can be looked at, and ended.
    let socket = entry.path().join("start.sock");
    std::fs::remove_file(&socket).map_err(|cause| RuntimeError::io(format!("remove {socket:?}"), &cause))?;
    entry.unlock()?;
    let spec = || entry.config().map(|config| config.spec);
    launch::started(connection.as_fd(), spec)?;
    // A hook that fails now ends the container (runtime.md, "Lifecycle", step 9).
    after_start(&record, spec).inspect_err(|_| {
        drop(store.open(id).and_then(|entry| tear_down(entry, Some(&record))));
    })?;
    Ok(notify.zip(record.process))
}

/// The hooks that run once the program does.
fn after_start(record: &Record, spec: impl FnOnce() -> Option<Spec>) -> Result<(), RuntimeError> {
    if !record.hooks.contains(&HookKind::Poststart.name().to_string()) {
        return Ok(());
    }
    let hooks = spec().map(|spec| plan::hooks::of(&spec, HookKind::Poststart)).unwrap_or_default();
    let pid = record.process.as_ref().map_or(0, |process| process.pid);
    hooks::run_all(HookKind::Poststart, &hooks, &hooks::state(record, Status::Running, pid))
}

/// The hooks that run once the container is gone. One that fails changes nothing: it is told, and the others run.
fn after_delete(record: &Record, spec: Option<Spec>) -> Vec<String> {
    let hooks = spec.map(|spec| plan::hooks::of(&spec, HookKind::Poststop)).unwrap_or_default();
    let state = hooks::state(record, Status::Stopped, 0);
    let run = |hook: &Planned<plan::Hook>| hooks::run(HookKind::Poststop, &hook.step, &hook.because, &state).err();
    hooks.iter().filter_map(run).map(|error| error.to_string()).collect()
}

/// Sends `signal` to the first process of a created or running container; with `all` to every process in its cgroup.
pub fn kill(store: &Store, id: &ContainerId, signal: i32, all: bool) -> Result<(), RuntimeError> {
    let entry = store.open(id)?;
    let record = read(&entry, id)?;
    if all {
        return kill_all(&record, signal);
    }
    let process = record.process.as_ref().ok_or(RuntimeError::NotRunning)?;
    let pidfd = identity::open(process).map_err(|errno| pidfd_failed(process.pid, errno))?;
    match sys::send_signal(pidfd.ok_or(RuntimeError::NotRunning)?.as_fd(), signal) {
        Ok(()) => Ok(()),
        Err(Errno::SRCH) => Err(RuntimeError::NotRunning),
        Err(errno) => Err(RuntimeError::Call {
            what: format!("signal {signal} to the process {} of {id}", process.pid),
            cause: format!("pidfd_send_signal = {}", sys::errno_name(errno.raw_os_error())),
        }),
    }
}

fn kill_all(record: &Record, signal: i32) -> Result<(), RuntimeError> {
    let Some(path) = &record.cgroup else { return without_cgroup::kill(record, signal) };
    if !path.is_dir() {
        return Ok(());
    }
    let cgroup = Cgroup::open(path)?;
    if signal == nix::sys::signal::Signal::SIGKILL as i32 {
        return Ok(cgroup.kill(KILL_SECONDS)?);
    }
    for line in cgroup.read("cgroup.procs")?.lines() {
        let Some(process) = line.parse().ok().and_then(identity::of) else { continue };
        if let Some(pidfd) = identity::open(&process).map_err(|errno| pidfd_failed(process.pid, errno))? {
            // It may end between the two calls: then there is nothing left to signal.
            let _ = sys::send_signal(pidfd.as_fd(), signal);
        }
    }
    Ok(())
}

/// Ends a process of ours that nobody is to attend.
pub fn abandon(created: &Created) {
    let _ = sys::send_signal(created.pidfd.as_fd(), nix::sys::signal::Signal::SIGKILL as i32);
    let _ = sys::wait_for_exit(created.pidfd.as_fd());
}

/// Removes a container that is stopped or waits for start; with `force` one in any state, and a broken one too. Returns
/// what its `poststop` hooks had to complain of.
pub fn delete(store: &Store, id: &ContainerId, force: bool) -> Result<Vec<String>, RuntimeError> {
    let entry = match store.open(id) {
        // With force the wish is that it be gone, and it is: as runc.
        Err(RuntimeError::NotFound(_)) if force => return Ok(Vec::new()),
        entry => entry?,
    };
    let record = match entry.read() {
        Ok(record) => record,
        Err(_) if force => None,
        Err(error) => return Err(error),
    };
    if !force {
        let record = record.as_ref().ok_or_else(|| wrong_state("delete", id, Status::Creating))?;
        match entry.status(record) {
            Status::Stopped | Status::Created => {}
            status => return Err(wrong_state("delete", id, status)),
        }
    }
    // Without a readable record the config still says where the cgroup is.
    let record = record.or_else(|| recovered(&entry, id));
    let hooks = record.as_ref().filter(|record| record.hooks.contains(&HookKind::Poststop.name().to_string()));
    let spec = hooks.and_then(|_| entry.config()).map(|config| config.spec);
    tear_down(entry, record.as_ref())?;
    Ok(hooks.map(|record| after_delete(record, spec)).unwrap_or_default())
}

/// A record made anew from the copy of the config, for a container whose record was lost.
fn recovered(entry: &Entry, id: &ContainerId) -> Option<Record> {
    let config = entry.config()?;
    let place = |systemd| {
        let (mount, path) = probe::cgroup_place(id.as_str(), &config.spec, None, systemd).ok()??;
        Some(mount.join(path))
    };
    // Which driver made it was in the record: a scope that is there is its cgroup.
    let scope = place(true).filter(|path| path.is_dir());
    let unit = scope.as_ref().and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    let cgroup = scope.or_else(|| place(false))?;
    Some(Record {
        oci_version: config.spec.version().clone(),
        id: id.to_string(),
        process: None,
        bundle: PathBuf::new(),
        rootfs: PathBuf::new(),
        created: String::new(),
        annotations: BTreeMap::new(),
        owner: 0,
        cgroup: Some(cgroup),
        unit,
        changed_root: false,
        made_cgroups: Vec::new(),
        shown: None,
        hooks: vec![HookKind::Poststop.name().to_string()],
    })
}

pub(super) fn read(entry: &Entry, id: &ContainerId) -> Result<Record, RuntimeError> {
    entry.read()?.ok_or_else(|| wrong_state("look at", id, Status::Creating))
}

pub(super) fn wrong_state(verb: &'static str, id: &ContainerId, status: Status) -> RuntimeError {
    RuntimeError::WrongState { verb, id: id.to_string(), status }
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;

    use super::*;
    use crate::plan::Clone3;

    /// A start beside whose process a scope is started, and then a device moved.
    fn scoped() -> Plan {
        let scope =
            HostStep::StartScope { unit: "web.scope".into(), path: "/c/web.scope".into(), properties: Vec::new() };
        let device = HostStep::MoveNetDevice { name: "eth1".into(), inside: "eth0".into(), namespace: None };
        Plan {
            id: "web".into(),
            clone: Clone3 { namespaces: 0, cgroup: None },
            host: Vec::new(),
            between: Vec::new(),
            beside: vec![Planned::new(scope, "--systemd-cgroup"), Planned::new(device, "linux.netDevices")],
            hooks: Vec::new(),
            init: vec![Planned::new(
                plan::InitStep::Execute { candidates: Vec::<CString>::new(), args: Vec::new(), env: Vec::new() },
                "process.args",
            )],
            left_out: Vec::new(),
        }
    }

    #[test]
    fn a_unit_is_somebody_elses_where_its_own_start_says_so_and_not_another_step() {
        let plan = scoped();
        let numbers: Vec<_> = plan.beside_numbered().map(|step| step.number).collect();
        let failed =
            |number, errno| RuntimeError::HostStep { number, step: String::new(), cause: String::new(), errno };
        assert!(unit_is_taken(&plan, &failed(numbers[0], Errno::EXIST)));
        assert!(!unit_is_taken(&plan, &failed(numbers[0], Errno::IO)), "systemd said something else");
        assert!(!unit_is_taken(&plan, &failed(numbers[1], Errno::EXIST)), "the device is there, the unit is ours");
        assert!(!unit_is_taken(&plan, &RuntimeError::NotRunning));
    }
}
