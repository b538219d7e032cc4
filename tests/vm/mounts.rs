//! Mounts beyond the ordinary: owners mapped, options of a file system changed, labels. And what else a config asks of a process or
//! a network that root alone can give.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Bundle, Machine, Output, machine, sh, wait_until};

fn runs(machine: &Machine, bundle: &Bundle, line: &str) -> Output {
    bundle.args(&["sh", "-c", line]);
    machine.glassbox(["run", "--bundle", bundle.path(), "mounts"])
}

/// Adds a mount to the bundle's config.
fn mount(bundle: &Bundle, mount: Value) {
    bundle.edit(|config| config["mounts"].as_array_mut().expect("a list").push(mount));
}

fn owner(path: &Path) -> (u32, u32) {
    let found = fs::metadata(path).expect("it is there");
    (found.uid(), found.gid())
}

/// A directory on the machine's disk, whose file system lets its owners be mapped (tmpfs does from Linux 6.3 on), with a file
/// of 5:6, and with the same directory's `b` mounted on `below`.
fn owned() -> tempfile::TempDir {
    let directory = tempfile::tempdir_in("/var/tmp").expect("the disk is writable");
    for name in ["file", "b/file"] {
        fs::create_dir_all(directory.path().join("b")).expect("it is ours");
        fs::write(directory.path().join(name), "").expect("it is ours");
        chown(directory.path().join(name), Some(5), Some(6)).expect("we are root");
    }
    fs::create_dir(directory.path().join("below")).expect("it is ours");
    let bound = sh(&format!("cd {} && mount --bind b below", directory.path().display()));
    assert_eq!(bound.status, 0, "{}", bound.stderr);
    directory
}

const OWNERS: &str = "stat -c %u:%g /data/file /data/below/file; touch /data/made";

#[test]
fn the_owners_of_a_bind_mount_are_mapped() {
    let machine = machine();
    let directory = owned();
    let source = directory.path().to_str().expect("UTF-8").to_string();
    let maps = |uid, gid| {
        let map = |first, host| json!([{"containerID": first, "hostID": host, "size": 1}, {"containerID": 0, "hostID": 0, "size": 1}]);
        (map(5, uid), map(6, gid))
    };
    let (users, groups) = maps(1005, 1006);
    let mapped = |options: Value| json!({"destination": "/data", "type": "bind", "source": source, "options": options, "uidMappings": users, "gidMappings": groups});
    let bundle = machine.bundle("mapped");
    mount(&bundle, mapped(json!(["rbind", "idmap"])));
    let ran = runs(&machine, &bundle, OWNERS);
    assert_eq!((ran.status, ran.stdout.as_str(), ran.stderr.as_str()), (0, "1005:1006\n5:6\n", ""));
    let bundle = machine.bundle("all");
    mount(&bundle, mapped(json!(["rbind", "ridmap", "ro"])));
    let ran = runs(&machine, &bundle, OWNERS);
    assert_eq!(ran.stdout, "1005:1006\n1005:1006\n");
    assert!(ran.stderr.contains("Read-only file system"), "{}", ran.stderr);

    // With no maps of its own the mount takes those of the container's user namespace: root there owns what root owns here.
    fs::remove_file(directory.path().join("made")).expect("the first container has made it");
    let bundle = machine.bundle("users");
    bundle.edit(|config| {
        config["linux"]["namespaces"].as_array_mut().expect("a list").push(json!({"type": "user"}));
        let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
        config["linux"]["uidMappings"] = map.clone();
        config["linux"]["gidMappings"] = map;
    });
    mount(&bundle, json!({"destination": "/data", "source": source, "options": ["rbind", "ridmap"]}));
    // Root there may make nothing in a rootfs that is root's here.
    sh(&format!("mkdir {0}/rootfs/data; chmod 755 {0} {0}/rootfs {1}", bundle.path(), machine.directory().display()));
    let ran = runs(&machine, &bundle, OWNERS);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("5:6\n5:6\n", ""));
    assert_eq!(owner(&directory.path().join("made")), (0, 0));

    // What cannot be mapped is named: proc's owners are nobody's to map.
    let bundle = machine.bundle("not");
    mount(
        &bundle,
        json!({"destination": "/data", "source": "/proc", "options": ["bind"], "uidMappings": users, "gidMappings": groups}),
    );
    let ran = runs(&machine, &bundle, "true");
    assert_eq!(ran.status, 1);
    for word in
        ["show /proc of the host at /data", "mapped: users 1 from 5 on are shown from 1005", "mount_setattr = EINVAL"]
    {
        assert!(ran.stderr.contains(word), "{word}: {}", ran.stderr);
    }
    assert_eq!(sh(&format!("umount {source}/below")).status, 0);
}

