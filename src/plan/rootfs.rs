//! The container's view of files: mounts, devices, links, what is masked and what is read-only.

use std::ffi::CStr;

use super::Options;
use super::host::Host;
use super::mount_options::{self, MountOptions};
use super::step::{Filesystem, FsParameter, InitStep, MountAttributes, MountIdMap, Planned, RootfsPath, c_string};
use super::uapi::*;
use crate::spec::oci::{LinuxDevice, LinuxDeviceType, Mount, Spec};

type Steps = Vec<Planned<InitStep>>;

/// Device nodes that every container has (config-linux.md, "Default Devices"): name, major, minor; mode 0666.
const DEFAULT_DEVICES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

/// Links that every container has (runtime-linux.md, "Dev symbolic links"; ptmx: config-linux.md).
const DEFAULT_LINKS: [(&str, &str); 5] = [
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
    ("/dev/ptmx", "pts/ptmx"),
];

/// Everything from the private mount table to the last mount, in the config's order.
pub(super) fn view(spec: &Spec, host: &Host, cgroup: Option<&str>) -> Steps {
    let mut steps = Vec::new();
    let wanted = spec.linux().as_ref().and_then(|linux| linux.rootfs_propagation().as_deref());
    let shared = wanted.and_then(mount_options::propagation).filter(|flags| flags & MS_SHARED != 0);
    let enter = Planned::new(InitStep::EnterRootfs { path: c_string(&host.rootfs), recursive: true }, "root.path");
    let propagate = |path: &CStr, flags, because| {
        Planned::new(InitStep::SetPropagation { path: path.to_owned(), flags: MS_REC | flags }, because)
    };
    if shares_mounts(spec) {
        // The host's own mounts are not to be changed: those of the container alone, once they are apart from them.
        steps.extend([enter, propagate(c".", MS_PRIVATE, "what is mounted for the container is mounted nowhere else")]);
    } else {
        let flags = if shared.is_some() { MS_PRIVATE } else { MS_SLAVE };
        steps.extend([propagate(c"/", flags, "no mount of the container may reach the host"), enter]);
    }
    for (index, mount) in spec.mounts().iter().flatten().enumerate() {
        steps.extend(one_mount(mount, index, spec, host, cgroup));
    }
    if !spec.mounts().iter().flatten().any(|mount| is_dev(mount) && options(mount).bind.is_some()) {
        devices(spec, host, &mut steps);
    }
    steps
}

/// Whether the container has no mount namespace of its own: what is mounted for it is mounted in ours.
pub(super) fn shares_mounts(spec: &Spec) -> bool {
    super::namespaces::own(spec) & CLONE_NEWNS == 0
}

/// The step that makes the rootfs the root.
pub(super) fn take_root(spec: &Spec, host: &Host, options: &Options) -> Planned<InitStep> {
    let chroot = || InitStep::ChangeRoot { path: c_string(&host.rootfs) };
    match shares_mounts(spec) {
        true => Planned::new(chroot(), "linux.namespaces without \"mount\""),
        false if options.without_pivot_root => Planned::new(chroot(), "--without pivot-root"),
        false => Planned::new(InitStep::PivotRoot, "root.path"),
    }
}

/// What is closed once everything is in place, after pivot_root.
pub(super) fn lock(spec: &Spec) -> Steps {
    let mut steps = Vec::new();
    let linux = spec.linux().as_ref();
    // Device nodes had to be made in it first.
    let dev = spec.mounts().iter().flatten().position(|mount| is_dev(mount) && options(mount).bind.is_none());
    if let Some(index) = dev.filter(|index| read_only(&spec.mounts().as_ref().expect("it has an entry")[*index])) {
        steps.push(change("/dev", MOUNT_ATTR_RDONLY, format!("mounts[{index}].options")));
    }
    for (index, path) in linux.and_then(|linux| linux.readonly_paths().as_ref()).into_iter().flatten().enumerate() {
        steps.push(Planned::new(
            InitStep::ReadonlyPath {
                path: c_string(path),
                recursive: true,
                attributes: MountAttributes { set_all: MOUNT_ATTR_RDONLY, ..Default::default() },
            },
            format!("linux.readonlyPaths[{index}]"),
        ));
    }
    for (index, path) in linux.and_then(|linux| linux.masked_paths().as_ref()).into_iter().flatten().enumerate() {
        steps.push(Planned::new(mask(path, spec), format!("linux.maskedPaths[{index}]")));
    }
    if let Some(flags) =
        linux.and_then(|linux| linux.rootfs_propagation().as_deref()).and_then(mount_options::propagation)
    {
        steps.push(Planned::new(InitStep::SetPropagation { path: c"/".to_owned(), flags }, "linux.rootfsPropagation"));
    }
    if spec.root().as_ref().and_then(|root| root.readonly()) == Some(true) {
        steps.push(change("/", MOUNT_ATTR_RDONLY, "root.readonly".to_string()));
    }
    steps
}

