//! A long day: everything at random, from several hands at once, with fifty containers alive, a runtime that is killed, and
//! a state disk that is full. At its end nothing is left.
//!
//! `make soak` runs it for half an hour (`SOAK_SECONDS`), in its own machine; among the other tests it takes a minute.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::endurance::{Chance, program};
use crate::support::{Bundle, Machine, machine, sh};

/// How many containers are alive, about.
const ALIVE: u64 = 50;
/// Hands that work at once.
const HANDS: u64 = 3;
/// Nothing that the runtime does takes so long, however slow the machine.
const STUCK: Duration = Duration::from_secs(90);
/// What waits for a container that another hand has paused is ended after this.
const PATIENCE: Duration = Duration::from_secs(10);

/// One way to use the runtime.
struct Deed {
    verb: &'static str,
    /// How often it is chosen, among the others.
    weight: u64,
    /// It may wait for a process that is frozen.
    waits: bool,
}

const fn deed(verb: &'static str, weight: u64, waits: bool) -> Deed {
    Deed { verb, weight, waits }
}

const DEEDS: [Deed; 13] = [
    deed("create", 14, false),
    deed("run", 16, true),
    deed("start", 12, true),
    deed("exec", 14, true),
    deed("pause", 5, false),
    deed("resume", 7, false),
    deed("update", 6, false),
    deed("kill", 8, false),
    deed("delete", 5, false),
    deed("delete --force", 7, false),
    deed("state", 4, false),
    deed("list", 1, false),
    deed("ps", 2, false),
];

/// What the hands share.
struct Day {
    program: PathBuf,
    root: PathBuf,
    bundle: Bundle,
    over: AtomicBool,
    count: Mutex<BTreeMap<String, u64>>,
}

impl Day {
    fn note(&self, what: &str) {
        *self.count.lock().expect("no hand panics with it").entry(what.to_string()).or_default() += 1;
    }

    /// What `deed` is, for container `id`.
    fn arguments(&self, deed: &Deed, id: &str, chance: &mut Chance) -> Vec<String> {
        let bundle = self.bundle.path();
        let memory = format!("{}M", 16 + chance.below(48));
        let signal = *chance.one_of(&["TERM", "KILL", "STOP", "CONT", "9"]);
        let words: Vec<&str> = match deed.verb {
            "create" => vec!["create", "--bundle", bundle, id],
            "run" => vec!["run", "--detach", "--bundle", bundle, id],
            "exec" => {
                vec!["exec", id, "sh", "-c", *chance.one_of(&["true", "exit 3", "sleep 0.1", "sleep 100 & exit 0"])]
            }
            "update" => vec!["update", "--memory", &memory, "--pids-limit", "40", id],
            "kill" => vec!["kill", id, signal],
            "delete --force" => vec!["delete", "--force", id],
            "list" => vec!["list", "--format", "json"],
            verb => vec![verb, id],
        };
        let root = ["--root".to_string(), self.root.display().to_string()];
        root.into_iter().chain(words.into_iter().map(str::to_string)).collect()
    }

    fn spawn(&self, arguments: &[String], said: &Path) -> Child {
        let file = File::create(said).expect("the test's directory");
        let mut command = Command::new(&self.program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(file).spawn().expect("it starts")
    }

    /// One hand: a deed after the other until the day is over.
    fn work(&self, mut chance: Chance, said: &Path) {
        let total: u64 = DEEDS.iter().map(|deed| deed.weight).sum();
        while !self.over.load(Ordering::Relaxed) {
            let mut at = chance.below(total);
            let deed = DEEDS
                .iter()
                .find(|deed| {
                    let found = at < deed.weight;
                    at = at.wrapping_sub(deed.weight);
                    found
                })
                .expect("the weights add up");
            let arguments = self.arguments(deed, &format!("soak-{}", chance.below(ALIVE + ALIVE / 4)), &mut chance);
            let mut child = self.spawn(&arguments, said);
            if chance.below(12) == 0 {
                // The runtime itself dies: sooner or later within what it usually takes.
                std::thread::sleep(chance.within(Duration::from_millis(60)));
                let _ = child.kill();
                child.wait().expect("our child");
                self.note("killed");
                continue;
            }
            let ended = wait(&mut child, if deed.waits { PATIENCE } else { STUCK });
            let Some(status) = ended else {
                assert!(deed.waits, "stuck: {arguments:?}");
                let _ = child.kill();
                child.wait().expect("our child");
                self.note("waited for what is paused");
                continue;
            };
            let told = fs::read_to_string(said).unwrap_or_default();
            assert!(status.signal().is_none() && !told.contains("panicked"), "{arguments:?}: {status}: {told}");
            let full = told.contains("ENOSPC") || told.contains("No space left");
            let outcome = if status.success() {
                "done"
            } else if full {
                "no space"
            } else {
                "refused"
            };
            self.note(&format!("{} {outcome}", deed.verb));
        }
    }

    /// Fills the state disk every now and then, for a while.
    fn fill(&self, mut chance: Chance) {
        while !self.over.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(200) + chance.within(Duration::from_secs(5)));
            fill(&self.root);
            self.note("disk filled");
            std::thread::sleep(chance.within(Duration::from_millis(800)));
            let _ = fs::remove_file(self.root.join(".filler"));
        }
    }
}

