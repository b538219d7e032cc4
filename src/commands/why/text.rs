//! The answer for people: each file with what the kernel holds, and below it who wants that and why. Made to be read at 80
//! columns.

use unicode_width::UnicodeWidthStr;

use super::trace::{Answer, Claim, Row, Verdict};
use crate::commands::output::Screen;
use crate::commands::qos::text::{steps, wrap};

/// Columns before a row's text, which hold its verdict.
const MARK: usize = 9;

/// The page.
pub fn page(answer: &Answer, screen: Screen) -> String {
    let mut page = Page { text: String::new(), screen };
    page.line(0, &answer.title);
    for (index, about) in answer.about.iter().enumerate() {
        page.wrapped(if index == 0 { "" } else { "- " }, about);
    }
    for row in &answer.rows {
        page.row(row, answer.looked);
    }
    page.text.push('\n');
    page.line(0, &summary(answer));
    if !answer.notes.is_empty() {
        page.text.push_str("\nNote:\n");
    }
    for note in &answer.notes {
        page.wrapped("- ", note);
    }
    page.text
}

fn summary(answer: &Answer) -> String {
    let count = |verdict: Verdict| answer.rows.iter().filter(|row| row.verdict == verdict).count();
    let compared = answer.rows.len() - count(Verdict::Alone);
    match (count(Verdict::Differs), compared) {
        (_, 0) => "There was nothing to compare.".to_string(),
        (0, 1) => "It agrees.".to_string(),
        (0, all) => format!("All {all} agree."),
        (1, 1) => "It does not agree.".to_string(),
        (1, all) => format!("1 of {all} does not agree."),
        (some, all) => format!("{some} of {all} do not agree."),
    }
}

struct Page {
    text: String,
    screen: Screen,
}

impl Page {
    fn line(&mut self, margin: usize, text: &str) {
        let line = format!("{}{text}", " ".repeat(margin));
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    fn wrapped(&mut self, first: &str, text: &str) {
        let room = self.screen.width.saturating_sub(first.width());
        for (index, line) in wrap(text, room).into_iter().enumerate() {
            let margin = if index == 0 { first.to_string() } else { " ".repeat(first.width()) };
            self.line(0, &format!("{margin}{line}"));
        }
    }

    fn row(&mut self, row: &Row, looked: bool) {
        let mark = match row.verdict {
            Verdict::Agrees => "ok",
            Verdict::Differs => "DIFFERS",
            Verdict::AtLeast => "at least",
            Verdict::Alone => "-",
        };
        let value = match &row.live {
            Some(live) if live.is_empty() => "is empty".to_string(),
            Some(live) if !live.contains('\n') => format!("= {live}"),
            Some(_) => "=".to_string(),
            None if !looked => String::new(),
            None if row.file == "oom_score_adj" => "has no process to be read from".to_string(),
            None => "is not there to be read".to_string(),
        };
        self.text.push('\n');
        let title = format!("{} {value}", row.file);
        let title = if self.screen.colour { format!("\x1b[1m{title}\x1b[0m") } else { title };
        self.line(0, &format!("{mark:<MARK$}{title}"));
        if let Some(live) = row.live.as_ref().filter(|live| live.contains('\n')) {
            live.lines().for_each(|line| self.line(MARK + 4, line));
        }
        for claim in &row.claims {
            self.claim(claim);
        }
        if let Some(advice) = &row.advice {
            self.indented(MARK, advice);
        }
    }

    fn claim(&mut self, claim: &Claim) {
        let value = if claim.value.is_empty() { "nothing".to_string() } else { claim.value.clone() };
        self.indented(MARK, &format!("{}: {value}", claim.by));
        for line in steps(&claim.because, self.screen.width.saturating_sub(MARK + 4)) {
            if !line.is_empty() {
                self.line(MARK + 4, &line);
            }
        }
        if !claim.fields.is_empty() {
            let fields: Vec<String> =
                claim.fields.iter().map(|field| format!("{} = {}", field.path, field.value)).collect();
            self.indented(MARK + 4, &format!("in config.json {}", fields.join(", ")));
        }
    }

    fn indented(&mut self, margin: usize, text: &str) {
        for line in wrap(text, self.screen.width.saturating_sub(margin)) {
            self.line(margin, &line);
        }
    }
}
