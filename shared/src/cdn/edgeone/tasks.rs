//! Handing targets over, how far they are, and finding a job whose answer was lost.
//!
//! A call makes one job with one row for each target, and may refuse some of the targets while it takes the others. There
//! is no percentage: a job is as far as the share of its rows that have ended. A state that is not known counts as not
//! ended. Called by `mod.rs`.

use super::wire::{Filter, PrefetchIn, PurgeIn, SubmitOut, TaskRow, TasksIn};
use super::{EdgeOne, Place, read, written};
use crate::cdn::tencent::cloud::{Standing, Targets, progress, requests_of};
use crate::cdn::{Accepted, Action, CdnError, FoundRequest, OpenRequest, Progress, QuotaKind};
use crate::domain::{PurgeUrl, UrlFailure};
use std::collections::BTreeSet;

/// Rows that are asked for at a time, the vendor's most.
const PAGE: usize = 1000;
/// Most rows that are read of one job, or of one search.
const MOST_ROWS: usize = 50_000;

impl EdgeOne {
    /// Hands targets of one kind over.
    pub(super) async fn hand_over(
        &self,
        place: Place<'_>,
        action: Action,
        urls: &[PurgeUrl],
    ) -> Result<Accepted, CdnError> {
        let Targets { kind, texts: targets, encode: encode_url } = Targets::new(action, urls)?;
        let zone_id = place.zone;
        let outcome: Result<SubmitOut, CdnError> = match kind {
            QuotaKind::Preload => {
                let request = PrefetchIn { zone_id, targets, encode_url };
                self.account.call("submit", "CreatePrefetchTask", place.domain, &request).await
            }
            QuotaKind::RefreshUrl | QuotaKind::RefreshDirectory => {
                // All of a directory goes, not only what has changed at the origin.
                let (kind, method) = match kind {
                    QuotaKind::RefreshDirectory => ("purge_prefix", Some("delete")),
                    _ => ("purge_url", None),
                };
                let request = PurgeIn { zone_id, kind, method, targets, encode_url };
                self.account.call("submit", "CreatePurgeTask", place.domain, &request).await
            }
        };
        if matches!(outcome, Err(CdnError::QuotaExhausted { .. } | CdnError::BatchTooLarge(_))) {
            self.remembered(place.zone).forget();
        }
        let accepted = accepted(outcome?, urls.len())?;
        self.remembered(place.zone).spend(urls.len() - accepted.refused.len(), |quota| quota.kind == kind);
        Ok(accepted)
    }

    /// How far a job is; `None` if the vendor does not list it.
    pub(super) async fn job_progress(
        &self,
        place: Place<'_>,
        request: &OpenRequest,
    ) -> Result<Option<Progress>, CdnError> {
        let filters = vec![Filter { name: "job-id", values: [&request.vendor_id] }];
        let query = TasksIn { zone_id: place.zone, start_time: None, end_time: None, filters, offset: 0, limit: PAGE };
        let (rows, total) = self.rows("progress", place, request.action, query).await?;
        Ok(progress_of(&request.vendor_id, &rows, total))
    }

    /// The jobs of a kind that the vendor accepted at `since` (UTC milliseconds) or later.
    pub(super) async fn submitted_since(
        &self,
        place: Place<'_>,
        kind: QuotaKind,
        since: i64,
    ) -> Result<Vec<FoundRequest>, CdnError> {
        let (from, until, ahead) = self.account.span_since(since);
        let (from, until) = (written(from), written(until));
        let mut filters = vec![Filter { name: "domains", values: [place.domain] }];
        match kind {
            QuotaKind::RefreshUrl => filters.push(Filter { name: "type", values: ["purge_url"] }),
            QuotaKind::RefreshDirectory => filters.push(Filter { name: "type", values: ["purge_prefix"] }),
            QuotaKind::Preload => {}
        }
        let (start_time, end_time) = (Some(from.as_str()), Some(until.as_str()));
        let query = TasksIn { zone_id: place.zone, start_time, end_time, filters, offset: 0, limit: PAGE };
        let (rows, _) = self.rows("find_submitted", place, kind.action(), query).await?;
        let row = |row: TaskRow| (row.job_id, row.create_time.as_deref().and_then(read), row.target);
        Ok(requests_of(rows.into_iter().map(row), ahead))
    }

    /// All rows of a query, and how many there are by the vendor's count.
    async fn rows(
        &self,
        operation: &'static str,
        place: Place<'_>,
        action: Action,
        query: TasksIn<'_>,
    ) -> Result<(Vec<TaskRow>, usize), CdnError> {
        let name = match action {
            Action::Refresh => "DescribePurgeTasks",
            Action::Preload => "DescribePrefetchTasks",
        };
        self.account.call_pages(operation, name, place.domain, query, MOST_ROWS).await
    }
}

/// What the vendor took of so many URLs.
fn accepted(answer: SubmitOut, urls: usize) -> Result<Accepted, CdnError> {
    let failures = answer.failed_list.into_iter().flat_map(|failed| {
        let reason = failed.reason;
        failed.targets.into_iter().map(move |url| UrlFailure { url, reason: reason.clone() })
    });
    let refused: Vec<UrlFailure> = failures.collect();
    if refused.len() >= urls {
        let reasons: BTreeSet<&str> = refused.iter().map(|failure| failure.reason.as_str()).collect();
        return Err(CdnError::Rejected(reasons.into_iter().collect::<Vec<_>>().join("; ")));
    }
    let vendor_id = answer.job_id.filter(|id| !id.is_empty());
    let vendor_id = vendor_id.ok_or_else(|| CdnError::Unreadable("it has no JobId".to_owned()))?;
    Ok(Accepted { vendor_id, refused })
}

fn standing(row: &TaskRow) -> Standing {
    match row.status.as_deref().map(str::to_ascii_lowercase).as_deref() {
        Some("success") => Standing::Done,
        Some(word @ ("failed" | "timeout" | "canceled" | "invalid")) => {
            let told = [row.fail_type.as_deref(), row.fail_message.as_deref()].into_iter().flatten();
            let told: Vec<&str> = std::iter::once(word).chain(told).filter(|text| !text.is_empty()).collect();
            Standing::Failed(told.join(": "))
        }
        Some("processing") => Standing::Under(0),
        other => {
            tracing::warn!(status = other, job = row.job_id, "a state that is not known; taken for one that runs");
            Standing::Under(0)
        }
    }
}

pub(super) fn progress_of(job: &str, rows: &[TaskRow], total: usize) -> Option<Progress> {
    progress(job, rows.iter().map(|row| (row.target.as_str(), "", standing(row))), total)
}
