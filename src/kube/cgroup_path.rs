//! Names of cgroups: which directory a level has under each cgroup driver and each container runtime
//! (`pkg/kubelet/cm/cgroup_manager_linux.go`, `ToCgroupfs` and `ToSystemd`; containerd and CRI-O for containers).

use super::qos::Class;

/// Who makes the directories.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    /// The kubelet and the runtime make plain directories.
    #[default]
    Cgroupfs,
    /// systemd makes slices and scopes for them.
    Systemd,
}

/// Which runtime the kubelet talks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cri {
    /// containerd.
    Containerd,
    /// CRI-O.
    Crio,
}

impl Driver {
    /// The word of KubeletConfiguration's `cgroupDriver`.
    pub fn name(self) -> &'static str {
        match self {
            Driver::Cgroupfs => "cgroupfs",
            Driver::Systemd => "systemd",
        }
    }
}

impl Cri {
    /// The runtime's name.
    pub fn name(self) -> &'static str {
        match self {
            Cri::Containerd => "containerd",
            Cri::Crio => "CRI-O",
        }
    }
}

/// The path of `kubepods`, of its QoS directory, or of a pod in it; starts with `/`. `root` is kubelet's `cgroupRoot`.
pub fn of_pod_levels(driver: Driver, root: &[String], class: Option<Class>, uid: Option<&str>) -> String {
    let mut parts = root.to_vec();
    parts.push("kubepods".to_string());
    match class {
        Some(Class::Burstable) => parts.push("burstable".into()),
        Some(Class::BestEffort) => parts.push("besteffort".into()),
        // Guaranteed pods stand in kubepods itself.
        Some(Class::Guaranteed) | None => {}
    }
    parts.extend(uid.map(|uid| format!("pod{uid}")));
    match driver {
        Driver::Cgroupfs => format!("/{}", parts.join("/")),
        // systemd reads `-` as a step down, so it is escaped in names; every slice carries all the names above it.
        Driver::Systemd => {
            let escaped: Vec<String> = parts.iter().map(|part| part.replace('-', "_")).collect();
            (1..=escaped.len()).map(|depth| format!("/{}.slice", escaped[..depth].join("-"))).collect()
        }
    }
}

/// The name of the directory of the container (or sandbox) with this id, inside its pod's.
pub fn container_name(driver: Driver, cri: Cri, id: &str) -> String {
    match (driver, cri) {
        (Driver::Cgroupfs, Cri::Containerd) => id.to_string(),
        (Driver::Cgroupfs, Cri::Crio) => format!("crio-{id}"),
        (Driver::Systemd, Cri::Containerd) => format!("cri-containerd-{id}.scope"),
        (Driver::Systemd, Cri::Crio) => format!("crio-{id}.scope"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "1a2b-3c";

    #[test]
    fn cgroupfs_names_are_the_words_themselves() {
        let path = |class, uid| of_pod_levels(Driver::Cgroupfs, &[], class, uid);
        assert_eq!(path(None, None), "/kubepods");
        assert_eq!(path(Some(Class::Burstable), None), "/kubepods/burstable");
        assert_eq!(path(Some(Class::BestEffort), Some(UID)), "/kubepods/besteffort/pod1a2b-3c");
        assert_eq!(path(Some(Class::Guaranteed), Some(UID)), "/kubepods/pod1a2b-3c");
    }

    #[test]
    fn systemd_names_repeat_what_stands_above_and_escape_the_dash() {
        let path = |class, uid| of_pod_levels(Driver::Systemd, &[], class, uid);
        assert_eq!(path(None, None), "/kubepods.slice");
        assert_eq!(path(Some(Class::Burstable), None), "/kubepods.slice/kubepods-burstable.slice");
        assert_eq!(
            path(Some(Class::Burstable), Some(UID)),
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1a2b_3c.slice"
        );
        assert_eq!(path(Some(Class::Guaranteed), Some(UID)), "/kubepods.slice/kubepods-pod1a2b_3c.slice");
    }

    #[test]
    fn a_cgroup_root_stands_above_all() {
        let root = ["lab-1".to_string()];
        assert_eq!(of_pod_levels(Driver::Cgroupfs, &root, None, None), "/lab-1/kubepods");
        assert_eq!(of_pod_levels(Driver::Systemd, &root, None, None), "/lab_1.slice/lab_1-kubepods.slice");
    }

    #[test]
    fn a_container_is_named_by_driver_and_runtime() {
        let table = [
            (Driver::Cgroupfs, Cri::Containerd, "c1"),
            (Driver::Cgroupfs, Cri::Crio, "crio-c1"),
            (Driver::Systemd, Cri::Containerd, "cri-containerd-c1.scope"),
            (Driver::Systemd, Cri::Crio, "crio-c1.scope"),
        ];
        for (driver, cri, expected) in table {
            assert_eq!(container_name(driver, cri, "c1"), expected);
        }
    }
}
