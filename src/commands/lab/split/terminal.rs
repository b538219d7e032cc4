//! The learner's terminal, taken for the panes and given back as it was: at the end, on an error, and on a panic.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::panic;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;
use ratatui::{Terminal, TerminalOptions, Viewport};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use vt100::Screen;

/// The terminal that is taken, and the settings to put back.
static TAKEN: Mutex<Option<(File, Termios)>> = Mutex::new(None);

/// Another screen than the shell's, wiped.
const TAKE: &str = "\x1b[?1049h\x1b[2J";
/// Ordinary keys, no bracketed paste, a plain cursor that is seen, ordinary colours, and the screen of before.
const GIVE_BACK: &str = "\x1b[?1l\x1b>\x1b[?2004l\x1b[0 q\x1b[?25h\x1b[0m\x1b[?1049l";

/// The terminal, while it is taken.
pub struct Taken {
    /// Where to draw.
    pub canvas: Terminal<CrosstermBackend<BufWriter<File>>>,
    terminal: File,
    size: (u16, u16),
    modes: Modes,
}

/// What the program in the shell's pane wants of the keyboard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Modes {
    cursor: bool,
    keypad: bool,
    paste: bool,
}

impl Taken {
    /// Takes the terminal: raw, on another screen.
    ///
    /// # Errors
    /// If it refuses.
    pub fn take(terminal: File) -> io::Result<Taken> {
        let before = tcgetattr(&terminal)?;
        let mut raw = before.clone();
        raw.make_raw();
        let hook = panic::take_hook();
        panic::set_hook(Box::new(move |what| {
            give_back();
            hook(what);
        }));
        *lock() = Some((terminal.try_clone()?, before));
        tcsetattr(&terminal, OptionalActions::Now, &raw)?;
        let mut out = BufWriter::new(terminal.try_clone()?);
        out.write_all(TAKE.as_bytes()).and_then(|()| out.flush())?;
        let size = size(&terminal)?;
        // Of a fixed size: the library would ask a serial line for its size in vain.
        let viewport = Viewport::Fixed(Rect::new(0, 0, size.0, size.1));
        let canvas = Terminal::with_options(CrosstermBackend::new(out), TerminalOptions { viewport })?;
        Ok(Taken { canvas, terminal, size, modes: Modes::default() })
    }

    /// Fits the picture to the terminal; whether that has another size than before.
    ///
    /// # Errors
    /// If there is no terminal any more.
    pub fn fit(&mut self) -> io::Result<bool> {
        let size = size(&self.terminal)?;
        if size == self.size {
            return Ok(false);
        }
        self.size = size;
        self.canvas.resize(Rect::new(0, 0, size.0, size.1))?;
        Ok(true)
    }

    /// The size that the picture has, in columns and rows.
    pub fn fits(&self) -> (u16, u16) {
        self.size
    }

    /// Has the keyboard send what the program in the shell's pane expects, so that its bytes can be passed on as they are.
    ///
    /// # Errors
    /// If the terminal cannot be written.
    pub fn follow(&mut self, screen: &Screen, bell: bool) -> io::Result<()> {
        let wanted = Modes {
            cursor: screen.application_cursor(),
            keypad: screen.application_keypad(),
            paste: screen.bracketed_paste(),
        };
        let mut text = String::new();
        if wanted.cursor != self.modes.cursor {
            text.push_str(if wanted.cursor { "\x1b[?1h" } else { "\x1b[?1l" });
        }
        if wanted.keypad != self.modes.keypad {
            text.push_str(if wanted.keypad { "\x1b=" } else { "\x1b>" });
        }
        if wanted.paste != self.modes.paste {
            text.push_str(if wanted.paste { "\x1b[?2004h" } else { "\x1b[?2004l" });
        }
        if bell {
            text.push('\x07');
        }
        self.modes = wanted;
        if text.is_empty() {
            return Ok(());
        }
        self.terminal.write_all(text.as_bytes())
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        give_back();
    }
}

/// Columns and rows; a terminal that does not know (a serial line) has the oldest size.
///
/// # Errors
/// If it is no terminal any more.
pub fn size(terminal: &File) -> io::Result<(u16, u16)> {
    let size = tcgetwinsize(terminal)?;
    Ok(if size.ws_col == 0 || size.ws_row == 0 { (80, 24) } else { (size.ws_col, size.ws_row) })
}

/// Gives the terminal back, once. It may be gone (SIGHUP); then there is nothing to put back.
fn give_back() {
    let Some((mut terminal, before)) = lock().take() else { return };
    let _ = terminal.write_all(GIVE_BACK.as_bytes());
    let _ = tcsetattr(&terminal, OptionalActions::Now, &before);
}

fn lock() -> MutexGuard<'static, Option<(File, Termios)>> {
    TAKEN.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;
    use std::mem::ManuallyDrop;
    use std::panic::catch_unwind;

    use nix::pty::openpty;
    use rustix::termios::{LocalModes, tcgetattr};
    use vt100::Parser;

    use super::{GIVE_BACK, TAKE, Taken, size};

    #[test]
    fn a_panic_gives_the_terminal_back() {
        let pty = openpty(None, None).expect("a pseudo terminal");
        let (mut master, terminal) = (File::from(pty.master), File::from(pty.slave));
        assert_eq!(size(&terminal).expect("a size"), (80, 24));
        let before = tcgetattr(&terminal).expect("settings");
        let ours = terminal.try_clone().expect("a descriptor");
        let panicked = catch_unwind(move || {
            // Never dropped, as in a build that aborts on a panic.
            let mut taken = ManuallyDrop::new(Taken::take(ours).expect("taken"));
            assert!(!tcgetattr(&taken.terminal).expect("settings").local_modes.contains(LocalModes::ICANON));
            let mut program = Parser::default();
            program.process(b"\x1b[?1h\x1b=\x1b[?2004h");
            taken.follow(program.screen(), true).expect("written");
            panic!("this panic is the test's own");
        });
        assert!(panicked.is_err());
        let after = tcgetattr(&terminal).expect("settings");
        assert_eq!((after.local_modes, after.input_modes), (before.local_modes, before.input_modes));
        let expected = format!("{TAKE}\x1b[?1h\x1b=\x1b[?2004h\x07{GIVE_BACK}");
        let mut written = vec![0; expected.len()];
        master.read_exact(&mut written).expect("written");
        assert_eq!(String::from_utf8_lossy(&written), expected);
    }
}
