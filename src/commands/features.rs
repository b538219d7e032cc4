//! `glassbox features`.

use std::process::ExitCode;

use super::output;
use crate::cli::{COMMIT, Global};
use crate::plan;

/// Flags of `glassbox features`: none.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  glassbox features | jq .linux.namespaces\n\nThe form is features.md of the OCI runtime \
                        specification, version 1.2."
)]
pub struct Args {}

/// Prints what a config.json may ask for, as JSON.
pub fn run(_args: &Args, _global: &Global) -> anyhow::Result<ExitCode> {
    let features = plan::features(env!("CARGO_PKG_VERSION"), COMMIT);
    output::print(&format!("{}\n", serde_json::to_string_pretty(&features)?))?;
    Ok(ExitCode::SUCCESS)
}
