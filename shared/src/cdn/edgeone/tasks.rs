//! Handing targets over, how far they are, and finding a job whose answer was lost.
//!
//! A call makes one job with one row for each target, and may refuse some of the targets while it takes the others. There
//! is no percentage: a job is as far as the share of its rows that have ended. A state that is not known counts as not
//! ended. Called by `mod.rs`.

use super::wire::{Filter, PrefetchIn, PurgeIn, SubmitOut, TaskRow, TasksIn, TasksOut};
use super::{EdgeOne, Place, read, written};
use crate::cdn::{Accepted, Action, CdnError, FoundRequest, OpenRequest, Progress, QuotaKind, directory};
use crate::domain::{PurgeUrl, UrlFailure};
use std::collections::{BTreeMap, BTreeSet};

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
        let kind = urls.first().map(|url| QuotaKind::of(action, url));
        let kind = kind.ok_or_else(|| CdnError::Rejected("no URL was given".to_owned()))?;
        if urls.iter().any(|url| QuotaKind::of(action, url) != kind) {
            return Err(CdnError::Rejected("objects and directories go in calls of their own".to_owned()));
        }
        let targets: Vec<&str> = urls.iter().map(|url| directory(url).unwrap_or(url.as_str())).collect();
        let encode_url = (!targets.iter().all(|text| text.is_ascii())).then_some(true);
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
        let ahead = self.account.clock_ahead_seconds().unwrap_or(0);
        // Another worker's clock may be ahead of ours.
        let since = since.div_euclid(1000);
        let until = written(self.account.clock().now_seconds().max(since) + ahead + 60);
        let from = written(since + ahead - 1);
        let mut filters = vec![Filter { name: "domains", values: [place.domain] }];
        match kind {
            QuotaKind::RefreshUrl => filters.push(Filter { name: "type", values: ["purge_url"] }),
            QuotaKind::RefreshDirectory => filters.push(Filter { name: "type", values: ["purge_prefix"] }),
            QuotaKind::Preload => {}
        }
        let (start_time, end_time) = (Some(from.as_str()), Some(until.as_str()));
        let query = TasksIn { zone_id: place.zone, start_time, end_time, filters, offset: 0, limit: PAGE };
        let (rows, _) = self.rows("find_submitted", place, kind.action(), query).await?;
        let mut found: BTreeMap<String, (i64, BTreeSet<String>)> = BTreeMap::new();
        for row in rows.into_iter().filter(|row| !row.job_id.is_empty()) {
            let Some(created) = row.create_time.as_deref().and_then(read) else { continue };
            let (accepted_at, urls) = found.entry(row.job_id).or_insert((i64::MAX, BTreeSet::new()));
            *accepted_at = (created - ahead).min(*accepted_at);
            urls.insert(row.target);
        }
        let request = |(vendor_id, (accepted_at, urls))| FoundRequest { vendor_id, accepted_at, urls };
        Ok(found.into_iter().map(request).collect())
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
        let mut rows: Vec<TaskRow> = Vec::new();
        loop {
            let request = TasksIn { offset: rows.len(), ..query.clone() };
            let answer: TasksOut = self.account.call(operation, name, place.domain, &request).await?;
            let (is_last, total) = (answer.tasks.is_empty(), answer.total_count.unwrap_or(0));
            rows.extend(answer.tasks);
            if is_last || rows.len() >= total {
                let total = total.max(rows.len());
                return Ok((rows, total));
            }
            if rows.len() >= MOST_ROWS {
                return Err(CdnError::Unreadable(format!("more than {MOST_ROWS} rows of tasks")));
            }
        }
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

fn has_ended(row: &TaskRow) -> bool {
    let word = row.status.as_deref().map(str::to_ascii_lowercase);
    matches!(word.as_deref(), Some("success" | "failed" | "timeout" | "canceled" | "invalid"))
}

pub(super) fn progress_of(job: &str, rows: &[TaskRow], total: usize) -> Option<Progress> {
    if rows.is_empty() {
        return None;
    }
    // A page may bring a row again that the page before had.
    let mut by_target: BTreeMap<&str, &TaskRow> = BTreeMap::new();
    for row in rows {
        // What has ended since the page before is older than what still runs.
        let known = by_target.entry(row.target.as_str()).or_insert(row);
        if has_ended(known) && !has_ended(row) {
            *known = row;
        }
    }
    let total = total.saturating_sub(rows.len() - by_target.len()).max(1);
    let (mut ended, mut failed_urls) = (0, Vec::new());
    for (target, row) in by_target {
        match row.status.as_deref().map(str::to_ascii_lowercase).as_deref() {
            Some("success") => ended += 1,
            Some(word @ ("failed" | "timeout" | "canceled" | "invalid")) => {
                ended += 1;
                let told = [row.fail_type.as_deref(), row.fail_message.as_deref()].into_iter().flatten();
                let told: Vec<&str> = std::iter::once(word).chain(told).filter(|text| !text.is_empty()).collect();
                failed_urls.push(UrlFailure { url: target.to_owned(), reason: told.join(": ") });
            }
            Some("processing") => {}
            other => tracing::warn!(status = other, job, "a state that is not known; taken for one that runs"),
        }
    }
    let percent = if ended >= total { 100 } else { u8::try_from((ended * 100 / total).min(99)).unwrap_or(99) };
    Some(Progress { vendor_id: job.to_owned(), percent, failure: None, failed_urls })
}
