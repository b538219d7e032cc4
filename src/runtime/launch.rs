//! From a plan to a process: the host lane, one clone3, the steps beside it, and the wait until it is ready.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use super::error::RuntimeError;
use super::hooks;
use super::host::host_step;
use super::idmap;
use super::init::{self, First, Wires};
use super::narrate::{Own, Voice};
use super::seccomp;
use super::state::{Record, Status};
use super::wire::Message;
use crate::cgroup::Cgroup;
use crate::plan::{self, HookKind, HostStep, InitStep, Lane, Plan};
use crate::spec::oci::Spec;
use crate::sys::{self, CStringArray, Call, Failure};

/// A process that has done all its steps up to `AwaitStart`, and waits for our word.
#[derive(Debug)]
pub(super) struct Waiting {
    /// Its id, in our PID namespace.
    pub pid: i32,
    /// The process itself.
    pub pidfd: OwnedFd,
    /// The master of its terminal, where it has one.
    pub terminal: Option<OwnedFd>,
    sync: OwnedFd,
}

/// Carries out the host lane, and counts in `done` the steps that succeeded: what came of those is ours to undo.
pub(super) fn prepare_host(plan: &Plan, voice: &Voice, done: &mut usize) -> Result<(), RuntimeError> {
    for (index, planned) in plan.host.iter().enumerate() {
        voice.step(Lane::Host, index, || {
            host_step(&planned.step, None).map_err(|failed| failed.at(index + 1, &planned.step))
        })?;
        *done = index + 1;
    }
    Ok(())
}

/// What a process is made with, beside its plan.
pub(super) struct With<'a> {
    /// The container, as hooks are told of it.
    pub record: &'a Record,
    /// The socket that `start` will connect to; without one the process goes on when [`Waiting::go`] says so.
    pub listener: Option<&'a UnixListener>,
    /// The first process of the container that is joined.
    pub target: Option<BorrowedFd<'a>>,
    /// Called once a process of ours is in the container's cgroup: whoever deletes the container ends it from then on.
    pub in_cgroup: &'a dyn Fn(),
    /// Called with the new process's id, while it carries out its steps.
    pub born: &'a dyn Fn(i32) -> Result<(), RuntimeError>,
    /// Who tells of it.
    pub voice: &'a Voice,
}

/// Makes the process and carries out the plan up to `AwaitStart`.
pub(super) fn launch(plan: &Plan, with: &With<'_>) -> Result<Waiting, RuntimeError> {
    let flags = SocketFlags::CLOEXEC;
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
        .map_err(|errno| RuntimeError::io("socketpair", &errno.into()))?;
    let Some(InitStep::Execute { args, env, .. }) = plan.init.last().map(|planned| &planned.step) else {
        unreachable!("a plan ends with Execute")
    };
    let (args, env) = (CStringArray::new(args), CStringArray::new(env));
    let hooks: Vec<_> = plan.init.iter().filter_map(|planned| hook_arrays(&planned.step)).collect();
    let wires = Wires {
        sync: theirs.as_fd(),
        start: with.listener.map(AsFd::as_fd),
        wait_for_parent: waits_first(plan),
        args: &args,
        env: &env,
        hooks: &hooks,
        target: with.target,
        first: First { between: plan.first(Lane::Between), init: plan.first(Lane::Init) },
    };
    let mut waiting = give_birth(plan, ours, &wires, with)?;
    // Our copy of its end would hide the end of file when it dies.
    drop(theirs);
    match (with.born)(waiting.pid).and_then(|()| waiting.prepare(plan, with.record, with.voice)) {
        Ok(()) => Ok(waiting),
        Err(error) => {
            waiting.abandon(with.voice);
            Err(error)
        }
    }
}

/// Whether the process waits before its first step: for what is done beside it, or until we know of it.
fn waits_first(plan: &Plan) -> bool {
    !plan.beside.is_empty() || !plan.between.is_empty()
}

fn hook_arrays(step: &InitStep) -> Option<(CStringArray<'_>, CStringArray<'_>)> {
    match step {
        InitStep::RunHook { hook, .. } => Some((CStringArray::new(&hook.args), CStringArray::new(&hook.env))),
        _ => None,
    }
}

