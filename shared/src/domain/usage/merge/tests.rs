//! What must hold of merging: reports may come twice and in any order, corrections reach every number, and a day's
//! cities always sum up to its totals.
//!
//! `Store` stands for the tables: it keeps what a change says is to be written.

use super::*;
use crate::domain::usage::UsageWindow;
use proptest::{prelude::*, sample::select};

/// A day's begin, 2016-08-04.
const DAY: i64 = 1_470_268_800;
const NEVER: i64 = i64::MIN;

/// Days by their begin: totals, and cities by name.
#[derive(Debug, Clone, Default, PartialEq)]
struct Store(BTreeMap<i64, (Option<DayUsage>, BTreeMap<String, DayUsage>)>);

impl Store {
    fn merge(&mut self, report: &UsageReport, settled_before: i64) {
        let merge = Merge::new(report, settled_before);
        for day in merge.days() {
            let (totals, cities) = self.0.entry(day).or_default();
            let stored: Vec<_> = cities.clone().into_iter().collect();
            let change = merge.day(day, totals.as_ref(), &stored);
            *totals = change.totals.or_else(|| totals.clone());
            cities.extend(change.cities);
        }
        self.0.retain(|_, (totals, _)| totals.is_some());
    }

    fn total(&self, at: i64) -> Option<Cell> {
        self.0.get(&day_of(at))?.0.as_ref()?.get(slot_of(at))
    }

    fn city(&self, at: i64, name: &str) -> Option<Cell> {
        self.0.get(&day_of(at))?.1.get(name)?.get(slot_of(at))
    }

    fn cities_agree(&self) -> Result<(), TestCaseError> {
        for (totals, cities) in self.0.values() {
            let totals = totals.clone().unwrap_or_default();
            for slot in 0..288 {
                let sum = cities.values().filter_map(|city| city.get(slot)).fold(Cell::default(), Cell::plus);
                prop_assert_eq!(sum, totals.get(slot).unwrap_or_default());
                for city in cities.values() {
                    prop_assert_eq!(city.get(slot).is_some(), totals.get(slot).is_some());
                }
            }
        }
        Ok(())
    }
}

fn cell(bytes: u64) -> Cell {
    Cell { bytes, requests: bytes.div_ceil(1000) }
}

/// A report of slots counted from `DAY`, of (slot, city, bytes); the totals are the sums.
fn report(slots: Range<i64>, items: &[(i64, &str, u64)]) -> UsageReport {
    let window = UsageWindow::new(DAY + slots.start * 300, DAY + slots.end * 300).unwrap();
    let mut report = UsageReport::new(window);
    for (slot, city, bytes) in items {
        report.add_total(DAY + slot * 300, cell(*bytes));
        assert!(report.add_city(DAY + slot * 300, city, cell(*bytes)));
    }
    report
}

fn at(slot: i64) -> i64 {
    DAY + slot * 300
}

#[test]
fn what_lies_before_the_last_delivered_slot_is_known() {
    let mut store = Store::default();
    store.merge(&report(2..8, &[(5, "Miami", 10)]), NEVER);
    assert_eq!((store.total(at(1)), store.total(at(2)), store.total(at(6))), (None, Some(cell(0)), None));
    assert_eq!((store.city(at(1), "Miami"), store.city(at(2), "Miami")), (None, Some(cell(0))));
    let (day, _) = &store.0[&DAY];
    let day = day.as_ref().unwrap();
    assert_eq!((day.total_bytes(), day.total_requests()), (10, 1));
    assert_eq!((day.peak_bytes(), day.peak_slot(), day.last_known()), (10, Some(5), Some(5)));
}

#[test]
fn a_correction_downwards_reaches_totals_peaks_and_cities() {
    let mut store = Store::default();
    store.merge(&report(0..6, &[(1, "Miami", 900), (1, "Seoul", 50), (3, "Miami", 70)]), NEVER);
    store.merge(&report(0..6, &[(1, "Miami", 20), (3, "Miami", 60)]), NEVER);
    let (totals, cities) = store.0[&DAY].clone();
    let totals = totals.unwrap();
    assert_eq!((totals.total_bytes(), totals.peak_bytes(), totals.peak_slot()), (80, 60, Some(3)));
    assert_eq!(cities["Miami"].total_bytes(), 80);
    assert_eq!((cities["Seoul"].total_bytes(), cities["Seoul"].total_requests()), (0, 0));
}

