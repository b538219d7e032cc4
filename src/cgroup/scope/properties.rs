//! Limits as properties of a unit (systemd.resource-control(5); the types are those of org.freedesktop.systemd1(5)).
//!
//! systemd writes a unit's cgroup files by its own properties, and may write them again at any time (daemon-reload). So
//! what is written into a file must be said to systemd as well, wherever it has a word for it.

use std::borrow::Cow;
use std::fmt;

use crate::cgroup::resources::{DeviceRule, Write};

/// What systemd takes for `max`.
const UNLIMITED: u64 = u64::MAX;

/// A property of a unit with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Property {
    /// systemd's name on the bus: `CPUQuotaPerSecUSec`.
    pub name: Cow<'static, str>,
    /// The value.
    pub value: Value,
}

/// A value of one of D-Bus's types, named by its letters there.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `b`
    Bool(bool),
    /// `y`
    Byte(u8),
    /// `n`
    Int16(i16),
    /// `q`
    Uint16(u16),
    /// `i`
    Int32(i32),
    /// `u`
    Uint32(u32),
    /// `x`
    Int64(i64),
    /// `t`
    Uint64(u64),
    /// `d`
    Double(f64),
    /// `s`
    Text(String),
    /// `as`
    Texts(Vec<String>),
    /// `ay`; in AllowedCPUs a bit for each CPU, lowest first.
    Bytes(Vec<u8>),
    /// `a(ss)`
    Pairs(Vec<(String, String)>),
}

impl Property {
    /// The property `name` with this value.
    pub fn new(name: impl Into<Cow<'static, str>>, value: Value) -> Property {
        Property { name: name.into(), value }
    }
}

/// As a unit file would have it: `CPUWeight=100`.
impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=", self.name)?;
        match &self.value {
            Value::Bool(value) => write!(f, "{}", if *value { "yes" } else { "no" }),
            Value::Uint64(UNLIMITED) => write!(f, "infinity"),
            Value::Byte(value) => write!(f, "{value}"),
            Value::Int16(value) => write!(f, "{value}"),
            Value::Uint16(value) => write!(f, "{value}"),
            Value::Int32(value) => write!(f, "{value}"),
            Value::Uint32(value) => write!(f, "{value}"),
            Value::Int64(value) => write!(f, "{value}"),
            Value::Uint64(value) => write!(f, "{value}"),
            Value::Double(value) => write!(f, "{value}"),
            Value::Text(value) => write!(f, "{value}"),
            Value::Texts(values) => write!(f, "{}", values.join(" ")),
            Value::Bytes(mask) => write!(f, "{}", numbers(mask).map(|n| n.to_string()).collect::<Vec<_>>().join(" ")),
            Value::Pairs(pairs) => {
                let one = |(first, second): &(String, String)| format!("{first} {second}");
                write!(f, "{}", pairs.iter().map(one).collect::<Vec<_>>().join(", "))
            }
        }
    }
}

impl Value {
    /// The words that busctl(1) takes for it: the type's letters, then the value.
    pub fn words(&self) -> Vec<String> {
        let one = |letters: &str, value: String| vec![letters.to_string(), value];
        let many = |letters: &str, count: usize, values: Vec<String>| {
            [vec![letters.to_string(), count.to_string()], values].concat()
        };
        match self {
            Value::Bool(value) => one("b", value.to_string()),
            Value::Byte(value) => one("y", value.to_string()),
            Value::Int16(value) => one("n", value.to_string()),
            Value::Uint16(value) => one("q", value.to_string()),
            Value::Int32(value) => one("i", value.to_string()),
            Value::Uint32(value) => one("u", value.to_string()),
            Value::Int64(value) => one("x", value.to_string()),
            Value::Uint64(value) => one("t", value.to_string()),
            Value::Double(value) => one("d", value.to_string()),
            Value::Text(value) => one("s", value.clone()),
            Value::Texts(values) => many("as", values.len(), values.clone()),
            Value::Bytes(values) => many("ay", values.len(), values.iter().map(u8::to_string).collect()),
            Value::Pairs(pairs) => {
                let words = pairs.iter().flat_map(|(first, second)| [first.clone(), second.clone()]).collect();
                many("a(ss)", pairs.len(), words)
            }
        }
    }
}

/// The same writes with each quota of `cpu.max` rounded up as systemd rounds it, so that file and property agree: it
/// knows whole percents of a CPU only.
pub fn rounded(writes: Vec<Write>) -> Vec<Write> {
    let one = |write: Write| match quota(&write) {
        Some((Some(quota), period)) => {
            let quota = u128::from(per_second(quota, period)) * u128::from(period) / 1_000_000;
            Write { value: format!("{quota} {period}"), ..write }
        }
        _ => write,
    };
    writes.into_iter().map(one).collect()
}

/// What systemd has a word for; the other files are written without its knowing.
pub fn of_writes(writes: &[Write]) -> Vec<Property> {
    let idle = writes.iter().any(|write| write.file == "cpu.idle" && write.value.trim() == "1");
    let mut properties: Vec<Property> = Vec::new();
    for property in writes.iter().flat_map(|write| of_write(write, idle)) {
        // The last write into a file is the one that stays.
        properties.retain(|known| known.name != property.name);
        properties.push(property);
    }
    properties
}

