//! The steps that we do ourselves, on the host or from outside to the process that waits.

use std::env;
use std::ffi::CString;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use rustix::fs::{Access, CWD, Mode, OFlags, access, openat};
use rustix::io::Errno;

use super::error::RuntimeError;
use super::hooks;
use super::wire::HookEnd;
use crate::cgroup::scope::Property;
use crate::cgroup::systemd::{self, SystemdError};
use crate::cgroup::{self, Cgroup, CgroupError};
use crate::net;
use crate::plan::{Hook, HostStep, IdKind, IdRange, Scheduling};
use crate::sys::{self, Arg, Call, CallResult, Failure, SchedAttr};

/// A step's failure, before it is known which number the step has.
pub(super) struct StepFailed {
    /// The call and what the kernel answered.
    pub cause: String,
    /// Its number.
    pub errno: Errno,
}

impl StepFailed {
    /// The same, of step `number`.
    pub(super) fn at(self, number: usize, step: &HostStep) -> RuntimeError {
        self.of(number, step.describe())
    }

    /// The same, of a step that is described so.
    pub(super) fn of(self, number: usize, step: String) -> RuntimeError {
        RuntimeError::HostStep { number, step, cause: self.cause, errno: self.errno }
    }
}

impl From<CgroupError> for StepFailed {
    fn from(error: CgroupError) -> Self {
        StepFailed { cause: error.to_string(), errno: error.errno }
    }
}

impl From<SystemdError> for StepFailed {
    fn from(error: SystemdError) -> Self {
        let errno = if error.is_taken() { Errno::EXIST } else { Errno::IO };
        StepFailed { cause: error.to_string(), errno }
    }
}

impl From<Failure> for StepFailed {
    fn from(failure: Failure) -> Self {
        StepFailed { cause: failure.to_string(), errno: failure.errno }
    }
}

/// Does one step of ours; `pid` is the waiting process, for the steps beside it.
pub(super) fn host_step(step: &HostStep, pid: Option<i32>) -> Result<(), StepFailed> {
    let process = |file: &str| format!("/proc/{}/{file}", pid.expect("a step beside the process has one"));
    match step {
        HostStep::CreateCgroup { path } => Ok(Cgroup::create(Path::new(path))?),
        HostStep::AdoptCgroup { path } => adopt(&Cgroup::open(Path::new(path))?),
        HostStep::EnableControllers { path, required, wanted } => {
            enable(&Cgroup::open(Path::new(path))?, required, wanted)
        }
        HostStep::WriteCgroup { path, write } => Ok(Cgroup::open(Path::new(path))?.apply(write)?),
        HostStep::FilterDevices { path, rules } => Ok(Cgroup::open(Path::new(path))?.filter_devices(rules)?),
        HostStep::DelegateCgroup { path, uid, files } => Ok(Cgroup::open(Path::new(path))?.give_to(*uid, files)?),
        HostStep::StartScope { unit, path, properties } => {
            start_scope(unit, path, properties, pid.expect("a step beside the process has one"))
        }
        HostStep::DenySetgroups => write_file(&process("setgroups"), "deny"),
        HostStep::WriteIdMap { ranges, program: Some(program), .. } => {
            map_by(program, pid.expect("a step beside the process has one"), ranges)
        }
        HostStep::WriteIdMap { kind, ranges, program: None } => {
            let file = match kind {
                IdKind::User => process("uid_map"),
                IdKind::Group => process("gid_map"),
            };
            write_file(&file, &id_lines(ranges))
        }
        HostStep::MoveNetDevice { name, inside, namespace } => {
            move_device(name, inside, &namespace.clone().unwrap_or_else(|| process("ns/net")))
        }
        HostStep::SetRlimit { name, soft, hard } => {
            let errno = || StepFailed { cause: format!("{name} is unknown to this machine"), errno: Errno::INVAL };
            let resource = resource_number(name).ok_or_else(errno)?;
            Ok(sys::prlimit(pid.expect("a step beside the process has one"), resource, *soft, *hard)?)
        }
        HostStep::SetOomScoreAdj { value } => write_file(&process("oom_score_adj"), &value.to_string()),
        HostStep::SetScheduler { scheduling } => {
            let Scheduling { policy_number: policy, flags, nice, priority, runtime, deadline, period, .. } =
                *scheduling;
            let attributes = SchedAttr { size: 0, policy, flags, nice, priority, runtime, deadline, period };
            Ok(sys::set_scheduler(pid.expect("a step beside the process has one"), attributes)?)
        }
        HostStep::SetIoPriority { class, level } => {
            let class = match class.as_str() {
                "IOPRIO_CLASS_RT" => 1,
                "IOPRIO_CLASS_IDLE" => 3,
                _ => 2,
            };
            Ok(sys::set_io_priority(pid.expect("a step beside the process has one"), class, *level)?)
        }
        // Run once the files are in place, with the container's state (`Waiting::run_hooks`).
        HostStep::RunHook { .. } => Ok(()),
    }
}

fn adopt(cgroup: &Cgroup) -> Result<(), StepFailed> {
    let busy = |why: &str| StepFailed { cause: format!("{:?} {why}", cgroup.path()), errno: Errno::BUSY };
    if cgroup.populated()? {
        return Err(busy("has processes"));
    }
    match cgroup.read_key("cgroup.events", "frozen")? {
        Some(1) => Err(busy("is frozen")),
        _ => Ok(()),
    }
}

