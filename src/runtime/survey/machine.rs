//! Facts about the kernel, about who asks, and about the programs that are installed.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use caps::{CapSet, Capability};
use rustix::fs::{CWD, Mode, OFlags};
use serde::Serialize;

use super::attempt::Outcome;
use crate::sys::feature;

/// The kernel and the machine under it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
#[serde(rename_all = "camelCase")]
pub struct KernelFacts {
    /// /proc is mounted; without it most of what is below cannot be known.
    pub proc: bool,
    /// As `uname -r` has it.
    pub release: String,
    /// As `uname -m` has it.
    pub machine: String,
    /// CPUs that this process may run on (affinity and cpu.max counted in).
    pub cpus: usize,
    /// MemTotal of /proc/meminfo, in bytes.
    pub memory: u64,
    /// SwapTotal of /proc/meminfo, in bytes.
    pub swap: u64,
    /// What a seccomp filter may answer: /proc/sys/kernel/seccomp/actions_avail; empty without CONFIG_SECCOMP_FILTER.
    pub seccomp_actions: Vec<String>,
    /// /proc/pressure/memory can be read: CONFIG_PSI, and not switched off by `psi=0`.
    pub pressure: bool,
    /// The overlay file system.
    pub overlay: Loadable,
    /// AppArmor is active.
    pub apparmor: bool,
    /// SELinux: none where it is not active, else whether it enforces.
    pub selinux_enforcing: Option<bool>,
    /// The name that the distribution gives itself, /etc/os-release's ID and ID_LIKE, in that order.
    pub distribution: Vec<String>,
}

/// Something that may be a kernel module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Default)]
#[serde(rename_all = "camelCase")]
pub enum Loadable {
    /// There is no such thing.
    #[default]
    Absent,
    /// A module that is installed and not loaded: the kernel loads it on first use by root.
    Module,
    /// In the kernel now.
    Present,
}

/// Who asks, and from where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
#[serde(rename_all = "camelCase")]
pub struct UserFacts {
    /// Effective user id.
    pub uid: u32,
    /// Effective capabilities, as `CAP_SYS_ADMIN`.
    pub capabilities: Vec<String>,
    /// We are in a user namespace of our own: uid 0 need not be the machine's.
    pub in_user_namespace: bool,
    /// no_new_privs is set, and our children inherit it.
    pub no_new_privs: bool,
    /// A seccomp filter is on us, and our children inherit it.
    pub seccomp_filter: bool,
    /// The container engine that we are inside of, as well as it can be told: `docker`, `podman`, `lxc` …
    pub container: Option<String>,
    /// systemd is PID 1 here.
    pub systemd: bool,
}

/// What ordinary users have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
#[serde(rename_all = "camelCase")]
pub struct RootlessFacts {
    /// Debian's and Arch's `kernel.unprivileged_userns_clone`.
    pub unprivileged_userns_clone: Option<u64>,
    /// Ubuntu's `kernel.apparmor_restrict_unprivileged_userns`.
    pub apparmor_restrict_unprivileged_userns: Option<u64>,
    /// The asking user's name.
    pub name: Option<String>,
    /// /etc/subuid has a range for that user.
    pub subuid: bool,
    /// /etc/subgid has a range for that user.
    pub subgid: bool,
}

/// Reads facts of the kernel.
pub fn kernel() -> KernelFacts {
    let uname = rustix::system::uname();
    let meminfo = read("/proc/meminfo");
    let release = uname.release().to_string_lossy().into_owned();
    KernelFacts {
        proc: Path::new("/proc/self/stat").exists(),
        machine: uname.machine().to_string_lossy().into_owned(),
        cpus: std::thread::available_parallelism().map_or(1, usize::from),
        memory: meminfo_bytes(&meminfo, "MemTotal"),
        swap: meminfo_bytes(&meminfo, "SwapTotal"),
        seccomp_actions: words(&read("/proc/sys/kernel/seccomp/actions_avail")),
        // Opened alone, the file answers ENOTSUPP under psi=0 only when it is read.
        pressure: fs::read_to_string("/proc/pressure/memory").is_ok(),
        overlay: file_system(
            "overlay",
            &read("/proc/filesystems"),
            &read(&format!("/lib/modules/{release}/modules.dep")),
        ),
        apparmor: read("/sys/module/apparmor/parameters/enabled").trim() == "Y",
        selinux_enforcing: fs::read_to_string("/sys/fs/selinux/enforce").ok().map(|text| text.trim() == "1"),
        distribution: distribution(&read("/etc/os-release")),
        release,
    }
}

