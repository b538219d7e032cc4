//! What the tests of the VM share: the gate that keeps them there, our binary, bundles, and the look for residue.
//!
//! Write a test so:
//!
//! ```text
//! #[test]
//! fn hello() {
//!     let machine = machine();
//!     let bundle = machine.bundle("hello");
//!     bundle.edit(|config| config["process"]["args"] = json!(["echo", "hello"]));
//!     let ran = machine.glassbox(["run", "--bundle", bundle.path(), "hello"]);
//!     assert_eq!((ran.status, ran.stdout.as_str(), ran.stderr.as_str()), (0, "hello\n", ""));
//! }
//! ```
//!
//! At the test's end the machine is compared with what it was at its beginning: see [`Residue`].

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The one machine there is: tests take turns, because residue is compared for the whole machine.
static TURN: Mutex<()> = Mutex::new(());

/// Takes the machine for one test.
///
/// # Panics
/// Outside the test VM, saying how to run the test.
pub fn machine() -> Machine {
    let inside =
        fs::read_to_string("/proc/cmdline").is_ok_and(|line| line.split(' ').any(|word| word == "glassbox.vm=1"));
    assert!(
        inside && Path::new("/run/glassbox-vm").exists(),
        "this test changes mounts, cgroups and network devices, so it runs in the test VM only: rootfs-scripts/vm test"
    );
    let turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    Machine { before: Some(Residue::settled()), directory: tempfile::tempdir().expect("/tmp is writable"), _turn: turn }
}

