//! Seeing what runs: who shares which namespace, what each cgroup uses, and how that went over time.
//!
//! `process.rs` reads /proc, `call.rs` writes system calls as strace does; all else takes data and makes lines or pictures of it. Printing is the commands' part.

pub mod call;
pub mod compare;
pub mod compare_text;
pub mod names;
pub mod plot;
pub mod process;
#[cfg(test)]
mod samples;
pub mod text;
pub mod top;
pub mod tree;
pub mod tree_text;
