//! When the vendor is asked about a property: one row for each property with open requests.
//!
//! Whoever takes a poll moves its time; a poll that nobody planned is found by the tidying job. Called by the poll job
//! and by `record`, which plans the first look.

use crate::db::entity::property_poll;
use crate::db::{Database, DbError, execute, retrying, row};
use sea_orm::{ColumnTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect, Value};

/// Properties of an account about which the vendor should be asked now, longest due first.
///
/// # Errors
/// [`DbError`] when the database cannot be asked.
pub async fn due_polls(db: &Database, cdn_id: i64, now: i64, most: u64) -> Result<Vec<(i64, i64)>, DbError> {
    let due = property_poll::Entity::find()
        .filter(property_poll::Column::CdnId.eq(cdn_id))
        .filter(property_poll::Column::DueAt.lte(now))
        .order_by_asc(property_poll::Column::DueAt)
        .limit(most)
        .all(&db.connection)
        .await?;
    Ok(due.into_iter().map(|row| (row.property_id, row.due_at)).collect())
}

/// When the next poll of an account is due, if there is one.
///
/// # Errors
/// [`DbError`] when the database cannot be asked.
pub async fn next_poll(db: &Database, cdn_id: i64) -> Result<Option<i64>, DbError> {
    let next = property_poll::Entity::find()
        .filter(property_poll::Column::CdnId.eq(cdn_id))
        .order_by_asc(property_poll::Column::DueAt)
        .one(&db.connection)
        .await?;
    Ok(next.map(|row| row.due_at))
}

/// Takes a due poll until `until`; false when another worker was faster.
///
/// # Errors
/// [`DbError`] when the change fails.
pub async fn claim_poll(db: &Database, property_id: i64, due_at: i64, until: i64) -> Result<bool, DbError> {
    let sql = "UPDATE property_poll SET due_at = ? WHERE property_id = ? AND due_at = ?".to_owned();
    let values: Vec<Value> = vec![until.into(), property_id.into(), due_at.into()];
    let found = retrying(|| execute(&db.connection, sql.clone(), values.clone())).await?;
    Ok(found > 0)
}

/// Plans the next poll of a property, or none if nothing is open any more.
///
/// # Errors
/// [`DbError`] when the change fails.
pub async fn finish_poll(db: &Database, property_id: i64, next: i64) -> Result<(), DbError> {
    #[derive(FromQueryResult)]
    struct Open {
        id: i64,
    }
    retrying(|| async {
        let tx = db.begin().await?;
        // The row is locked first: a submission that comes in waits, and then finds the row gone or planned.
        let sql = "UPDATE property_poll SET due_at = ? WHERE property_id = ?".to_owned();
        execute(&tx, sql, vec![next.into(), property_id.into()]).await?;
        let sql = "SELECT id FROM submission WHERE property_id = ? AND state = 'running' LIMIT 1".to_owned();
        let open: Option<Open> = row(&tx, sql, vec![property_id.into()]).await?;
        if open.is_none_or(|open| open.id == 0) {
            let sql = "DELETE FROM property_poll WHERE property_id = ?".to_owned();
            execute(&tx, sql, vec![property_id.into()]).await?;
        }
        Ok(tx.commit().await?)
    })
    .await
}

/// Plans a poll for every property that has open requests and none planned: a net below everything else.
///
/// # Errors
/// [`DbError`] when the change fails.
pub async fn plan_forgotten_polls(db: &Database, now: i64) -> Result<u64, DbError> {
    let insert = db.insert_new();
    let sql = format!(
        "{insert} INTO property_poll (property_id, cdn_id, due_at) SELECT DISTINCT s.property_id, s.cdn_id, ? FROM submission s \
         WHERE s.state = 'running' AND NOT EXISTS (SELECT 1 FROM property_poll p WHERE p.property_id = s.property_id)"
    );
    retrying(|| execute(&db.connection, sql.clone(), vec![now.into()])).await
}
