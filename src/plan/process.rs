//! The process itself: who it is, what it may do, and what it becomes.

use std::str::FromStr;

use super::step::{HostStep, InitStep, LabelKind, Planned, RootfsPath, Scheduling, c_string};
use super::uapi::{PER_LINUX32, SCHED_FLAG_RESET_ON_FORK};
use crate::spec::oci::{
    Capabilities, LinuxPersonalityDomain, LinuxSchedulerFlag, LinuxSchedulerPolicy, Process, Scheduler, Spec,
};

/// Where execvp(3) looks when `PATH` is not set.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Who is to become whom: what does not come from the config.
pub(super) struct Who<'a> {
    /// The highest capability number that the kernel knows.
    pub last_capability: u8,
    /// The user's home directory, by the container's own /etc/passwd.
    pub home: Option<&'a str>,
    /// Sockets from descriptor 3 on that are handed on to the program.
    pub listen_fds: u32,
    /// Nobody may change the groups of a process in its user namespace.
    pub setgroups_denied: bool,
}

/// What is set on the waiting process from outside, where there is still the power to raise it.
///
/// `floor` is the lowest oom_score_adj that we may set.
pub(super) fn limits(process: &Process, floor: Option<i32>) -> Vec<Planned<HostStep>> {
    let mut steps = Vec::new();
    for (index, limit) in process.rlimits().iter().flatten().enumerate() {
        let step = HostStep::SetRlimit { name: limit.typ().to_string(), soft: limit.soft(), hard: limit.hard() };
        steps.push(Planned::new(step, format!("process.rlimits[{index}]")));
    }
    if let Some(value) = oom_score_adj(process, floor) {
        steps.push(Planned::new(HostStep::SetOomScoreAdj { value }, "process.oomScoreAdj"));
    }
    if let Some(scheduler) = process.scheduler() {
        steps.push(Planned::new(HostStep::SetScheduler { scheduling: scheduling(scheduler) }, "process.scheduler"));
    }
    if let Some(priority) = process.io_priority() {
        let (class, level) = (priority.class().to_string(), priority.priority() as u8);
        steps.push(Planned::new(HostStep::SetIoPriority { class, level }, "process.ioPriority"));
    }
    steps
}

/// What the config asks for, but not below `floor`.
pub(super) fn oom_score_adj(process: &Process, floor: Option<i32>) -> Option<i32> {
    process.oom_score_adj().map(|value| value.max(floor.unwrap_or(value)))
}

/// What the config asks for below that, as a sentence.
pub(super) fn oom_score_adj_left_out(process: &Process, floor: Option<i32>) -> Option<String> {
    let (wanted, floor) = (process.oom_score_adj()?, floor?);
    (wanted < floor).then(|| format!("process.oomScoreAdj: it is {floor}, as only root may go down to {wanted}"))
}

fn scheduling(scheduler: &Scheduler) -> Scheduling {
    // linux/sched.h
    let policy_number = match scheduler.policy() {
        LinuxSchedulerPolicy::SchedOther => 0,
        LinuxSchedulerPolicy::SchedFifo => 1,
        LinuxSchedulerPolicy::SchedRr => 2,
        LinuxSchedulerPolicy::SchedBatch => 3,
        LinuxSchedulerPolicy::SchedIso => 4,
        LinuxSchedulerPolicy::SchedIdle => 5,
        LinuxSchedulerPolicy::SchedDeadline => 6,
    };
    let bit = |flag: &LinuxSchedulerFlag| match flag {
        LinuxSchedulerFlag::SchedResetOnFork => SCHED_FLAG_RESET_ON_FORK,
        LinuxSchedulerFlag::SchedFlagReclaim => 0x02,
        LinuxSchedulerFlag::SchedFlagDLOverrun => 0x04,
        LinuxSchedulerFlag::SchedFlagKeepPolicy => 0x08,
        LinuxSchedulerFlag::SchedFlagKeepParams => 0x10,
        LinuxSchedulerFlag::SchedFlagUtilClampMin => 0x20,
        LinuxSchedulerFlag::SchedFlagUtilClampMax => 0x40,
    };
    Scheduling {
        policy: scheduler.policy().to_string(),
        policy_number,
        flags: scheduler.flags().iter().flatten().map(bit).fold(0, |all, one| all | one),
        nice: scheduler.nice().unwrap_or(0),
        priority: scheduler.priority().unwrap_or(0).max(0) as u32,
        runtime: scheduler.runtime().unwrap_or(0),
        deadline: scheduler.deadline().unwrap_or(0),
        period: scheduler.period().unwrap_or(0),
    }
}

/// The labels of security modules that the program gets.
pub(super) fn labels(process: &Process) -> Vec<Planned<InitStep>> {
    let given = |label: &Option<String>| label.clone().filter(|label| !label.is_empty());
    let apparmor = given(process.apparmor_profile()).map(|profile| {
        let step = InitStep::SetLabel { kind: LabelKind::Apparmor, text: c_string(&format!("exec {profile}")) };
        Planned::new(step, "process.apparmorProfile")
    });
    let selinux = given(process.selinux_label()).map(|label| {
        let step = InitStep::SetLabel { kind: LabelKind::Selinux, text: c_string(&label) };
        Planned::new(step, "process.selinuxLabel")
    });
    apparmor.into_iter().chain(selinux).collect()
}

/// Which machine the container's programs believe to be on.
pub(super) fn personality(spec: &Spec) -> Option<Planned<InitStep>> {
    let domain = match spec.linux().as_ref()?.personality().as_ref()?.domain() {
        LinuxPersonalityDomain::PerLinux => 0,
        LinuxPersonalityDomain::PerLinux32 => PER_LINUX32,
    };
    Some(Planned::new(InitStep::SetPersonality { domain }, "linux.personality"))
}

