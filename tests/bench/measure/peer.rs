//! A runtime that is measured, and how it is called.

use std::fs::{self, File};
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::place::{Bundle, Place};

/// A runtime.
pub struct Peer {
    /// As the report calls it.
    pub name: String,
    /// Its program.
    pub program: PathBuf,
    options: Vec<String>,
    /// Not a runtime: the program of floor.rs, which knows `run` alone.
    pub floor: bool,
}

impl Peer {
    /// From `NAME=PROGRAM [OPTIONS]`.
    pub fn parse(named: &str) -> Result<Self> {
        let (name, program) = named.split_once('=').with_context(|| format!("{named} is not NAME=PROGRAM"))?;
        let mut words = program.split_whitespace().map(str::to_string);
        let program = words.next().with_context(|| format!("{named} names no program"))?.into();
        Ok(Peer { name: name.to_string(), program, options: words.collect(), floor: false })
    }

    /// The floor program.
    pub fn floor(program: PathBuf) -> Self {
        Peer { name: "floor".to_string(), program, options: Vec::new(), floor: true }
    }

    /// The first line of `--version`.
    pub fn version(&self) -> Result<String> {
        if self.floor {
            return Ok("bare system calls".to_string());
        }
        let said = Command::new(&self.program).arg("--version").output()?;
        Ok(String::from_utf8_lossy(&said.stdout).lines().next().unwrap_or_default().to_string())
    }

    /// A call with its own state directory.
    pub fn command(&self, place: &Place, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.options).arg("--root").arg(place.path(&self.name)).args(arguments);
        command
    }

    /// `run` of a bundle, as the container `c`.
    pub fn run(&self, place: &Place, bundle: Bundle) -> Command {
        if self.floor {
            let mut command = Command::new(&self.program);
            command.arg(&place.rootfs).arg(place.cgroup.join("c")).arg("/bin/true");
            return command;
        }
        let mut command = self.command(place, &["run", "--bundle"]);
        command.arg(place.bundle(bundle)).arg("c");
        command
    }

    /// `run --detach` of a program that stays.
    pub fn run_detached(&self, place: &Place, id: &str) -> Command {
        let mut command = self.command(place, &["run", "--detach", "--bundle"]);
        command.arg(place.bundle(Bundle::Staying)).arg(id);
        command
    }

    /// `delete --force`.
    pub fn delete(&self, place: &Place, id: &str) -> Command {
        self.command(place, &["delete", "--force", id])
    }
}

/// Milliseconds from before the program is started to after it has ended, with status 0.
pub fn timed(command: &mut Command) -> Result<f64> {
    // A file and no pipe for the words: a created container keeps them open, and a pipe's end would never come.
    let words = tempfile::tempfile()?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(words.try_clone()?);
    let start = Instant::now();
    let status = command.spawn().with_context(|| format!("{command:?}"))?.wait()?;
    let took = start.elapsed().as_secs_f64() * 1000.0;
    if !status.success() {
        bail!("{command:?}: {status}: {}", text(words)?);
    }
    Ok(took)
}

/// Whether the command ends by itself within so many seconds, with status 0. One that does not is killed.
pub fn succeeds_within(command: &mut Command, seconds: i64) -> Result<bool> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().with_context(|| format!("{command:?}"))?;
    let process = pidfd_open(Pid::from_child(&child), PidfdFlags::empty())?;
    let limit = Timespec { tv_sec: seconds, tv_nsec: 0 };
    if poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&limit))? == 0 {
        child.kill()?;
    }
    Ok(child.wait()?.success())
}

fn text(mut file: File) -> Result<String> {
    let mut said = String::new();
    file.rewind()?;
    file.read_to_string(&mut said)?;
    Ok(said.trim_end().to_string())
}

/// The process that `create` has written down.
pub fn pid(file: &Path) -> Result<nix::unistd::Pid> {
    Ok(nix::unistd::Pid::from_raw(fs::read_to_string(file)?.trim().parse()?))
}
