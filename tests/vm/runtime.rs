//! A bundle's life on a real kernel: run, create, start, state, kill, delete, list; what is seen inside, and what the
//! kernel's own files say of the limits.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Bundle, Machine, Output, machine, sh, wait_until};

/// A bundle whose program waits until it gets SIGTERM, and then exits with 3.
fn waiting(machine: &Machine, name: &str) -> Bundle {
    let bundle = machine.bundle(name);
    bundle.args(&["sh", "-c", "trap 'exit 3' TERM; while :; do sleep 0.05; done"]);
    bundle
}

/// Runs a line of shell in a container of this bundle.
fn inside(machine: &Machine, bundle: &Bundle, line: &str) -> Output {
    bundle.args(&["sh", "-c", line]);
    machine.glassbox(["run", "--bundle", bundle.path(), "inside"])
}

fn state(machine: &Machine, id: &str) -> Value {
    let state = machine.glassbox(["state", id]);
    assert_eq!((state.status, state.stderr.as_str()), (0, ""));
    serde_json::from_str(&state.stdout).expect("state is JSON")
}

fn cgroup(id: &str, file: &str) -> String {
    let path = format!("/sys/fs/cgroup/glassbox-{id}/{file}");
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}")).trim_end().to_string()
}

#[test]
fn a_bundle_runs_prints_and_exits_with_the_programs_code() {
    let machine = machine();
    let bundle = machine.bundle("hello");
    let ran = inside(&machine, &bundle, "echo hello; echo oops >&2; exit 7");
    assert_eq!((ran.status, ran.stdout.as_str(), ran.stderr.as_str()), (7, "hello\n", "oops\n"));
    let killed = inside(&machine, &bundle, "kill -KILL $$; sleep 1; sh -c 'kill -9 $$'; exit $?");
    assert_eq!(killed.status, 137, "128 + SIGKILL, as a shell counts");
}

#[test]
fn inside_everything_differs_from_the_host() {
    let machine = machine();
    let bundle = machine.bundle("view");
    let ran = inside(
        &machine,
        &bundle,
        "ps -o pid,comm | grep ' 1 '; hostname; ip -o link; id -u; cat /proc/self/cgroup; ls /",
    );
    assert!(ran.stdout.contains("1 sh"), "ps shows PID 1: {}", ran.stdout);
    assert!(ran.stdout.contains("glassbox\n") && sh("hostname").stdout != "glassbox\n", "{}", ran.stdout);
    assert_eq!(ran.stdout.matches("mtu").count(), 1, "lo alone: {}", ran.stdout);
    assert!(ran.stdout.contains("LOOPBACK,UP"), "lo is up: {}", ran.stdout);
    assert!(ran.stdout.contains("0::/\n"), "the cgroup namespace hides the path: {}", ran.stdout);
    for kind in ["pid", "net", "mnt", "uts", "ipc", "cgroup"] {
        let ran = inside(&machine, &bundle, &format!("readlink /proc/self/ns/{kind}"));
        let host = fs::read_link(format!("/proc/self/ns/{kind}")).expect("a namespace link");
        assert_ne!(Path::new(ran.stdout.trim_end()), host, "{kind} namespace");
    }
}

#[test]
fn the_view_of_files_is_the_containers_alone() {
    let machine = machine();
    let bundle = machine.bundle("files");
    let mounts = inside(&machine, &bundle, "cat /proc/self/mounts").stdout;
    for expected in
        [" /proc proc rw", " /dev tmpfs rw,nosuid", " /sys sysfs ro,nosuid,nodev,noexec", " /sys/fs/cgroup cgroup2 ro"]
    {
        assert!(mounts.contains(expected), "{expected:?} is missing from\n{mounts}");
    }
    assert!(mounts.lines().next().is_some_and(|root| root.contains(" / ") && root.contains("ro")), "{mounts}");
    let masked = inside(
        &machine,
        &bundle,
        "cat /proc/kcore /proc/keys | wc -c; ls -A /sys/firmware | wc -l; echo x > /proc/sys/kernel/hostname",
    );
    assert_eq!(masked.stdout, "0\n0\n", "masked files and directories are empty");
    assert!(masked.stderr.contains("Read-only file system"), "{}", masked.stderr);
    let devices = inside(
        &machine,
        &bundle,
        "cd /dev; stat -c '%n %F %t:%T %a' full null random tty urandom zero; for l in fd ptmx stderr; do readlink $l; done",
    );
    let expected = "full character special file 1:7 666\nnull character special file 1:3 666\n\
        random character special file 1:8 666\ntty character special file 5:0 666\n\
        urandom character special file 1:9 666\nzero character special file 1:5 666\n\
        /proc/self/fd\npts/ptmx\n/proc/self/fd/2\n";
    assert_eq!(devices.stdout, expected);
}

