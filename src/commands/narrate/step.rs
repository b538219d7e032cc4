//! The pauses of `--step`: what comes next, where the half-born process stands, and the question what to do.
//!
//! Asked on the terminal itself (tty(4)): stdin, stdout and stderr are the container's.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use nix::sys::signal::SigSet;
use rustix::process::{Pid, Signal, getpgrp, kill_process_group};
use rustix::termios::tcsetpgrp;

use crate::error::Failure;
use crate::plan::{Language, Placed, printable, wrapped};
use crate::runtime::narrate::{Answer, Pause};

/// Where to stop, and whom to ask.
pub(super) struct Steps {
    terminal: File,
    breaks: Vec<String>,
    every: bool,
    over: bool,
}

impl Steps {
    /// Stops before every step, or before those in `breaks` alone.
    pub(super) fn new(breaks: &[String]) -> anyhow::Result<Steps> {
        let terminal = File::options().read(true).write(true).open("/dev/tty").map_err(|cause| {
            Failure::new("--step asks on the terminal, and there is none")
                .caused_by(cause)
                .hint("Run it in a terminal; --narrate tells the same without asking.")
        })?;
        Ok(Steps { terminal, breaks: breaks.to_vec(), every: breaks.is_empty(), over: false })
    }

    /// The terminal, to be written to as well.
    pub(super) fn terminal(&self) -> std::io::Result<File> {
        self.terminal.try_clone()
    }

    /// Whether to stop before a step.
    pub(super) fn stops_at(&self, step: &Placed<'_>) -> bool {
        let named =
            |wanted: &String| wanted.eq_ignore_ascii_case(step.step.name()) || *wanted == step.number.to_string();
        !self.over && (self.every || self.breaks.iter().any(named))
    }

    /// Shows where the process stands, and asks until there is an answer. Without one the start ends.
    pub(super) fn ask(&mut self, pause: &Pause<'_>, language: Language) -> Answer {
        let chinese = language == Language::Chinese;
        self.say(&where_it_stands(pause, language));
        loop {
            self.say(if chinese {
                "[回车] 下一步  c 继续  s 打开 shell  a 放弃 > "
            } else {
                "[Enter] this step  c continue  s shell  a abort > "
            });
            let mut line = String::new();
            let read = self.terminal.try_clone().and_then(|terminal| BufReader::new(terminal).read_line(&mut line));
            match (read, line.trim()) {
                (Ok(0) | Err(_), _) | (_, "a" | "abort") => return Answer::Abort,
                (_, "" | "n" | "next") => {
                    self.every = true;
                    return Answer::Go;
                }
                (_, "c" | "continue") => {
                    self.every = false;
                    self.over = self.breaks.is_empty();
                    return Answer::Go;
                }
                (_, "s" | "shell") => self.shell(pause),
                (_, other) => self.say(&format!("{}: ?\n", printable(other))),
            }
        }
    }

    fn say(&mut self, text: &str) {
        // A terminal that is gone says so when it is asked.
        let _ = self.terminal.write_all(text.as_bytes());
    }

    /// A shell in the process's namespaces and below its root; before there is a process, one where we are.
    fn shell(&mut self, pause: &Pause<'_>) {
        let mut command = match pause.process {
            Some(pid) => {
                let mut command = Command::new("nsenter");
                command.args(["--target", &pid.to_string(), "--root", "--wd"]).args(own_namespaces(pid)).arg("/bin/sh");
                command
            }
            None => Command::new("/bin/sh"),
        };
        // Without job control: in another PID namespace it could not give the terminal back to whom it does not see.
        command.arg("+m").process_group(0);
        let stdio = || self.terminal.try_clone().map_or_else(|_| Stdio::inherit(), Stdio::from);
        let ran = command.stdin(stdio()).stdout(stdio()).stderr(stdio()).spawn().and_then(|mut shell| {
            let group = Pid::from_child(&shell);
            self.foreground(group);
            // It may have asked for the terminal before it was its own.
            let _ = kill_process_group(group, Signal::CONT);
            shell.wait()
        });
        self.foreground(getpgrp());
        if let Err(cause) = ran {
            self.say(&format!("nsenter: {cause}\n"));
        }
    }

    /// Gives the terminal to a process group; whoever is in none that has it is stopped for asking (SIGTTOU), unless it blocks
    /// that.
    fn foreground(&self, group: Pid) {
        let mut asking = SigSet::empty();
        asking.add(nix::sys::signal::Signal::SIGTTOU);
        let blocked = asking.thread_block();
        let _ = tcsetpgrp(&self.terminal, group);
        if blocked.is_ok() {
            let _ = asking.thread_unblock();
        }
    }
}

