//! `glassbox qos --apply`: what it says is what the kernel's files hold.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::support::{Machine, Output, machine, sh};

const GUARANTEED: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: guaranteed}
spec:
  containers:
  - {name: web, image: i, resources: {limits: {cpu: 333m, memory: 129000000}}}
";

const BURSTABLE: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: burstable}
spec:
  initContainers:
  - {name: setup, image: i, resources: {requests: {cpu: 1}, limits: {cpu: 1500m, memory: 64Mi}}}
  - {name: proxy, image: i, restartPolicy: Always, resources: {limits: {cpu: 100m, memory: 32Mi}}}
  containers:
  - {name: web, image: i, resources: {requests: {cpu: 250m, memory: 64Mi}, limits: {cpu: 500m, memory: 128Mi}}}
  - {name: log, image: i, resources: {requests: {cpu: 3m}, limits: {cpu: 5m, memory: 4Ki}}}
";

const BEST_EFFORT: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: besteffort}
spec: {containers: [{name: web, image: i}]}
";

/// An empty cgroup of the test's own, removed with all below it.
struct Lab(PathBuf);

impl Lab {
    fn new(name: &str) -> Lab {
        let path = Path::new("/sys/fs/cgroup").join(name);
        fs::create_dir(&path).expect("the name is new");
        Lab(path)
    }

    /// Everything below, as `find` names it.
    fn groups(&self) -> String {
        sh(&format!("cd {} && find . -mindepth 1 -type d | sort", self.0.display())).stdout
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        sh(&format!("find {} -depth -type d -exec rmdir {{}} +", self.0.display()));
    }
}

fn apply(machine: &Machine, lab: &Path, pod: &str, more: &[&str]) -> Output {
    let file = machine.directory().join("pod.yaml");
    fs::write(&file, pod).unwrap();
    let mut args = vec!["qos", "--format", "json", "--apply", lab.to_str().unwrap()];
    args.extend(more);
    args.push(file.to_str().unwrap());
    machine.glassbox(args)
}

fn applied(machine: &Machine, lab: &Lab, pod: &str, more: &[&str]) -> Value {
    let output = apply(machine, &lab.0, pod, more);
    assert_eq!((output.status, output.stderr.as_str()), (0, ""), "{}", output.stdout);
    serde_json::from_str(&output.stdout).unwrap()
}

/// Compares every file that the answer names with the kernel's.
fn assert_the_kernel_agrees(answer: &Value) {
    for group in answer["cgroups"].as_array().unwrap() {
        let directory = Path::new(group["directory"].as_str().unwrap());
        assert!(directory.ends_with(group["path"].as_str().unwrap().trim_start_matches('/')), "{group}");
        for (name, write) in group["files"].as_object().unwrap() {
            let path = directory.join(name);
            let value = write["value"].as_str().unwrap();
            // The kernel counts memory in pages.
            let expected = match value.parse::<u64>() {
                Ok(bytes) if name.starts_with("memory.") && name != "memory.oom.group" => {
                    (bytes / 4096 * 4096).to_string()
                }
                _ => value.to_string(),
            };
            assert_eq!(fs::read_to_string(&path).unwrap().trim_end(), expected, "{}", path.display());
        }
    }
}

#[test]
fn the_three_classes_stand_side_by_side_and_every_file_holds_what_was_said() {
    let machine = machine();
    let lab = Lab::new("gb-qos-three");
    for pod in [GUARANTEED, BURSTABLE, BEST_EFFORT] {
        assert_the_kernel_agrees(&applied(&machine, &lab, pod, &[]));
    }
    assert_eq!(
        lab.groups(),
        "\
./kubepods
./kubepods/besteffort
./kubepods/besteffort/podbesteffort
./kubepods/besteffort/podbesteffort/_pause
./kubepods/besteffort/podbesteffort/web
./kubepods/burstable
./kubepods/burstable/podburstable
./kubepods/burstable/podburstable/_pause
./kubepods/burstable/podburstable/log
./kubepods/burstable/podburstable/proxy
./kubepods/burstable/podburstable/setup
./kubepods/burstable/podburstable/web
./kubepods/podguaranteed
./kubepods/podguaranteed/_pause
./kubepods/podguaranteed/web
"
    );
    let kubepods = lab.0.join("kubepods");
    let max = fs::read_to_string(kubepods.join("podguaranteed/web/cpu.max")).unwrap();
    assert_eq!(max, "33300 100000\n");
    let group = fs::read_to_string(kubepods.join("burstable/podburstable/web/memory.oom.group")).unwrap();
    assert_eq!(group, "1\n");
}

