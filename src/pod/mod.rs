//! Pods on this node: what a kubelet and a container runtime do with a Pod, done here.
//!
//! Read in this order: `object.rs` reads the manifest, `support.rs` says what is carried out, `state.rs` has the phase and the
//! conditions, `next.rs` decides what is done next, `backoff.rs` when; `facts.rs`, `expand.rs`, `env.rs` and `payload.rs` make
//! variables and files of what the manifest says; `log.rs` has the format of logs.

pub mod backoff;
pub mod env;
pub mod expand;
pub mod facts;
pub mod log;
pub mod next;
pub mod object;
pub mod payload;
pub mod state;
pub mod support;
