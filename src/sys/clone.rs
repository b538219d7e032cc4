//! clone3(2): one call that makes the process, its namespaces, its place in a cgroup and our handle on it.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::Errno;

use super::call::{Call, Failure};
use super::witness::{Arg, Bits, Outcome, Place};
use super::{alloc_guard, process};

/// A process that we made.
#[derive(Debug)]
pub struct Spawned {
    /// Its id, in our PID namespace.
    pub pid: i32,
    /// A descriptor that means this process and no later one of the same id (pidfd_open(2)).
    pub pidfd: OwnedFd,
}

/// struct clone_args of linux/sched.h, up to `cgroup` (CLONE_ARGS_SIZE_VER2, Linux 5.7).
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

const CLONE_PIDFD: u64 = 0x0000_1000;
const CLONE_PARENT: u64 = 0x0000_8000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Starts a process with `namespaces` (CLONE_NEW* flags), born in `cgroup`, that runs `child` and exits with its result.
///
/// The child has a copy of our memory and our descriptors. Signals are unblocked and SIGPIPE is at its default in it.
pub fn spawn(namespaces: u64, cgroup: Option<BorrowedFd<'_>>, child: impl FnOnce() -> i32) -> Result<Spawned, Failure> {
    let into_cgroup = if cgroup.is_some() { CLONE_INTO_CGROUP } else { 0 };
    let args = CloneArgs {
        flags: namespaces | into_cgroup,
        exit_signal: libc::SIGCHLD as u64,
        cgroup: cgroup.map_or(0, |fd| fd.as_raw_fd() as u64),
        ..CloneArgs::default()
    };
    clone3(args, child)
}

/// As [`spawn`], but the new process is a child of our parent and not of us (CLONE_PARENT), in our own cgroup.
pub fn spawn_sibling(namespaces: u64, child: impl FnOnce() -> i32) -> Result<Spawned, Failure> {
    // The kernel takes the signal at its end from us, and refuses another one here.
    clone3(CloneArgs { flags: namespaces | CLONE_PARENT, ..CloneArgs::default() }, child)
}

fn clone3(mut args: CloneArgs, child: impl FnOnce() -> i32) -> Result<Spawned, Failure> {
    let mut pidfd: RawFd = -1;
    args.flags |= CLONE_PIDFD;
    args.pidfd = &raw mut pidfd as u64;
    let place = Place::reserve();
    // SAFETY: `args` is a valid clone_args of the given size and outlives the call; without CLONE_VM the child works on
    // a copy of this stack, and no other thread exists that could hold a lock at this moment (the runtime path is
    // single-threaded, see architecture.md).
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>()) };
    let told = [Arg::Bits(Bits::Clone, args.flags), Arg::Number(args.cgroup as i64)];
    let told = if args.flags & CLONE_INTO_CGROUP != 0 { &told[..] } else { &told[..1] };
    match pid {
        -1 => {
            let errno = last_errno();
            place.tell(Call::Clone3, told, Outcome::Failed(errno));
            Err(Call::Clone3.failed(errno))
        }
        0 => {
            alloc_guard::forbid();
            process::reset_signals();
            let status = child();
            // SAFETY: _exit takes a number; it runs none of the parent's destructors or exit handlers.
            unsafe { libc::_exit(status) }
        }
        pid => {
            place.tell(Call::Clone3, told, Outcome::Returned(pid));
            // SAFETY: the kernel stored a new descriptor there that nobody else owns (CLONE_PIDFD).
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Spawned { pid: pid as i32, pidfd })
        }
    }
}

/// The error of the last libc call of this thread.
pub(super) fn last_errno() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    /// The child may only run what neither allocates nor locks: other tests run in threads beside this one.
    #[test]
    fn a_child_that_keeps_the_rules_ends_with_its_status() {
        let child = spawn(0, None, || 42).expect("clone3");
        assert_eq!(process::wait_for_exit(child.pidfd.as_fd()), Ok(42));
    }

    #[cfg(debug_assertions)]
    #[test]
    fn a_child_that_allocates_is_ended_before_it_does() {
        let child = spawn(0, None, || *std::hint::black_box(Box::new(7))).expect("clone3");
        assert_eq!(process::wait_for_exit(child.pidfd.as_fd()), Ok(128 + libc::SIGABRT as u8));
    }
}
