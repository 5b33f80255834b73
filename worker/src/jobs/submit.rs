//! Handing queued tasks to the vendor.
//!
//! A round claims due tasks under a lease, groups them by property, makes one call for each group and
//! records each acceptance at once, so a crash repeats at most the calls that were under way. A vendor
//! that slows us down or refuses the credentials stops the round; a failing property only postpones
//! its own tasks. Woken by refresh and preload messages and by the sweep.

use crate::account::Account;
use crate::context::{Context, new_owner};
use crate::jobs::plan::{Group, Pending, plan};
use crate::jobs::poll;
use crate::reconcile::{Next, Reconciler};
use async_trait::async_trait;
use futures::StreamExt;
use overseas_shared::cdn::{Action, CdnError, PropertyAddress};
use overseas_shared::db::submission::NewSubmission;
use overseas_shared::db::task::{Claim, ClaimedTask};
use overseas_shared::db::{DbError, catalogue, submission, task};
use overseas_shared::domain::task::back_off;
use overseas_shared::domain::{Kind, PurgeUrl, State, Step};
use overseas_shared::queue::WakeKind;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// Most tasks of one claim.
const TASKS: u64 = 1000;
/// Most URLs of one claim; with the longest URLs some 6 MB.
const URLS: u32 = 3000;
/// After so many calls for one property the vendor is asked about it, because it lists only the last hundred.
const CALLS_BETWEEN_LOOKS: u32 = 40;
/// The first look at a request comes this soon after it was accepted.
const FIRST_LOOK: i64 = 1_500;

/// Requests that the log lines of one call name.
const MOST_NAMED: usize = 20;

/// The job for one account and kind.
pub struct Submit {
    context: Arc<Context>,
    account: Arc<Account>,
    kind: Kind,
    /// Rounds in a row in which no call succeeded.
    fruitless: AtomicU32,
}

/// What became of the tasks of a group.
enum Outcome {
    Accepted,
    /// They were not handed over because the round was stopped.
    NotTried,
    Failed(CdnError),
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
                    pending.push(Pending { task_id: row.id.clone(), property_id: row.property_id, urls, handed_over });
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
    async fn hand_over(&self, round: &Round<'_>, groups: Vec<Group>) -> Result<(), DbError> {
        let most = usize::try_from(self.account.config.max_concurrency).unwrap_or(1).max(1);
        let mut waiting = groups;
        while !waiting.is_empty() {
            let mut outcomes = futures::stream::iter(waiting.drain(..).map(|group| async move {
                let outcome = self.call(round, &group).await;
                (group, outcome)
            }))
            .buffer_unordered(most);
            let mut refused_together = Vec::new();
            while let Some((group, outcome)) = outcomes.next().await {
                match outcome? {
                    Outcome::Failed(error) if error.is_final() && group.shares.len() > 1 => {
                        refused_together.push(group)
                    }
                    outcome => round.note(&group, outcome),
                }
            }
            drop(outcomes);
            // One bad URL spoils a request for all: each task gets one of its own, and only the bad one fails.
            waiting.extend(refused_together.iter().flat_map(|group| group.apart(round.pending)));
        }
        Ok(())
    }

    /// One call to the vendor, and its acceptance recorded.
    async fn call(&self, round: &Round<'_>, group: &Group) -> Result<Outcome, DbError> {
        if round.stop.is_cancelled() || round.is_paused() {
            return Ok(Outcome::NotTried);
        }
        let Some(property) = round.properties.get(&group.property_id) else {
            let reason = "the property is gone from the catalogue".to_owned();
            return Ok(Outcome::Failed(CdnError::UnknownProperty(reason)));
        };
        let action = match self.kind {
            Kind::Refresh => Action::Refresh,
            Kind::Preload => Action::Preload,
        };
        // Whatever is said during the call, by whomever, carries the requests that it is made for.
        let span = tracing::info_span!(
            "submit",
            cdn = self.account.name,
            property = property.name,
            request_ids = round.request_ids(group)
        );
        let call = self.account.client.submit(property, action, &group.urls);
        let accepted = match call.instrument(span).await {
            Ok(accepted) => accepted,
            Err(error) => {
                round.note_pause(&error);
                return Ok(Outcome::Failed(error));
            }
        };
        let now = self.context.clock.now();
        let new = NewSubmission {
            cdn_id: self.account.id,
            property_id: group.property_id,
            vendor_id: &accepted.vendor_id,
            shares: &group.shares,
            now,
            first_poll_at: now + FIRST_LOOK,
        };
        let ours = submission::record(&self.context.db, round.owner, &new).await?;
        if ours < group.shares.len() {
            tracing::warn!(
                cdn = self.account.name,
                vendor_id = accepted.vendor_id,
                lost = group.shares.len() - ours,
                "the lease of some tasks ran out during the call; they will be handed over again"
            );
        }
        self.measure(round, group, now);
        if round.count_call(group.property_id) {
            poll::ask(&self.context, &self.account, group.property_id, round.stop).await?;
        }
        Ok(Outcome::Accepted)
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
        let mut alike: BTreeMap<(i64, String), Vec<String>> = BTreeMap::new();
        let mut untouched = Vec::new();
        let failures = round.take_failures();
        for task in round.claimed {
            let Some(outcome) = failures.get(&task.id) else { continue };
            let ids = std::slice::from_ref(&task.id);
            let Some(error) = outcome else {
                untouched.push(task.id.clone());
                continue;
            };
            let message = error.to_string();
            let wait = error.account_pause().map_or_else(
                || back_off(task.attempts + 1, rand::random()),
                |pause| i64::try_from(pause.as_millis()).unwrap_or(i64::MAX),
            );
            if error.is_final() {
                self.end(ids, round.owner, State::Failed, &message).await?;
            } else if now - task.created_at >= give_up {
                let message = format!("given up after {} h; the last try: {message}", give_up / 3_600_000);
                self.end(ids, round.owner, State::Expired, &message).await?;
            } else {
                alike.entry((now + wait, format!("waiting: {message}"))).or_default().push(task.id.clone());
            }
        }
        for ((due_at, message), ids) in alike {
            metrics::counter!("overseas_task_retries_total", "cdn" => self.account.name.clone(), "kind" => self.kind.as_str())
                .increment(ids.len() as u64);
            task::postpone(&self.context.db, &ids, round.owner, &message, due_at).await?;
        }
        task::release(&self.context.db, &untouched, round.owner, now).await
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
        let pending = self.pending(&claimed, &owner).await?;
        let ids: Vec<i64> = pending.iter().map(|task| task.property_id).collect();
        let rows = catalogue::properties(&self.context.db, &ids).await?;
        let address =
            |row: catalogue::PropertyRow| (row.id, PropertyAddress { vendor_ref: row.vendor_ref, name: row.name });
        let properties = rows.into_iter().map(address).collect();
        let round = Round::new(&owner, &claimed, &pending, properties, stop);
        let groups = plan(&pending, self.account.client.capabilities().urls_per_request);
        let outcome = self.hand_over(&round, groups).await;
        self.settle(&round).await?;
        outcome?;
        self.context.queue.wake(WakeKind::Poll, &self.account.name);
        Ok(self.next(&round))
    }
}

