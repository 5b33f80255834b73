//! What must hold of answers: the numbers of the HTTP contract, and agreement with the plainest way to count.
//!
//! Times are around 2016-08-04, the day of the contract's examples.

use super::*;
use crate::domain::usage::{Pack, pack::tests::pack};
use proptest::prelude::*;

const DAY: i64 = 1_470_268_800;
/// The contract's example: the bytes of eight slots and their bandwidths.
const START: i64 = 1_470_297_000;
const FLUXS: [i64; 8] = [150_995, 92_393_177, 188_744, 9_437, 0, 692_966_130, 69_328_699, 9_437];
const BANDWIDTHS: [i64; 8] = [4_027, 2_463_818, 5_033, 252, 0, 18_479_097, 1_848_765, 252];

fn contracts_grid() -> Grid {
    let mut day = Pack::new();
    for (time, bytes) in (START..).step_by(300).zip(FLUXS) {
        day.set(slot_of(time), u64::try_from(bytes).ok());
    }
    let mut grid = Grid::new(Span::new(START, START + 2_100).unwrap());
    grid.add(day_of(START), &PackView::parse(&day.encode()).unwrap());
    grid
}

fn values(grid: &Grid, metric: Metric) -> Vec<i64> {
    grid.points(metric, Interval::FiveMinutes).map(|point| point.value).collect()
}

#[test]
fn the_contracts_series() {
    let grid = contracts_grid();
    assert_eq!(values(&grid, Metric::Flux), FLUXS);
    assert_eq!(values(&grid, Metric::Bandwidth), BANDWIDTHS);
    let times: Vec<i64> = grid.points(Metric::Flux, Interval::FiveMinutes).map(|point| point.timestamp).collect();
    assert_eq!(times, (1_470_297_000..=1_470_299_100).step_by(300).collect::<Vec<_>>());
}

#[test]
fn the_contracts_areas() {
    assert_eq!([29_490, 16_513].map(bandwidth), [786, 440]);
    assert_eq!([29_490, 16_513].map(|bytes| Metric::Flux.value(bytes)), [29_490, 16_513]);
}

#[test]
fn the_contracts_summary() {
    let total = FLUXS.iter().sum::<i64>();
    let expected = Summary {
        peak: 18_479_097,
        peak_time: START + 1_500,
        p95: 18_479_097,
        average: (total * 8 + 1_200) / 2_400,
        total_bytes: total,
        latest: Some(START + 2_100),
    };
    assert_eq!(contracts_grid().summary(Metric::Bandwidth), expected);
    let flux = contracts_grid().summary(Metric::Flux);
    assert_eq!((flux.peak, flux.p95, flux.average), (692_966_130, 692_966_130, (total + 4) / 8));
}

#[test]
fn bandwidth_is_rounded_half_up_and_stops_nowhere_below_the_highest_number() {
    for (bytes, bits) in [(0, 0), (18, 0), (19, 1), (37, 1), (56, 1), (57, 2), (75, 2), (225, 6)] {
        assert_eq!(bandwidth(bytes), bits, "{bytes}");
    }
    assert_eq!(bandwidth(u64::MAX), 491_913_175_298_921_376);
    assert_eq!(Metric::Flux.value(u64::MAX), i64::MAX);
}

#[test]
fn both_ends_are_floored_and_inside() {
    let span = Span::new(START + 299, START + 301).unwrap();
    assert_eq!((span.from(), span.to(), span.slots()), (START, START + 300, 2));
    assert_eq!(Span::new(START, START + 1).unwrap().slots(), 1);
    assert_eq!(Span::new(0, LONGEST).unwrap().slots(), 92 * 288 + 1);
}

#[test]
fn what_is_no_span_is_refused() {
    assert_eq!(Span::new(START, START), Err(SpanError::Empty));
    assert_eq!(Span::new(START, START - 1), Err(SpanError::Empty));
    assert_eq!(Span::new(START, START + LONGEST + 1), Err(SpanError::TooLong));
    for (start, end) in [(-1, 300), (START * 1000, START * 1000 + 300), (i64::MIN, i64::MAX), (0, i64::MAX)] {
        assert_eq!(Span::new(start, end), Err(SpanError::NotSeconds));
    }
}

