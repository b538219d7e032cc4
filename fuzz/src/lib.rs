//! What the fuzz targets share: the fuzzer's bytes as decisions, and as changes to a `config.json` that has every field.
//!
//! Bytes that are read as JSON hardly ever reach what lies behind the parser; bytes that choose which field of a good config
//! gets which odd value always do.

use glassbox::plan::{CgroupHost, CgroupLevel, Host};
use serde_json::{Value, json};

/// The fuzzer's bytes, used up one decision after the other. At their end every decision is the first choice.
pub struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    /// All of `data`.
    pub fn new(data: &'a [u8]) -> Self {
        Bytes(data)
    }

    /// Whether none is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next byte; 0 at the end.
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// Two bytes.
    pub fn short(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    /// At most `most` bytes.
    pub fn take(&mut self, most: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// One of several.
    pub fn choose<'b, T>(&mut self, among: &'b [T]) -> &'b T {
        &among[usize::from(self.short()) % among.len()]
    }

    /// A short text, some of them with a meaning.
    pub fn text(&mut self) -> String {
        const ODD: [&str; 24] = [
            "", "/", ".", "..", "/..", "a/../..", "//", "/proc", "/proc/self", "/dev", "\0", "a\0b", "=", "A=b", "ü", "\u{1b}[2J",
            "max", "-1", "0-3,7", "4294967296", "SCMP_ACT_NOTIFY", "2MB", "a b", "'",
        ];
        match self.byte() {
            0..=127 => (*self.choose(&ODD)).to_string(),
            128..=131 => "x".repeat(usize::from(self.short())),
            length => String::from_utf8_lossy(self.take(usize::from(length) % 24)).into_owned(),
        }
    }

    /// A number, most of them at a limit.
    pub fn number(&mut self) -> Value {
        const ODD: [i128; 22] = [
            0, 1, -1, 2, 7, 63, 64, 255, 256, 4095, 4096, 65535, 65536, 262_144, i32::MAX as i128, u32::MAX as i128,
            1 << 32, i64::MAX as i128, i64::MIN as i128, u64::MAX as i128, 1 << 62, -4096,
        ];
        match self.byte() {
            0..=200 => {
                let number = *self.choose(&ODD);
                u64::try_from(number).map_or_else(|_| json!(number as i64), |number| json!(number))
            }
            201..=230 => json!(self.short()),
            _ => json!(f64::from(self.short()) / 7.0),
        }
    }

    /// Any JSON value, at most `depth` levels deep.
    pub fn value(&mut self, depth: u8) -> Value {
        match self.byte() % if depth == 0 { 5 } else { 7 } {
            0 => self.number(),
            1 | 2 => self.text().into(),
            3 => Value::Bool(self.byte() % 2 == 0),
            4 => Value::Null,
            5 => (0..self.byte() % 4).map(|_| self.value(depth - 1)).collect(),
            _ => (0..self.byte() % 4).map(|_| (self.text(), self.value(depth - 1))).collect(),
        }
    }
}

/// A config with every field that glassbox knows, changed at as many places as there are bytes for.
pub fn changed_config(bytes: &mut Bytes) -> Value {
    let mut config: Value = serde_json::from_str(include_str!("../../tests/cli/everything.json")).expect("it is checked in");
    // Everything at once is refused for the first thing that does not fit; so begin by leaving parts out.
    let parts = [
        "/process/scheduler", "/process/terminal", "/linux/seccomp", "/linux/uidMappings", "/linux/timeOffsets", "/linux/sysctl",
        "/hooks", "/linux/resources/blockIO", "/linux/resources/unified", "/linux/cgroupsPath", "/linux/resources", "/linux/devices",
        "/process/apparmorProfile", "/linux/namespaces/7", "/linux/namespaces/6", "/linux/namespaces/1",
    ];
    let left_out = bytes.short();
    for (bit, pointer) in parts.iter().enumerate().filter(|(bit, _)| left_out & 1 << bit != 0) {
        let _ = bit;
        remove(&mut config, pointer);
    }
    change(&mut config, bytes);
    config
}

/// Changes `document` at as many places as there are bytes for, twelve at most.
pub fn change(document: &mut Value, bytes: &mut Bytes) {
    for _ in 0..12 {
        if bytes.is_empty() {
            return;
        }
        let mut pointers = Vec::new();
        list(document, String::new(), &mut pointers);
        let pointer = bytes.choose(&pointers).clone();
        let kind = bytes.byte() % 8;
        match kind {
            0 => remove(document, &pointer),
            1 => {
                let value = bytes.value(2);
                if let Some(place) = document.pointer_mut(&pointer) {
                    *place = value;
                }
            }
            2 => repeat(document, &pointer, usize::from(bytes.byte() % 40)),
            // Another value of the same type is what gets furthest.
            _ => {
                let like = document.pointer(&pointer).cloned().unwrap_or_default();
                let value = match like {
                    Value::Number(_) => bytes.number(),
                    Value::Bool(value) => (!value).into(),
                    Value::String(_) => bytes.text().into(),
                    Value::Array(mut list) => {
                        list.push(bytes.value(1));
                        list.into()
                    }
                    Value::Object(mut object) => {
                        object.insert(bytes.text(), bytes.value(1));
                        object.into()
                    }
                    Value::Null => bytes.value(1),
                };
                if let Some(place) = document.pointer_mut(&pointer) {
                    *place = value;
                }
            }
        }
    }
}

fn list(value: &Value, pointer: String, found: &mut Vec<String>) {
    match value {
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| list(item, format!("{pointer}/{index}"), found));
        }
        Value::Object(object) => object
            .iter()
            .for_each(|(name, item)| list(item, format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1")), found)),
        _ => {}
    }
    found.push(pointer);
}

fn remove(document: &mut Value, pointer: &str) {
    let Some((parent, name)) = pointer.rsplit_once('/') else { return };
    match document.pointer_mut(parent) {
        Some(Value::Object(object)) => drop(object.remove(&name.replace("~1", "/").replace("~0", "~"))),
        Some(Value::Array(list)) => {
            if let Some(index) = name.parse::<usize>().ok().filter(|index| *index < list.len()) {
                list.remove(index);
            }
        }
        _ => {}
    }
}

/// An entry of a list once more, so many times.
fn repeat(document: &mut Value, pointer: &str, times: usize) {
    let Some((parent, name)) = pointer.rsplit_once('/') else { return };
    let Some(Value::Array(list)) = document.pointer_mut(parent) else { return };
    if let Some(item) = name.parse::<usize>().ok().and_then(|index| list.get(index).cloned()) {
        list.extend(std::iter::repeat_n(item, times));
    }
}

/// A machine with everything, and one with nothing.
pub fn hosts() -> [Host; 2] {
    let level = |path: &str, exists| CgroupLevel {
        path: path.to_string(),
        exists,
        populated: false,
        frozen: false,
        controllers: "cpuset cpu io memory hugetlb pids rdma misc".split(' ').map(str::to_string).collect(),
        enabled: vec!["cpu".to_string()],
    };
    let levels =
        vec![level("/sys/fs/cgroup", true), level("/sys/fs/cgroup/fuzz", false), level("/sys/fs/cgroup/fuzz/one", false)];
    let whole = Host {
        rootfs: "/bundle/rootfs".to_string(),
        cgroup: Some(CgroupHost { levels }),
        last_capability: 40,
        in_user_namespace: false,
        home: Some("/root".to_string()),
    };
    let bare = Host { cgroup: None, last_capability: 0, in_user_namespace: true, home: None, ..whole.clone() };
    [whole, bare]
}
