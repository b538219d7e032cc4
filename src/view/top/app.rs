//! What keys do to `top`: which look is shown, how it is sorted and filtered. The kernel's state is never touched.

use std::collections::VecDeque;

use super::frame::Frame;
use super::row::{Row, Sort, rows};

/// A key, as far as `top` knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Key {
    Char(char),
    Up,
    Down,
    Left,
    Right,
    Home,
    End,
    Enter,
    Escape,
    Backspace,
}

/// Looks that a live view keeps: ten minutes of one a second.
const KEPT: usize = 600;

/// The state of the view.
#[derive(Debug, Clone)]
pub struct App {
    /// What is looked at, for the title.
    pub what: String,
    frames: VecDeque<Frame>,
    /// The look that is shown, where it is not the newest.
    shown: Option<usize>,
    /// Whether the looks come from a recording.
    pub replay: bool,
    /// Whether a recording goes on by itself.
    pub playing: bool,
    /// What rows are sorted by.
    pub sort: Sort,
    /// What names and paths must hold.
    pub filter: String,
    /// Whether keys go to the filter.
    pub typing: bool,
    /// Path of the selected row.
    selected: Option<String>,
}

impl App {
    /// A live view, without a look yet.
    pub fn live(what: &str) -> App {
        App {
            what: what.to_string(),
            frames: VecDeque::new(),
            shown: None,
            replay: false,
            playing: false,
            sort: Sort::Name,
            filter: String::new(),
            typing: false,
            selected: None,
        }
    }

    /// A recording, from its beginning.
    pub fn replay(what: &str, frames: Vec<Frame>) -> App {
        App { frames: frames.into(), shown: Some(0), replay: true, playing: true, ..App::live(what) }
    }

    /// Adds a look. The oldest go when there are too many, later where the screen is frozen on one of them.
    pub fn push(&mut self, frame: Frame) {
        self.frames.push_back(frame);
        let kept = if self.shown.is_some() { 6 * KEPT } else { KEPT };
        while self.frames.len() > kept {
            self.frames.pop_front();
            self.shown = self.shown.map(|at| at.saturating_sub(1));
        }
    }

    /// A step of a recording that goes on by itself; it stops at its end.
    pub fn tick(&mut self) {
        if self.replay && self.playing {
            self.step(1);
            self.playing = self.position() + 1 < self.frames.len();
        }
    }

    /// Takes a key; `true` where the view is to end.
    pub fn key(&mut self, key: Key) -> bool {
        if self.typing {
            self.type_filter(key);
            return false;
        }
        match key {
            Key::Char('q') | Key::Escape => return true,
            Key::Char(' ' | 'p') => self.freeze(),
            Key::Left | Key::Char('h') => self.step(-1),
            Key::Right | Key::Char('l') => self.step(1),
            Key::Char('[') => self.step(-10),
            Key::Char(']') => self.step(10),
            Key::Home => self.step(isize::MIN),
            Key::End => self.step(isize::MAX),
            Key::Char('s') => self.next_sort(),
            Key::Char('/') => self.typing = true,
            Key::Up | Key::Char('k') => self.select(-1),
            Key::Down | Key::Char('j') => self.select(1),
            Key::Char(_) | Key::Enter | Key::Backspace => {}
        }
        false
    }

    /// Whether new looks are kept but not shown.
    pub fn frozen(&self) -> bool {
        self.shown.is_some() && !self.playing
    }

    /// Which look is shown, from 0.
    pub fn position(&self) -> usize {
        self.shown.unwrap_or(self.frames.len().saturating_sub(1))
    }

    /// How many looks there are.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether there is none yet.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Seconds since the start of the look that is shown.
    pub fn time(&self) -> f64 {
        self.frames.get(self.position()).map_or(0.0, |frame| frame.t)
    }

    /// The rows of the look that is shown.
    pub fn rows(&self) -> Vec<Row> {
        self.rows_at(self.position(), &self.filter)
    }

    /// The selected row's place among those that are shown.
    pub fn selected(&self, rows: &[Row]) -> usize {
        rows.iter().position(|row| Some(&row.path) == self.selected.as_ref()).unwrap_or(0)
    }

    /// A cgroup's rows in the looks up to the one that is shown, oldest first, at most `many`; `None` where it was not
    /// there.
    pub fn history(&self, path: &str, many: usize) -> Vec<Option<Row>> {
        let end = self.position() + 1;
        let looks = end.saturating_sub(many)..end.min(self.frames.len());
        looks.map(|at| self.rows_at(at, path).into_iter().find(|row| row.path == path)).collect()
    }

    fn rows_at(&self, at: usize, filter: &str) -> Vec<Row> {
        let before = at.checked_sub(1).and_then(|before| self.frames.get(before));
        self.frames.get(at).map(|frame| rows(frame, before, filter, self.sort)).unwrap_or_default()
    }

