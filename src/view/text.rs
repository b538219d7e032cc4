//! Text for a screen of few columns: what a terminal may be sent, and where lines break. Columns are counted as
//! terminals do, so a Chinese character takes two.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// `text` without what would act on a terminal: processes and cgroups may be named anything, escape sequences too.
pub fn printable(text: &str) -> String {
    let invisible = |c: char| {
        c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if invisible(c) { '\u{fffd}' } else { c }).collect()
}

/// Breaks `text` at spaces into lines of at most `width` columns. A word that is too wide by itself is cut.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(2);
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("it begins with one");
        let gap = usize::from(!line.is_empty());
        if line.width() + gap + word.width() <= width {
            line.push_str(&" ".repeat(gap));
            line.push_str(word);
            continue;
        }
        if !line.is_empty() {
            lines.push(String::new());
        }
        for c in word.chars() {
            let line = lines.last_mut().expect("it begins with one");
            if line.width() + c.width().unwrap_or(0) > width {
                lines.push(String::new());
            }
            lines.last_mut().expect("it begins with one").push(c);
        }
    }
    lines
}

/// `text` with spaces behind it up to `width` columns.
pub fn pad(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.width())))
}

/// `text` cut to `width` columns, with an ellipsis where something is missing.
pub fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_string();
    }
    let mut kept = String::new();
    for c in text.chars() {
        if kept.width() + c.width().unwrap_or(0) + 1 > width {
            break;
        }
        kept.push(c);
    }
    if width > 0 {
        kept.push('…');
    }
    kept
}

/// `1 process`, `2 processes`.
pub fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// A number of bytes for people, in powers of 1024, three digits: `64.0M`, `1.50G`, `512`.
pub fn bytes(number: u64) -> String {
    let units = ["", "K", "M", "G", "T", "P", "E"];
    let mut value = number as f64;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    match value {
        _ if unit == 0 => format!("{number}"),
        value if value < 9.995 => format!("{value:.2}{}", units[unit]),
        value if value < 99.95 => format!("{value:.1}{}", units[unit]),
        value => format!("{value:.0}{}", units[unit]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_on_a_terminal_is_taken_out() {
        assert_eq!(printable("sh\x1b[2J\n\u{202e}x"), "sh\u{fffd}[2J\u{fffd}\u{fffd}x");
        assert_eq!(printable("容器 web"), "容器 web");
    }

    #[test]
    fn lines_break_at_spaces_and_words_at_columns() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("容器容器", 5), ["容器", "容器"], "a wide character takes two columns");
        assert_eq!(wrap("", 5), [""]);
    }

    #[test]
    fn what_is_cut_says_so_and_fits() {
        assert_eq!(cut("glassbox", 5), "glas…");
        assert_eq!(cut("容器容器", 5).width(), 5);
        assert_eq!(cut("容器", 4), "容器");
        assert_eq!(cut("x", 0), "");
    }

    #[test]
    fn bytes_have_three_digits() {
        let told: Vec<_> = [0, 512, 1023, 1024, 67_108_864, 1_610_612_736, u64::MAX].map(bytes).into();
        assert_eq!(told, ["0", "512", "1.00K", "1.00K", "64.0M", "1.50G", "16.0E"]);
    }
}
