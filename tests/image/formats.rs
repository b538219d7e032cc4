//! Layouts and archives: every form in which tools hand images over, and every way in which one can be wrong.

use std::fs;
use std::io::Write;

use glassbox::image::{ImageError, Transport};
use serde_json::{Value, json};

use super::build::{As, Blob, Layer, archive, config, digest, index, layout, layout_with, put, put_image, tagged};
use super::support::{Bench, options};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn hello(text: &str) -> Layer {
    Layer::new().file("hello", text)
}

/// An image with one layer that says `text`.
fn say(bench: &Bench, text: &str) -> Value {
    let blobs = [Blob::new(&hello(text), As::Gzip)];
    put_image(&bench.path("image"), &blobs, &config(&blobs, json!({})))
}

fn said(bench: &Bench, reference: &str) -> String {
    let _ = fs::remove_dir_all(bench.root());
    bench.unpack_image(reference, &options()).unwrap_or_else(|error| panic!("{reference}: {error}"));
    fs::read_to_string(bench.root().join("hello")).expect("it is there")
}

fn told(bench: &Bench, reference: &str) -> String {
    bench.unpack_image(reference, &options()).expect_err("it was taken").to_string()
}

/// The layout of a bench as a tar.
fn as_tar(bench: &Bench) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_dir_all(".", bench.path("image")).expect("a layout");
    builder.into_inner().expect("memory takes all")
}

#[test]
fn a_layout_is_a_directory_or_a_tar_and_a_layer_gzip_zstd_or_neither() {
    for form in [As::Tar, As::Gzip, As::Zstd] {
        let bench = Bench::new();
        layout_with(&bench.path("image"), &[(&hello("hi"), form)], json!({}));
        assert_eq!(said(&bench, "image"), "hi");
        for (name, form) in [("image.tar", As::Tar), ("image.tar.gz", As::Gzip), ("image.tar.zst", As::Zstd)] {
            fs::write(bench.path(name), form.compress(&as_tar(&bench))).expect("writable");
            assert_eq!(said(&bench, name), "hi");
            assert_eq!(said(&bench, &format!("{name}:latest")), "hi");
        }
    }
}

#[test]
fn a_gzip_of_several_members_is_read_to_its_end() {
    let tar = hello(&"x".repeat(5000)).tar();
    let bytes = [As::Gzip.compress(&tar[..700]), As::Gzip.compress(&tar[700..])].concat();
    let blobs = [Blob { diff_id: digest(&tar), bytes, media_type: As::Gzip.media_type().into() }];
    let bench = Bench::new();
    layout(&bench.path("image"));
    index(&bench.path("image"), &[put_image(&bench.path("image"), &blobs, &config(&blobs, json!({})))]);
    assert_eq!(said(&bench, "image").len(), 5000);
}

