//! Terminal sessions in a Markdown text: what was typed, and what is said to come of it.
//!
//! A session is a code block marked `console`. A line that begins with `$ ` is typed to a shell, one with `/ # ` to the
//! shell inside a container; the rest is output. `…` stands for anything, alone on a line for any number of lines.

use regex_lite::Regex;

/// One command of a session.
#[derive(Debug, PartialEq, Eq)]
pub struct Step {
    /// What is typed, without the prompt.
    pub command: String,
    /// What is typed to the container's shell after that.
    pub inside: Vec<String>,
    /// All that is seen from the command to the next, the container's prompts included.
    pub output: String,
}

/// The code blocks of `text` with this mark, without their fences.
pub fn blocks<'a>(text: &'a str, mark: &str) -> Vec<&'a str> {
    let open = format!("\n```{mark}\n");
    text.split(open.as_str()).skip(1).map(|rest| rest.split("```").next().unwrap_or_default()).collect()
}

/// The part of `text` below the heading `## HEADING`, up to the next of its rank.
pub fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let (_, rest) = text.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no section {heading}"));
    rest.split("\n## ").next().unwrap_or_default()
}

/// The steps of all sessions in `text`.
pub fn steps(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in blocks(text, "console").into_iter().flat_map(str::lines) {
        if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step { command: command.to_string(), inside: Vec::new(), output: String::new() });
            continue;
        }
        let step = steps.last_mut().expect("a session begins with a command");
        step.inside.extend(line.strip_prefix("/ # ").map(str::to_string));
        step.output.push_str(line);
        step.output.push('\n');
    }
    steps
}

/// Whether `seen` is what `told` says.
pub fn fits(told: &str, seen: &str) -> bool {
    let pattern: String = told.lines().map(line_pattern).collect();
    Regex::new(&format!("^{pattern}$")).expect("an escaped text is a pattern").is_match(seen)
}

fn line_pattern(line: &str) -> String {
    if line == "…" {
        return "(?:[^\n]*\n)*?".to_string();
    }
    line.split('…').map(regex_lite::escape).collect::<Vec<_>>().join("[^\n]*") + "\n"
}
