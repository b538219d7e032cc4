//! The processes of a machine as /proc shows them (proc(5)): their namespaces, their cgroup, and the files that two of
//! them are compared by. What may not be read is told as such, never left out.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::thread;

use rustix::io::Errno;
use rustix::system::uname;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde::Serialize;

use crate::cgroup::stat::Stat;
use crate::sys;

/// A kind of namespace, by the name of its file in `/proc/PID/ns`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Kind {
    Mnt,
    Pid,
    Net,
    Ipc,
    Uts,
    User,
    Cgroup,
    Time,
}

/// One process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its id, as this /proc counts.
    pub pid: i32,
    /// `comm`: its name, at most 15 bytes, chosen by itself.
    pub name: String,
    /// Whether it is a thread of the kernel.
    pub kernel: bool,
    /// Path of its cgroup in the v2 hierarchy, from this process's cgroup namespace; `None` without cgroup v2.
    pub cgroup: Option<String>,
    /// The number of each of its namespaces; empty where we may not look (ptrace(2), PTRACE_MODE_READ).
    pub namespaces: BTreeMap<Kind, u64>,
}

/// What one process is compared by: texts of its files, and what they do not tell.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// The process itself.
    pub process: Process,
    /// The files of `/proc/PID` named in [`FILES`], or why one could not be read.
    pub files: BTreeMap<&'static str, Result<String, String>>,
    /// The host name that it sees, or why it could not be asked.
    pub hostname: Result<String, String>,
    /// Its cgroup's counters and limits, where they could be read.
    pub stat: Option<Stat>,
}

/// The files of `/proc/PID` that two processes are compared by.
pub const FILES: &[&str] = &[
    "status",
    "cmdline",
    "uid_map",
    "gid_map",
    "limits",
    "mountinfo",
    "net/dev",
    "oom_score_adj",
    "timens_offsets",
    "attr/current",
];

impl Kind {
    /// Every kind, in the order in which they are told.
    pub const ALL: [Kind; 8] =
        [Kind::Mnt, Kind::Pid, Kind::Net, Kind::Ipc, Kind::Uts, Kind::User, Kind::Cgroup, Kind::Time];

    /// Its name, as in `/proc/PID/ns`.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Mnt => "mnt",
            Kind::Pid => "pid",
            Kind::Net => "net",
            Kind::Ipc => "ipc",
            Kind::Uts => "uts",
            Kind::User => "user",
            Kind::Cgroup => "cgroup",
            Kind::Time => "time",
        }
    }
}

/// Every process that the proc file system mounted on `proc` shows, by id.
///
/// # Errors
/// Where `proc` cannot be listed.
pub fn all(proc: &Path) -> io::Result<Vec<Process>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(proc)? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        // It may end between the listing and the look.
        if let Ok(process) = one(proc, pid) {
            found.push(process);
        }
    }
    found.sort_by_key(|process: &Process| process.pid);
    Ok(found)
}

/// One process.
///
/// # Errors
/// Where there is no such process: ENOENT or ESRCH.
pub fn one(proc: &Path, pid: i32) -> io::Result<Process> {
    let directory = proc.join(pid.to_string());
    let stat = read(&directory.join("stat"))?;
    let (name, kernel) =
        name_and_kernel(&stat).ok_or_else(|| io::Error::other("/proc/PID/stat is of no known form"))?;
    let cgroup = read(&directory.join("cgroup")).ok().and_then(|text| unified(&text));
    let number = |kind: Kind| {
        let link = fs::read_link(directory.join("ns").join(kind.word())).ok()?;
        link.to_str()?.split_once(":[")?.1.strip_suffix(']')?.parse().ok()
    };
    let namespaces = Kind::ALL.into_iter().filter_map(|kind| Some((kind, number(kind)?))).collect();
    Ok(Process { pid, name, kernel, cgroup, namespaces })
}

