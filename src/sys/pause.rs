//! The pause process of a pod's sandbox: it does nothing, and so holds the namespaces that it is in. As PID 1 of a shared PID
//! namespace it reaps what others leave behind (Kubernetes' `build/pause/linux/pause.c`).
//!
//! A program of its own, of a few hundred bytes and without any library, since every pod of a node has one: `build/main.rs` compiles it,
//! and `pod/pause.rs` holds its bytes. It is no module of the library.

#![no_std]
#![no_main]

use core::arch::{asm, global_asm};
use core::ptr::null;

// signal(7), the same on all architectures below.
const SIGHUP: isize = 1;
const SIGINT: isize = 2;
const SIGTERM: isize = 15;
const SIGCHLD: isize = 17;

const SIG_BLOCK: usize = 0;
const WNOHANG: usize = 1;
/// Any child, as wait4(2) has it.
const ANY: usize = usize::MAX;

/// What kernels call a set of signals: a bit for each.
type SignalSet = u64;

/// Numbers of system calls.
#[cfg(target_arch = "x86_64")]
mod number {
    pub const RT_SIGPROCMASK: usize = 14;
    pub const WAIT4: usize = 61;
    pub const RT_SIGTIMEDWAIT: usize = 128;
    pub const EXIT_GROUP: usize = 231;
}

/// Numbers of system calls (include/uapi/asm-generic/unistd.h).
#[cfg(any(target_arch = "aarch64", target_arch = "riscv64"))]
mod number {
    pub const EXIT_GROUP: usize = 94;
    pub const RT_SIGPROCMASK: usize = 135;
    pub const RT_SIGTIMEDWAIT: usize = 137;
    pub const WAIT4: usize = 260;
}

// The kernel begins a program here with an aligned stack; a function wants it as if it had been called.
#[cfg(target_arch = "x86_64")]
global_asm!(".globl _start", "_start:", "xor ebp, ebp", "and rsp, -16", "call {main}", "ud2", main = sym main);
#[cfg(target_arch = "aarch64")]
global_asm!(".globl _start", "_start:", "mov x29, #0", "mov x30, #0", "bl {main}", "brk #0", main = sym main);
#[cfg(target_arch = "riscv64")]
global_asm!(".globl _start", "_start:", "call {main}", "ebreak", main = sym main);

/// Waits until it is told to end (SIGINT, SIGTERM). SIGHUP, which a shell in the pod may send to PID 1, changes nothing.
extern "C" fn main() -> ! {
    let wanted: SignalSet =
        [SIGHUP, SIGINT, SIGTERM, SIGCHLD].iter().fold(0, |set, signal| set | 1 << (signal - 1));
    let set = &raw const wanted as usize;
    let none = null::<u8>() as usize;
    // Blocked, they wait to be taken: none is lost, and no handler is needed.
    call(number::RT_SIGPROCMASK, [SIG_BLOCK, set, none, size_of::<SignalSet>()]);
    loop {
        match call(number::RT_SIGTIMEDWAIT, [set, none, none, size_of::<SignalSet>()]) {
            SIGINT | SIGTERM => {
                call(number::EXIT_GROUP, [0, 0, 0, 0]);
            }
            SIGCHLD => while call(number::WAIT4, [ANY, none, WNOHANG, none]) > 0 {},
            _ => {}
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn call(number: usize, arguments: [usize; 4]) -> isize {
    let result;
    let [a, b, c, d] = arguments;
    // SAFETY: the callers above pass pointers to what lives as long as the call, or none.
    unsafe {
        asm!("syscall", inlateout("rax") number => result, in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d,
            lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    result
}

#[cfg(target_arch = "aarch64")]
fn call(number: usize, arguments: [usize; 4]) -> isize {
    let result;
    let [a, b, c, d] = arguments;
    // SAFETY: as above.
    unsafe {
        asm!("svc #0", in("x8") number, inlateout("x0") a => result, in("x1") b, in("x2") c, in("x3") d, options(nostack));
    }
    result
}

#[cfg(target_arch = "riscv64")]
fn call(number: usize, arguments: [usize; 4]) -> isize {
    let result;
    let [a, b, c, d] = arguments;
    // SAFETY: as above.
    unsafe {
        asm!("ecall", in("a7") number, inlateout("a0") a => result, in("a1") b, in("a2") c, in("a3") d, options(nostack));
    }
    result
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
