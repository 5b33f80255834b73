//! Messages to webhooks: written where tasks end, claimed, and what came of each try.
//!
//! A message is the pair of a task and a webhook; what it says is read from the task's row, which changes no more.
//! Claiming writes the owner and moves `due_at` to the end of a lease, as with tasks, and what came of a try is written
//! only while the lease is held. A webhook that fails for too long, or is gone, is disabled with its audit row in the
//! transaction of the try that decided it. Called where tasks end, and by the worker's deliveries and housekeeping.

use crate::db::audit::{self, NewEntry};
use crate::db::task::cut;
use crate::db::{Database, DbError, execute, marks, retrying, row, rows};
use crate::domain::webhook::{DISABLE_AFTER, EndedTask, GIVE_UP_AFTER, message_id, origin};
use crate::webhook_secret::WebhookSecret;
use sea_orm::{ConnectionTrait, DatabaseTransaction, FromQueryResult, Value};

/// Within the transaction in which tasks end at `now`: one message for each enabled webhook of their users. One
/// statement, which finds nothing to do where there are no webhooks; ids of tasks that did not end are passed over.
pub(in crate::db) async fn announce(
    db: &Database,
    tx: &impl ConnectionTrait,
    task_ids: &[impl AsRef<str>],
    now: i64,
) -> Result<(), DbError> {
    for chunk in task_ids.chunks(500) {
        let sql = format!(
            "{} INTO webhook_message (task_id, webhook_id, state, attempts, due_at, created_at) \
             SELECT t.id, w.id, 'waiting', 0, ?, ? FROM task t JOIN webhook w ON w.user_id = t.user_id \
             WHERE t.id IN ({}) AND t.step = 'ended' AND t.ended_at = ? AND w.enabled",
            db.insert_new(),
            marks(chunk.len())
        );
        let mut values: Vec<Value> = vec![now.into(), now.into()];
        values.extend(chunk.iter().map(|id| Value::from(id.as_ref())));
        values.push(now.into());
        execute(tx, sql, values).await?;
    }
    Ok(())
}

/// An enabled webhook with messages that wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromQueryResult)]
pub struct Head {
    /// The webhook.
    pub webhook_id: i64,
    /// Whether its last try failed.
    pub is_failing: bool,
    /// When the first of its messages is due, or the lease of one that is being sent ends (UTC milliseconds).
    pub due_at: i64,
}

/// The enabled webhooks with messages that wait, the longest due first. One look into an index for each webhook,
/// however many messages one of them has.
///
/// # Errors
/// [`DbError`] when the database cannot be asked.
pub async fn heads(db: &Database, most: u64) -> Result<Vec<Head>, DbError> {
    let sql = "SELECT webhook_id, is_failing, due_at FROM (\
               SELECT w.id AS webhook_id, w.failing_since IS NOT NULL AS is_failing, (\
               SELECT m.due_at FROM webhook_message m WHERE m.webhook_id = w.id AND m.due_at IS NOT NULL ORDER BY m.due_at LIMIT 1\
               ) AS due_at FROM webhook w WHERE w.enabled) h WHERE due_at IS NOT NULL ORDER BY due_at LIMIT ?";
    rows(&db.connection, sql.to_owned(), vec![most.into()]).await
}

/// A message that this worker holds a lease on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// The webhook.
    pub webhook_id: i64,
    /// Where to send it.
    pub url: String,
    /// What to sign it with.
    pub secret: WebhookSecret,
    /// What it tells of.
    pub task: EndedTask,
    /// Failed tries so far.
    pub attempts: u32,
    /// When it was made (UTC milliseconds).
    pub created_at: i64,
}

impl Claimed {
    /// The message's id.
    #[must_use]
    pub fn id(&self) -> String {
        message_id(&self.task.id, self.webhook_id)
    }
}

/// What to claim.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// Of which webhook.
    pub webhook_id: i64,
    /// At most so many.
    pub most: u64,
    /// A name that no other claim has.
    pub owner: &'a str,
    /// UTC milliseconds.
    pub now: i64,
    /// When the lease ends unless it is renewed.
    pub lease_until: i64,
}

#[derive(FromQueryResult)]
struct Id {
    task_id: String,
}

#[derive(FromQueryResult)]
struct ClaimRow {
    url: String,
    secret: Vec<u8>,
    attempts: i32,
    message_created_at: i64,
    task_id: String,
    email: String,
    kind: String,
    cdn: String,
    domain: Option<String>,
    urls: String,
    url_count: i32,
    percent: i32,
    state: String,
    message: Option<String>,
    created_at: i64,
    ended_at: Option<i64>,
}

