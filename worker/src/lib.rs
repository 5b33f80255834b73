//! The background worker: hands tasks to the vendors, follows them, tells of their ends, keeps the catalogue, cleans up.
//!
//! Each job is a reconciler: it looks at the rows that are due, acts, writes back. It is woken by a
//! message (`monitor`) and by the clock (`reconcile`), so the happy path and the recovery are the same
//! code. Any number of workers may run; rows, leases and periods decide who does what.
//! Called by `overseas worker` and `overseas up`.

mod account;
mod context;
pub mod jobs;
pub mod measure;
pub mod merge;
mod monitor;
mod observed;
pub mod reconcile;
mod schedule;
mod slots;

pub use account::{Account, open_accounts};
pub use context::{Context, new_owner};
pub use slots::SharedGate;

use overseas_shared::queue::WakeKind;
use reconcile::{Reconciler, Signals};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Runs until `stop`; then claims nothing more and gives work in hand its grace period.
pub async fn run(context: Context, stop: CancellationToken) {
    let context = Arc::new(context);
    let tracker = TaskTracker::new();
    let signals = start_reconcilers(&context, &tracker, &stop);
    start_webhooks(&context, &tracker, &stop);
    monitor::start(&context, signals, &tracker, &stop);
    if context.accounts.iter().any(|account| account.has_logs()) {
        let staging = context.config.logs.staging.clone().into();
        tracker.spawn(jobs::logs::staging::run(staging, stop.clone()));
    }
    tracker.spawn(schedule::run(Arc::clone(&context), stop.clone()));
    tracker.spawn(measure::run(Arc::clone(&context), stop.clone()));
    tracker.spawn(observed::run(context.db.clone(), context.accounts.clone(), stop.clone()));
    tracing::info!(worker = context.owner, accounts = context.accounts.len(), "the worker runs");
    stop.cancelled().await;
    tracker.close();
    let grace = Duration::from_secs(u64::from(context.config.worker.grace_seconds));
    if tokio::time::timeout(grace, tracker.wait()).await.is_err() {
        tracing::warn!("work in hand was left to the leases: the grace period is over");
    }
    context.gate.release_all().await;
    tracing::info!("the worker has stopped");
}

/// One loop for each account and kind of work, so that no account and no kind waits for another.
fn start_reconcilers(context: &Arc<Context>, tracker: &TaskTracker, stop: &CancellationToken) -> Signals {
    let mut signals = Signals::default();
    for account in &context.accounts {
        let mut loops: Vec<(WakeKind, Arc<dyn Reconciler>)> = vec![
            (WakeKind::Refresh, Arc::new(jobs::submit::Submit::refresh(context, account))),
            (WakeKind::Preload, Arc::new(jobs::submit::Submit::preload(context, account))),
            (WakeKind::Preload, Arc::new(jobs::fetch::Fetch::new(context, account))),
            (WakeKind::Poll, Arc::new(jobs::poll::Poll::new(context, account))),
        ];
        if account.has_logs() {
            loops.push((WakeKind::LogFetch, Arc::new(jobs::logs::LogFetch::new(context, account))));
        }
        for (kind, job) in loops {
            let woken = signals.add(kind, &account.name);
            let sweep = Duration::from_secs(u64::from(context.config.worker.sweep_seconds));
            tracker.spawn(reconcile::run(job, woken, sweep, context.clock.clone(), stop.clone()));
        }
    }
    signals
}

/// One loop for the messages of all users. It is woken by its own deliveries and by the sweep.
fn start_webhooks(context: &Arc<Context>, tracker: &TaskTracker, stop: &CancellationToken) {
    let woken = Arc::new(Notify::new());
    let job = Arc::new(jobs::webhooks::Webhooks::new(context, tracker, &woken));
    let sweep = Duration::from_secs(u64::from(context.config.worker.sweep_seconds));
    tracker.spawn(reconcile::run(job, woken, sweep, context.clock.clone(), stop.clone()));
}
