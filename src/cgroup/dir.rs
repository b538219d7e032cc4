//! One open cgroup. Every file is reached through its directory's descriptor, and no name leaves it
//! (openat2(2), RESOLVE_BENEATH).

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, Uid, chownat, mkdirat, openat2, unlinkat};
use rustix::io::Errno;

use super::devices;
use super::resources::{DeviceRule, Write};
use super::stat::flat_keyed;
use crate::sys::{self, Arg, Call, CallResult};

/// A cgroup's directory, open.
#[derive(Debug)]
pub struct Cgroup {
    path: PathBuf,
    directory: OwnedFd,
}

/// A file of a cgroup, held open: it signals POLLPRI when it has changed since it was last read through this descriptor.
#[derive(Debug)]
pub struct Watched {
    path: PathBuf,
    file: File,
}

/// A call on a cgroup that failed, as the call: `write("/sys/fs/cgroup/web/cpu.max", "5") = EINVAL (Invalid argument)`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{call} = {}", sys::errno_name(errno.raw_os_error()))]
pub struct CgroupError {
    /// The call with its arguments.
    pub call: String,
    /// What the kernel answered.
    pub errno: Errno,
}

/// Where a cgroup v2 hierarchy is mounted: `/sys/fs/cgroup` on most machines, `/sys/fs/cgroup/unified` on hybrid ones.
pub fn mount_point() -> Option<PathBuf> {
    ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(PathBuf::from).into_iter().find(|path| is_cgroup2(path))
}

/// Whether `path` lies on a cgroup v2 file system (statfs(2), CGROUP2_SUPER_MAGIC).
pub(super) fn is_cgroup2(path: &Path) -> bool {
    // The field's type differs between architectures; the number fits in all of them.
    rustix::fs::statfs(path).is_ok_and(|fs| fs.f_type == 0x6367_7270)
}

impl Watched {
    /// The text as it is now; ENODEV where the cgroup was removed meanwhile.
    pub fn read(&mut self) -> Result<String, CgroupError> {
        let mut text = String::new();
        let read = self.file.seek(SeekFrom::Start(0)).and_then(|_| self.file.read_to_string(&mut text));
        match read {
            Ok(_) => Ok(text),
            Err(cause) => Err(error(format!("read({:?})", self.path), errno_of(&cause))),
        }
    }

    /// For poll(2) with POLLPRI.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Cgroup {
    /// Opens the cgroup whose directory is `path`, which must be absolute and lie on a cgroup v2 file system.
    pub fn open(path: &Path) -> Result<Cgroup, CgroupError> {
        let open = || error(format!("open({:?}, O_DIRECTORY)", path), Errno::NOTDIR);
        let directory = openat2(CWD, path, directory_flags(), Mode::empty(), ResolveFlags::NO_SYMLINKS)
            .map_err(|errno| CgroupError { errno, ..open() })?;
        match is_cgroup2(path) {
            true => Ok(Cgroup { path: path.to_path_buf(), directory }),
            false => Err(error(format!("statfs({path:?})"), Errno::INVAL)),
        }
    }

    /// Makes the directory `path` as a new cgroup: mkdir(2). EEXIST where it is there already.
    pub fn create(path: &Path) -> Result<(), CgroupError> {
        let call = || format!("mkdir({path:?}, 0755)");
        let told = [Arg::Fd(CWD), Arg::Text(path.as_os_str().as_bytes()), Arg::Mode(0o755)];
        mkdirat(CWD, path, Mode::from_raw_mode(0o755)).told(Call::Mkdirat, &told).map_err(|it| error(call(), it.errno))
    }

    /// Opens the cgroup at `below`, a relative path that leads through no symbolic link; empty means this one.
    pub fn below(&self, below: &Path) -> Result<Cgroup, CgroupError> {
        let path = self.path.join(below);
        let below = if below.as_os_str().is_empty() { Path::new(".") } else { below };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
        let directory = openat2(&self.directory, below, directory_flags(), Mode::empty(), resolve)
            .map_err(|errno| error(format!("open({path:?}, O_DIRECTORY)"), errno))?;
        Ok(Cgroup { path, directory })
    }

    /// Makes a cgroup right below this one; `false` where it is there already.
    pub fn create_below(&self, name: &Path) -> Result<bool, CgroupError> {
        let told = [self.told(), Arg::Text(name.as_os_str().as_bytes()), Arg::Mode(0o755)];
        match mkdirat(&self.directory, name, Mode::from_raw_mode(0o755)).told(Call::Mkdirat, &told) {
            Ok(()) => Ok(true),
            Err(sys::Failure { errno: Errno::EXIST, .. }) => Ok(false),
            Err(failure) => Err(error(format!("mkdir({:?}, 0755)", self.path.join(name)), failure.errno)),
        }
    }

