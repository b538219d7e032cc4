//! The report: every attempt on one page of HTML that needs nothing beside itself, with its plots as inline SVG and its data
//! as JSON for programs.

use super::attempt::{Attempt, Evidence, Plot, Walked};
use super::gauge::Limit;

const STYLE: &str = "body{font:16px/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}\
table{border-collapse:collapse;margin:.5rem 0 1rem;width:100%}td,th{border-bottom:1px solid #ccc;padding:.2rem .6rem;\
text-align:left;vertical-align:top}code{font-size:.9em;overflow-wrap:anywhere}h2{margin-top:2.5rem}svg{background:#f6f6f6;\
max-width:100%}figure{margin:0 0 1rem}figcaption{font-size:.9em}";

/// The page, in English: the kernel's words and figures are what it is about.
pub fn html(attempts: &[Attempt]) -> String {
    let mut out = String::from("<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n");
    out.push_str("<meta name=\"viewport\" content=\"width=device-width\">\n<title>glassbox: labs</title>\n");
    out.push_str(&format!("<style>{STYLE}</style>\n<h1>Labs taken with glassbox</h1>\n"));
    out.push_str("<table>\n<tr><th>lab<th>began (UTC)<th>steps<th>hints<th>slips<th>predicted<th>came out\n");
    for attempt in attempts {
        out.push_str(&summary(attempt));
    }
    out.push_str("</table>\n");
    for attempt in attempts {
        out.push_str(&section(attempt));
    }
    // `</` cannot end the element inside a JSON string, where `/` may be escaped.
    let json = serde_json::to_string(attempts).unwrap_or_default().replace("</", "<\\/");
    out + &format!("<script type=\"application/json\" id=\"attempts\">{json}</script>\n</html>\n")
}

fn summary(attempt: &Attempt) -> String {
    let hints: usize = attempt.steps.iter().map(|step| step.hints).sum();
    let slips: usize = attempt.steps.iter().map(|step| step.slips.len()).sum();
    let dash = |text: &Option<String>| text.as_deref().map_or("-".to_string(), escaped);
    let lab = escaped(&attempt.lab);
    format!(
        "<tr><td><a href=\"#{lab}\">{lab}</a><td>{}<td>{}{}<td>{hints}<td>{slips}<td>{}<td>{}\n",
        escaped(&attempt.began),
        attempt.steps.len(),
        if attempt.finished { ", all" } else { "" },
        dash(&attempt.prediction),
        dash(&attempt.answer),
    )
}

fn section(attempt: &Attempt) -> String {
    let machine = &attempt.machine;
    let mut out = format!("<h2 id=\"{}\">{}</h2>\n", escaped(&attempt.lab), escaped(&attempt.title));
    out.push_str(&format!(
        "<p>Linux {} on {}, {} CPUs, {} MiB of memory, cgroup v2 at {}; glassbox {}.",
        escaped(&machine.kernel),
        escaped(&machine.architecture),
        machine.cpus,
        machine.memory >> 20,
        if machine.cgroup2.is_empty() { "no place".to_string() } else { escaped(&machine.cgroup2) },
        escaped(&machine.glassbox),
    ));
    for (name, value) in &attempt.values {
        out.push_str(&format!(" <code>${}</code> was {}.", escaped(name), escaped(value)));
    }
    out.push_str("</p>\n");
    for step in &attempt.steps {
        out.push_str(&walked(step));
    }
    out
}

fn walked(step: &Walked) -> String {
    let mut out = format!("<h3>{}</h3>\n<p>{:.0} s, {} hints", escaped(&step.id), step.seconds, step.hints);
    for slip in &step.slips {
        out.push_str(&format!(", slip <code>{}</code>", escaped(slip)));
    }
    out.push_str(if step.helped { ", solved by the runner.</p>\n" } else { ", done by the learner.</p>\n" });
    out.push_str("<table>\n<tr><th>the kernel's file<th>said<th>expected\n");
    for Evidence { place, found, expected } in &step.evidence {
        out.push_str(&format!(
            "<tr><td><code>{}</code><td>{}<td>{}\n",
            escaped(place),
            escaped(found),
            escaped(expected)
        ));
    }
    out.push_str("</table>\n");
    for plot in step.plots.iter().filter(|plot| plot.points.len() > 1) {
        out.push_str(&drawn(plot));
    }
    out
}

