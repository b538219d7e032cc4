//! What a file of a cgroup shows: how the kernel spells a value that was written, and what a file holds that nobody wrote.
//! Pure. The files are those of Documentation/admin-guide/cgroup-v2.rst.

/// The page size that the memory controller counts in, in bytes.
const PAGE: u128 = 4096;

/// Whether `file` shows `live` once `written` was written to it: the kernel rounds bytes down to pages, and spells lists of
/// CPUs and a lone quota in its own way. A file with a line for each device holds a value if it has its line.
pub fn holds(file: &str, written: &str, live: &str) -> bool {
    match file {
        "io.weight" | "io.max" | "io.latency" | "rdma.max" | "misc.max" => live.lines().any(|line| has(line, written)),
        "cpuset.cpus" | "cpuset.mems" => numbers(written).is_some_and(|wanted| Some(wanted) == numbers(live)),
        _ => shown(file, written) == live.trim_end(),
    }
}

/// How the kernel shows `written`.
fn shown(file: &str, written: &str) -> String {
    let floored = |unit: u128| match written.parse::<u128>() {
        Ok(bytes) => (bytes / unit * unit).to_string(),
        Err(_) => written.to_string(),
    };
    match file {
        "memory.min" | "memory.low" | "memory.high" | "memory.max" | "memory.swap.high" | "memory.swap.max"
        | "memory.zswap.max" => floored(PAGE),
        "cpu.max" if !written.contains(' ') => format!("{written} 100000"),
        _ if file.starts_with("hugetlb.") => floored(huge_page(file).unwrap_or(1)),
        _ => written.to_string(),
    }
}

/// Bytes of a page of `hugetlb.2MB.max`.
fn huge_page(file: &str) -> Option<u128> {
    let size = file.split('.').nth(1)?;
    let digits = size.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match &size[digits.len()..] {
        "KB" => 10,
        "MB" => 20,
        "GB" => 30,
        _ => return None,
    };
    digits.parse::<u128>().ok()?.checked_shl(shift).filter(|bytes| *bytes > 0)
}

/// A line `8:0 rbps=5 wbps=max` has the key and every setting of `8:0 rbps=5`.
fn has(line: &str, written: &str) -> bool {
    let mut words = written.split_whitespace();
    let here: Vec<&str> = line.split_whitespace().collect();
    here.first() == words.next().as_ref() && words.all(|word| here.contains(&word))
}

/// The numbers of a list such as `0-2,7`; `None` for what is no list, or one of more than a million.
fn numbers(list: &str) -> Option<Vec<u32>> {
    let mut found = Vec::new();
    for part in list.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        if last.saturating_sub(first) > 1_000_000 {
            return None;
        }
        found.extend(first..=last);
    }
    found.sort_unstable();
    found.dedup();
    Some(found)
}

/// What the kernel puts into a setting of a new cgroup; `None` for a file that counts or tells and is no setting, and for
/// one that this table does not have.
pub fn default_of(file: &str) -> Option<&'static str> {
    Some(match file {
        "cpu.weight" => "100",
        "cpu.weight.nice" | "cpu.idle" | "cpu.max.burst" => "0",
        "cpu.uclamp.min" => "0.00",
        "cpu.uclamp.max" => "max",
        "cpu.max" => "max 100000",
        "cpuset.cpus" | "cpuset.mems" | "cpuset.cpus.exclusive" | "io.max" | "rdma.max" => "",
        "cpuset.cpus.partition" => "member",
        "io.weight" => "default 100",
        "memory.min" | "memory.low" | "memory.oom.group" => "0",
        "memory.high" | "memory.max" | "memory.swap.high" | "memory.swap.max" | "memory.zswap.max" => "max",
        "memory.zswap.writeback" => "1",
        "pids.max" | "cgroup.max.descendants" | "cgroup.max.depth" => "max",
        "cgroup.freeze" => "0",
        "cgroup.type" => "domain",
        "cgroup.pressure" => "1",
        _ if file.starts_with("hugetlb.") && file.ends_with(".max") => "max",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_spells_values_in_its_own_way() {
        let table = [
            ("memory.max", "129000000", "128999424", true),
            ("memory.max", "4095", "0", true),
            ("memory.max", "max", "max", true),
            ("memory.max", "4096", "8192", false),
            ("cpu.max", "max", "max 100000", true),
            ("cpu.max", "50000 100000", "50000 100000", true),
            ("cpu.max", "50000 100000", "50000 50000", false),
            ("cpuset.cpus", "0,1,2", "0-2", true),
            ("cpuset.cpus", "0-1", "0-2", false),
            ("hugetlb.2MB.max", "4194305", "4194304", true),
            ("hugetlb.2MB.max", "4611686018427387904", "4611686018427387904", true),
            ("io.max", "8:0 rbps=1048576", "8:0 rbps=1048576 wbps=max riops=max wiops=max", true),
            ("io.max", "8:0 rbps=1048576", "8:16 rbps=1048576 wbps=max", false),
            ("io.weight", "default 50", "default 50\n8:0 20", true),
            ("pids.max", "5", "6", false),
        ];
        for (file, written, live, expected) in table {
            assert_eq!(holds(file, written, live), expected, "{file}: {written} shown as {live}");
        }
    }

    #[test]
    fn settings_have_a_default_and_counters_have_none() {
        for file in ["cpu.weight", "memory.max", "pids.max", "hugetlb.1GB.rsvd.max"] {
            assert!(default_of(file).is_some(), "{file}");
        }
        for file in ["memory.current", "cpu.stat", "cgroup.procs", "memory.events", "hugetlb.2MB.current"] {
            assert_eq!(default_of(file), None, "{file}");
        }
    }
}
