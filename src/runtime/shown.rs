//! What is mounted for a container without a mount namespace of its own. It stands in ours, all of it below the rootfs, which
//! is mounted over itself, and goes with that one mount.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};
use serde::{Deserialize, Serialize};

use super::error::RuntimeError;
use super::identity::boot_id;
use crate::plan::Plan;
use crate::sys::{Arg, Call, CallResult};

/// What stood at a rootfs before the container's own mount of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Shown {
    /// How many mounts, one over the other.
    mounts: usize,
    /// The boot that this was in (/proc/sys/kernel/random/boot_id): after another one nothing of the container's is left.
    boot_id: String,
}

/// For the record of a container that is about to be made.
pub(super) fn before(plan: &Plan, rootfs: &Path) -> Option<Shown> {
    plan.shares_mounts().then(|| Shown { mounts: mounts_at(rootfs), boot_id: boot_id().to_string() })
}

impl Shown {
    /// Takes down what has come since, with all that is mounted below it. A second try finds nothing left to do.
    pub(super) fn take_down(&self, rootfs: &Path) -> Result<(), RuntimeError> {
        if self.boot_id != boot_id() {
            return Ok(());
        }
        for _ in self.mounts..mounts_at(rootfs) {
            let told = [Arg::Text(rootfs.as_os_str().as_bytes()), Arg::Word("MNT_DETACH | UMOUNT_NOFOLLOW")];
            match unmount(rootfs, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW).told(Call::Umount2, &told) {
                Err(failure) if !matches!(failure.errno, Errno::INVAL | Errno::NOENT) => {
                    return Err(RuntimeError::io(format!("unmount {rootfs:?}"), &io::Error::from(failure)));
                }
                // Or somebody else has taken it down meanwhile, or the bundle is gone with it.
                _ => {}
            }
        }
        Ok(())
    }
}

fn mounts_at(place: &Path) -> usize {
    count(&fs::read("/proc/self/mountinfo").unwrap_or_default(), place)
}

/// How many lines of a table name this mount point: the fifth field (proc_pid_mountinfo(5)).
fn count(table: &[u8], place: &Path) -> usize {
    let wanted = escaped(place.as_os_str().as_bytes());
    let is_there = |line: &&[u8]| line.split(|byte| *byte == b' ').nth(4) == Some(&wanted);
    table.split(|byte| *byte == b'\n').filter(is_there).count()
}

/// A path as the kernel writes it there: what would break a line or a field is three octal digits.
fn escaped(path: &[u8]) -> Vec<u8> {
    let one = |byte: &u8| match byte {
        b' ' | b'\t' | b'\n' | b'\\' => format!("\\{byte:03o}").into_bytes(),
        byte => vec![*byte],
    };
    path.iter().flat_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_at_a_place_are_counted_by_the_kernels_own_spelling() {
        let table = br"22 1 0:21 / / rw shared:1 - ext4 /dev/root rw
30 22 0:25 /b /a\040b/rootfs rw - ext4 /dev/root rw
31 30 0:25 /b /a\040b/rootfs rw - ext4 /dev/root rw
32 31 0:26 / /a\040b/rootfs/proc rw - proc proc rw";
        assert_eq!(count(table, Path::new("/a b/rootfs")), 2);
        assert_eq!(count(table, Path::new("/a b")), 0);
        assert_eq!(count(table, Path::new("/")), 1);
        assert_eq!(escaped(b"/a\\b\n"), br"/a\134b\012");
    }

    #[test]
    fn nothing_is_taken_down_that_was_there_before_or_is_of_another_boot() {
        let table = mounts_at(Path::new("/"));
        assert!(table > 0, "the root is mounted");
        let root = Path::new("/");
        for shown in [
            Shown { mounts: table, boot_id: boot_id().to_string() },
            Shown { mounts: 0, boot_id: "another".to_string() },
        ] {
            shown.take_down(root).expect("nothing to do");
        }
        assert_eq!(mounts_at(root), table);
    }
}
