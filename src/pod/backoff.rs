//! How long a container that ended waits for its next start (`pkg/kubelet`, `doBackOff`; client-go `flowcontrol.Backoff`). Pure: the
//! time comes from outside.

use std::time::Duration;

use jiff::Timestamp;

/// The first delay; the delay before a first restart is none.
const INITIAL: Duration = Duration::from_secs(10);
/// The longest delay (`MaxContainerBackOff`).
const MAXIMUM: Duration = Duration::from_secs(300);

/// The back-off of one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackOff {
    initial: Duration,
    maximum: Duration,
    /// The delay now, and when the container was last restarted.
    entry: Option<(Duration, Timestamp)>,
}

impl Default for BackOff {
    fn default() -> Self {
        BackOff { initial: INITIAL, maximum: MAXIMUM, entry: None }
    }
}

impl BackOff {
    /// A back-off whose longest delay is `maximum` (`crashLoopBackOff.maxContainerRestartPeriod`); a shorter one than the
    /// first delay is also that.
    pub fn up_to(maximum: Duration) -> BackOff {
        BackOff { initial: INITIAL.min(maximum), maximum, entry: None }
    }

    /// How long a container that ended at `finished` has still to wait; `None` where it may start.
    pub fn remaining(&self, finished: Timestamp, now: Timestamp) -> Option<Duration> {
        let (delay, last) = self.entry?;
        if self.expired(finished, last) {
            return None;
        }
        let passed = Duration::try_from(now.duration_since(finished)).unwrap_or_default();
        delay.checked_sub(passed).filter(|left| !left.is_zero())
    }

    /// Begins anew: the container is another one now (the key of its back-off holds its image and resources).
    pub fn forget(&mut self) {
        self.entry = None;
    }

    /// The delay that holds now, for messages.
    pub fn delay(&self) -> Duration {
        self.entry.map_or(Duration::ZERO, |(delay, _)| delay)
    }

    /// Notes that the container, which ended at `finished`, is restarted now: the next delay is twice this one.
    pub fn restarted(&mut self, finished: Timestamp, now: Timestamp) {
        let delay = match self.entry {
            Some((delay, last)) if !self.expired(finished, last) => (delay * 2).min(self.maximum),
            _ => self.initial,
        };
        self.entry = Some((delay, now));
    }

    /// A container that ran for more than twice the longest delay starts anew.
    fn expired(&self, finished: Timestamp, last: Timestamp) -> bool {
        Duration::try_from(finished.duration_since(last)).is_ok_and(|ran| ran > self.maximum * 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A clock that only the test moves.
    struct Clock(Timestamp);

    impl Clock {
        fn pass(&mut self, seconds: u64) {
            self.0 += Duration::from_secs(seconds);
        }
    }

    /// The delays of restarts of a container that each time runs for `runs` seconds.
    fn delays(mut backoff: BackOff, runs: &[u64]) -> Vec<u64> {
        let mut clock = Clock(Timestamp::UNIX_EPOCH);
        let mut delays = Vec::new();
        for seconds in runs {
            clock.pass(*seconds);
            let finished = clock.0;
            let wait = backoff.remaining(finished, clock.0).unwrap_or_default();
            clock.pass(wait.as_secs());
            assert_eq!(backoff.remaining(finished, clock.0), None, "the wait is over");
            backoff.restarted(finished, clock.0);
            delays.push(wait.as_secs());
        }
        delays
    }

    #[test]
    fn the_first_restart_is_immediate_and_each_delay_is_twice_the_one_before() {
        assert_eq!(delays(BackOff::default(), &[1; 8]), [0, 10, 20, 40, 80, 160, 300, 300]);
    }

    #[test]
    fn more_than_ten_minutes_of_running_resets_it_and_ten_do_not() {
        assert_eq!(delays(BackOff::default(), &[1, 1, 1, 600, 1]), [0, 10, 20, 40, 80]);
        assert_eq!(delays(BackOff::default(), &[1, 1, 1, 601, 1, 1]), [0, 10, 20, 0, 10, 20]);
    }

    #[test]
    fn the_delay_counts_from_when_the_container_ended() {
        let mut backoff = BackOff::default();
        let end = Timestamp::UNIX_EPOCH;
        backoff.restarted(end, end);
        let finished = end + Duration::from_secs(5);
        let at = |seconds| backoff.remaining(finished, finished + Duration::from_secs(seconds));
        assert_eq!(at(0), Some(Duration::from_secs(10)));
        assert_eq!(at(9), Some(Duration::from_secs(1)));
        assert_eq!(at(10), None);
        assert_eq!(backoff.delay(), Duration::from_secs(10));
    }

    #[test]
    fn a_configured_maximum_holds_and_lowers_the_first_delay() {
        assert_eq!(delays(BackOff::up_to(Duration::from_secs(60)), &[1; 6]), [0, 10, 20, 40, 60, 60]);
        assert_eq!(delays(BackOff::up_to(Duration::from_secs(2)), &[1; 4]), [0, 2, 2, 2]);
        assert_eq!(delays(BackOff::up_to(Duration::from_secs(2)), &[1, 1, 5]), [0, 2, 0]);
    }
}
