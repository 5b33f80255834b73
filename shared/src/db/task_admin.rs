//! Tasks as staff see and mend them: of everybody, by state, user, domain and age; cancelled, or tried again.
//!
//! A task that is cancelled ends as `failed`; the lease of a worker that has it in hand is taken away, so that what the
//! worker learns is not written over it. A task is tried again as a new task, since a percentage never falls and an
//! ended task stays as it ended; a row in `task_retry` makes sure that this happens once. Whoever calls these has been
//! found to be staff. Called by the staff's handlers.

use crate::db::task::{NewTask, URL_SEPARATOR, cut, insert_tasks};
use crate::db::webhook::message::announce;
use crate::db::{Database, DbError, audit, execute, marks, retrying, row_marks, rows};
use crate::domain::{Kind, State};
use sea_orm::{ConnectionTrait, FromQueryResult, Value};

/// Which tasks; what is left out does not narrow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// These only.
    pub ids: Option<Vec<String>>,
    /// Whose.
    pub user_id: Option<i64>,
    /// Of which kind.
    pub kind: Option<Kind>,
    /// In which state.
    pub state: Option<State>,
    /// At which CDN.
    pub cdn: Option<String>,
    /// Of which property.
    pub domain: Option<String>,
    /// Made before this (UTC milliseconds).
    pub created_before: Option<i64>,
    /// Made at this time or later (UTC milliseconds).
    pub created_since: Option<i64>,
    /// Only older ones than this id.
    pub before: Option<String>,
    /// At most so many.
    pub limit: u64,
}

impl Filter {
    fn conditions(&self) -> (String, Vec<Value>) {
        let (mut sql, mut values) = (String::new(), Vec::<Value>::new());
        let mut narrow = |condition: &str, value: Value| {
            sql.push_str(" AND ");
            sql.push_str(condition);
            values.push(value);
        };
        if let Some(user) = self.user_id {
            narrow("t.user_id = ?", user.into());
        }
        if let Some(kind) = self.kind {
            narrow("t.kind = ?", kind.as_str().into());
        }
        if let Some(state) = self.state {
            narrow("t.state = ?", state.as_str().into());
        }
        if let Some(cdn) = &self.cdn {
            narrow("c.name = ?", cdn.as_str().into());
        }
        if let Some(domain) = &self.domain {
            narrow("p.name = ?", domain.as_str().into());
        }
        // Ids sort by time, so the primary key leads there.
        if let Some(before) = self.created_before {
            narrow("t.id < ?", crate::task_id::earliest_at(before).into());
        }
        if let Some(since) = self.created_since {
            narrow("t.id >= ?", crate::task_id::earliest_at(since).into());
        }
        if let Some(before) = &self.before {
            narrow("t.id < ?", before.as_str().into());
        }
        if let Some(ids) = &self.ids {
            sql.push_str(&format!(" AND t.id IN ({})", marks(ids.len())));
            values.extend(ids.iter().map(Value::from));
        }
        (sql, values)
    }
}

const FROM: &str = "FROM task t JOIN cdn c ON c.id = t.cdn_id LEFT JOIN property p ON p.id = t.property_id";

/// A task as staff see it.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct AdminTask {
    /// The id.
    pub id: String,
    /// Whose it is.
    pub email: Option<String>,
    /// At which CDN.
    pub cdn: String,
    /// The property; `None` where it is gone.
    pub domain: Option<String>,
    /// The stored word of [`Kind`].
    pub kind: String,
    /// The stored word of [`State`].
    pub state: String,
    /// The stored word of the step that is due.
    pub step: String,
    /// 0 to 100.
    pub percent: i32,
    /// The URLs, joined by `|`.
    pub urls: String,
    /// How many there are.
    pub url_count: i32,
    /// The vendor's ids, joined by `|`.
    pub vendor_ids: String,
    /// Failed tries since the last success.
    pub attempts: i32,
    /// When it is looked at next, or when the lease of whoever has it ends (UTC milliseconds).
    pub due_at: i64,
    /// The worker that has it in hand.
    pub lease_owner: Option<String>,
    /// Why it failed, or what it waits for.
    pub message: Option<String>,
    /// The HTTP request that made it.
    pub request_id: String,
    /// The task as which it was tried again.
    pub retried_as: Option<String>,
    /// UTC milliseconds.
    pub created_at: i64,
    /// UTC milliseconds.
    pub ended_at: Option<i64>,
}

/// The tasks that pass the filter, newest first.
///
/// # Errors
/// [`DbError`] when the database cannot be asked.
pub async fn list(db: &Database, filter: &Filter) -> Result<Vec<AdminTask>, DbError> {
    let (conditions, mut values) = filter.conditions();
    let sql = format!(
        "SELECT t.id, u.email, c.name AS cdn, p.name AS domain, t.kind, t.state, t.step, t.percent, t.urls, t.url_count, t.vendor_ids, \
         t.attempts, t.due_at, t.lease_owner, t.message, t.request_id, r.retried_as, t.created_at, t.ended_at {FROM} \
         LEFT JOIN {} u ON u.id = t.user_id LEFT JOIN task_retry r ON r.task_id = t.id \
         WHERE 1 = 1{conditions} ORDER BY t.id DESC LIMIT ?",
        user_table(db)
    );
    values.push(filter.limit.into());
    rows(&db.connection, sql, values).await
}

/// `user` is a word of SQL's own.
fn user_table(db: &Database) -> &'static str {
    if db.is_mysql() { "`user`" } else { "\"user\"" }
}

#[derive(FromQueryResult)]
struct Found {
    id: String,
}

