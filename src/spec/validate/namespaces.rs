//! What is checked of namespaces.

use super::super::load::SpecError;
use super::super::oci::{Linux, LinuxNamespaceType, Spec};
use super::{invalid, text};

/// Checks the namespaces, and what may only be set in those that are the container's own.
pub(super) fn check(spec: &Spec, linux: &Linux) -> Result<(), SpecError> {
    let list = linux.namespaces().as_deref().unwrap_or_default();
    for (index, namespace) in list.iter().enumerate() {
        let field = format!("linux.namespaces[{index}]");
        if list[..index].iter().any(|earlier| earlier.typ() == namespace.typ()) {
            return Err(invalid(field, format!("a second {} namespace", namespace.typ())));
        }
        let Some(path) = namespace.path().as_ref().map(|path| path.to_string_lossy()).filter(|path| !path.is_empty())
        else {
            continue;
        };
        text(&format!("{field}.path"), &path)?;
        if !path.starts_with('/') {
            return Err(invalid(format!("{field}.path"), format!("{path:?} is not an absolute path")));
        }
    }
    let find = |typ| list.iter().find(|namespace| namespace.typ() == typ);
    let has = |typ| find(typ).is_some();
    let new = |typ| find(typ).is_some_and(|entry| entry.path().as_ref().is_none_or(|path| path.as_os_str().is_empty()));
    if !has(LinuxNamespaceType::Mount) {
        let alone = [
            ("linux.namespaces", "\"user\"", has(LinuxNamespaceType::User)),
            ("linux.rootfsPropagation", "it", linux.rootfs_propagation().is_some()),
        ];
        if let Some((field, what, _)) = alone.into_iter().find(|(_, _, set)| *set) {
            return Err(invalid(
                field,
                format!("{what} needs a \"mount\" namespace, as the host's mounts are not its to change"),
            ));
        }
    }
    for (field, set) in [("hostname", spec.hostname().is_some()), ("domainname", spec.domainname().is_some())] {
        if set && !has(LinuxNamespaceType::Uts) {
            return Err(invalid(field, "needs a new \"uts\" namespace, else it would rename the host"));
        }
    }
    let mapped = [("linux.uidMappings", linux.uid_mappings()), ("linux.gidMappings", linux.gid_mappings())];
    for (field, mappings) in mapped {
        let mappings = mappings.as_deref().unwrap_or_default();
        match (new(LinuxNamespaceType::User), mappings.is_empty()) {
            (true, true) => return Err(invalid(field, "is required with a new \"user\" namespace")),
            // One that is joined has its maps already: podman gives them beside its path.
            (false, false) if !has(LinuxNamespaceType::User) => {
                return Err(invalid(field, "needs a new \"user\" namespace"));
            }
            _ => {}
        }
        if let Some(index) = mappings.iter().position(|map| map.size() == 0) {
            return Err(invalid(format!("{field}[{index}].size"), "is 0"));
        }
    }
    time_offsets(linux, new(LinuxNamespaceType::Time))?;
    net_devices(linux, has(LinuxNamespaceType::Network))?;
    linux.sysctl().iter().flatten().try_for_each(|(key, value)| sysctl(key, value, has))
}

/// Devices go into a network namespace of the container's, under names that the kernel takes (dev_valid_name) and nobody else
/// there has.
fn net_devices(linux: &Linux, has_network: bool) -> Result<(), SpecError> {
    let is_name = |name: &str| {
        let plain = |c: char| !c.is_whitespace() && !c.is_control() && !['/', ':', '%'].contains(&c);
        (1..16).contains(&name.len()) && name != "." && name != ".." && name.chars().all(plain)
    };
    let mut taken = vec!["lo"];
    for (name, device) in linux.net_devices().iter().flatten() {
        let field = format!("linux.netDevices[{name:?}]");
        if !has_network {
            return Err(invalid(field, "needs a \"network\" namespace to be moved into"));
        }
        let inside = device.name().as_deref().filter(|inside| !inside.is_empty()).unwrap_or(name);
        if let Some(wrong) = [name, inside].into_iter().find(|name| !is_name(name)) {
            return Err(invalid(
                field,
                format!("{wrong:?} is no name of a network device: 1 to 15 letters without / : %"),
            ));
        }
        if taken.contains(&inside) {
            return Err(invalid(format!("{field}.name"), format!("{inside:?} is the name of another device there")));
        }
        taken.push(inside);
    }
    Ok(())
}

