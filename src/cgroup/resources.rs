//! Which files of a cgroup get which values. Pure: computes writes, and writes nothing.

/// One value for one file of a cgroup directory, with the reason a reader may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// File name inside the cgroup directory, such as `cpu.max`.
    pub file: String,
    /// What is written, without a newline, in the kernel's spelling: `50000 100000`, `max`, `39`.
    pub value: String,
    /// Where the value comes from: a `config.json` field, or a formula with its numbers filled in.
    pub because: String,
}
