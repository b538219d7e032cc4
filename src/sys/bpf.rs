//! bpf(2): loading a device filter and attaching it to a cgroup (BPF_CGROUP_DEVICE).

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::io::Errno;

use super::call::{Call, CallResult};
use super::clone::last_errno;
use super::witness::Arg;

/// struct bpf_insn of linux/bpf.h.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// Operation code.
    pub code: u8,
    /// Destination register in the low four bits, source register in the high four.
    pub registers: u8,
    /// Offset of a jump or a load.
    pub offset: i16,
    /// Immediate operand.
    pub immediate: i32,
}

const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_PROG_ATTACH: libc::c_long = 8;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
const BPF_F_ALLOW_MULTI: u32 = 2;

/// The part of union bpf_attr that BPF_PROG_LOAD reads here.
#[repr(C)]
struct LoadAttr {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
}

/// The part of union bpf_attr that BPF_PROG_ATTACH reads here.
#[repr(C)]
struct AttachAttr {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
}

/// Loads `program` and attaches it to the cgroup directory; it lives as long as the cgroup. The error names the command.
pub fn attach_device_filter(cgroup: BorrowedFd<'_>, program: &[Instruction]) -> Result<(), (&'static str, Errno)> {
    let loaded = load_device_filter(program).map_err(|errno| ("BPF_PROG_LOAD", errno))?;
    let attach = AttachAttr {
        target_fd: cgroup.as_raw_fd() as u32,
        attach_bpf_fd: loaded.as_raw_fd() as u32,
        attach_type: BPF_CGROUP_DEVICE,
        attach_flags: BPF_F_ALLOW_MULTI,
    };
    // SAFETY: `attach` has the layout of the first fields of union bpf_attr and outlives the call.
    let result = unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_ATTACH, &raw const attach, size_of::<AttachAttr>()) };
    let result = if result == -1 { Err(last_errno()) } else { Ok(result) };
    let told = [Arg::Word("BPF_PROG_ATTACH"), Arg::Fd(cgroup), Arg::Fd(loaded.as_fd()), Arg::Word("BPF_CGROUP_DEVICE")];
    result.told(Call::Bpf, &told).map(drop).map_err(|failure| ("BPF_PROG_ATTACH", failure.errno))
}

/// Loads `program` as a device filter (BPF_PROG_LOAD); without being attached it goes with its descriptor.
pub fn load_device_filter(program: &[Instruction]) -> Result<OwnedFd, Errno> {
    let load = LoadAttr {
        prog_type: BPF_PROG_TYPE_CGROUP_DEVICE,
        insn_cnt: program.len() as u32,
        insns: program.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log_buf: 0,
        kern_version: 0,
        prog_flags: 0,
    };
    // SAFETY: `load` has the layout of the first fields of union bpf_attr, and both pointers in it outlive the call.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_LOAD, &raw const load, size_of::<LoadAttr>()) };
    // SAFETY: the kernel just made this descriptor for us.
    let loaded = if fd == -1 { Err(last_errno()) } else { Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) }) };
    let count = Arg::Number(program.len() as i64);
    let told = [Arg::Word("BPF_PROG_LOAD"), Arg::Word("BPF_PROG_TYPE_CGROUP_DEVICE"), count];
    loaded.told(Call::Bpf, &told).map_err(|failure| failure.errno)
}