#[test]
fn a_file_system_may_begin_with_what_it_covers() {
    let machine = machine();
    let bundle = machine.bundle("begin");
    let covered = bundle.rootfs().join("srv");
    sh(&format!(
        "mkdir -p {0}/deep/er && cd {0} && echo text > deep/er/file && chmod 4751 deep/er/file && chown 5:6 deep \
         && ln -s /etc/passwd link && mkfifo pipe && touch -d @0 deep/er/file && chmod 3770 .",
        covered.display()
    ));
    bundle.edit(|config| {
        let mounts = config["mounts"].as_array_mut().expect("a list");
        mounts.push(json!({"destination": "/srv", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "tmpcopyup", "size=1m"]}));
        mounts.push(json!({"destination": "/new", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup"]}));
    });
    let ran = inside(
        &machine,
        &bundle,
        "cd /srv; cat deep/er/file; stat -c '%n %F %a %u:%g' . deep deep/er/file link pipe; readlink link; echo more > own; ls /new",
    );
    let expected = "text\n. directory 3770 0:0\ndeep directory 755 5:6\ndeep/er/file regular file 4751 0:0\n\
        link symbolic link 777 0:0\npipe fifo 644 0:0\n/etc/passwd\n";
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), (expected, ""));
    assert!(!covered.join("own").exists(), "what is written stays in the container");
}

#[test]
fn power_is_given_away() {
    let machine = machine();
    let bundle = machine.bundle("power");
    let status =
        inside(&machine, &bundle, "grep -E '^(Cap|NoNewPrivs)' /proc/self/status; ulimit -n; ls /proc/self/fd").stdout;
    let caps = "0000000020000420"; // CAP_AUDIT_WRITE, CAP_KILL, CAP_NET_BIND_SERVICE
    for line in
        [format!("CapPrm:\t{caps}"), format!("CapEff:\t{caps}"), format!("CapBnd:\t{caps}"), "NoNewPrivs:\t1".into()]
    {
        assert!(status.contains(&line), "{line:?} is missing from\n{status}");
    }
    assert!(status.contains("CapInh:\t0000000000000000") && status.contains("CapAmb:\t0000000000000000"), "{status}");
    assert!(status.ends_with("1024\n0\n1\n2\n3\n"), "RLIMIT_NOFILE, and no descriptor but ls's own:\n{status}");
    bundle.edit(|config| {
        config["process"]["user"] = json!({"uid": 1000, "gid": 1001, "additionalGids": [5, 6], "umask": 0o027});
        config["process"]["cwd"] = "/made/for/me".into();
    });
    let who = inside(&machine, &bundle, "id; umask; pwd; echo $HOME; grep CapEff /proc/self/status").stdout;
    assert_eq!(who, "uid=1000 gid=1001 groups=5(tty),6\n0027\n/made/for/me\n/\nCapEff:\t0000000000000000\n");
}

#[test]
fn a_user_namespace_maps_ids_and_can_do_the_same() {
    let machine = machine();
    let bundle = machine.bundle("user");
    sh(&format!("chown -R 100000:100000 {}", bundle.rootfs().display()));
    bundle.edit(|config| {
        config["linux"]["namespaces"].as_array_mut().expect("a list").push(json!({"type": "user"}));
        let maps = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
        config["linux"]["uidMappings"] = maps.clone();
        config["linux"]["gidMappings"] = maps;
    });
    // The bundle's directory belongs to root alone; the mapped user must reach the rootfs below it.
    sh(&format!("chmod 755 {} {}", machine.directory().display(), bundle.path()));
    let ran = inside(
        &machine,
        &bundle,
        "id -u; cat /proc/self/uid_map; hostname; echo > /dev/null && echo null; cat /proc/self/mounts | grep -c cgroup2",
    );
    assert_eq!(ran.stderr, "");
    let words: Vec<_> = ran.stdout.split_whitespace().collect();
    assert_eq!(words, ["0", "0", "100000", "65536", "glassbox", "null", "1"]);
}

