//! A container's log: each line with its time and stream, in the format that the kubelet's CRI fixes
//! (`cri-client/pkg/logs`): `2026-01-02T03:04:05.678901234Z stdout F text`.

use std::fs::File;
use std::io::{self, Write};

use jiff::Timestamp;

/// The longest text of one line, in bytes; a longer one is told in parts, marked `P`.
const LONGEST: usize = 16 << 10;

/// One stream of a container on its way into the log.
#[derive(Debug)]
pub struct Stream {
    name: &'static str,
    rest: Vec<u8>,
}

impl Stream {
    /// `stdout` or `stderr`.
    pub fn new(name: &'static str) -> Stream {
        Stream { name, rest: Vec::new() }
    }

    /// Takes what the container wrote; whole lines go to the log.
    pub fn take(&mut self, bytes: &[u8], now: Timestamp, log: &mut impl Write) -> io::Result<()> {
        self.rest.extend_from_slice(bytes);
        let mut out = Vec::new();
        let mut from = 0;
        loop {
            let line = &self.rest[from..];
            let (text, tag, next) = match line.iter().position(|byte| *byte == b'\n') {
                Some(end) if end <= LONGEST => (&line[..end], "F", end + 1),
                _ if line.len() > LONGEST => (&line[..LONGEST], "P", LONGEST),
                _ => break,
            };
            out.extend_from_slice(format!("{now:.9} {} {tag} ", self.name).as_bytes());
            out.extend_from_slice(text);
            out.push(b'\n');
            from += next;
        }
        self.rest.drain(..from);
        log.write_all(&out)
    }

    /// The stream has ended: a last line without its end goes to the log too.
    pub fn end(&mut self, now: Timestamp, log: &mut impl Write) -> io::Result<()> {
        if self.rest.is_empty() {
            return Ok(());
        }
        self.take(b"\n", now, log)
    }
}

/// One entry of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When it was written, as it stands in the log.
    pub time: String,
    /// Whether it is of stderr.
    pub is_stderr: bool,
    /// The text, with its line end unless it goes on in the next entry.
    pub text: String,
}

/// Reads a line of a log; `None` for one that is no entry.
pub fn entry(line: &str) -> Option<Entry> {
    let mut parts = line.splitn(4, ' ');
    let (time, stream, tag) = (parts.next()?, parts.next()?, parts.next()?);
    let text = parts.next().unwrap_or_default();
    let end = if tag == "P" { "" } else { "\n" };
    Some(Entry { time: time.to_string(), is_stderr: stream == "stderr", text: format!("{text}{end}") })
}

/// Opens a log to add to it.
pub fn open(path: &std::path::Path) -> io::Result<File> {
    File::options().create(true).append(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_and_long_ones_come_in_parts() {
        let mut stream = Stream::new("stdout");
        let mut log = Vec::new();
        let now = Timestamp::UNIX_EPOCH;
        stream.take(b"one\ntw", now, &mut log).unwrap();
        stream.take(b"o\n\n", now, &mut log).unwrap();
        stream.take(&[b'x'; LONGEST + 5], now, &mut log).unwrap();
        stream.end(now, &mut log).unwrap();
        stream.end(now, &mut log).unwrap();
        let text = String::from_utf8(log).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "1970-01-01T00:00:00.000000000Z stdout F one");
        assert_eq!(lines[1], "1970-01-01T00:00:00.000000000Z stdout F two");
        assert_eq!(lines[2], "1970-01-01T00:00:00.000000000Z stdout F ");
        assert!(lines[3].contains(" P xxx") && lines[4].ends_with(" F xxxxx"), "{}", lines[4]);
        assert_eq!(lines.len(), 5);
        let whole: String = lines[3..].iter().map(|line| entry(line).unwrap().text).collect();
        assert_eq!(whole.len(), LONGEST + 6);
        assert_eq!(
            entry("1970-01-01T00:00:00Z stderr F a b").unwrap(),
            Entry { time: "1970-01-01T00:00:00Z".into(), is_stderr: true, text: "a b\n".into() }
        );
        assert_eq!(entry("no entry"), None);
    }
}
