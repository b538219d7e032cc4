//! `glassbox lab` without root: lists, refusals, and the whole engine on a lab that needs nothing but files.

use std::fs;

use insta::assert_snapshot;

use super::support::{Output, Run, glassbox};

const EN: &str = r#"+++
format   = 1
id       = "tiny"
lang     = "en"
minutes  = 2
seeds    = ["000 01"]
requires = ["cmd:sh"]
vars     = { word = ["red", "green"] }
predict  = { choices = ["yes", "no"], answer = "yes" }

[[step]]
id    = "write"
show  = 'echo $word > colour'
check = [{ file = "colour", eq = "$word" }]
solve = 'echo $word > colour'
slip  = [{ id = "misspelt", when = { file = "color", exists = true }, do = 'echo $word > color' }]

[[step]]
id    = "count"
check = [{ file = "numbers", key = "total", grew = 2 }]
solve = '''
for n in 1 2; do
  echo "total $n" > numbers
  done
cat template colour'''
+++
# A colour in a file

Put `$word` into a file.

## predict
Will it be there?
- yes: it will
- no: it will not
### after
A file keeps what is written.

## write: Write it
The file is `colour`.
### hint
Use `echo`.
### slip misspelt
That is `color`, without the letter `u`.

## count
Count to two.
### hint
Use `for`.
### after
It counts.

## end
Files are files.
### question
Where is it now?
"#;

const ZH: &str = "# 文件里的颜色\n\n把 `$word` 写进文件。\n\n## predict\n它会在吗？\n- yes：在\n- no：不在\n### after\n写进去的就在。\n
## write：写进去\n文件是 `colour`。\n### hint\n用 `echo`。\n### slip misspelt\n那是 `color`，少了字母 `u`。\n
## count\n数到二。\n### hint\n用 `for`。\n### after\n数到了。\n\n## end\n文件就是文件。\n### question\n它现在在哪里？\n";

/// A set of labs of its own, with a home of its own.
struct Set(tempfile::TempDir);

impl Set {
    fn new(en: &str, zh: &str) -> Set {
        let set = Set(tempfile::tempdir().unwrap());
        let lab = set.0.path().join("labs/track/tiny");
        fs::create_dir_all(lab.join("files")).unwrap();
        fs::write(lab.join("lab.md"), en).unwrap();
        fs::write(lab.join("lab.zh.md"), zh).unwrap();
        fs::write(lab.join("files/template"), "the colour is\n").unwrap();
        set
    }

    /// A command on this set, whose labs are trusted where they would run.
    fn lab(&self, args: &[&str]) -> Run {
        let trust: &[&str] = if args[0] == "list" { &[] } else { &["--trust"] };
        self.wary(&[args, trust].concat())
    }

    /// A command on this set, which is somebody else's.
    fn wary(&self, args: &[&str]) -> Run {
        let state = self.0.path().join("state").display().to_string();
        let args = ["lab"].iter().chain(args).chain(&["--labs", "labs"]);
        let run = glassbox(args).in_dir(&self.0).env("LC_ALL", "C").env("XDG_STATE_HOME", &state);
        run.env("TMPDIR", &self.0.path().display().to_string())
    }

    /// Whether nothing of any run is left.
    fn is_clean(&self) -> bool {
        let runs = fs::read_dir(&self.0).unwrap().flatten();
        runs.filter(|entry| entry.file_name().to_string_lossy().starts_with("glassbox-lab-"))
            .all(|dir| fs::read_dir(dir.path()).unwrap().next().is_none())
    }
}

fn sound() -> Set {
    Set::new(EN, ZH)
}

/// `lab test` on a copy of the lab in which `from` is replaced by `to`.
fn broken(from: &str, to: &str) -> Output {
    assert!(EN.contains(from), "{from:?} stands in the lab");
    let set = Set::new(&EN.replacen(from, to, 1), ZH);
    let output = set.lab(&["test"]).output();
    assert!(set.is_clean(), "{from:?} -> {to:?} leaves a run behind");
    output
}

