//! One check as it is written in the front matter, turned into a [`Check`]: one kind, its qualifiers, one expectation.

use std::str::FromStr;

use serde::Deserialize;

use super::check::{CapSet, Check, Expect, Hold, MountField, Pattern, Process, Subject};
use super::container::ContainerField;
use super::net::Net;
use super::quantity::Tolerance;

/// Every key that a check may have.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawCheck {
    cgroup: Option<String>,
    file: Option<String>,
    proc: Option<String>,
    ns: Option<String>,
    mount: Option<String>,
    sysctl: Option<String>,
    cap: Option<String>,
    sh: Option<String>,
    net: Option<String>,
    container: Option<String>,

    key: Option<String>,
    of: Option<String>,
    set: Option<String>,
    field: Option<String>,

    eq: Option<Scalar>,
    ne: Option<Scalar>,
    ge: Option<Scalar>,
    le: Option<Scalar>,
    grew: Option<Scalar>,
    grew_times: Option<Scalar>,
    than: Option<String>,
    exists: Option<bool>,
    absent: Option<bool>,
    matches: Option<String>,
    same_as: Option<String>,
    differs: Option<String>,
    tolerance: Option<String>,

    once: Option<bool>,
    now: Option<bool>,
}

/// A text or a number; a lab may write `grew = 1` and `eq = "64M"`.
#[derive(Debug)]
struct Scalar(String);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrNumber;
        impl serde::de::Visitor<'_> for TextOrNumber {
            type Value = Scalar;

            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("a text or a number")
            }

            fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
                Ok(Scalar(text.to_string()))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Scalar, E> {
                Ok(Scalar(number.to_string()))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Scalar, E> {
                Ok(Scalar(number.to_string()))
            }
        }
        deserializer.deserialize_any(TextOrNumber)
    }
}

/// Types a check that stands on `line`.
///
/// # Errors
/// What is missing, doubled or impossible.
pub fn check(raw: &RawCheck, line: usize) -> Result<Check, String> {
    let subject = subject(raw)?;
    let expect = expect(raw, &subject)?;
    let tolerance = raw.tolerance.as_deref().map(Tolerance::from_str).transpose()?;
    let numeric = matches!(
        expect,
        Expect::Eq(_) | Expect::Ge(_) | Expect::Le(_) | Expect::Between(..) | Expect::GrewTimes { .. }
    );
    if tolerance.is_some() && !numeric {
        return Err("a tolerance belongs to eq, ge, le or grew_times".to_string());
    }
    let happened = matches!(expect, Expect::Grew(_) | Expect::GrewTimes { .. });
    let hold = match (raw.once, raw.now) {
        (None, None) if happened => Hold::Once,
        (None, None) => Hold::Now,
        (Some(true), None) => Hold::Once,
        (None, Some(true)) => Hold::Now,
        _ => return Err("write once = true or now = true, not both, and never false".to_string()),
    };
    Ok(Check { subject, expect, tolerance, hold, line })
}

fn subject(raw: &RawCheck) -> Result<Subject, String> {
    let kinds = [&raw.cgroup, &raw.file, &raw.proc, &raw.ns, &raw.mount, &raw.sysctl, &raw.cap];
    let kinds = kinds.into_iter().chain([&raw.net, &raw.container, &raw.sh]);
    if kinds.filter(|kind| kind.is_some()).count() != 1 {
        return Err(
            "a check has exactly one of cgroup, file, proc, ns, mount, sysctl, cap, net, container, sh".to_string()
        );
    }
    let key = raw.key.clone();
    let process = || raw.of.as_deref().map_or(Ok(Process::Shell), str::parse);
    let subject = if let Some(path) = &raw.cgroup {
        if path.starts_with('/') || path.split('/').any(|part| part == "..") {
            return Err(format!("cgroup = {path:?}: a path below $CG, without .."));
        }
        Subject::Cgroup { path: path.clone(), key }
    } else if let Some(path) = &raw.file {
        let of = raw.of.as_deref().map(str::parse).transpose()?;
        Subject::File { path: path.clone(), key, of }
    } else if let Some(file) = &raw.proc {
        Subject::Proc { file: file.clone(), key, of: process()? }
    } else if let Some(kind) = &raw.ns {
        let known = ["cgroup", "ipc", "mnt", "net", "pid", "pid_for_children", "time", "user", "uts"];
        if !known.contains(&kind.as_str()) {
            return Err(format!("there is no namespace {kind:?}: one of {}", known.join(", ")));
        }
        Subject::Namespace { kind: kind.clone(), of: process()? }
    } else if let Some(point) = &raw.mount {
        let field = raw.field.as_deref().map_or(Ok(MountField::Fstype), str::parse)?;
        Subject::Mount { point: point.clone(), field, of: process()? }
    } else if let Some(name) = &raw.sysctl {
        Subject::Sysctl { name: name.clone() }
    } else if let Some(name) = &raw.cap {
        let cap = name.to_ascii_uppercase().parse().map_err(|_| format!("unknown capability {name:?}"))?;
        let set = raw.set.as_deref().map_or(Ok(CapSet::Effective), str::parse)?;
        Subject::Cap { cap, set, of: process()? }
    } else if let Some(what) = &raw.net {
        Subject::Net { what: Net::parse(what, raw.field.as_deref())?, of: process()? }
    } else if let Some(id) = &raw.container {
        let field = raw.field.as_deref().map_or(Ok(ContainerField::Status), str::parse)?;
        Subject::Container { id: id.clone(), field }
    } else {
        Subject::Shell { script: raw.sh.clone().expect("exactly one kind is given") }
    };
    misplaced(raw, &subject)?;
    Ok(subject)
}

