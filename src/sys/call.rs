//! A failed system call as two numbers: it crosses from the child to its parent without an allocation.

use std::fmt;

use rustix::io::Errno;

use super::witness::{self, Answer, Arg, Outcome};

/// Declares the calls that a container's process makes, with their names in the manual pages.
macro_rules! calls {
    ($($variant:ident $name:literal,)*) => {
        /// A system call, or a library's name for one use of it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u16)]
        #[allow(missing_docs)]
        pub enum Call { $($variant,)* }

        impl Call {
            const ALL: &[Call] = &[$(Call::$variant,)*];

            /// The name in section 2 of the manual.
            pub fn name(self) -> &'static str {
                match self { $(Call::$variant => $name,)* }
            }
        }
    };
}

calls! {
    Clone3 "clone3",
    Unshare "unshare",
    Setsid "setsid",
    Mount "mount",
    Umount2 "umount2",
    PivotRoot "pivot_root",
    Chroot "chroot",
    Fsopen "fsopen",
    Fsconfig "fsconfig",
    Fsmount "fsmount",
    OpenTree "open_tree",
    MoveMount "move_mount",
    MountSetattr "mount_setattr",
    Openat2 "openat2",
    Openat "openat",
    Fstat "fstat",
    Fstatfs "fstatfs",
    Mkdirat "mkdirat",
    Mknodat "mknodat",
    Fchownat "fchownat",
    Symlinkat "symlinkat",
    Fchdir "fchdir",
    Chdir "chdir",
    Getcwd "getcwd",
    Sethostname "sethostname",
    Setdomainname "setdomainname",
    Socket "socket",
    Ioctl "ioctl",
    Sendmsg "sendmsg",
    Recvmsg "recvmsg",
    Accept4 "accept4",
    Dup3 "dup3",
    Setgroups "setgroups",
    Setresgid "setresgid",
    Setresuid "setresuid",
    Capset "capset",
    Prctl "prctl",
    Prlimit "prlimit64",
    CloseRange "close_range",
    Faccessat "faccessat2",
    Fcntl "fcntl",
    Seccomp "seccomp",
    Execve "execve",
    Getdents64 "getdents64",
    Sendfile "sendfile",
    Readlinkat "readlinkat",
    Fchown "fchown",
    Fchmod "fchmod",
    Setns "setns",
    Write "write",
    Keyctl "keyctl",
    SchedSetaffinity "sched_setaffinity",
    SchedSetattr "sched_setattr",
    IoprioSet "ioprio_set",
    Poll "poll",
    Waitid "waitid",
    Setpgid "setpgid",
    Lseek "lseek",
    Fspick "fspick",
    Personality "personality",
    Mmap "mmap",
    Umask "umask",
    Unlinkat "unlinkat",
    Renameat "renameat",
    Bind "bind",
    Listen "listen",
    Dup2 "dup2",
    Bpf "bpf",
    PidfdSendSignal "pidfd_send_signal",
    Sendto "sendto",
    Fchmodat "fchmodat",
}

/// A call that failed: `mount_setattr = EPERM (Operation not permitted)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// Which call.
    pub call: Call,
    /// What the kernel answered.
    pub errno: Errno,
}

impl Call {
    /// The call with this number on the wire.
    pub fn from_number(number: u16) -> Option<Call> {
        Call::ALL.get(usize::from(number)).copied()
    }

    /// This call's failure with `errno`.
    pub fn failed(self, errno: Errno) -> Failure {
        Failure { call: self, errno }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}", self.call.name(), errno_name(self.errno.raw_os_error()))
    }
}

impl std::error::Error for Failure {}

impl From<Failure> for std::io::Error {
    fn from(failure: Failure) -> std::io::Error {
        failure.errno.into()
    }
}

/// `EPERM (Operation not permitted)`.
pub fn errno_name(raw: i32) -> String {
    let errno = nix::errno::Errno::from_raw(raw);
    format!("{errno:?} ({})", errno.desc())
}

/// Names the call of a result.
pub trait CallResult<T> {
    /// The same result, a failure of `call`.
    fn of(self, call: Call) -> Result<T, Failure>;

    /// As [`CallResult::of`], of a call that changes something: it was made with these arguments, and is told where
    /// somebody wants to know ([`super::Witness`]).
    fn told(self, call: Call, arguments: &[Arg<'_>]) -> Result<T, Failure>
    where
        T: Answer;
}

impl<T> CallResult<T> for rustix::io::Result<T> {
    fn of(self, call: Call) -> Result<T, Failure> {
        self.map_err(|errno| call.failed(errno))
    }

    fn told(self, call: Call, arguments: &[Arg<'_>]) -> Result<T, Failure>
    where
        T: Answer,
    {
        witness::tell(call, arguments, Outcome::of(&self));
        self.of(call)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_reads_as_the_call() {
        assert_eq!(Call::Mount.failed(Errno::PERM).to_string(), "mount = EPERM (Operation not permitted)");
        for call in Call::ALL {
            assert_eq!(Call::from_number(*call as u16), Some(*call));
        }
        assert_eq!(Call::from_number(u16::MAX), None);
    }
}
