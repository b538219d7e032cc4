//! Properties that a config asks for by annotations: `org.systemd.property.TimeoutStopUSec: "uint64 123456789"`. Names
//! and values are those that runc and crun take: a value is GVariant text (its "GVariant Text Format" page), and a name
//! that ends in `Sec` is in seconds, where systemd counts microseconds.

use std::collections::HashMap;

use super::{Property, Value};

/// What the names of such annotations begin with.
const PREFIX: &str = "org.systemd.property.";

/// The properties, by name; an error names the annotation and what is wrong with it.
pub fn of_annotations(annotations: &HashMap<String, String>) -> Result<Vec<Property>, String> {
    let mut named: Vec<_> =
        annotations.iter().filter_map(|(key, text)| Some((key, key.strip_prefix(PREFIX)?, text))).collect();
    named.sort();
    named
        .into_iter()
        .map(|(key, name, text)| one(name, text).map_err(|what| format!("annotations.{key}: {what}")))
        .collect()
}

fn one(name: &str, text: &str) -> Result<Property, String> {
    // systemd's own properties are made of letters, the first a capital: runc takes no others.
    let of_letters = name.len() > 1 && name.chars().all(|c| c.is_ascii_alphabetic());
    if !of_letters || !name.starts_with(|c: char| c.is_ascii_uppercase()) {
        return Err("is no name of a property".to_string());
    }
    let value =
        parse(text).ok_or_else(|| format!("{text:?} is no value, such as true, 'text', uint64 5 or ['a', 'b']"))?;
    match name.strip_suffix("Sec").filter(|stem| !stem.ends_with('U')) {
        None => Ok(Property::new(name.to_string(), value)),
        Some(stem) => {
            let value = microseconds(&value).ok_or_else(|| format!("{text:?} is no number of seconds"))?;
            Ok(Property::new(format!("{stem}USec"), Value::Uint64(value)))
        }
    }
}

fn microseconds(seconds: &Value) -> Option<u64> {
    const MICRO: u64 = 1_000_000;
    let whole = |seconds: i64| u64::try_from(seconds).ok()?.checked_mul(MICRO);
    match seconds {
        Value::Int16(seconds) => whole((*seconds).into()),
        Value::Int32(seconds) => whole((*seconds).into()),
        Value::Int64(seconds) => whole(*seconds),
        Value::Byte(seconds) => whole((*seconds).into()),
        Value::Uint16(seconds) => whole((*seconds).into()),
        Value::Uint32(seconds) => whole((*seconds).into()),
        Value::Uint64(seconds) => seconds.checked_mul(MICRO),
        Value::Double(seconds) if *seconds >= 0.0 && seconds.is_finite() => Some((seconds * MICRO as f64) as u64),
        Value::Double(_) | Value::Bool(_) | Value::Text(_) | Value::Texts(_) | Value::Bytes(_) | Value::Pairs(_) => {
            None
        }
    }
}

/// A value of GVariant text: a truth, a number with or without its type, a quoted text, or a list of texts.
fn parse(text: &str) -> Option<Value> {
    let text = text.trim();
    match text {
        "true" => return Some(Value::Bool(true)),
        "false" => return Some(Value::Bool(false)),
        _ => {}
    }
    if text.starts_with(['\'', '"']) {
        let (value, rest) = quoted(text)?;
        return rest.trim().is_empty().then_some(Value::Text(value));
    }
    if let Some(list) = text.strip_prefix('[') {
        return texts(list.strip_suffix(']')?);
    }
    if let Some((kind, value)) = text.split_once(char::is_whitespace) {
        return typed(kind, value.trim());
    }
    let number: Option<Value> = text.parse().ok().map(Value::Int32);
    number.or_else(|| text.contains(['.', 'e']).then(|| text.parse().ok().map(Value::Double)).flatten())
}

