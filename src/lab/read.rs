//! Reading a check's subject from the kernel's files: where it stands and what it says, or why there is nothing.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};

use super::check::{MountField, Process, Subject};
use super::container;
use super::processes;
use super::script::{Values, fill};
use crate::sys::begin_unblocked;

/// Where a lab plays: what `$CG`, the learner's shell and relative paths mean.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// The lab's cgroup; `None` if the lab asks for none.
    pub cgroup: Option<PathBuf>,
    /// The directory of the run, by which its processes are known.
    pub run: PathBuf,
    /// The directory in which the lab's shell starts.
    pub work: PathBuf,
    /// The process id of the learner's shell.
    pub shell: Option<i32>,
    /// The values of the lab's variables.
    pub values: Values,
    /// The environment of scripts, beside the runner's own.
    pub env: BTreeMap<String, String>,
}

/// What was found at one place.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The place, as a learner can type it: `$CG/memory.max`, `/proc/12/status`.
    pub place: String,
    /// What it says.
    pub value: Result<String, Missing>,
}

/// Why there is no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// No such file.
    File,
    /// The file has no line that begins with this word.
    Key(String),
    /// There is no such process.
    Process,
    /// Nothing is mounted there.
    Mount,
    /// The capability is not in the set.
    NotInSet,
    /// There is no such container.
    Container,
    /// A program that was asked has nothing to show: no such link, address, route or rule, or no answer.
    Nothing,
    /// The script left with this exit status (`None`: killed, or it took too long).
    Status(Option<i32>),
    /// The kernel refused to show it.
    Refused(String),
}

/// Reads a subject. Several processes in one cgroup give several answers; there is always at least one.
pub fn read(subject: &Subject, scope: &Scope) -> Vec<Found> {
    let fill = |text: &str| fill(text, &scope.values);
    match subject {
        Subject::Cgroup { path, key } => {
            let path = fill(path);
            let place = format!("$CG/{path}");
            let value = match &scope.cgroup {
                Some(cgroup) => content(&cgroup.join(&path), key.as_deref()),
                None => Err(Missing::File),
            };
            vec![Found { place: with_key(place, key), value }]
        }
        Subject::File { path, key, of: None } => {
            let path = fill(path);
            let value = content(&scope.work.join(&path), key.as_deref());
            vec![Found { place: with_key(path, key), value }]
        }
        Subject::File { path, key, of: Some(of) } => each(of, scope, |pid| {
            let path = fill(path);
            let value = inside(pid, &path, OFlags::RDONLY).and_then(|mut file| {
                let mut text = String::new();
                file.read_to_string(&mut text).map_err(missing)?;
                chosen(&text, key.as_deref())
            });
            Found { place: with_key(format!("/proc/{pid}/root/{}", path.trim_start_matches('/')), key), value }
        }),
        Subject::Sysctl { name } => {
            let path = format!("/proc/sys/{}", fill(name).replace('.', "/"));
            vec![Found { value: content(Path::new(&path), None), place: path }]
        }
        Subject::Proc { file, key, of } => each(of, scope, |pid| {
            let path = format!("/proc/{pid}/{file}");
            Found { value: content(Path::new(&path), key.as_deref()), place: with_key(path, key) }
        }),
        Subject::Namespace { kind, of } => each(of, scope, |pid| {
            let place = format!("/proc/{pid}/ns/{kind}");
            let link = fs::read_link(&place).map(|link| link.to_string_lossy().into_owned());
            Found { value: link.map_err(missing), place }
        }),
        Subject::Mount { point, field, of } => {
            // joining an absolute path gives that path
            let point = scope.work.join(fill(point)).display().to_string();
            each(of, scope, |pid| {
                let path = format!("/proc/{pid}/mountinfo");
                let text = fs::read_to_string(&path).map_err(missing);
                let value = text.and_then(|text| mount_field(&text, &point, *field).ok_or(Missing::Mount));
                Found { place: format!("{path} ({point})"), value }
            })
        }
        Subject::Cap { cap, set, of } => each(of, scope, |pid| {
            let path = format!("/proc/{pid}/status");
            let value = content(Path::new(&path), Some(set.status_key())).and_then(|hex| {
                let bits = u64::from_str_radix(&hex, 16).map_err(|error| Missing::Refused(error.to_string()))?;
                if bits & cap.bitmask() == 0 { Err(Missing::NotInSet) } else { Ok(cap.to_string()) }
            });
            Found { place: format!("{path} ({})", set.status_key()), value }
        }),
        Subject::Net { what, of } => {
            let what = what.about(fill(what.text()));
            let (place, pids) = pids(of, scope);
            match pids.is_empty() {
                true => vec![Found { place, value: Err(Missing::Process) }],
                false => pids.into_iter().flat_map(|pid| what.read(pid)).collect(),
            }
        }
        Subject::Container { id, field } => vec![container::read(&fill(id), field, scope)],
        Subject::Shell { script } => vec![Found { place: script.clone(), value: shell(script, scope) }],
    }
}

