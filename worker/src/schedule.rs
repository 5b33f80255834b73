//! The whole timetable, and who runs what.
//!
//! Time is cut into periods; a row with the primary key (job, period) decides which worker runs a job
//! in a period, so it runs once however many workers there are. Every job is idempotent, so a worker
//! that dies in the middle costs one period. Called by the worker's start.

use crate::context::Context;
use crate::jobs::usage::{self, Recent, UsageRun};
use crate::jobs::{housekeeping, logs, sync};
use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use overseas_shared::db::{DbError, schedule};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;

type Job = fn(Arc<Context>) -> BoxFuture<'static, Result<String, String>>;

struct Entry {
    name: &'static str,
    every: i64,
    /// How far into its period it runs.
    offset: i64,
    /// Whether every start of a worker runs it, unless that just happened.
    at_start: bool,
    job: Job,
}

const TIMETABLE: [Entry; 10] = [
    Entry {
        name: "sync-catalogue",
        every: 30 * MINUTE,
        offset: 0,
        at_start: true,
        job: |context| sync_catalogue(context).boxed(),
    },
    // Ten minutes past, when the vendor has closed the hour.
    Entry {
        name: "usage-4-hours",
        every: HOUR,
        offset: 10 * MINUTE,
        at_start: false,
        job: |context| collect(context, Recent::Hours4).boxed(),
    },
    Entry {
        name: "usage-12-hours",
        every: 8 * HOUR,
        offset: 20 * MINUTE,
        at_start: false,
        job: |context| collect(context, Recent::Hours12).boxed(),
    },
    // When yesterday is complete at a vendor that is four hours late.
    Entry {
        name: "usage-3-days",
        every: 24 * HOUR,
        offset: 5 * HOUR,
        at_start: false,
        job: |context| collect(context, Recent::Days3).boxed(),
    },
    Entry {
        name: "usage-backfill",
        every: 10 * MINUTE,
        offset: MINUTE,
        at_start: true,
        job: |context| backfill(context).boxed(),
    },
    // What is left of the accounts' credits, and that the credentials still work.
    Entry {
        name: "accounts",
        every: HOUR,
        offset: 5 * MINUTE,
        at_start: true,
        job: |context| look_at_accounts(context).boxed(),
    },
    // What is left of today's quotas, for those who look at the capabilities.
    Entry { name: "quotas", every: 5 * MINUTE, offset: 0, at_start: true, job: |context| read_quotas(context).boxed() },
    // A little past the hour, so that the first look at a day that has ended finds its last files.
    Entry {
        name: "logs",
        every: HOUR,
        offset: 15 * MINUTE,
        at_start: true,
        job: |context| schedule_logs(context).boxed(),
    },
    Entry { name: "housekeeping", every: HOUR, offset: 0, at_start: false, job: |context| sweep(context).boxed() },
    Entry { name: "tidy", every: MINUTE, offset: 0, at_start: false, job: |context| tidy(context).boxed() },
];

/// Starts of several workers within this time share one run.
const START_WINDOW: i64 = 20 * SECOND;

/// `sync-ag`, then `sync-service`, for every account.
async fn sync_catalogue(context: Arc<Context>) -> Result<String, String> {
    // Side by side, so that a vendor that is slow or away holds up no other.
    let (db, clock) = (&context.db, &context.clock);
    let readings = context.accounts.iter().map(|account| async move {
        let groups = sync::groups(db, clock, account).await;
        let services = sync::services(db, clock, account).await;
        (account, [groups, services])
    });
    let mut said = Vec::new();
    let mut failed = false;
    for (account, outcomes) in join_all(readings).await {
        for outcome in outcomes {
            match outcome {
                Ok(report) => {
                    said.push(format!("{}: {} groups, {} properties", account.name, report.groups, report.properties))
                }
                Err(error) => {
                    failed = true;
                    said.push(error.to_string());
                }
            }
        }
    }
    let said = said.join("; ");
    if failed { Err(said) } else { Ok(said) }
}

async fn collect(context: Arc<Context>, recent: Recent) -> Result<String, String> {
    let runs = context.accounts.iter().map(|account| usage::recent(&context, account, recent));
    said_of_runs(&context, join_all(runs).await)
}

async fn backfill(context: Arc<Context>) -> Result<String, String> {
    let runs = context.accounts.iter().map(|account| usage::backfill(&context, account));
    said_of_runs(&context, join_all(runs).await)
}

/// The accounts were read side by side, so that a vendor that is slow or away holds up no other.
fn said_of_runs(context: &Context, outcomes: Vec<Result<UsageRun, DbError>>) -> Result<String, String> {
    let (mut said, mut failed) = (Vec::new(), false);
    for (account, outcome) in context.accounts.iter().zip(outcomes) {
        match outcome {
            Ok(run) if run == UsageRun::default() => {}
            Ok(run) => said.push(format!("{}: {} windows read, {} failed", account.name, run.windows, run.failed)),
            Err(error) => {
                failed = true;
                said.push(format!("{}: {error}", account.name));
            }
        }
    }
    let said = said.join("; ");
    if failed { Err(said) } else { Ok(said) }
}

