//! The features document (runtime-spec, features.md): what a config.json may ask of this program, whatever the machine.
//!
//! Nothing is claimed by hand. Whether a field is carried out is asked of the validation that would refuse it, and names
//! come from the tables that plans are made of.

use serde_json::{Value, json};

use super::mount_options;
use super::seccomp;
use super::uapi::NAMESPACES;
use crate::spec::{Config, OCI_VERSION, SpecError, template};

/// The hooks of config.json, in the order in which they run.
const HOOKS: [&str; 6] = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/// The document; `version` and `commit` say which program it is about.
pub fn features(version: &str, commit: &str) -> Value {
    let hook = |name: &&str| supports(|config| config["hooks"][*name] = json!([{"path": "/bin/true"}]));
    let mut namespaces: Vec<_> = NAMESPACES.iter().map(|(name, ..)| *name).filter(|name| namespace(name)).collect();
    namespaces.sort();
    json!({
        "ociVersionMin": "1.0.0",
        "ociVersionMax": OCI_VERSION,
        "hooks": HOOKS.iter().filter(|name| hook(name)).collect::<Vec<_>>(),
        "mountOptions": mount_options::names(),
        "linux": {
            "namespaces": namespaces,
            "capabilities": capabilities(),
            "cgroup": { "v1": false, "v2": true, "systemd": true, "systemdUser": false, "rdma": true },
            "seccomp": filters(),
            "apparmor": { "enabled": supports(|config| config["process"]["apparmorProfile"] = "profile".into()) },
            "selinux": { "enabled": supports(|config| config["process"]["selinuxLabel"] = "label".into()) },
            "intelRdt": { "enabled": supports(|config| config["linux"]["intelRdt"] = json!({"closID": "group"})) },
            "netDevices": { "enabled": supports(|config| config["linux"]["netDevices"] = json!({"eth1": {}})) },
            "mountExtensions": { "idmap": { "enabled": supports(idmap) } },
        },
        "annotations": { "glassbox.version": version, "glassbox.commit": commit },
    })
}

/// Whether a config with this change is taken, however the value itself is judged.
fn supports(change: impl FnOnce(&mut Value)) -> bool {
    let mut config = template();
    change(&mut config);
    !matches!(Config::parse(&config.to_string()), Err(SpecError::Unsupported { .. }))
}

fn namespace(name: &str) -> bool {
    supports(|config| {
        let list = config["linux"]["namespaces"].as_array_mut().expect("the template has namespaces");
        list.retain(|namespace| namespace["type"] != name);
        list.push(json!({ "type": name }));
        let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
        if name == "user" {
            config["linux"]["uidMappings"] = map.clone();
            config["linux"]["gidMappings"] = map;
        }
    })
}

fn filters() -> Value {
    let flags: Vec<_> = seccomp::FLAGS.iter().map(|(name, _)| *name).collect();
    let mut architectures: Vec<_> = seccomp::architectures().collect();
    architectures.sort();
    json!({
        "enabled": supports(|config| config["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW"})),
        "actions": seccomp::ACTIONS, "operators": seccomp::OPERATORS, "archs": architectures,
        "knownFlags": flags, "supportedFlags": flags,
    })
}

fn idmap(config: &mut Value) {
    let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    let mount = json!({
        "destination": "/data", "source": "/srv", "options": ["bind"], "uidMappings": map, "gidMappings": map,
    });
    config["mounts"].as_array_mut().expect("the template has mounts").push(mount);
}

fn capabilities() -> Vec<String> {
    let mut known: Vec<_> = caps::all().into_iter().collect();
    known.sort_by_key(caps::Capability::index);
    known.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_are_taken_as_the_config_s() {
        let features = features("1", "c");
        for key in ["ociVersionMin", "ociVersionMax"] {
            let mut config = template();
            config["ociVersion"] = features[key].clone();
            assert!(Config::parse(&config.to_string()).is_ok(), "{key}");
        }
        assert_eq!(template()["ociVersion"], OCI_VERSION);
    }

    #[test]
    fn what_is_claimed_is_what_is_taken() {
        let features = features("1", "c");
        let linux = &features["linux"];
        assert_eq!(linux["capabilities"].as_array().map(Vec::len), Some(41));
        assert_eq!(
            (&linux["capabilities"][0], &linux["capabilities"][40]),
            (&json!("CAP_CHOWN"), &json!("CAP_CHECKPOINT_RESTORE"))
        );
        let namespaces: Vec<_> = linux["namespaces"].as_array().expect("a list").iter().collect();
        for name in ["cgroup", "ipc", "mount", "network", "pid", "user", "uts"] {
            assert!(namespaces.contains(&&json!(name)), "{name}");
        }
        // A part that is not there is not claimed.
        assert_eq!(linux["intelRdt"]["enabled"], false);
        assert!(!supports(|config| config["linux"]["intelRdt"] = json!({"closID": "group"})));
    }
}