/// Whether the file or directory of a subject without a key is there; it need not be readable (`cgroup.kill` is not).
pub fn exists(subject: &Subject, scope: &Scope) -> Vec<Found> {
    let there = |path: &Path| fs::symlink_metadata(path).map(|_| String::new()).map_err(missing);
    match subject {
        Subject::Cgroup { path, key: None } => {
            let path = fill(path, &scope.values);
            let value = scope.cgroup.as_ref().map_or(Err(Missing::File), |cgroup| there(&cgroup.join(&path)));
            vec![Found { place: format!("$CG/{path}"), value }]
        }
        Subject::File { path, key: None, of: None } => {
            let path = fill(path, &scope.values);
            vec![Found { value: there(&scope.work.join(&path)), place: path }]
        }
        Subject::File { path, key: None, of: Some(of) } => each(of, scope, |pid| {
            let path = fill(path, &scope.values);
            let value = inside(pid, &path, OFlags::PATH | OFlags::NOFOLLOW).map(|_| String::new());
            Found { place: format!("/proc/{pid}/root/{}", path.trim_start_matches('/')), value }
        }),
        _ => read(subject, scope),
    }
}

fn with_key(place: String, key: &Option<String>) -> String {
    match key {
        Some(key) => format!("{place} ({key})"),
        None => place,
    }
}

/// Asks each process that is meant.
fn each(of: &Process, scope: &Scope, ask: impl Fn(i32) -> Found) -> Vec<Found> {
    let (place, pids) = pids(of, scope);
    if pids.is_empty() {
        return vec![Found { place, value: Err(Missing::Process) }];
    }
    pids.into_iter().map(ask).collect()
}

/// The processes that are meant, and where they are named.
fn pids(of: &Process, scope: &Scope) -> (String, Vec<i32>) {
    match of {
        Process::Runner => ("/proc/self".to_string(), vec![own_pid()]),
        Process::Shell => ("$$".to_string(), scope.shell.into_iter().collect()),
        Process::Any => {
            let run = processes::of_run(&scope.run);
            ("/proc".to_string(), run.into_iter().map(|process| process.pid).collect())
        }
        Process::Pid(pid) => (format!("/proc/{pid}"), vec![*pid]),
        Process::InCgroup(path) => {
            let path = format!("{}/cgroup.procs", fill(path, &scope.values));
            let procs = scope.cgroup.as_ref().map(|cgroup| fs::read_to_string(cgroup.join(&path)));
            (format!("$CG/{path}"), numbers(procs.and_then(Result::ok).unwrap_or_default()))
        }
        Process::InFile(path) => {
            let path = fill(path, &scope.values);
            let text = fs::read_to_string(scope.work.join(&path)).unwrap_or_default();
            (path, numbers(text).into_iter().take(1).collect())
        }
        Process::InContainer(id) => {
            let id = fill(id, &scope.values);
            (format!("glassbox state {id} (pid)"), container::pid(&id, scope).into_iter().collect())
        }
    }
}

fn own_pid() -> i32 {
    rustix::process::getpid().as_raw_nonzero().get()
}

