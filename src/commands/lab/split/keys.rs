//! What the learner types: everything is the shell's, but for the key after the prefix.
//!
//! Bytes are passed on as the terminal sent them, so that no key of the shell is lost on the way.

/// The prefix: Ctrl-G, which readline only uses to give up a search.
pub const PREFIX: u8 = 0x07;

/// Where typed bytes go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Typed {
    /// To the shell.
    Shell(Vec<u8>),
    /// To the lesson.
    Key(Key),
}

/// A key for the lesson.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// A letter.
    Letter(u8),
    /// One line towards the beginning.
    Up,
    /// One line towards the end.
    Down,
    /// One page towards the beginning.
    PageUp,
    /// One page towards the end.
    PageDown,
    /// The prefix was pressed: what follows is for the lesson.
    Prefix,
    /// What was pressed after the prefix means nothing.
    Nothing,
}

/// The keyboard.
#[derive(Debug)]
pub struct Keyboard {
    /// Whether there is a shell in this terminal. Without one, every key is the lesson's.
    shell: bool,
    state: State,
    /// The escape sequence of the lesson's that has begun.
    sequence: Vec<u8>,
    /// The last bytes, by which the ends of a paste are known.
    last: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Everything goes to the shell.
    Shell,
    /// The next key is the lesson's.
    Prefixed,
    /// The lesson was scrolled; so it is by further arrows, and anything else goes to the shell again.
    Scrolling,
    /// Pasted text goes to the shell, whatever is in it.
    Pasting,
}

/// What a terminal puts around pasted text (bracketed paste).
const PASTE: [&[u8]; 2] = [b"\x1b[200~", b"\x1b[201~"];

impl Keyboard {
    /// A keyboard on which nothing has been typed.
    pub fn new(shell: bool) -> Keyboard {
        Keyboard { shell, state: State::Shell, sequence: Vec::new(), last: Vec::new() }
    }

    /// Has the next key be the lesson's: a question was asked.
    pub fn expect(&mut self) {
        self.state = if self.shell { State::Prefixed } else { State::Shell };
    }

    /// Takes what was typed and tells where it goes, in order.
    pub fn typed(&mut self, bytes: &[u8]) -> Vec<Typed> {
        let mut found = Vec::new();
        for byte in bytes {
            self.byte(*byte, &mut found);
        }
        // A terminal sends a sequence in one piece: an escape at the end is the key of that name.
        if self.sequence == b"\x1b" {
            self.sequence.clear();
            self.end(None, b"\x1b", &mut found);
        }
        found
    }

    fn byte(&mut self, byte: u8, found: &mut Vec<Typed>) {
        self.last.push(byte);
        let surplus = self.last.len().saturating_sub(PASTE[0].len());
        self.last.drain(..surplus);
        match self.state {
            State::Shell if self.shell && byte != PREFIX => {
                shell(&[byte], found);
                if self.last == PASTE[0] {
                    self.state = State::Pasting;
                }
            }
            State::Shell if self.shell => {
                self.state = State::Prefixed;
                found.push(Typed::Key(Key::Prefix));
            }
            State::Pasting => {
                shell(&[byte], found);
                if self.last == PASTE[1] {
                    self.state = State::Shell;
                }
            }
            State::Shell | State::Prefixed | State::Scrolling => self.lesson(byte, found),
        }
    }

    fn lesson(&mut self, byte: u8, found: &mut Vec<Typed>) {
        self.sequence.push(byte);
        let key = match self.sequence.as_slice() {
            b"\x1b" | [0x1b, b'[' | b'O'] => return,
            [0x1b, b'[', rest @ ..] if !matches!(rest.last(), Some(0x40..=0x7e)) => return,
            b"\x1b[A" | b"\x1bOA" => Some(Key::Up),
            b"\x1b[B" | b"\x1bOB" => Some(Key::Down),
            b"\x1b[5~" => Some(Key::PageUp),
            b"\x1b[6~" | b" " => Some(Key::PageDown),
            [letter @ (b'a'..=b'z' | b'?')] => Some(Key::Letter(*letter)),
            _ => None,
        };
        let sequence = std::mem::take(&mut self.sequence);
        self.end(key, &sequence, found);
    }

