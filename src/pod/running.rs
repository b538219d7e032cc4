//! One run of one container: from its bundle to its process, its log, and what is to be said of its end.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use k8s_openapi::api::core::v1 as api;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{WaitId, WaitIdOptions, waitid};
use serde_json::{Value, json};

use super::config::{self, Given, Mount};
use super::env;
use super::error::PodError;
use super::facts::Facts;
use super::images::{self, Files};
use super::log::{self, Stream};
use super::object;
use super::record::{Home, Record};
use super::sandbox::{self, Sandbox};
use super::seccomp;
use super::state::Exit;
use super::volumes;
use crate::cgroup::Cgroup;
use crate::runtime::{self, Store};
use crate::spec::ContainerId;

/// Where programs are looked for, where neither the image nor the manifest says it (containerd's `defaultUnixEnv`).
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A container's process and what it writes.
#[derive(Debug)]
pub struct Running {
    /// The container's id.
    pub id: ContainerId,
    /// Its process, a child of ours.
    pub pidfd: OwnedFd,
    /// Since when it runs.
    pub started: Timestamp,
    /// The pipes of stdout and stderr, not blocking; `None` once one has ended.
    pub streams: [(Option<File>, Stream); 2],
    log: File,
    /// Its cgroup's directory.
    pub cgroup: PathBuf,
    stop: i32,
}

/// Why a container was not started.
#[derive(Debug)]
pub enum NotStarted {
    /// Something that it needs is not there (`CreateContainerConfigError`).
    Config(String),
    /// Its program cannot be run (`StartError`).
    Start(String),
}

impl From<PodError> for NotStarted {
    fn from(error: PodError) -> Self {
        NotStarted::Config(error.to_string())
    }
}

impl From<env::Missing> for NotStarted {
    fn from(missing: env::Missing) -> Self {
        NotStarted::Config(missing.to_string())
    }
}

/// Starts a container for the `run`th time.
pub fn start(
    home: &Home,
    record: &Record,
    facts: &Facts<'_>,
    sandbox: &Sandbox,
    container: &api::Container,
    run: u32,
) -> Result<Running, NotStarted> {
    let spec = object::spec(&record.pod);
    let id = sandbox::container_id(record, &container.name, run)?;
    let bundle = home.bundle(&container.name);
    fs::create_dir_all(&bundle).map_err(|cause| PodError::file(&bundle, cause))?;
    let files = files(record, container)?;
    let rootfs = mount_rootfs(files, &bundle)?;
    let (passwd, groups) = images::accounts(&rootfs)?;
    let user = config::user(&spec, container, &files.user, &passwd, &groups)?;
    let host = fs::read_to_string(home.path().join("hostname")).unwrap_or_default();
    let mut base = vec![("PATH".to_string(), PATH.to_string())];
    base.extend(files.env.iter().cloned());
    base.push(("HOSTNAME".to_string(), host.trim().to_string()));
    let variables = env::variables(container, facts)?;
    let args = env::arguments(container, &files.entrypoint, &files.cmd, &variables)?;
    let group = record
        .container(&container.name)
        .ok_or_else(|| NotStarted::Config("the record has no such container".into()))?;
    let security = container.security_context.clone().unwrap_or_default();
    let all_capabilities = capabilities();
    let own = config::capabilities(&security, &all_capabilities);
    let config = config::container(
        &spec,
        container,
        Given {
            id: id.as_str(),
            group,
            controllers: &sandbox.controllers,
            sandbox: sandbox.pid,
            args: &args,
            env: &env::over(&base, &variables),
            cwd: &files.cwd,
            user,
            mounts: mounts(home, &spec, sandbox, container, &variables)?,
            devices: &if security.privileged == Some(true) { devices() } else { Vec::new() },
            all_capabilities: &all_capabilities,
            seccomp: seccomp::profile(&spec, container, &own, Path::new(seccomp::PROFILES))?,
        },
    );
    let log = log::open(&home.log(&container.name, run)).map_err(|cause| PodError::file(&bundle, cause))?;
    let pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(|errno| PodError::call("make a pipe", errno.into()));
    let (out, out_end) = pipe()?;
    let (err, err_end) = pipe()?;
    let created = with_stdio(&out_end, &err_end, || sandbox::create(&record.store, &id, &bundle, &config))
        .map_err(|cause| PodError::call("give the container its stdio", cause))?
        .map_err(|error| NotStarted::Start(error.to_string()))?;
    let stream = |end: OwnedFd, name| -> Result<(Option<File>, Stream), PodError> {
        rustix::io::ioctl_fionbio(&end, true).map_err(|errno| PodError::call("read a pipe", errno.into()))?;
        Ok((Some(File::from(end)), Stream::new(name)))
    };
    let streams = [stream(out, "stdout")?, stream(err, "stderr")?];
    let cgroup = record.hierarchy.join(group.path_of(id.as_str()).trim_start_matches('/'));
    let stop = stop_signal(container, files)?;
    Ok(Running { id, pidfd: created.pidfd, started: Timestamp::now(), streams, log, cgroup, stop })
}

