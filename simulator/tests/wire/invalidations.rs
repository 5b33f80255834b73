//! Invalidations: asking for them, and the lists that show how far they are.
//!
//! The numbers are the vendor's: 50 paths a request, the last 100 requests of a property, 24 hours after
//! completion, one id for all paths of a request at a property. The simulator's time is moved by its
//! control, so nothing is waited for. A refused request registers nothing.

use std::collections::HashSet;

use overseas_simulator::EmptyList;
use serde_json::json;

use crate::client::{PROPERTY, Wire, config, read};

#[tokio::test]
async fn a_request_gets_one_id_for_all_its_paths() {
    let wire = Wire::start().await;
    let answer = wire
        .post(&format!("{PROPERTY}?force=true&ignoreCase=0&notification=a@b.c,d@e.f"), &["/images/*.jpg", "/b"])
        .await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.attributes("invalidation", "path"), ["/images/*.jpg", "/b"]);
    let ids = answer.attributes("invalidation", "id");
    assert_eq!(ids[0], ids[1]);
    let (prefix, milliseconds) = ids[0].rsplit_once('-').unwrap();
    assert_eq!(prefix, "AG_12345/279000001@12345-10001");
    assert_eq!(milliseconds.len(), 13);
    assert!(answer.body.contains("<ni id=\"cdn.example.com\"><serviceResource>/12345/BBBN56789/cdn.example.com</serviceResource><invalidations><invalidation id="));
}

#[tokio::test]
async fn ids_are_unique_however_fast_the_requests_come() {
    let wire = Wire::start().await;
    let posts = (0..200).map(|_| wire.post(PROPERTY, &["/a"]));
    let answers = futures::future::join_all(posts).await;
    let ids: HashSet<_> = answers.iter().map(|answer| answer.attributes("invalidation", "id")[0]).collect();
    assert_eq!(ids.len(), 200);
}

#[tokio::test]
async fn the_list_shows_a_percentage_that_grows_to_100() {
    let mut config = config();
    config.invalidation_seconds = 1000;
    let wire = Wire::with(config).await;
    let id = wire.post(PROPERTY, &["/test.html", "/test1.html"]).await.attributes("invalidation", "id")[0].to_owned();
    let mut seen = Vec::new();
    for _ in 0..5 {
        let answer = wire.get(PROPERTY).await;
        assert_eq!(answer.attributes("invalidation", "id"), [id.as_str()]);
        assert!(
            answer.body.contains(
                "<paths><path>/test.html</path><path>/test1.html</path></paths></invalidation></invalidations>"
            )
        );
        seen.push(answer.attributes("invalidation", "percentComplete")[0].to_owned());
        wire.control().advance(250);
    }
    assert_eq!(seen, ["0", "25", "50", "75", "100"]);
}

#[tokio::test]
async fn the_list_holds_the_last_100_requests_of_each_property() {
    let wire = Wire::start().await;
    let other = "/invalidations/v1.0/12345/BBBN56789/www.example.com";
    wire.post(other, &["/other"]).await;
    for number in 0..103 {
        wire.post(PROPERTY, &[&format!("/{number}")]).await;
    }
    let answer = wire.get(PROPERTY).await;
    assert_eq!(answer.attributes("invalidation", "id").len(), 100);
    assert!(!answer.body.contains("<path>/2</path>"));
    assert!(answer.body.contains("<path>/3</path>") && answer.body.contains("<path>/102</path>"));
    assert_eq!(wire.get(other).await.attributes("invalidation", "id").len(), 1);
}

#[tokio::test]
async fn a_request_is_dropped_24_hours_after_it_completed() {
    let mut config = config();
    config.invalidation_seconds = 600;
    let wire = Wire::with(config).await;
    wire.post(PROPERTY, &["/a"]).await;
    wire.call("POST", "advance", "{\"seconds\": 86400}").await;
    assert_eq!(wire.get(PROPERTY).await.attributes("invalidation", "percentComplete"), ["100"]);
    wire.call("POST", "advance", "{\"seconds\": 590}").await;
    assert_eq!(wire.get(PROPERTY).await.attributes("invalidation", "id").len(), 1);
    wire.call("POST", "advance", "{\"seconds\": 11}").await;
    assert_eq!(wire.get(PROPERTY).await.attributes("invalidation", "id").len(), 0);
}

#[tokio::test]
async fn an_empty_list_is_an_empty_or_a_missing_element() {
    let wire = Wire::start().await;
    assert!(wire.get(PROPERTY).await.body.contains("</serviceResource><invalidations/></ni>"));
    let mut config = config();
    config.empty_list = EmptyList::Missing;
    let mut wire = Wire::with(config).await;
    assert!(!wire.get(PROPERTY).await.body.contains("invalidations/>"));
    wire.accept = "application/json";
    let property = &wire.get(PROPERTY).await.json()["accessGroup"]["services"][0]["networkIdentifiers"][0];
    assert!(property.get("invalidations").is_none());
}

