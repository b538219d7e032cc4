//! The answer for machines: one JSON object, whose keys are a contract.

use serde_json::{Map, Value, json};

use crate::kube::Problem;
use crate::kube::levels::Level;

use super::Answer;

/// A valid pod.
pub fn answer(answer: &Answer) -> String {
    let mut cgroups: Vec<Value> = answer.levels.iter().map(level).collect();
    for (level, directory) in cgroups.iter_mut().zip(&answer.directories) {
        level["directory"] = json!(directory.to_string_lossy());
    }
    printed(json!({
        "valid": true,
        "qosClass": answer.verdict.class.name(),
        "because": answer.verdict.because,
        "cgroups": cgroups,
        "warnings": answer.warnings,
    }))
}

/// An invalid pod.
pub fn problems(problems: &[Problem]) -> String {
    let errors: Vec<Value> =
        problems.iter().map(|problem| json!({"field": problem.field, "message": problem.message})).collect();
    printed(json!({"valid": false, "errors": errors}))
}

fn level(level: &Level) -> Value {
    let mut files = Map::new();
    for write in &level.files {
        files.insert(write.file.clone(), json!({"value": write.value, "because": write.because}));
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

fn printed(value: Value) -> String {
    format!("{value:#}\n")
}
