//! Mount calls that rustix does not have.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::call::{Call, Failure};
use super::clone::last_errno;

/// struct mount_attr of linux/mount.h (MOUNT_ATTR_SIZE_VER0, Linux 5.12).
#[repr(C)]
struct MountAttr {
    attr_set: u64,
    attr_clr: u64,
    propagation: u64,
    userns_fd: u64,
}

/// mount_setattr(2): sets and clears MOUNT_ATTR_* bits of the mount that `mount` is the root of, and with `recursive`
/// of all below it, at once or not at all.
pub fn mount_set_attributes(mount: BorrowedFd<'_>, set_bits: u64, clear: u64, recursive: bool) -> Result<(), Failure> {
    let attr = MountAttr { attr_set: set_bits, attr_clr: clear, propagation: 0, userns_fd: 0 };
    set(mount, &attr, recursive)
}

/// mount_setattr(2) with MOUNT_ATTR_IDMAP: an owner in the file system is shown as the one that the user namespace `namespace`
/// makes of it. `mount` is a clone that is mounted nowhere yet (open_tree(2)).
pub fn mount_map_ids(mount: BorrowedFd<'_>, namespace: BorrowedFd<'_>, recursive: bool) -> Result<(), Failure> {
    const MOUNT_ATTR_IDMAP: u64 = 0x0010_0000;
    let userns_fd = namespace.as_raw_fd() as u64;
    set(mount, &MountAttr { attr_set: MOUNT_ATTR_IDMAP, attr_clr: 0, propagation: 0, userns_fd }, recursive)
}

fn set(mount: BorrowedFd<'_>, attr: &MountAttr, recursive: bool) -> Result<(), Failure> {
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is an empty C string, `attr` is a valid mount_attr of the given size, both outlive the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            std::ptr::from_ref(attr),
            size_of::<MountAttr>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(Call::MountSetattr.failed(last_errno())) }
}

/// mount(2) with MS_SHARED, MS_SLAVE, MS_PRIVATE or MS_UNBINDABLE, and MS_REC.
pub fn set_propagation(path: &CStr, flags: u64) -> Result<(), Failure> {
    let none = std::ptr::null();
    // SAFETY: `path` is a C string; with these flags the kernel looks at no other argument.
    let result = unsafe { libc::mount(none, path.as_ptr(), none, flags, std::ptr::null()) };
    if result == 0 { Ok(()) } else { Err(Call::Mount.failed(last_errno())) }
}
