//! A plan as JSON: every field of every step, under names that stay.
//!
//! `{"id", "clone", "steps": [{"number", "lane", "step", "sentence", "because", …}]}`. `lane` is `host`,
//! `between`, `clone`, `beside`, `hooks` or `init`; `step` is the step's name in `step.rs`; behind `because` stand the step's own fields, in camel
//! case. The kernel's bits are spelled out: namespaces as config.json names them, mount options as mount(8) does,
//! capabilities as capabilities(7); file modes are octal text; paths in the container are absolute.

use std::ffi::CString;

use serde_json::{Map, Value, json};

use super::seccomp::flag_names;
use super::step::*;
use super::story::{Lane, Numbered};
use super::text::{attribute_names, capability_name, namespace_names, personality_name, propagation_name, text};
use super::uapi::*;
use crate::cgroup::resources::DeviceRule;
use crate::cgroup::scope::Property;

impl Plan {
    /// The plan as one JSON object.
    pub fn json(&self) -> Value {
        let clone = self.clone_numbered();
        let mut steps: Vec<_> = self.host_numbered().map(|n| object(Lane::Host, &n, n.step.json())).collect();
        steps.extend(self.between_numbered().map(|n| object(Lane::Between, &n, n.step.json())));
        steps.push(object(Lane::Clone, &clone, ("Clone3", self.clone.json())));
        steps.extend(self.beside_numbered().map(|n| object(Lane::Beside, &n, n.step.json())));
        steps.extend(self.hooks_numbered().map(|n| object(Lane::Hooks, &n, n.step.json())));
        steps.extend(self.init_numbered().map(|n| object(Lane::Init, &n, n.step.json())));
        let mut object = json!({ "id": self.id, "clone": self.clone.json(), "steps": steps });
        if !self.left_out.is_empty() {
            object["leftOut"] = json!(self.left_out);
        }
        object
    }
}

fn object<S>(lane: Lane, numbered: &Numbered<'_, S>, (name, fields): (&str, Value)) -> Value {
    let mut object = Map::new();
    object.insert("number".into(), numbered.number.into());
    object.insert("lane".into(), lane.name().into());
    object.insert("step".into(), name.into());
    object.insert("sentence".into(), numbered.sentence.as_str().into());
    object.insert("because".into(), numbered.because.into());
    if let Value::Object(fields) = fields {
        object.extend(fields);
    }
    Value::Object(object)
}

impl Clone3 {
    fn json(&self) -> Value {
        json!({ "namespaces": namespace_names(self.namespaces), "cgroup": self.cgroup })
    }
}

impl HostStep {
    /// The step's name and its fields.
    pub(super) fn json(&self) -> (&'static str, Value) {
        match self {
            HostStep::CreateCgroup { path } => ("CreateCgroup", json!({ "path": path })),
            HostStep::AdoptCgroup { path } => ("AdoptCgroup", json!({ "path": path })),
            HostStep::EnableControllers { path, required, wanted } => {
                ("EnableControllers", json!({ "path": path, "required": required, "wanted": wanted }))
            }
            HostStep::WriteCgroup { path, write } => {
                ("WriteCgroup", json!({ "path": path, "file": write.file, "value": write.value }))
            }
            HostStep::FilterDevices { path, rules } => {
                let rules: Vec<_> = rules.iter().map(rule).collect();
                ("FilterDevices", json!({ "path": path, "rules": rules }))
            }
            HostStep::DelegateCgroup { path, uid, files } => {
                ("DelegateCgroup", json!({ "path": path, "uid": uid, "files": files }))
            }
            HostStep::StartScope { unit, path, properties } => {
                let one = |property: &Property| (property.name.to_string(), property.value.words().join(" ").into());
                let properties: Map<String, Value> = properties.iter().map(one).collect();
                ("StartScope", json!({ "unit": unit, "path": path, "properties": properties }))
            }
            HostStep::WriteIdMap { kind, ranges, program } => {
                let ranges = id_ranges(ranges);
                let kind = match kind {
                    IdKind::User => "user",
                    IdKind::Group => "group",
                };
                ("WriteIdMap", json!({ "kind": kind, "ranges": ranges, "program": program }))
            }
            HostStep::DenySetgroups => ("DenySetgroups", json!({})),
            HostStep::MoveNetDevice { name, inside, namespace } => {
                ("MoveNetDevice", json!({ "name": name, "inside": inside, "namespace": namespace }))
            }
            HostStep::SetRlimit { name, soft, hard } => {
                ("SetRlimit", json!({ "name": name, "soft": soft, "hard": hard }))
            }
            HostStep::SetOomScoreAdj { value } => ("SetOomScoreAdj", json!({ "value": value })),
            HostStep::SetScheduler { scheduling: s } => (
                "SetScheduler",
                json!({
                    "policy": s.policy, "flags": s.flags, "nice": s.nice, "priority": s.priority, "runtime": s.runtime,
                    "deadline": s.deadline, "period": s.period,
                }),
            ),
            HostStep::SetIoPriority { class, level } => ("SetIoPriority", json!({ "class": class, "level": level })),
            HostStep::RunHook { kind, hook } => ("RunHook", hook_fields(*kind, hook)),
        }
    }
}

