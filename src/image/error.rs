//! What can be wrong with an image, in three sizes: the image, a layer of it, one tar entry.

use std::io;
use std::path::PathBuf;

use pathrs::error::ErrorKind;

use super::digest::Digest;

/// Why an image cannot be opened or unpacked.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// A file cannot be read or written.
    #[error("{what}: {cause}")]
    Io {
        /// The file, or what was done.
        what: String,
        /// What the kernel answered.
        cause: io::Error,
    },
    /// Neither an OCI image layout nor a docker-archive.
    #[error("{0:?} is no image: it holds neither oci-layout nor manifest.json")]
    NotAnImage(PathBuf),
    /// No image has that name, or none was named where there are several.
    #[error("{}", no_such_name(wanted.as_deref(), found))]
    Name {
        /// What was asked for.
        wanted: Option<String>,
        /// The names that there are.
        found: Vec<String>,
    },
    /// No image is for that platform.
    #[error("no image for {wanted}; there is {}", found.join(", "))]
    Platform {
        /// What was asked for.
        wanted: String,
        /// What there is.
        found: Vec<String>,
    },
    /// A blob that the manifest names is not there.
    #[error("{what} {name} is missing")]
    Missing {
        /// Manifest, config, layer 3 …
        what: String,
        /// The blob's name in its source.
        name: String,
    },
    /// A blob is not what its digest says.
    #[error("{what}: its digest is {found}, and should be {expected}")]
    Digest {
        /// Manifest, config, layer 3 …
        what: String,
        /// What its descriptor says.
        expected: Digest,
        /// What was read.
        found: Digest,
    },
    /// A blob has another size than its descriptor says.
    #[error("{what}: it has {found} bytes, and should have {expected}")]
    Size {
        /// Manifest, config, layer 3 …
        what: String,
        /// What its descriptor says.
        expected: u64,
        /// What was read: one more than expected stands for any number more.
        found: u64,
    },
    /// A document of the image does not say what it must.
    #[error("{what}: {message}")]
    Invalid {
        /// Manifest, config, layer 3 …
        what: String,
        /// What is wrong with it.
        message: String,
    },
    /// A tar entry is refused, or the file system refuses it.
    #[error("layer {layer}, entry {path:?}: {cause}")]
    Entry {
        /// The layer's number, from 1.
        layer: usize,
        /// The entry's name.
        path: String,
        /// Why.
        cause: EntryError,
    },
    /// A limit is reached.
    #[error(transparent)]
    Limit(LimitError),
    /// The destination is there already.
    #[error("{0:?} is there already, and is no empty directory")]
    Exists(PathBuf),
    /// Someone asked to stop.
    #[error("interrupted; nothing is left of what was unpacked")]
    Interrupted,
}

/// Why one tar entry cannot become a file.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// The archive cannot be read further.
    #[error("{0}")]
    Archive(String),
    /// The name, or the name that it links to, is one that no layer may have.
    #[error("{0}")]
    Name(&'static str),
    /// A path with more names than allowed, `--max-depth`.
    #[error("its path has more than {0} names")]
    Depth(usize),
    /// A device node that the policy refuses.
    #[error("it is {0}")]
    Device(String),
    /// An extended attribute that no layer may set.
    #[error("extended attribute {0:?} is refused")]
    Attribute(String),
    /// An owner for which there is no id.
    #[error("owner {0} has no place in the id map")]
    Owner(u32),
    /// A system call failed.
    #[error("{call}: {cause}")]
    Call {
        /// The call.
        call: &'static str,
        /// What the kernel answered.
        cause: io::Error,
    },
}

/// Which limit an image goes beyond.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: more than {limit}")]
pub struct LimitError {
    /// What there is too much of.
    pub what: &'static str,
    /// How much was allowed.
    pub limit: u64,
    /// The flag that allows more.
    pub flag: &'static str,
}

impl ImageError {
    pub(super) fn io(what: impl Into<String>, cause: io::Error) -> Self {
        ImageError::Io { what: what.into(), cause }
    }

    pub(super) fn invalid(what: impl Into<String>, message: impl Into<String>) -> Self {
        ImageError::Invalid { what: what.into(), message: message.into() }
    }

    pub(super) fn entry(layer: usize, path: impl AsRef<[u8]>, cause: EntryError) -> Self {
        ImageError::Entry { layer, path: shown(path.as_ref()), cause }
    }
}

impl EntryError {
    /// The error of a call, from rustix.
    pub(super) fn of(call: &'static str) -> impl Fn(rustix::io::Errno) -> EntryError {
        move |errno| EntryError::Call { call, cause: errno.into() }
    }
}

/// What the kernel answered to a call of pathrs; EXDEV stands for an attempt to leave the root.
pub(super) fn of_pathrs(error: pathrs::error::Error) -> io::Error {
    match error.kind() {
        ErrorKind::OsError(Some(errno)) => io::Error::from_raw_os_error(errno),
        _ => io::Error::other(error),
    }
}

/// A name of an archive as text, cut where it gets long: it may hold megabytes.
pub(super) fn shown(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(&name[..name.len().min(200)]).into_owned();
    if name.len() > 200 { text + "…" } else { text }
}

fn no_such_name(wanted: Option<&str>, found: &[String]) -> String {
    let there = match found {
        [] => "none has a name".to_string(),
        names => format!("there is {}", names.join(", ")),
    };
    match wanted {
        Some(wanted) => format!("no image is called {wanted:?}; {there}"),
        None => format!("it holds several images; {there}"),
    }
}
