//! `--without`: the wall that is missing is missing, the others stand, and whoever starts it is told.

use std::collections::BTreeMap;
use std::fs;

use serde_json::json;

use super::support::{Bundle, Machine, Output, machine};

/// Tells of each wall what a process inside sees of it: a key and a value a line.
const LOOK: &str = r#"
for kind in pid net mnt uts ipc user cgroup time; do echo "$kind $(readlink /proc/self/ns/$kind)"; done
echo "mask $([ -c /proc/kcore ] && echo stands)"
echo "caps $(grep CapBnd /proc/self/status)"
echo "seccomp $(grep Seccomp: /proc/self/status)"
echo "limits $(cat /sys/fs/cgroup/memory.max)"
"#;

fn run_without(machine: &Machine, bundle: &Bundle, walls: &str) -> Output {
    let mut words = vec!["run"];
    words.extend([walls].iter().filter(|walls| !walls.is_empty()).flat_map(|walls| ["--without", walls]));
    words.extend(["--bundle", bundle.path(), "walls"]);
    machine.glassbox(words)
}

/// The keys whose values differ between a container with all walls and one without these.
fn differ(machine: &Machine, bundle: &Bundle, whole: &BTreeMap<String, String>, walls: &str) -> Vec<String> {
    let ran = run_without(machine, bundle, walls);
    assert_eq!(ran.status, 0, "--without {walls}: {}", ran.stderr);
    for wall in walls.split(',').filter(|wall| !wall.is_empty()) {
        let warned = ran.stderr.contains(&format!("WARNING: --without {wall}: this container lacks that wall: "));
        assert!(warned, "--without {wall} is said: {}", ran.stderr);
    }
    let found = facts(&ran.stdout);
    whole.keys().filter(|key| whole[*key] != found[*key]).cloned().collect()
}

fn facts(text: &str) -> BTreeMap<String, String> {
    let pair = |line: &str| line.split_once(' ').map(|(key, value)| (key.to_string(), value.trim().to_string()));
    text.lines().filter_map(pair).collect()
}

#[test]
fn a_wall_is_missing_and_the_others_stand() {
    let machine = machine();
    let bundle = machine.bundle("walls");
    bundle.args(&["sh", "-c", LOOK]);
    bundle.edit(|config| {
        let map = json!([{"containerID": 0, "hostID": 0, "size": 65536}]);
        let linux = &mut config["linux"];
        linux["namespaces"].as_array_mut().expect("a list").extend([json!({"type": "user"}), json!({"type": "time"})]);
        linux["uidMappings"] = map.clone();
        linux["gidMappings"] = map;
        linux["resources"]["memory"] = json!({"limit": 64 << 20});
        linux["seccomp"] = json!({
            "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["acct"], "action": "SCMP_ACT_ERRNO"}],
        });
    });
    let whole = run_without(&machine, &bundle, "");
    assert_eq!((whole.status, whole.stderr.as_str()), (0, ""), "{whole:?}");
    let whole = facts(&whole.stdout);
    let host = |kind: &str| fs::read_link(format!("/proc/self/ns/{kind}")).expect("its own").display().to_string();
    let kinds = ["pid", "net", "mnt", "uts", "ipc", "user", "cgroup", "time"];
    assert!(kinds.iter().all(|kind| whole[*kind] != host(kind)), "{whole:?}");
    assert_eq!((whole["mask"].as_str(), whole["limits"].as_str()), ("stands", "67108864"));

    // New namespaces have new numbers each time: what stands is told apart from the host's.
    for walls in ["pid", "net,uts,ipc,cgroup,time", "user"] {
        let ran = run_without(&machine, &bundle, walls);
        assert_eq!(ran.status, 0, "--without {walls}: {}", ran.stderr);
        let found = facts(&ran.stdout);
        let shared: Vec<_> = kinds.into_iter().filter(|kind| found[*kind] == host(kind)).collect();
        let mut expected: Vec<_> =
            kinds.into_iter().filter(|kind| walls.split(',').any(|wall| wall == *kind)).collect();
        expected.sort_by_key(|kind| kinds.iter().position(|known| known == kind));
        assert_eq!(shared, expected, "--without {walls}");
    }
    let others = |walls: &str| -> Vec<String> {
        let differ = differ(&machine, &bundle, &whole, walls);
        differ.into_iter().filter(|key| !kinds.contains(&key.as_str())).collect()
    };
    assert_eq!(others("seccomp,limits"), ["limits", "seccomp"]);
    assert_eq!(others("mask,caps"), ["caps", "mask"]);
}

