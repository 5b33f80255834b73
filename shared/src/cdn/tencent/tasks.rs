//! Handing URLs over, how far they are, and finding a request whose answer was lost.
//!
//! A call has one task id; the vendor lists one row for each URL, and one for each area of a domain that serves
//! everywhere. A preload's row has a percentage, a purge's has none: there it is the share of rows that have ended. The
//! vendor writes `done` and `Done`; a state that is not known counts as not ended. Rows come in pages of a size that the
//! vendor decides on.

use super::Tencent;
use super::cloud::{Standing, Targets, progress, requests_of};
use super::time;
use super::wire::{PurgePathsIn, PurgeUrlsIn, PushUrlsIn, SubmitOut, TaskRow, TasksIn};
use crate::cdn::{Accepted, Action, CdnError, FoundRequest, OpenRequest, Progress, QuotaKind};
use crate::domain::PurgeUrl;

/// Rows that are asked for at a time.
const PAGE: usize = 100;
/// Most rows that are read of one task, or of one search.
const MOST_ROWS: usize = 50_000;
/// Purging a directory takes all of it, not only what has changed at the origin: a customer who purges wants it gone.
const FLUSH_TYPE: &str = "delete";

impl Tencent {
    /// Hands URLs of one kind over.
    pub(super) async fn hand_over(
        &self,
        domain: &str,
        action: Action,
        urls: &[PurgeUrl],
    ) -> Result<Accepted, CdnError> {
        let Targets { kind, texts, encode: url_encode } = Targets::new(action, urls)?;
        let reach = self.domains.of(&self.account, domain).await?.reach;
        let outcome: Result<SubmitOut, CdnError> = match kind {
            QuotaKind::RefreshUrl => {
                let request = PurgeUrlsIn { urls: texts, url_encode };
                self.account.call("submit", "PurgeUrlsCache", domain, &request).await
            }
            QuotaKind::RefreshDirectory => {
                let request = PurgePathsIn { paths: texts, flush_type: FLUSH_TYPE, url_encode };
                self.account.call("submit", "PurgePathCache", domain, &request).await
            }
            QuotaKind::Preload => {
                let request = PushUrlsIn { urls: texts, area: reach.as_str(), url_encode };
                self.account.call("submit", "PushUrlsCache", domain, &request).await
            }
        };
        if matches!(outcome, Err(CdnError::QuotaExhausted { .. } | CdnError::BatchTooLarge(_))) {
            self.quotas.forget();
        }
        let vendor_id = outcome?.task_id.filter(|id| !id.is_empty());
        let vendor_id = vendor_id.ok_or_else(|| CdnError::Unreadable("it has no TaskId".to_owned()))?;
        self.quotas.spend(urls.len(), |quota| quota.kind == kind && reach.areas().contains(&quota.area.as_str()));
        Ok(Accepted { vendor_id, refused: Vec::new() })
    }

