//! The steps about the process itself: where it is, who it is, what it becomes.

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{Access, AtFlags, CWD, FileType, accessat, statat};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::process::{Gid, Uid, chdir};
use rustix::thread::{
    CapabilitySet, CapabilitySets, set_capabilities as capset, set_keep_capabilities, set_thread_res_gid,
    set_thread_res_uid,
};

use super::super::wire::Message;
use crate::plan::RootfsPath;
use crate::sys::{self, Arg, Bits, CStringArray, Call, CallResult, Failure, witness};

/// The root is the container's by now, and the path is relative to it.
pub(super) fn change_directory(target: &RootfsPath) -> Result<(), Failure> {
    chdir(c"/").told(Call::Chdir, &[Arg::Text(b"/")])?;
    chdir(target.path.as_c_str()).told(Call::Chdir, &[Arg::Text(target.path.to_bytes())])?;
    // A descriptor of the host's that leaked in could be reached as /proc/self/fd/N (CVE-2024-21626).
    match sys::cwd_is_reachable()? {
        true => Ok(()),
        false => Err(Call::Getcwd.failed(Errno::NOENT)),
    }
}

pub(super) fn new_session_keyring(name: &CStr) -> Result<(), Failure> {
    match sys::join_session_keyring(name) {
        Err(Failure { errno: Errno::NOSYS | Errno::DQUOT, .. }) => Ok(()),
        result => result,
    }
}

pub(super) fn set_cpu_affinity(mask: &[u64]) -> Result<(), Failure> {
    match sys::set_cpu_affinity(mask) {
        Err(Failure { errno: Errno::INVAL, .. }) => Ok(()),
        result => result,
    }
}

pub(super) fn switch_user(uid: u32, gid: u32, groups: Option<&[u32]>) -> Result<(), Failure> {
    set_keep_capabilities(true).told(Call::Prctl, &[Arg::Word("PR_SET_KEEPCAPS"), Arg::Number(1)])?;
    if let Some(groups) = groups {
        sys::set_groups(groups)?;
    }
    let (told_gid, told_uid) = ([Arg::Number(gid.into()); 3], [Arg::Number(uid.into()); 3]);
    let (gid, uid) = (Gid::from_raw(gid), Uid::from_raw(uid));
    set_thread_res_gid(gid, gid, gid).told(Call::Setresgid, &told_gid)?;
    set_thread_res_uid(uid, uid, uid).told(Call::Setresuid, &told_uid)?;
    set_keep_capabilities(false).told(Call::Prctl, &[Arg::Word("PR_SET_KEEPCAPS"), Arg::Number(0)])
}

pub(super) fn set_capabilities(effective: u64, permitted: u64, inheritable: u64, ambient: u64) -> Result<(), Failure> {
    let sets = CapabilitySets {
        effective: CapabilitySet::from_bits_retain(effective),
        permitted: CapabilitySet::from_bits_retain(permitted),
        inheritable: CapabilitySet::from_bits_retain(inheritable),
    };
    let told = [effective, permitted, inheritable].map(|set| Arg::Bits(Bits::Capabilities, set));
    capset(None, sets).told(Call::Capset, &told)?;
    // capset(2) has lowered the ambient set to what is still permitted and inheritable: only raising is left.
    (0..64_u8).filter(|number| ambient & (1 << number) != 0).try_for_each(sys::raise_ambient)
}

/// Loads a filter that asks somebody, and returns where it asks. The parent is told beforehand which number that descriptor
/// will have, the lowest free one (seccomp(2) makes it as open(2) would): the filter may forbid sending it, or may leave that
/// to the agent who is still to get it.
pub(super) fn load_notifying_filter(
    sync: BorrowedFd<'_>,
    instructions: &[[u8; 8]],
    flags: u32,
) -> Result<OwnedFd, Failure> {
    witness::go_blind();
    let free = fcntl_dupfd_cloexec(sync, 0).of(Call::Fcntl)?;
    let number = free.as_raw_fd();
    drop(free);
    Message::Filter { number }.send(sync, None)?;
    sys::load_seccomp_filter(instructions, flags)?.ok_or(Call::Seccomp.failed(Errno::BADF))
}

/// The first candidate that is an executable file decides; else the most telling error.
pub(super) fn find_executable(candidates: &[CString]) -> Result<usize, Failure> {
    let mut worst = Errno::NOENT;
    for (index, candidate) in candidates.iter().enumerate() {
        match executable(candidate) {
            Ok(()) => return Ok(index),
            Err(Errno::NOENT) => {}
            Err(errno) => worst = errno,
        }
    }
    Err(Call::Faccessat.failed(worst))
}

fn executable(path: &CStr) -> Result<(), Errno> {
    accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS)?;
    match FileType::from_raw_mode(statat(CWD, path, AtFlags::empty())?.st_mode) {
        FileType::RegularFile => Ok(()),
        FileType::Directory => Err(Errno::ISDIR),
        _ => Err(Errno::ACCESS),
    }
}

/// As execvp(3): an entry of PATH that has no such program, or none that we may run, is passed over.
pub(super) fn execute(candidates: &[CString], args: &CStringArray<'_>, env: &CStringArray<'_>) -> Failure {
    let mut worst = Errno::NOENT;
    for candidate in candidates {
        match sys::execve(candidate, args, env) {
            Errno::NOENT | Errno::NOTDIR => {}
            Errno::ACCESS => worst = Errno::ACCESS,
            errno => return Call::Execve.failed(errno),
        }
    }
    Call::Execve.failed(worst)
}
