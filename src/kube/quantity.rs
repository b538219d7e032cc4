//! A resource quantity, parsed and rounded exactly as Kubernetes' apimachinery does (`pkg/api/resource/quantity.go`).
//!
//! A value is a whole number of nano-units; nothing here is floating point. Where Kubernetes overflows in silence, parsing
//! fails with a reason instead. How YAML and JSON scalars become the text that is parsed here is `manifest.rs`'s matter.

use std::fmt;
use std::str::FromStr;

const NANO: i128 = 1_000_000_000;
/// The largest magnitude that Kubernetes keeps, in units: 2^63-1.
const MAX_UNITS: i128 = i64::MAX as i128;
/// No magnitude above [`MAX_UNITS`] has fewer decimal digits than this.
const MAX_DIGITS: usize = 19;

/// How a quantity was written, which decides how it is printed back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Powers of ten by suffix: `500m`, `2`, `3G`.
    #[default]
    DecimalSi,
    /// Powers of ten by exponent: `1e3`.
    DecimalExponent,
    /// Powers of 1024 by suffix: `64Mi`.
    BinarySi,
}

/// An exact amount of a resource: CPUs, bytes, or a count. `1Gi` equals `1073741824`, however it is written.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quantity {
    nanos: i128,
    format: Format,
}

/// Why a text is no quantity, or none that Kubernetes could handle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// The grammar is not met; Kubernetes refuses it too.
    #[error("{text:?} is not a quantity: {reason}")]
    Invalid {
        /// What was written.
        text: String,
        /// What is wrong with it, and how to write it.
        reason: String,
    },
    /// Kubernetes accepts the text, and then computes with a wrong number.
    #[error(
        "{text:?} is more than 2^63-1 (9223372036854775807), where Kubernetes overflows without a word: write less"
    )]
    Overflow {
        /// What was written.
        text: String,
    },
}

impl Quantity {
    /// `value` whole units.
    pub fn units(value: i64) -> Self {
        Quantity { nanos: i128::from(value) * NANO, format: Format::DecimalSi }
    }

    /// `value` bytes, printed with binary suffixes.
    pub fn bytes(value: i64) -> Self {
        Quantity { format: Format::BinarySi, ..Self::units(value) }
    }

    /// Whole units, rounded up away from zero, as Go's `Quantity.Value()`.
    pub fn value(self) -> i128 {
        ceil_away(self.nanos, NANO)
    }

    /// Thousandths of a unit, rounded up away from zero, as Go's `Quantity.MilliValue()`.
    pub fn milli_value(self) -> i128 {
        ceil_away(self.nanos, NANO / 1000)
    }

    /// The same amount rounded up to whole thousandths, as API defaulting stores it (`SetDefaults_ResourceList`).
    pub fn rounded_to_milli(self) -> Self {
        Quantity { nanos: self.milli_value() * (NANO / 1000), ..self }
    }

    /// Whether the amount is above zero: only such amounts count for the QoS class.
    pub fn is_positive(self) -> bool {
        self.nanos > 0
    }

    /// Whether the amount is below zero.
    pub fn is_negative(self) -> bool {
        self.nanos < 0
    }

    /// Whether the amount is zero.
    pub fn is_zero(self) -> bool {
        self.nanos == 0
    }

    /// Whether the amount has no fraction of a unit.
    pub fn is_whole(self) -> bool {
        self.nanos % NANO == 0
    }

    /// The sum; an empty left side takes the format of the right one, as Go's `Quantity.Add` does.
    pub fn plus(self, other: Self) -> Self {
        let format = if self.is_zero() { other.format } else { self.format };
        Quantity { nanos: self.nanos.saturating_add(other.nanos), format }
    }

