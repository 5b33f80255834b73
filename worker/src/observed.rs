//! What a worker sees of each vendor while it works, for staff who ask how the vendors fare.
//!
//! A decorator around an account's client notes how every call ended; a loop writes what is new every few seconds. It
//! changes nothing of what the calls do. A failure that is the customer's (URLs that are refused) is no failure of the
//! vendor. Made by `open_accounts`; the loop is started by the worker.

use crate::account::Account;
use async_trait::async_trait;
use chrono::NaiveDate;
use overseas_shared::cdn::{
    Accepted, AccountStatus, Action, Capabilities, CatalogueGroup, CatalogueService, Cdn, CdnError, DeliveredLogs,
    FoundRequest, OpenRequest, ProgressReport, PropertyAddress, Quota, QuotaKind,
};
use overseas_shared::clock::Clock;
use overseas_shared::db::Database;
use overseas_shared::db::vendor::{self, Seen};
use overseas_shared::domain::PurgeUrl;
use overseas_shared::domain::usage::{UsageReport, UsageWindow};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Between two writes of what was seen.
const EVERY: Duration = Duration::from_secs(3);

/// A client whose calls are watched.
pub(crate) struct Observed {
    name: String,
    client: Arc<dyn Cdn>,
    clock: Clock,
    seen: Arc<Mutex<Seen>>,
}

impl Observed {
    /// Watches a client; what is seen is put into `seen`.
    pub(crate) fn new(name: &str, client: Arc<dyn Cdn>, clock: Clock, seen: Arc<Mutex<Seen>>) -> Self {
        Self { name: name.to_owned(), client, clock, seen }
    }

    #[expect(clippy::cast_precision_loss, reason = "gauges")]
    fn measure(&self, quotas: &[Quota]) {
        for quota in quotas {
            let labels = [
                ("cdn", self.name.clone()),
                ("kind", quota.kind.as_str().to_owned()),
                ("area", quota.area.clone()),
                ("zone", quota.zone.clone()),
            ];
            metrics::gauge!("overseas_vendor_quota_available", &labels).set(quota.available as f64);
            metrics::gauge!("overseas_vendor_quota_daily", &labels).set(quota.daily as f64);
        }
    }

    fn note<T>(&self, operation: &str, outcome: Result<T, CdnError>) -> Result<T, CdnError> {
        let now = self.clock.now();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match &outcome {
            Ok(_) => seen.succeeded_at = Some(now),
            Err(error) if error.is_final() || matches!(error, CdnError::QuotaExhausted { .. }) => {}
            Err(error) => {
                seen.failed_at = Some(now);
                seen.failed_operation = Some(operation.to_owned());
                seen.failure = Some(error.to_string());
                if let Some(pause) = error.account_pause() {
                    let until = now + i64::try_from(pause.as_millis()).unwrap_or(0);
                    seen.paused_until = seen.paused_until.max(Some(until));
                }
            }
        }
        outcome
    }
}

#[async_trait]
impl Cdn for Observed {
    fn capabilities(&self) -> &Capabilities {
        self.client.capabilities()
    }

    async fn account(&self) -> Result<AccountStatus, CdnError> {
        let status = self.note("account", self.client.account().await)?;
        if let Some(credits) = status.credits {
            let now = self.clock.now();
            self.seen.lock().unwrap_or_else(PoisonError::into_inner).credits = Some((credits, now));
            #[expect(clippy::cast_precision_loss, reason = "a gauge")]
            metrics::gauge!("overseas_vendor_credits", "cdn" => self.name.clone()).set(credits as f64);
        }
        Ok(status)
    }

    async fn groups(&self) -> Result<Vec<CatalogueGroup>, CdnError> {
        let groups = self.note("groups", self.client.groups().await)?;
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).synced_at = Some(self.clock.now());
        Ok(groups)
    }

    async fn services(&self, group: &CatalogueGroup) -> Result<Vec<CatalogueService>, CdnError> {
        self.note("services", self.client.services(group).await)
    }

    async fn submit(
        &self,
        property: &PropertyAddress,
        action: Action,
        urls: &[PurgeUrl],
    ) -> Result<Accepted, CdnError> {
        self.note("submit", self.client.submit(property, action, urls).await)
    }

    async fn quotas(&self) -> Result<Vec<Quota>, CdnError> {
        let quotas = self.note("quotas", self.client.quotas().await)?;
        self.measure(&quotas);
        match serde_json::to_string(&quotas) {
            Ok(text) => {
                let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
                seen.quotas = Some((text, self.clock.now()));
            }
            Err(error) => tracing::debug!(cdn = self.name, %error, "quotas that cannot be written as JSON"),
        }
        Ok(quotas)
    }

    async fn batch_size(&self, property: &PropertyAddress, kind: QuotaKind) -> Result<usize, CdnError> {
        // Mostly answered from memory, which says nothing of the vendor.
        let outcome = self.client.batch_size(property, kind).await;
        if outcome.is_err() { self.note("quotas", outcome) } else { outcome }
    }

    async fn find_submitted(
        &self,
        property: &PropertyAddress,
        kind: QuotaKind,
        since: i64,
    ) -> Result<Vec<FoundRequest>, CdnError> {
        self.note("find_submitted", self.client.find_submitted(property, kind, since).await)
    }

    async fn progress(&self, property: &PropertyAddress, requests: &[OpenRequest]) -> Result<ProgressReport, CdnError> {
        self.note("progress", self.client.progress(property, requests).await)
    }

    async fn usage(&self, property: &PropertyAddress, window: UsageWindow) -> Result<UsageReport, CdnError> {
        self.note("usage", self.client.usage(property, window).await)
    }

    async fn logs(
        &self,
        property: &PropertyAddress,
        date: NaiveDate,
        staging: &Path,
    ) -> Result<Box<dyn DeliveredLogs>, CdnError> {
        self.note("logs", self.client.logs(property, date, staging).await)
    }
}

/// Writes what is new, now and then, until `stop`, and once more then.
pub(crate) async fn run(db: Database, accounts: Vec<Arc<Account>>, stop: CancellationToken) {
    let mut written = vec![Seen::default(); accounts.len()];
    loop {
        let stopping = tokio::select! {
            () = stop.cancelled() => true,
            () = tokio::time::sleep(EVERY) => false,
        };
        write(&db, &accounts, &mut written).await;
        if stopping {
            return;
        }
    }
}

async fn write(db: &Database, accounts: &[Arc<Account>], written: &mut [Seen]) {
    for (account, written) in accounts.iter().zip(written) {
        let seen = account.seen();
        if seen == *written {
            continue;
        }
        match vendor::note(db, account.id, &seen).await {
            Ok(()) => *written = seen,
            Err(error) => tracing::debug!(cdn = account.name, %error, "how the vendor fares could not be written"),
        }
    }
}

impl Account {
    /// Writes what was seen of the vendor so far; the worker's loop does it by itself.
    ///
    /// # Errors
    /// [`overseas_shared::db::DbError`] when the change fails.
    pub async fn write_seen(&self, db: &Database) -> Result<(), overseas_shared::db::DbError> {
        vendor::note(db, self.id, &self.seen()).await
    }
}
