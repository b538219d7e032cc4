//! A pod as far as its cgroups go: containers with their requests and limits, each amount with the field it came from.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as api;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;

use super::Problem;
use super::decode::{self, Typed};
use super::manifest::Found;
use super::quantity::Quantity;

/// A pod priority from which on a pod is critical (`scheduling.SystemCriticalPriority`).
const SYSTEM_CRITICAL: i32 = 2_000_000_000;

/// Amounts by resource name: `cpu`, `memory`, `hugepages-2Mi`, …
pub type ResourceList = BTreeMap<String, Amount>;

/// One amount of a resource, and where it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Amount {
    /// The amount; after defaulting, rounded as the API server stores it.
    pub quantity: Quantity,
    /// The Pod field, such as `spec.containers[0].resources.limits.cpu`.
    pub field: String,
    /// What the manifest says, such as `500m`.
    pub written: String,
    /// What happened to it on the way, such as `defaulted from limits.cpu`.
    pub note: Option<String>,
}

impl Amount {
    /// The amount with its origin: `spec.containers[0].resources.limits.cpu = 500m`.
    pub fn origin(&self) -> String {
        let note = self.note.as_ref().map(|note| format!(" ({note})")).unwrap_or_default();
        format!("{} = {}{note}", self.field, self.written)
    }
}

/// Requests and limits of one container, or of the pod.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Resources {
    /// What the scheduler sets aside.
    pub requests: ResourceList,
    /// What may be used at most.
    pub limits: ResourceList,
}

/// What part a container has in the pod's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Runs to its end before the app containers start.
    Init,
    /// An init container with `restartPolicy: Always`: it keeps running.
    Sidecar,
    /// One of `spec.containers`.
    App,
}

impl Kind {
    /// The word for it: `init`, `sidecar`, `app`.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Init => "init",
            Kind::Sidecar => "sidecar",
            Kind::App => "app",
        }
    }
}

/// A container as far as its cgroup goes.
#[derive(Debug, Clone, PartialEq)]
pub struct Container {
    /// Its name, unique in the pod.
    pub name: String,
    /// Its image, trimmed; empty where there is none.
    pub image: String,
    /// Its part in the pod.
    pub kind: Kind,
    /// The container's field path: `spec.containers[0]`.
    pub field: String,
    /// Its own `restartPolicy`.
    pub restart_policy: Option<String>,
    /// Its requests and limits.
    pub resources: Resources,
}

/// A pod as far as its cgroups go.
#[derive(Debug, Clone, PartialEq)]
pub struct Pod {
    /// What stands before `spec` and `metadata` in field paths: empty, or `spec.template.`.
    pub prefix: String,
    /// `metadata.name`, or what stands in for it.
    pub name: String,
    /// `metadata.namespace`, or `default`.
    pub namespace: String,
    /// `metadata.uid`, or what stands in for it.
    pub uid: String,
    /// `spec.initContainers`, in order: plain ones and sidecars.
    pub init_containers: Vec<Container>,
    /// `spec.containers`.
    pub containers: Vec<Container>,
    /// `spec.resources`: pod-level requests and limits; `Some` even if empty.
    pub resources: Option<Resources>,
    /// `spec.overhead`.
    pub overhead: ResourceList,
    /// `spec.restartPolicy`.
    pub restart_policy: Option<String>,
    /// `spec.priorityClassName`.
    pub priority_class: Option<String>,
    /// Static, mirror, or of priority 2000000000 and above (kubelet's `IsCriticalPod`).
    pub critical: bool,
    /// `status.qosClass`, which a kubelet believes rather than computing it.
    pub stored_class: Option<String>,
    /// Ids of containers by name, without the runtime's prefix (`status.containerStatuses` and `initContainerStatuses`).
    pub container_ids: BTreeMap<String, String>,
    /// What a reader must know: stand-ins, unknown fields, fields that are not looked at.
    pub warnings: Vec<String>,
}

impl Pod {
    /// Types the pod that was found in a manifest. Defaulting and validation come after.
    ///
    /// The errors are wrong types and texts that are no quantities.
    pub fn decode(found: &Found) -> Result<Pod, Vec<Problem>> {
        let prefixed = |problem: Problem| Problem { field: format!("{}{}", found.prefix, problem.field), ..problem };
        let typed: Typed<api::Pod> = decode::typed(found.pod.clone()).map_err(|problem| vec![prefixed(problem)])?;
        let mut reader = Reader { problems: Vec::new() };
        let pod = read(&typed.object, found, &mut reader);
        if !reader.problems.is_empty() {
            return Err(reader.problems);
        }
        let mut pod = pod;
        pod.warnings.splice(
            0..0,
            typed.unknown.iter().map(|field| {
                format!("unknown field {}{field}: Kubernetes 1.36 has no such field, and ignores it", found.prefix)
            }),
        );
        Ok(pod)
    }

