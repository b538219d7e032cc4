//! `glassbox pod`: runs Pods on this node as a kubelet would, and looks after them.

mod delete;
mod describe;
mod evict;
mod exec;
mod logs;
mod ps;
mod run;

use std::path::PathBuf;
use std::process::ExitCode;

use super::output;
use crate::cli::Global;
use crate::error::Failure;
use crate::pod::error::PodError;
use crate::pod::record::{Home, pods_directory};
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
    /// Tell which pods would be evicted first, and why
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
