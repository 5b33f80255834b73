//! Usage: bytes and requests in steps of five minutes, and what is asked of them.
//!
//! A vendor's answer becomes a [`UsageReport`] ([`report`]). All times are Unix seconds in UTC; a slot
//! is named by its begin, which is a multiple of 300. Nothing here knows a time zone.
//! Called by the vendors' clients, the usage job, the queries and the statistics handlers.

pub mod report;

pub use report::{Cell, CityUsage, UsageReport, UsageWindow, WindowError};

/// Seconds of one slot.
pub const SLOT_SECONDS: i64 = 300;
/// Slots of a UTC day.
pub const SLOTS_PER_DAY: usize = 288;
/// Seconds of a UTC day, which in Unix time has no leap seconds.
pub const DAY_SECONDS: i64 = 86_400;
