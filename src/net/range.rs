//! A range of IPv4 addresses, as `10.244.0.0/24`: which address is the node's, which are pods'. Pure.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// A range in CIDR notation (RFC 4632), with room for the node and one pod at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    network: u32,
    prefix: u8,
}

/// A text that is no usable range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no range of pod addresses: {message}; write one such as 10.244.0.0/24")]
pub struct RangeError {
    text: String,
    message: &'static str,
}

impl Range {
    /// The first address after the network's own: the bridge's, and so the pods' gateway.
    pub fn gateway(&self) -> Ipv4Addr {
        Ipv4Addr::from(self.network + 1)
    }

    /// Number of leading bits that all addresses share.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// The addresses for pods: all but the network's, the gateway's and the broadcast address.
    pub fn pods(&self) -> impl Iterator<Item = Ipv4Addr> + use<> {
        (self.network + 2..self.broadcast_number()).map(Ipv4Addr::from)
    }

    /// The address of all in the range.
    pub fn broadcast(&self) -> Ipv4Addr {
        Ipv4Addr::from(self.broadcast_number())
    }

    /// Whether an address lies in the range.
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        (self.network..=self.broadcast_number()).contains(&u32::from(address))
    }

    fn broadcast_number(&self) -> u32 {
        self.network | u32::MAX >> self.prefix
    }
}

impl FromStr for Range {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Range, RangeError> {
        let error = |message| RangeError { text: text.to_string(), message };
        let (address, prefix) = text.split_once('/').ok_or_else(|| error("it has no / with a prefix length"))?;
        let address: Ipv4Addr = address.parse().map_err(|_| error("it does not start with an IPv4 address"))?;
        let prefix: u8 = prefix.parse().map_err(|_| error("its prefix length is no number"))?;
        if !(8..=29).contains(&prefix) {
            return Err(error("its prefix length is not from 8 to 29"));
        }
        let network = u32::from(address);
        if network & (u32::MAX >> prefix) != 0 {
            return Err(error("it has bits behind its prefix"));
        }
        if address.is_loopback() || address.is_multicast() || network == 0 {
            return Err(error("pods cannot have these addresses"));
        }
        Ok(Range { network, prefix })
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from(self.network), self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_address_is_the_gateway_and_the_last_is_nobodys() {
        let range: Range = "10.244.1.0/24".parse().unwrap();
        let pods: Vec<Ipv4Addr> = range.pods().collect();
        assert_eq!(range.gateway().to_string(), "10.244.1.1");
        assert_eq!(range.broadcast().to_string(), "10.244.1.255");
        assert_eq!((pods[0].to_string(), pods.len()), ("10.244.1.2".into(), 253));
        assert_eq!(pods[252].to_string(), "10.244.1.254");
        assert!(range.contains("10.244.1.9".parse().unwrap()) && !range.contains("10.244.2.9".parse().unwrap()));
        assert_eq!(range.to_string(), "10.244.1.0/24");
        assert_eq!("192.168.7.8/29".parse::<Range>().unwrap().pods().count(), 5);
        assert_eq!("10.0.0.0/8".parse::<Range>().unwrap().pods().count(), (1 << 24) - 3);
    }

    #[test]
    fn what_is_no_range_is_refused_with_its_reason() {
        for (text, reason) in [
            ("10.244.0.0", "no /"),
            ("fd00::/64", "IPv4"),
            ("10.244.0.0/x", "no number"),
            ("10.244.0.0/30", "8 to 29"),
            ("10.0.0.0/4", "8 to 29"),
            ("10.244.0.1/24", "bits behind"),
            ("127.0.0.0/8", "cannot have"),
            ("224.0.0.0/8", "cannot have"),
            ("0.0.0.0/8", "cannot have"),
        ] {
            let error = text.parse::<Range>().unwrap_err().to_string();
            assert!(error.contains(reason) && error.contains("10.244.0.0/24"), "{text}: {error}");
        }
    }
}
