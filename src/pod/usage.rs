//! What a pod and its containers use now: of CPU and memory by their cgroups, on disk by what they wrote.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::cgroup;
use super::error::PodError;
use super::object;
use super::record::{Home, Record};
use crate::cgroup::Cgroup;
use crate::runtime::Store;
use crate::spec::ContainerId;

/// What a cgroup uses. A controller that is not there leaves its numbers out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    /// CPU time so far, in microseconds.
    pub cpu_usec: Option<u64>,
    /// Periods in which its CPU quota was used up, and all periods.
    pub throttled: Option<(u64, u64)>,
    /// Bytes of memory, file pages included.
    pub memory: Option<u64>,
    /// The same without the file pages that can go at once.
    pub working_set: Option<u64>,
    /// Bytes of anonymous memory.
    pub rss: Option<u64>,
    /// Bytes in swap.
    pub swap: Option<u64>,
    /// Threads and processes.
    pub processes: Option<u64>,
}

/// What is on disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Disk {
    /// Bytes, as blocks are counted.
    pub bytes: u64,
    /// Files and directories.
    pub inodes: u64,
}

impl std::ops::Add for Disk {
    type Output = Disk;

    fn add(self, other: Disk) -> Disk {
        Disk { bytes: self.bytes + other.bytes, inodes: self.inodes + other.inodes }
    }
}

/// Reads a cgroup; one that is gone uses nothing that is known.
pub fn of_group(path: &Path) -> Used {
    let Ok(group) = Cgroup::open(path) else { return Used::default() };
    let number = |file: &str| group.read(file).ok()?.parse().ok();
    let key = |file: &str, key: &str| group.read_key(file, key).ok().flatten();
    Used {
        cpu_usec: key("cpu.stat", "usage_usec"),
        throttled: key("cpu.stat", "nr_throttled").zip(key("cpu.stat", "nr_periods")),
        memory: number("memory.current"),
        working_set: cgroup::working_set(&group),
        rss: key("memory.stat", "anon"),
        swap: number("memory.swap.current"),
        processes: number("pids.current"),
    }
}

/// The id of a container's run that goes on; `None` where none does.
pub fn container_id(record: &Record, container: &str) -> Result<Option<ContainerId>, PodError> {
    let prefix = format!("{}_{container}_", object::key(&record.pod));
    let ids = Store::new(record.store.clone()).ids();
    let ids = ids.map_err(|cause| PodError::Container { container: container.into(), cause: Box::new(cause) })?;
    // Only the run that goes on has a state; those before it are gone.
    Ok(ids.into_iter().rfind(|id| id.as_str().starts_with(&prefix)))
}

/// The cgroup of a container's run that goes on.
pub fn container_group(record: &Record, container: &str) -> Result<Option<PathBuf>, PodError> {
    let Some(id) = container_id(record, container)? else { return Ok(None) };
    let path = record.container(container).map(|group| group.path_of(id.as_str()));
    Ok(path.map(|path| record.hierarchy.join(path.trim_start_matches('/'))))
}

/// What a container has written: into its root file system, and into its logs.
pub fn container_disk(home: &Home, container: &str) -> (Disk, Disk) {
    let bundle = home.bundle(container);
    let logs = fs::read_dir(&bundle).into_iter().flatten().flatten().map(|entry| entry.path());
    let logs = logs.filter(|path| path.extension().is_some_and(|end| end == "log"));
    (disk(&bundle.join("upper")), logs.map(|path| disk(&path)).fold(Disk::default(), |sum, one| sum + one))
}

/// What is in the pod's volume of this name. What is mounted on it is in memory, and seen by the pod alone.
pub fn volume_disk(home: &Home, volume: &str) -> Disk {
    disk(&home.volume(volume))
}

/// A file, or a directory with all below it; what cannot be read counts as nothing. Links are not followed.
fn disk(path: &Path) -> Disk {
    let Ok(found) = fs::symlink_metadata(path) else { return Disk::default() };
    let own = Disk { bytes: found.blocks() * 512, inodes: 1 };
    if !found.is_dir() {
        return own;
    }
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| disk(&entry.path())).fold(own, |sum, one| sum + one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_counts_all_below_it_and_follows_no_link() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("below")).unwrap();
        fs::write(directory.path().join("below/file"), vec![1; 100_000]).unwrap();
        std::os::unix::fs::symlink("/", directory.path().join("link")).unwrap();
        let used = disk(directory.path());
        assert_eq!(used.inodes, 4);
        assert!((100_000..400_000).contains(&used.bytes), "{used:?}");
        assert_eq!(disk(&directory.path().join("none")), Disk::default());
    }
}
