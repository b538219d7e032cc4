//! `glassbox lab play`.

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use super::page::Page;
use super::tally::Tally;
use super::tell::Teller;
use super::trust::Trust;
use super::{Common, phrases, prepare, read_line, signalled};
use crate::commands::output;
use crate::error::Failure;
use crate::lab::interrupt::Interrupt;
use crate::lab::judge::Verdict;
use crate::lab::machine::Machine;
use crate::lab::residue::Thing;
use crate::lab::run::{Event, RunError, Session};

/// Flags of `glassbox lab play`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit status: 0 every check holds, 1 not so, 3 this machine cannot run the lab, 128+N ended by signal N.

Example:
  sudo glassbox lab play qos --auto")]
pub struct Args {
    /// The lab (glassbox lab list)
    #[arg(value_name = "ID")]
    id: String,
    /// Go on by itself instead of waiting for Enter
    #[arg(long)]
    auto: bool,
    /// How fast to type and to go on: 2 is twice as fast
    #[arg(long, value_name = "N", default_value = "1", value_parser = speed)]
    speed: f64,
    /// Pick the same variant of the lab's values again
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Count the hands of a room for each prediction, and show them again beside what happened
    #[arg(long)]
    tally: bool,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    trust: Trust,
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(speed) if (0.1..=100.0).contains(&speed) => Ok(speed),
        _ => Err("a number from 0.1 to 100".to_string()),
    }
}

/// Runs the command.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let lang = args.common.lang();
    let lab = args.common.lab(&args.id)?;
    args.trust.gate(&args.common, &lab, lang)?;
    let (machine, interrupt) = match prepare(&lab, lang)? {
        Ok(ready) => ready,
        Err(code) => return Ok(code),
    };
    let page = Page::of_stdout();
    let teller = Teller { page, lang, lab: &lab, values: lab.vars.pick(args.seed), drill: false };
    let mut stage =
        Stage { teller: &teller, pace: Pace::new(args), interrupt: &interrupt, asks: args.tally, tally: None };
    match stage.play(args.seed, &machine) {
        Ok(Played { verdicts, left }) => stage.conclude(&verdicts, &left),
        Err(RunError::Interrupted(signal)) => {
            output::print("\n")?;
            Ok(signalled(signal))
        }
        Err(RunError::Scene(error)) => {
            Err(Failure::new(format!("lab {}: {}", lab.id, phrases::scene_error(&error, lang))).into())
        }
        Err(error) => Err(Failure::new(format!("lab {}", lab.id)).caused_by(error).into()),
    }
}

/// What came of a play.
struct Played {
    verdicts: Vec<Verdict>,
    left: Vec<Thing>,
}

struct Stage<'a> {
    teller: &'a Teller<'a>,
    pace: Pace,
    interrupt: &'a Interrupt,
    /// Whether hands are counted.
    asks: bool,
    tally: Option<Tally>,
}

