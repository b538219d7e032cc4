//! A pod's cgroups: made and filled, changed while the pod runs, and removed. Whatever is done below the cgroup hierarchy for a
//! pod as a whole is done here; a container's own cgroup is made by the runtime, of its config.json.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::error::PodError;
use super::object;
use super::record::{Group, Home, Record};
use crate::cgroup::scope::{self, Property, Value};
use crate::cgroup::{Cgroup, Write as CgroupWrite, live, systemd, tree};
use crate::kube::cpu::{self, Formula};
use crate::kube::effective::{self, List};
use crate::kube::levels::Rank;

/// How long processes may take to go after they are killed, in seconds.
pub const KILL_SECONDS: i64 = 10;

/// Only one pod at a time changes the directories that pods share.
fn lock(home: &Home) -> Result<File, PodError> {
    let path = home.path().with_file_name("lock");
    let failed = |cause| PodError::file(&path, cause);
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
    flock(&file, FlockOperation::LockExclusive).map_err(|errno| failed(errno.into()))?;
    Ok(file)
}

/// Makes `kubepods`, the QoS class and the pod, with their values. Gives back the controllers that there are.
pub fn make(home: &Home, record: &Record) -> Result<Vec<String>, PodError> {
    let _lock = lock(home)?;
    let shared: Vec<_> =
        record.groups.iter().filter(|group| !["sandbox", "container"].contains(&group.level.as_str())).collect();
    let writes: Vec<_> = shared.iter().map(|group| group.writes()).collect();
    for (group, writes) in shared.iter().zip(&writes) {
        start_slice(&directory(record, group), writes)?;
    }
    let groups: Vec<tree::Group<'_>> = shared
        .iter()
        .zip(&writes)
        .map(|(group, writes)| tree::Group { path: &group.path, writes, must_be_idle: group.level == Rank::Pod.word() })
        .collect();
    tree::make(&record.hierarchy, &groups, &["hugetlb", "cpuset"])?;
    share(home, record)?;
    let root = Cgroup::open(&record.hierarchy)?;
    Ok(root.read("cgroup.controllers")?.split_whitespace().map(str::to_string).collect())
}

/// Has systemd make a cgroup that is a slice of its, with the values as its properties: it writes them again whenever it
/// likes. Another cgroup is made by hand.
fn start_slice(directory: &Path, writes: &[CgroupWrite]) -> Result<(), PodError> {
    let Some(unit) = systemd::unit_of(directory) else { return Ok(()) };
    // Nothing that cannot be set on a slice that runs already: other pods are in it.
    let accounting = ["CPUAccounting", "IOAccounting", "MemoryAccounting", "TasksAccounting"];
    let mut properties: Vec<_> = accounting.map(|name| Property::new(name, Value::Bool(true))).into();
    properties.extend(scope::of_writes(writes));
    Ok(systemd::start_slice(unit, directory, &properties)?)
}

/// Writes a value into a cgroup, and tells systemd of it where the cgroup is a unit's.
fn write(cgroup: &Cgroup, file: &str, value: &str) -> Result<(), PodError> {
    if let Some(unit) = systemd::unit_of(cgroup.path()) {
        systemd::set(unit, &scope::of_writes(&[CgroupWrite::new(file, value, "")]))?;
    }
    Ok(cgroup.write(file, value)?)
}

/// Ends what still lives in the pod's cgroup.
pub fn kill(record: &Record) -> Result<(), PodError> {
    let Some(path) = record.pod_cgroup().filter(|path| path.is_dir()) else { return Ok(()) };
    let cgroup = Cgroup::open(&path)?;
    match cgroup.populated()? {
        true => Ok(cgroup.kill(KILL_SECONDS)?),
        false => Ok(()),
    }
}

/// Removes the pod's cgroup, and those above it where no other pod is in them.
pub fn remove(home: &Home, record: &Record) -> Result<(), PodError> {
    let _lock = lock(home)?;
    if let Some(path) = record.pod_cgroup().filter(|path| path.is_dir()) {
        stop_slice(&path)?;
        if path.is_dir() {
            Cgroup::open(&path)?.remove()?;
        }
    }
    for rank in [Rank::Qos, Rank::Kubepods] {
        let Some(path) = record.group(rank).map(|group| directory(record, group)) else { continue };
        if !has_children(&path) {
            stop_slice(&path)?;
        }
        let _ = fs::remove_dir(path);
    }
    share(home, record)
}

fn stop_slice(directory: &Path) -> Result<(), PodError> {
    systemd::unit_of(directory).map_or(Ok(()), |unit| Ok(systemd::stop(unit)?))
}

/// Whether another cgroup is below one.
fn has_children(directory: &Path) -> bool {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
}

fn directory(record: &Record, group: &Group) -> PathBuf {
    record.hierarchy.join(group.path.trim_start_matches('/'))
}

