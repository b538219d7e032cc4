//! Files made of ConfigMaps, Secrets and the pod's own fields, and how they come into a volume: all at once
//! (`pkg/volume/util/atomic_writer.go`).
//!
//! The files stand in a directory with the time in its name; `..data` is a symbolic link to it, and what the container sees
//! are links through `..data`. An update makes a new directory and renames a new link over the old one: whoever reads sees
//! all old files or all new ones.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path};

use k8s_openapi::api::core::v1 as api;

use super::env::Missing;
use super::facts::Facts;

/// A file: its content and its mode bits.
pub type Payload = BTreeMap<String, (Vec<u8>, u32)>;

/// The mode of files where the manifest gives none (`defaultMode`).
const MODE: i32 = 0o644;

/// The ConfigMap with the API server's certificate that every namespace of a cluster has, and every pod that comes from one names.
pub const OF_THE_CLUSTER: &str = "kube-root-ca.crt";

/// The files of a volume; `None` for a kind of volume that is not made of files. `container` is for resources of downwardAPI.
pub fn of_volume(volume: &api::Volume, facts: &Facts<'_>) -> Option<Result<Payload, Missing>> {
    if let Some(source) = &volume.config_map {
        let mode = source.default_mode.unwrap_or(MODE);
        return Some(config_map(&source.name, source.items.as_deref(), source.optional, mode, facts));
    }
    if let Some(source) = &volume.secret {
        let name = source.secret_name.as_deref().unwrap_or_default();
        return Some(secret(
            name,
            source.items.as_deref(),
            source.optional,
            source.default_mode.unwrap_or(MODE),
            facts,
        ));
    }
    if let Some(source) = &volume.downward_api {
        return Some(downward(source.items.as_deref().unwrap_or_default(), source.default_mode.unwrap_or(MODE), facts));
    }
    let source = volume.projected.as_ref()?;
    let mode = source.default_mode.unwrap_or(MODE);
    let mut all = Payload::new();
    for part in source.sources.iter().flatten() {
        let files = match (&part.config_map, &part.secret, &part.downward_api) {
            (Some(from), ..) => {
                let optional = from.optional.or((from.name == OF_THE_CLUSTER).then_some(true));
                config_map(&from.name, from.items.as_deref(), optional, mode, facts)
            }
            (_, Some(from), _) => secret(&from.name, from.items.as_deref(), from.optional, mode, facts),
            (.., Some(from)) => downward(from.items.as_deref().unwrap_or_default(), mode, facts),
            (None, None, None) => Ok(Payload::new()),
        };
        match files {
            Ok(files) => all.extend(files),
            Err(missing) => return Some(Err(missing)),
        }
    }
    Some(Ok(all))
}

fn config_map(
    name: &str,
    items: Option<&[api::KeyToPath]>,
    optional: Option<bool>,
    mode: i32,
    facts: &Facts<'_>,
) -> Result<Payload, Missing> {
    let Some(map) = facts.config_maps.get(name) else {
        return absent(optional, format!("configmap {name:?} not found"));
    };
    let texts = map.data.iter().flatten().map(|(key, text)| (key.clone(), text.clone().into_bytes()));
    let bytes = map.binary_data.iter().flatten().map(|(key, bytes)| (key.clone(), bytes.0.clone()));
    chosen(texts.chain(bytes).collect(), items, optional, mode, &format!("configmap {name:?}"))
}

fn secret(
    name: &str,
    items: Option<&[api::KeyToPath]>,
    optional: Option<bool>,
    mode: i32,
    facts: &Facts<'_>,
) -> Result<Payload, Missing> {
    let Some(secret) = facts.secrets.get(name) else {
        return absent(optional, format!("secret {name:?} not found"));
    };
    let all = secret.data.iter().flatten().map(|(key, bytes)| (key.clone(), bytes.0.clone()));
    chosen(all.collect(), items, optional, mode, &format!("secret {name:?}"))
}

fn absent(optional: Option<bool>, message: String) -> Result<Payload, Missing> {
    if optional == Some(true) { Ok(Payload::new()) } else { Err(Missing(message)) }
}

