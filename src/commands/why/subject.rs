//! What a path means: a cgroup with its container, a bundle, and the pod that either is of.

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::Value;

use super::Args;
use crate::cgroup::Cgroup;
use crate::cli::Global;
use crate::commands::container::store;
use crate::commands::{self, qos};
use crate::error::Failure;
use crate::kube::cgroup_path::{Cri, Driver};
use crate::kube::cgroup_place::{self, Place};
use crate::kube::levels::{Ids, Level, Rank, Setting};
use crate::kube::manifest::Found;
use crate::kube::{Placed, place, place_found};
use crate::pod::error::PodError;
use crate::pod::record::{Home, pods_directory};
use crate::pod::{self, object};
use crate::runtime::{Record, Store};

/// Everything that is known about what the path names.
pub struct Subject {
    /// The path as it was given, made absolute.
    pub path: PathBuf,
    /// The cgroup, open; `None` for a bundle that no container of ours runs.
    pub cgroup: Option<Cgroup>,
    /// The one file of the cgroup that is asked for.
    pub file: Option<String>,
    /// The one field of config.json that is asked for.
    pub field: Option<String>,
    /// The container's config.json.
    pub config: Option<Config>,
    /// The pod, with the level of it that this is.
    pub pod: Option<PodLevel>,
    /// What a reader must know besides.
    pub notes: Vec<String>,
}

/// A config.json.
pub struct Config {
    /// Whose it is: `container web`, or `config.json` where it is no container's.
    pub of: String,
    /// What it says.
    pub json: Value,
}

/// A pod and one of its levels.
pub struct PodLevel {
    /// The pod, placed.
    pub placed: Placed,
    /// Index into its levels.
    pub index: usize,
}

impl PodLevel {
    /// The level.
    pub fn level(&self) -> &Level {
        &self.placed.levels[self.index]
    }
}

/// Finds out what `args.path` is.
pub fn find(args: &Args, global: &Global) -> anyhow::Result<Subject> {
    let path = args.path.canonicalize().map_err(|error| {
        Failure::new(format!("cannot look at {}", args.path.display()))
            .caused_by(error)
            .hint("Give a file or directory below /sys/fs/cgroup, a bundle, or its config.json.")
    })?;
    let directory = if path.is_dir() { path.clone() } else { path.parent().unwrap_or(&path).to_path_buf() };
    match Cgroup::open(&directory) {
        Ok(cgroup) => of_cgroup(args, global, path, cgroup),
        Err(_) if directory.join("config.json").is_file() && (path.is_dir() || path.ends_with("config.json")) => {
            of_bundle(args, global, path, &directory)
        }
        Err(_) => Err(Failure::new(format!("{} is neither of a cgroup nor a bundle", path.display()))
            .hint("Give a file or directory below /sys/fs/cgroup, a bundle, or its config.json.")
            .into()),
    }
}

fn of_cgroup(args: &Args, global: &Global, path: PathBuf, cgroup: Cgroup) -> anyhow::Result<Subject> {
    if let Some(field) = &args.field {
        return Err(Failure::new(format!("{field} is a field of config.json, and {} is a cgroup", path.display()))
            .hint("Leave the field out, or give the bundle's config.json.")
            .into());
    }
    let file = path.is_file().then(|| path.file_name().unwrap_or_default().to_string_lossy().into_owned());
    let held = held(&store(global), |record| record.cgroup.as_deref() == Some(cgroup.path()));
    let mut subject =
        Subject { path, cgroup: Some(cgroup), file, field: None, config: None, pod: None, notes: Vec::new() };
    let directory = subject.cgroup.as_ref().map(|cgroup| cgroup.path().to_path_buf()).unwrap_or_default();
    subject.config = held.map(|held| parse(format!("container {}", held.id), &held.text)).transpose()?;
    let place = cgroup_place::of(&directory.to_string_lossy());
    match (&args.pod, &place, &subject.config) {
        (Some(_), Some(place), _) => pod_of_cgroup(args, &mut subject, place)?,
        (Some(pod), None, _) => {
            return Err(Failure::new(format!("{} is no cgroup of a pod", directory.display()))
                .hint(format!("Leave --pod {} out, or give a path below kubepods.", pod.display()))
                .into());
        }
        (None, Some(place), _) => match our_pod(args, global, place)? {
            Some(pod) => subject.pod = Some(pod),
            None if subject.config.is_some() => {}
            None => return Err(needs_a_manifest(&directory, place).into()),
        },
        (None, None, Some(_)) => {}
        (None, None, None) => {
            return Err(Failure::new(format!("nobody here knows who made the cgroup {}", directory.display()))
                .hint("`glassbox list` shows the containers of glassbox; --root says where their state is kept.")
                .hint("For a cgroup of a pod give --pod POD.yaml.")
                .into());
        }
    }
    Ok(subject)
}

