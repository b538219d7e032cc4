//! The one renderer of verdicts, in both languages: what was expected, what was found, and in which file. Never "wrong".

use super::check::Expect;
use super::judge::{Shown, Verdict};
use super::lang::Lang;
use super::quantity::number;
use super::read::Missing;

/// `expected 64M, found max, in $CG/memory.max`
pub fn sentence(verdict: &Verdict, lang: Lang) -> String {
    let (expected, found, place) = (expected(verdict, lang), found(verdict, lang), &verdict.place);
    match (lang, verdict.script) {
        (Lang::En, false) => format!("expected {expected}, found {found}, in {place}"),
        (Lang::Zh, false) => format!("期望 {expected}，实际 {found}，见 {place}"),
        (Lang::En, true) => format!("expected {expected}, found {found}, from: {place}"),
        (Lang::Zh, true) => format!("期望 {expected}，实际 {found}，命令：{place}"),
    }
}

/// What was expected: `64M`, `at least 3`, `at least +1`.
pub fn expected(verdict: &Verdict, lang: Lang) -> String {
    let other = verdict.other.as_ref().map(|other| shown(other, lang)).unwrap_or_default();
    let said = match (&verdict.expect, lang) {
        (Expect::Eq(text), _) => text.clone(),
        (Expect::Ne(text), Lang::En) => format!("anything but {text}"),
        (Expect::Ne(text), Lang::Zh) => format!("不是 {text}"),
        (Expect::Ge(low), Lang::En) => format!("at least {low}"),
        (Expect::Ge(low), Lang::Zh) => format!("至少 {low}"),
        (Expect::Le(high), Lang::En) => format!("at most {high}"),
        (Expect::Le(high), Lang::Zh) => format!("至多 {high}"),
        (Expect::Between(low, high), Lang::En) => format!("{low} to {high}"),
        (Expect::Between(low, high), Lang::Zh) => format!("{low} 到 {high}"),
        (Expect::Grew(least), Lang::En) => format!("at least +{least}"),
        (Expect::Grew(least), Lang::Zh) => format!("至少 +{least}"),
        (Expect::GrewTimes { factor, than }, Lang::En) => format!("{factor} times {than}"),
        (Expect::GrewTimes { factor, than }, Lang::Zh) => format!("{than} 的 {factor} 倍"),
        (Expect::Exists, Lang::En) => "it to be there".to_string(),
        (Expect::Exists, Lang::Zh) => "存在".to_string(),
        (Expect::Absent, Lang::En) => "nothing there".to_string(),
        (Expect::Absent, Lang::Zh) => "不存在".to_string(),
        (Expect::Matches(pattern), Lang::En) => format!("a match of /{}/", pattern.0.as_str()),
        (Expect::Matches(pattern), Lang::Zh) => format!("匹配 /{}/", pattern.0.as_str()),
        (Expect::SameAs(place), Lang::En) => format!("the same as {place} ({other})"),
        (Expect::SameAs(place), Lang::Zh) => format!("与 {place} 相同（{other}）"),
        (Expect::Differs(place), Lang::En) => format!("other than {place} ({other})"),
        (Expect::Differs(place), Lang::Zh) => format!("与 {place} 不同（{other}）"),
        (Expect::Succeeds, Lang::En) => "exit status 0".to_string(),
        (Expect::Succeeds, Lang::Zh) => "退出码 0".to_string(),
    };
    match verdict.tolerance {
        Some(tolerance) => format!("{said} {}{tolerance}", lang.pick("+/- ", "±")),
        None => said,
    }
}

/// What was found: `max`, `134217728 (128M)`, `+0 (now 3)`.
pub fn found(verdict: &Verdict, lang: Lang) -> String {
    match (&verdict.found, &verdict.expect, lang) {
        (Shown::Text(_), Expect::Exists, Lang::En) => "it".to_string(),
        (Shown::Text(_), Expect::Exists | Expect::Absent, Lang::Zh) => "存在".to_string(),
        (Shown::Text(_), Expect::Absent, Lang::En) => "something".to_string(),
        (Shown::Text(_), Expect::Succeeds, Lang::En) => "exit status 0".to_string(),
        (Shown::Text(_), Expect::Succeeds, Lang::Zh) => "退出码 0".to_string(),
        _ => shown(&verdict.found, lang),
    }
}

