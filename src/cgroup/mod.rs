//! cgroup v2: a control group is a directory, and every limit is a file in it.
//!
//! `resources.rs` computes what to write, `dir.rs` holds one open cgroup and reads and writes its files, `devices.rs`
//! makes the program that takes the place of a device file, `scope/` and `systemd.rs` have systemd make a cgroup, `stat.rs` reads what a cgroup uses, `tree.rs` makes many
//! cgroups at once, `live.rs` knows how the kernel shows what was written.

mod devices;
mod dir;
mod hugetlb;
pub mod live;
pub mod resources;
pub mod scope;
pub mod stat;
pub mod systemd;

pub mod tree;

pub use dir::{Cgroup, CgroupError, Watched, mount_point};
pub use hugetlb::HugePages;
pub use resources::Write;
