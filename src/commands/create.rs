//! `glassbox create`.

use std::process::ExitCode;

use super::container::{Creation, console_socket, remove, store, told};
use super::log;
use crate::cli::Global;
use crate::runtime::narrate::Own;
use crate::runtime::{self, Until};

/// Flags of `glassbox create`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  glassbox create --bundle web web && glassbox start web")]
pub struct Args {
    /// What `run` takes too
    #[command(flatten)]
    pub creation: Creation,
    /// Unix socket that receives the master of the container's terminal
    #[arg(long, value_name = "SOCKET")]
    pub console_socket: Option<std::path::PathBuf>,
}

/// Makes a container that waits for `start`.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    runtime::seal().map_err(told)?;
    let (id, bundle) = args.creation.load(global)?;
    let terminal = bundle.config.spec.process().as_ref().and_then(|process| process.terminal()) == Some(true);
    let socket = console_socket(terminal, args.console_socket.as_deref())?;
    let plan = args.creation.plan(global, &id, &bundle)?;
    let store = store(global);
    let voice = args.creation.narration.voice()?;
    let created = runtime::create(&store, &id, &bundle, &plan, Until::Created, &voice).map_err(told)?;
    if let Err(error) = voice.own(Own::HandOver, || args.creation.hand_over(&created, socket.as_ref())) {
        remove(global, &id, true)?;
        return Err(error);
    }
    log::warnings(global, bundle.config.warnings.iter().chain(&plan.left_out));
    // The program is at its end: taking all this apart would be for nothing.
    std::mem::forget((bundle, plan));
    Ok(ExitCode::SUCCESS)
}
