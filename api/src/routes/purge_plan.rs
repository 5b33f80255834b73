//! Which URLs of a request become one task, and what such a task would cost at its vendor.
//!
//! A task is for one property at one CDN; its URLs stay in the order in which they were written. Pure. Called by `purge`.

use overseas_shared::cdn::Capabilities;
use overseas_shared::db::mapping::PurgePlace;
use overseas_shared::domain::{DomainName, PurgeUrl};
use std::collections::{BTreeMap, HashMap};

/// Where each host leads; nowhere, if it is not the user's.
pub type Places = BTreeMap<DomainName, Vec<PurgePlace>>;

/// The URLs of one task.
pub struct Part<'a> {
    /// The CDN.
    pub cdn_id: i64,
    /// The CDN's name.
    pub cdn: &'a str,
    /// What the CDN can do.
    pub can: &'a Capabilities,
    /// The property that serves all of the URLs.
    pub property_id: i64,
    /// The URLs, in the task's order.
    pub urls: Vec<&'a PurgeUrl>,
}

/// One part for each property that is listed at a CDN that is configured.
#[must_use]
pub fn split<'a>(
    urls: &'a [PurgeUrl],
    places: &'a Places,
    capabilities: &'a HashMap<String, Capabilities>,
) -> Vec<Part<'a>> {
    let mut parts: BTreeMap<(i64, i64), Part<'a>> = BTreeMap::new();
    for url in urls {
        for place in places.get(url.host()).into_iter().flatten() {
            let (Some(property_id), Some(can)) = (place.property_id, capabilities.get(&place.cdn)) else { continue };
            let new = || Part { cdn_id: place.cdn_id, cdn: &place.cdn, can, property_id, urls: Vec::new() };
            parts.entry((place.cdn_id, property_id)).or_insert_with(new).urls.push(url);
        }
    }
    parts.into_values().collect()
}
