//! Credentials in use: which token belongs to whom, for what, until when.
//!
//! Only the SHA-256 of a token is stored. One that is ended raises the epoch, so a logout counts
//! at once on every server; many look-ups share one query ([`find_many`]), over sessions and API tokens.
//! Called by logout and the check of every request's credential; `login` begins sessions.

use crate::db::account::Role;
use crate::db::audit::{self, NewEntry};
use crate::db::{Database, DbError, epoch, execute, marks, retrying, rows};
use crate::domain::{EmailAddress, TokenScopes};
use sea_orm::FromQueryResult;
use std::collections::HashMap;

/// The SHA-256 of a token.
pub type TokenHash = [u8; 32];

/// A live credential with its user: a session, or an API token.
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
    /// UTC milliseconds; `None` for an API token that does not end by itself.
    pub expires_at: Option<i64>,
    /// What this credential may be used for.
    pub scopes: TokenScopes,
    /// The row of the API token; `None` for a session.
    pub api_token: Option<i64>,
}

impl Session {
    /// Whether it is still good.
    #[must_use]
    pub fn lives(&self, now: i64) -> bool {
        self.expires_at.is_none_or(|end| end > now)
    }
}

#[derive(FromQueryResult)]
struct Found {
    token_hash: Vec<u8>,
    expires_at: Option<i64>,
    scopes: Option<i32>,
    api_token: Option<i64>,
    user_id: i64,
    email: String,
    role: String,
    operate_right: bool,
}

/// The live sessions and API tokens among these hashes, with one query.
///
/// # Errors
/// [`DbError`] when the database cannot be asked.
pub async fn find_many(db: &Database, hashes: &[TokenHash], now: i64) -> Result<HashMap<TokenHash, Session>, DbError> {
    let marks = marks(hashes.len());
    let sql = format!(
        "SELECT s.token_hash, s.expires_at, NULL AS scopes, NULL AS api_token, u.id AS user_id, u.email, u.role, \
         u.operate_right FROM session s JOIN `user` u ON u.id = s.user_id WHERE s.token_hash IN ({marks}) \
         UNION ALL SELECT t.token_hash, t.expires_at, t.scopes, t.id, u.id, u.email, u.role, u.operate_right \
         FROM api_token t JOIN `user` u ON u.id = t.user_id WHERE t.token_hash IN ({marks})"
    );
    let values = hashes.iter().chain(hashes).map(|hash| hash.to_vec().into()).collect();
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
            scopes: row.scopes.map_or(TokenScopes::SESSION, TokenScopes::from_bits),
            api_token: row.api_token,
        };
        if session.lives(now) {
            sessions.insert(hash, session);
        }
    }
    Ok(sessions)
}

/// Ends the session, or takes the API token back, that has this hash; false when there is none.
///
/// # Errors
/// [`DbError`] when the change fails.
pub async fn end(db: &Database, hash: &TokenHash, entry: &NewEntry) -> Result<bool, DbError> {
    retrying(|| async {
        let tx = db.begin().await?;
        let mut ended = 0;
        for table in ["session", "api_token"] {
            let sql = format!("DELETE FROM {table} WHERE token_hash = ?");
            ended += execute(&tx, sql, vec![hash.to_vec().into()]).await?;
        }
        if ended > 0 {
            audit::insert(&tx, &[entry]).await?;
            epoch::raise(&tx).await?;
        }
        tx.commit().await?;
        Ok(ended > 0)
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
