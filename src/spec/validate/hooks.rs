//! What is checked of hooks (config.md, "POSIX-platform Hooks").

use super::super::load::SpecError;
use super::super::oci::Spec;
use super::{invalid, text};

/// Every hook has an absolute path, texts that fit into a C string, and a timeout above zero where it has one.
pub(super) fn check(spec: &Spec) -> Result<(), SpecError> {
    let Some(hooks) = spec.hooks() else { return Ok(()) };
    let lists = [
        ("prestart", hooks.prestart()),
        ("createRuntime", hooks.create_runtime()),
        ("createContainer", hooks.create_container()),
        ("startContainer", hooks.start_container()),
        ("poststart", hooks.poststart()),
        ("poststop", hooks.poststop()),
    ];
    for (list, hooks) in lists {
        for (index, hook) in hooks.iter().flatten().enumerate() {
            let field = |name: &str| format!("hooks.{list}[{index}].{name}");
            let path = hook.path().to_string_lossy();
            text(&field("path"), &path)?;
            if !path.starts_with('/') {
                return Err(invalid(field("path"), format!("{path:?} is not an absolute path")));
            }
            for (name, list) in [("args", hook.args()), ("env", hook.env())] {
                list.iter().flatten().try_for_each(|one| text(&field(name), one))?;
            }
            if let Some(timeout) = hook.timeout().filter(|seconds| u32::try_from(*seconds).is_err() || *seconds == 0) {
                return Err(invalid(field("timeout"), format!("{timeout} is not a number of seconds above 0")));
            }
        }
    }
    Ok(())
}
