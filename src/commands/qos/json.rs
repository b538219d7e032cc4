//! The answer for machines: one JSON object, whose keys are a contract.

use serde_json::{Map, Value, json};

use crate::kube::levels::Level;
use crate::kube::{Placed, Problem, v1};

use super::Answer;

/// A valid pod.
pub fn answer(answer: &Answer, with_v1: bool) -> Value {
    let mut value = placed(&answer.placed, with_v1);
    if let Some(cgroups) = value["cgroups"].as_array_mut() {
        for (level, directory) in cgroups.iter_mut().zip(&answer.directories) {
            level["directory"] = json!(directory.to_string_lossy());
        }
    }
    value
}

/// An invalid pod.
pub fn problems(problems: &[Problem]) -> Value {
    let errors: Vec<Value> =
        problems.iter().map(|problem| json!({"field": problem.field, "message": problem.message})).collect();
    json!({"valid": false, "errors": errors})
}

/// Several pods, each as it would be alone, with the file that it came from.
pub fn several(outcomes: Vec<(String, Result<Placed, Vec<Problem>>)>, with_v1: bool) -> Value {
    let pods = outcomes.into_iter().map(|(file, outcome)| {
        let mut value = match &outcome {
            Ok(one) => placed(one, with_v1),
            Err(wrong) => problems(wrong),
        };
        value["file"] = json!(file);
        value
    });
    json!({"pods": pods.collect::<Vec<_>>()})
}

/// The text that is printed.
pub fn printed(value: Value) -> String {
    format!("{value:#}\n")
}

fn placed(placed: &Placed, with_v1: bool) -> Value {
    let cgroups: Vec<Value> = placed.levels.iter().map(|one| level(one, with_v1)).collect();
    json!({
        "valid": true,
        "qosClass": placed.verdict.class.name(),
        "because": placed.verdict.because,
        "cgroups": cgroups,
        "warnings": placed.warnings,
    })
}

fn level(level: &Level, with_v1: bool) -> Value {
    let mut files = Map::new();
    for write in &level.files {
        let mut entry = json!({"value": write.value, "because": write.because});
        if with_v1 {
            let old: Map<String, Value> =
                v1::spellings(level, write).into_iter().map(|(name, value)| (name, json!(value))).collect();
            entry["v1"] = json!(old);
        }
        files.insert(write.file.clone(), entry);
    }
    json!({
        "level": level.rank.word(),
        "name": level.name,
        "kind": level.kind,
        "path": level.path,
        "files": files,
        "oomScoreAdj": level.oom.as_ref().map(|score| i64::try_from(score.value).unwrap_or(i64::MAX)),
    })
}
