//! The `config.json` that `glassbox spec` writes: runc's defaults, which users and tutorials know.

use serde_json::{Value, json};

/// The version of the runtime specification that glassbox follows; a config of any 1.x is taken.
pub const OCI_VERSION: &str = "1.2.1";

/// A rootful container that runs `sh` in new PID, NET, IPC, UTS, MNT and CGROUP namespaces.
pub fn template() -> Value {
    let caps = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];
    json!({
        "ociVersion": OCI_VERSION,
        "process": {
            "terminal": true,
            "user": { "uid": 0, "gid": 0 },
            "args": ["sh"],
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
            "cwd": "/",
            "capabilities": { "bounding": caps, "effective": caps, "permitted": caps },
            "rlimits": [{ "type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024 }],
            "noNewPrivileges": true
        },
        "root": { "path": "rootfs", "readonly": true },
        "hostname": "glassbox",
        "mounts": mounts(),
        "linux": {
            "resources": { "devices": [{ "allow": false, "access": "rwm" }] },
            "namespaces": [
                { "type": "pid" },
                { "type": "network" },
                { "type": "ipc" },
                { "type": "uts" },
                { "type": "mount" },
                { "type": "cgroup" }
            ],
            "maskedPaths": [
                "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
                "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi"
            ],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
        }
    })
}

/// The same for a user without root: root of a user namespace that maps nobody but `uid` and `gid`, without limits, which
/// take a cgroup, and without a network of its own, which takes somebody who connects it.
pub fn rootless_template(uid: u32, gid: u32) -> Value {
    let mut config = template();
    let linux = &mut config["linux"];
    linux["resources"] = json!({});
    let namespaces = linux["namespaces"].as_array_mut().expect("a list above");
    namespaces.retain(|namespace| namespace["type"] != "network");
    namespaces.push(json!({ "type": "user" }));
    linux["uidMappings"] = json!([{ "containerID": 0, "hostID": uid, "size": 1 }]);
    linux["gidMappings"] = json!([{ "containerID": 0, "hostID": gid, "size": 1 }]);
    for mount in config["mounts"].as_array_mut().expect("a list above") {
        if mount["type"] == "sysfs" {
            // Whoever has no network namespace may not mount a sysfs; what is mounted in the host's stays read-only too.
            *mount = json!({
                "destination": "/sys", "type": "none", "source": "/sys",
                "options": ["rbind", "nosuid", "noexec", "nodev", "rro"]
            });
        }
        // A group that is not mapped can own nothing.
        if let Some(options) = mount.get_mut("options").and_then(Value::as_array_mut) {
            options.retain(|option| !option.as_str().is_some_and(|option| option.starts_with("gid=")));
        }
    }
    config
}

fn mounts() -> Value {
    json!([
        { "destination": "/proc", "type": "proc", "source": "proc" },
        {
            "destination": "/dev", "type": "tmpfs", "source": "tmpfs",
            "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]
        },
        {
            "destination": "/dev/pts", "type": "devpts", "source": "devpts",
            "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]
        },
        {
            "destination": "/dev/shm", "type": "tmpfs", "source": "shm",
            "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]
        },
        { "destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"] },
        { "destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"] },
        {
            "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
            "options": ["nosuid", "noexec", "nodev", "relatime", "ro"]
        }
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Config;

    #[test]
    fn the_template_is_valid_and_warns_of_nothing() {
        let config = Config::parse(&template().to_string()).expect("the template is a valid config.json");
        assert_eq!(config.warnings, Vec::<String>::new());
    }

    #[test]
    fn the_rootless_template_asks_for_nothing_that_takes_root() {
        let value = rootless_template(1000, 100);
        let config = Config::parse(&value.to_string()).expect("a valid config.json");
        assert_eq!(config.warnings, Vec::<String>::new());
        assert_eq!(value["linux"]["gidMappings"], json!([{"containerID": 0, "hostID": 100, "size": 1}]));
        let text = value.to_string();
        for word in ["network", "sysfs", "gid=", "devices"] {
            assert!(!text.contains(word), "{word}");
        }
    }
}