#[test]
fn limits_read_back_what_the_config_asked_for() {
    let machine = machine();
    let bundle = waiting(&machine, "limits");
    bundle.edit(|config| {
        config["linux"]["resources"] = json!({
            "cpu": {"shares": 512, "quota": 50000, "period": 100000, "cpus": "0", "mems": "0"},
            "memory": {"limit": 67108864, "reservation": 33554432, "swap": 100663296},
            "pids": {"limit": 32}
        });
    });
    machine.quiet(&["create", "--bundle", bundle.path(), "limits"]);
    let expected = [
        ("cpu.weight", "59"),
        ("cpu.max", "50000 100000"),
        ("cpuset.cpus", "0"),
        ("cpuset.mems", "0"),
        ("memory.max", "67108864"),
        ("memory.low", "33554432"),
        ("memory.swap.max", "33554432"),
        ("pids.max", "32"),
    ];
    for (file, value) in expected {
        assert_eq!(cgroup("limits", file), value, "{file}");
    }
    // Read again by somebody else's code.
    let other = cgroups_rs::fs::Cgroup::load(cgroups_rs::fs::hierarchies::auto(), "glassbox-limits");
    let memory: &cgroups_rs::fs::memory::MemController = other.controller_of().expect("a memory controller");
    assert_eq!(memory.memory_stat().limit_in_bytes, 67_108_864);
    let pid = state(&machine, "limits")["pid"].as_i64().expect("a number").to_string();
    assert_eq!(cgroup("limits", "cgroup.procs"), pid, "the process was born into its cgroup");
    machine.quiet(&["delete", "--force", "limits"]);
}

#[test]
fn a_container_without_memory_to_start_says_so() {
    let machine = machine();
    let bundle = machine.bundle("tight");
    bundle.edit(|config| config["linux"]["resources"]["memory"] = json!({"limit": 4096}));
    let ran = inside(&machine, &bundle, "echo never");
    assert_eq!((ran.status, ran.stdout.as_str()), (1, ""));
    assert!(ran.stderr.contains("ended before it was ready") && ran.stderr.contains("memory.limit"), "{}", ran.stderr);
}

#[test]
fn devices_that_are_not_allowed_cannot_be_used() {
    let machine = machine();
    let bundle = machine.bundle("devices");
    bundle.edit(|config| {
        let all: Vec<_> = ["CAP_MKNOD", "CAP_DAC_OVERRIDE"].map(Value::from).into();
        for set in ["bounding", "effective", "permitted"] {
            config["process"]["capabilities"][set] = all.clone().into();
        }
    });
    let line = "mknod /dev/kmsg2 c 1 11 && cat /dev/kmsg2; cat /dev/null && echo null";
    let ran = inside(&machine, &bundle, line);
    assert_eq!(ran.stdout, "null\n");
    assert!(
        ran.stderr.contains("Operation not permitted"),
        "the kernel log is no device of a container: {}",
        ran.stderr
    );
    bundle.edit(|config| config["linux"]["resources"] = json!({}));
    let ran = inside(&machine, &bundle, "mknod /dev/zero2 c 1 5 && head -c 3 /dev/zero2 | wc -c");
    assert_eq!(ran.stdout, "3\n", "without rules there is no filter");
}

