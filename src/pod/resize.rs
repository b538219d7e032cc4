//! Other requests and limits for a pod that runs: what may be changed (`ValidatePodResize`), and which containers are started anew for
//! it (`resizePolicy`). Pure.

use k8s_openapi::api::core::v1 as api;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::kube::effective::{self, List};
use crate::kube::levels::Setting;
use crate::kube::{Placed, Problem};

/// New amounts by resource, as `cpu=200m,memory=64Mi` names them.
pub type Amounts = Vec<(String, String)>;

/// Reads a list of amounts. Only `cpu` and `memory` can be resized.
pub fn amounts(text: &str) -> Result<Amounts, String> {
    let one = |part: &str| match part.split_once('=') {
        Some((name @ ("cpu" | "memory"), amount)) if !amount.is_empty() => Ok((name.to_string(), amount.to_string())),
        Some((name, _)) => Err(format!("{name:?} cannot be resized: cpu and memory can")),
        None => Err(format!("{part:?}: write it as cpu=200m,memory=64Mi")),
    };
    text.split(',').map(one).collect()
}

/// Writes new amounts into a container of the pod.
pub fn amend(container: &mut api::Container, requests: &Amounts, limits: &Amounts) {
    let resources = container.resources.get_or_insert_default();
    // The API server has stored a request for each limit that came without one.
    for (name, limit) in resources.limits.clone().unwrap_or_default() {
        resources.requests.get_or_insert_default().entry(name).or_insert(limit);
    }
    for (list, wanted) in [(&mut resources.requests, requests), (&mut resources.limits, limits)] {
        for (name, amount) in wanted {
            list.get_or_insert_default().insert(name.clone(), Quantity(amount.clone()));
        }
    }
}

/// What is wrong with making `old` into `new`; `allocatable` is what the node has for pods.
pub fn problems(old: &Placed, new: &Placed, setting: &Setting) -> Vec<Problem> {
    let mut found = Vec::new();
    let (before, after) = (old.verdict.class.name(), new.verdict.class.name());
    if before != after {
        let message = format!("Pod QOS Class may not change as a result of resizing: {before} would be {after}");
        found.push(Problem::new("spec", message));
    }
    let total = effective::of_pod(&new.pod, List::Requests);
    for name in ["cpu", "memory"] {
        let (Some(wanted), Some(has)) = (total.get(name), setting.node.for_pods(name, &setting.config)) else {
            continue;
        };
        if wanted.quantity > has.quantity {
            let (wanted, has) = (wanted.quantity, has.quantity);
            let message = format!("Node didn't have enough capacity: {name}, requested: {wanted}, capacity: {has}");
            found.push(Problem::new("spec", message));
        }
    }
    found
}

/// Whether a container is started anew when its resources become `new`: where its resizePolicy says so of one that changes.
pub fn wants_restart(container: &api::Container, new: Option<&api::ResourceRequirements>) -> bool {
    let amount = |resources: Option<&api::ResourceRequirements>, name: &str| {
        let resources = resources?;
        let of = |list: &Option<std::collections::BTreeMap<String, Quantity>>| list.as_ref()?.get(name).cloned();
        Some((of(&resources.requests), of(&resources.limits)))
    };
    let old = container.resources.as_ref();
    container
        .resize_policy
        .iter()
        .flatten()
        .filter(|policy| policy.restart_policy == "RestartContainer")
        .any(|policy| amount(old, &policy.resource_name) != amount(new, &policy.resource_name))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kube::cgroup_path::{Cri, Driver};
    use crate::kube::cpu::Formula;
    use crate::kube::kubelet_config::KubeletConfig;
    use crate::kube::levels::Ids;
    use crate::kube::node::Node;
    use crate::kube::place;

    fn container(value: serde_json::Value) -> api::Container {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn amounts_are_lists_of_cpu_and_memory() {
        let own = |name: &str, amount: &str| (name.to_string(), amount.to_string());
        assert_eq!(amounts("cpu=200m,memory=64Mi"), Ok(vec![own("cpu", "200m"), own("memory", "64Mi")]));
        assert!(amounts("ephemeral-storage=1Gi").unwrap_err().contains("cannot be resized"));
        assert!(amounts("cpu").unwrap_err().contains("write it as"));
        assert!(amounts("cpu=").is_err());
    }

    #[test]
    fn a_request_that_came_from_the_limit_stays_when_the_limit_changes() {
        let mut one = container(json!({"name": "a", "resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}));
        amend(&mut one, &vec![], &amounts("cpu=2").unwrap());
        let expected = json!({"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "1Gi"}});
        assert_eq!(serde_json::to_value(one.resources).unwrap(), expected);
    }

    fn placed(resources: &str) -> Placed {
        let pod = format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: a}}, spec: {{containers: [{{name: a, image: i, resources: {resources}}}]}}}}"
        );
        place(&pod, None, &setting(), Ids::Unknown).unwrap()
    }

    fn setting() -> Setting {
        let (driver, cri, formula) = (Driver::Cgroupfs, Cri::Containerd, Formula::New);
        Setting { node: Node::new("n", 2, 4 << 30), config: KubeletConfig::default(), driver, cri, formula }
    }

    #[test]
    fn the_class_stays_and_the_node_has_an_end() {
        let old = placed("{requests: {cpu: 1}, limits: {cpu: 2}}");
        let told = |resources: &str| -> Vec<String> {
            problems(&old, &placed(resources), &setting()).iter().map(ToString::to_string).collect()
        };
        assert_eq!(told("{requests: {cpu: 2}, limits: {cpu: 2}}"), [""; 0]);
        assert_eq!(
            told("{limits: {cpu: 1, memory: 1Gi}}"),
            ["spec: Pod QOS Class may not change as a result of resizing: Burstable would be Guaranteed"]
        );
        assert_eq!(
            told("{requests: {cpu: 3}, limits: {cpu: 4}}"),
            ["spec: Node didn't have enough capacity: cpu, requested: 3, capacity: 2"]
        );
    }

    #[test]
    fn a_container_restarts_where_its_policy_says_so_of_what_changes() {
        let one = container(json!({"name": "a", "resources": {"requests": {"cpu": "1", "memory": "1Gi"}},
            "resizePolicy": [{"resourceName": "memory", "restartPolicy": "RestartContainer"},
                {"resourceName": "cpu", "restartPolicy": "NotRequired"}]}));
        let new = |value| serde_json::from_value::<api::ResourceRequirements>(value).unwrap();
        assert!(wants_restart(&one, Some(&new(json!({"requests": {"cpu": "1", "memory": "2Gi"}})))));
        assert!(!wants_restart(&one, Some(&new(json!({"requests": {"cpu": "2", "memory": "1Gi"}})))));
    }
}
