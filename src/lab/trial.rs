//! The test of a lab: red before, green after, every slip committed and recognised, nothing left behind.
//!
//! What is found is told as [`Problem`]s, in the words of whoever writes labs.

use std::time::Duration;

use super::check::Check;
use super::interrupt::Interrupt;
use super::judge::{Verdict, Watch, all_hold};
use super::lang::Lang;
use super::machine::Machine;
use super::run::{RunError, Session};
use super::say;
use super::script::{Lab, Problem, Slip, Step};

/// What a trial is doing.
#[derive(Debug, Clone, Copy)]
pub enum Progress<'a> {
    /// A step is entered and solved.
    Step(&'a Step),
    /// A slip of a step is committed.
    Slip(&'a Step, &'a Slip),
}

/// How long a slip may take to be recognised.
const SLIP_LIMIT: Duration = Duration::from_secs(5);

/// How long nothing is done, to see that doing nothing is not ticked off.
const IDLE: Duration = Duration::from_millis(500);

/// Tries the variant of a lab that `seed` picks, and returns everything that is wrong with it.
///
/// # Errors
/// If a signal comes, or the machine refuses something of the runner's own; a command of the lab that fails is a problem.
pub fn try_variant(
    lab: &Lab,
    seed: u64,
    machine: &Machine,
    interrupt: &Interrupt,
    on: &mut dyn FnMut(Progress<'_>),
) -> Result<Vec<Problem>, RunError> {
    let session = Session::open(lab, seed, machine, interrupt)?;
    let mut trial = Trial { lab, session, problems: Vec::new() };
    let outcome = trial.steps(on).and_then(|()| trial.slips(on));
    let Trial { session, mut problems, .. } = trial;
    let left = session.close()?;
    outcome?;
    for thing in left {
        problems.push(Problem { file: lab.file.clone(), line: 1, reason: format!("left behind: {thing}") });
    }
    Ok(problems)
}

struct Trial<'l> {
    lab: &'l Lab,
    session: Session<'l>,
    problems: Vec<Problem>,
}

impl<'l> Trial<'l> {
    fn problem(&mut self, line: usize, reason: String) {
        self.problems.push(Problem { file: self.lab.file.clone(), line, reason });
    }

    /// Goes through the steps in order, each red, then green.
    fn steps(&mut self, on: &mut dyn FnMut(Progress<'_>)) -> Result<(), RunError> {
        for (at, step) in self.lab.steps.iter().enumerate() {
            on(Progress::Step(step));
            if let Err(error) = self.step(at, step) {
                self.failed(step.line, &format!("step {:?}", step.id), error)?;
                // The steps after it begin where it should have ended.
                return Ok(());
            }
        }
        Ok(())
    }

    fn step(&mut self, at: usize, step: &Step) -> Result<(), RunError> {
        self.session.enter(at)?;
        let mut watch = self.session.watch(&step.checks)?;
        let mut slips = Vec::new();
        for slip in &step.slips {
            slips.push((slip, self.session.watch(&slip.when)?));
        }
        let red = self.session.settle(&mut watch, IDLE, &mut |_| ())?;
        for (check, verdict) in step.checks.iter().zip(&red).filter(|(_, verdict)| verdict.holds) {
            let reason = format!("step {:?}: green before anything was done: {}", step.id, told(verdict));
            self.problem(check.line, reason);
        }
        for (slip, watch) in &mut slips {
            if all_hold(&self.session.look(watch)) {
                self.problem(slip.line, format!("slip {:?} is seen before anything was done", slip.id));
            }
        }
        self.session.perform(&step.solve, Some(&mut watch), &mut |_| ())?;
        let green = self.session.settle(&mut watch, step.within, &mut |_| ())?;
        self.not_green(step, &step.checks, &green);
        for (slip, watch) in &mut slips {
            if all_hold(&self.session.look(watch)) {
                self.problem(slip.line, format!("slip {:?} is seen although the step was solved", slip.id));
            }
        }
        Ok(())
    }

    fn not_green(&mut self, step: &Step, checks: &[Check], verdicts: &[Verdict]) {
        for (check, verdict) in checks.iter().zip(verdicts).filter(|(_, verdict)| !verdict.holds) {
            let reason =
                format!("step {:?}: still red {} s after solve: {}", step.id, step.within.as_secs(), told(verdict));
            self.problem(check.line, reason);
        }
    }

    /// Commits every slip from a fresh scene.
    fn slips(&mut self, on: &mut dyn FnMut(Progress<'_>)) -> Result<(), RunError> {
        if !self.problems.is_empty() {
            return Ok(());
        }
        for (at, step) in self.lab.steps.iter().enumerate() {
            for slip in &step.slips {
                on(Progress::Slip(step, slip));
                if let Err(error) = self.slip(at, step, slip) {
                    self.failed(slip.line, &format!("slip {:?}", slip.id), error)?;
                }
            }
        }
        Ok(())
    }

    fn slip(&mut self, at: usize, step: &Step, slip: &Slip) -> Result<(), RunError> {
        self.session.enter_afresh(at)?;
        let mut solved = self.session.watch(&step.checks)?;
        let mut seen: Watch = self.session.watch(&slip.when)?;
        self.session.perform(&slip.commit, Some(&mut seen), &mut |_| ())?;
        let verdicts = self.session.settle(&mut seen, SLIP_LIMIT, &mut |_| ())?;
        for verdict in verdicts.iter().filter(|verdict| !verdict.holds) {
            self.problem(slip.line, format!("slip {:?} was committed and not seen: {}", slip.id, told(verdict)));
        }
        if all_hold(&self.session.look(&mut solved)) {
            self.problem(slip.line, format!("slip {:?} solves step {:?}", slip.id, step.id));
        }
        Ok(())
    }

    /// A command of the lab that fails is the lab's problem; anything else ends the trial.
    fn failed(&mut self, line: usize, what: &str, error: RunError) -> Result<(), RunError> {
        match error {
            RunError::Failed { ref output, .. } => {
                let printed =
                    if output.is_empty() { String::new() } else { format!("; it printed: {}", output.join(" / ")) };
                self.problem(line, format!("{what}: {error}{printed}"));
                Ok(())
            }
            RunError::Lost { .. } => {
                self.problem(line, format!("{what}: {error}"));
                Ok(())
            }
            RunError::Scene(_) | RunError::Interrupted(_) | RunError::Io(_) => Err(error),
        }
    }
}

fn told(verdict: &Verdict) -> String {
    say::sentence(verdict, Lang::En)
}
