//! What a configuration says of access logs: how a file begins, and the bounds of days, files and lines.
//!
//! The bounds keep every start a finite amount of work, and lines of one file at least a millisecond apart. One day is
//! never delivered by itself, because the example in the product's documentation says that it has no log.
//!
//! Read by `Config`, and by `crate::logs`, which holds what is asked for at run time to the same bounds.

use chrono::{Datelike, NaiveDate};
use serde::{Deserialize, Serialize};

/// How a file of the access logs begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogHeader {
    /// Two lines that begin with `#`: the version, and the names of the fields.
    #[default]
    W3c,
    /// The same two lines without the `#`.
    Plain,
    /// With the first request.
    None,
}

/// The most whole days before today that a start delivers.
const MAX_DAYS: u32 = 366;
/// The most files of a property and day.
const MAX_FILES: usize = 100;
/// The most lines of a file; of a hundred files, each has a little more than 800,000 milliseconds of the day.
const MAX_LINES: usize = 500_000;
/// The first and the last year of a day's folder.
const YEARS: std::ops::RangeInclusive<i32> = 2010..=9999;

/// The day that only a request to the control delivers: 2016-09-28.
pub(crate) fn is_without_log(day: NaiveDate) -> bool {
    (day.year(), day.month(), day.day()) == (2016, 9, 28)
}

/// Whether there can be logs of a day at all.
pub(crate) fn has_folder(day: NaiveDate) -> bool {
    YEARS.contains(&day.year())
}

/// Checks how many files a property and day has, and how many lines a file.
pub(crate) fn check_size(files: usize, lines: usize) -> Result<(), String> {
    if !(1..=MAX_FILES).contains(&files) {
        Err(format!("the files of a day's log are not 1 to {MAX_FILES}"))
    } else if lines > MAX_LINES {
        Err(format!("the lines of a log's file are more than {MAX_LINES}"))
    } else {
        Ok(())
    }
}

/// Checks the days that a start delivers.
pub(super) fn check_days(days: u32, golden: &[NaiveDate]) -> Result<(), String> {
    if days > MAX_DAYS {
        return Err(format!("log_days is more than {MAX_DAYS}"));
    }
    match golden.iter().find(|day| !has_folder(**day) || is_without_log(**day)) {
        Some(day) if is_without_log(*day) => Err(format!("log_golden_days: {day} is the day without a log")),
        Some(day) => Err(format!("log_golden_days: {day} is not in the years 2010 to 9999")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_sizes_have_bounds() {
        let day = |year, month, day| NaiveDate::from_ymd_opt(year, month, day).unwrap();
        assert_eq!(check_days(366, &[day(2010, 1, 1), day(9999, 12, 31), day(2016, 9, 29)]), Ok(()));
        assert!(check_days(367, &[]).unwrap_err().contains("log_days"));
        for wrong in [day(2009, 12, 31), day(2016, 9, 28), day(10_000, 1, 1)] {
            assert!(check_days(3, &[wrong]).unwrap_err().contains(&format!("log_golden_days: {wrong}")), "{wrong}");
        }
        assert_eq!(check_size(1, 0), Ok(()));
        assert_eq!(check_size(100, 500_000), Ok(()));
        assert!(check_size(0, 1).unwrap_err().contains("files"));
        assert!(check_size(101, 1).unwrap_err().contains("files"));
        assert!(check_size(1, 500_001).unwrap_err().contains("lines"));
    }
}
