//! `glassbox applet`: the small programs that labs use. A link to this binary named `hog` is `glassbox applet hog`.

mod burn;
mod hog;
mod lesson;
mod rootfs;

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use crate::cli::Global;
use crate::lab::scene::{PROGRAMS, WORDS};

/// Flags of `glassbox applet`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    applet: Applet,
}

#[derive(Debug, clap::Subcommand)]
enum Applet {
    /// Take memory, page by page, and tell how much
    Hog(hog::Args),
    /// Keep one CPU busy, and tell how much of it was had
    Burn(burn::Args),
    /// Make a small root file system out of this machine's busybox
    Rootfs(rootfs::Args),
    /// Ask the lab for a hint; ask again for a plainer one
    Hint,
    /// See the step's solution and have it run before your eyes
    Solve,
    /// Go on to the next step; the runner does this one for you
    Skip,
    /// Go back to the step before, as it was when you entered it
    Back,
    /// See what the step still waits for: expected, found, in which file
    Status,
    /// Read the step's words again
    Lesson,
    /// Tell the lab that the shell is about to show its prompt
    #[command(hide = true)]
    Prompt,
    /// Run a program in a session of its own, with standard input as its controlling terminal
    #[command(hide = true)]
    Terminal {
        /// The program and its arguments
        #[arg(value_name = "COMMAND", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<OsString>,
    },
}

/// Runs the command.
pub fn run(args: &Args, _global: &Global) -> anyhow::Result<ExitCode> {
    match &args.applet {
        Applet::Hog(args) => hog::run(args),
        Applet::Burn(args) => burn::run(args),
        Applet::Rootfs(args) => rootfs::run(args),
        Applet::Hint => lesson::ask("hint"),
        Applet::Solve => lesson::ask("solve"),
        Applet::Skip => lesson::ask("skip"),
        Applet::Back => lesson::ask("back"),
        Applet::Status => lesson::ask("status"),
        Applet::Lesson => lesson::ask("lesson"),
        Applet::Prompt => lesson::ask("prompt"),
        Applet::Terminal { command } => on_terminal(command),
    }
}

/// Becomes a program that has its own session and terminal: so its job control works, and Ctrl-C is its own (tty(4)).
fn on_terminal(command: &[OsString]) -> anyhow::Result<ExitCode> {
    rustix::process::setsid()?;
    rustix::process::ioctl_tiocsctty(std::io::stdin())?;
    Err(Command::new(&command[0]).args(&command[1..]).exec().into())
}

/// The arguments of this process. Called as `hog 200`, they are those of `glassbox applet hog 200`.
pub fn arguments(given: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let given: Vec<_> = given.collect();
    let name = given.first().and_then(|name| Path::new(name).file_name()).and_then(|name| name.to_str());
    match name {
        Some(name) if PROGRAMS.contains(&name) || WORDS.contains(&name) => {
            let called = ["glassbox", "applet", name].map(OsString::from);
            called.into_iter().chain(given.into_iter().skip(1)).collect()
        }
        _ => given,
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use clap::Parser;

    use super::arguments;
    use crate::cli::Cli;
    use crate::lab::scene::{PROGRAMS, WORDS};

    fn called(words: &[&str]) -> Vec<OsString> {
        arguments(words.iter().map(OsString::from))
    }

    #[test]
    fn the_name_of_the_link_is_the_applet() {
        assert_eq!(called(&["/tmp/x/bin/hog", "200"]), ["glassbox", "applet", "hog", "200"]);
        assert_eq!(called(&["target/debug/glassbox", "lab", "list"]), ["target/debug/glassbox", "lab", "list"]);
        assert_eq!(called(&[]), Vec::<OsString>::new());
    }

    #[test]
    fn every_name_on_the_lab_shells_path_is_an_applet() {
        for name in PROGRAMS.iter().chain(&WORDS) {
            let arguments = if ["hog", "rootfs"].contains(name) { called(&[name, "1"]) } else { called(&[name]) };
            Cli::try_parse_from(arguments).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
}
