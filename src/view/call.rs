//! A system call as strace(1) shows it: `mkdirat(5</dev>, "pts", 0755) = 0`.

use crate::sys::witness::{Bits, Outcome, Shown};
use crate::sys::{Call, errno_name};

/// The call, with its arguments and what came of it.
pub fn text(call: Call, arguments: &[Shown], outcome: Outcome) -> String {
    let arguments: Vec<_> = arguments.iter().map(argument).collect();
    format!("{}({}) = {}", call.name(), arguments.join(", "), result(outcome))
}

/// One argument.
pub fn argument(argument: &Shown) -> String {
    match argument {
        // AT_FDCWD of linux/fcntl.h.
        Shown::Fd(-100, _) => "AT_FDCWD".to_string(),
        Shown::Fd(number, what) if what.is_empty() => number.to_string(),
        Shown::Fd(number, what) => format!("{number}<{}>", escaped(what.as_bytes())),
        Shown::Text(text, cut) => format!("\"{}\"{}", escaped(text), if *cut { "..." } else { "" }),
        Shown::Number(number) => number.to_string(),
        Shown::Mode(mode) => format!("{mode:#05o}").replacen("0o", "0", 1),
        Shown::Bits(family, bits) => flags(*family, *bits),
        Shown::Word(word) => word.clone(),
    }
}

/// One argument, of a long text its beginning.
pub fn short(shown: &Shown) -> String {
    const ENOUGH: usize = 60;
    match shown {
        Shown::Text(text, _) if text.len() > ENOUGH => argument(&Shown::Text(text[..ENOUGH].to_vec(), true)),
        shown => argument(shown),
    }
}

/// `0`, `-1 EPERM (Operation not permitted)`, or `?` for a call that does not come back.
pub fn result(outcome: Outcome) -> String {
    match outcome {
        Outcome::Returned(number) => number.to_string(),
        Outcome::Failed(errno) => format!("-1 {}", errno_name(errno.raw_os_error())),
        Outcome::Gone => "?".to_string(),
    }
}

/// Bytes as in a C string: what a terminal would obey is spelt out.
fn escaped(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let one = |c: char| match c {
        '"' | '\\' => format!("\\{c}"),
        c if c.is_control() => c.escape_default().to_string(),
        c => c.to_string(),
    };
    text.chars().map(one).collect()
}

/// linux/sched.h; CLONE_PIDFD, CLONE_PARENT and CLONE_INTO_CGROUP are not namespaces.
const CLONE: [(u64, &str); 11] = [
    (0x0002_0000, "CLONE_NEWNS"),
    (0x0200_0000, "CLONE_NEWCGROUP"),
    (0x0400_0000, "CLONE_NEWUTS"),
    (0x0800_0000, "CLONE_NEWIPC"),
    (0x1000_0000, "CLONE_NEWUSER"),
    (0x2000_0000, "CLONE_NEWPID"),
    (0x4000_0000, "CLONE_NEWNET"),
    (0x0000_0080, "CLONE_NEWTIME"),
    (0x0000_1000, "CLONE_PIDFD"),
    (0x0000_8000, "CLONE_PARENT"),
    (0x2_0000_0000, "CLONE_INTO_CGROUP"),
];

/// linux/mount.h.
const MOUNT_ATTRIBUTES: [(u64, &str); 9] = [
    (0x01, "MOUNT_ATTR_RDONLY"),
    (0x02, "MOUNT_ATTR_NOSUID"),
    (0x04, "MOUNT_ATTR_NODEV"),
    (0x08, "MOUNT_ATTR_NOEXEC"),
    (0x10, "MOUNT_ATTR_NOATIME"),
    (0x20, "MOUNT_ATTR_STRICTATIME"),
    (0x80, "MOUNT_ATTR_NODIRATIME"),
    (0x10_0000, "MOUNT_ATTR_IDMAP"),
    (0x20_0000, "MOUNT_ATTR_NOSYMFOLLOW"),
];

/// linux/mount.h, and the AT_* flags that go with them.
const OPEN_TREE: [(u64, &str); 4] = [
    (0x0000_0001, "OPEN_TREE_CLONE"),
    (0x0008_0000, "OPEN_TREE_CLOEXEC"),
    (0x0000_8000, "AT_RECURSIVE"),
    (0x0000_1000, "AT_EMPTY_PATH"),
];

/// linux/mount.h.
const PROPAGATION: [(u64, &str); 5] = [
    (1 << 14, "MS_REC"),
    (1 << 17, "MS_UNBINDABLE"),
    (1 << 18, "MS_PRIVATE"),
    (1 << 19, "MS_SLAVE"),
    (1 << 20, "MS_SHARED"),
];

/// linux/seccomp.h.
const SECCOMP: [(u64, &str); 6] = [
    (1 << 0, "SECCOMP_FILTER_FLAG_TSYNC"),
    (1 << 1, "SECCOMP_FILTER_FLAG_LOG"),
    (1 << 2, "SECCOMP_FILTER_FLAG_SPEC_ALLOW"),
    (1 << 3, "SECCOMP_FILTER_FLAG_NEW_LISTENER"),
    (1 << 4, "SECCOMP_FILTER_FLAG_TSYNC_ESRCH"),
    (1 << 5, "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"),
];

fn flags(family: Bits, bits: u64) -> String {
    let names: &[(u64, &str)] = match family {
        Bits::Namespaces | Bits::Clone => &CLONE,
        Bits::MountAttributes => &MOUNT_ATTRIBUTES,
        Bits::OpenTree => &OPEN_TREE,
        Bits::Propagation => &PROPAGATION,
        Bits::Seccomp => &SECCOMP,
        Bits::Capabilities => return capabilities(bits),
        Bits::Hex => &[],
    };
    let mut words: Vec<_> = names.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| name.to_string()).collect();
    let rest = bits & !names.iter().fold(0, |all, (bit, _)| all | bit);
    if rest != 0 || words.is_empty() {
        words.push(if rest == 0 { "0".to_string() } else { format!("{rest:#x}") });
    }
    words.join("|")
}

/// One capability by its name, a set as a mask, as /proc/PID/status has it.
fn capabilities(bits: u64) -> String {
    let one = caps::all().into_iter().find(|capability| bits == 1 << capability.index());
    one.map_or_else(|| format!("{bits:#018x}"), |capability| capability.to_string())
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn a_call_reads_as_strace_has_it() {
        let told = text(
            Call::Mkdirat,
            &[Shown::Fd(5, "/dev".into()), Shown::Text(b"pt\x1bs".to_vec(), true), Shown::Mode(0o755)],
            Outcome::Returned(0),
        );
        assert_eq!(told, "mkdirat(5</dev>, \"pt\\u{1b}s\"..., 0755) = 0");
        let told = text(
            Call::Unshare,
            &[Shown::Bits(Bits::Namespaces, 0x0200_0000 | 0x8), Shown::Fd(-100, String::new())],
            Outcome::Failed(Errno::PERM),
        );
        assert_eq!(told, "unshare(CLONE_NEWCGROUP|0x8, AT_FDCWD) = -1 EPERM (Operation not permitted)");
        let told = text(Call::Prctl, &[Shown::Bits(Bits::Capabilities, 1 << 5)], Outcome::Gone);
        assert_eq!(told, "prctl(CAP_KILL) = ?");
        assert_eq!(argument(&Shown::Bits(Bits::Capabilities, 3)), "0x0000000000000003");
        assert_eq!(argument(&Shown::Bits(Bits::MountAttributes, 0)), "0");
    }
}
