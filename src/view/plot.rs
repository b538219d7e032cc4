//! Pictures of a recording: what cgroups used over time, against their limits, up to the kill. Made for a projector and
//! for paper without colour: lines differ by their dashes, and each is named at its end.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::text::{cut, printable};
use super::top::frame::{Recording, Sample};
use super::top::row::{self, Use};

/// What a panel shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Panel {
    /// CPU time, percent of one CPU, with cpu.max.
    Cpu,
    /// Periods in which the quota was used up, percent.
    Throttled,
    /// Memory in MiB, with memory.max.
    Memory,
    /// The highest of the three pressures, percent.
    Pressure,
    /// Threads and processes, with pids.max.
    Pids,
    /// KiB a second to and from block devices.
    Io,
}

/// What is drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// The panels, from above.
    pub panels: Vec<Panel>,
    /// What the names or paths of the cgroups hold, or all of them.
    pub of: Vec<String>,
    /// Pixels: the width, and the height of one panel.
    pub size: (u32, u32),
}

/// Why there is no picture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlotError {
    /// No cgroup of the recording is meant.
    #[error("no cgroup of the recording has {wanted:?} in its name or path; it holds {}", held.join(", "))]
    Nobody {
        /// What was asked for.
        wanted: String,
        /// The names that there are.
        held: Vec<String>,
    },
    /// More than can be told apart.
    #[error("the recording holds {0} cgroups, and {MOST} lines can be told apart")]
    Crowd(usize),
    /// One look has no rates.
    #[error("the recording holds one look, and a line needs two")]
    Short,
    /// The drawing library refused.
    #[error("cannot draw: {0}")]
    Drawing(String),
}

/// Lines that can be told apart without colour.
const MOST: usize = 5;
/// Points of a line; more are thinned out, peaks kept.
const POINTS: usize = 1000;
const TITLE: u32 = 52;
/// Room for the names beside the lines.
const LABELS: u32 = 220;
/// Sizes of text: on a projector nothing smaller is read. The library takes 1.24 for a pixel.
const SMALL: u32 = 20;
const MIDDLE: u32 = 23;
const LARGE: u32 = 26;
/// Black first; all of them dark enough to be seen in grey on white.
const COLOURS: [RGBColor; MOST] =
    [RGBColor(0, 0, 0), RGBColor(0, 84, 159), RGBColor(178, 50, 0), RGBColor(0, 110, 60), RGBColor(110, 40, 130)];
const GREY: RGBColor = RGBColor(95, 95, 95);
/// Length of dash and gap; a gap of 0 is a line without.
const DASHES: [(u32, u32); MOST] = [(1, 0), (12, 6), (3, 5), (24, 6), (7, 3)];

type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;
type Drawn<T> = Result<T, PlotError>;

/// A cgroup over time.
struct Line {
    name: String,
    points: Vec<(f64, Option<Use>)>,
}

impl Panel {
    fn title(self) -> &'static str {
        match self {
            Panel::Cpu => "CPU time, % of one CPU",
            Panel::Throttled => "Periods with the CPU quota used up, %",
            Panel::Memory => "Memory, MiB",
            Panel::Pressure => "Pressure: time in which something waited, %",
            Panel::Pids => "Threads and processes",
            Panel::Io => "Block devices, KiB/s",
        }
    }

    fn value(self, using: &Use) -> Option<f64> {
        match self {
            Panel::Cpu => using.cpu_percent,
            Panel::Throttled => using.throttled_percent,
            Panel::Memory => using.memory.map(|bytes| bytes as f64 / f64::from(1 << 20)),
            Panel::Pressure => using.highest_pressure(),
            Panel::Pids => using.pids.map(|pids| pids as f64),
            Panel::Io => using.io_rate().map(|rate| rate / 1024.0),
        }
    }

    /// The limit in the panel's unit, and its file.
    fn limit(self, using: &Use) -> Option<(f64, &'static str)> {
        match self {
            Panel::Cpu => using.cpu_limit_percent.map(|limit| (limit, "cpu.max")),
            Panel::Memory => using.memory_limit.map(|bytes| (bytes as f64 / f64::from(1 << 20), "memory.max")),
            Panel::Pids => using.pids_limit.map(|limit| (limit as f64, "pids.max")),
            Panel::Throttled | Panel::Pressure | Panel::Io => None,
        }
    }

    /// The least that the scale reaches to.
    fn least_top(self) -> f64 {
        match self {
            Panel::Throttled | Panel::Pressure => 100.0,
            Panel::Cpu | Panel::Memory | Panel::Pids | Panel::Io => 1.0,
        }
    }
}

