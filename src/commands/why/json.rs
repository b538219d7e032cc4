//! The answer for machines: one JSON object, whose keys are a contract.

use serde_json::{Value, json};

use super::trace::{Answer, Claim, Row, Verdict};

/// The text that is printed.
pub fn printed(answer: &Answer) -> String {
    let value = json!({
        "path": answer.title,
        "about": answer.about,
        "agrees": answer.rows.iter().all(|row| row.verdict != Verdict::Differs),
        "files": answer.rows.iter().map(row).collect::<Vec<_>>(),
        "notes": answer.notes,
    });
    format!("{value:#}\n")
}

fn row(row: &Row) -> Value {
    json!({
        "file": row.file,
        "live": row.live,
        "verdict": row.verdict.word(),
        "expected": row.claims.iter().map(claim).collect::<Vec<_>>(),
        "advice": row.advice,
    })
}

fn claim(claim: &Claim) -> Value {
    let fields = claim.fields.iter().map(|field| json!({"field": field.path, "value": field.value}));
    json!({
        "by": claim.by,
        "value": claim.value,
        "because": claim.because,
        "config": fields.collect::<Vec<_>>(),
    })
}
