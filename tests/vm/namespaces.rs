//! Namespaces that are joined, and what is set in those of the container's own.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Machine, machine, sh};

/// The namespaces of the template without those of `kinds`, which are joined by `path`.
fn join(config: &mut Value, joined: &[(&str, String)]) {
    for entry in config["linux"]["namespaces"].as_array_mut().expect("a list") {
        let kind = entry["type"].as_str().expect("a text").to_string();
        if let Some((_, path)) = joined.iter().find(|(name, _)| *name == kind) {
            entry["path"] = json!(path);
        }
    }
}

fn pid(machine: &Machine, id: &str) -> i64 {
    let state: Value = serde_json::from_str(&machine.glassbox(["state", id]).stdout).expect("JSON");
    state["pid"].as_i64().expect("a number")
}

fn link(pid: i64, kind: &str) -> String {
    fs::read_link(format!("/proc/{pid}/ns/{kind}")).expect("it runs").display().to_string()
}

const KINDS: [(&str, &str); 4] = [("pid", "pid"), ("network", "net"), ("ipc", "ipc"), ("uts", "uts")];

#[test]
fn two_containers_share_what_the_second_joins() {
    let machine = machine();
    for (case, mapped) in [("plain", false), ("mapped", true)] {
        let first = machine.bundle(&format!("first-{case}"));
        first.args(&["sleep", "1000"]);
        let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
        let user = |config: &mut Value, entry: Value| {
            config["linux"]["namespaces"].as_array_mut().expect("a list").push(entry);
        };
        first.edit(|config| {
            if mapped {
                user(config, json!({"type": "user"}));
                config["linux"]["uidMappings"] = map.clone();
                config["linux"]["gidMappings"] = map.clone();
            }
        });
        machine.quiet(&["run", "--detach", "--bundle", first.path(), "first"]);
        let one = pid(&machine, "first");
        let second = machine.bundle(&format!("second-{case}"));
        second.args(&["sleep", "1000"]);
        second.edit(|config| {
            config.as_object_mut().expect("an object").remove("hostname");
            join(config, &KINDS.map(|(kind, file)| (kind, format!("/proc/{one}/ns/{file}"))));
            if mapped {
                user(config, json!({"type": "user", "path": format!("/proc/{one}/ns/user")}));
            }
        });
        machine.quiet(&["run", "--detach", "--bundle", second.path(), "second"]);
        let two = pid(&machine, "second");
        for kind in ["pid", "net", "ipc", "uts", "user", "mnt"] {
            assert_eq!(link(one, kind) == link(two, kind), kind != "mnt", "{case}: {kind}");
        }
        let seen = machine.glassbox(["exec", "second", "ps"]);
        assert_eq!(seen.stdout.matches("sleep 1000").count(), 2, "{case}: both are seen from either: {seen:?}");
        let cgroup = fs::read_to_string(format!("/proc/{two}/cgroup")).expect("it runs");
        assert!(cgroup.contains("0::/glassbox-second"), "{case}: it is in its own cgroup: {cgroup}");
        machine.quiet(&["delete", "--force", "second"]);
        machine.quiet(&["delete", "--force", "first"]);
        drop((first, second));
        machine.assert_clean();
    }
}

/// What podman and containerd do: the network is there before the container.
#[test]
fn a_network_that_is_there_is_joined_also_with_a_user_namespace_of_ones_own() {
    let machine = machine();
    sh("ip netns add ready && ip -n ready link add marked type bridge && ip -n ready link set lo up");
    for mapped in [false, true] {
        let bundle = machine.bundle(&format!("net-{mapped}"));
        bundle.args(&["ip", "link"]);
        bundle.edit(|config| {
            join(config, &[("network", "/run/netns/ready".to_string())]);
            // sysfs wants power over the network namespace that it shows.
            config["mounts"]
                .as_array_mut()
                .expect("a list")
                .retain(|mount| mount["type"] != "sysfs" && mount["type"] != "cgroup");
            if mapped {
                config["linux"]["namespaces"].as_array_mut().expect("a list").push(json!({"type": "user"}));
                let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
                config["linux"]["uidMappings"] = map.clone();
                config["linux"]["gidMappings"] = map;
            }
        });
        let seen = machine.glassbox(["run", "--bundle", bundle.path(), "net"]);
        assert_eq!((seen.status, seen.stderr.as_str()), (0, ""), "mapped {mapped}");
        assert!(seen.stdout.contains("marked"), "{}", seen.stdout);
    }
    sh("ip netns delete ready; umount /run/netns; rmdir /run/netns");
    machine.assert_clean();
}

