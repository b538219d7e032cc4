//! Images, as root: owners, capabilities and devices of layers, and a bundle that starts as it is.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::image_build::{As, Layer, Says, layout_with};
use crate::support::{Machine, machine, run, sh};

/// Unpacks layers as root to `root`, with more arguments.
fn unpack(machine: &Machine, layers: &[&Layer], more: &[&str]) -> (crate::support::Output, PathBuf) {
    let directory = tempfile::tempdir_in(machine.directory()).expect("the test's directory is writable").keep();
    let layers: Vec<_> = layers.iter().map(|layer| (*layer, As::Zstd)).collect();
    layout_with(&directory.join("image"), &layers, json!({}));
    let root = directory.join("root");
    let image = directory.join("image");
    let paths = [image.to_str().expect("UTF-8"), root.to_str().expect("UTF-8")];
    (machine.glassbox([&["image", "unpack"], more, &paths].concat()), root)
}

fn unpacked(machine: &Machine, layers: &[&Layer], more: &[&str]) -> PathBuf {
    let (output, root) = unpack(machine, layers, more);
    assert_eq!((output.status, output.stderr.as_str()), (0, ""));
    root
}

/// Owner, group and mode.
fn look(path: &Path) -> (u32, u32, u32) {
    let found = path.symlink_metadata().expect("it is there");
    (found.uid(), found.gid(), found.mode() & 0o7777)
}

fn attribute(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = [0; 256];
    rustix::fs::getxattr(path, name, &mut value).ok().map(|length| value[..length].to_vec())
}

fn owned(uid: u64, gid: u64, mode: u32) -> Says {
    Says { owner: (uid, gid), mode: Some(mode), ..Says::default() }
}

