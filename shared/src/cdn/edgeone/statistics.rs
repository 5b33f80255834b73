//! Usage: bytes and requests in five minutes, and by country.
//!
//! Of countries the vendor tells sums over the window, which are spread over its slots as the traffic was: over the window
//! they are exact, within it an estimate. Countries are told by their ISO 3166 codes. Sources: the documentation of
//! `DescribeTimingL7AnalysisData` and `DescribeTopL7AnalysisData`, which say that data are ten minutes late.

use super::wire::{Condition, TimingIn, TimingOut, TopIn, TopOut};
use super::{EdgeOne, Place, written};
use crate::cdn::CdnError;
use crate::cdn::tencent::cloud::{Areas, add_areas, add_totals};
use crate::domain::usage::{Cell, UsageReport, UsageWindow};

/// Zeros that are younger may be figures that are not there yet.
pub(super) const DELAY_SECONDS: i64 = 20 * 60;
const BYTES: &str = "l7Flow_outFlux";
const REQUESTS: &str = "l7Flow_request";
/// Most countries of an answer, the vendor's most.
const MOST_COUNTRIES: usize = 1000;

impl EdgeOne {
    /// What a domain has delivered in a window.
    pub(super) async fn domain_usage(&self, place: Place<'_>, window: UsageWindow) -> Result<UsageReport, CdnError> {
        let (start_time, end_time) = (written(window.from()), written(window.to() - 1));
        let request = TimingIn {
            start_time: &start_time,
            end_time: &end_time,
            metric_names: [BYTES, REQUESTS],
            zone_ids: [place.zone],
            interval: "5min",
            filters: [of_domain(place)],
        };
        let answer: TimingOut =
            self.account.call("usage", "DescribeTimingL7AnalysisData", place.domain, &request).await?;
        let mut cells: Vec<Option<Cell>> = vec![None; window.slots()];
        for series in answer.data.into_iter().flat_map(|record| record.type_value) {
            for point in series.detail {
                let Some(index) = window.index(point.timestamp) else { continue };
                let value = figure(point.value)?;
                let cell = match series.metric_name.as_str() {
                    BYTES => Cell { bytes: value, requests: 0 },
                    REQUESTS => Cell { bytes: 0, requests: value },
                    _ => continue,
                };
                cells[index] = Some(cells[index].unwrap_or_default().plus(cell));
            }
        }
        let mut report = UsageReport::new(window);
        let settled = self.account.clock().now_seconds() - DELAY_SECONDS;
        add_totals(&mut report, &cells, settled);
        if report.totals().iter().any(|cell| *cell != Cell::default()) {
            self.add_countries(&mut report, place, (&start_time, &end_time)).await?;
        }
        Ok(report)
    }

    async fn add_countries(
        &self,
        report: &mut UsageReport,
        place: Place<'_>,
        times: (&str, &str),
    ) -> Result<(), CdnError> {
        let bytes = self.country_sums(place, times, "l7Flow_outFlux_country").await?;
        let requests = self.country_sums(place, times, "l7Flow_request_country").await?;
        let of_totals = |figure: fn(&Cell) -> u64| report.totals().iter().map(figure).collect::<Vec<u64>>();
        let (all_bytes, all_requests) = (of_totals(|cell| cell.bytes), of_totals(|cell| cell.requests));
        let areas = Areas {
            first: report.window().from(),
            all_bytes: &all_bytes,
            all_requests: &all_requests,
            bytes: &bytes,
            requests: &requests,
        };
        add_areas(report, &areas)
    }

    async fn country_sums(
        &self,
        place: Place<'_>,
        (start_time, end_time): (&str, &str),
        metric_name: &str,
    ) -> Result<Vec<(String, u64)>, CdnError> {
        let (zone_ids, filters) = ([place.zone], [of_domain(place)]);
        let request = TopIn { start_time, end_time, metric_name, zone_ids, limit: MOST_COUNTRIES, filters };
        let answer: TopOut = self.account.call("usage", "DescribeTopL7AnalysisData", place.domain, &request).await?;
        let rows = answer.data.into_iter().flat_map(|record| record.detail_data);
        rows.map(|row| Ok((row.key, figure(row.value)?))).collect()
    }
}

fn of_domain(place: Place<'_>) -> Condition<'_> {
    Condition { key: "domain", operator: "equals", value: [place.domain] }
}

fn figure(value: Option<i64>) -> Result<u64, CdnError> {
    let value = value.unwrap_or(0);
    u64::try_from(value).map_err(|_| CdnError::Unreadable(format!("{value} is no figure")))
}
