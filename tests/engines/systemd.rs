//! systemd as the maker of cgroups: `glassbox --systemd-cgroup` by itself, held against what systemd says of the unit and
//! the kernel of its files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Instant;

use serde_json::{Value, json};

use crate::engine::{Engine, RUNTIME};
use crate::levels;
use crate::support::{Bundle, Machine, machine, sh, wait_until};

const GLASSBOX: Engine = Engine(&[RUNTIME, "--systemd-cgroup"]);
const LIMITS: [&str; 12] = [
    "cgroup.controllers",
    "cpu.max",
    "cpu.weight",
    "cpuset.cpus",
    "cpuset.mems",
    "hugetlb.2MB.max",
    "io.weight",
    "memory.high",
    "memory.low",
    "memory.max",
    "memory.swap.max",
    "pids.max",
];

/// Has the bus running: it starts at its first use, and stays.
fn systemd() {
    static READY: OnceLock<()> = OnceLock::new();
    READY.get_or_init(|| {
        // A slice that systemd has made for a scope stays when the scope goes: that is no residue of ours.
        let ran = sh("systemctl start dbus.service gb-lab.slice && busctl --quiet status org.freedesktop.systemd1");
        assert_eq!(ran.status, 0, "systemd is process 1 here and on the bus: {ran:?}");
    });
}

fn limited(config: &mut Value) {
    config["linux"]["resources"] = json!({
        "devices": [{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 10, "minor": 200, "access": "rw"}],
        "memory": {"limit": 67_108_864, "reservation": 16_777_216, "swap": 67_108_864},
        "cpu": {"shares": 512, "quota": 34_000, "period": 100_000, "cpus": "0", "mems": "0"},
        "pids": {"limit": 50},
        "blockIO": {"weight": 100},
        "hugepageLimits": [{"pageSize": "2MB", "limit": 4_194_304}],
        "unified": {"memory.high": "50331648"},
    });
}

fn bundle(machine: &Machine, name: &str, path: &str, args: &[&str]) -> Bundle {
    let bundle = machine.bundle(name);
    bundle.args(args);
    bundle.edit(|config| config["linux"]["cgroupsPath"] = path.into());
    bundle
}

/// The properties of a unit, as systemd tells them.
fn shown(unit: &str, names: &[&str]) -> BTreeMap<String, String> {
    let ran = sh(&format!("systemctl show {unit} -p {}", names.join(",")));
    let pair = |line: &str| line.split_once('=').map(|(name, value)| (name.to_string(), value.to_string()));
    ran.stdout.lines().filter_map(pair).collect()
}

fn files(cgroup: &Path) -> Vec<String> {
    let read = |name: &&str| fs::read_to_string(cgroup.join(name)).unwrap_or_else(|error| format!("{error}\n"));
    LIMITS.iter().map(|name| format!("{name}: {}", read(name))).collect()
}

/// Units of containers that systemd still knows of, in whatever state.
fn units() -> String {
    sh("systemctl list-units --all --plain --no-legend 'glassbox-*.scope' 'gb*.service'").stdout
}

fn state(id: &str) -> Value {
    serde_json::from_str(&GLASSBOX.ok(&["state", id])).expect("JSON")
}

