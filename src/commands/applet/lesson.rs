//! `hint`, `solve` and their kin: what the learner says to the runner of the lab whose shell this is.

use std::env;
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use rustix::termios::tcgetwinsize;

use crate::commands::output;
use crate::error::Failure;
use crate::lab::guide::{Answer, PAUSE, SOCKET};
use crate::lab::processes::MARK;

/// Sends one word to the runner, prints its answer, and runs what it says to run.
pub fn ask(word: &str) -> anyhow::Result<ExitCode> {
    let dir = env::var_os(MARK).map(PathBuf::from).ok_or_else(|| {
        Failure::new(format!("{word}: {MARK} is not set"))
            .hint("This word works in the shell of a lab: glassbox lab start ID")
    })?;
    let answer = exchange(&dir.join(SOCKET), word).map_err(|error| {
        Failure::new(format!("{word}: no lab answers in {}", dir.display()))
            .caused_by(error)
            .hint("The lab of this shell has ended; leave the shell with exit")
    })?;
    show(&answer)?;
    let Some(script) = answer.run else { return Ok(ExitCode::SUCCESS) };
    let status = Command::new("sh").args(["-c", &script]).status()?;
    Ok(ExitCode::from(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1)))
}

/// Prints an answer; one that is longer than the screen waits for Enter at its pauses.
fn show(answer: &Answer) -> io::Result<()> {
    // A serial line has no size of its own; 24 rows are the terminals' oldest habit.
    let rows = match tcgetwinsize(io::stdout()) {
        Ok(size) if io::stdin().is_terminal() => {
            if size.ws_row > 0 {
                usize::from(size.ws_row)
            } else {
                24
            }
        }
        _ => usize::MAX,
    };
    let mut pages = answer.text.split(PAUSE).peekable();
    let long = answer.text.lines().count() >= rows;
    while let Some(page) = pages.next() {
        output::print(page)?;
        if long && pages.peek().is_some_and(|page| !page.is_empty()) {
            output::print(&format!("\n{}", answer.pause))?;
            io::stdin().lock().read_line(&mut String::new())?;
        }
    }
    Ok(())
}

fn exchange(socket: &std::path::Path, word: &str) -> anyhow::Result<Answer> {
    let mut stream = UnixStream::connect(socket)?;
    stream.write_all(format!("{word}\n").as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(serde_json::from_str(&text)?)
}
