//! One look at some cgroups, and the recording that many of them make.
//!
//! A recording is text, a JSON object a line:
//!
//! ```text
//! {"glassbox":"top","version":1,"started":"2026-11-21T15:04:05Z","interval":1.0,"host":"debian","cpus":2,"what":"/web"}
//! {"t":0.0,"rows":[{"path":"/web","name":"container web","stat":{"cpu":{"usage_usec":1200,…},"memory":{…},…}}]}
//! {"t":1.0,"rows":[{"path":"/web","name":"container web","use":{"cpu_percent":49.8,…},"stat":{…}}]}
//! ```
//!
//! `t` is seconds since the start, `stat` what the kernel's files said ([`Stat`]; a limit is a number or `"max"`), and
//! `use` what follows from it and the look before: it is for readers, and not read back. Unknown keys are left alone.

use serde::{Deserialize, Serialize};

use super::row::{self, Use};
use crate::cgroup::stat::Stat;

/// The first line of a recording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Which command made it: `top`.
    pub glassbox: String,
    /// The format's version: 1.
    pub version: u32,
    /// When it began, RFC 3339.
    pub started: String,
    /// Seconds between two looks.
    pub interval: f64,
    /// Name of the machine.
    pub host: String,
    /// CPUs of the machine.
    pub cpus: usize,
    /// What was looked at, as the user wrote it.
    pub what: String,
}

/// One look.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Frame {
    /// Seconds since the start.
    pub t: f64,
    /// The cgroups, by path.
    pub rows: Vec<Sample>,
}

/// One cgroup in one look.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Path from the root of the hierarchy.
    pub path: String,
    /// What it is called: `container web`, or its path.
    pub name: String,
    /// What follows from this look and the one before; written, not read.
    #[serde(rename = "use", skip_deserializing, skip_serializing_if = "Option::is_none")]
    pub using: Option<Use>,
    /// What the files said.
    pub stat: Stat,
}

/// A whole recording.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    /// Its first line.
    pub header: Header,
    /// Its looks, oldest first; never empty.
    pub frames: Vec<Frame>,
}

/// Why a text is no recording.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordingError {
    /// A line is not what it should be.
    #[error("line {line}: {cause}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What the parser says.
        cause: String,
    },
    /// Another version made it.
    #[error("line 1: version {0} of the format; this program reads version 1")]
    Version(u32),
    /// There is nothing in it.
    #[error("it holds no look at the machine")]
    Empty,
}

impl Frame {
    /// The cgroup at this path.
    pub fn sample(&self, path: &str) -> Option<&Sample> {
        self.rows.iter().find(|sample| sample.path == path)
    }

    /// The line of a recording, with what follows from the look before.
    pub fn line(&self, before: Option<&Frame>) -> String {
        let mut told = self.clone();
        for sample in &mut told.rows {
            sample.using = before.map(|before| row::row(sample, Some(before), self.t).using);
        }
        serde_json::to_string(&told).expect("a frame has only text keys") + "\n"
    }
}

impl Header {
    /// The line of a recording.
    pub fn line(&self) -> String {
        serde_json::to_string(self).expect("a header has only text keys") + "\n"
    }
}

impl Recording {
    /// Reads a recording. A last line that was cut off, as by a full disk or a kill, is left out.
    ///
    /// # Errors
    /// With the line that is not of the format.
    pub fn parse(text: &str) -> Result<Recording, RecordingError> {
        let wrong = |index: usize, cause: serde_json::Error| {
            // The parser's own line is always 1: it sees one at a time.
            let cause = cause.to_string();
            let cause = cause.split(" at line 1").next().unwrap_or_default();
            RecordingError::Line { line: index + 1, cause: format!("not what --record writes: {cause}") }
        };
        let mut lines = text.split_inclusive('\n').enumerate().filter(|(_, line)| !line.trim().is_empty());
        let (index, first) = lines.next().ok_or(RecordingError::Empty)?;
        let header: Header = serde_json::from_str(first).map_err(|cause| wrong(index, cause))?;
        if header.version != 1 {
            return Err(RecordingError::Version(header.version));
        }
        let mut frames: Vec<Frame> = Vec::new();
        for (index, line) in lines {
            match serde_json::from_str::<Frame>(line) {
                Ok(frame) if frames.last().is_some_and(|last| last.t >= frame.t) => {
                    let cause = format!("t = {} does not come after the line before", frame.t);
                    return Err(RecordingError::Line { line: index + 1, cause });
                }
                Ok(frame) => frames.push(frame),
                Err(_) if !line.ends_with('\n') => {}
                Err(cause) => return Err(wrong(index, cause)),
            }
        }
        if frames.is_empty() { Err(RecordingError::Empty) } else { Ok(Recording { header, frames }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::samples;

    #[test]
    fn what_is_written_is_read_back() {
        let Recording { header, frames } = samples::recording();
        let mut text = header.line();
        let before = std::iter::once(None).chain(frames.iter().map(Some));
        frames.iter().zip(before).for_each(|(frame, before)| text.push_str(&frame.line(before)));
        assert_eq!(Recording::parse(&text), Ok(Recording { header, frames }));
        let second = text.lines().nth(2).expect("a second look");
        assert!(second.contains("\"cpu_percent\":"), "{second}");
    }

    #[test]
    fn a_line_that_was_cut_off_is_left_out_and_a_broken_one_is_told() {
        let Recording { header, frames } = samples::recording();
        let whole = header.line() + &frames[0].line(None) + &frames[1].line(Some(&frames[0]));
        let cut = &whole[..whole.len() - 20];
        assert_eq!(Recording::parse(cut).expect("one look").frames.len(), 1);
        let broken = header.line() + "{}\n" + &frames[0].line(None);
        let error = Recording::parse(&broken).expect_err("no t").to_string();
        assert!(error.starts_with("line 2: not what --record writes: missing field `t`"), "{error}");
        let back = header.line() + &frames[1].line(None) + &frames[0].line(None);
        assert!(Recording::parse(&back).expect_err("time goes on").to_string().starts_with("line 3: t = 0"));
    }

    #[test]
    fn other_files_are_refused() {
        assert_eq!(Recording::parse(""), Err(RecordingError::Empty));
        assert!(
            Recording::parse("hello\n")
                .expect_err("no JSON")
                .to_string()
                .starts_with("line 1: not what --record writes: expected")
        );
        let newer = Header { version: 2, ..samples::recording().header }.line();
        assert_eq!(Recording::parse(&newer), Err(RecordingError::Version(2)));
    }
}
