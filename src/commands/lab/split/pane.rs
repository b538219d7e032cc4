//! The shell's pane: a pseudo terminal with the learner's shell on it, and the screen that its output draws.

use std::fs::File;
use std::io::{self, Read, Write};
use std::num::NonZeroU16;
use std::os::fd::{AsFd, BorrowedFd};
use std::process::{Child, Command, Stdio};

use nix::pty::{Winsize, openpty};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::termios::tcsetwinsize;
use vt100::{Callbacks, Parser, Screen};

/// The shell and its screen.
pub struct Pane {
    child: Child,
    master: File,
    parser: Parser<Asked>,
    /// What could not be written yet: the shell reads slower than the learner pastes.
    waiting: Vec<u8>,
}

/// How many rows above the screen are kept, to come down again when the pane grows.
const SCROLLED: usize = 200;

/// What the program in the pane wants of its terminal, beside its screen.
#[derive(Debug, Default)]
struct Asked {
    bell: bool,
    answers: Vec<u8>,
}

impl Callbacks for Asked {
    fn audible_bell(&mut self, _: &mut Screen) {
        self.bell = true;
    }

    /// Answers the questions that programs wait for: where the cursor is (DSR 6), whether all is well (DSR 5), and what the
    /// terminal is (DA: a VT102).
    fn unhandled_csi(&mut self, screen: &mut Screen, first: Option<u8>, _: Option<u8>, params: &[&[u16]], c: char) {
        let number = params.first().and_then(|values| values.first()).copied().unwrap_or_default();
        match (first, c, number) {
            (None, 'n', 6) => {
                let (row, column) = screen.cursor_position();
                self.answers.extend(format!("\x1b[{};{}R", row + 1, column + 1).bytes());
            }
            (None, 'n', 5) => self.answers.extend(b"\x1b[0n"),
            (None, 'c', _) => self.answers.extend(b"\x1b[?6c"),
            _ => {}
        }
    }
}

impl Pane {
    /// Starts a command on a pseudo terminal of its own, of so many columns and rows. The command has to make it the
    /// controlling terminal of its session (`glassbox applet terminal`).
    ///
    /// # Errors
    /// If there is no pseudo terminal to be had, or the command does not start.
    pub fn start(command: &mut Command, (columns, rows): (u16, u16)) -> io::Result<Pane> {
        let pty = openpty(&winsize(columns, rows), None)?;
        let stdio = || io::Result::Ok(Stdio::from(pty.slave.try_clone()?));
        let child = command.stdin(stdio()?).stdout(stdio()?).stderr(stdio()?).spawn()?;
        // Ours close with the command: else its end would never be seen.
        drop(pty.slave);
        let flags = fcntl_getfl(&pty.master)?;
        fcntl_setfl(&pty.master, flags | OFlags::NONBLOCK)?;
        let parser = Parser::new_with_callbacks(at_least_one(rows), at_least_one(columns), SCROLLED, Asked::default());
        Ok(Pane { child, master: File::from(pty.master), parser, waiting: Vec::new() })
    }

