//! Faults of Tencent Cloud CDN and EdgeOne, as a client meets them, and the HTTP control of their switches.
//!
//! Rules are set over HTTP, so their JSON is tested along. The kinds that Level 3 has too are tried for what is
//! different here: the form of the broken answer, and which task was registered all the same.

use serde_json::{Value, json};

use crate::client::{Wire, read};
use crate::tencent_client::{Cloud, NOON_SECONDS, naive_range};

fn purge(host: &str) -> Value {
    json!({ "Urls": [format!("https://{host}/a")] })
}

async fn tasks(cloud: &Cloud) -> i64 {
    let body = naive_range(NOON_SECONDS - 60, NOON_SECONDS + 60, json!({}));
    cloud.ok("DescribePurgeTasks", body).await["TotalCount"].as_i64().unwrap()
}

#[tokio::test]
async fn an_error_of_the_vendor_comes_with_status_200() {
    let cloud = Cloud::cdn().await;
    let rule = r#"[{"operation":"tencentPurgeUrlsCache","kind":"error","code":"RequestLimitExceeded","times":1}]"#;
    cloud.wire.faults(rule).await;
    assert_eq!(cloud.code("PurgeUrlsCache", purge("shop.example.com")).await, "RequestLimitExceeded");
    assert_eq!(tasks(&cloud).await, 0);
    cloud.wire.faults(&rule.replace("\"times\"", "\"after_effect\":true,\"times\"")).await;
    assert_eq!(cloud.code("PurgeUrlsCache", purge("shop.example.com")).await, "RequestLimitExceeded");
    assert_eq!(tasks(&cloud).await, 1);
    let requests = cloud.wire.control().requests(0).requests;
    let told: Vec<_> =
        requests.iter().map(|entry| (entry.registered, entry.fault, entry.error_code.as_deref())).collect();
    assert_eq!(told[0], (false, Some("error"), Some("RequestLimitExceeded")));
    assert_eq!(told[2], (true, Some("error"), Some("RequestLimitExceeded")));
}

