//! Which URLs of a request become one task, and what such a task would cost at its vendor.
//!
//! A task is for one property at one CDN. Its URLs stay in the order in which they were written, but where a vendor takes
//! directories in calls of their own they come last, so that it gets two calls and not many. Pure. Called by `purge`.

use overseas_shared::cdn::Capabilities;
use overseas_shared::db::mapping::PurgePlace;
use overseas_shared::domain::{DomainName, Kind, PurgeUrl};
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
    kind: Kind,
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
    let mut parts: Vec<Part<'a>> = parts.into_values().collect();
    for part in &mut parts {
        part.urls.sort_by_key(|url| part.can.kind(kind.into(), url));
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use overseas_shared::cdn::registry;

    fn level3() -> Capabilities {
        registry::capabilities("level3").unwrap()
    }

    /// A host that is at two CDNs.
    fn places() -> Places {
        let place = |cdn_id: i64, cdn: &str| PurgePlace { cdn_id, cdn: cdn.to_owned(), property_id: Some(10 * cdn_id) };
        let host = DomainName::parse("a.example.com").unwrap();
        Places::from([(host, vec![place(1, "mixed"), place(2, "apart")])])
    }

    fn paths(urls: &[&PurgeUrl]) -> Vec<String> {
        urls.iter().map(|url| url.as_str().trim_start_matches("http://a.example.com").to_owned()).collect()
    }

    #[test]
    fn directories_come_last_where_a_vendor_takes_them_apart_and_stay_where_they_are_elsewhere() {
        let apart = Capabilities { directories_apart: true, ..level3() };
        let capabilities = HashMap::from([("mixed".to_owned(), level3()), ("apart".to_owned(), apart)]);
        let written = ["/z", "/img/", "/a", "/css/*", "/*.js", "/b"];
        let urls = written.map(|path| PurgeUrl::parse(&format!("http://a.example.com{path}")).unwrap());
        let places = places();
        let parts = split(Kind::Refresh, &urls, &places, &capabilities);
        assert_eq!(parts.iter().map(|part| part.cdn).collect::<Vec<_>>(), ["mixed", "apart"]);
        assert_eq!(paths(&parts[0].urls), written);
        assert_eq!(paths(&parts[1].urls), ["/z", "/a", "/*.js", "/b", "/img/", "/css/*"]);
    }
}