#[test]
fn a_container_lives_in_a_scope_that_says_what_its_files_say() {
    systemd();
    let machine = machine();
    let scoped = bundle(&machine, "scoped", "gb-lab.slice:glassbox:scoped", &["sleep", "1000"]);
    scoped.edit(limited);
    scoped.edit(|config| config["annotations"] = json!({"org.systemd.property.TimeoutStopSec": "uint64 7"}));
    let plain = bundle(&machine, "plain", "/gb-plain", &["sleep", "1000"]);
    plain.edit(limited);
    machine.quiet(&["run", "-d", "-b", plain.path(), "plain"]);
    machine.quiet(&["--systemd-cgroup", "create", "-b", scoped.path(), "scoped"]);
    assert_eq!(state("scoped")["status"], "created");
    GLASSBOX.ok(&["start", "scoped"]);
    assert_eq!(state("scoped")["status"], "running");

    let cgroup = PathBuf::from("/sys/fs/cgroup/gb.slice/gb-lab.slice/glassbox-scoped.scope");
    let pid = state("scoped")["pid"].to_string();
    assert_eq!(fs::read_to_string(cgroup.join("cgroup.procs")).expect("it is there").trim(), pid);
    assert_eq!(
        GLASSBOX.ok(&["exec", "scoped", "cat", "/proc/self/cgroup"]),
        "0::/",
        "its cgroup namespace begins there"
    );
    let same = files(Path::new("/sys/fs/cgroup/gb-plain"));
    assert_eq!(files(&cgroup), same);
    let expected = json!({
        "Slice": "gb-lab.slice", "Delegate": "yes", "ActiveState": "active", "TimeoutStopUSec": "7s",
        "CPUWeight": "59", "CPUQuotaPerSecUSec": "340ms", "CPUQuotaPeriodUSec": "100ms",
        "AllowedCPUs": "0", "AllowedMemoryNodes": "0", "MemoryMax": "67108864", "MemoryLow": "16777216",
        "MemoryHigh": "50331648", "MemorySwapMax": "0", "TasksMax": "50", "IOWeight": "910", "DevicePolicy": "strict",
    });
    let expected: BTreeMap<String, String> = serde_json::from_value(expected).expect("texts");
    let names: Vec<_> = expected.keys().map(String::as_str).collect();
    assert_eq!(shown("glassbox-scoped.scope", &names), expected);
    // systemd writes its units' files anew.
    assert_eq!(sh("systemctl daemon-reload").status, 0);
    assert_eq!(files(&cgroup), same);

    let limits = ["--memory", "96M", "--memory-swap", "-1", "--cpu-quota", "25001", "--pids-limit", "60"];
    GLASSBOX.ok(&[&["update"], &limits[..], &["scoped"]].concat());
    let read = |name: &str| fs::read_to_string(cgroup.join(name)).expect(name).trim().to_string();
    let changed = ["memory.max", "memory.swap.max", "cpu.max", "pids.max", "cpu.weight"].map(read);
    assert_eq!(changed, ["100663296", "max", "26000 100000", "60", "59"]);
    let names = ["CPUQuotaPerSecUSec", "MemoryMax", "MemorySwapMax", "TasksMax"];
    assert_eq!(
        shown("glassbox-scoped.scope", &names).into_values().collect::<Vec<_>>(),
        ["260ms", "100663296", "infinity", "60"]
    );

    GLASSBOX.ok(&["pause", "scoped"]);
    assert_eq!(state("scoped")["status"], "paused");
    GLASSBOX.ok(&["resume", "scoped"]);
    GLASSBOX.ok(&["kill", "scoped", "KILL"]);
    wait_until("it has ended", || state("scoped")["status"] == "stopped");
    GLASSBOX.ok(&["delete", "scoped"]);
    GLASSBOX.ok(&["delete", "--force", "plain"]);
    assert!(!cgroup.exists());
    assert_eq!(units(), "");
}

#[test]
fn what_runs_out_of_memory_leaves_no_failed_unit() {
    systemd();
    let machine = machine();
    let bundle = bundle(&machine, "hungry", "", &["tail", "/dev/zero"]);
    bundle.edit(|config| config["linux"]["resources"]["memory"] = json!({"limit": 16_777_216, "swap": 16_777_216}));
    assert_eq!(GLASSBOX.run(&["run", "-b", bundle.path(), "hungry"]).status, 137);
    assert_eq!(units(), "");
}

#[test]
fn a_unit_of_somebody_elses_is_left_alone() {
    systemd();
    let machine = machine();
    let first = bundle(&machine, "first", "gb.slice:glassbox:one", &["sleep", "1000"]);
    machine.quiet(&["--systemd-cgroup", "run", "-d", "-b", first.path(), "first"]);
    let second = GLASSBOX.run(&["create", "-b", first.path(), "second"]);
    assert!(second.status == 1 && second.stderr.contains("glassbox-one.scope has processes"), "{second:?}");
    assert_eq!(state("first")["status"], "running");
    GLASSBOX.ok(&["delete", "--force", "first"]);
    let odd = bundle(&machine, "odd", "/not/a/scope", &["true"]);
    let refused = GLASSBOX.run(&["create", "-b", odd.path(), "odd"]);
    assert!(refused.status == 1 && refused.stderr.contains("SLICE:PREFIX:NAME"), "{refused:?}");
    // A limit that systemd takes and the kernel does not: what came of the start is undone.
    let wrong = bundle(&machine, "wrong", "gb.slice:glassbox:wrong", &["true"]);
    wrong.edit(|config| config["linux"]["resources"]["unified"] = json!({"cpu.max.burst": "x"}));
    let refused = GLASSBOX.run(&["create", "-b", wrong.path(), "wrong"]);
    assert!(refused.status == 1 && refused.stderr.contains("cpu.max.burst\", \"x\") = EINVAL"), "{refused:?}");
    assert_eq!(units(), "");
}

