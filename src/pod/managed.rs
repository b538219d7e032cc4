//! One container in the supervisor's hands: its state, its run, its probes and hooks, and how it is stopped.

use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1 as api;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::backoff::BackOff;
use super::next;
use super::probe::{self, Prober, Purpose, Question};
use super::record::Record;
use super::running::{NotStarted, Running};
use super::state::{Container, Exit, State};
use crate::kube::pod::Kind;
use crate::runtime::Store;

const SIGKILL: i32 = nix::sys::signal::Signal::SIGKILL as i32;
const SIGTERM: i32 = nix::sys::signal::Signal::SIGTERM as i32;

/// How long a container whose config cannot be made waits for the next try.
const RETRY: Duration = Duration::from_secs(10);

/// How long a hook's call may take.
const HOOK: Duration = Duration::from_secs(30);

/// What a question was about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// A probe, by its place in the list.
    Probe(usize),
    /// The postStart hook.
    PostStart,
    /// The preStop hook.
    PreStop,
}

/// The answer to a question that a thread has asked.
#[derive(Debug)]
pub struct Answer {
    /// Index of the container.
    pub container: usize,
    /// The run that it was asked of.
    pub run: u32,
    /// What it was about.
    pub about: About,
    /// What came of it.
    pub said: Result<(), String>,
}

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
    /// A container that has not been started.
    pub fn new(spec: api::Container, kind: Kind) -> Managed {
        let reason = if kind == Kind::App { "PodInitializing" } else { "ContainerCreating" };
        let view = Container {
            name: spec.name.clone(),
            kind,
            state: State::Waiting { reason, message: None },
            last: None,
            restarts: 0,
            started: false,
            ready: false,
        };
        Managed {
            spec,
            view,
            backoff: BackOff::default(),
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
            self.backoff.restarted(finished, now);
            self.view.restarts += 1;
        }
        if let State::Ended(exit) = &self.view.state {
            self.view.last = Some(exit.clone());
        }
        self.not_before = None;
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
    pub fn ask(
        &mut self,
        index: usize,
        now: Timestamp,
        address: IpAddr,
        answers: &Sender<Answer>,
        wake: &Arc<OwnedFd>,
    ) {
        if self.run.is_none() || self.stopping.is_some() {
            return;
        }
        let run = self.runs;
        let ports = self.spec.ports.clone().unwrap_or_default();
        let asker = Asker { container: index, run, answers, wake };
        if self.post_start == Hook::Todo {
            self.post_start = Hook::Asked;
            let hook = self.spec.lifecycle.as_ref().and_then(|lifecycle| lifecycle.post_start.clone());
            asker.ask_hook(About::PostStart, hook, address, &ports);
        }
        let starting = self.probes.iter().any(|probe| probe.purpose == Purpose::Startup);
        for (place, prober) in self.probes.iter_mut().enumerate() {
            let turn = !starting || prober.purpose == Purpose::Startup;
            if turn && prober.due.is_some_and(|due| due <= now) {
                prober.due = None;
                let given = (prober.probe.http_get.as_ref(), prober.probe.tcp_socket.as_ref());
                let question = probe::question(given.0, given.1, address, &ports);
                asker.ask(About::Probe(place), question, prober.timeout());
            }
        }
    }

    /// Takes the answer to a question.
    pub fn take(&mut self, answer: Answer, now: Timestamp, record: &Record) {
        if self.run.is_none() || answer.run != self.runs {
            return;
        }
        match answer.about {
            About::PostStart => match answer.said {
                Ok(()) => {
                    self.post_start = Hook::Done;
                    self.settle_started();
                }
                Err(_) => self.kill(now, record, None),
            },
            About::PreStop => self.terminate(record),
            About::Probe(place) => self.judge(place, answer.said.is_ok(), now, record),
        }
    }

    fn judge(&mut self, place: usize, success: bool, now: Timestamp, record: &Record) {
        let Some(prober) = self.probes.get_mut(place) else { return };
        let purpose = prober.purpose;
        let grace = prober.probe.termination_grace_period_seconds;
        match (purpose, prober.take(success, now)) {
            (Purpose::Startup, Some(probe::Verdict::Passes)) => {
                self.probes.remove(place);
                self.settle_started();
            }
            (Purpose::Readiness, Some(verdict)) => self.view.ready = verdict == probe::Verdict::Passes,
            (Purpose::Startup | Purpose::Liveness, Some(probe::Verdict::Fails)) => self.kill(now, record, grace),
            (Purpose::Liveness, Some(probe::Verdict::Passes)) | (_, None) => {}
        }
    }

    /// Ends this run, with the grace of the pod or of the probe that failed; the policy says what comes after.
    fn kill(&mut self, now: Timestamp, record: &Record, grace: Option<i64>) {
        let of_pod = record.pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds).unwrap_or(30);
        let seconds = u64::try_from(grace.unwrap_or(of_pod)).unwrap_or(0).max(2);
        if self.stopping.is_none() {
            self.view.ready = false;
            self.stopping =
                Some(Stopping { deadline: now + Duration::from_secs(seconds), asked: false, killed: false });
            self.terminate(record);
        }
    }

    /// Begins to stop the container: its preStop hook, then SIGTERM; SIGKILL at the deadline. A second call may only bring the
    /// deadline forward.
    pub fn stop(
        &mut self,
        index: usize,
        deadline: Timestamp,
        record: &Record,
        address: IpAddr,
        answers: &Sender<Answer>,
        wake: &Arc<OwnedFd>,
    ) {
        if let Some(stopping) = &mut self.stopping {
            stopping.deadline = stopping.deadline.min(deadline);
            return;
        }
        self.view.ready = false;
        self.stopping = Some(Stopping { deadline, asked: false, killed: false });
        let hook = self.spec.lifecycle.as_ref().and_then(|lifecycle| lifecycle.pre_stop.clone());
        match hook {
            Some(hook) => {
                let ports = self.spec.ports.clone().unwrap_or_default();
                let asker = Asker { container: index, run: self.runs, answers, wake };
                asker.ask_hook(About::PreStop, Some(hook), address, &ports);
            }
            None => self.terminate(record),
        }
    }

    fn terminate(&mut self, record: &Record) {
        let Some(stopping) = self.stopping.as_mut().filter(|stopping| !stopping.asked) else { return };
        stopping.asked = true;
        if let Some(run) = &self.run {
            run.signal(SIGTERM, &Store::new(record.store.clone()));
        }
    }

    /// Sends SIGKILL where the grace is over.
    pub fn insist(&mut self, now: Timestamp, record: &Record) {
        let Some(stopping) = self.stopping.as_mut().filter(|stopping| !stopping.killed && stopping.deadline <= now)
        else {
            return;
        };
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

/// Who asks: threads, so that nobody waits for an answer but they.
struct Asker<'a> {
    container: usize,
    run: u32,
    answers: &'a Sender<Answer>,
    wake: &'a Arc<OwnedFd>,
}

