//! A proc file system made of files, and what is read from it: a machine with a container, a pod of two containers, and
//! someone else's process. For tests alone.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::names::Container;
use super::process::{self, Facts, Kind};
use super::top::frame::{Frame, Header, Recording, Sample};
use super::tree::Machine;
use crate::cgroup::stat::{Cpu, CpuMax, IoDevice, Limit, Memory, Pids, Pressure, Pressures, Stall, Stat};

/// Numbers of the host's namespaces, in the order of [`Kind::ALL`].
pub const HOST: [u64; 8] = [101, 102, 103, 104, 105, 106, 107, 108];

/// Makes `proc/PID` for a process; `None` for namespaces that may not be read.
pub fn add(proc: &Path, pid: i32, name: &str, cgroup: &str, namespaces: Option<[u64; 8]>) {
    let directory = proc.join(pid.to_string());
    fs::create_dir_all(directory.join("ns")).expect("a directory");
    fs::create_dir_all(directory.join("net")).expect("a directory");
    let flags = if name.starts_with('k') { 0x0020_8040 } else { 0x0040_0100 };
    let stat = format!("{pid} ({name}) S 1 1 1 0 -1 {flags} 100 0 0 0");
    fs::write(directory.join("stat"), stat).expect("a file");
    fs::write(directory.join("cgroup"), format!("1:name=systemd:/x\n0::{cgroup}\n")).expect("a file");
    for (kind, number) in Kind::ALL.into_iter().zip(namespaces.iter().flatten()) {
        let link = format!("{}:[{number}]", kind.word());
        symlink(link, directory.join("ns").join(kind.word())).expect("a link");
    }
}

/// A full id, as containerd gives them.
pub const ID: &str = "4f2ab0c1d2e3f405162738495a6b7c8d4f2ab0c1d2e3f405162738495a6b7c8d";

/// The machine, read from a fixture of /proc.
pub fn machine() -> Machine {
    let proc = tempfile::tempdir().expect("a directory");
    let host = HOST;
    let own = [201, 202, 203, 204, 205, 106, 207, 108];
    let pause = [301, 302, 303, 304, 305, 106, 307, 108];
    let app = [401, 402, 303, 304, 305, 106, 407, 108];
    let pod = "/kubepods/burstable/pod1b-2c";
    let put = |pid, name, cgroup: &str, namespaces| add(proc.path(), pid, name, cgroup, namespaces);
    put(1, "systemd", "/init.scope", Some(host));
    put(2, "kthreadd", "/", Some(host));
    put(3, "kworker/0:0", "/", Some(host));
    put(412, "sshd", "/system.slice/ssh.service", Some(host));
    put(480, "sshd", "/system.slice/ssh.service", Some(host));
    put(500, "chronyd", "/system.slice/chrony.service", None);
    put(600, "sh", "/glassbox-web", Some(own));
    put(601, "sleep", "/glassbox-web", Some(own));
    put(700, "pause", &format!("{pod}/{}", ID.replace('4', "5")), Some(pause));
    put(710, "容器", &format!("{pod}/{ID}"), Some(app));
    let limited = Stat {
        memory: Some(Memory { max: Some(Limit::At(64 << 20)), ..Memory::default() }),
        cpu: Some(Cpu { max: Some(CpuMax { quota: Limit::At(50_000), period: 100_000 }), ..Cpu::default() }),
        pids: Some(Pids { max: Some(Limit::At(100)), ..Pids::default() }),
        ..Stat::default()
    };
    let cgroups = [
        ("/", Stat::default()),
        ("/glassbox-web", limited),
        ("/glassbox-old", Stat::default()),
        ("/user.slice", Stat::default()),
    ];
    let container = |id: &str, status: &str, pid| Container {
        id: id.into(),
        status: status.into(),
        cgroup: Some(format!("/glassbox-{id}")),
        pid,
    };
    Machine {
        processes: process::all(proc.path()).expect("it can be listed"),
        cgroups: cgroups.map(|(path, stat)| (path.to_string(), stat)).into(),
        containers: vec![container("web", "running", Some(600)), container("old", "stopped", None)],
        host: 1,
    }
}

