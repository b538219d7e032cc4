//! What the node has left and what its pods use, as eviction asks for it (`pkg/kubelet/eviction/helpers.go`, `makeSignalObservations`;
//! `eviction_manager.go`, `localStorageEviction`). Which pod goes is decided in `kube/eviction`.

use std::fs;
use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::core::v1 as api;

use super::cgroup;
use super::error::PodError;
use super::object;
use super::order::{self, Order};
use super::record::{Home, Record};
use super::usage::{self, Disk};
use crate::cgroup::Cgroup;
use crate::kube::effective::{self, List};
use crate::kube::eviction::{Candidate, Observation, Resource, Signal};
use crate::kube::levels::Rank;
use crate::kube::pod::Pod;
use crate::kube::quantity::Quantity;

/// A pod that runs.
#[derive(Debug)]
pub struct Running {
    /// Where it is kept.
    pub home: Home,
    /// What was asked for.
    pub record: Record,
    /// Its requests and limits.
    pub pod: Pod,
    /// What counts for its place.
    pub candidate: Candidate,
}

/// The pods that run.
pub fn running(pods: &Path) -> Result<Vec<Running>, PodError> {
    let mut found = Vec::new();
    for home in Home::all(pods)? {
        let (Some(record), Some(status)) = (home.record()?, home.status()?) else { continue };
        let phase = status["status"]["phase"].as_str();
        // One that is being ended needs no second order.
        let ending = !status["metadata"]["deletionTimestamp"].is_null();
        if matches!(phase, Some("Pending" | "Running")) && !ending && status["status"]["reason"].is_null() {
            let pod = object::resources(&record.pod)?;
            let candidate = candidate(&home, &record, &pod);
            found.push(Running { home, record, pod, candidate });
        }
    }
    Ok(found)
}

fn candidate(home: &Home, record: &Record, pod: &Pod) -> Candidate {
    let requests = effective::of_pod(pod, List::Requests);
    let request = |name: &str| requests.get(name).map_or(0, |total| total.quantity.value());
    let used = record.pod_cgroup().map(|path| usage::of_group(&path)).unwrap_or_default();
    let disk = disk(home, record);
    Candidate {
        name: home.pod_name(),
        priority: record.pod.spec.as_ref().and_then(|spec| spec.priority).unwrap_or(0),
        critical: pod.critical,
        memory: used.working_set.map(i128::from),
        memory_request: request("memory"),
        storage: Some(disk.bytes.into()),
        storage_request: request("ephemeral-storage"),
        inodes: Some(disk.inodes.into()),
        processes: used.processes,
    }
}

/// What the pod's containers, logs and volumes of its own hold.
fn disk(home: &Home, record: &Record) -> Disk {
    let spec = object::spec(&record.pod);
    let containers = spec.init_containers.iter().flatten().chain(&spec.containers);
    let written = containers.map(|one| usage::container_disk(home, &one.name)).map(|(files, logs)| files + logs);
    let volumes = spec.volumes.iter().flatten().filter(|volume| volume.empty_dir.is_some());
    written
        .chain(volumes.map(|volume| usage::volume_disk(home, &volume.name)))
        .fold(Disk::default(), |sum, one| sum + one)
}

/// The containers of a pod that use more of `resource` than they request: name, use, request.
pub fn over(one: &Running, resource: Resource) -> Vec<(String, i128, i128)> {
    let measured = one.pod.all_containers().filter_map(|container| {
        let request = |name: &str| container.resources.requests.get(name).map_or(0, |amount| amount.quantity.value());
        let (used, request) = match resource {
            Resource::Memory => {
                let group = usage::container_group(&one.record, &container.name).ok()??;
                (usage::of_group(&group).working_set?.into(), request("memory"))
            }
            Resource::Storage => {
                let (files, logs) = usage::container_disk(&one.home, &container.name);
                ((files + logs).bytes.into(), request("ephemeral-storage"))
            }
            // The kubelet's message names no containers then.
            Resource::Inodes | Resource::Pids => return None,
        };
        Some((container.name.clone(), used, request))
    });
    measured.filter(|(_, used, request)| used > request).collect()
}

/// What the node has. `pods` is the directory of pods; its file system is that of volumes, of logs and of what containers write. A
/// signal that cannot be measured is left out.
pub fn observe(pods: &Path, hierarchy: &Path, images: &Path, running: &[Running]) -> Vec<Observation> {
    let mut found: Vec<Observation> = Vec::new();
    let mut note = |signal, measured: Option<(u64, u64)>| {
        let (available, capacity) = measured.map(|(left, all)| (left.into(), all.into())).unzip();
        found.extend(available.zip(capacity).map(|(available, capacity)| Observation { signal, available, capacity }));
    };
    note(Signal::Memory, node_memory(hierarchy));
    note(Signal::AllocatableMemory, pods_memory(hierarchy, running));
    let images = if images.is_dir() { images } else { pods };
    let (node, image) = (file_system(pods), file_system(images));
    note(Signal::Nodefs, node.map(|(bytes, _)| bytes));
    note(Signal::NodefsInodes, node.map(|(_, inodes)| inodes));
    note(Signal::Imagefs, image.map(|(bytes, _)| bytes));
    note(Signal::ImagefsInodes, image.map(|(_, inodes)| inodes));
    note(Signal::Containerfs, node.map(|(bytes, _)| bytes));
    note(Signal::ContainerfsInodes, node.map(|(_, inodes)| inodes));
    note(Signal::Pids, process_ids());
    found
}