    /// The difference, which may be negative.
    pub fn minus(self, other: Self) -> Self {
        Quantity { nanos: self.nanos.saturating_sub(other.nanos), ..self }
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

fn ceil_away(nanos: i128, unit: i128) -> i128 {
    let (whole, rest) = (nanos / unit, nanos % unit);
    whole + rest.signum()
}

impl FromStr for Quantity {
    type Err = QuantityError;

    /// Parses `[+-]digits[.digits][suffix]`; no space, `_` or hexadecimal. Without any digit the number is 0, as in Go.
    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let invalid = |reason: String| QuantityError::Invalid { text: text.to_string(), reason };
        if text.is_empty() {
            return Err(invalid("it is empty; write a number such as 500m or 64Mi".into()));
        }
        let (negative, unsigned) = match text.as_bytes()[0] {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (whole, rest) = split_digits(unsigned);
        let (fraction, suffix) = rest.strip_prefix('.').map_or(("", rest), split_digits);
        let scale = Suffix::parse(suffix).map_err(|reason| invalid(reason.to_string()))?;
        // Go's fast path takes no digits for 0; its slow path, for the very large and the very small, wants one.
        if whole.len() + fraction.len() == 0 && (scale.kibis >= 5 || scale.tens < -9) {
            return Err(invalid("it has no digits; write a number such as 500m or 64Mi".into()));
        }
        let nanos = scale.apply(whole, fraction).ok_or_else(|| QuantityError::Overflow { text: text.to_string() })?;
        // A binary quantity below one unit is printed as a decimal one.
        let format = if scale.format == Format::BinarySi && nanos < NANO { Format::DecimalSi } else { scale.format };
        Ok(Quantity { nanos: if negative { -nanos } else { nanos }, format })
    }
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().take_while(u8::is_ascii_digit).count())
}

/// What a suffix multiplies by: `10^tens * 1024^kibis`.
#[derive(Debug, Clone, Copy)]
struct Suffix {
    tens: i32,
    kibis: u32,
    format: Format,
}

impl Suffix {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let decimal = |tens| Ok(Suffix { tens, kibis: 0, format: Format::DecimalSi });
        let binary = |kibis| Ok(Suffix { tens: 0, kibis, format: Format::BinarySi });
        match text {
            "n" => decimal(-9),
            "u" => decimal(-6),
            "m" => decimal(-3),
            "" => decimal(0),
            "k" => decimal(3),
            "M" => decimal(6),
            "G" => decimal(9),
            "T" => decimal(12),
            "P" => decimal(15),
            "E" => decimal(18),
            "Ki" => binary(1),
            "Mi" => binary(2),
            "Gi" => binary(3),
            "Ti" => binary(4),
            "Pi" => binary(5),
            "Ei" => binary(6),
            _ => Self::exponent(text),
        }
    }

    fn exponent(text: &str) -> Result<Self, &'static str> {
        let Some(digits) = text.strip_prefix(['e', 'E']) else {
            return Err(advice(text));
        };
        let bare = digits.strip_prefix(['+', '-']).unwrap_or(digits);
        if bare.is_empty() || !bare.bytes().all(|b| b.is_ascii_digit()) {
            return Err("after e stands a whole exponent, as in 1e3");
        }
        // Kubernetes parses 64 bits and keeps 32 of them: an exponent that does not fit would become another one.
        let tens = digits.parse().map_err(|_| "the exponent does not fit 32 bits; write a smaller one")?;
        Ok(Suffix { tens, kibis: 0, format: Format::DecimalExponent })
    }

    /// `whole.fraction` times this suffix in nano-units, rounded up; `None` above 2^63-1 units (binary ones are capped).
    fn apply(self, whole: &str, fraction: &str) -> Option<i128> {
        let mut digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).map(|b| b - b'0').collect();
        for _ in 0..self.kibis {
            multiply(&mut digits, 1024);
        }
        let leading = digits.iter().take_while(|digit| **digit == 0).count();
        digits.drain(..leading);
        if digits.is_empty() {
            return Some(0);
        }
        // The decimal point stands this many digits from the left, counted after the power of ten.
        let point = i64::try_from(digits.len()).ok()? - i64::try_from(fraction.len()).ok()? + i64::from(self.tens);
        let capped = (self.format == Format::BinarySi).then_some(MAX_UNITS * NANO);
        if point > MAX_DIGITS as i64 {
            return capped;
        }
        let kept = usize::try_from((point + 9).max(0)).ok()?;
        let mut nanos: i128 = 0;
        for position in 0..kept {
            nanos = nanos * 10 + i128::from(digits.get(position).copied().unwrap_or(0));
        }
        if digits.iter().skip(kept).any(|digit| *digit != 0) {
            nanos += 1;
        }
        if nanos > MAX_UNITS * NANO { capped } else { Some(nanos) }
    }
}

fn advice(suffix: &str) -> &'static str {
    match suffix {
        "K" => "the suffix K does not exist; write k for 1000 or Ki for 1024",
        "g" | "gi" | "Gb" | "GB" | "GiB" => "the suffix is not known; write G for 10^9 or Gi for 2^30",
        "mb" | "Mb" | "MB" | "MiB" | "mi" => "the suffix is not known; write M for 10^6 or Mi for 2^20",
        "kb" | "Kb" | "KB" | "KiB" | "kB" | "ki" => "the suffix is not known; write k for 1000 or Ki for 1024",
        _ if suffix.contains(char::is_whitespace) => "it contains a space; write number and suffix together",
        _ => "use digits and one of n u m k M G T P E Ki Mi Gi Ti Pi Ei, or an exponent such as e3",
    }
}

/// Multiplies a big-endian decimal number in place.
fn multiply(digits: &mut Vec<u8>, by: u32) {
    let mut carry = 0;
    for digit in digits.iter_mut().rev() {
        let product = u32::from(*digit) * by + carry;
        *digit = (product % 10) as u8;
        carry = product / 10;
    }
    let mut front = Vec::new();
    while carry > 0 {
        front.push((carry % 10) as u8);
        carry /= 10;
    }
    front.reverse();
    digits.splice(0..0, front);
}

