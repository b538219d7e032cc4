//! `glassbox top`: what cgroups use, beside what they may: live on a terminal, as lines into a pipe, from a recording.

mod live;
mod scope;

use std::fs::File;
use std::io::{BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use jiff::Timestamp;

use super::output::{self, Screen};
use crate::cli::Global;
use crate::error::Failure;
use crate::view::top::app::App;
use crate::view::top::frame::{Frame, Header, Recording, Sample};
use crate::view::top::row::{Sort, rows};
use crate::view::top::table;

use scope::Scope;

/// Flags of `glassbox top`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
CPU% and its LIMIT are percent of one CPU. THR% is how many of cpu.max's periods had the quota used up. PSI is the time
in percent in which something waited, for cpu, memory and io. `oom 2` counts kills by the OOM killer, KILL+1 is one just
now; `high` is use above memory.high, `nofork` a fork that pids.max refused.

A recording is text: a header, then a JSON object for each look, the same as --format json prints. It holds what the
kernel's files said, so `glassbox plot` and --replay work from it on any machine.

Keys: space freezes the screen, left and right go through time, s sorts, / filters, q ends.

Examples:
  sudo glassbox top                         # every container and pod
  glassbox top /system.slice                # a cgroup and all below it
  sudo glassbox top web --record web.jsonl
  glassbox top --replay web.jsonl
  glassbox top -n 1 --format json / | jq '.rows[]? | select(.use.throttled_percent > 0)'")]
pub struct Args {
    /// Id of a container, uid of a pod, or path of a cgroup (/system.slice, /sys/fs/cgroup/system.slice), each with all
    /// below it [default: every container and pod]
    #[arg(value_name = "WHAT", conflicts_with = "replay")]
    pub what: Option<String>,
    /// Seconds between two looks, 0.1 or more
    #[arg(long, short, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    pub interval: f64,
    /// Print so many looks and end, without a screen
    #[arg(long, short = 'n', value_name = "COUNT")]
    pub number: Option<u64>,
    /// Sort by this at first
    #[arg(long, value_name = "BY", default_value = "name")]
    pub sort: SortBy,
    /// Show only what has this in its name or path
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub filter: String,
    /// How to print where there is no screen; json gives the lines of a recording
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<Format>,
    /// Write every look to this file as well
    #[arg(long, value_name = "FILE", conflicts_with = "replay")]
    pub record: Option<PathBuf>,
    /// Show a recording instead of this machine
    #[arg(long, value_name = "FILE")]
    pub replay: Option<PathBuf>,
}

/// The values of `--format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table for each look
    Text,
    /// A JSON object a line
    Json,
}

/// The values of `--sort`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum SortBy {
    Name,
    Cpu,
    Throttled,
    Memory,
    Pressure,
    Pids,
    Io,
}

impl SortBy {
    fn sort(self) -> Sort {
        match self {
            SortBy::Name => Sort::Name,
            SortBy::Cpu => Sort::Cpu,
            SortBy::Throttled => Sort::Throttled,
            SortBy::Memory => Sort::Memory,
            SortBy::Pressure => Sort::Pressure,
            SortBy::Pids => Sort::Pids,
            SortBy::Io => Sort::Io,
        }
    }
}

/// Runs the command.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    let screen =
        args.number.is_none() && args.format.is_none() && output::moves_cursor() && std::io::stdin().is_terminal();
    let ended = match &args.replay {
        Some(path) => replay(args, path, screen)?,
        None => {
            let scope = Scope::new(args.what.as_deref(), global)?;
            let header = header(args, &scope);
            let record = args.record.as_deref().map(|path| Record::create(path, &header)).transpose()?;
            let mut looks = Looks { scope, started: Instant::now(), last: None, record };
            if screen {
                let app = start(args, App::live(&header.what));
                live::show(app, Duration::from_secs_f64(args.interval), Some(&mut looks))?
            } else {
                batch(args, &header, &mut looks)?;
                None
            }
        }
    };
    // As a shell counts who was ended by a signal.
    let code = ended.map_or(0, |signal| u8::try_from(128 + signal).unwrap_or(u8::MAX));
    Ok(ExitCode::from(code))
}

/// Seconds, as a person writes them; the kernel's own averages change every two seconds, its counters at once.
fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.1..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err("give seconds from 0.1 to 3600".to_string()),
    }
}

fn start(args: &Args, mut app: App) -> App {
    app.sort = args.sort.sort();
    app.filter.clone_from(&args.filter);
    app
}

fn header(args: &Args, scope: &Scope) -> Header {
    Header {
        glassbox: "top".to_string(),
        version: 1,
        started: Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        interval: args.interval,
        host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        cpus: thread::available_parallelism().map_or(1, usize::from),
        what: scope.words(),
    }
}

