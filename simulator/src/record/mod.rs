//! The record of all requests: what was asked, how it was answered, and how many were in progress.
//!
//! Memory is bounded: at most `record_limit` entries and 256 MiB of request text are kept, the oldest go first. Counts
//! and peaks go on over what was dropped. An entry gets its number when its answer is ready, with all of its body made,
//! so numbers only grow and a reader who passes the last `next` misses nothing.
//!
//! Written by the simulated servers through [`Recorder::begin`], read through the control endpoints.

mod entry;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

pub use self::entry::{DuplicatePath, Duplicates, RequestEntry, Requests, Summary};
use crate::lock::locked;

/// The most request text that is kept, whatever the number of entries.
const MAX_KEPT_BYTES: usize = 256 << 20;

#[derive(Default)]
struct Inner {
    entries: VecDeque<Arc<RequestEntry>>,
    kept_bytes: usize,
    next: u64,
    in_progress: usize,
    edge_in_progress: usize,
    totals: Summary,
}

/// The record.
pub(crate) struct Recorder {
    limit: usize,
    inner: Mutex<Inner>,
}

impl Recorder {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, inner: Mutex::new(Inner::default()) })
    }

    /// Counts a request as in progress until the guard is finished or dropped.
    pub(crate) fn begin(self: &Arc<Self>, mut entry: RequestEntry) -> InFlight {
        let mut inner = locked(&self.inner);
        entry.concurrent = if entry.operation.is_edge() {
            inner.edge_in_progress += 1;
            let now = inner.edge_in_progress;
            inner.totals.peak_edge_concurrency = inner.totals.peak_edge_concurrency.max(now);
            now
        } else {
            inner.in_progress += 1;
            let now = inner.in_progress;
            inner.totals.peak_concurrency = inner.totals.peak_concurrency.max(now);
            now
        };
        drop(inner);
        InFlight { recorder: Arc::clone(self), entry: Some(entry) }
    }

    fn end(&self, mut entry: RequestEntry) {
        let mut guard = locked(&self.inner);
        let inner = &mut *guard;
        if entry.operation.is_edge() {
            inner.edge_in_progress -= 1;
        } else {
            inner.in_progress -= 1;
        }
        entry.n = inner.next;
        inner.next += 1;
        let totals = &mut inner.totals;
        totals.requests += 1;
        let statuses = totals.operations.entry(entry.operation).or_default();
        *statuses.entry(entry.status.unwrap_or(0)).or_default() += 1;
        if entry.registered {
            totals.paths_invalidated += entry.paths.len() as u64;
        }
        inner.kept_bytes += entry.kept_bytes();
        inner.entries.push_back(Arc::new(entry));
        while inner.entries.len() > self.limit || inner.kept_bytes > MAX_KEPT_BYTES {
            let Some(oldest) = inner.entries.pop_front() else {
                break;
            };
            inner.kept_bytes -= oldest.kept_bytes();
        }
    }

    /// At most `limit` entries from number `since` on.
    pub(crate) fn since(&self, since: u64, limit: usize) -> Requests {
        let inner = locked(&self.inner);
        let first = inner.next - inner.entries.len() as u64;
        let start = usize::try_from(since.saturating_sub(first)).unwrap_or(usize::MAX);
        let requests: Vec<_> = inner.entries.iter().skip(start).take(limit).cloned().collect();
        let next = requests.last().map_or(inner.next, |entry| entry.n + 1);
        Requests { next, requests }
    }

    /// Forgets entries and counts. Numbers go on, so that a reader's `since` stays good.
    pub(crate) fn clear(&self) {
        let mut inner = locked(&self.inner);
        inner.entries.clear();
        inner.kept_bytes = 0;
        inner.totals = Summary {
            peak_concurrency: inner.in_progress,
            peak_edge_concurrency: inner.edge_in_progress,
            ..Summary::default()
        };
    }

    pub(crate) fn summary(&self) -> Summary {
        let (mut summary, entries) = {
            let inner = locked(&self.inner);
            (inner.totals.clone(), inner.entries.clone())
        };
        summary.duplicates = Duplicates::among(entries.iter().map(AsRef::as_ref));
        summary
    }
}

