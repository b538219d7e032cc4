//! What this machine offers to containers: facts, gathered without changing anything, and the judgement over them.
//!
//! [`gather`] reads the machine; [`judge::judge`] is pure, so a test can put any machine before it. Whatever the kernel
//! only tells by trying (`attempt.rs`) is tried in a child process, of which nothing stays.

pub mod attempt;
pub mod cgroup;
pub mod judge;
pub mod machine;
#[cfg(test)]
pub mod samples;

use std::collections::BTreeMap;

use serde::Serialize;

pub use attempt::{Attempt, Feature, Namespace, Outcome};
pub use cgroup::CgroupFacts;
pub use machine::{KernelFacts, RootlessFacts, UserFacts};

/// Everything that the judgement depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    /// The kernel, its security modules, CPUs and memory.
    pub kernel: KernelFacts,
    /// Who asks, and in what.
    pub user: UserFacts,
    /// Cgroup hierarchies.
    pub cgroup: CgroupFacts,
    /// Per namespace: what unshare(2) answered.
    pub namespaces: BTreeMap<Namespace, NamespaceFacts>,
    /// Per system call that glassbox makes: what the kernel answered.
    pub features: BTreeMap<Feature, Outcome>,
    /// What an ordinary user needs.
    pub rootless: RootlessFacts,
    /// Programs by name, with the path where PATH has them.
    pub tools: BTreeMap<String, Option<String>>,
    /// What opening /dev/kvm and making a VM by it answered.
    pub kvm: Outcome,
}

/// What is known of one kind of namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceFacts {
    /// unshare(2) of it alone.
    pub alone: Outcome,
    /// unshare(2) of it as root of a new user namespace, which is how an ordinary user gets one; none for the user
    /// namespace itself.
    pub in_user_namespace: Option<Outcome>,
    /// `/proc/sys/user/max_…_namespaces`; none where the kernel has no such file.
    pub limit: Option<u64>,
}

/// Reads the machine. `try_in_child` must run [`Attempt::run`] in a process of its own and bring back its outcome.
pub fn gather(try_in_child: impl Fn(Attempt) -> Outcome) -> Facts {
    let namespaces = Namespace::ALL.into_iter().map(|namespace| {
        let facts = NamespaceFacts {
            alone: try_in_child(Attempt::Alone(namespace)),
            in_user_namespace: (namespace != Namespace::User).then(|| try_in_child(Attempt::InUser(namespace))),
            limit: machine::read_number(&format!("/proc/sys/user/max_{namespace}_namespaces")),
        };
        (namespace, facts)
    });
    let kernel = machine::kernel();
    let tools = judge::tools_of(&kernel.machine);
    Facts {
        namespaces: namespaces.collect(),
        features: Feature::ALL.into_iter().map(|feature| (feature, try_in_child(Attempt::Feature(feature)))).collect(),
        user: machine::user(),
        cgroup: cgroup::gather(),
        rootless: machine::rootless(),
        tools: tools.into_iter().map(|name| (name.clone(), machine::which(&name))).collect(),
        kvm: machine::make_vm(),
        kernel,
    }
}