#[test]
fn a_path_that_is_no_namespace_of_that_kind_is_refused_and_leaves_nothing() {
    let machine = machine();
    for (kind, path, says) in [
        ("network", "/proc/self/ns/uts", "EINVAL"),
        ("pid", "/proc/self/ns/net", "EINVAL"),
        ("ipc", "/no/such/file", "ENOENT"),
        ("uts", "/etc/passwd", "EINVAL"),
    ] {
        let bundle = machine.bundle(&format!("wrong-{kind}"));
        bundle.edit(|config| join(config, &[(kind, path.to_string())]));
        let refused = machine.glassbox(["run", "--bundle", bundle.path(), "wrong"]);
        assert_eq!(refused.status, 1, "{kind} {path}: {refused:?}");
        assert!(refused.stderr.contains(&format!("join the {kind} namespace of {path}")), "{refused:?}");
        assert!(refused.stderr.contains(says), "{refused:?}");
        drop(bundle);
        machine.assert_clean();
    }
}

#[test]
fn clocks_and_parameters_are_the_containers_own() {
    let machine = machine();
    let bundle = machine.bundle("own");
    bundle.args(&[
        "sh",
        "-c",
        "cat /proc/uptime /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shmmni /proc/sys/kernel/domainname",
    ]);
    bundle.edit(|config| {
        config["linux"]["namespaces"].as_array_mut().expect("a list").push(json!({"type": "time"}));
        config["linux"]["timeOffsets"] =
            json!({"boottime": {"secs": 1_000_000}, "monotonic": {"secs": 500, "nanosecs": 5}});
        config["linux"]["sysctl"] =
            json!({"net.ipv4.ip_forward": "1", "kernel/shmmni": "77", "kernel.domainname": "box"});
    });
    let seen = machine.glassbox(["run", "--bundle", bundle.path(), "own"]);
    assert_eq!((seen.status, seen.stderr.as_str()), (0, ""));
    let words: Vec<_> = seen.stdout.split_whitespace().collect();
    assert!(words[0].parse::<f64>().expect("seconds") > 1_000_000.0, "{words:?}");
    assert_eq!(&words[2..], ["1", "77", "box"]);
    assert_ne!(
        fs::read_to_string("/proc/sys/kernel/shmmni").expect("it is there").trim(),
        "77",
        "the host keeps its own"
    );
    for (key, value, says) in [
        ("kernel.shmmax.x", "1", "belongs to no namespace"),
        ("vm.swappiness", "1", "belongs to no namespace"),
        ("net.ipv4.../../kernel/hostname", "x", "no name of a kernel parameter"),
        ("kernel.hostname", "x", "hostname"),
        ("net.ipv4.no_such", "1", "ENOENT"),
        ("net.ipv4.ip_forward", "x", "EINVAL"),
    ] {
        bundle.edit(|config| config["linux"]["sysctl"] = json!({key: value}));
        let refused = machine.glassbox(["run", "--bundle", bundle.path(), "own"]);
        assert_eq!(refused.status, 1, "{key}: {refused:?}");
        assert!(refused.stderr.contains(says), "{key}: {refused:?}");
    }
    drop(bundle);
    machine.assert_clean();
}

#[test]
fn scheduling_affinity_and_keys_are_what_the_config_says_and_not_the_callers() {
    let machine = machine();
    let bundle = machine.bundle("time");
    bundle.args(&[
        "sh",
        "-c",
        "grep Cpus_allowed_list /proc/self/status; cat /proc/self/sched | grep -E 'policy|prio'; \
        cut -d' ' -f19 /proc/self/stat; grep _ses /proc/keys; ionice -p $$",
    ]);
    bundle.edit(|config| {
        config["process"]["scheduler"] = json!({"policy": "SCHED_BATCH", "nice": 7});
        config["process"]["ioPriority"] = json!({"class": "IOPRIO_CLASS_IDLE", "priority": 0});
        config["linux"]["maskedPaths"] = json!([]);
    });
    let line = format!("taskset 1 {} run --bundle {} time", machine.binary().display(), bundle.path());
    let seen = sh(&line);
    assert_eq!(seen.status, 0, "{seen:?}");
    assert!(seen.stdout.contains("Cpus_allowed_list:\t0-1"), "the caller's mask does not bind it: {}", seen.stdout);
    assert!(seen.stdout.contains("\n7\n"), "nice 7: {}", seen.stdout);
    assert!(seen.stdout.contains("_ses.time"), "its own session keyring: {}", seen.stdout);
    assert!(seen.stdout.contains("idle"), "{}", seen.stdout);
    let kept = sh(&line.replace(" run ", " run --no-new-keyring "));
    assert!(!kept.stdout.contains("_ses.time"), "{}", kept.stdout);
    drop(bundle);
    machine.assert_clean();
}

