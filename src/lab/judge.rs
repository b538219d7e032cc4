//! Deciding whether checks hold, over time: counters are compared with what they were when the step was entered, and
//! what need only happen once is remembered.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::check::{Check, Expect, Hold, Subject};
use super::quantity::{equal, number};
use super::read::{Found, Missing, Scope, exists, read};
use super::script::fill;

/// What was decided about one check, with everything that is needed to tell it.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// Where it was looked, as a learner can type it.
    pub place: String,
    /// What was expected, with the variables' values filled in.
    pub expect: Expect,
    /// How far a number may be off.
    pub tolerance: Option<super::quantity::Tolerance>,
    /// What was found.
    pub found: Shown,
    /// What the other place shows, for `same_as` and `differs`.
    pub other: Option<Shown>,
    /// Whether its place is a command.
    pub script: bool,
    /// Whether the check holds now, or was seen to hold and need not any longer.
    pub holds: bool,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq)]
pub enum Shown {
    /// A value.
    Text(String),
    /// No value, and why.
    Missing(Missing),
    /// A counter that rose `by` so much, to `now`.
    Grown {
        /// Since the step was entered.
        by: f64,
        /// The counter itself.
        now: f64,
    },
    /// How many times as much one counter rose as the other over the last seconds; `None` until there is enough to compare.
    Ratio(Option<f64>),
}

/// The checks of a step (or of a slip) and what they remember.
#[derive(Debug)]
pub struct Watch {
    checks: Vec<Watched>,
}

#[derive(Debug)]
struct Watched {
    check: Check,
    /// The counter when the step was entered.
    base: f64,
    /// Both counters over the last seconds.
    samples: VecDeque<Sample>,
    /// What was found when it last held.
    seen: Option<Verdict>,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Instant,
    here: f64,
    there: f64,
}

/// Over how long two counters are compared: the shortest window that shows the ratio will do, and a longer one evens out
/// a machine that is busy with other things.
const WINDOWS: [Duration; 3] = [Duration::from_secs(2), Duration::from_secs(3), Duration::from_secs(5)];

impl Watch {
    /// Begins to watch: from here counters grow.
    pub fn start(checks: &[Check], scope: &Scope) -> Watch {
        let watched = |check: &Check| {
            let base = match check.expect {
                Expect::Grew(_) => value_of(&check.subject, scope).unwrap_or(0.0),
                _ => 0.0,
            };
            Watched { check: check.clone(), base, samples: VecDeque::new(), seen: None }
        };
        Watch { checks: checks.iter().map(watched).collect() }
    }

    /// Looks once, and decides each check.
    pub fn look(&mut self, scope: &Scope) -> Vec<Verdict> {
        self.checks.iter_mut().map(|watched| watched.look(scope, Instant::now())).collect()
    }
}

/// Whether all checks hold.
pub fn all_hold(verdicts: &[Verdict]) -> bool {
    verdicts.iter().all(|verdict| verdict.holds)
}

impl Watched {
    fn look(&mut self, scope: &Scope, now: Instant) -> Verdict {
        let expect = filled(&self.check.expect, scope);
        let mut verdict = match &expect {
            Expect::Grew(least) => self.grew(least, scope),
            Expect::GrewTimes { factor, than } => self.grew_times(factor, than, scope, now),
            _ => self.compare(&expect, scope),
        };
        verdict.expect = expect;
        verdict.script = self.check.subject.is_command();
        match (self.check.hold, verdict.holds) {
            (Hold::Now, _) => verdict,
            (Hold::Once, true) => self.seen.insert(verdict).clone(),
            (Hold::Once, false) => self.seen.clone().unwrap_or(verdict),
        }
    }

    fn verdict(&self, place: String, found: Shown, holds: bool) -> Verdict {
        let Check { expect, tolerance, .. } = &self.check;
        Verdict { place, expect: expect.clone(), tolerance: *tolerance, found, other: None, script: false, holds }
    }

    /// A counter of a cgroup that was removed and made again starts at nothing, so a fall means a new beginning.
    fn grew(&mut self, least: &str, scope: &Scope) -> Verdict {
        let found = read(&self.check.subject, scope).remove(0);
        match found.value.as_deref().map(number) {
            Ok(Some(now)) => {
                self.base = if now < self.base { 0.0 } else { self.base };
                let by = now - self.base;
                let holds = number(least).is_some_and(|least| by >= least);
                self.verdict(found.place, Shown::Grown { by, now }, holds)
            }
            _ => self.verdict(found.place, shown(found.value), false),
        }
    }

