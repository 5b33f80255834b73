//! Zones, their domains and their quotas.
//!
//! Each list comes in pages and is read to its end within a bound. A domain that is being deployed serves with its old
//! settings. Called by `mod.rs`.

use super::wire::{Domain, DomainsIn, QuotaIn, QuotaOut, QuotaRow, Zone, ZonesIn};
use crate::cdn::tencent::cloud::Account;
use crate::cdn::{CatalogueProperty, CatalogueService, CdnError, Quota, QuotaKind};

/// Zones and domains that are asked for at a time, the vendor's most.
const ZONE_PAGE: usize = 100;
const DOMAIN_PAGE: usize = 200;
/// The one service of a zone.
const PRODUCT: &str = "edgeone";
/// Most of either that are read.
const MOST: usize = 100_000;

/// All zones of the account.
pub(super) async fn all(account: &Account) -> Result<Vec<Zone>, CdnError> {
    let request = ZonesIn { offset: 0, limit: ZONE_PAGE };
    Ok(account.call_pages("groups", "DescribeZones", "", request, MOST).await?.0)
}

/// The domains of a zone as one service.
pub(super) async fn services(account: &Account, zone: &str) -> Result<Vec<CatalogueService>, CdnError> {
    let request = DomainsIn { zone_id: zone, offset: 0, limit: DOMAIN_PAGE };
    let (domains, _) = account.call_pages("services", "DescribeAccelerationDomains", zone, request, MOST).await?;
    let property = |domain: Domain| {
        let status = domain.domain_status.map(|status| status.to_ascii_lowercase());
        CatalogueProperty {
            vendor_ref: format!("{zone}/{}", domain.domain_name),
            name: domain.domain_name,
            product: PRODUCT.to_owned(),
            active: matches!(status.as_deref(), Some("online" | "process")),
            caching: true,
            areas: Vec::new(),
        }
    };
    let properties = domains.into_iter().map(property).collect();
    Ok(vec![CatalogueService { id: PRODUCT.to_owned(), product: PRODUCT.to_owned(), properties }])
}

/// What may be done in a zone; the kinds that we do not use are left out.
pub(super) async fn quotas(account: &Account, zone: &str, name: &str) -> Result<Vec<Quota>, CdnError> {
    let answer: QuotaOut = account.call("quotas", "DescribeContentQuota", zone, &QuotaIn { zone_id: zone }).await?;
    let unsigned = |number: i64| u64::try_from(number).unwrap_or(0);
    let quota = |row: QuotaRow| {
        let kind = match row.kind.as_str() {
            "purge_url" => QuotaKind::RefreshUrl,
            "purge_prefix" => QuotaKind::RefreshDirectory,
            "prefetch_url" => QuotaKind::Preload,
            _ => return None,
        };
        Some(Quota {
            kind,
            zone: name.to_owned(),
            area: String::new(),
            batch: unsigned(row.batch),
            daily: unsigned(row.daily),
            available: unsigned(row.daily_available),
        })
    };
    Ok(answer.purge_quota.into_iter().chain(answer.prefetch_quota).filter_map(quota).collect())
}
