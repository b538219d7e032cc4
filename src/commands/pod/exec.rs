//! `glassbox pod exec`: `glassbox exec` in the container of a pod that runs now.

use std::process::ExitCode;

use clap::Parser;

use super::{Named, container, find, record, root, told};
use crate::cli::{Cli, Command, Global, Runtime};
use crate::commands::exec;
use crate::error::Failure;
use crate::pod::usage;

/// Flags of `glassbox pod exec`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  sudo glassbox pod exec -t web -- sh\n\nThe exit status is the program's own, or 128 + \
                        the signal that ended it; 255 where it could not be started."
)]
pub struct Args {
    /// The container [default: the only one, or the first app container]
    #[arg(long, short, value_name = "NAME")]
    pub container: Option<String>,
    /// Give the program a terminal
    #[arg(long, short)]
    pub tty: bool,
    /// The pod
    #[command(flatten)]
    pub pod: Named,
    /// The program and its arguments
    #[arg(value_name = "COMMAND", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<String>,
}

/// Runs a program in a container.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    let home = find(&args.pod, global)?;
    let record = record(&home)?;
    let name = container(&home, &record, args.container.as_deref())?;
    let id = usage::container_id(&record, &name).map_err(told)?.ok_or_else(|| {
        Failure::new(format!("container {name} of pod {} does not run", home.pod_name()))
            .hint("`glassbox pod describe` tells why.")
    })?;
    let root = root(global).display().to_string();
    let mut words = vec!["glassbox".to_string(), "--root".into(), root, "exec".into()];
    words.extend(args.tty.then(|| "--tty".to_string()));
    words.push(id.to_string());
    words.extend(args.command.iter().cloned());
    let cli = Cli::try_parse_from(words).map_err(|error| Failure::new(error.to_string()))?;
    match &cli.command {
        Command::Runtime(Runtime::Exec(args)) => exec::run(args, &cli.global),
        _ => unreachable!("the words are those of exec"),
    }
}
