//! What a start needs beside time: memory, page faults, system calls. These are much the same on every machine.

use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::resource::{UsageWho, getrusage};
use serde_json::{Value, json};

use super::peer::{Peer, timed};
use super::place::{Bundle, Place};
use super::sample::median;

/// The first argument that makes this program measure one command for itself.
pub const OWN_WORD: &str = "cost-of";
/// Runs of which the median counts.
const RUNS: usize = 7;

/// For each runtime and bundle: KiB of the largest resident set of all processes of `run`, their page faults, milliseconds on
/// a CPU, system calls.
pub fn measure(place: &Place, peers: &[Peer]) -> Result<Value> {
    let mut all = serde_json::Map::new();
    for peer in peers {
        let mut own = serde_json::Map::new();
        for bundle in
            [Bundle::Plain, Bundle::Seccomp].into_iter().filter(|bundle| !peer.floor || *bundle == Bundle::Plain)
        {
            let figures = of(place, peer, bundle).with_context(|| peer.name.clone())?;
            own.insert(bundle.name().to_string(), figures);
        }
        all.insert(peer.name.clone(), own.into());
    }
    Ok(all.into())
}

fn of(place: &Place, peer: &Peer, bundle: Bundle) -> Result<Value> {
    let run = peer.run(place, bundle);
    let mut figures = [const { Vec::new() }; 3];
    for _ in 0..RUNS {
        let own = std::env::current_exe()?;
        let said = Command::new(own).arg(OWN_WORD).arg(run.get_program()).args(run.get_args()).output()?;
        ensure!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        let text = String::from_utf8(said.stdout)?;
        for (list, word) in figures.iter_mut().zip(text.split_whitespace()) {
            list.push(word.parse::<f64>()?);
        }
    }
    let [memory, faults, cpu] = figures.map(|list| median(&list));
    Ok(json!({
        "peak_rss_kib": memory, "page_faults": faults, "cpu_ms": cpu, "system_calls": system_calls(place, &run)?,
    }))
}

/// Runs the command and prints its peak memory in KiB, its page faults, and its milliseconds on a CPU.
pub fn of_one_command(command: &[OsString]) -> Result<()> {
    let [program, arguments @ ..] = command else { bail!("no command") };
    timed(Command::new(program).args(arguments))?;
    let used = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let time = used.user_time() + used.system_time();
    let milliseconds = time.tv_sec() as f64 * 1000.0 + time.tv_usec() as f64 / 1000.0;
    println!("{} {} {milliseconds}", used.max_rss(), used.minor_page_faults() + used.major_page_faults());
    Ok(())
}

/// How many system calls `run` makes with all its processes, the container's included; none without strace(1).
fn system_calls(place: &Place, run: &Command) -> Result<Option<u64>> {
    let table = place.path("strace");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-c", "-U", "calls,name", "-o"]).arg(&table).arg(run.get_program()).args(run.get_args());
    match strace.stdin(Stdio::null()).output() {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        said => ensure!(said?.status.success(), "strace failed"),
    }
    let table = fs::read_to_string(table)?;
    let total = table.lines().rev().find_map(|line| line.trim().strip_suffix("total")).context("strace's total")?;
    Ok(Some(total.trim().parse()?))
}
