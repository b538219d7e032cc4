//! Many manifests: whatever stands in one, nothing panics, and no field is dropped without a word.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use glassbox::kube::cgroup_path::{Cri, Driver};
use glassbox::kube::cpu::Formula;
use glassbox::kube::kubelet_config::KubeletConfig;
use glassbox::kube::levels::{Ids, Setting};
use glassbox::kube::manifest;
use glassbox::kube::node::Node;
use glassbox::kube::{Placed, Problem, place};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

const FRAGMENTS: &str = include_str!("fragments.txt");

/// Objects whose keys are the user's own, so that no key in them can be unknown.
const FREE: [&str; 12] = [
    "labels",
    "annotations",
    "nodeSelector",
    "matchLabels",
    "limits",
    "requests",
    "overhead",
    "volumeAttributes",
    "fieldsV1",
    "metadata.labels",
    "options",
    "",
];

fn setting() -> Setting {
    Setting {
        node: Node::new("n1", 64, 256 << 30),
        config: KubeletConfig::default(),
        driver: Driver::Systemd,
        cri: Cri::Containerd,
        formula: Formula::New,
    }
}

fn placed(manifest: &Value) -> Result<Placed, Vec<Problem>> {
    place(&manifest.to_string(), None, &setting(), Ids::Unknown)
}

/// The pieces by place: `metadata`, `spec` or `container`.
static PIECES: LazyLock<BTreeMap<&str, Vec<Map<String, Value>>>> = LazyLock::new(|| {
    let mut pieces: BTreeMap<&str, Vec<Map<String, Value>>> = BTreeMap::new();
    for line in FRAGMENTS.lines().filter(|line| !line.starts_with('#')) {
        let (place, yaml) = line.split_once(' ').expect("a line starts with its place");
        match manifest::documents(&format!("{{{yaml}}}")).expect(line).remove(0) {
            Value::Object(map) => pieces.entry(place).or_default().push(map),
            other => panic!("{line} is no mapping: {other}"),
        }
    }
    pieces
});

/// Numbers that look random and are the same every time (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % limit as u64) as usize
    }
}

/// The manifest of this number: some pieces for the pod, and some for each of one to three containers.
pub fn numbered(number: u64) -> Value {
    let mut dice = Dice(number);
    let mut pick = |into: &mut Map<String, Value>, place: &str, most: usize| {
        let pieces = &PIECES[place];
        // One piece is chosen by the number itself, so that each has its turn.
        into.extend(pieces[number as usize % pieces.len()].clone());
        for _ in 0..dice.below(most) {
            into.extend(pieces[dice.below(pieces.len())].clone());
        }
        dice.below(3)
    };
    let mut metadata = Map::from_iter([("name".to_string(), json!("p")), ("uid".to_string(), json!("u"))]);
    let mut spec = Map::new();
    let more = pick(&mut metadata, "metadata", 2);
    pick(&mut spec, "spec", 6);
    let mut containers = Vec::new();
    for name in ["main", "second", "third"].iter().take(more + 1) {
        let mut container = Map::from_iter([("name".to_string(), json!(name)), ("image".to_string(), json!("i"))]);
        pick(&mut container, "container", 6);
        containers.push(Value::Object(container));
    }
    spec.insert("containers".into(), Value::Array(containers));
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
}

/// The paths of all objects with keys of Kubernetes' own, as warnings write them, with their JSON pointers.
fn typed_objects(value: &Value, path: &str, pointer: &str, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(map) => {
            let last = path.rsplit('.').next().unwrap_or_default();
            if !FREE.contains(&last) || path.is_empty() {
                found.push((path.to_string(), pointer.to_string()));
                for (key, inner) in map {
                    let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    typed_objects(inner, &below, &format!("{pointer}/{key}"), found);
                }
            }
        }
        Value::Array(items) => {
            for (index, inner) in items.iter().enumerate() {
                typed_objects(inner, &format!("{path}[{index}]"), &format!("{pointer}/{index}"), found);
            }
        }
        _ => {}
    }
}

#[test]
fn two_hundred_manifests_are_understood_with_no_field_unknown() {
    for number in 0..200 {
        let manifest = numbered(number);
        match placed(&manifest) {
            Ok(placed) => {
                let unknown: Vec<_> = placed.warnings.iter().filter(|warning| warning.starts_with("unknown")).collect();
                assert!(unknown.is_empty(), "{unknown:?} in {manifest:#}");
                assert!(placed.levels.len() >= 4, "{manifest:#}");
            }
            // Pieces that do not go together: the API server refuses them as well.
            Err(problems) => {
                let about =
                    |problem: &Problem| problem.field.contains("resources") || problem.field.contains("overhead");
                assert!(problems.iter().all(about), "{problems:?} in {manifest:#}");
            }
        }
    }
}

