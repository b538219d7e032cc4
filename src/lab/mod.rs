//! Guided labs: a script of steps, a real shell, and the kernel's own files as the judge.
//!
//! Nothing here prints and nothing here runs a container: a lab drives the machine and our binary as a user would.

pub mod lang;
pub mod quantity;
pub mod requires;

pub mod check;
pub mod container;
pub mod net;
pub mod pod;
pub mod script;

pub mod judge;
pub mod read;
pub mod say;

pub mod attempt;
pub mod cannot;
pub mod cgroup;
pub mod gauge;
pub mod guide;
pub mod interrupt;
pub mod machine;
pub mod place;
pub mod processes;
pub mod progress;
pub mod record;
pub mod report;
pub mod residue;
pub mod run;
pub mod scaffold;
pub mod scene;
pub mod seeds;
pub mod trial;
pub mod typist;

mod front;
mod front_check;
pub mod library;
mod lint;
pub mod prose;
