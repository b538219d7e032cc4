//! The figure of a file that a step plots, beside its limit: a level (`memory.current`), or how fast a counter rises
//! (`cpu.stat`, `io.stat`, a `*.pressure`).

use std::fs;
use std::path::Path;
use std::time::Instant;

use serde::{Deserialize, Serialize};

/// What a figure counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// A bare number: processes.
    #[default]
    Number,
    /// Bytes.
    Bytes,
    /// Bytes in a second.
    BytesPerSecond,
    /// Percent of the time; of one CPU where CPU time is meant.
    Percent,
}

impl Unit {
    /// A figure as it is written: `12.3M`, `48%`, `1.5M/s`, `7`.
    pub fn text(self, value: f64) -> String {
        match self {
            Unit::Number => format!("{value:.0}"),
            Unit::Percent => format!("{value:.0}%"),
            Unit::Bytes => size(value),
            Unit::BytesPerSecond => format!("{}/s", size(value)),
        }
    }
}

/// Bytes with the kernel's suffixes: at most four digits, and no fraction where there is none.
fn size(bytes: f64) -> String {
    let units = [(1_073_741_824.0, "G"), (1_048_576.0, "M"), (1024.0, "K")];
    match units.into_iter().find(|(unit, _)| bytes >= *unit) {
        None => format!("{bytes:.0}"),
        Some((unit, letter)) if bytes % unit == 0.0 || bytes / unit >= 100.0 => format!("{:.0}{letter}", bytes / unit),
        Some((unit, letter)) => format!("{:.1}{letter}", bytes / unit),
    }
}

/// A limit: the file that sets it, and its value in the figure's unit.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Limit {
    /// The file's name, in the same cgroup.
    pub file: String,
    /// Its value.
    pub value: f64,
}

/// One look at a gauge.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The figure now.
    pub now: f64,
    /// The lowest limit that is set.
    pub limit: Option<Limit>,
}

/// A file below `$CG` that is looked at again and again.
#[derive(Debug, Clone)]
pub struct Gauge {
    /// The file's path below `$CG`.
    pub file: String,
    /// What its figure counts.
    pub unit: Unit,
    before: Option<(Instant, f64)>,
}

/// Files that are limits of a level or a counter beside them.
const LIMITS: [(&str, &[&str]); 5] = [
    ("memory.current", &["memory.max", "memory.high"]),
    ("memory.swap.current", &["memory.swap.max", "memory.swap.high"]),
    ("pids.current", &["pids.max"]),
    ("cpu.stat", &["cpu.max"]),
    ("io.stat", &["io.max"]),
];

/// The gauges of the files that a step plots. A limit is no gauge of its own beside what it limits.
pub fn gauges(files: &[String]) -> Vec<Gauge> {
    let limited = |file: &str| {
        let (dir, name) = split(file);
        let of = LIMITS.iter().find(|(_, limits)| limits.contains(&name));
        of.is_some_and(|(of, _)| files.iter().any(|other| split(other) == (dir, *of)))
    };
    files.iter().filter(|file| !limited(file)).map(|file| Gauge::of(file)).collect()
}

impl Gauge {
    fn of(file: &str) -> Gauge {
        let name = split(file).1;
        let unit = match name {
            "cpu.stat" => Unit::Percent,
            "io.stat" => Unit::BytesPerSecond,
            _ if name.ends_with(".pressure") => Unit::Percent,
            _ if name.starts_with("memory.") => Unit::Bytes,
            _ => Unit::Number,
        };
        Gauge { file: file.to_string(), unit, before: None }
    }

    /// Looks at the file below `cgroup`. `None` while there is nothing to tell: no such file, no figure in it (`max`), or
    /// only one look at a counter.
    pub fn look(&mut self, cgroup: &Path, now: Instant) -> Option<Reading> {
        let (dir, name) = split(&self.file);
        let dir = cgroup.join(dir);
        let text = fs::read_to_string(dir.join(name)).ok()?;
        let figure = match self.unit {
            Unit::Number | Unit::Bytes => level(&text)?,
            Unit::Percent | Unit::BytesPerSecond => {
                let count = counter(name, &text)?;
                let (then, before) = self.before.replace((now, count))?;
                let seconds = now.duration_since(then).as_secs_f64();
                // A counter that fell belongs to a cgroup that was made anew.
                if seconds <= 0.0 || count < before {
                    return None;
                }
                (count - before) / seconds
            }
        };
        let limits = LIMITS.iter().find(|(of, _)| *of == name).map_or(&[][..], |(_, limits)| limits);
        let set = limits.iter().filter_map(|file| {
            let value = limit(file, &fs::read_to_string(dir.join(file)).ok()?)?;
            Some(Limit { file: (*file).to_string(), value })
        });
        Some(Reading { now: figure, limit: set.min_by(|one, other| one.value.total_cmp(&other.value)) })
    }
}

/// Directory and name of a path below `$CG`.
fn split(file: &str) -> (&str, &str) {
    file.rsplit_once('/').unwrap_or(("", file))
}

