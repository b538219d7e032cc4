//! A step as lines for a reader, at most 80 columns where words allow it.

use std::time::Duration;

use super::own;
use crate::plan::{Alone, Language, printable, wrapped};
use crate::runtime::narrate::{End, Made, Subject, Told, Who};
use crate::view::call;

/// Columns.
const WIDTH: usize = 80;

/// The sentence, then why, the calls, and the shell command.
pub(super) fn of(told: &Told<'_>, language: Language) -> String {
    let chinese = language == Language::Chinese;
    let (number, sentence, because) = match &told.subject {
        Subject::Step(placed, ..) => {
            (placed.number.to_string(), placed.step.describe(language), printable(placed.because))
        }
        Subject::Own(own) => {
            ("-".to_string(), own::sentence(*own, language).to_string(), own::because(*own, language).to_string())
        }
    };
    let mut letters = sentence.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    let stop = if chinese { "。" } else { "." };
    let head = format!("{first}{}{stop} [{}]", letters.as_str(), ending(told, chinese).replace(' ', "\u{a0}"));
    let mut lines = hung(&format!("{number:>3}  "), &printable(&head));
    lines.push_str(&hung(if chinese { "     原因：" } else { "     because " }, &because));
    let mut who = None;
    for made in told.calls {
        if who.is_some_and(|who| who != made.who) {
            lines.push_str(&format!("     {}\n", by(made.who, chinese)));
        }
        who = Some(made.who);
        lines.push_str(&call(made));
    }
    lines.push_str(&shell(&told.subject, language));
    lines
}

fn by(who: Who, chinese: bool) -> &'static str {
    match (who, chinese) {
        (Who::Runtime, false) => "by glassbox:",
        (Who::Runtime, true) => "由 glassbox：",
        (Who::Between, false) => "by the process in between:",
        (Who::Between, true) => "由中间进程：",
        (Who::Process, false) => "by the container's process:",
        (Who::Process, true) => "由容器的进程：",
        (Who::Hook, false) => "by the hook's process:",
        (Who::Hook, true) => "由钩子的进程：",
        (Who::Helper, false) => "by a helper's process:",
        (Who::Helper, true) => "由辅助进程：",
    }
}

/// Arguments are kept whole, and the result stays with the last of them.
fn call(made: &Made) -> String {
    let glued = |text: String| text.replace(' ', "\u{a0}");
    let arguments: Vec<_> = made.arguments.iter().map(|one| glued(call::short(one))).collect();
    let result = format!("\u{a0}=\u{a0}{}", glued(call::result(made.outcome)));
    let whole = format!("{}({}){result}", made.call.name(), arguments.join(", "));
    let lines = wrapped(&whole, WIDTH - 9).into_iter().enumerate();
    let line = |(index, line)| format!("{}{line}\n", if index == 0 { "       " } else { "         " });
    lines.map(line).collect::<String>().replace('\u{a0}', " ")
}

/// What is said of calls for which there was no room.
pub(super) fn lost(calls: u64, language: Language) -> String {
    match language {
        Language::English => format!("  !  {calls} calls more were made, for which there was no room.\n"),
        Language::Chinese => format!("  !  另有 {calls} 个系统调用没有位置记录。\n"),
    }
}

fn ending(told: &Told<'_>, chinese: bool) -> String {
    let took = told.took.map(time);
    match (told.end, took, chinese) {
        (End::Done, Some(took), _) => took,
        (End::Done, None, false) => "not timed".to_string(),
        (End::Done, None, true) => "未计时".to_string(),
        (End::Failed, took, false) => format!("FAILED after {}", took.unwrap_or_else(|| "a time unknown".to_string())),
        (End::Failed, took, true) => format!("失败，用时 {}", took.unwrap_or_else(|| "未知".to_string())),
        (End::Waits, _, false) => "begun: it goes on when we are gone".to_string(),
        (End::Waits, _, true) => "已开始，在我们退出后继续".to_string(),
    }
}

/// Three digits are enough to compare.
fn time(took: Duration) -> String {
    match took.as_nanos() {
        nanos @ 0..1_000_000 => format!("{:.1} us", nanos as f64 / 1e3),
        nanos @ 1_000_000..1_000_000_000 => format!("{:.2} ms", nanos as f64 / 1e6),
        nanos => format!("{:.2} s", nanos as f64 / 1e9),
    }
}

fn shell(subject: &Subject<'_>, language: Language) -> String {
    let none = match language {
        Language::English => "     no shell equivalent: ",
        Language::Chinese => "     没有对应的 shell 命令：",
    };
    match subject {
        Subject::Own(own) => hung(none, own::no_shell(*own, language)),
        Subject::Step(_, Alone::Nothing(reason), _) => hung(none, reason),
        Subject::Step(_, Alone::Commands(commands), _) => {
            commands.iter().map(|command| format!("     $ {}\n", printable(command))).collect()
        }
    }
}

/// `text` behind `head`, broken at spaces; further lines stand below its beginning.
fn hung(head: &str, text: &str) -> String {
    let column = unicode_width::UnicodeWidthStr::width(head);
    let mut lines = wrapped(text, WIDTH - column).into_iter();
    let first = format!("{head}{}\n", lines.next().unwrap_or_default());
    lines.fold(first, |all, line| format!("{all}{}{line}\n", " ".repeat(column))).replace('\u{a0}', " ")
}

/// Who a process is, in a word.
pub(super) fn who(who: Who) -> &'static str {
    match who {
        Who::Runtime => "glassbox",
        Who::Between => "between",
        Who::Process => "process",
        Who::Hook => "hook",
        Who::Helper => "helper",
    }
}