/// Draws a recording as SVG.
///
/// # Errors
/// Where there is nothing to draw, or too much.
pub fn svg(recording: &Recording, picture: &Picture) -> Drawn<String> {
    let lines = lines(recording, &picture.of)?;
    let (width, height) = picture.size;
    let panels = u32::try_from(picture.panels.len()).unwrap_or(u32::MAX);
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, (width, TITLE + height * panels)).into_drawing_area();
        root.fill(&WHITE).map_err(drawing)?;
        let header = &recording.header;
        let title = format!("{} on {}, {}", printable(&header.what), printable(&header.host), header.started);
        root.draw(&Text::new(cut(&title, 90), (16, 14), font(LARGE))).map_err(drawing)?;
        let (_, body) = root.split_vertically(TITLE);
        for (panel, area) in picture.panels.iter().zip(body.split_evenly((picture.panels.len(), 1))) {
            draw(*panel, &lines, &area)?;
        }
        root.present().map_err(drawing)?;
    }
    Ok(text)
}

fn drawing(error: impl std::fmt::Display) -> PlotError {
    PlotError::Drawing(error.to_string())
}

fn font(size: u32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&BLACK)
}

/// The cgroups that are meant, each with its use in every look.
fn lines(recording: &Recording, of: &[String]) -> Drawn<Vec<Line>> {
    let frames = &recording.frames;
    if frames.len() < 2 {
        return Err(PlotError::Short);
    }
    let mut known: Vec<&Sample> = Vec::new();
    for sample in frames.iter().flat_map(|frame| &frame.rows) {
        if !known.iter().any(|one| one.path == sample.path) {
            known.push(sample);
        }
    }
    let holds = |sample: &Sample, text: &str| sample.name.contains(text) || sample.path.contains(text);
    if let Some(wanted) = of.iter().find(|text| !known.iter().any(|sample| holds(sample, text))) {
        let held = known.iter().map(|sample| printable(&sample.name)).collect();
        return Err(PlotError::Nobody { wanted: wanted.clone(), held });
    }
    known.retain(|sample| of.is_empty() || of.iter().any(|text| holds(sample, text)));
    if known.len() > MOST {
        return Err(PlotError::Crowd(known.len()));
    }
    let at = |index: usize, path: &str| {
        let before = index.checked_sub(1).map(|before| &frames[before]);
        let found = frames[index].sample(path).map(|sample| row::row(sample, before, frames[index].t).using);
        (frames[index].t, found)
    };
    let line = |sample: &&Sample| Line {
        name: printable(&sample.name),
        points: (0..frames.len()).map(|index| at(index, &sample.path)).collect(),
    };
    Ok(known.iter().map(line).collect())
}

fn draw(panel: Panel, lines: &[Line], area: &DrawingArea<SVGBackend<'_>, Shift>) -> Drawn<()> {
    let top = top(panel, lines);
    let first = lines.first().and_then(|line| line.points.first()).map_or(0.0, |point| point.0);
    let last = lines.first().and_then(|line| line.points.last()).map_or(1.0, |point| point.0);
    let mut chart = ChartBuilder::on(area)
        .caption(panel.title(), font(MIDDLE))
        .margin_left(12)
        .margin_right(LABELS)
        .x_label_area_size(40)
        .y_label_area_size(66)
        .build_cartesian_2d(first..last, 0.0..top)
        .map_err(drawing)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GREY.mix(0.35))
        .axis_style(BLACK)
        .label_style(font(SMALL))
        .x_labels(8)
        .y_labels(5)
        .x_label_formatter(&|second| format!("{second:.0} s"))
        .y_label_formatter(&|value| format!("{value:.0}"))
        .draw()
        .map_err(drawing)?;
    let mut labels = limits(panel, lines, &mut chart, last)?;
    for (index, line) in lines.iter().enumerate() {
        labels.extend(one(panel, line, index, &mut chart)?);
    }
    if panel == Panel::Memory {
        lines.iter().try_for_each(|line| kills(line, top, &mut chart))?;
    }
    name_ends(labels, area, &chart.plotting_area().get_pixel_range())
}