/// The machine, held by one test. Dropped, it fails the test if anything of the test's is left behind.
pub struct Machine {
    before: Option<Residue>,
    directory: tempfile::TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Machine {
    /// Runs `$GLASSBOX` with these arguments to its end, with no input.
    pub fn glassbox<Args>(&self, args: Args) -> Output
    where
        Args: IntoIterator,
        Args::Item: AsRef<OsStr>,
    {
        run(Command::new(self.binary()).args(args))
    }

    /// Runs a command that succeeds and says nothing, whatever it leaves running.
    pub fn quiet(&self, args: &[&str]) {
        let Output { status, stdout, stderr } = self.to_files(args);
        assert_eq!((status, stdout.as_str(), stderr.as_str()), (0, "", ""), "glassbox {args:?}");
    }

    /// Runs a command whose words go to files: a container that it leaves behind would keep our end of a pipe open. One that
    /// hangs is killed after a minute, and has the status 137 of that: what is to keep it from hanging has failed.
    pub fn to_files(&self, args: &[&str]) -> Output {
        let path = |name: &str| self.directory.path().join(name);
        let file = |name: &str| fs::File::create(path(name)).expect("the test's directory is writable");
        let mut command = Command::new(self.binary());
        command.args(args).stdin(Stdio::null()).stdout(file("said.out")).stderr(file("said.err"));
        let mut child = command.spawn().expect("it runs");
        let deadline = Instant::now() + Duration::from_secs(60);
        let status = loop {
            match child.try_wait().expect("our child") {
                Some(status) => break status,
                None if Instant::now() > deadline => child.kill().expect("our child"),
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        };
        Output {
            status: status.code().or(status.signal().map(|signal| 128 + signal)).expect("it has ended"),
            stdout: fs::read_to_string(path("said.out")).expect("text"),
            stderr: fs::read_to_string(path("said.err")).expect("text"),
        }
    }

    /// `$GLASSBOX`, the static debug binary, for tests that start it in their own way.
    pub fn binary(&self) -> PathBuf {
        named_path("GLASSBOX")
    }

    /// A new bundle in the test's own directory: a busybox rootfs and the config.json of `glassbox spec`, with
    /// `process.terminal` off.
    pub fn bundle(&self, name: &str) -> Bundle {
        let bundle = self.bare_bundle(name);
        let spec = self.glassbox([OsStr::new("spec"), "--bundle".as_ref(), bundle.path.as_ref()]);
        assert_eq!(spec.status, 0, "glassbox spec: {}", spec.stderr);
        bundle.edit(|config| config["process"]["terminal"] = false.into());
        bundle
    }

    /// A new bundle with a busybox rootfs and no config.json.
    pub fn bare_bundle(&self, name: &str) -> Bundle {
        let path = self.directory.path().join(name);
        fs::create_dir(&path).expect("a bundle's name is new");
        let rootfs = named_path("GLASSBOX_BUSYBOX_ROOTFS");
        let copied = run(Command::new("cp").arg("-a").arg(rootfs).arg(path.join("rootfs")));
        assert_eq!(copied.status, 0, "cp: {}", copied.stderr);
        Bundle { path }
    }

    /// The test's own directory, removed at its end.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Fails now unless all is as it was at the test's beginning. For a test that wants to look in its middle.
    pub fn assert_clean(&self) {
        let before = self.before.as_ref().expect("taken only by drop");
        let left = before.left_behind();
        assert!(left.is_empty(), "left behind:\n{}", left.join("\n"));
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let left = self.before.take().expect("taken only here").left_behind();
        if !left.is_empty() && !std::thread::panicking() {
            panic!("the test leaves behind:\n{}", left.join("\n"));
        }
    }
}

fn named_path(variable: &str) -> PathBuf {
    PathBuf::from(
        std::env::var_os(variable).unwrap_or_else(|| panic!("${variable} is set in the VM by rootfs-scripts/vm")),
    )
}

/// A bundle directory.
pub struct Bundle {
    path: PathBuf,
}

impl Bundle {
    /// The bundle's absolute path, as an argument of commands.
    pub fn path(&self) -> &str {
        self.path.to_str().expect("the paths of tests are UTF-8")
    }

    /// The rootfs directory.
    pub fn rootfs(&self) -> PathBuf {
        self.path.join("rootfs")
    }

    /// config.json as it stands.
    pub fn config(&self) -> Value {
        let text = fs::read(self.path.join("config.json")).expect("the bundle has a config.json");
        serde_json::from_slice(&text).expect("config.json is JSON")
    }

    /// Changes config.json.
    pub fn edit(&self, change: impl FnOnce(&mut Value)) {
        let mut config = self.config();
        change(&mut config);
        let text = serde_json::to_vec_pretty(&config).expect("a JSON value can be written");
        fs::write(self.path.join("config.json"), text).expect("the bundle is writable");
    }

    /// Sets what the container runs: `process.args`.
    pub fn args(&self, args: &[&str]) {
        self.edit(|config| config["process"]["args"] = args.iter().copied().collect());
    }
}

/// What a command said, and how it ended.
#[derive(Debug)]
pub struct Output {
    /// The exit code, or 128 and the number of the signal that ended it, as a shell counts.
    pub status: i32,
    /// Standard output, as text.
    pub stdout: String,
    /// Standard error, as text.
    pub stderr: String,
}

/// Runs a command to its end, with no input.
pub fn run(command: &mut Command) -> Output {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    Output {
        status: output.status.code().or(output.status.signal().map(|signal| 128 + signal)).expect("it has ended"),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs a line of shell.
pub fn sh(line: &str) -> Output {
    run(Command::new("sh").args(["-c", line]))
}

/// How long something may take that needs a moment: the VM may be emulated, and have half a CPU.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long the dead may take to be buried, and what was theirs to go.
const BURIAL: Duration = Duration::from_secs(6);

/// How a process that has ended stands in a [`Residue`].
const ZOMBIE: &str = " (zombie)";

/// Waits until something holds, for at most twenty seconds.
///
/// # Panics
/// When it does not hold by then, naming `what`.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// What a runtime could leave behind on a machine, each thing as a line.
#[derive(Debug)]
pub struct Residue(BTreeSet<String>);

impl Residue {
    /// The machine as it is.
    pub fn now() -> Self {
        let mut found = BTreeSet::new();
        found.extend(mounts());
        found.extend(cgroups(Path::new("/sys/fs/cgroup")));
        found.extend(processes());
        found.extend(names_in("/sys/class/net", "network link"));
        found.extend(names_in("/run/glassbox", "state"));
        found.extend(names_in("/run/netns", "named network namespace"));
        Self(found)
    }

    /// The machine as it is once the dead of an earlier test are buried: their parents may take a moment for that.
    pub fn settled() -> Self {
        let deadline = Instant::now() + BURIAL;
        loop {
            let now = Self::now();
            if Instant::now() > deadline || !now.0.iter().any(|line| line.ends_with(ZOMBIE)) {
                return now;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What is there now and was not when `self` was taken, or the other way round. What dies is given time: a killed
    /// process and its cgroup go a moment after the call that killed it.
    pub fn left_behind(&self) -> Vec<String> {
        let deadline = Instant::now() + BURIAL;
        loop {
            let now = Self::now();
            let mut different: Vec<_> = now.0.difference(&self.0).map(|line| format!("+ {line}")).collect();
            different.extend(self.0.difference(&now.0).map(|line| format!("- {line}")));
            if different.is_empty() || Instant::now() > deadline {
                return different;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// proc_pid_mountinfo(5): the mount point stands fifth, type and source after the lone dash.
fn mounts() -> Vec<String> {
    let table = fs::read_to_string("/proc/self/mountinfo").expect("proc is mounted");
    table
        .lines()
        .map(|line| {
            let target = line.split(' ').nth(4).unwrap_or(line);
            let kind = line.split_once(" - ").map_or("", |(_, kind)| kind);
            format!("mount {target} ({kind})")
        })
        .collect()
}

fn cgroups(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    // A group may go while its parent is read.
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.push(format!("cgroup {}", entry.path().display()));
            found.extend(cgroups(&entry.path()));
        }
    }
    found
}

/// Every process but the kernel's own threads, which come and go, and ourselves.
fn processes() -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").expect("proc is mounted").flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // proc_pid_stat(5): PID (COMM) STATE PPID …; kernel threads are children of kthreadd, process 2.
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        let Some((name, rest)) = stat.rsplit_once(") ") else { continue };
        let mut fields = rest.split(' ');
        let (state, parent) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        if pid != 2 && parent != "2" && pid != std::process::id() {
            let zombie = if state == "Z" { ZOMBIE } else { "" };
            found.push(format!("process {name}){zombie}"));
        }
    }
    found
}

fn names_in(directory: &str, what: &str) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| format!("{what} {}", entry.path().display())).collect()
}