/// What was found, behind the name of the place, where a check holds: `64M`, `is there`.
pub fn held(verdict: &Verdict, lang: Lang) -> String {
    match (&verdict.found, &verdict.expect) {
        (Shown::Text(_), Expect::Exists) => lang.pick("is there", "存在").to_string(),
        _ => found(verdict, lang),
    }
}

fn shown(value: &Shown, lang: Lang) -> String {
    match value {
        Shown::Text(text) if text.is_empty() => lang.pick("an empty file", "空文件").to_string(),
        Shown::Text(text) => size(&first_line(text)),
        Shown::Missing(missing) => absent(missing, lang),
        Shown::Grown { by, now } if by == now => format!("+{by}"),
        Shown::Grown { by, now } => match lang {
            Lang::En => format!("+{by} (now {now})"),
            Lang::Zh => format!("+{by}（现为 {now}）"),
        },
        Shown::Ratio(Some(ratio)) => match lang {
            Lang::En => format!("{ratio:.1} times"),
            Lang::Zh => format!("{ratio:.1} 倍"),
        },
        Shown::Ratio(None) => lang.pick("too little to compare yet", "数据还不够比较").to_string(),
    }
}

fn absent(missing: &Missing, lang: Lang) -> String {
    match (missing, lang) {
        (Missing::File, Lang::En) => "no such file".to_string(),
        (Missing::File, Lang::Zh) => "没有这个文件".to_string(),
        (Missing::Key(key), Lang::En) => format!("no line {key}"),
        (Missing::Key(key), Lang::Zh) => format!("没有 {key} 这一行"),
        (Missing::Process, Lang::En) => "no process".to_string(),
        (Missing::Process, Lang::Zh) => "没有进程".to_string(),
        (Missing::Mount, Lang::En) => "no mount".to_string(),
        (Missing::Mount, Lang::Zh) => "没有挂载".to_string(),
        (Missing::NotInSet, Lang::En) => "not in the set".to_string(),
        (Missing::NotInSet, Lang::Zh) => "不在集合里".to_string(),
        (Missing::Container, Lang::En) => "no such container".to_string(),
        (Missing::Container, Lang::Zh) => "没有这个容器".to_string(),
        (Missing::Nothing, Lang::En) => "nothing".to_string(),
        (Missing::Nothing, Lang::Zh) => "什么也没有".to_string(),
        (Missing::Status(Some(code)), Lang::En) => format!("exit status {code}"),
        (Missing::Status(Some(code)), Lang::Zh) => format!("退出码 {code}"),
        (Missing::Status(None), Lang::En) => "no exit status (killed, or too slow)".to_string(),
        (Missing::Status(None), Lang::Zh) => "没有退出码（被杀或超时）".to_string(),
        (Missing::Refused(reason), Lang::En) => format!("nothing: {reason}"),
        (Missing::Refused(reason), Lang::Zh) => format!("读不到：{reason}"),
    }
}

/// The first line of a long answer, which is enough to recognise it.
fn first_line(text: &str) -> String {
    match text.split_once('\n') {
        Some((first, _)) => format!("{first} ..."),
        None => text.to_string(),
    }
}

