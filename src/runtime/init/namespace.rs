//! The steps about namespaces that are there already, and about what is set in those that are the container's own.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{CWD, Mode, OFlags, PROC_SUPER_MAGIC, fstat, fstatfs, openat};
use rustix::io::Errno;

use crate::plan::{LabelKind, uapi};
use crate::sys::{Arg, Bits, Call, CallResult, Failure};

/// setns(2) refuses a file of another kind than `namespace` with EINVAL.
pub(super) fn join(path: &CStr, namespace: u64) -> Result<(), Failure> {
    let file = openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).of(Call::Openat)?;
    set(file.as_fd(), namespace)?;
    if namespace == uapi::CLONE_NEWNS { has_proc() } else { Ok(()) }
}

/// Labels and kernel parameters are written there: it must be a proc file system, and the root of it.
fn has_proc() -> Result<(), Failure> {
    const PROC_ROOT_INODE: u64 = 1;
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let proc = openat(CWD, c"/proc", flags, Mode::empty()).of(Call::Openat)?;
    let is_proc = fstatfs(&proc).of(Call::Fstatfs)?.f_type == PROC_SUPER_MAGIC;
    match is_proc && fstat(&proc).of(Call::Fstat)?.st_ino == PROC_ROOT_INODE {
        true => Ok(()),
        false => Err(Call::Fstatfs.failed(Errno::NODEV)),
    }
}

/// setns(2) with a namespace's file, or with a pidfd and all namespaces of that process that are wanted.
pub(super) fn set(file: BorrowedFd<'_>, namespaces: u64) -> Result<(), Failure> {
    let flags = nix::sched::CloneFlags::from_bits_retain(namespaces as i32);
    let result = nix::sched::setns(file, flags).map_err(|errno| Errno::from_raw_os_error(errno as i32));
    result.told(Call::Setns, &[Arg::Fd(file), Arg::Bits(Bits::Namespaces, namespaces)])
}

pub(super) fn new_time(offsets: &CStr) -> Result<(), Failure> {
    super::unshare(uapi::CLONE_NEWTIME)?;
    if !offsets.is_empty() {
        write_file(c"/proc/self/timens_offsets", offsets.to_bytes())?;
    }
    // unshare(2) has made it for children alone.
    join(c"/proc/self/ns/time_for_children", uapi::CLONE_NEWTIME)
}

pub(super) fn set_label(kind: LabelKind, text: &CStr) -> Result<(), Failure> {
    match kind {
        LabelKind::Selinux => write_file(c"/proc/thread-self/attr/exec", text.to_bytes()),
        LabelKind::Apparmor => match write_file(c"/proc/thread-self/attr/apparmor/exec", text.to_bytes()) {
            // Before Linux 5.8 security modules shared one directory.
            Err(Failure { call: Call::Openat, errno: Errno::NOENT }) => {
                write_file(c"/proc/thread-self/attr/exec", text.to_bytes())
            }
            result => result,
        },
    }
}

/// One write(2), as files of /proc want it.
pub(super) fn write_file(path: &CStr, bytes: &[u8]) -> Result<(), Failure> {
    let file = openat(CWD, path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()).of(Call::Openat)?;
    let told = [Arg::File(file.as_fd(), path.to_bytes()), Arg::Text(bytes)];
    rustix::io::write(&file, bytes).told(Call::Write, &told).map(drop)
}
