//! The number that says whether what a process remembers of sessions, mappings and properties is still true.
//!
//! Every transaction that ends a session, changes a user, a mapping or the catalogue raises the number as
//! its last statement (`raise`); a process that reads the same number as before may use what it remembers.
//! So a logout counts at once on every server, and a request costs one tiny read, shared with all that wait.
//! Last, because the row is locked until the commit. Called by `session`, `account`, `mapping` and `catalogue`;
//! read by the API's state.

use crate::db::{Database, DbError, execute, row};
use sea_orm::{ConnectionTrait, FromQueryResult};

#[derive(FromQueryResult)]
struct Number {
    number: i64,
}

/// The present number.
///
/// # Errors
/// [`DbError`] when the database cannot be asked.
pub async fn read(db: &Database) -> Result<i64, DbError> {
    let sql = "SELECT number FROM epoch WHERE name = 'access'".to_owned();
    let found: Option<Number> = row(&db.connection, sql, vec![]).await?;
    found.map(|row| row.number).ok_or_else(|| DbError::Corrupt("the epoch is missing".to_owned()))
}

/// Makes every process forget what it remembers, once the transaction is committed.
pub(super) async fn raise(on: &impl ConnectionTrait) -> Result<(), DbError> {
    execute(on, "UPDATE epoch SET number = number + 1 WHERE name = 'access'".to_owned(), vec![]).await.map(drop)
}
