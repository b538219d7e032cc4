//! `glassbox explain`: a container's start, told and not done.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;
use serde_json::json;

use super::container::told;
use super::output;
use super::without::Walls;
use crate::cli::Global;
use crate::error::Failure;
use crate::plan::{self, Change, Host, Line, Plan, printable, wrapped};
use crate::runtime::{Bundle, probe};
use crate::spec::{ContainerId, Wall};

/// Columns of the text format.
const WIDTH: usize = 80;

/// Flags of `glassbox explain`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  glassbox explain web
  glassbox explain --format sh web >start-web.sh && sudo sh start-web.sh
  glassbox explain --diff web web-with-limits")]
pub struct Args {
    /// Directory of the bundle [default: .]
    #[arg(value_name = "BUNDLE")]
    path: Option<PathBuf>,
    /// Directory of the bundle, named as the other commands name it
    #[arg(long, short, value_name = "DIR", conflicts_with = "path")]
    bundle: Option<PathBuf>,
    /// Tell what differs between the starts of two bundles, as if they had the same id and rootfs
    #[arg(long, num_args = 2, value_names = ["BUNDLE", "BUNDLE"], conflicts_with_all = ["path", "bundle"])]
    diff: Option<Vec<PathBuf>>,
    /// How to tell it
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
    /// Id that the container would get [default: the name of the bundle's directory]
    #[arg(long)]
    id: Option<String>,
    /// What it lacks
    #[command(flatten)]
    walls: Walls,
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
    /// A sequence diagram for Mermaid
    Mermaid,
}

/// Prints the plan of a bundle, or what differs between those of two.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    let told = match args.diff.as_deref() {
        Some([first, second]) => two(args, global, first, second)?,
        _ => one(args, global, args.bundle.as_deref().or(args.path.as_deref()).unwrap_or(Path::new(".")))?,
    };
    output::print(&told)?;
    Ok(ExitCode::SUCCESS)
}

fn one(args: &Args, global: &Global, directory: &Path) -> anyhow::Result<String> {
    let bundle = load(args, global, directory)?;
    let id = id(args, &bundle)?;
    let host = host(args, global, &bundle, &id)?;
    let plan = plan(args, global, &id, &bundle, &host)?;
    for left_out in &plan.left_out {
        output::eprint_line(&format!("warning: config.json: {left_out}"))?;
    }
    Ok(match args.format {
        Format::Text => text(&plan, &bundle.path),
        Format::Json => plan_json(&plan, &host)?,
        Format::Sh => plan.shell(),
        Format::Mermaid => plan.mermaid(),
    })
}

/// The second bundle is planned with the first one's id and rootfs: what is left is what the two configs say.
fn two(args: &Args, global: &Global, first: &Path, second: &Path) -> anyhow::Result<String> {
    let bundles = [load(args, global, first)?, load(args, global, second)?];
    let id = id(args, &bundles[0])?;
    let host_of = |bundle| host(args, global, bundle, &id);
    let rootfs = host_of(&bundles[0])?.rootfs;
    let plan_of = |bundle| plan(args, global, &id, bundle, &Host { rootfs: rootfs.clone(), ..host_of(bundle)? });
    let plans = [plan_of(&bundles[0])?, plan_of(&bundles[1])?];
    let changes = plan::difference(&plans[0], &plans[1]);
    let gone = changes.iter().filter(|change| matches!(change, Change::Gone(_))).count();
    let same = plans[0].story().len() - gone;
    match args.format {
        Format::Text => Ok(changes_text(&changes, same, &bundles)),
        Format::Json => changes_json(&changes, same),
        Format::Sh | Format::Mermaid => Err(Failure::new("a difference is told as text or json, not as this format")
            .hint("Leave --format out, or explain one bundle.")
            .into()),
    }
}

fn load(args: &Args, global: &Global, directory: &Path) -> anyhow::Result<Bundle> {
    let bundle = args.walls.taken_from(Bundle::load(directory).map_err(told)?, global)?;
    for warning in &bundle.config.warnings {
        output::eprint_sentence("warning: ", &format!("config.json: {warning}"))?;
    }
    Ok(bundle)
}