fn of_write(write: &Write, idle: bool) -> Vec<Property> {
    let text = write.value.trim();
    let number = |name: &'static str, text: &str| {
        let value = if text == "max" { Some(UNLIMITED) } else { text.parse().ok() };
        value.map(|value| Property::new(name, Value::Uint64(value))).into_iter().collect()
    };
    let mask =
        |name: &'static str| mask(text).map(|mask| Property::new(name, Value::Bytes(mask))).into_iter().collect();
    match write.file.as_str() {
        // systemd says idle by the weight 0 (since 252).
        "cpu.idle" if idle => number("CPUWeight", "0"),
        "cpu.weight" if !idle => number("CPUWeight", text),
        "cpu.max" => match quota(write) {
            Some((quota, period)) => vec![
                Property::new("CPUQuotaPeriodUSec", Value::Uint64(period)),
                Property::new(
                    "CPUQuotaPerSecUSec",
                    Value::Uint64(quota.map_or(UNLIMITED, |quota| per_second(quota, period))),
                ),
            ],
            None => Vec::new(),
        },
        "cpuset.cpus" => mask("AllowedCPUs"),
        "cpuset.mems" => mask("AllowedMemoryNodes"),
        "memory.min" => number("MemoryMin", text),
        "memory.low" => number("MemoryLow", text),
        "memory.high" => number("MemoryHigh", text),
        "memory.max" => number("MemoryMax", text),
        "memory.swap.max" => number("MemorySwapMax", text),
        "pids.max" => number("TasksMax", text),
        "io.weight" => text.strip_prefix("default ").map(|weight| number("IOWeight", weight)).unwrap_or_default(),
        _ => Vec::new(),
    }
}

/// Quota (none is `max`) and period of a write into `cpu.max`, in microseconds.
fn quota(write: &Write) -> Option<(Option<u64>, u64)> {
    const DEFAULT_PERIOD: u64 = 100_000;
    if write.file != "cpu.max" {
        return None;
    }
    let mut words = write.value.split_whitespace();
    let quota = match words.next()? {
        "max" => None,
        quota => Some(quota.parse().ok()?),
    };
    let period =
        words.next().map_or(Some(DEFAULT_PERIOD), |period| period.parse().ok()).filter(|period| *period > 0)?;
    Some((quota, period))
}

/// CPU time in a second, in microseconds, rounded up to a whole percent.
fn per_second(quota: u64, period: u64) -> u64 {
    const PERCENT: u128 = 10_000;
    let exact = u128::from(quota) * 1_000_000 / u128::from(period);
    u64::try_from(exact.div_ceil(PERCENT) * PERCENT).unwrap_or(UNLIMITED)
}

/// A list such as `0-2,5` (cpuset(7), "List format") as bits, lowest first.
fn mask(list: &str) -> Option<Vec<u8>> {
    const MOST: usize = 1 << 16;
    let mut mask = Vec::new();
    for part in list.split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        if last >= MOST {
            return None;
        }
        for number in first..=last {
            mask.resize(mask.len().max(number / 8 + 1), 0);
            mask[number / 8] |= 1 << (number % 8);
        }
    }
    (!mask.is_empty()).then_some(mask)
}

/// The numbers whose bits are set.
fn numbers(mask: &[u8]) -> impl Iterator<Item = usize> {
    (0..mask.len() * 8).filter(|number| mask[number / 8] & (1 << (number % 8)) != 0)
}

/// The device rules as systemd can say them: everything, or nothing but a list. What a rule then takes away again is left
/// to the filter of our own: a device must pass both. Empty where there are no rules.
pub fn of_devices(rules: &[DeviceRule]) -> Vec<Property> {
    if rules.is_empty() {
        return Vec::new();
    }
    let of_all = |rule: &DeviceRule| rule.kind == 'a' && (rule.major, rule.minor, rule.access) == (None, None, 7);
    let last = rules.iter().rposition(of_all);
    let policy = |policy: &str, list| {
        vec![
            Property::new("DevicePolicy", Value::Text(policy.to_string())),
            Property::new("DeviceAllow", Value::Pairs(list)),
        ]
    };
    if last.is_some_and(|last| rules[last].allow) {
        return policy("auto", Vec::new());
    }
    let allowed = rules[last.map_or(0, |last| last + 1)..].iter().filter(|rule| rule.allow);
    policy("strict", allowed.flat_map(allowed_devices).collect())
}