#[test]
fn systemd_names_and_rounding_reach_the_kernel_too() {
    let machine = machine();
    let lab = Lab::new("gb-qos-systemd");
    let answer = applied(&machine, &lab, GUARANTEED, &["--cgroup-driver", "systemd", "--cri", "crio"]);
    assert_the_kernel_agrees(&answer);
    let max = lab.0.join("kubepods.slice/kubepods-podguaranteed.slice/crio-web.scope/cpu.max");
    assert_eq!(fs::read_to_string(max).unwrap(), "34000 100000\n");
}

#[test]
fn memory_qos_swap_pinned_cpus_and_pids_reach_the_kernel_too() {
    let machine = machine();
    let lab = Lab::new("gb-qos-config");
    let config = machine.directory().join("kubelet.yaml");
    let written = "\
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cpuManagerPolicy: static
reservedSystemCPUs: \"0\"
podPidsLimit: 50
memoryReservationPolicy: TieredReservation
memorySwap: {swapBehavior: LimitedSwap}
featureGates: {MemoryQoS: true}
";
    fs::write(&config, written).unwrap();
    let more = ["--kubelet-config", config.to_str().unwrap()];
    let pinned = GUARANTEED.replace("cpu: 333m", "cpu: 1");
    for pod in [BURSTABLE, &pinned, BEST_EFFORT] {
        assert_the_kernel_agrees(&applied(&machine, &lab, pod, &more));
    }
    let read = |file: &str| fs::read_to_string(lab.0.join("kubepods").join(file)).unwrap();
    assert_eq!(read("podguaranteed/web/cpuset.cpus"), "1\n");
    assert_eq!(read("podguaranteed/web/cpuset.cpus.effective"), "1\n");
    assert_eq!(read("podguaranteed/cpu.max"), "max 100000\n");
    assert_eq!(read("burstable/podburstable/pids.max"), "50\n");
    assert_eq!(read("burstable/podburstable/web/memory.low"), "67108864\n");
    assert_ne!(read("burstable/podburstable/web/memory.high"), "max\n");
}

#[test]
fn applying_again_changes_nothing_and_a_changed_pod_is_written_anew() {
    let machine = machine();
    let lab = Lab::new("gb-qos-again");
    let first = applied(&machine, &lab, BURSTABLE, &[]);
    assert_eq!(applied(&machine, &lab, BURSTABLE, &[]), first);
    let changed = applied(&machine, &lab, &BURSTABLE.replace("cpu: 500m", "cpu: 700m"), &[]);
    assert_the_kernel_agrees(&changed);
    assert_ne!(changed, first);
}

