//! The parts of the script that run on the host: before the process, beside it, and after it.

use super::super::step::{HostStep, InitStep, Plan, Planned};
use super::super::text::{propagation_name, text};
use super::init::unshare_options;
use super::quote::{comment, word};
use super::{Shell, Told, heading, indented, not_done, rootfs};

pub(super) fn head(plan: &Plan) -> String {
    let id = comment(&format!("The start of the container {} as shell commands, for root.", plan.id));
    format!(
        "#!/bin/sh
{id}
# It needs coreutils, util-linux, iproute2, hostname, and capsh of libcap.
#
# The numbers are those of `glassbox explain`. Two things a shell does in another way:
# - clone3 makes the process in its namespaces and its cgroup at once; here unshare makes the namespaces, and the
#   process moves itself into its cgroup.
# - pivot_root takes the host's commands away, so it comes at the very end and is done from outside. Until then the
#   process works in the rootfs directory: the container's /proc is ./proc.
set -eu
umask 0022
"
    )
}

pub(super) fn host_lane(plan: &Plan) -> String {
    let mut lines = vec!["# ---- On the host, before the process exists ----\n".to_string()];
    for numbered in plan.host_numbered() {
        lines.extend(heading(&numbered));
        lines.extend(commands(&numbered.step.shell()));
        lines.extend(removal(plan, numbered.step).map(|remove| format!("trap {} EXIT", word(&remove))));
        lines.push(String::new());
    }
    lines.join("\n")
}

/// What undoes a step at the end: the container's cgroup goes where it was made here.
fn removal(plan: &Plan, step: &HostStep) -> Option<String> {
    match step {
        HostStep::CreateCgroup { path } if Some(path) == plan.clone.cgroup.as_ref() => {
            Some(format!("rmdir {}", word(path)))
        }
        _ => None,
    }
}

/// Two FIFOs to wait for each other.
pub(super) fn meeting(plan: &Plan) -> String {
    let remove = plan.host.iter().find_map(|planned| removal(plan, &planned.step));
    // What is mounted for it goes with its root, which is mounted over itself.
    let hide = plan.shares_mounts().then(|| format!("umount --lazy {} 2>/dev/null || :", rootfs(plan)));
    let remove = hide.into_iter().chain(remove);
    let clean = ["kill \"$helper\" 2>/dev/null || :; rm -rf \"$fifos\"".to_string()].into_iter().chain(remove);
    format!(
        "# The process and this script wait for each other by two FIFOs. At the end nothing is left.
fifos=$(mktemp -d)
mkfifo \"$fifos/ready\" \"$fifos/go\"
helper=
trap {} EXIT
",
        word(&clean.collect::<Vec<_>>().join("; "))
    )
}

