//! What is explained is what is run: a plan carried out by the runtime, and the same plan's shell script run by root,
//! give containers that cannot tell themselves apart.
//!
//! The container's program prints what it sees of itself ([`LOOK`]), once under `glassbox run` and once under the script
//! of `glassbox explain --format sh`. Numbers that only say in which order the kernel handed them out are replaced
//! ([`normal`]). What is left must be equal, but for what a test lists as a difference with its reason.
//!
//! Not compared, because no shell tool can do it: the device filter (bpf(2)) and terminals.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::support::{Bundle, Machine, Output, machine, run, sh};

/// A line `== NAME` and what the container sees under it, by busybox alone.
const LOOK: &str = r#"
section() { echo "== $1"; }
section mounts; cat /proc/self/mountinfo
section names; cat /proc/sys/kernel/hostname /proc/sys/kernel/domainname
section namespaces; for kind in cgroup ipc mnt net pid time user uts; do readlink /proc/self/ns/$kind; done
section cgroup; cat /proc/self/cgroup
for file in cgroup.type cgroup.controllers cgroup.subtree_control cgroup.freeze cpu.max cpu.weight cpuset.cpus io.max \
    io.weight memory.high memory.low memory.max memory.min memory.oom.group memory.swap.max pids.max; do
    [ ! -e /sys/fs/cgroup/$file ] || echo "$file: $(cat /sys/fs/cgroup/$file)"
