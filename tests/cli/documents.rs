//! README.md and CONTRIBUTING.md tell the truth: commands parse, files exist, targets are there, output is what comes.
//! The sessions that need root run in `tests/vm/readme.rs`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use glassbox::cli::Cli;
use serde_json::{Value, json};

use super::console::{Step, blocks, fits, section, steps};
use super::support::glassbox;

const README: &str = include_str!("../../README.md");
const CONTRIBUTING: &str = include_str!("../../CONTRIBUTING.md");

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The `code spans` of a text, outside of its code blocks.
fn spans(text: &str) -> Vec<&str> {
    let outside: Vec<_> = text.split("\n```").step_by(2).collect();
    outside.into_iter().flat_map(|part| part.split('`').skip(1).step_by(2)).collect()
}

/// The lines that are typed to a shell.
fn typed(text: &str) -> Vec<String> {
    let plain = blocks(text, "sh").into_iter().flat_map(str::lines);
    let plain = plain.map(|line| line.split(" #").next().unwrap_or_default().to_string());
    plain.chain(steps(text).into_iter().map(|step| step.command)).collect()
}

/// The words of each call of glassbox in a line of shell.
fn calls(line: &str) -> Vec<Vec<&str>> {
    let words: Vec<_> = line.split_whitespace().collect();
    let parts = words.split(|word| ["|", "&&", ";", ">"].contains(word));
    let ours = |part: &[&'_ str]| part.iter().position(|word| *word == "glassbox").filter(|at| *at <= 1);
    parts.filter_map(|part| Some(part[ours(part)?..].to_vec())).collect()
}

#[test]
fn every_command_that_is_typed_parses() {
    let mut count = 0;
    for line in [README, CONTRIBUTING].into_iter().flat_map(typed) {
        for words in calls(&line) {
            count += 1;
            let parsed = Cli::try_parse_from(&words);
            assert!(parsed.is_ok(), "{line}\n{}", parsed.unwrap_err());
        }
    }
    assert!(count > 10, "only {count} commands were found");
}

#[test]
fn every_command_that_is_named_exists() {
    for span in [README, CONTRIBUTING].into_iter().flat_map(spans) {
        for words in calls(span) {
            // A verb is named without what it must be given.
            if let Err(error) = Cli::try_parse_from(&words) {
                let kind = error.kind();
                let named = [ErrorKind::MissingRequiredArgument, ErrorKind::MissingSubcommand];
                let listed = kind == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
                assert!(named.contains(&kind) || listed, "{span}\n{error}");
            }
        }
    }
}

#[test]
fn every_flag_that_is_named_exists() {
    let mut command = Cli::command();
    command.build();
    let mut flags = BTreeSet::from(["--help".to_string()]);
    collect_flags(&command, &mut flags);
    for span in spans(README).into_iter().filter(|span| span.starts_with("--")) {
        let flag = span.split(' ').next().unwrap_or_default();
        assert!(flags.contains(flag), "README.md names {span}");
    }
}

fn collect_flags(command: &clap::Command, flags: &mut BTreeSet<String>) {
    flags.extend(command.get_arguments().filter_map(|argument| Some(format!("--{}", argument.get_long()?))));
    for below in command.get_subcommands() {
        collect_flags(below, flags);
    }
}

#[test]
fn the_table_of_commands_is_the_help_s() {
    let table = section(README, "Commands");
    let told: BTreeSet<_> = spans(table).into_iter().filter_map(|span| span.strip_prefix("glassbox ")).collect();
    let command = Cli::command();
    let real = command.get_subcommands().filter(|verb| !verb.is_hide_set()).map(clap::Command::get_name);
    assert_eq!(told, real.collect(), "README.md, section Commands");
}

#[test]
fn every_file_that_is_named_exists() {
    for (document, text) in [("README.md", README), ("CONTRIBUTING.md", CONTRIBUTING)] {
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let links = links.filter(|link| !link.contains("://"));
        let tops = ["src/", "labs/", "tests/", "rootfs-scripts/", ".ci/"];
        let is_path = |span: &&str| {
            let plain = span.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
            plain && (tops.iter().any(|top| span.starts_with(top)) || span.ends_with(".md") || *span == "LICENSE")
        };
        let lines = typed(text);
        let words = lines
            .iter()
            .flat_map(|line| line.split_whitespace())
            .filter(|word| tops.iter().any(|top| word.starts_with(top)));
        for path in links.chain(spans(text).into_iter().filter(is_path)).chain(words) {
            let lab_s_own = ["lab.md", "lab.zh.md"].contains(&path);
            assert!(lab_s_own || root().join(path).exists(), "{document} names {path}");
        }
    }
}

#[test]
fn every_make_target_that_is_named_exists() {
    let makefile = fs::read_to_string(root().join("Makefile")).expect("there is a Makefile");
    let targets: BTreeSet<_> = makefile.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name).collect();
    for (document, text) in [("README.md", README), ("CONTRIBUTING.md", CONTRIBUTING)] {
        let lines = typed(text);
        let typed = lines.iter().map(String::as_str);
        for target in typed.chain(spans(text)).filter_map(|line| line.trim().strip_prefix("make ")) {
            let target = target.split(' ').next().unwrap_or_default();
            assert!(targets.contains(target), "{document} names make {target}");
        }
    }
}

