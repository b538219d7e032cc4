//! `exec`: one more process in a running container is what the first one is, and no more.

use std::fs;
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Bundle, Machine, Output, machine, wait_until};

/// A container that sleeps.
fn sleeping(machine: &Machine, id: &str, change: impl FnOnce(&mut Value)) -> Bundle {
    let bundle = machine.bundle(id);
    bundle.args(&["sleep", "1000"]);
    bundle.edit(change);
    machine.quiet(&["run", "--detach", "--bundle", bundle.path(), id]);
    bundle
}

fn pid(machine: &Machine, id: &str) -> i64 {
    let state: Value = serde_json::from_str(&machine.glassbox(["state", id]).stdout).expect("JSON");
    state["pid"].as_i64().expect("a number")
}

/// Runs glassbox with a terminal of 33 rows and 111 columns as its stdin, stdout and stderr.
fn on_a_terminal(machine: &Machine, args: &[&str]) -> (String, Option<i32>) {
    let size = nix::pty::Winsize { ws_row: 33, ws_col: 111, ws_xpixel: 0, ws_ypixel: 0 };
    let pty = nix::pty::openpty(Some(&size), None).expect("a terminal");
    let end = || Stdio::from(pty.slave.try_clone().expect("a descriptor"));
    let mut command = Command::new(machine.binary());
    let mut child = command.args(args).stdin(end()).stdout(end()).stderr(end()).spawn().expect("it starts");
    drop((command, pty.slave));
    let mut seen = Vec::new();
    // The last reader of a terminal whose other side is gone gets EIO.
    let _ = fs::File::from(pty.master).read_to_end(&mut seen);
    (String::from_utf8_lossy(&seen).into_owned(), child.wait().expect("it ends").code())
}

/// What decides who a process is: namespaces, cgroup, credentials, limits.
const WHO: &str = "for kind in cgroup ipc mnt net pid time user uts; do readlink /proc/self/ns/$kind; done; \
                   cat /proc/self/cgroup /proc/self/uid_map; \
                   grep -E '^(Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp)' /proc/self/status; readlink /proc/self/root";

fn looks(machine: &Machine, id: &str) -> Output {
    machine.glassbox(["exec", id, "sh", "-c", WHO])
}

/// The same, of the container's first process, from the host.
fn first(pid: i64) -> String {
    let who = WHO.replace("/self/", &format!("/{pid}/"));
    let inside =
        format!("nsenter --target {pid} --cgroup -- sh -c \"{}\"", who.replace('$', "\\$").replace('"', "\\\""));
    crate::support::sh(&inside).stdout
}

#[test]
fn it_is_in_the_namespaces_and_the_cgroup_of_the_first_process_with_the_same_power() {
    let machine = machine();
    let maps = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    for (id, user) in [("same", false), ("mapped", true)] {
        let bundle = sleeping(&machine, id, |config| {
            config["linux"]["namespaces"].as_array_mut().expect("a list").push(json!({"type": "time"}));
            if user {
                config["linux"]["namespaces"].as_array_mut().expect("a list").push(json!({"type": "user"}));
                config["linux"]["uidMappings"] = maps.clone();
                config["linux"]["gidMappings"] = maps.clone();
            }
        });
        let seen = looks(&machine, id);
        assert_eq!((seen.status, seen.stderr.as_str()), (0, ""), "{id}");
        let (theirs, ours) = (first(pid(&machine, id)), seen.stdout.clone());
        let power = |text: &str| {
            let lines = text.lines().filter(|line| {
                line.contains(":[")
                    || line.starts_with("Cap")
                    || line.starts_with("NoNew")
                    || line.starts_with("Seccomp")
            });
            lines.map(str::to_string).collect::<Vec<_>>()
        };
        assert_eq!(power(&ours), power(&theirs), "{id}");
        assert!(power(&ours).len() >= 14, "{ours}");
        assert!(ours.contains("0::/\n"), "it is in the container's own cgroup: {ours}");
        machine.quiet(&["delete", "--force", id]);
        drop(bundle);
    }
    machine.assert_clean();
}