fn numbers(text: String) -> Vec<i32> {
    text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

/// Opens a file as a process names it: links, too, lead nowhere out of its root directory (openat2(2), RESOLVE_IN_ROOT).
fn inside(pid: i32, path: &str, flags: OFlags) -> Result<fs::File, Missing> {
    let root =
        fs::File::options().read(true).custom_flags(OFlags::PATH.bits() as i32).open(format!("/proc/{pid}/root"));
    let root = root.map_err(missing)?;
    let opened = openat2(&root, path, flags | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::IN_ROOT);
    opened.map(fs::File::from).map_err(|errno| missing(errno.into()))
}

/// The text of a file, or what stands on one of its lines.
fn content(path: &Path, key: Option<&str>) -> Result<String, Missing> {
    chosen(&fs::read_to_string(path).map_err(missing)?, key)
}

fn chosen(text: &str, key: Option<&str>) -> Result<String, Missing> {
    match key {
        None => Ok(text.trim().to_string()),
        Some(key) => keyed(text, key).ok_or_else(|| Missing::Key(key.to_string())),
    }
}

/// The value of a key, in each of the layouts of kernel files: `oom_kill 3`, `Name:\tsh`, `some avg10=0.00 total=7`.
fn keyed(text: &str, key: &str) -> Option<String> {
    let rest_of = |key: &str| {
        text.lines().find_map(|line| {
            let (word, rest) = line.split_once([' ', '\t', '=']).unwrap_or((line, ""));
            (word.trim_end_matches(':') == key).then_some(rest.trim())
        })
    };
    if let Some(value) = rest_of(key) {
        return Some(value.to_string());
    }
    let (line, name) = key.rsplit_once('.')?;
    let pairs = rest_of(line)?.split_whitespace().filter_map(|pair| pair.split_once('='));
    pairs.filter(|(found, _)| *found == name).map(|(_, value)| value.to_string()).next()
}

fn missing(error: io::Error) -> Missing {
    use rustix::io::Errno;
    match Errno::from_io_error(&error) {
        // A cgroup that is removed while its file is open answers ENODEV; a process that has gone, ESRCH.
        Some(Errno::NOENT | Errno::NOTDIR | Errno::NODEV | Errno::SRCH) => Missing::File,
        _ => Missing::Refused(error.to_string()),
    }
}

/// The field of the last (topmost) mount on `point`; layout of the line: proc(5), `/proc/pid/mountinfo`.
fn mount_field(mountinfo: &str, point: &str, field: MountField) -> Option<String> {
    let line = mountinfo.lines().rfind(|line| line.split(' ').nth(4).is_some_and(|at| unescape(at) == point))?;
    let (left, right) = line.split_once(" - ")?;
    let left: Vec<_> = left.split(' ').collect();
    let mut right = right.split(' ');
    Some(match field {
        MountField::Root => unescape(left[3]),
        MountField::Options => left.get(5)?.to_string(),
        MountField::Propagation => match left.get(6..).unwrap_or_default() {
            [] => "private".to_string(),
            tags => tags.join(" "),
        },
        MountField::Fstype => right.next()?.to_string(),
        MountField::Source => unescape(right.nth(1)?),
    })
}

/// Undoes the octal escapes of mountinfo (`\040` is a space).
pub(super) fn unescape(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_string(), |text, (escaped, plain)| text.replace(escaped, plain))
}

/// How long the script of an `sh` check may take.
const SCRIPT_LIMIT: Duration = Duration::from_secs(5);

fn shell(script: &str, scope: &Scope) -> Result<String, Missing> {
    let mut command = Command::new("sh");
    begin_unblocked(&mut command);
    let child = command
        .args(["-c", script])
        .current_dir(&scope.work)
        .envs(&scope.env)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child = child.map_err(|error| Missing::Refused(error.to_string()))?;
    let started = Instant::now();
    let status = loop {
        match child.try_wait().map_err(|error| Missing::Refused(error.to_string()))? {
            Some(status) => break status.code(),
            None if started.elapsed() > SCRIPT_LIMIT => break stop(&mut child),
            None => thread::sleep(Duration::from_millis(5)),
        }
    };
    if status != Some(0) {
        return Err(Missing::Status(status));
    }
    let mut text = String::new();
    let mut out = child.stdout.take().expect("stdout is piped");
    io::Read::read_to_string(&mut out, &mut text).map_err(missing)?;
    Ok(text.trim().to_string())
}

fn stop(child: &mut Child) -> Option<i32> {
    // The script may have ended in this very moment; either way there is nothing more to wait for.
    let _ = child.kill();
    let _ = child.wait();
    None
}

#[cfg(test)]
mod tests {
    use super::{Missing, Scope, exists, keyed, mount_field, read};
    use crate::lab::check::{CapSet, MountField, Process, Subject};

