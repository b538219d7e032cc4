//! A cgroup that systemd makes: a scope unit in a slice, by their names. Pure: `systemd.rs` beside this directory asks
//! systemd for it, `properties.rs` has the limits as systemd names them, `annotations.rs` those that a config names.

mod annotations;
mod properties;

pub use annotations::of_annotations;
pub use properties::{Property, Value, of_devices, of_writes, rounded};

/// Where containers go whose config names no slice (runc and crun put them there too).
const DEFAULT_SLICE: &str = "system.slice";

/// What systemd takes in the name of a unit beside letters and digits (systemd.unit(5)).
const UNIT_CHARACTERS: &str = ":-_.\\";

/// The longest name of a unit (systemd's UNIT_NAME_MAX).
const MAX_UNIT: usize = 255;

/// A container's unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// Its name: `cri-containerd-1a2b.scope`.
    pub unit: String,
    /// The slice that it is in: `kubepods-burstable.slice`.
    pub slice: String,
    /// Its cgroup below the hierarchy's root: `kubepods.slice/kubepods-burstable.slice/cri-containerd-1a2b.scope`.
    pub path: String,
}

/// A name that systemd would refuse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// Not three parts.
    #[error("{0:?} has not the form SLICE:PREFIX:NAME, which the systemd cgroup driver takes")]
    Form(String),
    /// The slice is none.
    #[error("{0:?} is no name of a slice, such as kubepods-burstable.slice")]
    Slice(String),
    /// The unit's name is none.
    #[error("{0:?} is no name of a unit: systemd takes letters, digits and : - _ . \\, at most 255 in all")]
    Unit(String),
}

impl Scope {
    /// The scope that `linux.cgroupsPath` names as `SLICE:PREFIX:NAME`; the empty text means `glassbox-ID.scope` in
    /// system.slice.
    pub fn named(cgroups_path: &str, id: &str) -> Result<Scope, ScopeError> {
        let parts: Vec<_> = match cgroups_path {
            "" => vec!["", "glassbox", id],
            path => path.split(':').collect(),
        };
        let [slice, prefix, name] = parts[..] else { return Err(ScopeError::Form(cgroups_path.to_string())) };
        let slice = if slice.is_empty() { DEFAULT_SLICE } else { slice };
        let unit = format!("{prefix}-{name}.scope");
        let known = |c: char| c.is_ascii_alphanumeric() || UNIT_CHARACTERS.contains(c);
        if name.is_empty() || unit.len() > MAX_UNIT || !unit.chars().all(known) {
            return Err(ScopeError::Unit(unit));
        }
        let above = slice_path(slice)?;
        let path = if above.is_empty() { unit.clone() } else { format!("{above}/{unit}") };
        Ok(Scope { unit, slice: slice.to_string(), path })
    }
}

/// The cgroup of a slice below the hierarchy's root: each dash in its name is a step down (systemd.slice(5)).
/// `a-b.slice` is `a.slice/a-b.slice`, and `-.slice` is the root itself.
pub fn slice_path(slice: &str) -> Result<String, ScopeError> {
    let wrong = || ScopeError::Slice(slice.to_string());
    let known = |c: char| c.is_ascii_alphanumeric() || UNIT_CHARACTERS.contains(c);
    if slice.len() > MAX_UNIT || !slice.chars().all(known) {
        return Err(wrong());
    }
    cgroups_rs::systemd::utils::expand_slice(slice).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(path: &str) -> Result<(String, String), String> {
        Scope::named(path, "web").map(|scope| (scope.unit, scope.path)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_path_of_three_parts_names_slice_and_scope() {
        for (path, unit, cgroup) in [
            ("", "glassbox-web.scope", "system.slice/glassbox-web.scope"),
            ("machine.slice:libpod:1a", "libpod-1a.scope", "machine.slice/libpod-1a.scope"),
            (":docker:1a", "docker-1a.scope", "system.slice/docker-1a.scope"),
            ("-.slice:x:1", "x-1.scope", "x-1.scope"),
            (
                "kubepods-burstable-pod1_2.slice:cri-containerd:9f",
                "cri-containerd-9f.scope",
                "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1_2.slice/cri-containerd-9f.scope",
            ),
        ] {
            assert_eq!(named(path), Ok((unit.to_string(), cgroup.to_string())), "{path}");
        }
    }

    #[test]
    fn what_systemd_would_refuse_is_refused_before() {
        assert!(named("/a/b").unwrap_err().contains("has not the form SLICE:PREFIX:NAME"));
        assert!(named("a.slice:b").unwrap_err().contains("SLICE:PREFIX:NAME"));
        for slice in ["a.scope", "a/b.slice", "a--b.slice", ".slice", "ä.slice", "-a.slice"] {
            assert!(named(&format!("{slice}:p:n")).unwrap_err().contains("is no name of a slice"), "{slice}");
        }
        for unit in ["p:", "p:a b", "p:a/b", "p:a+b", &format!("p:{}", "x".repeat(255))] {
            assert!(named(&format!("a.slice:{unit}")).unwrap_err().contains("is no name of a unit"), "{unit}");
        }
    }
}
