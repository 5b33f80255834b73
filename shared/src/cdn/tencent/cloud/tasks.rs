//! Requests and their rows, as far as they are the same at all services: what is sent of URLs, how far rows say that a
//! request is, and which requests rows are of.
//!
//! A request has a row for each URL, and perhaps for each area. Rows come in pages, so one may come twice. Pure. Called by
//! the clients of the services.

use crate::cdn::{Action, CdnError, FoundRequest, Progress, QuotaKind, directory};
use crate::domain::{PurgeUrl, UrlFailure};
use std::collections::{BTreeMap, BTreeSet};

/// URLs as a service takes them.
pub(in crate::cdn) struct Targets<'a> {
    /// What all of them are.
    pub(in crate::cdn) kind: QuotaKind,
    /// Directories with their `/` and without a `*`.
    pub(in crate::cdn) texts: Vec<&'a str>,
    /// `true` where the service has to encode characters; left out otherwise.
    pub(in crate::cdn) encode: Option<bool>,
}

impl<'a> Targets<'a> {
    /// Of URLs that are all of one kind.
    ///
    /// # Errors
    /// [`CdnError::Rejected`] for none, and for those that need calls of their own.
    pub(in crate::cdn) fn new(action: Action, urls: &'a [PurgeUrl]) -> Result<Self, CdnError> {
        let kind = urls.first().map(|url| QuotaKind::of(action, url));
        let kind = kind.ok_or_else(|| CdnError::Rejected("no URL was given".to_owned()))?;
        if urls.iter().any(|url| QuotaKind::of(action, url) != kind) {
            return Err(CdnError::Rejected("objects and directories go in calls of their own".to_owned()));
        }
        let texts: Vec<&str> = urls.iter().map(|url| directory(url).unwrap_or(url.as_str())).collect();
        let encode = (!texts.iter().all(|text| text.is_ascii())).then_some(true);
        Ok(Self { kind, texts, encode })
    }
}

/// How a row stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cdn) enum Standing {
    /// It runs and is as far as this, at most 99.
    Under(u8),
    Done,
    /// It failed, for this reason.
    Failed(String),
}

impl Standing {
    /// The one that is less far: what runs in one area has not ended, and what failed in one has not gone well.
    fn less(self, other: Self) -> Self {
        match (self, other) {
            (Self::Under(one), Self::Under(other)) => Self::Under(one.min(other)),
            (Self::Under(percent), _) | (_, Self::Under(percent)) => Self::Under(percent),
            (Self::Failed(reason), _) | (_, Self::Failed(reason)) => Self::Failed(reason),
            (Self::Done, Self::Done) => Self::Done,
        }
    }
}

/// How far a request is by its rows, each with its URL and area, of which the service counts `total`; `None` without any.
/// Rows that are counted and did not come have not ended; of those that came twice the one that is less far counts.
pub(in crate::cdn) fn progress<'a>(
    vendor_id: &str,
    rows: impl Iterator<Item = (&'a str, &'a str, Standing)>,
    total: usize,
) -> Option<Progress> {
    let mut by_row: BTreeMap<(&str, &str), Standing> = BTreeMap::new();
    let mut came = 0;
    for (url, area, standing) in rows {
        came += 1;
        let standing = match by_row.remove(&(url, area)) {
            Some(known) => known.less(standing),
            None => standing,
        };
        by_row.insert((url, area), standing);
    }
    if by_row.is_empty() {
        return None;
    }
    let total = total.saturating_sub(came - by_row.len()).max(1);
    let (mut sum, mut ended, mut failed_urls) = (0_usize, 0, Vec::<UrlFailure>::new());
    for ((url, _), standing) in by_row {
        match standing {
            Standing::Under(percent) => sum += usize::from(percent),
            Standing::Done => (sum, ended) = (sum + 100, ended + 1),
            Standing::Failed(reason) => {
                (sum, ended) = (sum + 100, ended + 1);
                if failed_urls.last().is_none_or(|last| last.url != url) {
                    failed_urls.push(UrlFailure { url: url.to_owned(), reason });
                }
            }
        }
    }
    let percent = if ended >= total { 100 } else { u8::try_from((sum / total).min(99)).unwrap_or(99) };
    Some(Progress { vendor_id: vendor_id.to_owned(), percent, failure: None, failed_urls })
}

/// The requests that rows are of, each with its id, when it was made (Unix seconds of the vendor's clock, which is so many
/// seconds `ahead` of ours), and its URL. Rows that do not say so are left out.
pub(in crate::cdn) fn requests_of(
    rows: impl Iterator<Item = (String, Option<i64>, String)>,
    ahead: i64,
) -> Vec<FoundRequest> {
    let mut found: BTreeMap<String, (i64, BTreeSet<String>)> = BTreeMap::new();
    for (vendor_id, created, url) in rows.filter(|(vendor_id, ..)| !vendor_id.is_empty()) {
        let Some(created) = created else { continue };
        let (accepted_at, urls) = found.entry(vendor_id).or_insert((i64::MAX, BTreeSet::new()));
        *accepted_at = (created - ahead).min(*accepted_at);
        urls.insert(url);
    }
    let request = |(vendor_id, (accepted_at, urls))| FoundRequest { vendor_id, accepted_at, urls };
    found.into_iter().map(request).collect()
}
