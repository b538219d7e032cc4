//! Ctrl-C and its kin, as a fact to ask for instead of a death: whoever runs a lab must clean up first.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::SignalFd;

/// The last of the signals that ask a program to end, if one came.
#[derive(Debug, Clone)]
pub struct Interrupt(Arc<AtomicI32>);

impl Interrupt {
    /// Takes over SIGINT, SIGTERM, SIGHUP and SIGQUIT for the rest of the process's life. Call it before starting threads.
    ///
    /// SIGTTOU is blocked with them: a runner may then take the terminal back from a shell that died (tcsetpgrp(3)).
    /// Whatever is started for the learner has to begin with none of them blocked: [`crate::sys::begin_unblocked`].
    ///
    /// # Errors
    /// If the kernel refuses a signal mask or a signalfd.
    pub fn take_over() -> io::Result<Interrupt> {
        let asked = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT];
        let mut mask = SigSet::empty();
        asked.iter().for_each(|signal| mask.add(*signal));
        let waited = mask;
        mask.add(Signal::SIGTTOU);
        mask.thread_block()?;
        let fd = SignalFd::new(&waited)?;
        let seen = Arc::new(AtomicI32::new(0));
        let last = Arc::clone(&seen);
        thread::Builder::new().name("signals".to_string()).spawn(move || {
            while let Ok(Some(signal)) = fd.read_signal() {
                last.store(i32::try_from(signal.ssi_signo).unwrap_or(Signal::SIGTERM as i32), Ordering::SeqCst);
            }
        })?;
        Ok(Interrupt(seen))
    }

    /// One that never comes.
    pub fn never() -> Interrupt {
        Interrupt(Arc::new(AtomicI32::new(0)))
    }

    /// The number of the signal that came, if one did.
    pub fn came(&self) -> Option<i32> {
        match self.0.load(Ordering::SeqCst) {
            0 => None,
            signal => Some(signal),
        }
    }
}
