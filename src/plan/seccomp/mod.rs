//! `linux.seccomp` as a step: the filter that the kernel asks before each system call of the container (seccomp(2)).
//!
//! The program is made here and not by libseccomp, which takes ten times as long, in the same sense as runc with
//! libseccomp makes it. `rules.rs` reads the profile, `arch.rs` knows the system calls, `program.rs` makes the program.

#[cfg(test)]
mod answers;
mod arch;
mod program;
mod rules;

use super::step::{InitStep, Planned};
use crate::spec::oci::{Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompFilterFlag, LinuxSyscall, Spec};
use arch::Architecture;
use program::{Instruction, MAX_INSTRUCTIONS, Section};
use rules::Profile;

/// `defaultAction` and `syscalls[].action` that are carried out, as config.json spells them.
pub const ACTIONS: [&str; 9] = [
    "SCMP_ACT_ALLOW",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_KILL",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_KILL_THREAD",
    "SCMP_ACT_LOG",
    "SCMP_ACT_NOTIFY",
    "SCMP_ACT_TRACE",
    "SCMP_ACT_TRAP",
];
/// `syscalls[].args[].op` that are carried out.
pub const OPERATORS: [&str; 7] =
    ["SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_LE", "SCMP_CMP_LT", "SCMP_CMP_MASKED_EQ", "SCMP_CMP_NE"];
/// `flags` that are carried out, with the bits of seccomp(2). The filter is loaded by a process of one thread: there is
/// nothing for TSYNC to do.
pub const FLAGS: [(&str, u32); 4] = [
    ("SECCOMP_FILTER_FLAG_TSYNC", 0),
    ("SECCOMP_FILTER_FLAG_LOG", FLAG_LOG),
    ("SECCOMP_FILTER_FLAG_SPEC_ALLOW", FLAG_SPEC_ALLOW),
    ("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", FLAG_WAIT_KILLABLE_RECV),
];

const FLAG_LOG: u32 = 1 << 1;
const FLAG_SPEC_ALLOW: u32 = 1 << 2;
/// SECCOMP_FILTER_FLAG_NEW_LISTENER: seccomp(2) gives a descriptor for the notifications.
const FLAG_NEW_LISTENER: u32 = 1 << 3;
const FLAG_WAIT_KILLABLE_RECV: u32 = 1 << 5;

// SECCOMP_RET_* (linux/seccomp.h).
const KILL_THREAD: u32 = 0;
const ALLOW: u32 = 0x7fff_0000;
const LOG: u32 = 0x7ffc_0000;
const TRACE: u32 = 0x7ff0_0000;
const NOTIFY: u32 = 0x7fc0_0000;
const ERRNO: u32 = 0x0005_0000;
const TRAP: u32 = 0x0003_0000;
const KILL_PROCESS: u32 = 0x8000_0000;
/// The part of SECCOMP_RET_* that says what is done; the rest says with what.
const ACTION: u32 = 0xffff_0000;

/// errno(3), the same number on every architecture.
const EPERM: u32 = 1;
/// See there; as on every architecture that this program can be built for.
const ENOSYS: u32 = 38;
/// The kernel takes no higher errno (MAX_ERRNO of linux/err.h).
const MAX_ERRNO: u32 = 4095;

/// `architectures` that are carried out, as config.json spells them.
pub fn architectures() -> impl Iterator<Item = &'static str> {
    arch::ALL.iter().map(|architecture| architecture.name)
}

/// A filter program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Its instructions, struct sock_filter of linux/filter.h each.
    pub instructions: Vec<[u8; 8]>,
    /// The architectures whose calls it lets through at all, as people name them.
    pub architectures: Vec<&'static str>,
    /// SECCOMP_RET_* for calls that the profile does not name.
    pub default: u32,
}