/// The end of the scale: above every value and limit.
fn top(panel: Panel, lines: &[Line]) -> f64 {
    let uses = || lines.iter().flat_map(|line| &line.points).filter_map(|(_, using)| using.as_ref());
    let values = uses().filter_map(|using| panel.value(using)).fold(panel.least_top(), f64::max);
    let limits = uses().filter_map(|using| panel.limit(using)).map(|(limit, _)| limit);
    // A limit far above all use would press the lines flat.
    let highest = limits.filter(|limit| *limit <= 4.0 * values).fold(values, f64::max);
    let killed = panel == Panel::Memory && uses().any(|using| using.oom_kills_new > 0);
    // A kill is told above the lines.
    highest * if killed { 1.3 } else { 1.08 }
}

/// A label beside the end of a line: where it should stand, in pixels, what it says, and in which colour.
struct Label {
    y: i32,
    text: String,
    colour: RGBColor,
}

/// A line in its dashes, and its name.
fn one(panel: Panel, line: &Line, index: usize, chart: &mut Chart<'_, '_>) -> Drawn<Option<Label>> {
    let (colour, (dash, gap)) = (COLOURS[index], DASHES[index]);
    let style = ShapeStyle::from(&colour).stroke_width(2);
    let mut end = None;
    for run in runs(panel, line) {
        end = run.last().copied().or(end);
        match gap {
            0 => chart.draw_series(LineSeries::new(run, style)).map(drop),
            gap => chart.draw_series(DashedLineSeries::new(run, dash, gap, style)).map(drop),
        }
        .map_err(drawing)?;
    }
    let label = end.map(|end| Label { y: chart.backend_coord(&end).1, text: line.name.clone(), colour });
    Ok(label)
}

/// The parts of a line without a gap: the cgroup may come and go.
fn runs(panel: Panel, line: &Line) -> Vec<Vec<(f64, f64)>> {
    let step = line.points.len().div_ceil(POINTS).max(1);
    let mut runs = vec![Vec::new()];
    for points in line.points.chunks(step) {
        let values = points.iter().filter_map(|(t, using)| Some((*t, panel.value(using.as_ref()?)?)));
        // Of several looks the peak is kept, so that a short one does not vanish.
        match values.max_by(|one, other| one.1.total_cmp(&other.1)) {
            Some(point) => runs.last_mut().expect("it begins with one").push(point),
            None => runs.push(Vec::new()),
        }
    }
    runs.retain(|run| !run.is_empty());
    runs
}

/// Limits as thin grey lines, each told once.
fn limits(panel: Panel, lines: &[Line], chart: &mut Chart<'_, '_>, last: f64) -> Drawn<Vec<Label>> {
    let mut told: Vec<f64> = Vec::new();
    let mut labels = Vec::new();
    let range = chart.y_range();
    for line in lines {
        let found = line.points.iter().rev().filter_map(|(_, using)| panel.limit(using.as_ref()?)).next();
        let Some((limit, file)) = found.filter(|(limit, _)| *limit <= range.end) else { continue };
        if told.contains(&limit) {
            continue;
        }
        told.push(limit);
        let limited = line.points.iter().filter_map(|(t, using)| Some((*t, panel.limit(using.as_ref()?)?.0)));
        let style = ShapeStyle::from(&GREY).stroke_width(1);
        chart.draw_series(DashedLineSeries::new(limited.collect::<Vec<_>>(), 6, 3, style)).map_err(drawing)?;
        let y = chart.backend_coord(&(last, limit)).1;
        labels.push(Label { y, text: format!("{file} {}", trimmed(limit)), colour: GREY });
    }
    Ok(labels)
}

