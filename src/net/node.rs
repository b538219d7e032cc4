//! Attaching a sandbox to the node's bridge, and undoing it. To understand a pod's network, read [`attach`].

use std::fs;
use std::net::Ipv4Addr;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use super::error::NetError;
use super::leases::{Leases, Table};
use super::link;
use super::netlink::Netlink;
use super::nft;
use super::port::HostPort;
use super::range::Range;

/// The node's side of the network.
#[derive(Debug, Clone)]
pub struct Network {
    /// Name of the bridge, and of the nftables table.
    pub bridge: String,
    /// The addresses that pods get.
    pub range: Range,
    /// Directory of the leases, which all who use the bridge must name alike.
    pub state: PathBuf,
}

/// What a sandbox got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    /// Its address.
    pub address: Ipv4Addr,
    /// Where its way out leads.
    pub gateway: Ipv4Addr,
    /// The device of its pair that is on the node.
    pub device: String,
}

/// Attaches the network namespace `sandbox`, known as `id`: an address, a pair of devices, a route, the way out, and the
/// ports of the node that lead to it. An error leaves nothing behind.
pub fn attach(network: &Network, id: &str, sandbox: BorrowedFd<'_>, ports: &[HostPort]) -> Result<Attached, NetError> {
    let mut leases = Leases::open(&network.state)?;
    check(&leases.table, network)?;
    // What is written down first can be undone, whatever instant a kill comes at.
    let lease = leases.table.lease(id, network.range, ports)?;
    leases.table.range = network.range.to_string();
    leases.table.bridge = network.bridge.clone();
    remember_settings(&mut leases.table);
    leases.save()?;
    let build = || {
        let node = Netlink::open().map_err(|cause| NetError::call("open a netlink socket", cause))?;
        let inside =
            Netlink::open_in(sandbox).map_err(|cause| NetError::call("open a netlink socket in the sandbox", cause))?;
        let bridge = link::bridge(&node, &network.bridge, network.range)?;
        change_settings(&network.bridge)?;
        // Left over from an attach that a kill cut short.
        link::remove(&node, &lease.device)?;
        link::pair(&node, &lease.device, bridge, sandbox)?;
        link::configure(&inside, network.range, lease.address)?;
        nft::apply(&nft::ruleset(&leases.table, network.range))
    };
    match build() {
        Ok(()) => Ok(Attached { address: lease.address, gateway: network.range.gateway(), device: lease.device }),
        Err(error) => {
            // The first error is the one to tell.
            let _ = release(leases, id);
            Err(error)
        }
    }
}

/// Gives back all that [`attach`] gave to `id`; with the last sandbox the bridge and the rules go, and the kernel's settings
/// are what they were. An id that has nothing is no error.
pub fn detach(state: &Path, id: &str) -> Result<(), NetError> {
    if !state.join("leases.json").exists() {
        return Ok(());
    }
    release(Leases::open(state)?, id)
}

fn release(mut leases: Leases, id: &str) -> Result<(), NetError> {
    let Some(lease) = leases.table.leases.get(id).cloned() else { return Ok(()) };
    let node = Netlink::open().map_err(|cause| NetError::call("open a netlink socket", cause))?;
    link::remove(&node, &lease.device)?;
    leases.table.leases.remove(id);
    if !leases.table.leases.is_empty() {
        if let Ok(range) = leases.table.range.parse() {
            nft::apply(&nft::ruleset(&leases.table, range))?;
        }
        return leases.save();
    }
    nft::remove(&leases.table.bridge)?;
    link::remove(&node, &leases.table.bridge)?;
    for (path, value) in &leases.table.changed {
        let path = Path::new("/proc/sys").join(path);
        fs::write(&path, value).map_err(|cause| NetError::file(path, cause))?;
    }
    leases.remove()
}

/// One bridge serves one range.
fn check(table: &Table, network: &Network) -> Result<(), NetError> {
    let same = table.range == network.range.to_string() && table.bridge == network.bridge;
    if table.leases.is_empty() || same {
        return Ok(());
    }
    Err(NetError::OtherRange {
        bridge: table.bridge.clone(),
        present: table.range.clone(),
        wanted: format!("{} on {}", network.range, network.bridge),
    })
}

/// The node forwards between its devices (ip-sysctl.rst): without it no packet leaves the bridge.
const FORWARD: &str = "net/ipv4/ip_forward";

fn remember_settings(table: &mut Table) {
    let now = fs::read_to_string(Path::new("/proc/sys").join(FORWARD)).ok();
    if let Some(value) = now.filter(|_| !table.changed.contains_key(FORWARD)) {
        table.changed.insert(FORWARD.into(), value.trim().to_string());
    }
}

fn change_settings(bridge: &str) -> Result<(), NetError> {
    // A packet from 127.0.0.1 may leave by the bridge, for host ports of localhost; this goes when the bridge goes.
    let local = format!("net/ipv4/conf/{bridge}/route_localnet");
    for path in [FORWARD, local.as_str()] {
        let path = Path::new("/proc/sys").join(path);
        fs::write(&path, "1").map_err(|cause| NetError::file(path, cause))?;
    }
    Ok(())
}
