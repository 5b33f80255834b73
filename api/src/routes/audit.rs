//! The audit trail: `GET /level3/audit`; staff only.
//!
//! Who did what, from where, in which request; newest first, in pages.

use crate::auth::Staff;
use crate::error::{Answer, ApiError};
use crate::params::{Params, text, whole};
use crate::routes::reading::page_limit;
use crate::routes::{Group, shown_time};
use crate::state::SharedState;
use overseas_shared::db::audit::{self, Filter};
use poem::web::Data;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use serde::{Deserialize, Serialize};

/// Rows of a page unless `limit` says otherwise, and at most.
const PAGE: i64 = 200;
const MOST: i64 = 1000;

/// Which rows to list; what is left out does not narrow.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
#[oai(example)]
pub struct AuditIn {
    /// Who did it: an address, `trusted-network` or `command-line`.
    #[serde(deserialize_with = "text")]
    actor: Option<String>,
    /// The IP address it came from.
    #[serde(deserialize_with = "text")]
    address: Option<String>,
    /// What was done: `refresh`, `preload`, `login`, `logout`, `create_user`, `create_company`, `map_cdns`,
    /// `map_domains`, `set_domains`, `replace_domain`, `create_cdn`, `rename_cdn`, `create_superuser`,
    /// `reset_password`, `give_token`, `revoke_token`, `retry_tasks`, `cancel_tasks`.
    #[serde(deserialize_with = "text")]
    action: Option<String>,
    /// To whom or what: a user's address, a company's or a CDN's name.
    #[serde(deserialize_with = "text")]
    target: Option<String>,
    /// In which request: what the answer said in `X-Request-Id`.
    #[serde(deserialize_with = "text")]
    request_id: Option<String>,
    /// Not before this time, in Unix seconds.
    #[serde(deserialize_with = "whole")]
    since: Option<i64>,
    /// Before this time, in Unix seconds.
    #[serde(deserialize_with = "whole")]
    until: Option<i64>,
    /// Only rows older than the one with this id: the `next` of the page before.
    #[serde(deserialize_with = "whole")]
    before: Option<i64>,
    /// At most so many rows, 1 to 1000; 200 if left out.
    #[serde(deserialize_with = "whole")]
    limit: Option<i64>,
}

impl Example for AuditIn {
    fn example() -> Self {
        Self { action: Some("refresh".to_owned()), limit: Some(20), ..Self::default() }
    }
}

/// What somebody did.
#[derive(Debug, Serialize, Object)]
pub struct AuditEntryOut {
    /// Grows with time.
    id: i64,
    /// When, in the configured time zone.
    time: String,
    /// When, in Unix seconds.
    timestamp: i64,
    /// Who.
    actor: String,
    /// From which IP address.
    address: String,
    /// What.
    action: String,
    /// To whom or what.
    target: String,
    /// More about it.
    detail: String,
    /// In which request.
    request_id: String,
}

/// A page of the audit trail, newest first.
#[derive(Debug, Serialize, Object)]
pub struct AuditOut {
    /// 0.
    err: u16,
    /// The rows.
    results: Vec<AuditEntryOut>,
    /// What to send as `before` for the next page; missing on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[oai(skip_serializing_if_is_none)]
    next: Option<i64>,
}

/// Handlers.
pub struct Audit;

#[OpenApi(tag = "Group::Operations")]
impl Audit {
    /// Read the audit trail (staff)
    #[oai(path = "/level3/audit", method = "get", operation_id = "audit")]
    async fn audit(
        &self,
        state: Data<&SharedState>,
        _staff: Staff,
        params: Params<AuditIn>,
    ) -> Result<Answer<AuditOut>, ApiError> {
        let Params(wanted) = params;
        let limit = page_limit(wanted.limit, PAGE, MOST)?;
        let milliseconds = |seconds: i64| seconds.saturating_mul(1000);
        let filter = Filter {
            actor: wanted.actor,
            address: wanted.address,
            action: wanted.action,
            target: wanted.target,
            request_id: wanted.request_id,
            since: wanted.since.map(milliseconds),
            until: wanted.until.map(milliseconds),
            before: wanted.before,
            limit: limit + 1,
        };
        let mut found = audit::list(&state.db, &filter).await?;
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        let is_last = found.len() <= most;
        found.truncate(most);
        let next = found.last().filter(|_| !is_last).map(|entry| entry.id);
        let zone = state.config.time_zone;
        let shown = |entry: audit::Entry| AuditEntryOut {
            id: entry.id,
            time: shown_time(entry.at, zone),
            timestamp: entry.at.div_euclid(1000),
            actor: entry.actor,
            address: entry.address,
            action: entry.action,
            target: entry.target,
            detail: entry.detail,
            request_id: entry.request_id,
        };
        Answer::new(&AuditOut { err: 0, results: found.into_iter().map(shown).collect(), next })
    }
}
