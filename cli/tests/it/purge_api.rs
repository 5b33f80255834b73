//! `POST /level3/refresh` and `/level3/preload`: what is accepted, and the answer that clients rely on.
//!
//! What is refused is in `purge_refusals`, repetitions are in `idempotency_keys`, lists in `task_lists`.

use crate::support::cdns::{map_at_second, property, world_with_two_cdns};
use crate::support::http::{header, send};
use crate::support::world::{OTHER, USER};
use crate::support::{Kind, World, on_both};
use overseas_shared::config::Config;
use overseas_simulator::Config as SimulatorConfig;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// 2016/09/13 15:44:07 in Shanghai, in milliseconds.
const CONTRACT_TIME: i64 = 1_473_752_647_000;

/// A request as the contract shows it, answered while its clock shows the contract's second.
async fn ask_at_the_contracts_time(world: &World, kind: &str, path: &str) -> Value {
    let body = json!({"login_email": USER, "path": path});
    for _ in 0..20 {
        world.clock.advance(CONTRACT_TIME - world.clock.now());
        let answer = world.post(&world.user_token, &format!("/level3/{kind}"), body.clone()).await.ok();
        if world.clock.now_seconds() == CONTRACT_TIME / 1000 {
            return answer;
        }
    }
    panic!("no answer within a second, 20 times");
}

fn is_ulid(text: &str) -> bool {
    ulid::Ulid::from_string(text).is_ok_and(|id| id.to_string() == text)
}

