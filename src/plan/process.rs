//! The process itself: who it is, what it may do, and what it becomes.

use std::str::FromStr;

use super::host::Host;
use super::step::{HostStep, IdKind, IdRange, InitStep, Planned, RootfsPath, c_string};
use crate::spec::oci::{Capabilities, LinuxIdMapping, Process, Spec};

/// Where execvp(3) looks when `PATH` is not set.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What is done to the waiting process from outside.
pub(super) fn beside(spec: &Spec) -> Vec<Planned<HostStep>> {
    let mut steps = Vec::new();
    let linux = spec.linux().as_ref();
    // Groups first: once setgroups is denied for a map, it stays denied.
    for (kind, field, maps) in [
        (IdKind::Group, "linux.gidMappings", linux.and_then(|linux| linux.gid_mappings().as_deref())),
        (IdKind::User, "linux.uidMappings", linux.and_then(|linux| linux.uid_mappings().as_deref())),
    ] {
        if let Some(maps) = maps.filter(|maps| !maps.is_empty()) {
            steps.push(Planned::new(HostStep::WriteIdMap { kind, ranges: maps.iter().map(range).collect() }, field));
        }
    }
    let Some(process) = spec.process() else { return steps };
    for (index, limit) in process.rlimits().iter().flatten().enumerate() {
        let step = HostStep::SetRlimit { name: limit.typ().to_string(), soft: limit.soft(), hard: limit.hard() };
        steps.push(Planned::new(step, format!("process.rlimits[{index}]")));
    }
    if let Some(value) = process.oom_score_adj() {
        steps.push(Planned::new(HostStep::SetOomScoreAdj { value }, "process.oomScoreAdj"));
    }
    steps
}

fn range(map: &LinuxIdMapping) -> IdRange {
    IdRange { inside: map.container_id(), outside: map.host_id(), count: map.size() }
}

/// The working directory, where it is missing: made while the root is still writable and we are still its root user.
pub(super) fn working_directory(process: &Process) -> Option<Planned<InitStep>> {
    let target = RootfsPath::new(&process.cwd().to_string_lossy());
    let root = target.path.as_c_str() == c".";
    (!root).then(|| Planned::new(InitStep::MakeDirectory { target }, "process.cwd"))
}

/// From the working directory to execve: power is given away last, and what cannot be undone comes after everything else.
pub(super) fn become_program(
    process: &Process,
    host: &Host,
    mut seccomp: Option<Planned<InitStep>>,
) -> Vec<Planned<InitStep>> {
    let mut steps = Vec::new();
    let confined = process.no_new_privileges() == Some(true);
    // seccomp(2) takes a filter from whoever can gain no privileges, or else has CAP_SYS_ADMIN: now, and soon no more.
    steps.extend(seccomp.take_if(|_| !confined));
    let args = process.args().as_deref().unwrap_or_default();
    let env = environment(process, host);
    let candidates: Vec<_> = candidates(&args[0], &env, &process.cwd().to_string_lossy());
    let capabilities = process.capabilities().clone().unwrap_or_else(|| {
        // The type's own default fills the inheritable and ambient sets; absent means none.
        let mut none = crate::spec::oci::LinuxCapabilities::default();
        none.set_bounding(None).set_effective(None).set_inheritable(None).set_permitted(None).set_ambient(None);
        none
    });
    let bounding = mask(capabilities.bounding());
    let drop: Vec<u8> = (0..=host.last_capability).filter(|number| bounding & (1 << number) == 0).collect();
    if !drop.is_empty() {
        steps.push(Planned::new(InitStep::DropBounding { drop }, "process.capabilities.bounding"));
    }
    let cwd = RootfsPath::new(&process.cwd().to_string_lossy());
    steps.push(Planned::new(InitStep::ChangeDirectory { target: cwd }, "process.cwd"));
    let user = process.user();
    let groups = user.additional_gids().clone().unwrap_or_default();
    steps.push(Planned::new(InitStep::SwitchUser { uid: user.uid(), gid: user.gid(), groups }, "process.user"));
    steps.push(Planned::new(InitStep::SetUmask { mask: user.umask().unwrap_or(0o022) }, "process.user.umask"));
    let (permitted, inheritable) = (mask(capabilities.permitted()), mask(capabilities.inheritable()));
    let step = InitStep::SetCapabilities {
        effective: mask(capabilities.effective()),
        permitted,
        inheritable,
        // The kernel raises no other ones (capabilities(7)); validation has said so of those that fall out here.
        ambient: mask(capabilities.ambient()) & permitted & inheritable,
    };
    steps.push(Planned::new(step, "process.capabilities"));
    if confined {
        steps.push(Planned::new(InitStep::NoNewPrivileges, "process.noNewPrivileges"));
    }
    let find = InitStep::FindExecutable { candidates: candidates.clone() };
    steps.push(Planned::new(find, "process.args[0]"));
    // The agent has its descriptor before the container counts as created; else the filter sees nothing but execve.
    steps.extend(seccomp.take_if(|planned| matches!(planned.step, InitStep::LoadSeccomp { listener: Some(_), .. })));
    steps.push(Planned::new(InitStep::AwaitStart, "create makes the container, start runs it"));
    steps.extend(seccomp);
    let args = args.iter().map(|arg| c_string(arg)).collect();
    let env = env.iter().map(|variable| c_string(variable)).collect();
    steps.push(Planned::new(InitStep::Execute { candidates, args, env }, "process.args"));
    steps
}

/// The config's environment, with HOME as runc adds it.
fn environment(process: &Process, host: &Host) -> Vec<String> {
    let mut env = process.env().clone().unwrap_or_default();
    if !env.iter().any(|variable| variable.starts_with("HOME=")) {
        env.push(format!("HOME={}", host.home.as_deref().unwrap_or("/")));
    }
    env
}

/// The files that a program name may mean: itself where it holds a slash, else the name in each directory of PATH.
fn candidates(program: &str, env: &[String], cwd: &str) -> Vec<std::ffi::CString> {
    let absolute = |path: &str| if path.starts_with('/') { path.to_string() } else { format!("{cwd}/{path}") };
    if program.contains('/') {
        return vec![c_string(&absolute(program))];
    }
    let path = env.iter().rev().find_map(|variable| variable.strip_prefix("PATH=")).unwrap_or(DEFAULT_PATH);
    path.split(':').filter(|dir| !dir.is_empty()).map(|dir| c_string(&format!("{}/{program}", absolute(dir)))).collect()
}

/// A bit mask of capability numbers. oci-spec leaves the `CAP_` off, the caps crate wants it.
fn mask(set: &Option<Capabilities>) -> u64 {
    let number = |name: String| {
        let name = if name.starts_with("CAP_") { name } else { format!("CAP_{name}") };
        caps::Capability::from_str(&name).map(|capability| capability.bitmask()).unwrap_or(0)
    };
    set.iter().flatten().map(|capability| number(capability.to_string())).fold(0, |mask, bit| mask | bit)
}
