//! A port of the node that leads to a pod: `hostPort` of a container's port.

use std::fmt;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

/// The protocols that a container's port can have and NAT knows the ports of (`spec.containers[*].ports[*].protocol`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP, the default.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        })
    }
}

/// A port of the node and the pod's port behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HostPort {
    /// Its protocol.
    pub protocol: Protocol,
    /// The port on the node.
    pub host_port: u16,
    /// The port in the pod.
    pub container_port: u16,
    /// The one address of the node that it is open on (`hostIP`); `None` for all.
    pub host_ip: Option<Ipv4Addr>,
}

impl HostPort {
    /// Whether two of them cannot be there at once.
    pub fn clashes(&self, other: &HostPort) -> bool {
        let same_address = self.host_ip.is_none() || other.host_ip.is_none() || self.host_ip == other.host_ip;
        same_address && (self.protocol, self.host_port) == (other.protocol, other.host_port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_clash_where_protocol_number_and_address_meet() {
        let port = |protocol, host_port, host_ip: Option<&str>| HostPort {
            protocol,
            host_port,
            container_port: 80,
            host_ip: host_ip.map(|ip| ip.parse().unwrap()),
        };
        let all = port(Protocol::Tcp, 8080, None);
        assert!(all.clashes(&port(Protocol::Tcp, 8080, Some("10.0.0.1"))));
        assert!(!all.clashes(&port(Protocol::Udp, 8080, None)));
        assert!(!all.clashes(&port(Protocol::Tcp, 8081, None)));
        let one = port(Protocol::Tcp, 8080, Some("10.0.0.1"));
        assert!(one.clashes(&one) && !one.clashes(&port(Protocol::Tcp, 8080, Some("10.0.0.2"))));
    }
}
