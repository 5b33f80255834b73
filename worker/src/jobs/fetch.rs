//! Preload where the vendor has no call for it: the worker requests each URL once through the CDN.
//!
//! It begins when the vendor has finished the invalidation, so that what is fetched is fresh. Bodies
//! are streamed and dropped. How far a task has come is written after every few URLs, so a crash
//! repeats only those. A URL that cannot be fetched makes the task fail at the end, with a message
//! that lists it; the others are fetched all the same. Woken by preload messages and by the sweep.

use crate::account::Account;
use crate::context::{Context, new_owner};
use crate::jobs::edge::{EdgeClient, FetchFailure};
use crate::jobs::poll::count_ended;
use crate::jobs::submit::Renewal;
use crate::reconcile::{Next, Reconciler};
use async_trait::async_trait;
use futures::StreamExt;
use overseas_shared::db::task::{Claim, ClaimedTask, FetchProgress, Traces};
use overseas_shared::db::{DbError, task};
use overseas_shared::domain::task::{back_off, percent};
use overseas_shared::domain::{Kind, State, Step};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Requests to the edge at a time.
const AT_A_TIME: usize = 4;
/// URLs between two notes of how far a task has come.
const STRETCH: usize = 16;
/// Tasks of one claim.
const TASKS: u64 = 4;
/// How often a task is tried when the edge does not answer at all.
const TRIES: u32 = 5;

/// The job for one account.
pub struct Fetch {
    context: Arc<Context>,
    account: Arc<Account>,
    edge: Result<EdgeClient, String>,
}

impl Fetch {
    /// The job.
    #[must_use]
    pub fn new(context: &Arc<Context>, account: &Arc<Account>) -> Self {
        let edge = EdgeClient::new(account.config.edge.as_deref(), context.config.tasks.preload_max_bytes);
        Self {
            context: Arc::clone(context),
            account: Arc::clone(account),
            edge: edge.map_err(|error| error.to_string()),
        }
    }

    async fn task(&self, task: &ClaimedTask, owner: &str, stop: &CancellationToken) -> Result<(), DbError> {
        let ids = std::slice::from_ref(&task.id);
        let edge = match &self.edge {
            Ok(edge) => edge,
            Err(reason) => {
                let now = self.context.clock.now();
                return task::end(&self.context.db, ids, owner, State::Failed, reason, now).await;
            }
        };
        let total = task.urls.len();
        let mut done = usize::try_from(task.fetched_count).unwrap_or(total).min(total);
        let mut failures = task.fetch_failures.clone();
        while done < total {
            if stop.is_cancelled() {
                return task::release(&self.context.db, ids, owner, self.context.clock.now(), Traces::None).await;
            }
            let stretch = &task.urls[done..total.min(done + STRETCH)];
            let requests: Vec<_> = stretch.iter().map(|url| edge.fetch(url)).collect();
            let outcomes: Vec<Result<(), FetchFailure>> =
                futures::stream::iter(requests).buffered(AT_A_TIME).collect().await;
            let unreachable = outcomes.iter().find_map(|outcome| match outcome {
                Err(FetchFailure::Unreachable(reason)) => Some(reason.clone()),
                _ => None,
            });
            if let Some(reason) = unreachable.filter(|_| task.attempts + 1 < TRIES) {
                let due_at = self.context.clock.now() + back_off(task.attempts + 1, rand::random());
                let message = format!("waiting: the CDN's edge does not answer: {reason}");
                return task::postpone(&self.context.db, ids, owner, &message, due_at, Traces::None).await;
            }
            for (url, outcome) in stretch.iter().zip(outcomes) {
                if let Err(failure) = outcome {
                    failures.push_str(&format!("{url}: {failure}\n"));
                }
            }
            done += stretch.len();
            if !self.note(task, owner, done, &failures).await? {
                tracing::warn!(task = task.id, "the lease ran out during the fetch; another worker goes on");
                return Ok(());
            }
        }
        if total == 0 {
            self.note(task, owner, done, &failures).await?;
        }
        Ok(())
    }

    /// Writes how far the task is; false when its lease was lost.
    async fn note(&self, task: &ClaimedTask, owner: &str, done: usize, failures: &str) -> Result<bool, DbError> {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let total = count(task.urls.len());
        let end = (done >= task.urls.len()).then(|| {
            let failed = failures.lines().count();
            if failed == 0 {
                (State::Done, None)
            } else {
                let listed: Vec<&str> = failures.lines().take(20).collect();
                let more = if failed > 20 { format!(" and {} more", failed - 20) } else { String::new() };
                let message = format!("{failed} of {total} URLs could not be fetched: {}{more}", listed.join("; "));
                (State::Failed, Some(message))
            }
        });
        // A task that failed stops short of 100: that figure is kept for success.
        let reached = percent(total, &[(total, 100)], Some(count(done)));
        let percent = if matches!(end, Some((State::Failed, _))) { reached.min(99) } else { reached };
        let progress = FetchProgress { fetched_count: count(done), failures: failures.to_owned(), percent, end };
        let now = self.context.clock.now();
        let is_ours = task::note_fetch(&self.context.db, &task.id, owner, &progress, now).await?;
        if let Some((state, _)) = progress.end.filter(|_| is_ours) {
            count_ended(&self.account, Kind::Preload.as_str(), state.as_str(), 1);
        }
        Ok(is_ours)
    }
}

#[async_trait]
impl Reconciler for Fetch {
    fn name(&self) -> String {
        format!("fetch/{}", self.account.name)
    }

    async fn round(&self, stop: &CancellationToken) -> Result<Next, DbError> {
        let owner = new_owner();
        let claim = Claim {
            cdn_id: self.account.id,
            step: Step::Fetch,
            kind: Kind::Preload,
            owner: &owner,
            now: self.context.clock.now(),
            lease_until: self.context.lease_until(),
            tasks: TASKS,
            urls: 1000,
        };
        let claimed = task::claim(&self.context.db, &claim).await?;
        if claimed.is_empty() {
            let due = task::next_due(&self.context.db, self.account.id, Step::Fetch, Kind::Preload).await?;
            return Ok(Next::Due(due));
        }
        let _renewal = Renewal::start(&self.context, &claimed, &owner);
        for task in &claimed {
            self.task(task, &owner, stop).await?;
        }
        Ok(Next::Now)
    }
}
