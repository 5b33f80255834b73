//! What a usage request asks for: which service, which time, in which steps, by which places (Level 3 Media Portal API
//! help, usage).
//!
//! Stricter than the vendor may have been: only `geo` may be left out, nothing may be there twice, and a range holds at
//! least one whole point. Unknown parameters are let pass. The points of a range are those that begin in it; a day or a
//! month that is not wholly in the range counts with its part.

use chrono::{DateTime, Datelike, Months, NaiveDate, NaiveDateTime, NaiveTime};
use url::form_urlencoded;

use crate::config::{DateTo, POINT_SECONDS};

/// Whose traffic: between the CDN and its visitors, or between the CDN and the customer's servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ServiceType {
    Caching,
    Origin,
}

/// The length of a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interval {
    FiveMinutes,
    Day,
    Month,
}

impl Interval {
    /// Where the point that holds a second begins, and where it ends, not included; Unix seconds.
    pub(super) fn around(self, second: i64) -> (i64, i64) {
        match self {
            Self::FiveMinutes => aligned(second, POINT_SECONDS),
            Self::Day => aligned(second, 86_400),
            Self::Month => month_around(second).unwrap_or_else(|| aligned(second, 86_400)),
        }
    }
}

/// How the places are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Geo {
    None,
    Region,
    Metro,
}

/// A checked query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Query {
    pub(super) service: ServiceType,
    /// The begin of the first point, Unix seconds.
    pub(super) from: i64,
    /// The end, not included.
    pub(super) to: i64,
    pub(super) interval: Interval,
    pub(super) geo: Geo,
}

#[derive(Default)]
struct Raw {
    service: Option<String>,
    date_from: Option<String>,
    date_to: Option<String>,
    date_month: Option<String>,
    interval: Option<String>,
    geo: Option<String>,
}

impl Query {
    /// Reads a query.
    ///
    /// # Errors
    /// The parameter that is missing, bad or there twice.
    pub(super) fn parse(query: &str, date_to: DateTo) -> Result<Self, String> {
        let raw = Raw::read(query)?;
        let (from, to) = raw.range(date_to)?;
        let service = match needed("serviceType", raw.service.as_deref())? {
            "caching" | "c" => ServiceType::Caching,
            "origin" | "o" => ServiceType::Origin,
            other => return Err(bad("serviceType", other)),
        };
        let interval = match needed("dataInterval", raw.interval.as_deref())? {
            "5min" => Interval::FiveMinutes,
            "daily" => Interval::Day,
            "monthly" => Interval::Month,
            other => return Err(bad("dataInterval", other)),
        };
        let geo = match raw.geo.as_deref() {
            None | Some("none") => Geo::None,
            Some("region") => Geo::Region,
            Some("metro") => Geo::Metro,
            Some(other) => return Err(bad("geo", other)),
        };
        Ok(Self { service, from, to, interval, geo })
    }
}

impl Raw {
    fn read(query: &str) -> Result<Self, String> {
        let mut raw = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let place = match name.as_ref() {
                "serviceType" => &mut raw.service,
                "dateFrom" => &mut raw.date_from,
                "dateTo" => &mut raw.date_to,
                "dateMonth" => &mut raw.date_month,
                "dataInterval" => &mut raw.interval,
                "geo" => &mut raw.geo,
                _ => continue,
            };
            if place.replace(value.into_owned()).is_some() {
                return Err(format!("The parameter {name} is there twice"));
            }
        }
        Ok(raw)
    }

    /// The begin of the first point and the end of the last one.
    fn range(&self, date_to: DateTo) -> Result<(i64, i64), String> {
        if let Some(month) = &self.date_month {
            if self.date_from.is_some() || self.date_to.is_some() {
                return Err("The parameter dateMonth excludes dateFrom and dateTo".to_owned());
            }
            return month_of(month).ok_or_else(|| bad("dateMonth", month));
        }
        let from = minute("dateFrom", needed("dateFrom", self.date_from.as_deref())?)?;
        let to = minute("dateTo", needed("dateTo", self.date_to.as_deref())?)?;
        // A point belongs to the range in which it begins.
        let up = |second: i64| second + (-second).rem_euclid(POINT_SECONDS);
        let (from, to) = match date_to {
            DateTo::Exclusive => (up(from), up(to)),
            DateTo::Inclusive => (up(from), up(to + 1)),
        };
        if from < to { Ok((from, to)) } else { Err("No five minutes begin between dateFrom and dateTo".to_owned()) }
    }
}

fn needed<'v>(name: &str, value: Option<&'v str>) -> Result<&'v str, String> {
    value.ok_or_else(|| format!("The parameter {name} is missing"))
}

fn bad(name: &str, value: &str) -> String {
    format!("The parameter {name} has a bad value: {value}")
}

