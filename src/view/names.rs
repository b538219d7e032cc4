//! Whose cgroup a directory is: a container of ours, a container of an engine, a pod, a QoS class. Engines and kubelets
//! leave no other trace of it than the names that they give (`pkg/kubelet/cm`, containerd, CRI-O, Docker, Podman).

use serde::Serialize;

/// A container of glassbox's, from its record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Its id.
    pub id: String,
    /// `running`, `paused` and so on.
    pub status: String,
    /// Path of its cgroup in the hierarchy, `/glassbox-web`.
    pub cgroup: Option<String>,
    /// Its first process, while there is one.
    pub pid: Option<i32>,
}

/// What a cgroup is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Owner {
    /// A container of glassbox's.
    Glassbox {
        /// Its id.
        id: String,
        /// Its status.
        status: String,
    },
    /// A container of another engine.
    Container {
        /// Its full id.
        id: String,
        /// Who made it.
        engine: String,
    },
    /// A pod.
    Pod {
        /// Its uid, as the API server gave it.
        uid: String,
        /// Its QoS class.
        class: String,
    },
    /// All pods of one class.
    Class {
        /// The QoS class.
        class: String,
    },
    /// All pods of the node.
    Pods,
}

impl Owner {
    /// What it is, in words: `container web`.
    pub fn words(&self) -> String {
        match self {
            Owner::Glassbox { id, .. } => format!("container {id}"),
            Owner::Container { id, engine } => format!("container {} ({engine})", short(id)),
            Owner::Pod { uid, class } => format!("pod {uid} ({class})"),
            Owner::Class { class } => format!("pods of class {class}"),
            Owner::Pods => "all pods of the node".to_string(),
        }
    }
}

/// Engines print the first twelve digits of an id.
fn short(id: &str) -> &str {
    let hash = id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if hash { &id[..12] } else { id }
}

/// Whose cgroup `path` (from the root of the hierarchy, `/kubepods/…`) is, if its name tells.
pub fn owner(path: &str, containers: &[Container]) -> Option<Owner> {
    if let Some(ours) = containers.iter().find(|container| container.cgroup.as_deref() == Some(path)) {
        return Some(Owner::Glassbox { id: ours.id.clone(), status: ours.status.clone() });
    }
    let (above, name) = path.rsplit_once('/')?;
    pod_level(above, name).or_else(|| engine(above, name))
}

/// The levels that a kubelet makes: plain names of cgroupfs, and systemd's, which carry all the names above them and
/// write the dashes of a uid as underscores.
fn pod_level(above: &str, name: &str) -> Option<Owner> {
    let is_class = |word: &str| match word {
        "burstable" => Some("Burstable"),
        "besteffort" => Some("BestEffort"),
        _ => None,
    };
    let pod = |uid: &str, class: Option<&str>| Owner::Pod {
        uid: uid.to_string(),
        class: class.unwrap_or("Guaranteed").to_string(),
    };
    if let Some(slice) = name.strip_suffix(".slice") {
        let mut words = slice.split('-').skip_while(|word| *word != "kubepods").skip(1);
        slice.split('-').find(|word| *word == "kubepods")?;
        return Some(match (words.next(), words.next()) {
            (None, _) => Owner::Pods,
            (Some(word), below) => match (is_class(word), below) {
                (Some(class), None) => Owner::Class { class: class.to_string() },
                (class, below) => pod(&below.unwrap_or(word).strip_prefix("pod")?.replace('_', "-"), class),
            },
        });
    }
    if name == "kubepods" {
        return Some(Owner::Pods);
    }
    let parent = above.rsplit('/').next()?;
    match (parent, is_class(parent), is_class(name)) {
        ("kubepods", _, Some(class)) => Some(Owner::Class { class: class.to_string() }),
        ("kubepods", _, None) => Some(pod(name.strip_prefix("pod")?, None)),
        (_, Some(class), _) if above.contains("/kubepods/") => Some(pod(name.strip_prefix("pod")?, Some(class))),
        _ => None,
    }
}

