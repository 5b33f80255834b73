//! Statistics: from the vendor's answer to the contract's examples, to the last byte; and what the past, late data and
//! corrections do to them.
//!
//! The simulator's golden day is 2016-08-04: `cdn.example.com` has the contract's series, `www.example.com` its cities.
//! Jobs are driven by hand.

use crate::support::database;
use crate::support::http::send;
use crate::support::process::{Settings, run};
use crate::support::world::{OTHER, Reply};
use crate::support::{World, on_both};
use overseas_shared::db::usage;
use overseas_worker::jobs::usage::{range, steps};
use serde_json::{Value, json};

/// 2016-08-04T00:00Z.
const DAY: i64 = 1_470_268_800;
const FLUXS: [i64; 8] = [150_995, 92_393_177, 188_744, 9_437, 0, 692_966_130, 69_328_699, 9_437];
const BANDWIDTHS: [i64; 8] = [4_027, 2_463_818, 5_033, 252, 0, 18_479_097, 1_848_765, 252];
const SPAN: &str = "startTime=1470297000&endTime=1470299100";

/// A city that nobody knows is a row that doctor lists.
#[tokio::test]
async fn an_unknown_city_is_shown_in_english_and_listed_by_doctor() {
    let strange = |data: &mut overseas_simulator::Config| {
        let city = data.usage_golden[0].city.clone();
        data.usage_golden.retain(|row| row.city == city);
        for row in &mut data.usage_golden {
            row.city = "New_Nowhere".to_owned();
        }
    };
    let world = World::with(crate::support::Kind::Sqlite, |_| {}, strange).await;
    collect(&world, DAY, DAY + 86_400).await;
    let answer = ask(&world, &format!("/level3/fluxs/area?domain=cdn.example.com&{SPAN}")).await;
    assert_eq!(
        (&answer["results"][0]["city"], &answer["results"][0]["city_cn"]),
        (&json!("New Nowhere"), &json!("New Nowhere"))
    );
    assert!(usage::unknown_cities(&world.db).await.unwrap().contains(&"New Nowhere".to_owned()));
}

/// The plans of the statistics' queries: ranges of indexes, no table is read whole.
#[tokio::test]
async fn queries_read_ranges_of_indexes() {
    let world = World::new(crate::support::Kind::Mariadb).await;
    collect(&world, DAY, DAY + 3 * 86_400).await;
    let ids = "(1, 2, 3)";
    let days = format!("day BETWEEN {} AND {}", DAY / 86_400, DAY / 86_400 + 1);
    for (table, query, index) in [
        ("usage_day", format!("SELECT day, bytes FROM usage_day WHERE property_id IN {ids} AND {days}"), "PRIMARY"),
        (
            "usage_city_day",
            format!(
                "SELECT city_id, total_bytes, total_requests FROM usage_city_day WHERE property_id IN {ids} AND {days}"
            ),
            "usage_city_day_totals",
        ),
    ] {
        let plan = database::explain(&world.url, &query).await;
        let (kind, key, extra) = &plan[table];
        assert_eq!((kind.as_str(), key.as_str()), ("range", index), "{plan:?}");
        assert!(table == "usage_day" || extra.contains("Using index"), "{plan:?}");
    }
}

/// Reads whole days of all properties.
async fn collect(world: &World, from: i64, to: i64) {
    let account = world.account();
    let due = usage::listed(&world.db, account.id, true).await.unwrap();
    let properties: Vec<_> = due.into_iter().map(|due| due.property).collect();
    let run =
        range(&world.db, &world.clock, account, &properties, &steps(from, to, 86_400), &world.stop, |_, _, _| {}).await;
    assert_eq!(run.failed, 0);
}

async fn ask(world: &World, path: &str) -> Value {
    world.get(&world.user_token, path).await.ok()
}

fn points(values: [i64; 8]) -> Value {
    let point = |(index, value): (usize, i64)| json!({"timeStamp": 1_470_297_000 + 300 * i64::try_from(index).unwrap(), "value": value});
    values.into_iter().enumerate().map(point).collect()
}

fn sum(answer: &Value) -> i64 {
    answer["results"].as_array().unwrap().iter().map(|row| row["value"].as_i64().unwrap()).sum()
}

