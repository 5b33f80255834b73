//! Handing queued tasks to the vendor.
//!
//! A round claims due tasks under a lease, groups them by property, makes one call for each group and
//! records each acceptance at once, so a crash repeats at most the calls that were under way. A vendor
//! that slows us down or refuses the credentials stops the round; a failing property only postpones
//! its own tasks. A request whose answer was lost is looked for before it is made again (`lost.rs`). Woken by refresh and preload messages and by the sweep.

mod lost;
mod renewal;
mod round;

pub(crate) use renewal::Renewal;

use self::round::{Outcome, Round};
use crate::account::Account;
use crate::context::{Context, new_owner};
use crate::jobs::plan::{Group, Pending, plan};
use crate::jobs::poll;
use crate::reconcile::{Next, Reconciler};
use async_trait::async_trait;
use futures::StreamExt;
use overseas_shared::cdn::{Action, CdnError, PropertyAddress, QuotaKind};
use overseas_shared::db::submission::{NewSubmission, Share};
use overseas_shared::db::task::{Claim, ClaimedTask, Traces};
use overseas_shared::db::{DbError, catalogue, submission, task};
use overseas_shared::domain::task::back_off;
use overseas_shared::domain::{Kind, PurgeUrl, State, Step, UrlFailure, failures_among};
use overseas_shared::queue::WakeKind;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// Most tasks of one claim.
const TASKS: u64 = 1000;
/// Most URLs of one claim; with the longest URLs some 6 MB.
const URLS: u32 = 3000;
/// A vendor may list a request a little later than it accepts it, so one whose answer was lost is not looked for sooner.
const LISTED_AFTER: i64 = 5_000;
/// The first look at a request comes this soon after it was accepted.
const FIRST_LOOK: i64 = 1_500;

/// The job for one account and kind.
pub struct Submit {
    context: Arc<Context>,
    account: Arc<Account>,
    kind: Kind,
    /// Rounds in a row in which no call succeeded.
    fruitless: AtomicU32,
}

impl Submit {
    /// The job that submits refresh tasks.
    #[must_use]
    pub fn refresh(context: &Arc<Context>, account: &Arc<Account>) -> Self {
        Self::new(context, account, Kind::Refresh)
    }

    /// The job that submits preload tasks.
    #[must_use]
    pub fn preload(context: &Arc<Context>, account: &Arc<Account>) -> Self {
        Self::new(context, account, Kind::Preload)
    }

    fn new(context: &Arc<Context>, account: &Arc<Account>, kind: Kind) -> Self {
        let fruitless = AtomicU32::new(0);
        Self { context: Arc::clone(context), account: Arc::clone(account), kind, fruitless }
    }

    async fn claim(&self, owner: &str) -> Result<Vec<ClaimedTask>, DbError> {
        let claim = Claim {
            cdn_id: self.account.id,
            step: Step::Submit,
            kind: self.kind,
            owner,
            now: self.context.clock.now(),
            lease_until: self.context.lease_until(),
            tasks: TASKS,
            urls: URLS,
        };
        task::claim(&self.context.db, &claim).await
    }

    /// The claimed tasks as what is left of them to hand over; those whose rows cannot be read are ended.
    async fn pending(&self, claimed: &[ClaimedTask], owner: &str) -> Result<Vec<Pending>, DbError> {
        let mut pending = Vec::with_capacity(claimed.len());
        for row in claimed {
            let urls: Result<Vec<PurgeUrl>, _> = row.urls.iter().map(|url| PurgeUrl::parse(url)).collect();
            match urls {
                Ok(urls) => {
                    let partly = row.submitted_count > 0;
                    let handed_over =
                        if partly { submission::handed_over(&self.context.db, &row.id).await? } else { Vec::new() };
                    let (task_id, property_id, tried_at) = (row.id.clone(), row.property_id, row.tried_at);
                    pending.push(Pending { task_id, property_id, urls, handed_over, tried_at });
                }
                Err(error) => {
                    let ids = std::slice::from_ref(&row.id);
                    self.end(ids, owner, State::Failed, &error.to_string()).await?;
                }
            }
        }
        Ok(pending)
    }

    async fn end(&self, ids: &[String], owner: &str, state: State, message: &str) -> Result<(), DbError> {
        let now = self.context.clock.now();
        task::end(&self.context.db, ids, owner, state, message, now).await?;
        poll::count_ended(&self.account, self.kind.as_str(), state.as_str(), ids.len() as u64);
        Ok(())
    }

