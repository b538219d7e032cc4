//! Seeing what runs: `tree` beside what the kernel says of real containers.

use std::fs;
use std::process::{Child, Command};

use serde_json::{Value, json};

use crate::support::{Machine, machine, run, wait_until};

/// A container that sleeps, with limits.
fn sleeping(machine: &Machine, id: &str) -> String {
    let bundle = machine.bundle(id);
    bundle.args(&["sleep", "300"]);
    bundle.edit(|config| {
        config["linux"]["resources"]["memory"] = json!({"limit": 67108864});
        config["linux"]["resources"]["cpu"] = json!({"quota": 50000, "period": 100000});
    });
    machine.quiet(&["run", "--detach", "--bundle", bundle.path(), id]);
    let state: Value = serde_json::from_str(&machine.glassbox(["state", id]).stdout).expect("JSON");
    state["pid"].to_string()
}

fn json_of(machine: &Machine, args: &[&str]) -> Value {
    let output = machine.glassbox(args);
    assert_eq!((output.status, output.stderr.as_str()), (0, ""), "{args:?}");
    serde_json::from_str(&output.stdout).expect("JSON")
}

fn group<'a>(tree: &'a Value, path: &str) -> &'a Value {
    let cgroups = tree["cgroups"].as_array().expect("an array");
    let node = cgroups.iter().find(|node| node["path"] == path).unwrap_or_else(|| panic!("no {path} in {tree}"));
    &node["groups"][0]
}

/// The kinds of namespaces of a group that are so.
fn kinds(group: &Value, whose: &str) -> Vec<String> {
    let namespaces = group["namespaces"].as_array().expect("an array").iter();
    namespaces.filter(|one| one["whose"] == whose).map(|one| one["kind"].as_str().expect("text").to_string()).collect()
}

/// The number behind a link of /proc/PID/ns.
fn number(pid: &str, kind: &str) -> u64 {
    let link = fs::read_link(format!("/proc/{pid}/ns/{kind}")).expect("a link");
    let text = link.to_str().expect("UTF-8").to_string();
    text.split_once('[').and_then(|(_, rest)| rest.strip_suffix(']')?.parse().ok()).expect("a number")
}

fn end(mut child: Child) {
    child.kill().expect("it runs");
    child.wait().expect("it ends");
}

#[test]
fn a_container_stands_in_the_tree_with_its_namespaces_and_limits() {
    let machine = machine();
    let pid = sleeping(&machine, "web");
    let tree = json_of(&machine, &["tree", "--format", "json"]);
    let web = group(&tree, "/glassbox-web");
    assert_eq!(web["processes"], json!([{"pid": pid.parse::<i32>().expect("a pid"), "name": "sleep"}]));
    assert_eq!(kinds(web, "own"), ["mnt", "pid", "net", "ipc", "uts", "cgroup"]);
    assert_eq!(kinds(web, "host"), ["user", "time"]);
    for namespace in web["namespaces"].as_array().expect("an array") {
        let kind = namespace["kind"].as_str().expect("text");
        assert_eq!(namespace["number"], number(&pid, kind), "{kind}");
    }
    let text = machine.glassbox(["tree"]).stdout;
    for part in ["glassbox-web  container web, running", "limits  memory 64.0M, cpu 0.5", "own     mnt, pid, net"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    machine.quiet(&["pause", "web"]);
    assert!(machine.glassbox(["tree"]).stdout.contains("container web, paused, frozen"));
    machine.quiet(&["delete", "--force", "web"]);
}

#[test]
fn who_shares_a_namespace_with_a_container_is_named_on_both_sides() {
    let machine = machine();
    let pid = sleeping(&machine, "web");
    let guest = Command::new("nsenter").args(["-t", &pid, "-n", "sleep", "300"]).spawn().expect("nsenter runs");
    let guest_pid = guest.id().to_string();
    wait_until("it has joined", || number(&guest_pid, "net") == number(&pid, "net"));
    let tree = json_of(&machine, &["tree", "--format", "json"]);
    let web = group(&tree, "/glassbox-web");
    assert_eq!(kinds(web, "shared"), ["net"]);
    let net = web["namespaces"].as_array().expect("an array").iter().find(|one| one["kind"] == "net");
    assert_eq!(net.expect("a network namespace")["with"], json!([format!("sleep {guest_pid}")]));
    let text = machine.glassbox(["tree"]).stdout;
    assert!(text.contains("shares  net with container web"), "{text}");
    let by_namespace = machine.glassbox(["tree", "--by", "namespace"]).stdout;
    assert!(by_namespace.contains(&format!("{}  ", number(&pid, "net"))), "{by_namespace}");
    end(guest);
    machine.quiet(&["delete", "--force", "web"]);
}

#[test]
fn a_container_beside_the_host_differs_in_what_its_config_says() {
    let machine = machine();
    let pid = sleeping(&machine, "web");
    let beside = json_of(&machine, &["tree", "web", "--format", "json"]);
    assert_eq!((&beside["left"]["pid"], beside["right"]["pid"].to_string()), (&json!(1), pid.clone()));
    let row = |name: &str| {
        let rows = beside["rows"].as_array().expect("an array");
        let row = rows.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("no row {name}"));
        [&row["left"], &row["right"], &row["verdict"]].map(|value| value.as_str().expect("text").to_string())
    };
    for kind in ["mnt", "pid", "net", "ipc", "uts", "cgroup"] {
        let [left, right, verdict] = row(kind);
        assert_eq!((left, right), (number("1", kind).to_string(), number(&pid, kind).to_string()));
        assert_eq!(verdict, "differs", "{kind}");
    }
    assert_eq!(row("user")[2], "same");
    assert_eq!(row("host name")[1..], ["glassbox", "differs"]);
    assert_eq!(row("host name")[0], fs::read_to_string("/proc/sys/kernel/hostname").expect("text").trim_end());
    assert_eq!(row("pid inside")[1], "1");
    assert_eq!(row("memory.max")[1], "67108864 (64.0M)");
    assert_eq!(row("cpu.max")[1], "50000 100000");
    assert_eq!(row("network links")[1], "lo");
    assert_eq!(row("effective")[1], "3: kill net_bind_service audit_write");
    assert_eq!(row("no_new_privs")[1..], ["yes", "differs"]);
    assert_eq!(row("open files")[1], "1024");
    let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo")).expect("text").lines().count();
    assert_eq!(row("mounts")[1], mounts.to_string());
    let text = machine.glassbox(["tree", "web"]).stdout;
    assert!(text.contains("They share the namespaces user, time."), "{text}");
    let gone = machine.glassbox(["tree", "nobody"]);
    assert_eq!(gone.status, 1);
    assert!(gone.stderr.contains("glassbox list"), "{}", gone.stderr);
    machine.quiet(&["delete", "--force", "web"]);
}

#[test]
fn an_ordinary_user_sees_what_may_be_seen_and_is_told_the_rest() {
    let machine = machine();
    sleeping(&machine, "web");
    let binary = machine.directory().join("glassbox");
    fs::copy(machine.binary(), &binary).expect("a copy that anyone may run");
    run(Command::new("chmod").arg("-R").arg("a+rx").arg(machine.directory()));
    let output = run(Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&binary)
        .arg("tree"));
    assert_eq!((output.status, output.stderr.as_str()), (0, ""), "{}", output.stdout);
    for part in ["glassbox-web", "sleep ", " ?", "PTRACE_MODE_READ", "this shell's own", "not named by their ids"] {
        assert!(output.stdout.replace('\n', " ").contains(part), "{part}: {}", output.stdout);
    }
    machine.quiet(&["delete", "--force", "web"]);
}
