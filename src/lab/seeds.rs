//! The questions that the labs grew from, and what becomes of each: labs answer it, or a lab that is still to be written
//! will, or it is not a node's matter and the reason is said. The data stand in `labs/seeds.toml`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::lang::Lang;
use super::library::Entry;

/// The questions, by their number (`002 §27`), and the reasons why some are not a node's matter.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seeds {
    reasons: BTreeMap<String, Said>,
    questions: BTreeMap<String, Question>,
}

/// A sentence in both languages.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Said {
    en: String,
    zh: String,
}

impl Said {
    /// It in one language.
    pub fn of(&self, lang: Lang) -> &str {
        lang.pick(&self.en, &self.zh)
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    en: String,
    zh: String,
    not: Option<String>,
    wanted: Option<String>,
}

/// A question and what becomes of it.
#[derive(Debug)]
pub struct Answered {
    /// The source document and the question's number in it.
    pub number: String,
    /// The question.
    pub ask: Said,
    /// What becomes of it.
    pub answer: Answer,
}

/// What becomes of a question.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// These labs answer it.
    Labs(Vec<String>),
    /// A lab of this name will.
    Wanted(String),
    /// No kernel of a node can, because …
    Not(Said),
}

/// The questions of the built-in labs.
pub fn embedded() -> Seeds {
    toml::from_str(include_str!("../../labs/seeds.toml")).expect("a test reads labs/seeds.toml")
}

impl Seeds {
    /// Every question with what becomes of it, in the order of the documents.
    pub fn answered(&self, entries: &[Entry]) -> Vec<Answered> {
        let of = |(number, question): (&String, &Question)| {
            let labs = labs_of(number, entries);
            let reason = question.not.as_ref().and_then(|name| self.reasons.get(name));
            let answer = match (labs.is_empty(), reason) {
                (false, _) => Answer::Labs(labs),
                (true, Some(reason)) => Answer::Not(reason.clone()),
                (true, None) => Answer::Wanted(question.wanted.clone().unwrap_or_default()),
            };
            let ask = Said { en: question.en.clone(), zh: question.zh.clone() };
            Answered { number: number.clone(), ask, answer }
        };
        self.questions.iter().map(of).collect()
    }

    /// Everything in which questions and labs do not fit together; empty if each question has exactly one answer.
    pub fn problems(&self, entries: &[Entry]) -> Vec<String> {
        let mut problems = Vec::new();
        for (lab, seed) in entries.iter().filter_map(|entry| entry.lab.as_ref().ok()).flat_map(|lab| {
            let id = &lab.id;
            lab.seeds.iter().map(move |seed| (id, seed))
        }) {
            if !self.questions.contains_key(seed) {
                problems.push(format!("lab {lab} answers {seed:?}, which is no question"));
            }
        }
        for (number, question) in &self.questions {
            let labs = labs_of(number, entries);
            match (labs.as_slice(), &question.wanted, &question.not) {
                ([_, ..], None, None) | ([], Some(_), None) => {}
                ([], None, Some(reason)) if self.reasons.contains_key(reason) => {}
                ([], None, Some(reason)) => problems.push(format!("{number}: there is no reason {reason:?}")),
                ([], None, None) => problems.push(format!("{number}: no lab, none wanted, and no reason why not")),
                ([], Some(_), Some(_)) => problems.push(format!("{number}: both wanted and not a node's matter")),
                (labs, ..) => {
                    problems.push(format!("{number}: {} answers it already: take out the rest", labs.join(", ")));
                }
            }
            if let Some(wanted) = question.wanted.as_ref().filter(|id| entries.iter().any(|entry| entry.id == **id)) {
                problems.push(format!("{number}: lab {wanted} is there, and does not name it"));
            }
        }
        problems
    }
}

/// The labs that name a question.
fn labs_of(number: &str, entries: &[Entry]) -> Vec<String> {
    let labs = entries.iter().filter_map(|entry| entry.lab.as_ref().ok());
    labs.filter(|lab| lab.seeds.iter().any(|seed| seed == number)).map(|lab| lab.id.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::{Answer, Seeds, embedded};
    use crate::lab::library;

    #[test]
    fn every_question_is_answered_wanted_or_declined() {
        assert_eq!(embedded().problems(&library::embedded()), Vec::<String>::new());
        let answered = embedded().answered(&library::embedded());
        assert!(answered.len() >= 128, "{}", answered.len());
        let of = |number: &str| answered.iter().find(|answered| answered.number == number).expect("a question");
        assert!(matches!(&of("000 §02").answer, Answer::Labs(labs) if labs.contains(&"qos".to_string())));
        assert!(matches!(&of("002 §32").answer, Answer::Not(_)));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let text = r#"
            [reasons]
            far = { en = "far", zh = "远" }
            [questions]
            "000 §02" = { en = "a", zh = "a", not = "far" }
            "900 §01" = { en = "a", zh = "a" }
            "900 §02" = { en = "a", zh = "a", not = "near" }
            "900 §03" = { en = "a", zh = "a", not = "far", wanted = "x" }
            "900 §04" = { en = "a", zh = "a", wanted = "qos" }
            "900 §05" = { en = "a", zh = "a", wanted = "x" }
        "#;
        let seeds: Seeds = toml::from_str(text).expect("TOML");
        let problems = seeds.problems(&library::embedded());
        for expected in [
            "lab cpu-max answers \"002 §27\", which is no question",
            "000 §02: qos answers it already: take out the rest",
            "900 §01: no lab, none wanted, and no reason why not",
            "900 §02: there is no reason \"near\"",
            "900 §03: both wanted and not a node's matter",
            "900 §04: lab qos is there, and does not name it",
        ] {
            assert!(problems.iter().any(|problem| problem == expected), "{expected}\n{problems:#?}");
        }
        assert!(!problems.iter().any(|problem| problem.starts_with("900 §05")));
    }
}
