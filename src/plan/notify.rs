//! A socket for sd_notify(3) in the container: a directory of the host that holds it, and its name in the environment.

use std::path::Path;

use super::step::{InitStep, MountAttributes, Plan, Planned, RootfsPath, c_string};
use super::uapi::{MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY};

/// Where the container sees the directory; runc has it there.
const INSIDE: &str = "/run/notify";

const BECAUSE: &str = "NOTIFY_SOCKET of our environment";

impl Plan {
    /// Whether the container gets such a socket.
    pub fn notifies(&self) -> bool {
        self.init.iter().any(|planned| planned.because == BECAUSE)
    }

    /// The same start, with the directory shown in the container and the socket in it named. The socket comes later: it is
    /// made by whoever starts the program and waits for its word.
    pub fn notifying(mut self, directory: &Path) -> Plan {
        let attributes = MountAttributes {
            set: MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC,
            ..MountAttributes::default()
        };
        let show = InitStep::BindMount {
            source: c_string(&directory.to_string_lossy()),
            target: RootfsPath::new(INSIDE),
            recursive: false,
            idmap: None,
            attributes,
        };
        // Among the mounts: before hooks look at them and before the root, where the directory is, goes.
        let ends_view = |planned: &Planned<InitStep>| {
            matches!(
                planned.step,
                InitStep::AwaitHooks | InitStep::WriteSysctl { .. } | InitStep::PivotRoot | InitStep::ChangeRoot { .. }
            )
        };
        let at = self.init.iter().position(ends_view).unwrap_or(0);
        self.init.insert(at, Planned::new(show, BECAUSE));
        for planned in &mut self.init {
            if let InitStep::Execute { env, .. } = &mut planned.step {
                env.push(c_string(&format!("NOTIFY_SOCKET={INSIDE}/notify.sock")));
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::plan::tests::{joined, plan};
    use crate::plan::{Change, difference};

    #[test]
    fn the_socket_is_shown_before_hooks_and_named_to_the_program() {
        for before in [plan(|_| {}), plan(joined)] {
            let after = before.clone().notifying(Path::new("/run/glassbox/web/notify"));
            let [Change::New(line)] = &difference(&before, &after)[..] else { panic!("one step is new") };
            assert_eq!(
                line.sentence,
                "show /run/glassbox/web/notify of the host at /run/notify (ro,nosuid,nodev,noexec)"
            );
            let next = &after.story()[line.number].sentence;
            assert!(next == "wait for the hooks" || next.starts_with("make the rootfs the root"), "{next}");
            let execute = after.json()["steps"].as_array().expect("a list").last().expect("it ends").clone();
            assert!(execute["env"].to_string().contains("NOTIFY_SOCKET=/run/notify/notify.sock"), "{execute}");
        }
    }
}
