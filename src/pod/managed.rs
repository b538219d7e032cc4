//! One container in the supervisor's hands: its state, its run, its probes and hooks, and how it is stopped.

use std::net::IpAddr;
use std::os::fd::AsFd;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1 as api;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::asker::{About, Answer, Asker, Hear};
use super::backoff::BackOff;
use super::next;
use super::probe::{self, Prober, Purpose};
use super::record::Record;
use super::resize;
use super::running::{NotStarted, Running};
use super::state::{Container, Exit, State};
use crate::kube::pod::Kind;
use crate::runtime::Store;

const SIGKILL: i32 = nix::sys::signal::Signal::SIGKILL as i32;

/// What a container has at least between SIGTERM and SIGKILL (`minimumGracePeriodInSeconds`).
pub const SHORTEST: Duration = Duration::from_secs(2);

/// How long a container whose config cannot be made waits for the next try.
const RETRY: Duration = Duration::from_secs(10);

/// A container.
#[derive(Debug)]
pub struct Managed {
    /// What the manifest says.
    pub spec: api::Container,
    /// What is told of it.
    pub view: Container,
    /// Its back-off.
    pub backoff: BackOff,
    /// Its process.
    pub run: Option<Running>,
    /// Not to be started before.
    pub not_before: Option<Timestamp>,
    runs: u32,
    probes: Vec<Prober>,
    post_start: Hook,
    stopping: Option<Stopping>,
}

/// What a container needs of its pod to be asked and to be stopped.
#[derive(Debug)]
pub struct Around<'a> {
    /// The pod.
    pub record: &'a Record,
    /// Where the runtime keeps its containers.
    pub store: Store,
    /// Its address.
    pub address: IpAddr,
    /// Where answers go.
    pub hear: &'a Hear,
}

impl<'a> Around<'a> {
    /// A pod without an address of its own is asked at the node's `lo`.
    pub fn new(record: &'a Record, address: Option<IpAddr>, hear: &'a Hear) -> Around<'a> {
        let address = address.unwrap_or(IpAddr::from([127, 0, 0, 1]));
        Around { record, store: Store::new(record.store.clone()), address, hear }
    }
}

/// How far the postStart hook of this run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hook {
    Todo,
    Asked,
    Done,
}

#[derive(Debug, Clone, Copy)]
struct Stopping {
    /// SIGKILL comes then.
    deadline: Timestamp,
    /// Whether SIGTERM has been sent: after the preStop hook.
    asked: bool,
    killed: bool,
}

impl Managed {
    /// A container that has not been started, and waits for `reason`.
    pub fn new(spec: api::Container, kind: Kind, reason: &'static str, backoff: BackOff) -> Managed {
        let view = Container {
            name: spec.name.clone(),
            kind,
            state: State::Waiting { reason, message: None },
            last: None,
            restarts: 0,
            started: false,
            ready: false,
            again: false,
            anew: false,
        };
        Managed {
            spec,
            view,
            backoff,
            run: None,
            not_before: None,
            runs: 0,
            probes: Vec::new(),
            post_start: Hook::Done,
            stopping: None,
        }
    }

    /// The number of the run that would be started now.
    pub fn next_run(&self) -> u32 {
        self.runs
    }

    /// Takes what came of an attempt to start.
    pub fn started(&mut self, result: Result<Running, NotStarted>, now: Timestamp, run: u32) {
        if let (Some(finished), false) = (next::ended(&self.view), matches!(result, Err(NotStarted::Config(_)))) {
            if next::obeys_back_off(&self.view) {
                self.backoff.restarted(finished, now);
            }
            self.view.restarts += 1;
        }
        if let State::Ended(exit) = &self.view.state {
            self.view.last = Some(exit.clone());
        }
        self.not_before = None;
        self.view.again = false;
        self.view.anew = false;
        match result {
            Ok(running) => {
                self.view.state = State::Running { since: running.started };
                self.probes = self.probers(running.started);
                self.run = Some(running);
                self.runs = run + 1;
                let hook = self.spec.lifecycle.as_ref().is_some_and(|lifecycle| lifecycle.post_start.is_some());
                self.post_start = if hook { Hook::Todo } else { Hook::Done };
                self.stopping = None;
                self.settle_started();
            }
            Err(NotStarted::Config(message)) => {
                self.view.state = State::Waiting { reason: "CreateContainerConfigError", message: Some(message) };
                self.not_before = Some(now + RETRY);
            }
            Err(NotStarted::Start(message)) => {
                self.runs = run + 1;
                // As containerd tells it: exit code 128.
                self.view.state = State::Ended(Exit {
                    code: 128,
                    reason: "StartError",
                    message: Some(message),
                    started: now,
                    finished: now,
                    id: String::new(),
                });
            }
        }
    }

