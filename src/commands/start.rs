//! `glassbox start`.

use std::process::ExitCode;

use super::container::{id, notify_socket, pass_on, store, told};
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
    let host = notify_socket();
    if let Some((notify, program)) = runtime::start(&store(global), &id(&args.id)?, host.is_some()).map_err(told)? {
        pass_on(&notify, &program, host.as_deref().unwrap_or_default())?;
    }
    Ok(ExitCode::SUCCESS)
}
