//! Measures OCI runtimes side by side, in one run: how long they take, and what they need.
//!
//! Times differ from machine to machine and from moment to moment. So runs are interleaved, in an order that rotates; medians
//! are compared and their spread is told; and beside times stands what another machine will find too: system calls, page
//! faults, memory.
//!
//! Needs root and cgroup v2; `tests/bench/run` provides both.

#![allow(clippy::print_stdout, clippy::print_stderr)]

mod cost;
mod least;
mod many;
mod peer;
mod picture;
mod place;
mod pods;
mod sample;
mod start;
mod table;
mod unpack;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use serde_json::{Value, json};

use peer::Peer;
use place::Place;

/// Measure OCI runtimes side by side
#[derive(Parser)]
struct Options {
    /// Measured runs of each case and runtime
    #[arg(long, default_value_t = 100)]
    runs: usize,
    /// Containers that are alive at once, at most
    #[arg(long, default_value_t = 1000)]
    most: usize,
    /// Pods of which one is asked for
    #[arg(long, default_value_t = 1000)]
    pods: usize,
    /// Size of the layer that is unpacked, in MB
    #[arg(long, default_value_t = 500)]
    layer: u64,
    /// Measure this alone; may be repeated
    #[arg(long, value_name = "PART")]
    only: Vec<Part>,
    /// A busybox rootfs (rootfs-scripts/busybox-rootfs)
    #[arg(long)]
    rootfs: PathBuf,
    /// The floor program of tests/bench, measured beside the runtimes
    #[arg(long)]
    floor: Option<PathBuf>,
    /// Also write all figures to this file, as JSON
    #[arg(long)]
    json: Option<PathBuf>,
    /// Also draw them, as SVG
    #[arg(long)]
    svg: Option<PathBuf>,
    /// The runtimes, with options before their verb if need be; ratios are taken to the first whose name begins with crun
    #[arg(value_name = "NAME=PROGRAM [OPTIONS]", required = true)]
    peers: Vec<String>,
}

/// What can be measured by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// run, create, start, delete, exec
    Start,
    /// Memory, page faults, system calls of a start
    Cost,
    /// The smallest memory.max that starts a container
    Least,
    /// One more container beside many, list, state
    Many,
    /// `glassbox qos` on many pods
    Pods,
    /// `glassbox image unpack` beside tar
    Unpack,
}

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    // Our second trade, in a process of its own: getrusage(2) knows only the sum and the largest of all children there were.
    let done = match arguments.get(1) {
        Some(word) if word == cost::OWN_WORD => cost::of_one_command(&arguments[2..]),
        _ => measure(&Options::parse()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("measure: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(options: &Options) -> Result<()> {
    let place = Place::make(&options.rootfs)?;
    let mut peers = Vec::new();
    for named in &options.peers {
        peers.push(Peer::parse(named)?);
    }
    peers.extend(options.floor.clone().map(Peer::floor));
    let ours = peers.iter().find(|peer| peer.name == "glassbox");
    let wanted = |part| options.only.is_empty() || options.only.contains(&part);
    let say = |part: &str| eprintln!("measure: {part}");

    let load_before = load()?;
    let mut report = json!({
        "machine": machine()?,
        "peers": peers.iter().map(|peer| Ok(json!({"name": peer.name, "version": peer.version()?}))).collect::<Result<Vec<_>>>()?,
        "baseline": peers.iter().find(|peer| peer.name.starts_with("crun")).map(|peer| &peer.name),
    });
    if wanted(Part::Start) {
        say("starting and ending containers");
        report["start"] = start::measure(&place, &peers, options.runs)?;
    }
    if wanted(Part::Cost) {
        say("memory, page faults, system calls");
        report["cost"] = cost::measure(&place, &peers)?;
    }
    if wanted(Part::Least) && place.has_controllers(&["memory"])? {
        say("the least memory");
        report["least"] = least::measure(&place, &peers)?;
    }
    if wanted(Part::Many) {
        say("many containers at once");
        report["many"] = many::measure(&place, &peers, options.most)?;
    }
    if let Some(ours) = ours.filter(|_| wanted(Part::Pods)) {
        say("many pods");
        report["pods"] = pods::measure(&place, ours, options.pods)?;
    }
    if let Some(ours) = ours.filter(|_| wanted(Part::Unpack)) {
        say("unpacking a layer");
        report["unpack"] = unpack::measure(&place, ours, options.layer)?;
    }
    report["machine"]["load"] = json!({ "before": load_before, "after": load()? });
    print!("{}", table::of(&report));
    if let Some(path) = &options.json {
        fs::write(path, format!("{report:#}\n")).with_context(|| path.display().to_string())?;
    }
    if let Some(path) = &options.svg {
        picture::draw(&report, path).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

fn machine() -> Result<Value> {
    let cpu = fs::read_to_string("/proc/cpuinfo")?;
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    Ok(json!({
        "kernel": fs::read_to_string("/proc/sys/kernel/osrelease")?.trim(),
        "cpus": std::thread::available_parallelism()?.get(),
        "cpu": model,
        "in_the_test_vm": Path::new("/run/glassbox-vm").exists(),
    }))
}

/// Processes that want a CPU, averaged over a minute (proc_loadavg(5)).
fn load() -> Result<f64> {
    let text = fs::read_to_string("/proc/loadavg")?;
    Ok(text.split(' ').next().context("/proc/loadavg is empty")?.parse()?)
}
