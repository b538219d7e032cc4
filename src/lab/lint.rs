//! What must be true of every lab before it is run: names, words for everything, and the same skeleton in both languages.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag};

use super::check::{Check, Expect, Subject};
use super::front::Front;
use super::prose::{Prose, Words};
use super::requires::Require;
use super::script::{Lab, Problem, is_name, variables};

/// A lab in pieces: its front matter, its words, and the names of the files they came from.
pub struct Draft {
    /// The folder above the lab's own.
    pub track: String,
    /// The lab's own folder.
    pub folder: String,
    /// How to name `lab.md` and `lab.zh.md`.
    pub names: [String; 2],
    /// The front matter of `lab.md`.
    pub front: Front,
    /// The English and the Chinese words.
    pub words: [Words; 2],
    /// `files/`
    pub files: BTreeMap<PathBuf, Vec<u8>>,
}

/// Turns a draft into a lab.
///
/// # Errors
/// Everything that breaks a rule, in the order of files and lines.
pub fn lint(draft: Draft) -> Result<Lab, Vec<Problem>> {
    let mut lint = Lint { problems: Vec::new(), name: &draft.names[0] };
    lint.front(&draft);
    for (words, name) in draft.words.iter().zip(&draft.names) {
        lint.name = name;
        lint.words(&draft.front, words);
    }
    lint.parity(&draft);
    let mut problems = lint.problems;
    if !problems.is_empty() {
        problems.sort();
        problems.dedup();
        return Err(problems);
    }
    let [en, zh] = draft.words;
    let [file, _] = draft.names;
    let Front { id: (id, _), minutes, seeds, requires, vars, predict, steps } = draft.front;
    Ok(Lab { file, track: draft.track, id, minutes, seeds, requires, vars, predict, steps, en, zh, files: draft.files })
}

struct Lint<'a> {
    problems: Vec<Problem>,
    name: &'a str,
}

impl<'a> Lint<'a> {
    fn refuse(&mut self, line: usize, reason: impl Into<String>) {
        self.problems.push(Problem { file: self.name.to_string(), line, reason: reason.into() });
    }

    fn front(&mut self, draft: &Draft) {
        let front = &draft.front;
        let (id, id_line) = (&front.id.0, front.id.1);
        if !is_name(id) {
            self.refuse(id_line, format!("id {id:?}: small letters, digits and -, beginning with a letter"));
        }
        if *id != draft.folder {
            self.refuse(id_line, format!("id {id:?} differs from its folder, {:?}", draft.folder));
        }
        if front.seeds.is_empty() {
            self.refuse(id_line, "seeds is empty: name the question that this lab answers");
        }
        for name in front.vars.0.keys().filter(|name| !is_name(&name.replace('_', "-"))) {
            self.refuse(id_line, format!("variable {name:?}: small letters, digits and _, beginning with a letter"));
        }
        if let Some(predict) = &front.predict
            && !predict.choices.contains(&predict.answer)
        {
            self.refuse(predict.line, format!("predict: the answer {:?} is not among the choices", predict.answer));
        }
        if front.steps.iter().all(|step| step.slips.is_empty()) {
            self.refuse(id_line, "no step has a slip: which mistake do learners make here?");
        }
        let mut seen = BTreeSet::new();
        for step in &front.steps {
            if !is_name(&step.id) || ["predict", "end"].contains(&step.id.as_str()) {
                self.refuse(
                    step.line,
                    format!("step {:?}: small letters, digits and -; not predict, not end", step.id),
                );
            }
            if !seen.insert(&step.id) {
                self.refuse(step.line, format!("a second step {:?}", step.id));
            }
            self.step(front, step);
        }
    }

