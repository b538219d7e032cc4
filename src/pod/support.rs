//! Which fields of a Pod are carried out, and what is said of the others: each of them is named in a warning, and a pod that
//! would be less protected without one than it asks to be, or of no use, is not run. Pure.

use serde_json::Value;

use super::payload;
use super::sysctl;

/// What is to be said of a pod's fields before it is run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Judged {
    /// A line for each field that is not carried out: its path, then the reason.
    pub warnings: Vec<String>,
    /// The fields among them that keep the pod from being run.
    pub refused: Vec<String>,
}

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
    "spec.hostnameOverride",
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
    "spec.securityContext.supplementalGroupsPolicy",
    "spec.securityContext.appArmorProfile.localhostProfile",
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
    "volumeMounts[].recursiveReadOnly",
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
    "securityContext.appArmorProfile.localhostProfile",
    "startupProbe",
    "livenessProbe",
    "readinessProbe",
    "lifecycle",
    "resizePolicy",
];

/// What one node without an API server has no use for; each with the reason. The pod is as good without.
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
    ("spec.schedulingGroup", "there is no scheduler"),
    ("spec.readinessGates", "nobody sets the conditions"),
    ("spec.containers[].imagePullPolicy", "images are given with --image"),
    ("spec.initContainers[].imagePullPolicy", "images are given with --image"),
    ("spec.containers[].terminationMessagePolicy", "the message is not read"),
    ("spec.initContainers[].terminationMessagePolicy", "the message is not read"),
    ("spec.containers[].terminationMessagePath", "the message is not read"),
    ("spec.initContainers[].terminationMessagePath", "the message is not read"),
];

/// What is left out of the pod that runs, and missed in it: paths without indices, or the ends of them.
const LEFT_OUT: &[(&str, &str)] = &[
    ("spec.setHostnameAsFQDN", "there is no cluster DNS, so the host name is the pod's"),
    ("spec.ephemeralContainers", "use glassbox pod exec in the pod that runs"),
    ("spec.resourceClaims", "there is no driver of devices"),
    (".resources.claims", "there is no driver of devices"),
    (".stdin", "nobody can attach to the container, and its stdin is empty"),
    (".stdinOnce", "nobody can attach to the container, and its stdin is empty"),
    (".tty", "nobody can attach to the container; glassbox pod exec -t has a terminal"),
    (".valueFrom.fileKeyRef", "the variable is left out"),
    (".serviceAccountToken", "there is no API server that makes tokens; the volume lacks the file"),
    (".clusterTrustBundle", "there is no API server that has it; the volume lacks the file"),
    (".podCertificate", "there is no API server that signs it; the volume lacks the file"),
    (".securityContext.seLinuxOptions", "no SELinux label is given, as by containerd without enable_selinux"),
    (".securityContext.seLinuxChangePolicy", "no SELinux label is given, as by containerd without enable_selinux"),
    (".securityContext.windowsOptions", "glassbox runs Linux pods"),
    ("spec.containers[].restartPolicy", "the pod's restartPolicy holds for all its app containers"),
    (".restartPolicyRules", "the restartPolicy alone says what is started again"),
];

/// What keeps a pod from being run, whatever its value is.
const REFUSED: &[(&str, &str)] = &[
    ("spec.runtimeClassName", "the pod asks for the isolation of another runtime"),
    (".volumeDevices", "nobody here has the volume that is to be the device"),
];

/// Fields whose value decides whether all is well, with the values that are; the reason is for the others.
const BY_VALUE: &[(&str, &[&str], &str)] = &[
    ("spec.hostUsers", &["true"], "the pod's root would be the node's"),
    ("spec.os.name", &["linux"], "glassbox runs Linux pods"),
    (".emptyDir.medium", &["", "Memory"], "the volume would not be in huge pages"),
    (
        ".appArmorProfile.type",
        &["Unconfined", "Localhost"],
        "glassbox loads no profile; name one that is loaded by type Localhost",
    ),
    ("spec.setHostnameAsFQDN", &["false"], ""),
    (".stdin", &["false"], ""),
    (".stdinOnce", &["false"], ""),
    (".tty", &["false"], ""),
];

