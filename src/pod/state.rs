//! What became of each container so far, and what that makes of the pod: its phase and its conditions
//! (`pkg/kubelet/kubelet_pods.go`, `getPhase`; `pkg/kubelet/status/generate.go`). Pure.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::kube::pod::Kind;

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// Its exit code; 128 and the number of the signal that ended it.
    pub code: i32,
    /// `Completed`, `Error`, `OOMKilled`, `StartError`.
    pub reason: &'static str,
    /// What there is to say besides.
    pub message: Option<String>,
    /// When it was started.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Timestamp,
    /// The id that it had.
    pub id: String,
}

/// What a container does now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It is to be started, or to be started again.
    Waiting {
        /// `PodInitializing`, `ContainerCreating`, `CrashLoopBackOff`, `CreateContainerConfigError`.
        reason: &'static str,
        /// What there is to say besides.
        message: Option<String>,
    },
    /// Its program runs.
    Running {
        /// Since when.
        since: Timestamp,
    },
    /// It has ended, and may or may not be started again.
    Ended(Exit),
}

/// One container of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// Its part in the pod.
    pub kind: Kind,
    /// What it does now.
    pub state: State,
    /// How it ended before.
    pub last: Option<Exit>,
    /// How often it was started again.
    pub restarts: u32,
    /// Whether it runs, its startup probe (if any) has passed and its postStart hook is done.
    pub started: bool,
    /// Whether it is started and its readiness probe (if any) passes; for a plain init container: whether it has done its work.
    pub ready: bool,
    /// Whether it is to be started once more whatever its end and the policy: it was ended for a resize.
    pub again: bool,
    /// Whether the pod's sandbox is a new one, in which it has not been started.
    pub anew: bool,
}

/// `spec.restartPolicy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Policy {
    /// Whatever the end was.
    Always,
    /// If it failed.
    OnFailure,
    /// Not.
    Never,
}

/// `status.phase`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Not every container has been started.
    Pending,
    /// At least one container runs, or is to be restarted.
    Running,
    /// All containers ended with 0, and stay so.
    Succeeded,
    /// All containers ended, one of them with a failure, and stay so.
    Failed,
}

impl Phase {
    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            Phase::Pending => "Pending",
            Phase::Running => "Running",
            Phase::Succeeded => "Succeeded",
            Phase::Failed => "Failed",
        }
    }
}

/// The phase of a pod with these containers, init containers first. `over` says that nothing will be started any more.
pub fn phase(containers: &[Container], policy: Policy, over: bool) -> Phase {
    let (mut pending_init, mut failed_init) = (0, 0);
    let (mut running, mut waiting, mut stopped, mut succeeded) = (0, 0, 0, 0);
    let initialized = is_initialized(containers);
    for container in containers {
        let ended = match (&container.state, &container.last) {
            (State::Ended(exit), _) => Some(exit),
            // One that waits for its next start counts as it ended before.
            (State::Waiting { .. }, last) => last.as_ref(),
            (State::Running { .. }, _) => None,
        };
        let is_running = matches!(container.state, State::Running { .. });
        match container.kind {
            Kind::Init => match ended {
                Some(exit) => failed_init += usize::from(exit.code != 0),
                None => pending_init += 1,
            },
            Kind::Sidecar => {
                running += usize::from(is_running);
                let is_late = (is_running && !container.started) || (!is_running && ended.is_none());
                pending_init += usize::from(is_late && !initialized);
            }
            Kind::App => match ended {
                _ if is_running => running += 1,
                Some(exit) => {
                    stopped += 1;
                    succeeded += usize::from(exit.code == 0);
                }
                None => waiting += 1,
            },
        }
    }
    if failed_init > 0 && policy == Policy::Never {
        return Phase::Failed;
    }
    let outcome = if stopped == succeeded { Phase::Succeeded } else { Phase::Failed };
    match () {
        () if pending_init > 0 || waiting > 0 && !(over && stopped > 0) => Phase::Pending,
        () if running > 0 => Phase::Running,
        () if stopped > 0 && over => outcome,
        () if stopped > 0 && policy == Policy::Always => Phase::Running,
        () if stopped > 0 && (outcome == Phase::Succeeded || policy == Policy::Never) => outcome,
        () if stopped > 0 => Phase::Running,
        () => Phase::Pending,
    }
}

