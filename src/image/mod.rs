//! Images to directories: OCI image layouts and docker-archives, verified and unpacked.
//!
//! [`Image::open`] finds an image and reads its manifest and config (`name.rs`, `source.rs`, `layout.rs`, `docker.rs`).
//! [`unpack`] streams its layers, one after the other, from blob to files: `layer.rs` verifies and decompresses,
//! `archive.rs` reads the tar entries, `tree/` makes the files by descriptor, below one root that nothing leaves. `place.rs`
//! has all of it happen in a temporary sibling that is renamed at the end. `convert.rs` makes a config.json of an image's
//! config.
//!
//! An image is hostile until it is verified, and its tar entries remain so: every path is resolved inside the root
//! (pathrs, openat2(2)), and every count and size has a limit (`limits.rs`).

mod archive;
mod convert;
mod digest;
mod docker;
mod entry;
mod error;
mod layer;
mod layout;
mod limits;
mod name;
mod pax;
mod place;
mod platform;
mod source;
mod sparse;
mod tree;
mod user;

use oci_spec::image::ImageConfiguration;
use serde_json::Value;

pub use convert::config_json;
pub use digest::Digest;
pub use error::{EntryError, ImageError};
#[cfg(fuzzing)]
pub use layer::read_layer;
pub use limits::Limits;
pub use name::{ImageName, Transport};
pub use place::Place;
pub use platform::Platform;
pub use tree::{Devices, IdMap, Owners};
pub use user::{User, file as small_file, find as find_user};

use source::Source;
use tree::Tree;

/// An image whose manifest and config are read and verified; its layers are not yet.
pub struct Image {
    /// Where it comes from.
    pub transport: Transport,
    /// The names that it has there: tags and references.
    pub names: Vec<String>,
    /// The digest of its manifest; a docker-archive has none.
    pub manifest: Option<Digest>,
    /// The digest of its config, which is the image's id.
    pub id: Digest,
    /// The config.
    pub config: ImageConfiguration,
    /// The config as it stands, with what the specification does not know.
    pub document: Value,
    /// The layers, lowest first.
    pub layers: Vec<Layer>,
    /// What led to the manifest, outermost first: image indexes.
    pub indexes: Vec<Digest>,
    source: Source,
}

/// One layer as the manifest and the config describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// The digest of the blob; a layer of an old docker-archive has none.
    pub digest: Option<Digest>,
    /// What the manifest says that the blob is; a docker-archive says nothing.
    pub media_type: Option<String>,
    /// Bytes of the blob, as it stands (compressed or not).
    pub size: u64,
    /// The digest of the tar that the blob holds.
    pub diff_id: Digest,
    /// The name of the blob in its source.
    blob: String,
}

/// How layers become files.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where to stop believing an image.
    pub limits: Limits,
    /// Whom the files will belong to.
    pub owners: Owners,
    /// What becomes of device nodes.
    pub devices: Devices,
}

/// Whoever wants to know how far the work is, and may end it.
pub trait Watch {
    /// So many more bytes of blobs have been read.
    fn advance(&self, bytes: u64);
    /// Whether to stop now; what was made is removed.
    fn stop(&self) -> bool;
}

/// What an unpacking came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// Tar entries of all layers.
    pub entries: u64,
    /// Bytes of all layers, decompressed.
    pub bytes: u64,
    /// What was left out or done otherwise than the image says, a sentence each.
    pub warnings: Vec<String>,
}

impl Image {
    /// Finds the image that `name` names; where there are several platforms, `platform`'s.
    ///
    /// # Errors
    /// When there is no such image, or its manifest or config is not what their digests say.
    pub fn open(name: &ImageName, platform: Option<&Platform>) -> Result<Image, ImageError> {
        let source = Source::open(&name.path)?;
        match name.transport.map_or_else(|| source.transport(&name.path), Ok)? {
            Transport::Oci => layout::open(source, name.reference.as_deref(), platform),
            Transport::DockerArchive => docker::open(source, name.reference.as_deref(), platform),
        }
    }

    /// The platform that the config tells.
    pub fn platform(&self) -> Platform {
        layout::own_platform(&self.config)
    }

    /// Bytes of all blobs of layers.
    pub fn size(&self) -> u64 {
        self.layers.iter().map(|layer| layer.size).sum()
    }
}

/// Unpacks the layers of an image into the empty directory `root`, each verified as it streams by. What has been made when
/// an error comes stays in `root`: give it a [`Place`].
///
/// # Errors
/// When a blob is not what its digest says, a tar entry is refused, a limit is reached, or the file system refuses.
pub fn unpack(
    image: &Image,
    root: std::os::fd::OwnedFd,
    options: &Options,
    watch: &dyn Watch,
) -> Result<Unpacked, ImageError> {
    let mut tree = Tree::new(root, options)?;
    let mut meter = limits::Meter::new(options.limits);
    for (index, layer) in image.layers.iter().enumerate() {
        layer::unpack(image, layer, index, &mut tree, &mut meter, watch)?;
    }
    let warnings = tree.finish().map_err(|(path, source)| ImageError::entry(image.layers.len(), path, source))?;
    Ok(Unpacked { entries: meter.entries(), bytes: meter.bytes(), warnings })
}
