//! A bundle: a directory with a config.json and a root file system.

use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};

use super::error::RuntimeError;
use crate::spec::{self, Config, Wall, WithoutError};

/// Bytes of a config.json, at most: it is text that people write, nothing needs more, and a wrong file must not fill memory.
pub const MAX_CONFIG: u64 = 16 << 20;

/// A loaded bundle.
#[derive(Debug)]
pub struct Bundle {
    /// Absolute path of the directory, no part of it a symbolic link.
    pub path: PathBuf,
    /// The text of config.json, as it was read.
    pub text: String,
    /// What it says.
    pub config: Config,
    /// Absolute path of the rootfs directory, no part of it a symbolic link.
    pub rootfs: PathBuf,
}

impl Bundle {
    /// Reads and checks the bundle in `directory`.
    pub fn load(directory: &Path) -> Result<Bundle, RuntimeError> {
        let path = real_path(directory).map_err(|cause| missing(directory, "the bundle directory", &cause))?;
        let text = read_config(&path.join("config.json"))?;
        let config = Config::parse(&text)?;
        let root = config.spec.root().as_ref().map(|root| path.join(root.path())).unwrap_or_default();
        let rootfs = real_path(&root).map_err(|cause| missing(&root, "the rootfs that root.path names", &cause))?;
        if !rootfs.is_dir() {
            return Err(RuntimeError::Bundle {
                path: root,
                what: "root.path names something that is no directory".into(),
            });
        }
        if rootfs == Path::new("/") {
            return Err(RuntimeError::Bundle { path: root, what: "root.path is the host's own root directory".into() });
        }
        Ok(Bundle { path, text, config, rootfs })
    }

    /// The same, with its config without these walls.
    pub fn without(self, walls: &[Wall]) -> Result<Bundle, WithoutError> {
        let text = spec::without(&self.text, walls, &our_capabilities())?;
        Ok(Bundle { config: Config::parse(&text)?, text, ..self })
    }
}

/// The absolute path without links of what `path` leads to, as the kernel names it: in one call, where realpath(3) asks for each
/// part of it.
fn real_path(path: &Path) -> io::Result<PathBuf> {
    let file = openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let named = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    // Outside of our root directory it has no name (getcwd(2), "(unreachable)").
    match named.is_absolute() {
        true => Ok(named),
        false => Err(io::ErrorKind::NotFound.into()),
    }
}

/// Root of a container's host may lack some.
pub(super) fn our_capabilities() -> caps::CapsHashSet {
    caps::read(None, caps::CapSet::Permitted).unwrap_or_default()
}

fn read_config(path: &Path) -> Result<String, RuntimeError> {
    let metadata = fs::metadata(path).map_err(|cause| missing(path, "the config.json", &cause))?;
    let refuse = |what: String| Err(RuntimeError::Bundle { path: path.to_path_buf(), what });
    if !metadata.is_file() {
        return refuse("is no regular file".to_string());
    }
    if metadata.len() > MAX_CONFIG {
        return refuse(format!("has {} bytes, at most {MAX_CONFIG} are read", metadata.len()));
    }
    fs::read_to_string(path).map_err(|cause| missing(path, "the config.json", &cause))
}

fn missing(path: &Path, what: &str, cause: &io::Error) -> RuntimeError {
    let what = match cause.kind() {
        io::ErrorKind::NotFound => format!("{what} does not exist"),
        io::ErrorKind::InvalidData => format!("{what} is not UTF-8 text"),
        _ => format!("{what} cannot be read: {cause}"),
    };
    RuntimeError::Bundle { path: path.to_path_buf(), what }
}
