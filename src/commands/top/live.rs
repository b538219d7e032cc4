//! The loop of the screen: a look when it is due, a key when one comes. The terminal is given back however it ends.

use std::time::{Duration, Instant};

use anyhow::Context;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::Looks;
use crate::commands::output;
use crate::lab::interrupt::Interrupt;
use crate::view::top::app::{App, Key};
use crate::view::top::screen;

/// How long a signal may go unnoticed.
const SIGNALS: Duration = Duration::from_millis(200);

/// Shows the view until a key ends it. With `looks` it is live, without it a recording.
///
/// Returns the signal that ended it, where one did: the terminal is given back first.
pub(super) fn show(mut app: App, interval: Duration, mut looks: Option<&mut Looks>) -> anyhow::Result<Option<i32>> {
    let colour = output::colour();
    let interrupt = Interrupt::take_over().context("cannot take signals")?;
    let mut terminal = ratatui::try_init().context("cannot take the terminal")?;
    let ended = (|| -> anyhow::Result<Option<i32>> {
        // A live view looks at once; a recording shows its first look until the next is due.
        let mut due = if looks.is_some() { Instant::now() } else { Instant::now() + interval };
        loop {
            if let Some(signal) = interrupt.came() {
                return Ok(Some(signal));
            }
            if Instant::now() >= due {
                match &mut looks {
                    Some(looks) => app.push(looks.next()?),
                    None => app.tick(),
                }
                // A machine that was asleep does not have to catch up.
                due = (due + interval).max(Instant::now());
            }
            // Keys between two looks are answered at once.
            terminal.draw(|frame| screen::draw(frame, &app, colour)).context("cannot draw on the terminal")?;
            let wait = due.saturating_duration_since(Instant::now()).min(SIGNALS);
            if event::poll(wait).context("cannot wait for a key")?
                && let Some(key) = key(&event::read().context("cannot read a key")?)
                && (key == End::Now || matches!(key, End::Key(key) if app.key(key)))
            {
                return Ok(None);
            }
        }
    })();
    ratatui::try_restore().context("cannot give the terminal back")?;
    ended
}

/// What an event means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Ctrl-C: in raw mode it is a key like others.
    Now,
    Key(Key),
}

fn key(event: &Event) -> Option<End> {
    let Event::Key(KeyEvent { code, modifiers, kind, .. }) = event else { return None };
    if *kind == KeyEventKind::Release {
        return None;
    }
    let control = modifiers.contains(KeyModifiers::CONTROL);
    Some(End::Key(match code {
        KeyCode::Char('c' | 'd') if control => return Some(End::Now),
        KeyCode::Char(_) if control => return None,
        KeyCode::Char(c) => Key::Char(*c),
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::Left => Key::Left,
        KeyCode::Right => Key::Right,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Escape,
        KeyCode::Backspace => Key::Backspace,
        _ => return None,
    }))
}
