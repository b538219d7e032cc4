//! Which fields of a Pod are carried out, which are looked past with a word, and that all others are refused by name. Pure.

use serde_json::Value;

use crate::kube::Problem;

/// What is carried out, or said of nothing: paths without indices; what is below one of these counts as well.
const DONE: &[&str] = &[
    "apiVersion",
    "kind",
    "metadata",
    "status",
    "spec.restartPolicy",
    "spec.terminationGracePeriodSeconds",
    "spec.activeDeadlineSeconds",
    "spec.hostname",
    "spec.hostNetwork",
    "spec.hostPID",
    "spec.hostIPC",
    "spec.shareProcessNamespace",
    "spec.hostAliases",
    "spec.dnsPolicy",
    "spec.dnsConfig",
    "spec.resources",
    "spec.overhead",
    "spec.priority",
    "spec.priorityClassName",
    "spec.volumes[].name",
    "spec.volumes[].emptyDir",
    "spec.volumes[].hostPath",
    "spec.volumes[].configMap",
    "spec.volumes[].secret",
    "spec.volumes[].downwardAPI",
    "spec.volumes[].projected.defaultMode",
    "spec.volumes[].projected.sources[].configMap",
    "spec.volumes[].projected.sources[].secret",
    "spec.volumes[].projected.sources[].downwardAPI",
    "spec.securityContext.runAsUser",
    "spec.securityContext.runAsGroup",
    "spec.securityContext.runAsNonRoot",
    "spec.securityContext.fsGroup",
    "spec.securityContext.fsGroupChangePolicy",
    "spec.securityContext.seccompProfile",
    "spec.securityContext.supplementalGroups",
];

/// The same, of every container: below `spec.containers[]` and `spec.initContainers[]`.
const DONE_IN_CONTAINERS: &[&str] = &[
    "name",
    "image",
    "command",
    "args",
    "workingDir",
    "env",
    "envFrom",
    "ports",
    "restartPolicy",
    "volumeMounts[].name",
    "volumeMounts[].mountPath",
    "volumeMounts[].readOnly",
    "volumeMounts[].mountPropagation",
    "volumeMounts[].subPath",
    "volumeMounts[].subPathExpr",
    "securityContext.runAsUser",
    "securityContext.runAsGroup",
    "securityContext.runAsNonRoot",
    "securityContext.capabilities",
    "securityContext.privileged",
    "securityContext.readOnlyRootFilesystem",
    "securityContext.allowPrivilegeEscalation",
    "securityContext.procMount",
    "securityContext.seccompProfile",
    "startupProbe",
    "livenessProbe",
    "readinessProbe",
    "lifecycle",
    "resizePolicy",
];

/// What one node without an API server has no use for; each with the reason.
const PASSED: &[(&str, &str)] = &[
    ("spec.nodeName", "the pod runs on this node"),
    ("spec.nodeSelector", "there is one node"),
    ("spec.affinity", "there is one node"),
    ("spec.tolerations", "there is one node"),
    ("spec.topologySpreadConstraints", "there is one node"),
    ("spec.schedulerName", "there is no scheduler"),
    ("spec.schedulingGates", "there is no scheduler"),
    ("spec.preemptionPolicy", "there is no scheduler"),
    ("spec.serviceAccountName", "there is no API server to speak to"),
    ("spec.serviceAccount", "there is no API server to speak to"),
    ("spec.automountServiceAccountToken", "there is no API server to speak to"),
    ("spec.enableServiceLinks", "there are no services"),
    ("spec.imagePullSecrets", "images are given with --image"),
    ("spec.subdomain", "there is no cluster DNS"),
    ("spec.readinessGates", "nobody sets the conditions"),
    ("spec.os", "glassbox runs Linux pods"),
    ("spec.containers[].imagePullPolicy", "images are given with --image"),
    ("spec.initContainers[].imagePullPolicy", "images are given with --image"),
    ("spec.containers[].terminationMessagePolicy", "the message is not read"),
    ("spec.initContainers[].terminationMessagePolicy", "the message is not read"),
    ("spec.containers[].terminationMessagePath", "the message is not read"),
    ("spec.initContainers[].terminationMessagePath", "the message is not read"),
];

