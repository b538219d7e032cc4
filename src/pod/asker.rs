//! Questions to a container and the hooks of its life, asked aside: the supervisor waits for none of them, and hears the answer in
//! its loop.

use std::fs::File;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use k8s_openapi::api::core::v1 as api;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};

use super::probe::{self, Question};
use super::running::with_stdio;
use crate::runtime::{self, Created, Request, RuntimeError, Store, Voice};
use crate::spec::ContainerId;
use crate::spec::oci::{Process, Spec};

/// How long a hook may take: the grace of its container ends it in any case.
const HOOK: Duration = Duration::from_secs(600);

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

/// The answer to a question.
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

/// Where answers go: a channel, and the descriptor that wakes the supervisor.
#[derive(Debug, Clone)]
pub struct Hear {
    /// The channel.
    pub answers: Sender<Answer>,
    /// An eventfd(2).
    pub wake: Arc<OwnedFd>,
}

/// Whom to ask.
pub struct Asker<'a> {
    /// Index of the container.
    pub container: usize,
    /// Its run.
    pub run: u32,
    /// Its id.
    pub id: &'a ContainerId,
    /// Where the runtime keeps it.
    pub store: &'a Store,
    /// The pod's address.
    pub address: IpAddr,
    /// The container's ports, which may be named.
    pub ports: &'a [api::ContainerPort],
    /// Where the answer goes.
    pub hear: &'a Hear,
}

impl Asker<'_> {
    /// Asks a probe.
    pub fn probe(&self, place: usize, probe: &api::Probe, timeout: Duration) {
        let about = About::Probe(place);
        match &probe.exec {
            Some(action) => self.exec(about, action, timeout),
            None => {
                let ways = probe::Ways {
                    http: probe.http_get.as_ref(),
                    tcp: probe.tcp_socket.as_ref(),
                    grpc: probe.grpc.as_ref(),
                };
                self.ask(about, probe::question(ways, self.address, self.ports), timeout);
            }
        }
    }

    /// Runs a hook.
    pub fn hook(&self, about: About, hook: &api::LifecycleHandler) {
        if let Some(action) = &hook.exec {
            return self.exec(about, action, HOOK);
        }
        if let Some(sleep) = &hook.sleep {
            let length = Duration::from_secs(u64::try_from(sleep.seconds).unwrap_or(0));
            return self.aside(about, move || {
                std::thread::sleep(length);
                Ok(())
            });
        }
        let ways = probe::Ways { http: hook.http_get.as_ref(), tcp: hook.tcp_socket.as_ref(), grpc: None };
        self.ask(about, probe::question(ways, self.address, self.ports), HOOK);
    }

    fn ask(&self, about: About, question: Result<Question, String>, timeout: Duration) {
        self.aside(about, move || question.and_then(|question| question.ask(timeout)));
    }

    /// Starts the program here, where nobody else changes our stdio meanwhile, and waits for its end aside.
    fn exec(&self, about: About, action: &api::ExecAction, timeout: Duration) {
        let started = self.start(action.command.clone().unwrap_or_default());
        self.aside(about, move || started.and_then(|created| ended_well(&created, timeout)));
    }

    /// What the program says is nobody's: it gets /dev/null.
    fn start(&self, command: Vec<String>) -> Result<Created, String> {
        let process = |spec: &Spec| -> Result<Process, RuntimeError> {
            let mut process = spec.process().clone().unwrap_or_default();
            process.set_args(Some(command));
            Ok(process)
        };
        let null: OwnedFd = File::options().write(true).open("/dev/null").map_err(|error| error.to_string())?.into();
        let request = Request::default();
        with_stdio(&null, &null, || runtime::exec(self.store, self.id, &request, &Voice::silent(), process))
            .map_err(|error| error.to_string())?
            .map_err(|error| error.to_string())
    }

    fn aside(&self, about: About, work: impl FnOnce() -> Result<(), String> + Send + 'static) {
        let (hear, container, run) = (self.hear.clone(), self.container, self.run);
        std::thread::spawn(move || {
            let said = work();
            // The pod may be over meanwhile: then nobody listens.
            let _ = hear.answers.send(Answer { container, run, about, said });
            let _ = rustix::io::write(&*hear.wake, &1u64.to_ne_bytes());
        });
    }
}

/// Waits for a program's end, at most `timeout`: then it is killed.
fn ended_well(created: &Created, timeout: Duration) -> Result<(), String> {
    let limit = Timespec { tv_sec: timeout.as_secs() as i64, tv_nsec: i64::from(timeout.subsec_nanos()) };
    let in_time = loop {
        match poll(&mut [PollFd::new(&created.pidfd, PollFlags::IN)], Some(&limit)) {
            Err(rustix::io::Errno::INTR) => {}
            other => break matches!(other, Ok(1..)),
        }
    };
    if !in_time {
        let _ = pidfd_send_signal(&created.pidfd, Signal::KILL);
    }
    let status = waitid(WaitId::PidFd(created.pidfd.as_fd()), WaitIdOptions::EXITED);
    match (in_time, status.ok().flatten().and_then(|status| status.exit_status())) {
        (false, _) => Err(format!("command timed out after {} s", timeout.as_secs())),
        (true, Some(0)) => Ok(()),
        (true, Some(code)) => Err(format!("command ended with {code}")),
        (true, None) => Err("command was killed".into()),
    }
}
