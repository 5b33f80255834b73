//! From stored days to an answer: the grid of a span, its points and buckets, and its summary.
//!
//! Bytes are summed over properties first; a bandwidth is made of the sum, rounded half up in integers, so the order of
//! the properties does not show. What is not known counts as 0. Numbers stop at the highest `i64`, which is what a client
//! can be expected to read. Called by the queries, which fill the grid, and the statistics handlers, which show it.

use super::{DAY_SECONDS, PackView, SLOT_SECONDS, SLOTS_PER_DAY, day_of, slot_of};
use std::ops::Range;

/// Longest span, in seconds: 92 days.
const LONGEST: i64 = 92 * DAY_SECONDS;
/// The last second of the year 9999.
const LAST_TIME: i64 = 253_402_300_799;

/// Why there is no such span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SpanError {
    /// The end is not after the start.
    #[error("the end is not after the start")]
    Empty,
    /// It is longer than 92 days.
    #[error("the range is longer than 92 days")]
    TooLong,
    /// Before 1970 or after 9999; often milliseconds.
    #[error("the times are not Unix seconds")]
    NotSeconds,
}

/// The slots that a client asked for, the last one included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    from: i64,
    to: i64,
}

impl Span {
    /// From the slot that holds `start` to the one that holds `end`, both included; Unix seconds.
    ///
    /// # Errors
    /// [`SpanError`], which names the rule.
    pub fn new(start: i64, end: i64) -> Result<Self, SpanError> {
        if !(0..=LAST_TIME).contains(&start) || !(0..=LAST_TIME).contains(&end) {
            return Err(SpanError::NotSeconds);
        }
        match end - start {
            ..=0 => Err(SpanError::Empty),
            1..=LONGEST => Ok(Self { from: start - start % SLOT_SECONDS, to: end - end % SLOT_SECONDS }),
            _ => Err(SpanError::TooLong),
        }
    }

    /// The first slot.
    #[must_use]
    pub const fn from(self) -> i64 {
        self.from
    }

    /// The last slot.
    #[must_use]
    pub const fn to(self) -> i64 {
        self.to
    }

    /// How many slots there are, 1 to 26,497.
    #[must_use]
    pub fn slots(self) -> usize {
        usize::try_from((self.to - self.from) / SLOT_SECONDS).map_or(0, |steps| steps + 1)
    }

    /// The UTC days that it touches, by their begins, in order.
    pub fn days(self) -> impl Iterator<Item = i64> {
        let first = day_of(self.from);
        (0..=(self.to - first) / DAY_SECONDS).map(move |index| first + index * DAY_SECONDS)
    }

    /// Its slots in a day by their numbers, empty for a day that it does not touch.
    #[must_use]
    pub fn slots_of(self, day: i64) -> Range<usize> {
        let last_of_day = day.saturating_add(DAY_SECONDS - SLOT_SECONDS);
        if day > self.to || last_of_day < self.from {
            return 0..0;
        }
        slot_of(self.from.max(day))..slot_of(self.to.min(last_of_day)) + 1
    }

    /// Whether it holds all of a day, so that the day's stored totals can be taken.
    #[must_use]
    pub fn is_whole(self, day: i64) -> bool {
        self.slots_of(day).len() == SLOTS_PER_DAY
    }
}

/// What a point's value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Metric {
    /// Bytes in the time of the point.
    Flux,
    /// Bits a second.
    Bandwidth,
}

impl Metric {
    /// The value of a slot, or of a sum over slots, with these bytes.
    #[must_use]
    pub fn value(self, bytes: u64) -> i64 {
        match self {
            Self::Flux => clamped(u128::from(bytes)),
            Self::Bandwidth => bandwidth(bytes),
        }
    }
}

/// The bandwidth of so many bytes in five minutes, in bit/s, rounded half up.
#[must_use]
pub fn bandwidth(bytes: u64) -> i64 {
    clamped(divided(u128::from(bytes) * 8, SLOT_SECONDS.unsigned_abs().into()))
}

/// The step of an answer's points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Interval {
    /// The slots themselves.
    FiveMinutes,
    /// Hours.
    Hour,
    /// UTC days.
    Day,
}

impl Interval {
    /// The interval of 300, 3600 or 86400 seconds; there is no other.
    #[must_use]
    pub const fn from_seconds(seconds: i64) -> Option<Self> {
        match seconds {
            300 => Some(Self::FiveMinutes),
            3600 => Some(Self::Hour),
            86_400 => Some(Self::Day),
            _ => None,
        }
    }