on_both! {
    async fn the_answer_is_the_contracts_example(world: World) {
        let path = "http://cdn.example.com/test.html|http://cdn.example.com/test1.html";
        for kind in ["refresh", "preload"] {
            let answer = ask_at_the_contracts_time(&world, kind, path).await;
            let id = answer["results"][0]["taskid"].as_str().unwrap();
            assert!(is_ulid(id), "{id}");
            assert_eq!(answer, json!({
                "err": 0,
                "results": [{
                    "time": "2016/09/13 15:44:07", "url": path, "taskid": id,
                    "percentComplete": "0", "state": "queued", "cdn": "level3",
                }],
                "status": "success",
            }));
            assert_eq!(world.task(kind, id).await, answer["results"][0], "the list shows the same task");
        }
    }

    async fn urls_keep_their_order_and_duplicates_are_sent_once(world: World) {
        let urls = ["c", "a", "b", "a?x=2&y=a%7Cb", "a?x=1", "A"].map(|end| format!("http://cdn.example.com/{end}"));
        let sent: Vec<&String> = urls.iter().chain(&urls).collect();
        for kind in ["refresh", "preload"] {
            let body = json!({"path": sent});
            let answer = world.post(&world.user_token, &format!("/level3/{kind}"), body).await.ok();
            assert_eq!(answer["results"].as_array().unwrap().len(), 1);
            assert_eq!(answer["results"][0]["url"], urls.join("|"));
        }
        assert_eq!(world.number("SELECT MAX(url_count) FROM task").await, 6);
    }

    async fn there_is_one_task_for_each_property(world: World) {
        let urls = [
            "http://www.example.com/1", "http://cdn.example.com/2", "https://www.example.com/3",
            "http://photo.img.example.com/4", "http://b.example.com/5", "ftp://cdn.example.com/6",
        ];
        let body = json!({"path": urls.join("|")});
        let answer = world.post(&world.user_token, "/level3/refresh", body).await.ok();
        let mut parts: Vec<&str> = answer["results"].as_array().unwrap().iter().map(|task| task["url"].as_str().unwrap()).collect();
        parts.sort_unstable();
        assert_eq!(parts, [
            "http://b.example.com/5",
            "http://cdn.example.com/2|ftp://cdn.example.com/6",
            "http://photo.img.example.com/4",
            "http://www.example.com/1|https://www.example.com/3",
        ]);
        let ids: std::collections::HashSet<&str> = answer["results"].as_array().unwrap().iter().map(|task| task["taskid"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), 4);
        assert_eq!(world.number("SELECT COUNT(DISTINCT property_id) FROM task").await, 4);
    }

    async fn hosts_are_compared_without_case_and_urls_are_shown_as_written(world: World) {
        let written = "HTTP://CDN.Example.COM:8080/Path/A.html?Q=É&b=%2F";
        let answer = world.post(&world.user_token, "/level3/refresh", json!({"path": written})).await.ok();
        assert_eq!(answer["results"][0]["url"], written);
    }

    async fn wildcards_and_directories_are_taken_in_a_refresh(world: World) {
        for url in ["http://cdn.example.com/images/", "http://cdn.example.com/*", "http://cdn.example.com/a*.jpg?x=*"] {
            let answer = world.post(&world.user_token, "/level3/refresh", json!({"path": url})).await.ok();
            assert_eq!(answer["results"][0]["url"], url);
        }
        world.preload("http://cdn.example.com/").await;
    }

    async fn a_wildcard_property_serves_the_domains_below_it(world: World) {
        let property = "SELECT COUNT(*) FROM task t JOIN property p ON p.id = t.property_id WHERE p.name = '*.img.example.com'";
        world.refresh("http://photo.img.example.com/a").await;
        world.preload("http://photo.img.example.com/a").await;
        assert_eq!(world.number(property).await, 2);
        // A user may be mapped to the wildcard itself; then every host below it is its own.
        world.map(OTHER, &["*.img.example.com"]).await;
        let body = json!({"path": "http://x.img.example.com/a|http://y.z.img.example.com/b"});
        let answer = world.post(&world.other_token, "/level3/refresh", body).await.ok();
        assert_eq!(answer["results"].as_array().unwrap().len(), 1, "one property, one task");
        world.post(&world.other_token, "/level3/refresh", json!({"path": "http://img.example.com/"})).await.failed(404);
    }

    async fn a_thousand_urls_of_2048_bytes_are_taken(world: World) {
        let url = |number: usize| {
            let start = format!("http://cdn.example.com/{number:04}/");
            format!("{start}{}", "x".repeat(2048 - start.len()))
        };
        let urls: Vec<String> = (0..1000).map(url).collect();
        assert!(urls.iter().all(|url| url.len() == 2048));
        let answer = world.post(&world.user_token, "/level3/refresh", json!({"path": urls})).await.ok();
        assert_eq!(answer["results"][0]["url"], urls.join("|"));
        let id = answer["results"][0]["taskid"].as_str().unwrap();
        assert_eq!(world.task("refresh", id).await["url"], urls.join("|"));
    }

    async fn no_request_waits_for_the_vendor_or_calls_it(world: World) {
        let before = world.control.summary();
        world.refresh("http://cdn.example.com/a").await;
        world.preload("http://cdn.example.com/a").await;
        for path in ["refresh_list", "preload_list", "domains", "user_domains", "user_cdns", "logincheck"] {
            world.get(&world.user_token, &format!("/level3/{path}")).await.ok();
        }
        let mapping = json!({"login_email": USER, "cdn": "level3", "domains": "new.example.com"});
        world.post(&world.staff_token, "/level3/user_domains", mapping).await.ok();
        assert_eq!(world.control.summary(), before);
    }

    async fn every_order_leaves_an_audit_row(world: World) {
        let request = world.request("POST", "/level3/preload").bearer_auth(&world.staff_token);
        let body = json!({"login_email": USER, "path": "http://cdn.example.com/a|http://www.example.com/b"});
        let (headers, reply) = send(request.json(&body)).await;
        let answer = reply.ok();
        let ids: Vec<&str> = answer["results"].as_array().unwrap().iter().map(|task| task["taskid"].as_str().unwrap()).collect();
        let sql = format!(
            "SELECT COUNT(*) FROM audit WHERE actor = 'staff@example.com' AND action = 'preload' AND target = '{USER}' \
             AND address = '127.0.0.1' AND request_id = '{}' AND detail LIKE '%{}%' AND detail LIKE '%{}%'",
            header(&headers, "x-request-id"), ids[0], ids[1]
        );
        assert_eq!(world.number(&sql).await, 1, "{sql}");
        assert_eq!(world.number("SELECT COUNT(*) FROM audit WHERE action = 'preload'").await, 1);
    }

    async fn a_purge_that_is_repeated_is_a_new_purge(world: World) {
        let first = world.refresh("http://cdn.example.com/a").await;
        world.submit(overseas_shared::domain::Kind::Refresh).await;
        let second = world.refresh("http://cdn.example.com/a").await;
        assert_ne!(first, second);
        world.submit(overseas_shared::domain::Kind::Refresh).await;
        assert_eq!(world.invalidated(), ["/a", "/a"]);
    }

    async fn ids_of_later_tasks_are_greater(world: World) {
        let mut ids = Vec::new();
        for number in 0..20 {
            ids.extend(world.refresh(&format!("http://cdn.example.com/{number}|http://www.example.com/{number}")).await);
        }
        assert!(ids.is_sorted(), "{ids:?}");
    }
}

