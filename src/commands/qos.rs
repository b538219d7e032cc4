//! `glassbox qos`: which cgroup files a pod's requests and limits become. Reads the files and the machine, then prints what
//! [`crate::kube`] computes; with `--apply`, makes the cgroups.

mod apply;
mod json;
mod machine;
mod text;

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
use crate::kube::levels::{self, Ids, Level, Setting};
use crate::kube::node::Node;
use crate::kube::pod::Pod;
use crate::kube::qos::{self, Verdict};
use crate::kube::{Problem, defaults, manifest, validate};

use super::output;

/// Flags of `glassbox qos`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  glassbox qos pod.yaml
  kubectl get pod web -o yaml | glassbox qos --node node.yaml --cgroup-driver systemd -
  sudo glassbox qos --apply /sys/fs/cgroup/lab pod.yaml

Exit codes: 0 for a valid pod, 1 for an invalid one (--format json lists what is wrong) or when
something failed, 2 for a wrong command line.")]
pub struct Args {
    /// Pod manifest, YAML or JSON; `-` reads standard input. A Deployment, StatefulSet, DaemonSet, ReplicaSet, Job or
    /// CronJob is read for its pod template
    #[arg(value_name = "POD.yaml")]
    pub pod: PathBuf,
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
    /// containerd
    Containerd,
    /// CRI-O
    Crio,
}

/// The values of `--format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// For machines
    Json,
}

/// Everything that is printed about a valid pod.
struct Answer {
    pod: Pod,
    verdict: Verdict,
    levels: Vec<Level>,
    setting: Setting,
    warnings: Vec<String>,
    /// The directories that `--apply` made or found, one a level; empty without it.
    directories: Vec<PathBuf>,
}

/// Runs the command.
pub fn run(args: &Args, _global: &Global) -> anyhow::Result<ExitCode> {
    let setting = setting(args)?;
    let text = read(&args.pod)?;
    let ids = if args.apply.is_some() { Ids::Names } else { Ids::Unknown };
    let mut answer = match answer(&text, args.pod_name.as_deref(), setting, ids) {
        Ok(answer) => answer,
        Err(problems) => return refuse(args, &problems),
    };
    if let Some(parent) = &args.apply {
        let (directories, notes) = apply::apply(parent, &answer.levels)?;
        answer.directories = directories;
        answer.warnings.extend(notes);
    }
    match args.format {
        Format::Json => output::print(&json::answer(&answer))?,
        Format::Text => output::print(&text::answer(&answer, text::Screen::of_stdout()))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn answer(text: &str, name: Option<&str>, setting: Setting, ids: Ids) -> Result<Answer, Vec<Problem>> {
    let found = manifest::find_pod(text, name).map_err(|problem| vec![problem])?;
    let mut pod = Pod::decode(&found)?;
    defaults::apply(&mut pod);
    let problems = validate::problems(&pod);
    if !problems.is_empty() {
        return Err(problems);
    }
    let verdict = qos::class_of(&pod);
    let levels = levels::of(&pod, verdict.class, &setting, ids);
    let mut warnings = pod.warnings.clone();
    warnings.extend(setting.kubelet().warnings);
    Ok(Answer { pod, verdict, levels, setting, warnings, directories: Vec::new() })
}

fn refuse(args: &Args, problems: &[Problem]) -> anyhow::Result<ExitCode> {
    match args.format {
        Format::Json => output::print(&json::problems(problems))?,
        Format::Text => {
            output::eprint_line(&format!("error: invalid pod {}", args.pod.display()))?;
            for problem in problems {
                output::eprint_line(&format!("  {problem}"))?;
            }
        }
    }
    Ok(ExitCode::FAILURE)
}

fn setting(args: &Args) -> anyhow::Result<Setting> {
    let decode_failed = |path: &Path, problems: Vec<Problem>| {
        let listed: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Failure::new(format!("cannot use {}: {}", path.display(), listed.join("; ")))
    };
    let config = match &args.kubelet_config {
        Some(path) => {
            let config = KubeletConfig::decode(&read(path)?).map_err(|problems| decode_failed(path, problems))?;
            Some(config)
        }
        None => None,
    };
    let node = match &args.node {
        Some(path) => Node::decode(&read(path)?).map_err(|problems| decode_failed(path, problems))?,
        None => machine::node()?,
    };
    let configured = config.as_ref().and_then(|config| config.driver);
    let driver = match args.cgroup_driver {
        Some(DriverName::Cgroupfs) => Driver::Cgroupfs,
        Some(DriverName::Systemd) => Driver::Systemd,
        None => configured.unwrap_or(Driver::Cgroupfs),
    };
    let cri = match args.cri {
        CriName::Containerd => Cri::Containerd,
        CriName::Crio => Cri::Crio,
    };
    Ok(Setting { node, config, driver, cri, formula: Formula::New })
}

fn read(path: &Path) -> anyhow::Result<String> {
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
