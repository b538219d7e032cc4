//! Hooks that run in our own namespaces: `prestart`, `createRuntime`, `poststart`, `poststop`. Those in the container's
//! namespaces are run by its own process (`init/hook.rs`).

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::OwnedFd;

use rustix::fs::{Access, MemfdFlags, access, memfd_create};
use serde_json::json;

use super::error::RuntimeError;
use super::init;
use super::state::{Record, Status};
use super::wire::HookEnd;
use crate::plan::{Hook, HookKind, Planned};
use crate::sys::CStringArray;
use crate::sys::witness::Who;

/// Runs a hook. It gets `state` on its stdin, and nothing of our environment. After its timeout it is killed with its
/// process group; what it has left behind elsewhere is never waited for. `because` is the hook's field in config.json.
pub(super) fn run(kind: HookKind, hook: &Hook, because: &str, state: &str) -> Result<(), RuntimeError> {
    let (state, output) = (file(state)?, file("")?);
    let what = || format!("run the {} hook {:?} ({because})", kind.name(), hook.path);
    access(hook.path.as_c_str(), Access::EXEC_OK).map_err(|errno| RuntimeError::io(what(), &errno.into()))?;
    let arrays = (CStringArray::new(&hook.args), CStringArray::new(&hook.env));
    match init::run_hook(Who::Hook, hook, &arrays, &state, &output) {
        Ok(HookEnd::Status(0)) => Ok(()),
        Ok(end) => Err(failed(because, hook, end, Some(&output))),
        Err(failure) => Err(RuntimeError::Call { what: what(), cause: failure.to_string() }),
    }
}

/// Runs a program that we need ourselves as a hook is run, with nothing on its stdin: how it ended, and what it wrote.
pub(super) fn run_helper(helper: &Hook) -> Result<(HookEnd, String), RuntimeError> {
    let (nothing, output) = (file("")?, file("")?);
    let arrays = (CStringArray::new(&helper.args), CStringArray::new(&helper.env));
    let end = init::run_hook(Who::Helper, helper, &arrays, &nothing, &output)
        .map_err(|failure| RuntimeError::Call { what: format!("run {:?}", helper.path), cause: failure.to_string() })?;
    Ok((end, written(&output)))
}

/// Runs all hooks of a list, and stops at the first one that fails.
pub(super) fn run_all(kind: HookKind, hooks: &[Planned<Hook>], state: &str) -> Result<(), RuntimeError> {
    hooks.iter().try_for_each(|planned| run(kind, &planned.step, &planned.because, state))
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