fn fill(root: &Path) {
    let mut filler = File::create(root.join(".filler")).expect("a tmpfs has room for a name");
    while filler.write_all(&[0; 4096]).is_ok() {}
}

fn wait(child: &mut Child, most: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + most;
    loop {
        match child.try_wait().expect("our child") {
            Some(status) => return Some(status),
            None if Instant::now() > deadline => return None,
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    }
}

/// Descriptors that this process has open, and files that the whole machine has.
fn descriptors() -> (usize, u64) {
    let ours = fs::read_dir("/proc/self/fd").expect("proc is mounted").count();
    let table = fs::read_to_string("/proc/sys/fs/file-nr").expect("proc is mounted");
    (ours, table.split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number"))
}

fn files(below: &Path) -> String {
    sh(&format!("find {} -xdev | sort", below.display())).stdout
}

fn day(machine: &Machine) -> Day {
    let bundle = machine.bundle("soak");
    bundle.args(&["sh", "-c", "trap 'exit 3' TERM; while :; do sleep 1 & wait $!; done"]);
    bundle.edit(|config| {
        config["linux"]["resources"]["memory"] = json!({"limit": 67108864});
        config["linux"]["resources"]["pids"] = json!({"limit": 64});
    });
    let root = machine.directory().join("state");
    fs::create_dir(&root).expect("it is new");
    // What fifty containers need and little more.
    let mount = format!("mount -t tmpfs -o size=1536k,nr_inodes=600,mode=700 soak {}", root.display());
    assert_eq!(sh(&mount).status, 0, "{mount}");
    Day { program: program(machine), root, bundle, over: AtomicBool::new(false), count: Mutex::new(BTreeMap::new()) }
}

#[test]
fn after_a_long_day_nothing_is_left() {
    let machine = machine();
    let seconds = std::env::var("SOAK_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    let mut chance = Chance::new();
    let day = day(&machine);
    let rootfs = files(&day.bundle.rootfs());
    let before = descriptors();
    std::thread::scope(|scope| {
        let mut hands: Vec<_> = (0..HANDS)
            .map(|hand| {
                let (chance, said) = (chance.split(), machine.directory().join(format!("said-{hand}")));
                let day = &day;
                scope.spawn(move || day.work(chance, &said))
            })
            .collect();
        let (filling, day) = (chance.split(), &day);
        scope.spawn(move || day.fill(filling));
        let deadline = Instant::now() + Duration::from_secs(seconds);
        // A hand that fails ends the day.
        while Instant::now() < deadline && hands.iter().all(|hand| !hand.is_finished()) {
            std::thread::sleep(Duration::from_millis(100));
        }
        day.over.store(true, Ordering::Relaxed);
        hands.drain(..).for_each(|hand| hand.join().expect("each hand has kept to its rules"));
    });
    // Deleting works on a full disk as well.
    fill(&day.root);
    let left: Vec<_> =
        fs::read_dir(&day.root).expect("it is mounted").flatten().map(|entry| entry.file_name()).collect();
    let ids: Vec<_> = left.iter().filter_map(|name| name.to_str()).filter(|name| *name != ".filler").collect();
    println!("{seconds} s: {:#?}\n{} containers at the end", day.count.lock().expect("nobody has it"), ids.len());
    for id in &ids {
        let mut child = day.spawn(
            &["--root", &day.root.display().to_string(), "delete", "--force", id].map(String::from),
            Path::new("/dev/null"),
        );
        assert!(wait(&mut child, STUCK).is_some_and(|status| status.success()), "delete --force {id}");
    }
    assert_eq!(sh(&format!("umount {}", day.root.display())).status, 0, "nobody has a file of it open");
    assert_eq!(files(&day.bundle.rootfs()), rootfs);
    let after = descriptors();
    println!("descriptors of ours and of the machine: {before:?} before, {after:?} after");
    assert_eq!(after.0, before.0);
    // The kernel counts in batches for each CPU, and lets go of some a moment later.
    assert!(after.1 < before.1 + 400, "files open on the machine: {before:?}, then {after:?}");
    drop(day);
    machine.assert_clean();
}
