//! Calls about the process itself that rustix wraps not at all, or only with an allocation.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::io::Errno;

use super::call::{Call, CallResult, Failure};
use super::clone::last_errno;
use super::witness::{Arg, Bits};

fn check(result: libc::c_long, call: Call) -> Result<(), Failure> {
    if result == -1 { Err(call.failed(last_errno())) } else { Ok(()) }
}

/// As [`check`], of a call that changes something.
pub(super) fn told(result: libc::c_long, call: Call, arguments: &[Arg<'_>]) -> Result<(), Failure> {
    let result = if result == -1 { Err(last_errno()) } else { Ok(result) };
    result.told(call, arguments).map(drop)
}

/// Unblocks all signals and gives SIGPIPE, which Rust's start-up code ignores, its default action back.
pub fn reset_signals() {
    // SAFETY: an empty set is made by sigemptyset before it is read; SIG_DFL is a valid action for SIGPIPE.
    unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
    }
}

/// A program that is about to be started begins with no signal blocked: a mask is inherited through fork and execve, and
/// std's Command leaves it as it is.
pub fn begin_unblocked(command: &mut Command) {
    // SAFETY: between fork and execve reset_signals calls sigemptyset, sigprocmask and signal, all of them async-signal-safe
    // (signal-safety(7)), and nothing else.
    unsafe {
        command.pre_exec(|| {
            reset_signals();
            Ok(())
        })
    };
}

/// prctl(PR_SET_DUMPABLE, 0): until execve no process of our user may trace us or look at our descriptors (proc(5)).
pub fn hide_from_tracers() -> Result<(), Failure> {
    // SAFETY: this prctl takes numbers only.
    let result = unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) };
    told(result.into(), Call::Prctl, &[Arg::Word("PR_SET_DUMPABLE"), Arg::Number(0)])
}

/// setgroups(2).
pub fn set_groups(groups: &[u32]) -> Result<(), Failure> {
    // SAFETY: the pointer and the length are those of one slice of gid_t; the raw call changes this thread only, and
    // there is no other.
    let result = unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) };
    told(result, Call::Setgroups, &[Arg::Number(groups.len() as i64), Arg::Word("[...]")])
}

/// personality(2).
pub fn set_personality(domain: u32) -> Result<(), Failure> {
    // SAFETY: personality takes a number only.
    let result = unsafe { libc::personality(libc::c_ulong::from(domain)) };
    let domain = match domain {
        0 => Arg::Word("PER_LINUX"),
        8 => Arg::Word("PER_LINUX32"),
        other => Arg::Bits(Bits::Hex, other.into()),
    };
    told(result.into(), Call::Personality, &[domain])
}

/// prctl(PR_CAPBSET_DROP).
pub fn drop_bounding(capability: u8) -> Result<(), Failure> {
    // SAFETY: this prctl takes numbers only.
    let result = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, libc::c_ulong::from(capability), 0, 0, 0) };
    let which = Arg::Bits(Bits::Capabilities, 1 << capability);
    told(result.into(), Call::Prctl, &[Arg::Word("PR_CAPBSET_DROP"), which])
}

/// prctl(PR_CAP_AMBIENT_RAISE).
pub fn raise_ambient(capability: u8) -> Result<(), Failure> {
    let number = libc::c_ulong::from(capability);
    // SAFETY: this prctl takes numbers only.
    let result =
        unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE as libc::c_ulong, number, 0, 0) };
    let which = Arg::Bits(Bits::Capabilities, 1 << capability);
    told(result.into(), Call::Prctl, &[Arg::Word("PR_CAP_AMBIENT"), Arg::Word("PR_CAP_AMBIENT_RAISE"), which])
}

/// The highest capability number that this kernel knows.
pub fn last_capability() -> u8 {
    // SAFETY: this prctl takes numbers only, and answers EINVAL for a number that is no capability.
    let known = |number: u8| unsafe { libc::prctl(libc::PR_CAPBSET_READ, libc::c_ulong::from(number), 0, 0, 0) } >= 0;
    // CAP_CHECKPOINT_RESTORE (40) came with Linux 5.9; going up from it is one or two calls, down only on older ones.
    let mut last = 40;
    while last < 63 && known(last + 1) {
        last += 1;
    }
    while last > 0 && !known(last) {
        last -= 1;
    }
    last
}

