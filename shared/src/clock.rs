//! The time, passed in: the one place that reads the system's clock.
//!
//! Everything that compares times takes a [`Clock`], so a test moves it by hand and nothing sleeps.
//! A clone shows the same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// A source of UTC time. The offset is 0 outside tests.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    offset_milliseconds: Arc<AtomicI64>,
}

impl Clock {
    /// The system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self::default()
    }

    /// UTC milliseconds since 1970.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place")]
    pub fn now(&self) -> i64 {
        chrono::Utc::now().timestamp_millis() + self.offset_milliseconds.load(Ordering::Relaxed)
    }

    /// UTC seconds since 1970.
    #[must_use]
    pub fn now_seconds(&self) -> i64 {
        self.now().div_euclid(1000)
    }

    /// Moves this clock and its clones forward; for tests.
    pub fn advance(&self, milliseconds: i64) {
        self.offset_milliseconds.fetch_add(milliseconds, Ordering::Relaxed);
    }
}
