//! A pod's volumes: each becomes a directory or a file of the node that containers get by bind mounts.
//!
//! What has to be mounted is mounted in the supervisor's own mount namespace, and is gone with it.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use k8s_openapi::api::core::v1 as api;
use pathrs::Root;
use pathrs::error::ErrorKind;
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind_recursive, unmount};

use super::config::Mount;
use super::error::PodError;
use super::expand::expand;
use super::facts::Facts;
use super::payload;
use super::record::Home;
use crate::kube::quantity::Quantity;

/// Makes a volume, and says where it is.
pub fn prepare(home: &Home, volume: &api::Volume, facts: &Facts<'_>) -> Result<PathBuf, PodError> {
    let wrong = |message: String| PodError::Config(format!("volume {}: {message}", volume.name));
    let group = fs_group(facts);
    if let Some(source) = &volume.host_path {
        return host_path(source).map_err(wrong);
    }
    let path = home.volume(&volume.name);
    fs::create_dir_all(&path).map_err(|cause| PodError::file(&path, cause))?;
    if let Some(source) = &volume.empty_dir {
        empty(&path, source)?;
        return own(&path, group, 0o777).map(|()| path);
    }
    match payload::of_volume(volume, facts) {
        Some(files) => {
            let files = files.map_err(|missing| wrong(missing.to_string()))?;
            own(&path, group, 0o755)?;
            payload::write(&path, &files, &stamp(), group).map_err(|cause| PodError::file(&path, cause))?;
            Ok(path)
        }
        None => Err(wrong("names no source".into())),
    }
}

/// Writes the files of a volume anew, where it is made of files.
pub fn refresh(home: &Home, volume: &api::Volume, facts: &Facts<'_>) -> Result<(), PodError> {
    let Some(files) = payload::of_volume(volume, facts) else { return Ok(()) };
    let path = home.volume(&volume.name);
    let files = files.map_err(|missing| PodError::Config(format!("volume {}: {missing}", volume.name)))?;
    payload::write(&path, &files, &stamp(), fs_group(facts)).map_err(|cause| PodError::file(&path, cause))
}

/// The container's mounts of the pod's volumes. `variables` are its own, for `subPathExpr`.
pub fn mounts(
    home: &Home,
    container: &api::Container,
    volumes: &[(String, PathBuf)],
    variables: &[(String, String)],
    read_only: impl Fn(&str) -> bool,
) -> Result<Vec<Mount>, PodError> {
    let mut mounts = Vec::new();
    for (index, wanted) in container.volume_mounts.iter().flatten().enumerate() {
        let Some((_, volume)) = volumes.iter().find(|(name, _)| *name == wanted.name) else {
            return Err(PodError::Config(format!("container {}: there is no volume {}", container.name, wanted.name)));
        };
        let source = match sub_path(wanted, variables)? {
            None => volume.clone(),
            Some(below) => part(volume, &below, &home.bundle(&container.name).join("parts").join(index.to_string()))?,
        };
        mounts.push(Mount {
            target: wanted.mount_path.clone(),
            source: source.display().to_string(),
            access: match (wanted.read_only, wanted.recursive_read_only.as_deref()) {
                (Some(true), Some("Enabled" | "IfPossible")) => "rro",
                (Some(true), _) => "ro",
                _ if read_only(&wanted.name) => "ro",
                _ => "rw",
            },
            propagation: match wanted.mount_propagation.as_deref() {
                Some("HostToContainer") => "rslave",
                Some("Bidirectional") => "rshared",
                _ => "rprivate",
            },
        });
    }
    Ok(mounts)
}

