//! One file a resource: its parameter types, answer types and handlers together.
//!
//! A handler reads its parameters, turns raw text into domain types, calls `shared::db` and shapes the
//! answer; it holds no SQL and calls no vendor. [`Group`] sorts the operations of the OpenAPI document.
//! Called by `document`, which makes the service of all resources, and by `app`, which adds `/metrics`.

pub mod accounts;
pub mod audit;
pub mod capabilities;
pub mod cdns;
pub mod logs;
pub mod mappings;
pub mod operations;
pub mod purge;
pub mod purge_plan;
pub mod reading;
pub mod sessions;
pub mod statistics;
pub mod task_lists;
pub mod tasks;
pub mod webhooks;

use chrono::{DateTime, TimeZone};
use chrono_tz::Tz;
use poem_openapi::Tags;

/// The groups of the document.
#[derive(Tags)]
pub enum Group {
    /// Who is calling.
    Session,
    /// Refresh and preload URLs, and follow the tasks.
    Tasks,
    /// Bandwidth and traffic, by time and by city.
    Statistics,
    /// Daily access logs.
    Logs,
    /// Which user may act on which domain, at which CDN.
    Mapping,
    /// Companies, their accounts and users; staff only.
    Accounts,
    /// For those who run the service; the audit trail is for staff.
    Operations,
}

/// `2016/09/13 15:44:07` in the zone, as `time` fields are written.
#[must_use]
pub fn shown_time(milliseconds: i64, zone: Tz) -> String {
    let utc = DateTime::from_timestamp_millis(milliseconds).unwrap_or_default();
    zone.from_utc_datetime(&utc.naive_utc()).format("%Y/%m/%d %H:%M:%S").to_string()
}