/// Looks at the machine, one after the other, each written to the recording where there is one.
struct Looks {
    scope: Scope,
    started: Instant,
    last: Option<Frame>,
    record: Option<Record>,
}

impl Looks {
    fn next(&mut self) -> anyhow::Result<Frame> {
        let rows = self.scope.samples()?;
        let frame = Frame { t: (self.started.elapsed().as_secs_f64() * 1000.0).round() / 1000.0, rows };
        if let Some(record) = &mut self.record {
            record.write(&frame.line(self.last.as_ref()))?;
        }
        self.last = Some(frame.clone());
        Ok(frame)
    }
}

/// The file of a recording. Every line is flushed: what was seen is there whatever ends us.
struct Record {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Record {
    fn create(path: &Path, header: &Header) -> anyhow::Result<Record> {
        let file = File::create(path).map_err(|cause| {
            let failure = Failure::new(format!("cannot write the recording {}", path.display())).caused_by(cause);
            failure.hint("Name a file in a directory that is there and yours to write.")
        })?;
        let mut record = Record { path: path.to_path_buf(), file: BufWriter::new(file) };
        record.write(&header.line())?;
        Ok(record)
    }

    fn write(&mut self, line: &str) -> anyhow::Result<()> {
        let written = self.file.write_all(line.as_bytes()).and_then(|()| self.file.flush());
        written.map_err(|cause| {
            Failure::new(format!("cannot write the recording {}", self.path.display())).caused_by(cause).into()
        })
    }
}

/// Prints looks as lines. The first is kept back: rates need two.
fn batch(args: &Args, header: &Header, looks: &mut Looks) -> anyhow::Result<()> {
    let json = args.format == Some(Format::Json);
    if json {
        output::print(&header.line())?;
    }
    let interval = Duration::from_secs_f64(args.interval);
    let mut before = looks.next()?;
    let mut due = Instant::now();
    let mut printed = 0;
    while args.number.is_none_or(|number| printed < number) {
        due += interval;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let frame = looks.next()?;
        match json {
            true => output::print(&filtered(args, &frame).line(Some(&before)))?,
            false => output::print(&lines(args, &frame, Some(&before), printed == 0))?,
        }
        printed += 1;
        before = frame;
    }
    Ok(())
}

/// A look without what the user does not want to see.
fn filtered(args: &Args, frame: &Frame) -> Frame {
    let wanted = |sample: &&Sample| sample.name.contains(&args.filter) || sample.path.contains(&args.filter);
    Frame { t: frame.t, rows: frame.rows.iter().filter(wanted).cloned().collect() }
}

/// A look as a table, after an empty line where it is not the first.
fn lines(args: &Args, frame: &Frame, before: Option<&Frame>, first: bool) -> String {
    let width = Screen::of_stdout().width;
    let gap = if first { "" } else { "\n" };
    let rows = rows(frame, before, &args.filter, args.sort.sort());
    if rows.is_empty() {
        return format!("{gap}Nothing is there. `glassbox top /` shows every cgroup.\n");
    }
    let lines: String = rows.iter().map(|row| table::line(row, width) + "\n").collect();
    format!("{gap}{}\n{lines}", table::heading(width))
}

/// Shows or prints a recording; returns the signal that ended the screen.
fn replay(args: &Args, path: &Path, screen: bool) -> anyhow::Result<Option<i32>> {
    let Recording { header, frames } = recording(path)?;
    if screen {
        let what = format!("{} on {}, {}", header.what, header.host, header.started);
        let app = start(args, App::replay(&what, frames));
        return live::show(app, Duration::from_secs_f64(header.interval.clamp(0.1, 3600.0)), None);
    }
    let json = args.format == Some(Format::Json);
    if json {
        output::print(&header.line())?;
    }
    let number = args.number.and_then(|number| usize::try_from(number).ok()).unwrap_or(usize::MAX);
    for (at, frame) in frames.iter().enumerate().take(number) {
        let before = at.checked_sub(1).map(|before| &frames[before]);
        match json {
            true => output::print(&filtered(args, frame).line(before))?,
            false => output::print(&lines(args, frame, before, at == 0))?,
        }
    }
    Ok(None)
}

/// Reads a recording, for `plot` too.
///
/// # Errors
/// Where the file cannot be read, or is no recording.
pub fn recording(path: &Path) -> anyhow::Result<Recording> {
    let hint = "Make one: sudo glassbox top --record FILE";
    let text = std::fs::read_to_string(path).map_err(|cause| {
        Failure::new(format!("cannot read the recording {}", path.display())).caused_by(cause).hint(hint)
    })?;
    let parsed = Recording::parse(&text);
    Ok(parsed
        .map_err(|cause| Failure::new(format!("{} is no recording", path.display())).caused_by(cause).hint(hint))?)
}