/// Width and height of a plot, in pixels.
const SIZE: (f64, f64) = (640.0, 120.0);

/// A plot as a line, its limit as a dashed one; the caption says what stands at their ends, so that it can be read without
/// seeing it.
fn drawn(plot: &Plot) -> String {
    let last = plot.points.last().map_or(0.0, |(time, _)| *time);
    let first = plot.points.first().map_or(0.0, |(time, _)| *time);
    let highest = plot.points.iter().map(|(_, value)| *value).fold(0.0, f64::max);
    let lowest = plot.points.iter().map(|(_, value)| *value).fold(f64::MAX, f64::min);
    let top = plot.limit.as_ref().map_or(highest, |limit| limit.value.max(highest));
    let share = |value: f64, low: f64, high: f64| if high > low { (value - low) / (high - low) } else { 0.0 };
    let height = |value: f64| SIZE.1 - share(value, 0.0, top) * (SIZE.1 - 8.0) - 4.0;
    let place = |(time, value): &(f64, f64)| format!("{:.1},{:.1}", share(*time, first, last) * SIZE.0, height(*value));
    let points: Vec<_> = plot.points.iter().map(place).collect();
    let figure = |value: f64| escaped(plot.unit.text(value));
    let (line, limit) = match &plot.limit {
        None => (String::new(), String::new()),
        Some(Limit { file, value }) => (
            format!(
                "<line x1=\"0\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#222\" stroke-dasharray=\"8 5\"/>",
                SIZE.0,
                y = height(*value)
            ),
            format!("; dashed: <code>{}</code>, {}", escaped(file), figure(*value)),
        ),
    };
    format!(
        "<figure><svg viewBox=\"0 0 {width} {}\" width=\"{width}\" role=\"img\">{line}<polyline fill=\"none\" \
         stroke=\"#0b5394\" stroke-width=\"2\" points=\"{}\"/></svg><figcaption><code>{}</code>: {} to {}, in {:.0} \
         s{limit}</figcaption></figure>\n",
        SIZE.1,
        points.join(" "),
        escaped(&plot.file),
        figure(lowest),
        figure(highest),
        last - first,
        width = SIZE.0,
    )
}

fn escaped(text: impl AsRef<str>) -> String {
    let text = text.as_ref();
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::html;
    use crate::lab::attempt::{Attempt, Evidence, Plot, Walked};
    use crate::lab::gauge::{Limit, Unit};

    #[test]
    fn a_report_has_evidence_plots_and_data_and_lets_nothing_through() {
        let step = Walked {
            id: "wall".to_string(),
            slips: vec!["too-small".to_string()],
            evidence: vec![Evidence {
                place: "$CG/memory.events".to_string(),
                found: "+1 <b>".to_string(),
                expected: "at least +1".to_string(),
            }],
            plots: vec![Plot {
                file: "memory.current".to_string(),
                unit: Unit::Bytes,
                points: vec![(0.0, 0.0), (0.5, 4096.0), (1.0, 2048.0)],
                limit: Some(Limit { file: "memory.max".to_string(), value: 8192.0 }),
            }],
            ..Walked::default()
        };
        let title = "The </script><wall>".to_string();
        let attempt = Attempt { lab: "mem-oom".to_string(), title, steps: vec![step], ..Attempt::default() };
        let page = html(&[attempt]);
        for expected in [
            "<h2 id=\"mem-oom\">The &lt;/script&gt;&lt;wall&gt;</h2>",
            "slip <code>too-small</code>, done by the learner.",
            "<td><code>$CG/memory.events</code><td>+1 &lt;b&gt;<td>at least +1",
            "points=\"0.0,116.0 320.0,60.0 640.0,88.0\"",
            "y1=\"4.0\"",
            "memory.current</code>: 0 to 4K, in 1 s; dashed: <code>memory.max</code>, 8K<",
            "\"title\":\"The <\\/script><wall>\"",
        ] {
            assert!(page.contains(expected), "{expected}\n{page}");
        }
        assert!(!page.contains("http"), "nothing is fetched from elsewhere");
        assert_eq!(page.matches("</script>").count(), 1);
    }
}
