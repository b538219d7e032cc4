//! The tree of a machine as lines: cgroups by name, the processes in each, and in words whose their namespaces are.

use std::collections::BTreeMap;

use super::process::Kind;
use super::text::{bytes, count, pad, printable, wrap};
use super::tree::{Group, Limits, Node, Tree, Whose};

/// Processes of a group that are told by id before the rest is counted.
const SHOWN: usize = 8;

/// The lines. `all` tells every process.
pub fn lines(tree: &Tree, width: usize, all: bool) -> Vec<String> {
    let mut lines = wrap(&summary(tree), width);
    lines.push(String::new());
    for (index, node) in tree.cgroups.iter().enumerate() {
        let rails = rails(&tree.cgroups, index);
        let mut block = Block { first: rails.0, rest: rails.1, width, lines: &mut lines };
        self::node(node, tree, all, &mut block);
    }
    lines
}

/// The same by namespace: each kind, each namespace of it that is not the host's alone, and who is in it.
pub fn lines_by_namespace(tree: &Tree, width: usize) -> Vec<String> {
    let mut lines = wrap(&summary(tree), width);
    let mut members: BTreeMap<(Kind, bool, u64), Vec<String>> = BTreeMap::new();
    for node in &tree.cgroups {
        for group in &node.groups {
            for namespace in &group.namespaces {
                let other = namespace.whose != Whose::Host;
                let who = format!("{}{}", owner_words(node), processes(group, false));
                members.entry((namespace.kind, other, namespace.number)).or_default().push(who);
            }
        }
    }
    let mut last = None;
    for ((kind, other, number), who) in members {
        if last != Some(kind) {
            lines.extend([String::new(), kind.word().to_string()]);
            last = Some(kind);
        }
        let label = if other { String::new() } else { "the host's  ".to_string() };
        let who = if other { who.join("; ") } else { count(who.len(), "group of processes", "groups of processes") };
        let mut block = Block {
            first: format!("   {number}  "),
            rest: " ".repeat(5 + number.to_string().len()),
            width,
            lines: &mut lines,
        };
        block.line(&format!("{label}{who}"));
    }
    lines
}

fn owner_words(node: &Node) -> String {
    node.owner.as_ref().map(|owner| format!("{}: ", owner.words())).unwrap_or_default()
}

fn summary(tree: &Tree) -> String {
    let apart = |group: &&Group| group.namespaces.iter().any(|namespace| namespace.whose != Whose::Host);
    let apart: usize =
        tree.cgroups.iter().flat_map(|node| &node.groups).filter(apart).map(|group| group.processes.len()).sum();
    format!(
        "{} and {} in {}; {} in namespaces that are not the host's.",
        count(tree.processes, "process", "processes"),
        count(tree.kernel_threads, "kernel thread", "kernel threads"),
        count(tree.cgroups.len(), "cgroup", "cgroups"),
        if apart == 1 { "1 is".to_string() } else { format!("{apart} are") }
    )
}

/// Lines of one cgroup, behind the rails of the tree.
struct Block<'a> {
    first: String,
    rest: String,
    width: usize,
    lines: &'a mut Vec<String>,
}

impl Block<'_> {
    fn line(&mut self, text: &str) {
        self.hanging(text, 0);
    }

    /// Later lines of the text stand `indent` columns further in.
    fn hanging(&mut self, text: &str, indent: usize) {
        let room = self.width.saturating_sub(self.rest.chars().count() + indent).max(20);
        for (index, line) in wrap(text, room).into_iter().enumerate() {
            let margin = if index == 0 { self.first.clone() } else { format!("{}{}", self.rest, " ".repeat(indent)) };
            self.lines.push(format!("{margin}{line}").trim_end().to_string());
            self.first.clone_from(&self.rest);
        }
    }

    /// A word in a column of its own, then text.
    fn labelled(&mut self, label: &str, text: &str) {
        const LABEL: usize = 8;
        let room = self.width.saturating_sub(self.rest.chars().count() + 3 + LABEL).max(20);
        for (index, line) in wrap(text, room).into_iter().enumerate() {
            let label = pad(if index == 0 { label } else { "" }, LABEL);
            self.lines.push(format!("{}   {label}{line}", self.rest));
        }
    }
}

