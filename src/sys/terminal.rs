//! Terminal calls: the pseudo terminal of a container (pty(7), ioctl_tty(2)) and the raw mode of ours.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::termios::{OptionalActions, Termios, Winsize, tcgetattr, tcsetattr, tcsetwinsize};

use super::call::{Call, CallResult, Failure};
use super::clone::last_errno;
use super::process::told;
use super::witness::Arg;

/// Unlocks the pseudo terminal of `master` and opens its other side by TIOCGPTPEER, which looks up no path that a
/// container could have replaced.
pub fn open_peer(master: BorrowedFd<'_>) -> Result<OwnedFd, Failure> {
    let unlocked: libc::c_int = 0;
    // SAFETY: TIOCSPTLCK reads one int.
    let result = unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK, &raw const unlocked) };
    told(result.into(), Call::Ioctl, &[Arg::Fd(master), Arg::Word("TIOCSPTLCK"), Arg::Word("[0]")])?;
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: TIOCGPTPEER takes open flags as a number and returns a new descriptor.
    match unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCGPTPEER, flags) } {
        -1 => Err(Call::Ioctl.failed(last_errno())),
        // SAFETY: the kernel just made this descriptor for us.
        fd => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
    }
}

/// Makes `terminal` the controlling terminal of our session (TIOCSCTTY).
pub fn set_controlling(terminal: BorrowedFd<'_>) -> Result<(), Failure> {
    // SAFETY: TIOCSCTTY takes a number.
    let result = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSCTTY, 0) };
    told(result.into(), Call::Ioctl, &[Arg::Fd(terminal), Arg::Word("TIOCSCTTY"), Arg::Number(0)])
}

/// Sets the size of a terminal, in rows and columns.
pub fn set_window_size(terminal: BorrowedFd<'_>, (rows, columns): (u16, u16)) -> Result<(), Failure> {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let (rows, columns) = (Arg::Number(rows.into()), Arg::Number(columns.into()));
    tcsetwinsize(terminal, size).told(Call::Ioctl, &[Arg::Fd(terminal), Arg::Word("TIOCSWINSZ"), rows, columns])
}

/// Rows and columns of a terminal; none where `terminal` is not one.
pub fn window_size(terminal: BorrowedFd<'_>) -> Option<(u16, u16)> {
    rustix::termios::tcgetwinsize(terminal).ok().map(|size| (size.ws_row, size.ws_col))
}

/// Our terminal in raw mode; the old mode comes back when this is dropped.
pub struct Terminal {
    descriptor: OwnedFd,
    before: Termios,
}

impl Terminal {
    /// Puts `descriptor` into raw mode (cfmakeraw(3)); none where it is not a terminal.
    pub fn raw(descriptor: BorrowedFd<'_>) -> Option<Terminal> {
        let before = tcgetattr(descriptor).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(descriptor, OptionalActions::Now, &raw).ok()?;
        Some(Terminal { descriptor: descriptor.try_clone_to_owned().ok()?, before })
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // There is nobody to tell if the terminal is gone.
        let _ = tcsetattr(self.descriptor.as_fd(), OptionalActions::Now, &self.before);
    }
}
