//! `glassbox qos`: everything it prints, for pods of each class and for what is wrong.

use std::fs;

use insta::assert_snapshot;
use serde_json::{Value, json};

use super::support::{Output, Run, glassbox};

const NODE: &str =
    "{apiVersion: v1, kind: Node, metadata: {name: n1}, status: {capacity: {cpu: 4, memory: 8Gi, hugepages-2Mi: 0}}}";

const GUARANTEED: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: steady, uid: 0f1e-2d}
spec:
  containers:
  - name: web
    image: nginx
    resources:
      limits: {cpu: 333m, memory: 129000000}
";

const BURSTABLE: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: bursty}
spec:
  initContainers:
  - name: proxy
    image: envoy
    restartPolicy: Always
    resources: {requests: {cpu: 100m, memory: 32Mi}, limits: {cpu: 200m, memory: 64Mi}}
  containers:
  - name: web
    image: nginx
    resources: {requests: {cpu: 250m, memory: 1Gi}, limits: {cpu: 500m}}
";

const BEST_EFFORT: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: loose}
spec: {containers: [{name: web, image: nginx}]}
";

/// A directory with a node and a pod.
fn scene(pod: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("node.yaml"), NODE).unwrap();
    fs::write(directory.path().join("pod.yaml"), pod).unwrap();
    directory
}

fn qos(scene: &tempfile::TempDir, more: &[&str]) -> Run {
    glassbox(["qos", "--node", "node.yaml"].iter().chain(more).chain(&["pod.yaml"])).in_dir(scene)
}

fn answer(pod: &str, more: &[&str]) -> Value {
    let mut args = vec!["--format", "json"];
    args.extend(more);
    let output = qos(&scene(pod), &args).output();
    assert_eq!((output.status, output.stderr.as_str()), (0, ""), "{}", output.stdout);
    serde_json::from_str(&output.stdout).unwrap()
}

/// `level/name file=value…` for each cgroup.
fn values(answer: &Value) -> String {
    let mut lines = String::new();
    for group in answer["cgroups"].as_array().unwrap() {
        lines.push_str(&format!("{} {} {}", group["level"], group["name"], group["path"]).replace('"', ""));
        for (file, write) in group["files"].as_object().unwrap() {
            lines.push_str(&format!("\n  {file} = {}", write["value"].as_str().unwrap()));
            assert!(!write["because"].as_str().unwrap().is_empty());
        }
        if !group["oomScoreAdj"].is_null() {
            lines.push_str(&format!("\n  oom_score_adj = {}", group["oomScoreAdj"]));
        }
        lines.push('\n');
    }
    lines
}