/// Reads `yyyyMMddHHmm`.
fn minute(name: &str, text: &str) -> Result<i64, String> {
    let read = |text: &str| {
        let date = NaiveDate::from_ymd_opt(digits(text, 0, 4)?, month(text)?, unsigned(text, 6)?)?;
        let time = NaiveTime::from_hms_opt(unsigned(text, 8)?, unsigned(text, 10)?, 0)?;
        Some(NaiveDateTime::new(date, time).and_utc().timestamp())
    };
    read(text).filter(|_| text.len() == 12).ok_or_else(|| bad(name, text))
}

/// Reads `yyyyMM`.
fn month_of(text: &str) -> Option<(i64, i64)> {
    if text.len() != 6 {
        return None;
    }
    month_from(NaiveDate::from_ymd_opt(digits(text, 0, 4)?, month(text)?, 1)?)
}

fn month(text: &str) -> Option<u32> {
    unsigned(text, 4)
}

fn unsigned(text: &str, begin: usize) -> Option<u32> {
    digits(text, begin, 2).and_then(|number| u32::try_from(number).ok())
}

fn digits(text: &str, begin: usize, length: usize) -> Option<i32> {
    let part = text.get(begin..begin + length)?;
    if part.bytes().all(|byte| byte.is_ascii_digit()) { part.parse().ok() } else { None }
}

fn aligned(second: i64, length: i64) -> (i64, i64) {
    let begin = second - second.rem_euclid(length);
    (begin, begin + length)
}

fn month_around(second: i64) -> Option<(i64, i64)> {
    month_from(DateTime::from_timestamp(second, 0)?.date_naive().with_day(1)?)
}

fn month_from(first: NaiveDate) -> Option<(i64, i64)> {
    let midnight = |date: NaiveDate| date.and_time(NaiveTime::MIN).and_utc().timestamp();
    Some((midnight(first), midnight(first.checked_add_months(Months::new(1))?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2016-08-04 07:50 UTC.
    const T: i64 = 1_470_297_000;

    fn parse(query: &str) -> Result<Query, String> {
        Query::parse(query, DateTo::Exclusive)
    }

    #[test]
    fn the_real_request_is_read() {
        let query = "dateFrom=201608040750&dateTo=201608040755&serviceType=caching&dataInterval=5min&geo=metro";
        let read = Query {
            service: ServiceType::Caching,
            from: T,
            to: T + 300,
            interval: Interval::FiveMinutes,
            geo: Geo::Metro,
        };
        assert_eq!(parse(query), Ok(read));
        let inclusive = Query::parse(query, DateTo::Inclusive).unwrap();
        assert_eq!((inclusive.from, inclusive.to), (T, T + 600));
    }

    #[test]
    fn the_points_of_a_range_begin_in_it() {
        for (from, to, exclusive, inclusive) in [
            ("0750", "0800", (T, T + 600), (T, T + 900)),
            ("0746", "0751", (T, T + 300), (T, T + 300)),
            ("0751", "0756", (T + 300, T + 600), (T + 300, T + 600)),
        ] {
            let query = format!("serviceType=o&dataInterval=daily&dateFrom=20160804{from}&dateTo=20160804{to}");
            for (date_to, range) in [(DateTo::Exclusive, exclusive), (DateTo::Inclusive, inclusive)] {
                let read = Query::parse(&query, date_to).unwrap();
                assert_eq!((read.from, read.to), range, "{query} {date_to:?}");
            }
        }
    }

    #[test]
    fn a_month_is_a_range_too() {
        let read = parse("serviceType=c&dataInterval=monthly&dateMonth=201602&geo=none&unknown=1").unwrap();
        assert_eq!((read.to - read.from) / 86_400, 29);
        assert_eq!(read.interval.around(read.from + 1), (read.from, read.to));
        assert_eq!(Interval::Day.around(T), (T - 28_200, T - 28_200 + 86_400));
        assert_eq!(parse("serviceType=c&dataInterval=daily&dateMonth=201612").unwrap().to, 1_483_228_800);
    }

    #[test]
    fn what_is_missing_bad_or_doubled_is_named() {
        let good = "serviceType=c&dataInterval=5min&dateFrom=201608040750&dateTo=201608040755";
        assert!(parse(good).is_ok());
        for part in good.split('&') {
            let name = part.split('=').next().unwrap();
            let without = good.replace(part, "");
            assert_eq!(parse(&without).unwrap_err(), format!("The parameter {name} is missing"));
            for value in ["", "nonsense", "201613010000", "20160804075", "2016080407500", "+01608040750"] {
                let query = format!("{without}&{name}={value}");
                assert!(parse(&query).unwrap_err().contains(name), "{query}");
            }
            assert!(parse(&format!("{good}&{part}")).unwrap_err().contains("twice"));
        }
        for wrong in ["geo=city", "geo=", "dateMonth=201608"] {
            assert!(parse(&format!("{good}&{wrong}")).is_err(), "{wrong}");
        }
        let ranged = |from, to| parse(&format!("serviceType=c&dataInterval=5min&dateFrom={from}&dateTo={to}"));
        assert!(ranged("201608040750", "201608040750").is_err());
        assert!(ranged("201608040755", "201608040750").is_err());
        assert!(parse("serviceType=c&dataInterval=5min&dateMonth=2016-8").is_err());
    }
}
