//! What can go wrong with a container, and what its user can do about it.

use std::path::PathBuf;

use rustix::io::Errno;

use super::state::Status;
use crate::cgroup::CgroupError;
use crate::cgroup::resources::ResourceError;
use crate::cgroup::systemd::SystemdError;
use crate::plan::{Filesystem, FsParameter, InitStep, LabelKind, PlanError};
use crate::spec::{IdError, SpecError};
use crate::sys::{Call, Failure, errno_name};

/// Why a command on a container failed. The messages of the last four kinds are runc's: engines look for them.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The id cannot be one.
    #[error(transparent)]
    Id(#[from] IdError),
    /// The bundle directory or its config.json cannot be read.
    #[error("bundle {path:?}: {what}")]
    Bundle {
        /// What was looked for.
        path: PathBuf,
        /// What was found instead.
        what: String,
    },
    /// config.json is wrong.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// config.json is right, but not for this machine.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A limit that is asked of a running container, and cannot be had.
    #[error(transparent)]
    Limit(ResourceError),
    /// A call on the way failed.
    #[error("{what}: {cause}")]
    Call {
        /// What was being done, as `write the state of "web"`.
        what: String,
        /// The call and its answer.
        cause: String,
    },
    /// systemd refused, or is not to be reached.
    #[error("systemd: {0}")]
    Systemd(SystemdError),
    /// A step beside the process or before it failed.
    #[error("step {number} ({step}): {cause}")]
    HostStep {
        /// The step's number in `explain`.
        number: usize,
        /// The step's sentence.
        step: String,
        /// The call and its answer.
        cause: String,
        /// The errno by itself.
        errno: Errno,
    },
    /// A step of the container's process failed.
    #[error("step {number} ({}): {failure}", step.describe())]
    InitStep {
        /// The step's number in `explain`.
        number: usize,
        /// The step.
        step: Box<InitStep>,
        /// The call and its answer.
        failure: Failure,
    },
    /// The process ended without a word, most often because the kernel killed it.
    #[error("the container's process ended before it was ready")]
    Died {
        /// The OOM killer ended a process of the container's cgroup.
        out_of_memory: bool,
        /// A system call filter was on it, or about to be.
        filtered: bool,
    },
    /// A hook failed.
    #[error("{field}: the hook {path:?} failed: {end}{}", if output.is_empty() { String::new() } else { format!(": {output}") })]
    Hook {
        /// As `hooks.createRuntime[0]`.
        field: String,
        /// Its program.
        path: String,
        /// How it ended.
        end: String,
        /// The first of what it wrote.
        output: String,
    },
    /// The program is not there or may not be run.
    #[error("unable to start container process: exec: {program:?}: {}", exec_message(program, *errno))]
    Exec {
        /// `process.args[0]`.
        program: String,
        /// Why not.
        errno: Errno,
    },
    /// A container of this id is there already.
    #[error("container with given ID already exists: {0:?}")]
    Exists(String),
    /// There is no container of this id.
    #[error("container {0:?} does not exist")]
    NotFound(String),
    /// No process can be started in a container of this state.
    #[error("cannot exec in a {status} container{}", if *status == Status::Paused { " (use --ignore-paused to override)" } else { "" })]
    CannotExec {
        /// The container's state.
        status: Status,
    },
    /// Whoever watched a start step by step has ended it.
    #[error("stopped before step {number} ({step}), as you wished; nothing of it is left")]
    Aborted {
        /// The step's number in `explain`.
        number: usize,
        /// Its name.
        step: &'static str,
    },
    /// There is no process to act on.
    #[error("container not running")]
    NotRunning,
    /// The container is not in the state that the command needs.
    #[error("cannot {verb} container {id:?} in the {status} state")]
    WrongState {
        /// The command.
        verb: &'static str,
        /// The container.
        id: String,
        /// Its state.
        status: Status,
    },
}

fn exec_message(program: &str, errno: Errno) -> String {
    match errno {
        Errno::NOENT if !program.contains('/') => "executable file not found in $PATH".to_string(),
        Errno::NOENT => "no such file or directory".to_string(),
        Errno::ACCESS => "permission denied".to_string(),
        Errno::ISDIR => "is a directory: permission denied".to_string(),
        Errno::NOTDIR => "not a directory".to_string(),
        Errno::NOEXEC => "exec format error".to_string(),
        errno => errno_name(errno.raw_os_error()),
    }
}

impl From<SystemdError> for RuntimeError {
    fn from(error: SystemdError) -> Self {
        RuntimeError::Systemd(error)
    }
}

impl From<CgroupError> for RuntimeError {
    fn from(error: CgroupError) -> Self {
        RuntimeError::Call { what: "cgroup".to_string(), cause: error.to_string() }
    }
}

impl RuntimeError {
    /// `what` failed with an error of the standard library.
    pub(super) fn io(what: impl Into<String>, cause: &std::io::Error) -> Self {
        let cause = cause.raw_os_error().map_or_else(|| cause.to_string(), errno_name);
        RuntimeError::Call { what: what.into(), cause }
    }