/// MemTotal, and what of it is not in the working set of the root cgroup: its anonymous and file pages without the inactive file
/// pages (opencontainers/cgroups, fs2, `rootStatsFromMeminfo`; cAdvisor, `setMemoryStats`).
fn node_memory(hierarchy: &Path) -> Option<(u64, u64)> {
    let meminfo = fs::read_to_string("/proc/meminfo").ok()?;
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let total = line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024;
    let root = Cgroup::open(hierarchy).ok()?;
    let key = |key: &str| root.read_key("memory.stat", key).ok().flatten();
    let used = (key("anon")? + key("file")?).saturating_sub(key("inactive_file")?);
    Some((total.saturating_sub(used), total))
}

/// What all pods together may use, and what of it they do not. Without a pod there is no cgroup of all of them.
fn pods_memory(hierarchy: &Path, running: &[Running]) -> Option<(u64, u64)> {
    let above = running.iter().find_map(|one| one.record.group(Rank::Kubepods))?;
    let group = Cgroup::open(&hierarchy.join(above.path.trim_start_matches('/'))).ok()?;
    let capacity: u64 = group.read("memory.max").ok()?.parse().ok()?;
    Some((capacity.saturating_sub(cgroup::working_set(&group)?), capacity))
}

/// Bytes and inodes: what is left for users, and all.
fn file_system(path: &Path) -> Option<((u64, u64), (u64, u64))> {
    let found = rustix::fs::statvfs(path).ok()?;
    let bytes = (found.f_bavail.checked_mul(found.f_frsize)?, found.f_blocks.checked_mul(found.f_frsize)?);
    Some((bytes, (found.f_ffree, found.f_files)))
}

/// The lesser of kernel.pid_max and kernel.threads-max, less the tasks that there are (`pkg/kubelet/stats/pidlimit`).
fn process_ids() -> Option<(u64, u64)> {
    let number = |path: &str| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let most = number("/proc/sys/kernel/pid_max")?.min(number("/proc/sys/kernel/threads-max")?);
    // proc_loadavg(5): the fourth field is runnable/existing.
    let load = fs::read_to_string("/proc/loadavg").ok()?;
    let tasks: u64 = load.split_whitespace().nth(3)?.split_once('/')?.1.parse().ok()?;
    Some((most.saturating_sub(tasks), most))
}

/// Why a pod has to go for what it holds on disk, whatever the node has left: a limit of its own is passed.
pub fn own_storage(one: &Running) -> Option<String> {
    let spec = object::spec(&one.record.pod);
    for volume in spec.volumes.iter().flatten() {
        if let Some(message) = volume.empty_dir.as_ref().and_then(|source| too_full(one, volume, source)) {
            return Some(message);
        }
    }
    let limits = effective::of_pod(&one.pod, List::Limits);
    let total = limits.get("ephemeral-storage").map(|total| total.quantity).filter(|limit| limit.is_positive());
    if let Some(limit) = total.filter(|limit| one.candidate.storage.is_some_and(|used| used > limit.value())) {
        return Some(format!("Pod ephemeral local storage usage exceeds the total limit of containers {limit}. "));
    }
    one.pod.all_containers().find_map(|container| {
        let limit = container.resources.limits.get("ephemeral-storage")?.quantity;
        let (files, logs) = usage::container_disk(&one.home, &container.name);
        let (name, full) = (&container.name, i128::from((files + logs).bytes) > limit.value());
        full.then(|| format!("Container {name} exceeded its local ephemeral storage limit {:?}. ", limit.to_string()))
    })
}

fn too_full(one: &Running, volume: &api::Volume, source: &api::EmptyDirVolumeSource) -> Option<String> {
    let in_memory = source.medium.as_deref() == Some("Memory");
    let limit: Quantity = source.size_limit.as_ref()?.0.parse().ok()?;
    let used = i128::from(usage::volume_disk(&one.home, &volume.name).bytes);
    let full = !in_memory && limit.is_positive() && used > limit.value();
    full.then(|| format!("Usage of EmptyDir volume {:?} exceeds the limit {:?}. ", volume.name, limit.to_string()))
}

/// How long a pod may take to go beyond its grace, in seconds.
const SLOW: u64 = 30;

/// Evicts a pod with so many seconds of grace, and waits until it has ended; it stays to be looked at. `false` where nobody keeps it
/// any more.
pub fn evict(one: &Running, grace: i64, message: &str) -> Result<bool, PodError> {
    let reason = Some(("Evicted".to_string(), message.to_string()));
    let told = order::send(&one.home, &Order::Delete { grace, reason })?.is_some();
    // What it used is free only then: the next measurement shall see it.
    let limit = Duration::from_secs(u64::try_from(grace).unwrap_or(0) + SLOW);
    if told {
        order::wait_until_gone(&one.home, limit)?;
    }
    Ok(told)
}
