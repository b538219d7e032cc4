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
       9. Make a new cgroup namespace (linux.namespaces "cgroup").
      10. Make the mounts of / rslave (no mount of the container may reach the
          host).
      11. Mount /web/rootfs over itself and enter it (root.path).
      12. Mount proc on /proc (mounts[0]).
      13. Mount tmpfs on /dev (nosuid,strictatime,mode=755,size=65536k) (mounts[1]).
      14. Mount devpts on /dev/pts
          (nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5) (mounts[2]).
      15. Mount tmpfs on /dev/shm (nosuid,nodev,noexec,mode=1777,size=65536k)
          (mounts[3]).
      16. Mount mqueue on /dev/mqueue (nosuid,nodev,noexec) (mounts[4]).
      17. Mount sysfs on /sys (ro,nosuid,nodev,noexec) (mounts[5]).
      18. Mount cgroup2 on /sys/fs/cgroup (ro,nosuid,nodev,noexec) (mounts[6]).
      19. Make the device /dev/null (1:3, mode 0666) (every container has this
          device).
      20. Make the device /dev/zero (1:5, mode 0666) (every container has this
          device).
      21. Make the device /dev/full (1:7, mode 0666) (every container has this
          device).
      22. Make the device /dev/random (1:8, mode 0666) (every container has this
          device).
      23. Make the device /dev/urandom (1:9, mode 0666) (every container has this
          device).
      24. Make the device /dev/tty (5:0, mode 0666) (every container has this
          device).
      25. Link /dev/fd to /proc/self/fd (every container has this link).
      26. Link /dev/stdin to /proc/self/fd/0 (every container has this link).
      27. Link /dev/stdout to /proc/self/fd/1 (every container has this link).
      28. Link /dev/stderr to /proc/self/fd/2 (every container has this link).
      29. Link /dev/ptmx to pts/ptmx (every container has this link).
      30. Make the rootfs the root and let go of the host's (root.path).
      31. Set the host name to glassbox (hostname).
      32. Bring the loopback device lo up (many programs listen on 127.0.0.1).
      33. Open a terminal and make it stdin, stdout and stderr (process.terminal).
      34. Make /proc/bus read-only (linux.readonlyPaths[0]).
      35. Make /proc/fs read-only (linux.readonlyPaths[1]).
      36. Make /proc/irq read-only (linux.readonlyPaths[2]).
      37. Make /proc/sys read-only (linux.readonlyPaths[3]).
      38. Make /proc/sysrq-trigger read-only (linux.readonlyPaths[4]).
      39. Mask /proc/acpi (linux.maskedPaths[0]).
      40. Mask /proc/asound (linux.maskedPaths[1]).
      41. Mask /proc/kcore (linux.maskedPaths[2]).
      42. Mask /proc/keys (linux.maskedPaths[3]).
      43. Mask /proc/latency_stats (linux.maskedPaths[4]).
      44. Mask /proc/timer_list (linux.maskedPaths[5]).
      45. Mask /proc/timer_stats (linux.maskedPaths[6]).
      46. Mask /proc/sched_debug (linux.maskedPaths[7]).
      47. Mask /sys/firmware (linux.maskedPaths[8]).
      48. Mask /proc/scsi (linux.maskedPaths[9]).
      49. Change the mount / (ro) (root.readonly).
      50. Drop 38 capabilities for good (process.capabilities.bounding).
      51. Go to / (process.cwd).
      52. Become user 0 and group 0 (process.user).
      53. Set the file mode creation mask to 0022 (process.user.umask).
      54. Keep the capabilities CAP_KILL, CAP_NET_BIND_SERVICE, CAP_AUDIT_WRITE
          (permitted the same, inheritable none, ambient none)
          (process.capabilities).
      55. Give up gaining privileges by execve (process.noNewPrivileges).
      56. Check that /usr/local/sbin/sh or its namesake further down PATH can be
          executed (process.args[0]).
      57. Wait for start (create makes the container, start runs it).
      58. Become the program: sh (process.args).
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
          "step": "Unshare",
          "sentence": "make a new cgroup namespace",
          "because": "linux.namespaces \"cgroup\"",
          "namespaces": [
            "cgroup"
          ]
        },
        {
          "number": 10,
          "lane": "init",
          "step": "SetPropagation",
          "sentence": "make the mounts of / rslave",
          "because": "no mount of the container may reach the host",
          "path": "/",
          "propagation": "rslave"
        },
        {
          "number": 11,
          "lane": "init",
          "step": "EnterRootfs",
          "sentence": "mount /web/rootfs over itself and enter it",
          "because": "root.path",
          "path": "/web/rootfs"
        },
        {
          "number": 12,
          "lane": "init",
          "step": "MountFilesystem",
          "sentence": "mount proc on /proc",
          "because": "mounts[0]",
          "fstype": "proc",
          "source": "proc",
          "target": "/proc",
          "parameters": [],
          "attributes": []
        },
        {
          "number": 13,
          "lane": "init",
          "step": "MountFilesystem",
          "sentence": "mount tmpfs on /dev (nosuid,strictatime,mode=755,size=65536k)",
          "because": "mounts[1]",
          "fstype": "tmpfs",
          "source": "tmpfs",
          "target": "/dev",
          "parameters": [
            "mode=755",
            "size=65536k"
          ],
          "attributes": [
            "nosuid",
            "strictatime"
          ]
        },
        {
          "number": 14,
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
          "number": 15,
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
          "number": 16,
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
          "number": 17,
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
          "number": 18,
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
          "number": 19,
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
          "number": 20,
          "lane": "init",
          "step": "MakeSymlink",
          "sentence": "link /dev/fd to /proc/self/fd",
          "because": "every container has this link",
          "text": "/proc/self/fd",
          "target": "/dev/fd"
        },
        {
          "number": 21,
          "lane": "init",
          "step": "MakeSymlink",
          "sentence": "link /dev/stdin to /proc/self/fd/0",
          "because": "every container has this link",
          "text": "/proc/self/fd/0",
          "target": "/dev/stdin"
        },
        {
          "number": 22,
          "lane": "init",
          "step": "MakeSymlink",
          "sentence": "link /dev/stdout to /proc/self/fd/1",
          "because": "every container has this link",
          "text": "/proc/self/fd/1",
          "target": "/dev/stdout"
        },
        {
          "number": 23,
          "lane": "init",
          "step": "MakeSymlink",
          "sentence": "link /dev/stderr to /proc/self/fd/2",
          "because": "every container has this link",
          "text": "/proc/self/fd/2",
          "target": "/dev/stderr"
        },
        {
          "number": 24,
          "lane": "init",
          "step": "MakeSymlink",
          "sentence": "link /dev/ptmx to pts/ptmx",
          "because": "every container has this link",
          "text": "pts/ptmx",
          "target": "/dev/ptmx"
        },
        {
          "number": 25,
          "lane": "init",
          "step": "PivotRoot",
          "sentence": "make the rootfs the root and let go of the host's",
          "because": "root.path"
        },
        {
          "number": 26,
          "lane": "init",
          "step": "SetHostname",
          "sentence": "set the host name to glassbox",
          "because": "hostname",
          "name": "glassbox"
        },
        {
          "number": 27,
          "lane": "init",
          "step": "BringLoopbackUp",
          "sentence": "bring the loopback device lo up",
          "because": "many programs listen on 127.0.0.1"
        },
        {
          "number": 28,
          "lane": "init",
          "step": "ReadonlyPath",
          "sentence": "make /proc/sys read-only",
          "because": "linux.readonlyPaths[0]",
          "path": "/proc/sys"
        },
        {
          "number": 29,
          "lane": "init",
          "step": "MaskPath",
          "sentence": "mask /proc/kcore",
          "because": "linux.maskedPaths[0]",
          "path": "/proc/kcore"
        },
        {
          "number": 30,
          "lane": "init",
          "step": "ChangeMount",
          "sentence": "change the mount / (ro)",
          "because": "root.readonly",
          "target": "/",
          "set": [
            "ro"
          ],
          "clear": [],
          "setAll": [],
          "clearAll": []
        },
        {
          "number": 31,
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
          "number": 32,
          "lane": "init",
          "step": "ChangeDirectory",
          "sentence": "go to /",
          "because": "process.cwd",
          "target": "/"
        },
        {
          "number": 33,
          "lane": "init",
          "step": "SwitchUser",
          "sentence": "become user 0 and group 0",
          "because": "process.user",
          "uid": 0,
          "gid": 0,
          "groups": []
        },
        {
          "number": 34,
          "lane": "init",
          "step": "SetUmask",
          "sentence": "set the file mode creation mask to 0022",
          "because": "process.user.umask",
          "mask": "0022"
        },
        {
          "number": 35,
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
          "number": 36,
          "lane": "init",
          "step": "NoNewPrivileges",
          "sentence": "give up gaining privileges by execve",
          "because": "process.noNewPrivileges"
        },
        {
          "number": 37,
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
          "number": 38,
          "lane": "init",
          "step": "AwaitStart",
          "sentence": "wait for start",
          "because": "create makes the container, start runs it"
        },
        {
          "number": 39,
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
        "home": "/root"
      }
    }
    "#);
}

