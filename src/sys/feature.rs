//! Whether the kernel has a call, asked by a use of it that can change nothing: `glassbox doctor` runs these in a child.

use std::os::fd::{FromRawFd, OwnedFd};

use rustix::io::Errno;

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

/// Whether mount_setattr(2) (Linux 5.12) is there and allowed: a change of nothing is asked for, which walks no mount.
pub fn mount_setattr() -> Result<(), Errno> {
    let nothing = [0u64; 4];
    // SAFETY: `nothing` has the layout of struct mount_attr (MOUNT_ATTR_SIZE_VER0, four 64-bit fields); it and the path
    // are constants that outlive the call.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            c"/".as_ptr(),
            0,
            nothing.as_ptr(),
            size_of_val(&nothing),
        )
    };
    if done == -1 { Err(last_errno()) } else { Ok(()) }
}

/// Whether close_range(2) (Linux 5.9) is there: a range above every descriptor is closed.
pub fn close_range() -> Result<(), Errno> {
    // SAFETY: no descriptor of that number can be open (the kernel keeps them below 2^31), so no owner loses one.
    if unsafe { libc::syscall(libc::SYS_close_range, u32::MAX, u32::MAX, 0) } == -1 {
        Err(last_errno())
    } else {
        Ok(())
    }
}

/// Whether bpf(2) loads a device filter for cgroups (BPF_PROG_TYPE_CGROUP_DEVICE, CONFIG_CGROUP_BPF): `return 1`, which
/// is attached nowhere and gone when its descriptor closes.
pub fn load_device_filter() -> Result<(), Errno> {
    const BPF_PROG_LOAD: libc::c_long = 5;
    const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
    /// `r0 = 1` and `exit`, as struct bpf_insn: code, registers, offset, and the immediate in the upper half.
    const PROGRAM: [u64; 2] = [0x0000_0001_0000_00b7, 0x0000_0000_0000_0095];
    /// The first fields of union bpf_attr, as BPF_PROG_LOAD reads them.
    #[repr(C)]
    struct Load {
        kind: u32,
        instructions: u32,
        program: u64,
        license: u64,
        log: [u32; 2],
        log_buffer: u64,
        version_and_flags: [u32; 2],
    }
    let load = Load {
        kind: BPF_PROG_TYPE_CGROUP_DEVICE,
        instructions: PROGRAM.len() as u32,
        program: PROGRAM.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        log: [0; 2],
        log_buffer: 0,
        version_and_flags: [0; 2],
    };
    // SAFETY: `load` has the layout of the first 48 bytes of union bpf_attr; both pointers in it are to constants.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_LOAD, &raw const load, size_of::<Load>()) };
    if fd == -1 {
        return Err(last_errno());
    }
    // SAFETY: the kernel just made this descriptor for us and nobody else has it.
    drop(unsafe { OwnedFd::from_raw_fd(fd as i32) });
    Ok(())
}

fn last_errno() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL)
}
