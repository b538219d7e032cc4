//! What `tree` and `top` ask of the machine: which cgroups there are, and which of them are containers of ours.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::container::{store, told};
use crate::cgroup::Cgroup;
use crate::cgroup::stat::Stat;
use crate::cli::Global;
use crate::error;
use crate::runtime::{Status, Store};
use crate::spec::ContainerId;
use crate::view::names::Container;

/// Every cgroup below `mount` by its path from there, `/` first, with what it uses where that can be read.
pub fn cgroups(mount: &Path) -> BTreeMap<String, Stat> {
    directories(mount)
        .into_iter()
        .map(|path| {
            let stat = Cgroup::open(&path).and_then(|cgroup| cgroup.stat()).unwrap_or_default();
            (below(mount, &path).unwrap_or_default(), stat)
        })
        .collect()
}

/// `top` and every directory below it, each before what is below it. One that goes meanwhile is left out.
pub fn directories(top: &Path) -> Vec<PathBuf> {
    let mut found = vec![top.to_path_buf()];
    let mut next = 0;
    while let Some(directory) = found.get(next).cloned() {
        next += 1;
        let entries = fs::read_dir(&directory).into_iter().flatten().flatten();
        let below = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        found.extend(below.map(|entry| entry.path()));
    }
    found.sort();
    found
}

/// The path of a cgroup from the mount point: `/` for the mount point itself.
pub fn below(mount: &Path, directory: &Path) -> Option<String> {
    directory.strip_prefix(mount).ok().map(|path| format!("/{}", path.display()))
}

/// The containers of the store, and in words what could not be read of them.
pub fn containers(global: &Global, mount: Option<&Path>) -> (Vec<Container>, Vec<String>) {
    let store = store(global);
    let ids = match store.ids() {
        Ok(ids) => ids,
        Err(error) => return (Vec::new(), vec![format!("Containers are not named by their ids: {}.", told(error))]),
    };
    let (mut found, mut notes) = (Vec::new(), Vec::new());
    for id in ids {
        match container(&store, &id, mount) {
            Ok(container) => found.push(container),
            Err(error) => notes.push(format!("Container {id} could not be read: {}.", error::one_line(&error))),
        }
    }
    (found, notes)
}

fn container(store: &Store, id: &ContainerId, mount: Option<&Path>) -> anyhow::Result<Container> {
    let entry = store.peek(id).map_err(told)?;
    // `create` was interrupted before it wrote anything.
    let Some(record) = entry.read().map_err(told)? else {
        return Ok(Container { id: id.to_string(), status: Status::Creating.to_string(), cgroup: None, pid: None });
    };
    let status = entry.status(&record);
    let cgroup = record.cgroup.as_deref().zip(mount).and_then(|(path, mount)| below(mount, path));
    let alive = record.process.as_ref().filter(|_| status != Status::Stopped);
    let pid = alive.map(|process| process.pid);
    Ok(Container { id: id.to_string(), status: status.to_string(), cgroup, pid })
}
