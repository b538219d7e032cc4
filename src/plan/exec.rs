//! What `exec` does, as data: one more process in a container that runs already.

use super::process::{self, Who};
use super::step::{Clone3, InitStep, Plan, Planned, RootfsPath};
use super::uapi::*;
use super::{OpenTerminal, Options, PlanError};
use crate::spec::oci::{Process, Spec};

/// What exec needs to know of the running container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its first process, in our PID namespace.
    pub pid: i32,
    /// CLONE_NEW* flags of its namespaces that are not ours.
    pub namespaces: u64,
    /// Absolute path of the cgroup that the new process is born into.
    pub cgroup: Option<String>,
    /// The highest capability number that the kernel knows.
    pub last_capability: u8,
    /// Home directory of the process's user, by the container's own /etc/passwd.
    pub home: Option<String>,
}

/// What `exec` does, in order. `spec` is the container's config as it was at `create`, whose system call filter holds for
/// every process; `process` is the new one.
pub fn exec(id: &str, spec: &Spec, process: &Process, target: &Target, options: &Options) -> Result<Plan, PlanError> {
    // Joined all at once, so that no namespace is half the host's; a PID namespace takes a child of whoever joins it.
    let mut between = vec![Planned::new(InitStep::HideFromTracers, "the container's processes can see this one")];
    between.extend(process::affinity_at_birth(process));
    between.extend(process::labels(process));
    if target.namespaces != 0 {
        let join = InitStep::JoinContainer { namespaces: target.namespaces, pid: target.pid };
        between.push(Planned::new(join, "exec joins a container"));
    }

    let mut init = vec![super::close_descriptors(options)];
    if target.namespaces & CLONE_NEWUSER != 0 {
        init.push(Planned::new(InitStep::BecomeRoot, "linux.namespaces \"user\""));
    }
    init.push(Planned::new(InitStep::NewSession, "a container does not share our terminal's session"));
    init.extend(super::keyring(id, options));
    init.push(process::affinity(process));
    if process.terminal() == Some(true) {
        init.push(Planned::new(super::open_terminal(process, OpenTerminal::Beside), "process.terminal"));
    }
    let cwd = RootfsPath::new(&process.cwd().to_string_lossy());
    init.extend(
        (cwd.path.as_c_str() != c".").then(|| Planned::new(InitStep::MakeDirectory { target: cwd }, "process.cwd")),
    );
    let (last_capability, home) = (target.last_capability, target.home.as_deref());
    let who = Who { last_capability, home, listen_fds: 0 };
    let mut filter = super::seccomp::step(spec)?;
    init.extend(process::give_power_away(process, &who, &mut filter));
    let waits = "exec tells its process id first";
    init.extend(process::become_program(process, &who, waits, std::iter::empty(), filter));

    Ok(Plan {
        id: id.to_string(),
        clone: Clone3 { namespaces: 0, cgroup: target.cgroup.clone() },
        host: Vec::new(),
        between,
        beside: process::limits(process),
        hooks: Vec::new(),
        init,
    })
}