    /// Removes a cgroup right below this one, which may hold neither processes nor cgroups.
    pub fn remove_below(&self, name: &Path) -> Result<(), CgroupError> {
        let told = [self.told(), Arg::Text(name.as_os_str().as_bytes()), Arg::Word("AT_REMOVEDIR")];
        unlinkat(&self.directory, name, AtFlags::REMOVEDIR)
            .told(Call::Unlinkat, &told)
            .map_err(|failure| error(format!("rmdir({:?})", self.path.join(name)), failure.errno))
    }

    /// The directory's absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directory itself, as CLONE_INTO_CGROUP and bpf(2) take it.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }

    /// Writes one value into one file, as the kernel wants it: in one write(2), without a newline.
    pub fn write(&self, file: &str, value: &str) -> Result<(), CgroupError> {
        let path = self.path.join(file);
        let opened =
            self.open_file(file, OFlags::WRONLY).map_err(|errno| error(format!("open({path:?}, O_WRONLY)"), errno))?;
        let told = [Arg::File(opened.as_fd(), path.as_os_str().as_bytes()), Arg::Text(value.as_bytes())];
        rustix::io::write(&opened, value.as_bytes())
            .told(Call::Write, &told)
            .map(drop)
            .map_err(|failure| error(format!("write({path:?}, {value:?})"), failure.errno))
    }

    /// Carries out one write of [`super::resources::writes`].
    pub fn apply(&self, write: &Write) -> Result<(), CgroupError> {
        self.write(&write.file, &write.value)
    }

    /// Reads a file whole, without its last newline.
    pub fn read(&self, file: &str) -> Result<String, CgroupError> {
        let path = self.path.join(file);
        let opened =
            self.open_file(file, OFlags::RDONLY).map_err(|errno| error(format!("open({path:?}, O_RDONLY)"), errno))?;
        let mut text = String::new();
        let read = File::from(opened).read_to_string(&mut text);
        read.map_err(|cause| error(format!("read({path:?})"), errno_of(&cause)))?;
        text.truncate(text.trim_end().len());
        Ok(text)
    }

    /// The value of `key` in a flat keyed file: `populated` in `cgroup.events`.
    pub fn read_key(&self, file: &str, key: &str) -> Result<Option<u64>, CgroupError> {
        let text = self.read(file)?;
        let find = |line: &str| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok();
        Ok(text.lines().find_map(find))
    }

    /// Gives the directory and those of `files` that it has to a user; what we may not give away stays.
    pub fn give_to(&self, uid: u32, files: &[String]) -> Result<(), CgroupError> {
        for name in [".".to_string()].iter().chain(files) {
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            let given = chownat(&self.directory, name.as_str(), Some(Uid::from_raw(uid)), None, flags);
            let told = [self.told(), Arg::Text(name.as_bytes()), Arg::Number(uid.into()), Arg::Number(-1)];
            match given.told(Call::Fchownat, &told).map_err(|failure| failure.errno) {
                Ok(()) | Err(Errno::NOENT | Errno::PERM) => {}
                Err(errno) => return Err(error(format!("chown({:?}, {uid})", self.path.join(name)), errno)),
            }
        }
        Ok(())
    }

    /// Attaches a device filter made of `rules`.
    pub fn filter_devices(&self, rules: &[DeviceRule]) -> Result<(), CgroupError> {
        devices::attach(self.as_fd(), rules)
            .map_err(|(command, errno)| error(format!("bpf({command}, {:?})", self.path), errno))
    }

    /// Whether a process lives in it or below it.
    pub fn populated(&self) -> Result<bool, CgroupError> {
        Ok(self.read_key("cgroup.events", "populated")? == Some(1))
    }

    /// Ends every process in it and below it (`cgroup.kill`, Linux 5.14), and waits at most `seconds` until none is left.
    pub fn kill(&self, seconds: i64) -> Result<(), CgroupError> {
        self.write("cgroup.kill", "1")?;
        self.wait_for_event("populated", 0, seconds)
    }

    /// Freezes every process in it and below it (`cgroup.freeze`), or thaws them, and waits at most `seconds` for it.
    pub fn freeze(&self, frozen: bool, seconds: i64) -> Result<(), CgroupError> {
        self.write("cgroup.freeze", if frozen { "1" } else { "0" })?;
        self.wait_for_event("frozen", u64::from(frozen), seconds)
    }

