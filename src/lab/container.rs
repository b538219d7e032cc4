//! Containers as the labs see them: by `glassbox state` and `glassbox list`, like any user of the program.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::str::FromStr;

use serde_json::Value;

use super::read::{Found, Missing, Scope};

/// What is asked about a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContainerField {
    /// `created`, `running`, `paused` or `stopped`.
    Status,
    /// The process id of its first process; 0 once that is gone.
    Pid,
    /// The directory of its bundle.
    Bundle,
    /// A field of its config.json by its dotted path: `spec.linux.resources.memory.limit`, `spec.process.args.0`.
    Spec(String),
}

impl FromStr for ContainerField {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match (text, text.strip_prefix("spec.")) {
            ("status", _) => Ok(ContainerField::Status),
            ("pid", _) => Ok(ContainerField::Pid),
            ("bundle", _) => Ok(ContainerField::Bundle),
            (_, Some(path)) if !path.is_empty() => Ok(ContainerField::Spec(path.to_string())),
            _ => Err(format!("a container has no {text:?}: write status, pid, bundle or spec.PATH")),
        }
    }
}

/// Reads a field of a container.
pub fn read(id: &str, field: &ContainerField, scope: &Scope) -> Found {
    let place = format!("glassbox state {id}");
    let state = match state(id, scope) {
        Ok(state) => state,
        Err(missing) => return Found { place, value: Err(missing) },
    };
    let named = |name: &str| Found {
        place: format!("{place} ({name})"),
        value: scalar(&state[name]).ok_or_else(|| Missing::Key(name.to_string())),
    };
    match field {
        ContainerField::Status => named("status"),
        ContainerField::Pid => named("pid"),
        ContainerField::Bundle => named("bundle"),
        ContainerField::Spec(path) => {
            let file = Path::new(state["bundle"].as_str().unwrap_or_default()).join("config.json");
            Found { place: format!("{} ({path})", file.display()), value: spec(&file, path) }
        }
    }
}

/// The process id of a container's first process.
pub fn pid(id: &str, scope: &Scope) -> Option<i32> {
    let pid = state(id, scope).ok()?["pid"].as_i64()?;
    i32::try_from(pid).ok().filter(|pid| *pid > 0)
}

/// Removes every container whose bundle lies below a directory of the run.
///
/// # Errors
/// If our own program does not run, or cannot remove one.
pub fn remove_below(dir: &Path) -> io::Result<()> {
    let exe = std::env::current_exe()?;
    let list = Command::new(&exe).args(["list", "--format", "json"]).output()?;
    let containers: Vec<Value> = serde_json::from_slice(&list.stdout).unwrap_or_default();
    for container in containers {
        let (Some(id), Some(bundle)) = (container["id"].as_str(), container["bundle"].as_str()) else { continue };
        if Path::new(bundle).starts_with(dir) {
            let deleted = Command::new(&exe).args(["delete", "--force", id]).output()?;
            if !deleted.status.success() {
                let said = String::from_utf8_lossy(&deleted.stderr).trim().to_string();
                return Err(io::Error::other(format!("glassbox delete --force {id}: {said}")));
            }
        }
    }
    Ok(())
}

/// What `glassbox state` says.
fn state(id: &str, scope: &Scope) -> Result<Value, Missing> {
    let output = Command::new(scope.run.join("bin/glassbox")).args(["state", id]).envs(&scope.env).output();
    let output = output.map_err(|error| Missing::Refused(format!("glassbox state: {error}")))?;
    if !output.status.success() {
        return Err(Missing::Container);
    }
    serde_json::from_slice(&output.stdout).map_err(|error| Missing::Refused(error.to_string()))
}

fn spec(file: &Path, path: &str) -> Result<String, Missing> {
    let text = fs::read_to_string(file).map_err(|error| Missing::Refused(error.to_string()))?;
    let config: Value = serde_json::from_str(&text).map_err(|error| Missing::Refused(error.to_string()))?;
    let found = config.pointer(&format!("/{}", path.replace('.', "/"))).and_then(scalar);
    found.ok_or_else(|| Missing::Key(path.to_string()))
}

/// A text without its quotes; anything else as JSON writes it.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::{ContainerField, pid, read};
    use crate::lab::read::{Missing, Scope};

    /// A scope whose `glassbox state web` says this.
    fn scope(dir: &tempfile::TempDir) -> Scope {
        let bin = dir.path().join("bin");
        fs::create_dir(&bin).expect("a directory");
        let state = format!(r#"{{"pid": 42, "status": "running", "bundle": "{}"}}"#, dir.path().display());
        let script = format!("#!/bin/sh\n[ \"$1 $2\" = 'state web' ] && echo '{state}'\n");
        fs::write(bin.join("glassbox"), script).expect("a program");
        fs::set_permissions(bin.join("glassbox"), fs::Permissions::from_mode(0o755)).expect("its mode");
        let config = r#"{"process": {"args": ["sleep", "9"]}, "linux": {"resources": {"memory": {"limit": 64}}}}"#;
        fs::write(dir.path().join("config.json"), config).expect("a config");
        Scope { run: dir.path().to_path_buf(), ..Scope::default() }
    }

    #[test]
    fn state_and_spec_are_read_by_field() {
        let dir = tempfile::tempdir().expect("a directory");
        let scope = scope(&dir);
        let field = |text: &str| read("web", &text.parse::<ContainerField>().expect("a field"), &scope);
        assert_eq!(field("status").value, Ok("running".to_string()));
        assert_eq!(field("pid").place, "glassbox state web (pid)");
        assert_eq!(field("spec.process.args.0").value, Ok("sleep".to_string()));
        assert_eq!(field("spec.process.args").value, Ok(r#"["sleep","9"]"#.to_string()));
        let limit = field("spec.linux.resources.memory.limit");
        assert_eq!(limit.value, Ok("64".to_string()));
        assert!(limit.place.ends_with("/config.json (linux.resources.memory.limit)"), "{}", limit.place);
        assert_eq!(field("spec.hostname").value, Err(Missing::Key("hostname".to_string())));
        assert_eq!(pid("web", &scope), Some(42));
        assert_eq!(read("gone", &ContainerField::Status, &scope).value, Err(Missing::Container));
        assert_eq!(pid("gone", &scope), None);
        for text in ["state", "spec", "spec."] {
            assert!(text.parse::<ContainerField>().is_err(), "{text}");
        }
    }
}
