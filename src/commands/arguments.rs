//! The arguments of this process, spelt as clap reads them.
//!
//! Engines call runtimes as Go's flag package takes it: `-no-subreaper` is `--no-subreaper`, and a flag may be told its
//! value, as in `--rootless=true` or `--no-pivot=false`. What belongs to a container's program is left as it is.

use std::ffi::OsString;

use clap::{Arg, ArgAction, Command};

/// The arguments with every long option of `command` and of its verb behind two dashes, and on-off flags without a value.
///
/// Of verbs, only those that are named are described: `command` may leave the others for later ([`Command::defer`]). Nothing is
/// described where no word could be spelt otherwise.
pub fn normalised(given: impl IntoIterator<Item = OsString>, command: impl FnOnce() -> Command) -> Vec<OsString> {
    let given: Vec<OsString> = given.into_iter().collect();
    if given.iter().all(is_plain) {
        return given;
    }
    let mut root = command();
    let mut command = &mut root;
    let mut given = given.into_iter();
    let mut words: Vec<OsString> = given.next().into_iter().collect();
    while let Some(word) = given.next() {
        let Some(text) = word.to_str().map(str::to_string) else {
            words.push(word);
            continue;
        };
        if text == "--" || (!text.starts_with('-') && takes_the_rest(command)) {
            words.push(word);
            words.extend(given);
            return words;
        }
        if !text.starts_with('-') || text == "-" {
            if command.find_subcommand(&text).is_some() {
                command = command.find_subcommand_mut(&text).expect("it was just found");
                command.build();
            }
            words.push(word);
            continue;
        }
        let (option, spelt) = match long_option(command, &text) {
            Some((option, value)) => (Some(option), respelt(option, value)),
            None => (short_option(command, &text), Some(text.clone())),
        };
        words.extend(spelt.map(OsString::from));
        // A value that stands by itself may begin with a dash as well.
        if option.is_some_and(takes_value) && !text.contains('=') {
            words.extend(given.next());
        }
    }
    words
}

/// Whether a word is no long option, or one as clap spells it that is told no value.
fn is_plain(word: &OsString) -> bool {
    match word.as_encoded_bytes() {
        [b'-', b'-', name @ ..] => !name.contains(&b'='),
        [b'-', _, _, ..] => false,
        _ => true,
    }
}

/// Whether all that follows a verb's first word is somebody else's: the program of `exec`, the options of `ps`.
fn takes_the_rest(command: &Command) -> bool {
    command.get_positionals().any(Arg::is_trailing_var_arg_set)
}

/// The option that `-name`, `--name` or either with `=value` means, and the value.
fn long_option<'a, 't>(command: &'a Command, text: &'t str) -> Option<(&'a Arg, Option<&'t str>)> {
    let name = text.strip_prefix("--").or_else(|| text.strip_prefix('-'))?;
    let (name, value) = name.split_once('=').map_or((name, None), |(name, value)| (name, Some(value)));
    let option = command.get_arguments().find(|argument| argument.get_long() == Some(name))?;
    Some((option, value))
}

fn short_option<'a>(command: &'a Command, text: &str) -> Option<&'a Arg> {
    let letter = text.strip_prefix('-')?.chars().next().filter(|_| text.chars().count() == 2)?;
    command.get_arguments().find(|argument| argument.get_short() == Some(letter))
}

/// How clap wants it; nothing for a flag that is told to be off. What is no truth value stays, for clap to refuse.
fn respelt(option: &Arg, value: Option<&str>) -> Option<String> {
    let name = option.get_long().unwrap_or_default();
    match value {
        None => Some(format!("--{name}")),
        Some("1" | "t" | "T" | "true" | "TRUE" | "True") if !takes_value(option) => Some(format!("--{name}")),
        Some("0" | "f" | "F" | "false" | "FALSE" | "False") if !takes_value(option) => None,
        Some(value) => Some(format!("--{name}={value}")),
    }
}

fn takes_value(option: &Arg) -> bool {
    matches!(option.get_action(), ArgAction::Set | ArgAction::Append)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use clap::CommandFactory;

    use super::normalised;
    use crate::cli::Cli;

    fn of(line: &str) -> String {
        let words = normalised(line.split(' ').map(OsString::from), Cli::command);
        words.iter().map(|word| word.to_str().expect("UTF-8")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn one_dash_before_a_long_option_is_as_good_as_two() {
        for (given, expected) in [
            ("glassbox -root /r run -no-subreaper -bundle b x", "glassbox --root /r run --no-subreaper --bundle b x"),
            ("glassbox -log=-x state x", "glassbox --log=-x state x"),
            ("glassbox --root -debug list -q", "glassbox --root -debug list -q"),
            ("glassbox run -b -keep x", "glassbox run -b -keep x"),
            ("glassbox kill -all x 9", "glassbox kill --all x 9"),
            ("glassbox -v", "glassbox -v"),
            ("glassbox update --resources - x", "glassbox update --resources - x"),
            ("glassbox -nosuch run -x y", "glassbox -nosuch run -x y"),
        ] {
            assert_eq!(of(given), expected, "{given}");
        }
    }

    #[test]
    fn a_flag_may_be_told_its_value() {
        assert_eq!(of("glassbox --debug=true run --no-pivot=false -keep=1 x"), "glassbox --debug run --keep x");
        assert_eq!(of("glassbox --rootless=true --debug=maybe list"), "glassbox --rootless=true --debug=maybe list");
    }

    #[test]
    fn what_is_not_ours_stays_as_it_is() {
        assert_eq!(of("glassbox ps -format json x -format -all"), "glassbox ps --format json x -format -all");
        assert_eq!(of("glassbox kill x -- -all"), "glassbox kill x -- -all");
    }
}
