//! One file per verb. Only this module prints: results on stdout, one error on stderr.

pub mod applet;
pub mod doctor;
pub mod lab;
pub mod output;
pub mod qos;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};
use crate::error;

/// The whole program: parses the arguments, runs the verb, prints its error.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(code) => code,
        Err(error) => {
            let _ = output::eprint_line(&format!("error: {}", error::one_line(&error)));
            for hint in error::hints(&error) {
                let _ = output::eprint_line(&format!("  hint: {hint}"));
            }
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> anyhow::Result<ExitCode> {
    match &cli.command {
        Command::Qos(args) => qos::run(args, &cli.global),
        Command::Lab(args) => lab::run(args, &cli.global),
        Command::Doctor(args) => doctor::run(args, &cli.global),
        Command::Applet(args) => applet::run(args, &cli.global),
    }
}
