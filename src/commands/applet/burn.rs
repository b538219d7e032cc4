//! `burn [SECONDS]`: keeps one CPU busy, and tells how much of the time it was let.

use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::commands::output;
use crate::error::Failure;

/// Flags of `burn`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// For how long; without it, until killed
    #[arg(value_name = "SECONDS", value_parser = seconds)]
    seconds: Option<Duration>,
    /// On this CPU alone, so that two of them compete
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(..1024))]
    cpu: Option<u16>,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "a number of seconds, such as 2 or 0.5".to_string())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

/// Runs the program.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if let Some(cpu) = args.cpu {
        let mut set = CpuSet::new();
        set.set(usize::from(cpu));
        sched_setaffinity(None, &set).map_err(|error| {
            Failure::new(format!("sched_setaffinity(0, {{{cpu}}})"))
                .caused_by(error)
                .hint("Name a CPU that this process may use: grep Cpus_allowed_list /proc/self/status")
        })?;
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