/// chroot(2) leaves the host's files behind the root: whoever joins its own mount namespace anew is back among them.
#[test]
fn without_pivot_root_there_is_a_way_back_and_without_mount_the_host_sees_the_mounts() {
    let machine = machine();
    let bundle = machine.bundle("walls");
    bundle.args(&["nsenter", "--mount=/proc/self/ns/mnt", "test", "-e", "/run/glassbox-vm"]);
    assert_eq!(run_without(&machine, &bundle, "caps").status, 1, "pivot_root(2) has let go of the host's files");
    assert_eq!(run_without(&machine, &bundle, "caps,pivot-root").status, 0);

    bundle.args(&["sleep", "300"]);
    let said = machine.to_files(&["run", "--detach", "--without", "mount", "--bundle", bundle.path(), "walls"]);
    assert!(said.status == 0 && said.stderr.contains("--without mount"), "{said:?}");
    let below = || {
        let table = fs::read_to_string("/proc/self/mountinfo").expect("proc is mounted");
        let rootfs = bundle.rootfs().display().to_string();
        table.lines().filter(|line| line.split(' ').nth(4).is_some_and(|at| at.starts_with(&rootfs))).count()
    };
    assert!(below() > 5, "the host sees the container's mounts");
    let inside = machine.glassbox(["exec", "walls", "sh", "-c", "readlink /proc/self/ns/mnt; ls /"]);
    let host = fs::read_link("/proc/self/ns/mnt").expect("our own").display().to_string();
    let mut words = inside.stdout.split_whitespace();
    assert_eq!(words.next(), Some(host.as_str()), "{inside:?}");
    assert!(!words.any(|name| name == "glassbox"), "exec is below the container's root: {}", inside.stdout);
    machine.quiet(&["delete", "--force", "walls"]);
    assert_eq!(below(), 0, "they go with it");
}

#[test]
fn exec_leaves_walls_out_and_an_engine_may_not() {
    let machine = machine();
    let bundle = machine.bundle("walls");
    bundle.args(&["sleep", "300"]);
    machine.quiet(&["run", "--detach", "--bundle", bundle.path(), "walls"]);
    let ran = machine.glassbox(["exec", "--without", "net,caps", "walls", "sh", "-c", LOOK]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("WARNING: --without net: this process lacks that wall: "), "{}", ran.stderr);
    let (found, host) =
        (facts(&ran.stdout), |kind: &str| fs::read_link(format!("/proc/self/ns/{kind}")).expect("ours"));
    assert_eq!(found["net"], host("net").display().to_string());
    assert!(found["pid"] != host("pid").display().to_string() && found["caps"].ends_with("ffffffff"), "{found:?}");
    let refused = machine.glassbox(["exec", "--without", "seccomp", "walls", "true"]);
    assert!(refused.status == 255 && refused.stderr.contains("linux.seccomp is not set"), "{refused:?}");
    machine.quiet(&["delete", "--force", "walls"]);
    bundle.edit(|config| config["annotations"] = json!({"io.kubernetes.cri.sandbox-id": "1"}));
    let refused = machine.glassbox(["run", "--without", "pid", "--bundle", bundle.path(), "walls"]);
    assert!(refused.status == 1 && refused.stderr.contains("this is a container of an engine"), "{refused:?}");
}