/// The pod that `glassbox pod run` runs in this place, as its supervisor's record has it: with the resizes since, and under the node and
/// the configuration that it was run with. `None` where it is nobody's of ours.
fn our_pod(args: &Args, global: &Global, place: &Place) -> anyhow::Result<Option<PodLevel>> {
    let told = |error: PodError| anyhow::Error::from(Failure::new(error.to_string()));
    let same = |record: &pod::record::Record| match &place.uid {
        Some(uid) => record.pod.metadata.uid.as_ref() == Some(uid),
        None => place.class.is_none_or(|class| class.name() == record.class),
    };
    let root = global.root.clone().unwrap_or_else(Store::default_root);
    for home in Home::all(&pods_directory(&root)).map_err(told)? {
        let Some(record) = home.record().map_err(told)?.filter(|record| same(record)) else { continue };
        let mut setting = commands::pod::setting(&record)?;
        setting.driver = place.driver;
        let found = Found { pod: object::to_json(&record.pod), prefix: String::new(), owner: None };
        let placed = place_found(&found, &setting, Ids::Names).map_err(|problems| {
            let listed: Vec<String> = problems.iter().map(ToString::to_string).collect();
            Failure::new(format!("the record of pod {}: {}", home.pod_name(), listed.join("; ")))
        })?;
        // The id is made of the pod's name, the container's, and the number of the run.
        let prefix = format!("{}_", object::key(&record.pod));
        let of_id = |id: &String| Some(id.strip_prefix(&prefix)?.rsplit_once('_')?.0.to_string());
        let (rank, container) = match (place.class, &place.uid, &place.container) {
            (.., Some(id)) => match args.container.clone().or_else(|| of_id(id)) {
                Some(name) => (Rank::Container, Some(name)),
                None => continue,
            },
            (_, Some(_), None) => (Rank::Pod, None),
            (Some(_), None, None) => (Rank::Qos, None),
            (None, None, None) => (Rank::Kubepods, None),
        };
        return level(placed, rank, container.as_deref()).map(Some);
    }
    Ok(None)
}

/// The path alone tells this much.
fn needs_a_manifest(directory: &Path, place: &Place) -> Failure {
    let class = place.class.map_or("any", |class| class.name());
    let what = match (&place.uid, &place.container) {
        (Some(uid), Some(id)) => format!("container or sandbox {id} of the {class} pod with the uid {uid}"),
        (Some(uid), None) => format!("the {class} pod with the uid {uid}"),
        (None, _) => format!("pods of {class} class"),
    };
    Failure::new(format!("{} is the cgroup of {what}, whose manifest is not known", directory.display()))
        .hint("Give it with --pod POD.yaml; `kubectl get pod NAME -o yaml` prints it.")
}

