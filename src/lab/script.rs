//! A lab as it stands on disk, once read and found sound: what a machine checks, and the words around it.
//!
//! [`super::front`] reads the front matter, [`super::prose`] the Markdown, [`super::lint`] compares the two.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::check::{Check, Subject};
use super::lang::Lang;
use super::prose::Words;
use super::requires::Require;

/// One lab.
#[derive(Debug, Clone)]
pub struct Lab {
    /// How its reader would name its `lab.md`.
    pub file: String,
    /// The folder above the lab's own: `kubernetes`.
    pub track: String,
    /// The name by which it is called, unique among all labs.
    pub id: String,
    /// How long a learner takes.
    pub minutes: u32,
    /// The questions of the source documents that it answers.
    pub seeds: Vec<String>,
    /// What the machine must have; unmet, the lab cannot run here.
    pub requires: Vec<Require>,
    /// Values that change from attempt to attempt.
    pub vars: Vars,
    /// The question asked before anything runs.
    pub predict: Option<Predict>,
    /// What the learner does, in order; at least one step.
    pub steps: Vec<Step>,
    /// The English words.
    pub en: Words,
    /// The Chinese words.
    pub zh: Words,
    /// The lab's `files/`, by path below it; they are copied to where the lab's shell starts.
    pub files: BTreeMap<PathBuf, Vec<u8>>,
}

impl Lab {
    /// The words in one language.
    pub fn words(&self, lang: Lang) -> &Words {
        match lang {
            Lang::En => &self.en,
            Lang::Zh => &self.zh,
        }
    }

    /// Whether the lab works in a cgroup that the runner makes for it.
    pub fn needs_cgroup(&self) -> bool {
        self.requires.iter().any(|require| matches!(require, Require::Cgroup2 | Require::Controller(_)))
    }

    /// Every script that taking or testing the lab runs, with what it is for.
    pub fn scripts(&self) -> Vec<(String, &str)> {
        let mut found = Vec::new();
        for step in &self.steps {
            let of = |what: &str| format!("step {}, {what}", step.id);
            found.push((of("setup"), step.setup.as_str()));
            found.push((of("solve"), step.solve.as_str()));
            if step.replay != step.solve {
                found.push((of("replay"), step.replay.as_str()));
            }
            let slips = step.slips.iter().map(|slip| (of(&format!("slip {}", slip.id)), slip.commit.as_str()));
            found.extend(slips);
            for check in step.checks.iter().chain(step.slips.iter().flat_map(|slip| &slip.when)) {
                if let Subject::Shell { script } = &check.subject {
                    found.push((of("check"), script.as_str()));
                }
            }
        }
        found.retain(|(_, script)| !script.trim().is_empty());
        found
    }

    /// The controllers that the lab's cgroup must have, by the kernel's names.
    pub fn controllers(&self) -> Vec<&str> {
        let mut names = Vec::new();
        for require in &self.requires {
            if let Require::Controller(name) = require {
                names.push(name.as_str());
            }
        }
        names
    }
}

/// One thing for the learner to bring about.
#[derive(Debug, Clone)]
pub struct Step {
    /// The step's name, which is also its heading in the prose.
    pub id: String,
    /// The commands shown to the learner.
    pub show: String,
    /// What must be seen in the kernel's files.
    pub checks: Vec<Check>,
    /// Commands that bring it about.
    pub solve: String,
    /// Commands that bring about what later steps need of this one, where that is less than `solve`.
    pub replay: String,
    /// Wrong ways that are known and have words of their own.
    pub slips: Vec<Slip>,
    /// Files below `$CG` that are worth drawing while the step is open.
    pub plot: Vec<String>,
    /// Commands that the runner runs before the step is entered.
    pub setup: String,
    /// How long after `solve` the checks may take to hold.
    pub within: Duration,
    /// The line of `lab.md` on which the step begins.
    pub line: usize,
}

