//! `glassbox lab start`, taken by a learner at a terminal: in panes, in the lines of one terminal, and with the shell in
//! another one. Whichever way a step is done it is ticked off, doing nothing never is, and nothing is left behind.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{LocalFlags, tcgetattr};
use nix::unistd::Pid;

use super::support::{Machine, machine, run, sh};

/// A learner at a terminal.
struct Learner {
    child: Child,
    terminal: fs::File,
    /// The program's side, to ask for its settings.
    tty: OwnedFd,
    shown: Arc<Mutex<Shown>>,
}

/// What the terminal got: as text, and as the screen that it draws.
struct Shown {
    text: String,
    screen: vt100::Parser,
}

impl Learner {
    /// Starts a lab in the lines of a terminal of 80 columns and so many rows.
    fn start(machine: &Machine, rows: u16, args: &[&str]) -> Learner {
        let args: Vec<_> = ["lab", "start", "--plain"].iter().chain(args).copied().collect();
        Learner::at(machine, (80, rows), "xterm", &args)
    }

    /// Starts a lab in panes, past its prediction.
    fn in_panes(machine: &Machine, size: (u16, u16), args: &[&str]) -> Learner {
        let args: Vec<_> = ["lab", "start"].iter().chain(args).copied().collect();
        let mut learner = Learner::at(machine, size, "xterm-256color", &args);
        learner.sees("Your guess");
        learner.types("2");
        learner
    }

    /// Starts glassbox at a terminal of so many columns and rows.
    fn at(machine: &Machine, (columns, rows): (u16, u16), term: &str, args: &[&str]) -> Learner {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(&size, None).unwrap();
        let tty: OwnedFd = pty.slave;
        let stdio = || Stdio::from(tty.try_clone().unwrap());
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(machine.binary()).args(args);
        command.envs([("TERM", term), ("NO_COLOR", "1"), ("LANG", "C.UTF-8"), ("SHELL", "/bin/bash")]);
        command.env("XDG_STATE_HOME", machine.directory().join("state"));
        let child = command.stdin(stdio()).stdout(stdio()).stderr(stdio()).spawn().unwrap();
        let terminal = fs::File::from(pty.master);
        let screen = vt100::Parser::new(rows.try_into().unwrap(), columns.try_into().unwrap(), 0);
        let shown = Arc::new(Mutex::new(Shown { text: String::new(), screen }));
        let (mut reader, showing) = (terminal.try_clone().unwrap(), Arc::clone(&shown));
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = reader.read(&mut buffer) {
                let mut shown = showing.lock().unwrap();
                shown.text.push_str(&String::from_utf8_lossy(&buffer[..read]));
                shown.screen.process(&buffer[..read]);
            }
        });
        Learner { child, terminal, tty, shown }
    }

    /// What was printed since [`Learner::sees`] last saw something.
    fn screen(&self) -> String {
        self.shown.lock().unwrap().text.clone()
    }

    /// What stands on the screen now.
    fn panes(&self) -> String {
        self.shown.lock().unwrap().screen.screen().contents()
    }

    /// Waits until a text is printed, and forgets what was printed before it.
    fn sees(&self, text: &str) {
        assert!(comes(|| self.screen().contains(text)), "{text:?} is not on the screen:\n{}", self.screen());
        let mut shown = self.shown.lock().unwrap();
        let at = shown.text.find(text).unwrap() + text.len();
        shown.text.drain(..at);
    }

    /// Waits until a text stands on the screen, whose lines have no spaces at their ends.
    fn shows(&self, text: &str) {
        let text = text.trim_end();
        assert!(comes(|| self.panes().contains(text)), "{text:?} is not on the screen:\n{}", self.panes());
    }

    fn types(&mut self, line: &str) {
        self.terminal.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    fn presses(&mut self, keys: &str) {
        self.terminal.write_all(keys.as_bytes()).unwrap();
    }

    fn resizes(&mut self, (columns, rows): (u16, u16)) {
        self.shown.lock().unwrap().screen.set_size(rows.try_into().unwrap(), columns.try_into().unwrap());
        let size = rustix::termios::Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&self.terminal, size).unwrap();
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    /// Waits for the end: the exit status, once the terminal is seen to be as it was before.
    fn ends(&mut self) -> Option<i32> {
        let status = self.child.wait().unwrap();
        let cooked = LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG;
        assert!(tcgetattr(&self.tty).unwrap().local_flags.contains(cooked), "the terminal is not given back");
        assert!(!self.shown.lock().unwrap().screen.screen().alternate_screen(), "the screen is not given back");
        status.code()
    }
}

