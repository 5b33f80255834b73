//! What a vendor said of one property's usage in one window.
//!
//! Memory is that of the window's slots for each city, however long the vendor's answer is. Points
//! outside of the window are passed over: whether a vendor counts the end in is often unknown.
//! Filled by the vendors' clients, merged into stored days by the usage job.

use super::SLOT_SECONDS;
use std::collections::BTreeMap;

/// Most cities of one report; far above the cities that any CDN has.
const MOST_CITIES: usize = 5_000;
/// Most slots of a window: 32 days.
const MOST_SLOTS: i64 = 32 * 288;

/// What happened in one slot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cell {
    /// Bytes that were delivered.
    pub bytes: u64,
    /// Requests that were answered.
    pub requests: u64,
}

impl Cell {
    /// The sum, which stops at the highest value.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { bytes: self.bytes.saturating_add(other.bytes), requests: self.requests.saturating_add(other.requests) }
    }
}

/// A stretch of whole slots, the end not included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UsageWindow {
    from: i64,
    to: i64,
}

/// Why there is no such window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// The end is not after the begin.
    #[error("the end is not after the begin")]
    Empty,
    /// It is not made of whole slots.
    #[error("begin and end are not multiples of five minutes")]
    Unaligned,
    /// It is longer than one report can hold.
    #[error("longer than 32 days")]
    TooLong,
}

impl UsageWindow {
    /// From `from` up to but without `to`, Unix seconds, both multiples of 300, at most 32 days.
    ///
    /// # Errors
    /// [`WindowError`], which names the rule.
    pub fn new(from: i64, to: i64) -> Result<Self, WindowError> {
        if from.rem_euclid(SLOT_SECONDS) != 0 || to.rem_euclid(SLOT_SECONDS) != 0 {
            return Err(WindowError::Unaligned);
        }
        match to.checked_sub(from) {
            Some(length) if length > 0 && length / SLOT_SECONDS <= MOST_SLOTS => Ok(Self { from, to }),
            Some(length) if length > 0 => Err(WindowError::TooLong),
            _ => Err(WindowError::Empty),
        }
    }

    /// The first slot.
    #[must_use]
    pub const fn from(self) -> i64 {
        self.from
    }

    /// The slot after the last one.
    #[must_use]
    pub const fn to(self) -> i64 {
        self.to
    }

    /// How many slots there are.
    #[must_use]
    pub fn slots(self) -> usize {
        usize::try_from((self.to - self.from) / SLOT_SECONDS).unwrap_or(0)
    }

    /// The position of the slot that holds this time, if it is inside.
    #[must_use]
    pub fn index(self, at: i64) -> Option<usize> {
        (self.from..self.to).contains(&at).then(|| usize::try_from((at - self.from) / SLOT_SECONDS).ok()).flatten()
    }
}

/// One city's part of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CityUsage {
    /// One value for each slot of the window.
    pub cells: Vec<Cell>,
}

/// A vendor's answer for one property and window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageReport {
    window: UsageWindow,
    delivered: Vec<bool>,
    totals: Vec<Cell>,
    cities: BTreeMap<String, CityUsage>,
}

impl UsageReport {
    /// An answer that holds nothing yet: no slot is known.
    #[must_use]
    pub fn new(window: UsageWindow) -> Self {
        let slots = window.slots();
        Self { window, delivered: vec![false; slots], totals: vec![Cell::default(); slots], cities: BTreeMap::new() }
    }

    /// The window that was asked for.
    #[must_use]
    pub const fn window(&self) -> UsageWindow {
        self.window
    }

    /// The vendor spoke of this slot, perhaps to say that nothing happened.
    pub fn deliver(&mut self, at: i64) {
        if let Some(index) = self.window.index(at) {
            self.delivered[index] = true;
        }
    }

    /// Adds to a slot's total; what is said twice is added.
    pub fn add_total(&mut self, at: i64, cell: Cell) {
        if let Some(index) = self.window.index(at) {
            self.delivered[index] = true;
            self.totals[index] = self.totals[index].plus(cell);
        }
    }

    /// Adds to a city's slot, not to the total. `city` is the vendor's own name for it.
    /// Returns whether there was room: a report holds at most 5,000 cities.
    #[must_use]
    pub fn add_city(&mut self, at: i64, city: &str, cell: Cell) -> bool {
        let Some(index) = self.window.index(at) else { return true };
        self.delivered[index] = true;
        if let Some(known) = self.cities.get_mut(city) {
            known.cells[index] = known.cells[index].plus(cell);
            return true;
        }
        if self.cities.len() >= MOST_CITIES {
            return false;
        }
        let mut cells = vec![Cell::default(); self.window.slots()];
        cells[index] = cell;
        self.cities.insert(city.to_owned(), CityUsage { cells });
        true
    }

    /// Whether the vendor spoke of the slot at this position.
    #[must_use]
    pub fn is_delivered(&self, index: usize) -> bool {
        self.delivered.get(index).copied().unwrap_or(false)
    }

    /// The last slot that the vendor spoke of.
    #[must_use]
    pub fn last_delivered(&self) -> Option<i64> {
        let index = self.delivered.iter().rposition(|delivered| *delivered)?;
        i64::try_from(index).ok().map(|index| self.window.from + index * SLOT_SECONDS)
    }

    /// The total of each slot.
    #[must_use]
    pub fn totals(&self) -> &[Cell] {
        &self.totals
    }

    /// The cities by the vendor's names.
    pub fn cities(&self) -> impl Iterator<Item = (&str, &CityUsage)> {
        self.cities.iter().map(|(name, usage)| (name.as_str(), usage))
    }
}
