//! Where a lab's shells work: directory, variables, cgroup. It is written to the run's directory, so that a shell in another
//! terminal can join.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

use super::record;
use crate::sys::begin_unblocked;

/// A place to work in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The lab.
    pub lab: String,
    /// The directory of the run.
    pub dir: PathBuf,
    /// Where a shell starts.
    pub work: PathBuf,
    /// Its variables, beside those that it inherits.
    pub env: BTreeMap<String, String>,
    /// The `cgroup.procs` that takes it in.
    pub procs: Option<PathBuf>,
}

const FILE: &str = "place.json";

impl Place {
    /// A program that starts here.
    pub fn command(&self, program: &str) -> Command {
        let mut command = match &self.procs {
            None => Command::new(program),
            Some(procs) => {
                // A shell is the smallest program that can write its own id and then become another.
                let mut command = Command::new("sh");
                command.args(["-c", "echo $$ > \"$0\" && exec \"$@\""]).arg(procs).arg(program);
                command
            }
        };
        command.current_dir(&self.work).envs(&self.env);
        // The runner itself keeps SIGTERM and its kin blocked; a process that inherits that cannot be ended by them.
        begin_unblocked(&mut command);
        command
    }

    /// Writes it where [`Place::all`] finds it.
    ///
    /// # Errors
    /// If the run's directory cannot be written.
    pub fn save(&self) -> io::Result<()> {
        let new = self.dir.join("place.new");
        fs::write(&new, serde_json::to_string(self)?)?;
        fs::rename(new, self.dir.join(FILE))
    }

    /// The places of all labs that this user runs now.
    ///
    /// # Errors
    /// If the directory of the runs is not this user's alone.
    pub fn all() -> io::Result<Vec<Place>> {
        let mut found = Vec::new();
        for dir in record::alive()? {
            // A run that has only begun, or is about to end, has no place to join.
            if let Some(place) = read(&dir.join(FILE)) {
                found.push(place);
            }
        }
        Ok(found)
    }
}

fn read(file: &Path) -> Option<Place> {
    serde_json::from_str(&fs::read_to_string(file).ok()?).ok()
}
