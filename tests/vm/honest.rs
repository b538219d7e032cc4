//! What is narrated is what is done: strace(1) watches glassbox while it narrates, and both must have seen the same
//! system calls, in the same order, in each process.
//!
//! What counts ([`changes`]) is every call that changes what somebody else can see, or what the program inherits: processes,
//! namespaces, mounts, files and directories, cgroups, ids, capabilities, limits, filters, names, devices, signals sent,
//! standard descriptors, the working directory and the root.
//!
//! What does not: reading and looking (open without O_CREAT, stat, getdents), memory, clocks, waiting, locks, descriptors that
//! stay our own (dup, close, fcntl, pipes, sockets without a name, memfd), what our own processes say to each other by
//! them, a thread that opens a netlink socket in another namespace and ends, how we handle signals ourselves, the name of
//! our thread, and what we print. Nor how glassbox itself comes to run: it begins anew from a file that nobody can write,
//! before it has read what it is to do.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::support::{Bundle, Machine, Output, machine, run, sh, wait_until};

/// A call as both tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Call {
    name: String,
    /// `0` and up are one: descriptors and process ids are compared where both give them.
    error: Option<String>,
    texts: Vec<String>,
    /// Names of flags and constants.
    words: Vec<String>,
}

/// Every call that can change something (x86-64), as strace is asked for them.
const CHANGING: [&str; 21] = [
    "clone,clone3,fork,vfork,execve,execveat,kill,tgkill,tkill,pidfd_send_signal,rt_sigqueueinfo",
    "unshare,setns,setsid,setpgid,chroot,pivot_root,chdir,fchdir,umask",
    "mount,umount2,fsopen,fsconfig,fsmount,fspick,move_mount,mount_setattr,open_tree",
    "mkdir,mkdirat,mknod,mknodat,symlink,symlinkat,link,linkat",
    "rename,renameat,renameat2,unlink,unlinkat,rmdir,sendfile,copy_file_range,splice",
    "chmod,fchmod,fchmodat,chown,fchown,lchown,fchownat,utimensat",
    "setxattr,lsetxattr,fsetxattr,removexattr,lremovexattr,fremovexattr",
    "sethostname,setdomainname,setrlimit,prlimit64,capset,seccomp,bpf,keyctl,add_key,prctl",
    "setuid,setgid,setreuid,setregid,setresuid,setresgid,setgroups,setfsuid,setfsgid",
    "sched_setaffinity,sched_setattr,sched_setscheduler,sched_setparam,ioprio_set,setpriority",
    "dup2,dup3,close_range,personality",
    "listen,bind,connect,sendto",
    "ioctl",
    "open,openat,openat2,creat",
    "write,pwrite64,writev,pwritev,pwritev2",
    "truncate,ftruncate,fallocate",
    "swapon,swapoff,reboot,settimeofday,clock_settime,adjtimex,clock_adjtime",
    "init_module,finit_module,delete_module,acct,quotactl",
    "shmget,msgget,semget,mq_open,mq_unlink",
    "ptrace,process_vm_writev",
    "landlock_restrict_self,io_uring_setup",
];

/// Whether a call of [`CHANGING`] changes something, by its arguments as strace shows them.
fn changes(name: &str, arguments: &str) -> bool {
    match name {
        "clone" | "clone3" => !arguments.contains("CLONE_THREAD"),
        "open_tree" => arguments.contains("OPEN_TREE_CLONE"),
        // A netlink socket's name is a number that nobody asks for; what is sent by it counts.
        "bind" | "connect" => !arguments.contains("AF_NETLINK"),
        "sendto" => REQUESTS.iter().any(|(_, request)| arguments.contains(&format!("nlmsg_type={request}"))),
        "prlimit64" => arguments.split(", ").nth(2).is_none_or(|new| new != "NULL"),
        "keyctl" => !arguments.starts_with("KEYCTL_DESCRIBE"),
        "prctl" => {
            ["PR_SET_DUMPABLE", "PR_SET_NO_NEW_PRIVS", "PR_SET_KEEPCAPS", "PR_CAPBSET_DROP", "PR_SET_PDEATHSIG"]
                .iter()
                .any(|option| arguments.starts_with(option))
                || arguments.contains("PR_CAP_AMBIENT_RAISE")
                || arguments.contains("PR_SET_SECUREBITS")
        }
        "ioctl" => ["SIOCS", "TIOCS", "TCSET"]
            .iter()
            .any(|request| arguments.split(", ").nth(1).is_some_and(|given| given.starts_with(request))),
        "open" | "openat" | "openat2" | "creat" => arguments.contains("O_CREAT") || arguments.contains("O_TRUNC"),
        // With -y a descriptor has its file behind it: a name, or <pipe:[1]>, <socket:[1]>, <anon_inode:…>, </memfd:…>.
        "write" | "pwrite64" | "writev" | "ftruncate" => {
            arguments.split_once('<').is_some_and(|(_, file)| file.starts_with('/') && !file.starts_with("/memfd:"))
        }
        _ => true,
    }
}

