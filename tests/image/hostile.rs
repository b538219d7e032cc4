//! Layers that want out, in, or in the way. Each test also holds that the neighbour of the root stays as it is, and that a
//! refused image leaves nothing behind (`Bench::unpack_image`).

use glassbox::image::{Devices, Options};
use proptest::prelude::*;

use super::build::{Layer, Says};
use super::support::{Bench, options, refused, unpacked};

/// Layers that begin with a link to the neighbour, by an absolute and by a relative name.
fn ways_out(bench: &Bench) -> [Layer; 2] {
    [Layer::new().symlink("out", &bench.outside()), Layer::new().symlink("out", "../outside")]
}

#[test]
fn a_name_cannot_climb() {
    for name in ["../outside/new", "a/../../outside/new", "..", "a/..", "/../x"] {
        let told = refused(&[&Layer::new().file(name, "")]);
        assert!(told.ends_with("a name with .. in it"), "{told}");
    }
    let told = refused(&[&Layer::new().file("f", "").hardlink("l", "../outside/secret")]);
    assert!(told.ends_with("a name with .. in it"), "{told}");
}

#[test]
fn an_absolute_name_is_one_of_the_root() {
    let bench = Bench::new();
    bench.unpack(&[&Layer::new().file(&format!("{}/new", bench.outside()), "in")]).expect("it is harmless");
    assert!(bench.listing().iter().any(|line| line.ends_with("outside/new = in")));
}

#[test]
fn a_file_behind_a_link_out_stays_inside_or_is_refused() {
    for number in 0..2 {
        let bench = Bench::new();
        let layer = ways_out(&bench)[number].clone().file("out/new", "").file("out/secret", "overwritten");
        // The link leads nowhere inside the root.
        let told = bench.unpack(&[&layer]).expect_err("a link to nowhere").to_string();
        assert!(told.contains("entry \"out/new\""), "{told}");
    }
    // Where it leads to a directory inside, that is what is meant.
    let bench = Bench::new();
    let layer = Layer::new().directory("outside").symlink("out", "../../outside").file("out/secret", "inside");
    bench.unpack(&[&layer]).expect("it stays inside");
    assert!(bench.listing().contains(&"outside/secret = inside".to_string()));
}

#[test]
fn modes_owners_and_times_are_never_those_of_what_a_link_leads_to() {
    let bench = Bench::new();
    let says = Says { mode: Some(0o777), mtime: 7, ..Says::default() };
    // The link itself is replaced; a chmod that followed it would change the neighbour's file.
    let link = |name: &str| Layer::new().symlink("x", &format!("{}/{name}", bench.outside()));
    let layer = link("secret").entry(b'0', "x", b"", says.clone()).entry(b'5', "y", b"", says.clone());
    let second = link("sub").entry(b'5', "x", b"", says);
    bench.unpack(&[&layer, &second]).expect("it is harmless");
    assert_eq!(bench.listing(), ["x/", "y/"]);
}

#[test]
fn a_hard_link_reaches_nothing_outside() {
    for target in ["out/secret", "/out/secret"] {
        for number in 0..2 {
            let bench = Bench::new();
            let layer = ways_out(&bench)[number].clone().hardlink("stolen", target).file("stolen", "overwritten");
            let told = bench.unpack(&[&layer]).expect_err("nothing is there").to_string();
            assert!(told.contains("a hard link to what is not there"), "{told}");
        }
    }
    let bench = Bench::new();
    let layer = Layer::new().hardlink("stolen", &format!("{}/secret", bench.outside()));
    let told = bench.unpack(&[&layer]).expect_err("nothing is there").to_string();
    assert!(told.contains("a hard link to what is not there"), "{told}");
}

#[test]
fn a_hard_link_to_a_link_out_gives_the_link_and_not_the_file() {
    let bench = Bench::new();
    let secret = format!("{}/secret", bench.outside());
    let layer = Layer::new().symlink("a", &secret).hardlink("b", "a").file("b", "mine");
    bench.unpack(&[&layer]).expect("it is harmless");
    assert_eq!(bench.listing(), [format!("a -> {secret}"), "b = mine".to_string()]);
}