fn pod_of_cgroup(args: &Args, subject: &mut Subject, place: &Place) -> anyhow::Result<()> {
    let placed = placed(args, place.driver, place.cri.unwrap_or(Cri::Containerd))?;
    let wanted = (place.class, &place.uid, &place.container);
    let rank = match wanted {
        (None, ..) => Rank::Kubepods,
        (Some(_), None, _) => Rank::Qos,
        (Some(_), Some(_), None) => Rank::Pod,
        (Some(_), Some(_), Some(_)) => Rank::Container,
    };
    if let Some(class) = place.class.filter(|class| *class != placed.verdict.class) {
        subject.notes.push(format!(
            "the path is of a {} pod, and by its manifest the pod is {}: the values cannot agree",
            class.name(),
            placed.verdict.class.name()
        ));
    }
    if let Some(uid) = &place.uid {
        check_uid(&placed, uid, &mut subject.notes)?;
    }
    let container = match &place.container {
        Some(id) => Some(container(args.container.as_deref(), &placed, id)?),
        None => None,
    };
    subject.pod = Some(level(placed, rank, container.as_deref())?);
    Ok(())
}

/// systemd's names have `_` where the uid has `-`.
fn check_uid(placed: &Placed, uid: &str, notes: &mut Vec<String>) -> anyhow::Result<()> {
    let pod = &placed.pod;
    if pod.uid.replace('-', "_") == uid.replace('-', "_") {
        return Ok(());
    }
    // The name stands in for a uid that the manifest does not have.
    if pod.uid == pod.name {
        notes.push(format!("the manifest has no metadata.uid: {} is taken to be the pod with the uid {uid}", pod.name));
        return Ok(());
    }
    let failure =
        Failure::new(format!("the cgroup is of the pod with the uid {uid}, but {} has {}", pod.name, pod.uid));
    Err(failure.hint("Give the manifest of that pod; `kubectl get pods -A -o yaml` has the uids.").into())
}

/// The name of the container with this id; `_pause` for the sandbox.
fn container(chosen: Option<&str>, placed: &Placed, id: &str) -> anyhow::Result<String> {
    let pod = &placed.pod;
    let named = |name: &str| name == "_pause" || pod.all_containers().any(|container| container.name == name);
    if let Some(name) = chosen {
        return match named(name) {
            true => Ok(name.to_string()),
            false => Err(Failure::new(format!("the pod {} has no container {name}", pod.name))
                .hint(format!("It has: {}; and _pause, the sandbox.", names(placed)))
                .into()),
        };
    }
    if named(id) {
        return Ok(id.to_string());
    }
    let by_status = pod.container_ids.iter().find(|(_, known)| known.as_str() == id).map(|(name, _)| name.clone());
    if let Some(name) = by_status {
        return Ok(name);
    }
    Err(Failure::new(format!("which container of the pod {} has the id {id} is not known", pod.name))
        .hint(format!("Say it with --container NAME: {}; or _pause, the sandbox.", names(placed)))
        .hint("A manifest as `kubectl get pod -o yaml` prints it has the ids in its status.")
        .into())
}

fn names(placed: &Placed) -> String {
    placed.pod.all_containers().map(|container| container.name.as_str()).collect::<Vec<_>>().join(", ")
}

fn level(placed: Placed, rank: Rank, container: Option<&str>) -> anyhow::Result<PodLevel> {
    let fits = |level: &Level| match (rank, container) {
        (Rank::Container, Some("_pause")) => level.rank == Rank::Sandbox,
        (Rank::Container, name) => level.rank == rank && Some(level.name.as_str()) == name,
        _ => level.rank == rank,
    };
    let index = placed.levels.iter().position(fits).ok_or_else(|| {
        Failure::new(format!("the {} pod {} has no such level", placed.verdict.class.name(), placed.pod.name))
            .hint("`glassbox qos` shows the levels of a pod; one that is Guaranteed stands in kubepods itself.")
    })?;
    Ok(PodLevel { placed, index })
}

fn placed(args: &Args, driver: Driver, cri: Cri) -> anyhow::Result<Placed> {
    let path = args.pod.as_deref().context("a manifest is given")?;
    let setting = Setting {
        node: qos::node(args.node.as_deref())?,
        config: qos::kubelet_config(args.kubelet_config.as_deref())?,
        driver,
        cri,
        formula: args.runtime_formula.into(),
    };
    place(&qos::read(path)?, args.pod_name.as_deref(), &setting, Ids::Names).map_err(|problems| {
        let listed: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Failure::new(format!("invalid pod {}: {}", path.display(), listed.join("; "))).into()
    })
}