/// CPUs of the largest machines that there are: 16 words of 64.
const ALL_CPUS: [u64; 16] = [u64::MAX; 16];

/// What the caller is bound to (taskset(1)) does not bind the container; only the config does.
pub(super) fn affinity(process: &Process) -> Planned<InitStep> {
    let asked = process.exec_cpu_affinity().as_ref().and_then(|affinity| affinity.cpu_affinity_final().as_deref());
    match asked {
        Some(list) => Planned::new(InitStep::SetCpuAffinity { mask: cpu_mask(list) }, "process.execCPUAffinity.final"),
        None => {
            Planned::new(InitStep::SetCpuAffinity { mask: ALL_CPUS.to_vec() }, "what binds the caller does not bind it")
        }
    }
}

/// The CPUs for the time until then.
pub(super) fn affinity_at_birth(process: &Process) -> Option<Planned<InitStep>> {
    let list = process.exec_cpu_affinity().as_ref()?.initial().as_deref()?;
    Some(Planned::new(InitStep::SetCpuAffinity { mask: cpu_mask(list) }, "process.execCPUAffinity.initial"))
}

/// `0-2,5` as bits. What is no list has been refused.
fn cpu_mask(list: &str) -> Vec<u64> {
    let mut mask = Vec::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        for cpu in first.parse().unwrap_or(0_usize)..=last.parse().unwrap_or(0) {
            mask.resize(mask.len().max(cpu / 64 + 1), 0);
            mask[cpu / 64] |= 1 << (cpu % 64);
        }
    }
    mask
}

/// The working directory, where it is missing: made while the root is still writable and we are still its root user.
pub(super) fn working_directory(process: &Process) -> Option<Planned<InitStep>> {
    let target = RootfsPath::new(&process.cwd().to_string_lossy());
    let root = target.path.as_c_str() == c".";
    (!root).then(|| Planned::new(InitStep::MakeDirectory { target }, "process.cwd"))
}

/// From the working directory to the last capability: power is given away last, and what cannot be undone comes after
/// everything else.
///
/// `filter` is taken where it must be loaded while there is still the power for it.
pub(super) fn give_power_away(
    process: &Process,
    who: &Who<'_>,
    filter: &mut Option<Planned<InitStep>>,
) -> Vec<Planned<InitStep>> {
    let mut steps = Vec::new();
    let confined = process.no_new_privileges() == Some(true);
    // seccomp(2) takes a filter from whoever can gain no privileges, or else has CAP_SYS_ADMIN: now, and soon no more.
    steps.extend(filter.take_if(|_| !confined));
    let capabilities = process.capabilities().clone().unwrap_or_else(|| {
        // The type's own default fills the inheritable and ambient sets; absent means none.
        let mut none = crate::spec::oci::LinuxCapabilities::default();
        none.set_bounding(None).set_effective(None).set_inheritable(None).set_permitted(None).set_ambient(None);
        none
    });
    let bounding = mask(capabilities.bounding());
    let drop: Vec<u8> = (0..=who.last_capability).filter(|number| bounding & (1 << number) == 0).collect();
    if !drop.is_empty() {
        steps.push(Planned::new(InitStep::DropBounding { drop }, "process.capabilities.bounding"));
    }
    let cwd = RootfsPath::new(&process.cwd().to_string_lossy());
    steps.push(Planned::new(InitStep::ChangeDirectory { target: cwd }, "process.cwd"));
    let user = process.user();
    let groups = (!who.setgroups_denied).then(|| user.additional_gids().clone().unwrap_or_default());
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
    steps
}

/// The end: look for the program, wait, run the hooks that come after the wait, become the program.
pub(super) fn become_program(
    process: &Process,
    who: &Who<'_>,
    waits: &'static str,
    hooks: impl Iterator<Item = Planned<InitStep>>,
    mut filter: Option<Planned<InitStep>>,
) -> Vec<Planned<InitStep>> {
    let args = process.args().as_deref().unwrap_or_default();
    let env = environment(process, who);
    let candidates: Vec<_> = candidates(&args[0], &env, &process.cwd().to_string_lossy());
    let find = InitStep::FindExecutable { candidates: candidates.clone() };
    let mut steps = vec![Planned::new(find, "process.args[0]")];
    // The agent has its descriptor before the container counts as created; else the filter sees nothing but execve.
    steps.extend(filter.take_if(|planned| matches!(planned.step, InitStep::LoadSeccomp { listener: Some(_), .. })));
    steps.push(Planned::new(InitStep::AwaitStart, waits));
    steps.extend(hooks);
    steps.extend(filter);
    let args = args.iter().map(|arg| c_string(arg)).collect();
    let env = env.iter().map(|variable| c_string(variable)).collect();
    steps.push(Planned::new(InitStep::Execute { candidates, args, env }, "process.args"));
    steps
}

/// The config's environment, with HOME as runc adds it, and what sd_listen_fds(3) wants to see.
fn environment(process: &Process, who: &Who<'_>) -> Vec<String> {
    let mut env = process.env().clone().unwrap_or_default();
    if !env.iter().any(|variable| variable.starts_with("HOME=")) {
        env.push(format!("HOME={}", who.home.unwrap_or("/")));
    }
    if who.listen_fds > 0 {
        // The first process of a PID namespace is number 1 in it.
        env.extend([format!("LISTEN_FDS={}", who.listen_fds), "LISTEN_PID=1".to_string()]);
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
