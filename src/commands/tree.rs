//! `glassbox tree`: namespaces and cgroups of the machine as one tree, or two processes side by side.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use clap::ValueEnum;
use serde_json::json;

use super::machine;
use super::output::{self, Screen};
use crate::cgroup::{Cgroup, mount_point};
use crate::cli::Global;
use crate::error::Failure;
use crate::view::names::Container;
use crate::view::process::{self, Facts, Process};
use crate::view::text::{count, wrap};
use crate::view::tree::{Machine, tree};
use crate::view::{compare, compare_text, tree_text};

/// Flags of `glassbox tree`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A namespace is the host's, their own, or shared with the processes that are named; the host is process 1.

Examples:
  sudo glassbox tree
  sudo glassbox tree web           # the host beside the container web
  sudo glassbox tree 812 web --all
  glassbox tree --format json | jq '.cgroups[] | select(.owner)'")]
pub struct Args {
    /// A process id, or the id of a container, to set beside another, or beside the host
    #[arg(value_name = "PROCESS", num_args = 0..=2)]
    pub processes: Vec<String>,
    /// What the tree stands on
    #[arg(long, value_name = "WHAT", default_value = "cgroup", conflicts_with = "processes")]
    pub by: By,
    /// Leave nothing out: empty cgroups, every process; what two processes have the same
    #[arg(long, short)]
    pub all: bool,
    /// How to print
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: Format,
}

/// The values of `--by`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum By {
    /// Cgroups, with the processes in each and their namespaces
    Cgroup,
    /// Kinds of namespaces, with the processes in each
    Namespace,
}

/// The values of `--format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people, at most 100 columns
    Text,
    /// One JSON object
    Json,
}

const PROC: &str = "/proc";

/// Runs the command.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    let mount = mount_point();
    let (containers, mut notes) = machine::containers(global, mount.as_deref());
    let (host, note) = host()?;
    notes.extend(note);
    match args.processes.as_slice() {
        [] => whole(args, containers, host.pid, notes)?,
        [one] => beside(args, [&side(&host.pid.to_string(), &[], "host, ")?, &side(one, &containers, "")?])?,
        [one, other, ..] => beside(args, [&side(one, &containers, "")?, &side(other, &containers, "")?])?,
    }
    Ok(ExitCode::SUCCESS)
}

fn whole(args: &Args, containers: Vec<Container>, host: i32, mut notes: Vec<String>) -> anyhow::Result<()> {
    let processes = process::all(Path::new(PROC)).map_err(no_proc)?;
    let cgroups = match mount_point() {
        Some(mount) => machine::cgroups(&mount),
        None => {
            notes.push("No cgroup v2 file system is mounted, so no cgroup has its limits told.".to_string());
            Default::default()
        }
    };
    let tree = tree(&Machine { processes, cgroups, containers, host }, args.all);
    if tree.unread > 0 {
        notes.push(
            format!(
                "?: {} did not show its namespaces (ptrace(2), PTRACE_MODE_READ); root may look.",
                count(tree.unread, "process", "processes")
            )
            .replace("processes did not show its", "processes did not show their"),
        );
    }
    if args.format == Format::Json {
        let mut object = serde_json::to_value(&tree)?;
        object["notes"] = json!(notes);
        output::print(&(serde_json::to_string_pretty(&object)? + "\n"))?;
        return Ok(());
    }
    let width = Screen::of_stdout().width;
    let mut lines = match args.by {
        By::Cgroup => tree_text::lines(&tree, width, args.all),
        By::Namespace => tree_text::lines_by_namespace(&tree, width),
    };
    if !notes.is_empty() {
        lines.push(String::new());
        lines.extend(notes.iter().flat_map(|note| wrap(note, width)));
    }
    output::print(&(lines.join("\n") + "\n"))?;
    Ok(())
}

/// The process whose namespaces count as the host's: the first, or ourselves where it does not show them.
fn host() -> anyhow::Result<(Process, Option<String>)> {
    let first = process::one(Path::new(PROC), 1).map_err(no_proc)?;
    if !first.namespaces.is_empty() {
        return Ok((first, None));
    }
    let own = rustix::process::getpid().as_raw_nonzero().get();
    let own = process::one(Path::new(PROC), own).map_err(no_proc)?;
    let note = "Process 1 does not show its namespaces, so \"the host's\" means this shell's own; root may look.";
    Ok((own, Some(note.to_string())))
}

fn no_proc(cause: io::Error) -> Failure {
    Failure::new("cannot read the processes in /proc").caused_by(cause).hint("Mount it: mount -t proc proc /proc")
}

/// One of two processes: how it is called, and what is known of it.
struct Side {
    label: String,
    facts: Facts,
}

/// A number is a process, anything else a container.
fn side(text: &str, containers: &[Container], prefix: &str) -> anyhow::Result<Side> {
    let (pid, prefix) = match text.parse::<i32>() {
        Ok(pid) => (pid, prefix.to_string()),
        Err(_) => (first_process(text, containers)?, format!("container {text}, ")),
    };
    let mut facts = process::facts(Path::new(PROC), pid).map_err(|cause| {
        Failure::new(format!("cannot read process {pid} in /proc")).caused_by(cause).hint("`ps -e` lists processes.")
    })?;
    if let Some((mount, path)) = mount_point().zip(facts.process.cgroup.as_ref()) {
        let directory = mount.join(path.trim_start_matches('/'));
        facts.stat = Cgroup::open(&directory).and_then(|cgroup| cgroup.stat()).ok();
    }
    Ok(Side { label: format!("{prefix}process {pid} ({})", facts.process.name), facts })
}

fn first_process(id: &str, containers: &[Container]) -> anyhow::Result<i32> {
    let found = containers.iter().find(|container| container.id == id).ok_or_else(|| {
        let failure = Failure::new(format!("container {id:?} is not in the store, and it is no process id"));
        failure.hint("`sudo glassbox list` shows the containers; --root names another store.")
    })?;
    let none = || {
        let failure = Failure::new(format!("container {id:?} has no process: it is {}", found.status));
        failure.hint("Start it, or compare process ids.")
    };
    Ok(found.pid.ok_or_else(none)?)
}

fn beside(args: &Args, [left, right]: [&Side; 2]) -> anyhow::Result<()> {
    let rows = compare::compare(&left.facts, &right.facts);
    if args.format == Format::Json {
        let side = |side: &Side| json!({ "label": side.label, "pid": side.facts.process.pid });
        let object = json!({ "left": side(left), "right": side(right), "rows": rows });
        output::print(&(serde_json::to_string_pretty(&object)? + "\n"))?;
        return Ok(());
    }
    let width = Screen::of_stdout().width;
    let lines = compare_text::lines(&rows, &left.label, &right.label, width, args.all);
    output::print(&(lines.join("\n") + "\n"))?;
    Ok(())
}