/// Closes every descriptor from `first` on but `keep` (close_range(2)). Only for a child that is about to execve: its
/// parent's owners of these descriptors do not exist in it.
pub fn close_all_but(first: u32, mut keep: [Option<BorrowedFd<'_>>; 2]) -> Result<(), Failure> {
    keep.sort_unstable_by_key(|fd| fd.map_or(i32::MAX, |fd| fd.as_raw_fd()));
    let mut start = first;
    for fd in keep.into_iter().flatten() {
        let fd = fd.as_raw_fd() as u32;
        if fd > start {
            close_range(start, fd - 1)?;
        }
        start = start.max(fd + 1);
    }
    close_range(start, u32::MAX)
}

fn close_range(first: u32, last: u32) -> Result<(), Failure> {
    // SAFETY: in the child of clone3 no destructor of the parent runs, so nothing uses a closed descriptor as its own.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    told(result, Call::CloseRange, &[Arg::Number(first.into()), Arg::Number(last.into()), Arg::Number(0)])
}

/// Whether the working directory lies below the root: getcwd(2) says `(unreachable)` of one that does not.
pub fn cwd_is_reachable() -> Result<bool, Failure> {
    let mut buffer = [0_u8; libc::PATH_MAX as usize];
    // SAFETY: the kernel writes at most `buffer.len()` bytes.
    check(unsafe { libc::syscall(libc::SYS_getcwd, buffer.as_mut_ptr(), buffer.len()) }, Call::Getcwd)?;
    Ok(buffer[0] == b'/')
}

/// prlimit(2) of another process: `resource` is one of RLIMIT_*.
pub fn prlimit(pid: i32, resource: u32, soft: u64, hard: u64) -> Result<(), Failure> {
    let limit = libc::rlimit64 { rlim_cur: soft, rlim_max: hard };
    // SAFETY: `limit` is a valid rlimit64 that outlives the call; no old value is asked for.
    let result = unsafe {
        libc::syscall(libc::SYS_prlimit64, pid, resource, &raw const limit, std::ptr::null_mut::<libc::rlimit64>())
    };
    let (pid, resource) = (Arg::Number(pid.into()), Arg::Number(resource.into()));
    told(result, Call::Prlimit, &[pid, resource, Arg::Number(soft as i64), Arg::Number(hard as i64)])
}

/// pidfd_send_signal(2); `signal` is 0 (is it there?) to 64.
pub fn send_signal(pidfd: BorrowedFd<'_>, signal: i32) -> Result<(), Errno> {
    let info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: a null siginfo asks the kernel to make one, as kill(2) does.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, info, 0) };
    let arguments = [Arg::Fd(pidfd), Arg::Number(signal.into())];
    told(result, Call::PidfdSendSignal, &arguments).map_err(|failure| failure.errno)
}

/// Waits for a child of ours to end, and says how a shell would: its exit status, or 128 + the signal that ended it.
pub fn wait_for_exit(pidfd: BorrowedFd<'_>) -> Result<u8, Errno> {
    // SAFETY: siginfo_t is plain data, for which all zeroes is a valid value.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: the kernel fills `info`, which is a valid siginfo_t; P_PIDFD takes a descriptor as the id.
        let result =
            unsafe { libc::waitid(libc::P_PIDFD, pidfd.as_raw_fd() as libc::id_t, &raw mut info, libc::WEXITED) };
        match (result, last_errno()) {
            (0, _) => break,
            (_, Errno::INTR) => {}
            (_, errno) => return Err(errno),
        }
    }
    // SAFETY: waitid succeeded with WEXITED, so the SIGCHLD fields are the ones that are set.
    let status = unsafe { info.si_status() };
    Ok(if info.si_code == libc::CLD_EXITED { status as u8 } else { 128_u8.wrapping_add(status as u8) })
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_program_begins_with_no_signal_blocked() {
        let blocked = |unblock: bool| {
            let mut mask = nix::sys::signal::SigSet::empty();
            mask.add(nix::sys::signal::Signal::SIGTERM);
            // A thread of its own, so that no other test is deaf.
            std::thread::spawn(move || {
                mask.thread_block().expect("a mask");
                let mut command = std::process::Command::new("grep");
                command.args(["SigBlk", "/proc/self/status"]);
                if unblock {
                    super::begin_unblocked(&mut command);
                }
                String::from_utf8(command.output().expect("grep runs").stdout).expect("text")
            })
            .join()
            .expect("no panic")
        };
        assert_eq!(blocked(false), "SigBlk:\t0000000000004000\n");
        assert_eq!(blocked(true), "SigBlk:\t0000000000000000\n");
    }
}
