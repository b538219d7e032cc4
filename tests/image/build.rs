//! Making images: layers entry by entry, and around them the layouts and archives that tools write.

use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tar::{EntryType, Header};

/// The tar of a layer in the making. Names are written as they are given, however hostile.
#[derive(Clone, Default)]
pub struct Layer(pub Vec<u8>);

/// What an entry's header says beside its name and kind.
#[derive(Clone, Default)]
pub struct Says {
    pub mode: Option<u32>,
    pub owner: (u64, u64),
    pub mtime: u64,
    pub link: String,
    pub device: Option<(u32, u32)>,
    /// Records of a PAX header in front.
    pub pax: Vec<(String, Vec<u8>)>,
}

impl Layer {
    pub fn new() -> Self {
        Layer::default()
    }

    pub fn file(self, path: &str, data: &str) -> Self {
        self.entry(b'0', path, data.as_bytes(), Says::default())
    }

    pub fn directory(self, path: &str) -> Self {
        self.entry(b'5', path, b"", Says { mode: Some(0o755), ..Says::default() })
    }

    pub fn symlink(self, path: &str, link: &str) -> Self {
        self.entry(b'2', path, b"", Says { link: link.into(), ..Says::default() })
    }

    pub fn hardlink(self, path: &str, link: &str) -> Self {
        self.entry(b'1', path, b"", Says { link: link.into(), ..Says::default() })
    }

    pub fn whiteout(self, path: &str) -> Self {
        let (above, name) = path.rsplit_once('/').map_or(("", path), |(above, name)| (above, name));
        self.file(&format!("{above}/.wh.{name}"), "")
    }

    pub fn opaque(self, path: &str) -> Self {
        self.file(&format!("{path}/.wh..wh..opq"), "")
    }

    /// An entry of any kind. A name that a header cannot hold goes into a PAX header.
    pub fn entry(mut self, kind: u8, path: &str, data: &[u8], mut says: Says) -> Self {
        let mut header = Header::new_ustar();
        if path.len() <= 100 {
            header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        } else {
            says.pax.push(("path".into(), path.into()));
        }
        if says.link.len() <= 100 {
            header.as_old_mut().linkname[..says.link.len()].copy_from_slice(says.link.as_bytes());
        } else {
            says.pax.push(("linkpath".into(), says.link.clone().into()));
        }
        header.set_entry_type(EntryType::new(kind));
        header.set_size(data.len() as u64);
        header.set_mode(says.mode.unwrap_or(0o644));
        header.set_uid(says.owner.0);
        header.set_gid(says.owner.1);
        header.set_mtime(says.mtime);
        if let Some((major, minor)) = says.device {
            header.set_device_major(major).expect("ustar has devices");
            header.set_device_minor(minor).expect("ustar has devices");
        }
        header.set_cksum();
        if !says.pax.is_empty() {
            let records: Vec<u8> = says.pax.iter().flat_map(|(key, value)| record(key, value)).collect();
            self = self.entry(b'x', "pax", &records, Says::default());
        }
        self.raw(header.as_bytes()).raw(data).fill()
    }

    /// Bytes as they are.
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn fill(mut self) -> Self {
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    /// The whole tar.
    pub fn tar(&self) -> Vec<u8> {
        [&self.0[..], &[0; 1024]].concat()
    }
}

/// `LENGTH KEY=VALUE\n`.
fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let body = key.len() + value.len() + 3;
    let length = (1..).map(|digits| body + digits).find(|n| n.to_string().len() + body == *n).expect("one fits");
    [format!("{length} {key}=").as_bytes(), value, b"\n"].concat()
}

/// How a blob is compressed, and what its media type says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum As {
    Tar,
    Gzip,
    Zstd,
}

impl As {
    pub fn media_type(self) -> &'static str {
        match self {
            As::Tar => "application/vnd.oci.image.layer.v1.tar",
            As::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
            As::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
        }
    }

    pub fn compress(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            As::Tar => bytes.to_vec(),
            As::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(bytes).expect("memory takes all");
                encoder.finish().expect("memory takes all")
            }
            As::Zstd => zstd::encode_all(bytes, 1).expect("memory takes all"),
        }
    }
}

pub fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// A layer as it is put into an image: its diff_id is of the tar, its digest of the blob.
pub struct Blob {
    pub diff_id: String,
    pub bytes: Vec<u8>,
    pub media_type: String,
}

impl Blob {
    pub fn new(layer: &Layer, form: As) -> Self {
        let tar = layer.tar();
        Blob { diff_id: digest(&tar), bytes: form.compress(&tar), media_type: form.media_type().into() }
    }
}

/// The config of an image for linux/amd64.
pub fn config(blobs: &[Blob], run: Value) -> Value {
    let diff_ids: Vec<_> = blobs.iter().map(|blob| blob.diff_id.clone()).collect();
    json!({
        "created": "2026-01-02T03:04:05Z", "architecture": "amd64", "os": "linux", "config": run,
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    })
}

/// A new, empty OCI image layout.
pub fn layout(path: &Path) {
    std::fs::create_dir_all(path.join("blobs/sha256")).expect("it is new");
    std::fs::write(path.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("writable");
}

/// Puts a blob into a layout, and describes it.
pub fn put(path: &Path, bytes: &[u8], media_type: &str) -> Value {
    let digest = digest(bytes);
    std::fs::write(path.join("blobs").join(digest.replace(':', "/")), bytes).expect("writable");
    json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
}

/// Puts an image into a layout, and describes its manifest.
pub fn put_image(path: &Path, blobs: &[Blob], config: &Value) -> Value {
    let config = put(path, config.to_string().as_bytes(), "application/vnd.oci.image.config.v1+json");
    let layers: Vec<_> = blobs.iter().map(|blob| put(path, &blob.bytes, &blob.media_type)).collect();
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({"schemaVersion": 2, "mediaType": media_type, "config": config, "layers": layers});
    put(path, manifest.to_string().as_bytes(), media_type)
}

/// Writes index.json.
pub fn index(path: &Path, manifests: &[Value]) {
    let index = json!({"schemaVersion": 2, "manifests": manifests});
    std::fs::write(path.join("index.json"), index.to_string()).expect("writable");
}

/// A descriptor with a tag.
pub fn tagged(mut descriptor: Value, tag: &str) -> Value {
    descriptor["annotations"]["org.opencontainers.image.ref.name"] = tag.into();
    descriptor
}

/// A whole layout with one image, called latest.
pub fn layout_with(path: &Path, layers: &[(&Layer, As)], run: Value) {
    let blobs: Vec<_> = layers.iter().map(|(layer, form)| Blob::new(layer, *form)).collect();
    layout(path);
    let image = put_image(path, &blobs, &config(&blobs, run));
    index(path, &[tagged(image, "latest")]);
}

/// A tar of files.
pub fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
    let add = |layer: Layer, (path, data): &(&str, &[u8])| layer.entry(b'0', path, data, Says::default());
    members.iter().fold(Layer::new(), add).tar()
}
