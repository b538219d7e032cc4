//! A socket to the kernel's routing side (rtnetlink(7)), in this network namespace or in another. Blocking: each request
//! waits for its answer.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use netlink_packet_core::{NLM_F_ACK, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::sys::{Arg, Call, Outcome, witness};

/// The largest answer that is looked at, in bytes: one device, with its statistics.
const ANSWER: usize = 32 << 10;

/// An open socket; it stays in the network namespace that it was opened in.
pub(super) struct Netlink {
    socket: Socket,
}

impl Netlink {
    /// A socket of this process's own network namespace.
    pub fn open() -> io::Result<Netlink> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Netlink { socket })
    }

    /// A socket of the network namespace `namespace`: a thread goes there (setns(2)), opens it, and ends.
    pub fn open_in(namespace: BorrowedFd<'_>) -> io::Result<Netlink> {
        let go = || {
            move_into_link_name_space(namespace, Some(LinkNameSpaceType::Network))?;
            Netlink::open()
        };
        std::thread::scope(|scope| scope.spawn(go).join())
            .unwrap_or_else(|_| Err(io::Error::other("a thread panicked")))
    }

    /// Sends a request and waits until the kernel has done it. The error is the kernel's errno.
    pub fn request(&self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        self.exchange(message, flags | NLM_F_ACK, |_| ())
    }

    /// Sends a request and hands each message of the answer to `take`, until the acknowledgement or the end.
    pub fn exchange(
        &self,
        message: RouteNetlinkMessage,
        flags: u16,
        mut take: impl FnMut(RouteNetlinkMessage),
    ) -> io::Result<()> {
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        let change = change(&message);
        let mut packet = NetlinkMessage::new(header, NetlinkPayload::from(message));
        packet.finalize();
        let mut bytes = vec![0; packet.buffer_len()];
        packet.serialize(&mut bytes);
        let sent = self.socket.send(&bytes, 0);
        if let Some(change) = change {
            let outcome = Outcome::of_io(&sent, bytes.len() as i64);
            witness::tell(Call::Sendto, &[Arg::Fd(self.socket.as_fd()), Arg::Word(change)], outcome);
        }
        sent?;
        loop {
            let mut answer = Vec::with_capacity(ANSWER);
            self.socket.recv(&mut answer, 0)?;
            let mut rest = answer.as_slice();
            while !rest.is_empty() {
                let broken = |error: netlink_packet_core::DecodeError| io::Error::other(error.to_string());
                let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest).map_err(broken)?;
                // Messages stand at multiples of four bytes (NLMSG_ALIGN).
                let length = (message.header.length as usize).next_multiple_of(4);
                match message.payload {
                    NetlinkPayload::Error(error) if error.code.is_none() => return Ok(()),
                    NetlinkPayload::Error(error) => return Err(error.to_io()),
                    NetlinkPayload::Done(_) => return Ok(()),
                    NetlinkPayload::InnerMessage(inner) => take(inner),
                    NetlinkPayload::Noop | NetlinkPayload::Overrun(_) => {}
                    _ => {}
                }
                if length == 0 || length >= rest.len() {
                    break;
                }
                rest = &rest[length..];
            }
        }
    }
}

/// The type of a request that changes something (linux/rtnetlink.h); none for one that only looks.
fn change(message: &RouteNetlinkMessage) -> Option<&'static str> {
    match message {
        RouteNetlinkMessage::NewLink(_) => Some("RTM_NEWLINK"),
        RouteNetlinkMessage::SetLink(_) => Some("RTM_SETLINK"),
        RouteNetlinkMessage::DelLink(_) => Some("RTM_DELLINK"),
        RouteNetlinkMessage::NewAddress(_) => Some("RTM_NEWADDR"),
        RouteNetlinkMessage::DelAddress(_) => Some("RTM_DELADDR"),
        RouteNetlinkMessage::NewRoute(_) => Some("RTM_NEWROUTE"),
        RouteNetlinkMessage::DelRoute(_) => Some("RTM_DELROUTE"),
        _ => None,
    }
}
