//! `glassbox lab new`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::commands::output;
use crate::error::Failure;
use crate::lab::scaffold;

/// Flags of `glassbox lab new`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  glassbox lab new cgroup-tour\n  glassbox lab test cgroup-tour --labs labs --trust")]
pub struct Args {
    /// The lab's name: small letters, digits and -
    #[arg(value_name = "ID", value_parser = name)]
    id: String,
    /// The track it belongs to
    #[arg(long, value_name = "TRACK", default_value = "mine", value_parser = name)]
    track: String,
    /// The set of labs in which to make it
    #[arg(long, value_name = "DIR", default_value = "labs")]
    labs: PathBuf,
}

fn name(text: &str) -> Result<String, String> {
    match crate::lab::script::is_name(text) {
        true => Ok(text.to_string()),
        false => Err("small letters, digits and -, beginning with a letter".to_string()),
    }
}

/// Runs the command.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Args { id, track, labs } = args;
    let folder = labs.join(track).join(id);
    if folder.exists() {
        let failure = Failure::new(format!("lab new {id}: {} exists already", folder.display()));
        return Err(failure.hint("Choose another name, another --track, or remove it first.").into());
    }
    for (path, text) in scaffold::files(id) {
        let path = folder.join(path);
        write(&path, &text)
            .map_err(|error| Failure::new(format!("lab new {id}: {}", path.display())).caused_by(error))?;
        output::print(&format!("{}\n", path.display()))?;
    }
    let labs = labs.display();
    output::print(&format!(
        "It is a lab already. Change it, and test it: glassbox lab test {id} --labs {labs} --trust\n"
    ))?;
    Ok(ExitCode::SUCCESS)
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    fs::create_dir_all(path.parent().expect("a file below its folder"))?;
    fs::write(path, text)
}