/// `DeviceAllow` of a rule: a node by its number, or all of a major number or a kind.
fn allowed_devices(rule: &DeviceRule) -> Vec<(String, String)> {
    let kinds: &[&str] = match rule.kind {
        'b' => &["block"],
        'c' => &["char"],
        _ => &["block", "char"],
    };
    let access: String = [('r', 2), ('w', 4), ('m', 1)]
        .iter()
        .filter(|(_, bit)| rule.access & bit != 0)
        .map(|(letter, _)| letter)
        .collect();
    let device = |kind: &&str| match (rule.major, rule.minor) {
        (Some(major), Some(minor)) => format!("/dev/{kind}/{major}:{minor}"),
        (Some(major), None) => format!("{kind}-{major}"),
        // systemd has no word for a minor number of any major: our own filter narrows it.
        (None, _) => format!("{kind}-*"),
    };
    kinds.iter().map(|kind| (device(kind), access.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::resources;

    fn written(files: &[(&str, &str)]) -> Vec<Write> {
        files.iter().map(|(file, value)| Write::new(*file, value, "test")).collect()
    }

    fn told(files: &[(&str, &str)]) -> Vec<String> {
        of_writes(&written(files)).iter().map(Property::to_string).collect()
    }

    #[test]
    fn files_become_properties() {
        let files = [
            ("cpu.weight", "59"),
            ("cpu.max", "50000 100000"),
            ("cpu.max.burst", "1000"),
            ("cpuset.cpus", "0-1,9"),
            ("cpuset.mems", "0"),
            ("memory.swap.max", "max"),
            ("memory.max", "67108864"),
            ("memory.low", "1024"),
            ("memory.high", "2048"),
            ("memory.min", "512"),
            ("pids.max", "100"),
            ("io.weight", "default 55"),
            ("io.weight", "8:0 55"),
            ("hugetlb.2MB.max", "0"),
        ];
        let expected = [
            "CPUWeight=59",
            "CPUQuotaPeriodUSec=100000",
            "CPUQuotaPerSecUSec=500000",
            "AllowedCPUs=0 1 9",
            "AllowedMemoryNodes=0",
            "MemorySwapMax=infinity",
            "MemoryMax=67108864",
            "MemoryLow=1024",
            "MemoryHigh=2048",
            "MemoryMin=512",
            "TasksMax=100",
            "IOWeight=55",
        ];
        assert_eq!(told(&files), expected);
        assert_eq!(of_writes(&written(&[("cpuset.cpus", "0-1,9")]))[0].value, Value::Bytes(vec![3, 2]));
    }

    #[test]
    fn the_last_write_into_a_file_is_the_one_that_is_told_and_idle_is_a_weight() {
        assert_eq!(told(&[("pids.max", "5"), ("pids.max", "max")]), ["TasksMax=infinity"]);
        assert_eq!(told(&[("cpu.weight", "59"), ("cpu.idle", "1")]), ["CPUWeight=0"]);
        assert_eq!(told(&[("cpu.weight", "59"), ("cpu.idle", "0")]), ["CPUWeight=59"]);
    }

    #[test]
    fn quotas_are_rounded_up_to_whole_percents_in_both() {
        for (exact, file, property) in [
            ("33300 100000", "34000 100000", 340_000),
            ("50000 100000", "50000 100000", 500_000),
            ("1000 50000", "1000 50000", 20_000),
            ("1 1000000", "10000 1000000", 10_000),
            ("25001", "26000 100000", 260_000),
        ] {
            let writes = rounded(written(&[("cpu.max", exact)]));
            assert_eq!(writes[0].value, file);
            assert_eq!(of_writes(&writes)[1].value, Value::Uint64(property), "{exact}");
        }
        assert_eq!(rounded(written(&[("cpu.max", "max 50000")]))[0].value, "max 50000");
        assert_eq!(told(&[("cpu.max", "max 50000")]), ["CPUQuotaPeriodUSec=50000", "CPUQuotaPerSecUSec=infinity"]);
    }

    #[test]
    fn devices_are_all_or_a_list() {
        let rules = |json: serde_json::Value| {
            let rules = resources::device_rules(&serde_json::from_value(json).expect("typed"));
            of_devices(&rules).iter().map(Property::to_string).collect::<Vec<_>>()
        };
        let listed = rules(serde_json::json!({"devices": [
            {"allow": false, "access": "rwm"}, {"allow": true, "type": "b", "major": 8, "access": "r"},
            {"allow": false, "type": "b", "major": 8, "minor": 1, "access": "r"}]}));
        assert_eq!(listed[0], "DevicePolicy=strict");
        assert!(listed[1].starts_with("DeviceAllow=block-8 r, char-* m, block-* m, /dev/char/1:3 rwm, "), "{listed:?}");
        assert!(listed[1].ends_with(", char-136 rwm"), "{listed:?}");
        let all = rules(serde_json::json!({"devices": [{"allow": true, "type": "a", "access": "rwm"}]}));
        assert_eq!(all, ["DevicePolicy=auto", "DeviceAllow="]);
        assert_eq!(rules(serde_json::json!({})), Vec::<String>::new());
    }

    #[test]
    fn values_have_words_for_busctl() {
        let words = |value: Value| value.words().join(" ");
        assert_eq!(words(Value::Bool(true)), "b true");
        assert_eq!(words(Value::Uint64(UNLIMITED)), "t 18446744073709551615");
        assert_eq!(words(Value::Bytes(vec![3, 2])), "ay 2 3 2");
        assert_eq!(words(Value::Texts(vec!["a".into()])), "as 1 a");
        assert_eq!(words(Value::Pairs(vec![("char-*".into(), "m".into())])), "a(ss) 1 char-* m");
    }
}
