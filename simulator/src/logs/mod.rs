//! Access logs: which days are delivered when, and what a caller may ask for besides.
//!
//! The vendor writes a day's log as files into a folder, from which its customers fetch them: `YYYY/MM/DD/<property>/`,
//! UTC days, only for active caching properties. A start delivers the last days, a task each day that ends, and
//! `Control` any day in any form. `shelf` writes the folder, `daily` watches the clock; what stands in a file is the
//! vendor's part. All of it is blocking file work, which the server and the HTTP control keep off their threads.

mod daily;
mod shelf;

use std::io;
use std::path::PathBuf;

use chrono::NaiveDate;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

pub(crate) use self::daily::{deliver_at_start, deliver_each_day};
pub(crate) use self::shelf::LogShelf;
use crate::config::LogHeader;

/// A delivery of one day's access logs; what is left out is as the configuration says.
///
/// It takes the place of an earlier delivery of the same property and day.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogDelivery {
    /// The UTC day, in the years 2010 to 9999; it may be today or later.
    #[serde(deserialize_with = "read_day")]
    pub day: NaiveDate,
    /// One active caching property; none: all of them.
    pub property: Option<String>,
    /// Files of a property, 1 to 100.
    pub files: Option<usize>,
    /// Requests in a file, at most 500,000.
    pub lines: Option<usize>,
    /// Lines a little out of order, some with equal times, and files whose times overlap.
    pub out_of_order: Option<bool>,
    /// Holds the last file back until [`crate::Control::complete_logs`].
    pub late: Option<bool>,
    /// Cuts the second file, or the only one, in the middle until [`crate::Control::complete_logs`].
    pub broken: Option<bool>,
    /// How a file begins.
    pub header: Option<LogHeader>,
}

/// Whose late and broken files of a day are to be delivered whole, as the HTTP control takes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogCompletion {
    #[serde(deserialize_with = "read_day")]
    pub(crate) day: NaiveDate,
    pub(crate) property: Option<String>,
}

/// Why logs were not delivered, or not all of them.
#[derive(Debug, thiserror::Error)]
pub enum LogDeliveryError {
    /// There is nowhere to deliver them to.
    #[error("no logs are delivered: log_folder is not set")]
    NoFolder,
    /// The day is out of bounds.
    #[error("day {0} is not in the years 2010 to 9999")]
    Day(NaiveDate),
    /// The tree has no such property.
    #[error("there is no property {0}")]
    UnknownProperty(String),
    /// The property is inactive or no caching one.
    #[error("property {0} has no logs: it is not an active caching property")]
    WithoutLogs(String),
    /// Too many files or lines, or no file.
    #[error("{0}")]
    Size(String),
    /// The folder or a file in it cannot be written.
    #[error("cannot write {path}: {source}", path = path.display())]
    Write {
        /// The folder or the file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

/// Reads a day and names it if it is none; chrono's own message says neither what nor where.
fn read_day<'de, D: Deserializer<'de>>(deserializer: D) -> Result<NaiveDate, D::Error> {
    let text = String::deserialize(deserializer)?;
    NaiveDate::parse_from_str(&text, "%Y-%m-%d")
        .map_err(|_| D::Error::custom(format!("day {text:?} is no date such as 2016-09-29")))
}
