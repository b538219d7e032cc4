//! The terminal screen of `top`, drawn for 80 by 24: rows above, the selected cgroup's history below. Nothing is told by
//! colour alone.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Sparkline};

use super::app::App;
use super::row::{Row, Use};
use super::table;
use crate::view::text::{bytes, cut, pad, printable};

/// Lines of the history: a rule, a sentence, and four pictures of two lines.
const HISTORY: u16 = 10;
/// Columns before a picture.
const LABEL: u16 = 22;

/// Draws the whole screen.
pub fn draw(frame: &mut Frame<'_>, app: &App, colour: bool) {
    let rows = app.rows();
    let history = if frame.area().height >= 18 && !rows.is_empty() { HISTORY } else { 0 };
    let [title, heading, body, below, footer] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Min(1),
        Constraint::Length(history),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    let width = usize::from(frame.area().width);
    frame.render_widget(Line::from(cut(&self::title(app), width)), title);
    let bold = Style::new().add_modifier(Modifier::BOLD | Modifier::UNDERLINED);
    frame.render_widget(Line::styled(pad(&table::heading(width), width), bold), heading);
    let selected = app.selected(&rows);
    if rows.is_empty() {
        frame.render_widget(Paragraph::new(nothing(app)), body);
    } else {
        self::body(frame, &rows, selected, body, colour);
    }
    if history > 0 {
        self::history(frame, app, &rows[selected], below);
    }
    frame.render_widget(Line::from(cut(&self::footer(app), width)), footer);
}

fn title(app: &App) -> String {
    let at = format!("{:.1} s, look {} of {}", app.time(), app.position() + 1, app.len());
    let state = match (app.replay, app.frozen()) {
        _ if app.is_empty() => "waiting for the first look".to_string(),
        (true, true) => format!("recording, STOPPED at {at}"),
        (true, false) => format!("recording, playing: {at}"),
        (false, true) => format!("FROZEN at {at}"),
        (false, false) => format!("live: {at}"),
    };
    format!("glassbox top  {state}  {}", printable(&app.what))
}

fn nothing(app: &App) -> String {
    match app.filter.as_str() {
        _ if app.is_empty() => String::new(),
        "" => "Nothing is there. `glassbox top /` shows every cgroup.".to_string(),
        filter => format!("No name or path holds {filter:?}."),
    }
}

fn footer(app: &App) -> String {
    if app.typing {
        return format!("show what holds: {}_   (Enter keeps it, Esc takes it away)", app.filter);
    }
    let hold = match (app.replay, app.frozen()) {
        (true, true) => "play",
        (true, false) => "stop",
        (false, true) => "go on",
        (false, false) => "freeze",
    };
    let filter = if app.filter.is_empty() { String::new() } else { format!(": {}", app.filter) };
    let sort = app.sort.word();
    format!("q quit  space {hold}  ←→ [ ] in time  ↑↓ select  s sort: {sort}  / filter{filter}")
}

fn body(frame: &mut Frame<'_>, rows: &[Row], selected: usize, area: Rect, colour: bool) {
    let (height, width) = (usize::from(area.height), usize::from(area.width));
    let first = (selected + 1).saturating_sub(height);
    let lines = rows.iter().enumerate().skip(first).take(height).map(|(at, row)| {
        let mut style = Style::new();
        if row.using.oom_kills_new > 0 {
            style = style.add_modifier(Modifier::BOLD);
            style = if colour { style.fg(Color::Red) } else { style };
        }
        if at == selected {
            style = style.add_modifier(Modifier::REVERSED);
        }
        Line::styled(pad(&table::line(row, width), width), style)
    });
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()), area);
}

/// A picture of the history: what it is called, its value and its limit, the values over time, and the top of its scale.
struct Picture {
    name: &'static str,
    now: String,
    limit: String,
    of: fn(&Use) -> Option<f64>,
    top: f64,
}

fn history(frame: &mut Frame<'_>, app: &App, row: &Row, area: Rect) {
    let width = usize::from(area.width);
    let areas: [Rect; 6] = Layout::vertical([1, 1, 2, 2, 2, 2].map(Constraint::Length)).areas(area);
    frame.render_widget(Line::from("─".repeat(width)), areas[0]);
    let told = table::sentences(&row.name, &row.path, &row.using).join("  ");
    let strong = Span::styled(cut(&printable(&told), width), Style::new().add_modifier(Modifier::BOLD));
    frame.render_widget(strong, areas[1]);
    let history = app.history(&row.path, width.saturating_sub(usize::from(LABEL)));
    for (picture, area) in pictures(row, &history).iter().zip(&areas[2..]) {
        let [label, graph] = Layout::horizontal([Constraint::Length(LABEL), Constraint::Min(1)]).areas(*area);
        let text = format!("{:<9}{}\n{:<9}{}", picture.name, picture.now, "", picture.limit);
        frame.render_widget(Paragraph::new(text), label);
        // Eighths of a line, two lines high.
        let scaled = history.iter().map(|row| {
            let value = row.as_ref().and_then(|row| (picture.of)(&row.using))?;
            Some((1000.0 * value / picture.top).round().clamp(0.0, 1000.0) as u64)
        });
        frame.render_widget(
            Sparkline::default().data(scaled.collect::<Vec<_>>()).max(1000).absent_value_symbol(" "),
            graph,
        );
    }
}