fn trimmed(number: f64) -> String {
    let text = format!("{number:.1}");
    text.trim_end_matches(".0").to_string()
}

/// A kill by the OOM killer: a line from top to bottom, and a word.
fn kills(line: &Line, top: f64, chart: &mut Chart<'_, '_>) -> Drawn<()> {
    for (t, using) in &line.points {
        let Some(new) = using.as_ref().map(|using| using.oom_kills_new).filter(|new| *new > 0) else { continue };
        let style = ShapeStyle::from(&BLACK).stroke_width(2);
        let down = vec![(*t, 0.0), (*t, top)];
        chart.draw_series(DashedLineSeries::new(down, 2, 4, style)).map_err(drawing)?;
        let who = cut(&line.name, 24);
        let text = if new == 1 { format!("killed: {who}") } else { format!("{new} killed: {who}") };
        let right = chart.x_range();
        // On the side where there is room.
        let (side, offset) = if *t > (right.start + right.end) / 2.0 { (HPos::Right, -6) } else { (HPos::Left, 6) };
        let style = font(SMALL).pos(Pos::new(side, VPos::Top));
        let label = EmptyElement::at((*t, top)) + Text::new(text, (offset, 2), style);
        chart.draw_series(std::iter::once(label)).map_err(drawing)?;
    }
    Ok(())
}

