//! What umoci and buildah make, started as it is: bundles, images, and buildah's own runs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::engine::{Engine, RUNTIME, image, install};
use crate::support::{Machine, machine, run, sh};

const UMOCI: Engine = Engine(&["umoci"]);
const GLASSBOX: Engine = Engine(&[RUNTIME]);

/// An image layout with one image, `box`, made of the busybox rootfs by umoci alone.
fn layout(machine: &Machine) -> String {
    fs::set_permissions(machine.directory(), fs::Permissions::from_mode(0o755)).expect("it is ours");
    let layout = machine.directory().join("image").display().to_string();
    let tag = format!("{layout}:box");
    UMOCI.ok(&["init", "--layout", &layout]);
    UMOCI.ok(&["new", "--image", &tag]);
    let rootfs = std::env::var("GLASSBOX_BUSYBOX_ROOTFS").expect("set in the machine");
    UMOCI.ok(&["insert", "--image", &tag, &rootfs, "/"]);
    let line = "id -u; pwd; echo $WHO; tty; exit 7";
    let config =
        ["--config.entrypoint", "/bin/sh", "--config.entrypoint", "-c", "--config.cmd", line, "--config.env", "WHO=me"];
    UMOCI.ok(&[&["config", "--image", &tag, "--config.workingdir", "/work"], &config[..]].concat());
    tag
}

/// Runs a bundle behind a terminal, as its config.json wants it, and holds it against what the image says.
fn starts(machine: &Machine, bundle: &Path, before: &str) {
    let config = fs::read_to_string(bundle.join("config.json")).expect("umoci has written it");
    let line = format!("{before}{RUNTIME} run --bundle {} made", bundle.display());
    let ran =
        run(std::process::Command::new("script").args(["-qec", &line, "/dev/null"]).current_dir(machine.directory()));
    // script(1) types a NUL at the end of its own input, which the terminal shows as ^@.
    let stdout = ran.stdout.replace("^@", "");
    let said: Vec<_> = stdout.lines().filter(|line| !line.starts_with("warning: ")).map(str::trim_end).collect();
    assert_eq!((ran.status, said), (7, vec!["0", "/work", "me", "/dev/pts/0"]), "{ran:?}");
    let after = fs::read_to_string(bundle.join("config.json")).expect("it is there");
    assert_eq!(config, after, "it was started unchanged");
}

#[test]
fn a_bundle_of_umoci_starts_unchanged() {
    let machine = machine();
    let tag = layout(&machine);
    let bundle = machine.directory().join("bundle");
    UMOCI.ok(&["unpack", "--image", &tag, bundle.to_str().expect("UTF-8")]);
    starts(&machine, &bundle, "");
}

#[test]
fn a_rootless_bundle_of_umoci_starts_unchanged_for_an_ordinary_user() {
    let machine = machine();
    let tag = layout(&machine);
    let home = machine.directory().join("home");
    let given = sh(&format!(
        "mkdir {0} && chown 1000:1000 {0} && chmod -R a+rX {1}",
        home.display(),
        machine.directory().display()
    ));
    assert_eq!(given.status, 0, "{given:?}");
    let user = format!(
        "setpriv --reuid 1000 --regid 1000 --clear-groups env -i PATH=/usr/bin:/bin HOME={0} XDG_RUNTIME_DIR={0} ",
        home.display()
    );
    let bundle = home.join("bundle");
    let unpacked = sh(&format!("{user}umoci unpack --rootless --image {tag} {}", bundle.display()));
    assert_eq!(unpacked.status, 0, "{unpacked:?}");
    starts(&machine, &bundle, &user);
}

#[test]
fn buildah_runs_with_glassbox_and_what_it_commits_becomes_a_bundle() {
    install("/etc/containers/policy.json", r#"{"default":[{"type":"insecureAcceptAnything"}]}"#);
    let buildah = Engine(&["buildah", "--storage-driver", "vfs"]);
    let name = buildah.ok(&["from", "scratch"]);
    buildah.ok(&["add", &name, image(), "/"]);
    let machine = machine();
    let built = ["run", "--runtime", RUNTIME, "--isolation", "oci", "--network", "none", &name, "--", "sh", "-c"];
    let ran = buildah.run(&[&built[..], &["echo made >/made; cat /proc/self/cgroup; exit 0"]].concat());
    assert_eq!((ran.status, ran.stdout.as_str()), (0, "0::/\n"), "{ran:?}");
    let failed = buildah.run(&[&built[..], &["exit 3"]].concat());
    assert!(failed.status != 0 && failed.stderr.contains("exit status 3"), "{failed:?}");
    buildah.ok(&["config", "--cmd", "cat /made", &name]);
    let target = machine.directory().join("image").display().to_string();
    buildah.ok(&["commit", "--quiet", &name, &format!("oci:{target}:box")]);
    let bundle = machine.directory().join("bundle").display().to_string();
    GLASSBOX.ok(&["image", "bundle", &format!("{target}:box"), &bundle]);
    let said = GLASSBOX.on_a_terminal(&["run", "--bundle", &bundle, "made"]);
    assert_eq!(said.replace("^@", ""), "made\r\n", "but for the NUL that script(1) types at the end of its input");
    buildah.ok(&["rm", &name]);
}
