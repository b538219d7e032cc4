//! `hog MIB`: takes memory page by page. What counts against a cgroup is not what is asked for but what is touched.

use std::hint::black_box;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use crate::commands::output;

/// Flags of `hog`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How much to touch, in MiB
    #[arg(value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=1_048_576))]
    mib: u64,
    /// Keep it until killed [default: for a second, so that it can be seen]
    #[arg(long)]
    hold: bool,
}

const MIB: usize = 1 << 20;

/// Pages are at least this big on every architecture that Linux runs on.
const PAGE: usize = 4096;

/// How often progress is told, in MiB.
const TELL: u64 = 16;

/// Runs the program.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut taken = Vec::new();
    for mib in 1..=args.mib {
        let mut piece = vec![0u8; MIB];
        piece.iter_mut().step_by(PAGE).for_each(|byte| *byte = 1);
        taken.push(black_box(piece));
        if mib % TELL == 0 || mib == args.mib {
            output::print(&format!("hog: {mib} MiB touched\n"))?;
        }
    }
    if args.hold {
        hold();
    }
    thread::sleep(Duration::from_secs(1));
    Ok(ExitCode::SUCCESS)
}

/// Sleeps until killed. Nobody unparks this thread; a spurious wake-up is slept over.
fn hold() -> ! {
    loop {
        thread::park();
    }
}
