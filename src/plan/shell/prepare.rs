//! What a step takes for granted in the container's rootfs: directories and files to mount on. The runtime makes them on
//! the way and looks every path up below the rootfs (openat2(2), RESOLVE_IN_ROOT), which no command can.

use std::collections::BTreeSet;

use super::super::step::{InitStep, RootfsPath};
use super::super::text::text;
use super::init::below;
use super::quote::{here, word};

/// What earlier steps have made, so that it stands in the script once.
#[derive(Default)]
pub(super) struct Prepared {
    directories: BTreeSet<String>,
    /// Mount points of new file systems: nothing of the rootfs is in them, so no symbolic link leads out of them.
    fresh: Vec<String>,
}

impl Prepared {
    /// The commands to run before the step's own.
    pub(super) fn lines(&mut self, step: &InitStep) -> Vec<String> {
        match step {
            InitStep::MountFilesystem { target, no_symlinks, .. } => {
                let mut lines = self.directory(target);
                if *no_symlinks {
                    lines.push(format!("straight {}", below(target)));
                }
                let root = target.in_container();
                // What was there is out of sight.
                self.directories.retain(|path| !is_below(path, &root));
                self.fresh.push(root);
                lines
            }
            InitStep::BindMount { source, target, .. } => {
                vec![format!("place {} {}", word(&text(source)), below(target))]
            }
            InitStep::MakeDevice { target, .. } | InitStep::MakeSymlink { target, .. } => self.parent(target),
            InitStep::MakeDirectory { target } => self.directory(target),
            InitStep::SetMountPropagation { target, .. }
            | InitStep::ChangeMount { target, .. }
            | InitStep::ChangeDirectory { target } => self.checked(&target.in_container()),
            InitStep::ReadonlyPath { path, .. } => self.checked(&text(path)),
            InitStep::MaskPath { path, null, device: (major, minor), .. } => {
                let mut lines = self.checked(&text(path));
                if !self.is_fresh(&text(null)) {
                    let null = here(&text(null));
                    lines.push(format!(
                        "[ \"$(stat -c %t:%T {null})\" = {major:x}:{minor:x} ] # and not something else"
                    ));
                }
                lines
            }
            InitStep::HideFromTracers
            | InitStep::JoinNamespace { .. }
            | InitStep::JoinContainer { .. }
            | InitStep::NewTimeNamespace { .. }
            | InitStep::WriteSysctl { .. }
            | InitStep::NewSessionKeyring { .. }
            | InitStep::SetCpuAffinity { .. }
            | InitStep::SetLabel { .. }
            | InitStep::AwaitHooks
            | InitStep::RunHook { .. }
            | InitStep::SetOomScoreAdj { .. }
            | InitStep::BecomeRoot
            | InitStep::NewSession
            | InitStep::SetPersonality { .. }
            | InitStep::Unshare { .. }
            | InitStep::SetPropagation { .. }
            | InitStep::EnterRootfs { .. }
            | InitStep::CopyUp { .. }
            | InitStep::PivotRoot
            | InitStep::ChangeRoot { .. }
            | InitStep::SetHostname { .. }
            | InitStep::SetDomainname { .. }
            | InitStep::BringLoopbackUp { .. }
            | InitStep::OpenTerminal { .. }
            | InitStep::FindExecutable { .. }
            | InitStep::AwaitStart
            | InitStep::SetUmask { .. }
            | InitStep::DropBounding { .. }
            | InitStep::SwitchUser { .. }
            | InitStep::SetCapabilities { .. }
            | InitStep::NoNewPrivileges
            | InitStep::CloseDescriptors { .. }
            | InitStep::LoadSeccomp { .. }
            | InitStep::Execute { .. } => Vec::new(),
        }
    }

    fn directory(&mut self, target: &RootfsPath) -> Vec<String> {
        match self.directories.insert(target.in_container()) {
            true => vec![format!("directory {}", below(target))],
            false => Vec::new(),
        }
    }

    /// The directory that a node or a link stands in.
    fn parent(&mut self, target: &RootfsPath) -> Vec<String> {
        match target.parents.last().map(|parent| text(parent)) {
            Some(parent) if self.directories.insert(format!("/{parent}")) => {
                vec![format!("directory {}", here(&parent))]
            }
            Some(_) | None => Vec::new(),
        }
    }

    /// A path that has to be there already, or may be missing.
    fn checked(&self, path: &str) -> Vec<String> {
        let safe = path == "/" || self.is_fresh(path);
        if safe { Vec::new() } else { vec![format!("below {}", here(path))] }
    }

    fn is_fresh(&self, path: &str) -> bool {
        self.fresh.iter().any(|root| root == path || is_below(path, root))
    }
}

fn is_below(path: &str, root: &str) -> bool {
    path.strip_prefix(root).is_some_and(|rest| rest.starts_with('/'))
}

/// Functions of the script, each after those that it calls.
const FUNCTIONS: [(&str, &str); 5] = [
    (
        "below",
        r#"# A symbolic link of the rootfs must not lead out of it. The runtime resolves such a link inside; a command cannot.
below() {
  case $(realpath -m "$1") in
  "$PWD" | "$PWD"/*) ;;
  *) echo "$1 leads out of the rootfs by a symbolic link" >&2 && exit 1 ;;
  esac
}
"#,
    ),
    (
        "directory",
        r#"# A directory and those above it, where they are missing.
directory() {
  below "$1"
  [ -d "$1" ] || (umask 0022 && mkdir -p "$1")
}
"#,
    ),
    (
        "place",
        r#"# A place to mount $1 on: a directory for a directory, else a file.
place() {
  if [ -d "$1" ]; then
    directory "$2"
  else
    directory "${2%/*}"
    below "$2"
    [ -e "$2" ] || (umask 0022 && : >"$2")
  fi
}
"#,
    ),
    (
        "straight",
        r#"# No symbolic link may stand in the way.
straight() {
  [ "$(realpath "$1")" = "$PWD/${1#./}" ] || { echo "$1 is a symbolic link, or below one" >&2 && exit 1; }
}
"#,
    ),
    (
        "remount_all",
        r#"# Other options for a mount and for all mounts below it.
remount_all() {
  mounts=$(findmnt --noheadings --list --output TARGET --submounts "$(realpath "$1")")
  echo "$mounts" | while IFS= read -r mount; do
    mount -o "remount,bind,$2" "$mount"
  done
}
"#,
    ),
];

/// The functions that these lines of the script call, with those that they call themselves.
pub(super) fn functions(lines: &[String]) -> Vec<String> {
    let mut chosen: Vec<String> = Vec::new();
    for (name, text) in FUNCTIONS.iter().rev() {
        let call = format!("{name} ");
        if lines.iter().chain(&chosen).any(|line| line.contains(&call)) {
            chosen.insert(0, text.to_string());
        }
    }
    chosen
}