fn chosen(
    mut all: BTreeMap<String, Vec<u8>>,
    items: Option<&[api::KeyToPath]>,
    optional: Option<bool>,
    mode: i32,
    of: &str,
) -> Result<Payload, Missing> {
    let Some(items) = items.filter(|items| !items.is_empty()) else {
        return Ok(all.into_iter().map(|(key, bytes)| (key, (bytes, mode as u32))).collect());
    };
    let mut files = Payload::new();
    for item in items {
        match all.remove(&item.key) {
            Some(bytes) => drop(files.insert(checked(&item.path)?, (bytes, item.mode.unwrap_or(mode) as u32))),
            None if optional == Some(true) => {}
            None => return Err(Missing(format!("{of} references non-existent config key: {}", item.key))),
        }
    }
    Ok(files)
}

fn downward(items: &[api::DownwardAPIVolumeFile], mode: i32, facts: &Facts<'_>) -> Result<Payload, Missing> {
    let mut files = Payload::new();
    for item in items {
        let text = match (&item.field_ref, &item.resource_field_ref) {
            (Some(field), _) => facts.field(&field.field_path)?,
            (None, Some(resource)) => facts.resource(resource, "")?,
            (None, None) => String::new(),
        };
        files.insert(checked(&item.path)?, (text.into_bytes(), item.mode.unwrap_or(mode) as u32));
    }
    Ok(files)
}

/// A path of a file in a volume leads neither out of it nor into what the writer needs.
fn checked(path: &str) -> Result<String, Missing> {
    let plain = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    match plain && !path.is_empty() && !path.starts_with("..") {
        true => Ok(path.to_string()),
        false => Err(Missing(format!("{path:?} is no path below the volume"))),
    }
}

/// Puts the files into the directory `volume`, all at once; what was there before goes. `stamp` is a name that no earlier
/// write of this volume had. Files belong to `group`, where there is one.
pub fn write(volume: &Path, files: &Payload, stamp: &str, group: Option<u32>) -> io::Result<()> {
    let new = volume.join(format!("..{stamp}"));
    fs::create_dir(&new)?;
    own(&new, group, 0o755)?;
    for (path, (bytes, mode)) in files {
        let target = new.join(path);
        let mut parent = new.clone();
        for part in Path::new(path).parent().into_iter().flat_map(Path::components) {
            parent.push(part);
            if !parent.is_dir() {
                fs::create_dir(&parent)?;
                own(&parent, group, 0o755)?;
            }
        }
        File::create(&target)?.write_all(bytes)?;
        own(&target, group, *mode)?;
    }
    let data = volume.join("..data");
    let old = fs::read_link(&data).ok();
    let next = volume.join("..data_tmp");
    symlink(format!("..{stamp}"), &next)?;
    fs::rename(&next, &data)?;
    let tops: Vec<&str> = files.keys().filter_map(|path| path.split('/').next()).collect();
    for top in &tops {
        let link = volume.join(top);
        if fs::symlink_metadata(&link).is_err() {
            symlink(format!("..data/{top}"), &link)?;
        }
    }
    for entry in fs::read_dir(volume)? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        if !name.starts_with("..") && !tops.contains(&name.as_ref()) {
            fs::remove_file(volume.join(name.as_ref()))?;
        }
    }
    match old {
        Some(old) => fs::remove_dir_all(volume.join(old)),
        None => Ok(()),
    }
}

