//! Hooks that run in our own namespaces: `prestart`, `createRuntime`, `poststart`, `poststop`. Those in the container's
//! namespaces are run by its own process (`init/hook.rs`).

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use serde_json::json;

use super::error::RuntimeError;
use super::state::{Record, Status};
use super::wire::HookEnd;
use crate::plan::{Hook, HookKind, Planned};

/// Runs a hook. It gets `state` on its stdin, and nothing of our environment. After its timeout it is killed with its
/// process group; what it has left behind elsewhere is never waited for. `because` is the hook's field in config.json.
pub(super) fn run(kind: HookKind, hook: &Hook, because: &str, state: &str) -> Result<(), RuntimeError> {
    let output = file("")?;
    let (stdout, stderr) = (copy(&output)?, copy(&output)?);
    let text = |c_string: &std::ffi::CString| c_string.to_string_lossy().into_owned();
    let mut command = Command::new(text(&hook.path));
    command.stdin(Stdio::from(file(state)?)).stdout(stdout).stderr(stderr).process_group(0).env_clear();
    if let Some((name, args)) = hook.args.split_first() {
        command.arg0(text(name)).args(args.iter().map(text));
    }
    let variables = hook.env.iter().map(text).filter_map(|it| Some(owned(it.split_once('=')?)));
    let child = command.envs(variables).spawn();
    let mut child = child.map_err(|cause| {
        RuntimeError::io(format!("run the {} hook {:?} ({because})", kind.name(), hook.path), &cause)
    })?;
    match wait(&mut child, hook.timeout) {
        Ok(HookEnd::Status(0)) => Ok(()),
        Ok(end) => Err(failed(because, hook, end, Some(&output))),
        Err(errno) => {
            Err(RuntimeError::io(format!("wait for the {} hook {:?}", kind.name(), hook.path), &errno.into()))
        }
    }
}

/// Runs all hooks of a list, and stops at the first one that fails.
pub(super) fn run_all(kind: HookKind, hooks: &[Planned<Hook>], state: &str) -> Result<(), RuntimeError> {
    hooks.iter().try_for_each(|planned| run(kind, &planned.step, &planned.because, state))
}

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_string(), value.to_string())
}

fn wait(child: &mut Child, timeout: Option<u32>) -> Result<HookEnd, Errno> {
    let pid = Pid::from_child(child);
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    let limit = timeout.map(|seconds| Timespec { tv_sec: seconds.into(), tv_nsec: 0 });
    let mut waiting = [PollFd::new(&pidfd, PollFlags::IN)];
    let ended = loop {
        match poll(&mut waiting, limit.as_ref()) {
            Err(Errno::INTR) => {}
            result => break result? > 0,
        }
    };
    if !ended {
        let _ = child.kill();
        let _ = kill_process_group(pid, Signal::KILL);
    }
    let status = child.wait().map_err(|cause| Errno::from_io_error(&cause).unwrap_or(Errno::CHILD))?;
    let number = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    Ok(if ended { HookEnd::Status(number as u8) } else { HookEnd::TimedOut })
}

/// The error of a hook that ended badly, with what it wrote.
pub(super) fn failed(because: &str, hook: &Hook, end: HookEnd, output: Option<&OwnedFd>) -> RuntimeError {
    RuntimeError::Hook {
        field: because.to_string(),
        path: hook.path.to_string_lossy().into_owned(),
        end: match end {
            HookEnd::Status(status) => format!("exit status {status}"),
            HookEnd::TimedOut => format!("killed after its timeout of {} s", hook.timeout.unwrap_or(0)),
        },
        output: output.map(written).unwrap_or_default(),
    }
}

/// The first of what a hook wrote, as it fits into a message.
fn written(output: &OwnedFd) -> String {
    const ENOUGH: u64 = 2048;
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::from(output.try_clone()?);
        file.rewind()?;
        let mut bytes = Vec::new();
        file.take(ENOUGH).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    String::from_utf8_lossy(&read().unwrap_or_default()).trim().to_string()
}

/// What a hook reads from its stdin (runtime.md, "State").
pub(super) fn state(record: &Record, status: Status, pid: i32) -> String {
    let mut state = json!({
        "ociVersion": record.oci_version, "id": record.id, "status": status, "bundle": record.bundle,
    });
    if status != Status::Stopped {
        state["pid"] = pid.into();
    }
    if !record.annotations.is_empty() {
        state["annotations"] = json!(record.annotations);
    }
    state.to_string()
}

/// A file in memory alone: nobody blocks at its end, however much is written, or whoever keeps it open.
pub(super) fn file(text: &str) -> Result<OwnedFd, RuntimeError> {
    let make = || -> std::io::Result<OwnedFd> {
        let mut file = File::from(memfd_create(c"hook", MemfdFlags::CLOEXEC)?);
        file.write_all(text.as_bytes())?;
        file.rewind()?;
        Ok(file.into())
    };
    make().map_err(|cause| RuntimeError::io("make a file for a hook", &cause))
}

fn copy(file: &OwnedFd) -> Result<Stdio, RuntimeError> {
    file.try_clone().map(Stdio::from).map_err(|cause| RuntimeError::io("make a file for a hook", &cause))
}
