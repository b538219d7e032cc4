//! `securityContext.sysctls`: kernel parameters of the pod's own namespaces (`pkg/kubelet/sysctl`). Pure.
//!
//! A kubelet lets a pod set those that can harm neither the node nor another pod; the others it forbids unless its
//! `allowedUnsafeSysctls` names them, which glassbox does not look at.

use k8s_openapi::api::core::v1 as api;

/// Those that every pod may set (`safe_sysctls.go`), with the points that the kernel's documentation writes.
const SAFE: [&str; 12] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_wmem",
];

/// Why a pod may not set `name`; `host_network` and `host_ipc` say whose namespaces it has.
pub fn forbidden(name: &str, host_network: bool, host_ipc: bool) -> Option<String> {
    // The API takes both separators (sysctl(8)).
    let name = name.replace('/', ".");
    if !SAFE.contains(&name.as_str()) {
        return Some("a kubelet forbids it to pods, as it may harm the node".to_string());
    }
    let (host, field) = if name.starts_with("net.") { (host_network, "hostNetwork") } else { (host_ipc, "hostIPC") };
    host.then(|| format!("with {field} it would be set for the node"))
}

/// Names and values for `linux.sysctl` of the sandbox, which owns the namespaces.
pub fn of(spec: &api::PodSpec) -> Vec<(String, String)> {
    let all = spec.security_context.iter().flat_map(|context| context.sysctls.iter().flatten());
    all.map(|one| (one.name.replace('/', "."), one.value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_pods_own_is_allowed_and_the_nodes_is_not() {
        assert!(SAFE.is_sorted());
        for (name, network, ipc, allowed) in [
            ("net.ipv4.ip_unprivileged_port_start", false, true, true),
            ("net/ipv4/tcp_rmem", false, false, true),
            ("net.ipv4.tcp_rmem", true, false, false),
            ("kernel.shm_rmid_forced", true, false, true),
            ("kernel.shm_rmid_forced", false, true, false),
            ("net.core.somaxconn", false, false, false),
            ("vm.swappiness", false, false, false),
        ] {
            assert_eq!(forbidden(name, network, ipc).is_none(), allowed, "{name} {network} {ipc}");
        }
    }
}
