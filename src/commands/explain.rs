//! `glassbox explain`: a container's start, told and not done.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;

use super::container::told;
use super::output;
use crate::cli::Global;
use crate::error::Failure;
use crate::plan::{self, Host, Numbered, Plan, printable, wrapped};
use crate::runtime::{Bundle, probe};
use crate::spec::ContainerId;

/// Columns of the text format.
const WIDTH: usize = 80;

/// Flags of `glassbox explain`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  glassbox explain web
  glassbox explain --format sh web >start-web.sh && sudo sh start-web.sh")]
pub struct Args {
    /// Directory of the bundle [default: .]
    #[arg(value_name = "BUNDLE")]
    path: Option<PathBuf>,
    /// Directory of the bundle, named as the other commands name it
    #[arg(long, short, value_name = "DIR", conflicts_with = "path")]
    bundle: Option<PathBuf>,
    /// How to tell it
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
    /// Id that the container would get [default: the name of the bundle's directory]
    #[arg(long)]
    id: Option<String>,
    /// JSON file with the facts about the machine, as "host" in what --format json prints [default: this machine]
    #[arg(long, value_name = "FILE")]
    host: Option<PathBuf>,
}

/// How a plan is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Numbered sentences, each with the field of config.json that asks for it
    Text,
    /// One object with every field of every step
    Json,
    /// A shell script that does the same
    Sh,
}

/// Prints the plan.
pub fn run(args: &Args, _global: &Global) -> anyhow::Result<ExitCode> {
    let directory = args.bundle.as_deref().or(args.path.as_deref()).unwrap_or(Path::new("."));
    let bundle = Bundle::load(directory).map_err(told)?;
    for warning in &bundle.config.warnings {
        output::eprint_line(&format!("warning: config.json: {warning}"))?;
    }
    let id = match &args.id {
        Some(id) => super::container::id(id)?,
        None => default_id(&bundle.path),
    };
    let host = match &args.host {
        Some(file) => read_host(file)?,
        None => probe::host(&bundle, id.as_str()),
    };
    let options = plan::Options::default();
    let plan = plan::create(id.as_str(), &bundle.config.spec, &host, options).map_err(|error| told(error.into()))?;
    output::print(&match args.format {
        Format::Text => text(&plan, &bundle.path),
        Format::Json => json(&plan, &host)?,
        Format::Sh => plan.shell(),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The directory's name where it can be an id; what a person would most likely choose.
fn default_id(bundle: &Path) -> ContainerId {
    let name = bundle.file_name().unwrap_or_default().to_string_lossy();
    ContainerId::new(&name).unwrap_or_else(|_| ContainerId::new("container").expect("it has letters only"))
}

fn read_host(file: &Path) -> anyhow::Result<Host> {
    let hint = "Make one on the machine that you mean: `glassbox explain --format json | jq .host`.";
    let text = fs::read_to_string(file)
        .map_err(|cause| Failure::new(format!("cannot read the host file {file:?}")).caused_by(cause).hint(hint))?;
    let host: Host = serde_json::from_str(&text).map_err(|cause| {
        Failure::new(format!("the host file {file:?} does not describe a machine")).caused_by(cause).hint(hint)
    })?;
    match &host.cgroup {
        Some(cgroup) if cgroup.levels.len() < 2 => {
            let levels = cgroup.levels.len();
            Err(Failure::new(format!("the host file {file:?}: cgroup.levels has {levels} entries"))
                .hint("It starts at the hierarchy's root and ends with the container's own cgroup.")
                .into())
        }
        _ => Ok(host),
    }
}

fn json(plan: &Plan, host: &Host) -> anyhow::Result<String> {
    let mut object = plan.json();
    object["host"] = serde_json::to_value(host)?;
    Ok(serde_json::to_string_pretty(&object)? + "\n")
}

fn text(plan: &Plan, bundle: &Path) -> String {
    let steps = plan.host.len() + 1 + plan.beside.len() + plan.init.len();
    let column = steps.to_string().len();
    let mut text = printable(&format!("How container {} starts from the bundle {}", plan.id, bundle.display())) + "\n";
    let lanes = [
        ("On the host, before its process exists", plan.host_numbered().map(|step| sentence(&step, column)).collect()),
        ("Its process", vec![sentence(&plan.clone_numbered(), column)]),
        ("Beside the process, while it waits", plan.beside_numbered().map(|step| sentence(&step, column)).collect()),
        ("Inside, by the process itself", plan.init_numbered().map(|step| sentence(&step, column)).collect::<Vec<_>>()),
    ];
    for (heading, sentences) in lanes.iter().filter(|(_, sentences)| !sentences.is_empty()) {
        text.push_str(&format!("\n{heading}\n{}", sentences.concat()));
    }
    text
}

/// A step as a numbered sentence with the field that asks for it; `column` is the width of the numbers.
fn sentence<S>(step: &Numbered<'_, S>, column: usize) -> String {
    let mut letters = step.sentence.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    let whole = printable(&format!("{first}{} ({}).", letters.as_str(), step.because));
    let number = format!("  {:>column$}. ", step.number);
    let indent = " ".repeat(number.len());
    let lines = wrapped(&whole, WIDTH - number.len()).into_iter().enumerate();
    lines.map(|(index, line)| format!("{}{line}\n", if index == 0 { &number } else { &indent })).collect()
}
