//! The entries of a tar archive, read strictly and in bounded memory.
//!
//! The tar crate reads the headers: numbers, checksums, formats. The walk from one to the next is ours. The crate's own keeps
//! extension headers of any size in memory and misreads some PAX records (`pax.rs`); and where an archive could be read in two
//! ways (two sizes, two names, entries behind the end), so that another reader would see other files, ours refuses it.

use std::io::{self, Read};

use tar::{EntryType, GnuExtSparseHeader, Header};

use super::entry::{Entry, Kind};
use super::error::shown;
use super::pax::Pax;
use super::sparse::{Form, MapReader, Sparse};

const BLOCK: usize = 512;

/// Bytes of one extension header: long names have 4096, attributes 64 KiB each.
const MOST_EXTENSION: u64 = 1 << 20;

/// Why an archive cannot be read further.
#[derive(Debug)]
pub(super) struct ArchiveError {
    /// The entry at which it ends, as far as its name is known.
    pub(super) path: Vec<u8>,
    pub(super) cause: Cause,
}

#[derive(Debug)]
pub(super) enum Cause {
    /// The input cannot be read.
    Read(io::Error),
    /// What was read makes no sense.
    Malformed(String),
}

impl<T: Into<String>> From<T> for Cause {
    fn from(text: T) -> Self {
        Cause::Malformed(text.into())
    }
}

