//! The accounts at the vendors, opened from the configuration.
//!
//! Called once at the start of the worker and of the commands that call vendors.

use crate::observed::Observed;
use overseas_shared::cdn::registry::{self, RegistryError};
use overseas_shared::cdn::{CallGate, Cdn};
use overseas_shared::clock::Clock;
use overseas_shared::config::{CdnConfig, Config};
use overseas_shared::db::vendor::Seen;
use overseas_shared::db::{Database, DbError, catalogue};
use std::sync::{Arc, Mutex, PoisonError};

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
    seen: Arc<Mutex<Seen>>,
}

impl Account {
    /// What this process has seen of the vendor.
    #[must_use]
    pub fn seen(&self) -> Seen {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
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
    clock: &Clock,
) -> Result<Vec<Arc<Account>>, AccountError> {
    let mut accounts = Vec::new();
    for (name, settings) in &config.cdn {
        let client = registry::build(name, settings, Arc::clone(gate))?;
        let id = catalogue::ensure_cdn(db, name, clock.now()).await?;
        let seen = Arc::new(Mutex::new(Seen::default()));
        let client = Arc::new(Observed::new(name, client, clock.clone(), Arc::clone(&seen)));
        accounts.push(Arc::new(Account { id, name: name.clone(), client, config: settings.clone(), seen }));
    }
    Ok(accounts)
}
