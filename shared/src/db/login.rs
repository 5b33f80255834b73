//! Attempts to log in: counted before the password is checked, so that a crowd of guesses that arrives at
//! once is held like one that arrives in a row; the count lives in the database and survives restarts.
//!
//! An attempt counts against its account and its address. A login that succeeds takes its own count back:
//! the account's altogether, the address's by one, since others may be guessing from there.
//! Called by the login handler and housekeeping.

use crate::db::audit::{self, NewEntry};
use crate::db::entity::{login_failure, session};
use crate::db::session::TokenHash;
use crate::db::{Database, DbError, execute, retrying, row};
use sea_orm::ActiveValue::Set;
use sea_orm::{DatabaseTransaction, EntityTrait, FromQueryResult};

/// The longest that a login has to wait after failures: 15 minutes.
const LONGEST_PAUSE: i64 = 15 * 60_000;
/// Failures older than this are forgotten: a day.
const MEMORY: i64 = 24 * 3_600_000;

/// What an attempt counts against, and how many failures are free there.
#[derive(Debug, Clone)]
pub struct Subject {
    /// Such as `account:user@example.com` or `address:192.0.2.7`.
    pub name: String,
    /// From this failure on each one doubles the wait: 1 s, 2 s, .. 15 min.
    pub free: u32,
}

/// Whose login this is, and from where.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The account.
    pub account: Subject,
    /// The client's address.
    pub address: Subject,
}

#[derive(FromQueryResult)]
struct Counted {
    failures: i32,
    last_failed_at: i64,
    blocked_until: i64,
}

/// Counts an attempt as failed, unless it has to wait: then nothing is counted and the answer is until when,
/// in UTC milliseconds.
///
/// # Errors
/// [`DbError`] when the change fails.
pub async fn begin(db: &Database, attempt: &Attempt, now: i64) -> Result<Option<i64>, DbError> {
    retrying(|| async {
        let tx = db.begin().await?;
        // Always in this order, so that two attempts do not wait for each other.
        let account = locked(db, &tx, &attempt.account).await?;
        let address = locked(db, &tx, &attempt.address).await?;
        let blocked_until = account.blocked_until.max(address.blocked_until);
        if blocked_until > now {
            tx.rollback().await?;
            return Ok(Some(blocked_until));
        }
        count(&tx, &attempt.account, &account, now).await?;
        count(&tx, &attempt.address, &address, now).await?;
        tx.commit().await?;
        Ok(None)
    })
    .await
}

async fn locked(db: &Database, tx: &DatabaseTransaction, subject: &Subject) -> Result<Counted, DbError> {
    let insert = db.insert_new();
    let sql =
        format!("{insert} INTO login_failure (subject, failures, last_failed_at, blocked_until) VALUES (?, 0, 0, 0)");
    execute(tx, sql, vec![subject.name.as_str().into()]).await?;
    let sql = format!(
        "SELECT failures, last_failed_at, blocked_until FROM login_failure WHERE subject = ?{}",
        db.for_update()
    );
    let found = row(tx, sql, vec![subject.name.as_str().into()]).await?;
    found.ok_or_else(|| DbError::Contended("a count of logins vanished".to_owned()))
}

async fn count(tx: &DatabaseTransaction, subject: &Subject, counted: &Counted, now: i64) -> Result<(), DbError> {
    let before = if counted.last_failed_at < now - MEMORY { 0 } else { counted.failures.max(0) };
    let failures = before.saturating_add(1);
    let over = u32::try_from(failures).unwrap_or(0).checked_sub(subject.free.max(1));
    let blocked_until = over.map_or(0, |over| now + (1_000_i64 << over.min(20)).min(LONGEST_PAUSE));
    let sql = "UPDATE login_failure SET failures = ?, last_failed_at = ?, blocked_until = ? WHERE subject = ?";
    let values = vec![failures.into(), now.into(), blocked_until.into(), subject.name.as_str().into()];
    execute(tx, sql.to_owned(), values).await.map(drop)
}

/// The session of a login that succeeded.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// What is stored of its token.
    pub hash: TokenHash,
    /// Whose it is.
    pub user_id: i64,
    /// UTC milliseconds.
    pub expires_at: i64,
}

/// Stores the session and takes the attempt's count back.
///
/// # Errors
/// [`DbError`] when the change fails; then the attempt stays counted.
pub async fn succeed(db: &Database, attempt: &Attempt, new: &NewSession, entry: &NewEntry) -> Result<(), DbError> {
    retrying(|| async {
        let tx = db.begin().await?;
        let sql = "DELETE FROM login_failure WHERE subject = ?".to_owned();
        execute(&tx, sql, vec![attempt.account.name.as_str().into()]).await?;
        let sql =
            "UPDATE login_failure SET failures = failures - 1, blocked_until = 0 WHERE subject = ? AND failures > 0";
        execute(&tx, sql.to_owned(), vec![attempt.address.name.as_str().into()]).await?;
        let row = session::ActiveModel {
            token_hash: Set(new.hash.to_vec()),
            user_id: Set(new.user_id),
            created_at: Set(entry.at),
            expires_at: Set(new.expires_at),
        };
        session::Entity::insert(row).exec_without_returning(&tx).await?;
        let sql = "UPDATE `user` SET last_login_at = ? WHERE id = ?".to_owned();
        execute(&tx, sql, vec![entry.at.into(), new.user_id.into()]).await?;
        audit::insert(&tx, &[entry]).await?;
        Ok(tx.commit().await?)
    })
    .await
}

/// Deletes counts that are older than a day.
///
/// # Errors
/// [`DbError`] when the change fails.
pub async fn sweep(db: &Database, now: i64) -> Result<u64, DbError> {
    use sea_orm::{ColumnTrait, QueryFilter};
    let old = login_failure::Entity::delete_many().filter(login_failure::Column::LastFailedAt.lt(now - MEMORY));
    Ok(old.exec(&db.connection).await?.rows_affected)
}
