//! What a pod's supervisor does next: which container it starts, what it waits for, whether all is over
//! (`pkg/kubelet/kuberuntime/kuberuntime_manager.go`, `computePodActions`; `kuberuntime_container.go`, `computeInitContainerActions`).
//! Pure: the states and the time come from outside.

use jiff::Timestamp;

use super::backoff::BackOff;
use super::state::{Container, Policy, State};
use crate::kube::pod::Kind;

/// What is to be done now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Next {
    /// Start these, by their index.
    pub start: Vec<usize>,
    /// These wait in back-off, until then.
    pub back_off: Vec<(usize, Timestamp)>,
    /// Nothing will be started any more: the app containers have done their work, or cannot. Sidecars are to be stopped.
    pub over: bool,
}

/// What to do with `containers`, init containers first, in the order of the manifest; each has its back-off beside it.
pub fn next(containers: &[Container], backoffs: &[BackOff], policy: Policy, now: Timestamp) -> Next {
    let mut next = Next::default();
    let begun = containers.iter().any(|one| one.kind == Kind::App && has_run(one));
    for (index, one) in containers.iter().enumerate().filter(|(_, one)| one.kind != Kind::App) {
        match (one.kind, &one.state) {
            (Kind::Init, _) if begun || is_done(one) => {}
            (_, State::Running { .. }) if one.kind == Kind::Sidecar && (one.started || begun) => {}
            // The next one waits for this one.
            (_, State::Running { .. }) => return next,
            (Kind::Init, _) if has_run(one) && policy == Policy::Never => {
                next.over = true;
                return next;
            }
            _ => {
                next.consider(index, one, &backoffs[index], now);
                if !begun {
                    return next;
                }
            }
        }
    }
    let mut unfinished = false;
    for (index, one) in containers.iter().enumerate().filter(|(_, one)| one.kind == Kind::App) {
        let again = if one.anew { !is_kept(one, policy) } else { !has_run(one) || wants_restart(one, policy) };
        match &one.state {
            State::Running { .. } => unfinished = true,
            State::Waiting { .. } | State::Ended(_) if again => {
                unfinished = true;
                next.consider(index, one, &backoffs[index], now);
            }
            State::Waiting { .. } | State::Ended(_) => {}
        }
    }
    if !unfinished {
        return Next { over: true, ..Next::default() };
    }
    next
}

impl Next {
    fn consider(&mut self, index: usize, one: &Container, backoff: &BackOff, now: Timestamp) {
        let finished = ended(one).filter(|_| obeys_back_off(one));
        let left = finished.and_then(|finished| backoff.remaining(finished, now));
        match left {
            Some(left) => self.back_off.push((index, now + left)),
            None => self.start.push(index),
        }
    }
}

/// Which containers are started in a new sandbox, after the old one was lost; `None`: the pod has done its work, or may not be
/// started again, and gets no new one.
pub fn renewed(containers: &[Container], policy: Policy) -> Option<Vec<usize>> {
    if policy == Policy::Never && containers.iter().any(has_run) {
        return None;
    }
    let start: Vec<usize> = (0..containers.len()).filter(|index| !is_kept(&containers[*index], policy)).collect();
    let starts_app = start.iter().any(|index| containers[*index].kind == Kind::App);
    let begun = containers.iter().any(|one| one.kind == Kind::App && has_run(one));
    (starts_app || !begun).then_some(start)
}

/// Whether a container that ended well is left so in a new sandbox. Init containers do their work once more.
fn is_kept(one: &Container, policy: Policy) -> bool {
    let ended_well = matches!(&one.state, State::Ended(exit) if exit.code == 0);
    one.kind == Kind::App && policy == Policy::OnFailure && ended_well
}

/// Whether the container's next start may have to wait. One that ended because its sandbox was lost is started at once: the
/// kubelet decides by the state before.
pub fn obeys_back_off(one: &Container) -> bool {
    !one.anew || matches!(one.state, State::Waiting { reason: "CrashLoopBackOff", .. })
}

/// When a container that does not run ended; `None` for one that never ran.
pub fn ended(one: &Container) -> Option<Timestamp> {
    match (&one.state, &one.last) {
        (State::Ended(exit), _) | (State::Waiting { .. }, Some(exit)) => Some(exit.finished),
        _ => None,
    }
}

fn has_run(one: &Container) -> bool {
    !one.anew && (!matches!(one.state, State::Waiting { .. }) || one.last.is_some())
}

fn is_done(one: &Container) -> bool {
    !one.anew && matches!(&one.state, State::Ended(exit) if exit.code == 0)
}

