//! How tasks end outside of what a vendor reports: refused, given up, or fetched.
//!
//! As with every other write, the owner of the lease is named, so who lost it changes nothing. The messages to the
//! user's webhooks are written in the same transaction. Called by the worker's submit and fetch jobs; the other ends
//! are in `db::submission` (what a vendor reports) and `db::task_admin` (cancelled).

use super::{cut, with_ids};
use crate::db::webhook::message;
use crate::db::{Database, DbError, execute, marks, retrying};
use crate::domain::{State, Step};
use sea_orm::Value;

/// Ends tasks without success.
///
/// # Errors
/// [`DbError`] when the change fails.
pub async fn end(
    db: &Database,
    ids: &[String],
    owner: &str,
    state: State,
    message: &str,
    now: i64,
) -> Result<(), DbError> {
    for chunk in ids.chunks(500) {
        let sql = format!(
            "UPDATE task SET state = ?, step = 'ended', lease_owner = NULL, message = ?, ended_at = ? WHERE id IN ({}) AND lease_owner = ?",
            marks(chunk.len())
        );
        let first = vec![state.as_str().into(), cut(message).into(), now.into()];
        let values = with_ids(first, chunk, owner);
        retrying(|| async {
            let tx = db.begin().await?;
            execute(&tx, sql.clone(), values.clone()).await?;
            message::announce(db, &tx, chunk, now).await?;
            Ok(tx.commit().await?)
        })
        .await?;
    }
    Ok(())
}

/// How far a fetch has come.
#[derive(Debug, Clone)]
pub struct FetchProgress {
    /// URLs fetched, counted from the first.
    pub fetched_count: u32,
    /// What went wrong, one a line.
    pub failures: String,
    /// 0 to 100.
    pub percent: u8,
    /// The end, if this was it: the state and a message.
    pub end: Option<(State, Option<String>)>,
}

/// Notes how far a fetch has come; false when the lease was lost, and then nothing is changed.
///
/// # Errors
/// [`DbError`] when the change fails.
pub async fn note_fetch(
    db: &Database,
    id: &str,
    owner: &str,
    progress: &FetchProgress,
    now: i64,
) -> Result<bool, DbError> {
    let (state, step, message, ended_at, lease) = match &progress.end {
        Some((state, message)) => (*state, Step::Ended, message.clone(), Some(now), None),
        None => (State::Running, Step::Fetch, None, None, Some(owner)),
    };
    let sql = "UPDATE task SET fetched_count = ?, fetch_failures = ?, percent = CASE WHEN percent > ? THEN percent ELSE ? END, \
               state = ?, step = ?, message = ?, ended_at = ?, lease_owner = ?, attempts = 0 WHERE id = ? AND lease_owner = ?";
    let percent = i32::from(progress.percent);
    let values: Vec<Value> = vec![
        i32::try_from(progress.fetched_count).unwrap_or(i32::MAX).into(),
        progress.failures.as_str().into(),
        percent.into(),
        percent.into(),
        state.as_str().into(),
        step.as_str().into(),
        message.map(|text| cut(&text)).into(),
        ended_at.into(),
        lease.into(),
        id.into(),
        owner.into(),
    ];
    if progress.end.is_none() {
        return Ok(retrying(|| execute(&db.connection, sql.to_owned(), values.clone())).await? > 0);
    }
    retrying(|| async {
        let tx = db.begin().await?;
        let found = execute(&tx, sql.to_owned(), values.clone()).await?;
        if found > 0 {
            message::announce(db, &tx, &[id], now).await?;
        }
        tx.commit().await?;
        Ok(found > 0)
    })
    .await
}