fn of_bundle(args: &Args, global: &Global, path: PathBuf, directory: &Path) -> anyhow::Result<Subject> {
    let file = directory.join("config.json");
    let text = std::fs::read_to_string(&file)
        .map_err(|error| Failure::new(format!("cannot read {}", file.display())).caused_by(error))?;
    let config = parse("config.json".to_string(), &text)?;
    let mut notes = Vec::new();
    let running = held(&store(global), |record| record.bundle == directory);
    if let Some(held) = running.as_ref().filter(|held| held.text != text) {
        notes.push(format!("config.json was changed since container {} was made from it", held.id));
    }
    let cgroup = running.and_then(|held| Cgroup::open(&held.cgroup?).ok());
    if cgroup.is_none() {
        notes.push("no container runs from this bundle: there is nothing live to compare with".to_string());
    }
    let pod = match &args.pod {
        Some(_) => Some(pod_of_bundle(args, &config.json)?),
        None => None,
    };
    Ok(Subject { path, cgroup, file: None, field: args.field.clone(), config: Some(config), pod, notes })
}

/// The container's name stands in the annotations that containerd and CRI-O write.
fn pod_of_bundle(args: &Args, config: &Value) -> anyhow::Result<PodLevel> {
    let path = config.pointer("/linux/cgroupsPath").and_then(Value::as_str).unwrap_or_default();
    let systemd = path.contains(".slice:");
    let cri = if path.contains("crio") { Cri::Crio } else { Cri::Containerd };
    let placed = placed(args, if systemd { Driver::Systemd } else { Driver::Cgroupfs }, cri)?;
    let annotation = |key: &str| config.get("annotations")?.get(key)?.as_str().map(str::to_string);
    let sandbox = ["io.kubernetes.cri.container-type", "io.kubernetes.cri-o.ContainerType"]
        .iter()
        .any(|key| annotation(key).as_deref() == Some("sandbox"));
    let known = annotation("io.kubernetes.cri.container-name").or_else(|| annotation("io.kubernetes.container.name"));
    let only = match placed.pod.all_containers().collect::<Vec<_>>().as_slice() {
        [one] => Some(one.name.clone()),
        _ => None,
    };
    let name = match (&args.container, sandbox, known.or(only)) {
        (Some(name), ..) => name.clone(),
        (None, true, _) => "_pause".to_string(),
        (None, false, Some(name)) => name,
        (None, false, None) => {
            return Err(Failure::new(format!(
                "which container of the pod {} this bundle is, is not known",
                placed.pod.name
            ))
            .hint(format!("Say it with --container NAME: {}; or _pause, the sandbox.", names(&placed)))
            .into());
        }
    };
    let name = container(Some(&name), &placed, "")?;
    level(placed, Rank::Container, Some(&name))
}

fn parse(of: String, text: &str) -> anyhow::Result<Config> {
    let json = serde_json::from_str(text)
        .map_err(|error| Failure::new(format!("the config.json of {of} is not valid JSON")).caused_by(error))?;
    Ok(Config { of, json })
}

/// A container of ours.
struct Held {
    id: String,
    /// config.json as it was when the container was made.
    text: String,
    cgroup: Option<PathBuf>,
}

/// The container of ours whose record fits.
fn held(store: &Store, fits: impl Fn(&Record) -> bool) -> Option<Held> {
    store.ids().ok()?.into_iter().find_map(|id| {
        let entry = store.peek(&id).ok()?;
        let record = entry.read().ok()??;
        let text = std::fs::read_to_string(entry.path().join("config.json")).ok()?;
        fits(&record).then(|| Held { id: id.to_string(), text, cgroup: record.cgroup.clone() })
    })
}