/// An input that may have a faster way of passing bytes over than reading them.
pub(super) trait Input: Read {
    /// Passes over `count` bytes.
    fn skip(&mut self, count: u64) -> io::Result<()> {
        match io::copy(&mut self.take(count), &mut io::sink())? {
            skipped if skipped == count => Ok(()),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

impl Input for &[u8] {}

/// A tar archive. Reading from it gives the data of the current entry.
pub(super) struct Archive<R> {
    input: R,
    /// Bytes read or passed over so far.
    position: u64,
    /// Bytes of the current entry that are not read yet, and what fills up its last block.
    data: u64,
    padding: u64,
}

/// What extension headers say of the entry behind them.
#[derive(Default)]
struct Extensions {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    pax: Option<Pax>,
}

impl<R: Input> Archive<R> {
    pub(super) fn new(input: R) -> Self {
        Archive { input, position: 0, data: 0, padding: 0 }
    }

    /// Where the data of the current entry begins, as far as it is not read.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// What the archive is read from.
    pub(super) fn input(&mut self) -> &mut R {
        &mut self.input
    }

    /// Gives back what the archive was read from.
    pub(super) fn into_input(self) -> R {
        self.input
    }

    /// The next entry; none at the archive's end.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, ArchiveError> {
        let mut extensions = Extensions::default();
        self.next_entry(&mut extensions).map_err(|cause| {
            let pax = extensions.pax.and_then(|pax| pax.path);
            ArchiveError { path: pax.or(extensions.name).unwrap_or_default(), cause }
        })
    }

    /// Reads to the end of the input, so that digests are of all of it.
    pub(super) fn drain(&mut self) -> io::Result<()> {
        io::copy(&mut self.input, &mut io::sink()).map(|_| ())
    }

    fn next_entry(&mut self, extensions: &mut Extensions) -> Result<Option<Entry>, Cause> {
        loop {
            self.skip(self.data + self.padding)?;
            let Some(header) = self.header()? else {
                let nothing = extensions.name.is_none() && extensions.link.is_none() && extensions.pax.is_none();
                return if nothing { Ok(None) } else { Err("an extension header with no entry behind it".into()) };
            };
            let size = header.entry_size().map_err(|error| error.to_string())?;
            match header.entry_type() {
                EntryType::GNULongName => once(&mut extensions.name, self.extension(size)?)?,
                EntryType::GNULongLink => once(&mut extensions.link, self.extension(size)?)?,
                EntryType::XHeader => once(&mut extensions.pax, Pax::parse(&self.extension(size)?)?)?,
                EntryType::XGlobalHeader => self.global(size)?,
                _ => return self.entry(&header, size, extensions).map(Some),
            }
        }
    }

    /// The next header; none at the end of the archive: two blocks of zeroes, or the end of the input.
    fn header(&mut self) -> Result<Option<Header>, Cause> {
        let Some(block) = self.block()? else { return Ok(None) };
        if block == [0; BLOCK] {
            return match self.block()? {
                None => Ok(None),
                Some(second) if second == [0; BLOCK] => Ok(None),
                Some(_) => Err("entries behind the end of the archive".into()),
            };
        }
        let header = Header::from_byte_slice(&block).clone();
        // POSIX: the sum of all bytes, those of the sum itself taken as spaces.
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        let own: u32 = block[148..156].iter().map(|byte| u32::from(*byte)).sum();
        match header.cksum() {
            Ok(told) if told == sum - own + 8 * u32::from(b' ') => Ok(Some(header)),
            _ => Err("a header with a wrong checksum: this is no tar, or it is damaged".into()),
        }
    }

    fn block(&mut self) -> Result<Option<[u8; BLOCK]>, Cause> {
        let mut block = [0; BLOCK];
        let mut read = 0;
        while read < BLOCK {
            match self.input.read(&mut block[read..]) {
                Ok(0) if read == 0 => return Ok(None),
                Ok(0) => return Err("the archive ends in the middle of a block".into()),
                Ok(n) => read += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Cause::Read(error)),
            }
        }
        self.position += BLOCK as u64;
        Ok(Some(block))
    }

    fn skip(&mut self, count: u64) -> Result<(), Cause> {
        (self.data, self.padding) = (0, 0);
        if count == 0 {
            return Ok(());
        }
        self.position = self.position.checked_add(count).ok_or("the archive is longer than 2^64 bytes")?;
        self.input.skip(count).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => "the archive ends in the middle of an entry".into(),
            _ => Cause::Read(error),
        })
    }

    /// Makes `size` bytes the data that is to be read.
    fn open(&mut self, size: u64) -> Result<(), Cause> {
        if size > i64::MAX as u64 {
            return Err(format!("an entry of {size} bytes").into());
        }
        self.data = size;
        self.padding = size.next_multiple_of(BLOCK as u64) - size;
        Ok(())
    }

    /// The data of an extension header.
    fn extension(&mut self, size: u64) -> Result<Vec<u8>, Cause> {
        if size > MOST_EXTENSION {
            return Err(format!("an extension header of {size} bytes, more than {MOST_EXTENSION}").into());
        }
        self.open(size)?;
        let mut data = Vec::with_capacity(size as usize);
        Read::read_to_end(self, &mut data).map_err(Cause::Read)?;
        if data.len() as u64 != size {
            return Err("the archive ends in an extension header".into());
        }
        Ok(data)
    }

    /// A header for all entries behind it. Some readers apply it and some, as ours, do not; so it may say nothing that counts.
    fn global(&mut self, size: u64) -> Result<(), Cause> {
        let pax = Pax::parse(&self.extension(size)?)?;
        let harmless = pax == Pax { mtime: pax.mtime, ..Pax::default() };
        if harmless { Ok(()) } else { Err("a global header that would change the entries behind it".into()) }
    }

    fn entry(&mut self, header: &Header, size: u64, extensions: &mut Extensions) -> Result<Entry, Cause> {
        // The name first, so that an error can tell it.
        let pax = extensions.pax.take().unwrap_or_default();
        let own_path = header.path_bytes().into_owned();
        let path = one("names", pax.path, extensions.name.take())?.unwrap_or(own_path);
        let path = pax.sparse.name.clone().unwrap_or(path);
        extensions.name = Some(path.clone());
        let own_link = header.link_name_bytes().unwrap_or_default().into_owned();
        let link = one("names to link to", pax.link, extensions.link.take())?.unwrap_or(own_link);

        let size = one_size(size, pax.size)?;
        let (kind, sparse) = self.kind_and_data(header, &path, size, pax.sparse.form()?)?;
        let told = |error: io::Error| Cause::from(error.to_string());
        let old = header.as_old();
        let mut entry = Entry {
            path: text(path)?,
            link: text(link)?,
            kind,
            size: self.data,
            mode: filled(&old.mode, || header.mode()).map_err(told)? & 0o7777,
            uid: id(pax.uid.map_or_else(|| filled(&old.uid, || header.uid()), Ok).map_err(told)?)?,
            gid: id(pax.gid.map_or_else(|| filled(&old.gid, || header.gid()), Ok).map_err(told)?)?,
            // A time before 1970 is a negative number in base 256.
            mtime: match pax.mtime {
                Some(time) => time,
                None => (filled(&old.mtime, || header.mtime()).map_err(told)?.cast_signed(), 0),
            },
            device: (0, 0),
            attributes: pax.attributes,
            sparse,
        };
        if matches!(kind, Kind::Character | Kind::Block) {
            let number = |number: io::Result<Option<u32>>| number.map_err(told).map(Option::unwrap_or_default);
            entry.device = (number(header.device_major())?, number(header.device_minor())?);
        }
        Ok(entry)
    }

    /// What the entry is, and its map if it is sparse. Makes its data the one that is to be read.
    fn kind_and_data(
        &mut self,
        header: &Header,
        path: &[u8],
        size: u64,
        form: Form,
    ) -> Result<(Kind, Option<Sparse>), Cause> {
        let kind = match header.entry_type() {
            // Before ustar, a name with a slash at its end was how a directory was told.
            EntryType::Regular | EntryType::Continuous if path.ends_with(b"/") => Kind::Directory,
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => Kind::File,
            EntryType::Directory => Kind::Directory,
            EntryType::Symlink => Kind::Symlink,
            EntryType::Link => Kind::Hardlink,
            EntryType::Char => Kind::Character,
            EntryType::Block => Kind::Block,
            EntryType::Fifo => Kind::Fifo,
            other => return Err(format!("an entry of the unknown type {:?}", char::from(other.as_byte())).into()),
        };
        if kind != Kind::File && (size > 0 || form != Form::None) {
            return Err(format!("{size} bytes of data for what is no file").into());
        }
        let sparse = match (header.entry_type(), form) {
            (EntryType::GNUSparse, Form::None) => Some(self.gnu_map(header)?),
            (EntryType::GNUSparse, _) => return Err("a file that is sparse in two ways".into()),
            (_, Form::None) => None,
            (_, Form::Map(sparse)) => Some(sparse),
            (_, Form::MapInData(real)) => {
                let (sparse, map) = self.map_in_data(real, size)?;
                self.open(size - map)?;
                return Ok((kind, Some(sparse)));
            }
        };
        self.open(size)?;
        sparse.iter().try_for_each(|sparse| sparse.check(size))?;
        Ok((kind, sparse))
    }

    fn gnu_map(&mut self, header: &Header) -> Result<Sparse, Cause> {
        let gnu = header.as_gnu().ok_or("a sparse file whose header is not GNU's")?;
        let size = gnu.real_size().map_err(|error| error.to_string())?;
        let mut sparse = Sparse { size, segments: Vec::new() };
        sparse.push_gnu(&gnu.sparse)?;
        let mut more = gnu.is_extended();
        while more {
            let mut block = GnuExtSparseHeader::new();
            *block.as_mut_bytes() = self.block()?.ok_or("the archive ends in the map of a sparse file")?;
            sparse.push_gnu(&block.sparse)?;
            more = block.is_extended();
        }
        Ok(sparse)
    }

    /// The map in front of the data, and how many bytes of the data it takes.
    fn map_in_data(&mut self, real: u64, size: u64) -> Result<(Sparse, u64), Cause> {
        let mut reader = MapReader::new(real);
        let mut map = 0;
        while map + BLOCK as u64 <= size {
            let block = self.block()?.ok_or("the archive ends in the map of a sparse file")?;
            map += BLOCK as u64;
            if reader.take(&block)? {
                reader.sparse.check(size - map)?;
                return Ok((reader.sparse, map));
            }
        }
        Err("the map of a sparse file has no end".into())
    }
}

