//! `glassbox lab start`: a guided lab, in panes, in the lines of one terminal, or with the learner's shell in another one.

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use rustix::termios::tcgetwinsize;

use super::page::Page;
use super::tell::Teller;
use super::trust::Trust;
use super::{Common, phrases, plain, prepare, read_line, signalled, split};
use crate::commands::output;
use crate::error::Failure;
use crate::lab::attempt::{Attempt, Fingerprint};
use crate::lab::guide::{Guide, Log};
use crate::lab::interrupt::Interrupt;
use crate::lab::machine::Machine;
use crate::lab::progress::{self, Progress};
use crate::lab::run::{RunError, Session};

/// Flags of `glassbox lab start`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Two panes show the lesson and your shell. In a terminal of less than 60 columns
and 20 rows, or one that cannot move its cursor (TERM=dumb), the lesson is told
in the shell's own lines, as with --plain. Keys of the panes come after Ctrl-G.
In the lab's shell: hint, status, solve, skip, back, lesson; exit leaves.

Exit status: 0 all steps done, 1 left before, 3 this machine cannot run the lab, 128+N ended by signal N.

Example:
  sudo glassbox lab start qos --lang zh")]
pub struct Args {
    /// The lab (glassbox lab list)
    #[arg(value_name = "ID")]
    id: String,
    /// Begin after this many steps, as if they were done
    #[arg(long, value_name = "STEPS", default_value_t = 0)]
    from: usize,
    /// Pick the same variant of the lab's values again [default: by chance]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Show no commands: only the last hint of a step does
    #[arg(long)]
    drill: bool,
    /// Tell the lesson in the shell's own lines, without panes
    #[arg(long, conflicts_with = "apart")]
    plain: bool,
    /// Show the lesson alone; your shell is in another terminal (glassbox lab shell)
    #[arg(long)]
    apart: bool,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    trust: Trust,
}

/// Runs the command.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let lang = args.common.lang();
    let lab = args.common.lab(&args.id)?;
    if args.from >= lab.steps.len() {
        let failure = Failure::new(format!("--from {}: lab {} has {} steps", args.from, lab.id, lab.steps.len()));
        return Err(failure.hint("Begin at an earlier step, or without --from.").into());
    }
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        let failure = Failure::new("lab start needs a terminal, and this is none");
        return Err(failure.hint(format!("To watch without one: glassbox lab play {} --auto", lab.id)).into());
    }
    args.trust.gate(&args.common, &lab, lang)?;
    let (machine, interrupt) = match prepare(&lab, lang)? {
        Ok(ready) => ready,
        Err(code) => return Ok(code),
    };
    let seed = args.seed.unwrap_or_else(chance);
    let teller = Teller { page: Page::of_stdout(), lang, lab: &lab, values: lab.vars.pick(seed), drill: args.drill };
    output::print(&teller.opening())?;
    let predicted = predict(&teller, &interrupt)?;
    if let Some(signal) = interrupt.came() {
        output::print("\n")?;
        return Ok(signalled(signal));
    }
    let began = progress::now();
    let lesson = Lesson { teller: &teller, predicted };
    match lesson.take(args, seed, &machine, &interrupt) {
        Ok((left, log)) => {
            lesson.keep(&log, &machine, began)?;
            lesson.conclude(&left, &log, args.from)
        }
        Err(RunError::Interrupted(signal)) => Ok(signalled(signal)),
        Err(RunError::Scene(error)) => {
            Err(Failure::new(format!("lab {}: {}", lab.id, phrases::scene_error(&error, lang))).into())
        }
        Err(error) => Err(Failure::new(format!("lab {}", lab.id)).caused_by(error).into()),
    }
}

/// How the lesson and the shell share terminals.
enum View {
    /// Panes.
    Split,
    /// The lines of one terminal.
    Plain,
    /// Another terminal for the shell.
    Apart,
}

