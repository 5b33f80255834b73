//! Tencent Cloud CDN (QCloud): the client of its API 3.0, version 2018-06-06.
//!
//! An account is one group; its services are the vendor's products (`cdn`, `ecdn`); a property is a domain and its
//! `vendor_ref` is the domain's name. A refresh is a purge of URLs or of directories, a preload is the vendor's own. Times
//! are UTC+8 (`time.rs`), statistics and quotas are counted for mainland China and overseas apart. What Tencent Cloud's
//! services have in common is in `cloud/`. Facts: the vendor's documentation and SDK. Built by the registry.

pub(in crate::cdn) mod cloud;
mod codes;
mod domains;
mod logs;
mod quota;
mod statistics;
mod tasks;
#[cfg(test)]
mod tests;
pub(in crate::cdn) mod time;
mod wire;

use self::cloud::{Account, Downloads, Remembered, Service};
use self::domains::Known;
use self::statistics::DistrictNames;
use crate::cdn::setting::SettingError;
use crate::cdn::{
    Accepted, AccountStatus, Action, CallGate, Capabilities, CatalogueGroup, CatalogueService, Cdn, CdnError,
    DeliveredLogs, FoundRequest, LogSupport, OpenRequest, PreloadSupport, ProgressReport, PropertyAddress, Quota,
    QuotaKind, UsageSupport,
};
use crate::config::CdnConfig;
use crate::domain::PurgeUrl;
use crate::domain::usage::{DAY_SECONDS, UsageReport, UsageWindow};
use async_trait::async_trait;
use chrono::NaiveDate;
use futures::{StreamExt, TryStreamExt};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

const SERVICE: Service =
    Service { name: "cdn", version: "2018-06-06", address: "https://cdn.tencentcloudapi.com", codes: codes::CODES };
const USAGE: UsageSupport = UsageSupport {
    delay_seconds: statistics::DELAY_SECONDS,
    corrections_seconds: 3 * DAY_SECONDS,
    longest_window_seconds: DAY_SECONDS,
    cities: true,
};
/// Tasks that are asked about at a time; the account's gate may allow fewer.
const TASKS_AT_A_TIME: usize = 3;

/// What the vendor can do.
#[must_use]
pub fn capabilities() -> Capabilities {
    Capabilities {
        vendor: "tencent",
        urls_per_request: None,
        wildcards: false,
        directories: true,
        ftp: false,
        directories_apart: true,
        preload: PreloadSupport::Native,
        usage: Some(USAGE),
        logs: LogSupport::Native,
        finds_submitted: true,
    }
}

/// An account at the vendor.
pub struct Tencent {
    capabilities: Capabilities,
    account: Account,
    downloads: Downloads,
    domains: Known,
    quotas: Remembered,
    districts: DistrictNames,
}

impl Tencent {
    /// The client of one account; `name` is its key in the configuration. Makes no call.
    ///
    /// # Errors
    /// [`SettingError`] for a setting that is missing or not usable.
    pub fn new(name: &str, config: &CdnConfig, gate: Arc<dyn CallGate>) -> Result<Self, SettingError> {
        let account = Account::new(name, config, gate, SERVICE)?;
        Ok(Self {
            capabilities: capabilities(),
            downloads: Downloads::new(config, account.base())?,
            account,
            domains: Known::default(),
            quotas: Remembered::default(),
            districts: DistrictNames::default(),
        })
    }
}

impl fmt::Debug for Tencent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tencent")
            .field("base", &self.account.base().as_str())
            .field("key_id", &self.account.key_id())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Cdn for Tencent {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn account(&self) -> Result<AccountStatus, CdnError> {
        let quotas = self.quotas().await?;
        let told = |quota: &Quota| {
            let (kind, area) = (quota.kind.as_str(), &quota.area);
            format!("{kind} {area} {} of {} left today", quota.available, quota.daily)
        };
        let summary = quotas.iter().map(told).collect::<Vec<_>>().join(", ");
        let clock_ahead_seconds = self.account.clock_ahead_seconds();
        Ok(AccountStatus {
            summary: format!("key {}: {summary}", self.account.key_id()),
            credits: None,
            clock_ahead_seconds,
        })
    }

    async fn groups(&self) -> Result<Vec<CatalogueGroup>, CdnError> {
        let (id, name) = ("account".to_owned(), "Tencent Cloud CDN".to_owned());
        Ok(vec![CatalogueGroup { id, name, parent: None }])
    }

    async fn services(&self, _group: &CatalogueGroup) -> Result<Vec<CatalogueService>, CdnError> {
        domains::services(&self.account).await
    }

    async fn quotas(&self) -> Result<Vec<Quota>, CdnError> {
        let quotas = quota::read(&self.account).await?;
        self.quotas.set(&quotas);
        Ok(quotas)
    }

    async fn batch_size(&self, property: &PropertyAddress, kind: QuotaKind) -> Result<usize, CdnError> {
        let reach = self.domains.of(&self.account, &property.vendor_ref).await?.reach;
        let counts = |quota: &Quota| reach.areas().contains(&quota.area.as_str()) || quota.area.is_empty();
        cloud::batch_size(&self.account, &self.quotas, kind, counts, quota::read(&self.account)).await
    }

    async fn submit(
        &self,
        property: &PropertyAddress,
        action: Action,
        urls: &[PurgeUrl],
    ) -> Result<Accepted, CdnError> {
        self.hand_over(&property.vendor_ref, action, urls).await
    }

    async fn find_submitted(
        &self,
        property: &PropertyAddress,
        kind: QuotaKind,
        since: i64,
    ) -> Result<Vec<FoundRequest>, CdnError> {
        self.submitted_since(&property.vendor_ref, kind, since).await
    }

    async fn progress(&self, property: &PropertyAddress, requests: &[OpenRequest]) -> Result<ProgressReport, CdnError> {
        // The vendor is asked about one task at a time.
        let mut asked = Vec::with_capacity(requests.len());
        for request in requests {
            asked.push(self.task_progress(&property.vendor_ref, request));
        }
        let found: Vec<_> = futures::stream::iter(asked).buffered(TASKS_AT_A_TIME).try_collect().await?;
        Ok(ProgressReport { listed: found.into_iter().flatten().collect(), is_full: false })
    }

    async fn usage(&self, property: &PropertyAddress, window: UsageWindow) -> Result<UsageReport, CdnError> {
        self.domain_usage(&property.vendor_ref, window).await
    }

    async fn logs(
        &self,
        property: &PropertyAddress,
        date: NaiveDate,
        _staging: &Path,
    ) -> Result<Box<dyn DeliveredLogs>, CdnError> {
        self.packages(&property.vendor_ref, date).await
    }
}
