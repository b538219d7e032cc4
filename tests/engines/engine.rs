//! An engine's command, and the image that all of them get: busybox, made here, pulled from nowhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::support::{Output, run, sh};

/// The runtime, where the snippets for engines say that it is.
pub const RUNTIME: &str = "/usr/local/bin/glassbox";

/// A command line that begins with these words.
#[derive(Debug, Clone, Copy)]
pub struct Engine(pub &'static [&'static str]);

impl Engine {
    /// The command with more words, not started yet.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(self.0[0]);
        command.args(&self.0[1..]).args(words);
        command
    }

    /// Runs it to its end.
    pub fn run(&self, words: &[&str]) -> Output {
        run(&mut self.command(words))
    }

    /// Runs it, wants it to succeed, and returns what it said on stdout without the last newline.
    pub fn ok(&self, words: &[&str]) -> String {
        let ran = self.run(words);
        assert_eq!(ran.status, 0, "{words:?}: {ran:?}");
        ran.stdout.trim_end().to_string()
    }

    /// Runs it behind a terminal, and returns what was shown there.
    pub fn on_a_terminal(&self, words: &[&str]) -> String {
        let line: Vec<_> = self.0.iter().chain(words).map(|word| format!("'{word}'")).collect();
        let ran = run(Command::new("script").args(["-qec", &line.join(" "), "/dev/null"]));
        assert_eq!(ran.status, 0, "{words:?}: {ran:?}");
        ran.stdout
    }
}

/// A tar of the busybox rootfs.
pub fn image() -> &'static str {
    static MADE: OnceLock<()> = OnceLock::new();
    MADE.get_or_init(|| {
        let made = sh("tar -C $GLASSBOX_BUSYBOX_ROOTFS -cf /var/tmp/image.tar .");
        assert_eq!(made.status, 0, "{made:?}");
    });
    "/var/tmp/image.tar"
}

/// Writes a file, and the directories above it.
pub fn install(path: &str, text: &str) {
    let path = Path::new(path);
    fs::create_dir_all(path.parent().expect("an absolute path")).expect("the machine is writable");
    fs::write(path, text).expect("the machine is writable");
}

/// Starts a daemon, whose words go to a file, and waits until `ready` succeeds.
pub fn daemon(words: &[&str], ready: &Engine, question: &[&str]) -> Child {
    let log = PathBuf::from(format!("/var/log/{}.log", words[0]));
    let file = fs::File::create(&log).expect("the machine is writable");
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).stdin(Stdio::null()).stdout(file.try_clone().expect("a descriptor")).stderr(file);
    let child = command.spawn().unwrap_or_else(|error| panic!("{words:?}: {error}"));
    let deadline = Instant::now() + Duration::from_secs(120);
    while ready.run(question).status != 0 {
        let said = || fs::read_to_string(&log).unwrap_or_default();
        assert!(Instant::now() < deadline, "{words:?} does not answer: {}", said());
        std::thread::sleep(Duration::from_millis(200));
    }
    child
}

/// The cgroup of a process, as its directory.
pub fn cgroup_of(pid: &str) -> PathBuf {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("the process is there");
    let path = text.lines().find_map(|line| line.strip_prefix("0::/")).expect("a line of cgroup v2");
    Path::new("/sys/fs/cgroup").join(path)
}
