//! How each account's vendor fares: the last good call, the last failure, the last reading of the catalogue, credits, pauses.
//!
//! Several workers write, each what it has seen; the newer one wins column by column. A row says nothing that the work
//! depends on. Called by the workers every few seconds, and by the handlers of vendors, capabilities and dry runs.

use crate::db::{Database, DbError, execute, retrying, rows};
use crate::domain::Scope;
use sea_orm::{FromQueryResult, Value};

/// What a worker has seen of an account since it last told; all times in UTC milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// The last call that succeeded.
    pub succeeded_at: Option<i64>,
    /// The last call that failed.
    pub failed_at: Option<i64>,
    /// What it was for.
    pub failed_operation: Option<String>,
    /// Why it failed.
    pub failure: Option<String>,
    /// When the catalogue was last read.
    pub synced_at: Option<i64>,
    /// Remaining credits, and when they were read.
    pub credits: Option<(i64, i64)>,
    /// Until when the account is left alone.
    pub paused_until: Option<i64>,
    /// What the vendor takes a day, as JSON, and when it was read.
    pub quotas: Option<(String, i64)>,
}

/// Writes what was seen, unless something newer is there.
///
/// # Errors
/// [`DbError`] when the change fails.
pub async fn note(db: &Database, cdn_id: i64, seen: &Seen) -> Result<(), DbError> {
    let insert = format!("{} INTO vendor_state (cdn_id) VALUES (?)", db.insert_new());
    // The conditions read the old values; MySQL assigns from left to right, hence the times come last.
    let update = "UPDATE vendor_state SET \
         failed_operation = CASE WHEN ? > COALESCE(failed_at, 0) THEN ? ELSE failed_operation END, \
         failure = CASE WHEN ? > COALESCE(failed_at, 0) THEN ? ELSE failure END, \
         failed_at = CASE WHEN ? > COALESCE(failed_at, 0) THEN ? ELSE failed_at END, \
         succeeded_at = CASE WHEN ? > COALESCE(succeeded_at, 0) THEN ? ELSE succeeded_at END, \
         synced_at = CASE WHEN ? > COALESCE(synced_at, 0) THEN ? ELSE synced_at END, \
         credits = CASE WHEN ? > COALESCE(credits_at, 0) THEN ? ELSE credits END, \
         credits_at = CASE WHEN ? > COALESCE(credits_at, 0) THEN ? ELSE credits_at END, \
         paused_until = CASE WHEN ? > COALESCE(paused_until, 0) THEN ? ELSE paused_until END, \
         quotas = CASE WHEN ? > COALESCE(quotas_at, 0) THEN ? ELSE quotas END, \
         quotas_at = CASE WHEN ? > COALESCE(quotas_at, 0) THEN ? ELSE quotas_at END \
         WHERE cdn_id = ?"
        .to_owned();
    let newer = |at: Option<i64>| Value::from(at.unwrap_or(0));
    let failure = seen.failure.as_deref().map(super::task::cut);
    let (credits, credits_at) = seen.credits.unzip();
    let (quotas, quotas_at) = seen.quotas.clone().unzip();
    let values: Vec<Value> = vec![
        newer(seen.failed_at),
        seen.failed_operation.clone().into(),
        newer(seen.failed_at),
        failure.into(),
        newer(seen.failed_at),
        seen.failed_at.into(),
        newer(seen.succeeded_at),
        seen.succeeded_at.into(),
        newer(seen.synced_at),
        seen.synced_at.into(),
        newer(credits_at),
        credits.into(),
        newer(credits_at),
        credits_at.into(),
        newer(seen.paused_until),
        seen.paused_until.into(),
        newer(quotas_at),
        quotas.into(),
        newer(quotas_at),
        quotas_at.into(),
        cdn_id.into(),
    ];
    retrying(|| async {
        if execute(&db.connection, update.clone(), values.clone()).await? == 0 {
            execute(&db.connection, insert.clone(), vec![cdn_id.into()]).await?;
            execute(&db.connection, update.clone(), values.clone()).await?;
        }
        Ok(())
    })
    .await
}

/// What is known of an account; all times in UTC milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct VendorState {
    /// The CDN's name.
    pub cdn: String,
    /// The last call that succeeded.
    pub succeeded_at: Option<i64>,
    /// The last call that failed.
    pub failed_at: Option<i64>,
    /// What it was for.
    pub failed_operation: Option<String>,
    /// Why it failed.
    pub failure: Option<String>,
    /// When the catalogue was last read.
    pub synced_at: Option<i64>,
    /// Remaining credits.
    pub credits: Option<i64>,
    /// Until when the account is left alone; may be over.
    pub paused_until: Option<i64>,
    /// What the vendor takes a day, as JSON.
    pub quotas: Option<String>,
    /// When that was read.
    pub quotas_at: Option<i64>,
    /// Tasks that wait to be handed over.
    pub queued: i64,
    /// Tasks that the vendor has.
    pub running: i64,
}

/// What is known of all accounts that there are rows for.
///
/// # Errors
/// [`DbError`] when the database cannot be asked.
pub async fn list(db: &Database) -> Result<Vec<VendorState>, DbError> {
    let open = |state: &str| {
        format!(
            "(SELECT COUNT(*) FROM task t WHERE t.cdn_id = c.id AND t.step IN ('submit', 'watch', 'fetch') AND t.state = '{state}')"
        )
    };
    let sql = format!(
        "SELECT c.name AS cdn, v.succeeded_at, v.failed_at, v.failed_operation, v.failure, v.synced_at, v.credits, v.paused_until, v.quotas, v.quotas_at, \
         {} AS queued, {} AS running FROM cdn c LEFT JOIN vendor_state v ON v.cdn_id = c.id ORDER BY c.name",
        open("queued"),
        open("running")
    );
    rows(&db.connection, sql, vec![]).await
}

/// What a vendor takes a day, as it was last read.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct QuotaState {
    /// The CDN's name.
    pub cdn: String,
    /// As JSON; `None` where nothing was read yet.
    pub quotas: Option<String>,
    /// When it was read; UTC milliseconds.
    pub quotas_at: Option<i64>,
}

/// The CDNs within the scope, of a user those that it is mapped to, with what their vendors take; all, or one of them.
///
/// # Errors
/// [`DbError`] when the database cannot be asked.
pub async fn quotas(db: &Database, scope: Scope, cdn: Option<&str>) -> Result<Vec<QuotaState>, DbError> {
    let mut sql = "SELECT c.name AS cdn, v.quotas, v.quotas_at FROM cdn c LEFT JOIN vendor_state v ON v.cdn_id = c.id \
                   WHERE 1 = 1"
        .to_owned();
    let mut values: Vec<Value> = Vec::new();
    if let Scope::User(id) = scope {
        sql.push_str(" AND c.id IN (SELECT cdn_id FROM user_cdn WHERE user_id = ?)");
        values.push(id.into());
    }
    if let Some(cdn) = cdn {
        sql.push_str(" AND c.name = ?");
        values.push(cdn.into());
    }
    rows(&db.connection, sql, values).await
}