#[test]
fn a_mount_namespace_that_is_there_is_joined_and_gets_the_containers_root() {
    let machine = machine();
    let bundle = machine.bundle("mounts");
    bundle.args(&["sh", "-c", "readlink /proc/self/ns/mnt; ls /proc/1/ns/mnt; cat /seen/file"]);
    // Something that only the namespace itself has.
    let source = machine.directory().join("source");
    fs::create_dir(&source).expect("it is new");
    let hold = format!(
        "exec unshare --mount --propagation private sh -c 'mount -t tmpfs tmpfs {0} && echo theirs >{0}/file && echo $$ && exec sleep 300'",
        source.display()
    );
    let mut holder = Command::new("sh").args(["-c", &hold]).stdout(Stdio::piped()).spawn().expect("it runs");
    let mut line = String::new();
    BufReader::new(holder.stdout.take().expect("piped")).read_line(&mut line).expect("it says its number");
    let path = format!("/proc/{}/ns/mnt", line.trim());
    let theirs = fs::read_link(&path).expect("it is there").display().to_string();
    bundle.edit(|config| {
        join(config, &[("mount", path.clone())]);
        let mounts = config["mounts"].as_array_mut().expect("a list");
        mounts.push(json!({"destination": "/seen", "source": source, "options": ["bind"]}));
    });
    let ran = machine.glassbox(["run", "--bundle", bundle.path(), "mounts"]);
    holder.kill().and_then(|()| holder.wait()).expect("it was there");
    assert_eq!((ran.status, ran.stdout), (0, format!("{theirs}\n/proc/1/ns/mnt\ntheirs\n")), "{}", ran.stderr);
}

/// The runtime specification has it inherit ours then. Its files are its own nevertheless, for exec as well, and what was mounted
/// for it goes with it, also where its runtime was killed half-way.
#[test]
fn without_a_mount_namespace_it_has_our_mounts_and_its_own_root() {
    let machine = machine();
    let bundle = machine.bundle("shared");
    fs::create_dir(bundle.rootfs().join("mark")).expect("the rootfs is ours");
    bundle.edit(|config| {
        let namespaces = config["linux"]["namespaces"].as_array_mut().expect("a list");
        namespaces.retain(|entry| entry["type"] != "mount");
        config["process"]["cwd"] = "/mark".into();
    });
    bundle.args(&["sleep", "1000"]);
    let ours = fs::read_link("/proc/self/ns/mnt").expect("it is there").display().to_string();
    let propagation = || sh("findmnt -rno TARGET,PROPAGATION / /proc /sys").stdout;
    let before = propagation();
    let started = machine.to_files(&["run", "--detach", "--bundle", bundle.path(), "shared"]);
    assert_eq!(started.status, 0, "{}", started.stderr);
    assert!(started.stderr.contains("without \"mount\" no other root than chroot(2)"), "{}", started.stderr);
    assert_eq!(link(pid(&machine, "shared"), "mnt"), ours);
    assert_eq!(propagation(), before, "the host's own mounts are as they were");
    let look = "pwd; ls -d /mark; cat /proc/1/comm; echo x >/mark/x; cat /proc/kcore | wc -c";
    let expected = "/mark\n/mark\nsleep\n0\n";
    let seen = machine.glassbox(["exec", "shared", "sh", "-c", look]);
    assert_eq!((seen.status, seen.stdout.as_str()), (0, expected), "{}", seen.stderr);
    assert!(seen.stderr.contains("Read-only file system"), "{}", seen.stderr);
    // Whoever calls exec from other mounts enters the same root.
    let elsewhere = format!("unshare --mount \"$GLASSBOX\" exec shared sh -c '{look}'");
    assert_eq!(sh(&elsewhere).stdout, expected);
    machine.quiet(&["delete", "--force", "shared"]);
    machine.assert_clean();
    // As the script tells it.
    bundle.args(&["sh", "-c", "pwd; ls -d /mark; readlink /proc/self/ns/mnt; ls /proc/self/fd | wc -l"]);
    let told = machine.glassbox(["explain", "--format", "sh", bundle.path()]);
    let script = machine.directory().join("start.sh");
    fs::write(&script, &told.stdout).expect("the test's directory is writable");
    let by_hand = sh(&format!("sh {}", script.display()));
    machine.assert_clean();
    let by_plan = machine.glassbox(["run", "--bundle", bundle.path(), "shared"]);
    assert_eq!((by_plan.status, by_plan.stdout.as_str()), (0, format!("/mark\n/mark\n{ours}\n4\n").as_str()));
    assert_eq!((by_hand.status, &by_hand.stdout), (0, &by_plan.stdout), "{}", by_hand.stderr);
    machine.assert_clean();
    // The runtime dies when the mounts are made, at its third renameat(2): the record that has the process.
    let mut killed = Command::new("strace");
    killed.args(["-o", "/dev/null", "-e", "trace=renameat", "-e", "inject=renameat:signal=KILL:when=3"]);
    killed.arg(machine.binary()).args(["create", "--bundle", bundle.path(), "shared"]).stdin(Stdio::null());
    let ended = killed.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("strace");
    assert!(!ended.success(), "it was killed on its way");
    assert_ne!(sh(&format!("findmnt {}", bundle.rootfs().display())).stdout, "", "nobody has taken the mounts down");
    machine.quiet(&["delete", "--force", "shared"]);
}
