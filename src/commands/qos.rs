//! `glassbox qos`: which cgroup files a pod's requests and limits become. Reads the files and the machine, then prints what
//! [`crate::kube`] computes; with `--apply`, makes the cgroups.

mod apply;
mod compare;
mod json;
mod machine;
pub(super) mod text;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::ValueEnum;

use crate::cli::Global;
use crate::error::Failure;
use crate::kube::cgroup_path::{Cri, Driver};
use crate::kube::cpu::Formula;
use crate::kube::kubelet_config::KubeletConfig;
use crate::kube::levels::{Ids, Setting};
use crate::kube::node::Node;
use crate::kube::{Placed, Problem, place};

use super::output;

/// Flags of `glassbox qos`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  glassbox qos pod.yaml
  kubectl get pod web -o yaml | glassbox qos --node node.yaml -
  glassbox qos guaranteed.yaml burstable.yaml besteffort.yaml
  sudo glassbox qos --apply /sys/fs/cgroup/lab pod.yaml

What decides cgroups is checked as the API server checks it, and fields that Kubernetes does not know are named.

Exit codes: 0 for a valid pod, 1 for an invalid one (--format json lists what is wrong) or a failure, 2 for a wrong command line.")]
pub struct Args {
    /// Pod manifest, YAML or JSON; `-` reads standard input. A Deployment, StatefulSet, DaemonSet, ReplicaSet, Job or
    /// CronJob is read for its pod template. Two or three manifests are compared side by side
    #[arg(value_name = "POD.yaml", required = true, num_args = 1..=3)]
    pub pods: Vec<PathBuf>,
    /// Take the pod of this name where the manifest has several
    #[arg(long = "pod", value_name = "NAME")]
    pub pod_name: Option<String>,
    /// A v1 Node whose capacity counts [default: this machine's]
    #[arg(long, value_name = "NODE.yaml")]
    pub node: Option<PathBuf>,
    /// A KubeletConfiguration (kubelet.config.k8s.io/v1beta1) [default: kubelet's own defaults]
    #[arg(long, value_name = "FILE")]
    pub kubelet_config: Option<PathBuf>,
    /// Who makes the directories [default: the KubeletConfiguration's, else cgroupfs]
    #[arg(long, value_name = "DRIVER")]
    pub cgroup_driver: Option<DriverName>,
    /// The container runtime, which names the containers' directories
    #[arg(long, value_name = "CRI", default_value = "containerd")]
    pub cri: CriName,
    /// The runtime's way from cpu shares to cpu.weight: new is runc 1.3.2, crun 1.23 and later
    #[arg(long, value_name = "FORMULA", default_value = "new")]
    pub runtime_formula: FormulaName,
    /// Show cgroup v1's files and values beside
    #[arg(long)]
    pub v1: bool,
    /// How to print
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: Format,
    /// Make the tree in this cgroup, an existing directory of a cgroup2 mount, and write the values
    #[arg(long, value_name = "CGROUP")]
    pub apply: Option<PathBuf>,
}

/// The values of `--cgroup-driver`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DriverName {
    /// Plain directories
    Cgroupfs,
    /// Slices and scopes
    Systemd,
}

/// The values of `--cri`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CriName {
    /// Named by the id alone; under systemd cri-containerd-ID.scope
    Containerd,
    /// Named crio-ID; under systemd crio-ID.scope
    Crio,
}

/// The values of `--runtime-formula`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FormulaName {
    /// Linear
    Old,
    /// 1024 shares are weight 100
    New,
}

/// The values of `--format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// For machines
    Json,
}

/// What is printed about one valid pod.
struct Answer {
    placed: Placed,
    /// The directories that `--apply` made or found, one a level; empty without it.
    directories: Vec<PathBuf>,
}

/// Runs the command.
pub fn run(args: &Args, _global: &Global) -> anyhow::Result<ExitCode> {
    let setting = setting(args)?;
    match args.pods.as_slice() {
        [pod] => one(args, pod, &setting),
        pods => several(args, pods, &setting),
    }
}

