//! What the pod, the config and the kernel say of each file, side by side, and whether they agree.

use std::collections::BTreeSet;

use serde_json::Value;

use super::subject::{Config, PodLevel, Subject};
use crate::cgroup::{Cgroup, Write, live, resources};
use crate::error::Failure;
use crate::kube::cpu::{self, Formula};
use crate::kube::levels::Rank;
use crate::kube::oci::{self, Field};
use crate::spec::oci::LinuxResources;

/// The whole answer.
pub struct Answer {
    /// What was asked about.
    pub title: String,
    /// What it is, in a sentence or two without full stops.
    pub about: Vec<String>,
    /// Whether there was a cgroup to read from.
    pub looked: bool,
    /// One row a file.
    pub rows: Vec<Row>,
    /// What a reader must know besides.
    pub notes: Vec<String>,
}

/// One number.
pub struct Row {
    /// The file in the cgroup, or `oom_score_adj`, which is each process's.
    pub file: String,
    /// What the kernel shows; `None` where there is nothing to read.
    pub live: Option<String>,
    /// Who wants which value, and why; empty where nobody does.
    pub claims: Vec<Claim>,
    /// Whether all of this agrees.
    pub verdict: Verdict,
    /// What a reader should think of when it does not.
    pub advice: Option<String>,
}

/// Somebody's word on one number.
pub struct Claim {
    /// Whose: `pod default/web`, `container web`, `the kernel`.
    pub by: String,
    /// The value, as it is written.
    pub value: String,
    /// The field it comes from and the sum.
    pub because: String,
    /// The fields of config.json that carry it.
    pub fields: Vec<Field>,
}

/// Whether the sayings agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// All of them.
    Agrees,
    /// Some do not.
    Differs,
    /// The kernel holds more, and the pod is one of several that count.
    AtLeast,
    /// There are not two sayings to compare.
    Alone,
}

impl Verdict {
    /// The word for it, as in the JSON output.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Agrees => "agrees",
            Verdict::Differs => "differs",
            Verdict::AtLeast => "at least",
            Verdict::Alone => "alone",
        }
    }
}

/// Puts the sayings together.
pub fn answer(subject: &Subject) -> anyhow::Result<Answer> {
    let mut claims: Vec<(String, Claim)> = Vec::new();
    if let Some(pod) = &subject.pod {
        claims.extend(of_pod(pod));
    }
    if let Some(config) = &subject.config {
        claims.extend(of_config(config)?);
    }
    let mut files: Vec<String> = Vec::new();
    for (file, _) in &claims {
        if !files.contains(file) {
            files.push(file.clone());
        }
    }
    if let Some(file) = &subject.file {
        files = vec![file.clone()];
    }
    if let Some(field) = &subject.field {
        files.retain(|file| claims.iter().any(|(of, claim)| of == file && claim.is_of(field)));
        if files.is_empty() {
            return Err(no_such_field(subject, field));
        }
    }
    let shared = subject.pod.as_ref().is_some_and(|pod| matches!(pod.level().rank, Rank::Kubepods | Rank::Qos));
    let mut rows = Vec::new();
    for file in files {
        let live = live_value(subject.cgroup.as_ref(), &file);
        let mut own: Vec<Claim> = Vec::new();
        claims.retain_mut(|(of, claim)| match *of == file {
            true => {
                own.push(std::mem::replace(claim, Claim::nothing()));
                false
            }
            false => true,
        });
        if let (true, Some(default)) = (own.is_empty(), live::default_of(&file)) {
            let because = "nobody sets it: this is what a new cgroup has".to_string();
            own.push(Claim { by: "the kernel".into(), value: default.into(), because, fields: Vec::new() });
        }
        let verdict = judge(&file, live.as_deref(), &own, shared);
        let advice = advice(subject, &file, live.as_deref(), verdict);
        rows.push(Row { file, live, claims: own, verdict, advice });
    }
    let (title, looked) = (subject.path.display().to_string(), subject.cgroup.is_some());
    Ok(Answer { title, about: about(subject), looked, rows, notes: notes(subject) })
}

impl Claim {
    fn nothing() -> Claim {
        Claim { by: String::new(), value: String::new(), because: String::new(), fields: Vec::new() }
    }

