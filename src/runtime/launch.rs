//! From a plan to a process: the host lane, one clone3, the steps beside it, and the wait until it is ready.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use super::error::RuntimeError;
use super::init::{self, Wires};
use super::seccomp;
use super::state::Record;
use super::wire::Message;
use crate::cgroup::{Cgroup, CgroupError};
use crate::plan::{HostStep, IdKind, IdRange, InitStep, Plan};
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
pub(super) fn prepare_host(plan: &Plan, done: &mut usize) -> Result<(), RuntimeError> {
    for (index, planned) in plan.host.iter().enumerate() {
        host_step(&planned.step, None).map_err(|failed| failed.at(index + 1, &planned.step))?;
        *done = index + 1;
    }
    Ok(())
}

/// Makes the process and carries out the plan up to `AwaitStart`. `listener` is the socket that `start` will connect to; without one the
/// process goes on when [`Waiting::go`] says so.
/// `record` is what a system call filter's agent is told of the container.
pub(super) fn launch(plan: &Plan, listener: Option<&UnixListener>, record: &Record) -> Result<Waiting, RuntimeError> {
    let cgroup = plan.clone.cgroup.as_ref().map(|path| Cgroup::open(Path::new(path))).transpose()?;
    let flags = SocketFlags::CLOEXEC;
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
        .map_err(|errno| RuntimeError::io("socketpair", &errno.into()))?;
    let Some(InitStep::Execute { args, env, .. }) = plan.init.last().map(|planned| &planned.step) else {
        unreachable!("a plan ends with Execute")
    };
    let (args, env) = (CStringArray::new(args), CStringArray::new(env));
    let wires = Wires {
        sync: theirs.as_fd(),
        start: listener.map(AsFd::as_fd),
        wait_for_parent: !plan.beside.is_empty(),
        args: &args,
        env: &env,
    };
    let spawned =
        sys::spawn(plan.clone.namespaces, cgroup.as_ref().map(Cgroup::as_fd), || init::run(&plan.init, &wires))
            .map_err(|failure| clone_failed(plan, failure))?;
    // Our copy of its end would hide the end of file when it dies.
    drop(theirs);
    let mut waiting = Waiting { pid: spawned.pid, pidfd: spawned.pidfd, terminal: None, sync: ours };
    match waiting.prepare(plan, record) {
        Ok(()) => Ok(waiting),
        Err(error) => {
            waiting.abandon();
            Err(error)
        }
    }
}

impl Waiting {
    fn prepare(&mut self, plan: &Plan, record: &Record) -> Result<(), RuntimeError> {
        for (index, planned) in plan.beside.iter().enumerate() {
            let number = plan.host.len() + 2 + index;
            host_step(&planned.step, Some(self.pid)).map_err(|failed| failed.at(number, &planned.step))?;
        }
        if !plan.beside.is_empty() {
            // A process that died meanwhile shows in what it sends, or does not send, below.
            let _ = Message::Go.send(self.sync.as_fd(), None);
        }
        loop {
            match receive(self.sync.as_fd(), plan)? {
                Some((Message::Ready, _)) => return Ok(()),
                Some((Message::Terminal, terminal)) => self.terminal = terminal,
                Some((Message::Filter { number }, _)) => {
                    seccomp::hand_over(plan, record, (self.pid, self.pidfd.as_fd()), number)?
                }
                Some((Message::Go | Message::Failed { .. }, _)) | None => return Err(died(plan)),
            }
        }
    }

    /// Lets the process go on: to execve, or with a listener to its wait for `start`.
    pub(super) fn go(&self) -> Result<(), RuntimeError> {
        Message::Go.send(self.sync.as_fd(), None).map_err(|failure| call("release the container's process", failure))
    }

    /// Waits until the program runs, without a listener: execve closes the process's end of the socket.
    pub(super) fn executed(&self, plan: &Plan) -> Result<(), RuntimeError> {
        match receive(self.sync.as_fd(), plan)? {
            None => Ok(()),
            Some(_) => Err(died(plan)),
        }
    }

    /// Ends the process and reaps it.
    pub(super) fn abandon(&self) {
        let _ = sys::send_signal(self.pidfd.as_fd(), libc_sigkill());
        let _ = sys::wait_for_exit(self.pidfd.as_fd());
    }
}

/// SIGKILL, by the number that every Linux architecture gives it (signal(7)).
fn libc_sigkill() -> i32 {
    nix::sys::signal::Signal::SIGKILL as i32
}

/// The next message; a failure that the process reports comes back as the error that it is.
pub(super) fn receive(socket: BorrowedFd<'_>, plan: &Plan) -> Result<Option<(Message, Option<OwnedFd>)>, RuntimeError> {
    match Message::receive(socket).map_err(|failure| call("hear from the container's process", failure))? {
        Some((Message::Failed { step, failure }, _)) => Err(init_failed(plan, step as usize, failure)),
        message => Ok(message),
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
        step => RuntimeError::InitStep {
            number: plan.host.len() + 1 + plan.beside.len() + index + 1,
            step: Box::new(step.clone()),
            failure,
        },
    }
}

fn died(plan: &Plan) -> RuntimeError {
    let cgroup = plan.clone.cgroup.as_ref().and_then(|path| Cgroup::open(Path::new(path)).ok());
    let kills = cgroup.and_then(|cgroup| cgroup.read_key("memory.events", "oom_kill").ok()?).unwrap_or(0);
    let filtered = plan.init.iter().any(|planned| matches!(planned.step, InitStep::LoadSeccomp { .. }));
    RuntimeError::Died { out_of_memory: kills > 0, filtered }
}

