//! A pod whose pause process is gone: its network, IPC and UTS namespaces end with it. As the kubelet does (`SandboxChanged` of
//! `computePodActions` and `SyncPod`), what still runs is ended with grace, the sandbox is made anew, and the pod begins from
//! its first init container; the volumes stay.

use std::time::Duration;

use jiff::Timestamp;

use super::super::next;
use super::super::sandbox;
use super::{Ending, Supervisor};

/// How soon after a loss the sandbox is made again: the kubelet looks once a second (PLEG).
const PAUSE: Duration = Duration::from_secs(1);

/// How long it waits after one that could not be made.
const RETRY: Duration = Duration::from_secs(10);

/// The sandbox is lost, and not made anew yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lost {
    since: Timestamp,
    not_before: Timestamp,
}

impl Supervisor<'_> {
    /// Whether the sandbox is lost; looks at its process.
    pub(super) fn has_lost(&mut self, now: Timestamp) -> bool {
        if self.lost.is_none() && self.sandbox.as_ref().is_some_and(|sandbox| sandbox::is_gone(sandbox.pid)) {
            self.lost = Some(Lost { since: now, not_before: now + PAUSE });
        }
        self.lost.is_some()
    }

    /// Goes on towards a new sandbox; gives back when more is to be done.
    pub(super) fn renew(&mut self, now: Timestamp) -> Option<Timestamp> {
        let lost = self.lost?;
        self.stop_in_order(now, lost.since, self.grace());
        self.containers.iter_mut().for_each(|one| one.insist(now, &self.record));
        if self.containers.iter().any(|one| one.run.is_some()) {
            return None;
        }
        let Some(start) = next::renewed(&self.views(), self.policy) else {
            self.ending = Some(Ending { at: now, grace: self.grace(), reason: None, deleted: false });
            return Some(now);
        };
        if lost.not_before > now {
            return Some(lost.not_before);
        }
        let Some(sandbox) = &mut self.sandbox else { return None };
        let made = sandbox::renew(self.home, &self.record, sandbox);
        let reason = self.waiting();
        let message = made.as_ref().err().map(|error| format!("failed to create pod sandbox: {error}"));
        for (index, one) in self.containers.iter_mut().enumerate() {
            one.renew(start.contains(&index), reason, message.clone());
        }
        match made {
            Ok(()) => {
                self.lost = None;
                Some(now)
            }
            Err(_) => {
                self.lost = Some(Lost { not_before: now + RETRY, ..lost });
                Some(now + RETRY)
            }
        }
    }
}
