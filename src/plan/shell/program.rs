//! The last shell before the program: its power is given away already, and its root is swapped while it waits.

use std::ffi::CString;

use super::super::text::text;
use super::Shell;
use super::quote::{comment, word};

/// Variables that a shell sets or changes by itself. (bash puts SHLVL back, as 0, when it becomes the program.)
const SHELL_VARIABLES: [&str; 4] = ["PWD", "OLDPWD", "SHLVL", "_"];

/// The check that the program is there.
pub(super) fn find(candidates: &[CString]) -> Shell {
    let list: String = candidates.iter().map(|candidate| format!(" {}", word(&text(candidate)))).collect();
    Shell::Last(vec![
        format!(
            "found=\nfor file in{list}; do\n  if [ -f \"$file\" ] && [ -x \"$file\" ]; then found=$file && break; fi\ndone"
        ),
        "if [ -z \"$found\" ]; then echo \"$1: no such program\" >&2 && exit 127; fi".to_string(),
    ])
}

/// A shell can name the descriptors 0 to 9 alone, and this script needs some of them to the end.
pub(super) fn close(from: u32) -> Shell {
    let closed: Vec<_> = (from..=9).filter(|fd| !OWN.contains(fd)).map(|fd| format!("{fd}<&-")).collect();
    match closed.is_empty() {
        true => Shell::Nothing("a shell can name no descriptor above 9"),
        false => Shell::Commands(vec![format!("exec {}", closed.join(" "))]),
    }
}

/// The script's own descriptors inside: two to wait with (`outside.rs`), one with its stdin.
const OWN: [u32; 3] = [5, 6, 7];

/// The end: what the shell has added to the environment goes, then it becomes the program.
pub(super) fn execute(candidates: &[CString], args: &[CString], env: &[CString]) -> Shell {
    let variables: Vec<_> = env.iter().map(|variable| text(variable)).collect();
    let split = || variables.iter().filter_map(|variable| variable.split_once('='));
    let value = |name: &str| split().find(|(known, _)| *known == name).map(|(_, value)| value);
    let mut lines = Vec::new();
    for (name, _) in split().filter(|(name, _)| !is_identifier(name)) {
        lines.push(comment(&format!("No shell can pass the variable {name:?} on.")));
    }
    let own: Vec<_> = SHELL_VARIABLES.iter().filter(|name| value(name).is_none()).copied().collect();
    if !own.is_empty() {
        lines.push(format!("unset {}", own.join(" ")));
    }
    for name in SHELL_VARIABLES {
        lines.extend(value(name).map(|value| format!("{name}={}", word(value))));
    }
    // Not exported: it says where this shell looks, and the program does not see it.
    if value("PATH").is_none() && args.first().is_some_and(|program| !text(program).contains('/')) {
        lines.push(format!("PATH={}", word(&directories(candidates))));
    }
    lines.push(r#"exec "$@""#.to_string());
    Shell::Last(lines)
}

fn is_identifier(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.starts_with(letter) && name.chars().all(|c| letter(c) || c.is_ascii_digit())
}

fn directories(candidates: &[CString]) -> String {
    let directory = |path: &CString| text(path).rsplit_once('/').map_or(String::new(), |(dir, _)| dir.to_string());
    candidates.iter().map(directory).collect::<Vec<_>>().join(":")
}
