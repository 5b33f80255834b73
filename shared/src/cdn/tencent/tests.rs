//! The client against a vendor made by hand: what is sent, what the official samples say, and what goes wrong.
//!
//! Whole journeys are tested against the simulator, and every request against the vendor's schema, elsewhere; here is what
//! needs a particular answer.

use super::cloud::{Class, class_of};
use super::*;
use crate::cdn::LocalGate;
use crate::cdn::stand_in::{Reply, Vendor, answer, header, ok};
use crate::domain::usage::Cell;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

const SECRET: &str = "EXAMPLEtencentSecret01";

fn client(vendor: &Vendor) -> Tencent {
    let table = serde_json::json!({
        "vendor": "tencent", "base_url": vendor.url(), "key_id": "AKIDEXAMPLE", "secret": SECRET, "timeout_seconds": 5,
        "rate_limit_pause_seconds": 1
    });
    let config: CdnConfig = serde_json::from_value(table).unwrap();
    Tencent::new("main", &config, Arc::new(LocalGate::default())).unwrap()
}

fn property() -> PropertyAddress {
    PropertyAddress { vendor_ref: "www.example.com".to_owned(), name: "www.example.com".to_owned() }
}

fn urls(paths: &[&str]) -> Vec<PurgeUrl> {
    paths.iter().map(|path| PurgeUrl::parse(&format!("http://www.example.com{path}")).unwrap()).collect()
}

