//! EdgeOne: zones, purges and prefetches, quotas, statistics and logs.
//!
//! The clock stands still at 04:00 in UTC and is moved on by `advance`. The demo data have the zones `example.org`
//! (`www`, `img`, and `old`, which is offline) and `example.com` (`edge`). Statistics are held against the exported
//! functions.

use std::io::Read;

use flate2::read::MultiGzDecoder;
use overseas_simulator::{EdgeOneQuotas, TaskQuota, edgeone_country_split, edgeone_log_lines, edgeone_usage};
use serde_json::{Value, json};

use crate::tencent_client::{Cloud, DAY, HOUR, NOON_SECONDS, column, iso_range};

const ZONE: &str = "zone-2examplesite01";
const OTHER: &str = "zone-2examplesite02";
/// 00:00 in UTC.
const MIDNIGHT: i64 = NOON_SECONDS - 4 * HOUR;

async fn rows(cloud: &Cloud, job: &Value) -> Value {
    let filters = json!([{ "Name": "job-id", "Values": [job] }]);
    cloud.ok("DescribePurgeTasks", json!({ "ZoneId": ZONE, "Filters": filters })).await
}

#[tokio::test]
async fn zones_and_domains_are_listed_in_pages_and_filtered() {
    let cloud = Cloud::teo().await;
    let zones = cloud.ok("DescribeZones", json!({})).await;
    assert_eq!((column(&zones, "Zones", "ZoneId"), &zones["TotalCount"]), (vec![json!(ZONE), json!(OTHER)], &json!(2)));
    for (filter, expected) in [
        (json!({ "Name": "zone-name", "Values": ["example.com"] }), vec![json!(OTHER)]),
        (json!({ "Name": "zone-name", "Values": ["example"], "Fuzzy": true }), vec![json!(ZONE), json!(OTHER)]),
        (json!({ "Name": "zone-id", "Values": [ZONE] }), vec![json!(ZONE)]),
    ] {
        let found = cloud.ok("DescribeZones", json!({ "Filters": [filter] })).await;
        assert_eq!(column(&found, "Zones", "ZoneId"), expected);
    }
    assert_eq!(cloud.code("DescribeZones", json!({ "Limit": 101 })).await, "InvalidParameter");
    let page = cloud.ok("DescribeAccelerationDomains", json!({ "ZoneId": ZONE, "Offset": 1, "Limit": 1 })).await;
    assert_eq!(
        (&page["TotalCount"], &page["AccelerationDomains"][0]["DomainName"]),
        (&json!(3), &json!("old.example.org"))
    );
    assert_eq!(page["AccelerationDomains"][0]["DomainStatus"], "offline");
    let none = json!({ "ZoneId": "zone-none" });
    assert_eq!(cloud.code("DescribeAccelerationDomains", none).await, "InvalidParameter.ZoneNotFound");
    assert_eq!(
        cloud.code("DescribeAccelerationDomains", json!({ "ZoneId": ZONE, "Limit": 201 })).await,
        "InvalidParameter"
    );
}

#[tokio::test]
async fn a_purge_of_each_type_is_listed_and_ends() {
    let cloud = Cloud::teo().await;
    let mut jobs = Vec::new();
    for (kind, targets, target) in [
        ("purge_url", json!(["https://www.example.org/a"]), "https://www.example.org/a"),
        ("purge_prefix", json!(["https://img.example.org/x/"]), "https://img.example.org/x/"),
        ("purge_host", json!(["img.example.org"]), "img.example.org"),
        ("purge_all", json!(null), "example.org"),
    ] {
        let job = cloud.ok("CreatePurgeTask", json!({ "ZoneId": ZONE, "Type": kind, "Targets": targets })).await;
        assert_eq!(job["FailedList"], json!([]));
        let row = rows(&cloud, &job["JobId"]).await["Tasks"][0].clone();
        assert_eq!(
            (&row["Target"], &row["Type"], &row["Status"]),
            (&json!(target), &json!(kind), &json!("processing"))
        );
        assert_eq!((&row["CreateTime"], &row["UpdateTime"]), (&json!("2023-11-15T04:00:00Z"), &json!("")));
        jobs.push(job["JobId"].clone());
    }
    cloud.advance(10);
    for job in &jobs {
        let row = rows(&cloud, job).await["Tasks"][0].clone();
        assert_eq!((&row["Status"], &row["UpdateTime"]), (&json!("success"), &json!("2023-11-15T04:00:10Z")));
    }
    let all = iso_range(NOON_SECONDS, NOON_SECONDS, json!({ "ZoneId": ZONE, "Limit": 2 }));
    let page = cloud.ok("DescribePurgeTasks", all).await;
    assert_eq!(
        (&page["TotalCount"], column(&page, "Tasks", "Type")),
        (&json!(4), vec![json!("purge_all"), json!("purge_host")])
    );
}

