//! From the text of `config.json` to a checked [`Config`].

use std::str::FromStr;

use serde_json::Value;

use super::{json, oci, validate};

/// A loaded, normalised and validated `config.json`.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The typed configuration.
    pub spec: oci::Spec,
    /// What was let pass with a word, as the specification wants it (unknown capabilities, deprecated fields).
    pub warnings: Vec<String>,
}

/// What is wrong with a `config.json`.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// The text is not JSON, or an object has a name twice.
    #[error("{}", self.in_file("config.json"))]
    Json(serde_json::Error),
    /// A field has a value of the wrong type, or one that its type does not know.
    #[error("{}", self.in_file("config.json"))]
    Type {
        /// The field, as `linux.namespaces[1].type`.
        path: String,
        /// What was found and what would fit.
        message: String,
    },
    /// A field has a value that the runtime specification forbids.
    #[error("{}", self.in_file("config.json"))]
    Invalid {
        /// The field, as `process.cwd`.
        field: String,
        /// The value and the rule that it breaks.
        message: String,
    },
    /// A field asks for something that glassbox does not do; nothing is dropped silently.
    #[error("{}", self.in_file("config.json"))]
    Unsupported {
        /// The field, as `linux.intelRdt`.
        field: String,
    },
}

impl SpecError {
    /// The error as one of `file`, which need not be a config.json; `Display` says config.json.
    pub fn in_file(&self, file: &str) -> String {
        match self {
            SpecError::Json(cause) => format!("{file} is not valid JSON: {cause}"),
            SpecError::Type { path: field, message } | SpecError::Invalid { field, message } => {
                format!("{file}: {field}: {message}")
            }
            SpecError::Unsupported { field } => format!("{file}: {field} is not supported by glassbox"),
        }
    }
}

impl Config {
    /// Parses, normalises and validates the text of a `config.json`.
    pub fn parse(text: &str) -> Result<Config, SpecError> {
        let mut value = json::parse(text).map_err(SpecError::Json)?;
        if may_hold_nul(text) {
            for (name, part) in PARTS.iter().filter_map(|name| Some((name, value.get(name)?))) {
                refuse_nul(&mut name.to_string(), part)?;
            }
        }
        let mut warnings = Vec::new();
        normalise(&mut value, &mut warnings);
        let spec: oci::Spec = serde_path_to_error::deserialize(value)
            .map_err(|error| SpecError::Type { path: error.path().to_string(), message: error.inner().to_string() })?;
        validate::validate(&spec, &mut warnings)?;
        Ok(Config { spec, warnings })
    }
}

/// Parses a process by itself, as `exec --process` takes it: what is behind `process` in a config.json. Returns it with
/// its warnings.
pub fn parse_process(text: &str) -> Result<(oci::Process, Vec<String>), SpecError> {
    let process = json::parse(text).map_err(SpecError::Json)?;
    refuse_nul(&mut "process".to_string(), &process)?;
    let mut wrapped = serde_json::json!({ "process": process });
    let mut warnings = Vec::new();
    normalise(&mut wrapped, &mut warnings);
    let process: oci::Process = serde_path_to_error::deserialize(wrapped["process"].take()).map_err(|error| {
        SpecError::Type { path: format!("process.{}", error.path()), message: error.inner().to_string() }
    })?;
    validate::process(&process, &mut warnings)?;
    Ok((process, warnings))
}

/// Parses limits by themselves, as `update --resources` takes them: what is behind `linux.resources` in a config.json.
pub fn parse_resources(text: &str) -> Result<oci::LinuxResources, SpecError> {
    let resources = json::parse(text).map_err(SpecError::Json)?;
    refuse_nul(&mut "linux.resources".to_string(), &resources)?;
    let mut wrapped = serde_json::json!({ "linux": { "resources": resources } });
    normalise(&mut wrapped, &mut Vec::new());
    serde_path_to_error::deserialize(wrapped["linux"]["resources"].take()).map_err(|error| SpecError::Type {
        path: format!("linux.resources.{}", error.path()),
        message: error.inner().to_string(),
    })
}

/// The parts of a config whose texts reach the kernel. What the specification does not know, and annotations, may hold
/// anything.
const PARTS: [&str; 8] = ["ociVersion", "root", "process", "hostname", "domainname", "hooks", "mounts", "linux"];

/// JSON has one way to write a NUL byte; where nobody used it, no field needs to be looked at (RFC 8259, section 7).
fn may_hold_nul(text: &str) -> bool {
    text.contains("\\u0000")
}

/// Every text ends up in a C string, which a NUL byte would end. `path` is the field, and is as it was when this returns Ok.
fn refuse_nul(path: &mut String, value: &Value) -> Result<(), SpecError> {
    let length = path.len();
    match value {
        Value::String(text) if text.contains('\0') => {
            let message = format!("{text:?} contains a NUL byte");
            return Err(SpecError::Invalid { field: path.clone(), message });
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                path.push_str(&format!("[{index}]"));
                refuse_nul(path, item)?;
                path.truncate(length);
            }
        }
        Value::Object(object) => {
            for (name, item) in object {
                if name.contains('\0') {
                    let message = format!("the name {name:?} contains a NUL byte");
                    return Err(SpecError::Invalid { field: path.clone(), message });
                }
                path.push_str(&format!(".{name}"));
                refuse_nul(path, item)?;
                path.truncate(length);
            }
        }
        _ => {}
    }
    Ok(())
}

