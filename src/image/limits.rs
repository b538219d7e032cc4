//! Where to stop believing an image: bounds on what its layers may become, and the count of what they have become.

use super::error::LimitError;

/// Bounds on what the layers of one image may become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Tar entries of all layers.
    pub entries: u64,
    /// Names in one entry's path.
    pub depth: usize,
    /// Bytes of all layers, decompressed; the holes of sparse files count.
    pub bytes: u64,
    /// How many times larger than its blob a layer may be, once it is larger than [`RATIO_FROM`].
    pub ratio: u64,
}

/// A layer of so many bytes or fewer may be compressed as well as it likes: a tar of empty files easily is.
pub const RATIO_FROM: u64 = 64 << 20;

impl Default for Limits {
    /// Above what images are known to have: some hundred thousand files, tens of gigabytes, text that shrinks to a twentieth.
    fn default() -> Self {
        Limits { entries: 2_000_000, depth: 256, bytes: 128 << 30, ratio: 200 }
    }
}

/// What has been read so far, held against the limits.
#[derive(Debug)]
pub(super) struct Meter {
    limits: Limits,
    entries: u64,
    bytes: u64,
    layer_bytes: u64,
    layer_most: u64,
}

impl Meter {
    pub(super) fn new(limits: Limits) -> Self {
        Meter { limits, entries: 0, bytes: 0, layer_bytes: 0, layer_most: 0 }
    }

    /// A layer begins, whose blob has so many bytes.
    pub(super) fn layer(&mut self, blob: u64) {
        self.layer_bytes = 0;
        self.layer_most = blob.saturating_mul(self.limits.ratio).max(RATIO_FROM);
    }

    /// One more entry.
    pub(super) fn entry(&mut self) -> Result<(), LimitError> {
        self.entries += 1;
        hold(self.entries, self.limits.entries, "tar entries of all layers", "--max-entries")
    }

    /// So many more bytes of the layer's tar.
    pub(super) fn read(&mut self, bytes: u64) -> Result<(), LimitError> {
        self.layer_bytes += bytes;
        if self.layer_bytes > self.layer_most {
            let what = "times that a layer is larger than its blob";
            return Err(LimitError { what, limit: self.limits.ratio, flag: "--max-ratio" });
        }
        self.appear(bytes)
    }

    /// So many more bytes of files, which take no bytes of the tar: the holes of a sparse file.
    pub(super) fn appear(&mut self, bytes: u64) -> Result<(), LimitError> {
        self.bytes = self.bytes.saturating_add(bytes);
        hold(self.bytes, self.limits.bytes, "bytes of all layers, decompressed", "--max-size")
    }

    pub(super) fn entries(&self) -> u64 {
        self.entries
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

fn hold(found: u64, limit: u64, what: &'static str, flag: &'static str) -> Result<(), LimitError> {
    if found > limit { Err(LimitError { what, limit, flag }) } else { Ok(()) }
}