impl Submit {
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

/// What the calls of one round share.
struct Round<'a> {
    owner: &'a str,
    claimed: &'a [ClaimedTask],
    pending: &'a [Pending],
    properties: HashMap<i64, PropertyAddress>,
    stop: &'a CancellationToken,
    state: std::sync::Mutex<RoundState>,
}

#[derive(Default)]
struct RoundState {
    pause: Option<Duration>,
    accepted: bool,
    failed: bool,
    calls: HashMap<i64, u32>,
    /// By task: why, or `None` when it was not tried.
    failures: HashMap<String, Option<CdnError>>,
}

impl<'a> Round<'a> {
    fn new(
        owner: &'a str,
        claimed: &'a [ClaimedTask],
        pending: &'a [Pending],
        properties: HashMap<i64, PropertyAddress>,
        stop: &'a CancellationToken,
    ) -> Self {
        Self { owner, claimed, pending, properties, stop, state: std::sync::Mutex::default() }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, RoundState> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The HTTP requests that a call is made for, the first few of them.
    fn request_ids(&self, group: &Group) -> String {
        let ids: Vec<&str> = group.task_ids().collect();
        let tasks = ids.iter().take(MOST_NAMED).filter_map(|id| self.claimed.iter().find(|task| task.id == *id));
        let mut requests: Vec<&str> = tasks.map(|task| task.request_id.as_str()).collect();
        requests.dedup();
        let more = if ids.len() > MOST_NAMED { " .." } else { "" };
        format!("{}{more}", requests.join(" "))
    }

    fn note(&self, group: &Group, outcome: Outcome) {
        let mut state = self.state();
        let failure = match outcome {
            Outcome::Accepted => {
                state.accepted = true;
                return;
            }
            Outcome::NotTried => None,
            Outcome::Failed(error) => {
                state.failed = true;
                Some(error)
            }
        };
        for id in group.task_ids() {
            let known = state.failures.entry(id.to_owned()).or_default();
            if failure.is_some() {
                known.clone_from(&failure);
            }
        }
    }

    fn note_pause(&self, error: &CdnError) {
        if let Some(pause) = error.account_pause() {
            self.state().pause = Some(pause);
        }
    }

    fn is_paused(&self) -> bool {
        self.state().pause.is_some()
    }

    fn pause(&self) -> Option<Duration> {
        self.state().pause
    }

    /// Whether anything was accepted, or nothing was refused.
    fn succeeded(&self) -> bool {
        let state = self.state();
        state.accepted || !state.failed
    }

    /// Counts a call; true when it is time to look at the property's list.
    fn count_call(&self, property_id: i64) -> bool {
        let mut state = self.state();
        let calls = state.calls.entry(property_id).or_default();
        *calls += 1;
        calls.is_multiple_of(CALLS_BETWEEN_LOOKS)
    }

    fn take_failures(&self) -> HashMap<String, Option<CdnError>> {
        std::mem::take(&mut self.state().failures)
    }
}

/// Renews the lease of claimed tasks until it is dropped.
pub(crate) struct Renewal(tokio::task::JoinHandle<()>);

impl Renewal {
    pub(crate) fn start(context: &Arc<Context>, claimed: &[ClaimedTask], owner: &str) -> Self {
        let ids: Vec<String> = claimed.iter().map(|task| task.id.clone()).collect();
        let (context, owner) = (Arc::clone(context), owner.to_owned());
        let every = Duration::from_secs(u64::from(context.config.worker.lease_seconds)) / 3;
        Self(tokio::spawn(async move {
            loop {
                tokio::time::sleep(every).await;
                if let Err(error) = task::renew(&context.db, &ids, &owner, context.lease_until()).await {
                    tracing::warn!(%error, "a lease could not be renewed");
                }
            }
        }))
    }
}

impl Drop for Renewal {
    fn drop(&mut self) {
        self.0.abort();
    }
}
