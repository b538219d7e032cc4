//! `glassbox lab start`: one terminal, shared by the learner's shell and the guide.
//!
//! The guide speaks before the shell's prompt, which asks it each time. What happens while the shell waits for a command
//! is told at once, and the shell is then asked to draw its prompt again.

use std::cell::RefCell;
use std::fs;
use std::io::{self, IsTerminal};
use std::process::{Child, ExitCode};
use std::thread;
use std::time::Duration;

use rustix::process::Pid;
use rustix::termios::{
    OptionalActions, Termios, Winsize, tcgetattr, tcgetpgrp, tcgetwinsize, tcsetattr, tcsetpgrp, tcsetwinsize,
};

use super::page::Page;
use super::tell::Teller;
use super::trust::Trust;
use super::{Common, phrases, prepare, read_line, signalled};
use crate::commands::output;
use crate::error::Failure;
use crate::lab::attempt::{Attempt, Fingerprint};
use crate::lab::guide::{Answer, Guide, Log, PAUSE, Told};
use crate::lab::interrupt::Interrupt;
use crate::lab::machine::Machine;
use crate::lab::progress::{self, Progress};
use crate::lab::run::{RunError, Session};
use crate::lab::script::Lab;

/// Flags of `glassbox lab start`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
In the lab's shell: hint, status, solve, skip, back, lesson; exit leaves and cleans up.
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
    let lesson = Lesson { teller: &teller, predicted, pending: RefCell::default() };
    match lesson.take(args.from, seed, &machine, &interrupt) {
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
    /// What is new and could not be told yet, because a program had the terminal.
    pending: RefCell<String>,
}

type Ended = (Vec<crate::lab::residue::Thing>, Log);

impl<'a> Lesson<'a> {
    fn take(&self, from: usize, seed: u64, machine: &Machine, interrupt: &Interrupt) -> Result<Ended, RunError> {
        let terminal = Terminal::save()?;
        let session = Session::open(self.teller.lab, seed, machine, interrupt)?;
        let mut guide = Guide::open(session, from)?;
        output::print(&self.teller.told(&Told::Entered(from), None))?;
        output::print(&self.teller.page.wrapped("", &phrases::shell_words(self.teller.lang)))?;
        output::print("\n")?;
        let shell = Shell::start(&mut guide, machine, self.teller.lab)?;
        guide.begin()?;
        let outcome = self.watch(&mut guide, shell);
        terminal.restore();
        output::print(&self.pending.take().replace(PAUSE, ""))?;
        outcome?;
        guide.close()
    }

    /// Goes on until the shell ends.
    fn watch(&self, guide: &mut Guide<'a>, mut shell: Shell) -> Result<(), RunError> {
        let say = |told: &[Told<'_>]| {
            let text: String = told.iter().map(|told| self.teller.told(told, self.predicted.as_deref())).collect();
            Answer { text: self.pending.take() + &text, pause: phrases::press_enter(self.teller.lang), run: None }
        };
        let mut shown = None;
        loop {
            if shown != Some(guide.step()) {
                shown = Some(guide.step());
                let number = (guide.step() + 1).min(self.teller.lab.steps.len());
                let prompt = format!("{} {number}/{}", self.teller.lab.id, self.teller.lab.steps.len());
                fs::write(guide.session().scene().dir().join("prompt"), prompt)?;
            }
            let news = guide.turn(&say)?;
            if !news.is_empty() {
                let text = say(&news).text;
                if shell.waits_at_prompt() {
                    shell.interject(&text)?;
                } else {
                    *self.pending.borrow_mut() = text;
                }
            }
            if let Some(signal) = guide.session().interrupted() {
                return Err(RunError::Interrupted(signal));
            }
            if shell.child.try_wait()?.is_some() {
                return Ok(());
            }
        }
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

/// The learner's shell.
struct Shell {
    child: Child,
    /// Whether it draws its prompt again when the terminal's size changes.
    redraws: bool,
}

impl Shell {
    /// Starts bash, or sh where there is none.
    fn start(guide: &mut Guide<'_>, machine: &Machine, lab: &Lab) -> io::Result<Shell> {
        let bash = machine.path.iter().any(|dir| dir.join("bash").exists());
        let session = guide.session();
        let rc = session.scene().dir().join("rc");
        // A shell whose runner was killed ends at its next prompt. In a root directory of its own it asks nobody.
        let ask = "[ ! -S \"$GLASSBOX_LAB/socket\" ] || \"$GLASSBOX_LAB/bin/glassbox\" applet prompt || exit";
        let place = "$(cat \"$GLASSBOX_LAB/prompt\" 2>/dev/null)";
        let mut command = session.scene().command(if bash { "bash" } else { "sh" });
        if bash {
            // The system's bashrc sets a prompt of its own, so this one is set after it, and exported: a bash that the
            // learner starts in other namespaces asks as well.
            let prompt = format!("unset HISTFILE\nexport PS1='[{place}] \\$ '\nexport PROMPT_COMMAND='{ask}'\n");
            fs::write(&rc, prompt)?;
            command.arg("--rcfile").arg(&rc).arg("-i");
        } else {
            fs::write(&rc, format!("PS1='$({ask})\n[{place}] $ '\n"))?;
            command.env("ENV", &rc).arg("-i");
        }
        let child = command.spawn().map_err(|error| {
            io::Error::new(error.kind(), format!("the shell of lab {} does not start: {error}", lab.id))
        })?;
        session.set_learner(i32::try_from(child.id()).expect("a process id fits an i32"));
        Ok(Shell { child, redraws: bash && output::moves_cursor() })
    }

    fn pid(&self) -> Option<Pid> {
        Pid::from_raw(i32::try_from(self.child.id()).ok()?)
    }

    /// Whether the shell has the terminal to itself, and could draw its prompt again.
    fn waits_at_prompt(&self) -> bool {
        self.redraws && tcgetpgrp(io::stdin()).ok() == self.pid()
    }

    /// Writes above the prompt: over its line, and then has it drawn again.
    ///
    /// Readline draws its line again when the terminal's size changes (SIGWINCH with an unchanged size it ignores since
    /// version 8), so the terminal is one row less for a moment; the kernel sends the signals.
    fn interject(&self, text: &str) -> io::Result<()> {
        output::print(&format!("\r\x1b[K{}", text.replace(PAUSE, "").replace('\n', "\r\n")))?;
        let size = tcgetwinsize(io::stdin())?;
        let less = Winsize { ws_row: size.ws_row.saturating_sub(1).max(1), ..size };
        tcsetwinsize(io::stdin(), less)?;
        thread::sleep(Duration::from_millis(50));
        tcsetwinsize(io::stdin(), size)?;
        Ok(())
    }
}

/// The terminal's settings, to be put back whatever the shell did to them.
struct Terminal(Termios);

impl Terminal {
    fn save() -> io::Result<Terminal> {
        Ok(Terminal(tcgetattr(io::stdin())?))
    }

    /// A shell that was killed keeps the terminal's foreground; SIGTTOU is blocked, so it can be taken back.
    fn restore(&self) {
        // The terminal may be gone (SIGHUP); then there is nothing to put back.
        let _ = tcsetpgrp(io::stdin(), rustix::process::getpgrp());
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}
