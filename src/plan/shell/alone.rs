//! One step's commands by themselves, as they are told beside the step: without the script's own functions.

use super::super::any::{Placed, Step};
use super::super::step::{InitStep, Plan};
use super::super::story::Lane;
use super::super::text::text;
use super::init::{below, unshare_options};
use super::quote::word;
use super::{Shell, init_lane};

/// How a shell does one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Alone {
    /// By these commands. `$pid` is the waiting process, and what a command becomes stands behind it as `...`.
    Commands(Vec<String>),
    /// It cannot, for this reason.
    Nothing(&'static str),
}

impl Plan {
    /// How a shell does each step, in order.
    pub fn shells(&self) -> Vec<Alone> {
        let mut init = init_lane(self).into_iter().map(|told| (told.step, told.shell));
        let one = |placed: Placed<'_>| match placed.step {
            Step::Host(step) => alone(step.shell()),
            Step::Clone(_) => self.clone_alone(),
            Step::Init(step) if placed.lane == Lane::Between => alone(step.shell()),
            Step::Init(_) => match init.next().map(|(step, shell)| (prepared(step), alone(shell))) {
                Some((prepared, Alone::Commands(commands))) => Alone::Commands([prepared, commands].concat()),
                Some((_, nothing)) => nothing,
                None => Alone::Commands(Vec::new()),
            },
        };
        self.steps().map(one).collect()
    }

    fn clone_alone(&self) -> Alone {
        let cgroup = self
            .clone
            .cgroup
            .as_ref()
            .map(|cgroup| format!("echo 0 >{} # 0: whoever writes it", word(&format!("{cgroup}/cgroup.procs"))));
        let options = unshare_options(self.clone.namespaces);
        let unshare = (!options.is_empty()).then(|| format!("unshare {} ...", options.join(" ")));
        Alone::Commands(cgroup.into_iter().chain(unshare).collect())
    }
}

fn alone(shell: Shell) -> Alone {
    Alone::Commands(match shell {
        Shell::Commands(commands) | Shell::Last(commands) | Shell::Outside(commands) => {
            commands.iter().flat_map(|command| command.lines()).map(without_functions).collect()
        }
        Shell::Becomes(command) => vec![format!("{command} ...")],
        Shell::Capsh(arguments) => vec![format!("capsh {} -- ...", arguments.join(" "))],
        Shell::Nothing(reason) => return Alone::Nothing(reason),
    })
}

/// What the step makes to mount on, where it is missing.
fn prepared(step: &InitStep) -> Vec<String> {
    match step {
        InitStep::MountFilesystem { target, .. } | InitStep::MakeDirectory { target } => {
            vec![format!("mkdir -p {}", below(target))]
        }
        InitStep::BindMount { source, target, .. } => {
            let (source, target) = (word(&text(source)), below(target));
            vec![format!(
                "[ -d {source} ] && mkdir -p {target} || {{ mkdir -p \"$(dirname {target})\"; : >>{target}; }}"
            )]
        }
        _ => Vec::new(),
    }
}

/// `remount_all PLACE OPTIONS` spelt out.
fn without_functions(line: &str) -> String {
    let Some((before, rest)) = line.split_once("remount_all ") else { return line.to_string() };
    let end = rest.find("; fi").unwrap_or(rest.len());
    let (call, behind) = rest.split_at(end);
    match call.rsplit_once(' ') {
        Some((place, options)) => format!(
            "{before}findmnt -nRro TARGET \"$(realpath {place})\" | xargs -n1 mount -o remount,bind,{options}{behind}"
        ),
        None => line.to_string(),
    }
}
