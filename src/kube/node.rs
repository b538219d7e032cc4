//! The node as far as cgroups go: what it has, and what of it pods may use.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as api;

use super::Problem;
use super::cpuset::CpuSet;
use super::decode;
use super::effective::Total;
use super::kubelet_config::{KubeletConfig, Threshold};
use super::manifest;
use super::quantity::Quantity;

/// Facts about a node: of the machine itself, or from a `v1` Node.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Whose facts these are: `this machine`, or `Node worker-1`.
    pub source: String,
    /// `status.capacity`: `cpu` in CPUs, `memory` in bytes (MemTotal), `pid` (tasks), `hugepages-*`.
    pub capacity: BTreeMap<String, Quantity>,
    /// `status.allocatable`, where a Node says it.
    pub allocatable: Option<BTreeMap<String, Quantity>>,
    /// Swap in bytes (`status.nodeInfo.swap.capacity`).
    pub swap: i64,
    /// The CPUs by number; of a Node, 0 and up.
    pub cpus: CpuSet,
}

impl Node {
    /// A node of `cpus` CPUs and `memory` bytes.
    pub fn new(source: &str, cpus: i64, memory: i64) -> Self {
        let capacity = [("cpu", Quantity::units(cpus)), ("memory", Quantity::bytes(memory))];
        Node {
            source: source.into(),
            capacity: capacity.into_iter().map(|(name, quantity)| (name.to_string(), quantity)).collect(),
            allocatable: None,
            swap: 0,
            cpus: CpuSet::first(u32::try_from(cpus).unwrap_or(u32::MAX)),
        }
    }

