//! What the runtime specification forbids, and what glassbox does not support, each refused with the field's path.

use super::load::SpecError;
use super::oci::{Capabilities, Linux, LinuxNamespaceType, Mount, Process, Spec};

/// Checks a typed configuration; what may pass with a word is added to `warnings`.
pub(super) fn validate(spec: &Spec, warnings: &mut Vec<String>) -> Result<(), SpecError> {
    version(spec.version())?;
    unsupported(spec)?;
    let root = spec.root().as_ref().ok_or_else(|| invalid("root", "is required"))?;
    if root.path().as_os_str().is_empty() {
        return Err(invalid("root.path", "is empty; give the directory that holds the container's files"));
    }
    text("root.path", &root.path().to_string_lossy())?;
    if let Some(process) = spec.process() {
        validate_process(process)?;
        ambient(process, warnings);
    }
    for (index, mount) in spec.mounts().iter().flatten().enumerate() {
        validate_mount(index, mount)?;
    }
    let linux = spec.linux().as_ref().ok_or_else(|| invalid("linux", "is required on Linux"))?;
    namespaces(spec, linux)?;
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
    let process = spec.process().as_ref();
    let linux = spec.linux().as_ref();
    let resources = linux.and_then(|linux| linux.resources().as_ref());
    let asks: [(&str, bool); 18] = [
        ("solaris", spec.solaris().is_some()),
        ("windows", spec.windows().is_some()),
        ("vm", spec.vm().is_some()),
        ("zos", spec.zos().is_some()),
        ("hooks", spec.hooks().as_ref().is_some_and(|hooks| *hooks != Default::default())),
        (
            "process.apparmorProfile",
            process.is_some_and(|p| p.apparmor_profile().as_ref().is_some_and(|l| !l.is_empty())),
        ),
        ("process.selinuxLabel", process.is_some_and(|p| p.selinux_label().as_ref().is_some_and(|l| !l.is_empty()))),
        ("process.ioPriority", process.is_some_and(|p| p.io_priority().is_some())),
        ("process.scheduler", process.is_some_and(|p| p.scheduler().is_some())),
        ("process.execCPUAffinity", process.is_some_and(|p| p.exec_cpu_affinity().is_some())),
        ("linux.sysctl", linux.is_some_and(|l| l.sysctl().as_ref().is_some_and(|map| !map.is_empty()))),
        ("linux.mountLabel", linux.is_some_and(|l| l.mount_label().as_ref().is_some_and(|l| !l.is_empty()))),
        ("linux.intelRdt", linux.is_some_and(|l| l.intel_rdt().is_some())),
        ("linux.memoryPolicy", linux.is_some_and(|l| l.memory_policy().is_some())),
        ("linux.personality", linux.is_some_and(|l| l.personality().is_some())),
        ("linux.netDevices", linux.is_some_and(|l| l.net_devices().as_ref().is_some_and(|map| !map.is_empty()))),
        ("linux.timeOffsets", linux.is_some_and(|l| l.time_offsets().as_ref().is_some_and(|map| !map.is_empty()))),
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

fn validate_process(process: &Process) -> Result<(), SpecError> {
    let args = process.args().as_deref().unwrap_or_default();
    if args.first().is_none_or(String::is_empty) {
        return Err(invalid("process.args", "is empty; its first entry is the program to run"));
    }
    for (index, arg) in args.iter().enumerate() {
        text(&format!("process.args[{index}]"), arg)?;
    }
    for (index, variable) in process.env().iter().flatten().enumerate() {
        let field = format!("process.env[{index}]");
        text(&field, variable)?;
        if variable.find('=').is_none_or(|at| at == 0) {
            return Err(invalid(field, format!("{variable:?} is not NAME=value")));
        }
    }
    let cwd = process.cwd().to_string_lossy();
    text("process.cwd", &cwd)?;
    if !cwd.starts_with('/') {
        return Err(invalid("process.cwd", format!("{cwd:?} is not an absolute path in the container")));
    }
    // (uid_t)-1 means "leave unchanged" to setresuid(2): root would stay root.
    for (field, id) in [("process.user.uid", process.user().uid()), ("process.user.gid", process.user().gid())] {
        if id == u32::MAX {
            return Err(invalid(field, format!("{id} means \"no id\" to the kernel; use one below it")));
        }
    }
    let mut seen = Vec::new();
    for (index, limit) in process.rlimits().iter().flatten().enumerate() {
        let field = format!("process.rlimits[{index}]");
        if seen.contains(&limit.typ()) {
            return Err(invalid(field, format!("{} is set twice", limit.typ())));
        }
        if limit.soft() > limit.hard() {
            return Err(invalid(field, format!("soft {} is above hard {}", limit.soft(), limit.hard())));
        }
        seen.push(limit.typ());
    }
    Ok(())
}

/// `runc spec` before 1.2 asked for ambient capabilities that are not inheritable, and runc itself let them pass.
fn ambient(process: &Process, warnings: &mut Vec<String>) {
    let Some(sets) = process.capabilities() else { return };
    let has = |set: &Option<Capabilities>, name| set.iter().flatten().any(|capability| capability == name);
    for capability in sets.ambient().iter().flatten() {
        if !has(sets.permitted(), capability) || !has(sets.inheritable(), capability) {
            warnings.push(format!(
                "process.capabilities.ambient: CAP_{capability} is not permitted and inheritable, so it cannot be ambient"
            ));
        }
    }
}

fn validate_mount(index: usize, mount: &Mount) -> Result<(), SpecError> {
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
    for (name, value) in
        [("type", mount.typ().clone()), ("source", mount.source().as_ref().map(|s| s.display().to_string()))]
    {
        text(&field(name), &value.unwrap_or_default())?;
    }
    for option in mount.options().iter().flatten() {
        text(&field("options"), option)?;
    }
    if mount.uid_mappings().is_some() || mount.gid_mappings().is_some() {
        return Err(SpecError::Unsupported { field: field("uidMappings") });
    }
    Ok(())
}

fn namespaces(spec: &Spec, linux: &Linux) -> Result<(), SpecError> {
    let list = linux.namespaces().as_deref().unwrap_or_default();
    for (index, namespace) in list.iter().enumerate() {
        let field = format!("linux.namespaces[{index}]");
        if list[..index].iter().any(|earlier| earlier.typ() == namespace.typ()) {
            return Err(invalid(field, format!("a second {} namespace", namespace.typ())));
        }
        if namespace.path().is_some() {
            return Err(SpecError::Unsupported { field: format!("{field}.path") });
        }
        if namespace.typ() == LinuxNamespaceType::Time {
            return Err(SpecError::Unsupported { field: format!("{field}.type \"time\"") });
        }
    }
    let has = |typ| list.iter().any(|namespace| namespace.typ() == typ);
    if !has(LinuxNamespaceType::Mount) {
        return Err(SpecError::Unsupported { field: "linux.namespaces without \"mount\"".into() });
    }
    for (field, set) in [("hostname", spec.hostname().is_some()), ("domainname", spec.domainname().is_some())] {
        if set && !has(LinuxNamespaceType::Uts) {
            return Err(invalid(field, "needs a new \"uts\" namespace, else it would rename the host"));
        }
    }
    let mapped = [("linux.uidMappings", linux.uid_mappings()), ("linux.gidMappings", linux.gid_mappings())];
    for (field, mappings) in mapped {
        let mappings = mappings.as_deref().unwrap_or_default();
        match (has(LinuxNamespaceType::User), mappings.is_empty()) {
            (true, true) => return Err(invalid(field, "is required with a new \"user\" namespace")),
            (false, false) => return Err(invalid(field, "needs a new \"user\" namespace")),
            _ => {}
        }
        if let Some(index) = mappings.iter().position(|map| map.size() == 0) {
            return Err(invalid(format!("{field}[{index}].size"), "is 0"));
        }
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
