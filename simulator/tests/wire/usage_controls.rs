//! What a test may do to usage: the vendor's delay, corrections, rows of its own, faults; and how it is recorded.
//!
//! The clock stands still and is moved on by `advance`, so a test knows what is late, young or final. The reader
//! of answers is that of `usage`.

use std::time::Duration;

use chrono::{DateTime, Utc};
use overseas_simulator::UsageChange;
use serde_json::json;

use crate::client::{Wire, config};
use crate::usage::{A, CDN, Series, by_place, metros, series};

const NOON: &str = "2016-08-10T12:00:00Z";

async fn wire_at_noon() -> Wire {
    Wire::at(config(), NOON).await
}

/// The begin of the newest point since the eighth.
async fn newest(wire: &Wire, scope: &str) -> DateTime<Utc> {
    let series = metros(wire, scope, "201608080000", "201608130000").await;
    let id = format!("{} +0000", series.last().unwrap().0);
    DateTime::parse_from_str(&id, "%m/%d/%Y %H:%M:%S %z").unwrap().to_utc()
}

fn row(property: &str, time: &str, city: &str, volume: &str) -> serde_json::Value {
    json!({ "property": property, "time": time, "city": city, "volume": volume, "requests": 3 })
}

fn switch_corrections_on(wire: &Wire) {
    let change = UsageChange { corrections: Some(true), ..UsageChange::default() };
    wire.control().change_usage(&change).unwrap();
}

/// How many minutes ago the newest point ended at noon.
async fn delay(wire: &Wire, scope: &str) -> i64 {
    let noon = DateTime::parse_from_rfc3339(NOON).unwrap().to_utc();
    (noon - newest(wire, scope).await).num_minutes() - 5
}

#[tokio::test]
async fn data_arrive_two_to_four_hours_late_by_the_vendors_clock() {
    let wire = wire_at_noon().await;
    let mut delays = Vec::new();
    for scope in [A, CDN, "12346/BBKN17110/b.example.com", "12345/BBBN56789/*.img.example.com"] {
        delays.push(delay(&wire, scope).await);
    }
    assert!(delays.iter().all(|delay| (120..245).contains(delay)), "{delays:?}");
    assert!(delays.iter().any(|delay| *delay != delays[0]), "{delays:?}");
    let before = newest(&wire, A).await;
    wire.control().advance(300);
    assert_eq!((newest(&wire, A).await - before).num_seconds(), 300);
    wire.control().advance(36_000);
    assert_eq!((newest(&wire, A).await - before).num_seconds(), 36_300);
}

