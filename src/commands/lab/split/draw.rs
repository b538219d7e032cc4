//! Drawing the panes: side by side where there is room, else one above the other. Nothing is told by colour alone.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use unicode_width::UnicodeWidthStr;
use vt100::Screen;

use super::board::{Bar, Board, Zoom};
use super::ink::Ink;
use super::pane;
use crate::commands::lab::phrases;

/// The fewest columns and rows that are worth two panes; below them the lesson is told in the shell's own lines.
const LEAST: (u16, u16) = (60, 20);

/// From this width on the panes stand side by side.
const WIDE: u16 = 100;

/// Where everything stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Areas {
    /// The lesson with its title.
    pub lesson: Option<Rect>,
    /// The rule between panes that stand side by side.
    pub rule: Option<Rect>,
    /// The shell's screen.
    pub shell: Option<Rect>,
    /// The bar of keys.
    pub bar: Rect,
}

/// Whether a terminal of so many columns and rows has room for panes. One that does not know its size (a serial line: 0) has
/// 80 and 24.
pub fn fits((columns, rows): (u16, u16)) -> bool {
    (columns == 0 && rows == 0) || (columns >= LEAST.0 && rows >= LEAST.1)
}

/// Divides a terminal. Without a shell of its own it is the lesson's alone.
pub fn areas((columns, rows): (u16, u16), zoom: Zoom, shell: bool) -> Areas {
    let bar = Rect::new(0, rows.saturating_sub(1), columns, rows.min(1));
    let all = Rect::new(0, 0, columns, rows.saturating_sub(1));
    let small = rows < 12 || columns < 40;
    match zoom {
        _ if !shell => Areas { lesson: Some(all), rule: None, shell: None, bar },
        Zoom::Lesson => Areas { lesson: Some(all), rule: None, shell: None, bar },
        Zoom::Both if !small && columns >= WIDE => {
            let width = (columns * 9 / 20).clamp(48, 72);
            Areas {
                // A column stays free, so that words do not touch the rule.
                lesson: Some(Rect::new(0, 0, width - 1, all.height)),
                rule: Some(Rect::new(width, 0, 1, all.height)),
                shell: Some(Rect::new(width + 1, 0, columns - width - 1, all.height)),
                bar,
            }
        }
        Zoom::Both if !small => {
            let height = (rows / 2).min(20);
            let below = height + 1;
            Areas {
                lesson: Some(Rect::new(0, 0, columns, height)),
                rule: None,
                shell: Some(Rect::new(0, below, columns, rows - below)),
                bar: Rect::new(0, height, columns, 1),
            }
        }
        Zoom::Both | Zoom::Shell => Areas { lesson: None, rule: None, shell: Some(all), bar },
    }
}

/// Draws everything, and tells how many lines of the lesson's text fit.
pub fn draw(frame: &mut Frame<'_>, board: &mut Board<'_>, shell: Option<&Screen>, areas: &Areas, ink: &Ink) -> usize {
    let mut page = 0;
    if let Some(area) = areas.lesson {
        page = lesson(frame, board, area, ink);
    }
    if let Some(area) = areas.rule {
        for y in area.top()..area.bottom() {
            frame.buffer_mut()[(area.x, y)].set_symbol(ink.down);
        }
    }
    if let (Some(area), Some(screen)) = (areas.shell, shell)
        && let Some(cursor) = pane::show(screen, area, frame.buffer_mut())
    {
        frame.set_cursor_position(cursor);
    }
    bar(frame, board, areas, shell.is_some(), ink);
    page
}