    /// What the user can do about it, as full sentences.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            RuntimeError::Id(_) => "Choose a name such as web-1.".to_string(),
            RuntimeError::Bundle { .. } => {
                "A bundle is a directory with a config.json and a rootfs: make one with `rootfs-scripts/busybox-rootfs \
                 DIR/rootfs` and `glassbox spec --bundle DIR`."
                    .to_string()
            }
            RuntimeError::Plan(PlanError::NoCgroup { .. } | PlanError::ControllerMissing { .. }) => {
                "Run `glassbox doctor` to see how to get the controller, or take the limit out of config.json."
                    .to_string()
            }
            RuntimeError::Plan(PlanError::Rootless { field, .. }) if field == "linux.namespaces" => {
                "Write a config.json for an ordinary user with `glassbox spec --rootless`, or run it as root."
                    .to_string()
            }
            RuntimeError::Plan(PlanError::Rootless { field, .. }) if field.starts_with("mounts") => {
                "Take the maps and the options idmap and ridmap out of the mount.".to_string()
            }
            RuntimeError::Plan(PlanError::Rootless { .. }) => {
                "Take the field out, or map further groups in linux.gidMappings: newgidmap allows setgroups."
                    .to_string()
            }
            RuntimeError::Plan(PlanError::NoHierarchy) => "Run `glassbox doctor` to see how to get it.".to_string(),
            RuntimeError::Plan(PlanError::Scope(_)) => {
                "Write linux.cgroupsPath as machine.slice:glassbox:web, or leave --systemd-cgroup out.".to_string()
            }
            RuntimeError::Systemd(_) => SYSTEMD.to_string(),
            RuntimeError::HostStep { errno: Errno::EXIST, step, .. } if step.starts_with("have systemd") => {
                "Choose another linux.cgroupsPath: a unit of this name runs already.".to_string()
            }
            RuntimeError::HostStep { step, .. } if step.starts_with("have systemd") => SYSTEMD.to_string(),
            RuntimeError::Plan(PlanError::CgroupBusy { .. }) => {
                "Choose another linux.cgroupsPath, or end what runs in this one.".to_string()
            }
            RuntimeError::Spec(SpecError::Json(_)) => {
                "Mend the bundle's config.json there, or make a new one with `glassbox spec`.".to_string()
            }
            RuntimeError::Spec(SpecError::Unsupported { .. }) => "Take the field out of config.json.".to_string(),
            RuntimeError::HostStep { errno, step, .. } => return host_hint(*errno, step),
            RuntimeError::InitStep { step, failure, .. } => return init_hint(step, *failure),
            RuntimeError::Died { out_of_memory: true, .. } => {
                "The kernel's OOM killer ended it: raise linux.resources.memory.limit.".to_string()
            }
            RuntimeError::Died { filtered: true, .. } => {
                "The filter of linux.seccomp may forbid calls that the rest of the start makes: with \
                 process.noNewPrivileges it is loaded last, and needs to allow execve alone."
                    .to_string()
            }
            RuntimeError::NotFound(_) => {
                "`glassbox list` shows the containers that there are; --root names another store.".to_string()
            }
            RuntimeError::Exists(id) => {
                format!("Choose another id, or remove the old container with `glassbox delete --force {id}`.")
            }
            RuntimeError::Exec { errno: Errno::NOENT, .. } => {
                "Look into the bundle's rootfs: process.args[0] must name a file in it, or one in a directory of PATH."
                    .to_string()
            }
            RuntimeError::Exec { errno: Errno::NOEXEC, .. } => {
                "The file is no program of this machine's architecture, or a script without a #! line.".to_string()
            }
            RuntimeError::WrongState { status: Status::Running | Status::Paused, verb: "delete", id } => {
                format!("Stop it first with `glassbox kill {id}`, or use `glassbox delete --force {id}`.")
            }
            RuntimeError::WrongState { status: Status::Creating, id, .. } => {
                format!("An interrupted create is cleaned up by `glassbox delete --force {id}`.")
            }
            _ => return None,
        })
    }
}

const SYSTEMD: &str = "systemd must be process 1 and answer on the system bus (`busctl status org.freedesktop.systemd1`); \
                       without --systemd-cgroup glassbox makes cgroups itself.";