/// Counts the pod's share of those directories anew, after what is kept of it has changed.
pub fn recount(home: &Home, record: &Record) -> Result<(), PodError> {
    let _lock = lock(home)?;
    share(home, record)
}

/// Gives the directories that pods share the values of all pods together (`qos_container_manager_linux.go`, `UpdateCgroups`): the
/// weight of the Burstable ones, and the memory that their pods are promised.
fn share(home: &Home, record: &Record) -> Result<(), PodError> {
    let pods = home.path().parent().unwrap_or(Path::new("/"));
    // A pod whose own cgroup is there counts; one that is over, or is being removed, has none.
    let active: Vec<Record> = Home::all(pods)?
        .iter()
        .filter_map(|home| home.record().ok().flatten())
        .filter(|other| other.hierarchy == record.hierarchy && other.pod_cgroup().is_some_and(|path| path.is_dir()))
        .collect();
    for rank in [Rank::Kubepods, Rank::Qos] {
        let Some(group) = record.group(rank) else { continue };
        let path = directory(record, group);
        if !path.is_dir() {
            continue;
        }
        let cgroup = Cgroup::open(&path)?;
        for (file, value) in shared_values(group, &active) {
            write(&cgroup, &file, &value)?;
        }
    }
    Ok(())
}

/// The files of a shared group whose values add up over `pods`.
fn shared_values(group: &Group, pods: &[Record]) -> Vec<(String, String)> {
    let own = |record: &Record, file: &str| -> Option<u64> {
        let same = record.groups.iter().find(|other| other.path == group.path)?;
        same.files.iter().find(|(name, ..)| name == file)?.1.parse().ok()
    };
    let mut values = Vec::new();
    for (file, ..) in &group.files {
        let value = match file.as_str() {
            "cpu.weight" if group.name == "burstable" => {
                let burstable = pods.iter().filter(|record| record.class == "Burstable");
                let milli = burstable.map(|record| requested(record, "cpu")).sum();
                cpu::weight(cpu::shares(milli), Formula::Old)
            }
            "memory.min" | "memory.low" => pods.iter().filter_map(|record| own(record, file)).sum(),
            _ => continue,
        };
        values.push((file.clone(), value.to_string()));
    }
    values
}

/// What a pod requests of `cpu` in millicores, of anything else in units.
fn requested(record: &Record, resource: &str) -> i128 {
    let Ok(pod) = object::resources(&record.pod) else { return 0 };
    let total = effective::of_pod(&pod, List::Requests).remove(resource);
    total.map_or(0, |total| if resource == "cpu" { total.quantity.milli_value() } else { total.quantity.value() })
}

/// One write of a resize: into the pod's own group, or into that of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// `None`: the pod.
    pub container: Option<String>,
    /// The file.
    pub file: String,
    /// What it held.
    pub old: String,
    /// What it gets.
    pub new: String,
}

/// The writes that make the `old` groups of a pod the `new` ones, in the kubelet's order (`kuberuntime_manager.go`,
/// `doPodResizeAction`): memory before CPU; what grows begins with the pod, what shrinks ends with it; among the containers those
/// that shrink come first.
pub fn changes(old: &[Group], new: &[Group]) -> Vec<Change> {
    let mut all = Vec::new();
    for resource in ["memory.", "cpu."] {
        let mut found: Vec<Change> = new.iter().flat_map(|group| of_group(old, group, resource)).collect();
        found.sort_by_key(|change| match (change.container.is_none(), grows(change)) {
            (true, true) => 0,
            (false, false) => 1,
            (false, true) => 2,
            (true, false) => 3,
        });
        all.extend(found);
    }
    all
}

fn of_group(old: &[Group], new: &Group, resource: &str) -> Vec<Change> {
    let is_pod = new.level == Rank::Pod.word();
    let container = (new.level == Rank::Container.word()).then(|| new.name.clone());
    let before = old.iter().find(|group| group.level == new.level && group.name == new.name);
    let Some(before) = before.filter(|_| is_pod || container.is_some()) else { return Vec::new() };
    let value = |group: &Group, file: &str| -> String {
        let written = group.files.iter().find(|(name, ..)| name == file).map(|(_, value, _)| value.clone());
        written.unwrap_or_else(|| live::default_of(file).unwrap_or("max").to_string())
    };
    let mut files: Vec<&String> = before.files.iter().chain(&new.files).map(|(file, ..)| file).collect();
    files.sort();
    files.dedup();
    let of_resource = files.into_iter().filter(|file| file.starts_with(resource));
    // The pod's own promises of memory stay as they were when it was made (MemoryQoS).
    let of_resource =
        of_resource.filter(|file| !(is_pod && matches!(file.as_str(), "memory.min" | "memory.low" | "memory.high")));
    of_resource
        .map(|file| Change {
            container: container.clone(),
            file: file.clone(),
            old: value(before, file),
            new: value(new, file),
        })
        .filter(|change| change.old != change.new)
        .collect()
}

