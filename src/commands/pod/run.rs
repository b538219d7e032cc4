//! `glassbox pod run` and `glassbox pod apply`.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use serde_json::Value;

use super::{pods, root, told};
use crate::cgroup::mount_point;
use crate::cli::Global;
use crate::commands::output;
use crate::commands::qos::{self, DriverName};
use crate::error::Failure;
use crate::kube::cgroup_path::Cri;
use crate::kube::cpu::Formula;
use crate::kube::levels::Setting;
use crate::kube::manifest;
use crate::net::Range;
use crate::pod::images::{self, Files};
use crate::pod::object::{self, Wanted};
use crate::pod::order;
use crate::pod::order::Order;
use crate::pod::record::{Attachment, Home, Record};

/// Flags of `glassbox pod run`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  sudo glassbox pod run --image busybox=web/rootfs pod.yaml

ConfigMaps and Secrets are taken from the same file. Every field that glassbox does not carry out is named in a warning. A pod that \
would be less protected without it than it asks to be, or of no use, is not run.")]
pub struct Args {
    /// Manifest, YAML or JSON, of one or more documents; `-` reads standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Where an image is: an OCI layout, an archive of one, a docker-archive, or a directory that is a root file system. May be given
    /// again
    #[arg(long = "image", value_name = "NAME=PATH", value_parser = image)]
    pub images: Vec<(String, String)>,
    /// Where images are that are not given: a directory with an OCI layout, or with archives and directories by the images' names
    #[arg(long, value_name = "DIR", default_value = "/var/lib/glassbox/images")]
    pub image_store: PathBuf,
    /// Where images are unpacked, once for all pods
    #[arg(long, value_name = "DIR", default_value = "/var/lib/glassbox/unpacked")]
    pub unpacked: PathBuf,
    /// Run only the pod of this name
    #[arg(long = "pod", value_name = "NAME")]
    pub pod_name: Option<String>,
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// A v1 Node whose capacity counts [default: this machine's]
    #[arg(long, value_name = "NODE.yaml")]
    pub node: Option<PathBuf>,
    /// A KubeletConfiguration (kubelet.config.k8s.io/v1beta1) [default: kubelet's own defaults]
    #[arg(long, value_name = "FILE")]
    pub kubelet_config: Option<PathBuf>,
    /// Who makes the cgroups: cgroupfs or systemd [default: the KubeletConfiguration's, else cgroupfs]
    #[arg(long, value_name = "DRIVER", hide_possible_values = true)]
    pub cgroup_driver: Option<DriverName>,
    /// The addresses of pods
    #[arg(long, value_name = "RANGE", default_value = "10.244.0.0/24")]
    pub pod_cidr: Range,
    /// The bridge that pods are attached to
    #[arg(long, value_name = "NAME", default_value = "glassbox0")]
    pub bridge: String,
    /// Attach pods by the CNI plugins of this configuration list instead
    #[arg(long, value_name = "CONFLIST", conflicts_with = "no_network")]
    pub cni_conf: Option<PathBuf>,
    /// Attach pods to nothing: they have lo alone
    #[arg(long)]
    pub no_network: bool,
}

/// Flags of `glassbox pod apply`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  sudo glassbox pod apply settings.yaml")]
pub struct ApplyArgs {
    /// Manifest with ConfigMaps and Secrets; `-` reads standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Only the pods of this namespace
    #[arg(long, short, value_name = "NAMESPACE", default_value = "default")]
    pub namespace: String,
}

fn image(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, path)) if !name.is_empty() && !path.is_empty() => Ok((name.to_string(), path.to_string())),
        _ => Err("write it as NAME=PATH, such as busybox=web/rootfs".to_string()),
    }
}

