//! `--narrate` and `--step`: what `create`, `run` and `exec` do, told as they do it.
//!
//! `text.rs` tells it to a reader, `json.rs` to a program, `own.rs` has the words for what is in no plan, `step.rs` asks at
//! each pause. Who records it, and what, is in `runtime/narrate.rs`.

mod json;
mod own;
mod step;
mod text;

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use clap::ValueEnum;

use super::output;
use crate::error::Failure;
use crate::lab::lang::Lang;
use crate::plan::{Language, Placed};
use crate::runtime::Voice;
use crate::runtime::narrate::{Answer, Listener, Pause, Told};
use step::Steps;

/// Flags of commands that start something.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Watching")]
pub struct Narration {
    /// Tell each step as it is done: sentence, system calls, time, shell command, reason. WHERE: a file, or the number of an
    /// open descriptor [default: stderr]
    #[arg(long, value_name = "WHERE", num_args = 0..=1, require_equals = true, default_missing_value = "2")]
    narrate: Option<String>,
    /// How to tell it
    #[arg(long, value_name = "FORMAT", default_value = "text", requires = "narrate")]
    format: Format,
    /// Language of the sentences: en or zh [default: the locale's]
    #[arg(long, value_name = "LANGUAGE")]
    lang: Option<Lang>,
    /// Pause before each step, and show where the half-born process stands
    #[arg(long)]
    step: bool,
    /// Pause before this step alone: its number, or its name as PivotRoot. May be repeated
    #[arg(long = "break", value_name = "STEP")]
    breaks: Vec<String>,
}

/// How the narration is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For a reader
    Text,
    /// One object a line
    Json,
}

impl Narration {
    /// Whoever tells: nobody where neither was asked for.
    pub fn voice(&self) -> anyhow::Result<Voice> {
        let asks = self.step || !self.breaks.is_empty();
        if self.narrate.is_none() && !asks {
            return Ok(Voice::silent());
        }
        let steps = match asks {
            true => Some(Steps::new(&self.breaks)?),
            false => None,
        };
        let sink = match (&self.narrate, &steps) {
            (Some(place), _) => Sink::open(place)?,
            // Whoever steps through wants to see what each step was.
            (None, Some(steps)) => Sink::File(steps.terminal()?),
            (None, None) => Sink::Stderr,
        };
        let teller = Teller { sink, format: self.format, language: language(self.lang), steps };
        Voice::new(Box::new(teller)).map_err(super::container::told)
    }
}

fn language(asked: Option<Lang>) -> Language {
    match asked.unwrap_or_else(|| Lang::of_locale(|name| std::env::var(name).ok())) {
        Lang::En => Language::English,
        Lang::Zh => Language::Chinese,
    }
}

/// Where it is written.
#[derive(Debug)]
pub enum Sink {
    /// Our stderr, which the container's program has too; it says its first word when the start is told.
    Stderr,
    /// A file, a pipe or a terminal.
    File(File),
}

impl Sink {
    fn open(place: &str) -> anyhow::Result<Sink> {
        let descriptor = place.bytes().all(|byte| byte.is_ascii_digit()).then(|| format!("/proc/self/fd/{place}"));
        let opened = match &descriptor {
            Some(_) if place == "2" => return Ok(Sink::Stderr),
            Some(path) => File::options().append(true).open(path),
            None => File::create(Path::new(place)),
        };
        opened.map(Sink::File).map_err(|cause| {
            Failure::new(format!("--narrate={place}: cannot write there"))
                .caused_by(cause)
                .hint("Give a file, or the number of a descriptor that is open for writing, as in --narrate=3 3>FILE.")
                .into()
        })
    }

    /// Writes lines. Nobody is left to tell if that fails, and the container's start is worth more than its story.
    pub fn write(&mut self, text: &str) {
        let _: io::Result<()> = match self {
            Sink::Stderr => output::eprint(text),
            Sink::File(file) => file.write_all(text.as_bytes()),
        };
    }
}

struct Teller {
    sink: Sink,
    format: Format,
    language: Language,
    steps: Option<Steps>,
}

impl Listener for Teller {
    fn told(&mut self, told: &Told<'_>) {
        let text = match self.format {
            Format::Text => text::of(told, self.language),
            Format::Json => json::of(told, self.language) + "\n",
        };
        self.sink.write(&text);
    }

    fn pause(&mut self, pause: &Pause<'_>) -> Answer {
        self.steps.as_mut().map_or(Answer::Go, |steps| steps.ask(pause, self.language))
    }

    fn stops_at(&self, step: &Placed<'_>) -> bool {
        self.steps.as_ref().is_some_and(|steps| steps.stops_at(step))
    }

    fn lost(&mut self, calls: u64) {
        let text = match self.format {
            Format::Text => text::lost(calls, self.language),
            Format::Json => format!("{{\"lost\":{calls}}}\n"),
        };
        self.sink.write(&text);
    }
}
