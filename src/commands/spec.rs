//! `glassbox spec`.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use crate::cli::Global;
use crate::error::Failure;
use crate::spec;

/// Flags of `glassbox spec`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  glassbox spec --bundle web   # then put files into web/rootfs")]
pub struct Args {
    /// Directory to write config.json into
    #[arg(long, short, value_name = "DIR", default_value = ".")]
    pub bundle: PathBuf,
    /// Write one that an ordinary user can start: yourself as root of a user namespace, on the host's network
    #[arg(long)]
    pub rootless: bool,
}

/// Writes a config.json to start from; one that is there already is left alone.
pub fn run(args: &Args, _global: &Global) -> anyhow::Result<ExitCode> {
    let path = args.bundle.join("config.json");
    let config = match args.rootless {
        true => spec::rootless_template(rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw()),
        false => spec::template(),
    };
    let mut text = serde_json::to_string_pretty(&config)?;
    text.push('\n');
    // create_new: nobody's config.json is ever overwritten, not even between a check and a write.
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&path)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    match written {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(cause) if cause.kind() == ErrorKind::AlreadyExists => Err(Failure::new(format!("{path:?} exists already"))
            .hint("Remove it first, or write elsewhere with --bundle DIR.")
            .into()),
        Err(cause) => Err(Failure::new(format!("cannot write {path:?}"))
            .caused_by(cause)
            .hint("--bundle names a directory that exists and can be written to.")
            .into()),
    }
}