impl<R: Read> Read for Archive<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.data).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let n = self.input.read(&mut buffer[..most])?;
        self.data -= n as u64;
        self.position += n as u64;
        Ok(n)
    }
}

fn once<T>(field: &mut Option<T>, value: T) -> Result<(), Cause> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err("two extension headers of one kind for one entry".into()),
    }
}

/// The one of two that there is; two that differ would be read differently by different readers.
fn one(what: &str, pax: Option<Vec<u8>>, gnu: Option<Vec<u8>>) -> Result<Option<Vec<u8>>, Cause> {
    match (pax, gnu.map(|name| name.strip_suffix(b"\0").map(<[u8]>::to_vec).unwrap_or(name))) {
        (Some(pax), Some(gnu)) if pax != gnu => Err(format!("an entry with two {what}").into()),
        (pax, gnu) => Ok(pax.or(gnu)),
    }
}

/// The size. A PAX record stands for what the header cannot hold, so a header that holds another is one for other readers.
fn one_size(header: u64, pax: Option<u64>) -> Result<u64, Cause> {
    match pax {
        Some(size) if header != 0 && size != header => {
            Err(format!("an entry with two sizes, {header} and {size} bytes").into())
        }
        _ => Ok(pax.unwrap_or(header)),
    }
}

/// A number of a header; a field that was left blank is 0, as for GNU tar and Go.
fn filled<T: Default>(field: &[u8], read: impl Fn() -> io::Result<T>) -> io::Result<T> {
    let blank = field.iter().all(|byte| matches!(byte, 0 | b' '));
    if blank { Ok(T::default()) } else { read() }
}

