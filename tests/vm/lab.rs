//! `glassbox lab` on a real cgroup v2 kernel: every lab is red, green and clean; what a lab leaves behind is caught; and
//! whoever stops a lab, however rudely, leaves nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::support::{Machine, machine, run, sh, wait_until};

/// 128 MiB of swap, for labs that need some.
struct Swap;

impl Swap {
    fn on() -> Swap {
        let made = sh("fallocate -l 128M /swap && chmod 600 /swap && mkswap -q /swap && swapon /swap");
        assert_eq!(made.status, 0, "{made:?}");
        Swap
    }
}

impl Drop for Swap {
    fn drop(&mut self) {
        sh("swapoff /swap; rm /swap");
    }
}

/// The ids of the binary's labs.
fn labs(machine: &Machine) -> Vec<String> {
    let listed = machine.glassbox(["lab", "list", "--format", "json"]);
    let listed: Vec<serde_json::Value> = serde_json::from_str(&listed.stdout).unwrap();
    listed.iter().map(|lab| lab["id"].as_str().unwrap().to_string()).collect()
}

/// A lab is red before each step, green after it, and leaves nothing.
fn test_lab(machine: &Machine, id: &str) {
    let _swap = Swap::on();
    let tested = machine.glassbox(["lab", "test", id]);
    assert_eq!(tested.status, 0, "{}\n{}", tested.stdout, tested.stderr);
    assert!(tested.stdout.ends_with(" 0 with problems, 0 cannot run here\n"), "{}", tested.stdout);
}

/// A test for each lab, under the lab's own name.
macro_rules! each_is_red_green_and_clean {
    ($($name:ident: $id:literal,)*) => {
        mod each_is_red_green_and_clean {
            $(#[test]
            fn $name() {
                let machine = super::machine();
                super::test_lab(&machine, $id);
            })*
        }
        const TESTED: &[&str] = &[$($id),*];
    };
}

each_is_red_green_and_clean! {
    caps_seccomp: "caps-seccomp",
    cgroup_time_ns: "cgroup-time-ns",
    container_vs_vm: "container-vs-vm",
    docker_run: "docker-run",
    first_container: "first-container",
    image: "image",
    mount: "mount",
    net_empty: "net-empty",
    oci_bundle: "oci-bundle",
    overlay: "overlay",
    pid: "pid",
    user: "user",
    uts_ipc: "uts-ipc",
    cpu_max: "cpu-max",
    cpu_weight: "cpu-weight",
    cpuset: "cpuset",
    freeze_kill: "freeze-kill",
    io_max: "io-max",
    mem_high_swap: "mem-high-swap",
    mem_oom: "mem-oom",
    pids: "pids",
    psi: "psi",
    eviction: "eviction",
    init_sidecar: "init-sidecar",
    metrics: "metrics",
    pause: "pause",
    probes_restart: "probes-restart",
    qos: "qos",
    requests_limits: "requests-limits",
    resize: "resize",
    share_pid: "share-pid",
    volumes: "volumes",
}

#[test]
fn every_lab_has_a_test() {
    let machine = machine();
    let untested: Vec<_> = labs(&machine).into_iter().filter(|id| !TESTED.contains(&id.as_str())).collect();
    assert_eq!(untested, [""; 0], "each needs a line in the list above");
}

#[test]
fn a_play_ends_with_every_check_ticked_in_both_languages() {
    let machine = machine();
    let plays = [
        ("qos", "en", "All 19 checks hold.\n", "[ok] $CG/kubepods/podgold/app/memory.events (oom_kill): +"),
        ("mem-oom", "zh", "7 项检查全部成立。\n", "[ok] $CG/memory.events (oom_kill): +"),
    ];
    for (id, lang, all_hold, evidence) in plays {
        let played = machine.glassbox(["lab", "play", id, "--auto", "--lang", lang]);
        assert_eq!((played.status, played.stderr.as_str()), (0, ""), "{}", played.stdout);
        assert!(played.stdout.contains(all_hold), "{}", played.stdout);
        assert!(played.stdout.contains(evidence), "{}", played.stdout);
    }
}