#[test]
fn a_remount_changes_the_file_system_that_the_config_has_mounted() {
    let machine = machine();
    let bundle = machine.bundle("again");
    mount(&bundle, json!({"destination": "/data", "type": "tmpfs", "source": "tmpfs", "options": ["size=1m", "ro"]}));
    mount(
        &bundle,
        json!({"destination": "/data", "type": "tmpfs", "source": "tmpfs", "options": ["remount", "rw", "nosuid", "size=2m"]}),
    );
    let ran = runs(&machine, &bundle, "touch /data/x; grep ' /data ' /proc/mounts");
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
    for word in ["rw,nosuid", "size=2048k"] {
        assert!(ran.stdout.contains(word), "{word}: {}", ran.stdout);
    }
    // The host's file system is not the container's to change: its mount alone is read-only.
    let bundle = machine.bundle("theirs");
    mount(&bundle, json!({"destination": "/data", "type": "bind", "source": "/var/tmp", "options": ["bind"]}));
    mount(&bundle, json!({"destination": "/data", "type": "none", "options": ["remount", "ro", "commit=77"]}));
    let ran = runs(&machine, &bundle, "touch /data/x");
    let (told, refused) = ran.stderr.split_once('\n').expect("two lines");
    assert_eq!(
        told,
        "warning: config.json: mounts[8].options: commit=77 is not applied: the file system is not the container's own"
    );
    assert_eq!(refused, "touch: /data/x: Read-only file system\n");
    assert!(!sh("grep ' / ' /proc/mounts").stdout.contains("commit=77"));
}

#[test]
fn read_only_and_the_like_reach_the_mounts_below_with_an_r() {
    let machine = machine();
    let directory = owned();
    let bundle = machine.bundle("all");
    mount(
        &bundle,
        json!({"destination": "/data", "source": directory.path(), "options": ["rbind", "rro", "rnosuid", "rnoexec", "rnoatime"]}),
    );
    mount(&bundle, json!({"destination": "/one", "source": directory.path(), "options": ["rbind", "ro", "nodev"]}));
    let ran = runs(
        &machine,
        &bundle,
        "sed -n 's,.* \\(/data[^ ]*\\|/one[^ ]*\\) [^ ]* \\([^ ]*\\).*,\\1 \\2,p' /proc/mounts",
    );
    let lines: Vec<_> = ran.stdout.lines().map(|line| line.split(',').take(4).collect::<Vec<_>>().join(",")).collect();
    assert_eq!(
        lines[..2],
        ["/data ro,nosuid,noexec,noatime", "/data/below ro,nosuid,noexec,noatime"],
        "{}",
        ran.stdout
    );
    assert!(lines[2].starts_with("/one ro,nodev") && lines[3].starts_with("/one/below rw,relatime"), "{}", ran.stdout);
    assert_eq!(sh(&format!("umount {}/below", directory.path().display())).status, 0);
}

