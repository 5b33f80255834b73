//! Daily access logs: which days there are, what is asked for, and when it is due.
//!
//! A row is the work and its result. Claiming one (`work`) moves `due_at` to the end of a lease, as with tasks; every
//! result is fenced by the lease, so a worker that lost it writes nothing. What is written to the store is noted
//! before (`objects`), with a time at which it is removed unless a day points to it by then: neither a crash nor a
//! replaced file leaves anything behind. Called by the log handlers, the log job, housekeeping and `sync-logs`.

mod objects;
mod work;

pub use objects::{
    KEEP_REPLACED, OldDay, delete_day, forget_object, link_secret, note_object, objects_to_remove, old_days,
};
pub use work::{Claimed, Lease, Made, Outcome, claim, claim_day, finish, next_due, renew};

use crate::db::{Database, DbError, execute, marks, retrying, row, rows};
use crate::domain::log::LogState;
use sea_orm::{FromQueryResult, Value};
use std::collections::HashMap;

/// What is known of a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogDay {
    /// `ready`, `queued` or `empty`.
    pub state: LogState,
    /// Where the file lies in the store.
    pub object: Option<String>,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256 in hexadecimal digits.
    pub sha256: String,
    /// When it was made (UTC milliseconds).
    pub made_at: i64,
    /// What was wrong with the vendor's files, or why they could not be read.
    pub problem: Option<String>,
}

#[derive(FromQueryResult)]
struct DayRow {
    property_id: i64,
    day: i64,
    state: String,
    object: Option<String>,
    size: i64,
    sha256: Option<String>,
    made_at: Option<i64>,
    problem: Option<String>,
}

impl DayRow {
    fn into_day(self) -> LogDay {
        let state = match (self.state.as_str(), &self.object) {
            ("ready", Some(_)) => LogState::Ready,
            ("empty", _) => LogState::Empty,
            _ => LogState::Queued,
        };
        LogDay {
            state,
            object: self.object,
            size: u64::try_from(self.size).unwrap_or(0),
            sha256: self.sha256.unwrap_or_default(),
            made_at: self.made_at.unwrap_or(0),
            problem: self.problem,
        }
    }
}

/// What is known of the days from `first` to `last`, both included, by property and day.
///
/// # Errors
/// [`DbError`] when the database cannot be asked.
pub async fn days(
    db: &Database,
    property_ids: &[i64],
    first: i64,
    last: i64,
) -> Result<HashMap<(i64, i64), LogDay>, DbError> {
    let mut found = HashMap::new();
    for chunk in property_ids.chunks(500) {
        let sql = format!(
            "SELECT property_id, CAST(day AS SIGNED) AS day, state, object, size, sha256, made_at, problem FROM log_day \
             WHERE property_id IN ({}) AND day BETWEEN ? AND ?",
            marks(chunk.len())
        );
        let mut values: Vec<Value> = chunk.iter().map(|id| (*id).into()).collect();
        values.extend([first.into(), last.into()]);
        let part: Vec<DayRow> = rows(&db.connection, sql, values).await?;
        found.extend(part.into_iter().map(|row| ((row.property_id, row.day), row.into_day())));
    }
    Ok(found)
}

/// A day of a property at a CDN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Asked {
    /// The property.
    pub property_id: i64,
    /// The CDN.
    pub cdn_id: i64,
    /// The day.
    pub day: i64,
}

/// Milliseconds by which a day that somebody asked for goes before the hourly round, which may be long.
const AHEAD: i64 = 24 * 3_600_000;

/// Puts days on the queue that have no row yet, once however often it is asked; returns how many were new.
///
/// # Errors
/// [`DbError`] when the change fails.
pub async fn ask(db: &Database, asked: &[Asked], now: i64) -> Result<u64, DbError> {
    ask_for(db, asked, now - AHEAD, now).await
}

/// The same for a day that is due at another time (UTC milliseconds).
///
/// # Errors
/// [`DbError`] when the change fails.
pub async fn ask_for(db: &Database, asked: &[Asked], due_at: i64, now: i64) -> Result<u64, DbError> {
    let mut new = 0;
    for chunk in asked.chunks(500) {
        let row = "(?,?,?,'queued',0,0,0,0,?,?),".repeat(chunk.len());
        let sql = format!(
            "{} INTO log_day (property_id, day, cdn_id, state, size, line_count, file_count, attempts, due_at, created_at) VALUES {}",
            db.insert_new(),
            row.trim_end_matches(',')
        );
        let values = chunk
            .iter()
            .flat_map(|asked| {
                [asked.property_id.into(), asked.day.into(), asked.cdn_id.into(), due_at.into(), now.into()]
            })
            .collect::<Vec<Value>>();
        new += retrying(|| execute(&db.connection, sql.clone(), values.clone())).await?;
    }
    Ok(new)
}

/// Makes the recent days of all active properties of a CDN due, those that are made already too (their files may have
/// changed), and older ones that wait for their last look. Days that somebody works on are left alone.
///
/// # Errors
/// [`DbError`] when the change fails.
pub async fn schedule(
    db: &Database,
    cdn_id: i64,
    recent: std::ops::RangeInclusive<i64>,
    now: i64,
) -> Result<u64, DbError> {
    let (first, last) = (*recent.start(), *recent.end());
    for day in recent.clone() {
        // The newest day is the first.
        let due_at = now - (day - first);
        let sql = format!(
            "{} INTO log_day (property_id, day, cdn_id, state, size, line_count, file_count, attempts, due_at, created_at) \
             SELECT p.id, ?, p.cdn_id, 'queued', 0, 0, 0, 0, ?, ? FROM property p \
             WHERE p.cdn_id = ? AND p.caching AND p.active AND p.listed",
            db.insert_new()
        );
        let values: Vec<Value> = vec![day.into(), due_at.into(), now.into(), cdn_id.into()];
        retrying(|| execute(&db.connection, sql.clone(), values.clone())).await?;
    }
    let sql = "UPDATE log_day SET due_at = ? - (day - ?) WHERE cdn_id = ? AND due_at IS NULL \
               AND (day BETWEEN ? AND ? OR (state = 'queued' AND day < ?))"
        .to_owned();
    let values: Vec<Value> = vec![now.into(), first.into(), cdn_id.into(), first.into(), last.into(), first.into()];
    retrying(|| execute(&db.connection, sql.clone(), values.clone())).await
}

/// How many days of a CDN wait for their file, and how many have one that was made of broken files.
///
/// # Errors
/// [`DbError`] when the database cannot be asked.
pub async fn open_counts(db: &Database, cdn_id: i64) -> Result<(i64, i64), DbError> {
    #[derive(FromQueryResult)]
    struct Counts {
        missing: i64,
        broken: i64,
    }
    let sql = "SELECT CAST(COALESCE(SUM(state = 'queued'), 0) AS SIGNED) AS missing, \
               CAST(COALESCE(SUM(state = 'ready' AND problem IS NOT NULL), 0) AS SIGNED) AS broken FROM log_day WHERE cdn_id = ?"
        .to_owned();
    let counts: Option<Counts> = row(&db.connection, sql, vec![cdn_id.into()]).await?;
    Ok(counts.map_or((0, 0), |counts| (counts.missing, counts.broken)))
}
