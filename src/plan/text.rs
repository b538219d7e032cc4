//! A step as a sentence. Every name and number in it is read from the step's own fields.

use std::ffi::CStr;

use unicode_width::UnicodeWidthStr;

use super::step::*;
use super::uapi::*;

impl HostStep {
    /// One sentence, imperative, without a full stop.
    pub fn describe(&self) -> String {
        match self {
            HostStep::CreateCgroup { path } => format!("make the cgroup {path}"),
            HostStep::AdoptCgroup { path } => format!("take the empty cgroup {path}"),
            HostStep::EnableControllers { path, required, wanted } => {
                let names: Vec<_> = required.iter().chain(wanted).map(String::as_str).collect();
                format!("enable the controllers {} below {path}", names.join(", "))
            }
            HostStep::WriteCgroup { path, write } => format!("write {:?} into {path}/{}", write.value, write.file),
            HostStep::FilterDevices { path, rules } => {
                format!("attach a device filter of {} rules to {path}", rules.len())
            }
            HostStep::DelegateCgroup { path, uid, files } => {
                format!("give {path} and the files {} in it to user {uid}", files.join(", "))
            }
            HostStep::StartScope { unit, properties, .. } => {
                let properties: Vec<_> = properties.iter().map(ToString::to_string).collect();
                format!("have systemd start {unit} around the process: {}", properties.join("; "))
            }
            HostStep::WriteIdMap { kind, ranges, program } => {
                let ranges: Vec<_> = ranges.iter().map(IdRange::describe).collect();
                let by = program.map(|program| format!(" by {program}")).unwrap_or_default();
                format!("map {} in the user namespace{by}: {}", kind.describe(), ranges.join(", "))
            }
            HostStep::DenySetgroups => "forbid setgroups in the user namespace".to_string(),
            HostStep::MoveNetDevice { name, inside, .. } => {
                format!(
                    "move the network device {name} into the container as {inside}, with its addresses, and bring it up"
                )
            }
            HostStep::SetRlimit { name, soft, hard } => {
                format!("set {name} to {} (soft) and {} (hard)", amount(*soft), amount(*hard))
            }
            HostStep::SetOomScoreAdj { value } => format!("set the process's oom_score_adj to {value}"),
            HostStep::SetScheduler { scheduling } => format!("schedule the process as {}", scheduling.describe()),
            HostStep::SetIoPriority { class, level } => {
                format!("rank the process's input and output as {class}, level {level}")
            }
            HostStep::RunHook { kind, hook } => hook.describe(*kind),
        }
    }
}

impl Scheduling {
    pub(super) fn describe(&self) -> String {
        let numbers = [
            ("nice", i128::from(self.nice)),
            ("priority", self.priority.into()),
            ("runtime", self.runtime.into()),
            ("deadline", self.deadline.into()),
            ("period", self.period.into()),
        ];
        let set = numbers.iter().filter(|(_, value)| *value != 0).map(|(name, value)| format!(" {name} {value}"));
        format!("{}{}", self.policy, set.collect::<Vec<_>>().join(","))
    }
}

impl Hook {
    fn describe(&self, kind: HookKind) -> String {
        let timeout = self.timeout.map(|seconds| format!(", for at most {seconds} s")).unwrap_or_default();
        format!("run the {} hook {}{timeout}", kind.name(), text(&self.path))
    }
}

impl IdKind {
    fn describe(self) -> &'static str {
        match self {
            IdKind::User => "users",
            IdKind::Group => "groups",
        }
    }
}

impl LabelKind {
    fn describe(self) -> &'static str {
        match self {
            LabelKind::Apparmor => "AppArmor",
            LabelKind::Selinux => "SELinux",
        }
    }
}

impl IdRange {
    fn describe(&self) -> String {
        format!("{} from {} inside to {} outside", self.count, self.inside, self.outside)
    }
}