fn wants_restart(one: &Container, policy: Policy) -> bool {
    if one.again {
        return true;
    }
    let exit = match (&one.state, &one.last) {
        (State::Ended(exit), _) | (State::Waiting { .. }, Some(exit)) => exit,
        _ => return false,
    };
    match policy {
        Policy::Always => true,
        Policy::OnFailure => exit.code != 0,
        Policy::Never => false,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::state::Exit;
    use super::*;

    /// As in `state.rs`: kind, then `w`, `r`, `R` (started), an exit code, or `b` and an exit code; `*`: in a new sandbox.
    fn container(text: &str) -> Container {
        let mut letters = text.chars();
        let kind = match letters.next() {
            Some('i') => Kind::Init,
            Some('s') => Kind::Sidecar,
            _ => Kind::App,
        };
        let at = Timestamp::UNIX_EPOCH;
        let exit = |c: char| Exit {
            code: c.to_digit(10).expect("an exit code") as i32,
            reason: "",
            message: None,
            started: at,
            finished: at,
            id: String::new(),
        };
        let what = letters.next().expect("a state");
        let waiting = State::Waiting { reason: "", message: None };
        let (state, last) = match what {
            'w' => (waiting, None),
            'b' => (waiting, letters.next().map(exit)),
            'r' | 'R' => (State::Running { since: at }, None),
            digit => (State::Ended(exit(digit)), None),
        };
        let (started, anew) = (what == 'R', text.ends_with('*'));
        Container { name: text.into(), kind, state, last, restarts: 0, started, ready: started, again: false, anew }
    }

    fn decide(text: &str, policy: Policy) -> String {
        let containers: Vec<Container> = text.split(' ').map(container).collect();
        let mut in_back_off = BackOff::default();
        in_back_off.restarted(Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH);
        let backoffs: Vec<BackOff> = containers
            .iter()
            .map(|one| if one.name.contains('b') { in_back_off.clone() } else { BackOff::default() })
            .collect();
        let next = next(&containers, &backoffs, policy, Timestamp::UNIX_EPOCH + Duration::from_secs(4));
        let mut words: Vec<String> =
            next.start.iter().map(|index| format!("start {}", containers[*index].name)).collect();
        words.extend(
            next.back_off
                .iter()
                .map(|(index, until)| format!("{} waits until {}", containers[*index].name, until.as_second())),
        );
        words.extend(next.over.then(|| "over".to_string()));
        words.join(", ")
    }

    #[test]
    fn containers_start_in_order_and_are_started_again_by_the_policy() {
        use Policy::{Always, Never, OnFailure};
        let table = [
            ("aw aw", Always, "start aw, start aw"),
            ("iw iw aw", Always, "start iw"),
            ("ir iw aw", Always, ""),
            ("i0 iw aw", Always, "start iw"),
            ("i0 i0 aw", Always, "start aw"),
            ("i1 aw", Always, "start i1"),
            ("i1 aw", OnFailure, "start i1"),
            ("i1 aw", Never, "over"),
            ("ib1 aw", Always, "ib1 waits until 10"),
            ("sw iw aw", Always, "start sw"),
            ("sr iw aw", Always, ""),
            ("sR iw aw", Always, "start iw"),
            ("sR i0 aw", Never, "start aw"),
            // A sidecar that ends is started again, whatever the policy, and holds nobody up once the apps have begun.
            ("s1 iw aw", Never, "start s1"),
            ("s1 i0 aR", Never, "start s1"),
            ("sb1 i0 aR a1", OnFailure, "start a1, sb1 waits until 10"),
            ("aR aR", Always, ""),
            ("a0 aR", Always, "start a0"),
            ("ab0 aR", Always, "ab0 waits until 10"),
            ("a0 aR", OnFailure, ""),
            ("a1 aR", OnFailure, "start a1"),
            ("a1 aR", Never, ""),
            ("a0 a0", OnFailure, "over"),
            ("a0 a1", Never, "over"),
            ("sR a0", Never, "over"),
            ("s1 a0", OnFailure, "over"),
            // In a new sandbox all begins again, at once; but for what has done its work for good.
            ("ib0* ab3*", Always, "start ib0*"),
            ("ir ab3* ab0*", Always, ""),
            ("i0 ab3* ab0*", Always, "start ab3*, start ab0*"),
            ("ib0* a0* ab3*", OnFailure, "start ib0*"),
            ("i0 a0* ab3*", OnFailure, "start ab3*"),
        ];
        for (text, policy, expected) in table {
            assert_eq!(decide(text, policy), expected, "{text} with {policy:?}");
        }
    }

    #[test]
    fn a_lost_sandbox_is_made_again_while_there_is_something_to_start_in_it() {
        use Policy::{Always, Never, OnFailure};
        let table: [(&str, Policy, Option<&[usize]>); 7] = [
            ("i0 s1 a1", Always, Some(&[0, 1, 2])),
            ("i0 a0 a1", Always, Some(&[0, 1, 2])),
            ("i0 a0 a1", OnFailure, Some(&[0, 2])),
            ("i0 a0", OnFailure, None),
            ("i1 aw", OnFailure, Some(&[0, 1])),
            ("i0 a1", Never, None),
            ("aw", Never, Some(&[0])),
        ];
        for (text, policy, expected) in table {
            let containers: Vec<Container> = text.split(' ').map(container).collect();
            assert_eq!(renewed(&containers, policy).as_deref(), expected, "{text} with {policy:?}");
        }
    }
}
