//! `glassbox state`.

use std::process::ExitCode;

use super::container::{id, store, told};
use super::output;
use crate::cli::Global;
use crate::runtime;

/// Flags of `glassbox state`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  glassbox state web")]
pub struct Args {
    /// Id of a container
    #[arg(value_name = "ID")]
    pub id: String,
}

/// Prints the state of a container as JSON.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    let view = runtime::view(&store(global), &id(&args.id)?).map_err(told)?;
    output::print(&format!("{}\n", serde_json::to_string_pretty(&view)?))?;
    Ok(ExitCode::SUCCESS)
}