fn start_scope(unit: &str, path: &str, properties: &[Property], pid: i32) -> Result<(), StepFailed> {
    let mount = cgroup::mount_point().unwrap_or_default();
    let below = Path::new(path).strip_prefix(&mount).unwrap_or(Path::new(path)).to_string_lossy();
    systemd::start(unit, &below, properties, pid).or_else(|error| {
        // A unit that failed stays until somebody forgets it. Without a cgroup it holds nothing of anybody's.
        match error.is_taken() && !Path::new(path).exists() {
            true => systemd::stop(unit).and_then(|()| systemd::start(unit, &below, properties, pid)),
            false => Err(error),
        }
    })?;
    Ok(())
}

fn enable(cgroup: &Cgroup, required: &[String], wanted: &[String]) -> Result<(), StepFailed> {
    let words =
        |names: &mut dyn Iterator<Item = &String>| names.map(|name| format!("+{name}")).collect::<Vec<_>>().join(" ");
    let all = cgroup.write("cgroup.subtree_control", &words(&mut required.iter().chain(wanted)));
    if all.is_ok() {
        return Ok(());
    }
    // One that the kernel refuses makes it refuse them all: those that only count may be the reason.
    for name in wanted {
        let _ = cgroup.write("cgroup.subtree_control", &format!("+{name}"));
    }
    match required.is_empty() {
        true => Ok(()),
        false => Ok(cgroup.write("cgroup.subtree_control", &words(&mut required.iter()))?),
    }
}

fn move_device(name: &str, inside: &str, namespace: &str) -> Result<(), StepFailed> {
    let file = File::open(namespace).map_err(|cause| {
        let errno = Errno::from_io_error(&cause).unwrap_or(Errno::IO);
        StepFailed { cause: format!("open({namespace:?}) = {}", sys::errno_name(errno.raw_os_error())), errno }
    })?;
    net::move_device(name, file.as_fd(), inside)
        .map_err(|error| StepFailed { errno: error.errno().unwrap_or(Errno::IO), cause: error.to_string() })
}

/// newuidmap(1) and newgidmap(1) write more of a map than an ordinary user may: what /etc/subuid and /etc/subgid say.
fn map_by(program: &str, pid: i32, ranges: &[IdRange]) -> Result<(), StepFailed> {
    let ids = |range: &IdRange| [range.inside, range.outside, range.count].map(|number| number.to_string());
    let args: Vec<_> = [pid.to_string()].into_iter().chain(ranges.iter().flat_map(ids)).collect();
    let failed = |what: &str, errno| StepFailed { cause: format!("{program} {}: {what}", args.join(" ")), errno };
    let found = found_in_path(program).ok_or_else(|| {
        let errno = Errno::NOENT;
        failed(&sys::errno_name(errno.raw_os_error()), errno)
    })?;
    let words = [program.to_string()].into_iter().chain(args.iter().cloned());
    let words = words.map(|word| CString::new(word).expect("a name and numbers have no NUL")).collect();
    let helper = Hook { path: found, args: words, env: Vec::new(), timeout: None };
    match hooks::run_helper(&helper) {
        Ok((HookEnd::Status(0), _)) => Ok(()),
        Ok((_, written)) => Err(failed(&written, Errno::PERM)),
        Err(error) => Err(failed(&error.to_string(), Errno::IO)),
    }
}

fn found_in_path(program: &str) -> Option<CString> {
    let places = env::var_os("PATH").unwrap_or_else(|| "/usr/sbin:/usr/bin:/sbin:/bin".into());
    let found = env::split_paths(&places)
        .map(|place| place.join(program))
        .find(|path| path.is_file() && access(path, Access::EXEC_OK).is_ok())?;
    CString::new(found.into_os_string().into_vec()).ok()
}

/// The text of a map, as /proc/PID/uid_map takes it.
pub(super) fn id_lines(ranges: &[IdRange]) -> String {
    ranges.iter().map(|range| format!("{} {} {}\n", range.inside, range.outside, range.count)).collect()
}

/// In one write(2), as files of /proc want it.
pub(super) fn write_file(path: &str, text: &str) -> Result<(), StepFailed> {
    let failed = |call: &str, errno: Errno| StepFailed {
        cause: format!("{call} = {}", sys::errno_name(errno.raw_os_error())),
        errno,
    };
    let file = openat(CWD, path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| failed(&format!("open({path:?}, O_WRONLY)"), errno))?;
    let told = [Arg::File(file.as_fd(), path.as_bytes()), Arg::Text(text.as_bytes())];
    let written = rustix::io::write(&file, text.as_bytes()).told(Call::Write, &told);
    written.map(drop).map_err(|failure| failed(&format!("write({path:?}, {text:?})"), failure.errno))
}

/// The number of a resource limit in the kernel's generic numbering (asm-generic/resource.h).
fn resource_number(name: &str) -> Option<u32> {
    const NAMES: [&str; 16] = [
        "CPU",
        "FSIZE",
        "DATA",
        "STACK",
        "CORE",
        "RSS",
        "NPROC",
        "NOFILE",
        "MEMLOCK",
        "AS",
        "LOCKS",
        "SIGPENDING",
        "MSGQUEUE",
        "NICE",
        "RTPRIO",
        "RTTIME",
    ];
    let name = name.strip_prefix("RLIMIT_")?;
    NAMES.iter().position(|known| *known == name).map(|number| number as u32)
}
