//! The predictions of a room: hands counted for each choice, and shown again beside what happened.

use std::io;

use unicode_width::UnicodeWidthStr;

use super::tell::Teller;
use super::{phrases, read_line};
use crate::commands::output;
use crate::lab::interrupt::Interrupt;

/// How many hands went up for each choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    hands: Vec<u32>,
}

/// The longest bar, in columns.
const LONGEST: usize = 40;

impl Tally {
    /// Asks for the number of hands, choice by choice; what is no number counts as none. `None`: the lab asks nothing.
    ///
    /// # Errors
    /// If the terminal cannot be read or written.
    pub fn ask(teller: &Teller<'_>, interrupt: &Interrupt) -> io::Result<Option<Tally>> {
        let Some(predict) = &teller.lab.predict else { return Ok(None) };
        let mut hands = Vec::new();
        output::print("\n")?;
        for number in 1..=predict.choices.len() {
            output::print(&phrases::tally_ask(teller.lang, number))?;
            let line = read_line(interrupt)?.unwrap_or_default();
            hands.push(line.trim().parse().unwrap_or(0));
        }
        Ok(Some(Tally { hands }))
    }

    /// A bar for each choice; the answer is marked once it is known.
    pub fn text(&self, teller: &Teller<'_>, answer: bool) -> String {
        let (Some(words), Some(predict)) = (&teller.words().predict, &teller.lab.predict) else { return String::new() };
        let most = self.hands.iter().copied().max().unwrap_or_default().max(1);
        let mut out =
            format!("{}\n", teller.page.strong(&phrases::tally_heading(teller.lang, self.hands.iter().sum::<u32>())));
        for (at, (name, choice)) in words.choices.iter().enumerate() {
            let hands = self.hands.get(at).copied().unwrap_or_default();
            let bar = "#".repeat((hands as usize * LONGEST).div_ceil(most as usize));
            let mark = if answer && *name == predict.answer { "=>" } else { "  " };
            let choice = teller.shown(choice);
            out.push_str(&teller.page.wrapped(&format!("{mark} {}. ", at + 1), &choice));
            let indent = " ".repeat(format!("{mark} {}. ", at + 1).width());
            out.push_str(&format!("{indent}{bar}{}{hands}\n", if bar.is_empty() { "" } else { " " }));
        }
        out
    }
}
