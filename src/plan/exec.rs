//! What `exec` does, as data: one more process in a container that runs already.

use std::borrow::Cow;

use caps::CapsHashSet;

use super::process::{self, Who};
use super::step::{Clone3, HostStep, InitStep, Plan, Planned, RootfsPath, c_string};
use super::uapi::*;
use super::{OpenTerminal, Options, PlanError};
use crate::spec::Wall;
use crate::spec::oci::{Capabilities, Process, Spec};

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
    /// /proc/PID/setgroups: nobody in its user namespace may change the groups of a process.
    pub setgroups_denied: bool,
    /// /proc/PID/uid_map has a 0: there is a root user to become.
    pub has_root: bool,
    /// Its root on the host, where chroot(2) has made it; none where it is the root of its mount namespace.
    pub root: Option<String>,
    /// /proc/self/oom_score_adj, below which we cannot go; none for the machine's own root.
    pub oom_floor: Option<i32>,
}

/// What `exec` does, in order. `spec` is the container's config as it was at `create`, whose system call filter holds for
/// every process; `process` is the new one.
pub fn exec(id: &str, spec: &Spec, process: &Process, target: &Target, options: &Options) -> Result<Plan, PlanError> {
    // Joined all at once, so that no namespace is half the host's; a PID namespace takes a child of whoever joins it.
    let mut between = Vec::new();
    let floor = target.oom_floor;
    if let Some(value) = floor.and_then(|floor| process::oom_score_adj(process, Some(floor))) {
        let value = c_string(&value.to_string());
        between.push(Planned::new(InitStep::SetOomScoreAdj { value }, "process.oomScoreAdj"));
    }
    between.push(Planned::new(InitStep::HideFromTracers, "the container's processes can see this one"));
    between.extend(process::affinity_at_birth(process));
    between.extend(process::labels(process));
    if target.namespaces != 0 {
        let join = InitStep::JoinContainer { namespaces: target.namespaces, pid: target.pid };
        between.push(Planned::new(join, "exec joins a container"));
    }

    let mut init = vec![super::close_descriptors(options)];
    if target.namespaces & CLONE_NEWUSER != 0 && target.has_root {
        init.push(Planned::new(InitStep::BecomeRoot, "linux.namespaces \"user\""));
    }
    if let Some(root) = &target.root {
        init.push(Planned::new(InitStep::ChangeRoot { path: c_string(root) }, "its root was made by chroot(2)"));
    }
    init.push(Planned::new(InitStep::NewSession, "a container does not share our terminal's session"));
    init.extend(process::personality(spec));
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
    let who = Who { last_capability, home, listen_fds: 0, setgroups_denied: target.setgroups_denied };
    let mut filter = super::seccomp::step(spec)?;
    init.extend(process::give_power_away(process, &who, &mut filter));
    let waits = "exec tells its process id first";
    init.extend(process::become_program(process, &who, waits, std::iter::empty(), filter));

    Ok(Plan {
        id: id.to_string(),
        clone: Clone3 { namespaces: 0, cgroup: target.cgroup.clone() },
        host: Vec::new(),
        between,
        beside: beside(process, floor),
        hooks: Vec::new(),
        init,
        left_out: process::oom_score_adj_left_out(process, floor).into_iter().collect(),
    })
}

/// The same process without some of the container's walls: namespaces that it does not join, capabilities that it keeps, the
/// filter that it does not get. `ours` are the capabilities that we have to give.
pub fn exec_without<'a>(
    (spec, process): (&'a Spec, &'a Process),
    target: &mut Target,
    walls: &[Wall],
    ours: &CapsHashSet,
) -> Result<(Cow<'a, Spec>, Cow<'a, Process>), PlanError> {
    let (mut spec, mut process) = (Cow::Borrowed(spec), Cow::Borrowed(process));
    for wall in walls {
        let refused = |why| Err(PlanError::Without { wall: wall.name(), why });
        let namespace = match wall {
            Wall::Pid => CLONE_NEWPID,
            Wall::Net => CLONE_NEWNET,
            Wall::Uts => CLONE_NEWUTS,
            Wall::Ipc => CLONE_NEWIPC,
            Wall::User => CLONE_NEWUSER,
            Wall::Cgroup => CLONE_NEWCGROUP,
            Wall::Time => CLONE_NEWTIME,
            Wall::Seccomp => match spec.linux().as_ref().is_some_and(|linux| linux.seccomp().is_some()) {
                true => {
                    spec.to_mut().linux_mut().as_mut().map(|linux| linux.set_seccomp(None));
                    continue;
                }
                false => return refused("the container has no such wall: linux.seccomp is not set"),
            },
            Wall::Caps => {
                keep_capabilities(process.to_mut(), ours);
                continue;
            }
            Wall::Mount | Wall::PivotRoot | Wall::Mask => {
                return refused("the container's files are as they were made: give it to run or create");
            }
            Wall::Limits => return refused("whoever is not in the container's cgroup is none of its processes"),
        };
        if target.namespaces & namespace == 0 {
            return refused("the container has no such wall: it shares that namespace with this host");
        }
        target.namespaces &= !namespace;
        // Ids are the host's then.
        target.setgroups_denied &= namespace != CLONE_NEWUSER;
    }
    Ok((spec, process))
}

fn keep_capabilities(process: &mut Process, ours: &CapsHashSet) {
    let every: Capabilities =
        ours.iter().filter_map(|capability| capability.to_string().trim_start_matches("CAP_").parse().ok()).collect();
    let mut sets = process.capabilities().clone().unwrap_or_default();
    let all = || Some(every.clone());
    sets.set_bounding(all()).set_effective(all()).set_permitted(all()).set_inheritable(None).set_ambient(None);
    process.set_capabilities(Some(sets));
}

/// An ordinary user cannot reach the files of /proc of a process that hides: what stands in those is set before.
fn beside(process: &Process, floor: Option<i32>) -> Vec<Planned<HostStep>> {
    let mut steps = process::limits(process, floor);
    steps.retain(|planned| floor.is_none() || !matches!(planned.step, HostStep::SetOomScoreAdj { .. }));
    steps
}
