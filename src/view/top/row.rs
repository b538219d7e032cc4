//! A cgroup's use, from two looks: rates, parts of limits, and marks for what has happened.

use serde::Serialize;

use super::frame::{Frame, Sample};
use crate::cgroup::stat::{Limit, Pressure, Stat};

/// A cgroup with its use.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Path from the root of the hierarchy.
    pub path: String,
    /// What it is called.
    pub name: String,
    /// What it uses.
    pub using: Use,
}

/// What a cgroup uses; `None` where the controller is not enabled, or where two looks are needed and there is one.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Use {
    /// CPU time, in percent of one CPU.
    pub cpu_percent: Option<f64>,
    /// `cpu.max`, in percent of one CPU.
    pub cpu_limit_percent: Option<f64>,
    /// Periods in which the quota was used up, in percent of those that passed.
    pub throttled_percent: Option<f64>,
    /// Bytes.
    pub memory: Option<u64>,
    /// `memory.max`, bytes.
    pub memory_limit: Option<u64>,
    /// Time in which some process waited for a CPU, in percent.
    pub cpu_pressure: Option<f64>,
    /// The same for memory.
    pub memory_pressure: Option<f64>,
    /// The same for block devices.
    pub io_pressure: Option<f64>,
    /// Threads and processes.
    pub pids: Option<u64>,
    /// `pids.max`
    pub pids_limit: Option<u64>,
    /// Bytes a second read from block devices.
    pub read_rate: Option<f64>,
    /// Bytes a second written to them.
    pub write_rate: Option<f64>,
    /// Processes that the OOM killer has ended since the cgroup was made.
    pub oom_kills: u64,
    /// Of them, since the look before.
    pub oom_kills_new: u64,
    /// Times that memory.high was exceeded, since the look before.
    pub high_new: u64,
    /// Forks that pids.max refused, since the look before.
    pub forks_refused_new: u64,
    /// Whether it is frozen.
    pub frozen: bool,
}

/// What rows are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// Path, so that each stands below its parent.
    Name,
    /// CPU time, most first.
    Cpu,
    /// Throttling, most first.
    Throttled,
    /// Memory, most first.
    Memory,
    /// The highest of the three pressures, most first.
    Pressure,
    /// Threads and processes, most first.
    Pids,
    /// Bytes to and from devices, most first.
    Io,
}

impl Sort {
    /// All, in the order in which a key steps through them.
    pub const ALL: [Sort; 7] =
        [Sort::Name, Sort::Cpu, Sort::Throttled, Sort::Memory, Sort::Pressure, Sort::Pids, Sort::Io];

    /// Its name.
    pub fn word(self) -> &'static str {
        match self {
            Sort::Name => "name",
            Sort::Cpu => "cpu",
            Sort::Throttled => "throttled",
            Sort::Memory => "memory",
            Sort::Pressure => "pressure",
            Sort::Pids => "pids",
            Sort::Io => "io",
        }
    }
}

/// The rows of a look, rates taken from the look before, those whose name or path holds `filter`, sorted.
pub fn rows(frame: &Frame, before: Option<&Frame>, filter: &str, sort: Sort) -> Vec<Row> {
    let wanted = |sample: &&Sample| sample.name.contains(filter) || sample.path.contains(filter);
    let mut rows: Vec<_> = frame.rows.iter().filter(wanted).map(|sample| row(sample, before, frame.t)).collect();
    rows.sort_by(|one, other| {
        let key = |row: &Row| match sort {
            Sort::Name => 0.0,
            Sort::Cpu => row.using.cpu_percent.unwrap_or(-1.0),
            Sort::Throttled => row.using.throttled_percent.unwrap_or(-1.0),
            Sort::Memory => row.using.memory.map_or(-1.0, |bytes| bytes as f64),
            Sort::Pressure => row.using.highest_pressure().unwrap_or(-1.0),
            Sort::Pids => row.using.pids.map_or(-1.0, |pids| pids as f64),
            Sort::Io => row.using.io_rate().unwrap_or(-1.0),
        };
        key(other).total_cmp(&key(one)).then_with(|| one.path.split('/').cmp(other.path.split('/')))
    });
    rows
}

