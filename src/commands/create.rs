//! `glassbox create`.

use std::process::ExitCode;

use super::container::{Creation, store, told};
use crate::cli::Global;
use crate::error::Failure;
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
    let (id, bundle) = args.creation.load()?;
    let terminal = bundle.config.spec.process().as_ref().and_then(|process| process.terminal()) == Some(true);
    let socket = console_socket(terminal, args.console_socket.as_deref())?;
    let store = store(global);
    let created = runtime::create(&store, &id, &bundle, args.creation.options(), Until::Created).map_err(told)?;
    let hand_over = || -> anyhow::Result<()> {
        if let (Some(socket), Some(master)) = (&socket, &created.terminal) {
            runtime::send_terminal(socket, master).map_err(told)?;
        }
        args.creation.write_pid_file(created.pid)
    };
    match hand_over() {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => {
            runtime::delete(&store, &id, true).map_err(told)?;
            Err(error)
        }
    }
}

/// The connected console socket: wanted with a terminal that nobody here attends, refused without one.
pub fn console_socket(
    terminal: bool,
    path: Option<&std::path::Path>,
) -> anyhow::Result<Option<std::os::unix::net::UnixStream>> {
    match (terminal, path) {
        (true, None) => Err(Failure::new("cannot allocate tty if glassbox will detach without setting console socket")
            .hint(
                "Give --console-socket SOCKET, set process.terminal to false, or use `glassbox run` in the foreground.",
            )
            .into()),
        (false, Some(_)) => Err(Failure::new("cannot use console socket if glassbox will not detach or allocate tty")
            .hint("Leave --console-socket out, or set process.terminal to true.")
            .into()),
        (false, None) => Ok(None),
        (true, Some(path)) => match std::os::unix::net::UnixStream::connect(path) {
            Ok(socket) => Ok(Some(socket)),
            Err(cause) => Err(Failure::new(format!("cannot connect to the console socket {path:?}"))
                .caused_by(cause)
                .hint("Something must listen on it already; its path has at most 107 bytes.")
                .into()),
        },
    }
}
