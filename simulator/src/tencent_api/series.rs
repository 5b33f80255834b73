//! Time series of traffic: which points a request is answered with, and what each of them holds.
//!
//! Start and end are floored to the interval, and both points are in the answer; a point's time is where its span
//! begins. Five minutes that have not ended, or not long enough ago, count 0: what is late is not missing. The
//! bandwidth of a span longer than five minutes is the peak of its five minutes. Called by both services.

use super::time::{DAY, HOUR, floor};
use super::traffic::{SLOT, Source, Usage};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Metric {
    Bytes,
    Requests,
    /// Bits in a second, rounded down.
    Bandwidth,
}

/// The points of an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grid {
    pub(crate) start: i64,
    pub(crate) end: i64,
    /// The length of a span: 60, 300, 3600 or 86,400 seconds.
    pub(crate) span: i64,
    /// Where days begin, as an offset from UTC in seconds.
    pub(crate) zone: i64,
    /// What ended later than this is not known yet.
    pub(crate) known_until: i64,
}

/// The length of an interval, by the vendor's word.
pub(crate) fn span_of(interval: &str) -> Option<i64> {
    match interval {
        "min" => Some(60),
        "5min" => Some(SLOT),
        "hour" => Some(HOUR),
        "day" => Some(DAY),
        _ => None,
    }
}

impl Grid {
    /// Where the points of the answer begin.
    pub(crate) fn points(&self) -> impl Iterator<Item = i64> + use<> {
        let (first, last) = (floor(self.start, self.span, self.zone), floor(self.end, self.span, self.zone));
        (first..=last).step_by(usize::try_from(self.span).unwrap_or(usize::MAX))
    }

    /// The points with what the sources have together.
    pub(crate) fn series(&self, sources: &[Source], metric: Metric) -> Vec<(i64, u64)> {
        self.points().map(|begin| (begin, self.value(sources, metric, begin))).collect()
    }

    fn value(&self, sources: &[Source], metric: Metric, begin: i64) -> u64 {
        if self.span < SLOT {
            let slot = floor(begin, SLOT, 0);
            let usage = self.known(sources, slot);
            let minute = Usage {
                bytes: minute_of(usage.bytes, begin == slot),
                requests: minute_of(usage.requests, begin == slot),
            };
            return measured(minute, metric, self.span);
        }
        let slots = (begin..begin + self.span).step_by(300).map(|slot| self.known(sources, slot));
        match metric {
            Metric::Bandwidth => slots.map(|usage| measured(usage, metric, SLOT)).max().unwrap_or(0),
            _ => measured(slots.fold(Usage::default(), Usage::plus), metric, self.span),
        }
    }

    fn known(&self, sources: &[Source], slot: i64) -> Usage {
        if slot + SLOT > self.known_until {
            return Usage::default();
        }
        sources.iter().fold(Usage::default(), |sum, source| sum.plus(source.slot(slot)))
    }
}

/// A minute's part of five: what cannot be divided is the first one's.
fn minute_of(amount: u64, first: bool) -> u64 {
    amount / 5 + if first { amount % 5 } else { 0 }
}

fn measured(usage: Usage, metric: Metric, seconds: i64) -> u64 {
    match metric {
        Metric::Bytes => usage.bytes,
        Metric::Requests => usage.requests,
        Metric::Bandwidth => usage.bytes * 8 / seconds.unsigned_abs().max(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tencent_api::time::UTC_8;

    const NOON: i64 = 1_700_020_800; // 2023-11-15 12:00:00 in UTC+8

    fn grid(start: i64, end: i64, span: i64) -> Grid {
        Grid { start, end, span, zone: UTC_8, known_until: i64::MAX - 1 }
    }

    #[test]
    fn start_and_end_are_floored_and_inclusive() {
        let points = |start, end, span| grid(start, end, span).points().collect::<Vec<_>>();
        assert_eq!(points(NOON + 299, NOON + 600, 300), [NOON, NOON + 300, NOON + 600]);
        assert_eq!(points(NOON + 1, NOON + 2, 3600), [NOON]);
        assert_eq!(points(NOON, NOON, 86_400), [NOON - 12 * HOUR]);
    }

    #[test]
    fn all_intervals_sum_up_to_the_same() {
        let sources = [Source::new("a", "mainland"), Source::new("b", "mainland")];
        let day = NOON - 12 * HOUR;
        for metric in [Metric::Bytes, Metric::Requests] {
            let sum = |span| {
                let series = grid(day, day + DAY - 1, span).series(&sources, metric);
                series.into_iter().map(|(_, value)| value).sum::<u64>()
            };
            assert!([60, 300, 3600].into_iter().all(|span| sum(span) == sum(DAY)), "{metric:?}");
        }
        let peak = |span| {
            grid(day, day + DAY - 1, span).series(&sources, Metric::Bandwidth).into_iter().map(|point| point.1).max()
        };
        assert_eq!(peak(300), peak(DAY));
    }

    #[test]
    fn what_has_not_ended_long_enough_ago_is_0() {
        let sources = [Source::new("a", "mainland")];
        let grid = Grid { known_until: NOON + 599, ..grid(NOON, NOON + 300, 300) };
        let known: Vec<bool> = grid.series(&sources, Metric::Bytes).into_iter().map(|(_, value)| value > 0).collect();
        assert_eq!(known, [true, false]);
    }
}
