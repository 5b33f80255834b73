//! The control endpoints: the record, the summary, the configuration.
//!
//! What is pinned here is the form that other tests and tools read: names of fields, numbering, what
//! counts as a duplicate. Control calls are not recorded, need no signature and never show a secret.
//! Fault rules have their own file, `faults`.

use serde_json::json;

use crate::client::{PROPERTY, Wire, config};

#[tokio::test]
async fn every_vendor_request_is_recorded_and_no_control_call() {
    let wire = Wire::start().await;
    wire.post(&format!("{PROPERTY}?force=1"), &["/a", "/b"]).await;
    wire.get("/nothing").await;
    wire.call("GET", "summary", "").await;
    let (status, recorded) = wire.call("GET", "requests?since=0", "").await;
    assert_eq!(status, 200);
    assert_eq!(recorded["next"], 2);
    let requests = recorded["requests"].as_array().unwrap();
    assert_eq!(requests.len(), 2);
    let mut first = requests[0].clone();
    assert!(first["time_ms"].as_i64().unwrap() > 1_500_000_000_000);
    first.as_object_mut().unwrap().remove("time_ms");
    assert_eq!(
        first,
        json!({
            "n": 0, "method": "POST", "path": PROPERTY, "query": "force=1", "operation": "invalidate",
            "property": "cdn.example.com", "key_id": "279000001", "status": 200, "paths": ["/a", "/b"],
            "body_bytes": 45, "fault": null, "registered": true, "concurrent": 1,
        })
    );
    assert_eq!((&requests[1]["operation"], &requests[1]["status"]), (&json!("unknown"), &json!(404)));
    let (_, rest) = wire.call("GET", "requests?since=1&limit=1", "").await;
    assert_eq!((&rest["next"], &rest["requests"][0]["n"]), (&json!(2), &json!(1)));
    wire.call("DELETE", "requests", "").await;
    let (_, cleared) = wire.call("GET", "requests", "").await;
    assert_eq!(cleared, json!({ "next": 2, "requests": [] }));
}

#[tokio::test]
async fn the_record_is_bounded() {
    let mut config = config();
    config.record_limit = 5;
    let wire = Wire::with(config).await;
    for _ in 0..8 {
        wire.get("/key/v1.0").await;
    }
    let kept = wire.control().requests(0);
    assert_eq!((kept.requests.len(), kept.requests[0].n, kept.next), (5, 3, 8));
    assert_eq!(wire.control().summary().requests, 8);
}

#[tokio::test]
async fn the_summary_counts_and_finds_duplicates() {
    let wire = Wire::start().await;
    wire.post(PROPERTY, &["/a", "/b"]).await;
    wire.post(PROPERTY, &["/b", "/c"]).await;
    wire.post("/invalidations/v1.0/12346/BBKN17110/a.example.com", &["/a"]).await;
    wire.post(PROPERTY, &["bad"]).await;
    let (_, summary) = wire.call("GET", "summary", "").await;
    assert_eq!(summary["requests"], 4);
    assert_eq!(summary["operations"]["invalidate"], json!({ "200": 3, "400": 1 }));
    assert_eq!(summary["paths_invalidated"], 5);
    let doubled = json!({ "count": 1, "examples": [{ "property": "cdn.example.com", "path": "/b", "times": 2 }] });
    assert_eq!(summary["duplicates"], doubled);
}

#[tokio::test]
async fn concurrency_is_seen_while_requests_overlap() {
    let wire = Wire::start().await;
    wire.faults(r#"[{"kind":"slow","delay_ms":1000}]"#).await;
    futures::future::join_all((0..4).map(|_| wire.get("/key/v1.0"))).await;
    wire.get("/key/v1.0").await;
    let recorded = wire.control().requests(0).requests;
    let mut concurrent: Vec<usize> = recorded.iter().map(|entry| entry.concurrent).collect();
    assert_eq!(concurrent.pop(), Some(1));
    concurrent.sort_unstable();
    assert_eq!(concurrent, [1, 2, 3, 4]);
    let (_, summary) = wire.call("GET", "summary", "").await;
    assert_eq!((&summary["peak_concurrency"], &summary["peak_edge_concurrency"]), (&json!(4), &json!(0)));
}

#[tokio::test]
async fn the_configuration_is_shown_without_secrets() {
    let wire = Wire::start().await;
    let (status, shown) = wire.call("GET", "config", "").await;
    assert_eq!(status, 200);
    assert_eq!(shown["access_groups"][0]["services"][0]["scid"], "BBBN56789");
    assert_eq!(shown["keys"][0]["id"], "279000001");
    assert!(!shown.to_string().contains("EXAMPLEsecret0123456"));
}

#[tokio::test]
async fn wrong_control_calls_are_refused() {
    let wire = Wire::start().await;
    for (verb, target, body, status) in [
        ("GET", "nothing", "", 404),
        ("PUT", "faults", "", 405),
        ("POST", "advance", "{\"seconds\":-1}", 400),
        ("POST", "advance", "{\"second\":1}", 400),
        ("GET", "requests?since=x", "", 400),
        ("GET", "requests?sinse=1", "", 400),
    ] {
        assert_eq!(wire.call(verb, target, body).await.0, status, "{verb} {target}");
    }
}
