//! Mounts whose owners are mapped. The container's process clones the mount; we, who have power over its file system where a
//! user namespace has none, give the clone its maps.

use std::fs::{self, File};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::io::Errno;
use rustix::process::{Signal, set_parent_process_death_signal};

use super::error::RuntimeError;
use super::host::id_lines;
use crate::plan::uapi::CLONE_NEWUSER;
use crate::plan::{InitStep, Lane, MountIdMap, Plan};
use crate::sys::{self, Failure, Spawned};

/// Maps the owners of `tree`, which step `step` of the init lane has cloned and not mounted yet; `pid` is the container's process.
pub(super) fn apply(plan: &Plan, step: usize, pid: i32, tree: BorrowedFd<'_>) -> Result<(), RuntimeError> {
    let Some(planned) = plan.init.get(step) else { return Ok(()) };
    let InitStep::BindMount { idmap: Some(map), .. } = &planned.step else { return Ok(()) };
    let failed = |cause: String, errno| RuntimeError::HostStep {
        number: plan.first(Lane::Init) + step,
        step: planned.step.describe(),
        cause,
        errno,
    };
    let io = |cause: std::io::Error| {
        let errno = Errno::from_io_error(&cause).unwrap_or(Errno::IO);
        failed(format!("the user namespace of the maps: {}", sys::errno_name(errno.raw_os_error())), errno)
    };
    let own = map.users.is_empty() && map.groups.is_empty();
    let namespace = if own { namespace_of(pid) } else { new_namespace(map) }.map_err(io)?;
    let call = |failure: Failure| failed(failure.to_string(), failure.errno);
    sys::mount_map_ids(tree, namespace.as_fd(), map.recursive).map_err(call)
}

fn namespace_of(pid: i32) -> std::io::Result<File> {
    File::open(format!("/proc/{pid}/ns/user"))
}

/// A user namespace that is there for its maps alone. Its one process ends here; the open file keeps it.
fn new_namespace(map: &MountIdMap) -> std::io::Result<File> {
    let wait = || loop {
        // It is nobody's when we are killed.
        let _ = set_parent_process_death_signal(Some(Signal::KILL));
        rustix::event::pause();
    };
    let child = sys::spawn(CLONE_NEWUSER, None, wait).map_err(|failure| std::io::Error::from(failure.errno))?;
    let made = write_maps(&child, map).and_then(|()| namespace_of(child.pid));
    let _ = sys::send_signal(child.pidfd.as_fd(), Signal::KILL.as_raw());
    sys::wait_for_exit(child.pidfd.as_fd()).map_err(std::io::Error::from)?;
    made
}

fn write_maps(child: &Spawned, map: &MountIdMap) -> std::io::Result<()> {
    fs::write(format!("/proc/{}/uid_map", child.pid), id_lines(&map.users))?;
    fs::write(format!("/proc/{}/gid_map", child.pid), id_lines(&map.groups))
}