impl InitStep {
    /// The step's name and its fields.
    pub(super) fn json(&self) -> (&'static str, Value) {
        match self {
            InitStep::HideFromTracers => ("HideFromTracers", json!({})),
            InitStep::JoinNamespace { namespace, path } => {
                ("JoinNamespace", json!({ "namespace": namespace_names(*namespace).join(","), "path": text(path) }))
            }
            InitStep::JoinContainer { namespaces, pid } => {
                ("JoinContainer", json!({ "namespaces": namespace_names(*namespaces), "pid": pid }))
            }
            InitStep::NewTimeNamespace { offsets } => ("NewTimeNamespace", json!({ "offsets": text(offsets) })),
            InitStep::WriteSysctl { path, value } => {
                ("WriteSysctl", json!({ "path": text(path), "value": text(value) }))
            }
            InitStep::NewSessionKeyring { name } => ("NewSessionKeyring", json!({ "name": text(name) })),
            InitStep::SetCpuAffinity { mask } => {
                let words: Vec<_> = mask.iter().map(|word| format!("{word:016x}")).collect();
                ("SetCpuAffinity", json!({ "mask": words }))
            }
            InitStep::SetLabel { kind, text: label } => {
                let kind = match kind {
                    LabelKind::Apparmor => "apparmor",
                    LabelKind::Selinux => "selinux",
                };
                ("SetLabel", json!({ "kind": kind, "text": text(label) }))
            }
            InitStep::AwaitHooks => ("AwaitHooks", json!({})),
            InitStep::RunHook { kind, hook } => ("RunHook", hook_fields(*kind, hook)),
            InitStep::SetOomScoreAdj { value } => ("SetOomScoreAdj", json!({ "value": text(value) })),
            InitStep::BecomeRoot => ("BecomeRoot", json!({})),
            InitStep::NewSession => ("NewSession", json!({})),
            InitStep::SetPersonality { domain } => ("SetPersonality", json!({ "domain": personality_name(*domain) })),
            InitStep::Unshare { namespaces } => ("Unshare", json!({ "namespaces": namespace_names(*namespaces) })),
            InitStep::SetPropagation { path, flags } => {
                ("SetPropagation", json!({ "path": text(path), "propagation": propagation_name(*flags) }))
            }
            InitStep::EnterRootfs { path, recursive } => {
                ("EnterRootfs", json!({ "path": text(path), "recursive": recursive }))
            }
            InitStep::MountFilesystem { filesystem: new, target, no_symlinks } => {
                let mut fields = filesystem(new);
                extend(&mut fields, json!({ "target": target.in_container(), "noSymlinks": no_symlinks }));
                ("MountFilesystem", fields)
            }
            InitStep::BindMount { source, target, recursive, attributes, idmap } => {
                let mut fields = json!({
                    "source": text(source), "target": target.in_container(), "recursive": recursive,
                });
                extend(&mut fields, changes(attributes));
                extend(&mut fields, json!({ "idmap": idmap.as_ref().map(id_map) }));
                ("BindMount", fields)
            }
            InitStep::SetMountPropagation { target, flags } => (
                "SetMountPropagation",
                json!({ "target": target.in_container(), "propagation": propagation_name(*flags) }),
            ),
            InitStep::ChangeMount { target, parameters, attributes } => {
                let parameters: Vec<_> = parameters.iter().map(parameter).collect();
                let mut fields = json!({ "target": target.in_container(), "parameters": parameters });
                extend(&mut fields, changes(attributes));
                ("ChangeMount", fields)
            }
            InitStep::MakeDevice { target, mode, major, minor, uid, gid } => {
                let kind = match mode & S_IFMT {
                    S_IFBLK => "b",
                    S_IFIFO => "p",
                    _ => "c",
                };
                let fields = json!({
                    "target": target.in_container(), "kind": kind, "mode": octal(mode & 0o7777), "major": major,
                    "minor": minor, "uid": uid, "gid": gid,
                });
                ("MakeDevice", fields)
            }
            InitStep::MakeSymlink { text: link, target } => {
                ("MakeSymlink", json!({ "text": text(link), "target": target.in_container() }))
            }
            InitStep::CopyUp { target } => ("CopyUp", json!({ "target": target.in_container() })),
            InitStep::MakeDirectory { target } => ("MakeDirectory", json!({ "target": target.in_container() })),
            InitStep::PivotRoot => ("PivotRoot", json!({})),
            InitStep::ChangeRoot { path } => ("ChangeRoot", json!({ "path": text(path) })),
            InitStep::SetHostname { name } => ("SetHostname", json!({ "name": text(name) })),
            InitStep::SetDomainname { name } => ("SetDomainname", json!({ "name": text(name) })),
            InitStep::BringLoopbackUp { device } => ("BringLoopbackUp", json!({ "device": text(device) })),
            InitStep::OpenTerminal { multiplexer, console, size } => {
                let size = size.map(|(rows, columns)| json!({ "rows": rows, "columns": columns }));
                let console = console.as_ref().map(RootfsPath::in_container);
                let fields = json!({ "multiplexer": text(multiplexer), "console": console, "size": size });
                ("OpenTerminal", fields)
            }
            InitStep::ReadonlyPath { path, recursive, attributes } => {
                let mut fields = json!({ "path": text(path), "recursive": recursive });
                extend(&mut fields, changes(attributes));
                ("ReadonlyPath", fields)
            }
            InitStep::MaskPath { path, empty, null, device: (major, minor) } => {
                let file = json!({ "null": text(null), "major": major, "minor": minor });
                ("MaskPath", json!({ "path": text(path), "directory": filesystem(empty), "file": file }))
            }
            InitStep::ChangeDirectory { target } => ("ChangeDirectory", json!({ "target": target.in_container() })),
            InitStep::FindExecutable { candidates } => ("FindExecutable", json!({ "candidates": texts(candidates) })),
            InitStep::AwaitStart => ("AwaitStart", json!({})),
            InitStep::SetUmask { mask } => ("SetUmask", json!({ "mask": octal(*mask) })),
            InitStep::DropBounding { drop } => {
                let names: Vec<_> = drop.iter().map(|number| capability_name(*number)).collect();
                ("DropBounding", json!({ "drop": names }))
            }
            InitStep::SwitchUser { uid, gid, groups } => {
                ("SwitchUser", json!({ "uid": uid, "gid": gid, "groups": groups }))
            }
            InitStep::SetCapabilities { effective, permitted, inheritable, ambient } => (
                "SetCapabilities",
                json!({
                    "effective": capabilities(*effective), "permitted": capabilities(*permitted),
                    "inheritable": capabilities(*inheritable), "ambient": capabilities(*ambient),
                }),
            ),
            InitStep::NoNewPrivileges => ("NoNewPrivileges", json!({})),
            InitStep::CloseDescriptors { from } => ("CloseDescriptors", json!({ "from": from })),
            InitStep::LoadSeccomp { program, flags, listener } => {
                let fields = json!({
                    "architectures": program.architectures, "defaultAction": program.default_action(),
                    "flags": flag_names(*flags),
                    "listener": listener.as_ref().map(|agent| json!({ "path": agent.path, "metadata": agent.metadata, "release": agent.release })),
                    "program": program.listing().collect::<Vec<_>>(),
                });
                ("LoadSeccomp", fields)
            }
            InitStep::Execute { candidates, args, env } => {
                ("Execute", json!({ "candidates": texts(candidates), "args": texts(args), "env": texts(env) }))
            }
        }
    }
}

