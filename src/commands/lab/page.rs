//! Laying out a lab's words on a screen: paragraphs wrapped by the columns that characters take, in any language.

use std::io::IsTerminal;

use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::commands::output;
use crate::lab::prose::Prose;
use crate::lab::script::{Values, fill};

/// How wide lines are, and whether they may be coloured.
#[derive(Debug, Clone)]
pub struct Page {
    width: usize,
    colour: bool,
}

/// What is laid out alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Plain,
    Strong,
    Code,
}

/// A piece of text that is never broken, and how it is joined to the piece before it.
struct Atom {
    text: String,
    style: Style,
    space: bool,
    glued: bool,
}

/// The text of an atom that stands for the end of a source line: a space, but not between Chinese characters.
const LINE_END: &str = "\n";

impl Page {
    /// A page for this process's standard output: its columns, at most 100, and 80 where it is no terminal.
    pub fn of_stdout() -> Page {
        let stdout = std::io::stdout();
        let columns = match rustix::termios::tcgetwinsize(&stdout) {
            Ok(size) if stdout.is_terminal() && size.ws_col > 0 => usize::from(size.ws_col),
            _ => 80,
        };
        Page { width: columns.clamp(40, 100), colour: output::colour() }
    }

    /// A page of a given width without colour.
    pub fn plain(width: usize) -> Page {
        Page { width, colour: false }
    }

    /// A page as wide as a pane.
    pub fn pane(width: usize, colour: bool) -> Page {
        Page { width, colour }
    }

    /// Whether text may be coloured.
    pub fn colour(&self) -> bool {
        self.colour
    }

    /// How many columns a line may take.
    pub fn width(&self) -> usize {
        self.width
    }

    /// A heading: its text between rules, as wide as the page.
    pub fn heading(&self, text: &str) -> String {
        let rest = self.width.saturating_sub(text.width() + 4);
        format!("{}\n", self.strong(&format!("== {text} {}", "=".repeat(rest))))
    }

    /// Text in bold.
    pub fn strong(&self, text: &str) -> String {
        self.styled(text, Style::Strong)
    }

    /// A command or a file name.
    pub fn code(&self, text: &str) -> String {
        self.styled(text, Style::Code)
    }

    fn styled(&self, text: &str, style: Style) -> String {
        match (self.colour, style) {
            (true, Style::Strong) => format!("\x1b[1m{text}\x1b[0m"),
            (true, Style::Code) => format!("\x1b[36m{text}\x1b[0m"),
            (false, _) | (_, Style::Plain) => text.to_string(),
        }
    }

    /// Markdown as lines, with the lab's values in place of its variables. `$CG` stays: it is set in the lab's shell.
    pub fn prose(&self, prose: &Prose, values: &Values) -> String {
        let mut values = values.clone();
        values.remove("CG");
        self.markdown(&fill(&prose.markdown, &values))
    }

