//! Collecting usage: recent windows again and again, since data come late and are corrected; the past of a new
//! property once; and any range on demand.
//!
//! One call to the vendor for a property and window, and what it says overwrites what is stored. A property that
//! fails does not hold the others back; what is missed is read again by a later, wider window. How many calls are
//! under way at a time is the gate's business. Scheduled; also run by `overseas sync-usage`.

use crate::account::Account;
use crate::context::Context;
use futures::StreamExt;
use overseas_shared::cdn::{CdnError, PropertyAddress, UsageSupport};
use overseas_shared::clock::Clock;
use overseas_shared::db::catalogue::PropertyRow;
use overseas_shared::db::usage::{self, Collected};
use overseas_shared::db::{Database, DbError};
use overseas_shared::domain::city;
use overseas_shared::domain::usage::{DAY_SECONDS, SLOT_SECONDS, UsageWindow, day_of};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const HOUR: i64 = 3600;
/// Properties that are worked on at a time: while some wait for the vendor, others are written.
const AT_A_TIME: usize = 8;
/// Days of its past that a new property is read, back from today.
const BACKFILL_DAYS: i64 = 31;
/// New properties that one run looks at.
const BACKFILL_PROPERTIES: u64 = 1_000;
/// Longest pause that is waited out within a run; after that the next run goes on.
const PATIENCE: Duration = Duration::from_secs(30);

/// Which recent windows are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recent {
    /// The last 4 hours.
    Hours4,
    /// The last 12 hours.
    Hours12,
    /// The whole UTC days of yesterday and the two days before.
    Days3,
}

impl Recent {
    /// The windows as of `now` (Unix seconds), oldest first.
    #[must_use]
    pub fn windows(self, now: i64) -> Vec<UsageWindow> {
        let (end, today) = (now - now.rem_euclid(SLOT_SECONDS), day_of(now));
        let window = |from, to| UsageWindow::new(from, to).ok();
        match self {
            Self::Hours4 => window(end - 4 * HOUR, end).into_iter().collect(),
            Self::Hours12 => window(end - 12 * HOUR, end).into_iter().collect(),
            Self::Days3 => (1..=3)
                .rev()
                .filter_map(|back| window(today - back * DAY_SECONDS, today - (back - 1) * DAY_SECONDS))
                .collect(),
        }
    }
}

/// The range in steps that a vendor answers with one call, cut at the ends of UTC days.
#[must_use]
pub fn steps(from: i64, to: i64, longest: i64) -> Vec<UsageWindow> {
    let longest = longest.clamp(SLOT_SECONDS, DAY_SECONDS);
    let mut steps = Vec::new();
    let mut at = from - from.rem_euclid(SLOT_SECONDS);
    let to = to + (SLOT_SECONDS - to.rem_euclid(SLOT_SECONDS)) % SLOT_SECONDS;
    while at < to {
        let end = (at + longest).min(day_of(at) + DAY_SECONDS).min(to);
        steps.extend(UsageWindow::new(at, end).ok());
        at = end;
    }
    steps
}

/// Why a window could not be collected.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// The vendor did not tell.
    #[error(transparent)]
    Vendor(#[from] CdnError),
    /// The rows could not be written.
    #[error(transparent)]
    Database(#[from] DbError),
}

/// What a run did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UsageRun {
    /// Windows that were read and written.
    pub windows: usize,
    /// Windows that failed.
    pub failed: usize,
}

impl UsageRun {
    fn count(&mut self, outcome: &Result<Collected, CollectError>) {
        match outcome {
            Ok(_) => self.windows += 1,
            Err(_) => self.failed += 1,
        }
    }
}

/// Reads one window of one property and writes what it says.
///
/// # Errors
/// [`CollectError`]; then nothing is changed.
pub async fn collect(
    db: &Database,
    clock: &Clock,
    account: &Account,
    property: &PropertyRow,
    window: UsageWindow,
) -> Result<Collected, CollectError> {
    let address = PropertyAddress { vendor_ref: property.vendor_ref.clone(), name: property.name.clone() };
    let report = account.client.usage(&address, window).await?;
    for (name, _) in report.cities().filter(|(name, _)| city::find(name).is_none()) {
        metrics::counter!("overseas_usage_unknown_cities_total", "cdn" => account.name.clone()).increment(1);
        tracing::debug!(cdn = account.name, city = name, "a city that the list does not know");
    }
    let delay = account.client.capabilities().usage.map_or(0, |support| support.delay_seconds);
    Ok(usage::store(db, property.id, &report, clock.now_seconds() - delay).await?)
}

/// Like [`collect`], once more after a pause that the vendor asked for; says what failed.
async fn collect_patiently(
    db: &Database,
    clock: &Clock,
    account: &Account,
    property: &PropertyRow,
    window: UsageWindow,
) -> Result<Collected, CollectError> {
    let mut outcome = collect(db, clock, account, property, window).await;
    if let Err(CollectError::Vendor(error)) = &outcome
        && let Some(pause) = error.account_pause()
    {
        tokio::time::sleep(pause.min(PATIENCE)).await;
        outcome = collect(db, clock, account, property, window).await;
    }
    let label = if outcome.is_ok() { "ok" } else { "failed" };
    metrics::counter!("overseas_usage_windows_total", "cdn" => account.name.clone(), "outcome" => label).increment(1);
    if let Err(error) = &outcome {
        tracing::warn!(cdn = account.name, property = property.name, from = window.from(), %error, "usage could not be read");
    }
    outcome
}

