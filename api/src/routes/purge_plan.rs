//! Which URLs of a request become one task, and what such a task would cost at its vendor.
//!
//! A task is for one property at one CDN. Its URLs stay in the order in which they were written, but where a vendor takes
//! directories in calls of their own they come last, so that it gets two calls and not many. What a task would cost is
//! counted against the quotas that the workers last read. Pure. Called by `purge`.

use crate::quotas::StoredQuotas;
use overseas_shared::cdn::{Capabilities, Quota, QuotaKind};
use overseas_shared::db::mapping::PurgePlace;
use overseas_shared::domain::{DomainName, Kind, PurgeUrl};
use poem_openapi::Object;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};

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

/// A task that would be made.
#[derive(Debug, PartialEq, Eq, Serialize, Object)]
pub struct PlanOut {
    /// The CDN.
    cdn: String,
    /// Its vendor.
    vendor: String,
    /// The domains that the URLs are of.
    domains: Vec<String>,
    /// The URLs, joined by `|`, in the order in which the task would hold them.
    url: String,
    /// Calls to the vendor that the task takes if it goes alone; null where the vendor tells how many URLs a call takes and
    /// that was not read yet.
    requests: Option<u64>,
    /// What of it is counted: one row for each kind of URL, and where the vendor has quotas, for each that is charged.
    costs: Vec<CostOut>,
    /// When the vendor was last asked for its quotas, in Unix seconds; null when it was not, or has none.
    quotas_read_at: Option<i64>,
}

/// What a task would cost of a quota.
#[derive(Debug, PartialEq, Eq, Serialize, Object)]
pub struct CostOut {
    /// What is counted: `refresh_url`, `refresh_directory` or `preload`.
    kind: String,
    /// URLs of that kind.
    urls: u64,
    /// Calls to the vendor that they take; null where that is not known.
    requests: Option<u64>,
    /// The vendor's word for the part of the world that the quota is for; empty for all of it.
    area: String,
    /// The vendor's zone that the quota is for; empty for the whole account.
    zone: String,
    /// URLs that are left of the quota today, as last read; null where the vendor counts nothing, or nothing was read yet.
    available: Option<u64>,
    /// Whether that is enough for this task and those before it in the plan; null where `available` is. Tasks that were
    /// made before and wait still are not deducted.
    enough: Option<bool>,
}

/// What the parts would cost; `areas` are those in which properties serve, where they do not serve everywhere.
#[must_use]
pub fn plan(
    kind: Kind,
    parts: &[Part<'_>],
    stored: &BTreeMap<String, StoredQuotas>,
    areas: &HashMap<i64, String>,
) -> Vec<PlanOut> {
    let nothing = StoredQuotas::default();
    let mut spent = Spent::new();
    let mut planned = |part: &Part<'_>| {
        let known = stored.get(part.cdn).unwrap_or(&nothing);
        let areas = areas.get(&part.property_id).map_or("", String::as_str);
        let domains: BTreeSet<&str> = part.urls.iter().map(|url| url.host().as_str()).collect();
        let mut counts: BTreeMap<QuotaKind, u64> = BTreeMap::new();
        for url in &part.urls {
            *counts.entry(part.can.kind(kind.into(), url)).or_default() += 1;
        }
        let mut requests = Some(0);
        let mut costs = Vec::new();
        for (counted, urls) in counts {
            let charged = charged(&known.quotas, counted, &domains, areas);
            let fixed = part.can.urls_per_request.map(|most| most as u64);
            let batch = fixed.or_else(|| charged.iter().map(|quota| quota.batch).min());
            let calls = batch.map(|most| urls.div_ceil(most.max(1)));
            requests = requests.zip(calls).map(|(sum, calls)| sum + calls);
            costs.extend(costs_of(part.cdn, counted, urls, calls, &charged, &mut spent));
        }
        PlanOut {
            cdn: part.cdn.to_owned(),
            vendor: part.can.vendor.to_owned(),
            domains: domains.into_iter().map(str::to_owned).collect(),
            url: part.urls.iter().map(|url| url.as_str()).collect::<Vec<_>>().join("|"),
            requests,
            costs,
            quotas_read_at: known.read_at,
        }
    };
    parts.iter().map(&mut planned).collect()
}