#[test]
fn what_a_vendor_takes_back_after_its_delay_becomes_zero() {
    let mut store = Store::default();
    store.merge(&report(0..6, &[(1, "Miami", 9), (3, "Miami", 7), (4, "Seoul", 5)]), NEVER);
    let mut early = store.clone();
    early.merge(&report(0..6, &[(1, "Miami", 9)]), at(4) - 1);
    assert_eq!((early.total(at(2)), early.total(at(3))), (Some(cell(0)), Some(cell(7))), "slot 3 ends at slot 4");
    store.merge(&report(0..6, &[(1, "Miami", 9)]), at(4));
    assert_eq!((store.total(at(3)), store.total(at(4))), (Some(cell(0)), Some(cell(5))));
    assert_eq!((store.city(at(3), "Miami"), store.city(at(4), "Seoul")), (Some(cell(0)), Some(cell(5))));
    store.merge(&report(0..288, &[]), i64::MAX);
    assert_eq!((store.total(at(1)), store.total(at(4))), (Some(cell(0)), Some(cell(0))));
    assert_eq!(store.total(at(5)), None, "what was never known stays unknown");
}

#[test]
fn a_report_of_nothing_makes_nothing() {
    let mut store = Store::default();
    store.merge(&report(0..400, &[]), i64::MAX);
    assert_eq!(store, Store::default());
    let mut quiet = report(0..400, &[]);
    quiet.deliver(at(1));
    store.merge(&quiet, NEVER);
    assert_eq!((store.total(at(0)), store.total(at(2))), (Some(cell(0)), None));
}

#[test]
fn a_city_is_made_only_in_the_days_that_it_has_something_in() {
    let mut store = Store::default();
    store.merge(&report(280..600, &[(281, "Miami", 1), (300, "Seoul", 2), (580, "Seoul", 3)]), NEVER);
    let cities: Vec<Vec<&str>> = store.0.values().map(|day| day.1.keys().map(String::as_str).collect()).collect();
    assert_eq!(cities, [vec!["Miami"], vec!["Seoul"], vec!["Seoul"]]);
    let midnight = DAY + DAY_SECONDS;
    assert_eq!((store.total(midnight), store.city(midnight, "Seoul")), (Some(cell(0)), Some(cell(0))));
}

#[test]
fn spellings_of_a_city_are_one_city_that_keeps_its_stored_name() {
    let mut store = Store::default();
    store.merge(
        &report(0..2, &[(0, "NewYork", 1), (0, "New_York", 2), (1, "Some_Where", 4), (1, "Novosibrsk", 8)]),
        NEVER,
    );
    store.merge(&report(1..2, &[(1, "Some Where", 4), (1, "Novosibirsk", 9), (1, "Novosibrsk", 1)]), NEVER);
    assert_eq!(store.city(at(1), "Novosibirsk"), Some(cell(9).plus(cell(1))));
    assert_eq!(store.0[&DAY].1.len(), 3);
    assert_eq!(store.city(at(0), "New York"), Some(cell(1).plus(cell(2))));
    assert_eq!(store.city(at(1), "Some Where"), Some(cell(4)));

    let stored = [("NEW_YORK".to_owned(), DayUsage::new()), ("newyork".to_owned(), DayUsage::new())];
    let report = report(0..1, &[(0, "New York", 8)]);
    let change = Merge::new(&report, NEVER).day(DAY, None, &stored);
    let bytes: Vec<_> = change.cities.iter().map(|(name, usage)| (name.as_str(), usage.total_bytes())).collect();
    assert_eq!(bytes, [("NEW_YORK", 8), ("newyork", 0)]);
}

#[test]
fn one_city_at_a_time_gives_the_same_as_the_whole_day() {
    let mut stored = Store::default();
    stored.merge(&report(0..9, &[(2, "Miami", 5), (8, "Seoul", 6)]), NEVER);
    let (totals, cities) = &stored.0[&DAY];
    let report = report(3..12, &[(4, "Tokyo", 7), (9, "Miami", 8)]);
    let merge = Merge::new(&report, NEVER);
    let cities: Vec<_> = cities.clone().into_iter().collect();
    let change = merge.day(DAY, totals.as_ref(), &cities);
    assert_eq!(merge.totals(DAY, totals.as_ref()), Merged { usage: change.totals.unwrap(), changed: true });
    assert_eq!(merge.cities_of(DAY).collect::<Vec<_>>(), ["Miami", "Tokyo"]);
    for (name, usage) in change.cities {
        let before = cities.iter().find(|(stored, _)| *stored == name).map(|(_, usage)| usage);
        assert_eq!(merge.city(DAY, &name, before, totals.as_ref()), Merged { usage, changed: true });
    }
    assert!(!merge.city(DAY, "Paris", None, totals.as_ref()).changed);
    assert!(!merge.totals(DAY + DAY_SECONDS, None).changed, "a day outside of the window");
}

