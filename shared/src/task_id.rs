//! Ids of tasks: ULIDs, which sort by the time at which they were made.
//!
//! Within one process each is greater than the one before, also within a millisecond, so that "newest
//! first" is the order of the ids. Called by the purge handlers.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};
use ulid::{Generator, Ulid};

/// The smallest id that a task made at `at` (UTC milliseconds) or later can have.
#[must_use]
pub fn earliest_at(at: i64) -> String {
    Ulid::from_parts(u64::try_from(at).unwrap_or(0), 0).to_string()
}

/// Makes ids.
#[derive(Default)]
pub struct TaskIds {
    generator: Mutex<Generator>,
}

impl TaskIds {
    /// A new id for a task made at `now` (UTC milliseconds).
    #[must_use]
    pub fn next(&self, now: i64) -> String {
        let at = UNIX_EPOCH + Duration::from_millis(u64::try_from(now).unwrap_or(0));
        let mut generator = self.generator.lock().unwrap_or_else(PoisonError::into_inner);
        let id = generator.generate_from_datetime(at);
        id.unwrap_or_else(|_| Ulid::from_datetime(at)).to_string()
    }
}
