//! What `pod run --dry-run` makes of many manifests: no panic, and whatever is not carried out is named.

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

/// Everything that is said of a manifest: errors and warnings.
fn said(manifest: &Value) -> Result<Vec<String>, Vec<String>> {
    match object::read(&manifest.to_string(), None, &setting(), || "made".to_string()) {
        Ok(wanted) => Ok(wanted.into_iter().flat_map(|one| one.warnings).collect()),
        Err(problems) => Err(problems.iter().map(ToString::to_string).collect()),
    }
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
    "spec.os",
    "spec.hostUsers",
    "spec.runtimeClassName",
    "spec.resourceClaims",
    "spec.ephemeralContainers",
    "spec.securityContext.sysctls",
    "spec.securityContext.seLinuxOptions",
    "spec.securityContext.seLinuxChangePolicy",
    "spec.securityContext.supplementalGroupsPolicy",
    "spec.volumes[].persistentVolumeClaim",
    "spec.volumes[].projected.sources[].serviceAccountToken",
    "spec.volumes[].ephemeral",
    "spec.volumes[].csi",
    "spec.volumes[].nfs",
    "spec.volumes[].image",
    "spec.volumes[].iscsi",
    "spec.volumes[].cephfs",
    "spec.containers[].imagePullPolicy",
    "spec.containers[].livenessProbe.httpGet.scheme",
    "spec.containers[].volumeMounts[].recursiveReadOnly",
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
fn not_done(value: &Value, path: &str, form: &str, found: &mut Vec<String>) {
    if NOT_DONE.contains(&form) {
        return found.push(path.to_string());
    }
    match value {
        Value::Object(map) => map.iter().for_each(|(key, inner)| {
            let dot = if path.is_empty() { "" } else { "." };
            not_done(inner, &format!("{path}{dot}{key}"), &format!("{form}{dot}{key}"), found);
        }),
        Value::Array(items) => items.iter().enumerate().for_each(|(index, inner)| {
            not_done(inner, &format!("{path}[{index}]"), &format!("{form}[]"), found);
        }),
        _ => {}
    }
}

#[test]
fn two_hundred_manifests_run_or_say_which_fields_keep_them_from_it() {
    let (mut would_run, mut named) = (0, 0);
    for number in 0..200 {
        let manifest = numbered(number);
        let said = said(&manifest);
        // What the API server refuses is told before what glassbox does not do.
        let invalid = |text: &String| {
            text.contains("must be") || text.contains("Required value") || text.contains("Invalid value")
        };
        if said.as_ref().is_err_and(|problems| problems.iter().any(invalid)) {
            continue;
        }
        let mut fields = Vec::new();
        not_done(&manifest, "", "", &mut fields);
        // Whatever is refused is told with what is passed over, so that one try shows all.
        let (Ok(words) | Err(words)) = &said;
        for field in &fields {
            let told = words.iter().any(|text| text.starts_with(field.as_str()));
            assert!(told, "nothing is said of {field}: {words:?} in {manifest:#}");
            named += 1;
        }
        if said.is_ok() {
            would_run += 1;
        }
        for text in words.iter().filter(|text| text.contains("is not supported")) {
            let known = fields.iter().any(|field| text.starts_with(field.as_str()));
            assert!(known, "{text} in {manifest:#}");
        }
    }
    assert!(would_run > 20 && named > 200, "{would_run} would run, {named} fields were named");
}

#[test]
fn a_field_that_nobody_knows_is_named_too() {
    let manifest = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "c", "image": "i", "comand": ["sh"]}]}});
    let said = said(&manifest).unwrap_err();
    assert!(said.iter().any(|text| text.starts_with("spec.containers[0].comand")), "{said:?}");
}
