//! `glassbox pod`: pods that run, seen from the node and from inside, and what is left when they are gone.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};

use super::image::busybox;
use super::image_build::{As, Blob, archive, config as image_config, layout_with};
use super::levels;
use super::support::{Machine, Output, machine, sh};

/// A test's pods. Dropped, they are gone.
struct Pods<'a> {
    machine: &'a Machine,
}

impl<'a> Pods<'a> {
    fn new(machine: &'a Machine) -> Pods<'a> {
        Pods { machine }
    }

    /// Runs the pods of a manifest whose images are busybox.
    fn run(&self, manifest: &str, more: &[&str]) -> Output {
        let file = self.machine.directory().join("pod.yaml");
        fs::write(&file, manifest).unwrap();
        let image = format!("busybox={}", std::env::var("GLASSBOX_BUSYBOX_ROOTFS").unwrap());
        let mut args = vec!["pod", "run", "--image", &image];
        args.extend(more);
        args.push(file.to_str().unwrap());
        self.machine.glassbox(args)
    }

    fn runs(&self, manifest: &str, more: &[&str]) {
        let output = self.run(manifest, more);
        assert_eq!(output.status, 0, "{}{}", output.stdout, output.stderr);
    }

    /// The pod as JSON.
    fn pod(&self, name: &str) -> Value {
        let output = self.machine.glassbox(["pod", "describe", "--format", "json", name]);
        assert_eq!(output.status, 0, "{}", output.stderr);
        serde_json::from_str(&output.stdout).unwrap()
    }

    fn logs(&self, name: &str, container: &str) -> String {
        self.machine.glassbox(["pod", "logs", "-c", container, name]).stdout
    }

    /// Waits until the pod is as asked.
    fn wait(&self, name: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + Duration::from_secs(40);
        loop {
            let pod = self.pod(name);
            if holds(&pod) {
                return pod;
            }
            let log =
                fs::read_to_string(format!("/run/glassbox-pods/default_{name}/supervisor.log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "not in time: {what}\n{:#}\n{log}", pod["status"]);
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn phase(&self, name: &str, phase: &str) -> Value {
        self.wait(name, phase, |pod| pod["status"]["phase"] == phase)
    }

    fn ready(&self, name: &str) -> Value {
        self.wait(name, "ready", |pod| condition(pod, "Ready") == "True")
    }

    fn delete(&self, args: &[&str]) {
        let output = self.machine.glassbox(["pod", "delete"].iter().chain(args));
        assert_eq!((output.status, output.stderr.as_str()), (0, ""));
    }
}

impl Drop for Pods<'_> {
    fn drop(&mut self) {
        let listed = sh("ls /run/glassbox-pods 2>/dev/null | grep _").stdout;
        for name in listed.lines().filter_map(|name| name.strip_prefix("default_")) {
            self.machine.glassbox(["pod", "delete", "--force", name]);
        }
        sh("rm -rf /run/glassbox-pods; rmdir /run/glassbox 2>/dev/null");
    }
}

fn condition<'a>(pod: &'a Value, kind: &str) -> &'a str {
    let conditions = pod["status"]["conditions"].as_array().unwrap();
    conditions.iter().find(|one| one["type"] == kind).unwrap()["status"].as_str().unwrap()
}

fn state<'a>(pod: &'a Value, container: &str) -> &'a Value {
    let lists = ["containerStatuses", "initContainerStatuses"];
    let mut all = lists.iter().filter_map(|list| pod["status"][list].as_array()).flatten();
    all.find(|one| one["name"] == container).unwrap_or_else(|| panic!("no {container} in {pod:#}"))
}

/// The process ids in a pod's cgroup, with their command lines.
fn processes(group: &str) -> String {
    sh(&format!("for p in $(cat $(find {group} -name cgroup.procs)); do tr '\\0' ' ' </proc/$p/cmdline; echo; done"))
        .stdout
}

#[test]
fn a_pod_runs_its_containers_in_order_and_shares_what_pods_share() {
    let machine = machine();
    let pods = Pods::new(&machine);
    // What is mounted below a volume that is recursively read-only is so as well.
    sh("mkdir -p /tmp/gb-deep/in && mount -t tmpfs gb /tmp/gb-deep/in");
    let ran = pods.run(
        "\
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  terminationGracePeriodSeconds: 2
  hostAliases: [{ip: 192.0.2.9, hostnames: [db]}]
  securityContext: {sysctls: [{name: net.ipv4.ip_unprivileged_port_start, value: '77'}]}
  volumes:
  - {name: data, emptyDir: {}}
  - {name: deep, hostPath: {path: /tmp/gb-deep}}
  - {name: settings, configMap: {name: settings}}
  initContainers:
  - name: setup
    image: busybox
    command: [sh, -c, 'echo made by setup >/data/made; echo done']
    volumeMounts: [{name: data, mountPath: /data}]
  containers:
  - name: app
    image: busybox
    command: [sh, -c]
    args: ['cat /data/made /settings/colour; echo $(GREETING) from $NAME; hostname; cat /etc/hosts; sleep 1000']
    env:
    - {name: GREETING, value: hello}
    - {name: NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    volumeMounts: [{name: data, mountPath: /data}, {name: settings, mountPath: /settings}]
  - name: other
    image: busybox
    tty: true
    command: [sh, -c, 'ls /data; for n in net ipc uts pid; do readlink /proc/self/ns/$n; done; cat /proc/sys/net/ipv4/ip_unprivileged_port_start; touch /deep/in/x 2>&1; sleep 1000']
    volumeMounts: [{name: data, mountPath: /data, readOnly: true}, {name: deep, mountPath: /deep, readOnly: true, recursiveReadOnly: Enabled}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {colour: \"red\\n\"}
",
        &[],
    );
    // What the pod runs without is named.
    let warned = "warning: default/web: spec.containers[1].tty is not supported: nobody can attach to the container";
    assert!(ran.status == 0 && ran.stderr.starts_with(warned), "{ran:?}");
    let pod = pods.ready("web");
    assert_eq!(pod["status"]["phase"], "Running");
    assert_eq!(pod["status"]["podIP"], "10.244.0.2");
    assert_eq!(state(&pod, "setup")["state"]["terminated"]["reason"], "Completed");
    let said = pods.logs("web", "app");
    assert!(said.starts_with("made by setup\nred\nhello from web\nweb\n# Kubernetes-managed hosts file.\n"), "{said}");
    assert!(said.contains("10.244.0.2\tweb\n") && said.contains("192.0.2.9\tdb\n"), "{said}");
    let other = pods.logs("web", "other");
    assert!(other.starts_with("made\nnet:["), "{other}");
    let spaces: Vec<&str> = other.lines().skip(1).take(4).collect();
    assert!(other.contains("\n77\ntouch: /deep/in/x: Read-only file system"), "{other}");
    let app = sh("for p in $(cat /sys/fs/cgroup/kubepods/besteffort/pod*/default_web_app_0/cgroup.procs); do cd /proc/$p/ns; readlink net ipc uts pid; break; done").stdout;
    let app: Vec<&str> = app.lines().collect();
    assert_eq!((&app[..3], app[3] == spaces[3]), (&spaces[..3], false));
    let listed = machine.glassbox(["pod", "ps"]).stdout;
    assert!(
        listed.lines().nth(1).unwrap().starts_with("default    web   2/2    Running  0         10.244.0.2  BestEffort"),
        "{listed}"
    );
    assert_eq!(sh("ping -c 1 -W 5 10.244.0.2").status, 0);
    pods.runs(
        "\
apiVersion: v1
kind: Pod
metadata: {name: peer}
spec:
  restartPolicy: Never
  containers:
  - {name: server, image: busybox, command: [sh, -c, 'echo by localhost | nc -l -p 7777']}
  - name: client
    image: busybox
    command: [sh, -c, 'for ip in 10.244.0.2 10.244.0.1; do ping -c 1 -W 5 $ip; done | grep -c received; until nc 127.0.0.1 7777 </dev/null; do sleep 0.1; done']
",
        &[],
    );
    pods.phase("peer", "Succeeded");
    let said = pods.logs("peer", "client");
    assert!(said.starts_with("2\n") && said.ends_with("by localhost\n"), "{said}");
    pods.delete(&["web", "peer"]);
    sh("umount /tmp/gb-deep/in && rm -r /tmp/gb-deep");
    assert!(!Path::new("/sys/fs/cgroup/kubepods").exists());
    assert_eq!(machine.glassbox(["pod", "ps"]).stdout.lines().count(), 1);
    assert_eq!(machine.glassbox(["pod", "describe", "web"]).status, 1);
}

#[test]
fn the_kernel_holds_what_qos_says_file_by_file() {
    let machine = machine();
    let pods = Pods::new(&machine);
    let config = machine.directory().join("kubelet.yaml");
    fs::write(&config, levels::SWAP).unwrap();
    let swap = ["--kubelet-config", config.to_str().unwrap()];
    for name in ["gold", "silver", "bronze", "level", "init", "swap"] {
        let more = if name == "swap" { &swap[..] } else { &[] };
        pods.runs(&levels::pod(name), more);
        pods.ready(name);
        let file = machine.directory().join("pod.yaml");
        let said = machine.glassbox([&["qos", "--format", "json"], more, &[file.to_str().unwrap()]].concat());
        assert_eq!(said.status, 0, "{}", said.stderr);
        let said: Value = serde_json::from_str(&said.stdout).unwrap();
        let looked: usize =
            levels::directories(&said, name).iter().map(|(level, path)| levels::agree(level, path)).sum();
        assert!(looked > 15, "{name}: {looked} values");
        // The supervisor's record tells `why` the same, without the manifest.
        let group = sh(&format!("find /sys/fs/cgroup/kubepods -type d -name default_{name}_app_0")).stdout;
        let said = machine.glassbox(["why", "--format", "json", group.trim()]);
        assert_eq!(said.status, 0, "{}{}", said.stdout, said.stderr);
        let answer: Value = serde_json::from_str(&said.stdout).unwrap();
        let from_pod = format!("pod default/{name}");
        let rows = answer["files"].as_array().unwrap();
        assert!(rows.iter().any(|row| row.to_string().contains(&from_pod)), "{answer:#}");
        pods.delete(&["--force", name]);
    }
}

#[test]
fn a_resize_rewrites_the_files_of_what_runs_and_stats_tell_what_is_used() {
    let machine = machine();
    let pods = Pods::new(&machine);
    pods.runs(
        "\
apiVersion: v1
kind: Pod
metadata: {name: grow, uid: uid-grow}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: app
    image: busybox
    command: [sh, -c, 'while :; do :; done']
    resources: {requests: {cpu: 100m, memory: 32Mi}, limits: {cpu: 200m, memory: 64Mi}}
  - name: careful
    image: busybox
    command: [sleep, '1000']
    resources: {requests: {memory: 8Mi}, limits: {cpu: 100m, memory: 16Mi}}
    resizePolicy: [{resourceName: memory, restartPolicy: RestartContainer}]
",
        &[],
    );
    pods.ready("grow");
    let base = "/sys/fs/cgroup/kubepods/burstable/poduid-grow";
    let read = |file: &str| fs::read_to_string(format!("{base}/{file}")).unwrap().trim_end().to_string();
    let processes = read("default_grow_app_0/cgroup.procs");
    let resize = |args: &[&str]| machine.glassbox([&["pod", "resize", "grow"], args].concat());
    let done = resize(&["-c", "app", "--requests", "cpu=300m", "--limits", "cpu=400m,memory=96Mi"]);
    assert_eq!((done.status, done.stdout.as_str()), (0, "pod default/grow resized\n"), "{}", done.stderr);
    let held = ["cpu.max", "memory.max", "default_grow_app_0/cpu.max", "default_grow_app_0/memory.max"].map(read);
    assert_eq!(held, ["50000 100000", "117440512", "40000 100000", "100663296"]);
    assert_eq!(read("default_grow_app_0/cgroup.procs"), processes, "it runs on");
    let pod = pods.pod("grow");
    assert_eq!(state(&pod, "app")["resources"]["limits"]["cpu"], "400m");
    assert_eq!(state(&pod, "app")["restartCount"], 0);
    let why = machine.glassbox(["why", "/sys/fs/cgroup/kubepods/burstable/cpu.weight"]);
    assert_eq!(why.status, 0, "the class has the pod's new weight: {}", why.stdout);
    assert_eq!(resize(&["-c", "careful", "--limits", "memory=24Mi"]).status, 0);
    let pod = pods.wait("grow", "a restart", |pod| {
        state(pod, "careful")["restartCount"] == 1 && condition(pod, "Ready") == "True"
    });
    assert_eq!(state(&pod, "careful")["lastState"]["terminated"]["exitCode"], 137);
    assert_eq!(read("default_grow_careful_1/memory.max"), "25165824");
    for (args, expected) in [
        (["-c", "app", "--limits", "memory=16Ki"], "must be less than or equal to memory limit"),
        (["-c", "app", "--requests", "cpu=100"], "must be less than or equal to cpu limit"),
        (["-c", "other", "--requests", "cpu=1m"], "has no container other"),
    ] {
        let refused = resize(&args);
        assert_eq!(refused.status, 1);
        assert!(refused.stderr.contains(expected), "{}", refused.stderr);
    }
    let small = resize(&["-c", "app", "--requests", "memory=4Ki", "--limits", "memory=4Ki"]);
    assert!(small.stderr.contains("below current usage"), "{}", small.stderr);
    assert_eq!(read("default_grow_app_0/memory.max"), "100663296", "nothing was written");
    let said = machine.glassbox(["pod", "stats", "--interval", "500", "--format", "json", "grow"]);
    assert_eq!((said.status, said.stderr.as_str()), (0, ""));
    let stats: Value = serde_json::from_str(&said.stdout).unwrap();
    let app = &stats["pods"][0]["containers"][0];
    let cores = app["cpu"]["usageNanoCores"].as_u64().unwrap();
    assert!((50_000_000..600_000_000).contains(&cores), "400m of a CPU: {cores}");
    assert!((4096..50 << 20).contains(&app["memory"]["workingSetBytes"].as_u64().unwrap()), "{app:#}");
    let table = machine.glassbox(["pod", "stats", "--interval", "10"]).stdout;
    assert!(
        table.starts_with("POD           NAME     CPU(cores)  MEMORY(bytes)  TASKS  THROTTLED\ndefault/grow  app"),
        "{table}"
    );
    pods.delete(&["grow"]);
}

#[test]
fn ends_are_told_as_kubernetes_tells_them() {
    let machine = machine();
    let pods = Pods::new(&machine);
    let pod = |name: &str, policy: &str, container: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  restartPolicy: {policy}\n  \
             terminationGracePeriodSeconds: 1\n  containers:\n  - {{name: app, image: busybox, {container}}}\n"
        )
    };
    pods.runs(&pod("well", "Never", "command: [sh, -c, 'echo fine']"), &[]);
    let well = pods.phase("well", "Succeeded");
    assert_eq!(state(&well, "app")["state"]["terminated"]["reason"], "Completed");
    assert_eq!(pods.logs("well", "app"), "fine\n");
    assert!(machine.glassbox(["pod", "ps"]).stdout.contains("Completed"));
    pods.runs(&pod("badly", "Never", "command: [sh, -c, 'exit 7']"), &[]);
    let badly = pods.phase("badly", "Failed");
    assert_eq!(state(&badly, "app")["state"]["terminated"]["exitCode"], 7);
    assert_eq!(state(&badly, "app")["state"]["terminated"]["reason"], "Error");
    let hungry =
        "command: [sh, -c, 'dd if=/dev/zero of=/dev/null bs=64M count=1'], resources: {limits: {memory: 16Mi}}";
    pods.runs(&pod("hungry", "Never", hungry), &[]);
    let hungry = pods.phase("hungry", "Failed");
    let end = &state(&hungry, "app")["state"]["terminated"];
    assert_eq!((&end["reason"], &end["exitCode"]), (&"OOMKilled".into(), &137.into()));
    pods.runs(&pod("none", "Never", "command: [/bin/nothing]"), &[]);
    let none = pods.phase("none", "Failed");
    assert_eq!(state(&none, "app")["state"]["terminated"]["reason"], "StartError");
    pods.runs(&pod("loops", "Always", "command: [sh, -c, 'echo again; exit 3']"), &[]);
    let loops = pods
        .wait("loops", "CrashLoopBackOff", |pod| state(pod, "app")["state"]["waiting"]["reason"] == "CrashLoopBackOff");
    let app = state(&loops, "app");
    assert_eq!((&app["restartCount"], &app["lastState"]["terminated"]["exitCode"]), (&1.into(), &3.into()));
    let message = app["state"]["waiting"]["message"].as_str().unwrap();
    assert!(message.starts_with("back-off 10s restarting failed container=app pod=default_loops("), "{message}");
    assert_eq!(loops["status"]["phase"], "Running");
    // Nothing but their directories is left of the pods that are over.
    assert_eq!(sh("ls /sys/fs/cgroup/kubepods/besteffort | grep -c '^pod'").stdout, "1\n");
    pods.delete(&["well", "badly", "hungry", "none", "loops"]);
}

#[test]
fn delete_after_kill_9_of_anything_leaves_nothing() {
    let machine = machine();
    let pods = Pods::new(&machine);
    let manifest = "\
apiVersion: v1
kind: Pod
metadata: {name: victim}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {name: app, image: busybox, command: [sh, -c, 'while true; do sleep 1; done']}
  - {name: memory, image: busybox, command: [sleep, '1000'], volumeMounts: [{name: scratch, mountPath: /scratch}]}
  volumes: [{name: scratch, emptyDir: {medium: Memory, sizeLimit: 1Mi}}]
";
    for victim in ["supervise /run/glassbox-pods", "^/pause", "while true"] {
        pods.runs(manifest, &[]);
        pods.ready("victim");
        let killed = sh(&format!("for p in $(pgrep -f '{victim}'); do [ $p = $$ ] || kill -9 $p; done"));
        assert_eq!(killed.status, 0, "{}", killed.stderr);
        pods.delete(&["victim"]);
        let left = sh(
            "ls -d /sys/fs/cgroup/kubepods /run/glassbox/* /sys/class/net/glassbox0 /run/glassbox-pods/default_* 2>/dev/null",
        );
        assert_eq!(left.stdout, "", "after kill -9 of {victim}");
        assert_eq!(sh("pgrep -f ^/pause").stdout, "", "after kill -9 of {victim}");
    }
}

#[test]
fn a_pod_whose_pause_is_killed_begins_again_in_a_new_sandbox() {
    let machine = machine();
    let pods = Pods::new(&machine);
    let pod = |name: &str, grace: u32, spec: &str, command: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  terminationGracePeriodSeconds: {grace}\n{spec}  \
             volumes: [{{name: data, emptyDir: {{}}}}]\n  initContainers:\n  - {{name: setup, image: busybox, \
             command: [sh, -c, 'echo made >>/data/made'], volumeMounts: [{{name: data, mountPath: /data}}]}}\n  containers:\n  \
             - {{name: app, image: busybox, command: [sh, -c, '{command}'], volumeMounts: [{{name: data, mountPath: /data}}]}}\n---\n"
        )
    };
    let polite = "wc -l </data/made; trap \"exit 3\" TERM; while :; do sleep 0.1; done";
    let manifest = pod("own", 30, "", polite)
        + &pod("joined", 1, "  shareProcessNamespace: true\n", polite)
        + &pod("once", 1, "  restartPolicy: Never\n", "exec sleep 1000");
    pods.runs(&manifest, &[]);
    let names = ["own", "joined", "once"];
    for name in names {
        pods.ready(name);
    }
    let pauses = || sh("pgrep -f ^/pause").stdout;
    let before = pauses();
    assert_eq!(sh("kill -9 $(pgrep -f ^/pause)").status, 0);
    for (name, code) in [("own", 3), ("joined", 137)] {
        let pod = pods.wait(name, "a new sandbox", |pod| {
            state(pod, "app")["restartCount"] == 1 && condition(pod, "Ready") == "True"
        });
        assert_eq!(state(&pod, "app")["lastState"]["terminated"]["exitCode"], code, "{name}");
        assert_eq!(state(&pod, "setup")["restartCount"], 1, "{name}");
        assert_eq!(condition(&pod, "PodReadyToStartContainers"), "True");
        pods.wait(name, "its volume is the old one", |_| pods.logs(name, "app") == "2\n");
        let address = pod["status"]["podIP"].as_str().unwrap();
        assert_eq!(sh(&format!("ping -c 1 -W 5 {address}")).status, 0, "{name}");
    }
    // A pod that is not to be started again is over.
    let once = pods.phase("once", "Failed");
    assert_eq!(state(&once, "app")["state"]["terminated"]["exitCode"], 137);
    let (before, after) = (before.lines().collect::<Vec<_>>(), pauses());
    assert_eq!((before.len(), after.lines().count()), (3, 2));
    assert!(after.lines().all(|pid| !before.contains(&pid)), "{before:?} {after}");
    pods.delete(&names);
    let left =
        sh("ls -d /sys/fs/cgroup/kubepods /run/glassbox/* /sys/class/net/glassbox0 2>/dev/null; pgrep -f ^/pause");
    assert_eq!(left.stdout, "");
}

