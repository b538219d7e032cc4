//! Mounts as mount(8) makes them. It knows the same options as the kernel, but calls mount(2), where one read-only flag
//! means both the file system and its mount; what a step says of one of them alone takes a second command.

use std::ffi::CStr;

use super::super::step::*;
use super::super::text::{attribute_names, text};
use super::super::uapi::*;
use super::Shell;
use super::init::below;
use super::quote::{word, words};

/// A new file system. `target` is quoted.
pub(super) fn filesystem(new: &Filesystem, target: &str) -> Vec<String> {
    let Filesystem { fstype, source, parameters, attributes } = new;
    let readonly_superblock = parameters.contains(&FsParameter::Flag(c"ro".to_owned()));
    let readonly_mount = attributes & MOUNT_ATTR_RDONLY != 0;
    let mut options: Vec<String> = attribute_names(*attributes).into_iter().map(str::to_string).collect();
    if !readonly_superblock {
        options.retain(|option| option != "ro");
    }
    for parameter in parameters {
        let option = option(parameter);
        if !options.contains(&option) {
            options.push(option);
        }
    }
    let options = if options.is_empty() { String::new() } else { format!(" -o {}", word(&options.join(","))) };
    let mut commands = vec![format!("mount -t {}{options} {} {target}", word(&text(fstype)), word(&text(source)))];
    match (readonly_superblock, readonly_mount) {
        (false, true) => commands.push(format!("mount -o remount,bind,ro {target}")),
        (true, false) => commands.push(format!("mount -o remount,bind,rw {target}")),
        (true, true) | (false, false) => {}
    }
    commands
}

/// Other options for a file system that is mounted. `target` is quoted.
pub(super) fn reconfigure(target: &str, parameters: &[FsParameter]) -> Option<String> {
    let options: Vec<_> = parameters.iter().map(option).collect();
    (!options.is_empty()).then(|| format!("mount -o {} {target}", word(&format!("remount,{}", options.join(",")))))
}

fn option(parameter: &FsParameter) -> String {
    match parameter {
        FsParameter::Flag(flag) => text(flag).into_owned(),
        FsParameter::Value(key, value) => format!("{}={}", text(key), option_value(&text(value))),
    }
}

/// A comma would end the option; mount(8) takes double quotes for that.
fn option_value(value: &str) -> String {
    if value.contains(',') { format!("\"{value}\"") } else { value.to_string() }
}

/// What the rootfs has below a new mount, copied into it. `target` is quoted. A bind mount shows the rootfs without it.
pub(super) fn copy_up(target: &str) -> Vec<String> {
    [
        "covered=$(mktemp -d)",
        "mount --bind . \"$covered\"",
        &format!("[ ! -d \"$covered\"/{target} ] || cp -a \"$covered\"/{target}/. {target}"),
        "umount \"$covered\"",
        "rmdir \"$covered\"",
    ]
    .map(str::to_string)
    .to_vec()
}

/// Another place for what is there already.
pub(super) fn bind(
    source: &CStr,
    target: &RootfsPath,
    recursive: bool,
    attributes: &MountAttributes,
    idmap: Option<&MountIdMap>,
) -> Shell {
    let target = below(target);
    let mut commands = vec![bind_command(&word(&text(source)), &target, recursive)];
    commands.extend(idmap.map(|_| {
        "# Its owners are not mapped: mount(8) can do that since util-linux 2.39 alone, and for no process inside."
            .to_string()
    }));
    commands.extend(change(&target, attributes));
    Shell::Commands(commands)
}

/// The mount of a place at another, both quoted.
pub(super) fn bind_command(source: &str, target: &str, recursive: bool) -> String {
    let how = if recursive { "--rbind" } else { "--bind" };
    format!("mount {how} {source} {target}")
}

/// Other attributes for a mount, and for all below it.
pub(super) fn change(target: &str, attributes: &MountAttributes) -> Vec<String> {
    let mut commands = Vec::new();
    let all = options(attributes.set_all, attributes.clear_all);
    if !all.is_empty() {
        commands.push(format!("remount_all {target} {}", words([all.as_str()])));
    }
    let own = options(attributes.set, attributes.clear);
    if !own.is_empty() {
        commands.push(format!("mount -o remount,bind,{own} {target}"));
    }
    commands
}

/// `ro,suid …`: first what is cleared, then what is set, as mount_setattr(2) does it.
fn options(set: u64, clear: u64) -> String {
    const CLEARED: [(u64, &str); 6] = [
        (MOUNT_ATTR_RDONLY, "rw"),
        (MOUNT_ATTR_NOSUID, "suid"),
        (MOUNT_ATTR_NODEV, "dev"),
        (MOUNT_ATTR_NOEXEC, "exec"),
        (MOUNT_ATTR_NODIRATIME, "diratime"),
        (MOUNT_ATTR_NOSYMFOLLOW, "symfollow"),
    ];
    let mut options: Vec<_> =
        CLEARED.iter().filter(|(bit, _)| clear & !set & bit != 0).map(|(_, name)| *name).collect();
    if clear & MOUNT_ATTR_ATIME != 0 && set & MOUNT_ATTR_ATIME == 0 {
        options.push("relatime");
    }
    options.extend(attribute_names(set));
    options.join(",")
}

/// A clone of a path over itself, with other attributes. `path` is quoted.
pub(super) fn readonly(path: &str, recursive: bool, attributes: &MountAttributes) -> Shell {
    let commands = [vec![bind_command(path, path, recursive)], change(path, attributes)].concat();
    Shell::Commands(vec![format!("if [ -e {path} ]; then {}; fi # else nothing to protect", commands.join("; "))])
}

/// Something empty over a path. `path` and `null` are quoted.
pub(super) fn mask(path: &str, empty: &Filesystem, null: &str) -> Shell {
    Shell::Commands(vec![format!(
        "if [ -d {path} ]; then {}\nelif [ -e {path} ]; then {}; fi # else nothing to hide",
        filesystem(empty, path).join("; "),
        bind_command(null, path, false)
    )])
}
