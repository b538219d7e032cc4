//! Unpacking in a directory of the test's own, with a neighbour that must stay as it is.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use glassbox::image::{
    Devices, Image, ImageError, ImageName, Limits, Options, Owners, Place, Platform, Unpacked, Watch, unpack,
};
use serde_json::json;

use super::build::{As, Layer, layout_with};

/// A directory with an image to come, a place to unpack it, and a neighbour.
pub struct Bench {
    directory: tempfile::TempDir,
    before: Vec<String>,
}

/// Nobody looks and nobody stops.
pub struct Quiet;

impl Watch for Quiet {
    fn advance(&self, _: u64) {}
    fn stop(&self) -> bool {
        false
    }
}

pub fn options() -> Options {
    Options { limits: Limits::default(), owners: Owners::Mine, devices: Devices::Known }
}

impl Bench {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("/tmp is writable");
        let outside = directory.path().join("outside");
        fs::create_dir_all(outside.join("sub")).expect("it is new");
        fs::write(outside.join("secret"), "secret").expect("writable");
        fs::write(outside.join("sub/.wh.file"), "kept").expect("writable");
        let before = listing(&outside);
        Bench { directory, before }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn root(&self) -> PathBuf {
        self.path("root")
    }

    /// The neighbour, as the absolute path that a hostile layer would name.
    pub fn outside(&self) -> String {
        self.path("outside").to_str().expect("UTF-8").to_string()
    }

    pub fn open(&self, reference: &str) -> Result<Image, ImageError> {
        self.open_for(reference, None)
    }

    pub fn open_for(&self, reference: &str, platform: Option<&str>) -> Result<Image, ImageError> {
        let text = self.path(reference);
        let name = ImageName::parse(text.to_str().expect("UTF-8"), |path| path.exists());
        let platform = platform.map(|text| text.parse::<Platform>().expect("a platform"));
        Image::open(&name, platform.as_ref())
    }

    /// Unpacks what `reference` names to `root`. Whatever comes of it, the neighbour stays as it is, and a failure leaves nothing.
    pub fn unpack_image(&self, reference: &str, options: &Options) -> Result<Unpacked, ImageError> {
        let names = |bench: &Bench| fs::read_dir(bench.directory.path()).expect("readable").count();
        let before = names(self);
        let result = self.open(reference).and_then(|image| {
            let place = Place::new(&self.root())?;
            let root = place.directory().try_clone_to_owned().expect("a descriptor");
            let done = unpack(&image, root, options, &Quiet)?;
            place.finish().map(|()| done)
        });
        assert_eq!(listing(&self.path("outside")), self.before, "the neighbour has changed");
        assert_eq!(names(self), before + usize::from(result.is_ok()), "something is left");
        result
    }

    /// Makes an image of these layers and unpacks it.
    pub fn unpack_with(&self, layers: &[&Layer], options: &Options) -> Result<Unpacked, ImageError> {
        let forms = [As::Gzip, As::Tar, As::Zstd];
        let layers: Vec<_> = layers.iter().zip(forms.iter().cycle()).map(|(layer, form)| (*layer, *form)).collect();
        layout_with(&self.path("image"), &layers, json!({}));
        self.unpack_image("image", options)
    }

    pub fn unpack(&self, layers: &[&Layer]) -> Result<Unpacked, ImageError> {
        self.unpack_with(layers, &options())
    }

    /// What came of the layers, a line a file: path, kind, and bytes or target.
    pub fn listing(&self) -> Vec<String> {
        listing(&self.root())
    }
}

/// Unpacks layers that are as they should be, and lists what came of them.
pub fn unpacked(layers: &[&Layer]) -> Vec<String> {
    let bench = Bench::new();
    bench.unpack(layers).unwrap_or_else(|error| panic!("{error}"));
    bench.listing()
}

/// Unpacks layers that are to be refused, and gives the reason.
pub fn refused(layers: &[&Layer]) -> String {
    let bench = Bench::new();
    bench.unpack(layers).expect_err("it was taken").to_string()
}

/// Every file below a directory, sorted: `path/`, `path = text`, `path -> target`, `path |`.
pub fn listing(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut next = vec![root.to_path_buf()];
    while let Some(directory) = next.pop() {
        for entry in fs::read_dir(&directory).expect("readable") {
            let path = entry.expect("readable").path();
            let shown = path.strip_prefix(root).expect("below").display().to_string();
            let kind = path.symlink_metadata().expect("it is there").file_type();
            found.push(if kind.is_dir() {
                next.push(path);
                format!("{shown}/")
            } else if kind.is_symlink() {
                format!("{shown} -> {}", fs::read_link(&path).expect("a link").display())
            } else if kind.is_fifo() {
                format!("{shown} |")
            } else {
                format!("{shown} = {}", fs::read_to_string(&path).expect("text"))
            });
        }
    }
    found.sort();
    found
}

/// Mode and modification time.
pub fn looks(path: &Path) -> (u32, i64) {
    let found = path.symlink_metadata().expect("it is there");
    (found.mode() & 0o7777, found.mtime())
}
