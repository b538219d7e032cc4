//! What a cgroup uses, beside what it may use: the counters, limits and pressure that the kernel keeps for each
//! (cgroup-v2.rst, "Controllers"). Parsing is pure; [`Cgroup::stat`] reads the files.
//!
//! A controller that is not enabled for a cgroup has no files there, so each part is optional, and so is each limit: the
//! root cgroup has none.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::dir::{Cgroup, CgroupError};

/// All that is read of one cgroup at one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Stat {
    /// `cpu.*`; time used is counted in every cgroup, throttling where the controller is enabled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Cpu>,
    /// `memory.*`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    /// `pids.*`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pids: Option<Pids>,
    /// `io.stat`, a device each; `None` where the controller is not enabled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub io: Option<Vec<IoDevice>>,
    /// `cpu.pressure`, `memory.pressure` and `io.pressure`
    #[serde(default)]
    pub pressure: Pressures,
    /// `frozen` of `cgroup.events`
    #[serde(default)]
    pub frozen: bool,
}

/// A value that may be unlimited: `max`, as the files spell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "LimitText", into = "LimitText")]
pub enum Limit {
    /// No limit of its own.
    Max,
    /// This much, in the file's own unit.
    At(u64),
}

/// `cpu.stat`, `cpu.max` and `cpu.weight`. Times are microseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cpu {
    /// Time used, of all its processes together.
    pub usage_usec: u64,
    /// Of it, in programs.
    pub user_usec: u64,
    /// Of it, in the kernel.
    pub system_usec: u64,
    /// Periods that have passed while something wanted to run; counted where there is a quota.
    #[serde(default)]
    pub nr_periods: u64,
    /// Periods in which the quota was used up.
    #[serde(default)]
    pub nr_throttled: u64,
    /// Time that runnable processes were held back for it, summed over CPUs.
    #[serde(default)]
    pub throttled_usec: u64,
    /// `cpu.max`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<CpuMax>,
    /// `cpu.weight`, 1 to 10000
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u64>,
}

/// `cpu.max`: so much time in each period, both in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuMax {
    /// Time that may be used in a period.
    pub quota: Limit,
    /// Length of the period.
    pub period: u64,
}

/// `memory.*`. Amounts are bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// `memory.current`
    pub current: u64,
    /// `memory.peak` (Linux 5.19)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak: Option<u64>,
    /// `memory.max`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<Limit>,
    /// `memory.high`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub high: Option<Limit>,
    /// `memory.swap.current`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swap_current: Option<u64>,
    /// `memory.swap.max`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swap_max: Option<Limit>,
    /// `memory.events`: low, high, max, oom, oom_kill, oom_group_kill
    #[serde(default)]
    pub events: BTreeMap<String, u64>,
}

/// `pids.*`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pids {
    /// `pids.current`: threads and processes
    pub current: u64,
    /// `pids.max`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<Limit>,
    /// `max` of `pids.events`: forks that the limit refused
    #[serde(default)]
    pub refused: u64,
}

/// A line of `io.stat`: what has gone to and from one device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IoDevice {
    /// Major number of the device.
    pub major: u32,
    /// Minor number of the device.
    pub minor: u32,
    /// Counters by the kernel's names: rbytes, wbytes, rios, wios, dbytes, dios.
    pub counters: BTreeMap<String, u64>,
}

/// Pressure by resource; `None` where the kernel does not keep it (CONFIG_PSI, psi=0).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Pressures {
    /// `cpu.pressure`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Pressure>,
    /// `memory.pressure`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Pressure>,
    /// `io.pressure`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub io: Option<Pressure>,
}

/// A file of pressure stall information (Documentation/accounting/psi.rst).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Pressure {
    /// Some process waited.
    pub some: Stall,
    /// All of them waited at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub full: Option<Stall>,
}

/// A line of pressure stall information.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Stall {
    /// Percent of the last 10 seconds.
    pub avg10: f64,
    /// Percent of the last 60 seconds.
    pub avg60: f64,
    /// Percent of the last 300 seconds.
    pub avg300: f64,
    /// Microseconds since the cgroup was made.
    pub total: u64,
}