const LAB: &str = r#"+++
format   = 1
id       = "tiny"
lang     = "en"
minutes  = 2
seeds    = ["000 01"]
requires = ["root", "cgroup2:pids"]

[[step]]
id    = "limit"
check = [{ cgroup = "pids.max", eq = 7 }]
solve = '''
echo 7 > $CG/pids.max'''
slip  = [{ id = "none", when = { cgroup = "pids.max", eq = 0 }, do = 'echo 0 > $CG/pids.max' }]
+++
# Tiny
T
## limit
L
### hint
H
### slip none
S
## end
E
### question
Q
"#;

/// A set with one lab, whose solution also does something else.
fn set(machine: &Machine, also: &str) -> PathBuf {
    let dir = machine.directory().join("labs");
    let lab = dir.join("track/tiny");
    fs::create_dir_all(&lab).unwrap();
    let lab_text = LAB.replace("\"cgroup2:pids\"]", "\"cgroup2:pids\", \"cmd:nft\"]");
    let english = lab_text.replacen("echo 7 > $CG/pids.max", &format!("echo 7 > $CG/pids.max\n{also}"), 1);
    fs::write(lab.join("lab.md"), &english).unwrap();
    fs::write(lab.join("lab.zh.md"), LAB.split("+++\n").nth(2).unwrap()).unwrap();
    dir
}

/// One check of each kind of question about a network, and about a container.
const WIRED: &str = r#"+++
format   = 1
id       = "tiny"
lang     = "en"
minutes  = 2
seeds    = ["000 01"]
requires = ["root", "cmd:ip", "cmd:nft", "cmd:ping", "cmd:busybox", "cmd:unshare"]
vars     = { peer = ["10.9.0.2"] }

[[step]]
id    = "network"
check = [
  { net = "link gb-tiny", eq = "up" },
  { net = "link gb-tiny", field = "kind", eq = "veth" },
  { net = "address gb-tiny", eq = "10.9.0.1/24" },
  { net = "address eth0", of = "file:peer", eq = "$peer/24" },
  { net = "route default", of = "file:peer", eq = "via 10.9.0.1 dev eth0" },
  { net = "nft chain ip tiny in", of = "file:peer", matches = 'tcp dport 80 drop' },
  { net = "ping $peer", exists = true },
  { ns = "net", of = "any", differs = "runner" },
]
solve = '''
unshare --net sh -c 'echo $$ > peer; exec sleep 1000' &
until [ -s peer ] && ip link add gb-tiny type veth peer name eth0 netns $(cat peer); do sleep 0.1; done
ip address add 10.9.0.1/24 dev gb-tiny && ip link set gb-tiny up
alias inside="nsenter -t $(cat peer) -n"
inside ip address add $peer/24 dev eth0 && inside ip link set eth0 up
inside ip route add default via 10.9.0.1
inside nft 'add table ip tiny; add chain ip tiny in { type filter hook input priority 0; }'
inside nft 'add rule ip tiny in tcp dport 80 drop' '''
slip  = [{ id = "none", when = { net = "link gb-tiny", eq = "down", once = true }, do = 'ip link add gb-tiny type veth peer name gb-other; sleep 0.5; ip link del gb-tiny' }]

[[step]]
id    = "container"
check = [
  { container = "tiny", eq = "running" },
  { container = "tiny", field = "spec.process.args.0", eq = "sleep" },
  { container = "tiny", field = "spec.root.path", eq = "rootfs" },
  { ns = "net", of = "container:tiny", differs = "file:peer" },
  { net = "link lo", of = "container:tiny", field = "kind", eq = "loopback" },
]
solve = '''
rootfs rootfs
glassbox spec
sed -i 's/"terminal": true/"terminal": false/; s/"sh"/"sleep", "1000"/' config.json
glassbox run --detach tiny'''
+++
# Tiny
T
## network
L
### hint
H
### slip none
S
## container
L
### hint
H
## end
E
### question
Q
"#;

