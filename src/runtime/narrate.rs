//! Telling what is done as it is done: [`Voice`] reads what our processes record ([`crate::sys::witness`]), puts it together
//! step by step, and tells it to a [`Listener`]. A voice that is silent costs a branch.

use std::cell::RefCell;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::error::RuntimeError;
use crate::plan::{Alone, Lane, Placed, Plan};
use crate::sys::witness::{self, Seen, What, Witness};
pub use crate::sys::witness::{Bits, Outcome, Shown, Who};
use crate::sys::{self, Call};

/// How often a voice looks for news while it waits, in nanoseconds.
const LOOK: i64 = 1_000_000;

/// The lane number of what is in no plan.
const OWN: u8 = 15;

/// What we do for ourselves, and no plan has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Own {
    /// A directory for what is known of the container.
    Directory,
    /// What is known of it, written down.
    Record,
    /// The socket that `start` connects to.
    Listen,
    /// The socket by which the program says that it is ready.
    Notify,
    /// A process in between, which joins before the container's own is made.
    Between,
    /// The process id and other things for whoever called us.
    HandOver,
    /// A process that cannot go on is ended.
    End,
    /// Its processes ended, its cgroup and records removed.
    Remove,
    /// Hooks that run once the program does.
    AfterStart,
}

impl Own {
    const ALL: [Own; 9] = [
        Own::Directory,
        Own::Record,
        Own::Listen,
        Own::Notify,
        Own::Between,
        Own::HandOver,
        Own::End,
        Own::Remove,
        Own::AfterStart,
    ];
}

/// A call, as it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// By which process.
    pub who: Who,
    /// Which.
    pub call: Call,
    /// With what.
    pub arguments: Vec<Shown>,
    /// What came of it.
    pub outcome: Outcome,
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Done.
    Done,
    /// It failed, by the last of its calls.
    Failed,
    /// It goes on when we are gone: a created container waits for `start`.
    Waits,
}

/// What is told of.
#[derive(Debug, Clone, Copy)]
pub enum Subject<'a> {
    /// A step, how a shell does it, and the container's id.
    Step(Placed<'a>, &'a Alone, &'a str),
    /// What no plan has.
    Own(Own),
}

/// A step that has been done.
#[derive(Debug)]
pub struct Told<'a> {
    /// Which.
    pub subject: Subject<'a>,
    /// The calls that it was made of, in order.
    pub calls: &'a [Made],
    /// How long it took; none where no clock could be looked at behind a system call filter, or where it has no end.
    pub took: Option<Duration>,
    /// How it ended.
    pub end: End,
}

/// A step that is about to be done.
#[derive(Debug)]
pub struct Pause<'a> {
    /// Which.
    pub next: Placed<'a>,
    /// Of which plan.
    pub plan: &'a Plan,
    /// The process that waits, by its id in our PID namespace; none before it exists.
    pub process: Option<i32>,
}

/// What to do at a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Do the step.
    Go,
    /// Do nothing more, and leave nothing.
    Abort,
}