#[test]
fn probes_restart_and_make_ready_and_a_config_map_changes_at_once() {
    let machine = machine();
    let pods = Pods::new(&machine);
    pods.runs(
        "\
apiVersion: v1
kind: Pod
metadata: {name: probed}
spec:
  terminationGracePeriodSeconds: 1
  volumes: [{name: page, configMap: {name: page}}]
  containers:
  - name: app
    image: busybox
    command: [httpd, -f, -p, '8080', -h, /page]
    ports: [{name: web, containerPort: 8080, hostPort: 18080}]
    volumeMounts: [{name: page, mountPath: /page}]
    readinessProbe: {httpGet: {port: web, path: /ready}, periodSeconds: 1}
  - name: ill
    image: busybox
    command: [sleep, '1000']
    livenessProbe: {tcpSocket: {port: 9}, periodSeconds: 1, failureThreshold: 2}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: page}
data: {index.html: old}
",
        &[],
    );
    let pod = pods.wait("probed", "a restart", |pod| state(pod, "ill")["restartCount"] == 1);
    assert_eq!(state(&pod, "ill")["lastState"]["terminated"]["exitCode"], 137);
    assert_eq!(state(&pod, "app")["ready"], false);
    let settings = machine.directory().join("page.yaml");
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: page}\ndata: {index.html: new, ready: 'yes'}\n";
    fs::write(&settings, map).unwrap();
    let applied = machine.glassbox(["pod", "apply", settings.to_str().unwrap()]);
    assert_eq!((applied.status, applied.stdout.as_str()), (0, "pod default/probed updated\n"), "{}", applied.stderr);
    pods.wait("probed", "app is ready", |pod| state(pod, "app")["ready"] == true);
    let page = sh(
        "timeout 5 bash -c 'exec 3<>/dev/tcp/127.0.0.1/18080; printf \"GET / HTTP/1.0\\r\\n\\r\\n\" >&3; tail -n 1 <&3'",
    );
    assert_eq!(page.stdout, "new", "the host port leads to the new page");
    pods.delete(&["probed"]);
}

