//! Leases of things that several processes share, such as one of the calls that an account allows.
//!
//! A lease has an owner and an end; who holds it renews it, and when it has ended anybody takes it.
//! Called by the worker's call slots.

use crate::db::{Database, DbError, execute, marks, retrying};
use sea_orm::Value;

/// Takes the lease if it is free, has ended, or is ours already.
///
/// # Errors
/// [`DbError`] when the change fails.
pub async fn take(db: &Database, name: &str, owner: &str, now: i64, until: i64) -> Result<bool, DbError> {
    retrying(|| async {
        let sql =
            "UPDATE lease SET owner = ?, expires_at = ? WHERE name = ? AND (expires_at <= ? OR owner = ?)".to_owned();
        let values = vec![owner.into(), until.into(), name.into(), now.into(), owner.into()];
        if execute(&db.connection, sql, values).await? > 0 {
            return Ok(true);
        }
        let insert = db.insert_new();
        let sql = format!("{insert} INTO lease (name, owner, expires_at) VALUES (?, ?, ?)");
        Ok(execute(&db.connection, sql, vec![name.into(), owner.into(), until.into()]).await? > 0)
    })
    .await
}

/// Moves the end of leases that are ours; returns how many still were.
///
/// # Errors
/// [`DbError`] when the change fails.
pub async fn renew(db: &Database, names: &[String], owner: &str, until: i64) -> Result<u64, DbError> {
    if names.is_empty() {
        return Ok(0);
    }
    let sql = format!("UPDATE lease SET expires_at = ? WHERE owner = ? AND name IN ({})", marks(names.len()));
    let mut values: Vec<Value> = vec![until.into(), owner.into()];
    values.extend(names.iter().map(Value::from));
    retrying(|| execute(&db.connection, sql.clone(), values.clone())).await
}

/// Gives a lease back at once.
///
/// # Errors
/// [`DbError`] when the change fails; then it runs out by itself.
pub async fn release(db: &Database, name: &str, owner: &str) -> Result<(), DbError> {
    let sql = "UPDATE lease SET expires_at = 0 WHERE name = ? AND owner = ?".to_owned();
    retrying(|| execute(&db.connection, sql.clone(), vec![name.into(), owner.into()])).await.map(drop)
}
