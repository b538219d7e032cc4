//! The process that keeps a pod: it starts what is to be started, hears of what ended, asks probes, and ends the pod when it is
//! told to. One loop over descriptors and times; what to do is decided in `next.rs` and `state.rs`. Orders from outside and the
//! loss of the sandbox have files of their own.

mod orders;
mod renewal;

use std::net::IpAddr;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use jiff::Timestamp;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::mount::{MountPropagationFlags, mount_change};

use super::asker::{Answer, Hear};
use super::backoff::BackOff;
use super::error::PodError;
use super::facts::Facts;
use super::managed::{Around, Managed, SHORTEST};
use super::next;
use super::object;
use super::record::{Home, Record};
use super::sandbox::{self, Sandbox};
use super::state::{self, Container, Phase, Policy, State};
use super::status::{self, Now};
use crate::kube::pod::{Kind, Pod};
use crate::runtime::identity;

/// Keeps the pod in `home` until it is over. `ready` is told once the sandbox is there, or why it is not; then nothing is left
/// of it.
pub fn run(home: &Home, ready: impl FnOnce(Result<(), PodError>)) -> Result<(), PodError> {
    let record = home.record()?.ok_or_else(|| PodError::NotFound(home.pod_name()))?;
    if let Some(own) = identity::of(std::process::id() as i32) {
        home.write("supervisor.json", &own)?;
    }
    match Supervisor::begin(home, record.clone()) {
        Ok(mut supervisor) => {
            ready(Ok(()));
            supervisor.keep()
        }
        Err(error) => {
            let removed = sandbox::remove(home, &record).and_then(|()| home.remove());
            ready(Err(error));
            removed
        }
    }
}

struct Supervisor<'a> {
    home: &'a Home,
    record: Record,
    resources: Pod,
    node: (String, Option<IpAddr>),
    sandbox: Option<Sandbox>,
    lost: Option<renewal::Lost>,
    policy: Policy,
    containers: Vec<Managed>,
    answers: Receiver<Answer>,
    hear: Hear,
    control: UnixListener,
    begun: Timestamp,
    ending: Option<Ending>,
    told: Option<serde_json::Value>,
    since: Vec<(String, bool, Timestamp)>,
}

/// The pod is being ended.
#[derive(Debug, Clone)]
struct Ending {
    at: Timestamp,
    grace: i64,
    reason: Option<(String, String)>,
    /// Whether the pod goes for good, or stays to be looked at.
    deleted: bool,
}

