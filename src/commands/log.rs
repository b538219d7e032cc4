//! The log file of `--log`: one record a line, in the two formats that runc writes and engines read.

use std::fs::OpenOptions;
use std::io::Write;

use crate::cli::{Global, LogFormat};

/// Appends an error to the log file, where one was asked for. A log that cannot be written must not hide the error
/// itself, which is printed in any case.
pub fn write(global: &Global, message: &str) {
    let Some(path) = &global.log else { return };
    let record = record(global.log_format, message, &jiff::Timestamp::now().to_string());
    // A FIFO without a reader would block an open for writing for ever.
    use std::os::unix::fs::OpenOptionsExt;
    let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    if let Ok(mut file) = OpenOptions::new().append(true).create(true).custom_flags(flags).mode(0o644).open(path) {
        let _ = file.write_all(record.as_bytes());
    }
}

fn record(format: LogFormat, message: &str, time: &str) -> String {
    match format {
        LogFormat::Json => {
            format!("{}\n", serde_json::json!({ "level": "error", "msg": message, "time": time }))
        }
        LogFormat::Text => format!("time={time:?} level=error msg={message:?}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_what_engines_parse() {
        let json = record(LogFormat::Json, "exec: \"x\"", "2026-01-02T03:04:05Z");
        assert_eq!(json, "{\"level\":\"error\",\"msg\":\"exec: \\\"x\\\"\",\"time\":\"2026-01-02T03:04:05Z\"}\n");
        let text = record(LogFormat::Text, "no \"x\"", "2026-01-02T03:04:05Z");
        assert_eq!(text, "time=\"2026-01-02T03:04:05Z\" level=error msg=\"no \\\"x\\\"\"\n");
    }
}