impl Cgroup {
    /// Reads what this cgroup uses and what limits it.
    ///
    /// # Errors
    /// Where the cgroup has gone, or a file that is there cannot be read.
    pub fn stat(&self) -> Result<Stat, CgroupError> {
        // Every cgroup has this file: ENOENT here means that the directory was removed.
        self.read("cgroup.controllers")?;
        Ok(Stat {
            cpu: self.cpu()?,
            memory: self.memory()?,
            pids: self.pids()?,
            io: self.text("io.stat")?.map(|text| io_devices(&text)),
            pressure: Pressures {
                cpu: self.text("cpu.pressure")?.and_then(|text| pressure(&text)),
                memory: self.text("memory.pressure")?.and_then(|text| pressure(&text)),
                io: self.text("io.pressure")?.and_then(|text| pressure(&text)),
            },
            frozen: self.keyed("cgroup.events")?.get("frozen") == Some(&1),
        })
    }

    /// The keys and values of a flat keyed file (`memory.stat`); empty where the cgroup has no such file.
    ///
    /// # Errors
    /// Where the file is there and cannot be read.
    pub fn keyed(&self, file: &str) -> Result<BTreeMap<String, u64>, CgroupError> {
        Ok(self.text(file)?.map(|text| flat_keyed(&text)).unwrap_or_default())
    }

    fn cpu(&self) -> Result<Option<Cpu>, CgroupError> {
        let Some(text) = self.text("cpu.stat")? else { return Ok(None) };
        let stat = flat_keyed(&text);
        let of = |key: &str| stat.get(key).copied().unwrap_or_default();
        Ok(Some(Cpu {
            usage_usec: of("usage_usec"),
            user_usec: of("user_usec"),
            system_usec: of("system_usec"),
            nr_periods: of("nr_periods"),
            nr_throttled: of("nr_throttled"),
            throttled_usec: of("throttled_usec"),
            max: self.text("cpu.max")?.and_then(|text| cpu_max(&text)),
            weight: self.number("cpu.weight")?,
        }))
    }

    fn memory(&self) -> Result<Option<Memory>, CgroupError> {
        let Some(current) = self.number("memory.current")? else { return Ok(None) };
        Ok(Some(Memory {
            current,
            peak: self.number("memory.peak")?,
            max: self.number("memory.max")?,
            high: self.number("memory.high")?,
            swap_current: self.number("memory.swap.current")?,
            swap_max: self.number("memory.swap.max")?,
            events: self.keyed("memory.events")?,
        }))
    }

    fn pids(&self) -> Result<Option<Pids>, CgroupError> {
        let Some(current) = self.number("pids.current")? else { return Ok(None) };
        let refused = self.keyed("pids.events")?.get("max").copied().unwrap_or_default();
        Ok(Some(Pids { current, max: self.number("pids.max")?, refused }))
    }

    fn number<T: FromStr>(&self, file: &str) -> Result<Option<T>, CgroupError> {
        Ok(self.text(file)?.and_then(|text| text.parse().ok()))
    }

    /// A file's text; `None` where this cgroup has no such file, or the kernel keeps no pressure (EOPNOTSUPP).
    fn text(&self, file: &str) -> Result<Option<String>, CgroupError> {
        match self.read(file) {
            Ok(text) => Ok(Some(text)),
            Err(error) if [Errno::NOENT, Errno::OPNOTSUPP].contains(&error.errno) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl CpuMax {
    /// The limit in CPUs: 0.5 for `50000 100000`; `None` where there is none.
    pub fn cpus(&self) -> Option<f64> {
        match self.quota {
            Limit::At(quota) if self.period > 0 => Some(quota as f64 / self.period as f64),
            Limit::At(_) | Limit::Max => None,
        }
    }
}

impl Limit {
    /// The number; `None` for `max`.
    pub fn number(self) -> Option<u64> {
        match self {
            Limit::Max => None,
            Limit::At(number) => Some(number),
        }
    }
}

impl FromStr for Limit {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Limit, Self::Err> {
        if text == "max" { Ok(Limit::Max) } else { text.parse().map(Limit::At) }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Limit::Max => f.pad("max"),
            Limit::At(number) => number.fmt(f),
        }
    }
}

/// A limit in JSON: a number, or the word `max`.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum LimitText {
    Number(u64),
    Word(String),
}

impl From<Limit> for LimitText {
    fn from(limit: Limit) -> LimitText {
        match limit {
            Limit::Max => LimitText::Word("max".to_string()),
            Limit::At(number) => LimitText::Number(number),
        }
    }
}

impl TryFrom<LimitText> for Limit {
    type Error = String;

