//! The calls that engines make, as they make them: flags, files, sockets, and what they read when something fails.

use std::fs;
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::Path;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use serde_json::{Value, json};

use crate::support::{machine, wait_until};

/// Waits on `listener` for one connection, and takes its name and its descriptor from it.
fn receive(listener: UnixListener) -> (String, OwnedFd) {
    let (socket, _) = listener.accept().expect("somebody connects");
    let (mut bytes, mut space) = ([0; 64], [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))]);
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut slices = [IoSliceMut::new(&mut bytes)];
    let length = recvmsg(&socket, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC).expect("a message").bytes;
    let descriptor = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    (String::from_utf8_lossy(&bytes[..length]).into_owned(), descriptor.expect("a descriptor"))
}

#[test]
fn create_hands_over_terminal_process_and_id() {
    let machine = machine();
    let bundle = machine.bundle("given");
    bundle.args(&["sh", "-c", "echo $((6*7)); sleep 300"]);
    bundle.edit(|config| config["process"]["terminal"] = true.into());
    let path = |name: &str| machine.directory().join(name).to_str().expect("UTF-8").to_string();
    let (console, pidfd, pid_file, log) = (path("console"), path("pidfd"), path("pid"), path("log"));
    let listeners = [&console, &pidfd].map(|path| UnixListener::bind(path).expect("a socket"));
    let [terminal, process] = listeners.map(|listener| std::thread::spawn(|| receive(listener)));
    machine.quiet(&[
        "-log",
        &log,
        "-log-format",
        "json",
        "--rootless=false",
        "create",
        "-bundle",
        bundle.path(),
        "--pid-file",
        &pid_file,
        "-console-socket",
        &console,
        "--pidfd-socket",
        &pidfd,
        "--no-new-keyring",
        "--no-pivot",
        "given",
    ]);
    let (name, master) = terminal.join().expect("no panic");
    assert_eq!(name, "/dev/pts/ptmx", "as runc names it");
    machine.quiet(&["start", "given"]);
    let mut said = [0; 64];
    let length = rustix::io::read(&master, &mut said).expect("the program writes to its terminal");
    assert_eq!(String::from_utf8_lossy(&said[..length]), "42\r\n");

    let (name, pidfd) = process.join().expect("no panic");
    assert_eq!(name, "standard", "as runc names it");
    let pid = fs::read_to_string(&pid_file).expect("the pid file");
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", std::os::fd::AsRawFd::as_raw_fd(&pidfd)));
    assert!(info.expect("an open descriptor").contains(&format!("Pid:\t{pid}\n")), "it means process {pid}");
    assert!(!Path::new(&log).exists(), "nothing went wrong, so the log has nothing");
    machine.quiet(&["kill", "given", "9"]);
    wait_until("it is gone", || machine.glassbox(["kill", "given", "0"]).status == 1);
    assert_eq!(machine.glassbox(["kill", "given", "SIGTERM"]).stderr, "error: container not running\n");
    machine.quiet(&["delete", "given"]);
}

#[test]
fn warnings_go_to_the_log_and_never_into_the_containers_words() {
    let machine = machine();
    let bundle = machine.bundle("word");
    bundle.args(&["echo", "hello"]);
    bundle.edit(|config| config["process"]["capabilities"]["bounding"] = json!(["CAP_FLY"]));
    let log = machine.directory().join("log");
    let log = log.to_str().expect("UTF-8");
    let ran = machine.glassbox(["--log", log, "--log-format", "json", "run", "--bundle", bundle.path(), "word"]);
    assert_eq!((ran.status, ran.stdout.as_str(), ran.stderr.as_str()), (0, "hello\n", ""));
    let record: Value = serde_json::from_str(&fs::read_to_string(log).expect("the log")).expect("one record");
    assert_eq!(record["level"], "warning");
    assert!(record["msg"].as_str().is_some_and(|said| said.contains("CAP_FLY")), "{record}");

    // A command that fails writes its error alone: podman reads the file as one object.
    fs::remove_file(log).expect("the log");
    bundle.args(&["nosuch"]);
    let ran = machine.glassbox(["--log", log, "--log-format", "json", "create", "--bundle", bundle.path(), "word"]);
    assert_eq!(ran.status, 1);
    let record: Value = serde_json::from_str(&fs::read_to_string(log).expect("the log")).expect("one record");
    assert_eq!(record["level"], "error");
}

/// What docker and podman make exit codes 126 and 127 of.
#[test]
fn a_program_that_cannot_run_is_told_in_the_words_that_engines_know() {
    let machine = machine();
    let bundle = machine.bundle("cannot");
    for (program, words) in [
        ("nosuch", "exec: \"nosuch\": executable file not found in $PATH"),
        ("/nosuch", "exec: \"/nosuch\": no such file or directory"),
        ("/etc/passwd", "exec: \"/etc/passwd\": permission denied"),
        ("/etc", "exec: \"/etc\": is a directory: permission denied"),
        ("/etc/passwd/x", "exec: \"/etc/passwd/x\": not a directory"),
    ] {
        bundle.args(&[program]);
        let ran = machine.glassbox(["create", "--bundle", bundle.path(), "cannot"]);
        let expected = format!("error: unable to start container process: {words}\n");
        assert!(ran.status == 1 && ran.stderr.starts_with(&expected), "{program}: {ran:?}");
        machine.assert_clean();
    }
}
