//! A guided lab: the learner works in a real shell, the guide looks at the kernel's files from outside and answers when
//! the shell asks.
//!
//! The shell asks over a socket: before every prompt (then it hears what is new), and when the learner types `hint`,
//! `solve` and so on. A shell in another terminal joins over it ([`JOINS`]). What is new while the shell waits at its prompt is handed to the caller at once.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::{Deserialize, Serialize};

use super::attempt::{Walk, Walked};
use super::judge::{Verdict, Watch, all_hold};
use super::run::{RunError, Session};
use super::script::Step;
use super::typist::commands;

/// Name of the socket in the run's directory.
pub const SOCKET: &str = "socket";

/// What a shell in another terminal says, with its process id, to be the learner's.
pub const JOINS: &str = "shell ";

/// Stands in an answer where a reader may be given a pause.
pub const PAUSE: char = '\u{c}';

/// How often the kernel's files are looked at while the shell is silent.
const LOOK: Duration = Duration::from_millis(200);

/// What the shell hears when it asks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// What to print. [`PAUSE`] stands where a reader is given one, if it does not all fit on the screen.
    pub text: String,
    /// What to say at a pause.
    pub pause: String,
    /// A script to run afterwards, in the learner's own terminal.
    pub run: Option<String>,
}

/// Something to tell the learner.
#[derive(Debug, Clone)]
pub enum Told<'l> {
    /// A step is entered: its words and its command.
    Entered(usize),
    /// A check holds that did not before.
    Ticked(Verdict),
    /// A slip was recognised: step and slip.
    Slipped(usize, usize),
    /// A step is done.
    Done(usize),
    /// The last step is done.
    Finished,
    /// The n-th hint (from 0) of a step.
    Hint(usize, usize),
    /// The step's solution, and that it is about to run.
    Solution(&'l Step),
    /// How far the learner is: the step, and its checks now.
    Status(usize, Vec<Verdict>),
    /// There is no step before the first.
    AtFirst,
    /// A shell in another terminal is the learner's from now on.
    Joined,
}

/// What a learner did, for the file of progress.
#[derive(Debug, Clone, Default)]
pub struct Log {
    /// Steps done by the learner's own commands.
    pub done: Vec<String>,
    /// Steps that the runner solved or skipped.
    pub solved: Vec<String>,
    /// Hints given.
    pub hints: u32,
    /// Whether the last step was done.
    pub finished: bool,
    /// The steps that were done, as they were.
    pub walked: Vec<Walked>,
}

/// The guide of one lab.
pub struct Guide<'l> {
    session: Session<'l>,
    listener: UnixListener,
    step: usize,
    watch: Watch,
    slips: Vec<(Watch, bool)>,
    ticked: Vec<bool>,
    seen: Vec<Verdict>,
    hints: usize,
    helped: bool,
    walk: Option<Walk>,
    log: Log,
}

impl<'l> Guide<'l> {
    /// Opens the socket and enters a step.
    ///
    /// # Errors
    /// If the socket cannot be made, or the scene of the step cannot be set.
    pub fn open(mut session: Session<'l>, step: usize) -> Result<Guide<'l>, RunError> {
        let listener = UnixListener::bind(session.scene().dir().join(SOCKET))?;
        listener.set_nonblocking(true)?;
        if step > 0 {
            session.enter_afresh(step)?;
        } else {
            session.enter(step)?;
        }
        let watch = session.watch(&[])?;
        session.scene().place().save()?;
        let (slips, ticked, seen, log) = (Vec::new(), Vec::new(), Vec::new(), Log::default());
        Ok(Guide { session, listener, step, watch, slips, ticked, seen, hints: 0, helped: false, walk: None, log })
    }

    /// The session, to start the learner's shell in.
    pub fn session(&mut self) -> &mut Session<'l> {
        &mut self.session
    }

    /// The number of the open step, from 0; the number of steps once all are done.
    pub fn step(&self) -> usize {
        self.step
    }

    /// The checks of the open step, as they were seen last.
    pub fn seen(&self) -> &[Verdict] {
        &self.seen
    }

    /// Begins to watch the open step, once the learner's shell is known.
    ///
    /// # Errors
    /// If a signal comes.
    pub fn begin(&mut self) -> Result<(), RunError> {
        let steps = &self.session.lab().steps;
        let Some(step) = steps.get(self.step) else { return Ok(()) };
        self.watch = self.session.watch(&step.checks)?;
        self.slips.clear();
        for slip in &step.slips {
            self.slips.push((self.session.watch(&slip.when)?, false));
        }
        self.ticked = vec![false; step.checks.len()];
        self.seen.clear();
        self.hints = 0;
        self.helped = false;
        self.walk = Some(Walk::begin(step));
        Ok(())
    }