#[test]
fn the_script_of_explain_asks_systemd_for_the_same() {
    systemd();
    let machine = machine();
    let line = "cat /proc/self/cgroup /sys/fs/cgroup/pids.max /sys/fs/cgroup/cpu.max /sys/fs/cgroup/hugetlb.2MB.max";
    let bundle = bundle(&machine, "told", "gb.slice:glassbox:told", &["sh", "-c", line]);
    bundle.edit(limited);
    let script = machine.directory().join("start.sh");
    fs::write(&script, GLASSBOX.ok(&["explain", "--format", "sh", bundle.path()])).expect("writable");
    let by_hand = sh(&format!("sh {}", script.display()));
    let ran = GLASSBOX.run(&["run", "-b", bundle.path(), "told"]);
    assert_eq!((ran.status, ran.stdout.as_str()), (0, "0::/\n50\n34000 100000\n4194304\n"), "{ran:?}");
    assert_eq!((by_hand.status, by_hand.stdout), (0, ran.stdout), "{}", by_hand.stderr);
    wait_until("the unit is gone", || units().is_empty());
}

#[test]
fn a_runtime_killed_at_any_instant_leaves_nothing_that_delete_does_not_find() {
    systemd();
    let machine = machine();
    let bundle = bundle(&machine, "killed", "gb.slice:glassbox:killed", &["sleep", "1000"]);
    let begun = Instant::now();
    machine.quiet(&["--systemd-cgroup", "create", "-b", bundle.path(), "killed"]);
    let whole = begun.elapsed();
    GLASSBOX.ok(&["delete", "--force", "killed"]);
    let mut cut_short = 0;
    for turn in 1..=8 {
        let mut command = Command::new(RUNTIME);
        command.args(["--systemd-cgroup", "create", "-b", bundle.path(), "killed"]);
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it runs");
        std::thread::sleep(whole * turn / 9);
        child.kill().expect("a child");
        cut_short += i32::from(!child.wait().expect("a child").success());
        GLASSBOX.ok(&["delete", "--force", "killed"]);
        wait_until("no unit is left", || units().is_empty());
        assert!(!Path::new("/sys/fs/cgroup/gb.slice/glassbox-killed.scope").exists());
    }
    assert!(cut_short > 3, "only {cut_short} starts of eight were cut short");
}

/// Root of a user namespace manages the cgroups below its own, and not the limits that it is given.
#[test]
fn a_writable_cgroup_belongs_to_the_containers_own_root() {
    systemd();
    let machine = machine();
    let line = "mkdir /sys/fs/cgroup/a && echo 0 >/sys/fs/cgroup/a/cgroup.procs && cat /proc/self/cgroup
        echo max >/sys/fs/cgroup/pids.max";
    for (id, path) in [("mine", "gb.slice:glassbox:mine"), ("by-hand", "/gb-by-hand")] {
        let bundle = bundle(&machine, id, path, &["sh", "-c", line]);
        bundle.edit(|config| {
            config["linux"]["namespaces"].as_array_mut().expect("a list").push(json!({"type": "user"}));
            let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
            config["linux"]["uidMappings"] = map.clone();
            config["linux"]["gidMappings"] = map;
            config["linux"]["resources"]["pids"] = json!({"limit": 20});
            config["mounts"][6]["options"] = json!(["nosuid", "noexec", "nodev"]);
        });
        let driver: &[&str] = if path.starts_with('/') { &[] } else { &["--systemd-cgroup"] };
        let ran = Engine(&[RUNTIME]).run(&[driver, &["run", "-b", bundle.path(), id]].concat());
        assert_eq!(ran.stdout, "0::/a\n", "{id}: {ran:?}");
        assert!(ran.stderr.contains("pids.max: Permission denied"), "{id}: {ran:?}");
    }
    wait_until("no unit is left", || units().is_empty());
}

