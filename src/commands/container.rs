//! What the commands on one container share: its id, the store, and how an error of the runtime is told.

use std::path::{Path, PathBuf};

use crate::cli::Global;
use crate::error::Failure;
use crate::plan;
use crate::runtime::{Bundle, RuntimeError, Store};
use crate::spec::ContainerId;

/// Flags that `create` and `run` share, named as runc names them.
#[derive(Debug, clap::Args)]
pub struct Creation {
    /// Directory of the bundle
    #[arg(long, short, value_name = "DIR", default_value = ".")]
    pub bundle: PathBuf,
    /// File to write the process's id into, once it exists
    #[arg(long, value_name = "FILE")]
    pub pid_file: Option<PathBuf>,
    /// Hand file descriptors 3 to 2+N on to the program
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub preserve_fds: u32,
    /// Id of the new container, unique on this machine
    #[arg(value_name = "ID")]
    pub id: String,
}

impl Creation {
    /// How the plan is to be made.
    pub fn options(&self) -> plan::Options {
        plan::Options { preserve_fds: self.preserve_fds }
    }

    /// The id and the bundle, both checked. Warnings of the config go to stderr.
    pub fn load(&self) -> anyhow::Result<(ContainerId, Bundle)> {
        let id = id(&self.id)?;
        let bundle = Bundle::load(&self.bundle).map_err(told)?;
        for warning in &bundle.config.warnings {
            super::output::eprint_line(&format!("warning: config.json: {warning}"))?;
        }
        Ok((id, bundle))
    }

    /// Writes the pid file, whole or not at all.
    pub fn write_pid_file(&self, pid: i32) -> anyhow::Result<()> {
        let Some(path) = &self.pid_file else { return Ok(()) };
        write_whole(path, &pid.to_string())
            .map_err(|cause| Failure::new(format!("cannot write the pid file {path:?}")).caused_by(cause).into())
    }
}

fn write_whole(path: &Path, text: &str) -> std::io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let new = path.with_file_name(format!(".{name}.{}", std::process::id()));
    std::fs::write(&new, text)?;
    std::fs::rename(&new, path).inspect_err(|_| drop(std::fs::remove_file(&new)))
}

/// The store that the global flags name.
pub fn store(global: &Global) -> Store {
    Store::new(global.root.clone().unwrap_or_else(Store::default_root))
}

/// A container id as the user wrote it.
pub fn id(text: &str) -> anyhow::Result<ContainerId> {
    ContainerId::new(text).map_err(|error| told(RuntimeError::Id(error)))
}

/// An error of the runtime with its hint.
pub fn told(error: RuntimeError) -> anyhow::Error {
    let hint = error.hint();
    let failure = Failure::new(error.to_string());
    match hint {
        Some(hint) => failure.hint(hint).into(),
        None => failure.into(),
    }
}