fn pictures(row: &Row, history: &[Option<Row>]) -> [Picture; 4] {
    let using = &row.using;
    let highest = |of: fn(&Use) -> Option<f64>| {
        history.iter().flatten().filter_map(|row| of(&row.using)).fold(0.0, f64::max).max(1.0)
    };
    let percent = |value: Option<f64>| value.map_or("-".to_string(), |value| format!("{value:.0} %"));
    let scale = |top: f64| format!("top {top:.0} %");
    let cpu: fn(&Use) -> Option<f64> = |using| using.cpu_percent;
    let memory: fn(&Use) -> Option<f64> = |using| using.memory.map(|bytes| bytes as f64);
    let cpu_top = using.cpu_limit_percent.unwrap_or_else(|| highest(cpu));
    let memory_top = using.memory_limit.map_or_else(|| highest(memory), |limit| limit as f64);
    let limited = |limited: bool, text: String| if limited { format!("limit {text}") } else { format!("top {text}") };
    [
        Picture {
            name: "cpu",
            now: percent(using.cpu_percent),
            limit: limited(using.cpu_limit_percent.is_some(), format!("{cpu_top:.0} %")),
            of: cpu,
            top: cpu_top.max(0.1),
        },
        Picture {
            name: "throttled",
            now: format!(" {}", percent(using.throttled_percent)),
            limit: scale(100.0),
            of: |using| using.throttled_percent,
            top: 100.0,
        },
        Picture {
            name: "memory",
            now: using.memory.map_or("-".to_string(), bytes),
            limit: limited(using.memory_limit.is_some(), bytes(memory_top as u64)),
            of: memory,
            top: memory_top.max(1.0),
        },
        Picture {
            name: "pressure",
            now: percent(using.highest_pressure()),
            limit: scale(100.0),
            of: |using| using.highest_pressure(),
            top: 100.0,
        },
    ]
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use unicode_width::UnicodeWidthStr;

    use super::*;
    use crate::view::samples;
    use crate::view::top::app::Key;

    fn screen(app: &App, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a screen of memory");
        terminal.draw(|frame| draw(frame, app, false)).expect("it is drawn");
        let buffer = terminal.backend().buffer().clone();
        let lines = (0..height).map(|y| {
            let mut line = String::new();
            let mut x = 0;
            while x < width {
                let symbol = buffer[(x, y)].symbol();
                line.push_str(symbol);
                x += u16::try_from(symbol.width().max(1)).expect("a cell");
            }
            line.trim_end().to_string() + "\n"
        });
        lines.collect()
    }

    #[test]
    fn a_recording_at_the_kill() {
        let mut app = App::replay("web.jsonl", samples::recording().frames);
        for key in [Key::Char(' '), Key::Right, Key::Right, Key::Right, Key::Right, Key::Right, Key::Right, Key::Down] {
            app.key(key);
        }
        insta::assert_snapshot!(screen(&app, 80, 24), @r"
        glassbox top  recording, STOPPED at 6.0 s, look 7 of 10  web.jsonl
        CGROUP         CPU% LIMIT THR%   MEM LIMIT  PSI c/m/io PIDS LIMIT  IO/s MARKS
        container db    0.0     -    -  300M     -   -   -   -    -     -     -
        container web  50.0    50   80 2.00M 64.0M  40   0   -    3   100 4.00K KILL+1









        ────────────────────────────────────────────────────────────────────────────────
        container web  /glassbox-web  1 killed for memory just now (oom_kill), 1 in all…
        cpu      50 %          ██████
                 limit 50 %    ██████
        throttled 80 %         ▄▄▄▄▄▄
                 top 100 %     ██████
        memory   2.00M           ▂▄▇
                 limit 64.0M  ▂▅▇███
        pressure 40 %
                 top 100 %     ▆▆▆▆▆▆
        q quit  space play  ←→ [ ] in time  ↑↓ select  s sort: name  / filter
        ");
    }

    #[test]
    fn every_size_is_drawn_without_a_line_too_wide() {
        let mut app = App::live("容器");
        for size in [(80, 24), (40, 10), (200, 60), (1, 1)] {
            screen(&app, size.0, size.1);
        }
        samples::recording().frames.into_iter().for_each(|frame| app.push(frame));
        for (width, height) in [(80, 24), (40, 10), (200, 60), (13, 3), (1, 1)] {
            let text = screen(&app, width, height);
            assert!(text.lines().all(|line| line.width() <= usize::from(width)), "{text}");
        }
    }

    #[test]
    fn an_empty_screen_says_what_to_do() {
        let mut app = App::live("every container");
        app.push(super::super::frame::Frame::default());
        assert!(screen(&app, 80, 24).contains("`glassbox top /` shows every cgroup"));
        app.key(Key::Char('/'));
        app.key(Key::Char('x'));
        let text = screen(&app, 80, 24);
        assert!(text.contains("No name or path holds \"x\".") && text.contains("show what holds: x_"), "{text}");
    }
}
