//! A duration as Go writes it.

/// Nanoseconds of `1.5s`, `100ms`, `1m30s`; `None` for anything else, and for negative ones.
pub fn nanoseconds(text: &str) -> Option<i128> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(0);
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit() && c != '.')?);
        let (unit, next) = after.split_at(after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len()));
        total = total.checked_add(scaled(number, unit_of(unit)?)?)?;
        rest = next;
    }
    (!text.is_empty()).then_some(total)
}

fn unit_of(name: &str) -> Option<i128> {
    let nanoseconds = match name {
        "ns" => 1,
        // The sign for micro and the Greek letter mu look the same.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    Some(nanoseconds)
}

fn scaled(number: &str, unit: i128) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    // Longer numbers are no durations of a kubelet, and would overflow.
    if whole.len() + fraction.len() == 0 || whole.len() > 12 || fraction.len() > 12 || fraction.contains('.') {
        return None;
    }
    let mantissa: i128 = format!("{whole}{fraction}").parse().ok()?;
    Some(mantissa * unit / 10i128.pow(fraction.len() as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        let table = [
            ("100ms", Some(100_000_000)),
            ("1.5s", Some(1_500_000_000)),
            ("1m30s", Some(90_000_000_000)),
            ("0", Some(0)),
            (".5ms", Some(500_000)),
            ("250us", Some(250_000)),
            ("1h", Some(3_600_000_000_000)),
            ("100", None),
            ("ms", None),
            ("", None),
            ("-1s", None),
            ("1.2.3s", None),
            ("1 s", None),
            ("99999999999999999999s", None),
        ];
        for (text, expected) in table {
            assert_eq!(nanoseconds(text), expected, "{text:?}");
        }
    }
}
