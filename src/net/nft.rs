//! The rules that let pods out and that lead ports of the node to pods, as one nftables table of ours (nft(8)). The text is
//! made here, pure, and nft takes it in one transaction.

use std::io::Write;
use std::process::{Command, Stdio};

use super::error::NetError;
use super::leases::Table;
use super::range::Range;

/// The whole table, as it must be for these leases; it replaces the one that is there.
///
/// What leaves the range gets the node's address (masquerade). A host port leads to its pod for whoever calls an address of
/// the node (`fib daddr type local`), from elsewhere (prerouting) or from the node (output). A call from 127.0.0.1 gets the
/// bridge's address, for the pod could not answer it otherwise; so does a pod's call to a host port, for the answer would go
/// straight to it over the bridge, from an address that it did not call.
pub(super) fn ruleset(table: &Table, range: Range) -> String {
    let name = &table.bridge;
    let mut text = format!("table ip {name} {{}}\ndelete table ip {name}\ntable ip {name} {{\n");
    text.push_str("  chain ports {\n");
    for lease in table.leases.values() {
        for port in &lease.ports {
            let on = port.host_ip.map(|ip| format!("ip daddr {ip} ")).unwrap_or_default();
            let (protocol, from, to) = (port.protocol, port.host_port, port.container_port);
            text.push_str(&format!("    {on}{protocol} dport {from} dnat to {}:{to}\n", lease.address));
        }
    }
    text.push_str("  }\n");
    for (chain, hook) in [("prerouting", "prerouting"), ("output", "output")] {
        text.push_str(&format!(
            "  chain {chain} {{\n    type nat hook {hook} priority -100; policy accept;\n    fib daddr type local jump ports\n  }}\n"
        ));
    }
    text.push_str(&format!(
        "  chain postrouting {{\n    type nat hook postrouting priority 100; policy accept;\n    ip saddr 127.0.0.0/8 oifname \"{name}\" masquerade\n"
    ));
    text.push_str(&format!("    ip saddr {range} ip daddr {range} ct status dnat masquerade\n"));
    text.push_str(&format!("    ip saddr {range} ip daddr != {range} masquerade\n  }}\n}}\n"));
    text
}

/// Hands a ruleset to nft.
pub(super) fn apply(ruleset: &str) -> Result<(), NetError> {
    let failed = |cause: std::io::Error| NetError::Nft { message: cause.to_string() };
    let mut command = Command::new("nft");
    command.args(["-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    // nft may refuse before it has read everything: its exit status tells.
    let _ = child.stdin.take().expect("it is piped").write_all(ruleset.as_bytes());
    let output = child.wait_with_output().map_err(failed)?;
    match output.status.success() {
        true => Ok(()),
        false => Err(NetError::Nft { message: String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ") }),
    }
}

/// Removes the table of `bridge`; one that is gone already is no error.
pub(super) fn remove(bridge: &str) -> Result<(), NetError> {
    apply(&format!("table ip {bridge} {{}}\ndelete table ip {bridge}\n"))
}

#[cfg(test)]
mod tests {
    use super::super::port::{HostPort, Protocol};
    use super::*;

    #[test]
    fn the_table_is_whole_and_names_every_port() {
        let range: Range = "10.244.0.0/24".parse().unwrap();
        let mut table = Table { bridge: "gb0".into(), ..Table::default() };
        let port = |protocol, host_port, host_ip: Option<&str>| HostPort {
            protocol,
            host_port,
            container_port: 80,
            host_ip: host_ip.map(|ip| ip.parse().unwrap()),
        };
        table
            .lease("a", range, &[port(Protocol::Tcp, 8080, None), port(Protocol::Udp, 53, Some("192.0.2.1"))])
            .unwrap();
        table.lease("b", range, &[]).unwrap();
        assert_eq!(
            ruleset(&table, range),
            "\
table ip gb0 {}
delete table ip gb0
table ip gb0 {
  chain ports {
    tcp dport 8080 dnat to 10.244.0.2:80
    ip daddr 192.0.2.1 udp dport 53 dnat to 10.244.0.2:80
  }
  chain prerouting {
    type nat hook prerouting priority -100; policy accept;
    fib daddr type local jump ports
  }
  chain output {
    type nat hook output priority -100; policy accept;
    fib daddr type local jump ports
  }
  chain postrouting {
    type nat hook postrouting priority 100; policy accept;
    ip saddr 127.0.0.0/8 oifname \"gb0\" masquerade
    ip saddr 10.244.0.0/24 ip daddr 10.244.0.0/24 ct status dnat masquerade
    ip saddr 10.244.0.0/24 ip daddr != 10.244.0.0/24 masquerade
  }
}
"
        );
    }
}
