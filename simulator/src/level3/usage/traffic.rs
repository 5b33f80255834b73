//! A property's traffic: made up from its name and the time, or given by golden rows.
//!
//! The same property has the same traffic in every run: nothing but integers go into it, from a hash of the name, a
//! daily curve with its peak in the evening, the day of the week, and a hash of the time. Each property has some of the
//! metros, with shares like 1/2, 1/3, 1/4. A cell costs a few multiplications, so that a thousand properties' days are
//! cheap. On a UTC day with golden rows there is nothing else; corrections do not touch them, the delay does.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::cities::Column;
use super::query::ServiceType;
use crate::config::{FIRST_SECOND, MAX_CITIES, POINT_SECONDS, day_of};
use crate::hash::{mixed, seed};
use crate::usage::{GoldenDays, GoldenRow};

/// The traffic of each hour in thousandths of the peak.
const HOURS: [u64; 24] = [
    550, 400, 300, 240, 200, 200, 230, 300, 400, 480, 540, 580, 620, 630, 620, 620, 640, 690, 770, 880, 970, 1000, 900,
    730,
];
/// The traffic of each weekday in thousandths, from Monday on.
const WEEKDAYS: [u64; 7] = [900, 880, 890, 920, 1000, 1100, 1120];
/// How long data may still be corrected.
const CORRECTED_FOR: i64 = 48 * 3600;
/// A share of 1.
const WHOLE: u64 = 1 << 20;

/// The traffic of one city, or of several, in some time.
#[derive(Clone, Debug, Default)]
pub(super) struct Cell {
    /// How many parts were added; 0: nothing is known of the place.
    pub(super) parts: u32,
    pub(super) bytes: u64,
    pub(super) requests: u64,
    /// The volume's own text, if it is one golden row's.
    pub(super) volume: Option<Arc<str>>,
}

impl Cell {
    fn count(&mut self, bytes: u64, requests: u64) {
        self.parts = self.parts.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes);
        self.requests = self.requests.saturating_add(requests);
        self.volume = None;
    }

    /// Adds another cell; the text of a single row survives being added to nothing.
    pub(super) fn add(&mut self, other: &Self) {
        if self.parts == 0 {
            self.clone_from(other);
        } else if other.parts > 0 {
            self.count(other.bytes, other.requests);
        }
    }
}

/// When the data of a moment are delivered and final.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delivery {
    /// The vendor's time, Unix seconds.
    pub(super) now: i64,
    /// The longest delay.
    pub(super) delay_minutes: u32,
    pub(super) corrections: bool,
}

/// The numbers that a property's name decides.
pub(super) struct Habit {
    seed: u64,
    /// Bytes in five minutes at the peak of a normal day.
    peak: u64,
    /// How far its evening is before 21:00 UTC, in seconds: up to three hours.
    shift: i64,
    /// Bytes of one request.
    object: u64,
    /// The metros by their place in the table, and their shares, largest first.
    metros: Vec<(usize, u64)>,
}

impl Habit {
    pub(super) fn of(name: &str, service: ServiceType, cities: usize) -> Self {
        let seed = seed(name);
        let peak = (1 << (24 + (seed >> 8) % 8)) + (seed >> 16 & 0xff_ffff);
        let shift = i64::try_from((seed >> 40) % 37).unwrap_or(0) * POINT_SECONDS;
        // What the cache does not have is fetched from the origin: a sixteenth, at its own rhythm.
        let (seed, peak) = match service {
            ServiceType::Caching => (seed, peak),
            ServiceType::Origin => (mixed(seed), peak >> 4),
        };
        let object = (8 << 10) + (seed >> 24 & 0x3_ffff);
        Self { seed, peak, shift, object, metros: metros(seed, cities.min(MAX_CITIES)) }
    }

    /// Bytes of all cities in the five minutes that begin at `time`.
    fn total(&self, time: i64) -> u64 {
        let local = time + self.shift;
        let slot = local.rem_euclid(86_400) / POINT_SECONDS;
        let (hour, step) = (index(slot / 12), index(slot % 12) as u64);
        let curve = (HOURS[hour] * (12 - step) + HOURS[(hour + 1) % 24] * step) / 12;
        // 1970 began on a Thursday.
        let week = WEEKDAYS[index((day_of(local) + 3).rem_euclid(7))];
        let noise = 950 + mixed(self.seed ^ time.cast_unsigned()) % 101;
        self.peak * curve / 1000 * week / 1000 * noise / 1000
    }
}

/// Chooses the metros of a property and their shares.
fn metros(seed: u64, count: usize) -> Vec<(usize, u64)> {
    let mut deck: Vec<usize> = (0..MAX_CITIES).collect();
    let weights: Vec<u64> = (0..count as u64).map(|rank| WHOLE / (rank + 2)).collect();
    let sum: u64 = weights.iter().sum();
    for place in 0..count {
        let rest = (MAX_CITIES - place) as u64;
        let drawn = mixed(seed.wrapping_add(place as u64)) % rest;
        deck.swap(place, place + usize::try_from(drawn).unwrap_or(0));
    }
    deck.into_iter().zip(weights).map(|(metro, weight)| (metro, weight * WHOLE / sum)).collect()
}

/// One property's traffic as one request sees it.
pub(super) struct Track {
    habit: Option<Habit>,
    golden: Option<Arc<GoldenDays>>,
    /// The columns of the habit's metros.
    metro_columns: Vec<usize>,
    /// The columns of the golden rows of the days that have any.
    golden_columns: BTreeMap<i64, Vec<usize>>,
    /// Points from here on are not delivered yet.
    until: i64,
    /// Points from here on may still be corrected.
    young_from: i64,
}

