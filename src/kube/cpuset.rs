//! A set of CPUs, read and written as the kernel does: `0-3,8` (cpuset(7), list format).

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// The largest CPU number that is believed; more is a slip, not a machine.
const MAX_CPU: u32 = 8191;

/// CPUs by number.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CpuSet(pub BTreeSet<u32>);

impl CpuSet {
    /// CPUs 0 to `count` - 1.
    pub fn first(count: u32) -> Self {
        CpuSet((0..count.min(MAX_CPU + 1)).collect())
    }

    /// The CPUs of `self` that are not in `other`.
    pub fn without(&self, other: &CpuSet) -> CpuSet {
        CpuSet(self.0.difference(&other.0).copied().collect())
    }

    /// The CPUs of either set.
    pub fn with(&self, other: &CpuSet) -> CpuSet {
        CpuSet(self.0.union(&other.0).copied().collect())
    }

    /// The `count` lowest CPUs, or `None` if there are not so many.
    pub fn lowest(&self, count: usize) -> Option<CpuSet> {
        let taken: BTreeSet<u32> = self.0.iter().take(count).copied().collect();
        (taken.len() == count).then_some(CpuSet(taken))
    }
}

impl FromStr for CpuSet {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("{text:?} is no list of CPUs: write numbers and ranges such as 0-3,8, at most {MAX_CPU}");
        let mut cpus = BTreeSet::new();
        for range in text.trim().split(',').filter(|range| !range.is_empty()) {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let (first, last): (u32, u32) = (first.parse().map_err(|_| wrong())?, last.parse().map_err(|_| wrong())?);
            if first > last || last > MAX_CPU {
                return Err(wrong());
            }
            cpus.extend(first..=last);
        }
        Ok(CpuSet(cpus))
    }
}

impl fmt::Display for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut runs: Vec<(u32, u32)> = Vec::new();
        for cpu in &self.0 {
            match runs.last_mut() {
                Some((_, last)) if *last + 1 == *cpu => *last = *cpu,
                _ => runs.push((*cpu, *cpu)),
            }
        }
        let written =
            runs.iter().map(|(first, last)| if first == last { first.to_string() } else { format!("{first}-{last}") });
        f.write_str(&written.collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_and_written_in_their_shortest_form() {
        for (text, written) in [("0-3", "0-3"), ("8,0,1-2", "0-2,8"), ("", ""), ("5", "5"), ("0,2,4-4\n", "0,2,4")] {
            assert_eq!(text.parse::<CpuSet>().unwrap().to_string(), written);
        }
        for text in ["a", "3-1", "1-", "-1", "0-99999999"] {
            assert!(text.parse::<CpuSet>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_lowest_are_taken_or_none() {
        let set: CpuSet = "1,3-5".parse().unwrap();
        assert_eq!(set.lowest(2).unwrap().to_string(), "1,3");
        assert_eq!(set.lowest(5), None);
    }
}