    /// Stops at this look, or goes on: a recording by itself, a live view with the newest.
    fn freeze(&mut self) {
        let last = self.position() + 1 >= self.frames.len();
        match (self.replay, self.playing, self.shown) {
            (true, playing, _) => {
                self.playing = !playing;
                if self.playing && last {
                    self.shown = Some(0);
                }
            }
            (false, _, Some(_)) => self.shown = None,
            (false, _, None) => self.shown = Some(self.position()),
        }
    }

    /// Goes back or forth in time, and stops there.
    fn step(&mut self, by: isize) {
        let last = self.frames.len().saturating_sub(1);
        let playing = self.playing && by == 1;
        self.shown = Some(self.position().saturating_add_signed(by).min(last));
        self.playing = playing;
    }

    fn next_sort(&mut self) {
        let at = Sort::ALL.iter().position(|sort| *sort == self.sort).unwrap_or(0);
        self.sort = Sort::ALL[(at + 1) % Sort::ALL.len()];
    }

    fn select(&mut self, by: isize) {
        let rows = self.rows();
        let at = self.selected(&rows).saturating_add_signed(by).min(rows.len().saturating_sub(1));
        self.selected = rows.get(at).map(|row| row.path.clone());
    }

    fn type_filter(&mut self, key: Key) {
        match key {
            Key::Char(c) => self.filter.push(c),
            Key::Backspace => drop(self.filter.pop()),
            Key::Enter => self.typing = false,
            Key::Escape => {
                self.filter.clear();
                self.typing = false;
            }
            Key::Up | Key::Down | Key::Left | Key::Right | Key::Home | Key::End => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::samples;

    fn live(looks: usize) -> App {
        let mut app = App::live("everything");
        samples::recording().frames.into_iter().take(looks).for_each(|frame| app.push(frame));
        app
    }

    #[test]
    fn a_frozen_screen_keeps_its_look_and_a_thawed_one_shows_the_newest() {
        let mut app = live(3);
        assert_eq!((app.time(), app.frozen()), (2.0, false));
        app.key(Key::Char(' '));
        app.push(Frame { t: 9.0, rows: Vec::new() });
        assert_eq!((app.time(), app.frozen()), (2.0, true));
        app.key(Key::Char(' '));
        assert_eq!((app.time(), app.frozen()), (9.0, false));
    }

    #[test]
    fn going_back_in_time_freezes() {
        let mut app = live(4);
        app.key(Key::Left);
        assert_eq!((app.time(), app.frozen()), (2.0, true));
        app.key(Key::Home);
        app.key(Key::Left);
        assert_eq!(app.time(), 0.0);
        app.key(Key::Char(']'));
        assert_eq!(app.time(), 3.0);
    }

    #[test]
    fn a_recording_plays_to_its_end_and_again() {
        let frames = samples::recording().frames;
        let looks = frames.len();
        let mut app = App::replay("web", frames);
        for _ in 0..looks + 5 {
            app.tick();
        }
        assert_eq!((app.position(), app.playing), (looks - 1, false));
        app.key(Key::Char(' '));
        assert_eq!((app.position(), app.playing), (0, true));
        app.key(Key::Left);
        assert!(!app.playing, "scrubbing stops it");
    }

    #[test]
    fn old_looks_go_but_not_at_once_from_a_frozen_screen() {
        let look = |t| Frame { t: f64::from(t), rows: Vec::new() };
        let mut app = live(1);
        app.key(Key::Char(' '));
        (1..2000).for_each(|t| app.push(look(t)));
        assert_eq!(app.time(), 0.0);
        app.key(Key::Char(' '));
        app.push(look(2000));
        assert_eq!((app.time(), app.len()), (2000.0, KEPT));
    }

    #[test]
    fn keys_go_to_the_filter_until_enter_or_escape() {
        let mut app = live(2);
        for key in [Key::Char('/'), Key::Char('w'), Key::Char('q'), Key::Backspace] {
            assert!(!app.key(key), "q is a letter here");
        }
        assert_eq!((app.rows().len(), app.typing), (1, true));
        app.key(Key::Enter);
        assert!(app.key(Key::Char('q')), "and now it ends the view");
        app.key(Key::Char('/'));
        app.key(Key::Escape);
        assert_eq!((app.rows().len(), app.filter.as_str()), (2, ""));
    }

    #[test]
    fn the_selection_stays_with_its_cgroup_when_the_order_changes() {
        let mut app = live(2);
        app.key(Key::Down);
        let selected = |app: &App| app.rows()[app.selected(&app.rows())].path.clone();
        assert_eq!(selected(&app), "/glassbox-web");
        app.key(Key::Char('s'));
        assert_eq!((app.sort, app.rows()[0].path.as_str()), (Sort::Cpu, "/glassbox-web"));
        assert_eq!(selected(&app), "/glassbox-web");
    }
}
