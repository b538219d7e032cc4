//! A step of whatever lane, looked up by its place.

use super::step::{Clone3, HostStep, InitStep, Plan};
use super::story::Lane;

/// A step of some lane.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Step<'a> {
    /// Done by us.
    Host(&'a HostStep),
    /// The process's birth.
    Clone(&'a Clone3),
    /// Done by the process itself, or by the one in between.
    Init(&'a InitStep),
}

/// A step at its place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Placed<'a> {
    /// Who does it, and when.
    pub lane: Lane,
    /// Counted through all lanes.
    pub number: usize,
    /// What is done.
    pub step: Step<'a>,
    /// The field of config.json that asks for it, or the reason where none does.
    pub because: &'a str,
}

impl Plan {
    /// The step with this index, counted from 0, of a lane.
    pub fn step(&self, lane: Lane, index: usize) -> Option<Placed<'_>> {
        let number = self.first(lane) + index;
        let (step, because) = match lane {
            Lane::Host => self.host.get(index).map(|it| (Step::Host(&it.step), it.because.as_ref()))?,
            Lane::Between => self.between.get(index).map(|it| (Step::Init(&it.step), it.because.as_ref()))?,
            Lane::Clone => (Step::Clone(&self.clone), "linux.namespaces"),
            Lane::Beside => self.beside.get(index).map(|it| (Step::Host(&it.step), it.because.as_ref()))?,
            Lane::Hooks => self.hooks.get(index).map(|it| (Step::Host(&it.step), it.because.as_ref()))?,
            Lane::Init => self.init.get(index).map(|it| (Step::Init(&it.step), it.because.as_ref()))?,
        };
        Some(Placed { lane, number, step, because })
    }

    /// Every step, in order.
    pub fn steps(&self) -> impl Iterator<Item = Placed<'_>> {
        let lanes = [Lane::Host, Lane::Between, Lane::Clone, Lane::Beside, Lane::Hooks, Lane::Init];
        lanes.into_iter().flat_map(move |lane| {
            let count = if lane == Lane::Clone { 1 } else { usize::MAX };
            (0..count).map_while(move |index| self.step(lane, index))
        })
    }
}

impl Step<'_> {
    /// The step's name, as `explain --format json` has it.
    pub fn name(&self) -> &'static str {
        match self {
            Step::Host(step) => step.json().0,
            Step::Clone(_) => "Clone3",
            Step::Init(step) => step.json().0,
        }
    }

    /// One sentence, imperative, without a full stop.
    pub fn describe(&self, language: Language) -> String {
        match (self, language) {
            (Step::Host(step), Language::English) => step.describe(),
            (Step::Clone(step), Language::English) => step.describe(),
            (Step::Init(step), Language::English) => step.describe(),
            (Step::Host(step), Language::Chinese) => step.describe_in_chinese(),
            (Step::Clone(step), Language::Chinese) => step.describe_in_chinese(),
            (Step::Init(step), Language::Chinese) => step.describe_in_chinese(),
        }
    }
}

/// What steps are told in. Names of the kernel and of config.json are never translated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// English.
    English,
    /// Simplified Chinese.
    Chinese,
}
