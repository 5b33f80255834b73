//! The gauges that are read from rows: open tasks, days of logs, how old usage is, pauses, connections.
//!
//! Every worker reads them for itself every few seconds, so that each tells the truth to whoever asks it, and none is
//! left with figures of long ago. A database that is away leaves them as they were. Started by the worker; tests call it by hand.

use crate::account::Account;
use crate::context::Context;
use overseas_shared::db::{DbError, log, task, usage, webhook};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const EVERY: Duration = Duration::from_secs(15);

/// Measures now and then until `stop`.
pub(crate) async fn run(context: Arc<Context>, stop: CancellationToken) {
    loop {
        measure_all(&context).await;
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// Sets all gauges once.
pub async fn measure_all(context: &Context) {
    for account in &context.accounts {
        if let Err(error) = measure(context, account).await {
            tracing::debug!(cdn = account.name, %error, "the gauges could not be read");
        }
    }
    match webhook::message::waiting(&context.db).await {
        #[expect(clippy::cast_precision_loss, reason = "a gauge")]
        Ok(waiting) => metrics::gauge!("overseas_webhooks_waiting").set(waiting as f64),
        Err(error) => tracing::debug!(%error, "the messages that wait could not be counted"),
    }
    context.db.measure_connections(context.config.database.max_connections);
}

#[expect(clippy::cast_precision_loss, reason = "gauges")]
async fn measure(context: &Context, account: &Account) -> Result<(), DbError> {
    let now = context.clock.now();
    let counts = task::open_counts(&context.db, account.id).await?;
    for state in ["queued", "running"] {
        let found = counts.iter().find(|count| count.state == state);
        let (number, age) =
            found.map_or((0.0, 0.0), |count| (count.number as f64, (now - count.oldest) as f64 / 1000.0));
        let labels = [("cdn", account.name.clone()), ("state", state.to_owned())];
        metrics::gauge!("overseas_tasks", &labels).set(number);
        metrics::gauge!("overseas_task_oldest_age_seconds", &labels).set(age);
    }
    let (missing, broken) = log::open_counts(&context.db, account.id).await?;
    for (state, number) in [("missing", missing), ("broken", broken)] {
        metrics::gauge!("overseas_log_days", "cdn" => account.name.clone(), "state" => state).set(number as f64);
    }
    if let Some(latest) = usage::latest(&context.db, account.id).await? {
        let age = context.clock.now_seconds() - latest;
        metrics::gauge!("overseas_usage_age_seconds", "cdn" => account.name.clone()).set(age as f64);
    }
    let paused = account.seen().paused_until.map_or(0, |until| (until - now).max(0));
    metrics::gauge!("overseas_vendor_paused_seconds", "cdn" => account.name.clone()).set(paused as f64 / 1000.0);
    Ok(())
}
