//! Manifests, and documents about the node: any text ends in values for cgroup files or in problems with a field.
#![no_main]

use glassbox::kube::cgroup_path::{Cri, Driver};
use glassbox::kube::cpu::Formula;
use glassbox::kube::kubelet_config::KubeletConfig;
use glassbox::kube::levels::{Ids, Setting};
use glassbox::kube::node::Node;
use glassbox::kube::place;
use glassbox_fuzz::{Bytes, change};
use serde_json::json;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let setting = |driver, cri| Setting {
        node: Node::new("fuzz", 4, 8 << 30),
        config: KubeletConfig::default(),
        driver,
        cri,
        formula: Formula::default(),
    };
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = place(text, None, &setting(Driver::Cgroupfs, Cri::Containerd), Ids::Unknown);
        let _ = KubeletConfig::decode(text);
        let _ = Node::decode(text);
    }
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "uid": "5f0c"},
        "spec": {
            "overhead": {"cpu": "250m"}, "resources": {"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}},
            "initContainers": [{"name": "i", "image": "b", "restartPolicy": "Always", "resources": {"requests": {"cpu": "100m"}}}],
            "containers": [{
                "name": "c", "image": "b",
                "resources": {"requests": {"cpu": "500m", "memory": "64Mi"}, "limits": {"cpu": "2", "memory": "128Mi", "hugepages-2Mi": "4Mi"}},
                "ports": [{"containerPort": 80}], "livenessProbe": {"httpGet": {"path": "/", "port": 80}},
            }],
        },
    });
    change(&mut pod, &mut Bytes::new(data));
    if let Ok(placed) = place(&pod.to_string(), None, &setting(Driver::Systemd, Cri::Crio), Ids::Names) {
        assert!(placed.levels.iter().flat_map(|level| &level.files).all(|write| !write.file.contains('/') && !write.value.is_empty()));
    }
});
