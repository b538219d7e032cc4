//! `glassbox lab report`.

use std::process::ExitCode;

use clap::ValueEnum;

use crate::commands::output;
use crate::error::Failure;
use crate::lab::{attempt, report};

/// Flags of `glassbox lab report`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  glassbox lab report > report.html")]
pub struct Args {
    /// The labs to report [default: all that you have taken]
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// How to write the report
    #[arg(long, value_enum, default_value = "html")]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One page that needs nothing beside itself
    Html,
    /// An array with one object a lab, for programs
    Json,
}

/// Runs the command.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut attempts = attempt::all()?;
    let known: Vec<_> = attempts.iter().map(|attempt| attempt.lab.clone()).collect();
    if let Some(id) = args.ids.iter().find(|id| !known.contains(id)) {
        let failure = Failure::new(format!("lab report {id}: you have not taken it"));
        return Err(match known.is_empty() {
            true => failure.hint("You have taken none yet: glassbox lab start ID takes one."),
            false => failure.hint(format!("Labs that you have taken: {}.", known.join(", "))),
        }
        .into());
    }
    attempts.retain(|attempt| args.ids.is_empty() || args.ids.contains(&attempt.lab));
    output::print(&match args.format {
        Format::Html => report::html(&attempts),
        Format::Json => format!("{}\n", serde_json::to_string_pretty(&attempts)?),
    })?;
    Ok(ExitCode::SUCCESS)
}