/// With a group of the pod's own, that group may read what the owner may.
fn own(path: &Path, group: Option<u32>, mode: u32) -> io::Result<()> {
    let mode = if group.is_some() { mode | (mode & 0o700) >> 3 } else { mode };
    if group.is_some() {
        std::os::unix::fs::chown(path, None, group)?;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::facts::samples;
    use super::*;

    fn files(volume: Value) -> Result<Vec<String>, Missing> {
        let mut volume = volume;
        volume["name"] = json!("v");
        let volume: api::Volume = serde_json::from_value(volume).unwrap();
        let sample = samples::pod();
        let files = of_volume(&volume, &sample.facts()).expect("it is made of files")?;
        let one = |(path, (bytes, mode)): (&String, &(Vec<u8>, u32))| {
            format!("{path} {mode:o} {}", String::from_utf8_lossy(bytes))
        };
        Ok(files.iter().map(one).collect())
    }

    #[test]
    fn volumes_become_files() {
        assert_eq!(files(json!({"configMap": {"name": "settings"}})).unwrap(), ["colour 644 red", "size 644 9"]);
        assert_eq!(
            files(json!({"configMap": {"name": "settings", "defaultMode": 256,
                "items": [{"key": "size", "path": "a/b", "mode": 511}, {"key": "colour", "path": "c"}]}}))
            .unwrap(),
            ["a/b 777 9", "c 400 red"]
        );
        assert_eq!(files(json!({"secret": {"secretName": "keys"}})).unwrap(), ["token 644 s3cret"]);
        let name = json!({"path": "name", "fieldRef": {"fieldPath": "metadata.name"}});
        let limit = json!({"path": "limit", "resourceFieldRef": {"containerName": "app", "resource": "limits.memory"}});
        assert_eq!(
            files(json!({"downwardAPI": {"items": [limit, name]}})).unwrap(),
            ["limit 644 134217728", "name 644 web"]
        );
        let sources = json!([{"configMap": {"name": "settings"}}, {"secret": {"name": "keys"}}, {"downwardAPI": {"items": [name]}}]);
        assert_eq!(files(json!({"projected": {"sources": sources}})).unwrap().len(), 4);
        assert_eq!(files(json!({"configMap": {"name": "none", "optional": true}})).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn what_is_missing_or_leads_out_is_refused() {
        let item =
            |key: &str, path: &str| json!({"configMap": {"name": "settings", "items": [{"key": key, "path": path}]}});
        for (volume, expected) in [
            (json!({"configMap": {"name": "none"}}), "configmap \"none\" not found"),
            (json!({"secret": {"secretName": "none"}}), "secret \"none\" not found"),
            (item("none", "x"), "configmap \"settings\" references non-existent config key: none"),
            (item("size", "../x"), "\"../x\" is no path below the volume"),
            (item("size", "/x"), "\"/x\" is no path below the volume"),
            (item("size", "..data"), "\"..data\" is no path below the volume"),
        ] {
            assert_eq!(files(volume).unwrap_err().to_string(), expected);
        }
    }

    fn payload(files: &[(&str, &str)]) -> Payload {
        files.iter().map(|(path, text)| (path.to_string(), (text.as_bytes().to_vec(), 0o640))).collect()
    }

    #[test]
    fn an_update_replaces_all_files_by_one_rename() {
        let directory = tempfile::tempdir().unwrap();
        let volume = directory.path();
        write(volume, &payload(&[("a", "1"), ("sub/b", "1")]), "1", None).unwrap();
        let read = |path: &str| fs::read_to_string(volume.join(path)).unwrap_or_default();
        assert_eq!((read("a"), read("sub/b")), ("1".into(), "1".into()));
        assert_eq!(fs::read_link(volume.join("a")).unwrap(), Path::new("..data/a"));
        assert_eq!(fs::read_link(volume.join("..data")).unwrap(), Path::new("..1"));
        assert_eq!(fs::metadata(volume.join("a")).unwrap().permissions().mode() & 0o777, 0o640);
        write(volume, &payload(&[("a", "2"), ("c", "2")]), "2", None).unwrap();
        assert_eq!((read("a"), read("sub/b"), read("c")), ("2".into(), String::new(), "2".into()));
        let mut names: Vec<_> =
            fs::read_dir(volume).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        assert_eq!(names, ["..2", "..data", "a", "c"]);
    }

    #[test]
    fn a_reader_never_sees_half_of_an_update() {
        let directory = tempfile::tempdir().unwrap();
        let volume = directory.path();
        write(volume, &payload(&[("a", "0"), ("b", "0")]), "0", None).unwrap();
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for turn in 1..200 {
                    let text = turn.to_string();
                    write(volume, &payload(&[("a", &text), ("b", &text)]), &text, None).unwrap();
                }
            });
            let mut seen = 0;
            while !writer.is_finished() {
                // One look at ..data, then both files through it, as an application that wants both would.
                let Ok(data) = File::open(volume.join("..data")) else { continue };
                let at = |name: &str| {
                    let path = format!("/proc/self/fd/{}/{name}", std::os::fd::AsRawFd::as_raw_fd(&data));
                    fs::read_to_string(path)
                };
                if let (Ok(a), Ok(b)) = (at("a"), at("b")) {
                    assert_eq!(a, b);
                    seen += 1;
                }
            }
            assert!(seen > 0);
        });
    }
}