/// Whether something comes true within a minute: the start of a lab is many small programs on an emulated machine.
fn comes(mut holds: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    true
}

impl Drop for Learner {
    fn drop(&mut self) {
        // A test that failed leaves its lab; it has ended already otherwise.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_learner_is_ticked_off_hinted_caught_and_led_on() {
    let machine = machine();
    let mut learner = Learner::start(&machine, 200, &["mem-oom", "--seed", "0"]);
    learner.sees("Your guess");
    learner.types("2");
    learner.sees("[mem-oom 1/3] # ");
    learner.types("hint");
    learner.sees("Hint 1 of 3");
    learner.types("echo 48M > $CG/memory.high");
    learner.sees("That is `memory.high`, the brake");
    // Not the shown command, and as good.
    learner.types("printf 50331648 | tee $CG/memory.max; status");
    learner.sees("[ok] $CG/memory.max: 50331648 (48M)");
    learner.sees("[  ] expected 0, found max, in $CG/memory.swap.max");
    learner.types("echo 0 > $CG/memory.swap.max");
    learner.sees("Step 1 of 3 done.");
    learner.sees("[mem-oom 2/3] # ");
    // While the shell waits at its prompt, with half a line typed.
    learner.types("(sleep 1; sh -c 'echo 0 > $CG/cgroup.procs; exec hog 100' > /dev/null 2>&1) &");
    learner.terminal.write_all(b"echo half").unwrap();
    learner.sees("Step 2 of 3 done.");
    learner.sees("echo half");
    learner.types(" a line");
    learner.sees("half a line");
    learner.sees("[mem-oom 3/3] # ");
    learner.types("back");
    learner.sees("== 2/3 Run into it");
    learner.types("skip");
    learner.sees("== 3/3 Die together");
    learner.types("solve");
    learner.sees("$ echo 1 > $CG/memory.oom.group");
    learner.sees("All steps done");
    learner.sees("Your prediction: it slows down but finishes");
    learner.types("exit");
    learner.sees("Cleaned up");
    assert_eq!(learner.child.wait().unwrap().code(), Some(0));
    let progress = fs::read_to_string(machine.directory().join("state/glassbox/labs.toml")).unwrap();
    for line in
        ["done = [\"limit\", \"wall\"]", "solved = [\"wall\", \"together\"]", "prediction = \"slow\"", "hints = 1"]
    {
        assert!(progress.contains(line), "{line} in {progress}");
    }
    assert!(progress.contains("finished = \"20"), "{progress}");
    let report = run(Command::new(machine.binary())
        .args(["lab", "report", "mem-oom"])
        .env("XDG_STATE_HOME", machine.directory().join("state")));
    for expected in
        ["1 hints, slip <code>high-not-max</code>", "$CG/memory.events (oom_kill)", "<polyline", "<td>slow<td>kill"]
    {
        assert!(report.stdout.contains(expected), "{expected} in {report:?}");
    }
}

#[test]
fn a_drill_keeps_the_command_until_the_last_hint() {
    let machine = machine();
    let mut learner = Learner::start(&machine, 200, &["mem-oom", "--drill", "--seed", "0"]);
    learner.sees("Your guess");
    learner.types("");
    learner.sees("[mem-oom 1/3] # ");
    assert!(!learner.screen().contains("The command:"), "{}", learner.screen());
    for hint in ["Hint 1 of 3", "Hint 2 of 3"] {
        learner.types("hint");
        learner.sees(hint);
        learner.sees("[mem-oom 1/3] # ");
    }
    learner.types("hint");
    learner.sees("Hint 3 of 3");
    learner.sees("The command:");
    learner.sees("echo 48M > $CG/memory.max");
    learner.types("exit");
    learner.sees("Cleaned up");
    learner.child.wait().unwrap();
}

#[test]
fn what_does_not_fit_on_the_screen_is_paused() {
    let machine = machine();
    let mut learner = Learner::start(&machine, 24, &["qos"]);
    learner.sees("Your guess");
    learner.types("3");
    learner.sees("[qos 1/6] # ");
    learner.types("glassbox qos --apply $CG guaranteed.yaml > gold.txt");
    learner.sees("Step 1 of 6 done.");
    learner.sees("-- Enter goes on --");
    assert!(!learner.screen().contains("2/6"), "{}", learner.screen());
    learner.types("");
    learner.sees("== 2/6 Burstable and BestEffort");
    learner.sees("[qos 2/6] # ");
    learner.types("exit");
    learner.sees("You left after 1 of 6 steps.");
    learner.child.wait().unwrap();
}

#[test]
fn a_learner_who_does_nothing_is_not_ticked_off_and_leaves_nothing() {
    let machine = machine();
    let mut learner = Learner::start(&machine, 24, &["mem-oom"]);
    learner.sees("Your guess");
    learner.types("");
    learner.sees("[mem-oom 1/3] # ");
    learner.types("sleep 1000 & echo doing nothing");
    std::thread::sleep(Duration::from_secs(1));
    assert!(!learner.screen().contains("[ok]"), "{}", learner.screen());
    learner.types("exit");
    learner.sees("You left after 0 of 3 steps");
    assert_eq!(learner.child.wait().unwrap().code(), Some(1));
    machine.assert_clean();
}

#[test]
fn a_closed_terminal_and_a_killed_shell_end_the_lab() {
    let machine = machine();
    let mut learner = Learner::start(&machine, 24, &["mem-oom"]);
    learner.sees("Your guess");
    learner.types("");
    learner.sees("[mem-oom 1/3] # ");
    learner.types("kill -9 $$");
    learner.sees("Cleaned up");
    assert_eq!(learner.child.wait().unwrap().code(), Some(1));
    machine.assert_clean();

    let mut learner = Learner::start(&machine, 24, &["mem-oom"]);
    learner.sees("Your guess");
    learner.signal(Signal::SIGHUP);
    assert_eq!(learner.child.wait().unwrap().code(), Some(129));
}

#[test]
fn in_panes_an_unforeseen_way_counts_and_keys_words_and_sizes_do_what_they_say() {
    let machine = machine();
    let mut learner = Learner::in_panes(&machine, (120, 40), &["mem-oom", "--seed", "0"]);
    learner.shows("[mem-oom 1/3] # ");
    learner.shows("── Hit the memory wall 1/3 ─");
    learner.shows("[  ] $CG/memory.max: max (expected 48M)");
    // The prefix and a key are for the lesson; a word typed in the shell is as good.
    learner.presses("\x07h");
    learner.shows("Hint 1 of 3");
    learner.types("hint");
    learner.shows("Hint 2 of 3");
    // Ctrl-C, Ctrl-Z and jobs are the shell's.
    learner.types("sleep 1000");
    assert!(comes(|| sh("pgrep -x sleep").status == 0), "the job runs");
    learner.presses("\x1a");
    learner.shows("Stopped");
    learner.types("fg");
    assert!(comes(|| sh("ps -o stat= -C sleep | grep -q '^S+'").status == 0), "the job goes on");
    learner.presses("\x03");
    assert!(comes(|| sh("pgrep -x sleep").status != 0), "the job ends");
    // Not the shown commands, and as good.
    learner.types("clear; cd $CG && printf 50331648 | dd of=memory.max status=none");
    learner.shows("[ok] $CG/memory.max: 50331648 (48M)");
    learner.types("tee memory.swap.max <<< 0 > /dev/null");
    learner.shows("Step 1 of 3 done.");
    learner.shows("[mem-oom 2/3] # ");
    learner.types("clear; bash -c 'echo $$ > cgroup.procs; tail /dev/zero'");
    learner.shows("Step 2 of 3 done.");
    learner.shows("[mem-oom 3/3] # ");
    learner.presses("\x07b");
    learner.shows("== 2/3 Run into it");
    learner.shows("memory.current 0 of 48M (memory.max)");
    // A smaller terminal has its panes one above the other; the shell in it hears of its new size.
    learner.resizes((80, 24));
    learner.types("clear; echo size $(stty size)");
    learner.shows("size 11 80");
    learner.presses("\x07z");
    learner.types("clear; echo size $(stty size)");
    learner.shows("size 23 80");
    learner.presses("\x07z\x07z\x07n");
    learner.shows("== 3/3 Die together");
    learner.presses("echo put aside\x07s");
    learner.shows("Step 3 of 3 done.");
    learner.presses("\x07z\x07z");
    learner.shows("== All steps done =");
    learner.shows("Your prediction: it slows down but finishes");
    learner.types("exit");
    learner.sees("Cleaned up");
    assert_eq!(learner.ends(), Some(0));
    let progress = fs::read_to_string(machine.directory().join("state/glassbox/labs.toml")).unwrap();
    for line in ["done = [\"limit\", \"wall\"]", "solved = [\"wall\", \"together\"]", "hints = 2"] {
        assert!(progress.contains(line), "{line} in {progress}");
    }
}

#[test]
fn in_panes_whoever_does_nothing_is_not_ticked_off_and_leaving_leaves_nothing() {
    let machine = machine();
    let mut learner = Learner::in_panes(&machine, (80, 24), &["mem-oom", "--seed", "0"]);
    learner.shows("[mem-oom 1/3] # ");
    learner.types("sleep 1000 & setsid sleep 1000 & clear; echo doing $((6 * 7)) times nothing");
    learner.shows("doing 42 times nothing");
    std::thread::sleep(Duration::from_secs(1));
    assert!(!learner.panes().contains("[ok]"), "{}", learner.panes());
    // Leaving asks first, and any other key goes on.
    learner.presses("\x07q");
    learner.shows("Leave the lab?");
    learner.presses("n");
    learner.shows("Ctrl-G, then:");
    learner.presses("\x07q");
    learner.shows("Leave the lab?");
    learner.presses("y");
    learner.sees("You left after 0 of 3 steps");
    assert_eq!(learner.ends(), Some(1));
    machine.assert_clean();
}

#[test]
fn a_signal_at_any_step_gives_the_terminal_back_and_leaves_nothing() {
    let machine = machine();
    for (step, signal) in [(0, Signal::SIGINT), (1, Signal::SIGTERM), (2, Signal::SIGHUP)] {
        let mut learner = Learner::in_panes(&machine, (80, 24), &["mem-oom", "--from", &step.to_string()]);
        learner.shows(&format!("[mem-oom {}/3] # ", step + 1));
        learner.types("sleep 1000 &");
        learner.signal(signal);
        assert_eq!(learner.ends(), Some(128 + signal as i32));
        machine.assert_clean();
    }
    // Killed without a chance to clean up: the shell ends with its terminal, and the next start clears up.
    let mut learner = Learner::in_panes(&machine, (80, 24), &["mem-oom"]);
    learner.shows("[mem-oom 1/3] # ");
    learner.types("setsid sleep 1000 &");
    assert!(comes(|| sh("pgrep -x sleep").status == 0), "it sleeps");
    learner.signal(Signal::SIGKILL);
    learner.child.wait().unwrap();
    let mut next = Learner::in_panes(&machine, (80, 24), &["pids"]);
    next.shows("[pids 1/");
    next.signal(Signal::SIGHUP);
    assert_eq!(next.ends(), Some(129));
    machine.assert_clean();
}

#[test]
fn a_narrow_or_dumb_terminal_gets_plain_lines() {
    let machine = machine();
    for (size, term) in [((50, 24), "xterm"), ((80, 24), "dumb")] {
        let mut learner = Learner::at(&machine, size, term, &["lab", "start", "pids"]);
        learner.sees("Your guess");
        learner.types("");
        learner.sees("[pids 1/");
        assert!(!learner.screen().contains("\x1b[?1049h"), "{}", learner.screen());
        learner.types("exit");
        learner.sees("Cleaned up");
        assert_eq!(learner.ends(), Some(1));
    }
}

#[test]
fn the_learners_own_shell_joins_from_another_terminal() {
    let machine = machine();
    let alone = machine.glassbox(["lab", "shell"]);
    assert_eq!(alone.status, 1, "{alone:?}");
    assert!(alone.stderr.contains("you run no lab now"), "{alone:?}");
    let mut lesson = Learner::in_panes(&machine, (80, 24), &["mem-oom", "--seed", "0", "--apart"]);
    lesson.shows("No shell yet. In another terminal, as the same user: glassbox lab shell");
    let mut own = Learner::at(&machine, (80, 24), "xterm", &["lab", "shell"]);
    own.sees("This is /bin/bash in the lab mem-oom");
    lesson.shows("[  ] $CG/memory.max: max (expected 48M)");
    own.types("echo 0 > $CG/memory.swap.max; echo 48M > $CG/memory.max; echo in $(grep -c lab /proc/self/cgroup) lab");
    own.sees("in 1 lab");
    lesson.shows("Step 1 of 3 done.");
    lesson.presses("h");
    lesson.shows("Hint 1 of 3");
    lesson.presses("q");
    lesson.shows("Leave the lab?");
    lesson.presses("y");
    lesson.sees("You left after 1 of 3 steps");
    assert_eq!(lesson.ends(), Some(1));
    own.sees("The lab mem-oom is over.");
    own.ends();
    machine.assert_clean();
}

#[test]
fn ctrl_c_at_any_step_of_a_play_leaves_nothing() {
    let machine = machine();
    for steps in 0..3 {
        let mut learner = Learner::at(&machine, (80, 24), "xterm", &["lab", "play", "mem-oom", "--speed", "100"]);
        for _ in 0..2 + 2 * steps {
            learner.sees("-- Enter goes on, q leaves --");
            learner.types("");
        }
        learner.sees(&format!("== {}/3 ", steps + 1));
        learner.sees("-- Enter goes on, q leaves --");
        learner.presses("\x03");
        assert_eq!(learner.ends(), Some(130));
        machine.assert_clean();
    }
}

#[test]
fn a_start_is_stepped_through_with_a_shell_beside_it_and_leaves_nothing() {
    let machine = machine();
    let bundle = machine.bundle("stepped");
    bundle.args(&["echo", "never"]);
    let args = ["run", "--step", "--break", "PivotRoot", "--bundle", bundle.path(), "stepped"];
    let mut learner = Learner::at(&machine, (80, 24), "xterm", &args);
    learner.sees(", PivotRoot):");
    learner.sees("its own: mnt uts ipc pid net cgroup; the host's: user time");
    learner.sees("a abort >");
    learner.types("s");
    learner.types("echo $((6 * 7)) $(hostname)");
    learner.sees("42 ");
    learner.types("exit");
    // The terminal is ours again: the next line is for us.
    learner.sees("a abort >");
    learner.types("");
    learner.sees(", SetHostname):");
    learner.types("a");
    learner.sees("error: stopped before step ");
    assert_eq!(learner.ends(), Some(1));
    machine.assert_clean();
}