    fn markdown(&self, markdown: &str) -> String {
        let mut out = String::new();
        let mut atoms = Vec::new();
        let mut lists: Vec<Option<u64>> = Vec::new();
        let mut marker = String::new();
        let mut strong = false;
        let mut code_block = false;
        for event in Parser::new(markdown) {
            match event {
                Event::Start(Tag::Paragraph) if !out.is_empty() && lists.is_empty() => out.push('\n'),
                Event::Start(Tag::List(first)) => {
                    self.flush(&mut out, &mut atoms, &mut marker, lists.len());
                    if lists.is_empty() && !out.is_empty() {
                        out.push('\n');
                    }
                    lists.push(first);
                }
                Event::End(TagEnd::List(_)) => drop(lists.pop()),
                Event::Start(Tag::Item) => {
                    marker = match lists.last_mut() {
                        Some(Some(number)) => {
                            *number += 1;
                            format!("{}. ", *number - 1)
                        }
                        _ => "- ".to_string(),
                    };
                }
                Event::End(TagEnd::Paragraph | TagEnd::Item | TagEnd::Heading(_)) => {
                    self.flush(&mut out, &mut atoms, &mut marker, lists.len());
                }
                Event::Start(Tag::Strong) => strong = true,
                Event::End(TagEnd::Strong) => strong = false,
                Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(_) | CodeBlockKind::Indented)) => {
                    self.flush(&mut out, &mut atoms, &mut marker, lists.len());
                    if !out.is_empty() {
                        out.push('\n');
                    }
                    code_block = true;
                }
                Event::End(TagEnd::CodeBlock) => code_block = false,
                Event::Text(text) if code_block => {
                    for line in text.lines() {
                        out.push_str(&format!("    {}", self.code(line)));
                        out.truncate(out.trim_end().len());
                        out.push('\n');
                    }
                }
                Event::Text(text) => split(&text, if strong { Style::Strong } else { Style::Plain }, &mut atoms),
                Event::Code(code) => push(&mut atoms, format!("`{code}`"), Style::Code, false),
                Event::SoftBreak | Event::HardBreak => push_break(&mut atoms),
                _ => {}
            }
        }
        self.flush(&mut out, &mut atoms, &mut marker, lists.len());
        out
    }

    /// Writes the collected atoms as one wrapped block.
    fn flush(&self, out: &mut String, atoms: &mut Vec<Atom>, marker: &mut String, depth: usize) {
        atoms.pop_if(|last| last.text == LINE_END);
        if atoms.iter().all(|atom| atom.text.is_empty()) {
            atoms.clear();
            return;
        }
        let first = format!("{}{marker}", " ".repeat(2 * depth.saturating_sub(1)));
        // A second paragraph of a list item has no marker and still stands below the first.
        let rest = " ".repeat(if marker.is_empty() { 2 * depth } else { first.width() });
        let first = if marker.is_empty() { rest.clone() } else { first };
        let mut line = first;
        let mut used = line.width();
        let mut fresh = true;
        for unit in units(atoms) {
            let width: usize = unit.iter().map(|atom| atom.text.width()).sum();
            let space = usize::from(unit[0].space && !fresh);
            if !fresh && used + space + width > self.width {
                out.push_str(line.trim_end());
                out.push('\n');
                (line, used, fresh) = (rest.clone(), rest.width(), true);
            }
            if unit[0].space && !fresh {
                line.push(' ');
                used += 1;
            }
            for atom in unit {
                line.push_str(&self.styled(&atom.text, atom.style));
            }
            used += width;
            fresh = false;
        }
        out.push_str(line.trim_end());
        out.push('\n');
        atoms.clear();
        marker.clear();
    }

    /// Plain text, wrapped, with every line but the first indented.
    pub fn wrapped(&self, first: &str, text: &str) -> String {
        let mut atoms = Vec::new();
        split(text, Style::Plain, &mut atoms);
        let mut out = String::new();
        let mut marker = first.to_string();
        self.flush(&mut out, &mut atoms, &mut marker, 0);
        out
    }
}

/// Groups atoms between which no line may be broken; the space before a group is that of its first atom.
fn units(atoms: &[Atom]) -> Vec<&[Atom]> {
    let mut found = Vec::new();
    let mut start = 0;
    for at in 1..=atoms.len() {
        if at == atoms.len() || !atoms[at].glued {
            found.push(&atoms[start..at]);
            start = at;
        }
    }
    found.retain(|unit| unit.iter().any(|atom| !atom.text.is_empty()));
    found
}

/// Splits running text into words, and into single characters where they are wide (Chinese breaks between any two).
fn split(text: &str, style: Style, atoms: &mut Vec<Atom>) {
    let mut word = String::new();
    for c in text.chars() {
        if c.is_whitespace() || is_wide(c) {
            if !word.is_empty() {
                push(atoms, std::mem::take(&mut word), style, false);
            }
            match c.is_whitespace() {
                true => push(atoms, String::new(), style, true),
                false => push(atoms, c.to_string(), style, false),
            }
        } else {
            word.push(c);
        }
    }
    if !word.is_empty() {
        push(atoms, word, style, false);
    }
}