/// Writes the labels beside the ends of their lines, moved apart where they would cover each other.
fn name_ends(
    mut labels: Vec<Label>,
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    (columns, rows): &(Range<i32>, Range<i32>),
) -> Drawn<()> {
    const LINE: i32 = 20;
    let (left, above) = area.get_base_pixel();
    labels.sort_by_key(|label| label.y);
    for index in 1..labels.len() {
        labels[index].y = labels[index].y.max(labels[index - 1].y + LINE);
    }
    // The lowest must not slip down to the names of the axis, and pushes the others up.
    let mut lowest = rows.end;
    for label in labels.iter_mut().rev() {
        label.y = label.y.min(lowest);
        lowest = label.y - LINE;
    }
    for label in &labels {
        let style = font(SMALL).color(&label.colour).pos(Pos::new(HPos::Left, VPos::Center));
        let at = (columns.end - left + 8, label.y - above);
        area.draw(&Text::new(cut(&label.text, 20), at, style)).map_err(drawing)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::samples;

    fn picture(panels: &[Panel], of: &[&str]) -> Picture {
        let of = of.iter().map(ToString::to_string).collect();
        Picture { panels: panels.to_vec(), of, size: (1000, 240) }
    }

    /// The texts of a picture, in their order.
    fn texts(svg: &str) -> Vec<&str> {
        let parts = svg.split("<text ").skip(1).filter_map(|part| part.split_once('>')?.1.split_once("</text>"));
        parts.map(|(text, _)| text.trim()).collect()
    }

    #[test]
    fn a_line_is_named_beside_its_limit_and_a_kill_is_marked_once() {
        let svg = svg(&samples::recording(), &picture(&[Panel::Memory], &["web"])).expect("a picture");
        let texts = texts(&svg);
        for text in ["Memory, MiB", "memory.max 64", "container web", "killed: container web"] {
            assert_eq!(texts.iter().filter(|found| **found == text).count(), 1, "{text}: {texts:?}");
        }
        assert!(!texts.contains(&"container db"), "{texts:?}");
    }

    #[test]
    fn each_panel_has_its_title_and_the_picture_their_height() {
        let panels = [Panel::Cpu, Panel::Throttled, Panel::Memory, Panel::Pressure, Panel::Pids, Panel::Io];
        let svg = svg(&samples::recording(), &picture(&panels, &[])).expect("a picture");
        let texts = texts(&svg);
        assert!(panels.iter().all(|panel| texts.contains(&panel.title())), "{texts:?}");
        assert!(svg.starts_with(&format!("<svg width=\"1000\" height=\"{}\"", TITLE + 6 * 240)), "{}", &svg[..80]);
    }

    #[test]
    fn lines_differ_without_colour() {
        let (mut dashes, mut grey) =
            (DASHES.to_vec(), COLOURS.map(|colour| colour.0.max(colour.1).max(colour.2)).to_vec());
        dashes.sort_unstable();
        dashes.dedup();
        assert_eq!(dashes.len(), MOST);
        grey.retain(|bright| *bright > 180);
        assert!(grey.is_empty(), "too bright for paper: {grey:?}");
    }

    #[test]
    fn names_at_the_ends_do_not_cover_each_other() {
        let mut recording = samples::recording();
        for frame in &mut recording.frames {
            let web = frame.rows[1].clone();
            let mut web = web.clone();
            web.stat.cpu.as_mut().expect("it is sampled").usage_usec = 0;
            frame.rows = (0..MOST)
                .map(|at| Sample { path: format!("/{at}"), name: format!("容器{at}"), ..web.clone() })
                .collect();
        }
        let svg = svg(&recording, &picture(&[Panel::Cpu], &[])).expect("a picture");
        let mut heights: Vec<i32> = svg
            .split("<text ")
            .filter(|part| part.contains("容器"))
            .filter_map(|part| part.split_once(" y=\"")?.1.split_once('"')?.0.parse().ok())
            .collect();
        heights.sort_unstable();
        assert_eq!(heights.len(), MOST);
        assert!(heights.windows(2).all(|pair| pair[1] - pair[0] >= 20), "{heights:?}");
        let axis = svg.split("<text ").find(|part| part.contains("\n0 s\n")).expect("the axis is named");
        let axis: i32 =
            axis.split_once(" y=\"").and_then(|(_, rest)| rest.split_once('"')?.0.parse().ok()).expect("a height");
        assert!(heights[MOST - 1] < axis - 8, "{heights:?} {axis}: the ends of lines that lie on the axis");
    }

    #[test]
    fn a_gap_stays_a_gap_and_a_peak_is_not_thinned_out() {
        let using = |memory: u64| Some(Use { memory: Some(memory << 20), ..Use::default() });
        let gap = Line { name: String::new(), points: vec![(0.0, using(1)), (1.0, None), (2.0, using(3))] };
        assert_eq!(runs(Panel::Memory, &gap), [vec![(0.0, 1.0)], vec![(2.0, 3.0)]]);
        let points = (0..10_000).map(|t| (f64::from(t), using(if t == 7777 { 500 } else { 1 }))).collect();
        let runs = runs(Panel::Memory, &Line { name: String::new(), points });
        assert_eq!(runs[0].len(), POINTS);
        assert!(runs[0].contains(&(7777.0, 500.0)));
    }

    #[test]
    fn what_cannot_be_drawn_is_told() {
        let recording = samples::recording();
        let error = svg(&recording, &picture(&[Panel::Cpu], &["nobody"])).expect_err("nobody").to_string();
        assert!(error.ends_with("it holds container db, container web"), "{error}");
        let short = Recording { frames: recording.frames[..1].to_vec(), ..recording.clone() };
        assert_eq!(svg(&short, &picture(&[Panel::Cpu], &[])), Err(PlotError::Short));
        let mut crowd = recording;
        crowd.frames[0].rows = (0..6).map(|at| Sample { path: format!("/{at}"), ..Sample::default() }).collect();
        assert_eq!(svg(&crowd, &picture(&[Panel::Cpu], &["/"])), Err(PlotError::Crowd(8)));
    }

    #[test]
    fn a_hostile_name_stays_text() {
        let mut recording = samples::recording();
        for frame in &mut recording.frames {
            frame.rows[1].name = "<script>&\"x\x1b".into();
        }
        let svg = svg(&recording, &picture(&[Panel::Memory], &[])).expect("a picture");
        assert!(!svg.contains("<script>") && svg.contains("&lt;script&gt;") && !svg.contains('\x1b'));
    }
}
