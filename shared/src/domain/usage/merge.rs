//! How a vendor's report changes what is stored of a property's days.
//!
//! The rule, for the totals and for each city alike. Slots of the window up to the last one that the vendor spoke of are
//! overwritten, with 0 where the report says nothing, and are known from then on. Later slots of the window stay as they
//! are, but a known one that is settled (the vendor's delay is over) becomes 0: the vendor has taken it back.
//! A city that the report does not name is overwritten in the same way; one that is new starts with 0 wherever the day's
//! total is known. So a day's cities are known where its totals are, their sums agree wherever the vendor's do, and
//! reports of windows that do not overlap can come in any order. Called by the database's layer under a lock on the day.

use super::{Cell, DAY_SECONDS, Pack, PackError, SLOT_SECONDS, UsageReport, day_of, slot_begin, slot_of};
use crate::domain::city;
use std::{borrow::Cow, collections::BTreeMap, ops::Range};

/// A UTC day of one property, or of one city of it. Both packs know the same slots.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DayUsage {
    /// Bytes that were delivered.
    pub bytes: Pack,
    /// Requests that were answered.
    pub requests: Pack,
}

impl DayUsage {
    /// A day of which nothing is known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads two encoded packs, of bytes and of requests.
    ///
    /// # Errors
    /// [`PackError`] of the first one that is broken.
    pub fn decode(bytes: &[u8], requests: &[u8]) -> Result<Self, PackError> {
        Ok(Self { bytes: Pack::decode(bytes)?, requests: Pack::decode(requests)? })
    }

    /// What happened in a slot, if it is known.
    #[must_use]
    pub fn get(&self, slot: usize) -> Option<Cell> {
        self.bytes.get(slot).map(|bytes| Cell { bytes, requests: self.requests.get(slot).unwrap_or(0) })
    }

    /// Sets a slot. One that a day does not have is passed over.
    pub fn set(&mut self, slot: usize, cell: Cell) {
        self.bytes.set(slot, Some(cell.bytes));
        self.requests.set(slot, Some(cell.requests));
    }

    /// Bytes of the day; stops at the highest number.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.bytes.sum()
    }

    /// Requests of the day; stops at the highest number.
    #[must_use]
    pub fn total_requests(&self) -> u64 {
        self.requests.sum()
    }

    /// The most bytes of a slot; 0 where nothing is known.
    #[must_use]
    pub fn peak_bytes(&self) -> u64 {
        self.bytes.peak().map_or(0, |(_, bytes)| bytes)
    }

    /// The first slot with the most bytes.
    #[must_use]
    pub fn peak_slot(&self) -> Option<usize> {
        self.bytes.peak().map(|(slot, _)| slot)
    }

    /// The last slot that is known.
    #[must_use]
    pub fn last_known(&self) -> Option<usize> {
        self.bytes.last_known()
    }

    /// 0 in each slot that is known here.
    fn zeros(&self) -> Self {
        let mut zeros = Self::new();
        self.bytes.iter().for_each(|(slot, _)| zeros.set(slot, Cell::default()));
        zeros
    }
}

/// A day, or a city's day, after a merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// What it is now.
    pub usage: DayUsage,
    /// Whether it has to be written: it differs from what was stored, or nothing was stored and something is known.
    pub changed: bool,
}

/// What has to be written of a day.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DayChange {
    /// The day's totals, if they changed.
    pub totals: Option<DayUsage>,
    /// The cities that changed: by the name they are stored under, or for a new one by [`city::english`].
    pub cities: Vec<(String, DayUsage)>,
}

/// A city of a report; all its spellings are one city.
#[derive(Debug)]
struct ReportedCity<'a> {
    name: Cow<'a, str>,
    cells: Cow<'a, [Cell]>,
}

/// A report that is about to be merged.
#[derive(Debug)]
pub struct Merge<'a> {
    report: &'a UsageReport,
    cities: BTreeMap<String, ReportedCity<'a>>,
    /// How many slots of the window, from its begin, are overwritten.
    overwritten: usize,
    settled_before: i64,
}

impl<'a> Merge<'a> {
    /// `settled_before` is a time in Unix seconds, now less the vendor's delay: slots that ended by then would be in the
    /// report if the vendor had anything of them.
    #[must_use]
    pub fn new(report: &'a UsageReport, settled_before: i64) -> Self {
        let window = report.window();
        let overwritten = report.last_delivered().and_then(|at| window.index(at)).map_or(0, |last| last + 1);
        let mut cities = BTreeMap::<String, ReportedCity<'a>>::new();
        for (name, usage) in report.cities() {
            let fresh = || ReportedCity { name: city::english(name), cells: Cow::Borrowed(usage.cells.as_slice()) };
            cities
                .entry(city::identity(name))
                .and_modify(|known| {
                    let sums = known.cells.to_mut().iter_mut();
                    sums.zip(&usage.cells).for_each(|(sum, cell)| *sum = sum.plus(*cell));
                })
                .or_insert_with(fresh);
        }
        Self { report, cities, overwritten, settled_before }
    }