    fn step(&mut self, front: &Front, step: &super::script::Step) {
        if step.checks.is_empty() {
            self.refuse(step.line, format!("step {:?} checks nothing", step.id));
        }
        if step.solve.trim().is_empty() {
            self.refuse(step.line, format!("step {:?} has no solve", step.id));
        }
        if step.solve.contains("<<") || step.slips.iter().any(|slip| slip.commit.contains("<<")) {
            self.refuse(
                step.line,
                format!("step {:?}: a here-document cannot be typed line by line; use files/", step.id),
            );
        }
        for plot in step.plot.iter().filter(|path| path.starts_with('/') || path.contains("..")) {
            self.refuse(step.line, format!("plot {plot:?}: a path below $CG"));
        }
        let mut slips = BTreeSet::new();
        for slip in &step.slips {
            if !is_name(&slip.id) || !slips.insert(&slip.id) {
                self.refuse(slip.line, format!("slip {:?}: a name of small letters, used once in its step", slip.id));
            }
            if slip.when.is_empty() || slip.commit.trim().is_empty() {
                self.refuse(slip.line, format!("slip {:?} needs both when and do", slip.id));
            }
        }
        for check in step.checks.iter().chain(step.slips.iter().flat_map(|slip| &slip.when)) {
            self.check(front, check);
        }
    }

    fn check(&mut self, front: &Front, check: &Check) {
        let has_cgroup =
            front.requires.iter().any(|require| matches!(require, Require::Cgroup2 | Require::Controller(_)));
        if check.subject.needs_cgroup() && !has_cgroup {
            self.refuse(check.line, "a check below $CG, but requires has no cgroup2");
        }
        if let Subject::Net { what, .. } = &check.subject
            && !front.requires.contains(&Require::Command(what.program().to_string()))
        {
            let program = what.program();
            self.refuse(check.line, format!("this check asks {program}, but requires has no cmd:{program}"));
        }
        for text in check.subject.texts().into_iter().chain(check.expect.texts()) {
            for name in variables(text).into_iter().filter(|name| *name != "CG" && !front.vars.0.contains_key(*name)) {
                self.refuse(check.line, format!("unknown variable ${name}"));
            }
        }
        let numbers = match &check.expect {
            Expect::Ge(number) | Expect::Le(number) | Expect::Grew(number) => vec![number],
            Expect::Between(low, high) => vec![low, high],
            Expect::GrewTimes { factor, .. } => vec![factor],
            Expect::Eq(_) | Expect::Ne(_) | Expect::Exists | Expect::Absent | Expect::Matches(_) => vec![],
            Expect::SameAs(_) | Expect::Differs(_) | Expect::Succeeds => vec![],
        };
        for text in numbers {
            let variants =
                (0..front.vars.variants() as u64).map(|seed| super::script::fill(text, &front.vars.pick(seed)));
            for value in variants.filter(|value| super::quantity::number(value).is_none()) {
                self.refuse(check.line, format!("{value:?} is no number"));
            }
        }
    }

    /// Every thing of the front matter has its words, and nothing else has.
    fn words(&mut self, front: &Front, words: &'a Words) {
        if words.title.is_empty() || words.intro.is_empty() {
            self.refuse(words.intro.line.max(1), "a lab begins with # Title and what it is about");
        }
        if words.end.is_empty() || words.question.is_empty() {
            self.refuse(
                words.end.line.max(1),
                "a lab ends with ## end (the explanation) and ### question (to take along)",
            );
        }
        match (&front.predict, &words.predict) {
            (None, None) => {}
            (Some(_), None) => self.refuse(1, "no ## predict, but the front matter has predict"),
            (None, Some(predict)) => self.refuse(predict.ask.line, "## predict, but the front matter has no predict"),
            (Some(front), Some(predict)) => {
                let named: Vec<_> = predict.choices.iter().map(|(name, _)| name).collect();
                if named != front.choices.iter().collect::<Vec<_>>() {
                    let reason = format!("the choices are {named:?}, in the front matter {:?}", front.choices);
                    self.refuse(predict.ask.line, reason);
                }
                if predict.ask.is_empty() || predict.after.is_empty() {
                    self.refuse(predict.ask.line, "## predict needs a question and ### after");
                }
            }
        }
        let written: Vec<_> = words.steps.iter().map(|step| &step.id).collect();
        if written != front.steps.iter().map(|step| &step.id).collect::<Vec<_>>() {
            for step in front.steps.iter().filter(|step| words.step(&step.id).is_none()) {
                self.refuse(1, format!("step {:?} has no words: ## {}", step.id, step.id));
            }
            for step in words.steps.iter().filter(|words| !front.steps.iter().any(|step| step.id == words.id)) {
                self.refuse(step.text.line, format!("## {} is no step of the front matter", step.id));
            }
            self.refuse(words.intro.line.max(1), "the steps stand in another order than in the front matter");
        }
        for step in &front.steps {
            let Some(words) = words.step(&step.id) else { continue };
            if words.text.is_empty() || words.hints.is_empty() {
                self.refuse(words.text.line, format!("step {:?} needs words and at least one ### hint", step.id));
            }
            for slip in step.slips.iter().filter(|slip| !words.slips.contains_key(&slip.id)) {
                self.refuse(words.text.line, format!("no words for slip {:?}: ### slip {}", slip.id, slip.id));
            }
            for (id, slip) in words.slips.iter().filter(|(id, _)| !step.slips.iter().any(|slip| slip.id == **id)) {
                self.refuse(slip.line, format!("### slip {id} is no slip of step {:?}", step.id));
            }
        }
    }

