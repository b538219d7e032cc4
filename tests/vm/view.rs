//! Seeing what runs: `tree` and `top` beside what the kernel says of real containers.

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

/// A container that burns its half CPU and then outgrows its memory.
fn burning(machine: &Machine, id: &str) {
    let bundle = machine.bundle(id);
    // The tail of an endless line fills memory; little of it, and alone on its half CPU, so that a slow machine has done it in time.
    let script = "while :; do :; done & sleep 2; kill $!; tail /dev/zero; sleep 1000";
    bundle.args(&["sh", "-c", script]);
    bundle.edit(|config| {
        config["linux"]["resources"]["memory"] = json!({"limit": 8388608, "swap": 8388608});
        config["linux"]["resources"]["cpu"] = json!({"quota": 50000, "period": 100000});
        config["linux"]["resources"]["pids"] = json!({"limit": 20});
    });
    machine.quiet(&["run", "--detach", "--bundle", bundle.path(), id]);
}

#[test]
fn top_tells_throttling_limits_and_the_kill_as_the_kernel_counts_them() {
    let machine = machine();
    burning(&machine, "hot");
    let record = machine.directory().join("hot.jsonl");
    let record = record.to_str().expect("UTF-8");
    let output =
        machine.glassbox(["top", "hot", "-n", "10", "--interval", "0.7", "--format", "json", "--record", record]);
    assert_eq!((output.status, output.stderr.as_str()), (0, ""));
    let lines: Vec<Value> = output.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!((lines.len(), &lines[0]["what"]), (11, &json!("container hot")));
    let rows: Vec<&Value> = lines[1..].iter().map(|line| &line["rows"][0]).collect();
    assert!(rows.iter().all(|row| row["path"] == "/glassbox-hot" && row["name"] == "hot"), "{rows:?}");
    let busy = &rows[1]["use"];
    let number = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("no number in {rows:?}"));
    assert!((35.0..=65.0).contains(&number(&busy["cpu_percent"])), "half a CPU: {busy}");
    assert_eq!((number(&busy["cpu_limit_percent"]), &busy["memory_limit"]), (50.0, &json!(8_388_608)));
    assert!(number(&busy["throttled_percent"]) > 50.0, "{busy}");
    assert_eq!(busy["pids_limit"], 20);
    let file = |name: &str| fs::read_to_string(format!("/sys/fs/cgroup/glassbox-hot/{name}")).expect("a file");
    let killed = file("memory.events").lines().find_map(|line| line.strip_prefix("oom_kill ")?.parse::<u64>().ok());
    assert!(killed > Some(0), "the container outgrew its memory");
    let told: u64 = rows.iter().filter_map(|row| row["use"]["oom_kills_new"].as_u64()).sum();
    assert_eq!((Some(told), rows[9]["use"]["oom_kills"].as_u64()), (killed, killed), "each kill is marked once");
    let replayed = machine.glassbox(["top", "--replay", record, "--format", "json"]);
    let recorded = replayed.stdout.lines().count();
    assert_eq!(recorded, 12, "the recording has the first look as well");
    let last: Value = serde_json::from_str(replayed.stdout.lines().last().expect("a line")).expect("JSON");
    assert_eq!(last, lines[10], "the rates of a recording are those that were printed");
    machine.quiet(&["delete", "--force", "hot"]);
}

#[test]
fn top_shows_a_subtree_and_names_what_is_not_there() {
    let machine = machine();
    sleeping(&machine, "web");
    let all = machine.glassbox(["top", "-n", "1", "--interval", "0.2"]);
    assert_eq!(all.status, 0, "{}", all.stderr);
    assert!(
        all.stdout.lines().any(|line| line.starts_with("web ")) && all.stdout.lines().count() == 2,
        "{}",
        all.stdout
    );
    let by_path = machine.glassbox(["top", "/sys/fs/cgroup/glassbox-web", "-n", "1", "--interval", "0.2"]);
    assert!(by_path.stdout.contains("64.0M"), "{}", by_path.stdout);
    let whole = machine.glassbox(["top", "/", "-n", "1", "--interval", "0.2"]);
    let names: Vec<_> = whole.stdout.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(names.starts_with(&["CGROUP", "/"]) && names.contains(&"web"), "{}", whole.stdout);
    for (what, hint) in [("nobody", "glassbox tree"), ("/nowhere", "glassbox tree --all")] {
        let refused = machine.glassbox(["top", what, "-n", "1"]);
        assert_eq!((refused.status, refused.stdout.as_str()), (1, ""));
        assert!(refused.stderr.contains(hint), "{}", refused.stderr);
    }
    machine.quiet(&["delete", "--force", "web"]);
    let none = machine.glassbox(["top", "-n", "1", "--interval", "0.2"]);
    assert!(none.stdout.contains("`glassbox top /` shows every cgroup"), "{}", none.stdout);
}
