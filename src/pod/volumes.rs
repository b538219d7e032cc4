//! A pod's volumes: each becomes a directory or a file of the node that containers get by bind mounts.
//!
//! What has to be mounted is mounted in the supervisor's own mount namespace, and is gone with it.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1 as api;
use rustix::mount::{MountFlags, mount};

use super::config::Mount;
use super::error::PodError;
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

/// The container's mounts of the pod's volumes.
pub fn mounts(
    container: &api::Container,
    volumes: &[(String, PathBuf)],
    read_only: impl Fn(&str) -> bool,
) -> Result<Vec<Mount>, PodError> {
    let mut mounts = Vec::new();
    for wanted in container.volume_mounts.iter().flatten() {
        let Some((_, source)) = volumes.iter().find(|(name, _)| *name == wanted.name) else {
            return Err(PodError::Config(format!("container {}: there is no volume {}", container.name, wanted.name)));
        };
        mounts.push(Mount {
            target: wanted.mount_path.clone(),
            source: source.display().to_string(),
            readonly: wanted.read_only == Some(true) || read_only(&wanted.name),
            propagation: match wanted.mount_propagation.as_deref() {
                Some("HostToContainer") => "rslave",
                Some("Bidirectional") => "rshared",
                _ => "rprivate",
            },
        });
    }
    Ok(mounts)
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