/// Whoever is told.
pub trait Listener {
    /// A step has been done.
    fn told(&mut self, told: &Told<'_>);

    /// A step that was to be stopped at is about to be done.
    fn pause(&mut self, pause: &Pause<'_>) -> Answer;

    /// Whether to stop before a step.
    fn stops_at(&self, step: &Placed<'_>) -> bool;

    /// So many calls found no place in memory and cannot be told.
    fn lost(&mut self, calls: u64);
}

/// Tells, or is silent.
#[derive(Default)]
pub struct Voice(Option<RefCell<Speaker>>);

struct Speaker {
    witness: Witness,
    listener: Box<dyn Listener>,
    plan: Option<Rc<Plan>>,
    shells: Vec<Alone>,
    process: Option<(i32, OwnedFd)>,
    open: Vec<Open>,
}

/// A step that has begun.
struct Open {
    step: (u8, u32),
    began: Option<u64>,
    calls: Vec<Made>,
    /// It was told before its end, as there may be none.
    told: bool,
}

impl Voice {
    /// One that says nothing.
    pub fn silent() -> Voice {
        Voice(None)
    }

    /// One that tells `listener`.
    pub fn new(listener: Box<dyn Listener>) -> Result<Voice, RuntimeError> {
        let witness = Witness::call().map_err(|failure| RuntimeError::Call {
            what: "make memory for the narration".to_string(),
            cause: failure.to_string(),
        })?;
        Ok(Voice(Some(RefCell::new(Speaker {
            witness,
            listener,
            plan: None,
            shells: Vec::new(),
            process: None,
            open: Vec::new(),
        }))))
    }

    /// What is done from here on is this plan.
    pub(super) fn follow(&self, plan: &Plan) {
        let Some(speaker) = &self.0 else { return };
        let mut speaker = speaker.borrow_mut();
        speaker.catch_up(true);
        (speaker.plan, speaker.process) = (Some(Rc::new(plan.clone())), None);
        speaker.shells = plan.shells();
        speaker.set_stops();
    }

    /// The process that the plan is about.
    pub(super) fn born(&self, pid: i32, pidfd: BorrowedFd<'_>) {
        if let (Some(speaker), Ok(pidfd)) = (&self.0, pidfd.try_clone_to_owned()) {
            speaker.borrow_mut().process = Some((pid, pidfd));
        }
    }

    /// Does a step of ours.
    pub(super) fn step<T>(
        &self,
        lane: Lane,
        index: usize,
        work: impl FnOnce() -> Result<T, RuntimeError>,
    ) -> Result<T, RuntimeError> {
        let Some(speaker) = &self.0 else { return work() };
        speaker.borrow_mut().before(lane, index)?;
        // Not a number that anything stops at: we have stopped already.
        witness::begin(lane as u8, index as u32, usize::MAX);
        let done = work();
        witness::end(done.is_err());
        speaker.borrow_mut().catch_up(false);
        done
    }

    /// Does our part of a step that another process is at, and waits in.
    pub(super) fn within<T>(&self, lane: Lane, index: usize, work: impl FnOnce() -> T) -> T {
        witness::beside(lane as u8, index as u32);
        let done = work();
        witness::beside(lane as u8, u32::MAX);
        done
    }

    /// Does what no plan has.
    pub fn own<T, E>(&self, own: Own, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let Some(speaker) = &self.0 else { return work() };
        witness::begin(OWN, own as u32, usize::MAX);
        let done = work();
        witness::end(done.is_err());
        speaker.borrow_mut().catch_up(false);
        done
    }

    /// Waits until `descriptor` has something to read, and tells meanwhile.
    pub(super) fn wait(&self, descriptor: BorrowedFd<'_>) -> Result<(), RuntimeError> {
        let Some(speaker) = &self.0 else { return Ok(()) };
        let limit = Timespec { tv_sec: 0, tv_nsec: LOOK };
        loop {
            let ready = poll(&mut [PollFd::from_borrowed_fd(descriptor, PollFlags::IN)], Some(&limit));
            speaker.borrow_mut().look()?;
            if matches!(ready, Ok(1..)) {
                return Ok(());
            }
        }
    }

    /// All that is known is told; what has begun and not ended has ended so.
    pub(super) fn over(&self, end: End) {
        let Some(speaker) = &self.0 else { return };
        let mut speaker = speaker.borrow_mut();
        speaker.catch_up(true);
        while !speaker.open.is_empty() {
            let open = speaker.open.remove(0);
            if !open.told {
                speaker.tell(&open, None, end);
            }
        }
        speaker.plan = None;
        speaker.clear_stops();
    }
}

impl Speaker {
    fn catch_up(&mut self, all: bool) {
        while let Some(seen) = self.witness.next(all) {
            self.take(seen);
        }
    }

    /// As [`Speaker::catch_up`], and answers a process that has stopped.
    fn look(&mut self) -> Result<(), RuntimeError> {
        while let Some(seen) = self.witness.next(false) {
            match seen.what {
                What::Stopped => self.stopped(seen.step)?,
                _ => self.take(seen),
            }
        }
        Ok(())
    }

    /// The process looks at memory until it is released, so it is stopped while a person thinks.
    fn stopped(&mut self, (lane, index): (u8, u32)) -> Result<(), RuntimeError> {
        const SIGSTOP: i32 = nix::sys::signal::Signal::SIGSTOP as i32;
        const SIGCONT: i32 = nix::sys::signal::Signal::SIGCONT as i32;
        let signal = |speaker: &Speaker, signal| {
            if let Some((_, process)) = &speaker.process {
                let _ = sys::send_signal(process.as_fd(), signal);
            }
        };
        signal(self, SIGSTOP);
        let answer = lane_of(lane).map_or(Ok(()), |lane| self.before(lane, index as usize));
        self.witness.release();
        signal(self, SIGCONT);
        answer
    }

    /// Stops before a step where that is wanted.
    fn before(&mut self, lane: Lane, index: usize) -> Result<(), RuntimeError> {
        let Some(plan) = self.plan.clone() else { return Ok(()) };
        let Some(next) = plan.step(lane, index).filter(|next| self.listener.stops_at(next)) else { return Ok(()) };
        let process = self.process.as_ref().map(|(pid, _)| *pid);
        let answer = self.listener.pause(&Pause { next, plan: &plan, process });
        self.set_stops();
        match answer {
            Answer::Go => Ok(()),
            Answer::Abort => Err(RuntimeError::Aborted { number: next.number, step: next.step.name() }),
        }
    }

    /// Only processes other than ours are stopped by the witness.
    fn set_stops(&mut self) {
        let Some(plan) = self.plan.clone() else { return };
        for placed in plan.steps().filter(|placed| matches!(placed.lane, Lane::Between | Lane::Init)) {
            self.witness.stop_at(placed.number, self.listener.stops_at(&placed));
        }
    }

    fn clear_stops(&mut self) {
        (0..4096).for_each(|number| self.witness.stop_at(number, false));
        match self.witness.lost() {
            0 => {}
            lost => self.listener.lost(lost),
        }
    }

    fn take(&mut self, seen: Seen) {
        let at = self.open.iter().position(|open| open.step == seen.step);
        match seen.what {
            What::Began => self.open.push(Open { step: seen.step, began: seen.at, calls: Vec::new(), told: false }),
            What::Made { call, arguments, outcome } => {
                let Some(open) = at.map(|at| &mut self.open[at]) else { return };
                // One that was thought gone has come back.
                let back = |last: &mut Made| last.call == call && last.who == seen.who && last.outcome == Outcome::Gone;
                if open.calls.last_mut().is_some_and(back) {
                    open.calls.pop();
                }
                open.calls.push(Made { who: seen.who, call, arguments, outcome });
                let (lane, index) = seen.step;
                let birth = lane == Lane::Clone as u8 || (lane, index) == (OWN, Own::Between as u32);
                let execute = call == Call::Execve && seen.who == Who::Process && outcome == Outcome::Gone;
                // The new process begins at once.
                if birth {
                    let failed = matches!(outcome, Outcome::Failed(_));
                    self.close(at, seen.at, if failed { End::Failed } else { End::Done });
                }
                // A program does not say that it has begun; if it has not, this is told again.
                if execute && let Some(at) = at {
                    let mut open = self.open.remove(at);
                    self.tell(&open, None, End::Done);
                    open.told = true;
                    self.open.push(open);
                }
            }
            What::Ended => self.close(at, seen.at, End::Done),
            What::Failed => self.close(at, seen.at, End::Failed),
            // Only a process that is being ended is not waited for.
            What::Stopped => self.witness.release(),
        }
    }

    fn close(&mut self, at: Option<usize>, ended: Option<u64>, end: End) {
        if let Some(at) = at {
            let open = self.open.remove(at);
            self.tell(&open, ended, end);
        }
    }

    fn tell(&mut self, open: &Open, ended: Option<u64>, end: End) {
        let took = open.began.zip(ended).map(|(began, ended)| Duration::from_nanos(ended.saturating_sub(began)));
        let (lane, index) = open.step;
        let plan = self.plan.clone();
        let subject = match lane_of(lane) {
            Some(lane) => {
                let placed = plan.as_ref().and_then(|plan| Some((plan.step(lane, index as usize)?, plan)));
                placed.and_then(|(placed, plan)| {
                    Some(Subject::Step(placed, self.shells.get(placed.number - 1)?, &plan.id))
                })
            }
            None => Own::ALL.into_iter().find(|own| *own as u32 == index).map(Subject::Own),
        };
        // Looking is nothing to tell of.
        let idle = matches!(subject, Some(Subject::Own(_))) && open.calls.is_empty();
        if let Some(subject) = subject.filter(|_| !idle) {
            self.listener.told(&Told { subject, calls: &open.calls, took, end });
        }
    }
}

fn lane_of(number: u8) -> Option<Lane> {
    let lanes = [Lane::Host, Lane::Between, Lane::Clone, Lane::Beside, Lane::Hooks, Lane::Init];
    lanes.into_iter().find(|lane| *lane as u8 == number)
}
