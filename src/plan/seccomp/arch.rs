//! The architectures that a filter can be made for, and the numbers of their system calls.
//!
//! The tables are the syscalls crate's, which generates them from the kernel's own. What they leave out stands here: x32
//! (arch/x86/entry/syscalls/syscall_64.tbl) and ARM's private calls (arch/arm/include/uapi/asm/unistd.h).

use crate::spec::oci::Arch;

/// Set in the number of an x32 system call (arch/x86/include/uapi/asm/unistd.h).
pub(super) const X32_BIT: u32 = 0x4000_0000;
/// Where ARM's private system calls begin (`__ARM_NR_BASE`); no later call of the common table gets there.
pub(super) const ARM_PRIVATE: u32 = 0x000f_0000;

/// Takes a system call's name and number.
type Visit<'a> = dyn FnMut(&'static str, u32) + 'a;

/// An architecture as a filter sees it.
pub(super) struct Architecture {
    /// The name in config.json.
    pub name: &'static str,
    /// The name that people use.
    pub short: &'static str,
    /// AUDIT_ARCH_* of linux/audit.h: `seccomp_data.arch`.
    pub audit: u32,
    /// Registers, and so arguments, have 64 bits.
    pub wide: bool,
    /// The numbers of socketcall(2) and ipc(2), which carry other calls in their first argument.
    pub multiplexed: Option<(u32, u32)>,
    /// All calls.
    pub calls: fn(&mut Visit<'_>),
}

/// A function that visits one table of the syscalls crate.
macro_rules! table {
    ($name:ident) => {
        fn $name(visit: &mut Visit<'_>) {
            use syscalls::$name::Sysno;
            let numbers = Sysno::first().id()..=Sysno::last().id();
            for call in numbers.filter_map(|number| Sysno::new(number as usize)) {
                visit(call.name(), call.id() as u32);
            }
        }
    };
}

table!(x86_64);
table!(x86);
table!(aarch64);
table!(arm);
table!(mips);
table!(mips64);
table!(powerpc64);
table!(riscv64);
table!(loongarch64);

/// All of them. A filter reads arguments low word first, so that these are the little-endian ones.
pub(super) const ALL: [Architecture; 10] = [
    Architecture {
        name: "SCMP_ARCH_X86_64",
        short: "x86_64",
        audit: 0xc000_003e,
        wide: true,
        multiplexed: None,
        calls: x86_64,
    },
    Architecture {
        name: "SCMP_ARCH_X86",
        short: "x86",
        audit: 0x4000_0003,
        wide: false,
        multiplexed: Some((102, 117)),
        calls: x86,
    },
    Architecture {
        name: "SCMP_ARCH_X32",
        short: "x32",
        audit: 0xc000_003e,
        wide: false,
        multiplexed: None,
        calls: x32,
    },
    Architecture {
        name: "SCMP_ARCH_ARM",
        short: "arm",
        audit: 0x4000_0028,
        wide: false,
        multiplexed: None,
        calls: arm_and_private,
    },
    Architecture {
        name: "SCMP_ARCH_AARCH64",
        short: "aarch64",
        audit: 0xc000_00b7,
        wide: true,
        multiplexed: None,
        calls: aarch64,
    },
    Architecture {
        name: "SCMP_ARCH_MIPSEL",
        short: "mipsel",
        audit: 0x4000_0008,
        wide: false,
        multiplexed: Some((4102, 4117)),
        calls: mips,
    },
    Architecture {
        name: "SCMP_ARCH_MIPSEL64",
        short: "mipsel64",
        audit: 0xc000_0008,
        wide: true,
        multiplexed: None,
        calls: mips64,
    },
    Architecture {
        name: "SCMP_ARCH_PPC64LE",
        short: "ppc64le",
        audit: 0xc000_0015,
        wide: true,
        multiplexed: Some((102, 117)),
        calls: powerpc64,
    },
    Architecture {
        name: "SCMP_ARCH_RISCV64",
        short: "riscv64",
        audit: 0xc000_00f3,
        wide: true,
        multiplexed: None,
        calls: riscv64,
    },
    Architecture {
        name: "SCMP_ARCH_LOONGARCH64",
        short: "loongarch64",
        audit: 0xc000_0102,
        wide: true,
        multiplexed: None,
        calls: loongarch64,
    },
];

/// The one that this program is built for.
pub(super) fn native() -> &'static Architecture {
    let short = if cfg!(target_arch = "aarch64") {
        "aarch64"
    } else if cfg!(target_arch = "riscv64") {
        "riscv64"
    } else if cfg!(target_arch = "loongarch64") {
        "loongarch64"
    } else if cfg!(target_arch = "powerpc64") {
        "ppc64le"
    } else {
        "x86_64"
    };
    ALL.iter().find(|known| known.short == short).expect("it is in the list")
}