/// A server on the node's own address that answers each connection by `answer`, until the test ends.
fn serve(answer: impl Fn(TcpStream) -> std::io::Result<()> + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // Whoever asks may have given up.
            let _ = answer(stream);
        }
    });
    port
}

/// The health service of a gRPC server as its C core sends it: HTTP/2 by hand, the status that `serving` holds.
fn answer_grpc(mut stream: TcpStream, serving: u8) -> std::io::Result<()> {
    let mut preface = [0; 24];
    stream.read_exact(&mut preface)?;
    assert_eq!(&preface, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head)?;
        let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
        stream.read_exact(&mut payload)?;
        // DATA with END_STREAM: the question is whole, and is about the service "db".
        if (head[3], head[4] & 1) == (0, 1) {
            assert_eq!(payload, b"\0\0\0\0\x04\x0a\x02db");
            break;
        }
    }
    let settings = b"\0\0\x06\x04\0\0\0\0\0\0\x04\0\x40\0\0\0\0\0\x04\x01\0\0\0\0";
    // `:status` 200; then the message; then `grpc-status` 0.
    let headers = b"\0\0\x01\x01\x04\0\0\0\x01\x88";
    let data = [0, 0, 7, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 2, 8, serving];
    let trailers = b"\0\0\x0f\x01\x05\0\0\0\x01\x40\x0bgrpc-status\x010";
    stream.write_all(&[settings, &headers[..], &data, trailers].concat())?;
    stream.read_to_end(&mut Vec::new()).map(drop)
}

