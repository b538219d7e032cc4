//! `glassbox why`: what it says of live cgroups is what the kernel's files hold, and what differs is found.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::support::{Machine, Output, machine, sh};

const POD: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: silver}
spec:
  containers:
  - name: app
    image: nginx
    resources: {requests: {cpu: 250m, memory: 64Mi}, limits: {cpu: 500m, memory: 129000000}}
  - name: log
    image: nginx
";

/// Makes the pod's cgroups below a new cgroup `lab`; gives back the manifest's path.
fn applied(machine: &Machine, lab: &str, more: &[&str]) -> String {
    fs::create_dir(lab).expect("the name is new");
    let file = machine.directory().join("pod.yaml");
    fs::write(&file, POD).unwrap();
    let file = file.to_str().unwrap().to_string();
    let made = machine.glassbox(["qos", "--apply", lab].iter().chain(more).chain(&[file.as_str()]));
    assert_eq!(made.status, 0, "{}", made.stderr);
    file
}

fn removed(lab: &str) {
    let done = sh(&format!("find {lab} -depth -type d -exec rmdir {{}} +"));
    assert_eq!(done.stderr, "");
}

fn json_of(output: &Output) -> Value {
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// `file verdict` of every row.
fn verdicts(answer: &Value) -> Vec<String> {
    let rows = answer["files"].as_array().unwrap();
    rows.iter().map(|row| format!("{} {}", row["file"], row["verdict"]).replace('"', "")).collect()
}

#[test]
fn every_level_that_qos_applied_agrees_under_both_drivers() {
    let machine = machine();
    for (driver, cri, group) in [
        ("cgroupfs", "containerd", "kubepods/burstable/podsilver"),
        ("systemd", "crio", "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podsilver.slice"),
    ] {
        let lab = "/sys/fs/cgroup/gb-why";
        let pod = applied(&machine, lab, &["--cgroup-driver", driver, "--cri", cri]);
        let mut looked = 0;
        for directory in sh(&format!("find {lab} -mindepth 1 -type d")).stdout.lines() {
            let said = machine.glassbox(["why", "--format", "json", "--pod", &pod, directory]);
            assert_eq!((said.status, said.stderr.as_str()), (0, ""), "{directory}: {}", said.stdout);
            let answer = json_of(&said);
            assert_eq!(answer["agrees"], true, "{directory}: {answer:#}");
            for row in answer["files"].as_array().unwrap().iter().filter(|row| row["file"] != "oom_score_adj") {
                let live = fs::read_to_string(Path::new(directory).join(row["file"].as_str().unwrap())).unwrap();
                assert_eq!(row["live"], live.trim_end(), "{directory}: {row}");
                looked += 1;
            }
        }
        assert!(looked > 20, "{looked} files looked at");
        assert!(Path::new(lab).join(group).is_dir());
        removed(lab);
    }
}

#[test]
fn a_file_written_by_another_hand_differs_and_a_counter_has_no_author() {
    let machine = machine();
    let lab = "/sys/fs/cgroup/gb-why";
    let pod = applied(&machine, lab, &[]);
    let app = format!("{lab}/kubepods/burstable/podsilver/app");
    fs::write(format!("{app}/cpu.max"), "20000 100000").unwrap();
    let why = |path: &str| machine.glassbox(["why", "--pod", &pod, path]);
    let max = why(&format!("{app}/cpu.max"));
    assert_eq!((max.status, max.stderr.as_str()), (3, ""));
    assert_eq!(
        max.stdout.lines().take_while(|line| !line.starts_with("Note")).collect::<Vec<_>>().join("\n"),
        "/sys/fs/cgroup/gb-why/kubepods/burstable/podsilver/app/cpu.max
container app of pod default/silver, which is Burstable
- something is requested or limited, so it is not BestEffort
- not Guaranteed: container app requests cpu 250m, less than its limit 500m
- not Guaranteed: container app requests memory 64Mi, less than its limit 129M
- not Guaranteed: container log has no cpu limit
- not Guaranteed: container log has no memory limit

DIFFERS  cpu.max = 20000 100000
         pod default/silver: 50000 100000
             spec.containers[0].resources.limits.cpu = 500m
             500m * 100000 / 1000 = 50000 us per 100000 us
             in config.json linux.resources.cpu.quota = 50000,
             linux.resources.cpu.period = 100000
         changed since, or of another node, kubelet or driver: see --node and
         --kubelet-config

It does not agree.
"
    );
    // The old formula of older runtimes is recognised.
    fs::write(format!("{app}/cpu.weight"), "10").unwrap();
    let weight = why(&format!("{app}/cpu.weight"));
    assert!(weight.stdout.contains("the old formula gives what the kernel holds"), "{}", weight.stdout);
    let current = why(&format!("{app}/memory.current"));
    assert_eq!(current.status, 0);
    assert!(current.stdout.contains("the kernel counts or tells here"), "{}", current.stdout);
    // Two Burstable pods: their class holds more than one of them asks for.
    fs::write(format!("{lab}/kubepods/burstable/cpu.weight"), "79").unwrap();
    let class = machine.glassbox(["why", "--format", "json", "--pod", &pod, &format!("{lab}/kubepods/burstable")]);
    assert_eq!(class.status, 0);
    assert!(verdicts(&json_of(&class)).contains(&"cpu.weight at least".to_string()), "{}", class.stdout);
    let lost = machine.glassbox(["why", &app]);
    assert_eq!(lost.status, 1);
    assert!(lost.stderr.contains("Burstable pod with the uid silver, whose manifest is not known"), "{}", lost.stderr);
    assert!(lost.stderr.contains("hint: Give it with --pod POD.yaml"), "{}", lost.stderr);
    removed(lab);
}

#[test]
fn a_container_of_glassbox_is_traced_to_its_config_and_an_update_shows() {
    let machine = machine();
    let bundle = machine.bundle("traced");
    bundle.args(&["sleep", "100"]);
    bundle.edit(|config| {
        config["linux"]["resources"] = json!({
            "cpu": {"shares": 512, "quota": 50000, "period": 100000},
            "memory": {"limit": 67108864},
            "pids": {"limit": 20},
        });
        config["process"]["oomScoreAdj"] = json!(500);
    });
    machine.quiet(&["run", "--detach", "--bundle", bundle.path(), "traced"]);
    let group = "/sys/fs/cgroup/glassbox-traced";
    let said = machine.glassbox(["why", "--format", "json", group]);
    assert_eq!((said.status, said.stderr.as_str()), (0, ""), "{}", said.stdout);
    let expected =
        ["cpu.weight agrees", "cpu.max agrees", "pids.max agrees", "memory.max agrees", "oom_score_adj agrees"];
    let mut found = verdicts(&json_of(&said));
    found.sort();
    let mut expected = expected.map(str::to_string).to_vec();
    expected.sort();
    assert_eq!(found, expected);
    // A file that the config does not name holds what a new cgroup has.
    let high = machine.glassbox(["why", "--format", "json", &format!("{group}/memory.high")]);
    assert_eq!(json_of(&high)["files"][0]["expected"][0]["by"], "the kernel");
    assert_eq!(high.status, 0);
    // By the bundle it is the same, and an update differs from both.
    machine.quiet(&["update", "--memory", "32M", "traced"]);
    let changed = machine.glassbox(["why", bundle.path(), "linux.resources.memory"]);
    assert_eq!(changed.status, 3);
    assert!(changed.stdout.contains("DIFFERS  memory.max = 33554432"), "{}", changed.stdout);
    assert!(changed.stdout.contains("for example by `glassbox update`"), "{}", changed.stdout);
    machine.quiet(&["delete", "--force", "traced"]);
}
