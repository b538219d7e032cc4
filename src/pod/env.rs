//! A container's environment variables, command and arguments, from the manifest (`pkg/kubelet/kubelet_pods.go`,
//! `makeEnvironmentVariables`). Pure.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as api;

use super::expand::expand;
use super::facts::Facts;

/// Something that a container needs is not there: the kubelet's `CreateContainerConfigError`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Missing(pub String);

/// The manifest's variables in the order of their first mention: those of envFrom, then of env; a later value replaces an earlier
/// one. These are what `$(NAME)` knows; the image's own are not among them.
pub fn variables(container: &api::Container, facts: &Facts<'_>) -> Result<Vec<(String, String)>, Missing> {
    let mut set = Set::default();
    for source in container.env_from.iter().flatten() {
        let prefix = source.prefix.as_deref().unwrap_or_default();
        for (key, value) in from_source(source, facts)? {
            set.put(&format!("{prefix}{key}"), value);
        }
    }
    for variable in container.env.iter().flatten() {
        let value = match (&variable.value, &variable.value_from) {
            (Some(value), _) if !value.is_empty() => Some(expand(value, &set.values)),
            (_, Some(source)) => from_one(source, container, facts)?,
            _ => Some(String::new()),
        };
        if let Some(value) = value {
            set.put(&variable.name, value);
        }
    }
    Ok(set.list())
}

/// All variables of a container: the image's, and the manifest's over them.
pub fn over(image: &[(String, String)], own: &[(String, String)]) -> Vec<(String, String)> {
    let mut set = Set::default();
    image.iter().chain(own).for_each(|(name, value)| set.put(name, value.clone()));
    set.list()
}

/// What runs: the manifest's command and args, each over the image's own ENTRYPOINT and CMD, with `$(NAME)` replaced. A
/// command leaves the image's CMD out.
pub fn arguments(
    container: &api::Container,
    entrypoint: &[String],
    cmd: &[String],
    variables: &[(String, String)],
) -> Result<Vec<String>, Missing> {
    let values: BTreeMap<String, String> = variables.iter().cloned().collect();
    let expanded = |list: &[String]| list.iter().map(|text| expand(text, &values)).collect::<Vec<_>>();
    let command = container.command.as_deref().unwrap_or_default();
    let args = container.args.as_deref().unwrap_or_default();
    let all = match (command.is_empty(), args.is_empty()) {
        (true, true) => [entrypoint, cmd].concat(),
        (true, false) => [entrypoint.to_vec(), expanded(args)].concat(),
        (false, _) => [expanded(command), expanded(args)].concat(),
    };
    match all.is_empty() {
        true => Err(Missing("no command specified".into())),
        false => Ok(all),
    }
}

#[derive(Default)]
struct Set {
    order: Vec<String>,
    values: BTreeMap<String, String>,
}

impl Set {
    fn list(&self) -> Vec<(String, String)> {
        self.order.iter().map(|name| (name.clone(), self.values[name].clone())).collect()
    }

    fn put(&mut self, name: &str, value: String) {
        if self.values.insert(name.to_string(), value).is_none() {
            self.order.push(name.to_string());
        }
    }
}

fn from_source(source: &api::EnvFromSource, facts: &Facts<'_>) -> Result<BTreeMap<String, String>, Missing> {
    if let Some(wanted) = &source.config_map_ref {
        return match facts.config_maps.get(&wanted.name) {
            Some(map) => Ok(map.data.clone().unwrap_or_default()),
            None if wanted.optional == Some(true) => Ok(BTreeMap::new()),
            None => Err(Missing(format!("configmap {:?} not found", wanted.name))),
        };
    }
    if let Some(wanted) = &source.secret_ref {
        return match facts.secrets.get(&wanted.name) {
            Some(secret) => Ok(texts(secret)),
            None if wanted.optional == Some(true) => Ok(BTreeMap::new()),
            None => Err(Missing(format!("secret {:?} not found", wanted.name))),
        };
    }
    Ok(BTreeMap::new())
}

fn texts(secret: &api::Secret) -> BTreeMap<String, String> {
    let text = |bytes: &k8s_openapi::ByteString| String::from_utf8_lossy(&bytes.0).into_owned();
    secret.data.iter().flatten().map(|(key, bytes)| (key.clone(), text(bytes))).collect()
}

