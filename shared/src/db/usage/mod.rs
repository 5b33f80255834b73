//! Usage by the day: stored by the collectors, read by the statistics.
//!
//! A report is merged into its days under the lock of the property's row, totals and cities in one transaction,
//! so that they always agree and two collectors of one property lose nothing. A day's packs are read and
//! written whole. Numbers above 2^63 stop there in the columns, not in the packs.

mod read;
mod write;

pub use read::{AreaRow, area, latest, series, unknown_cities};
pub use write::{Collected, Due, due_for_backfill, listed, note_backfilled, store, sweep};

/// The number of a UTC day since 1970, from its begin in Unix seconds.
fn number_of(day: i64) -> i64 {
    day.div_euclid(crate::domain::usage::DAY_SECONDS)
}

/// What a signed column can hold.
fn column(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
