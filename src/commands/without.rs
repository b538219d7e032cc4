//! `--without`: the same container with walls missing, said loudly, and never to a container of an engine.

use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::container::told;
use super::output;
use crate::cli::{Global, LogFormat};
use crate::error::Failure;
use crate::runtime::Bundle;
use crate::spec::oci::Spec;
use crate::spec::{self, Wall, WithoutError};

/// The flag.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Learning")]
pub struct Walls {
    /// Take a wall away, to see what it is for; said loudly, and refused to engines. May be repeated
    #[arg(long = "without", value_name = "WALL", value_delimiter = ',', value_parser = wall())]
    pub list: Vec<Wall>,
}

fn wall() -> impl TypedValueParser<Value = Wall> {
    PossibleValuesParser::new(Wall::ALL.map(Wall::name)).try_map(|name| Wall::named(&name).ok_or("no such wall"))
}

impl Walls {
    /// The bundle without them. Whoever starts it is told what that means.
    pub fn taken_from(&self, bundle: Bundle, global: &Global) -> anyhow::Result<Bundle> {
        if self.list.is_empty() {
            return Ok(bundle);
        }
        self.refuse_engines(&bundle.config.spec, global)?;
        let text = bundle.text.clone();
        let bundle = bundle.without(&self.list).map_err(|error| refused(error, &text))?;
        self.say("this container")?;
        Ok(bundle)
    }

    /// Says what is missing, a line a wall.
    pub fn say(&self, who: &str) -> std::io::Result<()> {
        self.list.iter().try_for_each(|wall| {
            let sentence = format!("--without {}: {who} lacks that wall: {}", wall.name(), wall.loss());
            output::eprint_sentence("WARNING: ", &sentence)
        })
    }

    /// An engine's container belongs to somebody who does not see this command line.
    pub fn refuse_engines(&self, spec: &Spec, global: &Global) -> anyhow::Result<()> {
        match self.list.first().and_then(|wall| Some((wall, engine(spec, global)?))) {
            None => Ok(()),
            Some((wall, sign)) => {
                Err(Failure::new(format!("--without {}: this is a container of an engine: {sign}", wall.name()))
                    .hint("Walls are taken from a bundle that you start by hand: glassbox spec makes one.")
                    .into())
            }
        }
    }
}

/// What shows that an engine has asked for the container; none where a person has.
fn engine(spec: &Spec, global: &Global) -> Option<String> {
    const ANNOTATIONS: [&str; 6] =
        ["io.kubernetes.", "io.container.manager", "io.podman.", "io.cri-containerd", "com.docker.", "nerdctl/"];
    const GROUPS: [&str; 6] = ["kubepods", "docker", "libpod", "crio", "cri-containerd", "containerd"];
    let annotations = spec.annotations().iter().flatten().map(|(key, _)| key);
    let mut own: Vec<_> = annotations.filter(|key| ANNOTATIONS.iter().any(|start| key.starts_with(start))).collect();
    own.sort();
    if let Some(key) = own.first() {
        return Some(format!("it has the annotation {key}"));
    }
    let path = spec.linux().as_ref().and_then(|linux| linux.cgroups_path().as_ref());
    let path = path.map(|path| path.to_string_lossy().into_owned()).unwrap_or_default();
    let is_group = |part: &str| GROUPS.iter().any(|group| part == *group || part.starts_with(&format!("{group}-")));
    if path.split(['/', ':']).any(|part| is_group(part.trim_end_matches(".slice"))) {
        return Some(format!("linux.cgroupsPath is {path}"));
    }
    let reads = global.log.is_some() && global.log_format == LogFormat::Json;
    reads.then(|| "--log-format json is what engines read".to_string())
}

fn refused(error: WithoutError, config: &str) -> anyhow::Error {
    let there = || {
        let stands = |wall: &Wall| spec::without(config, &[*wall], &caps::all()).is_ok();
        Wall::ALL.into_iter().filter(stands).map(Wall::name).collect::<Vec<_>>().join(", ")
    };
    match error {
        WithoutError::Missing { .. } => Failure::new(error.to_string()).hint(format!("It has: {}.", there())).into(),
        WithoutError::Needs { .. } => Failure::new(error.to_string()).into(),
        WithoutError::Spec(error) => told(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::{Value, json};

    use super::*;
    use crate::cli::Cli;
    use crate::spec::{Config, template};

    fn sign(change: impl FnOnce(&mut Value), flags: &[&str]) -> Option<String> {
        let mut config = template();
        change(&mut config);
        let config = Config::parse(&config.to_string()).expect("it is valid");
        let words = ["glassbox"].iter().chain(flags).chain(&["list"]);
        engine(&config.spec, &Cli::parse_from(words).global)
    }

    #[test]
    fn an_engine_is_known_by_annotations_cgroup_and_log() {
        assert_eq!(sign(|_| {}, &["--log", "/tmp/log"]), None);
        assert_eq!(sign(|config| config["annotations"] = json!({"org.example": "1"}), &[]), None);
        assert_eq!(sign(|config| config["linux"]["cgroupsPath"] = "/dockerlike/a".into(), &[]), None);
        for key in ["io.kubernetes.cri.sandbox-id", "io.container.manager", "io.podman.annotations.init"] {
            let found = sign(|config| config["annotations"] = json!({key: "x"}), &[]);
            assert_eq!(found, Some(format!("it has the annotation {key}")));
        }
        for path in [
            "/kubepods/burstable/pod1/2",
            "/docker/12",
            "system.slice:docker:12",
            "kubepods-besteffort-pod1.slice:cri-containerd:2",
            "/libpod_parent/libpod-12",
        ] {
            let found = sign(|config| config["linux"]["cgroupsPath"] = path.into(), &[]);
            assert_eq!(found, Some(format!("linux.cgroupsPath is {path}")));
        }
        assert!(sign(|_| {}, &["--log", "/tmp/log", "--log-format", "json"]).is_some());
    }
}