#[tokio::test]
async fn a_rule_for_a_domain_meets_requests_that_name_it() {
    let cloud = Cloud::cdn().await;
    cloud.wire.faults(r#"[{"property":"cn.example.com","kind":"error","code":"InternalError"}]"#).await;
    let range = |more| naive_range(NOON_SECONDS - 60, NOON_SECONDS, more);
    for (action, body, hit) in [
        ("PurgeUrlsCache", purge("cn.example.com"), true),
        ("PurgeUrlsCache", purge("shop.example.com"), false),
        ("PurgeUrlsCache", json!({ "Urls": ["https://shop.example.com/", "https://CN.example.com:443/"] }), true),
        ("DescribePurgeTasks", range(json!({ "Keyword": "https://cn.example.com/a" })), true),
        (
            "DescribeCdnData",
            range(json!({ "Metric": "flux", "Domains": ["shop.example.com", "cn.example.com"] })),
            true,
        ),
        ("DescribeCdnDomainLogs", range(json!({ "Domain": "cn.example.com" })), true),
        ("DescribeDomains", json!({ "Filters": [{ "Name": "domain", "Value": ["cn.example.com"] }] }), true),
        ("DescribeDomains", json!({}), false),
    ] {
        assert_eq!(cloud.code(action, body.clone()).await, if hit { "InternalError" } else { "" }, "{action} {body}");
    }
}

#[tokio::test]
async fn forget_and_empty_answer_without_rows() {
    let cloud = Cloud::cdn().await;
    cloud.ok("PurgeUrlsCache", purge("shop.example.com")).await;
    cloud.wire.faults(r#"[{"kind":"forget","times":1}]"#).await;
    cloud.ok("DescribeDomains", json!({})).await;
    assert_eq!(tasks(&cloud).await, 0);
    assert_eq!(tasks(&cloud).await, 1);
    cloud.wire.faults(r#"[{"kind":"empty","times":2}]"#).await;
    cloud.ok("PurgeUrlsCache", purge("shop.example.com")).await;
    let domains = cloud.ok("DescribeDomains", json!({})).await;
    assert_eq!((&domains["Domains"], &domains["TotalNumber"]), (&json!([]), &json!(0)));
    let data = cloud.ok("DescribeCdnData", naive_range(NOON_SECONDS, NOON_SECONDS, json!({ "Metric": "flux" }))).await;
    assert_eq!((&data["Data"], &data["Interval"]), (&json!([]), &json!("5min")));
    assert_eq!(tasks(&cloud).await, 2);
}

#[tokio::test]
async fn broken_answers_are_those_of_a_gateway_or_no_json() {
    let cloud = Cloud::teo().await;
    let send = async |rule: &str| {
        cloud.wire.faults(rule).await;
        read(cloud.prepare(&cloud.request("DescribeZones", &json!({})))).await
    };
    let forbidden = send(r#"[{"operation":"edgeOneDescribeZones","kind":"forbidden"}]"#).await.unwrap();
    assert_eq!((forbidden.status, forbidden.body.as_str()), (403, "Forbidden\n"));
    assert_eq!(send(r#"[{"kind":"status","status":502}]"#).await.unwrap().status, 502);
    let garbage = send(r#"[{"kind":"garbage"}]"#).await.unwrap();
    assert_eq!((garbage.status, garbage.content_type.as_str()), (200, "application/json"));
    assert!(serde_json::from_str::<Value>(&garbage.body).is_err());
    let huge = send(r#"[{"kind":"huge","bytes":3000000}]"#).await.unwrap();
    assert_eq!(huge.body.len(), 3_000_000);
    assert!(huge.body.starts_with("{\"Response\":{\"RequestId\":"));
    assert!(send(r#"[{"kind":"cut"}]"#).await.is_err());
    let slow = send(r#"[{"kind":"slow","delay_ms":50}]"#).await.unwrap();
    assert_eq!(slow.json()["Response"]["TotalCount"], 2);
}

#[tokio::test]
async fn a_submit_whose_answer_is_lost_has_happened_only_after_its_effect() {
    let cloud = Cloud::cdn().await;
    for (kind, after_effect, expected) in
        [("cut", false, 0), ("cut", true, 1), ("status", false, 1), ("status", true, 2), ("garbage", true, 3)]
    {
        let rule = format!(
            r#"[{{"operation":"tencentPurgeUrlsCache","kind":"{kind}","status":500,"after_effect":{after_effect},"times":1}}]"#
        );
        cloud.wire.faults(&rule).await;
        let answer = read(cloud.prepare(&cloud.request("PurgeUrlsCache", &purge("shop.example.com")))).await;
        assert!(answer.is_err() || answer.unwrap().body.parse::<Value>().is_err());
        assert_eq!(tasks(&cloud).await, expected, "{kind} {after_effect}");
    }
}

#[tokio::test]
async fn downloads_of_logs_have_faults_of_their_own() {
    let cloud = Cloud::cdn().await;
    let body = naive_range(NOON_SECONDS - 7200, NOON_SECONDS, json!({ "Domain": "cn.example.com" }));
    let logs = cloud.ok("DescribeCdnDomainLogs", body).await;
    let url = logs["DomainLogs"][0]["LogPath"].as_str().unwrap().to_owned();
    let status = async || read(cloud.wire.http.get(&url)).await.map(|answer| answer.status).ok();
    for (rule, expected) in [
        (r#"{"operation":"tencentLog","kind":"status","status":503,"property":"cn.example.com"}"#, Some(503)),
        (r#"{"operation":"tencentLog","kind":"forbidden","property":"shop.example.com"}"#, Some(200)),
        (r#"{"operation":"tencentLog","kind":"cut"}"#, None),
        (r#"{"operation":"edgeOneLog","kind":"forbidden"}"#, Some(200)),
    ] {
        cloud.wire.faults(&format!("[{rule}]")).await;
        // A compressed body is no text, so only the status is looked at.
        let found = if expected == Some(200) {
            Some(cloud.wire.http.get(&url).send().await.unwrap().status().as_u16())
        } else {
            status().await
        };
        assert_eq!(found, expected, "{rule}");
    }
}

#[tokio::test]
async fn rules_without_meaning_are_refused() {
    let wire = Wire::start().await;
    for rule in [
        r#"{"operation":"invalidate","kind":"error","code":"InternalError"}"#,
        r#"{"operation":"edge","kind":"empty"}"#,
        r#"{"operation":"tencentPurgeUrlsCache","kind":"empty"}"#,
        r#"{"operation":"tencentPurgeUrlsCache","kind":"error"}"#,
        r#"{"operation":"edgeOneDescribeZones","kind":"forget"}"#,
    ] {
        assert_eq!(wire.call("POST", "faults", &format!("[{rule}]")).await.0, 400, "{rule}");
    }
}

#[tokio::test]
async fn the_switches_are_set_over_http_too() {
    let wire = Wire::start().await;
    let change = json!({
        "refuse_urls": ["a"], "fail_urls": ["b"], "task_state": "odd",
        "tencent_delay_minutes": 1, "edgeone_delay_minutes": 2,
    });
    assert_eq!(wire.call("POST", "tencent", &change.to_string()).await, (200, change));
    let (_, state) = wire.call("POST", "tencent", r#"{"task_state":""}"#).await;
    assert_eq!((&state["task_state"], &state["refuse_urls"]), (&Value::Null, &json!(["a"])));
    for wrong in [r#"{"refuse_urls":[""]}"#, r#"{"tencent_delay_minutes":99999}"#, r#"{"colour":1}"#, ""] {
        assert_eq!(wire.call("POST", "tencent", wrong).await.0, 400, "{wrong}");
    }
    let (_, state) = wire.call("DELETE", "tencent", "").await;
    assert_eq!((&state["refuse_urls"], &state["tencent_delay_minutes"]), (&json!([]), &json!(15)));
    assert_eq!(wire.call("GET", "tencent", "").await.1, state);
    assert_eq!(wire.call("PUT", "tencent", "").await.0, 405);
    let (_, shown) = wire.call("GET", "config", "").await;
    assert_eq!(shown["tencent"]["secret_key"], "(hidden)");
    assert_eq!(shown["edgeone"]["secret_key"], "(hidden)");
}