/// A name as the kernel can take it.
fn text(name: Vec<u8>) -> Result<Vec<u8>, Cause> {
    match name.contains(&0) {
        true => Err(format!("a name with a NUL byte: {:?}", shown(&name)).into()),
        false => Ok(name),
    }
}

/// (uid_t)-1 means "leave as it is" to chown(2), so it is no id.
fn id(id: u64) -> Result<u32, Cause> {
    u32::try_from(id).ok().filter(|id| *id != u32::MAX).ok_or_else(|| format!("an owner with the id {id}").into())
}

#[cfg(test)]
mod tests {
    use super::super::pax::tests::written;
    use super::*;

    /// A header block of ustar, with `change` applied and its checksum set.
    fn block(kind: u8, name: &str, size: u64, change: impl FnOnce(&mut [u8; 512])) -> Vec<u8> {
        let mut header = Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(EntryType::new(kind));
        header.set_size(size);
        for set in [Header::set_uid, Header::set_gid, Header::set_mtime] {
            set(&mut header, 0);
        }
        header.set_mode(0o644);
        change(header.as_mut_bytes());
        header.set_cksum();
        header.as_bytes().to_vec()
    }

    fn padded(data: &[u8]) -> Vec<u8> {
        let mut data = data.to_vec();
        data.resize(data.len().next_multiple_of(BLOCK), 0);
        data
    }

    fn member(kind: u8, name: &str, data: &[u8]) -> Vec<u8> {
        [block(kind, name, data.len() as u64, |_| ()), padded(data)].concat()
    }

    fn pax(records: &[(&str, &[u8])]) -> Vec<u8> {
        member(b'x', "pax", &records.iter().flat_map(|(key, value)| written(key, value)).collect::<Vec<_>>())
    }

    /// Every entry with its data, or why not.
    fn read(parts: &[Vec<u8>]) -> Result<Vec<(Entry, Vec<u8>)>, String> {
        let bytes = parts.concat();
        let mut archive = Archive::new(&bytes[..]);
        let mut found = Vec::new();
        loop {
            match archive.next() {
                Ok(None) => return Ok(found),
                Ok(Some(entry)) => {
                    let mut data = Vec::new();
                    archive.read_to_end(&mut data).expect("memory can be read");
                    found.push((entry, data));
                }
                Err(ArchiveError { cause: Cause::Malformed(told), .. }) => return Err(told),
                Err(ArchiveError { cause: Cause::Read(error), .. }) => return Err(error.to_string()),
            }
        }
    }

    fn names(parts: &[Vec<u8>]) -> Result<Vec<String>, String> {
        let name = |(entry, _): &(Entry, Vec<u8>)| String::from_utf8_lossy(&entry.path).into_owned();
        read(parts).map(|found| found.iter().map(name).collect())
    }

    fn refused(parts: &[Vec<u8>], why: &str) {
        let told = read(parts).expect_err(why);
        assert!(told.contains(why), "{told:?} does not tell of {why:?}");
    }

