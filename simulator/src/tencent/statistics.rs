//! Statistics: `DescribeCdnData`, the ranking of districts in `ListTopData`, and the names in `DescribeMapInfo`.
//!
//! `Area` means mainland when it is left out, so the whole world takes two calls. A domain has traffic in the areas
//! where it is accelerated and under its own product; elsewhere its points are 0. What the vendor can narrow by and the
//! simulator cannot (ISP, district, protocol, project) is refused, so that no test takes a whole for a part.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Tencent;
use crate::config::{DistrictForm, TencentDomain};
use crate::tencent_api::{
    ApiError, COUNTRIES, DAY, Grid, ISPS, Members, Metric, PROVINCES, SERVER_REGIONS, SLOT, Source, UTC_8, Visit,
    floor, members, naive, parse_naive, parse_zone, span_of, tencent_district_split, usage_between,
};

/// The longest range, and the longest with five minutes or hours.
const MAX_RANGE: i64 = 90 * DAY;
const MAX_FINE_RANGE: i64 = 31 * DAY;
const MAX_DOMAINS: usize = 30;

/// The domains that a request is about, and how its answer is divided among them.
struct Resources<'c> {
    groups: Vec<(String, Vec<&'c TencentDomain>)>,
    area: &'static str,
}

impl Tencent {
    pub(super) fn describe_cdn_data(&self, visit: &Visit<'_>) -> Result<Members, ApiError> {
        let metric = match visit.params.text("Metric").unwrap_or_default() {
            "flux" => Metric::Bytes,
            "request" => Metric::Requests,
            "bandwidth" => Metric::Bandwidth,
            other => {
                let message = format!("The metric {other} is not one of flux, request and bandwidth");
                return Err(ApiError::new("InvalidParameter.CdnStatInvalidMetric", message));
            }
        };
        for name in ["Isp", "District", "Project"] {
            if visit.params.integer(name).is_some() {
                return Err(ApiError::invalid(format!("{name} is not simulated")));
            }
        }
        for name in ["Protocol", "IpProtocol"] {
            if !matches!(visit.params.text(name), None | Some("all")) {
                return Err(ApiError::invalid(format!("{name} is not simulated but for all")));
            }
        }
        let resources = self.resources(visit)?;
        let (grid, interval) = grid(visit, resources.area)?;
        let mut data = Vec::new();
        for (name, domains) in &resources.groups {
            let sources: Vec<Source> = domains.iter().map(|domain| Source::new(&domain.name, resources.area)).collect();
            data.push(resource_data(visit, name, &grid.series(&sources, metric), metric, grid.zone));
        }
        Ok(members(json!({ "Interval": interval, "Data": data })))
    }

