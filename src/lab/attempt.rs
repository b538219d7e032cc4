//! One taking of a lab as it is kept for the report: what was predicted, done and seen, and on which machine.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::gauge::{Gauge, Limit, Unit, gauges};
use super::judge::Verdict;
use super::lang::Lang;
use super::machine::Machine;
use super::progress;
use super::read::Scope;
use super::say;
use super::script::{Step, Values};

/// The last taking of a lab.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Attempt {
    /// The lab.
    pub lab: String,
    /// Its title, in the language in which it was taken.
    pub title: String,
    /// When it began, in UTC.
    pub began: String,
    /// What was predicted.
    pub prediction: Option<String>,
    /// What came out.
    pub answer: Option<String>,
    /// Whether the last step was done.
    pub finished: bool,
    /// The values of the lab's variables.
    pub values: Values,
    /// Where it was taken.
    pub machine: Fingerprint,
    /// The steps that were done, in the order in which they were.
    pub steps: Vec<Walked>,
}

/// What a reader must know of the machine to judge its figures.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// `uname -r`
    pub kernel: String,
    /// `uname -m`
    pub architecture: String,
    /// CPUs that could be used.
    pub cpus: usize,
    /// Memory in bytes.
    pub memory: u64,
    /// Where cgroup v2 is mounted; empty if nowhere.
    pub cgroup2: String,
    /// The version of this program.
    pub glassbox: String,
}

/// A step that was done.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Walked {
    /// The step.
    pub id: String,
    /// How long it was open, in seconds.
    pub seconds: f64,
    /// How many hints were asked for.
    pub hints: usize,
    /// The slips that were made.
    pub slips: Vec<String>,
    /// Whether the runner solved it.
    pub helped: bool,
    /// What the kernel showed in the end.
    pub evidence: Vec<Evidence>,
    /// What was watched meanwhile.
    pub plots: Vec<Plot>,
}

/// One check: where, what was found, what was expected.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The file, or the command.
    pub place: String,
    /// What it said.
    pub found: String,
    /// What was expected.
    pub expected: String,
}

/// The course of one figure.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Plot {
    /// The file below `$CG`.
    pub file: String,
    /// What its figure counts.
    pub unit: Unit,
    /// Seconds since the step began, and the figure then.
    pub points: Vec<(f64, f64)>,
    /// The limit, as it was last.
    pub limit: Option<Limit>,
}

/// A step that is open, as it is being walked through.
#[derive(Debug)]
pub struct Walk {
    walked: Walked,
    gauges: Vec<Gauge>,
    began: Instant,
}

impl Walk {
    /// Begins with a step.
    pub fn begin(step: &Step) -> Walk {
        let gauges = gauges(&step.plot);
        let plot = |gauge: &Gauge| Plot { file: gauge.file.clone(), unit: gauge.unit, ..Plot::default() };
        let plots = gauges.iter().map(plot).collect();
        Walk { walked: Walked { id: step.id.clone(), plots, ..Walked::default() }, gauges, began: Instant::now() }
    }

    /// Reads the figures that the step plots, at most twice a second.
    pub fn sample(&mut self, scope: &Scope) {
        let (now, moment) = (self.began.elapsed().as_secs_f64(), Instant::now());
        let Some(cgroup) = &scope.cgroup else { return };
        for (plot, gauge) in self.walked.plots.iter_mut().zip(&mut self.gauges) {
            if plot.points.last().is_some_and(|(last, _)| now - last < 0.5) {
                continue;
            }
            if let Some(reading) = gauge.look(cgroup, moment) {
                plot.points.push((now, reading.now));
                plot.limit = reading.limit;
            }
        }
    }

    /// A slip was made.
    pub fn slipped(&mut self, id: &str) {
        self.walked.slips.push(id.to_string());
    }

    /// A hint was given.
    pub fn hinted(&mut self) {
        self.walked.hints += 1;
    }

    /// The step is done.
    pub fn end(&mut self, verdicts: &[Verdict], helped: bool) -> Walked {
        let mut walked = std::mem::take(&mut self.walked);
        walked.seconds = self.began.elapsed().as_secs_f64();
        walked.helped = helped;
        let evidence = |verdict: &Verdict| Evidence {
            place: verdict.place.clone(),
            found: say::found(verdict, Lang::En),
            expected: say::expected(verdict, Lang::En),
        };
        walked.evidence = verdicts.iter().map(evidence).collect();
        walked
    }
}

impl Fingerprint {
    /// This machine's.
    pub fn of(machine: &Machine) -> Fingerprint {
        let info = rustix::system::sysinfo();
        Fingerprint {
            kernel: machine.kernel.clone(),
            architecture: std::env::consts::ARCH.to_string(),
            cpus: machine.cpus,
            memory: info.totalram * u64::from(info.mem_unit),
            cgroup2: machine.cgroup.as_ref().map(|cgroup| cgroup.mount.display().to_string()).unwrap_or_default(),
            glassbox: env!("CARGO_PKG_VERSION").to_string(),
        }
    }
}

/// Where the attempts are kept, a file each.
fn directory() -> PathBuf {
    progress::path().with_file_name("attempts")
}

impl Attempt {
    /// Keeps it in place of the lab's last one.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self) -> io::Result<()> {
        fs::create_dir_all(directory())?;
        let text = serde_json::to_string_pretty(self)?;
        fs::write(directory().join(format!("{}.json", self.lab)), text)
    }
}

/// All attempts that are kept, in the order in which they began.
///
/// # Errors
/// If a file cannot be read, or is none of ours.
pub fn all() -> io::Result<Vec<Attempt>> {
    let entries = match fs::read_dir(directory()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        found.push(read(&path).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?);
    }
    found.sort_by(|one: &Attempt, other| one.began.cmp(&other.began));
    Ok(found)
}

fn read(path: &Path) -> io::Result<Attempt> {
    Ok(serde_json::from_str(&fs::read_to_string(path)?)?)
}
