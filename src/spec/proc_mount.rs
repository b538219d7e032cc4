//! What may be mounted below /proc: a container that chooses what stands there lies to whoever looks, our own later steps
//! among them, which write labels and sysctls to files of /proc (CVE-2019-16884, CVE-2025-52881).

/// The files that lxcfs shows, and the two that checkpoint tools and FIPS hosts replace. None of them is written by a start.
const FILES: [&str; 10] = [
    "cpuinfo",
    "diskstats",
    "loadavg",
    "meminfo",
    "slabinfo",
    "stat",
    "swaps",
    "sys/crypto/fips_enabled",
    "sys/kernel/ns_last_pid",
    "uptime",
];

/// Why a mount of this type may not stand at `destination`, if it may not. `bind` is whether it is a bind mount.
pub(super) fn refusal(destination: &str, fstype: &str, bind: bool) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in destination.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let (first, rest) = parts.split_first()?;
    if *first != "proc" {
        return None;
    }
    let file = rest.join("/");
    match file.as_str() {
        "" if bind || fstype == "proc" => None,
        "" => Some(format!("{destination:?} takes a file system of type \"proc\" and no other")),
        file if FILES.contains(&file) => None,
        _ => Some(format!("{destination:?} lies in /proc, where nothing may be mounted but {}", FILES.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_shows_what_the_kernel_shows() {
        for (destination, fstype, bind) in [
            ("/proc", "proc", false),
            ("/proc", "none", true),
            ("/proc/meminfo", "bind", true),
            ("proc//./cpuinfo", "none", true),
            ("/proc/sys/kernel/ns_last_pid", "none", true),
            ("/procfs/self", "tmpfs", false),
            ("/proc/../data", "tmpfs", false),
            ("/", "tmpfs", false),
        ] {
            assert_eq!(refusal(destination, fstype, bind), None, "{destination}");
        }
        for (destination, fstype, bind) in [
            ("/proc", "tmpfs", false),
            ("/proc/self/attr", "tmpfs", false),
            ("proc/net/dev", "none", true),
            ("/x/../proc/sys", "none", true),
            ("/proc/meminfo/x", "none", true),
        ] {
            assert!(refusal(destination, fstype, bind).is_some(), "{destination}");
        }
    }
}
