//! Writing to the terminal: the one place that holds stdout and stderr.
//!
//! A closed pipe (`glassbox … | head`) is an error of `io::Write` and never a panic, which `println!` would be.

use std::io::{self, IsTerminal, Write};

/// Writes `text` to stdout and flushes it.
pub fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

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
