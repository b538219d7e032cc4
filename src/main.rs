//! The program: parse, run one command, print its error once, leave with its exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    glassbox::commands::main()
}