    /// The pod has a new sandbox, or still waits for one (`message`). Where it is `to_start`, it waits for its turn there.
    pub fn renew(&mut self, to_start: bool, reason: &'static str, message: Option<String>) {
        self.view.anew = true;
        self.view.again = false;
        self.not_before = None;
        match &self.view.state {
            State::Ended(exit) if to_start => {
                self.view.last = Some(exit.clone());
                self.view.ready = false;
                self.view.state = State::Waiting { reason, message };
            }
            State::Waiting { reason: own, .. } if *own == reason => {
                self.view.state = State::Waiting { reason, message }
            }
            State::Ended(_) | State::Waiting { .. } | State::Running { .. } => {}
        }
    }

    /// Takes other requests and limits; where its resizePolicy asks for that, the container is started anew with them.
    pub fn resize(&mut self, index: usize, to: Option<api::ResourceRequirements>, now: Timestamp, around: &Around<'_>) {
        let restart = self.run.is_some() && resize::wants_restart(&self.spec, to.as_ref());
        if self.spec.resources != to {
            self.backoff.forget();
        }
        self.spec.resources = to;
        if restart {
            self.view.again = true;
            self.kill(index, now, around, None);
        }
    }

    fn probers(&self, started: Timestamp) -> Vec<Prober> {
        let own = [
            (Purpose::Startup, &self.spec.startup_probe),
            (Purpose::Liveness, &self.spec.liveness_probe),
            (Purpose::Readiness, &self.spec.readiness_probe),
        ];
        own.into_iter().filter_map(|(purpose, probe)| Some(Prober::new(purpose, probe.as_ref()?, started))).collect()
    }

    /// A container is started when its hook is done and its startup probe, if it has one, is over.
    fn settle_started(&mut self) {
        let starting = self.probes.iter().any(|probe| probe.purpose == Purpose::Startup);
        if self.post_start == Hook::Done && !starting && !self.view.started {
            self.view.started = true;
            self.view.ready =
                !self.probes.iter().any(|probe| probe.purpose == Purpose::Readiness) && self.view.kind != Kind::Init;
        }
    }

    /// When this container has something to do.
    pub fn deadlines(&self) -> Vec<Timestamp> {
        let probes = self.probes.iter().filter(|_| self.run.is_some() && self.stopping.is_none());
        let starting = self.probes.iter().any(|probe| probe.purpose == Purpose::Startup);
        let due = probes.filter(|probe| !starting || probe.purpose == Purpose::Startup).filter_map(|probe| probe.due);
        let kill =
            self.stopping.filter(|stopping| !stopping.killed && self.run.is_some()).map(|stopping| stopping.deadline);
        due.chain(kill).collect()
    }

    /// Asks the probes that are due, and the postStart hook once.
    pub fn ask(&mut self, index: usize, now: Timestamp, around: &Around<'_>) {
        let Some(asker) = self.asker(index, around).filter(|_| self.stopping.is_none()) else { return };
        let mut questions = Vec::new();
        let starting = self.probes.iter().any(|probe| probe.purpose == Purpose::Startup);
        for (place, prober) in self.probes.iter().enumerate() {
            let turn = !starting || prober.purpose == Purpose::Startup;
            if turn && prober.due.is_some_and(|due| due <= now) {
                asker.probe(place, &prober.probe, prober.timeout());
                questions.push(place);
            }
        }
        let hook = self.spec.lifecycle.as_ref().and_then(|lifecycle| lifecycle.post_start.as_ref());
        if let (Hook::Todo, Some(hook)) = (self.post_start, hook) {
            asker.hook(About::PostStart, hook);
            self.post_start = Hook::Asked;
        }
        questions.into_iter().for_each(|place| self.probes[place].due = None);
    }