on_both! {
    async fn the_contracts_series_come_from_the_vendors_answer(world: World) {
        collect(&world, DAY, DAY + 86_400).await;
        let fluxs = ask(&world, &format!("/level3/fluxs?domain=cdn.example.com&{SPAN}")).await;
        assert_eq!(fluxs, json!({"err": 0, "results": points(FLUXS)}));
        let bandwidths = ask(&world, &format!("/level3/bandwidths?domain=cdn.example.com&{SPAN}")).await;
        assert_eq!(bandwidths, json!({"err": 0, "results": points(BANDWIDTHS)}));
        // The text's own first line: the end is floored and counted in.
        let longer = ask(&world, "/level3/bandwidths?domain=cdn.example.com&startTime=1470297000&endTime=1470299400").await;
        assert_eq!(longer["results"].as_array().unwrap().len(), 9);
        let odd = ask(&world, "/level3/fluxs?domain=cdn.example.com&startTime=1470297299&endTime=1470299399").await;
        assert_eq!(odd, fluxs);
    }

    async fn the_contracts_cities_come_from_the_vendors_answer(world: World) {
        collect(&world, DAY, DAY + 86_400).await;
        for (path, values) in [("fluxs", [29_490, 16_513]), ("bandwidths", [786, 440])] {
            let answer = ask(&world, &format!("/level3/{path}/area?domain=www.example.com&{SPAN}")).await;
            let rows = answer["results"].as_array().unwrap();
            assert_eq!(rows.len(), 2, "{answer}");
            for (row, (city, city_cn, value)) in rows.iter().zip([("Miami", "迈阿密", values[0]), ("Seoul", "首尔", values[1])]) {
                assert_eq!((&row["city"], &row["city_cn"], &row["value"]), (&json!(city), &json!(city_cn), &json!(value)));
                assert!(row["requests"].is_i64() && row["country"].is_string() && row["country_cn"].is_string(), "{row}");
            }
        }
    }

    async fn a_summary_buckets_and_csv_are_there_when_asked_for(world: World) {
        collect(&world, DAY, DAY + 86_400).await;
        let path = format!("/level3/fluxs?domain=cdn.example.com&{SPAN}");
        let answer = ask(&world, &format!("{path}&summary=true")).await;
        let total: i64 = FLUXS.iter().sum();
        assert_eq!(answer["summary"], json!({
            "peak": 692_966_130, "peak_time": 1_470_298_500, "p95": 692_966_130, "average": (total + 4) / 8,
            "total_bytes": total, "latest": 1_470_299_100,
        }));
        let hours = ask(&world, &format!("{path}&interval=3600")).await;
        assert_eq!(sum(&hours), total);
        assert_eq!(hours["results"][0]["timeStamp"], 1_470_294_000);
        let request = world.request("GET", &path).bearer_auth(&world.user_token).header("accept", "text/csv");
        let (headers, reply) = send(request).await;
        assert!(headers["content-type"].to_str().unwrap().starts_with("text/csv"));
        let text = reply.body.as_str().unwrap();
        assert!(text.starts_with("timeStamp,value\r\n1470297000,150995\r\n"), "{text}");
        assert_eq!(text.lines().count(), 9);
    }

    async fn several_domains_are_summed_and_areas_agree_with_series(world: World) {
        collect(&world, DAY, DAY + 2 * 86_400).await;
        let (from, to) = (DAY + 3_000, DAY + 86_400 + 7_200);
        let one = async |domain: &str| {
            sum(&ask(&world, &format!("/level3/fluxs?domain={domain}&startTime={from}&endTime={to}")).await)
        };
        let (a, b) = (one("a.example.com").await, one("b.example.com").await);
        assert!(a > 0 && b > 0);
        let both = format!("domain.0=a.example.com&domain.1=b.example.com&startTime={from}&endTime={to}");
        assert_eq!(sum(&ask(&world, &format!("/level3/fluxs?{both}")).await), a + b);
        assert_eq!(sum(&ask(&world, &format!("/level3/fluxs/area?{both}")).await), a + b);
        let all = sum(&ask(&world, &format!("/level3/fluxs?startTime={from}&endTime={to}")).await);
        assert!(all > a + b);
        // Whole days take the days' totals and no pack.
        let (from, to) = (DAY, DAY + 2 * 86_400 - 300);
        let whole = format!("domain=a.example.com&startTime={from}&endTime={to}");
        assert_eq!(sum(&ask(&world, &format!("/level3/fluxs?{whole}")).await), sum(&ask(&world, &format!("/level3/fluxs/area?{whole}")).await));
    }

    async fn nothing_is_told_of_foreign_domains_and_bad_ranges_are_400(world: World) {
        world.map(OTHER, &["old.example.com"]).await;
        let failed = async |query: &str, status: u16| {
            let mut messages = Vec::new();
            for path in ["fluxs", "bandwidths", "fluxs/area", "bandwidths/area"] {
                messages.push(world.get(&world.user_token, &format!("/level3/{path}?{query}")).await.failed(status));
            }
            messages
        };
        for domain in ["old.example.com", "missing.example.com"] {
            for message in failed(&format!("domain=cdn.example.com&domain={domain}&{SPAN}"), 404).await {
                assert_eq!(message, format!("domain: there is no domain {domain}"));
            }
        }
        for (query, word) in [
            ("endTime=1470299100", "startTime"),
            ("startTime=1470297000", "endTime"),
            ("startTime=soon&endTime=1470299100", "startTime"),
            ("startTime=1470299100&endTime=1470297000", "endTime"),
            ("startTime=1470297000&endTime=1470297000", "endTime"),
            ("startTime=1470297000&endTime=1478332800", "92 days"),
            ("domain=a%20b&startTime=1470297000&endTime=1470299100", "domain"),
        ] {
            for message in failed(query, 400).await {
                assert!(message.contains(word), "{query}: {message}");
            }
        }
        let reply: Reply = world.get(&world.user_token, &format!("/level3/fluxs?interval=60&{SPAN}")).await;
        assert!(reply.failed(400).starts_with("interval: "));
        let unknown = ask(&world, &format!("/level3/fluxs?{SPAN}")).await;
        assert_eq!(unknown["results"].as_array().unwrap().len(), 8);
        assert_eq!(sum(&unknown), 0, "0 where nothing is known");
    }

    async fn collecting_twice_and_by_two_at_once_changes_nothing(world: World) {
        collect(&world, DAY, DAY + 86_400).await;
        let path = format!("/level3/fluxs/area?startTime={DAY}&endTime={}", DAY + 86_100);
        let before = ask(&world, &path).await;
        let halves = [(DAY, DAY + 43_200), (DAY + 21_600, DAY + 86_400), (DAY, DAY + 86_400), (DAY + 300, DAY + 900)];
        futures::future::join_all(halves.map(|(from, to)| collect(&world, from, to))).await;
        assert_eq!(ask(&world, &path).await, before);
    }

    async fn the_command_reads_a_range_again_and_exports_rows(world: World) {
        let settings = |name: &str, value: &str| (format!("OVERSEAS__{name}"), value.to_owned());
        let account = &world.context.config.cdn["level3"];
        let secret = overseas_simulator::Config::demo().keys[0].secret.clone();
        let settings = Settings::from([
            settings("DATABASE__URL", &world.url),
            settings("CDN__LEVEL3__VENDOR", "level3"),
            settings("CDN__LEVEL3__BASE_URL", account.base_url.as_deref().unwrap()),
            settings("CDN__LEVEL3__KEY_ID", account.key_id.as_deref().unwrap()),
            settings("CDN__LEVEL3__SECRET", &secret),
        ]);
        let overseas = |arguments: &[&str]| run(&settings, world.folder.path(), arguments, "");
        let sync = ["sync-usage", "--from", "2016-08-04T00:00Z", "--to", "2016-08-05T00:00Z"];
        let output = overseas(&sync);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(String::from_utf8_lossy(&output.stdout).contains("0 failed"));
        let fluxs = ask(&world, &format!("/level3/fluxs?domain=cdn.example.com&{SPAN}")).await;
        assert_eq!(fluxs["results"], points(FLUXS));
        let export = ["usage", "export", "--domain", "cdn.example.com", "--from", "2016-08-04T07:50Z", "--to", "2016-08-04T08:00Z", "--csv"];
        let output = overseas(&export);
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text, "domain,timestamp,bytes,bandwidth\ncdn.example.com,1470297000,150995,4027\ncdn.example.com,1470297300,92393177,2463818\n");
        let missing = [sync.as_slice(), &["--domain", "missing.example.com"]].concat();
        let output = overseas(&missing);
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&output.stderr).contains("no vendor lists"));
    }
}