impl fmt::Display for Quantity {
    /// Canonical form: no fraction, the largest suffix that loses nothing, as Go's `CanonicalizeBytes`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let small = self.nanos > -1024 * NANO && self.nanos < 1024 * NANO;
        if self.format == Format::BinarySi && !small && self.is_whole() {
            let (mut number, mut power) = (self.nanos / NANO, 0);
            while number % 1024 == 0 && power < 6 {
                number /= 1024;
                power += 1;
            }
            return write!(f, "{number}{}", ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"][power]);
        }
        if self.nanos == 0 {
            return f.write_str("0");
        }
        let (mut number, mut exponent) = (self.nanos, -9i32);
        while number % 1000 == 0 && exponent < 18 {
            number /= 1000;
            exponent += 3;
        }
        match (self.format, exponent) {
            (_, 0) => write!(f, "{number}"),
            (Format::DecimalExponent, _) => write!(f, "{number}e{exponent}"),
            _ => {
                write!(f, "{number}{}", ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"][(exponent + 9) as usize / 3])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> Quantity {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn value_and_milli_value_round_up_away_from_zero() {
        assert_eq!(parsed("400m").value(), 1);
        assert_eq!(parsed("-400m").value(), -1);
        assert_eq!(parsed("1.0000000001").milli_value(), 1001);
        assert_eq!(parsed("1.5Gi").value(), 1_610_612_736);
        assert_eq!(parsed("0.1Ki").value(), 103);
    }

    #[test]
    fn suffixes_are_case_sensitive() {
        assert_eq!(parsed("1E").value(), 1_000_000_000_000_000_000);
        assert_eq!(parsed("1e3").value(), 1000);
        assert_eq!(parsed("2Mi").value(), 2 << 20);
        for text in ["1K", "12e", "1GiB", "1 Gi", "1e1.5", "1e3Ki", "0x10", "1_000", "--1", " 1", "", "1ki", "1.2.3"] {
            assert!(matches!(text.parse::<Quantity>(), Err(QuantityError::Invalid { .. })), "{text:?}");
        }
    }

    #[test]
    fn a_text_without_digits_is_zero_as_in_go() {
        for text in ["+", "-", ".", "m", "Ki", "Ti", "e3", "e-9", "-.", "E"] {
            assert!(parsed(text).is_zero(), "{text:?}");
        }
        for text in ["Pi", "-Ei", "e-10"] {
            assert!(matches!(text.parse::<Quantity>(), Err(QuantityError::Invalid { .. })), "{text:?}");
        }
    }

    #[test]
    fn what_overflows_in_kubernetes_is_refused_and_binary_is_capped() {
        for text in ["10E", "1e19", "9223372036854775808", "1e2147483647", "99999999999999999999999"] {
            assert_eq!(text.parse::<Quantity>(), Err(QuantityError::Overflow { text: text.into() }));
        }
        assert!(matches!("1e2147483648".parse::<Quantity>(), Err(QuantityError::Invalid { .. })));
        assert_eq!(parsed("9223372036854775807").value(), i128::from(i64::MAX));
        assert_eq!(parsed("8Ei").value(), i128::from(i64::MAX));
        assert_eq!(parsed("-100Ei").value(), -i128::from(i64::MAX));
    }

    #[test]
    fn nothing_is_finer_than_a_nano_and_stored_amounts_not_finer_than_a_milli() {
        assert_eq!(parsed("1e-2147483648").to_string(), "1e-9");
        assert_eq!(parsed("0.0000000001").to_string(), "1n");
        for text in ["1n", "100u", "0.0001"] {
            assert_eq!(parsed(text).rounded_to_milli().to_string(), "1m", "{text}");
        }
    }

    #[test]
    fn printing_is_canonical() {
        let pairs = [
            ("1500m", "1500m"),
            ("1.5", "1500m"),
            ("0.5Gi", "512Mi"),
            ("1024Mi", "1Gi"),
            ("512", "512"),
            ("1000", "1k"),
            ("1000Ki", "1000Ki"),
            ("1Ki", "1Ki"),
            ("0.5Ki", "512"),
            ("1e3", "1e3"),
            ("12e4", "120e3"),
            ("-1.5", "-1500m"),
            ("010", "10"),
            ("1.5Ki", "1536"),
        ];
        for (text, canonical) in pairs {
            assert_eq!(parsed(text).to_string(), canonical, "{text}");
        }
    }

    #[test]
    fn amounts_are_compared_not_spellings() {
        assert_eq!(parsed("1Gi"), parsed("1073741824"));
        assert!(parsed("999m") < parsed("1"));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in any::<String>()) {
            let _ = text.parse::<Quantity>().map(|quantity| quantity.to_string());
        }

        #[test]
        fn nearly_a_quantity_never_panics(text in "[-+]?[0-9]{0,40}[.]?[0-9]{0,40}[a-zA-Z]{0,3}[-+]?[0-9]{0,12}") {
            let _ = text.parse::<Quantity>().map(|quantity| quantity.to_string());
        }

        #[test]
        fn what_is_printed_reads_back_as_the_same_amount(text in "-?[0-9]{1,11}([.][0-9]{1,12})?(n|u|m|k|Ki|Mi|e1)?") {
            let quantity = parsed(&text);
            prop_assert_eq!(parsed(&quantity.to_string()), quantity);
        }
    }
}
