//! seccomp(2): loading a system call filter.

use std::os::fd::{FromRawFd, OwnedFd};

use super::call::{Call, Failure};
use super::clone::last_errno;
use super::witness::{self, Arg, Bits, Outcome};

/// struct sock_fprog of linux/filter.h.
#[repr(C)]
struct Program {
    length: u16,
    instructions: *const [u8; 8],
}

const SECCOMP_SET_MODE_FILTER: libc::c_ulong = 1;
const SECCOMP_FILTER_FLAG_NEW_LISTENER: u32 = 1 << 3;

/// Loads a filter for this thread and all that it becomes; an instruction is a struct sock_filter. With
/// SECCOMP_FILTER_FLAG_NEW_LISTENER among `flags` comes the descriptor on which its notifications are read. The kernel
/// wants no_new_privs or CAP_SYS_ADMIN, else EACCES.
pub fn load_seccomp_filter(instructions: &[[u8; 8]], flags: u32) -> Result<Option<OwnedFd>, Failure> {
    // The kernel takes 4096 at most; more than 65535 must not become fewer.
    let length = u16::try_from(instructions.len()).map_err(|_| Call::Seccomp.failed(rustix::io::Errno::INVAL))?;
    let program = Program { length, instructions: instructions.as_ptr() };
    let (mode, flags_word) = (SECCOMP_SET_MODE_FILTER, libc::c_ulong::from(flags));
    // SAFETY: `program` has the layout of struct sock_fprog; it and the `length` instructions that it points to, eight
    // bytes each as struct sock_filter, outlive the call, which only reads them.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, mode, flags_word, &raw const program) };
    let outcome = if result == -1 { Outcome::Failed(last_errno()) } else { Outcome::Returned(result) };
    let (mode, count) = (Arg::Word("SECCOMP_SET_MODE_FILTER"), Arg::Number(length.into()));
    witness::tell(Call::Seccomp, &[mode, Arg::Bits(Bits::Seccomp, flags.into()), count], outcome);
    match result {
        -1 => Err(Call::Seccomp.failed(last_errno())),
        // SAFETY: with this flag the result is a descriptor that the kernel just made for us.
        fd if flags & SECCOMP_FILTER_FLAG_NEW_LISTENER != 0 => Ok(Some(unsafe { OwnedFd::from_raw_fd(fd as i32) })),
        _ => Ok(None),
    }
}