/// The one that config.json means; `None` where no filter of ours can be made for it.
pub(super) fn find(arch: Arch) -> Option<&'static Architecture> {
    match arch {
        Arch::ScmpArchNative => Some(native()),
        named => ALL.iter().find(|known| known.name == named.to_string()),
    }
}

/// The calls that x32 has under numbers of its own, from 512 on, because their arguments are laid out as 32-bit ones.
const X32_OWN: [&str; 36] = [
    "rt_sigaction",
    "rt_sigreturn",
    "ioctl",
    "readv",
    "writev",
    "recvfrom",
    "sendmsg",
    "recvmsg",
    "execve",
    "ptrace",
    "rt_sigpending",
    "rt_sigtimedwait",
    "rt_sigqueueinfo",
    "sigaltstack",
    "timer_create",
    "mq_notify",
    "kexec_load",
    "waitid",
    "set_robust_list",
    "get_robust_list",
    "vmsplice",
    "move_pages",
    "preadv",
    "pwritev",
    "rt_tgsigqueueinfo",
    "recvmmsg",
    "sendmmsg",
    "process_vm_readv",
    "process_vm_writev",
    "setsockopt",
    "getsockopt",
    "io_setup",
    "io_submit",
    "execveat",
    "preadv2",
    "pwritev2",
];

/// The calls of x86_64 that x32 does not have (ABI "64" in syscall_64.tbl).
const NOT_X32: [&str; 11] = [
    "uselib",
    "_sysctl",
    "create_module",
    "get_kernel_syms",
    "query_module",
    "nfsservctl",
    "set_thread_area",
    "get_thread_area",
    "epoll_ctl_old",
    "epoll_wait_old",
    "vserver",
];

fn x32(visit: &mut Visit<'_>) {
    for (index, name) in X32_OWN.iter().enumerate() {
        visit(name, X32_BIT | (512 + index as u32));
    }
    x86_64(&mut |name, number| {
        if !X32_OWN.contains(&name) && !NOT_X32.contains(&name) {
            visit(name, X32_BIT | number);
        }
    });
}

fn arm_and_private(visit: &mut Visit<'_>) {
    arm(visit);
    for (index, name) in ["breakpoint", "cacheflush", "usr26", "usr32", "set_tls"].iter().enumerate() {
        visit(name, ARM_PRIVATE + 1 + index as u32);
    }
}

/// What socketcall(2) carries, by the value of its first argument less one (linux/net.h).
pub(super) const SOCKETCALL: [&str; 20] = [
    "socket",
    "bind",
    "connect",
    "listen",
    "accept",
    "getsockname",
    "getpeername",
    "socketpair",
    "send",
    "recv",
    "sendto",
    "recvfrom",
    "shutdown",
    "setsockopt",
    "getsockopt",
    "sendmsg",
    "recvmsg",
    "accept4",
    "recvmmsg",
    "sendmmsg",
];

/// What ipc(2) carries, with the value of its first argument (linux/ipc.h).
pub(super) const IPC: [(&str, u64); 12] = [
    ("semop", 1),
    ("semget", 2),
    ("semctl", 3),
    ("semtimedop", 4),
    ("msgsnd", 11),
    ("msgrcv", 12),
    ("msgget", 13),
    ("msgctl", 14),
    ("shmat", 21),
    ("shmdt", 22),
    ("shmget", 23),
    ("shmctl", 24),
];
