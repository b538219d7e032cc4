//! `rootfs DIR`: a root file system for labs, made of this machine's busybox, so that nothing need be downloaded.

use std::env;
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::commands::output;
use crate::error::Failure;

/// Flags of `rootfs`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to make it; there is nothing there yet
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// Directories of the root file system (a part of hier(7)), with their modes.
const DIRECTORIES: [(&str, u32); 13] = [
    ("bin", 0o755),
    ("sbin", 0o755),
    ("usr/bin", 0o755),
    ("usr/sbin", 0o755),
    ("dev", 0o755),
    ("etc", 0o755),
    ("home", 0o755),
    ("proc", 0o755),
    ("root", 0o700),
    ("run", 0o755),
    ("sys", 0o755),
    ("tmp", 0o1777),
    ("var", 0o755),
];

const FILES: [(&str, &str); 3] = [
    ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"),
    ("etc/group", "root:x:0:\nnogroup:x:65534:\n"),
    ("etc/hosts", "127.0.0.1 localhost\n"),
];

/// Runs the program.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let busybox = find("busybox").ok_or_else(|| {
        Failure::new("rootfs: there is no busybox on PATH").hint("Install it: apt-get install busybox-static")
    })?;
    if args.dir.exists() {
        let failure = Failure::new(format!("rootfs: {} exists already", args.dir.display()));
        return Err(failure.hint("Name another directory, or remove it first.").into());
    }
    let programs = make(&args.dir, &busybox)
        .map_err(|error| Failure::new(format!("rootfs: {}", args.dir.display())).caused_by(error))?;
    output::print(&format!("rootfs: {}: busybox under {programs} names\n", args.dir.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// Makes the tree; returns how many programs it has.
fn make(root: &Path, busybox: &Path) -> io::Result<usize> {
    for (dir, mode) in DIRECTORIES {
        fs::create_dir_all(root.join(dir))?;
        fs::set_permissions(root.join(dir), fs::Permissions::from_mode(mode))?;
    }
    for (file, text) in FILES {
        fs::write(root.join(file), text)?;
    }
    for library in libraries(busybox)? {
        let there = root.join(library.strip_prefix("/").unwrap_or(&library));
        fs::create_dir_all(there.parent().expect("a file below the root"))?;
        fs::copy(&library, &there)?;
    }
    fs::copy(busybox, root.join("bin/busybox"))?;
    let mut programs = 1;
    for name in said(Command::new(busybox).arg("--list-full"))?.lines() {
        // Relative links, so that they mean the same seen from inside and from outside.
        let target = match name.split_once('/') {
            Some(("bin", _)) => "busybox",
            Some(("sbin", _)) => "../bin/busybox",
            Some(("usr", _)) => "../../bin/busybox",
            _ => continue,
        };
        if name != "bin/busybox" {
            symlink(target, root.join(name))?;
            programs += 1;
        }
    }
    Ok(programs)
}

/// The libraries and the loader that a program needs (ldd(1)); none if it is static.
fn libraries(program: &Path) -> io::Result<Vec<PathBuf>> {
    let listed = Command::new("ldd").arg(program).output()?;
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let words = listed.split_whitespace().filter(|word| word.starts_with('/') && !word.ends_with(':'));
    Ok(words.map(PathBuf::from).collect())
}

fn said(command: &mut Command) -> io::Result<String> {
    Ok(String::from_utf8_lossy(&command.output()?.stdout).into_owned())
}

fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}
