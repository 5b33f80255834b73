//! API tokens: credentials of programs, with scopes and an end of their own.
//!
//! Given and taken back by operators; a token is shown once and only its SHA-256 is kept. Taking one back
//! raises the epoch, so it counts at once on every server. `last_used_at` is kept to the minute, because
//! a write with every request would cost more than the request. Called by the commands and the API's state.

use crate::db::audit::{self, NewEntry};
use crate::db::session::TokenHash;
use crate::db::{Database, DbError, epoch, execute, retrying, rows};
use crate::domain::TokenScopes;
use sea_orm::FromQueryResult;

/// How exact `last_used_at` is.
pub const USE_MILLISECONDS: i64 = 60_000;

/// A token that is to be stored.
#[derive(Debug, Clone)]
pub struct NewApiToken {
    /// The SHA-256 of its text.
    pub hash: TokenHash,
    /// Whose it is.
    pub user_id: i64,
    /// What its owner calls it.
    pub name: String,
    /// What it may be used for.
    pub scopes: TokenScopes,
    /// UTC milliseconds; `None` for one that does not end by itself.
    pub expires_at: Option<i64>,
}

/// A stored token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiToken {
    /// The row's id, by which it is taken back.
    pub id: i64,
    /// Whose it is.
    pub email: String,
    /// What its owner calls it.
    pub name: String,
    /// What it may be used for.
    pub scopes: TokenScopes,
    /// UTC milliseconds.
    pub created_at: i64,
    /// UTC milliseconds; `None` for one that does not end by itself.
    pub expires_at: Option<i64>,
    /// UTC milliseconds, to the minute; `None` if it was never used.
    pub last_used_at: Option<i64>,
}

#[derive(FromQueryResult)]
struct TokenRow {
    id: i64,
    email: String,
    name: String,
    scopes: i32,
    created_at: i64,
    expires_at: Option<i64>,
    last_used_at: Option<i64>,
}

/// Stores a token; returns its id.
///
/// # Errors
/// [`DbError`] when the insert fails.
pub async fn create(db: &Database, new: &NewApiToken, entry: &NewEntry) -> Result<i64, DbError> {
    retrying(|| async {
        let tx = db.begin().await?;
        let sql = "INSERT INTO api_token (user_id, name, token_hash, scopes, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?)";
        let values = vec![
            new.user_id.into(),
            new.name.as_str().into(),
            new.hash.to_vec().into(),
            i32::from(new.scopes.bits()).into(),
            entry.at.into(),
            new.expires_at.into(),
        ];
        execute(&tx, sql.to_owned(), values).await?;
        let found: Vec<Id> =
            rows(&tx, "SELECT id FROM api_token WHERE token_hash = ?".to_owned(), vec![new.hash.to_vec().into()]).await?;
        audit::insert(&tx, &[entry]).await?;
        tx.commit().await?;
        found.first().map(|row| row.id).ok_or_else(|| DbError::Other("a token vanished".to_owned()))
    })
    .await
}

#[derive(FromQueryResult)]
struct Id {
    id: i64,
}

/// All tokens, or one user's, by user and id.
///
/// # Errors
/// [`DbError`] when the database cannot be asked.
pub async fn list(db: &Database, user_id: Option<i64>) -> Result<Vec<ApiToken>, DbError> {
    let sql = format!(
        "SELECT t.id, u.email, t.name, t.scopes, t.created_at, t.expires_at, t.last_used_at FROM api_token t \
         JOIN `user` u ON u.id = t.user_id {} ORDER BY u.email, t.id",
        if user_id.is_some() { "WHERE t.user_id = ?" } else { "" }
    );
    let found: Vec<TokenRow> = rows(&db.connection, sql, user_id.map(Into::into).into_iter().collect()).await?;
    let token = |row: TokenRow| ApiToken {
        id: row.id,
        email: row.email,
        name: row.name,
        scopes: TokenScopes::from_bits(row.scopes),
        created_at: row.created_at,
        expires_at: row.expires_at,
        last_used_at: row.last_used_at,
    };
    Ok(found.into_iter().map(token).collect())
}

/// Takes a token back; false when there is none with this id.
///
/// # Errors
/// [`DbError`] when the change fails.
pub async fn revoke(db: &Database, id: i64, entry: &NewEntry) -> Result<bool, DbError> {
    retrying(|| async {
        let tx = db.begin().await?;
        if execute(&tx, "DELETE FROM api_token WHERE id = ?".to_owned(), vec![id.into()]).await? == 0 {
            tx.rollback().await?;
            return Ok(false);
        }
        audit::insert(&tx, &[entry]).await?;
        epoch::raise(&tx).await?;
        tx.commit().await?;
        Ok(true)
    })
    .await
}

/// Notes that a token was used, unless that was noted within the last minute.
///
/// # Errors
/// [`DbError`] when the change fails.
pub async fn note_use(db: &Database, id: i64, now: i64) -> Result<(), DbError> {
    let sql = "UPDATE api_token SET last_used_at = ? WHERE id = ? AND (last_used_at IS NULL OR last_used_at <= ?)";
    let values = vec![now.into(), id.into(), (now - USE_MILLISECONDS).into()];
    execute(&db.connection, sql.to_owned(), values).await.map(drop)
}

/// Deletes tokens that have expired before this time; returns how many.
///
/// # Errors
/// [`DbError`] when the change fails.
pub async fn sweep(db: &Database, before: i64) -> Result<u64, DbError> {
    execute(&db.connection, "DELETE FROM api_token WHERE expires_at <= ?".to_owned(), vec![before.into()]).await
}
