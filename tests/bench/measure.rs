//! Times OCI runtimes side by side: `run /bin/true`, and the cycle create, start, delete.
//!
//! All get one bundle: the rootfs that is named, and the config.json of `runc spec` with `/bin/true`, without a terminal.
//! Runs are interleaved, so that a busy moment of the machine hits all alike; medians are compared. Beside times stand what
//! another machine will find too: system calls and peak memory.
//!
//! Needs root and cgroup v2; `tests/bench/run` provides both.

#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use serde_json::{Value, json};

/// Time OCI runtimes side by side
#[derive(Parser)]
struct Options {
    /// Measured runs of each case and runtime
    #[arg(long, default_value_t = 100)]
    runs: usize,
    /// A busybox rootfs (rootfs-scripts/busybox-rootfs)
    #[arg(long)]
    rootfs: PathBuf,
    /// The floor program of tests/bench, measured beside the runtimes
    #[arg(long)]
    floor: Option<PathBuf>,
    /// Also write all figures to this file
    #[arg(long)]
    json: Option<PathBuf>,
    /// The runtimes, with options before their verb if need be; ratios are taken to the first whose name begins with crun
    #[arg(value_name = "NAME=PROGRAM [OPTIONS]", required = true)]
    runtimes: Vec<String>,
}

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    // Our second trade, in a process of its own: getrusage(2) knows only the largest of all children there ever were.
    let done = match arguments.get(1) {
        Some(word) if word == "peak-rss" => peak_rss(&arguments[2..]),
        _ => measure(Options::parse()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("measure: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What is measured of one runtime, by case.
type Times = BTreeMap<&'static str, Vec<f64>>;

const CASES: [&str; 5] = ["run", "create", "start", "delete", "cycle"];

fn measure(options: Options) -> Result<()> {
    let place = Place::make(&options)?;
    let mut runtimes = Vec::new();
    for named in &options.runtimes {
        let (name, program) = named.split_once('=').with_context(|| format!("{named} is not NAME=PROGRAM"))?;
        let mut words = program.split_whitespace().map(str::to_string);
        let program = words.next().with_context(|| format!("{named} names no program"))?.into();
        runtimes.push(Runtime { name: name.to_string(), program, options: words.collect(), floor: false });
    }
    if let Some(program) = options.floor {
        runtimes.push(Runtime { name: "floor".to_string(), program, options: Vec::new(), floor: true });
    }
    let mut times: Vec<Times> = runtimes.iter().map(|_| Times::new()).collect();
    // Two rounds to warm the caches, then those that count.
    for round in 0..options.runs + 2 {
        for (runtime, times) in runtimes.iter().zip(&mut times) {
            let figures = runtime.round(&place).with_context(|| runtime.name.clone())?;
            if round >= 2 {
                figures.into_iter().for_each(|(case, took)| times.entry(case).or_default().push(took));
            }
        }
    }
    let mut report = Vec::new();
    for (runtime, times) in runtimes.iter().zip(times) {
        report.push(json!({
            "runtime": runtime.name,
            "version": runtime.version()?,
            "peak_rss_kib": runtime.peak_rss_kib(&place)?,
            "system_calls": runtime.system_calls(&place)?,
            "milliseconds": times.into_iter().map(|(case, times)| (case, summary(times))).collect::<BTreeMap<_, _>>(),
        }));
    }
    let report = json!({ "machine": machine()?, "runs": options.runs, "runtimes": report });
    print_table(&report);
    if let Some(path) = options.json {
        fs::write(&path, format!("{report:#}\n")).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

/// The bundle, and the directories for state and cgroups. Removed at the end.
struct Place {
    directory: tempfile::TempDir,
    cgroup: PathBuf,
}

impl Place {
    fn make(options: &Options) -> Result<Self> {
        // statfs(2) of cgroup v2's own file says enough: no controllers are needed for /bin/true.
        ensure!(
            Path::new("/sys/fs/cgroup/cgroup.controllers").exists(),
            "/sys/fs/cgroup is no cgroup v2: see tests/bench/run"
        );
        ensure!(nix::unistd::geteuid().is_root(), "measuring starts containers and needs root: see tests/bench/run");
        let directory = tempfile::Builder::new().prefix("glassbox-bench.").tempdir_in("/run")?;
        let cgroup = PathBuf::from("/sys/fs/cgroup").join(directory.path().file_name().expect("it has a name"));
        fs::create_dir(&cgroup)?;
        // A created container's parent is gone; it becomes our child, so that its end can be waited for.
        nix::sys::prctl::set_child_subreaper(true)?;
        let place = Self { directory, cgroup };
        let bundle = place.bundle();
        fs::create_dir(&bundle)?;
        let config = include_str!("config.json");
        let mut config: Value = serde_json::from_str(config)?;
        config["root"]["path"] =
            options.rootfs.canonicalize()?.to_str().context("the rootfs path is not UTF-8")?.into();
        config["linux"]["cgroupsPath"] =
            format!("/{}/c", place.cgroup.file_name().expect("made above").display()).into();
        fs::write(bundle.join("config.json"), config.to_string())?;
        Ok(place)
    }

    fn bundle(&self) -> PathBuf {
        self.directory.path().join("bundle")
    }

    fn rootfs(&self) -> Result<PathBuf> {
        let config: Value = serde_json::from_slice(&fs::read(self.bundle().join("config.json"))?)?;
        Ok(config["root"]["path"].as_str().context("written by make")?.into())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // A killed run may have left the container's group in it.
        let _ = fs::remove_dir(self.cgroup.join("c"));
        let _ = fs::remove_dir(&self.cgroup);
    }
}

struct Runtime {
    name: String,
    program: PathBuf,
    options: Vec<String>,
    /// Not a runtime: the program of floor.rs, which knows `run` alone.
    floor: bool,
}

impl Runtime {
    /// One run and one cycle: milliseconds by case.
    fn round(&self, place: &Place) -> Result<Vec<(&'static str, f64)>> {
        let mut figures = vec![("run", timed(&mut self.run(place)?)?)];
        if self.floor {
            return Ok(figures);
        }
        let pid_file = place.directory.path().join("pid");
        let mut create = self.command(place, &["create", "--bundle"]);
        create.arg(place.bundle()).arg("--pid-file").arg(&pid_file).arg("c");
        let create = timed(&mut create)?;
        let pid: i32 = fs::read_to_string(&pid_file)?.trim().parse()?;
        let start = timed(&mut self.command(place, &["start", "c"]))?;
        // `true` ends by itself, and only a stopped container can be deleted.
        let ended = waitpid(Pid::from_raw(pid), None)?;
        ensure!(matches!(ended, WaitStatus::Exited(_, 0)), "the container ended as {ended:?}");
        let delete = timed(&mut self.command(place, &["delete", "c"]))?;
        figures.extend([("create", create), ("start", start), ("delete", delete), ("cycle", create + start + delete)]);
        Ok(figures)
    }

    fn command(&self, place: &Place, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.options).arg("--root").arg(place.directory.path().join(&self.name)).args(arguments);
        command
    }

    fn run(&self, place: &Place) -> Result<Command> {
        if self.floor {
            let mut command = Command::new(&self.program);
            command.arg(place.rootfs()?).arg(place.cgroup.join("c")).arg("/bin/true");
            return Ok(command);
        }
        let mut command = self.command(place, &["run", "--bundle"]);
        command.arg(place.bundle()).arg("c");
        Ok(command)
    }

    fn version(&self) -> Result<String> {
        if self.floor {
            return Ok("bare system calls".to_string());
        }
        let said = Command::new(&self.program).arg("--version").output()?;
        Ok(String::from_utf8_lossy(&said.stdout).lines().next().unwrap_or_default().to_string())
    }

    /// The largest resident set of `run`'s processes, of seven runs the median.
    fn peak_rss_kib(&self, place: &Place) -> Result<u64> {
        let run = self.run(place)?;
        let mut peaks = Vec::new();
        for _ in 0..7 {
            let said = Command::new(std::env::current_exe()?)
                .arg("peak-rss")
                .arg(run.get_program())
                .args(run.get_args())
                .output()?;
            ensure!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
            peaks.push(String::from_utf8_lossy(&said.stdout).trim().parse()?);
        }
        peaks.sort_unstable();
        Ok(peaks[peaks.len() / 2])
    }

    /// How many system calls `run` makes with all its processes, the container's included; none without strace(1).
    fn system_calls(&self, place: &Place) -> Result<Option<u64>> {
        let run = self.run(place)?;
        let table = place.directory.path().join("strace");
        let mut strace = Command::new("strace");
        strace.args(["-f", "-c", "-U", "calls,name", "-o"]).arg(&table).arg(run.get_program()).args(run.get_args());
        match strace.stdin(Stdio::null()).output() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            said => ensure!(said?.status.success(), "strace failed"),
        }
        let table = fs::read_to_string(table)?;
        let total = table.lines().rev().find_map(|line| line.trim().strip_suffix("total")).context("strace's total")?;
        Ok(Some(total.trim().parse()?))
    }
}

/// Milliseconds from before the program is started to after it has ended, with status 0.
fn timed(command: &mut Command) -> Result<f64> {
    // A file and no pipe for the words: a created container keeps them open, and a pipe's end would never come.
    let words = tempfile::tempfile()?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(words.try_clone()?);
    let start = Instant::now();
    let status = command.spawn()?.wait()?;
    let took = start.elapsed().as_secs_f64() * 1000.0;
    if !status.success() {
        let mut said = String::new();
        std::io::Seek::rewind(&mut &words)?;
        (&words).read_to_string(&mut said)?;
        bail!("{command:?}: {status}: {said}");
    }
    Ok(took)
}

fn peak_rss(command: &[std::ffi::OsString]) -> Result<()> {
    let [program, arguments @ ..] = command else { bail!("no command") };
    timed(Command::new(program).args(arguments))?;
    println!("{}", getrusage(UsageWho::RUSAGE_CHILDREN)?.max_rss());
    Ok(())
}

fn summary(mut times: Vec<f64>) -> Value {
    times.sort_by(f64::total_cmp);
    let at = |part: f64| (times[((times.len() - 1) as f64 * part).round() as usize] * 1000.0).round() / 1000.0;
    json!({ "median": at(0.5), "min": at(0.0), "p90": at(0.9) })
}

fn machine() -> Result<Value> {
    Ok(json!({
        "kernel": fs::read_to_string("/proc/sys/kernel/osrelease")?.trim(),
        "cpus": std::thread::available_parallelism()?.get(),
        "in_the_test_vm": Path::new("/run/glassbox-vm").exists(),
    }))
}

fn print_table(report: &Value) {
    let runtimes = report["runtimes"].as_array().expect("written by measure");
    println!("Linux {}, {} runs, medians in ms\n", report["machine"]["kernel"].as_str().unwrap_or("?"), report["runs"]);
    println!(
        "{:<14}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}{:>10}{:>8}",
        "", "run", "to crun", "create", "start", "delete", "cycle", "peak KiB", "calls"
    );
    let median = |runtime: &Value, case: &str| runtime["milliseconds"][case]["median"].as_f64();
    let crun = runtimes
        .iter()
        .find(|runtime| runtime["runtime"].as_str().is_some_and(|name| name.starts_with("crun")))
        .and_then(|runtime| median(runtime, "run"));
    for runtime in runtimes {
        let ratio = median(runtime, "run").zip(crun).map(|(own, crun)| own / crun);
        let mut cells: Vec<_> = CASES.iter().map(|case| cell(median(runtime, case))).collect();
        cells.insert(1, cell(ratio));
        let cells: String = cells.iter().map(|cell| format!("{cell:>9}")).collect();
        let calls = runtime["system_calls"].as_u64().map_or("–".to_string(), |calls| calls.to_string());
        println!(
            "{:<14}{cells}{:>10}{calls:>8}",
            runtime["runtime"].as_str().unwrap_or("?"),
            runtime["peak_rss_kib"].to_string()
        );
    }
}

fn cell(figure: Option<f64>) -> String {
    figure.map_or("–".to_string(), |figure| format!("{figure:.2}"))
}
