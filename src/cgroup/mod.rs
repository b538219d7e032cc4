//! cgroup v2: a control group is a directory, and every limit is a file in it.

pub mod resources;

pub mod tree;

pub use resources::Write;