/// One answer over TLS, by a certificate that is made out to nobody.
fn answer_https(config: &Arc<rustls::ServerConfig>, stream: TcpStream, status: u16) -> std::io::Result<()> {
    let connection = rustls::ServerConnection::new(Arc::clone(config)).unwrap();
    let mut stream = rustls::StreamOwned::new(connection, stream);
    let mut asked = [0; 1024];
    let length = stream.read(&mut asked)?;
    assert!(asked[..length].starts_with(b"GET /healthz HTTP/1.1\r\n"));
    stream.write_all(format!("HTTP/1.1 {status} Told\r\n\r\n").as_bytes())?;
    stream.flush()
}

#[test]
fn grpc_and_https_probes_hear_what_servers_say() {
    let machine = machine();
    let pods = Pods::new(&machine);
    let pem = include_bytes!("server.pem");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let certificate = vec![CertificateDer::from_pem_slice(pem).unwrap()];
    let tls = tls.with_no_client_auth().with_single_cert(certificate, PrivateKeyDer::from_pem_slice(pem).unwrap());
    let tls = Arc::new(tls.unwrap());
    let well = Arc::new([AtomicBool::new(false), AtomicBool::new(false)]);
    let (one, other) = (Arc::clone(&well), Arc::clone(&well));
    // SERVING is 1, NOT_SERVING 2.
    let grpc = serve(move |stream| answer_grpc(stream, if one[0].load(Ordering::SeqCst) { 1 } else { 2 }));
    let https =
        serve(move |stream| answer_https(&tls, stream, if other[1].load(Ordering::SeqCst) { 200 } else { 500 }));
    let often = "periodSeconds: 1, timeoutSeconds: 20, failureThreshold: 1";
    pods.runs(
        &format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: asked}}\nspec:\n  hostNetwork: true\n  terminationGracePeriodSeconds: 0\n  \
             containers:\n  - {{name: rpc, image: busybox, command: [sleep, '1000'], readinessProbe: {{grpc: {{port: {grpc}, \
             service: db}}, {often}}}}}\n  - {{name: web, image: busybox, command: [sleep, '1000'], readinessProbe: {{httpGet: \
             {{scheme: HTTPS, port: {https}, path: /healthz}}, {often}}}}}\n"
        ),
        &[],
    );
    let ready = |pod: &Value| ["rpc", "web"].map(|name| state(pod, name)["ready"] == true);
    for wanted in [[false, false], [true, false], [true, true], [false, true]] {
        wanted.iter().zip(well.iter()).for_each(|(wanted, well)| well.store(*wanted, Ordering::SeqCst));
        pods.wait("asked", "what the servers say", |pod| ready(pod) == wanted);
    }
    pods.delete(&["--force", "asked"]);
}

