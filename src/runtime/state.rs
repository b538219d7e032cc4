//! What is known of a container between two commands: a directory `<root>/<id>` with its record, a copy of its
//! config.json, and the socket on which it waits for `start`.
//!
//! The record is written before anything is done to the machine, and replaced by rename(2): whatever instant a kill -9
//! comes at, `delete --force` finds what there is to undo.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags, flock, mkdirat, openat, renameat, unlinkat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::error::RuntimeError;
use super::identity::{self, Identity};
use super::probe::in_user_namespace;
use super::shown::Shown;
use crate::cgroup::Cgroup;
use crate::spec::{Config, ContainerId};
use crate::sys::{Arg, Call, CallResult};

/// The file of the record, in the container's directory.
const RECORD: &str = "state.json";

/// The record of one container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// `ociVersion` of the config.
    pub oci_version: String,
    /// The container's id.
    pub id: String,
    /// The container's first process; none until it exists.
    pub process: Option<Identity>,
    /// Absolute path of the bundle.
    pub bundle: PathBuf,
    /// Absolute path of the rootfs.
    pub rootfs: PathBuf,
    /// When `create` began, RFC 3339.
    pub created: String,
    /// The config's annotations.
    pub annotations: BTreeMap<String, String>,
    /// User who created it.
    pub owner: u32,
    /// The container's cgroup directory.
    pub cgroup: Option<PathBuf>,
    /// The unit that systemd made it for, where systemd did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Its root was made by chroot(2): whoever joins it has to do that too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub changed_root: bool,
    /// Cgroup directories above it that are made for it, outermost first.
    pub made_cgroups: Vec<PathBuf>,
    /// What stood at the rootfs before anything was mounted there for it, where it has no mount namespace of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown: Option<Shown>,
    /// Lists of hooks that are still to be run: `poststart`, `poststop`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<String>,
}

/// The runtime specification's states, with runc's `paused`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// `create` has not come to its end.
    Creating,
    /// Waits for `start`.
    Created,
    /// The user's program runs.
    Running,
    /// The cgroup is frozen.
    Paused,
    /// The process is gone.
    Stopped,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Status::Creating => "creating",
            Status::Created => "created",
            Status::Running => "running",
            Status::Paused => "paused",
            Status::Stopped => "stopped",
        })
    }
}

/// The directory that holds the state of containers.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

/// A container's own directory in the store, locked against other commands until it is dropped.
#[derive(Debug)]
pub struct Entry {
    path: PathBuf,
    /// Holds the lock (flock(2)); also the way to a socket whose path would be too long for sockaddr_un.
    directory: File,
}

/// The name of a user, as records hold their owner; empty where there is none.
pub(super) fn user_name(uid: u32) -> String {
    // A static binary does not load the name service of the C library: /etc/passwd is what there is to ask, once for all
    // containers.
    static PASSWD: OnceLock<String> = OnceLock::new();
    let passwd = PASSWD.get_or_init(|| fs::read_to_string("/etc/passwd").unwrap_or_default());
    let is_user = |line: &&str| line.split(':').nth(2) == Some(&uid.to_string());
    passwd.lines().find(is_user).and_then(|line| line.split(':').next()).unwrap_or_default().to_string()
}

impl Store {
    /// The store in `root`; the directory is made when it is needed.
    pub fn new(root: PathBuf) -> Store {
        Store { root }
    }

