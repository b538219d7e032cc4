//! A tar entry with its extensions applied: what `archive.rs` reads and `tree/` makes.

use super::sparse::Sparse;

/// Name and value of an extended attribute.
pub(super) type Attribute = (Vec<u8>, Vec<u8>);

/// What an entry becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Directory,
    Symlink,
    Hardlink,
    Character,
    Block,
    Fifo,
}

/// One entry, its extensions applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) path: Vec<u8>,
    /// What a symlink or hard link leads to.
    pub(super) link: Vec<u8>,
    pub(super) kind: Kind,
    /// Bytes of the file, without the holes of a sparse one.
    pub(super) size: u64,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Seconds since 1970, and nanoseconds.
    pub(super) mtime: (i64, u32),
    /// Major and minor number of a device.
    pub(super) device: (u32, u32),
    pub(super) attributes: Vec<Attribute>,
    pub(super) sparse: Option<Sparse>,
}