/// Who decides on the calls with SCMP_ACT_NOTIFY (seccomp_unotify(2)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// The Unix socket on which it waits for the descriptor.
    pub path: String,
    /// What it is told beside.
    pub metadata: String,
    /// The process closes its own descriptor once the agent has one: when the agent dies, the kernel answers with ENOSYS
    /// instead of waiting for nobody. Not where closing is itself a call that the filter has an opinion on.
    pub release: bool,
}

/// What is wrong with `linux.seccomp`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum SeccompError {
    #[error("linux.seccomp.architectures[{index}]: {name} is none that glassbox makes filters for: {}", known_names())]
    Architecture { index: usize, name: String },
    #[error("linux.seccomp.{field}: {value} is above {highest}, the highest that the kernel takes")]
    Errno { field: String, value: u32, highest: u32 },
    #[error("linux.seccomp.{field}: {action} gives no errno; leave it out, or use SCMP_ACT_ERRNO")]
    NeedlessErrno { field: String, action: String },
    #[error("linux.seccomp.syscalls[{index}].names: is empty; name a system call")]
    NoNames { index: usize },
    #[error(
        "linux.seccomp.syscalls[{index}].args[{at}].index: {argument} is above 5, the last argument of a system call"
    )]
    Argument { index: usize, at: usize, argument: usize },
    #[error("linux.seccomp.syscalls: {name} gets both {first} and {second} under the same conditions; keep one")]
    Contradiction { name: String, first: &'static str, second: &'static str },
    #[error("linux.seccomp.defaultAction: SCMP_ACT_NOTIFY would stop the container's start; use it for named calls")]
    NotifyAll,
    #[error("linux.seccomp.listenerPath: is required with SCMP_ACT_NOTIFY; give the agent's Unix socket")]
    NoListener,
    #[error("linux.seccomp.listenerMetadata: is for the agent at listenerPath, which is not set")]
    NobodyListens,
    #[error("linux.seccomp.{field}: {value:?} contains a NUL byte")]
    Nul { field: &'static str, value: String },
    #[error(
        "linux.seccomp: the filter would have {0} instructions, and the kernel takes {MAX_INSTRUCTIONS}; use fewer rules"
    )]
    TooLong(usize),
}

fn known_names() -> String {
    architectures().collect::<Vec<_>>().join(", ")
}

/// The step that `linux.seccomp` asks for, if it does.
pub fn step(spec: &Spec) -> Result<Option<Planned<InitStep>>, SeccompError> {
    let Some(seccomp) = spec.linux().as_ref().and_then(|linux| linux.seccomp().as_ref()) else { return Ok(None) };
    let program = Program::new(seccomp)?;
    let listener = listener(seccomp, &program)?;
    let mut flags = match seccomp.flags() {
        Some(flags) => flags.iter().fold(0, |all, flag| all | flag_bit(*flag)),
        // As runc has it: the filter alone is no reason for the mitigation, unless flags are listed.
        None => FLAG_SPEC_ALLOW,
    };
    match listener {
        Some(_) => flags |= FLAG_NEW_LISTENER,
        // It is about the wait for an answer, and seccomp(2) refuses it where nobody answers.
        None => flags &= !FLAG_WAIT_KILLABLE_RECV,
    }
    Ok(Some(Planned::new(InitStep::LoadSeccomp { program, flags, listener }, "linux.seccomp")))
}

fn flag_bit(flag: LinuxSeccompFilterFlag) -> u32 {
    match flag {
        LinuxSeccompFilterFlag::SeccompFilterFlagLog => FLAG_LOG,
        LinuxSeccompFilterFlag::SeccompFilterFlagTsync => 0,
        LinuxSeccompFilterFlag::SeccompFilterFlagSpecAllow => FLAG_SPEC_ALLOW,
        LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv => FLAG_WAIT_KILLABLE_RECV,
    }
}