/// Of the accounts whose vendors count.
async fn read_quotas(context: Arc<Context>) -> Result<String, String> {
    let counted = context.accounts.iter().filter(|account| account.client.capabilities().urls_per_request.is_none());
    let readings = counted.map(|account| async move { (&account.name, account.client.quotas().await) });
    let (mut said, mut failed) = (Vec::new(), false);
    for (name, outcome) in join_all(readings).await {
        failed |= outcome.is_err();
        said.push(
            outcome.map_or_else(|error| format!("{name}: {error}"), |quotas| format!("{name}: {}", quotas.len())),
        );
    }
    let said = said.join("; ");
    if failed { Err(said) } else { Ok(said) }
}

async fn look_at_accounts(context: Arc<Context>) -> Result<String, String> {
    let looks = context.accounts.iter().map(|account| async move {
        let outcome = account.client.account().await;
        (&account.name, outcome)
    });
    let (mut said, mut failed) = (Vec::new(), false);
    for (name, outcome) in join_all(looks).await {
        match outcome {
            Ok(status) => said.push(format!("{name}: {}", status.summary)),
            Err(error) => {
                failed = true;
                said.push(format!("{name}: {error}"));
            }
        }
    }
    let said = said.join("; ");
    if failed { Err(said) } else { Ok(said) }
}

async fn schedule_logs(context: Arc<Context>) -> Result<String, String> {
    logs::schedule_recent(&context).await.map_err(|error| error.to_string())
}

async fn sweep(context: Arc<Context>) -> Result<String, String> {
    let said = housekeeping::sweep(&context).await.map_err(|error| error.to_string())?;
    let keep = context.config.logs.keep_days;
    let removed = logs::remove_old(&context.db, &context.store, keep, context.clock.now()).await;
    let (days, files) = removed.map_err(|error| format!("{said}; old logs: {error}"))?;
    Ok(format!("{said}, {days} days of logs, {files} files without a day"))
}

async fn tidy(context: Arc<Context>) -> Result<String, String> {
    housekeeping::tidy(&context).await
}

/// Runs the timetable until `stop`. A job that is still running is not started again.
pub(crate) async fn run(context: Arc<Context>, stop: CancellationToken) {
    let mut seen: HashMap<&str, i64> = HashMap::new();
    let mut running: HashMap<&str, tokio::task::JoinHandle<()>> = HashMap::new();
    let mut starting = true;
    // A series that is born with its first event shows no increase.
    for (entry, outcome) in TIMETABLE.iter().flat_map(|entry| [(entry, "ok"), (entry, "failed")]) {
        metrics::counter!("overseas_scheduled_runs_total", "job" => entry.name, "outcome" => outcome).increment(0);
    }
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = tick.tick() => {}
        }
        for entry in &TIMETABLE {
            let now = context.clock.now();
            let period = (now - entry.offset).div_euclid(entry.every);
            let at_start = starting && entry.at_start;
            let is_new = seen.get(entry.name) != Some(&period);
            let busy = running.get(entry.name).is_some_and(|job| !job.is_finished());
            if !(is_new || at_start) || busy {
                continue;
            }
            let key = if at_start {
                (format!("{}@start", entry.name), now.div_euclid(START_WINDOW))
            } else {
                (entry.name.to_owned(), period)
            };
            match schedule::take(&context.db, &key.0, key.1, &context.owner, now).await {
                Ok(taken) => {
                    seen.insert(entry.name, period);
                    if taken {
                        running.insert(entry.name, tokio::spawn(run_once(Arc::clone(&context), entry, key)));
                    }
                }
                Err(error) => tracing::warn!(job = entry.name, %error, "the timetable cannot be read"),
            }
        }
        starting = false;
    }
    for (_, job) in running {
        job.abort();
    }
}

async fn run_once(context: Arc<Context>, entry: &'static Entry, key: (String, i64)) {
    let outcome = (entry.job)(Arc::clone(&context)).await;
    let label = if outcome.is_ok() { "ok" } else { "failed" };
    metrics::counter!("overseas_scheduled_runs_total", "job" => entry.name, "outcome" => label).increment(1);
    let message = match outcome {
        Ok(said) if said.is_empty() => None,
        Ok(said) => Some(said),
        Err(error) => {
            tracing::warn!(job = entry.name, error, "a scheduled job failed; it runs again in its next period");
            Some(error)
        }
    };
    if let Err(error) = schedule::finish(&context.db, &key.0, key.1, message.as_deref(), context.clock.now()).await {
        tracing::warn!(job = entry.name, %error, "the end of a scheduled job could not be noted");
    }
}
