//! `glassbox pod ps`.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::{pods, told};
use crate::cli::Global;
use crate::commands::output;
use crate::commands::qos::Format;
use crate::pod::record::Home;
use crate::pod::status;

/// Flags of `glassbox pod ps`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  sudo glassbox pod ps")]
pub struct Args {
    /// Only the pods of this namespace [default: all]
    #[arg(long, short, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// How to print; json is what kubectl get pods -o json prints
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: Format,
}

/// Lists the pods.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    let mut items = Vec::new();
    for home in Home::all(&pods(global)).map_err(told)? {
        // One that is being made or removed has no status.
        if let Ok(Some(pod)) = home.status() {
            items.push(pod);
        }
    }
    items.retain(|pod| {
        args.namespace.as_ref().is_none_or(|namespace| pod["metadata"]["namespace"] == namespace.as_str())
    });
    match args.format {
        Format::Json => {
            let list = json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": items});
            output::print(&format!("{list:#}\n"))?;
        }
        Format::Text => output::print(&table(&items))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn table(items: &[Value]) -> String {
    let mut rows = vec![["NAMESPACE", "NAME", "READY", "STATUS", "RESTARTS", "IP", "CLASS"].map(str::to_string)];
    rows.extend(items.iter().map(row));
    let widths: Vec<usize> = (0..7).map(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0)).collect();
    let line = |row: &[String; 7]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

fn row(pod: &Value) -> [String; 7] {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_string();
    let list = |name: &str| pod["status"][name].as_array().cloned().unwrap_or_default();
    let (apps, init) = (list("containerStatuses"), list("initContainerStatuses"));
    let sidecar = |one: &&Value| {
        let specs = pod["spec"]["initContainers"].as_array();
        specs.into_iter().flatten().any(|spec| spec["name"] == one["name"] && spec["restartPolicy"] == "Always")
    };
    let long: Vec<&Value> = apps.iter().chain(init.iter().filter(sidecar)).collect();
    let ready = long.iter().filter(|one| one["ready"] == true).count();
    let restarts: u64 = apps.iter().chain(&init).filter_map(|one| one["restartCount"].as_u64()).sum();
    [
        text(&pod["metadata"]["namespace"]),
        text(&pod["metadata"]["name"]),
        format!("{ready}/{}", long.len()),
        status::word(pod),
        restarts.to_string(),
        text(&pod["status"]["podIP"]),
        text(&pod["status"]["qosClass"]),
    ]
}