fn grows(change: &Change) -> bool {
    amount(&change.new) > amount(&change.old)
}

/// The number that a value begins with; `max` is above all.
fn amount(value: &str) -> u128 {
    value.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(u128::MAX)
}

/// Writes `changes` into the pod's cgroup and into those of the containers that run. Less memory than is used now is refused before
/// anything is written: the kernel would kill.
pub fn apply(record: &Record, changes: &[Change], running: &BTreeMap<String, PathBuf>) -> Result<(), PodError> {
    let pod = record.pod_cgroup().unwrap_or_default();
    let mut writes = Vec::new();
    for change in changes {
        let path = match &change.container {
            None => &pod,
            Some(name) => match running.get(name) {
                Some(path) => path,
                None => continue,
            },
        };
        let cgroup = Cgroup::open(path)?;
        if change.file == "memory.max" && !grows(change) {
            let used: u128 = cgroup.read("memory.current")?.parse().unwrap_or(0);
            if used >= amount(&change.new) {
                let whose = change.container.as_ref().map_or("pod".into(), |name| format!("container {name}"));
                return Err(PodError::Resize(format!(
                    "attempting to set {whose} memory limit ({}) below current usage ({used})",
                    change.new
                )));
            }
        }
        writes.push((cgroup, change));
    }
    for (cgroup, change) in writes {
        write(&cgroup, &change.file, &change.new)?;
    }
    Ok(())
}

/// What a group's processes use of memory, without the file pages that can go at once (cAdvisor, `setMemoryStats`): its working set,
/// in bytes.
pub fn working_set(cgroup: &Cgroup) -> Option<u64> {
    let used: u64 = cgroup.read("memory.current").ok()?.parse().ok()?;
    let inactive = cgroup.read_key("memory.stat", "inactive_file").ok()??;
    Some(used.saturating_sub(inactive))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(level: &str, name: &str, files: &[(&str, &str)]) -> Group {
        Group {
            level: level.into(),
            name: name.into(),
            path: format!("/kubepods/burstable/{name}"),
            files: files.iter().map(|(file, value)| (file.to_string(), value.to_string(), String::new())).collect(),
            oom_score_adj: None,
        }
    }

    fn told(old: &[Group], new: &[Group]) -> Vec<String> {
        let word = |change: Change| {
            let whose = change.container.unwrap_or("pod".into());
            format!("{whose} {} {} -> {}", change.file, change.old, change.new)
        };
        changes(old, new).into_iter().map(word).collect()
    }

    #[test]
    fn memory_comes_first_and_the_pod_grows_before_its_containers() {
        let old = [
            group("pod", "web", &[("cpu.weight", "20"), ("cpu.max", "50000 100000"), ("memory.max", "200")]),
            group("container", "a", &[("cpu.weight", "59"), ("memory.max", "100"), ("memory.swap.max", "0")]),
            group("container", "b", &[("cpu.weight", "59"), ("memory.max", "100")]),
        ];
        let new = [
            group("pod", "web", &[("cpu.weight", "39"), ("cpu.max", "100000 100000"), ("memory.max", "250")]),
            group("container", "a", &[("cpu.weight", "100"), ("memory.max", "180"), ("memory.swap.max", "0")]),
            group("container", "b", &[("cpu.weight", "59"), ("memory.max", "70")]),
        ];
        assert_eq!(
            told(&old, &new),
            [
                "pod memory.max 200 -> 250",
                "b memory.max 100 -> 70",
                "a memory.max 100 -> 180",
                "pod cpu.max 50000 100000 -> 100000 100000",
                "pod cpu.weight 20 -> 39",
                "a cpu.weight 59 -> 100",
            ]
        );
        assert_eq!(
            told(&new, &old),
            [
                "a memory.max 180 -> 100",
                "b memory.max 70 -> 100",
                "pod memory.max 250 -> 200",
                "a cpu.weight 100 -> 59",
                "pod cpu.max 100000 100000 -> 50000 100000",
                "pod cpu.weight 39 -> 20",
            ]
        );
    }

    #[test]
    fn a_limit_that_was_not_there_shrinks_what_had_none() {
        let old =
            [group("pod", "web", &[]), group("container", "a", &[("memory.max", "max"), ("cpu.max", "max 100000")])];
        let new = [
            group("pod", "web", &[("memory.max", "5"), ("memory.low", "3"), ("pids.max", "7")]),
            group("container", "a", &[("memory.max", "5"), ("cpu.max", "100 100000"), ("memory.low", "3")]),
        ];
        assert_eq!(
            told(&old, &new),
            [
                "a memory.max max -> 5",
                "a memory.low 0 -> 3",
                "pod memory.max max -> 5",
                "a cpu.max max 100000 -> 100 100000",
            ]
        );
    }
}