/// Whether a namespace of a process is another than ours; what may not be looked at counts as ours.
fn has_own(pid: i32, kind: &str) -> bool {
    let link = |who: &str| fs::read_link(format!("/proc/{who}/ns/{kind}")).ok();
    link(&pid.to_string()).is_some_and(|theirs| link("self") != Some(theirs))
}

/// Options of nsenter(1) for the namespaces that are not ours.
fn own_namespaces(pid: i32) -> Vec<&'static str> {
    let kinds = [
        ("user", "--user"),
        ("mnt", "--mount"),
        ("uts", "--uts"),
        ("ipc", "--ipc"),
        ("net", "--net"),
        ("pid", "--pid"),
        ("cgroup", "--cgroup"),
        ("time", "--time"),
    ];
    kinds.into_iter().filter(|(kind, _)| has_own(pid, kind)).map(|(_, option)| option).collect()
}

/// At most some fifteen lines of 80 columns.
fn where_it_stands(pause: &Pause<'_>, language: Language) -> String {
    let chinese = language == Language::Chinese;
    let total = pause.plan.steps().count();
    let next = &pause.next;
    let head = match chinese {
        false => format!("NEXT {} of {total} ({}, {}):", next.number, next.lane.name(), next.step.name()),
        true => format!("下一步 {}/{total}（{}，{}）：", next.number, next.lane.name(), next.step.name()),
    };
    let sentence = printable(&format!("{} ({})", next.step.describe(language), next.because));
    let mut text = format!("\n{head}\n");
    wrapped(&sentence, 76).into_iter().for_each(|line| text.push_str(&format!("    {line}\n")));
    let Some(pid) = pause.process else {
        text.push_str(if chinese { "进程还不存在。\n" } else { "There is no process yet.\n" });
        return text;
    };
    let rows = rows(pid, chinese);
    let column = rows.iter().map(|(name, _)| unicode_width::UnicodeWidthStr::width(*name)).max().unwrap_or(0);
    for (name, value) in rows {
        let pad = " ".repeat(column - unicode_width::UnicodeWidthStr::width(name));
        for (index, line) in wrapped(&printable(&value), 77 - column).into_iter().enumerate() {
            let head = if index == 0 { format!("{name}{pad}") } else { " ".repeat(column) };
            text.push_str(&format!("{head}  {line}\n"));
        }
    }
    text
}

fn rows(pid: i32, chinese: bool) -> Vec<(&'static str, String)> {
    let kinds = ["mnt", "uts", "ipc", "pid", "net", "cgroup", "user", "time"];
    let (own, shared): (Vec<_>, Vec<_>) = kinds.into_iter().partition(|kind| has_own(pid, kind));
    let file = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
    let link = |name: &str| {
        fs::read_link(format!("/proc/{pid}/{name}")).map(|path| path.display().to_string()).unwrap_or_default()
    };
    let status = file("status");
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_default().split_whitespace().next().unwrap_or_default().to_string()
    };
    let mounts: Vec<String> =
        file("mountinfo").lines().filter_map(|line| Some(line.split(' ').nth(4)?.to_string())).collect();
    let last: Vec<_> = mounts.iter().rev().take(4).cloned().collect();
    let count = |set: &str| u64::from_str_radix(set, 16).unwrap_or(0).count_ones();
    let name = |english, other| if chinese { other } else { english };
    vec![
        (
            name("process", "进程"),
            format!("{pid}, uid {} gid {}, cwd {}, root {}", field("Uid"), field("Gid"), link("cwd"), link("root")),
        ),
        (
            name("namespaces", "命名空间"),
            match chinese {
                false => format!("its own: {}; the host's: {}", words(&own), words(&shared)),
                true => format!("自己的：{}；主机的：{}", words(&own), words(&shared)),
            },
        ),
        (
            name("mounts", "挂载"),
            match chinese {
                false => format!("{}, the last: {}", mounts.len(), last.join(" ")),
                true => format!("{} 个，最后的：{}", mounts.len(), last.join(" ")),
            },
        ),
        ("cgroup", file("cgroup").lines().find_map(|line| line.strip_prefix("0::")).unwrap_or_default().to_string()),
        (
            name("capabilities", "能力"),
            format!(
                "effective {}, permitted {}, bounding {}, ambient {}",
                count(&field("CapEff")),
                count(&field("CapPrm")),
                count(&field("CapBnd")),
                count(&field("CapAmb"))
            ),
        ),
        (name("locks", "限制"), format!("no_new_privs {}, seccomp {}", field("NoNewPrivs"), field("Seccomp"))),
    ]
}

fn words(list: &[&str]) -> String {
    if list.is_empty() { "-".to_string() } else { list.join(" ") }
}
