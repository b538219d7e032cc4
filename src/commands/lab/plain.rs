//! One terminal, shared by the learner's shell and the guide, line by line: for every terminal that there is.
//!
//! The guide speaks before the shell's prompt, which asks it each time. What happens while the shell waits for a command
//! is told at once, and the shell is then asked to draw its prompt again.

use std::cell::RefCell;
use std::io;
use std::process::Child;
use std::thread;
use std::time::Duration;

use rustix::process::Pid;
use rustix::termios::{
    OptionalActions, Termios, Winsize, tcgetattr, tcgetpgrp, tcgetwinsize, tcsetattr, tcsetpgrp, tcsetwinsize,
};

use super::tell::Teller;
use super::{phrases, shell};
use crate::commands::output;
use crate::lab::guide::{Answer, Guide, PAUSE, Told};
use crate::lab::machine::Machine;
use crate::lab::run::RunError;

/// Goes on until the shell ends.
///
/// # Errors
/// If a signal comes, the terminal is gone, or a step's scene cannot be set.
pub fn attend<'l>(
    teller: &Teller<'l>,
    predicted: Option<&str>,
    guide: &mut Guide<'l>,
    machine: &Machine,
) -> Result<(), RunError> {
    let terminal = Terminal::save()?;
    output::print(&teller.told(&Told::Entered(guide.step()), None))?;
    output::print(&teller.page.wrapped("", &phrases::shell_words(teller.lang)))?;
    output::print("\n")?;
    let shell = Shell::start(guide, machine)?;
    guide.begin()?;
    let pending = RefCell::new(String::new());
    let outcome = watch(teller, predicted, &pending, guide, shell);
    terminal.restore();
    output::print(&pending.take().replace(PAUSE, ""))?;
    outcome
}

/// Answers the shell and watches the kernel. What is new and cannot be told yet, because a program has the terminal, is
/// `pending`.
fn watch<'l>(
    teller: &Teller<'l>,
    predicted: Option<&str>,
    pending: &RefCell<String>,
    guide: &mut Guide<'l>,
    mut shell: Shell,
) -> Result<(), RunError> {
    let say = |told: &[Told<'_>]| {
        let text: String = told.iter().map(|told| teller.told(told, predicted)).collect();
        Answer { text: pending.take() + &text, pause: phrases::press_enter(teller.lang), run: None }
    };
    let mut shown = None;
    loop {
        if shown != Some(guide.step()) {
            shown = Some(guide.step());
            shell::write_prompt(guide)?;
        }
        let news = guide.turn(&say)?;
        if !news.is_empty() {
            let text = say(&news).text;
            if shell.waits_at_prompt() {
                shell.interject(&text)?;
            } else {
                *pending.borrow_mut() = text;
            }
        }
        if let Some(signal) = guide.session().interrupted() {
            return Err(RunError::Interrupted(signal));
        }
        if shell.child.try_wait()?.is_some() {
            return Ok(());
        }
    }
}

/// The learner's shell.
struct Shell {
    child: Child,
    /// Whether it draws its prompt again when the terminal's size changes.
    redraws: bool,
}

impl Shell {
    fn start(guide: &mut Guide<'_>, machine: &Machine) -> io::Result<Shell> {
        let (mut command, bash) = shell::command(guide, machine)?;
        let child = command.spawn().map_err(|error| {
            let lab = &guide.session().lab().id;
            io::Error::new(error.kind(), format!("the shell of lab {lab} does not start: {error}"))
        })?;
        guide.session().set_learner(i32::try_from(child.id()).expect("a process id fits an i32"));
        Ok(Shell { child, redraws: bash && output::moves_cursor() })
    }

    fn pid(&self) -> Option<Pid> {
        Pid::from_raw(i32::try_from(self.child.id()).ok()?)
    }

    /// Whether the shell has the terminal to itself, and could draw its prompt again.
    fn waits_at_prompt(&self) -> bool {
        self.redraws && tcgetpgrp(io::stdin()).ok() == self.pid()
    }

    /// Writes above the prompt: over its line, and then has it drawn again.
    ///
    /// Readline draws its line again when the terminal's size changes (SIGWINCH with an unchanged size it ignores since
    /// version 8), so the terminal is one row less for a moment; the kernel sends the signals.
    fn interject(&self, text: &str) -> io::Result<()> {
        output::print(&format!("\r\x1b[K{}", text.replace(PAUSE, "").replace('\n', "\r\n")))?;
        let size = tcgetwinsize(io::stdin())?;
        let less = Winsize { ws_row: size.ws_row.saturating_sub(1).max(1), ..size };
        tcsetwinsize(io::stdin(), less)?;
        thread::sleep(Duration::from_millis(50));
        tcsetwinsize(io::stdin(), size)?;
        Ok(())
    }
}

/// The terminal's settings, to be put back whatever the shell did to them.
struct Terminal(Termios);

impl Terminal {
    fn save() -> io::Result<Terminal> {
        Ok(Terminal(tcgetattr(io::stdin())?))
    }

    /// A shell that was killed keeps the terminal's foreground; SIGTTOU is blocked, so it can be taken back.
    fn restore(&self) {
        // The terminal may be gone (SIGHUP); then there is nothing to put back.
        let _ = tcsetpgrp(io::stdin(), rustix::process::getpgrp());
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}
