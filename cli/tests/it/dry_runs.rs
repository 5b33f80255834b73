//! `dry_run` on `POST /level3/refresh` and `/level3/preload`: what would be made, and what it would cost.
//!
//! How calls and quotas are counted is tested beside the code, in `purge_plan`; here is what the API promises.

use crate::support::cdns::{map_at_second, note_quotas, world_with_two_cdns};
use crate::support::http::send;
use crate::support::world::{OTHER, USER};
use crate::support::{Kind, World, on_both};
use serde_json::{Value, json};

const REFRESH: &str = "/level3/refresh";

/// The rows that a refresh writes.
async fn rows(world: &World) -> i64 {
    world
        .number(
            "SELECT (SELECT COUNT(*) FROM task) + (SELECT COUNT(*) FROM audit) + (SELECT COUNT(*) FROM idempotency)",
        )
        .await
}

async fn the_plan_is_told(world: &World) {
    map_at_second(world, "a.example.com").await;
    let quotas = json!([
        {"kind": "refresh_url", "zone": "", "area": "mainland", "batch": 1000, "daily": 10_000, "available": 9998},
        {"kind": "refresh_url", "zone": "", "area": "overseas", "batch": 1000, "daily": 10_000, "available": 59},
        {"kind": "refresh_url", "zone": "example.org", "area": "", "batch": 10, "daily": 10, "available": 10},
        {"kind": "preload", "zone": "", "area": "mainland", "batch": 500, "daily": 1000, "available": 0},
    ]);
    note_quotas(world, "second", quotas).await;
    let (before, calls, read_at) = (rows(world).await, world.control.summary(), world.clock.now_seconds());
    let urls: Vec<String> = (0..60).map(|number| format!("http://a.example.com/{number}")).collect();
    let body = json!({"path": urls, "dry_run": true});
    let answer = world.post(&world.user_token, REFRESH, body).await.ok();
    assert_eq!((&answer["results"], &answer["status"]), (&json!([]), &json!("dry_run")));
    let (url, domains) = (urls.join("|"), ["a.example.com"]);
    let of_second = &answer["plan"][1];
    assert!(of_second["quotas_read_at"].as_i64().unwrap().abs_diff(read_at) < 60);
    assert_eq!(
        answer["plan"],
        json!([
            {"cdn": "level3", "vendor": "level3", "domains": domains, "url": url, "requests": 2, "quotas_read_at": null, "costs": [
                {"kind": "refresh_url", "urls": 60, "requests": 2, "area": "", "zone": "", "available": null, "enough": null},
            ]},
            {"cdn": "second", "vendor": "level3", "domains": domains, "url": url, "requests": 2,
             "quotas_read_at": of_second["quotas_read_at"], "costs": [
                {"kind": "refresh_url", "urls": 60, "requests": 2, "area": "mainland", "zone": "", "available": 9998, "enough": true},
                {"kind": "refresh_url", "urls": 60, "requests": 2, "area": "overseas", "zone": "", "available": 59, "enough": false},
            ]},
        ])
    );
    let preload =
        world.post(&world.user_token, "/level3/preload", json!({"path": urls[0], "dry_run": "true"})).await.ok();
    assert_eq!(preload["plan"][1]["costs"][0]["enough"], false);
    assert_eq!(rows(world).await, before, "no task, no audit row, no key");
    assert_eq!(world.control.summary(), calls, "no vendor was called");
    // Without it the same tasks are made.
    let made = world.post(&world.user_token, REFRESH, json!({"path": urls, "dry_run": false})).await.ok();
    assert_eq!(
        made["results"].as_array().unwrap().iter().map(|task| &task["cdn"]).collect::<Vec<_>>(),
        ["level3", "second"]
    );
    assert_eq!(made["results"][1]["url"], url);
    assert_eq!((&made["status"], made.get("plan")), (&json!("success"), None));
}

#[tokio::test]
async fn a_dry_run_makes_nothing_and_says_what_it_would_cost() {
    for kind in [Kind::Sqlite, Kind::Mariadb] {
        the_plan_is_told(&world_with_two_cdns(kind).await).await;
    }
}

on_both! {
    async fn a_dry_run_is_refused_as_the_real_one_is(world: World) {
        world.map(OTHER, &["theirs.example.org"]).await;
        crate::support::database::execute(&world.url, "UPDATE `user` SET operate_right = 0 WHERE email = 'other@example.com'").await;
        let mapping = json!({"login_email": USER, "cdn": "level3", "domains": "pending.example.org"});
        world.post(&world.staff_token, "/level3/user_domains", mapping).await.ok();
        let long = format!("http://cdn.example.com/{}", "x".repeat(2048));
        let read = world.api_token(USER, "read").await;
        let before = rows(&world).await;
        for (status, token, path) in [
            (400, &world.user_token, "nonsense"),
            (400, &world.user_token, ""),
            (400, &world.user_token, "http://pending.example.org/"),
            (404, &world.user_token, "http://theirs.example.org/|http://cdn.example.com/"),
            (413, &world.user_token, long.as_str()),
            (403, &world.other_token, "http://theirs.example.org/"),
            (403, &read, "http://cdn.example.com/"),
            (401, &String::new(), "http://cdn.example.com/"),
        ] {
            for kind in ["refresh", "preload"] {
                let kind = format!("/level3/{kind}");
                let real = world.post(token, &kind, json!({"path": path})).await.failed(status);
                let dry = world.post(token, &kind, json!({"path": path, "dry_run": true})).await.failed(status);
                assert_eq!(dry, real);
            }
        }
        let message = world.post(&world.user_token, REFRESH, json!({"path": "http://cdn.example.com/", "dry_run": "maybe"})).await.failed(400);
        assert!(message.starts_with("dry_run"), "{message}");
        assert_eq!(rows(&world).await, before);
    }

    async fn a_dry_run_takes_no_notice_of_an_idempotency_key(world: World) {
        let ask = async |dry: Value| {
            let request = world.request("POST", REFRESH).bearer_auth(&world.user_token).header("idempotency-key", "one");
            send(request.json(&json!({"path": "http://cdn.example.com/a", "dry_run": dry}))).await.1.ok()
        };
        assert_eq!(ask(json!(true)).await["status"], "dry_run");
        let made = ask(json!(false)).await;
        assert_eq!(made["status"], "success", "the key was not used up");
        assert_eq!(ask(json!(true)).await["status"], "dry_run", "and what it keeps is not the answer");
        assert_eq!(ask(json!(null)).await, made);
        assert_eq!(world.number("SELECT COUNT(*) FROM task").await, 1);
    }

    async fn dry_run_is_understood_wherever_it_stands(world: World) {
        let url = "http://cdn.example.com/a";
        for query in ["dry_run=true", "dry_run=1", "dry_run=TRUE"] {
            let answer = world.post(&world.user_token, &format!("{REFRESH}?{query}"), json!({"path": url})).await.ok();
            assert_eq!(answer["status"], "dry_run", "{query}");
        }
        let form = world.request("POST", REFRESH).header("content-type", "application/x-www-form-urlencoded");
        let form = form.bearer_auth(&world.user_token).body(format!("path={url}&dry_run=true"));
        assert_eq!(send(form).await.1.ok()["plan"][0]["url"], url);
        let staff = json!({"login_email": USER, "path": url, "dry_run": "1"});
        assert_eq!(world.post(&world.staff_token, REFRESH, staff).await.ok()["plan"][0]["cdn"], "level3");
        assert_eq!(world.number("SELECT COUNT(*) FROM task").await, 0);
    }
}