/// Runs the pods of a manifest, each kept by a process of its own.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    let config = qos::kubelet_config(args.kubelet_config.as_deref())?;
    let driver = qos::driver(args.cgroup_driver, &config);
    let setting =
        Setting { node: qos::node(args.node.as_deref())?, config, driver, cri: Cri::Containerd, formula: Formula::New };
    let text = qos::read(&args.file)?;
    let wanted = match object::read(&text, args.pod_name.as_deref(), &setting, new_uid) {
        Ok(wanted) => wanted,
        Err(problems) => {
            qos::complain(&args.file, &problems)?;
            return Ok(ExitCode::FAILURE);
        }
    };
    if wanted.is_empty() {
        return Err(Failure::new(format!("{}: there is no Pod in it", args.file.display()))
            .hint("Give a manifest with a document of kind Pod.")
            .into());
    }
    for one in &wanted {
        for warning in &one.warnings {
            output::eprint_sentence("warning: ", &format!("{}: {warning}", name_of(one)))?;
        }
    }
    if args.dry_run {
        return foretell(args, &wanted);
    }
    for one in &wanted {
        refuse(one)?;
        find_images(args, one)?;
    }
    for one in &wanted {
        let images = find_images(args, one)?;
        let unpack = |(name, path): (String, String)| {
            let files = images::at(&name, &path, &args.unpacked).map_err(told)?;
            Ok((name, files))
        };
        let images = images.into_iter().map(unpack).collect::<anyhow::Result<BTreeMap<_, _>>>()?;
        start(args, global, one, &images, &setting)?;
        output::print(&format!("pod {} started\n", name_of(one)))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// `namespace/name`.
fn name_of(wanted: &Wanted) -> String {
    object::key(&wanted.pod).replace('_', "/")
}

/// A pod is not run without what it would be less protected without, or of no use.
fn refuse(wanted: &Wanted) -> Result<(), Failure> {
    match wanted.refused.is_empty() {
        true => Ok(()),
        false => Err(Failure::new(format!(
            "pod {} is not run: without {} it would be less protected than it asks to be, or of no use",
            name_of(wanted),
            wanted.refused.join(" and ")
        ))
        .hint(
            "Take it out of the manifest to have the pod without it; the warnings above say what glassbox does not do.",
        )),
    }
}

/// Says of each pod whether it would run.
fn foretell(args: &Args, wanted: &[Wanted]) -> anyhow::Result<ExitCode> {
    let mut all = true;
    for one in wanted {
        let name = name_of(one);
        if !one.refused.is_empty() {
            all = false;
            output::print(&format!("pod {name} would not run: {}\n", one.refused.join(", ")))?;
            continue;
        }
        find_images(args, one)?;
        let class = one.placed.verdict.class.name();
        let containers = one.placed.pod.all_containers().count();
        output::print(&format!("pod {name} would run: {class}, {containers} containers\n"))?;
    }
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The kernel makes uids as RFC 9562 wants them.
fn new_uid() -> String {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap_or_default();
    text.trim().to_string()
}

/// Where each image of the pod is.
fn find_images(args: &Args, wanted: &Wanted) -> anyhow::Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for one in wanted.placed.pod.all_containers() {
        let given = args.images.iter().rfind(|(name, _)| *name == one.image).map(|(_, path)| path.clone());
        let Some(path) = given.or_else(|| images::in_store(&one.image, &args.image_store)) else {
            let store = args.image_store.display();
            return Err(Failure::new(format!("{}.image: the image {:?} is not given", one.field, one.image))
                .hint(format!("Give it with --image {}=PATH, or put it into {store} by its name.", one.image))
                .into());
        };
        found.insert(one.image.clone(), path);
    }
    Ok(found)
}

fn start(
    args: &Args,
    global: &Global,
    wanted: &Wanted,
    images: &BTreeMap<String, Files>,
    setting: &Setting,
) -> anyhow::Result<()> {
    let hierarchy = mount_point().ok_or_else(|| {
        Failure::new("no cgroup v2 hierarchy is mounted").hint("Run `glassbox doctor` to see how to get one.")
    })?;
    let pods = pods(global);
    let spec = object::spec(&wanted.pod);
    let network = match &args.cni_conf {
        _ if args.no_network || spec.host_network == Some(true) => Attachment::None,
        Some(conf) => Attachment::Cni { conf: std::path::absolute(conf)? },
        None => Attachment::Bridge {
            bridge: args.bridge.clone(),
            range: args.pod_cidr.to_string(),
            state: pods.join("net"),
        },
    };
    let mut record = Record::new(wanted, images.clone(), hierarchy, network, root(global));
    let cpu = setting.node.capacity.get("cpu").map_or(0, |cpu| cpu.milli_value());
    record.node_limits =
        (i64::try_from(cpu).unwrap_or(i64::MAX), i64::try_from(setting.node.memory()).unwrap_or(i64::MAX));
    record.longest_back_off_ms = u64::try_from(setting.config.longest_back_off.as_millis()).unwrap_or(u64::MAX);
    record.driver = setting.driver;
    record.node = args.node.as_deref().map(qos::read).transpose()?;
    record.kubelet_config = args.kubelet_config.as_deref().map(qos::read).transpose()?;
    let program =
        std::env::current_exe().map_err(|cause| Failure::new("cannot find our own program").caused_by(cause))?;
    let home = Home::create(&pods, &record).map_err(told)?;
    supervise(&home, &program).inspect_err(|_| drop(home.remove()))
}

/// Starts the supervisor, and hears from it whether the pod's sandbox is there.
fn supervise(home: &Home, program: &Path) -> anyhow::Result<()> {
    let failed = |cause: std::io::Error| Failure::new("cannot start the pod's supervisor").caused_by(cause);
    let log = std::fs::File::create(home.path().join("supervisor.log")).map_err(failed)?;
    let mut child = Command::new(program)
        .args(["pod".as_ref(), "supervise".as_ref(), home.path().as_os_str()])
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .map_err(failed)?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("it is piped")).read_line(&mut line).map_err(failed)?;
    let said: Value = serde_json::from_str(&line).unwrap_or_default();
    if said["ok"] == true {
        return Ok(());
    }
    let _ = child.wait();
    let log = std::fs::read_to_string(home.path().join("supervisor.log")).unwrap_or_default();
    let message =
        said["error"].as_str().map_or_else(|| format!("the supervisor ended: {}", log.trim()), str::to_string);
    let failure = Failure::new(format!("pod {}", home.pod_name())).caused_by(message);
    match said["hint"].as_str() {
        Some(hint) => Err(failure.hint(hint).into()),
        None => Err(failure.into()),
    }
}

