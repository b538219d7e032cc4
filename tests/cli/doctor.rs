//! `glassbox doctor`: its shape. What it finds differs from machine to machine; the judgement is tested in
//! `src/runtime/survey/judge`, and a machine where all is well in `tests/vm/doctor.rs`.

use serde_json::Value;

use super::support::{Output, glassbox};

fn doctor(args: &[&str]) -> Output {
    glassbox(["doctor"].iter().chain(args)).output()
}

fn json() -> (i32, Value) {
    let output = doctor(&["--format", "json"]);
    assert_eq!(output.stderr, "");
    (output.status, serde_json::from_str(&output.stdout).expect("it prints one JSON object"))
}

#[test]
fn json_keeps_its_keys() {
    let (_, report) = json();
    let keys = |value: &Value| value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!(keys(&report), "verdict findings facts");
    for finding in report["findings"].as_array().expect("a list") {
        assert_eq!(keys(finding), "id area name verdict found why remedy");
    }
    assert_eq!(keys(&report["facts"]), "kernel user cgroup namespaces features rootless tools kvm");
    assert_eq!(keys(&report["facts"]["namespaces"]), "mnt pid net ipc uts user cgroup time");
    assert_eq!(keys(&report["facts"]["namespaces"]["pid"]), "alone inUserNamespace limit");
}

#[test]
fn the_exit_code_says_whether_something_is_missing() {
    let (status, report) = json();
    let findings = report["findings"].as_array().expect("a list");
    let missing = findings.iter().any(|finding| finding["verdict"] == "missing");
    assert_eq!(status, i32::from(missing));
    assert_eq!(report["verdict"] == "missing", missing);
    assert_eq!(doctor(&[]).status, status);
}

#[test]
fn every_attempt_was_made() {
    let (_, report) = json();
    let facts = &report["facts"];
    let tried = facts["features"].as_object().expect("an object").values();
    let tried = tried.chain(facts["namespaces"].as_object().expect("an object").values().map(|facts| &facts["alone"]));
    for outcome in tried {
        let outcome = outcome.as_str().expect("a word");
        assert!(outcome == "works" || outcome.starts_with('E'), "{outcome}");
    }
}

#[test]
fn a_child_tells_one_attempt_and_an_unknown_one_is_refused() {
    let told = doctor(&["--attempt", "feature:pidfd_open"]);
    assert_eq!((told.status, told.stderr.as_str()), (0, ""));
    assert!(told.stdout == "works\n" || told.stdout.starts_with('E'), "{}", told.stdout);
    assert_eq!(doctor(&["--attempt", "feature:warp"]).status, 2);
}

#[test]
fn text_names_each_area_and_ends_with_the_sum() {
    let output = doctor(&[]);
    for area in ["CGROUPS", "NAMESPACES", "PRIVILEGES", "KERNEL", "SECURITY", "ROOTLESS", "TOOLS"] {
        assert!(output.stdout.lines().any(|line| line == area), "{area}: {}", output.stdout);
    }
    let last = if output.status == 0 { "Containers run here" } else { "Containers cannot fully run here: " };
    assert!(output.stdout.lines().any(|line| line.starts_with(last)), "{}", output.stdout);
    assert!(!output.stdout.contains('\x1b'), "no colour where stdout is no terminal");
}

#[test]
fn help_documents_the_words_and_the_exit_codes() {
    insta::assert_snapshot!(glassbox(["doctor", "--help"]).snapshot(), @r#"
    status 0
    stdout:
    Tell what this kernel offers to containers, what is missing, and the command
    that mends it

    Usage: glassbox doctor [OPTIONS]

    Options:
          --format <FORMAT>
              How to print

              Possible values:
              - text: A table for people, by area; shortfalls with their reason and
                their remedy
              - json: One JSON object: verdict, findings, facts
              
              [default: text]

      -h, --help
              Print help (see a summary with '-h')

    Nothing is changed: what can only be known by trying is tried in a child
    process, and goes with it.

      ok       it works
      limited  containers run; what is named does not work, or not by itself
      missing  containers do not run, or not with everything that config.json may
      ask for

    Examples:
      sudo glassbox doctor
      glassbox doctor --format json | jq '.findings[] | select(.verdict != "ok")'

    Exit codes: 0 when nothing is missing, 1 when something is, 2 for a wrong
    command line.
    "#);
}
