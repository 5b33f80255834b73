//! Daily access logs: one file a day and property, made of what the vendor delivered.
//!
//! Every hour the recent days of all active properties become due (`schedule_recent`); a day that somebody asked for is
//! due at once. The loop claims one day after the other under a lease that is renewed while it works, and what came of
//! it is written only while the lease is held, so that a killed worker costs its lease and a slow one writes nothing.
//! Accounts are worked on side by side, but few merges run at a time in a process, which bounds its memory.
//! Woken by `log-fetch` messages and the sweep; also run by `overseas sync-logs`.

mod make;
pub(crate) mod staging;

pub use make::{Claim, LogWork, Progress, merge_turns, work_on};

use crate::account::Account;
use crate::context::{Context, new_owner};
use crate::reconcile::{Next, Reconciler};
use async_trait::async_trait;
use overseas_shared::cdn::LogSupport;
use overseas_shared::db::log::{self, Lease};
use overseas_shared::db::{Database, DbError};
use overseas_shared::domain::log::{first_kept_day, recent_days};
use overseas_shared::log_store::{LogStore, LogStoreError};
use overseas_shared::queue::WakeKind;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const DAY: i64 = 24 * 3_600_000;
/// Files that one run of the retention looks at, at a time.
const BATCH: u64 = 200;
/// How old what a killed process left half written must be; no merge takes as long.
const LEFTOVER_AGE: Duration = Duration::from_secs(2 * 24 * 3600);

impl Account {
    /// Whether there is a place where its logs come from.
    #[must_use]
    pub fn has_logs(&self) -> bool {
        match self.client.capabilities().logs {
            LogSupport::None => false,
            LogSupport::Delivery => self.config.logs.is_some(),
            LogSupport::Native => true,
        }
    }
}

/// The loop that makes the days of one account.
pub struct LogFetch {
    context: Arc<Context>,
    account: Arc<Account>,
    owner: String,
}

impl LogFetch {
    /// The loop of an account.
    #[must_use]
    pub fn new(context: &Arc<Context>, account: &Arc<Account>) -> Self {
        Self { context: Arc::clone(context), account: Arc::clone(account), owner: new_owner() }
    }
}

#[async_trait]
impl Reconciler for LogFetch {
    fn name(&self) -> String {
        format!("log-fetch/{}", self.account.name)
    }

    async fn round(&self, stop: &CancellationToken) -> Result<Next, DbError> {
        let context = &self.context;
        if stop.is_cancelled() {
            return Ok(Next::Due(None));
        }
        let (owner, now) = (&self.owner, context.clock.now());
        let lease = Lease { owner, now, until: context.lease_until() };
        let Some(day) = log::claim(&context.db, self.account.id, lease).await? else {
            return Ok(Next::Due(log::next_due(&context.db, self.account.id).await?));
        };
        let claim = Claim { account: &self.account, day: &day, owner, forced: false };
        work_on(&context.log_work(), claim, &Progress::default(), stop).await?;
        Ok(Next::Now)
    }
}

impl Context {
    /// What work on a day needs.
    #[must_use]
    pub fn log_work(&self) -> LogWork {
        let merges = Arc::clone(&self.merges);
        LogWork::new(&self.config, self.db.clone(), self.clock.clone(), self.store.clone(), merges)
    }
}

/// Makes the recent days of every account with logs due, and wakes their loops.
///
/// # Errors
/// [`DbError`] when rows cannot be written; the next run goes on.
pub async fn schedule_recent(context: &Context) -> Result<String, DbError> {
    let mut said = Vec::new();
    for account in context.accounts.iter().filter(|account| account.has_logs()) {
        let now = context.clock.now();
        let due = log::schedule(&context.db, account.id, recent_days(now), now).await?;
        said.push(format!("{}: {due} known days are looked at again", account.name));
        context.queue.wake(WakeKind::LogFetch, &account.name);
    }
    Ok(said.join("; "))
}

/// Why old logs could not be removed.
#[derive(Debug, thiserror::Error)]
pub enum RetentionError {
    /// The rows cannot be read or changed.
    #[error(transparent)]
    Database(#[from] DbError),
    /// The store cannot be changed.
    #[error(transparent)]
    Store(#[from] LogStoreError),
}

/// Removes logs that are older than they are kept, the file first and then the row, files that no day points to any
/// more, and what killed processes left.
///
/// # Errors
/// [`RetentionError`]; the next run goes on.
pub async fn remove_old(
    db: &Database,
    store: &LogStore,
    keep_days: u32,
    now: i64,
) -> Result<(usize, usize), RetentionError> {
    let first_kept = first_kept_day(now, keep_days);
    let made_before = now - i64::from(keep_days) * DAY;
    let mut removed = (0, 0);
    loop {
        let old = log::old_days(db, first_kept, made_before, BATCH).await?;
        for day in &old {
            if let Some(object) = &day.object {
                store.delete(object).await?;
            }
            log::delete_day(db, day).await?;
        }
        removed.0 += old.len();
        if old.is_empty() {
            break;
        }
    }
    loop {
        let objects = log::objects_to_remove(db, now, BATCH).await?;
        for object in &objects {
            store.delete(object).await?;
            log::forget_object(db, object).await?;
        }
        removed.1 += objects.len();
        if objects.is_empty() {
            break;
        }
    }
    removed.1 += store.remove_leftovers(LEFTOVER_AGE).await?;
    Ok(removed)
}
