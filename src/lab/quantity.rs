//! Numbers as labs and the kernel write them: `64M` is `67108864`, `max` is no number, and `10%` is a tolerance.
//!
//! These are the kernel's memparse suffixes (powers of two), not Kubernetes quantities.

use std::fmt;
use std::str::FromStr;

/// Reads a number with an optional suffix `K M G T` (or `Ki Mi Gi Ti`, powers of two), a fraction such as `2.5`, or an
/// amount as `/proc/meminfo` writes it, `1234 kB`.
///
/// Returns `None` for anything else, so that `max` or `50000 100000` are compared as text.
pub fn number(text: &str) -> Option<f64> {
    let text = text.trim();
    if let Some(kib) = text.strip_suffix(" kB") {
        return Some(kib.trim().parse::<f64>().ok()? * 1024.0);
    }
    let digits_end =
        text.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '-' || c == '+')).unwrap_or(text.len());
    let (digits, suffix) = text.split_at(digits_end);
    if !digits.chars().any(|c| c.is_ascii_digit()) {
        return None;
    }
    let shift = match suffix {
        "" => 0,
        "K" | "k" | "Ki" => 10,
        "M" | "m" | "Mi" => 20,
        "G" | "g" | "Gi" => 30,
        "T" | "t" | "Ti" => 40,
        _ => return None,
    };
    let value: f64 = digits.parse().ok()?;
    Some(value * (1u64 << shift) as f64)
}

/// How far a measured figure may lie from the stated one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Tolerance {
    /// A share of the expected value, in percent: `10%`.
    Percent(f64),
    /// An amount in the unit of the value itself: `4M`, `500`.
    Amount(f64),
}

impl Tolerance {
    /// The allowed distance from `expected`.
    pub fn around(self, expected: f64) -> f64 {
        match self {
            Tolerance::Percent(percent) => expected.abs() * percent / 100.0,
            Tolerance::Amount(amount) => amount,
        }
    }
}

impl FromStr for Tolerance {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = match text.strip_suffix('%') {
            Some(percent) => number(percent).map(Tolerance::Percent),
            None => number(text).map(Tolerance::Amount),
        };
        parsed.ok_or_else(|| format!("tolerance {text:?} is neither a percentage (10%) nor an amount (4M)"))
    }
}

impl fmt::Display for Tolerance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Tolerance::Percent(percent) => write!(f, "{percent}%"),
            Tolerance::Amount(amount) => write!(f, "{amount}"),
        }
    }
}

/// Whether two values mean the same: numbers by value (within the tolerance), everything else by its words.
pub fn equal(expected: &str, found: &str, tolerance: Option<Tolerance>) -> bool {
    match (number(expected), number(found)) {
        (Some(expected), Some(found)) => {
            (expected - found).abs() <= tolerance.map_or(0.0, |tolerance| tolerance.around(expected))
        }
        _ => expected.split_whitespace().eq(found.split_whitespace()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Tolerance, equal, number};

    #[test]
    fn sizes_are_powers_of_two() {
        assert_eq!(number("64M"), Some(67_108_864.0));
        assert_eq!(number("64Mi"), number("64M"));
        assert_eq!(number(" 4096\n"), Some(4096.0));
        assert_eq!(number("-997"), Some(-997.0));
        assert_eq!(number("2.5"), Some(2.5));
        assert_eq!(number("2048 kB"), number("2M"));
    }

    #[test]
    fn words_are_no_numbers() {
        for text in ["max", "", "M", "50000 100000", "0xff", "64MB", "1-2", "."] {
            assert_eq!(number(text), None, "{text:?}");
        }
    }

    #[test]
    fn equality_is_by_value_or_by_words() {
        assert!(equal("64M", "67108864", None));
        assert!(!equal("64M", "67108865", None));
        assert!(equal("50000 100000", "50000  100000", None));
        assert!(!equal("max 100000", "max", None));
        assert!(!equal("64M", "max", None));
    }

    #[test]
    fn a_tolerance_is_a_share_or_an_amount() {
        let ten_percent: Tolerance = "10%".parse().expect("a percentage");
        assert!(equal("100", "109", Some(ten_percent)));
        assert!(!equal("100", "111", Some(ten_percent)));
        let four_mib: Tolerance = "4M".parse().expect("an amount");
        assert!(equal("64M", "69206016", Some(four_mib)));
        assert!(!equal("64M", "72351744", Some(four_mib)));
        assert!("ten".parse::<Tolerance>().is_err());
    }
}
