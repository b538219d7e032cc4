//! `glassbox lab progress` and `glassbox lab reset`: what the learner has done, taken along or forgotten.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::commands::output;
use crate::error::Failure;
use crate::lab::progress::{self, Progress};

/// Flags of `glassbox lab progress`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  glassbox lab progress export > labs.toml
  glassbox lab progress import labs.toml")]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Print what you have done, to be taken to another machine
    Export,
    /// Add what was exported elsewhere to what you have done here
    Import {
        /// The exported file; - is standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

/// Flags of `glassbox lab reset`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  glassbox lab reset qos")]
pub struct ResetArgs {
    /// The labs to forget
    #[arg(value_name = "ID", required_unless_present = "all", conflicts_with = "all")]
    ids: Vec<String>,
    /// Forget all labs
    #[arg(long)]
    all: bool,
}

/// Runs `progress`.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let path = progress::path();
    let mut known = Progress::load(&path)?;
    match &args.verb {
        Verb::Export => output::print(&known.to_text()?)?,
        Verb::Import { file } => {
            let failed = || Failure::new(format!("lab progress import {}", file.display()));
            let text = read(file).map_err(|error| failed().caused_by(error))?;
            let other = Progress::parse(&text).map_err(|reason| {
                failed().caused_by(io::Error::other(reason)).hint("Name a file that lab progress export has written.")
            })?;
            let count = other.0.len();
            known.merge(other);
            known.save(&path)?;
            output::print(&format!("Added {count} labs to {}\n", path.display()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs `reset`.
pub fn reset(args: &ResetArgs) -> anyhow::Result<ExitCode> {
    let path = progress::path();
    let mut known = Progress::load(&path)?;
    for id in &args.ids {
        if known.0.remove(id).is_none() {
            let failure = Failure::new(format!("lab reset {id}: nothing is known of it"));
            let labs: Vec<_> = known.0.keys().cloned().collect();
            return Err(match labs.is_empty() {
                true => failure.hint("You have begun none yet: glassbox lab start ID takes one."),
                false => failure.hint(format!("Labs that you have begun: {}.", labs.join(", "))),
            }
            .into());
        }
    }
    if args.all {
        known.0.clear();
    }
    known.save(&path)?;
    Ok(ExitCode::SUCCESS)
}

fn read(file: &Path) -> io::Result<String> {
    if file != Path::new("-") {
        return fs::read_to_string(file);
    }
    let mut text = String::new();
    io::stdin().lock().read_to_string(&mut text)?;
    Ok(text)
}
