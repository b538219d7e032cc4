//! `glassbox pause` and `glassbox resume`.

use std::process::ExitCode;

use super::container::{id, store, told};
use crate::cli::Global;
use crate::runtime;

/// Flags of `glassbox pause` and `glassbox resume`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  glassbox pause web && glassbox resume web")]
pub struct Args {
    /// Id of a container
    #[arg(value_name = "ID")]
    pub id: String,
}

/// Freezes or thaws every process of a container.
pub fn run(args: &Args, global: &Global, frozen: bool) -> anyhow::Result<ExitCode> {
    runtime::freeze(&store(global), &id(&args.id)?, frozen).map_err(told)?;
    Ok(ExitCode::SUCCESS)
}