    fn try_from(text: LimitText) -> Result<Limit, String> {
        match text {
            LimitText::Number(number) => Ok(Limit::At(number)),
            LimitText::Word(word) if word == "max" => Ok(Limit::Max),
            LimitText::Word(word) => Err(format!("{word:?} is neither a number nor max")),
        }
    }
}

/// A flat keyed file: a key and a number on each line. Lines that are not so are left out.
pub fn flat_keyed(text: &str) -> BTreeMap<String, u64> {
    let pair = |line: &str| {
        let (key, value) = line.split_once(' ')?;
        Some((key.to_string(), value.trim().parse().ok()?))
    };
    text.lines().filter_map(pair).collect()
}

/// `cpu.max`: `max 100000` or `50000 100000`.
pub fn cpu_max(text: &str) -> Option<CpuMax> {
    let (quota, period) = text.trim().split_once(' ')?;
    Some(CpuMax { quota: quota.parse().ok()?, period: period.parse().ok()? })
}

/// `io.stat`: `8:0 rbytes=1 wbytes=2 …` on each line.
pub fn io_devices(text: &str) -> Vec<IoDevice> {
    let device = |line: &str| {
        let mut words = line.split_whitespace();
        let (major, minor) = words.next()?.split_once(':')?;
        let pair = |word: &str| {
            let (key, value) = word.split_once('=')?;
            Some((key.to_string(), value.parse().ok()?))
        };
        let counters = words.filter_map(pair).collect();
        Some(IoDevice { major: major.parse().ok()?, minor: minor.parse().ok()?, counters })
    };
    text.lines().filter_map(device).collect()
}

/// A pressure file: a line `some` and mostly a line `full`, each `avg10=0.00 avg60=0.00 avg300=0.00 total=0`.
pub fn pressure(text: &str) -> Option<Pressure> {
    let stall = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
        let value = |key: &str| line.split(' ').find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
        let average = |key: &str| value(key)?.parse().ok();
        let total = value("total")?.parse().ok()?;
        Some(Stall { avg10: average("avg10")?, avg60: average("avg60")?, avg300: average("avg300")?, total })
    };
    Some(Pressure { some: stall("some")?, full: stall("full") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_number_or_max_in_text_and_in_json() {
        for (text, limit, json) in [("max", Limit::Max, "\"max\""), ("67108864", Limit::At(67_108_864), "67108864")] {
            assert_eq!(text.parse(), Ok(limit));
            assert_eq!(limit.to_string(), text);
            assert_eq!(serde_json::to_string(&limit).expect("JSON"), json);
            assert_eq!(serde_json::from_str::<Limit>(json).expect("a limit"), limit);
        }
        assert!("-1".parse::<Limit>().is_err());
        assert!(serde_json::from_str::<Limit>("\"none\"").is_err());
    }

    #[test]
    fn a_quota_is_a_part_of_a_period() {
        assert_eq!(cpu_max("50000 100000").and_then(|max| max.cpus()), Some(0.5));
        assert_eq!(cpu_max("max 100000").map(|max| max.cpus()), Some(None));
        assert_eq!(cpu_max("5"), None);
        assert_eq!(cpu_max("5 0").and_then(|max| max.cpus()), None, "a broken file divides by nothing");
    }

    #[test]
    fn flat_keyed_files_are_read_by_line() {
        let events = flat_keyed("low 0\nhigh 12\nmax 3\noom 1\noom_kill 1\nodd\nodder x\n");
        assert_eq!(events.len(), 5);
        assert_eq!((events["high"], events["oom_kill"]), (12, 1));
    }

    #[test]
    fn io_is_counted_by_device() {
        let text = "254:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0\n7:1 \n";
        let devices = io_devices(text);
        assert_eq!((devices[0].major, devices[0].minor, devices[0].counters["wbytes"]), (254, 0, 8192));
        assert!(devices[1].counters.is_empty(), "a device without io has no counters");
    }

    #[test]
    fn pressure_has_a_second_line_or_not() {
        let some = "some avg10=1.53 avg60=0.87 avg300=0.21 total=1234567";
        let full = "full avg10=0.50 avg60=0.25 avg300=0.05 total=234567";
        let both = pressure(&format!("{some}\n{full}\n")).expect("a pressure file");
        assert_eq!((both.some.avg10, both.some.total), (1.53, 1_234_567));
        assert_eq!(both.full.map(|full| full.avg300), Some(0.05));
        assert_eq!(pressure(some).expect("a pressure file").full, None);
        assert_eq!(pressure(""), None);
    }
}
