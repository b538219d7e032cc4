//! What a container start will do, as data. Pure: the same config and the same machine give the same plan.
//!
//! `step.rs` has the types, this file the story. `text.rs`, `json.rs` and `shell.rs` tell it; the runtime does it.

mod cgroup;
mod host;
mod mount_options;
mod process;
mod rootfs;
mod step;
mod text;
pub mod uapi;

pub use cgroup::path as cgroup_path;
pub use host::{CgroupHost, CgroupLevel, Host};
pub use step::{Clone3, FsParameter, HostStep, IdKind, IdRange, InitStep, MountAttributes, Plan, Planned, RootfsPath};

use crate::cgroup::resources::ResourceError;
use crate::spec::oci::{LinuxNamespaceType, Spec};
use uapi::*;

/// Why a config cannot be carried out on this machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The config has no `process`: there is nothing to start.
    #[error("config.json: process is required to create a container")]
    NoProcess,
    /// A limit that cgroup v2 cannot express.
    #[error("config.json: {0}")]
    Resource(#[from] ResourceError),
    /// A limit is asked for, and the machine has no cgroup v2 mounted.
    #[error("config.json: {field}: this machine has no cgroup v2 hierarchy mounted")]
    NoCgroup {
        /// The first limit, as `linux.resources.pids.limit`.
        field: String,
    },
    /// The cgroup that the config names is somebody's already.
    #[error("config.json: linux.cgroupsPath: the cgroup {path} {why}")]
    CgroupBusy {
        /// Its directory.
        path: String,
        /// `has processes`, `is frozen`.
        why: &'static str,
    },
    /// A limit is asked for whose controller the machine does not have.
    #[error(
        "config.json: {field}: the {controller} controller is missing from {path}/cgroup.controllers, which has \"{available}\""
    )]
    ControllerMissing {
        /// `memory`, `cpu` …
        controller: String,
        /// The limit.
        field: String,
        /// The root of the hierarchy.
        path: String,
        /// What is there.
        available: String,
    },
}

/// What does not come from config.json: how `create` and `run` were called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// `--preserve-fds`: descriptors 3 to 2+N survive execve.
    pub preserve_fds: u32,
}

/// What `create` does, in order. To understand a container start, read this function.
pub fn create(id: &str, spec: &Spec, host: &Host, options: Options) -> Result<Plan, PlanError> {
    let process = spec.process().as_ref().ok_or(PlanError::NoProcess)?;
    let new = namespaces(spec);
    let own_cgroup = host.cgroup.as_ref().and_then(|cgroup| cgroup.levels.last()).map(|level| level.path.clone());

    // Before the process exists: its cgroup, with limits already written, so that it is never unlimited.
    let host_lane = cgroup::steps(spec, host)?;

    // Beside it, while it waits: what only someone outside may write.
    let beside = process::beside(spec);

    // Inside, root in its own namespaces: build the view, swap the root, close what must be closed, give power away.
    let mut init = Vec::new();
    let from = 3 + options.preserve_fds;
    init.push(Planned::new(InitStep::CloseDescriptors { from }, "nothing of the host's stays open in the container"));
    if new & CLONE_NEWUSER != 0 {
        init.push(Planned::new(InitStep::BecomeRoot, "linux.namespaces \"user\""));
    }
    // Device nodes and directories get the modes that they are asked for, not what is left of them.
    init.push(Planned::new(InitStep::SetUmask { mask: 0 }, "modes are taken as they are written"));
    init.push(Planned::new(InitStep::NewSession, "a container does not share our terminal's session"));
    if new & CLONE_NEWCGROUP != 0 {
        init.push(Planned::new(InitStep::Unshare { namespaces: CLONE_NEWCGROUP }, "linux.namespaces \"cgroup\""));
    }
    init.extend(rootfs::view(spec, host, own_cgroup.as_deref()));
    init.push(Planned::new(InitStep::PivotRoot, "root.path"));
    init.extend(identity_of_the_machine(spec, new));
    if process.terminal() == Some(true) {
        let size = process.console_size().map(|size| (size.height() as u16, size.width() as u16));
        init.push(Planned::new(InitStep::OpenTerminal { size }, "process.terminal"));
    }
    init.extend(process::working_directory(process));
    init.extend(rootfs::lock(spec));
    init.extend(process::become_program(process, host));

    Ok(Plan {
        id: id.to_string(),
        clone: Clone3 { namespaces: new & !CLONE_NEWCGROUP, cgroup: own_cgroup },
        host: host_lane,
        beside,
        init,
    })
}

/// CLONE_NEW* flags of the config's new namespaces.
fn namespaces(spec: &Spec) -> u64 {
    let list = spec.linux().as_ref().and_then(|linux| linux.namespaces().as_deref()).unwrap_or_default();
    let flag = |name: &str| NAMESPACES.iter().find(|(known, ..)| *known == name).map_or(0, |(_, flag, _)| *flag);
    let name = |typ| match typ {
        LinuxNamespaceType::Mount => "mount",
        LinuxNamespaceType::Cgroup => "cgroup",
        LinuxNamespaceType::Uts => "uts",
        LinuxNamespaceType::Ipc => "ipc",
        LinuxNamespaceType::User => "user",
        LinuxNamespaceType::Pid => "pid",
        LinuxNamespaceType::Network => "network",
        LinuxNamespaceType::Time => "time",
    };
    list.iter()
        .filter(|namespace| namespace.path().is_none())
        .fold(0, |new, namespace| new | flag(name(namespace.typ())))
}

/// The names and the network that a new UTS and NET namespace start without.
fn identity_of_the_machine(spec: &Spec, new: u64) -> Vec<Planned<InitStep>> {
    let mut steps = Vec::new();
    if let Some(name) = spec.hostname() {
        steps.push(Planned::new(InitStep::SetHostname { name: step::c_string(name) }, "hostname"));
    }
    if let Some(name) = spec.domainname() {
        steps.push(Planned::new(InitStep::SetDomainname { name: step::c_string(name) }, "domainname"));
    }
    if new & CLONE_NEWNET != 0 {
        steps.push(Planned::new(InitStep::BringLoopbackUp, "many programs listen on 127.0.0.1"));
    }
    steps
}