/// The process, up to where it waits for the steps beside it.
pub(super) fn clone_lane(plan: &Plan) -> String {
    let enter = plan
        .clone
        .cgroup
        .as_ref()
        .map(|cgroup| format!("echo 0 >{} # 0: whoever writes it", word(&format!("{cgroup}/cgroup.procs"))));
    let mut born = vec!["read -r pid _ </proc/self/stat # its number on the host".to_string()];
    born.extend(enter.clone().filter(|_| plan.between.is_empty()));
    born.push(r#"echo "$pid" >&5"#.to_string());
    if !plan.beside.is_empty() {
        born.push("read -r _ <&6".to_string());
    }
    born.push("exec \"$@\"".to_string());
    let code = word(&format!("\n{}    ", indented("      ", &born)));
    format!(
        "{}{}
clone() {{
  exec 5>\"$fifos/ready\" 6<\"$fifos/go\"{}
  # shellcheck disable=SC2016 # the shell inside expands them
  exec {}unshare {} \\
    sh -euc {code} sh \"$@\"
}}
",
        headings(plan),
        heading(&plan.clone_numbered()).join("\n"),
        // A user namespace that is joined may have no say over the host's cgroups.
        enter.filter(|_| !plan.between.is_empty()).map(|line| format!("\n  {line}")).unwrap_or_default(),
        joins(plan),
        new_namespaces(plan),
    )
}

/// The steps in between as comment lines: each is a command that becomes the next.
fn headings(plan: &Plan) -> String {
    let one = |numbered| format!("{}\n", heading(&numbered).join("\n"));
    plan.between_numbered().map(one).collect()
}

fn joins(plan: &Plan) -> String {
    let command = |planned: &Planned<InitStep>| match planned.step.shell() {
        Shell::Becomes(command) => Some(format!("{command} ")),
        Shell::Commands(_) | Shell::Capsh(_) | Shell::Last(_) | Shell::Outside(_) | Shell::Nothing(_) => None,
    };
    plan.between.iter().filter_map(command).collect()
}

fn new_namespaces(plan: &Plan) -> String {
    let mut options: Vec<_> = unshare_options(plan.clone.namespaces).into_iter().map(str::to_string).collect();
    for planned in &plan.init {
        if let InitStep::NewTimeNamespace { offsets } = &planned.step {
            options.push("--time".to_string());
            let offsets = text(offsets).into_owned();
            let offset = |line: &str| {
                let mut words = line.split(' ');
                Some(format!("--{}={}", words.next()?, words.next()?))
            };
            options.extend(offsets.lines().filter_map(offset));
        }
    }
    options.join(" ")
}

/// The steps beside the process, and what is left to do from outside once it has given its power away.
pub(super) fn beside_lane(plan: &Plan, init: &[Told<'_, InitStep>]) -> String {
    let mut lines = vec![
        "# ---- Beside the process ----\n".to_string(),
        "beside() {".to_string(),
        "  exec 3<\"$fifos/ready\" 4>\"$fifos/go\"".to_string(),
        "  rm -r \"$fifos\"".to_string(),
        "  read -r pid <&3".to_string(),
    ];
    for numbered in plan.beside_numbered() {
        lines.extend(told("  ", &heading(&numbered), &numbered.step.shell()));
    }
    if !plan.beside.is_empty() {
        lines.push("  echo go >&4".to_string());
    }
    for numbered in plan.hooks_numbered() {
        lines.extend(told("  ", &heading(&numbered), &numbered.step.shell()));
    }
    lines.push("  read -r _ <&3 # the process waits in its last shell".to_string());
    for step in init.iter().filter(|step| matches!(step.shell, Shell::Outside(_))) {
        lines.extend(told("  ", &step.heading, &step.shell));
    }
    lines.push("  echo go >&4\n}\n".to_string());
    lines.join("\n")
}

/// pivot_root with one directory as both new root and place of the old one leaves the old root on top. nsenter enters
/// at the top, and so finds the host's umount there.
pub(super) fn swap_root(plan: &Plan) -> Vec<String> {
    let rootfs = rootfs(plan);
    vec![
        format!(r#"nsenter --target "$pid" --mount pivot_root {rootfs} {rootfs}"#),
        r#"nsenter --target "$pid" --mount umount --lazy /"#.to_string(),
    ]
}

/// How mounts travel, of the rootfs as the host sees it.
pub(super) fn set_propagation(plan: &Plan, flags: u64) -> String {
    format!("mount --namespace \"$pid\" --make-{} {}", propagation_name(flags), rootfs(plan))
}

/// What the process becomes first, and the line that starts it, with the middle part of the script as its input.
pub(super) fn process(init: &[Told<'_, InitStep>], end: &str) -> String {
    let mut lines = vec!["# ---- The process: each command becomes the next ----\n".to_string(), "set --".to_string()];
    for told in init {
        if let Shell::Becomes(command) = &told.shell {
            lines.extend(told.heading.iter().cloned());
            lines.push(format!("set -- \"$@\" {command}"));
        }
    }
    lines.push(format!(
        "
# At last it becomes the shell that reads what follows. The program gets this script's own stdin back.
exec 7<&0
beside &
helper=$!
status=0
(clone \"$@\" sh -eus) <<'{end}' || status=$?"
    ));
    lines.join("\n")
}

/// A step's heading and commands, moved to the right.
fn told(by: &str, heading: &[String], shell: &Shell) -> Vec<String> {
    heading.iter().cloned().chain(commands(shell)).map(|line| format!("{by}{line}")).collect()
}

/// The commands of a step on the host.
fn commands(shell: &Shell) -> Vec<String> {
    match shell {
        Shell::Commands(commands) | Shell::Outside(commands) | Shell::Last(commands) => commands.clone(),
        Shell::Becomes(command) => vec![command.clone()],
        Shell::Capsh(arguments) => vec![format!("capsh {}", arguments.join(" "))],
        Shell::Nothing(reason) => not_done(reason),
    }
}
