//! Where the files of a container come from: a directory that is a root file system, or an image that is unpacked once and then
//! shared by all pods, each with its own changes on top.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::PodError;
use crate::image::{self, Devices, Image, ImageError, ImageName, Limits, Options, Owners, Place, Watch};

/// The files of an image, and what its config says of its program.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Files {
    /// The root file system, which nobody writes to.
    pub rootfs: PathBuf,
    /// The digest of the image's config; a directory has none.
    pub id: Option<String>,
    /// `Entrypoint`.
    pub entrypoint: Vec<String>,
    /// `Cmd`.
    pub cmd: Vec<String>,
    /// `Env`.
    pub env: Vec<(String, String)>,
    /// `WorkingDir`.
    pub cwd: String,
    /// `User`: `name`, `uid`, `uid:gid` and so on; root where it is empty.
    pub user: String,
    /// `StopSignal`.
    pub stop_signal: Option<String>,
}

/// The files of the image `name` at `path`, which may be followed by `:REFERENCE`: an OCI layout, an archive, or a directory that is a
/// root file system. An image is unpacked below `unpacked` unless it is there already.
pub fn at(name: &str, path: &str, unpacked: &Path) -> Result<Files, PodError> {
    let directory = Path::new(path);
    if directory.is_dir() && !directory.join("oci-layout").is_file() {
        let rootfs = directory.canonicalize().map_err(|cause| PodError::file(directory, cause))?;
        return match rootfs == Path::new("/") {
            true => Err(PodError::Config(format!("image {name}: / is the node's own root file system"))),
            false => Ok(Files { rootfs, ..Files::default() }),
        };
    }
    let wanted = ImageName::parse(path, |path| path.exists());
    let of = |cause: ImageError| PodError::Image { name: name.to_string(), cause: Box::new(cause) };
    let opened = match Image::open(&wanted, None) {
        // Of several images the one of this name is meant.
        Err(ImageError::Name { .. }) if wanted.reference.is_none() => {
            Image::open(&ImageName { reference: Some(name.to_string()), ..wanted }, None)
        }
        opened => opened,
    };
    prepare(&opened.map_err(of)?, unpacked).map_err(of)
}

/// The place of the image `name` in a store: a directory with an OCI layout that has it by that name, or with an entry of that name
/// (`busybox:1.36`, `busybox:1.36.tar`, `registry.example/web:2/`; without its tag where that is `latest`).
pub fn in_store(name: &str, store: &Path) -> Option<String> {
    let plain = !name.starts_with('/') && !name.split('/').any(|part| matches!(part, "" | "." | ".."));
    let bare = name.strip_suffix(":latest").unwrap_or(name);
    let tagged = bare.rsplit('/').next().is_some_and(|last| last.contains(':'));
    let names = [Some(name.to_string()), Some(bare.to_string()), (!tagged).then(|| format!("{bare}:latest"))];
    let entries = names.into_iter().flatten().filter(|_| plain).flat_map(|name| [name.clone(), format!("{name}.tar")]);
    let found = entries.map(|entry| store.join(entry)).find(|path| path.exists());
    if let Some(path) = found {
        return Some(path.display().to_string());
    }
    let layout = ImageName { transport: None, path: store.into(), reference: Some(name.to_string()) };
    let is_there = store.join("oci-layout").is_file() && Image::open(&layout, None).is_ok();
    is_there.then(|| format!("{}:{name}", store.display()))
}

/// Nobody watches, and nobody stops it.
struct Unwatched;

impl Watch for Unwatched {
    fn advance(&self, _bytes: u64) {}

    fn stop(&self) -> bool {
        false
    }
}

/// Unpacks an image, whole or not at all, and reads its config.
fn prepare(image: &Image, unpacked: &Path) -> Result<Files, ImageError> {
    let id = image.id.to_string();
    let rootfs = unpacked.join(id.replace(':', "-"));
    if !rootfs.is_dir() {
        let told = |source: io::Error| ImageError::Io { what: format!("{unpacked:?}"), cause: source };
        // The image's set-user-ID programs are not for the users of this machine.
        DirBuilder::new().recursive(true).mode(0o700).create(unpacked).map_err(told)?;
        let place = Place::new(&rootfs)?;
        let root = place.directory().try_clone_to_owned().map_err(told)?;
        // Containers get a /dev of their own.
        let options = Options { limits: Limits::default(), owners: Owners::Kept, devices: Devices::Skip };
        image::unpack(image, root, &options, &Unwatched)?;
        match place.finish() {
            // Another run was faster.
            Err(ImageError::Exists(_)) if rootfs.is_dir() => {}
            finished => finished?,
        }
    }
    let config = image.config.config().clone().unwrap_or_default();
    let pair = |variable: &String| variable.split_once('=').map(|(name, value)| (name.to_string(), value.to_string()));
    Ok(Files {
        rootfs,
        id: Some(id),
        entrypoint: config.entrypoint().clone().unwrap_or_default(),
        cmd: config.cmd().clone().unwrap_or_default(),
        env: config.env().iter().flatten().filter_map(pair).filter(|(name, _)| !name.is_empty()).collect(),
        cwd: config.working_dir().clone().unwrap_or_default(),
        user: config.user().clone().unwrap_or_default(),
        stop_signal: config.stop_signal().clone().filter(|signal| !signal.is_empty()),
    })
}

/// The image's own /etc/passwd and /etc/group, read below its root file system alone; a file that is not there is empty.
pub fn accounts(rootfs: &Path) -> Result<(String, String), PodError> {
    let root = fs::File::open(rootfs).map_err(|cause| PodError::file(rootfs, cause))?;
    let read = |name: &str| {
        let of = |cause| PodError::Image { name: rootfs.display().to_string(), cause: Box::new(cause) };
        image::small_file(root.as_fd(), name).map_err(of)
    };
    Ok((read("etc/passwd")?, read("etc/group")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_has_images_by_their_names() {
        let store = tempfile::tempdir().unwrap();
        for entry in ["busybox:1.36.tar", "web.tar", "registry.example/app:2/bin"] {
            let path = store.path().join(entry);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let found = |name: &str| in_store(name, store.path()).map(|path| path.rsplit('/').next().unwrap().to_string());
        assert_eq!(found("busybox:1.36").as_deref(), Some("busybox:1.36.tar"));
        assert_eq!(found("web:latest").as_deref(), Some("web.tar"));
        assert_eq!(found("web").as_deref(), Some("web.tar"));
        assert_eq!(found("registry.example/app:2").as_deref(), Some("app:2"));
        for name in ["busybox", "web:2", "../web", "/etc", "app:2", ""] {
            assert_eq!(found(name), None, "{name}");
        }
    }

    #[test]
    fn a_directory_is_a_root_file_system_unless_it_is_the_nodes_own() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_str().unwrap();
        assert_eq!(at("web", path, Path::new("/nowhere")).unwrap().rootfs, directory.path().canonicalize().unwrap());
        assert!(at("web", "/", Path::new("/nowhere")).is_err());
        assert!(at("web", &format!("{path}/none.tar"), Path::new("/nowhere")).is_err());
    }
}
