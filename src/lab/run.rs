//! Going through a lab: entering steps, typing commands, waiting for the kernel to show what was expected.
//!
//! A session tells what happens as [`Event`]s and prints nothing; who shows them decides how.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use super::check::Check;
use super::interrupt::Interrupt;
use super::judge::{Verdict, Watch, all_hold};
use super::machine::Machine;
use super::residue::Thing;
use super::scene::{Scene, SceneError};
use super::script::Lab;
use super::typist::{TypeError, Typist, commands};

/// How often the kernel's files are read while something is awaited.
pub const POLL: Duration = Duration::from_millis(100);

/// What happens in a session.
#[derive(Debug)]
pub enum Event<'a> {
    /// This command is about to be typed.
    Typing(&'a str),
    /// It printed this line.
    Output(&'a str),
    /// The checks were looked at.
    Looked(&'a [Verdict]),
}

/// Why a session cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The scene could not be set.
    #[error(transparent)]
    Scene(#[from] SceneError),
    /// A signal asked the runner to end.
    #[error("interrupted by signal {0}")]
    Interrupted(i32),
    /// A command of the lab left with another status than 0.
    #[error("`{command}` left with exit status {status}")]
    Failed {
        /// The command.
        command: String,
        /// Its exit status.
        status: i32,
        /// The last lines that it printed.
        output: Vec<String>,
    },
    /// A command of the lab never came to a status.
    #[error("`{command}`: {source}")]
    Lost {
        /// The command.
        command: String,
        /// What became of it.
        source: TypeError,
    },
    /// The machine refused something of the runner's own.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// One run of one variant of a lab.
#[derive(Debug)]
pub struct Session<'l> {
    lab: &'l Lab,
    scene: Scene,
    typist: Option<Typist>,
    interrupt: Interrupt,
    /// The shell that a learner types into, if one does.
    learner: Option<i32>,
}

impl<'l> Session<'l> {
    /// Sets the scene for the variant that `seed` picks.
    ///
    /// # Errors
    /// If the machine refuses.
    pub fn open(lab: &'l Lab, seed: u64, machine: &Machine, interrupt: &Interrupt) -> Result<Session<'l>, RunError> {
        let scene = Scene::set(lab, lab.vars.pick(seed), machine.cgroup.clone())?;
        Ok(Session { lab, scene, typist: None, interrupt: interrupt.clone(), learner: None })
    }

    /// Makes the shell known that a learner types into.
    pub fn set_learner(&mut self, pid: i32) {
        self.learner = Some(pid);
        self.scene.set_shell(pid);
    }

    /// Whether no learner's shell is known that lives.
    pub fn needs_learner(&self) -> bool {
        self.learner.is_none_or(|pid| super::processes::start_time(pid).is_err())
    }

    /// The lab.
    pub fn lab(&self) -> &'l Lab {
        self.lab
    }

    /// Whether a signal asks the runner to end.
    pub fn interrupted(&self) -> Option<i32> {
        self.interrupt.came()
    }

    /// The scene.
    pub fn scene(&self) -> &Scene {
        &self.scene
    }

    /// Enters a step from a fresh scene: what the steps before it leave is made again, then its own `setup` is typed.
    ///
    /// The learner's shell, if there is one, lives on.
    ///
    /// # Errors
    /// If one of these commands fails.
    pub fn enter_afresh(&mut self, step: usize) -> Result<(), RunError> {
        self.typist = None;
        if self.learner.is_none() {
            self.scene.quiet()?;
        }
        self.scene.renew()?;
        for earlier in &self.lab.steps[..step] {
            self.perform(&earlier.setup, None, &mut |_| ())?;
            self.perform(&earlier.replay, None, &mut |_| ())?;
        }
        self.enter(step)
    }

    /// Enters a step from where the one before it ended: only its `setup` is typed.
    ///
    /// # Errors
    /// If one of these commands fails.
    pub fn enter(&mut self, step: usize) -> Result<(), RunError> {
        self.perform(&self.lab.steps[step].setup, None, &mut |_| ())
    }

    /// Begins to watch checks.
    ///
    /// # Errors
    /// If the shell that they may ask about cannot be started.
    pub fn watch(&mut self, checks: &[Check]) -> Result<Watch, RunError> {
        if self.learner.is_none() {
            self.typist()?;
        }
        Ok(Watch::start(checks, self.scene.scope()))
    }

    /// Looks at the checks once.
    pub fn look(&self, watch: &mut Watch) -> Vec<Verdict> {
        watch.look(self.scene.scope())
    }

    /// Types a script, command by command. A watch, if there is one, looks while the commands run: what holds only
    /// then counts too.
    ///
    /// # Errors
    /// At the first command that does not leave with status 0, or when a signal comes.
    pub fn perform(
        &mut self,
        script: &str,
        mut watch: Option<&mut Watch>,
        on: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), RunError> {
        for command in commands(script) {
            on(Event::Typing(&command));
            self.typist()?;
            let (typist, scope) = (self.typist.as_mut().expect("just started"), self.scene.scope());
            let mut output = Vec::new();
            let outcome = typist.run(&command, |heard| match (heard, watch.as_deref_mut()) {
                (Some(line), _) => {
                    on(Event::Output(line));
                    output.push(line.to_string());
                }
                (None, Some(watch)) => on(Event::Looked(&watch.look(scope))),
                (None, None) => {}
            });
            match outcome {
                Ok(0) => {}
                Ok(status) => {
                    let output = output.split_off(output.len().saturating_sub(5));
                    return Err(RunError::Failed { command, status, output });
                }
                Err(TypeError::Interrupted(signal)) => return Err(RunError::Interrupted(signal)),
                Err(source) => return Err(RunError::Lost { command, source }),
            }
        }
        Ok(())
    }

    /// Looks until all checks hold or the time is over.
    ///
    /// # Errors
    /// If a signal comes.
    pub fn settle(
        &mut self,
        watch: &mut Watch,
        within: Duration,
        on: &mut dyn FnMut(Event<'_>),
    ) -> Result<Vec<Verdict>, RunError> {
        let deadline = Instant::now() + within;
        loop {
            let verdicts = self.look(watch);
            on(Event::Looked(&verdicts));
            if all_hold(&verdicts) || Instant::now() > deadline {
                return Ok(verdicts);
            }
            self.wait(POLL)?;
        }
    }

    /// Waits, unless a signal comes.
    ///
    /// # Errors
    /// If one came.
    pub fn wait(&self, time: Duration) -> Result<(), RunError> {
        let until = Instant::now() + time;
        loop {
            if let Some(signal) = self.interrupt.came() {
                return Err(RunError::Interrupted(signal));
            }
            let Some(rest) = until.checked_duration_since(Instant::now()).filter(|rest| !rest.is_zero()) else {
                return Ok(());
            };
            thread::sleep(rest.min(POLL));
        }
    }

    /// Ends the session and tells what it left on the machine.
    ///
    /// # Errors
    /// With what could not be taken away.
    pub fn close(mut self) -> Result<Vec<Thing>, RunError> {
        self.typist = None;
        Ok(self.scene.leave()?)
    }

    /// Starts the shell, if none is running.
    fn typist(&mut self) -> Result<(), RunError> {
        if self.typist.is_none() {
            let typist = Typist::start(&self.scene, self.interrupt.clone())?;
            self.scene.set_shell(self.learner.unwrap_or(typist.pid()));
            self.typist = Some(typist);
        }
        Ok(())
    }
}