/// The first number of the first line.
fn level(text: &str) -> Option<f64> {
    text.lines().next()?.split_whitespace().find_map(|word| word.parse().ok())
}

/// The counter of a file, in the unit that its figure has in a second: microseconds of CPU time or of waiting make percent.
fn counter(name: &str, text: &str) -> Option<f64> {
    let percent = |microseconds: f64| microseconds / 10_000.0;
    match name {
        "cpu.stat" => text.lines().find_map(|line| line.strip_prefix("usage_usec ")?.parse().ok()).map(percent),
        "io.stat" => Some(fields(text, &["rbytes=", "wbytes="]).sum()),
        _ => fields(text.lines().next()?, &["total="]).next().map(percent),
    }
}

/// The numbers behind these words: `rbytes=4096`.
fn fields<'a>(text: &'a str, words: &'a [&str]) -> impl Iterator<Item = f64> + 'a {
    let value = |word: &str| words.iter().find_map(|name| word.strip_prefix(name)?.parse().ok());
    text.split_whitespace().filter_map(value)
}

/// What a limit's file says, in the unit of what it limits: `cpu.max` is "QUOTA PERIOD" in microseconds.
fn limit(name: &str, text: &str) -> Option<f64> {
    match name {
        "cpu.max" => {
            let mut numbers = text.split_whitespace().map(str::parse::<f64>);
            let (quota, period) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
            (period > 0.0).then(|| quota / period * 100.0)
        }
        "io.max" => fields(text, &["rbps=", "wbps="]).min_by(f64::total_cmp),
        _ => text.trim().parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::{Duration, Instant};

    use super::{Gauge, Limit, Reading, Unit, gauges};

    fn at(dir: &tempfile::TempDir, file: &str, text: &str) {
        fs::write(dir.path().join(file), text).expect("written");
    }

    #[test]
    fn a_level_stands_beside_its_lowest_limit() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut gauge = Gauge::of("memory.current");
        assert_eq!(gauge.look(dir.path(), Instant::now()), None, "the file is not there yet");
        at(&dir, "memory.current", "4096\n");
        at(&dir, "memory.max", "max\n");
        assert_eq!(gauge.look(dir.path(), Instant::now()), Some(Reading { now: 4096.0, limit: None }));
        at(&dir, "memory.max", "67108864\n");
        at(&dir, "memory.high", "33554432\n");
        let limit = Some(Limit { file: "memory.high".to_string(), value: 33_554_432.0 });
        assert_eq!(gauge.look(dir.path(), Instant::now()), Some(Reading { now: 4096.0, limit }));
    }

    #[test]
    fn a_counter_is_told_by_how_fast_it_rises() {
        let dir = tempfile::tempdir().expect("a directory");
        let start = Instant::now();
        let cases = [
            ("cpu.stat", "usage_usec 0\nuser_usec 0\n", "usage_usec 1000000\n", 50.0),
            ("cpu.pressure", "some avg10=0.00 total=0\nfull total=9\n", "some avg10=1.00 total=500000\n", 25.0),
            ("io.stat", "", "8:0 rbytes=4096 wbytes=1024 rios=7\n9:0 rbytes=0 wbytes=1024\n", 3072.0),
        ];
        at(&dir, "cpu.max", "25000 100000\n");
        for (file, before, after, expected) in cases {
            let mut gauge = Gauge::of(file);
            at(&dir, file, before);
            assert_eq!(gauge.look(dir.path(), start), None, "{file}: one look is no rate");
            at(&dir, file, after);
            let reading = gauge.look(dir.path(), start + Duration::from_secs(2)).expect("a rate");
            assert_eq!(
                (reading.now, reading.limit.map(|limit| limit.value)),
                (expected, (file == "cpu.stat").then_some(25.0))
            );
            at(&dir, file, before);
            let fell = gauge.look(dir.path(), start + Duration::from_secs(3));
            assert_eq!(fell, None, "{file}: a new cgroup counts from nothing");
        }
    }

    #[test]
    fn figures_are_short() {
        let texts = [4096.0, 12_900_000.0, 67_108_864.0, 300_000_000.0, 7.0].map(|value| Unit::Bytes.text(value));
        assert_eq!(texts, ["4K", "12.3M", "64M", "286M", "7"]);
        assert_eq!([Unit::Percent.text(49.7), Unit::BytesPerSecond.text(1536.0)], ["50%", "1.5K/s"]);
    }

    #[test]
    fn a_limit_is_no_gauge_beside_what_it_limits() {
        let files = ["memory.current", "memory.max", "a/pids.max", "b/pids.current"].map(String::from);
        let found: Vec<_> = gauges(&files).into_iter().map(|gauge| (gauge.file, gauge.unit)).collect();
        let expected =
            [("memory.current", Unit::Bytes), ("a/pids.max", Unit::Number), ("b/pids.current", Unit::Number)];
        assert_eq!(found, expected.map(|(file, unit)| (file.to_string(), unit)));
    }
}
