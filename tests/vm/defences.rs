//! What containers have done to their runtimes, tried on this one. Each test fails on a build without its defence.
//!
//! | what must hold | where it is tried |
//! |---|---|
//! | paths are looked up inside the root | `links_of_the_rootfs_lead_no_mount_to_the_host`, `a_rootfs_that_changes_…` |
//! | /proc shows what the kernel shows | `nothing_is_mounted_into_proc`, `proc_and_sys_are_directories_…` |
//! | /dev has the devices that it says | `a_device_is_the_one_that_its_name_says` |
//! | what is masked stays masked | `a_mask_is_the_null_device_or_the_start_fails` |
//! | a terminal is one | `a_terminal_comes_from_devpts`, `a_console_socket_with_a_long_path_is_refused_…` |
//! | our executable cannot be written | `our_own_executable_cannot_be_written_…`, `a_program_without_a_file_runs_from_…` |
//! | nobody inside looks into us | `a_process_of_ours_is_closed_to_those_without_power_over_it` |
//! | no descriptor of the host's leaks in | `no_descriptor_of_the_host_gets_in` |
//! | the working directory lies in the container | `the_working_directory_lies_in_the_container`, `a_working_directory_that_…` |
//! | exec gives no more than the start did | `exec_is_held_to_what_the_start_was` |
//! | what is done is on record before it is done | `what_is_made_is_on_record_before_it_is_made`, `endurance::what_a_kill_9_…` |
//! | a process goes on once others can find it | `rootless::a_process_that_nobody_could_find_does_not_go_on` |
//! | a process is more than its number | `a_process_id_that_belongs_to_another_by_now_is_left_alone` |
//! | a container's cgroup is its own | `cgroups_of_others_are_out_of_reach`, `runtime::a_cgroup_of_somebody_else_is_left_alone` |
//! | a hook holds nobody up | `a_hook_that_does_not_end_is_ended_with_all_it_started` |
//! | every word of a config is looked at | `what_no_config_may_say_is_refused`, `runtime::bad_ids_…`, `runtime::a_broken_record_…` |

use std::fs;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Bundle, Machine, Output, machine, sh, wait_until};

/// Runs a line of shell in a container of this bundle.
fn inside(machine: &Machine, bundle: &Bundle, line: &str) -> Output {
    bundle.args(&["sh", "-c", line]);
    machine.glassbox(["run", "--bundle", bundle.path(), "inside"])
}

fn refused(machine: &Machine, bundle: &Bundle, words: &[&str]) {
    let output = machine.to_files(&["create", "--bundle", bundle.path(), "refused"]);
    assert_eq!((output.status, output.stdout.as_str()), (1, ""), "{words:?}: {}", output.stderr);
    for word in words {
        assert!(output.stderr.contains(word), "{word:?} is missing from {}", output.stderr);
    }
    machine.assert_clean();
}

fn add_mount(bundle: &Bundle, mount: Value) {
    bundle.edit(|config| config["mounts"].as_array_mut().expect("a list").push(mount));
}

/// A directory of the host, which nothing may happen to.
fn victim(machine: &Machine) -> PathBuf {
    let victim = machine.directory().join("victim");
    fs::create_dir(&victim).expect("it is new");
    victim
}

fn untouched(victim: &Path) {
    let found: Vec<_> = fs::read_dir(victim).expect("it is there").flatten().map(|entry| entry.path()).collect();
    assert_eq!(found, Vec::<PathBuf>::new());
}

#[test]
fn links_of_the_rootfs_lead_no_mount_to_the_host() {
    let machine = machine();
    let bundle = machine.bundle("links");
    let victim = victim(&machine);
    let inner = bundle.rootfs().join(victim.strip_prefix("/").expect("it is absolute"));
    fs::create_dir_all(&inner).expect("the rootfs is ours");
    symlink(&victim, bundle.rootfs().join("absolute")).expect("ours");
    let up = format!("../../../../../../../..{}", victim.display());
    symlink(up, bundle.rootfs().join("relative")).expect("ours");
    let source = machine.directory().join("file");
    fs::write(&source, "x").expect("ours");
    for (number, link) in ["absolute", "relative"].iter().enumerate() {
        add_mount(&bundle, json!({"destination": format!("/{link}/t{number}"), "type": "tmpfs", "source": "tmpfs"}));
        let file = format!("/{link}/f{number}");
        add_mount(&bundle, json!({"destination": file, "type": "none", "source": source, "options": ["bind"]}));
    }
    let victims = victim.display();
    let points = format!("cut -d' ' -f5 /proc/self/mountinfo | sed -n 's,^{victims}/,mount ,p' | sort");
    let ran = inside(&machine, &bundle, &format!("ls {victims}; {points}"));
    let made = "f0\nf1\nt0\nt1\nmount f0\nmount f1\nmount t0\nmount t1\n";
    assert_eq!((ran.status, ran.stdout.as_str()), (0, made), "{}", ran.stderr);
    untouched(&victim);
}

