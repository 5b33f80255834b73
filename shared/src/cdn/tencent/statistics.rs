//! Usage: bytes and requests in five minutes for mainland China and for the rest of the world, summed, and by district.
//!
//! The series come as they are needed. Of districts (provinces, countries) the vendor tells sums of whole days in its own
//! time zone, so each is spread over the day's slots as that area's traffic was: over whole days it is exact, within a day
//! it is an estimate. Sources: the documentation of `DescribeCdnData` and `ListTopData`.

use super::Tencent;
use super::cloud::{Areas, add_areas, add_totals};
use super::domains::ECDN;
use super::time;
use super::wire::{DataIn, DataOut, MapIn, MapOut, TopIn, TopOut};
use crate::cdn::CdnError;
use crate::domain::usage::{Cell, DAY_SECONDS, SLOT_SECONDS, UsageReport, UsageWindow};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Zeros that are younger may be figures that are not there yet.
pub(super) const DELAY_SECONDS: i64 = 30 * 60;
/// Most districts of an answer; the vendor leaves the smallest out.
const MOST_DISTRICTS: usize = 100;
/// What those are called that it leaves out.
const OTHERS: &str = "Other";
/// How long the names of districts are remembered.
const NAMES_REMEMBERED: Duration = Duration::from_secs(24 * 3600);

type Names = Arc<HashMap<i64, String>>;

/// The names of districts by their ids, and when they were asked for.
#[derive(Default)]
pub(super) struct DistrictNames(Mutex<Option<(Names, Instant)>>);

/// What statistics are asked about.
#[derive(Clone, Copy)]
struct Subject<'a> {
    domain: &'a str,
    /// The vendor's word for the product, where it is not the CDN itself.
    product: Option<&'a str>,
}

/// What one area's two series say of a stretch of slots.
struct AreaSeries {
    area: &'static str,
    first: i64,
    bytes: Vec<u64>,
    requests: Vec<u64>,
    /// Whether the vendor has the slot at all.
    told: Vec<bool>,
}

impl AreaSeries {
    fn position(&self, at: i64) -> Option<usize> {
        usize::try_from((at - self.first).div_euclid(SLOT_SECONDS)).ok().filter(|index| *index < self.bytes.len())
    }

    /// The positions of a day's slots.
    fn of_day(&self, day: i64) -> std::ops::Range<usize> {
        let position = |at: i64| usize::try_from((at - self.first).div_euclid(SLOT_SECONDS)).unwrap_or(0);
        position(day).min(self.bytes.len())..position(day + DAY_SECONDS).min(self.bytes.len())
    }

    fn at(&self, index: usize) -> i64 {
        i64::try_from(index).map_or(i64::MAX, |index| self.first + index * SLOT_SECONDS)
    }
}

impl Tencent {
    /// What a domain has delivered in a window.
    pub(super) async fn domain_usage(&self, domain: &str, window: UsageWindow) -> Result<UsageReport, CdnError> {
        let now = self.account.clock().now_seconds();
        let first = time::day_of(window.from());
        // Whole days of the vendor's, as far as they have passed, since districts are told by the day.
        let end =
            (time::day_of(window.to() - 1) + DAY_SECONDS).min(now - now.rem_euclid(SLOT_SECONDS)).max(window.to());
        let mut report = UsageReport::new(window);
        let traits = self.domains.of(&self.account, domain).await?;
        let subject = Subject { domain, product: traits.is_ecdn.then_some(ECDN) };
        let mut series = Vec::new();
        for area in traits.reach.areas() {
            series.push(self.area_series(subject, area, first, end).await?);
        }
        add_totals(&mut report, &cells(window, &series), now - DELAY_SECONDS);
        for area in &series {
            let mut day = first;
            while day < window.to() {
                self.add_districts(&mut report, subject, area, day).await?;
                day += DAY_SECONDS;
            }
        }
        Ok(report)
    }

    async fn area_series(
        &self,
        Subject { domain, product }: Subject<'_>,
        area: &'static str,
        first: i64,
        end: i64,
    ) -> Result<AreaSeries, CdnError> {
        let slots = usize::try_from((end - first) / SLOT_SECONDS).unwrap_or(0);
        let (bytes, requests, told) = (vec![0; slots], vec![0; slots], vec![false; slots]);
        let mut series = AreaSeries { area, first, bytes, requests, told };
        // Both ends are included.
        let (start_time, end_time) = (time::written(first), time::written(end - SLOT_SECONDS));
        for metric in ["flux", "request"] {
            let request = DataIn {
                start_time: &start_time,
                end_time: &end_time,
                metric,
                domains: [domain],
                interval: "5min",
                area,
                product,
            };
            let answer: DataOut = self.account.call("usage", "DescribeCdnData", domain, &request).await?;
            let found = answer.data.into_iter().flat_map(|resource| resource.cdn_data);
            for data in found.filter(|data| data.metric.as_deref().is_none_or(|name| name == metric)) {
                for point in data.detail_data {
                    let at = time::read(&point.time)
                        .ok_or_else(|| CdnError::Unreadable(format!("`{}` is no time", point.time)))?;
                    let Some(index) = series.position(at) else { continue };
                    series.told[index] = true;
                    let values = if metric == "flux" { &mut series.bytes } else { &mut series.requests };
                    values[index] = values[index].saturating_add(whole(point.value)?);
                }
            }
        }
        Ok(series)
    }

