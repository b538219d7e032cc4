//! Many containers, many at once, and a runtime that is killed at any instant. What is random has a seed, which is printed:
//! `GLASSBOX_SEED` sets it again. `make endure` runs all of it at its full size (`GLASSBOX_ENDURE=full`).

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Machine, machine};

/// Chance that can be had again: xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift generators").
pub struct Chance(u64);

impl Chance {
    /// From `$GLASSBOX_SEED`, else from the clock; printed either way.
    pub fn new() -> Self {
        let clock = || std::time::UNIX_EPOCH.elapsed().map_or(1, |since| since.as_nanos() as u64);
        let seed = std::env::var("GLASSBOX_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(clock);
        println!("GLASSBOX_SEED={seed}");
        Chance(seed.max(1))
    }

    /// Another one, for a thread of its own.
    pub fn split(&mut self) -> Self {
        Chance(self.next().max(1))
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 11) % end
    }

    /// One of several.
    pub fn one_of<'a, T>(&mut self, several: &'a [T]) -> &'a T {
        &several[self.below(several.len() as u64) as usize]
    }

    /// A part of a time.
    pub fn within(&mut self, whole: Duration) -> Duration {
        Duration::from_nanos(self.below(whole.as_nanos().max(1) as u64))
    }
}

/// `few`, or `all` at the full size.
fn size(few: usize, all: usize) -> usize {
    if std::env::var("GLASSBOX_ENDURE").is_ok_and(|size| size == "full") { all } else { few }
}

/// The release program where there is one: it is the one whose times count.
pub fn program(machine: &Machine) -> PathBuf {
    std::env::var_os("GLASSBOX_RELEASE").map_or_else(|| machine.binary(), PathBuf::from)
}

fn quietly(program: &PathBuf, args: &[&str]) -> Duration {
    let begun = Instant::now();
    let status = Command::new(program).args(args).stdin(Stdio::null()).stdout(Stdio::null()).status();
    assert!(status.expect("it runs").success(), "{args:?}");
    begun.elapsed()
}

fn run_all(machine: &Machine, all: &[&[&str]]) {
    for args in all {
        quietly(&machine.binary(), args);
    }
}

/// The least of five: what it takes when nothing else wants the CPU.
fn least(mut measure: impl FnMut() -> Duration) -> Duration {
    (0..5).map(|_| measure()).min().expect("five")
}

#[test]
fn a_thousand_containers_cost_a_thousand_times_one() {
    let machine = machine();
    let program = program(&machine);
    let bundle = machine.bundle("many");
    let many = size(20, 1000);
    let mut created = Vec::new();
    let mut looked = Vec::new();
    for number in 0..many {
        created.push(quietly(&program, &["create", "--bundle", bundle.path(), &format!("many-{number}")]));
        if number + 1 == many / 2 || number + 1 == many {
            let list = least(|| quietly(&program, &["list"]));
            let state = least(|| quietly(&program, &["state", "many-0"]));
            println!("{} containers: list {list:?}, state {state:?}", number + 1);
            looked.push((list, state));
        }
    }
    let all: Vec<Value> =
        serde_json::from_str(&machine.glassbox(["list", "--format", "json"]).stdout).expect("a list of JSON");
    assert_eq!(all.len(), many);
    assert!(all.iter().all(|one| one["status"] == "created"), "all of them wait for start");
    let tenth = many / 10;
    let median = |times: &[Duration]| {
        let mut times = times.to_vec();
        times.sort_unstable();
        times[times.len() / 2]
    };
    let (first, last) = (median(&created[..tenth]), median(&created[many - tenth..]));
    println!("create: the first {first:?}, the last {last:?}");
    let begun = Instant::now();
    for number in 0..many {
        quietly(&program, &["delete", &format!("many-{number}")]);
    }
    println!("delete: {:?} each", begun.elapsed() / many as u32);
    // Twice as many take twice as long, where a square would take four times; one takes what it took.
    let slack = Duration::from_millis(20);
    assert!(looked[1].0 <= looked[0].0 * 3 + slack, "list: {looked:?}");
    assert!(looked[1].1 <= looked[0].1 * 2 + slack, "state: {looked:?}");
    assert!(last <= first * 2 + slack, "create: {first:?}, then {last:?}");
}

