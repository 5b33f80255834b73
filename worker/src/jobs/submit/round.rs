//! What the calls of one round of the submit job share: what was claimed, and what became of it so far.
//!
//! The calls run side by side, so what they note is behind a lock that is never held across an await. Made by the round,
//! read by its settlement.

use crate::jobs::plan::Group;
use overseas_shared::cdn::{CdnError, PropertyAddress, QuotaKind};
use overseas_shared::db::task::{ClaimedTask, Traces};
use std::collections::{HashMap, HashSet};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Requests that the log lines of one call name.
const MOST_NAMED: usize = 20;
/// After so many calls for one property the vendor is asked about it: there is one that lists only the last hundred.
const CALLS_BETWEEN_LOOKS: u32 = 40;

/// What became of the tasks of a group.
pub(super) enum Outcome {
    Accepted,
    /// They were not handed over because the round was stopped.
    NotTried,
    Failed(CdnError),
}

/// What the calls of one round share.
pub(super) struct Round<'a> {
    pub(super) owner: &'a str,
    pub(super) claimed: &'a [ClaimedTask],
    pub(super) properties: HashMap<i64, PropertyAddress>,
    pub(super) stop: &'a CancellationToken,
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
    /// Tasks that the vendor may have without our knowing.
    perhaps: HashSet<String>,
    /// What the vendor takes no more of today.
    exhausted: HashMap<(i64, QuotaKind), CdnError>,
}

impl<'a> Round<'a> {
    pub(super) fn new(
        owner: &'a str,
        claimed: &'a [ClaimedTask],
        properties: HashMap<i64, PropertyAddress>,
        stop: &'a CancellationToken,
    ) -> Self {
        let tried = claimed.iter().filter(|task| task.tried_at.is_some());
        let state = RoundState { perhaps: tried.map(|task| task.id.clone()).collect(), ..RoundState::default() };
        Self { owner, claimed, properties, stop, state: std::sync::Mutex::new(state) }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, RoundState> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The HTTP requests that a call is made for, the first few of them.
    pub(super) fn request_ids(&self, group: &Group) -> String {
        let ids: Vec<&str> = group.task_ids().collect();
        let tasks = ids.iter().take(MOST_NAMED).filter_map(|id| self.claimed.iter().find(|task| task.id == *id));
        let mut requests: Vec<&str> = tasks.map(|task| task.request_id.as_str()).collect();
        requests.dedup();
        let more = if ids.len() > MOST_NAMED { " .." } else { "" };
        format!("{}{more}", requests.join(" "))
    }

    pub(super) fn note(&self, group: &Group, outcome: Outcome) {
        match outcome {
            Outcome::Accepted => self.state().accepted = true,
            Outcome::NotTried => self.put_off(group.task_ids(), None),
            Outcome::Failed(error) => {
                if matches!(error, CdnError::QuotaExhausted { .. }) {
                    self.state().exhausted.insert((group.property_id, group.kind), error.clone());
                }
                self.put_off(group.task_ids(), Some(&error));
            }
        }
    }

    /// Notes that tasks have to come again, and why if they were tried.
    pub(super) fn put_off<'t>(&self, task_ids: impl Iterator<Item = &'t str>, failure: Option<&CdnError>) {
        let mut state = self.state();
        // A quota that is used up says nothing of the vendor, nor of what is counted elsewhere.
        state.failed |= failure.is_some_and(|error| !matches!(error, CdnError::QuotaExhausted { .. }));
        for id in task_ids {
            let known = state.failures.entry(id.to_owned()).or_default();
            if let Some(error) = failure {
                *known = Some(error.clone());
                if error.may_have_acted() {
                    state.perhaps.insert(id.to_owned());
                }
            }
        }
    }

    /// The vendor was asked and has nothing of this task that we do not know.
    pub(super) fn is_known_again(&self, task_id: &str) {
        self.state().perhaps.remove(task_id);
    }

    /// Whether the next try of a task has to look for its request first.
    pub(super) fn traces(&self, task_id: &str) -> Traces {
        if self.state().perhaps.contains(task_id) { Traces::Perhaps } else { Traces::None }
    }

    /// Why nothing more of this kind can be handed over today.
    pub(super) fn exhausted(&self, property_id: i64, kind: QuotaKind) -> Option<CdnError> {
        self.state().exhausted.get(&(property_id, kind)).cloned()
    }

    pub(super) fn note_pause(&self, error: &CdnError) {
        if let Some(pause) = error.account_pause() {
            self.state().pause = Some(pause);
        }
    }

    pub(super) fn is_paused(&self) -> bool {
        self.state().pause.is_some()
    }

    pub(super) fn pause(&self) -> Option<Duration> {
        self.state().pause
    }

    /// Whether anything was accepted, or nothing was refused.
    pub(super) fn succeeded(&self) -> bool {
        let state = self.state();
        state.accepted || !state.failed
    }

    /// Counts a call; true when it is time to look at the property's list.
    pub(super) fn count_call(&self, property_id: i64) -> bool {
        let mut state = self.state();
        let calls = state.calls.entry(property_id).or_default();
        *calls += 1;
        calls.is_multiple_of(CALLS_BETWEEN_LOOKS)
    }

    pub(super) fn take_failures(&self) -> HashMap<String, Option<CdnError>> {
        std::mem::take(&mut self.state().failures)
    }
}