#[test]
fn create_start_state_kill_delete_is_one_life() {
    let machine = machine();
    let bundle = waiting(&machine, "life");
    let pid_file = machine.directory().join("pid");
    machine.quiet(&["create", "--bundle", bundle.path(), "--pid-file", pid_file.to_str().expect("UTF-8"), "life"]);
    let created = state(&machine, "life");
    assert_eq!((&created["status"], &created["id"]), (&json!("created"), &json!("life")));
    assert_eq!(created["pid"].to_string(), fs::read_to_string(&pid_file).expect("a pid file"));
    let path = fs::canonicalize(bundle.path()).expect("it is there");
    assert_eq!(created["bundle"].as_str(), path.to_str());
    // What is changed in the bundle after create does not matter.
    bundle.args(&["false"]);

    machine.quiet(&["start", "life"]);
    assert_eq!(state(&machine, "life")["status"], "running");
    let again = machine.glassbox(["start", "life"]);
    assert_eq!(
        (again.status, again.stderr.as_str()),
        (1, "error: cannot start container \"life\" in the running state\n")
    );
    let early = machine.glassbox(["delete", "life"]);
    assert_eq!(early.status, 1);
    assert!(
        early.stderr.contains("in the running state") && early.stderr.contains("delete --force life"),
        "{}",
        early.stderr
    );
    let listed: Value = serde_json::from_str(&machine.glassbox(["list", "--format", "json"]).stdout).expect("JSON");
    assert_eq!(listed, json!([state(&machine, "life")]));

    // The trap may not be set yet: a first process without a handler ignores the signal.
    wait_until("the container stops", || {
        machine.glassbox(["kill", "life", "TERM"]);
        state(&machine, "life")["status"] == "stopped"
    });
    let dead = machine.glassbox(["kill", "life"]);
    assert_eq!((dead.status, dead.stderr.as_str()), (1, "error: container not running\n"));
    machine.quiet(&["delete", "life"]);
    let gone = machine.glassbox(["state", "life"]);
    assert_eq!(gone.status, 1);
    assert!(gone.stderr.starts_with("error: container \"life\" does not exist\n  hint: `glassbox list`"), "{gone:?}");
    machine.quiet(&["delete", "--force", "life"]);
}

#[test]
fn a_detached_run_stays_and_a_created_container_can_be_deleted() {
    let machine = machine();
    let bundle = waiting(&machine, "stays");
    let detached = Command::new(machine.binary())
        .args(["run", "--detach", "--bundle", bundle.path(), "stays"])
        .stdout(Stdio::null())
        .status()
        .expect("it runs");
    assert!(detached.success());
    assert_eq!(state(&machine, "stays")["status"], "running");
    machine.quiet(&["kill", "stays", "9"]);
    wait_until("it stops", || state(&machine, "stays")["status"] == "stopped");
    machine.quiet(&["delete", "stays"]);
    machine.quiet(&["create", "--bundle", bundle.path(), "stays"]);
    machine.quiet(&["delete", "stays"]);
}

