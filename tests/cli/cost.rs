//! What a start costs, in instructions: a change that makes it slower is seen here, on every machine alike, and not in a time
//! that is lost in noise. tests/vm/cost.rs counts its system calls.

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

#[track_caller]
fn assert_about(what: &str, found: u64, expected: u64) {
    let ratio = found as f64 / expected as f64;
    assert!(
        (1.0 - MARGIN..=1.0 + MARGIN).contains(&ratio),
        "{what}: {found} instructions, and {expected} are written down in {}: {:+.1} %, at most {:.0} % is let pass. If it is \
         meant to be so, write the new number down and say why in the commit",
        file!(),
        (ratio - 1.0) * 100.0,
        MARGIN * 100.0,
    );
}

#[test]
fn beginning_a_command_costs_what_it_did() {
    let place = tempfile::tempdir().expect("a directory");
    let found = instructions(env!("CARGO_BIN_EXE_glassbox-runtime"), &["--root", "none", "state", "web"], place.path());
    assert_about("glassbox-runtime state, of a container that is not there", found, 2_020_000);
    let found = instructions(env!("CARGO_BIN_EXE_glassbox"), &["--root", "none", "state", "web"], place.path());
    assert_about("glassbox state, of a container that is not there", found, 3_780_000);
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
    let found = instructions(env!("CARGO_BIN_EXE_glassbox"), &arguments, place.path());
    assert_about("glassbox explain, with docker's filter", found, 46_300_000);
}
