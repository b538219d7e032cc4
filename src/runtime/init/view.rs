//! The steps about files and mounts. Until pivot_root the working directory is the container's root, afterwards the root
//! is; every path is looked up below it by openat2(2) with RESOLVE_IN_ROOT, and mounts are put onto descriptors, so no
//! symbolic link of the container leads out.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, PROC_SUPER_MAGIC, ResolveFlags, Stat};
use rustix::fs::{chownat, fstat, fstatfs, mkdirat, mknodat, openat2, statat, symlinkat};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, FsPickFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_reconfigure, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, fspick, move_mount, open_tree,
};
use rustix::process::{Gid, Uid, fchdir};

use crate::plan::{Filesystem, FsParameter, MountAttributes, RootfsPath};
use crate::sys::{self, Call, CallResult, Failure};

pub(super) const IN_ROOT: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS);

pub(super) fn enter_rootfs(path: &CStr, recursive: bool) -> Result<(), Failure> {
    let tree = clone_tree(CWD, path, recursive)?;
    let place = openat2(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::NO_SYMLINKS)
        .of(Call::Openat2)?;
    put_mount(&tree, &place)?;
    fchdir(&tree).of(Call::Fchdir)
}

pub(super) fn mount_filesystem(new: &Filesystem, target: &RootfsPath, no_symlinks: bool) -> Result<(), Failure> {
    let links = if no_symlinks { ResolveFlags::NO_SYMLINKS } else { ResolveFlags::empty() };
    let place = match open_path(&target.path, links) {
        Err(Failure { errno: Errno::NOENT, .. }) => {
            make_directory(target)?;
            open_path(&target.path, links)?
        }
        place => place?,
    };
    stays_out_of_proc(&place, target)?;
    put_mount(&new_mount(new)?, &place)
}

pub(super) fn bind_mount(
    source: &CStr,
    target: &RootfsPath,
    recursive: bool,
    attributes: &MountAttributes,
    map_ids: impl FnOnce(&OwnedFd) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let tree = clone_tree(CWD, source, recursive)?;
    set_attributes(&tree, attributes)?;
    map_ids(&tree)?;
    match file_type(&fstat(&tree).of(Call::Fstat)?) {
        FileType::Directory => make_directory(target)?,
        _ => make_file(target)?,
    }
    // What is shown as /proc must be one: the steps behind this one trust it.
    if target.path.as_c_str() == c"proc" && !is_proc(&tree)? {
        return Err(Call::OpenTree.failed(Errno::NODEV));
    }
    let place = open_path(&target.path, ResolveFlags::empty())?;
    stays_out_of_proc(&place, target)?;
    put_mount(&tree, &place)
}

/// A link of the rootfs must not lead a mount into /proc that config.json has not put there.
fn stays_out_of_proc(place: &OwnedFd, target: &RootfsPath) -> Result<(), Failure> {
    let by_name = target.parents.first().unwrap_or(&target.path).as_c_str() == c"proc";
    match !by_name && is_proc(place)? {
        true => Err(Call::Openat2.failed(Errno::XDEV)),
        false => Ok(()),
    }
}

fn is_proc(file: &OwnedFd) -> Result<bool, Failure> {
    Ok(fstatfs(file).of(Call::Fstatfs)?.f_type == PROC_SUPER_MAGIC)
}

pub(super) fn set_mount_propagation(target: &RootfsPath, flags: u64) -> Result<(), Failure> {
    // The path is one that we mounted: nothing of the container has run yet that could change it.
    sys::set_propagation(&target.path, flags)
}

pub(super) fn change_mount(
    target: &RootfsPath,
    parameters: &[FsParameter],
    attributes: &MountAttributes,
) -> Result<(), Failure> {
    let place = open_path(&target.path, ResolveFlags::empty())?;
    if !parameters.is_empty() {
        let flags = FsPickFlags::FSPICK_CLOEXEC | FsPickFlags::FSPICK_EMPTY_PATH;
        let context = fspick(&place, c"", flags).of(Call::Fspick)?;
        configure(&context, parameters)?;
        fsconfig_reconfigure(&context).of(Call::Fsconfig)?;
    }
    set_attributes(&place, attributes)
}

