//! The vendor's time: naive `YYYY-MM-DD HH:MM:SS` in UTC+8, which has no summer time.
//!
//! Quotas are renewed at midnight there, and days of statistics are days there. Used by the clients of Tencent Cloud's
//! services. Source: the vendor's API documentation (`TimeZone` defaults to `UTC+08:00`; other times carry no zone).

use chrono::{DateTime, NaiveDateTime};
use std::time::Duration;

/// Seconds that UTC+8 is ahead of UTC.
const OFFSET: i64 = 8 * 3600;
const DAY: i64 = 86_400;
const FORMAT: &str = "%Y-%m-%d %H:%M:%S";
/// So long after midnight a renewed quota is used: clocks differ.
const AFTER_MIDNIGHT: i64 = 10;

/// A time as the vendor writes it; `at` in Unix seconds.
pub(in crate::cdn) fn written(at: i64) -> String {
    DateTime::from_timestamp(at.saturating_add(OFFSET), 0).unwrap_or_default().format(FORMAT).to_string()
}

/// Unix seconds of a time that the vendor wrote.
pub(in crate::cdn) fn read(text: &str) -> Option<i64> {
    let naive = NaiveDateTime::parse_from_str(text.trim(), FORMAT).ok()?;
    naive.and_utc().timestamp().checked_sub(OFFSET)
}

/// The begin of the vendor's day that holds this time; Unix seconds.
pub(in crate::cdn) fn day_of(at: i64) -> i64 {
    at - (at + OFFSET).rem_euclid(DAY)
}

/// How long it is from `now` (UTC milliseconds) until quotas are renewed, and when that is.
pub(in crate::cdn) fn next_day(now: i64) -> (Duration, String) {
    let midnight = day_of(now.div_euclid(1000)) + DAY;
    let wait = (midnight + AFTER_MIDNIGHT) * 1000 - now;
    (Duration::from_millis(wait.unsigned_abs()), written(midnight))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_are_eight_hours_ahead() {
        assert_eq!(written(1_551_113_065), "2019-02-26 00:44:25");
        assert_eq!(read("2018-07-30 18:10:53"), Some(1_532_945_453));
        for text in ["", "2018-07-30", "2018-07-30T18:10:53Z", "2018-13-30 18:10:53"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_day_ends_at_sixteen_hours_utc() {
        let (wait, at) = next_day(1_551_110_399_000);
        assert_eq!((wait.as_secs(), at.as_str()), (11, "2019-02-26 00:00:00"));
        assert_eq!(next_day(1_551_110_400_000).1, "2019-02-27 00:00:00");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(at in 0i64..4_000_000_000) {
            prop_assert_eq!(read(&written(at)), Some(at));
            let day = day_of(at);
            prop_assert!(day <= at && at < day + DAY);
        }
    }
}