/// The process itself, by way of one in between where the plan has steps for that.
fn give_birth(plan: &Plan, ours: OwnedFd, wires: &Wires<'_>, with: &With<'_>) -> Result<Waiting, RuntimeError> {
    let voice = with.voice;
    let cgroup = plan.clone.cgroup.as_ref().map(|path| Cgroup::open(Path::new(path))).transpose()?;
    let cgroup = cgroup.as_ref().map(Cgroup::as_fd);
    if plan.between.is_empty() {
        let spawned = voice.step(Lane::Clone, 0, || {
            sys::spawn(plan.clone.namespaces, cgroup, || init::run(&plan.init, wires))
                .map_err(|failure| clone_failed(plan, failure))
        })?;
        voice.born(spawned.pid, spawned.pidfd.as_fd());
        (with.in_cgroup)();
        return Ok(Waiting { pid: spawned.pid, pidfd: spawned.pidfd, terminal: None, sync: ours });
    }
    let between = || init::run_between(&plan.between, plan.clone.namespaces, &plan.init, wires);
    let between = voice.own(Own::Between, || sys::spawn(0, cgroup, between));
    let between = between.map_err(|failure| clone_failed(plan, failure))?;
    voice.born(between.pid, between.pidfd.as_fd());
    (with.in_cgroup)();
    voice.wait(between.pidfd.as_fd()).inspect_err(|_| end(&between.pidfd, voice))?;
    // It says one thing and ends: this wait is as short as its steps. Its end shows by its pidfd, as we hold the other end
    // of the socket ourselves.
    sys::wait_for_exit(between.pidfd.as_fd())
        .map_err(|errno| RuntimeError::io("wait for the process in between", &errno.into()))?;
    let mut told = [PollFd::new(&ours, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    if poll(&mut told, Some(&now)).map_err(|errno| RuntimeError::io("poll", &errno.into()))? == 0 {
        return Err(died(plan));
    }
    match receive(ours.as_fd(), plan)? {
        Some((Message::Born { pid }, Some(pidfd))) => {
            voice.born(pid, pidfd.as_fd());
            Ok(Waiting { pid, pidfd, terminal: None, sync: ours })
        }
        Some(_) | None => Err(died(plan)),
    }
}

impl Waiting {
    fn prepare(&mut self, plan: &Plan, record: &Record, voice: &Voice) -> Result<(), RuntimeError> {
        for (index, numbered) in plan.beside_numbered().enumerate() {
            voice.step(Lane::Beside, index, || {
                host_step(numbered.step, Some(self.pid)).map_err(|failed| failed.at(numbered.number, numbered.step))
            })?;
        }
        if waits_first(plan) {
            // A process that died meanwhile shows in what it sends, or does not send, below.
            let _ = Message::Go.send(self.sync.as_fd(), None);
        }
        // Behind a filter that asks an agent, each of the process's calls may wait for it.
        let mut agent = None;
        loop {
            voice.wait(self.sync.as_fd())?;
            if let Some(path) = agent {
                answers(self.sync.as_fd(), path, seccomp::PATIENCE)?;
            }
            match receive(self.sync.as_fd(), plan)? {
                Some((Message::Ready, _)) => return Ok(()),
                Some((Message::Terminal, terminal)) => self.terminal = terminal,
                Some((Message::Filter { number }, _)) => {
                    agent = seccomp::hand_over(plan, record, (self.pid, self.pidfd.as_fd()), number)?;
                }
                Some((Message::MapMount { step }, Some(tree))) => {
                    let step = step as usize;
                    voice.within(Lane::Init, step, || idmap::apply(plan, step, self.pid, tree.as_fd()))?;
                    self.go()?;
                }
                Some((Message::Hooks, _)) => self.run_hooks(plan, record, voice)?,
                Some((
                    Message::Go
                    | Message::Failed { .. }
                    | Message::HookFailed { .. }
                    | Message::Born { .. }
                    | Message::MapMount { .. }
                    | Message::File,
                    _,
                ))
                | None => return Err(died(plan)),
            }
        }
    }

    /// Runs our own hooks, then gives the process what its hooks need.
    fn run_hooks(&self, plan: &Plan, record: &Record, voice: &Voice) -> Result<(), RuntimeError> {
        let state = |status| hooks::state(record, status, self.pid);
        let creating = state(Status::Creating);
        for (index, planned) in plan.hooks.iter().enumerate() {
            if let HostStep::RunHook { kind, hook } = &planned.step {
                voice.step(Lane::Hooks, index, || hooks::run(*kind, hook, &planned.because, &creating))?;
            }
        }
        for text in [&creating, &state(Status::Created), ""] {
            let file = hooks::file(text)?;
            Message::File
                .send(self.sync.as_fd(), Some(file.as_fd()))
                .map_err(|failure| call("give the container's process the files of its hooks", failure))?;
        }
        Message::Go.send(self.sync.as_fd(), None).map_err(|failure| call("let the container's process go on", failure))
    }

    /// Lets the process go on: to execve, or with a listener to its wait for `start`.
    pub(super) fn go(&self) -> Result<(), RuntimeError> {
        Message::Go.send(self.sync.as_fd(), None).map_err(|failure| call("release the container's process", failure))
    }

    /// Waits until the program runs, without a listener: execve closes the process's end of the socket.
    pub(super) fn executed(&self, plan: &Plan, voice: &Voice) -> Result<(), RuntimeError> {
        voice.wait(self.sync.as_fd())?;
        match receive(self.sync.as_fd(), plan)? {
            None => Ok(()),
            Some(_) => Err(died(plan)),
        }
    }

    /// Ends the process and reaps it.
    pub(super) fn abandon(&self, voice: &Voice) {
        end(&self.pidfd, voice);
    }
}

/// Waits until the process says something, or is gone; an agent that leaves it hanging is an error.
fn answers(socket: BorrowedFd<'_>, agent: &str, seconds: i64) -> Result<(), RuntimeError> {
    let limit = Timespec { tv_sec: seconds, tv_nsec: 0 };
    loop {
        match poll(&mut [PollFd::from_borrowed_fd(socket, PollFlags::IN)], Some(&limit)) {
            Ok(0) => {
                return Err(RuntimeError::Call {
                    what: format!("linux.seccomp.listenerPath: wait for the agent at {agent:?}"),
                    cause: format!("it has left a system call of the container unanswered for {seconds} s"),
                });
            }
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(RuntimeError::io("poll", &errno.into())),
        }
    }
}

fn end(process: &OwnedFd, voice: &Voice) {
    // One that has ended already is not there to take the signal.
    let _ = voice.own(Own::End, || sys::send_signal(process.as_fd(), libc_sigkill()));
    let _ = sys::wait_for_exit(process.as_fd());
}

/// SIGKILL, by the number that every Linux architecture gives it (signal(7)).
fn libc_sigkill() -> i32 {
    nix::sys::signal::Signal::SIGKILL as i32
}

/// The next message; a failure that the process reports comes back as the error that it is.
pub(super) fn receive(socket: BorrowedFd<'_>, plan: &Plan) -> Result<Option<(Message, Option<OwnedFd>)>, RuntimeError> {
    match Message::receive(socket).map_err(|failure| call("hear from the container's process", failure))? {
        Some((Message::Failed { between: true, step, failure }, _)) => {
            Err(between_failed(plan, step as usize, failure))
        }
        Some((Message::Failed { between: false, step, failure }, _)) => Err(init_failed(plan, step as usize, failure)),
        Some((Message::HookFailed { hook, end }, output)) => {
            let mut hooks = plan.init.iter().filter_map(|planned| match &planned.step {
                InitStep::RunHook { hook, .. } => Some((planned.because.as_ref(), hook)),
                _ => None,
            });
            let failed = hooks.nth(hook as usize);
            Err(failed.map_or_else(|| died(plan), |(field, hook)| hooks::failed(field, hook, end, output.as_ref())))
        }
        message => Ok(message),
    }
}

fn between_failed(plan: &Plan, index: usize, failure: Failure) -> RuntimeError {
    match plan.between_numbered().nth(index) {
        Some(numbered) => {
            RuntimeError::InitStep { number: numbered.number, step: Box::new(numbered.step.clone()), failure }
        }
        None => clone_failed(plan, failure),
    }
}

fn init_failed(plan: &Plan, index: usize, failure: Failure) -> RuntimeError {
    let Some(planned) = plan.init.get(index) else { return died(plan) };
    match &planned.step {
        InitStep::FindExecutable { .. } | InitStep::Execute { .. } => {
            let Some(InitStep::Execute { args, .. }) = plan.init.last().map(|planned| &planned.step) else {
                return died(plan);
            };
            let program = args.first().map(|arg| arg.to_string_lossy().into_owned()).unwrap_or_default();
            RuntimeError::Exec { program, errno: failure.errno }
        }
        step => {
            RuntimeError::InitStep { number: plan.first(Lane::Init) + index, step: Box::new(step.clone()), failure }
        }
    }
}

fn died(plan: &Plan) -> RuntimeError {
    let cgroup = plan.cgroup().and_then(|path| Cgroup::open(Path::new(path)).ok());
    let kills = cgroup.and_then(|cgroup| cgroup.read_key("memory.events", "oom_kill").ok()?).unwrap_or(0);
    let filtered = plan.init.iter().any(|planned| matches!(planned.step, InitStep::LoadSeccomp { .. }));
    RuntimeError::Died { out_of_memory: kills > 0, filtered }
}

fn clone_failed(plan: &Plan, failure: Failure) -> RuntimeError {
    let step = plan.clone.describe();
    RuntimeError::HostStep { number: plan.first(Lane::Clone), step, cause: failure.to_string(), errno: failure.errno }
}

fn call(what: &str, failure: Failure) -> RuntimeError {
    RuntimeError::Call { what: what.to_string(), cause: failure.to_string() }
}

/// What a process reports on the connection of `start`: nothing, until execve closes it. `spec` is the container's config,
/// which an error tells about.
pub(super) fn started(connection: BorrowedFd<'_>, spec: impl FnOnce() -> Option<Spec>) -> Result<(), RuntimeError> {
    match Message::receive(connection) {
        Ok(None) => Ok(()),
        Ok(Some((Message::Failed { failure, .. }, _))) if failure.call == Call::Execve => {
            let process = spec().and_then(|spec| spec.process().clone());
            let program = process.and_then(|process| process.args().clone()?.into_iter().next()).unwrap_or_default();
            Err(RuntimeError::Exec { program, errno: failure.errno })
        }
        Ok(Some((Message::HookFailed { hook, end }, output))) => {
            let inside = |spec: &Spec| {
                let mut hooks = plan::hooks::of(spec, HookKind::CreateContainer);
                hooks.extend(plan::hooks::of(spec, HookKind::StartContainer));
                hooks
            };
            let failed = spec().and_then(|spec| inside(&spec).into_iter().nth(hook as usize));
            Err(failed.map_or(RuntimeError::Died { out_of_memory: false, filtered: false }, |failed| {
                hooks::failed(&failed.because, &failed.step, end, output.as_ref())
            }))
        }
        Ok(Some((Message::Failed { failure, .. }, _))) => Err(call("start the container", failure)),
        Ok(Some(_)) => Err(RuntimeError::Died { out_of_memory: false, filtered: false }),
        Err(failure) => Err(call("start the container", failure)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_that_answers_nobody_is_not_waited_for_without_end() {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).expect("two sockets");
        let error = answers(ours.as_fd(), "/run/agent", 0).expect_err("nobody has said anything").to_string();
        assert!(error.contains("linux.seccomp.listenerPath") && error.contains("/run/agent"), "{error}");
        Message::Ready.send(theirs.as_fd(), None).expect("it is read below");
        assert!(answers(ours.as_fd(), "/run/agent", 0).is_ok());
        Message::receive(ours.as_fd()).expect("the message");
        drop(theirs);
        assert!(answers(ours.as_fd(), "/run/agent", 0).is_ok(), "who is gone has said so");
    }
}
