//! The steps of the process itself as commands, run in the rootfs directory: pivot_root comes last (see `mod.rs`), so
//! `/proc` of the container is `./proc`.

use super::super::step::*;
use super::super::text::{capability_name, propagation_name, text};
use super::super::uapi::*;
use super::Shell;
use super::quote::{here, word, words};
use super::{mount, program};

impl InitStep {
    /// The commands that do the same.
    pub fn shell(&self) -> Shell {
        match self {
            InitStep::HideFromTracers => Shell::Nothing("execve makes every process of a script visible again"),
            InitStep::JoinNamespace { namespace, path } => {
                Shell::Becomes(format!("nsenter --{}={}", nsenter_name(*namespace), word(&text(path))))
            }
            InitStep::JoinContainer { namespaces, pid } => {
                let kinds = NAMESPACES.iter().filter(|(_, flag, _)| namespaces & flag != 0);
                let kinds: String = kinds.map(|(_, flag, _)| format!(" --{}", nsenter_name(*flag))).collect();
                Shell::Becomes(format!("nsenter --target {pid}{kinds}"))
            }
            InitStep::NewTimeNamespace { .. } => {
                Shell::Outside(vec!["# unshare made it at the process's birth.".to_string()])
            }
            InitStep::WriteSysctl { path, value } => {
                one(format!("printf %s {} >{}", word(&text(value)), word(&text(path))))
            }
            InitStep::NewSessionKeyring { .. } => Shell::Nothing(
                "that takes keyctl(1), which few machines have: the program keeps this script's session keyring",
            ),
            InitStep::SetCpuAffinity { mask } => {
                let digits: String = mask.iter().rev().map(|word| format!("{word:016x}")).collect();
                Shell::Becomes(format!("taskset 0x{}", digits.trim_start_matches('0')))
            }
            InitStep::SetLabel { .. } => Shell::Nothing(
                "the label is taken at the next execve, and a script has more than one before the program",
            ),
            InitStep::AwaitHooks | InitStep::RunHook { .. } => Shell::Nothing(super::host::NO_STATE),
            InitStep::SetOomScoreAdj { value } => Shell::Becomes(format!("choom --adjust={} --", text(value))),
            InitStep::BecomeRoot => Shell::Becomes(
                "setpriv --reuid=0 --regid=0 --keep-groups --inh-caps=-all --ambient-caps=-all".to_string(),
            ),
            InitStep::NewSession => Shell::Becomes("setsid".to_string()),
            InitStep::SetPersonality { domain } => Shell::Becomes(match *domain {
                PER_LINUX32 => "setarch linux32".to_string(),
                _ => "setarch linux64".to_string(),
            }),
            InitStep::Unshare { namespaces } => {
                Shell::Becomes(format!("unshare {}", unshare_options(*namespaces).join(" ")))
            }
            InitStep::SetPropagation { path, flags } => {
                one(format!("mount --make-{} {}", propagation_name(*flags), word(&text(path))))
            }
            InitStep::EnterRootfs { path, recursive } => {
                let path = word(&text(path));
                Shell::Commands(vec![mount::bind_command(&path, &path, *recursive), format!("cd {path}")])
            }
            InitStep::MountFilesystem { filesystem, target, .. } => {
                Shell::Commands(mount::filesystem(filesystem, &below(target)))
            }
            InitStep::BindMount { source, target, recursive, attributes, idmap } => {
                mount::bind(source, target, *recursive, attributes, idmap.as_ref())
            }
            InitStep::SetMountPropagation { target, flags } => {
                one(format!("mount --make-{} {}", propagation_name(*flags), below(target)))
            }
            InitStep::ChangeMount { target, parameters, attributes } => {
                let own = mount::reconfigure(&below(target), parameters);
                Shell::Commands(own.into_iter().chain(mount::change(&below(target), attributes)).collect())
            }
            InitStep::MakeDevice { target, mode, major, minor, uid, gid } => {
                device(&below(target), *mode, (*major, *minor), (*uid, *gid))
            }
            InitStep::MakeSymlink { text: link, target } => {
                let target = below(target);
                one(format!("[ -L {target} ] || [ -e {target} ] || ln -s {} {target}", word(&text(link))))
            }
            // The directory itself is what `needs` makes first.
            InitStep::MakeDirectory { .. } => Shell::Commands(Vec::new()),
            InitStep::CopyUp { target } => Shell::Commands(mount::copy_up(&below(target))),
            InitStep::PivotRoot => Shell::Outside(Vec::new()),
            InitStep::ChangeRoot { path } => Shell::Capsh(vec![format!("--chroot={}", word(&text(path)))]),
            InitStep::SetHostname { name } => one(set_hostname(&text(name))),
            InitStep::SetDomainname { name } => one(format!("domainname {}", word(&text(name)))),
            InitStep::BringLoopbackUp { device } => one(format!("ip link set {} up", word(&text(device)))),
            InitStep::OpenTerminal { .. } => Shell::Nothing(
                "a shell cannot hand a terminal's other end over: the program keeps this script's stdin, stdout and \
                 stderr, and there is no /dev/console",
            ),
            InitStep::ReadonlyPath { path, recursive, attributes } => {
                mount::readonly(&here(&text(path)), *recursive, attributes)
            }
            InitStep::MaskPath { path, empty, null, .. } => mount::mask(&here(&text(path)), empty, &here(&text(null))),
            InitStep::ChangeDirectory { target } => one(format!("cd {}", below(target))),
            InitStep::FindExecutable { candidates } => program::find(candidates),
            InitStep::AwaitStart => Shell::Nothing("nobody starts this container later: it goes on at once"),
            InitStep::SetUmask { mask } => one(format!("umask {mask:04o}")),
            InitStep::DropBounding { drop } => Shell::Capsh(
                drop.chunks(5)
                    .map(|five| {
                        let names: Vec<_> = five.iter().map(|number| capability(*number)).collect();
                        format!("--drop={}", names.join(","))
                    })
                    .collect(),
            ),
            InitStep::SwitchUser { uid, gid, groups } => {
                let names = |groups: &Vec<u32>| groups.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
                let groups = groups.as_ref().map(|groups| format!("--groups={}", names(groups)));
                let ids = [format!("--gid={gid}"), format!("--uid={uid}")];
                Shell::Capsh(["--keep=1".to_string()].into_iter().chain(groups).chain(ids).collect())
            }
            InitStep::SetCapabilities { effective, permitted, inheritable, ambient } => {
                Shell::Capsh(capabilities(*effective, *permitted, *inheritable, *ambient))
            }
            InitStep::NoNewPrivileges => Shell::Capsh(vec!["--no-new-privs".to_string()]),
            InitStep::CloseDescriptors { from } => program::close(*from),
            InitStep::LoadSeccomp { .. } => {
                Shell::Nothing("no ordinary command loads a system call filter: here the program runs without one")
            }
            InitStep::Execute { candidates, args, env } => program::execute(candidates, args, env),
        }
    }
}

