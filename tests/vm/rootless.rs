//! Containers of an ordinary user: the machine's own, who is 1000 and is called learner.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::image_build::{As, Layer, Says, layout_with};
use crate::support::{Machine, Output, machine, run, sh, wait_until};

const LEARNER: u32 = 1000;

/// The user's home, with a bundle of `spec --rootless` in it that is named `web`.
struct Home<'a> {
    machine: &'a Machine,
    path: PathBuf,
    /// The cgroup that the user's commands run in; none: ours.
    cgroup: Option<&'static str>,
}

impl Home<'_> {
    fn new(machine: &Machine) -> Home<'_> {
        fs::set_permissions(machine.directory(), fs::Permissions::from_mode(0o755)).expect("it is ours");
        machine.bare_bundle("web");
        let path = machine.directory().to_path_buf();
        fs::create_dir(path.join("run")).expect("it is new");
        let given = sh(&format!("chown -R {LEARNER}:{LEARNER} {0}/web {0}/run && chmod 700 {0}/run", path.display()));
        assert_eq!(given.status, 0, "{}", given.stderr);
        let home = Home { machine, path, cgroup: None };
        let spec = home.glassbox(&["spec", "--rootless", "--bundle", home.bundle()]);
        assert_eq!((spec.status, spec.stderr.as_str()), (0, ""));
        home.edit(|config| config["process"]["terminal"] = false.into());
        home
    }

    fn bundle(&self) -> &str {
        Box::leak(self.path.join("web").display().to_string().into_boxed_str())
    }

    fn edit(&self, change: impl FnOnce(&mut Value)) {
        let file = self.path.join("web/config.json");
        let mut config = serde_json::from_slice(&fs::read(&file).expect("it is there")).expect("JSON");
        change(&mut config);
        fs::write(&file, config.to_string()).expect("it is ours");
    }

    /// What the container is to do, by its shell.
    fn does(&self, line: &str) {
        self.edit(|config| config["process"]["args"] = json!(["sh", "-c", line]));
    }

    /// Runs glassbox as the user, with an environment that has no more than podman gives.
    fn glassbox(&self, args: &[&str]) -> Output {
        self.runs("", args)
    }

    /// The same, by way of another program.
    fn runs(&self, by: &str, args: &[&str]) -> Output {
        let enter = self.cgroup.map(|cgroup| format!("echo $$ >{cgroup}/cgroup.procs; ")).unwrap_or_default();
        let words: Vec<_> = args.iter().map(|word| format!("'{word}'")).collect();
        // Into files: a container that stays would keep our end of a pipe open.
        let ran = sh(&format!(
            "{enter}cd {0}; exec setpriv --reuid {LEARNER} --regid {LEARNER} --clear-groups env -i PATH=/usr/bin:/bin \
             XDG_RUNTIME_DIR={0}/run {by} {1} {2} >{0}/out 2>{0}/err",
            self.path.display(),
            self.machine.binary().display(),
            words.join(" ")
        ));
        let said = |name: &str| fs::read_to_string(self.path.join(name)).expect("text");
        Output { status: ran.status, stdout: said("out"), stderr: said("err") }
    }

    /// The same, for what succeeds and says nothing.
    fn quiet(&self, args: &[&str]) -> String {
        let output = self.glassbox(args);
        assert_eq!((output.status, output.stderr.as_str()), (0, ""), "glassbox {args:?}");
        output.stdout
    }

    fn state(&self) -> Value {
        serde_json::from_str(&self.quiet(&["state", "web"])).expect("JSON")
    }
}

const NO_CGROUP: &str = "warning: config.json: no cgroup is delegated to user 1000, so the container has none: nothing limits \
                         it, and pause, update and events cannot reach it";

