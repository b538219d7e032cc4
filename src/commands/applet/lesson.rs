//! `hint`, `solve` and their kin: what the learner says to the runner of the lab whose shell this is.

use std::env;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use crate::commands::output;
use crate::error::Failure;
use crate::lab::guide::{Answer, SOCKET};
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
    output::print(&answer.text)?;
    let Some(script) = answer.run else { return Ok(ExitCode::SUCCESS) };
    let status = Command::new("sh").args(["-c", &script]).status()?;
    Ok(ExitCode::from(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1)))
}

fn exchange(socket: &std::path::Path, word: &str) -> anyhow::Result<Answer> {
    let mut stream = UnixStream::connect(socket)?;
    stream.write_all(format!("{word}\n").as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(serde_json::from_str(&text)?)
}
