//! What was spent of the day's quotas. A day begins at 00:00 in UTC+8 of the simulated time.
//!
//! A call is taken as a whole or not at all: when one of the places that it spends in has too little left, nothing is
//! spent. Whether a call is too large by itself is not checked here. Each service keeps its own book; a place is an
//! area, or a zone.

use std::collections::HashMap;

use super::time::{DAY, UTC_8};

/// What was spent today, by place and kind of task.
#[derive(Default)]
pub(crate) struct QuotaBook {
    day: i64,
    spent: HashMap<(String, &'static str), u64>,
}

impl QuotaBook {
    fn turn_to(&mut self, now: i64) {
        let day = (now + UTC_8).div_euclid(DAY);
        if self.day != day {
            self.day = day;
            self.spent.clear();
        }
    }

    /// What is left today.
    pub(crate) fn left(&mut self, now: i64, place: &str, kind: &'static str, daily: u64) -> u64 {
        self.turn_to(now);
        daily.saturating_sub(self.spent.get(&(place.to_owned(), kind)).copied().unwrap_or(0))
    }

    /// Spends in all places, or nothing.
    pub(crate) fn spend(&mut self, now: i64, costs: &HashMap<String, u64>, kind: &'static str, daily: u64) -> bool {
        if costs.iter().any(|(place, cost)| *cost > self.left(now, place, kind, daily)) {
            return false;
        }
        for (place, cost) in costs {
            *self.spent.entry((place.clone(), kind)).or_default() += cost;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_spends_everywhere_or_nowhere_and_a_day_begins_in_utc_8() {
        let mut book = QuotaBook::default();
        let costs =
            |mainland, overseas| HashMap::from([("mainland".to_owned(), mainland), ("overseas".to_owned(), overseas)]);
        let midnight = 16 * 3600;
        assert!(book.spend(0, &costs(6, 1), "url", 10));
        assert!(!book.spend(0, &costs(5, 1), "url", 10));
        assert_eq!((book.left(0, "mainland", "url", 10), book.left(0, "overseas", "url", 10)), (4, 9));
        assert_eq!(book.left(0, "mainland", "path", 10), 10);
        assert_eq!(book.left(midnight - 1, "mainland", "url", 10), 4);
        assert_eq!(book.left(midnight, "mainland", "url", 10), 10);
    }
}
