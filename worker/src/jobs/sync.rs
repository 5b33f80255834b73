//! Keeping our copy of the vendors' catalogues: groups (`sync-ag`), then services and properties (`sync-service`).
//!
//! What cannot be read is left as it was and said; one account or group that fails does not hold the
//! others back. Scheduled at the start and every half hour; also run as commands.

use crate::account::Account;
use overseas_shared::cdn::{CatalogueGroup, CatalogueProperty, CatalogueService, CdnError};
use overseas_shared::clock::Clock;
use overseas_shared::db::{Database, DbError, catalogue};
use overseas_shared::domain::DomainName;
use overseas_shared::domain::catalogue::{Group, Property, Service};

/// Why a catalogue could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The vendor did not tell.
    #[error("{cdn}: {what}: {error}")]
    Vendor {
        /// The account.
        cdn: String,
        /// What was asked for.
        what: String,
        /// The vendor's failure.
        error: CdnError,
    },
    /// The rows could not be written.
    #[error(transparent)]
    Database(#[from] DbError),
}

/// What a synchronisation found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SyncReport {
    /// Groups read.
    pub groups: usize,
    /// Properties read.
    pub properties: usize,
}

/// Reads all groups of an account.
///
/// # Errors
/// [`SyncError`]; then nothing is changed.
pub async fn groups(db: &Database, clock: &Clock, account: &Account) -> Result<SyncReport, SyncError> {
    let failed = |error| SyncError::Vendor { cdn: account.name.clone(), what: "access groups".to_owned(), error };
    let listed = account.client.groups().await.map_err(failed)?;
    let rows: Vec<Group> = listed
        .into_iter()
        .map(|group| Group { vendor_id: group.id, name: cut(&group.name), parent_vendor_id: group.parent })
        .collect();
    catalogue::store_groups(db, account.id, &rows, clock.now()).await?;
    catalogue::unlist_orphans(db, account.id).await?;
    tracing::info!(cdn = account.name, groups = rows.len(), "access groups read");
    Ok(SyncReport { groups: rows.len(), properties: 0 })
}

/// Reads the services and properties of all known groups of an account. The first failure is
/// returned after all groups were tried.
///
/// # Errors
/// [`SyncError`]; the groups that could be read are written.
pub async fn services(db: &Database, clock: &Clock, account: &Account) -> Result<SyncReport, SyncError> {
    let mut report = SyncReport::default();
    let mut first_failure = None;
    for row in catalogue::groups(db, account.id).await? {
        let group =
            CatalogueGroup { id: row.group.vendor_id, name: row.group.name, parent: row.group.parent_vendor_id };
        match account.client.services(&group).await {
            Ok(listed) => {
                let services: Vec<Service> = listed.into_iter().map(to_service).collect();
                report.groups += 1;
                report.properties += services.iter().map(|service| service.properties.len()).sum::<usize>();
                catalogue::store_services(db, account.id, row.id, &services, clock.now()).await?;
            }
            Err(error) => {
                tracing::warn!(cdn = account.name, group = group.id, %error, "the services of a group could not be read");
                let pause = error.account_pause();
                let what = format!("services of {}", group.id);
                first_failure.get_or_insert(SyncError::Vendor { cdn: account.name.clone(), what, error });
                if let Some(pause) = pause {
                    tokio::time::sleep(pause.min(std::time::Duration::from_secs(30))).await;
                }
            }
        }
    }
    tracing::info!(cdn = account.name, groups = report.groups, properties = report.properties, "services read");
    first_failure.map_or(Ok(report), Err)
}

fn to_service(listed: CatalogueService) -> Service {
    Service {
        vendor_id: listed.id,
        product: listed.product,
        properties: listed.properties.into_iter().map(to_property).collect(),
    }
}

/// A caching property is known by its domain; one whose name is no domain cannot be refreshed.
fn to_property(listed: CatalogueProperty) -> Property {
    let domain = DomainName::parse(&listed.name).ok();
    Property {
        caching: listed.caching && domain.is_some(),
        name: domain.map_or_else(|| cut(&listed.name), |domain| domain.as_str().to_owned()),
        vendor_ref: listed.vendor_ref,
        product: listed.product,
        active: listed.active,
        areas: listed.areas.join(","),
    }
}

fn cut(text: &str) -> String {
    text.chars().take(255).collect()
}
