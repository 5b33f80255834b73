//! What every job needs: the database, the queue, the clock, the accounts and the settings.
//!
//! There is one for each run of a worker. Its `owner` is the name in which call slots and periods are
//! taken: no two runs share one, so a restarted process is never taken for the one before it. Rounds that
//! claim tasks take a fresh name each. Made by `overseas worker`, `overseas up` and the tests' world.

use crate::account::Account;
use crate::slots::SharedGate;
use overseas_shared::clock::Clock;
use overseas_shared::config::Config;
use overseas_shared::db::Database;
use overseas_shared::log_store::LogStore;
use overseas_shared::queue::Queue;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Shared by all jobs of a worker.
pub struct Context {
    /// The rows.
    pub db: Database,
    /// For telling other loops and workers that there is work.
    pub queue: Queue,
    /// The time.
    pub clock: Clock,
    /// The settings.
    pub config: Config,
    /// The accounts at the vendors.
    pub accounts: Vec<Arc<Account>>,
    /// Counts the calls to each account over all workers.
    pub gate: Arc<SharedGate>,
    /// Where finished logs are kept.
    pub store: LogStore,
    /// Turns of the merges of logs; see [`crate::jobs::logs::merge_turns`].
    pub merges: Arc<Semaphore>,
    /// The name of this run of this process; no other run has it.
    pub owner: String,
}

impl Context {
    /// The end of a lease that begins now, in UTC milliseconds.
    #[must_use]
    pub fn lease_until(&self) -> i64 {
        self.clock.now() + i64::from(self.config.worker.lease_seconds) * 1000
    }
}

/// A name that no other run of any process has: `pid-ulid`.
#[must_use]
pub fn new_owner() -> String {
    format!("{}-{}", std::process::id(), ulid::Ulid::generate())
}