fn host_hint(errno: Errno, step: &str) -> Option<String> {
    Some(match errno {
        Errno::ACCESS | Errno::PERM | Errno::NOENT if step.starts_with("map ") && step.contains(" by new") => {
            "newuidmap and newgidmap come with the package uidmap, and give a user the ids that /etc/subuid and \
             /etc/subgid say: `glassbox doctor` shows what is missing."
                .to_string()
        }
        Errno::PERM | Errno::NOSPC if step.starts_with("clone") && !rustix::process::geteuid().is_root() => {
            "Ordinary users may make no user namespace here, or too few: `glassbox doctor` shows what mends it."
                .to_string()
        }
        Errno::ACCESS | Errno::PERM if rustix::process::geteuid().is_root() => {
            "Root is refused here: `glassbox doctor` shows whether this is a restricted container.".to_string()
        }
        Errno::ACCESS | Errno::PERM => "Run it as root.".to_string(),
        Errno::ROFS => "The cgroup file system is read-only here: `glassbox doctor` shows how to mend it.".to_string(),
        Errno::BUSY if step.starts_with("enable") => {
            "A cgroup with processes of its own cannot enable controllers for children: choose a linux.cgroupsPath \
             elsewhere."
                .to_string()
        }
        Errno::BUSY => "Choose another linux.cgroupsPath: this cgroup is in use.".to_string(),
        Errno::INVAL | Errno::RANGE => {
            "The kernel does not accept this value: change the field in config.json.".to_string()
        }
        _ => return None,
    })
}

fn init_hint(step: &InitStep, failure: Failure) -> Option<String> {
    let text = match (step, failure.errno) {
        (InitStep::MountFilesystem { .. }, Errno::NODEV) => {
            "This kernel has no such file system: check the mount's type, or load its module with modprobe."
        }
        (InitStep::MountFilesystem { filesystem, .. }, Errno::INVAL) if has_context(filesystem) => {
            "The file system does not know one of the mount's options, or this kernel runs no SELinux, which \
             linux.mountLabel needs."
        }
        (InitStep::MountFilesystem { .. } | InitStep::ChangeMount { .. }, Errno::INVAL) => {
            "The file system does not know one of the mount's options: check mounts[].options."
        }
        (InitStep::BindMount { .. }, Errno::NOENT) if failure.call == Call::OpenTree => {
            "The mount's source does not exist on the host: check mounts[].source."
        }
        (InitStep::MountFilesystem { .. } | InitStep::BindMount { .. }, Errno::LOOP) => {
            "A symbolic link stands in the way of the mount's destination: remove it from the rootfs."
        }
        (InitStep::JoinNamespace { .. }, _) if [Call::Fstatfs, Call::Fstat].contains(&failure.call) => {
            "The mount namespace that is joined has no proc file system at /proc, which the start writes to."
        }
        (InitStep::JoinNamespace { .. }, Errno::NOENT) => {
            "There is no such namespace: check the path in linux.namespaces[]."
        }
        (InitStep::JoinNamespace { .. }, Errno::INVAL) => {
            "The file is no namespace of that type: check path and type in linux.namespaces[]."
        }
        (InitStep::WriteSysctl { .. }, Errno::NOENT) => {
            "This kernel has no such parameter, or its module is not loaded: check linux.sysctl."
        }
        (InitStep::WriteSysctl { .. }, Errno::INVAL | Errno::RANGE) => {
            "The kernel does not accept this value: change it in linux.sysctl."
        }
        (InitStep::SetLabel { kind: LabelKind::Apparmor, .. }, _) => {
            "Load the profile with apparmor_parser, or take process.apparmorProfile out of config.json."
        }
        (InitStep::SetLabel { kind: LabelKind::Selinux, .. }, _) => {
            "This kernel runs no SELinux, or has no such label: take process.selinuxLabel out of config.json."
        }
        (InitStep::MountFilesystem { .. } | InitStep::BindMount { .. }, Errno::XDEV) => {
            "A symbolic link leads the mount's destination into /proc: remove it from the rootfs."
        }
        (InitStep::BindMount { .. }, Errno::NODEV) if failure.call == Call::OpenTree => {
            "What is mounted on /proc must be a file system of type proc: check mounts[].source."
        }
        (InitStep::SetCapabilities { .. } | InitStep::DropBounding { .. }, Errno::PERM) => {
            "We do not have these capabilities ourselves: ask for fewer in process.capabilities."
        }
        (InitStep::OpenTerminal { .. }, _) => {
            "A terminal needs a devpts mount on /dev/pts; without one set process.terminal to false."
        }
        (InitStep::PivotRoot, Errno::INVAL) => {
            "The host's own root is an initramfs, which pivot_root(2) cannot leave: start from a mounted root."
        }
        (_, Errno::ROFS) => "The rootfs is read-only on the host: make the missing file or directory in it first.",
        (_, Errno::PERM | Errno::ACCESS) if !rustix::process::geteuid().is_root() => "Run it as root.",
        (_, Errno::NOSPC) => "A limit is reached: user.max_*_namespaces, fs.mount-max, or the disk is full.",
        (_, Errno::NOSYS) => "This kernel is too old for glassbox: `glassbox doctor` shows what it needs.",
        _ => return None,
    };
    Some(text.to_string())
}

fn has_context(filesystem: &Filesystem) -> bool {
    let is_context = |it: &FsParameter| matches!(it, FsParameter::Value(key, _) if key.as_c_str() == c"context");
    filesystem.parameters.iter().any(is_context)
}
