//! The audit trail: who did what, from where.
//!
//! A row is written in the transaction of the change it speaks of. Called by the handlers (through
//! the queries that change something) and housekeeping.

use crate::db::{Database, DbError, execute, retrying, row_marks};
use sea_orm::{ConnectionTrait, Value};

/// A row that is to be written.
#[derive(Debug, Clone)]
pub struct NewEntry {
    /// UTC milliseconds.
    pub at: i64,
    /// Who: an address, or what stands in for one.
    pub actor: String,
    /// The client's IP address.
    pub address: String,
    /// What was done, such as `refresh`.
    pub action: &'static str,
    /// To whom or what.
    pub target: String,
    /// More about it, for people.
    pub detail: String,
    /// The HTTP request.
    pub request_id: String,
}

/// Writes rows with one statement.
pub(super) async fn insert(on: &impl ConnectionTrait, entries: &[&NewEntry]) -> Result<(), DbError> {
    for chunk in entries.chunks(500) {
        let sql = format!(
            "INSERT INTO audit (at, actor, address, action, target, detail, request_id) VALUES {}",
            row_marks(chunk.len(), 7)
        );
        let values: Vec<Value> = chunk
            .iter()
            .flat_map(|entry| {
                [
                    entry.at.into(),
                    cut(&entry.actor, 300).into(),
                    cut(&entry.address, 64).into(),
                    entry.action.into(),
                    cut(&entry.target, 512).into(),
                    entry.detail.as_str().into(),
                    cut(&entry.request_id, 64).into(),
                ]
            })
            .collect();
        execute(on, sql, values).await?;
    }
    Ok(())
}

fn cut(text: &str, characters: usize) -> String {
    text.chars().take(characters).collect()
}

/// Writes one row on its own, for a change that has no transaction of ours.
///
/// # Errors
/// [`DbError`] when the insert fails.
pub async fn write(db: &Database, entry: &NewEntry) -> Result<(), DbError> {
    retrying(|| insert(&db.connection, std::slice::from_ref(&entry))).await
}

/// Deletes up to `most` rows that are older than `before`; returns how many.
///
/// # Errors
/// [`DbError`] when the change fails.
pub async fn sweep(db: &Database, before: i64, most: u64) -> Result<u64, DbError> {
    let sql = if db.is_mysql() {
        "DELETE FROM audit WHERE at < ? ORDER BY at LIMIT ?"
    } else {
        "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at < ? ORDER BY at LIMIT ?)"
    };
    retrying(|| execute(&db.connection, sql.to_owned(), vec![before.into(), most.into()])).await
}
