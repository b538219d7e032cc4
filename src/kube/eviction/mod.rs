//! Node-pressure eviction: which signals there are, when one asks for a pod, and which pod goes (`pkg/kubelet/eviction`). Pure: what
//! the node has left, what pods use and the time come from outside.
//!
//! `rank.rs` has the order of pods, with the reason for each place.

mod rank;

use std::collections::BTreeMap;
use std::time::Duration;

use super::kubelet_config::Threshold;
use super::quantity::Quantity;

pub use rank::{Candidate, Place, rank};

/// What is measured (`pkg/kubelet/eviction/api/types.go`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Signal {
    /// `memory.available`: the node's memory less its working set.
    Memory,
    /// `allocatableMemory.available`: what pods may use of memory, less what they use.
    AllocatableMemory,
    /// `nodefs.available`: the file system of volumes and logs.
    Nodefs,
    /// `nodefs.inodesFree`.
    NodefsInodes,
    /// `imagefs.available`: the file system of images.
    Imagefs,
    /// `imagefs.inodesFree`.
    ImagefsInodes,
    /// `containerfs.available`: the file system of what containers write.
    Containerfs,
    /// `containerfs.inodesFree`.
    ContainerfsInodes,
    /// `pid.available`: process ids.
    Pids,
}

/// What a signal is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// Bytes of memory.
    Memory,
    /// Bytes on disk.
    Storage,
    /// Inodes on disk.
    Inodes,
    /// Process ids.
    Pids,
}

impl Resource {
    /// Its name in messages.
    pub fn word(self) -> &'static str {
        match self {
            Resource::Memory => "memory",
            Resource::Storage => "ephemeral-storage",
            Resource::Inodes => "inodes",
            Resource::Pids => "pids",
        }
    }
}

impl Signal {
    /// All of them, those that are looked at first in front: memory comes before everything else (`byEvictionPriority`).
    pub const ALL: [Signal; 9] = [
        Signal::Memory,
        Signal::AllocatableMemory,
        Signal::Nodefs,
        Signal::NodefsInodes,
        Signal::Imagefs,
        Signal::ImagefsInodes,
        Signal::Containerfs,
        Signal::ContainerfsInodes,
        Signal::Pids,
    ];

    /// Its name in a KubeletConfiguration.
    pub fn name(self) -> &'static str {
        match self {
            Signal::Memory => "memory.available",
            Signal::AllocatableMemory => "allocatableMemory.available",
            Signal::Nodefs => "nodefs.available",
            Signal::NodefsInodes => "nodefs.inodesFree",
            Signal::Imagefs => "imagefs.available",
            Signal::ImagefsInodes => "imagefs.inodesFree",
            Signal::Containerfs => "containerfs.available",
            Signal::ContainerfsInodes => "containerfs.inodesFree",
            Signal::Pids => "pid.available",
        }
    }

    /// The signal of this name.
    pub fn of_name(name: &str) -> Option<Signal> {
        Signal::ALL.into_iter().find(|signal| signal.name() == name)
    }

    /// What it is about.
    pub fn resource(self) -> Resource {
        match self {
            Signal::Memory | Signal::AllocatableMemory => Resource::Memory,
            Signal::Nodefs | Signal::Imagefs | Signal::Containerfs => Resource::Storage,
            Signal::NodefsInodes | Signal::ImagefsInodes | Signal::ContainerfsInodes => Resource::Inodes,
            Signal::Pids => Resource::Pids,
        }
    }
}

/// What a KubeletConfiguration says of eviction, defaults filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// `evictionHard`.
    pub hard: BTreeMap<Signal, Threshold>,
    /// `evictionSoft` with `evictionSoftGracePeriod`.
    pub soft: BTreeMap<Signal, (Threshold, Duration)>,
    /// `evictionMinimumReclaim`.
    pub reclaim: BTreeMap<Signal, Threshold>,
    /// `evictionMaxPodGracePeriod`, in seconds.
    pub longest_grace: i64,
}

