//! The loop that every job runs in: a round, then wait for a message, for the next due row, or for the sweep.
//!
//! A round that fails or panics is logged and tried again with a growing pause; it never ends the
//! loop. During a pause that the vendor asked for, messages do not wake it. Called by the worker's start.

use async_trait::async_trait;
use overseas_shared::clock::Clock;
use overseas_shared::db::DbError;
use overseas_shared::queue::{Wake, WakeKind};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// What to do after a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// There is more to do.
    Now,
    /// The next row is due at this time (UTC milliseconds), or none is planned.
    Due(Option<i64>),
    /// Leave the account alone for this long.
    Pause(Duration),
}

/// A job.
#[async_trait]
pub trait Reconciler: Send + Sync {
    /// For log lines and metrics.
    fn name(&self) -> String;

    /// Looks at what is due and acts on a bounded part of it. Should end soon after `stop`.
    ///
    /// # Errors
    /// [`DbError`] when the rows cannot be read or written; what was claimed comes back by its lease.
    async fn round(&self, stop: &CancellationToken) -> Result<Next, DbError>;
}

/// Which loops a message wakes.
#[derive(Default)]
pub(crate) struct Signals {
    loops: HashMap<(WakeKind, String), Vec<Arc<Notify>>>,
}

impl Signals {
    /// A new loop for this kind and CDN.
    pub(crate) fn add(&mut self, kind: WakeKind, cdn: &str) -> Arc<Notify> {
        let woken = Arc::new(Notify::new());
        self.loops.entry((kind, cdn.to_owned())).or_default().push(Arc::clone(&woken));
        woken
    }

    /// Wakes the loops that a message is for; a CDN that this worker does not know is another worker's.
    pub(crate) fn wake(&self, wake: &Wake) {
        for woken in self.loops.get(&(wake.kind, wake.cdn.clone())).into_iter().flatten() {
            woken.notify_one();
        }
    }
}

/// Longest pause after rounds that failed.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Runs a job until `stop`.
pub(crate) async fn run(
    job: Arc<dyn Reconciler>,
    woken: Arc<Notify>,
    sweep: Duration,
    clock: Clock,
    stop: CancellationToken,
) {
    let mut failures = 0_u32;
    // A series that is born with its first event shows no increase.
    for outcome in ["ok", "failed", "panicked"] {
        metrics::counter!("overseas_job_rounds_total", "job" => job.name(), "outcome" => outcome).increment(0);
    }
    metrics::counter!("overseas_job_panics_total", "job" => job.name()).increment(0);
    while !stop.is_cancelled() {
        let (round, stopping) = (Arc::clone(&job), stop.clone());
        // In a task of its own: a panic is an error of this round and not the end of the loop.
        let outcome = tokio::spawn(async move { round.round(&stopping).await }).await;
        let next = match outcome {
            Ok(Ok(next)) => {
                // A round that found nothing to do is no run.
                if matches!(next, Next::Now | Next::Pause(_)) {
                    count(&*job, "ok");
                }
                failures = 0;
                next
            }
            Ok(Err(error)) => {
                failures += 1;
                count(&*job, "failed");
                tracing::warn!(job = job.name(), %error, failures, "a round failed and will be tried again");
                Next::Pause(pause_after(failures))
            }
            Err(error) => {
                failures += 1;
                count(&*job, "panicked");
                metrics::counter!("overseas_job_panics_total", "job" => job.name()).increment(1);
                tracing::error!(job = job.name(), %error, failures, "a round panicked and will be tried again");
                Next::Pause(pause_after(failures))
            }
        };
        let wait = match next {
            Next::Now => continue,
            Next::Pause(pause) => {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(pause) => {}
                }
                continue;
            }
            Next::Due(at) => at.map_or(sweep, |at| until(at, clock.now()).min(sweep)),
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = woken.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

fn count(job: &dyn Reconciler, outcome: &'static str) {
    metrics::counter!("overseas_job_rounds_total", "job" => job.name(), "outcome" => outcome).increment(1);
}

/// Never nothing, so that a row that cannot be claimed does not make the loop spin.
fn until(at: i64, now: i64) -> Duration {
    Duration::from_millis(u64::try_from(at - now).unwrap_or(0).max(20))
}

fn pause_after(failures: u32) -> Duration {
    (Duration::from_millis(250) * 2_u32.pow(failures.min(6))).min(LONGEST_PAUSE)
}
