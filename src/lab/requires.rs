//! What a lab needs of the machine, and why a machine that lacks it cannot run the lab.
//!
//! An unmet requirement is never a failed check: it is told before anything runs, with what to do.

use std::fmt;
use std::str::FromStr;

/// One requirement, as written in a lab's `requires`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Require {
    /// `root`: effective user id 0.
    Root,
    /// `cgroup2`: a writable cgroup v2 hierarchy.
    Cgroup2,
    /// `cgroup2:memory`: that hierarchy has the controller.
    Controller(String),
    /// `cmd:unshare`: a program on the lab shell's PATH (glassbox's own helper programs always are).
    Command(String),
    /// `kernel>=6.1`: a version of the kernel.
    Kernel(u32, u32),
    /// `cpus>=2`: CPUs that this process may run on.
    Cpus(usize),
    /// `swap>=64M`: free swap space, in bytes.
    Swap(u64),
    /// `file:/proc/pressure/cpu`: a file that can be opened and read.
    File(String),
}

impl FromStr for Require {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some((what, least)) = text.split_once(">=") {
            let number = || super::quantity::number(least).filter(|number| *number >= 0.0 && number.fract() == 0.0);
            return match what.trim() {
                "kernel" => release(least).map(|(major, minor)| Require::Kernel(major, minor)),
                "cpus" => number().map(|cpus| Require::Cpus(cpus as usize)),
                "swap" => number().map(|bytes| Require::Swap(bytes as u64)),
                _ => None,
            }
            .ok_or_else(|| unknown(text));
        }
        match text.split_once(':') {
            None if text == "root" => Ok(Require::Root),
            None if text == "cgroup2" => Ok(Require::Cgroup2),
            Some(("cgroup2", controller)) if !controller.is_empty() => Ok(Require::Controller(controller.to_string())),
            Some(("cmd", command)) if !command.is_empty() => Ok(Require::Command(command.to_string())),
            Some(("file", path)) if path.starts_with('/') => Ok(Require::File(path.to_string())),
            _ => Err(unknown(text)),
        }
    }
}

fn unknown(text: &str) -> String {
    format!(
        "unknown requirement {text:?}: write root, cgroup2, cgroup2:CONTROLLER, cmd:NAME, kernel>=X.Y, cpus>=N, swap>=SIZE or file:/PATH"
    )
}

/// The first two numbers of a kernel release such as `6.12.48+deb13-amd64`.
pub fn release(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.trim().split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

impl fmt::Display for Require {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Require::Root => write!(f, "root"),
            Require::Cgroup2 => write!(f, "cgroup2"),
            Require::Controller(name) => write!(f, "cgroup2:{name}"),
            Require::Command(name) => write!(f, "cmd:{name}"),
            Require::Kernel(major, minor) => write!(f, "kernel>={major}.{minor}"),
            Require::Cpus(count) => write!(f, "cpus>={count}"),
            Require::Swap(bytes) => write!(f, "swap>={bytes}"),
            Require::File(path) => write!(f, "file:{path}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Require, release};

    #[test]
    fn a_requirement_is_written_as_it_is_shown() {
        for text in ["root", "cgroup2", "cgroup2:memory", "cmd:ip", "kernel>=6.1", "cpus>=2", "file:/proc/pressure/cpu"]
        {
            assert_eq!(text.parse::<Require>().expect("a requirement").to_string(), text);
        }
        assert_eq!("swap>=64M".parse(), Ok(Require::Swap(67_108_864)));
        for text in ["", "Root", "cgroup2:", "cmd:", "kernel>=six", "cpus>=-1", "file:relative", "ram>=4"] {
            assert!(text.parse::<Require>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_release_has_two_numbers() {
        assert_eq!(release("6.12.48+deb13-amd64"), Some((6, 12)));
        assert_eq!(release("6.1.0-40-cloud-amd64"), Some((6, 1)));
        assert_eq!(release("six"), None);
    }
}