/// Somebody with a hand in the rootfs swaps a directory for a link to the host while mounts are made in it.
#[test]
fn a_rootfs_that_changes_under_us_leads_no_mount_to_the_host() {
    let machine = machine();
    let bundle = machine.bundle("race");
    let victim = victim(&machine);
    let (place, link) = (bundle.rootfs().join("place"), bundle.rootfs().join("link"));
    fs::create_dir(&place).expect("ours");
    symlink(&victim, &link).expect("ours");
    // The link leads somewhere inside as well: a start need not fail for it, and goes on to the next mount.
    let inner = bundle.rootfs().join(victim.strip_prefix("/").expect("it is absolute"));
    fs::create_dir_all(&inner).expect("the rootfs is ours");
    for number in 0..20 {
        add_mount(&bundle, json!({"destination": format!("/place/d{number}"), "type": "tmpfs", "source": "tmpfs"}));
    }
    bundle.args(&["true"]);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let flags = rustix::fs::RenameFlags::EXCHANGE;
                rustix::fs::renameat_with(rustix::fs::CWD, &place, rustix::fs::CWD, &link, flags)
                    .expect("both are there");
                std::thread::sleep(Duration::from_micros(200));
            }
        });
        for _ in 0..6 {
            // It may fail, where a directory is made in one and looked for in the other; what counts is the host.
            machine.glassbox(["run", "--bundle", bundle.path(), "race"]);
        }
        done.store(true, Ordering::Relaxed);
    });
    untouched(&victim);
}

#[test]
fn nothing_is_mounted_into_proc() {
    let machine = machine();
    let bundle = machine.bundle("proc");
    let good = bundle.config();
    for destination in ["/proc/self/attr", "/proc/sys", "/proc/net/dev", "/x/../proc/1"] {
        add_mount(&bundle, json!({"destination": destination, "type": "tmpfs", "source": "tmpfs"}));
        refused(&machine, &bundle, &["mounts[7].destination", destination, "lies in /proc"]);
        bundle.edit(|config| *config = good.clone());
    }
    bundle.edit(|config| config["mounts"][0]["type"] = "tmpfs".into());
    refused(&machine, &bundle, &["mounts[0].destination", "type \"proc\""]);
    let tree = machine.directory().join("fake");
    fs::create_dir(&tree).expect("ours");
    bundle.edit(|config| config["mounts"][0] = json!({"destination": "/proc", "source": tree, "options": ["bind"]}));
    refused(&machine, &bundle, &["at /proc", "must be a file system of type proc"]);
    // By a link, which no look at config.json shows.
    bundle.edit(|config| *config = good.clone());
    symlink("/proc/sys", bundle.rootfs().join("innocent")).expect("ours");
    add_mount(&bundle, json!({"destination": "/innocent/kernel", "type": "tmpfs", "source": "tmpfs"}));
    refused(&machine, &bundle, &["mount tmpfs on /innocent/kernel", "leads the mount's destination into /proc"]);
    bundle.edit(|config| *config = good);
    let meminfo = machine.directory().join("meminfo");
    fs::write(&meminfo, "MemTotal: 7 kB\n").expect("ours");
    add_mount(&bundle, json!({"destination": "/proc/meminfo", "source": meminfo, "options": ["bind", "ro"]}));
    let ran = inside(&machine, &bundle, "cat /proc/meminfo");
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("MemTotal: 7 kB\n", ""), "what lxcfs does goes on");
}

/// Behind a link, what is masked would be somewhere else than where it is masked (CVE-2019-19921).
#[test]
fn proc_and_sys_are_directories_of_the_rootfs() {
    let machine = machine();
    for (name, step) in [("proc", "mount proc on /proc"), ("sys", "mount sysfs on /sys")] {
        let bundle = machine.bundle(name);
        let place = bundle.rootfs().join(name);
        fs::remove_dir(&place).expect("it is empty");
        fs::create_dir(bundle.rootfs().join("elsewhere")).expect("ours");
        symlink("elsewhere", &place).expect("ours");
        refused(&machine, &bundle, &[step, "ELOOP", "symbolic link"]);
    }
}

