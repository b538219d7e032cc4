//! What honest layers become: files of every kind, whiteouts, names that lead through links.

use std::fs;
use std::os::unix::fs::MetadataExt;

use glassbox::image::{Devices, Options};

use super::build::{Layer, Says};
use super::support::{Bench, looks, options, unpacked};

#[test]
fn files_directories_links_and_pipes_are_made() {
    let layer = Layer::new()
        .directory("./")
        .directory("bin/")
        .file("bin/sh", "shell")
        .hardlink("bin/ash", "bin/sh")
        .symlink("sh", "/bin/sh")
        .file("a/b/c", "parents are made")
        .entry(b'6', "pipe", b"", Says::default())
        .file("empty", "");
    let expected = [
        "a/",
        "a/b/",
        "a/b/c = parents are made",
        "bin/",
        "bin/ash = shell",
        "bin/sh = shell",
        "empty = ",
        "pipe |",
        "sh -> /bin/sh",
    ];
    assert_eq!(unpacked(&[&layer]), expected);
}

#[test]
fn modes_and_times_are_kept_and_a_locked_directory_locks_nobody_out() {
    let says = |mode, mtime| Says { mode: Some(mode), mtime, ..Says::default() };
    let layer = Layer::new()
        .entry(b'5', ".", b"", says(0o751, 1_000))
        .entry(b'5', "locked", b"", says(0o1000, 2_000))
        .entry(b'0', "locked/suid", b"x", says(0o6755, 3_000))
        .entry(b'2', "link", b"", Says { link: "x".into(), ..says(0o777, 4_000) })
        .entry(b'5', "locked/below", b"", says(0o500, 5_000))
        .file("locked/below/file", "");
    let bench = Bench::new();
    bench.unpack(&[&layer, &Layer::new().file("locked/below/more", "")]).expect("it is honest");
    let look = |name: &str| looks(&bench.root().join(name));
    assert_eq!([looks(&bench.root()), look("locked")], [(0o751, 1_000), (0o1000, 2_000)]);
    fs::set_permissions(bench.root().join("locked"), std::os::unix::fs::PermissionsExt::from_mode(0o700))
        .expect("ours");
    assert_eq!([look("locked/suid"), look("locked/below")], [(0o6755, 3_000), (0o500, 5_000)]);
    assert_eq!(look("link").1, 4_000);
    assert!(bench.root().join("locked/below/more").exists());
}

#[test]
fn times_have_nanoseconds_and_names_any_length() {
    let says = Says { pax: vec![("mtime".into(), b"-1.25".to_vec())], ..Says::default() };
    let long = format!("{}/{}", "d".repeat(250), "f".repeat(255));
    let bench = Bench::new();
    bench.unpack(&[&Layer::new().entry(b'0', &long, b"x", says)]).expect("it is honest");
    let found = bench.root().join(long).metadata().expect("it is there");
    assert_eq!((found.mtime(), found.mtime_nsec()), (-2, 750_000_000));
}

#[test]
fn a_file_replaces_what_was_there_and_a_directory_joins_it() {
    let lower =
        Layer::new().file("file", "1").directory("dir").file("dir/old", "").symlink("link", "dir").file("d2/x", "");
    let upper = Layer::new()
        .symlink("file", "dir")
        .file("dir/new", "")
        .directory("dir")
        .directory("link")
        .file("link/own", "")
        .file("d2", "no directory any more");
    let expected =
        ["d2 = no directory any more", "dir/", "dir/new = ", "dir/old = ", "file -> dir", "link/", "link/own = "];
    assert_eq!(unpacked(&[&lower, &upper]), expected);
}

#[test]
fn replacing_one_name_of_a_file_leaves_its_other_names() {
    let lower = Layer::new().file("one", "old").hardlink("two", "one");
    assert_eq!(unpacked(&[&lower, &Layer::new().file("one", "new")]), ["one = new", "two = old"]);
    assert_eq!(unpacked(&[&lower, &Layer::new().hardlink("three", "two")]), ["one = old", "three = old", "two = old"]);
}

#[test]
fn whiteouts_hide_what_lower_layers_have() {
    let lower = Layer::new().file("a/x", "").file("a/y", "").file("b", "").file("c/deep/er", "").symlink("l", "a");
    let upper =
        Layer::new().whiteout("a/x").whiteout("b").whiteout("c").whiteout("never").whiteout("no/where").whiteout("l");
    assert_eq!(unpacked(&[&lower, &upper]), ["a/", "a/y = "]);
}

#[test]
fn an_opaque_directory_keeps_what_its_own_layer_has_whichever_comes_first() {
    let lower = Layer::new().file("d/old", "").file("d/sub/old", "").file("d/both", "old").file("e/stays", "");
    let before = Layer::new().directory("d").opaque("d").file("d/new", "").file("d/sub/new", "").file("d/both", "new");
    let after = Layer::new().directory("d").file("d/new", "").file("d/sub/new", "").file("d/both", "new").opaque("d");
    let expected = ["d/", "d/both = new", "d/new = ", "d/sub/", "d/sub/new = ", "e/", "e/stays = "];
    assert_eq!(unpacked(&[&lower, &before]), expected);
    assert_eq!(unpacked(&[&lower, &after]), expected);
}

