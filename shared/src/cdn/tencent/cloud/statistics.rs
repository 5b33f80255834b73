//! Figures of usage, as far as they are treated the same at all services.
//!
//! The newest figures may be zeros that are none yet. Areas are told as sums, which are spread over the slots as the
//! traffic was. Called by the clients of the services.

use crate::cdn::CdnError;
use crate::domain::usage::{Cell, SLOT_SECONDS, UsageReport, spread};
use std::collections::BTreeMap;

/// Adds the totals of the window's slots, as far as the vendor told them; zeros at the end that are younger than `settled`
/// (Unix seconds) are left out.
pub(in crate::cdn) fn add_totals(report: &mut UsageReport, cells: &[Option<Cell>], settled: i64) {
    let from = report.window().from();
    let is_certain = |(index, cell): (usize, &Option<Cell>)| {
        slot(from, index) + SLOT_SECONDS <= settled || cell.is_some_and(|cell| cell != Cell::default())
    };
    let last = cells.iter().enumerate().rposition(is_certain).map_or(0, |index| index + 1);
    for (index, cell) in cells.iter().enumerate().take(last) {
        if let Some(cell) = cell {
            report.add_total(slot(from, index), *cell);
        }
    }
}

/// Sums by the names of areas, and the traffic that they are part of: slots from `first` on.
pub(in crate::cdn) struct Areas<'a> {
    pub(in crate::cdn) first: i64,
    pub(in crate::cdn) all_bytes: &'a [u64],
    pub(in crate::cdn) all_requests: &'a [u64],
    pub(in crate::cdn) bytes: &'a [(String, u64)],
    pub(in crate::cdn) requests: &'a [(String, u64)],
}

/// Adds what areas have of the slots that were delivered.
///
/// # Errors
/// [`CdnError::Unreadable`] for more areas than a report holds.
pub(in crate::cdn) fn add_areas(report: &mut UsageReport, areas: &Areas<'_>) -> Result<(), CdnError> {
    let mut by_name: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for (name, sum) in areas.bytes {
        let (bytes, _) = by_name.entry(name).or_default();
        *bytes = bytes.saturating_add(*sum);
    }
    for (name, sum) in areas.requests {
        let (_, requests) = by_name.entry(name).or_default();
        *requests = requests.saturating_add(*sum);
    }
    for (name, (bytes, requests)) in by_name {
        let shares = spread(bytes, areas.all_bytes).into_iter().zip(spread(requests, areas.all_requests));
        for (index, (bytes, requests)) in shares.enumerate() {
            let at = slot(areas.first, index);
            let is_there = report.window().index(at).is_some_and(|index| report.is_delivered(index));
            if is_there && (bytes > 0 || requests > 0) && !report.add_city(at, name, Cell { bytes, requests }) {
                return Err(CdnError::Unreadable("more areas than there can be".to_owned()));
            }
        }
    }
    Ok(())
}

/// The begin of a slot, counted from the first one.
fn slot(first: i64, index: usize) -> i64 {
    i64::try_from(index).map_or(i64::MAX, |index| first + index * SLOT_SECONDS)
}
