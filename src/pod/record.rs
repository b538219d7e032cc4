//! What is kept of a pod on disk: a directory `<pods>/<namespace>_<name>` with what was asked for, what became of it, the
//! containers' bundles and logs, and the volumes.
//!
//! The record is written before anything is done to the machine: whatever a kill -9 hits, `delete` finds what to undo.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1 as api;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::PodError;
use super::images::Files;
use super::object::{self, Wanted};
use crate::cgroup::Write as CgroupWrite;
use crate::kube::cgroup_path::Driver;
use crate::kube::levels::{Level, Rank};
use crate::runtime::identity::Identity;

/// Everything that is to be done for a pod, decided when it was run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// The pod, with its uid.
    pub pod: api::Pod,
    /// ConfigMaps by name.
    pub config_maps: BTreeMap<String, api::ConfigMap>,
    /// Secrets by name.
    pub secrets: BTreeMap<String, api::Secret>,
    /// Its QoS class.
    pub class: String,
    /// Its cgroups, outermost first.
    pub groups: Vec<Group>,
    /// Where the cgroup v2 hierarchy is mounted.
    pub hierarchy: PathBuf,
    /// What is known of images, by their names.
    pub images: BTreeMap<String, Files>,
    /// How it is attached to a network.
    pub network: Attachment,
    /// Directory of the runtime's state.
    pub store: PathBuf,
    /// Who makes its cgroups.
    #[serde(default)]
    pub driver: Driver,
    /// When it was run, RFC 3339.
    pub created: String,
    /// The node's CPUs in millicores and its memory in bytes.
    pub node_limits: (i64, i64),
    /// The longest delay before a restart, in milliseconds.
    pub longest_back_off_ms: u64,
    /// The Node that the values were computed for, as it was given; this machine without one.
    pub node: Option<String>,
    /// The KubeletConfiguration, as it was given.
    pub kubelet_config: Option<String>,
}

/// How a pod is attached to a network; a pod with `hostNetwork` is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Attachment {
    /// By a bridge of ours.
    Bridge {
        /// Its name.
        bridge: String,
        /// The range of addresses.
        range: String,
        /// Directory of the leases.
        state: PathBuf,
    },
    /// By the chain of CNI plugins in this file.
    Cni {
        /// The configuration list.
        conf: PathBuf,
    },
    /// Not at all: the pod is in the node's network, or was told to have none but `lo`.
    None,
}

/// One cgroup with what is written into it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    /// `kubepods`, `qos`, `pod`, `sandbox`, `container`.
    pub level: String,
    /// What it is of.
    pub name: String,
    /// Its path below the hierarchy; a container's ends with `<cid>`.
    pub path: String,
    /// File, value and the reason.
    pub files: Vec<(String, String, String)>,
    /// `oom_score_adj` of its processes.
    pub oom_score_adj: Option<i64>,
}

impl Group {
    /// A level of the pod.
    pub fn of(level: &Level) -> Group {
        Group {
            level: level.rank.word().into(),
            name: level.name.clone(),
            path: level.path.clone(),
            files: level.files.iter().map(|w| (w.file.clone(), w.value.clone(), w.because.clone())).collect(),
            oom_score_adj: level.oom.as_ref().and_then(|score| i64::try_from(score.value).ok()),
        }
    }

    /// What is written.
    pub fn writes(&self) -> Vec<CgroupWrite> {
        self.files.iter().map(|(file, value, because)| CgroupWrite::new(file, value, because)).collect()
    }

    /// Its path with the id of the container that is in it.
    pub fn path_of(&self, id: &str) -> String {
        self.path.replace("<cid>", id)
    }

    /// `linux.cgroupsPath` of that container: where systemd makes its scope, SLICE:PREFIX:NAME.
    pub fn cgroups_path(&self, id: &str) -> String {
        let path = self.path_of(id);
        let scope = path.strip_suffix(".scope").and_then(|path| {
            let (above, unit) = path.rsplit_once('/')?;
            let slice = above.rsplit('/').next()?;
            Some(format!("{slice}:{}:{id}", unit.strip_suffix(id)?.trim_end_matches('-')))
        });
        scope.unwrap_or(path)
    }
}

impl Record {
    /// What is known of a pod that is to run; the rest is the caller's to say.
    pub fn new(
        wanted: &Wanted,
        images: BTreeMap<String, Files>,
        hierarchy: PathBuf,
        network: Attachment,
        store: PathBuf,
    ) -> Record {
        Record {
            pod: wanted.pod.clone(),
            config_maps: wanted.config_maps.clone(),
            secrets: wanted.secrets.clone(),
            class: wanted.placed.verdict.class.name().to_string(),
            groups: wanted.placed.levels.iter().map(Group::of).collect(),
            hierarchy,
            images,
            network,
            store,
            driver: Driver::default(),
            created: format!("{:.0}", jiff::Timestamp::now()),
            node_limits: (0, 0),
            longest_back_off_ms: 300_000,
            node: None,
            kubelet_config: None,
        }
    }

    /// The group of a level that there is once.
    pub fn group(&self, rank: Rank) -> Option<&Group> {
        self.groups.iter().find(|group| group.level == rank.word())
    }

