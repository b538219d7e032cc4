//! The scratch world of one run: its directory, its cgroup, its programs and its variables; set, renewed and taken away.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use super::cgroup::{Base, Hierarchy, NoBase, Tree};
use super::container;
use super::place::Place;
use super::pod;
use super::processes::{self, MARK};
use super::read::Scope;
use super::record::{self, Enabled, Record};
use super::requires::Require;
use super::residue::{Snapshot, Thing};
use super::script::{Lab, Values};

/// The small programs of our own binary that a lab's shell has on its PATH, called by their names.
pub const PROGRAMS: [&str; 3] = ["hog", "burn", "rootfs"];

/// What the learner may say to the runner from the lab's shell, as commands.
pub const WORDS: [&str; 6] = ["hint", "solve", "skip", "back", "status", "lesson"];

/// Why a scene could not be set.
#[derive(Debug, thiserror::Error)]
pub enum SceneError {
    /// There is nowhere to make the lab's cgroup.
    #[error("no cgroup can hold the lab's own")]
    NoBase(NoBase),
    /// A file or directory of the run could not be made or removed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A scene that is set. Dropping it takes it away.
#[derive(Debug)]
pub struct Scene {
    dir: PathBuf,
    record: Record,
    tree: Option<Tree>,
    files: BTreeMap<PathBuf, Vec<u8>>,
    hierarchy: Option<Hierarchy>,
    nft: bool,
    before: Snapshot,
    scope: Scope,
    left: bool,
}

impl Scene {
    /// Sets the scene of a lab. Everything is written to the run's record before it is made.
    ///
    /// # Errors
    /// If the machine refuses; what was made until then is taken away.
    pub fn set(lab: &Lab, values: Values, hierarchy: Option<Hierarchy>) -> Result<Scene, SceneError> {
        let nft = lab.requires.contains(&Require::Command("nft".to_string()));
        let before = Snapshot::take(hierarchy.as_ref(), nft);
        let dir = record::runs()?.join(rustix::process::getpid().as_raw_nonzero().to_string());
        fs::DirBuilder::new().mode(record::RUN_MODE).create(&dir).map_err(|error| named(&dir, error))?;
        let record = Record::of_this_process(&lab.id)?;
        let scope = Scope { run: dir.clone(), work: dir.join("work"), values, ..Scope::default() };
        let files = lab.files.clone();
        let mut scene = Scene { dir, record, tree: None, files, hierarchy, nft, before, scope, left: false };
        scene.record.save(&scene.dir)?;
        scene.make_programs()?;
        fs::create_dir(&scene.scope.work)?;
        scene.make_files()?;
        if lab.needs_cgroup() {
            scene.make_cgroups(lab)?;
        }
        scene.fill_environment();
        Ok(scene)
    }

    /// Where the lab plays.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The directory of the run, which is also the value of `GLASSBOX_LAB`.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Makes the learner's shell known to checks.
    pub fn set_shell(&mut self, pid: i32) {
        self.scope.shell = Some(pid);
    }

    /// A program that starts in the scene: its directory, its variables, its cgroup.
    pub fn command(&self, program: &str) -> Command {
        self.place().command(program)
    }

    /// Where its shells work.
    pub fn place(&self) -> Place {
        Place {
            lab: self.record.lab.clone(),
            dir: self.dir.clone(),
            work: self.scope.work.clone(),
            env: self.scope.env.clone(),
            procs: self.tree.as_ref().map(|tree| tree.shell.join("cgroup.procs")),
        }
    }

    /// Sets `$CG` and the working directory back to what they were at the beginning.
    ///
    /// # Errors
    /// With the path that refused.
    pub fn renew(&self) -> io::Result<()> {
        pod::remove_of_run(&self.dir)?;
        container::remove_below(&self.dir)?;
        if let Some(tree) = &self.tree {
            tree.renew()?;
        }
        record::clear(&self.scope.work)?;
        self.without_new_links();
        self.make_files()
    }

    /// Ends every pod and every process of the run; returns those that could not be ended.
    ///
    /// # Errors
    /// If a pod cannot be deleted.
    pub fn quiet(&self) -> io::Result<Vec<processes::Process>> {
        pod::remove_of_run(&self.dir)?;
        Ok(processes::kill_run(&self.dir))
    }

    /// Takes everything away and tells what is left on the machine that was not there before.
    ///
    /// # Errors
    /// With what could not be taken away.
    pub fn leave(mut self) -> io::Result<Vec<Thing>> {
        self.left = true;
        let survivors = self.record.undo(&self.dir)?;
        Ok(self.without_new_links().since(&self.before, &survivors))
    }

    /// The machine now; links that go with a network namespace are given a moment to do so.
    fn without_new_links(&self) -> Snapshot {
        let deadline = Instant::now() + Duration::from_secs(3);
        loop {
            let now = Snapshot::take(self.hierarchy.as_ref(), self.nft);
            if !now.has_new_link(&self.before) || Instant::now() > deadline {
                return now;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// A private directory of links to this program, named as the learner calls it.
    fn make_programs(&self) -> io::Result<()> {
        let bin = self.dir.join("bin");
        fs::create_dir(&bin)?;
        let exe = env::current_exe()?;
        for name in ["glassbox"].iter().chain(&PROGRAMS).chain(&WORDS) {
            symlink(&exe, bin.join(name))?;
        }
        Ok(())
    }

    fn make_files(&self) -> io::Result<()> {
        for (path, content) in &self.files {
            let path = self.scope.work.join(path);
            fs::create_dir_all(path.parent().expect("a file below the working directory"))?;
            fs::write(path, content)?;
        }
        Ok(())
    }

    fn make_cgroups(&mut self, lab: &Lab) -> Result<(), SceneError> {
        let controllers = lab.controllers();
        let base = match &self.hierarchy {
            Some(hierarchy) => hierarchy.base(&controllers).map_err(SceneError::NoBase)?,
            None => return Err(SceneError::Io(io::Error::from(io::ErrorKind::Unsupported))),
        };
        let Base { dir, enable, step_aside } = base.clone();
        let tree = Tree::planned(base, &lab.id);
        self.record.cgroup = Some(tree.top.clone());
        self.record.enabled = (!enable.is_empty()).then_some(Enabled { dir, controllers: enable });
        self.record.aside = step_aside.then(|| tree.aside());
        self.record.save(&self.dir)?;
        tree.make(&controllers)?;
        self.scope.cgroup = Some(tree.lab.clone());
        self.scope.values.insert("CG".to_string(), tree.lab.display().to_string());
        self.tree = Some(tree);
        Ok(())
    }

    fn fill_environment(&mut self) {
        let path = env::var_os("PATH").unwrap_or_else(|| "/usr/sbin:/usr/bin:/sbin:/bin".into());
        let path = format!("{}:{}", self.dir.join("bin").display(), path.to_string_lossy());
        self.scope.env = self.scope.values.clone();
        self.scope.env.insert("PATH".to_string(), path);
        self.scope.env.insert(MARK.to_string(), self.dir.display().to_string());
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if !self.left {
            // Whoever drops a scene is on the way out with an error of its own, or could not leave: the record stays
            // if this fails too, and the next run tries again.
            let _ = self.record.undo(&self.dir);
        }
    }
}

fn named(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
