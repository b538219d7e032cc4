//! `glassbox plot`: pictures of a recording of `glassbox top`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use clap::ValueEnum;

use super::{output, top};
use crate::cli::Global;
use crate::error::Failure;
use crate::view::plot::{self, Panel, Picture, PlotError};

/// Flags of `glassbox plot`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Lines differ by their dashes and are named at their ends, so the picture can be read in black and white. Limits are thin
and grey; one that is far above all use is left out. A kill by the OOM killer is a line from top to bottom.

A PNG is made by rsvg-convert (Debian: librsvg2-bin).

Examples:
  sudo glassbox top web --record web.jsonl
  glassbox plot web.jsonl -o web.svg
  glassbox plot web.jsonl --show memory,pressure --of web -o web.png")]
pub struct Args {
    /// A recording: what `glassbox top --record` wrote, or --format json printed
    #[arg(value_name = "RECORDING")]
    pub recording: PathBuf,
    /// File to write, .svg or .png [default: SVG to standard output]
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Panels, from above
    #[arg(long, value_name = "PANEL,…", value_delimiter = ',', default_value = "cpu,throttled,memory")]
    pub show: Vec<PanelName>,
    /// Draw only cgroups that have this in their name or path; may be given several times
    #[arg(long, value_name = "TEXT")]
    pub of: Vec<String>,
    /// Width in pixels
    #[arg(long, value_name = "PIXELS", default_value = "1000", value_parser = clap::value_parser!(u32).range(500..=8000))]
    pub width: u32,
    /// Height of each panel in pixels
    #[arg(long, value_name = "PIXELS", default_value = "240", value_parser = clap::value_parser!(u32).range(150..=4000))]
    pub height: u32,
}

/// The values of `--show`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PanelName {
    /// CPU time against cpu.max
    Cpu,
    /// Periods in which the CPU quota was used up
    Throttled,
    /// Memory against memory.max, up to the kill
    Memory,
    /// The highest of the three pressures
    Pressure,
    /// Threads and processes against pids.max
    Pids,
    /// Block devices
    Io,
}

impl PanelName {
    fn panel(self) -> Panel {
        match self {
            PanelName::Cpu => Panel::Cpu,
            PanelName::Throttled => Panel::Throttled,
            PanelName::Memory => Panel::Memory,
            PanelName::Pressure => Panel::Pressure,
            PanelName::Pids => Panel::Pids,
            PanelName::Io => Panel::Io,
        }
    }
}

/// Runs the command.
pub fn run(args: &Args, _global: &Global) -> anyhow::Result<ExitCode> {
    let recording = top::recording(&args.recording)?;
    let panels = args.show.iter().map(|name| name.panel()).collect();
    let picture = Picture { panels, of: args.of.clone(), size: (args.width, args.height) };
    let svg = plot::svg(&recording, &picture).map_err(|error| told(&args.recording, error))?;
    match &args.output {
        None => output::print(&svg)?,
        Some(path) => {
            let bytes = match path.extension().and_then(|extension| extension.to_str()) {
                Some("svg") => svg.into_bytes(),
                Some("png") => png(&svg)?,
                _ => {
                    let failure = Failure::new(format!("cannot tell the format of {}", path.display()));
                    return Err(failure.hint("Let its name end in .svg or .png.").into());
                }
            };
            std::fs::write(path, bytes).map_err(|cause| {
                let failure = Failure::new(format!("cannot write the picture {}", path.display())).caused_by(cause);
                failure.hint("Name a file in a directory that is there and yours to write.")
            })?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn told(path: &Path, error: PlotError) -> Failure {
    let hint = match &error {
        PlotError::Nobody { .. } | PlotError::Crowd(_) => "Say which by --of, with a part of their names or paths.",
        PlotError::Short => "Record for longer: sudo glassbox top --record FILE",
        PlotError::Drawing(_) => "Another --width or --height may help.",
    };
    Failure::new(format!("cannot draw {}", path.display())).caused_by(error).hint(hint)
}

/// The picture in pixels, by the program that Debian has for it.
fn png(svg: &str) -> anyhow::Result<Vec<u8>> {
    let failed = |why: String| {
        let failure = Failure::new(format!("cannot make a PNG: rsvg-convert: {why}"));
        failure.hint("Install it: sudo apt-get install librsvg2-bin. Or write an .svg, which needs nothing.")
    };
    let mut command = Command::new("rsvg-convert");
    command.args(["--format", "png"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|cause| failed(cause.to_string()))?;
    let mut input = child.stdin.take().expect("it is piped");
    let text = svg.to_string();
    // It may answer before it has read all: then both pipes would be full.
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let made = child.wait_with_output().map_err(|cause| failed(cause.to_string()))?;
    // Where it refused the input, its own words say why.
    let _ = writer.join();
    if !made.status.success() {
        return Err(failed(String::from_utf8_lossy(&made.stderr).trim().to_string()).into());
    }
    Ok(made.stdout)
}