/// What tasks before have taken of a quota: by CDN, kind, zone and area.
type Spent = HashMap<(String, QuotaKind, String, String), u64>;

/// The quotas that are charged for URLs of these domains, which are all of one property: those of the whole account, and
/// those of the zone that is nearest above it.
fn charged<'a>(quotas: &'a [Quota], kind: QuotaKind, domains: &BTreeSet<&str>, areas: &str) -> Vec<&'a Quota> {
    let covers = |quota: &&Quota| {
        quota.kind == kind && quota.counts_in(areas) && domains.iter().any(|domain| quota.covers(domain))
    };
    let nearest = quotas.iter().filter(covers).map(|quota| quota.zone.len()).max().unwrap_or(0);
    let is_charged = |quota: &&Quota| quota.zone.is_empty() || quota.zone.len() == nearest;
    quotas.iter().filter(covers).filter(is_charged).collect()
}

fn costs_of(
    cdn: &str,
    kind: QuotaKind,
    urls: u64,
    requests: Option<u64>,
    charged: &[&Quota],
    spent: &mut Spent,
) -> Vec<CostOut> {
    let row = |zone: &str, area: &str, available: Option<u64>, enough: Option<bool>| CostOut {
        kind: kind.as_str().to_owned(),
        urls,
        requests,
        area: area.to_owned(),
        zone: zone.to_owned(),
        available,
        enough,
    };
    if charged.is_empty() {
        return vec![row("", "", None, None)];
    }
    let against = |quota: &&Quota| {
        let taken = spent.entry((cdn.to_owned(), kind, quota.zone.clone(), quota.area.clone())).or_default();
        *taken += urls;
        row(&quota.zone, &quota.area, Some(quota.available), Some(*taken <= quota.available))
    };
    charged.iter().map(against).collect()
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

    fn quota(kind: QuotaKind, zone: &str, area: &str, available: u64) -> Quota {
        Quota { kind, zone: zone.to_owned(), area: area.to_owned(), batch: 2, daily: 100, available }
    }

    fn urls(paths: &[&str]) -> Vec<PurgeUrl> {
        paths.iter().map(|path| PurgeUrl::parse(&format!("http://a.example.com{path}")).unwrap()).collect()
    }

    /// The plan of a refresh at a CDN that takes directories apart and tells its batches at run time.
    fn planned(paths: &[&str], quotas: Vec<Quota>) -> Vec<PlanOut> {
        let apart = Capabilities { directories_apart: true, urls_per_request: None, ..level3() };
        let capabilities = HashMap::from([("apart".to_owned(), apart)]);
        let (urls, places) = (urls(paths), places());
        let stored = BTreeMap::from([("apart".to_owned(), StoredQuotas { quotas, read_at: Some(5) })]);
        plan(Kind::Refresh, &split(Kind::Refresh, &urls, &places, &capabilities), &stored, &HashMap::new())
    }

    fn shown(cost: &CostOut) -> (&str, u64, Option<u64>, &str, &str, Option<u64>, Option<bool>) {
        (&cost.kind, cost.urls, cost.requests, &cost.zone, &cost.area, cost.available, cost.enough)
    }

    #[test]
    fn each_kind_and_area_is_charged_and_calls_are_counted_once() {
        use QuotaKind::{Preload, RefreshDirectory, RefreshUrl};
        let quotas = vec![
            quota(RefreshUrl, "", "mainland", 9),
            quota(RefreshUrl, "", "overseas", 2),
            quota(RefreshDirectory, "", "mainland", 1),
            quota(Preload, "", "mainland", 0),
        ];
        let plan = planned(&["/a", "/img/", "/b", "/c"], quotas);
        assert_eq!((plan.len(), plan[0].requests, plan[0].quotas_read_at), (1, Some(3), Some(5)));
        assert!(plan[0].url.ends_with("/c|http://a.example.com/img/"), "{}", plan[0].url);
        assert_eq!(
            plan[0].costs.iter().map(shown).collect::<Vec<_>>(),
            [
                ("refresh_url", 3, Some(2), "", "mainland", Some(9), Some(true)),
                ("refresh_url", 3, Some(2), "", "overseas", Some(2), Some(false)),
                ("refresh_directory", 1, Some(1), "", "mainland", Some(1), Some(true)),
            ]
        );
    }

    #[test]
    fn only_the_areas_in_which_a_property_serves_are_charged() {
        let apart = Capabilities { urls_per_request: None, ..level3() };
        let capabilities = HashMap::from([("apart".to_owned(), apart)]);
        let (urls, places) = (urls(&["/a"]), places());
        let quotas = ["mainland", "overseas"].map(|area| quota(QuotaKind::RefreshUrl, "", area, 5)).to_vec();
        let stored = BTreeMap::from([("apart".to_owned(), StoredQuotas { quotas, read_at: Some(5) })]);
        let parts = split(Kind::Refresh, &urls, &places, &capabilities);
        let areas = |areas: &[(i64, &str)]| {
            let areas = areas.iter().map(|(id, areas)| (*id, (*areas).to_owned())).collect();
            let plan = plan(Kind::Refresh, &parts, &stored, &areas);
            plan[0].costs.iter().map(|cost| cost.area.clone()).collect::<Vec<_>>()
        };
        assert_eq!(areas(&[(20, "overseas")]), ["overseas"]);
        assert_eq!(areas(&[(20, "mainland,overseas")]), ["mainland", "overseas"]);
        assert_eq!(areas(&[(7, "overseas")]), ["mainland", "overseas"]);
    }

    #[test]
    fn the_nearest_zone_is_charged_and_no_foreign_one() {
        let zones = ["example.com", "a.example.com", "b.example.com", "example.org", ""];
        let quotas = zones.map(|zone| quota(QuotaKind::RefreshUrl, zone, "", 5)).to_vec();
        let plan = planned(&["/a"], quotas);
        assert_eq!(plan[0].costs.iter().map(|cost| cost.zone.as_str()).collect::<Vec<_>>(), ["a.example.com", ""]);
    }

    #[test]
    fn where_nothing_was_read_nothing_is_guessed() {
        let plan = planned(&["/a", "/img/"], Vec::new());
        assert_eq!(plan[0].requests, None);
        assert_eq!(
            plan[0].costs.iter().map(shown).collect::<Vec<_>>(),
            [("refresh_url", 1, None, "", "", None, None), ("refresh_directory", 1, None, "", "", None, None),]
        );
    }

    #[test]
    fn tasks_of_one_request_share_what_is_left() {
        let capabilities = HashMap::from([("level3".to_owned(), level3())]);
        let urls = ["http://a.example.com/1", "http://b.example.com/2"].map(|url| PurgeUrl::parse(url).unwrap());
        let place =
            |property_id: i64| vec![PurgePlace { cdn_id: 1, cdn: "level3".to_owned(), property_id: Some(property_id) }];
        let places = Places::from([(urls[0].host().clone(), place(1)), (urls[1].host().clone(), place(2))]);
        let quotas = vec![quota(QuotaKind::Preload, "", "", 1)];
        let stored = BTreeMap::from([("level3".to_owned(), StoredQuotas { quotas, read_at: None })]);
        let plan = plan(Kind::Preload, &split(Kind::Preload, &urls, &places, &capabilities), &stored, &HashMap::new());
        let enough: Vec<Option<bool>> = plan.iter().map(|task| task.costs[0].enough).collect();
        assert_eq!(enough, [Some(true), Some(false)]);
    }
}
