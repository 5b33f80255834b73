//! One day of one property: list, fetch, merge into the store, note.
//!
//! The merge blocks, so it runs on a thread of its own; what it makes goes to the store piece by piece, and a store that
//! is slow holds the merge up. Nothing becomes visible before the file is whole and its row is written. The file's
//! name in the store is noted before the first byte, so that a crash at any line leaves nothing for ever.
//! Called by the loop and by `overseas sync-logs`.

use crate::account::Account;
use crate::merge::{self, Files, MergeError, Merged, Settings};
use bytes::Bytes;
use overseas_shared::cdn::{CdnError, DeliveredLogs, LogFile, LogReader, PropertyAddress};
use overseas_shared::clock::Clock;
use overseas_shared::config::Config;
use overseas_shared::db::log::{self, Claimed, Lease, Made, Outcome};
use overseas_shared::db::{Database, DbError};
use overseas_shared::domain::log::{LATE_DAYS, date_of, day_at};
use overseas_shared::log_store::{LogStore, LogStoreError, LogWriter, object_name};
use sha2::{Digest, Sha256};
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

/// Pieces of the result that may wait for the store; each is some hundred kilobytes.
const PIECES: usize = 2;
/// Milliseconds after which a file that no day points to is removed: longer than a merge takes.
const KEEP_UNFINISHED: i64 = 48 * 3_600_000;
/// Milliseconds to the first new try after a failure, and the longest.
const BACK_OFF: (i64, i64) = (60_000, 3_600_000);
/// How long a store may take to end what is under way, and to take back an upload.
const ABORT: Duration = Duration::from_secs(5);
/// Broken files that a message names.
const MOST_NAMED: usize = 5;

/// What work on a day needs.
#[derive(Debug, Clone)]
pub struct LogWork {
    /// The rows.
    pub db: Database,
    /// The time.
    pub clock: Clock,
    /// Where the file goes.
    pub store: LogStore,
    /// A folder for what does not fit into memory and for copies of the vendor's files.
    pub staging: PathBuf,
    /// How long a day is claimed for; renewed three times within it.
    pub lease_milliseconds: i64,
    /// See [`merge_turns`].
    pub merges: Arc<Semaphore>,
}

impl LogWork {
    /// What these settings make of it.
    #[must_use]
    pub fn new(config: &Config, db: Database, clock: Clock, store: LogStore, merges: Arc<Semaphore>) -> Self {
        let lease_milliseconds = i64::from(config.worker.lease_seconds) * 1000;
        Self { db, clock, store, staging: config.logs.staging.clone().into(), lease_milliseconds, merges }
    }
}

/// Turns of the merges in one process: that bounds memory, and a vendor whose files come slowly does not hold up all others.
#[must_use]
pub fn merge_turns() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(2))
}

/// A day that was claimed.
#[derive(Clone, Copy)]
pub struct Claim<'a> {
    /// Whose it is.
    pub account: &'a Account,
    /// The day.
    pub day: &'a Claimed,
    /// The name under which it was claimed.
    pub owner: &'a str,
    /// Whether the file is made anew although nothing seems to have changed.
    pub forced: bool,
}