fn typed(kind: &str, value: &str) -> Option<Value> {
    match kind {
        "boolean" | "@b" => value.parse().ok().map(Value::Bool),
        "byte" | "@y" => value.parse().ok().map(Value::Byte),
        "int16" | "@n" => value.parse().ok().map(Value::Int16),
        "uint16" | "@q" => value.parse().ok().map(Value::Uint16),
        "int32" | "@i" => value.parse().ok().map(Value::Int32),
        "uint32" | "@u" => value.parse().ok().map(Value::Uint32),
        "int64" | "@x" => value.parse().ok().map(Value::Int64),
        "uint64" | "@t" => value.parse().ok().map(Value::Uint64),
        "double" | "@d" => value.parse().ok().map(Value::Double),
        "string" | "@s" => quoted(value).filter(|(_, rest)| rest.trim().is_empty()).map(|(text, _)| Value::Text(text)),
        "@as" => texts(value.strip_prefix('[')?.strip_suffix(']')?),
        _ => None,
    }
}

/// Quoted texts with commas between.
fn texts(list: &str) -> Option<Value> {
    let (mut found, mut rest) = (Vec::new(), list.trim());
    while !rest.is_empty() {
        let (text, after) = quoted(rest)?;
        found.push(text);
        let after = after.trim_start();
        rest = match after.strip_prefix(',') {
            Some(next) => next.trim_start(),
            None if after.is_empty() => after,
            None => return None,
        };
    }
    Some(Value::Texts(found))
}

/// The text in quotes at the beginning, and what stands behind it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let quote = text.chars().next().filter(|c| ['\'', '"'].contains(c))?;
    let mut found = String::new();
    let mut characters = text[1..].char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            c if c == quote => return Some((found, &text[at + 2..])),
            '\\' => found.push(match characters.next()?.1 {
                'n' => '\n',
                't' => '\t',
                other => other,
            }),
            c => found.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(name: &str, text: &str) -> Result<Property, String> {
        let annotations = HashMap::from([(format!("{PREFIX}{name}"), text.to_string()), ("other".into(), "x".into())]);
        of_annotations(&annotations).map(|mut properties| properties.remove(0))
    }

    #[test]
    fn values_have_the_types_that_they_say() {
        for (text, value) in [
            ("true", Value::Bool(true)),
            ("5", Value::Int32(5)),
            ("uint64 5", Value::Uint64(5)),
            ("@t 5", Value::Uint64(5)),
            ("0.5", Value::Double(0.5)),
            ("'it\\'s'", Value::Text("it's".into())),
            ("\"a b\"", Value::Text("a b".into())),
            ("['a.service', \"b.service\"]", Value::Texts(vec!["a.service".into(), "b.service".into()])),
            ("@as []", Value::Texts(Vec::new())),
        ] {
            assert_eq!(told("Wants", text), Ok(Property::new("Wants", value)), "{text}");
        }
    }

    #[test]
    fn seconds_become_microseconds() {
        let stop = |text| told("TimeoutStopSec", text).map(|property| property.to_string());
        assert_eq!(stop("uint64 5").unwrap(), "TimeoutStopUSec=5000000");
        assert_eq!(stop("0.25").unwrap(), "TimeoutStopUSec=250000");
        assert_eq!(told("TimeoutStopUSec", "uint64 7").unwrap().to_string(), "TimeoutStopUSec=7");
        assert!(stop("'soon'").unwrap_err().ends_with("is no number of seconds"));
        assert!(stop("-1").is_err() && stop("uint64 18446744073709551615").is_err());
    }

    #[test]
    fn what_is_none_is_refused_with_its_name() {
        for (name, text) in [
            ("x", "true"),
            ("Cpu.Weight", "true"),
            ("", "true"),
            ("Wants", "bare"),
            ("Wants", "'open"),
            ("Wants", "['a' 'b']"),
            ("Wants", "uint64 -1"),
            ("Wants", "byte 256"),
            ("Wants", "odd 1"),
            ("Wants", ""),
        ] {
            let error = told(name, text).unwrap_err();
            assert!(error.starts_with(&format!("annotations.{PREFIX}{name}: ")), "{error}");
        }
    }
}
