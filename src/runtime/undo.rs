//! Undoing a container: what its record says of processes, cgroups and systemd's unit.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, unlinkat};
use rustix::io::Errno;

use super::error::RuntimeError;
use super::identity;
use super::state::{Entry, Record};
use crate::cgroup::{Cgroup, CgroupError, systemd};
use crate::sys::{self, Arg, Call, CallResult};

/// How long a cgroup may take to empty after `cgroup.kill`, in seconds: a process in uninterruptible sleep is slow to die.
pub(super) const KILL_SECONDS: i64 = 10;

/// Undoes what the record says: processes, cgroups, and last the record itself. A second try goes on where the first
/// one failed.
pub(super) fn tear_down(entry: Entry, record: Option<&Record>) -> Result<(), RuntimeError> {
    if let Some(record) = record {
        if let Some(path) = record.cgroup.as_ref().filter(|path| path.is_dir()) {
            unless_gone(empty(path))?;
        }
        if let Some(process) = &record.process {
            end(process)?;
        }
        if let Some(unit) = &record.unit {
            systemd::stop(unit)?;
        }
        if let Some(path) = record.cgroup.as_ref().filter(|path| path.is_dir()) {
            unless_gone(Cgroup::open(path).and_then(Cgroup::remove))?;
        }
        if let Some(shown) = &record.shown {
            shown.take_down(&record.rootfs)?;
        }
        for path in record.made_cgroups.iter().rev() {
            remove_if_empty(path)?;
        }
    }
    entry.remove()
}

/// Ends every process of a cgroup.
fn empty(path: &Path) -> Result<(), CgroupError> {
    let cgroup = Cgroup::open(path)?;
    if cgroup.populated()? { cgroup.kill(KILL_SECONDS) } else { Ok(()) }
}

/// systemd removes a scope's cgroup as soon as it is empty, also while we look at it: ENOENT for a path, ENODEV for a file
/// that is open.
fn unless_gone(result: Result<(), CgroupError>) -> Result<(), CgroupError> {
    match result {
        Err(error) if [Errno::NOENT, Errno::NODEV].contains(&error.errno) => Ok(()),
        result => result,
    }
}

/// Ends a process that no cgroup of ours held.
fn end(process: &identity::Identity) -> Result<(), RuntimeError> {
    let Some(pidfd) = identity::open(process).map_err(|errno| pidfd_failed(process.pid, errno))? else { return Ok(()) };
    let _ = sys::send_signal(pidfd.as_fd(), nix::sys::signal::Signal::SIGKILL as i32);
    let mut waiting = [rustix::event::PollFd::new(&pidfd, rustix::event::PollFlags::IN)];
    let limit = rustix::event::Timespec { tv_sec: KILL_SECONDS, tv_nsec: 0 };
    match rustix::event::poll(&mut waiting, Some(&limit)) {
        Ok(0) => Err(RuntimeError::Call {
            what: format!("end the process {}", process.pid),
            cause: format!("it is still there {KILL_SECONDS} s after SIGKILL"),
        }),
        _ => Ok(()),
    }
}

/// A cgroup above the container's that was made for it; another container may use it by now.
fn remove_if_empty(path: &Path) -> Result<(), RuntimeError> {
    let told = [Arg::Fd(CWD), Arg::Text(path.as_os_str().as_bytes()), Arg::Word("AT_REMOVEDIR")];
    match unlinkat(CWD, path, AtFlags::REMOVEDIR).told(Call::Unlinkat, &told).map_err(io::Error::from) {
        Err(cause) if !matches!(cause.kind(), io::ErrorKind::NotFound | io::ErrorKind::ResourceBusy) => {
            Err(RuntimeError::io(format!("remove the cgroup {path:?}"), &cause))
        }
        _ => Ok(()),
    }
}

pub(super) fn pidfd_failed(pid: i32, errno: Errno) -> RuntimeError {
    RuntimeError::io(format!("pidfd_open({pid})"), &io::Error::from(errno))
}