fn one(args: &Args, path: &Path, setting: &Setting) -> anyhow::Result<ExitCode> {
    let ids = if args.apply.is_some() { Ids::Names } else { Ids::Unknown };
    let placed = match place(&read(path)?, args.pod_name.as_deref(), setting, ids) {
        Ok(placed) => placed,
        Err(problems) => {
            match args.format {
                Format::Json => output::print(&json::printed(json::problems(&problems)))?,
                Format::Text => complain(path, &problems)?,
            }
            return Ok(ExitCode::FAILURE);
        }
    };
    let mut answer = Answer { placed, directories: Vec::new() };
    if let Some(parent) = &args.apply {
        let (directories, notes) = apply::apply(parent, &answer.placed.levels, &setting.config)?;
        answer.directories = directories;
        answer.placed.warnings.extend(notes);
    }
    match args.format {
        Format::Json => output::print(&json::printed(json::answer(&answer, args.v1)))?,
        Format::Text => output::print(&text::answer(&answer, setting, args.v1, output::Screen::of_stdout()))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn several(args: &Args, paths: &[PathBuf], setting: &Setting) -> anyhow::Result<ExitCode> {
    if args.apply.is_some() {
        let failure = Failure::new("--apply takes one pod, and several are given");
        return Err(failure.hint("Apply them one after the other, into the same cgroup.").into());
    }
    let mut outcomes = Vec::new();
    for path in paths {
        let name =
            path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned());
        outcomes.push((name, place(&read(path)?, args.pod_name.as_deref(), setting, Ids::Unknown)));
    }
    let valid = outcomes.iter().all(|(_, outcome)| outcome.is_ok());
    match args.format {
        Format::Json => output::print(&json::printed(json::several(outcomes, args.v1)))?,
        Format::Text => {
            let mut placed = Vec::new();
            for ((name, outcome), path) in outcomes.into_iter().zip(paths) {
                match outcome {
                    Ok(one) => placed.push((name, one)),
                    Err(problems) => complain(path, &problems)?,
                }
            }
            if valid {
                output::print(&compare::table(&placed, output::Screen::of_stdout()))?;
            }
        }
    }
    Ok(if valid { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Lists on stderr what is wrong with a pod.
pub(super) fn complain(path: &Path, problems: &[Problem]) -> std::io::Result<()> {
    output::eprint_sentence("error: ", &format!("invalid pod {}", path.display()))?;
    problems.iter().try_for_each(|problem| output::eprint_sentence("  ", &problem.to_string()))
}

fn setting(args: &Args) -> anyhow::Result<Setting> {
    let config = kubelet_config(args.kubelet_config.as_deref())?;
    let node = node(args.node.as_deref())?;
    let driver = driver(args.cgroup_driver, &config);
    let cri = match args.cri {
        CriName::Containerd => Cri::Containerd,
        CriName::Crio => Cri::Crio,
    };
    Ok(Setting { node, config, driver, cri, formula: args.runtime_formula.into() })
}

/// The driver that is asked for, else the configuration's.
pub(super) fn driver(asked: Option<DriverName>, config: &KubeletConfig) -> Driver {
    match asked {
        Some(DriverName::Cgroupfs) => Driver::Cgroupfs,
        Some(DriverName::Systemd) => Driver::Systemd,
        None => config.driver.unwrap_or_default(),
    }
}

impl From<FormulaName> for Formula {
    fn from(name: FormulaName) -> Formula {
        match name {
            FormulaName::Old => Formula::Old,
            FormulaName::New => Formula::New,
        }
    }
}

/// The KubeletConfiguration in this file; without one, kubelet's defaults.
pub(super) fn kubelet_config(path: Option<&Path>) -> anyhow::Result<KubeletConfig> {
    let Some(path) = path else { return Ok(KubeletConfig::default()) };
    Ok(KubeletConfig::decode(&read(path)?).map_err(|problems| unusable(path, &problems))?)
}

/// The Node in this file; without one, this machine.
pub(super) fn node(path: Option<&Path>) -> anyhow::Result<Node> {
    let Some(path) = path else { return machine::node() };
    Ok(Node::decode(&read(path)?).map_err(|problems| unusable(path, &problems))?)
}

fn unusable(path: &Path, problems: &[Problem]) -> Failure {
    let listed: Vec<String> = problems.iter().map(ToString::to_string).collect();
    Failure::new(format!("cannot use {}: {}", path.display(), listed.join("; ")))
}

/// The text of a manifest; `-` is standard input.
pub(super) fn read(path: &Path) -> anyhow::Result<String> {
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
        return Ok(text);
    }
    std::fs::read_to_string(path).map_err(|error| {
        let failure = Failure::new(format!("cannot read {}", path.display())).caused_by(error);
        failure.hint("Give the path of a YAML or JSON file, or - for standard input.").into()
    })
}
