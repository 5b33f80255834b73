//! Working on a day: claiming it for a while, and writing what came of it.
//!
//! Who claims a day writes its name into the row; what came of the work is written only while the name still stands
//! there. Called by the log job and `sync-logs`.

use super::objects::{KEEP_REPLACED, note};
use crate::db::catalogue::{PropertyRow, properties};
use crate::db::task::cut;
use crate::db::{Database, DbError, execute, retrying, row};
use sea_orm::{FromQueryResult, Value};

/// A day that is being worked on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// The property.
    pub property: PropertyRow,
    /// The day.
    pub day: i64,
    /// Failed tries since the last one that succeeded.
    pub attempts: u32,
    /// The files that the day's file was made of, as a digest.
    pub listing: Option<String>,
    /// The day's file in the store.
    pub object: Option<String>,
    /// Its SHA-256.
    pub sha256: Option<String>,
    /// What was wrong when it was made.
    pub problem: Option<String>,
}

#[derive(FromQueryResult)]
struct ClaimRow {
    property_id: i64,
    day: i64,
    attempts: i32,
    listing: Option<String>,
    object: Option<String>,
    sha256: Option<String>,
    problem: Option<String>,
}

/// Whose the work is from now on, and until when.
#[derive(Debug, Clone, Copy)]
pub struct Lease<'a> {
    /// A name that no other worker has.
    pub owner: &'a str,
    /// Now (UTC milliseconds).
    pub now: i64,
    /// When somebody else may take it.
    pub until: i64,
}

/// Takes the day of a CDN that has been due longest.
///
/// # Errors
/// [`DbError`] when the change fails.
pub async fn claim(db: &Database, cdn_id: i64, lease: Lease<'_>) -> Result<Option<Claimed>, DbError> {
    let condition = "cdn_id = ? AND due_at <= ? ORDER BY due_at LIMIT 1";
    take_where(db, condition, vec![cdn_id.into(), lease.now.into()], lease).await
}

/// Takes this day, due or not, unless somebody works on it.
///
/// # Errors
/// [`DbError`] when the change fails.
pub async fn claim_day(
    db: &Database,
    property_id: i64,
    day: i64,
    lease: Lease<'_>,
) -> Result<Option<Claimed>, DbError> {
    let condition = "property_id = ? AND day = ? AND (lease_owner IS NULL OR due_at IS NULL OR due_at <= ?) LIMIT 1";
    take_where(db, condition, vec![property_id.into(), day.into(), lease.now.into()], lease).await
}

async fn take_where(
    db: &Database,
    condition: &str,
    values: Vec<Value>,
    lease: Lease<'_>,
) -> Result<Option<Claimed>, DbError> {
    retrying(|| async {
        let tx = db.begin().await?;
        // Without the property, whose row would be locked with it.
        let sql = format!(
            "SELECT property_id, CAST(day AS SIGNED) AS day, attempts, listing, object, sha256, problem \
             FROM log_day WHERE {condition}{}",
            db.skip_locked()
        );
        let found: Option<ClaimRow> = row(&tx, sql, values.clone()).await?;
        let Some(found) = found else {
            tx.commit().await?;
            return Ok(None);
        };
        let sql = "UPDATE log_day SET lease_owner = ?, due_at = ? WHERE property_id = ? AND day = ?".to_owned();
        let update = vec![lease.owner.into(), lease.until.into(), found.property_id.into(), found.day.into()];
        execute(&tx, sql, update).await?;
        tx.commit().await?;
        let property = properties(db, &[found.property_id]).await?.pop();
        let property = property.ok_or_else(|| DbError::Corrupt("a day's log without a property".to_owned()))?;
        Ok(Some(Claimed {
            property,
            day: found.day,
            attempts: u32::try_from(found.attempts).unwrap_or(0),
            listing: found.listing,
            object: found.object,
            sha256: found.sha256,
            problem: found.problem,
        }))
    })
    .await
}

/// When the next day of a CDN is due (UTC milliseconds).
///
/// # Errors
/// [`DbError`] when the database cannot be asked.
pub async fn next_due(db: &Database, cdn_id: i64) -> Result<Option<i64>, DbError> {
    #[derive(FromQueryResult)]
    struct Next {
        due_at: Option<i64>,
    }
    let sql = "SELECT MIN(due_at) AS due_at FROM log_day WHERE cdn_id = ?".to_owned();
    let next: Option<Next> = row(&db.connection, sql, vec![cdn_id.into()]).await?;
    Ok(next.and_then(|next| next.due_at))
}

