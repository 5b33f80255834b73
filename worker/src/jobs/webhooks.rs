//! Deliveries to webhooks: messages of ended tasks, sent and tried again until the receiver has them.
//!
//! One loop for all CDNs. A round claims what is due and starts it, so that it never waits for a receiver; each delivery
//! holds its message by a lease that it renews, and wakes the loop when it has ended. One webhook has few deliveries
//! under way and one that fails has one, so that slow receivers leave most turns to the others. Nobody is woken when a
//! task ends: the sweep of two seconds is soon enough for a message, and Redis is left alone. Also driven by tests.

use crate::context::{Context, new_owner};
use crate::jobs::receiver::{Failure, Sender};
use crate::reconcile::{Next, Reconciler};
use async_trait::async_trait;
use overseas_shared::db::DbError;
use overseas_shared::db::webhook::message::{self, Claim, Claimed, Head, Outcome, Written};
use overseas_shared::domain::webhook::{GIVE_UP_AFTER, back_off, origin};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Deliveries of a worker at a time. One user's webhooks (at most 10) cannot take all of them.
const AT_A_TIME: usize = 48;
/// Deliveries to one webhook at a time.
const EACH: usize = 3;
/// The same for one whose last delivery failed.
const EACH_FAILING: usize = 1;
/// Webhooks that one round looks at, the longest due first; more than can be under way.
const HEADS: u64 = 500;

/// Counts tries, by what came of them.
pub(crate) const DELIVERIES: &str = "overseas_webhook_deliveries_total";

/// The loop.
pub struct Webhooks {
    context: Arc<Context>,
    sender: Result<Arc<Sender>, String>,
    turns: Arc<Turns>,
    tracker: TaskTracker,
}

/// How many deliveries are under way, by webhook.
struct Turns {
    taken: Mutex<HashMap<i64, usize>>,
    woken: Arc<Notify>,
}

/// One delivery that is under way; given back when it is dropped, however it ended.
struct Turn {
    turns: Arc<Turns>,
    webhook_id: i64,
}

impl Turns {
    /// How many more may be started.
    fn free(&self, head: &Head) -> usize {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = taken.values().sum();
        let each = if head.is_failing { EACH_FAILING } else { EACH };
        let own = taken.get(&head.webhook_id).copied().unwrap_or(0);
        each.saturating_sub(own).min(AT_A_TIME.saturating_sub(all))
    }

    fn take(self: &Arc<Self>, webhook_id: i64) -> Turn {
        *self.taken.lock().unwrap_or_else(PoisonError::into_inner).entry(webhook_id).or_default() += 1;
        Turn { turns: Arc::clone(self), webhook_id }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut taken = self.turns.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(number) = taken.get_mut(&self.webhook_id) {
            *number -= 1;
            if *number == 0 {
                taken.remove(&self.webhook_id);
            }
        }
        drop(taken);
        self.turns.woken.notify_one();
    }
}

impl Webhooks {
    /// The loop of a worker. Deliveries run in `tracker`, so that a stop gives them their time; each that ends
    /// wakes `woken`.
    #[must_use]
    pub fn new(context: &Arc<Context>, tracker: &TaskTracker, woken: &Arc<Notify>) -> Self {
        let sender = Sender::new(context.config.webhooks.allow_private);
        Self {
            context: Arc::clone(context),
            sender: sender.map(Arc::new).map_err(|error| error.to_string()),
            turns: Arc::new(Turns { taken: Mutex::default(), woken: Arc::clone(woken) }),
            tracker: tracker.clone(),
        }
    }