/// Requests of rtnetlink(7) that change something, with their numbers (linux/rtnetlink.h).
const REQUESTS: [(u32, &str); 7] = [
    (16, "RTM_NEWLINK"),
    (17, "RTM_DELLINK"),
    (19, "RTM_SETLINK"),
    (20, "RTM_NEWADDR"),
    (21, "RTM_DELADDR"),
    (24, "RTM_NEWROUTE"),
    (25, "RTM_DELROUTE"),
];

/// Of a socket of another network namespace strace does not know the protocol, and shows requests by their numbers.
fn with_names(arguments: &str) -> String {
    REQUESTS.iter().fold(arguments.to_string(), |text, (number, name)| {
        text.replace(&format!("nlmsg_type={number:#x} "), &format!("nlmsg_type={name} "))
    })
}

/// What strace saw of each process, in the order in which the processes first did something; the narration's own file is left out.
fn traced(trace: &str, narration: &Path) -> Vec<Vec<Call>> {
    let narration = narration.to_str().expect("UTF-8");
    let (mut order, mut seen, mut unfinished) = (Vec::new(), BTreeMap::<i32, Vec<Call>>::new(), BTreeMap::new());
    let (mut programs, mut threads) = (Vec::new(), Vec::new());
    for line in trace.lines() {
        let (pid, rest) = line.split_once(' ').expect("strace -f numbers each line");
        let (pid, rest): (i32, _) = (pid.parse().expect("a process id"), rest.trim_start());
        if let Some((begun, _)) = rest.split_once(" <unfinished ...>") {
            unfinished.insert(pid, begun.to_string());
            continue;
        }
        let whole = match rest.strip_prefix("<... ").and_then(|rest| rest.split_once(" resumed>")) {
            Some((_, end)) => format!("{}{end}", unfinished.remove(&pid).expect("it was begun")),
            None => rest.to_string(),
        };
        let Some((name, rest)) = whole.split_once('(') else { continue };
        let Some((arguments, result)) = rest.rsplit_once(" = ") else { continue };
        let arguments = &with_names(arguments);
        if !order.contains(&pid) {
            order.push(pid);
        }
        if name.starts_with("clone") && arguments.contains("CLONE_THREAD") {
            threads.extend(result.split(' ').next().and_then(|thread| thread.parse::<i32>().ok()));
        }
        let executed = name.starts_with("execve") && result.starts_with('0');
        let calls = seen.entry(pid).or_default();
        if executed && pid == order[0] {
            // glassbox itself, anew: what came before is how it came to run.
            calls.clear();
            continue;
        }
        // What a program does is its own business.
        if programs.contains(&pid) || !changes(name, arguments) || arguments.contains(narration) {
            continue;
        }
        let error = result.starts_with("-1 ").then(|| result.split(' ').nth(1).unwrap_or_default().to_string());
        let arguments = arguments.trim_end().trim_end_matches(')');
        calls.push(Call { name: name.to_string(), error, texts: texts(arguments), words: words(arguments) });
        if executed {
            programs.push(pid);
        }
    }
    // A thread may be seen before the call that made it has returned. It may go elsewhere: it takes nobody along.
    for thread in threads {
        if let Some(calls) = seen.get_mut(&thread) {
            calls.retain(|call| call.name != "setns");
        }
    }
    order.iter().filter_map(|pid| seen.remove(pid)).filter(|calls| !calls.is_empty()).collect()
}

/// What stands in double quotes, as it was: escapes undone.
fn texts(arguments: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut letters = arguments.chars();
    while letters.by_ref().any(|letter| letter == '"') {
        let mut text = String::new();
        while let Some(letter) = letters.next() {
            match letter {
                '"' => break,
                '\\' => text.push(match letters.next() {
                    Some('n') => '\n',
                    Some('t') => '\t',
                    Some(other) => other,
                    None => break,
                }),
                letter => text.push(letter),
            }
        }
        found.push(text);
    }
    found
}

/// Names in capitals: `MNT_DETACH`, and each of `MS_REC|MS_SLAVE`.
fn words(arguments: &str) -> Vec<String> {
    let outside: String = arguments.split('"').step_by(2).collect::<Vec<_>>().join(" ");
    let is_name = |word: &&str| {
        word.contains('_') && word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
    };
    outside.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).filter(is_name).map(str::to_string).collect()
}

