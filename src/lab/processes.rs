//! The processes of a run, found again by a mark in their environment: whatever the lab's shell starts inherits it.

use std::fs;
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// The variable whose value is the directory of the run; every process of the run has it.
pub const MARK: &str = "GLASSBOX_LAB";

/// A process of the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: i32,
    /// Its name, as the kernel cuts it (15 bytes).
    pub name: String,
}

/// Every living process whose environment names the run's directory.
pub fn of_run(dir: &Path) -> Vec<Process> {
    let mark = format!("{MARK}={}", dir.display());
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else { continue };
        // A process may end, or belong to someone else, between the listing and the look: then it is none of ours.
        let Ok(environ) = fs::read(entry.path().join("environ")) else { continue };
        if environ.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes()) {
            let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default().trim().to_string();
            found.push(Process { pid, name });
        }
    }
    found
}

/// Kills every process of the run, until none is found or three seconds have passed; returns the survivors.
pub fn kill_run(dir: &Path) -> Vec<Process> {
    let deadline = Instant::now() + Duration::from_secs(3);
    loop {
        let alive = of_run(dir);
        if alive.is_empty() || Instant::now() > deadline {
            return alive;
        }
        for pid in alive.iter().filter_map(|process| Pid::from_raw(process.pid)) {
            // It may have ended since the list was read.
            let _ = kill_process(pid, Signal::KILL);
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// When a process started, in clock ticks since boot (field 22 of `/proc/PID/stat`), which tells it from a later one
/// with the same id.
///
/// # Errors
/// If there is no such process.
pub fn start_time(pid: i32) -> io::Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name stands in parentheses and may hold anything, so fields are counted from the last one.
    let fields = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace()).and_then(|mut rest| rest.nth(19));
    fields
        .and_then(|field| field.parse().ok())
        .ok_or_else(|| io::Error::other(format!("/proc/{pid}/stat has no field 22")))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::{MARK, kill_run, of_run, start_time};

    #[test]
    fn a_run_is_found_and_ended_by_its_mark() {
        let dir = tempfile::tempdir().expect("a directory");
        let script = "sleep 60 & setsid sleep 60 & wait";
        let mut child = Command::new("sh").args(["-c", script]).env(MARK, dir.path()).spawn().expect("sh starts");
        let begun = std::time::Instant::now();
        while of_run(dir.path()).iter().filter(|process| process.name == "sleep").count() < 2 {
            assert!(begun.elapsed().as_secs() < 10, "both sleeps start");
        }
        assert!(start_time(i32::try_from(child.id()).expect("a pid")).expect("it lives") > 0);
        let reaper = std::thread::spawn(move || child.wait());
        assert_eq!(kill_run(dir.path()), []);
        assert!(reaper.join().expect("no panic").is_ok());
    }
}