#[test]
fn signals_to_a_foreground_run_reach_the_container() {
    let machine = machine();
    let bundle = machine.bundle("signal");
    bundle.args(&["sh", "-c", "trap 'exit 3' TERM; echo up; while :; do sleep 0.05; done"]);
    let mut run = Command::new(machine.binary())
        .args(["run", "--bundle", bundle.path(), "signal"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut line = [0; 3];
    std::io::Read::read_exact(run.stdout.as_mut().expect("piped"), &mut line).expect("it says up");
    assert_eq!(&line, b"up\n");
    assert!(Command::new("kill").args(["-TERM", &run.id().to_string()]).status().expect("kill").success());
    assert_eq!(run.wait().expect("it ends").code(), Some(3), "the trap's exit code");
}

#[test]
fn a_terminal_is_one_to_the_program() {
    let machine = machine();
    let bundle = machine.bundle("tty");
    bundle.edit(|config| {
        config["process"]["terminal"] = true.into();
        config["process"]["consoleSize"] = json!({"height": 31, "width": 97});
    });
    let ran = inside(&machine, &bundle, "tty; stty size; test -t 0 && test -t 2 && echo yes; stat -c %F /dev/console");
    assert_eq!((ran.status, ran.stdout.as_str()), (0, "/dev/pts/0\r\n31 97\r\nyes\r\ncharacter special file\r\n"));
}

/// Bad input: what is said, and that nothing is left (the machine is compared at the end of every test).
fn refused(machine: &Machine, bundle: &str, id: &str, expected: &[&str]) {
    for verb in ["create", "run"] {
        let output = machine.glassbox([verb, "--bundle", bundle, "--", id]);
        assert_eq!((output.status, output.stdout.as_str()), (1, ""), "{verb} {id:?}: {}", output.stderr);
        for words in expected {
            assert!(output.stderr.contains(words), "{verb} {id:?}: {words:?} is missing from {}", output.stderr);
        }
        assert!(output.stderr.contains("hint: ") || !expected.contains(&"hint"), "{}", output.stderr);
    }
    machine.assert_clean();
}

#[test]
fn bad_bundles_are_refused_and_leave_nothing() {
    let machine = machine();
    let bundle = machine.bundle("bad");
    let config = bundle.path().to_string() + "/config.json";
    let good = fs::read_to_string(&config).expect("it is there");
    let none = machine.directory().join("none");
    refused(&machine, none.to_str().expect("UTF-8"), "x", &["the bundle directory does not exist", "hint"]);
    let bare = machine.bare_bundle("bare");
    refused(&machine, bare.path(), "x", &["config.json does not exist", "hint"]);
    fs::write(&config, &good[..good.len() / 2]).expect("writable");
    refused(&machine, bundle.path(), "x", &["config.json is not valid JSON", "line"]);
    let cases: [(&str, Value, &[&str]); 7] = [
        ("/linux/namespaces/0/type", json!("netz"), &["linux.namespaces[0].type", "netz"]),
        ("/root/path", json!("nowhere"), &["nowhere", "the rootfs that root.path names does not exist", "hint"]),
        ("/process/args", json!(["nosuch"]), &["exec: \"nosuch\": executable file not found in $PATH", "hint"]),
        ("/process/args", json!(["/etc/passwd"]), &["exec: \"/etc/passwd\": permission denied"]),
        ("/process/cwd", json!("relative"), &["process.cwd", "not an absolute path"]),
        (
            "/linux/resources",
            json!({"unified": {"nosuch.max": "1"}}),
            &["linux.resources.unified.nosuch.max", "nosuch controller is missing", "doctor"],
        ),
        (
            "/linux/resources",
            json!({"cpu": {"quota": 5, "period": 3}}),
            &["step", "write(\"/sys/fs/cgroup/glassbox-x/cpu.max\", \"5 3\") = EINVAL", "hint"],
        ),
    ];
    for (pointer, value, expected) in cases {
        fs::write(&config, &good).expect("writable");
        bundle.edit(|config| *config.pointer_mut(pointer).expect("it is there") = value.clone());
        refused(&machine, bundle.path(), "x", expected);
    }
    fs::write(&config, &good).expect("writable");
    bundle.edit(|config| config["mounts"][4]["type"] = "nosuchfs".into());
    refused(&machine, bundle.path(), "x", &["step ", "(mount nosuchfs on /dev/mqueue", "fsopen = ENODEV", "modprobe"]);
}

#[test]
fn bad_ids_are_refused_and_leave_nothing() {
    let machine = machine();
    let bundle = machine.bundle("ids");
    for id in ["..", ".", "/etc", "", &"x".repeat(300), "a b", "ü"] {
        refused(&machine, bundle.path(), id, &["container id", "hint"]);
        for verb in ["state", "start", "delete", "kill"] {
            let output = machine.glassbox([verb, "--", id]);
            assert_eq!(output.status, 1, "{verb} {id:?}");
            assert!(output.stderr.contains("container id"), "{verb} {id:?}: {}", output.stderr);
        }
    }
    assert!(Path::new("/etc/passwd").exists());
}

#[test]
fn an_id_is_used_once() {
    let machine = machine();
    let bundle = waiting(&machine, "once");
    machine.quiet(&["create", "--bundle", bundle.path(), "once"]);
    let again = machine.glassbox(["create", "--bundle", bundle.path(), "once"]);
    assert_eq!(again.status, 1);
    assert!(again.stderr.contains("container with given ID already exists: \"once\""), "{}", again.stderr);
    assert_eq!(state(&machine, "once")["status"], "created", "the first one is untouched");
    machine.quiet(&["delete", "once"]);
}

#[test]
fn a_cgroup_of_somebody_else_is_left_alone() {
    let machine = machine();
    let bundle = waiting(&machine, "theirs");
    let theirs = Path::new("/sys/fs/cgroup/theirs");
    fs::create_dir(theirs).expect("root may");
    let mut sleeper = Command::new("sleep").arg("60").spawn().expect("sleep");
    fs::write(theirs.join("cgroup.procs"), sleeper.id().to_string()).expect("it moves");
    bundle.edit(|config| config["linux"]["cgroupsPath"] = "/theirs".into());
    let output = machine.to_files(&["create", "--bundle", bundle.path(), "thief"]);
    assert_eq!(output.status, 1);
    assert!(output.stderr.contains("/sys/fs/cgroup/theirs has processes"), "{}", output.stderr);
    machine.quiet(&["delete", "--force", "thief"]);
    assert!(sleeper.try_wait().expect("our child").is_none(), "the process in it lives");
    sleeper.kill().expect("our child");
    sleeper.wait().expect("our child");
    wait_until("the cgroup is empty", || fs::remove_dir(theirs).is_ok());
}

#[test]
fn cgroups_above_the_containers_are_made_and_removed() {
    let machine = machine();
    let bundle = waiting(&machine, "deep");
    bundle.edit(|config| {
        config["linux"]["cgroupsPath"] = "/deep/er/est".into();
        config["linux"]["resources"] = json!({"pids": {"limit": 9}});
    });
    machine.quiet(&["create", "--bundle", bundle.path(), "deep"]);
    assert_eq!(fs::read_to_string("/sys/fs/cgroup/deep/er/est/pids.max").expect("enabled on the way"), "9\n");
    machine.quiet(&["delete", "deep"]);
}

#[test]
fn a_broken_record_hides_no_other_and_can_be_deleted() {
    let machine = machine();
    let bundle = waiting(&machine, "broken");
    for id in ["whole", "broken"] {
        machine.quiet(&["create", "--bundle", bundle.path(), id]);
    }
    let record = PathBuf::from("/run/glassbox/broken/state.json");
    for text in [&b"{"[..], b"", b"[]", b"\xff\xfe", b"{\"id\":7}"] {
        fs::write(&record, text).expect("writable");
        assert_eq!(machine.glassbox(["state", "broken"]).status, 1);
        let list = machine.glassbox(["list", "--quiet"]);
        assert_eq!((list.status, list.stdout.as_str()), (0, "whole\n"));
        assert!(list.stderr.contains("warning: container broken"), "{}", list.stderr);
    }
    machine.quiet(&["delete", "--force", "broken"]);
    fs::create_dir("/run/glassbox/empty").expect("root may");
    machine.quiet(&["delete", "--force", "empty"]);
    machine.quiet(&["delete", "whole"]);
}

#[test]
fn what_a_container_forks_dies_with_it() {
    let machine = machine();
    let bundle = machine.bundle("forks");
    bundle.args(&["sh", "-c", "for i in 1 2 3 4 5; do sleep 100 & done; echo up; wait"]);
    bundle.edit(|config| {
        // Without a PID namespace nothing but the cgroup holds them together.
        config["linux"]["namespaces"].as_array_mut().expect("a list").retain(|namespace| namespace["type"] != "pid");
    });
    let mut run = Command::new(machine.binary());
    run.args(["run", "--detach", "--bundle", bundle.path(), "forks"]).stdout(Stdio::null());
    assert!(run.status().expect("it runs").success());
    wait_until("all six are there", || cgroup("forks", "cgroup.procs").lines().count() == 6);
    machine.quiet(&["kill", "forks", "KILL"]);
    std::thread::sleep(Duration::from_millis(50));
    machine.quiet(&["delete", "--force", "forks"]);
    assert!(!Path::new("/sys/fs/cgroup/glassbox-forks").exists());
}

/// sd_listen_fds(3): a socket that was opened for us is the program's, at the same number.
#[test]
fn sockets_of_systemd_are_handed_on() {
    let machine = machine();
    let bundle = machine.bundle("socket");
    bundle.args(&[
        "sh",
        "-c",
        "echo $LISTEN_FDS $LISTEN_PID; readlink /proc/self/fd/3; [ -e /proc/self/fd/4 ] || echo no more",
    ]);
    let line = format!(
        "exec 3</etc/hostname 4</etc/passwd; unset LISTEN_PID; LISTEN_FDS=1 exec {} run --bundle {} socket",
        machine.binary().display(),
        bundle.path()
    );
    let seen = crate::support::sh(&line);
    assert_eq!((seen.status, seen.stdout.as_str()), (0, "1 1\n/etc/hostname\nno more\n"), "{seen:?}");
    drop(bundle);
    machine.assert_clean();
}

/// A name from a config must not move the cursor of whoever reads the error.
#[test]
fn an_error_holds_nothing_that_a_terminal_obeys() {
    let machine = machine();
    let bundle = machine.bundle("evil");
    bundle.args(&["\u{1b}[2J\u{7}nope"]);
    let refused = machine.glassbox(["run", "--bundle", bundle.path(), "evil"]);
    assert_eq!(refused.status, 1, "{refused:?}");
    assert!(refused.stderr.chars().all(|c| c == '\n' || !c.is_control()), "{refused:?}");
    drop(bundle);
    machine.assert_clean();
}