fn support(account: &Account) -> Option<UsageSupport> {
    account.client.capabilities().usage
}

/// Reads these windows of all active properties of an account.
///
/// # Errors
/// [`DbError`] when the properties cannot be listed.
pub async fn recent(context: &Context, account: &Account, recent: Recent) -> Result<UsageRun, DbError> {
    if support(account).is_none() {
        return Ok(UsageRun::default());
    }
    let due = usage::listed(&context.db, account.id, true).await?;
    let properties: Vec<PropertyRow> = due.into_iter().map(|due| due.property).collect();
    let windows = recent.windows(context.clock.now_seconds());
    let stop = CancellationToken::new();
    Ok(range(&context.db, &context.clock, account, &properties, &windows, &stop, |_, _, _| {}).await)
}

/// Reads the past of properties that are new, newest day first; how far it got is noted, so that a worker that
/// dies in the middle does not begin again.
///
/// # Errors
/// [`DbError`] when rows cannot be read or written.
pub async fn backfill(context: &Context, account: &Account) -> Result<UsageRun, DbError> {
    let Some(support) = support(account) else { return Ok(UsageRun::default()) };
    let end = day_of(context.clock.now_seconds()) + DAY_SECONDS;
    let begin = end - BACKFILL_DAYS * DAY_SECONDS;
    let due = usage::due_for_backfill(&context.db, account.id, begin, BACKFILL_PROPERTIES).await?;
    let longest = support.longest_window_seconds;
    let mut work = Vec::with_capacity(due.len());
    for due in due {
        work.push(backfill_one(context, account, due, begin, end, longest));
    }
    let mut outcomes = futures::stream::iter(work).buffer_unordered(AT_A_TIME);
    let mut total = UsageRun::default();
    while let Some(outcome) = outcomes.next().await {
        let run = outcome?;
        total = UsageRun { windows: total.windows + run.windows, failed: total.failed + run.failed };
    }
    Ok(total)
}

async fn backfill_one(
    context: &Context,
    account: &Account,
    due: usage::Due,
    begin: i64,
    end: i64,
    longest: i64,
) -> Result<UsageRun, DbError> {
    let mut run = UsageRun::default();
    let mut day = due.backfilled_to.unwrap_or(end).min(end);
    while day > begin {
        let previous = day - DAY_SECONDS;
        for window in steps(previous, day, longest) {
            let outcome = collect_patiently(&context.db, &context.clock, account, &due.property, window).await;
            run.count(&outcome);
            if outcome.is_err() {
                return Ok(run);
            }
        }
        day = previous;
        usage::note_backfilled(&context.db, due.property.id, day).await?;
    }
    Ok(run)
}

/// Reads these windows of these properties, one window after the other; `done` is told of each window.
/// Ends early when `stop` is cancelled.
pub async fn range(
    db: &Database,
    clock: &Clock,
    account: &Account,
    properties: &[PropertyRow],
    windows: &[UsageWindow],
    stop: &CancellationToken,
    done: impl Fn(&PropertyRow, UsageWindow, &Result<Collected, CollectError>) + Sync,
) -> UsageRun {
    let one = async |property: &PropertyRow, window: UsageWindow| {
        if stop.is_cancelled() {
            return None;
        }
        let outcome = collect_patiently(db, clock, account, property, window).await;
        done(property, window, &outcome);
        Some(outcome)
    };
    let mut run = UsageRun::default();
    // Window by window, so that what waits is bounded by the properties.
    for window in windows {
        let mut calls = Vec::with_capacity(properties.len());
        for property in properties {
            calls.push(one(property, *window));
        }
        let mut outcomes = futures::stream::iter(calls).buffer_unordered(AT_A_TIME);
        while let Some(outcome) = outcomes.next().await {
            if let Some(outcome) = outcome {
                run.count(&outcome);
            }
        }
    }
    run
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recent_windows_end_with_the_last_whole_slot_and_days_are_utc_days() {
        let now = 1_470_297_123;
        let spans = |recent: Recent| recent.windows(now).iter().map(|w| (w.from(), w.to())).collect::<Vec<_>>();
        assert_eq!(spans(Recent::Hours4), [(1_470_297_000 - 14_400, 1_470_297_000)]);
        assert_eq!(spans(Recent::Hours12), [(1_470_297_000 - 43_200, 1_470_297_000)]);
        let today = 1_470_268_800;
        let day = |back: i64| (today - back * DAY_SECONDS, today - (back - 1) * DAY_SECONDS);
        assert_eq!(spans(Recent::Days3), [day(3), day(2), day(1)]);
    }

    #[test]
    fn steps_cover_the_range_without_gaps_and_end_with_the_days() {
        let whole = steps(1_470_268_800, 1_470_268_800 + 2 * DAY_SECONDS, DAY_SECONDS);
        assert_eq!(whole.len(), 2);
        let odd = steps(1_470_297_123, 1_470_297_123 + DAY_SECONDS, DAY_SECONDS);
        assert_eq!((odd[0].from(), odd[0].to()), (1_470_297_000, 1_470_355_200));
        assert_eq!((odd[1].from(), odd[1].to()), (1_470_355_200, 1_470_297_300 + DAY_SECONDS));
        assert!(steps(10, 10, DAY_SECONDS).len() <= 1);
    }
}