#[test]
fn a_list_says_what_can_run_and_why_not() {
    assert_snapshot!(sound().lab(&["list"]).snapshot(), @r"
    status 0
    stdout:
      lab   min   here    done  title
    track
      tiny  2     yes     0/2   A colour in a file
    Take one: glassbox lab start ID. Watch one: glassbox lab play ID
    ");
    let wanting = Set::new(&EN.replace("cmd:sh", "cmd:no-such-program"), ZH);
    assert_snapshot!(wanting.lab(&["list"]).env("LC_ALL", "zh_CN.UTF-8").snapshot(), @r"
    status 0
    stdout:
      实验  分钟  可运行  进度  标题
    track
      tiny  2     否 (1)  0/2   文件里的颜色
    (1) 因为没有程序 no-such-program；安装它，或把它的目录加进 PATH
    动手做：glassbox lab start ID；只看演示：glassbox lab play ID
    ");
    assert_snapshot!(wanting.lab(&["list", "--format", "json"]).snapshot(), @r#"
    status 0
    stdout:
    [
      {
        "track": "track",
        "id": "tiny",
        "title": "A colour in a file",
        "minutes": 2,
        "seeds": [
          "000 01"
        ],
        "steps": [
          "write",
          "count"
        ],
        "runnable": false,
        "cannot": [
          {
            "requires": "cmd:no-such-program",
            "because": "there is no program no-such-program",
            "remedy": "install it, or add its directory to PATH"
          }
        ],
        "progress": {
          "done": [],
          "solved": [],
          "hints": 0
        }
      }
    ]
    "#);
    assert_snapshot!(wanting.lab(&["play", "tiny"]).snapshot(), @r"
    status 3
    stderr:
    lab tiny cannot run here:
      because there is no program no-such-program; install it, or add its directory to PATH
    ");
}

#[test]
fn every_question_of_the_seeds_has_its_lab_or_a_reason() {
    let listed = glassbox(["lab", "list", "--seeds"]).env("LC_ALL", "C").output();
    assert_eq!((listed.status, listed.stderr.as_str()), (0, ""));
    for expected in [
        "000 §02  the QoS classes, and what of Linux is below them\n         -> qos\n",
        "002 §32  raft in etcd\n            not a node's matter: it happens in the control plane",
        "no lab yet: vxlan is still to be written\n",
    ] {
        assert!(listed.stdout.contains(expected), "{expected}\n{}", listed.stdout);
    }
    let chinese = glassbox(["lab", "list", "--seeds", "--lang", "zh", "--format", "json"]).output();
    let questions: Vec<serde_json::Value> = serde_json::from_str(&chinese.stdout).unwrap();
    let qos = questions.iter().find(|question| question["question"] == "002 §28").unwrap();
    assert_eq!((&qos["ask"], &qos["labs"]), (&"k8s 的 qos 模型".into(), &serde_json::json!(["eviction", "qos"])));
    assert_eq!(questions.iter().filter(|question| question["ask"] == "").count(), 0);
}

#[test]
fn somebody_elses_lab_is_shown_and_runs_only_when_asked_for() {
    let set = sound();
    assert_snapshot!(set.wary(&["play", "tiny"]).snapshot(), @r#"
    status 1
    stderr:
    Lab tiny (labs/track/tiny/lab.md) is not one of glassbox's own. It runs these commands:
      # step write, solve
      echo $word > colour
      # step write, slip misspelt
      echo $word > color
      # step count, solve
      for n in 1 2; do
        echo "total $n" > numbers
        done
      cat template colour
    error: lab tiny is not one of glassbox's own, and this is no throw-away VM
      hint: Its commands stand above: read them; --trust runs them here.
      hint: A VM that is gone when you leave it: make vm-shell.
    "#);
    assert_eq!(set.wary(&["test", "tiny"]).output().status, 1);
    assert_eq!(set.wary(&["test", "--lint"]).output().status, 0, "the linter runs nothing");
    assert!(set.is_clean());
}

#[test]
fn the_hands_of_a_room_are_counted_and_shown_again() {
    let output = sound().lab(&["play", "tiny", "--tally"]).input("3\n12\n").output();
    assert_eq!(output.status, 0, "{output:?}");
    let asked = "Hands for 1: Hands for 2: \n15 hands\n   1. it will\n      ########## 3\n   2. it will not\n      \
                 ######################################## 12\n";
    assert!(output.stdout.contains(asked), "{}", output.stdout);
    let after = "Where is it now?\n\n15 hands\n=> 1. it will\n      ########## 3\n   2. it will not\n";
    assert!(output.stdout.contains(after), "{}", output.stdout);
}

#[test]
fn a_new_lab_is_sound_from_the_beginning() {
    let set = Set(tempfile::tempdir().unwrap());
    assert_snapshot!(set.wary(&["new", "tour", "--track", "own"]).snapshot(), @r"
    status 0
    stdout:
    labs/own/tour/lab.md
    labs/own/tour/lab.zh.md
    labs/own/tour/files/notes.txt
    It is a lab already. Change it, and test it: glassbox lab test tour --labs labs --trust
    ");
    let output = set.lab(&["test"]).output();
    assert_eq!((output.status, output.stdout.starts_with("ok       own/tour")), (0, true), "{output:?}");
    assert_snapshot!(set.wary(&["new", "tour", "--track", "own"]).snapshot(), @r"
    status 1
    stderr:
    error: lab new tour: labs/own/tour exists already
      hint: Choose another name, another --track, or remove it first.
    ");
    assert_eq!(set.wary(&["new", "No_Name"]).output().status, 2);
    assert!(set.is_clean());
}

#[test]
fn a_report_is_one_page_of_what_was_taken() {
    let set = sound();
    let state = set.0.path().join("state").display().to_string();
    let report = |args: &[&str]| {
        glassbox(["lab", "report"].iter().chain(args)).in_dir(&set.0).env("XDG_STATE_HOME", &state).output()
    };
    assert_eq!(report(&["--format", "json"]).stdout, "[]\n");
    let attempts = set.0.path().join("state/glassbox/attempts");
    fs::create_dir_all(&attempts).unwrap();
    let attempt = r#"{"lab": "tiny", "title": "A & B", "began": "2026-11-21T12:00:00Z", "prediction": "no", "answer": "yes",
        "steps": [{"id": "write", "seconds": 3.0, "hints": 2, "slips": [], "helped": true, "evidence": [],
                   "plots": [{"file": "memory.current", "points": [[0, 1], [1, 2]]}]}]}"#;
    fs::write(attempts.join("tiny.json"), attempt).unwrap();
    let page = report(&["tiny"]);
    assert_eq!((page.status, page.stderr.as_str()), (0, ""));
    for expected in
        ["<h2 id=\"tiny\">A &amp; B</h2>", "<td>no<td>yes", "<polyline", "3 s, 2 hints, solved by the runner"]
    {
        assert!(page.stdout.contains(expected), "{expected}\n{}", page.stdout);
    }
    assert_eq!(report(&["qos"]).status, 1);
    fs::write(attempts.join("bad.json"), "{").unwrap();
    let refused = report(&[]);
    assert!(refused.stderr.contains("attempts/bad.json: EOF while parsing"), "{refused:?}");
}

#[test]
fn progress_is_taken_along_and_forgotten() {
    let set = sound();
    let state = set.0.path().join("state/glassbox");
    fs::create_dir_all(&state).unwrap();
    let known = "[tiny]\ndone = [\"write\"]\nsolved = []\nhints = 1\n";
    fs::write(state.join("labs.toml"), known).unwrap();
    let lab = |args: &[&str]| {
        let state = set.0.path().join("state").display().to_string();
        glassbox(["lab"].iter().chain(args)).in_dir(&set.0).env("XDG_STATE_HOME", &state)
    };
    assert_eq!(lab(&["progress", "export"]).output().stdout, known);
    let other = "[tiny]\ndone = [\"count\"]\nsolved = []\nhints = 0\n[qos]\ndone = []\nsolved = []\nhints = 2\n";
    let imported = lab(&["progress", "import", "-"]).input(other).output();
    assert!(imported.stdout.starts_with("Added 2 labs to "), "{imported:?}");
    let listed = set.lab(&["list"]).output();
    assert!(listed.stdout.contains("2/2"), "{}", listed.stdout);
    assert_eq!(lab(&["reset", "tiny"]).output().status, 0);
    assert!(!lab(&["progress", "export"]).output().stdout.contains("tiny"));
    assert_snapshot!(lab(&["reset", "tiny"]).snapshot(), @r"
    status 1
    stderr:
    error: lab reset tiny: nothing is known of it
      hint: Labs that you have begun: qos.
    ");
    assert_snapshot!(lab(&["progress", "import", "-"]).input("qos = 1").snapshot(), @r"
    status 1
    stderr:
    error: lab progress import -: invalid type: integer `1`, expected struct Taken
      hint: Name a file that lab progress export has written.
    ");
    assert_eq!(lab(&["reset", "--all"]).output().status, 0);
    assert_eq!(lab(&["progress", "export"]).output().stdout, "");
}

#[test]
fn a_play_types_runs_and_lays_out_the_evidence() {
    let set = sound();
    assert_snapshot!(set.lab(&["play", "tiny", "--seed", "1"]).snapshot(), @r#"
    status 0
    stdout:
    == A colour in a file ==========================================================

    Put `green` into a file.

    == Before you begin: what do you expect? =======================================

    Will it be there?

      1. it will
      2. it will not

    == 1/2 Write it ================================================================

    The file is `colour`.

      $ echo green > colour

    [ok] colour: green

    == 2/2 count ===================================================================

    Count to two.

      $ for n in 1 2; do
      >   echo "total $n" > numbers
      >   done
      $ cat template colour
        the colour is
        green

    [ok] numbers (total): +2

    It counts.

    == All steps done ==============================================================

    What happened: it will

    A file keeps what is written.

    Files are files.

    One question to take along
    Where is it now?


    == Evidence: what this machine's kernel says ===================================

         file             value  expected
    [ok] colour           green  green
    [ok] numbers (total)  +2     at least +2

    All 2 checks hold.
    Cleaned up: no cgroup, mount, process, namespace or link is left.
    "#);
    assert!(set.is_clean());
    let chinese = set.lab(&["play", "tiny", "--lang", "zh"]).output();
    assert_eq!((chinese.status, chinese.stderr.as_str()), (0, ""));
    assert!(chinese.stdout.contains("[ok] colour: red\n"), "{}", chinese.stdout);
    assert!(chinese.stdout.contains("2 项检查全部成立。"), "{}", chinese.stdout);
}

#[test]
fn a_play_with_a_red_check_fails_and_says_which() {
    let set = Set::new(
        &EN.replace("key = \"total\", grew = 2", "key = \"total\", grew = 3")
            .replace("id    = \"count\"", "id    = \"count\"\nwithin = 1"),
        ZH,
    );
    let output = set.lab(&["play", "tiny"]).output();
    assert_eq!(output.status, 1);
    let account = "1 of 2 checks do not hold:\n[  ] expected at least +3, found +2, in numbers (total)\n";
    assert!(output.stdout.contains(account), "{}", output.stdout);
    assert!(!output.stdout.contains("Files are files."), "the explanation comes after success: {}", output.stdout);
    assert!(set.is_clean());
}

#[test]
fn a_sound_lab_passes_its_test() {
    let set = sound();
    let output = set.lab(&["test"]).output();
    assert_eq!(output.status, 0, "{output:?}");
    assert!(output.stdout.starts_with("ok       track/tiny"), "{output:?}");
    assert_eq!(
        output.stderr,
        "  tiny: variant 1, step write\n  tiny: variant 1, step count\n  tiny: variant 1, step write, slip misspelt\n\
         \x20 tiny: variant 2, step write\n  tiny: variant 2, step count\n  tiny: variant 2, step write, slip misspelt\n"
    );
    assert!(set.is_clean());
}

#[test]
fn a_broken_lab_is_caught_by_the_rule_it_breaks() {
    let file = "labs/track/tiny/lab.md";
    let cases = [
        // Green before anything was done.
        (
            "file = \"colour\", eq = \"$word\"",
            "file = \"template\", exists = true",
            "14: step \"write\": green before anything was done: expected it to be there, found it, in template",
        ),
        // Red after the solution, and a solution that fails.
        (
            "solve = 'echo $word > colour'",
            "within = 1\nsolve = 'echo $word > other'",
            "14: step \"write\": still red 1 s after solve: expected red, found no such file, in colour",
        ),
        (
            "solve = 'echo $word > colour'",
            "solve = 'echo no; false'",
            "12: step \"write\": `echo no; false` left with exit status 1; it printed: no",
        ),
        ("solve = 'echo $word > colour'", "solve = 'exit 0'", "12: step \"write\": `exit 0`: the shell ended"),
        // Slips: not seen, seen without being made, seen at the solution, and no slip at all.
        (
            "do = 'echo $word > color'",
            "do = 'true'",
            "16: slip \"misspelt\" was committed and not seen: expected it to be there, found no such file, in color",
        ),
        (
            "when = { file = \"color\", exists",
            "when = { file = \"template\", exists",
            "16: slip \"misspelt\" is seen before anything was done",
        ),
        (
            "when = { file = \"color\", exists",
            "when = { file = \"colour\", exists",
            "16: slip \"misspelt\" is seen although the step was solved",
        ),
        (
            "do = 'echo $word > color'",
            "do = 'echo $word | tee color > colour'",
            "16: slip \"misspelt\" solves step \"write\"",
        ),
        // The linter.
        ("cmd:sh", "cmd", "7: unknown requirement \"cmd\""),
        ("seeds  ", "sedes  ", "6: unknown field `sedes`"),
        ("Use `echo`.", "Use `printf`.", "zh"),
        (
            "The file is `colour`.",
            &format!("```\n{}\n```\n`colour`", "x".repeat(77)),
            "38: a line of more than 80 columns",
        ),
    ];
    for (from, to, expected) in cases {
        let output = broken(from, to);
        assert_eq!(output.status, 1, "{from:?} -> {to:?}: {output:?}");
        let expected = match expected {
            "zh" => "labs/track/tiny/lab.zh.md:14: ## write ### hint 1 lacks `printf`".to_string(),
            _ => format!("{file}:{expected}"),
        };
        assert!(
            output.stdout.contains(&expected),
            "{from:?} -> {to:?}\nexpected: {expected}\nfound: {}",
            output.stdout
        );
    }
}

#[test]
fn bad_ids_and_directories_are_refused() {
    let set = sound();
    for verb in ["play", "start", "test"] {
        assert_eq!(
            set.lab(&[verb, "tinny"]).snapshot(),
            "status 1\nstderr:\nerror: there is no lab \"tinny\"\n  hint: These there are: tiny.\n"
        );
    }
    assert_snapshot!(glassbox(["lab", "list", "--labs", "none"]).in_dir(&set.0).snapshot(), @r"
    status 1
    stderr:
    error: --labs none: No such file or directory (os error 2)
      hint: Name a directory that holds TRACK/ID/lab.md.
    ");
    fs::remove_file(set.0.path().join("labs/track/tiny/lab.zh.md")).unwrap();
    assert_snapshot!(set.lab(&["play", "tiny"]).snapshot(), @r"
    status 1
    stderr:
    error: lab tiny breaks the rules: labs/track/tiny/lab.zh.md:1: there is no such file
      hint: glassbox lab test tiny tells them all.
    ");
    assert_snapshot!(sound().lab(&["start", "tiny"]).snapshot(), @r"
    status 1
    stderr:
    error: lab start needs a terminal, and this is none
      hint: To watch without one: glassbox lab play tiny --auto
    ");
}

#[test]
fn helper_programs_and_words_are_applets() {
    assert_snapshot!(glassbox(["applet", "hog", "20"]).snapshot(), @r"
    status 0
    stdout:
    hog: 16 MiB touched
    hog: 20 MiB touched
    ");
    let burnt = glassbox(["applet", "burn", "0.2"]).output();
    assert!(burnt.stdout.starts_with("burn: 0.2 s passed, 0."), "{burnt:?}");
    assert_snapshot!(glassbox(["applet", "hint"]).snapshot(), @r"
    status 1
    stderr:
    error: hint: GLASSBOX_LAB is not set
      hint: This word works in the shell of a lab: glassbox lab start ID
    ");
}

/// The labs of the binary itself keep the rules that need no kernel.
#[test]
fn the_labs_of_the_binary_keep_the_rules() {
    let output = glassbox(["lab", "test", "--lint"]).output();
    assert_eq!((output.status, output.stderr.as_str()), (0, ""), "{}", output.stdout);
    assert!(output.stdout.contains("ok       kubernetes/qos"), "{}", output.stdout);
}
