//! What engines count on when they call a runtime as they call runc: its command line, its log file, its messages.

use std::fs;
use std::path::Path;

use insta::assert_snapshot;
use serde_json::Value;

use super::support::glassbox;

/// The records of a log in JSON; the file has one a line.
fn records(log: &Path) -> Vec<Value> {
    let text = fs::read_to_string(log).expect("the log was written");
    text.lines().map(|line| serde_json::from_str(line).expect("a record is JSON")).collect()
}

#[test]
fn the_version_has_the_three_lines_that_engines_take_apart() {
    let text = glassbox(["--version"]).output().stdout;
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    for (line, start) in lines.iter().zip(["glassbox version ", "commit: ", "spec: "]) {
        assert!(line.strip_prefix(start).is_some_and(|value| !value.is_empty()), "{line:?}");
    }
    assert_eq!(glassbox(["-v"]).output().stdout, text);
}

#[test]
fn a_failed_command_leaves_one_json_object_in_the_log() {
    let directory = tempfile::tempdir().expect("/tmp is writable");
    let log = directory.path().join("log");
    let path = log.to_str().expect("UTF-8");
    // As conmon calls it, and as Go's flag package lets engines spell it.
    let words = ["-log", path, "--log-format=json", "--rootless=true", "create", "-bundle", "/nowhere", "x"];
    let output = glassbox(words).output();
    assert_eq!(output.status, 1);
    let text = fs::read_to_string(&log).expect("the log was written");
    let record: Value = serde_json::from_str(&text).expect("the whole file is one JSON object");
    assert_eq!(record["level"], "error");
    assert_eq!(record["msg"], "bundle \"/nowhere\": the bundle directory does not exist");
    let time = record["time"].as_str().expect("a text");
    assert!(time.parse::<jiff::Timestamp>().is_ok(), "{time} is RFC 3339");
}

#[test]
fn a_wrong_command_line_is_in_the_log_as_well() {
    let directory = tempfile::tempdir().expect("/tmp is writable");
    let log = directory.path().join("log");
    let path = log.to_str().expect("UTF-8");
    assert_eq!(glassbox(["--log", path, "--log-format=json", "run", "--nonsense", "x"]).output().status, 2);
    assert_eq!(records(&log)[0]["msg"], "unexpected argument '--nonsense' found");
    assert_eq!(records(&log).len(), 1);
    // Help is no error, and what stands behind -- is no flag of ours.
    assert_eq!(glassbox(["--log", path, "--help"]).output().status, 0);
    assert_eq!(glassbox(["explode", "--", "--log", path]).output().status, 2);
    assert_eq!(records(&log).len(), 1);
}

#[test]
fn an_error_names_the_file_that_it_is_about() {
    let directory = tempfile::tempdir().expect("/tmp is writable");
    let file = |name: &str, text: &str| fs::write(directory.path().join(name), text).expect("it is ours");
    file("p.json", r#"{"cwd": "x", "args": ["sh"], "user": {"uid": 0, "gid": 0}}"#);
    file("r.json", r#"{"pids": {"limit": "x"}}"#);
    let exec = glassbox(["--root", "/nowhere", "exec", "--process", "p.json", "x"]).in_dir(&directory);
    let update = glassbox(["--root", "/nowhere", "update", "--resources", "r.json", "x"]).in_dir(&directory);
    let stdin = glassbox(["--root", "/nowhere", "update", "--resources", "-", "x"]).input("{");
    assert_snapshot!(exec.snapshot() + &update.snapshot() + &stdin.snapshot(), @r#"
    status 255
    stderr:
    error: "p.json": process.cwd: "x" is not an absolute path in the container
    status 1
    stderr:
    error: "r.json": linux.resources.pids.limit: invalid type: string "x", expected i64
      hint: The limits have the form of linux.resources in config.json.
    status 1
    stderr:
    error: stdin is not valid JSON: EOF while parsing an object at line 1 column 1
      hint: The limits have the form of linux.resources in config.json.
    "#);
}

#[test]
fn debug_tells_the_call_before_the_error() {
    let directory = tempfile::tempdir().expect("/tmp is writable");
    let log = directory.path().join("log");
    let words = ["--root", "/nowhere", "--debug", "--log-format", "json", "--log", log.to_str().expect("UTF-8")];
    // A flag may stand twice: engines put theirs before those that their users configure.
    assert_eq!(glassbox(words.iter().copied().chain(["-debug=true", "state", "x"])).output().status, 1);
    let levels: Vec<_> = records(&log).iter().map(|record| record["level"].clone()).collect();
    assert_eq!(levels, ["debug", "error"]);
    assert!(records(&log)[0]["msg"].as_str().is_some_and(|said| said.ends_with("state x")));
    assert_snapshot!(glassbox(["--debug", "--root", "/nowhere", "list", "-q"]).snapshot().replace(env!("CARGO_BIN_EXE_glassbox"), "glassbox"), @r"
    status 0
    stderr:
    debug: glassbox --debug --root /nowhere list -q
    ");
}

#[test]
fn what_engines_look_for_in_messages_is_there() {
    assert_snapshot!(glassbox(["--root", "/nowhere", "state", "gone"]).snapshot(), @r#"
    status 1
    stderr:
    error: container "gone" does not exist
      hint: `glassbox list` shows the containers that there are; --root names another store.
    "#);
    assert_snapshot!(glassbox(["--root", "/nowhere", "kill", "gone", "FOO"]).snapshot(), @r#"
    status 1
    stderr:
    error: "FOO" is not a signal; use a name such as TERM or a number from 0 to 64
    "#);
    assert_eq!(glassbox(["--root", "/nowhere", "delete", "--force", "gone"]).snapshot(), "status 0\n");
}

#[test]
fn what_cannot_be_done_is_refused_by_its_flag() {
    assert_snapshot!(glassbox(["--root", "/nowhere", "update", "--l3-cache-schema", "L3:0=f", "x"]).snapshot(), @r"
    status 1
    stderr:
    error: --l3-cache-schema is not supported by glassbox
      hint: Write the schema into a group of /sys/fs/resctrl by hand.
    ");
    assert_eq!(glassbox(["--rootless=perhaps", "list"]).output().status, 2);
}

#[test]
fn features_are_told_in_the_specification_s_form() {
    let output = glassbox(["features"]).output();
    assert_eq!((output.status, output.stderr.as_str()), (0, ""));
    let features: Value = serde_json::from_str(&output.stdout).expect("JSON");
    let typed: oci_spec::runtime::Features = serde_json::from_value(features.clone()).expect("the form of oci-spec");
    assert_eq!(typed.mount_options().as_ref().map(Vec::len), features["mountOptions"].as_array().map(Vec::len));
    let version = glassbox(["--version"]).output().stdout;
    let told = format!(
        "glassbox version {}\ncommit: {}\nspec: {}\n",
        features["annotations"]["glassbox.version"].as_str().expect("a text"),
        features["annotations"]["glassbox.commit"].as_str().expect("a text"),
        features["ociVersionMax"].as_str().expect("a text"),
    );
    assert_eq!(version, told);
}
