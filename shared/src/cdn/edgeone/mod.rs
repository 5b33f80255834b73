//! Tencent Cloud EdgeOne (TEO): the client of its API 3.0, version 2022-09-01.
//!
//! An account is its zones, each a group with one service; a property is an acceleration domain and its `vendor_ref` is
//! `<zone id>/<domain>`, since calls are about a zone. The signature, the envelope and the errors are those of all
//! Tencent Cloud services (`tencent::cloud`); quotas are counted by zone, times carry an offset, and a call may take some of
//! its targets and refuse others. Facts: the vendor's documentation and SDK. Built by the registry.

mod codes;
mod statistics;
mod tasks;
#[cfg(test)]
mod tests;
mod wire;
mod zones;

use self::wire::{LogRow, LogsIn, ZonesIn, ZonesOut};
use crate::cdn::setting::SettingError;
use crate::cdn::tencent::cloud::{Account, Downloads, Package, Packages, Remembered, Service, batch_size};
use crate::cdn::{
    Accepted, AccountStatus, Action, CallGate, Capabilities, CatalogueGroup, CatalogueService, Cdn, CdnError,
    DeliveredLogs, FoundRequest, LineLayout, LogSupport, OpenRequest, PreloadSupport, ProgressReport, PropertyAddress,
    Quota, QuotaKind, UsageSupport,
};
use crate::config::CdnConfig;
use crate::domain::PurgeUrl;
use crate::domain::usage::{DAY_SECONDS, UsageReport, UsageWindow};
use async_trait::async_trait;
use chrono::{DateTime, NaiveDate, NaiveTime, SecondsFormat};
use futures::{StreamExt, TryStreamExt};
use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

const SERVICE: Service =
    Service { name: "teo", version: "2022-09-01", address: "https://teo.tencentcloudapi.com", codes: codes::CODES };
const USAGE: UsageSupport = UsageSupport {
    delay_seconds: statistics::DELAY_SECONDS,
    corrections_seconds: DAY_SECONDS,
    longest_window_seconds: DAY_SECONDS,
    cities: true,
};
/// Jobs that are asked about at a time; the account's gate may allow fewer.
const JOBS_AT_A_TIME: usize = 3;
/// Packages of logs that are asked for at a time, the vendor's most, and most of a day.
const LOG_PAGE: usize = 300;
/// A line is a JSON object.
const LOG_LAYOUT: LineLayout = LineLayout::Json { time: "RequestTime" };
const MOST_PACKAGES: usize = 20_000;

/// What the vendor can do.
#[must_use]
pub fn capabilities() -> Capabilities {
    Capabilities {
        vendor: "edgeone",
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
pub struct EdgeOne {
    capabilities: Capabilities,
    account: Account,
    downloads: Downloads,
    /// By zone id.
    quotas: Mutex<HashMap<String, Arc<Remembered>>>,
}

/// A domain and the zone that it is in.
#[derive(Debug, Clone, Copy)]
struct Place<'a> {
    zone: &'a str,
    domain: &'a str,
}

impl EdgeOne {
    /// The client of one account; `name` is its key in the configuration. Makes no call.
    ///
    /// # Errors
    /// [`SettingError`] for a setting that is missing or not usable.
    pub fn new(name: &str, config: &CdnConfig, gate: Arc<dyn CallGate>) -> Result<Self, SettingError> {
        let account = Account::new(name, config, gate, SERVICE)?;
        let downloads = Downloads::new(config, account.base())?;
        Ok(Self { capabilities: capabilities(), account, downloads, quotas: Mutex::default() })
    }

    fn remembered(&self, zone: &str) -> Arc<Remembered> {
        let mut zones = self.quotas.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(zones.entry(zone.to_owned()).or_default())
    }

    async fn packages(&self, place: Place<'_>, date: NaiveDate) -> Result<Packages, CdnError> {
        let day = date.and_time(NaiveTime::MIN).and_utc().timestamp();
        let end = day + DAY_SECONDS;
        let (start_time, end_time) = (written(day), written(end - 1));
        let request = LogsIn {
            start_time: &start_time,
            end_time: &end_time,
            zone_ids: [place.zone],
            domains: [place.domain],
            offset: 0,
            limit: LOG_PAGE,
        };
        let (rows, _) = self.account.call_pages("logs", "DownloadL7Logs", place.domain, request, MOST_PACKAGES).await?;
        let packages = rows.into_iter().map(package).collect::<Result<_, _>>()?;
        Ok(Packages::new(&self.downloads, LOG_LAYOUT, packages, (day, end)))
    }
}

fn package(row: LogRow) -> Result<Package, CdnError> {
    let begins_at = row.log_start_time.as_deref().and_then(read).or(row.log_time);
    let begins_at = begins_at
        .ok_or_else(|| CdnError::Unreadable(format!("{} has no time that can be read", row.log_packet_name)))?;
    let name = format!("{}-{}.gz", row.log_packet_name, row.area.as_deref().unwrap_or("global"));
    Ok(Package { name, begins_at, size: row.size, link: row.url })
}

impl fmt::Debug for EdgeOne {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EdgeOne")
            .field("base", &self.account.base().as_str())
            .field("key_id", &self.account.key_id())
            .finish_non_exhaustive()
    }
}