#[test]
fn a_whiteout_spares_what_its_own_layer_has_of_that_name() {
    let lower = Layer::new().file("d/old", "").file("f", "old");
    let upper = Layer::new().file("d/new", "").whiteout("d").file("f", "new").whiteout("f");
    assert_eq!(unpacked(&[&lower, &upper]), ["d/", "d/new = ", "f = new"]);
}

#[test]
fn whiteouts_of_the_lowest_layer_hide_nothing() {
    let layer = Layer::new().file("d/x", "").whiteout("d/x").opaque("d").file("d/.wh..wh.plnk", "aufs");
    assert_eq!(unpacked(&[&layer]), ["d/", "d/x = "]);
}

#[test]
fn names_lead_through_links_inside_the_root() {
    let lower = Layer::new()
        .directory("usr/lib")
        .symlink("lib", "usr/lib")
        .symlink("abs", "/usr/lib")
        .symlink("up", "../../../usr")
        .file("usr/lib/f", "f");
    let upper = Layer::new()
        .file("lib/one", "1")
        .file("abs/two", "2")
        .file("up/lib/three", "3")
        .hardlink("four", "lib/f")
        .hardlink("five", "/abs/f")
        .whiteout("lib/f");
    let expected = [
        "abs -> /usr/lib",
        "five = f",
        "four = f",
        "lib -> usr/lib",
        "up -> ../../../usr",
        "usr/",
        "usr/lib/",
        "usr/lib/one = 1",
        "usr/lib/three = 3",
        "usr/lib/two = 2",
    ];
    assert_eq!(unpacked(&[&lower, &upper]), expected);
}

#[test]
fn a_hard_link_to_a_symlink_is_the_symlink() {
    let layer = Layer::new().symlink("one", "/etc/passwd").hardlink("two", "one");
    assert_eq!(unpacked(&[&layer]), ["one -> /etc/passwd", "two -> /etc/passwd"]);
}

#[test]
fn a_sparse_file_takes_no_room_for_its_holes() {
    let record = |key: &str, value: &str| (format!("GNU.sparse.{key}"), value.as_bytes().to_vec());
    let size = 64 << 20;
    let map = format!("4096,4,{},4,{size},0", size - 4);
    let says = Says { pax: vec![record("size", &size.to_string()), record("map", &map)], ..Says::default() };
    let bench = Bench::new();
    bench.unpack(&[&Layer::new().entry(b'0', "sparse", b"headtail", says)]).expect("it is honest");
    let path = bench.root().join("sparse");
    let found = path.metadata().expect("it is there");
    assert_eq!(found.len(), size);
    assert!(found.blocks() * 512 < 1 << 20, "{} blocks", found.blocks());
    let bytes = fs::read(path).expect("readable");
    assert_eq!((&bytes[4096..4100], &bytes[bytes.len() - 4..]), (&b"head"[..], &b"tail"[..]));
    assert_eq!(bytes.iter().filter(|byte| **byte != 0).count(), 8);
}

#[test]
fn attributes_of_users_are_kept_and_labels_of_the_host_left_out() {
    let says = |name: &str| Says { pax: vec![(format!("SCHILY.xattr.{name}"), b"a\nb".to_vec())], ..Says::default() };
    let layer = Layer::new()
        .entry(b'0', "file", b"", says("user.x"))
        .entry(b'5', "dir", b"", Says { mode: Some(0o755), ..says("user.x") })
        .entry(b'0', "labelled", b"", says("security.selinux"));
    let bench = Bench::new();
    let done = bench.unpack(&[&layer]).expect("it is honest");
    let get = |name: &str| {
        let mut value = [0; 16];
        rustix::fs::getxattr(bench.root().join(name), "user.x", &mut value).map(|n| value[..n].to_vec())
    };
    // A tmpfs of an old kernel has no such attributes, and then each is told of.
    let expected = vec!["labelled: security.selinux is left out".to_string()];
    if rustix::fs::setxattr(bench.root(), "user.probe", b"", rustix::fs::XattrFlags::empty()).is_ok() {
        assert_eq!([get("file"), get("dir")], [Ok(b"a\nb".to_vec()), Ok(b"a\nb".to_vec())]);
        assert_eq!(done.warnings, expected);
    } else {
        assert_eq!(done.warnings.len(), 3, "{:?}", done.warnings);
    }
}

#[test]
fn devices_are_left_out_with_a_word_where_the_user_may_not_make_them() {
    let says = Says { device: Some((1, 3)), ..Says::default() };
    let layer = Layer::new().entry(b'3', "dev/null", b"", says).file("f", "");
    for devices in [Devices::Known, Devices::Skip] {
        let bench = Bench::new();
        let done = bench.unpack_with(&[&layer], &Options { devices, ..options() }).expect("it is honest");
        assert_eq!(done.warnings, ["dev/null is left out: a character device 1:3"]);
        assert_eq!(bench.listing(), ["dev/", "f = "]);
    }
}
