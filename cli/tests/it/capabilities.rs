//! `GET /level3/capabilities`: what the CDNs can do and what their vendors take today, to those whom it concerns.
//!
//! The quotas are written as a worker would have written them.

use crate::support::cdns::{map_at_second, note_quotas, world_with_two_cdns};
use crate::support::world::{OTHER, USER};
use crate::support::{Kind, World, on_both};
use serde_json::{Value, json};

const PATH: &str = "/level3/capabilities";

async fn list(world: &World, token: &str, query: &str) -> Vec<Value> {
    world.get(token, &format!("{PATH}{query}")).await.ok()["results"].as_array().unwrap().clone()
}

fn names(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|row| row["cdn"].as_str().unwrap()).collect()
}

fn quota(zone: &str, available: u64) -> Value {
    json!({"kind": "refresh_url", "zone": zone, "area": "", "batch": 1000, "daily": 10_000, "available": available})
}

fn zones(row: &Value) -> Vec<&str> {
    row["quotas"].as_array().unwrap().iter().map(|quota| quota["zone"].as_str().unwrap()).collect()
}

on_both! {
    async fn capabilities_say_what_level3_can_do(world: World) {
        let calls = world.control.summary();
        let expected = json!({
            "cdn": "level3", "vendor": "level3", "refresh": {"wildcards": true, "directories": true},
            "preload": "invalidate_then_fetch", "urls_per_request": 50,
            "usage": {"cities": true, "delay_seconds": 14_400}, "logs": true, "quotas": [], "quotas_read_at": null,
        });
        for token in [&world.user_token, &world.staff_token] {
            assert_eq!(world.get(token, PATH).await.ok(), json!({"err": 0, "results": [expected]}));
        }
        assert_eq!(world.control.summary(), calls, "no vendor is called during a request");
    }

    async fn a_cdn_that_is_not_configured_can_do_nothing(world: World) {
        let staff = &world.staff_token;
        world.post(staff, "/level3/cdn", json!({"cdn": "acme"})).await.ok();
        world.post(staff, "/level3/user_cdns", json!({"login_email": OTHER, "cdns": "acme"})).await.ok();
        let nothing = json!({
            "cdn": "acme", "vendor": null, "refresh": null, "preload": "none", "urls_per_request": null, "usage": null,
            "logs": false, "quotas": [], "quotas_read_at": null,
        });
        assert_eq!(list(&world, &world.other_token, "").await, std::slice::from_ref(&nothing));
        assert_eq!(list(&world, staff, "?cdn=acme").await, [nothing]);
        assert_eq!(names(&list(&world, staff, "").await), ["acme", "level3"]);
    }

    async fn quotas_are_shown_as_they_were_last_read(world: World) {
        let read = json!([
            {"kind": "refresh_url", "zone": "", "area": "mainland", "batch": 1000, "daily": 10_000, "available": 9998},
            {"kind": "preload", "zone": "", "area": "overseas", "batch": 500, "daily": 1000, "available": 0},
        ]);
        let now = world.clock.now_seconds();
        note_quotas(&world, "level3", read.clone()).await;
        // Two days later they are those of another day, which their time says.
        world.clock.advance(2 * 86_400_000);
        for token in [&world.user_token, &world.staff_token] {
            let row = list(&world, token, "").await.remove(0);
            assert_eq!(row["quotas"], read);
            assert!((row["quotas_read_at"].as_i64().unwrap() - now).abs() < 60, "{row}");
        }
    }
}

async fn own_cdns_and_zones_only(world: &World) {
    let (user, other, staff) = (&world.user_token, &world.other_token, &world.staff_token);
    let at_level3 = ["example.com", "theirs.example.org", "a.example.com", "x.a.example.com", ""];
    note_quotas(world, "level3", at_level3.map(|zone| quota(zone, 1)).as_slice().into()).await;
    note_quotas(world, "second", json!([quota("example.com", 2), quota("theirs.example.org", 3)])).await;
    assert_eq!(names(&list(world, staff, "").await), ["level3", "second"]);
    assert_eq!(names(&list(world, staff, "?cdn=second").await), ["second"]);
    assert_eq!(list(world, staff, "?cdn=nothing").await, [] as [Value; 0]);
    assert_eq!(zones(&list(world, staff, "").await[0]), at_level3);
    assert_eq!(names(&list(world, user, "").await), ["level3"], "not mapped to the second");
    assert_eq!(zones(&list(world, user, "").await[0]), ["example.com", "a.example.com", ""]);
    assert_eq!(list(world, user, "?cdn=second").await, [] as [Value; 0]);
    assert_eq!(list(world, other, "").await, [] as [Value; 0]);
    map_at_second(world, "a.example.net").await;
    let second = list(world, user, "?cdn=second").await.remove(0);
    assert_eq!(zones(&second), [] as [&str; 0], "what is mapped at one CDN shows no zone at another");
    map_at_second(world, "*.example.com").await;
    assert_eq!(zones(&list(world, user, "?cdn=second").await[0]), ["example.com"]);
    world.map(OTHER, &["www.theirs.example.org"]).await;
    assert_eq!(zones(&list(world, other, "").await[0]), ["theirs.example.org", ""]);
    // A dry run charges to no foreign zone either.
    let body = json!({"login_email": USER, "path": "http://cdn.example.com/a", "dry_run": true});
    let plan = world.post(staff, "/level3/refresh", body).await.ok()["plan"].to_string();
    assert!(plan.contains("\"example.com\"") && !plan.contains("theirs"), "{plan}");
}

#[tokio::test]
async fn capabilities_tell_a_user_of_its_own_cdns_and_zones_only() {
    for kind in [Kind::Sqlite, Kind::Mariadb] {
        own_cdns_and_zones_only(&world_with_two_cdns(kind).await).await;
    }
}
