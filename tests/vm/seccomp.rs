//! System call filters on a real kernel. Where a busybox program would not make the call in question, a program of a few
//! bytes does: it makes one call and exits with the errno.

use std::fs;
use std::io::{Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use serde_json::{Value, json};

use crate::support::{Bundle, Machine, Output, machine};

/// 128 and SIGSYS: the end of a process whose filter kills.
const KILLED: i32 = 128 + 31;
const GETPID: u32 = 39;
const EXIT: u32 = 60;

fn filtered(machine: &Machine, name: &str, seccomp: Value) -> Bundle {
    let bundle = machine.bundle(name);
    bundle.edit(|config| config["linux"]["seccomp"] = seccomp);
    bundle
}

/// Runs a line of shell in a container of the bundle.
fn inside(machine: &Machine, bundle: &Bundle, line: &str) -> Output {
    bundle.args(&["sh", "-c", line]);
    machine.glassbox(["run", "--bundle", bundle.path(), "filtered"])
}

/// Puts a program into the rootfs that makes one call and exits with its errno, and makes it the container's.
fn probe(bundle: &Bundle, number: u32, args: [u64; 3]) {
    let mut code = vec![0x48, 0xbf];
    code.extend(args[0].to_le_bytes()); // mov rdi, …
    code.extend([0x48, 0xbe]);
    code.extend(args[1].to_le_bytes()); // mov rsi, …
    code.extend([0x48, 0xba]);
    code.extend(args[2].to_le_bytes()); // mov rdx, …
    code.push(0xb8);
    code.extend(number.to_le_bytes()); // mov eax, number
    code.extend([0x0f, 0x05, 0xf7, 0xd8, 0x89, 0xc7]); // syscall; neg eax; mov edi, eax
    code.push(0xb8);
    code.extend(EXIT.to_le_bytes());
    code.extend([0x0f, 0x05]);
    install(bundle, &elf(2, 0x3e, &code));
}

/// The same by the system calls of a 32-bit program (int 0x80).
fn probe32(bundle: &Bundle, number: u32) {
    let mut code = vec![0xb8];
    code.extend(number.to_le_bytes());
    code.extend([0xcd, 0x80, 0xf7, 0xd8, 0x89, 0xc3, 0xb8, 1, 0, 0, 0, 0xcd, 0x80]); // exit is 1
    install(bundle, &elf(1, 3, &code));
}

fn install(bundle: &Bundle, program: &[u8]) {
    let path = bundle.rootfs().join("probe");
    fs::write(&path, program).expect("the rootfs is ours");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("ours");
    bundle.args(&["/probe"]);
}

/// An ELF program (elf(5)) of one segment; class 1 has 32 bits and class 2 has 64.
fn elf(class: u8, machine: u16, code: &[u8]) -> Vec<u8> {
    let wide = class == 2;
    let (header, segment) = if wide { (64_u16, 56_u16) } else { (52, 32) };
    let base: u64 = 0x40_0000;
    let start = u64::from(header + segment);
    let size = start + code.len() as u64;
    let mut file = vec![0x7f, b'E', b'L', b'F', class, 1, 1];
    file.resize(16, 0);
    let word = |file: &mut Vec<u8>, value: u64| match wide {
        true => file.extend(value.to_le_bytes()),
        false => file.extend((value as u32).to_le_bytes()),
    };
    file.extend([2, 0]); // an executable
    file.extend(machine.to_le_bytes());
    file.extend(1_u32.to_le_bytes());
    word(&mut file, base + start); // entry
    word(&mut file, u64::from(header)); // the segment's header
    word(&mut file, 0); // no sections
    file.extend(0_u32.to_le_bytes());
    for half in [header, segment, 1, 0, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    file.extend(1_u32.to_le_bytes()); // loaded
    if wide {
        file.extend(5_u32.to_le_bytes()); // readable, executable
    }
    for value in [0, base, base, size, size] {
        word(&mut file, value);
    }
    if !wide {
        file.extend(5_u32.to_le_bytes());
    }
    word(&mut file, 0x1000);
    file.extend(code);
    file
}

fn status(machine: &Machine, bundle: &Bundle) -> i32 {
    let ran = machine.glassbox(["run", "--bundle", bundle.path(), "filtered"]);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""));
    ran.status
}

