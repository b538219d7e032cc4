//! containerd, through its shim io.containerd.runc.v2 and go-runc. Its daemon has the snippet as its configuration.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::engine::{Engine, RUNTIME, cgroup_of, daemon, image, install};
use crate::support::{Machine, Output, machine, sh, wait_until};

const SNIPPET: &str = include_str!("../../contrib/engines/containerd.toml");
const CTR: Engine = Engine(&["ctr"]);
const IMAGE: &str = "localhost/box:latest";

/// Starts containerd and gives it the image, once.
fn containerd() {
    static READY: OnceLock<()> = OnceLock::new();
    READY.get_or_init(|| {
        install("/etc/containerd/config.toml", SNIPPET);
        install("/etc/containers/policy.json", r#"{"default":[{"type":"insecureAcceptAnything"}]}"#);
        // podman makes an archive of an image out of the tar.
        let made = sh(&format!(
            "podman import {} {IMAGE} && podman save --format docker-archive -o /var/tmp/archive.tar {IMAGE}",
            image()
        ));
        assert_eq!(made.status, 0, "{made:?}");
        drop(daemon(&["containerd"], &CTR, &["version"]));
        CTR.ok(&["image", "import", "/var/tmp/archive.tar"]);
        let known = sh("containerd config dump");
        assert!(known.stdout.contains(&format!("BinaryName = \"{RUNTIME}\"")), "{known:?}");
        run(&["--rm"], "first", &["true"]);
    });
}

fn run(options: &[&str], id: &str, program: &[&str]) -> Output {
    CTR.run(&[&["run", "--runc-binary", RUNTIME], options, &[IMAGE, id], program].concat())
}

fn pid(id: &str) -> String {
    let list = CTR.ok(&["task", "ls"]);
    let line = list.lines().find(|line| line.starts_with(id)).expect("the task is listed");
    line.split_whitespace().nth(1).expect("a process id").to_string()
}

fn status(id: &str) -> String {
    let list = CTR.ok(&["task", "ls"]);
    let line = list.lines().find(|line| line.starts_with(id)).unwrap_or_default();
    line.split_whitespace().nth(2).unwrap_or_default().to_string()
}

#[test]
fn containerd_runs_to_completion() {
    containerd();
    let _machine = machine();
    let ran = run(&["--rm"], "ends", &["sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert_eq!((ran.status, ran.stdout.as_str()), (7, "out\n"), "{ran:?}");
    assert!(ran.stderr.contains("err\n"), "{ran:?}");
    let ran = run(&["--rm"], "ends", &["nosuch"]);
    assert!(ran.status == 1 && ran.stderr.contains("exec: \"nosuch\": executable file not found in $PATH"), "{ran:?}");
    let ran = run(&["--rm", "--read-only"], "ends", &["sh", "-c", "echo x >/x"]);
    assert!(ran.status == 1 && ran.stderr.contains("Read-only file system"), "{ran:?}");
    let ran = run(&["--rm", "--seccomp"], "ends", &["grep", "Seccomp:", "/proc/self/status"]);
    assert_eq!(ran.stdout, "Seccomp:\t2\n", "{ran:?}");
    let ran = run(&["--rm", "--net-host"], "ends", &["hostname"]);
    assert_eq!(ran.stdout, "glassbox-vm\n", "{ran:?}");
    let line = ["run", "--rm", "-t", "--runc-binary", RUNTIME, IMAGE, "ends", "tty"];
    assert!(CTR.on_a_terminal(&line).contains("/dev/pts/0"));
}

/// A task that writes to a file and ends with 3 at SIGTERM.
fn task(machine: &Machine, id: &str, options: &[&str]) {
    let log = format!("file://{}", machine.directory().join("said").display());
    let program = ["sh", "-c", "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.1; done"];
    let ran = run(&[&["-d", "--log-uri", &log], options].concat(), id, &program);
    assert_eq!(ran.status, 0, "{ran:?}");
    let said = || fs::read_to_string(machine.directory().join("said")).unwrap_or_default();
    wait_until("it says that it runs", || said().contains("up"));
}

#[test]
fn containerd_looks_into_what_lives() {
    containerd();
    let machine = machine();
    task(&machine, "stays", &[]);
    let ran = CTR.run(&["task", "exec", "--exec-id", "one", "--cwd", "/tmp", "stays", "sh", "-c", "pwd; exit 9"]);
    assert_eq!((ran.status, ran.stdout.as_str()), (9, "/tmp\n"), "{ran:?}");
    let shown = CTR.on_a_terminal(&["task", "exec", "-t", "--exec-id", "two", "stays", "tty"]);
    assert!(shown.contains("/dev/pts/0"), "{shown:?}");
    assert!(CTR.ok(&["task", "ps", "stays"]).contains(&pid("stays")));
    assert!(CTR.ok(&["task", "metrics", "stays"]).contains("memory.usage "));
    CTR.ok(&["task", "pause", "stays"]);
    assert_eq!(status("stays"), "PAUSED");
    CTR.ok(&["task", "resume", "stays"]);
    assert_eq!(status("stays"), "RUNNING");
    CTR.ok(&["task", "kill", "stays"]);
    wait_until("it has ended", || status("stays") == "STOPPED");
    let ended = CTR.run(&["task", "delete", "stays"]);
    assert!(ended.stderr.contains("exit code 3"), "{ended:?}");
    CTR.ok(&["container", "delete", "stays"]);
    assert!(fs::read_to_string(machine.directory().join("said")).expect("the log").ends_with("bye\n"));
}

#[test]
fn containerd_has_systemd_make_cgroups() {
    containerd();
    let machine = machine();
    let options = ["--runc-systemd-cgroup", "--cgroup", "system.slice:ctr:scoped", "--memory-limit", "67108864"];
    task(&machine, "scoped", &options);
    let cgroup = cgroup_of(&pid("scoped"));
    assert_eq!(cgroup, Path::new("/sys/fs/cgroup/system.slice/ctr-scoped.scope"));
    assert_eq!(fs::read_to_string(cgroup.join("memory.max")).expect("a file"), "67108864\n");
    let show = sh("systemctl show --value -p MemoryMax ctr-scoped.scope");
    assert_eq!(show.stdout, "67108864\n", "{show:?}");
    let ran = CTR.run(&["task", "exec", "--exec-id", "one", "scoped", "cat", "/proc/self/cgroup"]);
    // As the container sees it: from its own root where ctr asks for a cgroup namespace, else from the host's.
    assert!(["0::/\n", "0::/system.slice/ctr-scoped.scope\n"].contains(&ran.stdout.as_str()), "{ran:?}");
    CTR.ok(&["task", "kill", "scoped"]);
    wait_until("it has ended", || status("scoped") == "STOPPED");
    CTR.run(&["task", "delete", "scoped"]);
    CTR.ok(&["container", "delete", "scoped"]);
    let units = || sh("systemctl list-units --all --plain --no-legend 'ctr-*'").stdout;
    wait_until("no unit is left", || units().is_empty());
}

#[test]
fn containerd_limits_and_tells_of_memory() {
    containerd();
    let machine = machine();
    task(&machine, "small", &["--memory-limit", "67108864", "--cpu-quota", "50000", "--cpu-period", "100000"]);
    let cgroup = cgroup_of(&pid("small"));
    let file = |name: &str| fs::read_to_string(cgroup.join(name)).expect(name).trim_end().to_string();
    assert_eq!(["memory.max", "cpu.max"].map(file), ["67108864", "50000 100000"]);
    CTR.ok(&["task", "kill", "-s", "KILL", "small"]);
    wait_until("it has ended", || status("small") == "STOPPED");
    CTR.run(&["task", "delete", "small"]);
    CTR.ok(&["container", "delete", "small"]);

    let events = machine.directory().join("events");
    let mut watch = Command::new("ctr")
        .arg("events")
        .stdin(Stdio::null())
        .stdout(fs::File::create(&events).expect("writable"))
        .spawn()
        .expect("ctr");
    let told = || fs::read_to_string(&events).expect("readable");
    std::thread::sleep(std::time::Duration::from_millis(500));
    let ran = run(&["--rm", "--memory-limit", "16777216"], "hungry", &["tail", "/dev/zero"]);
    assert_eq!(ran.status, 137, "{ran:?}");
    wait_until("the shim has told", || told().contains("/tasks/oom {\"container_id\":\"hungry\"}"));
    watch.kill().expect("it is there");
    watch.wait().expect("it ends");
}