/// Moves the end of a lease; false when it is ours no more.
///
/// # Errors
/// [`DbError`] when the change fails.
pub async fn renew(db: &Database, claimed: &Claimed, lease: Lease<'_>) -> Result<bool, DbError> {
    let sql = "UPDATE log_day SET due_at = ? WHERE property_id = ? AND day = ? AND lease_owner = ?".to_owned();
    let values: Vec<Value> =
        vec![lease.until.into(), claimed.property.id.into(), claimed.day.into(), lease.owner.into()];
    Ok(retrying(|| execute(&db.connection, sql.clone(), values.clone())).await? > 0)
}

/// A file that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Where it lies in the store.
    pub object: String,
    /// Bytes.
    pub size: u64,
    /// Lines.
    pub lines: u64,
    /// SHA-256 in hexadecimal digits.
    pub sha256: String,
    /// How many files of the vendor it was made of.
    pub files: usize,
    /// The digest of the vendor's listing.
    pub listing: String,
    /// What was wrong with the vendor's files.
    pub problem: Option<String>,
}

/// What came of the work on a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// There is a file; the one before it is removed later, for those who are reading it.
    Made(Made),
    /// The file that there is still holds.
    Unchanged,
    /// The vendor has nothing yet.
    Nothing,
    /// The vendor has nothing, and nothing will come.
    Empty,
    /// It did not work.
    Failed {
        /// Why, in words.
        problem: String,
        /// The next try (UTC milliseconds).
        due_at: i64,
    },
    /// The work was called off; somebody else may go on at once.
    Released,
}

/// Writes what came of the work; false when the lease was lost, and then nothing is changed.
///
/// # Errors
/// [`DbError`] when the change fails; then the lease runs out and somebody tries again.
pub async fn finish(
    db: &Database,
    claimed: &Claimed,
    owner: &str,
    outcome: &Outcome,
    now: i64,
) -> Result<bool, DbError> {
    let (changes, mut values): (&str, Vec<Value>) = match outcome {
        Outcome::Made(made) => (
            "state = 'ready', object = ?, size = ?, line_count = ?, sha256 = ?, file_count = ?, listing = ?, problem = ?, made_at = ?, \
             attempts = 0, due_at = NULL",
            vec![
                made.object.as_str().into(),
                signed(made.size).into(),
                signed(made.lines).into(),
                made.sha256.as_str().into(),
                i32::try_from(made.files).unwrap_or(i32::MAX).into(),
                made.listing.as_str().into(),
                made.problem.as_deref().map(cut).into(),
                now.into(),
            ],
        ),
        Outcome::Unchanged => ("attempts = 0, due_at = NULL", vec![]),
        Outcome::Nothing => ("attempts = 0, problem = NULL, due_at = NULL", vec![]),
        Outcome::Empty => ("state = 'empty', attempts = 0, problem = NULL, due_at = NULL", vec![]),
        Outcome::Failed { problem, due_at } => {
            ("attempts = attempts + 1, problem = ?, due_at = ?", vec![cut(problem).into(), (*due_at).into()])
        }
        Outcome::Released => ("due_at = ?", vec![now.into()]),
    };
    let sql = format!(
        "UPDATE log_day SET {changes}, lease_owner = NULL WHERE property_id = ? AND day = ? AND lease_owner = ?"
    );
    values.extend([claimed.property.id.into(), claimed.day.into(), owner.into()]);
    retrying(|| async {
        let tx = db.begin().await?;
        if execute(&tx, sql.clone(), values.clone()).await? == 0 {
            return Ok(false);
        }
        if let Outcome::Made(made) = outcome {
            let forget = "DELETE FROM log_object WHERE object = ?".to_owned();
            execute(&tx, forget, vec![made.object.as_str().into()]).await?;
            if let Some(before) = claimed.object.as_deref().filter(|before| *before != made.object) {
                note(db, &tx, before, now + KEEP_REPLACED).await?;
            }
        }
        tx.commit().await?;
        Ok(true)
    })
    .await
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