impl<'a> Supervisor<'a> {
    fn begin(home: &'a Home, record: Record) -> Result<Supervisor<'a>, PodError> {
        // Our mounts are the pod's alone: what is mounted here is seen nowhere else, and is gone when we and the containers are.
        let failed = |what: &str, cause: std::io::Error| PodError::call(what.to_string(), cause);
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS)
            .map_err(|errno| failed("make a mount namespace", errno.into()))?;
        mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
            .map_err(|errno| failed("keep mounts to ourselves", errno.into()))?;
        let directory = home.open()?;
        let control =
            UnixListener::bind(home.socket(&directory)).map_err(|cause| failed("listen for orders", cause))?;
        let resources = object::resources(&record.pod)?;
        let spec = object::spec(&record.pod);
        let policy = match spec.restart_policy.as_deref() {
            Some("OnFailure") => Policy::OnFailure,
            Some("Never") => Policy::Never,
            _ => Policy::Always,
        };
        let backoff = BackOff::up_to(Duration::from_millis(record.longest_back_off_ms));
        let waiting = waiting(&spec);
        let kinds = resources.all_containers().map(|one| one.kind);
        let containers = spec.init_containers.into_iter().flatten().chain(spec.containers);
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|errno| failed("make an eventfd", errno.into()))?;
        let node = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_string();
        let (sender, answers) = std::sync::mpsc::channel();
        let mut supervisor = Supervisor {
            home,
            policy,
            containers: containers
                .zip(kinds)
                .map(|(one, kind)| Managed::new(one, kind, waiting, backoff.clone()))
                .collect(),
            resources,
            node: (node, None),
            sandbox: None,
            lost: None,
            answers,
            hear: Hear { answers: sender, wake: Arc::new(wake) },
            control,
            begun: Timestamp::now(),
            ending: None,
            told: None,
            since: Vec::new(),
            record,
        };
        supervisor.tell()?;
        let made = sandbox::make(home, &supervisor.record, &supervisor.facts())?;
        supervisor.sandbox = Some(made);
        supervisor.tell()?;
        Ok(supervisor)
    }

    fn facts(&self) -> Facts<'_> {
        Facts {
            pod: &self.record.pod,
            resources: &self.resources,
            config_maps: &self.record.config_maps,
            secrets: &self.record.secrets,
            pod_ip: self.sandbox.as_ref().and_then(|sandbox| sandbox.address),
            node: &self.node.0,
            host_ip: self.node.1,
            node_limits: (self.record.node_limits.0.into(), self.record.node_limits.1.into()),
        }
    }

    fn views(&self) -> Vec<Container> {
        self.containers.iter().map(|one| one.view.clone()).collect()
    }

    /// The loop. It ends when nothing runs and nothing is to be started any more.
    fn keep(&mut self) -> Result<(), PodError> {
        loop {
            let now = Timestamp::now();
            let mut until = self.advance(now);
            self.tell()?;
            if self.ending.is_some() && self.containers.iter().all(|one| one.run.is_none()) {
                return self.end();
            }
            for one in &self.containers {
                until = until.into_iter().chain(one.deadlines()).min();
            }
            self.wait(until)?;
        }
    }

    /// Does what is due now; gives back when more will be.
    fn advance(&mut self, now: Timestamp) -> Option<Timestamp> {
        self.check_deadline(now);
        if self.ending.is_some() {
            self.stop_all(now);
            return None;
        }
        if self.has_lost(now) {
            let until = self.renew(now);
            if self.ending.is_some() || self.lost.is_none() {
                return self.advance(now);
            }
            return until.into_iter().chain(self.deadline()).min();
        }
        let backoffs: Vec<_> = self.containers.iter().map(|one| one.backoff.clone()).collect();
        let next = next::next(&self.views(), &backoffs, self.policy, now);
        if next.over {
            self.ending = Some(Ending { at: now, grace: self.grace(), reason: None, deleted: false });
            return self.advance(now);
        }
        for (index, _) in &next.back_off {
            let pod = format!(
                "{}({})",
                object::key(&self.record.pod),
                self.record.pod.metadata.uid.clone().unwrap_or_default()
            );
            self.containers[*index].show_back_off(&pod);
        }
        let mut until = next.back_off.iter().map(|(_, until)| *until).min();
        for index in next.start {
            match self.containers[index].not_before.filter(|at| *at > now) {
                Some(at) => until = until.into_iter().chain([at]).min(),
                None => self.start(index, now),
            }
        }
        self.ask_probes(now);
        self.containers.iter_mut().for_each(|one| one.insist(now, &self.record));
        let deadline = self.deadline();
        until.into_iter().chain(deadline).min()
    }

    fn start(&mut self, index: usize, now: Timestamp) {
        let Some(sandbox) = &self.sandbox else { return };
        let run = self.containers[index].next_run();
        let container = self.containers[index].spec.clone();
        let started = super::running::start(self.home, &self.record, &self.facts(), sandbox, &container, run);
        self.containers[index].started(started, now, run);
        // A container that could not be started is looked at again at once.
        let _ = rustix::io::write(&self.hear.wake, &1u64.to_ne_bytes());
    }

    fn ask_probes(&mut self, now: Timestamp) {
        let address = self.sandbox.as_ref().and_then(|sandbox| sandbox.address);
        let around = Around::new(&self.record, address, &self.hear);
        for (index, one) in self.containers.iter_mut().enumerate() {
            one.ask(index, now, &around);
        }
    }

    /// `activeDeadlineSeconds` counts from the pod's start.
    fn deadline(&self) -> Option<Timestamp> {
        let seconds = self.record.pod.spec.as_ref()?.active_deadline_seconds?;
        Some(self.begun + Duration::from_secs(u64::try_from(seconds).ok()?))
    }

    fn check_deadline(&mut self, now: Timestamp) {
        if self.ending.is_none() && self.deadline().is_some_and(|deadline| deadline <= now) {
            let message = "Pod was active on the node longer than the specified deadline".to_string();
            let grace = self.grace();
            let reason = Some(("DeadlineExceeded".to_string(), message));
            self.ending = Some(Ending { at: now, grace, reason, deleted: false });
        }
    }

    /// The grace that the pod gives its containers, in seconds.
    fn grace(&self) -> i64 {
        self.record.pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds).unwrap_or(30)
    }

    /// What a container waits for that has not been started.
    fn waiting(&self) -> &'static str {
        waiting(&object::spec(&self.record.pod))
    }

    fn stop_all(&mut self, now: Timestamp) {
        if let Some(ending) = self.ending.clone() {
            self.stop_in_order(now, ending.at, ending.grace);
        }
        self.containers.iter_mut().for_each(|one| one.insist(now, &self.record));
    }

    /// App containers and plain init containers first, all at once; then the sidecars, the last one first. They have `grace`
    /// seconds, which count from `since`.
    fn stop_in_order(&mut self, now: Timestamp, since: Timestamp, grace: i64) {
        let address = self.sandbox.as_ref().and_then(|sandbox| sandbox.address);
        let around = Around::new(&self.record, address, &self.hear);
        let grace = Duration::from_secs(u64::try_from(grace).unwrap_or(0));
        let deadline = since + grace.max(SHORTEST);
        let runs = |one: &Managed| one.run.is_some();
        let others = self.containers.iter().any(|one| one.view.kind != Kind::Sidecar && runs(one));
        let last = self.containers.iter().rposition(|one| one.view.kind == Kind::Sidecar && runs(one));
        for (index, one) in self.containers.iter_mut().enumerate().filter(|(_, one)| one.run.is_some()) {
            let turn = one.view.kind != Kind::Sidecar || (!others && Some(index) == last);
            if turn {
                // A sidecar whose turn comes late still has its two seconds.
                one.stop(index, now, deadline.max(now + SHORTEST), &around);
            }
        }
    }

    /// Waits for a process, a pipe, an order, an answer, or the time.
    fn wait(&mut self, until: Option<Timestamp>) -> Result<(), PodError> {
        let mut fds = vec![PollFd::new(&self.control, PollFlags::IN), PollFd::new(&*self.hear.wake, PollFlags::IN)];
        if let Some(sandbox) = self.sandbox.as_ref().filter(|_| self.lost.is_none() && self.ending.is_none()) {
            fds.push(PollFd::from_borrowed_fd(sandbox.pidfd.as_fd(), PollFlags::IN));
        }
        for run in self.containers.iter().filter_map(|one| one.run.as_ref()) {
            fds.push(PollFd::from_borrowed_fd(run.pidfd.as_fd(), PollFlags::IN));
            let ends = run.streams.iter().filter_map(|(end, _)| end.as_ref());
            fds.extend(ends.map(|end| PollFd::from_borrowed_fd(end.as_fd(), PollFlags::IN)));
        }
        let left = until.map(|until| Duration::try_from(until.duration_since(Timestamp::now())).unwrap_or_default());
        let limit =
            left.map(|left| Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) });
        match poll(&mut fds, limit.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(PodError::call("wait for the pod's containers", errno.into())),
        }
        let ordered = fds[0].revents().contains(PollFlags::IN);
        drop(fds);
        let _ = rustix::io::read(&*self.hear.wake, &mut [0u8; 8]);
        for one in &mut self.containers {
            one.look(&self.record);
        }
        let address = self.sandbox.as_ref().and_then(|sandbox| sandbox.address);
        let around = Around::new(&self.record, address, &self.hear);
        while let Ok(answer) = self.answers.try_recv() {
            self.containers[answer.container].take(answer, Timestamp::now(), &around);
        }
        if ordered {
            self.obey()?;
        }
        Ok(())
    }

    /// Writes the status, if it is another one than last time.
    fn tell(&mut self) -> Result<(), PodError> {
        let views = self.views();
        let over = self.ending.is_some() && self.containers.iter().all(|one| one.run.is_none());
        let mut phase = state::phase(&views, self.policy, over);
        let reason = self.ending.as_ref().and_then(|ending| ending.reason.clone());
        if over && (reason.is_some() || phase == Phase::Pending) {
            phase = Phase::Failed;
        }
        let now = Now {
            phase,
            sandbox: self.sandbox.is_some() && self.lost.is_none(),
            pod_ip: self.sandbox.as_ref().and_then(|sandbox| sandbox.address),
            node: self.node.0.clone(),
            host_ip: self.node.1,
            reason,
            deleting: self.ending.as_ref().filter(|ending| ending.deleted).map(|ending| (ending.at, ending.grace)),
        };
        for one in state::conditions(&views, phase, now.sandbox) {
            let known = self.since.iter().any(|(kind, holds, _)| *kind == one.kind && *holds == one.holds);
            if !known {
                self.since.retain(|(kind, ..)| *kind != one.kind);
                self.since.push((one.kind.to_string(), one.holds, Timestamp::now()));
            }
        }
        let since = |kind: &str, _holds: bool| {
            self.since.iter().find(|(known, ..)| known == kind).map_or(self.begun, |(.., at)| *at)
        };
        let object = status::object(&self.record, &views, &now, since);
        if self.told.as_ref() != Some(&object) {
            self.home.write("status.json", &object)?;
            self.told = Some(object);
        }
        Ok(())
    }

    /// The pod is over: nothing stays of it on the machine but its directory, and not that if it was deleted.
    fn end(&mut self) -> Result<(), PodError> {
        self.sandbox = None;
        for one in &mut self.containers {
            if matches!(one.view.state, State::Waiting { .. }) && one.view.last.is_some() {
                one.settle();
            }
        }
        sandbox::remove(self.home, &self.record)?;
        self.tell()?;
        match self.ending.as_ref().is_some_and(|ending| ending.deleted) {
            true => self.home.remove(),
            false => Ok(()),
        }
    }
}

/// What containers wait for that have not been started (`convertToAPIContainerStatuses`).
fn waiting(spec: &k8s_openapi::api::core::v1::PodSpec) -> &'static str {
    let has_init = spec.init_containers.as_ref().is_some_and(|list| !list.is_empty());
    if has_init { "PodInitializing" } else { "ContainerCreating" }
}
