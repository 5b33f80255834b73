//! Sessions: which token belongs to whom, until when.
//!
//! Only the SHA-256 of a token is stored. A session that is ended raises the epoch, so a logout counts
//! at once on every server; many look-ups share one query ([`find_many`]). Called by login, logout and
//! the check of every request's credential.

use crate::db::account::Role;
use crate::db::entity::session;
use crate::db::{Database, DbError, epoch, execute, marks, retrying, rows};
use crate::domain::EmailAddress;
use sea_orm::ActiveValue::Set;
use sea_orm::{EntityTrait, FromQueryResult};
use std::collections::HashMap;

/// The SHA-256 of a token.
pub type TokenHash = [u8; 32];

/// A session that has not expired, with its user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The user's row.
    pub user_id: i64,
    /// Who it is.
    pub email: EmailAddress,
    /// What it may do at all.
    pub role: Role,
    /// Whether it may refresh and preload.
    pub operate_right: bool,
    /// UTC milliseconds.
    pub expires_at: i64,
}

#[derive(FromQueryResult)]
struct Found {
    token_hash: Vec<u8>,
    expires_at: i64,
    user_id: i64,
    email: String,
    role: String,
    operate_right: bool,
}

/// Stores a session.
///
/// # Errors
/// [`DbError`] when the insert fails.
pub async fn create(db: &Database, hash: &TokenHash, user_id: i64, now: i64, expires_at: i64) -> Result<(), DbError> {
    let row = session::ActiveModel {
        token_hash: Set(hash.to_vec()),
        user_id: Set(user_id),
        created_at: Set(now),
        expires_at: Set(expires_at),
    };
    session::Entity::insert(row).exec_without_returning(&db.connection).await?;
    Ok(())
}

/// The live sessions among these tokens, with one query.
///
/// # Errors
/// [`DbError`] when the database cannot be asked.
pub async fn find_many(db: &Database, hashes: &[TokenHash], now: i64) -> Result<HashMap<TokenHash, Session>, DbError> {
    let sql = format!(
        "SELECT s.token_hash, s.expires_at, u.id AS user_id, u.email, u.role, u.operate_right \
         FROM session s JOIN `user` u ON u.id = s.user_id WHERE s.expires_at > ? AND s.token_hash IN ({})",
        marks(hashes.len())
    );
    let mut values = vec![now.into()];
    values.extend(hashes.iter().map(|hash| hash.to_vec().into()));
    let found: Vec<Found> = rows(&db.connection, sql, values).await?;
    let mut sessions = HashMap::with_capacity(found.len());
    for row in found {
        let corrupt = || DbError::Corrupt("session".to_owned());
        let hash: TokenHash = row.token_hash.try_into().map_err(|_| corrupt())?;
        let session = Session {
            user_id: row.user_id,
            email: EmailAddress::parse(&row.email).map_err(|_| corrupt())?,
            role: Role::from_word(&row.role),
            operate_right: row.operate_right,
            expires_at: row.expires_at,
        };
        sessions.insert(hash, session);
    }
    Ok(sessions)
}

/// Ends a session, if there is one with this token.
///
/// # Errors
/// [`DbError`] when the change fails.
pub async fn end(db: &Database, hash: &TokenHash) -> Result<(), DbError> {
    retrying(|| async {
        let tx = db.begin().await?;
        let sql = "DELETE FROM session WHERE token_hash = ?".to_owned();
        if execute(&tx, sql, vec![hash.to_vec().into()]).await? > 0 {
            epoch::raise(&tx).await?;
        }
        Ok(tx.commit().await?)
    })
    .await
}

/// Deletes sessions that have expired.
///
/// # Errors
/// [`DbError`] when the change fails.
pub async fn sweep(db: &Database, now: i64) -> Result<u64, DbError> {
    let sql = "DELETE FROM session WHERE expires_at <= ?".to_owned();
    execute(&db.connection, sql, vec![now.into()]).await
}