fn lesson(frame: &mut Frame<'_>, board: &mut Board<'_>, area: Rect, ink: &Ink) -> usize {
    let height = usize::from(area.height);
    // The text keeps more than half, and at least three lines.
    let most = (height.saturating_sub(2) * 9 / 20).min(height.saturating_sub(5));
    let state = board.state(area.width, most, ink);
    let rule = usize::from(!state.is_empty());
    let page = height.saturating_sub(1 + rule + state.len());
    let part = board.text(area.width, page);
    let place = match part.of > page {
        true => phrases::lines_of(board.teller.lang, part.first + 1, part.first + part.lines.len(), part.of),
        false => String::new(),
    };
    let title = ruled(&board.title(), &place, usize::from(area.width), ink);
    row(frame, area, 0, Line::styled(title, Style::new().add_modifier(Modifier::BOLD)));
    for (at, line) in part.lines.into_iter().enumerate() {
        row(frame, area, 1 + at, line);
    }
    if rule > 0 {
        let heading = ruled(&phrases::kernel_shows(board.teller.lang), "", usize::from(area.width), ink);
        row(frame, area, 1 + page, Line::from(heading));
        for (at, line) in state.into_iter().enumerate() {
            row(frame, area, 2 + page + at, line);
        }
    }
    page
}

/// One row of an area.
fn row(frame: &mut Frame<'_>, area: Rect, at: usize, line: Line<'_>) {
    let at = u16::try_from(at).unwrap_or(u16::MAX);
    if at < area.height {
        frame.render_widget(line, Rect::new(area.x, area.y + at, area.width, 1));
    }
}

/// A rule with words at its beginning and at its end.
fn ruled(left: &str, right: &str, width: usize, ink: &Ink) -> String {
    let lead = ink.across.repeat(2);
    let (mut text, end) = (
        format!("{lead} {left} "),
        match right {
            "" => String::new(),
            right => format!(" {right} {lead}"),
        },
    );
    while text.width() + end.width() > width && text.pop().is_some() {}
    let rest = width.saturating_sub(text.width() + end.width());
    format!("{text}{}{end}", ink.across.repeat(rest))
}