#[test]
fn the_map_of_the_house_is_whole() {
    let map = blocks(section(README, "How it is built"), "text").concat();
    // A line begins with its paths: `src/main.rs, lib.rs   what they are for`.
    let named = map.lines().flat_map(|line| line.split("  ").next().unwrap_or_default().split(", "));
    let named: Vec<_> = named.map(|path| path.trim_start_matches("src/").trim_end_matches('/')).collect();
    for entry in fs::read_dir(root().join("src")).expect("there are sources") {
        let name = entry.expect("readable").file_name().into_string().expect("UTF-8");
        assert!(named.contains(&name.as_str()), "src/{name} is not in the map of README.md");
    }
    for name in named {
        let there = root().join(name).exists() || root().join("src").join(name).exists();
        assert!(there, "the map of README.md has {name}");
    }
}

/// Runs a line of shell at the top of the project, with glassbox on the PATH.
fn shell(line: &str) -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_glassbox"));
    let path = format!(
        "{}:{}",
        program.parent().expect("it is in a directory").display(),
        std::env::var("PATH").expect("there is a PATH")
    );
    let mut command = Command::new("sh");
    command.args(["-c", line]).current_dir(root()).env("PATH", path).env("COLUMNS", "80").env_remove("NO_COLOR");
    let output = command.output().expect("there is a shell");
    String::from_utf8(output.stdout).expect("UTF-8") + &String::from_utf8(output.stderr).expect("UTF-8")
}

#[test]
fn what_qos_is_said_to_print_it_prints() {
    let steps = steps(section(README, "A pod as cgroup files"));
    assert!(!steps.is_empty());
    for Step { command, output, .. } in steps {
        let seen = shell(&command);
        assert!(fits(&output, &seen), "README.md says of {command}\n{output}\nbut this is seen\n{seen}");
    }
}

#[test]
fn what_doctor_is_said_to_print_it_prints_on_that_machine() {
    let told = blocks(section(README, "What does this machine offer?"), "text").concat();
    // The same sample machine, in the test that compares the whole report.
    let source = fs::read_to_string(root().join("src/commands/doctor/text.rs")).expect("it is there");
    let (_, hybrid) = source.split_once("fn a_hybrid_machine()").expect("the test is there");
    let report: String =
        hybrid.lines().take(60).map(|line| format!("{}\n", line.strip_prefix("        ").unwrap_or(""))).collect();
    assert!(report.contains(&told), "README.md says\n{told}\nbut the report is\n{report}");
}

#[test]
fn what_is_said_to_be_refused_by_name_is() {
    let listed = section(README, "What it needs, and what it does not do yet");
    let told: Vec<_> = spans(listed).into_iter().filter(|span| span.contains('.')).collect();
    let values = [
        ("linux.intelRdt", json!({"closID": "web"})),
        ("linux.memoryPolicy", json!({"mode": "MPOL_BIND", "nodes": "0"})),
    ];
    for field in &told {
        assert!(*field == "linux.resources" || values.iter().any(|(name, _)| name == field), "no value to try {field}");
    }
    for (field, value) in values {
        assert!(told.contains(&field), "{field} is not in README.md");
        refuses(field, |config| {
            let pointer = field.rsplit_once('.').map_or(String::new(), |(above, _)| format!("/{above}"));
            let name = field.rsplit('.').next().unwrap_or(field);
            config.pointer_mut(&pointer).expect("the template has it")[name] = value;
        });
    }
    let ids = json!([{"containerID": 0, "hostID": 1000, "size": 1}]);
    refuses("uidMappings", |config| config["mounts"][0]["uidMappings"] = ids);
}

/// Asserts that a config so changed is refused, and that the refusal names the field.
fn refuses(field: &str, change: impl FnOnce(&mut Value)) {
    let bundle = tempfile::tempdir().expect("/tmp is writable");
    fs::create_dir(bundle.path().join("rootfs")).expect("it is new");
    let path = bundle.path().to_str().expect("UTF-8");
    assert_eq!(glassbox(["spec", "--bundle", path]).output().status, 0);
    let file = bundle.path().join("config.json");
    let mut config = serde_json::from_slice(&fs::read(&file).expect("spec wrote it")).expect("it is JSON");
    change(&mut config);
    fs::write(&file, config.to_string()).expect("it is ours");
    let output = glassbox(["explain", path]).output();
    assert_eq!(output.status, 1, "{field}: {output:?}");
    assert!(output.stderr.contains(field), "{field}: {}", output.stderr);
}