#[test]
fn probes_and_hooks_run_programs_in_the_container_and_so_does_exec() {
    let machine = machine();
    let pods = Pods::new(&machine);
    pods.runs(
        "\
apiVersion: v1
kind: Pod
metadata: {name: hooked}
spec:
  terminationGracePeriodSeconds: 20
  volumes: [{name: seen, hostPath: {path: /tmp/gb-hooked, type: DirectoryOrCreate}}]
  containers:
  - name: app
    image: busybox
    command: [sh, -c, 'trap \"echo term >>/seen/order; exit 0\" TERM; while true; do sleep 0.1; done']
    volumeMounts: [{name: seen, mountPath: /seen}]
    startupProbe: {exec: {command: [test, -e, /seen/up]}, periodSeconds: 1, failureThreshold: 30}
    readinessProbe: {exec: {command: [sh, -c, 'test -e /seen/ready']}, periodSeconds: 1}
    lifecycle:
      postStart: {exec: {command: [sh, -c, 'echo poststart >>/seen/order']}}
      preStop: {exec: {command: [sh, -c, 'echo prestop >>/seen/order']}}
",
        &[],
    );
    let seen = |file: &str| fs::read_to_string(format!("/tmp/gb-hooked/{file}")).unwrap_or_default();
    pods.wait("hooked", "postStart has run", |_| seen("order") == "poststart\n");
    let pod = pods.pod("hooked");
    assert_eq!((&state(&pod, "app")["started"], condition(&pod, "Ready")), (&Value::Bool(false), "False"));
    let made = machine.glassbox(["pod", "exec", "hooked", "--", "sh", "-c", "touch /seen/up; hostname; exit 5"]);
    assert_eq!((made.status, made.stdout.as_str()), (5, "hooked\n"), "{}", made.stderr);
    let pod = pods.wait("hooked", "started", |pod| state(pod, "app")["started"] == true);
    assert_eq!(state(&pod, "app")["ready"], false);
    fs::write("/tmp/gb-hooked/ready", "").unwrap();
    pods.ready("hooked");
    let begun = Instant::now();
    pods.delete(&["hooked"]);
    assert_eq!(seen("order"), "poststart\nprestop\nterm\n");
    assert!(begun.elapsed() < Duration::from_secs(15), "it did not wait for SIGKILL");
    fs::remove_dir_all("/tmp/gb-hooked").unwrap();
}

