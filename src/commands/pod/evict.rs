//! `glassbox pod evict --dry-run`: who would go first, and why.

use std::process::ExitCode;

use clap::ValueEnum;
use serde_json::{Value, json};

use super::{pods, told};
use crate::cgroup::Cgroup;
use crate::cli::Global;
use crate::commands::output;
use crate::commands::qos::Format;
use crate::error::Failure;
use crate::kube::eviction::{Candidate, Place, Signal, rank};
use crate::kube::manifest::Found;
use crate::kube::pod::Pod;
use crate::kube::{defaults, effective};
use crate::pod::object;
use crate::pod::record::{Home, Record};

/// Flags of `glassbox pod evict`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  sudo glassbox pod evict --dry-run --signal memory.available")]
pub struct Args {
    /// Say who would be evicted in which order; nothing else is done yet
    #[arg(long, required = true)]
    pub dry_run: bool,
    /// What the node is short of
    #[arg(long, value_name = "SIGNAL", default_value = "memory.available")]
    pub signal: SignalName,
    /// How to print
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: Format,
}

/// The values of `--signal`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SignalName {
    /// Memory
    #[value(name = "memory.available")]
    Memory,
    /// Process ids
    #[value(name = "pid.available")]
    Pids,
}

/// Ranks the pods that run.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    let mut candidates = Vec::new();
    for home in Home::all(&pods(global)).map_err(told)? {
        let status = home.status().map_err(told)?.unwrap_or_default();
        let Some(record) = home.record().map_err(told)? else { continue };
        if matches!(status["status"]["phase"].as_str(), Some("Pending" | "Running")) {
            candidates.push(candidate(&home, &record)?);
        }
    }
    let signal = match args.signal {
        SignalName::Memory => Signal::Memory,
        SignalName::Pids => Signal::Pids,
    };
    let places = rank(&candidates, signal);
    match args.format {
        Format::Json => output::print(&format!("{:#}\n", json(&places)))?,
        Format::Text => output::print(&text(&places))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn candidate(home: &Home, record: &Record) -> anyhow::Result<Candidate> {
    let found = Found { pod: object::to_json(&record.pod), prefix: String::new(), owner: None };
    let mut pod = Pod::decode(&found).map_err(|problems| Failure::new(format!("{problems:?}")))?;
    defaults::apply(&mut pod);
    let request = effective::of_pod(&pod, effective::List::Requests).remove("memory");
    let group = record.pod_cgroup().and_then(|path| Cgroup::open(&path).ok());
    let number = |file: &str| group.as_ref()?.read(file).ok()?.parse::<i128>().ok();
    // The working set: what is used, without the file pages that can go at once (cAdvisor, setMemoryStats).
    let inactive = group.as_ref().and_then(|group| group.read_key("memory.stat", "inactive_file").ok()?);
    let usage = number("memory.current").map(|current| (current - i128::from(inactive.unwrap_or(0))).max(0));
    Ok(Candidate {
        name: home.pod_name(),
        priority: record.pod.spec.as_ref().and_then(|spec| spec.priority).unwrap_or(0),
        critical: pod.critical,
        usage,
        request: request.map_or(0, |total| total.quantity.value()),
        processes: number("pids.current").and_then(|number| u64::try_from(number).ok()),
    })
}

fn text(places: &[Place]) -> String {
    if places.is_empty() {
        return "No pod runs.\n".to_string();
    }
    let mut text = String::new();
    for (index, place) in places.iter().enumerate() {
        text.push_str(&format!("{}. {}\n", index + 1, place.candidate.name));
        place.because.iter().for_each(|reason| text.push_str(&format!("   - {reason}\n")));
    }
    text
}

fn json(places: &[Place]) -> Value {
    let one = |place: &Place| {
        let candidate = &place.candidate;
        json!({"pod": candidate.name, "evicted": !candidate.critical, "because": place.because,
            "priority": candidate.priority, "processes": candidate.processes,
            "usage": candidate.usage.and_then(|bytes| i64::try_from(bytes).ok()),
            "request": i64::try_from(candidate.request).unwrap_or(i64::MAX)})
    };
    json!({"ranking": places.iter().map(one).collect::<Vec<_>>()})
}
