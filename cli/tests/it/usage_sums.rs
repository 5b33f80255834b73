//! Sums agree, whatever was reported: the series of several domains is the sum of the single ones, cities sum to the
//! series, hours and days to their slots; at any edges, on both databases.
//!
//! Reports are random but the same in each run; they are stored as a collector stores them, in windows that overlap
//! and in any order, and a plain table beside them says what must come out.

use crate::support::{World, on_both};
use overseas_shared::db::usage;
use overseas_shared::domain::usage::{Cell, UsageReport, UsageWindow};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use std::collections::HashMap;

/// 2024-03-30T00:00Z: the next night the clocks of Europe go forward, which must not matter.
const START: i64 = 1_711_756_800;
const DAYS: i64 = 3;
const CITIES: [&str; 5] = ["Miami", "New_York", "Seoul", "Frankfurt", "Nowhere"];
const NAMES: [&str; 3] = ["cdn.example.com", "a.example.com", "b.example.com"];

/// What each slot of each domain must hold.
type Expected = HashMap<(usize, i64), i64>;

fn report(random: &mut SmallRng, domain: usize, expected: &mut Expected) -> UsageReport {
    let slots = DAYS * 288;
    let from = random.random_range(0..slots - 1);
    let to = random.random_range(from + 1..=slots).min(from + 288);
    let window = UsageWindow::new(START + from * 300, START + to * 300).unwrap();
    let mut report = UsageReport::new(window);
    for slot in from..to {
        let at = START + slot * 300;
        let mut total = 0;
        report.deliver(at);
        for city in CITIES {
            if random.random_bool(0.4) {
                let bytes = random.random_range(0..1_u64 << 40);
                let cell = Cell { bytes, requests: bytes % 1000 };
                assert!(report.add_city(at, city, cell));
                report.add_total(at, cell);
                total += i64::try_from(bytes).unwrap();
            }
        }
        expected.insert((domain, at), total);
    }
    report
}

async fn results(world: &World, path: &str, domains: &[usize], from: i64, to: i64, more: &str) -> Vec<Value> {
    let names: String = domains.iter().map(|domain| format!("domain={}&", NAMES[*domain])).collect();
    let path = format!("/level3/{path}?{names}startTime={from}&endTime={to}{more}");
    world.get(&world.user_token, &path).await.ok()["results"].as_array().unwrap().clone()
}

fn sum(rows: &[Value]) -> i64 {
    rows.iter().map(|row| row["value"].as_i64().unwrap()).sum()
}

on_both! {
    async fn series_areas_and_buckets_agree_for_random_reports(world: World) {
        let mut random = SmallRng::seed_from_u64(20_160_804);
        let mut expected = Expected::new();
        let rows = usage::listed(&world.db, world.account().id, true).await.unwrap();
        let id = |name: &str| rows.iter().find(|due| due.property.name == name).map(|due| due.property.id).unwrap();
        for round in 0..24 {
            let domain = round % 3;
            let report = report(&mut random, domain, &mut expected);
            usage::store(&world.db, id(NAMES[domain]), &report, 0).await.unwrap();
        }
        for _ in 0..12 {
            let from = START + 300 * random.random_range(0..DAYS * 288 - 1);
            let to = random.random_range(from + 1..START + DAYS * 86_400);
            let domains: &[usize] = [&[0_usize, 1, 2][..], &[1], &[0, 2]][random.random_range(0..3)];
            let slots = (from..=to).step_by(300);
            let wanted: Vec<i64> = slots
                .map(|at| domains.iter().map(|domain| expected.get(&(*domain, at)).copied().unwrap_or(0)).sum())
                .collect();
            let series = results(&world, "fluxs", domains, from, to, "").await;
            let values: Vec<i64> = series.iter().map(|row| row["value"].as_i64().unwrap()).collect();
            assert_eq!(values, wanted, "{domains:?} {from} {to}");
            let total: i64 = wanted.iter().sum();
            assert_eq!(sum(&results(&world, "fluxs/area", domains, from, to, "").await), total, "{from} {to}");
            for interval in [3600, 86_400] {
                let buckets = results(&world, "fluxs", domains, from, to, &format!("&interval={interval}")).await;
                assert_eq!(sum(&buckets), total);
                assert!(buckets.iter().all(|row| row["timeStamp"].as_i64().unwrap() % interval == 0), "UTC edges");
            }
            let highest = results(&world, "bandwidths", domains, from, to, "&interval=86400").await;
            let peak = highest.iter().map(|row| row["value"].as_i64().unwrap()).max();
            assert_eq!(peak, wanted.iter().map(|bytes| (bytes * 8 + 150) / 300).max());
        }
    }
}
