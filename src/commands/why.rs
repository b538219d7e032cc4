//! `glassbox why`: where a number in a cgroup file or in config.json comes from, and whether the kernel holds it.
//!
//! `subject.rs` finds out what a path means, `trace.rs` puts what the config, the pod and the kernel say side by side;
//! `text.rs` and `json.rs` print it.

mod json;
mod subject;
mod text;
mod trace;

use std::path::PathBuf;
use std::process::ExitCode;

use super::output::{self, Screen};
use super::qos::{Format, FormulaName};
use crate::cli::Global;

use trace::Verdict;

/// Flags of `glassbox why`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  glassbox why /sys/fs/cgroup/glassbox-web/memory.max
  glassbox why web/config.json linux.resources.cpu.shares
  kubectl get pod web -o yaml >pod.yaml
  glassbox why --pod pod.yaml /sys/fs/cgroup/kubepods/burstable/pod0f1e-2d/c0ffee

Exit codes: 0 when everything agrees, 1 for a failure, 2 for a wrong command line, 3 when something does not agree.")]
pub struct Args {
    /// A file or directory of a cgroup of a container or a pod; or a bundle, or its config.json
    #[arg(value_name = "PATH")]
    pub path: PathBuf,
    /// Only this field of config.json, and what is below it
    #[arg(value_name = "FIELD")]
    pub field: Option<String>,
    /// The manifest of the pod that the cgroup is of, best as `kubectl get pod -o yaml` prints it
    #[arg(long, value_name = "POD.yaml")]
    pub pod: Option<PathBuf>,
    /// Take the pod of this name where the manifest has several
    #[arg(long, value_name = "NAME")]
    pub pod_name: Option<String>,
    /// The container in the pod [default: by the id in the manifest's status, by its name, or the only one]
    #[arg(long, value_name = "NAME")]
    pub container: Option<String>,
    /// A v1 Node whose capacity counts [default: this machine's]
    #[arg(long, value_name = "NODE.yaml")]
    pub node: Option<PathBuf>,
    /// A KubeletConfiguration (kubelet.config.k8s.io/v1beta1) [default: kubelet's own defaults]
    #[arg(long, value_name = "FILE")]
    pub kubelet_config: Option<PathBuf>,
    /// The runtime's way from cpu shares to cpu.weight: new is runc 1.3.2, crun 1.23 and later
    #[arg(long, value_name = "FORMULA", default_value = "new")]
    pub runtime_formula: FormulaName,
    /// How to print
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: Format,
}

/// What the exit code is when something does not agree.
const DIFFERS: u8 = 3;

/// Tells where the numbers come from.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    let subject = subject::find(args, global)?;
    let answer = trace::answer(&subject)?;
    match args.format {
        Format::Json => output::print(&json::printed(&answer))?,
        Format::Text => output::print(&text::page(&answer, Screen::of_stdout()))?,
    }
    let differs = answer.rows.iter().any(|row| row.verdict == Verdict::Differs);
    Ok(if differs { DIFFERS.into() } else { ExitCode::SUCCESS })
}
