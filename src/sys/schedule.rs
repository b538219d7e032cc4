//! Calls about when and where a process runs: sched_setaffinity(2), sched_setattr(2), ioprio_set(2).

use super::call::{Call, Failure};
use super::process::told;
use super::witness::{Arg, Bits};

/// Lets the calling process run on the CPUs whose bits are set, lowest first.
pub fn set_cpu_affinity(mask: &[u64]) -> Result<(), Failure> {
    // SAFETY: the pointer and the size in bytes are those of one slice; pid 0 is the caller.
    let result = unsafe { libc::syscall(libc::SYS_sched_setaffinity, 0, size_of_val(mask), mask.as_ptr()) };
    let first = Arg::Bits(Bits::Hex, mask.first().copied().unwrap_or(0));
    told(result, Call::SchedSetaffinity, &[Arg::Number(0), Arg::Number(size_of_val(mask) as i64), first])
}

/// struct sched_attr of sched_setattr(2), as far as SCHED_ATTR_SIZE_VER0.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct SchedAttr {
    /// Set by [`set_scheduler`].
    pub size: u32,
    /// SCHED_*.
    pub policy: u32,
    /// SCHED_FLAG_*.
    pub flags: u64,
    /// -20 to 19.
    pub nice: i32,
    /// 1 to 99.
    pub priority: u32,
    /// Nanoseconds.
    pub runtime: u64,
    /// Nanoseconds.
    pub deadline: u64,
    /// Nanoseconds.
    pub period: u64,
}

/// Sets the scheduling policy of process `pid`.
pub fn set_scheduler(pid: i32, mut attributes: SchedAttr) -> Result<(), Failure> {
    attributes.size = size_of::<SchedAttr>() as u32;
    // SAFETY: `attributes` is a valid sched_attr of the size that it states, and outlives the call.
    let result = unsafe { libc::syscall(libc::SYS_sched_setattr, pid, &raw const attributes, 0) };
    let policy = Arg::Number(attributes.policy.into());
    told(result, Call::SchedSetattr, &[Arg::Number(pid.into()), policy, Arg::Number(attributes.nice.into())])
}

/// Ranks the input and output of process `pid`: `class` is 1 (realtime) to 3 (idle), `level` 0 to 7.
pub fn set_io_priority(pid: i32, class: u32, level: u8) -> Result<(), Failure> {
    const IOPRIO_WHO_PROCESS: libc::c_int = 1;
    const IOPRIO_CLASS_SHIFT: u32 = 13;
    // SAFETY: ioprio_set takes numbers.
    let result = unsafe {
        libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, pid, class << IOPRIO_CLASS_SHIFT | u32::from(level))
    };
    let value = Arg::Bits(Bits::Hex, u64::from(class << IOPRIO_CLASS_SHIFT | u32::from(level)));
    told(result, Call::IoprioSet, &[Arg::Word("IOPRIO_WHO_PROCESS"), Arg::Number(pid.into()), value])
}
