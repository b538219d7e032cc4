//! `glassbox pod describe`.

use std::process::ExitCode;

use serde_json::Value;

use super::{Named, find, told};
use crate::cli::Global;
use crate::commands::output;
use crate::commands::qos::Format;
use crate::error::Failure;
use crate::pod::status;

/// Flags of `glassbox pod describe`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  sudo glassbox pod describe web --format json")]
pub struct Args {
    /// The pod
    #[command(flatten)]
    pub pod: Named,
    /// How to print; json is what kubectl get pod -o json prints
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: Format,
}

/// Tells all about a pod.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    let home = find(&args.pod, global)?;
    let pod = home.status().map_err(told)?.ok_or_else(|| Failure::new("the pod has no status yet"))?;
    match args.format {
        Format::Json => output::print(&format!("{pod:#}\n"))?,
        Format::Text => output::print(&text(&pod))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn text(pod: &Value) -> String {
    let word = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_string(),
        other => other.to_string(),
    };
    let mut page = String::new();
    let mut line = |indent: usize, name: &str, value: String| {
        page.push_str(&format!("{:indent$}{:<width$} {value}\n", "", format!("{name}:"), width = 18 - indent));
    };
    let (metadata, state) = (&pod["metadata"], &pod["status"]);
    line(0, "Name", word(&metadata["name"]));
    line(0, "Namespace", word(&metadata["namespace"]));
    line(0, "Uid", word(&metadata["uid"]));
    line(0, "Status", status::word(pod));
    if !state["message"].is_null() {
        line(0, "Message", word(&state["message"]));
    }
    line(0, "QoS class", word(&state["qosClass"]));
    line(0, "IP", word(&state["podIP"]));
    line(0, "Started", word(&state["startTime"]));
    for list in ["initContainerStatuses", "containerStatuses"] {
        for one in state[list].as_array().into_iter().flatten() {
            line(0, if list == "containerStatuses" { "Container" } else { "Init container" }, word(&one["name"]));
            line(2, "Image", word(&one["image"]));
            for (title, value) in [("State", &one["state"]), ("Last state", &one["lastState"])] {
                for (kind, what) in value.as_object().into_iter().flatten() {
                    let mut words = kind.clone();
                    if !what["reason"].is_null() {
                        words.push_str(&format!(", {}", word(&what["reason"])));
                    }
                    if !what["exitCode"].is_null() {
                        words.push_str(&format!(", exit code {}", what["exitCode"]));
                    }
                    line(2, title, words);
                    if !what["message"].is_null() {
                        line(4, "Message", word(&what["message"]));
                    }
                }
            }
            line(2, "Ready", word(&one["ready"]));
            line(2, "Restarts", word(&one["restartCount"]));
        }
    }
    for one in state["conditions"].as_array().into_iter().flatten() {
        let why = if one["message"].is_null() { String::new() } else { format!(" ({})", word(&one["message"])) };
        line(0, "Condition", format!("{} {}{why}", word(&one["type"]), word(&one["status"])));
    }
    page
}
