//! What steps are made of: ids, paths, mounts.

use std::ffi::CString;

/// Whose ids a map is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdKind {
    /// /proc/PID/uid_map
    User,
    /// /proc/PID/gid_map
    Group,
}

/// One line of an id map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdRange {
    /// First id inside.
    pub inside: u32,
    /// First id outside.
    pub outside: u32,
    /// How many.
    pub count: u32,
}

/// A path below the container's root, split so that the process can walk it without allocating.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootfsPath {
    /// Relative, clean: `dev/pts`. The root itself is `.`.
    pub path: CString,
    /// Its parents, shortest first: `dev`.
    pub parents: Vec<CString>,
}

/// What a new or cloned mount is given (mount_setattr(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MountAttributes {
    /// MOUNT_ATTR_* bits to set.
    pub set: u64,
    /// MOUNT_ATTR_* bits to clear first.
    pub clear: u64,
    /// Bits to set on the mount and all below it.
    pub set_all: u64,
    /// Bits to clear on the mount and all below it.
    pub clear_all: u64,
}

/// One fsconfig(2) parameter of a new file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FsParameter {
    /// `ro`, `newinstance`
    Flag(CString),
    /// `size`, `65536k`
    Value(CString, CString),
}

/// A file system that does not exist yet (fsopen(2)), and its first mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filesystem {
    /// `proc`, `tmpfs` …
    pub fstype: CString,
    /// What /proc/mounts shows as the device.
    pub source: CString,
    /// File system parameters.
    pub parameters: Vec<FsParameter>,
    /// MOUNT_ATTR_* of the mount.
    pub attributes: u64,
}

impl RootfsPath {
    /// A path in the container, absolute or relative, made clean without looking at any file: `..` stops at the root.
    pub fn new(path: &str) -> Self {
        let mut parts: Vec<&str> = Vec::new();
        for part in path.split('/') {
            match part {
                "" | "." => {}
                ".." => drop(parts.pop()),
                part => parts.push(part),
            }
        }
        if parts.is_empty() {
            return RootfsPath { path: c".".to_owned(), parents: Vec::new() };
        }
        let prefix = |n: usize| c_string(&parts[..n].join("/"));
        RootfsPath { path: prefix(parts.len()), parents: (1..parts.len()).map(prefix).collect() }
    }

    /// The path as seen in the container: `/dev/pts`.
    pub fn in_container(&self) -> String {
        match self.path.to_bytes() {
            b"." => "/".to_string(),
            path => format!("/{}", String::from_utf8_lossy(path)),
        }
    }
}

/// A C string of `text`. Validation has refused NUL bytes in every field that gets here.
pub(in crate::plan) fn c_string(text: &str) -> CString {
    CString::new(text).expect("validation refuses NUL bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rootfs_paths_are_clean_and_know_their_parents() {
        let path = RootfsPath::new("/a/./b//../c/");
        assert_eq!((path.path.as_c_str(), path.parents), (c"a/c", vec![c"a".to_owned()]));
        assert_eq!(RootfsPath::new("../../etc").in_container(), "/etc");
        assert_eq!(RootfsPath::new("/").in_container(), "/");
    }
}
