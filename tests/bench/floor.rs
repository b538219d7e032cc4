//! The floor under a container start: the system calls that no runtime can do without, and nothing else.
//!
//! One cgroup, one clone3(2) into it with the namespaces of `runc spec`, a private mount tree, /proc, pivot_root(2), exec.
//! No config.json, no devices, no masked paths, no capabilities, no state. What a runtime takes beyond this is its own.
//!
//! Usage: `floor ROOTFS CGROUP COMMAND [ARGUMENT…]`

#![allow(unsafe_code)]

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use rustix::process::{Pid, WaitOptions};

/// linux/sched.h. libc's constant of this name is an int, and too small for it.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let [rootfs, cgroup, command, arguments @ ..] = arguments.as_slice() else {
        panic!("usage: floor ROOTFS CGROUP COMMAND [ARGUMENT…]");
    };
    fs::create_dir(cgroup).expect("the cgroup is new");
    let directory = File::open(cgroup).expect("it was just made");
    match clone_into(&directory).expect("clone3") {
        None => {
            let error = enter(Path::new(rootfs)).map(|()| Command::new(command).args(arguments).exec());
            panic!("in the container: {error:?}");
        }
        Some(pid) => {
            let (_, status) = rustix::process::waitpid(Some(pid), WaitOptions::empty())
                .expect("our own child")
                .expect("waited without WNOHANG");
            fs::remove_dir(cgroup).expect("it is empty again");
            ExitCode::from(status.exit_status().map_or(1, |code| code as u8))
        }
    }
}

/// clone3(2) with the namespaces of `runc spec`'s config.json, born in the cgroup. `None` is the child.
fn clone_into(cgroup: &File) -> io::Result<Option<Pid>> {
    let namespaces = libc::CLONE_NEWPID
        | libc::CLONE_NEWNET
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWNS
        | libc::CLONE_NEWCGROUP;
    // SAFETY: all fields of clone_args may be zero.
    let mut call: libc::clone_args = unsafe { std::mem::zeroed() };
    call.flags = namespaces as u64 | CLONE_INTO_CGROUP;
    call.exit_signal = libc::SIGCHLD as u64;
    call.cgroup = cgroup.as_raw_fd() as u64;
    // SAFETY: `call` outlives the call and its size is passed. Without CLONE_VM the child has a copy of our memory, and we
    // have one thread, so no lock can be held in the copy.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const call, size_of::<libc::clone_args>()) };
    match pid {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(None),
        pid => Ok(Pid::from_raw(pid as i32)),
    }
}

/// The container's view of files: the rootfs as /, with a /proc of its own.
fn enter(rootfs: &Path) -> io::Result<()> {
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    // pivot_root(2) wants a mount point.
    rustix::mount::mount_bind_recursive(rootfs, rootfs)?;
    rustix::process::chdir(rootfs)?;
    rustix::mount::mount("proc", "proc", "proc", MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC, None)?;
    // Both the same: the old root lies on top of the new one, and is taken away.
    rustix::process::pivot_root(".", ".")?;
    rustix::mount::unmount(".", UnmountFlags::DETACH)?;
    Ok(())
}