    /// Whether `field`, or one above it, carries the value.
    fn is_of(&self, field: &str) -> bool {
        let below =
            |path: &str| path == field || path.strip_prefix(field).is_some_and(|rest| rest.starts_with(['.', '[']));
        self.fields.iter().any(|own| below(&own.path))
    }
}

fn of_pod(pod: &PodLevel) -> Vec<(String, Claim)> {
    let level = pod.level();
    let by = format!("pod {}/{}", pod.placed.pod.namespace, pod.placed.pod.name);
    let claim = |write: &Write, fields: Vec<Field>| {
        let claim = Claim { by: by.clone(), value: write.value.clone(), because: write.because.clone(), fields };
        (write.file.clone(), claim)
    };
    let mut claims: Vec<_> = level.files.iter().map(|write| claim(write, oci::fields(level, write))).collect();
    // A value that stands for "the kernel's own, whatever it is" claims nothing.
    let known = |write: &&Write| !matches!(write.value.as_str(), "?" | "empty");
    claims.extend(level.unwritten.iter().filter(known).map(|write| claim(write, Vec::new())));
    if let (Some(score), Some(field)) = (&level.oom, oci::oom_field(level)) {
        let (value, because) = (score.value.to_string(), score.because.clone());
        claims.push(("oom_score_adj".into(), Claim { by, value, because, fields: vec![field] }));
    }
    claims
}

fn of_config(config: &Config) -> anyhow::Result<Vec<(String, Claim)>> {
    let wrong = |error: String| Failure::new(format!("{}: linux.resources: {error}", config.of));
    let mut claims = Vec::new();
    if let Some(resources) = config.json.pointer("/linux/resources") {
        let typed: LinuxResources = serde_path_to_error::deserialize(resources)
            .map_err(|error| wrong(format!("{}: {}", error.path(), error.inner())))?;
        for write in resources::writes(&typed).map_err(|error| wrong(error.to_string()))? {
            let mut fields = vec![field(&config.json, &write.because)];
            if write.file == "cpu.max" {
                let both = ["linux.resources.cpu.quota", "linux.resources.cpu.period"];
                fields =
                    both.iter().map(|path| field(&config.json, path)).filter(|field| field.value != "null").collect();
            }
            let because = match (write.file.as_str(), typed.cpu().as_ref().and_then(|cpu| cpu.shares())) {
                ("cpu.weight", Some(shares)) => cpu::weight_because(shares, Formula::New),
                _ => String::new(),
            };
            let claim = Claim { by: config.of.clone(), value: write.value, because, fields };
            // A later write to the same file is the one that stays.
            claims.retain(|(file, _): &(String, Claim)| *file != write.file);
            claims.push((write.file, claim));
        }
    }
    let score = field(&config.json, "process.oomScoreAdj");
    if score.value != "null" {
        let claim =
            Claim { by: config.of.clone(), value: score.value.clone(), because: String::new(), fields: vec![score] };
        claims.push(("oom_score_adj".into(), claim));
    }
    Ok(claims)
}

/// The value of a field such as `linux.resources.hugepageLimits[0]`; file names in `unified` have dots of their own.
fn field(config: &Value, path: &str) -> Field {
    let value = match path.split_once("linux.resources.unified.") {
        Some((_, file)) => config.pointer("/linux/resources/unified").and_then(|unified| unified.get(file)),
        None => config.pointer(&format!("/{}", path.replace(['.', '['], "/").replace(']', ""))),
    };
    let value = match value {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => "null".to_string(),
    };
    Field { path: path.to_string(), value }
}

fn no_such_field(subject: &Subject, wanted: &str) -> anyhow::Error {
    let json = subject.config.as_ref().map(|config| &config.json);
    let there = json.map(|json| field(json, wanted)).filter(|field| field.value != "null");
    match there {
        Some(_) => Failure::new(format!("{wanted} becomes no value of a cgroup"))
            .hint("`glassbox explain BUNDLE` tells what every field of config.json does."),
        None => Failure::new(format!("config.json has no field {wanted}"))
            .hint("Name it as the runtime specification does, such as linux.resources.cpu.shares."),
    }
    .into()
}

