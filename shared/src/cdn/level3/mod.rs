//! Level 3, later CenturyLink and Lumen: the client of its Media Portal API.
//!
//! The vendor's tree is access group, service component, network identifier; outside of this folder
//! they are a group, a service and a property, and a property's `vendor_ref` is its path in that tree.
//! A purge is an invalidation; there is no preload, only an invalidation that forces a refetch. One
//! call is made in `call.rs`, an answer is read in `document.rs`, and what a refusal means is said in
//! `breaker.rs`. All facts: Level 3 Media Portal API help. Built by the registry.

mod breaker;
mod call;
mod decimal;
mod document;
mod groups;
mod invalidation;
mod key;
mod refusal;
mod services;
mod signature;
#[cfg(test)]
mod tests;
mod usage;

use self::breaker::Breaker;
use self::call::{Account, Call};
use self::document::Limits;
use self::signature::Signer;
use crate::cdn::delivery::Delivery;
use crate::cdn::setting::{self, SettingError};
use crate::cdn::{
    Accepted, AccountStatus, Action, CallGate, Capabilities, CatalogueGroup, CatalogueService, Cdn, CdnError,
    DeliveredLogs, LogSupport, OpenRequest, PreloadSupport, ProgressReport, PropertyAddress, UsageSupport, http,
};
use crate::clock::Clock;
use crate::config::CdnConfig;
use crate::domain::PurgeUrl;
use crate::domain::usage::{DAY_SECONDS, UsageReport, UsageWindow};
use async_trait::async_trait;
use chrono::NaiveDate;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Where the vendor's API is (Level 3 Media Portal API help; later also `ws.lumen.com`).
const BASE_URL: &str = "https://ws.level3.com";
/// The longest time-out and pause that a configuration can ask for: a day.
const LONGEST_SECONDS: u64 = 86_400;
/// How usage is read. Data arrive two to four hours late and are corrected for two to three days (Level 3 Media
/// Portal API help). That one call asks for no more than a day is our own choice: it bounds answer and memory.
const USAGE: UsageSupport = UsageSupport {
    delay_seconds: 4 * 3600,
    corrections_seconds: 3 * DAY_SECONDS,
    longest_window_seconds: DAY_SECONDS,
    cities: true,
};

/// What Level 3 can do.
#[must_use]
pub fn capabilities() -> Capabilities {
    Capabilities {
        vendor: "level3",
        urls_per_request: Some(invalidation::PATHS_PER_REQUEST),
        wildcards: true,
        directories: true,
        ftp: true,
        directories_apart: false,
        preload: PreloadSupport::InvalidateThenFetch,
        usage: Some(USAGE),
        logs: LogSupport::Delivery,
        finds_submitted: false,
    }
}

/// One account at Level 3.
pub struct Level3 {
    capabilities: Capabilities,
    account: Account,
    delivery: Option<Delivery>,
}

impl Level3 {
    /// Builds the client of one account; `name` is its key in the configuration. Makes no call.
    ///
    /// # Errors
    /// [`SettingError`] for a key id, secret or address that is missing or not usable.
    pub fn new(name: &str, config: &CdnConfig, gate: Arc<dyn CallGate>) -> Result<Self, SettingError> {
        let key_id = setting::required("key_id", config.key_id.as_deref())?;
        let secret = setting::required_secret("secret", config.secret.as_ref())?;
        if !key_id.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':') {
            let problem = "is not usable: it holds characters that cannot stand in a header";
            return Err(SettingError::new("key_id", problem));
        }
        if !key_id.bytes().all(|byte| byte.is_ascii_digit()) {
            tracing::warn!("cdn.{name}.key_id: Level 3's key ids are digits; this one is not");
        }
        let seconds = |seconds: u64| Duration::from_secs(seconds.min(LONGEST_SECONDS));
        let timeout = seconds(config.timeout_seconds.max(1));
        let base = setting::base_url(config, BASE_URL)?;
        let client = http::client(&base, timeout)
            .map_err(|error| SettingError::new("base_url", format!("cannot be called: {error}")))?;
        let account = Account {
            name: name.to_owned(),
            base,
            client,
            signer: Signer::new(key_id, secret),
            gate,
            max_concurrency: config.max_concurrency.max(1),
            breaker: Mutex::new(Breaker::new(seconds(config.rate_limit_pause_seconds))),
            clock: Clock::system(),
            limits: Limits::DEFAULT,
        };
        Ok(Self { capabilities: capabilities(), account, delivery: Delivery::open(config)? })
    }
}