fn files<'a>(record: &'a Record, container: &api::Container) -> Result<&'a Files, NotStarted> {
    let image = container.image.clone().unwrap_or_default();
    record.images.get(&image).ok_or_else(|| NotStarted::Config(format!("image {image:?} is not there")))
}

/// What asks the container to end: what its lifecycle says, else its image; SIGTERM where neither says anything.
fn stop_signal(container: &api::Container, files: &Files) -> Result<i32, NotStarted> {
    let own = container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.stop_signal.as_ref());
    let name = own.or(files.stop_signal.as_ref()).map_or("SIGTERM", String::as_str);
    runtime::signal_number(name).map_err(|error| NotStarted::Config(error.to_string()))
}

/// An overlay over the image's files, so that containers of one image do not see each other's changes; each run starts afresh.
fn mount_rootfs(files: &Files, bundle: &Path) -> Result<PathBuf, NotStarted> {
    let rootfs = bundle.join("rootfs");
    let _ = unmount(&rootfs, UnmountFlags::DETACH);
    for name in ["upper", "work"] {
        let path = bundle.join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).map_err(|cause| PodError::file(&path, cause))?;
    }
    fs::create_dir_all(&rootfs).map_err(|cause| PodError::file(&rootfs, cause))?;
    // By descriptors: a path may hold the `:` and `,` that have a meaning in overlay's options.
    let open = |path: &Path| File::open(path).map_err(|cause| PodError::file(path, cause));
    let (lower, upper, work) = (open(&files.rootfs)?, open(&bundle.join("upper"))?, open(&bundle.join("work"))?);
    let path = |file: &File| format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(file));
    let options = format!("lowerdir={},upperdir={},workdir={}", path(&lower), path(&upper), path(&work));
    let options = std::ffi::CString::new(options).expect("numbers have no NUL");
    mount("overlay", &rootfs, "overlay", MountFlags::empty(), options.as_c_str())
        .map_err(|errno| PodError::call(format!("mount an overlay on {rootfs:?}"), errno.into()))?;
    Ok(rootfs)
}

fn mounts(
    home: &Home,
    spec: &api::PodSpec,
    sandbox: &Sandbox,
    container: &api::Container,
    variables: &[(String, String)],
) -> Result<Vec<Mount>, PodError> {
    // ConfigMaps, Secrets and the pod's own fields are nobody's to write.
    let of_files = |name: &str| {
        let volume = spec.volumes.iter().flatten().find(|volume| volume.name == name);
        volume.is_some_and(|one| {
            one.config_map.is_some() || one.secret.is_some() || one.projected.is_some() || one.downward_api.is_some()
        })
    };
    let mut mounts = volumes::mounts(home, container, &sandbox.volumes, variables, of_files)?;
    let shm = if spec.host_ipc == Some(true) { "/dev/shm".into() } else { home.path().join("shm") };
    let own = [
        ("/dev/shm", shm),
        ("/etc/hosts", home.path().join("hosts")),
        ("/etc/hostname", home.path().join("hostname")),
        ("/etc/resolv.conf", home.path().join("resolv.conf")),
    ];
    for (target, source) in own {
        if !mounts.iter().any(|mount| mount.target.trim_end_matches('/') == target) {
            let source = source.display().to_string();
            mounts.push(Mount { target: target.into(), source, access: "rw", propagation: "rprivate" });
        }
    }
    Ok(mounts)
}

