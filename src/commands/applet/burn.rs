//! `burn [SECONDS]`: keeps one CPU busy, and tells how much of the time it was let.

use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::commands::output;
use crate::error::Failure;

/// Flags of `burn`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// For how long; without it, until killed
    #[arg(value_name = "SECONDS", value_parser = seconds)]
    seconds: Option<Duration>,
    /// Only on the first CPU that it may use, so that two of them compete
    #[arg(long)]
    pin: bool,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "a number of seconds, such as 2 or 0.5".to_string())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

/// Keeps this process to the first CPU that it may use (sched_setaffinity(2)).
fn pin() -> anyhow::Result<()> {
    let allowed = sched_getaffinity(None)?;
    let first = (0..CpuSet::MAX_CPU).find(|cpu| allowed.is_set(*cpu)).expect("a running process may use a CPU");
    let mut set = CpuSet::new();
    set.set(first);
    sched_setaffinity(None, &set)
        .map_err(|error| Failure::new(format!("sched_setaffinity(0, {{{first}}})")).caused_by(error))?;
    Ok(())
}

/// Runs the program.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if args.pin {
        pin()?;
    }
    let started = Instant::now();
    let mut number = 0u64;
    while args.seconds.is_none_or(|seconds| started.elapsed() < seconds) {
        for _ in 0..10_000 {
            number = black_box(number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        }
    }
    let used = getrusage(UsageWho::RUSAGE_SELF)?;
    let cpu = [used.user_time(), used.system_time()].map(|time| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6);
    let (wall, cpu) = (started.elapsed().as_secs_f64(), cpu[0] + cpu[1]);
    output::print(&format!("burn: {wall:.1} s passed, {cpu:.1} s of them on a CPU\n"))?;
    Ok(ExitCode::SUCCESS)
}