    /// The translation has the same outline, and the same commands and file names in each section.
    fn parity(&mut self, draft: &'a Draft) {
        let [en, zh] = [outline(&draft.words[0]), outline(&draft.words[1])];
        self.name = &draft.names[1];
        for (place, prose) in en.iter().filter(|(place, _)| !zh.iter().any(|(other, _)| other == place)) {
            self.refuse(1, format!("{place} is missing; {} has it on line {}", draft.names[0], prose.line));
        }
        for (place, prose) in &zh {
            let Some((_, original)) = en.iter().find(|(other, _)| other == place) else {
                self.refuse(prose.line, format!("{place} is not in {}", draft.names[0]));
                continue;
            };
            let (here, there) = (code(prose), code(original));
            for span in difference(&there, &here) {
                self.refuse(
                    prose.line,
                    format!("{place} lacks `{span}`, which line {} of {} has", original.line, draft.names[0]),
                );
            }
            for span in difference(&here, &there) {
                self.refuse(
                    prose.line,
                    format!("{place} has `{span}`, which line {} of {} lacks", original.line, draft.names[0]),
                );
            }
        }
    }
}

/// Every piece of prose that is written, with its place in the outline.
fn outline(words: &Words) -> Vec<(String, &Prose)> {
    let mut found = vec![("the introduction".to_string(), &words.intro)];
    if let Some(predict) = &words.predict {
        found.push(("## predict".to_string(), &predict.ask));
        found.push(("## predict ### after".to_string(), &predict.after));
    }
    for step in &words.steps {
        let id = &step.id;
        found.push((format!("## {id}"), &step.text));
        found.extend(step.hints.iter().enumerate().map(|(at, hint)| (format!("## {id} ### hint {}", at + 1), hint)));
        found.extend(step.slips.iter().map(|(slip, words)| (format!("## {id} ### slip {slip}"), words)));
        found.push((format!("## {id} ### after"), &step.after));
    }
    found.push(("## end".to_string(), &words.end));
    found.push(("## end ### question".to_string(), &words.question));
    found.retain(|(_, prose)| !prose.is_empty());
    found
}

/// What may not be translated: code spans, and code blocks that name a language.
fn code(prose: &Prose) -> Vec<String> {
    let mut found = prose.code_spans();
    let mut inside = false;
    for event in Parser::new(&prose.markdown) {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(language))) => inside = !language.is_empty(),
            Event::End(pulldown_cmark::TagEnd::CodeBlock) => inside = false,
            Event::Text(text) if inside => found.extend(text.lines().map(String::from)),
            _ => {}
        }
    }
    found
}

/// What `left` has more often than `right`.
fn difference(left: &[String], right: &[String]) -> Vec<String> {
    let mut rest = right.to_vec();
    let mut surplus = Vec::new();
    for span in left {
        match rest.iter().position(|other| other == span) {
            Some(at) => drop(rest.swap_remove(at)),
            None => surplus.push(span.clone()),
        }
    }
    surplus
}
