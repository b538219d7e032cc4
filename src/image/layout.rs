//! OCI image layouts (image-layout.md): from index.json through image indexes to one manifest and its config.

use oci_spec::image::{Descriptor, ImageConfiguration, ImageIndex, ImageManifest, MediaType};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::digest::{self, Digest};
use super::error::ImageError;
use super::name::{Transport, same_reference};
use super::platform::Platform;
use super::source::{Source, blob_name};
use super::{Image, Layer};

/// Indexes below indexes.
const MOST_NESTED: usize = 4;
/// Manifests of all indexes.
const MOST_MANIFESTS: usize = 1000;

/// Where a layout's tag stands, and where containerd and docker put the whole reference.
const REF_NAME: &str = "org.opencontainers.image.ref.name";
const FULL_NAME: &str = "io.containerd.image.name";

const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";

/// Finds one image of a layout.
pub(super) fn open(source: Source, reference: Option<&str>, wanted: Option<&Platform>) -> Result<Image, ImageError> {
    let layout = json("oci-layout", &source.document("oci-layout", "oci-layout")?)?;
    if layout["imageLayoutVersion"].as_str().is_none_or(|version| !version.starts_with("1.")) {
        let message = format!("imageLayoutVersion is {}, and 1.0.0 is known", layout["imageLayoutVersion"]);
        return Err(ImageError::invalid("oci-layout", message));
    }
    let text = source.document("index.json", "index.json")?;
    let top: ImageIndex = typed("index.json", json("index.json", &text)?)?;
    let chosen = choose(top.manifests(), reference)?;
    let mut manifests = Vec::new();
    for descriptor in &chosen {
        collect(&source, descriptor, &mut Vec::new(), &mut manifests)?;
    }
    let found = select(&source, manifests, wanted)?;
    let names = chosen.iter().flat_map(|descriptor| names(descriptor)).collect();
    image(source, found, names)
}

/// A manifest and the indexes that led to it.
struct Found {
    descriptor: Descriptor,
    indexes: Vec<Digest>,
}

/// The names of an image of index.json.
fn names(descriptor: &Descriptor) -> Vec<String> {
    let annotations = descriptor.annotations().as_ref();
    let named = |key| annotations.and_then(|all| all.get(key)).cloned();
    [FULL_NAME, REF_NAME].into_iter().filter_map(named).collect()
}

/// The images of index.json that a reference means: several, where each stands for a platform of its own.
fn choose<'a>(all: &'a [Descriptor], reference: Option<&str>) -> Result<Vec<&'a Descriptor>, ImageError> {
    let called = |wanted: &str| -> Vec<&Descriptor> {
        let fits = |descriptor: &&Descriptor| {
            let named = names(descriptor);
            named.iter().any(|name| name == wanted || (name.contains('/') && same_reference(name, wanted)))
        };
        all.iter().filter(fits).collect()
    };
    let unknown = || {
        let found = all.iter().flat_map(names).collect();
        ImageError::Name { wanted: reference.map(str::to_string), found }
    };
    match reference {
        None if all.len() == 1 => Ok(all.iter().collect()),
        None if !all.is_empty() && all.iter().all(|descriptor| names(descriptor).is_empty()) => {
            Ok(all.iter().collect())
        }
        // umoci's default tag, and everyone's.
        None => Some(called("latest")).filter(|found| !found.is_empty()).ok_or_else(unknown),
        Some(wanted) => {
            let number = wanted.strip_prefix('@').and_then(|number| number.parse::<usize>().ok());
            let found: Vec<_> = match number {
                Some(number) => all.get(number).into_iter().collect(),
                None if wanted.starts_with("sha256:") || wanted.starts_with("sha512:") => {
                    all.iter().filter(|descriptor| descriptor.digest().to_string() == wanted).collect()
                }
                None => called(wanted),
            };
            Some(found).filter(|found| !found.is_empty()).ok_or_else(unknown)
        }
    }
}

/// Every manifest below a descriptor.
fn collect(
    source: &Source,
    descriptor: &Descriptor,
    above: &mut Vec<Digest>,
    found: &mut Vec<Found>,
) -> Result<(), ImageError> {
    match descriptor.media_type().to_string().as_str() {
        DOCKER_MANIFEST => {}
        text if *descriptor.media_type() == MediaType::ImageManifest || text.is_empty() => {}
        text if *descriptor.media_type() == MediaType::ImageIndex || text == DOCKER_LIST => {
            let what = format!("image index {}", descriptor.digest());
            if above.len() >= MOST_NESTED {
                return Err(ImageError::invalid(what, format!("more than {MOST_NESTED} indexes below each other")));
            }
            let text = source.verified(&what, descriptor.digest(), Some(descriptor.size()))?;
            let index: ImageIndex = typed(&what, document(&what, &text, descriptor)?)?;
            above.push(descriptor.digest().clone());
            index.manifests().iter().try_for_each(|below| collect(source, below, above, found))?;
            above.pop();
            return Ok(());
        }
        // Signatures and other artifacts stand beside images.
        _ => return Ok(()),
    }
    if found.len() >= MOST_MANIFESTS {
        return Err(ImageError::invalid("index.json", format!("more than {MOST_MANIFESTS} manifests")));
    }
    found.push(Found { descriptor: descriptor.clone(), indexes: above.clone() });
    Ok(())
}

