//! Asking the vendor how far the requests of a property are: one call, however many tasks.
//!
//! A due property is claimed by moving its due time, so two workers do not ask twice; what the answer
//! means is decided by pure rules and written so that a percentage never falls. Woken by poll messages
//! and by the clock; also called by the submit job when it fills the vendor's list fast.

use crate::account::Account;
use crate::context::Context;
use crate::reconcile::{Next, Reconciler};
use async_trait::async_trait;
use futures::StreamExt;
use overseas_shared::cdn::{CdnError, OpenRequest, PreloadSupport, Progress, ProgressReport, PropertyAddress};
use overseas_shared::db::submission::OpenSubmission;
use overseas_shared::db::{DbError, catalogue, submission};
use overseas_shared::domain::task::{GIVE_UP_LIMIT, Sighting, Verdict, settle};
use overseas_shared::queue::WakeKind;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Most properties of one round.
const PROPERTIES: u64 = 50;
/// Most open requests that are read at a time.
const OPEN: u64 = 2000;

/// The job for one account.
pub struct Poll {
    context: Arc<Context>,
    account: Arc<Account>,
}

impl Poll {
    /// The job.
    #[must_use]
    pub fn new(context: &Arc<Context>, account: &Arc<Account>) -> Self {
        Self { context: Arc::clone(context), account: Arc::clone(account) }
    }

    /// One due property; how long to leave the account alone, if the vendor asked for it.
    async fn property(&self, id: i64, due_at: i64, stop: &CancellationToken) -> Result<Option<Duration>, DbError> {
        let claimed_until = self.context.lease_until();
        if stop.is_cancelled() || !submission::claim_poll(&self.context.db, id, due_at, claimed_until).await? {
            return Ok(None);
        }
        let pause = tokio::select! {
            pause = ask(&self.context, &self.account, id, stop) => pause,
            never = self.keep(id, claimed_until) => match never {},
        };
        let wait = match &pause {
            Ok(Some(pause)) => i64::try_from(pause.as_millis()).unwrap_or(i64::MAX),
            _ => i64::try_from(self.account.config.poll_seconds).unwrap_or(10) * 1000,
        };
        submission::finish_poll(&self.context.db, id, self.context.clock.now() + wait).await?;
        pause
    }
}

impl Poll {
    /// Moves the end of a claim as long as the vendor takes to answer.
    async fn keep(&self, id: i64, mut until: i64) -> std::convert::Infallible {
        let every = Duration::from_secs(u64::from(self.context.config.worker.lease_seconds)) / 3;
        loop {
            tokio::time::sleep(every).await;
            let later = self.context.lease_until();
            match submission::claim_poll(&self.context.db, id, until, later).await {
                Ok(true) => until = later,
                // Another worker asks as well by now, which does no harm.
                Ok(false) => std::future::pending().await,
                Err(error) => tracing::warn!(%error, "the claim of a poll could not be renewed"),
            }
        }
    }
}

#[async_trait]
impl Reconciler for Poll {
    fn name(&self) -> String {
        format!("poll/{}", self.account.name)
    }

    async fn round(&self, stop: &CancellationToken) -> Result<Next, DbError> {
        let now = self.context.clock.now();
        let due = submission::due_polls(&self.context.db, self.account.id, now, PROPERTIES).await?;
        if due.is_empty() {
            return Ok(Next::Due(submission::next_poll(&self.context.db, self.account.id).await?));
        }
        let most = usize::try_from(self.account.config.max_concurrency).unwrap_or(1).max(1);
        let outcomes: Vec<Result<Option<Duration>, DbError>> =
            futures::stream::iter(due.into_iter().map(|(id, due_at)| self.property(id, due_at, stop)))
                .buffer_unordered(most)
                .collect()
                .await;
        let mut pause = None;
        for outcome in outcomes {
            pause = pause.max(outcome?);
        }
        Ok(pause.map_or(Next::Now, Next::Pause))
    }
}