/// Adds the short form of a whole number of MiB or GiB: `134217728 (128M)`.
fn size(text: &str) -> String {
    let Some(bytes) = number(text).filter(|bytes| *bytes >= 1_048_576.0 && text.bytes().all(|b| b.is_ascii_digit()))
    else {
        return text.to_string();
    };
    let unit = [(1_073_741_824.0, "G"), (1_048_576.0, "M")].into_iter().find(|(unit, _)| bytes % unit == 0.0);
    match unit {
        Some((unit, letter)) => format!("{text} ({}{letter})", bytes / unit),
        None => text.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::{held, sentence};
    use crate::lab::check::{Expect, Pattern};
    use crate::lab::judge::{Shown, Verdict};
    use crate::lab::lang::Lang;
    use crate::lab::quantity::Tolerance;
    use crate::lab::read::Missing;

    fn verdict(expect: Expect, found: Shown) -> Verdict {
        let place = "$CG/memory.max".to_string();
        Verdict { place, expect, tolerance: None, found, other: None, script: false, holds: false }
    }

    #[test]
    fn what_holds_is_said_behind_its_place() {
        let there = verdict(Expect::Exists, Shown::Text(String::new()));
        assert_eq!(Lang::ALL.map(|lang| held(&there, lang)), ["is there", "存在"]);
        let size = verdict(Expect::Eq("64M".to_string()), Shown::Text("67108864".to_string()));
        assert_eq!(held(&size, Lang::En), "67108864 (64M)");
    }

    #[test]
    fn a_verdict_says_expected_found_and_file() {
        let text = |text: &str| text.to_string();
        let cases = [
            (
                verdict(Expect::Eq(text("64M")), Shown::Text(text("max"))),
                "expected 64M, found max, in $CG/memory.max",
                "期望 64M，实际 max，见 $CG/memory.max",
            ),
            (
                verdict(Expect::Le(text("64M")), Shown::Text(text("134217728"))),
                "expected at most 64M, found 134217728 (128M), in $CG/memory.max",
                "期望 至多 64M，实际 134217728 (128M)，见 $CG/memory.max",
            ),
            (
                verdict(Expect::Grew(text("1")), Shown::Grown { by: 0.0, now: 3.0 }),
                "expected at least +1, found +0 (now 3), in $CG/memory.max",
                "期望 至少 +1，实际 +0（现为 3），见 $CG/memory.max",
            ),
            (
                verdict(Expect::Exists, Shown::Missing(Missing::File)),
                "expected it to be there, found no such file, in $CG/memory.max",
                "期望 存在，实际 没有这个文件，见 $CG/memory.max",
            ),
            (
                Verdict {
                    tolerance: Some(Tolerance::Percent(20.0)),
                    ..verdict(
                        Expect::GrewTimes { factor: text("4"), than: text("low/cpu.stat") },
                        Shown::Ratio(Some(2.96)),
                    )
                },
                "expected 4 times low/cpu.stat +/- 20%, found 3.0 times, in $CG/memory.max",
                "期望 low/cpu.stat 的 4 倍 ±20%，实际 3.0 倍，见 $CG/memory.max",
            ),
            (
                Verdict {
                    other: Some(Shown::Text(text("net:[1]"))),
                    ..verdict(Expect::Differs(text("runner")), Shown::Text(text("net:[1]")))
                },
                "expected other than runner (net:[1]), found net:[1], in $CG/memory.max",
                "期望 与 runner 不同（net:[1]），实际 net:[1]，见 $CG/memory.max",
            ),
            (
                Verdict {
                    script: true,
                    place: text("false"),
                    ..verdict(Expect::Succeeds, Shown::Missing(Missing::Status(Some(1))))
                },
                "expected exit status 0, found exit status 1, from: false",
                "期望 退出码 0，实际 退出码 1，命令：false",
            ),
            (
                Verdict {
                    script: true,
                    place: text("nsenter -t 7 -n ping -n -c 1 -W 1 10.0.0.1"),
                    ..verdict(Expect::Exists, Shown::Missing(Missing::Nothing))
                },
                "expected it to be there, found nothing, from: nsenter -t 7 -n ping -n -c 1 -W 1 10.0.0.1",
                "期望 存在，实际 什么也没有，命令：nsenter -t 7 -n ping -n -c 1 -W 1 10.0.0.1",
            ),
            (
                Verdict {
                    script: true,
                    place: text("glassbox state web"),
                    ..verdict(Expect::Eq(text("running")), Shown::Missing(Missing::Container))
                },
                "expected running, found no such container, from: glassbox state web",
                "期望 running，实际 没有这个容器，命令：glassbox state web",
            ),
            (
                verdict(
                    Expect::Matches(Pattern(regex_lite::Regex::new("^0-1$").expect("a pattern"))),
                    Shown::Text(text("0\n1")),
                ),
                "expected a match of /^0-1$/, found 0 ..., in $CG/memory.max",
                "期望 匹配 /^0-1$/，实际 0 ...，见 $CG/memory.max",
            ),
        ];
        for (verdict, en, zh) in cases {
            assert_eq!(sentence(&verdict, Lang::En), en);
            assert_eq!(sentence(&verdict, Lang::Zh), zh);
        }
    }
}
