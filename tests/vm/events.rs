//! `events`: the numbers against the kernel's files and against runc's names, and the OOM killer's doings as they come.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Bundle, Machine, machine, run, wait_until};

fn limited(machine: &Machine, id: &str, program: &str) -> Bundle {
    let bundle = machine.bundle(id);
    bundle.args(&["sh", "-c", program]);
    bundle.edit(|config| {
        config["linux"]["resources"]["memory"] = json!({"limit": 33554432, "swap": 33554432});
        config["linux"]["resources"]["cpu"] = json!({"quota": 20000, "period": 100000, "cpus": "0", "mems": "0"});
        config["linux"]["resources"]["pids"] = json!({"limit": 50});
    });
    bundle
}

fn stats(machine: &Machine, id: &str) -> Value {
    let output = machine.glassbox(["events", "--stats", id]);
    assert_eq!((output.status, output.stderr.as_str()), (0, ""));
    serde_json::from_str(&output.stdout).expect("one object")
}

/// Every way to a value, lists opened: `data.cpu.usage.total`.
fn paths(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| paths(value, &format!("{path}.{name}"), found)),
        Value::Array(entries) => entries.iter().for_each(|entry| paths(entry, &format!("{path}[]"), found)),
        _ => drop(found.insert(path.to_string())),
    }
}

#[test]
fn numbers_are_the_kernels_own() {
    let machine = machine();
    let bundle = limited(&machine, "counted", "cat /bin/busybox > /dev/null; while :; do :; done");
    machine.quiet(&["run", "--detach", "--bundle", bundle.path(), "counted"]);
    wait_until("the quota is used up", || {
        stats(&machine, "counted")["data"]["cpu"]["throttling"]["throttledPeriods"].as_u64() > Some(2)
    });
    machine.quiet(&["pause", "counted"]);
    let told = stats(&machine, "counted");
    assert_eq!((&told["type"], &told["id"]), (&json!("stats"), &json!("counted")));
    let data = &told["data"];
    let file = |name: &str| fs::read_to_string(format!("/sys/fs/cgroup/glassbox-counted/{name}")).expect(name);
    let key = |name: &str, key: &str| {
        let text = file(name);
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
        line.and_then(|value| value.parse::<u64>().ok()).unwrap_or_else(|| panic!("{key} of {name}"))
    };
    // Nothing in it runs: the numbers stand still.
    assert_eq!(data["cpu"]["usage"]["total"], key("cpu.stat", "usage_usec") * 1000);
    assert_eq!(data["cpu"]["throttling"]["throttledTime"], key("cpu.stat", "throttled_usec") * 1000);
    assert_eq!(data["memory"]["usage"]["usage"].to_string(), file("memory.current").trim());
    assert_eq!(data["memory"]["usage"]["limit"], 33_554_432);
    assert_eq!(data["memory"]["swap"]["limit"], 33_554_432, "memory and swap together, as in config.json");
    assert_eq!(data["memory"]["raw"]["file"], key("memory.stat", "file"));
    assert_eq!((&data["pids"]["current"], &data["pids"]["limit"]), (&json!(1), &json!(50)));
    assert_eq!((&data["cpuset"]["cpus"], &data["cpuset"]["mems"]), (&json!([0]), &json!([0])));
    assert_eq!(data["network_interfaces"][0]["Name"], "lo");
    assert_eq!(data["hugetlb"]["2MB"], json!({"usage": 0, "failcnt": 0}));
    let waited = data["cpu"]["psi"]["some"]["total"].as_u64().expect("pressure");
    assert!(waited > 0 && waited <= key("cpu.stat", "usage_usec") * 100, "{waited}");
    machine.quiet(&["delete", "--force", "counted"]);
}

