//! What every command has in common: help, wrong arguments, a reader that goes away, colour, completions, manual pages.

use std::fs::{self, File};
use std::io::Read;
use std::process::{Command, Stdio};

use insta::assert_snapshot;

use super::support::{Output, glassbox};

/// The commands of the program and of `lab`, as the help lists them, each as its words.
fn commands() -> Vec<Vec<String>> {
    let mut all = vec![Vec::new()];
    let mut next = 0;
    while let Some(words) = all.get(next).cloned() {
        all.extend(listed(&words));
        next += 1;
    }
    all
}

/// The subcommands that `words --help` lists.
fn listed(words: &[String]) -> Vec<Vec<String>> {
    let help = help(words).stdout;
    let Some((_, list)) = help.split_once("\nCommands:\n") else { return Vec::new() };
    let names = list.lines().take_while(|line| !line.is_empty()).filter_map(|line| {
        let name = line.strip_prefix("  ")?;
        (!name.starts_with(' ')).then(|| name.split(' ').next().unwrap_or_default().to_string())
    });
    names.filter(|name| name != "help").map(|name| [words, &[name]].concat()).collect()
}

fn help(words: &[String]) -> Output {
    let output = glassbox(words.iter().cloned().chain(["--help".to_string()])).output();
    assert_eq!((output.status, output.stderr.as_str()), (0, ""), "{words:?}");
    output
}

#[test]
fn every_command_has_this_help() {
    for words in commands() {
        let name = [&["glassbox".to_string()], words.as_slice()].concat().join("-");
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
            assert_snapshot!(format!("help-{name}"), help(&words).stdout);
        });
    }
}

#[test]
fn help_is_an_imperative_line_and_fits_the_screen() {
    for words in commands() {
        let text = help(&words).stdout;
        let first = text.lines().next().unwrap_or_default();
        assert!(first.starts_with(char::is_uppercase) && !first.ends_with('.'), "{words:?}: {first}");
        assert!(text.contains("\nUsage: glassbox"), "{words:?}");
        for line in text.lines() {
            assert!(line.chars().count() <= 100, "{words:?}: {line}");
        }
    }
}

#[test]
fn every_verb_has_an_example_in_its_help() {
    for words in commands().into_iter().filter(|words| words.len() == 1) {
        let text = help(&words).stdout;
        let example =
            text.lines().skip_while(|line| !line.starts_with("Example")).find(|line| line.contains("glassbox"));
        assert!(example.is_some(), "{words:?} has no example:\n{text}");
    }
}

#[test]
fn hidden_programs_are_not_in_the_list() {
    assert!(!help(&[]).stdout.contains("applet"));
}

#[test]
fn without_a_command_the_help_is_shown_as_an_error() {
    let output = glassbox(Vec::<String>::new()).output();
    assert_eq!((output.status, output.stdout.as_str()), (2, ""));
    assert!(output.stderr.contains("Usage: glassbox [OPTIONS] <COMMAND>"), "{}", output.stderr);
}