/// A request in progress. Dropped unfinished (a stop, a panic), it is recorded without a status.
/// It owns its way to the record, because a body that is made while it is sent outlives the call that answered.
pub(crate) struct InFlight {
    recorder: Arc<Recorder>,
    entry: Option<RequestEntry>,
}

impl InFlight {
    /// Adds to what the record will say.
    pub(crate) fn note(&mut self, change: impl FnOnce(&mut RequestEntry)) {
        if let Some(entry) = &mut self.entry {
            change(entry);
        }
    }

    /// The answer is ready.
    pub(crate) fn finish(mut self, status: u16) {
        self.note(|entry| entry.status = Some(status));
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if let Some(entry) = self.entry.take() {
            tracing::debug!(
                operation = ?entry.operation,
                property = entry.property,
                status = entry.status,
                fault = entry.fault,
                "request"
            );
            self.recorder.end(entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::Operation;

    fn entry(operation: Operation) -> RequestEntry {
        RequestEntry::new(operation, 1, "GET", "/p", "")
    }

    fn invalidation(recorder: &Arc<Recorder>, property: &str, paths: &[&str], registered: bool) {
        let mut flight = recorder.begin(entry(Operation::Invalidate));
        flight.note(|entry| {
            entry.property = Some(property.to_owned());
            entry.paths = paths.iter().map(|path| (*path).to_owned()).collect();
            entry.registered = registered;
        });
        flight.finish(200);
    }

    #[test]
    fn only_the_newest_entries_are_kept_but_all_are_counted() {
        let recorder = Recorder::new(3);
        for _ in 0..5 {
            recorder.begin(entry(Operation::Key)).finish(200);
        }
        let kept = recorder.since(0, usize::MAX);
        let numbers: Vec<u64> = kept.requests.iter().map(|entry| entry.n).collect();
        assert_eq!(numbers, [2, 3, 4]);
        assert_eq!(recorder.summary().operations[&Operation::Key][&200], 5);
    }

    #[test]
    fn a_reader_pages_through_without_gaps() {
        let recorder = Recorder::new(10);
        for _ in 0..5 {
            recorder.begin(entry(Operation::Key)).finish(200);
        }
        let page = recorder.since(1, 2);
        assert_eq!((page.next, page.requests.len()), (3, 2));
        assert_eq!(recorder.since(page.next, 9).requests[0].n, 3);
        assert_eq!(recorder.since(99, 9).requests.len(), 0);
        recorder.clear();
        recorder.begin(entry(Operation::Key)).finish(200);
        assert_eq!(recorder.since(5, 9).requests[0].n, 5);
    }

    #[test]
    fn requests_in_progress_are_counted_apart_for_vendor_and_edge() {
        let recorder = Recorder::new(10);
        let first = recorder.begin(entry(Operation::Key));
        let edge = recorder.begin(entry(Operation::Edge));
        recorder.begin(entry(Operation::Services)).finish(200);
        edge.finish(200);
        first.finish(200);
        recorder.begin(entry(Operation::Key)).finish(200);
        let counts: Vec<usize> = recorder.since(0, 9).requests.iter().map(|entry| entry.concurrent).collect();
        assert_eq!(counts, [2, 1, 1, 1]);
        let summary = recorder.summary();
        assert_eq!((summary.peak_concurrency, summary.peak_edge_concurrency), (2, 1));
    }

    #[test]
    fn a_request_that_is_dropped_leaves_an_entry_without_a_status() {
        let recorder = Recorder::new(10);
        drop(recorder.begin(entry(Operation::Key)));
        assert_eq!(recorder.since(0, 9).requests[0].status, None);
        recorder.begin(entry(Operation::Key)).finish(200);
        assert_eq!(recorder.summary().peak_concurrency, 1);
    }

    #[test]
    fn duplicates_are_registered_paths_of_one_property() {
        let recorder = Recorder::new(10);
        invalidation(&recorder, "a", &["/1", "/2"], true);
        invalidation(&recorder, "a", &["/2", "/3"], true);
        invalidation(&recorder, "a", &["/3"], false);
        invalidation(&recorder, "b", &["/1"], true);
        let summary = recorder.summary();
        assert_eq!(summary.paths_invalidated, 5);
        assert_eq!(summary.duplicates.count, 1);
        assert_eq!(summary.duplicates.examples[0].path, "/2");
        assert_eq!(summary.duplicates.examples[0].times, 2);
    }
}