    /// Finds the domains. Only those with traffic in the area and under the product are in the groups, but each group
    /// is in the answer.
    fn resources(&self, visit: &Visit<'_>) -> Result<Resources<'_>, ApiError> {
        let params = visit.params;
        let area = match params.text("Area").unwrap_or("mainland") {
            "mainland" => "mainland",
            "overseas" => "overseas",
            other => return Err(ApiError::invalid(format!("Area cannot be {other}"))),
        };
        if !matches!(params.text("AreaType"), None | Some("server" | "client")) {
            return Err(ApiError::invalid("AreaType is server or client"));
        }
        let product = params.text("Product").unwrap_or("cdn");
        if !matches!(product, "cdn" | "ecdn") {
            return Err(ApiError::invalid("Product is cdn or ecdn"));
        }
        let counts = |domain: &&TencentDomain| {
            domain.traffic && domain.area.parts().contains(&area) && domain.product.as_str() == product
        };
        let names = params.texts("Domains");
        if names.len() > MAX_DOMAINS {
            let message = "At most 30 domains can be asked for at once";
            return Err(ApiError::new("InvalidParameter.CdnStatTooManyDomains", message));
        }
        let mut domains = Vec::new();
        for name in &names {
            domains.push(self.domain(&name.to_ascii_lowercase())?);
        }
        let groups = match domains.len() {
            0 => vec![("all".to_owned(), self.config.domains.iter().filter(counts).collect())],
            1 => vec![(domains[0].name.clone(), domains.into_iter().filter(counts).collect())],
            _ if params.flag("Detail") => {
                let group = |domain: &'_ TencentDomain| domain.name.clone();
                domains
                    .into_iter()
                    .map(|domain| (group(domain), Some(domain).into_iter().filter(counts).collect()))
                    .collect()
            }
            _ => vec![("multiDomains".to_owned(), domains.into_iter().filter(counts).collect())],
        };
        Ok(Resources { groups, area })
    }

    pub(super) fn list_top_data(&self, visit: &Visit<'_>) -> Result<Members, ApiError> {
        let params = visit.params;
        if params.text("Metric") != Some("district") {
            let message = "The simulator ranks by district only";
            return Err(ApiError::new("InvalidParameter.CdnStatInvalidMetric", message));
        }
        let by_requests = match params.text("Filter").unwrap_or_default() {
            "flux" => false,
            "request" => true,
            other => {
                let message = format!("The filter {other} is not flux or request");
                return Err(ApiError::new("InvalidParameter.CdnStatInvalidFilter", message));
            }
        };
        if params.integer("Project").is_some() || params.text("Code").is_some() {
            return Err(ApiError::invalid("Project and Code are not simulated"));
        }
        let (_, limit) = params.page(100, 100)?;
        let resources = self.resources(visit)?;
        let (start, end) = dates(visit, UTC_8)?;
        // The start has its seconds cut off, the end is the end of its day.
        let (start, end) = (floor(start, 60, UTC_8), floor(end, DAY, UTC_8) + DAY);
        let known_until = end.min(visit.now() - i64::from(visit.switches.tencent_delay_minutes) * 60);
        let client = params.text("AreaType") == Some("client");
        let split_area = if resources.area == "overseas" && !client { "overseas-server" } else { resources.area };
        let mut data = Vec::new();
        for (name, domains) in &resources.groups {
            let mut districts: BTreeMap<(i64, &str), u64> = BTreeMap::new();
            for domain in domains {
                add_districts(&mut districts, &domain.name, split_area, (start, known_until), by_requests);
            }
            let mut ranked: Vec<_> = districts.into_iter().filter(|(_, value)| *value > 0).collect();
            ranked.sort_by_key(|((id, _), value)| (std::cmp::Reverse(*value), *id));
            let shown = ranked.into_iter().take(limit).map(|((id, name), value)| match self.config.district_form {
                DistrictForm::Name => json!({ "Name": name, "Value": value }),
                DistrictForm::Id => json!({ "Name": id.to_string(), "Value": value }),
            });
            data.push(json!({ "Resource": name, "DetailData": shown.collect::<Vec<_>>() }));
        }
        Ok(members(json!({ "Data": data })))
    }
}

/// Adds what a domain has in each district, day by day. Only five minutes that ended before the range does count.
fn add_districts(
    districts: &mut BTreeMap<(i64, &'static str), u64>,
    domain: &str,
    area: &str,
    (start, end): (i64, i64),
    by_requests: bool,
) {
    let mut day = floor(start, DAY, UTC_8);
    while day < end {
        let usage = usage_between(domain, area, start.max(day), (day + DAY).min(end - SLOT + 1));
        for share in tencent_district_split(domain, area, day, usage.bytes, usage.requests) {
            *districts.entry((share.id, share.name)).or_default() +=
                if by_requests { share.requests } else { share.bytes };
        }
        day += DAY;
    }
}

fn resource_data(visit: &Visit<'_>, name: &str, series: &[(i64, u64)], metric: Metric, zone: i64) -> Value {
    let values = series.iter().map(|(_, value)| *value);
    let (how, summary) = match metric {
        Metric::Bandwidth => ("max", values.max().unwrap_or(0)),
        _ => ("sum", values.sum()),
    };
    let points = series.iter().map(|(begin, value)| json!({ "Time": naive(*begin, zone), "Value": value }));
    json!({
        "Resource": name,
        "CdnData": [{
            "Metric": visit.params.text("Metric"),
            "DetailData": points.collect::<Vec<_>>(),
            "SummarizedData": { "Name": how, "Value": summary },
        }],
    })
}

/// Start and end as the zone of the request has them.
fn dates(visit: &Visit<'_>, zone: i64) -> Result<(i64, i64), ApiError> {
    let bad = |message: &str| ApiError::new("InvalidParameter.CdnStatInvalidDate", message);
    let read = |name| {
        let text = visit.params.text(name).unwrap_or_default();
        parse_naive(text, zone).ok_or_else(|| bad("A time is of the form 2018-09-04 10:40:00"))
    };
    let (start, end) = (read("StartTime")?, read("EndTime")?);
    if start > end || end - start > MAX_RANGE {
        return Err(bad("The end is not before the start and at most 90 days behind it"));
    }
    Ok((start, end))
}

/// The points of the answer, and the word for their interval.
fn grid(visit: &Visit<'_>, area: &str) -> Result<(Grid, String), ApiError> {
    let zone = visit.params.text("TimeZone").map_or(Some(UTC_8), parse_zone);
    let zone = zone.ok_or_else(|| ApiError::invalid("TimeZone is of the form UTC+08:00"))?;
    let (start, end) = dates(visit, zone)?;
    // What is meant when no interval is named is documented by the sample only.
    let usual = if end - start <= MAX_FINE_RANGE { "5min" } else { "day" };
    let interval = visit.params.text("Interval").unwrap_or(usual);
    let bad = |message: &str| ApiError::new("InvalidParameter.CdnInvalidParamInterval", message);
    let span = span_of(interval).ok_or_else(|| bad("Interval is min, 5min, hour or day"))?;
    let most = match interval {
        "min" => DAY,
        "day" => MAX_RANGE,
        _ => MAX_FINE_RANGE,
    };
    if end - start > most || (interval == "min" && area == "overseas") {
        return Err(bad("The interval is too short for the range, or for the area"));
    }
    let known_until = visit.now() - i64::from(visit.switches.tencent_delay_minutes) * 60;
    Ok((Grid { start, end, span, zone, known_until }, interval.to_owned()))
}

pub(super) fn describe_map_info(visit: &Visit<'_>) -> Result<Members, ApiError> {
    let named = |pairs: &[(i64, &str)]| -> Vec<Value> {
        pairs.iter().map(|(id, name)| json!({ "Id": id, "Name": name })).collect()
    };
    let ids = |pairs: &[(i64, &str)]| pairs.iter().map(|(id, _)| *id).collect::<Vec<_>>();
    match visit.params.text("Name").unwrap_or_default() {
        "isp" => Ok(members(json!({
            "MapInfoList": named(&ISPS), "ServerRegionRelation": null, "ClientRegionRelation": null,
        }))),
        "district" => {
            let all = [named(&PROVINCES), named(&COUNTRIES), named(&SERVER_REGIONS)].concat();
            let region = |id: i64, within: Vec<i64>| json!({ "RegionId": id, "SubRegionIdList": within });
            // Which countries are in which region is chosen.
            let servers = SERVER_REGIONS.iter().zip(COUNTRIES.chunks(3)).map(|((id, _), part)| region(*id, ids(part)));
            Ok(members(json!({
                "MapInfoList": all,
                "ServerRegionRelation": servers.collect::<Vec<_>>(),
                "ClientRegionRelation": [region(-20, ids(&COUNTRIES))],
            })))
        }
        other => Err(ApiError::invalid(format!("Name is isp or district, not {other}"))),
    }
}
