//! Traffic that is made up: bytes and requests of a source (a domain in an area) for each five minutes of all times.
//!
//! Whole numbers from a name and a time only, so that they are the same in every run and a test can compute what is
//! right: the public functions here are what the statistics of Tencent Cloud CDN and EdgeOne are sums of. What a
//! configuration or the delay takes away is not looked at here. Split over districts and countries by `shares`.

use super::time::{UTC_8, floor};
use crate::hash::{mixed, seed};

/// The length of what is counted together, in seconds.
pub(crate) const SLOT: i64 = 300;

/// The day's course in percent of its peak, for each hour of UTC+8.
const COURSE: [u64; 24] =
    [48, 36, 28, 22, 20, 24, 33, 45, 58, 66, 72, 78, 82, 79, 74, 72, 75, 80, 87, 94, 100, 97, 82, 64];

/// Bytes and requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) bytes: u64,
    pub(crate) requests: u64,
}

impl Usage {
    pub(crate) fn plus(self, other: Self) -> Self {
        Self { bytes: self.bytes + other.bytes, requests: self.requests + other.requests }
    }
}

/// Where traffic comes from. Equal names give equal traffic.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source(u64);

impl Source {
    pub(crate) fn new(domain: &str, area: &str) -> Self {
        Self(mixed(seed(&domain.to_ascii_lowercase()) ^ seed(area).rotate_left(17)))
    }

    /// The traffic of the five minutes in which a time lies.
    pub(crate) fn slot(self, time: i64) -> Usage {
        let begin = floor(time, SLOT, 0);
        let number = mixed(self.0 ^ begin.unsigned_abs());
        let peak = 20_000_000 + self.0 % 380_000_000;
        let hour = usize::try_from((begin + UTC_8).div_euclid(3600).rem_euclid(24)).unwrap_or(0);
        let bytes = peak * COURSE[hour] / 100 * (80 + number % 41) / 100 + mixed(number) % 1000;
        Usage { bytes, requests: 1 + bytes / (9_000 + mixed(number ^ 1) % 30_000) }
    }

    /// The sum of the slots that begin from `from` on and before `until`.
    pub(crate) fn sum(self, from: i64, until: i64) -> Usage {
        let first = -floor(-from, SLOT, 0);
        (first..until).step_by(300).fold(Usage::default(), |sum, begin| sum.plus(self.slot(begin)))
    }
}

/// Bytes and requests of a domain at Tencent Cloud CDN in an area (`mainland` or `overseas`), in the five minutes that
/// the time lies in. This is what a domain with traffic in this area has; whether it is accelerated there, stands in
/// the configuration.
#[must_use]
pub fn tencent_usage(domain: &str, area: &str, slot_begin_unix: i64) -> (u64, u64) {
    let usage = Source::new(domain, area).slot(slot_begin_unix);
    (usage.bytes, usage.requests)
}

/// Bytes and requests of a domain at EdgeOne, in the five minutes that the time lies in.
#[must_use]
pub fn edgeone_usage(domain: &str, slot_begin_unix: i64) -> (u64, u64) {
    let usage = Source::new(domain, EDGEONE).slot(slot_begin_unix);
    (usage.bytes, usage.requests)
}

/// In the place of an area for EdgeOne, whose statistics know none.
pub(crate) const EDGEONE: &str = "edgeone";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traffic_is_that_of_its_five_minutes_and_never_nothing() {
        let begin = 1_700_000_100;
        let (bytes, requests) = tencent_usage("shop.example.com", "mainland", begin);
        assert_eq!(tencent_usage("SHOP.example.com", "mainland", begin + 299), (bytes, requests));
        for (domain, area, time) in [
            ("shop.example.com", "overseas", begin),
            ("cn.example.com", "mainland", begin),
            ("shop.example.com", "mainland", begin + 300),
        ] {
            let other = tencent_usage(domain, area, time);
            assert_ne!(other, (bytes, requests));
            assert!(other.0 > 1_000_000 && other.1 > 0 && other.1 < other.0);
        }
        assert_ne!(edgeone_usage("shop.example.com", begin).0, bytes);
    }

    #[test]
    fn a_sum_holds_the_slots_that_begin_in_it() {
        let source = Source::new("shop.example.com", "mainland");
        let begin = 1_700_000_100;
        let two = source.slot(begin).plus(source.slot(begin + 300));
        assert_eq!(source.sum(begin, begin + 600), two);
        assert_eq!(source.sum(begin - 299, begin + 301), two);
        assert_eq!(source.sum(begin, begin), Usage::default());
    }
}
