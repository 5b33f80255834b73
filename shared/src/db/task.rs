//! Tasks: made in one transaction with their audit rows, listed, claimed, moved on.
//!
//! Claiming writes the owner and moves `due_at` to the end of the lease, so a lease that runs out is
//! due again without anybody's help; every later write names the owner and finds no row when the
//! lease has gone to another. What happens at the vendor is in [`super::submission`].
//! Called by the purge handlers (make, list) and the worker (everything else).

mod ending;

pub use ending::{FetchProgress, end, note_fetch};

use crate::db::entity::task;
use crate::db::{Database, DbError, audit, execute, idempotency, marks, retrying, row_marks, rows};
use crate::domain::{Kind, Scope, State, Step};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, Value};
use std::collections::HashMap;

/// Between two URLs in the stored list; no URL holds it.
pub(super) const URL_SEPARATOR: &str = "|";
/// Most bytes of one insert statement; the servers' own limit is 16 MiB or more.
const STATEMENT_BYTES: usize = 4 * 1024 * 1024;
/// Longest message that is stored with a row, in characters.
const MESSAGE_LENGTH: usize = 2000;

/// A task that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTask {
    /// A ULID; sorts by time.
    pub id: String,
    /// Whose task it is.
    pub user_id: i64,
    /// The account at the vendor.
    pub cdn_id: i64,
    /// The property that all the URLs belong to.
    pub property_id: i64,
    /// What is asked for.
    pub kind: Kind,
    /// The URLs as they were written, without duplicates.
    pub urls: Vec<String>,
    /// The HTTP request that made it.
    pub request_id: String,
    /// UTC milliseconds.
    pub created_at: i64,
}

/// What one request writes, all or nothing.
#[derive(Debug, Clone)]
pub struct TaskOrder {
    /// The tasks.
    pub tasks: Vec<NewTask>,
    /// The audit row.
    pub audit: audit::NewEntry,
    /// The answer to keep for the request's idempotency key, if it has one.
    pub idempotency: Option<idempotency::Kept>,
}

/// Writes orders in one transaction, with one commit for all of them.
///
/// # Errors
/// [`DbError::Conflict`] when an idempotency key was used meanwhile; then nothing is written.
pub async fn create(db: &Database, orders: &[TaskOrder]) -> Result<(), DbError> {
    retrying(|| async {
        let tx = db.begin().await?;
        for order in orders {
            if let Some(kept) = &order.idempotency {
                idempotency::keep(&tx, kept).await?;
            }
        }
        let tasks: Vec<&NewTask> = orders.iter().flat_map(|order| &order.tasks).collect();
        insert_tasks(&tx, &tasks).await?;
        let entries: Vec<&audit::NewEntry> = orders.iter().map(|order| &order.audit).collect();
        audit::insert(&tx, &entries).await?;
        Ok(tx.commit().await?)
    })
    .await
}

/// Within a transaction.
pub(super) async fn insert_tasks(tx: &impl ConnectionTrait, tasks: &[&NewTask]) -> Result<(), DbError> {
    let mut rest = tasks;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = rest
            .iter()
            .take(200)
            .take_while(|task| {
                bytes += task.urls.iter().map(|url| url.len() + 1).sum::<usize>() + 400;
                bytes <= STATEMENT_BYTES
            })
            .count()
            .max(1);
        let (chunk, later) = rest.split_at(fits);
        rest = later;
        let sql = format!(
            "INSERT INTO task (id, user_id, cdn_id, property_id, kind, state, step, percent, urls, url_count, \
             submitted_count, fetched_count, attempts, due_at, vendor_ids, fetch_failures, request_id, created_at) VALUES {}",
            row_marks(chunk.len(), 18)
        );
        let values = chunk.iter().flat_map(|task| new_row(task)).collect();
        execute(tx, sql, values).await?;
    }
    Ok(())
}

fn new_row(task: &NewTask) -> [Value; 18] {
    [
        task.id.as_str().into(),
        task.user_id.into(),
        task.cdn_id.into(),
        task.property_id.into(),
        task.kind.as_str().into(),
        State::Queued.as_str().into(),
        Step::Submit.as_str().into(),
        0.into(),
        task.urls.join(URL_SEPARATOR).into(),
        count(task.urls.len()).into(),
        0.into(),
        0.into(),
        0.into(),
        task.created_at.into(),
        "".into(),
        "".into(),
        task.request_id.as_str().into(),
        task.created_at.into(),
    ]
}

