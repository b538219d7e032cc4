//! What is done to a container that runs: pause, resume, ps, update.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Bundle, Machine, machine, wait_until};

/// A container that counts in a file of its own, so that one sees whether it runs.
fn counting(machine: &Machine, id: &str) -> Bundle {
    let bundle = machine.bundle(id);
    bundle.args(&["sh", "-c", "while :; do echo x >> /dev/shm/count; sleep 0.02; done"]);
    bundle.edit(|config| config["linux"]["resources"]["memory"] = json!({"limit": 67108864}));
    machine.quiet(&["run", "--detach", "--bundle", bundle.path(), id]);
    bundle
}

fn status(machine: &Machine, id: &str) -> Value {
    let state: Value = serde_json::from_str(&machine.glassbox(["state", id]).stdout).expect("JSON");
    state["status"].clone()
}

fn file(id: &str, name: &str) -> String {
    fs::read_to_string(format!("/sys/fs/cgroup/glassbox-{id}/{name}")).expect("a cgroup file").trim_end().to_string()
}

/// Microseconds of CPU time that the container has used.
fn used(id: &str) -> u64 {
    let text = file(id, "cpu.stat");
    text.lines().find_map(|line| line.strip_prefix("usage_usec ")?.parse().ok()).expect("usage_usec")
}

#[test]
fn a_paused_container_uses_no_time_until_it_is_resumed() {
    let machine = machine();
    let _bundle = counting(&machine, "ice");
    wait_until("it runs", || used("ice") > 0);
    machine.quiet(&["pause", "ice"]);
    assert_eq!(status(&machine, "ice"), "paused");
    let before = used("ice");
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(used("ice"), before, "frozen is frozen");
    let again = machine.glassbox(["pause", "ice"]);
    assert_eq!(
        (again.status, again.stderr.as_str()),
        (1, "error: cannot pause container \"ice\" in the paused state\n")
    );
    machine.quiet(&["resume", "ice"]);
    assert_eq!(status(&machine, "ice"), "running");
    wait_until("it goes on", || used("ice") > before);
    machine.quiet(&["pause", "ice"]);
    machine.quiet(&["delete", "--force", "ice"]);
}

#[test]
fn ps_shows_the_containers_processes_alone() {
    let machine = machine();
    let _bundle = counting(&machine, "seen");
    let pids: Vec<i32> =
        serde_json::from_str(&machine.glassbox(["ps", "--format", "json", "seen"]).stdout).expect("JSON");
    let state: Value = serde_json::from_str(&machine.glassbox(["state", "seen"]).stdout).expect("JSON");
    assert!(pids.contains(&(state["pid"].as_i64().expect("a number") as i32)), "{pids:?}");
    let table = machine.glassbox(["ps", "seen"]);
    assert_eq!((table.status, table.stderr.as_str()), (0, ""));
    let lines: Vec<_> = table.stdout.lines().collect();
    assert!(lines[0].contains("PID") && lines.iter().any(|line| line.contains("count")), "{}", table.stdout);
    assert!(!table.stdout.contains("glassbox"), "no process of the host: {}", table.stdout);
    machine.quiet(&["delete", "--force", "seen"]);
}

#[test]
fn update_changes_what_it_names_and_nothing_else() {
    let machine = machine();
    let _bundle = counting(&machine, "new");
    machine.quiet(&[
        "update",
        "--memory",
        "32M",
        "--cpu-period",
        "50000",
        "--cpu-quota",
        "20000",
        "--pids-limit",
        "7",
        "new",
    ]);
    assert_eq!(["memory.max", "cpu.max", "pids.max"].map(|name| file("new", name)), ["33554432", "20000 50000", "7"]);
    machine.quiet(&["update", "--cpu-quota", "10000", "--memory-swap", "48M", "new"]);
    let expected = ["33554432", "10000 50000", "7", "16777216"];
    assert_eq!(["memory.max", "cpu.max", "pids.max", "memory.swap.max"].map(|name| file("new", name)), expected);
    let limits = machine.directory().join("limits.json");
    fs::write(&limits, json!({"cpu": {"shares": 2048}, "memory": {"limit": -1}}).to_string()).expect("writable");
    machine.quiet(&["update", "--resources", limits.to_str().expect("UTF-8"), "new"]);
    assert_eq!(["cpu.weight", "memory.max", "cpu.max"].map(|name| file("new", name)), ["174", "max", "10000 50000"]);
    let wrong = machine.glassbox(["update", "--cpu-quota", "5", "new"]);
    assert_eq!(wrong.status, 1);
    assert!(wrong.stderr.contains("linux.resources.cpu.quota") && wrong.stderr.contains("EINVAL"), "{}", wrong.stderr);
    machine.quiet(&["delete", "--force", "new"]);
}
