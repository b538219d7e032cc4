//! The lab's own cgroups: where they can be made, how they are made, and how everything in them is taken away again.
//!
//! ```text
//! BASE/glassbox-lab-PID/        the runner's; holds no process itself
//!     shell/                    the learner's shell and every script that the runner types
//!     LAB/                      $CG: fresh, empty, with the controllers that the lab asks for
//! ```
//!
//! A cgroup with controllers enabled for its children may hold no process ("no internal processes", cgroup-v2.rst; the
//! root is exempt), which decides where BASE may be.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// A mounted cgroup v2 hierarchy, as this process sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    /// Where it is mounted.
    pub mount: PathBuf,
    /// The directory of the cgroup in which this process is.
    pub own: PathBuf,
}

/// A cgroup below which the lab's own can be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// Its directory.
    pub dir: PathBuf,
    /// Controllers that must first be enabled for its children.
    pub enable: Vec<String>,
    /// Whether the runner must first leave it for a child, because it holds this process (and no other).
    pub step_aside: bool,
}

/// Why the lab's cgroup can be made nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoBase {
    /// The hierarchy lacks this controller.
    NoController(String),
    /// This user may not make cgroups in the directory.
    NotWritable(PathBuf),
    /// Other processes stand in the cgroup, so controllers cannot be enabled for its children.
    Busy(PathBuf, usize),
}

impl Hierarchy {
    /// Finds the hierarchy in the texts of `/proc/self/mountinfo` and `/proc/self/cgroup`.
    pub fn find(mountinfo: &str, own: &str) -> Option<Hierarchy> {
        let line =
            mountinfo.lines().find(|line| line.split(" - ").nth(1).is_some_and(|fs| fs.starts_with("cgroup2 ")))?;
        let mount = PathBuf::from(super::read::unescape(line.split(' ').nth(4)?));
        let path = own.lines().find_map(|line| line.strip_prefix("0::"))?;
        // A path above the root of the cgroup namespace begins with /..; then the mount is all that is ours.
        let below = if path.starts_with("/..") { "" } else { path.trim_start_matches('/') };
        Some(Hierarchy { own: mount.join(below), mount })
    }

    /// The controllers at the top of the hierarchy.
    pub fn controllers(&self) -> Vec<String> {
        words(&self.mount.join("cgroup.controllers"))
    }

    /// Whether the mount shows the real root, which has no `cgroup.type` and may hold processes.
    fn shows_root(&self) -> bool {
        !self.mount.join("cgroup.type").exists()
    }

    /// The cgroup below which the lab's own can be made: the root where allowed, else the nearest above this process.
    ///
    /// # Errors
    /// The nearest thing to a reason, if there is none.
    pub fn base(&self, controllers: &[&str]) -> Result<Base, NoBase> {
        if let Some(missing) = controllers.iter().find(|name| !self.controllers().iter().any(|found| found == *name)) {
            return Err(NoBase::NoController((*missing).to_string()));
        }
        let mut candidates: Vec<_> =
            self.own.ancestors().take_while(|dir| dir.starts_with(&self.mount)).map(Path::to_path_buf).collect();
        if self.shows_root() {
            candidates.insert(0, self.mount.clone());
        }
        let mut reason = None;
        for dir in candidates {
            match self.fits(dir, controllers) {
                Ok(base) => return Ok(base),
                // The one thing to report is the cgroup that could nearly be used.
                Err(busy @ NoBase::Busy(..)) => reason = Some(busy),
                Err(other) => reason = reason.or(Some(other)),
            }
        }
        Err(reason.unwrap_or_else(|| NoBase::NotWritable(self.mount.clone())))
    }

    fn fits(&self, dir: PathBuf, controllers: &[&str]) -> Result<Base, NoBase> {
        let writable = |path: &Path| rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok();
        if !writable(&dir) || !writable(&dir.join("cgroup.procs")) {
            return Err(NoBase::NotWritable(dir));
        }
        let enabled = words(&dir.join("cgroup.subtree_control"));
        let offered = words(&dir.join("cgroup.controllers"));
        let missing = controllers.iter().filter(|name| !enabled.iter().any(|found| found == *name));
        let enable: Vec<_> = missing.map(|name| (*name).to_string()).collect();
        if let Some(name) = enable.iter().find(|name| !offered.contains(name)) {
            return Err(NoBase::NoController(name.clone()));
        }
        let root = dir == self.mount && self.shows_root();
        if enable.is_empty() || root {
            return Ok(Base { dir, enable, step_aside: false });
        }
        if !writable(&dir.join("cgroup.subtree_control")) {
            return Err(NoBase::NotWritable(dir));
        }
        let own = rustix::process::getpid().as_raw_nonzero().to_string();
        match words(&dir.join("cgroup.procs")).as_slice() {
            [] => Ok(Base { dir, enable, step_aside: false }),
            [only] if *only == own => Ok(Base { dir, enable, step_aside: true }),
            all => Err(NoBase::Busy(dir, all.iter().filter(|pid| **pid != own).count())),
        }
    }
}

