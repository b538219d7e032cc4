//! `glassbox list`.

use std::process::ExitCode;

use clap::ValueEnum;

use super::container::{store, told};
use super::output;
use crate::cli::Global;
use crate::runtime::{self, View};

/// Flags of `glassbox list`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  glassbox list --quiet")]
pub struct Args {
    /// Table for people or JSON for programs
    #[arg(long, short, value_name = "FORMAT", default_value = "table")]
    pub format: Format,
    /// Print ids alone
    #[arg(long, short)]
    pub quiet: bool,
}

/// How containers are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One line a container
    Table,
    /// An array of what `state` prints
    Json,
}

/// Lists the containers. One whose state cannot be read is named on stderr and hides no other.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    let store = store(global);
    let mut views = Vec::new();
    for id in store.ids().map_err(told)? {
        match runtime::view(&store, &id) {
            Ok(view) => views.push(view),
            Err(error) => output::eprint_line(&format!("warning: container {id}: {error}"))?,
        }
    }
    let text = match (args.quiet, args.format) {
        (true, _) => views.iter().map(|view| format!("{}\n", view.id)).collect(),
        (false, Format::Json) => format!("{}\n", serde_json::to_string(&views)?),
        (false, Format::Table) => table(&views),
    };
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// runc's table: columns at least 12 wide, three spaces between.
fn table(views: &[View]) -> String {
    let header = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(str::to_string);
    let row = |view: &View| {
        let pid = view.pid.to_string();
        let bundle = view.bundle.display().to_string();
        [view.id.clone(), pid, view.status.to_string(), bundle, view.created.clone(), view.owner.clone()]
    };
    let rows: Vec<_> = std::iter::once(header).chain(views.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len() + 3).max().unwrap_or(0).max(12);
    let widths: Vec<_> = (0..5).map(width).collect();
    let line = |row: &[String; 6]| {
        let cells: String = (0..5).map(|column| format!("{:width$}", row[column], width = widths[column])).collect();
        format!("{cells}{}\n", row[5])
    };
    rows.iter().map(line).collect()
}
