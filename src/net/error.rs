//! What can go wrong with a pod's network, and what its user can do about it.

use std::io;
use std::path::PathBuf;

/// Why a sandbox was not attached, or not detached.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The kernel refused a request over rtnetlink(7), or a call beside it.
    #[error("cannot {what}: {cause}")]
    Call {
        /// What was being done, as `make the bridge glassbox0`.
        what: String,
        /// What the kernel answered.
        cause: io::Error,
    },
    /// A file of ours, or of /proc/sys, cannot be read or written.
    #[error("{path:?}: {cause}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        cause: io::Error,
    },
    /// The file of leases holds something else.
    #[error("{path:?} is no file of leases: {message}")]
    Leases {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// Every address is given out.
    #[error("no address is free in {range}: {used} are given out")]
    Full {
        /// The range.
        range: String,
        /// How many sandboxes have one.
        used: usize,
    },
    /// The sandboxes that are there have addresses of another range.
    #[error("the bridge {bridge} serves {present}, and {wanted} is asked for")]
    OtherRange {
        /// The bridge.
        bridge: String,
        /// The range in use.
        present: String,
        /// The range that is wanted.
        wanted: String,
    },
    /// Another pod has the port.
    #[error("host port {port} is taken by {holder}")]
    PortTaken {
        /// Protocol and number, as `tcp 8080`.
        port: String,
        /// The id that holds it.
        holder: String,
    },
    /// nft refused the rules, or is not there.
    #[error("nft: {message}")]
    Nft {
        /// What it said.
        message: String,
    },
    /// A CNI configuration is wrong.
    #[error("CNI configuration {path:?}: {message}")]
    CniConfig {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// A CNI plugin failed.
    #[error("CNI plugin {plugin} {command}: {message}")]
    CniPlugin {
        /// Its type.
        plugin: String,
        /// `ADD` or `DEL`.
        command: &'static str,
        /// What it said.
        message: String,
    },
}

impl NetError {
    pub(super) fn call(what: impl Into<String>, cause: io::Error) -> NetError {
        NetError::Call { what: what.into(), cause }
    }

    pub(super) fn file(path: impl Into<PathBuf>, cause: io::Error) -> NetError {
        NetError::File { path: path.into(), cause }
    }

    /// What the kernel answered, where it was the kernel.
    pub fn errno(&self) -> Option<rustix::io::Errno> {
        match self {
            NetError::Call { cause, .. } | NetError::File { cause, .. } => rustix::io::Errno::from_io_error(cause),
            NetError::Leases { .. }
            | NetError::Full { .. }
            | NetError::OtherRange { .. }
            | NetError::PortTaken { .. }
            | NetError::Nft { .. }
            | NetError::CniConfig { .. }
            | NetError::CniPlugin { .. } => None,
        }
    }

    /// What the user can do about it, as a full sentence.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            NetError::Call { cause, .. } if cause.raw_os_error() == Some(libc_eopnotsupp()) => {
                "The kernel has no such device: load its module with `modprobe -a bridge veth`."
            }
            NetError::Call { cause, .. } if cause.kind() == io::ErrorKind::PermissionDenied => "Run it as root.",
            NetError::Call { .. } | NetError::File { .. } => return None,
            NetError::Leases { .. } => "Remove the file once no pod runs.",
            NetError::Full { .. } => "Delete a pod, or choose a larger range.",
            NetError::OtherRange { .. } => "Delete the pods that run, or give the range that they have.",
            NetError::PortTaken { .. } => "Choose another hostPort, or delete the pod that has it.",
            NetError::Nft { .. } => "Install nftables (apt install nftables), or see `nft list ruleset`.",
            NetError::CniConfig { .. } => "See the CNI specification, section 1, for what a configuration list holds.",
            NetError::CniPlugin { .. } => {
                "Debian's plugins are in /usr/lib/cni (apt install containernetworking-plugins)."
            }
        })
    }
}

/// EOPNOTSUPP, which rtnetlink answers for a kind of device that it does not know.
fn libc_eopnotsupp() -> i32 {
    rustix::io::Errno::OPNOTSUPP.raw_os_error()
}