/// Puts right what oci-spec reads otherwise than the specification says.
fn normalise(config: &mut Value, warnings: &mut Vec<String>) {
    // An unknown capability is a warning and not an error (config.md, "capabilities"); oci-spec fails the whole file.
    for set in ["bounding", "effective", "inheritable", "permitted", "ambient"] {
        if let Some(names) = config.pointer_mut(&format!("/process/capabilities/{set}")).and_then(Value::as_array_mut) {
            names.retain(|name| {
                let known = name.as_str().is_none_or(|name| caps::Capability::from_str(name).is_ok());
                if !known {
                    warnings.push(format!("process.capabilities.{set}: unknown capability {name} is ignored"));
                }
                known
            });
        }
    }
    // oci-spec knows two flags of the scheduler by other names than the specification (config.md, "scheduler").
    if let Some(flags) = config.pointer_mut("/process/scheduler/flags").and_then(Value::as_array_mut) {
        for flag in flags {
            match flag.as_str() {
                Some("SCHED_FLAG_RESET_ON_FORK") => *flag = "SCHED_RESET_ON_FORK".into(),
                Some("SCHED_FLAG_DL_OVERRUN") => *flag = "SCHED_FLAG_DLOVERRUN".into(),
                _ => {}
            }
        }
    }
    // `pids: {}` asks for nothing; oci-spec would read a limit of 0.
    if let Some(resources) = config.pointer_mut("/linux/resources").and_then(Value::as_object_mut) {
        let empty = resources.get("pids").and_then(Value::as_object).is_some_and(|pids| !pids.contains_key("limit"));
        if empty {
            resources.remove("pids");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::template;

    fn config(change: impl FnOnce(&mut Value)) -> Result<Config, SpecError> {
        let mut value = template();
        change(&mut value);
        Config::parse(&value.to_string())
    }

    #[test]
    fn unknown_capabilities_warn_and_are_left_out() {
        let config = config(|v| v["process"]["capabilities"]["bounding"] = serde_json::json!(["CAP_KILL", "CAP_FLY"]));
        let config = config.expect("a warning is not an error");
        assert_eq!(config.warnings, ["process.capabilities.bounding: unknown capability \"CAP_FLY\" is ignored"]);
    }

    #[test]
    fn ambient_capabilities_that_the_kernel_would_refuse_warn() {
        let config = config(|v| v["process"]["capabilities"]["ambient"] = serde_json::json!(["CAP_KILL"]));
        let expected =
            "process.capabilities.ambient: CAP_KILL is not permitted and inheritable, so it cannot be ambient";
        assert_eq!(config.expect("a warning is not an error").warnings, [expected]);
    }

    #[test]
    fn a_nul_byte_is_refused_wherever_it_would_reach_the_kernel() {
        for (pointer, field) in [
            ("/hostname", "hostname"),
            ("/process/args/0", "process.args[0]"),
            ("/mounts/1/options/0", "mounts[1].options[0]"),
            ("/linux/maskedPaths/2", "linux.maskedPaths[2]"),
        ] {
            let nul = |v: &mut Value| *v.pointer_mut(pointer).expect("the template has it") = "a\0b".into();
            let error = config(nul).expect_err("refused").to_string();
            assert!(error.starts_with(&format!("config.json: {field}: \"a\\0b\" contains a NUL")), "{error}");
        }
        let key = config(|v| v["linux"]["sysctl"] = serde_json::json!({"net.a\0": "1"}));
        assert!(key.expect_err("refused").to_string().contains("linux.sysctl: the name"));
        assert!(config(|v| v["unknown"] = "\0".into()).is_ok(), "nobody reads it");
    }

    #[test]
    fn empty_pids_is_no_limit() {
        let config = config(|v| v["linux"]["resources"]["pids"] = serde_json::json!({})).expect("valid");
        assert!(config.spec.linux().as_ref().unwrap().resources().as_ref().unwrap().pids().is_none());
    }

    #[test]
    fn limits_by_themselves_are_read_as_those_of_a_config() {
        let pids = |text| parse_resources(text).expect("valid").pids().map(|pids| pids.limit());
        assert_eq!(pids(r#"{"pids": {}}"#), None, "nothing is asked for");
        assert_eq!(pids(r#"{"pids": {"limit": 7}}"#), Some(7));
        let error = |text| parse_resources(text).expect_err("wrong").to_string();
        assert!(error(r#"{"cpu": {}, "cpu": {}}"#).contains("not valid JSON"), "a name twice");
        assert!(error(r#"{"pids": {"limit": "x"}}"#).contains("linux.resources.pids.limit"));
    }

    #[test]
    fn type_errors_name_the_field() {
        let error = config(|v| v["linux"]["namespaces"][1]["type"] = "netz".into()).unwrap_err().to_string();
        assert!(error.starts_with("config.json: linux.namespaces[1].type: unknown variant `netz`"), "{error}");
        let error = config(|v| v["process"]["user"]["uid"] = (1_u64 << 32).into()).unwrap_err().to_string();
        assert!(error.starts_with("config.json: process.user.uid:"), "{error}");
    }
}
