//! The lesson's pane: what the guide has told of the open step, how far it is scrolled, and the step's live state.

use std::path::Path;
use std::time::Instant;

use ratatui::text::Line;

use super::ink::{Ink, lines};
use super::keys::Key;
use super::meter::Meters;
use crate::commands::lab::page::Page;
use crate::commands::lab::phrases::{self, MARKS};
use crate::commands::lab::tell::Teller;
use crate::lab::guide::{PAUSE, Told};
use crate::lab::judge::Verdict;
use crate::lab::say;

/// Which panes are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zoom {
    /// Lesson and shell.
    Both,
    /// The shell alone.
    Shell,
    /// The lesson alone.
    Lesson,
}

/// What the bar of keys shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bar {
    /// What the prefix is for.
    Keys,
    /// The prefix was pressed.
    Now,
    /// Whether to leave.
    Leave,
    /// Something to say until the next key.
    Says(String),
}

/// The lesson.
pub struct Board<'l> {
    /// What tells it.
    pub teller: Teller<'l>,
    /// What is shown.
    pub zoom: Zoom,
    /// The bar of keys.
    pub bar: Bar,
    /// Whether the learner's shell is known.
    pub joined: bool,
    predicted: Option<String>,
    step: usize,
    told: Vec<Told<'l>>,
    newest: usize,
    seen: Vec<Verdict>,
    meters: Meters,
    scroll: usize,
    follow: bool,
    laid: Option<Laid>,
}

/// The told words as lines of one width, and on which line each begins.
struct Laid {
    width: u16,
    lines: Vec<Line<'static>>,
    starts: Vec<usize>,
}

/// A piece of the lesson's text, and where it stands in the whole.
pub struct Part {
    /// The lines that fit.
    pub lines: Vec<Line<'static>>,
    /// The number of the first of them, from 0.
    pub first: usize,
    /// How many lines there are.
    pub of: usize,
}

