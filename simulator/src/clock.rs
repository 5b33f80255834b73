//! The simulator's only source of time.
//!
//! Two readings with different uses. [`SimulatorClock::wall`] is the injected clock: request signatures are dated by the
//! client's real clock, so their window is judged by it. [`SimulatorClock::now`] adds the offset that tests advance: the
//! vendor's own life (percentages, the 24-hour rule, ids) runs on it. Were the window judged by the advanced time too, no
//! real client could talk to a simulator that was moved on by a day.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, TimeDelta, Utc};

/// A source of time.
pub trait Clock: Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> DateTime<Utc>;
}

/// The system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the system")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}

/// The longest that a clock can be advanced in all, so that no date overflows: a hundred years.
const MAX_OFFSET_SECONDS: i64 = 100 * 365 * 86_400;

/// A clock with an offset that only grows.
pub(crate) struct SimulatorClock {
    base: Arc<dyn Clock>,
    offset_seconds: AtomicI64,
}

impl SimulatorClock {
    pub(crate) fn new(base: Arc<dyn Clock>) -> Self {
        Self { base, offset_seconds: AtomicI64::new(0) }
    }

    /// The time of the injected clock.
    pub(crate) fn wall(&self) -> DateTime<Utc> {
        self.base.now()
    }

    /// The simulated time.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.wall() + TimeDelta::seconds(self.offset_seconds.load(Ordering::Relaxed))
    }

    /// The simulated time in milliseconds since 1970.
    pub(crate) fn now_ms(&self) -> i64 {
        self.now().timestamp_millis()
    }

    /// Moves the simulated time on and answers the whole offset in seconds.
    pub(crate) fn advance(&self, seconds: u32) -> i64 {
        let add = |offset: i64| (offset + i64::from(seconds)).min(MAX_OFFSET_SECONDS);
        let before = self.offset_seconds.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |offset| Some(add(offset)));
        add(before.unwrap_or_else(|unchanged| unchanged))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed;

    impl Clock for Fixed {
        fn now(&self) -> DateTime<Utc> {
            DateTime::UNIX_EPOCH
        }
    }

    #[test]
    fn advancing_moves_the_simulated_time_but_not_the_wall_clock() {
        let clock = SimulatorClock::new(Arc::new(Fixed));
        assert_eq!(clock.advance(60), 60);
        assert_eq!(clock.advance(40), 100);
        assert_eq!(clock.now_ms(), 100_000);
        assert_eq!(clock.wall(), DateTime::UNIX_EPOCH);
    }

    #[test]
    fn the_offset_has_an_end() {
        let clock = SimulatorClock::new(Arc::new(Fixed));
        clock.advance(u32::MAX);
        assert_eq!(clock.advance(u32::MAX), MAX_OFFSET_SECONDS);
    }
}
