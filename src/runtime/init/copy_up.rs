//! Copying what the rootfs has at a place into the file system that was mounted over it: by descriptors alone, without
//! following a link, and like all of `init` without allocating.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir, Stat};
use rustix::fs::{
    chownat, fchmod, fchown, fstat, mkdirat, mknodat, openat, openat2, readlinkat_raw, sendfile, statat, symlinkat,
};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};

use super::view::{IN_ROOT, clone_tree};
use crate::plan::RootfsPath;
use crate::sys::{Arg, Call, CallResult, Failure};

/// Deeper than this no image is; a directory in itself would be deeper.
const MAX_DEPTH: u32 = 100;

const NEW: OFlags =
    OFlags::WRONLY.union(OFlags::CREATE).union(OFlags::EXCL).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Copies the directory that `target` covers into `target`; nothing where there is none.
pub(super) fn copy_up(target: &RootfsPath) -> Result<(), Failure> {
    // A clone of the rootfs alone, without what is mounted on it.
    let covered = clone_tree(CWD, c".", false)?;
    let from = match openat2(&covered, &target.path, directory(), Mode::empty(), IN_ROOT) {
        Ok(from) => from,
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
        Err(errno) => return Err(Call::Openat2.failed(errno)),
    };
    let to = openat2(CWD, &target.path, directory(), Mode::empty(), IN_ROOT).of(Call::Openat2)?;
    copy_directory(&from, &to, MAX_DEPTH)
}

fn copy_directory(from: &OwnedFd, to: &OwnedFd, depth: u32) -> Result<(), Failure> {
    let mut buffer = [MaybeUninit::uninit(); 2048];
    let mut entries = RawDir::new(from, &mut buffer);
    while let Some(entry) = entries.next() {
        let entry = entry.of(Call::Getdents64)?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            copy_entry(from, to, name, depth)?;
        }
    }
    // Last: a directory that we may not write to can be filled now.
    give(to, &fstat(from).of(Call::Fstat)?)
}

fn copy_entry(from: &OwnedFd, to: &OwnedFd, name: &CStr, depth: u32) -> Result<(), Failure> {
    let stat = statat(from, name, AtFlags::SYMLINK_NOFOLLOW).of(Call::Fstat)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory if depth == 0 => Err(Call::Openat.failed(Errno::LOOP)),
        FileType::Directory => {
            let told = [Arg::Fd(to.as_fd()), Arg::Text(name.to_bytes()), Arg::Mode(0o700)];
            mkdirat(to, name, Mode::RWXU).told(Call::Mkdirat, &told)?;
            copy_directory(&open(from, name, directory())?, &open(to, name, directory())?, depth - 1)
        }
        FileType::RegularFile => {
            let source = open(from, name, OFlags::RDONLY | OFlags::NONBLOCK)?;
            let how = Arg::Word("O_WRONLY|O_CREAT|O_EXCL|O_NOFOLLOW|O_CLOEXEC");
            let told = [Arg::Fd(to.as_fd()), Arg::Text(name.to_bytes()), how, Arg::Mode(0o600)];
            let made = openat(to.as_fd(), name, NEW, Mode::RUSR | Mode::WUSR).told(Call::Openat, &told)?;
            let told = [Arg::Fd(made.as_fd()), Arg::Fd(source.as_fd()), Arg::Word("NULL"), Arg::Number(1 << 20)];
            while sendfile(&made, &source, None, 1 << 20).told(Call::Sendfile, &told)? > 0 {}
            give(&made, &stat)
        }
        FileType::Symlink => {
            let mut buffer = [MaybeUninit::uninit(); 4097];
            let (text, _) = readlinkat_raw(from, name, &mut buffer[..4096]).of(Call::Readlinkat)?;
            let mut ended = [0; 4097];
            ended[..text.len()].copy_from_slice(text);
            let text = CStr::from_bytes_until_nul(&ended).map_err(|_| Call::Readlinkat.failed(Errno::NAMETOOLONG))?;
            let told = [Arg::Text(text.to_bytes()), Arg::Fd(to.as_fd()), Arg::Text(name.to_bytes())];
            symlinkat(text, to, name).told(Call::Symlinkat, &told)?;
            give_name(to, name, &stat)
        }
        // Nobody listens on a socket of an image.
        FileType::Socket => Ok(()),
        kind => {
            let (major, minor) = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
            let device = [Arg::Mode(stat.st_mode), Arg::Number(major.into()), Arg::Number(minor.into())];
            let told = [Arg::Fd(to.as_fd()), Arg::Text(name.to_bytes()), device[0], device[1], device[2]];
            mknodat(to, name, kind, Mode::from_raw_mode(stat.st_mode), stat.st_rdev).told(Call::Mknodat, &told)?;
            give_name(to, name, &stat)
        }
    }
}

/// The owner first: a change of owner clears the set-user-id bit.
fn give(file: &OwnedFd, stat: &Stat) -> Result<(), Failure> {
    let (uid, gid) = owner(stat);
    let owner = [Arg::Fd(file.as_fd()), Arg::Number(stat.st_uid.into()), Arg::Number(stat.st_gid.into())];
    fchown(file, uid, gid).told(Call::Fchown, &owner)?;
    let mode = Arg::Mode(stat.st_mode & 0o7777);
    fchmod(file, Mode::from_raw_mode(stat.st_mode)).told(Call::Fchmod, &[Arg::Fd(file.as_fd()), mode])
}

/// The owner of what cannot be opened.
fn give_name(to: &OwnedFd, name: &CStr, stat: &Stat) -> Result<(), Failure> {
    let (uid, gid) = owner(stat);
    let numbers = [Arg::Number(stat.st_uid.into()), Arg::Number(stat.st_gid.into())];
    let how = Arg::Word("AT_SYMLINK_NOFOLLOW");
    let told = [Arg::Fd(to.as_fd()), Arg::Text(name.to_bytes()), numbers[0], numbers[1], how];
    chownat(to, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW).told(Call::Fchownat, &told)
}

fn owner(stat: &Stat) -> (Option<Uid>, Option<Gid>) {
    (Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))
}

fn open(at: &OwnedFd, name: &CStr, flags: OFlags) -> Result<OwnedFd, Failure> {
    openat(at.as_fd(), name, flags | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR).of(Call::Openat)
}

fn directory() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC
}