fn listener(seccomp: &LinuxSeccomp, program: &Program) -> Result<Option<Listener>, SeccompError> {
    let path = seccomp.listener_path().as_ref().map(|path| path.to_string_lossy().into_owned());
    let path = path.filter(|path| !path.is_empty());
    let metadata = seccomp.listener_metadata().clone().unwrap_or_default();
    if path.is_none() && !metadata.is_empty() {
        return Err(SeccompError::NobodyListens);
    }
    for (field, value) in [("listenerPath", path.as_deref()), ("listenerMetadata", Some(metadata.as_str()))] {
        if let Some(value) = value.filter(|value| value.contains('\0')) {
            return Err(SeccompError::Nul { field, value: value.to_string() });
        }
    }
    if !program.instructions.contains(&Instruction::give(NOTIFY).bytes()) {
        return Ok(None);
    }
    let release = lets_close(seccomp);
    path.map(|path| Some(Listener { path, metadata, release })).ok_or(SeccompError::NoListener)
}

/// Whether close(2) goes through whatever its argument is.
fn lets_close(seccomp: &LinuxSeccomp) -> bool {
    let goes_through = |action| matches!(action, LinuxSeccompAction::ScmpActAllow | LinuxSeccompAction::ScmpActLog);
    let named = |rule: &&LinuxSyscall| rule.names().iter().any(|name| name == "close");
    let rules: Vec<_> = seccomp.syscalls().iter().flatten().filter(named).collect();
    let always = rules.iter().any(|rule| rule.args().as_ref().is_none_or(Vec::is_empty));
    rules.iter().all(|rule| goes_through(rule.action())) && (always || goes_through(seccomp.default_action()))
}

impl Program {
    /// Makes the program of a profile.
    fn new(seccomp: &LinuxSeccomp) -> Result<Self, SeccompError> {
        let profile = Profile::new(seccomp)?;
        if profile.default == NOTIFY {
            return Err(SeccompError::NotifyAll);
        }
        let architectures = wanted(seccomp.architectures().as_deref().unwrap_or_default())?;
        // A C library that tries a new call first wants to hear ENOSYS to try the old one. A profile cannot name calls
        // that are newer than itself: those above the highest one that it names are taken to be such. Actions that let
        // the call through, or to a tracer, need no such help.
        let helps = ![ALLOW, LOG, TRACE].contains(&(profile.default & ACTION));
        let section = |architecture: &&'static Architecture| {
            let (verdicts, newest) = profile.verdicts(architecture);
            let newest = newest.filter(|_| helps).map(|newest| (newest, ERRNO | ENOSYS));
            Section { architecture, verdicts, newest }
        };
        let sections: Vec<_> = architectures.iter().map(section).collect();
        let code = program::assemble(&sections, profile.default, KILL_THREAD);
        if code.len() > MAX_INSTRUCTIONS {
            return Err(SeccompError::TooLong(code.len()));
        }
        Ok(Program {
            instructions: code.into_iter().map(Instruction::bytes).collect(),
            architectures: architectures.iter().map(|architecture| architecture.short).collect(),
            default: profile.default,
        })
    }

    /// The instructions in the kernel's assembly language.
    pub fn listing(&self) -> impl Iterator<Item = String> {
        self.instructions.iter().map(|bytes| Instruction::from_bytes(*bytes).text())
    }

    /// What becomes of a call that the profile does not name, as `fails with errno 1`.
    pub fn default_sentence(&self) -> String {
        let data = self.default & !ACTION;
        match self.default & ACTION {
            ALLOW => "passes".to_string(),
            LOG => "passes and is logged".to_string(),
            TRACE => format!("goes to a tracer (with {data})"),
            ERRNO if data == EPERM => "fails with EPERM".to_string(),
            ERRNO if data == ENOSYS => "fails with ENOSYS".to_string(),
            ERRNO => format!("fails with errno {data}"),
            TRAP => "raises SIGSYS".to_string(),
            KILL_PROCESS => "ends the process".to_string(),
            _ => "ends the thread".to_string(),
        }
    }

    /// `defaultAction`, as config.json spells it.
    pub fn default_action(&self) -> &'static str {
        action_name(self.default)
    }
}