    /// Waits until `key` of `cgroup.events` has this value.
    fn wait_for_event(&self, key: &str, value: u64, seconds: i64) -> Result<(), CgroupError> {
        let mut events = self.watch("cgroup.events")?;
        let limit = Timespec { tv_sec: seconds, tv_nsec: 0 };
        while flat_keyed(&events.read()?).get(key) != Some(&value) {
            let call = || format!("poll({:?}, POLLPRI)", events.path);
            match poll(&mut [PollFd::new(&events.file, PollFlags::PRI)], Some(&limit)) {
                Ok(0) => return Err(error(call(), Errno::TIMEDOUT)),
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(error(call(), errno)),
            }
        }
        Ok(())
    }

    /// Opens a file whose changes the kernel tells: `cgroup.events`, `memory.events`, `pids.events`.
    pub fn watch(&self, file: &str) -> Result<Watched, CgroupError> {
        let path = self.path.join(file);
        let opened =
            self.open_file(file, OFlags::RDONLY).map_err(|errno| error(format!("open({path:?}, O_RDONLY)"), errno))?;
        Ok(Watched { path, file: File::from(opened) })
    }

    /// The names of its own files.
    pub(super) fn files(&self) -> Result<Vec<String>, CgroupError> {
        let failed = |errno| error(format!("getdents64({:?})", self.path), errno);
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.file_type() == FileType::RegularFile {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        Ok(names)
    }

    /// The ids of all processes in it and below it.
    pub fn processes(&self) -> Result<Vec<i32>, CgroupError> {
        let mut pids = Vec::new();
        processes_below(&self.directory, &self.path, &mut pids)?;
        pids.sort_unstable();
        Ok(pids)
    }

    /// Removes the cgroup and every cgroup below it; none may hold a process.
    pub fn remove(self) -> Result<(), CgroupError> {
        remove_below(&self.directory, &self.path)?;
        remove_empty(&self.path)
    }

    fn told(&self) -> Arg<'_> {
        Arg::File(self.directory.as_fd(), self.path.as_os_str().as_bytes())
    }

    fn open_file(&self, file: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        openat2(&self.directory, file, flags | OFlags::CLOEXEC, Mode::empty(), resolve)
    }
}

/// Removes one cgroup directory; that it is gone already is no error.
pub(super) fn remove_empty(path: &Path) -> Result<(), CgroupError> {
    let told = [Arg::Fd(CWD), Arg::Text(path.as_os_str().as_bytes()), Arg::Word("AT_REMOVEDIR")];
    match unlinkat(CWD, path, AtFlags::REMOVEDIR).told(Call::Unlinkat, &told) {
        Ok(()) | Err(sys::Failure { errno: Errno::NOENT, .. }) => Ok(()),
        Err(failure) => Err(error(format!("rmdir({path:?})"), failure.errno)),
    }
}

/// Deepest first. The depth is bounded by the kernel's cgroup.max.depth and by the path length.
fn remove_below(directory: &OwnedFd, path: &Path) -> Result<(), CgroupError> {
    for (child, below) in children(directory, path)? {
        remove_below(&child, &below)?;
        remove_empty(&below)?;
    }
    Ok(())
}

fn processes_below(directory: &OwnedFd, path: &Path, pids: &mut Vec<i32>) -> Result<(), CgroupError> {
    let file =
        openat2(directory, "cgroup.procs", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::BENEATH)
            .map_err(|errno| error(format!("open({:?}, O_RDONLY)", path.join("cgroup.procs")), errno))?;
    let mut text = String::new();
    // A threaded cgroup does not list processes (EOPNOTSUPP): its domain's own file does.
    if File::from(file).read_to_string(&mut text).is_ok() {
        pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
    }
    for (child, below) in children(directory, path)? {
        processes_below(&child, &below, pids)?;
    }
    Ok(())
}

/// The cgroups directly below an open one, each open, with its path for messages.
fn children(directory: &OwnedFd, path: &Path) -> Result<Vec<(OwnedFd, PathBuf)>, CgroupError> {
    let call = |name: &str| format!("{name}({path:?})");
    let mut children = Vec::new();
    for entry in Dir::read_from(directory).map_err(|errno| error(call("getdents64"), errno))? {
        let entry = entry.map_err(|errno| error(call("getdents64"), errno))?;
        let name = entry.file_name();
        if entry.file_type() != FileType::Directory || name == c"." || name == c".." {
            continue;
        }
        let below = path.join(name.to_string_lossy().as_ref());
        match openat2(directory, name, directory_flags(), Mode::empty(), ResolveFlags::BENEATH) {
            Ok(child) => children.push((child, below)),
            // The container may remove its own cgroups at any time.
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(error(format!("open({below:?})"), errno)),
        }
    }
    Ok(children)
}

fn directory_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC
}

fn error(call: String, errno: Errno) -> CgroupError {
    CgroupError { call, errno }
}

fn errno_of(cause: &io::Error) -> Errno {
    Errno::from_io_error(cause).unwrap_or(Errno::IO)
}
