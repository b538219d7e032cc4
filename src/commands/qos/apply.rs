//! `--apply`: makes the cgroups of a pod below a directory that the caller owns.

use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::cgroup::tree::{self, Group, Made, TreeError};
use crate::error::Failure;
use crate::kube::kubelet_config::KubeletConfig;
use crate::kube::levels::{Level, Rank};

/// Makes one directory a level below `parent` and writes the files.
///
/// A pod whose cgroup exists is written again, unless processes live in it.
pub fn apply(parent: &Path, levels: &[Level], config: &KubeletConfig) -> anyhow::Result<(Vec<PathBuf>, Vec<String>)> {
    let groups: Vec<Group<'_>> = levels
        .iter()
        .map(|level| Group { path: &level.path, writes: &level.files, must_be_idle: level.rank == Rank::Pod })
        .collect();
    // kubelet does without hugetlb where the kernel has none (maybeSetHugetlb). Without the static CPU manager cpuset is
    // all CPUs, which is what a cgroup without the controller has.
    let optional: &[&str] = if config.static_cpus { &["hugetlb"] } else { &["hugetlb", "cpuset"] };
    let root = parent.canonicalize().map_err(|error| {
        let failure = Failure::new(format!("cannot make the pod's cgroups in {}", parent.display())).caused_by(error);
        failure.hint("Give an existing cgroup directory: sudo mkdir /sys/fs/cgroup/lab")
    })?;
    let Made { directories, absent } = tree::make(&root, &groups, optional).map_err(|error| explain(parent, error))?;
    let mut notes = vec!["container ids are made by a runtime: the containers' names stand in for them".to_string()];
    notes.extend(absent.iter().map(|what| format!("left out: {what}")));
    Ok((directories, notes))
}

fn explain(parent: &Path, error: TreeError) -> Failure {
    let hint = match &error {
        TreeError::NotCgroup2 { .. } => {
            "Give a directory below the cgroup2 mount; `findmnt -t cgroup2` shows where it is.".to_string()
        }
        TreeError::NoController { path, missing, .. } => {
            let above = path.parent().unwrap_or(Path::new("/"));
            let wanted: Vec<String> = missing.split(' ').map(|name| format!("+{name}")).collect();
            format!(
                "Hand it down from above: echo \"{}\" | sudo tee {}/cgroup.subtree_control",
                wanted.join(" "),
                above.display()
            )
        }
        TreeError::HoldsProcesses { .. } => {
            "Give a cgroup without processes of its own: make a new directory.".to_string()
        }
        TreeError::InUse { path } => format!("Stop them first; {}/cgroup.kill ends all of them.", path.display()),
        TreeError::Call(error) if matches!(error.errno, Errno::ACCESS | Errno::PERM) => {
            "Run as root, or as the owner of the directory and all its files.".to_string()
        }
        TreeError::Call(error) if matches!(error.errno, Errno::INVAL | Errno::RANGE) => {
            "The kernel does not take this value; with --node, give a Node like this machine.".to_string()
        }
        TreeError::Call(_) => "Nothing was left behind; look at the file that is named.".to_string(),
    };
    Failure::new(format!("cannot make the pod's cgroups in {}", parent.display())).caused_by(error).hint(hint)
}