#[test]
fn an_ordinary_user_without_a_cgroup_runs_a_container_and_is_told_what_does_not_limit_it() {
    let machine = machine();
    let home = Home::new(&machine);
    home.does("id -u; id -G; cat /proc/self/uid_map | tr -s ' '; cat /proc/self/setgroups; hostname; ls /dev | xargs; \
               touch /made; touch /sys/kernel/x; head -c 2 /dev/zero | wc -c; wc -l </proc/self/mountinfo >/dev/null; exit 7");
    home.edit(|config| config["root"]["readonly"] = false.into());
    let ran = home.glassbox(&["run", "--bundle", home.bundle(), "web"]);
    let expected = "0\n0\n 0 1000 1\ndeny\nglassbox\n\
                    fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero\n2\n";
    assert_eq!(ran.stdout, expected, "{}", ran.stderr);
    assert_eq!(ran.stderr, format!("{NO_CGROUP}\ntouch: /sys/kernel/x: Read-only file system\n"));
    assert_eq!(ran.status, 7);
    let made = fs::metadata(home.path.join("web/rootfs/made")).expect("the container has made it");
    assert_eq!((made.uid(), made.gid()), (LEARNER, LEARNER));

    // What is asked for and cannot be had is named, and the container's life is an ordinary one.
    home.does("trap 'exit 0' TERM; sleep 100 & wait");
    home.edit(|config| {
        config["linux"]["resources"] = json!({"memory": {"limit": 67108864}, "pids": {"limit": 10}});
        config["process"]["oomScoreAdj"] = (-500).into();
    });
    let log = home.path.join("run/log");
    let log_name = log.display().to_string();
    home.quiet(&["--log", &log_name, "--log-format", "json", "run", "--detach", "--bundle", home.bundle(), "web"]);
    let said = fs::read_to_string(&log).expect("a log");
    for word in
        ["not applied: linux.resources.memory.limit, linux.resources.pids.limit", "process.oomScoreAdj: it is 0"]
    {
        assert!(said.contains(word), "{word}: {said}");
    }
    assert_eq!((&home.state()["status"], &home.state()["owner"]), (&json!("running"), &json!("learner")));
    assert!(home.quiet(&["list"]).contains("running"));
    let inside = home.quiet(&["exec", "web", "sh", "-c", "id -u; cat /proc/self/oom_score_adj; cat /proc/1/comm"]);
    assert_eq!(inside, "0\n0\nsh\n");
    let state = home.path.join("run/glassbox").display().to_string();
    let by_root = machine.glassbox(["--root", &state, "exec", "web", "id", "-u"]);
    assert_eq!((by_root.status, by_root.stdout.as_str(), by_root.stderr.as_str()), (0, "0\n", ""));
    let pids: Vec<i64> = serde_json::from_str(&home.quiet(&["ps", "--format", "json", "web"])).expect("JSON");
    assert!(pids.len() == 2 && pids.contains(&home.state()["pid"].as_i64().expect("a number")), "{pids:?}");
    let paused = home.glassbox(&["pause", "web"]);
    assert_eq!(
        paused.stderr,
        "error: the container web: it has no cgroup, as none was delegated to whoever created it\n"
    );
    home.quiet(&["kill", "--all", "web", "KILL"]);
    wait_until("it stops", || home.state()["status"] == "stopped");
    home.quiet(&["delete", "web"]);
    assert_eq!(fs::read_dir(home.path.join("run/glassbox")).expect("its state directory").count(), 0);

    // Root's config is refused with what would do.
    assert_eq!(sh(&format!("cd {} && {} spec", home.bundle(), machine.binary().display())).status, 1);
    home.edit(|config| {
        config["linux"]["namespaces"].as_array_mut().expect("a list").retain(|entry| entry["type"] != "user");
        config["linux"]["uidMappings"] = json!([]);
        config["linux"]["gidMappings"] = json!([]);
    });
    let refused = home.glassbox(&["run", "--bundle", home.bundle(), "web"]);
    assert_eq!(
        refused.stderr,
        "error: config.json: linux.namespaces: user 1000 can only start a container in a \"user\" namespace\n  hint: Write a \
         config.json for an ordinary user with `glassbox spec --rootless`, or run it as root.\n"
    );
}

