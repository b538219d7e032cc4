//! `glassbox pod logs`.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::ExitCode;
use std::time::Duration;

use super::{Named, container, find, record};
use crate::cli::Global;
use crate::commands::output;
use crate::error::Failure;
use crate::pod::log::{self, Entry};
use crate::pod::record::Home;

/// Flags of `glassbox pod logs`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  sudo glassbox pod logs --follow web")]
pub struct Args {
    /// The pod
    #[command(flatten)]
    pub pod: Named,
    /// The container [default: the only one, or the first app container]
    #[arg(long, short, value_name = "NAME")]
    pub container: Option<String>,
    /// Wait for more, until the container has ended
    #[arg(long, short)]
    pub follow: bool,
    /// The log of the run before this one
    #[arg(long, short)]
    pub previous: bool,
    /// Only the last lines
    #[arg(long, value_name = "LINES")]
    pub tail: Option<usize>,
    /// With the time of each line
    #[arg(long)]
    pub timestamps: bool,
}

/// Prints what a container has written: its stdout on ours, its stderr on ours too, as kubectl does.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    let home = find(&args.pod, global)?;
    let name = container(&home, &record(&home)?, args.container.as_deref())?;
    let runs = (0..).take_while(|run| home.log(&name, *run).is_file()).count() as u32;
    let wanted = runs.checked_sub(if args.previous { 2 } else { 1 });
    let Some(run) = wanted else {
        let what = if args.previous { "has no run before this one" } else { "has not been started" };
        return Err(Failure::new(format!("container {name} {what}")).into());
    };
    let path = home.log(&name, run);
    let file = File::open(&path).map_err(|cause| Failure::new(format!("cannot read {path:?}")).caused_by(cause))?;
    let mut reader = BufReader::new(file);
    let mut entries = Vec::new();
    while let Some(entry) = next(&mut reader)? {
        entries.push(entry);
    }
    let skip = args.tail.map_or(0, |tail| entries.len().saturating_sub(tail));
    output::print(&entries[skip..].iter().map(|entry| text(entry, args.timestamps)).collect::<String>())?;
    if args.follow {
        follow(args, &mut reader, &home, &name)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn follow(args: &Args, reader: &mut BufReader<File>, home: &Home, name: &str) -> anyhow::Result<()> {
    loop {
        match next(reader)? {
            Some(entry) => output::print(&text(&entry, args.timestamps))?,
            None if !is_running(home, name) => return Ok(()),
            None => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}

fn next(reader: &mut BufReader<File>) -> anyhow::Result<Option<Entry>> {
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        if let Some(entry) = log::entry(String::from_utf8_lossy(&line).trim_end_matches('\n')) {
            return Ok(Some(entry));
        }
        line.clear();
    }
    Ok(None)
}

fn text(entry: &Entry, timestamps: bool) -> String {
    if timestamps { format!("{} {}", entry.time, entry.text) } else { entry.text.clone() }
}

fn is_running(home: &Home, name: &str) -> bool {
    let Ok(Some(pod)) = home.status() else { return false };
    let lists = ["containerStatuses", "initContainerStatuses"];
    let mut all = lists.iter().filter_map(|list| pod["status"][list].as_array()).flatten();
    all.any(|one| one["name"] == name && !one["state"]["running"].is_null())
}