/// One cgroup's row at `t`; `before` is the look before.
pub fn row(sample: &Sample, before: Option<&Frame>, t: f64) -> Row {
    let earlier = before.and_then(|before| {
        let earlier = before.sample(&sample.path)?;
        // A counter that went back belongs to a cgroup that was removed and made anew.
        let usage = |stat: &Stat| stat.cpu.as_ref().map_or(0, |cpu| cpu.usage_usec);
        let since = t - before.t;
        (since > 0.0 && usage(&earlier.stat) <= usage(&sample.stat)).then_some((&earlier.stat, since))
    });
    Row { path: sample.path.clone(), name: sample.name.clone(), using: usage(&sample.stat, earlier) }
}

impl Use {
    /// The highest of the three pressures.
    pub fn highest_pressure(&self) -> Option<f64> {
        [self.cpu_pressure, self.memory_pressure, self.io_pressure].into_iter().flatten().max_by(f64::total_cmp)
    }

    /// Bytes a second to and from block devices.
    pub fn io_rate(&self) -> Option<f64> {
        Some(self.read_rate? + self.write_rate?)
    }

    /// What has happened, in a few words: `KILL+1` for now, `oom 2` for before.
    pub fn marks(&self) -> String {
        let mut marks = Vec::new();
        match (self.oom_kills, self.oom_kills_new) {
            (0, _) => {}
            (all, 0) => marks.push(format!("oom {all}")),
            (_, new) => marks.push(format!("KILL+{new}")),
        }
        if self.frozen {
            marks.push("frozen".to_string());
        }
        if self.forks_refused_new > 0 {
            marks.push("nofork".to_string());
        }
        if self.high_new > 0 {
            marks.push("high".to_string());
        }
        marks.join(" ")
    }
}

/// `earlier` comes with the seconds that have passed since.
fn usage(stat: &Stat, earlier: Option<(&Stat, f64)>) -> Use {
    let grown = |of: &dyn Fn(&Stat) -> Option<u64>| {
        let (earlier, since) = earlier?;
        Some((of(stat)?.saturating_sub(of(earlier)?), since))
    };
    let rate = |of: &dyn Fn(&Stat) -> Option<u64>| grown(of).map(|(grown, since)| grown as f64 / since);
    let new = |of: &dyn Fn(&Stat) -> Option<u64>| grown(of).map_or(0, |(grown, _)| grown);
    // Microseconds a second are a millionth each, so a percent is 10,000 of them.
    let percent = |of: &dyn Fn(&Stat) -> Option<u64>| rate(of).map(|rate| rate / 10_000.0);
    let stalled = |of: fn(&Stat) -> Option<&Pressure>| percent(&|stat| of(stat).map(|found| found.some.total));
    let periods = grown(&|stat| stat.cpu.as_ref().map(|cpu| cpu.nr_periods)).map_or(0, |(periods, _)| periods);
    let throttled = grown(&|stat| stat.cpu.as_ref().map(|cpu| cpu.nr_throttled));
    let quota = stat.cpu.as_ref().and_then(|cpu| cpu.max?.cpus());
    Use {
        cpu_percent: percent(&|stat| stat.cpu.as_ref().map(|cpu| cpu.usage_usec)),
        cpu_limit_percent: quota.map(|cpus| cpus * 100.0),
        throttled_percent: quota.and(throttled).map(|(throttled, _)| match periods {
            0 => 0.0,
            periods => 100.0 * throttled as f64 / periods as f64,
        }),
        memory: stat.memory.as_ref().map(|memory| memory.current),
        memory_limit: stat.memory.as_ref().and_then(|memory| memory.max).and_then(Limit::number),
        cpu_pressure: stalled(|stat| stat.pressure.cpu.as_ref()),
        memory_pressure: stalled(|stat| stat.pressure.memory.as_ref()),
        io_pressure: stalled(|stat| stat.pressure.io.as_ref()),
        pids: stat.pids.as_ref().map(|pids| pids.current),
        pids_limit: stat.pids.as_ref().and_then(|pids| pids.max).and_then(Limit::number),
        read_rate: rate(&|stat| transferred(stat, "rbytes")),
        write_rate: rate(&|stat| transferred(stat, "wbytes")),
        oom_kills: event(stat, "oom_kill").unwrap_or_default(),
        oom_kills_new: new(&|stat| event(stat, "oom_kill")),
        high_new: new(&|stat| event(stat, "high")),
        forks_refused_new: new(&|stat| stat.pids.as_ref().map(|pids| pids.refused)),
        frozen: stat.frozen,
    }
}