#[test]
fn a_tag_a_name_a_digest_and_a_number_choose() {
    let bench = Bench::new();
    layout(&bench.path("image"));
    let mut full = tagged(say(&bench, "two"), "2");
    full["annotations"]["io.containerd.image.name"] = "docker.io/library/web:2".into();
    let one = tagged(say(&bench, "one"), "1");
    let by_digest = format!("image:{}", one["digest"].as_str().expect("text"));
    index(&bench.path("image"), &[one, full]);
    for (reference, text) in [
        ("image:1", "one"),
        ("image:2", "two"),
        ("image:web:2", "two"),
        ("image:@1", "two"),
        (by_digest.as_str(), "one"),
    ] {
        assert_eq!(said(&bench, reference), text, "{reference}");
    }
    fs::remove_dir_all(bench.root()).expect("ours");
    assert_eq!(told(&bench, "image:3"), r#"no image is called "3"; there is 1, docker.io/library/web:2, 2"#);
    assert_eq!(told(&bench, "image"), "it holds several images; there is 1, docker.io/library/web:2, 2");
    assert_eq!(told(&bench, "image:@2"), r#"no image is called "@2"; there is 1, docker.io/library/web:2, 2"#);
    index(&bench.path("image"), &[tagged(say(&bench, "one"), "1"), tagged(say(&bench, "last"), "latest")]);
    assert_eq!(said(&bench, "image"), "last");
}

#[test]
fn an_index_has_an_image_for_each_platform() {
    let bench = Bench::new();
    layout(&bench.path("image"));
    let image = |text: &str, architecture: &str, variant: Option<&str>| {
        let mut descriptor = say(&bench, text);
        descriptor["platform"] = json!({"os": "linux", "architecture": architecture});
        if let Some(variant) = variant {
            descriptor["platform"]["variant"] = variant.into();
        }
        descriptor
    };
    let mut attestation = image("attestation", "unknown", None);
    attestation["platform"]["os"] = "unknown".into();
    let manifests =
        [image("v6", "arm", Some("v6")), image("v7", "arm", Some("v7")), attestation, image("s", "s390x", None)];
    let inner = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests});
    let inner = put(&bench.path("image"), inner.to_string().as_bytes(), INDEX);
    index(&bench.path("image"), &[tagged(inner.clone(), "latest")]);
    let said = |platform| {
        let image = bench.open_for("image", Some(platform)).map_err(|error| error.to_string())?;
        Ok::<_, String>((image.indexes.len(), image.layers[0].diff_id.to_string()))
    };
    let layer = |text: &str| digest(&hello(text).tar());
    assert_eq!(said("linux/arm/v7"), Ok((1, layer("v7"))));
    assert_eq!(said("linux/arm"), Ok((1, layer("v6"))));
    assert_eq!(said("linux/s390x"), Ok((1, layer("s"))));
    let found = "no image for linux/mips; there is linux/arm/v6, linux/arm/v7, linux/s390x";
    assert_eq!(said("linux/mips"), Err(found.to_string()));
    // Where a descriptor tells no platform, the config does.
    index(&bench.path("image"), &[say(&bench, "plain")]);
    assert_eq!(said("linux/amd64"), Ok((0, layer("plain"))));
    assert_eq!(said("linux/arm"), Err("no image for linux/arm; there is linux/amd64".to_string()));
}

#[test]
fn every_blob_is_what_its_descriptor_says() {
    let blob = |bench: &Bench, digest: &Value| {
        bench.path("image/blobs").join(digest.as_str().expect("a digest").replace(':', "/"))
    };
    let fresh = || {
        let bench = Bench::new();
        layout_with(&bench.path("image"), &[(&hello("hi"), As::Gzip)], json!({}));
        let text = |path| -> Value { serde_json::from_slice(&fs::read(path).expect("there")).expect("JSON") };
        let manifest = text(bench.path("image/index.json"))["manifests"][0]["digest"].clone();
        let parts = text(blob(&bench, &manifest));
        (bench, manifest, parts["config"]["digest"].clone(), parts["layers"][0]["digest"].clone())
    };
    for number in 0..3 {
        let (bench, manifest, config, layer) = fresh();
        let path = blob(&bench, [&manifest, &config, &layer][number]);
        let mut bytes = fs::read(&path).expect("there");
        // The last byte of a gzip is of the length, of a JSON the brace: behind both a change of any kind is seen.
        *bytes.iter_mut().rev().find(|byte| **byte == b'"' || number == 2).expect("one") ^= 1;
        fs::write(&path, &bytes).expect("ours");
        let error = told(&bench, "image");
        assert!(error.contains("its digest is"), "{number}: {error}");

        let (bench, manifest, config, layer) = fresh();
        let path = blob(&bench, [&manifest, &config, &layer][number]);
        fs::OpenOptions::new().append(true).open(&path).expect("ours").write_all(b" ").expect("ours");
        let error = told(&bench, "image");
        assert!(error.contains("bytes, and should have"), "{number}: {error}");

        let (bench, manifest, config, layer) = fresh();
        fs::remove_file(blob(&bench, [&manifest, &config, &layer][number])).expect("ours");
        let error = told(&bench, "image");
        assert!(error.ends_with("is missing"), "{number}: {error}");
    }
}

