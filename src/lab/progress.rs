//! What a learner has done, in one readable file that can be copied to another machine.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// The file: a table for each lab, by its id.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress(pub BTreeMap<String, Taken>);

/// How far a learner came in one lab.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Taken {
    /// When the lab was finished last, in UTC: `2026-11-21T12:00:00Z`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished: Option<String>,
    /// Steps done by the learner's own commands.
    pub done: Vec<String>,
    /// Steps that the runner solved when asked to.
    pub solved: Vec<String>,
    /// What was predicted last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prediction: Option<String>,
    /// How many hints were asked for.
    pub hints: u32,
}

/// Where the file is: `$XDG_STATE_HOME/glassbox/labs.toml`, and `~/.local/state` where that is not set (XDG base
/// directory specification).
pub fn path() -> PathBuf {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
        .unwrap_or_else(|| PathBuf::from("/var/lib"));
    state.join("glassbox/labs.toml")
}

impl Progress {
    /// Reads the file; there is none before the first lab.
    ///
    /// # Errors
    /// If it cannot be read, or is not what [`Progress::save`] writes.
    pub fn load(path: &Path) -> io::Result<Progress> {
        let named =
            |reason: String| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {reason}", path.display()));
        match fs::read_to_string(path) {
            Ok(text) => Progress::parse(&text).map_err(named),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Progress::default()),
            Err(error) => Err(named(error.to_string())),
        }
    }

    /// Reads what [`Progress::to_text`] has written.
    ///
    /// # Errors
    /// With what is wrong in it.
    pub fn parse(text: &str) -> Result<Progress, String> {
        toml::from_str(text).map_err(|error| error.message().to_string())
    }

    /// The file's text.
    ///
    /// # Errors
    /// If it cannot be written as TOML.
    pub fn to_text(&self) -> io::Result<String> {
        toml::to_string(self).map_err(io::Error::other)
    }

    /// Adds what was done elsewhere: a step done in either place is done, and the later end counts.
    pub fn merge(&mut self, other: Progress) {
        for (id, theirs) in other.0 {
            let ours = self.0.entry(id).or_default();
            for (into, from) in [(&mut ours.done, theirs.done), (&mut ours.solved, theirs.solved)] {
                let new: Vec<_> = from.into_iter().filter(|step| !into.contains(step)).collect();
                into.extend(new);
            }
            // RFC 3339 in UTC sorts as time does.
            ours.finished = ours.finished.take().max(theirs.finished);
            ours.prediction = ours.prediction.take().or(theirs.prediction);
            ours.hints = ours.hints.max(theirs.hints);
        }
    }

    /// Writes the file, in one move.
    ///
    /// # Errors
    /// If the directory cannot be made or written.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        let dir = path.parent().expect("a file in a directory");
        fs::create_dir_all(dir)?;
        let text = self.to_text()?;
        let new = path.with_extension("toml.new");
        fs::write(&new, text)?;
        fs::rename(&new, path)
    }

    /// Changes what is known of one lab, in the file.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub fn note(path: &Path, lab: &str, change: impl FnOnce(&mut Taken)) -> io::Result<()> {
        let mut progress = Progress::load(path)?;
        change(progress.0.entry(lab.to_string()).or_default());
        progress.save(path)
    }
}

/// This moment as `2026-11-21T12:00:00Z`.
pub fn now() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    utc(seconds)
}

/// Seconds since 1970 as a date and time of the Gregorian calendar, counting years from March so that the leap day is last.
fn utc(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, year) = if month < 10 { (month + 3, year) } else { (month - 9, year + 1) };
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("{:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z", era * 400 + year)
}

#[cfg(test)]
mod tests {
    use super::{Progress, Taken, utc};

    #[test]
    fn moments_are_dates() {
        assert_eq!(utc(0), "1970-01-01T00:00:00Z");
        assert_eq!(utc(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(utc(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(utc(1_795_262_400), "2026-11-21T12:00:00Z");
        assert_eq!(utc(4_107_542_400), "2100-03-01T00:00:00Z");
    }

    #[test]
    fn what_was_done_elsewhere_is_added() {
        let parse = |text: &str| Progress::parse(text).expect("progress");
        let mut here =
            parse("[qos]\nfinished = \"2026-01-01T00:00:00Z\"\ndone = [\"a\", \"b\"]\nsolved = []\nhints = 3\n");
        here.merge(parse(
            "[qos]\nfinished = \"2026-02-01T00:00:00Z\"\ndone = [\"b\", \"c\"]\nsolved = [\"a\"]\nprediction = \"x\"\nhints = 1\n\
             [pid]\ndone = [\"one\"]\nsolved = []\nhints = 0\n",
        ));
        let expected = Taken {
            finished: Some("2026-02-01T00:00:00Z".to_string()),
            done: ["a", "b", "c"].map(String::from).to_vec(),
            solved: vec!["a".to_string()],
            prediction: Some("x".to_string()),
            hints: 3,
        };
        assert_eq!((here.0.len(), &here.0["qos"]), (2, &expected));
        assert_eq!(Progress::parse(&here.to_text().expect("TOML")), Ok(here));
        assert!(Progress::parse("qos = 1").is_err());
    }

    #[test]
    fn progress_is_kept_per_lab() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("state/labs.toml");
        assert_eq!(Progress::load(&path).expect("none yet"), Progress::default());
        Progress::note(&path, "qos", |taken| taken.hints += 2).expect("noted");
        Progress::note(&path, "qos", |taken| taken.done.push("apply".to_string())).expect("noted");
        let expected = Taken { done: vec!["apply".to_string()], hints: 2, ..Taken::default() };
        assert_eq!(Progress::load(&path).expect("read").0["qos"], expected);
        std::fs::write(&path, "qos = 1\n").expect("written");
        assert!(Progress::load(&path).expect_err("refused").to_string().starts_with(path.to_str().expect("UTF-8")));
    }
}