/// The ids that pass the filter and a condition, oldest first, locked until the end of the transaction.
async fn locked(
    db: &Database,
    tx: &impl ConnectionTrait,
    filter: &Filter,
    condition: &str,
) -> Result<Vec<String>, DbError> {
    let (conditions, mut values) = filter.conditions();
    let sql = format!("SELECT t.id {FROM} WHERE {condition}{conditions} ORDER BY t.id LIMIT ?");
    values.push(filter.limit.into());
    let found: Vec<Found> = rows(tx, sql, values).await?;
    let ids: Vec<String> = found.into_iter().map(|row| row.id).collect();
    if ids.is_empty() {
        return Ok(ids);
    }
    // Only the tasks, and not the rows of their CDN and property.
    let lock = format!(
        "SELECT t.id FROM task t WHERE {condition} AND t.id IN ({}) ORDER BY t.id{}",
        marks(ids.len()),
        db.for_update()
    );
    let held: Vec<Found> = rows(tx, lock, ids.iter().map(Value::from).collect()).await?;
    Ok(held.into_iter().map(|row| row.id).collect())
}

/// What came of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed<T> {
    /// All that passed the filter were changed.
    All(Vec<T>),
    /// This task was named and cannot be changed; nothing was.
    Refused(String),
}

/// The first task that was named and is not among these.
fn left_out(filter: &Filter, ids: &[String]) -> Option<String> {
    filter.ids.iter().flatten().find(|id| !ids.contains(id)).cloned()
}

/// Ends tasks that have not ended, as failed with this message; returns their ids. `entry` makes the audit row.
///
/// # Errors
/// [`DbError`] when the change fails; then nothing is changed.
pub async fn cancel(
    db: &Database,
    filter: &Filter,
    message: &str,
    now: i64,
    entry: impl Fn(&[String]) -> audit::NewEntry,
) -> Result<Changed<String>, DbError> {
    retrying(|| async {
        let tx = db.begin().await?;
        let ids = locked(db, &tx, filter, "t.step <> 'ended'").await?;
        if let Some(id) = left_out(filter, &ids) {
            return Ok(Changed::Refused(id));
        }
        if !ids.is_empty() {
            let sql = format!(
                "UPDATE task SET state = 'failed', step = 'ended', lease_owner = NULL, message = ?, ended_at = ? WHERE id IN ({})",
                marks(ids.len())
            );
            let mut values: Vec<Value> = vec![cut(message).into(), now.into()];
            values.extend(ids.iter().map(Value::from));
            execute(&tx, sql, values).await?;
            announce(db, &tx, &ids, now).await?;
            audit::insert(&tx, &[&entry(&ids)]).await?;
        }
        tx.commit().await?;
        Ok(Changed::All(ids))
    })
    .await
}

/// A task that was tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retried {
    /// The one that had failed or expired.
    pub before: String,
    /// The new one.
    pub task: NewTask,
    /// The CDN's name.
    pub cdn: String,
}

#[derive(FromQueryResult)]
struct Ended {
    id: String,
    user_id: i64,
    cdn_id: i64,
    cdn: String,
    property_id: i64,
    kind: String,
    urls: String,
}

/// Makes new tasks of those that have failed or expired and were not tried again yet; `new_id` makes an id, `entry`
/// the audit row.
///
/// # Errors
/// [`DbError`] when the change fails; then nothing is changed.
pub async fn retry(
    db: &Database,
    filter: &Filter,
    request_id: &str,
    now: i64,
    new_id: impl Fn() -> String,
    entry: impl Fn(&[Retried]) -> audit::NewEntry,
) -> Result<Changed<Retried>, DbError> {
    let condition =
        "t.state IN ('failed', 'expired') AND NOT EXISTS (SELECT 1 FROM task_retry r WHERE r.task_id = t.id)";
    retrying(|| async {
        let tx = db.begin().await?;
        let ids = locked(db, &tx, filter, condition).await?;
        if let Some(id) = left_out(filter, &ids) {
            return Ok(Changed::Refused(id));
        }
        if ids.is_empty() {
            return Ok(Changed::All(Vec::new()));
        }
        let sql = format!(
            "SELECT t.id, t.user_id, t.cdn_id, c.name AS cdn, t.property_id, t.kind, t.urls FROM task t JOIN cdn c ON c.id = t.cdn_id \
             WHERE t.id IN ({}) ORDER BY t.id",
            marks(ids.len())
        );
        let ended: Vec<Ended> = rows(&tx, sql, ids.iter().map(Value::from).collect()).await?;
        let mut retried = Vec::with_capacity(ended.len());
        for row in ended {
            let kind = row.kind.parse().map_err(|error: crate::domain::task::UnknownWord| DbError::Corrupt(error.to_string()))?;
            let task = NewTask {
                id: new_id(),
                user_id: row.user_id,
                cdn_id: row.cdn_id,
                property_id: row.property_id,
                kind,
                urls: row.urls.split(URL_SEPARATOR).map(str::to_owned).collect(),
                request_id: request_id.to_owned(),
                created_at: now,
            };
            retried.push(Retried { before: row.id, task, cdn: row.cdn });
        }
        insert_tasks(&tx, &retried.iter().map(|retried| &retried.task).collect::<Vec<_>>()).await?;
        let sql = format!(
            "INSERT INTO task_retry (task_id, retried_as, retried_at) VALUES {}",
            row_marks(retried.len(), 3)
        );
        let values = retried.iter().flat_map(|retried| {
            [retried.before.as_str().into(), retried.task.id.as_str().into(), now.into()] as [Value; 3]
        });
        execute(&tx, sql, values.collect()).await?;
        audit::insert(&tx, &[&entry(&retried)]).await?;
        tx.commit().await?;
        Ok(Changed::All(retried))
    })
    .await
}