/// Values that ask for what is the case anyway.
const HARMLESS: &[(&str, &str)] = &[
    ("spec.hostUsers", "true"),
    ("spec.setHostnameAsFQDN", "false"),
    ("spec.securityContext.appArmorProfile.type", "Unconfined"),
    ("spec.securityContext.supplementalGroupsPolicy", "Merge"),
    ("spec.containers[].stdin", "false"),
    ("spec.containers[].stdinOnce", "false"),
    ("spec.containers[].tty", "false"),
];

/// Parts of fields above that are not carried out.
const NOT: &[(&str, &str)] = &[
    (".httpGet.scheme", "HTTPS is not spoken; use HTTP"),
    (".emptyDir.medium", "it is a directory, or in memory with medium Memory"),
    (".valueFrom.fileKeyRef", "variables come from fields, resources, ConfigMaps and Secrets"),
    ("spec.containers[].restartPolicy", "the pod's restartPolicy holds for all its app containers"),
];

/// Values of [`NOT`] that are carried out all the same.
const BUT: &[(&str, &[&str])] = &[(".httpGet.scheme", &["HTTP"]), (".emptyDir.medium", &["", "Memory"])];

/// What is refused, and what is looked past.
pub fn judge(pod: &Value) -> (Vec<Problem>, Vec<String>) {
    let mut judged = (Vec::new(), Vec::new());
    walk(pod, &mut String::new(), &mut String::new(), &mut judged);
    judged
}

/// `path` is as the user reads it, `form` the same without indices.
fn walk(value: &Value, path: &mut String, form: &mut String, judged: &mut (Vec<Problem>, Vec<String>)) {
    let is_empty = value.is_null()
        || value.as_object().is_some_and(serde_json::Map::is_empty)
        || value.as_array().is_some_and(Vec::is_empty);
    if is_empty {
        return;
    }
    if let Some((end, why)) = NOT.iter().find(|(end, _)| form.ends_with(end)) {
        let but = BUT.iter().find(|(known, _)| known == end).map_or(&[][..], |(_, values)| values);
        if !but.iter().any(|known| value == known) {
            judged.0.push(Problem::new(path.clone(), format!("is not supported: {why}")));
        }
        return;
    }
    if let Some((_, why)) = PASSED.iter().find(|(known, _)| known == form) {
        judged.1.push(format!("{path} is not looked at: {why}"));
        return;
    }
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                let (path_length, form_length) = (path.len(), form.len());
                for text in [&mut *path, &mut *form] {
                    if !text.is_empty() {
                        text.push('.');
                    }
                    text.push_str(key);
                }
                walk(inner, path, form, judged);
                path.truncate(path_length);
                form.truncate(form_length);
            }
        }
        Value::Array(items) => {
            let (path_length, form_length) = (path.len(), form.len());
            form.push_str("[]");
            for (index, item) in items.iter().enumerate() {
                path.push_str(&format!("[{index}]"));
                walk(item, path, form, judged);
                path.truncate(path_length);
            }
            form.truncate(form_length);
        }
        _ if is_done(form) => {}
        scalar if HARMLESS.iter().any(|(known, value)| known == form && says(scalar, value)) => {}
        scalar => {
            judged.0.push(Problem::new(path.clone(), format!("{scalar} is not supported by glassbox: take it out")))
        }
    }
}

fn says(scalar: &Value, word: &str) -> bool {
    match scalar {
        Value::Bool(yes) => word == if *yes { "true" } else { "false" },
        other => other.as_str() == Some(word),
    }
}

