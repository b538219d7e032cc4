//! A device of the host becomes a container's (runtime-spec, config-linux.md, "Network Devices"). The kernel forgets its
//! addresses on the way, so those that last and mean the whole net are given to it again.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use netlink_packet_core::{NLM_F_CREATE, NLM_F_DUMP, NLM_F_REPLACE};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, AddressScope};
use netlink_packet_route::link::{LinkAttribute, LinkMessage};

use super::error::NetError;
use super::link::{index, up};
use super::netlink::Netlink;

/// Moves the device `name` of our network namespace into `namespace`, calls it `inside` there, and brings it up.
///
/// # Errors
/// When there is no such device, when one called `inside` is there already, or when we may not.
pub fn move_device(name: &str, namespace: BorrowedFd<'_>, inside: &str) -> Result<(), NetError> {
    let failed = |what: &str| {
        let what = format!("{what} {name}");
        move |cause| NetError::call(what, cause)
    };
    let missing = || io::Error::from(rustix::io::Errno::NODEV);
    let here = Netlink::open().map_err(failed("move the device"))?;
    let number = index(&here, name)?.ok_or_else(missing).map_err(failed("find the device"))?;
    let addresses = lasting_addresses(&here, number).map_err(failed("read the addresses of"))?;
    let mut link = LinkMessage::default();
    link.header.index = number;
    link.attributes.push(LinkAttribute::IfName(inside.to_string()));
    link.attributes.push(LinkAttribute::NetNsFd(namespace.as_raw_fd()));
    here.request(RouteNetlinkMessage::SetLink(link), 0).map_err(failed("move the device"))?;
    let there = Netlink::open_in(namespace).map_err(failed("follow the device"))?;
    let number = index(&there, inside)?.ok_or_else(missing).map_err(failed("follow the device"))?;
    for mut address in addresses {
        address.header.index = number;
        let request = RouteNetlinkMessage::NewAddress(address);
        there.request(request, NLM_F_CREATE | NLM_F_REPLACE).map_err(failed("keep an address of"))?;
    }
    up(&there, number).map_err(failed("bring up"))
}

/// The addresses that nobody leased for a time, of global scope, without what belongs to this namespace (name, cache).
fn lasting_addresses(netlink: &Netlink, number: u32) -> io::Result<Vec<AddressMessage>> {
    let mut found = Vec::new();
    netlink.exchange(RouteNetlinkMessage::GetAddress(AddressMessage::default()), NLM_F_DUMP, |message| {
        if let RouteNetlinkMessage::NewAddress(address) = message
            && address.header.index == number
            && address.header.scope == AddressScope::Universe
            && is_permanent(&address)
        {
            found.push(address);
        }
    })?;
    for address in &mut found {
        address.attributes.retain(|attribute| {
            matches!(
                attribute,
                AddressAttribute::Local(_) | AddressAttribute::Address(_) | AddressAttribute::Broadcast(_)
            )
        });
    }
    Ok(found)
}

fn is_permanent(address: &AddressMessage) -> bool {
    address
        .attributes
        .iter()
        .any(|attribute| matches!(attribute, AddressAttribute::Flags(flags) if flags.contains(AddressFlags::Permanent)))
}
