//! The sessions of README.md that need root, typed as they stand there.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use regex_lite::Regex;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::console::{Step, fits, section, steps};
use super::support::{Machine, machine};

const README: &str = include_str!("../../README.md");
const SCRIPTS: [(&str, &str); 3] = [
    ("busybox-rootfs", include_str!("../../rootfs-scripts/busybox-rootfs")),
    ("lib/common.sh", include_str!("../../rootfs-scripts/lib/common.sh")),
    ("lib/debian.sh", include_str!("../../rootfs-scripts/lib/debian.sh")),
];

#[test]
fn one_container_by_hand() {
    let machine = machine();
    set_the_scene(&machine);
    let steps = steps(section(README, "One container by hand"));
    assert!(steps.iter().any(|step| !step.inside.is_empty()), "README.md shows a session inside a container");
    let mut status = 0;
    for step in steps {
        let (ended, seen) = if step.inside.is_empty() { run(&machine, &step, status) } else { talk(&machine, &step) };
        let told = &step.output;
        assert!(fits(told, &seen), "README.md says of {}\n{told}\nbut this is seen\n{seen}", step.command);
        status = ended;
    }
    machine.assert_clean();
}

/// The scripts that are typed, and glassbox on the PATH.
fn set_the_scene(machine: &Machine) {
    let scripts = machine.directory().join("rootfs-scripts");
    fs::create_dir_all(scripts.join("lib")).expect("the directory is ours");
    for (name, text) in SCRIPTS {
        fs::write(scripts.join(name), text).expect("the directory is ours");
    }
    fs::set_permissions(scripts.join("busybox-rootfs"), PermissionsExt::from_mode(0o755)).expect("it is ours");
    fs::create_dir(machine.directory().join("bin")).expect("the directory is ours");
    symlink(machine.binary(), machine.directory().join("bin/glassbox")).expect("the directory is ours");
}

/// A shell for one line, in the test's directory. We are root here, there is no sudo, and no network to get busybox from.
fn shell(machine: &Machine, line: &str) -> Command {
    let path = format!("{}/bin:{}", machine.directory().display(), env_path("PATH"));
    let mut command = Command::new("sh");
    let busybox = format!("busybox-rootfs --busybox {}/bin/busybox", env_path("GLASSBOX_BUSYBOX_ROOTFS"));
    let line = line.replace("sudo ", "").replace("busybox-rootfs", &busybox);
    command.args(["-c", &line]).current_dir(machine.directory());
    command.env("PATH", path).env("COLUMNS", "80").env_remove("NO_COLOR");
    command
}

fn env_path(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("${name} is set in the VM"))
}

/// Runs a line whose `$?` begins as `before`. A container that stays behind keeps its output open, so it goes to a file.
fn run(machine: &Machine, step: &Step, before: i32) -> (i32, String) {
    let path = machine.directory().join("seen");
    let seen = File::create(&path).expect("the directory is ours");
    let mut command = shell(machine, &format!("(exit {before}); {}", step.command));
    command.stdin(Stdio::null()).stdout(seen.try_clone().expect("a descriptor")).stderr(seen);
    let status = command.status().expect("there is a shell");
    (status.code().expect("it was not killed"), read(&path))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).expect("it is text")
}

/// Runs a line on a terminal, and types what is typed inside the container, each line when its prompt is there.
fn talk(machine: &Machine, step: &Step) -> (i32, String) {
    let pty = nix::pty::openpty(None, None).expect("there is a terminal to be had");
    let slave = || Stdio::from(pty.slave.try_clone().expect("a descriptor"));
    let mut command = shell(machine, &step.command);
    let mut child =
        command.env("TERM", "dumb").stdin(slave()).stdout(slave()).stderr(slave()).spawn().expect("there is a shell");
    drop(command);
    drop(pty.slave);
    let mut terminal = File::from(pty.master);
    let mut seen = String::new();
    for line in &step.inside {
        let from = seen.len();
        while !plain(&seen[from..]).ends_with("/ # ") {
            assert!(read_some(&mut terminal, &mut seen), "it ended before {line} was typed:\n{seen}");
        }
        terminal.write_all(format!("{line}\n").as_bytes()).expect("the terminal is open");
    }
    while read_some(&mut terminal, &mut seen) {}
    let status = child.wait().expect("a child can be waited for").code().expect("it was not killed");
    (status, plain(&seen))
}

/// Reads what is there, waiting for it for at most half a minute. False at the end: a terminal that nobody has open on
/// its other side any more answers EIO.
fn read_some(terminal: &mut File, seen: &mut String) -> bool {
    let patience = Timespec { tv_sec: 30, tv_nsec: 0 };
    let ready = poll(&mut [PollFd::new(&*terminal, PollFlags::IN)], Some(&patience)).expect("poll");
    assert!(ready > 0, "nothing came for half a minute after\n{seen}");
    let mut bytes = [0; 4096];
    match terminal.read(&mut bytes) {
        Ok(0) => false,
        Ok(count) => {
            seen.push_str(&String::from_utf8_lossy(&bytes[..count]));
            true
        }
        Err(error) if error.kind() == ErrorKind::Interrupted => true,
        Err(_) => false,
    }
}

/// What a person sees: without the terminal's control sequences and carriage returns.
fn plain(text: &str) -> String {
    let control = Regex::new("\x1b\\[[0-9;?]*[A-Za-z]").expect("a valid pattern");
    control.replace_all(text, "").replace('\r', "")
}
