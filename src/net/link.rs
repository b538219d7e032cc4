//! Devices, addresses and routes, each by one request to the kernel (rtnetlink(7), veth(4)).

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsRawFd, BorrowedFd};

use netlink_packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{
    InfoBridgePort, InfoData, InfoKind, InfoPortData, InfoPortKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo,
    LinkMessage,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::error::NetError;
use super::netlink::Netlink;
use super::range::Range;

/// The device inside a sandbox, as Kubernetes' runtimes call it.
pub(super) const INSIDE: &str = "eth0";

/// The number of the device `name`; `None` where there is none.
pub(super) fn index(netlink: &Netlink, name: &str) -> Result<Option<u32>, NetError> {
    let mut found = None;
    let take = |message| {
        if let RouteNetlinkMessage::NewLink(link) = message {
            found = Some(link.header.index);
        }
    };
    // With an acknowledgement asked for, the answer has an end.
    match netlink.exchange(RouteNetlinkMessage::GetLink(named(name)), NLM_F_ACK, take) {
        Ok(()) => Ok(found),
        Err(cause) if is(&cause, rustix::io::Errno::NODEV) => Ok(None),
        Err(cause) => Err(NetError::call(format!("look for the device {name}"), cause)),
    }
}

/// Makes the bridge `name` with the first address of `range`, up; one that is there is made so.
///
/// It gets a hardware address of its own: without one the kernel gives it that of a port, and pods lose their neighbour
/// when that port goes.
pub(super) fn bridge(netlink: &Netlink, name: &str, range: Range) -> Result<u32, NetError> {
    let what = || format!("make the bridge {name}");
    if index(netlink, name)?.is_none() {
        let [a, b, c, d] = range.gateway().octets();
        let mut link = named(name);
        // The second bit of the first byte marks an address that no maker gave (IEEE 802).
        link.attributes.push(LinkAttribute::Address(vec![0x0a, 0x58, a, b, c, d]));
        link.attributes.push(LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Bridge)]));
        let request = RouteNetlinkMessage::NewLink(link);
        netlink.request(request, NLM_F_CREATE | NLM_F_EXCL).map_err(|cause| NetError::call(what(), cause))?;
    }
    let number = index(netlink, name)?.ok_or_else(|| NetError::call(what(), io::ErrorKind::NotFound.into()))?;
    address(netlink, number, range, range.gateway())
        .map_err(|cause| NetError::call(format!("give the bridge {name} its address {}", range.gateway()), cause))?;
    up(netlink, number).map_err(|cause| NetError::call(format!("bring {name} up"), cause))?;
    Ok(number)
}

/// Makes a pair of devices: `name` here, as a port of `bridge`, and [`INSIDE`] in the namespace `sandbox`.
pub(super) fn pair(netlink: &Netlink, name: &str, bridge: u32, sandbox: BorrowedFd<'_>) -> Result<(), NetError> {
    let what = || format!("make the pair of devices {name} and {INSIDE}");
    let mut peer = named(INSIDE);
    peer.attributes.push(LinkAttribute::NetNsFd(sandbox.as_raw_fd()));
    let mut link = named(name);
    link.attributes.push(LinkAttribute::Controller(bridge));
    link.attributes.push(LinkAttribute::LinkInfo(vec![
        LinkInfo::Kind(InfoKind::Veth),
        LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))),
    ]));
    let request = RouteNetlinkMessage::NewLink(link);
    netlink.request(request, NLM_F_CREATE | NLM_F_EXCL).map_err(|cause| NetError::call(what(), cause))?;
    let number = index(netlink, name)?.ok_or_else(|| NetError::call(what(), io::ErrorKind::NotFound.into()))?;
    // A pod that calls its own host port comes back to the port it came from: hairpin mode lets it.
    let mut port = LinkMessage::default();
    port.header.index = number;
    port.attributes.push(LinkAttribute::LinkInfo(vec![
        LinkInfo::PortKind(InfoPortKind::Bridge),
        LinkInfo::PortData(InfoPortData::BridgePort(vec![InfoBridgePort::HairpinMode(true)])),
    ]));
    let request = RouteNetlinkMessage::NewLink(port);
    netlink.request(request, 0).map_err(|cause| NetError::call(format!("set hairpin mode of {name}"), cause))?;
    up(netlink, number).map_err(|cause| NetError::call(format!("bring {name} up"), cause))
}

/// Gives the sandbox's device its address, and a route to everywhere by the bridge. `inside` is a socket in the sandbox.
pub(super) fn configure(inside: &Netlink, range: Range, own: Ipv4Addr) -> Result<(), NetError> {
    let number = |name: &str| {
        index(inside, name)?
            .ok_or_else(|| NetError::call(format!("find {name} in the sandbox"), io::ErrorKind::NotFound.into()))
    };
    let loopback = number("lo")?;
    up(inside, loopback).map_err(|cause| NetError::call("bring lo up in the sandbox", cause))?;
    let device = number(INSIDE)?;
    address(inside, device, range, own)
        .map_err(|cause| NetError::call(format!("give the sandbox its address {own}"), cause))?;
    up(inside, device).map_err(|cause| NetError::call(format!("bring {INSIDE} up in the sandbox"), cause))?;
    let mut route = RouteMessage::default();
    route.header.address_family = AddressFamily::Inet;
    route.header.table = RouteHeader::RT_TABLE_MAIN;
    route.header.protocol = RouteProtocol::Boot;
    route.header.scope = RouteScope::Universe;
    route.header.kind = RouteType::Unicast;
    route.attributes.push(RouteAttribute::Gateway(RouteAddress::Inet(range.gateway())));
    route.attributes.push(RouteAttribute::Oif(device));
    inside
        .request(RouteNetlinkMessage::NewRoute(route), NLM_F_CREATE | NLM_F_EXCL)
        .map_err(|cause| NetError::call(format!("set the sandbox's route by {}", range.gateway()), cause))
}

/// Removes the device `name`; its other half goes with it. One that is gone already is no error.
pub(super) fn remove(netlink: &Netlink, name: &str) -> Result<(), NetError> {
    match netlink.request(RouteNetlinkMessage::DelLink(named(name)), 0) {
        Err(cause) if !is(&cause, rustix::io::Errno::NODEV) => {
            Err(NetError::call(format!("remove the device {name}"), cause))
        }
        _ => Ok(()),
    }
}

fn named(name: &str) -> LinkMessage {
    let mut link = LinkMessage::default();
    link.attributes.push(LinkAttribute::IfName(name.to_string()));
    link
}

pub(super) fn up(netlink: &Netlink, number: u32) -> io::Result<()> {
    let mut link = LinkMessage::default();
    link.header.index = number;
    link.header.flags = LinkFlags::Up;
    link.header.change_mask = LinkFlags::Up;
    netlink.request(RouteNetlinkMessage::SetLink(link), 0)
}

fn address(netlink: &Netlink, device: u32, range: Range, own: Ipv4Addr) -> io::Result<()> {
    let mut message = AddressMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.prefix_len = range.prefix();
    message.header.index = device;
    message.attributes.push(AddressAttribute::Local(IpAddr::V4(own)));
    message.attributes.push(AddressAttribute::Address(IpAddr::V4(own)));
    message.attributes.push(AddressAttribute::Broadcast(range.broadcast()));
    netlink.request(RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_REPLACE)
}

fn is(cause: &io::Error, errno: rustix::io::Errno) -> bool {
    cause.raw_os_error() == Some(errno.raw_os_error())
}