/// The node's device files, which a privileged container gets.
fn devices() -> Vec<Value> {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    let entries = fs::read_dir("/dev").into_iter().flatten().flatten();
    let own = ["null", "zero", "full", "random", "urandom", "tty", "console", "ptmx"];
    let device = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        let metadata = entry.metadata().ok()?;
        let kind = match metadata.file_type() {
            kind if kind.is_block_device() => "b",
            kind if kind.is_char_device() => "c",
            _ => return None,
        };
        let number = metadata.rdev();
        (!own.contains(&name.as_str())).then(|| {
            json!({"path": format!("/dev/{name}"), "type": kind, "fileMode": metadata.mode() & 0o7777,
                "major": rustix::fs::major(number), "minor": rustix::fs::minor(number),
                "uid": metadata.uid(), "gid": metadata.gid()})
        })
    };
    entries.filter_map(device).collect()
}

/// Every capability that we could give.
fn capabilities() -> Vec<String> {
    let own = caps::read(None, caps::CapSet::Bounding).unwrap_or_default();
    let mut names: Vec<String> = own.iter().map(|cap| cap.to_string().trim_start_matches("CAP_").to_string()).collect();
    names.sort();
    names
}

/// Does `work` while our own stdin, stdout and stderr are /dev/null and these pipes: a container gets those of its maker.
pub(super) fn with_stdio<T>(out: &OwnedFd, err: &OwnedFd, work: impl FnOnce() -> T) -> io::Result<T> {
    use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout, stderr, stdin, stdout};
    let keep = |fd| rustix::io::fcntl_dupfd_cloexec(fd, 3);
    let kept = [keep(stdin())?, keep(stdout())?, keep(stderr())?];
    let null = File::options().read(true).open("/dev/null")?;
    dup2_stdin(&null)?;
    dup2_stdout(out)?;
    dup2_stderr(err)?;
    let done = work();
    dup2_stdin(&kept[0])?;
    dup2_stdout(&kept[1])?;
    dup2_stderr(&kept[2])?;
    Ok(done)
}

impl Running {
    /// Moves what the container has written into its log.
    pub fn pump(&mut self) {
        let now = Timestamp::now();
        for (end, stream) in &mut self.streams {
            let Some(file) = end else { continue };
            let mut bytes = [0; 16 << 10];
            loop {
                match file.read(&mut bytes) {
                    Ok(0) => {
                        let _ = stream.end(now, &mut self.log);
                        *end = None;
                        break;
                    }
                    // A log on a full disk loses lines; the container goes on.
                    Ok(length) => drop(stream.take(&bytes[..length], now, &mut self.log)),
                    Err(cause) if cause.kind() == ErrorKind::Interrupted => {}
                    Err(_) => break,
                }
            }
        }
    }

    /// Asks the container's first process to end, by the signal that it is made for.
    pub fn terminate(&self, store: &Store) {
        self.signal(self.stop, store);
    }

    /// Sends a signal to the container's first process.
    pub fn signal(&self, signal: i32, store: &Store) {
        // It may have ended meanwhile, which the next look will show.
        let _ = runtime::kill(store, &self.id, signal, false);
    }

    /// Takes the end of the process, which has ended, and removes the container.
    pub fn finish(mut self, record: &Record) -> Exit {
        let code = match waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED) {
            Ok(Some(status)) => match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => code,
                (None, Some(signal)) => 128 + signal,
                (None, None) => 255,
            },
            _ => 255,
        };
        self.pump();
        let group = Cgroup::open(&self.cgroup).ok();
        let killed = group.and_then(|group| group.read_key("memory.events", "oom_kill").ok()?);
        let reason = match (code, killed) {
            (137, Some(1..)) => "OOMKilled",
            (0, _) => "Completed",
            _ => "Error",
        };
        // What cannot be removed now, the removal of the pod will.
        let _ = runtime::delete(&Store::new(record.store.clone()), &self.id, true);
        Exit { code, reason, message: None, started: self.started, finished: Timestamp::now(), id: self.id.to_string() }
    }
}
