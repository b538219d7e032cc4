//! Our own executable, out of the container's reach.
//!
//! A container's program may be a script for `/proc/self/exe`, or reach us by `/proc/PID/exe` while we are in its
//! namespaces: what it holds then is our file on the host, which it could overwrite once nobody runs it
//! (CVE-2019-5736). So whoever is to enter a container runs from a file that nobody can write: the same one behind a
//! read-only mount of our own, or, where we may not mount, a sealed copy in memory.

use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{
    CWD, MemfdFlags, Mode, OFlags, SealFlags, StatVfsMountFlags, fcntl_add_seals, fcntl_get_seals, fstat, fstatvfs,
    memfd_create, openat,
};
use rustix::io::Errno;
use rustix::mount::{OpenTreeFlags, open_tree};

use super::error::RuntimeError;
use crate::plan::uapi::MOUNT_ATTR_RDONLY;
use crate::sys::{self, CStringArray};

const OWN: &CStr = c"/proc/self/exe";

/// Whether this process was found to run from such a file: that stays so.
static SEALED: AtomicBool = AtomicBool::new(false);

/// Runs this program anew, from a file that cannot be written, unless it runs from one already. Call it first of all: who
/// is replaced keeps open descriptors and blocked signals.
pub fn seal() -> Result<(), RuntimeError> {
    if SEALED.load(Ordering::Relaxed) {
        return Ok(());
    }
    let failed = |cause: io::Error| RuntimeError::io("seal the program's own executable", &cause);
    let own =
        openat(CWD, OWN, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(|errno| failed(errno.into()))?;
    if is_sealed(&own).map_err(|errno| failed(errno.into()))? {
        // execveat(2) of a descriptor names the process after its number.
        let _ = rustix::thread::set_name(c"glassbox");
        SEALED.store(true, Ordering::Relaxed);
        return Ok(());
    }
    let sealed = behind_a_read_only_mount(&own).or_else(|_| copy(own)).map_err(failed)?;
    // Checked before it runs, so that it never comes here again.
    if !is_sealed(&sealed).map_err(|errno| failed(errno.into()))? {
        return Err(failed(Errno::ACCESS.into()));
    }
    let args: Vec<_> = std::env::args_os().filter_map(|word| CString::new(word.into_vec()).ok()).collect();
    Err(failed(sys::execute_file(sealed.as_fd(), &CStringArray::new(&args)).into()))
}

/// Nobody can write it: its mount is read-only, or it is a file in memory with the seal that says so.
fn is_sealed(file: &OwnedFd) -> Result<bool, Errno> {
    if fstatvfs(file)?.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Ok(true);
    }
    Ok(fcntl_get_seals(file).is_ok_and(|seals| seals.contains(SealFlags::WRITE)))
}

/// The file again, below a read-only clone of the mount that its directory is on. The clone is mounted nowhere: nobody has
/// a way to its root, by which alone it could be made writable again (mount_setattr(2)), and it goes with the process.
fn behind_a_read_only_mount(own: &OwnedFd) -> Result<OwnedFd, Errno> {
    let path = std::fs::read_link(OsStr::from_bytes(OWN.to_bytes())).map_err(|_| Errno::NOENT)?;
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else { return Err(Errno::NOENT) };
    let tree = open_tree(CWD, directory, OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)?;
    sys::mount_set_attributes(tree.as_fd(), MOUNT_ATTR_RDONLY, 0, false).map_err(|failure| failure.errno)?;
    let again = openat(&tree, name, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    let (before, after) = (fstat(own)?, fstat(&again)?);
    // Removed or replaced since we were started.
    match (before.st_dev, before.st_ino) == (after.st_dev, after.st_ino) {
        true => Ok(again),
        false => Err(Errno::STALE),
    }
}

fn copy(own: OwnedFd) -> io::Result<OwnedFd> {
    let mut from = File::from(own);
    let mut to = File::from(memfd_create("glassbox", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
    io::copy(&mut from, &mut to)?;
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    fcntl_add_seals(&to, seals)?;
    Ok(to.into())
}