fn id_map(map: &MountIdMap) -> Value {
    json!({ "users": id_ranges(&map.users), "groups": id_ranges(&map.groups), "recursive": map.recursive })
}

fn id_ranges(ranges: &[IdRange]) -> Value {
    let one = |range: &IdRange| json!({ "inside": range.inside, "outside": range.outside, "count": range.count });
    ranges.iter().map(one).collect()
}

fn hook_fields(kind: HookKind, hook: &Hook) -> Value {
    json!({
        "kind": kind.name(), "path": text(&hook.path), "args": texts(&hook.args), "env": texts(&hook.env),
        "timeout": hook.timeout,
    })
}

fn extend(object: &mut Value, more: Value) {
    if let (Value::Object(object), Value::Object(more)) = (object, more) {
        object.extend(more);
    }
}

fn filesystem(new: &Filesystem) -> Value {
    json!({
        "fstype": text(&new.fstype), "source": text(&new.source),
        "parameters": new.parameters.iter().map(parameter).collect::<Vec<_>>(),
        "attributes": attribute_names(new.attributes),
    })
}

fn changes(attributes: &MountAttributes) -> Value {
    json!({
        "set": attribute_names(attributes.set), "clear": cleared_names(attributes.clear),
        "setAll": attribute_names(attributes.set_all), "clearAll": cleared_names(attributes.clear_all),
    })
}

