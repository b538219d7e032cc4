//! The records of a PAX extended header (POSIX.1-2001, pax, "Extended Header Keyword/Value Records").
//!
//! Not the tar crate's: it cuts the records at newlines, so an attribute with a newline in its value hides the records
//! behind it, the size of the entry among them.

use super::entry::Attribute;
use super::sparse::PaxSparse;

/// What the records of one header say of the entry behind it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Pax {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    pub(super) mtime: Option<(i64, u32)>,
    pub(super) attributes: Vec<Attribute>,
    pub(super) sparse: PaxSparse,
}

/// The prefix under which star, GNU tar and Go keep extended attributes.
const ATTRIBUTE: &[u8] = b"SCHILY.xattr.";

impl Pax {
    /// Reads the records. One that stands twice with two values is refused: readers differ in which one holds.
    pub(super) fn parse(data: &[u8]) -> Result<Pax, String> {
        let mut pax = Pax::default();
        let mut rest = data;
        while !rest.is_empty() {
            let (key, value, behind) = record(rest).ok_or("a malformed PAX record")?;
            rest = behind;
            pax.take(key, value)?;
        }
        Ok(pax)
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        match key {
            b"path" => once(&mut self.path, key, value.to_vec()),
            b"linkpath" => once(&mut self.link, key, value.to_vec()),
            b"size" => once(&mut self.size, key, number(key, value)?),
            b"uid" => once(&mut self.uid, key, number(key, value)?),
            b"gid" => once(&mut self.gid, key, number(key, value)?),
            b"mtime" => once(&mut self.mtime, key, time(value).ok_or("mtime is not a time")?),
            _ if key.starts_with(ATTRIBUTE) => {
                let name = key[ATTRIBUTE.len()..].to_vec();
                if self.attributes.iter().any(|(known, _)| *known == name) {
                    return Err(twice(key));
                }
                self.attributes.push((name, value.to_vec()));
                Ok(())
            }
            _ if key.starts_with(b"GNU.sparse.") => self.sparse.take(&key[b"GNU.sparse.".len()..], value),
            // atime, ctime, uname, comment and what vendors add change no file of ours.
            _ => Ok(()),
        }
    }
}

/// The first record, `LENGTH KEY=VALUE\n`, as key, value and what stands behind it.
fn record(data: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = data.iter().take(21).position(|byte| *byte == b' ')?;
    let digits = &data[..space];
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let length: usize = std::str::from_utf8(digits).ok()?.parse().ok()?;
    let body = data.get(space + 1..length)?.strip_suffix(b"\n")?;
    let equals = body.iter().position(|byte| *byte == b'=').filter(|at| *at > 0)?;
    Some((&body[..equals], &body[equals + 1..], &data[length..]))
}

fn once<T: PartialEq>(field: &mut Option<T>, key: &[u8], value: T) -> Result<(), String> {
    match field {
        Some(known) if *known != value => Err(twice(key)),
        _ => {
            *field = Some(value);
            Ok(())
        }
    }
}

fn twice(key: &[u8]) -> String {
    format!("PAX record {:?} stands twice", super::error::shown(key))
}

/// A number in decimal, which is how PAX writes them.
pub(super) fn number(key: &[u8], value: &[u8]) -> Result<u64, String> {
    let digits = value.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(value).ok().filter(|_| digits);
    text.and_then(|text| text.parse().ok()).ok_or_else(|| {
        format!("PAX record {:?} is not a number: {:?}", super::error::shown(key), super::error::shown(value))
    })
}

/// Seconds and nanoseconds since 1970 of `[-]SECONDS[.FRACTION]`.
fn time(value: &[u8]) -> Option<(i64, u32)> {
    let text = std::str::from_utf8(value).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds: i64 = whole.parse().ok()?;
    let nanoseconds: u32 = format!("{:0<9.9}", fraction).parse().ok()?;
    match whole.starts_with('-') && nanoseconds > 0 {
        // The fraction counts away from zero; the kernel's counts up from the whole second below.
        true => Some((seconds.checked_sub(1)?, 1_000_000_000 - nanoseconds)),
        false => Some((seconds, nanoseconds)),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A record as it stands in a header.
    pub(in crate::image) fn written(key: &str, value: &[u8]) -> Vec<u8> {
        let body = key.len() + value.len() + 3;
        let length = (1..).map(|digits| body + digits).find(|n| n.to_string().len() + body == *n).expect("one fits");
        [format!("{length} {key}=").as_bytes(), value, b"\n"].concat()
    }

    #[test]
    fn a_newline_in_a_value_hides_nothing() {
        let data = [written("SCHILY.xattr.user.x", b"a\n9 size=1\n"), written("size", b"7")].concat();
        let pax = Pax::parse(&data).unwrap();
        assert_eq!(pax.size, Some(7));
        assert_eq!(pax.attributes, [(b"user.x".to_vec(), b"a\n9 size=1\n".to_vec())]);
    }

    #[test]
    fn what_stands_twice_is_refused_unless_it_says_the_same() {
        let size = |value: &[u8]| written("size", value);
        assert_eq!(Pax::parse(&[size(b"7"), size(b"7")].concat()).unwrap().size, Some(7));
        assert_eq!(Pax::parse(&[size(b"7"), size(b"8")].concat()).unwrap_err(), "PAX record \"size\" stands twice");
    }

    #[test]
    fn malformed_records_are_refused() {
        for bad in [
            &b"x"[..],
            b"5 a=b",
            b"999 a=b\n",
            b"7 a=bbb",
            b"+6 a=b\n",
            b"6 =bc\n",
            b"0 a=b\n",
            b"99999999999999999999999 a=b\n",
            b"-1 a=b\n",
        ] {
            assert!(Pax::parse(bad).is_err(), "{:?}", String::from_utf8_lossy(bad));
        }
        for bad in [&b"-1"[..], b"+1", b"1x", b"", b"18446744073709551616"] {
            assert!(Pax::parse(&written("size", bad)).is_err(), "{:?}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn times_have_fractions_and_may_lie_before_1970() {
        assert_eq!(time(b"1350244992.023960108"), Some((1_350_244_992, 23_960_108)));
        assert_eq!(time(b"12"), Some((12, 0)));
        assert_eq!(time(b"1.5"), Some((1, 500_000_000)));
        assert_eq!(time(b"1.9999999999"), Some((1, 999_999_999)), "digits beyond the nanosecond are cut");
        assert_eq!(time(b"-1.25"), Some((-2, 750_000_000)));
        assert_eq!(time(b"-0.5"), Some((-1, 500_000_000)));
        for bad in [&b""[..], b".5", b"1.x", b"1e9", b"99999999999999999999"] {
            assert_eq!(time(bad), None);
        }
    }
}
