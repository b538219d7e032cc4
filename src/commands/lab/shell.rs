//! The learner's shell: how it is started in a lab, and `glassbox lab shell`, which joins a lab from another terminal.

use std::fs;
use std::io::{self, IsTerminal, Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use rustix::termios::{OptionalActions, tcgetattr, tcsetattr, tcsetpgrp};

use super::phrases;
use crate::commands::output;
use crate::error::Failure;
use crate::lab::guide::{Guide, JOINS, SOCKET};
use crate::lab::interrupt::Interrupt;
use crate::lab::lang::Lang;
use crate::lab::machine::Machine;
use crate::lab::place::Place;

/// Flags of `glassbox lab shell`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  sudo glassbox lab start qos --apart    # in one terminal: the lesson
  sudo glassbox lab shell                # in another one: your shell")]
pub struct Args {
    /// The lab, where several run [default: the one that runs]
    #[arg(value_name = "ID")]
    id: Option<String>,
}

/// Runs `glassbox lab shell`: your own shell in the place of a lab that runs in another terminal.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let place = place(args.id.as_deref())?;
    if !io::stdin().is_terminal() {
        return Err(Failure::new("lab shell needs a terminal, and this is none").into());
    }
    let shell =
        std::env::var("SHELL").ok().filter(|shell| Path::new(shell).exists()).unwrap_or_else(|| "sh".to_string());
    let lang = Lang::of_locale(|name| std::env::var(name).ok());
    output::print(&format!("{}\n", phrases::joined(lang, &place.lab, &shell)))?;
    let before = tcgetattr(io::stdin())?;
    // Ctrl-C is the shell's; and the terminal can be taken back from a shell that was killed with its lab.
    let _interrupt = Interrupt::take_over()?;
    let mut child = place.command(&shell).spawn()?;
    let joined = join(&place, child.id());
    let status = child.wait()?;
    let _ = tcsetpgrp(io::stdin(), rustix::process::getpgrp());
    tcsetattr(io::stdin(), OptionalActions::Now, &before)?;
    joined.map_err(|error| Failure::new(format!("lab {} did not answer", place.lab)).caused_by(error))?;
    // Nobody kills a shell but the runner, when the lesson is left.
    if status.signal().is_some() {
        output::print(&format!("\n{}\n", phrases::lab_over(lang, &place.lab)))?;
    }
    Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(0)))
}

fn place(id: Option<&str>) -> anyhow::Result<Place> {
    let all = Place::all()?;
    let ids: Vec<_> = all.iter().map(|place| place.lab.clone()).collect();
    let mut meant: Vec<_> = all.into_iter().filter(|place| id.is_none_or(|id| place.lab == id)).collect();
    match (meant.len(), id) {
        (1, _) => Ok(meant.remove(0)),
        (0, Some(id)) if !ids.is_empty() => {
            let failure = Failure::new(format!("lab shell {id}: this lab is not running"));
            Err(failure.hint(format!("Labs that run: {}.", ids.join(", "))).into())
        }
        (0, _) => Err(Failure::new("lab shell: you run no lab now")
            .hint("In another terminal, as the same user: glassbox lab start ID --apart")
            .into()),
        (_, None) => {
            Err(Failure::new("lab shell: you run several labs").hint(format!("Name one: {}.", ids.join(", "))).into())
        }
        (_, Some(id)) => Err(Failure::new(format!("lab shell {id}: it runs more than once"))
            .hint("Leave the others, or work in the shell of the one that you mean.")
            .into()),
    }
}

/// Tells the guide that this shell is the learner's.
fn join(place: &Place, pid: u32) -> io::Result<()> {
    let mut stream = UnixStream::connect(place.dir.join(SOCKET))?;
    stream.write_all(format!("{JOINS}{pid}\n").as_bytes())?;
    stream.read_to_string(&mut String::new())?;
    Ok(())
}

/// The lab's own shell: bash, or sh where there is none; and whether it is bash.
///
/// # Errors
/// If its start-up file cannot be written.
pub fn command(guide: &mut Guide<'_>, machine: &Machine) -> io::Result<(Command, bool)> {
    let (program, arguments, bash) = start_up(guide, machine)?;
    let mut command = guide.session().scene().command(program);
    command.args(arguments);
    set_env(&mut command, guide, bash);
    Ok((command, bash))
}

/// The same, for a pseudo terminal which it makes its own.
///
/// # Errors
/// If its start-up file cannot be written.
pub fn on_terminal(guide: &mut Guide<'_>, machine: &Machine) -> io::Result<Command> {
    let (program, arguments, bash) = start_up(guide, machine)?;
    let glassbox = guide.session().scene().dir().join("bin/glassbox");
    let mut command = guide.session().scene().command(&glassbox.to_string_lossy());
    command.args(["applet", "terminal", program]).args(arguments);
    set_env(&mut command, guide, bash);
    // What the pane understands; the terminal around it may be of any kind.
    let many = std::env::var("TERM").is_ok_and(|term| term.contains("256"));
    command.env("TERM", if many { "xterm-256color" } else { "xterm" }).env_remove("COLUMNS").env_remove("LINES");
    Ok(command)
}

/// Writes the step's number to where the prompt finds it.
///
/// # Errors
/// If the run's directory cannot be written.
pub fn write_prompt(guide: &mut Guide<'_>) -> io::Result<()> {
    let (step, lab) = (guide.step(), guide.session().lab());
    let number = (step + 1).min(lab.steps.len());
    let prompt = format!("{} {number}/{}", lab.id, lab.steps.len());
    fs::write(guide.session().scene().dir().join("prompt"), prompt)
}

fn start_up(guide: &mut Guide<'_>, machine: &Machine) -> io::Result<(&'static str, Vec<String>, bool)> {
    let bash = machine.path.iter().any(|dir| dir.join("bash").exists());
    let rc = guide.session().scene().dir().join("rc");
    // A shell whose runner was killed ends at its next prompt. In a root directory of its own it asks nobody.
    let ask = "[ ! -S \"$GLASSBOX_LAB/socket\" ] || \"$GLASSBOX_LAB/bin/glassbox\" applet prompt || exit";
    let place = "$(cat \"$GLASSBOX_LAB/prompt\" 2>/dev/null)";
    if !bash {
        fs::write(&rc, format!("PS1='$({ask})\n[{place}] $ '\n"))?;
        return Ok(("sh", vec!["-i".to_string()], false));
    }
    // The system's bashrc sets a prompt of its own, so this one is set after it, and exported: a bash that the
    // learner starts in other namespaces asks as well.
    let prompt = format!("unset HISTFILE\nexport PS1='[{place}] \\$ '\nexport PROMPT_COMMAND='{ask}'\n");
    fs::write(&rc, prompt)?;
    Ok(("bash", ["--rcfile", &rc.to_string_lossy(), "-i"].map(String::from).to_vec(), true))
}

fn set_env(command: &mut Command, guide: &mut Guide<'_>, bash: bool) {
    if !bash {
        command.env("ENV", guide.session().scene().dir().join("rc"));
    }
}