    #[test]
    fn entries_have_data_and_an_unread_rest_is_passed_over() {
        let parts =
            [member(b'0', "a", b"hello"), member(b'5', "d/", b""), member(b'0', "b", &[7; 1000]), vec![0; 1024]];
        let found = read(&parts).unwrap();
        assert_eq!(found.iter().map(|(_, data)| data.len()).collect::<Vec<_>>(), [5, 0, 1000]);
        let bytes = parts.concat();
        let mut archive = Archive::new(&bytes[..]);
        let mut seen = 0;
        while archive.next().unwrap().is_some() {
            seen += 1;
        }
        assert_eq!(seen, 3);
    }

    #[test]
    fn long_names_come_from_gnu_and_from_pax() {
        let long = "d/".repeat(120) + "end";
        let gnu = member(b'L', "././@LongLink", format!("{long}\0").as_bytes());
        assert_eq!(names(&[gnu.clone(), member(b'0', "short", b"")]).unwrap(), [long.as_str()]);
        let pax_name = pax(&[("path", long.as_bytes())]);
        assert_eq!(names(&[pax_name, member(b'0', "short", b"")]).unwrap(), [long.as_str()]);
        let other = pax(&[("path", b"other")]);
        refused(&[gnu, other, member(b'0', "short", b"")], "two names");
        let link = member(b'K', "x", b"target\0");
        assert_eq!(read(&[link, member(b'2', "l", b"")]).unwrap()[0].0.link, b"target");
    }

    #[test]
    fn an_entry_has_one_size() {
        let smuggled = member(b'0', "smuggled", b"");
        let size = |text: &[u8]| pax(&[("size", text)]);
        // A reader that takes the header's 512 sees "smuggled" as an entry; one that takes the record's 1024 does not.
        let entry = [block(b'0', "a", 512, |_| ()), vec![1; 512]].concat();
        refused(&[size(b"1024"), entry.clone(), smuggled.clone()], "two sizes");
        refused(&[size(b"0"), entry.clone(), smuggled.clone()], "two sizes");
        assert_eq!(names(&[size(b"512"), entry, smuggled.clone()]).unwrap(), ["a", "smuggled"]);
        let big = [block(b'0', "a", 0, |_| ()), smuggled.clone()].concat();
        assert_eq!(names(&[size(b"512"), big]).unwrap(), ["a"], "a header of 0 leaves it to the record");
        refused(&[block(b'5', "d", 512, |_| ()), smuggled.clone()], "bytes of data for what is no file");
        refused(&[block(b'2', "l", 512, |_| ()), smuggled], "bytes of data for what is no file");
    }

    #[test]
    fn nothing_hides_behind_the_end() {
        let end = vec![0; 512];
        refused(&[member(b'0', "a", b""), end.clone(), member(b'0', "b", b"")], "behind the end");
        assert_eq!(names(&[member(b'0', "a", b""), end.clone()]).unwrap(), ["a"]);
        assert_eq!(names(&[]).unwrap(), Vec::<String>::new());
        refused(&[pax(&[("size", b"1")]), end], "no entry behind it");
    }

    #[test]
    fn global_headers_may_say_nothing_that_counts() {
        let global = |key: &str| member(b'g', "g", &written(key, b"1"));
        assert_eq!(names(&[global("comment"), member(b'0', "a", b"")]).unwrap(), ["a"]);
        for key in ["path", "size", "linkpath", "uid", "SCHILY.xattr.user.x", "GNU.sparse.size"] {
            refused(&[global(key), member(b'0', "a", b"")], "global header");
        }
    }

    #[test]
    fn damage_is_told() {
        let mut wrong = member(b'0', "a", b"hello");
        wrong[0] = b'b';
        refused(&[wrong], "checksum");
        let whole = member(b'0', "a", &[1; 600]);
        for cut in [1, 511, 513, 512 + 1023] {
            let told = read(&[whole[..cut].to_vec()]);
            assert!(told.is_err() || told.as_ref().unwrap()[0].1.len() < 600, "{cut}: {told:?}");
        }
        refused(&[block(b'x', "big", 2 << 20, |_| ())], "extension header of 2097152 bytes");
        refused(&[block(b'M', "volume", 0, |_| ())], "unknown type 'M'");
        refused(&[pax(&[("path", b"a\0b")]), member(b'0', "x", b"")], "NUL");
        refused(&[pax(&[("uid", b"4294967295")]), member(b'0', "x", b"")], "id 4294967295");
        refused(&[pax(&[("size", b"1")]), pax(&[("size", b"1")]), member(b'0', "x", b"")], "two extension headers");
        refused(&[pax(&[("size", b"9223372036854775808")]), member(b'0', "x", b"")], "9223372036854775808 bytes");
    }