    /// The shell's process id.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a process id fits an i32")
    }

    /// What is readable when the shell has drawn something.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.master.as_fd()
    }

    /// The screen.
    pub fn screen(&self) -> &Screen {
        self.parser.screen()
    }

    /// Gives the pane another size; the kernel tells the programs in it (SIGWINCH).
    ///
    /// # Errors
    /// If the terminal is gone.
    pub fn resize(&mut self, (columns, rows): (u16, u16)) -> io::Result<()> {
        let (columns, rows) = (columns.max(1), rows.max(1));
        if self.screen().size() != (at_least_one(rows), at_least_one(columns)) {
            self.parser.set_size(at_least_one(rows), at_least_one(columns));
            let size = rustix::termios::Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
            tcsetwinsize(&self.master, size)?;
        }
        Ok(())
    }

    /// Draws what the shell has written since; whether there was anything, and whether it rang the bell.
    ///
    /// # Errors
    /// If the terminal cannot be read for another reason than its end, which [`Pane::ended`] tells.
    pub fn read(&mut self) -> io::Result<(bool, bool)> {
        let mut buffer = [0; 16 * 1024];
        let drawn = match self.master.read(&mut buffer) {
            Ok(read) => {
                self.parser.process(&buffer[..read]);
                read > 0
            }
            // EIO: nobody has the other side open.
            Err(error) if error.raw_os_error() == Some(nix::libc::EIO) => false,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => false,
            Err(error) => return Err(error),
        };
        let asked = self.parser.callbacks_mut();
        let (bell, answers) = (std::mem::take(&mut asked.bell), std::mem::take(&mut asked.answers));
        self.write(&answers)?;
        Ok((drawn, bell))
    }

    /// Types bytes into the shell; what it does not take at once is kept for the next call.
    ///
    /// # Errors
    /// If the terminal is gone.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.waiting.extend(bytes);
        while !self.waiting.is_empty() {
            match self.master.write(&self.waiting) {
                Ok(written) => drop(self.waiting.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                // The other side has gone: what was typed for it goes too.
                Err(error) if error.raw_os_error() == Some(nix::libc::EIO) => self.waiting.clear(),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether the shell has ended.
    ///
    /// # Errors
    /// If the kernel does not say.
    pub fn ended(&mut self) -> io::Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }
}

impl Drop for Pane {
    fn drop(&mut self) {
        // A shell that is left alive hears of the hang-up when the descriptor closes; so it is not waited for without end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn winsize(columns: u16, rows: u16) -> Winsize {
    Winsize { ws_row: rows.max(1), ws_col: columns.max(1), ws_xpixel: 0, ws_ypixel: 0 }
}

fn at_least_one(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).unwrap_or(NonZeroU16::MIN)
}

/// Copies a screen to where it is shown. Where its cursor is drawn, unless it hides it.
pub fn show(screen: &Screen, area: Rect, buffer: &mut Buffer) -> Option<(u16, u16)> {
    for row in 0..area.height {
        for column in 0..area.width {
            let Some(cell) = screen.cell(row, column) else { continue };
            let shown = &mut buffer[(area.x + column, area.y + row)];
            // The right half of a wide character belongs to the left one.
            if cell.is_wide_continuation() {
                continue;
            }
            let half = cell.is_wide() && column + 1 == area.width;
            shown.set_symbol(if cell.has_contents() && !half { cell.contents() } else { " " });
            shown.set_style(style(cell));
        }
    }
    let (row, column) = screen.cursor_position();
    let inside = row < area.height && area.width > 0;
    (inside && !screen.hide_cursor()).then(|| (area.x + column.min(area.width - 1), area.y + row))
}

fn style(cell: &vt100::Cell) -> Style {
    let colour = |colour| match colour {
        vt100::Color::Default => Color::Reset,
        vt100::Color::Idx(index) => Color::Indexed(index),
        vt100::Color::Rgb(red, green, blue) => Color::Rgb(red, green, blue),
    };
    let modifiers = [
        (cell.bold(), Modifier::BOLD),
        (cell.dim(), Modifier::DIM),
        (cell.italic(), Modifier::ITALIC),
        (cell.underline(), Modifier::UNDERLINED),
        (cell.inverse(), Modifier::REVERSED),
    ];
    let set = modifiers.into_iter().filter(|(on, _)| *on).map(|(_, modifier)| modifier).collect();
    Style::reset().fg(colour(cell.fgcolor())).bg(colour(cell.bgcolor())).add_modifier(set)
}

#[cfg(test)]
mod tests {
    use ratatui::buffer::Buffer;
    use ratatui::layout::Rect;
    use vt100::Parser;

    use super::{Asked, at_least_one, show};

    fn parser(columns: u16, rows: u16) -> Parser<Asked> {
        Parser::new_with_callbacks(at_least_one(rows), at_least_one(columns), 0, Asked::default())
    }

    #[test]
    fn a_screen_is_copied_with_wide_characters_in_their_columns() {
        let mut parser = parser(8, 2);
        parser.process("a中b文\x1b[2;3H".as_bytes());
        let mut buffer = Buffer::empty(Rect::new(0, 0, 10, 2));
        let cursor = show(parser.screen(), Rect::new(2, 0, 8, 2), &mut buffer);
        assert_eq!(buffer, Buffer::with_lines(["  a中b文  ", "          "]));
        assert_eq!(cursor, Some((4, 1)));
        parser.process(b"\x1b[?25l");
        assert_eq!(show(parser.screen(), Rect::new(2, 0, 8, 2), &mut buffer), None);
    }

    #[test]
    fn a_wide_character_is_not_drawn_over_the_edge() {
        let mut parser = parser(8, 1);
        parser.process("abc中".as_bytes());
        let mut buffer = Buffer::empty(Rect::new(0, 0, 5, 1));
        show(parser.screen(), Rect::new(0, 0, 4, 1), &mut buffer);
        assert_eq!(buffer, Buffer::with_lines(["abc  "]));
    }

    #[test]
    fn questions_to_the_terminal_are_answered() {
        let mut parser = parser(8, 2);
        parser.process(b"ab\x1b[6n\x1b[5n\x1b[c\x07");
        let asked = parser.callbacks_mut();
        assert_eq!(String::from_utf8_lossy(&asked.answers), "\x1b[1;3R\x1b[0n\x1b[?6c");
        assert!(asked.bell);
    }
}
