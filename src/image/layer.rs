//! One layer, from its blob to files: verify, decompress, verify again, and hand the tar entries to the tree. All in one pass,
//! with buffers of a fixed size.

use std::cell::RefCell;
use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

use super::archive::{Archive, ArchiveError, Cause, Input};
use super::digest::{self, Hasher};
use super::error::{EntryError, ImageError, LimitError};
use super::limits::Meter;
use super::tree::Tree;
use super::{Image, Layer, Watch};

/// Bytes that are read from a blob at once, and decompressed at once.
const BUFFER: usize = 256 << 10;
/// log2 of the most that a zstd frame may ask to remember: 128 MiB, the zstd program's own limit.
const ZSTD_WINDOW: u32 = 27;

/// How a blob is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    /// What the first bytes say: RFC 1952, section 2.3.1; RFC 8878, sections 3.1.1 and 3.1.2.
    pub(super) fn detect(start: &[u8]) -> Compression {
        match start {
            [0x1f, 0x8b, 8, ..] => Compression::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Compression::Zstd,
            _ => Compression::None,
        }
    }

    /// What a media type of a layer says; none where it does not say.
    fn told(media_type: &str) -> Result<Option<Compression>, String> {
        let (kind, compression) = match media_type.rsplit_once(['+', '.']) {
            Some((kind, "gzip")) => (kind, Compression::Gzip),
            Some((kind, "zstd")) => (kind, Compression::Zstd),
            _ => (media_type, Compression::None),
        };
        match kind {
            "application/vnd.oci.image.layer.v1.tar" | "application/vnd.oci.image.layer.nondistributable.v1.tar" => {
                Ok(Some(compression))
            }
            // Docker's archives call a layer gzip that is not.
            "application/vnd.docker.image.rootfs.diff.tar" | "application/vnd.docker.image.rootfs.foreign.diff.tar" => {
                Ok(None)
            }
            _ => Err(format!("{media_type:?} is no layer that can be unpacked")),
        }
    }

    /// The decompressed bytes of `input`.
    pub(super) fn reader<'a>(self, input: impl BufRead + 'a) -> io::Result<Box<dyn Read + 'a>> {
        Ok(match self {
            Compression::None => Box::new(input),
            Compression::Gzip => Box::new(MultiGzDecoder::new(input)),
            Compression::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
                decoder.window_log_max(ZSTD_WINDOW)?;
                Box::new(decoder)
            }
        })
    }
}

/// Unpacks one layer; `index` counts from 0.
pub(super) fn unpack(
    image: &Image,
    layer: &Layer,
    index: usize,
    tree: &mut Tree,
    meter: &mut Meter,
    watch: &dyn Watch,
) -> Result<(), ImageError> {
    let what = format!("layer {}", index + 1);
    let told = layer.media_type.as_deref().map_or(Ok(None), Compression::told);
    let told = told.map_err(|message| ImageError::invalid(&what, message))?;
    let bytes = image.source.need(&what, &layer.blob)?.bytes;
    // A tar that is not compressed has one digest for both, and it is enough to compute it once.
    let digest = layer.digest.as_ref().filter(|digest| **digest != layer.diff_id);
    let mut blob = digest::Blob::new(Watched { input: bytes, watch }, &what, layer.size, digest);
    meter.layer(layer.size);
    tree.next_layer();
    let read = read(&mut blob, layer, told, tree, Stream { meter, what: &what, index, watch });
    match read {
        // Damage is best told as such: whatever the decoder made of the bytes, they are not the ones that were meant.
        Err(ImageError::Io { .. } | ImageError::Entry { cause: EntryError::Archive(_), .. }) if !watch.stop() => {
            blob.finish().and(read)
        }
        Err(error) => Err(error),
        Ok(()) => blob.finish(),
    }
}

/// What a layer is read with.
struct Stream<'a> {
    meter: &'a mut Meter,
    what: &'a str,
    index: usize,
    watch: &'a dyn Watch,
}

