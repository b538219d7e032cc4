//! What a start costs up to where it would touch the machine, in instructions and in system calls: a change that makes it slower
//! is seen here, on every machine alike, and not in a time that is lost in noise.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::support::glassbox;

/// More than the number that is written down may be needed by this part of it; much less, and the number is out of date.
/// Compilers differ by some percent.
const MARGIN: f64 = 0.10;

/// Instructions of a run, as valgrind(1) counts them: only the program's own, the same in each run.
fn instructions(program: &str, arguments: &[&str], directory: &Path) -> u64 {
    let log = directory.join("valgrind");
    let mut command = Command::new("valgrind");
    command.args(["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]);
    command.arg(format!("--log-file={}", log.display())).arg(program).args(arguments);
    // Nothing of the environment may count, least of all its size.
    command.current_dir(directory).env_clear().env("PATH", "/usr/bin:/bin");
    let output = command.output().expect("valgrind is here: rootfs-scripts/install-tools test");
    let log = fs::read_to_string(log).expect("valgrind writes its log");
    let line = log.lines().find_map(|line| line.split_once("I   refs:").or(line.split_once("I refs:")));
    let number = line.map(|(_, number)| number.trim().replace(',', ""));
    number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{log}\n{output:?}"))
}

/// System calls of a run, as strace(1) counts them. Paths of another depth make a few more or fewer: each part is looked at.
fn system_calls(program: &str, arguments: &[&str], directory: &Path) -> u64 {
    let table = directory.join("strace");
    let mut command = Command::new("strace");
    command.args(["-f", "-c", "-U", "calls,name", "-o"]).arg(&table).arg(program).args(arguments);
    command.current_dir(directory).env_clear().env("PATH", "/usr/bin:/bin");
    let output = command.output().expect("strace is here: rootfs-scripts/install-tools test");
    let table = fs::read_to_string(table).expect("strace writes its table");
    let total = table.lines().rev().find_map(|line| line.trim().strip_suffix("total"));
    total.and_then(|total| total.trim().parse().ok()).unwrap_or_else(|| panic!("{table}\n{output:?}"))
}

#[track_caller]
fn assert_about(what: &str, found: u64, expected: u64) {
    let ratio = found as f64 / expected as f64;
    assert!(
        (1.0 - MARGIN..=1.0 + MARGIN).contains(&ratio),
        "{what}: {found}, and {expected} are written down in {}: {:+.1} %, at most {:.0} % is let pass. If it is \
         meant to be so, write the new number down and say why in the commit",
        file!(),
        (ratio - 1.0) * 100.0,
        MARGIN * 100.0,
    );
}

#[test]
fn beginning_a_command_costs_what_it_did() {
    let place = tempfile::tempdir().expect("a directory");
    let nobody = ["--root", "none", "state", "web"];
    let (lean, whole) = (env!("CARGO_BIN_EXE_glassbox-runtime"), env!("CARGO_BIN_EXE_glassbox"));
    assert_about("instructions of glassbox-runtime state", instructions(lean, &nobody, place.path()), 811_000);
    assert_about("instructions of glassbox state", instructions(whole, &nobody, place.path()), 937_000);
    assert_about("system calls of glassbox-runtime state", system_calls(lean, &nobody, place.path()), 42);
    assert_about("system calls of glassbox state", system_calls(whole, &nobody, place.path()), 42);
}

/// Reading config.json, checking it, planning, and the filter of docker's profile: all that a start thinks about.
#[test]
fn planning_a_start_costs_what_it_did() {
    let place = tempfile::tempdir().expect("a directory");
    fs::create_dir_all(place.path().join("web/rootfs")).expect("a bundle");
    assert_eq!(glassbox(["spec", "--bundle", "web"]).in_dir(place.path()).output().status, 0);
    let path = place.path().join("web/config.json");
    let mut config: Value = serde_json::from_str(&fs::read_to_string(&path).expect("a config")).expect("JSON");
    config["linux"]["seccomp"] = serde_json::from_str(include_str!("../vm/docker-profile.json")).expect("JSON");
    fs::write(&path, config.to_string()).expect("it can be written");
    let host = json!({
        "rootfs": "/web/rootfs", "cgroup": null, "lastCapability": 40, "inUserNamespace": false, "home": "/root"
    });
    fs::write(place.path().join("host.json"), host.to_string()).expect("it can be written");
    let arguments = ["explain", "--format", "json", "--host", "host.json", "web"];
    let whole = env!("CARGO_BIN_EXE_glassbox");
    let what = "of glassbox explain, with docker's filter";
    assert_about(&format!("instructions {what}"), instructions(whole, &arguments, place.path()), 29_800_000);
    assert_about(&format!("system calls {what}"), system_calls(whole, &arguments, place.path()), 62);
}
