//! Bombs: each limit holds, and what is asked for beyond it is never written.

use glassbox::image::{ImageError, Limits, Options};

use super::build::{As, Blob, Layer, Says, config, index, layout, put_image};
use super::support::{Bench, options};

fn limited(layers: &[&Layer], limits: Limits) -> String {
    let bench = Bench::new();
    let error = bench.unpack_with(layers, &Options { limits, ..options() }).expect_err("it was taken");
    assert!(matches!(error, ImageError::Limit(_)), "{error}");
    error.to_string()
}

#[test]
fn entries_of_all_layers_are_counted() {
    let layer = |name: &str| (0..6).fold(Layer::new(), |layer, n| layer.file(&format!("{name}{n}"), ""));
    let limits = Limits { entries: 10, ..Limits::default() };
    assert_eq!(limited(&[&layer("a"), &layer("b")], limits), "tar entries of all layers: more than 10");
    let bench = Bench::new();
    bench.unpack_with(&[&layer("a")], &Options { limits, ..options() }).expect("six are fewer");
}

#[test]
fn bytes_of_all_layers_are_counted_and_so_are_holes() {
    let limits = Limits { bytes: 1 << 20, ..Limits::default() };
    let told = "bytes of all layers, decompressed: more than 1048576";
    assert_eq!(limited(&[&Layer::new().file("big", &"x".repeat(2 << 20))], limits), told);
    let half = Layer::new().file("half", &"x".repeat(600 << 10));
    assert_eq!(limited(&[&half, &half], limits), told);
    let record = |key: &str, value: &str| (format!("GNU.sparse.{key}"), value.as_bytes().to_vec());
    let size = i64::MAX.to_string();
    let says = Says { pax: vec![record("size", &size), record("map", &format!("{size},0"))], ..Says::default() };
    assert_eq!(limited(&[&Layer::new().entry(b'0', "hole", b"", says)], limits), told);
}

#[test]
fn a_layer_that_grows_too_much_is_a_bomb() {
    // 100 MiB of zeroes: a thousandth of it as gzip, less as zstd.
    let bomb = Layer::new().entry(b'0', "zero", &vec![0; 100 << 20], Says::default());
    for form in [As::Gzip, As::Zstd] {
        let bench = Bench::new();
        super::build::layout_with(&bench.path("image"), &[(&bomb, form)], serde_json::json!({}));
        let told = bench.unpack_image("image", &options()).expect_err("it is a bomb").to_string();
        assert_eq!(told, "times that a layer is larger than its blob: more than 200");
        let limits = Limits { ratio: 1_000_000, ..Limits::default() };
        bench.unpack_image("image", &Options { limits, ..options() }).expect("who allows it has it");
    }
}

#[test]
fn what_follows_the_archive_counts_too() {
    // A layer is read to its end for its digest, though the tar ends early.
    let tar = [Layer::new().file("f", "").tar(), vec![0; 100 << 20]].concat();
    let blob = Blob {
        diff_id: super::build::digest(&tar),
        bytes: As::Gzip.compress(&tar),
        media_type: As::Gzip.media_type().into(),
    };
    let bench = Bench::new();
    layout(&bench.path("image"));
    let blobs = [blob];
    index(&bench.path("image"), &[put_image(&bench.path("image"), &blobs, &config(&blobs, serde_json::json!({})))]);
    let told = bench.unpack_image("image", &options()).expect_err("it is a bomb").to_string();
    assert_eq!(told, "times that a layer is larger than its blob: more than 200");
}

#[test]
fn an_extension_header_that_would_fill_memory_is_refused() {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::XHeader);
    header.set_size(8 << 30);
    header.set_cksum();
    let bench = Bench::new();
    let told = bench.unpack(&[&Layer::new().raw(header.as_bytes())]).expect_err("it was taken").to_string();
    assert!(told.contains("an extension header of 8589934592 bytes"), "{told}");
}
