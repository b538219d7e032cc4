//! Telling a lab: its words, its checks and its evidence, as text for a page. Shared by `start` and `play`.

use unicode_width::UnicodeWidthStr;

use super::page::Page;
use super::phrases::{self, MARKS};
use crate::lab::guide::{PAUSE, Told};
use crate::lab::judge::Verdict;
use crate::lab::lang::Lang;
use crate::lab::prose::{StepWords, Words};
use crate::lab::say;
use crate::lab::script::{Lab, Values};

/// Everything that is needed to tell a lab.
#[derive(Clone)]
pub struct Teller<'l> {
    /// Where it is told.
    pub page: Page,
    /// In which language.
    pub lang: Lang,
    /// The lab.
    pub lab: &'l Lab,
    /// The values of its variables.
    pub values: Values,
    /// Whether commands are kept back until the last hint.
    pub drill: bool,
}

impl<'l> Teller<'l> {
    /// The same on another page.
    pub fn on(&self, page: Page) -> Teller<'l> {
        Teller { page, ..self.clone() }
    }

    /// The lab's words in the teller's language.
    pub fn words(&self) -> &'l Words {
        self.lab.words(self.lang)
    }

    fn step_words(&self, step: usize) -> &'l StepWords {
        self.words().step(&self.lab.steps[step].id).expect("the linter saw words for every step")
    }

    /// Title and introduction.
    pub fn opening(&self) -> String {
        let words = self.words();
        format!("{}\n{}", self.page.heading(&words.title), self.page.prose(&words.intro, &self.values))
    }

    /// The prediction's question with its numbered choices; empty if the lab has none.
    pub fn prediction(&self) -> String {
        let Some(predict) = &self.words().predict else { return String::new() };
        let mut out = format!("\n{}\n", self.page.heading(&phrases::predict_heading(self.lang)));
        out.push_str(&self.page.prose(&predict.ask, &self.values));
        out.push('\n');
        for (at, (_, words)) in predict.choices.iter().enumerate() {
            out.push_str(&self.page.wrapped(&format!("  {}. ", at + 1), &self.shown(words)));
        }
        out
    }

    /// What was predicted beside what happened, and why.
    pub fn reconciled(&self, predicted: Option<&str>) -> String {
        let (Some(words), Some(predict)) = (&self.words().predict, &self.lab.predict) else { return String::new() };
        let words_of = |name: &str| {
            let choice = words.choices.iter().find(|(choice, _)| choice == name);
            choice.map(|(_, words)| self.shown(words)).unwrap_or_default()
        };
        let mut out = String::new();
        if let Some(name) = predicted {
            out.push_str(&self.page.wrapped("", &phrases::predicted(self.lang, words_of(name))));
        }
        out.push_str(&self.page.wrapped("", &phrases::outcome(self.lang, words_of(&predict.answer))));
        out.push('\n');
        out + &self.page.prose(&words.after, &self.values)
    }

    /// A step's heading and words.
    pub fn step(&self, step: usize) -> String {
        let words = self.step_words(step);
        let heading = phrases::step_heading(self.lang, step + 1, self.lab.steps.len(), &words.title);
        format!("\n{}\n{}", self.page.heading(&heading), self.page.prose(&words.text, &self.values))
    }

    /// A step's command, as it is shown to the learner.
    pub fn command(&self, step: usize) -> String {
        let mut out = format!("\n{}\n", phrases::command_is(self.lang));
        for line in self.shown(&self.lab.steps[step].show).lines() {
            out.push_str(&format!("  {}\n", self.page.code(line)));
        }
        out
    }

    /// A command (or other single line) with the lab's values in place of its variables; `$CG` stays.
    pub fn shown(&self, command: &str) -> String {
        let mut values = self.values.clone();
        values.remove("CG");
        crate::lab::script::fill(command, &values)
    }

    /// The explanation after a step; empty if there is none.
    pub fn after(&self, step: usize) -> String {
        self.page.prose(&self.step_words(step).after, &self.values)
    }

    /// The end: what was predicted, the explanation, the question to take along.
    pub fn ending(&self, predicted: Option<&str>) -> String {
        let words = self.words();
        let mut out = self.page.heading(&phrases::all_done(self.lang));
        out.push('\n');
        out.push_str(&self.reconciled(predicted));
        out.push('\n');
        out.push_str(&self.page.prose(&words.end, &self.values));
        out.push_str(&format!("\n{}\n", self.page.strong(&phrases::question_heading(self.lang))));
        out + &self.page.prose(&words.question, &self.values)
    }

    /// One check: its mark, its file, what it says and what was expected.
    pub fn verdict(&self, verdict: &Verdict) -> String {
        let mark = MARKS[usize::from(!verdict.holds)];
        let sentence = match verdict.holds {
            true => format!("{}: {}", verdict.place, say::held(verdict, self.lang)),
            false => say::sentence(verdict, self.lang),
        };
        self.page.wrapped(&format!("{mark} "), &sentence)
    }

    /// The table of evidence.
    pub fn evidence(&self, verdicts: &[Verdict]) -> String {
        let cells = |verdict: &Verdict| {
            let value = if verdict.holds { say::held(verdict, self.lang) } else { say::found(verdict, self.lang) };
            [verdict.place.clone(), value, say::expected(verdict, self.lang)]
        };
        let head =
            [phrases::evidence_file, phrases::evidence_value, phrases::evidence_expected].map(|say| say(self.lang));
        let rows: Vec<_> = verdicts.iter().map(cells).collect();
        let width = |column: usize| rows.iter().chain([&head]).map(|row| row[column].width()).max().unwrap_or_default();
        let widths = [width(0), width(1), width(2)];
        let one_line = widths.iter().sum::<usize>() + 9 <= self.page.width();
        let mut out = self.page.heading(&phrases::evidence_heading(self.lang));
        out.push('\n');
        let row = |mark: &str, row: &[String; 3]| {
            let pad = |column: usize| " ".repeat(widths[column].saturating_sub(row[column].width()));
            let [file, value, expected] = row;
            match one_line {
                true => format!("{mark} {file}{}  {value}{}  {expected}\n", pad(0), pad(1)),
                false => format!("{mark} {file}\n         {value}{}  {expected}\n", pad(1)),
            }
        };
        out.push_str(&self.page.strong(&row("    ", &head)));
        for (verdict, cells) in verdicts.iter().zip(&rows) {
            out.push_str(&row(MARKS[usize::from(!verdict.holds)], cells));
        }
        out
    }

    /// What a guide has to say.
    pub fn told(&self, told: &Told<'_>, predicted: Option<&str>) -> String {
        let of = self.lab.steps.len();
        match told {
            Told::Entered(step) if self.drill => format!("{}\n", self.step(*step)),
            Told::Entered(step) => format!("{}{}\n", self.step(*step), self.command(*step)),
            Told::Ticked(verdict) => self.verdict(verdict),
            Told::Slipped(step, slip) => {
                let slip = &self.lab.steps[*step].slips[*slip];
                let words = self.step_words(*step).slips.get(&slip.id);
                let words = words.map(|words| self.page.prose(words, &self.values)).unwrap_or_default();
                format!("\n{}\n{words}\n", self.page.strong(&phrases::slip_heading(self.lang)))
            }
            Told::Done(step) => {
                let done = self.page.strong(&phrases::step_done(self.lang, step + 1, of));
                format!("{done}\n\n{}{PAUSE}", self.after(*step))
            }
            Told::Finished => {
                let leave = self.page.wrapped("", &phrases::leave_with_exit(self.lang));
                format!("\n{}\n{leave}", self.ending(predicted))
            }
            Told::Hint(step, hint) => {
                let hints = &self.step_words(*step).hints;
                let heading = phrases::hint_heading(self.lang, hint + 1, hints.len());
                let words = self.page.prose(&hints[*hint], &self.values);
                let last = self.drill && hint + 1 == hints.len();
                let command = if last { self.command(*step) } else { String::new() };
                format!("{}\n{words}{command}", self.page.strong(&heading))
            }
            Told::Solution(_) => format!("{}\n", self.page.strong(&phrases::solution_runs(self.lang))),
            Told::Status(step, verdicts) => {
                let title = &self.step_words(*step).title;
                let heading = phrases::step_heading(self.lang, step + 1, of, title);
                let checks: String = verdicts.iter().map(|verdict| self.verdict(verdict)).collect();
                format!("{}\n{checks}", self.page.strong(&heading))
            }
            Told::Joined => String::new(),
            Told::AtFirst => format!("{}\n", phrases::at_first(self.lang)),
        }
    }
}