    /// Makes the calls, as many at a time as the account allows.
    async fn hand_over(&self, round: &Round<'_>, pending: &[Pending], groups: Vec<Group>) -> Result<(), DbError> {
        let most = usize::try_from(self.account.config.max_concurrency).unwrap_or(1).max(1);
        let mut waiting = groups;
        while !waiting.is_empty() {
            let mut outcomes = futures::stream::iter(waiting.drain(..).map(|group| async move {
                let outcome = self.call(round, pending, &group).await;
                (group, outcome)
            }))
            .buffer_unordered(most);
            let mut smaller = Vec::new();
            while let Some((group, outcome)) = outcomes.next().await {
                match outcome? {
                    // One bad URL spoils a request for all: each task gets one of its own, and only the bad one fails.
                    Outcome::Failed(error) if error.is_final() && group.shares.len() > 1 => {
                        smaller.extend(group.apart(pending));
                    }
                    Outcome::Failed(CdnError::BatchTooLarge(_)) if group.urls.len() > 1 => {
                        smaller.extend(group.halves(pending));
                    }
                    outcome => round.note(&group, outcome),
                }
            }
            drop(outcomes);
            waiting.extend(smaller);
        }
        Ok(())
    }

    /// One call to the vendor, and its acceptance recorded.
    async fn call(&self, round: &Round<'_>, pending: &[Pending], group: &Group) -> Result<Outcome, DbError> {
        if round.stop.is_cancelled() || round.is_paused() {
            return Ok(Outcome::NotTried);
        }
        if let Some(error) = round.exhausted(group.property_id, group.kind) {
            return Ok(Outcome::Failed(error));
        }
        let Some(property) = round.properties.get(&group.property_id) else {
            let reason = "the property is gone from the catalogue".to_owned();
            return Ok(Outcome::Failed(CdnError::UnknownProperty(reason)));
        };
        // Whatever is said during the call, by whomever, carries the requests that it is made for.
        let span = tracing::info_span!(
            "submit",
            cdn = self.account.name,
            property = property.name,
            request_ids = round.request_ids(group)
        );
        let call = self.account.client.submit(property, self.action(), &group.urls);
        let accepted = match call.instrument(span).await {
            Ok(accepted) => accepted,
            Err(error) => {
                round.note_pause(&error);
                return Ok(Outcome::Failed(error));
            }
        };
        let now = self.context.clock.now();
        let shares = with_failures(&group.shares, pending, &accepted.refused);
        self.record(round, group.property_id, &accepted.vendor_id, &shares, now).await?;
        self.measure(round, group, now);
        if round.count_call(group.property_id) {
            poll::ask(&self.context, &self.account, group.property_id, round.stop).await?;
        }
        Ok(Outcome::Accepted)
    }

    /// Writes that the vendor has a request.
    async fn record(
        &self,
        round: &Round<'_>,
        property_id: i64,
        vendor_id: &str,
        shares: &[Share],
        now: i64,
    ) -> Result<(), DbError> {
        let (cdn_id, first_poll_at) = (self.account.id, now + FIRST_LOOK);
        let new = NewSubmission { cdn_id, property_id, vendor_id, shares, now, first_poll_at };
        let ours = submission::record(&self.context.db, round.owner, &new).await?;
        if ours < shares.len() {
            tracing::warn!(
                cdn = self.account.name,
                vendor_id,
                lost = shares.len() - ours,
                "the lease of some tasks ran out during the call; they will be handed over again"
            );
        }
        Ok(())
    }

    /// How long the tasks waited from their acceptance by us to their acceptance by the vendor.
    fn measure(&self, round: &Round<'_>, group: &Group, now: i64) {
        for id in group.task_ids() {
            if let Some(task) = round.claimed.iter().find(|task| task.id == id) {
                let waited = Duration::from_millis(u64::try_from(now - task.created_at).unwrap_or(0));
                metrics::histogram!("overseas_task_handover_seconds", "cdn" => self.account.name.clone(), "kind" => self.kind.as_str())
                    .record(waited);
                tracing::debug!(
                    cdn = self.account.name,
                    task = id,
                    request_id = task.request_id,
                    ?waited,
                    "handed over"
                );
            }
        }
    }