#[test]
fn a_label_that_no_kernel_here_knows_is_refused_with_the_reason() {
    let machine = machine();
    let bundle = machine.bundle("label");
    bundle.edit(|config| config["linux"]["mountLabel"] = "system_u:object_r:container_file_t:s0".into());
    let ran = runs(&machine, &bundle, "true");
    assert_eq!(ran.status, 1);
    for word in ["mount tmpfs on /dev", "context=system_u", "linux.mountLabel"] {
        assert!(ran.stderr.contains(word), "{word}: {}", ran.stderr);
    }
}

#[test]
fn a_personality_is_the_programs_and_that_of_what_joins_it() {
    let machine = machine();
    let bundle = machine.bundle("narrow");
    bundle.edit(|config| config["linux"]["personality"] = json!({"domain": "LINUX32"}));
    assert_eq!(runs(&machine, &bundle, "uname -m").stdout, "i686\n");
    bundle.args(&["sleep", "100"]);
    machine.quiet(&["run", "--detach", "--bundle", bundle.path(), "narrow"]);
    assert_eq!(machine.glassbox(["exec", "narrow", "uname", "-m"]).stdout, "i686\n");
    machine.quiet(&["delete", "--force", "narrow"]);
}

#[test]
fn a_network_device_of_the_host_becomes_the_containers_with_its_lasting_addresses() {
    let machine = machine();
    let bundle = machine.bundle("wired");
    let make = "ip link add gb5 type veth peer name gb6 && ip address add 10.9.8.7/24 dev gb5 && \
                ip -6 address add fd00:9::5/64 dev gb5 nodad && ip address add 10.9.7.7/24 dev gb5 scope link";
    assert_eq!(sh(make).stderr, "");
    bundle.edit(|config| config["linux"]["netDevices"] = json!({"gb5": {"name": "eth5"}}));
    let ran = runs(&machine, &bundle, "ip -o link show eth5; ip -o address show eth5");
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
    let link = ran.stdout.lines().next().unwrap_or_default();
    assert!(link.contains("UP"), "{link}");
    assert!(ran.stdout.contains("10.9.8.7/24") && ran.stdout.contains("fd00:9::5/64"), "{}", ran.stdout);
    assert!(!ran.stdout.contains("10.9.7.7"), "of link scope: {}", ran.stdout);
    // It is not moved back: a pair of veth goes with the container's network.
    wait_until("the pair is gone", || !Path::new("/sys/class/net/gb6").exists());
    let again = runs(&machine, &bundle, "true");
    assert_eq!(again.status, 1);
    for word in ["move the network device gb5 into the container as eth5", "ENODEV|No such device"] {
        assert!(word.split('|').any(|word| again.stderr.contains(word)), "{word}: {}", again.stderr);
    }
}

#[test]
fn a_limit_below_what_is_used_is_refused_where_the_config_wants_a_look() {
    let machine = machine();
    let bundle = machine.bundle("full");
    bundle.args(&["sh", "-c", "head -c 20000000 /dev/zero >/dev/shm/x; sleep 100"]);
    machine.quiet(&["run", "--detach", "--bundle", bundle.path(), "full"]);
    let used = || fs::read_to_string("/sys/fs/cgroup/glassbox-full/memory.current").expect("it is there");
    wait_until("it uses memory", || used().trim().parse::<u64>().is_ok_and(|used| used > 20_000_000));
    let file = machine.directory().join("limits");
    fs::write(&file, r#"{"memory": {"limit": 8388608, "checkBeforeUpdate": true}}"#).expect("it is ours");
    let refused = machine.glassbox(["update", "--resources", file.to_str().expect("UTF-8"), "full"]);
    assert_eq!(refused.status, 1);
    assert!(
        refused.stderr.starts_with("error: linux.resources.memory.limit: 8388608 is below the "),
        "{}",
        refused.stderr
    );
    assert_eq!(fs::read_to_string("/sys/fs/cgroup/glassbox-full/memory.max").expect("it is there"), "max\n");
    machine.quiet(&["delete", "--force", "full"]);
}
