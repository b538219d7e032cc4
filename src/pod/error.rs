//! What can go wrong with a pod, and what its user can do about it.

use std::io;
use std::path::PathBuf;

use crate::cgroup::CgroupError;
use crate::cgroup::systemd::SystemdError;
use crate::cgroup::tree::TreeError;
use crate::image::ImageError;
use crate::net::NetError;
use crate::runtime::RuntimeError;

/// Why a command on a pod failed.
#[derive(Debug, thiserror::Error)]
pub enum PodError {
    /// A file of the pod's cannot be read or written.
    #[error("{path:?}: {cause}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        cause: io::Error,
    },
    /// A pod of this name is there already.
    #[error("pod {0} exists already")]
    Exists(String),
    /// There is no pod of this name.
    #[error("there is no pod {0}")]
    NotFound(String),
    /// A call failed.
    #[error("cannot {what}: {cause}")]
    Call {
        /// What was being done.
        what: String,
        /// Why not.
        cause: io::Error,
    },
    /// Its cgroups cannot be made.
    #[error("the pod's cgroups: {0}")]
    Tree(#[from] TreeError),
    /// systemd refused, or is not to be reached.
    #[error("systemd: {0}")]
    Systemd(#[from] SystemdError),
    /// A cgroup is not what it should be.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// A container cannot be made.
    #[error("{container}: {cause}")]
    Container {
        /// Its name; `sandbox` for the pause container.
        container: String,
        /// Why not.
        cause: Box<RuntimeError>,
    },
    /// The network cannot be had.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The manifest asks for what is not there.
    #[error("{0}")]
    Config(String),
    /// An image cannot be had.
    #[error("image {name}: {cause}")]
    Image {
        /// Its name.
        name: String,
        /// Why not.
        cause: Box<ImageError>,
    },
    /// The pod cannot be resized so.
    #[error("{0}")]
    Resize(String),
    /// The supervisor did not come up.
    #[error("{0}")]
    Supervisor(String),
}

impl PodError {
    pub(super) fn file(path: impl Into<PathBuf>, cause: io::Error) -> PodError {
        PodError::File { path: path.into(), cause }
    }

    pub(super) fn call(what: impl Into<String>, cause: io::Error) -> PodError {
        PodError::Call { what: what.into(), cause }
    }

    /// What the user can do about it, as a full sentence.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            PodError::Exists(name) => format!("Remove it with `glassbox pod delete {}`.", short(name)),
            PodError::NotFound(_) => {
                "`glassbox pod ps` shows the pods that there are; -n NAMESPACE chooses another namespace.".into()
            }
            PodError::File { cause, .. } | PodError::Call { cause, .. }
                if cause.kind() == io::ErrorKind::PermissionDenied =>
            {
                "Run it as root.".into()
            }
            PodError::Container { cause, .. } => return cause.hint(),
            PodError::Net(error) => return error.hint().map(str::to_string),
            PodError::Systemd(_) => {
                "systemd must be process 1 and answer on the system bus; cgroupDriver: cgroupfs does without it.".into()
            }
            PodError::Tree(TreeError::NoController { .. } | TreeError::NotCgroup2 { .. }) => {
                "Run `glassbox doctor` to see how to get cgroup v2 with its controllers.".into()
            }
            _ => return None,
        })
    }
}

/// A name without the namespace that goes without saying.
fn short(name: &str) -> &str {
    name.strip_prefix("default/").unwrap_or(name)
}