fn count(length: usize) -> i32 {
    i32::try_from(length).unwrap_or(i32::MAX)
}

/// Which tasks to list.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TaskFilter {
    /// Whose.
    pub owner: i64,
    /// Of which kind.
    pub kind: Kind,
    /// Only this one.
    pub task_id: Option<String>,
    /// Only in this state.
    pub state: Option<State>,
    /// Only at this CDN.
    pub cdn: Option<String>,
    /// Only older ones than this.
    pub before: Option<String>,
    /// At most so many.
    pub limit: u64,
}

/// A task as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct TaskView {
    /// The id.
    pub id: String,
    /// The CDN's name.
    pub cdn: String,
    /// The stored word of [`State`].
    pub state: String,
    /// 0 to 100.
    pub percent: i32,
    /// The URLs, joined by `|`.
    pub urls: String,
    /// The vendor's ids, joined by `|`; empty until they are known.
    pub vendor_ids: String,
    /// Why it failed, or what it waits for.
    pub message: Option<String>,
    /// UTC milliseconds.
    pub created_at: i64,
}

/// The tasks that pass the filter, newest first. Another user's tasks are not found.
///
/// # Errors
/// [`DbError`] when the database cannot be asked.
pub async fn list(db: &Database, scope: Scope, filter: &TaskFilter) -> Result<Vec<TaskView>, DbError> {
    if matches!(scope, Scope::User(id) if id != filter.owner) {
        return Ok(Vec::new());
    }
    // Joined to the left, so that the index over the owner's tasks leads and not the few CDNs.
    let mut sql =
        "SELECT t.id, COALESCE(c.name, '') AS cdn, t.state, t.percent, t.urls, t.vendor_ids, t.message, t.created_at \
                   FROM task t LEFT JOIN cdn c ON c.id = t.cdn_id WHERE t.user_id = ? AND t.kind = ?"
            .to_owned();
    let mut values: Vec<Value> = vec![filter.owner.into(), filter.kind.as_str().into()];
    let mut narrow = |condition: &str, value: Option<Value>| {
        if let Some(value) = value {
            sql.push_str(condition);
            values.push(value);
        }
    };
    narrow(" AND t.id = ?", filter.task_id.as_deref().map(Value::from));
    narrow(" AND t.id < ?", filter.before.as_deref().map(Value::from));
    narrow(" AND t.state = ?", filter.state.map(|state| state.as_str().into()));
    narrow(" AND t.cdn_id = (SELECT id FROM cdn WHERE name = ?)", filter.cdn.as_deref().map(Value::from));
    sql.push_str(" ORDER BY t.id DESC LIMIT ?");
    values.push(filter.limit.into());
    rows(&db.connection, sql, values).await
}

/// A task that this worker holds a lease on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedTask {
    /// The id.
    pub id: String,
    /// The property that all the URLs belong to.
    pub property_id: i64,
    /// All URLs of the task.
    pub urls: Vec<String>,
    /// How many of them the vendor has.
    pub submitted_count: u32,
    /// How many of them the worker has fetched, counted from the first.
    pub fetched_count: u32,
    /// What went wrong with fetched URLs so far, one a line.
    pub fetch_failures: String,
    /// Failed tries so far.
    pub attempts: u32,
    /// The HTTP request that made it.
    pub request_id: String,
    /// UTC milliseconds.
    pub created_at: i64,
    /// Since when the vendor may have it without our knowing, from a try whose answer was lost or whose worker died;
    /// UTC milliseconds.
    pub tried_at: Option<i64>,
}

/// What to claim.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// The account at the vendor.
    pub cdn_id: i64,
    /// Which step is due.
    pub step: Step,
    /// Which kind of task.
    pub kind: Kind,
    /// A name that no other claim has.
    pub owner: &'a str,
    /// UTC milliseconds.
    pub now: i64,
    /// When the lease ends unless it is renewed.
    pub lease_until: i64,
    /// Most tasks.
    pub tasks: u64,
    /// Most URLs in all, but at least one task: bounds the memory.
    pub urls: u32,
}

#[derive(FromQueryResult)]
struct Due {
    id: String,
    url_count: i32,
    tried_at: Option<i64>,
}