#[test]
fn a_shared_pid_namespace_has_pause_as_its_first_process_which_reaps() {
    let machine = machine();
    let pods = Pods::new(&machine);
    pods.runs(
        "\
apiVersion: v1
kind: Pod
metadata: {name: shared}
spec:
  shareProcessNamespace: true
  terminationGracePeriodSeconds: 1
  containers:
  - name: app
    image: busybox
    command: [sh, -c, 'kill -HUP 1 && echo hup; (sleep 0.2 & exec true); sleep 2; ps -o pid,stat,args; sleep 1000']
",
        &[],
    );
    let mut said = String::new();
    pods.wait("shared", "ps has spoken", |_| pods.logs("shared", "app").contains("ps -o"));
    said.push_str(&pods.logs("shared", "app"));
    assert!(said.starts_with("hup\n"), "{said}");
    assert!(said.lines().any(|line| line.trim_start().starts_with("1 S") && line.ends_with("/pause")), "{said}");
    assert!(!said.contains(" Z "), "a zombie is left: {said}");
    // The pause process is small: what it has of its own, in KiB.
    let own = sh("awk '/^Private/ {sum += $2} END {print sum}' /proc/$(pgrep -f ^/pause)/smaps_rollup").stdout;
    assert!(own.trim().parse::<u32>().unwrap() <= 16, "{own} KiB");
    pods.delete(&["shared"]);
}

/// `pod evict --watch` until it has evicted so many pods; gives back their names in order.
fn evicted(machine: &Machine, config: &str, number: usize) -> Vec<String> {
    let file = machine.directory().join("kubelet.yaml");
    fs::write(&file, format!("apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n{config}"))
        .unwrap();
    let said = machine.directory().join("evicted");
    let mut child = Command::new(machine.binary())
        .args(["pod", "evict", "--watch", "--interval", "1500", "--kubelet-config", file.to_str().unwrap()])
        .stdout(fs::File::create(&said).unwrap())
        .spawn()
        .unwrap();
    let name = |line: &str| Some(line.strip_prefix("pod default/")?.split_once(" evicted: ")?.0.to_string());
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut names = Vec::new();
    while names.len() < number && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
        names = fs::read_to_string(&said).unwrap().lines().filter_map(name).collect();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    names
}

#[test]
fn pods_are_evicted_in_the_order_of_the_ranking() {
    let machine = machine();
    let pods = Pods::new(&machine);
    let pod = |name: &str, more: &str, resources: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  terminationGracePeriodSeconds: 1\n{more}  containers:\n  - {{name: app, \
             image: busybox, command: [sh, -c, 'sleep 1000'], resources: {resources}}}\n"
        )
    };
    pods.runs(&pod("modest", "", "{requests: {memory: 64Mi}}"), &["--no-network"]);
    pods.runs(&pod("loose", "", "{}"), &["--no-network"]);
    pods.runs(&pod("dear", "  priority: 100\n", "{}"), &["--no-network"]);
    pods.runs(&pod("critical", "  priority: 2000000000\n", "{}"), &["--no-network"]);
    pods.runs(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: full}\nspec:\n  priority: 1000\n  volumes: [{name: v, emptyDir: {sizeLimit: 1Mi}}]\n  \
         containers:\n  - {name: app, image: busybox, command: [sh, -c, 'dd if=/dev/zero of=/v/f bs=1M count=3; sleep 1000'], \
         volumeMounts: [{name: v, mountPath: /v}]}\n",
        &["--no-network"],
    );
    for name in ["modest", "loose", "dear", "critical", "full"] {
        pods.ready(name);
    }
    // Nothing is crossed: who holds more than it may goes all the same.
    let off = "evictionHard: {memory.available: 0%}\n";
    assert_eq!(evicted(&machine, off, 1), ["full"]);
    let full = pods.phase("full", "Failed");
    assert_eq!(full["status"]["message"], "Usage of EmptyDir volume \"v\" exceeds the limit \"1Mi\". ");
    let said = machine.glassbox(["pod", "evict", "--dry-run", "--format", "json"]);
    assert_eq!((said.status, said.stderr.as_str()), (0, ""));
    let answer: Value = serde_json::from_str(&said.stdout).unwrap();
    let ranking = answer["ranking"].as_array().unwrap();
    let order: Vec<&str> = ranking.iter().map(|one| one["pod"].as_str().unwrap()).collect();
    assert_eq!(order, ["default/loose", "default/dear", "default/critical", "default/modest"]);
    let usage = ranking[0]["usage"].as_i64().unwrap();
    assert!((1..64 << 20).contains(&usage), "{usage}");
    let begun = Instant::now();
    let soft = "evictionHard: {memory.available: 0%}\nevictionSoft: {memory.available: 10Ti}\n\
                evictionSoftGracePeriod: {memory.available: 1s}\nevictionMaxPodGracePeriod: 5\n";
    assert_eq!(evicted(&machine, soft, 1), ["loose"]);
    assert!(begun.elapsed() >= Duration::from_secs(1), "a soft threshold has its grace period");
    assert_eq!(evicted(&machine, "evictionHard: {memory.available: 10Ti}\n", 2), ["dear", "modest"]);
    let modest = pods.phase("modest", "Failed");
    assert_eq!(modest["status"]["reason"], "Evicted");
    let message = modest["status"]["message"].as_str().unwrap();
    assert!(
        message.starts_with("The node was low on resource: memory. Threshold quantity: 10Ti, available: "),
        "{message}"
    );
    assert_eq!(condition(&modest, "DisruptionTarget"), "True");
    assert_eq!(pods.pod("critical")["status"]["phase"], "Running");
    pods.delete(&["--force", "modest", "loose", "dear", "critical", "full"]);
}

