//! Receiving messages: the only file on this side that names apalis types.
//!
//! A message only wakes a loop, so a handler takes microseconds: nothing is in hand at a stop, no
//! heartbeat is missed, and a message that is lost or doubled does no harm. A consumer that ends, as
//! each does when Redis goes away, is made anew under a new name after a pause, for as long as the
//! process runs; apalis' own monitor would end the process, or start it anew without a pause.
//! Called by the worker's start.

use crate::context::{Context, new_owner};
use crate::reconcile::Signals;
use apalis_core::backend::ext::BackendExt;
use apalis_core::backend::ext::poll_strategy::{PollSnapshot, PollStrategy};
use apalis_core::error::WorkerError;
use apalis_core::task::data::Data;
use apalis_core::worker::builder::WorkerBuilder;
use overseas_shared::queue::{Queue, Wake, WakeKind, WakeSource};
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Between the end of a consumer and the next one.
const PAUSE: Duration = Duration::from_millis(500);

/// A look into the queue every so often. The library's own interval arms a new timer without polling
/// it, so that nobody wakes the worker before its next heartbeat when a look ends at once; this one
/// always leaves a waker behind.
struct Ticker(tokio::time::Interval);

impl Ticker {
    fn new(every: Duration) -> Self {
        let mut interval = tokio::time::interval(every);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        Self(interval)
    }
}

impl PollStrategy for Ticker {
    fn poll_drive(&mut self, cx: &mut std::task::Context<'_>, _: &PollSnapshot) -> Poll<Option<()>> {
        ready!(self.0.poll_tick(cx));
        // Polled once more, so that the next tick has a waker.
        while self.0.poll_tick(cx).is_ready() {}
        Poll::Ready(Some(()))
    }
}

async fn receive(wake: Wake, signals: Data<Arc<Signals>>) -> Result<(), Infallible> {
    metrics::counter!("overseas_wakes_received_total", "kind" => wake.kind.as_str()).increment(1);
    signals.wake(&wake);
    Ok(())
}

/// Starts a consumer for each kind of message; they end with `stop`.
pub(crate) fn start(context: &Context, signals: Signals, tracker: &TaskTracker, stop: &CancellationToken) {
    let signals = Arc::new(signals);
    let every = Duration::from_millis(context.config.queue.poll_milliseconds);
    for kind in WakeKind::ALL {
        let (queue, signals, stop) = (context.queue.clone(), Arc::clone(&signals), stop.clone());
        tracker.spawn(async move {
            while !stop.is_cancelled() {
                tokio::select! {
                    () = stop.cancelled() => return,
                    outcome = consume(&queue, kind, &signals, every) => {
                        let reason = outcome.err().map_or_else(|| "it ended".to_owned(), |error| error.to_string());
                        tracing::warn!(kind = kind.as_str(), reason, "the queue's consumer starts anew; sweeps go on meanwhile");
                    }
                }
                tokio::time::sleep(PAUSE).await;
            }
        });
    }
}

/// One life of a consumer.
async fn consume(queue: &Queue, kind: WakeKind, signals: &Arc<Signals>, every: Duration) -> Result<(), WorkerError> {
    let builder = WorkerBuilder::new(format!("{}-{}", kind.as_str(), new_owner()));
    let signals = Arc::clone(signals);
    match queue.source(kind) {
        WakeSource::Redis(storage) => {
            let backend = storage.poll_with_strategy(Ticker::new(every));
            builder.backend(backend).data(signals).build(receive).run().await
        }
        WakeSource::Memory(storage) => builder.backend(storage).data(signals).build(receive).run().await,
    }
}