/// What the narration tells of each process: glassbox, the one in between, the container's, hooks.
fn narrated(text: &str) -> Vec<(String, Call)> {
    let mut told = Vec::new();
    for line in text.lines() {
        let step: Value = serde_json::from_str(line).expect("an object a line");
        for call in step["calls"].as_array().expect("calls") {
            let arguments: Vec<_> =
                call["arguments"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
            let arguments = arguments.join(", ");
            let error = call["error"].as_str().map(|error| error.split(' ').next().unwrap_or_default().to_string());
            let call = Call {
                name: call["call"].as_str().expect("a name").to_string(),
                error,
                texts: texts(&arguments),
                words: words(&arguments),
            };
            told.push((step["calls"][0]["process"].as_str().expect("who").to_string(), call));
        }
    }
    told
}

/// By process, in the order in which each first did something; a hook or helper is told within the step of its maker.
fn by_process(text: &str) -> Vec<Vec<Call>> {
    let mut processes: Vec<(String, Vec<Call>)> = Vec::new();
    for line in text.lines() {
        let step: Value = serde_json::from_str(line).expect("an object a line");
        let mut hook = None;
        for (index, call) in step["calls"].as_array().expect("calls").iter().enumerate() {
            let who = call["process"].as_str().expect("who");
            let one = narrated(&json!({ "calls": [call] }).to_string()).remove(0).1;
            let at = match who {
                "hook" | "helper" => *hook.get_or_insert_with(|| {
                    processes.push((format!("{who} {index}"), Vec::new()));
                    processes.len() - 1
                }),
                who => processes.iter().position(|(name, _)| name == who).unwrap_or_else(|| {
                    processes.push((who.to_string(), Vec::new()));
                    processes.len() - 1
                }),
            };
            processes[at].1.push(one);
        }
    }
    processes.into_iter().map(|(_, calls)| calls).collect()
}

/// The narration cuts long texts, and shows of some structures nothing or a part.
fn same(told: &Call, seen: &Call) -> bool {
    let text = |(told, seen): (&String, &String)| told == seen || told.len() >= 300 && seen.starts_with(told.as_str());
    let texts = match told.name.as_str() {
        "execve" => told.texts.first() == seen.texts.first(),
        "bpf" | "sendto" => true,
        _ => told.texts.len() == seen.texts.len() && told.texts.iter().zip(&seen.texts).all(text),
    };
    told.name == seen.name
        && told.error == seen.error
        && texts
        && told.words.iter().all(|word| seen.words.contains(word))
}

/// Runs glassbox under strace, narrating, and compares.
fn honest(machine: &Machine, what: &str, verb: &[&str]) -> Output {
    honest_until(machine, what, verb, || {})
}

/// The same, with what has to be done before strace ends: it stays with a created container.
fn honest_until(machine: &Machine, what: &str, verb: &[&str], end: impl FnOnce() + Send) -> Output {
    let (trace, narration) = (machine.directory().join("trace"), machine.directory().join("narration"));
    let narrate = format!("--narrate={}", narration.display());
    let mut command = Command::new("strace");
    // Other calls are not stopped at: that is most of the time that tracing takes.
    command.args(["-f", "--seccomp-bpf", "-y", "-qq", "-s", "400", "--signal=none", "-e"]);
    command.arg(format!("trace={}", CHANGING.join(","))).arg("-o").arg(&trace).arg(machine.binary());
    command.args(&verb[..1]).arg(narrate).arg("--format=json").args(&verb[1..]);
    let ran = std::thread::scope(|scope| {
        let ran = scope.spawn(|| run(&mut command));
        end();
        ran.join().expect("strace runs")
    });
    let read = |path: &Path| String::from_utf8_lossy(&fs::read(path).expect("it was written")).into_owned();
    let (seen, told) = (traced(&read(&trace), &narration), by_process(&read(&narration)));
    let counts = |all: &[Vec<Call>]| all.iter().map(Vec::len).collect::<Vec<_>>();
    for (told, seen) in told.iter().zip(&seen) {
        for (index, (told, seen)) in told.iter().zip(seen).enumerate() {
            assert!(same(told, seen), "{what}: call {index}\n told: {told:?}\n seen: {seen:?}\n{ran:?}");
        }
    }
    let ends = |all: &[Vec<Call>]| all.iter().map(|calls| calls.last().cloned()).collect::<Vec<_>>();
    assert_eq!(counts(&told), counts(&seen), "{what}: {ran:?}\n told: {:?}\n seen: {:?}", ends(&told), ends(&seen));
    ran
}

/// A bundle, changed, that is run to its end.
fn honest_run(machine: &Machine, bundle: &Bundle, what: &str, change: impl FnOnce(&mut Value)) {
    let before = bundle.config();
    bundle.edit(change);
    let ran = honest(machine, what, &["run", "--bundle", bundle.path(), "honest"]);
    assert_eq!((ran.status, ran.stdout.trim()), (0, "done"), "{what}: {}", ran.stderr);
    bundle.edit(|config| *config = before);
    machine.assert_clean();
}

fn namespace(config: &mut Value, kind: &str, path: Option<&str>) {
    let list = config["linux"]["namespaces"].as_array_mut().expect("a list");
    list.retain(|entry| entry["type"] != kind);
    list.push(path.map_or_else(|| json!({"type": kind}), |path| json!({"type": kind, "path": path})));
}

#[test]
fn every_call_of_a_start_is_narrated_and_nothing_else_is() {
    let machine = machine();
    let bundle = machine.bundle("honest");
    bundle.args(&["echo", "done"]);
    let run = |what: &str, change: fn(&mut Value)| honest_run(&machine, &bundle, what, change);
    run("as spec makes it", |_| {});
    run("a time namespace, sysctls and a joined network", |config| {
        namespace(config, "time", None);
        namespace(config, "network", Some("/proc/1/ns/net"));
        config["linux"]["timeOffsets"] = json!({"monotonic": {"secs": 86400}});
        config["linux"]["sysctl"] = json!({"kernel.shmmax": "65536", "kernel.domainname": "example"});
        config["domainname"] = "other".into();
    });
    run("a joined PID namespace", |config| namespace(config, "pid", Some("/proc/1/ns/pid")));
    run("hooks", |config| {
        let hook = json!([{"path": "/bin/true", "args": ["true"]}]);
        config["hooks"] = json!({
            "createRuntime": hook, "createContainer": hook, "startContainer": hook, "poststart": hook,
        });
    });
    run("a filter before no_new_privs, and all about the process", |config| {
        config["linux"]["seccomp"] = json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}],
        });
        config["process"]["noNewPrivileges"] = false.into();
        config["process"]["user"] = json!({"uid": 1000, "gid": 1000, "additionalGids": [5, 6], "umask": 23});
        config["process"]["capabilities"]["inheritable"] = json!(["CAP_KILL"]);
        config["process"]["capabilities"]["ambient"] = json!(["CAP_KILL"]);
        config["process"]["oomScoreAdj"] = 100.into();
        config["process"]["scheduler"] = json!({"policy": "SCHED_BATCH", "nice": 5});
        config["process"]["ioPriority"] = json!({"class": "IOPRIO_CLASS_BE", "priority": 4});
    });
    run("a filter behind no_new_privs", |config| {
        let allowed =
            ["execve", "write", "exit_group", "brk", "arch_prctl", "set_tid_address", "set_robust_list", "rseq"];
        let more = ["prlimit64", "readlink", "getrandom", "mprotect", "newfstatat", "fstat", "getuid", "ioctl", "mmap"];
        let names = [&allowed[..], &more[..]].concat();
        config["linux"]["seccomp"] = json!({
            "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": names, "action": "SCMP_ACT_ALLOW"}],
        });
    });
    run("mounts", |config| {
        let mounts = config["mounts"].as_array_mut().expect("a list");
        mounts.push(json!({"destination": "/data", "source": "/etc", "options": ["rbind", "ro", "nosuid", "rslave"]}));
        mounts.push(json!({"destination": "/etc", "type": "tmpfs", "source": "t", "options": ["tmpcopyup"]}));
        mounts.push(json!({"destination": "/data2/file", "source": "/etc/passwd", "options": ["bind"]}));
        config["root"]["readonly"] = true.into();
        config["linux"]["rootfsPropagation"] = "private".into();
        config["linux"]["devices"] =
            json!([{"path": "/dev/more", "type": "c", "major": 1, "minor": 3, "uid": 5, "gid": 6, "fileMode": 0o600}]);
    });
    run("a user namespace", |config| {
        namespace(config, "user", None);
        let map = json!([{"containerID": 0, "hostID": 0, "size": 65536}]);
        config["linux"]["uidMappings"] = map.clone();
        config["linux"]["gidMappings"] = map;
    });
    run("limits", |config| {
        config["linux"]["cgroupsPath"] = "/above/honest".into();
        config["linux"]["resources"] = json!({
            "memory": {"limit": 64 << 20, "reservation": 32 << 20, "swap": 128 << 20}, "pids": {"limit": 50},
            "cpu": {"quota": 50_000, "period": 100_000, "shares": 512, "cpus": "0"}, "unified": {"memory.oom.group": "1"},
        });
    });
}

