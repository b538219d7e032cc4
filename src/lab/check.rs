//! What a lab may ask of the kernel: a subject (which file), an expectation (which value), and when it must hold.
//!
//! A check is data. It is read by [`super::read`], decided by [`super::judge`] and told by [`super::say`]; a kind that is
//! not in these enums cannot be written in a lab, and the front matter is refused with the line that tries.

use std::fmt;
use std::str::FromStr;

use super::container::ContainerField;
use super::net::Net;
use super::quantity::Tolerance;
use super::script::{Values, fill};

/// One thing that must be seen before a step is done (or, for a slip, before its words are said).
#[derive(Debug, Clone)]
pub struct Check {
    /// Where to look.
    pub subject: Subject,
    /// What to find there.
    pub expect: Expect,
    /// How far a number may be off.
    pub tolerance: Option<Tolerance>,
    /// Whether having been seen is enough.
    pub hold: Hold,
    /// The line of `lab.md` on which it stands.
    pub line: usize,
}

/// Whether a check, once seen to hold, may cease to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// It happened: seen once is enough.
    Once,
    /// It is true: it must hold together with the step's other checks.
    Now,
}

/// What is looked at. Paths and texts may name the lab's variables (`$limit`).
#[derive(Debug, Clone, PartialEq)]
pub enum Subject {
    /// A file (or, to exist or not, a directory) below `$CG`: `app/memory.events`, key `oom_kill`.
    Cgroup {
        /// Path below `$CG`.
        path: String,
        /// First word of the line that is meant, or `some.avg10` in a nested-keyed file (cgroup-v2.rst, "Interface Files").
        key: Option<String>,
    },
    /// Any file, by absolute path or below the directory in which the lab's shell starts.
    File {
        /// The path.
        path: String,
        /// First word of the line that is meant.
        key: Option<String>,
        /// Whose root directory the path begins at; the machine's where nobody is named.
        of: Option<Process>,
    },
    /// A file of `/proc/PID` (proc(5)).
    Proc {
        /// Name below `/proc/PID`, such as `status` or `oom_score_adj`.
        file: String,
        /// First word of the line that is meant.
        key: Option<String>,
        /// Whose.
        of: Process,
    },
    /// The identity of a namespace, `net:[4026531840]` (namespaces(7)).
    Namespace {
        /// Name below `/proc/PID/ns`.
        kind: String,
        /// Whose.
        of: Process,
    },
    /// A mount point in `/proc/PID/mountinfo` (proc(5)).
    Mount {
        /// Where it is mounted: an absolute path, or one below the directory in which the lab's shell starts.
        point: String,
        /// Which of its properties.
        field: MountField,
        /// In whose mount namespace.
        of: Process,
    },
    /// A kernel parameter by its dotted name (sysctl(8)).
    Sysctl {
        /// Such as `kernel.pid_max`.
        name: String,
    },
    /// Whether a capability stands in one of a process's sets (capabilities(7)).
    Cap {
        /// The capability.
        cap: caps::Capability,
        /// The set.
        set: CapSet,
        /// Whose.
        of: Process,
    },
    /// Something of a network namespace.
    Net {
        /// What is asked.
        what: Net,
        /// In whose network namespace.
        of: Process,
    },
    /// Something of a container.
    Container {
        /// Its id.
        id: String,
        /// What is asked.
        field: ContainerField,
    },
    /// The escape hatch: the standard output of a shell script, and whether it succeeds.
    Shell {
        /// The script, for `sh -c`.
        script: String,
    },
}

/// What a subject must show.
#[derive(Debug, Clone)]
pub enum Expect {
    /// Equal: as a number (within the tolerance) or word for word.
    Eq(String),
    /// Present and not equal.
    Ne(String),
    /// A number, at least this.
    Ge(String),
    /// A number, at most this.
    Le(String),
    /// A number from the first to the second, both included.
    Between(String, String),
    /// A counter that rose by at least this much since the step was entered.
    Grew(String),
    /// A counter that, over the last seconds, rose this many times as much as the same counter of another path.
    GrewTimes {
        /// The factor.
        factor: String,
        /// The other path (or process).
        than: String,
    },
    /// There is such a file, key, mount or capability.
    Exists,
    /// There is none.
    Absent,
    /// Some part of it fits the regular expression.
    Matches(Pattern),
    /// The same as that of another path or process.
    SameAs(String),
    /// Present there and here, and different.
    Differs(String),
    /// The script's exit status is 0 (the expectation of an `sh` check that names none).
    Succeeds,
}

