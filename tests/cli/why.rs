//! `glassbox why`: the way back from config.json to the Pod field, and what it answers to what it cannot trace.

use std::fs;

use insta::assert_snapshot;
use serde_json::{Value, json};

use super::support::{Run, glassbox};

const POD: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: silver, uid: 0f1e-2d}
spec:
  containers:
  - name: app
    image: nginx
    resources: {requests: {cpu: 250m, memory: 64Mi}, limits: {cpu: 500m, memory: 128Mi}}
";

/// A directory with a pod, a node, and the config.json that containerd would make for its container.
fn scene(resources: Value) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
    write("pod.yaml", POD);
    write("node.yaml", "{apiVersion: v1, kind: Node, metadata: {name: n1}, status: {capacity: {cpu: 4, memory: 8Gi}}}");
    fs::create_dir(directory.path().join("bundle")).unwrap();
    let config = json!({
        "ociVersion": "1.2.1",
        "process": {"args": ["sh"], "oomScoreAdj": 993},
        "annotations": {"io.kubernetes.cri.container-type": "container", "io.kubernetes.cri.container-name": "app"},
        "linux": {"cgroupsPath": "/kubepods/burstable/pod0f1e-2d/c0ffee", "resources": resources},
    });
    write("bundle/config.json", &config.to_string());
    directory
}

fn resources() -> Value {
    json!({
        "cpu": {"shares": 256, "quota": 50000, "period": 100000},
        "memory": {"limit": 134217728, "swap": 134217728},
        "unified": {"memory.oom.group": "1", "memory.swap.max": "0"},
    })
}

fn why(scene: &tempfile::TempDir, args: &[&str]) -> Run {
    let root = scene.path().join("state");
    glassbox(["--root", root.to_str().unwrap(), "why", "--node", "node.yaml"].iter().chain(args)).in_dir(scene)
}

/// The scene's own path, which differs from run to run, is left out.
fn told(scene: &tempfile::TempDir, args: &[&str]) -> String {
    let path = scene.path().canonicalize().unwrap();
    why(scene, args).snapshot().replace(path.to_str().unwrap(), "/scene")
}

#[test]
fn a_field_of_config_json_is_traced_to_the_pod() {
    let scene = scene(resources());
    assert_snapshot!(told(&scene, &["--pod", "pod.yaml", "bundle/config.json", "linux.resources.cpu"]), @r"
    status 0
    stdout:
    /scene/bundle/config.json
    container app of pod default/silver, which is Burstable
    - something is requested or limited, so it is not BestEffort
    - not Guaranteed: container app requests cpu 250m, less than its limit 500m
    - not Guaranteed: container app requests memory 64Mi, less than its limit 128Mi

    ok       cpu.weight
             pod default/silver: 35
                 spec.containers[0].resources.requests.cpu = 250m
                 250m * 1024 / 1000 = 256 shares
                 runc 1.3.2, crun 1.23 and later: l = log2(256) = 8.000
                 10^((l*l + 125*l)/612 - 7/34) = 35, rounded up
                 in config.json linux.resources.cpu.shares = 256
             config.json: 35
                 runc 1.3.2, crun 1.23 and later
                 l = log2(256) = 8.000
                 10^((l*l + 125*l)/612 - 7/34) = 35, rounded up
                 in config.json linux.resources.cpu.shares = 256

    ok       cpu.max
             pod default/silver: 50000 100000
                 spec.containers[0].resources.limits.cpu = 500m
                 500m * 100000 / 1000 = 50000 us per 100000 us
                 in config.json linux.resources.cpu.quota = 50000,
                 linux.resources.cpu.period = 100000
             config.json: 50000 100000
                 in config.json linux.resources.cpu.quota = 50000,
                 linux.resources.cpu.period = 100000

    All 2 agree.

    Note:
    - no container runs from this bundle: there is nothing live to compare with
    ");
}

#[test]
fn every_value_that_containerd_would_write_agrees_with_the_pod() {
    let scene = scene(resources());
    let output = why(&scene, &["--pod", "pod.yaml", "--format", "json", "bundle"]).output();
    assert_eq!((output.status, output.stderr.as_str()), (0, ""), "{}", output.stdout);
    let answer: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(answer["agrees"], true);
    let verdicts: Vec<String> = answer["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| format!("{} {}", row["file"].as_str().unwrap(), row["verdict"].as_str().unwrap()))
        .collect();
    assert_eq!(
        verdicts,
        [
            "cpu.weight agrees",
            "cpu.max agrees",
            "memory.max agrees",
            "memory.swap.max agrees",
            "memory.oom.group agrees",
            "oom_score_adj agrees"
        ]
    );
    assert!(answer["files"][0]["live"].is_null());
}

#[test]
fn a_value_that_is_not_the_pods_is_named_and_the_exit_code_says_so() {
    let mut wrong = resources();
    wrong["memory"]["limit"] = json!(268435456);
    wrong["memory"]["swap"] = json!(268435456);
    let scene = scene(wrong);
    assert_snapshot!(told(&scene, &["--pod", "pod.yaml", "bundle", "linux.resources.memory"]), @r"
    status 3
    stdout:
    /scene/bundle
    container app of pod default/silver, which is Burstable
    - something is requested or limited, so it is not BestEffort
    - not Guaranteed: container app requests cpu 250m, less than its limit 500m
    - not Guaranteed: container app requests memory 64Mi, less than its limit 128Mi

    DIFFERS  memory.max
             pod default/silver: 134217728
                 spec.containers[0].resources.limits.memory = 128Mi: 134217728 bytes
                 in config.json linux.resources.memory.limit = 134217728
             config.json: 268435456
                 in config.json linux.resources.memory.limit = 268435456

    It does not agree.

    Note:
    - no container runs from this bundle: there is nothing live to compare with
    ");
}

#[test]
fn what_cannot_be_traced_is_said_with_its_remedy() {
    let scene = scene(resources());
    assert_snapshot!(told(&scene, &["bundle", "linux.resources.cpu.burst"]), @r"
    status 1
    stderr:
    error: config.json has no field linux.resources.cpu.burst
      hint: Name it as the runtime specification does, such as linux.resources.cpu.shares.
    ");
    assert_snapshot!(told(&scene, &["bundle", "linux.cgroupsPath"]), @r"
    status 1
    stderr:
    error: linux.cgroupsPath becomes no value of a cgroup
      hint: `glassbox explain BUNDLE` tells what every field of config.json does.
    ");
    assert_snapshot!(told(&scene, &["pod.yaml"]), @r"
    status 1
    stderr:
    error: /scene/pod.yaml is neither of a cgroup nor a bundle
      hint: Give a file or directory below /sys/fs/cgroup, a bundle, or its config.json.
    ");
    assert_snapshot!(told(&scene, &["nowhere"]), @r"
    status 1
    stderr:
    error: cannot look at nowhere: No such file or directory (os error 2)
      hint: Give a file or directory below /sys/fs/cgroup, a bundle, or its config.json.
    ");
    assert_snapshot!(told(&scene, &["--pod", "pod.yaml", "--container", "web", "bundle"]), @r"
    status 1
    stderr:
    error: the pod silver has no container web
      hint: It has: app; and _pause, the sandbox.
    ");
}
