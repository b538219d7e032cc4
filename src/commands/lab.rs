//! `glassbox lab`: list, take, play and test labs.

mod list;
mod page;
mod phrases;
mod plain;
mod play;
mod progress;
mod report;
mod scaffold;
mod shell;
mod split;
mod start;
mod tally;
mod tell;
mod test;
mod trust;

use std::io::{self, BufRead};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::cli::Global;
use crate::commands::output;
use crate::error::Failure;
use crate::lab::lang::Lang;
use crate::lab::library::{self, Entry};
use crate::lab::machine::{Machine, Unmet};
use crate::lab::record;
use crate::lab::scene::PROGRAMS;
use crate::lab::script::Lab;
use crate::lab::{cannot, interrupt::Interrupt};

/// Flags of `glassbox lab`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit status: 0 done (play: every check holds; test: every lab passes), 1 not so, 2 bad arguments,
3 this machine cannot run the lab, 128+N ended by signal N.

Example:
  glassbox lab list
  sudo glassbox lab start qos")]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the labs: minutes, whether this machine can run them, and how far you are
    List(list::Args),
    /// Take a lab: a real shell, watched from outside, with steps ticked off as the kernel shows them
    Start(start::Args),
    /// Work in a running lab from this terminal: your own shell, watched like the lab's
    Shell(shell::Args),
    /// Watch a lab: its solution is typed and really run, and the evidence is laid out
    Play(play::Args),
    /// Make a new lab to begin with: it passes the linter and its test
    New(scaffold::Args),
    /// Take along what you have done, or add what you did on another machine
    Progress(progress::Args),
    /// Write what you have done as one page: predictions, evidence, plots, and the machine
    Report(report::Args),
    /// Forget what you have done in a lab
    Reset(progress::ResetArgs),
    /// Test labs: lint; red before, green after, clean at the end; every slip and every variant
    Test(test::Args),
}

/// What every verb takes.
#[derive(Debug, Clone, clap::Args)]
struct Common {
    /// Use the labs of this directory (TRACK/ID/lab.md) instead of the built-in ones
    #[arg(long, value_name = "DIR")]
    labs: Option<PathBuf>,
    /// Language of the lessons [default: by locale]
    #[arg(long, value_enum)]
    lang: Option<LangArg>,
}

/// A language, as an argument.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum LangArg {
    /// English
    En,
    /// Simplified Chinese
    Zh,
}

/// Exit status of a lab that this machine cannot run.
const CANNOT_RUN: u8 = 3;

/// Runs the command.
pub fn run(args: &Args, _global: &Global) -> anyhow::Result<ExitCode> {
    match &args.verb {
        Verb::List(args) => list::run(args),
        Verb::Start(args) => start::run(args),
        Verb::Shell(args) => shell::run(args),
        Verb::Play(args) => play::run(args),
        Verb::New(args) => scaffold::run(args),
        Verb::Progress(args) => progress::run(args),
        Verb::Report(args) => report::run(args),
        Verb::Reset(args) => progress::reset(args),
        Verb::Test(args) => test::run(args),
    }
}

impl Common {
    fn lang(&self) -> Lang {
        match self.lang {
            Some(LangArg::En) => Lang::En,
            Some(LangArg::Zh) => Lang::Zh,
            None => Lang::of_locale(|name| std::env::var(name).ok()),
        }
    }

    /// The labs that are meant.
    fn entries(&self) -> anyhow::Result<Vec<Entry>> {
        match &self.labs {
            None => Ok(library::embedded()),
            Some(dir) => library::from_directory(dir).map_err(|error| {
                let failure = Failure::new(format!("--labs {}", dir.display())).caused_by(error);
                failure.hint("Name a directory that holds TRACK/ID/lab.md.").into()
            }),
        }
    }

    /// The lab with this id.
    fn lab(&self, id: &str) -> anyhow::Result<Lab> {
        let entries = self.entries()?;
        let known: Vec<_> = entries.iter().map(|entry| entry.id.clone()).collect();
        let Some(entry) = entries.into_iter().find(|entry| entry.id == id) else {
            let failure = Failure::new(format!("there is no lab {id:?}"));
            return Err(match known.is_empty() {
                true => failure.hint("This set has no labs at all."),
                false => failure.hint(format!("These there are: {}.", known.join(", "))),
            }
            .into());
        };
        entry.lab.map_err(|problems| {
            let failure = Failure::new(format!("lab {id} breaks the rules: {}", problems[0]));
            failure.hint(format!("glassbox lab test {id} tells them all.")).into()
        })
    }
}

/// Clears away what killed runs left, takes over signals, and looks whether the lab can run here.
///
/// The exit status says why not, once that has been told.
fn prepare(lab: &Lab, lang: Lang) -> anyhow::Result<Result<(Machine, Interrupt), ExitCode>> {
    let machine = Machine::probe();
    let unmet = machine.unmet(lab, &PROGRAMS);
    if !unmet.is_empty() {
        output::eprint_line(&format!("{}:", phrases::cannot(lang, &lab.id)))?;
        for unmet in &unmet {
            output::eprint_sentence("  ", &reason(unmet, lang))?;
        }
        return Ok(Err(ExitCode::from(CANNOT_RUN)));
    }
    for cleared in record::clear_dead()? {
        output::eprint_line(&phrases::cleared(lang, cleared))?;
    }
    Ok(Ok((machine, Interrupt::take_over()?)))
}

fn reason(unmet: &Unmet, lang: Lang) -> String {
    phrases::because_and_remedy(lang, cannot::because(unmet, lang), cannot::remedy(unmet, lang))
}

/// Reads a line from the terminal; `None` at its end, or when a signal asks to end.
fn read_line(interrupt: &Interrupt) -> io::Result<Option<String>> {
    let stdin = io::stdin();
    let wait = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
    while interrupt.came().is_none() {
        match poll(&mut [PollFd::new(&stdin, PollFlags::IN)], Some(&wait)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => {
                let mut line = String::new();
                return Ok((stdin.lock().read_line(&mut line)? > 0).then_some(line));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}

/// The exit status of a program that a signal ended.
fn signalled(signal: i32) -> ExitCode {
    ExitCode::from(u8::try_from(128 + signal).unwrap_or(u8::MAX))
}