fn event(stat: &Stat, name: &str) -> Option<u64> {
    stat.memory.as_ref()?.events.get(name).copied()
}

/// Bytes of all devices together.
fn transferred(stat: &Stat, counter: &str) -> Option<u64> {
    Some(stat.io.as_ref()?.iter().filter_map(|device| device.counters.get(counter)).sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::samples;

    fn web(at: usize) -> Use {
        let frames = samples::recording().frames;
        let before = at.checked_sub(1).map(|before| &frames[before]);
        rows(&frames[at], before, "web", Sort::Name)[0].using.clone()
    }

    #[test]
    fn rates_are_taken_from_two_looks() {
        let now = web(1);
        assert_eq!((now.cpu_percent, now.cpu_limit_percent), (Some(50.0), Some(50.0)));
        assert_eq!(now.throttled_percent, Some(80.0), "8 of 10 periods");
        assert_eq!((now.memory, now.memory_limit), (Some(20 << 20), Some(64 << 20)));
        assert_eq!((now.cpu_pressure, now.memory_pressure, now.io_pressure), (Some(40.0), Some(0.0), None));
        assert_eq!((now.read_rate, now.write_rate), (Some(0.0), Some(4096.0)));
        assert_eq!(now.marks(), "");
    }

    #[test]
    fn the_first_look_has_amounts_but_no_rates() {
        let first = web(0);
        assert_eq!((first.cpu_percent, first.throttled_percent, first.cpu_pressure), (None, None, None));
        assert_eq!((first.memory, first.pids, first.pids_limit), (Some(10 << 20), Some(3), Some(100)));
    }

    #[test]
    fn a_kill_is_marked_when_it_happens_and_counted_afterwards() {
        assert_eq!(web(6).marks(), "KILL+1");
        assert_eq!(web(7).marks(), "oom 1");
    }

    #[test]
    fn a_cgroup_that_was_made_anew_begins_anew() {
        let mut frames = samples::recording().frames;
        frames[2].rows[1].stat.cpu.as_mut().expect("it is sampled").usage_usec = 5;
        let rows = rows(&frames[2], Some(&frames[1]), "web", Sort::Name);
        assert_eq!(rows[0].using.cpu_percent, None);
    }

    #[test]
    fn rows_are_filtered_and_sorted() {
        let frames = samples::recording().frames;
        let paths = |filter: &str, sort| {
            let rows = rows(&frames[1], Some(&frames[0]), filter, sort);
            rows.into_iter().map(|row| row.path).collect::<Vec<_>>()
        };
        assert_eq!(paths("", Sort::Name), ["/glassbox-db", "/glassbox-web"]);
        assert_eq!(paths("", Sort::Cpu), ["/glassbox-web", "/glassbox-db"]);
        assert_eq!(paths("", Sort::Memory), ["/glassbox-db", "/glassbox-web"]);
        assert_eq!(paths("container web", Sort::Name), ["/glassbox-web"]);
        assert!(paths("nothing", Sort::Io).is_empty());
    }
}