    #[test]
    fn every_format_of_sparse_files_gives_the_same_map() {
        let expected = Sparse { size: 5000, segments: vec![(1024, 3), (4096, 4)] };
        let records: [(&str, &[u8]); 2] = [("GNU.sparse.size", b"5000"), ("GNU.sparse.map", b"1024,3,4096,4,5000,0")];
        let found = read(&[pax(&records), member(b'0', "s", b"abcdefg")]).unwrap();
        assert_eq!((found[0].0.sparse.as_ref(), &found[0].1[..]), (Some(&expected), &b"abcdefg"[..]));

        let records: [(&str, &[u8]); 4] = [
            ("GNU.sparse.major", b"1"),
            ("GNU.sparse.minor", b"0"),
            ("GNU.sparse.name", b"s"),
            ("GNU.sparse.realsize", b"5000"),
        ];
        let data = [padded(b"3\n1024\n3\n4096\n4\n5000\n0\n"), b"abcdefg".to_vec()].concat();
        let found =
            read(&[pax(&records), member(b'0', "GNUSparseFile.0/s", &data), member(b'0', "next", b"")]).unwrap();
        assert_eq!((found[0].0.sparse.as_ref(), &found[0].1[..]), (Some(&expected), &b"abcdefg"[..]));
        assert_eq!((found[0].0.path.as_slice(), found[0].0.size, found.len()), (&b"s"[..], 7, 2));
    }

    #[test]
    fn gnu_s_own_sparse_format_may_go_on_behind_the_header() {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[0] = b's';
        header.set_entry_type(EntryType::GNUSparse);
        header.set_size(5);
        for set in [Header::set_uid, Header::set_gid, Header::set_mtime] {
            set(&mut header, 0);
        }
        header.set_mode(0o600);
        let gnu = header.as_gnu_mut().unwrap();
        for (index, entry) in gnu.sparse.iter_mut().enumerate() {
            entry.offset.copy_from_slice(format!("{:011o}\0", index * 1000).as_bytes());
            entry.numbytes.copy_from_slice(b"00000000001\0");
        }
        gnu.isextended[0] = 1;
        gnu.realsize.copy_from_slice(format!("{:011o}\0", 9000).as_bytes());
        header.set_cksum();
        let mut more = GnuExtSparseHeader::new();
        more.sparse[0].offset.copy_from_slice(format!("{:011o}\0", 8000).as_bytes());
        more.sparse[0].numbytes.copy_from_slice(b"00000000001\0");
        let parts = [header.as_bytes().to_vec(), more.as_bytes().to_vec(), padded(b"abcde"), member(b'0', "next", b"")];
        let found = read(&parts).unwrap();
        let segments = vec![(0, 1), (1000, 1), (2000, 1), (3000, 1), (8000, 1)];
        assert_eq!(found[0].0.sparse, Some(Sparse { size: 9000, segments }));
        assert_eq!((&found[0].1[..], found.len()), (&b"abcde"[..], 2));
    }

    #[test]
    fn the_tar_crate_s_own_archives_are_read() {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = Header::new_gnu();
        header.set_size(3);
        header.set_mode(0o4755);
        header.set_uid(1000);
        header.set_mtime(1_700_000_000);
        builder.append_data(&mut header, "x/".repeat(100) + "f", &b"abc"[..]).unwrap();
        let found = read(&[builder.into_inner().unwrap()]).unwrap();
        let entry = &found[0].0;
        assert_eq!((entry.path.len(), entry.mode, entry.uid, entry.mtime), (201, 0o4755, 1000, (1_700_000_000, 0)));
    }
}