#[tokio::test]
async fn a_call_may_be_taken_in_part() {
    let cloud = Cloud::teo().await;
    cloud.wire.control().refuse_urls(vec!["/refused".to_owned()]).unwrap();
    let targets = json!([
        "https://www.example.org/a",
        "https://www.example.org/refused",
        "https://edge.example.com/a",
        "www.example.org/a",
        "https://old.example.org/a",
    ]);
    let purge = cloud.ok("CreatePurgeTask", json!({ "ZoneId": ZONE, "Type": "purge_url", "Targets": targets })).await;
    let failed = |answer: &Value| {
        let lists = answer["FailedList"].as_array().unwrap();
        let mut targets: Vec<String> = lists
            .iter()
            .flat_map(|failed| failed["Targets"].as_array().unwrap())
            .map(|target| target.as_str().unwrap().to_owned())
            .collect();
        assert!(lists.iter().all(|failed| failed["Reason"].is_string()));
        targets.sort();
        targets
    };
    assert_eq!(failed(&purge), ["https://edge.example.com/a", "https://www.example.org/refused", "www.example.org/a"]);
    let listed = rows(&cloud, &purge["JobId"]).await;
    assert_eq!(column(&listed, "Tasks", "Target"), ["https://www.example.org/a", "https://old.example.org/a"]);
    let prefetch = cloud.ok("CreatePrefetchTask", json!({ "ZoneId": ZONE, "Targets": targets })).await;
    assert_eq!(failed(&prefetch).len(), 4);
    let quota = cloud.ok("DescribeContentQuota", json!({ "ZoneId": ZONE })).await;
    assert_eq!(
        (&quota["PurgeQuota"][0]["DailyAvailable"], &quota["PrefetchQuota"][0]["DailyAvailable"]),
        (&json!(9998), &json!(1999))
    );
    let targets = ["https://www.example.org/b", "https://edge.example.com/b"];
    let wide = json!({ "ZoneId": "*", "Type": "purge_url", "Targets": targets });
    let wide = cloud.ok("CreatePurgeTask", wide).await;
    assert_eq!(wide["FailedList"], json!([]));
    assert_eq!(column(&rows(&cloud, &wide["JobId"]).await, "Tasks", "Target"), ["https://www.example.org/b"]);
}

#[tokio::test]
async fn rows_can_fail_and_be_held() {
    let cloud = Cloud::teo().await;
    let targets = json!(["https://www.example.org/good", "https://www.example.org/bad"]);
    let job = cloud.ok("CreatePrefetchTask", json!({ "ZoneId": ZONE, "Targets": targets })).await["JobId"].clone();
    cloud.wire.control().fail_urls(vec!["/bad".to_owned()]).unwrap();
    let listed = async || {
        let filters = json!([{ "Name": "job-id", "Values": [job] }]);
        cloud.ok("DescribePrefetchTasks", json!({ "ZoneId": ZONE, "Filters": filters })).await
    };
    assert_eq!(column(&listed().await, "Tasks", "Status"), ["processing", "processing"]);
    cloud.advance(10);
    let rows = listed().await;
    assert_eq!(column(&rows, "Tasks", "Status"), ["success", "failed"]);
    assert_eq!(column(&rows, "Tasks", "FailType"), [Value::Null, json!("originPullFailed")]);
    assert!(rows["Tasks"][1]["FailMessage"].is_string());
    cloud.wire.control().task_state(Some("canceled".to_owned()));
    assert_eq!(column(&listed().await, "Tasks", "Status"), ["canceled", "canceled"]);
}

#[tokio::test]
async fn quotas_are_a_zones_and_refuse_whole() {
    let quotas = EdgeOneQuotas { purge_url: TaskQuota { batch: 2, daily: 3 }, ..EdgeOneQuotas::default() };
    let cloud = Cloud::teo_with(|config| config.edgeone.as_mut().unwrap().quotas = quotas).await;
    let purge = |zone: &str, host: &str, count: usize| {
        let targets: Vec<String> = (0..count).map(|number| format!("https://{host}/{number}")).collect();
        json!({ "ZoneId": zone, "Type": "purge_url", "Targets": targets })
    };
    assert_eq!(cloud.code("CreatePurgeTask", purge(ZONE, "www.example.org", 3)).await, "LimitExceeded.BatchQuota");
    cloud.ok("CreatePurgeTask", purge(ZONE, "www.example.org", 2)).await;
    assert_eq!(cloud.code("CreatePurgeTask", purge(ZONE, "www.example.org", 2)).await, "LimitExceeded.DailyQuota");
    cloud.ok("CreatePurgeTask", purge(OTHER, "edge.example.com", 2)).await;
    cloud.ok("CreatePurgeTask", purge(ZONE, "www.example.org", 1)).await;
    cloud.advance(12 * 3600);
    cloud.ok("CreatePurgeTask", purge(ZONE, "www.example.org", 2)).await;
}