#[test]
fn disk_inodes_and_process_ids_choose_the_pod_that_uses_most_of_them() {
    let machine = machine();
    let pods = Pods::new(&machine);
    let pod = |name: &str, command: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  terminationGracePeriodSeconds: 1\n  volumes: \
             [{{name: v, emptyDir: {{}}}}]\n  containers:\n  - {{name: app, image: busybox, command: [sh, -c, '{command}; touch \
             /tmp/done; exec sleep 1000'], volumeMounts: [{{name: v, mountPath: /v}}], readinessProbe: \
             {{periodSeconds: 1, timeoutSeconds: 20, exec: {{command: [test, -e, /tmp/done]}}}}}}\n---\n"
        )
    };
    let manifest = pod("many", "sleep 1000 & sleep 1000 & sleep 1000 &")
        + &pod("wide", "dd if=/dev/zero of=/v/f bs=1M count=3")
        + &pod("filed", "cd /v; touch $(seq 300)")
        + &pod("quiet", "true");
    pods.runs(&manifest.replace("&;", "&"), &["--no-network"]);
    let names = ["many", "wide", "filed", "quiet"];
    for name in names {
        pods.ready(name);
    }
    for (signal, name, resource) in [
        ("pid.available", "many", "pids"),
        ("nodefs.available", "wide", "ephemeral-storage"),
        ("nodefs.inodesFree", "filed", "inodes"),
    ] {
        assert_eq!(evicted(&machine, &format!("evictionHard: {{{signal}: 1Ti}}\n"), 1), [name], "{signal}");
        let pod = pods.phase(name, "Failed");
        let message = pod["status"]["message"].as_str().unwrap();
        assert!(message.starts_with(&format!("The node was low on resource: {resource}. ")), "{message}");
    }
    assert_eq!(pods.pod("quiet")["status"]["phase"], "Running");
    pods.delete(&[&["--force"], &names[..]].concat());
}

#[test]
fn a_cni_plugin_is_given_the_network_namespace_to_the_last() {
    let machine = machine();
    let pods = Pods::new(&machine);
    fs::create_dir_all("/opt/cni/bin").unwrap();
    let answer = r#"{"ips": [{"address": "10.9.9.9/24"}]}"#;
    let plugin = format!("#!/bin/sh\necho $CNI_COMMAND $(readlink $CNI_NETNS) >>/tmp/gb-cni\necho '{answer}'\n");
    fs::write("/opt/cni/bin/gb-note", plugin).unwrap();
    sh("chmod 755 /opt/cni/bin/gb-note");
    let conf = machine.directory().join("note.conf");
    fs::write(&conf, r#"{"cniVersion": "1.0.0", "name": "note", "type": "gb-note"}"#).unwrap();
    pods.runs(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: noted}\nspec:\n  terminationGracePeriodSeconds: 1\n  containers:\n  \
         - {name: app, image: busybox, command: [sleep, '1000']}\n",
        &["--cni-conf", conf.to_str().unwrap()],
    );
    assert_eq!(pods.ready("noted")["status"]["podIP"], "10.9.9.9");
    pods.delete(&["noted"]);
    let said = fs::read_to_string("/tmp/gb-cni").unwrap();
    let words: Vec<&str> = said.split_whitespace().collect();
    assert!(matches!(words[..], ["ADD", one, "DEL", two] if one == two && one.starts_with("net:[")), "{said}");
    sh("rm -rf /tmp/gb-cni /opt/cni");
}

/// What `docker save` wrote before version 25.
fn docker_archive(layer: &Blob, run: Value) -> Vec<u8> {
    let config = image_config(std::slice::from_ref(layer), run).to_string();
    let manifest =
        json!([{"Config": "config.json", "RepoTags": ["archived:1"], "Layers": ["aa/layer.tar"]}]).to_string();
    let members =
        [("config.json", config.as_bytes()), ("manifest.json", manifest.as_bytes()), ("aa/layer.tar", &layer.bytes)];
    archive(&members)
}

