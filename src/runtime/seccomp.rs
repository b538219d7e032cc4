//! The agent of a system call filter: it gets the descriptor on which the kernel asks about calls with SCMP_ACT_NOTIFY,
//! and the container process state (runtime-spec, config-linux.md), one connection for each filter.

use std::collections::BTreeMap;
use std::io::{IoSlice, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
    connect, sendmsg, socket_with,
};
use rustix::process::{PidfdGetfdFlags, pidfd_getfd};
use serde::Serialize;

use super::error::RuntimeError;
use super::state::{Record, Status};
use crate::plan::seccomp::Listener;
use crate::plan::{InitStep, Plan};

/// How long the process may take to load its filter, and the agent to listen to us, in seconds.
pub(super) const PATIENCE: i64 = 10;

/// What the agent is told; the field names are the specification's.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ProcessState<'a> {
    oci_version: &'a str,
    /// Names of the descriptors beside the message.
    fds: [&'static str; 1],
    /// The filtered process.
    pid: i32,
    #[serde(skip_serializing_if = "str::is_empty")]
    metadata: &'a str,
    state: ContainerState<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ContainerState<'a> {
    oci_version: &'a str,
    id: &'a str,
    status: Status,
    pid: i32,
    bundle: &'a Path,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'a BTreeMap<String, String>,
}

/// Takes the descriptor that has or will have `number` in the process, and gives it to the agent of the plan's filter.
/// Returns where that one listens; none where there is nothing to give.
pub(super) fn hand_over<'a>(
    plan: &'a Plan,
    record: &Record,
    (pid, pidfd): (i32, BorrowedFd<'_>),
    number: i32,
) -> Result<Option<&'a str>, RuntimeError> {
    let agents = plan.init.iter().find_map(|planned| match &planned.step {
        InitStep::LoadSeccomp { listener, .. } => listener.as_ref(),
        _ => None,
    });
    let Some(agent) = agents else { return Ok(None) };
    // Without a descriptor the process has died or failed, which the messages behind this one tell.
    let Some(descriptor) = take(pidfd, number)? else { return Ok(None) };
    let text = state(agent, record, pid);
    send(Path::new(&agent.path), &text, descriptor.as_fd()).map_err(|errno| {
        RuntimeError::io(format!("linux.seccomp.listenerPath: reach the agent at {:?}", agent.path), &errno.into())
    })?;
    Ok(Some(&agent.path))
}

fn state(agent: &Listener, record: &Record, pid: i32) -> Vec<u8> {
    let first = record.process.as_ref();
    let state = ProcessState {
        oci_version: &record.oci_version,
        fds: ["seccompFd"],
        pid,
        metadata: &agent.metadata,
        state: ContainerState {
            oci_version: &record.oci_version,
            id: &record.id,
            status: if first.is_some() { Status::Running } else { Status::Creating },
            pid: first.map_or(pid, |process| process.pid),
            bundle: &record.bundle,
            annotations: &record.annotations,
        },
    };
    serde_json::to_vec(&state).expect("a state has only text keys")
}

/// The process says the number before it makes the descriptor: until then the number means nothing there.
fn take(pidfd: BorrowedFd<'_>, number: i32) -> Result<Option<OwnedFd>, RuntimeError> {
    let wait = Timespec { tv_sec: 0, tv_nsec: 1_000_000 };
    for _ in 0..PATIENCE * 1000 {
        match pidfd_getfd(pidfd, number, PidfdGetfdFlags::empty()) {
            Ok(descriptor) => return Ok(Some(descriptor)),
            Err(Errno::BADF) => {}
            Err(Errno::SRCH) => return Ok(None),
            Err(errno) => return Err(RuntimeError::io("take the filter's descriptor: pidfd_getfd", &errno.into())),
        }
        // The pidfd is readable when the process has ended (pidfd_open(2)).
        if poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&wait)).is_ok_and(|ready| ready > 0) {
            return Ok(None);
        }
    }
    Ok(None)
}

/// One connection, one message: the descriptor travels with the first bytes.
fn send(path: &Path, text: &[u8], descriptor: BorrowedFd<'_>) -> Result<(), Errno> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    // connect(2) obeys it too: an agent that accepts nobody makes its callers wait.
    set_socket_timeout(&socket, Timeout::Send, Some(Duration::from_secs(PATIENCE.unsigned_abs())))?;
    connect(&socket, &SocketAddrUnix::new(path)?)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = [descriptor];
    control.push(SendAncillaryMessage::ScmRights(&descriptors));
    let sent = sendmsg(&socket, &[IoSlice::new(text)], &mut control, SendFlags::NOSIGNAL)?;
    let mut rest = UnixStream::from(socket);
    rest.write_all(&text[sent..]).map_err(|cause| Errno::from_io_error(&cause).unwrap_or(Errno::IO))
}
