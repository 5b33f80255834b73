//! Usage: bytes and requests in steps of five minutes, and what is asked of them.
//!
//! A vendor's answer becomes a [`UsageReport`] ([`report`]), is merged into stored days ([`merge`]), which are packed
//! ([`pack`]), and is summed into what a client asked for ([`series`]). All times are Unix seconds in UTC; a slot is named
//! by its begin, which is a multiple of 300, or by its number in its UTC day. Nothing here knows a time zone.
//! Called by the vendors' clients, the usage job, the queries and the statistics handlers.

pub mod merge;
pub mod pack;
pub mod report;
pub mod series;
mod spread;

pub use merge::{DayChange, DayUsage, Merge, Merged};
pub use pack::{Pack, PackError, PackView};
pub use report::{Cell, CityUsage, UsageReport, UsageWindow, WindowError};
pub use series::{Grid, Interval, Metric, Point, Span, SpanError, Summary, bandwidth};
pub use spread::spread;

/// Seconds of one slot.
pub const SLOT_SECONDS: i64 = 300;
/// Slots of a UTC day.
pub const SLOTS_PER_DAY: usize = 288;
/// Seconds of a UTC day, which in Unix time has no leap seconds.
pub const DAY_SECONDS: i64 = 86_400;

/// The begin of the UTC day that holds this time.
#[must_use]
pub const fn day_of(at: i64) -> i64 {
    at.saturating_sub(at.rem_euclid(DAY_SECONDS))
}

/// The number of the slot that holds this time in its UTC day, 0 to 287.
#[must_use]
pub fn slot_of(at: i64) -> usize {
    usize::try_from(at.rem_euclid(DAY_SECONDS) / SLOT_SECONDS).unwrap_or(0)
}

/// The begin of a slot of a day.
#[must_use]
pub fn slot_begin(day: i64, slot: usize) -> i64 {
    i64::try_from(slot).map_or(i64::MAX, |slot| day.saturating_add(slot.saturating_mul(SLOT_SECONDS)))
}
