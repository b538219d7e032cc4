//! What `qos` and `pod run --dry-run` make of many manifests, as a user has them: no panic, and whatever is not carried out is
//! named in a warning.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use glassbox::kube::cgroup_path::{Cri, Driver};
use glassbox::kube::cpu::Formula;
use glassbox::kube::kubelet_config::KubeletConfig;
use glassbox::kube::levels::Setting;
use glassbox::kube::node::Node;
use glassbox::pod::object;
use serde_json::{Value, json};

use super::manifests::numbered;

fn setting() -> Setting {
    let (driver, cri, formula) = (Driver::Cgroupfs, Cri::Containerd, Formula::New);
    Setting { node: Node::new("n1", 64, 256 << 30), config: KubeletConfig::default(), driver, cri, formula }
}

/// Fields of the pieces that a pod on one node without an API server does not get; paths without indices.
const NOT_DONE: &[&str] = &[
    "spec.nodeSelector",
    "spec.nodeName",
    "spec.serviceAccountName",
    "spec.automountServiceAccountToken",
    "spec.subdomain",
    "spec.setHostnameAsFQDN",
    "spec.schedulerName",
    "spec.preemptionPolicy",
    "spec.imagePullSecrets",
    "spec.enableServiceLinks",
    "spec.readinessGates",
    "spec.schedulingGates",
    "spec.tolerations",
    "spec.affinity",
    "spec.topologySpreadConstraints",
    "spec.hostUsers",
    "spec.runtimeClassName",
    "spec.resourceClaims",
    "spec.ephemeralContainers",
    "spec.securityContext.sysctls",
    "spec.securityContext.seLinuxOptions",
    "spec.securityContext.seLinuxChangePolicy",
    "spec.volumes[].persistentVolumeClaim",
    "spec.volumes[].projected.sources[].serviceAccountToken",
    "spec.volumes[].ephemeral",
    "spec.volumes[].csi",
    "spec.volumes[].nfs",
    "spec.volumes[].image",
    "spec.volumes[].iscsi",
    "spec.volumes[].cephfs",
    "spec.containers[].imagePullPolicy",
    "spec.containers[].volumeDevices",
    "spec.containers[].stdin",
    "spec.containers[].stdinOnce",
    "spec.containers[].tty",
    "spec.containers[].terminationMessagePath",
    "spec.containers[].terminationMessagePolicy",
    "spec.containers[].resources.limits.example.com/gpu",
    "spec.containers[].resources.claims",
    "spec.containers[].restartPolicy",
    "spec.containers[].restartPolicyRules",
];

/// The paths, with their indices, of the fields in `value` that stand in the list.
fn not_done(value: &Value, path: &str, form: &str, list: &[&str], found: &mut Vec<String>) {
    if list.contains(&form) {
        return found.push(path.to_string());
    }
    match value {
        Value::Object(map) => map.iter().for_each(|(key, inner)| {
            let dot = if path.is_empty() { "" } else { "." };
            not_done(inner, &format!("{path}{dot}{key}"), &format!("{form}{dot}{key}"), list, found);
        }),
        Value::Array(items) => items.iter().enumerate().for_each(|(index, inner)| {
            not_done(inner, &format!("{path}[{index}]"), &format!("{form}[]"), list, found);
        }),
        _ => {}
    }
}

/// Those of them without which a pod is not run.
const REFUSED: &[&str] = &[
    "spec.hostUsers",
    "spec.runtimeClassName",
    "spec.securityContext.sysctls",
    "spec.volumes[].persistentVolumeClaim",
    "spec.volumes[].ephemeral",
    "spec.volumes[].csi",
    "spec.volumes[].nfs",
    "spec.volumes[].image",
    "spec.volumes[].iscsi",
    "spec.volumes[].cephfs",
    "spec.containers[].volumeDevices",
];

/// What `qos` has to say of: it computes cgroups, and these may change them.
const OF_CGROUPS: &[&str] = &["spec.ephemeralContainers", "spec.resourceClaims", "spec.containers[].resources.claims"];

/// Runs our program; it neither panics nor is it killed.
fn glassbox(args: &[&str]) -> Output {
    let ran = Command::new(env!("CARGO_BIN_EXE_glassbox")).args(args).output().expect("it runs");
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(matches!(ran.status.code(), Some(0 | 1)) && !said.contains("panicked"), "{args:?}: {ran:?}");
    ran
}

fn named(manifest: &Value, list: &[&str]) -> Vec<String> {
    let mut fields = Vec::new();
    not_done(manifest, "", "", list, &mut fields);
    fields
}

