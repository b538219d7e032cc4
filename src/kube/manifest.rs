//! A manifest's text: YAML or JSON, one or several documents, and which of them holds the pod.
//!
//! Scalars are read as `sigs.k8s.io/yaml` reads them for kubectl: YAML 1.1's octal `010`, hexadecimal, `1_000` and `1e3` are
//! numbers, `yes` is a boolean. What the fields mean is `decode.rs`'s matter.

use serde_json::{Value, json};

use super::Problem;

/// The kinds whose pods come from a template, with the place of the template.
const TEMPLATES: &[(&str, &[&str])] = &[
    ("Deployment", &["spec", "template"]),
    ("ReplicaSet", &["spec", "template"]),
    ("StatefulSet", &["spec", "template"]),
    ("DaemonSet", &["spec", "template"]),
    ("Job", &["spec", "template"]),
    ("ReplicationController", &["spec", "template"]),
    ("CronJob", &["spec", "jobTemplate", "spec", "template"]),
    ("PodTemplate", &["template"]),
];

/// A pod found in a manifest, not yet typed.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The pod: `apiVersion`, `kind: Pod`, `metadata`, `spec`, and `status` where the manifest has one.
    pub pod: Value,
    /// What stands before the pod's own field paths: empty, or `spec.template.` and the like.
    pub prefix: String,
    /// The kind and name of the object whose template this is, or `None` for a Pod.
    pub owner: Option<(String, String)>,
}

/// Reads every document of `text`; empty ones are left out.
///
/// The error is a syntax error with its line, or a scalar that JSON cannot hold (`.inf`).
pub fn documents(text: &str) -> Result<Vec<Value>, Problem> {
    if text.trim_start().starts_with('{') {
        let stream: Result<Vec<Value>, _> = serde_json::Deserializer::from_str(text).into_iter().collect();
        if let Ok(found) = stream {
            return Ok(found);
        }
    }
    let options = serde_saphyr::options! { legacy_octal_numbers: true, with_snippet: false };
    let found: Vec<Value> = serde_saphyr::from_multiple_with_options(text, options)
        .map_err(|error| Problem::new("", format!("not YAML or JSON: {error}")))?;
    Ok(found.into_iter().filter(|document| !document.is_null()).collect())
}

/// The one document of `text` that is of `kind`; others are refused.
pub fn single(text: &str, kind: &str, api_version: &str) -> Result<Value, Problem> {
    let mut found = flattened(documents(text)?);
    match found.len() {
        0 => Err(Problem::new("", format!("the document is empty: give a {kind}"))),
        1 => {
            let value = found.remove(0);
            check_kind(&value, kind, api_version)?;
            Ok(value)
        }
        more => Err(Problem::new("", format!("{more} documents where one {kind} belongs: keep one"))),
    }
}

fn check_kind(value: &Value, kind: &str, api_version: &str) -> Result<(), Problem> {
    if text_of(value, "kind") != Some(kind) {
        let got = text_of(value, "kind").unwrap_or("nothing");
        return Err(Problem::new("kind", format!("is {got}, expected {kind}: give a manifest of kind {kind}")));
    }
    if text_of(value, "apiVersion") != Some(api_version) {
        let got = text_of(value, "apiVersion").unwrap_or("nothing");
        return Err(Problem::new("apiVersion", format!("is {got}, expected {api_version}")));
    }
    Ok(())
}

/// Finds the pod in `text`: the one Pod (or the one called `name`), or the pod template of the one workload.
pub fn find_pod(text: &str, name: Option<&str>) -> Result<Found, Problem> {
    let mut candidates = pods(text)?;
    if let Some(name) = name {
        candidates.retain(|found| own_name(found) == name);
    }
    let names: Vec<String> = candidates.iter().map(own_name).collect();
    match (candidates.len(), name) {
        (1, _) => Ok(candidates.remove(0)),
        (0, Some(name)) => Err(Problem::new("metadata.name", format!("no pod is called {name} here"))),
        (0, None) => Err(no_pod(text)?),
        (more, _) => Err(Problem::new(
            "",
            format!("{more} pods in one file ({}): choose one with --pod NAME, or keep one", names.join(", ")),
        )),
    }
}

/// Every document of `text`, lists opened.
pub fn objects(text: &str) -> Result<Vec<Value>, Problem> {
    documents(text).map(flattened)
}

/// Every pod in `text`, and the pod template of every workload; there may be none.
pub fn pods(text: &str) -> Result<Vec<Found>, Problem> {
    let found = objects(text)?;
    if found.is_empty() {
        return Err(Problem::new("", "the document is empty: give a Pod"));
    }
    let mut candidates = Vec::new();
    for document in &found {
        match text_of(document, "kind") {
            Some("Pod") => {
                check_kind(document, "Pod", "v1")?;
                candidates.push(Found { pod: document.clone(), prefix: String::new(), owner: None });
            }
            Some(kind) => candidates.extend(templated(document, kind)?),
            None if document.is_object() => {
                return Err(Problem::new("kind", "Required value: a Pod starts with `apiVersion: v1` and `kind: Pod`"));
            }
            None => return Err(Problem::new("", "is not a mapping: a Pod starts with `apiVersion: v1`")),
        }
    }
    Ok(candidates)
}

fn no_pod(text: &str) -> Result<Problem, Problem> {
    let found = objects(text)?;
    let kinds: Vec<_> = found.iter().filter_map(|document| text_of(document, "kind")).collect();
    Ok(Problem::new(
        "kind",
        format!(
            "no Pod here, but {}: give a Pod, or a Deployment, StatefulSet, DaemonSet, ReplicaSet, Job or CronJob, whose pod template is read",
            kinds.join(", ")
        ),
    ))
}

