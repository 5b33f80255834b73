//! Telling the worker that there is work: the only file on this side that names apalis types.
//!
//! The rows are the queue; a message only says "there is work of this kind for this CDN". So a
//! message that is lost, doubled or late changes nothing but the waiting time, which the worker's
//! sweep bounds, and [`Queue::wake`] never waits and never fails. Messages that say the same are sent
//! once, and never more than [`MOST_WAITING`] wait in Redis, however long the workers are away.
//! Called by the purge handlers, the submit and poll jobs, and the worker's monitor (which takes the other end).

use apalis_core::backend::TaskSink;
use apalis_core::backend::memory::{BoxedReceiver, MemorySink, MemoryStorage};
use apalis_core::task::Task;
use apalis_redis::{Config as RedisQueueConfig, RedisStorage};
use futures::channel::mpsc as memory_channel;
use futures::{SinkExt, StreamExt};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;

/// Most messages of one kind that wait in Redis; above it the next is not sent.
pub const MOST_WAITING: u64 = 100;

/// A log filter for what the library says of every lost connection; the worker's monitor says it once.
pub const QUIET_LOGS: &str = "apalis_core=off,apalis_redis=warn";

/// Which work there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WakeKind {
    /// Refresh tasks wait to be handed to a vendor.
    Refresh,
    /// Preload tasks wait to be handed over, or to be fetched.
    Preload,
    /// A vendor should be asked about progress.
    Poll,
    /// A day's access log was asked for.
    LogFetch,
}

impl WakeKind {
    /// All kinds; each has a queue of its own, so that none waits behind another.
    pub const ALL: [Self; 4] = [Self::Refresh, Self::Preload, Self::Poll, Self::LogFetch];

    /// The name of the queue.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refresh => "refresh",
            Self::Preload => "preload",
            Self::Poll => "poll",
            Self::LogFetch => "log-fetch",
        }
    }
}

/// The message.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Wake {
    /// Which work there is.
    pub kind: WakeKind,
    /// For which CDN, by its name.
    pub cdn: String,
}

/// Redis cannot be used as it is configured, or does not answer.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the queue is not available: {0}")]
pub struct QueueError(String);

impl From<redis::RedisError> for QueueError {
    fn from(error: redis::RedisError) -> Self {
        Self(error.to_string())
    }
}

/// The sending end; clones share it.
#[derive(Clone)]
pub struct Queue {
    wakes: mpsc::UnboundedSender<Wake>,
    link: Link,
}

/// Where messages travel.
#[derive(Clone)]
enum Link {
    Redis { connection: ConnectionManager, prefix: String },
    Memory(Arc<MemoryLink>),
}

/// One channel a kind; the sender is replaced when the receiving end is taken anew.
#[derive(Default)]
struct MemoryLink {
    senders: [Mutex<Option<memory_channel::UnboundedSender<Task<Wake>>>>; 4],
}

/// The receiving end for the worker's monitor.
pub enum WakeSource {
    /// Messages in Redis, shared by all workers.
    Redis(Box<RedisStorage<Wake>>),
    /// Messages in this process.
    Memory(MemoryStorage<Wake>),
}

impl Queue {
    /// Opens the queue that `url` names: `memory`, or a Redis. Redis need not answer yet: it is
    /// connected to at the first use and again whenever it has been away.
    ///
    /// # Errors
    /// [`QueueError`] when the address cannot be read.
    pub fn open(url: &str, prefix: &str) -> Result<Self, QueueError> {
        let link = if url == "memory" {
            Link::Memory(Arc::default())
        } else {
            let timing = ConnectionManagerConfig::new()
                .set_response_timeout(Some(Duration::from_secs(5)))
                .set_connection_timeout(Some(Duration::from_secs(5)))
                .set_max_delay(Duration::from_secs(2));
            let connection = redis::Client::open(url)?.get_connection_manager_lazy(timing)?;
            Link::Redis { connection, prefix: prefix.to_owned() }
        };
        let (wakes, waiting) = mpsc::unbounded_channel();
        tokio::spawn(deliver(waiting, link.clone()));
        Ok(Self { wakes, link })
    }

    /// Says that there is work. Returns at once; what cannot be delivered is left to the sweep.
    pub fn wake(&self, kind: WakeKind, cdn: &str) {
        let _ = self.wakes.send(Wake { kind, cdn: cdn.to_owned() });
    }

    /// Whether the queue answers.
    ///
    /// # Errors
    /// [`QueueError`] when it does not within five seconds.
    pub async fn ping(&self) -> Result<(), QueueError> {
        match &self.link {
            Link::Memory(_) => Ok(()),
            Link::Redis { connection, .. } => {
                let mut connection = connection.clone();
                let ping = redis::cmd("PING");
                let answer = ping.query_async::<String>(&mut connection);
                tokio::time::timeout(Duration::from_secs(5), answer)
                    .await
                    .map_err(|_| QueueError("no answer within 5 s".to_owned()))??;
                Ok(())
            }
        }
    }

    /// Whether messages stay in this process.
    #[must_use]
    pub fn is_memory(&self) -> bool {
        matches!(self.link, Link::Memory(_))
    }

