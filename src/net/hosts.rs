//! The text of /etc/hosts in a pod, as the kubelet writes it (`pkg/kubelet/kubelet_pods.go`, `managedHostsFileContent`). Pure.

use std::net::IpAddr;

/// Names that a pod gives to addresses: `spec.hostAliases[*]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alias {
    /// The address.
    pub ip: IpAddr,
    /// Its names.
    pub names: Vec<String>,
}

/// The file for a pod with this address and host name; `domain` is its `hostname.subdomain.…` name, where it has one.
pub fn file(address: IpAddr, hostname: &str, domain: Option<&str>, aliases: &[Alias]) -> String {
    let mut text = String::from(
        "# Kubernetes-managed hosts file.\n\
         127.0.0.1\tlocalhost\n\
         ::1\tlocalhost ip6-localhost ip6-loopback\n\
         fe00::\tip6-localnet\n\
         fe00::\tip6-mcastprefix\n\
         fe00::1\tip6-allnodes\n\
         fe00::2\tip6-allrouters\n",
    );
    let domain = domain.map(|domain| format!("{domain}\t")).unwrap_or_default();
    text.push_str(&format!("{address}\t{domain}{hostname}\n"));
    text.push_str(&aliases_text(aliases));
    text
}

/// The node's own file with a pod's aliases behind, for a pod in the node's network.
pub fn of_node(node: &str, aliases: &[Alias]) -> String {
    format!("# Kubernetes-managed hosts file (host network).\n{node}{}", aliases_text(aliases))
}

fn aliases_text(aliases: &[Alias]) -> String {
    if aliases.is_empty() {
        return String::new();
    }
    let lines = aliases.iter().map(|alias| format!("{}\t{}\n", alias.ip, alias.names.join("\t")));
    format!("\n# Entries added by HostAliases.\n{}", lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pods_own_line_and_its_aliases_follow_the_usual_ones() {
        let aliases = [Alias { ip: "192.0.2.7".parse().unwrap(), names: vec!["db".into(), "db.lab".into()] }];
        let text = file("10.244.0.2".parse().unwrap(), "web", None, &aliases);
        assert!(text.starts_with("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost "), "{text}");
        assert!(
            text.ends_with("\n10.244.0.2\tweb\n\n# Entries added by HostAliases.\n192.0.2.7\tdb\tdb.lab\n"),
            "{text}"
        );
        let named = file("10.244.0.2".parse().unwrap(), "web", Some("web.svc.ns.svc.cluster.local"), &[]);
        assert!(named.ends_with("\n10.244.0.2\tweb.svc.ns.svc.cluster.local\tweb\n"), "{named}");
        assert_eq!(of_node("127.0.0.1 a\n", &[]), "# Kubernetes-managed hosts file (host network).\n127.0.0.1 a\n");
    }
}