fn getpid(action: &str) -> Value {
    json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["getpid"], "action": action}]})
}

#[test]
fn a_call_fails_or_kills_as_the_profile_says_with_and_without_no_new_privileges() {
    let machine = machine();
    let bundle = filtered(&machine, "actions", getpid("SCMP_ACT_ERRNO"));
    for confined in [true, false] {
        bundle.edit(|config| config["process"]["noNewPrivileges"] = confined.into());
        let mut ended = Vec::new();
        for (action, errno) in [
            ("SCMP_ACT_ERRNO", Some(77)),
            ("SCMP_ACT_KILL", None),
            ("SCMP_ACT_KILL_PROCESS", None),
            ("SCMP_ACT_TRAP", None),
            ("SCMP_ACT_LOG", None),
        ] {
            bundle.edit(|config| {
                config["linux"]["seccomp"] = getpid(action);
                if let Some(errno) = errno {
                    config["linux"]["seccomp"]["syscalls"][0]["errnoRet"] = errno.into();
                }
            });
            probe(&bundle, GETPID, [0; 3]);
            ended.push(status(&machine, &bundle));
        }
        // In its PID namespace the program is 1, which it exits with as it does with an errno, negated: 255.
        assert_eq!(ended, [77, KILLED, KILLED, KILLED, 255], "noNewPrivileges {confined}");
        let mode = inside(&machine, &bundle, "grep -E 'NoNewPrivs|Seccomp:' /proc/self/status").stdout;
        assert_eq!(mode, format!("NoNewPrivs:\t{}\nSeccomp:\t2\n", u8::from(confined)));
    }
}

#[test]
fn arguments_are_compared_in_all_their_64_bits() {
    let machine = machine();
    let bundle = machine.bundle("arguments");
    let cases = [
        (json!({"index": 2, "op": "SCMP_CMP_EQ", "value": 0x1_0000_0002_u64}), 0x1_0000_0002_u64, 2),
        (json!({"index": 2, "op": "SCMP_CMP_NE", "value": 3}), 0x1_0000_0003, 0x2_0000_0003),
        (json!({"index": 2, "op": "SCMP_CMP_GT", "value": 0xffff_ffff_u64}), 1 << 32, 0xffff_ffff),
        (json!({"index": 2, "op": "SCMP_CMP_LE", "value": 9}), 9, 1 << 32),
        (json!({"index": 2, "op": "SCMP_CMP_MASKED_EQ", "value": 0xf0, "valueTwo": 0x50}), 0xabc5f, 0xabc6f),
    ];
    for (arg, hit, miss) in cases {
        // SCMP_CMP_NE is hit by its second number too.
        let missed = if arg["op"] == "SCMP_CMP_NE" { 55 } else { 255 };
        bundle.edit(|config| {
            config["linux"]["seccomp"] = getpid("SCMP_ACT_ERRNO");
            config["linux"]["seccomp"]["syscalls"][0]["errnoRet"] = 55.into();
            config["linux"]["seccomp"]["syscalls"][0]["args"] = json!([arg]);
        });
        probe(&bundle, GETPID, [0, 0, hit]);
        assert_eq!(status(&machine, &bundle), 55, "{arg} {hit:#x}");
        probe(&bundle, GETPID, [0, 0, miss]);
        assert_eq!(status(&machine, &bundle), missed, "{arg} {miss:#x}");
    }
}