    /// A key is whole; `None`: it means nothing to the lesson.
    fn end(&mut self, key: Option<Key>, sequence: &[u8], found: &mut Vec<Typed>) {
        let scrolls = matches!(key, Some(Key::Up | Key::Down | Key::PageUp | Key::PageDown));
        match (self.state, key) {
            (State::Scrolling, Some(key)) if scrolls && sequence != b" " => found.push(Typed::Key(key)),
            (State::Scrolling, _) => {
                self.state = State::Shell;
                found.push(Typed::Key(Key::Nothing));
                sequence.iter().for_each(|byte| self.byte(*byte, found));
            }
            (State::Prefixed, None) if sequence == [PREFIX] => {
                self.state = State::Shell;
                found.push(Typed::Key(Key::Nothing));
                shell(sequence, found);
            }
            _ => {
                self.state = if scrolls && self.shell { State::Scrolling } else { State::Shell };
                found.push(Typed::Key(key.unwrap_or(Key::Nothing)));
            }
        }
    }
}

fn shell(bytes: &[u8], found: &mut Vec<Typed>) {
    match found.last_mut() {
        Some(Typed::Shell(before)) => before.extend(bytes),
        _ => found.push(Typed::Shell(bytes.to_vec())),
    }
}

#[cfg(test)]
mod tests {
    use super::{Key, Keyboard, Typed};

    fn shell(text: &str) -> Typed {
        Typed::Shell(text.as_bytes().to_vec())
    }

    #[test]
    fn everything_but_the_key_after_the_prefix_is_the_shells() {
        let mut keyboard = Keyboard::new(true);
        let all = "ls\r\x03\x1a\x1b[A\x1b[5~\x1bb\u{4e2d}";
        assert_eq!(keyboard.typed(all.as_bytes()), [shell(all)]);
        let hint = [shell("a"), Typed::Key(Key::Prefix), Typed::Key(Key::Letter(b'h')), shell("b")];
        assert_eq!(keyboard.typed(b"a\x07hb"), hint);
        assert_eq!(keyboard.typed(b"\x07"), [Typed::Key(Key::Prefix)]);
        assert_eq!(keyboard.typed(b"\x1b"), [Typed::Key(Key::Nothing)], "Escape takes the prefix back");
        assert_eq!(keyboard.typed(b"h"), [shell("h")]);
    }

    #[test]
    fn the_prefix_twice_is_the_shells() {
        let typed = Keyboard::new(true).typed(b"\x07\x07x");
        assert_eq!(typed, [Typed::Key(Key::Prefix), Typed::Key(Key::Nothing), shell("\x07x")]);
    }

    #[test]
    fn arrows_scroll_until_something_else_is_typed() {
        let mut keyboard = Keyboard::new(true);
        let down = || Typed::Key(Key::Down);
        assert_eq!(keyboard.typed(b"\x07\x1b[B"), [Typed::Key(Key::Prefix), down()]);
        assert_eq!(keyboard.typed(b"\x1bOB\x1b[6~"), [down(), Typed::Key(Key::PageDown)]);
        assert_eq!(keyboard.typed(b"l"), [Typed::Key(Key::Nothing), shell("l")]);
        assert_eq!(keyboard.typed(b"\x1b[B"), [shell("\x1b[B")]);
        keyboard.typed(b"\x07\x1b[A");
        assert_eq!(
            keyboard.typed(b"\x07h"),
            [Typed::Key(Key::Nothing), Typed::Key(Key::Prefix), Typed::Key(Key::Letter(b'h'))]
        );
    }

    #[test]
    fn pasted_text_is_passed_on_whatever_is_in_it() {
        let mut keyboard = Keyboard::new(true);
        let pasted = "\x1b[200~a\x07b\x1b[201~";
        assert_eq!(keyboard.typed(pasted.as_bytes()), [shell(pasted)]);
        assert_eq!(keyboard.typed(b"\x07q"), [Typed::Key(Key::Prefix), Typed::Key(Key::Letter(b'q'))]);
    }

    #[test]
    fn without_a_shell_every_key_is_the_lessons() {
        let mut keyboard = Keyboard::new(false);
        let keys = [Key::Letter(b'h'), Key::Down, Key::PageDown, Key::Nothing].map(Typed::Key);
        assert_eq!(keyboard.typed(b"h\x1b[B \x07"), keys);
    }
}
