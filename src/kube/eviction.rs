//! Who goes first when the node runs short (`pkg/kubelet/eviction/helpers.go`, `rankMemoryPressure`, `rankPIDPressure`; `eviction_manager.go`,
//! `evictPod`).

use std::cmp::{Ordering, Reverse};

/// What the node is short of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// `memory.available`.
    Memory,
    /// `pid.available`.
    Pids,
}

/// A pod that runs, as far as its place in the ranking goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its name.
    pub name: String,
    /// `spec.priority`; 0 where it has none.
    pub priority: i32,
    /// Static, mirror, or of priority 2000000000 and above: it is ranked and never evicted.
    pub critical: bool,
    /// Its working set in bytes; `None` where it cannot be read.
    pub usage: Option<i128>,
    /// The memory that it requests, in bytes.
    pub request: i128,
    /// Its processes; `None` where they cannot be counted.
    pub processes: Option<u64>,
}

/// A pod's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The pod.
    pub candidate: Candidate,
    /// Why it stands here, in the order in which that counts.
    pub because: Vec<String>,
}

/// The order in which pods are evicted, the first to go first. Those who are alike keep their order.
pub fn rank(candidates: &[Candidate], signal: Signal) -> Vec<Place> {
    let mut ranked = candidates.to_vec();
    ranked.sort_by(|left, right| match signal {
        Signal::Memory => by_memory(left, right),
        Signal::Pids => (left.priority, Reverse(left.processes)).cmp(&(right.priority, Reverse(right.processes))),
    });
    ranked.into_iter().map(|candidate| Place { because: because(&candidate, signal), candidate }).collect()
}

/// Pods that cannot be measured first, then those over their request, then by priority, then by how far they are over it.
fn by_memory(left: &Candidate, right: &Candidate) -> Ordering {
    let key = |one: &Candidate| (one.usage.is_some(), !exceeds(one), one.priority, Reverse(over(one)));
    key(left).cmp(&key(right))
}

fn over(one: &Candidate) -> i128 {
    one.usage.unwrap_or(0) - one.request
}

fn exceeds(one: &Candidate) -> bool {
    over(one) > 0
}

fn because(one: &Candidate, signal: Signal) -> Vec<String> {
    let mut reasons = match (signal, one.usage) {
        (Signal::Memory, None) => vec!["its use is not known: such pods go first".to_string()],
        (Signal::Memory, Some(usage)) => {
            let (word, far) = match exceeds(one) {
                true => ("is over", format!("{} bytes over it", over(one))),
                false => ("is not over", format!("{} bytes below it", -over(one))),
            };
            vec![
                format!("it uses {usage} bytes and {word} its request of {}", one.request),
                format!("its priority is {}", one.priority),
                format!("it is {far}"),
            ]
        }
        (Signal::Pids, _) => {
            let processes = one.processes.map_or("an unknown number of".to_string(), |number| number.to_string());
            vec![format!("its priority is {}", one.priority), format!("it has {processes} processes")]
        }
    };
    if one.critical {
        reasons.push("it is critical, and so never evicted".into());
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `name priority usage request processes`; `-` is not known.
    fn candidate(text: &str) -> Candidate {
        let words: Vec<&str> = text.split(' ').collect();
        Candidate {
            name: words[0].into(),
            priority: words[1].parse().unwrap(),
            critical: words[1].parse::<i32>().unwrap() >= 2_000_000_000,
            usage: words[2].parse().ok(),
            request: words[3].parse().unwrap(),
            processes: words[4].parse().ok(),
        }
    }

    fn ranked(texts: &[&str], signal: Signal) -> Vec<String> {
        let candidates: Vec<Candidate> = texts.iter().map(|text| candidate(text)).collect();
        rank(&candidates, signal).into_iter().map(|place| place.candidate.name).collect()
    }

    #[test]
    fn memory_ranks_the_unknown_then_those_over_their_request_then_priority_then_distance() {
        let all = [
            "below 0 10 100 1",
            "far 0 500 100 1",
            "near 0 150 100 1",
            "important 100 900 100 1",
            "unknown 100 - 100 1",
            "besteffort 0 60 0 1",
        ];
        assert_eq!(ranked(&all, Signal::Memory), ["unknown", "far", "besteffort", "near", "important", "below"]);
    }

    #[test]
    fn a_use_that_equals_the_request_is_not_over_it() {
        assert_eq!(ranked(&["equal 0 100 100 1", "over 5 101 100 1"], Signal::Memory), ["over", "equal"]);
    }

    #[test]
    fn a_guaranteed_pod_over_its_request_has_no_immunity_and_a_critical_one_is_ranked() {
        let order = ranked(&["critical 2000000000 900 1 1", "guaranteed 0 101 100 1"], Signal::Memory);
        assert_eq!(order, ["guaranteed", "critical"]);
        let place = rank(&[candidate("critical 2000000000 900 1 1")], Signal::Memory).remove(0);
        assert_eq!(place.because.last().unwrap(), "it is critical, and so never evicted");
    }

    #[test]
    fn pids_rank_by_priority_then_number() {
        let all = ["few 0 1 1 2", "many 0 1 1 50", "important 9 1 1 500"];
        assert_eq!(ranked(&all, Signal::Pids), ["many", "few", "important"]);
    }

    #[test]
    fn the_reasons_have_the_numbers() {
        let place = rank(&[candidate("a 3 150 100 1")], Signal::Memory).remove(0);
        assert_eq!(
            place.because,
            ["it uses 150 bytes and is over its request of 100", "its priority is 3", "it is 50 bytes over it"]
        );
    }
}