/// The cgroups of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// Where they are made.
    pub base: Base,
    /// `BASE/glassbox-lab-PID`
    pub top: PathBuf,
    /// The leaf of shells and scripts.
    pub shell: PathBuf,
    /// `$CG`
    pub lab: PathBuf,
}

impl Tree {
    /// Names the cgroups of a run without making them.
    pub fn planned(base: Base, lab: &str) -> Tree {
        let top = base.dir.join(format!("glassbox-lab-{}", rustix::process::getpid().as_raw_nonzero()));
        Tree { shell: top.join("shell"), lab: top.join(lab), top, base }
    }

    /// The leaf into which the runner steps aside.
    pub fn aside(&self) -> PathBuf {
        self.base.dir.join("glassbox-lab-runner")
    }

    /// Makes them.
    ///
    /// # Errors
    /// With the path at which it failed. What was made until then is taken away by [`remove`].
    pub fn make(&self, controllers: &[&str]) -> io::Result<()> {
        if self.base.step_aside {
            make_dir(&self.aside())?;
            write(&self.aside().join("cgroup.procs"), "0")?;
        }
        enable(&self.base.dir, &self.base.enable)?;
        make_dir(&self.top)?;
        enable(&self.top, &controllers.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        make_dir(&self.shell)?;
        make_dir(&self.lab)
    }

    /// Empties `$CG`: kills what is in it, removes what is below it, and makes it anew with its settings forgotten.
    ///
    /// # Errors
    /// With the path at which it failed.
    pub fn renew(&self) -> io::Result<()> {
        remove(&self.lab)?;
        make_dir(&self.lab)
    }
}

/// Kills every process in a cgroup and below it, and removes them all. A cgroup that is not there is removed already.
///
/// # Errors
/// With the path of what could not be removed within five seconds.
pub fn remove(top: &Path) -> io::Result<()> {
    if !top.exists() {
        return Ok(());
    }
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        kill(top)?;
        match remove_tree(top) {
            Ok(()) => return Ok(()),
            // A killed process leaves its cgroup only once it has gone through do_exit().
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy && Instant::now() < deadline => {
                thread::sleep(Duration::from_millis(20));
            }
            Err(error) => return Err(error),
        }
    }
}

/// `cgroup.kill` (since Linux 5.14) reaches a whole tree at once, frozen or not; before it, each process is killed.
fn kill(top: &Path) -> io::Result<()> {
    if top.join("cgroup.kill").exists() {
        return write(&top.join("cgroup.kill"), "1");
    }
    for dir in list(top).iter().map(|below| top.join(below)).chain([top.to_path_buf()]) {
        let pids = words(&dir.join("cgroup.procs"));
        for pid in pids.iter().filter_map(|pid| rustix::process::Pid::from_raw(pid.parse().ok()?)) {
            // It may have ended since the list was read.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
    Ok(())
}

fn remove_tree(dir: &Path) -> io::Result<()> {
    let children = match fs::read_dir(dir) {
        Ok(children) => children,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(at(dir, error)),
    };
    for child in children {
        let child = child.map_err(|error| at(dir, error))?;
        if child.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_tree(&child.path())?;
        }
    }
    match fs::remove_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(dir, error)),
        _ => Ok(()),
    }
}

/// Enables controllers for the children of a cgroup.
///
/// # Errors
/// With the file that refused.
pub fn enable(dir: &Path, controllers: &[String]) -> io::Result<()> {
    controllers.iter().try_for_each(|name| write(&dir.join("cgroup.subtree_control"), &format!("+{name}")))
}

/// Disables controllers that the runner enabled, unless another user of the cgroup has come to need them since.
///
/// # Errors
/// With the file that refused.
pub fn disable(dir: &Path, controllers: &[String]) -> io::Result<()> {
    for name in controllers {
        match write(&dir.join("cgroup.subtree_control"), &format!("-{name}")) {
            // EBUSY: a child has enabled it for its own children meanwhile, so it is no longer only ours to take away.
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {}
            done => done?,
        }
    }
    Ok(())
}

