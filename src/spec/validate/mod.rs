//! What the runtime specification forbids, and what glassbox does not support, each refused with the field's path.

mod hooks;
mod ids;
mod namespaces;
mod process;

pub use namespaces::sysctl_path;

use super::load::SpecError;
use super::oci::{Linux, Mount, Process, Spec};

/// Checks a process by itself; what may pass with a word is added to `warnings`.
pub(super) fn process(process: &Process, warnings: &mut Vec<String>) -> Result<(), SpecError> {
    process::check(process, warnings)
}

/// Checks a process that is put together from flags.
pub fn check_process(process: &Process) -> Result<(), SpecError> {
    process::check(process, &mut Vec::new())
}

/// Checks a typed configuration; what may pass with a word is added to `warnings`.
pub(super) fn validate(spec: &Spec, warnings: &mut Vec<String>) -> Result<(), SpecError> {
    version(spec.version())?;
    unsupported(spec)?;
    let root = spec.root().as_ref().ok_or_else(|| invalid("root", "is required"))?;
    if root.path().as_os_str().is_empty() {
        return Err(invalid("root.path", "is empty; give the directory that holds the container's files"));
    }
    text("root.path", &root.path().to_string_lossy())?;
    if let Some(one) = spec.process() {
        process::check(one, warnings)?;
    }
    hooks::check(spec)?;
    for (index, mount) in spec.mounts().iter().flatten().enumerate() {
        validate_mount(index, mount, warnings)?;
    }
    if spec.annotations().iter().flatten().any(|(name, _)| name.is_empty()) {
        return Err(invalid("annotations", "an annotation has the empty name"));
    }
    let linux = spec.linux().as_ref().ok_or_else(|| invalid("linux", "is required on Linux"))?;
    text("linux.mountLabel", linux.mount_label().as_deref().unwrap_or_default())?;
    namespaces::check(spec, linux)?;
    ids::check(spec, linux)?;
    resources(linux, warnings)
}

fn invalid(field: impl Into<String>, message: impl Into<String>) -> SpecError {
    SpecError::Invalid { field: field.into(), message: message.into() }
}

/// Every text ends up in a C string.
fn text(field: &str, value: &str) -> Result<(), SpecError> {
    match value.contains('\0') {
        true => Err(invalid(field, format!("{value:?} contains a NUL byte"))),
        false => Ok(()),
    }
}

fn version(version: &str) -> Result<(), SpecError> {
    let release = version.split(['-', '+']).next().unwrap_or_default();
    let numbers: Vec<_> = release.split('.').map(|part| part.parse::<u32>().ok()).collect();
    match numbers.as_slice() {
        [Some(1), Some(_), Some(_)] => Ok(()),
        [Some(_), Some(_), Some(_)] => Err(invalid("ociVersion", format!("{version:?} is not a 1.x version"))),
        _ => Err(invalid("ociVersion", format!("{version:?} is not a version such as 1.2.1"))),
    }
}

/// Fields that would change the container and that glassbox does not carry out.
fn unsupported(spec: &Spec) -> Result<(), SpecError> {
    let linux = spec.linux().as_ref();
    let resources = linux.and_then(|linux| linux.resources().as_ref());
    let flags = linux.and_then(|linux| linux.personality().as_ref()?.flags().as_ref());
    let asks: [(&str, bool); 8] = [
        ("solaris", spec.solaris().is_some()),
        ("windows", spec.windows().is_some()),
        ("vm", spec.vm().is_some()),
        ("zos", spec.zos().is_some()),
        ("linux.intelRdt", linux.is_some_and(|l| l.intel_rdt().is_some())),
        ("linux.memoryPolicy", linux.is_some_and(|l| l.memory_policy().is_some())),
        ("linux.personality.flags", flags.is_some_and(|flags| !flags.is_empty())),
        (
            "linux.resources.network",
            resources.and_then(|r| r.network().as_ref()).is_some_and(|n| *n != Default::default()),
        ),
    ];
    match asks.into_iter().find(|(_, asked)| *asked) {
        Some((field, _)) => Err(SpecError::Unsupported { field: field.to_string() }),
        None => Ok(()),
    }
}

fn validate_mount(index: usize, mount: &Mount, warnings: &mut Vec<String>) -> Result<(), SpecError> {
    let field = |name: &str| format!("mounts[{index}].{name}");
    let destination = mount.destination().to_string_lossy();
    text(&field("destination"), &destination)?;
    // Lexically: "/.", "//" and "a/.." are the root as well, and mounting over it would hide the whole container.
    let depth = destination.split('/').fold(0_usize, |depth, part| match part {
        "" | "." => depth,
        ".." => depth.saturating_sub(1),
        _ => depth + 1,
    });
    if depth == 0 {
        return Err(invalid(field("destination"), format!("{destination:?} is the container's root itself")));
    }
    let is_bind = |option: &String| option == "bind" || option == "rbind";
    let fstype = mount.typ().as_deref().unwrap_or("none");
    let bind = fstype == "bind" || mount.options().iter().flatten().any(is_bind);
    if let Some(why) = super::proc_mount::refusal(&destination, fstype, bind) {
        return Err(invalid(field("destination"), why));
    }
    for (name, value) in
        [("type", mount.typ().clone()), ("source", mount.source().as_ref().map(|s| s.display().to_string()))]
    {
        text(&field(name), &value.unwrap_or_default())?;
    }
    for option in mount.options().iter().flatten() {
        text(&field("options"), option)?;
    }
    if !destination.starts_with('/') {
        warnings
            .push(format!("{}: {destination:?} is no absolute path, and is taken from the root", field("destination")));
    }
    Ok(())
}

fn resources(linux: &Linux, warnings: &mut Vec<String>) -> Result<(), SpecError> {
    if let Some(path) = linux.cgroups_path() {
        let path = path.to_string_lossy();
        text("linux.cgroupsPath", &path)?;
        if path.split('/').any(|part| part == "..") {
            return Err(invalid("linux.cgroupsPath", format!("{path:?} contains \"..\"")));
        }
    }
    let Some(resources) = linux.resources() else { return Ok(()) };
    if let Some(memory) = resources.memory() {
        for (name, set) in [("kernel", memory.kernel().is_some()), ("kernelTCP", memory.kernel_tcp().is_some())] {
            if set {
                warnings.push(format!("linux.resources.memory.{name}: cgroup v2 has no such limit, ignored"));
            }
        }
        if memory.use_hierarchy() == Some(false) {
            warnings.push(
                "linux.resources.memory.useHierarchy: cgroup v2 always counts what is below a cgroup, ignored"
                    .to_string(),
            );
        }
        if memory.disable_oom_killer() == Some(true) {
            let message = "true: cgroup v2 cannot switch the OOM killer off";
            return Err(invalid("linux.resources.memory.disableOOMKiller", message));
        }
    }
    if let Some(unified) = resources.unified() {
        for key in unified.keys() {
            if key.contains('/') || key.contains('\0') || key == "." || key == ".." {
                return Err(invalid("linux.resources.unified", format!("{key:?} is not the name of a cgroup file")));
            }
        }
    }
    Ok(())
}