/// `subPath`, or `subPathExpr` with its variables in place. Neither may be absolute or lead upwards.
fn sub_path(wanted: &api::VolumeMount, variables: &[(String, String)]) -> Result<Option<String>, PodError> {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let path = match (given(&wanted.sub_path), given(&wanted.sub_path_expr)) {
        (Some(path), _) => path,
        (None, Some(expression)) => expand(&expression, &variables.iter().cloned().collect()),
        (None, None) => return Ok(None),
    };
    let plain = Path::new(&path).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    match plain && !path.contains("$(") {
        true => Ok(Some(path)),
        false => Err(PodError::Config(format!(
            "volumeMount {}: subPath {path:?} is no path below the volume",
            wanted.mount_path
        ))),
    }
}

/// A part of a volume, mounted at `place` as it was found now: what the pod's containers make of the volume afterwards leads nowhere
/// else (CVE-2017-1002101, CVE-2021-25741). What is not there becomes a directory.
fn part(volume: &Path, below: &str, place: &Path) -> Result<PathBuf, PodError> {
    let failed = |cause: pathrs::error::Error| {
        PodError::Config(format!("subPath {below:?} of the volume at {}: {cause}", volume.display()))
    };
    let root = Root::open(volume).map_err(failed)?;
    let found = match root.resolve(below) {
        Err(error) if matches!(error.kind(), ErrorKind::OsError(Some(libc::ENOENT))) => make_like(&root, volume, below),
        found => found,
    };
    let found = OwnedFd::from(found.map_err(failed)?);
    let _ = unmount(place, UnmountFlags::DETACH);
    let (parent, file) = (place.parent().unwrap_or(place), |cause| PodError::file(place, cause));
    fs::create_dir_all(parent).map_err(file)?;
    let is_directory =
        rustix::fs::fstat(&found).map_err(|errno| file(errno.into()))?.st_mode & libc::S_IFMT == libc::S_IFDIR;
    let made = match is_directory {
        true => fs::create_dir_all(place),
        false => fs::File::create(place).map(drop),
    };
    made.map_err(file)?;
    // By its descriptor, which no symbolic link can change any more.
    let source = format!("/proc/self/fd/{}", found.as_raw_fd());
    mount_bind_recursive(&source, place)
        .map_err(|errno| PodError::call(format!("mount {below:?} of a volume on {place:?}"), errno.into()))?;
    Ok(place.to_path_buf())
}

/// Makes the directories with the mode of the volume itself, as the kubelet does, whatever our umask. The bit that hands the volume's
/// group on (setgid) comes from the directory above by itself; mkdir(2) takes none.
fn make_like(root: &Root, volume: &Path, below: &str) -> Result<pathrs::Handle, pathrs::error::Error> {
    let mode = fs::metadata(volume).map_or(0o750, |found| found.permissions().mode() & 0o1777);
    let ours = rustix::process::umask(rustix::fs::Mode::empty());
    let made = root.mkdir_all(below, &fs::Permissions::from_mode(mode));
    rustix::process::umask(ours);
    made
}

fn fs_group(facts: &Facts<'_>) -> Option<u32> {
    let security = facts.pod.spec.as_ref()?.security_context.as_ref()?;
    security.fs_group.and_then(|group| u32::try_from(group).ok())
}

/// A name that no earlier write had, as the kubelet makes them: the time.
fn stamp() -> String {
    format!("{}", jiff::Timestamp::now().as_nanosecond())
}

fn empty(path: &Path, source: &api::EmptyDirVolumeSource) -> Result<(), PodError> {
    if source.medium.as_deref().unwrap_or_default() != "Memory" {
        return Ok(());
    }
    let limit =
        source.size_limit.as_ref().and_then(|limit| limit.0.parse::<Quantity>().ok()).map(|limit| limit.value());
    let options = match limit.filter(|limit| *limit > 0) {
        Some(limit) => format!("mode=0777,size={limit}"),
        None => "mode=0777".to_string(),
    };
    let options = std::ffi::CString::new(options).expect("numbers have no NUL");
    mount("tmpfs", path, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, options.as_c_str())
        .map_err(|errno| PodError::call(format!("mount a tmpfs on {path:?}"), errno.into()))
}