#[tokio::test]
async fn json_mirrors_xml_in_both_directions() {
    let mut wire = Wire::start().await;
    wire.accept = "application/json";
    let body = "{\"paths\":[\"/p/*\",\"/q\"]}";
    let answer = read(wire.request("POST", PROPERTY, "application/json").body(body)).await.unwrap();
    assert_eq!((answer.status, answer.content_type.as_str()), (200, "application/json"));
    let group = &answer.json()["accessGroup"];
    assert_eq!(group["id"], 12345);
    let property = &group["services"][0]["networkIdentifiers"][0];
    assert_eq!(property["id"], "cdn.example.com");
    let id = property["invalidations"][0]["id"].clone();
    assert_eq!(property["invalidations"], json!([{"id": id, "path": "/p/*"}, {"id": id, "path": "/q"}]));
    wire.control().advance(3600);
    let list = wire.get(PROPERTY).await.json();
    let listed = &list["accessGroup"]["services"][0]["networkIdentifiers"][0]["invalidations"];
    assert_eq!(*listed, json!([{"id": id, "percentComplete": 100, "paths": ["/p/*", "/q"]}]));
    let refused = wire.post(PROPERTY, &["no-slash"]).await;
    assert_eq!(refused.status, 400);
    assert!(refused.json()["error"]["message"].as_str().unwrap().contains("no-slash"));
}

#[tokio::test]
async fn a_wider_scope_reaches_every_property_below_it() {
    let wire = Wire::start().await;
    let service = wire.post("/invalidations/v1.0/12345/BBBN56789", &["/s"]).await;
    assert_eq!(service.attributes("ni", "id").len(), 4);
    let group = wire.post("/invalidations/v1.0/12345", &["/g"]).await;
    assert_eq!(group.attributes("ni", "id").len(), 7);
    assert_eq!(group.attributes("accessGroup", "id"), ["12345", "12346"]);
    let ids: HashSet<_> = group.attributes("invalidation", "id").into_iter().collect();
    assert_eq!(ids.len(), 7);
    let child = wire.get("/invalidations/v1.0/12346/BBKN17110/a.example.com").await;
    assert_eq!(child.body.matches("<path>/g</path>").count(), 1);
    let both = wire.get(PROPERTY).await;
    assert_eq!(both.attributes("invalidation", "id").len(), 2);
    let all = wire.get("/invalidations/v1.0/12345").await;
    assert_eq!(all.attributes("invalidation", "id").len(), 7 + 4);
}

#[tokio::test]
async fn paths_come_back_escaped() {
    let wire = Wire::start().await;
    let answer = wire.post(PROPERTY, &["/a?b=1&amp;c=&quot;&lt;x&gt;"]).await;
    assert!(answer.body.contains("path=\"/a?b=1&amp;c=&quot;&lt;x&gt;\""), "{}", answer.body);
    let list = wire.get(PROPERTY).await;
    assert!(list.body.contains("<path>/a?b=1&amp;c=&quot;&lt;x&gt;</path>"), "{}", list.body);
    assert_eq!(&*wire.control().requests(0).requests[0].paths, ["/a?b=1&c=\"<x>"]);
}

#[tokio::test]
async fn bad_bodies_and_queries_get_400_and_register_nothing() {
    let wire = Wire::start().await;
    let many = vec!["/a"; 51];
    for paths in [&[][..], &["a"], &["http://cdn.example.com/a"], &["/a", ""], &many] {
        let answer = wire.post(PROPERTY, paths).await;
        assert_eq!(answer.status, 400, "{paths:?}");
        assert!(answer.body.starts_with("<error><message>"));
    }
    for query in ["force=yes", "ignoreCase=maybe", "notification=nobody"] {
        assert_eq!(wire.post(&format!("{PROPERTY}?{query}"), &["/a"]).await.status, 400, "{query}");
    }
    for (content_type, body) in
        [("text/xml", "{\"paths\":[\"/a\"]}"), ("application/json", "<paths/>"), ("text/plain", "/a")]
    {
        let answer = read(wire.request("POST", PROPERTY, content_type).body(body)).await.unwrap();
        assert_eq!(answer.status, 400, "{content_type}");
    }
    let large = "<paths>".to_owned() + &" ".repeat(2 << 20);
    let answer = read(wire.request("POST", PROPERTY, "text/xml").body(large)).await;
    assert!(answer.is_err() || answer.is_ok_and(|answer| answer.status == 413));
    assert_eq!(wire.get(PROPERTY).await.attributes("invalidation", "id").len(), 0);
    assert_eq!(wire.post(PROPERTY, &many[..50]).await.status, 200);
}

#[tokio::test]
async fn inactive_and_streaming_properties_are_accepted() {
    let wire = Wire::start().await;
    for scope in ["12345/BBBN56789/old.example.com", "12345/BBBN10111/sample-live"] {
        let answer = wire.post(&format!("/invalidations/v1.0/{scope}"), &["/a"]).await;
        assert_eq!(answer.status, 200, "{scope}");
    }
}
