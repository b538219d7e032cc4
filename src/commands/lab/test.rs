//! `glassbox lab test`.

use std::process::ExitCode;
use std::time::Instant;

use super::page::Page;
use super::trust::Trust;
use super::{CANNOT_RUN, Common, phrases, reason, signalled};
use crate::commands::output;
use crate::error::Failure;
use crate::lab::interrupt::Interrupt;
use crate::lab::lang::Lang;
use crate::lab::library::Entry;
use crate::lab::machine::Machine;
use crate::lab::prose::Words;
use crate::lab::record;
use crate::lab::run::RunError;
use crate::lab::scene::PROGRAMS;
use crate::lab::script::{Lab, Problem};
use crate::lab::trial::{Progress, try_variant};

/// Flags of `glassbox lab test`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  sudo glassbox lab test pids
  glassbox lab test --lint --labs labs")]
pub struct Args {
    /// The labs to test [default: all]
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// Only read the labs and compare their languages; run nothing
    #[arg(long)]
    lint: bool,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    trust: Trust,
}

/// What came of one lab.
enum Outcome {
    Passed,
    Problems(Vec<Problem>),
    CannotRun(Vec<String>),
}

/// Runs the command.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut entries = args.common.entries()?;
    for id in &args.ids {
        if !entries.iter().any(|entry| entry.id == *id) {
            let known: Vec<_> = entries.iter().map(|entry| entry.id.clone()).collect();
            let failure = Failure::new(format!("there is no lab {id:?}"));
            return Err(failure.hint(format!("These there are: {}.", known.join(", "))).into());
        }
    }
    entries.retain(|entry| args.ids.is_empty() || args.ids.contains(&entry.id));
    for lab in entries.iter().filter_map(|entry| entry.lab.as_ref().ok()).filter(|_| !args.lint) {
        args.trust.gate(&args.common, lab, args.common.lang())?;
    }
    let machine = Machine::probe();
    let interrupt = if args.lint { Interrupt::never() } else { Interrupt::take_over()? };
    if !args.lint {
        for cleared in record::clear_dead()? {
            output::eprint_line(&phrases::cleared(args.common.lang(), cleared))?;
        }
    }
    let (mut failed, mut unable) = (0, 0);
    for entry in &entries {
        let started = Instant::now();
        let outcome = match test(entry, args.lint, &machine, &interrupt) {
            Ok(outcome) => outcome,
            Err(RunError::Interrupted(signal)) => return Ok(signalled(signal)),
            Err(error) => return Err(Failure::new(format!("lab {}", entry.id)).caused_by(error).into()),
        };
        let name = format!("{}/{}", entry.track, entry.id);
        match outcome {
            Outcome::Passed => {
                output::print(&format!("ok       {name} ({:.1} s)\n", started.elapsed().as_secs_f64()))?;
            }
            Outcome::Problems(problems) => {
                failed += 1;
                output::print(&format!("problems {name}\n"))?;
                for problem in problems {
                    output::print(&format!("  {problem}\n"))?;
                }
            }
            Outcome::CannotRun(reasons) => {
                unable += 1;
                output::print(&format!("cannot   {name}\n"))?;
                for reason in reasons {
                    output::print(&format!("  {reason}\n"))?;
                }
            }
        }
    }
    let passed = entries.len() - failed - unable;
    output::print(&format!("{passed} passed, {failed} with problems, {unable} cannot run here\n"))?;
    Ok(match (failed, unable) {
        (0, 0) => ExitCode::SUCCESS,
        (0, _) => ExitCode::from(CANNOT_RUN),
        _ => ExitCode::FAILURE,
    })
}

fn test(entry: &Entry, lint: bool, machine: &Machine, interrupt: &Interrupt) -> Result<Outcome, RunError> {
    let lab = match &entry.lab {
        Ok(lab) => lab,
        Err(problems) => return Ok(Outcome::Problems(problems.clone())),
    };
    let mut problems = too_wide(lab);
    if lint || !problems.is_empty() {
        return Ok(if problems.is_empty() { Outcome::Passed } else { Outcome::Problems(problems) });
    }
    let unmet = machine.unmet(lab, &PROGRAMS);
    if !unmet.is_empty() {
        return Ok(Outcome::CannotRun(unmet.iter().map(|unmet| reason(unmet, Lang::En)).collect()));
    }
    for variant in 0..lab.vars.variants() as u64 {
        let mut say = |progress: Progress<'_>| {
            let what = match progress {
                Progress::Step(step) => format!("step {}", step.id),
                Progress::Slip(step, slip) => format!("step {}, slip {}", step.id, slip.id),
            };
            // Progress is a courtesy; a closed stderr must not fail a test.
            let _ = output::eprint_line(&format!("  {}: variant {}, {what}", lab.id, variant + 1));
        };
        problems.extend(try_variant(lab, variant, machine, interrupt, &mut say)?);
        if !problems.is_empty() {
            break;
        }
    }
    Ok(if problems.is_empty() { Outcome::Passed } else { Outcome::Problems(problems) })
}

/// Every line that a screen of 80 columns would break: code blocks are shown as they are.
fn too_wide(lab: &Lab) -> Vec<Problem> {
    let page = Page::plain(80);
    let mut problems = Vec::new();
    for lang in Lang::ALL {
        for prose in prose(lab.words(lang)) {
            let laid = page.prose(prose, &lab.vars.pick(0));
            for line in laid.lines().filter(|line| unicode_width::UnicodeWidthStr::width(*line) > page.width()) {
                let file = lab.file.replace("lab.md", lang.file_name());
                let reason = format!("a line of more than 80 columns: {}", line.trim());
                problems.push(Problem { file, line: prose.line, reason });
            }
        }
    }
    problems
}

fn prose(words: &Words) -> Vec<&crate::lab::prose::Prose> {
    let mut found = vec![&words.intro, &words.end, &words.question];
    found.extend(words.predict.iter().flat_map(|predict| [&predict.ask, &predict.after]));
    for step in &words.steps {
        found.extend([&step.text, &step.after]);
        found.extend(step.hints.iter().chain(step.slips.values()));
    }
    found
}
