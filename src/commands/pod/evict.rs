//! `glassbox pod evict`: who would go first, and why; and the loop that evicts.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use serde_json::{Value, json};

use super::{pods, told};
use crate::cgroup::mount_point;
use crate::cli::Global;
use crate::commands::output;
use crate::commands::qos::{self, Format};
use crate::error::Failure;
use crate::kube::eviction::{self, Crossed, Monitor, Place, Resource, Signal, rank};
use crate::pod::pressure::{self, Running};

/// Flags of `glassbox pod evict`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sudo glassbox pod evict --dry-run --signal memory.available
  sudo glassbox pod evict --watch --kubelet-config kubelet.yaml

--watch does what a kubelet's eviction manager does, until it is interrupted: every ten seconds it measures the node, and where a \
threshold of the KubeletConfiguration is crossed (a soft one for its grace period) it evicts the pod that ranks first. Pods that \
hold more on disk than their own limits allow go first of all.")]
pub struct Args {
    /// Say who would be evicted in which order, and do nothing
    #[arg(long, required_unless_present = "watch", conflicts_with = "watch")]
    pub dry_run: bool,
    /// What the node is short of
    #[arg(long, value_name = "SIGNAL", default_value = "memory.available", conflicts_with = "watch")]
    pub signal: SignalName,
    /// How to print
    #[arg(long, value_name = "FORMAT", default_value = "text", conflicts_with = "watch")]
    pub format: Format,
    /// Measure the node again and again, and evict pods when it runs short
    #[arg(long)]
    pub watch: bool,
    /// A KubeletConfiguration with the thresholds [default: kubelet's own defaults]
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    pub kubelet_config: Option<std::path::PathBuf>,
    /// Milliseconds between two looks
    #[arg(long, value_name = "MS", default_value_t = 10_000, conflicts_with = "dry_run")]
    #[arg(value_parser = clap::value_parser!(u64).range(10..=600_000))]
    pub interval: u64,
}

/// The values of `--signal`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SignalName {
    /// The node's memory
    #[value(name = "memory.available")]
    Memory,
    /// The memory of all pods together
    #[value(name = "allocatableMemory.available")]
    AllocatableMemory,
    /// The file system of volumes and logs
    #[value(name = "nodefs.available")]
    Nodefs,
    /// Its inodes
    #[value(name = "nodefs.inodesFree")]
    NodefsInodes,
    /// Process ids
    #[value(name = "pid.available")]
    Pids,
}

impl From<SignalName> for Signal {
    fn from(name: SignalName) -> Signal {
        match name {
            SignalName::Memory => Signal::Memory,
            SignalName::AllocatableMemory => Signal::AllocatableMemory,
            SignalName::Nodefs => Signal::Nodefs,
            SignalName::NodefsInodes => Signal::NodefsInodes,
            SignalName::Pids => Signal::Pids,
        }
    }
}

/// Where images lie, for `imagefs`.
const IMAGES: &str = "/var/lib/glassbox";

/// Ranks the pods that run, or evicts them.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    if args.watch {
        return watch(args, &pods(global));
    }
    let running = pressure::running(&pods(global)).map_err(told)?;
    let places = ranked(&running, args.signal.into());
    match args.format {
        Format::Json => output::print(&format!("{:#}\n", json(&places, args.signal.into())))?,
        Format::Text => output::print(&text(&places))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn ranked(running: &[Running], signal: Signal) -> Vec<Place> {
    let candidates: Vec<_> = running.iter().map(|one| one.candidate.clone()).collect();
    rank(&candidates, signal)
}

fn text(places: &[Place]) -> String {
    if places.is_empty() {
        return "No pod runs.\n".to_string();
    }
    let mut text = String::new();
    for (index, place) in places.iter().enumerate() {
        text.push_str(&format!("{}. {}\n", index + 1, place.candidate.name));
        place.because.iter().for_each(|reason| text.push_str(&format!("   - {reason}\n")));
    }
    text
}

fn json(places: &[Place], signal: Signal) -> Value {
    let one = |place: &Place| {
        let candidate = &place.candidate;
        let (used, request) = candidate.use_of(signal.resource());
        json!({"pod": candidate.name, "evicted": !candidate.critical, "because": place.because,
            "priority": candidate.priority,
            "usage": used.and_then(|amount| i64::try_from(amount).ok()),
            "request": i64::try_from(request).unwrap_or(i64::MAX)})
    };
    json!({"signal": signal.name(), "ranking": places.iter().map(one).collect::<Vec<_>>()})
}

/// One pod a look at most, as the kubelet: the next measurement shows whether it was enough.
fn watch(args: &Args, pods: &Path) -> anyhow::Result<ExitCode> {
    let config = qos::kubelet_config(args.kubelet_config.as_deref())?;
    let hierarchy = mount_point().ok_or_else(|| {
        Failure::new("no cgroup v2 hierarchy is mounted").hint("Run `glassbox doctor` to see how to get one.")
    })?;
    let mut monitor = Monitor::new(config.eviction);
    let begun = Instant::now();
    let mut last = None;
    loop {
        let running = pressure::running(pods).map_err(told)?;
        let crossed = monitor.look(&pressure::observe(pods, &hierarchy, Path::new(IMAGES), &running), begun.elapsed());
        let signal = crossed.as_ref().map(|crossed| crossed.observation.signal);
        if let Some(crossed) = crossed.as_ref().filter(|_| last != signal) {
            output::print(&format!("{}\n", sentence(crossed)))?;
        }
        last = signal;
        if !evict_for_own_storage(&running)?
            && let Some(crossed) = &crossed
        {
            evict_first(&running, &monitor, crossed)?;
        }
        std::thread::sleep(Duration::from_millis(args.interval));
    }
}

fn sentence(crossed: &Crossed) -> String {
    let observation = &crossed.observation;
    let kind = match crossed.soft {
        Some(held) => format!("soft, crossed for {} s", held.as_secs()),
        None => "hard".to_string(),
    };
    let unit = match observation.signal.resource() {
        Resource::Memory | Resource::Storage => " bytes",
        Resource::Inodes | Resource::Pids => "",
    };
    let (name, left, least) = (observation.signal.name(), observation.available, crossed.threshold);
    format!("{name}: {left}{unit} are left, and the threshold is {least} ({kind})")
}

fn evict_for_own_storage(running: &[Running]) -> anyhow::Result<bool> {
    let mut any = false;
    for one in running.iter().filter(|one| !one.candidate.critical) {
        if let Some(message) = pressure::own_storage(one) {
            any |= evict(one, 1, &message)?;
        }
    }
    Ok(any)
}

fn evict_first(running: &[Running], monitor: &Monitor, crossed: &Crossed) -> anyhow::Result<()> {
    let signal = crossed.observation.signal;
    for place in ranked(running, signal).iter().filter(|place| !place.candidate.critical) {
        let Some(one) = running.iter().find(|one| one.candidate.name == place.candidate.name) else { continue };
        let own = one.record.pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds);
        let message = eviction::message(crossed, &pressure::over(one, signal.resource()));
        if evict(one, monitor.grace(crossed, own), &message)? {
            return Ok(());
        }
    }
    Ok(())
}

fn evict(one: &Running, grace: i64, message: &str) -> anyhow::Result<bool> {
    let done = pressure::evict(one, grace, message).map_err(told)?;
    if done {
        output::print(&format!("pod {} evicted: {}\n", one.candidate.name, message.trim_end()))?;
    }
    Ok(done)
}
