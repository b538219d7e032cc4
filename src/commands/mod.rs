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
mod narrate;
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
mod without;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use crate::cli::{Cli, Command, Global, Runtime, RuntimeCli};
use crate::error;
use crate::runtime;

use output::StdoutClosed;

/// The verbs that put a process of ours into a container.
const ENTERING: [&str; 3] = ["create", "run", "exec"];

/// The whole program: parses the arguments, runs the verb, prints its error.
pub fn main() -> ExitCode {
    // `pod run` enters no container: it must know where it was started from, for the supervisor, which seals itself.
    if !std::env::args_os().any(|word| word == "pod") {
        seal_early();
    }
    let cli: Cli = parsed(applet::arguments(std::env::args_os()));
    let enters = matches!(cli.command, Command::Runtime(Runtime::Exec(_)));
    ended(&cli.global, enters, dispatch(&cli))
}

/// The program `glassbox-runtime`: the same, with the verbs of a runtime alone. What is not in a program need not be loaded,
/// mapped and protected at each start of a container.
pub fn runtime_main() -> ExitCode {
    seal_early();
    let cli: RuntimeCli = parsed(std::env::args_os());
    ended(&cli.global, matches!(cli.command, Runtime::Exec(_)), dispatch_runtime(&cli.command, &cli.global))
}

/// Early, because it begins anew: the less is done twice, the better. Whether it worked is asked again by the verb.
fn seal_early() {
    if std::env::args_os().any(|word| ENTERING.iter().any(|verb| word == *verb)) {
        let _ = runtime::seal();
    }
}

/// The command line that `given` is; ends the process where it is none, or asks for help.
fn parsed<C: CommandFactory + FromArgMatches + CommandLine>(given: impl IntoIterator<Item = OsString>) -> C {
    let words = arguments::normalised(given, C::command);
    let said = log::call(&words);
    let parsed = C::command().try_get_matches_from(&words).and_then(|matches| C::from_arg_matches(&matches));
    let cli = parsed.unwrap_or_else(|error| {
        log::wrong_command_line(&words, &error);
        error.exit()
    });
    if cli.global().debug {
        log::debug(cli.global(), &said);
    }
    cli
}

/// What both programs' command lines have.
trait CommandLine {
    /// Flags that every command takes.
    fn global(&self) -> &Global;
}

impl CommandLine for Cli {
    fn global(&self) -> &Global {
        &self.global
    }
}

impl CommandLine for RuntimeCli {
    fn global(&self) -> &Global {
        &self.global
    }
}

/// Prints the error, if there is one; `enters` where the verb is `exec`, whose program has a status of its own.
fn ended(global: &Global, enters: bool, result: anyhow::Result<ExitCode>) -> ExitCode {
    match result {
        Ok(code) => code,
        Err(error) if StdoutClosed::is_behind(&error) => StdoutClosed::EXIT_CODE.into(),
        Err(error) => {
            log::error(global, &error::one_line(&error));
            let _ = output::eprint_sentence("error: ", &error::harmless(&error::one_line(&error)));
            for hint in error::hints(&error) {
                let _ = output::eprint_sentence("  hint: ", &error::harmless(&hint));
            }
            match enters {
                true => exec::NOT_STARTED.into(),
                false => ExitCode::FAILURE,
            }
        }
    }
}

fn dispatch(cli: &Cli) -> anyhow::Result<ExitCode> {
    match &cli.command {
        Command::Runtime(verb) => dispatch_runtime(verb, &cli.global),
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

fn dispatch_runtime(verb: &Runtime, global: &Global) -> anyhow::Result<ExitCode> {
    match verb {
        Runtime::Spec(args) => apart(spec::run, args, global),
        Runtime::Run(args) => apart(run::run, args, global),
        Runtime::Create(args) => apart(create::run, args, global),
        Runtime::Start(args) => apart(start::run, args, global),
        Runtime::State(args) => apart(state::run, args, global),
        Runtime::Kill(args) => apart(kill::run, args, global),
        Runtime::Delete(args) => apart(delete::run, args, global),
        Runtime::List(args) => apart(list::run, args, global),
        Runtime::Ps(args) => apart(ps::run, args, global),
        Runtime::Exec(args) => apart(exec::run, args, global),
        Runtime::Pause(args) => apart(|args, global| pause::run(args, global, true), args, global),
        Runtime::Resume(args) => apart(|args, global| pause::run(args, global, false), args, global),
        Runtime::Update(args) => apart(update::run, args, global),
        Runtime::Events(args) => apart(events::run, args, global),
        Runtime::Features(args) => apart(features::run, args, global),
    }
}

/// Runs a verb in a stack frame of its own. Inlined into one function, all verbs have one frame together, of 40 KiB, and each
/// call touches all pages of it.
#[inline(never)]
fn apart<A>(verb: fn(&A, &Global) -> anyhow::Result<ExitCode>, args: &A, global: &Global) -> anyhow::Result<ExitCode> {
    verb(args, global)
}
