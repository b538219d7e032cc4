//! `glassbox run`.

use std::process::ExitCode;

use super::container::{Creation, console_socket, notify_socket, pass_on, remove, store, told};
use super::log;
use crate::cli::Global;
use crate::error::Failure;
use crate::runtime::narrate::Own;
use crate::runtime::{self, Signals, Until};

/// Flags of `glassbox run`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  glassbox run --bundle web web\n\nThe exit status is the program's own, or 128 + \
                        the signal that ended it.")]
pub struct Args {
    /// What `create` takes too
    #[command(flatten)]
    pub creation: Creation,
    /// Unix socket that receives the master of the container's terminal (with --detach)
    #[arg(long, value_name = "SOCKET")]
    pub console_socket: Option<std::path::PathBuf>,
    /// Come back when the program runs, and leave it running
    #[arg(long, short)]
    pub detach: bool,
    /// Keep the stopped container's state until `delete`
    #[arg(long)]
    pub keep: bool,
}

/// Makes a container, runs its program, and removes the container when it has ended.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    runtime::seal().map_err(told)?;
    let (id, bundle) = args.creation.load(global)?;
    let terminal = bundle.config.spec.process().as_ref().and_then(|process| process.terminal()) == Some(true);
    let socket = console_socket(terminal && args.detach, args.console_socket.as_deref())?;
    let signals = match args.detach {
        true => None,
        false => Some(Signals::catch().map_err(|cause| Failure::new("cannot take signals").caused_by(cause))?),
    };
    let plan = args.creation.plan(global, &id, &bundle)?;
    let store = store(global);
    let voice = args.creation.narration.voice()?;
    let mut created = runtime::create(&store, &id, &bundle, &plan, Until::Running, &voice).map_err(told)?;
    let notify = created.notify.take().zip(runtime::identity::of(created.pid)).zip(notify_socket());
    let attend = || -> anyhow::Result<u8> {
        voice.own(Own::HandOver, || args.creation.hand_over(&created, socket.as_ref()))?;
        log::warnings(global, bundle.config.warnings.iter().chain(&plan.left_out));
        match (notify, &signals) {
            (Some(((notify, program), host)), None) => pass_on(&notify, &program, &host)?,
            // Beside the container's input and output. We stay the process that the service manager looks after; and who
            // listens there no longer when the word comes has no use for it.
            (Some(((notify, program), host)), Some(_)) => {
                std::thread::spawn(move || drop(notify.pass_on(&program, &host, false)));
            }
            (None, _) => {}
        }
        match &signals {
            Some(signals) => runtime::foreground(&created, signals).map_err(told),
            None => Ok(0),
        }
    };
    let ended = attend();
    let stays = args.detach || args.keep;
    if !stays || ended.is_err() {
        voice.own(Own::Remove, || remove(global, &id, true))?;
    }
    // The program is at its end: taking all this apart would be for nothing.
    std::mem::forget((bundle, plan));
    Ok(ExitCode::from(ended?))
}
