//! Tests that need root and a cgroup v2 kernel. They run in the test VM: `rootfs-scripts/vm test`.
//!
//! They start containers, mount, and write cgroup files, so outside the VM every one of them fails at once
//! ([`support::machine`] is the gate) and says where it belongs.

mod calls;
#[path = "../cli/console.rs"]
#[allow(dead_code)]
mod console;
mod control;
mod defences;
mod doctor;
// Its figures are read by whoever runs it: make endure.
#[allow(clippy::print_stdout)]
mod endurance;
mod equivalence;
mod events;
mod exec;
mod guided;
mod honest;
mod hooks;
mod image;
#[path = "../image/build.rs"]
#[allow(dead_code)]
mod image_build;
mod lab;
mod levels;
mod machine;
mod mounts;
mod namespaces;
mod net;
mod pod;
mod qos;
mod readme;
mod rootless;
mod runtime;
mod seccomp;
// Its figures are read by whoever runs it: make soak.
#[allow(clippy::print_stdout)]
mod soak;
#[allow(dead_code)]
mod support;
mod view;
mod why;
mod without;
