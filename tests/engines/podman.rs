//! podman, through conmon. The snippet for it is what makes glassbox its runtime here.

use std::sync::OnceLock;

use crate::engine::{Engine, image, install};
use crate::same;
use crate::support::{machine, wait_until};

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
