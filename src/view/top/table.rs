//! The columns of `top`: one line a cgroup, 80 columns wide, limits beside use.

use super::row::{Row, Use};
use crate::view::text::{bytes, cut, pad, printable};

/// A column: its heading, its width, and on which side its values stand.
struct Column {
    heading: &'static str,
    width: usize,
    right: bool,
}

const fn column(heading: &'static str, width: usize) -> Column {
    Column { heading, width, right: true }
}

/// The columns between the name and the marks. `PSI c/m/io` is the pressure on cpu, memory
/// and io, each in percent.
const COLUMNS: [Column; 9] = [
    column("CPU%", 5),
    column("LIMIT", 5),
    column("THR%", 4),
    column("MEM", 5),
    column("LIMIT", 5),
    column("PSI c/m/io", 11),
    column("PIDS", 4),
    column("LIMIT", 5),
    column("IO/s", 5),
];

/// Columns that the marks are given.
const MARKS: usize = 8;

/// The headings.
pub fn heading(width: usize) -> String {
    let cells = COLUMNS.map(|column| cell(column.heading, &column)).join(" ");
    format!("{} {cells} MARKS", pad("CGROUP", name_width(width))).trim_end().to_string()
}

/// One cgroup.
pub fn line(row: &Row, width: usize) -> String {
    let use_ = &row.using;
    let pressure = |of: Option<f64>| percent(of, 0);
    let cells = [
        percent(use_.cpu_percent, 1),
        use_.cpu_limit_percent.map_or("-".to_string(), |limit| percent(Some(limit), 0)),
        percent(use_.throttled_percent, 0),
        amount(use_.memory),
        amount(use_.memory_limit),
        [use_.cpu_pressure, use_.memory_pressure, use_.io_pressure].map(|of| format!("{:>3}", pressure(of))).join(" "),
        number(use_.pids),
        number(use_.pids_limit),
        use_.io_rate().map_or("-".to_string(), |rate| bytes(rate as u64)),
    ];
    let cells = cells.iter().zip(&COLUMNS).map(|(text, column)| cell(text, column)).collect::<Vec<_>>().join(" ");
    let name = name_width(width);
    let marks = cut(&use_.marks(), MARKS.max(width.saturating_sub(name + 1 + cells.len() + 1)));
    format!("{} {cells} {marks}", pad(&cut(&printable(&row.name), name), name)).trim_end().to_string()
}

/// What the line has no room for, in sentences.
pub fn sentences(name: &str, path: &str, using: &Use) -> Vec<String> {
    let mut told = vec![if name == path { path.to_string() } else { format!("{name}  {path}") }];
    match (using.oom_kills, using.oom_kills_new) {
        (0, _) => {}
        (1, 0) => told.push("1 process was killed for memory (oom_kill).".to_string()),
        (all, 0) => told.push(format!("{all} processes were killed for memory (oom_kill).")),
        (all, new) => told.push(format!("{new} killed for memory just now (oom_kill), {all} in all.")),
    }
    if let Some(throttled) = using.throttled_percent.filter(|percent| *percent > 0.0) {
        told.push(format!("Its CPU quota was used up in {} % of the periods.", percent(Some(throttled), 0)));
    }
    if using.high_new > 0 {
        told.push(format!("Held back {} times over memory.high.", using.high_new));
    }
    if using.forks_refused_new > 0 {
        told.push(format!("{} forks refused by pids.max.", using.forks_refused_new));
    }
    if using.frozen {
        told.push("It is frozen.".to_string());
    }
    told
}

/// The name takes what the other columns leave, at least 13 columns.
fn name_width(width: usize) -> usize {
    let others: usize = COLUMNS.iter().map(|column| column.width + 1).sum();
    width.saturating_sub(others + 1 + MARKS).max(13)
}

fn cell(text: &str, column: &Column) -> String {
    if column.right { format!("{text:>width$}", width = column.width) } else { pad(text, column.width) }
}

fn percent(value: Option<f64>, decimals: usize) -> String {
    match value {
        None => "-".to_string(),
        Some(value) if value >= 999.5 => format!("{value:.0}"),
        Some(value) => format!("{value:.decimals$}"),
    }
}

fn amount(value: Option<u64>) -> String {
    value.map_or("-".to_string(), bytes)
}

fn number(value: Option<u64>) -> String {
    match value {
        None => "-".to_string(),
        Some(value) if value > 9999 => format!("{}k", value / 1000),
        Some(value) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr;

    use super::*;
    use crate::view::samples;
    use crate::view::top::row::{Sort, rows};

    #[test]
    fn use_stands_beside_limits_in_80_columns() {
        let frames = samples::recording().frames;
        let mut text = vec![heading(80)];
        for at in [0_usize, 1, 6] {
            let before = at.checked_sub(1).map(|before| &frames[before]);
            text.extend(rows(&frames[at], before, "", Sort::Name).iter().map(|row| line(row, 80)));
        }
        insta::assert_snapshot!(text.join("\n"), @r"
        CGROUP         CPU% LIMIT THR%   MEM LIMIT  PSI c/m/io PIDS LIMIT  IO/s MARKS
        container db      -     -    -  300M     -   -   -   -    -     -     -
        container web     -    50    - 10.0M 64.0M   -   -   -    3   100     -
        container db    0.0     -    -  300M     -   -   -   -    -     -     -
        container web  50.0    50   80 20.0M 64.0M  40   0   -    3   100 4.00K
        container db    0.0     -    -  300M     -   -   -   -    -     -     -
        container web  50.0    50   80 2.00M 64.0M  40   0   -    3   100 4.00K KILL+1
        ");
        assert!(text.iter().all(|line| line.width() <= 80));
    }

    #[test]
    fn a_wide_or_hostile_name_is_cut_by_columns() {
        let frames = samples::recording().frames;
        let mut row = rows(&frames[1], Some(&frames[0]), "", Sort::Name).remove(0);
        row.name = "容器容器容器容器容器\x1b[2J".into();
        let told = line(&row, 80);
        assert!(told.width() <= 80 && !told.contains('\x1b'), "{told}");
        let numbers = |line: &str| line.width() - line.trim_end().width();
        assert_eq!(numbers(&told), 0);
        assert_eq!(
            told.split_once('…').map(|(_, rest)| rest.len()),
            line(&Row { name: "x".repeat(99), ..row }, 80).split_once('…').map(|(_, rest)| rest.len())
        );
    }

    #[test]
    fn what_has_no_room_is_told_in_sentences() {
        let using =
            Use { oom_kills: 3, oom_kills_new: 1, throttled_percent: Some(80.0), frozen: true, ..Use::default() };
        let told = sentences("container web", "/glassbox-web", &using);
        assert_eq!(told[0], "container web  /glassbox-web");
        assert_eq!(told[1], "1 killed for memory just now (oom_kill), 3 in all.");
        assert_eq!(told[2], "Its CPU quota was used up in 80 % of the periods.");
        assert_eq!(sentences("/", "/", &Use::default()), ["/"]);
    }
}
