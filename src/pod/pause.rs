//! The pause process of a sandbox, as the bytes of its program. Its source is `sys/pause.rs`, which says what it does.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::mount::{MountFlags, mount};

/// A static program, which needs nothing of the root file system that it runs in.
const PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/pause"));

/// Makes the root file system of a sandbox in the directory `rootfs`: `/pause`, and where /proc and /dev go. It is a mount of its own,
/// because the file system of the pods' directories may forbid to execute.
pub fn rootfs(rootfs: &Path) -> io::Result<()> {
    fs::create_dir_all(rootfs)?;
    mount("pause", rootfs, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, c"mode=0755,size=64k")?;
    for name in ["proc", "dev"] {
        fs::create_dir(rootfs.join(name))?;
    }
    write(&rootfs.join("pause"))
}

fn write(path: &Path) -> io::Result<()> {
    fs::write(path, PROGRAM)?;
    fs::set_permissions(path, Permissions::from_mode(0o755))
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, Stdio};
    use std::thread::sleep;
    use std::time::{Duration, Instant};

    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    use super::*;

    #[test]
    fn it_stays_at_sighup_and_ends_at_sigterm() {
        assert!(PROGRAM.starts_with(b"\x7fELF") && PROGRAM.len() < 16 << 10, "{} bytes", PROGRAM.len());
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pause");
        write(&path).unwrap();
        let mut child = Command::new(path).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let pid = Pid::from_raw(child.id() as i32);
        // It sleeps in one place alone: where its signals are blocked. Before, SIGHUP would end it.
        let sleeps = || {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('S'))
        };
        let deadline = Instant::now() + Duration::from_secs(10);
        while !sleeps() && Instant::now() < deadline {
            sleep(Duration::from_millis(5));
        }
        kill(pid, Signal::SIGHUP).unwrap();
        sleep(Duration::from_millis(50));
        let after_hup = child.try_wait();
        kill(pid, Signal::SIGTERM).unwrap();
        let status = child.wait().unwrap();
        assert_eq!(after_hup.unwrap(), None);
        assert_eq!((status.code(), status.signal()), (Some(0), None));
    }
}