/// VFS_CAP_REVISION_2 with CAP_NET_RAW effective (linux/capability.h). The value has a newline in it: CAP_DAC_OVERRIDE and
/// CAP_FOWNER.
const CAPABILITY: [u8; 20] = [1, 0, 0, 2, 10, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

#[test]
fn owners_set_user_id_and_capabilities_are_the_images() {
    let machine = machine();
    let capable =
        Says { pax: vec![("SCHILY.xattr.security.capability".into(), CAPABILITY.to_vec())], ..owned(7, 8, 0o755) };
    let layer = Layer::new()
        .entry(b'5', ".", b"", owned(1, 2, 0o750))
        .entry(b'5', "home", b"", owned(1000, 1001, 0o2770))
        .entry(b'0', "home/su", b"x", owned(1000, 1001, 0o6755))
        .entry(b'2', "home/link", b"", Says { link: "/etc/shadow".into(), ..owned(5, 6, 0o777) })
        .entry(b'0', "ping", b"x", capable)
        .entry(b'6', "pipe", b"", owned(9, 9, 0o620))
        .file("implied/by", "");
    let root = unpacked(&machine, &[&layer], &[]);
    assert_eq!(look(&root), (1, 2, 0o750));
    assert_eq!(look(&root.join("home")), (1000, 1001, 0o2770));
    assert_eq!(look(&root.join("home/su")), (1000, 1001, 0o6755));
    assert_eq!(look(&root.join("home/link")), (5, 6, 0o777));
    assert_eq!(look(&root.join("pipe")), (9, 9, 0o620));
    assert_eq!(look(&root.join("implied")), (0, 0, 0o755));
    assert_eq!(attribute(&root.join("ping"), "security.capability"), Some(CAPABILITY.to_vec()));
}

#[test]
fn owners_go_through_the_maps_of_a_user_namespace() {
    let machine = machine();
    let layer =
        Layer::new().entry(b'0', "a", b"", owned(0, 5, 0o644)).entry(b'0', "implied/b", b"", owned(33, 0, 0o644));
    let maps = ["--uid-map", "0:100000:65536", "--gid-map", "0:200000:65536"];
    let root = unpacked(&machine, &[&layer], &maps);
    assert_eq!(
        [look(&root.join("a")), look(&root.join("implied/b"))],
        [(100_000, 200_005, 0o644), (100_033, 200_000, 0o644)]
    );
    assert_eq!([look(&root), look(&root.join("implied"))], [(100_000, 200_000, 0o755); 2]);
    let (output, root) = unpack(&machine, &[&Layer::new().entry(b'0', "a", b"", owned(70_000, 0, 0o644))], &maps);
    assert_eq!(output.status, 1);
    assert!(output.stderr.contains("owner 70000 has no place in the id map"), "{}", output.stderr);
    assert!(!root.exists());
}

#[test]
fn devices_are_made_as_the_policy_says() {
    let machine = machine();
    let device =
        |kind, device| Layer::new().entry(kind, "dev/x", b"", Says { device: Some(device), ..owned(0, 5, 0o620) });
    let root = unpacked(&machine, &[&device(b'3', (1, 3))], &[]);
    let found = root.join("dev/x").metadata().expect("it is there");
    assert!(found.file_type().is_char_device());
    assert_eq!((found.rdev(), look(&root.join("dev/x"))), (rustix::fs::makedev(1, 3), (0, 5, 0o620)));
    let root = unpacked(&machine, &[&device(b'4', (7, 200))], &["--devices", "all"]);
    assert!(root.join("dev/x").metadata().expect("it is there").file_type().is_block_device());
    for (kind, number, more) in [
        (b'4', (8, 0), &[][..]),
        (b'3', (1, 1), &[]),
        (b'3', (10, 200), &[]),
        (b'3', (0, 0), &["--devices", "all"]),
        (b'3', (1, 3), &["--devices", "refuse"]),
    ] {
        let (output, root) = unpack(&machine, &[&device(kind, number)], more);
        assert_eq!(output.status, 1);
        assert!(output.stderr.contains(&format!("device {}:{}", number.0, number.1)), "{}", output.stderr);
        assert!(
            !root.exists()
                && !root
                    .parent()
                    .expect("above")
                    .read_dir()
                    .expect("there")
                    .any(|one| { one.expect("readable").file_name().to_string_lossy().contains("glassbox-unpack") })
        );
    }
}

#[test]
fn as_root_a_layer_still_touches_nothing_outside() {
    let machine = machine();
    let outside = machine.directory().join("outside");
    fs::create_dir(&outside).expect("new");
    fs::write(outside.join("secret"), "secret").expect("writable");
    let before = look(&outside.join("secret"));
    let name = outside.to_str().expect("UTF-8");
    let link = || Layer::new().symlink("out", name).symlink("file", &format!("{name}/secret"));
    let climb = "../".repeat(20) + name.trim_start_matches('/');
    let attacks = [
        link().entry(b'0', "out/secret", b"changed", owned(1, 1, 0o777)),
        link().entry(b'0', "file", b"changed", owned(1, 1, 0o777)),
        link().entry(b'1', "hard", b"", Says { link: "out/secret".into(), ..owned(1, 1, 0o777) }),
        link().entry(b'1', "hard", b"", Says { link: "file".into(), ..owned(1, 1, 0o777) }).entry(
            b'0',
            "hard",
            b"x",
            owned(1, 1, 0o777),
        ),
        link().entry(b'5', "file", b"", owned(1, 1, 0o777)).entry(b'5', "out", b"", owned(1, 1, 0o777)),
        Layer::new().symlink("out", &climb).entry(b'0', "out/secret", b"changed", owned(1, 1, 0o777)),
        Layer::new().symlink(".", name),
        Layer::new().entry(
            b'0',
            "x",
            b"",
            Says { pax: vec![("SCHILY.xattr.trusted.overlay.opaque".into(), b"y".to_vec())], ..Says::default() },
        ),
    ];
    for (number, attack) in attacks.iter().enumerate() {
        let above = Layer::new().whiteout("out/secret").opaque("out").whiteout("file").file("file", "mine");
        let (output, _) = unpack(&machine, &[attack, &above], &[]);
        assert!([0, 1].contains(&output.status), "{number}: {output:?}");
        assert_eq!(fs::read_to_string(outside.join("secret")).expect("still there"), "secret", "{number}");
        assert_eq!(
            (look(&outside.join("secret")), outside.read_dir().expect("there").count()),
            (before, 1),
            "{number}"
        );
    }
}

#[test]
fn trusted_attributes_are_refused_for_root_too() {
    let machine = machine();
    for name in ["trusted.overlay.opaque", "trusted.overlay.redirect"] {
        let says = Says { pax: vec![(format!("SCHILY.xattr.{name}"), b"y".to_vec())], ..owned(0, 0, 0o755) };
        let (output, root) = unpack(&machine, &[&Layer::new().entry(b'5', "d", b"", says)], &[]);
        assert!(output.stderr.contains(&format!("extended attribute {name:?} is refused")), "{}", output.stderr);
        assert!(!root.exists());
    }
}

/// The busybox rootfs as a layer, as tar makes it.
pub fn busybox() -> Layer {
    let rootfs = std::env::var("GLASSBOX_BUSYBOX_ROOTFS").expect("the VM sets it");
    let output = std::process::Command::new("tar").args(["-C", &rootfs, "-c", "."]).output().expect("there is tar");
    assert!(output.status.success());
    let whole = output.stdout;
    // Without its end, so that entries can be added.
    let end = whole.iter().rposition(|byte| *byte != 0).expect("it is not empty").next_multiple_of(512);
    Layer(whole[..end].to_vec())
}

/// A bundle made of an image of busybox and these layers.
fn bundle(machine: &Machine, layers: &[&Layer], config: Value) -> PathBuf {
    let image = machine.directory().join("image");
    let base = busybox();
    let layers: Vec<_> = std::iter::once(&base).chain(layers.iter().copied()).map(|layer| (layer, As::Gzip)).collect();
    layout_with(&image, &layers, config);
    let bundle = machine.directory().join("box");
    let paths = [image.to_str().expect("UTF-8"), bundle.to_str().expect("UTF-8")];
    let made = machine.glassbox([&["image", "bundle"][..], &paths].concat());
    assert_eq!((made.status, made.stderr.as_str()), (0, ""));
    bundle
}

#[test]
fn a_bundle_of_an_image_starts_as_it_is() {
    let machine = machine();
    let passwd = "root:x:0:0::/root:/bin/sh\nweb:x:33:34::/srv:/bin/sh\n";
    let layer = Layer::new()
        .file("etc/passwd", passwd)
        .file("etc/group", "root:x:0:\nssl:x:50:web\n")
        .entry(b'5', "srv", b"", owned(33, 34, 0o755))
        .entry(b'5', "data", b"", owned(33, 34, 0o700));
    let script = "echo $MODE $HOME $PWD; id -u; id -G; echo kept >/data/x && cat /data/x; stat -c %a /data; ls -d /tmp";
    let config = json!({
        "Entrypoint": ["/bin/sh", "-c"], "Cmd": [script], "User": "web", "WorkingDir": "/srv", "Env": ["MODE=fast"],
        "Volumes": {"/data": {}},
    });
    let bundle = bundle(&machine, &[&layer, &Layer::new().whiteout("tmp")], config);
    let ran = machine.glassbox(["run", "--bundle", bundle.to_str().expect("UTF-8"), "web"]);
    assert_eq!(
        ran.stdout.replace('\r', ""),
        "fast /srv /srv\n33\n34 50\nkept\n700\nls: /tmp: No such file or directory\n",
        "{ran:?}"
    );
    assert_eq!(ran.status, 1, "ls has the last word: {}", ran.stderr);
}

#[test]
fn an_image_that_names_nothing_runs_a_shell_as_root() {
    let machine = machine();
    let bundle = bundle(&machine, &[], json!({"Cmd": ["sh", "-c", "id -u; echo $HOME; hostname"]}));
    let ran = machine.glassbox(["run", "--bundle", bundle.to_str().expect("UTF-8"), "web"]);
    assert_eq!((ran.status, ran.stdout.replace('\r', "").as_str()), (0, "0\n/root\nglassbox\n"), "{ran:?}");
}

#[test]
fn what_tar_unpacks_we_unpack_to_the_same() {
    let machine = machine();
    let from = machine.directory().join("from");
    fs::create_dir(&from).expect("new");
    let make = "mkdir -p d/e; echo 1 >d/f; ln d/f hard; ln -s d/f soft; mkfifo pipe; truncate -s 5M sparse; \
                echo end >>sparse; chmod 6751 d/f; chown 12:34 d/f; chown -h 5:6 soft; touch -d @1.5 d/e d; mknod null c 1 3; \
                n=$(printf '%0200d' 7); mkdir -p $n/$n; echo long >$n/$n/$n; setfattr -n user.a -v b d/f || true";
    let done = run(std::process::Command::new("sh").args(["-c", make]).current_dir(&from));
    assert_eq!(done.status, 0, "{}", done.stderr);
    for format in [
        "gnu",
        "pax --xattrs",
        "gnu --sparse",
        "pax --xattrs --sparse",
        "pax --xattrs --sparse --sparse-version=0.1",
        "pax --xattrs --sparse --sparse-version=0.0",
    ] {
        let path = from.display();
        let tar = machine.directory().join("layer.tar");
        let made = sh(&format!("tar --format={format} -C {path} -cf {} .", tar.display()));
        assert_eq!(made.status, 0, "{format}: {}", made.stderr);
        let bytes = fs::read(&tar).expect("tar made it");
        let root = unpacked(&machine, &[&Layer(bytes)], &[]);
        let list = "find . -printf '%p %y %m %U %G %T@ %l %n ' -exec sh -c 'test -f \"$1\" && cksum <\"$1\" || echo' - {} \\; | sort";
        let seen = |path: &Path| sh(&format!("cd {} && {list}", path.display())).stdout;
        // GNU's format has no fractions of a second.
        let whole = |text: String| if format.starts_with("gnu") { cut_fractions(&text) } else { text };
        assert_eq!(whole(seen(&root)), whole(seen(&from)), "{format}");
        let blocks = root.join("sparse").metadata().expect("it is there").blocks();
        assert!(!format.contains("sparse") || blocks < 100, "{format}: {blocks} blocks");
    }
}

/// Times without what stands behind the point: `1700000000.1234567890` is the only word with one in a listing.
fn cut_fractions(text: &str) -> String {
    let word = |word: &str| match word.split_once('.') {
        Some((whole, fraction)) if fraction.len() == 10 && !whole.is_empty() => whole.to_string(),
        _ => word.to_string(),
    };
    let line = |line: &str| line.split(' ').map(word).collect::<Vec<_>>().join(" ");
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn an_ordinary_user_unpacks_without_root() {
    let machine = machine();
    let layer = busybox()
        .entry(b'0', "owned", b"x", owned(33, 34, 0o4755))
        .entry(b'5', "locked", b"", owned(0, 0, 0o000))
        .file("locked/x", "");
    let home = tempfile::tempdir().expect("/tmp is writable");
    layout_with(&home.path().join("image"), &[(&layer, As::Gzip)], json!({"Cmd": ["sh"]}));
    let path = home.path().display();
    let line =
        format!("chown -R 1234:1234 {path} && cp {} {path}/glassbox && cd {path} && ", machine.binary().display());
    let user =
        |args: &str| sh(&format!("{line} setpriv --reuid 1234 --regid 1234 --clear-groups ./glassbox image {args}"));
    let refused = user("unpack image root");
    assert_eq!((refused.status, refused.stdout.as_str()), (1, ""));
    assert!(refused.stderr.contains("--rootless"), "{}", refused.stderr);
    let done = user("bundle --rootless image box");
    assert_eq!((done.status, done.stderr.as_str()), (0, ""));
    assert_eq!(look(&home.path().join("box/rootfs/owned")), (1234, 1234, 0o4755));
    assert_eq!(look(&home.path().join("box/rootfs/locked")), (1234, 1234, 0));
    assert!(home.path().join("box/rootfs/bin/busybox").exists());
}
