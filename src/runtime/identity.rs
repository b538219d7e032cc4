//! A process that is meant, and not a later one of the same number: pid, start time and boot id together.

use std::fs;
use std::os::fd::OwnedFd;
use std::sync::OnceLock;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};

/// Which process is meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// Its id, in the PID namespace of the runtime.
    pub pid: i32,
    /// When it was started, in clock ticks since boot (proc_pid_stat(5), field 22).
    pub start_time: u64,
    /// The boot that the ticks count from (/proc/sys/kernel/random/boot_id).
    pub boot_id: String,
}

/// What /proc/PID/stat says that matters here.
struct Stat {
    state: char,
    start_time: u64,
}

/// The identity of a process that is alive; none where it is gone.
pub fn of(pid: i32) -> Option<Identity> {
    Some(Identity { pid, start_time: stat(pid)?.start_time, boot_id: boot_id().to_string() })
}

/// Whether the process is still there and no zombie.
pub fn is_alive(process: &Identity) -> bool {
    let alive = |stat: Stat| stat.start_time == process.start_time && !matches!(stat.state, 'Z' | 'X');
    stat(process.pid).is_some_and(alive) && process.boot_id == boot_id()
}

/// A descriptor that means this process; `None` where it is gone. The identity is checked after the descriptor is open:
/// from then on it cannot come to mean another process.
pub fn open(process: &Identity) -> Result<Option<OwnedFd>, Errno> {
    let Some(pid) = Pid::from_raw(process.pid) else { return Ok(None) };
    match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(pidfd) => Ok(Some(pidfd).filter(|_| is_alive(process))),
        // EINVAL: it is being buried while we look, has a number still but is the leader of no thread group any more.
        Err(Errno::SRCH | Errno::INVAL) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// The same as long as we live: `list` asks for each container.
pub(super) fn boot_id() -> &'static str {
    static BOOT_ID: OnceLock<String> = OnceLock::new();
    BOOT_ID.get_or_init(|| {
        let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        text.trim_end().to_string()
    })
}

fn stat(pid: i32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The command's name may hold spaces and brackets, so fields are counted from the last bracket.
fn parse_stat(text: &str) -> Option<Stat> {
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?.chars().next()?;
    let start_time = fields.nth(18)?.parse().ok()?;
    Some(Stat { state, start_time })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_itself_and_no_other() {
        let me = of(std::process::id() as i32).expect("we are alive");
        assert!(is_alive(&me));
        assert!(open(&me).expect("pidfd").is_some());
        let earlier = Identity { start_time: me.start_time - 1, ..me.clone() };
        assert!(!is_alive(&earlier) && open(&earlier).expect("pidfd").is_none());
        assert!(!is_alive(&Identity { boot_id: "another boot".into(), ..me }));
    }

    #[test]
    fn names_with_brackets_do_not_shift_the_fields() {
        let line = "12 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20";
        let stat = parse_stat(line).expect("well formed");
        assert_eq!((stat.state, stat.start_time), ('S', 4242));
        assert!(parse_stat("").is_none());
    }
}