/// A service of type notify is active once its container says so, and follows the container's own process.
#[test]
fn what_a_container_says_of_being_ready_reaches_systemd() {
    systemd();
    let machine = machine();
    let line = "until test -e /tmp/go; do sleep 0.1; done; systemd-notify --ready --no-block; exec sleep 1000";
    let bundle = bundle(&machine, "ready", "gb.slice:glassbox:ready", &["sh", "-c", line]);
    bundle.edit(|config| {
        config["root"]["readonly"] = false.into();
        let mounts = config["mounts"].as_array_mut().expect("a list");
        for directory in ["/usr/lib", "/usr/lib64", "/lib64", "/lib", "/usr/bin"] {
            mounts.push(
                json!({"destination": directory, "type": "bind", "source": directory, "options": ["rbind", "ro"]}),
            );
        }
    });
    let said = machine.directory().join("said");
    let words = format!(
        "--unit gb-ready --collect --no-block --service-type notify -p DefaultDependencies=no -p StandardError=file:{}",
        said.display()
    );
    let ran = sh(&format!("systemd-run {words} {RUNTIME} --systemd-cgroup run -d -b {} ready", bundle.path()));
    assert_eq!(ran.status, 0, "{ran:?}");
    let active = || sh("systemctl show --value -p ActiveState gb-ready").stdout.trim().to_string();
    wait_until("its container runs", || {
        let state = GLASSBOX.run(&["state", "ready"]).stdout;
        let said = fs::read_to_string(&said).unwrap_or_default();
        assert!(said.is_empty(), "{said}");
        state.contains("\"running\"")
    });
    assert_eq!(active(), "activating", "the program has not said that it is ready");
    fs::write(bundle.rootfs().join("tmp/go"), "").expect("writable");
    wait_until("the service is active", || active() == "active");
    let main = sh("systemctl show --value -p MainPID gb-ready").stdout;
    assert_eq!(main.trim(), state("ready")["pid"].to_string());
    GLASSBOX.ok(&["kill", "ready", "KILL"]);
    wait_until("the service has ended with its container", || active() != "active");
    GLASSBOX.ok(&["delete", "ready"]);
    wait_until("no unit is left", || units().is_empty());
}

/// Pods under this driver: what `qos` says of one is what the kernel holds and systemd knows, level by level and file by file.
struct Pods<'a> {
    machine: &'a Machine,
    glassbox: Engine,
}

impl Pods<'_> {
    /// Runs some of the pods of [`levels`], and waits until they are ready.
    fn run(&self, names: &[&str], more: &[&str]) {
        let file = self.machine.directory().join("pods.yaml").display().to_string();
        let pods: Vec<String> = names.iter().map(|name| levels::pod(name)).collect();
        fs::write(&file, pods.join("---\n")).expect("writable");
        let image = format!("busybox={}", std::env::var("GLASSBOX_BUSYBOX_ROOTFS").expect("set in the machine"));
        self.glassbox.ok(&[
            &["pod", "run", "--no-network", "--image", &image, "--cgroup-driver", "systemd"],
            more,
            &[&file],
        ]
        .concat());
        names.iter().for_each(|name| wait_until("it is ready", || self.is_ready(name)));
    }

    fn is_ready(&self, name: &str) -> bool {
        let pod = self.glassbox.ok(&["pod", "describe", "--format", "json", name]);
        let pod: Value = serde_json::from_str(&pod).expect("JSON");
        let conditions = pod["status"]["conditions"].as_array().expect("a list");
        conditions.iter().any(|one| one["type"] == "Ready" && one["status"] == "True")
    }

    /// Holds the levels of a pod that `chosen` names against what is there.
    fn agree(&self, name: &str, more: &[&str], chosen: impl Fn(&str) -> bool) {
        let file = self.machine.directory().join("pods.yaml").display().to_string();
        fs::write(&file, levels::pod(name)).expect("writable");
        let said =
            self.glassbox.ok(&[&["qos", "--format", "json", "--cgroup-driver", "systemd"], more, &[&file]].concat());
        let said: Value = serde_json::from_str(&said).expect("JSON");
        let mut looked = 0;
        for (level, directory) in levels::directories(&said, name) {
            if !chosen(level["level"].as_str().expect("a text")) {
                continue;
            }
            let unit = directory.file_name().expect("a name").to_string_lossy().into_owned();
            assert_eq!(shown(&unit, &["ActiveState"])["ActiveState"], "active", "{unit}");
            looked += levels::agree(level, &directory);
        }
        assert!(looked > 10, "{name}: {looked} values");
    }

    fn delete(&self, names: &[&str]) {
        self.glassbox.ok(&[&["pod", "delete"], names].concat());
    }
}

