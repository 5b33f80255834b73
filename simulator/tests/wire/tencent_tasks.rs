//! Tencent Cloud CDN: domains, purges and prefetches, their quotas, and how they are listed.
//!
//! The clock stands still at noon in UTC+8 and is moved on by `advance`, so a test knows which rows are done. The demo
//! data have five domains: `shop` and `cdn` (global), `cn` (mainland), `sea` (overseas), `old.shop` (offline).

use overseas_simulator::{TaskQuota, TencentQuotas};
use serde_json::{Value, json};

use crate::tencent_client::{Cloud, NOON_SECONDS, column, naive_range};

fn shop(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("https://shop.example.com/{number}")).collect()
}

#[tokio::test]
async fn domains_are_listed_in_pages_and_filtered() {
    let cloud = Cloud::cdn().await;
    let all = cloud.ok("DescribeDomains", json!({})).await;
    assert_eq!(all["TotalNumber"], 5);
    assert_eq!(column(&all, "Domains", "Area"), ["global", "mainland", "overseas", "global", "global"]);
    assert_eq!(column(&all, "Domains", "Status"), ["online", "online", "online", "offline", "online"]);
    let page = cloud.ok("DescribeDomains", json!({ "Offset": 3, "Limit": 1 })).await;
    assert_eq!(
        (column(&page, "Domains", "Domain"), &page["TotalNumber"]),
        (vec!["old.shop.example.com".into()], &json!(5))
    );
    let filtered = async |filter: Value| {
        let found = cloud.ok("DescribeDomains", json!({ "Filters": [filter] })).await;
        column(&found, "Domains", "Domain")
    };
    let fuzzy = filtered(json!({ "Name": "domain", "Value": ["shop"], "Fuzzy": true })).await;
    assert_eq!(fuzzy, ["shop.example.com", "old.shop.example.com"]);
    assert_eq!(filtered(json!({ "Name": "domain", "Value": ["shop"] })).await, Vec::<Value>::new());
    assert_eq!(filtered(json!({ "Name": "status", "Value": ["offline"] })).await, ["old.shop.example.com"]);
    for body in [
        json!({ "Limit": 1001 }),
        json!({ "Offset": -1 }),
        json!({ "Filters": [{ "Name": "colour", "Value": ["red"] }] }),
        json!({ "Filters": [{ "Name": "domain", "Value": ["a", "b"], "Fuzzy": true }] }),
    ] {
        assert_eq!(cloud.code("DescribeDomains", body).await, "InvalidParameter");
    }
}

#[tokio::test]
async fn a_purge_has_a_row_for_each_url_and_is_done_after_its_time() {
    let cloud = Cloud::cdn().await;
    let urls = ["https://shop.example.com/a", "http://cn.example.com/b?c=d"];
    let task = cloud.ok("PurgeUrlsCache", json!({ "Urls": urls })).await["TaskId"].clone();
    assert!(task.as_str().unwrap().starts_with("1700020800-"));
    let listed = async || cloud.ok("DescribePurgeTasks", json!({ "TaskId": task })).await;
    cloud.advance(9);
    assert_eq!(column(&listed().await, "PurgeLogs", "Status"), ["process", "process"]);
    cloud.advance(1);
    let rows = listed().await;
    assert_eq!(rows["TotalCount"], 2);
    assert_eq!(
        rows["PurgeLogs"][1],
        json!({
            "TaskId": task, "Url": urls[1], "Status": "done", "PurgeType": "url", "FlushType": "delete",
            "CreateTime": "2023-11-15 12:00:00",
        })
    );
    let body = json!({ "Paths": ["https://sea.example.com/a/"], "FlushType": "flush" });
    let path = cloud.ok("PurgePathCache", body).await["TaskId"].clone();
    let row = &cloud.ok("DescribePurgeTasks", json!({ "TaskId": path })).await["PurgeLogs"][0];
    assert_eq!((&row["PurgeType"], &row["FlushType"]), (&json!("path"), &json!("flush")));
}

#[tokio::test]
async fn a_prefetch_has_a_percentage_and_ends_with_a_capital_letter() {
    let cloud = Cloud::cdn().await;
    let task = cloud.ok("PushUrlsCache", json!({ "Urls": shop(1) })).await["TaskId"].clone();
    let mut seen = Vec::new();
    for _ in 0..3 {
        let row = cloud.ok("DescribePushTasks", json!({ "TaskId": task })).await["PushLogs"][0].clone();
        assert_eq!(row["Area"], "mainland");
        seen.push((row["Status"].clone(), row["Percent"].clone(), row["UpdateTime"].clone()));
        cloud.advance(5);
    }
    let ended = json!("2023-11-15 12:00:10");
    let row = |status: &str, percent: i64, update: Value| (json!(status), json!(percent), update);
    assert_eq!(seen, [row("process", 0, Value::Null), row("process", 50, Value::Null), row("Done", 100, ended)]);
    let found = cloud.ok("DescribePushTasks", json!({ "TaskId": task, "Status": "done" })).await;
    assert_eq!(found["TotalCount"], 1);
}

