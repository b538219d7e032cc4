//! The middle part of the script: what the process itself does in its namespaces, up to becoming the program.

use super::super::step::InitStep;
use super::super::text::text;
use super::prepare::{Prepared, functions};
use super::quote::word;
use super::{Shell, Told, WIDTH, not_done};

pub(super) fn script(init: &[Told<'_, InitStep>]) -> String {
    let mut prepared = Prepared::default();
    let mut steps = Vec::new();
    for told in init.iter().take_while(|told| !matches!(told.shell, Shell::Last(_))) {
        let mut lines = told.heading.clone();
        match &told.shell {
            // Done on the way to here.
            Shell::Becomes(_) => continue,
            Shell::Commands(commands) => {
                lines.extend(prepared.lines(told.step));
                lines.extend(commands.iter().cloned());
            }
            Shell::Capsh(arguments) => lines.push(arguments_line(arguments)),
            Shell::Outside(_) => lines.push("# Done from outside, in beside() above.".to_string()),
            Shell::Nothing(reason) => lines.extend(not_done(reason)),
            Shell::Last(_) => unreachable!("the steps up to the last shell are taken"),
        }
        steps.push(lines.join("\n") + "\n");
    }
    let mut script = vec![START.to_string()];
    script.extend(functions(&steps));
    script.extend(steps);
    script.push(become_program(init));
    script.join("\n")
}

const START: &str = "# ---- Inside, by the process itself ----

# capsh gives power away at the end; its arguments are gathered on the way.
capsh=$(command -v capsh)
set --
";

/// Adds to the arguments; a line that gets too long goes on in the next.
fn arguments_line(arguments: &[String]) -> String {
    let mut lines = vec!["set -- \"$@\"".to_string()];
    for argument in arguments {
        let line = lines.last_mut().expect("it starts with one");
        if line.len() + 1 + argument.len() <= WIDTH {
            line.push_str(&format!(" {argument}"));
        } else {
            lines.push(format!("  {argument}"));
        }
    }
    lines.join(" \\\n")
}

/// The last command of the process: the environment, then capsh, then the last shell, then the program.
fn become_program(init: &[Told<'_, InitStep>]) -> String {
    let Some(InitStep::Execute { args, env, .. }) = init.last().map(|told| told.step) else {
        unreachable!("a plan ends with Execute")
    };
    let environment: String = env.iter().map(|variable| format!("  {} \\\n", word(&text(variable)))).collect();
    let arguments: String = args.iter().map(|argument| format!(" {}", word(&text(argument)))).collect();
    let code = word(&last_shell(init));
    format!("exec env -i \\\n{environment}  \"$capsh\" \"$@\" --shell=/bin/sh -- -euc {code} sh{arguments}")
}

/// The working directory once more, where capsh has changed the root: chroot(2) by way of it goes to the new one.
fn directory(init: &[Told<'_, InitStep>]) -> Option<String> {
    let rooted = init.iter().any(|told| matches!(told.step, InitStep::ChangeRoot { .. }));
    let directory = init.iter().find_map(|told| match told.step {
        InitStep::ChangeDirectory { target } => Some(target.in_container()),
        _ => None,
    });
    directory.filter(|_| rooted).map(|path| format!("cd {} # capsh --chroot has gone to /\n", word(&path)))
}

/// What the last shell does: it gets stdin back, waits for its new root, and becomes the program.
pub(super) fn last_shell(init: &[Told<'_, InitStep>]) -> String {
    let mut code =
        "\nexec <&7\necho ready >&5\nread -r _ <&6 # until the root is swapped\nexec 5>&- 6<&- 7<&-\n".to_string();
    code.extend(directory(init));
    for told in init.iter().skip_while(|told| !matches!(told.shell, Shell::Last(_))) {
        let commands = match &told.shell {
            Shell::Last(commands) | Shell::Commands(commands) | Shell::Outside(commands) => commands.clone(),
            Shell::Becomes(command) => vec![format!("exec {command}")],
            Shell::Capsh(arguments) => vec![format!("exec capsh {}", arguments.join(" "))],
            Shell::Nothing(reason) => not_done(reason),
        };
        code.push_str(&format!("\n{}\n{}\n", told.heading.join("\n"), commands.join("\n")));
    }
    code
}