    /// Where root's containers are kept, or an ordinary user's. Root of a user namespace is one of those, unless it says to be
    /// root (podman runs us so, without any flag of ours).
    pub fn default_root() -> PathBuf {
        let uid = rustix::process::geteuid();
        let ordinary = match uid.is_root() {
            true => in_user_namespace() && std::env::var_os("USER").is_none_or(|user| user != "root"),
            false => true,
        };
        let given = std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty()).map(PathBuf::from);
        // Where systemd-logind makes it, for whoever has lost the variable (sudo -u).
        let usual = || Some(PathBuf::from(format!("/run/user/{uid}"))).filter(|dir| !uid.is_root() && dir.is_dir());
        match ordinary.then(|| given.or_else(usual)).flatten() {
            Some(dir) => dir.join("glassbox"),
            None => PathBuf::from("/run/glassbox"),
        }
    }

    /// Where a container is kept, or would be.
    pub(super) fn directory(&self, id: &ContainerId) -> PathBuf {
        self.root.join(id.as_str())
    }

    /// Makes the directory of a new container. mkdir(2) decides who comes first.
    pub fn create(&self, id: &ContainerId) -> Result<Entry, RuntimeError> {
        let what = || format!("make the state directory of {id} in {:?}", self.root);
        let failed = |cause: io::Error| RuntimeError::io(what(), &cause);
        let make = |path: &Path| {
            let told = [Arg::Fd(CWD), Arg::Text(path.as_os_str().as_bytes()), Arg::Mode(0o700)];
            mkdirat(CWD, path, Mode::RWXU).told(Call::Mkdirat, &told).map_err(|failure| io::Error::from(failure.errno))
        };
        let missing: Vec<_> = self.root.ancestors().take_while(|path| !path.is_dir()).collect();
        for path in missing.into_iter().rev().filter(|path| !path.as_os_str().is_empty()) {
            match make(path) {
                Err(cause) if cause.kind() != io::ErrorKind::AlreadyExists => return Err(failed(cause)),
                _ => {}
            }
        }
        match make(&self.root.join(id.as_str())) {
            Ok(()) => {}
            Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {
                return Err(RuntimeError::Exists(id.to_string()));
            }
            Err(cause) => return Err(failed(cause)),
        }
        self.open(id)
    }

    /// Opens and locks the directory of a container. Whoever has it may be waiting for a hook without end: nobody waits for
    /// that longer than a minute.
    pub fn open(&self, id: &ContainerId) -> Result<Entry, RuntimeError> {
        self.open_within(id, Duration::from_secs(60))
    }

    fn open_within(&self, id: &ContainerId, patience: Duration) -> Result<Entry, RuntimeError> {
        let begun = Instant::now();
        loop {
            let entry = self.peek(id)?;
            match flock(&entry.directory, FlockOperation::NonBlockingLockExclusive) {
                // Whoever held the lock may have deleted the container, and somebody else made another of that name.
                Ok(()) if entry.is_still_there() => return Ok(entry),
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) if begun.elapsed() < patience => std::thread::sleep(Duration::from_millis(2)),
                Err(Errno::WOULDBLOCK) => {
                    return Err(RuntimeError::Call {
                        what: format!("lock the container {id}"),
                        cause: format!("another command has worked on it for {} s; end that one", patience.as_secs()),
                    });
                }
                Err(errno) => {
                    let what = format!("lock the state directory {:?}", entry.path);
                    return Err(RuntimeError::io(what, &errno.into()));
                }
            }
        }
    }

    /// Opens the directory of a container to look at it, without a lock: every file in it is replaced whole.
    pub fn peek(&self, id: &ContainerId) -> Result<Entry, RuntimeError> {
        let path = self.root.join(id.as_str());
        match File::open(&path) {
            Ok(directory) => Ok(Entry { path, directory }),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Err(RuntimeError::NotFound(id.to_string())),
            Err(cause) => Err(RuntimeError::io(format!("open the state directory {path:?}"), &cause)),
        }
    }

    /// The ids of all containers, sorted. Names that are no ids are left alone.
    pub fn ids(&self) -> Result<Vec<ContainerId>, RuntimeError> {
        let entries = match fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(cause) => return Err(RuntimeError::io(format!("read the state directory {:?}", self.root), &cause)),
        };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut ids: Vec<_> = names.filter_map(|name| ContainerId::new(&name).ok()).collect();
        ids.sort();
        Ok(ids)
    }
}