/// Nothing can be read there, and nothing written.
fn mask(path: &str, spec: &Spec) -> InitStep {
    let empty = Filesystem {
        fstype: c"tmpfs".to_owned(),
        source: c"tmpfs".to_owned(),
        parameters: labelled(vec![FsParameter::Flag(c"ro".to_owned())], "tmpfs", spec),
        attributes: MOUNT_ATTR_RDONLY,
    };
    InitStep::MaskPath { path: c_string(path), empty, null: c"/dev/null".to_owned(), device: (1, 3) }
}

fn change(path: &str, set: u64, because: String) -> Planned<InitStep> {
    let attributes = MountAttributes { set, ..Default::default() };
    let target = RootfsPath::new(path);
    Planned::new(InitStep::ChangeMount { target, parameters: Vec::new(), attributes }, because)
}

fn options(mount: &Mount) -> MountOptions {
    mount_options::parse(mount.options().iter().flatten().map(String::as_str))
}

fn read_only(mount: &Mount) -> bool {
    let attributes = options(mount).attributes;
    (attributes.set | attributes.set_all) & MOUNT_ATTR_RDONLY != 0
}

fn is_dev(mount: &Mount) -> bool {
    RootfsPath::new(&mount.destination().to_string_lossy()).in_container() == "/dev"
}

fn one_mount(mount: &Mount, index: usize, spec: &Spec, host: &Host, cgroup: Option<&str>) -> Steps {
    let target = RootfsPath::new(&mount.destination().to_string_lossy());
    let mut parsed = options(mount);
    let because = format!("mounts[{index}]");
    let fstype = mount.typ().as_deref().unwrap_or("none");
    let source = mount.source().as_ref().map(|source| source.to_string_lossy().into_owned());
    if is_dev(mount) && parsed.bind.is_none() {
        parsed.attributes.set &= !MOUNT_ATTR_RDONLY;
        parsed.attributes.set_all &= !MOUNT_ATTR_RDONLY;
        parsed.parameters.retain(|parameter| *parameter != FsParameter::Flag(c"ro".to_owned()));
    }
    let step = match (parsed.remount, parsed.bind, fstype) {
        (true, ..) => InitStep::ChangeMount {
            target: target.clone(),
            parameters: if remounts_its_own(spec, index) { parsed.reconfiguration() } else { Vec::new() },
            attributes: parsed.attributes,
        },
        (_, Some(recursive), _) => mapped(bind(source, target.clone(), recursive, parsed.attributes), mount, &parsed),
        (_, _, "bind") => mapped(bind(source, target.clone(), false, parsed.attributes), mount, &parsed),
        // Without a cgroup namespace a new cgroup2 mount would show the host's whole tree: show the container's part.
        (_, _, "cgroup" | "cgroup2") if !own_cgroup_namespace(spec) => {
            // It could raise its own limits there, and no namespace stands between: whatever the options, only to look at.
            parsed.attributes.clear &= !MOUNT_ATTR_RDONLY;
            parsed.attributes.set |= MOUNT_ATTR_RDONLY;
            match cgroup {
                Some(cgroup) => bind(Some(cgroup.to_string()), target.clone(), false, parsed.attributes),
                // Without a cgroup of its own it sees the host's tree, and what is mounted below that, to look at alone.
                None => {
                    let attributes = MountAttributes { set_all: MOUNT_ATTR_RDONLY, ..parsed.attributes };
                    bind(Some("/sys/fs/cgroup".to_string()), target.clone(), true, attributes)
                }
            }
        }
        (_, _, "sysfs") if sysfs_is_foreign(spec, host) => {
            parsed.attributes.set_all |= parsed.attributes.set & MOUNT_ATTR_RDONLY;
            bind(Some("/sys".to_string()), target.clone(), true, parsed.attributes)
        }
        _ => InitStep::MountFilesystem {
            filesystem: Filesystem {
                fstype: c_string(if fstype == "cgroup" { "cgroup2" } else { fstype }),
                source: c_string(source.as_deref().unwrap_or(fstype)),
                parameters: labelled(parsed.parameters, fstype, spec),
                attributes: parsed.attributes.set | parsed.attributes.set_all,
            },
            target: target.clone(),
            // Behind a link at /proc or /sys, what is to be masked would not be where it is masked (CVE-2019-19921).
            no_symlinks: ["proc", "sysfs"].contains(&fstype),
        },
    };
    let fresh = matches!(step, InitStep::MountFilesystem { .. });
    let mut steps = vec![Planned::new(step, because.clone())];
    if parsed.copy_up && fresh {
        let step = InitStep::CopyUp { target: target.clone() };
        steps.push(Planned::new(step, format!("{because}.options \"tmpcopyup\"")));
    }
    steps.extend(parsed.propagation.into_iter().map(|flags| {
        Planned::new(InitStep::SetMountPropagation { target: target.clone(), flags }, format!("{because}.options"))
    }));
    steps
}

