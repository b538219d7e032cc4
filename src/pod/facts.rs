//! What a pod may know of itself: `fieldRef` and `resourceFieldRef` of variables and of downwardAPI volumes
//! (`pkg/fieldpath`, `pkg/api/v1/resource`). Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;

use k8s_openapi::api::core::v1 as api;

use super::env::Missing;
use crate::kube::pod::{Pod, ResourceList};
use crate::kube::quantity::Quantity;

/// A pod and what its containers may ask for.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The pod.
    pub pod: &'a api::Pod,
    /// Its containers' requests and limits, with defaults.
    pub resources: &'a Pod,
    /// ConfigMaps by name.
    pub config_maps: &'a BTreeMap<String, api::ConfigMap>,
    /// Secrets by name.
    pub secrets: &'a BTreeMap<String, api::Secret>,
    /// The pod's address, once it has one.
    pub pod_ip: Option<IpAddr>,
    /// The node's name.
    pub node: &'a str,
    /// The node's address.
    pub host_ip: Option<IpAddr>,
    /// What a container without a limit may use: the node's CPUs in millicores and its memory in bytes.
    pub node_limits: (i128, i128),
}

impl Facts<'_> {
    /// The value of a `fieldRef`.
    pub fn field(&self, path: &str) -> Result<String, Missing> {
        let metadata = &self.pod.metadata;
        let own = |text: &Option<String>| text.clone().unwrap_or_default();
        let ip = |ip: Option<IpAddr>| ip.map(|ip| ip.to_string()).unwrap_or_default();
        if let Some((list, key)) = path.strip_suffix("']").and_then(|path| path.split_once("['")) {
            let list = match list {
                "metadata.labels" => &metadata.labels,
                "metadata.annotations" => &metadata.annotations,
                _ => return Err(unsupported(path)),
            };
            return Ok(list.as_ref().and_then(|list| list.get(key).cloned()).unwrap_or_default());
        }
        Ok(match path {
            "metadata.name" => own(&metadata.name),
            "metadata.namespace" => own(&metadata.namespace),
            "metadata.uid" => own(&metadata.uid),
            "metadata.labels" => lines(metadata.labels.as_ref()),
            "metadata.annotations" => lines(metadata.annotations.as_ref()),
            "spec.nodeName" => self.node.to_string(),
            "spec.serviceAccountName" => {
                let spec = self.pod.spec.as_ref();
                spec.and_then(|spec| spec.service_account_name.clone()).unwrap_or_else(|| "default".into())
            }
            "status.podIP" | "status.podIPs" => ip(self.pod_ip),
            "status.hostIP" | "status.hostIPs" => ip(self.host_ip),
            _ => return Err(unsupported(path)),
        })
    }

    /// The value of a `resourceFieldRef`, in units of its divisor, rounded up.
    pub fn resource(&self, wanted: &api::ResourceFieldSelector, container: &str) -> Result<String, Missing> {
        let name = wanted.container_name.as_deref().filter(|name| !name.is_empty()).unwrap_or(container);
        let container = self.resources.all_containers().find(|one| one.name == name);
        let container = container.ok_or_else(|| Missing(format!("container {name} not found")))?;
        let amount = |list: &ResourceList, resource: &str| list.get(resource).map(|amount| amount.quantity);
        let (list, resource) = wanted.resource.split_once('.').unwrap_or(("", ""));
        let given = match list {
            "limits" => amount(&container.resources.limits, resource),
            "requests" => amount(&container.resources.requests, resource),
            _ => None,
        };
        let divisor: Quantity = match wanted.divisor.as_ref().map(|divisor| divisor.0.as_str()) {
            None | Some("" | "0") => "1".parse().expect("one is a quantity"),
            Some(text) => text.parse().map_err(|error| Missing(format!("divisor: {error}")))?,
        };
        // A CPU is counted in thousandths, everything else in ones.
        let (value, unit) = match (list, resource) {
            ("limits", "cpu") => (given.map_or(self.node_limits.0, |q| q.milli_value()), divisor.milli_value()),
            ("requests", "cpu") => (given.map_or(0, |q| q.milli_value()), divisor.milli_value()),
            ("limits", "memory") => (given.map_or(self.node_limits.1, |q| q.value()), divisor.value()),
            ("limits" | "requests", "memory" | "ephemeral-storage") => {
                (given.map_or(0, |q| q.value()), divisor.value())
            }
            _ => return Err(Missing(format!("unsupported container resource : {}", wanted.resource))),
        };
        Ok((value + unit.max(1) - 1).div_euclid(unit.max(1)).to_string())
    }
}

