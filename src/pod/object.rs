//! What a manifest asks for: the pod, and the ConfigMaps and Secrets that stand beside it in the same file.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as api;
use serde_json::{Value, json};

use super::error::PodError;
use super::support;
use crate::kube::levels::{Ids, Setting};
use crate::kube::manifest::Found;
use crate::kube::pod::Pod;
use crate::kube::{Placed, Problem, decode, defaults, manifest, place_found};

/// A pod that is to run, with all that it names.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The pod, as the API server would store it: name, namespace and uid are there.
    pub pod: api::Pod,
    /// Its class and its cgroups.
    pub placed: Placed,
    /// ConfigMaps of its namespace, by name.
    pub config_maps: BTreeMap<String, api::ConfigMap>,
    /// Secrets of its namespace, by name; `stringData` is in `data`.
    pub secrets: BTreeMap<String, api::Secret>,
    /// What is not carried out, each with its field.
    pub warnings: Vec<String>,
    /// The fields among them that keep the pod from being run (`support.rs`).
    pub refused: Vec<String>,
}

/// Reads the pods of a manifest; `name` chooses one. `uid` makes a uid for a pod that has none.
///
/// The errors are those of the API server, with its field paths. What glassbox does not do is in `warnings` and `refused`.
pub fn read(
    text: &str,
    name: Option<&str>,
    setting: &Setting,
    uid: impl Fn() -> String,
) -> Result<Vec<Wanted>, Vec<Problem>> {
    let one = |problem: Problem| vec![problem];
    let mut pods = manifest::pods(text).map_err(one)?;
    if let Some(name) = name {
        pods.retain(|pod| pod.pod["metadata"]["name"] == name);
        if pods.is_empty() {
            return Err(one(Problem::new("metadata.name", format!("no pod is called {name} here"))));
        }
    }
    let others = manifest::objects(text).map_err(one)?;
    let mut wanted = Vec::new();
    for mut found in pods {
        if let Some((kind, name)) = &found.owner {
            let words = format!("is {kind} {name}: give a Pod; a controller is what makes pods of its template");
            return Err(one(Problem::new("kind", words)));
        }
        let metadata = &mut found.pod["metadata"];
        if metadata["uid"].as_str().is_none_or(str::is_empty) {
            metadata["uid"] = json!(uid());
        }
        if metadata["namespace"].as_str().is_none_or(str::is_empty) {
            metadata["namespace"] = json!("default");
        }
        let namespace = metadata["namespace"].as_str().unwrap_or_default().to_string();
        let placed = place_found(&found, setting, Ids::Unknown)?;
        let typed: decode::Typed<api::Pod> = decode::typed(found.pod.clone()).map_err(one)?;
        let judged = support::judge(&found.pod, &typed.unknown);
        let (config_maps, secrets) = beside_pods(&others, &namespace).map_err(one)?;
        let warnings = once(placed.warnings.clone(), judged.warnings);
        wanted.push(Wanted { pod: typed.object, placed, config_maps, secrets, warnings, refused: judged.refused });
    }
    Ok(wanted)
}

/// What is said of running a pod goes over what is said of its cgroups, where both are of one field.
fn once(of_cgroups: Vec<String>, of_running: Vec<String>) -> Vec<String> {
    let field = |text: &str| match text.strip_prefix("unknown field ") {
        Some(rest) => rest.split_once(": ").map(|(field, _)| field.to_string()),
        None => text.split_once(" is not ").map(|(field, _)| field.to_string()),
    };
    let said: Vec<_> = of_running.iter().filter_map(|text| field(text)).collect();
    let others = of_cgroups.into_iter().filter(|text| field(text).is_none_or(|field| !said.contains(&field)));
    others.chain(of_running).collect()
}

/// The objects of `kind` that a pod of `namespace` sees, by name.
fn beside<T: serde::de::DeserializeOwned>(
    objects: &[Value],
    kind: &str,
    namespace: &str,
) -> Result<BTreeMap<String, T>, Problem> {
    let mut found = BTreeMap::new();
    for document in objects {
        let word = |key: &str| document["metadata"][key].as_str().filter(|word| !word.is_empty()).map(str::to_string);
        if document["kind"] != kind || word("namespace").unwrap_or_else(|| "default".into()) != namespace {
            continue;
        }
        let name = word("name").ok_or_else(|| Problem::new("metadata.name", format!("Required value: of a {kind}")))?;
        let object = decode::typed(document.clone())
            .map_err(|problem| Problem { field: format!("{kind} {name}: {}", problem.field), ..problem })?;
        found.insert(name, object.object);
    }
    Ok(found)
}

/// `stringData` overrides `data`, as the API server writes it.
fn with_string_data(mut secret: api::Secret) -> api::Secret {
    let texts = secret.string_data.take().unwrap_or_default();
    let data = secret.data.get_or_insert_default();
    data.extend(texts.into_iter().map(|(key, text)| (key, k8s_openapi::ByteString(text.into_bytes()))));
    secret
}

/// What a pod is called on this node: `namespace_name`, in which neither part can hold the `_`.
pub fn key(pod: &api::Pod) -> String {
    let metadata = &pod.metadata;
    let part = |part: &Option<String>| part.clone().unwrap_or_default();
    format!("{}_{}", part(&metadata.namespace), part(&metadata.name))
}

/// The pod's spec; a pod without one has not passed validation.
pub fn spec(pod: &api::Pod) -> api::PodSpec {
    pod.spec.clone().unwrap_or_default()
}

/// The requests and limits of a pod that was valid when it was run, defaults filled in.
pub fn resources(pod: &api::Pod) -> Result<Pod, PodError> {
    let found = Found { pod: to_json(pod), prefix: String::new(), owner: None };
    let mut pod = Pod::decode(&found).map_err(|problems| {
        let listed: Vec<String> = problems.iter().map(ToString::to_string).collect();
        PodError::Config(listed.join("; "))
    })?;
    defaults::apply(&mut pod);
    Ok(pod)
}

/// A JSON value of what can be written as JSON.
pub fn to_json(object: &impl serde::Serialize) -> Value {
    serde_json::to_value(object).expect("Kubernetes' types have text keys alone")
}

/// ConfigMaps and Secrets by name.
pub type Beside = (BTreeMap<String, api::ConfigMap>, BTreeMap<String, api::Secret>);

/// The ConfigMaps and Secrets among a manifest's `objects` that pods of `namespace` see.
pub fn beside_pods(objects: &[Value], namespace: &str) -> Result<Beside, Problem> {
    let secrets: BTreeMap<String, api::Secret> = beside(objects, "Secret", namespace)?;
    let secrets = secrets.into_iter().map(|(name, secret)| (name, with_string_data(secret))).collect();
    Ok((beside(objects, "ConfigMap", namespace)?, secrets))
}