/// Options that the config gives to file systems which are not the container's to change, each as a sentence.
pub(super) fn left_out(spec: &Spec) -> Vec<String> {
    let mut left_out = Vec::new();
    for (index, mount) in spec.mounts().iter().flatten().enumerate() {
        let parsed = options(mount);
        let foreign = parsed.bind.is_some() || mount.typ().as_deref() == Some("bind");
        if parsed.remount && !remounts_its_own(spec, index) || !parsed.remount && foreign {
            let say = |option| {
                format!("mounts[{index}].options: {option} is not applied: the file system is not the container's own")
            };
            left_out.extend(parsed.foreign().map(say));
        }
    }
    left_out
}

/// Whether a remount is of a file system that the config itself has mounted there: any other one is the host's as well, and
/// only its mount here may change.
fn remounts_its_own(spec: &Spec, index: usize) -> bool {
    let place = |mount: &Mount| RootfsPath::new(&mount.destination().to_string_lossy());
    let mounts = spec.mounts().as_deref().unwrap_or_default();
    if options(&mounts[index]).bind.is_some() {
        return false;
    }
    let earlier = mounts[..index].iter().rev().filter(|mount| !options(mount).remount);
    let there = earlier.into_iter().find(|mount| place(mount) == place(&mounts[index]));
    let is_new = |mount: &Mount| {
        let fstype = mount.typ().as_deref().unwrap_or("none");
        options(mount).bind.is_none() && !["bind", "cgroup", "cgroup2", "sysfs"].contains(&fstype)
    };
    there.is_some_and(is_new)
}

/// The label that SELinux is to see on all files of a new file system. Those of proc, sysfs, mqueue and cgroup2 have labels of
/// the policy's own, as with runc.
fn labelled(mut parameters: Vec<FsParameter>, fstype: &str, spec: &Spec) -> Vec<FsParameter> {
    let label =
        spec.linux().as_ref().and_then(|linux| linux.mount_label().as_deref()).filter(|label| !label.is_empty());
    let given =
        |parameter: &FsParameter| matches!(parameter, FsParameter::Value(key, _) if key.as_c_str() == c"context");
    if let Some(label) = label
        && !["proc", "sysfs", "mqueue", "cgroup", "cgroup2"].contains(&fstype)
        && !parameters.iter().any(given)
    {
        parameters.push(FsParameter::Value(c"context".to_owned(), c_string(label)));
    }
    parameters
}