impl<'l> Board<'l> {
    /// A board on which nothing stands yet.
    pub fn new(teller: Teller<'l>, predicted: Option<String>) -> Board<'l> {
        Board {
            teller,
            zoom: Zoom::Both,
            bar: Bar::Keys,
            joined: true,
            predicted,
            step: usize::MAX,
            told: Vec::new(),
            newest: 0,
            seen: Vec::new(),
            meters: Meters::default(),
            scroll: 0,
            follow: true,
            laid: None,
        }
    }

    /// Takes in what the guide tells, which step is open, and its checks now.
    pub fn hear(&mut self, told: Vec<Told<'l>>, step: usize, seen: Vec<Verdict>) {
        if self.step != step {
            self.step = step;
            let files = self.teller.lab.steps.get(step).map_or(&[][..], |step| &step.plot);
            self.meters = Meters::of(files);
        }
        // After the last step there is nothing to wait for, and much to read.
        self.seen = if step < self.teller.lab.steps.len() { seen } else { Vec::new() };
        let mut new: Vec<_> = told.into_iter().filter(shown).collect();
        if new.is_empty() {
            return;
        }
        // A step begins on an empty board, but for the explanation of the one that was just done.
        if new.iter().any(|told| matches!(told, Told::Entered(_) | Told::Finished)) {
            self.told.clear();
        }
        self.told.retain(|old| !matches!((old, &new[0]), (Told::Hint(_, one), Told::Hint(_, other)) if one == other));
        self.newest = self.told.len();
        self.told.append(&mut new);
        self.follow = true;
        self.laid = None;
        if self.zoom == Zoom::Shell {
            self.zoom = Zoom::Both;
        }
    }

    /// Reads the figures that the step plots; whether there is something new to draw.
    pub fn look(&mut self, cgroup: Option<&Path>, now: Instant) -> bool {
        cgroup.is_some_and(|cgroup| self.meters.look(cgroup, now))
    }

    /// Scrolls the lesson.
    pub fn scroll(&mut self, key: Key, height: usize) {
        let page = height.saturating_sub(1).max(1);
        self.follow = false;
        self.scroll = match key {
            Key::Up => self.scroll.saturating_sub(1),
            Key::Down => self.scroll + 1,
            Key::PageUp => self.scroll.saturating_sub(page),
            Key::PageDown => self.scroll + page,
            Key::Letter(_) | Key::Prefix | Key::Nothing => self.scroll,
        };
    }

    /// The lab's title and how far the learner is.
    pub fn title(&self) -> String {
        let of = self.teller.lab.steps.len();
        let at = if self.step == usize::MAX { 1 } else { (self.step + 1).min(of) };
        format!("{} {at}/{of}", self.teller.words().title)
    }

    /// The lines that a pane of this size shows.
    pub fn text(&mut self, width: u16, height: usize) -> Part {
        if self.laid.as_ref().is_none_or(|laid| laid.width != width) {
            self.laid = Some(self.lay(width));
        }
        let laid = self.laid.as_ref().expect("just laid out");
        let last = laid.lines.len().saturating_sub(height);
        if self.follow {
            self.scroll = laid.starts.get(self.newest).copied().unwrap_or_default();
        }
        self.scroll = self.scroll.min(last);
        let lines = laid.lines.iter().skip(self.scroll).take(height).cloned().collect();
        Part { lines, first: self.scroll, of: laid.lines.len() }
    }

    fn lay(&self, width: u16) -> Laid {
        // Longer lines are hard to read.
        let columns = usize::from(width).min(100);
        let teller = self.teller.on(Page::pane(columns, self.teller.page.colour()));
        let (mut all, mut starts) = (Vec::new(), Vec::new());
        for told in &self.told {
            let text = teller.told(told, self.predicted.as_deref()).replace(PAUSE, "");
            let blank = usize::from(!all.is_empty());
            let text = text.trim_matches('\n');
            all.extend(vec![Line::default(); blank]);
            starts.push(all.len());
            all.extend(lines(text, columns));
        }
        Laid { width, lines: all, starts }
    }

    /// The live state of the open step in at most `most` lines: its checks, and what it plots. What does not fit is told
    /// by number, checks that hold first.
    pub fn state(&self, width: u16, most: usize, ink: &Ink) -> Vec<Line<'static>> {
        let width = usize::from(width);
        let page = Page::pane(width, false);
        if !self.joined {
            return lines(&page.wrapped("", &phrases::waits_for_shell(self.teller.lang)), width);
        }
        let (lang, meters) = (self.teller.lang, self.meters.lines(width, ink, self.teller.lang));
        let check = |verdict: &Verdict| {
            let said = match verdict.holds {
                true => format!("{}: {}", verdict.place, say::held(verdict, lang)),
                false => phrases::wanted(lang, &verdict.place, say::found(verdict, lang), say::expected(verdict, lang)),
            };
            page.wrapped(&format!("{} ", MARKS[usize::from(!verdict.holds)]), &said)
        };
        let wrapped: Vec<_> = self.seen.iter().map(|verdict| (verdict.holds, check(verdict))).collect();
        let whole: String = wrapped.iter().map(|(_, text)| text.as_str()).collect();
        let mut all: Vec<_> = whole.lines().map(String::from).collect();
        if all.len() + meters.len() > most {
            let open: String = wrapped.iter().filter(|(holds, _)| !holds).map(|(_, text)| text.as_str()).collect();
            let hold = wrapped.iter().filter(|(holds, _)| *holds).count();
            all = open.lines().map(String::from).collect();
            if hold > 0 {
                all.insert(0, format!("{} {}", MARKS[0], phrases::checks_hold(lang, hold)));
            }
        }
        let room = most.saturating_sub(meters.len()).max(1);
        if all.len() > room {
            let more = all.len() + 1 - room;
            all.truncate(room - 1);
            all.push(phrases::more_lines(lang, more));
        }
        all.extend(meters);
        all.truncate(most);
        lines(&all.join("\n"), width)
    }
}

/// What stands on the board. Ticks are seen among the checks, and what a command of the learner's answers, the shell says.
fn shown(told: &Told<'_>) -> bool {
    match told {
        Told::Entered(_) | Told::Slipped(..) | Told::Done(_) | Told::Finished | Told::Hint(..) => true,
        Told::Ticked(_) | Told::Solution(_) | Told::Status(..) | Told::AtFirst | Told::Joined => false,
    }
}
