//! Doing what a plan says, and keeping track of what was done.
//!
//! Read `lifecycle.rs` first: it has the commands. `launch.rs` carries out a plan from outside, `init/` from inside the
//! new process; `state.rs` keeps what the next command must know.

mod bundle;
mod console;
mod control;
mod error;
mod events;
mod exec;
mod hooks;
mod host;
pub mod identity;
mod idmap;
mod init;
mod launch;
mod lifecycle;
pub mod narrate;
mod notify;
pub mod probe;
mod rootless;
mod seal;
mod seccomp;
mod shown;
mod signal;
mod state;
pub mod survey;
mod undo;
mod view;
mod wire;
mod without_cgroup;

pub use crate::plan::Options;
pub use bundle::{Bundle, MAX_CONFIG};
pub use console::{Signals, foreground, send_process, send_terminal};
pub use control::{freeze, processes, update};
pub use error::RuntimeError;
pub use events::{Event, Stats, Watch, stats, watch};
pub use exec::{Request, exec};
pub use lifecycle::{Created, Until, abandon, create, delete, kill, plan, start};
pub use narrate::Voice;
pub use notify::Notify;
pub use seal::seal;
pub use signal::{SignalError, signal_number};
pub use state::{Entry, Record, Status, Store, write_whole};
pub use view::{View, view};