#[test]
fn the_exit_status_is_the_programs_and_255_where_there_is_none() {
    let machine = machine();
    let _bundle = sleeping(&machine, "codes", |_| {});
    let status = |args: &[&str]| machine.glassbox([&["exec", "codes"], args].concat()).status;
    assert_eq!(status(&["true"]), 0);
    assert_eq!(status(&["sh", "-c", "exit 42"]), 42);
    assert_eq!(status(&["sh", "-c", "kill -TERM $$"]), 128 + 15);
    let missing = machine.glassbox(["exec", "codes", "nope"]);
    assert_eq!(missing.status, 255);
    assert!(missing.stderr.contains("exec: \"nope\": executable file not found in $PATH"), "{}", missing.stderr);
    let stopped = machine.glassbox(["exec", "no-such", "true"]);
    assert_eq!(stopped.status, 255);
    assert!(stopped.stderr.contains("container \"no-such\" does not exist"), "{}", stopped.stderr);
    machine.quiet(&["kill", "codes", "KILL"]);
    wait_until("it is stopped", || machine.glassbox(["state", "codes"]).stdout.contains("\"stopped\""));
    let stopped = machine.glassbox(["exec", "codes", "true"]);
    assert_eq!((stopped.status, stopped.stderr.as_str()), (255, "error: cannot exec in a stopped container\n"));
    machine.quiet(&["delete", "codes"]);
    machine.assert_clean();
}

#[test]
fn flags_change_the_process() {
    let machine = machine();
    let _bundle = sleeping(&machine, "flags", |_| {});
    let out = |args: &[&str]| {
        let output = machine.glassbox([&["exec"], args].concat());
        assert_eq!((output.status, output.stderr.as_str()), (0, ""), "{args:?}");
        output.stdout
    };
    assert_eq!(out(&["--user", "1000:5", "-g", "7", "flags", "sh", "-c", "id -u; id -G"]), "1000\n5 7\n");
    assert_eq!(out(&["--cwd", "/dev/shm", "-e", "A=b c", "flags", "sh", "-c", "pwd; echo $A"]), "/dev/shm\nb c\n");
    let capabilities = out(&["--cap", "CAP_SYS_TIME", "flags", "grep", "Cap", "/proc/self/status"]);
    let set = |name: &str| {
        let line = capabilities.lines().find(|line| line.starts_with(name)).expect("it is there");
        u64::from_str_radix(line.split_whitespace().nth(1).expect("a mask"), 16).expect("a mask")
    };
    let sys_time = 1 << 25;
    assert_eq!([set("CapEff") & sys_time, set("CapBnd") & sys_time], [sys_time; 2], "{capabilities}");
    assert_eq!([set("CapInh"), set("CapAmb")], [0, 0], "CVE-2022-29162: {capabilities}");
    for (flag, value) in [("--user", "4294967295"), ("--user", "-1"), ("--user", "1:"), ("--cap", "CAP_FLY")] {
        let refused = machine.glassbox(["exec", &format!("{flag}={value}"), "flags", "id"]);
        assert_eq!(refused.status, 255, "{flag} {value}: {refused:?}");
        assert!(refused.stderr.contains(flag), "{refused:?}");
    }
    let process = machine.directory().join("process.json");
    let text = json!({"args": ["sh", "-c", "id -u; echo $FROM"], "cwd": "/", "env": ["PATH=/bin", "FROM=file"],
        "user": {"uid": 65, "gid": 0}});
    fs::write(&process, text.to_string()).expect("it is ours");
    assert_eq!(out(&["--process", process.to_str().expect("UTF-8"), "flags"]), "65\nfile\n");
    machine.quiet(&["delete", "--force", "flags"]);
    machine.assert_clean();
}

#[test]
fn a_detached_process_is_in_the_container_and_named_in_the_pid_file() {
    let machine = machine();
    let _bundle = sleeping(&machine, "apart", |_| {});
    let file = machine.directory().join("pid");
    machine.quiet(&["exec", "--detach", "--pid-file", file.to_str().expect("UTF-8"), "apart", "sleep", "500"]);
    let pid: i64 = fs::read_to_string(&file).expect("it is written").parse().expect("a number");
    let pids: Vec<i64> =
        serde_json::from_str(&machine.glassbox(["ps", "--format", "json", "apart"]).stdout).expect("JSON");
    assert!(pids.contains(&pid), "{pids:?} {pid}");
    machine.quiet(&["delete", "--force", "apart"]);
    assert!(!fs::exists(format!("/proc/{pid}")).expect("proc is there"), "it ends with the container");
    machine.assert_clean();
}

