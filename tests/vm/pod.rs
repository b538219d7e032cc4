//! `glassbox pod`: pods that run, seen from the node and from inside, and what is left when they are gone.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

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
    pods.runs(
        "\
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  terminationGracePeriodSeconds: 2
  hostAliases: [{ip: 192.0.2.9, hostnames: [db]}]
  volumes:
  - {name: data, emptyDir: {}}
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
    command: [sh, -c, 'ls /data; for n in net ipc uts pid; do readlink /proc/self/ns/$n; done; sleep 1000']
    volumeMounts: [{name: data, mountPath: /data, readOnly: true}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {colour: \"red\\n\"}
",
        &[],
    );
    let pod = pods.ready("web");
    assert_eq!(pod["status"]["phase"], "Running");
    assert_eq!(pod["status"]["podIP"], "10.244.0.2");
    assert_eq!(state(&pod, "setup")["state"]["terminated"]["reason"], "Completed");
    let said = pods.logs("web", "app");
    assert!(said.starts_with("made by setup\nred\nhello from web\nweb\n# Kubernetes-managed hosts file.\n"), "{said}");
    assert!(said.contains("10.244.0.2\tweb\n") && said.contains("192.0.2.9\tdb\n"), "{said}");
    let other = pods.logs("web", "other");
    assert!(other.starts_with("made\nnet:["), "{other}");
    let spaces: Vec<&str> = other.lines().skip(1).collect();
    let app = sh("for p in $(cat /sys/fs/cgroup/kubepods/besteffort/pod*/default_web_app_0/cgroup.procs); do cd /proc/$p/ns; readlink net ipc uts pid; break; done").stdout;
    let app: Vec<&str> = app.lines().collect();
    assert_eq!((&app[..3], app[3] == spaces[3]), (&spaces[..3], false));
    let listed = machine.glassbox(["pod", "ps"]).stdout;
    assert!(
        listed.lines().nth(1).unwrap().starts_with("default    web   2/2    Running  0         10.244.0.2  BestEffort"),
        "{listed}"
    );
    assert_eq!(sh("ping -c 1 -W 5 10.244.0.2").status, 0);
    pods.delete(&["web"]);
    assert!(!Path::new("/sys/fs/cgroup/kubepods").exists());
    assert_eq!(machine.glassbox(["pod", "ps"]).stdout.lines().count(), 1);
    assert_eq!(machine.glassbox(["pod", "describe", "web"]).status, 1);
}

#[test]
fn the_kernel_holds_what_qos_says_for_every_class() {
    let machine = machine();
    let pods = Pods::new(&machine);
    let pod = |name: &str, resources: &str, more: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, uid: uid-{name}}}\nspec:\n  terminationGracePeriodSeconds: 1\n{more}  \
             containers:\n  - {{name: app, image: busybox, command: [sleep, '1000'], resources: {resources}}}\n"
        )
    };
    let sidecar = "  initContainers:\n  - {name: proxy, image: busybox, restartPolicy: Always, command: [sleep, '1000'], \
                   resources: {requests: {cpu: 50m, memory: 16Mi}, limits: {cpu: 100m, memory: 32Mi}}}\n";
    for (name, resources, more) in [
        ("gold", "{limits: {cpu: 333m, memory: 64Mi}}", ""),
        ("silver", "{requests: {cpu: 250m, memory: 32Mi}, limits: {cpu: 500m, memory: 128Mi}}", sidecar),
        ("bronze", "{}", ""),
        ("level", "{}", "  resources: {requests: {cpu: 100m, memory: 32Mi}, limits: {cpu: 200m, memory: 64Mi}}\n"),
    ] {
        pods.runs(&pod(name, resources, more), &[]);
        pods.ready(name);
        let file = machine.directory().join("pod.yaml");
        let base = sh(&format!("find /sys/fs/cgroup/kubepods -type d -name poduid-{name}")).stdout;
        let mut looked = 0;
        for group in sh(&format!("find {} -type d", base.trim())).stdout.lines() {
            let leaf = group.rsplit('/').next().unwrap();
            let container = leaf.strip_prefix(&format!("default_{name}_")).map(|rest| rest.trim_end_matches("_0"));
            let mut args = vec!["why", "--format", "json", "--pod", file.to_str().unwrap()];
            args.extend(container.map(|name| ["--container", name]).into_iter().flatten());
            args.push(group);
            let said = machine.glassbox(args);
            assert_eq!(said.status, 0, "{group}: {}{}", said.stdout, said.stderr);
            let answer: Value = serde_json::from_str(&said.stdout).unwrap();
            looked += answer["files"].as_array().unwrap().iter().filter(|row| row["verdict"] == "agrees").count();
        }
        assert!(looked > 10, "{name}: {looked} values");
        pods.delete(&["--force", name]);
    }
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
    assert!(own.trim().parse::<u32>().unwrap() < 4096, "{own} KiB");
    pods.delete(&["shared"]);
}

#[test]
fn the_ranking_for_eviction_is_the_kubelets() {
    let machine = machine();
    let pods = Pods::new(&machine);
    let pod = |name: &str, more: &str, resources: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  terminationGracePeriodSeconds: 1\n{more}  containers:\n  - {{name: app, \
             image: busybox, command: [sh, -c, 'sleep 1000'], resources: {resources}}}\n"
        )
    };
    pods.runs(&pod("modest", "", "{requests: {memory: 64Mi}}"), &[]);
    pods.runs(&pod("loose", "", "{}"), &[]);
    pods.runs(&pod("dear", "  priority: 100\n", "{}"), &[]);
    for name in ["modest", "loose", "dear"] {
        pods.ready(name);
    }
    let said = machine.glassbox(["pod", "evict", "--dry-run", "--format", "json"]);
    assert_eq!((said.status, said.stderr.as_str()), (0, ""));
    let answer: Value = serde_json::from_str(&said.stdout).unwrap();
    let order: Vec<&str> =
        answer["ranking"].as_array().unwrap().iter().map(|one| one["pod"].as_str().unwrap()).collect();
    assert_eq!(order, ["default/loose", "default/dear", "default/modest"]);
    let usage = answer["ranking"][0]["usage"].as_i64().unwrap();
    assert!((1..64 << 20).contains(&usage), "{usage}");
    pods.delete(&["--force", "modest", "loose", "dear"]);
}

#[test]
fn what_is_not_carried_out_is_refused_by_its_field() {
    let machine = machine();
    let pods = Pods::new(&machine);
    let refused = pods.run(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {runtimeClassName: gvisor, containers: [{name: a, image: busybox, tty: true}]}\n",
        &[],
    );
    assert_eq!(refused.status, 1);
    assert!(refused.stderr.contains("spec.containers[0].tty: true is not supported by glassbox"), "{}", refused.stderr);
    assert!(refused.stderr.contains("spec.runtimeClassName"), "{}", refused.stderr);
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
    assert!(image.stderr.contains("hint: Give them with --image nginx=DIR."), "{}", image.stderr);
    assert_eq!(processes("/sys/fs/cgroup/kubepods"), "");
}