    fn asker<'a>(&'a self, index: usize, around: &'a Around<'_>) -> Option<Asker<'a>> {
        let id = &self.run.as_ref()?.id;
        let ports = self.spec.ports.as_deref().unwrap_or_default();
        let (store, address, hear) = (&around.store, around.address, around.hear);
        Some(Asker { container: index, run: self.runs, id, store, address, ports, hear })
    }

    /// Takes the answer to a question.
    pub fn take(&mut self, answer: Answer, now: Timestamp, around: &Around<'_>) {
        if self.run.is_none() || answer.run != self.runs {
            return;
        }
        match answer.about {
            About::PostStart => match answer.said {
                Ok(()) => {
                    self.post_start = Hook::Done;
                    self.settle_started();
                }
                Err(_) => self.kill(answer.container, now, around, None),
            },
            About::PreStop => self.terminate(now, around.record),
            About::Probe(place) => self.judge(answer, place, now, around),
        }
    }

    fn judge(&mut self, answer: Answer, place: usize, now: Timestamp, around: &Around<'_>) {
        let Some(prober) = self.probes.get_mut(place) else { return };
        let purpose = prober.purpose;
        let grace = prober.probe.termination_grace_period_seconds;
        match (purpose, prober.take(answer.said.is_ok(), now)) {
            (Purpose::Startup, Some(probe::Verdict::Passes)) => {
                self.probes.remove(place);
                self.settle_started();
            }
            (Purpose::Readiness, Some(verdict)) => self.view.ready = verdict == probe::Verdict::Passes,
            (Purpose::Startup | Purpose::Liveness, Some(probe::Verdict::Fails)) => {
                self.kill(answer.container, now, around, grace);
            }
            (Purpose::Liveness, Some(probe::Verdict::Passes)) | (_, None) => {}
        }
    }

    /// Ends this run, with the grace of the pod or of the probe that failed; the policy says what comes after.
    fn kill(&mut self, index: usize, now: Timestamp, around: &Around<'_>, grace: Option<i64>) {
        let spec = around.record.pod.spec.as_ref();
        let of_pod = spec.and_then(|spec| spec.termination_grace_period_seconds).unwrap_or(30);
        let grace = Duration::from_secs(u64::try_from(grace.unwrap_or(of_pod)).unwrap_or(0));
        self.stop(index, now, now + grace.max(SHORTEST), around);
    }

    /// Begins to stop the container: its preStop hook, then SIGTERM; SIGKILL at the deadline. A second call may only bring the
    /// deadline forward.
    pub fn stop(&mut self, index: usize, now: Timestamp, deadline: Timestamp, around: &Around<'_>) {
        if let Some(stopping) = &mut self.stopping {
            stopping.deadline = stopping.deadline.min(deadline);
            return;
        }
        self.view.ready = false;
        self.stopping = Some(Stopping { deadline, asked: false, killed: false });
        let hook = self.spec.lifecycle.as_ref().and_then(|lifecycle| lifecycle.pre_stop.as_ref());
        match (hook, self.asker(index, around)) {
            (Some(hook), Some(asker)) => asker.hook(About::PreStop, hook),
            _ => self.terminate(now, around.record),
        }
    }

    /// SIGTERM, or what the image or the manifest has for it. However long the preStop hook took, two seconds are left to end in (`killContainer`).
    fn terminate(&mut self, now: Timestamp, record: &Record) {
        let Some(stopping) = self.stopping.as_mut().filter(|stopping| !stopping.asked) else { return };
        stopping.asked = true;
        stopping.deadline = stopping.deadline.max(now + SHORTEST);
        if let Some(run) = &self.run {
            run.terminate(&Store::new(record.store.clone()));
        }
    }

    /// Sends SIGKILL where the grace is over; SIGTERM first, where the preStop hook has used all of it.
    pub fn insist(&mut self, now: Timestamp, record: &Record) {
        let due = |stopping: &&mut Stopping| !stopping.killed && stopping.deadline <= now;
        let Some(stopping) = self.stopping.as_mut().filter(due) else { return };
        if !stopping.asked {
            return self.terminate(now, record);
        }
        stopping.killed = true;
        if let Some(run) = &self.run {
            run.signal(SIGKILL, &Store::new(record.store.clone()));
        }
    }

    /// Looks whether the container has written something, or has ended.
    pub fn look(&mut self, record: &Record) {
        let Some(run) = &mut self.run else { return };
        run.pump();
        let mut fds = [PollFd::from_borrowed_fd(run.pidfd.as_fd(), PollFlags::IN)];
        let none = Timespec { tv_sec: 0, tv_nsec: 0 };
        if !matches!(poll(&mut fds, Some(&none)), Ok(1..)) {
            return;
        }
        let Some(run) = self.run.take() else { return };
        let exit = run.finish(record);
        self.view.started = false;
        self.view.ready = self.view.kind == Kind::Init && exit.code == 0;
        self.view.state = State::Ended(exit);
        self.stopping = None;
        self.probes.clear();
    }

    /// Says that the container waits for its back-off to pass.
    pub fn show_back_off(&mut self, pod: &str) {
        if let State::Ended(exit) = &self.view.state {
            self.view.last = Some(exit.clone());
            let delay = self.backoff.delay().as_secs();
            let delay = match (delay / 60, delay % 60) {
                (0, seconds) => format!("{seconds}s"),
                (minutes, seconds) => format!("{minutes}m{seconds}s"),
            };
            let message = format!("back-off {delay} restarting failed container={} pod={pod}", self.view.name);
            self.view.state = State::Waiting { reason: "CrashLoopBackOff", message: Some(message) };
        }
    }

    /// One that waited will not be started any more: it has ended.
    pub fn settle(&mut self) {
        if let Some(last) = self.view.last.take() {
            self.view.state = State::Ended(last);
        }
    }
}