#[test]
fn networks_and_containers_are_judged_and_taken_away() {
    let machine = machine();
    let set = set(&machine, "true");
    fs::write(set.join("track/tiny/lab.md"), WIRED).unwrap();
    fs::write(set.join("track/tiny/lab.zh.md"), WIRED.split("+++\n").nth(2).unwrap()).unwrap();
    let set = set.to_str().unwrap();
    let tested = machine.glassbox(["lab", "test", "--trust", "--labs", set]);
    assert_eq!(tested.status, 0, "{tested:?}");
    let played = machine.glassbox(["lab", "play", "tiny", "--trust", "--labs", set]);
    assert_eq!((played.status, played.stderr.as_str()), (0, ""), "{}", played.stdout);
    assert!(played.stdout.contains("All 13 checks hold.\n"), "{}", played.stdout);
    assert!(played.stdout.contains("-n nft list chain ip tiny in: "), "{}", played.stdout);
    let listed = machine.glassbox(["list", "--quiet"]);
    assert_eq!(listed.stdout, "");
}

#[test]
fn what_a_lab_leaves_behind_is_named() {
    let machine = machine();
    let cases = [
        (
            "mkdir /run/gb-left; mount -t tmpfs left /run/gb-left",
            "mount /run/gb-left (tmpfs left)",
            "umount /run/gb-left; rmdir /run/gb-left",
        ),
        ("mkdir /sys/fs/cgroup/gb-left", "cgroup gb-left", "rmdir /sys/fs/cgroup/gb-left"),
        ("nft add table ip gb-left", "nft table ip gb-left", "nft delete table ip gb-left"),
        ("ip link add gb-left type bridge", "link gb-left", "ip link del gb-left"),
        ("ip netns add gb-left", "namespace net:[", "ip netns del gb-left; umount /run/netns; rmdir /run/netns"),
    ];
    for (also, named, undo) in cases {
        let set = set(&machine, also);
        let tested = machine.glassbox(["lab", "test", "--trust", "--labs", set.to_str().unwrap()]);
        let undone = sh(undo);
        assert_eq!((tested.status, undone.status), (1, 0), "{also}: {tested:?} {undone:?}");
        let expected = format!("lab.md:1: left behind: {named}");
        assert!(tested.stdout.contains(&expected), "{also}\nexpected: {expected}\nfound: {}", tested.stdout);
    }
}

#[test]
fn processes_and_mounts_of_the_scratch_world_are_the_runners_to_take_away() {
    let machine = machine();
    let also = "sh -c 'echo 0 > $CG/cgroup.procs; exec sleep 1000' &\nsetsid sleep 1000 &\nenv -i sleep 1000 &\n\
                mkdir m; mount -t tmpfs inner m; mkdir $CG/a $CG/a/b\n\
                grep -q 'SigBlk:.0000000000000000' /proc/self/status";
    let set = set(&machine, also);
    let tested = machine.glassbox(["lab", "test", "--trust", "--labs", set.to_str().unwrap()]);
    assert_eq!(tested.status, 0, "{tested:?}");
}

#[test]
fn a_signal_at_any_time_leaves_nothing() {
    let machine = machine();
    let set = set(&machine, "sleep 1000");
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let mut play = start_play(&machine, &set);
        kill(Pid::from_raw(i32::try_from(play.id()).unwrap()), signal).unwrap();
        assert_eq!(play.wait().unwrap().code(), Some(128 + signal as i32));
        machine.assert_clean();
    }
}