#[test]
fn programs_of_another_architecture_are_filtered_by_their_own_numbers_or_killed() {
    let machine = machine();
    let mut profile = getpid("SCMP_ACT_ERRNO");
    profile["syscalls"][0]["errnoRet"] = 66.into();
    let bundle = filtered(&machine, "architectures", profile);
    // getpid is 20 in a 32-bit program, and 39 is mkdir there: EFAULT (14) says that the call was let through.
    probe32(&bundle, 20);
    assert_eq!(status(&machine, &bundle), KILLED);
    bundle.edit(|config| config["linux"]["seccomp"]["architectures"] = json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]));
    assert_eq!(status(&machine, &bundle), 66);
    probe32(&bundle, 39);
    assert_eq!(status(&machine, &bundle), 14);
    probe(&bundle, GETPID, [0; 3]);
    assert_eq!(status(&machine, &bundle), 66);
    probe(&bundle, 0x4000_0000 | GETPID, [0; 3]);
    assert_eq!(status(&machine, &bundle), KILLED, "x32 is not in the list");
}

/// With noNewPrivileges the filter is loaded last of all: a profile needs to allow execve and what the program does.
#[test]
fn the_start_itself_needs_no_more_than_execve() {
    let machine = machine();
    let profile = json!({"defaultAction": "SCMP_ACT_KILL_PROCESS", "syscalls": [
        {"names": ["execve", "getpid", "exit"], "action": "SCMP_ACT_ALLOW"}]});
    let bundle = filtered(&machine, "least", profile);
    probe(&bundle, GETPID, [0; 3]);
    assert_eq!(status(&machine, &bundle), 255);
    machine.quiet(&["create", "--bundle", bundle.path(), "least"]);
    machine.quiet(&["start", "least"]);
    machine.quiet(&["delete", "--force", "least"]);
    bundle.edit(|config| config["process"]["noNewPrivileges"] = false.into());
    let refused = machine.glassbox(["run", "--bundle", bundle.path(), "least"]);
    assert_eq!(refused.status, 1);
    assert!(refused.stderr.contains("ended before it was ready"), "{}", refused.stderr);
    assert!(refused.stderr.contains("hint: The filter of linux.seccomp may forbid"), "{}", refused.stderr);
}

#[test]
fn the_profile_of_docker_lets_ordinary_programs_work_and_unknown_calls_not_exist() {
    let machine = machine();
    let profile: Value = serde_json::from_str(include_str!("docker-profile.json")).expect("JSON");
    let bundle = filtered(&machine, "docker", profile);
    for confined in [true, false] {
        bundle.edit(|config| config["process"]["noNewPrivileges"] = confined.into());
        bundle.edit(|config| config["root"]["readonly"] = false.into());
        let work = "set -e; mkdir d; cd d; echo x | tr x y >f; cat f; ln -s f l; ls; rm -r ../d; id -u; sleep 0.01; \
            (exit 3) || echo $?; seq 3 | sort -r | head -1";
        let ran = inside(&machine, &bundle, work);
        assert_eq!((ran.status, ran.stdout.as_str(), ran.stderr.as_str()), (0, "y\nf\nl\n0\n3\n3\n", ""));
        let refused = inside(&machine, &bundle, "unshare -m true; mount -t tmpfs x /mnt");
        assert!(refused.stderr.contains("unshare(0x20000): Operation not permitted"), "{}", refused.stderr);
        // add_key is known and not allowed; clone3 is to be seen as unknown; no kernel has a call 1000 yet.
        for (number, errno) in [(248, 1), (435, 38), (1000, 38)] {
            probe(&bundle, number, [0; 3]);
            assert_eq!(status(&machine, &bundle), errno, "{number}");
        }
    }
}

#[test]
fn what_is_wrong_with_a_profile_is_told_and_leaves_nothing() {
    let machine = machine();
    let bundle = machine.bundle("wrong");
    let cases = [
        (json!({"defaultAction": "SCMP_ACT_MAYBE"}), "linux.seccomp.defaultAction"),
        (
            json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_Z80"]}),
            "linux.seccomp.architectures[0]",
        ),
        (
            json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_S390X"]}),
            "linux.seccomp.architectures[0]",
        ),
        (json!({"defaultAction": "SCMP_ACT_ALLOW", "flags": ["X"]}), "linux.seccomp.flags[0]"),
        (getpid("SCMP_ACT_NOTIFY"), "linux.seccomp.listenerPath: is required"),
    ];
    for (profile, field) in cases {
        bundle.edit(|config| config["linux"]["seccomp"] = profile);
        let refused = machine.glassbox(["create", "--bundle", bundle.path(), "wrong"]);
        assert_eq!(refused.status, 1, "{field}");
        assert!(refused.stderr.contains(field), "{field}: {}", refused.stderr);
        machine.assert_clean();
    }
}

