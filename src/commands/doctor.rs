//! `glassbox doctor`: what this machine offers to containers. The facts and the judgement are [`crate::runtime::survey`]'s.

mod text;

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode, Stdio};

use anyhow::Context;
use clap::ValueEnum;
use serde::Serialize;

use crate::cli::Global;
use crate::runtime::survey::judge::{self, Report, Verdict};
use crate::runtime::survey::{self, Attempt, Facts, Outcome};

use super::output;

/// Flags of `glassbox doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Nothing is changed: what can only be known by trying is tried in a child process, and goes with it.

  ok       it works
  limited  containers run; what is named does not work, or not by itself
  missing  containers do not run, or not with everything that config.json may ask for

Examples:
  sudo glassbox doctor
  glassbox doctor --format json | jq '.findings[] | select(.verdict != \"ok\")'

Exit codes: 0 when nothing is missing, 1 when something is, 2 for a wrong command line.")]
pub struct Args {
    /// How to print
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: Format,
    /// Try one thing in this very process, and print what came of it
    #[arg(long, value_name = "WHAT", hide = true)]
    pub attempt: Option<Attempt>,
}

/// The values of `--format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table for people, by area; shortfalls with their reason and their remedy
    Text,
    /// One JSON object: verdict, findings, facts
    Json,
}

/// What `--format json` prints.
#[derive(Serialize)]
struct Json<'a> {
    #[serde(flatten)]
    report: &'a Report,
    facts: &'a Facts,
}

/// Runs the command.
pub fn run(args: &Args, _global: &Global) -> anyhow::Result<ExitCode> {
    if let Some(attempt) = args.attempt {
        output::print(&format!("{}\n", attempt.run()))?;
        return Ok(ExitCode::SUCCESS);
    }
    let facts = survey::gather(try_in_child);
    let report = judge::judge(&facts);
    match args.format {
        Format::Text => output::print(&text::render(&facts, &report, output::colour()))?,
        Format::Json => {
            let json = serde_json::to_string_pretty(&Json { report: &report, facts: &facts });
            output::print(&(json.context("the report cannot be written as JSON")? + "\n"))?;
        }
    }
    Ok(if report.verdict == Verdict::Missing { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Runs ourselves once more with `--attempt`: /proc/self/exe is this program even where its file has been replaced.
fn try_in_child(attempt: Attempt) -> Outcome {
    let mut child = Command::new("/proc/self/exe");
    child.args(["doctor", "--attempt", &attempt.to_string()]).stdin(Stdio::null());
    match child.output() {
        Err(error) => Outcome::Untried(format!("/proc/self/exe: {error}")),
        Ok(output) => match output.status.signal() {
            Some(signal) => Outcome::Untried(format!("killed by signal {signal}")),
            None => Outcome::parse(String::from_utf8_lossy(&output.stdout).trim()),
        },
    }
}
