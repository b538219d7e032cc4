//! Writing to the terminal: the one place that holds stdout and stderr.
//!
//! A closed pipe (`glassbox … | head`) is an error of `io::Write` and never a panic, which `println!` would be.

use std::fmt;
use std::io::{self, ErrorKind, IsTerminal, Write};

/// Writes `text` to stdout and flushes it.
pub fn print(text: &str) -> io::Result<()> {
    print_bytes(text.as_bytes())
}

/// Writes `bytes` to stdout and flushes it.
pub fn print_bytes(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => io::Error::new(ErrorKind::BrokenPipe, StdoutClosed),
        kind => io::Error::new(kind, format!("cannot write to standard output: {error}")),
    })
}

/// Whoever read stdout has gone. It had what it wanted, so this is told by the exit code alone.
#[derive(Debug)]
pub struct StdoutClosed;

impl StdoutClosed {
    /// What a shell makes of a program that SIGPIPE (13) ended.
    pub const EXIT_CODE: u8 = 128 + 13;

    /// Whether that is what ended a command.
    pub fn is_behind(error: &anyhow::Error) -> bool {
        let inner = |cause: &(dyn std::error::Error + 'static)| -> bool {
            let io = cause.downcast_ref::<io::Error>();
            io.and_then(io::Error::get_ref).is_some_and(|inner| inner.is::<StdoutClosed>())
        };
        error.chain().any(inner)
    }
}

impl fmt::Display for StdoutClosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("standard output is closed")
    }
}

impl std::error::Error for StdoutClosed {}

/// Writes `line` and a newline to stderr.
pub fn eprint_line(line: &str) -> io::Result<()> {
    writeln!(io::stderr().lock(), "{line}")
}

/// Whether stdout may show colour: it is a terminal, `NO_COLOR` is unset or empty, and `TERM` is not `dumb`.
pub fn colour() -> bool {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    io::stdout().is_terminal() && !no_color && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Whether stdout is a terminal that understands cursor movement: `TERM` is set and is not `dumb`.
pub fn moves_cursor() -> bool {
    io::stdout().is_terminal() && std::env::var_os("TERM").is_some_and(|term| term != "dumb")
}

/// How wide to print, and whether in colour.
#[derive(Debug, Clone, Copy)]
pub struct Screen {
    /// Columns.
    pub width: usize,
    /// Whether bold and dim may be used.
    pub colour: bool,
}

impl Screen {
    /// Standard output's: as wide as the terminal, but 80 where it is none and 100 at most.
    pub fn of_stdout() -> Screen {
        let stdout = io::stdout();
        let columns = rustix::termios::tcgetwinsize(&stdout).map_or(0, |size| usize::from(size.ws_col));
        let width = if stdout.is_terminal() && columns > 0 { columns.clamp(40, 100) } else { 80 };
        Screen { width, colour: colour() }
    }
}