/// Takes the tasks that have been due longest. Workers that claim at the same time get different ones.
///
/// # Errors
/// [`DbError`] when the change fails; then nothing is claimed.
pub async fn claim(db: &Database, claim: &Claim<'_>) -> Result<Vec<ClaimedTask>, DbError> {
    retrying(|| async {
        let tx = db.begin().await?;
        let sql = format!(
            "SELECT id, url_count, tried_at FROM task WHERE cdn_id = ? AND step = ? AND kind = ? AND due_at <= ? ORDER BY due_at, id LIMIT ?{}",
            db.skip_locked()
        );
        let values = vec![
            claim.cdn_id.into(),
            claim.step.as_str().into(),
            claim.kind.as_str().into(),
            claim.now.into(),
            claim.tasks.into(),
        ];
        let due: Vec<Due> = rows(&tx, sql, values).await?;
        let mut urls = 0;
        let tried: HashMap<String, i64> =
            due.iter().filter_map(|row| row.tried_at.map(|at| (row.id.clone(), at))).collect();
        let ids: Vec<String> = due
            .into_iter()
            .enumerate()
            .take_while(|(index, row)| {
                urls += u32::try_from(row.url_count).unwrap_or(0);
                *index == 0 || urls <= claim.urls
            })
            .map(|(_, row)| row.id)
            .collect();
        if ids.is_empty() {
            tx.commit().await?;
            return Ok(Vec::new());
        }
        let sql = format!(
            "UPDATE task SET lease_owner = ?, due_at = ?, tried_at = COALESCE(tried_at, ?) WHERE id IN ({})",
            marks(ids.len())
        );
        let mut values: Vec<Value> = vec![claim.owner.into(), claim.lease_until.into(), claim.now.into()];
        values.extend(ids.iter().map(Value::from));
        execute(&tx, sql, values).await?;
        let found = task::Entity::find().filter(task::Column::Id.is_in(&ids)).all(&tx).await?;
        tx.commit().await?;
        let mut tasks: Vec<ClaimedTask> = found.into_iter().map(|row| to_claimed(row, &tried)).collect();
        tasks.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(tasks)
    })
    .await
}

/// `tried` holds what stood in the rows before the claim.
fn to_claimed(row: task::Model, tried: &HashMap<String, i64>) -> ClaimedTask {
    let unsigned = |value: i32| u32::try_from(value).unwrap_or(0);
    ClaimedTask {
        tried_at: tried.get(&row.id).copied(),
        id: row.id,
        property_id: row.property_id,
        urls: row.urls.split(URL_SEPARATOR).map(str::to_owned).collect(),
        submitted_count: unsigned(row.submitted_count),
        fetched_count: unsigned(row.fetched_count),
        fetch_failures: row.fetch_failures,
        attempts: unsigned(row.attempts),
        request_id: row.request_id,
        created_at: row.created_at,
    }
}

/// When the next task of this step is due, if there is one.
///
/// # Errors
/// [`DbError`] when the database cannot be asked.
pub async fn next_due(db: &Database, cdn_id: i64, step: Step, kind: Kind) -> Result<Option<i64>, DbError> {
    #[derive(FromQueryResult)]
    struct Next {
        due_at: i64,
    }
    let sql = "SELECT due_at FROM task WHERE cdn_id = ? AND step = ? AND kind = ? ORDER BY due_at LIMIT 1";
    let values = vec![cdn_id.into(), step.as_str().into(), kind.as_str().into()];
    let next: Vec<Next> = rows(&db.connection, sql.to_owned(), values).await?;
    Ok(next.first().map(|row| row.due_at))
}

fn with_ids(first: Vec<Value>, ids: &[String], owner: &str) -> Vec<Value> {
    let mut values = first;
    values.extend(ids.iter().map(Value::from));
    values.push(owner.into());
    values
}

/// Moves the end of a lease. Tasks whose lease was lost are left alone.
///
/// # Errors
/// [`DbError`] when the change fails.
pub async fn renew(db: &Database, ids: &[String], owner: &str, lease_until: i64) -> Result<(), DbError> {
    for chunk in ids.chunks(500) {
        let sql = format!("UPDATE task SET due_at = ? WHERE id IN ({}) AND lease_owner = ?", marks(chunk.len()));
        let values = with_ids(vec![lease_until.into()], chunk, owner);
        retrying(|| execute(&db.connection, sql.clone(), values.clone())).await?;
    }
    Ok(())
}