    fn grew_times(&mut self, factor: &str, than: &str, scope: &Scope, now: Instant) -> Verdict {
        let found = read(&self.check.subject, scope).remove(0);
        let other = self.check.subject.elsewhere(than).ok().and_then(|there| value_of(&there, scope));
        let (Some(here), Some(there), Some(factor)) =
            (found.value.as_deref().ok().and_then(number), other, number(factor))
        else {
            self.samples.clear();
            let missing = found.value.map_or_else(Shown::Missing, |_| Shown::Ratio(None));
            return self.verdict(found.place, missing, false);
        };
        self.samples.push_back(Sample { at: now, here, there });
        let longest = WINDOWS[WINDOWS.len() - 1];
        let old = self.samples.iter().rposition(|sample| now - sample.at >= longest).unwrap_or_default();
        self.samples.drain(..old);
        let allowed = self.check.tolerance.map_or(0.0, |tolerance| tolerance.around(factor));
        let seen: Vec<_> = WINDOWS.iter().filter_map(|window| self.over(*window, now)).collect();
        let holds = seen.iter().any(|ratios| ratios.near(factor, allowed));
        let shown = seen.iter().find(|ratios| ratios.near(factor, allowed)).or(seen.first()).map(|ratios| ratios.whole);
        self.verdict(found.place, Shown::Ratio(shown), holds)
    }

    /// The ratio over a window that ends now, and over its halves; `None` while there is nothing to compare.
    fn over(&self, window: Duration, now: Instant) -> Option<Ratios> {
        let since = |age: Duration| self.samples.iter().rfind(|sample| now - sample.at >= age).copied();
        let (first, middle, last) = (since(window)?, since(window / 2)?, *self.samples.back()?);
        let halves = [ratio(first, middle)?, ratio(middle, last)?];
        Some(Ratios { whole: ratio(first, last)?, halves })
    }

    /// The first answer that fits, or else the first; nothing may be there for `absent`.
    fn compare(&self, expect: &Expect, scope: &Scope) -> Verdict {
        let subject = &self.check.subject;
        let presence = matches!(expect, Expect::Exists | Expect::Absent);
        let mut all = if presence { exists(subject, scope) } else { read(subject, scope) };
        let other = match expect {
            Expect::SameAs(other) | Expect::Differs(other) => {
                subject.elsewhere(other).ok().map(|there| read(&there, scope).remove(0).value)
            }
            _ => None,
        };
        let fits = |found: &Found| self.fits(expect, &found.value, other.as_ref());
        let (at, holds) = match expect {
            Expect::Absent => match all.iter().position(|found| !fits(found)) {
                Some(at) => (at, false),
                None => (0, true),
            },
            _ => match all.iter().position(fits) {
                Some(at) => (at, true),
                None => (0, false),
            },
        };
        let found = all.swap_remove(at);
        let mut verdict = self.verdict(found.place, shown(found.value), holds);
        verdict.other = other.map(shown);
        verdict
    }

    fn fits(&self, expect: &Expect, value: &Result<String, Missing>, other: Option<&Result<String, Missing>>) -> bool {
        let tolerance = self.check.tolerance;
        let Ok(value) = value else {
            return matches!(expect, Expect::Absent) && !matches!(value, Err(Missing::Refused(_)));
        };
        let slack = |limit: f64| tolerance.map_or(0.0, |tolerance| tolerance.around(limit));
        let at_least = |low: &str| number(low).zip(number(value)).is_some_and(|(low, value)| value >= low - slack(low));
        let at_most =
            |high: &str| number(high).zip(number(value)).is_some_and(|(high, value)| value <= high + slack(high));
        match expect {
            Expect::Eq(text) => equal(text, value, tolerance),
            Expect::Ne(text) => !equal(text, value, tolerance),
            Expect::Ge(low) => at_least(low),
            Expect::Le(high) => at_most(high),
            Expect::Between(low, high) => at_least(low) && at_most(high),
            Expect::Exists | Expect::Succeeds => true,
            Expect::Absent => false,
            Expect::Matches(pattern) => pattern.0.is_match(value),
            Expect::SameAs(_) => other.is_some_and(|other| other.as_ref() == Ok(value)),
            Expect::Differs(_) => other.is_some_and(|other| other.as_ref().is_ok_and(|other| other != value)),
            Expect::Grew(_) | Expect::GrewTimes { .. } => false,
        }
    }
}