impl Stage<'_> {
    fn play(&mut self, seed: u64, machine: &Machine) -> Result<Played, RunError> {
        let teller = self.teller;
        output::print(&teller.opening())?;
        self.pause(&teller.opening())?;
        output::print(&teller.prediction())?;
        if self.asks {
            self.tally = Tally::ask(teller, self.interrupt)?;
            if let Some(tally) = &self.tally {
                output::print(&format!("\n{}", tally.text(teller, false)))?;
            }
        }
        self.pause(&teller.prediction())?;
        let mut session = Session::open(teller.lab, seed, machine, self.interrupt)?;
        let mut verdicts = Vec::new();
        for step in 0..teller.lab.steps.len() {
            let seen = self.step(&mut session, step)?;
            let green = seen.iter().all(|verdict| verdict.holds);
            verdicts.extend(seen);
            if !green {
                break;
            }
        }
        Ok(Played { verdicts, left: session.close()? })
    }

    /// Tells a step, types its solution, and shows what the kernel says.
    fn step(&mut self, session: &mut Session<'_>, step: usize) -> Result<Vec<Verdict>, RunError> {
        let (teller, script) = (self.teller, &self.teller.lab.steps[step]);
        output::print(&teller.step(step))?;
        self.pause(&teller.step(step))?;
        session.enter(step)?;
        let mut watch = session.watch(&script.checks)?;
        output::print("\n")?;
        session.perform(&script.solve, Some(&mut watch), &mut |event| self.show(&event))?;
        let verdicts = session.settle(&mut watch, script.within, &mut |_| ())?;
        output::print("\n")?;
        for verdict in &verdicts {
            output::print(&teller.verdict(verdict))?;
        }
        let after = teller.after(step);
        if !after.is_empty() {
            output::print(&format!("\n{after}"))?;
        }
        self.pause(&after)?;
        Ok(verdicts)
    }

    /// Shows what is typed and what it prints. A closed stdout is noticed by the next line that is told.
    fn show(&self, event: &Event<'_>) {
        let _ = match event {
            Event::Typing(command) => self.pace.type_out(self.teller, command, self.interrupt),
            Event::Output(line) => output::print(&format!("    {line}\n")),
            Event::Looked(_) => Ok(()),
        };
    }

    fn pause(&self, told: &str) -> Result<(), RunError> {
        let goes_on = told.is_empty() || self.pace.pause(self.teller, told, self.interrupt)?;
        match self.interrupt.came() {
            Some(signal) => Err(RunError::Interrupted(signal)),
            None if goes_on => Ok(()),
            None => Err(RunError::Interrupted(nix::libc::SIGINT)),
        }
    }

    /// The end: evidence, explanation, what is left; and the exit status.
    fn conclude(&self, verdicts: &[Verdict], left: &[Thing]) -> anyhow::Result<ExitCode> {
        let (teller, lang) = (self.teller, self.teller.lang);
        let red: Vec<_> = verdicts.iter().filter(|verdict| !verdict.holds).collect();
        if red.is_empty() {
            output::print(&format!("\n{}\n", teller.ending(None)))?;
            if let Some(tally) = &self.tally {
                output::print(&tally.text(teller, true))?;
            }
        }
        output::print(&format!("\n{}\n", teller.evidence(verdicts)))?;
        match red.len() {
            0 => output::print(&format!("{}\n", phrases::all_green(lang, verdicts.len())))?,
            count => {
                output::print(&format!("{}\n", phrases::some_red(lang, count, verdicts.len())))?;
                for verdict in &red {
                    output::print(&teller.verdict(verdict))?;
                }
            }
        }
        if left.is_empty() {
            output::print(&format!("{}\n", phrases::clean(lang)))?;
        } else {
            output::print(&format!("{}\n", phrases::residue_heading(lang)))?;
            for thing in left {
                output::print(&format!("  {thing}\n"))?;
            }
        }
        Ok(if red.is_empty() && left.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// How fast things go: by itself, or at a key; with no delay at all where nobody watches.
struct Pace {
    auto: bool,
    speed: f64,
    watched: bool,
}

/// Characters typed in a second.
const TYPING: f64 = 40.0;

/// Columns of text read in a second.
const READING: f64 = 60.0;

impl Pace {
    fn new(args: &Args) -> Pace {
        let watched = io::stdout().is_terminal();
        Pace { auto: args.auto || !io::stdin().is_terminal(), speed: args.speed, watched }
    }

    fn type_out(&self, teller: &Teller<'_>, command: &str, interrupt: &Interrupt) -> io::Result<()> {
        // A continued command shows the shell's second prompt.
        let shown = teller.shown(command).replace('\n', "\n  > ");
        output::print("  $ ")?;
        for c in shown.chars() {
            if self.watched && interrupt.came().is_none() {
                thread::sleep(Duration::from_secs_f64(1.0 / TYPING / self.speed));
            }
            output::print(&teller.page.code(&c.to_string()))?;
        }
        output::print("\n")
    }

    /// Waits for Enter, or for as long as the text takes to read. `false`: whoever watches has had enough.
    fn pause(&self, teller: &Teller<'_>, told: &str, interrupt: &Interrupt) -> io::Result<bool> {
        if self.auto {
            if self.watched {
                let columns = unicode_width::UnicodeWidthStr::width(told) as f64;
                let mut rest = (columns / READING / self.speed).min(12.0);
                while rest > 0.0 && interrupt.came().is_none() {
                    thread::sleep(Duration::from_secs_f64(rest.min(0.1)));
                    rest -= 0.1;
                }
            }
            return Ok(true);
        }
        output::print(&format!("\n{}", phrases::press_key(teller.lang)))?;
        let line = read_line(interrupt)?.unwrap_or_else(|| "q".to_string());
        Ok(line.trim() != "q")
    }
}