#[test]
fn a_device_is_the_one_that_its_name_says() {
    let machine = machine();
    let bundle = machine.bundle("dev");
    // Without a /dev of its own the container gets its devices in the rootfs.
    bundle.edit(|config| {
        config["mounts"]
            .as_array_mut()
            .expect("a list")
            .retain(|mount| !mount["destination"].as_str().expect("a text").starts_with("/dev"));
        config["linux"]["maskedPaths"] = json!([]);
    });
    let null = bundle.rootfs().join("dev/null");
    fs::create_dir_all(bundle.rootfs().join("dev")).expect("ours");
    for _ in 0..2 {
        let ran = inside(&machine, &bundle, "stat -c %F:%t:%T /dev/null");
        assert_eq!(ran.stdout, "character special file:1:3\n", "again on what it left: {}", ran.stderr);
    }
    fs::remove_file(&null).expect("ours");
    fs::write(&null, "").expect("ours");
    refused(&machine, &bundle, &["make the device /dev/null", "EEXIST"]);
    fs::remove_file(&null).expect("ours");
    symlink("/etc/passwd", &null).expect("ours");
    refused(&machine, &bundle, &["make the device /dev/null", "EEXIST"]);
    fs::remove_file(&null).expect("ours");
    assert_eq!(sh(&format!("mknod {} c 1 5", null.display())).status, 0);
    refused(&machine, &bundle, &["make the device /dev/null", "EEXIST"]);
}

/// CVE-2025-31133: the file that is to hide another is the container's own.
#[test]
fn a_mask_is_the_null_device_or_the_start_fails() {
    let machine = machine();
    let bundle = machine.bundle("mask");
    let dev = machine.directory().join("dev");
    fs::create_dir(&dev).expect("ours");
    let null = dev.join("null");
    bundle.edit(|config| {
        config["mounts"]
            .as_array_mut()
            .expect("a list")
            .retain(|mount| !mount["destination"].as_str().expect("a text").starts_with("/dev"));
        config["mounts"]
            .as_array_mut()
            .expect("a list")
            .push(json!({"destination": "/dev", "source": dev, "options": ["bind"]}));
        config["linux"]["maskedPaths"] = json!(["/proc/kcore"]);
    });
    fs::write(&null, "").expect("ours");
    refused(&machine, &bundle, &["mask /proc/kcore", "ENODEV"]);
    fs::remove_file(&null).expect("ours");
    symlink("/proc/sys/kernel/core_pattern", &null).expect("ours");
    refused(&machine, &bundle, &["mask /proc/kcore", "ELOOP"]);
    fs::remove_file(&null).expect("ours");
    assert_eq!(sh(&format!("mknod {} c 1 5", null.display())).status, 0);
    refused(&machine, &bundle, &["mask /proc/kcore", "ENODEV"]);
}

#[test]
fn a_console_socket_with_a_long_path_is_refused_before_anything_is_done() {
    let machine = machine();
    let bundle = machine.bundle("console");
    let mark = machine.directory().join("mark");
    bundle.edit(|config| {
        config["process"]["terminal"] = true.into();
        config["hooks"] = json!({"createRuntime": [{"path": "/bin/touch", "args": ["touch", mark]}]});
    });
    let long = machine.directory().join("x".repeat(120));
    let long = long.to_str().expect("UTF-8");
    let output = machine.glassbox(["create", "--console-socket", long, "--bundle", bundle.path(), "console"]);
    assert_eq!(output.status, 1);
    assert!(output.stderr.contains("console"), "{}", output.stderr);
    assert!(!mark.exists(), "the container was half made by then");
    machine.assert_clean();
    // And one that never answers holds nobody up.
    let socket = machine.directory().join("silent");
    let listener = UnixListener::bind(&socket).expect("a new socket");
    machine.quiet(&[
        "create",
        "--console-socket",
        socket.to_str().expect("UTF-8"),
        "--bundle",
        bundle.path(),
        "console",
    ]);
    machine.quiet(&["delete", "--force", "console"]);
    drop(listener);
}