/// The one manifest for the platform: the only one there is, or the one that fits the wanted or this machine's platform.
fn select(source: &Source, mut found: Vec<Found>, wanted: Option<&Platform>) -> Result<Found, ImageError> {
    // Builders put attestations beside images, for the platform unknown/unknown.
    found.retain(|one| offered(&one.descriptor).is_none_or(|platform| platform.os != "unknown"));
    if wanted.is_none() && found.len() == 1 {
        return Ok(found.remove(0));
    }
    let here = Platform::here();
    let wanted = wanted.unwrap_or(&here);
    let mut seen = Vec::new();
    let mut fitting = Vec::new();
    for one in found {
        let platform = match offered(&one.descriptor) {
            Some(platform) => platform,
            None => own_platform(&typed("config", config(source, &manifest(source, &one.descriptor)?)?)?),
        };
        if wanted.fits(&platform) {
            fitting.push((platform.variant.is_some(), one));
        } else if !seen.contains(&platform.to_string()) {
            seen.push(platform.to_string());
        }
    }
    // Without a variant an image runs on every one.
    fitting.sort_by_key(|(variant, _)| *variant && wanted.variant.is_none());
    let first = fitting.into_iter().next().map(|(_, one)| one);
    first.ok_or_else(|| match seen.is_empty() {
        true => ImageError::invalid("index.json", "it names no image"),
        false => ImageError::Platform { wanted: wanted.to_string(), found: seen },
    })
}

/// The platform that a descriptor tells.
fn offered(descriptor: &Descriptor) -> Option<Platform> {
    let platform = descriptor.platform().as_ref()?;
    Some(Platform {
        os: platform.os().to_string(),
        architecture: platform.architecture().to_string(),
        variant: platform.variant().clone().filter(|variant| !variant.is_empty()),
    })
}

/// The platform that a config tells.
pub(super) fn own_platform(config: &ImageConfiguration) -> Platform {
    Platform {
        os: config.os().to_string(),
        architecture: config.architecture().to_string(),
        variant: config.variant().clone().filter(|variant| !variant.is_empty()),
    }
}

fn manifest(source: &Source, descriptor: &Descriptor) -> Result<ImageManifest, ImageError> {
    let what = format!("manifest {}", descriptor.digest());
    let text = source.verified(&what, descriptor.digest(), Some(descriptor.size()))?;
    typed(&what, document(&what, &text, descriptor)?)
}

fn config(source: &Source, manifest: &ImageManifest) -> Result<Value, ImageError> {
    let descriptor = manifest.config();
    let media_type = descriptor.media_type();
    if *media_type != MediaType::ImageConfig && media_type.to_string() != DOCKER_CONFIG {
        let message = format!("its config is {media_type}: this is an artifact, and no image of a container");
        return Err(ImageError::invalid("manifest", message));
    }
    let what = format!("config {}", descriptor.digest());
    let text = source.verified(&what, descriptor.digest(), Some(descriptor.size()))?;
    json(&what, &text)
}

fn image(source: Source, found: Found, names: Vec<String>) -> Result<Image, ImageError> {
    let manifest = manifest(&source, &found.descriptor)?;
    let document = config(&source, &manifest)?;
    let config: ImageConfiguration = typed("config", document.clone())?;
    let diff_ids = diff_ids(&config, manifest.layers().len())?;
    let layers = manifest.layers().iter().zip(diff_ids).enumerate().map(|(index, (descriptor, diff_id))| {
        digest::supported(&format!("layer {}", index + 1), descriptor.digest())?;
        Ok(Layer {
            digest: Some(descriptor.digest().clone()),
            media_type: Some(descriptor.media_type().to_string()),
            size: descriptor.size(),
            diff_id,
            blob: blob_name(descriptor.digest()),
        })
    });
    Ok(Image {
        transport: Transport::Oci,
        names,
        manifest: Some(found.descriptor.digest().clone()),
        id: manifest.config().digest().clone(),
        layers: layers.collect::<Result<_, ImageError>>()?,
        config,
        document,
        indexes: found.indexes,
        source,
    })
}

/// The diff_ids of a config, one for each of `layers` layers.
pub(super) fn diff_ids(config: &ImageConfiguration, layers: usize) -> Result<Vec<Digest>, ImageError> {
    let ids = config.rootfs().diff_ids();
    if ids.len() != layers {
        let message = format!("rootfs.diff_ids has {} entries, and there are {layers} layers", ids.len());
        return Err(ImageError::invalid("config", message));
    }
    ids.iter().map(|id| digest::parse("config: rootfs.diff_ids", id)).collect()
}

/// The JSON of a manifest or an index. One that could be taken for the other is refused, and one that says of itself that it is
/// something else than its descriptor says: two readers would see two images (CVE-2021-41190).
fn document(what: &str, text: &[u8], descriptor: &Descriptor) -> Result<Value, ImageError> {
    let value = json(what, text)?;
    let has = |key| value.get(key).is_some_and(|found| !found.is_null());
    if has("manifests") && (has("layers") || has("config")) {
        return Err(ImageError::invalid(what, "it is both a manifest and an index"));
    }
    let told = descriptor.media_type().to_string();
    match value.get("mediaType").and_then(Value::as_str) {
        Some(own) if own != told => Err(ImageError::invalid(what, format!("it is {own}, and should be {told}"))),
        _ => Ok(value),
    }
}

pub(super) fn json(what: &str, text: &[u8]) -> Result<Value, ImageError> {
    serde_json::from_slice(text).map_err(|error| ImageError::invalid(what, format!("it is not JSON: {error}")))
}

pub(super) fn typed<T: DeserializeOwned>(what: &str, value: Value) -> Result<T, ImageError> {
    serde_path_to_error::deserialize(value)
        .map_err(|error| ImageError::invalid(what, format!("{}: {}", error.path(), error.inner())))
}