/// Takes the messages of a webhook that have been due longest. Workers that claim at the same time get different ones.
///
/// # Errors
/// [`DbError`] when the change fails; then nothing is claimed.
pub async fn claim(db: &Database, claim: &Claim<'_>) -> Result<Vec<Claimed>, DbError> {
    let webhook: Value = claim.webhook_id.into();
    let found = retrying(|| async {
        let tx = db.begin().await?;
        let sql = format!(
            "SELECT task_id FROM webhook_message WHERE webhook_id = ? AND due_at <= ? ORDER BY due_at LIMIT ?{}",
            db.skip_locked()
        );
        let due: Vec<Id> = rows(&tx, sql, vec![webhook.clone(), claim.now.into(), claim.most.into()]).await?;
        if due.is_empty() {
            tx.commit().await?;
            return Ok(Vec::new());
        }
        let list = marks(due.len());
        let ids: Vec<Value> = due.iter().map(|row| row.task_id.as_str().into()).collect();
        let sql =
            format!("UPDATE webhook_message SET lease_owner = ?, due_at = ? WHERE webhook_id = ? AND task_id IN ({list})");
        let mut values = vec![claim.owner.into(), claim.lease_until.into(), webhook.clone()];
        values.extend(ids.clone());
        execute(&tx, sql, values).await?;
        tx.commit().await?;
        // Read after the commit, so that no row of a task is held meanwhile.
        let sql = format!(
            "SELECT w.url, w.secret, m.attempts, m.created_at AS message_created_at, t.id AS task_id, u.email, t.kind, \
             c.name AS cdn, p.name AS domain, t.urls, t.url_count, t.percent, t.state, t.message, t.created_at, t.ended_at \
             FROM webhook_message m JOIN webhook w ON w.id = m.webhook_id JOIN `user` u ON u.id = w.user_id \
             JOIN task t ON t.id = m.task_id JOIN cdn c ON c.id = t.cdn_id LEFT JOIN property p ON p.id = t.property_id \
             WHERE m.webhook_id = ? AND m.lease_owner = ? AND m.task_id IN ({list})"
        );
        let mut values = vec![webhook.clone(), claim.owner.into()];
        values.extend(ids);
        rows::<ClaimRow>(&db.connection, sql, values).await
    })
    .await?;
    Ok(found.into_iter().map(|row| to_claimed(row, claim.webhook_id)).collect())
}

fn to_claimed(row: ClaimRow, webhook_id: i64) -> Claimed {
    Claimed {
        webhook_id,
        url: row.url,
        secret: WebhookSecret::from_bytes(row.secret),
        attempts: u32::try_from(row.attempts).unwrap_or(0),
        created_at: row.message_created_at,
        task: EndedTask {
            id: row.task_id,
            login_email: row.email,
            kind: row.kind,
            cdn: row.cdn,
            domain: row.domain.unwrap_or_default(),
            urls: row.urls,
            url_count: row.url_count,
            percent: row.percent,
            state: row.state,
            message: row.message.unwrap_or_default(),
            created_at: row.created_at,
            ended_at: row.ended_at.unwrap_or(row.message_created_at),
        },
    }
}

/// Moves the end of a lease; false when it is ours no more.
///
/// # Errors
/// [`DbError`] when the change fails.
pub async fn renew(db: &Database, message: &Claimed, owner: &str, until: i64) -> Result<bool, DbError> {
    let sql = "UPDATE webhook_message SET due_at = ? WHERE task_id = ? AND webhook_id = ? AND lease_owner = ?";
    let values: Vec<Value> =
        vec![until.into(), message.task.id.as_str().into(), message.webhook_id.into(), owner.into()];
    Ok(retrying(|| execute(&db.connection, sql.to_owned(), values.clone())).await? > 0)
}

/// What came of a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver has it.
    Delivered,
    /// It did not work.
    Failed {
        /// Why, in words.
        problem: String,
        /// The next try (UTC milliseconds); `None` when the message is given up.
        due_at: Option<i64>,
        /// Whether the receiver said that it is gone for good.
        gone: bool,
    },
}

/// What writing the outcome has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// The lease was lost, or the webhook removed: nothing was changed.
    Lost,
    /// It was written.
    Kept,
    /// It was written, and the webhook is disabled.
    Disabled,
}

