//! The log file of `--log`: one record a line, in the two formats that runc writes and engines read.
//!
//! podman reads the whole file as one JSON object when a command has failed, containerd takes the last error in it. So a
//! failed command writes its error alone, and warnings are written when a command has succeeded.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use super::output;
use crate::cli::{Global, LogFormat};

/// Writes an error to the log, where there is one. A log that cannot be written must not hide the error itself, which is
/// printed in any case.
pub fn error(global: &Global, message: &str) {
    append(global, "error", message);
}

/// Writes to the log that the command line itself is wrong. Which log is looked up by hand, as nothing is parsed.
pub fn wrong_command_line(words: &[OsString], error: &clap::Error) {
    if !error.use_stderr() {
        return;
    }
    let value = |flag: &str| {
        let mut words = words.iter().map(|word| word.to_string_lossy()).take_while(|word| word != "--");
        let mut value = None;
        while let Some(word) = words.next() {
            if word == flag {
                value = words.next().map(|next| next.into_owned());
            } else if let Some(given) = word.strip_prefix(flag).and_then(|rest| rest.strip_prefix('=')) {
                value = Some(given.to_string());
            }
        }
        value
    };
    let Some(path) = value("--log") else { return };
    let format = if value("--log-format").as_deref() == Some("json") { LogFormat::Json } else { LogFormat::Text };
    let told = error.render().to_string();
    let first = told.lines().next().unwrap_or_default();
    append_to(path.as_ref(), format, "error", first.strip_prefix("error: ").unwrap_or(first));
}

/// Writes warnings to the log. Without one, they were printed where they arose: see [`super::container::Creation::load`].
pub fn warnings<'a>(global: &Global, messages: impl IntoIterator<Item = &'a String>) {
    messages.into_iter().for_each(|message| append(global, "warning", message));
}

/// Tells what was called: in the log, or on stderr where there is none.
pub fn debug(global: &Global, message: &str) {
    match global.log {
        Some(_) => append(global, "debug", message),
        None => drop(output::eprint_line(&format!("debug: {message}"))),
    }
}

/// The words of a call on one line.
pub fn call(words: &[OsString]) -> String {
    words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

fn append(global: &Global, level: &str, message: &str) {
    if let Some(path) = &global.log {
        append_to(path, global.log_format, level, message);
    }
}

fn append_to(path: &Path, format: LogFormat, level: &str, message: &str) {
    let record = record(format, level, message, &jiff::Timestamp::now().to_string());
    // A FIFO without a reader would block an open for writing for ever.
    use std::os::unix::fs::OpenOptionsExt;
    let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    if let Ok(mut file) = OpenOptions::new().append(true).create(true).custom_flags(flags).mode(0o644).open(path) {
        let _ = file.write_all(record.as_bytes());
    }
}

fn record(format: LogFormat, level: &str, message: &str, time: &str) -> String {
    match format {
        LogFormat::Json => {
            format!("{}\n", serde_json::json!({ "level": level, "msg": message, "time": time }))
        }
        LogFormat::Text => format!("time={time:?} level={level} msg={message:?}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_what_engines_parse() {
        let json = record(LogFormat::Json, "error", "exec: \"x\"", "2026-01-02T03:04:05Z");
        assert_eq!(json, "{\"level\":\"error\",\"msg\":\"exec: \\\"x\\\"\",\"time\":\"2026-01-02T03:04:05Z\"}\n");
        let text = record(LogFormat::Text, "warning", "no \"x\"", "2026-01-02T03:04:05Z");
        assert_eq!(text, "time=\"2026-01-02T03:04:05Z\" level=warning msg=\"no \\\"x\\\"\"\n");
    }
}
