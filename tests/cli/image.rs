//! `glassbox image`: what it prints of images, what it makes of them, and how it ends when it cannot.

use std::fs;
use std::path::Path;

use insta::assert_snapshot;
use serde_json::{Value, json};

use super::image_build::{As, Layer, layout_with};
use super::support::{Run, glassbox};

/// A directory with an image of two layers, called latest.
fn bench() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("/tmp is writable");
    let lower =
        Layer::new().directory("etc").file("etc/passwd", "root:x:0:0::/root:/bin/sh\nweb:x:33:33::/srv:/bin/sh\n");
    let upper = Layer::new().file("bin/web", "program").directory("data");
    let run = json!({
        "Entrypoint": ["/bin/web", "--port", "80"], "Cmd": ["--verbose"], "User": "web", "WorkingDir": "/srv",
        "Env": ["MODE=fast", "NAME=a \u{1b}[31m"], "ExposedPorts": {"80/tcp": {}, "443/tcp": {}},
        "Volumes": {"/data": {}}, "StopSignal": "SIGQUIT", "Labels": {"vendor": "us", "answer": "42"},
    });
    layout_with(&directory.path().join("web"), &[(&lower, As::Tar), (&upper, As::Tar)], run);
    directory
}

fn image<const N: usize>(directory: &Path, args: [&str; N]) -> Run {
    glassbox([&["image"], &args[..]].concat()).in_dir(directory)
}

fn names(directory: &Path) -> Vec<String> {
    let name =
        |entry: std::io::Result<fs::DirEntry>| entry.expect("readable").file_name().into_string().expect("UTF-8");
    let mut names: Vec<_> = fs::read_dir(directory).expect("readable").map(name).collect();
    names.sort();
    names
}

#[test]
fn inspect_shows_what_an_image_is_made_of() {
    let bench = bench();
    assert_snapshot!(image(bench.path(), ["inspect", "web"]).snapshot());
}

#[test]
fn inspect_s_json_has_the_config_as_it_stands() {
    let bench = bench();
    let output = image(bench.path(), ["inspect", "--format", "json", "oci:web:latest"]).output();
    let told: Value = serde_json::from_str(&output.stdout).expect("JSON");
    assert_eq!((told["transport"].as_str(), told["names"][0].as_str()), (Some("oci"), Some("latest")));
    assert_eq!(told["config"]["config"]["Volumes"], json!({"/data": {}}));
    assert_eq!(told["layers"].as_array().map(Vec::len), Some(2));
    let sizes = told["layers"].as_array().expect("a list").iter().map(|layer| layer["size"].as_u64().expect("bytes"));
    assert_eq!(told["size"].as_u64(), Some(sizes.sum()));
}