    /// The receiving end of one kind; taken anew when a worker is restarted.
    #[must_use]
    pub fn source(&self, kind: WakeKind) -> WakeSource {
        match &self.link {
            Link::Redis { connection, prefix } => WakeSource::Redis(Box::new(
                RedisStorage::new(connection.clone()).with_config(queue_config(prefix, kind)),
            )),
            Link::Memory(link) => {
                let (sender, receiver) = memory_channel::unbounded();
                *link.senders[kind as usize].lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
                // The library wants a sending end too; ours is `MemoryLink`, so nothing is sent here.
                let unused = futures::sink::drain().sink_map_err(|never: std::convert::Infallible| match never {});
                let sink = MemorySink::new(Arc::new(futures::lock::Mutex::new(Box::new(unused))));
                let receiver: BoxedReceiver<Wake> = receiver.boxed();
                WakeSource::Memory(MemoryStorage::new_with(sink, receiver))
            }
        }
    }

    /// Removes what apalis leaves in Redis of finished messages and of workers that are gone.
    ///
    /// # Errors
    /// [`QueueError`] when Redis does not answer.
    pub async fn tidy(&self) -> Result<(), QueueError> {
        let Link::Redis { connection, prefix } = &self.link else { return Ok(()) };
        for kind in WakeKind::ALL {
            let mut storage = RedisStorage::<Wake>::new(connection.clone()).with_config(queue_config(prefix, kind));
            apalis_core::backend::Vacuum::vacuum(&mut storage).await.map_err(|error| QueueError(error.to_string()))?;
            let config = queue_config(prefix, kind);
            let mut connection = connection.clone();
            // Messages say nothing that the rows do not, so ended ones are of no use to anybody.
            let _: () = redis::pipe()
                .del(config.done_jobs_set())
                .del(config.dead_jobs_set())
                .del(config.failed_jobs_set())
                .query_async(&mut connection)
                .await?;
            forget_dead_workers(&mut connection, &config).await?;
        }
        Ok(())
    }
}

/// A worker that has not been heard of for an hour will not come back: its name is never used again.
async fn forget_dead_workers(connection: &mut ConnectionManager, config: &RedisQueueConfig) -> Result<(), QueueError> {
    let script = redis::Script::new(
        "local time = redis.call('TIME') \
         local gone = redis.call('ZRANGEBYSCORE', KEYS[1], 0, time[1] - 3600, 'LIMIT', 0, 1000) \
         for _, worker in ipairs(gone) do \
           redis.call('ZREM', KEYS[1], worker) \
           redis.call('DEL', KEYS[2] .. ':' .. worker, KEYS[1] .. ':' .. worker) \
         end \
         return #gone",
    );
    let _: i64 = script.key(config.workers_set()).key(config.inflight_jobs_set()).invoke_async(connection).await?;
    Ok(())
}

/// Tasks are not locked and fetched one by one, and heartbeats are short: with the defaults a second
/// worker runs live messages again and a restart waits for minutes.
fn queue_config(prefix: &str, kind: WakeKind) -> RedisQueueConfig {
    RedisQueueConfig::default()
        .queue(format!("{prefix}:{}", kind.as_str()))
        .batch_size(1)
        .lock_tasks(false)
        .emit_events(false)
        .heartbeat_interval(Duration::from_secs(5))
        .missed_heartbeats(6)
}

/// Sends what was said, the same thing once, until the last [`Queue`] is gone.
async fn deliver(mut waiting: mpsc::UnboundedReceiver<Wake>, link: Link) {
    let mut said = Vec::new();
    while waiting.recv_many(&mut said, 10_000).await > 0 {
        let distinct: BTreeSet<Wake> = said.drain(..).collect();
        for wake in distinct {
            let outcome = match &link {
                Link::Redis { connection, prefix } => push(connection.clone(), prefix, &wake).await,
                Link::Memory(link) => link.push(wake.clone()),
            };
            match outcome {
                Ok(sent) => metrics::counter!("overseas_wakes_total", "kind" => wake.kind.as_str(), "outcome" => if sent { "sent" } else { "enough" }).increment(1),
                Err(error) => {
                    metrics::counter!("overseas_wakes_total", "kind" => wake.kind.as_str(), "outcome" => "lost").increment(1);
                    tracing::warn!(kind = wake.kind.as_str(), cdn = wake.cdn, %error, "the worker could not be woken; its next sweep finds the work");
                }
            }
        }
    }
}

impl MemoryLink {
    fn push(&self, wake: Wake) -> Result<bool, QueueError> {
        let sender = self.senders[wake.kind as usize].lock().unwrap_or_else(PoisonError::into_inner);
        // Without a worker in this process nobody listens, and another process's sweep finds the rows.
        Ok(sender.as_ref().is_some_and(|sender| sender.unbounded_send(Task::new(wake)).is_ok()))
    }
}

/// Pushes one message unless enough wait already.
async fn push(mut connection: ConnectionManager, prefix: &str, wake: &Wake) -> Result<bool, QueueError> {
    let config = queue_config(prefix, wake.kind);
    let (scheduled, active): (u64, u64) = redis::pipe()
        .zcard(config.scheduled_jobs_set())
        .llen(config.active_jobs_list())
        .query_async(&mut connection)
        .await?;
    if scheduled + active >= MOST_WAITING {
        return Ok(false);
    }
    let mut storage = RedisStorage::<Wake>::new(connection).with_config(config);
    storage.push(wake.clone()).await.map_err(|error| QueueError(error.to_string()))?;
    Ok(true)
}
