//! What a network namespace shows: links, addresses, routes, nft rules, and whether an address answers.
//!
//! It is asked with the programs that a learner would use (ip(8), nft(8), ping(8)), inside the namespace of a process
//! (nsenter(1)), so that the place of an answer is a command that can be typed.

use std::fs;
use std::process::Command;
use std::str::FromStr;

use serde_json::Value;

use super::read::{Found, Missing};

/// What is asked of a network namespace, written as `link eth0`, `address eth0`, `route default`, `nft table ip nat` or
/// `ping 10.0.0.1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Net {
    /// A property of a link.
    Link(String, LinkField),
    /// The addresses of a link, each an answer of its own: `10.0.0.2/24`.
    Address(String),
    /// The routes to exactly this prefix: `via 10.0.0.1 dev eth0`.
    Route(String),
    /// The text of an nftables object: `table ip nat`, `chain ip nat postrouting`.
    Nft(String),
    /// Whether an address answers an ICMP echo within a second.
    Ping(String),
}

/// A property of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkField {
    /// `up` or `down`, as the administrator set it.
    State,
    /// `veth`, `bridge`; a device without such a kind has its type: `loopback`, `ether`.
    Kind,
    /// The bridge to which it is attached.
    Master,
    /// The largest packet, in bytes.
    Mtu,
    /// The hardware address.
    Mac,
}

impl FromStr for LinkField {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "state" => Ok(LinkField::State),
            "kind" => Ok(LinkField::Kind),
            "master" => Ok(LinkField::Master),
            "mtu" => Ok(LinkField::Mtu),
            "mac" => Ok(LinkField::Mac),
            other => Err(format!("a link has no {other:?}: write state, kind, master, mtu or mac")),
        }
    }
}

impl Net {
    /// Reads what stands behind `net =`; a field belongs to a link alone.
    ///
    /// # Errors
    /// With the ways in which it can be written.
    pub fn parse(text: &str, field: Option<&str>) -> Result<Net, String> {
        let unknown = || {
            format!("net = {text:?}: write link NAME, address LINK, route PREFIX, nft table|chain ... or ping ADDRESS")
        };
        let (word, rest) = text.split_once(' ').ok_or_else(unknown)?;
        let one = || (!rest.is_empty() && !rest.contains(' ')).then(|| rest.to_string()).ok_or_else(unknown);
        let net = match word {
            "link" => return Ok(Net::Link(one()?, field.map_or(Ok(LinkField::State), str::parse)?)),
            "address" => Net::Address(one()?),
            "route" => Net::Route(one()?),
            "ping" => Net::Ping(one()?),
            "nft" if rest.starts_with("table ") || rest.starts_with("chain ") => Net::Nft(rest.to_string()),
            _ => return Err(unknown()),
        };
        match field {
            Some(_) => Err("field belongs to net = \"link NAME\"".to_string()),
            None => Ok(net),
        }
    }

    /// The program that answers, which the lab must require.
    pub fn program(&self) -> &'static str {
        match self {
            Net::Link(..) | Net::Address(_) | Net::Route(_) => "ip",
            Net::Nft(_) => "nft",
            Net::Ping(_) => "ping",
        }
    }

    /// The text in which variables may stand.
    pub fn text(&self) -> &str {
        match self {
            Net::Link(text, _) | Net::Address(text) | Net::Route(text) | Net::Nft(text) | Net::Ping(text) => text,
        }
    }

    /// The same question about something else.
    pub fn about(&self, text: String) -> Net {
        match self {
            Net::Link(_, field) => Net::Link(text, *field),
            Net::Address(_) => Net::Address(text),
            Net::Route(_) => Net::Route(text),
            Net::Nft(_) => Net::Nft(text),
            Net::Ping(_) => Net::Ping(text),
        }
    }

    /// Asks in the network namespace of a process; at least one answer.
    pub fn read(&self, pid: i32) -> Vec<Found> {
        let mut words: Vec<String> = Vec::new();
        let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/net")).ok();
        match namespace(&pid.to_string()) {
            None => return vec![Found { place: format!("/proc/{pid}/ns/net"), value: Err(Missing::Process) }],
            there if there == namespace("self") => {}
            Some(_) => words.extend(["nsenter", "-t", &pid.to_string(), "-n"].map(String::from)),
        }
        let (told, asked) = self.commands();
        let place = [words.clone(), told].concat().join(" ");
        words.extend(asked);
        let answer = run(&words);
        let values = answer.map_or_else(|missing| vec![Err(missing)], |text| self.values(&text));
        values.into_iter().map(|value| Found { place: place.clone(), value }).collect()
    }

    /// The command as a learner would type it, and as a program can read its output.
    fn commands(&self) -> (Vec<String>, Vec<String>) {
        let split = |text: String| text.split(' ').map(String::from).collect();
        let twice = |text: String| (split(text.clone()), split(text));
        match self {
            Net::Link(name, _) => (
                split(format!("ip -details link show dev {name}")),
                split(format!("ip -json -details link show dev {name}")),
            ),
            Net::Address(link) => {
                (split(format!("ip address show dev {link}")), split(format!("ip -json address show dev {link}")))
            }
            Net::Route(to) => (split(format!("ip route show {to}")), split(format!("ip -json route show {to}"))),
            Net::Nft(what) => twice(format!("nft list {what}")),
            Net::Ping(address) => twice(format!("ping -n -c 1 -W 1 {address}")),
        }
    }

    fn values(&self, text: &str) -> Vec<Result<String, Missing>> {
        let json = || serde_json::from_str::<Value>(text).unwrap_or_default();
        let mut found: Vec<String> = match self {
            Net::Link(_, field) => json().get(0).and_then(|link| property(link, *field)).into_iter().collect(),
            Net::Address(_) => addresses(&json()),
            Net::Route(_) => routes(&json()),
            Net::Nft(_) => vec![text.trim().to_string()],
            Net::Ping(_) => vec!["reply".to_string()],
        };
        match found.len() {
            0 => vec![Err(Missing::Nothing)],
            _ => found.drain(..).map(Ok).collect(),
        }
    }
}