impl fmt::Debug for Level3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Level3")
            .field("name", &self.account.name)
            .field("base", &self.account.base.as_str())
            .field("key_id", &self.account.signer.key_id())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Cdn for Level3 {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn account(&self) -> Result<AccountStatus, CdnError> {
        let call = Call { operation: "account", endpoint: "/key/v1.0", scope: "", query: None, body: None };
        let answer = self.account.call(call, key::Key::default()).await?;
        let clock_ahead_seconds = answer.clock_ahead_seconds;
        Ok(AccountStatus { clock_ahead_seconds, ..answer.visitor.finish()? })
    }

    async fn groups(&self) -> Result<Vec<CatalogueGroup>, CdnError> {
        let call = Call { operation: "groups", endpoint: "/accessGroups/v1.0", scope: "", query: None, body: None };
        self.account.call(call, groups::Groups::default()).await?.visitor.finish()
    }

    async fn services(&self, group: &CatalogueGroup) -> Result<Vec<CatalogueService>, CdnError> {
        let scope = format!("/{}", group.id);
        let call =
            Call { operation: "services", endpoint: "/services/cdn/v1.0", scope: &scope, query: None, body: None };
        self.account.call(call, services::Services::new(&group.id)).await?.visitor.finish()
    }

    async fn submit(
        &self,
        property: &PropertyAddress,
        action: Action,
        urls: &[PurgeUrl],
    ) -> Result<Accepted, CdnError> {
        let paths = invalidation::paths(action, urls)?;
        let call = Call {
            operation: "submit",
            endpoint: "/invalidations/v1.0",
            scope: &property.vendor_ref,
            // The API has no preload: a forced refetch is the nearest that it does.
            query: (action == Action::Preload).then_some("force=true"),
            body: Some(invalidation::body(&paths)),
        };
        let vendor_id = self.account.call(call, invalidation::Submitted::default()).await?.visitor.finish()?;
        Ok(Accepted { vendor_id, refused: Vec::new() })
    }

    async fn progress(&self, property: &PropertyAddress, requests: &[OpenRequest]) -> Result<ProgressReport, CdnError> {
        let call = Call {
            operation: "progress",
            endpoint: "/invalidations/v1.0",
            scope: &property.vendor_ref,
            query: None,
            body: None,
        };
        self.account.call(call, invalidation::Listed::new(requests)).await?.visitor.finish()
    }

    async fn usage(&self, property: &PropertyAddress, window: UsageWindow) -> Result<UsageReport, CdnError> {
        let query = usage::query(window, USAGE.longest_window_seconds)?;
        let call = Call {
            operation: "usage",
            endpoint: "/usage/cdn/v1.0",
            scope: &property.vendor_ref,
            query: Some(&query),
            body: None,
        };
        self.account.call(call, usage::Usage::new(window)).await?.visitor.finish()
    }

    async fn logs(
        &self,
        property: &PropertyAddress,
        date: NaiveDate,
        staging: &Path,
    ) -> Result<Box<dyn DeliveredLogs>, CdnError> {
        // The API has no call for logs: they are delivered as files, by the property's name.
        match &self.delivery {
            Some(delivery) => delivery.logs(&property.name, date, staging).await,
            None => Err(CdnError::Unsupported("no log delivery is configured: set cdn.<name>.logs".to_owned())),
        }
    }
}