#[test]
fn in_shell() {
    let scene = Scene::new();
    scene.small();
    assert_snapshot!(scene.snapshot(scene.explain(&["--format", "sh", "web"])), @r#"
    status 0
    #!/bin/sh
    # The start of the container web as shell commands, for root.
    #
    # The numbers are those of `glassbox explain`. Two things a shell does in another way:
    # - clone3 makes the process in its namespaces and its cgroup at once; here unshare makes the namespaces, and the
    #   process moves itself into its cgroup.
    # - pivot_root takes the host's commands away, so it comes at the very end and is done from outside. Until then the
    #   process works in the rootfs directory: the container's /proc is ./proc.
    set -eu
    umask 0022

    # ---- On the host, before the process exists ----

    # 1. enable the controllers cpuset, io below /sys/fs/cgroup (linux.resources)
    for controller in cpuset io; do
      echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control || : # it only counts
    done 2>/dev/null

    # 2. make the cgroup /sys/fs/cgroup/glassbox-web (linux.cgroupsPath)
    mkdir /sys/fs/cgroup/glassbox-web
    trap 'rmdir /sys/fs/cgroup/glassbox-web' EXIT

    # 3. write "67108864" into /sys/fs/cgroup/glassbox-web/memory.max (linux.resources.memory.limit)
    echo 67108864 >/sys/fs/cgroup/glassbox-web/memory.max

    # The process and this script wait for each other by two FIFOs. At the end nothing is left.
    fifos=$(mktemp -d)
    mkfifo "$fifos/ready" "$fifos/go"
    helper=
    trap 'kill "$helper" 2>/dev/null || :; rm -rf "$fifos"; rmdir /sys/fs/cgroup/glassbox-web' EXIT

    # 4. clone the process into new namespaces: mount, uts, ipc, pid, network, born into the cgroup
    #   /sys/fs/cgroup/glassbox-web (linux.namespaces)
    clone() {
      exec 5>"$fifos/ready" 6<"$fifos/go"
      # shellcheck disable=SC2016 # the shell inside expands them
      exec unshare --mount --propagation unchanged --uts --ipc --pid --fork --net \
        sh -euc '
          read -r pid _ </proc/self/stat # its number on the host
          echo 0 >/sys/fs/cgroup/glassbox-web/cgroup.procs # 0: whoever writes it
          echo "$pid" >&5
          read -r _ <&6
          exec "$@"
        ' sh "$@"
    }

    # ---- Beside the process ----

    beside() {
      exec 3<"$fifos/ready" 4>"$fifos/go"
      rm -r "$fifos"
      read -r pid <&3
      # 5. set RLIMIT_NOFILE to 1024 (soft) and 1024 (hard) (process.rlimits[0])
      prlimit --pid "$pid" --nofile=1024:1024
      echo go >&4
      read -r _ <&3 # the process waits in its last shell
      # 25. make the rootfs the root and let go of the host's (root.path)
      nsenter --target "$pid" --mount pivot_root /web/rootfs /web/rootfs
      nsenter --target "$pid" --mount umount --lazy /
      echo go >&4
    }

    # ---- The process: each command becomes the next ----

    set --
    # 6. close the file descriptors from 3 on (nothing of the host's stays open in the container)
    set -- "$@" sh -euc 'exec 3<&- 4<&- 8<&- 9<&-; exec "$@"' sh
    # 7. set the file mode creation mask to 0000 (modes are taken as they are written)
    set -- "$@" sh -euc 'umask 0000; exec "$@"' sh
    # 8. start a session of its own (a container does not share our terminal's session)
    set -- "$@" setsid
    # 9. make a new cgroup namespace (linux.namespaces "cgroup")
    set -- "$@" unshare --cgroup

    # At last it becomes the shell that reads what follows. The program gets this script's own stdin back.
    exec 7<&0
    beside &
    helper=$!
    status=0
    (clone "$@" sh -eus) <<'INSIDE' || status=$?
    # ---- Inside, by the process itself ----

    # capsh gives power away at the end; its arguments are gathered on the way.
    capsh=$(command -v capsh)
    set --

    # A symbolic link of the rootfs must not lead out of it. The runtime resolves such a link inside; a command cannot.
    below() {
      case $(realpath -m "$1") in
      "$PWD" | "$PWD"/*) ;;
      *) echo "$1 leads out of the rootfs by a symbolic link" >&2 && exit 1 ;;
      esac
    }

    # A directory and those above it, where they are missing.
    directory() {
      below "$1"
      [ -d "$1" ] || (umask 0022 && mkdir -p "$1")
    }

    # Other options for a mount and for all mounts below it.
    remount_all() {
      mounts=$(findmnt --noheadings --list --output TARGET --submounts "$(realpath "$1")")
      echo "$mounts" | while IFS= read -r mount; do
        mount -o "remount,bind,$2" "$mount"
      done
    }

    # 10. make the mounts of / rslave (no mount of the container may reach the host)
    mount --make-rslave /

    # 11. mount /web/rootfs over itself and enter it (root.path)
    mount --rbind /web/rootfs /web/rootfs
    cd /web/rootfs

    # 12. mount proc on /proc (mounts[0])
    directory ./proc
    mount -t proc proc ./proc

    # 13. mount tmpfs on /dev (nosuid,strictatime,mode=755,size=65536k) (mounts[1])
    directory ./dev
    mount -t tmpfs -o nosuid,strictatime,mode=755,size=65536k tmpfs ./dev

    # 14. make the device /dev/null (1:3, mode 0666) (every container has this device)
    [ -c ./dev/null ] || mknod -m 0666 ./dev/null c 1 3

    # 15. make the device /dev/zero (1:5, mode 0666) (every container has this device)
    [ -c ./dev/zero ] || mknod -m 0666 ./dev/zero c 1 5

    # 16. make the device /dev/full (1:7, mode 0666) (every container has this device)
    [ -c ./dev/full ] || mknod -m 0666 ./dev/full c 1 7

    # 17. make the device /dev/random (1:8, mode 0666) (every container has this device)
    [ -c ./dev/random ] || mknod -m 0666 ./dev/random c 1 8

    # 18. make the device /dev/urandom (1:9, mode 0666) (every container has this device)
    [ -c ./dev/urandom ] || mknod -m 0666 ./dev/urandom c 1 9

    # 19. make the device /dev/tty (5:0, mode 0666) (every container has this device)
    [ -c ./dev/tty ] || mknod -m 0666 ./dev/tty c 5 0

    # 20. link /dev/fd to /proc/self/fd (every container has this link)
    [ -L ./dev/fd ] || [ -e ./dev/fd ] || ln -s /proc/self/fd ./dev/fd

    # 21. link /dev/stdin to /proc/self/fd/0 (every container has this link)
    [ -L ./dev/stdin ] || [ -e ./dev/stdin ] || ln -s /proc/self/fd/0 ./dev/stdin

    # 22. link /dev/stdout to /proc/self/fd/1 (every container has this link)
    [ -L ./dev/stdout ] || [ -e ./dev/stdout ] || ln -s /proc/self/fd/1 ./dev/stdout

    # 23. link /dev/stderr to /proc/self/fd/2 (every container has this link)
    [ -L ./dev/stderr ] || [ -e ./dev/stderr ] || ln -s /proc/self/fd/2 ./dev/stderr

    # 24. link /dev/ptmx to pts/ptmx (every container has this link)
    [ -L ./dev/ptmx ] || [ -e ./dev/ptmx ] || ln -s pts/ptmx ./dev/ptmx

    # 25. make the rootfs the root and let go of the host's (root.path)
    # Done from outside, in beside() above.

    # 26. set the host name to glassbox (hostname)
    hostname glassbox

    # 27. bring the loopback device lo up (many programs listen on 127.0.0.1)
    ip link set lo up

    # 28. make /proc/sys read-only (linux.readonlyPaths[0])
    if [ -e ./proc/sys ]; then mount --rbind ./proc/sys ./proc/sys; remount_all ./proc/sys ro; fi # else nothing to protect

    # 29. mask /proc/kcore (linux.maskedPaths[0])
    if [ -d ./proc/kcore ]; then mount -t tmpfs -o ro tmpfs ./proc/kcore
    elif [ -e ./proc/kcore ]; then mount --bind ./dev/null ./proc/kcore; fi # else nothing to hide

    # 30. change the mount / (ro) (root.readonly)
    mount -o remount,bind,ro .

    # 31. drop 40 capabilities for good (process.capabilities.bounding)
    set -- "$@" --drop=cap_chown,cap_dac_override,cap_dac_read_search,cap_fowner,cap_fsetid \
      --drop=cap_setgid,cap_setuid,cap_setpcap,cap_linux_immutable,cap_net_bind_service \
      --drop=cap_net_broadcast,cap_net_admin,cap_net_raw,cap_ipc_lock,cap_ipc_owner \
      --drop=cap_sys_module,cap_sys_rawio,cap_sys_chroot,cap_sys_ptrace,cap_sys_pacct \
      --drop=cap_sys_admin,cap_sys_boot,cap_sys_nice,cap_sys_resource,cap_sys_time \
      --drop=cap_sys_tty_config,cap_mknod,cap_lease,cap_audit_write,cap_audit_control \
      --drop=cap_setfcap,cap_mac_override,cap_mac_admin,cap_syslog,cap_wake_alarm \
      --drop=cap_block_suspend,cap_audit_read,cap_perfmon,cap_bpf,cap_checkpoint_restore

    # 32. go to / (process.cwd)
    cd .

    # 33. become user 0 and group 0 (process.user)
    set -- "$@" --keep=1 --groups= --gid=0 --uid=0

    # 34. set the file mode creation mask to 0022 (process.user.umask)
    umask 0022

    # 35. keep the capabilities CAP_KILL (permitted the same, inheritable none, ambient none)
    #   (process.capabilities)
    set -- "$@" --caps='= cap_kill+ep'

    # 36. give up gaining privileges by execve (process.noNewPrivileges)
    set -- "$@" --no-new-privs

    exec env -i \
      PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
      TERM=xterm \
      HOME=/root \
      "$capsh" "$@" --shell=/bin/sh -- -euc '
    exec <&7
    echo ready >&5
    read -r _ <&6 # until the root is swapped
    exec 5>&- 6<&- 7<&-

    # 37. check that /usr/local/sbin/sh or its namesake further down PATH can be executed (process.args[0])
    found=
    for file in /usr/local/sbin/sh /usr/local/bin/sh /usr/sbin/sh /usr/bin/sh /sbin/sh /bin/sh; do
      if [ -f "$file" ] && [ -x "$file" ]; then found=$file && break; fi
    done
    if [ -z "$found" ]; then echo "$1: no such program" >&2 && exit 127; fi

    # 38. wait for start (create makes the container, start runs it)
    # Not done: nobody starts this container later: it goes on at once.

    # 39. become the program: sh -c echo it'\''s "$HOME" (process.args)
    unset PWD OLDPWD SHLVL _
    exec "$@"
    ' sh sh -c 'echo it'\''s "$HOME"'
    INSIDE
    exit "$status"
    "#);
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
    assert!(joined.contains(&format!("Mount {} over itself", rootfs.display())), "{joined}");
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