#[test]
fn a_layer_is_what_its_diff_id_says() {
    for form in [As::Tar, As::Gzip, As::Zstd] {
        let mut blobs = [Blob::new(&hello("swapped"), form)];
        blobs[0].diff_id = digest(&hello("meant").tar());
        let bench = Bench::new();
        layout(&bench.path("image"));
        index(&bench.path("image"), &[put_image(&bench.path("image"), &blobs, &config(&blobs, json!({})))]);
        let error = told(&bench, "image");
        assert!(error.starts_with("layer 1, decompressed: its digest is"), "{error}");
    }
    let bench = Bench::new();
    layout(&bench.path("image"));
    let blobs = [Blob::new(&hello("x"), As::Tar)];
    index(&bench.path("image"), &[put_image(&bench.path("image"), &blobs, &config(&[], json!({})))]);
    assert_eq!(told(&bench, "image"), "config: rootfs.diff_ids has 0 entries, and there are 1 layers");
}

#[test]
fn what_is_no_image_is_told() {
    let bench = Bench::new();
    fs::create_dir(bench.path("image")).expect("new");
    assert!(matches!(bench.open("image"), Err(ImageError::NotAnImage(_))));
    assert!(matches!(bench.open("nowhere"), Err(ImageError::Io { .. })));
    layout(&bench.path("l"));
    fs::write(bench.path("l/index.json"), "{").expect("writable");
    let error = |name: &str| bench.open(name).err().expect("it was taken").to_string();
    assert!(error("l").starts_with("index.json: it is not JSON"), "{}", error("l"));
    index(&bench.path("l"), &[]);
    assert_eq!(error("l"), "it holds several images; none has a name");
    let artifact = put(&bench.path("l"), b"{}", "application/vnd.oci.empty.v1+json");
    let manifest = json!({"schemaVersion": 2, "config": artifact, "layers": []});
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    index(&bench.path("l"), &[put(&bench.path("l"), manifest.to_string().as_bytes(), media_type)]);
    assert!(error("l").contains("this is an artifact"), "{}", error("l"));
    let both = json!({"schemaVersion": 2, "config": artifact, "layers": [], "manifests": []});
    index(&bench.path("l"), &[put(&bench.path("l"), both.to_string().as_bytes(), media_type)]);
    assert!(error("l").ends_with("it is both a manifest and an index"), "{}", error("l"));
    let other = json!({"schemaVersion": 2, "mediaType": INDEX, "config": artifact, "layers": []});
    index(&bench.path("l"), &[put(&bench.path("l"), other.to_string().as_bytes(), media_type)]);
    assert!(error("l").contains(&format!("it is {INDEX}, and should be {media_type}")), "{}", error("l"));
}

#[test]
fn indexes_below_each_other_have_an_end() {
    let bench = Bench::new();
    layout(&bench.path("image"));
    let mut below = say(&bench, "deep");
    for _ in 0..6 {
        let text = json!({"schemaVersion": 2, "manifests": [below]}).to_string();
        below = put(&bench.path("image"), text.as_bytes(), INDEX);
    }
    index(&bench.path("image"), &[below]);
    assert!(told(&bench, "image").ends_with("more than 4 indexes below each other"));
}

#[test]
fn a_media_type_that_is_no_layer_is_refused_and_one_that_errs_is_told() {
    let with = |media_type: &str, form: As| {
        let mut blobs = [Blob::new(&hello("hi"), form)];
        blobs[0].media_type = media_type.into();
        let bench = Bench::new();
        layout(&bench.path("image"));
        index(&bench.path("image"), &[put_image(&bench.path("image"), &blobs, &config(&blobs, json!({})))]);
        bench.unpack_image("image", &options()).map(|done| done.warnings).map_err(|error| error.to_string())
    };
    let encrypted = "application/vnd.oci.image.layer.v1.tar+gzip+encrypted";
    assert_eq!(with(encrypted, As::Gzip), Err(format!("layer 1: {encrypted:?} is no layer that can be unpacked")));
    let warnings = with(As::Zstd.media_type(), As::Gzip).expect("content decides");
    assert_eq!(warnings, ["layer 1: its media type says Zstd, and it is Gzip"]);
    for good in ["application/vnd.docker.image.rootfs.diff.tar.gzip", As::Gzip.media_type()] {
        assert_eq!(with(good, As::Gzip), Ok(Vec::new()), "{good}");
    }
    assert_eq!(with("application/vnd.docker.image.rootfs.diff.tar.gzip", As::Tar), Ok(Vec::new()));
}