    /// Starts what is due and has a turn; returns how many deliveries were started, and when more is due (UTC
    /// milliseconds).
    ///
    /// # Errors
    /// [`DbError`] when rows cannot be read or claimed.
    pub async fn start_due(&self, stop: &CancellationToken) -> Result<(usize, Option<i64>), DbError> {
        let context = &self.context;
        let sender = match &self.sender {
            Ok(sender) => sender,
            Err(reason) => return Err(DbError::Other(format!("webhooks cannot be sent: {reason}"))),
        };
        let (now, mut started) = (context.clock.now(), 0);
        for head in message::heads(&context.db, HEADS).await? {
            if head.due_at > now {
                return Ok((started, Some(head.due_at)));
            }
            let free = self.turns.free(&head);
            if free == 0 || stop.is_cancelled() {
                continue;
            }
            let owner = new_owner();
            let lease_until = context.lease_until();
            let claim = Claim { webhook_id: head.webhook_id, most: free as u64, owner: &owner, now, lease_until };
            for message in message::claim(&context.db, &claim).await? {
                let turn = self.turns.take(message.webhook_id);
                let delivery = Delivery {
                    context: Arc::clone(context),
                    sender: Arc::clone(sender),
                    message,
                    owner: owner.clone(),
                };
                self.tracker.spawn(async move {
                    let _turn = turn;
                    delivery.run().await;
                });
                started += 1;
            }
        }
        Ok((started, None))
    }
}

#[async_trait]
impl Reconciler for Webhooks {
    fn name(&self) -> String {
        "webhooks".to_owned()
    }

    async fn round(&self, stop: &CancellationToken) -> Result<Next, DbError> {
        if stop.is_cancelled() {
            return Ok(Next::Due(None));
        }
        Ok(Next::Due(self.start_due(stop).await?.1))
    }
}

/// One try of one message.
struct Delivery {
    context: Arc<Context>,
    sender: Arc<Sender>,
    message: Claimed,
    owner: String,
}

impl Delivery {
    async fn run(self) {
        let outcome = tokio::select! {
            outcome = self.send() => outcome,
            // Somebody else has it now, or the webhook was removed.
            () = self.keep_lease() => return,
        };
        let webhook = self.message.webhook_id;
        let now = self.context.clock.now();
        match message::finish(&self.context.db, &self.message, &self.owner, &outcome, now).await {
            Ok(Written::Lost) => tracing::debug!(webhook, "the lease of a message was lost; it may be sent again"),
            Ok(written) => self.tell(&outcome, written),
            Err(error) => {
                tracing::warn!(webhook, %error, "what came of a message could not be written; it will be sent again");
            }
        }
    }

    async fn send(&self) -> Outcome {
        let message = &self.message;
        let sent_at = self.context.clock.now();
        let Err(failure) = self.sender.send(message, sent_at.div_euclid(1000)).await else {
            return Outcome::Delivered;
        };
        let now = self.context.clock.now();
        let has_time = now - message.created_at < GIVE_UP_AFTER;
        let due_at = has_time.then(|| now + back_off(message.attempts + 1, rand::random()));
        Outcome::Failed { problem: failure.to_string(), due_at, gone: failure == Failure::Gone }
    }

    /// Renews the lease until it is lost.
    async fn keep_lease(&self) {
        let third = Duration::from_millis(u64::from(self.context.config.worker.lease_seconds) * 1000 / 3);
        loop {
            tokio::time::sleep(third).await;
            let until = self.context.lease_until();
            match message::renew(&self.context.db, &self.message, &self.owner, until).await {
                Ok(true) => {}
                Ok(false) => return,
                // What cannot be renewed now may be the next time; the outcome is fenced all the same.
                Err(error) => tracing::debug!(%error, "the lease of a message could not be renewed"),
            }
        }
    }

    fn tell(&self, outcome: &Outcome, written: Written) {
        let (webhook, place) = (self.message.webhook_id, origin(&self.message.url));
        let label = match outcome {
            Outcome::Delivered => "delivered",
            Outcome::Failed { due_at: Some(_), .. } => "failed",
            Outcome::Failed { due_at: None, .. } => "given_up",
        };
        metrics::counter!(DELIVERIES, "outcome" => label).increment(1);
        if let Outcome::Failed { problem, .. } = outcome {
            let (task, attempts) = (&self.message.task.id, self.message.attempts + 1);
            tracing::info!(webhook, place, task, attempts, problem, outcome = label, "a message was not taken");
        }
        if written == Written::Disabled {
            tracing::warn!(webhook, place, user = self.message.task.login_email, "a webhook was disabled");
        }
    }
}
