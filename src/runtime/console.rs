//! `run` in the foreground: hand signals on, carry bytes between our terminal and the container's, and come back with
//! the container's exit status.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, read, write};

use super::error::RuntimeError;
use super::lifecycle::Created;
use crate::sys::{self, Terminal};

/// Signals that stay ours: those that the kernel sends for our own doings, and those that cannot be caught.
const OURS: [Signal; 9] = [
    Signal::SIGCHLD,
    Signal::SIGKILL,
    Signal::SIGSTOP,
    Signal::SIGPIPE,
    Signal::SIGSEGV,
    Signal::SIGBUS,
    Signal::SIGILL,
    Signal::SIGFPE,
    Signal::SIGABRT,
];

/// Signals that wait for [`foreground`] from now on instead of ending us.
pub struct Signals(SignalFd);

impl Signals {
    /// Blocks every signal that a container may be sent through us. Call it before the container is made, so that none
    /// is lost in between.
    pub fn catch() -> io::Result<Signals> {
        let mut set = SigSet::all();
        OURS.iter().for_each(|signal| set.remove(*signal));
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&set), None)?;
        Ok(Signals(SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?))
    }
}

/// Hands the master of a container's terminal over to whoever listens on the console socket. The message beside it is the
/// name that runc sends.
pub fn send_terminal(socket: &UnixStream, master: &OwnedFd) -> Result<(), RuntimeError> {
    send(socket, b"/dev/pts/ptmx", master, "send the terminal over the console socket")
}

/// Hands a descriptor of a container's first process over to whoever listens on the pidfd socket, named as runc names it.
pub fn send_process(socket: &UnixStream, pidfd: &OwnedFd) -> Result<(), RuntimeError> {
    send(socket, b"standard", pidfd, "send the process over the pidfd socket")
}

fn send(socket: &UnixStream, name: &[u8], descriptor: &OwnedFd, what: &str) -> Result<(), RuntimeError> {
    sys::send_message(socket.as_fd(), name, Some(descriptor.as_fd()))
        .map_err(|failure| RuntimeError::Call { what: what.to_string(), cause: failure.to_string() })
}

/// Stays with a running container until its first process ends. Returns its exit status, or 128 + its last signal.
pub fn foreground(container: &Created, signals: &Signals) -> Result<u8, RuntimeError> {
    let raw = container.terminal.as_ref().and_then(|_| Terminal::raw(rustix::stdio::stdin()));
    if let Some(master) = &container.terminal {
        copy_window_size(master);
    }
    let mut relay =
        Relay { container, input_open: container.terminal.is_some(), output_open: container.terminal.is_some() };
    loop {
        match relay.turn(signals) {
            Ok(true) => {}
            Ok(false) => break,
            Err(errno) => return Err(RuntimeError::io("stay with the container", &errno.into())),
        }
    }
    relay.drain();
    drop(raw);
    sys::wait_for_exit(container.pidfd.as_fd())
        .map_err(|errno| RuntimeError::io("wait for the container", &errno.into()))
}

struct Relay<'a> {
    container: &'a Created,
    /// Our stdin has not ended.
    input_open: bool,
    /// The container's side of its terminal is open.
    output_open: bool,
}

impl Relay<'_> {
    /// Waits for something to happen and handles it; false when the container's process has ended.
    fn turn(&mut self, signals: &Signals) -> Result<bool, Errno> {
        let stdin = rustix::stdio::stdin();
        let master = self.container.terminal.as_ref();
        let mut waiting = vec![
            PollFd::new(&self.container.pidfd, PollFlags::IN),
            PollFd::from_borrowed_fd(signals.0.as_fd(), PollFlags::IN),
        ];
        if let Some(master) = master.filter(|_| self.output_open) {
            waiting.push(PollFd::new(master, PollFlags::IN));
        }
        if self.input_open {
            waiting.push(PollFd::from_borrowed_fd(stdin, PollFlags::IN));
        }
        match poll(&mut waiting, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
        let ready: Vec<bool> = waiting.iter().map(|fd| !fd.revents().is_empty()).collect();
        if ready[1] {
            self.hand_on(signals);
        }
        let mut next = 2;
        if let Some(master) = master.filter(|_| self.output_open) {
            if ready[next] {
                self.output_open = copy(master.as_fd(), rustix::stdio::stdout());
            }
            next += 1;
        }
        if let Some(master) = master.filter(|_| self.input_open)
            && ready.get(next) == Some(&true)
        {
            self.input_open = copy(stdin, master.as_fd());
        }
        Ok(!ready[0])
    }

    /// Hands every waiting signal to the container's process; a new window size goes to its terminal.
    fn hand_on(&self, signals: &Signals) {
        while let Ok(Some(info)) = signals.0.read_signal() {
            match (info.ssi_signo as i32, &self.container.terminal) {
                (signal, Some(master)) if signal == Signal::SIGWINCH as i32 => copy_window_size(master),
                // It may have ended already; the next turn sees that.
                (signal, _) => drop(sys::send_signal(self.container.pidfd.as_fd(), signal)),
            }
        }
    }

    /// What the container wrote before it ended is still in its terminal.
    fn drain(&mut self) {
        let Some(master) = &self.container.terminal else { return };
        while self.output_open {
            let mut waiting = [PollFd::new(master, PollFlags::IN)];
            let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
            match poll(&mut waiting, Some(&now)) {
                Ok(1) => self.output_open = copy(master.as_fd(), rustix::stdio::stdout()),
                _ => return,
            }
        }
    }
}

fn copy_window_size(master: &OwnedFd) {
    if let Some(size) = sys::window_size(rustix::stdio::stdin()).or_else(|| sys::window_size(rustix::stdio::stdout())) {
        // A terminal without the right size is still a terminal.
        let _ = sys::set_window_size(master.as_fd(), size);
    }
}

/// Copies what is there to read; false at the end of it. A terminal whose other side has closed answers EIO.
fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> bool {
    let mut buffer = [0; 8192];
    let length = match read(from, &mut buffer) {
        Ok(0) => return false,
        Ok(length) => length,
        Err(Errno::INTR | Errno::AGAIN) => return true,
        Err(_) => return false,
    };
    let mut rest = &buffer[..length];
    while !rest.is_empty() {
        match write(to, rest) {
            Ok(written) => rest = &rest[written..],
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => return false,
        }
    }
    true
}