#[test]
fn a_paused_container_takes_a_process_only_where_that_is_asked_for() {
    let machine = machine();
    let _bundle = sleeping(&machine, "cold", |_| {});
    machine.quiet(&["pause", "cold"]);
    let refused = machine.glassbox(["exec", "cold", "true"]);
    assert_eq!(refused.status, 255);
    assert_eq!(refused.stderr, "error: cannot exec in a paused container (use --ignore-paused to override)\n");
    let mut child = Command::new(machine.binary());
    child.args(["exec", "--ignore-paused", "cold", "echo", "thawed"]).stdout(Stdio::piped());
    let mut child = child.spawn().expect("it starts");
    std::thread::sleep(Duration::from_millis(500));
    assert!(child.try_wait().expect("it is ours").is_none(), "it waits, frozen");
    machine.quiet(&["resume", "cold"]);
    let mut said = String::new();
    child.stdout.take().expect("a pipe").read_to_string(&mut said).expect("text");
    assert_eq!((said.as_str(), child.wait().expect("it ends").success()), ("thawed\n", true));
    machine.quiet(&["delete", "--force", "cold"]);
    machine.assert_clean();
}

/// runc 1.1.5 and crun once let the container's processes trace one that was on its way in (CVE-2016-9962).
#[test]
fn nobody_inside_sees_descriptors_of_the_host_in_it() {
    let machine = machine();
    let _bundle = sleeping(&machine, "watch", |config| {
        config["process"]["capabilities"]["bounding"] = json!(["CAP_SYS_PTRACE", "CAP_KILL"]);
        config["process"]["capabilities"]["effective"] = json!(["CAP_SYS_PTRACE", "CAP_KILL"]);
        config["process"]["capabilities"]["permitted"] = json!(["CAP_SYS_PTRACE", "CAP_KILL"]);
        config["process"]["args"] = json!([
            "sh",
            "-c",
            "while :; do for p in /proc/[0-9]*; do \
            readlink $p/exe $p/fd/* 2>/dev/null; done | grep -E 'glassbox|sys/fs/cgroup|/run/' >>/dev/shm/seen; done"
        ]);
    });
    let until = Instant::now() + Duration::from_secs(4);
    while Instant::now() < until {
        assert_eq!(machine.glassbox(["exec", "watch", "true"]).status, 0);
    }
    let seen = machine.glassbox(["exec", "watch", "cat", "/dev/shm/seen"]);
    assert_eq!((seen.status, seen.stdout.as_str()), (0, ""), "descriptors and programs of the host, seen from inside");
    machine.quiet(&["delete", "--force", "watch"]);
    machine.assert_clean();
}

#[test]
fn a_terminal_is_the_containers_own_and_no_lookalike() {
    let machine = machine();
    let bundle = sleeping(&machine, "term", |_| {});
    let (seen, status) = on_a_terminal(&machine, &["exec", "-t", "term", "sh", "-c", "tty; stty size; exit 3"]);
    assert!(seen.contains("/dev/pts/0\r\n33 111\r\n"), "of the size that ours has: {seen:?}");
    assert_eq!(status, Some(3), "{seen}");
    machine.quiet(&["delete", "--force", "term"]);
    drop(bundle);
    // A container that has put something else where terminals are made gets nothing of it (CVE-2025-52565).
    let bundle = machine.bundle("fake");
    bundle.edit(|config| {
        let mounts = config["mounts"].as_array_mut().expect("a list");
        mounts.retain(|mount| mount["destination"] != "/dev/pts");
        config["root"]["readonly"] = json!(false);
        config["process"]["args"] = json!(["sh", "-c", "mkdir -p /dev/pts; : >/dev/pts/ptmx; sleep 1000"]);
    });
    machine.quiet(&["run", "--detach", "--bundle", bundle.path(), "fake"]);
    wait_until("it is there", || machine.glassbox(["exec", "fake", "test", "-e", "/dev/pts/ptmx"]).status == 0);
    let (seen, status) = on_a_terminal(&machine, &["exec", "-t", "fake", "true"]);
    assert_eq!(status, Some(255), "{seen}");
    assert!(seen.contains("open a terminal") && seen.contains("ENOTTY"), "{seen}");
    machine.quiet(&["delete", "--force", "fake"]);
    machine.assert_clean();
}