/// Where no mount of ours can stand behind it, a sealed copy does: here, because the file has no name any more.
#[test]
fn a_program_without_a_file_runs_from_a_sealed_copy() {
    let machine = machine();
    let binary = machine.directory().join("glassbox");
    fs::copy(machine.binary(), &binary).expect("there is room");
    let bundle = machine.bundle("copy");
    bundle.args(&["true"]);
    let create = format!(
        "exec 3<{0}; rm {0}; exec /proc/self/fd/3 create --bundle {1} copy >/dev/null 2>&1",
        binary.display(),
        bundle.path()
    );
    assert_eq!(sh(&create).status, 0);
    let exe = format!("/proc/{}/exe", pid(&machine, "copy"));
    let name = fs::read_link(&exe).expect("root may look").display().to_string();
    assert!(name.starts_with("/memfd:glassbox"), "{name}");
    let held = fs::File::open(&exe).expect("root may look");
    machine.quiet(&["delete", "--force", "copy"]);
    assert_eq!(written(&held), Err(libc::EPERM));
}

/// What a container that had our file open for reading can do with it once we are gone (CVE-2019-5736): here, write the
/// byte that is there already.
fn written(held: &fs::File) -> Result<(), i32> {
    let mut again = fs::OpenOptions::new()
        .write(true)
        .open(format!("/proc/self/fd/{}", held.as_raw_fd()))
        .map_err(|error| error.raw_os_error().unwrap_or(0))?;
    again.write_all(b"\x7f").map_err(|error| error.raw_os_error().unwrap_or(0))
}

fn pid(machine: &Machine, id: &str) -> i64 {
    let state: Value = serde_json::from_str(&machine.glassbox(["state", id]).stdout).expect("JSON");
    state["pid"].as_i64().expect("a number")
}

#[test]
fn our_own_executable_cannot_be_written_by_a_container() {
    let machine = machine();
    // A copy of ours that nobody else runs: who is being executed cannot be written anyhow.
    let binary = machine.directory().join("glassbox");
    fs::copy(machine.binary(), &binary).expect("there is room");
    let before = fs::metadata(&binary).expect("it is there").modified().expect("a time");
    let bundle = machine.bundle("exe");
    bundle.args(&["true"]);
    let quiet = |args: &[&str]| {
        let status = Command::new(&binary).args(args).stdin(Stdio::null()).stdout(Stdio::null()).status();
        assert!(status.expect("it runs").success(), "{args:?}");
    };
    // While it waits, the container's first process is ours.
    quiet(&["create", "--bundle", bundle.path(), "exe"]);
    let held = fs::File::open(format!("/proc/{}/exe", pid(&machine, "exe"))).expect("root may look");
    quiet(&["delete", "--force", "exe"]);
    assert_eq!(written(&held), Err(libc::EROFS));
    drop(held);
    // Its program is ours where the image asks for /proc/self/exe; a script may ask for it as well.
    for program in ["/proc/self/exe", "/script"] {
        let script = bundle.rootfs().join("script");
        fs::write(&script, "#!/proc/self/exe\n").expect("ours");
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("ours");
        assert_eq!(sh(&format!("rm -f {0}; mkfifo {0}", bundle.rootfs().join("hold").display())).status, 0);
        bundle.edit(|config| config["process"]["args"] = json!([program, "man"]));
        let hold = fs::OpenOptions::new().read(true).write(true).open(bundle.rootfs().join("hold")).expect("a pipe");
        // A full pipe as its standard output keeps it where it is.
        rustix::io::ioctl_fionbio(&hold, true).expect("a pipe");
        while (&hold).write(&[b'x'; 4096]).is_ok() {}
        while (&hold).write(b"x").is_ok() {}
        rustix::io::ioctl_fionbio(&hold, false).expect("a pipe");
        let mut command = Command::new(&binary);
        command.args(["run", "--detach", "--bundle", bundle.path(), "exe"]).stdin(Stdio::null());
        command.stdout(hold.try_clone().expect("a descriptor")).stderr(hold.try_clone().expect("a descriptor"));
        assert!(command.status().expect("it runs").success(), "{program}");
        let exe = format!("/proc/{}/exe", pid(&machine, "exe"));
        wait_until("the program is ours", || {
            fs::read_link(&exe).is_ok_and(|link| link.to_string_lossy().contains("glassbox"))
        });
        let held = fs::File::open(&exe).expect("root may look");
        quiet(&["delete", "--force", "exe"]);
        assert_eq!(written(&held), Err(libc::EROFS), "{program}");
    }
    assert_eq!(fs::metadata(&binary).expect("it is there").modified().expect("a time"), before);
}