#[test]
fn the_slices_and_scopes_of_pods_hold_what_qos_says_of_them() {
    systemd();
    let machine = machine();
    let pods = Pods { machine: &machine, glassbox: Engine(&[RUNTIME]) };
    let everything = |_: &str| true;
    let own = |level: &str| !matches!(level, "kubepods" | "qos");
    pods.run(&["gold", "silver", "bronze"], &[]);
    for name in ["gold", "silver", "bronze"] {
        pods.agree(name, &[], everything);
    }
    let quota = |unit: &str| shown(unit, &["CPUQuotaPerSecUSec"])["CPUQuotaPerSecUSec"].clone();
    assert_eq!(quota("kubepods-poduid_gold.slice"), "340ms");

    // A resize reaches the files, and systemd, which would write the old values again.
    let resized = ["pod", "resize", "silver", "-c", "app", "--limits", "cpu=625m,memory=160Mi"];
    pods.glassbox.ok(&resized);
    let slice =
        Path::new("/sys/fs/cgroup/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-poduid_silver.slice");
    let read = |file: &str| fs::read_to_string(slice.join(file)).expect("it is there").trim_end().to_string();
    let scope = "cri-containerd-default_silver_app_0.scope";
    let held = ["cpu.max", "memory.max", &format!("{scope}/cpu.max"), &format!("{scope}/memory.max")].map(read);
    assert_eq!(held, ["73000 100000", "201326592", "63000 100000", "167772160"]);
    sh("systemctl daemon-reload");
    assert_eq!(held, ["cpu.max", "memory.max", &format!("{scope}/cpu.max"), &format!("{scope}/memory.max")].map(read));
    assert_eq!((quota(scope), quota("kubepods-burstable-poduid_silver.slice")), ("630ms".into(), "730ms".into()));
    let stats = pods.glassbox.ok(&["pod", "stats", "--interval", "10", "--format", "json", "silver"]);
    let stats: Value = serde_json::from_str(&stats).expect("JSON");
    let used = &stats["pods"][0]["containers"][0]["memory"]["workingSetBytes"];
    assert!(used.as_u64().is_some_and(|bytes| bytes > 4096), "{stats:#}");
    pods.delete(&["gold", "silver", "bronze"]);

    // Two pods in one slice weigh as much as both ask for.
    pods.run(&["level", "init"], &[]);
    pods.agree("level", &[], own);
    pods.agree("init", &[], own);
    let burstable = Path::new("/sys/fs/cgroup/kubepods.slice/kubepods-burstable.slice/cpu.weight");
    // 100m and 300m: 409 shares.
    assert_eq!(fs::read_to_string(burstable).expect("it is there"), "16\n");
    assert_eq!(shown("kubepods-burstable.slice", &["CPUWeight"])["CPUWeight"], "16");
    pods.delete(&["level"]);
    pods.agree("init", &[], everything);
    pods.delete(&["init"]);

    let config = machine.directory().join("kubelet.yaml").display().to_string();
    fs::write(&config, levels::SWAP).expect("writable");
    let swap = ["--kubelet-config", config.as_str()];
    pods.run(&["swap"], &swap);
    pods.agree("swap", &swap, everything);
    pods.delete(&["swap"]);

    // The memory of all pods together runs short before the node's does.
    let meminfo = fs::read_to_string("/proc/meminfo").expect("it is there");
    let total: u64 =
        meminfo.split_whitespace().nth(1).and_then(|word| word.parse().ok()).expect("MemTotal comes first");
    let kept = format!(
        "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nsystemReserved: {{memory: {}Ki}}\n\
         evictionHard: {{memory.available: 100Mi}}\n",
        total - (96 << 10)
    );
    fs::write(&config, kept).expect("writable");
    pods.run(&["bronze"], &swap);
    let said = machine.directory().join("evicted");
    let mut watch = pods.glassbox.command(&[&["pod", "evict", "--watch", "--interval", "100"], &swap[..]].concat());
    let mut watch = watch.stdout(fs::File::create(&said).expect("writable")).spawn().expect("it runs");
    let evicted = || fs::read_to_string(&said).expect("it is there");
    wait_until("the pod is evicted", || evicted().contains("\npod default/bronze evicted: "));
    watch.kill().and_then(|()| watch.wait()).expect("a child");
    assert!(evicted().starts_with("allocatableMemory.available: "), "{}", evicted());
    pods.delete(&["bronze"]);
    let slices = || sh("systemctl list-units --all --plain --no-legend 'kubepods*' 'cri-containerd-*'").stdout;
    wait_until("no unit is left", || slices().is_empty());
}
