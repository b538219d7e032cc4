//! What can be drawn: characters for the terminal's character set, and the teller's text as lines of spans.

use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthChar;

/// The characters of rules and of small bar charts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ink {
    /// A rule from left to right.
    pub across: &'static str,
    /// A rule from above to below.
    pub down: &'static str,
    /// Bars, the lowest first.
    pub bars: [&'static str; 8],
}

const UTF8: Ink = Ink { across: "─", down: "│", bars: ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"] };
/// For a terminal of which only ASCII is known: the fuller the character, the higher the bar.
const ASCII: Ink = Ink { across: "-", down: "|", bars: ["_", ".", "-", "=", "+", "*", "%", "#"] };

impl Ink {
    /// What the locale's character set has: the first non-empty one of `LC_ALL`, `LC_CTYPE` and `LANG` names it
    /// (locale(7)).
    pub fn of_locale(variable: impl Fn(&str) -> Option<String>) -> Ink {
        let set =
            ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| variable(name).filter(|value| !value.is_empty()));
        let set = set.unwrap_or_default().to_ascii_lowercase();
        if set.contains("utf-8") || set.contains("utf8") { UTF8 } else { ASCII }
    }
}

/// The teller's text as lines of at most `width` columns: of the escape sequences that a page writes (bold, cyan, plain)
/// spans are made, and a line that a page leaves whole (a command) goes on in the next one, indented.
pub fn lines(text: &str, width: usize) -> Vec<Line<'static>> {
    let mut style = Style::new();
    let mut found = Vec::new();
    for line in text.lines() {
        let mut spans = Vec::new();
        let mut pieces = line.split("\x1b[");
        let plain = pieces.next().unwrap_or_default();
        spans.push(Span::styled(plain.to_string(), style));
        for piece in pieces {
            let (code, text) = piece.split_once('m').unwrap_or(("0", piece));
            style = match code {
                "1" => style.add_modifier(Modifier::BOLD),
                "36" => style.fg(Color::Cyan),
                _ => Style::new(),
            };
            spans.push(Span::styled(text.to_string(), style));
        }
        spans.retain(|span| !span.content.is_empty());
        found.extend(wrapped(Line::from(spans), width));
    }
    found
}

/// A line in pieces of at most `width` columns, broken behind a space where there is one in its second half.
fn wrapped(line: Line<'static>, width: usize) -> Vec<Line<'static>> {
    if line.width() <= width {
        return vec![line];
    }
    let cells: Vec<_> = line.spans.iter().flat_map(|span| span.content.chars().map(|c| (c, span.style))).collect();
    let lead = cells.iter().take_while(|(c, _)| *c == ' ').count();
    let indent = if lead + 2 < width / 2 { lead + 2 } else { 0 };
    let (mut found, mut rest) = (Vec::new(), cells.as_slice());
    while !rest.is_empty() {
        let first = if found.is_empty() { 0 } else { indent };
        let mut used = first;
        let fit = rest.iter().take_while(|(c, _)| {
            used += c.width().unwrap_or(0);
            used <= width
        });
        let fit = fit.count().max(1);
        let space = rest[..fit].iter().rposition(|(c, _)| *c == ' ').filter(|at| *at > fit / 2);
        let end = if fit == rest.len() { fit } else { space.map_or(fit, |at| at + 1) };
        let mut spans = vec![Span::raw(" ".repeat(first))];
        spans.extend(rest[..end].iter().map(|(c, style)| Span::styled(c.to_string(), *style)));
        found.push(Line::from(spans));
        rest = &rest[end..];
    }
    found
}

#[cfg(test)]
mod tests {
    use ratatui::style::{Color, Modifier, Style};
    use ratatui::text::Span;

    use super::{ASCII, Ink, UTF8, lines};

    #[test]
    fn only_a_utf8_locale_gets_more_than_ascii() {
        let of = |pairs: &[(&str, &str)]| {
            Ink::of_locale(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_string()))
        };
        assert_eq!(of(&[("LANG", "zh_CN.UTF-8")]), UTF8);
        assert_eq!(of(&[("LANG", "en_US.utf8")]), UTF8);
        assert_eq!(of(&[("LANG", "C")]), ASCII);
        assert_eq!(of(&[("LANG", "en_US.UTF-8"), ("LC_ALL", "C")]), ASCII);
        assert_eq!(of(&[]), ASCII);
    }

    #[test]
    fn the_styles_of_a_page_become_spans() {
        let found = lines("a \x1b[1mb\x1b[0m c\n\x1b[36md\x1b[0m", 80);
        let bold = Style::new().add_modifier(Modifier::BOLD);
        assert_eq!(found[0].spans, [Span::raw("a "), Span::styled("b", bold), Span::raw(" c")]);
        assert_eq!(found[1].spans, [Span::styled("d", Style::new().fg(Color::Cyan))]);
    }

    #[test]
    fn a_command_that_is_too_long_goes_on_in_the_next_line() {
        let shown = |text, width| lines(text, width).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(shown("  echo one two three four", 16), ["  echo one two ", "    three four"]);
        assert_eq!(shown("0123456789", 4), ["0123", "4567", "89"], "nothing to break at");
        assert_eq!(shown("中文中文", 5), ["中文", "中文"]);
    }
}