#[test]
fn the_root_stays_a_directory() {
    let bench = Bench::new();
    for name in [".", "./", "/", ""] {
        let link = Layer::new().symlink(name, &bench.outside());
        let told = refused(&[&link, &Layer::new().file("new", "")]);
        assert!(told.ends_with("the root is a directory, and can be nothing else"), "{told}");
    }
    let told = refused(&[&Layer::new().file("f", "").hardlink(".", "f")]);
    assert!(told.ends_with("the root is a directory, and can be nothing else"), "{told}");
}

#[test]
fn whiteouts_remove_nothing_outside() {
    for number in 0..2 {
        let bench = Bench::new();
        let lower = &ways_out(&bench)[number];
        let upper = Layer::new().whiteout("out/secret").opaque("out").opaque("out/sub").whiteout("out/sub/.wh.file");
        bench.unpack(&[lower, &upper]).expect("nothing is there to hide");
        // The whiteout of the link removes the link.
        let bench = Bench::new();
        let lower = &ways_out(&bench)[number];
        bench.unpack(&[lower, &Layer::new().whiteout("out")]).expect("it is harmless");
        assert_eq!(bench.listing(), Vec::<String>::new());
    }
}

#[test]
fn whiteouts_of_no_name_are_refused() {
    for name in [".wh.", ".wh..", ".wh...", "d/.wh..", "d/.wh..."] {
        let lower = Layer::new().file("d/x", "");
        let told = refused(&[&lower, &Layer::new().file(name, "")]);
        assert!(told.ends_with("a whiteout of no name"), "{name}: {told}");
    }
    let told = refused(&[&Layer::new().file(".wh.d/x", "")]);
    assert!(told.ends_with("it stands below a whiteout"), "{told}");
}

#[test]
fn a_directory_that_is_swapped_for_a_link_is_seen() {
    // The directory is in the cache when the link takes its name.
    let bench = Bench::new();
    let layer = Layer::new().directory("d").file("d/one", "").symlink("d", &bench.outside()).file("d/two", "");
    let told = bench.unpack(&[&layer]).expect_err("it leads nowhere").to_string();
    assert!(told.contains("entry \"d/two\""), "{told}");
    let bench = Bench::new();
    let lower = Layer::new().directory("d/e").file("d/e/one", "");
    let upper =
        Layer::new().file("d/e/two", "").symlink("d", "elsewhere").directory("elsewhere/e").file("d/e/three", "");
    bench.unpack(&[&lower, &upper]).expect("it stays inside");
    assert_eq!(bench.listing(), ["d -> elsewhere", "elsewhere/", "elsewhere/e/", "elsewhere/e/three = "]);
}

#[test]
fn links_in_circles_are_told() {
    let told = refused(&[&Layer::new().symlink("a", "b").symlink("b", "a").file("a/x", "")]);
    assert!(told.contains("ELOOP") || told.contains("Too many levels of symbolic links"), "{told}");
    let told = refused(&[&Layer::new().file("f", "").hardlink("f", "f")]);
    assert!(told.ends_with("a hard link to itself"), "{told}");
    let told = refused(&[&Layer::new().file("f", "").file("f/x", "")]);
    assert!(told.contains("entry \"f/x\""), "{told}");
}

#[test]
fn a_path_of_ten_thousand_names_is_refused_at_once() {
    let deep = "d/".repeat(10_000);
    let told = refused(&[&Layer::new().file(&deep, "")]);
    assert!(told.ends_with("its path has more than 256 names"), "{told}");
}

#[test]
fn a_tree_that_links_make_deeper_than_any_path_is_made_and_removed() {
    // 45 times 250 levels, each reached through a link to the ones before.
    let names = "d/".repeat(250);
    let mut layer = Layer::new();
    for hop in 0..45 {
        let from = if hop == 0 { String::new() } else { format!("l{hop}/") };
        layer = layer.directory(&format!("{from}{names}")).symlink(&format!("l{}", hop + 1), &format!("{from}{names}"));
    }
    // Links through links are counted by the kernel, at most 40: somewhere on the way it says so, and all of it is removed.
    let told = refused(&[&layer]);
    assert!(told.contains("Too many levels of symbolic links"), "{told}");
}