impl MountIdMap {
    fn describe(&self) -> String {
        let all = if self.recursive { " and all below it" } else { "" };
        let ranges = |ranges: &[IdRange]| {
            let one = |range: &IdRange| {
                format!("{} from {} on are shown from {} on", range.count, range.inside, range.outside)
            };
            ranges.iter().map(one).collect::<Vec<_>>().join(", ")
        };
        match self.users.is_empty() && self.groups.is_empty() {
            true => format!(", its owners{all} as the container's user namespace maps them"),
            false => {
                format!(", its owners{all} mapped: users {}; groups {}", ranges(&self.users), ranges(&self.groups))
            }
        }
    }
}

impl InitStep {
    /// One sentence, imperative, without a full stop.
    pub fn describe(&self) -> String {
        match self {
            InitStep::HideFromTracers => "let no process of joined namespaces look into this one".to_string(),
            InitStep::JoinNamespace { namespace, path } => {
                format!("join the {} namespace of {}", namespace_names(*namespace).join(", "), text(path))
            }
            InitStep::JoinContainer { namespaces, pid } => {
                format!("join the namespaces of process {pid}: {}", namespace_names(*namespaces).join(", "))
            }
            InitStep::NewTimeNamespace { offsets } => match offsets.is_empty() {
                true => "make a new time namespace and enter it".to_string(),
                false => format!(
                    "make a new time namespace, set its clocks and enter it: {}",
                    text(offsets).trim_end().replace('\n', ", ")
                ),
            },
            InitStep::WriteSysctl { path, value } => format!("write {:?} into {}", text(value), text(path)),
            InitStep::NewSessionKeyring { name } => format!("join the new session keyring {}", text(name)),
            InitStep::SetCpuAffinity { mask } => match mask.iter().all(|word| *word == u64::MAX) {
                true => "run on every CPU that the cgroup allows".to_string(),
                false => format!("run on the CPUs {}", join(&cpus(mask))),
            },
            InitStep::SetLabel { kind, text: label } => {
                format!("get the {} label {:?} at execve", kind.describe(), text(label))
            }
            InitStep::AwaitHooks => "wait for the hooks".to_string(),
            InitStep::RunHook { kind, hook } => hook.describe(*kind),
            InitStep::SetOomScoreAdj { value } => format!("set its own oom_score_adj to {}", text(value)),
            InitStep::BecomeRoot => "become root of the user namespace".to_string(),
            InitStep::NewSession => "start a session of its own".to_string(),
            InitStep::SetPersonality { domain } => format!("take the personality {}", personality_name(*domain)),
            InitStep::Unshare { namespaces } => {
                format!("make a new {} namespace", namespace_names(*namespaces).join(", "))
            }
            InitStep::SetPropagation { path, flags } => {
                format!("make the mounts of {} {}", text(path), propagation_name(*flags))
            }
            InitStep::EnterRootfs { path, recursive } => {
                let all = if *recursive { " with all below it" } else { "" };
                format!("mount {}{all} over itself and enter it", text(path))
            }
            InitStep::MountFilesystem {
                filesystem: Filesystem { fstype, attributes, parameters, .. }, target, ..
            } => {
                let options = mount_words(*attributes, parameters);
                format!("mount {} on {}{options}", text(fstype), target.in_container())
            }
            InitStep::BindMount { source, target, recursive, attributes, idmap } => {
                let all = if *recursive { " with all below it" } else { "" };
                let options = attribute_words(attributes);
                let ids = idmap.as_ref().map(MountIdMap::describe).unwrap_or_default();
                format!("show {}{all} of the host at {}{options}{ids}", text(source), target.in_container())
            }
            InitStep::SetMountPropagation { target, flags } => {
                format!("make the mount {} {}", target.in_container(), propagation_name(*flags))
            }
            InitStep::ChangeMount { target, parameters, attributes } => {
                let words = attribute_list(attributes);
                format!("change the mount {}{}", target.in_container(), words_of_mount(words, parameters))
            }
            InitStep::MakeDevice { target, mode, major, minor, .. } => {
                let permissions = mode & 0o7777;
                format!("make the device {} ({major}:{minor}, mode {permissions:04o})", target.in_container())
            }
            InitStep::MakeSymlink { text: link, target } => {
                format!("link {} to {}", target.in_container(), text(link))
            }
            InitStep::MakeDirectory { target } => format!("make the directory {}", target.in_container()),
            InitStep::CopyUp { target } => {
                format!("copy what the rootfs has at {} into what is mounted there", target.in_container())
            }
            InitStep::PivotRoot => "make the rootfs the root and let go of the host's".to_string(),
            InitStep::ChangeRoot { path } => {
                format!("make {} the root of this process, among the host's mounts", text(path))
            }
            InitStep::SetHostname { name } => format!("set the host name to {}", text(name)),
            InitStep::SetDomainname { name } => format!("set the domain name to {}", text(name)),
            InitStep::BringLoopbackUp { device } => format!("bring the loopback device {} up", text(device)),
            InitStep::OpenTerminal { console, size, .. } => {
                let size = size.map(|(rows, columns)| format!(" of {columns}x{rows}")).unwrap_or_default();
                let console = console.as_ref().map(|console| format!(", and show it at {}", console.in_container()));
                let and = if console.is_some() { "," } else { " and" };
                let console = console.unwrap_or_default();
                format!("open a terminal{size}{and} make it stdin, stdout and stderr{console}")
            }
            InitStep::ReadonlyPath { path, .. } => format!("make {} read-only", text(path)),
            InitStep::MaskPath { path, .. } => format!("mask {}", text(path)),
            InitStep::ChangeDirectory { target } => format!("go to {}", target.in_container()),
            InitStep::FindExecutable { candidates } => format!("check that {} can be executed", one_of(candidates)),
            InitStep::AwaitStart => "wait for start".to_string(),
            InitStep::SetUmask { mask } => format!("set the file mode creation mask to {mask:04o}"),
            InitStep::DropBounding { drop } => format!("drop {} capabilities for good", drop.len()),
            InitStep::SwitchUser { uid, gid, groups } => match groups {
                None => format!("become user {uid} and group {gid}, with the groups that it has"),
                Some(groups) if groups.is_empty() => format!("become user {uid} and group {gid}"),
                Some(groups) => format!("become user {uid} and group {gid} with groups {}", join(groups)),
            },
            InitStep::SetCapabilities { effective, permitted, inheritable, ambient } => format!(
                "keep the capabilities {} (permitted {}, inheritable {}, ambient {})",
                capability_names(*effective),
                if permitted == effective { "the same".to_string() } else { capability_names(*permitted) },
                capability_names(*inheritable),
                capability_names(*ambient),
            ),
            InitStep::NoNewPrivileges => "give up gaining privileges by execve".to_string(),
            InitStep::CloseDescriptors { from } => {
                format!("close the file descriptors from {from} on")
            }
            InitStep::LoadSeccomp { program, listener, .. } => {
                let agent = listener.as_ref().map(|listener| format!(", and {} decides on some", listener.path));
                format!(
                    "load a system call filter of {} instructions for {}: what it does not name {}{}",
                    program.instructions.len(),
                    program.architectures.join(", "),
                    program.default_sentence(),
                    agent.unwrap_or_default()
                )
            }
            InitStep::Execute { args, .. } => {
                format!("become the program: {}", args.iter().map(|arg| text(arg)).collect::<Vec<_>>().join(" "))
            }
        }
    }
}