#[tokio::test]
async fn lists_need_a_zone_and_a_job_or_times_and_take_filters() {
    let cloud = Cloud::teo().await;
    let targets = json!(["https://www.example.org/a/1", "https://img.example.org/a/2"]);
    cloud.ok("CreatePurgeTask", json!({ "ZoneId": ZONE, "Type": "purge_url", "Targets": targets })).await;
    let filter = |name: &str, values: Value, fuzzy: bool| json!([{ "Name": name, "Values": values, "Fuzzy": fuzzy }]);
    let list =
        |filters: Value| iso_range(NOON_SECONDS - 60, NOON_SECONDS, json!({ "ZoneId": ZONE, "Filters": filters }));
    for (filters, expected) in [
        (json!([]), 2),
        (filter("domains", json!(["img.example.org"]), false), 1),
        (filter("target", json!(["/a/"]), true), 2),
        (filter("target", json!(["https://www.example.org/a/1"]), false), 1),
        (filter("statuses", json!(["success", "failed"]), false), 0),
        (filter("type", json!(["purge_host"]), false), 0),
    ] {
        assert_eq!(cloud.ok("DescribePurgeTasks", list(filters.clone())).await["TotalCount"], expected, "{filters}");
    }
    assert_eq!(cloud.ok("DescribePrefetchTasks", list(json!([]))).await["TotalCount"], 0);
    for (body, expected) in [
        (json!({ "ZoneId": ZONE }), "MissingParameter"),
        (iso_range(0, 1, json!({})), "MissingParameter"),
        (
            json!({ "ZoneId": ZONE, "StartTime": "2023-11-15 12:00:00", "EndTime": "2023-11-15 12:00:00" }),
            "InvalidParameter",
        ),
        (list(filter("job-id", json!(["a", "b"]), false)), "InvalidFilter"),
        (list(filter("colour", json!(["red"]), false)), "InvalidFilter"),
        (iso_range(0, 1, json!({ "ZoneId": ZONE, "Limit": 1001 })), "InvalidParameter"),
        (iso_range(0, 1, json!({ "ZoneId": "*" })), "InvalidParameter.ZoneNotFound"),
    ] {
        assert_eq!(cloud.code("DescribePurgeTasks", body.clone()).await, expected, "{body}");
    }
}

