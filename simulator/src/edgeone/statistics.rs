//! Statistics: the time series of `DescribeTimingL7AnalysisData` and the ranking of countries in
//! `DescribeTopL7AnalysisData`.
//!
//! Points are Unix seconds, start and end are floored and both in the answer (which the documentation leaves open),
//! days begin at 00:00 of the start's offset. All domains of the zones are summed up unless a filter names some; that
//! is the one filter here, any other is refused, so that no test takes a whole for a part.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{EdgeOne, time_range};
use crate::config::{EdgeOneDomain, EdgeOneZone};
use crate::tencent_api::{
    ApiError, DAY, EDGEONE, Grid, HOUR, Members, Metric, Params, SLOT, Source, Visit, edgeone_country_split, floor,
    members, span_of, usage_between,
};

const MAX_RANGE: i64 = 31 * DAY;
/// What the answers are about: the account.
const ACCOUNT: &str = "251227260";

impl EdgeOne {
    pub(super) fn describe_timing(&self, visit: &Visit<'_>) -> Result<Members, ApiError> {
        let params = visit.params;
        let names = params.texts("MetricNames");
        if names.is_empty() {
            return Err(ApiError::missing("MetricNames"));
        }
        let metrics = names.iter().map(|name| metric(name)).collect::<Result<Vec<_>, _>>()?;
        let zones = self.zones(params)?;
        let domains = chosen(&zones, params)?;
        let (start, end, zone) = short_range(params)?;
        // Up to two hours, two days, seven days: as documented.
        let interval = params.text("Interval").unwrap_or(match end - start {
            ..=7200 => "min",
            7201..=172_800 => "5min",
            172_801..=604_800 => "hour",
            _ => "day",
        });
        let invalid = || ApiError::new("InvalidParameter.InvalidInterval", "Interval is min, 5min, hour or day");
        let span = span_of(interval).ok_or_else(invalid)?;
        let grid = Grid { start, end, span, zone, known_until: known_until(visit) };
        let sources: Vec<Source> = domains.iter().map(|domain| Source::new(&domain.name, EDGEONE)).collect();
        let values: Vec<Value> =
            names.iter().zip(metrics).map(|(name, metric)| type_value(name, &grid.series(&sources, metric))).collect();
        let data = json!([{ "TypeKey": ACCOUNT, "TypeValue": values, "FloatTypeValue": [] }]);
        Ok(members(json!({ "TotalCount": 1, "Data": data })))
    }

    pub(super) fn describe_top(&self, visit: &Visit<'_>) -> Result<Members, ApiError> {
        let params = visit.params;
        let by_requests = match params.text("MetricName").unwrap_or_default() {
            "l7Flow_outFlux_country" => false,
            "l7Flow_request_country" => true,
            other => return Err(bad_metric(other)),
        };
        let (_, limit) = params.page(10, 1000)?;
        let zones = self.zones(params)?;
        let domains = chosen(&zones, params)?;
        let (start, end, _) = short_range(params)?;
        // Five minutes count when they begin in the range, as in the series, and are known.
        let until = (end + 1).min(known_until(visit) - SLOT + 1);
        let mut countries: BTreeMap<&str, u64> = BTreeMap::new();
        for domain in domains {
            let mut day = floor(start, DAY, 0);
            while day < until {
                let usage =
                    usage_between(&domain.name, EDGEONE, floor(start, SLOT, 0).max(day), (day + DAY).min(until));
                for share in edgeone_country_split(&domain.name, day, usage.bytes, usage.requests) {
                    *countries.entry(share.code).or_default() += if by_requests { share.requests } else { share.bytes };
                }
                day += DAY;
            }
        }
        let mut ranked: Vec<_> = countries.into_iter().filter(|(_, value)| *value > 0).collect();
        ranked.sort_by_key(|(code, value)| (std::cmp::Reverse(*value), *code));
        let shown = ranked.into_iter().take(limit).map(|(code, value)| json!({ "Key": code, "Value": value }));
        let data = json!([{ "TypeKey": ACCOUNT, "DetailData": shown.collect::<Vec<_>>() }]);
        Ok(members(json!({ "TotalCount": 1, "Data": data })))
    }
}

fn known_until(visit: &Visit<'_>) -> i64 {
    visit.now() - i64::from(visit.switches.edgeone_delay_minutes) * 60
}

fn metric(name: &str) -> Result<Metric, ApiError> {
    match name {
        "l7Flow_outFlux" => Ok(Metric::Bytes),
        "l7Flow_outBandwidth" => Ok(Metric::Bandwidth),
        "l7Flow_request" => Ok(Metric::Requests),
        other => Err(bad_metric(other)),
    }
}

fn bad_metric(name: &str) -> ApiError {
    ApiError::new("InvalidParameter.InvalidMetric", format!("The metric {name} is not simulated"))
}

/// The range of time with its offset, at most 31 days.
fn short_range(params: &Params) -> Result<(i64, i64, i64), ApiError> {
    let (start, end, zone) = time_range(params)?;
    if end - start > MAX_RANGE {
        return Err(ApiError::new("LimitExceeded.QueryTimeLimitExceeded", "The range is longer than 31 days"));
    }
    // Offsets that are no whole hours would move the five minutes.
    Ok((start, end, zone / HOUR * HOUR))
}

/// The domains with traffic that the filters leave.
fn chosen<'z>(zones: &[&'z EdgeOneZone], params: &Params) -> Result<Vec<&'z EdgeOneDomain>, ApiError> {
    let mut domains: Vec<&EdgeOneDomain> = zones.iter().flat_map(|zone| &zone.domains).collect();
    for filter in params.objects("Filters") {
        let (key, operator) = (filter.text("Key").unwrap_or_default(), filter.text("Operator").unwrap_or_default());
        if (key, operator) != ("domain", "equals") {
            return Err(ApiError::new("InvalidParameter", format!("The filter {key} {operator} is not simulated")));
        }
        let names = filter.texts("Value");
        domains.retain(|domain| names.contains(&domain.name.as_str()));
    }
    domains.retain(|domain| domain.traffic);
    Ok(domains)
}

fn type_value(name: &str, series: &[(i64, u64)]) -> Value {
    let sum: u64 = series.iter().map(|(_, value)| *value).sum();
    let detail = series.iter().map(|(begin, value)| json!({ "Timestamp": begin, "Value": value }));
    json!({
        "MetricName": name,
        "Sum": sum,
        "Max": series.iter().map(|(_, value)| *value).max().unwrap_or(0),
        "Avg": sum / (series.len() as u64).max(1),
        "Detail": detail.collect::<Vec<_>>(),
    })
}