#[test]
fn no_descriptor_of_the_host_gets_in() {
    let machine = machine();
    let bundle = machine.bundle("descriptors");
    bundle.args(&[
        "sh",
        "-c",
        "for fd in /proc/self/fd/*; do if [ -e $fd ]; then echo ${fd##*/} $(readlink $fd); fi; done",
    ]);
    // The caller has a directory of the host open, close-on-exec being off, as a careless engine might.
    let line = format!("exec 5</ 9</etc/passwd; exec \"$GLASSBOX\" run --bundle {} fds </dev/null 2>&1", bundle.path());
    let ran = sh(&line);
    let leaked: Vec<_> = ran.stdout.lines().filter(|line| !["0", "1", "2"].contains(&&line[..1])).collect();
    assert_eq!((ran.status, leaked.len()), (0, 0), "{}", ran.stdout);
    assert_eq!(ran.stdout.lines().count(), 3, "{}", ran.stdout);
}

/// CVE-2024-21626: a working directory behind a descriptor that leads out.
#[test]
fn the_working_directory_lies_in_the_container() {
    let machine = machine();
    let bundle = machine.bundle("cwd");
    bundle.args(&["cat", "etc/hostname"]);
    for fd in 3..10 {
        bundle.edit(|config| config["process"]["cwd"] = format!("/proc/self/fd/{fd}").into());
        let line =
            format!("exec 3</ 4</; exec \"$GLASSBOX\" run --preserve-fds 2 --bundle {} cwd </dev/null", bundle.path());
        let ran = sh(&line);
        assert_eq!((ran.status, ran.stdout.as_str()), (1, ""), "{fd}: {}", ran.stderr);
        assert!(ran.stderr.contains(&format!("/proc/self/fd/{fd}")), "{fd}: {}", ran.stderr);
    }
    // And in one more process of a container that runs.
    bundle.args(&["sleep", "60"]);
    bundle.edit(|config| config["process"]["cwd"] = "/".into());
    machine.quiet(&["run", "--detach", "--bundle", bundle.path(), "cwd"]);
    for fd in 3..10 {
        let line = format!(
            "exec 3</ 4</; exec \"$GLASSBOX\" exec --preserve-fds 2 --cwd /proc/self/fd/{fd} cwd cat etc/hostname </dev/null"
        );
        let ran = sh(&line);
        assert_eq!((ran.status, ran.stdout.as_str()), (255, ""), "{fd}: {}", ran.stderr);
    }
    machine.quiet(&["delete", "--force", "cwd"]);
}

/// However a working directory came to lie outside: the kernel says so of its name (getcwd(2)), here by strace's hand, and the
/// program does not get it.
#[test]
fn a_working_directory_that_the_kernel_cannot_name_is_refused() {
    let machine = machine();
    let bundle = machine.bundle("unreachable");
    bundle.edit(|config| config["process"]["cwd"] = "/etc".into());
    bundle.args(&["echo", "it runs"]);
    // "(unreachable)/"
    let strace =
        "strace -f -o /dev/null -e trace=getcwd -e inject=getcwd:poke_exit=@arg1=28756e726561636861626c65292f00";
    let ran = sh(&format!("{strace} \"$GLASSBOX\" run --bundle {} far </dev/null", bundle.path()));
    assert_eq!((ran.status, ran.stdout.as_str()), (1, ""), "{}", ran.stderr);
    assert!(ran.stderr.contains("getcwd"), "{}", ran.stderr);
    bundle.args(&["sleep", "60"]);
    machine.quiet(&["run", "--detach", "--bundle", bundle.path(), "far"]);
    let ran = sh(&format!("{strace} \"$GLASSBOX\" exec far echo 'it runs' </dev/null"));
    assert_eq!((ran.status, ran.stdout.as_str()), (255, ""), "{}", ran.stderr);
    assert!(ran.stderr.contains("getcwd"), "{}", ran.stderr);
    machine.quiet(&["delete", "--force", "far"]);
}

