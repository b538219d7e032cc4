//! Sparse files: where the bytes of an entry go, and how long the file is. GNU tar has written four formats of it: one of
//! its own in the header, and 0.0, 0.1 and 1.0 as PAX records (GNU tar manual, "Storing Sparse Files").

use tar::GnuSparseHeader;

use super::pax::number;

/// The map of a sparse file: what is not in a segment is a hole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sparse {
    /// Length of the file in bytes.
    pub(super) size: u64,
    /// Offset and length of the data, in the order in which they stand in the archive.
    pub(super) segments: Vec<(u64, u64)>,
}

/// Segments of one file: two numbers each are kept in memory.
const MOST_SEGMENTS: usize = 1 << 18;

impl Sparse {
    /// Adds a segment behind the others.
    pub(super) fn push(&mut self, offset: u64, length: u64) -> Result<(), String> {
        let end = self.segments.last().map_or(0, |(offset, length)| offset + length);
        let fits = offset >= end && offset.checked_add(length).is_some_and(|end| end <= i64::MAX as u64);
        if !fits {
            return Err("the segments of a sparse file overlap".to_string());
        }
        if self.segments.len() >= MOST_SEGMENTS {
            return Err(format!("a sparse file has more than {MOST_SEGMENTS} segments"));
        }
        if length > 0 {
            self.segments.push((offset, length));
        }
        Ok(())
    }

    /// Adds the segments of a GNU header, or of a block that extends one.
    pub(super) fn push_gnu(&mut self, entries: &[GnuSparseHeader]) -> Result<(), String> {
        for entry in entries.iter().filter(|entry| !entry.is_empty()) {
            let told = |error: std::io::Error| error.to_string();
            self.push(entry.offset().map_err(told)?, entry.length().map_err(told)?)?;
        }
        Ok(())
    }

    /// Checks a whole map against the bytes that the archive holds of the file.
    pub(super) fn check(&self, data: u64) -> Result<(), String> {
        let end = self.segments.last().map_or(0, |(offset, length)| offset + length);
        let sum: u64 = self.segments.iter().map(|(_, length)| length).sum();
        match end <= self.size && self.size <= i64::MAX as u64 && sum == data {
            true => Ok(()),
            false => Err(format!("the map of a sparse file tells of {sum} bytes, and there are {data}")),
        }
    }
}

/// The records `GNU.sparse.*` of a PAX header.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct PaxSparse {
    /// The file's own name; the entry's is made up.
    pub(super) name: Option<Vec<u8>>,
    major: Option<u64>,
    minor: Option<u64>,
    size: Option<u64>,
    /// 0.0 and 0.1: offsets and lengths in turn.
    map: Vec<u64>,
    seen: bool,
}

impl PaxSparse {
    /// Takes one record; `key` is what stands behind `GNU.sparse.`.
    pub(super) fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        self.seen = true;
        match key {
            b"name" => self.name = Some(value.to_vec()),
            b"major" => self.major = Some(number(key, value)?),
            b"minor" => self.minor = Some(number(key, value)?),
            b"size" | b"realsize" => self.size = Some(number(key, value)?),
            b"offset" | b"numbytes" => {
                // In 0.0 the two stand in turn; the order is all that pairs them.
                if (key == b"offset") != self.map.len().is_multiple_of(2) {
                    return Err("the offsets and lengths of a sparse file do not stand in turn".to_string());
                }
                self.map.push(number(key, value)?);
            }
            b"map" => {
                let numbers = value.split(|byte| *byte == b',').map(|part| number(key, part));
                self.map = numbers.collect::<Result<_, _>>()?;
            }
            // How many there are is seen.
            b"numblocks" => {}
            _ => return Err(format!("sparse file of an unknown format: {:?}", super::error::shown(key))),
        }
        Ok(())
    }

    /// What the records come to.
    pub(super) fn form(&self) -> Result<Form, String> {
        if !self.seen {
            return Ok(Form::None);
        }
        let size = self.size.ok_or("a sparse file without a size")?;
        match (self.major.unwrap_or(0), self.minor.unwrap_or(0)) {
            (1, 0) if self.map.is_empty() => Ok(Form::MapInData(size)),
            (0, 0 | 1) if self.map.len().is_multiple_of(2) => {
                let mut sparse = Sparse { size, segments: Vec::new() };
                self.map.chunks(2).try_for_each(|pair| sparse.push(pair[0], pair[1]))?;
                Ok(Form::Map(sparse))
            }
            (major, minor) => Err(format!("sparse file of format {major}.{minor} that is not one")),
        }
    }
}