/// Both, from a fixture of /proc.
pub fn pair() -> (Facts, Facts) {
    let proc = tempfile::tempdir().expect("a directory");
    add(proc.path(), 1, "systemd", "/init.scope", Some(HOST));
    add(proc.path(), 600, "sh", "/glassbox-web", Some([201, 202, 203, 204, 205, 106, 207, 108]));
    let write = |pid: i32, name: &str, text: &str| {
        let path = proc.path().join(pid.to_string()).join(name);
        std::fs::create_dir_all(path.parent().expect("it has one")).expect("a directory");
        std::fs::write(path, text).expect("a file");
    };
    let status = |nspid: &str, caps: &str, nnp: u8, seccomp: u8| {
        format!(
            "Name:\tx\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nGroups:\t \nNSpid:\t{nspid}\nCapInh:\t0000000000000000\n\
             CapPrm:\t{caps}\nCapEff:\t{caps}\nCapBnd:\t{caps}\nCapAmb:\t0000000000000000\nNoNewPrivs:\t{nnp}\n\
             Seccomp:\t{seccomp}\nSeccomp_filters:\t0\n"
        )
    };
    let dev = "Inter-|   Receive\n face |bytes\n";
    let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                  Max open files            1024                 FILES               files     \n\
                  Max processes             7823                 7823                 processes \n";
    write(1, "status", &status("1", "000001ffffffffff", 0, 0));
    write(600, "status", &status("600\t1", "0000000020000420", 1, 0));
    write(1, "cmdline", "/sbin/init\0");
    write(600, "cmdline", "sh\0-c\0sleep 60\0");
    write(
        1,
        "mountinfo",
        "22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw\n23 22 0:5 / /proc rw - proc proc rw\n",
    );
    write(600, "mountinfo", "90 80 254:1 /srv/web/rootfs / ro,relatime - ext4 /dev/vda1 rw\n");
    write(1, "net/dev", &format!("{dev}    lo: 1\n  eth0: 2\n"));
    write(600, "net/dev", &format!("{dev}    lo: 1\n"));
    write(1, "limits", &limits.replace("FILES", "524288"));
    write(600, "limits", &limits.replace("FILES", "1024"));
    for pid in [1, 600] {
        write(pid, "uid_map", "         0          0 4294967295\n");
        write(pid, "oom_score_adj", "0\n");
        write(pid, "timens_offsets", "monotonic           0         0\nboottime            0         0\n");
        write(pid, "attr/current", "unconfined\n");
    }
    let facts = |pid, hostname: &str, memory: Option<Memory>| {
        let facts = process::facts(proc.path(), pid).expect("it is there");
        let stat = Some(Stat { memory, ..Stat::default() });
        Facts { hostname: Ok(hostname.to_string()), stat, ..facts }
    };
    let limited = Memory { max: Some(Limit::At(64 << 20)), ..Memory::default() };
    (facts(1, "debian", None), facts(600, "容器", Some(limited)))
}

/// A recording: the container web at its CPU limit, its memory growing up to a kill; the container db quiet beside it.
pub fn recording() -> Recording {
    let web = |second: u64| Stat {
        cpu: Some(Cpu {
            usage_usec: second * 500_000,
            nr_periods: second * 10,
            nr_throttled: second * 8,
            throttled_usec: second * 400_000,
            max: Some(CpuMax { quota: Limit::At(50_000), period: 100_000 }),
            ..Cpu::default()
        }),
        memory: Some(Memory {
            current: if second < 6 { (10 * (second + 1)) << 20 } else { 2 << 20 },
            max: Some(Limit::At(64 << 20)),
            events: [("oom_kill".to_string(), u64::from(second >= 6))].into(),
            ..Memory::default()
        }),
        pids: Some(Pids { current: 3, max: Some(Limit::At(100)), refused: 0 }),
        io: Some(vec![IoDevice {
            major: 254,
            minor: 0,
            counters: [("rbytes".to_string(), 0), ("wbytes".to_string(), second * 4096)].into(),
        }]),
        pressure: Pressures { cpu: Some(waited(second * 400_000)), memory: Some(waited(0)), io: None },
        frozen: false,
    };
    let db = Stat {
        cpu: Some(Cpu { usage_usec: 1, max: Some(CpuMax { quota: Limit::Max, period: 100_000 }), ..Cpu::default() }),
        memory: Some(Memory { current: 300 << 20, max: Some(Limit::Max), ..Memory::default() }),
        ..Stat::default()
    };
    let sample = |id: &str, stat: Stat| Sample {
        path: format!("/glassbox-{id}"),
        name: format!("container {id}"),
        using: None,
        stat,
    };
    let header = Header {
        glassbox: "top".into(),
        version: 1,
        started: "2026-11-21T15:04:05Z".into(),
        interval: 1.0,
        host: "debian".into(),
        cpus: 2,
        what: "every container and pod".into(),
    };
    let frame = |second: u32| Frame {
        t: f64::from(second),
        rows: vec![sample("db", db.clone()), sample("web", web(second.into()))],
    };
    Recording { header, frames: (0..10).map(frame).collect() }
}

fn waited(total: u64) -> Pressure {
    Pressure { some: Stall { total, ..Stall::default() }, full: None }
}