fn is_done(form: &str) -> bool {
    let below = |form: &str, known: &&str| {
        form.strip_prefix(*known).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    let container = form.strip_prefix("spec.containers[].").or_else(|| form.strip_prefix("spec.initContainers[]."));
    let amount = container
        .and_then(|field| field.strip_prefix("resources.limits.").or(field.strip_prefix("resources.requests.")));
    match container {
        // Others are a device plugin's, and there is none.
        Some(_) if amount.is_some() => amount.is_some_and(|name| {
            matches!(name, "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-")
        }),
        Some(field) => DONE_IN_CONTAINERS.iter().any(|known| below(field, known)),
        None => DONE.iter().any(|known| below(form, known)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(spec: Value) -> Vec<String> {
        judge(&json!({"kind": "Pod", "spec": spec})).0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_not_carried_out_is_refused_with_its_path() {
        let table = [
            (json!({"hostUsers": false}), "spec.hostUsers: false is not supported"),
            (json!({"runtimeClassName": "gvisor"}), "spec.runtimeClassName: \"gvisor\" is not supported"),
            (json!({"ephemeralContainers": [{"name": "x"}]}), "spec.ephemeralContainers[0].name"),
            (json!({"containers": [{"name": "a"}, {"tty": true}]}), "spec.containers[1].tty: true"),
            (json!({"volumes": [{"name": "v", "nfs": {"server": "s"}}]}), "spec.volumes[0].nfs.server"),
            (
                json!({"containers": [{"volumeMounts": [{"recursiveReadOnly": "Enabled"}]}]}),
                "spec.containers[0].volumeMounts[0].recursiveReadOnly",
            ),
            (
                json!({"volumes": [{"name": "v", "emptyDir": {"medium": "HugePages"}}]}),
                "spec.volumes[0].emptyDir.medium",
            ),
            (json!({"containers": [{"restartPolicy": "Never"}]}), "spec.containers[0].restartPolicy"),
            (
                json!({"containers": [{"env": [{"name": "A", "valueFrom": {"fileKeyRef": {"key": "k"}}}]}]}),
                "spec.containers[0].env[0].valueFrom.fileKeyRef",
            ),
            (json!({"containers": [{"lifecycle": {"preStop": {"httpGet": {"scheme": "HTTPS"}}}}]}), "httpGet.scheme"),
            (
                json!({"securityContext": {"appArmorProfile": {"type": "RuntimeDefault"}}}),
                "appArmorProfile.type: \"RuntimeDefault\"",
            ),
            (
                json!({"securityContext": {"sysctls": [{"name": "a", "value": "b"}]}}),
                "spec.securityContext.sysctls[0].name",
            ),
            (json!({"somethingNew": 1}), "spec.somethingNew: 1"),
        ];
        for (spec, expected) in table {
            let problems = refused(spec.clone());
            assert!(problems.iter().any(|problem| problem.contains(expected)), "{spec}: {problems:?}");
        }
    }

    #[test]
    fn what_is_carried_out_passes_and_what_one_node_has_no_use_for_is_named() {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "labels": {"a": "b"}}, "spec": {
            "nodeSelector": {"disk": "ssd"}, "hostUsers": true, "tolerations": [], "nodeName": null,
            "volumes": [{"name": "v", "projected": {"sources": [{"secret": {"name": "s", "items": [{"key": "k", "path": "p"}]}}]}}],
            "containers": [{"name": "a", "image": "i", "imagePullPolicy": "Always", "tty": false,
                "resources": {"limits": {"cpu": "1", "hugepages-2Mi": "4Mi"}},
                "env": [{"name": "E", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
                "livenessProbe": {"httpGet": {"port": 80, "scheme": "HTTP"}},
                "securityContext": {"capabilities": {"drop": ["ALL"]}}}]}});
        let (refused, passed) = judge(&pod);
        assert_eq!(refused, []);
        assert_eq!(
            passed,
            [
                "spec.nodeSelector is not looked at: there is one node",
                "spec.containers[0].imagePullPolicy is not looked at: images are given with --image"
            ]
        );
    }
}