/// What stands before the first line of a cgroup, and before its later ones.
fn rails(nodes: &[Node], index: usize) -> (String, String) {
    let depth = |node: &Node| node.path.split('/').filter(|part| !part.is_empty()).count();
    let own = depth(&nodes[index]);
    // Whether a later cgroup hangs on the rail of this depth.
    let goes_on =
        |at: usize| nodes[index + 1..].iter().take_while(|node| depth(node) >= at).any(|node| depth(node) == at);
    let above: String = (1..own).map(|at| if goes_on(at) { "│  " } else { "   " }).collect();
    let below = if goes_on(own + 1) { "│" } else { "" };
    match own {
        0 => (String::new(), below.to_string()),
        _ if goes_on(own) => (format!("{above}├─ "), format!("{above}│  {below}")),
        _ => (format!("{above}└─ "), format!("{above}   {below}")),
    }
}

fn node(node: &Node, tree: &Tree, all: bool, block: &mut Block<'_>) {
    let name = node.path.rsplit('/').next().unwrap_or_default();
    let mut title = match name {
        "" => "/".to_string(),
        name if all => printable(name),
        name => printable(&shortened(name)),
    };
    if let Some(owner) = &node.owner {
        let words = owner.words();
        title.push_str(&format!("  {}", printable(&words)));
        if let super::names::Owner::Glassbox { status, .. } = owner {
            title.push_str(&format!(", {status}"));
        }
    }
    if node.frozen {
        title.push_str(", frozen");
    }
    if node.path == "/" && tree.kernel_threads > 0 {
        title.push_str(&format!("  {}", count(tree.kernel_threads, "kernel thread", "kernel threads")));
    }
    let plain = |group: &Group| group.namespaces.iter().all(|namespace| namespace.whose == Whose::Host);
    let limits = limits(&node.limits);
    match node.groups.as_slice() {
        [only] if plain(only) && limits.is_empty() => block.hanging(&format!("{title}  {}", processes(only, all)), 3),
        groups => {
            block.line(&title);
            if !limits.is_empty() {
                block.labelled("limits", &limits);
            }
            for group in groups {
                group_lines(group, all, block);
            }
        }
    }
}

fn group_lines(group: &Group, all: bool, block: &mut Block<'_>) {
    let kinds = |wanted: &dyn Fn(&Whose) -> bool| {
        let found = group.namespaces.iter().filter(|namespace| wanted(&namespace.whose));
        found.map(|namespace| namespace.kind.word()).collect::<Vec<_>>().join(", ")
    };
    block.labelled(if group.processes.len() == 1 { "process" } else { "procs" }, &processes(group, all));
    let host = kinds(&|whose| *whose == Whose::Host);
    let own = kinds(&|whose| *whose == Whose::Own);
    if !group.namespaces.is_empty() && host.split(", ").count() == group.namespaces.len() {
        return;
    }
    if !own.is_empty() {
        block.labelled("own", &own);
    }
    let mut partners: Vec<&Vec<String>> = Vec::new();
    for namespace in &group.namespaces {
        if let Whose::Shared { with } = &namespace.whose
            && !partners.contains(&with)
        {
            partners.push(with);
        }
    }
    for with in partners {
        let kinds = kinds(&|whose| *whose == Whose::Shared { with: with.clone() });
        let told: Vec<_> = with.iter().take(3).map(|label| printable(label)).collect();
        let more = if with.len() > 3 { format!(" and {} more", with.len() - 3) } else { String::new() };
        block.labelled("shares", &format!("{kinds} with {}{more}", told.join(", ")));
    }
    if !host.is_empty() {
        block.labelled("host's", &host);
    }
}

/// A full id is 64 digits: twelve tell it from the others, as engines print it.
fn shortened(name: &str) -> String {
    let start = |at: usize| name.as_bytes()[at..].iter().take_while(|byte| byte.is_ascii_hexdigit()).count() >= 64;
    match (0..name.len()).find(|at| start(*at)) {
        Some(at) => format!("{}…{}", &name[..at + 12], &name[at + 64..]),
        None => name.to_string(),
    }
}