    /// Forgets `spec.resources`, as a cluster without the feature gate PodLevelResources does.
    pub fn drop_pod_level(&mut self) {
        if self.resources.take().is_some() {
            let field = self.spec_field("resources");
            self.warnings.push(format!("{field} is dropped: the feature gate PodLevelResources is off"));
        }
    }

    /// The path of a field below `spec`.
    pub fn spec_field(&self, rest: &str) -> String {
        format!("{}spec.{rest}", self.prefix)
    }

    /// Init containers in order, then app containers.
    pub fn all_containers(&self) -> impl Iterator<Item = &Container> {
        self.init_containers.iter().chain(&self.containers)
    }

    /// Whether pod-level requests or limits name a resource that pods may have (`IsPodLevelResourcesSet`).
    pub fn has_pod_level(&self) -> bool {
        self.has_pod_level_requests() || self.pod_level_list(|resources| &resources.limits)
    }

    /// Whether pod-level requests name a resource that pods may have (`IsPodLevelRequestsSet`).
    pub fn has_pod_level_requests(&self) -> bool {
        self.pod_level_list(|resources| &resources.requests)
    }

    fn pod_level_list(&self, list: impl Fn(&Resources) -> &ResourceList) -> bool {
        self.resources.as_ref().is_some_and(|resources| list(resources).keys().any(|name| is_pod_level_resource(name)))
    }

    /// The pod-level limit of `resource`, where there is one above zero.
    pub fn positive_pod_limit(&self, resource: &str) -> Option<&Amount> {
        let limits = &self.resources.as_ref()?.limits;
        limits.get(resource).filter(|amount| amount.quantity.is_positive())
    }

    /// Whether kubelet protects the pod like itself: critical, and of class `system-node-critical`.
    pub fn is_node_critical(&self) -> bool {
        self.critical && self.priority_class.as_deref() == Some("system-node-critical")
    }
}

/// Whether a resource may stand in `spec.resources`.
pub fn is_pod_level_resource(name: &str) -> bool {
    matches!(name, "cpu" | "memory") || name.starts_with("hugepages-")
}

struct Reader {
    problems: Vec<Problem>,
}

impl Reader {
    fn list(&mut self, list: Option<&BTreeMap<String, ApiQuantity>>, field: &str) -> ResourceList {
        let mut amounts = ResourceList::new();
        for (name, ApiQuantity(written)) in list.into_iter().flatten() {
            match written.parse::<Quantity>() {
                Ok(quantity) => {
                    let field = format!("{field}.{name}");
                    amounts.insert(name.clone(), Amount { quantity, field, written: written.clone(), note: None });
                }
                Err(error) => {
                    self.problems.push(Problem::new(format!("{field}[{name}]"), format!("Invalid value: {error}")))
                }
            }
        }
        amounts
    }

    fn resources(&mut self, from: Option<&api::ResourceRequirements>, field: &str) -> Resources {
        Resources {
            requests: self.list(from.and_then(|r| r.requests.as_ref()), &format!("{field}.requests")),
            limits: self.list(from.and_then(|r| r.limits.as_ref()), &format!("{field}.limits")),
        }
    }

    fn container(&mut self, from: &api::Container, init: bool, field: String) -> Container {
        let always = from.restart_policy.as_deref() == Some("Always");
        Container {
            name: from.name.clone(),
            image: from.image.as_deref().unwrap_or_default().trim().to_string(),
            kind: match (init, always) {
                (true, true) => Kind::Sidecar,
                (true, false) => Kind::Init,
                (false, _) => Kind::App,
            },
            restart_policy: from.restart_policy.clone(),
            resources: self.resources(from.resources.as_ref(), &format!("{field}.resources")),
            field,
        }
    }
}