    /// The group of a container.
    pub fn container(&self, name: &str) -> Option<&Group> {
        self.groups.iter().find(|group| group.level == Rank::Container.word() && group.name == name)
    }

    /// The directory of the pod's own cgroup.
    pub fn pod_cgroup(&self) -> Option<PathBuf> {
        self.group(Rank::Pod).map(|group| self.hierarchy.join(group.path.trim_start_matches('/')))
    }
}

/// The directory of all pods: beside that of the containers' state.
pub fn pods_directory(store: &Path) -> PathBuf {
    let name = store.file_name().unwrap_or_default().to_string_lossy();
    store.with_file_name(format!("{name}-pods"))
}

/// A pod's directory.
#[derive(Debug, Clone)]
pub struct Home {
    path: PathBuf,
}

impl Home {
    /// Makes the directory of a new pod and writes its record.
    pub fn create(pods: &Path, record: &Record) -> Result<Home, PodError> {
        let mut builder = fs::DirBuilder::new();
        builder.mode(0o700);
        builder.recursive(true).create(pods).map_err(|cause| PodError::file(pods, cause))?;
        let path = pods.join(object::key(&record.pod));
        match builder.recursive(false).create(&path) {
            Ok(()) => {}
            Err(cause) if cause.kind() == ErrorKind::AlreadyExists => {
                return Err(PodError::Exists(object::key(&record.pod).replace('_', "/")));
            }
            Err(cause) => return Err(PodError::file(path, cause)),
        }
        let home = Home { path };
        home.write("record.json", &object::to_json(record))?;
        Ok(home)
    }

    /// The directory of the pod `name` in `namespace`.
    pub fn find(pods: &Path, namespace: &str, name: &str) -> Result<Home, PodError> {
        let path = pods.join(format!("{namespace}_{name}"));
        let plain = !format!("{namespace}{name}").contains('/');
        match plain && path.is_dir() {
            true => Ok(Home { path }),
            false => Err(PodError::NotFound(format!("{namespace}/{name}"))),
        }
    }

    /// The directory at this path.
    pub fn at(path: PathBuf) -> Home {
        Home { path }
    }

    /// The directories of all pods, by namespace and name.
    pub fn all(pods: &Path) -> Result<Vec<Home>, PodError> {
        let entries = match fs::read_dir(pods) {
            Ok(entries) => entries,
            Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(cause) => return Err(PodError::file(pods, cause)),
        };
        let mut homes: Vec<PathBuf> =
            entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir()).collect();
        homes.sort();
        Ok(homes.into_iter().map(Home::at).collect())
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `namespace/name`, as users write it.
    pub fn pod_name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().replacen('_', "/", 1)
    }

    /// What was asked for; `None` where the run was cut short before it was written.
    pub fn record(&self) -> Result<Option<Record>, PodError> {
        self.read("record.json")
    }

    /// The pod with its status, as it was last told.
    pub fn status(&self) -> Result<Option<Value>, PodError> {
        self.read("status.json")
    }

    /// The supervisor's process.
    pub fn supervisor(&self) -> Result<Option<Identity>, PodError> {
        self.read("supervisor.json")
    }

    /// Replaces one of the files.
    pub fn write(&self, name: &str, value: &impl Serialize) -> Result<(), PodError> {
        let path = self.path.join(name);
        let new = self.path.join(format!(".{name}.new"));
        let text = serde_json::to_vec(value).expect("what is kept has text keys alone");
        let write = || File::create(&new)?.write_all(&text).and_then(|()| fs::rename(&new, &path));
        write().map_err(|cause| PodError::file(&path, cause))
    }

    fn read<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<Option<T>, PodError> {
        let path = self.path.join(name);
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)
                .map(Some)
                .map_err(|error| PodError::file(&path, io::Error::other(error.to_string()))),
            Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(PodError::file(&path, cause)),
        }
    }

    /// A container's bundle.
    pub fn bundle(&self, container: &str) -> PathBuf {
        self.path.join("containers").join(container)
    }

    /// The log of a container's run; the first is 0.
    pub fn log(&self, container: &str, run: u32) -> PathBuf {
        self.bundle(container).join(format!("{run}.log"))
    }

    /// A volume's directory.
    pub fn volume(&self, name: &str) -> PathBuf {
        self.path.join("volumes").join(name)
    }

    /// The socket on which the supervisor listens, by a path that is short enough for sockaddr_un.
    pub fn socket(&self, directory: &File) -> PathBuf {
        use std::os::fd::AsRawFd;
        PathBuf::from(format!("/proc/self/fd/{}/control.sock", directory.as_raw_fd()))
    }

    /// The directory, open.
    pub fn open(&self) -> Result<File, PodError> {
        File::open(&self.path).map_err(|cause| PodError::file(&self.path, cause))
    }

    /// Removes the directory and all in it.
    pub fn remove(&self) -> Result<(), PodError> {
        match fs::remove_dir_all(&self.path) {
            Err(cause) if cause.kind() != ErrorKind::NotFound => Err(PodError::file(&self.path, cause)),
            _ => Ok(()),
        }
    }
}
