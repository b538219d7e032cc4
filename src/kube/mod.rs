//! Kubernetes rules as pure functions: from a Pod to the values a kubelet and a runtime would write.
//!
//! Read them in this order: [`manifest`] and [`decode`] turn text into a typed Pod, [`pod`] keeps what matters here,
//! [`defaults`], [`validate`] and [`overflow`] do what the API server would, [`qos`] and [`effective`] decide class and totals, [`cpu`],
//! [`cpu_manager`], [`memory`], [`hugetlb`] and [`oom`] hold the formulas, [`cgroup_path`] the names (and [`cgroup_place`]
//! the way back from them), and [`levels`] puts it all together; [`oci`] has the fields of config.json in between, [`v1`]
//! cgroup v1's spellings.
//! Everything follows Kubernetes 1.36; nothing here reads the machine.

pub mod quantity;

pub mod manifest;

pub mod decode;

pub mod pod;

pub mod defaults;

pub mod validate;

pub mod overflow;

pub mod qos;

pub mod effective;

pub mod cpu;

pub mod cpuset;

pub mod cpu_manager;

pub mod memory;

pub mod hugetlb;

pub mod oom;

pub mod eviction;

pub mod cgroup_path;

pub mod cgroup_place;

pub mod node;

pub mod kubelet_config;

pub mod levels;

pub mod oci;

pub mod v1;

use levels::{Ids, Level, Setting};
use manifest::Found;
use pod::Pod;
use qos::Verdict;

/// A valid pod's place on a node.
#[derive(Debug, Clone, PartialEq)]
pub struct Placed {
    /// The pod, defaults filled in.
    pub pod: Pod,
    /// Its QoS class and why.
    pub verdict: Verdict,
    /// Its cgroups, outermost first.
    pub levels: Vec<Level>,
    /// What a reader must know besides: stand-ins, and fields that are not looked at.
    pub warnings: Vec<String>,
}

/// What a kubelet and a runtime make of the pod in a manifest. To understand how a pod becomes cgroups, read this function.
///
/// `name` chooses among several pods. The errors are those of the API server, with its field paths.
pub fn place(manifest: &str, name: Option<&str>, setting: &Setting, ids: Ids) -> Result<Placed, Vec<Problem>> {
    let found = manifest::find_pod(manifest, name).map_err(|problem| vec![problem])?;
    place_found(&found, setting, ids)
}

/// The same for a pod that is found already.
pub fn place_found(found: &Found, setting: &Setting, ids: Ids) -> Result<Placed, Vec<Problem>> {
    let mut pod = Pod::decode(found)?;
    if !setting.config.gates.pod_level_resources {
        pod.drop_pod_level();
    }
    defaults::apply(&mut pod);
    let problems = validate::problems(&pod);
    if !problems.is_empty() {
        return Err(problems);
    }
    let verdict = qos::class_of(&pod);
    let (levels, notes) = levels::of(&pod, verdict.class, setting, ids);
    let warnings = pod.warnings.iter().cloned().chain(notes).collect();
    Ok(Placed { pod, verdict, levels, warnings })
}

/// Something wrong with one field, in the words and with the field path that Kubernetes uses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", if field.is_empty() { String::new() } else { format!("{field}: ") })]
pub struct Problem {
    /// Path of the field, such as `spec.containers[0].resources.limits[cpu]`; empty for the document itself.
    pub field: String,
    /// What is wrong, with the value and what to write instead.
    pub message: String,
}

impl Problem {
    /// A problem with `field`.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Problem { field: field.into(), message: message.into() }
    }
}
