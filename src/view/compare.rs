//! Two processes side by side: what a container is made of, as differences from another process. Each row is what the
//! kernel's files say about one, about the other, and whether that is the same.

use std::str::FromStr;

use serde::Serialize;

use super::process::{Facts, Kind};
use super::text::bytes;
use crate::cgroup::stat::{Limit, Stat};

/// A row of the comparison.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// What it belongs to.
    pub section: Section,
    /// What is compared.
    pub name: String,
    /// Of the first process.
    pub left: String,
    /// Of the second.
    pub right: String,
    /// Whether they are the same.
    pub verdict: Verdict,
}

/// What rows belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Section {
    Process,
    Namespaces,
    Cgroup,
    View,
    Users,
    Powers,
    Limits,
}

/// Whether two processes have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// They have.
    Same,
    /// They have not.
    Differs,
    /// It could not be read of both.
    Unknown,
}

impl Section {
    /// Its heading.
    pub fn word(self) -> &'static str {
        match self {
            Section::Process => "process",
            Section::Namespaces => "namespaces",
            Section::Cgroup => "cgroup",
            Section::View => "view",
            Section::Users => "users",
            Section::Powers => "powers",
            Section::Limits => "limits",
        }
    }
}

impl Verdict {
    /// The mark of a row, as a word.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Same => "same",
            Verdict::Differs => "differs",
            Verdict::Unknown => "unknown",
        }
    }
}

/// A value, or why there is none to tell.
type Value = Result<String, String>;

/// Compares two processes, in the order of [`Section`].
pub fn compare(left: &Facts, right: &Facts) -> Vec<Row> {
    let mut rows = Vec::new();
    for (section, questions) in questions() {
        for (name, ask) in questions {
            rows.push(row(section, name, ask(left), ask(right)));
        }
    }
    for kind in Kind::ALL {
        let ask =
            |facts: &Facts| facts.process.namespaces.get(&kind).map(u64::to_string).ok_or("not shown".to_string());
        rows.push(row(Section::Namespaces, kind.word(), ask(left), ask(right)));
    }
    for name in limit_names(left, right) {
        let ask = |facts: &Facts| limit(facts, &name);
        rows.push(row(Section::Limits, &name, ask(left), ask(right)));
    }
    rows.sort_by_key(|row| row.section);
    rows
}

fn row(section: Section, name: &str, left: Value, right: Value) -> Row {
    let verdict = match (&left, &right) {
        (Ok(left), Ok(right)) if left == right => Verdict::Same,
        (Ok(_), Ok(_)) => Verdict::Differs,
        _ => Verdict::Unknown,
    };
    let told = |value: Value| value.unwrap_or_else(|why| format!("? {why}"));
    Row { section, name: name.to_string(), left: told(left), right: told(right), verdict }
}