/// The names of the flags that are set.
pub fn flag_names(flags: u32) -> Vec<&'static str> {
    let listener = ("SECCOMP_FILTER_FLAG_NEW_LISTENER", FLAG_NEW_LISTENER);
    let known = FLAGS.into_iter().chain([listener]);
    known.filter(|(_, bit)| flags & bit != 0).map(|(name, _)| name).collect()
}

/// Our own architecture, and those that the config lists.
fn wanted(listed: &[Arch]) -> Result<Vec<&'static Architecture>, SeccompError> {
    let mut all = vec![arch::native()];
    for (index, arch) in listed.iter().enumerate() {
        let unknown = || SeccompError::Architecture { index, name: arch.to_string() };
        let architecture = arch::find(*arch).ok_or_else(unknown)?;
        if all.iter().all(|known| known.name != architecture.name) {
            all.push(architecture);
        }
    }
    Ok(all)
}

/// SECCOMP_RET_* of an action; `field` names the errno's field.
fn action(action: LinuxSeccompAction, errno: Option<u32>, field: impl Fn() -> String) -> Result<u32, SeccompError> {
    let plain = |value: u32| match errno {
        Some(_) => Err(SeccompError::NeedlessErrno { field: field(), action: action.to_string() }),
        None => Ok(value),
    };
    let with = |kind: u32, highest: u32| match errno.unwrap_or(EPERM) {
        value if value > highest => Err(SeccompError::Errno { field: field(), value, highest }),
        value => Ok(kind | value),
    };
    match action {
        LinuxSeccompAction::ScmpActKill | LinuxSeccompAction::ScmpActKillThread => plain(KILL_THREAD),
        LinuxSeccompAction::ScmpActKillProcess => plain(KILL_PROCESS),
        LinuxSeccompAction::ScmpActTrap => plain(TRAP),
        LinuxSeccompAction::ScmpActErrno => with(ERRNO, MAX_ERRNO),
        LinuxSeccompAction::ScmpActNotify => plain(NOTIFY),
        LinuxSeccompAction::ScmpActTrace => with(TRACE, u32::from(u16::MAX)),
        LinuxSeccompAction::ScmpActLog => plain(LOG),
        LinuxSeccompAction::ScmpActAllow => plain(ALLOW),
    }
}