#[tokio::test]
async fn the_delay_can_be_switched_off_and_golden_rows_are_late_too() {
    let wire = wire_at_noon().await;
    let row = row("cdn.example.com", "2016-08-10T11:00:00Z", "Miami", "0.5");
    wire.call("POST", "usage", &json!({ "golden": [row] }).to_string()).await;
    let target = "/usage/cdn/v1.0/12345/BBBN56789/cdn.example.com?dateFrom=201608101000&dateTo=201608101300\
                  &serviceType=c&dataInterval=5min&geo=metro";
    let early = wire.get(target).await;
    assert_eq!(early.status, 404);
    assert!(early.body.contains("No usage data was found for specified criteria."));
    let (status, state) = wire.call("POST", "usage", r#"{"delay_minutes":0}"#).await;
    assert_eq!((status, &state["delay_minutes"]), (200, &json!(0)));
    assert_eq!(series(&wire.get(target).await).len(), 1);
    // A point is there as soon as its five minutes are over.
    assert_eq!(delay(&wire, A).await, 0);
    let mut at_once = config();
    at_once.usage_delay_minutes = 0;
    assert_eq!(delay(&Wire::at(at_once, NOON).await, A).await, 0);
}

#[tokio::test]
async fn young_data_are_corrected_after_48_hours() {
    let wire = wire_at_noon().await;
    let read = async || metros(&wire, A, "201608090000", "201608100000").await;
    let right = read().await;
    switch_corrections_on(&wire);
    let young = read().await;
    let cities = |series: &Series| series.iter().map(|(_, places)| places.len()).sum::<usize>();
    assert_eq!((young.len(), cities(&right)), (288, 288 * 20));
    assert!(cities(&young) < 288 * 19, "{}", cities(&young));
    let mut directions = [0, 0];
    for ((_, young), (_, right)) in young.iter().zip(&right) {
        for (city, (bytes, _)) in young {
            let ratio = *bytes as f64 / right[city].0 as f64;
            assert!((ratio - 1.03).abs() < 0.001 || (ratio - 0.97).abs() < 0.001, "{ratio}");
            directions[usize::from(ratio > 1.0)] += 1;
        }
    }
    assert!(directions[0] > 0 && directions[1] > 0);
    assert_eq!(young, read().await);
    // Half of the day becomes 48 hours old, then the rest of it.
    wire.control().advance(24 * 3600);
    let half = read().await;
    assert_eq!(half[..144], right[..144]);
    assert_eq!(half[145..], young[145..]);
    wire.control().advance(12 * 3600 + 300);
    assert_eq!(read().await, right);
}

#[tokio::test]
async fn rows_of_a_test_replace_their_day_and_no_other() {
    let wire = wire_at_noon().await;
    switch_corrections_on(&wire);
    let row = |time, city, volume| row("cdn.example.com", time, city, volume);
    let post = async |rows: serde_json::Value| wire.call("POST", "usage", &json!({ "golden": rows }).to_string()).await;
    let rows = json!([
        row("2016-08-09T23:55:00Z", "Atlantis & Co", "0.000008789"),
        row("2016-08-09T00:00:00Z", "NewYork", "1.25"),
    ]);
    assert_eq!(post(rows).await.0, 200);
    let day = metros(&wire, CDN, "201608090000", "201608100000").await;
    let ids: Vec<&str> = day.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(ids, ["08/09/2016 00:00:00", "08/09/2016 23:55:00"]);
    assert_eq!(day[0].1["NewYork"], (1_342_177_280, 3));
    assert_eq!(day[1].1["Atlantis &amp; Co"], (9437, 3));
    let (status, state) = post(json!([row("2016-08-09T00:00:00Z", "Oslo", "2")])).await;
    assert_eq!((status, state["golden"].as_array().unwrap().len()), (200, 21));
    assert_eq!(by_place(&metros(&wire, CDN, "201608090000", "201608100000").await).len(), 1);
    // The configured day is as it was, and comes back when it is changed.
    assert_eq!(metros(&wire, CDN, "201608040000", "201608050000").await.len(), 8);
    post(json!([row("2016-08-04T00:00:00Z", "Oslo", "0")])).await;
    assert_eq!(metros(&wire, CDN, "201608040000", "201608050000").await.len(), 1);
    let (_, state) = wire.call("DELETE", "usage", "").await;
    assert_eq!((state["golden"].as_array().unwrap().len(), &state["corrections"]), (20, &json!(false)));
    assert_eq!(state, wire.call("GET", "usage", "").await.1);
    assert_eq!(metros(&wire, CDN, "201608040000", "201608050000").await.len(), 8);
}

#[tokio::test]
async fn wrong_changes_are_refused_as_a_whole() {
    let wire = Wire::start().await;
    let row = |property, time, volume| row(property, time, "Miami", volume);
    let good = row("cdn.example.com", "2016-08-09T00:00:00Z", "1");
    let before = wire.call("GET", "usage", "").await.1;
    for change in [
        json!({ "golden": [good, row("nobody.example.com", "2016-08-09T00:00:00Z", "1")] }),
        json!({ "golden": [good, row("cdn.example.com", "2016-08-09T00:01:00Z", "1")] }),
        json!({ "golden": [good, row("cdn.example.com", "2016-08-09T00:05:00Z", "-1")] }),
        json!({ "golden": [good, good] }),
        json!({ "golden": [good], "delay_minutes": 600_000 }),
        json!({ "golden": [good], "delay": 1 }),
        json!([good]),
    ] {
        let (status, answer) = wire.call("POST", "usage", &change.to_string()).await;
        assert_eq!(status, 400, "{change}");
        assert!(answer["error"]["message"].is_string());
    }
    assert_eq!(wire.call("GET", "usage", "").await.1, before);
    assert_eq!(wire.call("PUT", "usage", "").await.0, 405);
}

#[tokio::test]
async fn every_fault_meets_usage_too() {
    let wire = wire_at_noon().await;
    let target = format!("/usage/cdn/v1.0/{A}?dateMonth=201607&serviceType=c&dataInterval=5min&geo=metro");
    let with = async |rule: &str| {
        wire.faults(&format!(r#"[{{"operation":"usage","property":"a.example.com",{rule}}}]"#)).await;
        let response = wire.request("GET", &target, "text/xml").send().await.unwrap();
        let (status, declared) = (response.status().as_u16(), response.content_length());
        (status, declared, response.text().await)
    };
    assert_eq!(with(r#""kind":"forbidden""#).await.0, 403);
    assert_eq!(with(r#""kind":"status","status":500"#).await.0, 500);
    let (status, _, body) = with(r#""kind":"garbage""#).await;
    assert!(status == 200 && !body.unwrap().contains("<point"));
    let (status, _, body) = with(r#""kind":"huge","bytes":3000000"#).await;
    assert_eq!((status, body.unwrap().len()), (200, 3_000_000));
    for after_effect in [false, true] {
        let (status, declared, body) = with(&format!(r#""kind":"cut","after_effect":{after_effect}"#)).await;
        assert!(status == 200 && declared.unwrap() > 1_000_000 && body.is_err());
    }
    let begun = std::time::Instant::now();
    let (status, _, body) = with(r#""kind":"slow","delay_ms":300"#).await;
    assert!(status == 200 && body.unwrap().ends_with("</data></accessGroup>"));
    assert!(begun.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn usage_is_recorded_and_in_progress_until_its_body_is_made() {
    let mut config = config();
    config.usage_cities = 85;
    let wire = Wire::at(config, NOON).await;
    // Far more than the buffers between the two hold.
    let target = format!("/usage/cdn/v1.0/{A}?dateFrom=201601010000&dateTo=201608010000&serviceType=c&geo=metro");
    let target = format!("{target}&dataInterval=5min");
    let mut response = wire.request("GET", &target, "text/xml").send().await.unwrap();
    assert!(response.chunk().await.unwrap().is_some());
    assert_eq!(wire.control().requests(0).requests.len(), 0);
    wire.get("/key/v1.0").await;
    assert_eq!(wire.control().requests(0).requests[0].concurrent, 2);
    drop(response);
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while wire.control().requests(1).requests.is_empty() && std::time::Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let entry = wire.control().requests(1).requests[0].clone();
    assert_eq!((entry.status, entry.property.as_deref()), (Some(200), Some("a.example.com")));
    metros(&wire, A, "201608030000", "201608030010").await;
    let (_, summary) = wire.call("GET", "summary", "").await;
    assert_eq!(summary["operations"]["usage"], json!({ "200": 2 }));
}