#[test]
fn a_process_id_that_belongs_to_another_by_now_is_left_alone() {
    let machine = machine();
    let bundle = machine.bundle("reused");
    bundle.args(&["sleep", "60"]);
    machine.quiet(&["create", "--bundle", bundle.path(), "reused"]);
    let mut other = Command::new("sleep").arg("60").spawn().expect("sleep");
    let path = "/run/glassbox/reused/state.json";
    let mut record: Value = serde_json::from_slice(&fs::read(path).expect("it is there")).expect("JSON");
    let first = record["process"]["pid"].clone();
    record["process"]["pid"] = other.id().into();
    fs::write(path, record.to_string()).expect("root may");
    let state: Value = serde_json::from_str(&machine.glassbox(["state", "reused"]).stdout).expect("JSON");
    assert_eq!((&state["status"], &state["pid"]), (&json!("stopped"), &json!(0)));
    let killed = machine.glassbox(["kill", "reused", "KILL"]);
    assert!(killed.status == 1 && killed.stderr.contains("container not running"), "{}", killed.stderr);
    machine.quiet(&["delete", "--force", "reused"]);
    assert!(other.try_wait().expect("our child").is_none(), "the other process lives");
    assert!(!Path::new(&format!("/proc/{first}/exe")).exists(), "the cgroup has told who the container's was");
    other.kill().expect("our child");
    other.wait().expect("our child");
}

#[test]
fn cgroups_of_others_are_out_of_reach() {
    let machine = machine();
    let bundle = machine.bundle("cgroups");
    let good = bundle.config();
    for path in ["/../escape", "a/../../escape", "../escape"] {
        bundle.edit(|config| config["linux"]["cgroupsPath"] = path.into());
        refused(&machine, &bundle, &["linux.cgroupsPath", "contains \"..\""]);
    }
    for key in ["../cgroup.procs", "a/b", ".."] {
        bundle.edit(|config| {
            *config = good.clone();
            config["linux"]["resources"] = json!({"unified": {key: "0"}});
        });
        refused(&machine, &bundle, &["linux.resources.unified", "is not the name of a cgroup file"]);
    }
    let frozen = Path::new("/sys/fs/cgroup/frozen");
    fs::create_dir(frozen).expect("root may");
    fs::write(frozen.join("cgroup.freeze"), "1").expect("root may");
    bundle.edit(|config| {
        *config = good.clone();
        config["linux"]["cgroupsPath"] = "/frozen".into();
    });
    let output = machine.to_files(&["create", "--bundle", bundle.path(), "frozen"]);
    fs::write(frozen.join("cgroup.kill"), "1").expect("root may");
    fs::write(frozen.join("cgroup.freeze"), "0").expect("root may");
    assert!(output.status == 1 && output.stderr.contains("is frozen"), "{}: {}", output.status, output.stderr);
    fs::remove_dir(frozen).expect("it is empty");
    // Without a cgroup namespace a container sees its own part of the tree, and sees it only.
    bundle.edit(|config| {
        *config = good;
        config["linux"]["namespaces"].as_array_mut().expect("a list").retain(|namespace| namespace["type"] != "cgroup");
        let mounts = config["mounts"].as_array_mut().expect("a list");
        let cgroup = mounts.iter_mut().find(|mount| mount["type"] == "cgroup").expect("the template has one");
        cgroup["options"] = json!(["nosuid", "rw"]);
        config["linux"]["resources"] = json!({"pids": {"limit": 33}});
    });
    let ran = inside(&machine, &bundle, "cat /sys/fs/cgroup/pids.max; echo max >/sys/fs/cgroup/pids.max");
    assert_eq!(ran.stdout, "33\n", "{}", ran.stderr);
    assert!(ran.stderr.contains("Read-only file system"), "{}", ran.stderr);
}

#[test]
fn what_no_config_may_say_is_refused() {
    let machine = machine();
    let bundle = machine.bundle("words");
    let good = bundle.config();
    let cases: [(&str, Value, &str); 12] = [
        ("/process/args", json!(["tr\0ue"]), "process.args[0]"),
        ("/process/env", json!(["A=\0"]), "process.env[0]"),
        ("/process/cwd", json!("/\0"), "process.cwd"),
        ("/process/user/uid", json!(4_294_967_295_u32), "process.user.uid"),
        ("/process/user/gid", json!(4_294_967_295_u32), "process.user.gid"),
        ("/process/user/uid", json!(-1), "process.user"),
        ("/process/rlimits/0/soft", json!(u64::MAX), "process.rlimits[0]"),
        ("/mounts/1/destination", json!("/x/.."), "mounts[1].destination"),
        ("/mounts/1/options", json!(["mode=\0"]), "mounts[1].options"),
        ("/linux/namespaces/1/type", json!("pid"), "linux.namespaces"),
        ("/root/path", json!("root\0fs"), "root.path"),
        ("/ociVersion", json!("2.0.0"), "ociVersion"),
    ];
    for (pointer, value, field) in cases {
        bundle.edit(|config| {
            *config = good.clone();
            *config.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer} is there")) = value;
        });
        refused(&machine, &bundle, &[field]);
    }
}

