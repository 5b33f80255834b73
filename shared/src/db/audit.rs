//! The audit trail: who did what, from where.
//!
//! A row is written in the transaction of the change it speaks of, so there is neither without the other.
//! Written by the queries that change something, read by staff, swept by housekeeping.

use crate::db::{Database, DbError, execute, retrying, row_marks, rows};
use sea_orm::{ConnectionTrait, FromQueryResult, Value};

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

impl NewEntry {
    /// A change that an operator makes with a command.
    #[must_use]
    pub fn by_command(at: i64, action: &'static str, target: &str, detail: &str) -> Self {
        Self {
            at,
            actor: "command-line".to_owned(),
            address: "local".to_owned(),
            action,
            target: target.to_owned(),
            detail: detail.to_owned(),
            request_id: String::new(),
        }
    }

    /// A change that the worker makes by a rule.
    #[must_use]
    pub fn by_worker(at: i64, action: &'static str, target: &str, detail: &str) -> Self {
        Self { actor: "worker".to_owned(), ..Self::by_command(at, action, target, detail) }
    }
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

/// A stored row.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct Entry {
    /// Grows with time.
    pub id: i64,
    /// UTC milliseconds.
    pub at: i64,
    /// Who: an address, or what stands in for one.
    pub actor: String,
    /// The client's IP address.
    pub address: String,
    /// What was done, such as `refresh`.
    pub action: String,
    /// To whom or what.
    pub target: String,
    /// More about it, for people.
    pub detail: String,
    /// The HTTP request.
    pub request_id: String,
}

/// Which rows are asked for; what is left out does not narrow.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Who did it.
    pub actor: Option<String>,
    /// From where.
    pub address: Option<String>,
    /// What was done.
    pub action: Option<String>,
    /// To whom or what.
    pub target: Option<String>,
    /// In which HTTP request.
    pub request_id: Option<String>,
    /// Not before this time, UTC milliseconds.
    pub since: Option<i64>,
    /// Before this time, UTC milliseconds.
    pub until: Option<i64>,
    /// Only rows that are older than the one with this id.
    pub before: Option<i64>,
    /// Most rows.
    pub limit: u64,
}

/// The rows that pass the filter, newest first.
///
/// # Errors
/// [`DbError`] when the database cannot be asked.
pub async fn list(db: &Database, filter: &Filter) -> Result<Vec<Entry>, DbError> {
    let mut sql = "SELECT id, at, actor, address, action, target, detail, request_id FROM audit WHERE 1 = 1".to_owned();
    let mut values: Vec<Value> = Vec::new();
    let texts = [
        ("actor", &filter.actor),
        ("address", &filter.address),
        ("action", &filter.action),
        ("target", &filter.target),
        ("request_id", &filter.request_id),
    ];
    for (column, wanted) in texts {
        if let Some(wanted) = wanted {
            sql.push_str(&format!(" AND {column} = ?"));
            values.push(wanted.as_str().into());
        }
    }
    for (condition, bound) in [("at >= ?", filter.since), ("at < ?", filter.until), ("id < ?", filter.before)] {
        if let Some(bound) = bound {
            sql.push_str(&format!(" AND {condition}"));
            values.push(bound.into());
        }
    }
    sql.push_str(" ORDER BY id DESC LIMIT ?");
    values.push(filter.limit.into());
    rows(&db.connection, sql, values).await
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