#[test]
fn unpack_makes_a_directory_once() {
    let bench = bench();
    assert_snapshot!(image(bench.path(), ["unpack", "--rootless", "web", "root"]).snapshot(), @r"
    status 0
    stdout:
    Unpacked 2 layers, 4 entries, 5.00 KiB: root
    ");
    assert_eq!(names(&bench.path().join("root")), ["bin", "data", "etc"]);
    assert_snapshot!(image(bench.path(), ["unpack", "--rootless", "web", "root"]).snapshot(), @r#"
    status 1
    stderr:
    error: image "web": "root" is there already, and is no empty directory
      hint: Name a directory that is not there yet, or an empty one.
    "#);
    assert_eq!(names(bench.path()), ["root", "web"]);
}

#[test]
fn what_cannot_be_unpacked_leaves_nothing_and_tells_what_to_do() {
    let bench = bench();
    let ended = |args: &[&str]| {
        let args = [&["image", "unpack", "--rootless"], args, &["root"]].concat();
        let told = glassbox(args).in_dir(bench.path()).snapshot();
        assert_eq!(names(bench.path()), ["web"]);
        told
    };
    assert_snapshot!(ended(&["web:1"]), @r#"
    status 1
    stderr:
    error: image "web:1": no image is called "1"; there is latest
      hint: Name one behind the path, as in PATH:latest.
    "#);
    assert_snapshot!(ended(&["nowhere"]), @r#"
    status 1
    stderr:
    error: image "nowhere": No such file or directory (os error 2)
      hint: An image is a directory or a file: write PATH or PATH:TAG.
    "#);
    assert_snapshot!(ended(&["web/blobs"]), @r#"
    status 1
    stderr:
    error: image "web/blobs" is no image: it holds neither oci-layout nor manifest.json
      hint: `docker save NAME -o FILE` and `skopeo copy docker://NAME oci:DIR:TAG` write images that can be read.
    "#);
    assert_snapshot!(ended(&["--max-entries", "2", "web"]), @r#"
    status 1
    stderr:
    error: image "web": tar entries of all layers: more than 2
      hint: If the image is honest, allow more with --max-entries.
    "#);
    assert_snapshot!(ended(&["--max-depth", "1", "web"]), @r#"
    status 1
    stderr:
    error: image "web": layer 1, entry "etc/passwd": its path has more than 1 names
      hint: If the image is honest, allow more with --max-depth.
    "#);
    assert_snapshot!(ended(&["--max-size", "1K", "web"]), @r#"
    status 1
    stderr:
    error: image "web": bytes of all layers, decompressed: more than 1024
      hint: If the image is honest, allow more with --max-size.
    "#);
    assert_snapshot!(ended(&["--platform", "linux/s390x", "web"]), @r#"
    status 1
    stderr:
    error: image "web": no image for linux/s390x; there is linux/amd64
      hint: Say which you want, as in --platform linux/amd64.
    "#);
}

#[test]
fn flags_that_make_no_sense_are_told() {
    let bench = bench();
    for args in [
        ["--platform", "linux"],
        ["--max-size", "1X"],
        ["--uid-map", "0:1"],
        ["--uid-map", "0:0:0"],
        ["--uid-map", "0:100000:65536"],
        ["--devices", "some"],
    ] {
        let args = [&["image", "unpack"], &args[..], &["web", "root"]].concat();
        assert_eq!(glassbox(args.clone()).in_dir(bench.path()).output().status, 2, "{args:?}");
    }
}

#[test]
fn a_bundle_has_the_image_s_program_user_and_volumes() {
    use std::os::unix::fs::MetadataExt;
    let bench = bench();
    let output = image(bench.path(), ["bundle", "--rootless", "web", "box"]).output();
    let nobody = "warning: the image's user 33:33 is not there: the process runs as 0:0, which is you\n";
    assert_eq!((output.status, output.stderr.as_str()), (0, nobody));
    let config: Value =
        serde_json::from_slice(&fs::read(bench.path().join("box/config.json")).expect("there")).expect("JSON");
    let process = &config["process"];
    assert_eq!(process["args"], json!(["/bin/web", "--port", "80", "--verbose"]));
    assert_eq!((&process["cwd"], &process["user"]), (&json!("/srv"), &json!({"uid": 0, "gid": 0})));
    let own = std::fs::metadata(bench.path()).expect("ours");
    let map = |id: u32| json!([{"containerID": 0, "hostID": id, "size": 1}]);
    let maps = (&config["linux"]["uidMappings"], &config["linux"]["gidMappings"]);
    assert_eq!(maps, (&map(own.uid()), &map(own.gid())));
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    assert_eq!(process["env"], json!(["MODE=fast", "NAME=a \u{1b}[31m", path, "TERM=xterm", "HOME=/srv"]));
    let volume = config["mounts"].as_array().expect("a list").last().expect("one").clone();
    let options = json!(["rw", "nosuid", "nodev", "mode=755"]);
    assert_eq!(volume, json!({"destination": "/data", "type": "tmpfs", "source": "tmpfs", "options": options}));
    assert_eq!(config["annotations"]["org.opencontainers.image.exposedPorts"], "443/tcp,80/tcp");
    assert_eq!(config["annotations"]["org.opencontainers.image.stopSignal"], "SIGQUIT");
    assert_eq!((&config["annotations"]["vendor"], &config["root"]["readonly"]), (&json!("us"), &json!(false)));
    let mode = |path: &str| fs::metadata(bench.path().join(path)).expect("there").mode() & 0o7777;
    assert_eq!([mode("box"), mode("box/rootfs")], [0o700, 0o755]);
    let explained = glassbox(["explain", "box"]).in_dir(bench.path()).output();
    assert_eq!(explained.status, 0, "{}", explained.stderr);
}

#[test]
fn a_bundle_is_not_made_of_an_image_whose_user_is_nobody() {
    let directory = tempfile::tempdir().expect("/tmp is writable");
    layout_with(&directory.path().join("web"), &[(&Layer::new().file("f", ""), As::Gzip)], json!({"User": "ghost"}));
    assert_snapshot!(image(directory.path(), ["bundle", "--rootless", "web", "box"]).snapshot(), @r#"
    status 1
    stderr:
    error: image "web": config: User: "ghost" is no user of /etc/passwd
    "#);
    assert_eq!(names(directory.path()), ["web"]);
}

#[test]
fn a_volume_over_the_runtime_s_own_mounts_is_left_out() {
    let directory = tempfile::tempdir().expect("/tmp is writable");
    let volumes = json!({"/proc/self": {}, "/x/../sys": {}, "/": {}, "/devices": {}, "data/": {}});
    layout_with(&directory.path().join("web"), &[(&Layer::new().file("f", ""), As::Gzip)], json!({"Volumes": volumes}));
    assert_snapshot!(image(directory.path(), ["bundle", "--rootless", "web", "box"]).snapshot(), @r#"
    status 0
    stdout:
    Unpacked 1 layer, 1 entries, 1.50 KiB: box
    stderr:
    warning: the image names no program; process.args is ["sh"]
    warning: the volume "/" is left out: it would hide what the runtime mounts
    warning: the volume "/proc/self" is left out: it would hide what the runtime mounts
    warning: the volume "/sys" is left out: it would hide what the runtime mounts
    "#);
    let config: Value =
        serde_json::from_slice(&fs::read(directory.path().join("box/config.json")).expect("there")).expect("JSON");
    let destinations =
        config["mounts"].as_array().expect("a list").iter().rev().take(2).map(|mount| &mount["destination"]);
    assert_eq!(destinations.collect::<Vec<_>>(), ["/devices", "/data"]);
}

#[test]
fn a_signal_ends_an_unpacking_and_leaves_nothing() {
    use std::process::{Command, Stdio};
    let directory = tempfile::tempdir().expect("/tmp is writable");
    // A layer that is a pipe's would be refused, so it is one that takes long: many small files.
    let layer = (0..60_000).fold(Layer::new(), |layer, n| layer.file(&format!("d{}/f{n}", n / 100), ""));
    layout_with(&directory.path().join("web"), &[(&layer, As::Tar)], json!({}));
    let mut command = Command::new(env!("CARGO_BIN_EXE_glassbox"));
    command.args(["image", "unpack", "--rootless", "web", "root"]).current_dir(directory.path());
    let child = command.stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !names(directory.path()).iter().any(|name| name.starts_with(".glassbox-unpack-")) {
        assert!(std::time::Instant::now() < deadline, "it has not begun");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it runs");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "interrupted; what was unpacked is removed\n");
    assert_eq!(names(directory.path()), ["web"]);
}
