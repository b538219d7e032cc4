//! Hooks: each at its time, in its place, with the container's state; and what a bad one may not do.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Bundle, Machine, machine};

const ALL: [&str; 6] = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/// Hooks that write down what they see: their state, their network namespace, their environment.
fn telling(machine: &Machine, id: &str) -> (Bundle, PathBuf) {
    let bundle = machine.bundle(id);
    let notes = machine.directory().join("notes");
    let inside = bundle.rootfs().join("notes");
    fs::create_dir(&inside).expect("the rootfs is ours");
    fs::create_dir(&notes).expect("it is new");
    bundle.edit(|config| {
        config["root"]["readonly"] = json!(false);
        config["process"]["args"] = json!(["sh", "-c", "echo program >>/notes/order; sleep 1000"]);
        let mounts = config["mounts"].as_array_mut().expect("a list");
        mounts.push(json!({"destination": "/notes", "type": "bind", "source": notes, "options": ["bind"]}));
        for list in ALL {
            let directory = if list == "startContainer" { "/notes".to_string() } else { notes.display().to_string() };
            let script = format!(
                "cat >{directory}/{list}; echo {list} >>{directory}/order; \
                readlink /proc/self/ns/net >{directory}/{list}.net; env >{directory}/{list}.env"
            );
            config["hooks"][list] =
                json!([{"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin", "A=b"]}]);
        }
    });
    (bundle, notes)
}

#[test]
fn each_runs_in_its_turn_in_its_namespaces_and_knows_the_state() {
    let machine = machine();
    let (bundle, notes) = telling(&machine, "turns");
    machine.quiet(&["create", "--bundle", bundle.path(), "turns"]);
    let note = |name: &str| fs::read_to_string(notes.join(name)).unwrap_or_default();
    assert_eq!(note("order"), "prestart\ncreateRuntime\ncreateContainer\n");
    machine.quiet(&["start", "turns"]);
    crate::support::wait_until("the program runs", || note("order").contains("program"));
    let order: Vec<_> = note("order").lines().map(str::to_string).collect();
    assert_eq!(order[3], "startContainer", "{order:?}");
    let pid = {
        let state: Value = serde_json::from_str(&machine.glassbox(["state", "turns"]).stdout).expect("JSON");
        state["pid"].as_i64().expect("a number")
    };
    let theirs = fs::read_link(format!("/proc/{pid}/ns/net")).expect("it runs").display().to_string();
    let ours = fs::read_link("/proc/self/ns/net").expect("it is there").display().to_string();
    machine.quiet(&["delete", "--force", "turns"]);
    for (list, status, namespace) in [
        ("prestart", "creating", &ours),
        ("createRuntime", "creating", &ours),
        ("createContainer", "creating", &theirs),
        ("startContainer", "created", &theirs),
        ("poststart", "running", &ours),
        ("poststop", "stopped", &ours),
    ] {
        let state: Value = serde_json::from_str(&note(list)).unwrap_or_else(|error| panic!("{list}: {error}"));
        assert_eq!((&state["id"], &state["status"]), (&json!("turns"), &json!(status)), "{list}");
        assert_eq!(state["bundle"], bundle.path(), "{list}");
        assert_eq!(state["pid"].as_i64(), Some(pid).filter(|_| list != "poststop"), "{list}");
        assert_eq!(note(&format!("{list}.net")).trim(), namespace.as_str(), "{list}");
        let env = note(&format!("{list}.env"));
        assert!(env.contains("A=b\n") && !env.contains("GLASSBOX"), "{list}: {env}");
    }
    machine.assert_clean();
}

