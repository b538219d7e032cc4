//! The only unsafe code: system calls that nix and rustix do not have, and what must hold around `clone3`.
//!
//! Everything here is safe to call. What runs between clone3(2) and execve(2) takes `&CStr`, numbers and descriptors,
//! and allocates nothing; debug builds check that (`alloc_guard.rs`).

mod alloc_guard;
#[cfg(all(target_env = "musl", not(debug_assertions)))]
mod allocator;
mod bpf;
mod call;
mod clone;
mod exec;
pub mod feature;
mod keyring;
mod mount;
mod net;
mod process;
mod schedule;
mod seccomp;
mod socket;
mod terminal;
pub mod witness;

pub use bpf::{Instruction, attach_device_filter, load_device_filter};
pub use call::{Call, CallResult, Failure, errno_name};
pub use clone::{Spawned, spawn, spawn_sibling};
pub use exec::{CStringArray, execute_file, execve};
pub use keyring::join_session_keyring;
pub use mount::{mount_map_ids, mount_set_attributes, set_propagation};
pub use net::bring_up;
pub use process::{
    begin_unblocked, close_all_but, cwd_is_reachable, drop_bounding, hide_from_tracers, last_capability, prlimit,
    raise_ambient, reset_signals, send_signal, set_groups, set_personality, wait_for_exit,
};
pub use schedule::{SchedAttr, set_cpu_affinity, set_io_priority, set_scheduler};
pub use seccomp::load_seccomp_filter;
pub use socket::{receive_message, send_message};
pub use terminal::{Terminal, open_peer, set_controlling, set_window_size, window_size};
pub use witness::{Arg, Bits, Outcome, Witness};