    /// How far a task is; `None` if the vendor does not list it.
    pub(super) async fn task_progress(
        &self,
        domain: &str,
        request: &OpenRequest,
    ) -> Result<Option<Progress>, CdnError> {
        let query = TasksIn { task_id: Some(&request.vendor_id), ..TasksIn::default() };
        let (rows, total) = match self.rows("progress", domain, request.action, query).await {
            Ok(found) => found,
            // A task that is not known is one that is not listed.
            Err(CdnError::UnknownProperty(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(progress_of(request, &rows, total))
    }

    /// The requests of a kind that the vendor accepted at `since` (UTC milliseconds) or later.
    pub(super) async fn submitted_since(
        &self,
        domain: &str,
        kind: QuotaKind,
        since: i64,
    ) -> Result<Vec<FoundRequest>, CdnError> {
        let (from, until, ahead) = self.account.span_since(since);
        let (from, until) = (time::written(from), time::written(until));
        let purge_type = match kind {
            QuotaKind::RefreshUrl => Some("url"),
            QuotaKind::RefreshDirectory => Some("path"),
            QuotaKind::Preload => None,
        };
        let (start_time, end_time, keyword) = (Some(from.as_str()), Some(until.as_str()), Some(domain));
        let query = TasksIn { start_time, end_time, keyword, purge_type, ..TasksIn::default() };
        let (rows, _) = self.rows("find_submitted", domain, kind.action(), query).await?;
        let row = |row: TaskRow| (row.task_id, row.create_time.as_deref().and_then(time::read), row.url);
        Ok(requests_of(rows.into_iter().map(row), ahead))
    }

    /// All rows of a query, and how many there are by the vendor's count.
    async fn rows(
        &self,
        operation: &'static str,
        domain: &str,
        action: Action,
        query: TasksIn<'_>,
    ) -> Result<(Vec<TaskRow>, usize), CdnError> {
        let name = match action {
            Action::Refresh => "DescribePurgeTasks",
            Action::Preload => "DescribePushTasks",
        };
        let query = TasksIn { limit: PAGE, ..query };
        self.account.call_pages(operation, name, domain, query, MOST_ROWS).await
    }
}

fn standing(row: &TaskRow, action: Action) -> Standing {
    let percent = || row.percent.filter(|percent| percent.is_finite()).unwrap_or(0.0).clamp(0.0, 99.0);
    match row.status.as_deref().map(str::to_ascii_lowercase).as_deref() {
        Some("done") => Standing::Done,
        Some("fail") => Standing::Failed("the CDN says: fail".to_owned()),
        Some("invalid") => Standing::Failed("the origin answered 4xx or 5xx".to_owned()),
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=99")]
        Some("process") if action == Action::Preload => Standing::Under(percent() as u8),
        Some("process") => Standing::Under(0),
        other => {
            tracing::warn!(status = other, task = row.task_id, "a state that is not known; taken for one that runs");
            Standing::Under(0)
        }
    }
}

/// A URL has a row for each area, which a purge's rows do not name.
fn progress_of(request: &OpenRequest, rows: &[TaskRow], total: usize) -> Option<Progress> {
    let of_url = rows
        .iter()
        .map(|row| (row.url.as_str(), row.area.as_deref().unwrap_or_default(), standing(row, request.action)));
    progress(&request.vendor_id, of_url, total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn row(url: &str, status: &str, percent: Option<f64>) -> TaskRow {
        TaskRow {
            task_id: "t".to_owned(),
            url: url.to_owned(),
            status: Some(status.to_owned()),
            percent,
            area: None,
            create_time: None,
        }
    }

    fn told(action: Action, rows: &[TaskRow], total: usize) -> Option<(u8, usize)> {
        let request = OpenRequest { vendor_id: "t".to_owned(), action };
        progress_of(&request, rows, total).map(|progress| (progress.percent, progress.failed_urls.len()))
    }

    #[test]
    fn a_purge_is_as_far_as_its_rows_and_a_preload_as_their_percentages() {
        let refresh = |rows: &[TaskRow], total| told(Action::Refresh, rows, total);
        assert_eq!(refresh(&[], 0), None);
        assert_eq!(refresh(&[row("a", "process", None), row("b", "done", None)], 2), Some((50, 0)));
        assert_eq!(refresh(&[row("a", "Done", None), row("b", "DONE", None)], 2), Some((100, 0)));
        assert_eq!(refresh(&[row("a", "fail", None), row("b", "done", None)], 2), Some((100, 1)));
        // Rows that the vendor counts and did not send have not ended.
        assert_eq!(refresh(&[row("a", "done", None)], 4), Some((25, 0)));
        // The same row twice is one.
        assert_eq!(refresh(&[row("a", "done", None), row("a", "done", None)], 2), Some((100, 0)));
        // One for each area that does not say which: the URL is as far as the slower one.
        assert_eq!(refresh(&[row("a", "done", None), row("a", "process", None)], 2), Some((0, 0)));
        assert_eq!(refresh(&[row("a", "fail", None), row("a", "done", None)], 2), Some((100, 1)));
        let preload = |rows: &[TaskRow]| told(Action::Preload, rows, rows.len());
        assert_eq!(preload(&[row("a", "process", Some(40.0)), row("b", "Done", Some(100.0))]), Some((70, 0)));
        assert_eq!(preload(&[row("a", "process", Some(100.0))]), Some((99, 0)));
        assert_eq!(preload(&[row("a", "invalid", Some(100.0)), row("b", "done", None)]), Some((100, 1)));
    }

    proptest! {
        #[test]
        fn only_the_words_for_an_end_end_a_task(status in "\\PC{0,12}", percent in proptest::option::of(-1e9f64..1e9)) {
            let ends = matches!(status.to_ascii_lowercase().as_str(), "done" | "fail" | "invalid");
            let (percent, _) = told(Action::Preload, &[row("a", &status, percent)], 1).unwrap();
            prop_assert_eq!(percent == 100, ends);
        }
    }
}