fn one(command: String) -> Shell {
    Shell::Commands(vec![command])
}

/// A path below the rootfs, quoted.
pub(super) fn below(target: &RootfsPath) -> String {
    here(&text(&target.path))
}

/// Options of unshare(1) for CLONE_NEW* flags. The mounts keep their propagation: another step is about that.
pub(super) fn unshare_options(namespaces: u64) -> Vec<&'static str> {
    let options = |name| match name {
        "mount" => "--mount --propagation unchanged",
        "cgroup" => "--cgroup",
        "uts" => "--uts",
        "ipc" => "--ipc",
        "network" => "--net",
        "pid" => "--pid --fork",
        "time" => "--time",
        // The ids are mapped later, and whoever has no mapped id loses all capabilities by execve(2).
        _ => "--user --keep-caps",
    };
    NAMESPACES.iter().filter(|(_, flag, _)| namespaces & flag != 0).map(|(name, ..)| options(*name)).collect()
}

/// As nsenter(1) spells the kind of a namespace.
fn nsenter_name(namespace: u64) -> &'static str {
    match namespace {
        CLONE_NEWNS => "mount",
        CLONE_NEWCGROUP => "cgroup",
        CLONE_NEWUTS => "uts",
        CLONE_NEWIPC => "ipc",
        CLONE_NEWUSER => "user",
        CLONE_NEWPID => "pid",
        CLONE_NEWTIME => "time",
        _ => "net",
    }
}

fn device(target: &str, mode: u32, (major, minor): (u32, u32), (uid, gid): (u32, u32)) -> Shell {
    let permissions = mode & 0o7777;
    let (test, node) = match mode & S_IFMT {
        S_IFIFO => ("-p", "p".to_string()),
        S_IFBLK => ("-b", format!("b {major} {minor}")),
        _ => ("-c", format!("c {major} {minor}")),
    };
    let make = format!("mknod -m {permissions:04o} {target} {node}");
    match (uid, gid) {
        (0, 0) => one(format!("[ {test} {target} ] || {make}")),
        _ => one(format!("[ {test} {target} ] || {make}\nchown {uid}:{gid} {target}")),
    }
}

/// hostname(1) takes names of the Internet's alphabet alone; the kernel takes any.
fn set_hostname(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    match name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(plain) {
        true => format!("hostname {}", words([name])),
        false => format!("printf %s {} >/proc/sys/kernel/hostname", word(name)),
    }
}

/// As libcap spells it: `cap_kill`, or the number of one that it may not know.
fn capability(number: u8) -> String {
    let name = capability_name(number).to_ascii_lowercase();
    name.strip_prefix("cap_").filter(|rest| rest.parse::<u8>().is_ok()).map_or(name.clone(), str::to_string)
}

/// cap_from_text(3) for capset(2), then what is raised in the ambient set.
fn capabilities(effective: u64, permitted: u64, inheritable: u64, ambient: u64) -> Vec<String> {
    let names = |mask: u64| {
        let numbers = (0..64_u8).filter(|number| mask & (1 << number) != 0);
        numbers.map(capability).collect::<Vec<_>>().join(",")
    };
    let mut raised = String::new();
    for letters in ["eip", "ei", "ep", "ip", "e", "i", "p"] {
        let within = |mask: u64, letter: char| if letters.contains(letter) { mask } else { !mask };
        let mask = within(effective, 'e') & within(permitted, 'p') & within(inheritable, 'i');
        if mask != 0 {
            raised.push_str(&format!(" {}+{letters}", names(mask)));
        }
    }
    let mut arguments = vec![format!("--caps={}", word(&format!("={raised}")))];
    if ambient != 0 {
        arguments.push(format!("--addamb={}", names(ambient)));
    }
    arguments
}