/// A container's directory: below a pod, or by the prefix of its engine.
fn engine(above: &str, name: &str) -> Option<Owner> {
    let container = |id: &str, engine: &str| Owner::Container { id: id.to_string(), engine: engine.to_string() };
    let bare = name.strip_suffix(".scope").unwrap_or(name);
    let prefixes = [
        ("cri-containerd-", "containerd"),
        ("crio-conmon-", "CRI-O's conmon"),
        ("crio-", "CRI-O"),
        ("docker-", "Docker"),
        ("libpod-conmon-", "Podman's conmon"),
        ("libpod-", "Podman"),
        ("nerdctl-", "nerdctl"),
    ];
    if let Some((id, engine)) = prefixes.iter().find_map(|(prefix, engine)| Some((bare.strip_prefix(prefix)?, engine)))
    {
        let hash = id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        return hash.then(|| container(id, engine));
    }
    let parent = above.rsplit('/').next()?;
    match parent {
        "docker" if name.len() == 64 => Some(container(name, "Docker")),
        _ => {
            let (grand, pod) = above.rsplit_once('/')?;
            matches!(pod_level(grand, pod), Some(Owner::Pod { .. })).then(|| container(name, "pod"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kube::cgroup_path::{Cri, Driver, container_name, of_pod_levels};
    use crate::kube::qos::Class;

    const ID: &str = "4f2ab0c1d2e3f405162738495a6b7c8d4f2ab0c1d2e3f405162738495a6b7c8d";
    const UID: &str = "0b1c-2d3e";

    fn told(path: &str) -> Option<String> {
        owner(path, &[]).map(|owner| owner.words())
    }

    #[test]
    fn what_a_kubelet_makes_is_named_back() {
        for driver in [Driver::Cgroupfs, Driver::Systemd] {
            for root in [vec![], vec!["lab".to_string()]] {
                let path = |class, uid| of_pod_levels(driver, &root, class, uid);
                assert_eq!(told(&path(None, None)).as_deref(), Some("all pods of the node"));
                for class in [Class::Burstable, Class::BestEffort] {
                    assert_eq!(told(&path(Some(class), None)), Some(format!("pods of class {}", class.name())));
                }
                for class in [Class::Guaranteed, Class::Burstable, Class::BestEffort] {
                    let pod = path(Some(class), Some(UID));
                    assert_eq!(told(&pod), Some(format!("pod {UID} ({})", class.name())), "{pod}");
                    for cri in [Cri::Containerd, Cri::Crio] {
                        let path = format!("{pod}/{}", container_name(driver, cri, ID));
                        assert!(told(&path).expect(&path).starts_with("container 4f2ab0c1d2e3 ("), "{path}");
                    }
                }
            }
        }
    }

    #[test]
    fn engines_are_known_by_their_prefix() {
        assert_eq!(
            told(&format!("/system.slice/docker-{ID}.scope")).as_deref(),
            Some("container 4f2ab0c1d2e3 (Docker)")
        );
        assert_eq!(told(&format!("/docker/{ID}")).as_deref(), Some("container 4f2ab0c1d2e3 (Docker)"));
        let path = format!("/machine.slice/libpod-{ID}.scope");
        assert_eq!(told(&path).as_deref(), Some("container 4f2ab0c1d2e3 (Podman)"));
    }

    #[test]
    fn other_names_tell_nothing() {
        for path in ["/", "/user.slice/user-0.slice", "/system.slice/docker-desktop.service", "/podinfo", "/burstable"]
        {
            assert_eq!(told(path), None, "{path}");
        }
    }

    #[test]
    fn our_own_record_counts_most() {
        let web = Container {
            id: "web".into(),
            status: "running".into(),
            cgroup: Some("/kubepods/pod1".into()),
            pid: Some(1),
        };
        assert_eq!(owner("/kubepods/pod1", &[web]).map(|owner| owner.words()).as_deref(), Some("container web"));
    }
}