/// How an entry is sparse.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// It is not.
    None,
    /// With this map.
    Map(Sparse),
    /// Of this size, with a map in front of its data: see [`MapReader`].
    MapInData(u64),
}

/// Reads the map of format 1.0: decimal numbers, a line each, the first of them how many pairs follow.
#[derive(Debug, Default)]
pub(super) struct MapReader {
    line: Vec<u8>,
    numbers: u64,
    wanted: Option<u64>,
    offset: Option<u64>,
    pub(super) sparse: Sparse,
}

impl MapReader {
    pub(super) fn new(size: u64) -> Self {
        MapReader { sparse: Sparse { size, segments: Vec::new() }, ..MapReader::default() }
    }

    /// Takes one block of the data; true when the map is whole. What stands behind it in the block is padding.
    pub(super) fn take(&mut self, block: &[u8]) -> Result<bool, String> {
        for byte in block {
            if *byte != b'\n' {
                self.line.push(*byte);
                if self.line.len() > 20 {
                    return Err("the map of a sparse file is no list of numbers".to_string());
                }
                continue;
            }
            let value = number(b"map", &std::mem::take(&mut self.line))?;
            match (self.wanted, self.offset.take()) {
                (None, _) => self.wanted = Some(value),
                (Some(_), None) => self.offset = Some(value),
                (Some(_), Some(offset)) => {
                    self.sparse.push(offset, value)?;
                    self.numbers += 1;
                }
            }
            if self.wanted == Some(self.numbers) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(records: &[(&str, &str)]) -> Result<Form, String> {
        let mut sparse = PaxSparse::default();
        records.iter().try_for_each(|(key, value)| sparse.take(key.as_bytes(), value.as_bytes()))?;
        sparse.form()
    }

    #[test]
    fn the_three_pax_formats_are_read() {
        assert_eq!(form(&[]), Ok(Form::None));
        let map = Form::Map(Sparse { size: 100, segments: vec![(10, 5), (50, 7)] });
        assert_eq!(form(&[("size", "100"), ("numblocks", "3"), ("map", "10,5,50,7,100,0")]).as_ref(), Ok(&map));
        let pairs = [("offset", "10"), ("numbytes", "5"), ("offset", "50"), ("numbytes", "7")];
        assert_eq!(form(&[&[("size", "100")], &pairs[..]].concat()).as_ref(), Ok(&map));
        assert_eq!(form(&[("major", "1"), ("minor", "0"), ("realsize", "9")]), Ok(Form::MapInData(9)));
    }

    #[test]
    fn maps_that_are_none_are_refused() {
        for bad in [
            &[("size", "9"), ("map", "1,2,3")][..],
            &[("size", "9"), ("map", "5,2,1,1")],
            &[("map", "1,2")],
            &[("size", "9"), ("numbytes", "1")],
            &[("size", "9"), ("offset", "1"), ("offset", "1")],
            &[("size", "9"), ("map", "9223372036854775807,1")],
            &[("major", "2"), ("minor", "0"), ("realsize", "9")],
            &[("size", "9"), ("colour", "red")],
        ] {
            assert!(form(bad).is_err(), "{bad:?}");
        }
        assert!(Sparse { size: 9, segments: vec![(1, 2)] }.check(2).is_ok());
        assert!(Sparse { size: 9, segments: vec![(1, 2)] }.check(3).is_err());
        assert!(Sparse { size: 2, segments: vec![(1, 2)] }.check(2).is_err());
    }

    #[test]
    fn a_map_in_the_data_may_span_blocks() {
        let mut reader = MapReader::new(100);
        assert_eq!(reader.take(b"2\n1"), Ok(false));
        assert_eq!(reader.take(b"0\n5\n50\n7\n\0\0\0"), Ok(true));
        assert_eq!(reader.sparse, Sparse { size: 100, segments: vec![(10, 5), (50, 7)] });
        assert_eq!(MapReader::new(1).take(b"0\n"), Ok(true));
        assert!(MapReader::new(1).take(&[b'1'; 512]).is_err());
        assert!(MapReader::new(1).take(b"x\n").is_err());
    }
}