/// Whether the init containers are behind: an app container has been started once, or all of them have done their part.
pub fn is_initialized(containers: &[Container]) -> bool {
    let begun = |container: &Container| !matches!(container.state, State::Waiting { .. }) || container.last.is_some();
    let done = |container: &Container| match container.kind {
        Kind::Init => container.ready,
        Kind::Sidecar => container.started,
        Kind::App => true,
    };
    containers.iter().any(|container| container.kind == Kind::App && begun(container)) || containers.iter().all(done)
}

/// One of `status.conditions`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// `PodReadyToStartContainers`, `Initialized`, `ContainersReady`, `Ready`, `PodScheduled`.
    pub kind: &'static str,
    /// Whether it holds.
    pub holds: bool,
    /// Why not, as one word.
    pub reason: Option<&'static str>,
    /// Why not, as a sentence.
    pub message: Option<String>,
}

/// The conditions of a pod with these containers; `sandbox` says whether its sandbox is there.
pub fn conditions(containers: &[Container], phase: Phase, sandbox: bool) -> Vec<Condition> {
    let holds = |kind, holds| Condition { kind, holds, reason: None, message: None };
    let lacking = |kinds: &[Kind], has: fn(&Container) -> bool| -> Vec<&str> {
        let of_kind = containers.iter().filter(|container| kinds.contains(&container.kind));
        of_kind.filter(|container| !has(container)).map(|container| container.name.as_str()).collect()
    };
    let failed = |kind, reason, message| Condition { kind, holds: false, reason: Some(reason), message };
    let over = match phase {
        Phase::Succeeded => Some("PodCompleted"),
        Phase::Failed => Some("PodFailed"),
        Phase::Pending | Phase::Running => None,
    };
    let initialized = match lacking(&[Kind::Init, Kind::Sidecar], |one| match one.kind {
        Kind::Sidecar => one.started,
        _ => one.ready,
    }) {
        _ if phase == Phase::Succeeded || is_initialized(containers) => holds("Initialized", true),
        names => {
            let message = format!("containers with incomplete status: [{}]", names.join(" "));
            failed("Initialized", "ContainersNotInitialized", Some(message))
        }
    };
    let ready = |kind| match (lacking(&[Kind::App, Kind::Sidecar], |one| one.ready), over) {
        (_, Some(reason)) => failed(kind, reason, None),
        (names, None) if names.is_empty() => holds(kind, true),
        (names, None) => {
            let message = format!("containers with unready status: [{}]", names.join(" "));
            failed(kind, "ContainersNotReady", Some(message))
        }
    };
    vec![
        holds("PodReadyToStartContainers", sandbox),
        initialized,
        ready("Ready"),
        ready("ContainersReady"),
        holds("PodScheduled", true),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit(code: i32) -> Exit {
        let now = Timestamp::UNIX_EPOCH;
        let reason = if code == 0 { "Completed" } else { "Error" };
        Exit { code, reason, message: None, started: now, finished: now, id: String::new() }
    }

    /// `i` init, `s` sidecar, `a` app; then `w` waiting, `r` running, `R` running and started, a digit: ended with it, `b` and a
    /// digit: waits in back-off after ending with it.
    fn container(text: &str) -> Container {
        let mut letters = text.chars();
        let kind = match letters.next() {
            Some('i') => Kind::Init,
            Some('s') => Kind::Sidecar,
            _ => Kind::App,
        };
        let what = letters.next().expect("a state");
        let code = |c: Option<char>| c.and_then(|c| c.to_digit(10)).expect("an exit code") as i32;
        let (state, last) = match what {
            'w' => (State::Waiting { reason: "ContainerCreating", message: None }, None),
            'b' => (State::Waiting { reason: "CrashLoopBackOff", message: None }, Some(exit(code(letters.next())))),
            'r' | 'R' => (State::Running { since: Timestamp::UNIX_EPOCH }, None),
            digit => (State::Ended(exit(code(Some(digit)))), None),
        };
        let started = what == 'R';
        let ready = started || (kind == Kind::Init && what == '0');
        Container { name: text.to_string(), kind, state, last, restarts: 0, started, ready, again: false, anew: false }
    }

    fn containers(text: &str) -> Vec<Container> {
        text.split(' ').map(container).collect()
    }

    #[test]
    fn the_phase_is_that_of_the_kubelets_table() {
        use Phase::{Failed, Pending, Running, Succeeded};
        use Policy::{Always, Never, OnFailure};
        let table = [
            ("aw", Always, Pending),
            ("ar", Always, Running),
            ("aR aw", Always, Pending),
            ("aR a1", Always, Running),
            ("a0", Always, Running),
            ("a0", OnFailure, Succeeded),
            ("a0", Never, Succeeded),
            ("a1", Always, Running),
            ("a1", OnFailure, Running),
            ("a1", Never, Failed),
            ("a0 a1", Never, Failed),
            ("a0 a1", OnFailure, Running),
            ("ab1", OnFailure, Running),
            ("ab1", Always, Running),
            ("iw aw", Always, Pending),
            ("ir aw", Always, Pending),
            ("i0 aw", Always, Pending),
            ("i0 aR", Always, Running),
            ("i1 aw", Always, Pending),
            ("ib1 aw", Always, Pending),
            ("i1 aw", OnFailure, Pending),
            ("i1 aw", Never, Failed),
            ("i0 i1 aw", Never, Failed),
            ("i0 iw aw", Never, Pending),
            ("sw aw", Always, Pending),
            ("sr aw", Always, Pending),
            ("sR aw", Always, Pending),
            ("sR aR", Always, Running),
            ("s1 aR", Always, Running),
            ("sb1 aR", Always, Running),
            ("sr aR", Always, Running),
            // A sidecar that still runs keeps the pod running.
            ("sR a0", Never, Running),
            ("s1 a0", Never, Succeeded),
            ("s1 a1", Never, Failed),
            ("s1 a0", OnFailure, Succeeded),
        ];
        for (text, policy, expected) in table {
            assert_eq!(phase(&containers(text), policy, false), expected, "{text} with {policy:?}");
        }
    }

    #[test]
    fn what_will_not_be_started_again_is_judged_by_exit_codes() {
        for (text, expected) in [
            ("a0", Phase::Succeeded),
            ("a1", Phase::Failed),
            ("a0 a9", Phase::Failed),
            ("ab1", Phase::Failed),
            ("s1 a0", Phase::Succeeded),
            ("a0 aw", Phase::Succeeded),
            ("aw", Phase::Pending),
        ] {
            assert_eq!(phase(&containers(text), Policy::Always, true), expected, "{text}");
        }
    }

    #[test]
    fn conditions_name_the_containers_that_hold_them_up() {
        let say = |text: &str, policy, sandbox| -> Vec<String> {
            let all = containers(text);
            let found = conditions(&all, phase(&all, policy, false), sandbox);
            found
                .iter()
                .map(|one| {
                    let message = one.message.as_deref().unwrap_or_default();
                    format!("{} {} {} {message}", one.kind, one.holds, one.reason.unwrap_or("-")).trim_end().to_string()
                })
                .collect()
        };
        assert_eq!(
            say("iw sw aw", Policy::Always, false),
            [
                "PodReadyToStartContainers false -",
                "Initialized false ContainersNotInitialized containers with incomplete status: [iw sw]",
                "Ready false ContainersNotReady containers with unready status: [sw aw]",
                "ContainersReady false ContainersNotReady containers with unready status: [sw aw]",
                "PodScheduled true -",
            ]
        );
        assert_eq!(
            say("i0 sR ar", Policy::Always, true)[1..3],
            ["Initialized true -", "Ready false ContainersNotReady containers with unready status: [ar]",]
        );
        assert_eq!(say("i0 sR aR", Policy::Always, true)[2], "Ready true -");
        assert_eq!(say("a0", Policy::Never, true)[2], "Ready false PodCompleted");
        assert_eq!(say("a1", Policy::Never, true)[2], "Ready false PodFailed");
    }
}