/// What `docker save` wrote before version 25: a directory a layer, and a link for one that stands twice.
fn old_docker(bench: &Bench, blobs: &[Blob]) {
    let config = config(blobs, json!({"Cmd": ["sh"]})).to_string();
    let name = format!("{}.json", &digest(config.as_bytes())["sha256:".len()..]);
    let manifest = json!([{"Config": name, "RepoTags": ["web:1"], "Layers": ["aa/layer.tar", "bb/layer.tar"]}]);
    let text = manifest.to_string();
    let members =
        [(name.as_str(), config.as_bytes()), ("manifest.json", text.as_bytes()), ("aa/layer.tar", &blobs[0].bytes)];
    let tar = archive(&members);
    let link = Layer(tar[..tar.len() - 1024].to_vec()).symlink("bb/layer.tar", "../aa/layer.tar");
    fs::write(bench.path("old.tar"), link.tar()).expect("writable");
}

#[test]
fn docker_archives_old_and_new_are_read() {
    let blobs = [Blob::new(&hello("hi"), As::Tar), Blob::new(&hello("hi"), As::Tar)];
    let bench = Bench::new();
    old_docker(&bench, &blobs);
    assert_eq!(said(&bench, "old.tar"), "hi");
    assert_eq!(said(&bench, "old.tar:docker.io/library/web:1"), "hi");
    let image = bench.open("old.tar").expect("it is one");
    assert_eq!(
        (image.transport, image.names.clone(), image.layers.len()),
        (Transport::DockerArchive, vec!["web:1".into()], 2)
    );
    assert!(image.layers.iter().all(|layer| layer.digest.is_none()));

    // Since version 25 it is a layout as well; the transport in front says which of the two is meant.
    let bench = Bench::new();
    layout_with(&bench.path("image"), &[(&hello("hi"), As::Tar)], json!({}));
    let image = bench.open("image").expect("it is one");
    let blob = |digest: &str| format!("blobs/{}", digest.replace(':', "/"));
    let layers = [blob(image.layers[0].digest.as_ref().expect("a digest").as_ref())];
    let manifest = json!([{"Config": blob(image.id.as_ref()), "RepoTags": ["web:1"], "Layers": layers}]);
    fs::write(bench.path("image/manifest.json"), manifest.to_string()).expect("writable");
    fs::write(bench.path("new.tar"), as_tar(&bench)).expect("writable");
    assert_eq!(bench.open("new.tar").expect("it is one").transport, Transport::Oci);
    assert_eq!(said(&bench, "new.tar"), "hi");
    let text = format!("docker-archive:{}", bench.path("new.tar").display());
    let name = glassbox::image::ImageName::parse(&text, |path| path.exists());
    let image = glassbox::image::Image::open(&name, None).expect("it is one");
    assert_eq!((image.transport, image.layers[0].digest.is_some()), (Transport::DockerArchive, true));
}

#[test]
fn a_docker_archive_s_layers_are_what_the_config_says() {
    let mut blobs = [Blob::new(&hello("hi"), As::Tar), Blob::new(&hello("hi"), As::Tar)];
    blobs[0].bytes = hello("swapped").tar();
    let bench = Bench::new();
    old_docker(&bench, &blobs);
    assert!(told(&bench, "old.tar").starts_with("layer 1, decompressed: its digest is"));
}