impl Default for Settings {
    /// `defaults_linux.go`. There is none for process ids.
    fn default() -> Self {
        let hard = [
            (Signal::Memory, Threshold::Amount(Quantity::bytes(100 << 20))),
            (Signal::Nodefs, Threshold::Percent(10.0)),
            (Signal::NodefsInodes, Threshold::Percent(5.0)),
            (Signal::Imagefs, Threshold::Percent(15.0)),
            (Signal::ImagefsInodes, Threshold::Percent(5.0)),
        ];
        Settings { hard: hard.into(), soft: BTreeMap::new(), reclaim: BTreeMap::new(), longest_grace: 0 }
    }
}

/// What the node has of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observation {
    /// What was measured.
    pub signal: Signal,
    /// How much is left, in bytes or in ones.
    pub available: i128,
    /// How much there is in all.
    pub capacity: i128,
}

/// A threshold that is crossed, and has been for as long as it takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Crossed {
    /// What was measured.
    pub observation: Observation,
    /// What should be left, in the observation's unit.
    pub threshold: i128,
    /// Since when, for a soft one; `None` for a hard one.
    pub soft: Option<Duration>,
}

/// The thresholds and since when each is crossed.
#[derive(Debug, Clone)]
pub struct Monitor {
    settings: Settings,
    /// When a threshold was first seen crossed; the flag says that it is a soft one.
    since: BTreeMap<(Signal, bool), Duration>,
}

impl Monitor {
    /// Nothing is crossed yet.
    pub fn new(settings: Settings) -> Monitor {
        Monitor { settings, since: BTreeMap::new() }
    }

    /// Takes what the node has at the time `now`, counted from anywhere. Gives back the threshold that asks for a pod, if one does:
    /// the first by [`Signal::ALL`], a hard one before the soft one of the same signal.
    pub fn look(&mut self, observations: &[Observation], now: Duration) -> Option<Crossed> {
        let mut asks = Vec::new();
        for observation in observations {
            let signal = observation.signal;
            let hard = self.settings.hard.get(&signal).map(|limit| (*limit, false, Duration::ZERO));
            let soft = self.settings.soft.get(&signal).map(|(limit, grace)| (*limit, true, *grace));
            for (limit, is_soft, grace) in hard.into_iter().chain(soft) {
                let Some(threshold) = amount(limit, observation.capacity) else { continue };
                let key = (signal, is_soft);
                // Once crossed it stays so until evictionMinimumReclaim is free on top.
                let extra = match (self.since.contains_key(&key), self.settings.reclaim.get(&signal)) {
                    (true, Some(extra)) => amount(*extra, observation.capacity).unwrap_or(0),
                    _ => 0,
                };
                if observation.available >= threshold + extra {
                    self.since.remove(&key);
                    continue;
                }
                let since = *self.since.entry(key).or_insert(now);
                let held = now.saturating_sub(since);
                if held >= grace {
                    asks.push(Crossed { observation: *observation, threshold, soft: is_soft.then_some(held) });
                }
            }
        }
        asks.sort_by_key(|one| (one.observation.signal, one.soft.is_some()));
        asks.into_iter().next()
    }

    /// The seconds of grace that a pod which asks for `own` gets (`eviction_manager.go`, `synchronize`).
    pub fn grace(&self, crossed: &Crossed, own: Option<i64>) -> i64 {
        match crossed.soft {
            None => 1,
            Some(_) => own.unwrap_or(i64::MAX).min(self.settings.longest_grace),
        }
    }
}

/// The amount that a threshold means; `None` where it is switched off.
fn amount(threshold: Threshold, capacity: i128) -> Option<i128> {
    match threshold {
        Threshold::Amount(quantity) => Some(quantity.value()),
        // In floating point and with this rounding in kubelet as well (GetThresholdQuantity).
        Threshold::Percent(percent) => Some((capacity as f64 * f64::from(percent / 100.0)) as i128),
        Threshold::None => None,
    }
}