impl Entry {
    /// Whether the name still leads to the directory that is open.
    fn is_still_there(&self) -> bool {
        let same = |named: &Metadata, open: &Metadata| (named.dev(), named.ino()) == (open.dev(), open.ino());
        matches!((fs::metadata(&self.path), self.directory.metadata()), (Ok(named), Ok(open)) if same(&named, &open))
    }

    /// Replaces the record.
    pub fn write(&self, record: &Record) -> Result<(), RuntimeError> {
        self.prepare(record)?;
        self.commit()
    }

    /// Keeps the config as it was at `create`: what is changed in the bundle later does not matter (runtime.md, create).
    pub fn write_config(&self, text: &str) -> Result<(), RuntimeError> {
        self.replace("config.json", text.as_bytes())
    }

    /// The config as it was at `create`; none where it cannot be read.
    pub fn config(&self) -> Option<Config> {
        Config::parse(&fs::read_to_string(self.path.join("config.json")).ok()?).ok()
    }

    /// Writes the record beside the one that counts, which [`Entry::commit`] replaces by it.
    pub fn prepare(&self, record: &Record) -> Result<(), RuntimeError> {
        let text = serde_json::to_vec(record).expect("a record has only text keys");
        self.write_beside(RECORD, &text)
    }

    /// Lets the record count that was prepared last.
    pub fn commit(&self) -> Result<(), RuntimeError> {
        self.put_in_place(RECORD)
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), RuntimeError> {
        self.write_beside(name, bytes)?;
        self.put_in_place(name)
    }

    fn write_beside(&self, name: &str, bytes: &[u8]) -> Result<(), RuntimeError> {
        let written = write_new(&self.beside(name), bytes);
        written.map_err(|cause| RuntimeError::io(format!("write {:?}", self.path.join(name)), &cause))
    }

    fn put_in_place(&self, name: &str) -> Result<(), RuntimeError> {
        let path = self.path.join(name);
        rename(&self.beside(name), &path).map_err(|cause| RuntimeError::io(format!("write {path:?}"), &cause))
    }

    fn beside(&self, name: &str) -> PathBuf {
        self.path.join(format!(".{name}.new"))
    }

    /// The record; `None` where `create` was interrupted before it wrote one.
    pub fn read(&self) -> Result<Option<Record>, RuntimeError> {
        const MAX_RECORD: u64 = 16 << 20;
        let path = self.path.join(RECORD);
        let broken = |cause: String| RuntimeError::Call { what: format!("read {path:?}"), cause };
        match fs::metadata(&path) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
            Ok(metadata) if metadata.len() > MAX_RECORD => return Err(broken(format!("{} bytes", metadata.len()))),
            _ => {}
        }
        let text = fs::read(&path).map_err(|cause| broken(cause.to_string()))?;
        serde_json::from_slice(&text).map(Some).map_err(|cause| broken(cause.to_string()))
    }

    /// Lets other commands at the container from here on.
    pub fn unlock(&self) -> Result<(), RuntimeError> {
        flock(&self.directory, FlockOperation::Unlock)
            .map_err(|errno| RuntimeError::io(format!("unlock the state directory {:?}", self.path), &errno.into()))
    }

    /// The directory of this container.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Path of the socket that `start` connects to.
    pub fn start_socket(&self) -> PathBuf {
        self.short("start.sock")
    }

    /// Path of a file below the directory, short enough for sockaddr_un whatever the store's own path.
    pub(super) fn short(&self, below: &str) -> PathBuf {
        use std::os::fd::AsRawFd;
        PathBuf::from(format!("/proc/self/fd/{}/{below}", self.directory.as_raw_fd()))
    }

    /// Whether the container still waits for `start`.
    pub fn awaits_start(&self) -> bool {
        self.path.join("start.sock").exists()
    }

    /// Removes the directory and all in it.
    pub fn remove(self) -> Result<(), RuntimeError> {
        let failed = |cause: io::Error| RuntimeError::io(format!("remove {:?}", self.path), &cause);
        for file in fs::read_dir(&self.path).map_err(failed)? {
            let path = file.map_err(failed)?.path();
            match path.is_dir() {
                true => fs::remove_dir_all(&path),
                false => unlink(&path, AtFlags::empty()),
            }
            .map_err(failed)?;
        }
        unlink(&self.path, AtFlags::REMOVEDIR).map_err(failed)
    }

    /// The state of the container as the kernel shows it now.
    pub fn status(&self, record: &Record) -> Status {
        let Some(process) = &record.process else { return Status::Creating };
        if !identity::is_alive(process) {
            return Status::Stopped;
        }
        if self.awaits_start() {
            return Status::Created;
        }
        let frozen = record.cgroup.as_ref().and_then(|path| Cgroup::open(path).ok());
        match frozen.and_then(|cgroup| cgroup.read_key("cgroup.events", "frozen").ok()?) {
            Some(1) => Status::Paused,
            _ => Status::Running,
        }
    }
}