fn id(args: &Args, bundle: &Bundle) -> anyhow::Result<ContainerId> {
    args.id.as_deref().map_or_else(|| Ok(default_id(&bundle.path)), super::container::id)
}

fn host(args: &Args, global: &Global, bundle: &Bundle, id: &ContainerId) -> anyhow::Result<Host> {
    let probed = || {
        probe::host(bundle, id.as_str(), global.rootless.wish(), global.systemd_cgroup)
            .map_err(|error| told(error.into()))
    };
    args.host.as_deref().map_or_else(probed, read_host)
}

fn plan(args: &Args, global: &Global, id: &ContainerId, bundle: &Bundle, host: &Host) -> anyhow::Result<Plan> {
    let without_pivot_root = args.walls.list.contains(&Wall::PivotRoot);
    let options =
        plan::Options { systemd_cgroup: global.systemd_cgroup, without_pivot_root, ..plan::Options::default() };
    plan::create(id.as_str(), &bundle.config.spec, host, options).map_err(|error| told(error.into()))
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

fn plan_json(plan: &Plan, host: &Host) -> anyhow::Result<String> {
    let mut object = plan.json();
    object["host"] = serde_json::to_value(host)?;
    Ok(serde_json::to_string_pretty(&object)? + "\n")
}

fn text(plan: &Plan, bundle: &Path) -> String {
    let story = plan.story();
    let column = story.len().to_string().len();
    let mut text = printable(&format!("How container {} starts from the bundle {}", plan.id, bundle.display())) + "\n";
    for lane in story.chunk_by(|one, next| one.lane == next.lane) {
        text.push_str(&format!("\n{}\n", lane[0].lane.heading()));
        text.extend(lane.iter().map(|line| sentence("  ", line, column)));
    }
    text
}

/// A step as a numbered sentence with the field that asks for it; `column` is the width of the numbers.
fn sentence(mark: &str, line: &Line, column: usize) -> String {
    let mut letters = line.sentence.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    let whole = printable(&format!("{first}{} ({}).", letters.as_str(), line.because));
    let number = format!("{mark}{:>column$}. ", line.number);
    let indent = " ".repeat(number.len());
    let lines = wrapped(&whole, WIDTH - number.len()).into_iter().enumerate();
    lines.map(|(index, line)| format!("{}{line}\n", if index == 0 { &number } else { &indent })).collect()
}

fn changes_text(changes: &[Change], same: usize, [first, second]: &[Bundle; 2]) -> String {
    let path = |bundle: &Bundle| printable(&bundle.path.display().to_string());
    let mut text = format!("- {}\n+ {}\n{same} steps are the same.\n", path(first), path(second));
    let column = changes.iter().map(|change| line(change).number).max().unwrap_or(0).to_string().len();
    for lane in changes.chunk_by(|one, next| line(one).lane == line(next).lane) {
        text.push_str(&format!("\n{}\n", line(&lane[0]).lane.heading()));
        text.extend(lane.iter().map(|change| sentence(if is_new(change) { "+ " } else { "- " }, line(change), column)));
    }
    text
}

fn changes_json(changes: &[Change], same: usize) -> anyhow::Result<String> {
    let one = |change: &Change| {
        let Line { lane, number, sentence, because } = line(change);
        let what = if is_new(change) { "new" } else { "gone" };
        json!({ "change": what, "number": number, "lane": lane.name(), "sentence": sentence, "because": because })
    };
    let object = json!({ "same": same, "changes": changes.iter().map(one).collect::<Vec<_>>() });
    Ok(serde_json::to_string_pretty(&object)? + "\n")
}

fn line(change: &Change) -> &Line {
    match change {
        Change::Gone(line) | Change::New(line) => line,
    }
}

fn is_new(change: &Change) -> bool {
    matches!(change, Change::New(_))
}
