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
use crate::sys::{self, Arg, Bits, Call, CallResult, Failure};

pub(super) const IN_ROOT: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS);

pub(super) fn enter_rootfs(path: &CStr, recursive: bool) -> Result<(), Failure> {
    let tree = clone_tree(CWD, path, recursive)?;
    let place = openat2(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::NO_SYMLINKS)
        .of(Call::Openat2)?;
    put_mount(&tree, &place)?;
    fchdir(&tree).told(Call::Fchdir, &[Arg::File(tree.as_fd(), path.to_bytes())])
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
        let told = [Arg::Fd(place.as_fd()), Arg::Text(b""), Arg::Word("FSPICK_CLOEXEC|FSPICK_EMPTY_PATH")];
        let context = fspick(&place, c"", flags).told(Call::Fspick, &told)?;
        configure(&context, parameters)?;
        let told = [Arg::Fd(context.as_fd()), Arg::Word("FSCONFIG_CMD_RECONFIGURE")];
        fsconfig_reconfigure(&context).told(Call::Fsconfig, &told)?;
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
    let node = [Arg::Number(major.into()), Arg::Number(minor.into())];
    let told = [Arg::Fd(parent.as_fd()), Arg::Text(name.to_bytes()), Arg::Mode(mode), node[0], node[1]];
    match mknodat(&parent, name, kind, Mode::from_raw_mode(mode), device).told(Call::Mknodat, &told) {
        Ok(()) => {}
        // Left by an earlier start in a rootfs without a /dev of its own: the same device will do, another will not.
        Err(failure @ Failure { errno: Errno::EXIST, .. }) => {
            let there = statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW).of(Call::Fstat)?;
            if file_type(&there) != kind || there.st_rdev != device {
                return Err(failure);
            }
        }
        Err(failure) => return Err(failure),
    }
    if (uid, gid) == (0, 0) {
        return Ok(());
    }
    let told = [told[0], told[1], Arg::Number(uid.into()), Arg::Number(gid.into()), Arg::Word("AT_SYMLINK_NOFOLLOW")];
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    chownat(&parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW).told(Call::Fchownat, &told)
}

pub(super) fn make_symlink(text: &CStr, target: &RootfsPath) -> Result<(), Failure> {
    let (parent, name) = open_parent(target)?;
    let told = [Arg::Text(text.to_bytes()), Arg::Fd(parent.as_fd()), Arg::Text(name.to_bytes())];
    match symlinkat(text, &parent, name).told(Call::Symlinkat, &told) {
        // What the image has put there is the image's business.
        Ok(()) | Err(Failure { errno: Errno::EXIST, .. }) => Ok(()),
        Err(failure) => Err(failure),
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
    let cloexec = Arg::Word("FSOPEN_CLOEXEC");
    let context = fsopen(new.fstype.as_c_str(), FsOpenFlags::FSOPEN_CLOEXEC)
        .told(Call::Fsopen, &[Arg::Text(new.fstype.to_bytes()), cloexec])?;
    set_string(&context, c"source", &new.source)?;
    configure(&context, &new.parameters)?;
    let context_told = Arg::Fd(context.as_fd());
    fsconfig_create(&context).told(Call::Fsconfig, &[context_told, Arg::Word("FSCONFIG_CMD_CREATE")])?;
    let flags = MountAttrFlags::from_bits_retain(new.attributes as u32);
    let told = [context_told, Arg::Word("FSMOUNT_CLOEXEC"), Arg::Bits(Bits::MountAttributes, new.attributes)];
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, flags).told(Call::Fsmount, &told)
}

fn set_string(context: &OwnedFd, key: &CStr, value: &CStr) -> Result<(), Failure> {
    let (key_told, value_told) = (Arg::Text(key.to_bytes()), Arg::Text(value.to_bytes()));
    let told = [Arg::Fd(context.as_fd()), Arg::Word("FSCONFIG_SET_STRING"), key_told, value_told];
    fsconfig_set_string(context, key, value).told(Call::Fsconfig, &told)
}

fn configure(context: &OwnedFd, parameters: &[FsParameter]) -> Result<(), Failure> {
    parameters.iter().try_for_each(|parameter| match parameter {
        FsParameter::Flag(flag) => {
            let told = [Arg::Fd(context.as_fd()), Arg::Word("FSCONFIG_SET_FLAG"), Arg::Text(flag.to_bytes())];
            fsconfig_set_flag(context, flag.as_c_str()).told(Call::Fsconfig, &told)
        }
        FsParameter::Value(key, value) => set_string(context, key, value),
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
    let how = Arg::Word("O_WRONLY|O_CREAT|O_EXCL|O_NOFOLLOW|O_CLOEXEC");
    let told = [Arg::Fd(parent.as_fd()), Arg::Text(name.to_bytes()), how, Arg::Mode(0o644)];
    match rustix::fs::openat(parent, name, flags, Mode::from_raw_mode(0o644)).told(Call::Openat, &told) {
        Ok(_) | Err(Failure { errno: Errno::EXIST, .. }) => Ok(()),
        Err(failure) => Err(failure),
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
                let name = last_component(path);
                let told = [Arg::File(parent.as_fd(), above.to_bytes()), Arg::Text(name.to_bytes()), Arg::Mode(0o755)];
                mkdirat(&parent, name, Mode::from_raw_mode(0o755)).told(Call::Mkdirat, &told)?;
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
    let told = [Arg::Fd(at), Arg::Text(path.to_bytes()), Arg::Bits(Bits::OpenTree, flags.bits().into())];
    open_tree(at, path, flags).told(Call::OpenTree, &told)
}

fn put_mount(mount: &OwnedFd, place: &OwnedFd) -> Result<(), Failure> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    let (empty, how) = (Arg::Text(b""), Arg::Word("MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH"));
    let told = [Arg::Fd(mount.as_fd()), empty, Arg::Fd(place.as_fd()), empty, how];
    move_mount(mount, c"", place, c"", flags).told(Call::MoveMount, &told)
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