/// A regular expression that remembers how it was written.
#[derive(Debug, Clone)]
pub struct Pattern(pub regex_lite::Regex);

impl Pattern {
    /// The expression with the variables' values in it, each taken word for word: `$limit` is no end of a line.
    pub fn filled(&self, values: &Values) -> Pattern {
        let escaped: Values = values.iter().map(|(name, value)| (name.clone(), regex_lite::escape(value))).collect();
        let text = fill(self.0.as_str(), &escaped);
        // What was an expression before stays one when texts without special characters come into it.
        regex_lite::Regex::new(&text).map_or_else(|_| self.clone(), Pattern)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

/// A process that a check means, written as `runner`, `shell`, `any`, `pid:1`, `cgroup:app`, `file:app.pid` or
/// `container:web`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Process {
    /// The program that watches: it stands in the machine's own namespaces.
    Runner,
    /// The learner's shell.
    Shell,
    /// Any process that the learner started, and the shell itself; a check holds if it holds for one of them.
    Any,
    /// By number.
    Pid(i32),
    /// Any process in a cgroup below `$CG`; a check holds if it holds for one of them.
    InCgroup(String),
    /// The number in a file.
    InFile(String),
    /// The first process of a container.
    InContainer(String),
}

impl FromStr for Process {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            None if text == "runner" => Ok(Process::Runner),
            None if text == "shell" => Ok(Process::Shell),
            None if text == "any" => Ok(Process::Any),
            Some(("pid", pid)) => pid.parse().map(Process::Pid).map_err(|_| format!("{pid:?} is no process id")),
            Some(("cgroup", path)) => Ok(Process::InCgroup(path.to_string())),
            Some(("file", path)) => Ok(Process::InFile(path.to_string())),
            Some(("container", id)) => Ok(Process::InContainer(id.to_string())),
            _ => Err(format!(
                "{text:?} names no process: write runner, shell, any, pid:N, cgroup:PATH, file:PATH or container:ID"
            )),
        }
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Process::Runner => write!(f, "runner"),
            Process::Shell => write!(f, "shell"),
            Process::Any => write!(f, "any"),
            Process::Pid(pid) => write!(f, "pid:{pid}"),
            Process::InCgroup(path) => write!(f, "cgroup:{path}"),
            Process::InFile(path) => write!(f, "file:{path}"),
            Process::InContainer(id) => write!(f, "container:{id}"),
        }
    }
}

/// A field of a line of mountinfo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MountField {
    /// The type of the file system: `proc`.
    Fstype,
    /// What is mounted: `tmpfs`, `/dev/vda1`.
    Source,
    /// Per-mount options: `rw,nosuid`.
    Options,
    /// The directory of the file system that forms the root of this mount.
    Root,
    /// `shared:1`, `master:1` or `private`.
    Propagation,
}

impl FromStr for MountField {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "fstype" => Ok(MountField::Fstype),
            "source" => Ok(MountField::Source),
            "options" => Ok(MountField::Options),
            "root" => Ok(MountField::Root),
            "propagation" => Ok(MountField::Propagation),
            other => Err(format!("a mount has no {other:?}: write fstype, source, options, root or propagation")),
        }
    }
}

/// A capability set, with its line in `/proc/PID/status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CapSet {
    /// `CapInh`
    Inheritable,
    /// `CapPrm`
    Permitted,
    /// `CapEff`
    Effective,
    /// `CapBnd`
    Bounding,
    /// `CapAmb`
    Ambient,
}

impl CapSet {
    /// The first word of the set's line in `/proc/PID/status`.
    pub fn status_key(self) -> &'static str {
        match self {
            CapSet::Inheritable => "CapInh",
            CapSet::Permitted => "CapPrm",
            CapSet::Effective => "CapEff",
            CapSet::Bounding => "CapBnd",
            CapSet::Ambient => "CapAmb",
        }
    }
}

impl FromStr for CapSet {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "inheritable" => Ok(CapSet::Inheritable),
            "permitted" => Ok(CapSet::Permitted),
            "effective" => Ok(CapSet::Effective),
            "bounding" => Ok(CapSet::Bounding),
            "ambient" => Ok(CapSet::Ambient),
            other => Err(format!(
                "there is no capability set {other:?}: write inheritable, permitted, effective, bounding or ambient"
            )),
        }
    }
}

