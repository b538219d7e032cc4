//! Mounts whose owners are mapped. The container's process clones the mount; we, who have power over its file system where a
//! user namespace has none, give the clone its maps.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Signal, set_parent_process_death_signal};

use super::error::RuntimeError;
use super::host::{StepFailed, id_lines, write_file};
use crate::plan::uapi::CLONE_NEWUSER;
use crate::plan::{InitStep, Lane, MountIdMap, Plan};
use crate::sys::witness::{self, Who};
use crate::sys::{self, Arg, Call, CallResult, Spawned};

/// Maps the owners of `tree`, which step `step` of the init lane has cloned and not mounted yet; `pid` is the container's process.
pub(super) fn apply(plan: &Plan, step: usize, pid: i32, tree: BorrowedFd<'_>) -> Result<(), RuntimeError> {
    let Some(planned) = plan.init.get(step) else { return Ok(()) };
    let InitStep::BindMount { idmap: Some(map), .. } = &planned.step else { return Ok(()) };
    map_owners(map, pid, tree).map_err(|failed| failed.of(plan.first(Lane::Init) + step, planned.step.describe()))
}

fn map_owners(map: &MountIdMap, pid: i32, tree: BorrowedFd<'_>) -> Result<(), StepFailed> {
    let own = map.users.is_empty() && map.groups.is_empty();
    let namespace = if own { namespace_of(pid) } else { new_namespace(map) }?;
    Ok(sys::mount_map_ids(tree, namespace.as_fd(), map.recursive)?)
}

fn namespace_of(pid: i32) -> Result<File, StepFailed> {
    File::open(format!("/proc/{pid}/ns/user"))
        .map_err(|cause| failed(Errno::from_io_error(&cause).unwrap_or(Errno::IO)))
}

/// A user namespace that is there for its maps alone. Its one process ends here; the open file keeps it.
fn new_namespace(map: &MountIdMap) -> Result<File, StepFailed> {
    let (ready, says) = pipe_with(PipeFlags::CLOEXEC).map_err(failed)?;
    let keep = move || {
        witness::i_am(Who::Helper);
        // It is nobody's when we are killed.
        let told = [Arg::Word("PR_SET_PDEATHSIG"), Arg::Word("SIGKILL")];
        let _ = set_parent_process_death_signal(Some(Signal::KILL)).told(Call::Prctl, &told);
        let _ = rustix::io::write(&says, &[0]);
        loop {
            rustix::event::pause();
        }
    };
    let child = sys::spawn(CLONE_NEWUSER, None, keep)?;
    // Killed before it is that far, it would leave a record half written, which whoever narrates would wait for.
    let _ = rustix::io::read(&ready, &mut [0; 1]);
    let made = write_maps(&child, map).and_then(|()| namespace_of(child.pid));
    let _ = sys::send_signal(child.pidfd.as_fd(), Signal::KILL.as_raw());
    sys::wait_for_exit(child.pidfd.as_fd()).map_err(failed)?;
    made
}

fn write_maps(child: &Spawned, map: &MountIdMap) -> Result<(), StepFailed> {
    write_file(&format!("/proc/{}/uid_map", child.pid), &id_lines(&map.users))?;
    write_file(&format!("/proc/{}/gid_map", child.pid), &id_lines(&map.groups))
}

fn failed(errno: Errno) -> StepFailed {
    StepFailed { cause: format!("the user namespace of the maps: {}", sys::errno_name(errno.raw_os_error())), errno }
}
