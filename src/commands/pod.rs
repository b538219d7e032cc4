//! `glassbox pod`: runs Pods on this node as a kubelet would, and looks after them.

mod delete;
mod describe;
mod evict;
mod exec;
mod logs;
mod ps;
mod resize;
mod run;
mod stats;

use std::path::PathBuf;
use std::process::ExitCode;

use super::{output, qos};
use crate::cli::Global;
use crate::error::Failure;
use crate::kube::Problem;
use crate::kube::cgroup_path::Cri;
use crate::kube::cpu::Formula;
use crate::kube::kubelet_config::KubeletConfig;
use crate::kube::levels::Setting;
use crate::kube::node::Node;
use crate::pod::error::PodError;
use crate::pod::object;
use crate::pod::record::{Home, Record, pods_directory};
use crate::pod::supervisor;

/// Flags of `glassbox pod`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  sudo glassbox pod run --image busybox=web/rootfs pod.yaml
  sudo glassbox pod ps
  sudo glassbox pod logs web
  sudo glassbox pod delete web

Exit codes: 0 when it worked, 1 when it did not or the pod is invalid, 2 for a wrong command line.")]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Run the pods of a manifest
    Run(run::Args),
    /// List the pods
    Ps(ps::Args),
    /// Print what a container has written
    Logs(logs::Args),
    /// Tell all about a pod; --format json is what kubectl get pod -o json prints
    Describe(describe::Args),
    /// Run a program in a container of a pod
    Exec(exec::Args),
    /// Give the pods of a manifest its ConfigMaps and Secrets; volumes change at once
    Apply(run::ApplyArgs),
    /// Show what the containers of pods use
    Stats(stats::Args),
    /// Change requests and limits of a container that runs
    Resize(resize::Args),
    /// Tell which pods would be evicted first, and why; or evict them when the node runs short
    Evict(evict::Args),
    /// End pods, with grace, and remove all that they had
    Delete(delete::Args),
    /// Keep a pod
    #[command(hide = true)]
    Supervise {
        /// The pod's directory
        directory: PathBuf,
    },
}

/// A pod by its name.
#[derive(Debug, clap::Args)]
pub struct Named {
    /// The pod's namespace
    #[arg(long, short, value_name = "NAMESPACE", default_value = "default")]
    pub namespace: String,
    /// The pod's name
    #[arg(value_name = "POD")]
    pub name: String,
}

/// Runs the verb.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    match &args.verb {
        Verb::Run(args) => run::run(args, global),
        Verb::Ps(args) => ps::run(args, global),
        Verb::Logs(args) => logs::run(args, global),
        Verb::Describe(args) => describe::run(args, global),
        Verb::Exec(args) => exec::run(args, global),
        Verb::Apply(args) => run::apply(args, global),
        Verb::Stats(args) => stats::run(args, global),
        Verb::Resize(args) => resize::run(args, global),
        Verb::Evict(args) => evict::run(args, global),
        Verb::Delete(args) => delete::run(args, global),
        Verb::Supervise { directory } => supervise(directory),
    }
}

/// Says on stdout, which `pod run` reads, how the start went; from then on nobody listens.
fn supervise(directory: &std::path::Path) -> anyhow::Result<ExitCode> {
    // Its containers' first processes are ours until they execute their own program.
    crate::runtime::seal().map_err(super::container::told)?;
    let _ = rustix::process::setsid();
    let home = Home::at(directory.to_path_buf());
    let ready = |result: Result<(), PodError>| {
        let line = match result {
            Ok(()) => serde_json::json!({"ok": true}),
            Err(error) => serde_json::json!({"error": error.to_string(), "hint": error.hint()}),
        };
        let _ = output::print(&format!("{line}\n"));
        if let Ok(null) = std::fs::File::options().read(true).write(true).open("/dev/null") {
            let _ = rustix::stdio::dup2_stdout(&null);
        }
    };
    supervisor::run(&home, ready).map_err(told)?;
    Ok(ExitCode::SUCCESS)
}

/// The directory of the pods whose containers are in the store that the global flags name.
fn pods(global: &Global) -> PathBuf {
    pods_directory(&root(global))
}

/// The directory of the store itself.
fn root(global: &Global) -> PathBuf {
    let root = global.root.clone().unwrap_or_else(crate::runtime::Store::default_root);
    std::path::absolute(&root).unwrap_or(root)
}

/// The setting that a pod's values were computed under, read again.
pub(super) fn setting(record: &Record) -> anyhow::Result<Setting> {
    let listed = |what: &str, problems: Vec<Problem>| {
        let words: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Failure::new(format!("the {what} that the pod was run with: {}", words.join("; ")))
    };
    let node = match &record.node {
        Some(text) => Node::decode(text).map_err(|problems| listed("Node", problems))?,
        None => qos::node(None)?,
    };
    let config = match &record.kubelet_config {
        Some(text) => KubeletConfig::decode(text).map_err(|problems| listed("KubeletConfiguration", problems))?,
        None => KubeletConfig::default(),
    };
    Ok(Setting { node, config, driver: record.driver, cri: Cri::Containerd, formula: Formula::New })
}

/// The container that is asked for: the one of this name, or the first app container.
fn container(home: &Home, record: &Record, wanted: Option<&str>) -> anyhow::Result<String> {
    let spec = object::spec(&record.pod);
    let all = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let names: Vec<&str> = all.map(|one| one.name.as_str()).collect();
    match wanted {
        Some(name) if names.contains(&name) => Ok(name.to_string()),
        Some(name) => Err(Failure::new(format!("the pod {} has no container {name}", home.pod_name()))
            .hint(format!("It has: {}.", names.join(", ")))
            .into()),
        None => Ok(names.first().map(ToString::to_string).unwrap_or_default()),
    }
}

/// What was asked for of a pod.
fn record(home: &Home) -> anyhow::Result<Record> {
    home.record().map_err(told)?.ok_or_else(|| Failure::new("the pod is not made yet").into())
}

fn find(named: &Named, global: &Global) -> anyhow::Result<Home> {
    Home::find(&pods(global), &named.namespace, &named.name).map_err(told)
}

/// An error of a pod with its hint.
fn told(error: PodError) -> anyhow::Error {
    let hint = error.hint();
    let failure = Failure::new(error.to_string());
    match hint {
        Some(hint) => failure.hint(hint).into(),
        None => failure.into(),
    }
}
