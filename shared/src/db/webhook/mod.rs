//! Webhooks: where users want to be told of their ended tasks.
//!
//! Registered, listed, removed and enabled within the caller's scope; another user's webhook is not found. The secret
//! is stored as it is, because messages are signed with it, and leaves this module only for that. The messages and
//! what comes of them are in `message`, which also disables webhooks. Called by the webhook handlers.

pub mod message;

use crate::db::audit::{self, NewEntry};
use crate::db::{Database, DbError, execute, retrying, row, rows};
use crate::domain::Scope;
use crate::domain::webhook::{MOST, WebhookUrl};
use crate::webhook_secret::WebhookSecret;
use sea_orm::{ConnectionTrait, FromQueryResult, Value};

/// A stored webhook.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct Webhook {
    /// The row's id.
    pub id: i64,
    /// Whose it is.
    pub email: String,
    /// Where messages are sent to.
    pub url: String,
    /// Whether messages are made and sent.
    pub enabled: bool,
    /// UTC milliseconds.
    pub created_at: i64,
    /// When a message was delivered last (UTC milliseconds).
    pub succeeded_at: Option<i64>,
    /// When a try failed last (UTC milliseconds).
    pub failed_at: Option<i64>,
    /// Why.
    pub failure: Option<String>,
    /// Messages that wait to be delivered.
    pub waiting: i64,
}

const SELECT: &str = "SELECT w.id, u.email, w.url, w.enabled, w.created_at, w.succeeded_at, w.failed_at, w.failure, \
    (SELECT COUNT(*) FROM webhook_message m WHERE m.webhook_id = w.id AND m.due_at IS NOT NULL) AS waiting \
    FROM webhook w JOIN `user` u ON u.id = w.user_id";

/// A webhook that is to be stored.
#[derive(Debug, Clone)]
pub struct NewWebhook {
    /// Whose it is.
    pub user_id: i64,
    /// Where messages are sent to.
    pub url: WebhookUrl,
    /// What they are signed with.
    pub secret: WebhookSecret,
}

#[derive(FromQueryResult)]
struct Count {
    number: i64,
}

/// Stores a webhook; `None` when the user has as many as a user may have. `entry` makes the audit row.
///
/// # Errors
/// [`DbError`] when the change fails.
pub async fn create(
    db: &Database,
    new: &NewWebhook,
    now: i64,
    entry: impl Fn(&Webhook) -> NewEntry,
) -> Result<Option<Webhook>, DbError> {
    retrying(|| async {
        let tx = db.begin().await?;
        // Those who register for one user do so one after the other, so that the count holds.
        let lock = format!("SELECT id AS number FROM `user` WHERE id = ?{}", db.for_update());
        row::<Count>(&tx, lock, vec![new.user_id.into()]).await?;
        let sql = "SELECT COUNT(*) AS number FROM webhook WHERE user_id = ?".to_owned();
        let count: Option<Count> = row(&tx, sql, vec![new.user_id.into()]).await?;
        if count.is_some_and(|count| count.number.unsigned_abs() >= MOST) {
            tx.rollback().await?;
            return Ok(None);
        }
        let sql = "INSERT INTO webhook (user_id, url, secret, enabled, created_at) VALUES (?, ?, ?, ?, ?)".to_owned();
        let secret: Value = new.secret.as_bytes().to_vec().into();
        let values = vec![new.user_id.into(), new.url.as_str().into(), secret.clone(), true.into(), now.into()];
        execute(&tx, sql, values).await?;
        let sql = format!("{SELECT} WHERE w.user_id = ? AND w.secret = ?");
        let made: Option<Webhook> = row(&tx, sql, vec![new.user_id.into(), secret]).await?;
        let made = made.ok_or_else(|| DbError::Other("a webhook vanished".to_owned()))?;
        audit::insert(&tx, &[&entry(&made)]).await?;
        tx.commit().await?;
        Ok(Some(made))
    })
    .await
}

/// The webhooks of a user, oldest first. Another user's are not found.
///
/// # Errors
/// [`DbError`] when the database cannot be asked.
pub async fn list(db: &Database, scope: Scope, owner: i64) -> Result<Vec<Webhook>, DbError> {
    if matches!(scope, Scope::User(id) if id != owner) {
        return Ok(Vec::new());
    }
    rows(&db.connection, format!("{SELECT} WHERE w.user_id = ? ORDER BY w.id"), vec![owner.into()]).await
}

/// The webhook with this id, if it is in the scope.
async fn find(on: &impl ConnectionTrait, scope: Scope, id: i64) -> Result<Option<Webhook>, DbError> {
    match scope {
        Scope::All => row(on, format!("{SELECT} WHERE w.id = ?"), vec![id.into()]).await,
        Scope::User(user) => {
            let sql = format!("{SELECT} WHERE w.id = ? AND w.user_id = ?");
            row(on, sql, vec![id.into(), user.into()]).await
        }
    }
}

/// Removes a webhook and its messages; false when there is none with this id in the scope.
///
/// # Errors
/// [`DbError`] when the change fails.
pub async fn remove(
    db: &Database,
    scope: Scope,
    id: i64,
    entry: impl Fn(&Webhook) -> NewEntry,
) -> Result<bool, DbError> {
    retrying(|| async {
        let tx = db.begin().await?;
        let Some(webhook) = find(&tx, scope, id).await? else {
            tx.rollback().await?;
            return Ok(false);
        };
        // The messages before the webhook, in the same order as `message::finish`, so that the two cannot deadlock. One
        // that a task's end writes meanwhile goes with the housekeeping, and is never sent.
        execute(&tx, "DELETE FROM webhook_message WHERE webhook_id = ?".to_owned(), vec![id.into()]).await?;
        if execute(&tx, "DELETE FROM webhook WHERE id = ?".to_owned(), vec![id.into()]).await? == 0 {
            tx.rollback().await?;
            return Ok(false);
        }
        audit::insert(&tx, &[&entry(&webhook)]).await?;
        tx.commit().await?;
        Ok(true)
    })
    .await
}

/// Enables a webhook that was disabled, and makes the messages due that still wait for it; returns it as it is now, or
/// `None` when there is none with this id in the scope. One that is enabled already is left as it is.
///
/// # Errors
/// [`DbError`] when the change fails.
pub async fn enable(
    db: &Database,
    scope: Scope,
    id: i64,
    now: i64,
    entry: impl Fn(&Webhook) -> NewEntry,
) -> Result<Option<Webhook>, DbError> {
    retrying(|| async {
        let tx = db.begin().await?;
        let Some(webhook) = find(&tx, scope, id).await? else {
            tx.rollback().await?;
            return Ok(None);
        };
        let due = "UPDATE webhook_message SET due_at = ? WHERE webhook_id = ? AND due_at > ? AND lease_owner IS NULL";
        let enable = "UPDATE webhook SET enabled = ?, failing_since = NULL WHERE id = ? AND NOT enabled";
        if webhook.enabled {
            tx.rollback().await?;
            return Ok(Some(webhook));
        }
        execute(&tx, due.to_owned(), vec![now.into(), id.into(), now.into()]).await?;
        if execute(&tx, enable.to_owned(), vec![true.into(), id.into()]).await? > 0 {
            audit::insert(&tx, &[&entry(&webhook)]).await?;
        }
        tx.commit().await?;
        find(&db.connection, scope, id).await
    })
    .await
}