#[test]
fn the_next_start_clears_away_what_a_killed_run_left() {
    let machine = machine();
    let before = fs::read_to_string("/sys/fs/cgroup/cgroup.subtree_control").unwrap();
    assert_eq!(sh("echo -pids > /sys/fs/cgroup/cgroup.subtree_control").status, 0);
    let pod = "{apiVersion: v1, kind: Pod, metadata: {name: tiny}, spec: {containers: \
               [{name: app, image: busybox, command: [tail, -f, /dev/null]}]}}";
    let also = format!(
        "rootfs img; echo '{pod}' > pod.yaml\nglassbox pod run --no-network --image busybox=img pod.yaml\nsleep 1000"
    );
    let set_dir = set(&machine, &also);
    let mut play = start_play(&machine, &set_dir);
    play.kill().unwrap();
    play.wait().unwrap();
    let left = sh("ls -d /sys/fs/cgroup/glassbox-lab-*; cat /sys/fs/cgroup/cgroup.subtree_control");
    assert!(left.stdout.contains("/glassbox-lab-") && left.stdout.contains("pids"), "{left:?}");
    assert!(machine.glassbox(["pod", "ps"]).stdout.contains("tiny"), "the pod goes on without the runner");
    let set_dir = set(&machine, "true");
    let next = machine.glassbox(["lab", "play", "tiny", "--trust", "--labs", set_dir.to_str().unwrap()]);
    assert_eq!(next.status, 0, "{next:?}");
    assert_eq!(next.stderr, "Cleared away what a killed run of lab tiny had left.\n");
    assert!(!machine.glassbox(["pod", "ps"]).stdout.contains("tiny"), "the pod went with its lab");
    let after = fs::read_to_string("/sys/fs/cgroup/cgroup.subtree_control").unwrap();
    assert!(!after.contains("pids"), "what was enabled is disabled again: {after}");
    assert_eq!(sh("echo +pids > /sys/fs/cgroup/cgroup.subtree_control").status, 0);
    assert_eq!(fs::read_to_string("/sys/fs/cgroup/cgroup.subtree_control").unwrap().len(), before.len());
}

#[test]
fn a_delegated_cgroup_is_enough_without_root() {
    let machine = machine();
    let script = machine.directory().join("as-learner");
    fs::write(
        &script,
        "echo $$ > /sys/fs/cgroup/gb-delegated/cgroup.procs\n\
         exec setpriv --reuid learner --regid learner --init-groups env HOME=/tmp \"$@\"\n",
    )
    .unwrap();
    let made = sh("cd /sys/fs/cgroup && mkdir gb-delegated && cd gb-delegated \
        && chown learner . cgroup.procs cgroup.subtree_control");
    assert_eq!(made.status, 0, "{made:?}");
    let run = |command: &[&str]| run(Command::new("sh").arg(&script).args(command));
    let glassbox = machine.binary();
    let played = run(&[glassbox.to_str().unwrap(), "lab", "play", "qos"]);
    // A shell in the same cgroup is in the way of enabling controllers for its children.
    let crowded = run(&["sh", "-c", "$0 lab play qos; exit $?", glassbox.to_str().unwrap()]);
    let left =
        sh("cd /sys/fs/cgroup/gb-delegated; find . -type d; cat cgroup.procs cgroup.subtree_control; rmdir $PWD");
    assert_eq!((left.status, left.stdout.as_str()), (0, ".\n"), "{left:?}");
    sh("rmdir /tmp/glassbox-lab-1000");
    assert_eq!((played.status, played.stderr.as_str()), (0, ""), "{}", played.stdout);
    assert!(played.stdout.contains("All 19 checks hold."), "{}", played.stdout);
    assert_eq!(crowded.status, 3);
    let expected =
        "because other processes (1) stand in /sys/fs/cgroup/gb-delegated itself; start it in a scope of its own";
    assert!(crowded.stderr.contains(expected), "{}", crowded.stderr);
}

/// Plays the lab whose solution sleeps, until it sleeps.
fn start_play(machine: &Machine, set: &Path) -> Child {
    let mut play = Command::new(machine.binary());
    play.args(["lab", "play", "tiny", "--trust", "--labs"]).arg(set).stdin(Stdio::null()).stdout(Stdio::piped());
    let play = play.spawn().unwrap();
    wait_until("the solution sleeps", || sh("pgrep -x sleep || ps | grep '[s]leep 1000'").status == 0);
    play
}