type Question = (&'static str, fn(&Facts) -> Value);

fn questions() -> Vec<(Section, Vec<Question>)> {
    vec![
        (
            Section::Process,
            vec![
                ("command", command),
                ("pid here", |facts| Ok(facts.process.pid.to_string())),
                ("pid inside", |facts| status(facts, "NSpid").map(|pids| last_word(&pids))),
            ],
        ),
        (
            Section::Cgroup,
            vec![
                ("path", |facts| facts.process.cgroup.clone().ok_or("no cgroup v2".to_string())),
                ("memory.max", memory_max),
                ("cpu.max", cpu_max),
                ("pids.max", pids_max),
            ],
        ),
        (
            Section::View,
            vec![
                ("host name", |facts| facts.hostname.clone()),
                ("root", root),
                ("mounts", |facts| file(facts, "mountinfo").map(|text| text.lines().count().to_string())),
                ("network links", links),
                ("clock offsets", |facts| file(facts, "timens_offsets").map(|text| offsets(&text))),
            ],
        ),
        (
            Section::Users,
            vec![
                ("user id", |facts| status(facts, "Uid").map(|ids| unique(&ids))),
                ("group id", |facts| status(facts, "Gid").map(|ids| unique(&ids))),
                ("more groups", |facts| status(facts, "Groups").map(|ids| or_none(ids.trim()))),
                ("user id map", |facts| file(facts, "uid_map").map(|map| id_map(&map))),
                ("group id map", |facts| file(facts, "gid_map").map(|map| id_map(&map))),
            ],
        ),
        (
            Section::Powers,
            vec![
                ("effective", |facts| status(facts, "CapEff").map(|mask| capabilities(&mask))),
                ("permitted", |facts| status(facts, "CapPrm").map(|mask| capabilities(&mask))),
                ("inheritable", |facts| status(facts, "CapInh").map(|mask| capabilities(&mask))),
                ("bounding", |facts| status(facts, "CapBnd").map(|mask| capabilities(&mask))),
                ("ambient", |facts| status(facts, "CapAmb").map(|mask| capabilities(&mask))),
                ("no_new_privs", |facts| status(facts, "NoNewPrivs").map(|value| yes_or_no(&value))),
                ("seccomp", seccomp),
                ("LSM label", label),
                ("oom_score_adj", |facts| file(facts, "oom_score_adj").map(|text| text.trim().to_string())),
            ],
        ),
    ]
}

fn file(facts: &Facts, name: &str) -> Value {
    facts.files.get(name).cloned().unwrap_or_else(|| Err("not asked".to_string()))
}

/// A line of `/proc/PID/status`.
fn status(facts: &Facts, key: &str) -> Value {
    let text = file(facts, "status")?;
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    line.map(|value| value.trim().to_string()).ok_or_else(|| "this kernel does not tell".to_string())
}

fn command(facts: &Facts) -> Value {
    let words = file(facts, "cmdline")?.trim_end_matches('\0').replace('\0', " ");
    // Threads of the kernel and zombies have no command line.
    Ok(if words.is_empty() { format!("[{}]", facts.process.name) } else { words })
}

/// The counters of its cgroup; the root cgroup has no limits, and neither has one without the controller.
fn stat(facts: &Facts) -> Result<&Stat, String> {
    facts.stat.as_ref().ok_or_else(|| "the cgroup could not be read".to_string())
}

const NO_FILE: &str = "no such file";

fn memory_max(facts: &Facts) -> Value {
    let limit = stat(facts)?.memory.as_ref().and_then(|memory| memory.max);
    Ok(match limit {
        None => NO_FILE.to_string(),
        Some(Limit::Max) => "max".to_string(),
        Some(Limit::At(number)) => format!("{number} ({})", bytes(number)),
    })
}

fn cpu_max(facts: &Facts) -> Value {
    let max = stat(facts)?.cpu.as_ref().and_then(|cpu| cpu.max);
    Ok(max.map_or(NO_FILE.to_string(), |max| format!("{} {}", max.quota, max.period)))
}

fn pids_max(facts: &Facts) -> Value {
    let limit = stat(facts)?.pids.as_ref().and_then(|pids| pids.max);
    Ok(limit.map_or(NO_FILE.to_string(), |limit| limit.to_string()))
}

/// The label that the kernel's security module gave it; EINVAL where no module is active.
fn label(facts: &Facts) -> Value {
    match file(facts, "attr/current") {
        Err(why) if why == "EINVAL" => Ok("none".to_string()),
        label => label.map(|text| or_none(text.trim_matches(['\n', '\0', ' ']))),
    }
}

/// What is mounted on `/`: of the mount namespace's own table, its last line for that point (proc_pid_mountinfo(5)).
fn root(facts: &Facts) -> Value {
    let text = file(facts, "mountinfo")?;
    let line = text.lines().rfind(|line| line.split(' ').nth(4) == Some("/")).ok_or("nothing is mounted on /")?;
    let (mount, source) = line.split_once(" - ").ok_or("a line of no known form")?;
    let fields: Vec<_> = mount.split(' ').collect();
    let mut source = source.split(' ');
    let (kind, device) = (source.next().unwrap_or_default(), source.next().unwrap_or_default());
    let directory = fields.get(3).copied().unwrap_or_default();
    let writable = if fields.get(5).is_some_and(|options| options.split(',').any(|word| word == "ro")) {
        "read-only"
    } else {
        "writable"
    };
    let of = if directory == "/" { String::new() } else { format!("{directory} of ") };
    Ok(format!("{of}{kind} {device}, {writable}"))
}

/// The links of its network namespace: the names before the colons of `/proc/PID/net/dev`.
fn links(facts: &Facts) -> Value {
    let text = file(facts, "net/dev")?;
    let mut names: Vec<_> = text.lines().skip(2).filter_map(|line| Some(line.split_once(':')?.0.trim())).collect();
    names.sort_unstable();
    Ok(or_none(&names.join(" ")))
}

fn offsets(text: &str) -> String {
    let moved = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let moved = moved.filter(|words| words[1..].iter().any(|number| *number != "0"));
    or_none(&moved.map(|words| words.join(" ")).collect::<Vec<_>>().join(", "))
}

/// Real, effective, saved and file system id, told once where they are all the same.
fn unique(ids: &str) -> String {
    let ids: Vec<_> = ids.split_whitespace().collect();
    if ids.windows(2).all(|pair| pair[0] == pair[1]) {
        return ids.first().copied().unwrap_or_default().to_string();
    }
    let names = ["real", "effective", "saved", "file system"];
    names.iter().zip(ids).map(|(name, id)| format!("{name} {id}")).collect::<Vec<_>>().join(", ")
}

/// A map of ids in words: inside, outside and how many on each line (user_namespaces(7)).
fn id_map(text: &str) -> String {
    let range = |line: &str| {
        let numbers: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [inside, outside, length] = numbers.as_slice() else { return line.trim().to_string() };
        let span =
            |first: u64| if *length == 1 { first.to_string() } else { format!("{first}-{}", first + length - 1) };
        match (inside == outside, *length) {
            (true, 4_294_967_295) => "every id is itself".to_string(),
            (true, 1) => format!("{} is itself", span(*inside)),
            (true, _) => format!("{} are themselves", span(*inside)),
            (false, 1) => format!("{} is {}", span(*inside), span(*outside)),
            (false, _) => format!("{} are {}", span(*inside), span(*outside)),
        }
    };
    let told: Vec<_> = text.lines().map(range).collect();
    if told.is_empty() { "no id is mapped".to_string() } else { told.join("; ") }
}

/// A capability mask as names. Where most are there, the ones that are not are shorter to tell.
fn capabilities(mask: &str) -> String {
    let Ok(mask) = u64::from_str_radix(mask, 16) else { return mask.to_string() };
    let known = caps::all().len();
    let name = |bit: usize| {
        let found = caps::all().into_iter().find(|one| usize::from(one.index()) == bit);
        found.map_or(format!("#{bit}"), |one| one.to_string().trim_start_matches("CAP_").to_lowercase())
    };
    let names = |wanted: bool| {
        let bits = (0..64).filter(|bit| (mask >> bit & 1 == 1) == wanted && (wanted || *bit < known));
        bits.map(name).collect::<Vec<_>>().join(" ")
    };
    match mask.count_ones() as usize {
        0 => "none".to_string(),
        held if names(false).is_empty() => format!("all {held}"),
        held if held > known * 2 / 3 => format!("{held}, all but {}", names(false)),
        held => format!("{held}: {}", names(true)),
    }
}

fn seccomp(facts: &Facts) -> Value {
    let filters = status(facts, "Seccomp_filters").unwrap_or_default();
    Ok(match status(facts, "Seccomp")?.as_str() {
        "0" => "off".to_string(),
        "1" => "strict".to_string(),
        "2" if filters.is_empty() => "filter".to_string(),
        "2" => format!("filter ({filters})"),
        other => other.to_string(),
    })
}

/// The names in `/proc/PID/limits`, of both.
fn limit_names(left: &Facts, right: &Facts) -> Vec<String> {
    let mut names = Vec::new();
    for facts in [left, right] {
        for line in file(facts, "limits").unwrap_or_default().lines().skip(1) {
            let name = limit_line(line).0;
            if !name.is_empty() && !names.contains(&name) {
                names.push(name);
            }
        }
    }
    names
}

fn limit(facts: &Facts, name: &str) -> Value {
    let text = file(facts, "limits")?;
    let line = text.lines().skip(1).map(limit_line).find(|(found, _)| found == name);
    line.map(|(_, value)| value).ok_or_else(|| "this kernel does not tell".to_string())
}

/// `Max open files   1024   524288   files`: the name stands in 26 columns, then soft, hard and unit.
fn limit_line(line: &str) -> (String, String) {
    let at = line.char_indices().nth(26).map_or(line.len(), |(at, _)| at);
    let (name, values) = line.split_at(at);
    let values: Vec<_> = values.split_whitespace().take(2).collect();
    let told = match values.as_slice() {
        [soft, hard] if soft == hard => (*soft).to_string(),
        [soft, hard] => format!("{soft}, at most {hard}"),
        other => other.join(" "),
    };
    (name.trim().trim_start_matches("Max ").to_string(), told)
}

fn last_word(text: &str) -> String {
    text.split_whitespace().last().unwrap_or_default().to_string()
}

fn or_none(text: &str) -> String {
    if text.is_empty() { "none".to_string() } else { text.to_string() }
}

fn yes_or_no(text: &str) -> String {
    match u8::from_str(text) {
        Ok(0) => "no".to_string(),
        Ok(1) => "yes".to_string(),
        _ => text.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::samples;

    fn verdict(rows: &[Row], name: &str) -> Verdict {
        rows.iter().find(|row| row.name == name).unwrap_or_else(|| panic!("no row {name}")).verdict
    }

    #[test]
    fn each_row_is_the_same_or_differs_or_is_unknown() {
        let (host, container) = samples::pair();
        let rows = compare(&host, &container);
        for name in
            ["mnt", "cgroup", "path", "root", "mounts", "network links", "effective", "no_new_privs", "host name"]
        {
            assert_eq!(verdict(&rows, name), Verdict::Differs, "{name}");
        }
        for name in ["user", "time", "user id", "user id map", "seccomp", "ambient", "processes"] {
            assert_eq!(verdict(&rows, name), Verdict::Same, "{name}");
        }
        assert_eq!(verdict(&rows, "group id map"), Verdict::Unknown);
        assert_eq!(verdict(&rows, "open files"), Verdict::Differs);
        assert!(compare(&host, &host).iter().all(|row| row.verdict != Verdict::Differs));
    }

    #[test]
    fn capabilities_are_told_by_whichever_side_is_shorter() {
        assert_eq!(capabilities("000001ffffffffff"), "all 41");
        assert_eq!(capabilities("0000000020000420"), "3: kill net_bind_service audit_write");
        assert_eq!(capabilities("000001fffffffffe"), "40, all but chown");
        assert_eq!(capabilities("0000000000000000"), "none");
        assert_eq!(capabilities("8000000000000000"), "1: #63", "a capability newer than we are");
    }

    #[test]
    fn maps_are_told_as_ranges() {
        assert_eq!(id_map("0 0 4294967295\n"), "every id is itself");
        assert_eq!(id_map("0 100000 65536\n"), "0-65535 are 100000-165535");
        assert_eq!(id_map("0 1000 1\n1 100000 65536\n"), "0 is 1000; 1-65536 are 100000-165535");
        assert_eq!(id_map(""), "no id is mapped");
    }

    #[test]
    fn the_root_is_a_directory_of_a_file_system() {
        let (host, container) = samples::pair();
        assert_eq!(root(&host).as_deref(), Ok("ext4 /dev/vda1, writable"));
        assert_eq!(root(&container).as_deref(), Ok("/srv/web/rootfs of ext4 /dev/vda1, read-only"));
    }

    #[test]
    fn an_id_that_was_taken_on_is_told_with_the_others() {
        assert_eq!(unique("0\t0\t0\t0"), "0");
        assert_eq!(unique("1000 0 0 0"), "real 1000, effective 0, saved 0, file system 0");
    }
}
