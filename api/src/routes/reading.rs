//! What the handlers that read about domains have in common: which domains are named, and that they are the caller's.
//!
//! Called by the handlers of statistics, logs and lists.

use crate::error::ApiError;
use crate::params::OneOrMany;
use overseas_shared::db::place::DomainPlace;
use overseas_shared::domain::DomainName;
use std::collections::BTreeSet;

/// Most domains that a message names.
const MOST_NAMED: usize = 20;

/// The domains that a request names, sorted and each once; those that are blank are left out.
///
/// # Errors
/// 400 for one that is no domain name.
pub fn read_domains(written: Option<OneOrMany>) -> Result<Vec<DomainName>, ApiError> {
    let names = written.map(|names| names.0).unwrap_or_default();
    let mut domains = BTreeSet::new();
    for name in names.iter().filter(|name| !name.trim().is_empty()) {
        domains.insert(DomainName::parse(name).map_err(|error| ApiError::wrong("domain", error))?);
    }
    Ok(domains.into_iter().collect())
}

/// Refuses domains that were not found within the caller's scope, the same for those that there are not.
///
/// # Errors
/// 404, which names them.
pub fn refuse_unknown(asked: &[DomainName], places: &[DomainPlace]) -> Result<(), ApiError> {
    let known: BTreeSet<&str> = places.iter().map(|place| place.domain.as_str()).collect();
    let unknown: Vec<&str> = asked.iter().map(DomainName::as_str).filter(|name| !known.contains(name)).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let named = unknown.iter().take(MOST_NAMED).copied().collect::<Vec<_>>().join(", ");
    let more = unknown.len().saturating_sub(MOST_NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Err(ApiError::NotFound(format!("domain: there is no domain {named}{more}")))
}

/// How many rows a page has: what is asked for, from 1 to `most`, or `usual`.
///
/// # Errors
/// 400 for any other number.
pub fn page_limit(asked: Option<i64>, usual: i64, most: i64) -> Result<u64, ApiError> {
    let limit = asked.unwrap_or(usual);
    if (1..=most).contains(&limit) {
        Ok(limit.unsigned_abs())
    } else {
        Err(ApiError::wrong("limit", format!("expected 1 to {most}")))
    }
}