/// Refuses a qualifier that the subject does not have.
fn misplaced(raw: &RawCheck, subject: &Subject) -> Result<(), String> {
    let keyed = matches!(subject, Subject::Cgroup { .. } | Subject::File { .. } | Subject::Proc { .. });
    let owned = matches!(
        subject,
        Subject::File { .. }
            | Subject::Proc { .. }
            | Subject::Namespace { .. }
            | Subject::Mount { .. }
            | Subject::Net { .. }
            | Subject::Cap { .. }
    );
    let fielded = matches!(subject, Subject::Mount { .. } | Subject::Net { .. } | Subject::Container { .. });
    let stray = [
        ("key", raw.key.is_some() && !keyed, "cgroup, file and proc"),
        ("of", raw.of.is_some() && !owned, "file, proc, ns, mount, net and cap"),
        ("set", raw.set.is_some() && !matches!(subject, Subject::Cap { .. }), "cap"),
        ("field", raw.field.is_some() && !fielded, "mount, net and container"),
    ];
    match stray.iter().find(|(_, stray, _)| *stray) {
        Some((name, _, kinds)) => Err(format!("{name} belongs to checks of kind {kinds}")),
        None => Ok(()),
    }
}

fn expect(raw: &RawCheck, subject: &Subject) -> Result<Expect, String> {
    let text = |scalar: &Option<Scalar>| scalar.as_ref().map(|scalar| scalar.0.clone());
    if raw.exists == Some(false) || raw.absent == Some(false) {
        return Err("write exists = true or absent = true, never false".to_string());
    }
    if raw.than.is_some() != raw.grew_times.is_some() {
        return Err("grew_times and than belong together: grew_times = 4, than = \"low/cpu.stat\"".to_string());
    }
    let mut found = Vec::new();
    match (text(&raw.ge), text(&raw.le)) {
        (Some(low), Some(high)) => found.push(Expect::Between(low, high)),
        (low, high) => {
            found.extend(low.map(Expect::Ge));
            found.extend(high.map(Expect::Le));
        }
    }
    found.extend(text(&raw.eq).map(Expect::Eq));
    found.extend(text(&raw.ne).map(Expect::Ne));
    found.extend(text(&raw.grew).map(Expect::Grew));
    if let (Some(factor), Some(than)) = (text(&raw.grew_times), raw.than.clone()) {
        found.push(Expect::GrewTimes { factor, than });
    }
    found.extend(raw.exists.map(|_| Expect::Exists));
    found.extend(raw.absent.map(|_| Expect::Absent));
    found.extend(raw.same_as.clone().map(Expect::SameAs));
    found.extend(raw.differs.clone().map(Expect::Differs));
    if let Some(pattern) = &raw.matches {
        let regex = regex_lite::Regex::new(pattern).map_err(|error| format!("matches = {pattern:?}: {error}"))?;
        found.push(Expect::Matches(Pattern(regex)));
    }
    if found.is_empty() && matches!(subject, Subject::Shell { .. }) {
        found.push(Expect::Succeeds);
    }
    let ([_], Some(expect)) = (found.as_slice(), found.first().cloned()) else {
        return Err(
            "a check has exactly one of eq, ne, ge, le (or ge with le), grew, grew_times, exists, absent, matches, same_as, differs"
                .to_string(),
        );
    };
    fits(&expect, subject)?;
    Ok(expect)
}