fn own_name(found: &Found) -> String {
    match &found.owner {
        Some((_, name)) => name.clone(),
        None => text_of(&found.pod["metadata"], "name").unwrap_or("without a name").to_string(),
    }
}

/// Opens `kind: List` (what `kubectl get -o yaml` prints), one level deep.
fn flattened(documents: Vec<Value>) -> Vec<Value> {
    let mut flat = Vec::new();
    for mut document in documents {
        let is_list = matches!(text_of(&document, "kind"), Some("List" | "PodList"));
        match document.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) if is_list => flat.extend(items),
            Some(other) => {
                document["items"] = other;
                flat.push(document);
            }
            None => flat.push(document),
        }
    }
    flat
}

fn templated(document: &Value, kind: &str) -> Result<Option<Found>, Problem> {
    let Some((_, place)) = TEMPLATES.iter().find(|(known, _)| *known == kind) else {
        return Ok(None);
    };
    let path = place.join(".");
    let template = place.iter().try_fold(document, |value, key| value.get(key));
    let Some(template) = template.filter(|template| template.is_object()) else {
        return Err(Problem::new(path, format!("Required value: a {kind} has its pod template here")));
    };
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod"});
    for (key, value) in template.as_object().into_iter().flatten() {
        pod[key] = value.clone();
    }
    let name = text_of(&document["metadata"], "name").unwrap_or_default().to_string();
    Ok(Some(Found { pod, prefix: format!("{path}."), owner: Some((kind.to_string(), name)) }))
}

fn text_of<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_are_read_as_kubectl_reads_them() {
        let table = [
            ("1e3", json!(1000.0)),
            ("0.1", json!(0.1)),
            ("0x10", json!(16)),
            ("010", json!(8)),
            ("0o10", json!(8)),
            ("09", json!(9.0)),
            ("1_000", json!(1000)),
            ("1_000Mi", json!("1_000Mi")),
            ("500m", json!("500m")),
            ("\"010\"", json!("010")),
            ("yes", json!(true)),
            ("null", Value::Null),
            ("~", Value::Null),
            ("", Value::Null),
        ];
        for (written, expected) in table {
            let found = documents(&format!("a: {written}")).unwrap();
            assert_eq!(found, [json!({"a": expected})], "{written:?}");
        }
    }

    #[test]
    fn what_json_cannot_hold_and_what_is_ambiguous_is_refused() {
        for text in ["a: .inf", "a: .nan", "a: 1\na: 2", "a: [", "a: *nobody"] {
            assert!(documents(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn json_is_read_with_its_tabs_and_escapes() {
        let found = documents("{\n\t\"a\": \"\\ud83d\\ude00\"\n}").unwrap();
        assert_eq!(found, [json!({"a": "😀"})]);
    }

    #[test]
    fn a_bomb_of_aliases_or_brackets_is_refused() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_string();
        for level in 1..12 {
            let before = vec![format!("*a{}", level - 1); 9].join(", ");
            bomb.push_str(&format!("a{level}: &a{level} [{before}]\n"));
        }
        assert!(documents(&bomb).is_err());
        assert!(documents(&"[".repeat(100_000)).is_err());
        assert!(documents(&"{\"a\":".repeat(100_000)).is_err());
    }

    #[test]
    fn the_pod_is_found_among_other_documents_and_in_lists() {
        let text = "kind: Service\napiVersion: v1\n---\n---\nkind: Pod\napiVersion: v1\nmetadata: {name: web}\n";
        assert_eq!(find_pod(text, None).unwrap().pod["metadata"]["name"], "web");
        let list = "kind: List\napiVersion: v1\nitems:\n- kind: Pod\n  apiVersion: v1\n  metadata: {name: a}\n";
        assert_eq!(find_pod(list, None).unwrap().pod["metadata"]["name"], "a");
    }

    #[test]
    fn a_workload_is_read_for_its_template() {
        let text = "kind: CronJob\napiVersion: batch/v1\nmetadata: {name: nightly}\nspec: {jobTemplate: {spec: {template: {spec: {x: 1}}}}}";
        let found = find_pod(text, None).unwrap();
        assert_eq!(found.prefix, "spec.jobTemplate.spec.template.");
        assert_eq!(found.owner, Some(("CronJob".into(), "nightly".into())));
        assert_eq!(found.pod["spec"]["x"], 1);
    }

    #[test]
    fn no_pod_several_pods_and_no_kind_are_told_apart() {
        let pod = |name: &str| format!("kind: Pod\napiVersion: v1\nmetadata: {{name: {name}}}\n---\n");
        let message = |text: &str, name| find_pod(text, name).unwrap_err().message;
        assert!(message("", None).contains("empty"));
        assert!(message("kind: Service", None).contains("no Pod here, but Service"));
        assert!(message("metadata: {}", None).contains("Required value"));
        assert!(message("just words", None).contains("not a mapping"));
        let two = pod("a") + &pod("b");
        assert!(message(&two, None).contains("2 pods in one file (a, b): choose one with --pod NAME"));
        assert!(message(&two, Some("c")).contains("no pod is called c"));
        assert_eq!(find_pod(&two, Some("b")).unwrap().pod["metadata"]["name"], "b");
        assert!(message("kind: Pod\napiVersion: v2", None).contains("expected v1"));
        assert!(message("kind: Deployment\napiVersion: apps/v1\nspec: {}", None).contains("has its pod template here"));
    }
}
