//! The machine that all other tests stand on is what they take it for.

use std::fs;
use std::path::Path;

use super::support::{machine, sh};

#[test]
fn the_kernel_is_the_one_asked_for() {
    let _machine = machine();
    let asked = std::env::var("GLASSBOX_VM_KERNEL").expect("rootfs-scripts/vm tells the kernel's series");
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    assert!(release.starts_with(&format!("{asked}.")), "asked for {asked}, runs {release}");
}

#[test]
fn cgroup_v2_is_alone_and_has_its_controllers() {
    let _machine = machine();
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let cgroups: Vec<_> = mounts.lines().filter(|line| line.contains(" cgroup")).collect();
    assert_eq!(cgroups.len(), 1, "{cgroups:?}");
    assert!(cgroups[0].starts_with("cgroup2 /sys/fs/cgroup cgroup2 "), "{cgroups:?}");
    let enabled = fs::read_to_string("/sys/fs/cgroup/cgroup.subtree_control").unwrap();
    for controller in ["cpu", "cpuset", "io", "memory", "pids"] {
        assert!(enabled.split_whitespace().any(|name| name == controller), "{controller} is not in {enabled}");
    }
}

#[test]
fn modules_load_for_whoever_needs_them() {
    let machine = machine();
    let overlay = machine.directory().join("overlay");
    let script = format!(
        "set -e
        mkdir -p {overlay}/lower {overlay}/upper {overlay}/work {overlay}/merged
        mount -t overlay overlay -o lowerdir={overlay}/lower,upperdir={overlay}/upper,workdir={overlay}/work {overlay}/merged
        umount {overlay}/merged
        ip link add gb-bridge type bridge && ip link del gb-bridge
        ip link add gb-left type veth peer name gb-right && ip link del gb-left
        ip link add gb-vxlan type vxlan id 7 dstport 4789 dev lo && ip link del gb-vxlan
        ip tuntap add gb-tun mode tun && ip link del gb-tun
        nft add table inet gb && nft list tables && nft delete table inet gb
        modprobe -a ip_vs nf_conntrack br_netfilter sch_tbf",
        overlay = overlay.display()
    );
    let loaded = sh(&script);
    assert_eq!((loaded.status, loaded.stdout.as_str(), loaded.stderr.as_str()), (0, "table inet gb\n", ""));
    for device in ["/dev/net/tun", "/dev/fuse", "/dev/loop-control"] {
        assert!(Path::new(device).exists(), "{device}");
    }
}

#[test]
fn a_fork_past_pids_max_fails_and_is_counted() {
    let _machine = machine();
    let group = "/sys/fs/cgroup/gb-pids";
    let forked = sh(&format!(
        "mkdir {group} && echo 2 >{group}/pids.max
        sh -c 'echo 0 >{group}/cgroup.procs; (sleep 0 & sleep 0 & wait) && echo forked'
        cat {group}/pids.events; rmdir {group}"
    ));
    assert!(forked.stderr.contains("fork"), "{forked:?}");
    assert!(!forked.stdout.contains("forked"), "{forked:?}");
    assert!(forked.stdout.starts_with("max ") && forked.stdout != "max 0\n", "{forked:?}");
}

#[test]
fn memory_max_kills_and_is_counted() {
    let _machine = machine();
    let group = "/sys/fs/cgroup/gb-memory";
    let killed = sh(&format!(
        "mkdir {group} && echo 16M >{group}/memory.max && echo 0 >{group}/memory.swap.max
        sh -c 'echo 0 >{group}/cgroup.procs; exec dd if=/dev/zero of=/dev/null bs=64M count=1'; echo $?
        grep '^oom_kill ' {group}/memory.events; rmdir {group}"
    ));
    assert_eq!(killed.stdout, "137\noom_kill 1\n", "{killed:?}");
}

#[test]
fn residue_is_noticed() {
    let machine = machine();
    let made = sh("mkdir /sys/fs/cgroup/gb-left /run/glassbox-left && mount -t tmpfs left /run/glassbox-left
        ip link add gb-left type bridge; setsid sleep 1000 >/dev/null 2>&1 & echo $!");
    let left = super::support::Residue::now();
    let noticed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| machine.assert_clean()));
    let removed = sh(&format!(
        "kill {}; ip link del gb-left; umount /run/glassbox-left; rmdir /run/glassbox-left /sys/fs/cgroup/gb-left",
        made.stdout.trim()
    ));
    assert_eq!(removed.stderr, "");
    let words = *noticed.expect_err("residue was not noticed").downcast::<String>().expect("a formatted panic");
    for line in [
        "+ cgroup /sys/fs/cgroup/gb-left",
        "+ mount /run/glassbox-left (tmpfs left",
        "+ network link /sys/class/net/gb-left",
        "(sleep)",
    ] {
        assert!(words.contains(line), "no {line} in: {words}");
    }
    assert!(!left.left_behind().is_empty());
}

#[test]
fn an_ordinary_user_and_busybox_are_there() {
    let _machine = machine();
    assert_eq!(
        sh("su learner -c 'id -un; cat /proc/self/status | grep ^CapEff'").stdout,
        "learner\nCapEff:\t0000000000000000\n"
    );
    assert_eq!(sh("chroot $GLASSBOX_BUSYBOX_ROOTFS /bin/sh -c 'echo $0 works'").stdout, "/bin/sh works\n");
}