#[test]
fn a_terminal_comes_from_devpts() {
    let machine = machine();
    let bundle = machine.bundle("terminal");
    bundle.edit(|config| {
        config["process"]["terminal"] = true.into();
        config["mounts"]
            .as_array_mut()
            .expect("a list")
            .retain(|mount| !mount["destination"].as_str().expect("a text").starts_with("/dev"));
        config["linux"]["maskedPaths"] = json!([]);
    });
    // A devpts of the container's own choice, where its lookalikes find terminals.
    add_mount(&bundle, json!({"destination": "/dev/pts/pts", "type": "devpts", "source": "devpts"}));
    let pts = bundle.rootfs().join("dev/pts");
    fs::create_dir_all(pts.join("pts")).expect("ours");
    for make in [
        "touch ptmx",
        "rm ptmx; ln -s ../ptmx ptmx",
        "rm ptmx; ln -s pts/ptmx ptmx",
        "rm ptmx; mknod ptmx c 1 3",
        "rm ptmx; mknod -m 666 ptmx c 5 2",
    ] {
        assert_eq!(sh(&format!("cd {}; {make}", pts.display())).status, 0);
        bundle.args(&["true"]);
        let output = machine.glassbox(["run", "--bundle", bundle.path(), "terminal"]);
        assert_eq!(output.status, 1, "{make}: {}", output.stdout);
        assert!(output.stderr.contains("open a terminal"), "{make}: {}", output.stderr);
    }
    // The multiplexer's own number on another file system, which opens: the kernel looks for a devpts beside it (CVE-2025-52565).
    let source = machine.directory().join("terminals");
    let source = source.display();
    let make = format!("mkdir {source} && mount -t tmpfs terminals {source} && mkdir {source}/pts");
    assert_eq!(sh(&format!("{make} && mknod -m 666 {source}/ptmx c 5 2")).status, 0);
    bundle.edit(|config| {
        let mounts = config["mounts"].as_array_mut().expect("a list");
        let bind = json!({"destination": "/dev/pts", "source": source.to_string(), "options": ["bind"]});
        mounts.insert(mounts.len() - 1, bind);
    });
    let output = machine.glassbox(["run", "--bundle", bundle.path(), "terminal"]);
    assert_eq!(sh(&format!("umount {source}")).status, 0);
    assert_eq!(output.status, 1, "{}", output.stdout);
    assert!(output.stderr.contains("open a terminal") && output.stderr.contains("ENOTTY"), "{}", output.stderr);
}

/// Without CAP_SYS_PTRACE, as a container's root is, nobody may look at a process of ours that enters its namespaces.
#[test]
fn a_process_of_ours_is_closed_to_those_without_power_over_it() {
    let machine = machine();
    let (there, comes) = (machine.bundle("there"), machine.bundle("comes"));
    for bundle in [&there, &comes] {
        bundle.args(&["sleep", "60"]);
    }
    machine.quiet(&["run", "--detach", "--bundle", there.path(), "there"]);
    let namespace = format!("/proc/{}/ns/pid", pid(&machine, "there"));
    comes.edit(|config| {
        for entry in config["linux"]["namespaces"].as_array_mut().expect("a list") {
            if entry["type"] == "pid" {
                entry["path"] = namespace.as_str().into();
            }
        }
    });
    machine.quiet(&["create", "--bundle", comes.path(), "comes"]);
    let pid = pid(&machine, "comes");
    let look = || sh(&format!("capsh --drop=cap_sys_ptrace -- -c 'readlink /proc/{pid}/exe'"));
    let ours = look();
    assert_eq!((ours.status, ours.stdout.as_str()), (1, ""), "{}", ours.stderr);
    machine.quiet(&["start", "comes"]);
    wait_until("the program can be seen, as any other", || look().stdout.contains("busybox"));
    machine.quiet(&["delete", "--force", "comes"]);
    machine.quiet(&["delete", "--force", "there"]);
}

