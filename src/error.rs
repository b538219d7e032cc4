//! What a failed command tells its user: what was tried, why it failed, and what to do about it.
//!
//! Modules have error enums of their own; this is the one shape in which they reach `main`, which prints them once.

use std::error::Error as StdError;
use std::fmt;

/// A failure with advice: a message, the cause below it, and hints (full sentences) that mend it.
///
/// `Display` gives the message alone; the causes come through [`StdError::source`], so `anyhow`'s chain works.
#[derive(Debug)]
pub struct Failure {
    message: String,
    cause: Option<Box<dyn StdError + Send + Sync>>,
    hints: Vec<String>,
}

impl Failure {
    /// A failure that says `message` (lower case, names the object, no full stop).
    pub fn new(message: impl Into<String>) -> Self {
        Failure { message: message.into(), cause: None, hints: Vec::new() }
    }

    /// Puts the error that led to this one below it.
    pub fn caused_by(mut self, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// Adds a hint: one full sentence that tells the user what to do.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The hints, in the order in which they were added.
    pub fn hints(&self) -> &[String] {
        &self.hints
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Failure {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause.as_deref().map(|cause| cause as &(dyn StdError + 'static))
    }
}

/// Bytes of a message: more than any line of ours needs, and less than a value that somebody has put into a config.
const MOST_BYTES: usize = 4096;

/// The whole story of an error on one line: every message of the chain, outermost first, joined by `: `. Of a very long one
/// the middle is left out: the field stands at its beginning, the rule at its end.
pub fn one_line(error: &anyhow::Error) -> String {
    let whole = error.chain().map(ToString::to_string).collect::<Vec<_>>().join(": ");
    if whole.len() <= MOST_BYTES {
        return whole;
    }
    let boundary = |at: &usize| whole.is_char_boundary(*at);
    let head = (0..=MOST_BYTES / 2).rev().find(boundary).unwrap_or(0);
    let tail = (whole.len() - MOST_BYTES / 2..).find(boundary).unwrap_or(whole.len());
    format!("{} … {}", &whole[..head], &whole[tail..])
}

/// `text` without what a terminal would obey, as a name in a config may hold it; its lines stay.
pub fn harmless(text: &str) -> String {
    let one = |c: char| if c.is_control() && c != '\n' { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(one).collect()
}

/// Every hint found in the chain, outermost first.
pub fn hints(error: &anyhow::Error) -> Vec<String> {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<Failure>())
        .flat_map(|failure| failure.hints.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_a_line_and_no_file() {
        let told = |text: &str| one_line(&Failure::new(text).caused_by(Failure::new("the rule")).into());
        assert_eq!(told("field"), "field: the rule");
        let long = told(&format!("field {}", "ü".repeat(1_000_000)));
        assert!(long.len() < 5000 && long.starts_with("field ü") && long.ends_with("ü: the rule"), "{long}");
    }
}