    /// Adds what an area's districts have of one of the vendor's days.
    async fn add_districts(
        &self,
        report: &mut UsageReport,
        subject: Subject<'_>,
        series: &AreaSeries,
        day: i64,
    ) -> Result<(), CdnError> {
        let slots = series.of_day(day);
        if slots.clone().all(|index| series.bytes[index] == 0 && series.requests[index] == 0) {
            return Ok(());
        }
        let (all_bytes, all_requests) = (&series.bytes[slots.clone()], &series.requests[slots.clone()]);
        let mut bytes = self.district_sums(subject, series.area, day, "flux").await?;
        let mut requests = self.district_sums(subject, series.area, day, "request").await?;
        if bytes.len() >= MOST_DISTRICTS || requests.len() >= MOST_DISTRICTS {
            bytes.push((OTHERS.to_owned(), rest(all_bytes, &bytes)));
            requests.push((OTHERS.to_owned(), rest(all_requests, &requests)));
        }
        let first = series.at(slots.start);
        add_areas(report, &Areas { first, all_bytes, all_requests, bytes: &bytes, requests: &requests })
    }

    /// The sums of a day by the districts' names.
    async fn district_sums(
        &self,
        Subject { domain, product }: Subject<'_>,
        area: &str,
        day: i64,
        filter: &str,
    ) -> Result<Vec<(String, u64)>, CdnError> {
        let (start_time, end_time) = (time::written(day), time::written(day + DAY_SECONDS - 1));
        let request = TopIn {
            start_time: &start_time,
            end_time: &end_time,
            metric: "district",
            filter,
            domains: [domain],
            area,
            // Where the users are, as in mainland China, and not where the servers are.
            area_type: (area == "overseas").then_some("client"),
            product,
        };
        let answer: TopOut = self.account.call("usage", "ListTopData", domain, &request).await?;
        let rows: Vec<(String, u64)> = answer
            .data
            .into_iter()
            .flat_map(|data| data.detail_data)
            .map(|row| Ok((row.name, whole(row.value)?)))
            .collect::<Result<_, CdnError>>()?;
        if rows.iter().all(|(name, _)| name.parse::<i64>().is_err()) {
            return Ok(rows);
        }
        // Whether a row has a name or an id is not documented.
        let names = self.district_names().await?;
        let name = |text: String| text.parse().ok().and_then(|id: i64| names.get(&id).cloned()).unwrap_or(text);
        Ok(rows.into_iter().map(|(text, sum)| (name(text), sum)).collect())
    }

    async fn district_names(&self) -> Result<Names, CdnError> {
        let known = self.districts.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((names, _)) = known.filter(|(_, at)| at.elapsed() < NAMES_REMEMBERED) {
            return Ok(names);
        }
        let answer: MapOut = self.account.call("usage", "DescribeMapInfo", "", &MapIn { name: "district" }).await?;
        let names = Arc::new(answer.map_info_list.into_iter().map(|row| (row.id, row.name)).collect());
        let remembered = Some((Arc::clone(&names), Instant::now()));
        *self.districts.0.lock().unwrap_or_else(PoisonError::into_inner) = remembered;
        Ok(names)
    }
}

/// What is left of an area's traffic.
fn rest(all: &[u64], told: &[(String, u64)]) -> u64 {
    let told = told.iter().fold(0_u64, |sum, (_, part)| sum.saturating_add(*part));
    all.iter().fold(0_u64, |sum, part| sum.saturating_add(*part)).saturating_sub(told)
}

/// The sum of the areas in each slot of the window; `None` where no area has the slot.
fn cells(window: UsageWindow, series: &[AreaSeries]) -> Vec<Option<Cell>> {
    let cell = |at: i64| {
        let told =
            series.iter().filter_map(|area| area.position(at).filter(|index| area.told[*index]).map(|i| (area, i)));
        told.map(|(area, index)| Cell { bytes: area.bytes[index], requests: area.requests[index] }).reduce(Cell::plus)
    };
    (window.from()..window.to()).step_by(usize::try_from(SLOT_SECONDS).unwrap_or(300)).map(cell).collect()
}

/// A figure as a whole number.
pub(super) fn whole(value: Option<f64>) -> Result<u64, CdnError> {
    let value = value.unwrap_or(0.0);
    if !(0.0..1e18).contains(&value) {
        return Err(CdnError::Unreadable(format!("{value} is no figure")));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
    let whole = value.round() as u64;
    Ok(whole)
}