/// How far the work is, in bytes of the vendor's files.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// Bytes that were read.
    pub read: Arc<AtomicU64>,
    /// Bytes that there are; 0 until they are listed.
    pub total: Arc<AtomicU64>,
}

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
enum MakeError {
    #[error(transparent)]
    Vendor(#[from] CdnError),
    #[error(transparent)]
    Merge(#[from] MergeError),
    #[error(transparent)]
    Store(#[from] LogStoreError),
    #[error(transparent)]
    Database(#[from] DbError),
    #[error("the worker is stopping")]
    Stopping,
}

/// Works on a claimed day and notes what came of it, which is returned. A failure of the vendor, the disk or the store
/// is an outcome; when the lease is lost on the way, the outcome is that of whoever has it now.
///
/// # Errors
/// [`DbError`] when the outcome cannot be noted; then the lease runs out.
pub async fn work_on(
    work: &LogWork,
    claim: Claim<'_>,
    progress: &Progress,
    stop: &CancellationToken,
) -> Result<Outcome, DbError> {
    let begun = Instant::now();
    let cancel = stop.child_token();
    let outcome = {
        let making = make(work, claim, progress, &cancel);
        tokio::pin!(making);
        loop {
            let renewal = tokio::time::sleep(Duration::from_millis(work.lease_milliseconds.unsigned_abs() / 3));
            tokio::select! {
                made = &mut making => break made,
                () = renewal => keep(work, claim, &cancel).await,
            }
        }
    };
    let (cdn, property, date) = (&claim.account.name, &claim.day.property.name, date_of(claim.day.day));
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(_) if cancel.is_cancelled() => Outcome::Released,
        Err(error) => {
            tracing::warn!(cdn, property, %date, %error, attempts = claim.day.attempts + 1, "a day's log could not be made and will be tried again");
            let due_at = work.clock.now() + back_off(claim.day.attempts);
            Outcome::Failed { problem: error.to_string(), due_at }
        }
    };
    let noted = log::finish(&work.db, claim.day, claim.owner, &outcome, work.clock.now()).await?;
    metrics::counter!("overseas_log_days_total", "cdn" => cdn.clone(), "outcome" => label(&outcome)).increment(1);
    if !noted {
        tracing::warn!(cdn, property, %date, "a day's log was taken over by another worker");
    } else if let Outcome::Made(made) = &outcome {
        let Made { files, lines, size, problem, .. } = made;
        tracing::info!(cdn, property, %date, files, lines, size, problem, elapsed = ?begun.elapsed(), "a day's log is made");
    }
    Ok(outcome)
}

fn label(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Made(made) if made.problem.is_some() => "broken",
        Outcome::Made(_) => "made",
        Outcome::Unchanged => "unchanged",
        Outcome::Nothing => "nothing",
        Outcome::Empty => "empty",
        Outcome::Failed { .. } => "failed",
        Outcome::Released => "released",
    }
}

/// A database that is away is no reason to stop: the end is fenced in any case.
async fn keep(work: &LogWork, claim: Claim<'_>, cancel: &CancellationToken) {
    let now = work.clock.now();
    let lease = Lease { owner: claim.owner, now, until: now + work.lease_milliseconds };
    match log::renew(&work.db, claim.day, lease).await {
        Ok(true) => {}
        Ok(false) => cancel.cancel(),
        Err(error) => tracing::warn!(%error, "the lease of a day's log could not be renewed"),
    }
}

fn back_off(attempts: u32) -> i64 {
    let (first, most) = BACK_OFF;
    let pause = first.saturating_mul(1 << attempts.min(10)).min(most);
    pause + rand::random_range(0..=pause / 10)
}

async fn make(
    work: &LogWork,
    claim: Claim<'_>,
    progress: &Progress,
    cancel: &CancellationToken,
) -> Result<Outcome, MakeError> {
    let (day, account) = (claim.day, claim.account);
    let address = PropertyAddress { vendor_ref: day.property.vendor_ref.clone(), name: day.property.name.clone() };
    let staging = work.staging.join(&account.name);
    let listing = account.client.logs(&address, date_of(day.day), &staging);
    let delivered: Arc<dyn DeliveredLogs> = unless(cancel, listing).await.ok_or(MakeError::Stopping)??.into();
    let files = delivered.files();
    if files.is_empty() {
        // What the vendor has taken away since is not taken away from the customer.
        return Ok(match day.object {
            Some(_) => Outcome::Unchanged,
            None if day_at(work.clock.now()) > day.day + LATE_DAYS => Outcome::Empty,
            None => Outcome::Nothing,
        });
    }
    let listing = digest(files);
    let is_same = day.listing.as_deref() == Some(&listing) && day.object.is_some() && day.problem.is_none();
    if is_same && !claim.forced {
        return Ok(Outcome::Unchanged);
    }
    progress.total.store(files.iter().map(|file| file.size).sum(), Ordering::Relaxed);
    unless(cancel, delivered.fetch()).await.ok_or(MakeError::Stopping)??;
    let turn = unless(cancel, work.merges.acquire()).await;
    let _turn = turn.ok_or(MakeError::Stopping)?.map_err(|_| MakeError::Stopping)?;
    let object = object_name(day.property.id, date_of(day.day));
    log::note_object(&work.db, &object, work.clock.now() + KEEP_UNFINISHED).await?;
    let (merged, size, sha256) = write(work, &object, Arc::clone(&delivered), progress, cancel).await?;
    delivered.clean_up().await;
    let problem = problem_of(&merged);
    Ok(Outcome::Made(Made { object, size, lines: merged.lines, sha256, files: files.len(), listing, problem }))
}

/// What waits for a vendor, unless the work is called off meanwhile: a vendor that is slow or silent holds up no stop.
async fn unless<T>(cancel: &CancellationToken, waiting: impl Future<Output = T>) -> Option<T> {
    cancel.run_until_cancelled(waiting).await
}

/// Changes when a file comes, goes or is changed.
fn digest(files: &[LogFile]) -> String {
    let mut sum = Sha256::new();
    for file in files {
        sum.update(format!("{}\0{}\0{}\0", file.name, file.size, file.version));
    }
    hex::encode(sum.finalize())
}

fn problem_of(merged: &Merged) -> Option<String> {
    let mut said: Vec<String> =
        merged.broken.iter().take(MOST_NAMED).map(|(file, reason)| format!("{file} is broken: {reason}")).collect();
    if merged.broken.len() > MOST_NAMED {
        said.push(format!("{} more files are broken", merged.broken.len() - MOST_NAMED));
    }
    if merged.cut_lines > 0 {
        said.push(format!("{} lines were too long and were cut", merged.cut_lines));
    }
    Some(said.join("; ")).filter(|said| !said.is_empty())
}

/// Merges into the store; returns the size and the SHA-256 of what is there then.
async fn write(
    work: &LogWork,
    object: &str,
    delivered: Arc<dyn DeliveredLogs>,
    progress: &Progress,
    cancel: &CancellationToken,
) -> Result<(Merged, u64, String), MakeError> {
    let mut writer = unless(cancel, work.store.writer(object)).await.ok_or(MakeError::Stopping)??;
    let (pieces, mut made) = mpsc::channel::<Bytes>(PIECES);
    let settings = Settings::new(work.staging.join("spill"), delivered.layout());
    let (read, cancelled) = (Arc::clone(&progress.read), cancel.clone());
    let files = Delivered { delivered, handle: Handle::current(), read, cancel: cancel.clone() };
    let merging = tokio::task::spawn_blocking(move || {
        let (mut sum, mut size) = (Sha256::new(), 0_u64);
        let merged = merge::merge(&files, &settings, &cancelled, |piece| {
            sum.update(&piece);
            size += piece.len() as u64;
            pieces.blocking_send(piece.into()).is_ok()
        })?;
        Ok::<_, MergeError>((merged, size, hex::encode(sum.finalize())))
    });
    // A merge that is called off ends, and with it this; a store that falls silent holds it up for a moment only.
    let silence = async {
        cancel.cancelled().await;
        tokio::time::sleep(ABORT).await;
    };
    let written = tokio::select! {
        written = take(&mut writer, &mut made) => Some(written),
        () = silence => None,
    };
    // A merge whose result nobody takes ends at its next piece.
    drop(made);
    let merged = merging.await.unwrap_or_else(|error| {
        Err(MergeError::Source { file: "the merge".to_owned(), error: io::Error::other(error.to_string()) })
    });
    let failed = match (written, merged) {
        (Some(Ok(())), Ok(merged)) => {
            writer.finish().await?;
            return Ok(merged);
        }
        (Some(Err(error)), _) => error.into(),
        (Some(Ok(())), Err(error)) => error.into(),
        (None, _) => MakeError::Stopping,
    };
    // What cannot be taken back in this time goes with the leftovers.
    let _ = tokio::time::timeout(ABORT, writer.abort()).await;
    Err(failed)
}

async fn take(writer: &mut LogWriter, made: &mut mpsc::Receiver<Bytes>) -> Result<(), LogStoreError> {
    while let Some(piece) = made.recv().await {
        writer.write(piece).await?;
    }
    Ok(())
}

/// The vendor's files for the thread that merges.
struct Delivered {
    delivered: Arc<dyn DeliveredLogs>,
    handle: Handle,
    read: Arc<AtomicU64>,
    cancel: CancellationToken,
}

impl Files for Delivered {
    fn count(&self) -> usize {
        self.delivered.files().len()
    }

    fn name(&self, index: usize) -> &str {
        &self.delivered.files()[index].name
    }

    fn open(&self, index: usize) -> io::Result<Box<dyn Read>> {
        let opening = unless(&self.cancel, self.delivered.open(&self.delivered.files()[index]));
        let reader = self.handle.block_on(opening).ok_or_else(called_off)?.map_err(io::Error::other)?;
        let (handle, read, cancel) = (self.handle.clone(), Arc::clone(&self.read), self.cancel.clone());
        Ok(Box::new(Reader { reader, handle, read, cancel }))
    }
}

fn called_off() -> io::Error {
    io::Error::other(MergeError::Cancelled)
}

struct Reader {
    reader: LogReader,
    handle: Handle,
    read: Arc<AtomicU64>,
    cancel: CancellationToken,
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let reading = unless(&self.cancel, self.reader.read(buffer));
        let length = self.handle.block_on(reading).ok_or_else(called_off)??;
        self.read.fetch_add(length as u64, Ordering::Relaxed);
        Ok(length)
    }
}
