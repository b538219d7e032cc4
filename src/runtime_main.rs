//! The program `glassbox-runtime`: `glassbox` with the verbs of an OCI runtime alone, for engines, which start containers all
//! day. It has no behaviour of its own; what it lacks is what `glassbox` would load beside it.

use std::process::ExitCode;

fn main() -> ExitCode {
    glassbox::commands::runtime_main()
}