#[tokio::test]
async fn statistics_say_what_the_traffic_is() {
    let cloud = Cloud::teo().await;
    let www = json!([{ "Key": "domain", "Operator": "equals", "Value": ["www.example.org"] }]);
    let names = ["l7Flow_outFlux", "l7Flow_outBandwidth", "l7Flow_request"];
    let body = |more: Value| {
        let mut body = iso_range(
            MIDNIGHT + 10,
            MIDNIGHT + HOUR,
            json!({ "MetricNames": names, "Interval": "5min", "ZoneIds": [ZONE] }),
        );
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let answer = cloud.ok("DescribeTimingL7AnalysisData", body(json!({ "Filters": www }))).await;
    let slots: Vec<i64> = (MIDNIGHT..=MIDNIGHT + HOUR).step_by(300).collect();
    let metrics = answer["Data"][0]["TypeValue"].as_array().unwrap();
    let measured: [fn((u64, u64)) -> u64; 3] = [|usage| usage.0, |usage| usage.0 * 8 / 300, |usage| usage.1];
    for (metric, of) in metrics.iter().zip(measured) {
        let expected: Vec<Value> = slots
            .iter()
            .map(|slot| json!({ "Timestamp": slot, "Value": of(edgeone_usage("www.example.org", *slot)) }))
            .collect();
        assert_eq!(metric["Detail"], json!(expected), "{}", metric["MetricName"]);
    }
    let sum = |answer: &Value| answer["Data"][0]["TypeValue"][0]["Sum"].as_u64().unwrap();
    let zone = sum(&cloud.ok("DescribeTimingL7AnalysisData", body(json!({}))).await);
    let total = |domain: &str| slots.iter().map(|slot| edgeone_usage(domain, *slot).0).sum::<u64>();
    assert_eq!(zone, total("www.example.org") + total("img.example.org"));
    let all = sum(&cloud.ok("DescribeTimingL7AnalysisData", body(json!({ "ZoneIds": ["*"] }))).await);
    assert_eq!(all, zone + total("edge.example.com"));
    let top = |metric: &str| {
        iso_range(MIDNIGHT, MIDNIGHT + HOUR, json!({ "MetricName": metric, "ZoneIds": [ZONE], "Filters": www }))
    };
    let (bytes, requests) = slots
        .iter()
        .map(|slot| edgeone_usage("www.example.org", *slot))
        .fold((0, 0), |sum, slot| (sum.0 + slot.0, sum.1 + slot.1));
    let shares = edgeone_country_split("www.example.org", MIDNIGHT, bytes, requests);
    let ranked =
        cloud.ok("DescribeTopL7AnalysisData", top("l7Flow_outFlux_country")).await["Data"][0]["DetailData"].clone();
    for share in shares {
        let row = ranked.as_array().unwrap().iter().find(|row| row["Key"] == share.code).unwrap();
        assert_eq!(row["Value"], share.bytes, "{}", share.code);
    }
    let values: Vec<u64> = ranked.as_array().unwrap().iter().map(|row| row["Value"].as_u64().unwrap()).collect();
    assert!(values.is_sorted_by(|a, b| a >= b) && values.iter().sum::<u64>() == bytes);
}

#[tokio::test]
async fn statistics_are_late_and_have_limits() {
    let cloud = Cloud::teo().await;
    let recent = async || {
        let more = json!({ "MetricNames": ["l7Flow_outFlux"], "Interval": "5min", "ZoneIds": [ZONE] });
        let answer =
            cloud.ok("DescribeTimingL7AnalysisData", iso_range(NOON_SECONDS - 900, NOON_SECONDS - 300, more)).await;
        column(&answer["Data"][0]["TypeValue"][0], "Detail", "Value")
            .iter()
            .map(|value| value.as_u64() > Some(0))
            .collect::<Vec<_>>()
    };
    assert_eq!(recent().await, [true, false, false]);
    cloud.wire.control().edgeone_delay_minutes(0).unwrap();
    assert_eq!(recent().await, [true, true, true]);
    for (days, more, expected) in [
        (31, json!({}), ""),
        (32, json!({}), "LimitExceeded.QueryTimeLimitExceeded"),
        (1, json!({ "MetricNames": ["l7Flow_none"] }), "InvalidParameter.InvalidMetric"),
        (1, json!({ "Interval": "year" }), "InvalidParameter.InvalidInterval"),
        (1, json!({ "ZoneIds": null }), "MissingParameter"),
        (1, json!({ "ZoneIds": ["zone-none"] }), "InvalidParameter.ZoneNotFound"),
        (1, json!({ "Filters": [{ "Key": "country", "Operator": "equals", "Value": ["JP"] }] }), "InvalidParameter"),
        (-1, json!({}), "InvalidParameter"),
    ] {
        let mut body = iso_range(
            NOON_SECONDS - days * DAY,
            NOON_SECONDS,
            json!({ "MetricNames": ["l7Flow_outFlux"], "ZoneIds": [ZONE] }),
        );
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        assert_eq!(cloud.code("DescribeTimingL7AnalysisData", body).await, expected, "{days} {more}");
    }
}

#[tokio::test]
async fn logs_are_json_lines_in_hourly_packages() {
    let cloud = Cloud::teo().await;
    let body = iso_range(NOON_SECONDS - 2 * HOUR, NOON_SECONDS, json!({ "ZoneIds": ["*"], "Limit": 300 }));
    let all = cloud.ok("DownloadL7Logs", body).await;
    // Three domains with traffic, two areas, two whole hours.
    assert_eq!(all["TotalCount"], 12);
    let body =
        iso_range(NOON_SECONDS - 2 * HOUR, NOON_SECONDS, json!({ "ZoneIds": [ZONE], "Domains": ["www.example.org"] }));
    let logs = cloud.ok("DownloadL7Logs", body).await;
    assert_eq!(column(&logs, "Data", "Area"), ["mainland", "overseas", "mainland", "overseas"]);
    let log = &logs["Data"][1];
    assert_eq!(
        (&log["LogStartTime"], &log["LogEndTime"]),
        (&json!("2023-11-15T10:00:00+08:00"), &json!("2023-11-15T11:00:00+08:00"))
    );
    let url = log["Url"].as_str().unwrap();
    let mut text = String::new();
    let bytes = cloud.wire.http.get(url).send().await.unwrap().bytes().await.unwrap();
    MultiGzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
    assert_eq!(log["Size"], text.len());
    assert_eq!(
        text.lines().collect::<Vec<_>>(),
        edgeone_log_lines("www.example.org", "overseas", NOON_SECONDS - 2 * HOUR)
    );
    assert_eq!(cloud.wire.http.get(url.replace("st=", "st=x")).send().await.unwrap().status(), 403);
    let body = iso_range(0, 1, json!({ "ZoneIds": [ZONE], "Limit": 301 }));
    assert_eq!(cloud.code("DownloadL7Logs", body).await, "InvalidParameter");
}