/// `sshd 412 480, bash 481`; a question mark where the namespaces could not be read.
fn processes(group: &Group, all: bool) -> String {
    let mut names: Vec<(&str, Vec<i32>)> = Vec::new();
    let shown = if all { group.processes.len() } else { SHOWN };
    for process in group.processes.iter().take(shown) {
        match names.iter_mut().find(|(name, _)| *name == process.name) {
            Some((_, pids)) => pids.push(process.pid),
            None => names.push((&process.name, vec![process.pid])),
        }
    }
    let told = names.iter().map(|(name, pids)| {
        let pids: Vec<_> = pids.iter().map(ToString::to_string).collect();
        format!("{} {}", printable(name), pids.join(" "))
    });
    let mut text = told.collect::<Vec<_>>().join(", ");
    if let Some(more) = group.processes.len().checked_sub(shown).filter(|more| *more > 0) {
        text.push_str(&format!(", and {more} more"));
    }
    if group.namespaces.is_empty() {
        text.push_str(" ?");
    }
    text
}

fn limits(limits: &Limits) -> String {
    let memory = limits.memory.map(|memory| format!("memory {}", bytes(memory)));
    let cpu = limits.cpu.and_then(|cpu| cpu.cpus()).map(|cpus| format!("cpu {}", trimmed(cpus)));
    let pids = limits.pids.map(|pids| format!("pids {pids}"));
    [memory, cpu, pids].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// At most three decimals, none of them an idle zero.
fn trimmed(number: f64) -> String {
    let text = format!("{number:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::samples;
    use crate::view::tree::tree;
    use unicode_width::UnicodeWidthStr;

    #[test]
    fn a_machine_with_a_container_and_a_pod() {
        let tree = tree(&samples::machine(), false);
        insta::assert_snapshot!(lines(&tree, 80, false).join("\n"), @r"
        8 processes and 2 kernel threads in 12 cgroups; 4 are in namespaces that are not
        the host's.

        /  2 kernel threads
        ├─ glassbox-old  container old, stopped
        ├─ glassbox-web  container web, running
        │     limits  memory 64.0M, cpu 0.5, pids 100
        │     procs   sh 600, sleep 601
        │     own     mnt, pid, net, ipc, uts, cgroup
        │     host's  user, time
        ├─ init.scope  systemd 1
        ├─ kubepods  all pods of the node
        │  └─ burstable  pods of class Burstable
        │     └─ pod1b-2c  pod 1b-2c (Burstable)
        │        ├─ 4f2ab0c1d2e3…  container 4f2ab0c1d2e3 (pod)
        │        │     process 容器 710
        │        │     own     mnt, pid, cgroup
        │        │     shares  net, ipc, uts with container 5f2ab0c1d2e3 (pod)
        │        │     host's  user, time
        │        └─ 5f2ab0c1d2e3…  container 5f2ab0c1d2e3 (pod)
        │              process pause 700
        │              own     mnt, pid, cgroup
        │              shares  net, ipc, uts with container 4f2ab0c1d2e3 (pod)
        │              host's  user, time
        └─ system.slice
           ├─ chrony.service  chronyd 500 ?
           └─ ssh.service  sshd 412 480
        ");
    }

    #[test]
    fn by_namespace() {
        let tree = tree(&samples::machine(), false);
        let text = lines_by_namespace(&tree, 80).join("\n");
        let net = text.split("\n\n").find(|part| part.starts_with("net")).expect("a part");
        insta::assert_snapshot!(net, @r"
        net
           103  the host's  2 groups of processes
           203  container web: sh 600, sleep 601
           303  container 4f2ab0c1d2e3 (pod): 容器 710; container 5f2ab0c1d2e3 (pod):
                pause 700
        ");
    }

    #[test]
    fn no_line_is_wider_than_the_screen() {
        let mut machine = samples::machine();
        for pid in 1000..1100 {
            let mut process = machine.processes[7].clone();
            process.pid = pid;
            process.name = format!("容器进程{pid}");
            machine.processes.push(process);
        }
        for width in [80, 60] {
            let tree = tree(&machine, true);
            for line in lines(&tree, width, true).iter().chain(&lines_by_namespace(&tree, width)) {
                assert!(line.width() <= width, "{}: {line}", line.width());
                assert_eq!(line, line.trim_end());
            }
        }
    }

    #[test]
    fn a_hostile_name_does_not_act_on_the_terminal() {
        let mut machine = samples::machine();
        machine.processes[6].name = "\x1b[2J".into();
        assert!(!lines(&tree(&machine, false), 80, true).concat().contains('\x1b'));
    }
}
