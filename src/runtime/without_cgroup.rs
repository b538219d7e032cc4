//! The processes of a container that has no cgroup: an ordinary user's, to whom none is delegated. They are those of its
//! PID namespace, which nobody can leave.

use std::fs;
use std::os::fd::AsFd;
use std::path::PathBuf;

use super::error::RuntimeError;
use super::identity::{self, Identity};
use super::state::Record;
use crate::sys;

/// Their ids in our PID namespace. Of a container that shares ours, the first alone is known.
pub(super) fn processes(record: &Record) -> Vec<i32> {
    let Some(first) = record.process.as_ref().filter(|first| identity::is_alive(first)) else { return Vec::new() };
    let shared = namespace("self");
    let Some(own) = namespace(&first.pid.to_string()).filter(|own| shared.as_ref() != Some(own)) else {
        return vec![first.pid];
    };
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let in_it = names.filter(|name| namespace(name).as_ref() == Some(&own));
    let mut pids: Vec<i32> = in_it.filter_map(|name| name.parse().ok()).collect();
    pids.sort_unstable();
    pids
}

/// Sends `signal` to each of them.
pub(super) fn kill(record: &Record, signal: i32) -> Result<(), RuntimeError> {
    for process in processes(record).into_iter().filter_map(identity::of) {
        send(&process, signal)?;
    }
    Ok(())
}

fn send(process: &Identity, signal: i32) -> Result<(), RuntimeError> {
    let failed = |errno: rustix::io::Errno| RuntimeError::io(format!("pidfd_open({})", process.pid), &errno.into());
    if let Some(pidfd) = identity::open(process).map_err(failed)? {
        // It may end between the two calls: then there is nothing left to signal.
        let _ = sys::send_signal(pidfd.as_fd(), signal);
    }
    Ok(())
}

fn namespace(process: &str) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{process}/ns/pid")).ok()
}
