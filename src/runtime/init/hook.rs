//! Hooks that the container's process runs itself, as children of its own.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{SeekFrom, ftruncate, seek};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group, setpgid};

use super::super::wire::{HookEnd, Message};
use crate::plan::{Hook, HookKind};
use crate::sys::witness::{self, Who};
use crate::sys::{self, Arg, CStringArray, Call, CallResult, Failure};

/// What hooks read and write.
#[derive(Default)]
pub(super) struct Files {
    /// The container's state while it is being created, as JSON.
    pub creating: Option<OwnedFd>,
    /// The same once it is created.
    pub created: Option<OwnedFd>,
    /// What the last hook has written to its stdout and stderr.
    pub output: Option<OwnedFd>,
}

/// Tells the parent that the files are in place, and comes back when its hooks have run, with the files for ours.
pub(super) fn await_hooks(sync: BorrowedFd<'_>, files: &mut Files) -> Result<(), Failure> {
    Message::Hooks.send(sync, None)?;
    for place in [&mut files.creating, &mut files.created, &mut files.output] {
        match Message::receive(sync)? {
            Some((Message::File, file)) => *place = file,
            _ => return Err(Call::Recvmsg.failed(Errno::CONNRESET)),
        }
    }
    super::wait_for_go(sync)
}

/// Runs a hook in a process group of its own and waits until it ends, or its time is up: then the whole group is killed.
/// What it has left behind in other groups is never waited for.
pub(super) fn run(
    kind: HookKind,
    hook: &Hook,
    arrays: &(CStringArray<'_>, CStringArray<'_>),
    files: &Files,
) -> Result<HookEnd, Failure> {
    let state = if kind < HookKind::StartContainer { &files.creating } else { &files.created };
    let missing = Call::Recvmsg.failed(Errno::BADF);
    let (state, output) = (state.as_ref().ok_or(missing)?, files.output.as_ref().ok_or(missing)?);
    seek(state, SeekFrom::Start(0)).of(Call::Lseek)?;
    ftruncate(output, 0).of(Call::Write)?;
    seek(output, SeekFrom::Start(0)).of(Call::Lseek)?;
    run_with(Who::Hook, hook, arrays, state, output)
}

/// The same with these files, told as done by `who`.
pub(in crate::runtime) fn run_with(
    who: Who,
    hook: &Hook,
    (args, env): &(CStringArray<'_>, CStringArray<'_>),
    state: &OwnedFd,
    output: &OwnedFd,
) -> Result<HookEnd, Failure> {
    let child = sys::spawn(0, None, || {
        witness::i_am(who);
        become_hook(hook, args, env, state, output)
    })?;
    wait(child.pid, child.pidfd.as_fd(), hook.timeout)
}

/// 127 and 126 as a shell says that there is no such program, or none that it may run.
fn become_hook(hook: &Hook, args: &CStringArray<'_>, env: &CStringArray<'_>, state: &OwnedFd, output: &OwnedFd) -> i32 {
    let onto = |number| [Arg::Fd(if number == 0 { state.as_fd() } else { output.as_fd() }), Arg::Number(number)];
    let prepared = setpgid(None, None)
        .told(Call::Setpgid, &[Arg::Number(0), Arg::Number(0)])
        .and_then(|()| rustix::stdio::dup2_stdin(state).told(Call::Dup2, &onto(0)))
        .and_then(|()| rustix::stdio::dup2_stdout(output).told(Call::Dup2, &onto(1)))
        .and_then(|()| rustix::stdio::dup2_stderr(output).told(Call::Dup2, &onto(2)));
    if prepared.is_err() || sys::close_all_but(3, [None, None]).is_err() {
        return 126;
    }
    match sys::execve(&hook.path, args, env) {
        Errno::NOENT | Errno::NOTDIR => 127,
        _ => 126,
    }
}

fn wait(pid: i32, pidfd: BorrowedFd<'_>, timeout: Option<u32>) -> Result<HookEnd, Failure> {
    let limit = timeout.map(|seconds| Timespec { tv_sec: seconds.into(), tv_nsec: 0 });
    let mut waiting = [PollFd::from_borrowed_fd(pidfd, PollFlags::IN)];
    let ended = loop {
        match poll(&mut waiting, limit.as_ref()) {
            Err(Errno::INTR) => {}
            result => break result.of(Call::Poll)? > 0,
        }
    };
    if !ended && let Some(group) = Pid::from_raw(pid) {
        // The hook itself first: it may not have come to make its group yet.
        let _ = sys::send_signal(pidfd, Signal::KILL.as_raw());
        let _ = kill_process_group(group, Signal::KILL);
    }
    let status = sys::wait_for_exit(pidfd).map_err(|errno| Call::Waitid.failed(errno))?;
    Ok(if ended { HookEnd::Status(status) } else { HookEnd::TimedOut })
}