#[tokio::test]
async fn a_domain_at_two_cdns_gives_two_tasks() {
    for kind in [Kind::Sqlite, Kind::Mariadb] {
        let world = world_with_two_cdns(kind).await;
        map_at_second(&world, "cdn.example.com").await;
        let body = json!({"path": "http://cdn.example.com/a|http://www.example.com/b"});
        let answer = world.post(&world.user_token, "/level3/refresh", body).await.ok();
        let mut urls: Vec<&str> =
            answer["results"].as_array().unwrap().iter().map(|task| task["url"].as_str().unwrap()).collect();
        urls.sort_unstable();
        assert_eq!(urls, ["http://cdn.example.com/a", "http://cdn.example.com/a", "http://www.example.com/b"]);
        for task in answer["results"].as_array().unwrap() {
            let sql = format!("SELECT cdn_id FROM task WHERE id = '{}'", task["taskid"].as_str().unwrap());
            let cdn = ["level3", "second"][usize::try_from(world.number(&sql).await - 1).unwrap()];
            assert_eq!(task["cdn"], cdn, "the task names its CDN");
            assert_eq!(world.task("refresh", task["taskid"].as_str().unwrap()).await, *task, "and so does the list");
        }
        assert_eq!(world.number("SELECT COUNT(DISTINCT cdn_id) FROM task").await, 2);
    }
}

#[tokio::test]
async fn a_domain_that_is_pending_at_one_of_two_cdns_makes_no_task() {
    let world = world_with_two_cdns(Kind::Sqlite).await;
    map_at_second(&world, "a.example.net").await;
    let body = json!({"login_email": USER, "cdn": "level3", "domains": "a.example.net"});
    world.post(&world.staff_token, "/level3/user_domains", body).await.ok();
    let body = json!({"path": "http://a.example.net/x"});
    let message = world.post(&world.user_token, "/level3/refresh", body).await.failed(400);
    assert!(message.contains("level3") && message.contains("second"), "{message}");
    assert_eq!(world.number("SELECT COUNT(*) FROM task").await, 0);
}

#[tokio::test]
async fn international_names_are_compared_in_punycode() {
    let punycode = "xn--bcher-kva.example.com";
    let data = |data: &mut SimulatorConfig| data.access_groups[0].services[0].properties.push(property(punycode));
    let world = World::with(Kind::Sqlite, |_| {}, data).await;
    let body = json!({"login_email": USER, "cdn": "level3", "domains": "BÜCHER.example.com"});
    let answer = world.post(&world.staff_token, "/level3/user_domains", body).await.ok();
    assert!(answer.to_string().contains(punycode), "{answer}");
    for url in [
        "http://bücher.example.com/ä",
        "http://BÜCHER.EXAMPLE.com/",
        "http://xn--bcher-kva.example.com/x",
        "http://b%C3%BCcher.example.com/y",
    ] {
        let answer = world.post(&world.user_token, "/level3/refresh", json!({"path": url})).await.ok();
        assert_eq!(answer["results"][0]["url"], url);
    }
}

#[tokio::test]
async fn a_refresh_is_taken_while_redis_is_away() {
    for kind in [Kind::Sqlite, Kind::Mariadb] {
        let away = |config: &mut Config| config.queue.url = "redis://127.0.0.1:1".to_owned();
        let world = World::with(kind, away, |_| {}).await;
        let begun = Instant::now();
        for number in 0..5 {
            world.refresh(&format!("http://cdn.example.com/{number}")).await;
            world.preload(&format!("http://cdn.example.com/{number}")).await;
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        assert_eq!(world.number("SELECT COUNT(*) FROM task WHERE state = 'queued'").await, 10);
    }
}

#[tokio::test]
async fn times_are_shown_in_the_configured_zone() {
    let world =
        World::with(Kind::Sqlite, |config| config.time_zone = "America/New_York".parse().unwrap(), |_| {}).await;
    let answer = ask_at_the_contracts_time(&world, "refresh", "http://cdn.example.com/a").await;
    assert_eq!(answer["results"][0]["time"], "2016/09/13 03:44:07");
}
