//! The network of pods on one node: a bridge, a pair of veth devices for each sandbox, addresses from one range.
//!
//! Read `node.rs` first: it has the story of attaching a sandbox and of undoing that. `range.rs` and `leases.rs` give out
//! addresses, `link.rs` makes devices by `netlink.rs`, `nft.rs` has the rules for the way out and for host ports, `hosts.rs`
//! the text of /etc/hosts. `device.rs` moves a device of the host into a container. `cni.rs` does all of it by CNI plugins instead.

pub mod cni;
mod device;
mod error;
pub mod hosts;
mod leases;
mod link;
mod netlink;
mod nft;
mod node;
mod port;
mod range;

pub use device::move_device;
pub use error::NetError;
pub use node::{Attached, Network, attach, detach};
pub use port::{HostPort, Protocol};
pub use range::{Range, RangeError};