/// Reads a property's address.
fn place(property: &PropertyAddress) -> Result<Place<'_>, CdnError> {
    let parts = property.vendor_ref.split_once('/');
    let (zone, domain) =
        parts.ok_or_else(|| CdnError::UnknownProperty(format!("{} is no zone and domain", property.vendor_ref)))?;
    Ok(Place { zone, domain })
}

/// A time as the vendor takes it; `at` in Unix seconds.
fn written(at: i64) -> String {
    DateTime::from_timestamp(at, 0).unwrap_or_default().to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Unix seconds of a time that the vendor wrote.
fn read(text: &str) -> Option<i64> {
    DateTime::parse_from_rfc3339(text.trim()).ok().map(|at| at.timestamp())
}

#[async_trait]
impl Cdn for EdgeOne {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn account(&self) -> Result<AccountStatus, CdnError> {
        let request = ZonesIn { offset: 0, limit: 1 };
        let answer: ZonesOut = self.account.call("account", "DescribeZones", "", &request).await?;
        let zones = answer.total_count.unwrap_or(answer.zones.len());
        let summary = format!("key {}: {zones} zones", self.account.key_id());
        Ok(AccountStatus { summary, credits: None, clock_ahead_seconds: self.account.clock_ahead_seconds() })
    }

    async fn groups(&self) -> Result<Vec<CatalogueGroup>, CdnError> {
        let zones = zones::all(&self.account).await?;
        let group = |zone: wire::Zone| CatalogueGroup { id: zone.zone_id, name: zone.zone_name, parent: None };
        Ok(zones.into_iter().map(group).collect())
    }

    async fn services(&self, group: &CatalogueGroup) -> Result<Vec<CatalogueService>, CdnError> {
        zones::services(&self.account, &group.id).await
    }

    async fn quotas(&self) -> Result<Vec<Quota>, CdnError> {
        let mut all = Vec::new();
        for zone in zones::all(&self.account).await? {
            let quotas = zones::quotas(&self.account, &zone.zone_id, &zone.zone_name).await?;
            self.remembered(&zone.zone_id).set(&quotas);
            all.extend(quotas);
        }
        Ok(all)
    }

    async fn batch_size(&self, property: &PropertyAddress, kind: QuotaKind) -> Result<usize, CdnError> {
        let zone = place(property)?.zone;
        let read = zones::quotas(&self.account, zone, zone);
        batch_size(&self.account, &self.remembered(zone), kind, |_| true, read).await
    }

    async fn submit(
        &self,
        property: &PropertyAddress,
        action: Action,
        urls: &[PurgeUrl],
    ) -> Result<Accepted, CdnError> {
        self.hand_over(place(property)?, action, urls).await
    }

    async fn find_submitted(
        &self,
        property: &PropertyAddress,
        kind: QuotaKind,
        since: i64,
    ) -> Result<Vec<FoundRequest>, CdnError> {
        self.submitted_since(place(property)?, kind, since).await
    }

    async fn progress(&self, property: &PropertyAddress, requests: &[OpenRequest]) -> Result<ProgressReport, CdnError> {
        let place = place(property)?;
        // The vendor is asked about one job at a time.
        let mut asked = Vec::with_capacity(requests.len());
        for request in requests {
            asked.push(self.job_progress(place, request));
        }
        let found: Vec<_> = futures::stream::iter(asked).buffered(JOBS_AT_A_TIME).try_collect().await?;
        Ok(ProgressReport { listed: found.into_iter().flatten().collect(), is_full: false })
    }

    async fn usage(&self, property: &PropertyAddress, window: UsageWindow) -> Result<UsageReport, CdnError> {
        match self.domain_usage(place(property)?, window).await {
            // Older than the zone's plan keeps: there is nothing, and there will be nothing.
            Err(CdnError::Unsupported(_)) => Ok(UsageReport::new(window)),
            outcome => outcome,
        }
    }

    async fn logs(
        &self,
        property: &PropertyAddress,
        date: NaiveDate,
        _staging: &Path,
    ) -> Result<Box<dyn DeliveredLogs>, CdnError> {
        Ok(Box::new(self.packages(place(property)?, date).await?))
    }
}
