//! The times as a picture: for each case a bar for each runtime, as long as its median, with the ratio to crun beside it.

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use serde_json::Value;

const CASES: [&str; 8] = ["run", "run, seccomp", "run, limits", "create", "start", "delete", "cycle", "exec"];
const WIDTH: u32 = 1000;
/// Pixels of one bar with its gap, of the gap between cases, and of the room for names and words beside bars.
const BAR: i32 = 20;
const GAP: i32 = 16;
const LEFT: i32 = 250;
const RIGHT: i32 = 150;
const TOP: i32 = 56;
/// Dark enough to be told apart in grey.
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 84, 159),
    RGBColor(120, 170, 215),
    RGBColor(178, 50, 0),
    RGBColor(225, 150, 110),
    RGBColor(90, 90, 90),
    RGBColor(180, 180, 180),
];

struct Bar<'a> {
    case: Option<&'a str>,
    name: &'a str,
    milliseconds: f64,
    ratio: Option<f64>,
    colour: RGBColor,
}

/// Draws the report's times into the file `path`, as SVG.
pub fn draw(report: &Value, path: &Path) -> Result<()> {
    let bars = bars(report);
    let cases = bars.iter().filter(|bar| bar.case.is_some()).count() as i32;
    let height = TOP + bars.len() as i32 * BAR + cases * GAP + 20;
    let most = bars.iter().map(|bar| bar.milliseconds).fold(0.0, f64::max);
    let area = SVGBackend::new(path, (WIDTH, height as u32)).into_drawing_area();
    let failed = |error: &dyn std::fmt::Display| anyhow!("cannot draw: {error}");
    area.fill(&WHITE).map_err(|error| failed(&error))?;
    let text = |words: &str, x: i32, y: i32, size: u32, side: HPos| {
        let style = ("sans-serif", size).into_font().color(&BLACK).pos(Pos::new(side, VPos::Center));
        area.draw(&Text::new(words.to_string(), (x, y), style)).map_err(|error| failed(&error))
    };
    let kernel = report["machine"]["kernel"].as_str().context("the report names its kernel")?;
    text(&format!("median milliseconds, and times crun's (Linux {kernel})"), 20, TOP / 2, 22, HPos::Left)?;
    let mut y = TOP;
    for bar in &bars {
        if let Some(case) = bar.case {
            y += GAP;
            text(case, 20, y + BAR / 2, 18, HPos::Left)?;
        }
        let length = (bar.milliseconds / most * f64::from(WIDTH as i32 - LEFT - RIGHT)) as i32;
        let corners = [(LEFT, y + 2), (LEFT + length.max(1), y + BAR - 2)];
        area.draw(&Rectangle::new(corners, bar.colour.filled())).map_err(|error| failed(&error))?;
        text(bar.name, LEFT - 8, y + BAR / 2, 15, HPos::Right)?;
        let ratio = bar.ratio.map_or(String::new(), |ratio| format!(" ({ratio:.2})"));
        text(&format!("{:.2}{ratio}", bar.milliseconds), LEFT + length + 6, y + BAR / 2, 15, HPos::Left)?;
        y += BAR;
    }
    area.present().map_err(|error| failed(&error))
}

fn bars(report: &Value) -> Vec<Bar<'_>> {
    let peers = report["peers"].as_array().map_or(&[][..], Vec::as_slice);
    let median = |name: &str, case: &str| report["start"][name][case]["median"].as_f64();
    let mut bars = Vec::new();
    for case in CASES {
        let base = report["baseline"].as_str().and_then(|name| median(name, case));
        let mut first = Some(case);
        for (peer, colour) in peers.iter().zip(COLOURS.into_iter().cycle()) {
            let Some(name) = peer["name"].as_str() else { continue };
            let Some(milliseconds) = median(name, case) else { continue };
            let ratio = base.map(|base| milliseconds / base);
            bars.push(Bar { case: first.take(), name, milliseconds, ratio, colour });
        }
    }
    bars
}
