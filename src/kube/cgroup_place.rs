//! The way back from a cgroup's path to its place in Kubernetes' tree: which pod, which class, which container. The names
//! are those of [`super::cgroup_path`].

use super::cgroup_path::{Cri, Driver};
use super::qos::Class;

/// What the path of a cgroup tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Who makes such names.
    pub driver: Driver,
    /// The runtime that makes such names; `None` above containers.
    pub cri: Option<Cri>,
    /// The class; `None` for `kubepods` itself.
    pub class: Option<Class>,
    /// The pod's uid; under systemd with `_` for each `-`.
    pub uid: Option<String>,
    /// The id of the container or sandbox.
    pub container: Option<String>,
}

/// Finds `kubepods` in a path and reads what follows it; `None` where it is not there, or what follows is no name of
/// Kubernetes' making.
pub fn of(path: &str) -> Option<Place> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let is_top = |part: &str| part == "kubepods" || slice(part).is_some_and(|name| last_step(name) == "kubepods");
    let top = parts.iter().position(|part| is_top(part))?;
    let below = &parts[top + 1..];
    match slice(parts[top]) {
        None => cgroupfs(below),
        Some(stem) => systemd(stem, below),
    }
}

fn slice(part: &str) -> Option<&str> {
    part.strip_suffix(".slice")
}

/// The name of a slice carries all names above it.
fn last_step(name: &str) -> &str {
    name.rsplit('-').next().unwrap_or(name)
}

fn empty(driver: Driver) -> Place {
    Place { driver, cri: None, class: None, uid: None, container: None }
}

fn cgroupfs(below: &[&str]) -> Option<Place> {
    let mut place = empty(Driver::Cgroupfs);
    let mut below = below.iter().copied();
    let Some(mut part) = below.next() else { return Some(place) };
    if let Some(class) = class(part) {
        place.class = Some(class);
        match below.next() {
            Some(next) => part = next,
            None => return Some(place),
        }
    }
    place.class = place.class.or(Some(Class::Guaranteed));
    place.uid = Some(part.strip_prefix("pod").filter(|uid| !uid.is_empty())?.to_string());
    if let Some(name) = below.next() {
        let (cri, id) = match name.strip_prefix("crio-") {
            Some(id) => (Cri::Crio, id),
            None => (Cri::Containerd, name),
        };
        (place.cri, place.container) = (Some(cri), Some(id.to_string()));
    }
    Some(place)
}

fn systemd(stem: &str, below: &[&str]) -> Option<Place> {
    let mut place = empty(Driver::Systemd);
    let mut stem = stem.to_string();
    for part in below {
        if let Some(name) = slice(part).filter(|_| place.uid.is_none()) {
            let step = name.strip_prefix(&stem)?.strip_prefix('-')?;
            match class(step) {
                Some(class) if place.class.is_none() => place.class = Some(class),
                _ => place.uid = Some(step.strip_prefix("pod").filter(|uid| !uid.is_empty())?.to_string()),
            }
            stem = name.to_string();
            continue;
        }
        place.uid.as_ref()?;
        let name = part.strip_suffix(".scope")?;
        let (cri, id) = match (name.strip_prefix("cri-containerd-"), name.strip_prefix("crio-")) {
            (Some(id), _) => (Cri::Containerd, id),
            (None, Some(id)) => (Cri::Crio, id),
            (None, None) => return None,
        };
        (place.cri, place.container) = (Some(cri), Some(id.to_string()));
        // What a container makes below its own cgroup is its own.
        break;
    }
    if place.uid.is_some() {
        place.class = place.class.or(Some(Class::Guaranteed));
    }
    Some(place)
}

fn class(word: &str) -> Option<Class> {
    match word {
        "burstable" => Some(Class::Burstable),
        "besteffort" => Some(Class::BestEffort),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::cgroup_path::{container_name, of_pod_levels};
    use super::*;

    #[test]
    fn every_name_that_is_made_is_read_back() {
        for driver in [Driver::Cgroupfs, Driver::Systemd] {
            for root in [vec![], vec!["lab-1".to_string()], vec!["a".to_string(), "b".to_string()]] {
                for class in [Class::Guaranteed, Class::Burstable, Class::BestEffort] {
                    for cri in [Cri::Containerd, Cri::Crio] {
                        let pod = of_pod_levels(driver, &root, Some(class), Some("1a2b-3c"));
                        let path = format!("/sys/fs/cgroup{pod}/{}", container_name(driver, cri, "c0ffee"));
                        let uid = if driver == Driver::Systemd { "1a2b_3c" } else { "1a2b-3c" };
                        let expected = Place {
                            driver,
                            cri: Some(cri),
                            class: Some(class),
                            uid: Some(uid.into()),
                            container: Some("c0ffee".into()),
                        };
                        assert_eq!(of(&path), Some(expected.clone()), "{path}");
                        let without = Place { cri: None, container: None, ..expected };
                        assert_eq!(of(&pod), Some(without), "{pod}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_levels_above_a_pod_are_known() {
        let known = |path: &str| of(path).map(|place| (place.class, place.uid));
        assert_eq!(known("/sys/fs/cgroup/kubepods"), Some((None, None)));
        assert_eq!(known("/kubepods.slice/kubepods-burstable.slice"), Some((Some(Class::Burstable), None)));
        assert_eq!(known("/kubelet.slice/kubelet-kubepods.slice"), Some((None, None)));
    }

    #[test]
    fn other_paths_are_not_taken_for_pods() {
        for path in [
            "/",
            "/system.slice/ssh.service",
            "/kubepods/other",
            "/kubepods/burstable/pod",
            "/kubepods.slice/other.slice",
            "/kubepods.slice/kubepods-podx.slice/ssh.service",
            "/kubepods.slice/crio-x.scope",
        ] {
            assert_eq!(of(path), None, "{path}");
        }
    }
}