/// Adds an atom; a space is remembered by an empty one and taken over by the next.
fn push(atoms: &mut Vec<Atom>, text: String, style: Style, space: bool) {
    if space {
        if atoms.last().is_some_and(|last| !last.text.is_empty()) {
            atoms.push(Atom { text, style, space: true, glued: false });
        }
        return;
    }
    let gap = atoms.pop_if(|last| last.text.is_empty() || last.text == LINE_END);
    let last = atoms.last().and_then(|atom| atom.text.chars().last());
    let first = text.chars().next();
    let space = match gap {
        None => false,
        Some(gap) if gap.text == LINE_END => !joins(last, first),
        Some(_) => true,
    };
    let glued = match (last, first) {
        (Some(last), Some(first)) if !space => closes(first) || opens(last) || !(is_wide(first) || is_wide(last)),
        _ => false,
    };
    atoms.push(Atom { text, style, space, glued });
}

/// Remembers that a source line ends here.
fn push_break(atoms: &mut Vec<Atom>) {
    if atoms.last().is_some_and(|last| !last.text.is_empty()) {
        atoms.push(Atom { text: LINE_END.to_string(), style: Style::Plain, space: true, glued: false });
    }
}

/// Whether no space belongs between two characters that only the end of a source line separates.
fn joins(last: Option<char>, first: Option<char>) -> bool {
    let (last, first) = (last.unwrap_or(' '), first.unwrap_or(' '));
    let stop = |c: char| is_wide(c) && (closes(c) || opens(c));
    (is_wide(last) && is_wide(first)) || stop(last) || stop(first)
}

fn is_wide(c: char) -> bool {
    c.width() == Some(2)
}

/// Characters that may not begin a line.
fn closes(c: char) -> bool {
    "，。、；：？！）】》」』”’…,.;:?!)]}".contains(c)
}

/// Characters that may not end a line.
fn opens(c: char) -> bool {
    "（【《「『“‘([{".contains(c)
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr;

    use super::Page;

    #[test]
    fn english_is_wrapped_between_words() {
        let page = Page::plain(24);
        let text = "A **cgroup** is a directory; a limit is a file (`memory.max`) in it.\n\nDone.";
        assert_eq!(
            page.markdown(text),
            "A cgroup is a directory;\na limit is a file\n(`memory.max`) in it.\n\nDone.\n"
        );
    }

    #[test]
    fn chinese_is_wrapped_by_columns_and_keeps_its_punctuation() {
        let page = Page::plain(20);
        let laid = page.markdown("内核只会杀死超过上限的组，其他的组不受影响。写入 `memory.max`，再看。");
        assert_eq!(laid, "内核只会杀死超过上限\n的组，其他的组不受影\n响。写入\n`memory.max`，再看。\n");
        assert!(laid.lines().all(|line| line.width() <= 20), "{laid}");
        // A line of the source ends with no space between two characters, and with one before a word.
        assert_eq!(Page::plain(40).markdown("一，\n二\n三\nabc\ndef。\n四"), "一，二三 abc def。四\n");
        // A full stop would begin the third line: the character before it goes with it.
        assert_eq!(Page::plain(8).markdown("一二三四。"), "一二三\n四。\n");
    }

    #[test]
    fn lists_hang_and_code_stays_as_it_is() {
        let page = Page::plain(24);
        let text = "Two:\n- one that is a bit longer than a line\n- two\n\n1. a\n2. b\n\n```sh\necho  a   b\n```\nEnd.";
        assert_eq!(
            page.markdown(text),
            "Two:\n\n- one that is a bit\n  longer than a line\n- two\n\n1. a\n2. b\n\n    echo  a   b\n\nEnd.\n"
        );
    }

    #[test]
    fn a_heading_fills_the_line() {
        assert_eq!(Page::plain(20).heading("内存墙").trim_end().width(), 20);
        assert_eq!(Page::plain(20).wrapped("- ", "as long as two lines"), "- as long as two\n  lines\n");
    }
}
