//! Pods on this node: what a kubelet and a container runtime do with a Pod, done here.
//!
//! Read in this order: `object.rs` reads the manifest and `support.rs` says what of it is carried out, with `sysctl.rs` for kernel parameters; `record.rs` keeps it on
//! disk; `images.rs` finds the files of images; `sandbox.rs` makes what a pod's containers share, and undoes it, `cgroup.rs` the cgroups of it; `supervisor.rs` is the process that keeps a pod, with
//! `managed.rs` and `running.rs` for one container and one run of it, `asker.rs`, `probe.rs`, `grpc.rs` and `tls.rs` for its probes and hooks.
//! What they decide by is pure: `state.rs` has the phase and the conditions, `next.rs` what is done next, `backoff.rs` when; `facts.rs`, `expand.rs`, `env.rs`, `payload.rs`, `seccomp.rs` and `config.rs`
//! make variables, files and config.json of what the manifest says; `status.rs` and `log.rs` have what is told, `usage.rs` what is used;
//! `resize.rs` and `pressure.rs` are for what happens to pods that run: other limits, and eviction.

pub mod asker;
pub mod backoff;
pub mod cgroup;
pub mod config;
pub mod env;
pub mod error;
pub mod expand;
pub mod facts;
pub mod grpc;
pub mod images;
pub mod log;
pub mod managed;
pub mod next;
pub mod object;
pub mod order;
pub mod pause;
pub mod payload;
pub mod pressure;
pub mod probe;
pub mod record;
pub mod resize;
pub mod running;
pub mod sandbox;
pub mod seccomp;
pub mod state;
pub mod status;
pub mod supervisor;
pub mod support;
pub mod sysctl;
pub mod tls;
pub mod usage;
pub mod volumes;