done
section power; grep -E '^(Uid|Gid|Groups|Umask|Cap|NoNewPrivs|Seccomp:|SigBlk|SigIgn|SigCgt|Cpus_allowed_list)' /proc/$$/status
section limits; cat /proc/self/limits; cat /proc/self/oom_score_adj
section ids; cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups
section session; read -r pid name state parent group session tty rest </proc/$$/stat
echo $((group - pid)) $((session - pid)) $tty
section descriptors; ls /proc/$$/fd
section command; tr '\0' '\n' </proc/$$/cmdline
section environment; tr '\n\0' '|\n' </proc/$$/environ; echo
section directory; pwd; readlink /proc/$$/cwd
section root; readlink /proc/$$/root; stat -c '%n %A %u %g' /*
section dev; find /dev -exec stat -c '%n %A %u %g %t:%T %N' {} \; | sort
section network; ip -o address; cat /sys/class/net/lo/flags
section writable; for place in / /dev /proc/sys/kernel /sys /sys/fs/cgroup /tmp /data /scratch/deep; do
    touch $place/.try 2>/dev/null && rm $place/.try && echo $place; done; :
"#;

/// A bundle whose program looks at itself.
fn looking(machine: &Machine, change: impl FnOnce(&mut Value)) -> Bundle {
    let bundle = machine.bundle("same");
    bundle.args(&["sh", "-c", LOOK]);
    bundle.edit(change);
    bundle
}

/// The script of `glassbox explain`, as a file.
fn script(machine: &Machine, bundle: &Bundle) -> PathBuf {
    let told = machine.glassbox(["explain", "--format", "sh", "--id", "same", bundle.path()]);
    assert_eq!((told.status, told.stderr.as_str()), (0, ""), "explain");
    let script = machine.directory().join("start.sh");
    fs::write(&script, &told.stdout).expect("the test's directory is writable");
    script
}

/// Both ways to start the bundle, and what each container saw.
fn both(machine: &Machine, bundle: &Bundle) -> [BTreeMap<String, String>; 2] {
    let script = script(machine, bundle);
    let by_plan = machine.glassbox(["run", "--bundle", bundle.path(), "same"]);
    machine.assert_clean();
    let by_shell = run(Command::new("sh").arg(&script).stdin(Stdio::null()));
    machine.assert_clean();
    [by_plan, by_shell].map(|output| sections(&output))
}

fn sections(output: &Output) -> BTreeMap<String, String> {
    assert_eq!((output.status, output.stderr.as_str()), (0, ""), "{}", output.stdout);
    let whole = format!("\n{}", output.stdout);
    let parts = whole.split("\n== ").skip(1);
    parts.filter_map(|part| part.split_once('\n')).map(|(name, text)| (name.to_string(), normal(name, text))).collect()
}

/// A section without the numbers that differ from one start to the next.
fn normal(section: &str, text: &str) -> String {
    match section {
        "mounts" => mounts(text),
        "namespaces" => text.lines().map(namespace).collect(),
        "environment" => environment(text),
        _ => text.to_string(),
    }
}

/// `pid own` or `time the host's`.
fn namespace(line: &str) -> String {
    let kind = line.split(':').next().unwrap_or_default();
    let host = fs::read_link(format!("/proc/self/ns/{kind}")).expect("the kernel has it");
    let whose = if host.to_string_lossy() == line { "the host's" } else { "own" };
    format!("{kind} {whose}\n")
}

/// The environment passes through the script's last shell, which keeps variables in an order of its own and has none whose
/// name is no identifier (the script says so).
fn environment(text: &str) -> String {
    let identifier = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let mut lines: Vec<_> = text.lines().filter(|line| line.split('=').next().is_some_and(identifier)).collect();
    lines.sort_unstable();
    lines.join("\n")
}

/// proc_pid_mountinfo(5) with mount ids, peer groups and the device numbers of anonymous file systems replaced by the
/// order in which they appear.
fn mounts(table: &str) -> String {
    let ids: Vec<_> = table.lines().filter_map(|line| line.split(' ').next()).collect();
    let mut devices = Vec::new();
    let mut groups = Vec::new();
    let mut text = String::new();
    for line in table.lines() {
        let mut fields: Vec<String> = line.split(' ').map(str::to_string).collect();
        let above = ids.iter().position(|id| *id == fields[1]).map_or("outside".into(), |at| format!("#{at}"));
        fields[1] = above;
        fields.remove(0);
        if fields[1].starts_with("0:") {
            fields[1] = order("device", &mut devices, &fields[1]);
        }
        for field in &mut fields {
            for kind in ["shared:", "master:", "propagate_from:"] {
                if let Some(group) = field.strip_prefix(kind) {
                    *field = format!("{kind}{}", order("group", &mut groups, group));
                }
            }
        }
        text.push_str(&(fields.join(" ") + "\n"));
    }
    text
}

fn order(what: &str, seen: &mut Vec<String>, number: &str) -> String {
    let at = seen.iter().position(|known| known == number).unwrap_or_else(|| {
        seen.push(number.to_string());
        seen.len() - 1
    });
    format!("{what}{at}")
}

/// Fails with every section that differs, both versions of it.
fn assert_same([by_plan, by_shell]: [BTreeMap<String, String>; 2]) {
    assert_eq!(by_plan.len(), LOOK.matches("\nsection ").count(), "a section is missing: {by_plan:?}");
    let different: String = by_plan
        .iter()
        .filter(|(name, text)| by_shell.get(*name) != Some(text))
        .map(|(name, text)| format!("== {name}\nby plan:\n{text}by shell:\n{}", by_shell[name]))
        .collect();
    assert!(different.is_empty(), "{different}");
}

#[test]
fn the_default_config() {
    let machine = machine();
    let bundle = looking(&machine, |_| {});
    let seen = both(&machine, &bundle);
    // Equal is not enough: both could be wrong.
    assert!(seen[0]["mounts"].contains("/proc/kcore") && seen[0]["namespaces"].contains("pid own"), "{seen:?}");
    assert_same(seen);
}

#[test]
fn limits_binds_and_a_writable_root() {
    let machine = machine();
    let shared = machine.directory().join("it's shared");
    fs::create_dir_all(shared.join("below")).expect("the test's directory is writable");
    fs::write(machine.directory().join("note"), "hello\n").expect("the test's directory is writable");
    let bundle = looking(&machine, |config| {
        config["linux"]["resources"] = json!({
            "cpu": {"shares": 512, "quota": 50000, "period": 100_000, "cpus": "0"},
            "memory": {"limit": 134_217_728, "reservation": 33_554_432, "swap": 134_217_728},
            "pids": {"limit": 64},
            "unified": {"memory.high": "100000000", "memory.oom.group": "1"},
        });
        config["linux"]["cgroupsPath"] = "/a group".into();
        config["root"]["readonly"] = false.into();
        config["hostname"] = "under_score".into();
        config["domainname"] = "example".into();
        config["process"]["cwd"] = "/made/for it".into();
        config["process"]["oomScoreAdj"] = 321.into();
        config["process"]["noNewPrivileges"] = false.into();
        config["process"]["user"] = json!({"uid": 0, "gid": 0, "umask": 0o027, "additionalGids": [5, 10]});
        config["process"]["env"] = json!(["PATH=/bin:/usr/bin", "QUOTE=it's \"so\"", "LINES=a\nb", "EMPTY=", "漢=字"]);
        config["process"]["rlimits"] = json!([
            {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200},
            {"type": "RLIMIT_CORE", "soft": 0, "hard": u64::MAX},
            {"type": "RLIMIT_NICE", "soft": 1, "hard": 2},
        ]);
        let mounts = config["mounts"].as_array_mut().expect("a list");
        mounts.extend([
            json!({"destination": "/data", "type": "bind", "source": shared, "options": ["rbind", "rro", "nosuid", "noatime"]}),
            json!({"destination": "/etc/note", "type": "bind", "source": machine.directory().join("note"), "options": ["bind", "ro"]}),
            json!({"destination": "/scratch/deep", "type": "tmpfs", "source": "scratch", "options": ["size=1m", "mode=1777", "nodev"]}),
            json!({"destination": "/etc", "type": "tmpfs", "source": "copied", "options": ["tmpcopyup", "mode=755"]}),
        ]);
    });
    let seen = both(&machine, &bundle);
    assert!(seen[0]["cgroup"].contains("memory.max: 134217728\n"), "{}", seen[0]["cgroup"]);
    assert_same(seen);
}

#[test]
fn a_user_namespace() {
    let machine = machine();
    let bundle = looking(&machine, |config| {
        config["linux"]["namespaces"].as_array_mut().expect("a list").push(json!({"type": "user"}));
        config["linux"]["uidMappings"] = json!([
            {"containerID": 0, "hostID": 100_000, "size": 1000}, {"containerID": 1000, "hostID": 200_000, "size": 1000}
        ]);
        config["linux"]["gidMappings"] = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    });
    let seen = both(&machine, &bundle);
    assert!(seen[0]["ids"].contains("100000"), "{}", seen[0]["ids"]);
    assert_same(seen);
}

#[test]
fn a_user_with_capabilities() {
    let machine = machine();
    let bundle = looking(&machine, |config| {
        config["process"]["user"] = json!({"uid": 1000, "gid": 1001, "additionalGids": [5, 1002]});
        config["process"]["capabilities"] = json!({
            "bounding": ["CAP_NET_BIND_SERVICE", "CAP_KILL", "CAP_CHOWN"],
            "permitted": ["CAP_NET_BIND_SERVICE", "CAP_KILL"],
            "effective": ["CAP_NET_BIND_SERVICE"],
            "inheritable": ["CAP_NET_BIND_SERVICE", "CAP_KILL"],
            "ambient": ["CAP_NET_BIND_SERVICE"],
        });
    });
    let seen = both(&machine, &bundle);
    assert!(seen[0]["power"].contains("CapAmb:\t0000000000000400"), "{}", seen[0]["power"]);
    assert_same(seen);
}

#[test]
fn few_namespaces_and_paths_of_the_rootfs() {
    let machine = machine();
    let bundle = looking(&machine, |config| {
        config["linux"]["namespaces"] = json!([{"type": "mount"}, {"type": "ipc"}]);
        config.as_object_mut().expect("an object").remove("hostname");
        config["linux"]["rootfsPropagation"] = "shared".into();
        config["linux"]["maskedPaths"] = json!(["/etc/passwd", "/home", "/nowhere", "/etc/passwd/below"]);
        config["linux"]["readonlyPaths"] = json!(["/etc", "/bin/busybox", "/nowhere"]);
        config["linux"]["devices"] = json!([
            {"path": "/dev/pipe", "type": "p", "fileMode": 0o640, "uid": 5, "gid": 6},
            {"path": "/dev/sub/loop", "type": "b", "major": 7, "minor": 3},
        ]);
        let capabilities = &mut config["process"]["capabilities"];
        capabilities["bounding"] = json!(["CAP_KILL", "CAP_CHOWN", "CAP_SYS_CHROOT"]);
        capabilities["permitted"] = json!(["CAP_KILL", "CAP_CHOWN"]);
        capabilities["effective"] = json!(["CAP_KILL"]);
        config["mounts"].as_array_mut().expect("a list").extend([
            json!({"destination": "/link/deep", "type": "tmpfs", "source": "t", "options": ["rro", "private"]}),
            json!({"destination": "/dev", "options": ["remount", "noexec", "ro"]}),
        ]);
    });
    std::os::unix::fs::symlink("var/../tmp", bundle.rootfs().join("link")).expect("the name is new");
    let seen = both(&machine, &bundle);
    assert!(seen[0]["mounts"].contains(" /tmp/deep "), "{}", seen[0]["mounts"]);
    assert_same(seen);
}

#[test]
fn a_dev_of_the_hosts() {
    let machine = machine();
    let bundle = looking(&machine, |config| {
        let mounts = config["mounts"].as_array_mut().expect("a list");
        mounts.retain(|mount| !mount["destination"].as_str().is_some_and(|place| place.starts_with("/dev")));
        mounts.push(
            json!({"destination": "/dev", "type": "bind", "source": "/dev", "options": ["rbind", "rslave", "nosuid"]}),
        );
    });
    assert_same(both(&machine, &bundle));
}

#[test]
fn the_script_hands_stdin_in_and_the_exit_status_out() {
    let machine = machine();
    let bundle = machine.bundle("same");
    bundle.args(&["sh", "-c", "read -r line; echo \"$line\"; exit 7"]);
    let start = format!("echo hello | sh {}", script(&machine, &bundle).display());
    let ran = sh(&start);
    assert_eq!((ran.status, ran.stdout.as_str(), ran.stderr.as_str()), (7, "hello\n", ""));
    bundle.args(&["nowhere"]);
    let ran = sh(&format!("sh {}", script(&machine, &bundle).display()));
    assert_eq!((ran.status, ran.stderr.as_str()), (127, "nowhere: no such program\n"));
}

#[test]
fn a_step_that_fails_ends_the_script_and_leaves_nothing() {
    let machine = machine();
    let bundle = machine.bundle("same");
    bundle.edit(|config| {
        let mounts = config["mounts"].as_array_mut().expect("a list");
        mounts.push(json!({"destination": "/data", "type": "bind", "source": "/does/not/exist", "options": ["bind"]}));
    });
    let ran = sh(&format!("sh {}", script(&machine, &bundle).display()));
    assert!(ran.status != 0 && ran.stderr.contains("/does/not/exist"), "{ran:?}");
    bundle.edit(|config| {
        config["mounts"].as_array_mut().expect("a list").pop();
        config["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 1, "hard": 1_u64 << 40}]);
    });
    let ran = sh(&format!("sh {}", script(&machine, &bundle).display()));
    assert!(ran.status != 0 && ran.stderr.contains("prlimit"), "{ran:?}");
}

#[test]
fn the_script_follows_no_symbolic_link_out_of_the_rootfs() {
    let machine = machine();
    let bundle = machine.bundle("same");
    let outside = machine.directory().join("outside");
    fs::create_dir(&outside).expect("the test's directory is writable");
    std::os::unix::fs::symlink(&outside, bundle.rootfs().join("out")).expect("the name is new");
    bundle.edit(|config| {
        let mounts = config["mounts"].as_array_mut().expect("a list");
        mounts.push(json!({"destination": "/out/made", "type": "tmpfs", "source": "t"}));
    });
    let ran = sh(&format!("sh {}", script(&machine, &bundle).display()));
    assert_eq!(ran.stderr, "./out/made leads out of the rootfs by a symbolic link\n", "{ran:?}");
    assert!(ran.status != 0);
    assert_eq!(fs::read_dir(outside).expect("it is there").count(), 0);

    fs::remove_dir(bundle.rootfs().join("proc")).expect("it is empty");
    std::os::unix::fs::symlink("tmp", bundle.rootfs().join("proc")).expect("the name is free");
    let ran = sh(&format!("sh {}", script(&machine, &bundle).display()));
    assert_eq!(ran.stderr, "./proc is a symbolic link, or below one\n", "{ran:?}");
    let ran = machine.glassbox(["run", "--bundle", bundle.path(), "same"]);
    assert!(ran.status == 1 && ran.stderr.contains("(mount proc on /proc): openat2 = ELOOP"), "{ran:?}");
}