impl View {
    fn of(args: &Args) -> View {
        let size = tcgetwinsize(io::stdout()).map_or((0, 0), |size| (size.ws_col, size.ws_row));
        match () {
            () if args.apart => View::Apart,
            () if args.plain || !output::moves_cursor() || !split::draw::fits(size) => View::Plain,
            () => View::Split,
        }
    }
}

/// A seed that nobody chose.
fn chance() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}

/// Asks for a prediction; any other answer than the number of a choice is none.
fn predict(teller: &Teller<'_>, interrupt: &Interrupt) -> io::Result<Option<String>> {
    let Some(predict) = &teller.lab.predict else { return Ok(None) };
    output::print(&teller.prediction())?;
    output::print(&format!("\n{}", phrases::predict_ask(teller.lang, predict.choices.len())))?;
    let line = read_line(interrupt)?.unwrap_or_default();
    let chosen = line.trim().parse::<usize>().ok().and_then(|number| number.checked_sub(1));
    Ok(chosen.and_then(|at| predict.choices.get(at)).cloned())
}

struct Lesson<'a> {
    teller: &'a Teller<'a>,
    predicted: Option<String>,
}

type Ended = (Vec<crate::lab::residue::Thing>, Log);

impl<'a> Lesson<'a> {
    fn take(&self, args: &Args, seed: u64, machine: &Machine, interrupt: &Interrupt) -> Result<Ended, RunError> {
        let (teller, predicted) = (self.teller, self.predicted.as_deref());
        let view = View::of(args);
        let session = Session::open(teller.lab, seed, machine, interrupt)?;
        let mut guide = Guide::open(session, args.from)?;
        let outcome = match view {
            View::Plain => plain::attend(teller, predicted, &mut guide, machine),
            View::Split => split::attend(teller, predicted, &mut guide, Some(machine), interrupt),
            View::Apart => split::attend(teller, predicted, &mut guide, None, interrupt),
        };
        outcome?;
        if guide.step() == teller.lab.steps.len() && !matches!(view, View::Plain) {
            output::print(&format!("{}\n", teller.ending(predicted)))?;
        }
        guide.close()
    }

    /// Keeps what was done for the report.
    fn keep(&self, log: &Log, machine: &Machine, began: String) -> io::Result<()> {
        if log.walked.is_empty() {
            return Ok(());
        }
        let attempt = Attempt {
            lab: self.teller.lab.id.clone(),
            title: self.teller.words().title.clone(),
            began,
            prediction: self.predicted.clone(),
            answer: self.teller.lab.predict.as_ref().map(|predict| predict.answer.clone()),
            finished: log.finished,
            values: self.teller.values.clone(),
            machine: Fingerprint::of(machine),
            steps: log.walked.clone(),
        };
        attempt.save()
    }

    /// What is left, how far the learner came, and the exit status.
    fn conclude(&self, left: &[crate::lab::residue::Thing], log: &Log, from: usize) -> anyhow::Result<ExitCode> {
        let (lab, lang) = (self.teller.lab, self.teller.lang);
        if left.is_empty() {
            output::print(&format!("{}\n", phrases::clean(lang)))?;
        } else {
            output::print(&format!("{}\n", phrases::residue_heading(lang)))?;
            for thing in left {
                output::print(&format!("  {thing}\n"))?;
            }
        }
        Progress::note(&progress::path(), &lab.id, |taken| {
            taken.done.extend(log.done.clone());
            taken.solved.extend(log.solved.clone());
            for steps in [&mut taken.done, &mut taken.solved] {
                steps.retain(|id| lab.steps.iter().any(|step| step.id == *id));
                steps.sort_by_key(|id| lab.steps.iter().position(|step| step.id == *id));
                steps.dedup();
            }
            taken.hints += log.hints;
            taken.prediction = self.predicted.clone().or(taken.prediction.take());
            if log.finished {
                taken.finished = Some(progress::now());
            }
        })?;
        if !log.finished {
            let done = (from + log.done.len() + log.solved.len()).min(lab.steps.len() - 1);
            let line = phrases::left_early(lang, done, lab.steps.len(), &lab.id);
            output::print(&self.teller.page.wrapped("", &line))?;
        }
        Ok(if log.finished { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
