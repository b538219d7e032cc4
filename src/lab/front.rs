//! The front matter of `lab.md`: TOML between `+++` lines, read into the types of [`super::script`] and [`super::check`].
//!
//! Unknown keys, unknown kinds and impossible combinations are refused with the line on which they stand.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::front_check::{RawCheck, check};
use super::lang::Lang;
use super::requires::Require;
use super::script::{Predict, Problem, Slip, Step, Vars};

/// The front matter, typed.
#[derive(Debug)]
pub struct Front {
    /// `id`, with its line.
    pub id: (String, usize),
    /// `minutes`
    pub minutes: u32,
    /// `seeds`
    pub seeds: Vec<String>,
    /// `requires`
    pub requires: Vec<Require>,
    /// `vars`
    pub vars: Vars,
    /// `predict`
    pub predict: Option<Predict>,
    /// `[[step]]`
    pub steps: Vec<Step>,
}

/// The front matter and the prose of a file, each with the line on which it begins.
#[derive(Debug)]
pub struct Parts<'a> {
    /// The TOML between the `+++` lines.
    pub front: &'a str,
    /// The line of its first character.
    pub front_line: usize,
    /// The Markdown.
    pub prose: &'a str,
    /// The line of its first character.
    pub prose_line: usize,
}

/// Splits `lab.md` at its `+++` lines.
///
/// # Errors
/// If the file does not begin with `+++` or has no second one.
pub fn split<'a>(text: &'a str, file: &str) -> Result<Parts<'a>, Problem> {
    let problem = |line, reason: &str| Problem { file: file.to_string(), line, reason: reason.to_string() };
    let body = text.strip_prefix("+++\n").ok_or_else(|| problem(1, "the first line is not +++ (front matter)"))?;
    let (front, prose) = match body.strip_prefix("+++\n") {
        Some(prose) => ("", prose),
        None => body.split_once("\n+++\n").ok_or_else(|| problem(1, "no second +++ line ends the front matter"))?,
    };
    let prose_line = 1 + text[..text.len() - prose.len()].matches('\n').count();
    Ok(Parts { front, front_line: 2, prose, prose_line })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFront {
    format: Spanned<i64>,
    id: Spanned<String>,
    lang: Spanned<Lang>,
    minutes: Spanned<i64>,
    seeds: Vec<String>,
    requires: Vec<Spanned<String>>,
    #[serde(default)]
    vars: BTreeMap<String, Spanned<Vec<String>>>,
    predict: Option<Spanned<RawPredict>>,
    step: Vec<RawStep>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPredict {
    choices: Vec<String>,
    answer: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStep {
    id: Spanned<String>,
    show: Option<String>,
    check: Vec<Spanned<RawCheck>>,
    solve: String,
    replay: Option<String>,
    #[serde(default)]
    slip: Vec<RawSlip>,
    #[serde(default)]
    plot: Vec<String>,
    #[serde(default)]
    setup: String,
    within: Option<Spanned<i64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSlip {
    id: Spanned<String>,
    when: Spanned<RawWhen>,
    #[serde(rename = "do")]
    commit: String,
}

/// `when` is one check or a list of checks that hold together.
struct RawWhen(Vec<RawCheck>);

impl<'de> Deserialize<'de> for RawWhen {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany;
        impl<'de> serde::de::Visitor<'de> for OneOrMany {
            type Value = RawWhen;

            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("a check or a list of checks")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<RawWhen, A::Error> {
                RawCheck::deserialize(serde::de::value::MapAccessDeserializer::new(map)).map(|one| RawWhen(vec![one]))
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<RawWhen, A::Error> {
                let mut checks = Vec::new();
                while let Some(check) = seq.next_element()? {
                    checks.push(check);
                }
                Ok(RawWhen(checks))
            }
        }
        deserializer.deserialize_any(OneOrMany)
    }
}

/// Reads the front matter of `file`.
///
/// # Errors
/// Everything that is wrong with it; a text that is no TOML, or has an unknown key, gives one problem.
pub fn parse(front: &str, file: &str, first_line: usize) -> Result<Front, Vec<Problem>> {
    let place = Place { front, file, first_line };
    let raw: RawFront = toml::from_str(front).map_err(|error| {
        let span = error.span().unwrap_or(0..0);
        vec![place.problem(&span, error.message().replace('\n', " "))]
    })?;
    let mut problems = Vec::new();
    let mut refuse = |span: Range<usize>, reason: String| problems.push(place.problem(&span, reason));
    if *raw.format.get_ref() != 1 {
        refuse(raw.format.span(), format!("format {} is unknown, expected 1", raw.format.get_ref()));
    }
    if *raw.lang.get_ref() != Lang::En {
        refuse(raw.lang.span(), "lab.md is the English text: lang = \"en\"".to_string());
    }
    if !(1..=60).contains(raw.minutes.get_ref()) {
        refuse(raw.minutes.span(), format!("minutes = {}: a lab takes 1 to 60", raw.minutes.get_ref()));
    }
    let mut requires = Vec::new();
    for require in &raw.requires {
        match require.get_ref().parse() {
            Ok(parsed) => requires.push(parsed),
            Err(reason) => refuse(require.span(), reason),
        }
    }
    let lengths: Vec<_> = raw.vars.values().map(|values| values.get_ref().len()).collect();
    for values in raw.vars.values() {
        if values.get_ref().is_empty() || values.get_ref().len() != lengths[0] {
            refuse(values.span(), "every variable needs the same number of values, one for each variant".to_string());
        }
    }
    let steps = raw.step.iter().map(|raw| step(raw, &place, &mut refuse)).collect();
    let front = Front {
        id: (raw.id.get_ref().clone(), place.line(raw.id.span().start)),
        minutes: u32::try_from(*raw.minutes.get_ref()).unwrap_or_default(),
        seeds: raw.seeds,
        requires,
        vars: Vars(raw.vars.into_iter().map(|(name, values)| (name, values.into_inner())).collect()),
        predict: raw.predict.map(|predict| {
            let line = place.line(predict.span().start);
            let RawPredict { choices, answer } = predict.into_inner();
            Predict { choices, answer, line }
        }),
        steps,
    };
    if problems.is_empty() { Ok(front) } else { Err(problems) }
}

fn step(raw: &RawStep, place: &Place<'_>, refuse: &mut impl FnMut(Range<usize>, String)) -> Step {
    let checks = raw.check.iter().filter_map(|spanned| {
        let line = place.line(spanned.span().start);
        check(spanned.get_ref(), line).map_err(|reason| refuse(spanned.span(), reason)).ok()
    });
    let checks = checks.collect();
    let mut slips = Vec::new();
    for slip in &raw.slip {
        let line = place.line(slip.id.span().start);
        let mut when = Vec::new();
        for spoken in &slip.when.get_ref().0 {
            match check(spoken, line) {
                Ok(check) => when.push(check),
                Err(reason) => refuse(slip.when.span(), reason),
            }
        }
        slips.push(Slip { id: slip.id.get_ref().clone(), when, commit: slip.commit.clone(), line });
    }
    let within = match &raw.within {
        None => 10,
        Some(seconds) if (1..=120).contains(seconds.get_ref()) => seconds.get_ref().unsigned_abs(),
        Some(seconds) => {
            refuse(seconds.span(), format!("within = {}: 1 to 120 seconds", seconds.get_ref()));
            10
        }
    };
    Step {
        id: raw.id.get_ref().clone(),
        show: raw.show.clone().unwrap_or_else(|| raw.solve.clone()),
        checks,
        solve: raw.solve.clone(),
        replay: raw.replay.clone().unwrap_or_else(|| raw.solve.clone()),
        slips,
        plot: raw.plot.clone(),
        setup: raw.setup.clone(),
        within: Duration::from_secs(within),
        line: place.line(raw.id.span().start),
    }
}

/// Turns an offset in the front matter into a line of the file.
struct Place<'a> {
    front: &'a str,
    file: &'a str,
    first_line: usize,
}

impl Place<'_> {
    fn line(&self, offset: usize) -> usize {
        self.first_line + self.front[..offset.min(self.front.len())].matches('\n').count()
    }

    fn problem(&self, span: &Range<usize>, reason: String) -> Problem {
        Problem { file: self.file.to_string(), line: self.line(span.start), reason }
    }
}

#[cfg(test)]
mod tests {
    use super::{parse, split};
    use crate::lab::check::{Expect, Hold, Subject};

    const FRONT: &str = r#"format   = 1
id       = "mem-oom"
lang     = "en"
minutes  = 8
seeds    = ["002 §27"]
requires = ["root", "cgroup2:memory", "cmd:hog"]
vars     = { limit = ["48M", "64M", "80M"] }
predict  = { choices = ["null", "slow", "kill", "freeze"], answer = "kill" }

[[step]]
id    = "limit"
show  = 'echo $limit > $CG/memory.max'
check = [{ cgroup = "memory.max", eq = "$limit" }]
solve = 'echo $limit > $CG/memory.max'
slip  = [{ id = "high-not-max", when = { cgroup = "memory.high", eq = "$limit" }, do = 'echo $limit > $CG/memory.high' }]

[[step]]
id    = "wall"
plot  = ["memory.current", "memory.max"]
check = [{ cgroup = "memory.events", key = "oom_kill", grew = 1 }]
solve = 'sh -c "echo 0 > $CG/cgroup.procs; exec hog 200"; test $? -eq 137'
"#;

    #[test]
    fn the_documented_example_is_read() {
        let front = parse(FRONT, "lab.md", 2).expect("sound front matter");
        assert_eq!(front.id, ("mem-oom".to_string(), 3));
        assert_eq!(front.vars.variants(), 3);
        assert_eq!(front.steps[0].slips[0].when.len(), 1);
        assert_eq!(front.steps[0].checks[0].line, 14);
        let wall = &front.steps[1].checks[0];
        assert_eq!(
            wall.subject,
            Subject::Cgroup { path: "memory.events".to_string(), key: Some("oom_kill".to_string()) }
        );
        assert!(matches!(&wall.expect, Expect::Grew(least) if least == "1"));
        assert_eq!(wall.hold, Hold::Once);
        assert_eq!(front.steps[0].checks[0].hold, Hold::Now);
        assert_eq!(front.steps[1].show, front.steps[1].solve);
    }

    fn refused(from: &str, to: &str) -> String {
        let broken = FRONT.replacen(from, to, 1);
        assert_ne!(broken, FRONT, "{from:?} stands in the example");
        parse(&broken, "lab.md", 2).expect_err("refused")[0].to_string()
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let cases = [
            ("format   = 1", "format   = 2", "lab.md:2: format 2 is unknown, expected 1"),
            ("lang     = \"en\"", "lang     = \"zh\"", "lab.md:4: lab.md is the English text: lang = \"en\""),
            ("minutes  = 8", "minutes  = 0", "lab.md:5: minutes = 0: a lab takes 1 to 60"),
            ("\"root\"", "\"rooot\"", "lab.md:7: unknown requirement \"rooot\""),
            ("minutes  = 8", "minuets  = 8", "lab.md:5: unknown field `minuets`"),
            ("plot  =", "plots =", "lab.md:20: unknown field `plots`"),
            ("grew = 1", "grow = 1", "lab.md:21: unknown field `grow`"),
            ("solve = 'sh", "solve = sh", "lab.md:22: "),
            ("{ cgroup = \"memory.max\", eq", "{ net = \"eth0\", eq", "lab.md:14: net = \"eth0\": write link NAME"),
        ];
        for (from, to, expected) in cases {
            let found = refused(from, to);
            assert!(found.starts_with(expected), "{from:?} -> {to:?}\nexpected: {expected}\nfound:    {found}");
        }
        assert!(refused("[\"48M\", \"64M\", \"80M\"]", "[]").starts_with("lab.md:8: every variable needs"));
    }

    #[test]
    fn a_file_is_split_at_its_plus_lines() {
        let parts = split("+++\na = 1\nb = 2\n+++\n# T\n", "lab.md").expect("two parts");
        assert_eq!((parts.front, parts.front_line), ("a = 1\nb = 2", 2));
        assert_eq!((parts.prose, parts.prose_line), ("# T\n", 5));
        assert!(split("# T\n", "lab.md").is_err());
        assert!(split("+++\na = 1\n# T\n", "lab.md").is_err());
    }
}
