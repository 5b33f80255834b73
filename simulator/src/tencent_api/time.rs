//! Times as the two services write them: naive `YYYY-MM-DD HH:MM:SS` in a zone (UTC+8 unless said otherwise), and ISO
//! 8601 with its offset.
//!
//! Everything within is Unix seconds; days of quotas and of statistics begin at 00:00 in UTC+8. Called by the actions
//! of both services.

use chrono::{DateTime, NaiveDateTime, SecondsFormat, Utc};

/// The vendor's own zone, UTC+8, in seconds.
pub(crate) const UTC_8: i64 = 8 * 3600;
pub(crate) const DAY: i64 = 86_400;
pub(crate) const HOUR: i64 = 3600;

const NAIVE: &str = "%Y-%m-%d %H:%M:%S";

fn date(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap_or_default()
}

/// The time in a zone, in a form of `chrono`.
pub(crate) fn local(seconds: i64, zone: i64, form: &str) -> String {
    date(seconds + zone).format(form).to_string()
}

/// `2018-09-04 10:40:00`.
pub(crate) fn naive(seconds: i64, zone: i64) -> String {
    local(seconds, zone, NAIVE)
}

/// Reads `2018-09-04 10:40:00`.
pub(crate) fn parse_naive(text: &str, zone: i64) -> Option<i64> {
    NaiveDateTime::parse_from_str(text, NAIVE).ok().map(|time| time.and_utc().timestamp() - zone)
}

/// `2022-02-09T02:28:43Z`.
pub(crate) fn iso(seconds: i64) -> String {
    date(seconds).to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Reads ISO 8601 with an offset, which is answered too.
pub(crate) fn parse_iso(text: &str) -> Option<(i64, i64)> {
    let time = DateTime::parse_from_rfc3339(text).ok()?;
    Some((time.timestamp(), i64::from(time.offset().local_minus_utc())))
}

/// Reads `UTC+08:00`.
pub(crate) fn parse_zone(text: &str) -> Option<i64> {
    let rest = text.strip_prefix("UTC")?;
    let sign = match rest.chars().next()? {
        '+' => 1,
        '-' => -1,
        _ => return None,
    };
    let (hours, minutes) = rest.get(1..)?.split_once(':')?;
    let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
    ((0..=14).contains(&hours) && (0..60).contains(&minutes)).then_some(sign * (hours * 3600 + minutes * 60))
}

/// The beginning of the span that a time lies in, for spans that begin at 00:00 of a zone.
pub(crate) fn floor(seconds: i64, span: i64, zone: i64) -> i64 {
    (seconds + zone).div_euclid(span) * span - zone
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn naive_times_are_those_of_their_zone() {
        let seconds = 1_536_028_800; // 2018-09-04T02:40:00Z
        assert_eq!(naive(seconds, UTC_8), "2018-09-04 10:40:00");
        assert_eq!(parse_naive("2018-09-04 10:40:00", UTC_8), Some(seconds));
        assert_eq!(parse_naive("2018-09-04 02:40:00", 0), Some(seconds));
        for text in ["", "2018-09-04", "2018-09-04T10:40:00", "2018-09-04 10:40:00Z", "2018-02-30 00:00:00"] {
            assert_eq!(parse_naive(text, UTC_8), None, "{text}");
        }
        assert_eq!(floor(seconds, DAY, UTC_8), parse_naive("2018-09-04 00:00:00", UTC_8).unwrap());
        assert_eq!(floor(seconds, DAY, 0), parse_naive("2018-09-04 00:00:00", 0).unwrap());
    }

    #[test]
    fn iso_times_and_zones_are_read() {
        assert_eq!(parse_iso("2022-02-09T10:28:43+08:00"), Some((1_644_373_723, UTC_8)));
        assert_eq!(iso(1_644_373_723), "2022-02-09T02:28:43Z");
        assert_eq!(parse_iso("2022-02-09 10:28:43"), None);
        assert_eq!(parse_zone("UTC+08:00"), Some(UTC_8));
        assert_eq!(parse_zone("UTC-03:30"), Some(-12_600));
        for text in ["", "UTC", "UTC+8", "+08:00", "UTC+99:00"] {
            assert_eq!(parse_zone(text), None, "{text}");
        }
    }
}