#[test]
fn a_pod_in_use_is_left_alone() {
    let machine = machine();
    let lab = Lab::new("gb-qos-busy");
    let answer = applied(&machine, &lab, BURSTABLE, &[]);
    let web = answer["cgroups"].as_array().unwrap().iter().find(|group| group["name"] == "web").unwrap();
    let web = web["directory"].as_str().unwrap();
    let started = sh(&format!("sh -c 'echo $$ >{web}/cgroup.procs; exec sleep 100' >/dev/null 2>&1 & echo $!"));
    super::support::wait_until("the process is in its cgroup", || {
        fs::read_to_string(format!("{web}/cgroup.procs")).is_ok_and(|procs| !procs.is_empty())
    });
    let refused = apply(&machine, &lab.0, &BURSTABLE.replace("cpu: 500m", "cpu: 700m"), &[]);
    let max = fs::read_to_string(format!("{web}/cpu.max")).unwrap();
    sh(&format!("kill {}", started.stdout.trim()));
    super::support::wait_until("the cgroup is empty", || {
        fs::read_to_string(format!("{web}/cgroup.events")).is_ok_and(|events| events.contains("populated 0"))
    });
    assert_eq!((refused.status, max.as_str()), (1, "50000 100000\n"));
    assert_eq!(
        refused.stderr,
        "error: cannot make the pod's cgroups in /sys/fs/cgroup/gb-qos-busy: cgroup \
         \"/sys/fs/cgroup/gb-qos-busy/kubepods/burstable/podburstable\" exists and has processes in it or below it\n  \
         hint: Stop them first; /sys/fs/cgroup/gb-qos-busy/kubepods/burstable/podburstable/cgroup.kill ends all of them.\n"
    );
}

#[test]
fn a_missing_controller_is_named_with_its_remedy_and_nothing_is_made() {
    let machine = machine();
    let lab = Lab::new("gb-qos-poor");
    let poor = lab.0.join("poor");
    sh(&format!("echo +cpu >{}/cgroup.subtree_control", lab.0.display()));
    fs::create_dir(&poor).unwrap();
    let refused = apply(&machine, &poor, BURSTABLE, &[]);
    assert_eq!(refused.status, 1);
    assert_eq!(
        refused.stderr,
        "error: cannot make the pod's cgroups in /sys/fs/cgroup/gb-qos-poor/poor: cgroup \"/sys/fs/cgroup/gb-qos-poor/poor\" \
         has no controller memory pids (it has: cpu)\n  hint: Hand it down from above: echo \"+memory +pids\" | sudo tee \
         /sys/fs/cgroup/gb-qos-poor/cgroup.subtree_control\n"
    );
    assert_eq!(lab.groups(), "./poor\n");
}

#[test]
fn a_group_with_processes_of_its_own_is_refused_and_stays_as_it_was() {
    let machine = machine();
    let lab = Lab::new("gb-qos-own");
    let path = lab.0.display().to_string();
    let started = sh(&format!("sh -c 'echo $$ >{path}/cgroup.procs; exec sleep 100' >/dev/null 2>&1 & echo $!"));
    super::support::wait_until("the process is in its cgroup", || {
        fs::read_to_string(lab.0.join("cgroup.procs")).is_ok_and(|procs| !procs.is_empty())
    });
    let refused = apply(&machine, &lab.0, BURSTABLE, &[]);
    sh(&format!("kill {}", started.stdout.trim()));
    super::support::wait_until("the cgroup is empty", || {
        fs::read_to_string(lab.0.join("cgroup.events")).is_ok_and(|events| events.contains("populated 0"))
    });
    assert_eq!(refused.status, 1);
    assert!(refused.stderr.contains("holds processes itself"), "{}", refused.stderr);
    assert_eq!(lab.groups(), "");
}

#[test]
fn a_value_that_the_kernel_refuses_leaves_nothing_behind() {
    let machine = machine();
    let lab = Lab::new("gb-qos-undo");
    // A subtree may have one level only, so the pod's directory cannot be made.
    fs::write(lab.0.join("cgroup.max.depth"), "1").unwrap();
    let refused = apply(&machine, &lab.0, BURSTABLE, &[]);
    assert_eq!(refused.status, 1);
    assert!(
        refused.stderr.contains("mkdir(\"/sys/fs/cgroup/gb-qos-undo/kubepods/burstable\", 0755) = EAGAIN"),
        "{}",
        refused.stderr
    );
    assert_eq!(lab.groups(), "");
    assert_eq!(fs::read_to_string(lab.0.join("cgroup.subtree_control")).unwrap().trim(), "");
}
