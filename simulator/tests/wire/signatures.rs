//! Who is let in: the published vectors, wrong keys and dates, foreign access groups, the Accept header.
//!
//! The vectors are fixed texts, so they bind the check to the format and not to a signer made beside it;
//! they hold at one moment, hence the clock that stands still. Elsewhere the date is the real one, because
//! the window is judged by the wall clock and not by the time that tests advance.

use chrono::TimeDelta;
use overseas_simulator::{Clock, SystemClock};

use crate::client::{Answer, PROPERTY, Wire, config, read, rfc1123, sign};

const USAGE: &str = "/usage/cdn/v1.0/12345/BBBN56789/cdn.example.com";
const XML_BODY: &str = "<paths><path>/images/*.jpg</path></paths>";
const JSON_BODY: &str = "{\"paths\":[\"/images/*.jpg\"]}";

/// Verb, path, Content-Type, Content-MD5, body, signature.
type Vector = [&'static str; 6];
const V1: Vector = ["GET", "/key/v1.0", "text/xml", "", "", "fuVlvLnqeb/83KEmjb5t1J5qzds="];
const V2: Vector = ["GET", "/accessGroups/v1.0/", "text/json", "", "", "n99LqIPtHBX8ECNzEHfa2/3srKk="];
const V3: Vector = ["GET", "/services/cdn/v1.0/12345", "text/xml", "", "", "meYpFymzbwclf1Ih4u4KGKkDHlI="];
const V4: Vector = ["GET", USAGE, "text/xml", "", "", "hA+6Schtz2ASM02QA8UEN31pOQg="];
const V5: Vector = ["POST", PROPERTY, "text/xml", "", XML_BODY, "jmD8VB/9ZQKKFHL/qoKGTQ6wOAs="];
const V6: Vector = ["POST", PROPERTY, "text/xml", XML_MD5, XML_BODY, "qfhYSuWCWzwPBrmysQ40xNVWa6o="];
const V7: Vector = ["POST", PROPERTY, "text/xml", XML_MD5_BASE64, XML_BODY, "TvjW1FgENJCJDAue9KCWn3FL+mk="];
const V8: Vector = ["POST", PROPERTY, "application/json", JSON_MD5, JSON_BODY, "8jYBYKzccJKmrAuC2jZP6RZ0mvs="];
const XML_MD5: &str = "186a261f88e1cd1b74abedfa18026cb0";
const XML_MD5_BASE64: &str = "GGomH4jhzRt0q+36GAJssA==";
const JSON_MD5: &str = "9effcaf698eb5885c07469f04b944015";

async fn send(wire: &Wire, vector: Vector) -> Answer {
    let [verb, path, content_type, md5, body, signature] = vector;
    let method = reqwest::Method::from_bytes(verb.as_bytes()).unwrap();
    let url =
        format!("{}{path}?unsigned=1&dateMonth=201607&serviceType=c&dataInterval=daily", wire.simulator.vendor_url());
    let mut request = wire
        .http
        .request(method, url)
        .header("Date", "Thu, 04 Aug 2016 08:00:00 GMT")
        .header("Content-Type", content_type)
        .header("Accept", "text/xml")
        .header("Authorization", format!("MPA 279000001:{signature}"))
        .body(body);
    if !md5.is_empty() {
        request = request.header("Content-MD5", md5);
    }
    read(request).await.unwrap()
}

#[tokio::test]
async fn the_published_vectors_are_accepted() {
    let wire = Wire::at(config(), "2016-08-04T08:00:00Z").await;
    for vector in [V1, V2, V3, V4, V5, V6, V7, V8] {
        let answer = send(&wire, vector).await;
        assert_eq!(answer.status, 200, "{vector:?}: {}", answer.body);
        let mut wrong = vector;
        let signature = format!("A{}", &vector[5][1..]);
        wrong[5] = signature.leak();
        assert_eq!(send(&wire, wrong).await.status, 403);
    }
}

#[tokio::test]
async fn a_trailing_slash_and_percent_encoding_are_signed_as_they_are_sent() {
    let wire = Wire::start().await;
    for path in [
        "/key/v1.0/",
        "/services/cdn/v1.0/12345/",
        "/services/cdn/v1.0/12345/BBBN56789/*.img.example.com",
        "/services/cdn/v1.0/12345/BBBN56789/%2A.img.example.com/",
    ] {
        assert_eq!(wire.get(path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn a_wrong_key_a_wrong_secret_and_missing_headers_are_refused_in_xml() {
    let mut wire = Wire::start().await;
    let url = format!("{}/key/v1.0", wire.simulator.vendor_url());
    let naked = read(wire.http.get(&url).header("Accept", "text/xml")).await.unwrap();
    let signature = sign(wire.secret, "\n/key/v1.0\ntext/xml\nGET\n");
    let undated = wire
        .http
        .get(&url)
        .header("Accept", "text/xml")
        .header("Content-Type", "text/xml")
        .header("Authorization", format!("MPA 279000001:{signature}"));
    let undated = read(undated).await.unwrap();
    wire.key = "1";
    let unknown = wire.get("/key/v1.0").await;
    (wire.key, wire.secret) = ("279000001", "SECONDsecret01234567");
    let wrong = wire.get("/key/v1.0").await;
    for (answer, reason) in [(naked, "Authorization"), (undated, "Date"), (unknown, "key"), (wrong, "signature")] {
        assert_eq!(answer.status, 403, "{reason}");
        assert!(answer.content_type.starts_with("text/xml"), "{reason}");
        assert!(answer.body.starts_with("<error><message>"), "{}", answer.body);
        assert!(answer.body.contains(reason), "{}", answer.body);
    }
}

#[tokio::test]
async fn a_date_more_than_15_minutes_away_is_refused_and_advancing_does_not_move_the_window() {
    let wire = Wire::start().await;
    let dated = async |minutes: i64| {
        let date = rfc1123(SystemClock.now() + TimeDelta::minutes(minutes));
        let signature = sign(wire.secret, &format!("{date}\n/key/v1.0\ntext/xml\nGET\n"));
        let request = wire
            .http
            .get(format!("{}/key/v1.0", wire.simulator.vendor_url()))
            .header("Date", date)
            .header("Content-Type", "text/xml")
            .header("Accept", "text/xml")
            .header("Authorization", format!("MPA {}:{signature}", wire.key));
        read(request).await.unwrap().status
    };
    for (minutes, status) in [(0, 200), (14, 200), (-14, 200), (16, 403), (-16, 403)] {
        assert_eq!(dated(minutes).await, status, "{minutes}");
    }
    wire.control().advance(86_400);
    assert_eq!(dated(0).await, 200);
    assert_eq!(dated(24 * 60).await, 403);
}

#[tokio::test]
async fn a_key_sees_its_own_group_and_those_below_only() {
    let first = Wire::start().await;
    let second = Wire::start().await.with_second_key();
    for (path, of_first, of_second) in [
        ("/services/cdn/v1.0/12345", 200, 403),
        ("/services/cdn/v1.0/12346", 200, 403),
        ("/services/cdn/v1.0/12346/BBKN17110/a.example.com", 200, 403),
        ("/services/cdn/v1.0/22001", 403, 200),
        ("/services/cdn/v1.0/22001/BBCN22010/cdn.example.net", 403, 200),
        ("/services/cdn/v1.0/99999", 403, 403),
        ("/services/cdn/v1.0/nonsense", 403, 403),
        ("/services/cdn/v1.0/12345/NOTHING", 404, 403),
        ("/services/cdn/v1.0/12345/BBBN56789/a.example.com", 404, 403),
        ("/invalidations/v1.0/22001", 403, 200),
        ("/usage/cdn/v1.0/12346?dateMonth=201607&serviceType=c&dataInterval=monthly", 200, 403),
        ("/usage/cdn/v1.0/22001?dateMonth=201607&serviceType=c&dataInterval=monthly", 403, 200),
        ("/usage/cdn/v1.0/12345/NOTHING?nonsense", 404, 403),
    ] {
        assert_eq!(first.get(path).await.status, of_first, "{path}");
        assert_eq!(second.get(path).await.status, of_second, "{path}");
    }
    let path = "/invalidations/v1.0/12345/BBBN56789/cdn.example.com";
    assert_eq!(second.post(path, &["/a"]).await.status, 403);
    assert_eq!(second.control().summary().paths_invalidated, 0);
}

#[tokio::test]
async fn a_key_below_the_top_does_not_see_above() {
    let mut config = config();
    config.keys[0].access_group = 12346;
    let wire = Wire::with(config).await;
    assert_eq!(wire.get("/services/cdn/v1.0/12346").await.status, 200);
    assert_eq!(wire.get("/services/cdn/v1.0/12345").await.status, 403);
}

#[tokio::test]
async fn an_accept_header_of_another_value_gets_406() {
    let mut wire = Wire::start().await;
    let status = async |wire: &Wire, path: &str| wire.get(path).await.status;
    let (key, groups) = ("/key/v1.0", "/accessGroups/v1.0");
    for (accept, of_key, of_groups) in [
        ("text/xml", 200, 200),
        ("text/json", 406, 200),
        ("application/json", 406, 200),
        ("*/*", 406, 406),
        ("application/xml", 406, 406),
        ("text/html", 406, 406),
    ] {
        wire.accept = accept;
        assert_eq!(status(&wire, key).await, of_key, "{accept}");
        assert_eq!(status(&wire, groups).await, of_groups, "{accept}");
    }
}
