//! Answers that are kept for a day, so that a request with the same `Idempotency-Key` is not done twice.
//!
//! The key is written in the transaction of the request's own rows; of two requests at once with one
//! key the second is refused by the primary key and then reads the first one's answer.
//! Only successes are kept. Called by the purge handlers and housekeeping.

use crate::db::entity::idempotency;
use crate::db::{Database, DbError, execute, retrying};
use sea_orm::ActiveValue::Set;
use sea_orm::{ConnectionTrait, EntityTrait};

/// How long an answer is kept: 24 hours, in milliseconds.
pub const KEPT_FOR: i64 = 24 * 3_600_000;

/// An answer under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Who sent the request.
    pub caller: String,
    /// The key that the caller chose.
    pub key: String,
    /// The SHA-256 of what was asked.
    pub request_hash: [u8; 32],
    /// The body of the answer.
    pub answer: String,
    /// UTC milliseconds.
    pub created_at: i64,
}

/// The answer under this key that is not older than a day.
///
/// # Errors
/// [`DbError`] when the database cannot be asked.
pub async fn find(db: &Database, caller: &str, key: &str, now: i64) -> Result<Option<Kept>, DbError> {
    let id = (caller.to_owned(), key.to_owned());
    let Some(row) = idempotency::Entity::find_by_id(id).one(&db.connection).await? else {
        return Ok(None);
    };
    if row.created_at <= now - KEPT_FOR {
        let sql = "DELETE FROM idempotency WHERE caller = ? AND idempotency_key = ? AND created_at = ?".to_owned();
        execute(&db.connection, sql, vec![caller.into(), key.into(), row.created_at.into()]).await?;
        return Ok(None);
    }
    let request_hash = row.request_hash.try_into().map_err(|_| DbError::Corrupt("idempotency".to_owned()))?;
    Ok(Some(Kept {
        caller: row.caller,
        key: row.idempotency_key,
        request_hash,
        answer: row.answer,
        created_at: row.created_at,
    }))
}

/// Writes an answer under its key.
pub(super) async fn keep(on: &impl ConnectionTrait, kept: &Kept) -> Result<(), DbError> {
    let row = idempotency::ActiveModel {
        caller: Set(kept.caller.clone()),
        idempotency_key: Set(kept.key.clone()),
        request_hash: Set(kept.request_hash.to_vec()),
        answer: Set(kept.answer.clone()),
        created_at: Set(kept.created_at),
    };
    idempotency::Entity::insert(row).exec_without_returning(on).await?;
    Ok(())
}

/// Deletes answers that are older than a day.
///
/// # Errors
/// [`DbError`] when the change fails.
pub async fn sweep(db: &Database, now: i64) -> Result<u64, DbError> {
    let sql = "DELETE FROM idempotency WHERE created_at <= ?".to_owned();
    retrying(|| execute(&db.connection, sql.clone(), vec![(now - KEPT_FOR).into()])).await
}
