//! A shell that the runner types into: one command at a time, its output streamed, its exit status known.
//!
//! It is one shell for a whole script, so `cd`, variables and background jobs last from line to line.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::interrupt::Interrupt;
use super::scene::Scene;

/// How long one command may take.
const LIMIT: Duration = Duration::from_secs(120);

/// How often `on` is called while nothing is printed.
const TICK: Duration = Duration::from_millis(100);

/// Marks the line that the shell prints after each command.
const DONE: char = '\u{1}';

/// Why a command has no exit status.
#[derive(Debug, thiserror::Error)]
pub enum TypeError {
    /// The shell ended: the command was `exit`, or it was killed.
    #[error("the shell ended")]
    Ended,
    /// It took more than two minutes.
    #[error("it took more than {} seconds", LIMIT.as_secs())]
    TooLong,
    /// A signal asked the runner to end.
    #[error("interrupted by signal {0}")]
    Interrupted(i32),
    /// The shell could not be started or written to.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The shell.
#[derive(Debug)]
pub struct Typist {
    child: Child,
    stdin: ChildStdin,
    output: Receiver<String>,
    interrupt: Interrupt,
}

impl Typist {
    /// Starts `sh` in a scene.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(scene: &Scene, interrupt: Interrupt) -> io::Result<Typist> {
        let (reader, writer) = io::pipe()?;
        let mut child = scene.command("sh").stdin(Stdio::piped()).stdout(writer.try_clone()?).stderr(writer).spawn()?;
        let stdin = child.stdin.take().expect("stdin is piped");
        let (sender, output) = channel();
        // The thread ends when the last process that holds the other end of the pipe has gone.
        thread::spawn(move || {
            let mut reader = BufReader::new(reader);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                let text = String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_string();
                if sender.send(text).is_err() {
                    return;
                }
                line.clear();
            }
        });
        Ok(Typist { child, stdin, output, interrupt })
    }

    /// The shell's process id.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a process id fits an i32")
    }

    /// Types one command, hands on every line that it prints, and returns its exit status. `on` is also called, with
    /// `None`, every tenth of a second while the command runs.
    ///
    /// # Errors
    /// If it never comes to a status.
    pub fn run(&mut self, command: &str, mut on: impl FnMut(Option<&str>)) -> Result<i32, TypeError> {
        // The braces keep the command from reading what is typed next as its own input.
        let typed = format!("{{ {command}\n}} </dev/null\nprintf '\\n\\001%s\\n' \"$?\"\n");
        self.stdin.write_all(typed.as_bytes()).map_err(|_| TypeError::Ended)?;
        let started = Instant::now();
        let mut next_tick = started + TICK;
        let mut empty_line = false;
        loop {
            let heard = self.output.recv_timeout(next_tick.saturating_duration_since(Instant::now()));
            if Instant::now() >= next_tick {
                on(None);
                // From the end of the look, which may take longer than a tick: the lines that wait are heard first.
                next_tick = Instant::now() + TICK;
            }
            match heard {
                Ok(line) => {
                    if let Some(status) = line.strip_prefix(DONE) {
                        return status.parse().map_err(|_| TypeError::Ended);
                    }
                    // The newline before the mark ends a line that the command left open; after a whole line it is not output.
                    if std::mem::replace(&mut empty_line, line.is_empty()) {
                        on(Some(""));
                    }
                    if !line.is_empty() {
                        on(Some(&line));
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return Err(TypeError::Ended),
                Err(RecvTimeoutError::Timeout) => self.still_running(started)?,
            }
        }
    }

    fn still_running(&mut self, started: Instant) -> Result<(), TypeError> {
        if let Some(signal) = self.interrupt.came() {
            return Err(TypeError::Interrupted(signal));
        }
        if self.child.try_wait()?.is_some() {
            return Err(TypeError::Ended);
        }
        if started.elapsed() > LIMIT { Err(TypeError::TooLong) } else { Ok(()) }
    }
}

impl Drop for Typist {
    fn drop(&mut self) {
        // It may have ended already; what it started is ended by the scene.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The commands of a script. A line that begins with white space continues the command above it.
pub fn commands(script: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for line in script.lines().filter(|line| !line.trim().is_empty()) {
        match found.last_mut() {
            Some(command) if line.starts_with([' ', '\t']) => {
                command.push('\n');
                command.push_str(line);
            }
            _ => found.push(line.to_string()),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::commands;

    #[test]
    fn an_indented_line_continues_the_command() {
        let script = "\nmkdir a\nfor x in 1 2; do\n  echo $x\n  done\necho end\n";
        assert_eq!(commands(script), ["mkdir a", "for x in 1 2; do\n  echo $x\n  done", "echo end"]);
    }
}