    /// The UTC days that the window touches, by their begins, in order.
    pub fn days(&self) -> impl Iterator<Item = i64> + use<> {
        let window = self.report.window();
        (0..).map_while(move |index: i64| {
            let day = day_of(window.from()).checked_add(index.checked_mul(DAY_SECONDS)?)?;
            (day < window.to()).then_some(day)
        })
    }

    /// All that has to be written of a day. `cities` are all its stored cities with their names, `totals` is what is stored
    /// of its totals; both have to be read under the lock under which the change is written.
    #[must_use]
    pub fn day(&self, day: i64, totals: Option<&DayUsage>, cities: &[(String, DayUsage)]) -> DayChange {
        let mut open: BTreeMap<&str, &ReportedCity<'a>> =
            self.cities.iter().map(|(identity, city)| (identity.as_str(), city)).collect();
        let mut change = DayChange::default();
        for (name, stored) in cities {
            // What is stored under two spellings takes the report's cells once.
            let cells = open.remove(city::identity(name).as_str()).map(|city| &*city.cells);
            let merged = self.apply(day, cells, Some(stored), DayUsage::new);
            if merged.changed {
                change.cities.push((name.clone(), merged.usage));
            }
        }
        for city in open.into_values().filter(|city| self.says_something(day, &city.cells)) {
            let merged = self.apply(day, Some(&city.cells), None, || totals.map(DayUsage::zeros).unwrap_or_default());
            change.cities.push((city.name.clone().into_owned(), merged.usage));
        }
        let merged = self.totals(day, totals);
        change.totals = merged.changed.then_some(merged.usage);
        change
    }

    /// A day's totals.
    #[must_use]
    pub fn totals(&self, day: i64, stored: Option<&DayUsage>) -> Merged {
        self.apply(day, Some(self.report.totals()), stored, DayUsage::new)
    }

    /// A city's day, by any spelling of its name. `totals` is what is stored of the day's totals before this merge: a city
    /// of which nothing is stored starts with 0 where they are known, and is not made at all by a report without
    /// anything of it in that day.
    #[must_use]
    pub fn city(&self, day: i64, name: &str, stored: Option<&DayUsage>, totals: Option<&DayUsage>) -> Merged {
        let cells = self.cities.get(&city::identity(name)).map(|city| &*city.cells);
        if stored.is_none() && !cells.is_some_and(|cells| self.says_something(day, cells)) {
            return Merged { usage: DayUsage::new(), changed: false };
        }
        self.apply(day, cells, stored, || totals.map(DayUsage::zeros).unwrap_or_default())
    }

    /// The cities, by their English names, of which the report has bytes or requests in a day.
    pub fn cities_of(&self, day: i64) -> impl Iterator<Item = &str> {
        self.cities.values().filter(move |city| self.says_something(day, &city.cells)).map(|city| &*city.name)
    }

    fn says_something(&self, day: i64, cells: &[Cell]) -> bool {
        let (slots, first) = self.part_of(day);
        cells.iter().skip(first).take(slots.len()).any(|cell| *cell != Cell::default())
    }

    /// The window's slots in a day, and the position in the window of the first of them.
    fn part_of(&self, day: i64) -> (Range<usize>, usize) {
        let window = self.report.window();
        let from = window.from().max(day);
        let last = window.to().min(day.saturating_add(DAY_SECONDS)).saturating_sub(SLOT_SECONDS);
        match window.index(from) {
            Some(first) if last >= from => (slot_of(from)..slot_of(last) + 1, first),
            _ => (0..0, 0),
        }
    }

    /// Applies the rule to one day. `cells` are the window's; none are as good as zeros.
    fn apply(
        &self,
        day: i64,
        cells: Option<&[Cell]>,
        stored: Option<&DayUsage>,
        fresh: impl FnOnce() -> DayUsage,
    ) -> Merged {
        let mut usage = stored.cloned().unwrap_or_else(fresh);
        let (slots, first) = self.part_of(day);
        for (index, slot) in (first..).zip(slots) {
            let is_settled = slot_begin(day, slot).saturating_add(SLOT_SECONDS) <= self.settled_before;
            if index < self.overwritten {
                usage.set(slot, cells.and_then(|cells| cells.get(index)).copied().unwrap_or_default());
            } else if is_settled && usage.get(slot).is_some() {
                usage.set(slot, Cell::default());
            }
        }
        let changed = stored.map_or(usage.last_known().is_some(), |stored| *stored != usage);
        Merged { usage, changed }
    }
}

#[cfg(test)]
mod tests;