#[test]
fn a_day_belongs_to_a_span_by_its_slots() {
    let span = Span::new(DAY + 300, DAY + 2 * DAY_SECONDS).unwrap();
    assert_eq!(span.days().collect::<Vec<_>>(), [DAY, DAY + DAY_SECONDS, DAY + 2 * DAY_SECONDS]);
    assert_eq!([span.slots_of(DAY), span.slots_of(DAY + DAY_SECONDS)], [1..288, 0..288]);
    assert_eq!([span.slots_of(DAY + 2 * DAY_SECONDS), span.slots_of(DAY - DAY_SECONDS)], [0..1, 0..0]);
    assert_eq!(span.days().map(|day| span.is_whole(day)).collect::<Vec<_>>(), [false, true, false]);
}

#[test]
fn buckets_begin_at_multiples_of_the_interval() {
    let mut day = Pack::new();
    (0..288).for_each(|slot| day.set(slot, Some(slot as u64 * 75)));
    let mut grid = Grid::new(Span::new(DAY + 3_300, DAY + 7_200).unwrap());
    grid.add(DAY, &PackView::parse(&day.encode()).unwrap());
    let points = |metric, interval| {
        let points = grid.points(metric, interval).map(|point| (point.timestamp - DAY, point.value));
        points.collect::<Vec<_>>()
    };
    let hours = [(0, 11 * 75), (3_600, (12..24).sum::<i64>() * 75), (7_200, 24 * 75)];
    assert_eq!(points(Metric::Flux, Interval::Hour), hours);
    assert_eq!(points(Metric::Bandwidth, Interval::Hour), [(0, 22), (3_600, 46), (7_200, 48)]);
    assert_eq!(points(Metric::Bandwidth, Interval::Day), [(0, 48)]);
    assert_eq!(
        [300, 3_600, 86_400, 60].map(Interval::from_seconds).map(|i| i.map(Interval::seconds)),
        [Some(300), Some(3_600), Some(86_400), None]
    );
}

#[test]
fn a_grid_without_anything_is_all_zero() {
    let grid = Grid::new(Span::new(START, START + 600).unwrap());
    assert_eq!(values(&grid, Metric::Flux), [0; 3]);
    let expected = Summary { peak: 0, peak_time: START, p95: 0, average: 0, total_bytes: 0, latest: None };
    assert_eq!(grid.summary(Metric::Bandwidth), expected);
}

#[test]
fn a_delivery_outside_of_the_span_is_not_the_latest() {
    let mut day = Pack::new();
    [3, 200].into_iter().for_each(|slot| day.set(slot, Some(0)));
    let mut grid = Grid::new(Span::new(DAY, DAY + 3_600).unwrap());
    grid.add(DAY, &PackView::parse(&day.encode()).unwrap());
    grid.add(DAY + DAY_SECONDS, &PackView::parse(&day.encode()).unwrap());
    assert_eq!(grid.summary(Metric::Flux).latest, Some(DAY + 900));
}

/// A span from `DAY` on, and the packs of several properties for the days around it.
fn world() -> impl Strategy<Value = (Span, Vec<(i64, Pack)>)> {
    let span = (0..3 * DAY_SECONDS, 1..3 * DAY_SECONDS)
        .prop_filter_map("a span", |(start, length)| Span::new(DAY + start, DAY + start + length).ok());
    let day = (-1i64..6).prop_map(|index| DAY + index * DAY_SECONDS);
    (span, proptest::collection::vec((day, pack()), 0..8))
}

fn filled(span: Span, packs: &[(i64, Pack)]) -> Grid {
    let mut grid = Grid::new(span);
    packs.iter().for_each(|(day, pack)| grid.add(*day, &PackView::parse(&pack.encode()).unwrap()));
    grid
}