#[test]
fn exec_is_held_to_what_the_start_was() {
    let machine = machine();
    let bundle = machine.bundle("held");
    bundle.args(&["sleep", "60"]);
    bundle.edit(|config| {
        config["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["unshare"], "action": "SCMP_ACT_ERRNO", "errnoRet": 99}]});
        config["process"]["user"]["additionalGids"] = json!([7]);
    });
    machine.quiet(&["run", "--detach", "--bundle", bundle.path(), "held"]);
    // What the bundle says by now is nobody's business.
    bundle.edit(|config| {
        config["linux"].as_object_mut().expect("an object").remove("seccomp");
        config["process"]["noNewPrivileges"] = false.into();
        config["process"]["capabilities"]["bounding"] = json!(["CAP_SYS_ADMIN", "CAP_SYS_PTRACE"]);
        config["process"]["capabilities"]["permitted"] = json!(["CAP_SYS_ADMIN"]);
        config["process"]["capabilities"]["effective"] = json!(["CAP_SYS_ADMIN"]);
    });
    let status = |process: &str| {
        let line =
            format!("grep -E '^(NoNewPrivs|Seccomp|Seccomp_filters|Cap...|Uid|Gid|Groups):' /proc/{process}/status");
        let ran = machine.glassbox(["exec", "held", "sh", "-c", &line]);
        assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
        ran.stdout
    };
    let (first, other) = (status("1"), status("self"));
    assert!(
        first.contains("NoNewPrivs:\t1") && first.contains("Seccomp:\t2") && first.contains("Groups:\t7"),
        "{first}"
    );
    assert_eq!(first, other);
    let inside = machine.glassbox(["exec", "held", "sh", "-c", "cat /proc/self/cgroup; readlink /proc/self/ns/*"]);
    let start = machine.glassbox(["exec", "held", "sh", "-c", "cat /proc/1/cgroup; readlink /proc/1/ns/*"]);
    assert_eq!(inside.stdout, start.stdout);
    machine.quiet(&["delete", "--force", "held"]);
}

#[test]
fn a_hook_that_does_not_end_is_ended_with_all_it_started() {
    let machine = machine();
    let bundle = machine.bundle("hook");
    bundle.args(&["true"]);
    // A child of the hook's holds its pipes open, and would outlive it.
    let hook = |timeout: u32, line: &str| json!([{"path": "/bin/sh", "args": ["sh", "-c", line], "timeout": timeout}]);
    bundle.edit(|config| config["hooks"] = json!({"createRuntime": hook(1, "sleep 300 & sleep 300")}));
    refused(&machine, &bundle, &["hooks.createRuntime[0]", "killed after its timeout of 1 s"]);
    // One that leaves the hook's process group is nobody's to end, and nobody's to wait for.
    let number = machine.directory().join("number");
    let leaves = format!("setsid sleep 300 & echo $! >{}; exit 3", number.display());
    for list in ["createRuntime", "startContainer"] {
        let leaves = if list == "startContainer" { "setsid sleep 300 & exit 3" } else { &leaves };
        bundle.edit(|config| config["hooks"] = json!({list: hook(60, leaves)}));
        let output = machine.to_files(&["run", "--detach", "--bundle", bundle.path(), "refused"]);
        if list == "createRuntime" {
            // Where the runtime had to be killed there are others to end as well.
            assert_eq!(sh(&format!("kill -9 $(cat {})", number.display())).status, 0, "it lives");
        }
        assert_eq!(output.status, 1, "{list}: {}", output.stderr);
        assert!(output.stderr.contains(&format!("hooks.{list}[0]: ")), "{list}: {}", output.stderr);
        assert!(output.stderr.contains("exit status 3"), "{list}: {}", output.stderr);
        machine.assert_clean();
    }
}

/// Killed before there is a process: the cgroup that was made is on record, and `delete` finds it.
#[test]
fn what_is_made_is_on_record_before_it_is_made() {
    let machine = machine();
    let bundle = machine.bundle("early");
    bundle.edit(|config| config["linux"]["cgroupsPath"] = "/above/early".into());
    let killed = sh(&format!(
        "strace -o /dev/null -e trace=clone3 -e inject=clone3:signal=KILL \"$GLASSBOX\" create --bundle {} early",
        bundle.path()
    ));
    assert_eq!((killed.status, killed.stdout.as_str()), (137, ""), "{}", killed.stderr);
    assert!(Path::new("/sys/fs/cgroup/above/early").is_dir(), "by then it is made");
    machine.quiet(&["delete", "--force", "early"]);
    machine.assert_clean();
}