/// Leaves the leaf into which the runner stepped aside, and removes it.
///
/// # Errors
/// With the path that refused.
pub fn step_back(base: &Path, aside: &Path) -> io::Result<()> {
    write(&base.join("cgroup.procs"), "0")?;
    remove_tree(aside)
}

/// Every cgroup below a directory, as paths below it.
pub fn list(mount: &Path) -> Vec<PathBuf> {
    fn walk(dir: &Path, mount: &Path, into: &mut Vec<PathBuf>) {
        // A cgroup may vanish while it is listed; then it has no children.
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                into.push(entry.path().strip_prefix(mount).expect("below the mount").to_path_buf());
                walk(&entry.path(), mount, into);
            }
        }
    }
    let mut found = Vec::new();
    walk(mount, mount, &mut found);
    found
}

fn words(file: &Path) -> Vec<String> {
    fs::read_to_string(file).unwrap_or_default().split_whitespace().map(String::from).collect()
}

fn make_dir(dir: &Path) -> io::Result<()> {
    fs::create_dir(dir).map_err(|error| at(dir, error))
}

fn write(file: &Path, text: &str) -> io::Result<()> {
    // Not fs::write: a file of a cgroup is never created, and O_TRUNC says nothing to the kernel.
    let opened = fs::OpenOptions::new().write(true).open(file);
    opened.and_then(|mut file| io::Write::write_all(&mut file, text.as_bytes())).map_err(|error| at(file, error))
}

/// The error with its path; it keeps its kind, by which EBUSY is told from ENOENT.
fn at(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::{Base, Hierarchy, NoBase};

    #[test]
    fn the_hierarchy_and_ones_own_place_are_found() {
        let mountinfo = "25 1 0:22 / /sys rw - sysfs sysfs rw\n\
                         30 25 0:26 / /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
        let found = |own| Hierarchy::find(mountinfo, own).map(|found| found.own);
        assert_eq!(found("0::/user.slice/a.scope\n"), Some(PathBuf::from("/sys/fs/cgroup/user.slice/a.scope")));
        assert_eq!(found("5:cpu:/x\n0::/\n"), Some(PathBuf::from("/sys/fs/cgroup/")));
        assert_eq!(found("0::/../b\n"), Some(PathBuf::from("/sys/fs/cgroup/")));
        assert_eq!(Hierarchy::find("25 1 0:22 / /sys rw - sysfs sysfs rw\n", "0::/\n"), None);
    }

    /// A directory that looks like a cgroup; what is missing in `control` must be enabled first.
    fn cgroup(dir: &Path, offered: &str, control: &str, procs: &str) {
        fs::create_dir_all(dir).expect("a directory");
        fs::write(dir.join("cgroup.controllers"), offered).expect("a file");
        fs::write(dir.join("cgroup.subtree_control"), control).expect("a file");
        fs::write(dir.join("cgroup.procs"), procs).expect("a file");
        fs::write(dir.join("cgroup.type"), "domain\n").expect("a file");
    }

    #[test]
    fn the_base_is_where_controllers_can_be_enabled() {
        let mount = tempfile::tempdir().expect("a directory");
        let own = mount.path().join("a/b");
        let hierarchy = Hierarchy { mount: mount.path().to_path_buf(), own: own.clone() };
        let me = std::process::id().to_string();
        cgroup(mount.path(), "cpu memory", "cpu memory", "1\n");
        cgroup(&mount.path().join("a"), "cpu memory", "", "7\n8\n");
        cgroup(&own, "", "", &me);
        fs::remove_file(own.join("cgroup.procs")).expect("removed");
        let base = |hierarchy: &Hierarchy| hierarchy.base(&["cpu"]);

        let top = Base { dir: mount.path().to_path_buf(), enable: vec![], step_aside: false };
        assert_eq!(base(&hierarchy), Ok(top.clone()), "the nearest cgroup whose children have the controllers");
        fs::write(mount.path().join("cgroup.subtree_control"), "memory").expect("a file");
        assert_eq!(base(&hierarchy), Err(NoBase::Busy(mount.path().to_path_buf(), 1)));
        fs::write(mount.path().join("a/cgroup.procs"), &me).expect("a file");
        let aside = Base { dir: mount.path().join("a"), enable: vec!["cpu".to_string()], step_aside: true };
        assert_eq!(base(&hierarchy), Ok(aside));
        fs::remove_file(mount.path().join("cgroup.type")).expect("removed");
        let root = Base { enable: vec!["cpu".to_string()], ..top };
        assert_eq!(base(&hierarchy), Ok(root), "the real root may hold processes");
        assert_eq!(hierarchy.base(&["cpu", "io"]), Err(NoBase::NoController("io".to_string())));
    }
}