/// Runs a command; one that leaves with another status than 0 has nothing to show.
fn run(words: &[String]) -> Result<String, Missing> {
    let output = Command::new(&words[0]).args(&words[1..]).output();
    let output = output.map_err(|error| Missing::Refused(format!("{}: {error}", words[0])))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(Missing::Nothing),
    }
}

fn property(link: &Value, field: LinkField) -> Option<String> {
    match field {
        LinkField::State => {
            let up = link["flags"].as_array()?.iter().any(|flag| flag == "UP");
            Some(if up { "up" } else { "down" }.to_string())
        }
        LinkField::Kind => text(&link["linkinfo"]["info_kind"]).or_else(|| text(&link["link_type"])),
        LinkField::Master => text(&link["master"]),
        LinkField::Mtu => link["mtu"].as_u64().map(|mtu| mtu.to_string()),
        LinkField::Mac => text(&link["address"]),
    }
}

fn addresses(json: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for info in json.as_array().into_iter().flatten().filter_map(|link| link["addr_info"].as_array()).flatten() {
        if let (Some(local), Some(length)) = (text(&info["local"]), info["prefixlen"].as_u64()) {
            found.push(format!("{local}/{length}"));
        }
    }
    found
}

fn routes(json: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for route in json.as_array().into_iter().flatten() {
        let word = |key: &str, name: &str| text(&route[key]).map(|value| format!("{name} {value}"));
        let words: Vec<_> = [word("gateway", "via"), word("dev", "dev")].into_iter().flatten().collect();
        found.push(words.join(" "));
    }
    found
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(String::from)
}

#[cfg(test)]
mod tests {
    use super::{LinkField, Net};
    use crate::lab::read::Missing;

    fn net(text: &str) -> Net {
        Net::parse(text, None).expect("a question")
    }

    #[test]
    fn links_addresses_and_routes_are_read_from_the_words_of_ip() {
        let link = r#"[{"ifname":"eth0","flags":["BROADCAST","UP"],"mtu":1500,"master":"br0","link_type":"ether",
            "address":"aa:bb","linkinfo":{"info_kind":"veth"}}]"#;
        let fields = [
            (LinkField::State, "up"),
            (LinkField::Kind, "veth"),
            (LinkField::Master, "br0"),
            (LinkField::Mtu, "1500"),
            (LinkField::Mac, "aa:bb"),
        ];
        for (field, expected) in fields {
            assert_eq!(Net::Link("eth0".to_string(), field).values(link), [Ok(expected.to_string())], "{field:?}");
        }
        let lo = r#"[{"ifname":"lo","flags":["LOOPBACK"],"link_type":"loopback"}]"#;
        assert_eq!(net("link lo").values(lo), [Ok("down".to_string())]);
        assert_eq!(Net::Link("lo".to_string(), LinkField::Kind).values(lo), [Ok("loopback".to_string())]);
        assert_eq!(Net::Link("lo".to_string(), LinkField::Master).values(lo), [Err(Missing::Nothing)]);

        let address = r#"[{"addr_info":[{"local":"10.0.0.2","prefixlen":24},{"local":"fe80::1","prefixlen":64}]}]"#;
        let both = ["10.0.0.2/24", "fe80::1/64"].map(|text| Ok(text.to_string()));
        assert_eq!(net("address eth0").values(address), both);
        assert_eq!(net("address eth0").values(r#"[{"addr_info":[]}]"#), [Err(Missing::Nothing)]);

        let route = r#"[{"dst":"default","gateway":"10.0.0.1","dev":"eth0","flags":[]}]"#;
        assert_eq!(net("route default").values(route), [Ok("via 10.0.0.1 dev eth0".to_string())]);
        assert_eq!(net("route default").values("[]"), [Err(Missing::Nothing)]);
    }

    #[test]
    fn a_question_names_what_is_asked() {
        assert_eq!(net("nft chain ip nat postrouting"), Net::Nft("chain ip nat postrouting".to_string()));
        assert_eq!(net("ping 10.0.0.1").program(), "ping");
        for text in ["eth0", "link", "link a b", "nft ruleset", "wire eth0"] {
            assert!(Net::parse(text, None).is_err(), "{text}");
        }
        assert!(Net::parse("link eth0", Some("colour")).expect_err("refused").starts_with("a link has no \"colour\""));
        assert!(Net::parse("ping 10.0.0.1", Some("state")).is_err());
    }

    #[test]
    fn the_place_is_a_command() {
        let (told, asked) = net("route default").commands();
        assert_eq!((told.join(" "), asked[1].as_str()), ("ip route show default".to_string(), "-json"));
        let gone = net("link lo").read(i32::MAX).remove(0);
        assert_eq!((gone.place.as_str(), gone.value), ("/proc/2147483647/ns/net", Err(Missing::Process)));
    }
}
