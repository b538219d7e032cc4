//! The little language of the pod tables, see `pods/*.txt`: a title, lines that make a pod and its setting, and after
//! `=` what comes of them.
//!
//! ```text
//! NAME [init|sidecar] [requests K=V…] [limits K=V…] [restart=POLICY] [image=IMAGE]   a container
//! pod [requests K=V…] [limits K=V…]      spec.resources          overhead K=V…
//! spec|status|kubelet YAML               more fields, as a flow mapping without its braces
//! name|uid|annotation|driver|cri|formula VALUE      node|allocatable K=V…      show LEVEL…
//! = CLASS      = LEVEL FILE=VALUE…      = path CONTAINER PATH      = ! FIELD | MESSAGE
//! ```
//!
//! A space in a value is written `/`. `usual` stands for `memory.swap.max=0 memory.oom.group=1`.

use std::fmt::Write;

use glassbox::kube::cgroup_path::{Cri, Driver};
use glassbox::kube::cpu::Formula;
use glassbox::kube::kubelet_config::KubeletConfig;
use glassbox::kube::levels::{Ids, Level, Rank, Setting};
use glassbox::kube::node::Node;
use glassbox::kube::place;

/// One case of a table.
#[derive(Debug, Default)]
pub struct Case {
    /// What it is about.
    pub title: String,
    /// What must come of it.
    pub expected: Vec<String>,
    /// The pod's manifest.
    pub manifest: String,
    node: String,
    kubelet: String,
    driver: String,
    cri: String,
    formula: String,
    show: Vec<String>,
}

/// The cases of a table, which are parted by empty lines.
pub fn read(table: &str) -> Vec<Case> {
    table.split("\n\n").filter(|block| !block.trim_start().starts_with('#')).map(read_one).collect()
}

fn read_one(block: &str) -> Case {
    let mut lines = block.trim_matches('\n').lines();
    let mut case = Case { title: lines.next().expect("a case has a title").to_string(), ..Case::default() };
    let (mut apps, mut inits) = (Vec::new(), Vec::new());
    let (mut name, mut uid) = ("p".to_string(), "u".to_string());
    let (mut metadata, mut spec, mut status) = (String::new(), String::new(), String::new());
    let (mut capacity, mut allocatable) = ("cpu: 4, memory: 8Gi".to_string(), String::new());
    case.kubelet = "apiVersion: kubelet.config.k8s.io/v1beta1, kind: KubeletConfiguration".to_string();
    let mut given = false;
    for line in lines {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "=" => case.expected.push(rest.to_string()),
            "pod" => write!(spec, ", resources: {}", resources(rest)).unwrap(),
            "overhead" => write!(spec, ", overhead: {{{}}}, runtimeClassName: r", list(rest)).unwrap(),
            "spec" => write!(spec, ", {rest}").unwrap(),
            "status" => status = rest.to_string(),
            "kubelet" => {
                write!(case.kubelet, ", {rest}").unwrap();
                given = true;
            }
            "name" => name = rest.to_string(),
            "uid" => uid = rest.to_string(),
            "annotation" => write!(metadata, ", annotations: {{{}}}", list(rest)).unwrap(),
            "driver" => case.driver = rest.to_string(),
            "cri" => case.cri = rest.to_string(),
            "formula" => case.formula = rest.to_string(),
            "node" => write!(capacity, ", {}", list(rest)).unwrap(),
            "allocatable" => allocatable = format!(", allocatable: {{{}}}", list(rest)),
            "show" => case.show = rest.split(' ').map(str::to_string).collect(),
            _ => container(word, rest, &mut apps, &mut inits),
        }
    }
    if !given {
        case.kubelet.clear();
    }
    if !apps.is_empty() {
        write!(spec, ", containers: [{}]", apps.join(", ")).unwrap();
    }
    if !inits.is_empty() {
        write!(spec, ", initContainers: [{}]", inits.join(", ")).unwrap();
    }
    case.manifest = format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, uid: {uid}, namespace: kube-system{metadata}}}, \
         spec: {{{}}}, status: {{{status}}}}}",
        spec.trim_start_matches(", ")
    );
    case.node = format!(
        "{{apiVersion: v1, kind: Node, metadata: {{name: n1}}, status: {{capacity: {{{capacity}}}{allocatable}, \
         nodeInfo: {{swap: {{capacity: 4294967296}}}}}}}}"
    );
    case
}