    /// Its length in seconds.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        match self {
            Self::FiveMinutes => SLOT_SECONDS,
            Self::Hour => 3600,
            Self::Day => DAY_SECONDS,
        }
    }
}

/// One point of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// The begin of its bucket, Unix seconds.
    pub timestamp: i64,
    /// Bytes or bit/s.
    pub value: i64,
}

/// What is said of a whole series; all of it of 5-minute values, whatever the interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// The highest value.
    pub peak: i64,
    /// The first slot with the highest value; the first of all where all are 0.
    pub peak_time: i64,
    /// The 95th percentile as billing uses it: the highest that remains when the top 5 % (rounded down) are dropped.
    pub p95: i64,
    /// The mean over all slots of the span, rounded half up once: for bandwidth all bits by all seconds.
    pub average: i64,
    /// All bytes, for either metric.
    pub total_bytes: i64,
    /// The last slot of the span that is known of any property.
    pub latest: Option<i64>,
}

/// Bytes of each slot of a span, summed over properties.
#[derive(Debug, Clone)]
pub struct Grid {
    span: Span,
    bytes: Vec<u64>,
    latest: Option<i64>,
}

impl Grid {
    /// A grid without anything in it.
    #[must_use]
    pub fn new(span: Span) -> Self {
        Self { span, bytes: vec![0; span.slots()], latest: None }
    }

    /// Adds one property's day; `day` is its begin. What lies outside of the span is passed over.
    pub fn add(&mut self, day: i64, pack: &PackView<'_>) {
        let slots = self.span.slots_of(day);
        let Ok(first) = usize::try_from((day.max(self.span.from) - self.span.from) / SLOT_SECONDS) else { return };
        if let Some(place) = self.bytes.get_mut(first..first + slots.len()) {
            pack.add_onto(slots.clone(), place);
        }
        let known = pack.last_known(slots).map(|slot| super::slot_begin(day, slot));
        self.latest = self.latest.max(known);
    }

    /// The span.
    #[must_use]
    pub const fn span(&self) -> Span {
        self.span
    }

    /// The bytes of each slot.
    #[must_use]
    pub fn bytes(&self) -> &[u64] {
        &self.bytes
    }

    /// The points, without gaps. Buckets begin at UTC multiples of the interval, the first one perhaps before the span;
    /// of flux they hold the sum, of bandwidth the highest 5-minute value.
    pub fn points(&self, metric: Metric, interval: Interval) -> impl Iterator<Item = Point> + '_ {
        let step = interval.seconds();
        let mut at = self.span.from;
        let mut rest = self.bytes.as_slice();
        std::iter::from_fn(move || {
            let timestamp = at - at.rem_euclid(step);
            let length =
                usize::try_from((timestamp + step - at) / SLOT_SECONDS).unwrap_or(0).clamp(1, rest.len().max(1));
            let (bucket, behind) = rest.split_at_checked(length)?;
            (at, rest) = (timestamp + step, behind);
            let bytes = match metric {
                Metric::Flux => bucket.iter().fold(0, |sum: u64, bytes| sum.saturating_add(*bytes)),
                Metric::Bandwidth => bucket.iter().copied().max().unwrap_or(0),
            };
            Some(Point { timestamp, value: metric.value(bytes) })
        })
    }

    /// The summary.
    #[must_use]
    pub fn summary(&self, metric: Metric) -> Summary {
        let highest = self.bytes.iter().copied().max().unwrap_or(0);
        let peak_at = (self.span.from..).step_by(300).zip(&self.bytes).find(|(_, bytes)| **bytes == highest);
        let total: u128 = self.bytes.iter().map(|bytes| u128::from(*bytes)).sum();
        let slots = self.bytes.len().max(1) as u128;
        let average = match metric {
            Metric::Flux => divided(total, slots),
            Metric::Bandwidth => divided(total * 8, slots * u128::from(SLOT_SECONDS.unsigned_abs())),
        };
        Summary {
            peak: metric.value(highest),
            peak_time: peak_at.map_or(self.span.from, |(time, _)| time),
            p95: metric.value(self.p95_bytes()),
            average: clamped(average),
            total_bytes: clamped(total),
            latest: self.latest,
        }
    }

    fn p95_bytes(&self) -> u64 {
        let mut sorted = self.bytes.clone();
        let Some(last) = sorted.len().checked_sub(1) else { return 0 };
        // Bandwidth grows with the bytes, so the order of the one is that of the other.
        *sorted.select_nth_unstable(last - self.bytes.len() / 20).1
    }
}

/// Divides, rounding half up.
fn divided(number: u128, by: u128) -> u128 {
    number.saturating_add(by / 2) / by
}

fn clamped(number: u128) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
