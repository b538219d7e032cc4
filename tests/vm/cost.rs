//! What a start costs, in system calls: counted, so that one call too many is seen without any noise of times.
//! tests/cli/cost.rs counts instructions.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use crate::support::{Machine, machine, run};

/// How many calls more, or fewer, than is written down are let pass, in percent: kernels differ in which files of /proc there
/// are to be masked.
const MARGIN: f64 = 4.0;

/// System calls of a command of glassbox and of all processes that it makes, by name.
fn calls(machine: &Machine, arguments: &[&str]) -> BTreeMap<String, u64> {
    let table = machine.directory().join("strace");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-c", "-U", "calls,name", "-o"]).arg(&table).arg(machine.binary()).args(arguments);
    let ran = run(&mut strace);
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "glassbox {arguments:?}");
    let table = fs::read_to_string(table).expect("strace writes its table");
    let lines = table.lines().filter_map(|line| line.trim().split_once(char::is_whitespace));
    lines.filter_map(|(calls, name)| Some((name.trim().to_string(), calls.parse().ok()?))).collect()
}

#[track_caller]
fn assert_about(machine: &Machine, arguments: &[&str], expected: u64) {
    let mut calls = calls(machine, arguments);
    let found = calls.remove("total").expect("strace's last line");
    let away = (found as f64 / expected as f64 - 1.0) * 100.0;
    let mut most: Vec<_> = calls.into_iter().map(|(name, calls)| (calls, name)).collect();
    most.sort_unstable_by(|one, other| other.cmp(one));
    most.truncate(12);
    assert!(
        away.abs() <= MARGIN,
        "glassbox {arguments:?}: {found} system calls, and {expected} are written down in {}: {away:+.1} %, at most {MARGIN} % is \
         let pass. If it is meant to be so, write the new number down and say why in the commit. Most often: {most:?}",
        file!(),
    );
}

#[test]
fn a_start_makes_as_many_system_calls_as_it_did() {
    let machine = machine();
    let bundle = machine.bundle("counted");
    bundle.args(&["/bin/true"]);
    let path = bundle.path();
    assert_about(&machine, &["run", "--bundle", path, "counted"], 560);
    assert_about(&machine, &["create", "--bundle", path, "counted"], 500);
    assert_about(&machine, &["state", "counted"], 60);
    assert_about(&machine, &["start", "counted"], 60);
    crate::support::wait_until("it has ended", || machine.glassbox(["state", "counted"]).stdout.contains("stopped"));
    assert_about(&machine, &["delete", "counted"], 80);
}