impl Asker<'_> {
    fn ask(&self, about: About, question: Result<Question, String>, timeout: Duration) {
        self.spawn(about, move || question.and_then(|question| question.ask(timeout)));
    }

    fn ask_hook(
        &self,
        about: About,
        hook: Option<api::LifecycleHandler>,
        address: IpAddr,
        ports: &[api::ContainerPort],
    ) {
        let hook = hook.unwrap_or_default();
        if let Some(sleep) = hook.sleep {
            let length = Duration::from_secs(u64::try_from(sleep.seconds).unwrap_or(0));
            return self.spawn(about, move || {
                std::thread::sleep(length);
                Ok(())
            });
        }
        let question = probe::question(hook.http_get.as_ref(), hook.tcp_socket.as_ref(), address, ports);
        self.ask(about, question, HOOK);
    }

    fn spawn(&self, about: About, work: impl FnOnce() -> Result<(), String> + Send + 'static) {
        let (answers, wake, container, run) = (self.answers.clone(), self.wake.clone(), self.container, self.run);
        std::thread::spawn(move || {
            let said = work();
            // The pod may be over meanwhile: then nobody listens.
            let _ = answers.send(Answer { container, run, about, said });
            let _ = rustix::io::write(&*wake, &1u64.to_ne_bytes());
        });
    }
}