    #[test]
    fn keys_are_found_in_every_layout_of_the_kernel() {
        let events = "low 0\nhigh 0\noom 2\noom_kill 1\noom_group_kill 0\n";
        assert_eq!(keyed(events, "oom_kill").as_deref(), Some("1"));
        assert_eq!(keyed(events, "oom_kil"), None);
        assert_eq!(keyed("Name:\tsh\nNSpid:\t12\t1\n", "NSpid").as_deref(), Some("12\t1"));
        assert_eq!(keyed("some avg10=1.50 total=7\nfull avg10=0.00 total=0\n", "some.total").as_deref(), Some("7"));
        assert_eq!(keyed("8:0 rbytes=10 wbytes=0\n", "8:0.rbytes").as_deref(), Some("10"));
        assert_eq!(keyed("some avg10=1.50\n", "full.avg10"), None);
    }

    #[test]
    fn mountinfo_is_read_by_field() {
        let text = "\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:20 / /proc rw,nosuid - proc proc rw
40 22 0:30 /sub /my\\040dir ro master:3 - tmpfs none rw
41 22 0:31 / /proc rw - tmpfs covered rw
";
        let field = |point, field| mount_field(text, point, field);
        assert_eq!(field("/", MountField::Propagation).as_deref(), Some("shared:1"));
        assert_eq!(field("/my dir", MountField::Root).as_deref(), Some("/sub"));
        assert_eq!(field("/my dir", MountField::Options).as_deref(), Some("ro"));
        assert_eq!(field("/proc", MountField::Fstype).as_deref(), Some("tmpfs"));
        assert_eq!(field("/proc", MountField::Source).as_deref(), Some("covered"));
        assert_eq!(field("/proc", MountField::Propagation).as_deref(), Some("private"));
        assert_eq!(field("/sys", MountField::Fstype), None);
    }

    #[test]
    fn every_kind_is_read_from_the_running_machine() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(dir.path().join("app")).expect("a directory");
        std::fs::write(dir.path().join("app/memory.max"), "max\n").expect("a file");
        std::fs::write(dir.path().join("me.pid"), std::process::id().to_string()).expect("a file");
        let scope = Scope {
            cgroup: Some(dir.path().to_path_buf()),
            work: dir.path().to_path_buf(),
            env: [("GREETING".to_string(), "hello".to_string())].into(),
            ..Scope::default()
        };
        let one = |subject: Subject| read(&subject, &scope).remove(0);

        let found = one(Subject::Cgroup { path: "app/memory.max".into(), key: None });
        assert_eq!((found.place.as_str(), found.value), ("$CG/app/memory.max", Ok("max".to_string())));
        let found = one(Subject::Cgroup { path: "app/memory.high".into(), key: None });
        assert_eq!(found.value, Err(Missing::File));
        let found =
            one(Subject::Proc { file: "status".into(), key: Some("Pid".into()), of: Process::InFile("me.pid".into()) });
        assert_eq!(found.value, Ok(std::process::id().to_string()));
        let found = one(Subject::Namespace { kind: "net".into(), of: Process::Runner });
        assert!(found.value.expect("a namespace").starts_with("net:["));
        let found = one(Subject::Mount { point: "/proc".into(), field: MountField::Fstype, of: Process::Runner });
        assert_eq!(found.value, Ok("proc".to_string()));
        let found = one(Subject::Sysctl { name: "kernel.ostype".into() });
        assert_eq!(found.value, Ok("Linux".to_string()));
        let found = one(Subject::Cap { cap: caps::Capability::CAP_KILL, set: CapSet::Ambient, of: Process::Runner });
        assert_eq!(found.value, Err(Missing::NotInSet));
        let link = |name: &str| Subject::File {
            path: dir.path().join(name).display().to_string(),
            key: None,
            of: Some(Process::Runner),
        };
        std::os::unix::fs::symlink("app/memory.max", dir.path().join("link")).expect("a link");
        assert_eq!(one(link("link")).value, Ok("max".to_string()));
        assert!(exists(&link("link"), &scope)[0].value.is_ok());
        assert_eq!(one(link("nothing")).value, Err(Missing::File));
        assert_eq!(one(Subject::Shell { script: "echo $GREETING".into() }).value, Ok("hello".to_string()));
        assert_eq!(one(Subject::Shell { script: "exit 3".into() }).value, Err(Missing::Status(Some(3))));
        let found = one(Subject::Proc { file: "status".into(), key: None, of: Process::Shell });
        assert_eq!(found.value, Err(Missing::Process));
        assert!(exists(&Subject::Cgroup { path: "app".into(), key: None }, &scope)[0].value.is_ok());
    }
}