#[test]
fn of_eight_creates_of_one_id_one_wins_and_seven_are_told() {
    let machine = machine();
    let bundle = machine.bundle("race");
    for _ in 0..size(2, 20) {
        let said = |number: usize| machine.directory().join(format!("said-{number}"));
        let start = |number: usize| {
            let mut command = Command::new(machine.binary());
            let file = std::fs::File::create(said(number)).expect("the test's directory");
            command.args(["create", "--bundle", bundle.path(), "race"]).stdin(Stdio::null());
            command.stdout(file.try_clone().expect("a descriptor")).stderr(file).spawn().expect("it starts")
        };
        let creates: Vec<_> = (0..8).map(start).collect();
        let ended: Vec<_> = creates.into_iter().map(|mut create| create.wait().expect("our child").code()).collect();
        let told = |number: usize| std::fs::read_to_string(said(number)).expect("text");
        assert_eq!(ended.iter().filter(|code| **code == Some(0)).count(), 1, "{ended:?}");
        for number in (0..8).filter(|number| ended[*number] != Some(0)) {
            assert!(told(number).contains("container with given ID already exists: \"race\""), "{}", told(number));
        }
        let state: Value = serde_json::from_str(&machine.glassbox(["state", "race"]).stdout).expect("JSON");
        assert_eq!(state["status"], "created");
        machine.quiet(&["start", "race"]);
        machine.quiet(&["delete", "--force", "race"]);
        machine.assert_clean();
    }
}

/// Between clone3 and its word to go on, the process has copies of what its parent has open, the container's lock among them.
#[test]
fn a_process_whose_parent_is_killed_before_its_first_word_does_not_wait_for_it() {
    let machine = machine();
    let bundle = machine.bundle("orphan");
    // A call that the parent alone makes, in just that time.
    bundle.edit(|config| config["process"]["scheduler"] = json!({"policy": "SCHED_BATCH", "nice": 5}));
    for verb in ["create", "run"] {
        let mut killed = Command::new("strace");
        killed.args(["-o", "/dev/null", "-e", "trace=sched_setattr", "-e", "inject=sched_setattr:signal=KILL"]);
        killed.arg(machine.binary()).args([verb, "--bundle", bundle.path(), "orphan"]).stdin(Stdio::null());
        let ended = killed.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("strace");
        assert!(!ended.success(), "{verb} was killed on its way");
        let deleted = machine.to_files(&["delete", "--force", "orphan"]);
        assert_eq!((deleted.status, deleted.stderr.as_str()), (0, ""), "{verb}");
        machine.assert_clean();
    }
}

/// kill -9 at any instant of what changes a container: `delete --force` leaves nothing.
#[test]
fn what_a_kill_9_leaves_delete_force_removes() {
    let machine = machine();
    let mut chance = Chance::new();
    let bundle = machine.bundle("killed");
    bundle.args(&["sh", "-c", "trap 'exit 3' TERM; while :; do sleep 0.05; done"]);
    bundle.edit(|config| {
        config["linux"]["resources"] = json!({"memory": {"limit": 67108864}, "pids": {"limit": 64}});
        config["linux"]["cgroupsPath"] = "/killed/one".into();
    });
    let path = bundle.path();
    let create: &[&str] = &["create", "--bundle", path, "k"];
    let run: &[&str] = &["run", "--detach", "--bundle", path, "k"];
    // What is killed, and what was done before.
    let cases: [(&[&str], &[&[&str]]); 5] = [
        (create, &[]),
        (run, &[]),
        (&["start", "k"], &[create]),
        (&["exec", "k", "true"], &[run]),
        (&["delete", "--force", "k"], &[run]),
    ];
    // How long each takes here, so that the kills fall into it.
    let whole = cases.map(|(killed, before)| {
        run_all(&machine, before);
        let took = quietly(&machine.binary(), killed);
        machine.quiet(&["delete", "--force", "k"]);
        took
    });
    for round in 0..size(20, 150) {
        let case = round % cases.len();
        let (killed, before) = cases[case];
        run_all(&machine, before);
        let mut command = Command::new(machine.binary());
        command.args(killed).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().expect("it starts");
        let instant = chance.within(whole[case]);
        std::thread::sleep(instant);
        child.kill().expect("our child");
        child.wait().expect("our child");
        let deleted = machine.glassbox(["delete", "--force", "k"]);
        assert_eq!(
            (deleted.status, deleted.stderr.as_str()),
            (0, ""),
            "round {round}: {killed:?} killed after {instant:?}"
        );
        machine.assert_clean();
    }
}