#[test]
fn every_misspelt_field_is_named_with_its_path() {
    let mut tried = 0;
    for number in 0..200 {
        let manifest = numbered(number);
        if placed(&manifest).is_err() {
            continue;
        }
        let mut objects = Vec::new();
        typed_objects(&manifest, "", "", &mut objects);
        let mut dice = Dice(number ^ 0xabcd);
        for _ in 0..5 {
            let (path, pointer) = &objects[dice.below(objects.len())];
            let mut misspelt = manifest.clone();
            let object = misspelt.pointer_mut(pointer).and_then(Value::as_object_mut).expect("it was found there");
            object.insert("mispelt".into(), json!({"deep": [1, null]}));
            let field = if path.is_empty() { "mispelt".to_string() } else { format!("{path}.mispelt") };
            let warnings = placed(&misspelt).unwrap_or_else(|problems| panic!("{problems:?} for {field}")).warnings;
            let named = warnings.iter().filter(|warning| warning.contains(&format!("unknown field {field}:"))).count();
            assert_eq!(named, 1, "{field} in {warnings:?}");
            tried += 1;
        }
    }
    assert!(tried > 500, "only {tried} fields were tried");
}

#[test]
fn fields_that_bear_on_resources_and_are_not_computed_are_named() {
    let table = [
        ("resourceClaims: [{name: gpu, resourceClaimName: g}]", "spec.resourceClaims is not looked at"),
        ("ephemeralContainers: [{name: d, image: i}]", "spec.ephemeralContainers is not looked at"),
        ("runtimeClassName: kata", "spec.runtimeClassName is not looked at"),
        (
            "initContainers: [{name: x, image: i, resources: {claims: [{name: gpu}]}}]",
            "spec.initContainers[0].resources.claims is not looked at",
        ),
    ];
    for (field, words) in table {
        let pod = format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: p, uid: u}}, spec: {{{field}, containers: [{{name: c, image: i}}]}}}}"
        );
        let warnings = place(&pod, None, &setting(), Ids::Unknown).unwrap().warnings;
        assert!(warnings.iter().any(|warning| warning.starts_with(words)), "{field}: {warnings:?}");
    }
}

/// Any JSON, as deep as a person might write.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[-+.0-9a-zA-Z %]{0,8}".prop_map(Value::from),
        prop::sample::select(vec!["Always", "Guaranteed", "100m", "1Gi", "9E", "-1", "", "/", "_"])
            .prop_map(Value::from),
    ];
    let key = prop::sample::select(vec![
        "name",
        "image",
        "resources",
        "requests",
        "limits",
        "cpu",
        "memory",
        "hugepages-2Mi",
        "example.com/gpu",
        "containers",
        "initContainers",
        "restartPolicy",
        "overhead",
        "metadata",
        "uid",
        "priority",
        "annotations",
        "status",
        "qosClass",
        "x",
    ]);
    leaf.prop_recursive(5, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..5)
                .prop_map(|pairs| pairs.into_iter().map(|(key, value)| (key.to_string(), value)).collect::<Value>()),
        ]
    })
}

proptest! {
    #[test]
    fn no_json_makes_a_pod_panic(metadata in any_json(), spec in any_json(), status in any_json()) {
        let manifest = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status});
        let _ = placed(&manifest);
    }

    #[test]
    fn no_change_of_one_value_makes_a_pod_panic(number in 0u64..200, place in any::<prop::sample::Index>(), value in any_json()) {
        let mut manifest = numbered(number);
        let mut objects = Vec::new();
        typed_objects(&manifest, "", "", &mut objects);
        let (_, pointer) = &objects[place.index(objects.len())];
        *manifest.pointer_mut(pointer).expect("it was found there") = value;
        let _ = placed(&manifest);
    }

    #[test]
    fn no_amount_makes_a_pod_panic(
        cpu in "[0-9]{0,20}(m|k|E|e[0-9]{1,3})?", memory in "[0-9]{0,20}(m|Ki|Ei|P|e[0-9]{1,3})?", request in any::<bool>()
    ) {
        let list = if request { "requests" } else { "limits" };
        let resources = json!({list: {"cpu": cpu, "memory": memory}});
        let container = json!({"name": "c", "image": "i", "resources": resources});
        let spec = json!({"containers": [container], "resources": resources, "overhead": {"cpu": cpu, "memory": memory}});
        let _ = placed(&json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec}));
    }

    #[test]
    fn no_text_makes_the_readers_panic(text in any::<String>()) {
        let _ = place(&text, None, &setting(), Ids::Names);
        let _ = Node::decode(&text);
        let _ = KubeletConfig::decode(&text);
    }

    #[test]
    fn no_value_makes_a_kubelet_configuration_panic(
        field in prop::sample::select(vec![
            "cgroupDriver", "cgroupRoot", "cpuCFSQuotaPeriod", "cpuManagerPolicy", "reservedSystemCPUs", "podPidsLimit",
            "memorySwap", "memoryThrottlingFactor", "qosReserved", "systemReserved", "evictionHard", "featureGates",
        ]),
        value in any_json()
    ) {
        let config = json!({"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration", field: value});
        if let Ok(config) = KubeletConfig::decode(&config.to_string()) {
            let _ = place(&numbered(7).to_string(), None, &Setting { config, ..setting() }, Ids::Unknown);
        }
    }
}