    /// Reads a `v1` Node, YAML or JSON.
    ///
    /// The errors are wrong types, and a capacity without cpu or memory above zero.
    pub fn decode(text: &str) -> Result<Node, Vec<Problem>> {
        let value = manifest::single(text, "Node", "v1").map_err(|problem| vec![problem])?;
        let node: api::Node = decode::typed(value).map_err(|problem| vec![problem])?.object;
        let status = node.status.unwrap_or_default();
        let mut problems = Vec::new();
        let mut read = |list: &str, from: &BTreeMap<String, _>| -> BTreeMap<String, Quantity> {
            let mut amounts = BTreeMap::new();
            for (name, text) in from {
                let k8s_openapi::apimachinery::pkg::api::resource::Quantity(text) = text;
                match text.parse::<Quantity>() {
                    Ok(quantity) => drop(amounts.insert(name.clone(), quantity.rounded_to_milli())),
                    Err(error) => {
                        problems
                            .push(Problem::new(format!("status.{list}[{name}]"), format!("Invalid value: {error}")));
                    }
                }
            }
            amounts
        };
        let capacity = read("capacity", &status.capacity.unwrap_or_default());
        let allocatable = status.allocatable.as_ref().map(|list| read("allocatable", list));
        for name in ["cpu", "memory"] {
            let field = format!("status.capacity[{name}]");
            let is_named = problems.iter().any(|problem| problem.field == field);
            if !is_named && !capacity.get(name).is_some_and(|quantity| quantity.is_positive()) {
                problems.push(Problem::new(field, format!("Required value: say how much {name} the node has")));
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let swap = status.node_info.and_then(|info| info.swap).and_then(|swap| swap.capacity).unwrap_or(0);
        let name = node.metadata.name.unwrap_or_default();
        let cpus = capacity.get("cpu").map_or(0, |quantity| u32::try_from(quantity.value()).unwrap_or(u32::MAX));
        let source = format!("Node {name}").trim_end().to_string();
        Ok(Node { source, capacity, allocatable, swap, cpus: CpuSet::first(cpus) })
    }

    /// The node's memory in bytes (MemTotal), at least 1.
    pub fn memory(&self) -> i128 {
        self.capacity.get("memory").map_or(1, |quantity| quantity.value().max(1))
    }

    /// What all pods together may use of `resource`: the limit of `kubepods` (`getNodeAllocatableAbsolute`).
    ///
    /// Unlike `status.allocatable` it still holds the hard eviction threshold.
    pub fn for_pods(&self, resource: &str, config: &KubeletConfig) -> Option<Total> {
        let capacity = *self.capacity.get(resource)?;
        let field = format!("{}, capacity.{resource} = {capacity}", self.source);
        if config.given {
            return Some(self.less_reserved(resource, capacity, field, config));
        }
        let Some(allocatable) = self.allocatable.as_ref().and_then(|list| list.get(resource)).copied() else {
            return Some(Total { quantity: capacity, how: format!("{field}, nothing reserved") });
        };
        let how = format!("{}, allocatable.{resource} = {allocatable}", self.source);
        if resource != "memory" {
            return Some(Total { quantity: allocatable, how });
        }
        let kept = kept_for_eviction(config, capacity);
        let whole = allocatable.plus(kept);
        if whole > capacity {
            return Some(Total { quantity: capacity, how: field });
        }
        Some(Total { quantity: whole, how: format!("{how} + {kept} that hard eviction keeps => {whole}") })
    }

    /// What of the configuration does not go with this node, in sentences without a full stop.
    pub fn objections(&self, config: &KubeletConfig) -> Vec<String> {
        let mut found = Vec::new();
        for (resource, capacity) in &self.capacity {
            let mut taken = config.reserved(resource);
            if resource == "memory" && config.given {
                taken = taken.plus(kept_for_eviction(config, *capacity));
            }
            if taken > *capacity {
                found.push(format!(
                    "the kubelet would not start: it shall keep {taken} of {resource} from pods (systemReserved, kubeReserved, \
                     evictionHard), and {} has {capacity}",
                    self.source
                ));
            }
        }
        if let Some(reserved) = config.reserved_cpus.as_ref().filter(|reserved| !reserved.0.is_subset(&self.cpus.0)) {
            let cpus = &self.cpus;
            found.push(format!(
                "the kubelet would not start: reservedSystemCPUs {reserved} are not all of the node's CPUs {cpus}"
            ));
        }
        found.extend(self.disagreement(config));
        found
    }

    /// Whether the Node's allocatable memory is what the configuration would make it.
    fn disagreement(&self, config: &KubeletConfig) -> Option<String> {
        let said = *self.allocatable.as_ref()?.get("memory")?;
        let capacity = *self.capacity.get("memory")?;
        let kept = config.reserved("memory").plus(kept_for_eviction(config, capacity));
        let expected = capacity.minus(kept);
        (config.given && said != expected && !expected.is_negative()).then(|| {
            format!(
                "{} says allocatable.memory = {said}, but capacity {capacity} less what the KubeletConfiguration keeps is \
                 {expected}: the two are not of one node, or not of one time",
                self.source
            )
        })
    }

    fn less_reserved(&self, resource: &str, capacity: Quantity, field: String, config: &KubeletConfig) -> Total {
        if !config.enforces_pods {
            return Total { quantity: capacity, how: format!("{field}; enforceNodeAllocatable is without pods") };
        }
        let mut total = Total { quantity: capacity, how: field };
        for (name, reserved) in [("systemReserved", &config.system_reserved), ("kubeReserved", &config.kube_reserved)] {
            if let Some(amount) = reserved.get(resource) {
                total.quantity = total.quantity.minus(*amount);
                total.how.push_str(&format!(" - {name} {amount}"));
            }
        }
        if total.quantity.is_negative() {
            total.quantity = Quantity::default();
        }
        if total.quantity != capacity {
            total.how.push_str(&format!(" => {}", total.quantity));
        }
        total
    }
}

/// What `evictionHard` keeps of `capacity` bytes of memory.
fn kept_for_eviction(config: &KubeletConfig, capacity: Quantity) -> Quantity {
    match config.eviction_memory() {
        Threshold::Amount(amount) => amount,
        // In floating point and with this rounding in kubelet as well (parsePercentage, GetThresholdQuantity).
        Threshold::Percent(percent) => Quantity::bytes((capacity.value() as f64 * f64::from(percent / 100.0)) as i64),
        Threshold::None => Quantity::default(),
    }
}