impl Clone3 {
    /// One sentence, imperative, without a full stop.
    pub fn describe(&self) -> String {
        let cgroup = self.cgroup.as_ref().map(|path| format!(", born into the cgroup {path}")).unwrap_or_default();
        match namespace_names(self.namespaces).join(", ").as_str() {
            "" => format!("clone the process{cgroup}"),
            namespaces => format!("clone the process into new namespaces: {namespaces}{cgroup}"),
        }
    }
}

/// The names of the namespaces in CLONE_NEW* flags, as config.json spells them.
pub fn namespace_names(flags: u64) -> Vec<&'static str> {
    NAMESPACES.iter().filter(|(_, flag, _)| flags & flag != 0).map(|(name, ..)| *name).collect()
}

/// `rslave`, `private` …, as mount(8) spells it.
pub(super) fn propagation_name(flags: u64) -> String {
    let name = PROPAGATION.iter().find(|(flag, _)| flags & flag != 0).map_or("unchanged", |(_, name)| name);
    if flags & MS_REC != 0 { format!("r{name}") } else { name.to_string() }
}

/// `ro,nosuid …`, as mount(8) spells the bits.
pub(super) fn attribute_names(bits: u64) -> Vec<&'static str> {
    ATTRIBUTES.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| *name).collect()
}