fn read(object: &api::Pod, found: &Found, reader: &mut Reader) -> Pod {
    let spec = object.spec.clone().unwrap_or_default();
    let at = |rest: &str| format!("{}spec.{rest}", found.prefix);
    let mut many = |list: &[api::Container], init: bool, name: &str| -> Vec<Container> {
        let numbered = list.iter().enumerate();
        numbered.map(|(i, container)| reader.container(container, init, at(&format!("{name}[{i}]")))).collect()
    };
    let init_containers = many(spec.init_containers.as_deref().unwrap_or_default(), true, "initContainers");
    let containers = many(&spec.containers, false, "containers");
    let resources = spec.resources.as_ref().map(|resources| reader.resources(Some(resources), &at("resources")));
    let overhead = reader.list(spec.overhead.as_ref(), &at("overhead"));
    let mut pod = Pod {
        prefix: found.prefix.clone(),
        name: String::new(),
        namespace: object.metadata.namespace.clone().unwrap_or_else(|| "default".into()),
        uid: String::new(),
        init_containers,
        containers,
        resources,
        overhead,
        restart_policy: spec.restart_policy.clone(),
        priority_class: spec.priority_class_name.clone(),
        critical: is_critical(object, &spec),
        stored_class: object.status.as_ref().and_then(|status| status.qos_class.clone()),
        container_ids: container_ids(object),
        warnings: Vec::new(),
    };
    name(&mut pod, object, found);
    name_what_is_not_looked_at(&mut pod, &spec);
    pod
}

fn container_ids(object: &api::Pod) -> BTreeMap<String, String> {
    let Some(status) = &object.status else { return BTreeMap::new() };
    let lists = [&status.init_container_statuses, &status.container_statuses];
    let all = lists.into_iter().flatten().flatten();
    let id = |one: &api::ContainerStatus| Some(one.container_id.as_ref()?.rsplit_once("://")?.1.to_string());
    all.filter_map(|one| Some((one.name.clone(), id(one)?))).collect()
}

fn is_critical(object: &api::Pod, spec: &api::PodSpec) -> bool {
    let annotation = |key: &str| object.metadata.annotations.as_ref().and_then(|all| all.get(key));
    let is_static = annotation("kubernetes.io/config.source").is_some_and(|source| source != "api");
    let is_mirror = annotation("kubernetes.io/config.mirror").is_some();
    // Admission resolves the two built-in classes to 2000001000 and 2000000000.
    let built_in =
        matches!(spec.priority_class_name.as_deref(), Some("system-node-critical" | "system-cluster-critical"));
    is_static || is_mirror || spec.priority.map_or(built_in, |priority| priority >= SYSTEM_CRITICAL)
}

/// Gives the pod its name and uid, or the stand-ins for them.
fn name(pod: &mut Pod, object: &api::Pod, found: &Found) {
    let metadata = &object.metadata;
    match (&found.owner, &metadata.name, &metadata.generate_name) {
        (Some((kind, name)), _, _) => {
            pod.name = name.clone();
            let place = found.prefix.trim_end_matches('.');
            pod.warnings
                .push(format!("read the pod template of {kind} {name} ({place}): its controller names the pods"));
        }
        (None, Some(name), _) if !name.is_empty() => pod.name = name.clone(),
        (None, _, Some(start)) if !start.is_empty() => {
            pod.name = format!("{start}xxxxx");
            pod.warnings.push(format!("metadata.name is made by the API server: {} stands in for it", pod.name));
        }
        _ => {}
    }
    match metadata.uid.as_deref().filter(|uid| !uid.is_empty()) {
        Some(uid) => pod.uid = uid.to_string(),
        None => {
            pod.uid = pod.name.clone();
            pod.warnings.push(format!(
                "metadata.uid is made by the API server: the name {} stands in for it in cgroup names",
                pod.name
            ));
        }
    }
}

fn name_what_is_not_looked_at(pod: &mut Pod, spec: &api::PodSpec) {
    let mut note = |field: String, why: &str| pod.warnings.push(format!("{field} is not looked at: {why}"));
    let at = |rest: &str| format!("{}spec.{rest}", pod.prefix);
    if spec.ephemeral_containers.as_ref().is_some_and(|list| !list.is_empty()) {
        note(at("ephemeralContainers"), "they have no resources and do not count for the QoS class");
    }
    if spec.resource_claims.as_ref().is_some_and(|list| !list.is_empty()) {
        note(at("resourceClaims"), "what a claim adds is decided by its driver");
    }
    if spec.runtime_class_name.is_some() && spec.overhead.is_none() {
        note(
            at("runtimeClassName"),
            "a RuntimeClass may set spec.overhead at admission; write it into the Pod to see it",
        );
    }
    let claims = |container: &api::Container| container.resources.as_ref().is_some_and(|r| r.claims.is_some());
    let init = spec.init_containers.iter().flatten().enumerate().map(|(i, c)| (format!("initContainers[{i}]"), c));
    let apps = spec.containers.iter().enumerate().map(|(i, c)| (format!("containers[{i}]"), c));
    for (place, _) in init.chain(apps).filter(|(_, container)| claims(container)) {
        note(at(&format!("{place}.resources.claims")), "what a claim adds is decided by its driver");
    }
}
