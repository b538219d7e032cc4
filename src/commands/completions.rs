//! `glassbox completions`: the shell's knowledge of our verbs and flags, made from the same definition as the help.

use std::process::ExitCode;

use clap::{Command, CommandFactory};
use clap_complete::Shell;

use super::output;
use crate::cli::{Cli, Global};

/// Flags of `glassbox completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  source <(glassbox completions bash)
  glassbox completions zsh > /usr/local/share/zsh/site-functions/_glassbox
  glassbox completions fish > ~/.config/fish/completions/glassbox.fish

Exit codes: 0 when it is printed, 1 when it cannot be written, 2 for a wrong command line.")]
pub struct Args {
    /// The shell that is to read it
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// Prints the completion script.
pub fn run(args: &Args, _global: &Global) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    clap_complete::generate(args.shell, &mut shown(&command), "glassbox", &mut script);
    output::print_bytes(&script)?;
    Ok(ExitCode::SUCCESS)
}

/// The same command without what is hidden, which clap_complete would offer too, and without what building it has added.
fn shown(command: &Command) -> Command {
    let below = command.get_subcommands().filter(|below| !below.is_hide_set()).map(shown);
    let own = |argument: &&clap::Arg| !argument.is_hide_set() && argument.get_id() != "help";
    let arguments = command.get_arguments().filter(own).cloned();
    Command::new(command.get_name().to_string())
        .about(command.get_about().cloned().unwrap_or_default())
        .version(env!("CARGO_PKG_VERSION"))
        .disable_version_flag(true)
        .args(arguments)
        .subcommands(below)
}