/// What the pod's status says (`evictionMessage`); `over` are the containers that use more than they request: name, use, request.
pub fn message(crossed: &Crossed, over: &[(String, i128, i128)]) -> String {
    let resource = crossed.observation.signal.resource();
    let amount = |number: i128| match resource {
        Resource::Memory | Resource::Storage => Quantity::bytes(i64::try_from(number).unwrap_or(i64::MAX)).to_string(),
        Resource::Inodes | Resource::Pids => number.to_string(),
    };
    let mut text = format!(
        "The node was low on resource: {}. Threshold quantity: {}, available: {}. ",
        resource.word(),
        amount(crossed.threshold),
        amount(crossed.observation.available)
    );
    for (name, used, request) in over {
        text.push_str(&format!(
            "Container {name} was using {}, request is {}, has larger consumption of {}. ",
            amount(*used),
            amount(*request),
            resource.word()
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(number: u64) -> Duration {
        Duration::from_secs(number)
    }

    fn memory(available: i128) -> Observation {
        Observation { signal: Signal::Memory, available, capacity: 1000 }
    }

    fn settings() -> Settings {
        let amount = |bytes| Threshold::Amount(Quantity::bytes(bytes));
        Settings {
            hard: [(Signal::Memory, amount(100)), (Signal::Pids, Threshold::Percent(10.0))].into(),
            soft: [(Signal::Memory, (amount(200), seconds(30)))].into(),
            reclaim: [(Signal::Memory, amount(50))].into(),
            longest_grace: 60,
        }
    }

    #[test]
    fn a_hard_threshold_asks_at_once_and_only_below_it() {
        let mut monitor = Monitor::new(settings());
        assert_eq!(monitor.look(&[memory(200)], seconds(0)), None);
        let crossed = monitor.look(&[memory(99)], seconds(1)).unwrap();
        assert_eq!((crossed.threshold, crossed.soft), (100, None));
        assert_eq!(monitor.grace(&crossed, Some(300)), 1);
        let mut monitor = Monitor::new(settings());
        assert_eq!(monitor.look(&[memory(100)], seconds(1)), None, "as much as the threshold is enough");
    }

    #[test]
    fn a_soft_threshold_asks_when_it_was_crossed_for_its_grace_period() {
        let mut monitor = Monitor::new(settings());
        assert_eq!(monitor.look(&[memory(150)], seconds(0)), None);
        assert_eq!(monitor.look(&[memory(150)], seconds(29)), None);
        let crossed = monitor.look(&[memory(150)], seconds(30)).unwrap();
        assert_eq!((crossed.threshold, crossed.soft), (200, Some(seconds(30))));
        assert_eq!([Some(5), Some(300), None].map(|own| monitor.grace(&crossed, own)), [5, 60, 60]);
        assert_eq!(monitor.look(&[memory(260)], seconds(31)), None);
        assert_eq!(monitor.look(&[memory(150)], seconds(32)), None, "the clock starts anew");
    }

    #[test]
    fn what_was_crossed_stays_so_until_the_minimum_is_reclaimed() {
        let mut monitor = Monitor::new(settings());
        assert!(monitor.look(&[memory(90)], seconds(0)).is_some());
        assert!(monitor.look(&[memory(149)], seconds(1)).is_some());
        assert_eq!(monitor.look(&[memory(150)], seconds(2)), None);
        assert_eq!(monitor.look(&[memory(120)], seconds(3)), None);
    }

    #[test]
    fn memory_comes_first_and_percents_are_of_the_capacity() {
        let pids = Observation { signal: Signal::Pids, available: 99, capacity: 1000 };
        let mut monitor = Monitor::new(settings());
        assert_eq!(monitor.look(&[pids, memory(10)], seconds(0)).unwrap().observation.signal, Signal::Memory);
        let crossed = monitor.look(&[pids, memory(900)], seconds(1)).unwrap();
        assert_eq!((crossed.observation.signal, crossed.threshold), (Signal::Pids, 100));
    }

    #[test]
    fn the_message_is_the_kubelets() {
        let observation = Observation { signal: Signal::Memory, available: 50 << 20, capacity: 1 << 30 };
        let crossed = Crossed { observation, threshold: 100 << 20, soft: None };
        assert_eq!(
            message(&crossed, &[("app".into(), 900 << 20, 0)]),
            "The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. Container app was using 900Mi, \
             request is 0, has larger consumption of memory. "
        );
    }
}