/// What a try leaves behind: whether the vendor may have the request all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Traces {
    /// It was not asked, or refused: the next try is a first one.
    None,
    /// Its answer was lost: the next try looks for the request first.
    Perhaps,
}

impl Traces {
    const fn sql(self) -> &'static str {
        match self {
            Self::None => ", tried_at = NULL",
            Self::Perhaps => "",
        }
    }
}

/// Gives tasks back, to be tried again at `due_at`.
///
/// # Errors
/// [`DbError`] when the change fails; then the lease runs out by itself.
pub async fn release(db: &Database, ids: &[String], owner: &str, due_at: i64, traces: Traces) -> Result<(), DbError> {
    for chunk in ids.chunks(500) {
        let sql = format!(
            "UPDATE task SET due_at = ?, lease_owner = NULL{} WHERE id IN ({}) AND lease_owner = ?",
            traces.sql(),
            marks(chunk.len())
        );
        let values = with_ids(vec![due_at.into()], chunk, owner);
        retrying(|| execute(&db.connection, sql.clone(), values.clone())).await?;
    }
    Ok(())
}

/// Gives tasks back after a failed try, with the reason and one more attempt counted.
///
/// # Errors
/// [`DbError`] when the change fails; then the lease runs out by itself.
pub async fn postpone(
    db: &Database,
    ids: &[String],
    owner: &str,
    message: &str,
    due_at: i64,
    traces: Traces,
) -> Result<(), DbError> {
    for chunk in ids.chunks(500) {
        let sql = format!(
            "UPDATE task SET due_at = ?, lease_owner = NULL, attempts = attempts + 1, message = ?{} WHERE id IN ({}) AND lease_owner = ?",
            traces.sql(),
            marks(chunk.len())
        );
        let values = with_ids(vec![due_at.into(), cut(message).into()], chunk, owner);
        retrying(|| execute(&db.connection, sql.clone(), values.clone())).await?;
    }
    Ok(())
}

/// The message within the column's length.
pub(super) fn cut(message: &str) -> String {
    match message.char_indices().nth(MESSAGE_LENGTH - 1) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    }
}

#[derive(FromQueryResult)]
struct Id {
    id: String,
}

/// Deletes up to `most` tasks that were made and have ended before `before`, with what belongs to them;
/// returns how many. The ids sort by time, so the primary key leads to the oldest without another index.
///
/// # Errors
/// [`DbError`] when the change fails.
pub async fn sweep(db: &Database, before: i64, most: u64) -> Result<u64, DbError> {
    retrying(|| async {
        let tx = db.begin().await?;
        // A message that waits to be delivered tells of what stands in the task's row.
        let sql = format!(
            "SELECT id FROM task WHERE id < ? AND ended_at < ? AND NOT EXISTS \
             (SELECT 1 FROM webhook_message m WHERE m.task_id = task.id AND m.due_at IS NOT NULL) ORDER BY id LIMIT ?{}",
            db.skip_locked()
        );
        let values = vec![crate::task_id::earliest_at(before).into(), before.into(), most.into()];
        let old: Vec<Id> = rows(&tx, sql, values).await?;
        if !old.is_empty() {
            let ids: Vec<Value> = old.iter().map(|row| row.id.as_str().into()).collect();
            let list = marks(ids.len());
            execute(&tx, format!("DELETE FROM task_submission WHERE task_id IN ({list})"), ids.clone()).await?;
            execute(&tx, format!("DELETE FROM task_retry WHERE task_id IN ({list})"), ids.clone()).await?;
            execute(&tx, format!("DELETE FROM task WHERE id IN ({list})"), ids).await?;
        }
        tx.commit().await?;
        Ok(old.len() as u64)
    })
    .await
}

/// How many tasks there are in a state.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct StateCount {
    /// The stored word of [`State`].
    pub state: String,
    /// How many.
    pub number: i64,
    /// UTC milliseconds when the oldest of them was made.
    pub oldest: i64,
}

/// How many tasks of one account have not ended, by state.
///
/// # Errors
/// [`DbError`] when the database cannot be asked.
pub async fn open_counts(db: &Database, cdn_id: i64) -> Result<Vec<StateCount>, DbError> {
    let sql = "SELECT state, COUNT(*) AS number, MIN(created_at) AS oldest FROM task \
               WHERE cdn_id = ? AND step IN ('submit', 'watch', 'fetch') GROUP BY state";
    rows(&db.connection, sql.to_owned(), vec![cdn_id.into()]).await
}
