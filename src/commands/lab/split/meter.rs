//! The live plots of a step: each figure now, beside its limit, with its last minute as small bars.

use std::collections::VecDeque;
use std::path::Path;
use std::time::{Duration, Instant};

use unicode_width::UnicodeWidthStr;

use super::ink::Ink;
use crate::commands::lab::phrases;
use crate::lab::gauge::{Gauge, Reading, gauges};
use crate::lab::lang::Lang;

/// How often a figure is read.
const PACE: Duration = Duration::from_millis(500);
/// How many figures are remembered: two minutes, more than a screen is wide.
const MEMORY: usize = 240;
/// The fewest bars that are worth drawing beside a name.
const FEWEST: usize = 12;

/// The meters of the open step.
#[derive(Debug, Default)]
pub struct Meters {
    meters: Vec<Meter>,
    due: Option<Instant>,
}

#[derive(Debug)]
struct Meter {
    gauge: Gauge,
    last: Option<Reading>,
    history: VecDeque<f64>,
}

impl Meters {
    /// The meters of the files that a step plots.
    pub fn of(files: &[String]) -> Meters {
        let meter = |gauge| Meter { gauge, last: None, history: VecDeque::new() };
        Meters { meters: gauges(files).into_iter().map(meter).collect(), due: None }
    }

    /// Reads the figures if it is time to; whether there is something new.
    pub fn look(&mut self, cgroup: &Path, now: Instant) -> bool {
        if self.meters.is_empty() || self.due.is_some_and(|due| now < due) {
            return false;
        }
        self.due = Some(now + PACE);
        for meter in &mut self.meters {
            let reading = meter.gauge.look(cgroup, now);
            meter.record(reading);
        }
        true
    }

    /// The meters as lines of at most `width` columns: a name, figure and limit, and bars beside or below them.
    pub fn lines(&self, width: usize, ink: &Ink, lang: Lang) -> Vec<String> {
        self.meters.iter().flat_map(|meter| meter.lines(width, ink, lang)).collect()
    }
}

impl Meter {
    fn record(&mut self, reading: Option<Reading>) {
        if let Some(reading) = &reading {
            self.history.push_back(reading.now);
            let surplus = self.history.len().saturating_sub(MEMORY);
            self.history.drain(..surplus);
        }
        self.last = reading;
    }

    fn lines(&self, width: usize, ink: &Ink, lang: Lang) -> Vec<String> {
        let unit = self.gauge.unit;
        let said = match &self.last {
            None => phrases::no_figure(lang),
            Some(Reading { now, limit: None }) => phrases::figure(lang, unit.text(*now)),
            Some(Reading { now, limit: Some(limit) }) => {
                phrases::figure_of(lang, unit.text(*now), unit.text(limit.value), &limit.file)
            }
        };
        let text = format!("{} {said}", self.gauge.file);
        if self.history.is_empty() {
            return vec![text];
        }
        match width.checked_sub(text.width() + 1) {
            Some(rest) if rest >= FEWEST => vec![format!("{text} {}", self.bars(rest.min(MEMORY / 4), ink))],
            _ => vec![text, self.bars(width.min(MEMORY / 4), ink)],
        }
    }

    /// The last figures, on a scale that ends at the limit, or at the highest of them where that is more.
    fn bars(&self, width: usize, ink: &Ink) -> String {
        let limit = self.last.as_ref().and_then(|reading| reading.limit.as_ref()).map_or(0.0, |limit| limit.value);
        let shown = self.history.iter().skip(self.history.len().saturating_sub(width));
        let top = shown.clone().copied().fold(limit, f64::max);
        let bar = |value: &f64| {
            let share = if top > 0.0 { value / top } else { 0.0 };
            ink.bars[((share * 8.0).ceil() as usize).clamp(1, 8) - 1]
        };
        shown.map(bar).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::{Duration, Instant};

    use super::Meters;
    use crate::commands::lab::split::ink::Ink;
    use crate::lab::lang::Lang;

    #[test]
    fn a_meter_shows_now_and_limit_and_the_way_there() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut meters = Meters::of(&["memory.current", "memory.max"].map(String::from));
        let ink = Ink::of_locale(|_| None);
        let start = Instant::now();
        assert!(meters.look(dir.path(), start));
        assert_eq!(meters.lines(60, &ink, Lang::En), ["memory.current no figure yet"]);
        fs::write(dir.path().join("memory.max"), "67108864\n").expect("written");
        for step in 1..=8 {
            fs::write(dir.path().join("memory.current"), (step * (8 << 20)).to_string()).expect("written");
            assert!(meters.look(dir.path(), start + Duration::from_secs(step)));
        }
        assert!(!meters.look(dir.path(), start + Duration::from_secs(8)), "twice a second is enough");
        assert_eq!(meters.lines(60, &ink, Lang::En), ["memory.current 64M of 64M (memory.max) _.-=+*%#"]);
        assert_eq!(meters.lines(44, &ink, Lang::En), ["memory.current 64M of 64M (memory.max)", "_.-=+*%#"]);
        assert_eq!(meters.lines(60, &ink, Lang::Zh), ["memory.current 64M，上限 64M (memory.max) _.-=+*%#"]);
    }
}
