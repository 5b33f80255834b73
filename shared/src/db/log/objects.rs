//! What lies in the log store without a day that points to it, what is too old, and the key of download links.
//!
//! A file is noted before it is written and forgotten in the transaction in which a day comes to point to it; a file
//! that is replaced is noted in the same transaction, for those who are still reading it. Called by the log job,
//! housekeeping and the API's start.

use crate::db::{Database, DbError, execute, retrying, row, rows};
use sea_orm::{FromQueryResult, Value};

/// Milliseconds for which a file is kept that no day points to any more.
pub const KEEP_REPLACED: i64 = 24 * 3_600_000;

/// Within a transaction.
pub(super) async fn note(
    db: &Database,
    on: &impl sea_orm::ConnectionTrait,
    object: &str,
    remove_at: i64,
) -> Result<(), DbError> {
    let sql = format!("{} INTO log_object (object, remove_at) VALUES (?, ?)", db.insert_new());
    execute(on, sql, vec![object.into(), remove_at.into()]).await.map(drop)
}

/// Notes a file before it is written, so that it is removed should no day come to point to it.
///
/// # Errors
/// [`DbError`] when the change fails.
pub async fn note_object(db: &Database, object: &str, remove_at: i64) -> Result<(), DbError> {
    retrying(|| note(db, &db.connection, object, remove_at)).await
}

/// Files that no day points to and whose time has come.
///
/// # Errors
/// [`DbError`] when the database cannot be asked.
pub async fn objects_to_remove(db: &Database, now: i64, limit: u64) -> Result<Vec<String>, DbError> {
    #[derive(FromQueryResult)]
    struct Object {
        object: String,
    }
    let sql = "SELECT object FROM log_object WHERE remove_at <= ? ORDER BY remove_at LIMIT ?".to_owned();
    let found: Vec<Object> = rows(&db.connection, sql, vec![now.into(), limit.into()]).await?;
    Ok(found.into_iter().map(|row| row.object).collect())
}

/// Forgets a file that was removed.
///
/// # Errors
/// [`DbError`] when the change fails.
pub async fn forget_object(db: &Database, object: &str) -> Result<(), DbError> {
    let sql = "DELETE FROM log_object WHERE object = ?".to_owned();
    retrying(|| execute(&db.connection, sql.clone(), vec![object.into()])).await.map(drop)
}

/// A day that is older than logs are kept.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct OldDay {
    /// The property.
    pub property_id: i64,
    /// The day.
    pub day: i64,
    /// Its file.
    pub object: Option<String>,
}

/// Days before `first_kept` that have also been here since before `made_before` (UTC milliseconds): what was fetched
/// again by hand is kept as long as anything else.
///
/// # Errors
/// [`DbError`] when the database cannot be asked.
pub async fn old_days(db: &Database, first_kept: i64, made_before: i64, limit: u64) -> Result<Vec<OldDay>, DbError> {
    let sql = "SELECT property_id, CAST(day AS SIGNED) AS day, object FROM log_day \
               WHERE day < ? AND COALESCE(made_at, created_at) < ? ORDER BY day LIMIT ?"
        .to_owned();
    rows(&db.connection, sql, vec![first_kept.into(), made_before.into(), limit.into()]).await
}

/// Deletes the row of a day whose file is removed, unless it has got another file meanwhile.
///
/// # Errors
/// [`DbError`] when the change fails.
pub async fn delete_day(db: &Database, day: &OldDay) -> Result<(), DbError> {
    let sql = "DELETE FROM log_day WHERE property_id = ? AND day = ? AND COALESCE(object, '') = ?".to_owned();
    let object = day.object.as_deref().unwrap_or_default();
    let values: Vec<Value> = vec![day.property_id.into(), day.day.into(), object.into()];
    retrying(|| execute(&db.connection, sql.clone(), values.clone())).await.map(drop)
}

/// The secret that download links are signed with, the same for all processes; made at the first need.
///
/// # Errors
/// [`DbError`] when the database cannot be asked.
pub async fn link_secret(db: &Database) -> Result<[u8; 32], DbError> {
    #[derive(FromQueryResult)]
    struct Key {
        secret: Vec<u8>,
    }
    let fresh: [u8; 32] = rand::random();
    let insert = format!("{} INTO signing_key (name, secret) VALUES ('log', ?)", db.insert_new());
    let select = "SELECT secret FROM signing_key WHERE name = 'log'".to_owned();
    let mut found: Option<Key> = row(&db.connection, select.clone(), vec![]).await?;
    if found.is_none() {
        retrying(|| execute(&db.connection, insert.clone(), vec![fresh.to_vec().into()])).await?;
        found = row(&db.connection, select, vec![]).await?;
    }
    let key = found.and_then(|key| key.secret.try_into().ok());
    key.ok_or_else(|| DbError::Corrupt("the key that log links are signed with".to_owned()))
}