/// T16 of the faults: a hook that fails, is missing, sleeps past its timeout, or leaves a child that holds its pipes.
#[test]
fn a_bad_one_is_told_in_time_and_leaves_nothing() {
    let machine = machine();
    let within =
        |timeout: u32, script: &str| json!([{"path": "/bin/sh", "args": ["sh", "-c", script], "timeout": timeout}]);
    let sh = |script: &str| within(60, script);
    let cases = [
        ("fails", sh("echo oh no >&2; exit 3"), "exit status 3: oh no"),
        ("is-missing", json!([{"path": "/no/such/hook"}]), ""),
        ("is-no-program", json!([{"path": "/etc/passwd"}]), ""),
        ("sleeps", within(1, "sleep 1000"), "killed after its timeout of 1 s"),
        ("holds-pipes", sh("sleep 1000 & exit 4"), "exit status 4"),
        ("dies", sh("kill -KILL $$"), "exit status 137"),
        ("floods", sh("head -c 10000000 /dev/zero; exit 5"), "exit status 5"),
    ];
    for list in &ALL[..5] {
        // Runtime and container have one way each to run a list of hooks.
        let every_way = ["createRuntime", "startContainer"].contains(list);
        for (name, hook, says) in &cases[..if every_way { cases.len() } else { 1 }] {
            let bundle = machine.bundle(&format!("bad-{list}-{name}"));
            bundle.args(&["sleep", "1000"]);
            bundle.edit(|config| config["hooks"][*list] = hook.clone());
            let begun = Instant::now();
            let ended = machine.glassbox(["run", "--detach", "--bundle", bundle.path(), "bad"]);
            assert_eq!(ended.status, 1, "{list} that {name}: {ended:?}");
            assert!(ended.stderr.contains(&format!("hooks.{list}[0]")), "{list} that {name}: {ended:?}");
            assert!(ended.stderr.contains(says), "{list} that {name}: {ended:?}");
            assert!(begun.elapsed() < Duration::from_secs(20), "{list} that {name}: {:?}", begun.elapsed());
            crate::support::sh("for p in $(pgrep -x sleep); do kill -9 $p; done");
            drop(bundle);
            machine.assert_clean();
        }
    }
}

#[test]
fn after_the_end_a_bad_one_only_warns() {
    let machine = machine();
    let bundle = machine.bundle("end");
    bundle.args(&["true"]);
    bundle.edit(|config| config["hooks"]["poststop"] = json!([{"path": "/bin/false"}, {"path": "/bin/false"}]));
    let ended = machine.glassbox(["run", "--bundle", bundle.path(), "end"]);
    assert_eq!(ended.status, 0, "{ended:?}");
    assert_eq!(ended.stderr.matches("warning: hooks.poststop[").count(), 2, "{ended:?}");
    machine.assert_clean();
}

/// A start that fails in its last hook is a container that never was, also with create and start apart.
#[test]
fn a_bad_one_at_start_ends_the_container() {
    let machine = machine();
    for list in ["startContainer", "poststart"] {
        let bundle = machine.bundle(&format!("half-{list}"));
        bundle.args(&["sleep", "1000"]);
        bundle.edit(|config| config["hooks"][list] = json!([{"path": "/bin/sh", "args": ["sh", "-c", "exit 9"]}]));
        machine.quiet(&["create", "--bundle", bundle.path(), "half"]);
        let ended = machine.glassbox(["start", "half"]);
        assert_eq!(ended.status, 1, "{ended:?}");
        assert!(
            ended.stderr.contains(&format!("hooks.{list}[0]")) && ended.stderr.contains("exit status 9"),
            "{ended:?}"
        );
        machine.quiet(&["delete", "--force", "half"]);
        drop(bundle);
        machine.assert_clean();
    }
}

/// A `start` that hangs has no lock: the container can be looked at, and ended, and `start` with it.
#[test]
fn one_that_never_ends_keeps_nobody_from_ending_the_container() {
    let machine = machine();
    let bundle = machine.bundle("endless");
    bundle.args(&["true"]);
    let hook = json!([{"path": "/bin/sh", "args": ["sh", "-c", "while :; do sleep 1000; done"]}]);
    bundle.edit(|config| config["hooks"] = json!({"startContainer": hook}));
    machine.quiet(&["create", "--bundle", bundle.path(), "endless"]);
    let mut start = std::process::Command::new(machine.binary()).args(["start", "endless"]).spawn().expect("it starts");
    let status = || {
        let state: Value = serde_json::from_str(&machine.glassbox(["state", "endless"]).stdout).expect("JSON");
        state["status"].clone()
    };
    crate::support::wait_until("the hook runs", || status() == "running");
    let again = machine.glassbox(["start", "endless"]);
    assert!(again.stderr.contains("cannot start container \"endless\" in the running state"), "{}", again.stderr);
    assert!(start.try_wait().expect("our child").is_none(), "it waits for its hook");
    machine.quiet(&["delete", "--force", "endless"]);
    start.wait().expect("our child");
}