/// The access time modes are cleared as one.
fn cleared_names(bits: u64) -> Vec<&'static str> {
    let mut names = attribute_names(bits & !MOUNT_ATTR_ATIME);
    if bits & MOUNT_ATTR_ATIME != 0 {
        names.push("atime");
    }
    names
}

fn parameter(parameter: &FsParameter) -> String {
    match parameter {
        FsParameter::Flag(flag) => text(flag).into_owned(),
        FsParameter::Value(key, value) => format!("{}={}", text(key), text(value)),
    }
}

fn rule(rule: &DeviceRule) -> Value {
    let access: String = [('r', 2), ('w', 4), ('m', 1)]
        .iter()
        .filter(|(_, bit)| rule.access & bit != 0)
        .map(|(letter, _)| letter)
        .collect();
    json!({ "allow": rule.allow, "type": rule.kind.to_string(), "major": rule.major, "minor": rule.minor, "access": access })
}

fn capabilities(mask: u64) -> Vec<String> {
    (0..64_u8).filter(|number| mask & (1 << number) != 0).map(capability_name).collect()
}

fn octal(mode: u32) -> String {
    format!("{mode:04o}")
}

fn texts(list: &[CString]) -> Vec<std::borrow::Cow<'_, str>> {
    list.iter().map(|item| text(item)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::plan::tests::all_kinds;

    /// The rows of the table in docs/plan.md.
    fn table() -> String {
        let mut rows = BTreeMap::new();
        for plan in all_kinds() {
            for step in plan.json()["steps"].as_array().expect("a list") {
                let step = step.as_object().expect("an object");
                let own: Vec<_> = step.keys().skip(5).map(|key| format!("`{key}`")).collect();
                let name = step["step"].as_str().expect("a name").to_string();
                rows.insert((step["lane"].to_string(), name), own.join(" "));
            }
        }
        let order = ["host", "between", "clone", "beside", "hooks", "init"].map(|lane| format!("\"{lane}\""));
        let of = |lane: String| rows.iter().filter(move |((known, _), _)| *known == lane).collect::<Vec<_>>();
        let rows = order.into_iter().flat_map(of);
        rows.map(|((lane, name), keys)| {
            format!("| {} | `{name}` | {keys} |\n", lane.replace('"', "")).replace("|  |", "| |")
        })
        .collect()
    }

    #[test]
    fn the_documentation_lists_every_step_with_its_keys() {
        let page = include_str!("../../docs/plan.md");
        assert!(page.contains(&table()), "docs/plan.md should say:\n{}", table());
    }
}