#[tokio::test]
async fn lists_are_newest_first_filtered_and_never_longer_than_100() {
    let cloud = Cloud::cdn().await;
    cloud.ok("PurgeUrlsCache", json!({ "Urls": shop(150) })).await;
    cloud.advance(60);
    cloud.ok("PurgeUrlsCache", json!({ "Urls": ["https://cn.example.com/new"] })).await;
    cloud.ok("PurgePathCache", json!({ "Paths": ["https://cn.example.com/"], "FlushType": "delete" })).await;
    let list = async |more: Value| {
        let rows = cloud.ok("DescribePurgeTasks", naive_range(NOON_SECONDS, NOON_SECONDS + 60, more)).await;
        (rows["PurgeLogs"].as_array().unwrap().clone(), rows["TotalCount"].as_i64().unwrap())
    };
    let (rows, total) = list(json!({})).await;
    assert_eq!((rows.len(), total), (20, 152));
    assert_eq!((&rows[0]["PurgeType"], &rows[1]["Url"]), (&json!("path"), &json!("https://cn.example.com/new")));
    assert_eq!(list(json!({ "Limit": 1000 })).await.0.len(), 100);
    let (rest, _) = list(json!({ "Limit": 1000, "Offset": 100 })).await;
    assert_eq!((rest.len(), &rest[51]["Url"]), (52, &json!("https://shop.example.com/149")));
    for (more, expected) in [
        (json!({ "Keyword": "cn.example.com" }), 2),
        (json!({ "Keyword": "https://shop.example.com/7" }), 1),
        (json!({ "Keyword": "https://shop.example.com/" }), 0),
        (json!({ "Keyword": "example.com" }), 0),
        (json!({ "PurgeType": "path" }), 1),
        (json!({ "Status": "process" }), 2),
        (json!({ "Status": "done" }), 150),
        (json!({ "Area": "mainland" }), 2),
        (json!({ "Area": "global" }), 150),
    ] {
        assert_eq!(list(more.clone()).await.1, expected, "{more}");
    }
    let before = naive_range(NOON_SECONDS - 60, NOON_SECONDS - 1, json!({}));
    assert_eq!(cloud.ok("DescribePurgeTasks", before).await["TotalCount"], 0);
    for (body, expected) in [
        (json!({}), "MissingParameter"),
        (json!({ "StartTime": "2023-11-15 12:00:00" }), "MissingParameter"),
        (json!({ "StartTime": "2023-11-15T12:00:00Z", "EndTime": "2023-11-15 12:00:00" }), "InvalidParameter"),
        (naive_range(NOON_SECONDS, NOON_SECONDS - 1, json!({})), "InvalidParameter"),
    ] {
        assert_eq!(cloud.code("DescribePurgeTasks", body.clone()).await, expected, "{body}");
        assert_eq!(cloud.code("DescribePushTasks", body).await, expected);
    }
}

#[tokio::test]
async fn a_call_is_refused_as_a_whole() {
    let cloud = Cloud::cdn().await;
    let good = "https://shop.example.com/a";
    for (bad, of_purge, of_push) in [
        ("https://foreign.example.net/", "ResourceNotFound.CdnHostNotExists", "ResourceNotFound.CdnHostNotExists"),
        ("https://example.com/", "ResourceNotFound.CdnHostNotExists", "ResourceNotFound.CdnHostNotExists"),
        ("shop.example.com/a", "InvalidParameter", "InvalidParameter"),
        ("ftp://shop.example.com/a", "InvalidParameter", "InvalidParameter"),
        (
            "https://shop.example.com/*",
            "InvalidParameter.CdnPurgeWildcardNotAllowed",
            "InvalidParameter.CdnPushWildcardNotAllowed",
        ),
        ("https://old.shop.example.com/", "", "ResourceUnavailable.CdnHostIsNotOnline"),
        ("https://sea.example.com/", "", "ResourceUnavailable.CdnHostIsNotOnline"),
    ] {
        let body = json!({ "Urls": [good, bad] });
        assert_eq!(cloud.code("PurgeUrlsCache", body.clone()).await, of_purge, "{bad}");
        assert_eq!(cloud.code("PushUrlsCache", body).await, of_push, "{bad}");
    }
    let long = format!("https://shop.example.com/{}", "a".repeat(5000));
    assert_eq!(cloud.code("PurgeUrlsCache", json!({ "Urls": [long] })).await, "InvalidParameter.CdnUrlExceedLength");
    let sea = json!({ "Urls": ["https://sea.example.com/"], "Area": "mainland" });
    assert_eq!(cloud.code("PurgeUrlsCache", sea).await, "InvalidParameter");
    for body in
        [json!({ "Urls": [] }), json!({ "Urls": [good], "Area": "moon" }), json!({ "Urls": [good], "Area": "global" })]
    {
        assert_eq!(cloud.code("PurgeUrlsCache", body.clone()).await, "InvalidParameter", "{body}");
    }
    let quota = cloud.ok("DescribePushQuota", json!({})).await;
    assert_eq!(column(&quota, "UrlPush", "Available"), [1000, 1000]);
}

