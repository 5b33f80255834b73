//! Deleting what is no longer needed, in small batches, and mending what should not happen.
//!
//! Scheduled; every step is idempotent and bounded, so that it never holds a lock for long.

use crate::context::Context;
use overseas_shared::db::{
    DbError, api_token, audit, idempotency, login, schedule, session, submission, task, usage, webhook,
};

const DAY: i64 = 24 * 3_600_000;
/// Days that an API token is still listed after it expired, so that its owner can find out why nothing works.
const KEEP_EXPIRED_TOKENS: u32 = 30;
/// Days that a message to a webhook is kept after it was delivered or given up.
const KEEP_MESSAGES: u32 = 7;
/// Rows of one delete.
const BATCH: u64 = 500;
/// Deletes of one run; what is left is done by the next.
const BATCHES: usize = 200;

/// Deletes rows that are older than they are kept.
///
/// # Errors
/// [`DbError`] when a delete fails; the next run goes on.
pub async fn sweep(context: &Context) -> Result<String, DbError> {
    let (db, now) = (&context.db, context.clock.now());
    let days = |days: u32| now - i64::from(days) * DAY;
    let sessions = session::sweep(db, now).await?;
    let answers = idempotency::sweep(db, now).await?;
    login::sweep(db, now).await?;
    api_token::sweep(db, days(KEEP_EXPIRED_TOKENS)).await?;
    schedule::sweep(db, now - 7 * DAY).await?;
    let mut tasks = 0;
    for _ in 0..BATCHES {
        let deleted = task::sweep(db, days(context.config.tasks.keep_days), BATCH).await?;
        tasks += deleted;
        if deleted < BATCH {
            break;
        }
    }
    for _ in 0..BATCHES {
        if submission::sweep(db, days(context.config.tasks.keep_days), BATCH).await? < BATCH {
            break;
        }
    }
    let mut entries = 0;
    for _ in 0..BATCHES {
        let deleted = audit::sweep(db, days(context.config.tasks.keep_audit_days), BATCH).await?;
        entries += deleted;
        if deleted < BATCH {
            break;
        }
    }
    sweep_messages(context, days(KEEP_MESSAGES)).await?;
    let (keep, keep_city) = (context.config.usage.keep_days, context.config.usage.keep_days_city);
    let mut usage_days = (0, 0);
    for _ in 0..BATCHES {
        let (days, city_days) = usage::sweep(db, days(keep) / 1000, days(keep_city) / 1000, BATCH).await?;
        usage_days = (usage_days.0 + days, usage_days.1 + city_days);
        if days < BATCH && city_days < BATCH {
            break;
        }
    }
    tracing::debug!(days = usage_days.0, city_days = usage_days.1, "old usage was deleted");
    Ok(format!("deleted {tasks} tasks, {entries} audit rows, {sessions} sessions, {answers} kept answers"))
}

/// Messages to webhooks: those that nobody can deliver any more, and those that have ended before `before`.
async fn sweep_messages(context: &Context, before: i64) -> Result<(), DbError> {
    let given_up = webhook::message::give_up_old(&context.db, context.clock.now()).await?;
    metrics::counter!(super::webhooks::DELIVERIES, "outcome" => "given_up").increment(given_up);
    for _ in 0..BATCHES {
        if webhook::message::sweep(&context.db, before, BATCH).await? < BATCH {
            break;
        }
    }
    Ok(())
}

/// Removes what finished messages leave in Redis, and plans polls that nobody planned.
///
/// # Errors
/// The failure in words; the next run tries again.
pub async fn tidy(context: &Context) -> Result<String, String> {
    let planned =
        submission::plan_forgotten_polls(&context.db, context.clock.now()).await.map_err(|error| error.to_string())?;
    context.queue.tidy().await.map_err(|error| error.to_string())?;
    Ok(format!("planned {planned} forgotten polls"))
}
