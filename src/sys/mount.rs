//! Mount calls that rustix does not have.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::call::{Call, Failure};
use super::process::told;
use super::witness::{Arg, Bits};

/// struct mount_attr of linux/mount.h (MOUNT_ATTR_SIZE_VER0, Linux 5.12).
#[repr(C)]
struct MountAttr {
    attr_set: u64,
    attr_clr: u64,
    propagation: u64,
    userns_fd: u64,
}

const MOUNT_ATTR_IDMAP: u64 = 0x0010_0000;

/// mount_setattr(2): sets and clears MOUNT_ATTR_* bits of the mount that `mount` is the root of, and with `recursive`
/// of all below it, at once or not at all.
pub fn mount_set_attributes(mount: BorrowedFd<'_>, set_bits: u64, clear: u64, recursive: bool) -> Result<(), Failure> {
    let attr = MountAttr { attr_set: set_bits, attr_clr: clear, propagation: 0, userns_fd: 0 };
    set(mount, &attr, recursive)
}

/// mount_setattr(2) with MOUNT_ATTR_IDMAP: an owner in the file system is shown as the one that the user namespace `namespace`
/// makes of it. `mount` is a clone that is mounted nowhere yet (open_tree(2)).
pub fn mount_map_ids(mount: BorrowedFd<'_>, namespace: BorrowedFd<'_>, recursive: bool) -> Result<(), Failure> {
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
    let how = Arg::Word(if recursive { "AT_EMPTY_PATH|AT_RECURSIVE" } else { "AT_EMPTY_PATH" });
    let (set, clear) = (attr.attr_set, attr.attr_clr);
    let bits = [Arg::Bits(Bits::MountAttributes, set), Arg::Bits(Bits::MountAttributes, clear)];
    let arguments = [Arg::Fd(mount), Arg::Text(b""), how, bits[0], bits[1], Arg::Number(attr.userns_fd as i64)];
    // The last one counts with that bit alone.
    let count = if set & MOUNT_ATTR_IDMAP == 0 { 5 } else { 6 };
    told(result, Call::MountSetattr, &arguments[..count])
}

/// mount(2) with MS_SHARED, MS_SLAVE, MS_PRIVATE or MS_UNBINDABLE, and MS_REC.
pub fn set_propagation(path: &CStr, flags: u64) -> Result<(), Failure> {
    let none = std::ptr::null();
    // SAFETY: `path` is a C string; with these flags the kernel looks at no other argument.
    let result = unsafe { libc::mount(none, path.as_ptr(), none, flags, std::ptr::null()) };
    let null = Arg::Word("NULL");
    let arguments = [null, Arg::Text(path.to_bytes()), null, Arg::Bits(Bits::Propagation, flags), null];
    told(result.into(), Call::Mount, &arguments)
}
