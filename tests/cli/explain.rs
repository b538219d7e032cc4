//! `glassbox explain`: one plan in all its formats, and every bad input. The machine comes from a file, so the output is
//! the same everywhere.

use std::fs;
use std::path::Path;

use insta::assert_snapshot;
use serde_json::{Value, json};

use super::support::{Output, glassbox};

/// A bundle named `web` with the config.json of `glassbox spec`, and `host.json` beside it.
struct Scene(tempfile::TempDir);

impl Scene {
    fn new() -> Self {
        let scene = Scene(tempfile::tempdir().unwrap());
        fs::create_dir_all(scene.path().join("web/rootfs")).unwrap();
        assert_eq!(glassbox(["spec", "--bundle", "web"]).in_dir(scene.path()).output().status, 0);
        scene.host(|_| {});
        scene
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn host(&self, change: impl FnOnce(&mut Value)) {
        let mut host = json!({
            "rootfs": "/web/rootfs",
            "cgroup": {"levels": [
                {
                    "path": "/sys/fs/cgroup", "exists": true,
                    "controllers": ["cpuset", "cpu", "io", "memory", "pids"], "enabled": ["cpu", "memory", "pids"]
                },
                {"path": "/sys/fs/cgroup/glassbox-web", "exists": false, "controllers": [], "enabled": []}
            ]},
            "lastCapability": 40, "inUserNamespace": false, "home": "/root"
        });
        change(&mut host);
        fs::write(self.path().join("host.json"), host.to_string()).unwrap();
    }

    fn edit(&self, change: impl FnOnce(&mut Value)) {
        let path = self.path().join("web/config.json");
        let mut config: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        change(&mut config);
        fs::write(path, config.to_string()).unwrap();
    }

    /// The template cut down to one step of most kinds.
    fn small(&self) {
        self.edit(|config| {
            config["mounts"].as_array_mut().unwrap().truncate(2);
            config["linux"]["maskedPaths"] = json!(["/proc/kcore"]);
            config["linux"]["readonlyPaths"] = json!(["/proc/sys"]);
            config["linux"]["resources"] = json!({"memory": {"limit": 67_108_864}});
            config["process"]["args"] = json!(["sh", "-c", "echo it's \"$HOME\""]);
            config["process"]["terminal"] = false.into();
            let capabilities = config["process"]["capabilities"].as_object_mut().unwrap();
            capabilities.values_mut().for_each(|set| *set = json!(["CAP_KILL"]));
        });
    }

    fn explain(&self, more: &[&str]) -> Output {
        let args = ["explain", "--host", "host.json"];
        glassbox(args.iter().chain(more).copied()).in_dir(self.path()).output()
    }

    /// All that it printed, with the directory of this test left out.
    fn snapshot(&self, output: Output) -> String {
        let directory = self.path().canonicalize().unwrap();
        let text = format!("status {}\n{}{}", output.status, output.stdout, output.stderr);
        text.replace(&format!("{}/", directory.display()), "")
    }
}

#[test]
fn in_sentences() {
    let scene = Scene::new();
    assert_snapshot!(scene.snapshot(scene.explain(&["web"])), @r#"
    status 0
    How container web starts from the bundle web

    On the host, before its process exists
       1. Enable the controllers cpuset, io below /sys/fs/cgroup (linux.resources).
       2. Make the cgroup /sys/fs/cgroup/glassbox-web (linux.cgroupsPath).
       3. Attach a device filter of 11 rules to /sys/fs/cgroup/glassbox-web
          (linux.resources.devices).

    Its process
       4. Clone the process into new namespaces: mount, uts, ipc, pid, network, born
          into the cgroup /sys/fs/cgroup/glassbox-web (linux.namespaces).

    Beside the process, while it waits
       5. Set RLIMIT_NOFILE to 1024 (soft) and 1024 (hard) (process.rlimits[0]).

    Inside, by the process itself
       6. Close the file descriptors from 3 on (nothing of the host's stays open in
          the container).
       7. Set the file mode creation mask to 0000 (modes are taken as they are
          written).
       8. Start a session of its own (a container does not share our terminal's
          session).
       9. Join the new session keyring _ses.web (the keys of whoever starts it are
          not the container's).
      10. Run on every CPU that the cgroup allows (what binds the caller does not
          bind it).
      11. Make a new cgroup namespace (linux.namespaces "cgroup").
      12. Make the mounts of / rslave (no mount of the container may reach the
          host).
      13. Mount /web/rootfs with all below it over itself and enter it (root.path).
      14. Mount proc on /proc (mounts[0]).
      15. Mount tmpfs on /dev (nosuid,strictatime,mode=755,size=65536k) (mounts[1]).
      16. Mount devpts on /dev/pts
          (nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5) (mounts[2]).
      17. Mount tmpfs on /dev/shm (nosuid,nodev,noexec,mode=1777,size=65536k)
          (mounts[3]).
      18. Mount mqueue on /dev/mqueue (nosuid,nodev,noexec) (mounts[4]).
      19. Mount sysfs on /sys (ro,nosuid,nodev,noexec) (mounts[5]).
      20. Mount cgroup2 on /sys/fs/cgroup (ro,nosuid,nodev,noexec) (mounts[6]).
      21. Make the device /dev/null (1:3, mode 0666) (every container has this
          device).
      22. Make the device /dev/zero (1:5, mode 0666) (every container has this
          device).
      23. Make the device /dev/full (1:7, mode 0666) (every container has this
          device).
      24. Make the device /dev/random (1:8, mode 0666) (every container has this
          device).
      25. Make the device /dev/urandom (1:9, mode 0666) (every container has this
          device).
      26. Make the device /dev/tty (5:0, mode 0666) (every container has this
          device).
      27. Link /dev/fd to /proc/self/fd (every container has this link).
      28. Link /dev/stdin to /proc/self/fd/0 (every container has this link).
      29. Link /dev/stdout to /proc/self/fd/1 (every container has this link).
      30. Link /dev/stderr to /proc/self/fd/2 (every container has this link).
      31. Link /dev/ptmx to pts/ptmx (every container has this link).
      32. Make the rootfs the root and let go of the host's (root.path).
      33. Set the host name to glassbox (hostname).
      34. Bring the loopback device lo up (many programs listen on 127.0.0.1).
      35. Open a terminal, make it stdin, stdout and stderr, and show it at
          /dev/console (process.terminal).
      36. Make /proc/bus read-only (linux.readonlyPaths[0]).
      37. Make /proc/fs read-only (linux.readonlyPaths[1]).
      38. Make /proc/irq read-only (linux.readonlyPaths[2]).
      39. Make /proc/sys read-only (linux.readonlyPaths[3]).
      40. Make /proc/sysrq-trigger read-only (linux.readonlyPaths[4]).
      41. Mask /proc/acpi (linux.maskedPaths[0]).
      42. Mask /proc/asound (linux.maskedPaths[1]).
      43. Mask /proc/kcore (linux.maskedPaths[2]).
      44. Mask /proc/keys (linux.maskedPaths[3]).
      45. Mask /proc/latency_stats (linux.maskedPaths[4]).
      46. Mask /proc/timer_list (linux.maskedPaths[5]).
      47. Mask /proc/timer_stats (linux.maskedPaths[6]).
      48. Mask /proc/sched_debug (linux.maskedPaths[7]).
      49. Mask /sys/firmware (linux.maskedPaths[8]).
      50. Mask /proc/scsi (linux.maskedPaths[9]).
      51. Change the mount / (ro) (root.readonly).
      52. Drop 38 capabilities for good (process.capabilities.bounding).
      53. Go to / (process.cwd).
      54. Become user 0 and group 0 (process.user).
      55. Set the file mode creation mask to 0022 (process.user.umask).
      56. Keep the capabilities CAP_KILL, CAP_NET_BIND_SERVICE, CAP_AUDIT_WRITE
          (permitted the same, inheritable none, ambient none)
          (process.capabilities).
      57. Give up gaining privileges by execve (process.noNewPrivileges).
      58. Check that /usr/local/sbin/sh or its namesake further down PATH can be
          executed (process.args[0]).
      59. Wait for start (create makes the container, start runs it).
      60. Become the program: sh (process.args).
    "#);
}

#[test]
fn in_json() {
    let scene = Scene::new();
    scene.small();
    assert_snapshot!(scene.snapshot(scene.explain(&["--format", "json", "web"])), @r#"
    status 0
    {
      "id": "web",
      "clone": {
        "namespaces": [
          "mount",
          "uts",
          "ipc",
          "pid",
          "network"
        ],
        "cgroup": "/sys/fs/cgroup/glassbox-web"
      },
      "steps": [
        {
          "number": 1,
          "lane": "host",
          "step": "EnableControllers",
          "sentence": "enable the controllers cpuset, io below /sys/fs/cgroup",
          "because": "linux.resources",
          "path": "/sys/fs/cgroup",
          "required": [],
          "wanted": [
            "cpuset",
            "io"
          ]
        },
        {
          "number": 2,
          "lane": "host",
          "step": "CreateCgroup",
          "sentence": "make the cgroup /sys/fs/cgroup/glassbox-web",
          "because": "linux.cgroupsPath",
          "path": "/sys/fs/cgroup/glassbox-web"
        },
        {
          "number": 3,
          "lane": "host",
          "step": "WriteCgroup",
          "sentence": "write \"67108864\" into /sys/fs/cgroup/glassbox-web/memory.max",
          "because": "linux.resources.memory.limit",
          "path": "/sys/fs/cgroup/glassbox-web",
          "file": "memory.max",
          "value": "67108864"
        },
        {
          "number": 4,
          "lane": "clone",
          "step": "Clone3",
          "sentence": "clone the process into new namespaces: mount, uts, ipc, pid, network, born into the cgroup /sys/fs/cgroup/glassbox-web",
          "because": "linux.namespaces",
          "namespaces": [
            "mount",
            "uts",
            "ipc",
            "pid",
            "network"
          ],
          "cgroup": "/sys/fs/cgroup/glassbox-web"
        },
        {
          "number": 5,
          "lane": "beside",
          "step": "SetRlimit",
          "sentence": "set RLIMIT_NOFILE to 1024 (soft) and 1024 (hard)",
          "because": "process.rlimits[0]",
          "name": "RLIMIT_NOFILE",
          "soft": 1024,
          "hard": 1024
        },
        {
          "number": 6,
          "lane": "init",
          "step": "CloseDescriptors",
          "sentence": "close the file descriptors from 3 on",
          "because": "nothing of the host's stays open in the container",
          "from": 3
        },
        {
          "number": 7,
          "lane": "init",
          "step": "SetUmask",
          "sentence": "set the file mode creation mask to 0000",
          "because": "modes are taken as they are written",
          "mask": "0000"
        },
        {
          "number": 8,
          "lane": "init",
          "step": "NewSession",
          "sentence": "start a session of its own",
          "because": "a container does not share our terminal's session"
        },
        {
          "number": 9,
          "lane": "init",
          "step": "NewSessionKeyring",
          "sentence": "join the new session keyring _ses.web",
          "because": "the keys of whoever starts it are not the container's",
          "name": "_ses.web"
        },
        {
          "number": 10,
          "lane": "init",
          "step": "SetCpuAffinity",
          "sentence": "run on every CPU that the cgroup allows",
          "because": "what binds the caller does not bind it",
          "mask": [
            "ffffffffffffffff",
            "ffffffffffffffff",
            "ffffffffffffffff",
            "ffffffffffffffff",
            "ffffffffffffffff",
            "ffffffffffffffff",
            "ffffffffffffffff",
            "ffffffffffffffff",
            "ffffffffffffffff",
            "ffffffffffffffff",
            "ffffffffffffffff",
            "ffffffffffffffff",
            "ffffffffffffffff",
            "ffffffffffffffff",
            "ffffffffffffffff",
            "ffffffffffffffff"
          ]
        },
        {
          "number": 11,
          "lane": "init",
          "step": "Unshare",
          "sentence": "make a new cgroup namespace",
          "because": "linux.namespaces \"cgroup\"",
          "namespaces": [
            "cgroup"
          ]
        },
        {
          "number": 12,
          "lane": "init",
          "step": "SetPropagation",
          "sentence": "make the mounts of / rslave",
          "because": "no mount of the container may reach the host",
          "path": "/",
          "propagation": "rslave"
        },
        {
          "number": 13,
          "lane": "init",
          "step": "EnterRootfs",
          "sentence": "mount /web/rootfs with all below it over itself and enter it",
          "because": "root.path",
          "path": "/web/rootfs",
          "recursive": true
        },
        {
          "number": 14,
          "lane": "init",
          "step": "MountFilesystem",
          "sentence": "mount proc on /proc",
          "because": "mounts[0]",
          "fstype": "proc",
          "source": "proc",
          "parameters": [],
          "attributes": [],
          "target": "/proc",
          "noSymlinks": true
        },
        {
          "number": 15,
          "lane": "init",
          "step": "MountFilesystem",
          "sentence": "mount tmpfs on /dev (nosuid,strictatime,mode=755,size=65536k)",
          "because": "mounts[1]",
          "fstype": "tmpfs",
          "source": "tmpfs",
          "parameters": [
            "mode=755",
            "size=65536k"
          ],
          "attributes": [
            "nosuid",
            "strictatime"
          ],
          "target": "/dev",
          "noSymlinks": false
        },
        {
          "number": 16,
          "lane": "init",
          "step": "MakeDevice",
          "sentence": "make the device /dev/null (1:3, mode 0666)",
          "because": "every container has this device",
          "target": "/dev/null",
          "kind": "c",
          "mode": "0666",
          "major": 1,
          "minor": 3,
          "uid": 0,
          "gid": 0
        },
        {
          "number": 17,
          "lane": "init",
          "step": "MakeDevice",
          "sentence": "make the device /dev/zero (1:5, mode 0666)",
          "because": "every container has this device",
          "target": "/dev/zero",
          "kind": "c",
          "mode": "0666",
          "major": 1,
          "minor": 5,
          "uid": 0,
          "gid": 0
        },
        {
          "number": 18,
          "lane": "init",
          "step": "MakeDevice",
          "sentence": "make the device /dev/full (1:7, mode 0666)",
          "because": "every container has this device",
          "target": "/dev/full",
          "kind": "c",
          "mode": "0666",
          "major": 1,
          "minor": 7,
          "uid": 0,
          "gid": 0
        },
        {
          "number": 19,
          "lane": "init",
          "step": "MakeDevice",
          "sentence": "make the device /dev/random (1:8, mode 0666)",
          "because": "every container has this device",
          "target": "/dev/random",
          "kind": "c",
          "mode": "0666",
          "major": 1,
          "minor": 8,
          "uid": 0,
          "gid": 0
        },
        {
          "number": 20,
          "lane": "init",
          "step": "MakeDevice",
          "sentence": "make the device /dev/urandom (1:9, mode 0666)",
          "because": "every container has this device",
          "target": "/dev/urandom",
          "kind": "c",
          "mode": "0666",
          "major": 1,
          "minor": 9,
          "uid": 0,
          "gid": 0
        },
        {
          "number": 21,
          "lane": "init",
          "step": "MakeDevice",
          "sentence": "make the device /dev/tty (5:0, mode 0666)",
          "because": "every container has this device",
          "target": "/dev/tty",
          "kind": "c",
          "mode": "0666",
          "major": 5,
          "minor": 0,
          "uid": 0,
          "gid": 0
        },
        {
          "number": 22,
          "lane": "init",
          "step": "MakeSymlink",
          "sentence": "link /dev/fd to /proc/self/fd",
          "because": "every container has this link",
          "text": "/proc/self/fd",
          "target": "/dev/fd"
        },
        {
          "number": 23,
          "lane": "init",
          "step": "MakeSymlink",
          "sentence": "link /dev/stdin to /proc/self/fd/0",
          "because": "every container has this link",
          "text": "/proc/self/fd/0",
          "target": "/dev/stdin"
        },
        {
          "number": 24,
          "lane": "init",
          "step": "MakeSymlink",
          "sentence": "link /dev/stdout to /proc/self/fd/1",
          "because": "every container has this link",
          "text": "/proc/self/fd/1",
          "target": "/dev/stdout"
        },
        {
          "number": 25,
          "lane": "init",
          "step": "MakeSymlink",
          "sentence": "link /dev/stderr to /proc/self/fd/2",
          "because": "every container has this link",
          "text": "/proc/self/fd/2",
          "target": "/dev/stderr"
        },
        {
          "number": 26,
          "lane": "init",
          "step": "MakeSymlink",
          "sentence": "link /dev/ptmx to pts/ptmx",
          "because": "every container has this link",
          "text": "pts/ptmx",
          "target": "/dev/ptmx"
        },
        {
          "number": 27,
          "lane": "init",
          "step": "PivotRoot",
          "sentence": "make the rootfs the root and let go of the host's",
          "because": "root.path"
        },
        {
          "number": 28,
          "lane": "init",
          "step": "SetHostname",
          "sentence": "set the host name to glassbox",
          "because": "hostname",
          "name": "glassbox"
        },
        {
          "number": 29,
          "lane": "init",
          "step": "BringLoopbackUp",
          "sentence": "bring the loopback device lo up",
          "because": "many programs listen on 127.0.0.1",
          "device": "lo"
        },
        {
          "number": 30,
          "lane": "init",
          "step": "ReadonlyPath",
          "sentence": "make /proc/sys read-only",
          "because": "linux.readonlyPaths[0]",
          "path": "/proc/sys",
          "recursive": true,
          "set": [],
          "clear": [],
          "setAll": [
            "ro"
          ],
          "clearAll": []
        },
        {
          "number": 31,
          "lane": "init",
          "step": "MaskPath",
          "sentence": "mask /proc/kcore",
          "because": "linux.maskedPaths[0]",
          "path": "/proc/kcore",
          "directory": {
            "fstype": "tmpfs",
            "source": "tmpfs",
            "parameters": [
              "ro"
            ],
            "attributes": [
              "ro"
            ]
          },
          "file": {
            "null": "/dev/null",
            "major": 1,
            "minor": 3
          }
        },
        {
          "number": 32,
          "lane": "init",
          "step": "ChangeMount",
          "sentence": "change the mount / (ro)",
          "because": "root.readonly",
          "target": "/",
          "parameters": [],
          "set": [
            "ro"
          ],
          "clear": [],
          "setAll": [],
          "clearAll": []
        },
        {
          "number": 33,
          "lane": "init",
          "step": "DropBounding",
          "sentence": "drop 40 capabilities for good",
          "because": "process.capabilities.bounding",
          "drop": [
            "CAP_CHOWN",
            "CAP_DAC_OVERRIDE",
            "CAP_DAC_READ_SEARCH",
            "CAP_FOWNER",
            "CAP_FSETID",
            "CAP_SETGID",
            "CAP_SETUID",
            "CAP_SETPCAP",
            "CAP_LINUX_IMMUTABLE",
            "CAP_NET_BIND_SERVICE",
            "CAP_NET_BROADCAST",
            "CAP_NET_ADMIN",
            "CAP_NET_RAW",
            "CAP_IPC_LOCK",
            "CAP_IPC_OWNER",
            "CAP_SYS_MODULE",
            "CAP_SYS_RAWIO",
            "CAP_SYS_CHROOT",
            "CAP_SYS_PTRACE",
            "CAP_SYS_PACCT",
            "CAP_SYS_ADMIN",
            "CAP_SYS_BOOT",
            "CAP_SYS_NICE",
            "CAP_SYS_RESOURCE",
            "CAP_SYS_TIME",
            "CAP_SYS_TTY_CONFIG",
            "CAP_MKNOD",
            "CAP_LEASE",
            "CAP_AUDIT_WRITE",
            "CAP_AUDIT_CONTROL",
            "CAP_SETFCAP",
            "CAP_MAC_OVERRIDE",
            "CAP_MAC_ADMIN",
            "CAP_SYSLOG",
            "CAP_WAKE_ALARM",
            "CAP_BLOCK_SUSPEND",
            "CAP_AUDIT_READ",
            "CAP_PERFMON",
            "CAP_BPF",
            "CAP_CHECKPOINT_RESTORE"
          ]
        },
        {
          "number": 34,
          "lane": "init",
          "step": "ChangeDirectory",
          "sentence": "go to /",
          "because": "process.cwd",
          "target": "/"
        },
        {
          "number": 35,
          "lane": "init",
          "step": "SwitchUser",
          "sentence": "become user 0 and group 0",
          "because": "process.user",
          "uid": 0,
          "gid": 0,
          "groups": []
        },
        {
          "number": 36,
          "lane": "init",
          "step": "SetUmask",
          "sentence": "set the file mode creation mask to 0022",
          "because": "process.user.umask",
          "mask": "0022"
        },
        {
          "number": 37,
          "lane": "init",
          "step": "SetCapabilities",
          "sentence": "keep the capabilities CAP_KILL (permitted the same, inheritable none, ambient none)",
          "because": "process.capabilities",
          "effective": [
            "CAP_KILL"
          ],
          "permitted": [
            "CAP_KILL"
          ],
          "inheritable": [],
          "ambient": []
        },
        {
          "number": 38,
          "lane": "init",
          "step": "NoNewPrivileges",
          "sentence": "give up gaining privileges by execve",
          "because": "process.noNewPrivileges"
        },
        {
          "number": 39,
          "lane": "init",
          "step": "FindExecutable",
          "sentence": "check that /usr/local/sbin/sh or its namesake further down PATH can be executed",
          "because": "process.args[0]",
          "candidates": [
            "/usr/local/sbin/sh",
            "/usr/local/bin/sh",
            "/usr/sbin/sh",
            "/usr/bin/sh",
            "/sbin/sh",
            "/bin/sh"
          ]
        },
        {
          "number": 40,
          "lane": "init",
          "step": "AwaitStart",
          "sentence": "wait for start",
          "because": "create makes the container, start runs it"
        },
        {
          "number": 41,
          "lane": "init",
          "step": "Execute",
          "sentence": "become the program: sh -c echo it's \"$HOME\"",
          "because": "process.args",
          "candidates": [
            "/usr/local/sbin/sh",
            "/usr/local/bin/sh",
            "/usr/sbin/sh",
            "/usr/bin/sh",
            "/sbin/sh",
            "/bin/sh"
          ],
          "args": [
            "sh",
            "-c",
            "echo it's \"$HOME\""
          ],
          "env": [
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "TERM=xterm",
            "HOME=/root"
          ]
        }
      ],
      "host": {
        "rootfs": "/web/rootfs",
        "cgroup": {
          "levels": [
            {
              "path": "/sys/fs/cgroup",
              "exists": true,
              "populated": false,
              "frozen": false,
              "controllers": [
                "cpuset",
                "cpu",
                "io",
                "memory",
                "pids"
              ],
              "enabled": [
                "cpu",
                "memory",
                "pids"
              ]
            },
            {
              "path": "/sys/fs/cgroup/glassbox-web",
              "exists": false,
              "populated": false,
              "frozen": false,
              "controllers": [],
              "enabled": []
            }
          ]
        },
        "lastCapability": 40,
        "inUserNamespace": false,
        "delegatedFiles": [
          "cgroup.procs",
          "cgroup.subtree_control",
          "cgroup.threads"
        ],
        "home": "/root"
      }
    }
    "#);
}

/// The script is a file beside this one, so that `make lint` has shellcheck read it with all other scripts.
#[test]
fn in_shell() {
    let scene = Scene::new();
    scene.small();
    let told = scene.explain(&["--format", "sh", "web"]);
    assert_eq!((told.status, told.stderr.as_str()), (0, ""));
    let known = include_str!("explain.sh");
    assert!(told.stdout == known, "tests/cli/explain.sh should say:\n{}", told.stdout);
}

#[test]
fn as_a_diagram() {
    let scene = Scene::new();
    scene.small();
    assert_snapshot!(scene.snapshot(scene.explain(&["--format", "mermaid", "web"])), @"
    status 0
    sequenceDiagram
        participant G as glassbox
        participant K as kernel
        Note over G,K: On the host, before its process exists
        G->>K: 1. enable the controllers cpuset, io below /sys/fs/cgroup
        G->>K: 2. make the cgroup /sys/fs/cgroup/glassbox-web
        G->>K: 3. write #34;67108864#34; into<br/>/sys/fs/cgroup/glassbox-web/memory.max
        create participant P as process of web
        G->>P: 4. clone the process into new namespaces: mount, uts, ipc,<br/>pid, network, born into the cgroup<br/>/sys/fs/cgroup/glassbox-web
        Note over G,P: Beside the process, while it waits
        G->>P: 5. set RLIMIT_NOFILE to 1024 (soft) and 1024 (hard)
        G-->>P: go on
        Note over K,P: Inside, by the process itself
        P->>K: 6. close the file descriptors from 3 on
        P->>K: 7. set the file mode creation mask to 0000
        P->>K: 8. start a session of its own
        P->>K: 9. join the new session keyring _ses.web
        P->>K: 10. run on every CPU that the cgroup allows
        P->>K: 11. make a new cgroup namespace
        P->>K: 12. make the mounts of / rslave
        P->>K: 13. mount /web/rootfs with all below it over itself and<br/>enter it
        P->>K: 14. mount proc on /proc<br/>15. mount tmpfs on /dev<br/>(nosuid,strictatime,mode=755,size=65536k)
        P->>K: 16. make the device /dev/null (1:3, mode 0666)<br/>17. make the device /dev/zero (1:5, mode 0666)<br/>18. make the device /dev/full (1:7, mode 0666)<br/>19. make the device /dev/random (1:8, mode 0666)<br/>20. make the device /dev/urandom (1:9, mode 0666)<br/>21. make the device /dev/tty (5:0, mode 0666)
        P->>K: 22. link /dev/fd to /proc/self/fd<br/>23. link /dev/stdin to /proc/self/fd/0<br/>24. link /dev/stdout to /proc/self/fd/1<br/>25. link /dev/stderr to /proc/self/fd/2<br/>26. link /dev/ptmx to pts/ptmx
        P->>K: 27. make the rootfs the root and let go of the host's
        P->>K: 28. set the host name to glassbox
        P->>K: 29. bring the loopback device lo up
        P->>K: 30. make /proc/sys read-only
        P->>K: 31. mask /proc/kcore
        P->>K: 32. change the mount / (ro)
        P->>K: 33. drop 40 capabilities for good
        P->>K: 34. go to /
        P->>K: 35. become user 0 and group 0
        P->>K: 36. set the file mode creation mask to 0022
        P->>K: 37. keep the capabilities CAP_KILL (permitted the same,<br/>inheritable none, ambient none)
        P->>K: 38. give up gaining privileges by execve
        P->>K: 39. check that /usr/local/sbin/sh or its namesake further<br/>down PATH can be executed
        P-->>G: 40. wait for start
        G-->>P: start
        P->>K: 41. become the program: sh -c echo it's #34;$HOME#34;
    ");
}

/// A second bundle, `db`, that is as the first but for a change.
fn second(scene: &Scene, change: impl FnOnce(&mut Value)) {
    fs::create_dir_all(scene.path().join("db/rootfs")).unwrap();
    let mut config: Value =
        serde_json::from_str(&fs::read_to_string(scene.path().join("web/config.json")).unwrap()).unwrap();
    change(&mut config);
    fs::write(scene.path().join("db/config.json"), config.to_string()).unwrap();
}

#[test]
fn two_bundles_differ_in_these_steps() {
    let scene = Scene::new();
    second(&scene, |config| {
        config["linux"]["resources"]["memory"] = json!({"limit": 67_108_864});
        config["mounts"].as_array_mut().unwrap().remove(3);
        config["hostname"] = "db".into();
    });
    assert_snapshot!(scene.snapshot(scene.explain(&["--diff", "web", "db"])), @r#"
    status 0
    - web
    + db
    58 steps are the same.

    On the host, before its process exists
    +  3. Write "67108864" into /sys/fs/cgroup/glassbox-web/memory.max
          (linux.resources.memory.limit).

    Inside, by the process itself
    - 17. Mount tmpfs on /dev/shm (nosuid,nodev,noexec,mode=1777,size=65536k)
          (mounts[3]).
    - 33. Set the host name to glassbox (hostname).
    + 33. Set the host name to db (hostname).
    "#);
    assert_snapshot!(scene.snapshot(scene.explain(&["--diff", "web", "db", "--format", "json"])), @r#"
    status 0
    {
      "same": 58,
      "changes": [
        {
          "change": "new",
          "number": 3,
          "lane": "host",
          "sentence": "write \"67108864\" into /sys/fs/cgroup/glassbox-web/memory.max",
          "because": "linux.resources.memory.limit"
        },
        {
          "change": "gone",
          "number": 17,
          "lane": "init",
          "sentence": "mount tmpfs on /dev/shm (nosuid,nodev,noexec,mode=1777,size=65536k)",
          "because": "mounts[3]"
        },
        {
          "change": "gone",
          "number": 33,
          "lane": "init",
          "sentence": "set the host name to glassbox",
          "because": "hostname"
        },
        {
          "change": "new",
          "number": 33,
          "lane": "init",
          "sentence": "set the host name to db",
          "because": "hostname"
        }
      ]
    }
    "#);
}

#[test]
fn a_bundle_does_not_differ_from_its_copy() {
    let scene = Scene::new();
    second(&scene, |_| {});
    assert_snapshot!(scene.snapshot(scene.explain(&["--diff", "web", "db"])), @"
    status 0
    - web
    + db
    60 steps are the same.
    ");
    assert_snapshot!(scene.snapshot(scene.explain(&["--diff", "web", "db", "--format", "sh"])), @"
    status 1
    error: a difference is told as text or json, not as this format
      hint: Leave --format out, or explain one bundle.
    ");
    let one = scene.explain(&["--diff", "web"]);
    assert!(one.status != 0 && one.stderr.contains("2 values required"), "{}", one.stderr);
}

#[test]
fn the_bundle_is_an_argument_a_flag_or_here() {
    let scene = Scene::new();
    let argument = scene.explain(&["web"]).stdout;
    assert_eq!(argument, scene.explain(&["--bundle", "web"]).stdout);
    assert_eq!(argument, scene.explain(&["-b", "web"]).stdout);
    let here = glassbox(["explain", "--host", "../host.json"]).in_dir(scene.path().join("web")).output();
    assert_eq!(argument, here.stdout);
    let both = scene.explain(&["--bundle", "web", "web"]);
    assert!(both.status != 0 && both.stderr.contains("cannot be used with"), "{}", both.stderr);
}

#[test]
fn the_id_is_the_directorys_name_or_what_is_asked() {
    let scene = Scene::new();
    assert!(scene.explain(&["web"]).stdout.starts_with("How container web starts"));
    assert!(scene.explain(&["--id", "db-1", "web"]).stdout.starts_with("How container db-1 starts"));
    fs::rename(scene.path().join("web"), scene.path().join("my web")).unwrap();
    assert!(scene.explain(&["my web"]).stdout.starts_with("How container container starts"));
}

#[test]
fn the_machine_in_the_json_is_one_for_the_host_flag() {
    let scene = Scene::new();
    let told = scene.explain(&["--format", "json", "web"]).stdout;
    let host = serde_json::from_str::<Value>(&told).unwrap()["host"].clone();
    fs::write(scene.path().join("host.json"), host.to_string()).unwrap();
    assert_eq!(scene.explain(&["--format", "json", "web"]).stdout, told);
}

/// Without --host the facts are this machine's: no root, nothing changed.
#[test]
fn this_machine_is_looked_at_and_left_alone() {
    let scene = Scene::new();
    let output = glassbox(["explain", "web"]).in_dir(scene.path()).output();
    assert_eq!((output.status, output.stderr.as_str()), (0, ""));
    let rootfs = scene.path().canonicalize().unwrap().join("web/rootfs");
    let joined = output.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(joined.contains(&format!("Mount {} with all below it over itself", rootfs.display())), "{joined}");
    assert_eq!(fs::read_dir(rootfs).unwrap().count(), 0, "something was made in the rootfs");
}

#[test]
fn what_a_config_says_moves_no_cursor() {
    let scene = Scene::new();
    scene.edit(|config| config["hostname"] = "a\u{1b}[2J\nb".into());
    let text = scene.explain(&["web"]).stdout;
    assert!(text.contains("Set the host name to a\\u{1b}[2J\\nb (hostname)."), "{text}");
    assert!(!text.contains('\u{1b}'));
}

#[test]
fn a_missing_bundle() {
    let scene = Scene::new();
    assert_snapshot!(scene.snapshot(scene.explain(&["nowhere"])), @r#"
    status 1
    error: bundle "nowhere": the bundle directory does not exist
      hint: A bundle is a directory with a config.json and a rootfs: make one with `rootfs-scripts/busybox-rootfs DIR/rootfs` and `glassbox spec --bundle DIR`.
    "#);
}

#[test]
fn a_bundle_without_a_config() {
    let scene = Scene::new();
    fs::remove_file(scene.path().join("web/config.json")).unwrap();
    assert_snapshot!(scene.snapshot(scene.explain(&["web"])), @r#"
    status 1
    error: bundle "web/config.json": the config.json does not exist
      hint: A bundle is a directory with a config.json and a rootfs: make one with `rootfs-scripts/busybox-rootfs DIR/rootfs` and `glassbox spec --bundle DIR`.
    "#);
}

#[test]
fn a_config_that_is_no_json() {
    let scene = Scene::new();
    fs::write(scene.path().join("web/config.json"), "{\"ociVersion\": \"1.2.1\",\n  \"root\": {").unwrap();
    assert_snapshot!(scene.snapshot(scene.explain(&["web"])), @"
    status 1
    error: config.json is not valid JSON: EOF while parsing an object at line 2 column 11
      hint: Mend the bundle's config.json there, or make a new one with `glassbox spec`.
    ");
}

#[test]
fn an_unknown_namespace() {
    let scene = Scene::new();
    scene.edit(|config| config["linux"]["namespaces"][0]["type"] = "pidd".into());
    assert_snapshot!(scene.snapshot(scene.explain(&["web"])), @"
    status 1
    error: config.json: linux.namespaces[0].type: unknown variant `pidd`, expected one of `mount`, `cgroup`, `uts`, `ipc`, `user`, `pid`, `network`, `time`
    ");
}

#[test]
fn a_missing_rootfs() {
    let scene = Scene::new();
    fs::remove_dir(scene.path().join("web/rootfs")).unwrap();
    assert_snapshot!(scene.snapshot(scene.explain(&["web"])), @r#"
    status 1
    error: bundle "web/rootfs": the rootfs that root.path names does not exist
      hint: A bundle is a directory with a config.json and a rootfs: make one with `rootfs-scripts/busybox-rootfs DIR/rootfs` and `glassbox spec --bundle DIR`.
    "#);
}

#[test]
fn a_missing_controller() {
    let scene = Scene::new();
    scene.edit(|config| config["linux"]["resources"]["memory"] = json!({"limit": 67_108_864}));
    scene.host(|host| host["cgroup"]["levels"][0]["controllers"] = json!(["cpu"]));
    assert_snapshot!(scene.snapshot(scene.explain(&["web"])), @r#"
    status 1
    error: config.json: linux.resources.memory.limit: the memory controller is missing from /sys/fs/cgroup/cgroup.controllers, which has "cpu"
      hint: Run `glassbox doctor` to see how to get the controller, or take the limit out of config.json.
    "#);
}

#[test]
fn a_bad_id() {
    let scene = Scene::new();
    assert_snapshot!(scene.snapshot(scene.explain(&["--id", "../x", "web"])), @r#"
    status 1
    error: container id "../x" contains '/'; allowed are A-Z a-z 0-9 _ + - .
      hint: Choose a name such as web-1.
    "#);
}

#[test]
fn host_files_that_are_none() {
    let scene = Scene::new();
    fs::remove_file(scene.path().join("host.json")).unwrap();
    let missing = scene.snapshot(scene.explain(&["web"]));
    fs::write(scene.path().join("host.json"), "{\"rootfs\": 1}").unwrap();
    let wrong = scene.snapshot(scene.explain(&["web"]));
    scene.host(|host| host["cgroup"]["levels"] = json!([]));
    let empty = scene.snapshot(scene.explain(&["web"]));
    assert_snapshot!(format!("{missing}{wrong}{empty}"), @r#"
    status 1
    error: cannot read the host file "host.json": No such file or directory (os error 2)
      hint: Make one on the machine that you mean: `glassbox explain --format json | jq .host`.
    status 1
    error: the host file "host.json" does not describe a machine: invalid type: integer `1`, expected a string at line 1 column 12
      hint: Make one on the machine that you mean: `glassbox explain --format json | jq .host`.
    status 1
    error: the host file "host.json": cgroup.levels has 0 entries
      hint: It starts at the hierarchy's root and ends with the container's own cgroup.
    "#);
}
