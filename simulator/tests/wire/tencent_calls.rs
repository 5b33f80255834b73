//! Who may call Tencent Cloud CDN and EdgeOne, and in which form; and what the record says of a call.
//!
//! Refusals are answers with status 200 here. The clock stands still, so that the window of signatures can be tried to
//! the second. What the actions do is in `tencent_tasks`, `tencent_data` and `edgeone`.

use serde_json::{Value, json};

use crate::tencent_client::{Cloud, Sent};

fn code(response: &Value) -> &str {
    response["Error"]["Code"].as_str().unwrap_or("")
}

#[tokio::test]
async fn a_right_request_is_answered_with_an_id_and_a_date() {
    let cloud = Cloud::cdn().await;
    let response = cloud.ok("DescribePurgeQuota", json!({})).await;
    let again = cloud.ok("DescribePurgeQuota", json!({})).await;
    assert_eq!(response["RequestId"].as_str().unwrap().len(), 36);
    assert_ne!(response["RequestId"], again["RequestId"]);
    let answer = cloud.prepare(&cloud.request("DescribePurgeQuota", &json!({}))).send().await.unwrap();
    assert!(answer.headers().contains_key("date"));
}

#[tokio::test]
async fn everything_about_the_signature_has_to_be_right() {
    let cloud = Cloud::cdn().await;
    let right = cloud.request("DescribePurgeQuota", &json!({}));
    let (failed, expired) = ("AuthFailure.SignatureFailure", "AuthFailure.SignatureExpire");
    for (sent, expected) in [
        (right.clone(), ""),
        (Sent { content_type: "application/json", ..right.clone() }, ""),
        (Sent { id: "AKIDnobody", ..right.clone() }, "AuthFailure.SecretIdNotFound"),
        (Sent { id: "AKIDEXAMPLEteo0123456789", ..right.clone() }, "AuthFailure.SecretIdNotFound"),
        (Sent { key: "EXAMPLEteoKey0123456789", ..right.clone() }, failed),
        (Sent { service: "teo", ..right.clone() }, failed),
        (Sent { content_type_sent: Some("application/json;charset=utf-8"), ..right.clone() }, failed),
        (Sent { date: Some("2023-11-16"), ..right.clone() }, failed),
        (Sent { ahead: 300, ..right.clone() }, ""),
        (Sent { ahead: -300, ..right.clone() }, ""),
        (Sent { ahead: 301, ..right.clone() }, expired),
        (Sent { ahead: -301, ..right.clone() }, expired),
    ] {
        assert_eq!(code(&cloud.response(&sent).await), expected);
    }
}

#[tokio::test]
async fn the_window_is_the_real_clocks_and_not_the_simulated_one() {
    let cloud = Cloud::cdn().await;
    cloud.advance(86_400);
    let right = cloud.request("DescribePurgeQuota", &json!({}));
    assert_eq!(code(&cloud.response(&right).await), "");
    let ahead = Sent { ahead: 86_400, ..right };
    assert_eq!(code(&cloud.response(&ahead).await), "AuthFailure.SignatureExpire");
}

#[tokio::test]
async fn a_get_with_a_query_is_the_same_as_a_post() {
    let cloud = Cloud::cdn().await;
    let right = cloud.request("PurgeUrlsCache", &json!({}));
    let form = Sent { content_type: "application/x-www-form-urlencoded", ..right };
    let query =
        "Urls.0=https%3A%2F%2Fshop.example.com%2Fa%3Fb%3Dc&Urls.1=https%3A%2F%2Fcn.example.com%2F&UrlEncode=True";
    let response = cloud.response(&Sent { query: Some(query), ..form.clone() }).await;
    let task = response["TaskId"].as_str().unwrap().to_owned();
    let rows = cloud.ok("DescribePurgeTasks", json!({ "TaskId": task })).await;
    assert_eq!(rows["PurgeLogs"][0]["Url"], "https://shop.example.com/a?b=c");
    assert_eq!(rows["TotalCount"], 2);
    for (query, expected) in [
        ("Urls.0=https%3A%2F%2Fshop.example.com%2F&Colour=red", "UnknownParameter"),
        ("Urls.1=https%3A%2F%2Fshop.example.com%2F", "InvalidParameter"),
        ("Area=mainland", "MissingParameter"),
    ] {
        assert_eq!(code(&cloud.response(&Sent { query: Some(query), ..form.clone() }).await), expected, "{query}");
    }
    let entry = &cloud.wire.control().requests(0).requests[0];
    assert_eq!(&*entry.paths, ["https://shop.example.com/a?b=c", "https://cn.example.com/"]);
}