/// Asks about all open requests of a property and writes what follows; returns how long to leave the
/// account alone, if the vendor asked for it.
///
/// # Errors
/// [`DbError`] when the rows cannot be read or written.
pub async fn ask(
    context: &Context,
    account: &Account,
    property_id: i64,
    stop: &CancellationToken,
) -> Result<Option<Duration>, DbError> {
    let open = all_open(context, property_id).await?;
    let found = catalogue::properties(&context.db, &[property_id]).await?;
    let Some(property) = found.into_iter().next().filter(|_| !open.is_empty() && !stop.is_cancelled()) else {
        return Ok(None);
    };
    let address = PropertyAddress { vendor_ref: property.vendor_ref, name: property.name };
    let asked =
        |request: &OpenSubmission| OpenRequest { vendor_id: request.vendor_id.clone(), action: request.kind.into() };
    let requests: Vec<OpenRequest> = open.iter().map(asked).collect();
    let now = context.clock.now();
    let (verdicts, pause) = match account.client.progress(&address, &requests).await {
        Ok(report) => (judge(&open, &report, now), None),
        // A property that the vendor does not know has no requests either: the rules for missing ones apply.
        Err(CdnError::UnknownProperty(_)) => (judge(&open, &ProgressReport::default(), now), None),
        Err(error) => {
            let pause = error.account_pause();
            if pause.is_none() {
                tracing::warn!(cdn = account.name, property = address.name, %error, "the progress could not be read");
            }
            (too_old(&open, now), pause)
        }
    };
    let fetches = account.client.capabilities().preload == PreloadSupport::InvalidateThenFetch;
    let applied = submission::apply(&context.db, property_id, &verdicts, fetches, now).await?;
    for ((kind, state), number) in applied.ended {
        count_ended(account, &kind, state, number);
    }
    if applied.fetch {
        context.queue.wake(WakeKind::Preload, &account.name);
    }
    Ok(pause)
}

/// Counts tasks that have ended.
pub(crate) fn count_ended(account: &Account, kind: &str, state: &'static str, number: u64) {
    let labels = [("cdn", account.name.clone()), ("kind", kind.to_owned()), ("state", state.to_owned())];
    metrics::counter!("overseas_tasks_ended_total", &labels).increment(number);
}

async fn all_open(context: &Context, property_id: i64) -> Result<Vec<OpenSubmission>, DbError> {
    let mut open: Vec<OpenSubmission> = Vec::new();
    loop {
        let after = open.last().map_or(0, |request| request.id);
        let part = submission::open(&context.db, property_id, after, OPEN).await?;
        let more = part.len() as u64 == OPEN;
        open.extend(part);
        if !more {
            return Ok(open);
        }
    }
}

/// The verdicts that change something.
fn judge(open: &[OpenSubmission], report: &ProgressReport, now: i64) -> Vec<(i64, Verdict)> {
    let listed: HashMap<&str, &Progress> =
        report.listed.iter().map(|entry| (entry.vendor_id.as_str(), entry)).collect();
    let finished = |request: &&OpenSubmission| {
        listed.get(request.vendor_id.as_str()).is_some_and(|entry| entry.percent >= 100 && entry.failure.is_none())
    };
    let newest_finished = open.iter().filter(finished).map(|request| request.id).max();
    let sighting = |request: &OpenSubmission| match listed.get(request.vendor_id.as_str()) {
        Some(entry) => Sighting::Listed {
            percent: entry.percent,
            failure: entry.failure.clone(),
            failed_urls: entry.failed_urls.clone(),
        },
        None if report.is_full && newest_finished > Some(request.id) => Sighting::Overtaken,
        None => Sighting::Missing,
    };
    let verdict = |request: &OpenSubmission| {
        let verdict = settle(&request.watched, &sighting(request), now);
        let same = Verdict::Open { percent: request.watched.percent, seen: request.watched.seen };
        (verdict != same).then_some((request.id, verdict))
    };
    open.iter().filter_map(verdict).collect()
}

/// When the vendor cannot be asked, requests still end.
fn too_old(open: &[OpenSubmission], now: i64) -> Vec<(i64, Verdict)> {
    let expired = |request: &&OpenSubmission| now - request.watched.submitted_at >= GIVE_UP_LIMIT;
    let verdict = || Verdict::Expired("the CDN could not be asked about it for three days".to_owned());
    open.iter().filter(expired).map(|request| (request.id, verdict())).collect()
}