/// What came over one connection: the text, and the descriptor beside its first bytes.
fn accepted(mut connection: UnixStream) -> (Value, OwnedFd) {
    let mut bytes = [0; 4096];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let buffers = &mut [std::io::IoSliceMut::new(&mut bytes)];
    let received = recvmsg(&connection, buffers, &mut control, RecvFlags::CMSG_CLOEXEC).expect("a message");
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(more) = message {
            descriptors.extend(more);
        }
    }
    let mut text = bytes[..received.bytes].to_vec();
    connection.read_to_end(&mut text).expect("the connection is closed after one message");
    assert_eq!(descriptors.len(), 1);
    (serde_json::from_slice(&text).expect("JSON"), descriptors.remove(0))
}

/// Answers one notification: the call fails with this errno, or goes on. Whose it was, and which.
#[allow(unsafe_code)]
fn answer(listener: &OwnedFd, errno: Option<i32>) -> (u32, u32) {
    // linux/seccomp.h: struct seccomp_notif is id (u64), pid, flags (u32), then struct seccomp_data, whose first field is
    // the call's number; struct seccomp_notif_resp is id (u64), val (i64), error, flags (u32).
    const RECEIVE: libc::c_ulong = 0xc050_2100;
    const SEND: libc::c_ulong = 0xc018_2101;
    let (mut notification, mut response) = ([0_u64; 10], [0_u64; 3]);
    // SAFETY: the kernel writes 80 bytes, as the request's number says, into a buffer of 80.
    let received = unsafe { libc::ioctl(listener.as_fd().as_raw_fd(), RECEIVE, notification.as_mut_ptr()) };
    assert_eq!(received, 0, "{}", std::io::Error::last_os_error());
    response[0] = notification[0];
    response[2] = match errno {
        Some(errno) => u64::from((-errno) as u32),
        None => 1 << 32, // SECCOMP_USER_NOTIF_FLAG_CONTINUE
    };
    // SAFETY: the kernel reads 24 bytes, as the request's number says, of a buffer of 24.
    let sent = unsafe { libc::ioctl(listener.as_fd().as_raw_fd(), SEND, response.as_mut_ptr()) };
    assert_eq!(sent, 0, "{}", std::io::Error::last_os_error());
    (notification[1] as u32, notification[2] as u32)
}

#[test]
fn an_agent_decides_on_calls_and_is_told_of_whom() {
    let machine = machine();
    let socket = machine.directory().join("agent.sock");
    let agent = UnixListener::bind(&socket).expect("a new socket");
    let profile = json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": socket, "listenerMetadata": "for you",
        "flags": ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"],
        "syscalls": [{"names": ["getpid"], "action": "SCMP_ACT_NOTIFY"}]});
    let bundle = filtered(&machine, "agent", profile);
    bundle.edit(|config| config["annotations"] = json!({"a": "b"}));
    for confined in [true, false] {
        bundle.edit(|config| config["process"]["noNewPrivileges"] = confined.into());
        probe(&bundle, GETPID, [0; 3]);
        let heard = std::thread::scope(|scope| {
            let agent = scope.spawn(|| {
                let (state, listener) = accepted(agent.accept().expect("a connection").0);
                let (pid, number) = answer(&listener, Some(88));
                (state, pid, number)
            });
            assert_eq!(status(&machine, &bundle), 88, "what the agent said");
            agent.join().expect("the agent")
        });
        let (state, pid, number) = heard;
        assert_eq!(number, GETPID);
        let version = bundle.config()["ociVersion"].clone();
        let expected = json!({"ociVersion": version, "fds": ["seccompFd"], "pid": pid, "metadata": "for you", "state": {
            "ociVersion": version, "id": "filtered", "status": "creating", "pid": pid, "bundle": bundle.path(),
            "annotations": {"a": "b"}}});
        assert_eq!(state, expected);
    }
}