/// Writes a file so that it is there whole or as it was: under another name first.
pub fn write_whole(new: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_new(new, bytes)?;
    rename(new, path)
}

fn write_new(new: &Path, bytes: &[u8]) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
    let (name, how) = (Arg::Text(new.as_os_str().as_bytes()), Arg::Word("O_WRONLY|O_CREAT|O_TRUNC|O_CLOEXEC"));
    let file = openat(CWD, new, flags, Mode::from_raw_mode(0o666))
        .told(Call::Openat, &[Arg::Fd(CWD), name, how, Arg::Mode(0o666)])?;
    let mut rest = bytes;
    while !rest.is_empty() {
        let told = [Arg::File(file.as_fd(), new.as_os_str().as_bytes()), Arg::Text(rest)];
        rest = &rest[rustix::io::write(&file, rest).told(Call::Write, &told)?..];
    }
    Ok(())
}

fn rename(new: &Path, path: &Path) -> io::Result<()> {
    let (from, to) = (Arg::Text(new.as_os_str().as_bytes()), Arg::Text(path.as_os_str().as_bytes()));
    let told = [Arg::Fd(CWD), from, Arg::Fd(CWD), to];
    Ok(renameat(CWD, new, CWD, path).told(Call::Renameat, &told)?)
}

fn unlink(path: &Path, flags: AtFlags) -> io::Result<()> {
    let how = if flags.is_empty() { Arg::Number(0) } else { Arg::Word("AT_REMOVEDIR") };
    let told = [Arg::Fd(CWD), Arg::Text(path.as_os_str().as_bytes()), how];
    Ok(unlinkat(CWD, path, flags).told(Call::Unlinkat, &told)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_waited_for_and_not_without_end() {
        let root = tempfile::tempdir().expect("a directory");
        let store = Store::new(root.path().to_path_buf());
        let id = ContainerId::new("web").expect("an id");
        let held = store.create(&id).expect("it is new");
        let error = store.open_within(&id, Duration::ZERO).expect_err("somebody has it").to_string();
        assert!(error.contains("lock the container web") && error.contains("another command"), "{error}");
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| store.open_within(&id, Duration::from_secs(20)).map(|entry| entry.path));
            std::thread::sleep(Duration::from_millis(20));
            drop(held);
            assert_eq!(waits.join().expect("no panic").expect("it is free"), root.path().join("web"));
        });
    }

    #[test]
    fn who_waited_for_one_that_was_deleted_gets_the_next_of_its_name_or_none() {
        let root = tempfile::tempdir().expect("a directory");
        let store = Store::new(root.path().to_path_buf());
        let id = ContainerId::new("web").expect("an id");
        let stale = store.create(&id).expect("it is new");
        fs::rename(root.path().join("web"), root.path().join("gone")).expect("ours");
        assert!(!stale.is_still_there());
        assert!(matches!(store.open(&id), Err(RuntimeError::NotFound(_))));
        let next = store.create(&id).expect("the name is free");
        assert!(next.is_still_there() && !stale.is_still_there());
    }
}
