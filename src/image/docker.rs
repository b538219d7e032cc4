//! docker-archives: what `docker save` writes. manifest.json names a config and layers; the config holds the diff_ids by
//! which layers are verified. Old ones have a directory a layer, new ones the blobs of an OCI layout.

use oci_spec::image::ImageConfiguration;
use serde::Deserialize;

use super::digest::{self, Digest};
use super::error::ImageError;
use super::layout::{diff_ids, json, own_platform, typed};
use super::name::{Transport, same_reference};
use super::platform::Platform;
use super::source::Source;
use super::{Image, Layer};

/// One image of manifest.json.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// Finds one image of an archive.
pub(super) fn open(source: Source, reference: Option<&str>, wanted: Option<&Platform>) -> Result<Image, ImageError> {
    let text = source.document("manifest.json", "manifest.json")?;
    let entries: Vec<Entry> = typed("manifest.json", json("manifest.json", &text)?)?;
    let entry = choose(&entries, reference)?;
    let text = source.document("config", &entry.config)?;
    let id = digest_of(&entry.config, &text)?;
    let document = json("config", &text)?;
    let config: ImageConfiguration = typed("config", document.clone())?;
    if let Some(wanted) = wanted.filter(|wanted| !wanted.fits(&own_platform(&config))) {
        let found = vec![own_platform(&config).to_string()];
        return Err(ImageError::Platform { wanted: wanted.to_string(), found });
    }
    let diff_ids = diff_ids(&config, entry.layers.len())?;
    let layers = entry.layers.iter().zip(diff_ids).enumerate().map(|(index, (name, diff_id))| {
        let size = source.need(&format!("layer {}", index + 1), name)?.size;
        Ok(Layer { digest: named_digest(name), media_type: None, size, diff_id, blob: name.clone() })
    });
    Ok(Image {
        transport: Transport::DockerArchive,
        names: entry.repo_tags.clone().unwrap_or_default(),
        manifest: None,
        id,
        layers: layers.collect::<Result<_, ImageError>>()?,
        config,
        document,
        indexes: Vec::new(),
        source,
    })
}

fn choose<'a>(entries: &'a [Entry], reference: Option<&str>) -> Result<&'a Entry, ImageError> {
    let found = match (reference, entries) {
        (None, [only]) => Some(only),
        (None, _) => None,
        (Some(wanted), _) => match wanted.strip_prefix('@').and_then(|number| number.parse::<usize>().ok()) {
            Some(number) => entries.get(number),
            None => {
                entries.iter().find(|entry| entry.repo_tags.iter().flatten().any(|tag| same_reference(tag, wanted)))
            }
        },
    };
    found.ok_or_else(|| ImageError::Name {
        wanted: reference.map(str::to_string),
        found: entries.iter().flat_map(|entry| entry.repo_tags.clone().unwrap_or_default()).collect(),
    })
}

/// The digest of a config, which must be the one in its name, where there is one.
fn digest_of(name: &str, text: &[u8]) -> Result<Digest, ImageError> {
    let named = named_digest(name);
    let mut hasher = match &named {
        Some(digest) => digest::Hasher::like(digest),
        None => digest::Hasher::Sha256(Default::default()),
    };
    hasher.update(text);
    let found = hasher.digest();
    match named {
        Some(expected) => digest::same("config", expected, found.clone()).map(|()| found),
        None => Ok(found),
    }
}

/// The digest that is a blob's name: `blobs/sha256/HEX`, `HEX.json`, `HEX.tar`. In `ID/layer.tar` there is none.
fn named_digest(name: &str) -> Option<Digest> {
    let last = name.rsplit('/').next()?;
    let hex = last.strip_suffix(".json").or_else(|| last.strip_suffix(".tar")).unwrap_or(last);
    format!("sha256:{hex}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_stand_in_names() {
        let hex = "ab".repeat(32);
        for name in [format!("blobs/sha256/{hex}"), format!("{hex}.json"), format!("{hex}.tar")] {
            assert_eq!(named_digest(&name).map(|digest| digest.to_string()), Some(format!("sha256:{hex}")));
        }
        assert_eq!(named_digest(&format!("{hex}/layer.tar")), None);
    }

    #[test]
    fn a_tag_chooses() {
        let entry = |tags: &[&str]| Entry {
            config: tags.concat(),
            repo_tags: Some(tags.iter().map(ToString::to_string).collect()),
            layers: Vec::new(),
        };
        let entries = [entry(&["busybox:latest", "me/box:1"]), entry(&["web:2"])];
        let config = |reference| choose(&entries, reference).map(|entry| entry.config.clone()).ok();
        assert_eq!(config(Some("busybox")), Some("busybox:latestme/box:1".into()));
        assert_eq!(config(Some("docker.io/me/box:1")), Some("busybox:latestme/box:1".into()));
        assert_eq!(config(Some("@1")), Some("web:2".into()));
        assert_eq!(config(Some("@2")), None);
        let told = choose(&entries, None).unwrap_err().to_string();
        assert_eq!(told, "it holds several images; there is busybox:latest, me/box:1, web:2");
        let told = choose(&entries, Some("web")).unwrap_err().to_string();
        assert!(told.starts_with("no image is called \"web\"; there is"), "{told}");
    }
}