#[tokio::test]
async fn what_is_not_documented_is_refused() {
    let cloud = Cloud::cdn().await;
    for (action, body, expected) in [
        ("DescribeNothing", json!({}), "InvalidAction"),
        ("DescribeZones", json!({}), "InvalidAction"),
        ("DescribePurgeQuota", json!({ "Area": "mainland" }), "UnknownParameter"),
        ("PurgePathCache", json!({ "Paths": ["https://shop.example.com/"] }), "MissingParameter"),
        ("PurgeUrlsCache", json!({ "Urls": "https://shop.example.com/" }), "InvalidParameter"),
    ] {
        assert_eq!(cloud.code(action, body).await, expected, "{action}");
    }
    let right = cloud.request("DescribePurgeQuota", &json!({}));
    for (sent, expected) in [
        (Sent { version: "2020-01-01", ..right.clone() }, "NoSuchVersion"),
        (Sent { body: "{".to_owned(), ..right.clone() }, "InvalidParameter"),
        (Sent { body: "[]".to_owned(), ..right.clone() }, "InvalidParameter"),
        (Sent { body: String::new(), ..right.clone() }, ""),
        (Sent { content_type: "text/plain", ..right.clone() }, "InvalidParameter"),
    ] {
        assert_eq!(code(&cloud.response(&sent).await), expected);
    }
    let bare = cloud.wire.http.post(format!("{}/", cloud.wire.simulator.vendor_url()));
    assert_eq!(code(&crate::client::read(bare).await.unwrap().json()["Response"]), "MissingParameter");
    let unsigned = cloud.prepare(&right).build().unwrap();
    let mut headers = unsigned.headers().clone();
    headers.remove("authorization");
    let unsigned = cloud.wire.http.post(unsigned.url().clone()).headers(headers).body("{}");
    assert_eq!(code(&crate::client::read(unsigned).await.unwrap().json()["Response"]), "MissingParameter");
}

#[tokio::test]
async fn a_service_that_is_not_configured_is_not_played() {
    let cloud = Cloud::cdn_with(|config| config.tencent = None).await;
    assert_eq!(cloud.code("DescribeDomains", json!({})).await, "NoSuchProduct");
    let cloud = Cloud::teo_with(|config| config.tencent = None).await;
    cloud.ok("DescribeZones", json!({})).await;
}

#[tokio::test]
async fn the_record_says_who_asked_for_what() {
    let cloud = Cloud::cdn().await;
    let urls = ["https://shop.example.com/a", "https://cn.example.com/b"];
    cloud.ok("PurgeUrlsCache", json!({ "Urls": urls })).await;
    cloud.call("PurgeUrlsCache", json!({ "Urls": ["https://foreign.example.net/"] })).await;
    let (_, recorded) = cloud.wire.call("GET", "requests", "").await;
    let mut first = recorded["requests"][0].clone();
    first.as_object_mut().unwrap().remove("body_bytes");
    assert_eq!(
        first,
        json!({
            "n": 0, "time_ms": 1_700_020_800_000_i64, "method": "POST", "path": "/", "query": "",
            "operation": "tencentPurgeUrlsCache", "property": "shop.example.com", "key_id": "AKIDEXAMPLEcdn0123456789",
            "status": 200, "paths": urls, "fault": null, "registered": true, "concurrent": 1, "body": { "Urls": urls },
        })
    );
    let second = &recorded["requests"][1];
    assert_eq!((&second["registered"], &second["status"]), (&json!(false), &json!(200)));
    assert_eq!(second["error_code"], "ResourceNotFound.CdnHostNotExists");
    let summary = cloud.wire.control().summary();
    assert_eq!((summary.requests, summary.paths_invalidated), (2, 2));
}