pub(super) fn make_device(
    target: &RootfsPath,
    mode: u32,
    (major, minor): (u32, u32),
    (uid, gid): (u32, u32),
) -> Result<(), Failure> {
    let (parent, name) = open_parent(target)?;
    let device = rustix::fs::makedev(major, minor);
    let kind = FileType::from_raw_mode(mode);
    match mknodat(&parent, name, kind, Mode::from_raw_mode(mode), device) {
        Ok(()) => {}
        // Left by an earlier start in a rootfs without a /dev of its own: the same device will do, another will not.
        Err(Errno::EXIST) => {
            let there = statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW).of(Call::Fstat)?;
            if file_type(&there) != kind || there.st_rdev != device {
                return Err(Call::Mknodat.failed(Errno::EXIST));
            }
        }
        Err(errno) => return Err(Call::Mknodat.failed(errno)),
    }
    if (uid, gid) == (0, 0) {
        return Ok(());
    }
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    chownat(&parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW).of(Call::Fchownat)
}

pub(super) fn make_symlink(text: &CStr, target: &RootfsPath) -> Result<(), Failure> {
    let (parent, name) = open_parent(target)?;
    match symlinkat(text, &parent, name) {
        // What the image has put there is the image's business.
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(Call::Symlinkat.failed(errno)),
    }
}

pub(super) fn make_directory(target: &RootfsPath) -> Result<(), Failure> {
    if open_path(&target.path, ResolveFlags::empty()).is_ok() {
        return Ok(());
    }
    make_directories(target.parents.iter().chain([&target.path]))
}

pub(super) fn readonly_path(path: &CStr, recursive: bool, attributes: &MountAttributes) -> Result<(), Failure> {
    let Some(place) = open_existing(path)? else { return Ok(()) };
    let tree = clone_tree(place.as_fd(), c"", recursive)?;
    set_attributes(&tree, attributes)?;
    put_mount(&tree, &place)
}

pub(super) fn mask_path(path: &CStr, empty: &Filesystem, null: &CStr, device: (u32, u32)) -> Result<(), Failure> {
    let Some(place) = open_existing(path)? else { return Ok(()) };
    if file_type(&fstat(&place).of(Call::Fstat)?) == FileType::Directory {
        return put_mount(&new_mount(empty)?, &place);
    }
    let null = open_path(null, ResolveFlags::NO_SYMLINKS)?;
    let stat = fstat(&null).of(Call::Fstat)?;
    if file_type(&stat) != FileType::CharacterDevice || stat.st_rdev != rustix::fs::makedev(device.0, device.1) {
        return Err(Call::Fstat.failed(Errno::NODEV));
    }
    put_mount(&clone_tree(null.as_fd(), c"", false)?, &place)
}

/// Whether this is the multiplexer of a devpts file system and not something else of that name: a container may have put it
/// there (CVE-2025-52565). On devpts the inode of ptmx is 2, its device 5:2 (fs/devpts/inode.c).
pub(super) fn is_multiplexer(file: BorrowedFd<'_>) -> Result<(), Failure> {
    const DEVPTS_SUPER_MAGIC: u64 = 0x1cd1;
    const PTMX_INODE: u64 = 2;
    let magic = rustix::fs::fstatfs(file).of(Call::Fstat)?.f_type as u64;
    let stat = fstat(file).of(Call::Fstat)?;
    let node = (stat.st_ino, stat.st_rdev) == (PTMX_INODE, rustix::fs::makedev(5, 2));
    match magic == DEVPTS_SUPER_MAGIC && node && file_type(&stat) == FileType::CharacterDevice {
        true => Ok(()),
        false => Err(Call::Fstat.failed(Errno::NOTTY)),
    }
}

/// Shows the container's terminal at a place where programs look for it.
pub(super) fn show_terminal(terminal: BorrowedFd<'_>, console: &RootfsPath) -> Result<(), Failure> {
    let (parent, name) = open_parent(console)?;
    create_file(&parent, name)?;
    put_mount(&clone_tree(terminal, c"", false)?, &open_path(&console.path, ResolveFlags::NO_SYMLINKS)?)
}

/// A file system of its own, mounted nowhere yet.
fn new_mount(new: &Filesystem) -> Result<OwnedFd, Failure> {
    let context = fsopen(new.fstype.as_c_str(), FsOpenFlags::FSOPEN_CLOEXEC).of(Call::Fsopen)?;
    fsconfig_set_string(&context, c"source", new.source.as_c_str()).of(Call::Fsconfig)?;
    configure(&context, &new.parameters)?;
    fsconfig_create(&context).of(Call::Fsconfig)?;
    let flags = MountAttrFlags::from_bits_retain(new.attributes as u32);
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, flags).of(Call::Fsmount)
}