#[test]
fn an_unknown_command_is_told_with_the_nearest() {
    assert_snapshot!(glassbox(["doktor"]).snapshot(), @r"
    status 2
    stderr:
    error: unrecognized subcommand 'doktor'

      tip: a similar subcommand exists: 'doctor'

    Usage: glassbox [OPTIONS] <COMMAND>

    For more information, try '--help'.
    ");
}

#[test]
fn an_unknown_flag_is_told_with_the_nearest() {
    assert_snapshot!(glassbox(["doctor", "--formt", "json"]).snapshot(), @r"
    status 2
    stderr:
    error: unexpected argument '--formt' found

      tip: a similar argument exists: '--format'

    Usage: glassbox doctor --format <FORMAT>

    For more information, try '--help'.
    ");
}

#[test]
fn a_value_that_is_none_of_a_flag_s_is_told_with_all_of_them() {
    assert_snapshot!(glassbox(["doctor", "--format", "yaml"]).snapshot(), @r"
    status 2
    stderr:
    error: invalid value 'yaml' for '--format <FORMAT>'
      [possible values: text, json]

    For more information, try '--help'.
    ");
}

#[test]
fn an_argument_too_many_is_told() {
    assert_snapshot!(glassbox(["doctor", "now"]).snapshot(), @r"
    status 2
    stderr:
    error: unexpected argument 'now' found

    Usage: glassbox doctor [OPTIONS]

    For more information, try '--help'.
    ");
}

#[test]
fn a_missing_argument_is_told() {
    assert_snapshot!(glassbox(["state"]).snapshot(), @r"
    status 2
    stderr:
    error: the following required arguments were not provided:
      <ID>

    Usage: glassbox state <ID>

    For more information, try '--help'.
    ");
}

#[test]
fn every_verb_refuses_an_unknown_flag_with_2() {
    for words in commands() {
        let output = glassbox(words.iter().cloned().chain(["--no-such-flag".to_string()])).output();
        assert_eq!((output.status, output.stdout.as_str()), (2, ""), "{words:?}");
        assert!(output.stderr.starts_with("error: "), "{words:?}: {}", output.stderr);
    }
}

/// Runs with this as stdout, and gives status and stderr.
fn with_stdout(args: &[&str], stdout: impl Into<Stdio>) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_glassbox"));
    let child = command.args(args).stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped()).spawn();
    let output = child.and_then(|child| child.wait_with_output()).expect("the binary was built with the tests");
    (output.status.code().expect("it was not killed"), String::from_utf8(output.stderr).expect("it prints UTF-8"))
}

const PRINTING: [&[&str]; 6] = [
    &["doctor"],
    &["doctor", "--format", "json"],
    &["completions", "bash"],
    &["man"],
    &["--root", "/nonexistent-glassbox", "list"],
    &["lab", "list"],
];

#[test]
fn a_reader_that_has_gone_ends_a_command_without_a_word() {
    for args in PRINTING {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let (status, stderr) = with_stdout(args, writer);
        assert_eq!((status, stderr.as_str()), (141, ""), "{args:?}");
    }
}

#[test]
fn a_reader_that_goes_midway_ends_it_too() {
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    rustix::pipe::fcntl_setpipe_size(&writer, 4096).expect("a pipe may be as small as a page");
    let mut command = Command::new(env!("CARGO_BIN_EXE_glassbox"));
    let mut child =
        command.args(["completions", "zsh"]).stdout(writer).stderr(Stdio::piped()).spawn().expect("it starts");
    drop(command);
    let mut begin = [0; 16];
    reader.read_exact(&mut begin).expect("it prints more than that");
    drop(reader);
    let mut stderr = String::new();
    child.stderr.take().expect("it is piped").read_to_string(&mut stderr).expect("it prints UTF-8");
    let status = child.wait().expect("a child can be waited for").code();
    assert_eq!((begin.as_slice(), status, stderr.as_str()), (b"#compdef glassbo".as_slice(), Some(141), ""));
}

#[test]
fn a_full_disk_is_told() {
    for args in PRINTING {
        let full = File::options().write(true).open("/dev/full").expect("Linux has /dev/full");
        let (status, stderr) = with_stdout(args, full);
        assert_eq!(status, 1, "{args:?}");
        assert_eq!(
            stderr, "error: cannot write to standard output: No space left on device (os error 28)\n",
            "{args:?}"
        );
    }
}

#[test]
fn nothing_is_coloured_where_stdout_is_no_terminal() {
    for args in PRINTING {
        for force in ["TERM", "CLICOLOR", "COLORTERM"] {
            let output = glassbox(args.iter().copied()).env(force, "xterm-256color").output();
            assert!(!output.stdout.contains("\x1b[") && !output.stderr.contains("\x1b["), "{args:?}");
        }
    }
}

/// What a command writes to a terminal (script(1) gives it one).
fn on_a_terminal(args: &str, environment: &str) -> String {
    let line = format!("env {environment} {} {args}", env!("CARGO_BIN_EXE_glassbox"));
    let output = Command::new("script").args(["-qec", &line, "/dev/null"]).stdin(Stdio::null()).output();
    String::from_utf8(output.expect("script of util-linux runs").stdout).expect("it prints UTF-8")
}

#[test]
fn a_terminal_gets_colour_unless_it_is_refused() {
    assert!(on_a_terminal("doctor", "-u NO_COLOR TERM=xterm").contains("\x1b[32mok"));
    for environment in ["NO_COLOR=1 TERM=xterm", "-u NO_COLOR TERM=dumb"] {
        let seen = on_a_terminal("doctor", environment);
        assert!(seen.contains("CGROUPS") && !seen.contains('\x1b'), "{environment}");
    }
    let wrong = on_a_terminal("doktor", "NO_COLOR=1 TERM=xterm");
    assert!(wrong.contains("unrecognized subcommand") && !wrong.contains('\x1b'), "{wrong:?}");
}

#[test]
fn completions_are_made_for_each_shell_and_know_every_verb_but_the_hidden() {
    let verbs: Vec<_> = commands().into_iter().filter(|words| words.len() == 1).map(|words| words.concat()).collect();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = glassbox(["completions", shell]).output();
        assert_eq!((output.status, output.stderr.as_str()), (0, ""), "{shell}");
        assert!(verbs.iter().all(|verb| output.stdout.contains(verb)), "{shell}");
        assert!(!output.stdout.contains("applet") && !output.stdout.contains("--attempt"), "{shell}");
    }
    assert_eq!(glassbox(["completions", "tcsh"]).output().status, 2);
}

#[test]
fn bash_completes_verbs_and_values() {
    let script = glassbox(["completions", "bash"]).output().stdout
        + "COMP_WORDS=(glassbox doc); COMP_CWORD=1; _glassbox glassbox doc glassbox; echo ${COMPREPLY[@]}
           COMP_WORDS=(glassbox doctor --format ''); COMP_CWORD=3; _glassbox glassbox '' --format; echo ${COMPREPLY[@]}";
    let output = Command::new("bash").args(["--norc", "-c", &script]).output().expect("bash runs");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "doctor\ntext json\n");
}

#[test]
fn a_manual_page_is_written_for_every_command() {
    let directory = tempfile::tempdir().expect("/tmp is writable");
    let path = directory.path().to_str().expect("the path is UTF-8");
    assert_eq!(glassbox(["man", path]).snapshot(), "status 0\n");
    let mut wanted: Vec<_> = commands()
        .iter()
        .map(|words| [&["glassbox".to_string()], words.as_slice()].concat().join("-") + ".1")
        .collect();
    let mut written: Vec<_> = fs::read_dir(path)
        .expect("it is there")
        .map(|entry| entry.expect("readable").file_name().into_string().expect("UTF-8"))
        .collect();
    wanted.sort();
    written.sort();
    assert_eq!(written, wanted);
    let one = fs::read_to_string(directory.path().join("glassbox.1")).expect("it is there");
    assert_eq!(one, glassbox(["man"]).output().stdout);
    assert!(one.contains(".TH glassbox 1"), "{one}");
}

#[test]
fn a_directory_that_cannot_be_written_is_told() {
    assert_snapshot!(glassbox(["man", "/proc/nowhere"]).snapshot(), @r"
    status 1
    stderr:
    error: cannot write /proc/nowhere/glassbox.1: No such file or directory (os error 2)
      hint: The directory must be there already, and be yours to write.
    ");
}
