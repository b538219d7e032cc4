//! Whether the kernel has a call, asked by a use of it that can change nothing.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::io::Errno;

use super::clone::last_errno;

/// Whether clone3(2) knows CLONE_INTO_CGROUP (Linux 5.7): a cgroup descriptor that cannot be open is refused with EBADF.
///
/// EINVAL and E2BIG come from a kernel that has clone3 without the flag, ENOSYS from one without clone3 or from a seccomp
/// filter that hides it. No process is ever made.
pub fn clone_into_cgroup() -> Result<(), Errno> {
    const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
    /// Index of `cgroup` in struct clone_args, whose eleven fields are all 64 bits wide.
    const CGROUP: usize = 10;
    const EXIT_SIGNAL: usize = 4;
    let mut args = [0u64; 11];
    args[0] = CLONE_INTO_CGROUP;
    args[EXIT_SIGNAL] = libc::SIGCHLD as u64;
    args[CGROUP] = i32::MAX as u64;
    // SAFETY: `args` has the layout of struct clone_args (CLONE_ARGS_SIZE_VER2) and outlives the call. Descriptor
    // i32::MAX lies above fs.nr_open's ceiling, so the kernel refuses before it makes a process that would share our stack.
    match unsafe { libc::syscall(libc::SYS_clone3, args.as_ptr(), size_of_val(&args)) } {
        -1 => match last_errno() {
            Errno::BADF => Ok(()),
            errno => Err(errno),
        },
        0 => std::process::abort(),
        _ => Err(Errno::INVAL),
    }
}

/// Makes a VM by the open /dev/kvm, and lets go of it (KVM_CREATE_VM; Documentation/virt/kvm/api.rst). EBUSY where another
/// hypervisor holds the processor's extensions.
pub fn make_vm(kvm: BorrowedFd<'_>) -> Result<(), Errno> {
    /// _IO(KVMIO, 0x01)
    const KVM_CREATE_VM: libc::Ioctl = 0xae01;
    // SAFETY: this ioctl takes a number; on another device than KVM's it is refused with ENOTTY.
    match unsafe { libc::ioctl(kvm.as_raw_fd(), KVM_CREATE_VM, 0) } {
        -1 => Err(last_errno()),
        vm => {
            // SAFETY: the result is a descriptor that the kernel just made for us.
            drop(unsafe { OwnedFd::from_raw_fd(vm) });
            Ok(())
        }
    }
}