/// Reads facts about the calling process.
pub fn user() -> UserFacts {
    let status = read("/proc/self/status");
    let effective = caps::read(None, CapSet::Effective).unwrap_or_default();
    let mut capabilities: Vec<_> = effective.iter().map(Capability::to_string).collect();
    capabilities.sort();
    UserFacts {
        uid: rustix::process::geteuid().as_raw(),
        capabilities,
        in_user_namespace: is_mapped(&read("/proc/self/uid_map")),
        no_new_privs: status_field(&status, "NoNewPrivs") == Some("1"),
        seccomp_filter: status_field(&status, "Seccomp") == Some("2"),
        container: container(),
        systemd: Path::new("/run/systemd/system").is_dir(),
    }
}

/// Reads what ordinary users have, for the calling one.
pub fn rootless() -> RootlessFacts {
    let uid = rustix::process::getuid();
    let name =
        nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid.as_raw())).ok().flatten().map(|user| user.name);
    let uid = uid.as_raw().to_string();
    let has_range = |path| has_sub_ids(&read(path), &[name.as_deref().unwrap_or(&uid), &uid]);
    RootlessFacts {
        unprivileged_userns_clone: read_number("/proc/sys/kernel/unprivileged_userns_clone"),
        apparmor_restrict_unprivileged_userns: read_number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
        subuid: has_range("/etc/subuid"),
        subgid: has_range("/etc/subgid"),
        name,
    }
}

/// The number in a file of /proc/sys; none where the file is not there.
pub fn read_number(path: &str) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Where PATH, or the directories of system programs that an ordinary user's PATH lacks, have an executable.
pub fn which(name: &str) -> Option<String> {
    let path = std::env::var("PATH").unwrap_or_default();
    let directories = path.split(':').chain(["/usr/local/sbin", "/usr/sbin", "/sbin"]);
    let found = directories.filter(|directory| !directory.is_empty()).map(|directory| Path::new(directory).join(name));
    let executable =
        |path: &Path| path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0);
    found.into_iter().find(|path| executable(path)).map(|path| path.to_string_lossy().into_owned())
}

/// Makes a VM without CPUs and memory by /dev/kvm, as QEMU begins: that the device opens says little.
pub fn make_vm() -> Outcome {
    let device = rustix::fs::openat(CWD, c"/dev/kvm", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty());
    Outcome::from(device.and_then(|device| feature::make_vm(device.as_fd())))
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_string).collect()
}

/// A line such as `MemTotal:  2010224 kB`, where kB means KiB, in bytes; 0 where it is not there.
fn meminfo_bytes(meminfo: &str, key: &str) -> u64 {
    let value = meminfo.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    value.and_then(|value| value.split_whitespace().next()?.parse::<u64>().ok()).map_or(0, |kib| kib * 1024)
}

fn status_field<'a>(status: &'a str, key: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':')).map(str::trim)
}

/// The initial user namespace maps every id to itself (user_namespaces(7)).
fn is_mapped(uid_map: &str) -> bool {
    !uid_map.is_empty() && words(uid_map) != ["0", "0", "4294967295"]
}

/// What a file system's line in /proc/filesystems, else its module in modules.dep, says.
fn file_system(name: &str, filesystems: &str, modules: &str) -> Loadable {
    let module = |line: &str| {
        let path = line.split(':').next().unwrap_or_default();
        path.rsplit('/').next().is_some_and(|file| file.strip_prefix(name).is_some_and(|rest| rest.starts_with(".ko")))
    };
    if filesystems.lines().any(|line| line.split_whitespace().last() == Some(name)) {
        Loadable::Present
    } else if modules.lines().any(module) {
        Loadable::Module
    } else {
        Loadable::Absent
    }
}

