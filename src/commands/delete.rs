//! `glassbox delete`.

use std::process::ExitCode;

use super::container::{id, remove};
use crate::cli::Global;

/// Flags of `glassbox delete`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  glassbox delete --force web")]
pub struct Args {
    /// Kill what still runs, and remove what an interrupted command left; one that is gone is no error
    #[arg(long, short)]
    pub force: bool,
    /// Id of a container
    #[arg(value_name = "ID")]
    pub id: String,
}

/// Removes a stopped container.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    remove(global, &id(&args.id)?, args.force)?;
    Ok(ExitCode::SUCCESS)
}