/// `None` where an optional source is not there: the variable is left out.
fn from_one(
    source: &api::EnvVarSource,
    container: &api::Container,
    facts: &Facts<'_>,
) -> Result<Option<String>, Missing> {
    let namespace = facts.pod.metadata.namespace.as_deref().unwrap_or_default();
    if let Some(wanted) = &source.config_map_key_ref {
        let map = facts.config_maps.get(&wanted.name);
        let value = map.and_then(|map| map.data.as_ref()?.get(&wanted.key).cloned());
        return match (value, map) {
            (Some(value), _) => Ok(Some(value)),
            (None, _) if wanted.optional == Some(true) => Ok(None),
            (None, None) => Err(Missing(format!("configmap {:?} not found", wanted.name))),
            (None, Some(_)) => {
                Err(Missing(format!("couldn't find key {} in ConfigMap {namespace}/{}", wanted.key, wanted.name)))
            }
        };
    }
    if let Some(wanted) = &source.secret_key_ref {
        let secret = facts.secrets.get(&wanted.name);
        let value = secret.and_then(|secret| texts(secret).remove(&wanted.key));
        return match (value, secret) {
            (Some(value), _) => Ok(Some(value)),
            (None, _) if wanted.optional == Some(true) => Ok(None),
            (None, None) => Err(Missing(format!("secret {:?} not found", wanted.name))),
            (None, Some(_)) => {
                Err(Missing(format!("couldn't find key {} in Secret {namespace}/{}", wanted.key, wanted.name)))
            }
        };
    }
    if let Some(wanted) = &source.field_ref {
        return facts.field(&wanted.field_path).map(Some);
    }
    if let Some(wanted) = &source.resource_field_ref {
        return facts.resource(wanted, &container.name).map(Some);
    }
    if source.file_key_ref.is_some() {
        return Ok(None);
    }
    Ok(Some(String::new()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::facts::samples;
    use super::*;

    fn container(value: Value) -> api::Container {
        let mut value = value;
        value["name"] = json!("app");
        serde_json::from_value(value).unwrap()
    }

    fn told(value: Value) -> Result<String, Missing> {
        let sample = samples::pod();
        let own = variables(&container(value), &sample.facts())?;
        let found = over(&[("PATH".into(), "/bin".into())], &own);
        Ok(found.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn later_values_replace_earlier_ones_and_see_them() {
        let all = told(json!({
        "envFrom": [{"configMapRef": {"name": "settings"}}, {"prefix": "S_", "secretRef": {"name": "keys"}}],
        "env": [
            {"name": "PATH", "value": "/opt:$(PATH)"},
            {"name": "colour", "value": "blue"},
            {"name": "BOTH", "value": "$(colour)-$(S_token)-$(NONE)-$$(colour)"},
        ]}));
        // The kubelet does not know what the image has.
        assert_eq!(
            all.unwrap(),
            "PATH=/opt:$(PATH) colour=blue size=9 S_token=s3cret BOTH=blue-s3cret-$(NONE)-$(colour)"
        );
    }

    #[test]
    fn values_come_from_keys_fields_and_resources() {
        let from = |source: Value| told(json!({"env": [{"name": "E", "valueFrom": source}]}));
        let value = |source: Value| from(source).unwrap().trim_start_matches("PATH=/bin E=").to_string();
        assert_eq!(value(json!({"configMapKeyRef": {"name": "settings", "key": "size"}})), "9");
        assert_eq!(value(json!({"secretKeyRef": {"name": "keys", "key": "token"}})), "s3cret");
        assert_eq!(value(json!({"fieldRef": {"fieldPath": "metadata.name"}})), "web");
        assert_eq!(value(json!({"fieldRef": {"fieldPath": "metadata.labels['tier']"}})), "front");
        assert_eq!(value(json!({"fieldRef": {"fieldPath": "status.podIP"}})), "10.244.0.2");
        assert_eq!(value(json!({"resourceFieldRef": {"resource": "limits.cpu"}})), "1");
        assert_eq!(value(json!({"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}})), "500");
        assert_eq!(value(json!({"resourceFieldRef": {"resource": "requests.memory", "divisor": "1Mi"}})), "64");
        assert_eq!(
            from(json!({"configMapKeyRef": {"name": "none", "key": "k", "optional": true}})).unwrap(),
            "PATH=/bin"
        );
        for (source, expected) in [
            (json!({"configMapKeyRef": {"name": "none", "key": "k"}}), "configmap \"none\" not found"),
            (
                json!({"configMapKeyRef": {"name": "settings", "key": "k"}}),
                "couldn't find key k in ConfigMap default/settings",
            ),
            (json!({"secretKeyRef": {"name": "none", "key": "k"}}), "secret \"none\" not found"),
            (json!({"fieldRef": {"fieldPath": "spec.other"}}), "field label not supported: spec.other"),
        ] {
            assert_eq!(from(source).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn command_and_args_go_over_the_images_own() {
        let own = |text: &str| text.split(' ').filter(|word| !word.is_empty()).map(str::to_string).collect::<Vec<_>>();
        let variables = [("WHO".to_string(), "you".to_string())];
        let run = |value: Value, entry: &str, cmd: &str| {
            arguments(&container(value), &own(entry), &own(cmd), &variables).map(|all| all.join(" "))
        };
        assert_eq!(run(json!({}), "entry", "cmd").unwrap(), "entry cmd");
        assert_eq!(run(json!({"args": ["$(WHO)"]}), "entry", "cmd").unwrap(), "entry you");
        assert_eq!(run(json!({"command": ["c"]}), "entry", "cmd").unwrap(), "c");
        assert_eq!(run(json!({"command": ["c"], "args": ["a"]}), "entry", "cmd").unwrap(), "c a");
        assert_eq!(run(json!({}), "", "").unwrap_err().to_string(), "no command specified");
    }
}
