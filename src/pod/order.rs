//! What is said to a pod's supervisor, from outside.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use k8s_openapi::api::core::v1 as api;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use serde::{Deserialize, Serialize};

use super::error::PodError;
use super::record::{Group, Home};
use crate::runtime::identity;

/// What the supervisor is told by its socket, one JSON object a connection.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Order {
    /// End the pod, with so many seconds of grace.
    Delete {
        /// `terminationGracePeriodSeconds`, or what stands for it.
        grace: i64,
        /// Why, where it is not the user's wish: a reason and a sentence.
        reason: Option<(String, String)>,
    },
    /// Take new ConfigMaps and Secrets.
    Refresh,
    /// Take other requests and limits, while the pod runs.
    Resize {
        /// The pod with them.
        pod: Box<api::Pod>,
        /// The cgroups that they make.
        groups: Vec<Group>,
    },
}

/// Sends an order and gives back the answer; `None` where no supervisor listens any more.
pub fn send(home: &Home, order: &Order) -> Result<Option<String>, PodError> {
    let failed = |cause| PodError::call(format!("speak to the supervisor of {}", home.pod_name()), cause);
    let directory = home.open()?;
    let mut stream = match UnixStream::connect(home.socket(&directory)) {
        Ok(stream) => stream,
        Err(cause) if matches!(cause.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => return Ok(None),
        Err(cause) => return Err(failed(cause)),
    };
    stream.set_read_timeout(Some(Duration::from_secs(10))).map_err(failed)?;
    let text = serde_json::to_string(order).expect("an order has text keys alone");
    stream.write_all(format!("{text}\n").as_bytes()).map_err(failed)?;
    let mut answer = String::new();
    BufReader::new(&stream).read_line(&mut answer).map_err(failed)?;
    Ok(Some(answer.trim_end().to_string()))
}

/// Waits until the pod's supervisor is gone, at most `limit`; says whether it is.
pub fn wait_until_gone(home: &Home, limit: Duration) -> Result<bool, PodError> {
    let Ok(Some(supervisor)) = home.supervisor() else { return Ok(true) };
    let failed = |errno: rustix::io::Errno| PodError::call("wait for the supervisor", errno.into());
    let Some(pidfd) = identity::open(&supervisor).map_err(failed)? else { return Ok(true) };
    let limit = Timespec { tv_sec: limit.as_secs() as i64, tv_nsec: i64::from(limit.subsec_nanos()) };
    match poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&limit)) {
        Ok(found) => Ok(found > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(errno) => Err(failed(errno)),
    }
}
