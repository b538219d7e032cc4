//! All steps of a plan in one row, numbered as every form of telling numbers them.

use super::step::*;

/// A step with its place in the story.
pub struct Numbered<'a, S> {
    /// Counted through all lanes: host, clone, beside, init.
    pub number: usize,
    /// What is done.
    pub step: &'a S,
    /// The step as a sentence ([`HostStep::describe`]).
    pub sentence: String,
    /// What asks for it.
    pub because: &'a str,
}

impl Plan {
    /// The steps before the process.
    pub fn host_numbered(&self) -> impl Iterator<Item = Numbered<'_, HostStep>> {
        numbered(&self.host, 1, HostStep::describe)
    }

    /// The process's birth.
    pub fn clone_numbered(&self) -> Numbered<'_, Clone3> {
        Numbered {
            number: self.host.len() + 1,
            step: &self.clone,
            sentence: self.clone.describe(),
            because: "linux.namespaces",
        }
    }

    /// The steps beside the process.
    pub fn beside_numbered(&self) -> impl Iterator<Item = Numbered<'_, HostStep>> {
        numbered(&self.beside, self.host.len() + 2, HostStep::describe)
    }

    /// The steps of the process itself.
    pub fn init_numbered(&self) -> impl Iterator<Item = Numbered<'_, InitStep>> {
        numbered(&self.init, self.host.len() + 2 + self.beside.len(), InitStep::describe)
    }
}

fn numbered<'a, S>(
    steps: &'a [Planned<S>],
    first: usize,
    describe: impl Fn(&S) -> String + 'a,
) -> impl Iterator<Item = Numbered<'a, S>> {
    steps.iter().enumerate().map(move |(index, planned)| Numbered {
        number: first + index,
        step: &planned.step,
        sentence: describe(&planned.step),
        because: &planned.because,
    })
}

/// Who does a step, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// We, before the process exists.
    Host,
    /// The process's birth.
    Clone,
    /// We, while the process waits.
    Beside,
    /// The process itself.
    Init,
}

impl Lane {
    /// As a heading.
    pub fn heading(self) -> &'static str {
        match self {
            Lane::Host => "On the host, before its process exists",
            Lane::Clone => "Its process",
            Lane::Beside => "Beside the process, while it waits",
            Lane::Init => "Inside, by the process itself",
        }
    }

    /// `host`, `clone`, `beside` or `init`.
    pub fn name(self) -> &'static str {
        match self {
            Lane::Host => "host",
            Lane::Clone => "clone",
            Lane::Beside => "beside",
            Lane::Init => "init",
        }
    }
}

/// One line of the story.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Who and when.
    pub lane: Lane,
    /// Counted through all lanes.
    pub number: usize,
    /// The step as a sentence.
    pub sentence: String,
    /// What asks for it.
    pub because: String,
}

impl Plan {
    /// Every step, in order.
    pub fn story(&self) -> Vec<Line> {
        let mut story: Vec<_> = self.host_numbered().map(|step| line(Lane::Host, &step)).collect();
        story.push(line(Lane::Clone, &self.clone_numbered()));
        story.extend(self.beside_numbered().map(|step| line(Lane::Beside, &step)));
        story.extend(self.init_numbered().map(|step| line(Lane::Init, &step)));
        story
    }
}

fn line<S>(lane: Lane, step: &Numbered<'_, S>) -> Line {
    Line { lane, number: step.number, sentence: step.sentence.clone(), because: step.because.to_string() }
}