#[tokio::test]
async fn quotas_are_spent_by_area_and_come_back_at_midnight_in_utc_8() {
    let quotas = TencentQuotas {
        url: TaskQuota { batch: 5, daily: 8 },
        path: TaskQuota { batch: 3, daily: 2 },
        push: TaskQuota { batch: 2, daily: 3 },
    };
    let cloud = Cloud::cdn_with(|config| config.tencent.as_mut().unwrap().quotas = quotas).await;
    let left = async || {
        let purge = cloud.ok("DescribePurgeQuota", json!({})).await;
        let push = cloud.ok("DescribePushQuota", json!({})).await;
        [(&purge, "UrlPurge"), (&purge, "PathPurge"), (&push, "UrlPush")].map(|(answer, list)| {
            (answer[list][0]["Available"].as_i64().unwrap(), answer[list][1]["Available"].as_i64().unwrap())
        })
    };
    assert_eq!(left().await, [(8, 8), (2, 2), (3, 3)]);
    assert_eq!(
        cloud.code("PurgeUrlsCache", json!({ "Urls": shop(6) })).await,
        "LimitExceeded.CdnPurgeUrlExceedBatchLimit"
    );
    cloud.ok("PurgeUrlsCache", json!({ "Urls": shop(4) })).await;
    cloud.ok("PurgeUrlsCache", json!({ "Urls": ["https://cn.example.com/"] })).await;
    cloud.ok("PurgeUrlsCache", json!({ "Urls": shop(1), "Area": "mainland" })).await;
    assert_eq!(left().await[0], (2, 4));
    assert_eq!(
        cloud.code("PurgeUrlsCache", json!({ "Urls": shop(3) })).await,
        "LimitExceeded.CdnPurgeUrlExceedDayLimit"
    );
    let paths = |count| json!({ "Paths": shop(count), "FlushType": "flush" });
    assert_eq!(cloud.code("PurgePathCache", paths(4)).await, "LimitExceeded.CdnPurgePathExceedBatchLimit");
    assert_eq!(cloud.code("PurgePathCache", paths(3)).await, "LimitExceeded.CdnPurgePathExceedDayLimit");
    assert_eq!(cloud.code("PushUrlsCache", json!({ "Urls": shop(3) })).await, "LimitExceeded.CdnPushExceedBatchLimit");
    cloud.ok("PushUrlsCache", json!({ "Urls": shop(2) })).await;
    cloud.ok("PushUrlsCache", json!({ "Urls": shop(1), "Area": "global" })).await;
    assert_eq!(cloud.code("PushUrlsCache", json!({ "Urls": shop(1) })).await, "LimitExceeded.CdnPushExceedDayLimit");
    assert_eq!(left().await, [(2, 4), (2, 2), (0, 2)]);
    cloud.advance(12 * 3600 - 1);
    assert_eq!(left().await[0], (2, 4));
    cloud.advance(1);
    assert_eq!(left().await, [(8, 8), (2, 2), (3, 3)]);
}

#[tokio::test]
async fn tests_can_make_urls_fail_and_hold_tasks() {
    let cloud = Cloud::cdn().await;
    let control = cloud.wire.control();
    let purge = cloud.ok("PurgeUrlsCache", json!({ "Urls": shop(3) })).await["TaskId"].clone();
    let push = cloud.ok("PushUrlsCache", json!({ "Urls": shop(3) })).await["TaskId"].clone();
    let purged =
        async || column(&cloud.ok("DescribePurgeTasks", json!({ "TaskId": purge })).await, "PurgeLogs", "Status");
    let pushed = async || cloud.ok("DescribePushTasks", json!({ "TaskId": push })).await;
    control.refuse_urls(vec!["com/1".to_owned()]).unwrap();
    control.fail_urls(vec!["com/2".to_owned()]).unwrap();
    assert_eq!(purged().await, ["process", "process", "process"]);
    cloud.advance(10);
    assert_eq!(purged().await, ["done", "fail", "fail"]);
    assert_eq!(column(&pushed().await, "PushLogs", "Status"), ["Done", "invalid", "invalid"]);
    control.task_state(Some("strange".to_owned()));
    assert_eq!(purged().await, ["strange", "strange", "strange"]);
    assert_eq!(column(&pushed().await, "PushLogs", "Percent"), [99, 99, 99]);
    control.task_state(None);
    assert_eq!(purged().await, ["done", "fail", "fail"]);
    control.reset_tencent();
    assert_eq!(purged().await, ["done", "done", "done"]);
    assert!(control.refuse_urls(vec![String::new()]).is_err());
}