/// The names and paths of the images of a pod, as flags: none of them is opened.
fn images(manifests: &[Value]) -> Vec<String> {
    let lists = ["initContainers", "containers"];
    let all =
        manifests.iter().flat_map(|one| lists.map(|list| one["spec"][list].as_array().cloned().unwrap_or_default()));
    let mut names: Vec<String> = all.flatten().map(|one| one["image"].as_str().expect("a name").to_string()).collect();
    names.sort();
    names.dedup();
    names.into_iter().map(|name| format!("--image={name}=/nowhere")).collect()
}

#[test]
fn two_hundred_manifests_go_through_qos_and_dry_run_with_every_field_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = |name: &str, text: String| {
        let path = directory.path().join(name);
        fs::write(&path, text).expect("writable");
        path.display().to_string()
    };
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"},
        "status": {"capacity": {"cpu": "64", "memory": "256Gi"}}});
    let node = file("node.json", node.to_string());
    let mut valid = Vec::new();
    for number in 0..200 {
        let mut manifest = numbered(number);
        manifest["metadata"]["name"] = json!(format!("p{number}"));
        let pod = file("pod.json", manifest.to_string());
        let ran = glassbox(&["qos", "--format", "json", "--node", &node, &pod]);
        let answer: Value = serde_json::from_slice(&ran.stdout).expect("JSON");
        if !ran.status.success() {
            // Pieces that do not go together: the API server refuses them as well.
            assert!(answer["errors"].as_array().is_some_and(|list| !list.is_empty()), "{answer:#}");
            continue;
        }
        let warnings = answer["warnings"].to_string();
        named(&manifest, OF_CGROUPS).iter().for_each(|field| assert!(warnings.contains(field), "{field}: {warnings}"));
        valid.push(manifest);
    }
    assert!(valid.len() > 100, "only {} manifests are valid", valid.len());
    dry_run(&valid, &node, directory.path());
}

/// All of them in one file.
fn dry_run(manifests: &[Value], node: &str, directory: &Path) {
    let all = directory.join("all.yaml").display().to_string();
    let documents: Vec<String> = manifests.iter().map(Value::to_string).collect();
    fs::write(&all, documents.join("\n---\n")).expect("writable");
    let images = images(manifests);
    let mut args = vec!["pod", "run", "--dry-run", "--node", node];
    args.extend(images.iter().map(String::as_str));
    args.push(&all);
    let ran = glassbox(&args);
    let (stdout, stderr) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    let mut warnings: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in stderr.lines() {
        let (pod, text) = line.strip_prefix("warning: default/").and_then(|line| line.split_once(": ")).expect(line);
        warnings.entry(pod).or_default().push(text);
    }
    let (mut would_run, mut fields_named) = (0, 0);
    for manifest in manifests {
        let name = manifest["metadata"]["name"].as_str().expect("a name");
        let own = warnings.remove(name).unwrap_or_default();
        let fields = named(manifest, NOT_DONE);
        for field in &fields {
            assert!(
                own.iter().any(|text| text.starts_with(field.as_str())),
                "nothing is said of {field}: {own:?} in {manifest:#}"
            );
        }
        for text in own.iter().filter(|text| text.contains("is not supported")) {
            assert!(fields.iter().any(|field| text.starts_with(field.as_str())), "{text} in {manifest:#}");
        }
        let refused = named(manifest, REFUSED);
        let outcome = stdout.lines().find(|line| line.starts_with(&format!("pod default/{name} "))).expect(name);
        assert_eq!(outcome.contains("would run"), refused.is_empty(), "{outcome}: {refused:?}");
        refused.iter().for_each(|field| assert!(outcome.contains(field.as_str()), "{field} in {outcome}"));
        would_run += usize::from(refused.is_empty());
        fields_named += fields.len();
    }
    assert!(would_run > 50 && fields_named > 200, "{would_run} would run, {fields_named} fields were named");
}

#[test]
fn a_field_that_nobody_knows_is_named_too() {
    let manifest = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "c", "image": "i", "comand": ["sh"], "securityContext": {"runAsNonroot": true}}]}});
    let wanted = object::read(&manifest.to_string(), None, &setting(), || "made".to_string()).expect("it is valid");
    let said = &wanted[0].warnings;
    assert!(said.iter().any(|text| text.starts_with("unknown field spec.containers[0].comand: ")), "{said:?}");
    assert_eq!(wanted[0].refused, ["spec.containers[0].securityContext.runAsNonroot"]);
}