#[test]
fn device_nodes_are_for_the_policy_to_allow() {
    let device = |kind, device| Layer::new().entry(kind, "node", b"", Says { device: Some(device), ..Says::default() });
    let refused = |layer: &Layer, devices| {
        let bench = Bench::new();
        bench.unpack_with(&[layer], &Options { devices, ..options() }).expect_err("it was taken").to_string()
    };
    // Block devices, memory, and overlayfs's whiteout.
    for (kind, number, name) in [
        (b'4', (8, 0), "a block device 8:0"),
        (b'3', (1, 1), "a character device 1:1"),
        (b'4', (1, 3), "a block device 1:3"),
    ] {
        let told = refused(&device(kind, number), Devices::Known);
        assert!(told.ends_with(&format!("it is {name}")), "{told}");
    }
    for devices in [Devices::Known, Devices::Refuse, Devices::All] {
        let told = refused(&device(b'3', (0, 0)), devices);
        assert!(told.ends_with("it is a character device 0:0"), "{told}");
    }
    let told = refused(&device(b'3', (1, 3)), Devices::Refuse);
    assert!(told.ends_with("it is a character device 1:3"), "{told}");
}

#[test]
fn attributes_that_the_kernel_believes_in_are_refused() {
    for name in ["trusted.overlay.opaque", "trusted.overlay.redirect", "trusted.x", "system.other", "nonsense"] {
        for kind in *b"052" {
            let says = Says {
                pax: vec![(format!("SCHILY.xattr.{name}"), b"y".to_vec())],
                link: "x".into(),
                ..Says::default()
            };
            let told = refused(&[&Layer::new().entry(kind, "x", b"", says)]);
            assert!(told.ends_with(&format!("extended attribute {name:?} is refused")), "{told}");
        }
    }
}

#[test]
fn a_smuggled_entry_is_not_unpacked() {
    // The header says 0 bytes, the record 512, in which another header stands.
    let inner = Layer::new().file("smuggled", "");
    let header =
        Layer::new().entry(b'0', "f", b"", Says { pax: vec![("size".into(), b"512".to_vec())], ..Says::default() });
    let bench = Bench::new();
    bench.unpack(&[&header.raw(&inner.0)]).expect("it has one size");
    let names: Vec<_> =
        std::fs::read_dir(bench.root()).expect("readable").flatten().map(|one| one.file_name()).collect();
    assert_eq!(names, ["f"]);
}

#[test]
fn damaged_archives_are_told_with_the_entry() {
    let whole = Layer::new().file("a", "x").file("b", &"y".repeat(600));
    let cut = Layer(whole.0[..whole.0.len() - 700].to_vec());
    let told = refused(&[&cut]);
    assert!(told.contains("layer 1"), "{told}");
    let mut wrong = whole.clone();
    wrong.0[1024] ^= 1;
    let told = refused(&[&wrong]);
    assert!(told.contains("checksum"), "{told}");
}

#[test]
fn kinds_that_no_layer_has_are_refused() {
    for kind in *b"DMNVZ8" {
        let told = refused(&[&Layer::new().entry(kind, "x", b"", Says::default())]);
        assert!(told.contains(&format!("unknown type {:?}", char::from(kind))), "{told}");
    }
    assert_eq!(unpacked(&[&Layer::new().entry(b'7', "x", b"contiguous", Says::default())]), ["x = contiguous"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Whatever a layer's bytes are, there is an answer; the neighbour stays, and a refusal leaves nothing.
    #[test]
    fn any_bytes_have_an_answer(changes in prop::collection::vec((0..12_000_usize, any::<u8>()), 0..12), fix in any::<bool>()) {
        let bench = Bench::new();
        let mut layer = Layer::new()
            .symlink("out", &bench.outside())
            .directory("d")
            .file("d/f", "data")
            .hardlink("h", "d/f")
            .symlink("l", "../d")
            .file("l/x", "y")
            .entry(b'0', "p", b"1", Says { pax: vec![("SCHILY.xattr.user.a".into(), b"1".to_vec())], ..Says::default() })
            .whiteout("d/f")
            .opaque("l");
        let length = layer.0.len();
        for (at, value) in changes {
            let at = at % length;
            layer.0[at] = value;
            if fix {
                let block = &mut layer.0[at / 512 * 512..][..512];
                let mut header = tar::Header::from_byte_slice(block).clone();
                header.set_cksum();
                block.copy_from_slice(header.as_bytes());
            }
        }
        let _ = bench.unpack(&[&Layer::new().file("d/f", "").file("d/g", ""), &layer]);
    }
}
