//! What befalls a container and what it uses, as runc's `events` tells it. `stats.rs` has the shape of the numbers.

mod stats;

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use serde::Serialize;

use super::error::RuntimeError;
use super::identity;
use super::lifecycle::read;
use super::state::{Record, Status, Store};
use crate::cgroup::{Cgroup, CgroupError, Watched, stat};
use crate::spec::ContainerId;
pub use stats::Stats;

/// One line of `events`, in runc's JSON.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Event {
    /// `stats` or `oom`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The container.
    pub id: String,
    /// The numbers of `stats`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Box<Stats>>,
}

/// A container that is watched until its first process ends.
#[derive(Debug)]
pub struct Watch {
    subject: Subject,
    pidfd: OwnedFd,
    /// `memory.events`; none where the memory controller does not count for the container.
    memory: Option<Watched>,
    /// How many of the OOM killer's victims have been told.
    told: u64,
    interval: Duration,
    next: Instant,
}

#[derive(Debug)]
struct Subject {
    id: String,
    pid: i32,
    cgroup: Cgroup,
}

/// What a container uses now.
pub fn stats(store: &Store, id: &ContainerId) -> Result<Event, RuntimeError> {
    let record = running(store, id)?;
    subject(&record, id)?.stats()
}

/// Watches a container: its numbers each `interval`, and each kill by the OOM killer as it comes. Kills before the watch
/// began are told first.
pub fn watch(store: &Store, id: &ContainerId, interval: Duration) -> Result<Watch, RuntimeError> {
    let record = running(store, id)?;
    let subject = subject(&record, id)?;
    let process = record.process.as_ref().ok_or(RuntimeError::NotRunning)?;
    let opened = identity::open(process).map_err(|errno| RuntimeError::io("pidfd_open", &errno.into()))?;
    let memory = match subject.cgroup.watch("memory.events") {
        Ok(memory) => Some(memory),
        Err(error) if error.errno == Errno::NOENT => None,
        Err(error) => return Err(error.into()),
    };
    let pidfd = opened.ok_or(RuntimeError::NotRunning)?;
    Ok(Watch { subject, pidfd, memory, told: 0, interval, next: Instant::now() + interval })
}

fn running(store: &Store, id: &ContainerId) -> Result<Record, RuntimeError> {
    let entry = store.peek(id)?;
    let record = read(&entry, id)?;
    match entry.status(&record) {
        Status::Stopped | Status::Creating => Err(RuntimeError::NotRunning),
        Status::Created | Status::Running | Status::Paused => Ok(record),
    }
}

fn subject(record: &Record, id: &ContainerId) -> Result<Subject, RuntimeError> {
    let path = record.cgroup.as_ref().ok_or_else(|| RuntimeError::Call {
        what: format!("count what the container {id} uses"),
        cause: "it has no cgroup".to_string(),
    })?;
    let pid = record.process.as_ref().map_or(0, |process| process.pid);
    Ok(Subject { id: id.to_string(), pid, cgroup: Cgroup::open(path)? })
}

impl Subject {
    fn stats(&self) -> Result<Event, RuntimeError> {
        let data = Some(Box::new(stats::of(&self.cgroup, self.pid)?));
        Ok(Event { kind: "stats", id: self.id.clone(), data })
    }
}

impl Watch {
    /// Waits for the next event; none once the container has ended and all is told.
    pub fn next_event(&mut self) -> Result<Option<Event>, RuntimeError> {
        loop {
            // Looked at before the kills are: what the killer did to the first process is counted by then.
            let ended = self.wait(Duration::ZERO)?;
            if self.kills()? > self.told {
                self.told += 1;
                return Ok(Some(Event { kind: "oom", id: self.subject.id.clone(), data: None }));
            }
            if ended {
                return Ok(None);
            }
            let now = Instant::now();
            if now >= self.next {
                self.next = now + self.interval;
                return match self.subject.stats() {
                    Err(_) if self.wait(Duration::ZERO)? => Ok(None),
                    event => event.map(Some),
                };
            }
            self.wait(self.next - now)?;
        }
    }

    /// `oom_kill` of `memory.events`; a cgroup that is gone has no more to tell.
    fn kills(&mut self) -> Result<u64, RuntimeError> {
        let Some(memory) = &mut self.memory else { return Ok(0) };
        match memory.read() {
            Ok(text) => Ok(stat::flat_keyed(&text).get("oom_kill").copied().unwrap_or_default()),
            Err(CgroupError { errno: Errno::NODEV, .. }) => Ok(self.told),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits at most so long for a kill or the end; whether it is the end.
    fn wait(&self, limit: Duration) -> Result<bool, RuntimeError> {
        let mut waiting = vec![PollFd::new(&self.pidfd, PollFlags::IN)];
        waiting.extend(self.memory.as_ref().map(|memory| PollFd::from_borrowed_fd(memory.as_fd(), PollFlags::PRI)));
        let limit = Timespec { tv_sec: limit.as_secs() as i64, tv_nsec: limit.subsec_nanos().into() };
        match poll(&mut waiting, Some(&limit)) {
            Ok(_) => Ok(!waiting[0].revents().is_empty()),
            Err(Errno::INTR) => Ok(false),
            Err(errno) => Err(RuntimeError::io("poll", &errno.into())),
        }
    }
}