impl Subject {
    /// The same kind of subject at another place: what `same_as`, `differs` and `than` compare with.
    ///
    /// # Errors
    /// If `other` names no process where the subject belongs to one, or if the subject has no place (`sh`).
    pub fn elsewhere(&self, other: &str) -> Result<Subject, String> {
        let mut there = self.clone();
        match &mut there {
            Subject::Cgroup { path, .. } | Subject::File { path, .. } => *path = other.to_string(),
            Subject::Sysctl { name } => *name = other.to_string(),
            Subject::Proc { of, .. }
            | Subject::Namespace { of, .. }
            | Subject::Mount { of, .. }
            | Subject::Net { of, .. }
            | Subject::Cap { of, .. } => *of = other.parse()?,
            Subject::Container { id, .. } => *id = other.to_string(),
            Subject::Shell { script } => *script = other.to_string(),
        }
        Ok(there)
    }

    /// Every text of the subject in which variables may stand.
    pub fn texts(&self) -> Vec<&str> {
        fn of_process(of: &Process) -> Vec<&str> {
            match of {
                Process::InCgroup(path) | Process::InFile(path) | Process::InContainer(path) => vec![path],
                Process::Runner | Process::Shell | Process::Any | Process::Pid(_) => vec![],
            }
        }
        match self {
            Subject::Cgroup { path, .. } => vec![path],
            Subject::File { path, of, .. } => [vec![path.as_str()], of.as_ref().map_or(vec![], of_process)].concat(),
            Subject::Sysctl { name } => vec![name],
            Subject::Proc { of, .. } | Subject::Namespace { of, .. } | Subject::Cap { of, .. } => of_process(of),
            Subject::Mount { point, of, .. } => [vec![point.as_str()], of_process(of)].concat(),
            Subject::Net { what, of } => [vec![what.text()], of_process(of)].concat(),
            Subject::Container { id, .. } => vec![id],
            Subject::Shell { .. } => vec![],
        }
    }

    /// Whether the place of an answer is a command and not a file.
    pub fn is_command(&self) -> bool {
        match self {
            Subject::Shell { .. } | Subject::Net { .. } => true,
            Subject::Container { field, .. } => !matches!(field, ContainerField::Spec(_)),
            Subject::Cgroup { .. } | Subject::File { .. } | Subject::Proc { .. } | Subject::Namespace { .. } => false,
            Subject::Mount { .. } | Subject::Sysctl { .. } | Subject::Cap { .. } => false,
        }
    }

    /// Whether the subject lies below `$CG`.
    pub fn needs_cgroup(&self) -> bool {
        match self {
            Subject::Cgroup { .. } => true,
            Subject::Proc { of, .. }
            | Subject::Namespace { of, .. }
            | Subject::Mount { of, .. }
            | Subject::Net { of, .. }
            | Subject::Cap { of, .. } => matches!(of, Process::InCgroup(_)),
            Subject::Shell { script } => script.contains("$CG"),
            Subject::File { path, of, .. } => path.contains("$CG") || matches!(of, Some(Process::InCgroup(_))),
            Subject::Sysctl { .. } | Subject::Container { .. } => false,
        }
    }
}

impl Expect {
    /// Every text of the expectation in which variables may stand.
    pub fn texts(&self) -> Vec<&str> {
        match self {
            Expect::Eq(text) | Expect::Ne(text) | Expect::Ge(text) | Expect::Le(text) | Expect::Grew(text) => {
                vec![text]
            }
            Expect::SameAs(text) | Expect::Differs(text) => vec![text],
            Expect::Between(low, high) => vec![low, high],
            Expect::GrewTimes { factor, than } => vec![factor, than],
            Expect::Matches(pattern) => vec![pattern.0.as_str()],
            Expect::Exists | Expect::Absent | Expect::Succeeds => vec![],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Process, Subject};

    #[test]
    fn a_process_is_written_as_it_is_shown() {
        for text in ["runner", "shell", "any", "pid:1", "cgroup:app", "file:app.pid", "container:web"] {
            assert_eq!(text.parse::<Process>().expect("a process").to_string(), text);
        }
        for text in ["", "init", "pid:x", "cgroup"] {
            assert!(text.parse::<Process>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn elsewhere_moves_the_place_and_keeps_the_rest() {
        let here = Subject::Cgroup { path: "a/cpu.stat".into(), key: Some("usage_usec".into()) };
        let there = here.elsewhere("b/cpu.stat").expect("a path");
        assert_eq!(there, Subject::Cgroup { path: "b/cpu.stat".into(), key: Some("usage_usec".into()) });
        let here = Subject::Namespace { kind: "net".into(), of: Process::Shell };
        assert!(here.elsewhere("nobody").is_err());
    }
}
