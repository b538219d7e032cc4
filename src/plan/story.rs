//! All steps of a plan in one row, numbered as every form of telling numbers them.

use super::step::*;

/// A step with its place in the story.
pub struct Numbered<'a, S> {
    /// Counted through all lanes: host, between, clone, beside, hooks, init.
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
        numbered(&self.host, self.first(Lane::Host), HostStep::describe)
    }

    /// The steps of the process in between.
    pub fn between_numbered(&self) -> impl Iterator<Item = Numbered<'_, InitStep>> {
        numbered(&self.between, self.first(Lane::Between), InitStep::describe)
    }

    /// The process's birth.
    pub fn clone_numbered(&self) -> Numbered<'_, Clone3> {
        Numbered {
            number: self.first(Lane::Clone),
            step: &self.clone,
            sentence: self.clone.describe(),
            because: "linux.namespaces",
        }
    }

    /// The steps beside the process.
    pub fn beside_numbered(&self) -> impl Iterator<Item = Numbered<'_, HostStep>> {
        numbered(&self.beside, self.first(Lane::Beside), HostStep::describe)
    }

    /// The hooks that run while the process waits a second time.
    pub fn hooks_numbered(&self) -> impl Iterator<Item = Numbered<'_, HostStep>> {
        numbered(&self.hooks, self.first(Lane::Hooks), HostStep::describe)
    }

    /// The steps of the process itself.
    pub fn init_numbered(&self) -> impl Iterator<Item = Numbered<'_, InitStep>> {
        numbered(&self.init, self.first(Lane::Init), InitStep::describe)
    }

    /// The number of the first step of a lane.
    pub fn first(&self, lane: Lane) -> usize {
        let lengths = [
            (Lane::Host, self.host.len()),
            (Lane::Between, self.between.len()),
            (Lane::Clone, 1),
            (Lane::Beside, self.beside.len()),
            (Lane::Hooks, self.hooks.len()),
        ];
        1 + lengths.iter().filter(|(before, _)| *before < lane).map(|(_, length)| length).sum::<usize>()
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
#[repr(u8)]
pub enum Lane {
    /// We, before the process exists.
    Host,
    /// A process in between, which joins namespaces and makes the container's own.
    Between,
    /// The process's birth.
    Clone,
    /// We, while the process waits.
    Beside,
    /// Hooks, while the process waits with its files in place.
    Hooks,
    /// The process itself.
    Init,
}

impl Lane {
    /// As a heading.
    pub fn heading(self) -> &'static str {
        match self {
            Lane::Host => "On the host, before its process exists",
            Lane::Between => "In between, by a process that joins",
            Lane::Clone => "Its process",
            Lane::Beside => "Beside the process, while it waits",
            Lane::Hooks => "Hooks, once its files are in place",
            Lane::Init => "Inside, by the process itself",
        }
    }

    /// `host`, `between`, `clone`, `beside`, `hooks` or `init`.
    pub fn name(self) -> &'static str {
        match self {
            Lane::Host => "host",
            Lane::Between => "between",
            Lane::Clone => "clone",
            Lane::Beside => "beside",
            Lane::Hooks => "hooks",
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
        story.extend(self.between_numbered().map(|step| line(Lane::Between, &step)));
        story.push(line(Lane::Clone, &self.clone_numbered()));
        story.extend(self.beside_numbered().map(|step| line(Lane::Beside, &step)));
        story.extend(self.hooks_numbered().map(|step| line(Lane::Hooks, &step)));
        story.extend(self.init_numbered().map(|step| line(Lane::Init, &step)));
        story
    }
}

fn line<S>(lane: Lane, step: &Numbered<'_, S>) -> Line {
    Line { lane, number: step.number, sentence: step.sentence.clone(), because: step.because.to_string() }
}
