//! What podman and docker spell alike. `BASE` stands before the image in each run.

use std::fs;
use std::path::Path;

use crate::engine::{Engine, cgroup_of};
use crate::support::{Machine, sh, wait_until};

/// No network, which has a test of its own.
const BASE: [&str; 2] = ["--network", "none"];

const WAITS: &str = "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.1; done";

fn run(engine: &Engine, options: &[&str], program: &[&str]) -> crate::support::Output {
    engine.run(&[&["run", "--rm"], &BASE[..], options, &["box"], program].concat())
}

/// A detached container that has begun to run.
fn detached(engine: &Engine, name: &str, options: &[&str]) {
    engine.ok(&[&["run", "-d", "--name", name], &BASE[..], options, &["box", "sh", "-c", WAITS]].concat());
    wait_until("it says that it runs", || engine.ok(&["logs", name]).starts_with("up"));
}

fn inspect(engine: &Engine, name: &str, format: &str) -> String {
    engine.ok(&["inspect", name, "--format", format])
}

/// Output, exit codes, and the codes of programs that cannot run.
pub fn runs_to_completion(engine: &Engine) {
    let ran = run(engine, &[], &["sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert_eq!((ran.status, ran.stdout.as_str(), ran.stderr.as_str()), (7, "out\n", "err\n"));
    let killed = run(engine, &[], &["sh", "-c", "kill -9 $$; sh -c 'kill -9 $PPID'; exit 5"]);
    assert_eq!(killed.status, 5, "the first process of a PID namespace is immune to those in it");
    for (program, status, words) in [
        ("nosuch", 127, "executable file not found in $PATH"),
        ("/nosuch", 127, "no such file or directory"),
        ("/etc/passwd", 126, "permission denied"),
    ] {
        let ran = run(engine, &[], &[program]);
        assert!(ran.status == status && ran.stderr.contains(words), "{program}: {ran:?}");
    }
    let shown = run(engine, &["-t"], &["sh", "-c", "tty; test -t 0 && echo yes"]);
    assert_eq!((shown.status, shown.stdout.as_str()), (0, "/dev/pts/0\r\nyes\r\n"));
}

/// A container that stays: exec, with a terminal too, top, pause, stop with its signal handled, the exit code kept.
pub fn lives_and_is_looked_into(engine: &Engine) {
    detached(engine, "stays", &[]);
    assert_eq!(inspect(engine, "stays", "{{.State.Status}}"), "running");
    let ran = engine.run(&[
        "exec",
        "-e",
        "WHO=me",
        "-w",
        "/tmp",
        "-u",
        "5:6",
        "stays",
        "sh",
        "-c",
        "echo $WHO; pwd; id -u; exit 9",
    ]);
    assert_eq!((ran.status, ran.stdout.as_str()), (9, "me\n/tmp\n5\n"));
    assert_eq!(engine.run(&["exec", "-t", "stays", "tty"]).stdout, "/dev/pts/0\r\n");
    assert!(engine.on_a_terminal(&["exec", "-it", "stays", "sh", "-c", "echo $((6*7)); stty size"]).contains("42\r\n"));
    let missing = engine.run(&["exec", "stays", "nosuch"]);
    assert!([126, 127].contains(&missing.status), "{missing:?}");
    engine.ok(&["exec", "-d", "stays", "sleep", "77"]);
    wait_until("top shows it", || engine.ok(&["top", "stays"]).contains("sleep 77"));
    let cgroup = cgroup_of(&inspect(engine, "stays", "{{.State.Pid}}"));
    engine.ok(&["pause", "stays"]);
    assert_eq!(inspect(engine, "stays", "{{.State.Status}}"), "paused");
    assert!(fs::read_to_string(cgroup.join("cgroup.events")).expect("readable").contains("frozen 1"));
    engine.ok(&["unpause", "stays"]);
    assert_eq!(inspect(engine, "stays", "{{.State.Status}}"), "running");
    engine.ok(&["stop", "-t", "20", "stays"]);
    assert_eq!(inspect(engine, "stays", "{{.State.Status}} {{.State.ExitCode}}"), "exited 3");
    assert!(engine.ok(&["logs", "stays"]).ends_with("bye"));
    engine.ok(&["start", "stays"]);
    engine.ok(&["kill", "--signal", "KILL", "stays"]);
    wait_until("it has ended", || inspect(engine, "stays", "{{.State.Status}} {{.State.ExitCode}}") == "exited 137");
    engine.ok(&["rm", "stays"]);
}

/// Limits at creation, changed while it runs, and the kernel's files for both.
pub fn limits_hold_and_change(engine: &Engine) {
    let options = ["-m", "64m", "--cpus", "0.5", "--pids-limit", "44", "--cpu-shares", "512"];
    detached(engine, "small", &options);
    let cgroup = cgroup_of(&inspect(engine, "small", "{{.State.Pid}}"));
    let file = |name: &str| fs::read_to_string(cgroup.join(name)).expect(name).trim_end().to_string();
    let files = || ["memory.max", "cpu.max", "pids.max"].map(file);
    assert_eq!(files(), ["67108864", "50000 100000", "44"]);
    let weight = file("cpu.weight");
    assert_eq!(weight, "59", "512 shares");
    assert_eq!(inspect(engine, "small", "{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}}"), "67108864 44");
    engine.ok(&["update", "-m", "96m", "--memory-swap", "-1", "--cpus", "0.25", "small"]);
    assert_eq!(files(), ["100663296", "25000 100000", "44"]);
    assert_eq!(file("cpu.weight"), weight, "what is not named stays");
    engine.ok(&["rm", "-f", "small"]);
}

/// A container whose cgroup systemd has made: where it is, what systemd and the kernel say of it, and that it goes.
pub fn lives_in_a_scope(engine: &Engine, slice: &str, prefix: &str) {
    detached(engine, "scoped", &["-m", "64m", "--cpus", "0.5"]);
    let unit = format!("{prefix}-{}.scope", inspect(engine, "scoped", "{{.Id}}"));
    let cgroup = cgroup_of(&inspect(engine, "scoped", "{{.State.Pid}}"));
    assert_eq!(cgroup, Path::new("/sys/fs/cgroup").join(slice).join(&unit));
    let file = |name: &str| fs::read_to_string(cgroup.join(name)).expect(name).trim_end().to_string();
    let show =
        || sh(&format!("systemctl show --value -p MemoryMax -p CPUQuotaPerSecUSec {unit}")).stdout.replace('\n', " ");
    assert_eq!(["memory.max", "cpu.max"].map(file), ["67108864", "50000 100000"]);
    assert_eq!(show(), "500ms 67108864 ");
    engine.ok(&["update", "-m", "96m", "--memory-swap", "-1", "--cpus", "0.25", "scoped"]);
    assert_eq!(["memory.max", "cpu.max"].map(file), ["100663296", "25000 100000"]);
    assert_eq!(show(), "250ms 100663296 ");
    assert_eq!(engine.ok(&["exec", "scoped", "cat", "/proc/self/cgroup"]), "0::/");
    engine.ok(&["pause", "scoped"]);
    assert_eq!(inspect(engine, "scoped", "{{.State.Status}}"), "paused");
    engine.ok(&["unpause", "scoped"]);
    engine.ok(&["stop", "-t", "20", "scoped"]);
    assert_eq!(inspect(engine, "scoped", "{{.State.Status}} {{.State.ExitCode}}"), "exited 3");
    engine.ok(&["rm", "scoped"]);
    let units = || sh(&format!("systemctl list-units --all --plain --no-legend '{prefix}-*'")).stdout;
    wait_until("no unit is left", || units().is_empty());
}

/// Who the program is and what it may do.
pub fn power_is_narrow(engine: &Engine) {
    let line = "grep -E 'CapEff|Seccomp:|NoNewPrivs' /proc/self/status; id -u; id -g";
    let ran = run(engine, &["--user", "5:6"], &["sh", "-c", line]);
    assert_eq!(ran.stdout, "CapEff:\t0000000000000000\nNoNewPrivs:\t0\nSeccomp:\t2\n5\n6\n", "{ran:?}");
    let options = ["--cap-drop", "all", "--cap-add", "net_raw", "--security-opt", "no-new-privileges"];
    let ran = run(engine, &options, &["sh", "-c", line]);
    assert_eq!(ran.stdout, "CapEff:\t0000000000002000\nNoNewPrivs:\t1\nSeccomp:\t2\n0\n0\n", "{ran:?}");
    let ran = run(engine, &["--security-opt", "seccomp=unconfined"], &["grep", "Seccomp:", "/proc/self/status"]);
    assert_eq!(ran.stdout, "Seccomp:\t0\n");
    let ran = run(engine, &["--privileged"], &["sh", "-c", "mount -t tmpfs t /tmp && echo mounted"]);
    assert_eq!(ran.stdout, "mounted\n", "{ran:?}");
    let ran = run(engine, &["--sysctl", "net.ipv4.ip_forward=1"], &["cat", "/proc/sys/net/ipv4/ip_forward"]);
    assert_eq!(ran.stdout, "1\n", "{ran:?}");
}

/// A root that nobody writes to, tmpfs and bind mounts.
pub fn files_are_where_they_are_asked_for(machine: &Machine, engine: &Engine) {
    let ran = run(engine, &["--read-only"], &["sh", "-c", "echo x >/x || echo y >/tmp/y && cat /tmp/y"]);
    assert!(ran.stderr.contains("Read-only file system"), "{ran:?}");
    let shared = machine.directory().join("shared");
    fs::create_dir(&shared).expect("writable");
    fs::write(shared.join("there"), "text\n").expect("writable");
    let (ro, rw) = (format!("{}:/ro:ro", shared.display()), format!("{}:/rw", shared.display()));
    let options = ["--tmpfs", "/t:size=1m,mode=1777", "-v", &ro, "-v", &rw];
    let line = "cat /ro/there; touch /ro/x; echo new >/rw/made; cat /ro/made; df -m /t | tail -1 | awk '{print $2}'";
    let ran = run(engine, &options, &["sh", "-c", line]);
    assert_eq!(ran.stdout, "text\nnew\n1\n", "{ran:?}");
    assert!(ran.stderr.contains("Read-only file system"), "{ran:?}");
    assert_eq!(fs::read_to_string(shared.join("made")).expect("made inside"), "new\n");
}

/// The engine's own small init is process 1, and reaps.
pub fn init_is_first(engine: &Engine) {
    let ran = run(engine, &["--init"], &["sh", "-c", "cat /proc/1/comm; echo $$"]);
    let lines: Vec<_> = ran.stdout.lines().collect();
    assert!(lines.len() == 2 && lines[0].contains("init") && lines[1] != "1", "{ran:?}");
}

/// A container's own network, joined by path or made by the engine's hook.
pub fn network_is_there(engine: &Engine) {
    let ran = engine.run(&["run", "--rm", "box", "ip", "-4", "addr"]);
    assert!(ran.status == 0 && ran.stdout.contains("eth0") && ran.stdout.contains("LOOPBACK,UP"), "{ran:?}");
    let ran = engine.run(&["run", "--rm", "--network", "host", "box", "hostname"]);
    assert_eq!((ran.status, ran.stdout.as_str()), (0, "glassbox-vm\n"), "{ran:?}");
}

/// Memory runs out; returns what the engine says of it.
pub fn runs_out_of_memory(engine: &Engine) -> String {
    let words = ["run", "--name", "hungry", "-m", "16m"];
    let ran = engine.run(&[&words, &BASE[..], &["box", "tail", "/dev/zero"]].concat());
    assert_eq!(ran.status, 137, "{ran:?}");
    let told = inspect(engine, "hungry", "{{.State.ExitCode}} {{.State.OOMKilled}}");
    engine.ok(&["rm", "hungry"]);
    told
}
