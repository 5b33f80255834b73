//! The accounts at the vendors, opened from the configuration.
//!
//! Called once at the start of the worker and of the commands that call vendors.

use overseas_shared::cdn::registry::{self, RegistryError};
use overseas_shared::cdn::{CallGate, Cdn};
use overseas_shared::config::{CdnConfig, Config};
use overseas_shared::db::{Database, DbError, catalogue};
use std::sync::Arc;

/// One account at one vendor.
pub struct Account {
    /// The row in `cdn`.
    pub id: i64,
    /// The name that users see.
    pub name: String,
    /// The client.
    pub client: Arc<dyn Cdn>,
    /// Its settings.
    pub config: CdnConfig,
}

/// Why an account cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// A setting is missing or wrong.
    #[error(transparent)]
    Setting(#[from] RegistryError),
    /// The row of the CDN cannot be read or made.
    #[error(transparent)]
    Database(#[from] DbError),
}

/// Opens all configured accounts and makes their rows where they are new.
///
/// # Errors
/// [`AccountError`], which names the setting.
pub async fn open_accounts(
    config: &Config,
    db: &Database,
    gate: &Arc<dyn CallGate>,
    now: i64,
) -> Result<Vec<Arc<Account>>, AccountError> {
    let mut accounts = Vec::new();
    for (name, settings) in &config.cdn {
        let client = registry::build(name, settings, Arc::clone(gate))?;
        let id = catalogue::ensure_cdn(db, name, now).await?;
        accounts.push(Arc::new(Account { id, name: name.clone(), client, config: settings.clone() }));
    }
    Ok(accounts)
}
