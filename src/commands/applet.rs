//! `glassbox applet`.

use std::process::ExitCode;

use crate::cli::Global;

/// Flags of `glassbox applet`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_args: &Args, _global: &Global) -> anyhow::Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