/// A known misconception, recognised by what it does to the machine.
#[derive(Debug, Clone)]
pub struct Slip {
    /// Its name, and its heading in the prose: `### slip ID`.
    pub id: String,
    /// How it is recognised: all of these hold.
    pub when: Vec<Check>,
    /// Commands that make this mistake on purpose.
    pub commit: String,
    /// The line of `lab.md` on which it stands.
    pub line: usize,
}

/// The question that a learner answers before running anything. An answer is never graded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Predict {
    /// The choices, by name.
    pub choices: Vec<String>,
    /// What will happen.
    pub answer: String,
    /// The line of `lab.md` on which it stands.
    pub line: usize,
}

/// The lab's variables. The n-th values of all variables together make the n-th variant of the lab.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vars(pub BTreeMap<String, Vec<String>>);

/// One variant: a value for each variable.
pub type Values = BTreeMap<String, String>;

impl Vars {
    /// How many variants there are; a lab without variables has one.
    pub fn variants(&self) -> usize {
        self.0.values().map(Vec::len).min().unwrap_or(1)
    }

    /// The variant that a seed picks.
    pub fn pick(&self, seed: u64) -> Values {
        let at = usize::try_from(seed % self.variants() as u64).expect("an index of a list fits");
        self.0.iter().map(|(name, values)| (name.clone(), values[at].clone())).collect()
    }
}

/// Why a lab is refused: where, and the reason.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The file, as its reader would name it.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there and what would be right.
    pub reason: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.reason)
    }
}

/// Whether a text can name a lab, a step or a slip: small letters, digits and `-`, beginning with a letter.
pub fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// Puts values in place of `$name` and `${name}`. A name without a value stays as it is written.
pub fn fill(text: &str, values: &Values) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        filled.push_str(&rest[..at]);
        let (name, used) = variable(&rest[at..]);
        match values.get(name) {
            Some(value) => filled.push_str(value),
            None => filled.push_str(&rest[at..at + used]),
        }
        rest = &rest[at + used..];
    }
    filled + rest
}

/// The names of the variables that a text uses.
pub fn variables(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (name, used) = variable(&rest[at..]);
        if !name.is_empty() {
            found.push(name);
        }
        rest = &rest[at + used..];
    }
    found
}

/// The name that begins at a `$`, and the length of all that spells it. A lone `$` has the empty name.
fn variable(text: &str) -> (&str, usize) {
    let word = |text: &str| text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
    match text[1..].strip_prefix('{') {
        Some(braced) if braced[word(braced)..].starts_with('}') => (&braced[..word(braced)], word(braced) + 3),
        _ => (&text[1..][..word(&text[1..])], word(&text[1..]) + 1),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Vars, fill, variables};

    fn values(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    #[test]
    fn values_take_the_place_of_names() {
        let values = values(&[("limit", "64M"), ("CG", "/sys/fs/cgroup/x")]);
        assert_eq!(fill("echo $limit > $CG/memory.max", &values), "echo 64M > /sys/fs/cgroup/x/memory.max");
        assert_eq!(fill("${limit}iB, $limits, $?, 5$", &values), "64MiB, $limits, $?, 5$");
        assert_eq!(fill("${limit", &values), "${limit");
        assert_eq!(variables("$CG/${limit} $? $x"), ["CG", "limit", "x"]);
    }

    #[test]
    fn a_seed_picks_a_variant_of_all_variables_together() {
        let list = |items: [&str; 2]| items.map(String::from).to_vec();
        let vars = Vars(BTreeMap::from([("a".to_string(), list(["1", "2"])), ("b".to_string(), list(["x", "y"]))]));
        assert_eq!(vars.variants(), 2);
        assert_eq!(vars.pick(3), values(&[("a", "2"), ("b", "y")]));
        assert_eq!(vars.pick(3), vars.pick(5));
        assert_eq!(Vars::default().variants(), 1);
    }
}
