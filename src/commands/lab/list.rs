//! `glassbox lab list`.

use std::process::ExitCode;

use clap::ValueEnum;
use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr;

use super::page::Page;
use super::{Common, phrases, reason};
use crate::commands::output;
use crate::lab::cannot;
use crate::lab::lang::Lang;
use crate::lab::library::Entry;
use crate::lab::machine::Machine;
use crate::lab::progress::{self, Progress, Taken};
use crate::lab::scene::PROGRAMS;
use crate::lab::script::Lab;
use crate::lab::seeds::{self, Answer, Answered};

/// Flags of `glassbox lab list`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  glassbox lab list
  glassbox lab list --seeds --lang zh")]
pub struct Args {
    #[command(flatten)]
    common: Common,
    /// List the questions that the labs grew from: which lab answers each, or why it is not a node's matter
    #[arg(long, conflicts_with = "labs")]
    seeds: bool,
    /// How to write the list
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A table, for people
    Text,
    /// An array with one object a lab, for programs
    Json,
}

/// Runs the command.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (entries, lang, machine) = (args.common.entries()?, args.common.lang(), Machine::probe());
    if args.seeds {
        let answered = seeds::embedded().answered(&entries);
        output::print(&match args.format {
            Format::Json => format!("{}\n", serde_json::to_string_pretty(&seed_objects(&answered, lang))?),
            Format::Text => seed_text(&answered, lang),
        })?;
        return Ok(ExitCode::SUCCESS);
    }
    let progress = Progress::load(&progress::path())?;
    let taken = |entry: &Entry| progress.0.get(&entry.id).cloned().unwrap_or_default();
    match args.format {
        Format::Json => {
            let list: Vec<_> = entries.iter().map(|entry| object(entry, &taken(entry), &machine, lang)).collect();
            output::print(&format!("{}\n", serde_json::to_string_pretty(&list)?))?;
        }
        Format::Text => output::print(&text(&entries, taken, &machine, lang))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn text(entries: &[Entry], taken: impl Fn(&Entry) -> Taken, machine: &Machine, lang: Lang) -> String {
    if entries.is_empty() {
        return format!("{}\n", phrases::list_empty(lang));
    }
    let page = Page::of_stdout();
    let ids = entries.iter().map(|entry| entry.id.width()).max().unwrap_or_default() + 2;
    let row = |id: &str, minutes: &str, here: &str, done: &str, title: &str| {
        let cells = [pad(id, ids), pad(minutes, 6), pad(here, 8), pad(done, 6)];
        page.wrapped(&format!("  {}", cells.concat()), title)
    };
    let [head, minutes, here] = [phrases::list_head(lang), phrases::list_minutes(lang), phrases::list_here(lang)];
    let mut out = row(&head, &minutes, &here, &phrases::list_done(lang), &phrases::list_title(lang));
    let mut track = "";
    // Many labs lack the same thing: it is told once, below.
    let mut reasons: Vec<String> = Vec::new();
    for entry in entries {
        if entry.track != track {
            track = &entry.track;
            out.push_str(&format!("{}\n", page.strong(track)));
        }
        let lab = match &entry.lab {
            Ok(lab) => lab,
            Err(problems) => {
                out.push_str(&row(&entry.id, "", "", "", &phrases::broken(lang, problems.len())));
                continue;
            }
        };
        let unmet = machine.unmet(lab, &PROGRAMS);
        let here = match unmet.first().map(|first| reason(first, lang)) {
            None => phrases::yes(lang),
            Some(because) => {
                let known = reasons.iter().position(|reason| *reason == because);
                let at = known.unwrap_or(reasons.len());
                if known.is_none() {
                    reasons.push(because);
                }
                format!("{} ({})", phrases::no(lang), at + 1)
            }
        };
        out.push_str(&row(
            &lab.id,
            &lab.minutes.to_string(),
            &here,
            &how_far(lab, &taken(entry), lang),
            &lab.words(lang).title,
        ));
    }
    for (at, reason) in reasons.iter().enumerate() {
        out.push_str(&page.wrapped(&format!("({}) ", at + 1), reason));
    }
    out + &page.wrapped("", &phrases::list_hint(lang))
}

/// The questions, each with what becomes of it in the line below.
fn seed_text(answered: &[Answered], lang: Lang) -> String {
    let page = Page::of_stdout();
    let mut out = String::new();
    for Answered { number, ask, answer } in answered {
        out.push_str(&page.wrapped(&format!("{number}  "), ask.of(lang)));
        let (lead, text) = match answer {
            Answer::Labs(labs) => ("-> ", labs.join(", ")),
            Answer::Wanted(lab) => ("   ", phrases::seed_wanted(lang, lab)),
            Answer::Not(reason) => ("   ", phrases::seed_not(lang, reason.of(lang))),
        };
        out.push_str(&page.wrapped(&format!("         {lead}"), &text));
    }
    let count = |fits: fn(&Answer) -> bool| answered.iter().filter(|answered| fits(&answered.answer)).count();
    let labs = count(|answer| matches!(answer, Answer::Labs(_)));
    let wanted = count(|answer| matches!(answer, Answer::Wanted(_)));
    let not = count(|answer| matches!(answer, Answer::Not(_)));
    out + &page.wrapped("", &phrases::seed_sum(lang, answered.len(), labs, wanted, not))
}

fn seed_objects(answered: &[Answered], lang: Lang) -> Vec<Value> {
    let object = |answered: &Answered| {
        let (labs, wanted, because) = match &answered.answer {
            Answer::Labs(labs) => (labs.clone(), None, None),
            Answer::Wanted(lab) => (Vec::new(), Some(lab), None),
            Answer::Not(reason) => (Vec::new(), None, Some(reason.of(lang))),
        };
        json!({
            "question": answered.number,
            "ask": answered.ask.of(lang),
            "labs": labs,
            "wanted": wanted,
            "not_a_nodes_matter": because,
        })
    };
    answered.iter().map(object).collect()
}

fn how_far(lab: &Lab, taken: &Taken, lang: Lang) -> String {
    if taken.finished.is_some() {
        return phrases::finished(lang);
    }
    let steps = lab.steps.iter().filter(|step| taken.done.contains(&step.id) || taken.solved.contains(&step.id));
    format!("{}/{}", steps.count(), lab.steps.len())
}

/// Fills up to a number of columns; a text that is longer keeps one space behind it.
fn pad(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(text.width()).max(1)))
}

fn object(entry: &Entry, taken: &Taken, machine: &Machine, lang: Lang) -> Value {
    let lab = match &entry.lab {
        Ok(lab) => lab,
        Err(problems) => {
            let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
            return json!({ "track": entry.track, "id": entry.id, "problems": problems });
        }
    };
    let unmet = machine.unmet(lab, &PROGRAMS);
    let because: Vec<_> = unmet
        .iter()
        .map(|unmet| {
            let (because, remedy) = (cannot::because(unmet, lang), cannot::remedy(unmet, lang));
            json!({ "requires": unmet.require.to_string(), "because": because, "remedy": remedy })
        })
        .collect();
    json!({
        "track": lab.track,
        "id": lab.id,
        "title": lab.words(lang).title,
        "minutes": lab.minutes,
        "seeds": lab.seeds,
        "steps": lab.steps.iter().map(|step| &step.id).collect::<Vec<_>>(),
        "runnable": unmet.is_empty(),
        "cannot": because,
        "progress": taken,
    })
}