fn configure(context: &OwnedFd, parameters: &[FsParameter]) -> Result<(), Failure> {
    parameters.iter().try_for_each(|parameter| {
        match parameter {
            FsParameter::Flag(flag) => fsconfig_set_flag(context, flag.as_c_str()),
            FsParameter::Value(key, value) => fsconfig_set_string(context, key.as_c_str(), value.as_c_str()),
        }
        .of(Call::Fsconfig)
    })
}

fn make_file(target: &RootfsPath) -> Result<(), Failure> {
    if open_path(&target.path, ResolveFlags::empty()).is_ok() {
        return Ok(());
    }
    let (parent, name) = open_parent(target)?;
    create_file(&parent, name)
}

fn create_file(parent: &OwnedFd, name: &CStr) -> Result<(), Failure> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::WRONLY | OFlags::CLOEXEC;
    match rustix::fs::openat(parent, name, flags, Mode::from_raw_mode(0o644)) {
        Ok(_) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(Call::Openat.failed(errno)),
    }
}

fn directory() -> OFlags {
    OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC
}

/// The directory that `target` stands in, made where it is missing, and the target's own name.
fn open_parent(target: &RootfsPath) -> Result<(OwnedFd, &CStr), Failure> {
    let parent = target.parents.last().map_or(c".", CString::as_c_str);
    let open = || openat2(CWD, parent, directory(), Mode::empty(), IN_ROOT);
    let opened = match open() {
        Err(Errno::NOENT) => {
            make_directories(target.parents.iter())?;
            open()
        }
        opened => opened,
    };
    let opened = opened.of(Call::Openat2)?;
    Ok((opened, last_component(&target.path)))
}

/// Makes what is missing of `paths`, each the parent of the next.
fn make_directories<'a>(paths: impl Iterator<Item = &'a CString>) -> Result<(), Failure> {
    let mut above: &CStr = c".";
    for path in paths {
        match open_path(path, ResolveFlags::empty()) {
            Ok(_) => {}
            Err(Failure { errno: Errno::NOENT, .. }) => {
                let parent = open_path(above, ResolveFlags::empty())?;
                mkdirat(&parent, last_component(path), Mode::from_raw_mode(0o755)).of(Call::Mkdirat)?;
            }
            Err(failure) => return Err(failure),
        }
        above = path;
    }
    Ok(())
}

/// The part of a clean path behind its last slash.
fn last_component(path: &CStr) -> &CStr {
    let bytes = path.to_bytes_with_nul();
    let start = bytes.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    CStr::from_bytes_with_nul(&bytes[start..]).unwrap_or(path)
}

fn open_path(path: &CStr, more: ResolveFlags) -> Result<OwnedFd, Failure> {
    openat2(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), IN_ROOT | more).of(Call::Openat2)
}

/// `None` where nothing is there to hide or protect: not every kernel has every file of /proc.
fn open_existing(path: &CStr) -> Result<Option<OwnedFd>, Failure> {
    match open_path(path, ResolveFlags::empty()) {
        Ok(place) => Ok(Some(place)),
        Err(Failure { errno: Errno::NOENT | Errno::NOTDIR, .. }) => Ok(None),
        Err(failure) => Err(failure),
    }
}

pub(super) fn clone_tree(at: BorrowedFd<'_>, path: &CStr, recursive: bool) -> Result<OwnedFd, Failure> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    flags.set(OpenTreeFlags::AT_RECURSIVE, recursive);
    flags.set(OpenTreeFlags::AT_EMPTY_PATH, path.is_empty());
    open_tree(at, path, flags).of(Call::OpenTree)
}

fn put_mount(mount: &OwnedFd, place: &OwnedFd) -> Result<(), Failure> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(mount, c"", place, c"", flags).of(Call::MoveMount)
}

fn set_attributes(mount: &OwnedFd, attributes: &MountAttributes) -> Result<(), Failure> {
    let MountAttributes { set, clear, set_all, clear_all } = *attributes;
    if (set_all, clear_all) != (0, 0) {
        sys::mount_set_attributes(mount.as_fd(), set_all, clear_all, true)?;
    }
    match (set, clear) {
        (0, 0) => Ok(()),
        (set, clear) => sys::mount_set_attributes(mount.as_fd(), set, clear, false),
    }
}

fn file_type(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}