/// The sources that a volume may have here.
const VOLUMES: [&str; 6] = ["emptyDir", "hostPath", "configMap", "secret", "downwardAPI", "projected"];

/// Judges the fields of a pod. `unknown` are the paths that Kubernetes has no field for: those have been named already.
pub fn judge(pod: &Value, unknown: &[String]) -> Judged {
    let is = |field: &str| pod["spec"][field] == true;
    let (host_network, host_ipc) = (is("hostNetwork"), is("hostIPC"));
    let mut judge = Judge { unknown, host_network, host_ipc, judged: Judged::default() };
    judge.walk(pod, &mut String::new(), &mut String::new());
    judge.judged
}

struct Judge<'a> {
    unknown: &'a [String],
    host_network: bool,
    host_ipc: bool,
    judged: Judged,
}

/// What comes of one field.
enum Verdict {
    /// It is carried out, or asks for nothing.
    Fine,
    /// What is below it decides.
    Below,
    /// It is not looked at; the pod is as good.
    Passed(&'static str),
    /// The pod runs without it.
    LeftOut(&'static str),
    /// The pod is not run.
    Refused(String),
}

impl Judge<'_> {
    /// `path` is as the user reads it, `form` the same without indices.
    fn walk(&mut self, value: &Value, path: &mut String, form: &mut String) {
        match self.verdict(value, path, form) {
            Verdict::Fine => {}
            Verdict::Below => self.below(value, path, form),
            Verdict::Passed(why) => self.judged.warnings.push(format!("{path} is not looked at: {why}")),
            Verdict::LeftOut(why) => self.judged.warnings.push(format!("{path} is not supported: {why}")),
            Verdict::Refused(why) => {
                self.judged.warnings.push(format!("{path} is not supported: {why}"));
                self.judged.refused.push(path.clone());
            }
        }
    }

    fn below(&mut self, value: &Value, path: &mut String, form: &mut String) {
        let (path_length, form_length) = (path.len(), form.len());
        match value {
            Value::Object(map) => {
                for (key, inner) in map {
                    for text in [&mut *path, &mut *form] {
                        if !text.is_empty() {
                            text.push('.');
                        }
                        text.push_str(key);
                    }
                    self.walk(inner, path, form);
                    path.truncate(path_length);
                    form.truncate(form_length);
                }
            }
            Value::Array(items) => {
                form.push_str("[]");
                for (index, item) in items.iter().enumerate() {
                    path.push_str(&format!("[{index}]"));
                    self.walk(item, path, form);
                    path.truncate(path_length);
                }
                form.truncate(form_length);
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn verdict(&self, value: &Value, path: &str, form: &str) -> Verdict {
        let is_empty = value.is_null()
            || value.as_object().is_some_and(serde_json::Map::is_empty)
            || value.as_array().is_some_and(Vec::is_empty);
        let source = form.strip_prefix("spec.volumes[].").filter(|source| !source.contains('.'));
        if source.is_some_and(|source| source != "name" && !VOLUMES.contains(&source) && !value.is_null()) {
            return Verdict::Refused("nobody here mounts such a volume; give emptyDir or hostPath instead".into());
        }
        if is_empty {
            return Verdict::Fine;
        }
        if self.unknown.iter().any(|unknown| unknown == path) {
            // It may be a protection whose name is misspelt.
            return match form.contains(".securityContext.") {
                true => Verdict::Refused("what it is to protect from is not known".into()),
                false => Verdict::Fine,
            };
        }
        if let Some((_, good, why)) = BY_VALUE.iter().find(|(known, ..)| is_called(form, known)) {
            let says_good = good.iter().any(|word| says(value, word));
            match (says_good, why.is_empty()) {
                (true, _) => return Verdict::Fine,
                (false, false) => return Verdict::Refused(why.to_string()),
                (false, true) => {}
            }
        }
        if form == "spec.securityContext.sysctls[]" {
            let name = value["name"].as_str().unwrap_or_default();
            return match sysctl::forbidden(name, self.host_network, self.host_ipc) {
                Some(why) => Verdict::Refused(format!("{name}: {why}")),
                None => Verdict::Fine,
            };
        }
        if form == "spec.volumes[].projected.sources[].configMap" && value["name"] == payload::OF_THE_CLUSTER {
            return Verdict::LeftOut(
                "there is no API server; the volume lacks the file, unless the manifest has the ConfigMap",
            );
        }
        let find =
            |list: &[(&str, &'static str)]| list.iter().find(|(known, _)| is_called(form, known)).map(|(_, why)| *why);
        match (find(REFUSED), find(PASSED), find(LEFT_OUT)) {
            (Some(why), ..) => Verdict::Refused(why.to_string()),
            (_, Some(why), _) => Verdict::Passed(why),
            (_, _, Some(why)) => Verdict::LeftOut(why),
            (None, None, None) if value.is_object() || value.is_array() => Verdict::Below,
            (None, None, None) if is_done(form) => Verdict::Fine,
            (None, None, None) if form.contains(".resources.") => {
                Verdict::LeftOut("there is no device plugin that has it")
            }
            (None, None, None) if form.contains(".securityContext.") => {
                Verdict::Refused("what it is to protect from is not known".into())
            }
            (None, None, None) => Verdict::LeftOut("glassbox does not carry it out"),
        }
    }
}

/// Whether `known`, which may begin with a point, is the path or the end of it.
fn is_called(form: &str, known: &str) -> bool {
    if known.starts_with('.') { form.ends_with(known) } else { form == known }
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

    fn judged(spec: Value) -> Judged {
        judge(&json!({"kind": "Pod", "spec": spec}), &[])
    }

    #[test]
    fn what_the_pod_is_less_safe_or_of_no_use_without_keeps_it_from_running() {
        let container = |what: Value| json!({"containers": [{"name": "a"}, what]});
        let table = [
            (json!({"hostUsers": false}), "spec.hostUsers"),
            (json!({"runtimeClassName": "gvisor"}), "spec.runtimeClassName"),
            (json!({"os": {"name": "windows"}}), "spec.os.name"),
            (json!({"volumes": [{"name": "v", "nfs": {"server": "s"}}]}), "spec.volumes[0].nfs"),
            (json!({"volumes": [{"name": "v", "ephemeral": {}}]}), "spec.volumes[0].ephemeral"),
            (
                json!({"volumes": [{"name": "v", "emptyDir": {"medium": "HugePages"}}]}),
                "spec.volumes[0].emptyDir.medium",
            ),
            (container(json!({"volumeDevices": [{"name": "v"}]})), "spec.containers[1].volumeDevices"),
            (
                json!({"securityContext": {"appArmorProfile": {"type": "RuntimeDefault"}}}),
                "spec.securityContext.appArmorProfile.type",
            ),
            (
                json!({"securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}}),
                "spec.securityContext.sysctls[0]",
            ),
            (
                json!({"hostNetwork": true, "securityContext": {"sysctls": [{"name": "net.ipv4.tcp_rmem", "value": "1"}]}}),
                "spec.securityContext.sysctls[0]",
            ),
            (container(json!({"securityContext": {"later": true}})), "spec.containers[1].securityContext.later"),
        ];
        for (spec, field) in table {
            let judged = judged(spec.clone());
            assert_eq!(judged.refused, [field], "{spec}: {judged:?}");
            let words = format!("{field} is not supported: ");
            assert!(judged.warnings.len() == 1 && judged.warnings[0].starts_with(&words), "{spec}: {judged:?}");
        }
    }

    #[test]
    fn what_is_left_out_is_named_and_the_pod_runs() {
        let container = |what: Value| json!({"containers": [what]});
        let table = [
            (
                json!({"ephemeralContainers": [{"name": "x", "image": "i"}]}),
                "spec.ephemeralContainers is not supported: use",
            ),
            (container(json!({"tty": true})), "spec.containers[0].tty is not supported: nobody can attach"),
            (
                container(json!({"restartPolicy": "Never"})),
                "spec.containers[0].restartPolicy is not supported: the pod's",
            ),
            (
                container(json!({"env": [{"name": "A", "valueFrom": {"fileKeyRef": {"key": "k"}}}]})),
                "spec.containers[0].env[0].valueFrom.fileKeyRef is not supported: the variable",
            ),
            (
                container(json!({"resources": {"limits": {"example.com/gpu": "1", "cpu": "1"}}})),
                "spec.containers[0].resources.limits.example.com/gpu is not supported: there is no device plugin",
            ),
            (
                json!({"volumes": [{"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}]}),
                "spec.volumes[0].projected.sources[0].serviceAccountToken is not supported: there is no API server",
            ),
            (
                json!({"securityContext": {"seLinuxOptions": {"type": "t"}}}),
                "spec.securityContext.seLinuxOptions is not",
            ),
            (
                json!({"volumes": [{"name": "v", "projected": {"sources": [{"configMap": {"name": "kube-root-ca.crt"}}]}}]}),
                "spec.volumes[0].projected.sources[0].configMap is not supported: there is no API server",
            ),
            (json!({"somethingNew": 1}), "spec.somethingNew is not supported: glassbox does not"),
        ];
        for (spec, expected) in table {
            let judged = judged(spec.clone());
            assert!(judged.refused.is_empty(), "{spec}: {judged:?}");
            assert!(judged.warnings.len() == 1 && judged.warnings[0].starts_with(expected), "{spec}: {judged:?}");
        }
    }

    #[test]
    fn the_documentation_names_them_all() {
        let page = include_str!("../../docs/pods.md");
        let by_value = BY_VALUE.iter().map(|(field, ..)| field);
        for field in LEFT_OUT.iter().chain(REFUSED).map(|(field, _)| field).chain(by_value) {
            let field = field.trim_start_matches("spec.").trim_start_matches("containers[].");
            let name =
                field.trim_start_matches('.').trim_start_matches("securityContext.").trim_start_matches("valueFrom.");
            assert!(page.contains(name), "docs/pods.md lacks {field}");
        }
    }

    #[test]
    fn an_unknown_field_is_named_elsewhere_and_refused_where_it_may_be_a_protection() {
        let pod = json!({"spec": {"containers": [{"comand": ["sh"], "securityContext": {"runAsNonroot": true}}]}});
        let unknown =
            ["spec.containers[0].comand", "spec.containers[0].securityContext.runAsNonroot"].map(String::from);
        let judged = judge(&pod, &unknown);
        assert_eq!(judged.refused, ["spec.containers[0].securityContext.runAsNonroot"]);
        assert_eq!(judged.warnings.len(), 1);
    }

    #[test]
    fn what_is_carried_out_passes_and_what_one_node_has_no_use_for_is_named() {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "labels": {"a": "b"}}, "spec": {
            "nodeSelector": {"disk": "ssd"}, "hostUsers": true, "tolerations": [], "nodeName": null, "os": {"name": "linux"},
            "securityContext": {"sysctls": [{"name": "net.ipv4.tcp_rmem", "value": "1 2 3"}], "supplementalGroupsPolicy": "Strict"},
            "volumes": [{"name": "v", "projected": {"sources": [{"secret": {"name": "s", "items": [{"key": "k", "path": "p"}]}}]}}],
            "containers": [{"name": "a", "image": "i", "imagePullPolicy": "Always", "tty": false,
                "resources": {"limits": {"cpu": "1", "hugepages-2Mi": "4Mi"}},
                "env": [{"name": "E", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
                "livenessProbe": {"httpGet": {"port": 80, "scheme": "HTTP"}},
                "volumeMounts": [{"name": "v", "mountPath": "/v", "readOnly": true, "recursiveReadOnly": "Enabled"}],
                "securityContext": {"capabilities": {"drop": ["ALL"]},
                    "appArmorProfile": {"type": "Localhost", "localhostProfile": "web"}}}]}});
        let judged = judge(&pod, &[]);
        assert!(judged.refused.is_empty(), "{judged:?}");
        assert_eq!(
            judged.warnings,
            [
                "spec.nodeSelector is not looked at: there is one node",
                "spec.containers[0].imagePullPolicy is not looked at: images are given with --image"
            ]
        );
    }
}