fn action_name(action: u32) -> &'static str {
    match action & ACTION {
        ALLOW => "SCMP_ACT_ALLOW",
        LOG => "SCMP_ACT_LOG",
        TRACE => "SCMP_ACT_TRACE",
        NOTIFY => "SCMP_ACT_NOTIFY",
        ERRNO => "SCMP_ACT_ERRNO",
        TRAP => "SCMP_ACT_TRAP",
        KILL_PROCESS => "SCMP_ACT_KILL_PROCESS",
        _ => "SCMP_ACT_KILL_THREAD",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::plan::tests::plan;

    fn load_step(change: impl FnOnce(&mut Value)) -> (Vec<&'static str>, Option<InitStep>) {
        let plan = plan(|config| {
            config["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW",
                "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}]});
            change(config);
        });
        let name = |step: &InitStep| match step {
            InitStep::LoadSeccomp { .. } => Some("filter"),
            InitStep::DropBounding { .. } => Some("drop"),
            InitStep::NoNewPrivileges => Some("confine"),
            InitStep::AwaitStart => Some("wait"),
            InitStep::Execute { .. } => Some("execute"),
            _ => None,
        };
        let steps = plan.init.iter().map(|planned| &planned.step);
        let load = steps.clone().find(|step| matches!(step, InitStep::LoadSeccomp { .. })).cloned();
        (steps.filter_map(name).collect(), load)
    }

    #[test]
    fn the_filter_is_loaded_as_late_as_it_can_be() {
        let without = |config: &mut Value| config["process"]["noNewPrivileges"] = false.into();
        let notify = |config: &mut Value| {
            config["linux"]["seccomp"]["listenerPath"] = "/agent".into();
            config["linux"]["seccomp"]["syscalls"][0]["action"] = "SCMP_ACT_NOTIFY".into();
        };
        assert_eq!(load_step(|_| {}).0, ["drop", "confine", "wait", "filter", "execute"]);
        assert_eq!(load_step(without).0, ["filter", "drop", "wait", "execute"], "while CAP_SYS_ADMIN is there");
        assert_eq!(
            load_step(notify).0,
            ["drop", "confine", "filter", "wait", "execute"],
            "create fails without an agent"
        );
    }

    #[test]
    fn flags_and_the_listener_are_those_of_the_config() {
        let flags = |change: fn(&mut Value)| match load_step(|config| change(&mut config["linux"]["seccomp"])).1 {
            Some(InitStep::LoadSeccomp { flags, listener, .. }) => (flag_names(flags).join(" "), listener),
            _ => panic!("there is a filter"),
        };
        assert_eq!(flags(|_| {}).0, "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "as runc has it without a list");
        assert_eq!(flags(|s| s["flags"] = json!([])).0, "");
        let all = |s: &mut Value| s["flags"] = FLAGS.iter().map(|(name, _)| *name).collect();
        assert_eq!(flags(all).0, "SECCOMP_FILTER_FLAG_LOG SECCOMP_FILTER_FLAG_SPEC_ALLOW", "nobody is asked");
        let (names, listener) = flags(|s| {
            s["syscalls"][0]["action"] = "SCMP_ACT_NOTIFY".into();
            (s["listenerPath"], s["listenerMetadata"]) = ("/agent".into(), "m".into());
            s["flags"] = json!(["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]);
        });
        assert_eq!(names, "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV SECCOMP_FILTER_FLAG_NEW_LISTENER");
        assert_eq!(listener, Some(Listener { path: "/agent".into(), metadata: "m".into(), release: true }));
        assert_eq!(flags(|s| s["listenerPath"] = "/agent".into()).1, None, "without SCMP_ACT_NOTIFY it is ignored");
    }

    #[test]
    fn the_process_closes_its_end_where_nothing_stands_against_closing() {
        let released = |default: &str, rules: Value| {
            let mut config = crate::spec::template();
            let mut all = vec![json!({"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"})];
            all.extend(rules.as_array().expect("a list").clone());
            config["linux"]["seccomp"] = json!({"defaultAction": default, "listenerPath": "/agent", "syscalls": all});
            let spec = crate::spec::Config::parse(&config.to_string()).expect("valid").spec;
            match step(&spec).expect("a filter").expect("one").step {
                InitStep::LoadSeccomp { listener: Some(listener), .. } => listener.release,
                _ => panic!("somebody listens"),
            }
        };
        let close = |action: &str| json!([{"names": ["open", "close"], "action": action}]);
        let some = json!([{"names": ["close"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 5, "op": "SCMP_CMP_EQ"}]}]);
        assert!(released("SCMP_ACT_ALLOW", json!([])) && released("SCMP_ACT_KILL", close("SCMP_ACT_ALLOW")));
        assert!(!released("SCMP_ACT_KILL", json!([])) && !released("SCMP_ACT_KILL", some.clone()));
        assert!(!released("SCMP_ACT_ALLOW", close("SCMP_ACT_NOTIFY")) && released("SCMP_ACT_ALLOW", some));
    }

    #[test]
    fn a_listener_is_asked_for_where_somebody_asks() {
        let error = |seccomp: Value| {
            let mut config = crate::spec::template();
            config["linux"]["seccomp"] = seccomp;
            step(&crate::spec::Config::parse(&config.to_string()).expect("valid").spec)
                .expect_err("it is refused")
                .to_string()
        };
        let notify =
            json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]});
        assert!(error(notify).starts_with("linux.seccomp.listenerPath: is required"));
        let alone = json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerMetadata": "x"});
        assert!(error(alone).starts_with("linux.seccomp.listenerMetadata: "));
    }
}