/// `K=V K=V` as the inside of a YAML flow mapping.
fn list(text: &str) -> String {
    let mut pairs: Vec<String> = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        match word.split_once('=') {
            Some((key, value)) => pairs.push(format!("{key}: {value}")),
            // A quoted value that holds a space was torn apart.
            None => pairs.last_mut().expect("a list starts with K=V").push_str(&format!(" {word}")),
        }
    }
    pairs.join(", ")
}

/// `requests K=V… limits K=V…` as a YAML flow mapping.
fn resources(text: &str) -> String {
    let mut lists: Vec<(String, String)> = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        match word {
            "requests" | "limits" => lists.push((word.to_string(), String::new())),
            _ => write!(lists.last_mut().expect("requests or limits comes first").1, "{word} ").unwrap(),
        }
    }
    let written: Vec<String> = lists.iter().map(|(name, words)| format!("{name}: {{{}}}", list(words))).collect();
    format!("{{{}}}", written.join(", "))
}

fn container(name: &str, rest: &str, apps: &mut Vec<String>, inits: &mut Vec<String>) {
    let (mut image, mut restart, mut words, mut init) = ("i", "", Vec::new(), false);
    for word in rest.split(' ') {
        match word {
            "init" => init = true,
            "sidecar" => (init, restart) = (true, "Always"),
            _ if word.starts_with("restart=") => restart = &word["restart=".len()..],
            _ if word.starts_with("image=") => image = &word["image=".len()..],
            _ => words.push(word),
        }
    }
    let mut yaml = format!("{{name: {name}, image: \"{image}\", resources: {}", resources(&words.join(" ")));
    if !restart.is_empty() {
        write!(yaml, ", restartPolicy: {restart}").unwrap();
    }
    yaml.push('}');
    if init { inits.push(yaml) } else { apps.push(yaml) }
}

impl Case {
    /// What comes of it, in the table's words.
    pub fn outcome(&self) -> Vec<String> {
        let config = match self.kubelet.as_str() {
            "" => KubeletConfig::default(),
            text => KubeletConfig::decode(&format!("{{{text}}}")).unwrap_or_else(|problems| panic!("{problems:?}")),
        };
        let setting = Setting {
            node: Node::decode(&self.node).unwrap_or_else(|problems| panic!("{problems:?}")),
            driver: if self.driver == "systemd" { Driver::Systemd } else { Driver::Cgroupfs },
            cri: if self.cri == "crio" { Cri::Crio } else { Cri::Containerd },
            formula: if self.formula == "old" { Formula::Old } else { Formula::New },
            config,
        };
        let placed = match place(&self.manifest, None, &setting, Ids::Unknown) {
            Ok(placed) => placed,
            Err(problems) => {
                let line = |problem: &glassbox::kube::Problem| format!("! {} | {}", problem.field, problem.message);
                return problems.iter().map(line).collect();
            }
        };
        let mut lines = vec![placed.verdict.class.name().to_string()];
        for level in &placed.levels {
            let label = match level.rank {
                Rank::Pod => "pod",
                Rank::Container => level.name.as_str(),
                Rank::Sandbox => continue,
                rank if self.show.iter().any(|shown| shown == rank.word()) => rank.word(),
                _ => continue,
            };
            lines.push(format!("{label} {}", files(level)));
            if self.show.iter().any(|shown| shown == "path") {
                lines.push(format!("path {label} {}", level.path));
            }
        }
        lines
    }
}

fn files(level: &Level) -> String {
    let mut words: Vec<String> =
        level.files.iter().map(|write| format!("{}={}", write.file, write.value.replace(' ', "/"))).collect();
    let usual = ["memory.swap.max=0", "memory.oom.group=1"];
    if usual.iter().all(|word| words.iter().any(|has| has == word)) {
        words.retain(|word| !usual.contains(&word.as_str()));
        words.push("usual".into());
    }
    words.extend(level.oom.as_ref().map(|score| format!("oom={}", score.value)));
    words.join(" ")
}
