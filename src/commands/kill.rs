//! `glassbox kill`.

use std::process::ExitCode;

use super::container::{id, store, told};
use crate::cli::Global;
use crate::error::Failure;
use crate::runtime;

/// Flags of `glassbox kill`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  glassbox kill web KILL")]
pub struct Args {
    /// Signal every process of the container, not the first one alone
    #[arg(long, short, hide = true)]
    pub all: bool,
    /// Id of a container
    #[arg(value_name = "ID")]
    pub id: String,
    /// Signal: a name such as TERM or a number
    #[arg(value_name = "SIGNAL", default_value = "SIGTERM")]
    pub signal: String,
}

/// Sends a signal to the container's first process.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    let id = id(&args.id)?;
    let signal = runtime::signal_number(&args.signal).map_err(|error| Failure::new(error.to_string()))?;
    runtime::kill(&store(global), &id, signal, args.all).map_err(told)?;
    Ok(ExitCode::SUCCESS)
}
