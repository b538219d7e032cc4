//! The steps of the host and beside lanes as commands. `$pid` is the waiting process, as the host numbers it.

use super::super::step::*;
use super::super::uapi::SCHED_FLAG_RESET_ON_FORK;
use super::Shell;
use super::quote::{echo, word};
use crate::cgroup::scope::Property;

impl HostStep {
    /// The commands that do the same.
    pub fn shell(&self) -> Shell {
        match self {
            HostStep::CreateCgroup { path } => one(format!("mkdir {}", word(path))),
            HostStep::AdoptCgroup { path } => Shell::Commands(vec![
                format!("grep -qx 'populated 0' {}", file(path, "cgroup.events")),
                format!("grep -qx 'frozen 0' {}", file(path, "cgroup.events")),
            ]),
            HostStep::EnableControllers { path, required, wanted } => enable(path, required, wanted),
            HostStep::WriteCgroup { path, write } => {
                one(format!("{} >{}", echo(&write.value), file(path, &write.file)))
            }
            HostStep::FilterDevices { .. } => Shell::Nothing(
                "no command compiles a device filter: bpf(2) takes the program that the rules become. A script's \
                 container can open every device whose node it makes",
            ),
            HostStep::DelegateCgroup { path, uid, files } => Shell::Commands(vec![
                format!("chown {uid} {}", word(path)),
                format!(
                    "for name in {}; do\n  chown {uid} {}/\"$name\" || : # not every kernel has them all\ndone 2>/dev/null",
                    files.iter().map(|name| word(name)).collect::<Vec<_>>().join(" "),
                    word(path)
                ),
            ]),
            HostStep::StartScope { unit, path, properties } => Shell::Commands(scope(unit, path, properties)),
            HostStep::WriteIdMap { ranges, program: Some(program), .. } => {
                let ids = |range: &IdRange| format!(" {} {} {}", range.inside, range.outside, range.count);
                one(format!(r#"{program} "$pid"{}"#, ranges.iter().map(ids).collect::<String>()))
            }
            HostStep::DenySetgroups => one(r#"echo deny >"/proc/$pid/setgroups""#.to_string()),
            HostStep::WriteIdMap { kind, ranges, program: None } => {
                let lines: Vec<_> = ranges
                    .iter()
                    .map(|range| format!("'{} {} {}'", range.inside, range.outside, range.count))
                    .collect();
                let map = match kind {
                    IdKind::User => "uid_map",
                    IdKind::Group => "gid_map",
                };
                // The kernel takes the whole map in one write(2), and printf makes one.
                one(format!(r#"printf '%s\n' {} >"/proc/$pid/{map}""#, lines.join(" ")))
            }
            HostStep::MoveNetDevice { name, inside, namespace } => {
                Shell::Commands(move_device(&word(name), &word(inside), namespace.as_deref()))
            }
            HostStep::SetRlimit { name, soft, hard } => {
                let resource = name.trim_start_matches("RLIMIT_").to_ascii_lowercase();
                one(format!(r#"prlimit --pid "$pid" --{resource}={}:{}"#, limit(*soft), limit(*hard)))
            }
            HostStep::SetOomScoreAdj { value } => {
                one(format!(r#"{} >"/proc/$pid/oom_score_adj""#, echo(&value.to_string())))
            }
            HostStep::SetScheduler { scheduling } => Shell::Commands(schedule(scheduling)),
            HostStep::SetIoPriority { class, level } => {
                let class = match class.as_str() {
                    "IOPRIO_CLASS_RT" => "realtime",
                    "IOPRIO_CLASS_IDLE" => "idle",
                    _ => "best-effort",
                };
                one(format!(r#"ionice --class {class} --classdata {level} --pid "$pid""#))
            }
            HostStep::RunHook { .. } => Shell::Nothing(NO_STATE),
        }
    }
}

/// busctl(1) makes the same call, which systemd answers before it has done the job.
fn scope(unit: &str, path: &str, properties: &[Property]) -> Vec<String> {
    let mut lines = vec![format!(
        "busctl --quiet call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager \\\n  \
         StartTransientUnit 'ssa(sv)a(sa(sv))' {} replace {} \\\n  PIDs au 1 \"$pid\"",
        word(unit),
        properties.len() + 1
    )];
    lines.extend(properties.iter().map(|property| {
        let value: Vec<_> = property.value.words().iter().map(|text| word(text)).collect();
        format!("{} {}", word(&property.name), value.join(" "))
    }));
    let call = lines.join(" \\\n  ") + " \\\n  0";
    vec![call, format!("until grep -qx \"$pid\" {} 2>/dev/null; do sleep 0.01; done", file(path, "cgroup.procs"))]
}

/// Why a script runs no hook.
pub(super) const NO_STATE: &str =
    "a hook reads the state of the container from its stdin, and a script's container has none";

/// The kernel forgets a device's addresses when it changes its namespace.
fn move_device(name: &str, inside: &str, namespace: Option<&str>) -> Vec<String> {
    let namespace = namespace.map_or(r#""/proc/$pid/ns/net""#.to_string(), word);
    let there = format!("nsenter --net={namespace} ip");
    vec![
        format!(
            "addresses=$(ip -o address show dev {name} scope global permanent | sed 's/.* inet6* \\([^ ]*\\).*/\\1/')"
        ),
        format!("(exec 9<{namespace} && ip link set dev {name} netns /proc/self/fd/9 name {inside})"),
        format!("for address in $addresses; do {there} address add \"$address\" dev {inside}; done"),
        format!("{there} link set dev {inside} up"),
    ]
}

/// chrt(1) for the policy, renice(1) for the nice value, which chrt leaves alone.
fn schedule(scheduling: &Scheduling) -> Vec<String> {
    let Scheduling { policy, flags, nice, priority, runtime, deadline, period, .. } = scheduling;
    let policy = policy.trim_start_matches("SCHED_").to_ascii_lowercase();
    let reset = if flags & SCHED_FLAG_RESET_ON_FORK != 0 { " --reset-on-fork" } else { "" };
    let times = match policy.as_str() {
        "deadline" => format!(" --sched-runtime {runtime} --sched-deadline {deadline} --sched-period {period}"),
        _ => String::new(),
    };
    let mut commands = vec![format!(r#"chrt --{policy}{reset}{times} --pid {priority} "$pid""#)];
    if *nice != 0 {
        commands.push(format!(r#"renice -n {nice} -p "$pid""#));
    }
    commands
}

fn one(command: String) -> Shell {
    Shell::Commands(vec![command])
}

fn file(directory: &str, name: &str) -> String {
    word(&format!("{directory}/{name}"))
}

fn enable(path: &str, required: &[String], wanted: &[String]) -> Shell {
    let file = file(path, "cgroup.subtree_control");
    let mut commands = Vec::new();
    if !required.is_empty() {
        let all: Vec<_> = required.iter().map(|name| format!("+{name}")).collect();
        commands.push(format!("{} >{file}", echo(&all.join(" "))));
    }
    // One write each: the kernel refuses them all where it refuses one.
    if !wanted.is_empty() {
        let list: Vec<_> = wanted.iter().map(|name| word(name)).collect();
        commands.push(format!(
            "for controller in {}; do\n  echo \"+$controller\" >{file} || : # it only counts\ndone 2>/dev/null",
            list.join(" ")
        ));
    }
    Shell::Commands(commands)
}

/// As prlimit(1) spells it.
fn limit(limit: u64) -> String {
    if limit == u64::MAX { "unlimited".to_string() } else { limit.to_string() }
}