/// The bind mount with the ids that the config maps on it.
fn mapped(mut step: InitStep, mount: &Mount, options: &MountOptions) -> InitStep {
    let ranges = |maps: &Option<Vec<_>>| maps.iter().flatten().map(super::ids::range).collect::<Vec<_>>();
    let (users, groups) = (ranges(mount.uid_mappings()), ranges(mount.gid_mappings()));
    if let InitStep::BindMount { idmap, .. } = &mut step
        && (options.idmap.is_some() || !users.is_empty())
    {
        *idmap = Some(MountIdMap { users, groups, recursive: options.idmap == Some(true) });
    }
    step
}

fn bind(source: Option<String>, target: RootfsPath, recursive: bool, attributes: MountAttributes) -> InitStep {
    let source = c_string(source.as_deref().unwrap_or_default());
    InitStep::BindMount { source, target, recursive, attributes, idmap: None }
}

/// The kernel mounts a sysfs for whoever has power over the network namespace, whose devices it shows (fs/sysfs/mount.c): a
/// user namespace has none over the host's network.
fn sysfs_is_foreign(spec: &Spec, host: &Host) -> bool {
    let (own, new) = (super::namespaces::own(spec), super::namespaces::new(spec));
    own & CLONE_NEWNET == 0 && (new & CLONE_NEWUSER != 0 || host.in_user_namespace)
}

/// Whether /sys/fs/cgroup is to be a mount of cgroup v2 that may be written to.
pub(super) fn cgroup_is_writable(spec: &Spec) -> bool {
    let place = |mount: &Mount| RootfsPath::new(&mount.destination().to_string_lossy()).in_container();
    let is_cgroup = |mount: &&Mount| matches!(mount.typ().as_deref(), Some("cgroup" | "cgroup2"));
    let mut mounts = spec.mounts().iter().flatten().filter(is_cgroup);
    mounts.any(|mount| place(mount) == "/sys/fs/cgroup" && !read_only(mount))
}

fn own_cgroup_namespace(spec: &Spec) -> bool {
    super::namespaces::own(spec) & CLONE_NEWCGROUP != 0
}

fn devices(spec: &Spec, host: &Host, steps: &mut Steps) {
    let configured = spec.linux().as_ref().and_then(|linux| linux.devices().as_deref()).unwrap_or_default();
    // The kernel lets nobody make device nodes in a user namespace: show the host's own.
    let bound = !host.has_roots_powers() || super::namespaces::own(spec) & CLONE_NEWUSER != 0;
    for (name, major, minor) in DEFAULT_DEVICES {
        let path = format!("/dev/{name}");
        if configured.iter().any(|device| device.path().to_string_lossy() == path) {
            continue;
        }
        let target = RootfsPath::new(&path);
        let step = match bound {
            true => bind(Some(path), target, false, MountAttributes::default()),
            false => InitStep::MakeDevice { target, mode: S_IFCHR | 0o666, major, minor, uid: 0, gid: 0 },
        };
        steps.push(Planned::new(step, "every container has this device"));
    }
    for (index, device) in configured.iter().enumerate() {
        steps.push(Planned::new(configured_device(device, bound), format!("linux.devices[{index}]")));
    }
    for (path, text) in DEFAULT_LINKS {
        let step = InitStep::MakeSymlink { text: c_string(text), target: RootfsPath::new(path) };
        steps.push(Planned::new(step, "every container has this link"));
    }
}

fn configured_device(device: &LinuxDevice, bound: bool) -> InitStep {
    let path = device.path().to_string_lossy().into_owned();
    let target = RootfsPath::new(&path);
    let kind = match device.typ() {
        LinuxDeviceType::B => S_IFBLK,
        LinuxDeviceType::P => S_IFIFO,
        LinuxDeviceType::A | LinuxDeviceType::C | LinuxDeviceType::U => S_IFCHR,
    };
    if bound && kind != S_IFIFO {
        return bind(Some(path), target, false, MountAttributes::default());
    }
    InitStep::MakeDevice {
        target,
        mode: kind | device.file_mode().unwrap_or(0o666) & 0o7777,
        major: device.major() as u32,
        minor: device.minor() as u32,
        uid: device.uid().unwrap_or(0),
        gid: device.gid().unwrap_or(0),
    }
}
