//! Writing to the terminal: the one place that holds stdout and stderr.
//!
//! A closed pipe (`glassbox … | head`) is an error of `io::Write` and never a panic, which `println!` would be.

use std::fmt;
use std::io::{self, ErrorKind, IsTerminal, Write};

use rustix::termios::tcgetwinsize;
use unicode_width::UnicodeWidthStr;

use crate::view::text::wrap;

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

/// Writes a sentence to stderr. On a terminal it is broken at words, and goes on below its first one; elsewhere it stays one
/// line, as programs read it.
pub fn eprint_sentence(lead: &str, text: &str) -> io::Result<()> {
    let stderr = io::stderr();
    let columns = tcgetwinsize(&stderr).map_or(0, |size| usize::from(size.ws_col));
    match stderr.is_terminal() && columns > 0 {
        true => writeln!(stderr.lock(), "{}", hanging(lead, text, columns.clamp(40, 100))),
        false => eprint_line(&format!("{lead}{text}")),
    }
}

/// Lines of at most `width` columns. What begins further in (an item of a list) goes on so.
fn hanging(lead: &str, text: &str, width: usize) -> String {
    let mut out = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let inside = line.len() - line.trim_start().len();
        let first = if at == 0 { lead.to_string() } else { " ".repeat(inside) };
        let rest = " ".repeat(if at == 0 { lead.width() } else { inside + 2 });
        let pieces = wrap(line.trim_start(), width.saturating_sub(rest.len()));
        out.extend(pieces.iter().enumerate().map(|(at, piece)| {
            let indent = if at == 0 { &first } else { &rest };
            format!("{indent}{piece}")
        }));
    }
    out.join("\n")
}

/// Writes `text` to stderr as it is.
pub fn eprint(text: &str) -> io::Result<()> {
    io::stderr().lock().write_all(text.as_bytes())
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
        let columns = tcgetwinsize(&stdout).map_or(0, |size| usize::from(size.ws_col));
        let width = if stdout.is_terminal() && columns > 0 { columns.clamp(40, 100) } else { 80 };
        Screen { width, colour: colour() }
    }
}

#[cfg(test)]
mod tests {
    use super::hanging;

    #[test]
    fn a_long_sentence_goes_on_below_its_first_word() {
        assert_eq!(hanging("  hint: ", "one two three", 16), "  hint: one two\n        three");
        let list = "invalid pod p.yaml\n  spec.a: a value that is long\n  spec.b: b";
        let expected = "error: invalid pod p.yaml\n  spec.a: a value that\n    is long\n  spec.b: b";
        assert_eq!(hanging("error: ", list, 25), expected);
        assert_eq!(hanging("error: ", "没有这个实验", 14), "error: 没有这\n       个实验");
    }
}