#[test]
fn the_agent_may_be_asked_about_the_calls_of_the_start_itself() {
    let machine = machine();
    let socket = machine.directory().join("agent.sock");
    let agent = UnixListener::bind(&socket).expect("a new socket");
    let profile = json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": socket, "syscalls": [
        {"names": ["setresuid", "sendmsg"], "action": "SCMP_ACT_NOTIFY"}]});
    let bundle = filtered(&machine, "asked", profile);
    bundle.edit(|config| config["process"]["noNewPrivileges"] = false.into());
    bundle.args(&["true"]);
    let numbers = std::thread::scope(|scope| {
        let agent = scope.spawn(|| {
            let (_, listener) = accepted(agent.accept().expect("a connection").0);
            (answer(&listener, None).1, answer(&listener, None).1)
        });
        assert_eq!(status(&machine, &bundle), 0);
        agent.join().expect("the agent")
    });
    assert_eq!(numbers, (117, 46), "setresuid, and sendmsg by which the process says that it is ready");
}

#[test]
fn without_its_agent_a_container_is_not_created() {
    let machine = machine();
    let socket = machine.directory().join("agent.sock");
    let mut profile = getpid("SCMP_ACT_NOTIFY");
    profile["listenerPath"] = json!(socket);
    let bundle = filtered(&machine, "alone", profile);
    bundle.args(&["true"]);
    let refused = |said: &str| {
        let refused = machine.glassbox(["create", "--bundle", bundle.path(), "alone"]);
        assert_eq!(refused.status, 1);
        assert!(refused.stderr.contains("linux.seccomp.listenerPath: reach the agent at"), "{}", refused.stderr);
        assert!(refused.stderr.contains(said), "{}", refused.stderr);
        machine.assert_clean();
    };
    refused("ENOENT");
    drop(UnixListener::bind(&socket).expect("a new socket"));
    refused("ECONNREFUSED");
    fs::remove_file(&socket).expect("ours");
    let mut file = fs::File::create(&socket).expect("ours");
    file.write_all(b"no socket").expect("ours");
    refused("ECONNREFUSED");
}

/// An agent that goes away lets the calls fail with ENOSYS: the process itself holds nothing open.
#[test]
fn when_the_agent_goes_away_calls_fail() {
    let machine = machine();
    let socket = machine.directory().join("agent.sock");
    let agent = UnixListener::bind(&socket).expect("a new socket");
    let mut profile = getpid("SCMP_ACT_NOTIFY");
    profile["listenerPath"] = json!(socket);
    let bundle = filtered(&machine, "gone", profile);
    probe(&bundle, GETPID, [0; 3]);
    std::thread::scope(|scope| {
        scope.spawn(|| drop(accepted(agent.accept().expect("a connection").0)));
        assert_eq!(status(&machine, &bundle), 38);
    });
}

/// Between `create` and `start` as well: the waiting process has let go of its own descriptor.
#[test]
fn an_agent_that_dies_before_the_start_holds_nobody_up() {
    let machine = machine();
    let socket = machine.directory().join("agent.sock");
    let agent = UnixListener::bind(&socket).expect("a new socket");
    let profile = json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": socket, "syscalls": [
        {"names": ["execve"], "action": "SCMP_ACT_NOTIFY"}]});
    let bundle = filtered(&machine, "left", profile);
    bundle.args(&["true"]);
    std::thread::scope(|scope| {
        scope.spawn(|| drop(accepted(agent.accept().expect("a connection").0)));
        machine.quiet(&["create", "--bundle", bundle.path(), "left"]);
    });
    let started = machine.glassbox(["start", "left"]);
    assert_eq!(started.status, 1);
    assert!(started.stderr.contains("exec: \"true\": ENOSYS"), "{}", started.stderr);
    machine.quiet(&["delete", "--force", "left"]);
}
