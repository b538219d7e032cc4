//! Which cgroups `top` looks at, and looking at them.

use std::path::{Path, PathBuf};

use crate::cgroup::{Cgroup, mount_point};
use crate::cli::Global;
use crate::commands::machine;
use crate::error::Failure;
use crate::view::names::{self, Container, Owner};
use crate::view::top::frame::Sample;

/// What is looked at.
pub(super) struct Scope {
    mount: PathBuf,
    global: Global,
    wanted: Wanted,
}

enum Wanted {
    /// Every container and pod.
    Owned,
    /// A cgroup with all below it, by its path from the mount point.
    Below { path: String, words: String },
}

impl Scope {
    /// Finds what the user named. A cgroup that is not there is refused now, and waited for later.
    pub(super) fn new(what: Option<&str>, global: &Global) -> anyhow::Result<Scope> {
        let mount = mount_point().ok_or_else(|| {
            let failure =
                Failure::new("no cgroup v2 file system is mounted on /sys/fs/cgroup or /sys/fs/cgroup/unified");
            failure.hint("`glassbox doctor` tells what mends it; --replay shows a recording of another machine.")
        })?;
        let wanted = match what {
            None => Wanted::Owned,
            Some(what) if what.starts_with('/') => by_path(&mount, what)?,
            Some(what) => by_name(&mount, what, global)?,
        };
        Ok(Scope { mount, global: global.clone(), wanted })
    }

    /// What is looked at, in words.
    pub(super) fn words(&self) -> String {
        match &self.wanted {
            Wanted::Owned => "every container and pod".to_string(),
            Wanted::Below { words, .. } => words.clone(),
        }
    }

    /// One look. A cgroup that goes meanwhile is left out.
    pub(super) fn samples(&self) -> anyhow::Result<Vec<Sample>> {
        let (containers, _) = machine::containers(&self.global, Some(&self.mount));
        let top = match &self.wanted {
            Wanted::Owned => self.mount.clone(),
            Wanted::Below { path, .. } => directory(&self.mount, path),
        };
        let mut samples = Vec::new();
        for directory in machine::directories(&top) {
            let Some(path) = machine::below(&self.mount, &directory) else { continue };
            let owner = names::owner(&path, &containers);
            if matches!(self.wanted, Wanted::Owned) && !is_container_or_pod(owner.as_ref()) {
                continue;
            }
            if let Ok(stat) = Cgroup::open(&directory).and_then(|cgroup| cgroup.stat()) {
                let name = owner.map_or_else(|| self.short(&path), |owner| name(&owner));
                samples.push(Sample { path, name, using: None, stat });
            }
        }
        Ok(samples)
    }

    /// The path below what is looked at, or its last part for that itself.
    fn short(&self, path: &str) -> String {
        let last = path.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("/");
        match &self.wanted {
            Wanted::Owned => path.to_string(),
            Wanted::Below { path: top, .. } => {
                let below = path.strip_prefix(top.as_str()).unwrap_or(path).trim_start_matches('/');
                if below.is_empty() { last.to_string() } else { below.to_string() }
            }
        }
    }
}

/// In the column of names, `container` goes without saying.
fn name(owner: &Owner) -> String {
    match owner {
        Owner::Glassbox { id, .. } => id.clone(),
        Owner::Container { .. } | Owner::Pod { .. } | Owner::Class { .. } | Owner::Pods => {
            let words = owner.words();
            words.strip_prefix("container ").map(str::to_string).unwrap_or(words)
        }
    }
}

fn is_container_or_pod(owner: Option<&Owner>) -> bool {
    match owner {
        Some(Owner::Glassbox { .. } | Owner::Container { .. } | Owner::Pod { .. }) => true,
        Some(Owner::Class { .. } | Owner::Pods) | None => false,
    }
}

fn directory(mount: &Path, path: &str) -> PathBuf {
    match path.trim_start_matches('/') {
        "" => mount.to_path_buf(),
        below => mount.join(below),
    }
}

fn by_path(mount: &Path, what: &str) -> anyhow::Result<Wanted> {
    let path = Path::new(what);
    let below = path.strip_prefix(mount).or_else(|_| path.strip_prefix("/")).unwrap_or(path);
    let below = format!("/{}", below.display().to_string().trim_end_matches('/'));
    let opened = Cgroup::open(&directory(mount, &below));
    opened.map_err(|cause| {
        let failure = Failure::new(format!("there is no cgroup {below}")).caused_by(cause);
        failure.hint("`glassbox tree --all` shows every cgroup; a container is named by its id, a pod by its uid.")
    })?;
    let words = if below == "/" { "every cgroup".to_string() } else { below.clone() };
    Ok(Wanted::Below { path: below, words })
}

fn by_name(mount: &Path, what: &str, global: &Global) -> anyhow::Result<Wanted> {
    let (containers, notes) = machine::containers(global, Some(mount));
    let ours = |container: &Container| (container.id == what).then(|| container.cgroup.clone())?;
    if let Some(path) = containers.iter().find_map(ours) {
        return Ok(Wanted::Below { path, words: format!("container {what}") });
    }
    for directory in machine::directories(mount) {
        let Some(path) = machine::below(mount, &directory) else { continue };
        let found = match names::owner(&path, &containers) {
            Some(Owner::Pod { uid, .. }) => uid == what,
            // Twelve digits are what engines print of an id.
            Some(Owner::Container { id, .. }) => what.len() >= 12 && id.starts_with(what),
            Some(Owner::Glassbox { .. } | Owner::Class { .. } | Owner::Pods) | None => false,
        };
        if found {
            let words = names::owner(&path, &containers).map_or_else(|| path.clone(), |owner| owner.words());
            return Ok(Wanted::Below { path, words });
        }
    }
    let mut failure = Failure::new(format!("{what:?} is no container and no pod of this machine"));
    for note in notes {
        failure = failure.hint(note);
    }
    Err(failure.hint("`sudo glassbox tree` shows what is there; a cgroup is named by its path: /system.slice").into())
}
