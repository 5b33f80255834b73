//! What each CDN can do, and what its vendor takes today: `GET /level3/capabilities`.
//!
//! What a vendor can do is fixed with its client; its quotas are those that the workers last read. Zones are names of
//! customers' domains, so a user sees those only that its own domains at that CDN belong to.

use crate::auth::TaskReader;
use crate::error::{Answer, ApiError};
use crate::params::Params;
use crate::quotas::{self, StoredQuotas};
use crate::routes::Group;
use crate::routes::mappings::CdnIn;
use crate::state::{SharedState, State};
use overseas_shared::cdn::{Capabilities, PreloadSupport, Quota};
use overseas_shared::db::place::{DomainPlace, places};
use overseas_shared::domain::Scope;
use poem::web::Data;
use poem_openapi::{Object, OpenApi};
use serde::Serialize;

/// What a refresh may hold beside single URLs.
#[derive(Debug, Serialize, Object)]
pub struct RefreshSupportOut {
    /// Whether `*` may stand anywhere.
    wildcards: bool,
    /// Whether a URL may end in `/` or `/*`, which means the directory.
    directories: bool,
}

/// How usage is read.
#[derive(Debug, Serialize, Object)]
pub struct UsageSupportOut {
    /// Whether the vendor tells cities or other areas, or totals only.
    cities: bool,
    /// Seconds by which usage may be late.
    delay_seconds: i64,
}

/// What a vendor takes today of what it counts.
#[derive(Debug, Serialize, Object)]
pub struct QuotaOut {
    /// What is counted: `refresh_url`, `refresh_directory` or `preload`.
    kind: String,
    /// The vendor's zone that it is counted in; empty for the whole account.
    zone: String,
    /// The vendor's word for the part of the world that it is counted in, such as `mainland`; empty for all of it.
    area: String,
    /// Most URLs of one call to the vendor.
    batch: u64,
    /// Most URLs of a day.
    daily: u64,
    /// URLs that are left of it today.
    available: u64,
}

impl From<&Quota> for QuotaOut {
    fn from(quota: &Quota) -> Self {
        Self {
            kind: quota.kind.as_str().to_owned(),
            zone: quota.zone.clone(),
            area: quota.area.clone(),
            batch: quota.batch,
            daily: quota.daily,
            available: quota.available,
        }
    }
}

/// What a CDN can do.
#[derive(Debug, Serialize, Object)]
pub struct CapabilitiesOut {
    /// The CDN's name.
    cdn: String,
    /// Its vendor; null for a CDN that is not configured here, which can do nothing.
    vendor: Option<String>,
    /// What a refresh may hold; null where there is no refresh.
    refresh: Option<RefreshSupportOut>,
    /// How a preload is done: `native` by the vendor; `invalidate_then_fetch` by a refresh, after which each URL is requested
    /// through the CDN; or `none`.
    preload: String,
    /// Most URLs of one call to the vendor; null where that is told by the `batch` of its quotas. A request to this API may
    /// hold more, it is cut into several calls.
    urls_per_request: Option<u64>,
    /// How usage is read; null where it is not.
    usage: Option<UsageSupportOut>,
    /// Whether there are daily access logs.
    logs: bool,
    /// What the vendor takes today, as last read; empty where it counts nothing. A user sees the zones of its own domains only.
    quotas: Vec<QuotaOut>,
    /// When the quotas were read, in Unix seconds; null when they were not. Vendors start a new day at midnight in UTC+8.
    quotas_read_at: Option<i64>,
}

/// What the CDNs can do.
#[derive(Debug, Serialize, Object)]
pub struct CapabilitiesListOut {
    /// 0.
    err: u16,
    /// By name.
    results: Vec<CapabilitiesOut>,
}

/// Handlers.
pub struct CdnCapabilities;

#[OpenApi(tag = "Group::Tasks")]
impl CdnCapabilities {
    /// What each CDN can do, and what its vendor takes today
    ///
    /// A user sees the CDNs that it is mapped to, staff see all. A CDN that users are mapped to and that is not configured
    /// here is listed with a null `vendor`: it can do nothing.
    #[oai(path = "/level3/capabilities", method = "get", operation_id = "capabilities")]
    async fn capabilities(
        &self,
        state: Data<&SharedState>,
        caller: TaskReader,
        params: Params<CdnIn>,
    ) -> Result<Answer<CapabilitiesListOut>, ApiError> {
        let (scope, cdn) = (caller.0.scope(), params.0.cdn.as_deref());
        let mut known = quotas::stored(&state.db, scope, cdn).await?;
        let domains = match scope {
            Scope::User(_) => Some(places(&state.db, scope, None, cdn).await?),
            Scope::All => {
                // One that no worker has started with yet has no row.
                for name in state.config.cdn.keys().filter(|name| cdn.is_none_or(|cdn| cdn == name.as_str())) {
                    known.entry(name.clone()).or_default();
                }
                None
            }
        };
        let results = known.iter().map(|(cdn, stored)| shown(&state, cdn, stored, domains.as_deref()));
        Answer::new(&CapabilitiesListOut { err: 0, results: results.collect() })
    }
}

fn shown(state: &State, cdn: &str, stored: &StoredQuotas, domains: Option<&[DomainPlace]>) -> CapabilitiesOut {
    let can = state.capabilities.get(cdn);
    CapabilitiesOut {
        cdn: cdn.to_owned(),
        vendor: can.map(|can| can.vendor.to_owned()),
        refresh: can.map(|can| RefreshSupportOut { wildcards: can.wildcards, directories: can.directories }),
        preload: preload_word(can).to_owned(),
        urls_per_request: can.and_then(|can| can.urls_per_request).map(|most| most as u64),
        usage: can
            .and_then(|can| can.usage)
            .map(|usage| UsageSupportOut { cities: usage.cities, delay_seconds: usage.delay_seconds }),
        logs: state.has_logs(cdn),
        quotas: stored.quotas.iter().filter(|quota| may_see(domains, cdn, quota)).map(QuotaOut::from).collect(),
        quotas_read_at: stored.read_at,
    }
}

fn preload_word(can: Option<&Capabilities>) -> &'static str {
    match can.map(|can| can.preload) {
        Some(PreloadSupport::Native) => "native",
        Some(PreloadSupport::InvalidateThenFetch) => "invalidate_then_fetch",
        Some(PreloadSupport::None) | None => "none",
    }
}

/// Whether a quota is one of the account, or of a zone of the caller's; `domains` are all that it may see, or `None` for all.
fn may_see(domains: Option<&[DomainPlace]>, cdn: &str, quota: &Quota) -> bool {
    let Some(domains) = domains else { return true };
    quota.zone.is_empty() || domains.iter().any(|place| place.cdn == cdn && quota.covers(&place.domain))
}