/// Gives the pods of a namespace new ConfigMaps and Secrets.
pub fn apply(args: &ApplyArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let text = qos::read(&args.file)?;
    let (maps, secrets) = manifest::objects(&text)
        .and_then(|objects| object::beside_pods(&objects, &args.namespace))
        .map_err(|problem| Failure::new(format!("{}: {problem}", args.file.display())))?;
    if maps.is_empty() && secrets.is_empty() {
        return Err(Failure::new(format!(
            "{}: no ConfigMap and no Secret of namespace {}",
            args.file.display(),
            args.namespace
        ))
        .hint("Give a manifest with them; -n NAMESPACE chooses another namespace.")
        .into());
    }
    for home in Home::all(&pods(global)).map_err(told)? {
        let Some(mut record) = home.record().map_err(told)? else { continue };
        if record.pod.metadata.namespace.as_deref() != Some(args.namespace.as_str()) {
            continue;
        }
        record.config_maps.extend(maps.clone());
        record.secrets.extend(secrets.clone());
        home.write("record.json", &record).map_err(told)?;
        match order::send(&home, &Order::Refresh).map_err(told)? {
            Some(answer) if answer != "ok" => {
                return Err(Failure::new(format!("pod {}: {answer}", home.pod_name())).into());
            }
            _ => output::print(&format!("pod {} updated\n", home.pod_name()))?,
        }
    }
    Ok(ExitCode::SUCCESS)
}
