//! What a configuration says of usage: golden rows, and whether a range's end is meant to be in it.
//!
//! A golden row is one city's traffic in five minutes, with its volume as the very text that the vendor sends. A UTC
//! day of a property that has golden rows has nothing else. Rows of a property that the tree does not have are without
//! effect, so that a file which replaces the demonstration's tree need not replace its golden rows.
//!
//! Read by `Config`, changed at run time through the control endpoints, held by `crate::usage`.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Seconds of one point of the series.
pub(crate) const POINT_SECONDS: i64 = 300;
/// Bytes of what the vendor calls a GB.
pub(crate) const GIGABYTE: u64 = 1 << 30;
/// Cities that the vendor has.
pub(crate) const MAX_CITIES: usize = 85;
/// The most decimals of a volume.
const MAX_DECIMALS: usize = 18;
/// The longest delay: a year.
const MAX_DELAY_MINUTES: u32 = 366 * 24 * 60;

/// Before this there is no traffic, so that every range is a finite amount of work: 2010-01-01.
pub(crate) const FIRST_SECOND: i64 = 1_262_304_000;

/// Whether the point that begins at `dateTo` is in the answer (the help pages leave it open, so a client takes both).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DateTo {
    /// The range ends before it.
    #[default]
    Exclusive,
    /// The point is the last one of the answer.
    Inclusive,
}

/// One city's caching traffic of one property in five minutes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoldenUsage {
    /// The property's name in the configuration.
    pub property: String,
    /// When the five minutes begin: a multiple of five minutes, not before 2010.
    pub time: DateTime<Utc>,
    /// The metro id, sent as it stands here.
    pub city: String,
    /// The volume in GB (1024³ bytes) as decimal text such as `0.000008789`, sent as it stands here.
    pub volume: String,
    /// The number of requests.
    pub requests: u64,
}

impl GoldenUsage {
    /// The volume in bytes, `round(volume × 1024³)`; none if the text is no plain decimal number.
    #[must_use]
    pub fn bytes(&self) -> Option<u64> {
        let (whole, decimals) = self.volume.split_once('.').unwrap_or((&self.volume, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(decimals) || decimals.len() > MAX_DECIMALS {
            return None;
        }
        let whole: u64 = whole.parse().ok()?;
        let numerator: u128 = decimals.parse().ok()?;
        let denominator = 10_u128.pow(u32::try_from(decimals.len()).ok()?);
        let rest = (numerator * u128::from(GIGABYTE) + denominator / 2) / denominator;
        whole.checked_mul(GIGABYTE)?.checked_add(u64::try_from(rest).ok()?)
    }
}

/// Checks golden rows among themselves.
pub(crate) fn check_golden(rows: &[GoldenUsage]) -> Result<(), String> {
    let mut seen = HashSet::new();
    for row in rows {
        let second = row.time.timestamp();
        let aligned = second % POINT_SECONDS == 0 && row.time.timestamp_subsec_nanos() == 0;
        let problem = if second < FIRST_SECOND || !aligned {
            "the time is before 2010 or no multiple of five minutes"
        } else if row.city.trim().is_empty() || row.city.contains(char::is_control) {
            "the city is empty or not printable"
        } else if row.bytes().is_none() {
            "the volume is no plain decimal number of GB with at most 18 decimals"
        } else if !seen.insert((&row.property, second, &row.city)) {
            "the row is there twice"
        } else {
            continue;
        };
        return Err(format!("golden usage of {} at {} in {:?}: {problem}", row.property, row.time, row.city));
    }
    Ok(())
}

/// Checks how many cities a property has.
pub(super) fn check_cities(cities: usize) -> Result<(), String> {
    if (1..=MAX_CITIES).contains(&cities) { Ok(()) } else { Err(format!("usage_cities is not 1 to {MAX_CITIES}")) }
}

/// Checks the longest delay of the data, in minutes.
pub(crate) fn check_delay(minutes: u32) -> Result<(), String> {
    if minutes <= MAX_DELAY_MINUTES { Ok(()) } else { Err("the delay of usage is more than a year".to_owned()) }
}

/// The day of a time in Unix seconds, counted from 1970.
pub(crate) fn day_of(second: i64) -> i64 {
    second.div_euclid(86_400)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(time: &str, city: &str, volume: &str) -> GoldenUsage {
        let time = DateTime::parse_from_rfc3339(time).unwrap().to_utc();
        GoldenUsage { property: "p".to_owned(), time, city: city.to_owned(), volume: volume.to_owned(), requests: 1 }
    }

    #[test]
    fn a_volume_becomes_whole_bytes_without_a_float() {
        for (volume, bytes) in [
            ("0", Some(0)),
            ("1", Some(1_073_741_824)),
            ("0.000140625", Some(150_995)),
            ("0.0860478515", Some(92_393_177)),
            ("0.645375", Some(692_966_130)),
            ("0.0000000004", Some(0)),
            ("0.0000000005", Some(1)),
            ("17179869183.999999999999999999", None),
            ("17179869183", Some(u64::MAX - GIGABYTE + 1)),
            ("17179869184", None),
            ("", None),
            (".5", None),
            ("5.", None),
            ("-1", None),
            ("1e3", None),
            ("0.1234567890123456789", None),
        ] {
            assert_eq!(row("2016-08-04T07:50:00Z", "Miami", volume).bytes(), bytes, "{volume}");
        }
    }

    #[test]
    fn golden_rows_are_checked() {
        let good = row("2016-08-04T07:50:00Z", "Miami", "0.1");
        let other = row("2016-08-04T07:50:00Z", "New York", "0.1");
        assert_eq!(check_golden(&[good.clone(), other]), Ok(()));
        assert!(check_golden(&[good.clone(), good]).unwrap_err().contains("twice"));
        for (time, city, volume) in [
            ("2016-08-04T07:51:00Z", "Miami", "0.1"),
            ("2016-08-04T07:50:00.5Z", "Miami", "0.1"),
            ("2009-12-31T23:55:00Z", "Miami", "0.1"),
            ("2016-08-04T07:50:00Z", " ", "0.1"),
            ("2016-08-04T07:50:00Z", "Mi\nami", "0.1"),
            ("2016-08-04T07:50:00Z", "Miami", "much"),
        ] {
            assert!(check_golden(&[row(time, city, volume)]).is_err(), "{time} {city} {volume}");
        }
    }
}
