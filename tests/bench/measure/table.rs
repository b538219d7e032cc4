//! The figures as tables for people.

use std::fmt::Write;

use serde_json::Value;

/// The report as text.
pub fn of(report: &Value) -> String {
    let mut text = String::new();
    let machine = &report["machine"];
    let _ = writeln!(
        text,
        "Linux {}, {} CPUs ({}){}",
        word(&machine["kernel"]),
        machine["cpus"],
        word(&machine["cpu"]),
        if machine["in_the_test_vm"] == true { ", in the test VM" } else { "" },
    );
    for peer in list(&report["peers"]) {
        let _ = writeln!(text, "  {:<18}{}", word(&peer["name"]), word(&peer["version"]));
    }
    let names: Vec<_> = list(&report["peers"]).iter().map(|peer| word(&peer["name"])).collect();
    let tables = Tables { report, names: &names, baseline: report["baseline"].as_str() };
    text += &tables.start();
    text += &tables.cost();
    text += &tables.least();
    text += &tables.many();
    text += &pods(report);
    text += &unpack(report);
    text += &noise(report);
    text
}

struct Tables<'a> {
    report: &'a Value,
    names: &'a [&'a str],
    baseline: Option<&'a str>,
}

impl Tables<'_> {
    fn head(&self, title: &str) -> String {
        let cells: String = self.names.iter().map(|name| format!("{name:>18}")).collect();
        format!("\n{title:<24}{cells}\n")
    }

    /// One row: each figure, and in brackets how many times that of the baseline it is.
    fn row(&self, title: &str, figure: impl Fn(&str) -> Option<f64>) -> String {
        let base = self.baseline.and_then(&figure);
        let cell = |name: &&str| match figure(name) {
            None => format!("{:>18}", "–"),
            Some(value) => {
                let ratio = base.map_or(String::new(), |base| format!(" ({:.2})", value / base));
                format!("{:>18}", format!("{}{ratio}", number(value)))
            }
        };
        format!("{title:<24}{}\n", self.names.iter().map(cell).collect::<String>())
    }

    fn start(&self) -> String {
        let part = &self.report["start"];
        if part.is_null() {
            return String::new();
        }
        let mut text = self.head("median ms (to crun)");
        for case in ["run", "run, seccomp", "run, limits", "create", "start", "delete", "cycle", "exec", "state"] {
            if self.names.iter().any(|name| !part[*name][case].is_null()) {
                text += &self.row(case, |name| part[name][case]["median"].as_f64());
            }
        }
        text
    }

    fn cost(&self) -> String {
        let part = &self.report["cost"];
        let mut text = String::new();
        for (bundle, title) in [("plain", "run"), ("seccomp", "run, seccomp")] {
            if part.is_null() {
                continue;
            }
            text += &self.head(title);
            for (key, title) in [
                ("peak_rss_kib", "peak RSS, KiB"),
                ("page_faults", "page faults"),
                ("system_calls", "system calls"),
                ("cpu_ms", "on a CPU, ms"),
            ] {
                text += &self.row(title, |name| part[name][bundle][key].as_f64());
            }
        }
        text
    }

    fn least(&self) -> String {
        match self.report["least"].is_null() {
            true => String::new(),
            false => {
                self.head("")
                    + &self.row("least memory.max, KiB", |name| {
                        self.report["least"][name].as_f64().map(|bytes| bytes / 1024.0)
                    })
            }
        }
    }

    fn many(&self) -> String {
        let part = &self.report["many"];
        let points = self.names.iter().find_map(|name| part[*name].as_array());
        let mut text = String::new();
        for (index, point) in points.into_iter().flatten().enumerate() {
            text += &self.head(&format!("{} alive, ms", point["alive"]));
            for (key, title) in
                [("one_more", "one more"), ("one_less", "one less"), ("list", "list"), ("state", "state of one")]
            {
                text += &self.row(title, |name| part[name][index][key].as_f64());
            }
        }
        text
    }
}

fn pods(report: &Value) -> String {
    let mut text = String::new();
    for point in list(&report["pods"]) {
        let _ = writeln!(text, "{}qos of one pod of {}: {} ms", gap(&text), point["pods"], point["milliseconds"]);
    }
    text
}

fn unpack(report: &Value) -> String {
    let mut text = String::new();
    for kind in ["plain", "gzip", "zstd"] {
        let figures = &report["unpack"][kind];
        if figures.is_null() {
            continue;
        }
        let _ = writeln!(
            text,
            "{}a layer of {} MB, {kind}, on one CPU: {} ms ({} by the clock), tar {} ms ({}): {} of tar's; peak RSS {} KiB, for a tenth \
             of the layer {} KiB",
            gap(&text),
            report["unpack"]["megabytes"],
            figures["glassbox"]["cpu_ms"],
            figures["glassbox"]["wall_ms"],
            figures["tar"]["cpu_ms"],
            figures["tar"]["wall_ms"],
            figures["ratio"],
            figures["peak_rss_kib"][1],
            figures["peak_rss_kib"][0],
        );
    }
    text
}

/// How far the figures can be trusted: the spread of each case, what odd and even runs say, and how busy the machine was.
fn noise(report: &Value) -> String {
    let load = &report["machine"]["load"];
    let mut text = format!("\nNoise: load average {} before, {} after.", load["before"], load["after"]);
    let (mut spread, mut halves): (Vec<f64>, Vec<f64>) = (Vec::new(), Vec::new());
    for summary in report["start"].as_object().into_iter().flatten().flat_map(|(_, cases)| cases.as_object()).flatten()
    {
        let figure = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
        let median = figure(&summary.1["median"]);
        spread.push(figure(&summary.1["mad"]) / median * 100.0);
        let (odd, even) = (figure(&summary.1["halves"][0]), figure(&summary.1["halves"][1]));
        halves.push((odd - even).abs() / median * 100.0);
    }
    if !spread.is_empty() {
        let most = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
        let middle = super::sample::median;
        let _ = write!(
            text,
            " Median absolute deviation: {:.0} % of the median in the middle case, {:.0} % in the worst. Odd and even runs \
             of one case differ by {:.1} % in the middle case, by {:.1} % in the worst: smaller differences say nothing.",
            middle(&spread),
            most(&spread),
            middle(&halves),
            most(&halves),
        );
    }
    text + "\n"
}

fn gap(text: &str) -> &'static str {
    if text.is_empty() { "\n" } else { "" }
}

fn number(value: f64) -> String {
    if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or("?")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