/// What a reader of runc's numbers finds in ours, but for what cgroup v1 alone had.
#[test]
fn every_number_of_runc_is_there_by_its_name() {
    let machine = machine();
    let bundle = limited(&machine, "both", "cat /disk/* > /dev/null; sleep 300");
    // The bundle lies in memory: what is to be read from a disk comes from the machine's own.
    bundle.edit(|config| {
        let mounts = config["mounts"].as_array_mut().expect("a list");
        mounts.push(json!({"destination": "/disk", "type": "bind", "source": "/usr/share/base-files", "options": ["rbind", "ro"]}));
    });
    let forget = || fs::write("/proc/sys/vm/drop_caches", "3").expect("root may");
    forget();
    machine.quiet(&["run", "--detach", "--bundle", bundle.path(), "both"]);
    let (mut ours, mut theirs) = (BTreeSet::new(), BTreeSet::new());
    wait_until("it has read", || {
        stats(&machine, "both")["data"]["blkio"]["ioServicedRecursive"][0]["value"].as_u64() > Some(0)
    });
    paths(&stats(&machine, "both"), "", &mut ours);
    forget();
    machine.quiet(&["delete", "--force", "both"]);
    let runc = |words: &[&str]| {
        let mut command = Command::new("runc");
        command.args(["--root", machine.directory().join("runc").to_str().expect("UTF-8")]).args(words);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        assert!(command.status().expect("runc").success(), "runc {words:?}");
    };
    runc(&["run", "--detach", "--bundle", bundle.path(), "both"]);
    let root = machine.directory().join("runc");
    let told = run(Command::new("runc").arg("--root").arg(&root).args(["events", "--stats", "both"]));
    runc(&["delete", "--force", "both"]);
    paths(&serde_json::from_str(&told.stdout).expect("runc prints JSON"), "", &mut theirs);
    let v1 = |path: &&String| path.starts_with(".data.cpuset.") || path.as_str() == ".data.network_interfaces";
    let missing: Vec<_> = theirs.difference(&ours).filter(|path| !v1(path)).collect();
    assert!(theirs.len() > 20 && missing.is_empty(), "runc tells {missing:?}");
}

#[test]
fn the_oom_killers_doings_are_told_as_they_come_and_the_end_ends_it() {
    let machine = machine();
    // The tail of an endless line fills memory; the shell stays.
    let bundle = limited(&machine, "hungry", "exec 2>/dev/null; tail /dev/zero; tail /dev/zero; sleep 300");
    let log = fs::File::create(machine.directory().join("said")).expect("a file");
    machine.quiet(&["create", "--bundle", bundle.path(), "hungry"]);
    let mut events = Command::new(machine.binary())
        .args(["events", "--interval", "1h", "hungry"])
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(events.stdout.take().expect("piped")).lines();
    machine.quiet(&["start", "hungry"]);
    for _ in 0..2 {
        let line = lines.next().expect("an event").expect("text");
        assert_eq!(line, r#"{"type":"oom","id":"hungry"}"#);
    }
    machine.quiet(&["kill", "hungry", "KILL"]);
    assert!(lines.next().is_none(), "it ends with the container");
    assert!(events.wait().expect("it ends").success());
    let over = machine.glassbox(["events", "--stats", "hungry"]);
    assert_eq!((over.status, over.stderr.as_str()), (1, "error: container not running\n"));
    machine.quiet(&["delete", "hungry"]);
}

#[test]
fn numbers_come_each_interval() {
    let machine = machine();
    let bundle = limited(&machine, "beat", "sleep 300");
    machine.quiet(&["run", "--detach", "--bundle", bundle.path(), "beat"]);
    let mut events = Command::new(machine.binary())
        .args(["events", "--interval=200ms", "beat"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(events.stdout.take().expect("piped")).lines();
    for _ in 0..3 {
        let line = lines.next().expect("an event").expect("text");
        let event: Value = serde_json::from_str(&line).expect("one object a line");
        assert_eq!((&event["type"], &event["data"]["pids"]["current"]), (&json!("stats"), &json!(1)));
    }
    machine.quiet(&["delete", "--force", "beat"]);
    assert!(lines.all(|line| line.expect("text").contains("stats")) && events.wait().expect("it ends").success());
}
