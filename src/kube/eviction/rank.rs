//! Who goes first when the node runs short (`pkg/kubelet/eviction/helpers.go`, `rankMemoryPressure`, `rankDiskPressureFunc`,
//! `rankPIDPressure`; `eviction_manager.go`, `evictPod`).

use std::cmp::{Ordering, Reverse};

use super::{Resource, Signal};

/// A pod that runs, as far as its place in the ranking goes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Candidate {
    /// Its name.
    pub name: String,
    /// `spec.priority`; 0 where it has none.
    pub priority: i32,
    /// Static, mirror, or of priority 2000000000 and above: it is ranked and never evicted.
    pub critical: bool,
    /// Its working set in bytes; `None` where it cannot be read.
    pub memory: Option<i128>,
    /// The memory that it requests, in bytes.
    pub memory_request: i128,
    /// What its containers, logs and volumes hold on disk, in bytes; `None` where it cannot be read.
    pub storage: Option<i128>,
    /// The `ephemeral-storage` that it requests, in bytes.
    pub storage_request: i128,
    /// The inodes of the same.
    pub inodes: Option<i128>,
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

impl Candidate {
    /// What it uses and requests of a resource. Nobody can request inodes or process ids.
    pub fn use_of(&self, resource: Resource) -> (Option<i128>, i128) {
        match resource {
            Resource::Memory => (self.memory, self.memory_request),
            Resource::Storage => (self.storage, self.storage_request),
            Resource::Inodes => (self.inodes, 0),
            Resource::Pids => (self.processes.map(i128::from), 0),
        }
    }

    fn over(&self, resource: Resource) -> i128 {
        let (used, request) = self.use_of(resource);
        used.unwrap_or(0) - request
    }
}

/// The order in which pods are evicted, the first to go first. Those who are alike keep their order.
pub fn rank(candidates: &[Candidate], signal: Signal) -> Vec<Place> {
    let mut ranked = candidates.to_vec();
    let resource = signal.resource();
    ranked.sort_by(|left, right| match resource {
        Resource::Memory | Resource::Storage | Resource::Inodes => by_use(left, right, resource),
        Resource::Pids => (left.priority, Reverse(left.processes)).cmp(&(right.priority, Reverse(right.processes))),
    });
    ranked.into_iter().map(|candidate| Place { because: because(&candidate, resource), candidate }).collect()
}

/// Pods that cannot be measured first, then those over their request, then by priority, then by how far they are over it.
fn by_use(left: &Candidate, right: &Candidate, resource: Resource) -> Ordering {
    let key = |one: &Candidate| {
        let over = one.over(resource);
        (one.use_of(resource).0.is_some(), over <= 0, one.priority, Reverse(over))
    };
    key(left).cmp(&key(right))
}

fn because(one: &Candidate, resource: Resource) -> Vec<String> {
    let unit = match resource {
        Resource::Memory | Resource::Storage => "bytes",
        Resource::Inodes => "inodes",
        Resource::Pids => "processes",
    };
    let (used, request) = one.use_of(resource);
    let priority = format!("its priority is {}", one.priority);
    let mut reasons = match (resource, used) {
        (Resource::Pids, used) => {
            let number = used.map_or("an unknown number of".to_string(), |number| number.to_string());
            vec![priority, format!("it has {number} {unit}")]
        }
        (_, None) => vec!["its use is not known: such pods go first".to_string()],
        (_, Some(used)) => {
            let over = used - request;
            let (word, far) = match over > 0 {
                true => ("is over", format!("it is {over} {unit} over it")),
                false => ("is not over", format!("it is {} {unit} below it", -over)),
            };
            vec![format!("it uses {used} {unit} and {word} its request of {request}"), priority, far]
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

    /// `name priority memory request processes`; `-` is not known. On disk it holds ten times as much.
    fn candidate(text: &str) -> Candidate {
        let words: Vec<&str> = text.split(' ').collect();
        let memory: Option<i128> = words[2].parse().ok();
        Candidate {
            name: words[0].into(),
            priority: words[1].parse().unwrap(),
            critical: words[1].parse::<i32>().unwrap() >= 2_000_000_000,
            memory,
            memory_request: words[3].parse().unwrap(),
            storage: memory.map(|bytes| bytes * 10),
            storage_request: words[3].parse().unwrap(),
            inodes: memory.map(|bytes| bytes + 1),
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
    fn disks_rank_alike_by_what_is_on_them_and_nobody_requests_inodes() {
        let all = ["below 0 5 100 1", "over 0 20 100 1", "important 5 900 100 1"];
        assert_eq!(ranked(&all, Signal::Nodefs), ["over", "important", "below"]);
        assert_eq!(ranked(&all, Signal::NodefsInodes), ["over", "below", "important"]);
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
        let all = ["many 5 1 1 500", "few 0 1 1 2", "some 0 1 1 40"];
        assert_eq!(ranked(&all, Signal::Pids), ["some", "few", "many"]);
    }

    #[test]
    fn each_place_has_its_reasons() {
        let places = rank(&[candidate("web 3 150 100 7")], Signal::Memory);
        assert_eq!(
            places[0].because,
            ["it uses 150 bytes and is over its request of 100", "its priority is 3", "it is 50 bytes over it"]
        );
        assert_eq!(
            rank(&[candidate("web 3 150 100 7")], Signal::Pids)[0].because,
            ["its priority is 3", "it has 7 processes"]
        );
    }
}
