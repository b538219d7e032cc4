//! docker: its daemon with the snippet as its configuration, its shims, its network hook.

use std::sync::OnceLock;

use crate::engine::{Engine, daemon, image, install};
use crate::same;
use crate::support::{machine, wait_until};

const SNIPPET: &str = include_str!("../../contrib/engines/daemon.json");

fn docker() -> Engine {
    static READY: OnceLock<()> = OnceLock::new();
    let docker = Engine(&["docker"]);
    READY.get_or_init(|| {
        install("/etc/docker/daemon.json", SNIPPET);
        drop(daemon(&["dockerd"], &docker, &["version"]));
        docker.ok(&["import", image(), "box"]);
        assert_eq!(docker.ok(&["info", "--format", "{{.DefaultRuntime}} {{.CgroupVersion}}"]), "glassbox 2");
        docker.run(&["run", "--rm", "box", "true"]);
        docker.run(&["run", "--rm", "--network", "host", "box", "true"]);
    });
    docker
}

#[test]
fn docker_runs_to_completion() {
    let docker = docker();
    let _machine = machine();
    same::runs_to_completion(&docker);
}

#[test]
fn docker_looks_into_what_lives() {
    let docker = docker();
    let _machine = machine();
    same::lives_and_is_looked_into(&docker);
}

#[test]
fn docker_limits() {
    let docker = docker();
    let _machine = machine();
    same::limits_hold_and_change(&docker);
}

#[test]
fn docker_narrows_power() {
    let docker = docker();
    let _machine = machine();
    same::power_is_narrow(&docker);
    // docker's default profile lets nobody make a user namespace without CAP_SYS_ADMIN.
    let ran = docker.run(&["run", "--rm", "--network", "none", "box", "unshare", "-U", "true"]);
    assert!(ran.status == 1 && ran.stderr.contains("Operation not permitted"), "{ran:?}");
}

#[test]
fn docker_mounts() {
    let docker = docker();
    let machine = machine();
    same::files_are_where_they_are_asked_for(&machine, &docker);
    same::init_is_first(&docker);
}

#[test]
fn docker_networks() {
    let docker = docker();
    let _machine = machine();
    same::network_is_there(&docker);
}

#[test]
fn docker_tells_of_memory() {
    let docker = docker();
    let _machine = machine();
    assert_eq!(same::runs_out_of_memory(&docker), "137 true");
}

/// A second daemon, whose cgroups systemd makes: a daemon has one driver.
#[test]
fn docker_has_systemd_make_cgroups() {
    docker();
    let docker = Engine(&["docker", "-H", "unix:///run/scopes/docker.sock"]);
    let places = ["--data-root", "/var/lib/scopes", "--exec-root", "/run/scopes", "--pidfile", "/run/scopes/pid"];
    let words = ["dockerd", "--config-file", "/etc/docker/scopes.json", "--bridge", "none", "-H", docker.0[2]];
    install("/etc/docker/scopes.json", &SNIPPET.replace("cgroupfs", "systemd"));
    std::fs::create_dir_all("/run/scopes").expect("the machine is writable");
    drop(daemon(&[&words[..], &places].concat(), &docker, &["version"]));
    docker.ok(&["import", image(), "box"]);
    assert_eq!(docker.ok(&["info", "--format", "{{.CgroupDriver}}"]), "systemd");
    docker.run(&["run", "--rm", "--network", "none", "box", "true"]);
    let _machine = machine();
    same::lives_in_a_scope(&docker, "system.slice", "docker");
    assert_eq!(same::runs_out_of_memory(&docker), "137 true");
}

#[test]
fn docker_checks_health() {
    let docker = docker();
    let _machine = machine();
    let words =
        ["run", "-d", "--name", "well", "--network", "none", "--health-cmd", "test ! -e /ill", "--health-interval"];
    docker.ok(&[&words[..], &["500ms", "--health-retries", "1", "box", "sleep", "300"]].concat());
    let health = || docker.ok(&["inspect", "well", "--format", "{{.State.Health.Status}}"]);
    wait_until("it is well", || health() == "healthy");
    docker.ok(&["exec", "well", "touch", "/ill"]);
    wait_until("it is ill", || health() == "unhealthy");
    docker.ok(&["rm", "-f", "well"]);
}