/// How many times as much one counter rose as the other.
struct Ratios {
    whole: f64,
    halves: [f64; 2],
}

impl Ratios {
    /// Whether the whole is near the factor, and each half not far from it: a ratio that slides past it is not it.
    fn near(&self, factor: f64, allowed: f64) -> bool {
        (self.whole - factor).abs() <= allowed && self.halves.iter().all(|half| (half - factor).abs() <= 2.0 * allowed)
    }
}

fn ratio(from: Sample, to: Sample) -> Option<f64> {
    let (here, there) = (to.here - from.here, to.there - from.there);
    (there > 0.0).then_some(here / there)
}

fn value_of(subject: &Subject, scope: &Scope) -> Option<f64> {
    read(subject, scope).remove(0).value.ok().as_deref().and_then(number)
}

fn shown(value: Result<String, Missing>) -> Shown {
    value.map_or_else(Shown::Missing, Shown::Text)
}

fn filled(expect: &Expect, scope: &Scope) -> Expect {
    let fill = |text: &str| fill(text, &scope.values);
    match expect {
        Expect::Eq(text) => Expect::Eq(fill(text)),
        Expect::Ne(text) => Expect::Ne(fill(text)),
        Expect::Ge(text) => Expect::Ge(fill(text)),
        Expect::Le(text) => Expect::Le(fill(text)),
        Expect::Grew(text) => Expect::Grew(fill(text)),
        Expect::Between(low, high) => Expect::Between(fill(low), fill(high)),
        Expect::GrewTimes { factor, than } => Expect::GrewTimes { factor: fill(factor), than: fill(than) },
        Expect::SameAs(text) => Expect::SameAs(fill(text)),
        Expect::Differs(text) => Expect::Differs(fill(text)),
        Expect::Matches(pattern) => Expect::Matches(pattern.filled(&scope.values)),
        Expect::Exists | Expect::Absent | Expect::Succeeds => expect.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::{Duration, Instant};

    use super::{Shown, Watch, Watched, all_hold};
    use crate::lab::check::{Check, Expect, Hold, Pattern, Subject};
    use crate::lab::quantity::Tolerance;
    use crate::lab::read::Scope;

    struct Place {
        dir: tempfile::TempDir,
        scope: Scope,
    }

    impl Place {
        fn new() -> Place {
            let dir = tempfile::tempdir().expect("a directory");
            let values = [("limit", "64M"), ("sum", "a+b")].map(|(name, value)| (name.into(), value.into())).into();
            let scope = Scope { cgroup: Some(dir.path().to_path_buf()), values, ..Scope::default() };
            Place { dir, scope }
        }

        fn write(&self, file: &str, text: &str) {
            fs::write(self.dir.path().join(file), text).expect("a file is written");
        }

        fn holds(&self, expect: Expect) -> bool {
            all_hold(&Watch::start(&[check("f", None, expect)], &self.scope).look(&self.scope))
        }
    }

    fn check(path: &str, key: Option<&str>, expect: Expect) -> Check {
        let hold = if matches!(expect, Expect::Grew(_) | Expect::GrewTimes { .. }) { Hold::Once } else { Hold::Now };
        let subject = Subject::Cgroup { path: path.to_string(), key: key.map(String::from) };
        Check { subject, expect, tolerance: None, hold, line: 1 }
    }

    #[test]
    fn each_operator_decides() {
        let place = Place::new();
        let text = |text: &str| text.to_string();
        assert!(place.holds(Expect::Absent));
        assert!(!place.holds(Expect::Exists));
        assert!(!place.holds(Expect::Ne(text("1"))), "a value that is not there is not a different value");
        place.write("f", "67108864\n");
        place.write("same", "67108864\n");
        place.write("less", "1\n");
        assert!(place.holds(Expect::Exists));
        assert!(!place.holds(Expect::Absent));
        assert!(place.holds(Expect::Eq(text("$limit"))));
        assert!(!place.holds(Expect::Ne(text("$limit"))));
        assert!(place.holds(Expect::Ge(text("64M"))));
        assert!(!place.holds(Expect::Ge(text("65M"))));
        assert!(place.holds(Expect::Le(text("64M"))));
        assert!(place.holds(Expect::Between(text("1M"), text("64M"))));
        let matches = |pattern: &str| Expect::Matches(Pattern(regex_lite::Regex::new(pattern).expect("a pattern")));
        place.write("f", "a+b costs 64M\n");
        assert!(place.holds(matches("costs $limit$")), "the variable's value, and then the end");
        assert!(place.holds(matches("^$sum costs")), "a value is taken word for word");
        assert!(!place.holds(matches("^a$limit")));
        place.write("f", "67108864\n");
        assert!(place.holds(Expect::SameAs(text("same"))));
        assert!(!place.holds(Expect::SameAs(text("less"))));
        assert!(place.holds(Expect::Differs(text("less"))));
        assert!(!place.holds(Expect::Differs(text("none"))), "what is not there is not a different value");
    }

    #[test]
    fn growth_counts_from_the_start_and_is_remembered() {
        let place = Place::new();
        place.write("events", "oom_kill 5\n");
        let mut watch = Watch::start(&[check("events", Some("oom_kill"), Expect::Grew("2".to_string()))], &place.scope);
        let verdict = watch.look(&place.scope).remove(0);
        assert_eq!((verdict.found, verdict.holds), (Shown::Grown { by: 0.0, now: 5.0 }, false));
        place.write("events", "oom_kill 7\n");
        assert!(all_hold(&watch.look(&place.scope)));
        fs::remove_file(place.dir.path().join("events")).expect("removed");
        let verdict = watch.look(&place.scope).remove(0);
        assert_eq!((verdict.found, verdict.holds), (Shown::Grown { by: 2.0, now: 7.0 }, true), "as it was when seen");
    }

    #[test]
    fn a_counter_that_begins_anew_counts_from_nothing() {
        let place = Place::new();
        place.write("events", "oom_kill 5\n");
        let mut watch = Watch::start(&[check("events", Some("oom_kill"), Expect::Grew("1".to_string()))], &place.scope);
        place.write("events", "oom_kill 0\n");
        assert!(!all_hold(&watch.look(&place.scope)));
        place.write("events", "oom_kill 1\n");
        assert!(all_hold(&watch.look(&place.scope)));
    }

    /// Feeds counters at a rate per second and tells at which second the ratio was first seen to hold.
    fn first_hold(rates: &[(f64, f64)], factor: &str) -> Option<usize> {
        let place = Place::new();
        let mut check = check("a", None, Expect::GrewTimes { factor: factor.to_string(), than: "b".to_string() });
        check.tolerance = Some(Tolerance::Percent(20.0));
        let mut watched = Watched { check, base: 0.0, samples: Default::default(), seen: None };
        let (start, mut a, mut b) = (Instant::now(), 0.0, 0.0);
        for tick in 0..rates.len() * 10 {
            let (rate_a, rate_b) = rates[tick / 10];
            (a, b) = (a + rate_a / 10.0, b + rate_b / 10.0);
            place.write("a", &a.to_string());
            place.write("b", &b.to_string());
            let now = start + Duration::from_millis(100) * u32::try_from(tick).expect("few ticks");
            if watched.look(&place.scope, now).holds {
                return Some(tick / 10);
            }
        }
        None
    }

    #[test]
    fn a_ratio_must_last() {
        assert_eq!(first_hold(&[(400.0, 100.0); 4], "4"), Some(2));
        assert_eq!(first_hold(&[(100.0, 100.0); 4], "4"), None);
        assert_eq!(first_hold(&[(400.0, 0.0); 4], "4"), None);
        // On its way from "all to one" down to "equal shares" the ratio passes 4, which proves nothing.
        let sliding = [(400.0, 0.0), (400.0, 0.0), (400.0, 0.0), (200.0, 200.0), (200.0, 200.0), (200.0, 200.0)];
        assert_eq!(first_hold(&sliding, "4"), None);
    }
}
