//! Pods whose cgroup files are held against what `qos` says of them, under whichever driver makes the cgroups.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// A KubeletConfiguration under which swap is limited and memory promised; the pod `swap` is run with it.
pub const SWAP: &str = "\
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
memorySwap: {swapBehavior: LimitedSwap}
podPidsLimit: 100
featureGates: {MemoryQoS: true}
memoryReservationPolicy: TieredReservation
";

/// The pods by name: one of each class, one with a sidecar (`silver`), one whose limits are the pod's own (`level`), one
/// with an init container that asks for more than the rest (`init`), and one with swap.
pub fn pod(name: &str) -> String {
    let proxy = "  initContainers:\n  - {name: proxy, image: busybox, restartPolicy: Always, command: [sleep, '1000'], \
                 resources: {requests: {cpu: 50m, memory: 16Mi}, limits: {cpu: 100m, memory: 32Mi}}}\n";
    let setup = "  initContainers:\n  - {name: setup, image: busybox, command: ['true'], resources: {requests: {cpu: 300m}, \
                 limits: {memory: 96Mi}}}\n";
    let own = "  resources: {requests: {cpu: 100m, memory: 32Mi}, limits: {cpu: 200m, memory: 64Mi}}\n";
    let (resources, spec) = match name {
        "gold" => ("{limits: {cpu: 333m, memory: 64Mi}}", ""),
        "silver" => ("{requests: {cpu: 250m, memory: 32Mi}, limits: {cpu: 500m, memory: 128Mi}}", proxy),
        "bronze" => ("{}", ""),
        "level" => ("{}", own),
        "init" => ("{requests: {cpu: 100m}, limits: {memory: 64Mi}}", setup),
        "swap" => ("{requests: {memory: 32Mi}, limits: {memory: 64Mi}}", ""),
        _ => panic!("there is no pod {name}"),
    };
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, uid: uid-{name}}}\nspec:\n  terminationGracePeriodSeconds: 0\n{spec}  \
         containers:\n  - {{name: app, image: busybox, command: [sleep, '1000'], resources: {resources}}}\n"
    )
}

/// The levels of the pod `name` in what `qos --format json` says, each with its live directory; those of init containers that
/// have done their work are left out, and have to be gone.
pub fn directories<'a>(said: &'a Value, name: &str) -> Vec<(&'a Value, PathBuf)> {
    let directory = |level: &'a Value| {
        let id = match level["level"].as_str().expect("a level") {
            "sandbox" => format!("default_{name}__pause_0"),
            _ => format!("default_{name}_{}_0", level["name"].as_str().expect("a name")),
        };
        let below = level["path"].as_str().expect("a path").replace("<cid>", &id);
        (level, PathBuf::from(format!("/sys/fs/cgroup{below}")))
    };
    let all = said["cgroups"].as_array().expect("a list").iter().map(directory);
    let (done, live): (Vec<_>, Vec<_>) = all.partition(|(level, _)| level["kind"] == "init");
    done.iter().for_each(|(_, path)| assert!(!path.exists(), "{path:?} has done its work"));
    live
}

/// Holds every file of a level against the kernel's; gives back how many there are.
pub fn agree(level: &Value, directory: &Path) -> usize {
    let files = level["files"].as_object().expect("files");
    for (file, value) in files {
        let path = directory.join(file);
        let value = value["value"].as_str().map_or(value["value"].to_string(), str::to_string);
        let live = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        assert!(glassbox::cgroup::live::holds(file, &value, live.trim_end()), "{path:?}: {value} and {live}");
    }
    files.len()
}