/// `CAP_KILL, …`, or `none`.
pub(super) fn capability_names(mask: u64) -> String {
    let named: Vec<_> = (0..64_u8).filter(|number| mask & (1 << number) != 0).map(capability_name).collect();
    if named.is_empty() { "none".to_string() } else { named.join(", ") }
}

/// The name of a capability by its number; newer ones than the caps crate knows keep their number.
pub(super) fn capability_name(number: u8) -> String {
    let known = caps::all().into_iter().find(|capability| capability.index() == number);
    known.map_or_else(|| format!("CAP_{number}"), |capability| capability.to_string())
}

/// `LINUX`, as config.json spells it.
pub(super) fn personality_name(domain: u32) -> &'static str {
    if domain == PER_LINUX32 { "LINUX32" } else { "LINUX" }
}

/// A C string as text.
pub(super) fn text(c_string: &CStr) -> std::borrow::Cow<'_, str> {
    c_string.to_string_lossy()
}

/// `text` on one line and without what a terminal would obey: control characters as Rust escapes them.
pub fn printable(text: &str) -> String {
    let one = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(one).collect()
}

/// `text` broken at spaces into lines of at most `width` columns; a longer word gets a line of its own.
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("it starts with one");
        if line.is_empty() {
            *line = word.to_string();
        } else if line.width() + 1 + word.width() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_string());
        }
    }
    lines
}

fn amount(limit: u64) -> String {
    if limit == u64::MAX { "unlimited".to_string() } else { limit.to_string() }
}

pub(super) fn join(numbers: &[u32]) -> String {
    numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
}

pub(super) fn cpus(mask: &[u64]) -> Vec<u32> {
    let bits =
        mask.iter().zip(0_u32..).flat_map(|(word, index)| (0..64).map(move |bit| (word >> bit & 1, index * 64 + bit)));
    bits.filter(|(bit, _)| *bit == 1).map(|(_, cpu)| cpu).collect()
}

fn one_of(candidates: &[std::ffi::CString]) -> String {
    match candidates {
        [only] => text(only).into_owned(),
        [first, ..] => format!("{} or its namesake further down PATH", text(first)),
        [] => "nothing (PATH is empty)".to_string(),
    }
}

pub(super) fn mount_words(attributes: u64, parameters: &[FsParameter]) -> String {
    words_of_mount(attribute_names(attributes).into_iter().map(str::to_string).collect(), parameters)
}

pub(super) fn words_of_mount(mut words: Vec<String>, parameters: &[FsParameter]) -> String {
    for parameter in parameters {
        let word = match parameter {
            FsParameter::Flag(flag) => text(flag).into_owned(),
            FsParameter::Value(key, value) => format!("{}={}", text(key), text(value)),
        };
        if !words.contains(&word) {
            words.push(word);
        }
    }
    parenthesised(words)
}

pub(super) fn attribute_words(attributes: &MountAttributes) -> String {
    parenthesised(attribute_list(attributes))
}

pub(super) fn attribute_list(attributes: &MountAttributes) -> Vec<String> {
    let set = attribute_names(attributes.set).into_iter().map(str::to_string);
    let all = attribute_names(attributes.set_all).into_iter().map(|name| format!("r{name}"));
    set.chain(all).collect()
}

fn parenthesised(words: Vec<String>) -> String {
    if words.is_empty() { String::new() } else { format!(" ({})", words.join(",")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_spaces_and_count_columns() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("a /very/long/path b", 5), ["a", "/very/long/path", "b"]);
        assert_eq!(wrapped("容器 容器", 5), ["容器", "容器"], "each of these letters takes two columns");
    }

    #[test]
    fn nothing_printable_moves_a_terminals_cursor() {
        assert_eq!(printable("a\n\u{1b}[2Jü"), "a\\n\\u{1b}[2Jü");
    }
}
