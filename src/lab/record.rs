//! What a run has made, written down before it is made, so that the next run can clear away what a killed one left.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

use super::cgroup;
use super::container;
use super::pod;
use super::processes;

/// The record of one run: `record.toml` in the run's directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The lab.
    pub lab: String,
    /// The runner.
    pub pid: i32,
    /// When the runner started, in clock ticks since boot: a later process may have the same id.
    pub started: u64,
    /// The kernel's random name for this boot: nothing but files survives the next one.
    pub boot: String,
    /// The cgroup that holds all others of the run.
    pub cgroup: Option<PathBuf>,
    /// The cgroup in whose `cgroup.subtree_control` controllers were enabled, and which.
    pub enabled: Option<Enabled>,
    /// The leaf into which the runner stepped aside.
    pub aside: Option<PathBuf>,
}

/// Controllers that the runner enabled for the children of a cgroup that is not its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enabled {
    /// The cgroup.
    pub dir: PathBuf,
    /// The controllers.
    pub controllers: Vec<String>,
}

const FILE: &str = "record.toml";

/// The mode of a run's directories: nobody else writes or lists them. They can be passed through, because a container whose
/// root is mapped to an ordinary user has to reach its root file system in there.
pub const RUN_MODE: u32 = 0o711;

impl Record {
    /// The record of this process, which has made nothing yet.
    ///
    /// # Errors
    /// If `/proc` cannot be read.
    pub fn of_this_process(lab: &str) -> io::Result<Record> {
        let pid = rustix::process::getpid().as_raw_nonzero().get();
        let started = processes::start_time(pid)?;
        Ok(Record { lab: lab.to_string(), pid, started, boot: boot()?, cgroup: None, enabled: None, aside: None })
    }

    /// Writes it, in one move.
    ///
    /// # Errors
    /// If the directory cannot be written.
    pub fn save(&self, dir: &Path) -> io::Result<()> {
        let text = toml::to_string(self).map_err(io::Error::other)?;
        fs::write(dir.join("record.new"), text)?;
        fs::rename(dir.join("record.new"), dir.join(FILE))
    }

    /// Whether the runner that wrote it still runs.
    fn alive(&self) -> bool {
        processes::start_time(self.pid).is_ok_and(|started| started == self.started)
            && boot().is_ok_and(|boot| boot == self.boot)
    }

    /// Takes away what it names, in the opposite order; returns processes that could not be ended.
    ///
    /// # Errors
    /// The first thing that could not be taken away; the record stays, so that it can be tried again.
    pub fn undo(&self, dir: &Path) -> io::Result<Vec<processes::Process>> {
        let mut survivors = Vec::new();
        if boot()? == self.boot {
            pod::remove_of_run(dir)?;
            container::remove_below(dir)?;
            survivors = processes::kill_run(dir);
            if let Some(top) = &self.cgroup {
                cgroup::remove(top)?;
            }
            if let Some(Enabled { dir, controllers }) = &self.enabled {
                cgroup::disable(dir, controllers)?;
            }
            if let Some(aside) = self.aside.as_ref().filter(|aside| aside.exists()) {
                cgroup::step_back(aside.parent().unwrap_or(aside), aside)?;
            }
        }
        clear(dir)?;
        fs::remove_dir(dir)?;
        Ok(survivors)
    }
}

/// Empties a directory of the run. What the lab has mounted below it is unmounted first: a recursive removal would
/// otherwise go on into the mounted tree. Loop devices of files below it are detached.
///
/// # Errors
/// If something below it stays mounted or cannot be removed.
pub fn clear(dir: &Path) -> io::Result<()> {
    let mountinfo = fs::read_to_string("/proc/self/mountinfo")?;
    let points = mountinfo.lines().filter_map(|line| line.split(' ').nth(4)).map(super::read::unescape);
    let mut below: Vec<_> = points.filter(|point| Path::new(point).starts_with(dir)).collect();
    while let Some(point) = below.pop() {
        rustix::mount::unmount(point.as_str(), rustix::mount::UnmountFlags::DETACH)?;
    }
    detach_loop_devices(dir)?;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() { fs::remove_dir_all(entry.path())? } else { fs::remove_file(entry.path())? }
    }
    Ok(())
}

