//! A step as one JSON object on one line; docs/narration.md has the keys.

use serde_json::{Value, json};

use super::own;
use super::text::who;
use crate::plan::{Alone, Language};
use crate::runtime::narrate::{End, Made, Outcome, Subject, Told};
use crate::sys::errno_name;
use crate::view::call;

pub(super) fn of(told: &Told<'_>, language: Language) -> String {
    let mut object = match &told.subject {
        Subject::Step(placed, alone, id) => {
            let (shell, no_shell) = match alone {
                Alone::Commands(commands) => (json!(commands), Value::Null),
                Alone::Nothing(reason) => (Value::Null, (*reason).into()),
            };
            json!({
                "container": id, "number": placed.number, "lane": placed.lane.name(),
                "step": placed.step.name(), "sentence": placed.step.describe(language), "because": placed.because,
                "shell": shell, "noShell": no_shell,
            })
        }
        Subject::Own(own) => json!({
            "container": null, "number": null, "lane": "own", "step": format!("{own:?}"),
            "sentence": own::sentence(*own, language), "because": own::because(*own, language),
            "shell": null, "noShell": own::no_shell(*own, language),
        }),
    };
    object["calls"] = told.calls.iter().map(call_object).collect();
    object["microseconds"] = told.took.map(|took| took.as_nanos() as f64 / 1e3).into();
    object["end"] = match told.end {
        End::Done => "done",
        End::Failed => "failed",
        End::Waits => "waits",
    }
    .into();
    object.to_string()
}

fn call_object(made: &Made) -> Value {
    let arguments: Vec<_> = made.arguments.iter().map(call::argument).collect();
    let (result, error) = match made.outcome {
        Outcome::Returned(number) => (json!(number), Value::Null),
        Outcome::Failed(errno) => (json!(-1), errno_name(errno.raw_os_error()).into()),
        Outcome::Gone => (Value::Null, Value::Null),
    };
    json!({
        "process": who(made.who), "call": made.call.name(), "arguments": arguments, "result": result, "error": error,
    })
}