    /// Waits for the shell to ask, at most a moment, and answers it with `say`. Returns what is new if nobody asked.
    ///
    /// # Errors
    /// If a step's scene cannot be set, or the socket fails.
    pub fn turn(&mut self, say: &dyn Fn(&[Told<'l>]) -> Answer) -> Result<Vec<Told<'l>>, RunError> {
        let timeout = Timespec { tv_sec: 0, tv_nsec: LOOK.subsec_nanos().into() };
        let asked = match poll(&mut [PollFd::new(&self.listener, PollFlags::IN)], Some(&timeout)) {
            Ok(ready) => ready > 0,
            Err(rustix::io::Errno::INTR) => false,
            Err(error) => return Err(io::Error::from(error).into()),
        };
        if !asked {
            return self.news();
        }
        let (mut stream, _) = self.listener.accept()?;
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        // Whoever connects and says nothing, or is gone before the answer, loses that answer and nothing else.
        let Ok(word) = hear(&stream) else { return Ok(Vec::new()) };
        let mut told = self.news()?;
        let run = self.answer(&word, &mut told)?;
        let answer = Answer { run, ..say(&told) };
        let _ = stream.write_all(serde_json::to_string(&answer).map_err(io::Error::other)?.as_bytes());
        Ok(Vec::new())
    }

    /// Ends the session; what it left on the machine, and what the learner did.
    ///
    /// # Errors
    /// With what could not be taken away.
    pub fn close(self) -> Result<(Vec<super::residue::Thing>, Log), RunError> {
        Ok((self.session.close()?, self.log))
    }

    /// Looks at the kernel's files; a step that is done leads to the next.
    fn news(&mut self) -> Result<Vec<Told<'l>>, RunError> {
        let mut news = Vec::new();
        let steps = &self.session.lab().steps;
        let Some(step) = steps.get(self.step) else { return Ok(news) };
        // Nobody works here yet: the learner's shell has still to join.
        if self.walk.is_none() {
            return Ok(news);
        }
        let verdicts = self.session.look(&mut self.watch);
        self.seen.clone_from(&verdicts);
        for (verdict, ticked) in verdicts.iter().zip(&mut self.ticked).filter(|(verdict, _)| verdict.holds) {
            if !std::mem::replace(ticked, true) {
                news.push(Told::Ticked(verdict.clone()));
            }
        }
        if let Some(walk) = &mut self.walk {
            walk.sample(self.session.scene().scope());
        }
        if all_hold(&verdicts) {
            news.push(Told::Done(self.step));
            if let Some(walk) = &mut self.walk {
                self.log.walked.retain(|walked| walked.id != step.id);
                self.log.walked.push(walk.end(&verdicts, self.helped));
            }
            if self.helped { &mut self.log.solved } else { &mut self.log.done }.push(step.id.clone());
            self.step += 1;
            if self.step == steps.len() {
                self.log.finished = true;
                news.push(Told::Finished);
            } else {
                self.session.enter(self.step)?;
                self.begin()?;
                news.push(Told::Entered(self.step));
            }
            return Ok(news);
        }
        for (at, (watch, said)) in self.slips.iter_mut().enumerate().filter(|(_, (_, said))| !said) {
            if all_hold(&watch.look(self.session.scene().scope())) {
                *said = true;
                news.push(Told::Slipped(self.step, at));
                if let Some(walk) = &mut self.walk {
                    walk.slipped(&step.slips[at].id);
                }
            }
        }
        Ok(news)
    }

    fn answer(&mut self, word: &str, told: &mut Vec<Told<'l>>) -> Result<Option<String>, RunError> {
        let steps = &self.session.lab().steps;
        let open = steps.get(self.step);
        match (word, open) {
            ("hint", Some(step)) => {
                let known = self.session.lab().en.step(&step.id).map_or(0, |words| words.hints.len());
                told.push(Told::Hint(self.step, self.hints.min(known.saturating_sub(1))));
                self.hints += 1;
                self.log.hints += 1;
                if let Some(walk) = &mut self.walk {
                    walk.hinted();
                }
            }
            ("solve", Some(step)) => {
                self.helped = true;
                told.push(Told::Solution(step));
                return Ok(Some(spoken(&step.solve)));
            }
            ("skip", Some(step)) => {
                self.log.solved.push(step.id.clone());
                self.jump(self.step + 1, told)?;
            }
            ("back", _) if self.step == 0 => told.push(Told::AtFirst),
            ("back", _) => self.jump(self.step - 1, told)?,
            ("status", Some(_)) => {
                let verdicts = self.session.look(&mut self.watch);
                told.push(Told::Status(self.step, verdicts));
            }
            (joins, _) if joins.starts_with(JOINS) => {
                let pid = joins.trim_start_matches(JOINS).trim().parse().unwrap_or_default();
                if self.session.needs_learner() && super::processes::start_time(pid).is_ok() {
                    self.session.set_learner(pid);
                    if self.walk.is_none() {
                        self.begin()?;
                    }
                    told.push(Told::Joined);
                }
            }
            ("lesson", Some(_)) => told.push(Told::Entered(self.step)),
            ("hint" | "solve" | "skip" | "status" | "lesson", None) => told.push(Told::Finished),
            _ => {}
        }
        Ok(None)
    }

    /// Enters another step from a fresh scene.
    fn jump(&mut self, step: usize, told: &mut Vec<Told<'l>>) -> Result<(), RunError> {
        self.step = step;
        if step == self.session.lab().steps.len() {
            self.log.finished = true;
            told.push(Told::Finished);
            return Ok(());
        }
        self.session.enter_afresh(step)?;
        self.begin()?;
        told.push(Told::Entered(step));
        Ok(())
    }
}

fn hear(stream: &UnixStream) -> io::Result<String> {
    let mut word = String::new();
    BufReader::new(stream).read_line(&mut word)?;
    Ok(word.trim().to_string())
}

/// A script that says each command before it runs it.
fn spoken(script: &str) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
    let say_and_do = |command: &String| format!("printf '$ %s\\n' {}\n{command}\n", quoted(command));
    commands(script).iter().map(say_and_do).collect()
}

#[cfg(test)]
mod tests {
    use super::spoken;

    #[test]
    fn a_solution_is_said_before_it_is_done() {
        let script = spoken("echo 'a b'\ntrue");
        let ran = std::process::Command::new("sh").args(["-c", &script]).output().expect("sh runs");
        assert_eq!(String::from_utf8_lossy(&ran.stdout), "$ echo 'a b'\na b\n$ true\n");
    }
}