/// Steps in which more than one process has a part, and changes of what is there already.
#[test]
fn owners_of_mounts_devices_of_the_net_and_remounts_are_narrated_as_they_are() {
    let machine = machine();
    let bundle = machine.bundle("honest");
    bundle.args(&["echo", "done"]);
    let owned = tempfile::tempdir_in("/var/tmp").expect("the disk is writable");
    honest_run(&machine, &bundle, "a remount and a personality", |config| {
        let mounts = config["mounts"].as_array_mut().expect("a list");
        mounts.push(json!({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"}));
        mounts.push(json!({"destination": "/tmp", "options": ["remount", "size=1m", "noexec"]}));
        config["linux"]["personality"] = json!({"domain": "LINUX"});
    });
    honest_run(&machine, &bundle, "a mount with maps of its own", |config| {
        let map = json!([{"containerID": 0, "hostID": 100_000, "size": 1000}]);
        let mount = json!({
            "destination": "/data", "source": owned.path(), "options": ["rbind", "ridmap"],
            "uidMappings": map, "gidMappings": map,
        });
        config["mounts"].as_array_mut().expect("a list").push(mount);
    });
    assert_eq!(sh("ip link add gb7 type veth peer name gb8 && ip address add 10.9.6.7/24 dev gb7").stderr, "");
    honest_run(&machine, &bundle, "a network device", |config| {
        config["linux"]["netDevices"] = json!({"gb7": {"name": "eth7"}});
    });
    wait_until("the pair is gone", || !Path::new("/sys/class/net/gb8").exists());
}

#[test]
fn create_exec_a_terminal_and_a_failed_start_are_narrated_as_they_are() {
    let machine = machine();
    let bundle = machine.bundle("honest");
    bundle.args(&["sleep", "300"]);
    let pid_file = machine.directory().join("pid");
    let pid_file = pid_file.to_str().expect("UTF-8");
    let verb = ["create", "--pid-file", pid_file, "--bundle", bundle.path(), "honest"];
    let created = honest_until(&machine, "create", &verb, || {
        // Without an end strace would stay for ever: a test that panicked here would never come back.
        let deadline = Instant::now() + Duration::from_secs(60);
        while !Path::new(pid_file).exists() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        machine.quiet(&["delete", "--force", "honest"]);
    });
    assert_eq!((created.status, created.stderr.as_str()), (0, ""));

    machine.quiet(&["run", "--detach", "--bundle", bundle.path(), "honest"]);
    let ran = honest(&machine, "exec", &["exec", "-u", "1000:1000", "--cwd", "/tmp", "honest", "echo", "done"]);
    assert_eq!((ran.status, ran.stdout.as_str()), (0, "done\n"), "{}", ran.stderr);
    machine.quiet(&["delete", "--force", "honest"]);

    bundle.args(&["echo", "done"]);
    bundle.edit(|config| config["process"]["terminal"] = true.into());
    let ran = honest(&machine, "a terminal", &["run", "--bundle", bundle.path(), "honest"]);
    assert_eq!((ran.status, ran.stdout.as_str()), (0, "done\r\n"), "{}", ran.stderr);

    bundle.edit(|config| {
        let mount = json!({"destination": "/data", "source": "/nosuch", "options": ["bind"]});
        config["mounts"].as_array_mut().expect("a list").push(mount);
    });
    let ran = honest(&machine, "a failed start", &["run", "--bundle", bundle.path(), "honest"]);
    assert!(ran.status == 1 && ran.stderr.contains("open_tree = ENOENT"), "{ran:?}");
}

/// The whole story is told before the program's first word, also where both go to one place.
#[test]
fn the_story_comes_before_the_program_s_first_word() {
    let machine = machine();
    let bundle = machine.bundle("honest");
    bundle.args(&["sh", "-c", "echo first >&2"]);
    let ran = sh(&format!("{} run --narrate --lang=zh --bundle {} honest", machine.binary().display(), bundle.path()));
    assert_eq!((ran.status, ran.stdout.as_str()), (0, ""));
    let (story, end) = ran.stderr.split_once("\nfirst\n").expect("the program's own line");
    assert!(story.contains("变成程序") && story.contains("pivot_root(\".\", \".\") = 0"), "{story}");
    assert!(end.contains("删除容器"), "{end}");
}
