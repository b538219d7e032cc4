//! One file per verb. Only this module prints: results on stdout, one error on stderr.

pub mod applet;
mod arguments;
pub mod completions;
pub mod container;
pub mod create;
pub mod delete;
pub mod doctor;
pub mod events;
pub mod exec;
pub mod explain;
pub mod features;
pub mod image;
pub mod kill;
pub mod lab;
pub mod list;
mod log;
mod machine;
pub mod man;
pub mod output;
pub mod pause;
pub mod plot;
pub mod pod;
pub mod ps;
pub mod qos;
pub mod run;
pub mod spec;
pub mod start;
pub mod state;
pub mod top;
pub mod tree;
pub mod update;
pub mod why;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use crate::cli::{Cli, Command};
use crate::error;
use crate::pod::pause as pause_process;
use crate::runtime;

use output::StdoutClosed;

/// The verbs that put a process of ours into a container.
const ENTERING: [&str; 3] = ["create", "run", "exec"];

/// The whole program: parses the arguments, runs the verb, prints its error.
pub fn main() -> ExitCode {
    // The pause process is this program by another name, and wants nothing of what follows.
    if std::env::args_os().next().is_some_and(|name| name == pause_process::NAME) {
        return pause_process::run().map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
    }
    // Early, because it begins anew: the less is done twice, the better. Whether it worked is asked again by the verb. `pod run`
    // enters no container: it must know where it was started from, for the supervisor, which seals itself.
    let has = |wanted: &[&str]| std::env::args_os().any(|word| wanted.iter().any(|verb| word == *verb));
    if has(&ENTERING) && !has(&["pod"]) {
        let _ = runtime::seal();
    }
    let command = Cli::command();
    let words = arguments::normalised(applet::arguments(std::env::args_os()), &command);
    let said = log::call(&words);
    let matches = command.get_matches_from(words);
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    if cli.global.debug {
        log::debug(&cli.global, &said);
    }
    match dispatch(&cli) {
        Ok(code) => code,
        Err(error) if StdoutClosed::is_behind(&error) => StdoutClosed::EXIT_CODE.into(),
        Err(error) => {
            log::error(&cli.global, &error::one_line(&error));
            let _ = output::eprint_line(&format!("error: {}", error::harmless(&error::one_line(&error))));
            for hint in error::hints(&error) {
                let _ = output::eprint_line(&format!("  hint: {}", error::harmless(&hint)));
            }
            match cli.command {
                Command::Exec(_) => exec::NOT_STARTED.into(),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

fn dispatch(cli: &Cli) -> anyhow::Result<ExitCode> {
    match &cli.command {
        Command::Spec(args) => spec::run(args, &cli.global),
        Command::Run(args) => run::run(args, &cli.global),
        Command::Create(args) => create::run(args, &cli.global),
        Command::Start(args) => start::run(args, &cli.global),
        Command::State(args) => state::run(args, &cli.global),
        Command::Kill(args) => kill::run(args, &cli.global),
        Command::Delete(args) => delete::run(args, &cli.global),
        Command::List(args) => list::run(args, &cli.global),
        Command::Ps(args) => ps::run(args, &cli.global),
        Command::Exec(args) => exec::run(args, &cli.global),
        Command::Pause(args) => pause::run(args, &cli.global, true),
        Command::Resume(args) => pause::run(args, &cli.global, false),
        Command::Update(args) => update::run(args, &cli.global),
        Command::Events(args) => events::run(args, &cli.global),
        Command::Features(args) => features::run(args, &cli.global),
        Command::Explain(args) => explain::run(args, &cli.global),
        Command::Top(args) => top::run(args, &cli.global),
        Command::Plot(args) => plot::run(args, &cli.global),
        Command::Tree(args) => tree::run(args, &cli.global),
        Command::Qos(args) => qos::run(args, &cli.global),
        Command::Pod(args) => pod::run(args, &cli.global),
        Command::Why(args) => why::run(args, &cli.global),
        Command::Image(args) => image::run(args, &cli.global),
        Command::Lab(args) => lab::run(args, &cli.global),
        Command::Doctor(args) => doctor::run(args, &cli.global),
        Command::Completions(args) => completions::run(args, &cli.global),
        Command::Man(args) => man::run(args, &cli.global),
        Command::Applet(args) => applet::run(args, &cli.global),
    }
}