impl Track {
    /// Without a habit there are only golden rows.
    pub(super) fn new(name: &str, habit: Option<Habit>, golden: Option<Arc<GoldenDays>>, delivery: Delivery) -> Self {
        let longest = u64::from(delivery.delay_minutes) * 60;
        // Not the habit's seed: caching and origin of a property are delivered together.
        let own = seed(name) >> 32;
        let delay = longest - (longest / 2) * (own % 1001) / 1000;
        let over = delivery.now - i64::try_from(delay).unwrap_or(0);
        let young = if delivery.corrections { delivery.now - CORRECTED_FOR } else { i64::MAX - POINT_SECONDS };
        Self {
            habit,
            golden,
            metro_columns: Vec::new(),
            golden_columns: BTreeMap::new(),
            // A point is delivered once it is over and the delay has gone by: `time + 300 + delay <= now`.
            until: over - over.rem_euclid(POINT_SECONDS),
            young_from: young - young.rem_euclid(POINT_SECONDS),
        }
    }

    /// The end of what is delivered, Unix seconds.
    pub(super) fn until(&self) -> i64 {
        self.until
    }

    /// Cities that have a cell of their own in each point.
    pub(super) fn width(&self) -> usize {
        self.metro_columns.len().max(1)
    }

    /// The columns that the traffic between two seconds needs.
    pub(super) fn columns(&self, from: i64, to: i64) -> Vec<Column> {
        let metros = self.habit.iter().flat_map(|habit| &habit.metros).map(|(metro, _)| Column::of_metro(*metro));
        let cities: BTreeSet<&str> = self.golden_rows(from, to).map(|row| &*row.city).collect();
        metros.chain(cities.into_iter().map(Column::of_city)).collect()
    }

    /// Finds its columns among the sorted ones of the answer, and learns whether there is any traffic at all.
    pub(super) fn place(&mut self, columns: &[Column], from: i64, to: i64) -> bool {
        let find = |column: &Column| columns.binary_search(column).ok();
        let metros = self.habit.iter().flat_map(|habit| &habit.metros);
        self.metro_columns = metros.filter_map(|(metro, _)| find(&Column::of_metro(*metro))).collect();
        let mut placed = BTreeMap::new();
        if let Some(days) = &self.golden {
            let mut cities: HashMap<&str, usize> = HashMap::new();
            for (day, rows) in days.range(day_of(from)..=day_of(to - 1)) {
                let columns = rows.iter().map(|row| {
                    let city = cities.entry(&*row.city);
                    *city.or_insert_with_key(|city| find(&Column::of_city(city)).unwrap_or(usize::MAX))
                });
                placed.insert(*day, columns.collect());
            }
        }
        self.golden_columns = placed;
        let from = from.max(FIRST_SECOND);
        let to = to.min(self.until);
        let made_up = self.habit.is_some()
            && from < to
            && (day_of(from)..=day_of(to - 1)).any(|day| !self.golden_columns.contains_key(&day));
        made_up || self.golden_rows(from, to).next().is_some()
    }

    fn golden_rows(&self, from: i64, to: i64) -> impl Iterator<Item = &GoldenRow> {
        let days = self.golden.iter().filter(move |_| from < to);
        let rows = days.flat_map(move |days| days.range(day_of(from)..=day_of(to - 1))).flat_map(|(_, rows)| rows);
        rows.filter(move |row| (from..to).contains(&row.time))
    }

    /// Adds the five minutes that begin at `time` to the cells of the answer's columns.
    pub(super) fn add(&self, time: i64, cells: &mut [Cell]) {
        if time >= self.until {
            return;
        }
        let day = day_of(time);
        if let Some(columns) = self.golden_columns.get(&day) {
            self.add_golden(day, time, columns, cells);
            return;
        }
        let Some(habit) = &self.habit else {
            return;
        };
        let young = time >= self.young_from;
        let hour = (time / 3600).cast_unsigned();
        let mut total = habit.total(time);
        if young {
            let less = mixed(habit.seed ^ hour) & 1 == 0;
            total = total * if less { 97 } else { 103 } / 100;
        }
        let salt = habit.seed.wrapping_add(time.cast_unsigned() << 8);
        for (rank, (column, (_, share))) in self.metro_columns.iter().zip(&habit.metros).enumerate() {
            let rank = rank as u64;
            // The largest city is always there, so that a point is never empty.
            if young && rank > 0 && mixed(habit.seed ^ (hour << 8) ^ rank) & 7 == 0 {
                continue;
            }
            let noise = 384 + (mixed(salt ^ rank) & 0xff);
            let bytes = (total * share / WHOLE) * noise / 512;
            cells[*column].count(bytes, bytes / habit.object + 1);
        }
    }

    fn add_golden(&self, day: i64, time: i64, columns: &[usize], cells: &mut [Cell]) {
        let Some(rows) = self.golden.as_ref().and_then(|days| days.get(&day)) else {
            return;
        };
        let begin = rows.partition_point(|row| row.time < time);
        for (row, column) in rows.iter().zip(columns).skip(begin).take_while(|(row, _)| row.time == time) {
            let volume = Some(Arc::clone(&row.volume));
            let cell = Cell { parts: 1, bytes: row.bytes, requests: row.requests, volume };
            if let Some(place) = cells.get_mut(*column) {
                place.add(&cell);
            }
        }
    }
}

fn index(number: i64) -> usize {
    usize::try_from(number).unwrap_or(0)
}
