//! Kubernetes rules as pure functions: from a Pod to the values a kubelet and a runtime would write.
//!
//! Read them in this order: [`manifest`] and [`decode`] turn text into a typed Pod, [`pod`] keeps what matters here,
//! [`defaults`], [`validate`] and [`overflow`] do what the API server would, [`qos`] and [`effective`] decide class and totals, [`cpu`],
//! [`memory`] and [`oom`] hold the formulas, [`cgroup_path`] the names, and [`levels`] puts it all together.
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

pub mod memory;

pub mod oom;

pub mod cgroup_path;

pub mod node;

pub mod kubelet_config;

pub mod levels;

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