fn read(
    blob: &mut impl Read,
    layer: &Layer,
    told: Option<Compression>,
    tree: &mut Tree,
    stream: Stream,
) -> Result<(), ImageError> {
    let failed = |source| ImageError::io(stream.what, source);
    let mut input = BufReader::with_capacity(BUFFER, blob);
    let found = Compression::detect(input.fill_buf().map_err(failed)?);
    if let Some(told) = told.filter(|told| *told != found) {
        tree.warn(format!("{}: its media type says {told:?}, and it is {found:?}", stream.what));
    }
    let stop = RefCell::new(None);
    let plain = Plain {
        input: found.reader(input).map_err(failed)?,
        hasher: Hasher::like(&layer.diff_id),
        meter: stream.meter,
        watch: stream.watch,
        stop: &stop,
    };
    let mut archive = Archive::new(BufReader::with_capacity(BUFFER, plain));
    let done = entries(&mut archive, tree, stream.index).and_then(|()| archive.drain().map_err(failed));
    if let Some(reason) = stop.take() {
        return Err(reason.error());
    }
    done?;
    let found = archive.into_input().into_inner().hasher.digest();
    digest::same(&format!("{}, decompressed", stream.what), layer.diff_id.clone(), found)
}

fn entries(archive: &mut Archive<BufReader<Plain>>, tree: &mut Tree, index: usize) -> Result<(), ImageError> {
    let broken = |error: ArchiveError| match error.cause {
        Cause::Read(source) => ImageError::io(format!("layer {}", index + 1), source),
        Cause::Malformed(told) => ImageError::entry(index + 1, error.path, EntryError::Archive(told)),
    };
    while let Some(entry) = archive.next().map_err(broken)? {
        archive.input().get_mut().count(entry.sparse.as_ref().map_or(0, |sparse| sparse.size - entry.size))?;
        tree.apply(&entry, archive).map_err(|source| ImageError::entry(index + 1, &entry.path, source))?;
    }
    Ok(())
}

/// The tar of a layer, decompressed: digested, counted, and ended when someone asks.
struct Plain<'a> {
    input: Box<dyn Read + 'a>,
    hasher: Hasher,
    meter: &'a mut Meter,
    watch: &'a dyn Watch,
    /// Why reading was ended by us; an `io::Error` has no place for it.
    stop: &'a RefCell<Option<Stop>>,
}

enum Stop {
    Limit(LimitError),
    Asked,
}

impl Stop {
    fn error(self) -> ImageError {
        match self {
            Stop::Limit(limit) => ImageError::Limit(limit),
            Stop::Asked => ImageError::Interrupted,
        }
    }
}

impl Plain<'_> {
    /// One more entry, whose file has so many bytes that are not in the tar.
    fn count(&mut self, holes: u64) -> Result<(), ImageError> {
        if self.watch.stop() {
            return Err(ImageError::Interrupted);
        }
        self.meter.entry().and_then(|()| self.meter.appear(holes)).map_err(ImageError::Limit)
    }

    fn end(&self, reason: Stop) -> io::Error {
        self.stop.replace(Some(reason));
        io::Error::other("ended")
    }
}

impl Read for Plain<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.watch.stop() {
            return Err(self.end(Stop::Asked));
        }
        let n = self.input.read(buffer)?;
        self.hasher.update(&buffer[..n]);
        match self.meter.read(n as u64) {
            Ok(()) => Ok(n),
            Err(limit) => Err(self.end(Stop::Limit(limit))),
        }
    }
}

impl Input for BufReader<Plain<'_>> {}

/// A blob of which someone wants to know how far it is read.
struct Watched<'a, R> {
    input: R,
    watch: &'a dyn Watch,
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.input.read(buffer)?;
        self.watch.advance(n as u64);
        Ok(n)
    }
}

/// Decompresses a layer and reads every entry of it with its data, and makes nothing. For the fuzzer (fuzz/targets/layer.rs).
#[cfg(fuzzing)]
pub fn read_layer(bytes: &[u8]) -> Result<u64, String> {
    const ENOUGH: u64 = 8 << 20;
    let plain = Compression::detect(bytes).reader(bytes).map_err(|error| error.to_string())?;
    let mut tar = Vec::new();
    plain.take(ENOUGH).read_to_end(&mut tar).map_err(|error| error.to_string())?;
    let mut archive = Archive::new(&tar[..]);
    let mut entries = 0;
    loop {
        match archive.next() {
            Ok(None) => return Ok(entries),
            Ok(Some(entry)) => {
                let mut data = Vec::new();
                archive.read_to_end(&mut data).map_err(|error| error.to_string())?;
                if let Some(sparse) = entry.sparse {
                    let held: u64 = sparse.segments.iter().map(|(_, length)| length).sum();
                    assert_eq!(held, entry.size, "a map that was checked");
                }
                assert!(!entry.path.contains(&0) && data.len() as u64 <= entry.size);
                entries += 1;
            }
            Err(ArchiveError { cause: Cause::Malformed(told), .. }) => return Err(told),
            Err(ArchiveError { cause: Cause::Read(error), .. }) => return Err(error.to_string()),
        }
    }
}