fn live_value(cgroup: Option<&Cgroup>, file: &str) -> Option<String> {
    let cgroup = cgroup?;
    if file != "oom_score_adj" {
        return cgroup.read(file).ok();
    }
    let read = |pid: &i32| std::fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).ok();
    let scores: BTreeSet<String> =
        cgroup.processes().ok()?.iter().filter_map(read).map(|text| text.trim().to_string()).collect();
    Some(scores.into_iter().collect::<Vec<_>>().join(" ")).filter(|scores| !scores.is_empty())
}

fn judge(file: &str, live: Option<&str>, claims: &[Claim], shared: bool) -> Verdict {
    let Some(first) = claims.first() else { return Verdict::Alone };
    let Some(live) = live else {
        return match claims {
            [_] => Verdict::Alone,
            many if many.iter().all(|claim| live::holds(file, &claim.value, &first.value)) => Verdict::Agrees,
            _ => Verdict::Differs,
        };
    };
    if claims.iter().all(|claim| live::holds(file, &claim.value, live)) {
        return Verdict::Agrees;
    }
    // Other pods of the class add to what stands here.
    let more = |claim: &Claim| Some(live.parse::<u128>().ok()? > claim.value.parse::<u128>().ok()?);
    let adds_up = matches!(file, "cpu.weight" | "memory.min" | "memory.low");
    match shared && adds_up && claims.iter().all(|claim| more(claim) == Some(true)) {
        true => Verdict::AtLeast,
        false => Verdict::Differs,
    }
}

fn advice(subject: &Subject, file: &str, live: Option<&str>, verdict: Verdict) -> Option<String> {
    match verdict {
        Verdict::AtLeast => return Some("the kernel holds more: other pods of the node count too".into()),
        Verdict::Alone if live.is_some() => {
            return Some(format!("the kernel counts or tells here: no pod and no config decides {file}"));
        }
        Verdict::Differs => {}
        Verdict::Agrees | Verdict::Alone => return None,
    }
    let level = subject.pod.as_ref().map(PodLevel::level);
    if let Some(level) =
        level.filter(|level| file == "cpu.weight" && matches!(level.rank, Rank::Sandbox | Rank::Container))
    {
        let other = [Formula::Old, Formula::New]
            .into_iter()
            .find(|formula| live == Some(cpu::weight(level.shares, *formula).to_string().as_str()));
        match other {
            Some(Formula::Old) => {
                return Some("the old formula gives what the kernel holds: --runtime-formula old".into());
            }
            Some(Formula::New) => {
                return Some("the new formula gives what the kernel holds: --runtime-formula new".into());
            }
            None => {}
        }
    }
    live?;
    Some(match (&subject.pod, &subject.config) {
        (Some(_), _) => "changed since, or of another node, kubelet or driver: see --node and --kubelet-config".into(),
        (None, _) => "changed since the container was made, for example by `glassbox update`".into(),
    })
}

fn about(subject: &Subject) -> Vec<String> {
    let mut about = Vec::new();
    if let Some(config) = subject.config.as_ref().filter(|config| config.of.starts_with("container ")) {
        about.push(format!("the cgroup of {}", config.of));
    }
    if let Some(pod) = &subject.pod {
        let (level, placed) = (pod.level(), &pod.placed);
        let of = format!("pod {}/{}, which is {}", placed.pod.namespace, placed.pod.name, placed.verdict.class.name());
        about.push(match level.rank {
            Rank::Kubepods => format!("the directory of all pods, as {of}, has its part in it"),
            Rank::Qos => format!("the directory of a QoS class, as {of}, has its part in it"),
            Rank::Pod => of,
            Rank::Sandbox => format!("the sandbox of {of}"),
            Rank::Container if level.kind == "init" => format!("init container {} of {of}", level.name),
            Rank::Container if level.kind == "sidecar" => format!("sidecar {} of {of}", level.name),
            Rank::Container => format!("container {} of {of}", level.name),
        });
        about.extend(placed.verdict.because.iter().cloned());
    }
    about
}

fn notes(subject: &Subject) -> Vec<String> {
    let mut notes = subject.notes.clone();
    if let Some(pod) = &subject.pod {
        notes.extend(pod.placed.warnings.iter().cloned());
    }
    notes
}