#[test]
fn a_guaranteed_pod_in_words() {
    assert_snapshot!(qos(&scene(GUARANTEED), &[]).snapshot(), @r"
    status 0
    stdout:
    default/steady is Guaranteed.
    - container web: requests equal limits, cpu 333m and memory 129M

    Node: Node n1, cpu 4, memory 8Gi. Driver cgroupfs, runtime containerd. Rules of
    Kubernetes 1.36.

    kubepods, all pods of the node
    /kubepods
    cpu.weight = 157
        Node n1, capacity.cpu = 4, nothing reserved
        4000m * 1024 / 1000 = 4096 shares
        kubelet and old runtimes: 1 + (4096 - 2) * 9999 / 262142 = 157
    memory.max = 8589934592
        Node n1, capacity.memory = 8Gi, nothing reserved: 8589934592 bytes
    cpuset.cpus = 0-3
        Node n1: all CPUs; the CPU manager's policy is none, the default
    hugetlb.*.max = 4611686018427387904
        kubelet leaves huge pages unlimited at node and QoS level: 2^62
        for pages of 2MB, .max and .rsvd.max
    pids.max stays ?
        kubelet writes the lesser of kernel.pid_max and threads-max, which a Node
        does not tell
    │
    └─ pod steady
       /kubepods/pod0f1e-2d
       cpu.weight = 13
           spec.containers[0].resources.requests.cpu = 333m (defaulted from
           limits.cpu)
           333m * 1024 / 1000 = 340 shares
           kubelet and old runtimes: 1 + (340 - 2) * 9999 / 262142 = 13
       cpu.max = 33300 100000
           spec.containers[0].resources.limits.cpu = 333m
           333m * 100000 / 1000 = 33300 us per 100000 us
       memory.max = 129000000
           spec.containers[0].resources.limits.memory = 129000000
           129000000 bytes
           the kernel counts pages of 4096 and keeps 128999424
       hugetlb.*.max = 0
           the pod requests no huge pages of this size
           for pages of 2MB, .max and .rsvd.max
       pids.max stays max
           podPidsLimit of the KubeletConfiguration is not above 0
       │
       ├─ sandbox, the pause process that holds the pod's namespaces
       │  /kubepods/pod0f1e-2d/<cid>
       │  cpu.weight = 1
       │      containerd gives every sandbox 2 shares
       │      runc 1.3.2, crun 1.23 and later: 2 shares are weight 1
       │  oom_score_adj = -998
       │      fixed by containerd for the pause process
       │
       └─ container web
          /kubepods/pod0f1e-2d/<cid>
          cpu.weight = 43
              spec.containers[0].resources.requests.cpu = 333m (defaulted from
              limits.cpu)
              333m * 1024 / 1000 = 340 shares
              runc 1.3.2, crun 1.23 and later: l = log2(340) = 8.409
              10^((l*l + 125*l)/612 - 7/34) = 43, rounded up
          cpu.max = 33300 100000
              spec.containers[0].resources.limits.cpu = 333m
              333m * 100000 / 1000 = 33300 us per 100000 us
          memory.max = 129000000
              spec.containers[0].resources.limits.memory = 129000000
              129000000 bytes
              the kernel counts pages of 4096 and keeps 128999424
          memory.swap.max = 0
              swapBehavior is NoSwap, the default: none, even if the node has swap
          memory.oom.group = 1
              singleProcessOOMKill is false, the default
              out of memory kills all of the container
          hugetlb.*.max = 0
              no limit for huge pages of this size: none at all
              for pages of 2MB, .max and .rsvd.max
          cpuset.cpus stays empty
              the CPU manager's policy is none, the default: any CPU
          oom_score_adj = -997
              Guaranteed: last to be killed
    ");
}

#[test]
fn a_burstable_pod_with_a_sidecar_in_words() {
    assert_snapshot!(qos(&scene(BURSTABLE), &["--cgroup-driver", "systemd", "--cri", "crio"]).snapshot(), @r"
    status 0
    stdout:
    default/bursty is Burstable.
    - something is requested or limited, so it is not BestEffort
    - not Guaranteed: container web requests cpu 250m, less than its limit 500m
    - not Guaranteed: container web has no memory limit
    - not Guaranteed: sidecar proxy requests cpu 100m, less than its limit 200m
    - not Guaranteed: sidecar proxy requests memory 32Mi, less than its limit 64Mi

    Node: Node n1, cpu 4, memory 8Gi. Driver systemd, runtime CRI-O. Rules of
    Kubernetes 1.36.

    kubepods, all pods of the node
    /kubepods.slice
    cpu.weight = 157
        Node n1, capacity.cpu = 4, nothing reserved
        4000m * 1024 / 1000 = 4096 shares
        kubelet and old runtimes: 1 + (4096 - 2) * 9999 / 262142 = 157
    memory.max = 8589934592
        Node n1, capacity.memory = 8Gi, nothing reserved: 8589934592 bytes
    cpuset.cpus = 0-3
        Node n1: all CPUs; the CPU manager's policy is none, the default
    hugetlb.*.max = 4611686018427387904
        kubelet leaves huge pages unlimited at node and QoS level: 2^62
        for pages of 2MB, .max and .rsvd.max
    pids.max stays ?
        kubelet writes the lesser of kernel.pid_max and threads-max, which a Node
        does not tell
    │
    └─ QoS class burstable
       /kubepods.slice/kubepods-burstable.slice
       cpu.weight = 14
           requests.cpu of web 250m + proxy 100m => 350m, this pod alone of all
           Burstable ones
           350m * 1024 / 1000 = 358 shares
           kubelet and old runtimes: 1 + (358 - 2) * 9999 / 262142 = 14
       hugetlb.*.max = 4611686018427387904
           kubelet leaves huge pages unlimited at node and QoS level: 2^62
           for pages of 2MB, .max and .rsvd.max
       cpu.max stays max 100000
           kubelet sets no cpu limit at this level
       memory.max stays max
           kubelet sets no memory limit at this level
       │
       └─ pod bursty
          /kubepods.slice/kubepods-burstable.slice/
          kubepods-burstable-podbursty.slice
          cpu.weight = 14
              requests.cpu of web 250m + proxy 100m => 350m
              350m * 1024 / 1000 = 358 shares
              kubelet and old runtimes: 1 + (358 - 2) * 9999 / 262142 = 14
          cpu.max = 70000 100000
              limits.cpu of web 500m + proxy 200m => 700m
              700m * 100000 / 1000 = 70000 us per 100000 us
          hugetlb.*.max = 0
              the pod requests no huge pages of this size
              for pages of 2MB, .max and .rsvd.max
          memory.max stays max
              container web has no memory limit, so the pod gets none
          pids.max stays max
              podPidsLimit of the KubeletConfiguration is not above 0
          │
          ├─ sandbox, the pause process that holds the pod's namespaces
          │  /kubepods.slice/kubepods-burstable.slice/
          │  kubepods-burstable-podbursty.slice/crio-<cid>.scope
          │  cpu.weight = 1
          │      CRI-O gives every sandbox 2 shares
          │      runc 1.3.2, crun 1.23 and later: 2 shares are weight 1
          │      with drop_infra_ctr, its default, it starts one only where the pod
          │      shares a PID namespace
          │  oom_score_adj = -998
          │      fixed by CRI-O for the pause process
          │
          ├─ sidecar proxy
          │  /kubepods.slice/kubepods-burstable.slice/
          │  kubepods-burstable-podbursty.slice/crio-<cid>.scope
          │  cpu.weight = 17
          │      spec.initContainers[0].resources.requests.cpu = 100m
          │      100m * 1024 / 1000 = 102 shares
          │      runc 1.3.2, crun 1.23 and later: l = log2(102) = 6.672
          │      10^((l*l + 125*l)/612 - 7/34) = 17, rounded up
          │  cpu.max = 20000 100000
          │      spec.initContainers[0].resources.limits.cpu = 200m
          │      200m * 100000 / 1000 = 20000 us per 100000 us
          │  memory.max = 67108864
          │      spec.initContainers[0].resources.limits.memory = 64Mi
          │      67108864 bytes
          │  memory.swap.max = 0
          │      swapBehavior is NoSwap, the default
          │      none, even if the node has swap
          │  memory.oom.group = 1
          │      singleProcessOOMKill is false, the default
          │      out of memory kills all of the container
          │  hugetlb.*.max = 0
          │      no limit for huge pages of this size: none at all
          │      for pages of 2MB, .max and .rsvd.max
          │  cpuset.cpus stays empty
          │      the CPU manager's policy is none, the default: any CPU
          │  oom_score_adj = 875
          │      1000 - 1000 * 33554432 / 8589934592 (memory request / node memory)
          │      = 997
          │      a sidecar gets at most 875, the score of the app container that
          │      requests least (1073741824)
          │
          └─ container web
             /kubepods.slice/kubepods-burstable.slice/
             kubepods-burstable-podbursty.slice/crio-<cid>.scope
             cpu.weight = 35
                 spec.containers[0].resources.requests.cpu = 250m
                 250m * 1024 / 1000 = 256 shares
                 runc 1.3.2, crun 1.23 and later: l = log2(256) = 8.000
                 10^((l*l + 125*l)/612 - 7/34) = 35, rounded up
             cpu.max = 50000 100000
                 spec.containers[0].resources.limits.cpu = 500m
                 500m * 100000 / 1000 = 50000 us per 100000 us
             memory.swap.max = 0
                 swapBehavior is NoSwap, the default
                 none, even if the node has swap
             memory.oom.group = 1
                 singleProcessOOMKill is false, the default
                 out of memory kills all of the container
             hugetlb.*.max = 0
                 no limit for huge pages of this size: none at all
                 for pages of 2MB, .max and .rsvd.max
             memory.max stays max
                 spec.containers[0].resources.limits.memory is not set
             cpuset.cpus stays empty
                 the CPU manager's policy is none, the default: any CPU
             oom_score_adj = 875
                 1000 - 1000 * 1073741824 / 8589934592 (memory request / node
                 memory) = 875

    Note:
    - metadata.uid is made by the API server: the name bursty stands in for it in
      cgroup names
    ");
}

#[test]
fn a_best_effort_pod_in_json() {
    assert_snapshot!(qos(&scene(BEST_EFFORT), &["--format", "json"]).snapshot(), @r#"
    status 0
    stdout:
    {
      "valid": true,
      "qosClass": "BestEffort",
      "because": [
        "no container requests or limits cpu or memory above 0 (web)"
      ],
      "cgroups": [
        {
          "level": "kubepods",
          "name": "kubepods",
          "kind": "node",
          "path": "/kubepods",
          "files": {
            "cpu.weight": {
              "value": "157",
              "because": "Node n1, capacity.cpu = 4, nothing reserved: 4000m * 1024 / 1000 = 4096 shares; kubelet and old runtimes: 1 + (4096 - 2) * 9999 / 262142 = 157"
            },
            "memory.max": {
              "value": "8589934592",
              "because": "Node n1, capacity.memory = 8Gi, nothing reserved: 8589934592 bytes"
            },
            "cpuset.cpus": {
              "value": "0-3",
              "because": "Node n1: all CPUs; the CPU manager's policy is none, the default"
            },
            "hugetlb.2MB.max": {
              "value": "4611686018427387904",
              "because": "kubelet leaves huge pages unlimited at node and QoS level: 2^62"
            },
            "hugetlb.2MB.rsvd.max": {
              "value": "4611686018427387904",
              "because": "kubelet leaves huge pages unlimited at node and QoS level: 2^62"
            }
          },
          "oomScoreAdj": null
        },
        {
          "level": "qos",
          "name": "besteffort",
          "kind": "class",
          "path": "/kubepods/besteffort",
          "files": {
            "cpu.weight": {
              "value": "1",
              "because": "fixed for BestEffort: no cpu request gives 2 shares, the minimum; kubelet and old runtimes: 1 + (2 - 2) * 9999 / 262142 = 1"
            },
            "hugetlb.2MB.max": {
              "value": "4611686018427387904",
              "because": "kubelet leaves huge pages unlimited at node and QoS level: 2^62"
            },
            "hugetlb.2MB.rsvd.max": {
              "value": "4611686018427387904",
              "because": "kubelet leaves huge pages unlimited at node and QoS level: 2^62"
            }
          },
          "oomScoreAdj": null
        },
        {
          "level": "pod",
          "name": "loose",
          "kind": "pod",
          "path": "/kubepods/besteffort/podloose",
          "files": {
            "cpu.weight": {
              "value": "1",
              "because": "fixed for BestEffort, whatever its overhead: no cpu request gives 2 shares, the minimum; kubelet and old runtimes: 1 + (2 - 2) * 9999 / 262142 = 1"
            },
            "hugetlb.2MB.max": {
              "value": "0",
              "because": "the pod requests no huge pages of this size"
            },
            "hugetlb.2MB.rsvd.max": {
              "value": "0",
              "because": "the pod requests no huge pages of this size"
            }
          },
          "oomScoreAdj": null
        },
        {
          "level": "sandbox",
          "name": "sandbox",
          "kind": "pause",
          "path": "/kubepods/besteffort/podloose/<cid>",
          "files": {
            "cpu.weight": {
              "value": "1",
              "because": "containerd gives every sandbox 2 shares: runc 1.3.2, crun 1.23 and later: 2 shares are weight 1"
            }
          },
          "oomScoreAdj": -998
        },
        {
          "level": "container",
          "name": "web",
          "kind": "app",
          "path": "/kubepods/besteffort/podloose/<cid>",
          "files": {
            "cpu.weight": {
              "value": "1",
              "because": "spec.containers[0].resources.requests.cpu is not set: no cpu request gives 2 shares, the minimum; runc 1.3.2, crun 1.23 and later: 2 shares are weight 1"
            },
            "cpu.max": {
              "value": "max 100000",
              "because": "spec.containers[0].resources.limits.cpu is not set: no limit, per 100000 us"
            },
            "memory.swap.max": {
              "value": "0",
              "because": "swapBehavior is NoSwap, the default: none, even if the node has swap"
            },
            "memory.oom.group": {
              "value": "1",
              "because": "singleProcessOOMKill is false, the default: out of memory kills all of the container"
            },
            "hugetlb.2MB.max": {
              "value": "0",
              "because": "no limit for huge pages of this size: none at all"
            },
            "hugetlb.2MB.rsvd.max": {
              "value": "0",
              "because": "no limit for huge pages of this size: none at all"
            }
          },
          "oomScoreAdj": 1000
        }
      ],
      "warnings": [
        "metadata.uid is made by the API server: the name loose stands in for it in cgroup names"
      ]
    }
    "#);
}

#[test]
fn the_values_of_a_guaranteed_pod_under_systemd() {
    assert_snapshot!(values(&answer(GUARANTEED, &["--cgroup-driver", "systemd"])), @r"
    kubepods kubepods /kubepods.slice
      cpu.weight = 157
      memory.max = 8589934592
      cpuset.cpus = 0-3
      hugetlb.2MB.max = 4611686018427387904
      hugetlb.2MB.rsvd.max = 4611686018427387904
    pod steady /kubepods.slice/kubepods-pod0f1e_2d.slice
      cpu.weight = 13
      cpu.max = 34000 100000
      memory.max = 129000000
      hugetlb.2MB.max = 0
      hugetlb.2MB.rsvd.max = 0
    sandbox sandbox /kubepods.slice/kubepods-pod0f1e_2d.slice/cri-containerd-<cid>.scope
      cpu.weight = 1
      oom_score_adj = -998
    container web /kubepods.slice/kubepods-pod0f1e_2d.slice/cri-containerd-<cid>.scope
      cpu.weight = 43
      cpu.max = 34000 100000
      memory.max = 129000000
      memory.swap.max = 0
      memory.oom.group = 1
      hugetlb.2MB.max = 0
      hugetlb.2MB.rsvd.max = 0
      oom_score_adj = -997
    ");
}

#[test]
fn a_kubelet_configuration_decides_driver_period_reservations_and_more() {
    let directory = scene(GUARANTEED);
    let config = "\
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cgroupDriver: systemd
cpuCFSQuotaPeriod: 10ms
podPidsLimit: 100
singleProcessOOMKill: true
systemReserved: {cpu: 500m, memory: 1Gi}
kubeReserved: {cpu: 500m}
maxPods: 20
";
    fs::write(directory.path().join("kubelet.yaml"), config).unwrap();
    let output = qos(&directory, &["--format", "json", "--kubelet-config", "kubelet.yaml"]).output();
    let answer: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_snapshot!(values(&answer), @r"
    kubepods kubepods /kubepods.slice
      cpu.weight = 118
      memory.max = 7516192768
      cpuset.cpus = 0-3
      hugetlb.2MB.max = 4611686018427387904
      hugetlb.2MB.rsvd.max = 4611686018427387904
    pod steady /kubepods.slice/kubepods-pod0f1e_2d.slice
      cpu.weight = 13
      cpu.max = 3400 10000
      memory.max = 129000000
      pids.max = 100
      hugetlb.2MB.max = 0
      hugetlb.2MB.rsvd.max = 0
    sandbox sandbox /kubepods.slice/kubepods-pod0f1e_2d.slice/cri-containerd-<cid>.scope
      cpu.weight = 1
      oom_score_adj = -998
    container web /kubepods.slice/kubepods-pod0f1e_2d.slice/cri-containerd-<cid>.scope
      cpu.weight = 43
      cpu.max = 3400 10000
      memory.max = 129000000
      memory.swap.max = 0
      hugetlb.2MB.max = 0
      hugetlb.2MB.rsvd.max = 0
      oom_score_adj = -997
    ");
    assert_eq!(answer["warnings"], json!(["fields of the KubeletConfiguration that decide nothing here: maxPods"]));
}

#[test]
fn memory_qos_limited_swap_static_cpus_and_huge_pages_reach_every_level() {
    let directory = scene(
        "\
apiVersion: v1
kind: Pod
metadata: {name: pinned, uid: u}
spec:
  containers:
  - {name: db, image: i, resources: {limits: {cpu: 2, memory: 1Gi, hugepages-2Mi: 64Mi}}}
  - {name: log, image: i, resources: {limits: {cpu: 100m, memory: 64Mi}}}
",
    );
    let config = "\
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cgroupRoot: /node
cpuManagerPolicy: static
reservedSystemCPUs: 0,3
memoryReservationPolicy: TieredReservation
memorySwap: {swapBehavior: LimitedSwap}
featureGates: {MemoryQoS: true, SomethingElse: true}
evictionHard: {memory.available: 5%}
";
    fs::write(directory.path().join("kubelet.yaml"), config).unwrap();
    let output = qos(&directory, &["--format", "json", "--kubelet-config", "kubelet.yaml"]).output();
    assert_eq!(output.stderr, "");
    let answer: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_snapshot!(values(&answer), @r"
    kubepods kubepods /node/kubepods
      cpu.weight = 79
      memory.max = 8589934592
      memory.min = 1140850688
      hugetlb.2MB.max = 4611686018427387904
      hugetlb.2MB.rsvd.max = 4611686018427387904
    pod pinned /node/kubepods/podu
      cpu.weight = 82
      cpu.max = max 100000
      memory.max = 1140850688
      memory.min = 1140850688
      hugetlb.2MB.max = 67108864
      hugetlb.2MB.rsvd.max = 67108864
    sandbox sandbox /node/kubepods/podu/<cid>
      cpu.weight = 1
      oom_score_adj = -998
    container db /node/kubepods/podu/<cid>
      cpu.weight = 174
      cpu.max = max 100000
      memory.max = 1073741824
      memory.swap.max = 0
      memory.min = 1073741824
      memory.oom.group = 1
      cpuset.cpus = 1-2
      hugetlb.2MB.max = 67108864
      hugetlb.2MB.rsvd.max = 67108864
      oom_score_adj = -997
    container log /node/kubepods/podu/<cid>
      cpu.weight = 17
      cpu.max = 10000 100000
      memory.max = 67108864
      memory.swap.max = 0
      memory.min = 67108864
      memory.oom.group = 1
      cpuset.cpus = 0,3
      hugetlb.2MB.max = 0
      hugetlb.2MB.rsvd.max = 0
      oom_score_adj = -997
    ");
    assert_snapshot!(serde_json::to_string_pretty(&answer["warnings"]).unwrap(), @r#"
    [
      "feature gates that are not looked at: SomethingElse",
      "cpuset.cpus supposes an empty node whose CPUs are cores of their own: a kubelet knows its topology and takes whole cores first"
    ]
    "#);
}

#[test]
fn the_old_runtime_formula_and_cgroup_v1_are_there_by_name() {
    let directory = scene(GUARANTEED);
    let answer = |args: &[&str]| -> Value {
        serde_json::from_str(&qos(&directory, &[&["--format", "json"], args].concat()).output().stdout).unwrap()
    };
    let weight = |answer: &Value| answer["cgroups"][3]["files"]["cpu.weight"]["value"].as_str().unwrap().to_string();
    assert_eq!(weight(&answer(&["--runtime-formula", "old"])), "13");
    assert_eq!(weight(&answer(&["--runtime-formula", "new"])), "43");
    let old: Vec<String> = answer(&["--v1"])["cgroups"][3]["files"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(file, write)| format!("{file}: {}", write["v1"]))
        .collect();
    assert_snapshot!(old.join("\n"), @r#"
    cpu.weight: {"cpu.shares":"340"}
    cpu.max: {"cpu.cfs_quota_us":"33300","cpu.cfs_period_us":"100000"}
    memory.max: {"memory.limit_in_bytes":"129000000"}
    memory.swap.max: {"memory.memsw.limit_in_bytes":"129000000"}
    memory.oom.group: {}
    hugetlb.2MB.max: {"hugetlb.2MB.limit_in_bytes":"0"}
    hugetlb.2MB.rsvd.max: {"hugetlb.2MB.rsvd.limit_in_bytes":"0"}
    "#);
}

#[test]
fn three_pods_stand_side_by_side() {
    let directory = scene(GUARANTEED);
    fs::write(directory.path().join("burstable.yaml"), BURSTABLE).unwrap();
    fs::write(directory.path().join("besteffort.yaml"), BEST_EFFORT).unwrap();
    let run = |args: &[&str]| glassbox(["qos", "--node", "node.yaml"].iter().chain(args)).in_dir(&directory);
    assert_snapshot!(run(&["pod.yaml", "burstable.yaml", "besteffort.yaml"]).snapshot(), @r"
    status 0
    stdout:
                         pod.yaml           burstable.yaml     besteffort.yaml
    * QoS class          Guaranteed         Burstable          BestEffort

      kubepods           node kubepods      node kubepods      node kubepods
      cpu.weight         157                157                157
      memory.max         8589934592         8589934592         8589934592
      cpuset.cpus        0-3                0-3                0-3

      qos                -                  class burstable    class besteffort
    * cpu.weight         -                  14                 1

      pod                pod steady         pod bursty         pod loose
    * cpu.weight         13                 14                 1
    * cpu.max            33300 100000       70000 100000       -
    * memory.max         129000000          -                  -

      sandbox            pause sandbox      pause sandbox      pause sandbox
      cpu.weight         1                  1                  1
      oom_score_adj      -998               -998               -998

      container          app web            sidecar proxy      app web
    * cpu.weight         43                 17                 1
    * cpu.max            33300 100000       20000 100000       max 100000
    * memory.max         129000000          67108864           -
      memory.swap.max    0                  0                  0
      memory.oom.group   1                  1                  1
    * oom_score_adj      -997               875                1000

      container          -                  app web            -
    * cpu.weight         -                  35                 -
    * cpu.max            -                  50000 100000       -
    * memory.swap.max    -                  0                  -
    * memory.oom.group   -                  1                  -
    * oom_score_adj      -                  875                -

    * the pods differ;  - the file keeps the kernel's own value, or the level is not there
    ");
    let both: Value =
        serde_json::from_str(&run(&["--format", "json", "pod.yaml", "besteffort.yaml"]).output().stdout).unwrap();
    assert_eq!(both["pods"][0]["qosClass"], "Guaranteed");
    assert_eq!(both["pods"][1]["file"], "besteffort.yaml");
    assert_snapshot!(run(&["pod.yaml", "node.yaml"]).snapshot(), @r"
    status 1
    stderr:
    error: invalid pod node.yaml
      kind: no Pod here, but Node: give a Pod, or a Deployment, StatefulSet, DaemonSet, ReplicaSet, Job or CronJob, whose pod template is read
    ");
    assert_snapshot!(run(&["--apply", "/sys/fs/cgroup", "pod.yaml", "burstable.yaml"]).snapshot(), @r"
    status 1
    stderr:
    error: --apply takes one pod, and several are given
      hint: Apply them one after the other, into the same cgroup.
    ");
}

#[test]
fn standard_input_json_and_several_documents_are_read() {
    let pod = r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "uid": "u"},
        "spec": {"containers": [{"name": "c", "image": "i"}]}}"#;
    let output = glassbox(["qos", "--format", "json", "-"]).input(pod).output();
    let from_json: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!((output.status, &from_json["qosClass"]), (0, &json!("BestEffort")));
    let two = format!("{BEST_EFFORT}---\n{GUARANTEED}");
    let output = glassbox(["qos", "--format", "json", "--pod", "steady", "-"]).input(&two).output();
    let chosen: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(chosen["qosClass"], "Guaranteed");
}

#[test]
fn a_deployment_is_read_for_its_template() {
    let template = BURSTABLE.replace("apiVersion: v1\nkind: Pod\n", "").replace('\n', "\n    ");
    let deployment =
        format!("apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: front}}\nspec:\n  template:\n    {template}");
    let answer = answer(&deployment, &[]);
    assert_eq!(answer["qosClass"], "Burstable");
    assert_eq!(answer["cgroups"][2]["path"], "/kubepods/burstable/podfront");
    let because = answer["cgroups"][4]["files"]["cpu.weight"]["because"].as_str().unwrap();
    assert!(because.starts_with("spec.template.spec.initContainers[0].resources.requests.cpu = 100m"), "{because}");
    assert_snapshot!(answer["warnings"].to_string(), @r#"["read the pod template of Deployment front (spec.template): its controller names the pods","metadata.uid is made by the API server: the name front stands in for it in cgroup names"]"#);
}

#[test]
fn an_invalid_pod_lists_everything_that_is_wrong() {
    let pod = "\
apiVersion: v1
kind: Pod
metadata: {name: Bad_Name}
spec:
  containers:
  - name: web
    image: nginx
    resources: {requests: {cpu: 2, memory: 1Gi}, limits: {cpu: 1, memory: 512Mi}}
  - name: web
    resources: {limits: {gpu: 1, memory: -1}}
";
    assert_snapshot!(qos(&scene(pod), &[]).snapshot(), @r#"
    status 1
    stderr:
    error: invalid pod pod.yaml
      metadata.name: Invalid value: "Bad_Name": use lower case letters, digits, - and . only, start and end with a letter or digit, at most 253
      metadata.uid: Invalid value: "Bad_Name": a cgroup name cannot hold it; write a UUID
      spec.containers[1].name: Duplicate value: "web"
      spec.containers[1].image: Required value: every container has an image
      spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1
      spec.containers[0].resources.requests: Invalid value: "1Gi": must be less than or equal to memory limit of 512Mi
      spec.containers[1].resources.limits[gpu]: Invalid value: "gpu": must be a standard resource for containers: cpu, memory, ephemeral-storage or hugepages-SIZE
      spec.containers[1].resources.limits[memory]: Invalid value: "-1": must be greater than or equal to 0
      spec.containers[1].resources.requests[gpu]: Invalid value: "gpu": must be a standard resource for containers: cpu, memory, ephemeral-storage or hugepages-SIZE
      spec.containers[1].resources.requests[memory]: Invalid value: "-1": must be greater than or equal to 0
    "#);
    assert_snapshot!(qos(&scene(pod), &["--format", "json"]).snapshot(), @r#"
    status 1
    stdout:
    {
      "valid": false,
      "errors": [
        {
          "field": "metadata.name",
          "message": "Invalid value: \"Bad_Name\": use lower case letters, digits, - and . only, start and end with a letter or digit, at most 253"
        },
        {
          "field": "metadata.uid",
          "message": "Invalid value: \"Bad_Name\": a cgroup name cannot hold it; write a UUID"
        },
        {
          "field": "spec.containers[1].name",
          "message": "Duplicate value: \"web\""
        },
        {
          "field": "spec.containers[1].image",
          "message": "Required value: every container has an image"
        },
        {
          "field": "spec.containers[0].resources.requests",
          "message": "Invalid value: \"2\": must be less than or equal to cpu limit of 1"
        },
        {
          "field": "spec.containers[0].resources.requests",
          "message": "Invalid value: \"1Gi\": must be less than or equal to memory limit of 512Mi"
        },
        {
          "field": "spec.containers[1].resources.limits[gpu]",
          "message": "Invalid value: \"gpu\": must be a standard resource for containers: cpu, memory, ephemeral-storage or hugepages-SIZE"
        },
        {
          "field": "spec.containers[1].resources.limits[memory]",
          "message": "Invalid value: \"-1\": must be greater than or equal to 0"
        },
        {
          "field": "spec.containers[1].resources.requests[gpu]",
          "message": "Invalid value: \"gpu\": must be a standard resource for containers: cpu, memory, ephemeral-storage or hugepages-SIZE"
        },
        {
          "field": "spec.containers[1].resources.requests[memory]",
          "message": "Invalid value: \"-1\": must be greater than or equal to 0"
        }
      ]
    }
    "#);
}

#[test]
fn what_is_no_pod_is_told_apart() {
    let said = |pod: &str| {
        let Output { status, stdout, stderr } = qos(&scene(pod), &[]).output();
        assert_eq!((status, stdout.as_str()), (1, ""));
        stderr
    };
    let container = "spec: {containers: [{name: c, image: i, resources: {limits: {cpu: 1 Gi}}}]}";
    assert_snapshot!(said(""), @r"
    error: invalid pod pod.yaml
      the document is empty: give a Pod
    ");
    assert_snapshot!(said("a: ["), @r"
    error: invalid pod pod.yaml
      not YAML or JSON: unclosed bracket '[' at line 1, column 4
    ");
    assert_snapshot!(said("apiVersion: v1\nkind: Service\nmetadata: {name: s}"), @r"
    error: invalid pod pod.yaml
      kind: no Pod here, but Service: give a Pod, or a Deployment, StatefulSet, DaemonSet, ReplicaSet, Job or CronJob, whose pod template is read
    ");
    assert_snapshot!(said(&format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: a}}\n{container}")), @r#"
    error: invalid pod pod.yaml
      spec.containers[0].resources.limits[cpu]: Invalid value: "1 Gi" is not a quantity: it contains a space; write number and suffix together
    "#);
    assert_snapshot!(said("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: web}"), @r#"
    error: invalid pod pod.yaml
      spec.containers: Invalid value: invalid type: string "web", expected a sequence
    "#);
    assert_snapshot!(said(&format!("{BEST_EFFORT}---\n{GUARANTEED}")), @r"
    error: invalid pod pod.yaml
      2 pods in one file (loose, steady): choose one with --pod NAME, or keep one
    ");
}

#[test]
fn unknown_fields_are_named() {
    let pod = "\
apiVersion: v1
kind: Pod
metadata: {name: a, uid: u}
spec:
  contaners: []
  resourceClaims: [{name: gpu}]
  containers: [{name: c, image: i, cpu: 1, resources: {limit: {cpu: 1}}}]
";
    assert_snapshot!(serde_json::to_string_pretty(&answer(pod, &[])["warnings"]).unwrap(), @r#"
    [
      "unknown field spec.contaners: Kubernetes 1.36 has no such field, and ignores it",
      "unknown field spec.containers[0].cpu: Kubernetes 1.36 has no such field, and ignores it",
      "unknown field spec.containers[0].resources.limit: Kubernetes 1.36 has no such field, and ignores it",
      "spec.resourceClaims is not looked at: what a claim adds is decided by its driver"
    ]
    "#);
}

#[test]
fn what_this_node_would_not_start_is_told() {
    let directory = scene(
        "\
apiVersion: v1
kind: Pod
metadata: {name: tight, uid: u}
spec:
  containers:
  - {name: a, image: i, resources: {limits: {cpu: 4, memory: 8Mi, hugepages-1Gi: 1Gi}}}
",
    );
    let config = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\ncpuManagerPolicy: static\n\
        systemReserved: {cpu: 500m, memory: 8Gi}\n";
    fs::write(directory.path().join("kubelet.yaml"), config).unwrap();
    let run = qos(&directory, &["--cri", "crio", "--format", "json", "--kubelet-config", "kubelet.yaml"]);
    let answer: Value = serde_json::from_str(&run.output().stdout).unwrap();
    assert_snapshot!(serde_json::to_string_pretty(&answer["warnings"]).unwrap(), @r#"
    [
      "the kubelet would not start: it shall keep 8292Mi of memory from pods (systemReserved, kubeReserved, evictionHard), and Node n1 has 8Gi",
      "the kubelet would reject the pod: a asks for 4 exclusive CPUs, 3 are free",
      "spec.containers[0].resources.limits.hugepages-1Gi = 1Gi: the node has no huge pages of that size (it has: 2MB)",
      "spec.containers[0].resources.limits.memory = 8Mi: CRI-O starts no container with less than 12Mi under runc, 500Ki under crun"
    ]
    "#);
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let directory = scene(BEST_EFFORT);
    fs::write(directory.path().join("bad.yaml"), "apiVersion: v1\nkind: Node\nstatus: {capacity: {cpu: 4x}}").unwrap();
    let said = |args: &[&str]| glassbox(["qos"].iter().chain(args)).in_dir(&directory).snapshot();
    assert_snapshot!(said(&["nowhere.yaml"]), @r"
    status 1
    stderr:
    error: cannot read nowhere.yaml: No such file or directory (os error 2)
      hint: Give the path of a YAML or JSON file, or - for standard input.
    ");
    assert_snapshot!(said(&["--node", "bad.yaml", "pod.yaml"]), @r#"
    status 1
    stderr:
    error: cannot use bad.yaml: status.capacity[cpu]: Invalid value: "4x" is not a quantity: use digits and one of n u m k M G T P E Ki Mi Gi Ti Pi Ei, or an exponent such as e3; status.capacity[memory]: Required value: say how much memory the node has
    "#);
    let config = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n\
        cgroupDriver: cgroupv2\ncpuCFSQuotaPeriod: 2s\ncpuManagerPolicy: static\nmemoryReservationPolicy: TieredReservation\n\
        systemReserved: {memory: \"-1\"}\nevictionHard: {memory.free: 1Gi}\n";
    fs::write(directory.path().join("config.yaml"), config).unwrap();
    assert_snapshot!(said(&["--kubelet-config", "config.yaml", "pod.yaml"]), @r#"
    status 1
    stderr:
    error: cannot use config.yaml: cgroupDriver: Invalid value: "cgroupv2": write cgroupfs or systemd; cpuCFSQuotaPeriod: Invalid value: "2s": write a duration between 1ms and 1s, such as 100ms; systemReserved[memory]: Invalid value: "-1": must not be negative; evictionHard[memory.free]: is no eviction signal; memory.available is one; cpuManagerPolicy: "static" needs systemReserved.cpu, kubeReserved.cpu or reservedSystemCPUs above zero; memoryReservationPolicy: "TieredReservation" requires the feature gate MemoryQoS
    "#);
    assert_snapshot!(said(&["--kubelet-config", "node.yaml", "pod.yaml"]), @r"
    status 1
    stderr:
    error: cannot use node.yaml: kind: is Node, expected KubeletConfiguration: give a manifest of kind KubeletConfiguration
    ");
}

#[test]
fn a_directory_outside_cgroup2_is_refused() {
    let directory = scene(BEST_EFFORT);
    assert_snapshot!(qos(&directory, &["--apply", "/proc"]).snapshot(), @r#"
    status 1
    stderr:
    error: cannot make the pod's cgroups in /proc: "/proc" is not a directory of a cgroup2 mount
      hint: Give a directory below the cgroup2 mount; `findmnt -t cgroup2` shows where it is.
    "#);
    assert_snapshot!(qos(&directory, &["--apply", "nowhere"]).snapshot(), @r"
    status 1
    stderr:
    error: cannot make the pod's cgroups in nowhere: No such file or directory (os error 2)
      hint: Give an existing cgroup directory: sudo mkdir /sys/fs/cgroup/lab
    ");
}