    /// Writes back what failed or was not tried, once for each task.
    async fn settle(&self, round: &Round<'_>) -> Result<(), DbError> {
        let now = self.context.clock.now();
        let give_up = i64::from(self.context.config.tasks.give_up_hours) * 3_600_000;
        let mut alike: BTreeMap<(i64, String, Traces), Vec<String>> = BTreeMap::new();
        let mut untouched: BTreeMap<Traces, Vec<String>> = BTreeMap::new();
        let failures = round.take_failures();
        for task in round.claimed {
            let Some(outcome) = failures.get(&task.id) else { continue };
            let (ids, traces) = (std::slice::from_ref(&task.id), round.traces(&task.id));
            let Some(error) = outcome else {
                untouched.entry(traces).or_default().push(task.id.clone());
                continue;
            };
            let message = error.to_string();
            let wait = error.retry_after().map_or_else(
                || back_off(task.attempts + 1, rand::random()),
                |pause| i64::try_from(pause.as_millis()).unwrap_or(i64::MAX),
            );
            let is_looked_for = traces == Traces::Perhaps && self.account.client.capabilities().finds_submitted;
            let wait = if is_looked_for { wait.max(LISTED_AFTER) } else { wait };
            if error.is_final() {
                self.end(ids, round.owner, State::Failed, &message).await?;
            } else if now - task.created_at >= give_up {
                let message = format!("given up after {} h; the last try: {message}", give_up / 3_600_000);
                self.end(ids, round.owner, State::Expired, &message).await?;
            } else {
                alike.entry((now + wait, format!("waiting: {message}"), traces)).or_default().push(task.id.clone());
            }
        }
        for ((due_at, message, traces), ids) in alike {
            metrics::counter!("overseas_task_retries_total", "cdn" => self.account.name.clone(), "kind" => self.kind.as_str())
                .increment(ids.len() as u64);
            task::postpone(&self.context.db, &ids, round.owner, &message, due_at, traces).await?;
        }
        for (traces, ids) in untouched {
            task::release(&self.context.db, &ids, round.owner, now, traces).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Reconciler for Submit {
    fn name(&self) -> String {
        format!("submit-{}/{}", self.kind, self.account.name)
    }

    async fn round(&self, stop: &CancellationToken) -> Result<Next, DbError> {
        let owner = new_owner();
        let claimed = self.claim(&owner).await?;
        if claimed.is_empty() {
            let due = task::next_due(&self.context.db, self.account.id, Step::Submit, self.kind).await?;
            return Ok(Next::Due(due));
        }
        let _renewal = Renewal::start(&self.context, &claimed, &owner);
        let mut pending = self.pending(&claimed, &owner).await?;
        let ids: Vec<i64> = pending.iter().map(|task| task.property_id).collect();
        let rows = catalogue::properties(&self.context.db, &ids).await?;
        let address =
            |row: catalogue::PropertyRow| (row.id, PropertyAddress { vendor_ref: row.vendor_ref, name: row.name });
        let properties = rows.into_iter().map(address).collect();
        let round = Round::new(&owner, &claimed, properties, stop);
        let outcome = self.work(&round, &mut pending).await;
        self.settle(&round).await?;
        outcome?;
        self.context.queue.wake(WakeKind::Poll, &self.account.name);
        Ok(self.next(&round))
    }
}

impl Submit {
    async fn work(&self, round: &Round<'_>, pending: &mut Vec<Pending>) -> Result<(), DbError> {
        self.find_lost(round, pending).await?;
        let sizes = self.batch_sizes(round, pending).await;
        let kind = |url: &PurgeUrl| self.account.client.capabilities().kind(self.action(), url);
        let size = |property_id, kind| sizes.get(&(property_id, kind)).copied();
        let groups = plan(pending, kind, size);
        self.hand_over(round, pending, groups).await
    }

    fn action(&self) -> Action {
        self.kind.into()
    }

    /// How many URLs of each kind that is pending a property's request takes. Where that cannot be had, since the vendor
    /// does not answer or takes no more today, the tasks come again for what is left of them, and other kinds go on.
    async fn batch_sizes(&self, round: &Round<'_>, pending: &[Pending]) -> HashMap<(i64, QuotaKind), usize> {
        let mut wanted: BTreeMap<(i64, QuotaKind), Vec<&str>> = BTreeMap::new();
        for task in pending {
            let kind = |url: &PurgeUrl| self.account.client.capabilities().kind(self.action(), url);
            let kinds: BTreeSet<QuotaKind> = task.pieces(kind, |_| usize::MAX).iter().map(|piece| piece.kind).collect();
            for kind in kinds {
                wanted.entry((task.property_id, kind)).or_default().push(&task.task_id);
            }
        }
        let mut sizes = HashMap::new();
        for ((property_id, kind), task_ids) in wanted {
            let size = match round.properties.get(&property_id) {
                Some(property) => self.account.client.batch_size(property, kind).await,
                // The call says what is wrong.
                None => Ok(1),
            };
            match size {
                Ok(size) => drop(sizes.insert((property_id, kind), size)),
                Err(error) => {
                    round.note_pause(&error);
                    round.put_off(task_ids.into_iter(), Some(&error));
                }
            }
        }
        sizes
    }

    fn next(&self, round: &Round<'_>) -> Next {
        if let Some(pause) = round.pause() {
            tracing::warn!(cdn = self.account.name, pause = ?pause, "the vendor has to be left alone for a while");
            return Next::Pause(pause);
        }
        if round.succeeded() {
            self.fruitless.store(0, Ordering::Relaxed);
            return Next::Now;
        }
        // Every call failed: the vendor is probably down, and the other tasks need not find out one by one.
        let times = self.fruitless.fetch_add(1, Ordering::Relaxed).min(5);
        Next::Pause(Duration::from_secs(1 << times))
    }
}

/// The shares, with what their tasks say of URLs that the vendor refused alone.
fn with_failures(shares: &[Share], pending: &[Pending], refused: &[UrlFailure]) -> Vec<Share> {
    let with_failure = |share: &Share| {
        let task = pending.iter().find(|task| task.task_id == share.task_id);
        let urls = task.map(|task| task.part(share.first_url, share.url_count)).unwrap_or_default();
        Share { failure: failures_among(urls.iter().map(PurgeUrl::as_str), refused), ..share.clone() }
    };
    if refused.is_empty() { shares.to_vec() } else { shares.iter().map(with_failure).collect() }
}
