//! Which worker runs which scheduled job in which period: a primary key decides.
//!
//! However many workers there are, the row for (job, period) can be inserted once. Called by the
//! worker's timetable and housekeeping.

use crate::db::entity::schedule_run;
use crate::db::{Database, DbError, execute, retrying};
use sea_orm::ActiveValue::Set;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};

/// Takes a period of a job; false when another worker has it.
///
/// # Errors
/// [`DbError`] when the insert fails for another reason.
pub async fn take(db: &Database, job: &str, period: i64, owner: &str, now: i64) -> Result<bool, DbError> {
    let row = schedule_run::ActiveModel {
        job: Set(job.to_owned()),
        period: Set(period),
        owner: Set(owner.to_owned()),
        started_at: Set(now),
        ended_at: Set(None),
        message: Set(None),
    };
    match schedule_run::Entity::insert(row).exec_without_returning(&db.connection).await.map_err(DbError::from) {
        Ok(_) => Ok(true),
        Err(DbError::Conflict(_)) => Ok(false),
        Err(other) => Err(other),
    }
}

/// Notes how a run ended.
///
/// # Errors
/// [`DbError`] when the change fails.
pub async fn finish(db: &Database, job: &str, period: i64, message: Option<&str>, now: i64) -> Result<(), DbError> {
    let sql = "UPDATE schedule_run SET ended_at = ?, message = ? WHERE job = ? AND period = ?".to_owned();
    let message = message.map(super::task::cut);
    retrying(|| {
        execute(&db.connection, sql.clone(), vec![now.into(), message.clone().into(), job.into(), period.into()])
    })
    .await
    .map(drop)
}

/// When the newest run of a job began, and when it ended if it did.
///
/// # Errors
/// [`DbError`] when the database cannot be asked.
pub async fn newest(db: &Database, job: &str) -> Result<Option<(i64, Option<i64>)>, DbError> {
    let found = schedule_run::Entity::find()
        .filter(schedule_run::Column::Job.eq(job))
        .order_by_desc(schedule_run::Column::StartedAt)
        .one(&db.connection)
        .await?;
    Ok(found.map(|row| (row.started_at, row.ended_at)))
}

/// Deletes runs that began before `before`.
///
/// # Errors
/// [`DbError`] when the change fails.
pub async fn sweep(db: &Database, before: i64) -> Result<u64, DbError> {
    let sql = "DELETE FROM schedule_run WHERE started_at < ?".to_owned();
    retrying(|| execute(&db.connection, sql.clone(), vec![before.into()])).await
}