fn unsupported(path: &str) -> Missing {
    Missing(format!("field label not supported: {path}"))
}

/// `key="value"` a line, as in downwardAPI files.
fn lines(map: Option<&BTreeMap<String, String>>) -> String {
    map.into_iter().flatten().map(|(key, value)| format!("{key}={value:?}")).collect::<Vec<_>>().join("\n")
}

/// A pod for the tests of this module and its neighbours.
#[cfg(test)]
pub mod samples {
    use serde_json::json;

    use super::*;
    use crate::kube::{defaults, manifest};

    /// A pod with all that it names.
    pub struct Sample {
        pod: api::Pod,
        resources: Pod,
        config_maps: BTreeMap<String, api::ConfigMap>,
        secrets: BTreeMap<String, api::Secret>,
    }

    impl Sample {
        /// Its facts.
        pub fn facts(&self) -> Facts<'_> {
            Facts {
                pod: &self.pod,
                resources: &self.resources,
                config_maps: &self.config_maps,
                secrets: &self.secrets,
                pod_ip: Some("10.244.0.2".parse().unwrap()),
                node: "node1",
                host_ip: None,
                node_limits: (4000, 8 << 30),
            }
        }
    }

    /// The pod `web` with one container `app`, a ConfigMap `settings` and a Secret `keys`.
    pub fn pod() -> Sample {
        let value = json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "web", "namespace": "default", "uid": "0f1e", "labels": {"app": "web", "tier": "front"}},
            "spec": {"containers": [{"name": "app", "image": "i",
                "resources": {"requests": {"memory": "64Mi"}, "limits": {"cpu": "500m", "memory": "128Mi"}}}]}});
        let found = manifest::find_pod(&value.to_string(), None).unwrap();
        let mut resources = Pod::decode(&found).unwrap();
        defaults::apply(&mut resources);
        let map = json!({"metadata": {"name": "settings"}, "data": {"colour": "red", "size": "9"}});
        let secret = json!({"metadata": {"name": "keys"}, "data": {"token": "czNjcmV0"}});
        Sample {
            pod: serde_json::from_value(value).unwrap(),
            resources,
            config_maps: BTreeMap::from([("settings".into(), serde_json::from_value(map).unwrap())]),
            secrets: BTreeMap::from([("keys".into(), serde_json::from_value(secret).unwrap())]),
        }
    }

    #[test]
    fn labels_are_lines_and_a_container_without_a_limit_has_the_nodes() {
        let sample = pod();
        let facts = sample.facts();
        assert_eq!(facts.field("metadata.labels").unwrap(), "app=\"web\"\ntier=\"front\"");
        assert_eq!(facts.field("spec.nodeName").unwrap(), "node1");
        let ask = |resource: &str, divisor: &str| {
            let wanted = json!({"resource": resource, "divisor": divisor});
            facts.resource(&serde_json::from_value(wanted).unwrap(), "app")
        };
        assert_eq!(ask("limits.memory", "1Mi").unwrap(), "128");
        assert_eq!(ask("requests.cpu", "1m").unwrap(), "500");
        assert_eq!(ask("limits.cpu", "0").unwrap(), "1");
        assert!(ask("limits.gpu", "1").is_err());
    }
}