fn clone_failed(plan: &Plan, failure: Failure) -> RuntimeError {
    let step = plan.clone.describe();
    RuntimeError::HostStep { number: plan.host.len() + 1, step, cause: failure.to_string(), errno: failure.errno }
}

fn call(what: &str, failure: Failure) -> RuntimeError {
    RuntimeError::Call { what: what.to_string(), cause: failure.to_string() }
}

/// A step's failure, before it is known which number the step has.
struct StepFailed {
    cause: String,
    errno: Errno,
}

impl StepFailed {
    fn at(self, number: usize, step: &HostStep) -> RuntimeError {
        RuntimeError::HostStep { number, step: step.describe(), cause: self.cause, errno: self.errno }
    }
}

impl From<CgroupError> for StepFailed {
    fn from(error: CgroupError) -> Self {
        StepFailed { cause: error.to_string(), errno: error.errno }
    }
}

impl From<Failure> for StepFailed {
    fn from(failure: Failure) -> Self {
        StepFailed { cause: failure.to_string(), errno: failure.errno }
    }
}

/// Does one step of ours; `pid` is the waiting process, for the steps beside it.
fn host_step(step: &HostStep, pid: Option<i32>) -> Result<(), StepFailed> {
    let process = |file: &str| format!("/proc/{}/{file}", pid.expect("a step beside the process has one"));
    match step {
        HostStep::CreateCgroup { path } => Ok(Cgroup::create(Path::new(path))?),
        HostStep::AdoptCgroup { path } => adopt(&Cgroup::open(Path::new(path))?),
        HostStep::EnableControllers { path, required, wanted } => {
            enable(&Cgroup::open(Path::new(path))?, required, wanted)
        }
        HostStep::WriteCgroup { path, write } => Ok(Cgroup::open(Path::new(path))?.apply(write)?),
        HostStep::FilterDevices { path, rules } => Ok(Cgroup::open(Path::new(path))?.filter_devices(rules)?),
        HostStep::WriteIdMap { kind, ranges } => {
            let file = match kind {
                IdKind::User => process("uid_map"),
                IdKind::Group => process("gid_map"),
            };
            write_file(&file, &ranges.iter().map(id_line).collect::<String>())
        }
        HostStep::SetRlimit { name, soft, hard } => {
            let errno = || StepFailed { cause: format!("{name} is unknown to this machine"), errno: Errno::INVAL };
            let resource = resource_number(name).ok_or_else(errno)?;
            Ok(sys::prlimit(pid.expect("a step beside the process has one"), resource, *soft, *hard)?)
        }
        HostStep::SetOomScoreAdj { value } => write_file(&process("oom_score_adj"), &value.to_string()),
    }
}

fn adopt(cgroup: &Cgroup) -> Result<(), StepFailed> {
    let busy = |why: &str| StepFailed { cause: format!("{:?} {why}", cgroup.path()), errno: Errno::BUSY };
    if cgroup.populated()? {
        return Err(busy("has processes"));
    }
    match cgroup.read_key("cgroup.events", "frozen")? {
        Some(1) => Err(busy("is frozen")),
        _ => Ok(()),
    }
}

fn enable(cgroup: &Cgroup, required: &[String], wanted: &[String]) -> Result<(), StepFailed> {
    let words =
        |names: &mut dyn Iterator<Item = &String>| names.map(|name| format!("+{name}")).collect::<Vec<_>>().join(" ");
    let all = cgroup.write("cgroup.subtree_control", &words(&mut required.iter().chain(wanted)));
    if all.is_ok() {
        return Ok(());
    }
    // One that the kernel refuses makes it refuse them all: those that only count may be the reason.
    for name in wanted {
        let _ = cgroup.write("cgroup.subtree_control", &format!("+{name}"));
    }
    match required.is_empty() {
        true => Ok(()),
        false => Ok(cgroup.write("cgroup.subtree_control", &words(&mut required.iter()))?),
    }
}

fn id_line(range: &IdRange) -> String {
    format!("{} {} {}\n", range.inside, range.outside, range.count)
}

fn write_file(path: &str, text: &str) -> Result<(), StepFailed> {
    std::fs::write(path, text).map_err(|cause| {
        let errno = Errno::from_io_error(&cause).unwrap_or(Errno::IO);
        StepFailed { cause: format!("write({path:?}, {text:?}) = {}", sys::errno_name(errno.raw_os_error())), errno }
    })
}

/// The number of a resource limit in the kernel's generic numbering (asm-generic/resource.h).
fn resource_number(name: &str) -> Option<u32> {
    const NAMES: [&str; 16] = [
        "CPU",
        "FSIZE",
        "DATA",
        "STACK",
        "CORE",
        "RSS",
        "NPROC",
        "NOFILE",
        "MEMLOCK",
        "AS",
        "LOCKS",
        "SIGPENDING",
        "MSGQUEUE",
        "NICE",
        "RTPRIO",
        "RTTIME",
    ];
    let name = name.strip_prefix("RLIMIT_")?;
    NAMES.iter().position(|known| *known == name).map(|number| number as u32)
}

/// What a process reports on the connection of `start`: nothing, until execve closes it.
pub(super) fn started(connection: BorrowedFd<'_>, plan_program: &str) -> Result<(), RuntimeError> {
    match Message::receive(connection) {
        Ok(None) => Ok(()),
        Ok(Some((Message::Failed { failure, .. }, _))) if failure.call == Call::Execve => {
            Err(RuntimeError::Exec { program: plan_program.to_string(), errno: failure.errno })
        }
        Ok(Some((Message::Failed { failure, .. }, _))) => Err(call("start the container", failure)),
        Ok(Some(_)) => Err(RuntimeError::Died { out_of_memory: false, filtered: false }),
        Err(failure) => Err(call("start the container", failure)),
    }
}
