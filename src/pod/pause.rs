//! The pause process of a sandbox: it does nothing, and so holds the namespaces that it is in. As PID 1 of a shared PID
//! namespace it reaps what others leave behind (Kubernetes' `build/pause/linux/pause.c`).

use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};

/// The name by which the program is called as the pause process.
pub const NAME: &str = "/pause";

/// Waits until it is told to end (SIGINT, SIGTERM). SIGHUP, which a shell in the pod may send to PID 1, changes nothing.
pub fn run() -> nix::Result<()> {
    let mut signals = SigSet::empty();
    [Signal::SIGCHLD, Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM].into_iter().for_each(|one| signals.add(one));
    // Blocked, they wait to be taken: none is lost, and no handler is needed.
    signals.thread_block()?;
    loop {
        match signals.wait()? {
            Signal::SIGINT | Signal::SIGTERM => return Ok(()),
            Signal::SIGCHLD => {
                while matches!(waitpid(None, Some(WaitPidFlag::WNOHANG)), Ok(status) if status != WaitStatus::StillAlive)
                {
                }
            }
            _ => {}
        }
    }
}