/// A cgroup that is given to the user as cgroup-v2.rst ("Delegation") says, and removed at the end.
struct Delegated(&'static Path);

impl Delegated {
    fn new() -> Delegated {
        let top = Path::new("/sys/fs/cgroup/glass");
        fs::create_dir_all(top.join("shell")).expect("it is new");
        for file in ["", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads", "shell", "shell/cgroup.procs"] {
            chown(top.join(file), Some(LEARNER), Some(LEARNER)).expect("we are root");
        }
        Delegated(top)
    }
}

impl Drop for Delegated {
    fn drop(&mut self) {
        drop(fs::remove_dir(self.0.join("shell")).and_then(|()| fs::remove_dir(self.0)));
    }
}

#[test]
fn an_ordinary_user_with_a_delegated_cgroup_has_limits() {
    let machine = machine();
    let _cgroup = Delegated::new();
    let home = Home { cgroup: Some("/sys/fs/cgroup/glass/shell"), ..Home::new(&machine) };
    home.does("trap 'exit 0' TERM; cat /proc/self/cgroup; sleep 100 & wait");
    home.edit(|config| {
        config["linux"]["cgroupsPath"] = "box".into();
        config["linux"]["resources"] =
            json!({"memory": {"limit": 67108864}, "pids": {"limit": 10}, "cpu": {"shares": 512}});
    });
    home.quiet(&["create", "--bundle", home.bundle(), "web"]);
    let own = Path::new("/sys/fs/cgroup/glass/box");
    let file = |name: &str| fs::read_to_string(own.join(name)).expect("a cgroup file").trim_end().to_string();
    assert_eq!(["memory.max", "pids.max", "cpu.weight"].map(file), ["67108864", "10", "59"]);
    assert_eq!(file("cgroup.procs"), home.state()["pid"].to_string());
    home.quiet(&["start", "web"]);
    home.quiet(&["update", "--memory", "32M", "web"]);
    assert_eq!(file("memory.max"), "33554432");
    home.quiet(&["pause", "web"]);
    assert_eq!(home.state()["status"], "paused");
    home.quiet(&["resume", "web"]);
    assert_eq!(home.quiet(&["exec", "web", "cat", "/proc/self/cgroup", "/sys/fs/cgroup/pids.max"]), "0::/\n10\n");
    assert!(home.quiet(&["events", "--stats", "web"]).contains("\"limit\":33554432"));
    home.quiet(&["delete", "--force", "web"]);
    assert!(!own.exists());

    // A cgroup elsewhere is not the user's.
    home.edit(|config| config["linux"]["cgroupsPath"] = "/elsewhere".into());
    let elsewhere = home.glassbox(&["--rootless=false", "run", "--bundle", home.bundle(), "web"]);
    assert_eq!(elsewhere.status, 1);
    assert!(elsewhere.stderr.contains("mkdir(\"/sys/fs/cgroup/elsewhere\", 0755) = EACCES"), "{}", elsewhere.stderr);
}

#[test]
fn further_ids_come_from_newuidmap() {
    let machine = machine();
    let home = Home::new(&machine);
    home.does("id; touch /made");
    home.edit(|config| {
        let more = json!([{"containerID": 0, "hostID": LEARNER, "size": 1}, {"containerID": 1, "hostID": 100_000, "size": 65536}]);
        config["linux"]["uidMappings"] = more.clone();
        config["linux"]["gidMappings"] = more;
        config["process"]["user"] = json!({"uid": 33, "gid": 33, "additionalGids": [5]});
        config["root"]["readonly"] = false.into();
    });
    fs::set_permissions(home.path.join("web/rootfs"), fs::Permissions::from_mode(0o777)).expect("the machine is ours");
    let sub_ids = ["/etc/subuid", "/etc/subgid"].map(|file| (file, fs::read_to_string(file).unwrap_or_default()));
    let give = |text: &str| {
        sub_ids.iter().for_each(|(file, _)| fs::write(file, text).expect("the machine is ours"));
    };
    give("");
    let refused = home.glassbox(&["run", "--bundle", home.bundle(), "web"]);
    assert_eq!(refused.status, 1);
    for word in ["map groups in the user namespace by newgidmap", "not allowed", "/etc/subuid and /etc/subgid"] {
        assert!(refused.stderr.contains(word), "{word}: {}", refused.stderr);
    }
    give("learner:100000:65536\n");
    let ran = home.glassbox(&["run", "--bundle", home.bundle(), "web"]);
    assert_eq!((ran.status, ran.stderr.trim_end()), (0, NO_CGROUP));
    assert_eq!(ran.stdout, "uid=33 gid=33 groups=5(tty)\n");
    sub_ids.iter().for_each(|(file, text)| fs::write(file, text).expect("the machine is ours"));
    let made = fs::metadata(home.path.join("web/rootfs/made")).expect("the container has made it");
    assert_eq!((made.uid(), made.gid()), (100_032, 100_032));
}

#[test]
fn an_image_becomes_a_bundle_that_an_ordinary_user_starts_unchanged() {
    let machine = machine();
    let home = Home::new(&machine);
    let busybox = fs::read("/bin/busybox").expect("the machine has it");
    let layer = Layer::new().entry(b'0', "bin/busybox", &busybox, Says { mode: Some(0o755), ..Says::default() });
    let config = json!({"Entrypoint": ["/bin/busybox", "echo"], "Cmd": ["hello"], "User": "5:6"});
    layout_with(&home.path.join("image"), &[(&layer, As::Gzip)], config);
    let image = home.path.join("image").display().to_string();
    let target = home.path.join("run/box").display().to_string();
    let made = home.glassbox(&["image", "bundle", "--rootless", &image, &target]);
    assert_eq!(made.status, 0, "{}", made.stderr);
    assert!(made.stderr.contains("the image's user 5:6 is not there"), "{}", made.stderr);
    let file = home.path.join("run/box/config.json");
    let text = fs::read_to_string(&file).expect("a config.json");
    fs::write(&file, text.replace("\"terminal\": true", "\"terminal\": false")).expect("the machine is ours");
    let ran = home.glassbox(&["run", "--bundle", &target, "web"]);
    assert_eq!((ran.status, ran.stdout.as_str(), ran.stderr.trim_end()), (0, "hello\n", NO_CGROUP));
}

/// As rootless podman runs us: root of a user namespace that is not ours to make, with a config that has none.
#[test]
fn root_of_a_user_namespace_runs_a_container_in_it() {
    let machine = machine();
    let bundle = machine.bundle("inner");
    bundle.args(&[
        "sh",
        "-c",
        "id -u; cat /proc/self/uid_map | tr -s ' '; head -c 1 /dev/zero | wc -c; ls -d /sys/class",
    ]);
    bundle.edit(|config| {
        let namespaces = config["linux"]["namespaces"].as_array_mut().expect("a list");
        namespaces.retain(|entry| entry["type"] != "network");
        config["mounts"][2]["options"] = json!(["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]);
    });
    let root = machine.directory().join("state");
    let ran = run(Command::new("unshare").args(["--user", "--map-root-user", "--mount"]).arg(machine.binary()).args([
        "--root",
        root.to_str().expect("UTF-8"),
        "run",
        "--bundle",
        bundle.path(),
        "inner",
    ]));
    assert_eq!((ran.status, ran.stdout.as_str()), (0, "0\n 0 0 1\n1\n/sys/class\n"), "{}", ran.stderr);
    assert!(ran.stderr.contains("linux.resources.devices"), "{}", ran.stderr);
}

/// Without a cgroup there is nothing but the record to find a process by. So it is not let go before it is written: here its
/// runtime dies just then, and it ends by itself.
#[test]
fn a_process_that_nobody_could_find_does_not_go_on() {
    let machine = machine();
    let home = Home::new(&machine);
    home.does("sleep 1000");
    // The third file that is put in place, by renameat(2), is the record with the process.
    let killed = home.runs(
        "strace -o /dev/null -e trace=renameat -e inject=renameat:signal=KILL:when=3",
        &["create", "--bundle", home.bundle(), "web"],
    );
    assert_eq!((killed.status, killed.stdout.as_str()), (137, ""), "{}", killed.stderr);
    let record = fs::read_to_string(home.path.join("run/glassbox/web/state.json")).expect("it is there");
    assert!(record.contains("\"process\":null"), "{record}");
    home.quiet(&["delete", "--force", "web"]);
    machine.assert_clean();
}