/// The bar of keys, in reverse where the terminal can: as many as fit, the most needed first.
fn bar(frame: &mut Frame<'_>, board: &Board<'_>, areas: &Areas, shell: bool, ink: &Ink) {
    let lang = board.teller.lang;
    let width = usize::from(areas.bar.width);
    let keys = phrases::keys(lang);
    // Where there is but one pane there is nothing to zoom.
    let keys: Vec<_> = keys.split('|').filter(|word| shell || !word.starts_with('z')).collect();
    let (lead, words): (String, Vec<&str>) = match &board.bar {
        Bar::Keys if shell => (phrases::prefix_then(lang), keys),
        Bar::Keys => (String::new(), keys),
        Bar::Now => (phrases::prefix_now(lang), keys),
        Bar::Leave => (phrases::really_leave(lang), Vec::new()),
        Bar::Says(text) => (text.clone(), Vec::new()),
    };
    let mut text = format!(" {lead}");
    for (at, word) in words.into_iter().enumerate() {
        let gap = match at {
            0 if lead.is_empty() => "",
            0 => " ",
            _ => "  ",
        };
        if text.width() + gap.len() + word.width() < width {
            text = format!("{text}{gap}{word}");
        }
    }
    while text.width() > width && text.pop().is_some() {}
    let rest = width.saturating_sub(text.width());
    // Without reverse video (a monochrome terminal that lacks it) the rule still divides the panes.
    let fill = if rest > 1 { format!(" {}", ink.across.repeat(rest - 1)) } else { " ".repeat(rest) };
    let style = match board.bar {
        Bar::Keys => Style::new(),
        Bar::Now | Bar::Leave | Bar::Says(_) => Style::new().add_modifier(Modifier::REVERSED),
    };
    row(frame, areas.bar, 0, Line::styled(format!("{text}{fill}"), style));
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::{Duration, Instant};

    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use ratatui::layout::Rect;
    use unicode_width::UnicodeWidthStr;
    use vt100::Parser;

    use super::{areas, draw, fits};
    use crate::commands::lab::page::Page;
    use crate::commands::lab::split::board::{Bar, Board, Zoom};
    use crate::commands::lab::split::ink::Ink;
    use crate::commands::lab::split::keys::Key;
    use crate::commands::lab::tell::Teller;
    use crate::lab::check::Expect;
    use crate::lab::guide::Told;
    use crate::lab::judge::{Shown, Verdict};
    use crate::lab::lang::Lang;
    use crate::lab::library;
    use crate::lab::script::Lab;

    fn lab() -> Lab {
        let entry = library::embedded().into_iter().find(|entry| entry.id == "mem-oom").expect("embedded");
        entry.lab.expect("sound")
    }

    fn verdict(place: &str, found: Shown, expect: Expect, holds: bool) -> Verdict {
        Verdict { place: place.to_string(), expect, tolerance: None, found, other: None, script: false, holds }
    }

    fn seen() -> Vec<Verdict> {
        let peak = Expect::Between("8M".to_string(), "48M".to_string());
        let kills = Shown::Grown { by: 0.0, now: 2.0 };
        vec![
            verdict("$CG/memory.events (oom_kill)", kills, Expect::Grew("1".to_string()), false),
            verdict("$CG/memory.peak", Shown::Text("12582912".to_string()), peak, true),
        ]
    }

    /// A board at the second step of mem-oom, with a slip made, a hint given, and memory on its way to the limit.
    fn board(lab: &Lab, lang: Lang) -> Board<'_> {
        let teller = Teller { page: Page::plain(80), lang, lab, values: lab.vars.pick(0), drill: false };
        let mut board = Board::new(teller, Some("slow".to_string()));
        board.hear(vec![Told::Entered(1)], 1, seen());
        board.hear(vec![Told::Slipped(1, 0), Told::Ticked(seen().remove(1))], 1, seen());
        board.hear(vec![Told::Hint(1, 0)], 1, seen());
        let (dir, start) = (tempfile::tempdir().expect("a directory"), Instant::now());
        fs::write(dir.path().join("memory.max"), "50331648\n").expect("written");
        for second in 1..=30 {
            fs::write(dir.path().join("memory.current"), (second << 20).to_string()).expect("written");
            board.look(Some(dir.path()), start + Duration::from_secs(second));
        }
        board
    }

    /// What a terminal of this size shows, line by line. Each line is as wide as the terminal.
    fn screen(board: &mut Board<'_>, size: (u16, u16), locale: &str, shell: bool) -> String {
        let areas = areas(size, board.zoom, shell);
        let room = areas.shell.unwrap_or(Rect::new(0, 0, 1, 1));
        let mut parser = Parser::new(room.height.try_into().expect("rows"), room.width.try_into().expect("columns"), 0);
        parser.process("[mem-oom 2/3] # echo 中文\r\n中文\r\n[mem-oom 2/3] # ".as_bytes());
        let ink = Ink::of_locale(|_| Some(locale.to_string()));
        let mut terminal = Terminal::new(TestBackend::new(size.0, size.1)).expect("a terminal");
        let screen = shell.then(|| parser.screen());
        terminal
            .draw(|frame| {
                draw(frame, board, screen, &areas, &ink);
            })
            .expect("drawn");
        let buffer = terminal.backend().buffer();
        let mut lines = Vec::new();
        for y in 0..size.1 {
            let (mut line, mut skip) = (String::new(), 0);
            for x in 0..size.0 {
                let symbol = buffer[(x, y)].symbol();
                if skip == 0 {
                    line.push_str(symbol);
                }
                skip = usize::max(skip, symbol.width()).saturating_sub(1);
            }
            assert_eq!(line.width(), usize::from(size.0), "{line:?}");
            lines.push(line.trim_end().to_string());
        }
        lines.join("\n")
    }

    #[test]
    fn panes_in_english() {
        let lab = lab();
        insta::assert_snapshot!("en_80x24", screen(&mut board(&lab, Lang::En), (80, 24), "C.UTF-8", true));
        insta::assert_snapshot!("en_120x40", screen(&mut board(&lab, Lang::En), (120, 40), "C.UTF-8", true));
    }

    #[test]
    fn panes_in_chinese() {
        let lab = lab();
        insta::assert_snapshot!("zh_80x24", screen(&mut board(&lab, Lang::Zh), (80, 24), "zh_CN.UTF-8", true));
        insta::assert_snapshot!("zh_120x40", screen(&mut board(&lab, Lang::Zh), (120, 40), "zh_CN.UTF-8", true));
    }

    #[test]
    fn a_terminal_of_which_only_ascii_is_known_gets_ascii() {
        let shown = screen(&mut board(&lab(), Lang::En), (80, 24), "C", true);
        assert!(shown.replace("中文", "").is_ascii(), "{shown}");
        insta::assert_snapshot!("ascii_80x24", shown);
    }

    #[test]
    fn the_lesson_alone_asks_for_a_shell_and_takes_keys_without_prefix() {
        let lab = lab();
        let mut board = board(&lab, Lang::En);
        board.joined = false;
        insta::assert_snapshot!("apart_80x24", screen(&mut board, (80, 24), "C.UTF-8", false));
    }

    #[test]
    fn every_step_of_every_lab_is_drawn_whole_in_both_languages() {
        for lab in library::embedded().into_iter().filter_map(|entry| entry.lab.ok()) {
            for (lang, size) in
                [(Lang::En, (80, 24)), (Lang::Zh, (80, 24)), (Lang::En, (120, 40)), (Lang::Zh, (120, 40))]
            {
                for step in 0..lab.steps.len() {
                    let teller =
                        Teller { page: Page::plain(80), lang, lab: &lab, values: lab.vars.pick(0), drill: false };
                    let mut board = Board::new(teller, None);
                    board.hear(vec![Told::Entered(step)], step, seen());
                    let width = areas(size, Zoom::Both, true).lesson.expect("a lesson").width;
                    for line in board.text(width, usize::MAX).lines {
                        assert!(line.width() <= usize::from(width), "{} {lang:?}: {line}", lab.id);
                    }
                }
            }
        }
    }

    #[test]
    fn the_newest_words_are_seen_from_their_beginning_and_the_rest_by_scrolling() {
        let lab = lab();
        let mut board = board(&lab, Lang::En);
        let newest = board.text(80, 6);
        assert!(newest.lines[0].to_string().starts_with("Hint 1 of 3") || newest.first + 6 == newest.of);
        board.scroll(Key::PageUp, 6);
        assert_eq!(board.text(80, 6).first, newest.first - 5);
        for _ in 0..9 {
            board.scroll(Key::PageDown, 6);
        }
        assert_eq!(board.text(80, 6).first + 6, newest.of, "the end is the end");
        board.hear(vec![Told::Done(1), Told::Entered(2)], 2, Vec::new());
        let next = board.text(80, 6);
        assert_eq!((next.first, next.lines[0].to_string().as_str()), (0, "Step 2 of 3 done."));
    }

    #[test]
    fn after_the_last_step_the_words_have_all_the_room() {
        let lab = lab();
        let mut board = board(&lab, Lang::En);
        board.hear(vec![Told::Done(2), Told::Finished], 3, seen());
        let shown = screen(&mut board, (80, 24), "C.UTF-8", true);
        assert!(shown.contains("== All steps done =") && !shown.contains("what the kernel shows now"), "{shown}");
    }

    #[test]
    fn panes_stand_where_there_is_room() {
        assert!(fits((80, 24)) && fits((0, 0)) && !fits((59, 24)) && !fits((80, 19)));
        let stacked = areas((80, 24), Zoom::Both, true);
        assert_eq!((stacked.lesson, stacked.shell), (Some(Rect::new(0, 0, 80, 12)), Some(Rect::new(0, 13, 80, 11))));
        let beside = areas((120, 40), Zoom::Both, true);
        assert_eq!((beside.lesson, beside.shell), (Some(Rect::new(0, 0, 53, 39)), Some(Rect::new(55, 0, 65, 39))));
        assert_eq!(
            areas((30, 10), Zoom::Both, true).shell,
            Some(Rect::new(0, 0, 30, 9)),
            "made smaller: the shell alone"
        );
        assert_eq!(areas((80, 24), Zoom::Lesson, true).shell, None);
    }

    #[test]
    fn the_bar_says_what_was_pressed() {
        let lab = lab();
        let mut board = board(&lab, Lang::En);
        for (bar, expected) in [
            (Bar::Now, " Now press: h hint  s solve"),
            (Bar::Leave, " Leave the lab? y leaves and cleans up, any other key goes on"),
            (Bar::Says("busy".to_string()), " busy"),
        ] {
            board.bar = bar;
            let shown = screen(&mut board, (80, 24), "C.UTF-8", true);
            assert!(shown.lines().nth(12).is_some_and(|line| line.starts_with(expected)), "{shown}");
        }
    }
}