/// Refuses an expectation that the subject cannot meet.
fn fits(expect: &Expect, subject: &Subject) -> Result<(), String> {
    match expect {
        Expect::SameAs(other) | Expect::Differs(other) | Expect::GrewTimes { than: other, .. } => {
            if matches!(subject, Subject::Shell { .. }) {
                return Err("an sh check has no other place to compare with".to_string());
            }
            subject.elsewhere(other).map(|_| ())
        }
        Expect::Exists | Expect::Absent => match subject {
            Subject::Shell { .. } => {
                Err("an sh check cannot exist or be absent: use test -e in the script".to_string())
            }
            _ => Ok(()),
        },
        _ => match subject {
            Subject::Cap { .. } => Err("a cap check is exists, absent, same_as or differs".to_string()),
            _ => Ok(()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::{RawCheck, check};
    use crate::lab::check::{Check, Expect, Hold, Process, Subject};

    fn parse(text: &str) -> Result<Check, String> {
        let raw: RawCheck = toml::from_str(&text.replace(", ", "\n")).map_err(|error| error.message().to_string())?;
        check(&raw, 1)
    }

    #[test]
    fn every_kind_can_be_written() {
        for text in [
            "cgroup = 'memory.max', eq = '64M'",
            "cgroup = 'app', exists = true",
            "cgroup = 'cpu.stat', key = 'usage_usec', grew_times = 4, than = 'low/cpu.stat', tolerance = '20%'",
            "file = '/proc/meminfo', key = 'MemTotal', ge = 1000",
            "file = '/etc/colour', of = 'container:web', eq = 'red'",
            "proc = 'oom_score_adj', of = 'cgroup:app', eq = -997",
            "ns = 'net', of = 'shell', differs = 'runner'",
            "mount = '/proc', of = 'cgroup:app', field = 'fstype', eq = 'proc'",
            "sysctl = 'kernel.pid_max', ge = 1, le = 9",
            "cap = 'cap_net_admin', set = 'bounding', absent = true",
            "net = 'link eth0', of = 'container:web', field = 'kind', eq = 'veth'",
            "net = 'ping 10.0.0.1', of = 'any', exists = true",
            "container = 'web', eq = 'running'",
            "container = 'web', field = 'spec.process.args.0', eq = 'sh'",
            "sh = 'true'",
            "sh = 'id -u', matches = '^0$', once = true",
        ] {
            parse(text).unwrap_or_else(|reason| panic!("{text}: {reason}"));
        }
    }

    #[test]
    fn the_process_is_the_learners_shell_unless_said_otherwise() {
        let parsed = parse("ns = 'net', differs = 'runner'").expect("a check");
        assert_eq!(parsed.subject, Subject::Namespace { kind: "net".to_string(), of: Process::Shell });
        assert_eq!(parsed.hold, Hold::Now);
        assert!(matches!(parse("sh = 'true'").expect("a check").expect, Expect::Succeeds));
    }

    #[test]
    fn the_impossible_is_refused_with_the_remedy() {
        let cases = [
            ("eq = 1", "a check has exactly one of cgroup, file"),
            ("cgroup = 'a', file = 'b', eq = 1", "a check has exactly one of cgroup, file"),
            ("cgroup = 'a'", "a check has exactly one of eq, ne"),
            ("cgroup = 'a', eq = 1, ne = 2", "a check has exactly one of eq, ne"),
            ("cgroup = '../a', exists = true", "cgroup = \"../a\": a path below $CG"),
            ("cgroup = 'a', exists = false", "write exists = true"),
            ("cgroup = 'a', of = 'shell', exists = true", "of belongs to checks of kind file, proc"),
            ("cgroup = 'a', eq = 1, once = false", "write once = true"),
            ("cgroup = 'a', matches = '('", "matches = \"(\""),
            ("cgroup = 'a', grew = 1, tolerance = '10%'", "a tolerance belongs to"),
            ("cgroup = 'a', grew_times = 2", "grew_times and than belong together"),
            ("ns = 'network', differs = 'runner'", "there is no namespace \"network\""),
            ("ns = 'net', differs = 'init'", "\"init\" names no process"),
            ("cap = 'cap_fly', exists = true", "unknown capability \"cap_fly\""),
            ("cap = 'cap_kill', eq = 1", "a cap check is exists"),
            ("net = 'eth0', eq = 'up'", "net = \"eth0\": write link NAME"),
            ("container = 'web', of = 'shell', eq = 'running'", "of belongs to checks of kind file, proc"),
            ("container = 'web', field = 'state', eq = 'running'", "a container has no \"state\""),
            ("cgroup = 'a', field = 'state', eq = 1", "field belongs to checks of kind mount, net and container"),
            ("sh = 'true', exists = true", "an sh check cannot exist"),
            ("cgroup = 'a', eq = true", "invalid type: boolean"),
        ];
        for (text, expected) in cases {
            let found = parse(text).err().unwrap_or_else(|| panic!("{text} is accepted"));
            assert!(found.starts_with(expected), "{text}\nexpected: {expected}\nfound:    {found}");
        }
    }
}
