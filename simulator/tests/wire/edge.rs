//! The edge server, asked as a browser asks: by the name of a property.
//!
//! The connection goes to the edge's address and the Host header names the site, as it is behind a CDN's
//! DNS. Covers which hosts are served, how the query shapes an answer, the record, and faults at the edge.

use std::time::{Duration, Instant};

use crate::client::{Answer, Wire, read};

fn request(wire: &Wire, verb: reqwest::Method, host: &str, target: &str) -> reqwest::RequestBuilder {
    let url = format!("http://{}{target}", wire.simulator.edge_address());
    wire.http.request(verb, url).header("Host", host)
}

async fn fetch(wire: &Wire, host: &str, target: &str) -> Answer {
    read(request(wire, reqwest::Method::GET, host, target)).await.unwrap()
}

#[tokio::test]
async fn active_properties_are_served_and_other_hosts_are_not() {
    let wire = Wire::start().await;
    for (host, status) in [
        ("cdn.example.com", 200),
        ("cdn.example.com:8381", 200),
        ("CDN.EXAMPLE.COM", 200),
        ("a.example.com", 200),
        ("cdn.example.net", 200),
        ("one.img.example.com", 200),
        ("two.one.img.example.com", 200),
        ("img.example.com", 404),
        ("old.example.com", 404),
        ("sample-live", 404),
        ("example.org", 404),
    ] {
        assert_eq!(fetch(&wire, host, "/x").await.status, status, "{host}");
    }
}

#[tokio::test]
async fn the_query_says_how_to_answer() {
    let wire = Wire::start().await;
    let host = "cdn.example.com";
    assert_eq!(fetch(&wire, host, "/x?bytes=100001").await.body.len(), 100_001);
    assert_eq!(fetch(&wire, host, "/x?status=404").await.status, 404);
    assert_eq!(fetch(&wire, host, "/x?status=500&bytes=3").await.body.len(), 3);
    assert_eq!(fetch(&wire, host, "/x?status=abc").await.status, 400);
    let begun = Instant::now();
    assert_eq!(fetch(&wire, host, "/x?delay_ms=200").await.status, 200);
    assert!(begun.elapsed() >= Duration::from_millis(200));
    let target = "/x?redirect=http%3A%2F%2Fexample.org%2Fy%3Fz";
    let redirect = request(&wire, reqwest::Method::GET, host, target).send().await.unwrap();
    assert_eq!(redirect.status(), 302);
    assert_eq!(redirect.headers()["location"], "http://example.org/y?z");
}

#[tokio::test]
async fn bodies_are_capped_at_64_mib_and_head_has_none() {
    let wire = Wire::start().await;
    let head = request(&wire, reqwest::Method::HEAD, "cdn.example.com", "/x?bytes=1000000000").send().await.unwrap();
    assert_eq!(head.status(), 200);
    assert_eq!(head.headers()["content-length"], "67108864");
    assert_eq!(head.bytes().await.unwrap().len(), 0);
    let post = request(&wire, reqwest::Method::POST, "cdn.example.com", "/x").send().await.unwrap();
    assert_eq!(post.status(), 405);
}

#[tokio::test]
async fn fetches_are_recorded_with_their_url_and_property() {
    let wire = Wire::start().await;
    fetch(&wire, "one.img.example.com:80", "/a/b%20c?x=1&status=404").await;
    fetch(&wire, "example.org", "/").await;
    let (_, recorded) = wire.call("GET", "requests?since=0", "").await;
    let entry = &recorded["requests"][0];
    assert_eq!(entry["operation"], "edge");
    assert_eq!(entry["host"], "one.img.example.com");
    assert_eq!(entry["url"], "http://one.img.example.com/a/b%20c?x=1&status=404");
    assert_eq!(entry["property"], "*.img.example.com");
    assert_eq!(entry["status"], 404);
    assert!(entry["time_ms"].as_i64().unwrap() > 1_500_000_000_000);
    assert!(recorded["requests"][1]["property"].is_null());
}

#[tokio::test]
async fn the_edge_has_faults_too() {
    let wire = Wire::start().await;
    let host = "cdn.example.com";
    wire.faults(r#"[{"operation":"edge","property":"cdn.example.com","kind":"status","status":502,"times":1},{"operation":"edge","kind":"cut","times":1},{"operation":"edge","kind":"huge","bytes":200000,"times":1}]"#).await;
    assert_eq!(fetch(&wire, host, "/x").await.status, 502);
    assert!(read(request(&wire, reqwest::Method::GET, host, "/x")).await.is_err());
    assert_eq!(fetch(&wire, host, "/x").await.body.len(), 200_000);
    assert_eq!(fetch(&wire, host, "/x").await.status, 200);
    assert_eq!(wire.get("/key/v1.0").await.status, 200);
}
