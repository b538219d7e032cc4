//! podman, through conmon. The snippet for it is what makes glassbox its runtime here.

use std::sync::OnceLock;

use crate::engine::{Engine, image, install};
use crate::same;
use crate::support::{machine, sh, wait_until};

const SNIPPET: &str = include_str!("../../contrib/engines/containers.conf");

/// podman with what it would find out from systemd.
fn podman() -> Engine {
    static READY: OnceLock<()> = OnceLock::new();
    let podman = Engine(&["podman", "--cgroup-manager", "cgroupfs", "--events-backend", "file"]);
    READY.get_or_init(|| {
        install("/etc/containers/containers.conf.d/glassbox.conf", SNIPPET);
        install("/etc/containers/policy.json", r#"{"default":[{"type":"insecureAcceptAnything"}]}"#);
        podman.ok(&["import", image(), "box"]);
        let info = podman.ok(&["info", "--format", "{{.Host.OCIRuntime.Path}} {{.Host.OCIRuntime.Version}}"]);
        assert!(info.starts_with("/usr/local/bin/glassbox glassbox version "), "{info}");
        // While one container runs, its storage stays mounted; the rest is made at first use.
        podman.ok(&["run", "-d", "--name", "keeper", "--cpus", "1", "-m", "64m", "box", "sleep", "100000"]);
        podman.ok(&["update", "--cpus", "2", "-m", "65m", "keeper"]);
        podman.run(&["run", "--rm", "box", "true"]);
    });
    podman
}

#[test]
fn podman_runs_to_completion() {
    let podman = podman();
    let _machine = machine();
    same::runs_to_completion(&podman);
}

#[test]
fn podman_looks_into_what_lives() {
    let podman = podman();
    let _machine = machine();
    same::lives_and_is_looked_into(&podman);
}

#[test]
fn podman_limits() {
    let podman = podman();
    let _machine = machine();
    same::limits_hold_and_change(&podman);
}

#[test]
fn podman_narrows_power() {
    let podman = podman();
    let _machine = machine();
    same::power_is_narrow(&podman);
}

#[test]
fn podman_mounts() {
    let podman = podman();
    let machine = machine();
    same::files_are_where_they_are_asked_for(&machine, &podman);
    same::init_is_first(&podman);
}

#[test]
fn podman_networks() {
    let podman = podman();
    let _machine = machine();
    same::network_is_there(&podman);
}

/// conmon of this Debian sees no OOM kill by this cgroup manager, under any runtime: the word is held against runc's.
#[test]
fn podman_tells_of_memory_what_it_tells_under_runc() {
    let podman = podman();
    let _machine = machine();
    let runc = Engine(&["podman", "--runtime", "runc", "--cgroup-manager", "cgroupfs", "--events-backend", "file"]);
    assert_eq!(same::runs_out_of_memory(&podman), same::runs_out_of_memory(&runc));
}

#[test]
fn podman_has_systemd_make_cgroups() {
    podman();
    let podman = Engine(&["podman", "--cgroup-manager", "systemd", "--events-backend", "file"]);
    podman.ok(&["run", "--rm", "--network", "none", "box", "true"]);
    let _machine = machine();
    same::lives_in_a_scope(&podman, "machine.slice", "libpod");
    let runc = Engine(&["podman", "--runtime", "runc", "--cgroup-manager", "systemd", "--events-backend", "file"]);
    assert_eq!(same::runs_out_of_memory(&podman), same::runs_out_of_memory(&runc));
}

#[test]
fn podman_checks_health() {
    let podman = podman();
    let _machine = machine();
    let words =
        ["run", "-d", "--name", "well", "--network", "none", "--health-cmd", "test ! -e /ill", "--health-interval"];
    podman.ok(&[&words[..], &["disable", "--health-retries", "1", "box", "sleep", "300"]].concat());
    wait_until("it is well", || podman.run(&["healthcheck", "run", "well"]).status == 0);
    podman.ok(&["exec", "well", "touch", "/ill"]);
    assert_eq!(podman.run(&["healthcheck", "run", "well"]).status, 1);
    podman.ok(&["rm", "-f", "-t", "0", "well"]);
}

/// podman of a user without root: it makes a user namespace of the user's ids, and runs us as root of that.
#[test]
fn podman_of_an_ordinary_user_runs_containers() {
    podman();
    let machine = machine();
    let home = machine.directory().join("home");
    let dir = home.display();
    let given = sh(&format!(
        "chmod 755 {}; mkdir -p {dir}/run && chown -R 1000:1000 {dir} && chmod 700 {dir}/run; \
         for file in /etc/subuid /etc/subgid; do echo learner:100000:65536 >$file; done",
        machine.directory().display()
    ));
    assert_eq!(given.status, 0, "{given:?}");
    let podman = |words: &str| {
        sh(&format!(
            "cd {dir}; exec setpriv --reuid 1000 --regid 1000 --clear-groups env -i PATH=/usr/bin:/bin:/usr/sbin HOME={dir} \
             XDG_RUNTIME_DIR={dir}/run podman --storage-driver vfs --cgroup-manager cgroupfs --events-backend file {words}"
        ))
    };
    let imported = podman(&format!("import {} box", image()));
    assert_eq!(imported.status, 0, "{imported:?}");
    let ran =
        podman("run --rm --network none --user 5:6 box sh -c 'id -u; cat /proc/self/uid_map | tr -s \" \"; exit 7'");
    assert_eq!((ran.status, ran.stdout.as_str()), (7, "5\n 0 1000 1\n 1 100000 65536\n"), "{ran:?}");
    let kept = podman("run -d --name stays --network none box sleep 300");
    assert_eq!(kept.status, 0, "{kept:?}");
    let inside = podman("exec stays sh -c 'cat /proc/1/comm'");
    assert_eq!((inside.status, inside.stdout.as_str()), (0, "sleep\n"), "{inside:?}");
    assert_eq!(podman("inspect --format '{{.OCIRuntime}}' stays").stdout, "glassbox\n");
    assert_eq!(podman("rm -f -t 0 stays").status, 0);
    // It keeps its user namespace by a process that sleeps, until it is told to let go.
    assert_eq!(podman("system migrate").status, 0);
}