fn own(path: &Path, group: Option<u32>, mode: u32) -> Result<(), PodError> {
    let change = || {
        std::os::unix::fs::chown(path, None, group)?;
        // New files get the group of the directory, where the pod has one (setgid).
        let mode = if group.is_some() { mode | 0o2070 } else { mode };
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
    };
    change().map_err(|cause| PodError::file(path, cause))
}

/// `hostPath` with the check that its type asks for (`pkg/volume/hostpath`).
fn host_path(source: &api::HostPathVolumeSource) -> Result<PathBuf, String> {
    let path = PathBuf::from(&source.path);
    if !path.is_absolute() || path.components().any(|part| part == std::path::Component::ParentDir) {
        return Err(format!("hostPath {path:?} is not an absolute path without .."));
    }
    let kind = source.type_.as_deref().unwrap_or_default();
    let failed = |cause: std::io::Error| format!("hostPath {path:?}: {cause}");
    if kind == "DirectoryOrCreate" && !path.exists() {
        fs::create_dir_all(&path).map_err(failed)?;
    }
    if kind == "FileOrCreate" && !path.exists() {
        fs::File::create(&path).map(drop).map_err(failed)?;
    }
    let found = fs::metadata(&path).map_err(failed)?.file_type();
    let fits = match kind {
        "Directory" | "DirectoryOrCreate" => found.is_dir(),
        "File" | "FileOrCreate" => found.is_file(),
        "Socket" => found.is_socket(),
        "CharDevice" => found.is_char_device(),
        "BlockDevice" => found.is_block_device(),
        "" => true,
        other => return Err(format!("hostPath type {other:?} is none of Kubernetes'")),
    };
    if fits { Ok(path) } else { Err(format!("hostPath type check failed: {path:?} is not a {kind}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(path: &Path, kind: &str) -> Result<PathBuf, String> {
        host_path(&api::HostPathVolumeSource { path: path.display().to_string(), type_: Some(kind.into()) })
    }

    #[test]
    fn a_sub_path_stays_below_its_volume() {
        let asked = |value: serde_json::Value| {
            let mut mount = serde_json::json!({"name": "v", "mountPath": "/m"});
            mount.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
            let mount = serde_json::from_value(mount).unwrap();
            sub_path(&mount, &[("POD".into(), "web".into()), ("UP".into(), "../..".into())])
        };
        assert_eq!(asked(serde_json::json!({})).unwrap(), None);
        assert_eq!(asked(serde_json::json!({"subPath": "a/b"})).unwrap().as_deref(), Some("a/b"));
        assert_eq!(asked(serde_json::json!({"subPathExpr": "logs/$(POD)"})).unwrap().as_deref(), Some("logs/web"));
        for bad in ["/etc", "../x", "a/../../b"] {
            assert!(asked(serde_json::json!({"subPath": bad})).is_err(), "{bad}");
        }
        for bad in ["$(UP)", "$(NONE)"] {
            assert!(asked(serde_json::json!({"subPathExpr": bad})).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_host_path_is_what_its_type_says() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        assert!(checked(&file, "File").unwrap_err().contains("No such file"));
        checked(&file, "FileOrCreate").unwrap();
        checked(&file, "File").unwrap();
        assert!(checked(&file, "Directory").unwrap_err().contains("type check failed"));
        checked(&directory.path().join("a/b"), "DirectoryOrCreate").unwrap();
        checked(&directory.path().join("a/b"), "Directory").unwrap();
        checked(Path::new("/dev/null"), "CharDevice").unwrap();
        assert!(checked(Path::new("/dev/null"), "Folder").unwrap_err().contains("none of Kubernetes'"));
        assert!(checked(Path::new("etc"), "").unwrap_err().contains("absolute"));
        assert!(checked(Path::new("/etc/../root"), "").unwrap_err().contains("absolute"));
    }
}