/// Sorts, drops the top 5 % and takes the next.
fn p95_by_hand(mut values: Vec<i64>) -> i64 {
    values.sort_unstable();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    let dropped = (values.len() as f64 * 0.05).floor() as usize;
    values.truncate(values.len() - dropped);
    values.pop().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_grid_is_the_sum_of_its_packs_slot_by_slot((span, packs) in world()) {
        let grid = filled(span, &packs);
        let mut latest = None;
        for (time, bytes) in (span.from()..=span.to()).step_by(300).zip(grid.bytes()) {
            let known = packs.iter().filter(|(day, _)| *day == day_of(time)).filter_map(|(_, pack)| pack.get(slot_of(time)));
            let known: Vec<u64> = known.collect();
            latest = if known.is_empty() { latest } else { Some(time) };
            prop_assert_eq!(*bytes, known.into_iter().fold(0, u64::saturating_add));
        }
        prop_assert_eq!(grid.bytes().len(), span.slots());
        prop_assert_eq!(grid.summary(Metric::Flux).latest, latest);
    }

    #[test]
    fn buckets_hold_what_the_slots_hold((span, packs) in world()) {
        let grid = filled(span, &packs);
        let slots: Vec<Point> = grid.points(Metric::Bandwidth, Interval::FiveMinutes).collect();
        for interval in [Interval::FiveMinutes, Interval::Hour, Interval::Day] {
            let step = interval.seconds();
            let flux: Vec<Point> = grid.points(Metric::Flux, interval).collect();
            let sum = flux.iter().fold(0, |sum: i64, point| sum.saturating_add(point.value));
            prop_assert_eq!(sum, grid.summary(Metric::Flux).total_bytes);
            let times: Vec<i64> = flux.iter().map(|point| point.timestamp).collect();
            prop_assert_eq!(times, (span.from() / step * step..=span.to()).step_by(step as usize).collect::<Vec<_>>());
            for point in grid.points(Metric::Bandwidth, interval) {
                let inside = slots.iter().filter(|slot| slot.timestamp / step == point.timestamp / step);
                prop_assert_eq!(Some(point.value), inside.map(|slot| slot.value).max());
            }
        }
    }

    #[test]
    fn the_summary_agrees_with_the_points((span, packs) in world()) {
        let grid = filled(span, &packs);
        for metric in [Metric::Flux, Metric::Bandwidth] {
            let points: Vec<Point> = grid.points(metric, Interval::FiveMinutes).collect();
            let values: Vec<i64> = points.iter().map(|point| point.value).collect();
            let summary = grid.summary(metric);
            prop_assert_eq!(summary.p95, p95_by_hand(values.clone()));
            prop_assert_eq!(Some(summary.peak), values.iter().copied().max());
            let first = points.iter().find(|point| point.value == summary.peak);
            prop_assert!(metric == Metric::Bandwidth || summary.peak == i64::MAX || first.map(|p| p.timestamp) == Some(summary.peak_time));
            let peak = Point { timestamp: summary.peak_time, value: summary.peak };
            prop_assert!(points.contains(&peak));
            prop_assert!(summary.average <= summary.peak);
        }
    }

    #[test]
    fn every_length_has_the_naive_p95(values in proptest::collection::vec(0u64..100_000, 1..288)) {
        let mut day = Pack::new();
        values.iter().enumerate().for_each(|(slot, value)| day.set(slot, Some(*value)));
        let last = i64::try_from(values.len()).unwrap() * 300 - 1;
        let grid = filled(Span::new(DAY, DAY + last).unwrap(), &[(DAY, day)]);
        let naive = |metric: Metric| p95_by_hand(values.iter().map(|bytes| metric.value(*bytes)).collect());
        prop_assert_eq!(grid.summary(Metric::Flux).p95, naive(Metric::Flux));
        prop_assert_eq!(grid.summary(Metric::Bandwidth).p95, naive(Metric::Bandwidth));
        let mean = values.iter().sum::<u64>() as f64 / values.len() as f64;
        prop_assert!((grid.summary(Metric::Flux).average as f64 - mean).abs() <= 0.5);
    }
}