/// os-release(5).
fn distribution(os_release: &str) -> Vec<String> {
    let value = |key: &str| os_release.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    ["ID", "ID_LIKE"].into_iter().filter_map(value).flat_map(|value| words(value.trim_matches(['"', '\'']))).collect()
}

/// subuid(5): `user:first:count`, where user is a name or a number.
fn has_sub_ids(table: &str, names: &[&str]) -> bool {
    table.lines().any(|line| {
        let mut fields = line.split(':');
        let ours = fields.next().is_some_and(|name| names.contains(&name));
        ours && fields.nth(1).and_then(|count| count.trim().parse::<u64>().ok()).is_some_and(|count| count > 0)
    })
}

/// The marks that engines leave in their containers.
fn container() -> Option<String> {
    // systemd's container interface: https://systemd.io/CONTAINER_INTERFACE
    let announced = fs::read_to_string("/run/systemd/container").or_else(|_| std::env::var("container"));
    if let Ok(name) = announced
        && !name.trim().is_empty()
    {
        return Some(name.trim().to_string());
    }
    let marks = [("/run/.containerenv", "podman"), ("/.dockerenv", "docker")];
    let found = marks.into_iter().find(|(mark, _)| Path::new(mark).exists());
    found
        .map(|(_, name)| name.to_string())
        .or_else(|| std::env::var("KUBERNETES_SERVICE_HOST").ok().map(|_| "kubernetes".to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_in_bytes() {
        let meminfo = "MemTotal:        2010224 kB\nMemFree:  5 kB\nSwapTotal:             0 kB\n";
        assert_eq!(meminfo_bytes(meminfo, "MemTotal"), 2_010_224 * 1024);
        assert_eq!(meminfo_bytes(meminfo, "SwapTotal"), 0);
        assert_eq!(meminfo_bytes(meminfo, "Mem"), 0);
    }

    #[test]
    fn fields_of_status() {
        let status = "NoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t3\n";
        assert_eq!(status_field(status, "Seccomp"), Some("2"));
        assert_eq!(status_field(status, "NoNewPrivs"), Some("1"));
        assert_eq!(status_field(status, "CapEff"), None);
    }

    #[test]
    fn only_the_initial_user_namespace_maps_everything() {
        assert!(!is_mapped("         0          0 4294967295\n"));
        assert!(is_mapped("         0       1000          1\n"));
        assert!(!is_mapped(""));
    }

    #[test]
    fn overlay_may_be_a_module() {
        let modules = "kernel/fs/overlayfs/overlay.ko.xz:\nkernel/fs/ext4/ext4.ko: kernel/fs/jbd2/jbd2.ko\n";
        assert_eq!(file_system("overlay", "nodev\tsysfs\nnodev\toverlay\n", ""), Loadable::Present);
        assert_eq!(file_system("overlay", "nodev\tsysfs\n", modules), Loadable::Module);
        assert_eq!(file_system("jbd2", "", modules), Loadable::Absent);
        assert_eq!(file_system("over", "nodev\tsysfs\n", modules), Loadable::Absent);
    }

    #[test]
    fn a_distribution_names_itself_and_its_parents() {
        assert_eq!(distribution("NAME=\"Ubuntu\"\nID=ubuntu\nID_LIKE=\"debian\"\n"), ["ubuntu", "debian"]);
        assert_eq!(distribution("VERSION_ID=12\nID=debian\n"), ["debian"]);
        assert!(distribution("").is_empty());
    }

    #[test]
    fn a_range_belongs_to_a_name_or_a_number() {
        let table = "alice:100000:65536\n1001:165536:65536\nbob:231072:0\n";
        assert!(has_sub_ids(table, &["alice", "1000"]));
        assert!(has_sub_ids(table, &["carol", "1001"]));
        assert!(!has_sub_ids(table, &["bob", "1002"]));
        assert!(!has_sub_ids("", &["alice"]));
    }

    #[test]
    fn a_program_is_found_where_it_is_executable() {
        assert!(which("sh").is_some_and(|path| path.ends_with("/sh")));
        assert_eq!(which("passwd-of-nobody"), None);
    }
}