/// Detaches every loop device whose file lies below a directory (loop(4): `/sys/block/loopN/loop/backing_file`).
fn detach_loop_devices(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir("/sys/block").into_iter().flatten().flatten() {
        let Ok(file) = fs::read_to_string(entry.path().join("loop/backing_file")) else { continue };
        if Path::new(file.trim_end()).starts_with(dir) {
            let device = Path::new("/dev").join(entry.file_name());
            let output = Command::new("losetup").arg("--detach").arg(&device).output()?;
            if !output.status.success() {
                let said = String::from_utf8_lossy(&output.stderr).trim().to_string();
                return Err(io::Error::other(format!("losetup --detach {}: {said}", device.display())));
            }
        }
    }
    Ok(())
}

/// The directory that holds the directories of all runs of this user. Made if it is not there.
///
/// # Errors
/// If it cannot be made, or belongs to somebody else: then its records could be forged.
pub fn runs() -> io::Result<PathBuf> {
    let uid = rustix::process::geteuid().as_raw();
    let dir = std::env::temp_dir().join(format!("glassbox-lab-{uid}"));
    match fs::DirBuilder::new().mode(RUN_MODE).create(&dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(io::Error::new(error.kind(), format!("{}: {error}", dir.display())));
        }
        _ => {}
    }
    let meta = fs::symlink_metadata(&dir)?;
    if !meta.is_dir() || meta.uid() != uid || meta.mode() & 0o022 != 0 {
        let reason = format!("{} is not a directory of user {uid} alone; remove it or set TMPDIR", dir.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, reason));
    }
    fs::set_permissions(&dir, fs::Permissions::from_mode(RUN_MODE))?;
    Ok(dir)
}

/// The directories of the runs whose runner lives.
///
/// # Errors
/// If the directory of all runs cannot be read.
pub fn alive() -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(runs()?)? {
        let dir = entry?.path();
        let text = fs::read_to_string(dir.join(FILE)).unwrap_or_default();
        if toml::from_str::<Record>(&text).is_ok_and(|record| record.alive()) {
            found.push(dir);
        }
    }
    Ok(found)
}

/// Clears away what killed runs left; returns the names of their labs.
///
/// # Errors
/// The first thing that could not be taken away.
pub fn clear_dead() -> io::Result<Vec<String>> {
    let mut cleared = Vec::new();
    for entry in fs::read_dir(runs()?)? {
        let dir = entry?.path();
        let text = match fs::read_to_string(dir.join(FILE)) {
            Ok(text) => text,
            // A run writes its record before anything else, so one without a record made nothing else.
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        match toml::from_str::<Record>(&text) {
            Ok(record) if record.alive() => {}
            Ok(record) => {
                record.undo(&dir)?;
                cleared.push(record.lab);
            }
            Err(_) => {
                let begun = fs::metadata(&dir)?.modified()?.elapsed().unwrap_or_default();
                // Another run may be writing its record at this very moment.
                if begun.as_secs() > 5 {
                    clear(&dir)?;
                    fs::remove_dir(&dir)?;
                }
            }
        }
    }
    Ok(cleared)
}

fn boot() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_string())
}

#[cfg(test)]
mod tests {
    use super::Record;

    #[test]
    fn a_record_knows_whether_its_runner_lives() {
        let record = Record::of_this_process("qos").expect("a record");
        assert!(record.alive());
        assert!(!Record { started: record.started + 1, ..record.clone() }.alive(), "another process with the same id");
        assert!(!Record { boot: "another".to_string(), ..record }.alive(), "another boot");
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut record = Record::of_this_process("qos").expect("a record");
        record.cgroup = Some("/sys/fs/cgroup/glassbox-lab-1".into());
        record.enabled = Some(super::Enabled { dir: "/sys/fs/cgroup".into(), controllers: vec!["cpuset".to_string()] });
        record.save(dir.path()).expect("saved");
        let text = std::fs::read_to_string(dir.path().join("record.toml")).expect("written");
        assert_eq!(toml::from_str::<Record>(&text).expect("TOML"), record);
    }
}
