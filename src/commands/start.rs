//! `glassbox start`.

use std::process::ExitCode;

use super::container::{id, store, told};
use crate::cli::Global;
use crate::runtime;

/// Flags of `glassbox start`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  glassbox start web")]
pub struct Args {
    /// Id of a created container
    #[arg(value_name = "ID")]
    pub id: String,
}

/// Runs the program of a created container.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    runtime::start(&store(global), &id(&args.id)?).map_err(told)?;
    Ok(ExitCode::SUCCESS)
}
