//! `glassbox doctor` where all is well, and with one thing taken away at a time.

use std::fs;
use std::process::Command;

use serde_json::Value;

use super::support::{Machine, machine, run, sh};

const SUBTREE_CONTROL: &str = "/sys/fs/cgroup/cgroup.subtree_control";

/// The report as JSON, with the exit code.
fn doctor(machine: &Machine) -> (i32, Value) {
    let output = machine.glassbox(["doctor", "--format", "json"]);
    assert_eq!(output.stderr, "");
    (output.status, serde_json::from_str(&output.stdout).expect("one JSON object"))
}

/// The findings with this verdict, by id.
fn with_verdict(report: &Value, verdict: &str) -> Vec<String> {
    let findings = report["findings"].as_array().expect("a list").iter();
    let found = findings.filter(|finding| finding["verdict"] == verdict);
    found.map(|finding| finding["id"].as_str().expect("a string").to_string()).collect()
}

fn finding<'a>(report: &'a Value, id: &str) -> &'a Value {
    let findings = report["findings"].as_array().expect("a list");
    findings.iter().find(|finding| finding["id"] == id).unwrap_or_else(|| panic!("no finding {id}"))
}

#[test]
fn here_containers_run_and_only_programs_fall_short() {
    let machine = machine();
    let (status, report) = doctor(&machine);
    let missing = with_verdict(&report, "missing");
    assert_eq!((status, missing), (0, Vec::new()), "{report:#}");
    let limited = with_verdict(&report, "limited");
    assert!(limited.iter().all(|id| id.starts_with("tools.") || id == "rootless.newuidmap"), "{limited:?}");
    for kind in ["mnt", "pid", "net", "ipc", "uts", "user", "cgroup", "time"] {
        assert_eq!(report["facts"]["namespaces"][kind]["alone"], "works", "{kind}");
        let inside = &report["facts"]["namespaces"][kind]["inUserNamespace"];
        assert_eq!(inside.as_str(), (kind != "user").then_some("works"), "{kind}");
    }
}

#[test]
fn a_controller_that_is_not_enabled_is_told_with_the_line_that_enables_it() {
    let machine = machine();
    let before = fs::read_to_string(SUBTREE_CONTROL).unwrap();
    assert!(before.contains("memory"), "{before}");
    fs::write(SUBTREE_CONTROL, "-memory").expect("no group below the root uses memory");
    let (status, report) = doctor(&machine);
    let memory = finding(&report, "cgroups.controller.memory").clone();
    let mended = sh(memory["remedy"].as_str().unwrap_or("false").replace("sudo ", "").as_str());
    let after = fs::read_to_string(SUBTREE_CONTROL).unwrap();
    fs::write(SUBTREE_CONTROL, "+memory").unwrap();
    assert_eq!((status, &memory["verdict"]), (0, &"limited".into()), "{memory}");
    assert_eq!(mended.status, 0, "{mended:?}");
    assert_eq!(after.contains("memory"), before.contains("memory"), "the remedy did not mend it: {after}");
}

#[test]
fn user_namespaces_switched_off_are_told_with_the_setting() {
    let machine = machine();
    let limit = "/proc/sys/user/max_user_namespaces";
    let before = fs::read_to_string(limit).unwrap();
    fs::write(limit, "0").unwrap();
    let (status, report) = doctor(&machine);
    let user = finding(&report, "namespaces.user").clone();
    let mended = sh(user["remedy"].as_str().unwrap_or("false").replace("sudo ", "").as_str());
    let (status_after, _) = doctor(&machine);
    fs::write(limit, before.trim()).unwrap();
    assert_eq!((status, &user["verdict"]), (1, &"missing".into()), "{user}");
    assert_eq!(user["found"], "ENOSPC: user.max_user_namespaces is 0");
    assert_eq!((mended.status, status_after), (0, 0), "{mended:?}");
}

#[test]
fn a_read_only_cgroup_mount_is_told() {
    let machine = machine();
    let line = "mount -o remount,bind,ro /sys/fs/cgroup && exec $GLASSBOX doctor --format json";
    let output = run(Command::new("unshare").args(["-m", "sh", "-c", line]));
    let report: Value = serde_json::from_str(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    assert_eq!(output.status, 1);
    assert_eq!(with_verdict(&report, "missing"), ["cgroups.delegation"]);
    assert_eq!(finding(&report, "cgroups.delegation")["found"], "/sys/fs/cgroup is mounted read-only");
    machine.assert_clean();
}

#[test]
fn root_without_capabilities_is_told_which() {
    let machine = machine();
    let output = run(Command::new("setpriv").args([
        "--bounding-set=-sys_admin,-net_admin",
        "--inh-caps=-sys_admin,-net_admin",
        machine.binary().to_str().unwrap(),
        "doctor",
        "--format",
        "json",
    ]));
    let report: Value = serde_json::from_str(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    assert_eq!(output.status, 1);
    assert_eq!(finding(&report, "privileges.capabilities")["found"], "without net_admin sys_admin");
    assert_eq!(finding(&report, "kernel.fsopen")["verdict"], "missing");
}

#[test]
fn an_ordinary_user_lacks_root_and_delegation() {
    let machine = machine();
    let output = sh("su learner -c \"$GLASSBOX doctor --format json\"");
    let report: Value = serde_json::from_str(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    assert_eq!(output.status, 1);
    let missing = with_verdict(&report, "missing");
    assert_eq!(missing, ["cgroups.delegation", "privileges.root"], "{report:#}");
    assert_eq!(finding(&report, "privileges.root")["found"].as_str().map(|found| &found[..11]), Some("no: learner"));
    machine.assert_clean();
}

#[test]
fn a_user_who_owns_a_group_has_delegation() {
    let machine = machine();
    // What the remedy of cgroups.delegation says without systemd, done by root for the user's shell.
    let output = sh("group=/sys/fs/cgroup/gb-learner
        mkdir $group && chown -R learner $group
        sh -c \"echo 0 >$group/cgroup.procs; exec su learner -c '$GLASSBOX doctor --format json'\"
        rmdir $group");
    let report: Value = serde_json::from_str(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    let delegation = finding(&report, "cgroups.delegation");
    assert_eq!(delegation["verdict"], "ok", "{delegation}");
    assert_eq!(delegation["found"], "/sys/fs/cgroup/gb-learner is ours to make groups in");
    assert_eq!(finding(&report, "cgroups.controller.memory")["verdict"], "ok");
    machine.assert_clean();
}

#[test]
fn no_new_privs_is_told() {
    let machine = machine();
    let output = run(Command::new("setpriv").args([
        "--no-new-privs",
        machine.binary().to_str().unwrap(),
        "doctor",
        "--format",
        "json",
    ]));
    let report: Value = serde_json::from_str(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    assert_eq!(output.status, 0);
    assert_eq!(finding(&report, "privileges.no_new_privs")["verdict"], "limited");
}