/// Writes what came of a try, for the message and its webhook.
///
/// # Errors
/// [`DbError`] when the change fails; then the lease runs out and somebody tries again.
pub async fn finish(
    db: &Database,
    message: &Claimed,
    owner: &str,
    outcome: &Outcome,
    now: i64,
) -> Result<Written, DbError> {
    let (changes, mut values): (&str, Vec<Value>) = match outcome {
        Outcome::Delivered => ("state = 'delivered', due_at = NULL, ended_at = ?, problem = NULL", vec![now.into()]),
        Outcome::Failed { problem, due_at: Some(at), .. } => {
            ("due_at = ?, problem = ?", vec![(*at).into(), cut(problem).into()])
        }
        Outcome::Failed { problem, due_at: None, .. } => {
            ("state = 'given_up', due_at = NULL, ended_at = ?, problem = ?", vec![now.into(), cut(problem).into()])
        }
    };
    let sql = format!(
        "UPDATE webhook_message SET {changes}, attempts = attempts + 1, lease_owner = NULL \
         WHERE task_id = ? AND webhook_id = ? AND lease_owner = ?"
    );
    let id: Value = message.webhook_id.into();
    values.extend([message.task.id.as_str().into(), id.clone(), owner.into()]);
    retrying(|| async {
        let tx = db.begin().await?;
        if execute(&tx, sql.clone(), values.clone()).await? == 0 {
            tx.rollback().await?;
            return Ok(Written::Lost);
        }
        let disabled = match outcome {
            Outcome::Delivered => {
                let sql = "UPDATE webhook SET succeeded_at = ?, failing_since = NULL WHERE id = ?".to_owned();
                execute(&tx, sql, vec![now.into(), id.clone()]).await?;
                false
            }
            Outcome::Failed { problem, gone, .. } => {
                let sql = "UPDATE webhook SET failed_at = ?, failure = ?, failing_since = COALESCE(failing_since, ?) WHERE id = ?";
                execute(&tx, sql.to_owned(), vec![now.into(), cut(problem).into(), now.into(), id.clone()]).await?;
                disable(&tx, message, problem, *gone, now).await?
            }
        };
        tx.commit().await?;
        Ok(if disabled { Written::Disabled } else { Written::Kept })
    })
    .await
}

/// Disables a webhook that is gone or has failed for too long, unless that was done already.
async fn disable(
    tx: &DatabaseTransaction,
    message: &Claimed,
    problem: &str,
    gone: bool,
    now: i64,
) -> Result<bool, DbError> {
    let failed_before = if gone { now } else { now - DISABLE_AFTER };
    let sql = "UPDATE webhook SET enabled = ? WHERE id = ? AND enabled AND failing_since <= ?".to_owned();
    if execute(tx, sql, vec![false.into(), message.webhook_id.into(), failed_before.into()]).await? == 0 {
        return Ok(false);
    }
    let why = if gone { "it is gone" } else { "all deliveries have failed for 5 days" };
    let detail = format!("{} {}: {why}: {problem}", message.webhook_id, origin(&message.url));
    let entry = NewEntry::by_worker(now, "disable_webhook", &message.task.login_email, &detail);
    audit::insert(tx, &[&entry]).await?;
    Ok(true)
}

/// How many messages wait to be delivered.
///
/// # Errors
/// [`DbError`] when the database cannot be asked.
pub async fn waiting(db: &Database) -> Result<i64, DbError> {
    #[derive(FromQueryResult)]
    struct Count {
        number: i64,
    }
    let sql = "SELECT COUNT(*) AS number FROM webhook_message WHERE due_at IS NOT NULL".to_owned();
    Ok(row::<Count>(&db.connection, sql, vec![]).await?.map_or(0, |count| count.number))
}

/// Gives up the messages of disabled webhooks that nobody enabled in time, and deletes those that have lost their
/// webhook or task; returns how many were given up.
///
/// # Errors
/// [`DbError`] when a change fails.
pub async fn give_up_old(db: &Database, now: i64) -> Result<u64, DbError> {
    let lost = "DELETE FROM webhook_message WHERE due_at IS NOT NULL \
                AND (NOT EXISTS (SELECT 1 FROM webhook w WHERE w.id = webhook_message.webhook_id) \
                OR NOT EXISTS (SELECT 1 FROM task t WHERE t.id = webhook_message.task_id))";
    retrying(|| execute(&db.connection, lost.to_owned(), vec![])).await?;
    let old = "UPDATE webhook_message SET state = 'given_up', due_at = NULL, lease_owner = NULL, ended_at = ?, \
               problem = 'the webhook is disabled' WHERE due_at <= ? AND created_at <= ? \
               AND webhook_id IN (SELECT id FROM webhook WHERE NOT enabled)";
    let values: Vec<Value> = vec![now.into(), now.into(), (now - GIVE_UP_AFTER).into()];
    retrying(|| execute(&db.connection, old.to_owned(), values.clone())).await
}

/// Deletes up to `most` messages that were delivered or given up before `before`; returns how many.
///
/// # Errors
/// [`DbError`] when the change fails.
pub async fn sweep(db: &Database, before: i64, most: u64) -> Result<u64, DbError> {
    let sql = if db.is_mysql() {
        "DELETE FROM webhook_message WHERE ended_at < ? ORDER BY ended_at LIMIT ?"
    } else {
        "DELETE FROM webhook_message WHERE rowid IN \
         (SELECT rowid FROM webhook_message WHERE ended_at < ? ORDER BY ended_at LIMIT ?)"
    };
    retrying(|| execute(&db.connection, sql.to_owned(), vec![before.into(), most.into()])).await
}