/// Reads what `pid` is compared by; its cgroup is left to the caller, who knows where the hierarchy is mounted.
///
/// # Errors
/// Where there is no such process.
pub fn facts(proc: &Path, pid: i32) -> io::Result<Facts> {
    let process = one(proc, pid)?;
    let text = |name: &str| read(&proc.join(pid.to_string()).join(name)).map_err(|cause| errno_name(&cause));
    let files = FILES.iter().map(|name| (*name, text(name))).collect();
    let hostname = hostname(&proc.join(pid.to_string()).join("ns/uts")).map_err(|cause| errno_name(&cause));
    Ok(Facts { process, files, hostname, stat: None })
}

/// The host name of a UTS namespace. No file tells it, so a thread of ours joins the namespace (setns(2) moves one thread
/// alone), asks and ends.
fn hostname(namespace: &Path) -> io::Result<String> {
    let file = File::open(namespace)?;
    let ask = move || -> io::Result<String> {
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::HostNameAndNISDomainName))?;
        Ok(uname().nodename().to_string_lossy().into_owned())
    };
    thread::spawn(ask).join().map_err(|_| io::Error::other("the thread that asked died"))?
}

/// An error of the system as its name, `EACCES`.
pub fn errno_name(error: &io::Error) -> String {
    Errno::from_io_error(error).map_or_else(
        || error.to_string(),
        |errno| {
            let told = sys::errno_name(errno.raw_os_error()).to_string();
            told.split(' ').next().unwrap_or_default().to_string()
        },
    )
}

/// File names and arguments in /proc are bytes; what is no UTF-8 is replaced.
fn read(path: &Path) -> io::Result<String> {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// From `PID (NAME) STATE PPID … FLAGS`: the name may hold anything, so fields are counted behind its last parenthesis.
fn name_and_kernel(stat: &str) -> Option<(String, bool)> {
    const PF_KTHREAD: u64 = 0x0020_0000;
    let (front, fields) = stat.rsplit_once(')')?;
    let (_, name) = front.split_once('(')?;
    // Field 9 is the seventh behind the name.
    let flags: u64 = fields.split_whitespace().nth(6)?.parse().ok()?;
    Some((name.to_string(), flags & PF_KTHREAD != 0))
}

/// The path in the line of cgroup v2: `0::/user.slice`.
fn unified(text: &str) -> Option<String> {
    text.lines().find_map(|line| line.strip_prefix("0::")).map(str::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::samples;

    #[test]
    fn a_process_is_read_from_its_files() {
        let proc = tempfile::tempdir().expect("a directory");
        samples::add(proc.path(), 12, "a) (b", "/web", Some(samples::HOST));
        samples::add(proc.path(), 2, "kthreadd", "/", None);
        fs::create_dir(proc.path().join("self")).expect("a directory");
        fs::create_dir(proc.path().join("77")).expect("a process that has just ended has no files");
        let found = all(proc.path()).expect("it can be listed");
        assert_eq!(found.iter().map(|process| process.pid).collect::<Vec<_>>(), [2, 12]);
        assert_eq!((found[0].kernel, found[0].namespaces.len()), (true, 0));
        assert_eq!(
            (found[1].name.as_str(), found[1].kernel, found[1].cgroup.as_deref()),
            ("a) (b", false, Some("/web"))
        );
        assert_eq!(found[1].namespaces[&Kind::User], 106);
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        let proc = tempfile::tempdir().expect("a directory");
        samples::add(proc.path(), 12, "sh", "/", Some(samples::HOST));
        fs::write(proc.path().join("12/uid_map"), "0 0 1\n").expect("a file");
        let facts = facts(proc.path(), 12).expect("it is there");
        assert_eq!(facts.files["uid_map"].as_deref(), Ok("0 0 1\n"));
        assert_eq!(facts.files["gid_map"].as_deref().map_err(String::as_str), Err("ENOENT"));
        assert!(facts.hostname.is_err(), "a dangling link is no namespace");
        assert_eq!(one(proc.path(), 13).expect_err("none").kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn our_own_process_has_every_namespace() {
        let own = one(Path::new("/proc"), i32::try_from(std::process::id()).expect("a pid")).expect("we live");
        assert!(own.namespaces.len() >= 7 && !own.kernel, "{own:?}");
    }
}