#[test]
fn an_image_of_the_store_says_what_runs_and_parts_of_volumes_and_filters_hold() {
    let machine = machine();
    let pods = Pods::new(&machine);
    let store = machine.directory().join("images");
    fs::create_dir_all(store.join("registry.example")).unwrap();
    let layer = busybox()
        .file("etc/passwd", "root:x:0:0::/:/bin/sh\nweb:x:33:34::/srv:/bin/sh\n")
        .file("etc/group", "ssl:x:50:web\n");
    let config = json!({"Entrypoint": ["/bin/sh", "-c"], "Cmd": ["echo of the image"], "User": "web", "WorkingDir": "/tmp",
        "Env": ["MODE=fast", "GREETING=no"], "StopSignal": "SIGUSR1"});
    layout_with(&store.join("registry.example/web:1"), &[(&layer, As::Gzip)], config);
    let old = store.join("old.tar");
    fs::write(&old, docker_archive(&Blob::new(&layer, As::Tar), json!({"Cmd": ["echo", "of an archive"]}))).unwrap();
    fs::create_dir_all("/var/lib/kubelet/seccomp/gb").unwrap();
    let filter = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 9}]});
    fs::write("/var/lib/kubelet/seccomp/gb/no-mkdir.json", filter.to_string()).unwrap();
    let unpacked = machine.directory().join("unpacked");
    let old = format!("archived=docker-archive:{}", old.display());
    let flags = [
        "--no-network",
        "--image",
        &old,
        "--image-store",
        store.to_str().unwrap(),
        "--unpacked",
        unpacked.to_str().unwrap(),
    ];
    pods.runs(
        "\
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  terminationGracePeriodSeconds: 20
  securityContext: {runAsNonRoot: false, fsGroup: 2000}
  volumes:
  - {name: data, emptyDir: {}}
  - {name: trap, hostPath: {path: /tmp/gb-trap, type: DirectoryOrCreate}}
  initContainers:
  - {name: plain, image: 'registry.example/web:1'}
  - {name: old, image: archived}
  - {name: make, image: busybox, command: [sh, -c, 'ln -sfn /etc /trap/out; mkdir -p /trap/in; echo part >/trap/in/file'], volumeMounts: [{name: trap, mountPath: /trap}]}
  containers:
  - name: app
    image: registry.example/web:1
    args: ['echo $MODE $(GREETING) $PWD; id -u; id -G; cat /part; grep -c Seccomp:.2 /proc/self/status; ls /part-out; echo own >/logs/x; trap \"echo asked\" USR1; sleep 1000 & wait; wait']
    env: [{name: GREETING, value: 'yes'}, {name: NAME, value: web}]
    securityContext: {seccompProfile: {type: RuntimeDefault}}
    volumeMounts:
    - {name: trap, mountPath: /part, subPath: in/file, readOnly: true}
    - {name: data, mountPath: /part-out, subPath: made/here}
    - {name: data, mountPath: /logs, subPathExpr: 'logs/$(NAME)'}
  - name: filtered
    image: busybox
    command: [sh, -c, 'mkdir /x 2>&1; grep Seccomp: /proc/self/status; sleep 1000']
    securityContext: {capabilities: {add: [SYS_ADMIN]}, seccompProfile: {type: Localhost, localhostProfile: gb/no-mkdir.json}}
",
        &flags,
    );
    pods.ready("web");
    assert_eq!(pods.logs("web", "plain"), "of the image\n");
    assert_eq!(pods.logs("web", "old"), "of an archive\n");
    pods.wait("web", "it has spoken", |_| pods.logs("web", "app").contains("part\n1"));
    assert_eq!(pods.logs("web", "app"), "fast yes /tmp\n33\n34 50 2000\npart\n1\n");
    pods.wait("web", "the filter has answered", |_| pods.logs("web", "filtered").contains("Seccomp:\t2"));
    assert!(pods.logs("web", "filtered").contains("Bad file descriptor"), "{}", pods.logs("web", "filtered"));
    pods.wait("web", "the part of the volume is written", |_| {
        sh("cat /run/glassbox-pods/default_web/volumes/data/logs/web/x").stdout == "own\n"
    });
    assert_eq!(
        pods.pod("web")["status"]["initContainerStatuses"][0]["imageID"].as_str().unwrap().split(':').next(),
        Some("sha256")
    );
    let leads_out = pods.run(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: out}\nspec:\n  volumes: [{name: trap, hostPath: {path: /tmp/gb-trap}}]\n  containers:\n  \
         - {name: app, image: busybox, command: [ls, /m], volumeMounts: [{name: trap, mountPath: /m, subPath: out/passwd}]}\n",
        &["--no-network"],
    );
    assert_eq!(leads_out.status, 0, "{}", leads_out.stderr);
    // The link is resolved inside the volume, where it leads to nothing.
    let out = pods
        .wait("out", "it waits", |pod| state(pod, "app")["state"]["waiting"]["reason"] == "CreateContainerConfigError");
    let message = state(&out, "app")["state"]["waiting"]["message"].as_str().unwrap();
    assert!(message.starts_with("subPath \"out/passwd\" of the volume at /tmp/gb-trap: "), "{message}");
    pods.delete(&["--force", "web", "out"]);
    sh("rm -rf /tmp/gb-trap /var/lib/kubelet");
}

#[test]
fn a_pod_is_not_run_without_what_protects_it_or_what_it_needs() {
    let machine = machine();
    let pods = Pods::new(&machine);
    let refused = pods.run(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {runtimeClassName: gvisor, containers: [{name: a, image: busybox, tty: true}]}\n",
        &[],
    );
    assert_eq!(refused.status, 1);
    for words in [
        "warning: default/a: spec.containers[0].tty is not supported: nobody can attach",
        "error: pod default/a is not run: without spec.runtimeClassName it would be less protected",
    ] {
        assert!(refused.stderr.contains(words), "{}", refused.stderr);
    }
    let missing = pods.run(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {volumes: [{name: v, secret: {secretName: s}}], containers: [{name: a, image: busybox, command: [sleep, '1']}]}\n",
        &[],
    );
    assert_eq!(
        (missing.status, missing.stderr.as_str()),
        (1, "error: pod default/a: volume v: secret \"s\" not found\n")
    );
    let image = pods
        .run("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: a, image: nginx}]}\n", &[]);
    assert!(
        image
            .stderr
            .contains("hint: Give it with --image nginx=PATH, or put it into /var/lib/glassbox/images by its name."),
        "{}",
        image.stderr
    );
    assert_eq!(processes("/sys/fs/cgroup/kubepods"), "");
}