#[test]
fn a_window_touches_the_days_that_it_has_slots_in() {
    let days =
        |slots| Merge::new(&report(slots, &[]), 0).days().map(|day| (day - DAY) / DAY_SECONDS).collect::<Vec<_>>();
    assert_eq!(days(0..288), [0]);
    assert_eq!(days(287..289), [0, 1]);
    assert_eq!(days(-1..0), [-1]);
    assert_eq!(days(288..288 * 4), [1, 2, 3]);
}

const NAMES: [&str; 6] = ["Miami", "Seoul", "New_York", "NewYork", "Tokyo", "Elsewhere"];

/// Reports in the three days from `DAY` on; what is delivered may be without traffic.
fn reports_within(slots: Range<i64>) -> impl Strategy<Value = UsageReport> {
    let whole = slots.clone();
    (slots.clone(), slots.clone()).prop_flat_map(move |(one, other)| {
        let window = one.min(other)..one.max(other) + 1;
        let inside = window.clone();
        let item = (inside.clone(), select(&NAMES[..]), 0u64..5000);
        let (whole, spoken) = (whole.clone(), proptest::collection::vec(inside, 0..3));
        (proptest::collection::vec(item, 0..25), spoken).prop_map(move |(items, spoken)| {
            debug_assert!(whole.start <= window.start && window.end <= whole.end);
            let mut report = report(window.clone(), &items);
            spoken.into_iter().for_each(|slot| report.deliver(at(slot)));
            report
        })
    })
}

fn settled() -> impl Strategy<Value = i64> {
    prop_oneof![Just(NEVER), Just(i64::MAX), (0i64..864).prop_map(at)]
}

fn history() -> impl Strategy<Value = Vec<(UsageReport, i64)>> {
    proptest::collection::vec((reports_within(0..864), settled()), 0..5)
}

fn stored(history: &[(UsageReport, i64)]) -> Store {
    let mut store = Store::default();
    history.iter().for_each(|(report, settled)| store.merge(report, *settled));
    store
}

proptest! {
    #[test]
    fn cities_sum_up_to_the_totals(history in history()) {
        let mut store = Store::default();
        for (report, settled) in &history {
            store.merge(report, *settled);
            store.cities_agree()?;
        }
    }

    #[test]
    fn a_report_that_comes_twice_changes_nothing(history in history(), report in reports_within(0..864), settled in settled()) {
        let mut store = stored(&history);
        store.merge(&report, settled);
        let merge = Merge::new(&report, settled);
        for day in merge.days() {
            let (totals, cities) = store.0.get(&day).cloned().unwrap_or_default();
            let cities: Vec<_> = cities.into_iter().collect();
            prop_assert_eq!(merge.day(day, totals.as_ref(), &cities), DayChange::default());
        }
    }

    #[test]
    fn windows_that_do_not_overlap_come_in_any_order(
        history in history(),
        (early, late) in (1i64..863).prop_flat_map(|cut| (reports_within(0..cut), reports_within(cut..864))),
        settled in settled(),
    ) {
        let (mut one, mut other) = (stored(&history), stored(&history));
        one.merge(&early, settled);
        one.merge(&late, settled);
        other.merge(&late, settled);
        other.merge(&early, settled);
        prop_assert_eq!(one, other);
    }

    #[test]
    fn the_rule_slot_by_slot(history in history(), report in reports_within(0..864), settled in settled()) {
        let before = stored(&history);
        let mut after = before.clone();
        after.merge(&report, settled);
        let window = report.window();
        for time in (0..864).map(at) {
            let expected = match window.index(time) {
                Some(index) if report.last_delivered() >= Some(time) => Some(report.totals()[index]),
                Some(_) if time + 300 <= settled => before.total(time).map(|_| cell(0)),
                _ => before.total(time),
            };
            prop_assert_eq!(after.total(time), expected);
        }
    }
}