/// The clocks that time_namespaces(7) lets run apart.
fn time_offsets(linux: &Linux, has_time: bool) -> Result<(), SpecError> {
    for (clock, offset) in linux.time_offsets().iter().flatten() {
        let field = format!("linux.timeOffsets[{clock:?}]");
        if !["monotonic", "boottime"].contains(&clock.as_str()) {
            return Err(invalid(field, "only the clocks monotonic and boottime have offsets"));
        }
        if offset.nanosecs().unwrap_or(0) > 999_999_999 {
            return Err(invalid(format!("{field}.nanosecs"), "is a second or more; put those into secs"));
        }
        if !has_time {
            return Err(invalid(field, "needs a new \"time\" namespace"));
        }
    }
    Ok(())
}

/// Parameters of the IPC namespace (ipc_namespaces(7)).
const IPC_SYSCTLS: [&str; 8] = [
    "kernel/msgmax",
    "kernel/msgmnb",
    "kernel/msgmni",
    "kernel/sem",
    "kernel/shmall",
    "kernel/shmmax",
    "kernel/shmmni",
    "kernel/shm_rmid_forced",
];

/// A parameter that is no namespace's would be changed for the whole machine.
fn sysctl(key: &str, value: &str, has: impl Fn(LinuxNamespaceType) -> bool) -> Result<(), SpecError> {
    let field = format!("linux.sysctl[{key:?}]");
    text(&field, key)?;
    text(&field, value)?;
    let path = sysctl_path(key);
    if path.split('/').any(|part| ["", ".", ".."].contains(&part)) {
        return Err(invalid(field, "is no name of a kernel parameter"));
    }
    let needs = |kind, name: &str| match has(kind) {
        true => Ok(()),
        false => Err(invalid(field.clone(), format!("needs a {name:?} namespace, else it would change the host"))),
    };
    match path.as_str() {
        "kernel/domainname" => needs(LinuxNamespaceType::Uts, "uts"),
        "kernel/hostname" => Err(invalid(field, "is set by the field hostname")),
        path if IPC_SYSCTLS.contains(&path) || path.starts_with("fs/mqueue/") => needs(LinuxNamespaceType::Ipc, "ipc"),
        path if path.starts_with("net/") => needs(LinuxNamespaceType::Network, "network"),
        _ => Err(invalid(field, "belongs to no namespace: it would change the host")),
    }
}

/// The path of a kernel parameter below /proc/sys. Whichever of `.` and `/` comes first separates, and the other one stands
/// for it within a name (sysctl(8)).
pub fn sysctl_path(key: &str) -> String {
    let swapped = |c: char| match c {
        '.' => '/',
        '/' => '.',
        c => c,
    };
    match key.find(['.', '/']) {
        Some(at) if key.as_bytes()[at] == b'.' => key.chars().map(swapped).collect(),
        Some(_) | None => key.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::sysctl_path;

    #[test]
    fn the_first_separator_decides() {
        assert_eq!(sysctl_path("net.ipv4.ip_forward"), "net/ipv4/ip_forward");
        assert_eq!(sysctl_path("net/ipv4/conf/eth0.100/forwarding"), "net/ipv4/conf/eth0.100/forwarding");
        assert_eq!(sysctl_path("net.ipv4.conf.eth0/100.forwarding"), "net/ipv4/conf/eth0.100/forwarding");
    }
}