fn response(content: &str) -> Reply {
    ok(&format!(r#"{{"Response":{{{content},"RequestId":"4d5a83f8-a61f-445b-8036-5636be640bef"}}}}"#))
}

fn refusal(code: &str) -> Reply {
    response(&format!(r#""Error":{{"Code":"{code}","Message":"said {SECRET}"}}"#))
}

fn domain(area: &str) -> Reply {
    response(&format!(
        r#""Domains":[{{"Domain":"www.example.com","Status":"online","Area":"{area}","Product":"cdn"}}],"TotalNumber":1"#
    ))
}

fn open(action: Action) -> [OpenRequest; 1] {
    [OpenRequest { vendor_id: "1533045796-i60rfmzm".to_owned(), action }]
}

/// The official list, with what each code means to us, read and reviewed line by line.
#[test]
fn every_code_of_the_official_list_has_the_class_that_it_should() {
    let mut known = BTreeSet::new();
    for line in include_str!("tests/error_codes.txt").lines().filter(|line| !line.starts_with('#')) {
        let (code, expected) = line.split_once(' ').unwrap();
        let class = match class_of(codes::CODES, code) {
            Class::Unsupported(_) => "Unsupported".to_owned(),
            Class::Waiting(_) => "Waiting".to_owned(),
            other => format!("{other:?}"),
        };
        assert_eq!(class, expected, "{code}");
        known.insert(code);
    }
    assert_eq!(known.len(), 180);
    for (code, _) in codes::CODES {
        assert!(known.contains(code), "{code} is none of the vendor's");
    }
}

#[tokio::test]
async fn a_call_is_a_signed_post_of_the_action() {
    let vendor = Vendor::start(vec![domain("global"), response(r#""TaskId":"1533045796-i60rfmzm""#)]).await;
    let accepted = client(&vendor).submit(&property(), Action::Preload, &urls(&["/1.jpg"])).await.unwrap();
    assert_eq!((accepted.vendor_id.as_str(), accepted.refused.len()), ("1533045796-i60rfmzm", 0));
    let [_, request] = vendor.requests().try_into().unwrap();
    assert!(request.starts_with("POST / HTTP/1.1\r\n"), "{request}");
    for (name, value) in
        [("x-tc-action", "PushUrlsCache"), ("x-tc-version", "2018-06-06"), ("content-type", "application/json")]
    {
        assert_eq!(header(&request, name), Some(value));
    }
    assert_eq!(header(&request, "host"), Some(vendor.url().trim_start_matches("http://")));
    assert!(request.ends_with(r#"{"Urls":["http://www.example.com/1.jpg"],"Area":"global"}"#), "{request}");
    assert!(!request.contains(SECRET));
}

#[tokio::test]
async fn a_directory_is_purged_wholly_and_with_its_slash() {
    let vendor = Vendor::start(vec![domain("mainland"), response(r#""TaskId":"1""#)]).await;
    client(&vendor).submit(&property(), Action::Refresh, &urls(&["/a/", "/b/*"])).await.unwrap();
    let request = vendor.requests().remove(1);
    assert_eq!(header(&request, "x-tc-action"), Some("PurgePathCache"));
    let body = r#"{"Paths":["http://www.example.com/a/","http://www.example.com/b/"],"FlushType":"delete"}"#;
    assert!(request.ends_with(body), "{request}");
}

#[tokio::test]
async fn the_official_samples_are_read() {
    let purge = r#""PurgeLogs":[{"TaskId":"153303185323131331","Url":"http://www.example.com/","Status":"done",
        "PurgeType":"url","FlushType":"flush","CreateTime":"2018-07-30 18:10:53"}],"TotalCount":1"#;
    let vendor = Vendor::start(vec![response(purge)]).await;
    let report = client(&vendor).progress(&property(), &open(Action::Refresh)).await.unwrap();
    assert_eq!(report.listed[0].percent, 100);
    // The sample says that there are 20 rows and shows one.
    let push = r#""PushLogs":[{"TaskId":"1533031853231313311","Url":"http://www.example.com/","Status":"Done","Percent":100,
        "CreateTime":"2018-07-30 18:10:53","UpdateTime":"2018-07-30 18:11:53","Area":"mainland"}],"TotalCount":20"#;
    let vendor = Vendor::start(vec![response(push), response(r#""PushLogs":[],"TotalCount":20"#)]).await;
    let report = client(&vendor).progress(&property(), &open(Action::Preload)).await.unwrap();
    assert_eq!(report.listed[0].percent, 5);
    let quota = r#""UrlPurge":[{"Area":"mainland","Batch":1000,"Total":10000,"Available":10000},
        {"Area":"overseas","Batch":1000,"Total":10000,"Available":10000}],
        "PathPurge":[{"Area":"mainland","Batch":39,"Total":100,"Available":100},
        {"Area":"overseas","Batch":20,"Total":100,"Available":100}]"#;
    let preloads = r#""UrlPush":[{"Batch":1000,"Total":10000,"Available":10000,"Area":"mainland"}]"#;
    let vendor = Vendor::start(vec![domain("global"), response(quota), response(preloads)]).await;
    let client = client(&vendor);
    assert_eq!(client.batch_size(&property(), QuotaKind::RefreshDirectory).await, Ok(20));
    assert_eq!(client.batch_size(&property(), QuotaKind::RefreshUrl).await, Ok(1000));
    assert_eq!(vendor.requests().len(), 3);
}

#[tokio::test]
async fn a_day_without_quota_ends_at_midnight_in_the_vendors_zone() {
    let none = r#""UrlPurge":[{"Area":"mainland","Batch":1000,"Total":10000,"Available":0}],"PathPurge":[]"#;
    let vendor = Vendor::start(vec![
        domain("mainland"),
        response(none),
        response(r#""UrlPush":[]"#),
        refusal("LimitExceeded.CdnPurgeUrlExceedDayLimit"),
    ])
    .await;
    let client = client(&vendor);
    let error = client.batch_size(&property(), QuotaKind::RefreshUrl).await.unwrap_err();
    let refused = client.submit(&property(), Action::Refresh, &urls(&["/a"])).await.unwrap_err();
    for error in [error, refused] {
        let wait = error.retry_after().unwrap().as_secs();
        assert!((10..=86_410).contains(&wait), "{wait}");
        assert_eq!(error.account_pause(), None);
        assert!(error.to_string().ends_with(" 00:00:00 (UTC+8)"), "{error}");
        assert!(!error.is_final() && !error.may_have_acted());
    }
}

#[tokio::test]
async fn refusals_pause_the_account_or_not_and_hold_no_secret() {
    for (code, class, pause) in [
        ("AuthFailure.SignatureFailure", "credentials", Some(15)),
        ("RequestLimitExceeded", "rate_limited", Some(1)),
        ("UnauthorizedOperation.CdnCamUnauthorized", "transient", None),
        ("ResourceNotFound.CdnHostNotExists", "unknown_property", None),
        ("OperationDenied.ProductUpgraded", "unsupported", None),
        ("LimitExceeded.CdnPurgeUrlExceedBatchLimit", "batch_too_large", None),
        ("Something.New", "transient", None),
    ] {
        let vendor = Vendor::start(vec![refusal(code)]).await;
        let client = client(&vendor);
        let error = client.progress(&property(), &open(Action::Refresh)).await;
        // What the vendor does not know, it does not list.
        let Err(error) = error else {
            assert_eq!((class, error), ("unknown_property", Ok(ProgressReport::default())));
            continue;
        };
        assert_eq!((error.class(), error.account_pause().map(|pause| pause.as_secs())), (class, pause), "{error}");
        assert!(!error.to_string().contains(SECRET), "{error}");
        assert!(pause.is_some() && class == "rate_limited" || error.to_string().contains(code), "{error}");
        let calls = vendor.requests().len();
        let again = client.progress(&property(), &open(Action::Refresh)).await;
        assert!(again.is_err());
        assert_eq!(vendor.requests().len() - calls, usize::from(pause.is_none()), "{code}");
    }
}

#[tokio::test]
async fn what_is_no_answer_of_the_vendor_may_pass() {
    for (reply, class) in [
        (ok("<html>busy</html>"), "unreadable"),
        (ok(r#"{"Response":{"RequestId":"1"}}"#), "unreadable"),
        (ok(r#"{"Response":{"PurgeLogs":{},"RequestId":"1"}}"#), "unreadable"),
        (ok("{}"), "unreadable"),
        (answer("502 Bad Gateway", "", "<html/>"), "transient"),
        (answer("302 Found", "Location: http://127.0.0.1:1/\r\n", ""), "transient"),
        (answer("429 Too Many Requests", "", ""), "rate_limited"),
        (Reply::Bytes("HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{\"Response\":".to_owned()), "transient"),
    ] {
        let vendor = Vendor::start(vec![reply.clone()]).await;
        let error = client(&vendor).progress(&property(), &open(Action::Refresh)).await.unwrap_err();
        assert_eq!(error.class(), class, "{reply:?}: {error}");
        assert!(!error.is_final());
    }
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let vendor = Vendor::start(vec![Reply::Endless(r#"{"Response":{"PurgeLogs":["#, r#"{"TaskId":"1"},"#)]).await;
    let error = client(&vendor).progress(&property(), &open(Action::Refresh)).await.unwrap_err();
    assert_eq!(error.class(), "unreadable", "{error}");
    let sent = vendor.flooded.load(Ordering::Relaxed);
    assert!(sent < 64 << 20, "{sent}");
}

#[tokio::test]
async fn pages_are_followed_whatever_their_size() {
    let page = |from: usize, to: usize| {
        let row = |n| {
            format!(
                r#"{{"TaskId":"t","Url":"http://www.example.com/{n}","Status":"done","CreateTime":"2018-07-30 18:10:53"}}"#
            )
        };
        let rows: Vec<String> = (from..to).map(row).collect();
        response(&format!(r#""PurgeLogs":[{}],"TotalCount":25"#, rows.join(",")))
    };
    let vendor = Vendor::start(vec![page(0, 20), page(20, 25)]).await;
    let report = client(&vendor).progress(&property(), &open(Action::Refresh)).await.unwrap();
    assert_eq!(report.listed[0].percent, 100);
    assert!(vendor.requests()[1].contains(r#""Offset":20"#));
    let vendor = Vendor::start(vec![page(0, 20), page(20, 25)]).await;
    let found = client(&vendor).find_submitted(&property(), QuotaKind::RefreshUrl, 1_532_945_453_000).await.unwrap();
    assert_eq!((found.len(), found[0].urls.len(), found[0].accepted_at), (1, 25, 1_532_945_453));
}

/// 2018-09-04 00:00 in UTC+8.
const DAY: i64 = 1_535_990_400;

fn series(metric: &str, values: &[u64]) -> Reply {
    let point =
        |(number, value): (i64, &u64)| format!(r#"{{"Time":"{}","Value":{value}}}"#, time::written(DAY + 300 * number));
    let points: Vec<String> = (0..).zip(values).map(point).collect();
    response(&format!(
        r#""Data":[{{"Resource":"www.example.com","CdnData":[{{"Metric":"{metric}","DetailData":[{}],"SummarizedData":{{"Name":"sum","Value":0}}}}]}}],"Interval":"5min""#,
        points.join(",")
    ))
}

fn districts(rows: &[(&str, u64)]) -> Reply {
    let row = |(name, value): &(&str, u64)| format!(r#"{{"Name":"{name}","Value":{value}.0}}"#);
    let rows: Vec<String> = rows.iter().map(row).collect();
    response(&format!(r#""Data":[{{"Resource":"www.example.com","DetailData":[{}]}}]"#, rows.join(",")))
}

#[tokio::test]
async fn districts_are_named_and_spread_over_the_slots_of_their_day() {
    let map = r#""MapInfoList":[{"Id":4,"Name":"广东"}],"ServerRegionRelation":null,"ClientRegionRelation":null"#;
    let vendor = Vendor::start(vec![
        domain("mainland"),
        series("flux", &[300, 100, 0, 200]),
        series("request", &[3, 1]),
        districts(&[("4", 400), ("Shanghai", 200)]),
        response(map),
        districts(&[("4", 4)]),
    ])
    .await;
    let window = UsageWindow::new(DAY, DAY + 600).unwrap();
    let report = client(&vendor).usage(&property(), window).await.unwrap();
    let bytes = |cells: &[Cell]| cells.iter().map(|cell| cell.bytes).collect::<Vec<_>>();
    assert_eq!(bytes(report.totals()), [300, 100]);
    let cities: Vec<(&str, Vec<u64>)> = report.cities().map(|(name, city)| (name, bytes(&city.cells))).collect();
    // Of the day's 600 bytes two thirds are Guangdong's, in each of its slots.
    assert_eq!(cities, [("Shanghai", vec![100, 33]), ("广东", vec![200, 66])]);
    let actions: Vec<String> =
        vendor.requests().iter().map(|request| header(request, "x-tc-action").unwrap().to_owned()).collect();
    let (data, top) = ("DescribeCdnData", "ListTopData");
    assert_eq!(actions, ["DescribeDomains", data, data, top, "DescribeMapInfo", top]);
    assert!(vendor.requests()[3].contains(r#""StartTime":"2018-09-04 00:00:00","EndTime":"2018-09-04 23:59:59""#));
}

#[tokio::test]
async fn what_a_full_ranking_leaves_out_is_told_as_other() {
    let names: Vec<String> = (0..100).map(|number| format!("Country {number}")).collect();
    let rows: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), 5)).collect();
    let vendor = Vendor::start(vec![
        domain("overseas"),
        series("flux", &[600]),
        series("request", &[100]),
        districts(&rows),
        districts(&rows[..20]),
    ])
    .await;
    let window = UsageWindow::new(DAY, DAY + 300).unwrap();
    let report = client(&vendor).usage(&property(), window).await.unwrap();
    let other = report.cities().find(|(name, _)| *name == "Other").unwrap().1.cells[0];
    assert_eq!(other, Cell { bytes: 100, requests: 0 });
    assert!(vendor.requests()[3].contains(r#""Area":"overseas","AreaType":"client""#));
}

#[tokio::test]
async fn figures_that_are_none_are_unreadable() {
    for value in ["-1", "1e30", "\"many\""] {
        let data = format!(
            r#""Data":[{{"Resource":"a","CdnData":[{{"Metric":"flux","DetailData":[{{"Time":"{}","Value":{value}}}]}}]}}]"#,
            time::written(DAY)
        );
        let vendor = Vendor::start(vec![domain("mainland"), response(&data)]).await;
        let window = UsageWindow::new(DAY, DAY + 300).unwrap();
        let error = client(&vendor).usage(&property(), window).await.unwrap_err();
        assert_eq!(error.class(), "unreadable", "{value}: {error}");
    }
}

#[tokio::test]
async fn days_that_the_vendor_has_removed_have_no_logs_and_are_not_asked_for() {
    let vendor = Vendor::start(vec![refusal("InvalidParameter.CdnStatInvalidDate")]).await;
    let date = NaiveDate::from_ymd_opt(2018, 7, 30).unwrap();
    let logs = client(&vendor).logs(&property(), date, Path::new("/nowhere")).await.unwrap();
    assert!(logs.files().is_empty() && vendor.requests().is_empty());
}
