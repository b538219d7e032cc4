//! `glassbox top` on a recording, which needs no root, and what it refuses.

use std::process::{Command, Stdio};

use insta::assert_snapshot;
use serde_json::Value;

use super::support::glassbox;

const RECORDING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cli/recording.jsonl");

#[test]
fn a_recording_is_told_as_tables() {
    assert_snapshot!(glassbox(["top", "--replay", RECORDING, "-n", "2", "--sort", "cpu"]).snapshot(), @r"
    status 0
    stdout:
    CGROUP         CPU% LIMIT THR%   MEM LIMIT  PSI c/m/io PIDS LIMIT  IO/s MARKS
    db                -     -    -  300M     -   -   -   -    -     -     -
    web               -    50    - 10.0M 64.0M   -   -   -    3   100     -

    CGROUP         CPU% LIMIT THR%   MEM LIMIT  PSI c/m/io PIDS LIMIT  IO/s MARKS
    web            50.0    50   80 20.0M 64.0M  40   -   -    3   100     -
    db              2.0     -    -  300M     -   -   -   -    -     -     -
    ");
    let kill = glassbox(["top", "--replay", RECORDING, "--filter", "web"]).output();
    let marks: Vec<_> = kill.stdout.split("\n\n").map(|look| look.contains("KILL+1")).collect();
    assert_eq!(marks, [false, false, false, false, false, false, true, false], "{}", kill.stdout);
    assert!(kill.stdout.trim_end().ends_with("oom 1"), "{}", kill.stdout);
}

#[test]
fn json_of_a_recording_is_the_recording_with_the_rates() {
    let output = glassbox(["top", "--replay", RECORDING, "--format", "json"]).output();
    let lines: Vec<Value> = output.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let original = std::fs::read_to_string(RECORDING).expect("it is there");
    assert_eq!(lines.len(), original.lines().count());
    assert_eq!(lines[3]["rows"][1]["use"]["throttled_percent"], 80.0);
    assert_eq!(lines[3]["rows"][1]["use"]["cpu_percent"], 50.0);
    let directory = tempfile::tempdir().expect("a directory");
    let again = directory.path().join("again.jsonl");
    std::fs::write(&again, &output.stdout).expect("it is ours");
    let args = ["top".into(), "--replay".into(), again.into_os_string(), "--format".into(), "json".into()];
    assert_eq!(glassbox(args).output().stdout, output.stdout, "what is printed can be replayed");
}

#[test]
fn the_recording_of_the_documentation_can_be_replayed() {
    let page = include_str!("../../docs/recording.md");
    let lines: String = page.split("```json\n").skip(1).filter_map(|part| part.split("```").next()).collect();
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("page.jsonl"), &lines).expect("it is ours");
    let replayed = glassbox(["top", "--replay", "page.jsonl", "--format", "json"]).in_dir(directory.path()).output();
    let [page, told] = [&lines, &replayed.stdout].map(|text| {
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        lines.collect::<Vec<_>>()
    });
    assert_eq!((page.len(), &page[0]), (2, &told[0]), "{}", replayed.stderr);
    let [page, told] = [page, told].map(|lines| lines[1]["rows"][0]["stat"]["cpu"].clone());
    let keys = |value: &Value| value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&page), keys(&told), "the page names every key that is printed");
}

#[test]
fn what_is_no_recording_is_refused_with_its_line() {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("notes"), "hello\n").expect("it is ours");
    assert_snapshot!(glassbox(["top", "--replay", "notes"]).in_dir(directory.path()).snapshot(), @r"
    status 1
    stderr:
    error: notes is no recording: line 1: not what --record writes: expected value
      hint: Make one: sudo glassbox top --record FILE
    ");
    assert_snapshot!(glassbox(["top", "--replay", "nowhere"]).in_dir(directory.path()).snapshot(), @r"
    status 1
    stderr:
    error: cannot read the recording nowhere: No such file or directory (os error 2)
      hint: Make one: sudo glassbox top --record FILE
    ");
}

#[test]
fn an_interval_is_seconds() {
    for wrong in ["0", "-1", "soon", "1e9"] {
        let output = glassbox(["top", &format!("--interval={wrong}")]).output();
        assert_eq!(output.status, 2, "{wrong}");
        assert!(output.stderr.contains("give seconds from 0.1 to 3600"), "{}", output.stderr);
    }
}

/// What a terminal of 80 by 24 is sent while these keys are typed.
fn typed(keys: &str, environment: &str) -> String {
    let line = format!(
        "stty rows 24 cols 80; env {environment} TERM=xterm {} top --replay {RECORDING}; echo ended with $?",
        env!("CARGO_BIN_EXE_glassbox")
    );
    let typing = format!("for key in {keys}; do sleep 0.3; printf \"$key\"; done | script -qec '{line}' /dev/null");
    let output = Command::new("bash").args(["-c", &typing]).stdin(Stdio::null()).output().expect("bash runs");
    String::from_utf8(output.stdout).expect("it prints UTF-8")
}

#[test]
fn the_screen_is_taken_and_given_back() {
    let seen = typed("' ' '\\033[F' q", "-u NO_COLOR");
    assert!(seen.contains("\x1b[?1049h") && seen.contains("\x1b[?1049l"), "the alternate screen: {seen:?}");
    assert!(seen.contains("STOPPED") && seen.contains("play"), "{seen:?}");
    assert!(seen.contains("ended with 0"), "{seen:?}");
}

#[test]
fn no_colour_is_sent_where_it_is_refused() {
    // Red, as one of 256 colours.
    let colours = |seen: &str| seen.contains("\x1b[38;5;1;");
    let keys = "' ' '\\033[H' ']' '\\033[D' q";
    assert!(colours(&typed(keys, "-u NO_COLOR")), "a kill is red");
    assert!(!colours(&typed(keys, "NO_COLOR=1")), "or not");
}

/// Whoever is ended leaves the terminal to a shell that has to be typed to.
#[test]
fn a_signal_gives_the_terminal_back() {
    use nix::sys::signal::{Signal, kill};
    use nix::sys::termios::{LocalFlags, tcgetattr};
    use nix::unistd::Pid;
    use std::time::{Duration, Instant};

    let size = nix::pty::Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
    let pty = nix::pty::openpty(Some(&size), None).expect("a terminal");
    let end = || Stdio::from(pty.slave.try_clone().expect("a descriptor"));
    let cooked = || {
        let flags = tcgetattr(&pty.slave).expect("a terminal").local_flags;
        flags.contains(LocalFlags::ICANON | LocalFlags::ECHO)
    };
    // Somebody reads what is drawn, or the terminal fills up.
    let mut screen = std::fs::File::from(pty.master.try_clone().expect("a descriptor"));
    std::thread::spawn(move || std::io::copy(&mut screen, &mut std::io::sink()));
    for signal in [Signal::SIGTERM, Signal::SIGHUP] {
        let mut top = Command::new(env!("CARGO_BIN_EXE_glassbox"))
            .args(["top", "--replay", RECORDING])
            .env("TERM", "xterm")
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .expect("it starts");
        let deadline = Instant::now() + Duration::from_secs(20);
        while cooked() {
            assert!(Instant::now() < deadline, "it never took the terminal");
            std::thread::sleep(Duration::from_millis(10));
        }
        kill(Pid::from_raw(top.id() as i32), signal).expect("our child");
        assert_eq!(top.wait().expect("our child").code(), Some(128 + signal as i32));
        assert!(cooked(), "left raw by {signal}");
    }
}
